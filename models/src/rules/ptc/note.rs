//! The design of the votes as it was first described, and the same design with its faults mended.
//!
//! It has no machine of core. Duties of an epoch are kept under one root. Once in a slot one
//! request asks for the root, and if it is another one, a second asks for the duties. At three
//! quarters of a slot the validators that the kept duties name vote: the data are asked of the
//! nodes in their order until one answers, every vote is signed, and all leave together once the
//! last is signed.
//!
//! What stateright finds in it, each in surroundings in which nothing else can go wrong: D1, D2,
//! D3, D5, P1, P2, P3, V7 and V10. What the description leaves open is not modelled: what becomes of
//! a publication that fails (P4, P7), and of streams (P6). Two hazards it does not have: it looks at
//! the slot before a signature (P5), and its timer starts tasks and waits for none (P8).
//!
//! Time is counted in eighths of a slot; votes are due at the sixth. The process begins in slot 0,
//! and the duties are in slots 1 and 2.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Model, Property};

use crate::hazard;
use crate::rules::{Bounded, Instance, Rule, Twin};
use blocksmith_engines::verdict::Breaks;

/// Eighths of a slot.
const SLOT: u8 = 8;
const DUE: u8 = 6;
/// When the process begins, and when the clock stops.
const START: u8 = 7;
const END: u8 = 3 * SLOT;
/// The validator that may be learnt late; it votes in slot 2 on both branches.
const LATE: u8 = 3;

/// Who votes in a slot on a branch.
fn listed(branch: usize, slot: u8) -> Vec<u8> {
    match (branch, slot) {
        (0, 1) | (1, 2) => vec![1],
        (1, 1) | (0, 2) => vec![2],
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
    /// Whether lists are answered at any moment, by any node.
    has_slow_lists: bool,
    switches: usize,
    /// Whether a node changes its branch between two answers about a list alone, and goes back
    /// before time passes.
    goes_back: bool,
    restarts: usize,
}

/// A request for a list under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Poll {
    /// For the root.
    Root,
    /// For the duties, after this root.
    Duties(usize),
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
    is_off_branch: bool,
    switches: usize,
    restarts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Tick,
    /// A node answers the request for a list.
    List(usize),
    Switch(usize),
    Learn,
    Restart,
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
            has_slow_lists: false,
            switches: 0,
            goes_back: false,
            restarts: 0,
        }
    }

    /// When the votes of a slot begin: with time for three answers, or at the deadline.
    fn begins(&self) -> u8 {
        if self.is_mended { DUE - 3 } else { DUE }
    }

    /// Does what there is to do at this time.
    fn run(&self, state: &mut State) {
        if !self.has_slow_lists {
            // A list that is of its root needs two answers, and each answer is of the same branch.
            for _ in 0..2 {
                self.answer_poll(state, 0);
            }
        }
        let slot = state.now / SLOT;
        if state.now % SLOT >= self.begins() && state.done.is_none_or(|done| done < slot) {
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
        if round.slot != state.now / SLOT {
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
                (round.signed, round.at) = (Some(signed), state.now + self.pace);
            }
            (Some(_), Some(signed)) => {
                for voter in signed {
                    state.left.entry((round.slot, voter)).or_insert(state.now);
                }
                return;
            }
        }
        state.round = Some(round);
    }

    /// Returns who votes: those of the list that is kept, or of the list of the data's branch.
    fn voters(&self, state: &State, branch: usize, slot: u8) -> Vec<u8> {
        let list =
            if self.is_mended { state.lists.get(&branch) } else { state.lists.values().next() };
        let Some((of, covers)) = list else { return Vec::new() };
        let mut voters = listed(*of, slot);
        if *covers && slot == 2 {
            voters.push(LATE);
        }
        voters
    }

    /// The process begins. A mended one does not vote in the slot in which it does.
    fn start(&self, state: &mut State) {
        state.poll = Some(Poll::Root);
        state.lists.clear();
        state.round = None;
        state.done = self.is_mended.then_some(state.now / SLOT);
        self.run(state);
    }

    /// Returns whether every vote of the branch has left by the deadline, where nothing changes.
    fn have_left(&self, state: &State) -> bool {
        let is_still =
            self.switches == 0 && self.restarts == 0 && !self.learns && !self.has_slow_lists;
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
            is_off_branch: false,
            switches: 0,
            restarts: 0,
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
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Tick => {
                state.now += 1;
                if state.now.is_multiple_of(SLOT) {
                    state.poll = Some(Poll::Root);
                }
                self.run(&mut state);
            }
            Action::List(node) => self.answer_poll(&mut state, node),
            Action::Switch(node) => {
                state.switches += 1;
                state.nodes[node].branch = 1 - state.nodes[node].branch;
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
            always("the branch's duties are done", |model, state| {
                let is_known = state.learnt_at.is_some_and(|at| at < 2 * SLOT);
                !is_known
                    || model.dead == Some(LATE)
                    || state.now < END
                    || state.left.contains_key(&(2, LATE))
            }),
        ]
    }
}

