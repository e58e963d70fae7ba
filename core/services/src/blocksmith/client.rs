//! The handle through which a node uses running services, from any thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use blocksmith_sync::Primitives;
use blocksmith_sync::broker::{Broker, Change};
use blocksmith_sync::mailbox::{Counters, SendError};
use blocksmith_sync::{oneshot, watch};
use thiserror::Error;

use crate::activity::Activity;
use crate::attestation_pool::Candidates;
use crate::clearance::{BuildOn, ChainView, ClearanceHandle, ClearanceMessage, Wanted};
use crate::cold_db::ColdDbHandle;
use crate::consensus::{Consensus, Slot};
use crate::hot_db::HotDbHandle;
use crate::notice::Notice;
use crate::observer::Observer;
use crate::quarantine::{Item, ItemId, QuarantineHandle, QuarantineMessage, VerdictReceiver};
use crate::rewinder::{Answer, Job, Lane, ReplyTo, RewinderHandle};
use crate::store::{FinalizedBlock, MAX_REQUEST_BLOCKS, StoreError};
use crate::verdict::{DropReason, PendingReason, Quarantined, Verdict};

/// A submitted item, whose verdict comes exactly once. A thread waits for the verdict; an async
/// task awaits it.
#[must_use = "the verdict comes here"]
pub struct Submission<P: Primitives, C: Consensus> {
    id: ItemId,
    verdict: VerdictReceiver<P, C>,
    /// The verdict, once it was taken.
    known: Option<Box<Verdict<C::Root, C::Invalid>>>,
}

impl<P: Primitives, C: Consensus> Submission<P, C> {
    fn new((id, verdict): (ItemId, VerdictReceiver<P, C>)) -> Self {
        Self { id, verdict, known: None }
    }

    /// Returns the item's number, which notices and [`Client::pending`] use.
    pub fn id(&self) -> ItemId {
        self.id
    }

    /// Blocks until the verdict is there and returns it. An item whose parent never comes waits
    /// until the services stop. If the Quarantine is gone, the verdict is `Dropped(Fault)`.
    pub fn wait(self) -> Verdict<C::Root, C::Invalid> {
        if let Some(known) = self.known {
            return *known;
        }
        self.verdict.recv().unwrap_or(Verdict::Dropped(DropReason::Fault))
    }

    /// Returns the verdict if it is there, without blocking. Whoever asks again, in whatever way,
    /// gets the same verdict.
    pub fn try_wait(&mut self) -> Option<Verdict<C::Root, C::Invalid>> {
        if self.known.is_none() {
            let verdict = match self.verdict.try_recv() {
                Ok(verdict) => verdict,
                Err(oneshot::TryRecvError::Empty) => return None,
                Err(oneshot::TryRecvError::Closed) => Verdict::Dropped(DropReason::Fault),
            };
            self.known = Some(Box::new(verdict));
        }
        self.known.as_deref().cloned()
    }
}

/// Waits for the verdict like [`Submission::wait`], without blocking a thread. Dropping the
/// submission gives up waiting; the item is judged all the same.
impl<P: Primitives, C: Consensus> Future for Submission<P, C> {
    type Output = Verdict<C::Root, C::Invalid>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.known.is_none() {
            let Poll::Ready(verdict) = Pin::new(&mut self.verdict).poll(context) else {
                return Poll::Pending;
            };
            let verdict = verdict.unwrap_or(Verdict::Dropped(DropReason::Fault));
            self.known = Some(Box::new(verdict));
        }
        self.known.as_deref().cloned().map_or(Poll::Pending, Poll::Ready)
    }
}

/// Why the services cannot give a state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// The HotDB does not have the block.
    #[error("the block is not in the HotDB")]
    UnknownBlock,
    /// The slot lies before the block's.
    #[error("the slot lies before the block's own")]
    BeforeBlock,
    /// The slot lies further after the block's than [`crate::hot_db::Limits::distance`].
    #[error("the slot lies too far after the block's own")]
    TooFar,
    /// The lane is full.
    #[error("the Rewinder has as many requests of this lane as it may")]
    Busy,
    /// The services are stopping.
    #[error("the Rewinder takes no more requests")]
    Refused,
    /// We failed.
    #[error("fault: {0}")]
    Fault(String),
}

