//! The protocol that recorded chains and attacks are run over: phase0 in either preset, chosen when
//! the program runs, with counts.
//!
//! **Contract.** [`Protocol`] answers what [`Phase0`] of its preset answers. As the preset is a
//! value and not a type, the services are compiled once for both: they are most of what a build of
//! the command costs. A state, and the committees of an epoch, say which preset they are of
//! ([`PerPreset`]), and are judged by that one.
//!
//! Beside that a protocol counts, over all threads: slots that states were advanced by, blocks that
//! were applied again, blocks that were applied with their signatures verified, and attestations
//! that were verified. It notes when the last block was produced and applied ([`Moments`]).

mod counts;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use blocksmith::consensus::{
    AttestationOutcome, Balances, BlockEffects, BlockLimits, BlockParts, Consensus, Epoch, Failure,
    Gwei, Header, ProposerCheck, Slot, StateOf, UpdateFlags, ValidatorIndex, Vote,
};
use blocksmith::gossip::{GossipVote, Operation, OperationHeader, VoteHeader, VoteOutcome};
use blocksmith::payload::{PayloadVoteHeader, Places};
use blocksmith::store::Codec;
use blocksmith_consensus::{
    BeaconState, ChainConfig, DecodeError, EpochCommittees, InvalidData, Mainnet, Minimal, Phase0,
    Phase0Fault, Preset, ProposerInputs, Root, RootJob, SharedAggregate, SharedAttestation,
    SharedAttesterSlashing, SharedBlock, SharedPayloadVote, SharedProposerSlashing,
    SharedUnsignedBlock, SharedVoluntaryExit, SignatureBytes, SignedBeaconBlock,
    SignedBeaconBlockHeader, SlotsError, TransitionError, process_slots, state_transition,
};
use blocksmith_node::recording::PresetName;

pub use counts::{Counts, Moments, Work};

/// A value of one of the presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerPreset<A, B> {
    /// Of the minimal preset.
    Minimal(A),
    /// Of the mainnet preset.
    Mainnet(B),
}

/// A state of one of the presets.
pub type State = PerPreset<BeaconState<Minimal>, BeaconState<Mainnet>>;

/// The committees of an epoch of one of the presets.
pub type Committees = PerPreset<EpochCommittees<Minimal>, EpochCommittees<Mainnet>>;

type BlockFailure = Failure<InvalidData, Phase0Fault>;

impl State {
    /// Decodes a state of a preset.
    ///
    /// # Errors
    /// If the bytes are not exactly one encoded state.
    pub fn from_ssz_bytes(preset: PresetName, bytes: &[u8]) -> Result<Self, DecodeError> {
        match preset {
            PresetName::Minimal => BeaconState::from_ssz_bytes(bytes).map(Self::Minimal),
            PresetName::Mainnet => BeaconState::from_ssz_bytes(bytes).map(Self::Mainnet),
        }
    }

    /// Returns the preset that the state is of.
    #[must_use]
    pub fn preset(&self) -> PresetName {
        match self {
            Self::Minimal(_) => PresetName::Minimal,
            Self::Mainnet(_) => PresetName::Mainnet,
        }
    }

    /// Returns the state's `hash_tree_root`.
    #[must_use]
    pub fn hash_tree_root(&self) -> Root {
        match self {
            Self::Minimal(state) => state.hash_tree_root(),
            Self::Mainnet(state) => state.hash_tree_root(),
        }
    }

    /// Returns the state's slot.
    #[must_use]
    pub fn slot(&self) -> Slot {
        match self {
            Self::Minimal(state) => state.slot,
            Self::Mainnet(state) => state.slot,
        }
    }

    /// Cuts the hashing of the state into jobs for this many threads; see
    /// [`BeaconState::root_jobs`].
    #[must_use]
    pub fn root_jobs(&self, threads: usize) -> Vec<RootJob> {
        match self {
            Self::Minimal(state) => state.root_jobs(threads),
            Self::Mainnet(state) => state.root_jobs(threads),
        }
    }

    /// Runs empty slots up to `slot`; see [`process_slots`].
    ///
    /// # Errors
    /// As [`process_slots`].
    pub fn process_slots(&mut self, slot: Slot, config: &ChainConfig) -> Result<(), SlotsError> {
        match self {
            Self::Minimal(state) => process_slots(state, slot, config),
            Self::Mainnet(state) => process_slots(state, slot, config),
        }
    }

    /// Applies a block; see [`state_transition`].
    ///
    /// # Errors
    /// As [`state_transition`].
    pub fn apply(
        &mut self,
        block: &SignedBeaconBlock,
        flags: UpdateFlags,
        config: &ChainConfig,
    ) -> Result<(), TransitionError> {
        match self {
            Self::Minimal(state) => state_transition(state, block, flags, config),
            Self::Mainnet(state) => state_transition(state, block, flags, config),
        }
    }
}

