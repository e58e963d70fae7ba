//! Deposits.
//!
//! A deposit whose signature does not prove possession of its key is void, not invalid: the block
//! that carries it stands, and no validator is added. Its signature is therefore verified even
//! where the signatures of operations are skipped.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_deposit".

use crate::bls;
use crate::config::ChainConfig;
use crate::containers::{Deposit, DepositData, DepositMessage, Validator};
use crate::domains::{compute_domain, compute_signing_root};
use crate::error::{Overflow, SafeMath, StateError};
use crate::merkle::merkle_branch_root;
use crate::mutators::increase_balance;
use crate::operations::fault_in_state;
use crate::preset::Preset;
use crate::primitives::{DOMAIN_DEPOSIT, FAR_FUTURE_EPOCH, Gwei, Root};
use crate::state::BeaconState;
use crate::wire::Wire;

/// Why a deposit is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DepositError {
    /// The proof does not lead to the state's deposit root.
    #[error("Deposit: root {computed} by the proof at index {index}, expected {expected}")]
    MerkleProof {
        /// The state's `eth1_deposit_index`.
        index: u64,
        /// The root to which the proof leads.
        computed: Root,
        /// The state's `eth1_data.deposit_root`.
        expected: Root,
    },
    /// A condition of a helper does not hold.
    #[error("Deposit: {0}")]
    State(#[from] StateError),
}

fault_in_state!(DepositError);

impl From<Overflow> for DepositError {
    fn from(overflow: Overflow) -> Self {
        Self::State(overflow.into())
    }
}

/// Takes the next deposit: a new validator, or more balance for a registered one.
///
/// # Errors
/// [`DepositError::MerkleProof`] unless `skip_merkle` is set; [`DepositError::State`] if a counter
/// or a balance overflows or the registry is full.
pub fn process_deposit<P: Preset>(
    state: &mut BeaconState<P>,
    deposit: &Deposit,
    skip_merkle: bool,
    config: &ChainConfig,
) -> Result<(), DepositError> {
    if !skip_merkle {
        let (index, expected) = (state.eth1_deposit_index, state.eth1_data.deposit_root);
        let computed = merkle_branch_root(deposit.data.hash_tree_root(), &deposit.proof, index);
        if computed != expected {
            return Err(DepositError::MerkleProof { index, computed, expected });
        }
    }
    state.eth1_deposit_index = state.eth1_deposit_index.safe_add(1)?;
    apply_deposit(state, &deposit.data, config)
}

/// Applies a deposit whose inclusion is proven.
///
/// # Errors
/// [`DepositError::State`] if a balance overflows or the registry is full.
pub fn apply_deposit<P: Preset>(
    state: &mut BeaconState<P>,
    data: &DepositData,
    config: &ChainConfig,
) -> Result<(), DepositError> {
    state.caches.index_public_keys(&state.validators);
    if let Some(index) = state.caches.public_key_index.get(&data.pubkey) {
        return Ok(increase_balance(state, index, data.amount)?);
    }
    let message = DepositMessage {
        pubkey: data.pubkey,
        withdrawal_credentials: data.withdrawal_credentials,
        amount: data.amount,
    };
    let domain = compute_domain(DOMAIN_DEPOSIT, config.genesis_fork_version, Root::ZERO);
    let signing_root = compute_signing_root(message.hash_tree_root(), domain);
    let Some(key) = bls::verify_with_key(&data.pubkey, signing_root.as_ref(), &data.signature)
    else {
        return Ok(());
    };
    let full = |_| StateError::ListFull("validators");
    state.validators.push(get_validator_from_deposit::<P>(data)).map_err(full)?;
    state.balances.push(data.amount).map_err(full)?;
    state.caches.index_public_keys(&state.validators);
    state.caches.public_keys.insert(state.validators.len() - 1, data.pubkey, key);
    Ok(())
}

fn get_validator_from_deposit<P: Preset>(data: &DepositData) -> Validator {
    Validator {
        pubkey: data.pubkey,
        withdrawal_credentials: data.withdrawal_credentials,
        effective_balance: effective_balance::<P>(data.amount),
        slashed: false,
        activation_eligibility_epoch: FAR_FUTURE_EPOCH,
        activation_epoch: FAR_FUTURE_EPOCH,
        exit_epoch: FAR_FUTURE_EPOCH,
        withdrawable_epoch: FAR_FUTURE_EPOCH,
    }
}

/// The part of a balance that counts: whole increments, up to the maximum.
pub(crate) fn effective_balance<P: Preset>(balance: Gwei) -> Gwei {
    (balance - balance % P::EFFECTIVE_BALANCE_INCREMENT).min(P::MAX_EFFECTIVE_BALANCE)
}
