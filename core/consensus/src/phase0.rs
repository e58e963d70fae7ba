//! Phase0 as the services see it: an implementation of [`Consensus`].
//!
//! Blocks and attestations are shared pointers with their roots beside them; the roots are computed
//! once, when the values are decoded. States are persistent (`state`). Nothing here adds a rule:
//! `state_transition` and `operations` say what is judged, and in which order.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md` and `phase0/fork-choice.md`.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use blocksmith::consensus::{
    AttestationOutcome, Balances, BlockEffects, BlockLimits, BlockParts, Checkpoints, Consensus,
    Failure, Header, IndexedVote, ProposerCheck, StateOf, Vote,
};
use blocksmith::gossip::{
    GossipVote, Operation, OperationHeader, VoteHeader, VoteOutcome, VoteTopic,
};
use blocksmith::payload::{PayloadVoteHeader, Places};

use crate::accessors::{
    active_balances, get_attesting_indices, get_total_active_balance, known_proposers,
};
use crate::config::ChainConfig;
use crate::containers::{
    Attestation, AttesterSlashing, Checkpoint, Deposit, IndexedAttestation, ProposerSlashing,
    SignedAggregateAndProof, SignedBeaconBlock, SignedBeaconBlockHeader, SignedVoluntaryExit,
};
use crate::domains::compute_epoch_at_slot;
use crate::duties::prepare_epoch;
use crate::epoch_committees::EpochCommittees;
use crate::error::{AsFault, StateError};
use crate::evidence;
use crate::gloas::{PayloadAttestationMessage, PtcWindow};
use crate::gossip::verify_votes;
use crate::operations::{
    AttestationError, IndexedAttestationError, slashable_indices, verify_attester_slashing,
    verify_proposer_slashing, verify_voluntary_exit,
};
use crate::payload_committee::{self, Payloads};
use crate::preset::Preset;
use crate::primitives::{Epoch, Gwei, Root, SignatureBytes, Slot, ValidatorIndex};
use crate::production::{self, ProposerInputs};
use crate::shared::{
    InvalidData, Phase0Fault, SharedAggregate, SharedAttestation, SharedAttesterSlashing,
    SharedBlock, SharedPayloadVote, SharedProposerSlashing, SharedUnsignedBlock,
    SharedVoluntaryExit,
};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::state_transition::{
    BlockError, HeaderError, TransitionError, UpdateFlags, compute_pulled_up_checkpoints,
    process_slots, verify_and_process_block, verify_proposer_early,
};
use crate::wire::{Wire, decode_exact};

/// The phase0 protocol of one preset and configuration.
///
/// # Examples
/// ```
/// use blocksmith::consensus::{Consensus, Invalid};
/// use blocksmith_consensus::{ChainConfig, Minimal, Phase0};
/// let phase0 = Phase0::<Minimal>::new(ChainConfig::minimal());
/// assert_eq!(phase0.decode_block(&[0; 7]).unwrap_err().reason(), "malformed_ssz");
/// ```
#[derive(Clone, Debug)]
pub struct Phase0<P: Preset> {
    config: Arc<ChainConfig>,
    /// Set in the test fork alone (`payload_committee`).
    payloads: Option<Payloads>,
    preset: PhantomData<P>,
}

impl<P: Preset> Phase0<P> {
    /// The protocol under a configuration.
    pub fn new(config: ChainConfig) -> Self {
        Self { config: Arc::new(config), payloads: None, preset: PhantomData }
    }

    /// The test fork "phase0 with a payload-timeliness committee", which no network runs: blocks
    /// and states are those of phase0, and committees vote on the payloads of blocks.
    pub fn with_payload_committee(config: ChainConfig, payloads: Payloads) -> Self {
        Self { payloads: Some(payloads), ..Self::new(config) }
    }

    /// When the payloads of blocks are there; `None` if there are none, as in phase0.
    pub fn payloads(&self) -> Option<Payloads> {
        self.payloads
    }

    /// The payload-timeliness committees around a state's epoch; `None` if there are none, as in
    /// phase0.
    ///
    /// # Errors
    /// If they cannot be computed: a fault, as the state is ours.
    pub fn ptc_window<'a>(
        &self,
        state: &'a BeaconState<P>,
    ) -> Result<Option<Cow<'a, PtcWindow<P>>>, StateError> {
        self.payloads.map(|_| payload_committee::window(state)).transpose()
    }

    /// Has a state of the test fork begin its window.
    fn begin_window(&self, state: &mut BeaconState<P>) -> Result<(), Phase0Fault> {
        if self.payloads.is_some() {
            payload_committee::begin_window(state)?;
        }
        Ok(())
    }

    /// The configuration.
    pub fn config(&self) -> &ChainConfig {
        &self.config
    }
}

