//! The Quarantine: its verdicts ([`verdicts`]), and how peers share it ([`shares`]).

mod shares;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};

use blocksmith::consensus::{Checkpoint, Slot};
use blocksmith::hot_db::{self, HotDb};
use blocksmith::machine::Machine;
use blocksmith::quarantine::{Effect, Event, Item, ItemId, Limits, Quarantine, RequestId};
use blocksmith::rewinder::{Answer, Job};
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use blocksmith::verdict::{PendingReason, Quarantined, Verdict};

use crate::work::work;

pub(super) use shares::{EXPIRY, ROOM, TURNS, WINDOW};
pub(super) use verdicts::INSTANCE as VERDICTS;

const TOY: Toy = Toy { slots_per_epoch: 16, validators: 16, payloads: false };
const ANCHOR: Checkpoint<ToyRoot> = Checkpoint { epoch: 0, root: 0 };

/// Where an item is between the Quarantine and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Check {
    /// It waits for a worker.
    Queued(Job<Toy>),
    /// A worker has it.
    Busy(Job<Toy>),
    /// It is committed, and the answer is not on its way yet.
    Committed(Answer<Toy>),
    /// The answer is on its way.
    Told(Answer<Toy>),
}

/// The Quarantine, with `N` blocks that come to it, the HotDB, and what is at the workers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World<const N: usize> {
    machine: Quarantine<Toy>,
    hot_db: HotDb<Toy>,
    slot: Slot,
    sent: [bool; N],
    /// The class and the reason of each verdict, by item.
    verdicts: [Vec<(&'static str, &'static str)>; N],
    /// The item of each request under way.
    requests: BTreeMap<RequestId, usize>,
    /// By item.
    checks: BTreeMap<usize, Check>,
    /// Items on the way into Clearance.
    importing: BTreeSet<usize>,
}

impl<const N: usize> World<N> {
    fn new(limits: Limits, slot: Slot, palette: &[ToyBlock; N]) -> Self {
        let mut world = Self {
            machine: Quarantine::new(limits, ANCHOR, 0),
            hot_db: HotDb::new(&TOY, hot_db::Limits::default(), 0, 0, ToyState::anchor()),
            slot: 0,
            sent: [false; N],
            verdicts: std::array::from_fn(|_| Vec::new()),
            requests: BTreeMap::new(),
            checks: BTreeMap::new(),
            importing: BTreeSet::new(),
        };
        world.tick(slot, palette);
        world
    }

    fn deliver(&mut self, event: Event<Toy>, palette: &[ToyBlock; N]) {
        for effect in self.machine.handle(&TOY, event) {
            match effect {
                Effect::Check { request, job, .. } => {
                    let Job::Block(block) = &job else { continue };
                    let is_it = |other: &ToyBlock| other == block.item();
                    let item = palette.iter().position(is_it).expect("it is one of the items");
                    self.requests.insert(request, item);
                    self.checks.insert(item, Check::Queued(job));
                }
                Effect::ClearBlock { request, .. } => {
                    self.importing.insert(self.requests[&request]);
                }
                Effect::Verdict { id, verdict } => {
                    let item = id as usize;
                    self.note(item, &verdict);
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, item: usize, verdict: &Verdict<ToyRoot, blocksmith::toy::ToyInvalid>) {
        self.verdicts[item].push((verdict.class(), verdict.reason()));
        self.requests.retain(|_, other| *other != item);
    }

    fn submit(&mut self, item: usize, peer: u64, palette: &[ToyBlock; N]) {
        self.sent[item] = true;
        let id = item as ItemId;
        let item = Quarantined::new(Item::Block(palette[item]), peer, 1);
        self.deliver(Event::Submit { id, item }, palette);
    }

    /// A worker runs the job of an item, and commits it if it is valid.
    fn run(&mut self, job: Job<Toy>) -> Answer<Toy> {
        work(&TOY, &mut self.hot_db, job)
    }

    fn request(&self, item: usize) -> Option<RequestId> {
        let mut requests = self.requests.iter();
        requests.find(|(_, other)| **other == item).map(|(request, _)| *request)
    }

    /// The Quarantine hears the answer.
    fn hear(&mut self, item: usize, answer: Answer<Toy>, palette: &[ToyBlock; N]) {
        let Some(request) = self.request(item) else { return };
        self.checks.remove(&item);
        self.deliver(Event::Answered { request, answer }, palette);
    }

    /// Clearance has taken an item in.
    fn import(&mut self, item: usize, palette: &[ToyBlock; N]) {
        if let Some(request) = self.request(item).filter(|_| self.importing.remove(&item)) {
            let event = Event::Imported { request: Some(request), finalized: ANCHOR };
            self.deliver(event, palette);
        }
    }

    fn tick(&mut self, slot: Slot, palette: &[ToyBlock; N]) {
        self.slot = slot;
        self.deliver(Event::Tick { slot, into_slot_ms: 0 }, palette);
    }

    /// Returns what an item waits for, if it has no verdict.
    fn pending(&self, item: usize) -> Option<PendingReason> {
        let pending = self.machine.pending();
        pending.into_iter().find(|(id, _)| *id == item as ItemId).map(|(_, why)| why)
    }
}
