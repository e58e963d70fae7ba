//! How a node has a block produced, and learns what to build on.

use std::sync::Arc;

use blocksmith_sync::{Primitives, oneshot};
use thiserror::Error;

use super::client::Client;
use crate::attestation_pool::{Candidates, PoolAttestation};
use crate::clearance::{BuildOn, ClearanceMessage, KnownPayload, Material, Wanted, WantedOf};
use crate::consensus::{Consensus, Slot};
use crate::payload::PayloadGroup;
use crate::rewinder::{Answer, Job, Lane, Production, ReplyTo};
use crate::verdict::RejectReason;

/// Why no block was produced.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProduceError<I> {
    /// The HotDB does not have the block to build on.
    #[error("the block to build on is not in the HotDB")]
    UnknownParent,
    /// The block to build on has been pruned: finality has passed it.
    #[error("the block to build on has been pruned")]
    Pruned,
    /// The slot is not after that of the block to build on.
    #[error("the slot is not after that of the block to build on")]
    NotAfterParent,
    /// The slot lies further after the parent's than [`crate::hot_db::Limits::distance`].
    #[error("the slot lies too far after that of the block to build on")]
    TooFar,
    /// The transition refuses the block: the reveal is another proposer's, for example.
    #[error("the block would be invalid: {0}")]
    Invalid(I),
    /// The lane of duties is full.
    #[error("the Rewinder has as many duties as it may")]
    Busy,
    /// The services are stopping.
    #[error("the Rewinder takes no more requests")]
    Refused,
    /// We failed.
    #[error("fault: {0}")]
    Fault(String),
}

/// Clearance has not answered: it has ended, or has lost the question by a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("Clearance is gone or has lost the question")]
pub struct Gone;

/// The unsigned block, or why there is none.
pub type ProducedBlock<C> =
    Result<<C as Consensus>::UnsignedBlock, ProduceError<<C as Consensus>::Invalid>>;

/// The payload votes of the pool, and what the fork choice knows of payloads.
pub type PayloadVotes<C> = (Vec<PayloadGroup<C>>, Vec<KnownPayload<<C as Consensus>::Root>>);

impl<P: Primitives, C: Consensus> Client<P, C> {
    /// Returns the block that a proposer of `slot` builds on
    /// ([`proposer_head`](crate::fork_choice::ForkChoice::proposer_head)). `on_time` says whether
    /// the proposer is not later into the slot than `PROPOSER_REORG_CUTOFF_BPS`. Blocks until
    /// Clearance replies. Returns `None` if Clearance is gone or has lost the question by a panic.
    pub fn proposer_head(&self, slot: Slot, on_time: bool) -> Option<C::Root> {
        let (question, answer) = question(BuildOn::ProposerHead { slot, on_time }, Wanted::Parent);
        self.clearance.post().send(question);
        Some(answer.recv().ok()?.parent)
    }

    /// As [`Client::proposer_head`], for an async task.
    pub async fn proposer_head_async(&self, slot: Slot, on_time: bool) -> Option<C::Root> {
        let (question, answer) = question(BuildOn::ProposerHead { slot, on_time }, Wanted::Parent);
        self.clearance.post().send_async(question).await;
        Some(answer.await.ok()?.parent)
    }

    /// Returns the aggregates of the verified attestations whose data are of `slot` and have this
    /// root. [`Candidates::largest`] sums the signatures of what an aggregator sends, on the
    /// caller's thread. Awaits Clearance's reply.
    ///
    /// # Errors
    /// [`Gone`] if Clearance is gone or has lost the question by a panic.
    pub async fn aggregates_async(
        &self,
        slot: Slot,
        root: <C::Attestation as PoolAttestation>::DataRoot,
    ) -> Result<Candidates<C::Attestation>, Gone> {
        // No head is of the slot before slot 0, so that no weight is looked up for an answer that
        // is not used.
        let on = BuildOn::ProposerHead { slot: 0, on_time: false };
        let (question, answer) = question(on, Wanted::Data { slot, root });
        self.clearance.post().send_async(question).await;
        Ok(answer.await.map_err(|_| Gone)?.attestations)
    }

    /// Returns the payload votes of the pool, and what the fork choice has counted for each block.
    /// Awaits Clearance's reply.
    ///
    /// # Errors
    /// [`Gone`] if Clearance is gone or has lost the question by a panic.
    pub async fn payload_votes_async(&self) -> Result<PayloadVotes<C>, Gone> {
        let on = BuildOn::ProposerHead { slot: 0, on_time: false };
        let (question, answer) = question(on, Wanted::PayloadVotes);
        self.clearance.post().send_async(question).await;
        let Material { payload_votes, payloads, .. } = answer.await.map_err(|_| Gone)?;
        Ok((payload_votes, payloads))
    }