pub(crate) type BlockFailure = Failure<InvalidData, Phase0Fault>;

fn checkpoint(checkpoint: Checkpoint) -> blocksmith::consensus::Checkpoint<Root> {
    blocksmith::consensus::Checkpoint { epoch: checkpoint.epoch, root: checkpoint.root }
}

fn vote_of(id: Root, attestation: &Attestation) -> Vote<Root> {
    let data = &attestation.data;
    Vote {
        id,
        slot: data.slot,
        beacon_block_root: data.beacon_block_root,
        source: checkpoint(data.source),
        target: checkpoint(data.target),
    }
}

/// The validators that both attestations of a slashing name, ascending. The lists may be in any
/// order, since nothing has been checked.
fn common_attesters(slashing: &AttesterSlashing) -> Vec<ValidatorIndex> {
    let [mut common, mut others] = [&slashing.attestation_1, &slashing.attestation_2]
        .map(|attestation| attestation.attesting_indices.iter().copied().collect::<Vec<_>>());
    common.sort_unstable();
    common.dedup();
    others.sort_unstable();
    common.retain(|index| others.binary_search(index).is_ok());
    common
}

/// Tells a fault of ours from what is wrong with an item.
pub(crate) fn failure<E: AsFault + Into<InvalidData>>(error: E) -> BlockFailure {
    match error.as_fault() {
        Some(fault) => Failure::Fault(fault.clone().into()),
        None => Failure::Invalid(error.into()),
    }
}

/// Checks an attestation of the epoch of `committees`.
fn check_attestation<P: Preset>(
    committees: &EpochCommittees<P>,
    attestation: &Attestation,
    signatures: &mut Signatures,
) -> Result<Vec<ValidatorIndex>, BlockFailure> {
    let (asked, epoch) = (attestation.data.target.epoch, committees.epoch());
    if asked != epoch && asked == compute_epoch_at_slot::<P>(attestation.data.slot) {
        return Err(Failure::Fault(Phase0Fault::Committees { epoch, asked }));
    }
    committees.check(attestation, signatures).map_err(failure)
}

impl<P: Preset> Consensus for Phase0<P> {
    type Root = Root;
    type Signature = SignatureBytes;
    type Block = SharedBlock;
    type Attestation = SharedAttestation;
    type Aggregate = SharedAggregate;
    type ProposerSlashing = SharedProposerSlashing;
    type AttesterSlashing = SharedAttesterSlashing;
    type VoluntaryExit = SharedVoluntaryExit;
    type PayloadVote = SharedPayloadVote;
    type State = BeaconState<P>;
    type Committees = EpochCommittees<P>;
    type Invalid = InvalidData;
    type Fault = Phase0Fault;
    type SignedHeader = SignedBeaconBlockHeader;

    fn slots_per_epoch(&self) -> u64 {
        P::SLOTS_PER_EPOCH
    }

    fn slot_duration_ms(&self) -> u64 {
        self.config.slot_duration_ms.get()
    }

    fn attestation_due_ms(&self) -> u64 {
        self.config.attestation_due_ms()
    }

    fn decode_block(&self, bytes: &[u8]) -> Result<SharedBlock, InvalidData> {
        Ok(decode_exact::<SignedBeaconBlock>(bytes)?.into())
    }

    fn decode_attestation(&self, bytes: &[u8]) -> Result<SharedAttestation, InvalidData> {
        Ok(decode_exact::<Attestation>(bytes)?.into())
    }

    fn decode_aggregate(&self, bytes: &[u8]) -> Result<SharedAggregate, InvalidData> {
        Ok(decode_exact::<SignedAggregateAndProof>(bytes)?.into())
    }

    fn decode_proposer_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<SharedProposerSlashing, InvalidData> {
        Ok(decode_exact::<ProposerSlashing>(bytes)?.into())
    }

    fn decode_attester_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<SharedAttesterSlashing, InvalidData> {
        Ok(decode_exact::<AttesterSlashing>(bytes)?.into())
    }

    fn decode_voluntary_exit(&self, bytes: &[u8]) -> Result<SharedVoluntaryExit, InvalidData> {
        Ok(decode_exact::<SignedVoluntaryExit>(bytes)?.into())
    }