/// Evaluates an expression with the phase0 of the preset that a value is of, and with the value.
macro_rules! by_preset {
    ($self:ident, $value:expr, |$phase0:ident, $inner:ident| $body:expr) => {
        match $value {
            PerPreset::Minimal($inner) => {
                let $phase0 = &$self.minimal;
                $body
            }
            PerPreset::Mainnet($inner) => {
                let $phase0 = &$self.mainnet;
                $body
            }
        }
    };
}

/// Phase0 in a preset that is known when the program runs; see the module's text.
#[derive(Debug)]
pub struct Protocol {
    preset: PresetName,
    // Both have the same configuration. What needs neither a state nor committees is the same in
    // both, unless `preset` is looked at.
    minimal: Phase0<Minimal>,
    mainnet: Phase0<Mainnet>,
    counts: Counts,
}

impl Protocol {
    /// Returns the protocol of a preset under a configuration.
    #[must_use]
    pub fn new(preset: PresetName, config: ChainConfig) -> Self {
        let (minimal, mainnet) = (Phase0::new(config.clone()), Phase0::new(config));
        Self { preset, minimal, mainnet, counts: Counts::default() }
    }

    /// Returns a handle to the counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Runs `step` on the state, and counts the slots by which it moved.
    fn moving<R>(&self, state: &mut State, step: impl FnOnce(&mut State) -> R) -> R {
        let before = self.state_slot(state);
        let result = step(state);
        let slots = self.state_slot(state).saturating_sub(before);
        self.counts.0.slots.fetch_add(slots, Relaxed);
        result
    }
}

impl Consensus for Protocol {
    type Root = Root;
    type Signature = SignatureBytes;
    type Block = SharedBlock;
    type Attestation = SharedAttestation;
    type Aggregate = SharedAggregate;
    type VoluntaryExit = SharedVoluntaryExit;
    type PayloadVote = SharedPayloadVote;
    type SignedHeader = SignedBeaconBlockHeader;
    type AttesterSlashing = SharedAttesterSlashing;
    type ProposerSlashing = SharedProposerSlashing;
    type Committees = Committees;
    type State = State;
    type Invalid = InvalidData;
    type Fault = Phase0Fault;

    type BlockInputs = ProposerInputs;
    type UnsignedBlock = SharedUnsignedBlock;

    fn slots_per_epoch(&self) -> u64 {
        match self.preset {
            PresetName::Minimal => self.minimal.slots_per_epoch(),
            PresetName::Mainnet => self.mainnet.slots_per_epoch(),
        }
    }

    // What depends on a state or on committees.

    fn produce(
        &self,
        state: State,
        parts: BlockParts<Self>,
        inputs: &ProposerInputs,
    ) -> Result<SharedUnsignedBlock, BlockFailure> {
        let start = Instant::now();
        let block = by_preset!(self, state, |phase0, state| {
            phase0.produce(state, inner_parts(parts), inputs)
        });
        self.counts.moments().production = Some((start, Instant::now()));
        block
    }

    fn advance(&self, state: &mut State, slot: Slot) -> Result<(), Phase0Fault> {
        self.moving(state, |state| {
            by_preset!(self, state, |phase0, state| phase0.advance(state, slot))
        })
    }

    fn transition(
        &self,
        state: &mut State,
        block: &SharedBlock,
        flags: UpdateFlags,
    ) -> Result<(), BlockFailure> {
        let counters = &self.counts.0;
        let kind = if flags.skip_bls_validation { &counters.replayed } else { &counters.checked };
        kind.fetch_add(1, Relaxed);
        let start = Instant::now();
        let applied = self.moving(state, |state| {
            by_preset!(self, state, |phase0, state| phase0.transition(state, block, flags))
        });
        if !flags.skip_bls_validation {
            self.counts.moments().transition = Some((start, Instant::now()));
        }
        applied
    }

    fn verify_attestation(
        &self,
        target_state: &State,
        attestation: &SharedAttestation,
    ) -> AttestationOutcome<Self> {
        self.counts.verifies(1);
        by_preset!(self, target_state, |phase0, state| phase0
            .verify_attestation(state, attestation))
    }

    fn verify_attestations_with(
        &self,
        committees: &Committees,
        attestations: &[SharedAttestation],
    ) -> Vec<AttestationOutcome<Self>> {
        self.counts.verifies(attestations.len());
        by_preset!(self, committees, |phase0, committees| phase0
            .verify_attestations_with(committees, attestations))
    }

