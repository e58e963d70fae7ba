//! The Quarantine's thread and mailbox; see [`crate::quarantine`].

use std::collections::BTreeMap;
use std::sync::Arc;

use blocksmith_sync::broker::Gauge;
use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::oneshot;
use blocksmith_sync::{Atomic, Ordering, Primitives};

use crate::activity::{Activity, Mail, Post, serve};
use crate::clearance::{ClearanceHandle, ClearanceMessage, Receipt};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::notice::Notice;
use crate::observer::Observer;
use crate::quarantine::event::{Effect, Event, Item, ItemId, RequestId};
use crate::quarantine::machine::Quarantine;
use crate::rewinder::{Answer, Job, ReplyTo, RewinderHandle};
use crate::supervision::{EndGuard, Guard, Loss, Steps};
use crate::verdict::{PendingReason, Quarantined, Verdict};

/// The end on which a submitter gets its verdict.
pub(crate) type VerdictReceiver<P, C> =
    oneshot::Receiver<P, Verdict<<C as Consensus>::Root, <C as Consensus>::Invalid>>;
type VerdictSender<P, C> =
    oneshot::Sender<P, Verdict<<C as Consensus>::Root, <C as Consensus>::Invalid>>;

type PendingSender<P> = oneshot::Sender<P, Vec<(ItemId, PendingReason)>>;

/// What the Quarantine can be told.
pub(crate) enum QuarantineMessage<P: Primitives, C: Consensus> {
    Submit { id: ItemId, item: Quarantined<Item<C>>, verdict: VerdictSender<P, C> },
    Answered { request: RequestId, answer: Answer<C> },
    Imported { request: Option<RequestId>, finalized: Checkpoint<C::Root> },
    NotImported { request: RequestId },
    Tick { slot: Slot, seconds_into_slot: u64 },
    Pending(PendingSender<P>),
    Stop,
}

impl<P: Primitives, C: Consensus> QuarantineMessage<P, C> {
    /// Returns the kind of message, for reports.
    fn word(&self) -> &'static str {
        match self {
            Self::Submit { .. } => "submission",
            Self::Answered { .. } => "answer",
            Self::Imported { .. } => "import",
            Self::NotImported { .. } => "failed import",
            Self::Tick { .. } => "tick",
            Self::Pending(_) => "question",
            Self::Stop => "stop",
        }
    }
}

/// What becomes of a message besides the machine's step: kept outside of it, so that a panic there
/// leaves it whole.
enum Duty<P: Primitives, C: Consensus> {
    None,
    /// The submitter is to be told; the drop tells of a fault.
    Verdict {
        id: ItemId,
        verdict: VerdictSender<P, C>,
    },
    /// Clearance is to be told of the slot; and if the message is lost, so is the machine: the time
    /// is all that a tick carries, and both must have the same.
    Tick {
        slot: Slot,
        seconds_into_slot: u64,
    },
    /// If the message is lost, the machine is told this in its place: it waits for it.
    Instead(Event<C>),
}

type Parts<P, C> = (Event<C>, Duty<P, C>);
type Mailbox<P, C> = Mail<P, QuarantineMessage<P, C>>;

/// A Quarantine that has not been started.
pub(crate) struct QuarantineService<P: Primitives, C: Consensus> {
    machine: Quarantine<C>,
    mailbox: mailbox::Receiver<P, Mailbox<P, C>>,
    verdicts: BTreeMap<ItemId, VerdictSender<P, C>>,
    /// What comes into `verdicts` and leaves it.
    held: Arc<Gauge>,
    consensus: Arc<C>,
    rewinder: RewinderHandle<P, C>,
    clearance: ClearanceHandle<P, C>,
    observer: Observer<P, C>,
    activity: P::Arc<Activity<P>>,
    guard: Guard<P, C>,
    /// Whether the machine has had a predecessor.
    rebuilt: bool,
}

