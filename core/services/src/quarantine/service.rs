//! The Quarantine's thread and mailbox; see [`crate::quarantine`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use blocksmith_sync::broker::Gauge;
use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::oneshot;
use blocksmith_sync::{Atomic, Ordering, Primitives};

use crate::activity::{Activity, Mail, Post, serve};
use crate::clearance::Import;
use crate::clearance::shell::Chain;
use crate::clearance::{ClearanceHandle, ClearanceMessage, Receipt};
use crate::consensus::Consensus;
use crate::notice::NoticeOf;
use crate::observer::Observer;
use crate::quarantine::event::{Item, RequestId};
use crate::quarantine::intake::{Credit, Intake};
use crate::quarantine::machine::Quarantine;
use crate::quarantine::shell::{self, Message, Ports, Slots};
use crate::rewinder::{Job, Lane, ReplyTo, RewinderHandle};
use crate::supervision::{EndGuard, Guard, ServiceName, Supervisor};
use crate::verdict::{DropReason, ItemId, PendingReason, Quarantined, Verdict};

/// The end on which a submitter gets its verdict.
pub(crate) type VerdictReceiver<P, C> =
    oneshot::Receiver<P, Verdict<<C as Consensus>::Root, <C as Consensus>::Invalid>>;
type VerdictSender<P, C> =
    oneshot::Sender<P, Verdict<<C as Consensus>::Root, <C as Consensus>::Invalid>>;

/// What travels with a submission: the end on which its verdict is sent, and its peer's place in
/// the mailbox.
pub(crate) struct ReplyEnd<P: Primitives, C: Consensus> {
    verdict: VerdictSender<P, C>,
    credit: Option<Credit<P>>,
}

/// A submission that is ready to be sent.
struct Envelope<P: Primitives, C: Consensus> {
    id: ItemId,
    /// `None` if its peer has too many messages in the mailbox: the verdict says so already.
    message: Option<QuarantineMessage<P, C>>,
    receiver: VerdictReceiver<P, C>,
}

type PendingSender<P> = oneshot::Sender<P, Vec<(ItemId, PendingReason)>>;

/// What a thread tells the Quarantine: replies come by one-shots.
pub(crate) type QuarantineMessage<P, C> = Message<C, ReplyEnd<P, C>, PendingSender<P>>;

type Mailbox<P, C> = Mail<P, QuarantineMessage<P, C>>;

/// A Quarantine that has not been started.
pub(crate) struct QuarantineService<P: Primitives, C: Consensus> {
    machine: Box<Quarantine<C>>,
    consensus: Arc<C>,
    ports: Threads<P, C>,
    guard: Guard<P, C>,
}

/// The Quarantine's connections where the services are threads.
struct Threads<P: Primitives, C: Consensus> {
    mailbox: mailbox::Receiver<P, Mailbox<P, C>>,
    verdicts: BTreeMap<ItemId, VerdictSender<P, C>>,
    /// Counts what comes into `verdicts` and leaves it.
    held: Arc<Gauge>,
    rewinder: RewinderHandle<P, C>,
    clearance: ClearanceHandle<P, C>,
    observer: Observer<P, C>,
    activity: P::Arc<Activity<P>>,
    supervisor: P::Arc<Supervisor<P, C>>,
    /// Whether the machine has had a predecessor.
    rebuilt: bool,
}

/// The handle of the Quarantine.
pub(crate) struct QuarantineHandle<P: Primitives, C: Consensus> {
    post: Post<P, QuarantineMessage<P, C>>,
    next_id: P::Arc<P::AtomicU64>,
    intake: Intake<P>,
    held: Arc<Gauge>,
}

impl<P: Primitives, C: Consensus> Clone for QuarantineHandle<P, C> {
    fn clone(&self) -> Self {
        Self {
            post: self.post.clone(),
            next_id: self.next_id.clone(),
            intake: self.intake.clone(),
            held: self.held.clone(),
        }
    }
}