/// A node that changes its branch after its list was given.
fn changes(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { switches: 1, ..Design::of(fault) })
}

/// A node that changes its branch between the two answers about a list, and back.
fn straddles(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { switches: 2, goes_back: true, has_slow_lists: true, ..Design::of(fault) })
}

/// Two nodes on two branches, of which either gives the list.
fn differs(fault: Option<Fault>) -> Box<dyn Instance> {
    let nodes = vec![GOOD, Node { branch: 1, ..GOOD }];
    Box::new(Design { nodes, has_slow_lists: true, ..Design::of(fault) })
}

fn learns(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { learns: true, ..Design::of(fault) })
}

fn paced(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { pace: 1, ..Design::of(fault) })
}

fn hangs(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { nodes: vec![Node { hangs: true, ..GOOD }, GOOD], ..Design::of(fault) })
}

fn lacks_block(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { nodes: vec![Node { sees: false, ..GOOD }, GOOD], ..Design::of(fault) })
}

/// Two validators vote in slot 2, and the signer of one of them never answers.
fn dead_signer(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { dead: Some(LATE), has_third: true, ..Design::of(fault) })
}

fn restarts(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { restarts: 1, ..Design::of(fault) })
}

/// One rule for each of the surroundings: the mended design holds in it, and the one that was
/// described does not.
pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        name: "design_and_a_change_of_branch_mended",
        claim: "a node changes its branch once: votes are in time, of their branch, and one of each",
        states: 83,
        model: || changes(None),
        twins: &[twin!(
            "design_and_a_change_of_branch",
            D3,
            changes,
            AsDescribed,
            "what is signed is of the head's branch",
            "duties are looked up by slot alone, whatever branch the data are of"
        )],
    },
    Rule {
        name: "design_and_a_change_back_mended",
        claim: "a node changes its branch between two answers about a list, and back: votes are in time, of their branch, and one of each",
        states: 374,
        model: || straddles(None),
        twins: &[twin!(
            "design_and_a_change_back",
            D2,
            straddles,
            AsDescribed,
            "what is signed is of the head's branch",
            "the duties of the second answer are kept under the root of the first"
        )],
    },
    Rule {
        name: "design_and_nodes_that_differ_mended",
        claim: "lists come from either of two nodes on two branches: votes are in time, of their branch, and one of each",
        states: 287,
        model: || differs(None),
        twins: &[twin!(
            "design_and_nodes_that_differ",
            D5,
            differs,
            AsDescribed,
            "what is signed is of the head's branch",
            "an epoch has one root and one list, though another node is on another branch"
        )],
    },
    Rule {
        name: "design_and_a_late_validator_mended",
        claim: "a validator is learnt at any moment: votes are in time, of their branch, and one of each",
        states: 189,
        model: || learns(None),
        twins: &[twin!(
            "design_and_a_late_validator",
            D1,
            learns,
            AsDescribed,
            "the branch's duties are done",
            "nothing is asked for while the root stays, so that a new validator has no duties"
        )],
    },
    Rule {
        name: "design_at_a_steady_pace_mended",
        claim: "every answer takes an eighth of a slot: votes are in time, of their branch, and one of each",
        states: 18,
        model: || paced(None),
        twins: &[twin!(
            "design_at_a_steady_pace",
            P1,
            paced,
            AsDescribed,
            "a vote leaves by the deadline",
            "the data are asked for at three quarters, when the votes are due"
        )],
    },
    Rule {
        name: "design_and_a_hung_node_mended",
        claim: "the first of two nodes never answers: votes are in time, of their branch, and one of each",
        states: 18,
        model: || hangs(None),
        twins: &[twin!(
            "design_and_a_hung_node",
            P2,
            hangs,
            AsDescribed,
            "a vote leaves by the deadline",
            "nodes are asked one after the other, and the first never answers"
        )],
    },
    Rule {
        name: "design_and_a_node_without_the_block_mended",
        claim: "the first of two nodes has no block: votes are in time, of their branch, and one of each",
        states: 18,
        model: || lacks_block(None),
        twins: &[twin!(
            "design_and_a_node_without_the_block",
            P3,
            lacks_block,
            AsDescribed,
            "a vote leaves by the deadline",
            "the first success is taken, and that there is no block is one"
        )],
    },
    Rule {
        name: "design_and_a_dead_signer_mended",
        claim: "the signer of one of two validators never answers: votes are in time, of their branch, and one of each",
        states: 18,
        model: || dead_signer(None),
        twins: &[twin!(
            "design_and_a_dead_signer",
            V7,
            dead_signer,
            AsDescribed,
            "a vote leaves by the deadline",
            "all signatures are awaited before one request publishes them"
        )],
    },
    Rule {
        name: "design_and_a_restart_mended",
        claim: "the process restarts at any moment: votes are in time, of their branch, and one of each",
        states: 83,
        model: || restarts(None),
        twins: &[twin!(
            "design_and_a_restart",
            V10,
            restarts,
            AsDescribed,
            "one vote of (slot, validator)",
            "nothing tells a process what the one before it has signed in the slot"
        )],
    },
];
