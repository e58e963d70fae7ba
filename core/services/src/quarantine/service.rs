//! The Quarantine's thread and mailbox; see [`crate::quarantine`].

use std::collections::BTreeMap;
use std::sync::Arc;

use blocksmith_sync::mailbox::{self, Counters, OnFull};
use blocksmith_sync::oneshot;
use blocksmith_sync::{Atomic, Ordering, Primitives};

use crate::activity::{Activity, Mail};
use crate::clearance::{ClearanceHandle, ClearanceMessage, Imported};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::notice::Notice;
use crate::observer::Observer;
use crate::quarantine::machine::{Effect, Event, Item, ItemId, Quarantine, RequestId};
use crate::rewinder::{Answer, Job, ReplyTo, RewinderHandle};
use crate::verdict::{PendingReason, Quarantined, Verdict};

/// The end on which a submitter gets its verdict.
pub(crate) type VerdictReceiver<P, C> =
    oneshot::Receiver<P, Verdict<<C as Consensus>::Root, <C as Consensus>::Invalid>>;
type VerdictSender<P, C> =
    oneshot::Sender<P, Verdict<<C as Consensus>::Root, <C as Consensus>::Invalid>>;

/// What the Quarantine can be told.
pub(crate) enum QuarantineMessage<P: Primitives, C: Consensus> {
    Submit { id: ItemId, item: Quarantined<Item<C>>, verdict: VerdictSender<P, C> },
    Answered { request: RequestId, answer: Answer<C> },
    Imported { finalized: Checkpoint<C::Root> },
    Tick { slot: Slot, seconds_into_slot: u64 },
    Pending(oneshot::Sender<P, Vec<(ItemId, PendingReason)>>),
    Stop,
}

type Mailbox<P, C> = Mail<P, QuarantineMessage<P, C>>;

/// A Quarantine that has not been started.
pub(crate) struct QuarantineService<P: Primitives, C: Consensus> {
    machine: Quarantine<C>,
    mailbox: mailbox::Receiver<P, Mailbox<P, C>>,
    verdicts: BTreeMap<ItemId, VerdictSender<P, C>>,
    consensus: Arc<C>,
    rewinder: RewinderHandle<P, C>,
    clearance: ClearanceHandle<P, C>,
    observer: Observer<P, C>,
    activity: P::Arc<Activity<P>>,
}

/// The way to the Quarantine.
pub(crate) struct QuarantineHandle<P: Primitives, C: Consensus> {
    mailbox: mailbox::Sender<P, Mailbox<P, C>>,
    next_id: P::Arc<P::AtomicU64>,
    activity: P::Arc<Activity<P>>,
}

impl<P: Primitives, C: Consensus> Clone for QuarantineHandle<P, C> {
    fn clone(&self) -> Self {
        Self {
            mailbox: self.mailbox.clone(),
            next_id: self.next_id.clone(),
            activity: self.activity.clone(),
        }
    }
}

/// Bounds of the Quarantine's mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    /// Messages of the network and the clock; who finds them taken waits.
    pub(crate) network: usize,
    /// Reserved for answers of the Rewinder and of Clearance (HAZARDS M8).
    pub(crate) replies: usize,
}

impl Slots {
    /// Returns slots that suffice whatever the schedule.
    ///
    /// Checks: at most `window` are under way or answered and unread. Clearance's answers: those not yet
    /// given are at most its mailbox, the message it handles and the one being sent (`clearance + 2`).
    /// Those given and unread: while the oldest of them is unread, only messages queued before it are
    /// handled, of which at most `network + window` (ticks and answered checks) send one more each.
    pub(crate) fn for_clearance(network: usize, window: usize, clearance: usize) -> Self {
        let unread = 1 + network + window;
        Self { network, replies: window + (clearance + 2) + unread }
    }
}

impl<P: Primitives, C: Consensus> QuarantineService<P, C> {
    /// Returns the service and the way to it.
    pub(crate) fn new(
        consensus: Arc<C>,
        machine: Quarantine<C>,
        slots: Slots,
        rewinder: RewinderHandle<P, C>,
        clearance: ClearanceHandle<P, C>,
        observer: Observer<P, C>,
        activity: &P::Arc<Activity<P>>,
    ) -> (Self, QuarantineHandle<P, C>) {
        let (sender, mailbox) = mailbox::mailbox(slots.network, slots.replies, OnFull::Block);
        let handle = QuarantineHandle {
            mailbox: sender,
            next_id: P::arc(P::AtomicU64::new(0)),
            activity: activity.clone(),
        };
        let service = Self {
            machine,
            mailbox,
            verdicts: BTreeMap::new(),
            consensus,
            rewinder,
            clearance,
            observer,
            activity: activity.clone(),
        };
        (service, handle)
    }

    /// Serves until the mailbox is closed, empty, and every answer has come.
    pub(crate) fn run(mut self) {
        while let Ok(Mail { message, busy }) = self.mailbox.recv() {
            self.handle(message);
            drop(busy);
        }
    }