/// Why stored blocks cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The services were started without a store.
    #[error("there is no store")]
    NoStore,
    /// More was asked for than one request may ask for.
    #[error("{asked} were asked for, at most {MAX_REQUEST_BLOCKS} are allowed")]
    TooMany {
        /// How many.
        asked: u64,
    },
    /// As many questions wait for the ColdDB as may.
    #[error("the ColdDB has as many questions as it may")]
    Busy,
    /// The ColdDB is gone, or has ended before it had read them.
    #[error("the ColdDB is gone")]
    Gone,
    /// The store cannot read them.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Depths and totals of the mailboxes.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCounters {
    /// The Quarantine's mailbox.
    pub quarantine: Counters,
    /// Clearance's mailbox.
    pub clearance: Counters,
    /// The HotDB's mailbox.
    pub hot_db: Counters,
    /// The ColdDB's mailbox for records, if there is a store.
    pub cold_db: Option<Counters>,
    /// Questions that wait for the ColdDB, if there is a store.
    pub cold_db_questions: Option<Counters>,
    /// Unread notices.
    pub notices: Counters,
    /// Tasks that wait for a Rewinder worker.
    pub rewinder_waiting: usize,
}

/// Submits items and asks questions; a clone is another handle to the same services.
pub struct Client<P: Primitives, C: Consensus> {
    pub(crate) consensus: Arc<C>,
    pub(crate) quarantine: QuarantineHandle<P, C>,
    pub(crate) clearance: ClearanceHandle<P, C>,
    pub(crate) rewinder: RewinderHandle<P, C>,
    pub(crate) hot_db: HotDbHandle<P, C>,
    pub(crate) cold_db: Option<ColdDbHandle<P, C>>,
    pub(crate) observer: Observer<P, C>,
    pub(crate) broker: Broker<P>,
    pub(crate) activity: P::Arc<Activity<P>>,
}

impl<P: Primitives, C: Consensus> Clone for Client<P, C> {
    fn clone(&self) -> Self {
        Self {
            consensus: self.consensus.clone(),
            quarantine: self.quarantine.clone(),
            clearance: self.clearance.clone(),
            rewinder: self.rewinder.clone(),
            hot_db: self.hot_db.clone(),
            cold_db: self.cold_db.clone(),
            observer: self.observer.clone(),
            broker: self.broker.clone(),
            activity: self.activity.clone(),
        }
    }
}

impl<P: Primitives, C: Consensus> Client<P, C> {
    /// Submits a decoded block of `peer`; `bytes` is the size that quotas count. Blocks while the
    /// Quarantine's mailbox is full.
    pub fn submit_block(&self, block: C::Block, peer: u64, bytes: usize) -> Submission<P, C> {
        self.submit(Item::Block(block), peer, bytes)
    }

    /// Submits a decoded attestation; see [`Client::submit_block`].
    pub fn submit_attestation(
        &self,
        attestation: C::Attestation,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit(Item::Attestation(attestation), peer, bytes)
    }

    /// Decodes a block's wire form and submits it.
    ///
    /// # Errors
    /// Returns the reason if the bytes are not exactly one encoded block. It is the verdict:
    /// nothing has been submitted.
    pub fn submit_block_bytes(
        &self,
        bytes: &[u8],
        peer: u64,
    ) -> Result<Submission<P, C>, C::Invalid> {
        Ok(self.submit_block(self.consensus.decode_block(bytes)?, peer, bytes.len()))
    }

    /// Decodes an attestation's wire form and submits it.
    ///
    /// # Errors
    /// Returns the reason if the bytes are not exactly one encoded attestation. It is the verdict:
    /// nothing has been submitted.
    pub fn submit_attestation_bytes(
        &self,
        bytes: &[u8],
        peer: u64,
    ) -> Result<Submission<P, C>, C::Invalid> {
        Ok(self.submit_attestation(self.consensus.decode_attestation(bytes)?, peer, bytes.len()))
    }

    pub(super) fn submit(&self, item: Item<C>, peer: u64, bytes: usize) -> Submission<P, C> {
        Submission::new(self.quarantine.submit(Quarantined::new(item, peer, bytes)))
    }

    /// As [`Client::submit_block`], for an async task: it awaits room in the Quarantine's mailbox,
    /// and the submission that it returns is a future as well. If the call is dropped before it
    /// completes, nothing has been submitted.
    pub async fn submit_block_async(
        &self,
        block: C::Block,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit_async(Item::Block(block), peer, bytes).await
    }

    /// As [`Client::submit_attestation`], for an async task; see [`Client::submit_block_async`].
    pub async fn submit_attestation_async(
        &self,
        attestation: C::Attestation,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit_async(Item::Attestation(attestation), peer, bytes).await
    }

