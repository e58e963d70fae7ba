//! How the containers that fill a state's lists lie in the leaves of a persistent tree (`tree`):
//! validators here, pending attestations in `pending`, votes on the deposit contract here.

mod pending;

use crate::containers::{Eth1Data, Validator};
use crate::hash_tree::HashTree;
use crate::hashing::{ROOT_LEN, depth_of, hash_blocks, merkleize};
use crate::primitives::{FixedBytes, Root};
use crate::tree::Element;
use crate::wire::{DecodeError, Wire, decode_exact};

/// Fields of a validator, hence leaves of its tree.
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
