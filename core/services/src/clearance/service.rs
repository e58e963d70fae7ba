//! Clearance's thread and mailbox; see [`crate::clearance`].

use std::sync::Arc;

use blocksmith_sync::Primitives;
use blocksmith_sync::broker::{Ask, Broker};
use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::oneshot;

use crate::activity::{Activity, Mail, Post, serve};
use crate::clearance::machine::{ChainView, Clearance, Effect, Event};
use crate::consensus::{Balances, Checkpoint, Consensus, Slot};
use crate::hot_db::HotDbHandle;
use crate::notice::Notice;
use crate::observer::Observer;
use crate::rewinder::{Answer, Job, Lane, ReplyTo, RewinderHandle};
use crate::supervision::{EndGuard, Guard, Loss, Steps, contain};
use crate::verdict::{ClearedAttestation, ClearedBlock};

/// Requests for balances that may be under way at once: one for the checkpoint that is justified,
/// one for its predecessor that is not answered yet.
const BALANCE_REQUESTS: usize = 2;

type Tell<C> = Box<dyn FnOnce(Option<Checkpoint<<C as Consensus>::Root>>) + Send>;

/// Where Clearance says that it has taken a message in. Dropped without that, it says that the
/// message is lost.
pub(crate) struct Receipt<C: Consensus>(Option<Tell<C>>);

impl<C: Consensus> Receipt<C> {
    /// `tell` gets the finalised checkpoint, or `None` if the message is lost. It must not block.
    pub(crate) fn new(tell: impl FnOnce(Option<Checkpoint<C::Root>>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    fn taken(mut self, finalized: Checkpoint<C::Root>) {
        if let Some(tell) = self.0.take() {
            tell(Some(finalized));
        }
    }
}

impl<C: Consensus> Drop for Receipt<C> {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(None);
        }
    }
}

/// The finalised checkpoint; root, parent and slot of every block of the fork choice.
pub(crate) type Chain<R> = (Checkpoint<R>, Vec<(R, R, Slot)>);

/// What Clearance can be told.
pub(crate) enum ClearanceMessage<P: Primitives, C: Consensus> {
    Block { block: Box<ClearedBlock<C>>, timely: bool, reply: Receipt<C> },
    Attestation { attestation: Box<ClearedAttestation<C>>, reply: Receipt<C> },
    Tick { slot: Slot, reply: Receipt<C> },
    Balances { checkpoint: Checkpoint<C::Root>, balances: Option<Balances> },
    View(oneshot::Sender<P, ChainView<C::Root>>),
    Chain(oneshot::Sender<P, Chain<C::Root>>),
}

/// A Clearance that has not been started.
pub(crate) struct ClearanceService<P: Primitives, C: Consensus> {
    machine: Clearance<C>,
    mailbox: mailbox::Receiver<P, Mail<P, ClearanceMessage<P, C>>>,
    consensus: Arc<C>,
    rewinder: RewinderHandle<P, C>,
    hot_db: HotDbHandle<P, C>,
    observer: Observer<P, C>,
    broker: Broker<P>,
    activity: P::Arc<Activity<P>>,
    guard: Guard<P, C>,
}

/// The handle of Clearance.
pub(crate) struct ClearanceHandle<P: Primitives, C: Consensus>(Post<P, ClearanceMessage<P, C>>);

impl<P: Primitives, C: Consensus> Clone for ClearanceHandle<P, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Primitives, C: Consensus> ClearanceMessage<P, C> {
    /// Returns the kind of message, for reports.
    fn word(&self) -> &'static str {
        match self {
            Self::Block { .. } => "block",
            Self::Attestation { .. } => "attestation",
            Self::Tick { .. } => "tick",
            Self::Balances { .. } => "balances",
            Self::View(_) | Self::Chain(_) => "question",
        }
    }
}

