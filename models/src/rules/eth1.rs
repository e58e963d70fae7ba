//! Eth1Monitor over a chain of the execution layer that grows and is re-organised, and a node that
//! fails, answers twice, or lies.
//!
//! The chain has two branches that part at block [`FORK`]; every second block has a deposit. What
//! is next is chosen freely: the machine polls, its question is answered, fails or is answered with
//! a lie, the last answer comes again, the chain grows, or changes its branch, or a proposer finds
//! that its state contradicts the deposits. A lie leaves the last deposit of an answer out, or
//! gives it twice, or changes a header's parent, or says that the chain is longer than it is.
//!
//! | property | meaning |
//! |---|---|
//! | deposits neither skip nor repeat | the deposits taken in are the contract's, numbered from 0 |
//! | no block is followed too early | every followed block is as far behind the latest that was told as it must be |
//! | the window is of one branch | of two followed blocks that follow each other, the first is in truth the parent of the second |
//! | a vote is the specification's | once the monitor is up to date, the votes that it makes for given states are those of the rule in the specification, written down here anew |
//! | it always catches up | from every state an honest node brings the monitor up to date, in a bounded number of polls; a proposer may have to find once that the chain has another deposit than the monitor |
//!
//! What an answer left out while the chain changed its branch before the window can have been
//! replaced by as many deposits of the other branch. No number tells that, and the chain's own root
//! has to: this is why a proposer's look belongs to the last property.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use blocksmith::eth1::{
    Answer, BlockHeader, Candidates, DepositLog, Effect, Eth1Monitor, Event, Limits, Question,
    VotingState, get_eth1_vote,
};
use blocksmith::machine::Machine;
use stateright::{Model, Property};

use super::{Bounded, Instance, Rule, Twin};
use crate::hazard;
use blocksmith_engines::verdict::Breaks;

/// The first block in which the branches differ.
const FORK: u64 = 3;
/// The latest block at the start.
const START: u64 = 6;
const DISTANCE: u64 = 2;
const LIMITS: Limits = Limits {
    start: 0,
    distance: DISTANCE,
    window: 3,
    batch: 2,
    range: 2,
    pause_ms: 1,
    longest_pause_ms: 4,
};
/// How often each thing may happen in a run. Polls are bounded because a request's number is a part
/// of the state.
const BOUNDS: [(&str, usize); 4] = [
    ("grows", 1),
    ("switches", 1),
    ("failures, lies, repeats and contradictions", 2),
    ("polls", 4),
];
/// Polls in which an honest node has to bring a monitor up to date.
const POLLS: usize = 16;
/// Questions after which a monitor has to rest: more than there are blocks.
const QUESTIONS: usize = 64;

/// A fault of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// Deposits are numbered by the shell, in the order in which they come.
    NumbersThem,
    /// Deposits are not taken back with their block, but only all at once.
    KeepsThem,
    /// The parent of a header is not looked at.
    TrustsParents,
    /// A proposer votes for any block that is followed.
    VotesForAny,
    /// A call that fails is not answered.
    FailureIsSilent,
    /// The latest block is told to be as far ahead as blocks have to be behind.
    FollowsTheLatest,
}

/// A chain: what it is up to its latest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Chain {
    branch: u64,
    latest: u64,
}

type Deposit = u64;
type View = (u64, u64);

impl Chain {
    fn hash(self, number: u64) -> u64 {
        if number < FORK { number + 1 } else { 100 * (self.branch + 1) + number }
    }

    fn header(self, number: u64) -> BlockHeader<u64> {
        let parent = number.checked_sub(1).map_or(0, |before| self.hash(before));
        BlockHeader { number, hash: self.hash(number), parent, timestamp: 10 * number }
    }

    /// Whether the chain has this block right after the other one.
    fn has_in_a_row(self, (before, block): (u64, u64)) -> bool {
        (1..=self.latest).any(|at| (self.hash(at - 1), self.hash(at)) == (before, block))
    }

    /// A block before the fork has a deposit if its number is odd; later, that is the other way
    /// round on the second branch.
    fn has_deposit(self, number: u64) -> bool {
        let odd = number % 2 == 1;
        if number < FORK { odd } else { odd == (self.branch == 0) }
    }

    fn count(self, to: u64) -> u64 {
        (0..=to).filter(|number| self.has_deposit(*number)).count() as u64
    }

    fn logs(self, from: u64, to: u64) -> Vec<DepositLog<u64, Deposit>> {
        let with = (from..=to.min(self.latest)).filter(|number| self.has_deposit(*number));
        let log = |number| {
            let index = self.count(number) - 1;
            let hash = self.hash(number);
            // A deposit is its number, and where it is.
            DepositLog { number, hash, index, deposit: 1000 * index + hash }
        };
        with.map(log).collect()
    }