    pub(super) async fn submit_async(
        &self,
        item: Item<C>,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        let item = Quarantined::new(item, peer, bytes);
        Submission::new(self.quarantine.submit_async(item).await)
    }

    /// Tells the services the time: the current slot, and how long ago it began. Blocks while the
    /// Quarantine's mailbox is full. The services know no other time. A tick for each slot suffices
    /// for what waits for a slot; one more, half a second before a slot begins, lets votes pass
    /// that come early by that much ([`crate::gossip::MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS`]).
    pub fn tick(&self, slot: Slot, into_slot: Duration) {
        self.quarantine.post().send(tick(slot, into_slot));
    }

    /// As [`Client::tick`], for an async task: it awaits room in the mailbox.
    pub async fn tick_async(&self, slot: Slot, into_slot: Duration) {
        self.quarantine.post().send_async(tick(slot, into_slot)).await;
    }

    /// Gives a peer a weight, from 1 to [`crate::quarantine::MAX_WEIGHT`]; beyond these the bound
    /// counts. While peers have more than can be checked, a peer's share is multiplied by its
    /// weight: of two peers whose items have been judged alike, one of weight 2 gets twice the
    /// share of one of weight 1, which every peer has at first. A weight excuses nothing: a peer
    /// that sends invalid items loses its share all the same. It does not count in what a peer may
    /// hold.
    ///
    /// At most [`crate::quarantine::Limits::peers`] weights above 1 are kept. Beyond that, and when
    /// the Quarantine is rebuilt after a panic, weights are forgotten; whoever keeps scores gives
    /// them again. Blocks while the Quarantine's mailbox is full.
    pub fn weigh(&self, peer: u64, weight: u8) {
        self.quarantine.post().send(QuarantineMessage::Weigh { peer, weight });
    }

    /// As [`Client::weigh`], for an async task: it awaits room in the mailbox.
    pub async fn weigh_async(&self, peer: u64, weight: u8) {
        self.quarantine.post().send_async(QuarantineMessage::Weigh { peer, weight }).await;
    }

    /// Tells that the payload of block `root` is there and has been verified; the block need not be
    /// known. Blocks that are built on it and wait for it ([`Consensus::needs_payload`]) are
    /// judged. It may be told more than once, and is told again when [`Notice::NeedPayload`] asks.
    /// Blocks while the Quarantine's mailbox is full.
    pub fn payload(&self, root: C::Root) {
        self.quarantine.post().send(QuarantineMessage::Payload { root });
    }

    /// As [`Client::payload`], for an async task: it awaits room in the mailbox.
    pub async fn payload_async(&self, root: C::Root) {
        self.quarantine.post().send_async(QuarantineMessage::Payload { root }).await;
    }

    /// Blocks until nothing is queued and nothing is being handled in any service. Items that wait
    /// for a parent or a slot do not count. Other threads that go on submitting can keep the caller
    /// waiting.
    pub fn rest(&self) {
        self.activity.rest();
    }

    /// Returns the head and the justified and finalised checkpoints. Blocks until Clearance
    /// replies. Returns `None` if Clearance is gone or has lost the question by a panic.
    pub fn view(&self) -> Option<ChainView<C::Root>> {
        let (reply, answer) = oneshot::channel();
        self.clearance.post().send(ClearanceMessage::View(reply));
        answer.recv().ok()
    }

    /// As [`Client::view`], for an async task.
    pub async fn view_async(&self) -> Option<ChainView<C::Root>> {
        let (reply, answer) = oneshot::channel();
        self.clearance.post().send_async(ClearanceMessage::View(reply)).await;
        answer.await.ok()
    }

    /// Returns a reader of the head and the justified and finalised checkpoints. A reader that is
    /// slow skips views; it never misses the last one. The watch closes when Clearance ends. Does
    /// not block.
    pub fn watch_chain(&self) -> watch::Receiver<P, ChainView<C::Root>> {
        self.clearance.watch()
    }

    /// Returns every submission without a verdict and what it waits for. Blocks until the
    /// Quarantine replies. Returns `None` if the Quarantine is gone or has lost the question by a
    /// panic.
    pub fn pending(&self) -> Option<Vec<(ItemId, PendingReason)>> {
        let (reply, answer) = oneshot::channel();
        self.quarantine.post().send(QuarantineMessage::Pending(reply));
        answer.recv().ok()
    }

    /// As [`Client::pending`], for an async task.
    pub async fn pending_async(&self) -> Option<Vec<(ItemId, PendingReason)>> {
        let (reply, answer) = oneshot::channel();
        self.quarantine.post().send_async(QuarantineMessage::Pending(reply)).await;
        answer.await.ok()
    }