    /// Returns an unsigned block of `slot`, with its state root, on the block that `on` says. It
    /// carries the most valuable attestations of the pool that the chain admits, and the slashings
    /// and exits that it admits, oldest first; see [`crate::rewinder::Production`].
    ///
    /// Blocks until Clearance has replied and a Rewinder worker has produced the block, as a duty:
    /// before all else that waits. What a worker has in hand goes first: a part of a load, or a
    /// batch of attestations; and if another worker loads exactly this state, all of that load. A
    /// deadline is the caller's, who then uses [`Client::produce_block_async`].
    ///
    /// # Errors
    /// Returns a [`ProduceError`].
    pub fn produce_block(
        &self,
        on: BuildOn<C::Root>,
        slot: Slot,
        inputs: C::BlockInputs,
    ) -> ProducedBlock<C> {
        let (question, material) = question(on, Wanted::Block);
        self.clearance.post().send(question);
        let material = material.recv().map_err(|_| gone())?;
        block_of(self.request_block(slot, inputs, material).recv().ok())
    }

    /// As [`Client::produce_block`], for an async task. If the call is dropped before it completes,
    /// it gives up waiting; the Rewinder goes on.
    ///
    /// # Errors
    /// As [`Client::produce_block`].
    pub async fn produce_block_async(
        &self,
        on: BuildOn<C::Root>,
        slot: Slot,
        inputs: C::BlockInputs,
    ) -> ProducedBlock<C> {
        let (question, material) = question(on, Wanted::Block);
        self.clearance.post().send_async(question).await;
        let material = material.await.map_err(|_| gone())?;
        block_of(self.request_block(slot, inputs, material).await.ok())
    }

    /// Asks the Rewinder for a block and returns the receiver of its answer. Does not block.
    fn request_block(
        &self,
        slot: Slot,
        inputs: C::BlockInputs,
        material: Material<C>,
    ) -> oneshot::Receiver<P, Answer<C>> {
        let Material { parent, attestations, operations, .. } = material;
        let production = Arc::new(Production { inputs, attestations, operations });
        let (sender, receiver) = oneshot::channel::<P, _>();
        let reply = ReplyTo::new(move |answer| {
            // The requester may be gone.
            let _ = sender.send(answer);
        });
        let job = Job::Produce { root: parent, slot, production };
        self.rewinder.submit(Lane::Duties, job, reply);
        receiver
    }
}

fn question<P: Primitives, C: Consensus>(
    on: BuildOn<C::Root>,
    wanted: WantedOf<C>,
) -> (ClearanceMessage<P, C>, oneshot::Receiver<P, Material<C>>) {
    let (reply, answer) = oneshot::channel();
    (ClearanceMessage::Material { on, wanted, reply }, answer)
}

fn gone<I>() -> ProduceError<I> {
    ProduceError::Fault("Clearance is gone or has lost the question".to_owned())
}

/// Returns the block in an answer of the Rewinder, if there is one.
fn block_of<C: Consensus>(answer: Option<Answer<C>>) -> ProducedBlock<C> {
    Err(match answer {
        Some(Answer::Produced(block)) => return Ok(block),
        Some(Answer::UnknownParent) => ProduceError::UnknownParent,
        Some(Answer::Pruned) => ProduceError::Pruned,
        Some(Answer::Invalid(RejectReason::SlotNotAfterParent)) => ProduceError::NotAfterParent,
        Some(Answer::Invalid(RejectReason::Check(invalid))) => ProduceError::Invalid(invalid),
        Some(Answer::TooFar) => ProduceError::TooFar,
        Some(Answer::Busy) => ProduceError::Busy,
        Some(Answer::Refused) => ProduceError::Refused,
        Some(Answer::Fault(text)) => ProduceError::Fault(text),
        _ => ProduceError::Fault("the Rewinder gave no block".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::{ProduceError, block_of};
    use crate::rewinder::Answer;
    use crate::toy::{Toy, ToyInvalid};
    use crate::verdict::RejectReason;

    #[test]
    fn each_answer_without_a_block_has_its_error() {
        // All that a worker says of a block that cannot be made, an answer to another job, and none.
        let fault = |text: &str| ProduceError::Fault(text.to_owned());
        let no_block = "the Rewinder gave no block";
        let invalid = ToyInvalid::Attestation;
        let answers = [
            (Some(Answer::UnknownParent), ProduceError::UnknownParent),
            (Some(Answer::Pruned), ProduceError::Pruned),
            (Some(Answer::Invalid(RejectReason::SlotNotAfterParent)), ProduceError::NotAfterParent),
            (Some(Answer::Invalid(RejectReason::Check(invalid))), ProduceError::Invalid(invalid)),
            (Some(Answer::TooFar), ProduceError::TooFar),
            (Some(Answer::Busy), ProduceError::Busy),
            (Some(Answer::Refused), ProduceError::Refused),
            (Some(Answer::Fault("disk".to_owned())), fault("disk")),
            (Some(Answer::Full), fault(no_block)),
            (None, fault(no_block)),
        ];
        for (answer, error) in answers {
            assert_eq!(block_of::<Toy>(answer).err(), Some(error));
        }
    }
}