    fn verify_gossip_votes(
        &self,
        committees: &Committees,
        votes: &[&GossipVote<Self>],
    ) -> Vec<VoteOutcome<Self>> {
        self.counts.verifies(votes.len());
        by_preset!(self, committees, |phase0, committees| {
            let votes: Vec<_> = votes.iter().map(|vote| inner_vote(vote)).collect();
            phase0.verify_gossip_votes(committees, &votes.iter().collect::<Vec<_>>())
        })
    }

    fn verify_operation(
        &self,
        state: &State,
        operation: &Operation<Self>,
    ) -> AttestationOutcome<Self> {
        by_preset!(self, state, |phase0, state| phase0
            .verify_operation(state, &inner_operation(operation)))
    }

    fn verify_payload_vote(
        &self,
        state: &State,
        vote: &SharedPayloadVote,
    ) -> Result<Places, BlockFailure> {
        by_preset!(self, state, |phase0, state| phase0.verify_payload_vote(state, vote))
    }

    fn is_spent(&self, state: &State, operation: &Operation<Self>) -> bool {
        by_preset!(self, state, |phase0, state| phase0.is_spent(state, &inner_operation(operation)))
    }

    fn committees(&self, state: &State, epoch: Epoch) -> Result<Committees, Phase0Fault> {
        Ok(match state {
            State::Minimal(state) => Committees::Minimal(self.minimal.committees(state, epoch)?),
            State::Mainnet(state) => Committees::Mainnet(self.mainnet.committees(state, epoch)?),
        })
    }

    fn proposers(&self, state: &State) -> Option<Vec<ValidatorIndex>> {
        by_preset!(self, state, |phase0, state| phase0.proposers(state))
    }

    fn verify_proposer(
        &self,
        state: &State,
        block: &SharedBlock,
        whose: StateOf,
    ) -> Result<ProposerCheck, BlockFailure> {
        by_preset!(self, state, |phase0, state| phase0.verify_proposer(state, block, whose))
    }

    fn inclusion_weights(
        &self,
        state: &State,
        attestation: &SharedAttestation,
    ) -> Option<Vec<Gwei>> {
        self.counts.moments().packing.get_or_insert_with(Instant::now);
        by_preset!(self, state, |phase0, state| phase0.inclusion_weights(state, attestation))
    }

    fn state_slot(&self, state: &State) -> Slot {
        by_preset!(self, state, |phase0, state| phase0.state_slot(state))
    }

    fn state_root(&self, state: &State) -> Root {
        state.hash_tree_root()
    }

    fn state_bytes(&self, state: &State) -> usize {
        by_preset!(self, state, |phase0, state| phase0.state_bytes(state))
    }

    fn block_effects(
        &self,
        post_state: &State,
        block: &SharedBlock,
    ) -> Result<BlockEffects<Root>, Phase0Fault> {
        by_preset!(self, post_state, |phase0, state| phase0.block_effects(state, block))
    }

    fn prepare_epoch(&self, state: &State) -> Result<(), Phase0Fault> {
        by_preset!(self, state, |phase0, state| phase0.prepare_epoch(state))
    }

    fn balances(&self, state: &State) -> Result<Balances, Phase0Fault> {
        by_preset!(self, state, |phase0, state| phase0.balances(state))
    }

    // What is the same in both presets.

    fn block_limits(&self) -> BlockLimits {
        self.minimal.block_limits()
    }

    fn slot_duration_ms(&self) -> u64 {
        self.minimal.slot_duration_ms()
    }

    fn attestation_due_ms(&self) -> u64 {
        self.minimal.attestation_due_ms()
    }

    fn decode_block(&self, bytes: &[u8]) -> Result<SharedBlock, InvalidData> {
        self.minimal.decode_block(bytes)
    }

    fn decode_attestation(&self, bytes: &[u8]) -> Result<SharedAttestation, InvalidData> {
        self.minimal.decode_attestation(bytes)
    }

    fn decode_aggregate(&self, bytes: &[u8]) -> Result<SharedAggregate, InvalidData> {
        self.minimal.decode_aggregate(bytes)
    }

    fn decode_proposer_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<SharedProposerSlashing, InvalidData> {
        self.minimal.decode_proposer_slashing(bytes)
    }

    fn decode_attester_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<SharedAttesterSlashing, InvalidData> {
        self.minimal.decode_attester_slashing(bytes)
    }

    fn decode_voluntary_exit(&self, bytes: &[u8]) -> Result<SharedVoluntaryExit, InvalidData> {
        self.minimal.decode_voluntary_exit(bytes)
    }

    fn decode_payload_vote(&self, bytes: &[u8]) -> Result<SharedPayloadVote, InvalidData> {
        self.minimal.decode_payload_vote(bytes)
    }

    fn payload_vote(&self, vote: &SharedPayloadVote) -> PayloadVoteHeader<Root> {
        self.minimal.payload_vote(vote)
    }

