//! The processes of the composition: the messages that they take, and the work that they have yet
//! to carry out.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;

use blocksmith::clearance::{self, Clearance};
use blocksmith::consensus::{Checkpoint, Slot};
use blocksmith::hot_db::{self, CommitReply, HotDb, StateAt, Trail, TrailReply};
use blocksmith::quarantine::{self, Item, ItemId, Quarantine, RequestId};
use blocksmith::rewinder::shell::{Hands, Lanes};
use blocksmith::rewinder::{Answer, WorkerEffect, WorkerEvent};
use blocksmith::toy::{Toy, ToyRoot};
use blocksmith::verdict::Quarantined;

/// A message to Quarantine, of core's own type. No process asks it what is pending.
pub(super) type ToQuarantine = quarantine::shell::Message<Toy, (), Infallible>;
/// The work that Quarantine has yet to do.
pub(super) type QuarantineWork = quarantine::shell::Work<Toy>;
/// A message to Clearance, of core's own type. The receipt is the number of the request, or none
/// for a tick. No process asks for views.
pub(super) type ToClearance =
    clearance::shell::Message<Toy, Option<RequestId>, Infallible, Infallible, Infallible>;
/// The work that Clearance has yet to do.
pub(super) type ClearanceWork = clearance::shell::Work<Toy, Option<RequestId>>;
/// A message to the HotDB, of core's own type.
pub(super) type ToHotDb = hot_db::shell::Message<Toy, TrailTo, AckTo>;

/// The destination of a trail: the worker that asked for this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TrailTo {
    pub(super) worker: usize,
    pub(super) root: ToyRoot,
    pub(super) slot: Slot,
}

/// The destination of a block's acknowledgement. With the fault R6 it can be nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AckTo {
    pub(super) worker: Option<usize>,
    pub(super) root: ToyRoot,
}

/// The answers that the HotDB gave in one turn, for the model to deliver.
#[derive(Default)]
pub(super) struct HotDbReplies {
    pub(super) trail: Option<(TrailTo, TrailReply<Toy>)>,
    pub(super) ack: Option<(AckTo, CommitReply)>,
}

impl hot_db::shell::Replies<Toy> for HotDbReplies {
    type Trail = TrailTo;
    type Ack = AckTo;

    fn trail(&mut self, to: TrailTo, reply: TrailReply<Toy>) {
        self.trail = Some((to, reply));
    }

    fn ack(&mut self, to: AckTo, reply: CommitReply) {
        self.ack = Some((to, reply));
    }
}

/// The requester that gets the answer to a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Requester {
    Quarantine(RequestId),
    Clearance(Checkpoint<ToyRoot>),
    Query(usize),
    /// The HotDB, which brings the trail along. Only the fault R3 makes it a requester.
    HotDb(Box<Trail<Toy>>),
}

/// The machines, each with what its shell has in hand.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Machines {
    pub(super) quarantine: Quarantine<Toy>,
    pub(super) clearance: Clearance<Toy>,
    pub(super) hot_db: HotDb<Toy>,
    pub(super) workers: Vec<Hands<Toy, Requester>>,
}

/// The messages for a service, and the work that it has yet to do for the last one that it took.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Line<M, W> {
    pub(super) mailbox: VecDeque<M>,
    pub(super) work: VecDeque<W>,
}

impl<M, W> Line<M, W> {
    pub(super) fn new() -> Self {
        Self { mailbox: VecDeque::new(), work: VecDeque::new() }
    }

    /// Returns whether there is nothing to do.
    pub(super) fn is_quiet(&self) -> bool {
        self.mailbox.is_empty() && self.work.is_empty()
    }
}

/// Everything between the machines, and everything that an observer has seen.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Wires {
    pub(super) quarantine: Line<ToQuarantine, QuarantineWork>,
    /// Slots of Quarantine's mailbox that are reserved for answers or already hold one.
    pub(super) reserved: usize,
    /// The second table of the faults Q1 and Q4; empty otherwise.
    pub(super) orphans: Orphans,
    pub(super) clearance: Line<ToClearance, ClearanceWork>,
    /// Requests for balances under way. Each of them has a reserved slot.
    pub(super) asked: usize,
    pub(super) hot_db: VecDeque<ToHotDb>,
    /// The worker whose trail has to wait for a state of the Rewinder. Only the fault R3 sets it.
    pub(super) waits_for: Option<Lending>,
    pub(super) lanes: Lanes<Toy, Requester>,
    pub(super) workers: Vec<WorkerLine>,
    /// The words of the answers that each item and each query got.
    pub(super) answers: Vec<Vec<&'static str>>,
    pub(super) query_answers: Vec<usize>,
    /// Every root that was ever committed.
    pub(super) committed: BTreeSet<ToyRoot>,
    /// Blocks that were checked, cleared or imported before they were allowed to be.
    pub(super) too_early: BTreeSet<ToyRoot>,
    /// Blocks that were handed to the Rewinder, by root and signature, and those handed over again.
    pub(super) checked: BTreeSet<(ToyRoot, bool)>,
    pub(super) checked_again: BTreeSet<ToyRoot>,
    /// Cleared blocks that the fork choice did not take.
    pub(super) missing: BTreeSet<ToyRoot>,
    /// Tasks that a lane refused.
    pub(super) refused: usize,
}

/// A table of parked blocks beside the machine's own. A table with one owner rules this fault out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Orphans {
    /// The blocks whose parent was looked up and unknown, and that are not parked yet.
    pub(super) looked_up: VecDeque<(ItemId, Quarantined<Item<Toy>>)>,
    /// The parked blocks, in the order of arrival.
    pub(super) parked: VecDeque<(ItemId, Quarantined<Item<Toy>>)>,
}

/// A trail that the HotDB holds back until the Rewinder has given it a state (fault R3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lending {
    pub(super) to: TrailTo,
    pub(super) given: Option<StateAt<Toy>>,
}

/// The effects that a worker has yet to carry out, and the reply of the HotDB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct WorkerLine {
    pub(super) work: VecDeque<WorkerEffect<Toy>>,
    pub(super) inbox: Option<WorkerEvent<Toy>>,
    /// The commit that is sent after the answer. Only the fault R6 sets it.
    pub(super) late: Option<WorkerEffect<Toy>>,
    /// The answer to the first of a batch. Only the faults of batches set it.
    pub(super) first_answer: Option<Answer<Toy>>,
}

impl WorkerLine {
    /// Returns whether there is nothing to do.
    pub(super) fn is_quiet(&self) -> bool {
        self.work.is_empty() && self.inbox.is_none()
    }
}
