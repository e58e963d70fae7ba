//! States, blocks and votes of a chain whose keys are known: for benches, generated chains and
//! tests. The feature `testing` gives it, which is off by default.
//!
//! **Contract.** Validator `i` has the secret key `i + 1`, so the key of a set of validators is a
//! sum of small numbers, and an aggregate is one signature by that sum. What is built is valid by
//! the rules: blocks have their state roots, and every signature is the right one. Signatures are
//! not verified while a chain is built.
//!
//! **Bounds.** A block takes at most [`MAX_ATTESTATIONS`] attestations; more are left out.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md` and `phase0/validator.md`.

use crate::accessors::{
    get_beacon_committee, get_beacon_proposer_index, get_block_root, get_block_root_at_slot,
    get_committee_count_per_slot, get_current_epoch, get_domain,
};
use crate::bls::{PublicKey, SecretKey};
use crate::config::ChainConfig;
use crate::containers::{
    Attestation, AttestationData, BeaconBlock, BeaconBlockBody, Checkpoint, MAX_ATTESTATIONS,
    SignedBeaconBlock, Validator,
};
use crate::domains::{compute_epoch_at_slot, compute_signing_root};
use crate::genesis::initialize_beacon_state_from_eth1;
use crate::preset::Preset;
use crate::primitives::{
    DOMAIN_BEACON_ATTESTER, DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO, Domain, FAR_FUTURE_EPOCH, Gwei,
    Root, SignatureBytes, Slot, ValidatorIndex,
};
use crate::state::BeaconState;
use crate::state_transition::{UpdateFlags, verify_and_process_block};
use crate::wire::Wire;

/// Balance of every validator at genesis; validator `i` has `i` Gwei more.
const BALANCE: Gwei = 32_000_000_000;
/// Everything is left out but the check that the block follows the state.
const SKIP: UpdateFlags = UpdateFlags {
    skip_merkle_validation: true,
    skip_bls_validation: true,
    skip_state_root_validation: true,
    skip_block_parent_root_validation: false,
};

/// Returns the secret key that is a small number.
///
/// # Panics
/// If `scalar` is 0.
#[must_use]
pub fn secret_key(scalar: u64) -> SecretKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&scalar.to_be_bytes());
    SecretKey::from_bytes(&bytes).expect("a small number that is not zero")
}

/// Signs an object for a domain with the key `scalar`: `i + 1` for validator `i`, and the sum of
/// those numbers for a set of validators.
///
/// # Panics
/// If `scalar` is 0.
#[must_use]
pub fn sign(scalar: u64, object_root: Root, domain: Domain) -> SignatureBytes {
    secret_key(scalar).sign(compute_signing_root(object_root, domain).as_ref())
}

fn epoch_root(epoch: u64) -> Root {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&epoch.to_le_bytes());
    Root::new(bytes)
}

/// Returns the genesis state of `count` validators, all active.
///
/// # Panics
/// If there is no room for as many.
#[must_use]
pub fn genesis<P: Preset>(count: u64, config: &ChainConfig) -> BeaconState<P> {
    let mut state: BeaconState<P> =
        initialize_beacon_state_from_eth1(Root::new([0x42; 32]), 1_606_824_000, &[], config)
            .expect("an empty registry is no error");
    let one = secret_key(1).public_key();
    let mut key = one;
    for index in 0..count {
        let validator = Validator {
            pubkey: key.to_bytes(),
            withdrawal_credentials: Root::new([index as u8; 32]),
            effective_balance: BALANCE,
            slashed: false,
            activation_eligibility_epoch: 0,
            activation_epoch: 0,
            exit_epoch: FAR_FUTURE_EPOCH,
            withdrawable_epoch: FAR_FUTURE_EPOCH,
        };
        state.validators.push(validator).expect("there is room");
        // No two neighbours are equal, since equal ones would be held and hashed only once.
        state.balances.push(BALANCE + index).expect("there is room");
        key = PublicKey::aggregate(&[key, one]).expect("small sums are not infinity");
    }
    state.drop_caches();
    state
}

/// Returns the root of the last block in a state: its parent's, for a block on that state.
#[must_use]
pub fn latest_block_root<P: Preset>(state: &BeaconState<P>) -> Root {
    let mut header = state.latest_block_header.clone();
    // The next slot fills it in; until then it is empty.
    if header.state_root == Root::ZERO {
        header.state_root = state.hash_tree_root();
    }
    header.hash_tree_root()
}