/// The handle of the Quarantine.
pub(crate) struct QuarantineHandle<P: Primitives, C: Consensus> {
    post: Post<P, QuarantineMessage<P, C>>,
    next_id: P::Arc<P::AtomicU64>,
    held: Arc<Gauge>,
}

impl<P: Primitives, C: Consensus> Clone for QuarantineHandle<P, C> {
    fn clone(&self) -> Self {
        Self { post: self.post.clone(), next_id: self.next_id.clone(), held: self.held.clone() }
    }
}

/// Bounds of the Quarantine's mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    /// Messages of the network and the clock; who finds them taken waits.
    pub(crate) network: usize,
    /// Reserved for answers of the Rewinder and of Clearance (hazard M8).
    pub(crate) replies: usize,
}

impl Slots {
    /// Returns slots that suffice whatever the schedule.
    ///
    /// Checks: at most `window` are under way or answered and unread. Clearance's answers: those
    /// not yet given are at most its mailbox, the message it handles and the one being sent
    /// (`clearance + 2`). Those given and unread: while the oldest of them is unread, only messages
    /// queued before it are handled, of which at most `network + window` (ticks and answered
    /// checks) send one more each.
    pub(crate) fn for_clearance(network: usize, window: usize, clearance: usize) -> Self {
        let sum = |sizes: [usize; 3]| sizes.into_iter().fold(0, usize::saturating_add);
        let unread = sum([1, network, window]);
        Self { network, replies: sum([window, clearance.saturating_add(2), unread]) }
    }
}

impl<P: Primitives, C: Consensus> QuarantineService<P, C> {
    /// Returns the service and the way to it; `guard`'s supervisor is given the way to stop it.
    #[expect(clippy::too_many_arguments, reason = "everything that the service talks to, once")]
    pub(crate) fn new(
        consensus: Arc<C>,
        machine: Quarantine<C>,
        slots: Slots,
        rewinder: RewinderHandle<P, C>,
        clearance: ClearanceHandle<P, C>,
        observer: Observer<P, C>,
        activity: &P::Arc<Activity<P>>,
        guard: Guard<P, C>,
    ) -> (Self, QuarantineHandle<P, C>) {
        // One more slot for the stop, which may come from anywhere and must not wait.
        let (sender, mailbox) = mailbox::mailbox(slots.network, slots.replies + 1, OnFull::Block);
        let (permit, last, counted) = (mailbox.permit(), sender.clone(), activity.clone());
        guard.supervisor().stop_by(move || {
            if let Some(permit) = permit {
                drop(permit.send(Mail::new(&counted, QuarantineMessage::Stop)));
            }
            last.close();
        });
        let held = Arc::new(Gauge::new(machine.limits().items));
        let handle = QuarantineHandle {
            post: Post::new(sender, activity),
            next_id: P::arc(P::AtomicU64::new(0)),
            held: held.clone(),
        };
        let service = Self {
            machine,
            mailbox,
            verdicts: BTreeMap::new(),
            held,
            consensus,
            rewinder,
            clearance,
            observer,
            activity: activity.clone(),
            guard,
            rebuilt: false,
        };
        (service, handle)
    }

    /// Serves until the mailbox is closed, empty, and every answer has come; then lets Clearance
    /// end. `ended` is dropped last.
    pub(crate) fn run(mut self, ended: oneshot::Sender<P, ()>) {
        let below = self.clearance.clone();
        let _end = EndGuard::new(self.guard.shared(), ended, move || below.post().close());
        serve(&mut self, |service| &service.mailbox, Self::turn);
    }

