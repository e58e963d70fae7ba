//! Clearance's thread and mailbox; see [`crate::clearance`].

use std::sync::Arc;

use blocksmith_sync::Primitives;
use blocksmith_sync::broker::{Ask, Broker};
use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::{oneshot, watch};

use crate::activity::{Activity, Mail, Post, serve};
use crate::clearance::machine::{ChainView, Clearance};
use crate::clearance::material::Material;
use crate::clearance::shell::{self, Chain, Message, Ports, Request, STATE_REQUESTS};
use crate::cold_db::{ColdDbHandle, Record};
use crate::consensus::{Checkpoint, Consensus};
use crate::hot_db::{HotDbHandle, Prune};
use crate::notice::NoticeOf;
use crate::observer::Observer;
use crate::rewinder::{Job, Lane, ReplyTo, RewinderHandle};
use crate::supervision::{EndGuard, Guard, Loss};

/// How often the blocks of the fork choice are asked for. Each question that is lost is a panic of
/// Clearance, which the supervisor counts: at the default intensity it stops the services before.
const CHAIN_QUESTIONS: usize = 16;

type Tell<C> = Box<dyn FnOnce(Option<Checkpoint<<C as Consensus>::Root>>) + Send>;

/// The end on which Clearance says that it has taken an import in. If it is dropped without that,
/// it says that the import is lost.
pub(crate) struct Receipt<C: Consensus>(Option<Tell<C>>);

impl<C: Consensus> Receipt<C> {
    /// `tell` gets the finalised checkpoint, or `None` if the import is lost. It must not block.
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

/// What a thread tells Clearance: replies come by one-shots.
pub(crate) type ClearanceMessage<P, C> = Message<
    C,
    Receipt<C>,
    oneshot::Sender<P, ChainView<<C as Consensus>::Root>>,
    oneshot::Sender<P, Chain<<C as Consensus>::Root>>,
    oneshot::Sender<P, Material<C>>,
>;

/// A Clearance that has not been started.
pub(crate) struct ClearanceService<P: Primitives, C: Consensus> {
    machine: Box<Clearance<C>>,
    consensus: Arc<C>,
    ports: Threads<P, C>,
    guard: Guard<P, C>,
}

/// Clearance's connections where the services are threads.
struct Threads<P: Primitives, C: Consensus> {
    mailbox: mailbox::Receiver<P, Mail<P, ClearanceMessage<P, C>>>,
    /// For the answers to requests, which arrive on other threads.
    consensus: Arc<C>,
    rewinder: RewinderHandle<P, C>,
    hot_db: HotDbHandle<P, C>,
    /// `None` if nothing is stored.
    cold_db: Option<ColdDbHandle<P, C>>,
    observer: Observer<P, C>,
    broker: Broker<P>,
    view: watch::Sender<P, ChainView<C::Root>>,
    /// What the watch shows.
    told: ChainView<C::Root>,
    activity: P::Arc<Activity<P>>,
}

/// The handle of Clearance.
pub(crate) struct ClearanceHandle<P: Primitives, C: Consensus> {
    post: Post<P, ClearanceMessage<P, C>>,
    view: watch::Sender<P, ChainView<C::Root>>,
}

impl<P: Primitives, C: Consensus> Clone for ClearanceHandle<P, C> {
    fn clone(&self) -> Self {
        Self { post: self.post.clone(), view: self.view.clone() }
    }
}

impl<P: Primitives, C: Consensus> ClearanceService<P, C> {
    /// Returns the service and its handle. `capacity` bounds its mailbox; a sender that finds it
    /// full waits.
    #[expect(clippy::too_many_arguments, reason = "everything that the service talks to, once")]
    pub(crate) fn new(
        consensus: Arc<C>,
        machine: Box<Clearance<C>>,
        capacity: usize,
        rewinder: RewinderHandle<P, C>,
        hot_db: HotDbHandle<P, C>,
        cold_db: Option<ColdDbHandle<P, C>>,
        observer: Observer<P, C>,
        broker: Broker<P>,
        activity: &P::Arc<Activity<P>>,
        guard: Guard<P, C>,
    ) -> (Self, ClearanceHandle<P, C>) {
        let (sender, mailbox) = mailbox::mailbox(capacity, STATE_REQUESTS, OnFull::Block);
        let (view, _) = watch::watch(machine.view());
        let handle = ClearanceHandle { post: Post::new(sender, activity), view: view.clone() };
        let ports = Threads {
            mailbox,
            consensus: consensus.clone(),
            rewinder,
            hot_db,
            cold_db,
            observer,
            broker,
            view,
            told: machine.view(),
            activity: activity.clone(),
        };
        (Self { machine, consensus, ports, guard }, handle)
    }

    /// Serves until the mailbox is closed and empty and no request for a state is under way. Then
    /// it lets the Rewinder and the ColdDB end. `ended` is dropped last.
    pub(crate) fn run(mut self, ended: oneshot::Sender<P, ()>) {
        let (rewinder, cold_db) = (self.ports.rewinder.clone(), self.ports.cold_db.clone());
        let view = self.ports.view.clone();
        let below = move || {
            view.close();
            rewinder.close();
            if let Some(cold_db) = &cold_db {
                cold_db.close();
            }
        };
        let _end = EndGuard::new(&self.guard, ended, below);
        serve(
            &mut self,
            |service| &service.ports.mailbox,
            |service, message| service.turn(message).is_ok(),
        );
    }

