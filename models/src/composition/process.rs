//! The processes of the composition: what they are told, and what they have yet to carry out.

use std::collections::VecDeque;

use blocksmith::clearance::{self, Clearance};
use blocksmith::consensus::{Balances, Checkpoint, Slot};
use blocksmith::hot_db::shell;
use blocksmith::hot_db::{CommitReply, HotDb, StateAt, Trail, TrailReply};
use blocksmith::quarantine::{self, Item, ItemId, Quarantine, RequestId};
use blocksmith::rewinder::{Answer, Job, Worker, WorkerEffect, WorkerEvent};
use blocksmith::toy::{Toy, ToyRoot};
use blocksmith::verdict::{ClearedAttestation, ClearedBlock, Quarantined};

/// What Quarantine is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ToQuarantine {
    Submit { id: ItemId, item: Quarantined<Item<Toy>> },
    Tick { slot: Slot },
    Stop,
    Answered { request: RequestId, answer: Answer<Toy> },
    Imported { request: Option<RequestId>, finalized: Checkpoint<ToyRoot> },
}

impl ToQuarantine {
    /// Returns whether the message comes through a reserved slot.
    pub(super) fn is_reply(&self) -> bool {
        matches!(self, Self::Answered { .. } | Self::Imported { .. })
    }
}

/// What Clearance is told; all but the balances are answered with `Imported`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ToClearance {
    Block { request: RequestId, block: Box<ClearedBlock<Toy>>, timely: bool },
    Attestation { request: RequestId, attestation: Box<ClearedAttestation<Toy>> },
    Tick { slot: Slot },
    Balances { checkpoint: Checkpoint<ToyRoot>, balances: Option<Balances> },
}

/// Where a trail goes: to a worker, who asked for this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TrailTo {
    pub(super) worker: usize,
    pub(super) root: ToyRoot,
    pub(super) slot: Slot,
}

/// Where the acknowledgement of a block goes; to nobody with the fault R6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AckTo {
    pub(super) worker: Option<usize>,
    pub(super) root: ToyRoot,
}

/// What the HotDB is told: core's own message.
pub(super) type ToHotDb = shell::Message<Toy, TrailTo, AckTo>;

/// What the HotDB has answered in a turn, for the model to deliver.
#[derive(Default)]
pub(super) struct HotDbReplies {
    pub(super) trail: Option<(TrailTo, TrailReply<Toy>)>,
    pub(super) ack: Option<(AckTo, CommitReply)>,
}

impl shell::Replies<Toy> for HotDbReplies {
    type Trail = TrailTo;
    type Ack = AckTo;

    fn trail(&mut self, to: TrailTo, reply: TrailReply<Toy>) {
        self.trail = Some((to, reply));
    }

    fn ack(&mut self, to: AckTo, reply: CommitReply) {
        self.ack = Some((to, reply));
    }
}

/// Who gets the answer to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Requester {
    Quarantine(RequestId),
    Clearance(Checkpoint<ToyRoot>),
    Query(usize),
    /// Only with the fault R3.
    HotDb,
}

/// A task in the Rewinder's lanes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Task {
    pub(super) job: Job<Toy>,
    pub(super) requester: Requester,
    /// The trail, if the requester brought it along: only with the fault R3.
    pub(super) trail: Option<Box<Trail<Toy>>>,
}

/// What Quarantine has yet to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum QuarantineWork {
    Machine(quarantine::Effect<Toy>),
    TellSlot(Slot),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct QuarantineProcess {
    pub(super) machine: Quarantine<Toy>,
    pub(super) mailbox: VecDeque<ToQuarantine>,
    pub(super) work: VecDeque<QuarantineWork>,
    /// The second table of the faults Q1 and Q4; empty otherwise.
    pub(super) orphans: Orphans,
}

/// A table of parked blocks beside the machine's own: the fault that one owner rules out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Orphans {
    /// Looked up (the parent was unknown), not yet parked.
    pub(super) looked_up: VecDeque<(ItemId, Quarantined<Item<Toy>>)>,
    /// Parked, by arrival.
    pub(super) parked: VecDeque<(ItemId, Quarantined<Item<Toy>>)>,
}

/// What Clearance has yet to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ClearanceWork {
    Machine(clearance::Effect<Toy>),
    /// `Imported`, to the item of a request or to a tick.
    Reply(Option<RequestId>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClearanceProcess {
    pub(super) machine: Clearance<Toy>,
    pub(super) mailbox: VecDeque<ToClearance>,
    pub(super) work: VecDeque<ClearanceWork>,
    /// Requests for balances under way: each has a reserved slot.
    pub(super) asked: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HotDbProcess {
    pub(super) machine: HotDb<Toy>,
    pub(super) mailbox: VecDeque<ToHotDb>,
    /// The worker whose trail has to wait for a state of the Rewinder: only with the fault R3.
    pub(super) waits_for: Option<Lending>,
}

/// A trail that the HotDB holds back until the Rewinder has given it a state (fault R3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lending {
    pub(super) to: TrailTo,
    pub(super) given: Option<StateAt<Toy>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct WorkerProcess {
    pub(super) machine: Worker<Toy>,
    /// Who waits for the tasks in hand and has no answer, in their order.
    pub(super) requesters: VecDeque<Requester>,
    pub(super) trail: Option<Box<Trail<Toy>>>,
    pub(super) work: VecDeque<WorkerEffect<Toy>>,
    /// The reply of the HotDB.
    pub(super) inbox: Option<WorkerEvent<Toy>>,
}

impl WorkerProcess {
    pub(super) fn new() -> Self {
        Self {
            machine: Worker::Idle,
            requesters: VecDeque::new(),
            trail: None,
            work: VecDeque::new(),
            inbox: None,
        }
    }

    /// Returns whether it has no task and nothing to do.
    pub(super) fn is_free(&self) -> bool {
        self.requesters.is_empty() && self.work.is_empty() && self.inbox.is_none()
    }
}
