//! What the machine of the duties asks for, over HTTP.
//!
//! **Contract.** [`Requests::answer`] performs one request and returns its reply. It blocks at most
//! for the time that it is given, and about twice that where a list needs several calls. A failure
//! is [`Reply::Failed`]: nothing is known of its effect. A message is refused ([`Reply::Refused`])
//! only if the signer says so.

use std::time::{Duration, Instant};

use blocksmith::beacon_validator::{
    DutyId, DutyList, Guarded, Listed, Message, Place, Protection, Reply, Request, SignedDuty,
};
use blocksmith_consensus::{
    AggregateAndProof, AggregationBits, Attestation, AttestationData, BeaconBlock,
    BeaconBlockHeader, DOMAIN_AGGREGATE_AND_PROOF, DOMAIN_BEACON_ATTESTER, DOMAIN_BEACON_PROPOSER,
    DOMAIN_RANDAO, DOMAIN_SELECTION_PROOF, DomainType, Fork, Phase0Duties, PublicKeyBytes, Root,
    SignedAggregateAndProof, SignedBeaconBlock, Wire, compute_domain, compute_signing_root,
};

use super::figures::DutyFigures;
use crate::beacon_client::{AttesterDuty, BeaconClient, Genesis};
use crate::beacon_nodes::BeaconNodes;
use crate::http_client::HttpError;
use crate::remote_signer::{RemoteSigner, SignError, SigningObject};

/// Members of a committee, at most; a list that says otherwise is not believed.
const MAX_COMMITTEE: u64 = blocksmith_consensus::MAX_VALIDATORS_PER_COMMITTEE as u64;

/// Slashing protection on this side of the signer, which has its own.
pub trait Guard: Send + Sync {
    /// Checks and records messages, each with the root that is signed. The answers are in the order
    /// of the messages. It may block on a disk.
    fn protect(&self, messages: &[(PublicKeyBytes, GuardedMessage)]) -> Vec<Protection>;
}

/// A message that slashing protection looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardedMessage {
    /// A block.
    Block {
        /// Its slot.
        slot: u64,
        /// What is signed.
        signing_root: Root,
    },
    /// An attestation.
    Attestation {
        /// Epoch of the source.
        source: u64,
        /// Epoch of the target.
        target: u64,
        /// What is signed.
        signing_root: Root,
    },
}

/// Performs requests with beacon nodes and one signer. A clone shares the connections.
#[derive(Clone, Debug)]
pub struct Requests<G> {
    nodes: BeaconNodes,
    signer: RemoteSigner,
    genesis: Genesis,
    graffiti: Option<Root>,
    slots_per_epoch: u64,
    guard: G,
    figures: DutyFigures,
    broadcasts_votes: bool,
}

impl<G: Guard> Requests<G> {
    /// Returns what performs requests on the chain with this genesis.
    pub fn new(
        nodes: BeaconNodes,
        signer: RemoteSigner,
        genesis: Genesis,
        slots_per_epoch: u64,
        guard: G,
    ) -> Self {
        let figures = DutyFigures::default();
        Self {
            nodes,
            signer,
            genesis,
            graffiti: None,
            slots_per_epoch,
            guard,
            figures,
            broadcasts_votes: false,
        }
    }

    /// Has votes and aggregates sent to all nodes at once, instead of to the first that takes them.
    /// Blocks are always sent to all.
    #[must_use]
    pub fn with_broadcast_votes(self, broadcasts_votes: bool) -> Self {
        Self { broadcasts_votes, ..self }
    }

    /// Sets the text of our blocks; without one, the node has its own.
    #[must_use]
    pub fn with_graffiti(self, graffiti: Option<Root>) -> Self {
        Self { graffiti, ..self }
    }

    /// Has signatures counted here.
    #[must_use]
    pub fn with_figures(self, figures: DutyFigures) -> Self {
        Self { figures, ..self }
    }

