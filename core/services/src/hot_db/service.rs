//! The HotDB's thread and mailbox; see [`crate::hot_db`].

use std::marker::PhantomData;
use std::sync::Arc;

use blocksmith_sync::Primitives;
use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::oneshot;

use crate::activity::{Activity, Mail, Post, serve};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::hot_db::event::{CommitReply, CommitteesAt, Prune, StateAt, TrailReply};
use crate::hot_db::machine::HotDb;
use crate::hot_db::shell::{self, Message, Replies};
use crate::identified::IdentifiedBlock;
use crate::supervision::{EndGuard, Guard, Loss};

/// What a thread tells the HotDB: replies come by one-shots.
pub(crate) type HotDbMessage<P, C> =
    Message<C, oneshot::Sender<P, TrailReply<C>>, oneshot::Sender<P, CommitReply>>;

/// A HotDB that has not been started.
pub(crate) struct HotDbService<P: Primitives, C: Consensus> {
    machine: Box<HotDb<C>>,
    mailbox: mailbox::Receiver<P, Mail<P, HotDbMessage<P, C>>>,
    consensus: Arc<C>,
    guard: Guard<P, C>,
}

/// The handle of a HotDB.
pub(crate) struct HotDbHandle<P: Primitives, C: Consensus>(Post<P, HotDbMessage<P, C>>);

impl<P: Primitives, C: Consensus> Clone for HotDbHandle<P, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Replies by one-shots. A requester that is gone needs none.
struct OneShots<P>(PhantomData<fn() -> P>);

impl<P: Primitives, C: Consensus> Replies<C> for OneShots<P> {
    type Trail = oneshot::Sender<P, TrailReply<C>>;
    type Ack = oneshot::Sender<P, CommitReply>;

    fn trail(&mut self, to: Self::Trail, reply: TrailReply<C>) {
        let _ = to.send(reply);
    }

    fn ack(&mut self, to: Self::Ack, reply: CommitReply) {
        let _ = to.send(reply);
    }
}

impl<P: Primitives, C: Consensus> HotDbService<P, C> {
    /// Returns the service and its handle. `capacity` bounds its mailbox; a sender that finds it
    /// full waits.
    pub(crate) fn new(
        consensus: Arc<C>,
        machine: Box<HotDb<C>>,
        capacity: usize,
        activity: &P::Arc<Activity<P>>,
        guard: Guard<P, C>,
    ) -> (Self, HotDbHandle<P, C>) {
        let (sender, mailbox) = mailbox::mailbox(capacity, 0, OnFull::Block);
        let handle = HotDbHandle(Post::new(sender, activity));
        (Self { machine, mailbox, consensus, guard }, handle)
    }

    /// Serves until the mailbox is closed and empty. `ended` is dropped last.
    pub(crate) fn run(mut self, ended: oneshot::Sender<P, ()>) {
        let _end = EndGuard::new(&self.guard, ended, || {});
        serve(&mut self, |service| &service.mailbox, Self::turn);
    }

    /// Handles a message. Returns whether the service goes on. It does not if its machine is torn,
    /// as the blocks are nowhere else.
    fn turn(&mut self, message: HotDbMessage<P, C>) -> bool {
        let Self { machine, consensus, guard, .. } = self;
        let mut replies = OneShots(PhantomData);
        shell::turn(machine, &**consensus, guard, &mut replies, message) != Err(Loss::Machine)
    }
}

impl<P: Primitives, C: Consensus> HotDbHandle<P, C> {
    /// Asks for a trail and blocks for the reply. Returns `None` if the HotDB is gone or lost the
    /// question.
    pub(crate) fn trail(&self, root: C::Root, slot: Slot) -> Option<TrailReply<C>> {
        let (reply, answer) = oneshot::channel();
        self.send(HotDbMessage::Trail { root, slot, reply });
        answer.recv().ok()
    }

    /// Asks for the committees of a target and blocks for the reply. Returns `None` if the HotDB is
    /// gone or lost the question.
    pub(crate) fn committees(&self, target: Checkpoint<C::Root>) -> Option<TrailReply<C>> {
        let (reply, answer) = oneshot::channel();
        self.send(HotDbMessage::Committees { target, reply });
        answer.recv().ok()
    }

    /// Commits a block and blocks for the acknowledgement. Returns `None` if the HotDB is gone or
    /// lost the commit.
    pub(crate) fn commit(
        &self,
        block: IdentifiedBlock<C>,
        state: StateAt<C>,
    ) -> Option<CommitReply> {
        let (reply, answer) = oneshot::channel();
        self.send(HotDbMessage::Commit { block, state, reply });
        answer.recv().ok()
    }

    /// Gives the HotDB a state. Blocks while its mailbox is full.
    pub(crate) fn post_state(&self, state: StateAt<C>) {
        self.send(HotDbMessage::PostState(state));
    }

    /// Gives the HotDB committees. Blocks while its mailbox is full.
    pub(crate) fn post_committees(&self, at: CommitteesAt<C>) {
        self.send(HotDbMessage::PostCommittees(at));
    }

    /// Tells the HotDB what to keep. Blocks while its mailbox is full.
    pub(crate) fn prune(&self, keep: Prune<C::Root>) {
        self.send(HotDbMessage::Prune(keep));
    }

    /// A closed mailbox hands the message back; dropping it drops the reply's sender, which tells
    /// the requester.
    fn send(&self, message: HotDbMessage<P, C>) {
        self.0.send(message);
    }

    /// Returns the sending end of the mailbox, which has its figures and its close.
    pub(crate) fn post(&self) -> &Post<P, HotDbMessage<P, C>> {
        &self.0
    }
}