    /// Handles a message. An error ends the service: its machine is torn, and votes and balances
    /// are nowhere else.
    fn turn(&mut self, message: ClearanceMessage<P, C>) -> Result<(), Loss> {
        let Self { machine, consensus, ports, guard } = self;
        for work in shell::turn(machine, &**consensus, guard, ports, message)? {
            shell::carry_out(machine, &**consensus, guard, ports, work)?;
        }
        let view = machine.view();
        if view != ports.told {
            ports.told = view;
            // The watch is closed by this service alone.
            drop(ports.view.send(view));
        }
        Ok(())
    }
}

impl<P: Primitives, C: Consensus> Ports<C> for Threads<P, C> {
    type Receipt = Receipt<C>;
    type View = oneshot::Sender<P, ChainView<C::Root>>;
    type Chain = oneshot::Sender<P, Chain<C::Root>>;
    type Candidates = oneshot::Sender<P, Material<C>>;
    type Slot = mailbox::Permit<P, Mail<P, ClearanceMessage<P, C>>>;

    fn wants_detection(&self) -> bool {
        !self.broker.asks(Ask::StopSlashingDetection)
    }

    fn view(&mut self, to: Self::View, view: ChainView<C::Root>) {
        // A requester that is gone needs no reply.
        let _ = to.send(view);
    }

    fn chain(&mut self, to: Self::Chain, chain: Chain<C::Root>) {
        let _ = to.send(chain);
    }

    fn candidates(&mut self, to: Self::Candidates, material: Material<C>) {
        let _ = to.send(material);
    }

    fn prune(&mut self, keep: Prune<C::Root>) {
        self.hot_db.prune(keep);
    }

    fn reserve(&mut self) -> Option<Self::Slot> {
        self.mailbox.permit()
    }

    fn request(&mut self, slot: Self::Slot, request: Request<C>, lane: Lane, job: Job<C>) {
        let (consensus, activity) = (self.consensus.clone(), self.activity.clone());
        let reply = ReplyTo::new(move |answer| {
            // This runs in a worker's thread, outside of its step.
            let message = Message::reply(&*consensus, request, answer);
            // The send is refused only if Clearance is gone, and then nobody needs the reply.
            drop(slot.send(Mail::new(&activity, message)));
        });
        self.rewinder.submit_own(lane, job, reply);
    }

    fn keeps_records(&self) -> bool {
        self.cold_db.is_some()
    }

    fn record(&mut self, record: Record<C>) {
        if let Some(cold_db) = &self.cold_db {
            cold_db.record(record);
        }
    }

    fn finalized(&mut self, checkpoint: Checkpoint<C::Root>) {
        if let Some(cold_db) = &self.cold_db {
            cold_db.finalized(checkpoint);
        }
    }

    fn tell(&mut self, notice: NoticeOf<C>) {
        self.observer.tell(notice);
    }

    fn taken(&mut self, to: Receipt<C>, finalized: Checkpoint<C::Root>) {
        to.taken(finalized);
    }

    fn lost(&mut self, to: Receipt<C>) {
        drop(to);
    }
}

impl<P: Primitives, C: Consensus> ClearanceHandle<P, C> {
    /// Sends a message. Blocks while the mailbox is full; Clearance waits for no thread that waits
    /// for the caller. If Clearance is gone, the message is dropped.
    pub(crate) fn send(&self, message: ClearanceMessage<P, C>) {
        self.post.send(message);
    }

    /// Asks for the view of the chain and blocks for the reply. `None` if Clearance is gone, or has
    /// lost the question by a panic.
    pub(crate) fn view(&self) -> Option<ChainView<C::Root>> {
        let (reply, answer) = oneshot::channel();
        self.send(ClearanceMessage::View(reply));
        answer.recv().ok()
    }

    /// Asks for the blocks of the fork choice and blocks for the reply. A question that Clearance
    /// has lost by a panic is asked again, [`CHAIN_QUESTIONS`] times in all. `None` if Clearance is
    /// gone, or has lost every one of them.
    pub(crate) fn chain(&self) -> Option<Chain<C::Root>> {
        for _ in 0..CHAIN_QUESTIONS {
            let (reply, answer) = oneshot::channel();
            if !self.post.send(ClearanceMessage::Chain(reply)) {
                return None;
            }
            if let Ok(chain) = answer.recv() {
                return Some(chain);
            }
        }
        None
    }

    /// Returns the sending end of the mailbox, which has its figures and its close.
    pub(crate) fn post(&self) -> &Post<P, ClearanceMessage<P, C>> {
        &self.post
    }

    /// Returns a reader of the view of the chain. The watch closes when Clearance ends.
    pub(crate) fn watch(&self) -> watch::Receiver<P, ChainView<C::Root>> {
        self.view.subscribe()
    }
}