    fn needs_payload(&self, block: &SharedBlock) -> bool {
        self.minimal.needs_payload(block)
    }

    fn header(&self, block: &SharedBlock) -> Header<Root, SignatureBytes> {
        self.minimal.header(block)
    }

    fn vote(&self, attestation: &SharedAttestation) -> Vote<Root> {
        self.minimal.vote(attestation)
    }

    fn gossip_vote(&self, vote: &GossipVote<Self>) -> VoteHeader<Root> {
        self.minimal.gossip_vote(&inner_vote(vote))
    }

    fn operation(&self, operation: &Operation<Self>) -> OperationHeader<Root> {
        self.minimal.operation(&inner_operation(operation))
    }

    fn aggregated(&self, aggregate: &SharedAggregate) -> SharedAttestation {
        self.minimal.aggregated(aggregate)
    }

    fn block_bytes(&self, block: &SharedBlock) -> usize {
        self.minimal.block_bytes(block)
    }

    fn post_state_root(&self, block: &SharedBlock) -> Option<Root> {
        self.minimal.post_state_root(block)
    }

    fn check_proposer(
        &self,
        block: &SharedBlock,
        expected: ValidatorIndex,
    ) -> Result<(), InvalidData> {
        self.minimal.check_proposer(block, expected)
    }

    fn signed_header(&self, block: &SharedBlock) -> SignedBeaconBlockHeader {
        self.minimal.signed_header(block)
    }

    fn attestations(&self, block: &SharedBlock) -> Vec<SharedAttestation> {
        self.minimal.attestations(block)
    }

    fn attester_slashing(
        &self,
        first: (&SharedAttestation, &[ValidatorIndex]),
        second: (&SharedAttestation, &[ValidatorIndex]),
    ) -> SharedAttesterSlashing {
        self.minimal.attester_slashing(first, second)
    }

    fn proposer_slashing(
        &self,
        first: &SignedBeaconBlockHeader,
        second: &SignedBeaconBlockHeader,
    ) -> SharedProposerSlashing {
        self.minimal.proposer_slashing(first, second)
    }
}

impl Codec for Protocol {
    fn identity(&self) -> String {
        match self.preset {
            PresetName::Minimal => self.minimal.identity(),
            PresetName::Mainnet => self.mainnet.identity(),
        }
    }

    fn encode_root(&self, root: &Root) -> Vec<u8> {
        self.minimal.encode_root(root)
    }

    fn decode_root(&self, bytes: &[u8]) -> Option<Root> {
        self.minimal.decode_root(bytes)
    }

    fn encode_block(&self, block: &SharedBlock) -> Vec<u8> {
        self.minimal.encode_block(block)
    }

    fn encode_attestation(&self, attestation: &SharedAttestation) -> Vec<u8> {
        self.minimal.encode_attestation(attestation)
    }

    fn encode_operation(&self, operation: &Operation<Self>) -> Vec<u8> {
        self.minimal.encode_operation(&inner_operation(operation))
    }

    fn encode_state(&self, state: &State) -> Vec<u8> {
        by_preset!(self, state, |phase0, state| phase0.encode_state(state))
    }

    fn decode_state(&self, bytes: &[u8]) -> Result<State, String> {
        State::from_ssz_bytes(self.preset, bytes).map_err(|error| error.to_string())
    }
}

/// Returns the vote as one of a preset's phase0; that costs a pointer.
fn inner_vote<P: Preset>(vote: &GossipVote<Protocol>) -> GossipVote<Phase0<P>> {
    match vote {
        GossipVote::Single { attestation, subnet } => {
            GossipVote::Single { attestation: attestation.clone(), subnet: *subnet }
        }
        GossipVote::Aggregate(aggregate) => GossipVote::Aggregate(aggregate.clone()),
    }
}

/// Returns the operation as one of a preset's phase0; that costs a pointer.
fn inner_operation<P: Preset>(operation: &Operation<Protocol>) -> Operation<Phase0<P>> {
    match operation {
        Operation::ProposerSlashing(slashing) => Operation::ProposerSlashing(slashing.clone()),
        Operation::AttesterSlashing(slashing) => Operation::AttesterSlashing(slashing.clone()),
        Operation::VoluntaryExit(exit) => Operation::VoluntaryExit(exit.clone()),
    }
}

/// Returns the parts of a block as those of a preset's phase0.
fn inner_parts<P: Preset>(parts: BlockParts<Protocol>) -> BlockParts<Phase0<P>> {
    BlockParts {
        parent: parts.parent,
        attestations: parts.attestations,
        proposer_slashings: parts.proposer_slashings,
        attester_slashings: parts.attester_slashings,
        voluntary_exits: parts.voluntary_exits,
    }
}
