//! The design of the votes as it was first described, and the same design with its faults mended.
//!
//! It has no machine of core. Duties of an epoch are kept under one root. Once in a slot one
//! request asks for the root, and if it is another one, a second asks for the duties. At three
//! quarters of a slot the validators that the kept duties name vote: the data are asked of the
//! nodes in their order until one answers, every vote is signed, and all leave together once the
//! last is signed.
//!
//! What stateright finds in it, each in surroundings in which nothing else can go wrong: D1 to D5,
//! P1 to P8, V7 and V10. Of some the description says nothing, or not all. Then the model takes the
//! least that has to be added:
//! - P4: `first_success` takes the publication to the next node as well, which knows the votes.
//! - P5: the slot is compared before a signature, as described, and not again before the votes leave.
//! - P6: a stream of events beside the timer ends the wait, and nothing is said of a stream's end.
//! - P7: a slot is done once its task has been started, and nobody reads how the task has ended.
//! - P8: the votes' timer waits for no task, as described. But the lists are asked for once a slot
//!   by a loop that waits for the answer.
//! - D4: the request of each slot is for the present epoch, and a list may be had an epoch ahead.
//!
//! Time is counted in eighths of a slot; votes are due at the sixth. The process begins in slot 0,
//! and the duties are in slots 1 and 2.

mod list;

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Model, Property};

use crate::rules::Bounded;

pub(in crate::rules) use list::RULES;

/// Eighths of a slot.
const SLOT: u8 = 8;
const DUE: u8 = 6;
/// When the process begins, and when the clock stops.
const START: u8 = 7;
const END: u8 = 3 * SLOT;
/// The validator that may be learnt late; it votes in slot 2 on both branches.
const LATE: u8 = 3;
/// How long a process that sleeps does so.
const SLEEP: u8 = 3;

/// Who votes in a slot on a branch.
fn listed(branch: usize, slot: u8) -> Vec<u8> {
    match (branch, slot) {
        (0, 1) | (1, 2) => vec![1],
        (1, 1) | (0, 2) => vec![2],
        // The branch that differs in an epoch of which the list was had ahead.
        (2, 2) => vec![1, 2],
        _ => Vec::new(),
    }
}

/// Whether the design is as it was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// It is.
    AsDescribed,
}

/// A beacon node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Node {
    branch: usize,
    sees: bool,
    hangs: bool,
}

const GOOD: Node = Node { branch: 0, sees: true, hangs: false };

/// What becomes of one publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Trouble {
    /// The node cannot be reached: the votes do not arrive.
    NoConnection,
    /// The votes arrive, and the answer is lost.
    LosesAnswer,
}

/// The stream of events beside the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stream {
    Open,
    /// It has ended, so that a wait for it ends at once.
    Ended,
    /// It has ended, and nobody waits for it any more.
    LeftOut,
}

/// The design in its surroundings.
#[derive(Clone, Debug)]
struct Design {
    is_mended: bool,
    nodes: Vec<Node>,
    /// A validator whose signer never answers.
    dead: Option<u8>,
    learns: bool,
    /// Whether the validator that may be learnt late is known from the start.
    has_third: bool,
    /// How long an answer takes.
    pace: u8,
    /// How long a signer takes beyond that.
    signs_in: u8,
    /// Whether lists are answered at any moment, by any node.
    has_slow_lists: bool,
    switches: usize,
    /// Whether a node changes its branch between two answers about a list alone, and goes back
    /// before time passes.
    goes_back: bool,
    restarts: usize,
    /// Whether the list is that of an epoch that begins with slot 2. It is had ahead, and the node
    /// answers no list in the epoch's first slot.
    looks_ahead: bool,
    /// Whether the first request for a list is never answered.
    loses_list: bool,
    /// What one publication meets, at any moment.
    trouble: Option<Trouble>,
    /// Whether the process sleeps once, at any moment.
    sleeps: bool,
    /// Whether there is a stream of events, which ends at any moment.
    has_stream: bool,
}

/// A request for a list under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Poll {
    /// For the root.
    Root,
    /// For the duties, after this root.
    Duties(usize),
    /// It is not answered.
    Lost,
}

