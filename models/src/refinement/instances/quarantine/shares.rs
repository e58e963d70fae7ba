//! Two peers that share the Quarantine: who is checked next, who gives way, and what expires.

use blocksmith::quarantine::{Event, Limits, Shares};
use blocksmith::toy::ToyBlock;
use blocksmith::verdict::PendingReason;
use stateright::Model;

use super::{Check, World};
use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

const NAMES: [&str; 6] = ["aw", "a1", "a2", "b1", "b2", "b3"];
/// The blocks, each in a slot of its own; the parent of the first never comes.
const BLOCKS: [ToyBlock; 6] = [
    ToyBlock::new(1, 90, 1),
    ToyBlock::new(2, 0, 2),
    ToyBlock::new(3, 0, 3),
    ToyBlock::new(4, 0, 4),
    ToyBlock::new(5, 0, 5),
    ToyBlock::new(6, 0, 6),
];
/// The first peer sends those before this one, in their order, and the second the rest.
const OF_SECOND: usize = 3;
const PEERS: [u64; 2] = [1, 2];
/// The specification's slot 1: no block is of a later slot.
const FIRST: u64 = 8;
/// A check at a time, and room for all.
const LIMITS: Limits = Limits {
    window: 1,
    unproven: 1,
    peer_blocks: 1,
    peer_votes: 1,
    items: 5,
    bytes: 64,
    items_per_peer: 5,
    followers: 4,
    copies: 4,
    remembered: 8,
    peers: 8,
    patience: 1,
    depth: 8,
    needs: 8,
    equivocations: 8,
    awaited_equivocations: 8,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// All items come as if from one peer, which may have what two may.
    OnePeer,
    /// The node has given the second peer eight times the share.
    Weighed,
    /// The limits are others.
    Limits(Limits),
}

type State = World<6>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Submit(&'static str),
    Answer(&'static str),
    Import(&'static str),
    Tick,
}

/// Two peers and what they send.
#[derive(Clone, Copy)]
struct Peers {
    items: &'static [&'static str],
    limits: Limits,
    last_slot: u64,
    fault: Option<Fault>,
}

fn peer(item: usize) -> u64 {
    PEERS[usize::from(item >= OF_SECOND)]
}

/// Returns the place of an item in the lists.
fn item(name: &str) -> usize {
    NAMES.iter().position(|other| *other == name).expect("it is one of the items")
}

fn place(state: &State, item: usize) -> &'static str {
    if !state.sent[item] {
        return "away";
    }
    if let Some((_, reason)) = state.verdicts[item].first() {
        return match *reason {
            "ok" => "accepted",
            "peer_quota" => "quota",
            "quarantine_full" => "full",
            reason => reason,
        };
    }
    match (state.checks.get(&item), state.importing.contains(&item), state.pending(item)) {
        (Some(_), ..) => "checking",
        (None, true, _) => "importing",
        (None, false, Some(PendingReason::UnknownParent)) => "waits",
        (None, false, Some(PendingReason::BeingChecked)) => "ready",
        (None, false, _) => "lost",
    }
}

/// Returns the slot, counted from the specification's first, at whose begin an item that waits is
/// dropped; 0 if it does not wait, or waits on. The clock of a copy of the world is moved for it.
fn until(state: &State, item: usize) -> u64 {
    if place(state, item) != "waits" {
        return 0;
    }
    let mut later = state.clone();
    let expires = |slot: &u64| {
        later.tick(*slot, &BLOCKS);
        place(&later, item) == "expired"
    };
    (state.slot + 1..state.slot + 8).find(expires).map_or(0, |slot| slot + 1 - FIRST)
}

/// Returns a virtual time in checks of a proven peer; one between two of them as it is.
fn checks(time: u64, check: u64) -> u64 {
    if time.is_multiple_of(check) { time / check } else { time }
}

impl Peers {
    fn next_of(&self, state: &State, of: u64) -> Option<&'static str> {
        let mut items = self.items.iter().copied();
        items.find(|name| peer(item(name)) == of && !state.sent[item(name)])
    }
}

impl Model for Peers {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let limits = match self.fault {
            Some(Fault::OnePeer) => Limits {
                items_per_peer: 2 * self.limits.items_per_peer,
                peer_blocks: 2 * self.limits.peer_blocks,
                ..self.limits
            },
            Some(Fault::Limits(limits)) => limits,
            Some(Fault::Weighed) | None => self.limits,
        };
        let mut state = World::new(limits, FIRST, &BLOCKS);
        if self.fault == Some(Fault::Weighed) {
            state.deliver(Event::Weigh { peer: PEERS[1], weight: 8 }, &BLOCKS);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let next = PEERS.into_iter().filter_map(|peer| self.next_of(state, peer));
        actions.extend(next.map(Action::Submit));
        actions.extend(state.checks.keys().map(|item| Action::Answer(NAMES[*item])));
        actions.extend(state.importing.iter().map(|item| Action::Import(NAMES[*item])));
        actions.extend((state.slot + 1 - FIRST < self.last_slot).then_some(Action::Tick));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Submit(name) => {
                let are_one = self.fault == Some(Fault::OnePeer);
                let peer = if are_one { PEERS[0] } else { peer(item(name)) };
                state.submit(item(name), peer, &BLOCKS);
            }
            Action::Answer(name) => {
                let Check::Queued(job) = state.checks.remove(&item(name))? else { return None };
                let answer = state.run(job);
                state.hear(item(name), answer, &BLOCKS);
            }
            Action::Import(name) => state.import(item(name), &BLOCKS),
            Action::Tick => state.tick(state.slot + 1, &BLOCKS),
        }
        Some(state)
    }
}

