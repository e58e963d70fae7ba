//! Malformed input: whatever the bytes are, decoding gives an error or a value, and never panics. A
//! value has only one encoding.
//!
//! The inputs are the recorded chain's files with a few random edits. They get much further into
//! the code than random bytes do.

use std::fs;
use std::sync::LazyLock;

use blocksmith::consensus::{Consensus, UpdateFlags};
use blocksmith_consensus::{
    Attestation, AttesterSlashing, BeaconState, ChainConfig, Minimal, Phase0, ProposerSlashing,
    SignedBeaconBlock, Wire, decode_exact, process_slots,
};
use quickcheck::{Arbitrary, Gen, QuickCheck};

use crate::here;

/// A change to a byte string. Positions are taken modulo the length of the string.
#[derive(Clone, Debug)]
enum Edit {
    Truncate(usize),
    Append(Vec<u8>),
    Insert(usize, u8),
    Remove(usize),
    Set(usize, u8),
    /// Overwrites four bytes with a number, as if they were an offset.
    Offset(usize, u32),
    /// Overwrites eight bytes.
    Number(usize, u64),
    Swap(usize, usize),
}

impl Arbitrary for Edit {
    fn arbitrary(g: &mut Gen) -> Self {
        let position = usize::arbitrary(g);
        match u8::arbitrary(g) % 16 {
            0 => Self::Truncate(position),
            1 => Self::Append(Vec::arbitrary(g)),
            2 => Self::Insert(position, u8::arbitrary(g)),
            3 => Self::Remove(position),
            4..=8 => Self::Set(position, u8::arbitrary(g)),
            9..=11 => {
                let any = u32::arbitrary(g);
                Self::Offset(position, *g.choose(&[any, any % 512, 0, u32::MAX]).unwrap_or(&any))
            }
            12..=14 => {
                let any = u64::arbitrary(g);
                Self::Number(position, *g.choose(&[any, any % 64, 0, u64::MAX]).unwrap_or(&any))
            }
            _ => Self::Swap(position, usize::arbitrary(g)),
        }
    }
}

fn edit(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
        let at = at % bytes.len().max(1);
        bytes.iter_mut().skip(at).zip(with).for_each(|(byte, new)| *byte = *new);
    }
    for edit in edits {
        let length = bytes.len().max(1);
        match edit {
            Edit::Truncate(at) => bytes.truncate(at % length),
            Edit::Append(more) => bytes.extend(more),
            Edit::Insert(at, byte) => bytes.insert(at % (bytes.len() + 1), *byte),
            Edit::Remove(at) if !bytes.is_empty() => {
                bytes.remove(at % length);
            }
            Edit::Set(at, byte) => overwrite(&mut bytes, *at, &[*byte]),
            Edit::Offset(at, number) => overwrite(&mut bytes, *at, &number.to_le_bytes()),
            Edit::Number(at, number) => overwrite(&mut bytes, *at, &number.to_le_bytes()),
            Edit::Swap(a, b) if !bytes.is_empty() => bytes.swap(a % length, b % length),
            Edit::Remove(_) | Edit::Swap(..) => {}
        }
    }
    bytes
}

/// The most edits of an input. There are few, so that some inputs still decode.
const MAX_EDITS: usize = 3;

fn check(tests: u64, property: fn(usize, Vec<Edit>) -> bool) {
    QuickCheck::new().rng(Gen::new(MAX_EDITS)).tests(tests).quickcheck(property);
}

fn files(folder: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(here("chain").join(folder))
        .expect("a recorded folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a recorded file")).collect()
}

static BLOCKS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| files("blocks"));
static ATTESTATIONS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| files("attestations"));
static SLASHINGS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| files("slashings"));
static STATES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| files("states"));

/// Returns whether decoding gives an error, or a value that encodes to the very same bytes.
fn one_encoding<T: Wire>(bytes: &[u8]) -> bool {
    decode_exact::<T>(bytes).map_or(true, |value| value.encode() == bytes)
}

#[test]
fn edited_blocks_decode_to_one_encoding_or_to_an_error() {
    // Edits recorded blocks, of which some are malformed already.
    check(2_000, |which, edits| {
        one_encoding::<SignedBeaconBlock>(&edit(BLOCKS[which % BLOCKS.len()].clone(), &edits))
    });
}

#[test]
fn edited_attestations_and_slashings_decode_to_one_encoding_or_to_an_error() {
    // Decodes each input as each type, because input of the wrong type is malformed, too.
    check(2_000, |which, edits| {
        let source = if which % 2 == 0 { &ATTESTATIONS } else { &SLASHINGS };
        let bytes = edit(source[which / 2 % source.len()].clone(), &edits);
        one_encoding::<Attestation>(&bytes)
            && one_encoding::<AttesterSlashing>(&bytes)
            && one_encoding::<ProposerSlashing>(&bytes)
    });
}

#[test]
fn edited_states_decode_to_one_encoding_and_survive_an_epoch_or_are_errors() {
    // Advances each state that decodes into the next epoch. The numbers in it may be anything.
    check(300, |which, edits| {
        let bytes = edit(STATES[which % STATES.len()].clone(), &edits);
        let Ok(mut state) = BeaconState::<Minimal>::from_ssz_bytes(&bytes) else { return true };
        let same = state.encode() == bytes;
        let next_epoch = state.slot.saturating_add(8);
        let _ = process_slots(&mut state, next_epoch, &ChainConfig::minimal());
        same
    });
}

#[test]
fn edited_blocks_on_a_state_are_judged_without_a_panic() {
    // Takes signatures as valid, so that an edit gets as far into the transition as it can.
    static PARENTS: LazyLock<Vec<BeaconState<Minimal>>> = LazyLock::new(|| {
        STATES.iter().filter_map(|bytes| BeaconState::from_ssz_bytes(bytes).ok()).collect()
    });
    check(400, |which, edits| {
        let node = Phase0::<Minimal>::new(ChainConfig::minimal());
        let bytes = edit(BLOCKS[which % BLOCKS.len()].clone(), &edits);
        let Ok(block) = node.decode_block(&bytes) else { return true };
        for flags in [UpdateFlags::replay(), UpdateFlags::default()] {
            let mut state = PARENTS[which % PARENTS.len()].clone();
            // The caller of the transition has to refuse far slots.
            if node.header(&block).slot <= state.slot.saturating_add(64) {
                let _ = node.transition(&mut state, &block, flags);
            }
        }
        true
    });
}

#[test]
fn edited_attestations_on_a_state_are_judged_without_a_panic() {
    // Checks committee, bits and signature of each attestation that decodes.
    check(400, |which, edits| {
        let node = Phase0::<Minimal>::new(ChainConfig::minimal());
        let bytes = edit(ATTESTATIONS[which % ATTESTATIONS.len()].clone(), &edits);
        let Ok(attestation) = node.decode_attestation(&bytes) else { return true };
        let state = &STATES[which % STATES.len()];
        let state = BeaconState::<Minimal>::from_ssz_bytes(state).expect("a recorded state");
        let _ = node.verify_attestation(&state, &attestation);
        true
    });
}