    /// Handles a message. Returns whether the service goes on.
    fn turn(&mut self, message: QuarantineMessage<P, C>) -> bool {
        let word = message.word();
        let (event, duty) = match self.split(message) {
            Ok(parts) => parts,
            Err(question) => {
                if let Ok(pending) = self.guard.look(word, || self.machine.pending()) {
                    // A requester that is gone needs no reply.
                    let _ = question.send(pending);
                }
                return true;
            }
        };
        let step = self.guard.step(word, || self.machine.handle(&self.consensus, event));
        // Clearance hears of the slot before it hears of what the slot releases.
        if let (Duty::Tick { slot, .. }, Ok(_) | Err(Loss::Message)) = (&duty, &step)
            && let Some(reply) = self.receipt(None)
        {
            self.clearance.send(ClearanceMessage::Tick { slot: *slot, reply });
        }
        match (step, duty) {
            (Ok(effects), duty) => {
                if let Duty::Verdict { id, verdict } = duty {
                    self.verdicts.insert(id, verdict);
                    self.held.accepted(1);
                }
                self.carry_out_all(word, effects)
            }
            (Err(Loss::Message), Duty::Instead(event)) => self.follow_up(word, event),
            (Err(Loss::Message), Duty::Tick { slot, seconds_into_slot }) => {
                self.follow_up(word, Event::Tick { slot, seconds_into_slot })
            }
            // The duty is dropped with the message: a submitter learns of the fault by that.
            (Err(Loss::Message), Duty::None | Duty::Verdict { .. }) => true,
            (Err(Loss::Machine), duty) => {
                let stops = matches!(duty, Duty::Instead(Event::Stop));
                drop(duty);
                self.rebuild() && (!stops || self.follow_up(word, Event::Stop))
            }
        }
    }

    /// Splits a message into the machine's event and what else hangs on it.
    ///
    /// # Errors
    /// Where the answer goes, if the message is a question that is no event.
    fn split(&self, message: QuarantineMessage<P, C>) -> Result<Parts<P, C>, PendingSender<P>> {
        Ok(match message {
            QuarantineMessage::Submit { id, item, verdict } => {
                (Event::Submit { id, item }, Duty::Verdict { id, verdict })
            }
            QuarantineMessage::Answered { request, answer } => {
                if let Answer::Fault(text) = &answer {
                    tracing::error!(request, text, "a check failed on our side");
                }
                let lost = Answer::Fault("the answer was lost".to_owned());
                let instead = Event::Answered { request, answer: lost };
                (Event::Answered { request, answer }, Duty::Instead(instead))
            }
            // Clearance has the item, but whoever submitted it is told that it failed: it may come
            // again, and is found to be there.
            QuarantineMessage::Imported { request, finalized } => {
                let instead = request.map(|request| Event::NotImported { request });
                (Event::Imported { request, finalized }, instead.map_or(Duty::None, Duty::Instead))
            }
            QuarantineMessage::NotImported { request } => {
                let instead = Event::NotImported { request };
                (Event::NotImported { request }, Duty::Instead(instead))
            }
            QuarantineMessage::Tick { slot, seconds_into_slot } => {
                let duty = Duty::Tick { slot, seconds_into_slot };
                (Event::Tick { slot, seconds_into_slot }, duty)
            }
            QuarantineMessage::Stop => {
                self.guard.supervisor().note_held(self.verdicts.len());
                (Event::Stop, Duty::Instead(Event::Stop))
            }
            QuarantineMessage::Pending(question) => return Err(question),
        })
    }

    /// Hands the machine an event that no message brought, and those that follow from it. Returns
    /// whether the service goes on.
    fn follow_up(&mut self, word: &'static str, event: Event<C>) -> bool {
        let mut events = vec![event];
        // Bounded: an event that follows gives one item up.
        while let Some(event) = events.pop() {
            match self.guard.follow_up(word, || self.machine.handle(&self.consensus, event)) {
                Ok(effects) => {
                    for effect in effects {
                        events.extend(self.carry_out(effect));
                    }
                }
                Err(_) => return self.rebuild(),
            }
        }
        true
    }

    /// Replaces a machine that was cut short by one that knows what Clearance has. Everything that
    /// was held is answered by the drop of its sender. Returns whether there is a successor.
    fn rebuild(&mut self) -> bool {
        self.held.evicted(self.verdicts.len() as u64);
        self.verdicts.clear();
        let Some((finalized, chain)) = self.clearance.chain() else { return false };
        self.machine = self.machine.successor(finalized, chain);
        self.rebuilt = true;
        true
    }

