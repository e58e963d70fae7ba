//! What a persistent tree can hold: how elements are chunked, hashed and encoded.

use std::fmt::Debug;

use super::hash_tree::HashTree;
use super::hashing::{ROOT_LEN, depth_of, hash_blocks, merkleize, uint_leaf};
use crate::containers::{Eth1Data, Validator};
use crate::primitives::{FixedBytes, Root};
use crate::wire::{DecodeError, Layout, Wire, decode_exact};

/// An element of a persistent list or vector.
pub trait Element: Clone + Debug + PartialEq + Send + Sync + Layout + 'static {
    /// The type of a chunk of elements.
    type Chunk: AsRef<[Self]> + AsMut<[Self]> + Clone + Debug + Send + Sync;
    /// Elements in a leaf, a power of two.
    const CHUNK: usize;
    /// Levels of hashes within a leaf.
    const CHUNK_DEPTH: usize;
    /// Hashes that the root of a full leaf takes.
    const CHUNK_HASHES: usize;
    /// Elements that share 32 bytes of the specification's tree.
    const PER_ROOT: usize = 1;

    /// A chunk whose elements are placeholders.
    fn empty_chunk() -> Self::Chunk;

    /// The root of a leaf that holds `values`, followed by zeros.
    fn chunk_root(values: &[Self]) -> Root;

    /// Appends the encodings of elements of fixed length.
    fn append(values: &[Self], buffer: &mut Vec<u8>);

    /// Decodes one element whose shape has not been checked yet.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not an element's.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;

    /// Bytes that an element owns outside of itself.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// Numbers in a 32-byte leaf of the specification's tree.
const PACKED: usize = ROOT_LEN / size_of::<u64>();

impl Element for u64 {
    type Chunk = [u64; 64];
    const CHUNK: usize = 64;
    const CHUNK_DEPTH: usize = depth_of((Self::CHUNK / PACKED) as u64);
    const CHUNK_HASHES: usize = Self::CHUNK / PACKED - 1;
    const PER_ROOT: usize = PACKED;

    fn empty_chunk() -> Self::Chunk {
        [0; 64]
    }

    fn chunk_root(values: &[Self]) -> Root {
        let mut leaves = [Root::ZERO; Self::CHUNK / PACKED];
        let count = pack(values, &mut leaves);
        merkleize(&leaves[..count], Self::CHUNK_DEPTH)
    }

    fn append(values: &[Self], buffer: &mut Vec<u8>) {
        for value in values {
            buffer.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let error = DecodeError::Length { provided: bytes.len(), expected: size_of::<Self>() };
        bytes.try_into().map(Self::from_le_bytes).map_err(|_| error)
    }
}

/// Packs numbers into leaves; returns how many leaves they fill.
fn pack(values: &[u64], leaves: &mut [Root]) -> usize {
    for (leaf, numbers) in leaves.iter_mut().zip(values.chunks(PACKED)) {
        let mut bytes = [0; ROOT_LEN];
        for (place, number) in bytes.chunks_exact_mut(size_of::<u64>()).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        *leaf = Root::new(bytes);
    }
    values.len().div_ceil(PACKED)
}

impl Element for Root {
    type Chunk = [Root; 8];
    const CHUNK: usize = 8;
    const CHUNK_DEPTH: usize = depth_of(Self::CHUNK as u64);
    const CHUNK_HASHES: usize = Self::CHUNK - 1;

    fn empty_chunk() -> Self::Chunk {
        [Root::ZERO; Self::CHUNK]
    }

    fn chunk_root(values: &[Self]) -> Root {
        merkleize(values, Self::CHUNK_DEPTH)
    }

    fn append(values: &[Self], buffer: &mut Vec<u8>) {
        for value in values {
            buffer.extend_from_slice(value.as_ref());
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let error = DecodeError::Length { provided: bytes.len(), expected: ROOT_LEN };
        Self::try_from(bytes).map_err(|_| error)
    }
}

/// Fields of a validator, which are the leaves of its tree.
const VALIDATOR_FIELDS: usize = 8;

impl Element for Validator {
    type Chunk = [Validator; 8];
    const CHUNK: usize = 8;
    const CHUNK_DEPTH: usize = depth_of(Self::CHUNK as u64);
    // One for the key, seven above the fields.
    const CHUNK_HASHES: usize = Self::CHUNK * VALIDATOR_FIELDS + Self::CHUNK - 1;

    fn empty_chunk() -> Self::Chunk {
        std::array::from_fn(|_| Self::default())
    }

