//! The ColdDB's thread, its mailbox for records and its lane for questions; see [`crate::cold_db`].

use std::sync::Arc;

use blocksmith_sync::mailbox::{self, Closed, OnFull, SendError, TryRecvError};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Primitives, oneshot};

use crate::activity::{Activity, Mail, Post};
use crate::cold_db::machine::{ColdDb, Record};
use crate::cold_db::reads::{self, QUESTIONS, Question, RangeReply, Reading, RootsReply};
use crate::cold_db::shell::{self, Message, Ports, STATE_REQUESTS};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::notice::NoticeOf;
use crate::observer::Observer;
use crate::rewinder::{Answer, Job, Lane, ReplyTo, RewinderHandle};
use crate::store::{Store, StoreError, Write};
use crate::supervision::{EndGuard, Guard, Loss};

/// Where threads ask, replies come by one-shots.
type RangeEnd<P, C> = oneshot::Sender<P, RangeReply<C>>;
type RootsEnd<P, C> = oneshot::Sender<P, RootsReply<C>>;
/// What a thread asks the ColdDB.
pub(crate) type ColdDbQuestion<P, C> = Question<C, RangeEnd<P, C>, RootsEnd<P, C>>;
/// The question in hand.
type InHand<P, C> = Option<Mail<P, Reading<C, RangeEnd<P, C>, RootsEnd<P, C>>>>;

/// A ColdDB that has not been started.
pub(crate) struct ColdDbService<P: Primitives, C: Consensus> {
    machine: ColdDb<C>,
    consensus: Arc<C>,
    ports: Threads<P, C>,
    guard: Guard<P, C>,
}

/// The ColdDB's connections where the services are threads.
struct Threads<P: Primitives, C: Consensus> {
    /// The thread sleeps on it: both mailboxes wake it.
    notifier: P::Arc<EventNotifier<P>>,
    records: mailbox::Receiver<P, Mail<P, Message<C>>>,
    questions: mailbox::Receiver<P, Mail<P, ColdDbQuestion<P, C>>>,
    /// How many messages `records` holds at most.
    queued_at_most: usize,
    store: Box<dyn Store<C>>,
    rewinder: RewinderHandle<P, C>,
    observer: Observer<P, C>,
    activity: P::Arc<Activity<P>>,
}

/// The handle of a ColdDB.
pub(crate) struct ColdDbHandle<P: Primitives, C: Consensus> {
    records: Post<P, Message<C>>,
    questions: Post<P, ColdDbQuestion<P, C>>,
}

impl<P: Primitives, C: Consensus> Clone for ColdDbHandle<P, C> {
    fn clone(&self) -> Self {
        Self { records: self.records.clone(), questions: self.questions.clone() }
    }
}

impl<P: Primitives, C: Consensus> ColdDbService<P, C> {
    /// Returns the service and its handle. `capacity` bounds its mailbox for records; a sender
    /// that finds it full waits until the store has caught up.
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
        let notifier = P::arc(EventNotifier::new());
        let (recorder, records) =
            mailbox::mailbox_on(notifier.clone(), capacity, STATE_REQUESTS, OnFull::Block);
        let (asker, questions) =
            mailbox::mailbox_on(notifier.clone(), QUESTIONS, 0, OnFull::Refuse);
        let handle = ColdDbHandle {
            records: Post::new(recorder, activity),
            questions: Post::new(asker, activity),
        };
        let ports = Threads {
            notifier,
            records,
            questions,
            queued_at_most: capacity.saturating_add(STATE_REQUESTS),
            store,
            rewinder,
            observer,
            activity: activity.clone(),
        };
        (Self { machine, consensus, ports, guard }, handle)
    }

    /// Serves until the mailbox for records is closed and empty and no request for a state is under
    /// way. Everything that was recorded is then in the store. Questions that have no answer by
    /// then are answered by the drop of their reply ends. `ended` is dropped last.
    pub(crate) fn run(mut self, ended: oneshot::Sender<P, ()>) {
        let _end = EndGuard::new(&self.guard, ended, || {});
        let mut in_hand = None;
        while let Ok(first) = self.ports.next(&mut in_hand) {
            if self.round(first, &mut in_hand).is_err() {
                break;
            }
        }
    }

    /// Handles a message and what is queued behind it, then commits. Until then at least one of the
    /// messages counts as under way. Then reads one chunk for the question in hand (R1, R2).
    fn round(
        &mut self,
        mut first: Option<Mail<P, Message<C>>>,
        in_hand: &mut InHand<P, C>,
    ) -> Result<(), Loss> {
        let Self { machine, consensus, ports, guard } = self;
        let mut under_way = None;
        // What comes meanwhile has the next round: else a chain that never rests would starve who
        // asks.
        for _ in 0..ports.queued_at_most {
            let next = first.take().or_else(|| ports.records.try_recv().ok());
            let Some(Mail { message, busy }) = next else { break };
            under_way = Some(busy);
            shell::turn(machine, &**consensus, guard, ports, message)?;
        }
        if under_way.is_some() {
            shell::flush(machine, &**consensus, guard, ports)?;
        }
        drop(under_way);
        if let Some(Mail { message, busy }) = in_hand.take() {
            *in_hand = reads::read(ports, message).map(|message| Mail { message, busy });
        }
        Ok(())
    }
}

