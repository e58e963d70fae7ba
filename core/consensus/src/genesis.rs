//! The genesis state, from the deposit contract's first deposits.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Genesis".

use crate::accessors::is_active_validator;
use crate::caches::Caches;
use crate::config::ChainConfig;
use crate::containers::{
    BeaconBlockBody, BeaconBlockHeader, Checkpoint, Deposit, DepositData, Eth1Data, Fork,
};
use crate::error::{Overflow, SafeMath, StateError};
use crate::merkle::DepositTree;
use crate::mutators::get_validator_mut;
use crate::operations::{DepositError, apply_deposit, effective_balance, process_deposit};
use crate::preset::Preset;
use crate::primitives::{GENESIS_EPOCH, GENESIS_SLOT, Root, ValidatorIndex};
use crate::state::BeaconState;
use crate::tree::{PersistentList, PersistentVector};
use crate::wire::Wire;

/// Why there is no genesis state for these deposits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum GenesisError {
    /// A deposit is invalid.
    #[error("{error} (deposit {index} of genesis)")]
    Deposit {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        error: DepositError,
    },
    /// There are more deposits than the contract's tree has leaves.
    #[error("the deposit tree is full")]
    TreeFull,
    /// A condition of a helper does not hold.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<Overflow> for GenesisError {
    fn from(overflow: Overflow) -> Self {
        Self::State(overflow.into())
    }
}

/// The state that the deposits up to an execution-layer block lead to.
///
/// # Errors
/// [`GenesisError::Deposit`] if a proof does not hold, [`GenesisError::State`] on overflow.
pub fn initialize_beacon_state_from_eth1<P: Preset>(
    eth1_block_hash: Root,
    eth1_timestamp: u64,
    deposits: &[Deposit],
    config: &ChainConfig,
) -> Result<BeaconState<P>, GenesisError> {
    let genesis_time = eth1_timestamp.safe_add(config.genesis_delay)?;
    let mut state = empty_state::<P>(genesis_time, eth1_block_hash, config);
    state.eth1_data.deposit_count = deposits.len() as u64;

    let mut tree = DepositTree::default();
    for (index, deposit) in deposits.iter().enumerate() {
        if !tree.push(deposit.data.hash_tree_root()) {
            return Err(GenesisError::TreeFull);
        }
        state.eth1_data.deposit_root = tree.root();
        process_deposit(&mut state, deposit, false, config)
            .map_err(|error| GenesisError::Deposit { index, error })?;
    }

    activate(&mut state)?;
    Ok(state)
}

/// The state of a chain that begins at `genesis_time`, in seconds since the Unix epoch, with
/// deposits that need no proof: for development networks. What a node of such a network must agree
/// on follows from the arguments alone.
///
/// # Errors
/// [`GenesisError`] if there are too many deposits, or on overflow. A deposit whose signature is
/// invalid makes no validator, as ever.
pub fn initialize_beacon_state_from_deposits<P: Preset>(
    eth1_block_hash: Root,
    genesis_time: u64,
    deposits: &[DepositData],
    config: &ChainConfig,
) -> Result<BeaconState<P>, GenesisError> {
    let mut state = empty_state::<P>(genesis_time, eth1_block_hash, config);
    let mut tree = DepositTree::default();
    for (index, data) in deposits.iter().enumerate() {
        if !tree.push(data.hash_tree_root()) {
            return Err(GenesisError::TreeFull);
        }
        apply_deposit(&mut state, data, config)
            .map_err(|error| GenesisError::Deposit { index, error })?;
    }
    state.eth1_deposit_index = deposits.len() as u64;
    state.eth1_data.deposit_count = deposits.len() as u64;
    state.eth1_data.deposit_root = tree.root();
    activate(&mut state)?;
    Ok(state)
}

/// Activates whoever has deposited enough, and closes the registry of genesis.
fn activate<P: Preset>(state: &mut BeaconState<P>) -> Result<(), GenesisError> {
    let balances = state.balances.to_vec();
    for (index, balance) in (0 as ValidatorIndex..).zip(balances) {
        let validator = get_validator_mut(state, index)?;
        validator.effective_balance = effective_balance::<P>(balance);
        if validator.effective_balance == P::MAX_EFFECTIVE_BALANCE {
            validator.activation_eligibility_epoch = GENESIS_EPOCH;
            validator.activation_epoch = GENESIS_EPOCH;
        }
    }
    state.genesis_validators_root = state.validators.hash_tree_root();
    state.caches.start_epoch(GENESIS_EPOCH);
    Ok(())
}

/// Whether the chain may start from `state`: whether it is late enough, with enough validators.
pub fn is_valid_genesis_state<P: Preset>(state: &BeaconState<P>, config: &ChainConfig) -> bool {
    let active =
        state.validators.iter().filter(|v| is_active_validator(v, GENESIS_EPOCH)).count() as u64;
    state.genesis_time >= config.min_genesis_time
        && active >= config.min_genesis_active_validator_count
}

fn empty_state<P: Preset>(
    genesis_time: u64,
    eth1_block_hash: Root,
    config: &ChainConfig,
) -> BeaconState<P> {
    let version = config.genesis_fork_version;
    BeaconState {
        genesis_time,
        genesis_validators_root: Root::ZERO,
        slot: GENESIS_SLOT,
        fork: Fork { previous_version: version, current_version: version, epoch: GENESIS_EPOCH },
        latest_block_header: BeaconBlockHeader {
            body_root: BeaconBlockBody::default().hash_tree_root(),
            ..BeaconBlockHeader::default()
        },
        block_roots: PersistentVector::from_elem(Root::ZERO),
        state_roots: PersistentVector::from_elem(Root::ZERO),
        historical_roots: PersistentList::empty(),
        eth1_data: Eth1Data { block_hash: eth1_block_hash, ..Eth1Data::default() },
        eth1_data_votes: PersistentList::empty(),
        eth1_deposit_index: 0,
        validators: PersistentList::empty(),
        balances: PersistentList::empty(),
        randao_mixes: PersistentVector::from_elem(eth1_block_hash),
        slashings: PersistentVector::from_elem(0),
        previous_epoch_attestations: PersistentList::empty(),
        current_epoch_attestations: PersistentList::empty(),
        justification_bits: 0,
        previous_justified_checkpoint: Checkpoint::default(),
        current_justified_checkpoint: Checkpoint::default(),
        finalized_checkpoint: Checkpoint::default(),
        caches: Caches::default(),
        ptc_window: None,
    }
}
