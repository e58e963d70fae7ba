//! The ColdDB's thread and mailbox; see [`crate::cold_db`].

use std::sync::Arc;

use blocksmith_sync::Primitives;
use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::oneshot;

use crate::activity::{Activity, Mail, Post};
use crate::cold_db::machine::{ColdDb, Record};
use crate::cold_db::shell::{self, Message, Ports, RangeReply, RootsReply, STATE_REQUESTS};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::notice::NoticeOf;
use crate::observer::Observer;
use crate::rewinder::{Answer, Job, Lane, ReplyTo, RewinderHandle};
use crate::store::{MAX_REQUEST_BLOCKS, Store, StoreError, Write};
use crate::supervision::{EndGuard, Guard, Loss};

/// What a thread tells the ColdDB: replies come by one-shots.
pub(crate) type ColdDbMessage<P, C> =
    Message<C, oneshot::Sender<P, RangeReply<C>>, oneshot::Sender<P, RootsReply<C>>>;

/// A ColdDB that has not been started.
pub(crate) struct ColdDbService<P: Primitives, C: Consensus> {
    machine: ColdDb<C>,
    consensus: Arc<C>,
    ports: Threads<P, C>,
    guard: Guard<P, C>,
}

/// The ColdDB's connections where the services are threads.
struct Threads<P: Primitives, C: Consensus> {
    mailbox: mailbox::Receiver<P, Mail<P, ColdDbMessage<P, C>>>,
    store: Box<dyn Store<C>>,
    rewinder: RewinderHandle<P, C>,
    observer: Observer<P, C>,
    activity: P::Arc<Activity<P>>,
}

/// The handle of a ColdDB.
pub(crate) struct ColdDbHandle<P: Primitives, C: Consensus>(Post<P, ColdDbMessage<P, C>>);

impl<P: Primitives, C: Consensus> Clone for ColdDbHandle<P, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Primitives, C: Consensus> ColdDbService<P, C> {
    /// Returns the service and its handle. `capacity` bounds its mailbox; a sender that finds it
    /// full waits until the store has caught up.
    #[expect(clippy::too_many_arguments, reason = "everything that the service talks to, once")]
    pub(crate) fn new(
        consensus: Arc<C>,
        machine: ColdDb<C>,
        store: Box<dyn Store<C>>,
        capacity: usize,
        rewinder: RewinderHandle<P, C>,
        observer: Observer<P, C>,
        activity: &P::Arc<Activity<P>>,
        guard: Guard<P, C>,
    ) -> (Self, ColdDbHandle<P, C>) {
        let (sender, mailbox) = mailbox::mailbox(capacity, STATE_REQUESTS, OnFull::Block);
        let handle = ColdDbHandle(Post::new(sender, activity));
        let ports = Threads { mailbox, store, rewinder, observer, activity: activity.clone() };
        (Self { machine, consensus, ports, guard }, handle)
    }

    /// Serves until the mailbox is closed and empty and no request for a state is under way.
    /// Everything that was recorded is then in the store. `ended` is dropped last.
    pub(crate) fn run(mut self, ended: oneshot::Sender<P, ()>) {
        let _end = EndGuard::new(&self.guard, ended, || {});
        while let Ok(mail) = self.ports.mailbox.recv() {
            if self.batch(mail).is_err() {
                break;
            }
        }
    }

    /// Handles a message and whatever is queued behind it, then commits. Until then at least one of
    /// the messages counts as under way.
    fn batch(&mut self, first: Mail<P, ColdDbMessage<P, C>>) -> Result<(), Loss> {
        let Self { machine, consensus, ports, guard } = self;
        let Mail { message, busy } = first;
        let mut _under_way = busy;
        shell::turn(machine, &**consensus, guard, ports, message)?;
        while let Ok(Mail { message, busy }) = ports.mailbox.try_recv() {
            _under_way = busy;
            shell::turn(machine, &**consensus, guard, ports, message)?;
        }
        shell::flush(machine, &**consensus, guard, ports)
    }
}

impl<P: Primitives, C: Consensus> Ports<C> for Threads<P, C> {
    type Range = oneshot::Sender<P, RangeReply<C>>;
    type Roots = oneshot::Sender<P, RootsReply<C>>;

    fn commit(&mut self, writes: &[Write<C>]) -> Result<(), StoreError> {
        self.store.commit(writes)
    }

    fn read_range(&mut self, start: Slot, end: Slot) -> RangeReply<C> {
        self.store.by_range(start, end, MAX_REQUEST_BLOCKS)
    }

    fn read_roots(&mut self, roots: &[C::Root]) -> RootsReply<C> {
        roots.iter().map(|root| self.store.by_root(*root)).collect()
    }

    fn ask_state(&mut self, root: C::Root, slot: Slot) {
        let Some(permit) = self.mailbox.permit() else {
            debug_assert!(false, "the machine asks for one state at a time");
            return;
        };
        let activity = self.activity.clone();
        let reply = ReplyTo::new(move |answer| {
            let state = match answer {
                Answer::State(at) => Some(at),
                _ => None,
            };
            // The send is refused only if the ColdDB is gone, and then nobody needs the state.
            drop(permit.send(Mail::new(&activity, Message::State { root, state })));
        });
        self.rewinder.submit_own(Lane::Queries, Job::State { root, slot }, reply);
    }

    fn range(&mut self, to: Self::Range, reply: RangeReply<C>) {
        // A requester that is gone needs no reply.
        let _ = to.send(reply);
    }

    fn roots(&mut self, to: Self::Roots, reply: RootsReply<C>) {
        let _ = to.send(reply);
    }

    fn tell(&mut self, notice: NoticeOf<C>) {
        self.observer.tell(notice);
    }
}

impl<P: Primitives, C: Consensus> ColdDbHandle<P, C> {
    /// Records what Clearance has taken in. Blocks while the mailbox is full.
    pub(crate) fn record(&self, record: Record<C>) {
        self.0.send(Message::Record(record));
    }

    /// Tells the ColdDB that finality has moved. Blocks while the mailbox is full.
    pub(crate) fn finalized(&self, checkpoint: Checkpoint<C::Root>) {
        self.0.send(Message::Finalized(checkpoint));
    }

    /// Asks for finalised blocks and blocks for the reply. `None` if the ColdDB is gone.
    pub(crate) fn range(&self, start: Slot, count: u64) -> Option<RangeReply<C>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Message::Range { start, count, reply });
        answer.recv().ok()
    }

    /// Asks for blocks by root and blocks for the reply. `None` if the ColdDB is gone.
    pub(crate) fn roots(&self, roots: Vec<C::Root>) -> Option<RootsReply<C>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Message::Roots { roots, reply });
        answer.recv().ok()
    }

    /// Returns the sending end of the mailbox, which has its figures and its close.
    pub(crate) fn post(&self) -> &Post<P, ColdDbMessage<P, C>> {
        &self.0
    }
}