    fn decode_payload_vote(&self, bytes: &[u8]) -> Result<SharedPayloadVote, InvalidData> {
        Ok(decode_exact::<PayloadAttestationMessage>(bytes)?.into())
    }

    fn payload_vote(&self, vote: &SharedPayloadVote) -> PayloadVoteHeader<Root> {
        payload_committee::header(vote)
    }

    fn needs_payload(&self, _block: &SharedBlock) -> bool {
        self.payloads == Some(Payloads::Apart)
    }

    fn verify_payload_vote(
        &self,
        state: &BeaconState<P>,
        vote: &SharedPayloadVote,
    ) -> Result<Places, BlockFailure> {
        match self.payloads {
            Some(_) => payload_committee::verify(state, vote.value()),
            None => Err(Failure::Fault(Phase0Fault::NoPayloadCommittee)),
        }
    }

    fn header(&self, block: &SharedBlock) -> Header<Root, SignatureBytes> {
        let SignedBeaconBlock { message, signature } = block.value();
        Header {
            root: block.root(),
            parent: message.parent_root,
            slot: message.slot,
            proposer: message.proposer_index,
            signature: *signature,
        }
    }

    fn vote(&self, attestation: &SharedAttestation) -> Vote<Root> {
        vote_of(attestation.root(), attestation.value())
    }

    fn gossip_vote(&self, vote: &GossipVote<Self>) -> VoteHeader<Root> {
        let (id, attestation, topic) = match vote {
            GossipVote::Single { attestation, subnet } => {
                (attestation.root(), attestation.value(), VoteTopic::Subnet(*subnet))
            }
            GossipVote::Aggregate(aggregate) => {
                let message = &aggregate.value().message;
                let topic = VoteTopic::Aggregate(message.aggregator_index);
                (aggregate.root(), &message.aggregate, topic)
            }
        };
        VoteHeader {
            vote: vote_of(id, attestation),
            data: attestation.data.hash_tree_root(),
            committee: attestation.data.index,
            bits: attestation.aggregation_bits.iter().map(|bit| *bit).collect(),
            topic,
        }
    }

    fn operation(&self, operation: &Operation<Self>) -> OperationHeader<Root> {
        let (id, validators) = match operation {
            Operation::ProposerSlashing(slashing) => {
                let proposer = slashing.value().signed_header_1.message.proposer_index;
                (slashing.root(), vec![proposer])
            }
            Operation::AttesterSlashing(slashing) => {
                (slashing.root(), common_attesters(slashing.value()))
            }
            Operation::VoluntaryExit(exit) => {
                (exit.root(), vec![exit.value().message.validator_index])
            }
        };
        OperationHeader { id, validators }
    }

    fn state_slot(&self, state: &BeaconState<P>) -> Slot {
        state.slot
    }

    fn state_root(&self, state: &BeaconState<P>) -> Root {
        state.hash_tree_root()
    }

    fn state_bytes(&self, state: &BeaconState<P>) -> usize {
        state.bytes_beside_neighbours()
    }

    fn block_bytes(&self, block: &SharedBlock) -> usize {
        /// An allocation's own cost, and the bits of an attestation.
        const HEAP: usize = 32;
        let body = &block.value().message.body;
        let indices = |list: &IndexedAttestation| {
            HEAP + list.attesting_indices.len() * size_of::<ValidatorIndex>()
        };
        let slashings = body.attester_slashings.iter().map(|slashing| {
            let both = [&slashing.attestation_1, &slashing.attestation_2].map(indices);
            size_of::<AttesterSlashing>() + both.iter().sum::<usize>()
        });
        size_of::<(Root, SignedBeaconBlock)>()
            + body.proposer_slashings.len() * size_of::<ProposerSlashing>()
            + slashings.sum::<usize>()
            + body.attestations.len() * (size_of::<Attestation>() + 2 * HEAP)
            + body.deposits.len() * (size_of::<Deposit>() + HEAP)
            + body.voluntary_exits.len() * size_of::<SignedVoluntaryExit>()
    }

    fn post_state_root(&self, block: &SharedBlock) -> Option<Root> {
        Some(block.value().message.state_root)
    }

    fn proposers(&self, state: &BeaconState<P>) -> Option<Vec<ValidatorIndex>> {
        known_proposers(state)
    }

    fn check_proposer(
        &self,
        block: &SharedBlock,
        expected: ValidatorIndex,
    ) -> Result<(), InvalidData> {
        let provided = block.value().message.proposer_index;
        if provided == expected {
            return Ok(());
        }
        let error = HeaderError::Proposer { provided, expected };
        Err(BlockError::from(error).into())
    }