impl<P: Primitives, C: Consensus> QuarantineService<P, C> {
    /// Returns the service and its handle, and tells `guard`'s supervisor how to stop the service.
    /// `per_peer` is how many messages of one peer the mailbox takes however full it is.
    #[expect(clippy::too_many_arguments, reason = "everything that the service talks to, once")]
    pub(crate) fn new(
        consensus: Arc<C>,
        machine: Box<Quarantine<C>>,
        slots: Slots,
        per_peer: usize,
        rewinder: RewinderHandle<P, C>,
        clearance: ClearanceHandle<P, C>,
        observer: Observer<P, C>,
        activity: &P::Arc<Activity<P>>,
        guard: Guard<P, C>,
    ) -> (Self, QuarantineHandle<P, C>) {
        // There is one more slot for the stop, which may come from anywhere and must not wait.
        let (sender, mailbox) = mailbox::mailbox(slots.network, slots.replies + 1, OnFull::Block);
        let (permit, last, counted) = (mailbox.permit(), sender.clone(), activity.clone());
        let workers = rewinder.clone();
        guard.supervisor().stop_by(move || {
            workers.give_up_long_loads();
            if let Some(permit) = permit {
                drop(permit.send(Mail::new(&counted, QuarantineMessage::Stop)));
            }
            last.close();
        });
        let held = Arc::new(Gauge::new(machine.limits().submissions()));
        let handle = QuarantineHandle {
            post: Post::new(sender, activity),
            next_id: P::arc(P::AtomicU64::new(0)),
            intake: Intake::new(slots.network, per_peer),
            held: held.clone(),
        };
        let ports = Threads {
            mailbox,
            verdicts: BTreeMap::new(),
            held,
            rewinder,
            clearance,
            observer,
            activity: activity.clone(),
            supervisor: guard.shared().clone(),
            rebuilt: false,
        };
        (Self { machine, consensus, ports, guard }, handle)
    }

    /// Serves until the mailbox is closed and empty and every answer has come. Then it lets
    /// Clearance end. `ended` is dropped last.
    pub(crate) fn run(mut self, ended: oneshot::Sender<P, ()>) {
        let below = self.ports.clearance.clone();
        let _end = EndGuard::new(&self.guard, ended, move || below.post().close());
        serve(
            &mut self,
            |service| &service.ports.mailbox,
            |service, message| {
                let goes_on = service.turn(message).is_some();
                if !goes_on {
                    service.ports.supervisor.not_rebuilt(ServiceName::Quarantine);
                }
                goes_on
            },
        );
    }

    /// Handles a message. Returns `None` if the service does not go on: its machine was cut short,
    /// and Clearance does not tell the chain to build another from.
    fn turn(&mut self, mut message: QuarantineMessage<P, C>) -> Option<()> {
        if let Message::Submit { verdict, .. } = &mut message {
            // The message is out of the mailbox.
            verdict.credit = None;
        }
        let Self { machine, consensus, ports, guard } = self;
        let mut work = VecDeque::from(shell::turn(machine, consensus, guard, ports, message)?);
        // The loop is bounded, as an event that follows gives one item up.
        while let Some(piece) = work.pop_front() {
            work.extend(shell::carry_out(machine, consensus, guard, ports, piece)?);
        }
        Some(())
    }
}

impl<P: Primitives, C: Consensus> Ports<C> for Threads<P, C> {
    type Verdict = ReplyEnd<P, C>;
    type Question = PendingSender<P>;
    type Slot = mailbox::Permit<P, Mailbox<P, C>>;

    fn keep(&mut self, id: ItemId, verdict: Self::Verdict) {
        self.verdicts.insert(id, verdict.verdict);
        self.held.accepted(1);
    }

    fn verdict(&mut self, id: ItemId, verdict: Verdict<C::Root, C::Invalid>) {
        if let Some(sender) = self.verdicts.remove(&id) {
            self.held.received(1);
            // A submitter that gave up waiting has dropped the receiver.
            let _ = sender.send(verdict);
        }
    }

