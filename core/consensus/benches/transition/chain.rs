//! States and blocks that the bench builds itself: validator `i` has the secret key `i + 1`, and
//! every committee attests in full, so that an aggregate is one signature by the sum of the
//! committee's keys.

use blocksmith_consensus::bls::{PublicKey, SecretKey};
use blocksmith_consensus::{
    Attestation, AttestationData, BeaconBlock, BeaconBlockBody, BeaconState, ChainConfig,
    Checkpoint, DOMAIN_BEACON_ATTESTER, DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO, Domain,
    FAR_FUTURE_EPOCH, Mainnet, Root, SignatureBytes, SignedBeaconBlock, Slot, UpdateFlags,
    Validator, ValidatorIndex, Wire, compute_epoch_at_slot, compute_signing_root,
    get_beacon_committee, get_beacon_proposer_index, get_block_root, get_block_root_at_slot,
    get_committee_count_per_slot, get_current_epoch, get_domain, initialize_beacon_state_from_eth1,
    process_slots, verify_and_process_block,
};

pub(crate) type State = BeaconState<Mainnet>;

const BALANCE: u64 = 32_000_000_000;
/// Everything but what the key is for.
const SKIP: UpdateFlags = UpdateFlags {
    skip_merkle_validation: true,
    skip_bls_validation: true,
    skip_state_root_validation: true,
    skip_block_parent_root_validation: false,
    skip_proposer_signature: true,
};

/// The inputs of the measurements.
pub(crate) struct Inputs {
    /// Where the states and blocks come from.
    pub(crate) source: String,
    /// SSZ of the state at the last slot of an epoch with full participation.
    pub(crate) state: Vec<u8>,
    /// A block in the first slot of the next epoch, which is the parent of both other blocks;
    /// `None` if it is not known.
    pub(crate) parent: Option<SignedBeaconBlock>,
    /// A block in the slot after it, with the attestations of one slot.
    pub(crate) typical: SignedBeaconBlock,
    /// A block with as many attestations as fit.
    pub(crate) full: SignedBeaconBlock,
}

fn secret(scalar: u64) -> SecretKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&scalar.to_be_bytes());
    SecretKey::from_bytes(&bytes).expect("a small number that is not zero")
}

fn sign(scalar: u64, object_root: Root, domain: Domain) -> SignatureBytes {
    secret(scalar).sign(compute_signing_root(object_root, domain).as_ref())
}

fn epoch_root(epoch: u64) -> Root {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&epoch.to_le_bytes());
    Root::new(bytes)
}

