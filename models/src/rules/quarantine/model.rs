//! The state, and what an adversary and the network do with it.

use std::collections::{BTreeMap, BTreeSet};

use blocksmith::consensus::{Checkpoint, Epoch, Slot, ValidatorIndex};
use blocksmith::hot_db::{self, HotDb};
use blocksmith::quarantine::{Event, Item, ItemId, Limits, Quarantine, RequestId};
use blocksmith::rewinder::Job;
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use blocksmith::verdict::Quarantined;
use stateright::{Model, Property};

use super::ports::Front;
use super::{Fault, properties};
use crate::rules::Bounded;

/// The first number of the items that are handed in before the start.
pub(super) const BEFORE: ItemId = 1000;

/// An item that a peer may hand in.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    pub(super) item: Item<Toy>,
    pub(super) peer: u64,
    /// Whether nothing is wrong with it.
    pub(super) valid: bool,
    /// Whether its peer holds less than its share, whatever comes.
    pub(super) in_share: bool,
}

impl Handed {
    /// Returns the block, if it is one.
    pub(super) fn block(&self) -> Option<ToyBlock> {
        match self.item {
            Item::Block(block) => Some(block),
            _ => None,
        }
    }

    /// Returns validator and target epoch, if it is a single vote.
    pub(super) fn voter(&self) -> Option<(ValidatorIndex, Epoch)> {
        match self.item {
            Item::Single { attestation, .. } => {
                Some((attestation.validator, attestation.target.epoch))
            }
            _ => None,
        }
    }
}

/// What the properties of an instance count up to; no bound where an instance is not about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) overtaken: usize,
    pub(super) imports: usize,
    pub(super) window: usize,
    pub(super) held: usize,
    pub(super) patience: u64,
    /// How many times as long as alone a request may take, where peers share the requests.
    pub(super) slow: Option<u64>,
}

/// An instance.
#[derive(Clone, Debug)]
pub(super) struct Firewall {
    pub(super) fault: Option<Fault>,
    pub(super) limits: Limits,
    pub(super) counts: Counts,
    /// Handed in, checked and imported before the start, one after the other.
    pub(super) before: Vec<Handed>,
    pub(super) palette: Vec<Handed>,
    pub(super) start: Slot,
    /// The readings of the clock that may come, in this order.
    pub(super) clock: Vec<Slot>,
    /// The blocks whose payloads may come, at any time.
    pub(super) payloads: Vec<ToyRoot>,
    /// What may become final, at any time.
    pub(super) finality: Option<Checkpoint<ToyRoot>>,
    /// Whether anything may come between an answer and its import.
    pub(super) slow_imports: bool,
    pub(super) toy: Toy,
}

/// A verdict: its class, its reason, and whether the item is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Word {
    pub(super) class: &'static str,
    pub(super) reason: &'static str,
    pub(super) relay: bool,
}

/// What has happened to an item of the palette.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    /// The clock when it was handed in, and the latest reading since.
    pub(super) sent: Option<(Slot, Slot)>,
    pub(super) verdicts: Vec<Word>,
    /// Checks that have started, of the item or of a copy that comes after it in the palette.
    pub(super) checks: usize,
    /// Checks of others that have started since it was handed in and before its own.
    pub(super) overtaken: usize,
}

/// What the properties read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Log {
    pub(super) items: Vec<History>,
    /// Items that were accepted, in this order.
    pub(super) accepted: Vec<usize>,
    /// For each block that is waited for: the clock when it was first asked for, and how often.
    pub(super) asked: BTreeMap<ToyRoot, (Slot, u32)>,
    /// Blocks that Clearance has.
    pub(super) imported: BTreeSet<ToyRoot>,
    /// Blocks whose payloads have come.
    pub(super) payloads: BTreeSet<ToyRoot>,
    /// Blocks that Clearance has or is to have.
    pub(super) cleared: Vec<ToyBlock>,
    /// Gossip votes that Clearance has or is to have.
    pub(super) shown: BTreeSet<ToyRoot>,
    pub(super) parked_again: bool,
    pub(super) refused_what_is_awaited: bool,
    pub(super) ignored_what_is_built_on: bool,
}

/// The machine and its surroundings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) machine: Quarantine<Toy>,
    pub(super) hot_db: HotDb<Toy>,
    pub(super) checks: BTreeMap<RequestId, Job<Toy>>,
    /// What is on the way into Clearance; the root, if it is a block.
    pub(super) importing: BTreeMap<RequestId, Option<ToyRoot>>,
    pub(super) slot: Slot,
    /// Readings of the clock that have come.
    pub(super) ticks: usize,
    pub(super) finalized: Checkpoint<ToyRoot>,
    /// What the port remembers. Only faults use it.
    pub(super) front: Front,
    pub(super) log: Log,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A peer hands its next item in.
    Submit(usize),
    /// The Rewinder answers a check.
    Answer(RequestId),
    /// Clearance has taken an item in.
    Import(RequestId),
    /// The clock's next reading.
    Tick(Slot),
    /// The payload of a block comes.
    Payload(ToyRoot),
    /// Finality moves.
    Finalize,
    /// With a fault: the second step of what should be one.
    Park,
}