    /// Returns the state of block `root` advanced to `slot`. Blocks until a Rewinder worker has
    /// answered. For [`Lane::Duties`] a worker can be reserved (see
    /// [`super::Config::reserved_worker`]).
    ///
    /// # Errors
    /// Returns a [`StateError`] if the block is unknown, the slot lies before the block's or too
    /// far after it, the lane is full, or the Rewinder takes no more requests or fails.
    pub fn state_at(&self, root: C::Root, slot: Slot, lane: Lane) -> Result<C::State, StateError> {
        state_of(self.request_state(root, slot, lane).recv().ok())
    }

    /// As [`Client::state_at`], for an async task. If the call is dropped before it completes, it
    /// gives up waiting; the Rewinder goes on.
    ///
    /// # Errors
    /// As [`Client::state_at`].
    pub async fn state_at_async(
        &self,
        root: C::Root,
        slot: Slot,
        lane: Lane,
    ) -> Result<C::State, StateError> {
        state_of(self.request_state(root, slot, lane).await.ok())
    }

    /// Returns the finalised blocks of `count` slots from `start`, in the order of their slots
    /// (`BeaconBlocksByRange`, as far as the chain is final). Blocks until the ColdDB has read them
    /// from its store, and has written before that what was recorded earlier. The ColdDB answers
    /// one question after the other, and reads [`CHUNK`](crate::cold_db::reads::CHUNK) blocks
    /// between two batches of what the services record, so that questions hold up no import.
    ///
    /// # Errors
    /// Returns a [`ReadError`]: there is no store, `count` is larger than [`MAX_REQUEST_BLOCKS`],
    /// [`QUESTIONS`](crate::cold_db::reads::QUESTIONS) others wait already, the services stop, or
    /// the store fails.
    pub fn blocks_by_range(
        &self,
        start: Slot,
        count: u64,
    ) -> Result<Vec<FinalizedBlock<C>>, ReadError> {
        let cold_db = self.cold_db.as_ref().ok_or(ReadError::NoStore)?;
        if count > MAX_REQUEST_BLOCKS as u64 {
            return Err(ReadError::TooMany { asked: count });
        }
        Ok(cold_db.range(start, count).map_err(unasked)??)
    }

    /// Returns for each root its block, if the store has it, finalised or not
    /// (`BeaconBlocksByRoot`). Blocks as [`Client::blocks_by_range`].
    ///
    /// # Errors
    /// As [`Client::blocks_by_range`], for the number of roots.
    pub fn blocks_by_root(&self, roots: &[C::Root]) -> Result<Vec<Option<C::Block>>, ReadError> {
        let cold_db = self.cold_db.as_ref().ok_or(ReadError::NoStore)?;
        if roots.len() > MAX_REQUEST_BLOCKS {
            return Err(ReadError::TooMany { asked: roots.len() as u64 });
        }
        Ok(cold_db.roots(roots.to_vec()).map_err(unasked)??)
    }

    /// Asks the Rewinder for a state and returns the receiver of its answer. Does not block.
    pub(crate) fn request_state(
        &self,
        root: C::Root,
        slot: Slot,
        lane: Lane,
    ) -> oneshot::Receiver<P, Answer<C>> {
        let (sender, receiver) = oneshot::channel::<P, _>();
        let reply = ReplyTo::new(move |answer| {
            // The requester may be gone.
            let _ = sender.send(answer);
        });
        self.rewinder.submit(lane, Job::State { root, slot }, reply);
        receiver
    }

    /// Returns at most `max` attestations for a block on `parent`, the most valuable first: of
    /// those accepted, those that `state` admits and that add votes which `parent` and its
    /// ancestors do not include. `state` is that of `parent`, advanced to the block's slot (see
    /// [`Client::state_at`]). Blocks until Clearance replies, then chooses and sums signatures on the
    /// caller's thread. Returns `None` if Clearance is gone or has lost the question by a panic.
    pub fn pack_attestations(
        &self,
        parent: C::Root,
        state: &C::State,
        max: usize,
    ) -> Option<Vec<C::Attestation>> {
        let (reply, answer) = oneshot::channel();
        let on = BuildOn::Block(parent);
        self.clearance.post().send(ClearanceMessage::Material { on, wanted: Wanted::Block, reply });
        Some(self.pack(&answer.recv().ok()?.attestations, state, max))
    }

