//! Processing of a block: header, RANDAO, vote on the deposit contract, operations.
//!
//! Each stage has its own error, so that the stage that failed determines the verdict's reason.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Block processing".

use crate::accessors::{
    get_beacon_proposer_index, get_current_epoch, get_domain, get_randao_mix, get_validator,
    signature_set,
};
use crate::bls::BlsError;
use crate::config::ChainConfig;
use crate::containers::{BeaconBlock, BeaconBlockBody, BeaconBlockHeader, Eth1Data, MAX_DEPOSITS};
use crate::duties::proposer_key;
use crate::error::{AsFault, Fault, StateError};
use crate::hashing::uint_leaf;
use crate::operations::{
    AttestationError, AttesterSlashingError, DepositError, IndexedAttestationError,
    ProposerSlashingError, VoluntaryExitError, fault_in_state, process_attestation,
    process_attester_slashing, process_deposit, process_proposer_slashing, process_voluntary_exit,
};
use crate::preset::Preset;
use crate::primitives::{DOMAIN_RANDAO, Epoch, Root, Slot, ValidatorIndex, hash};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::state_transition::UpdateFlags;
use crate::wire::Wire;

/// Why a block's header is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HeaderError {
    /// The block has another slot than the state.
    #[error("BlockHeader: slot {block}, expected {state}")]
    Slot {
        /// The block's slot.
        block: Slot,
        /// The state's slot.
        state: Slot,
    },
    /// The block does not come after the latest one.
    #[error("BlockHeader: slot {block}, expected more than the latest block's {latest}")]
    NotAfterLatest {
        /// The block's slot.
        block: Slot,
        /// The latest block's slot.
        latest: Slot,
    },
    /// Another validator proposes in this slot.
    #[error("BlockHeader: proposer index {provided}, expected {expected}")]
    Proposer {
        /// The proposer that the block names.
        provided: ValidatorIndex,
        /// The slot's proposer.
        expected: ValidatorIndex,
    },
    /// The parent is not the state's latest block.
    #[error("BlockHeader: parent root {provided}, expected {latest}")]
    ParentRoot {
        /// The block's parent.
        provided: Root,
        /// The state's latest block.
        latest: Root,
    },
    /// The proposer was slashed.
    #[error("BlockHeader: proposer {0} is slashed, expected one that is not")]
    ProposerSlashed(ValidatorIndex),
    /// A condition of a helper does not hold.
    #[error("BlockHeader: {0}")]
    State(#[from] StateError),
}

fault_in_state!(HeaderError);

/// Why a block's RANDAO reveal is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RandaoError {
    /// The reveal is not the proposer's signature over the epoch.
    #[error("Randao: reveal does not verify, expected proposer {proposer}'s for epoch {epoch}")]
    Signature {
        /// The slot's proposer.
        proposer: ValidatorIndex,
        /// The epoch that must be signed.
        epoch: Epoch,
    },
    /// A condition of a helper does not hold.
    #[error("Randao: {0}")]
    State(#[from] StateError),
}

fault_in_state!(RandaoError);

/// Why a block's vote on the deposit contract cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Eth1DataError {
    /// A condition of a helper does not hold.
    #[error("Eth1Data: {0}")]
    State(#[from] StateError),
}

impl AsFault for Eth1DataError {
    fn as_fault(&self) -> Option<&Fault> {
        let Self::State(error) = self;
        error.as_fault()
    }
}

/// Which of a block's operations is invalid, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OperationsError {
    /// The block does not carry the number of deposits that it must.
    #[error("Operations: {provided} deposits, expected {expected}")]
    DepositCount {
        /// Deposits in the block.
        provided: usize,
        /// Deposits that are due.
        expected: u64,
    },
    /// More deposits were processed than there are.
    #[error("Operations: eth1 deposit index {index}, expected at most {count}")]
    DepositIndex {
        /// The state's `eth1_deposit_index`.
        index: u64,
        /// The state's `eth1_data.deposit_count`.
        count: u64,
    },
    /// A proposer slashing.
    #[error("{error} (proposer slashing {index} of the block)")]
    ProposerSlashing {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: ProposerSlashingError,
    },
    /// An attester slashing.
    #[error("{error} (attester slashing {index} of the block)")]
    AttesterSlashing {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: AttesterSlashingError,
    },
    /// An attestation.
    #[error("{error} (attestation {index} of the block)")]
    Attestation {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: AttestationError,
    },
    /// A deposit.
    #[error("{error} (deposit {index} of the block)")]
    Deposit {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: DepositError,
    },
    /// A voluntary exit.
    #[error("{error} (voluntary exit {index} of the block)")]
    VoluntaryExit {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: VoluntaryExitError,
    },
}