    /// The validators' own roots level by level, side by side, then the levels above them.
    fn chunk_root(values: &[Self]) -> Root {
        const LEAVES: usize = Validator::CHUNK * VALIDATOR_FIELDS * ROOT_LEN;
        let (mut keys, mut key_roots) =
            ([0; Validator::CHUNK * 2 * ROOT_LEN], [0; Validator::CHUNK * ROOT_LEN]);
        for (block, validator) in keys.chunks_exact_mut(2 * ROOT_LEN).zip(values) {
            block[..48].copy_from_slice(validator.pubkey.as_ref());
        }
        let count = values.len();
        hash_blocks(&mut key_roots[..count * ROOT_LEN], &keys[..2 * count * ROOT_LEN]);

        let (mut input, mut output) = ([0; LEAVES], [0; LEAVES / 2]);
        let leaves = input.chunks_exact_mut(VALIDATOR_FIELDS * ROOT_LEN).zip(values);
        for ((leaves, validator), key) in leaves.zip(key_roots.chunks_exact(ROOT_LEN)) {
            leaves[..32].copy_from_slice(key);
            leaves[32..64].copy_from_slice(validator.withdrawal_credentials.as_ref());
            let numbers = [
                validator.effective_balance,
                u64::from(validator.slashed),
                validator.activation_eligibility_epoch,
                validator.activation_epoch,
                validator.exit_epoch,
                validator.withdrawable_epoch,
            ];
            for (leaf, number) in leaves[64..].chunks_exact_mut(ROOT_LEN).zip(numbers) {
                leaf[..8].copy_from_slice(&number.to_le_bytes());
            }
        }
        let mut length = count * VALIDATOR_FIELDS * ROOT_LEN;
        for _ in 0..depth_of(VALIDATOR_FIELDS as u64) {
            hash_blocks(&mut output[..length / 2], &input[..length]);
            length /= 2;
            input[..length].copy_from_slice(&output[..length]);
        }
        let mut roots = [Root::ZERO; Self::CHUNK];
        for (root, bytes) in roots.iter_mut().zip(input[..length].as_chunks::<ROOT_LEN>().0) {
            *root = Root::new(*bytes);
        }
        merkleize(&roots[..count], Self::CHUNK_DEPTH)
    }

    fn append(values: &[Self], buffer: &mut Vec<u8>) {
        for validator in values {
            let mut bytes = [0; VALIDATOR_LEN];
            bytes[..48].copy_from_slice(validator.pubkey.as_ref());
            bytes[48..80].copy_from_slice(validator.withdrawal_credentials.as_ref());
            bytes[80..88].copy_from_slice(&validator.effective_balance.to_le_bytes());
            bytes[88] = u8::from(validator.slashed);
            let epochs = [
                validator.activation_eligibility_epoch,
                validator.activation_epoch,
                validator.exit_epoch,
                validator.withdrawable_epoch,
            ];
            for (place, epoch) in bytes[89..].chunks_exact_mut(8).zip(epochs) {
                place.copy_from_slice(&epoch.to_le_bytes());
            }
            buffer.extend_from_slice(&bytes);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let error = DecodeError::Length { provided: bytes.len(), expected: VALIDATOR_LEN };
        let bytes: &[u8; VALIDATOR_LEN] = bytes.try_into().map_err(|_| error)?;
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        Ok(Self {
            pubkey: part(bytes, 0),
            withdrawal_credentials: part(bytes, 48),
            effective_balance: number(80),
            slashed: match bytes[88] {
                0 => false,
                1 => true,
                other => return Err(DecodeError::Value(format!("{other} is not a boolean"))),
            },
            activation_eligibility_epoch: number(89),
            activation_epoch: number(97),
            exit_epoch: number(105),
            withdrawable_epoch: number(113),
        })
    }
}

/// Length of a validator's encoding.
const VALIDATOR_LEN: usize = 121;

fn part<const N: usize>(bytes: &[u8; VALIDATOR_LEN], at: usize) -> FixedBytes<N> {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    FixedBytes::new(part)
}

impl Element for Eth1Data {
    type Chunk = [Eth1Data; 1];
    const CHUNK: usize = 1;
    const CHUNK_DEPTH: usize = 0;
    // Four fields, one of which is two roots long...
    const CHUNK_HASHES: usize = 6;

    fn empty_chunk() -> Self::Chunk {
        [Self::default()]
    }

    fn chunk_root(values: &[Self]) -> Root {
        values.first().map_or(Root::ZERO, HashTree::hash_root)
    }

    fn append(values: &[Self], buffer: &mut Vec<u8>) {
        for value in values {
            buffer.extend_from_slice(&value.encode());
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_exact(bytes)
    }
}

/// The packed leaves of a list of numbers, for lists that travel.
pub(super) fn packed(values: &[u64]) -> Vec<Root> {
    let mut leaves = vec![Root::ZERO; values.len().div_ceil(PACKED)];
    pack(values, &mut leaves);
    leaves
}

/// The leaf of a number that stands alone.
pub(super) fn number_leaf(value: u64) -> Root {
    uint_leaf(value)
}
