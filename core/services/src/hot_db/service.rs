//! The HotDB's thread and mailbox; see [`crate::hot_db`].

use std::sync::Arc;

use blocksmith_sync::Primitives;
use blocksmith_sync::mailbox::{self, Counters, Meter, OnFull};
use blocksmith_sync::oneshot;

use crate::activity::{Activity, Mail};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::hot_db::machine::{CommitReply, HotDb, StateAt, TrailReply};
use crate::supervision::{EndGuard, Guard, Loss};

/// What the HotDB can be told.
pub(crate) enum HotDbMessage<P: Primitives, C: Consensus> {
    Trail { root: C::Root, slot: Slot, reply: oneshot::Sender<P, TrailReply<C>> },
    Commit { block: C::Block, state: StateAt<C>, reply: oneshot::Sender<P, CommitReply> },
    PostState(StateAt<C>),
    Prune { finalized: Checkpoint<C::Root>, justified: C::Root, head: C::Root },
}

/// A HotDB that has not been started.
pub(crate) struct HotDbService<P: Primitives, C: Consensus> {
    machine: HotDb<C>,
    mailbox: mailbox::Receiver<P, Mail<P, HotDbMessage<P, C>>>,
    consensus: Arc<C>,
    guard: Guard<P, C>,
}

/// The way to a HotDB.
pub(crate) struct HotDbHandle<P: Primitives, C: Consensus> {
    mailbox: mailbox::Sender<P, Mail<P, HotDbMessage<P, C>>>,
    activity: P::Arc<Activity<P>>,
}

impl<P: Primitives, C: Consensus> Clone for HotDbHandle<P, C> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone(), activity: self.activity.clone() }
    }
}

impl<P: Primitives, C: Consensus> HotDbService<P, C> {
    /// Returns the service and the way to it. `capacity` bounds its mailbox; who finds it full
    /// waits.
    pub(crate) fn new(
        consensus: Arc<C>,
        machine: HotDb<C>,
        capacity: usize,
        activity: &P::Arc<Activity<P>>,
        guard: Guard<P, C>,
    ) -> (Self, HotDbHandle<P, C>) {
        let (sender, mailbox) = mailbox::mailbox(capacity, 0, OnFull::Block);
        let handle = HotDbHandle { mailbox: sender, activity: activity.clone() };
        (Self { machine, mailbox, consensus, guard }, handle)
    }

    /// Serves until the mailbox is closed and empty. `ended` is dropped last.
    pub(crate) fn run(self, ended: oneshot::Sender<P, ()>) {
        let _end = EndGuard::new(self.guard.shared(), ended, || {});
        let mut service = self;
        while let Ok(Mail { message, busy }) = service.mailbox.recv() {
            let goes_on = service.turn(message);
            drop(busy);
            if !goes_on {
                break;
            }
        }
    }

    /// Handles a message. Returns whether the service goes on: not if its machine is torn, as the
    /// blocks are nowhere else. A reply that is not sent is an answer by its drop; a requester that
    /// is gone needs none.
    fn turn(&mut self, message: HotDbMessage<P, C>) -> bool {
        let Self { machine, consensus, guard, .. } = self;
        let step = match message {
            HotDbMessage::Trail { root, slot, reply } => {
                guard.look("trail", || machine.trail(root, slot)).map(|trail| {
                    let _ = reply.send(trail);
                })
            }
            HotDbMessage::Commit { block, state, reply } => {
                let step = || machine.commit(consensus, &block, state.state);
                guard.step("commit", step).map(|answer| {
                    let _ = reply.send(answer);
                })
            }
            HotDbMessage::PostState(state) => {
                guard.step("state", || machine.post_state(consensus, state))
            }
            HotDbMessage::Prune { finalized, justified, head } => {
                let step = || machine.prune(consensus, finalized, justified, head);
                let pruned = guard.step("prune", step);
                pruned.map(|pruned| tracing::debug!(pruned, epoch = finalized.epoch, "pruned"))
            }
        };
        step != Err(Loss::Machine)
    }
}

impl<P: Primitives, C: Consensus> HotDbHandle<P, C> {
    /// Asks for a trail and blocks for the reply. `None` if the HotDB is gone, or lost the
    /// question.
    pub(crate) fn trail(&self, root: C::Root, slot: Slot) -> Option<TrailReply<C>> {
        let (reply, answer) = oneshot::channel();
        self.send(HotDbMessage::Trail { root, slot, reply });
        answer.recv().ok()
    }

    /// Commits a block and blocks for the acknowledgement. `None` if the HotDB is gone, or lost it.
    pub(crate) fn commit(&self, block: C::Block, state: StateAt<C>) -> Option<CommitReply> {
        let (reply, answer) = oneshot::channel();
        self.send(HotDbMessage::Commit { block, state, reply });
        answer.recv().ok()
    }

    /// Gives the HotDB a state. Blocks while its mailbox is full.
    pub(crate) fn post_state(&self, state: StateAt<C>) {
        self.send(HotDbMessage::PostState(state));
    }

    /// Tells the HotDB what to keep. Blocks while its mailbox is full.
    pub(crate) fn prune(&self, finalized: Checkpoint<C::Root>, justified: C::Root, head: C::Root) {
        self.send(HotDbMessage::Prune { finalized, justified, head });
    }

    /// A closed mailbox hands the message back; dropping it drops the reply's sender, which tells
    /// who waits for it.
    fn send(&self, message: HotDbMessage<P, C>) {
        drop(self.mailbox.send(Mail::new(&self.activity, message)));
    }

    /// Lets the service end once it has served what is queued.
    pub(crate) fn close(&self) {
        self.mailbox.close();
    }

    pub(crate) fn counters(&self) -> Counters {
        self.mailbox.counters()
    }

    /// Returns what reads the figures of the mailbox.
    pub(crate) fn meter(&self) -> Meter<P, Mail<P, HotDbMessage<P, C>>> {
        self.mailbox.meter()
    }
}