impl<P: Primitives, C: Consensus> ClearanceService<P, C> {
    /// Returns the service and the way to it. `capacity` bounds its mailbox; who finds it full
    /// waits.
    #[expect(clippy::too_many_arguments, reason = "everything that the service talks to, once")]
    pub(crate) fn new(
        consensus: Arc<C>,
        machine: Clearance<C>,
        capacity: usize,
        rewinder: RewinderHandle<P, C>,
        hot_db: HotDbHandle<P, C>,
        observer: Observer<P, C>,
        broker: Broker<P>,
        activity: &P::Arc<Activity<P>>,
        guard: Guard<P, C>,
    ) -> (Self, ClearanceHandle<P, C>) {
        let (sender, mailbox) = mailbox::mailbox(capacity, BALANCE_REQUESTS, OnFull::Block);
        let handle = ClearanceHandle(Post::new(sender, activity));
        let activity = activity.clone();
        let service = Self {
            machine,
            mailbox,
            consensus,
            rewinder,
            hot_db,
            observer,
            broker,
            activity,
            guard,
        };
        (service, handle)
    }

    /// Serves until the mailbox is closed, empty, and no request for balances is under way; then
    /// lets the Rewinder end. `ended` is dropped last.
    pub(crate) fn run(mut self, ended: oneshot::Sender<P, ()>) {
        let below = self.rewinder.clone();
        let _end = EndGuard::new(self.guard.shared(), ended, move || below.close());
        serve(
            &mut self,
            |service| &service.mailbox,
            |service, message| service.follow_the_load() && service.turn(message),
        );
    }

    /// Stops or resumes slashing detection as the broker's level asks. Returns whether the service
    /// goes on.
    fn follow_the_load(&mut self) -> bool {
        let on = !self.broker.asks(Ask::StopSlashingDetection);
        if on == self.machine.detects() {
            return true;
        }
        let event = Event::Detection { on };
        let step = self.guard.follow_up("load", || self.machine.handle(&self.consensus, event));
        let Ok(effects) = step else { return false };
        effects.into_iter().for_each(|effect| self.carry_out(effect));
        true
    }

    /// Handles a message. Returns whether the service goes on: not if its machine is torn, as votes
    /// and balances are nowhere else.
    fn turn(&mut self, message: ClearanceMessage<P, C>) -> bool {
        let word = message.word();
        // What must be answered is kept out of the step; its drop answers, too.
        let (event, receipt) = match message {
            ClearanceMessage::Block { block, timely, reply } => {
                (Event::Block { block, timely }, Some(reply))
            }
            ClearanceMessage::Attestation { attestation, reply } => {
                (Event::Attestation(attestation), Some(reply))
            }
            ClearanceMessage::Tick { slot, reply } => (Event::Tick { slot }, Some(reply)),
            ClearanceMessage::Balances { checkpoint, balances } => {
                (Event::Balances { checkpoint, balances }, None)
            }
            ClearanceMessage::View(reply) => {
                if let Ok(view) = self.guard.look(word, || self.machine.view()) {
                    // A requester that is gone needs no reply.
                    let _ = reply.send(view);
                }
                return true;
            }
            ClearanceMessage::Chain(reply) => {
                let look = || (self.machine.view().finalized, self.machine.blocks());
                if let Ok(chain) = self.guard.look(word, look) {
                    let _ = reply.send(chain);
                }
                return true;
            }
        };
        // If the message is lost, the machine is told this: the balances that it waits for cannot
        // be had now, or the time, which is all that a tick carries and which the Quarantine has,
        // too.
        let instead = match &event {
            Event::Balances { checkpoint, .. } => {
                Some(Event::Balances { checkpoint: *checkpoint, balances: None })
            }
            Event::Tick { slot } => Some(Event::Tick { slot: *slot }),
            Event::Block { .. } | Event::Attestation(_) | Event::Detection { .. } => None,
        };
        let step = self.guard.step(word, || self.machine.handle(&self.consensus, event));
        let step = match (step, instead) {
            (Err(Loss::Message), Some(event)) => {
                self.guard.follow_up(word, || self.machine.handle(&self.consensus, event))
            }
            (step, _) => step,
        };
        match step {
            Ok(effects) => {
                let imported =
                    !effects.iter().any(|effect| matches!(effect, Effect::NotImported { .. }));
                for effect in effects {
                    self.carry_out(effect);
                }
                // Dropped otherwise: whoever submitted the block is told of a fault.
                if let Some(receipt) = receipt.filter(|_| imported) {
                    receipt.taken(self.machine.view().finalized);
                }
                true
            }
            Err(loss) => loss == Loss::Message,
        }
    }