impl Projected for Peers {
    fn variables(&self, state: &State) -> Variables {
        let each = |show: &dyn Fn(usize) -> Value| {
            Value::function(self.items.iter().map(|name| (*name, show(item(name)))))
        };
        let name = |id: u64| NAMES[id as usize];
        let held = state.machine.pending().into_iter().map(|(id, _)| name(id));
        let Shares { now, tags, check, proven, unproven } = state.machine.shares_of_blocks();
        let tag = |peer: u64| checks(tags.get(&peer).copied().unwrap_or(0), check);
        variables([
            ("place", each(&|item| place(state, item).into())),
            ("held", Value::sequence(held)),
            ("until", each(&|item| until(state, item).into())),
            ("slot", (state.slot + 1 - FIRST).into()),
            ("proven", Value::set(proven)),
            ("sent", Value::set(unproven.into_iter().map(name))),
            ("tag", Value::sequence(PEERS.map(tag))),
            ("now", checks(now, check).into()),
        ])
    }
}

/// Of the first peer one block, of the second three.
const FOUR: &[&str] = &["a1", "b1", "b2", "b3"];

fn turns(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Peers { items: FOUR, limits: LIMITS, last_slot: 1, fault })
}

const TWO_AT_A_TIME: Limits = Limits { window: 2, ..LIMITS };

fn window(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Peers { items: FOUR, limits: TWO_AT_A_TIME, last_slot: 1, fault })
}

const LITTLE_ROOM: Limits = Limits { items: 2, items_per_peer: 2, ..LIMITS };

fn room(fault: Option<Fault>) -> Result<Side, TooMany> {
    let items = &["aw", "a1", "b1", "b2", "b3"];
    walk(&Peers { items, limits: LITTLE_ROOM, last_slot: 1, fault })
}

fn expiry(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Peers { items: &["aw", "a1", "b1"], limits: LIMITS, last_slot: 3, fault })
}

pub(in crate::refinement::instances) const TURNS: Instance = Instance {
    name: "quarantine_turns",
    spec: "QuarantineShares",
    cfg: "QuarantineShares",
    source: "quarantine: Quarantine; rewinder: Worker; hot_db: HotDb",
    bounds: "4 blocks of 2 peers, one check at a time, room for all",
    dropped: "how often a peer is passed over, whether a peer was wronged: history alone",
    is_whole: true,
    size: Agreement { states: 228, edges: 526 },
    machine: || turns(None),
    twins: &[
        Twin {
            name: "one_peer",
            claim: "all items come as if from one peer",
            machine: || turns(Some(Fault::OnePeer)),
            step: "",
        },
        Twin {
            name: "weighed",
            claim: "a peer has eight times its share",
            machine: || turns(Some(Fault::Weighed)),
            step: "",
        },
    ],
};

pub(in crate::refinement::instances) const WINDOW: Instance = Instance {
    name: "quarantine_window",
    cfg: "QuarantineShares_Window",
    bounds: "4 blocks of 2 peers, 2 checks at a time, 1 of a peer and 1 without proof",
    size: Agreement { states: 224, edges: 539 },
    machine: || window(None),
    twins: &[
        Twin {
            name: "more_unproven",
            claim: "two checks may be under way for peers that are not proven",
            machine: || window(Some(Fault::Limits(Limits { unproven: 2, ..TWO_AT_A_TIME }))),
            step: "Submit",
        },
        Twin {
            name: "more_of_a_peer",
            claim: "two checks may be under way for one peer",
            machine: || window(Some(Fault::Limits(Limits { peer_blocks: 2, ..TWO_AT_A_TIME }))),
            step: "",
        },
    ],
    ..TURNS
};

pub(in crate::refinement::instances) const ROOM: Instance = Instance {
    name: "quarantine_room",
    cfg: "QuarantineShares_Room",
    bounds: "5 blocks of 2 peers, one check at a time, room for 2",
    size: Agreement { states: 419, edges: 722 },
    machine: || room(None),
    twins: &[
        Twin {
            name: "more_room",
            claim: "the Quarantine holds one item more than its bound",
            machine: || room(Some(Fault::Limits(Limits { items: 3, ..LITTLE_ROOM }))),
            step: "Submit",
        },
        Twin {
            name: "more_of_a_peer",
            claim: "a peer may have one item more than its quota",
            machine: || room(Some(Fault::Limits(Limits { items_per_peer: 3, ..LITTLE_ROOM }))),
            step: "Submit",
        },
    ],
    ..TURNS
};

pub(in crate::refinement::instances) const EXPIRY: Instance = Instance {
    name: "quarantine_expiry",
    cfg: "QuarantineShares_Expiry",
    bounds: "3 blocks of 2 peers, 3 slots, patience of a slot",
    size: Agreement { states: 120, edges: 255 },
    machine: || expiry(None),
    twins: &[Twin {
        name: "patient",
        claim: "what waits expires a slot late",
        machine: || expiry(Some(Fault::Limits(Limits { patience: 2, ..LIMITS }))),
        step: "Submit",
    }],
    ..TURNS
};