    /// As [`Client::pack_attestations`], for an async task. The choice and the sums are made when
    /// the task is polled, and take as long there.
    pub async fn pack_attestations_async(
        &self,
        parent: C::Root,
        state: &C::State,
        max: usize,
    ) -> Option<Vec<C::Attestation>> {
        let (reply, answer) = oneshot::channel();
        let on = BuildOn::Block(parent);
        let question = ClearanceMessage::Material { on, wanted: Wanted::Block, reply };
        self.clearance.post().send_async(question).await;
        Some(self.pack(&answer.await.ok()?.attestations, state, max))
    }

    fn pack(
        &self,
        candidates: &Candidates<C::Attestation>,
        state: &C::State,
        max: usize,
    ) -> Vec<C::Attestation> {
        candidates.pack(|attestation| self.consensus.inclusion_weights(state, attestation), max)
    }

    /// Returns depths and totals of the mailboxes, without blocking.
    pub fn counters(&self) -> ServiceCounters {
        ServiceCounters {
            quarantine: self.quarantine.post().counters(),
            clearance: self.clearance.post().counters(),
            hot_db: self.hot_db.post().counters(),
            cold_db: self.cold_db.as_ref().map(|cold_db| cold_db.records().counters()),
            cold_db_questions: self.cold_db.as_ref().map(|cold_db| cold_db.questions().counters()),
            notices: self.observer.counters(),
            rewinder_waiting: self.rewinder.waiting(),
        }
    }

    /// Returns the broker, which knows the figures, rates and ages of all mailboxes and the load
    /// level. It can watch a mailbox of the node's own, too.
    pub fn broker(&self) -> &Broker<P> {
        &self.broker
    }

    /// Takes a sample of all mailboxes, and sends a notice if the load level changes. This is for a
    /// node that starts the services with [`super::Config::observe_every`] unset; otherwise a
    /// thread does it. Does not block.
    pub fn observe(&self) -> Option<Change> {
        let change = self.broker.observe();
        change.inspect(|change| self.observer.tell(Notice::load(*change)))
    }

    /// Returns the protocol.
    pub fn consensus(&self) -> &C {
        &self.consensus
    }
}

fn tick<P: Primitives, C: Consensus>(slot: Slot, into_slot: Duration) -> QuarantineMessage<P, C> {
    // A clock that is more than half a billion years into a slot is late all the same.
    let into_slot_ms = u64::try_from(into_slot.as_millis()).unwrap_or(u64::MAX);
    QuarantineMessage::Tick { slot, into_slot_ms }
}

/// Returns why a question has no answer.
fn unasked(error: SendError<()>) -> ReadError {
    if error.is_closed() { ReadError::Gone } else { ReadError::Busy }
}

/// Returns the state in an answer of the Rewinder, if there is one.
fn state_of<C: Consensus>(answer: Option<Answer<C>>) -> Result<C::State, StateError> {
    match answer {
        Some(Answer::State(at)) => Ok(at.state),
        Some(Answer::UnknownParent | Answer::Pruned) => Err(StateError::UnknownBlock),
        Some(Answer::Invalid(_)) => Err(StateError::BeforeBlock),
        Some(Answer::TooFar) => Err(StateError::TooFar),
        Some(Answer::Busy) => Err(StateError::Busy),
        Some(Answer::Refused) => Err(StateError::Refused),
        Some(Answer::Fault(text)) => Err(StateError::Fault(text)),
        _ => Err(StateError::Fault("the Rewinder gave no state".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::{StateError, state_of};
    use crate::rewinder::Answer;
    use crate::toy::Toy;
    use crate::verdict::RejectReason;

    #[test]
    fn each_answer_without_a_state_has_its_error() {
        // All that a worker says of a state that cannot be had, an answer to another job, and none.
        let fault = |text: &str| StateError::Fault(text.to_owned());
        let no_state = "the Rewinder gave no state";
        let answers = [
            (Some(Answer::UnknownParent), StateError::UnknownBlock),
            (Some(Answer::Pruned), StateError::UnknownBlock),
            (Some(Answer::Invalid(RejectReason::SlotNotAfterParent)), StateError::BeforeBlock),
            (Some(Answer::TooFar), StateError::TooFar),
            (Some(Answer::Busy), StateError::Busy),
            (Some(Answer::Refused), StateError::Refused),
            (Some(Answer::Fault("disk".to_owned())), fault("disk")),
            (Some(Answer::Full), fault(no_state)),
            (None, fault(no_state)),
        ];
        for (answer, error) in answers {
            assert_eq!(state_of::<Toy>(answer).map(|state| state.block), Err(error));
        }
    }
}