impl<P: Primitives, C: Consensus> Threads<P, C> {
    /// Blocks until there is a message or a question is in hand. A question is taken before the
    /// records are looked at, so what was recorded before it is among these (R2).
    ///
    /// # Errors
    /// [`Closed`] if no message will come any more.
    fn next(&self, in_hand: &mut InHand<P, C>) -> Result<Option<Mail<P, Message<C>>>, Closed> {
        self.notifier.wait_until(|| {
            if in_hand.is_none() {
                let question = self.questions.try_recv().ok();
                *in_hand = question
                    .map(|Mail { message, busy }| Mail { message: Reading::from(message), busy });
            }
            match self.records.try_recv() {
                Ok(mail) => Some(Ok(Some(mail))),
                Err(TryRecvError::Closed) => Some(Err(Closed)),
                Err(TryRecvError::Empty) => in_hand.is_some().then_some(Ok(None)),
            }
        })
    }
}

impl<P: Primitives, C: Consensus> Ports<C> for Threads<P, C> {
    fn commit(&mut self, writes: &[Write<C>]) -> Result<(), StoreError> {
        self.store.commit(writes)
    }

    fn ask_state(&mut self, root: C::Root, slot: Slot) {
        let Some(permit) = self.records.permit() else {
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

    fn tell(&mut self, notice: NoticeOf<C>) {
        self.observer.tell(notice);
    }
}

impl<P: Primitives, C: Consensus> reads::Ports<C> for Threads<P, C> {
    type Range = RangeEnd<P, C>;
    type Roots = RootsEnd<P, C>;

    fn read_range(&mut self, start: Slot, end: Slot, at_most: usize) -> RangeReply<C> {
        self.store.by_range(start, end, at_most)
    }

    fn read_roots(&mut self, roots: &[C::Root]) -> RootsReply<C> {
        roots.iter().map(|root| self.store.by_root(*root)).collect()
    }

    fn range(&mut self, to: Self::Range, reply: RangeReply<C>) {
        // A requester that is gone needs no reply.
        let _ = to.send(reply);
    }

    fn roots(&mut self, to: Self::Roots, reply: RootsReply<C>) {
        let _ = to.send(reply);
    }
}

impl<P: Primitives, C: Consensus> ColdDbHandle<P, C> {
    /// Records what Clearance has taken in. Blocks while the mailbox is full.
    pub(crate) fn record(&self, record: Record<C>) {
        self.records.send(Message::Record(record));
    }

    /// Tells the ColdDB that finality has moved. Blocks while the mailbox is full.
    pub(crate) fn finalized(&self, checkpoint: Checkpoint<C::Root>) {
        self.records.send(Message::Finalized(checkpoint));
    }

    /// Asks for finalised blocks and blocks for the reply.
    ///
    /// # Errors
    /// [`SendError::Full`] if as many questions wait as may, [`SendError::Closed`] if the ColdDB is
    /// gone.
    pub(crate) fn range(&self, start: Slot, count: u64) -> Result<RangeReply<C>, SendError<()>> {
        let (reply, answer) = oneshot::channel();
        self.questions.offer(Question::Range { start, count, reply })?;
        answer.recv().map_err(|_| SendError::Closed(()))
    }

    /// Asks for blocks by root and blocks for the reply.
    ///
    /// # Errors
    /// As [`ColdDbHandle::range`].
    pub(crate) fn roots(&self, roots: Vec<C::Root>) -> Result<RootsReply<C>, SendError<()>> {
        let (reply, answer) = oneshot::channel();
        self.questions.offer(Question::Roots { roots, reply })?;
        answer.recv().map_err(|_| SendError::Closed(()))
    }

    /// Lets the ColdDB end once everything that was recorded is in the store. Questions that wait
    /// then, or come later, find it gone.
    pub(crate) fn close(&self) {
        self.records.close();
        self.questions.close();
    }

    /// Returns the sending end of the mailbox for records, which has its figures.
    pub(crate) fn records(&self) -> &Post<P, Message<C>> {
        &self.records
    }

    /// Returns the sending end of the lane for questions, which has its figures.
    pub(crate) fn questions(&self) -> &Post<P, ColdDbQuestion<P, C>> {
        &self.questions
    }
}