    fn answer(self, question: Question) -> Answer<u64, Deposit> {
        match question {
            Question::Latest => Answer::Latest(self.latest),
            Question::Header(number) if number <= self.latest => {
                Answer::Header(self.header(number))
            }
            Question::Header(_) => Answer::Failed,
            Question::Deposits { from, to } => Answer::Deposits(self.logs(from, to)),
        }
    }
}

/// A lie about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lie {
    LeavesOut,
    Doubles,
    OtherParent,
    Longer,
}

impl Lie {
    fn about(question: Question) -> &'static [Self] {
        match question {
            Question::Latest => &[Self::Longer],
            Question::Header(_) => &[Self::OtherParent],
            Question::Deposits { .. } => &[Self::LeavesOut, Self::Doubles],
        }
    }

    fn told(self, answer: Answer<u64, Deposit>) -> Answer<u64, Deposit> {
        match (self, answer) {
            (Self::Longer, Answer::Latest(latest)) => Answer::Latest(latest + 1),
            (Self::OtherParent, Answer::Header(header)) => {
                Answer::Header(BlockHeader { parent: header.parent + 50, ..header })
            }
            (Self::LeavesOut, Answer::Deposits(mut logs)) => {
                logs.pop();
                Answer::Deposits(logs)
            }
            (Self::Doubles, Answer::Deposits(mut logs)) => {
                logs.extend(logs.last().cloned());
                Answer::Deposits(logs)
            }
            (_, answer) => answer,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    monitor: Eth1Monitor<u64>,
    deposits: Vec<Deposit>,
    chain: Chain,
    /// The highest latest block that was told.
    told: u64,
    asked: Option<(u64, Question)>,
    /// The last answer, which may come again.
    given: Option<(u64, Answer<u64, Deposit>)>,
    /// How often each thing has happened, in the order of [`BOUNDS`].
    spent: [usize; BOUNDS.len()],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Poll,
    Answer,
    Fail,
    Lie(Lie),
    Repeat,
    Grow,
    Switch,
    Contradict,
}

impl Action {
    /// Returns the place of its bound in [`BOUNDS`], if it has one.
    fn bound(self) -> Option<usize> {
        match self {
            Self::Answer => None,
            Self::Grow => Some(0),
            Self::Switch => Some(1),
            Self::Fail | Self::Lie(_) | Self::Repeat | Self::Contradict => Some(2),
            Self::Poll => Some(3),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Follows {
    fault: Option<Fault>,
}

impl Follows {
    fn has(self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn handle(self, state: &mut State, event: Event<u64, Deposit>) {
        for effect in state.monitor.handle(&PhantomData, event) {
            match effect {
                Effect::Ask { request, question } => state.asked = Some((request, question)),
                Effect::Truncate(1..) if self.has(Fault::KeepsThem) => {}
                Effect::Truncate(count) => state.deposits.truncate(count as usize),
                Effect::Append(deposits) => state.deposits.extend(deposits),
                Effect::Rest { .. } | Effect::Failed(_) => {}
            }
        }
    }

    fn give(self, state: &mut State, request: u64, mut answer: Answer<u64, Deposit>) {
        match &mut answer {
            Answer::Latest(latest) => {
                state.told = state.told.max(*latest);
                *latest += if self.has(Fault::FollowsTheLatest) { DISTANCE } else { 0 };
            }
            Answer::Deposits(logs) if self.has(Fault::NumbersThem) => {
                let from = state.monitor.deposits();
                logs.iter_mut().zip(from..).for_each(|(log, index)| log.index = index);
            }
            Answer::Header(header) if self.has(Fault::TrustsParents) => {
                let last = state.monitor.followed().next_back();
                let follows = last.filter(|last| last.header.number + 1 == header.number);
                header.parent = follows.map_or(header.parent, |last| last.header.hash);
            }
            _ => {}
        }
        if answer == Answer::Failed && self.has(Fault::FailureIsSilent) {
            return;
        }
        self.handle(state, Event::Answered { request, answer });
    }

    /// Answers the question under way, if there is one.
    fn answer(
        self,
        state: &mut State,
        answer: impl FnOnce(Question, Chain) -> Answer<u64, Deposit>,
    ) {
        let Some((request, question)) = state.asked.take() else { return };
        let answer = answer(question, state.chain);
        state.given = Some((request, answer.clone()));
        self.give(state, request, answer);
    }

    /// Whether an honest node brings a monitor up to date, from here on without the shell's fault.
    /// A deposit that was left out is noticed by the number of the next one, so the chain grows by
    /// one with a deposit first.
    fn catches_up(state: &State) -> bool {
        let (honest, mut state) = (Self { fault: None }, state.clone());
        state.chain.latest += DISTANCE + 2;
        if honest.is_brought_up(&mut state) {
            return true;
        }
        let is_contradicted = is_contradicted(&state);
        honest.handle(&mut state, Event::Contradicted);
        is_contradicted && honest.is_brought_up(&mut state)
    }

    /// Has an honest node answer. Returns whether the monitor is up to date then.
    fn is_brought_up(self, state: &mut State) -> bool {
        for _ in 0..POLLS {
            for _ in 0..QUESTIONS {
                self.answer(state, |question, chain| chain.answer(question));
            }
            if state.asked.is_some() {
                return false;
            }
            if is_up_to_date(state) {
                return true;
            }
            self.handle(state, Event::Poll);
        }
        false
    }

    /// The vote that a proposer makes on the monitor's word.
    fn vote(self, state: &State, voting: &VotingState<View>) -> View {
        let candidates = Candidates { distance_seconds: 10 };
        let admitted = state
            .monitor
            .followed()
            .filter(|block| self.has(Fault::VotesForAny) || candidates.admit(block, voting));
        let considered: Vec<_> =
            admitted.map(|block| (block.deposits, block.header.hash)).collect();
        get_eth1_vote(&considered, voting)
    }

    /// Whether all votes are those of the specification's rule, if the monitor is up to date.
    fn votes_as_specified(self, state: &State) -> bool {
        !is_up_to_date(state)
            || voting_states(state.chain)
                .all(|voting| self.vote(state, &voting) == specified_vote(state.chain, &voting))
    }
}

/// Whether the monitor follows the chain up to the distance, with all of its deposits.
fn is_up_to_date(state: &State) -> bool {
    let chain = state.chain;
    let target = chain.latest - DISTANCE;
    let of_chain = chain.logs(0, target).into_iter().map(|log| log.deposit);
    let followed: Vec<_> = state.monitor.followed().collect();
    followed.last().is_some_and(|last| last.header.number == target)
        && followed.iter().all(|at| {
            at.header == chain.header(at.header.number)
                && at.deposits == chain.count(at.header.number)
        })
        && followed.len() == LIMITS.window
        && state.deposits == of_chain.collect::<Vec<_>>()
}

/// Whether the chain has another deposit than the monitor at some place: then the root that the
/// chain has voted for is another than a proposer's.
fn is_contradicted(state: &State) -> bool {
    let of_chain = state.chain.logs(0, state.chain.latest - DISTANCE);
    of_chain.iter().zip(&state.deposits).any(|(log, deposit)| log.deposit != *deposit)
}

/// States whose voting period begins when the candidates are followed blocks, without votes, with
/// one for each of two blocks, and with two for the older.
fn voting_states(chain: Chain) -> impl Iterator<Item = VotingState<View>> {
    let target = chain.latest - DISTANCE;
    let view = move |number| (chain.count(number), chain.hash(number));
    let (young, old) = (view(target), view(target - 1));
    let votes = [vec![], vec![young, old], vec![old, young, old], vec![(9, 9), (9, 9), young]];
    votes.into_iter().flat_map(move |votes| {
        (target..=target + 1).map(move |tenths| VotingState {
            period_start: 10 * tenths,
            eth1_data: view(target - 2),
            deposit_count: view(target - 2).0,
            votes: votes.clone(),
        })
    })
}

/// `get_eth1_vote` of the specification's `phase0/validator.md`, over the whole chain.
fn specified_vote(chain: Chain, state: &VotingState<View>) -> View {
    let distance = 10;
    let is_candidate = |number: u64| {
        let timestamp = chain.header(number).timestamp;
        timestamp + distance <= state.period_start && timestamp + 2 * distance >= state.period_start
    };
    let blocks = (0..=chain.latest).filter(|number| is_candidate(*number));
    let views = blocks.map(|number| (chain.count(number), chain.hash(number)));
    let considered: Vec<View> = views.filter(|view| view.0 >= state.eth1_data.0).collect();
    let valid: Vec<View> =
        state.votes.iter().filter(|vote| considered.contains(vote)).copied().collect();
    let times = |vote: &View| valid.iter().filter(|other| *other == vote).count();
    let default = considered.last().copied().unwrap_or(state.eth1_data);
    let mut best = None;
    for vote in &valid {
        // The first of those with the most votes.
        if best.is_none_or(|best| times(vote) > times(best)) {
            best = Some(vote);
        }
    }
    best.copied().unwrap_or(default)
}

impl Bounded for Follows {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        let bounds = BOUNDS.map(|(name, bound)| (name, bound.to_string()));
        bounds.into_iter().chain([("blocks", (START + 1).to_string())]).collect()
    }
}

impl Model for Follows {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let monitor = Eth1Monitor::new(LIMITS).expect("the limits can be");
        let chain = Chain { branch: 0, latest: START };
        let deposits = Vec::new();
        vec![State {
            monitor,
            deposits,
            chain,
            told: 0,
            asked: None,
            given: None,
            spent: [0; BOUNDS.len()],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.asked {
            None => actions.push(Action::Poll),
            Some((_, question)) => {
                actions.extend([Action::Answer, Action::Fail]);
                actions.extend(Lie::about(question).iter().map(|lie| Action::Lie(*lie)));
            }
        }
        actions.extend(state.given.is_some().then_some(Action::Repeat));
        actions.extend([Action::Grow, Action::Switch, Action::Contradict]);
        actions.retain(|action| action.bound().is_none_or(|at| state.spent[at] < BOUNDS[at].1));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        if let Some(at) = action.bound() {
            state.spent[at] += 1;
        }
        match action {
            Action::Poll => self.handle(&mut state, Event::Poll),
            Action::Answer => self.answer(&mut state, |question, chain| chain.answer(question)),
            Action::Fail => self.answer(&mut state, |_, _| Answer::Failed),
            Action::Lie(lie) => {
                self.answer(&mut state, |question, chain| lie.told(chain.answer(question)));
            }
            Action::Repeat => {
                let (request, answer) = state.given.take()?;
                self.give(&mut state, request, answer);
            }
            Action::Grow => state.chain.latest += 1,
            Action::Switch => state.chain.branch = 1 - state.chain.branch,
            Action::Contradict => self.handle(&mut state, Event::Contradicted),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("deposits neither skip nor repeat", |_, state: &State| {
                let mut numbered = (0..).zip(&state.deposits);
                numbered.all(|(index, deposit)| deposit / 1000 == index)
                    && state.deposits.len() as u64 == state.monitor.deposits()
            }),
            Property::always("no block is followed too early", |_, state: &State| {
                let mut followed = state.monitor.followed();
                followed.all(|block| block.header.number + DISTANCE <= state.told)
            }),
            Property::always("the window is of one branch", |_, state: &State| {
                let hashes: Vec<_> = state.monitor.followed().map(|at| at.header.hash).collect();
                let latest = START + 10;
                hashes.len() <= LIMITS.window
                    && hashes.windows(2).all(|pair| {
                        let is_of =
                            |branch| Chain { branch, latest }.has_in_a_row((pair[0], pair[1]));
                        is_of(0) || is_of(1)
                    })
            }),
            Property::always("a vote is the specification's", |model, state| {
                model.votes_as_specified(state)
            }),
            Property::always("it always catches up", |_, state| Self::catches_up(state)),
        ]
    }
}

fn follows(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Follows { fault })
}

pub(super) const RULES: &[Rule] = &[Rule {
    name: "follows_the_execution_layer",
    claim: "the chain grows and changes its branch, and its node fails, lies and answers twice: \
            deposits neither skip nor repeat, votes are the specification's, and it catches up",
    states: 53_724,
    model: || follows(None),
    twins: &[
        twin!(
            "deposits_by_their_order",
            E1,
            follows,
            NumbersThem,
            "deposits neither skip nor repeat",
            "deposits are numbered in the order in which they come, and one was left out"
        ),
        twin!(
            "deposits_of_a_branch_that_is_gone",
            E2,
            follows,
            KeepsThem,
            "deposits neither skip nor repeat",
            "deposits of blocks that are of the chain no more are kept"
        ),
        twin!(
            "parents_are_not_compared",
            E3,
            follows,
            TrustsParents,
            "the window is of one branch",
            "a block is followed whose parent is not the block before it"
        ),
        twin!(
            "vote_for_any_followed_block",
            E4,
            follows,
            VotesForAny,
            "a vote is the specification's",
            "a proposer votes for a block that is too young or too old for the period"
        ),
        twin!(
            "failure_without_an_answer",
            E5,
            follows,
            FailureIsSilent,
            "it always catches up",
            "a call that fails is not answered, and nothing is asked any more"
        ),
        twin!(
            "blocks_up_to_the_latest",
            E6,
            follows,
            FollowsTheLatest,
            "no block is followed too early",
            "blocks are followed up to the latest one"
        ),
    ],
}];
