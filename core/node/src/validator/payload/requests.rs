//! What the machine of the votes asks for, over HTTP.
//!
//! **Contract.** [`PayloadRequests::answer`] performs one request and returns its reply. It blocks
//! at most for the time that it is given. A failure is [`Reply::Failed`]: nothing is known of its
//! effect.
//!
//! **Rules of a publication.** Votes go to one node after the other until one takes all of them, or
//! to all nodes at once.
//! - P1 A vote is refused if each node that has judged it has refused it. One that a node has taken
//!   is published, whatever another node says of it. If a list is refused as a whole, and some node
//!   has judged nothing of it, it is not refused: those that have may be behind (P3).
//! - P2 If a node may have taken the votes, and its answer was lost, a refusal by another node says
//!   nothing: it may know them from there (hazard P4). No vote is refused then.
//! - P3 If each node has said that it did not take the votes, or was not reached, none has arrived:
//!   [`Reply::NotTaken`]. A node that has not answered may still take them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blocksmith::payload_attestation::{Reply, Request, SignedVote};
use blocksmith::ptc_duties::Listed;
use blocksmith_consensus::gloas::{
    DOMAIN_PTC_ATTESTER, PayloadAttestationData, PayloadAttestationMessage,
};
use blocksmith_consensus::{
    Epoch, Fork, PayloadVoteDuties, PublicKeyBytes, Slot, ValidatorIndex, Wire, compute_domain,
    compute_signing_root,
};

use crate::beacon_client::{BeaconClient, Genesis};
use crate::beacon_nodes::BeaconNodes;
use crate::http_client::HttpError;
use crate::remote_signer::{RemoteSigner, SignError, SigningObject};

type VoteReply = Reply<PayloadVoteDuties>;

/// Performs the requests of the votes with beacon nodes and one signer. A clone shares the
/// connections.
#[derive(Clone, Debug)]
pub struct PayloadRequests {
    nodes: BeaconNodes,
    signer: RemoteSigner,
    genesis: Genesis,
    slots_per_epoch: u64,
    broadcasts: bool,
}

impl PayloadRequests {
    /// Returns what performs requests on the chain with this genesis, which has one fork.
    #[must_use]
    pub fn new(
        nodes: BeaconNodes,
        signer: RemoteSigner,
        genesis: Genesis,
        slots_per_epoch: u64,
    ) -> Self {
        Self { nodes, signer, genesis, slots_per_epoch, broadcasts: false }
    }

    /// Has votes sent to all nodes at once, instead of to the first that takes them.
    #[must_use]
    pub fn with_broadcast(self, broadcasts: bool) -> Self {
        Self { broadcasts, ..self }
    }

    /// Returns the beacon nodes.
    #[must_use]
    pub fn nodes(&self) -> &BeaconNodes {
        &self.nodes
    }

    /// Performs a request.
    #[must_use]
    pub fn answer(&self, request: Request<PayloadVoteDuties>, timeout: Duration) -> VoteReply {
        match request {
            Request::Duties { epoch, validators } => {
                let ask = move |node: &BeaconClient, time| duties(node, epoch, &validators, time);
                told(self.nodes.ask(timeout, ask))
            }
            Request::Data { slot } => {
                told(self.nodes.ask(timeout, move |node, time| data(node, slot, time)))
            }
            Request::Sign { key, data, .. } => self.sign(&key, data, timeout),
            Request::Publish { votes, .. } => {
                let ballot = Arc::new(Ballot::new(votes));
                let shared = ballot.clone();
                let submit = move |node: &BeaconClient, time| shared.submit(node, time);
                let ended = match self.broadcasts {
                    true => self.nodes.broadcast(timeout, submit),
                    false => self.nodes.submit(timeout, submit),
                };
                ballot.reply(ended, self.nodes.clients().count())
            }
        }
    }

    fn sign(
        &self,
        key: &PublicKeyBytes,
        data: PayloadAttestationData,
        timeout: Duration,
    ) -> VoteReply {
        let Genesis { genesis_fork_version: version, genesis_validators_root, .. } = self.genesis;
        let domain = compute_domain(DOMAIN_PTC_ATTESTER, version, genesis_validators_root);
        let root = compute_signing_root(data.hash_tree_root(), domain);
        let epoch = data.slot / self.slots_per_epoch.max(1);
        let fork = Fork { previous_version: version, current_version: version, epoch };
        let object = SigningObject::PayloadAttestation(data);
        match self.signer.sign(key, &object, &fork, &genesis_validators_root, &root, timeout) {
            Ok(signature) => Reply::Signature(signature),
            Err(SignError::Refused) => Reply::Refused,
            Err(SignError::UnknownKey) => Reply::UnknownKey,
            Err(SignError::Failed(error)) => {
                tracing::warn!(%error, "a vote on a payload was not signed");
                Reply::Failed
            }
        }
    }
}