    /// Returns the beacon nodes.
    pub fn nodes(&self) -> &BeaconNodes {
        &self.nodes
    }

    /// Performs a request.
    pub fn answer(&self, request: Request<Phase0Duties>, timeout: Duration) -> Reply<Phase0Duties> {
        match request {
            Request::Duties { epoch, list: DutyList::Proposers, .. } => {
                let answer = self.ask(timeout, move |node, time| node.proposer_duties(epoch, time));
                reply(answer, |list| Reply::Duties {
                    dependent_root: list.dependent_root,
                    listed: list
                        .duties
                        .into_iter()
                        // The genesis block is given: nobody proposes in its slot.
                        .filter(|duty| duty.slot > 0)
                        .map(|duty| Listed {
                            key: duty.pubkey,
                            validator: duty.validator_index,
                            slot: duty.slot,
                            place: None,
                        })
                        .collect(),
                })
            }
            Request::Duties { epoch, list: DutyList::Attesters, validators } => {
                let answer = self
                    .ask(timeout, move |node, time| node.attester_duties(epoch, &validators, time));
                reply(answer, |list| Reply::Duties {
                    dependent_root: list.dependent_root,
                    listed: list.duties.iter().filter_map(attester).collect(),
                })
            }
            Request::Produce { slot, reveal } => {
                let graffiti = self.graffiti;
                let block = self.ask(timeout, move |node, time| {
                    node.produce_block(slot, &reveal, graffiti.as_ref(), time)
                });
                reply(block, |block| Reply::Block(block.into()))
            }
            Request::Data { slot, committee } => {
                let data = self
                    .ask(timeout, move |node, time| node.attestation_data(slot, committee, time));
                reply(data, Reply::Data)
            }
            Request::Protect(messages) => self.protect(&messages),
            Request::Sign { duty, key, message } => {
                let reply = self.sign(&key, &message, timeout);
                if matches!(reply, Reply::Signature(_)) {
                    self.figures.signed(duty.kind);
                }
                reply
            }
            Request::Aggregate { slot, data } => {
                let (root, committee) = (data.hash_tree_root(), data.index);
                let aggregate = self.ask(timeout, move |node, time| {
                    node.aggregate_attestation(slot, committee, &root, time)
                });
                reply(aggregate, |aggregate| Reply::Aggregate(aggregate.into()))
            }
            Request::Publish(signed) => self.publish(signed, timeout),
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        timeout: Duration,
        ask: impl Fn(&BeaconClient, Duration) -> Result<T, HttpError> + Send + Sync + 'static,
    ) -> Result<T, HttpError> {
        self.nodes.ask(timeout, ask)
    }

    /// Sends votes to the nodes that are to have them.
    fn votes(
        &self,
        timeout: Duration,
        send: impl Fn(&BeaconClient, Duration) -> Result<(), HttpError> + Send + Sync + 'static,
    ) -> Result<(), HttpError> {
        match self.broadcasts_votes {
            true => self.nodes.broadcast(timeout, send),
            false => self.nodes.submit(timeout, send),
        }
    }

    /// Returns the domain of a type: there is one fork.
    fn signing_root(&self, object: Root, domain: DomainType) -> Root {
        let Genesis { genesis_fork_version, genesis_validators_root, .. } = self.genesis;
        let domain = compute_domain(domain, genesis_fork_version, genesis_validators_root);
        compute_signing_root(object, domain)
    }

    /// Returns what is signed, its root with the domain, and its epoch.
    fn object(&self, message: &Message<Phase0Duties>) -> (SigningObject, Root, u64) {
        let epoch_of = |slot: u64| slot / self.slots_per_epoch.max(1);
        match message {
            Message::Randao(epoch) => {
                let root = self.signing_root(epoch.hash_tree_root(), DOMAIN_RANDAO);
                (SigningObject::RandaoReveal(*epoch), root, *epoch)
            }
            Message::Block(block) => {
                let root = self.signing_root(block.root(), DOMAIN_BEACON_PROPOSER);
                let block = block.value();
                (SigningObject::Block(header(block)), root, epoch_of(block.slot))
            }
            Message::Attestation(data) => {
                let root = self.attestation_root(data);
                (SigningObject::Attestation(data.clone()), root, data.target.epoch)
            }
            Message::Selection(slot) => {
                let root = self.signing_root(slot.hash_tree_root(), DOMAIN_SELECTION_PROOF);
                (SigningObject::AggregationSlot(*slot), root, epoch_of(*slot))
            }
            Message::Aggregate { aggregate, aggregator, proof } => {
                let message = AggregateAndProof {
                    aggregator_index: *aggregator,
                    aggregate: aggregate.value().clone(),
                    selection_proof: *proof,
                };
                let root = message.hash_tree_root();
                let root = self.signing_root(root, DOMAIN_AGGREGATE_AND_PROOF);
                let epoch = epoch_of(message.aggregate.data.slot);
                (SigningObject::AggregateAndProof(Box::new(message)), root, epoch)
            }
        }
    }

    fn attestation_root(&self, data: &AttestationData) -> Root {
        self.signing_root(data.hash_tree_root(), DOMAIN_BEACON_ATTESTER)
    }

    fn protect(&self, messages: &[Guarded<Phase0Duties>]) -> Reply<Phase0Duties> {
        let guarded = messages.iter().filter_map(|Guarded { duty, key, message }| {
            let message = match message {
                Message::Block(block) => GuardedMessage::Block {
                    slot: block.value().slot,
                    signing_root: self.signing_root(block.root(), DOMAIN_BEACON_PROPOSER),
                },
                Message::Attestation(data) => GuardedMessage::Attestation {
                    source: data.source.epoch,
                    target: data.target.epoch,
                    signing_root: self.attestation_root(data),
                },
                _ => return None,
            };
            Some((*duty, (*key, message)))
        });
        let (duties, guarded): (Vec<DutyId>, Vec<_>) = guarded.unzip();
        let said = self.guard.protect(&guarded);
        Reply::Protected(duties.into_iter().zip(said).collect())
    }

    fn sign(
        &self,
        key: &PublicKeyBytes,
        message: &Message<Phase0Duties>,
        timeout: Duration,
    ) -> Reply<Phase0Duties> {
        let (object, root, epoch) = self.object(message);
        let version = self.genesis.genesis_fork_version;
        let fork = Fork { previous_version: version, current_version: version, epoch };
        let validators = &self.genesis.genesis_validators_root;
        match self.signer.sign(key, &object, &fork, validators, &root, timeout) {
            Ok(signature) => Reply::Signature(signature),
            Err(SignError::Refused) => Reply::Refused,
            Err(SignError::UnknownKey) => Reply::UnknownKey,
            Err(SignError::Failed(error)) => failed(&error),
        }
    }

    /// Publishes what is signed, kind by kind. What cannot be a message of its kind is refused.
    fn publish(
        &self,
        signed: Vec<SignedDuty<Phase0Duties>>,
        timeout: Duration,
    ) -> Reply<Phase0Duties> {
        let end = Instant::now() + timeout;
        let (mut attestations, mut aggregates) = (Sent::default(), Sent::default());
        let mut refused = Vec::new();
        for SignedDuty { duty, place, message, signature } in signed {
            match message {
                Message::Block(block) => {
                    let block = SignedBeaconBlock { message: block.value().clone(), signature };
                    let rest = end.saturating_duration_since(Instant::now());
                    let publish = move |node: &BeaconClient, time| node.publish_block(&block, time);
                    match self.nodes.broadcast(rest, publish) {
                        Ok(()) => {}
                        Err(error) if error.status() == Some(400) => refused.push(duty),
                        Err(error) => return failed(&error),
                    }
                }
                Message::Attestation(data) => match place.and_then(|place| bits(&place)) {
                    Some(aggregation_bits) => {
                        attestations.push(duty, Attestation { aggregation_bits, data, signature })
                    }
                    None => refused.push(duty),
                },
                Message::Aggregate { aggregate, aggregator, proof } => {
                    let message = AggregateAndProof {
                        aggregator_index: aggregator,
                        aggregate: aggregate.value().clone(),
                        selection_proof: proof,
                    };
                    aggregates.push(duty, SignedAggregateAndProof { message, signature });
                }
                Message::Randao(_) | Message::Selection(_) => refused.push(duty),
            }
        }
        let rest = || end.saturating_duration_since(Instant::now());
        let sent = attestations
            .send(&mut refused, |list| {
                self.votes(rest(), move |node, time| node.publish_attestations(&list, time))
            })
            .and_then(|()| {
                aggregates.send(&mut refused, |list| {
                    self.votes(rest(), move |node, time| node.publish_aggregates(&list, time))
                })
            });
        match sent {
            Ok(()) => Reply::Published { refused },
            Err(error) => failed(&error),
        }
    }
}

/// Messages of one kind with the duties that they do.
struct Sent<T> {
    duties: Vec<DutyId>,
    messages: Vec<T>,
}

impl<T> Default for Sent<T> {
    fn default() -> Self {
        Self { duties: Vec::new(), messages: Vec::new() }
    }
}

impl<T> Sent<T> {
    fn push(&mut self, duty: DutyId, message: T) {
        self.duties.push(duty);
        self.messages.push(message);
    }

