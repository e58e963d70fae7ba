//! A small chain to test on: 64 validators of the minimal preset whose keys are known.

use std::sync::LazyLock;

use blocksmith_consensus::bls::SecretKey;
use blocksmith_consensus::{
    Attestation, AttestationData, BeaconBlock, BeaconBlockBody, BeaconState, ChainConfig,
    Checkpoint, DOMAIN_BEACON_ATTESTER, DOMAIN_BEACON_PROPOSER, DOMAIN_DEPOSIT, DOMAIN_RANDAO,
    DepositData, DepositMessage, Domain, Minimal, PublicKeyBytes, Root, SignatureBytes,
    SignedBeaconBlock, UpdateFlags, ValidatorIndex, Wire, apply_deposit, bls, compute_domain,
    compute_epoch_at_slot, compute_signing_root, get_beacon_committee, get_beacon_proposer_index,
    get_block_root, get_block_root_at_slot, get_committee_count_per_slot, get_current_epoch,
    get_domain, initialize_beacon_state_from_eth1, process_block, process_slots,
};

pub(crate) type State = BeaconState<Minimal>;

pub(crate) const VALIDATORS: u64 = 64;
const BALANCE: u64 = 32_000_000_000;

pub(crate) fn config() -> ChainConfig {
    ChainConfig::minimal()
}

/// The key of a validator: its index plus one, as a number.
pub(crate) fn key(index: ValidatorIndex) -> SecretKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&(index + 1).to_be_bytes());
    SecretKey::from_bytes(&bytes).unwrap()
}

pub(crate) fn sign(index: ValidatorIndex, object_root: Root, domain: Domain) -> SignatureBytes {
    key(index).sign(compute_signing_root(object_root, domain).as_ref())
}

/// A deposit that proves possession of its key.
pub(crate) fn deposit(index: ValidatorIndex) -> DepositData {
    let pubkey: PublicKeyBytes = key(index).public_key().to_bytes();
    let message =
        DepositMessage { pubkey, withdrawal_credentials: Root::new([7; 32]), amount: BALANCE };
    let domain = compute_domain(DOMAIN_DEPOSIT, config().genesis_fork_version, Root::ZERO);
    DepositData {
        pubkey,
        withdrawal_credentials: message.withdrawal_credentials,
        amount: message.amount,
        signature: sign(index, message.hash_tree_root(), domain),
    }
}

/// A state at genesis with every validator active.
pub(crate) fn genesis() -> State {
    static GENESIS: LazyLock<State> = LazyLock::new(|| {
        let eth1_block = Root::new([9; 32]);
        let mut state: State =
            initialize_beacon_state_from_eth1(eth1_block, 1_600_000_000, &[], &config()).unwrap();
        for index in 0..VALIDATORS {
            apply_deposit(&mut state, &deposit(index), &config()).unwrap();
            let validator = state.validators.get_mut(index as usize).unwrap();
            validator.activation_eligibility_epoch = 0;
            validator.activation_epoch = 0;
        }
        state.drop_caches();
        state
    });
    GENESIS.clone()
}

/// `state` advanced to `slot`.
pub(crate) fn advanced(state: &State, slot: u64) -> State {
    let mut state = state.clone();
    process_slots(&mut state, slot, &config()).unwrap();
    state
}

/// The vote of a member of committee `index` in the slot before the state's.
fn vote(state: &State, index: u64) -> AttestationData {
    let slot = state.slot - 1;
    let epoch = compute_epoch_at_slot::<Minimal>(slot);
    let current = epoch == get_current_epoch(state);
    AttestationData {
        slot,
        index,
        beacon_block_root: get_block_root_at_slot(state, slot).unwrap(),
        source: if current {
            state.current_justified_checkpoint
        } else {
            state.previous_justified_checkpoint
        },
        target: Checkpoint { epoch, root: get_block_root(state, epoch).unwrap() },
    }
}

/// Unsigned attestations by all committees of the slot before the state's.
pub(crate) fn all_votes(state: &State) -> Vec<Attestation> {
    let epoch = compute_epoch_at_slot::<Minimal>(state.slot - 1);
    (0..get_committee_count_per_slot(state, epoch).unwrap())
        .map(|index| {
            let committee = get_beacon_committee(state, state.slot - 1, index).unwrap();
            Attestation {
                aggregation_bits: vec![true; committee.len()].as_slice().try_into().unwrap(),
                data: vote(state, index),
                signature: SignatureBytes::ZERO,
            }
        })
        .collect()
}

/// An attestation by the whole first committee of the slot before the state's.
pub(crate) fn attestation(state: &State) -> Attestation {
    let mut attestation = all_votes(state).swap_remove(0);
    let data = &attestation.data;
    let committee = get_beacon_committee(state, data.slot, data.index).unwrap();
    let domain = get_domain(state, DOMAIN_BEACON_ATTESTER, data.target.epoch);
    let parts: Vec<_> =
        committee.iter().map(|index| sign(*index, data.hash_tree_root(), domain)).collect();
    attestation.signature = bls::aggregate(&parts).unwrap();
    attestation
}

/// A block at the state's slot, before it is completed.
pub(crate) fn draft(state: &State) -> BeaconBlock {
    let proposer_index = get_beacon_proposer_index(state).unwrap();
    let epoch = get_current_epoch(state);
    let domain = get_domain(state, DOMAIN_RANDAO, epoch);
    BeaconBlock {
        slot: state.slot,
        proposer_index,
        parent_root: state.latest_block_header.hash_tree_root(),
        state_root: Root::ZERO,
        body: BeaconBlockBody {
            randao_reveal: sign(proposer_index, epoch_root(epoch), domain),
            eth1_data: state.eth1_data.clone(),
            ..BeaconBlockBody::default()
        },
    }
}

fn epoch_root(epoch: u64) -> Root {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&epoch.to_le_bytes());
    Root::new(bytes)
}

/// The block, completed with the root of the state after it, if there is one, and with its
/// proposer's signature.
pub(crate) fn complete(state: &State, mut block: BeaconBlock) -> SignedBeaconBlock {
    let mut post = state.clone();
    let flags = UpdateFlags { skip_bls_validation: true, ..UpdateFlags::default() };
    if process_block(&mut post, &block, flags, &config()).is_ok() {
        block.state_root = post.hash_tree_root();
    }
    let domain = get_domain(state, DOMAIN_BEACON_PROPOSER, get_current_epoch(state));
    let signature = sign(block.proposer_index, block.hash_tree_root(), domain);
    SignedBeaconBlock { message: block, signature }
}