    fn forget(&mut self) {
        self.held.evicted(self.verdicts.len() as u64);
        self.verdicts.clear();
        self.rebuilt = true;
    }

    fn note_held(&mut self) {
        self.supervisor.note_held(self.verdicts.len());
    }

    fn pending(&mut self, to: Self::Question, pending: Vec<(ItemId, PendingReason)>) {
        // A requester that is gone needs no reply.
        let _ = to.send(pending);
    }

    fn reserve(&mut self) -> Option<Self::Slot> {
        let permit = self.mailbox.permit();
        let bounded = permit.is_some() || self.rebuilt;
        debug_assert!(bounded, "more answers outstanding than slots were reserved");
        permit
    }

    fn check(&mut self, slot: Self::Slot, request: RequestId, lane: Lane, job: Job<C>) {
        let activity = self.activity.clone();
        let reply = ReplyTo::new(move |answer| {
            let message = Message::Answered { request, answer };
            // The send is refused only if the Quarantine is gone, and its submitters were told by
            // that.
            drop(slot.send(Mail::new(&activity, message)));
        });
        self.rewinder.submit(lane, job, reply);
    }

    fn import(&mut self, slot: Self::Slot, request: Option<RequestId>, import: Import<C>) {
        let activity = self.activity.clone();
        let reply = Receipt::new(move |finalized| {
            if let Some(message) = Message::of_import(request, finalized) {
                drop(slot.send(Mail::new(&activity, message)));
            }
        });
        self.clearance.send(ClearanceMessage::Import { import, reply });
    }

    fn head(&mut self) -> Option<C::Root> {
        self.clearance.view().map(|view| view.head)
    }

    fn chain(&mut self) -> Option<Chain<C::Root>> {
        self.clearance.chain()
    }

    fn tell(&mut self, notice: NoticeOf<C>) {
        self.observer.tell(notice);
    }
}

impl<P: Primitives, C: Consensus> QuarantineHandle<P, C> {
    /// Submits an item; blocks while the mailbox is full. If the item's peer has as many messages
    /// there as it may, the verdict is `Dropped(PeerBusy)` at once. If the Quarantine is gone, the
    /// receiver of the verdict says so.
    pub(crate) fn submit(&self, item: Quarantined<Item<C>>) -> (ItemId, VerdictReceiver<P, C>) {
        let Envelope { id, message, receiver } = self.submission(item);
        if let Some(message) = message {
            self.post.send(message);
        }
        (id, receiver)
    }

    /// As [`QuarantineHandle::submit`], for an async task: it awaits room.
    pub(crate) async fn submit_async(
        &self,
        item: Quarantined<Item<C>>,
    ) -> (ItemId, VerdictReceiver<P, C>) {
        let Envelope { id, message, receiver } = self.submission(item);
        if let Some(message) = message {
            self.post.send_async(message).await;
        }
        (id, receiver)
    }

    fn submission(&self, item: Quarantined<Item<C>>) -> Envelope<P, C> {
        let (verdict, receiver) = oneshot::channel();
        // ORDERING: relaxed; the number is unique, and nothing else depends on it.
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let message = match self.intake.credit(item.peer()) {
            Some(credit) => {
                let verdict = ReplyEnd { verdict, credit: Some(credit) };
                Some(Message::Submit { id, item, verdict })
            }
            None => {
                // The receiver is at hand, so the send is not refused.
                let _ = verdict.send(Verdict::Dropped(DropReason::PeerBusy));
                None
            }
        };
        Envelope { id, message, receiver }
    }

    /// Returns the sending end of the mailbox, which has its figures and its close.
    pub(crate) fn post(&self) -> &Post<P, QuarantineMessage<P, C>> {
        &self.post
    }

    /// Returns the gauge of the submissions without a verdict.
    pub(crate) fn held(&self) -> Arc<Gauge> {
        self.held.clone()
    }
}