    fn verify_proposer(
        &self,
        state: &BeaconState<P>,
        block: &SharedBlock,
        whose: StateOf,
    ) -> Result<ProposerCheck, BlockFailure> {
        let verified = verify_proposer_early(state, block.value(), block.root(), whose);
        verified.map_err(|error| match error {
            TransitionError::Invalid(error) => Failure::Invalid(error.into()),
            TransitionError::Fault(fault) => Failure::Fault(fault.into()),
        })
    }

    fn advance(&self, state: &mut BeaconState<P>, slot: Slot) -> Result<(), Phase0Fault> {
        if state.slot == slot {
            return Ok(());
        }
        self.begin_window(state)?;
        Ok(process_slots(state, slot, &self.config)?)
    }

    fn transition(
        &self,
        state: &mut BeaconState<P>,
        block: &SharedBlock,
        flags: UpdateFlags,
    ) -> Result<(), BlockFailure> {
        let message = &block.value().message;
        let parent_slot = state.latest_block_header.slot;
        if message.slot <= parent_slot || message.slot < state.slot {
            let error = BlockError::SlotNotAfterParent { slot: message.slot, parent_slot };
            return Err(Failure::Invalid(error.into()));
        }
        self.begin_window(state).map_err(Failure::Fault)?;
        let outcome = if state.slot == message.slot {
            Ok(())
        } else {
            process_slots(state, message.slot, &self.config).map_err(TransitionError::from)
        };
        outcome
            .and_then(|()| verify_and_process_block(state, block.value(), flags, &self.config))
            .map_err(|error| match error {
                TransitionError::Invalid(error) => Failure::Invalid(error.into()),
                TransitionError::Fault(fault) => Failure::Fault(fault.into()),
            })
    }

    fn block_effects(
        &self,
        post_state: &BeaconState<P>,
        block: &SharedBlock,
    ) -> Result<BlockEffects<Root>, Phase0Fault> {
        let (unrealized_justified, unrealized_finalized) =
            compute_pulled_up_checkpoints(post_state)?;
        let body = &block.value().message.body;
        let votes = body
            .attestations
            .iter()
            .map(|attestation| {
                let (data, bits) = (&attestation.data, &attestation.aggregation_bits);
                Ok(IndexedVote {
                    vote: vote_of(attestation.hash_tree_root(), attestation),
                    indices: get_attesting_indices(post_state, data, bits)?,
                })
            })
            .collect::<Result<_, StateError>>()?;
        let mut equivocating: Vec<ValidatorIndex> =
            body.attester_slashings.iter().flat_map(slashable_indices).collect();
        equivocating.sort_unstable();
        equivocating.dedup();
        Ok(BlockEffects {
            post_state_root: post_state.hash_tree_root(),
            checkpoints: Checkpoints {
                justified: checkpoint(post_state.current_justified_checkpoint),
                finalized: checkpoint(post_state.finalized_checkpoint),
                unrealized_justified: checkpoint(unrealized_justified),
                unrealized_finalized: checkpoint(unrealized_finalized),
            },
            votes,
            equivocating,
        })
    }

    fn committees(
        &self,
        state: &BeaconState<P>,
        epoch: Epoch,
    ) -> Result<EpochCommittees<P>, Phase0Fault> {
        Ok(EpochCommittees::of(state, epoch)?)
    }

    fn verify_attestation(
        &self,
        target_state: &BeaconState<P>,
        attestation: &SharedAttestation,
    ) -> AttestationOutcome<Self> {
        let epoch = compute_epoch_at_slot::<P>(attestation.value().data.slot);
        let committees = EpochCommittees::of(target_state, epoch)
            .map_err(|error| failure(AttestationError::from(error)))?;
        check_attestation(&committees, attestation.value(), &mut Signatures::Verify)
    }

