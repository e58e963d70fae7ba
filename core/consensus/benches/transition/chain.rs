//! The states and blocks that are measured: built by the bench, or read from a folder. Validator
//! `i` has the secret key `i + 1`; see [`blocksmith_consensus::testing`].

use blocksmith_consensus::testing::{block, genesis};
use blocksmith_consensus::{
    BeaconState, ChainConfig, Mainnet, Root, SignedBeaconBlock, Slot, Wire,
    get_committee_count_per_slot, get_current_epoch, process_slots,
};

pub(crate) type State = BeaconState<Mainnet>;

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

fn advance(state: &mut State, slot: Slot, config: &ChainConfig) {
    process_slots(state, slot, config).expect("ahead of the state");
}

/// Builds a chain of full participation up to `last_slot`, and the blocks after it.
pub(crate) fn build(validators: u64, last_slot: Slot, config: &ChainConfig) -> Inputs {
    let mut state: State = genesis(validators, config);
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
