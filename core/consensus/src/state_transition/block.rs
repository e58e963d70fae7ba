//! A block: header, RANDAO, vote on the deposit contract, operations.
//!
//! Each stage has its own error, so that the stage that failed gives the verdict's reason.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Block processing".

use crate::accessors::{
    get_beacon_proposer_index, get_current_epoch, get_randao_mix, get_validator, public_key,
    signature_set,
};
use crate::config::ChainConfig;
use crate::containers::{BeaconBlock, BeaconBlockBody, BeaconBlockHeader, Eth1Data, MAX_DEPOSITS};
use crate::domains::get_domain;
use crate::error::{AsFault, Fault, Overflow, SafeMath, StateError};
use crate::operations::{
    AttestationError, AttesterSlashingError, DepositError, ProposerSlashingError,
    VoluntaryExitError, fault_in_state, process_attestation, process_attester_slashing,
    process_deposit, process_proposer_slashing, process_voluntary_exit,
};
use crate::preset::Preset;
use crate::primitives::{DOMAIN_RANDAO, Root, Slot, ValidatorIndex, hash};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::state_transition::UpdateFlags;
use crate::tree::uint_leaf;
use crate::wire::Wire;

/// Why a block's header is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HeaderError {
    /// The block is of another slot than the state.
    #[error("slot {block}, expected {state}")]
    Slot {
        /// The block's slot.
        block: Slot,
        /// The state's slot.
        state: Slot,
    },
    /// The block does not come after the latest one.
    #[error("slot {block}, expected more than the latest block's {latest}")]
    NotAfterLatest {
        /// The block's slot.
        block: Slot,
        /// The latest block's slot.
        latest: Slot,
    },
    /// Another validator proposes in this slot.
    #[error("proposer index {provided}, expected {expected}")]
    Proposer {
        /// Who the block says proposes.
        provided: ValidatorIndex,
        /// Who proposes.
        expected: ValidatorIndex,
    },
    /// The parent is not the state's latest block.
    #[error("parent root {provided}, expected {latest}")]
    ParentRoot {
        /// The block's parent.
        provided: Root,
        /// The state's latest block.
        latest: Root,
    },
    /// The proposer was slashed.
    #[error("proposer {0} is slashed")]
    ProposerSlashed(ValidatorIndex),
    /// A helper's condition.
    #[error(transparent)]
    State(#[from] StateError),
}

fault_in_state!(HeaderError);

/// Why a block's RANDAO reveal is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RandaoError {
    /// The reveal is not the proposer's signature over the epoch.
    #[error("the reveal does not verify")]
    Signature,
    /// A helper's condition.
    #[error(transparent)]
    State(#[from] StateError),
}

fault_in_state!(RandaoError);

/// Why a block's vote on the deposit contract cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Eth1DataError {
    /// A helper's condition.
    #[error(transparent)]
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
    /// The block carries another number of deposits than it has to.
    #[error("{provided} deposits, expected {expected}")]
    DepositCount {
        /// Deposits in the block.
        provided: usize,
        /// Deposits that are due.
        expected: u64,
    },
    /// More deposits were processed than there are.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// A proposer slashing.
    #[error("ProposerSlashing {index}: {error}")]
    ProposerSlashing {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: ProposerSlashingError,
    },
    /// An attester slashing.
    #[error("AttesterSlashing {index}: {error}")]
    AttesterSlashing {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: AttesterSlashingError,
    },
    /// An attestation.
    #[error("Attestation {index}: {error}")]
    Attestation {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: AttestationError,
    },
    /// A deposit.
    #[error("Deposit {index}: {error}")]
    Deposit {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: DepositError,
    },
    /// A voluntary exit.
    #[error("VoluntaryExit {index}: {error}")]
    VoluntaryExit {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: VoluntaryExitError,
    },
    /// A signature of an operation, found invalid when all were verified together.
    #[error("the {0}th signature of the block's operations does not verify")]
    Signature(usize),
}

impl AsFault for OperationsError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::DepositCount { .. } | Self::Overflow(_) | Self::Signature(_) => None,
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
        let latest = state.latest_block_header.hash_tree_root();
        if block.parent_root != latest {
            return Err(HeaderError::ParentRoot { provided: block.parent_root, latest });
        }
    }
    state.latest_block_header = BeaconBlockHeader {
        slot: block.slot,
        proposer_index: block.proposer_index,
        parent_root: block.parent_root,
        // Filled in by the next `process_slot`.
        state_root: Root::ZERO,
        body_root: block.body.hash_tree_root(),
    };
    if get_validator(state, block.proposer_index)?.slashed {
        return Err(HeaderError::ProposerSlashed(block.proposer_index));
    }
    Ok(())
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
    let epoch = get_current_epoch(state);
    let key = public_key(state, get_beacon_proposer_index(state)?)?;
    let accepted = signatures.accept(|| {
        let domain = get_domain(state, DOMAIN_RANDAO, epoch);
        signature_set(key, uint_leaf(epoch), domain, &body.randao_reveal)
    });
    if !accepted {
        return Err(RandaoError::Signature);
    }
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

/// Takes the block's vote on the deposit contract, and its view if more than half voted for it.
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
    let outstanding = state.eth1_data.deposit_count.safe_sub(state.eth1_deposit_index)?;
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