impl OperationsError {
    /// The operation whose signature was set aside as the `at`-th of a block's. Each slashing sets
    /// two aside, and each attestation or exit one, in the order of processing. `None` if there are
    /// not that many.
    pub(super) fn of_signature(body: &BeaconBlockBody, mut at: usize) -> Option<Self> {
        if let Some(slashing) = body.proposer_slashings.get(at / 2) {
            let header = (at % 2) as u8 + 1;
            let proposer = slashing.signed_header_1.message.proposer_index;
            let error = ProposerSlashingError::Signature { header, proposer };
            return Some(Self::ProposerSlashing { index: at / 2, error });
        }
        at -= 2 * body.proposer_slashings.len();
        if let Some(slashing) = body.attester_slashings.get(at / 2) {
            let attestations = [&slashing.attestation_1, &slashing.attestation_2];
            let attesters = attestations[at % 2].attesting_indices.len();
            let error = IndexedAttestationError::Signature { attesters };
            let error = AttesterSlashingError::Attestation { number: (at % 2) as u8 + 1, error };
            return Some(Self::AttesterSlashing { index: at / 2, error });
        }
        at -= 2 * body.attester_slashings.len();
        if let Some(attestation) = body.attestations.get(at) {
            let attesters = attestation.aggregation_bits.count_ones();
            let error = IndexedAttestationError::Signature { attesters }.into();
            return Some(Self::Attestation { index: at, error });
        }
        at -= body.attestations.len();
        let exit = body.voluntary_exits.get(at)?;
        let error = VoluntaryExitError::Signature(exit.message.validator_index);
        Some(Self::VoluntaryExit { index: at, error })
    }
}

impl AsFault for OperationsError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::DepositCount { .. } | Self::DepositIndex { .. } => None,
            Self::ProposerSlashing { error, .. } => error.as_fault(),
            Self::AttesterSlashing { error, .. } => error.as_fault(),
            Self::Attestation { error, .. } => error.as_fault(),
            Self::Deposit { error, .. } => error.as_fault(),
            Self::VoluntaryExit { error, .. } => error.as_fault(),
        }
    }
}

/// Checks a block's header against the state and makes it the latest one.
///
/// # Errors
/// [`HeaderError`] names the first condition that fails.
pub fn process_block_header<P: Preset>(
    state: &mut BeaconState<P>,
    block: &BeaconBlock,
    flags: UpdateFlags,
) -> Result<(), HeaderError> {
    if block.slot != state.slot {
        return Err(HeaderError::Slot { block: block.slot, state: state.slot });
    }
    let latest = state.latest_block_header.slot;
    if block.slot <= latest {
        return Err(HeaderError::NotAfterLatest { block: block.slot, latest });
    }
    let expected = get_beacon_proposer_index(state)?;
    if block.proposer_index != expected {
        return Err(HeaderError::Proposer { provided: block.proposer_index, expected });
    }
    if !flags.skip_block_parent_root_validation {
        let header = &state.latest_block_header;
        let latest = state.caches.roots.with(|known| known.header(header));
        if block.parent_root != latest {
            return Err(HeaderError::ParentRoot { provided: block.parent_root, latest });
        }
    }
    state.latest_block_header = BeaconBlockHeader {
        slot: block.slot,
        proposer_index: block.proposer_index,
        parent_root: block.parent_root,
        // The next `process_slot` fills this in.
        state_root: Root::ZERO,
        body_root: block.body.hash_tree_root(),
    };
    if get_validator(state, block.proposer_index)?.slashed {
        return Err(HeaderError::ProposerSlashed(block.proposer_index));
    }
    Ok(())
}