    /// Checks everything but the signatures one by one, then the signatures in one batch. Invalid
    /// ones are found by halving, or one by one once a quarter has turned out invalid; the outcomes
    /// of the others stand.
    fn verify_attestations_with(
        &self,
        committees: &EpochCommittees<P>,
        attestations: &[SharedAttestation],
    ) -> Vec<AttestationOutcome<Self>> {
        let mut signatures = Signatures::Collect(Vec::with_capacity(attestations.len()));
        let mut outcomes: Vec<_> = attestations
            .iter()
            .map(|attestation| check_attestation(committees, attestation.value(), &mut signatures))
            .collect();
        // One signature was set aside for each attestation that has passed so far, in order.
        let mut open: Vec<_> = outcomes.iter_mut().filter(|outcome| outcome.is_ok()).collect();
        match signatures.all_invalid() {
            Ok(invalid) => {
                for at in invalid {
                    let Some(outcome) = open.get_mut(at) else { continue };
                    let attesters = outcome.as_ref().map_or(0, Vec::len);
                    let error = IndexedAttestationError::Signature { attesters };
                    **outcome = Err(Failure::Invalid(AttestationError::from(error).into()));
                }
            }
            Err(fault) => {
                for outcome in open {
                    *outcome = Err(Failure::Fault(fault.clone().into()));
                }
            }
        }
        outcomes
    }

    fn verify_gossip_votes(
        &self,
        committees: &EpochCommittees<P>,
        votes: &[&GossipVote<Self>],
    ) -> Vec<VoteOutcome<Self>> {
        verify_votes(committees, votes)
    }

    fn verify_operation(
        &self,
        state: &BeaconState<P>,
        operation: &Operation<Self>,
    ) -> AttestationOutcome<Self> {
        let mut verify = Signatures::Verify;
        match operation {
            Operation::ProposerSlashing(slashing) => {
                let proposer = verify_proposer_slashing(state, slashing.value(), &mut verify);
                proposer.map(|index| vec![index]).map_err(failure)
            }
            Operation::AttesterSlashing(slashing) => {
                let slashed = verify_attester_slashing(state, slashing.value(), &mut verify);
                slashed.map(|_| common_attesters(slashing.value())).map_err(failure)
            }
            Operation::VoluntaryExit(exit) => {
                let exits = verify_voluntary_exit(state, exit.value(), &mut verify, &self.config);
                let index = exit.value().message.validator_index;
                exits.map(|()| vec![index]).map_err(failure)
            }
        }
    }

    fn is_spent(&self, state: &BeaconState<P>, operation: &Operation<Self>) -> bool {
        match operation {
            Operation::ProposerSlashing(slashing) => {
                let proposer = slashing.value().signed_header_1.message.proposer_index;
                evidence::cannot_be_slashed(state, &[proposer])
            }
            Operation::AttesterSlashing(slashing) => {
                evidence::cannot_be_slashed(state, &slashable_indices(slashing.value()))
            }
            Operation::VoluntaryExit(exit) => {
                evidence::exits(state, exit.value().message.validator_index)
            }
        }
    }

    fn prepare_epoch(&self, state: &BeaconState<P>) -> Result<(), Phase0Fault> {
        Ok(prepare_epoch(state)?)
    }

    fn balances(&self, state: &BeaconState<P>) -> Result<Balances, Phase0Fault> {
        Ok(Balances {
            effective: active_balances(state).into(),
            total_active: get_total_active_balance(state)?,
        })
    }

    fn signed_header(&self, block: &SharedBlock) -> SignedBeaconBlockHeader {
        evidence::signed_header(block.value())
    }

    fn attestations(&self, block: &SharedBlock) -> Vec<SharedAttestation> {
        block.value().message.body.attestations.iter().cloned().map(Into::into).collect()
    }

    fn aggregated(&self, aggregate: &SharedAggregate) -> SharedAttestation {
        aggregate.value().message.aggregate.clone().into()
    }

    fn attester_slashing(
        &self,
        first: (&SharedAttestation, &[ValidatorIndex]),
        second: (&SharedAttestation, &[ValidatorIndex]),
    ) -> SharedAttesterSlashing {
        evidence::attester_slashing(first, second).into()
    }

    fn proposer_slashing(
        &self,
        first: &SignedBeaconBlockHeader,
        second: &SignedBeaconBlockHeader,
    ) -> SharedProposerSlashing {
        ProposerSlashing { signed_header_1: first.clone(), signed_header_2: second.clone() }.into()
    }

    fn inclusion_weights(
        &self,
        state: &BeaconState<P>,
        attestation: &SharedAttestation,
    ) -> Option<Vec<Gwei>> {
        evidence::inclusion_weights(state, attestation.value())
    }

    type BlockInputs = ProposerInputs;
    type UnsignedBlock = SharedUnsignedBlock;

    fn block_limits(&self) -> BlockLimits {
        production::LIMITS
    }

    fn produce(
        &self,
        state: BeaconState<P>,
        parts: BlockParts<Self>,
        inputs: &ProposerInputs,
    ) -> Result<SharedUnsignedBlock, BlockFailure> {
        production::produce(state, parts, inputs, &self.config)
    }
}