    /// Sends the messages, if there are any. Those that the node names were refused.
    fn send(
        self,
        refused: &mut Vec<DutyId>,
        send: impl FnOnce(Vec<T>) -> Result<(), HttpError>,
    ) -> Result<(), HttpError> {
        if self.messages.is_empty() {
            return Ok(());
        }
        match send(self.messages) {
            Err(HttpError::Status { status: 400, failures, .. }) if !failures.is_empty() => {
                refused.extend(failures.iter().filter_map(|place| self.duties.get(*place)));
                Ok(())
            }
            // The node names nobody: it has refused the list.
            Err(error) if error.status() == Some(400) => {
                refused.extend(&self.duties);
                Ok(())
            }
            other => other,
        }
    }
}

/// Returns a duty of a list, unless no committee can have such a place.
fn attester(duty: &AttesterDuty) -> Option<Listed<PublicKeyBytes>> {
    let place = Place {
        committee: duty.committee_index,
        committee_length: duty.committee_length,
        committees_at_slot: duty.committees_at_slot,
        position: duty.validator_committee_index,
    };
    let fits = place.position < place.committee_length && place.committee_length <= MAX_COMMITTEE;
    let (key, validator) = (duty.pubkey, duty.validator_index);
    fits.then_some(Listed { key, validator, slot: duty.slot, place: Some(place) })
}

/// Returns the bits of a committee in which one member is set.
fn bits(place: &Place) -> Option<AggregationBits> {
    if place.position >= place.committee_length || place.committee_length > MAX_COMMITTEE {
        return None;
    }
    let mut bits = AggregationBits::default();
    (0..place.committee_length).for_each(|member| bits.push(member == place.position));
    Some(bits)
}

fn header(block: &BeaconBlock) -> BeaconBlockHeader {
    BeaconBlockHeader {
        slot: block.slot,
        proposer_index: block.proposer_index,
        parent_root: block.parent_root,
        state_root: block.state_root,
        body_root: block.body.hash_tree_root(),
    }
}

fn reply<T>(
    answer: Result<T, HttpError>,
    reply: impl FnOnce(T) -> Reply<Phase0Duties>,
) -> Reply<Phase0Duties> {
    answer.map_or_else(|error| failed(&error), reply)
}

fn failed(error: &HttpError) -> Reply<Phase0Duties> {
    tracing::warn!(%error, "a request for a duty failed");
    Reply::Failed
}