/// The genesis state of `count` validators.
fn genesis(count: u64, config: &ChainConfig) -> State {
    let mut state: State =
        initialize_beacon_state_from_eth1(Root::new([0x42; 32]), 1_606_824_000, &[], config)
            .expect("an empty registry is no error");
    let one = secret(1).public_key();
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

/// An attestation to `slot` by all of committee `index`, for inclusion in `state`.
fn attestation(state: &State, slot: Slot, index: u64) -> Attestation {
    let epoch = compute_epoch_at_slot::<Mainnet>(slot);
    let source = if epoch == get_current_epoch(state) {
        state.current_justified_checkpoint
    } else {
        state.previous_justified_checkpoint
    };
    let data = AttestationData {
        slot,
        index,
        beacon_block_root: get_block_root_at_slot(state, slot).expect("recent"),
        source,
        target: Checkpoint { epoch, root: get_block_root(state, epoch).expect("recent") },
    };
    let committee = get_beacon_committee(state, slot, index).expect("a committee of the slot");
    let sum = committee.iter().map(|member: &ValidatorIndex| member + 1).sum();
    let domain = get_domain(state, DOMAIN_BEACON_ATTESTER, epoch);
    Attestation {
        aggregation_bits: vec![true; committee.len()].as_slice().try_into().expect("fits"),
        signature: sign(sum, data.hash_tree_root(), domain),
        data,
    }
}

/// Attestations by the committees of `slots`, the first 128.
fn attestations(state: &State, slots: impl Iterator<Item = Slot>) -> Vec<Attestation> {
    let of_slot = |slot| {
        let epoch = compute_epoch_at_slot::<Mainnet>(slot);
        let count = get_committee_count_per_slot(state, epoch).expect("known committees");
        (0..count).map(move |index| (slot, index))
    };
    slots.flat_map(of_slot).take(128).map(|(slot, index)| attestation(state, slot, index)).collect()
}

/// A signed block at the state's slot; afterwards the state is the one after the block.
pub(crate) fn block(
    state: &mut State,
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
            attestations: attestations(state, slots).try_into().expect("at most 128"),
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

fn advance(state: &mut State, slot: Slot, config: &ChainConfig) {
    process_slots(state, slot, config).expect("ahead of the state");
}

/// Builds a chain of full participation up to `last_slot`, and the blocks after it.
pub(crate) fn build(validators: u64, last_slot: Slot, config: &ChainConfig) -> Inputs {
    let mut state = genesis(validators, config);
    for slot in 1..=last_slot {
        advance(&mut state, slot, config);
        block(&mut state, slot - 1..slot, Root::ZERO, config);
    }
    let encoded = state.encode();
    let first = last_slot + 1;
    advance(&mut state, first, config);
    let parent = block(&mut state, last_slot..first, Root::ZERO, config);
    let mut on_next = state.clone();
    advance(&mut on_next, first + 1, config);
    let typical = block(&mut on_next, first..first + 1, Root::ZERO, config);
    // There are no more empty slots than 128 committees need.
    let per_slot = get_committee_count_per_slot(&state, get_current_epoch(&state)).expect("known");
    let full_slot = first + 128_u64.div_ceil(per_slot);
    advance(&mut state, full_slot, config);
    let full = block(&mut state, first..full_slot, Root::ZERO, config);
    Inputs {
        source: format!("built by the bench, {validators} validators"),
        state: encoded,
        parent: Some(parent),
        typical,
        full,
    }
}

/// Reads inputs from elsewhere: `state_95.ssz`, `block_97_typical.ssz` and `block_max128.ssz`, each
/// with or without `.xz` at its end.
///
/// Both blocks build on a block at slot 96 that is not among the files, so the state at slot 96
/// does not contain their parent's root. The content of that block follows from the construction
/// (all committees of slot 95 attest, the key of validator `i` is `i + 1`). It is built anew, and
/// if its root is the parent that the blocks name, they apply with every check on. If it is not,
/// they apply to the state at 96 with `skip_block_parent_root_validation` and
/// `skip_state_root_validation`.
pub(crate) fn read(folder: &std::path::Path, config: &ChainConfig) -> std::io::Result<Inputs> {
    let malformed = |error| std::io::Error::other(format!("{}: {error}", folder.display()));
    let decode = |name| -> std::io::Result<SignedBeaconBlock> {
        blocksmith_consensus::decode_exact(&read_file(folder, name)?).map_err(malformed)
    };
    let encoded = read_file(folder, "state_95.ssz")?;
    let (typical, full) = (decode("block_97_typical.ssz")?, decode("block_max128.ssz")?);
    let mut state = State::from_ssz_bytes(&encoded).map_err(malformed)?;
    let last_slot = state.slot;
    advance(&mut state, last_slot + 1, config);
    let graffiti = typical.message.body.graffiti;
    let candidate = block(&mut state, last_slot..last_slot + 1, graffiti, config);
    let known = candidate.message.hash_tree_root() == typical.message.parent_root;
    Ok(Inputs {
        source: "read from the folder given".to_owned(),
        state: encoded,
        parent: known.then_some(candidate),
        typical,
        full,
    })
}

fn read_file(folder: &std::path::Path, name: &str) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let plain = folder.join(name);
    if plain.exists() {
        return std::fs::read(plain);
    }
    let mut bytes = Vec::new();
    let packed = std::fs::File::open(folder.join(format!("{name}.xz")))?;
    xz2::read::XzDecoder::new(packed).read_to_end(&mut bytes)?;
    Ok(bytes)
}