/// Returns how long a request may take that is given up after `rest`. A call to several nodes, of
/// which one hangs, ends with its time and not before; what the others have said by then has to
/// come before the request is given up.
pub(super) fn within(request: &Request<PayloadVoteDuties>, rest: Duration) -> Duration {
    match request {
        Request::Sign { .. } => rest,
        Request::Duties { .. } | Request::Data { .. } | Request::Publish { .. } => rest * 9 / 10,
    }
}

/// Asks one node for a list of duties.
pub(super) fn duties(
    node: &BeaconClient,
    epoch: Epoch,
    validators: &[ValidatorIndex],
    time: Duration,
) -> Result<VoteReply, HttpError> {
    let list = node.ptc_duties(epoch, validators, time)?;
    let listed = list.duties.into_iter().map(|duty| Listed {
        validator: duty.validator_index,
        key: duty.pubkey,
        slot: duty.slot,
    });
    Ok(Reply::Duties { dependent_root: list.dependent_root, duties: listed.collect() })
}

/// Asks one node for the data of a slot's votes.
pub(super) fn data(
    node: &BeaconClient,
    slot: Slot,
    time: Duration,
) -> Result<VoteReply, HttpError> {
    node.payload_attestation_data(slot, time).map(Reply::Data)
}

/// Returns the reply to a question.
pub(super) fn told(answer: Result<VoteReply, HttpError>) -> VoteReply {
    match answer {
        Ok(reply) => reply,
        Err(error) if matches!(error.status(), Some(204 | 404)) => Reply::NoBlock,
        Err(error) => {
            tracing::warn!(%error, "a request for votes on a payload failed");
            Reply::Failed
        }
    }
}

/// Votes that are published, and what the nodes have said of them so far.
pub(super) struct Ballot {
    messages: Vec<PayloadAttestationMessage>,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    /// The places of the votes that all nodes have refused; `None` before one has refused.
    refused: Option<BTreeSet<usize>>,
    /// Nodes that were asked.
    asked: usize,
    /// Nodes that were asked and have not said whether they took the votes.
    unsure: usize,
    /// Nodes that have refused some of the votes, or all.
    refusals: usize,
}

impl Ballot {
    pub(super) fn new(votes: Vec<SignedVote<PayloadVoteDuties>>) -> Self {
        let message = |SignedVote { validator, data, signature }| PayloadAttestationMessage {
            validator_index: validator,
            data,
            signature,
        };
        Self { messages: votes.into_iter().map(message).collect(), said: Mutex::default() }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits the votes to one node.
    fn submit(&self, node: &BeaconClient, time: Duration) -> Result<(), HttpError> {
        self.begin();
        self.finish(node.publish_payload_attestations(&self.messages, time))
    }

    /// Returns what is submitted.
    #[cfg(test)]
    pub(super) fn messages(&self) -> &[PayloadAttestationMessage] {
        &self.messages
    }

    /// The votes go to a node: from now on, it may have taken them (P2).
    pub(super) fn begin(&self) {
        let mut said = self.said();
        said.asked += 1;
        said.unsure += 1;
    }

    /// Takes a node's answer, and returns it.
    pub(super) fn finish(&self, answer: Result<(), HttpError>) -> Result<(), HttpError> {
        let mut said = self.said();
        let lost = answer.as_ref().is_err_and(HttpError::may_have_arrived);
        said.unsure -= usize::from(!lost);
        if let Err(HttpError::Status { status: 400, failures, .. }) = &answer {
            // P1. A node that names nobody has refused the list.
            said.refusals += 1;
            let all = 0..self.messages.len();
            let is_refused = |at: &usize| failures.is_empty() || failures.contains(at);
            let refused = all.filter(is_refused);
            said.refused = Some(match said.refused.take() {
                None => refused.collect(),
                Some(before) => refused.filter(|at| before.contains(at)).collect(),
            });
        }
        answer
    }

    /// Returns the reply to the publication, whose call to so many nodes has ended like this.
    pub(super) fn reply(&self, ended: Result<(), HttpError>, nodes: usize) -> VoteReply {
        let said = self.said();
        // P3
        let is_open = said.asked < nodes || said.unsure > 0;
        let not_taken = if is_open { Reply::Failed } else { Reply::NotTaken };
        match (ended, &said.refused) {
            (Ok(()), _) => Reply::Published { refused: Vec::new() },
            (Err(_), Some(_)) if said.unsure > 0 => Reply::Published { refused: Vec::new() },
            (Err(_), Some(refused)) => {
                let is_whole = refused.len() == self.messages.len();
                if is_whole && said.refusals < nodes {
                    return not_taken;
                }
                let of = |at: &usize| self.messages.get(*at).map(|vote| vote.validator_index);
                Reply::Published { refused: refused.iter().filter_map(of).collect() }
            }
            (Err(error), None) => {
                tracing::warn!(%error, "votes on a payload were not published");
                not_taken
            }
        }
    }
}
