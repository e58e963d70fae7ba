//! How a node submits what comes on the gossip topics beside blocks.
//!
//! A decoded item can be submitted by a thread, which blocks while the Quarantine's mailbox is
//! full, or by an async task, which awaits room. A wire form is decoded first. A node passes an
//! item on to its peers exactly if the verdict is
//! [`crate::verdict::Verdict::Accept`] with `relay`. It lowers a peer's score on `Reject`, never on
//! `Ignore`. An item that is parked ([`crate::notice::Notice::Parked`]) has no verdict yet: on its
//! topic it is ignored meanwhile.

use blocksmith_sync::Primitives;

use super::client::{Client, Submission};
use crate::consensus::Consensus;
use crate::gossip::Operation;
use crate::quarantine::Item;

/// Returns the submission, or the reason for which the bytes are not exactly one encoded item.
type Submitted<P, C> = Result<Submission<P, C>, <C as Consensus>::Invalid>;

impl<P: Primitives, C: Consensus> Client<P, C> {
    /// Submits a decoded attestation of one validator that `peer` sent on
    /// `beacon_attestation_{subnet}`; `bytes` is the size that quotas count. Blocks while the
    /// Quarantine's mailbox is full.
    pub fn submit_single_attestation(
        &self,
        attestation: C::Attestation,
        subnet: u64,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit(Item::Single { attestation, subnet }, peer, bytes)
    }

    /// As [`Client::submit_single_attestation`], for an async task: it awaits room. If the call is
    /// dropped before it completes, nothing has been submitted.
    pub async fn submit_single_attestation_async(
        &self,
        attestation: C::Attestation,
        subnet: u64,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit_async(Item::Single { attestation, subnet }, peer, bytes).await
    }

    /// Decodes the wire form and submits it; see [`Client::submit_single_attestation`].
    ///
    /// # Errors
    /// Returns the reason if the bytes are not exactly one encoded attestation. It is the verdict:
    /// nothing has been submitted.
    pub fn submit_single_attestation_bytes(
        &self,
        bytes: &[u8],
        subnet: u64,
        peer: u64,
    ) -> Submitted<P, C> {
        let attestation = self.consensus.decode_attestation(bytes)?;
        Ok(self.submit_single_attestation(attestation, subnet, peer, bytes.len()))
    }

    /// Submits a decoded aggregate that `peer` sent on `beacon_aggregate_and_proof`; see
    /// [`Client::submit_single_attestation`].
    pub fn submit_aggregate(
        &self,
        aggregate: C::Aggregate,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit(Item::Aggregate(aggregate), peer, bytes)
    }

    /// As [`Client::submit_aggregate`], for an async task; see
    /// [`Client::submit_single_attestation_async`].
    pub async fn submit_aggregate_async(
        &self,
        aggregate: C::Aggregate,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit_async(Item::Aggregate(aggregate), peer, bytes).await
    }

    /// Decodes the wire form and submits it; see [`Client::submit_aggregate`].
    ///
    /// # Errors
    /// As [`Client::submit_single_attestation_bytes`].
    pub fn submit_aggregate_bytes(&self, bytes: &[u8], peer: u64) -> Submitted<P, C> {
        let aggregate = self.consensus.decode_aggregate(bytes)?;
        Ok(self.submit_aggregate(aggregate, peer, bytes.len()))
    }

    /// Submits a decoded slashing or exit that `peer` sent on the topic of its kind; see
    /// [`Client::submit_single_attestation`].
    pub fn submit_operation(
        &self,
        operation: Operation<C>,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit(Item::Operation(operation), peer, bytes)
    }

    /// As [`Client::submit_operation`], for an async task; see
    /// [`Client::submit_single_attestation_async`].
    pub async fn submit_operation_async(
        &self,
        operation: Operation<C>,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit_async(Item::Operation(operation), peer, bytes).await
    }

    /// Submits a decoded vote of a member of a payload-timeliness committee, which `peer` sent on
    /// `payload_attestation_message`; see [`Client::submit_single_attestation`].
    pub fn submit_payload_vote(
        &self,
        vote: C::PayloadVote,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit(Item::PayloadVote(vote), peer, bytes)
    }

    /// As [`Client::submit_payload_vote`], for an async task; see
    /// [`Client::submit_single_attestation_async`].
    pub async fn submit_payload_vote_async(
        &self,
        vote: C::PayloadVote,
        peer: u64,
        bytes: usize,
    ) -> Submission<P, C> {
        self.submit_async(Item::PayloadVote(vote), peer, bytes).await
    }

    /// Decodes the wire form of a payload vote and submits it; see
    /// [`Client::submit_payload_vote`].
    ///
    /// # Errors
    /// As [`Client::submit_single_attestation_bytes`].
    pub fn submit_payload_vote_bytes(&self, bytes: &[u8], peer: u64) -> Submitted<P, C> {
        let vote = self.consensus.decode_payload_vote(bytes)?;
        Ok(self.submit_payload_vote(vote, peer, bytes.len()))
    }

    /// Decodes the wire form of a proposer slashing and submits it; see
    /// [`Client::submit_operation`].
    ///
    /// # Errors
    /// As [`Client::submit_single_attestation_bytes`].
    pub fn submit_proposer_slashing_bytes(&self, bytes: &[u8], peer: u64) -> Submitted<P, C> {
        let slashing = self.consensus.decode_proposer_slashing(bytes)?;
        Ok(self.submit_operation(Operation::ProposerSlashing(slashing), peer, bytes.len()))
    }

    /// Decodes the wire form of an attester slashing and submits it; see
    /// [`Client::submit_operation`].
    ///
    /// # Errors
    /// As [`Client::submit_single_attestation_bytes`].
    pub fn submit_attester_slashing_bytes(&self, bytes: &[u8], peer: u64) -> Submitted<P, C> {
        let slashing = self.consensus.decode_attester_slashing(bytes)?;
        Ok(self.submit_operation(Operation::AttesterSlashing(slashing), peer, bytes.len()))
    }

    /// Decodes the wire form of a signed voluntary exit and submits it; see
    /// [`Client::submit_operation`].
    ///
    /// # Errors
    /// As [`Client::submit_single_attestation_bytes`].
    pub fn submit_voluntary_exit_bytes(&self, bytes: &[u8], peer: u64) -> Submitted<P, C> {
        let exit = self.consensus.decode_voluntary_exit(bytes)?;
        Ok(self.submit_operation(Operation::VoluntaryExit(exit), peer, bytes.len()))
    }
}