/// Returns the data that committee `index` of `slot` attests to, by the chain of `state`, which is
/// past `slot` and at most an epoch ahead.
///
/// # Panics
/// If `slot` is not a recent slot of the state.
#[must_use]
pub fn attestation_data<P: Preset>(
    state: &BeaconState<P>,
    slot: Slot,
    index: u64,
) -> AttestationData {
    let epoch = compute_epoch_at_slot::<P>(slot);
    let source = if epoch == get_current_epoch(state) {
        state.current_justified_checkpoint
    } else {
        state.previous_justified_checkpoint
    };
    AttestationData {
        slot,
        index,
        beacon_block_root: get_block_root_at_slot(state, slot).expect("recent"),
        source,
        target: Checkpoint { epoch, root: get_block_root(state, epoch).expect("recent") },
    }
}

/// Returns an attestation to `data` by the members of its committee whose positions `attends`
/// accepts.
///
/// # Panics
/// If the state does not know the committee, or nobody attends.
#[must_use]
pub fn attest<P: Preset>(
    state: &BeaconState<P>,
    data: AttestationData,
    attends: impl Fn(usize) -> bool,
) -> Attestation {
    let committee = get_beacon_committee(state, data.slot, data.index).expect("a known committee");
    let bits: Vec<bool> = (0..committee.len()).map(attends).collect();
    let members = committee.iter().zip(&bits).filter(|(_, attends)| **attends);
    let sum = members.map(|(member, _): (&ValidatorIndex, _)| member + 1).sum();
    let domain = get_domain(state, DOMAIN_BEACON_ATTESTER, data.target.epoch);
    Attestation {
        aggregation_bits: bits.as_slice().try_into().expect("a committee's size"),
        signature: sign(sum, data.hash_tree_root(), domain),
        data,
    }
}

/// Returns the attestations to `slots` by all committees in full, for inclusion in `state`: the
/// first [`MAX_ATTESTATIONS`].
///
/// # Panics
/// As [`attestation_data`].
#[must_use]
pub fn attestations<P: Preset>(
    state: &BeaconState<P>,
    slots: impl Iterator<Item = Slot>,
) -> Vec<Attestation> {
    let of_slot = |slot| {
        let epoch = compute_epoch_at_slot::<P>(slot);
        let count = get_committee_count_per_slot(state, epoch).expect("known committees");
        (0..count).map(move |index| (slot, index))
    };
    let all = slots.flat_map(of_slot).take(MAX_ATTESTATIONS);
    all.map(|(slot, index)| attest(state, attestation_data(state, slot, index), |_| true)).collect()
}

/// Returns a signed block at the state's slot, with all attestations to `slots`; afterwards the
/// state is the one after the block.
///
/// # Panics
/// If the state has no active validator, or has a block at its slot already.
pub fn block<P: Preset>(
    state: &mut BeaconState<P>,
    slots: impl Iterator<Item = Slot>,
    graffiti: Root,
    config: &ChainConfig,
) -> SignedBeaconBlock {
    let proposer_index = get_beacon_proposer_index(state).expect("somebody is active");
    let epoch = get_current_epoch(state);
    let reveal =
        sign(proposer_index + 1, epoch_root(epoch), get_domain(state, DOMAIN_RANDAO, epoch));
    let mut message = BeaconBlock {
        slot: state.slot,
        proposer_index,
        parent_root: state.latest_block_header.hash_tree_root(),
        state_root: Root::ZERO,
        body: BeaconBlockBody {
            randao_reveal: reveal,
            eth1_data: state.eth1_data.clone(),
            graffiti,
            attestations: attestations(state, slots).try_into().expect("as many as fit"),
            ..BeaconBlockBody::default()
        },
    };
    let unsigned = SignedBeaconBlock { message: message.clone(), signature: SignatureBytes::ZERO };
    verify_and_process_block(state, &unsigned, SKIP, config).expect("a block by the rules");
    message.state_root = state.hash_tree_root();
    let domain = get_domain(state, DOMAIN_BEACON_PROPOSER, epoch);
    let signature = sign(proposer_index + 1, message.hash_tree_root(), domain);
    SignedBeaconBlock { message, signature }
}