/// The votes of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    slot: u8,
    /// When the answer to the present step comes.
    at: u8,
    /// The branch of the data's block.
    data: Option<usize>,
    /// Votes that are signed and leave next.
    signed: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    life: u8,
    nodes: Vec<Node>,
    knows_late: bool,
    learnt_at: Option<u8>,
    poll: Option<Poll>,
    /// Lists by root: the branch that the list is of, and whether it covers the late validator. The
    /// design as described keeps one.
    lists: BTreeMap<usize, (usize, bool)>,
    round: Option<Round>,
    /// The last slot that was voted on, or may have been.
    done: Option<u8>,
    signed: BTreeMap<(u8, u8), BTreeSet<(u8, usize)>>,
    left: BTreeMap<(u8, u8), u8>,
    /// Whether a vote counts as sent, once it is told how it went.
    told: BTreeMap<(u8, u8), bool>,
    is_off_branch: bool,
    switches: usize,
    /// When the branch was changed last, if the list was had ahead.
    switched_at: Option<u8>,
    restarts: usize,
    /// The trouble that the next publication meets, once it has come up.
    trouble: Option<Trouble>,
    has_slept: bool,
    had_trouble: bool,
    stream: Stream,
    /// How often the wait for the next time has ended since time passed last.
    wakes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Tick,
    /// A node answers the request for a list.
    List(usize),
    Switch(usize),
    Learn,
    Restart,
    /// The next publication meets its trouble.
    Trouble,
    /// Time passes in which the process does nothing.
    Sleep,
    StreamEnds,
    /// The wait for the next time ends, because of a stream that has ended.
    Wake,
}

impl Design {
    fn of(fault: Option<Fault>) -> Self {
        Self {
            is_mended: fault.is_none(),
            nodes: vec![GOOD],
            dead: None,
            learns: false,
            has_third: false,
            pace: 0,
            signs_in: 0,
            has_slow_lists: false,
            switches: 0,
            goes_back: false,
            restarts: 0,
            looks_ahead: false,
            loses_list: false,
            trouble: None,
            sleeps: false,
            has_stream: false,
        }
    }

    /// When the votes of a slot begin: with time for three answers, or at the deadline.
    fn begins(&self) -> u8 {
        if self.is_mended { DUE - 3 } else { DUE }
    }

    /// Does what there is to do at this time.
    fn run(&self, state: &mut State) {
        let slot = state.now / SLOT;
        let is_busy = self.looks_ahead && slot == 2;
        if !self.has_slow_lists && !is_busy {
            // A list that is of its root needs two answers, and each answer is of the same branch.
            for _ in 0..2 {
                self.answer_poll(state, 0);
            }
        }
        let into_slot = state.now % SLOT;
        let is_time = into_slot >= self.begins() && (into_slot < DUE || !self.is_mended);
        if is_time && state.done.is_none_or(|done| done < slot) {
            state.done = Some(slot);
            let at = state.now + self.pace;
            state.round = Some(Round { slot, at, data: None, signed: None });
        }
        // A round has three steps.
        for _ in 0..3 {
            self.step(state);
        }
    }

    fn answer_poll(&self, state: &mut State, node: usize) {
        let branch = state.nodes[node].branch;
        match state.poll.take() {
            None => {}
            Some(Poll::Lost) => state.poll = Some(Poll::Lost),
            Some(Poll::Root) => {
                let list = state.lists.get(&branch);
                let is_known = if self.is_mended {
                    list.is_some_and(|(_, covers)| *covers == state.knows_late)
                } else {
                    list.is_some()
                };
                state.poll = (!is_known).then_some(Poll::Duties(branch));
            }
            Some(Poll::Duties(root)) => {
                let list = (branch, state.knows_late);
                if self.is_mended {
                    state.lists.insert(branch, list);
                    state.poll = (branch != root).then_some(Poll::Root);
                } else {
                    state.lists = BTreeMap::from([(root, list)]);
                }
            }
        }
    }