    /// Returns whether the service goes on.
    fn carry_out_all(&mut self, word: &'static str, effects: Vec<Effect<C>>) -> bool {
        let mut events = Vec::new();
        for effect in effects {
            events.extend(self.carry_out(effect));
        }
        events.into_iter().all(|event| self.follow_up(word, event))
    }

    /// Returns the event that follows at once, if the effect cannot be carried out.
    fn carry_out(&mut self, effect: Effect<C>) -> Option<Event<C>> {
        match effect {
            Effect::Check { request, job } => return self.check(request, job),
            Effect::ClearBlock { request, block, timely } => {
                let Some(reply) = self.receipt(Some(request)) else {
                    return Some(Event::NotImported { request });
                };
                self.clearance.send(ClearanceMessage::Block { block, timely, reply });
            }
            Effect::ClearAttestation { request, attestation } => {
                let Some(reply) = self.receipt(Some(request)) else {
                    return Some(Event::NotImported { request });
                };
                self.clearance.send(ClearanceMessage::Attestation { attestation, reply });
            }
            Effect::Verdict { id, verdict } => {
                if let Some(sender) = self.verdicts.remove(&id) {
                    self.held.received(1);
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

    /// Returns the way back for Clearance's answer to a tick, or to the item of a request.
    fn receipt(&mut self, request: Option<RequestId>) -> Option<Receipt<C>> {
        let permit = self.permit()?;
        let activity = self.activity.clone();
        Some(Receipt::new(move |finalized| {
            let message = match (finalized, request) {
                (Some(finalized), request) => QuarantineMessage::Imported { request, finalized },
                (None, Some(request)) => QuarantineMessage::NotImported { request },
                // A tick that was lost: the next one says the same.
                (None, None) => return,
            };
            drop(permit.send(Mail::new(&activity, message)));
        }))
    }

    /// Takes a reserved slot. There are as many as answers can be outstanding, see
    /// [`Slots::for_clearance`]; only a rebuilt machine, which does not count what its predecessor
    /// asked, may find none, and gives the item up.
    fn permit(&mut self) -> Option<mailbox::Permit<P, Mailbox<P, C>>> {
        let permit = self.mailbox.permit();
        let bounded = permit.is_some() || self.rebuilt;
        debug_assert!(bounded, "more answers outstanding than slots were reserved");
        permit
    }
}

impl<P: Primitives, C: Consensus> QuarantineHandle<P, C> {
    /// Submits an item; blocks while the mailbox is full. If the Quarantine is gone the verdict's
    /// end says so.
    pub(crate) fn submit(&self, item: Quarantined<Item<C>>) -> (ItemId, VerdictReceiver<P, C>) {
        let (id, message, receiver) = self.submission(item);
        self.post.send(message);
        (id, receiver)
    }

    /// As [`QuarantineHandle::submit`], for a task: it awaits room.
    pub(crate) async fn submit_async(
        &self,
        item: Quarantined<Item<C>>,
    ) -> (ItemId, VerdictReceiver<P, C>) {
        let (id, message, receiver) = self.submission(item);
        self.post.send_async(message).await;
        (id, receiver)
    }

    fn submission(
        &self,
        item: Quarantined<Item<C>>,
    ) -> (ItemId, QuarantineMessage<P, C>, VerdictReceiver<P, C>) {
        let (verdict, receiver) = oneshot::channel();
        // ORDERING: relaxed; the number is unique, nothing else hangs on it.
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        (id, QuarantineMessage::Submit { id, item, verdict }, receiver)
    }

    /// Returns what a message goes through: its figures, and its close.
    pub(crate) fn post(&self) -> &Post<P, QuarantineMessage<P, C>> {
        &self.post
    }

    /// Returns the gauge of the submissions without a verdict.
    pub(crate) fn held(&self) -> Arc<Gauge> {
        self.held.clone()
    }
}