const ANCHOR: Checkpoint<ToyRoot> = Checkpoint { epoch: 0, root: 0 };

impl Firewall {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Returns the first item of the palette that is the one to be checked.
    pub(super) fn first_of(&self, job: &Job<Toy>) -> Option<usize> {
        self.palette.iter().position(|handed| match (job, &handed.item) {
            (Job::Block(block), Item::Block(other)) => block.item() == other,
            (Job::Attestation(vote), Item::Attestation(other)) => vote.item() == other,
            (Job::Vote(vote), Item::Single { attestation, .. }) => {
                vote.identity().vote.id == attestation.id
            }
            (Job::Vote(vote), Item::Aggregate(other)) => vote.identity().vote.id == other.id,
            (Job::PayloadVote(vote), Item::PayloadVote(other)) => vote.item() == other,
            _ => false,
        })
    }

    fn machine(&self) -> Quarantine<Toy> {
        Quarantine::new(self.limits, ANCHOR, 0)
    }

    fn prepared(&self) -> State {
        let hot_db = HotDb::new(&self.toy, hot_db::Limits::default(), 0, 0, ToyState::anchor());
        let mut state = State {
            machine: self.machine(),
            hot_db,
            checks: BTreeMap::new(),
            importing: BTreeMap::new(),
            slot: self.start,
            ticks: 0,
            finalized: ANCHOR,
            front: Front::default(),
            log: Log { items: vec![History::default(); self.palette.len()], ..Log::default() },
        };
        self.deliver(&mut state, Event::Tick { slot: self.start, into_slot_ms: 0 });
        for (handed, id) in self.before.iter().zip(BEFORE..) {
            let item = Quarantined::new(handed.item.clone(), handed.peer, 1);
            self.deliver(&mut state, Event::Submit { id, item });
            while let Some(&request) = state.checks.keys().next() {
                self.answer(&mut state, request);
                self.import_all(&mut state);
            }
        }
        state
    }

    pub(super) fn import_all(&self, state: &mut State) {
        while let Some(&request) = state.importing.keys().next() {
            self.import(state, request);
        }
    }

    /// Returns the next item of each peer.
    fn next_items(&self, state: &State) -> impl Iterator<Item = usize> {
        let mut peers = BTreeMap::new();
        for (number, handed) in self.palette.iter().enumerate() {
            if state.log.items[number].sent.is_none() {
                peers.entry(handed.peer).or_insert(number);
            }
        }
        peers.into_values()
    }
}

impl Bounded for Firewall {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        let peers: BTreeSet<_> = self.palette.iter().map(|handed| handed.peer).collect();
        BTreeMap::from([
            ("items", self.palette.len().to_string()),
            ("peers", peers.len().to_string()),
            ("ticks", self.clock.len().to_string()),
            ("window", self.limits.window.to_string()),
        ])
    }

    fn step_in_words(&self, state: &State, action: &Action) -> (String, String) {
        self.tell(state, *action)
    }

    fn objects(&self, state: &State) -> Vec<(String, String)> {
        self.held(state)
    }
}

impl Model for Firewall {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.prepared()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let submits = self.next_items(state).map(Action::Submit);
        actions.extend(submits.filter(|_| state.front.looked_up.is_none()));
        actions.extend(state.checks.keys().copied().map(Action::Answer));
        actions.extend(state.importing.keys().copied().map(Action::Import));
        actions.extend(self.clock.get(state.ticks).copied().map(Action::Tick));
        let missing = self.payloads.iter().filter(|root| !state.log.payloads.contains(*root));
        actions.extend(missing.copied().map(Action::Payload));
        let moves = self.finality.is_some_and(|next| {
            next != state.finalized && (next.root == 0 || state.log.imported.contains(&next.root))
        });
        actions.extend(moves.then_some(Action::Finalize));
        actions.extend(state.front.looked_up.map(|_| Action::Park));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Submit(number) => self.submit(&mut state, number),
            Action::Answer(request) => self.answer(&mut state, request),
            Action::Import(request) => self.import(&mut state, request),
            Action::Tick(slot) => {
                state.ticks += 1;
                self.tick(&mut state, slot);
            }
            Action::Finalize => {
                state.finalized = self.finality?;
                let finalized = state.finalized;
                self.deliver(&mut state, Event::Imported { request: None, finalized });
            }
            Action::Payload(root) => self.payload(&mut state, root),
            Action::Park => self.park(&mut state),
        }
        if !self.slow_imports {
            self.import_all(&mut state);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