    /// The next step of the round, if its answer has come.
    fn step(&self, state: &mut State) {
        let Some(mut round) = state.round.take() else { return };
        let is_over = round.slot != state.now / SLOT;
        if is_over && (self.is_mended || round.signed.is_none()) {
            return;
        }
        if state.now < round.at {
            state.round = Some(round);
            return;
        }
        match (round.data, round.signed.take()) {
            (None, _) => {
                let mut nodes = state.nodes.iter();
                let first = if self.is_mended {
                    nodes.find(|node| node.sees && !node.hangs)
                } else {
                    nodes.next()
                };
                match first {
                    // No node has a block; or the first hangs.
                    None => {}
                    Some(node) if node.hangs => {}
                    Some(node) if !node.sees => return,
                    Some(node) => {
                        (round.data, round.at) = (Some(node.branch), state.now + self.pace)
                    }
                }
            }
            (Some(branch), None) => {
                let voters = self.voters(state, branch, round.slot);
                for voter in &voters {
                    let known = listed(branch, round.slot);
                    let is_listed = known.contains(voter) || *voter == LATE;
                    state.is_off_branch |= !is_listed;
                    let votes = state.signed.entry((round.slot, *voter)).or_default();
                    votes.insert((state.life, branch));
                }
                let alive = |voter: &u8| Some(*voter) != self.dead;
                if !self.is_mended && !voters.iter().all(alive) {
                    // The last signature never comes.
                    return;
                }
                let signed = voters.into_iter().filter(alive).collect();
                (round.signed, round.at) = (Some(signed), state.now + self.pace + self.signs_in);
            }
            (Some(_), Some(signed)) => {
                if self.publish(state, round.slot, &signed) {
                    return;
                }
                (round.signed, round.at) = (Some(signed), state.now + 1);
            }
        }
        state.round = Some(round);
    }

    /// Has the votes go to the nodes in their order until one takes them. Returns whether they are
    /// done with.
    fn publish(&self, state: &mut State, slot: u8, signed: &[u8]) -> bool {
        let trouble = state.trouble.take();
        if trouble == Some(Trouble::NoConnection) && self.is_mended {
            return false;
        }
        for voter in signed {
            let vote = (slot, *voter);
            if trouble != Some(Trouble::NoConnection) {
                state.left.entry(vote).or_insert(state.now);
            }
            // Without an answer the next node is asked, and refuses what it knows already.
            state.told.insert(vote, self.is_mended || trouble.is_none());
        }
        true
    }

    /// Returns who votes: those of the list that is kept, or of the list of the data's branch.
    fn voters(&self, state: &State, branch: usize, slot: u8) -> Vec<u8> {
        let list =
            if self.is_mended { state.lists.get(&branch) } else { state.lists.values().next() };
        let Some((of, covers)) = list else { return Vec::new() };
        if self.looks_ahead && slot < 2 {
            // The list is of a later epoch.
            return Vec::new();
        }
        let mut voters = listed(*of, slot);
        if *covers && slot == 2 {
            voters.push(LATE);
        }
        voters
    }

    /// The process begins. A mended one does not vote in the slot in which it does.
    fn start(&self, state: &mut State) {
        state.poll = Some(if self.loses_list { Poll::Lost } else { Poll::Root });
        state.lists.clear();
        state.round = None;
        state.done = self.is_mended.then_some(state.now / SLOT);
        self.run(state);
    }

    /// A slot begins: its list is asked for.
    fn begin_slot(&self, state: &mut State) {
        let is_of_later_epoch = self.looks_ahead && state.now / SLOT == 1;
        // The loop of the design as described waits for the answer before.
        let waits = state.poll.is_some() || is_of_later_epoch;
        if self.is_mended || !waits {
            state.poll = Some(Poll::Root);
        }
    }

    /// Returns the branch that a node changes to.
    fn other(&self, branch: usize) -> usize {
        if self.looks_ahead { 2 - branch } else { 1 - branch }
    }

    /// Returns whether every vote of the branch has left by the deadline, where nothing changes.
    fn have_left(&self, state: &State) -> bool {
        let is_still = self.switches == 0
            && self.restarts == 0
            && !(self.learns || self.has_slow_lists || self.sleeps);
        let has_block = self.nodes.iter().any(|node| node.sees && !node.hangs);
        !is_still
            || !has_block
            || (1..=2).all(|slot| {
                let due = slot * SLOT + DUE;
                let third = (self.has_third && slot == 2).then_some(LATE);
                let voters = listed(0, slot).into_iter().chain(third);
                let mut voters = voters.filter(|voter| Some(*voter) != self.dead);
                let has_left =
                    |voter| state.left.get(&(slot, voter)).is_some_and(|left| *left <= due);
                state.now <= due || voters.all(has_left)
            })
    }

    /// Returns whether the duties are done that were known to be in slot 2 when slot 1 began, or
    /// the validator was learnt before slot 2.
    fn are_done(&self, state: &State) -> bool {
        let has_left =
            |voter: &u8| Some(*voter) == self.dead || state.left.contains_key(&(2, *voter));
        let is_learnt = state.learnt_at.is_some_and(|at| at < 2 * SLOT);
        let is_settled = self.looks_ahead && state.switched_at.is_none_or(|at| at < SLOT);
        let of_branch = listed(state.nodes[0].branch, 2);
        state.now < END
            || (!is_learnt || has_left(&LATE)) && (!is_settled || of_branch.iter().all(has_left))
    }
}