    fn carry_out(&mut self, effect: Effect<C>) {
        match effect {
            Effect::Prune { finalized, justified, head } => {
                self.hot_db.prune(finalized, justified, head);
            }
            Effect::RequestBalances(checkpoint) => self.request_balances(checkpoint),
            Effect::HeadChanged { old, new, reorg_depth } => {
                self.observer.tell(Notice::HeadChanged { old, new, reorg_depth });
            }
            Effect::Justified(checkpoint) => self.observer.tell(Notice::Justified(checkpoint)),
            Effect::Finalized(checkpoint) => self.observer.tell(Notice::Finalized(checkpoint)),
            Effect::Equivocation { proposer, slot, roots } => {
                self.observer.tell(Notice::Equivocation { proposer, slot, roots });
            }
            Effect::Detection { on, skipped } => {
                self.observer.tell(Notice::SlashingDetection { on, skipped });
            }
            Effect::DoubleVote { validators } => {
                self.observer.tell(Notice::DoubleVote { validators });
            }
            Effect::SurroundVote { validators } => {
                self.observer.tell(Notice::SurroundVote { validators });
            }
            Effect::NotImported { root, refusal } => {
                tracing::error!(?root, %refusal, "a cleared block is not in the fork choice");
                self.observer.tell(Notice::NotImported { root, refusal });
            }
        }
    }

    /// Has the checkpoint's state loaded. The answer comes as a message into a reserved slot.
    fn request_balances(&mut self, checkpoint: Checkpoint<C::Root>) {
        let Some(permit) = self.mailbox.permit() else {
            // Both requests are under way; this one is repeated at the next tick.
            let event = Event::Balances { checkpoint, balances: None };
            let step = || self.machine.handle(&self.consensus, event);
            let effects = self.guard.follow_up("balances", step);
            debug_assert!(effects.is_ok_and(|effects| effects.is_empty()), "it asks for nothing");
            return;
        };
        let (consensus, activity) = (self.consensus.clone(), self.activity.clone());
        let reply = ReplyTo::new(move |answer| {
            let balances = match answer {
                // This runs in a worker's thread, outside of its step.
                Answer::State(at) => contain(|| consensus.balances(&at.state).ok()).ok().flatten(),
                _ => None,
            };
            let message = ClearanceMessage::Balances { checkpoint, balances };
            // Refused only if Clearance is gone, and then nobody needs them.
            drop(permit.send(Mail::new(&activity, message)));
        });
        let slot = self.consensus.start_slot(checkpoint.epoch);
        self.rewinder.submit(Lane::Queries, Job::State { root: checkpoint.root, slot }, reply);
    }
}

impl<P: Primitives, C: Consensus> ClearanceHandle<P, C> {
    /// Blocks while the mailbox is full; Clearance waits for nobody who waits for the caller. If it
    /// is gone the message is dropped.
    pub(crate) fn send(&self, message: ClearanceMessage<P, C>) {
        self.0.send(message);
    }

    /// Asks for the blocks of the fork choice and blocks for the reply. `None` if Clearance is
    /// gone.
    pub(crate) fn chain(&self) -> Option<Chain<C::Root>> {
        let (reply, answer) = oneshot::channel();
        self.send(ClearanceMessage::Chain(reply));
        answer.recv().ok()
    }

    /// Returns what a message goes through: its figures, and its close.
    pub(crate) fn post(&self) -> &Post<P, ClearanceMessage<P, C>> {
        &self.0
    }
}
