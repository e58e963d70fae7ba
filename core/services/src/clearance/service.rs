//! Clearance's thread and mailbox; see [`crate::clearance`].

use std::sync::Arc;

use blocksmith_sync::Primitives;
use blocksmith_sync::mailbox::{self, Counters, OnFull};
use blocksmith_sync::oneshot;

use crate::activity::{Activity, Mail};
use crate::clearance::machine::{ChainView, Clearance, Effect, Event};
use crate::consensus::{Balances, Checkpoint, Consensus, Slot};
use crate::hot_db::HotDbHandle;
use crate::notice::Notice;
use crate::observer::Observer;
use crate::rewinder::{Answer, Job, Lane, ReplyTo, RewinderHandle};
use crate::verdict::{ClearedAttestation, ClearedBlock};

/// Requests for balances that may be under way at once: one for the checkpoint that is justified, one
/// for its predecessor that is not answered yet.
const BALANCE_REQUESTS: usize = 2;

/// Sends the finalised checkpoint back to who sent the message; never blocks.
pub(crate) type Imported<C> = Box<dyn FnOnce(Checkpoint<<C as Consensus>::Root>) + Send>;

/// What Clearance can be told.
pub(crate) enum ClearanceMessage<P: Primitives, C: Consensus> {
    Block { block: Box<ClearedBlock<C>>, timely: bool, reply: Imported<C> },
    Attestation { attestation: Box<ClearedAttestation<C>>, reply: Imported<C> },
    Tick { slot: Slot, reply: Imported<C> },
    Balances { checkpoint: Checkpoint<C::Root>, balances: Option<Balances> },
    View(oneshot::Sender<P, ChainView<C::Root>>),
}

/// A Clearance that has not been started.
pub(crate) struct ClearanceService<P: Primitives, C: Consensus> {
    machine: Clearance<C>,
    mailbox: mailbox::Receiver<P, Mail<P, ClearanceMessage<P, C>>>,
    consensus: Arc<C>,
    rewinder: RewinderHandle<P, C>,
    hot_db: HotDbHandle<P, C>,
    observer: Observer<P, C>,
    activity: P::Arc<Activity<P>>,
}

/// The way to Clearance.
pub(crate) struct ClearanceHandle<P: Primitives, C: Consensus> {
    mailbox: mailbox::Sender<P, Mail<P, ClearanceMessage<P, C>>>,
    activity: P::Arc<Activity<P>>,
}

impl<P: Primitives, C: Consensus> Clone for ClearanceHandle<P, C> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone(), activity: self.activity.clone() }
    }
}

impl<P: Primitives, C: Consensus> ClearanceService<P, C> {
    /// Returns the service and the way to it. `capacity` bounds its mailbox; who finds it full waits.
    pub(crate) fn new(
        consensus: Arc<C>,
        machine: Clearance<C>,
        capacity: usize,
        rewinder: RewinderHandle<P, C>,
        hot_db: HotDbHandle<P, C>,
        observer: Observer<P, C>,
        activity: &P::Arc<Activity<P>>,
    ) -> (Self, ClearanceHandle<P, C>) {
        let (sender, mailbox) = mailbox::mailbox(capacity, BALANCE_REQUESTS, OnFull::Block);
        let handle = ClearanceHandle { mailbox: sender, activity: activity.clone() };
        let activity = activity.clone();
        (Self { machine, mailbox, consensus, rewinder, hot_db, observer, activity }, handle)
    }

    /// Serves until the mailbox is closed, empty, and no request for balances is under way.
    pub(crate) fn run(mut self) {
        while let Ok(Mail { message, busy }) = self.mailbox.recv() {
            self.handle(message);
            drop(busy);
        }
    }

    fn handle(&mut self, message: ClearanceMessage<P, C>) {
        let (event, reply) = match message {
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
                // A requester that is gone needs no reply.
                let _ = reply.send(self.machine.view());
                return;
            }
        };
        for effect in self.machine.handle(&self.consensus, event) {
            self.carry_out(effect);
        }
        if let Some(reply) = reply {
            reply(self.machine.view().finalized);
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
            Effect::DoubleVote { validators } => {
                self.observer.tell(Notice::DoubleVote { validators });
            }
            Effect::SurroundVote { validators } => {
                self.observer.tell(Notice::SurroundVote { validators });
            }
        }
    }

    /// Has the checkpoint's state loaded. The answer comes as a message into a reserved slot.
    fn request_balances(&mut self, checkpoint: Checkpoint<C::Root>) {
        let Some(permit) = self.mailbox.permit() else {
            // Both requests are under way; this one is repeated at the next tick.
            let event = Event::Balances { checkpoint, balances: None };
            let effects = self.machine.handle(&self.consensus, event);
            debug_assert!(effects.is_empty(), "a failed request asks for nothing");
            return;
        };
        let (consensus, activity) = (self.consensus.clone(), self.activity.clone());
        let reply = ReplyTo::new(move |answer| {
            let balances = match answer {
                Answer::State(at) => consensus.balances(&at.state).ok(),
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
    /// Blocks while the mailbox is full; Clearance waits for nobody who waits for the caller. If it is
    /// gone the message is dropped.
    pub(crate) fn send(&self, message: ClearanceMessage<P, C>) {
        drop(self.mailbox.send(Mail::new(&self.activity, message)));
    }

    /// Asks for the view and blocks for the reply. `None` if Clearance is gone.
    pub(crate) fn view(&self) -> Option<ChainView<C::Root>> {
        let (reply, answer) = oneshot::channel();
        self.send(ClearanceMessage::View(reply));
        answer.recv().ok()
    }

    /// Lets the service end once it has served what is queued.
    pub(crate) fn close(&self) {
        self.mailbox.close();
    }

    pub(crate) fn counters(&self) -> Counters {
        self.mailbox.counters()
    }
}