impl Bounded for Design {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("nodes", self.nodes.len().to_string()),
            ("switches", self.switches.to_string()),
            ("restarts", self.restarts.to_string()),
            ("ticks", (END - START).to_string()),
        ])
    }
}

impl Model for Design {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            now: START,
            life: 0,
            nodes: self.nodes.clone(),
            knows_late: self.has_third,
            learnt_at: self.has_third.then_some(0),
            poll: None,
            lists: BTreeMap::new(),
            round: None,
            done: None,
            signed: BTreeMap::new(),
            left: BTreeMap::new(),
            told: BTreeMap::new(),
            is_off_branch: false,
            switches: 0,
            switched_at: None,
            restarts: 0,
            trouble: None,
            has_slept: false,
            had_trouble: false,
            stream: Stream::Open,
            wakes: 0,
        };
        self.start(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_away = self.goes_back && state.switches % 2 == 1;
        if state.now < END && !is_away {
            actions.push(Action::Tick);
        }
        let nodes = 0..state.nodes.len();
        if self.has_slow_lists && state.poll.is_some() {
            actions.extend(nodes.clone().map(Action::List));
        }
        let is_between = matches!(state.poll, Some(Poll::Duties(_)));
        let may_switch = !self.goes_back || is_away || is_between;
        if state.switches < self.switches && may_switch {
            actions.extend(nodes.map(Action::Switch));
        }
        if self.learns && state.learnt_at.is_none() {
            actions.push(Action::Learn);
        }
        if state.restarts < self.restarts {
            actions.push(Action::Restart);
        }
        if self.trouble.is_some() && !state.had_trouble {
            actions.push(Action::Trouble);
        }
        if self.sleeps && !state.has_slept && state.now + SLEEP <= END {
            actions.push(Action::Sleep);
        }
        match state.stream {
            Stream::Open if self.has_stream => actions.push(Action::StreamEnds),
            Stream::Ended if state.wakes < 2 => actions.push(Action::Wake),
            _ => {}
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Tick => {
                (state.now, state.wakes) = (state.now + 1, 0);
                if state.now.is_multiple_of(SLOT) {
                    self.begin_slot(&mut state);
                }
                self.run(&mut state);
            }
            Action::Sleep => {
                let slot = state.now / SLOT;
                (state.now, state.has_slept) = (state.now + SLEEP, true);
                if state.now / SLOT != slot {
                    self.begin_slot(&mut state);
                }
                self.run(&mut state);
            }
            Action::List(node) => self.answer_poll(&mut state, node),
            Action::Switch(node) => {
                state.switches += 1;
                state.switched_at = self.looks_ahead.then_some(state.now);
                state.nodes[node].branch = self.other(state.nodes[node].branch);
            }
            Action::Learn => {
                (state.learnt_at, state.knows_late) = (Some(state.now), true);
                if self.is_mended {
                    state.poll = Some(Poll::Root);
                }
                self.run(&mut state);
            }
            Action::Restart => {
                state.restarts += 1;
                state.life += 1;
                self.start(&mut state);
            }
            Action::Trouble => (state.trouble, state.had_trouble) = (self.trouble, true),
            Action::StreamEnds => state.stream = Stream::Ended,
            Action::Wake => {
                state.wakes += 1;
                if self.is_mended {
                    state.stream = Stream::LeftOut;
                }
                self.run(&mut state);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = Property::<Self>::always;
        vec![
            always("one vote of (slot, validator)", |_, state| {
                state.signed.values().all(|votes| votes.len() == 1)
            }),
            always("what is signed is of the head's branch", |_, state| !state.is_off_branch),
            always("a vote leaves by the deadline", |model, state| model.have_left(state)),
            always("the branch's duties are done", |model, state| model.are_done(state)),
            always("nothing leaves for a slot that is over", |_, state| {
                state.left.iter().all(|((slot, _), at)| at / SLOT == *slot)
            }),
            always("what has arrived is told as sent", |_, state| {
                state.told.iter().all(|(vote, is_sent)| *is_sent || !state.left.contains_key(vote))
            }),
            always("what is told as sent has arrived", |_, state| {
                state.told.iter().all(|(vote, is_sent)| !is_sent || state.left.contains_key(vote))
            }),
            always("a wait ends for something new", |_, state| state.wakes <= 1),
        ]
    }
}
