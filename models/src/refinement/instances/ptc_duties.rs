//! Lists of votes on payloads, while a beacon node changes its branch.
//!
//! The specification's validator 1 stands for two validators here, since a request for one of
//! several is what asks for the root. Its validator 2 is the one that is learnt.

use std::collections::BTreeSet;

use blocksmith::machine::Machine;
use blocksmith::ptc_duties::{Effect, Event, Limits, Listed, PtcDuties, Reply, RequestId};
use stateright::Model;

use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

const BRANCHES: [&str; 2] = ["a", "b"];
const LAST: u64 = 2;
const SWITCHES: u8 = 3;
/// All slots are of epoch 0.
const SLOTS_PER_EPOCH: u64 = 8;
const LIMITS: Limits = Limits { validators: 8, branches: 2, asks_per_slot: u8::MAX };

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The answer with the duties is told under the root that was heard before.
    RootOfAnother,
    /// A head is not told.
    HeadsAreLost,
    /// One list is held.
    OneList,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    request: RequestId,
    /// How many validators it is for.
    count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    machine: PtcDuties<u8, usize>,
    branch: usize,
    known: usize,
    asked: Option<Asked>,
    /// The root that was heard last, from an answer or a head.
    root: Option<usize>,
    votes: BTreeSet<(usize, usize)>,
    slot: u64,
    switches: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Answer,
    Vote,
    Learn,
    Switch { is_told: bool },
    Tick,
}

struct Duties {
    fault: Option<Fault>,
}

/// The validators that stand for the specification's first, or for both.
fn validators(known: usize) -> Vec<(u64, u8)> {
    [(0, 0), (1, 1), (2, 2)].into_iter().take(known + 1).collect()
}

/// The duties of a branch: every validator votes in the slot of the branch's number.
fn listed(branch: usize, count: usize) -> Vec<Listed<u8>> {
    let listed = |(validator, key)| Listed { validator, key, slot: branch as u64 };
    validators(2).into_iter().take(count).map(listed).collect()
}

impl Duties {
    /// Hands an event to the machine, and notes what it asks about this epoch.
    fn tell(&self, state: &mut State, event: Event<u8, usize>) {
        for effect in state.machine.handle(&(), event) {
            let Effect::Ask { request, epoch, validators } = effect;
            if epoch == 0 {
                state.asked = Some(Asked { request, count: validators.len() });
            }
        }
    }

    fn answer(&self, state: &mut State) {
        let Some(Asked { request, count }) = state.asked.take() else { return };
        let heard = state.root.unwrap_or(state.branch);
        let is_whole = count > 1;
        let is_wrong = is_whole && self.fault == Some(Fault::RootOfAnother);
        let dependent_root = if is_wrong { heard } else { state.branch };
        state.root = Some(dependent_root);
        let duties = listed(state.branch, count);
        let reply = Reply::Duties { dependent_root, duties };
        self.tell(state, Event::Answered { request, reply });
    }

    fn switch(&self, state: &mut State, is_told: bool) {
        state.branch = 1 - state.branch;
        state.switches += 1;
        if is_told && self.fault != Some(Fault::HeadsAreLost) {
            state.root = Some(state.branch);
            self.tell(state, Event::Head { epoch: 0, dependent_root: state.branch });
        }
    }

    fn learn(&self, state: &mut State) {
        state.known = 2;
        self.tell(state, Event::Validators(validators(2)));
    }

    fn tick(&self, state: &mut State) {
        state.slot += 1;
        state.asked = None;
        self.tell(state, Event::Slot(state.slot));
    }
}

/// Returns the branch of the list under a root, and how many of the specification's validators it
/// covers.
fn list(machine: &PtcDuties<u8, usize>, root: usize) -> Option<(usize, usize)> {
    (0..BRANCHES.len()).find_map(|branch| {
        let duties = machine.duties(branch as u64, root).ok()?;
        duties.len().checked_sub(1).map(|covers| (branch, covers))
    })
}

impl Model for Duties {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let branches = if self.fault == Some(Fault::OneList) { 1 } else { LIMITS.branches };
        let mut state = State {
            machine: PtcDuties::new(SLOTS_PER_EPOCH, Limits { branches, ..LIMITS }),
            branch: 0,
            known: 1,
            asked: None,
            root: None,
            votes: BTreeSet::new(),
            slot: 0,
            switches: 0,
        };
        self.tell(&mut state, Event::Validators(validators(1)));
        self.tell(&mut state, Event::Slot(0));
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.asked.map(|_| Action::Answer));
        actions.extend(list(&state.machine, state.branch).map(|_| Action::Vote));
        actions.extend((state.known == 1).then_some(Action::Learn));
        if state.switches < SWITCHES {
            actions.extend([true, false].map(|is_told| Action::Switch { is_told }));
        }
        actions.extend((state.slot < LAST).then_some(Action::Tick));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Answer => self.answer(&mut state),
            Action::Vote => {
                let (of, _) = list(&state.machine, state.branch)?;
                state.votes.insert((state.branch, of));
            }
            Action::Learn => self.learn(&mut state),
            Action::Switch { is_told } => self.switch(&mut state, is_told),
            Action::Tick => self.tick(&mut state),
        }
        Some(state)
    }
}

impl Projected for Duties {
    fn variables(&self, state: &State) -> Variables {
        let lists = [0, 1].map(|root| list(&state.machine, root));
        let list_of = lists.map(|list| list.map_or("none", |(branch, _)| BRANCHES[branch]));
        let up_to = |count: usize| Value::set(1..=count);
        let covers = lists.map(|list| up_to(list.map_or(0, |(_, covers)| covers)));
        let (asked, asked_for) = match state.asked {
            None => ("idle", 0),
            Some(Asked { count: 1, .. }) => ("root", 0),
            Some(Asked { count, .. }) => ("all", count - 1),
        };
        let vote =
            |(data, list): &(usize, usize)| Value::sequence([BRANCHES[*data], BRANCHES[*list]]);
        variables([
            ("branch", BRANCHES[state.branch].into()),
            ("known", up_to(state.known)),
            ("asked", asked.into()),
            ("askedFor", up_to(asked_for)),
            ("root", state.root.map_or("none", |root| BRANCHES[root]).into()),
            ("listOf", Value::function(BRANCHES.into_iter().zip(list_of))),
            ("covers", Value::function(BRANCHES.into_iter().zip(covers))),
            ("votes", Value::set(state.votes.iter().map(vote))),
            ("slot", state.slot.into()),
            ("switches", state.switches.into()),
        ])
    }
}

fn machine(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Duties { fault })
}

pub(super) const INSTANCE: Instance = Instance {
    name: "ptc_duties",
    spec: "PtcDuties",
    cfg: "PtcDuties",
    source: "ptc_duties: PtcDuties",
    bounds: "1 node of 2 branches, 3 changes, 3 slots of an epoch, 2 validators and a late one",
    dropped: "the next epoch, which is asked about and not answered",
    is_whole: true,
    size: Agreement { states: 1169, edges: 3550 },
    machine: || machine(None),
    twins: &[
        Twin {
            name: "root_of_another",
            claim: "a list is told under the root that was heard before",
            machine: || machine(Some(Fault::RootOfAnother)),
            step: "Answer",
        },
        Twin {
            name: "heads_are_lost",
            claim: "no head is told",
            machine: || machine(Some(Fault::HeadsAreLost)),
            step: "Switch",
        },
        Twin {
            name: "one_list",
            claim: "the list of one branch takes the place of the other's",
            machine: || machine(Some(Fault::OneList)),
            step: "Answer",
        },
    ],
};