/// Checks that the RANDAO reveal is the proposer's signature over the epoch.
///
/// # Errors
/// [`RandaoError::Signature`] if it is not.
pub(crate) fn check_randao<P: Preset>(
    state: &BeaconState<P>,
    body: &BeaconBlockBody,
    signatures: &mut Signatures,
) -> Result<(), RandaoError> {
    let epoch = get_current_epoch(state);
    let proposer = get_beacon_proposer_index(state)?;
    get_validator(state, proposer)?;
    let accepted = signatures.accept(|| {
        let key = proposer_key(state, proposer).unwrap_or(Err(BlsError::Encoding));
        let domain = get_domain(state, DOMAIN_RANDAO, epoch);
        signature_set(key, uint_leaf(epoch), domain, &body.randao_reveal)
    });
    if accepted { Ok(()) } else { Err(RandaoError::Signature { proposer, epoch }) }
}

/// Checks the RANDAO reveal and mixes it into the epoch's randomness.
///
/// # Errors
/// [`RandaoError::Signature`] if the reveal is not the proposer's signature over the epoch.
pub fn process_randao<P: Preset>(
    state: &mut BeaconState<P>,
    body: &BeaconBlockBody,
    signatures: &mut Signatures,
) -> Result<(), RandaoError> {
    check_randao(state, body, signatures)?;
    let epoch = get_current_epoch(state);
    let mut mix = get_randao_mix(state, epoch).to_bytes();
    for (byte, other) in mix.iter_mut().zip(hash(body.randao_reveal.as_ref()).as_bytes()) {
        *byte ^= other;
    }
    if let Some(slot) =
        state.randao_mixes.get_mut((epoch % P::EPOCHS_PER_HISTORICAL_VECTOR) as usize)
    {
        *slot = Root::new(mix);
    }
    Ok(())
}

/// Records the block's vote on the deposit contract, and adopts its view if more than half voted
/// for it.
///
/// # Errors
/// [`Eth1DataError`] if the state holds more votes than a period has slots.
pub fn process_eth1_data<P: Preset>(
    state: &mut BeaconState<P>,
    body: &BeaconBlockBody,
) -> Result<(), Eth1DataError> {
    let vote: &Eth1Data = &body.eth1_data;
    state
        .eth1_data_votes
        .push(vote.clone())
        .map_err(|_| StateError::ListFull("votes on the deposit contract"))?;
    let votes = state.eth1_data_votes.iter().filter(|other| *other == vote).count() as u64;
    if votes * 2 > P::EPOCHS_PER_ETH1_VOTING_PERIOD * P::SLOTS_PER_EPOCH {
        state.eth1_data = vote.clone();
    }
    Ok(())
}

/// Processes all operations of a block, kind by kind.
///
/// # Errors
/// [`OperationsError`] names the first operation that is invalid, and why.
pub fn process_operations<P: Preset>(
    state: &mut BeaconState<P>,
    body: &BeaconBlockBody,
    flags: UpdateFlags,
    signatures: &mut Signatures,
    config: &ChainConfig,
) -> Result<(), OperationsError> {
    let (index, count) = (state.eth1_deposit_index, state.eth1_data.deposit_count);
    let outstanding =
        count.checked_sub(index).ok_or(OperationsError::DepositIndex { index, count })?;
    let expected = outstanding.min(MAX_DEPOSITS as u64);
    if body.deposits.len() as u64 != expected {
        return Err(OperationsError::DepositCount { provided: body.deposits.len(), expected });
    }
    for (index, slashing) in body.proposer_slashings.iter().enumerate() {
        process_proposer_slashing(state, slashing, signatures, config)
            .map_err(|error| OperationsError::ProposerSlashing { index, error })?;
    }
    for (index, slashing) in body.attester_slashings.iter().enumerate() {
        process_attester_slashing(state, slashing, signatures, config)
            .map_err(|error| OperationsError::AttesterSlashing { index, error })?;
    }
    for (index, attestation) in body.attestations.iter().enumerate() {
        process_attestation(state, attestation, signatures)
            .map_err(|error| OperationsError::Attestation { index, error })?;
    }
    for (index, deposit) in body.deposits.iter().enumerate() {
        process_deposit(state, deposit, flags.skip_merkle_validation, config)
            .map_err(|error| OperationsError::Deposit { index, error })?;
    }
    for (index, exit) in body.voluntary_exits.iter().enumerate() {
        process_voluntary_exit(state, exit, signatures, config)
            .map_err(|error| OperationsError::VoluntaryExit { index, error })?;
    }
    Ok(())
}
