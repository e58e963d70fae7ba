//! Pending attestations in a tree: four to a leaf, hashed in step.
//!
//! An attestation's root takes fifteen hashes, most of which depend on a previous one. Four
//! attestations go through the same six steps together, so that each step is a batch.

use crate::containers::PendingAttestation;
use crate::hash_tree::{HashTree, bits_leaf};
use crate::hashing::{ROOT_LEN, hash_blocks, merkleize, uint_leaf, zero};
use crate::primitives::Root;
use crate::tree::Element;
use crate::wire::{DecodeError, Wire, decode_exact};

/// Attestations in a leaf.
const CHUNK: usize = 4;
/// Bits in one leaf of the specification's tree: the largest committee that is hashed in step.
const BITS_PER_LEAF: usize = 8 * ROOT_LEN;
/// Hashes of one attestation whose bits fit into that leaf.
const ATTESTATION_HASHES: usize = 15;
/// Hashes of one attestation in its widest step.
const WIDTH: usize = 4;

impl Element for PendingAttestation {
    type Chunk = [PendingAttestation; CHUNK];
    const CHUNK: usize = CHUNK;
    const CHUNK_DEPTH: usize = 2;
    const CHUNK_HASHES: usize = CHUNK * ATTESTATION_HASHES + CHUNK - 1;

    fn empty_chunk() -> Self::Chunk {
        std::array::from_fn(|_| Self::default())
    }

    fn chunk_root(values: &[Self]) -> Root {
        let mut roots = [Root::ZERO; CHUNK];
        if values.iter().all(|value| value.aggregation_bits.len() <= BITS_PER_LEAF) {
            in_step(values, &mut roots);
        } else {
            roots.iter_mut().zip(values).for_each(|(root, value)| *root = value.hash_root());
        }
        merkleize(&roots[..values.len()], Self::CHUNK_DEPTH)
    }

    fn append(values: &[Self], buffer: &mut Vec<u8>) {
        for value in values {
            buffer.extend_from_slice(&value.encode());
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_exact(bytes)
    }

    fn heap_bytes(&self) -> usize {
        self.aggregation_bits.len().div_ceil(8)
    }
}

/// Pairs of roots that are hashed together.
struct Step {
    input: [u8; CHUNK * WIDTH * 2 * ROOT_LEN],
    pairs: usize,
}

impl Step {
    fn new() -> Self {
        Self { input: [0; CHUNK * WIDTH * 2 * ROOT_LEN], pairs: 0 }
    }

    fn pair(&mut self, left: &Root, right: &Root) {
        let place = &mut self.input[self.pairs * 2 * ROOT_LEN..][..2 * ROOT_LEN];
        place[..ROOT_LEN].copy_from_slice(left.as_ref());
        place[ROOT_LEN..].copy_from_slice(right.as_ref());
        self.pairs += 1;
    }

    /// Returns the hashes of the pairs in order; the step is empty afterwards.
    fn hash(&mut self) -> [Root; CHUNK * WIDTH] {
        let mut output = [0; CHUNK * WIDTH * ROOT_LEN];
        let bytes = self.pairs * ROOT_LEN;
        hash_blocks(&mut output[..bytes], &self.input[..2 * bytes]);
        self.pairs = 0;
        let mut roots = [Root::ZERO; CHUNK * WIDTH];
        for (root, bytes) in roots.iter_mut().zip(output.as_chunks::<ROOT_LEN>().0) {
            *root = Root::new(*bytes);
        }
        roots
    }
}

/// Writes the roots of attestations whose bits fit one leaf.
fn in_step(values: &[PendingAttestation], roots: &mut [Root; CHUNK]) {
    let mut step = Step::new();
    for value in values {
        let (source, target) = (&value.data.source, &value.data.target);
        step.pair(&uint_leaf(source.epoch), &source.root);
        step.pair(&uint_leaf(target.epoch), &target.root);
        step.pair(&bits_leaf(&value.aggregation_bits), zero(0));
    }
    let below = step.hash();
    for (value, below) in values.iter().zip(below.chunks_exact(3)) {
        step.pair(&uint_leaf(value.data.slot), &uint_leaf(value.data.index));
        step.pair(&value.data.beacon_block_root, &below[0]);
        step.pair(&below[1], zero(0));
        step.pair(&below[2], zero(1));
    }
    let below = step.hash();
    for below in below.chunks_exact(4).take(values.len()) {
        step.pair(&below[0], &below[1]);
        step.pair(&below[2], zero(1));
        step.pair(&below[3], zero(2));
    }
    let below = step.hash();
    for (value, below) in values.iter().zip(below.chunks_exact(3)) {
        step.pair(&below[0], &below[1]);
        step.pair(&below[2], &uint_leaf(value.aggregation_bits.len() as u64));
    }
    let below = step.hash();
    for (value, below) in values.iter().zip(below.chunks_exact(2)) {
        step.pair(&below[1], &below[0]);
        step.pair(&uint_leaf(value.inclusion_delay), &uint_leaf(value.proposer_index));
    }
    let below = step.hash();
    below.chunks_exact(2).take(values.len()).for_each(|below| step.pair(&below[0], &below[1]));
    roots.copy_from_slice(&step.hash()[..CHUNK]);
}
