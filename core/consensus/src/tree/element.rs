//! What a persistent tree can hold: how elements are chunked, hashed and encoded.

use std::fmt::Debug;

use crate::hashing::{PACKED, ROOT_LEN, depth_of, merkleize, pack};
use crate::primitives::Root;
use crate::wire::{DecodeError, Layout};

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