    fn handle(&mut self, message: QuarantineMessage<P, C>) {
        let event = match message {
            QuarantineMessage::Submit { id, item, verdict } => {
                self.verdicts.insert(id, verdict);
                Event::Submit { id, item }
            }
            QuarantineMessage::Answered { request, answer } => {
                if let Answer::Fault(text) = &answer {
                    tracing::error!(request, text, "a check failed on our side");
                }
                Event::Answered { request, answer }
            }
            QuarantineMessage::Imported { finalized } => Event::Imported { finalized },
            QuarantineMessage::Tick { slot, seconds_into_slot } => {
                // Clearance hears of the slot before it hears of what the slot releases.
                if let Some(reply) = self.imported() {
                    self.clearance.send(ClearanceMessage::Tick { slot, reply });
                }
                Event::Tick { slot, seconds_into_slot }
            }
            QuarantineMessage::Pending(reply) => {
                // A requester that is gone needs no reply.
                let _ = reply.send(self.machine.pending());
                return;
            }
            QuarantineMessage::Stop => Event::Stop,
        };
        let mut next = Some(event);
        // A second round only if a reserved slot is missing, which the bounds rule out.
        while let Some(event) = next.take() {
            for effect in self.machine.handle(&self.consensus, event) {
                next = self.carry_out(effect).or(next);
            }
        }
    }

    /// Returns the event that follows at once, if the effect cannot be carried out.
    fn carry_out(&mut self, effect: Effect<C>) -> Option<Event<C>> {
        match effect {
            Effect::Check { request, job } => return self.check(request, job),
            Effect::ClearBlock { block, timely } => {
                if let Some(reply) = self.imported() {
                    self.clearance.send(ClearanceMessage::Block { block, timely, reply });
                }
            }
            Effect::ClearAttestation(attestation) => {
                if let Some(reply) = self.imported() {
                    self.clearance.send(ClearanceMessage::Attestation { attestation, reply });
                }
            }
            Effect::Verdict { id, verdict } => {
                if let Some(sender) = self.verdicts.remove(&id) {
                    // Who gave up waiting has dropped its end.
                    let _ = sender.send(verdict);
                }
            }
            Effect::Parked { id, why } => self.observer.tell(Notice::Parked { id, why }),
            Effect::Need { root } => self.observer.tell(Notice::Need { root }),
        }
        None
    }

    /// Has the Rewinder check an item. The answer comes as a message into a reserved slot.
    fn check(&mut self, request: RequestId, job: Job<C>) -> Option<Event<C>> {
        let Some(permit) = self.permit() else {
            let answer = Answer::Fault("no slot was reserved for the answer".to_owned());
            return Some(Event::Answered { request, answer });
        };
        let activity = self.activity.clone();
        let reply = ReplyTo::new(move |answer| {
            let message = QuarantineMessage::Answered { request, answer };
            // Refused only if the Quarantine is gone, and its submitters were told by that.
            drop(permit.send(Mail::new(&activity, message)));
        });
        self.rewinder.submit(job.lane(), job, reply);
        None
    }

    /// Returns the way back for Clearance's answer.
    fn imported(&mut self) -> Option<Imported<C>> {
        let permit = self.permit()?;
        let activity = self.activity.clone();
        Some(Box::new(move |finalized| {
            let message = QuarantineMessage::Imported { finalized };
            drop(permit.send(Mail::new(&activity, message)));
        }))
    }

    /// Takes a reserved slot. There are as many as answers can be outstanding; see
    /// [`Slots::for_clearance`].
    fn permit(&mut self) -> Option<mailbox::Permit<P, Mailbox<P, C>>> {
        let permit = self.mailbox.permit();
        debug_assert!(permit.is_some(), "more answers outstanding than slots were reserved");
        permit
    }
}

impl<P: Primitives, C: Consensus> QuarantineHandle<P, C> {
    /// Submits an item; blocks while the mailbox is full. If the Quarantine is gone the verdict's end
    /// says so.
    pub(crate) fn submit(&self, item: Quarantined<Item<C>>) -> (ItemId, VerdictReceiver<P, C>) {
        let (verdict, receiver) = oneshot::channel();
        // ORDERING: relaxed; the number is unique, nothing else hangs on it.
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(QuarantineMessage::Submit { id, item, verdict });
        (id, receiver)
    }

    /// Tells the time; blocks while the mailbox is full.
    pub(crate) fn tick(&self, slot: Slot, seconds_into_slot: u64) {
        self.send(QuarantineMessage::Tick { slot, seconds_into_slot });
    }

    /// Asks which submissions have no verdict, and blocks for the reply.
    pub(crate) fn pending(&self) -> Option<Vec<(ItemId, PendingReason)>> {
        let (reply, answer) = oneshot::channel();
        self.send(QuarantineMessage::Pending(reply));
        answer.recv().ok()
    }

    /// Has everything that is not in flight given up, and the service end when the rest is answered.
    pub(crate) fn stop(&self) {
        self.send(QuarantineMessage::Stop);
        self.mailbox.close();
    }

    fn send(&self, message: QuarantineMessage<P, C>) {
        drop(self.mailbox.send(Mail::new(&self.activity, message)));
    }

    pub(crate) fn counters(&self) -> Counters {
        self.mailbox.counters()
    }
}
