//! Strict decoding of data that comes from the network or from a file.
//!
//! `ssz_rs` builds values, encodes them and computes their roots, but its decoder trusts offsets
//! more than a firewall may. In version 0.9 an offset beyond the input makes a slice operation
//! panic, the first offset of a list may point anywhere, and a length limit is checked only after
//! everything has been built. [`Layout`] therefore describes the shape of every type, and
//! [`decode_exact`] walks that shape over the bytes *before* a single value is built:
//!
//! - W1: every part lies inside the input, the first offset is the length of the fixed part,
//!   offsets never decrease, and the last part ends where the input ends. So no byte is left
//!   unread.
//! - W2: no list is longer than its limit, and no element has a length of zero. So there are at
//!   most as many elements as bytes, and the memory allocated is at most a small multiple of the
//!   input.
//! - W3: a bit list has its delimiter in its last byte; a boolean is 0 or 1.
//!
//! By W1 to W3 an accepted input is the only encoding of its value: encoding the value again gives
//! the same bytes (a property test checks this).
//!
//! Reference: consensus specification, `ssz/simple-serialize.md`.

use ssz_rs::{Bitlist, List, SimpleSerialize, Vector};

use crate::hash_tree::HashTree;
use crate::primitives::{FixedBytes, Root};

/// Length of an offset in bytes.
pub(crate) const BYTES_PER_OFFSET: usize = 4;

/// Why an input is not the encoding of a value of the expected type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DecodeError {
    /// A part of fixed length does not have that length.
    #[error("{provided} bytes where {expected} were expected")]
    Length {
        /// Bytes that are there.
        provided: usize,
        /// Bytes that the type requires.
        expected: usize,
    },
    /// The input ends inside a part.
    #[error("the input ends after {provided} of at least {expected} bytes")]
    Truncated {
        /// Bytes that are there.
        provided: usize,
        /// Bytes that the type requires at least.
        expected: usize,
    },
    /// The first offset is not the length of the fixed part.
    #[error("the first offset is {provided}, the fixed part ends at {expected}")]
    FirstOffset {
        /// The offset.
        provided: usize,
        /// Where the variable part must begin.
        expected: usize,
    },
    /// An offset is smaller than the one before it or points beyond the input.
    #[error("offset {offset} is not within {previous}..={end}")]
    Offset {
        /// The offset.
        offset: usize,
        /// The offset before it.
        previous: usize,
        /// Length of the input.
        end: usize,
    },
    /// A list is longer than its type allows.
    #[error("{length} elements exceed the limit of {limit}")]
    Limit {
        /// Elements that are there.
        length: usize,
        /// Elements that the type allows.
        limit: usize,
    },
    /// A bit list without its delimiting bit.
    #[error("a bit list without its delimiting bit")]
    Bitlist,
    /// A value that the type does not allow.
    #[error("invalid value: {0}")]
    Value(String),
}

/// The shape of an encoding: what [`decode_exact`] checks before anything is built.
pub trait Layout {
    /// Length of every encoding, or `None` if it varies.
    const FIXED_LEN: Option<usize>;

    /// Checks that `bytes` has this type's shape.
    ///
    /// # Errors
    /// The first violation of the module's rules W1 to W3 in reading order. Allocates nothing.
    fn check(bytes: &[u8]) -> Result<(), DecodeError>;
}

/// A value that travels: strict decoding, encoding and hash tree root.
pub trait Wire: SimpleSerialize + Layout + HashTree + Clone {
    /// The SSZ encoding.
    ///
    /// # Panics
    /// If a list was made longer than its limit by hand. Decoded values never are.
    fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(Self::FIXED_LEN.unwrap_or(256));
        self.serialize(&mut buffer).expect("lists are within their limits");
        buffer
    }

    /// The Merkle root that identifies this value.
    ///
    /// # Panics
    /// As [`Wire::encode`].
    fn hash_tree_root(&self) -> Root {
        self.hash_root()
    }
}

impl<T: SimpleSerialize + Layout + HashTree + Clone> Wire for T {}

/// Decodes a value that must fill `bytes` exactly.
///
/// # Errors
/// [`DecodeError`] names what is wrong. Nothing panics, whatever the bytes are, and the memory
/// allocated is bounded by a small multiple of `bytes.len()`.
///
/// # Examples
/// ```
/// use blocksmith_consensus::{Checkpoint, Wire, decode_exact};
/// let checkpoint = Checkpoint { epoch: 3, ..Checkpoint::default() };
/// let mut bytes = checkpoint.encode();
/// assert_eq!(decode_exact::<Checkpoint>(&bytes).unwrap(), checkpoint);
/// bytes.push(0);
/// assert!(decode_exact::<Checkpoint>(&bytes).is_err());
/// ```
pub fn decode_exact<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    T::check(bytes)?;
    T::deserialize(bytes).map_err(|error| DecodeError::Value(error.to_string()))
}

/// Decodes a list of at most `LIMIT` values, which must fill `bytes` exactly.
///
/// # Errors
/// As [`decode_exact`].
///
/// # Examples
/// ```
/// use blocksmith_consensus::{Checkpoint, Wire, decode_list};
/// let checkpoint = Checkpoint { epoch: 3, ..Checkpoint::default() };
/// let bytes = [checkpoint.encode(), checkpoint.encode()].concat();
/// assert_eq!(decode_list::<Checkpoint, 2>(&bytes).unwrap(), [checkpoint.clone(), checkpoint]);
/// assert!(decode_list::<Checkpoint, 1>(&bytes).is_err());
/// ```
pub fn decode_list<T, const LIMIT: usize>(bytes: &[u8]) -> Result<Vec<T>, DecodeError>
where
    List<T, LIMIT>: Wire,
    T: SimpleSerialize + Clone,
{
    decode_exact::<List<T, LIMIT>>(bytes).map(|list| list.iter().cloned().collect())
}

fn exact(bytes: &[u8], expected: usize) -> Result<(), DecodeError> {
    if bytes.len() == expected {
        Ok(())
    } else {
        Err(DecodeError::Length { provided: bytes.len(), expected })
    }
}

fn read_offset(bytes: &[u8], at: usize) -> Result<usize, DecodeError> {
    let truncated =
        DecodeError::Truncated { provided: bytes.len(), expected: at + BYTES_PER_OFFSET };
    let raw = bytes.get(at..at + BYTES_PER_OFFSET).ok_or(truncated)?;
    Ok(u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]) as usize)
}

impl Layout for u64 {
    const FIXED_LEN: Option<usize> = Some(8);

    fn check(bytes: &[u8]) -> Result<(), DecodeError> {
        exact(bytes, 8)
    }
}

impl Layout for bool {
    const FIXED_LEN: Option<usize> = Some(1);

    fn check(bytes: &[u8]) -> Result<(), DecodeError> {
        exact(bytes, 1)
    }
}

impl<const N: usize> Layout for FixedBytes<N> {
    const FIXED_LEN: Option<usize> = Some(N);

    fn check(bytes: &[u8]) -> Result<(), DecodeError> {
        exact(bytes, N)
    }
}

impl<const N: usize> Layout for Bitlist<N> {
    const FIXED_LEN: Option<usize> = None;

    fn check(bytes: &[u8]) -> Result<(), DecodeError> {
        let last = *bytes.last().ok_or(DecodeError::Bitlist)?;
        if last == 0 {
            return Err(DecodeError::Bitlist);
        }
        let length = 8 * (bytes.len() - 1) + last.ilog2() as usize;
        if length > N { Err(DecodeError::Limit { length, limit: N }) } else { Ok(()) }
    }
}

impl<T: Layout + SimpleSerialize, const N: usize> Layout for Vector<T, N> {
    const FIXED_LEN: Option<usize> = match T::FIXED_LEN {
        Some(length) => Some(length * N),
        None => None,
    };

    fn check(bytes: &[u8]) -> Result<(), DecodeError> {
        match Self::FIXED_LEN {
            Some(length) => exact(bytes, length)?,
            None => return Err(DecodeError::Value("vectors of lists do not occur".into())),
        }
        check_fixed_elements::<T>(bytes, N).map(drop)
    }
}

impl<T: Layout + SimpleSerialize, const N: usize> Layout for List<T, N> {
    const FIXED_LEN: Option<usize> = None;

    fn check(bytes: &[u8]) -> Result<(), DecodeError> {
        if T::FIXED_LEN.is_some() {
            check_fixed_elements::<T>(bytes, N)
        } else {
            check_variable_elements::<T>(bytes, N)
        }
    }
}

fn check_fixed_elements<T: Layout>(bytes: &[u8], limit: usize) -> Result<(), DecodeError> {
    let size = T::FIXED_LEN.filter(|size| *size > 0).expect("a fixed length that is not zero");
    let length = bytes.len() / size;
    if length * size != bytes.len() {
        return Err(DecodeError::Length { provided: bytes.len(), expected: length * size });
    }
    if length > limit {
        return Err(DecodeError::Limit { length, limit });
    }
    bytes.chunks_exact(size).try_for_each(T::check)
}

fn check_variable_elements<T: Layout>(bytes: &[u8], limit: usize) -> Result<(), DecodeError> {
    for_each_variable(bytes, limit, T::check)
}

/// Passes the bytes of each element of a list of variable-length elements to `visit`.
///
/// # Errors
/// [`DecodeError`] if the offsets do not divide the bytes, or if there are more elements than
/// `limit`; the visitor's own errors.
pub(crate) fn for_each_variable(
    bytes: &[u8],
    limit: usize,
    mut visit: impl FnMut(&[u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let first = read_offset(bytes, 0)?;
    if first == 0 || first % BYTES_PER_OFFSET != 0 || first > bytes.len() {
        return Err(DecodeError::FirstOffset { provided: first, expected: BYTES_PER_OFFSET });
    }
    let length = first / BYTES_PER_OFFSET;
    if length > limit {
        return Err(DecodeError::Limit { length, limit });
    }
    let mut start = first;
    for element in 1..=length {
        let end = if element == length {
            bytes.len()
        } else {
            read_offset(bytes, element * BYTES_PER_OFFSET)?
        };
        visit(slice(bytes, start, end)?)?;
        start = end;
    }
    Ok(())
}

fn slice(bytes: &[u8], start: usize, end: usize) -> Result<&[u8], DecodeError> {
    let error = DecodeError::Offset { offset: end, previous: start, end: bytes.len() };
    bytes.get(start..end).ok_or(error)
}

/// One field of a container, as its layout sees it.
pub(crate) struct Field {
    /// Length of every encoding of the field, or `None` if it varies.
    pub(crate) fixed_len: Option<usize>,
    /// The check of the field's own bytes.
    pub(crate) check: fn(&[u8]) -> Result<(), DecodeError>,
}

impl Field {
    /// The field's description by its type.
    pub(crate) const fn of<T: Layout>() -> Self {
        Self { fixed_len: T::FIXED_LEN, check: T::check }
    }
}

/// Length of a container's encoding if none of its fields varies in length.
pub(crate) const fn container_fixed_len(fields: &[Field]) -> Option<usize> {
    let (mut total, mut at) = (0, 0);
    while at < fields.len() {
        match fields[at].fixed_len {
            Some(length) => total += length,
            None => return None,
        }
        at += 1;
    }
    Some(total)
}

/// The bytes of each field of a container, whose fixed lengths are `lengths`.
///
/// # Errors
/// [`DecodeError`] if the input is too short, or the offsets do not divide it.
pub(crate) fn split_container<const N: usize>(
    bytes: &[u8],
    lengths: [Option<usize>; N],
) -> Result<[&[u8]; N], DecodeError> {
    let part = |length: Option<usize>| length.unwrap_or(BYTES_PER_OFFSET);
    let fixed_part: usize = lengths.into_iter().map(part).sum();
    if bytes.len() < fixed_part {
        return Err(DecodeError::Truncated { provided: bytes.len(), expected: fixed_part });
    }
    let mut parts: [&[u8]; N] = [&[]; N];
    let mut at = 0;
    let mut open: Option<(usize, usize)> = None;
    for (index, length) in lengths.into_iter().enumerate() {
        if length.is_some() {
            parts[index] = slice(bytes, at, at + part(length))?;
        } else {
            let offset = read_offset(bytes, at)?;
            match open {
                None if offset != fixed_part => {
                    let (provided, expected) = (offset, fixed_part);
                    return Err(DecodeError::FirstOffset { provided, expected });
                }
                None => {}
                Some((start, previous)) => parts[previous] = slice(bytes, start, offset)?,
            }
            open = Some((offset, index));
        }
        at += part(length);
    }
    match open {
        Some((start, last)) => parts[last] = slice(bytes, start, bytes.len())?,
        None => exact(bytes, fixed_part)?,
    }
    Ok(parts)
}

/// Checks a container's bytes against its fields.
///
/// # Errors
/// The first violation, in reading order.
pub(crate) fn check_container<const N: usize>(
    bytes: &[u8],
    fields: &[Field; N],
) -> Result<(), DecodeError> {
    let mut lengths = [None; N];
    for (length, field) in lengths.iter_mut().zip(fields) {
        *length = field.fixed_len;
    }
    let parts = split_container(bytes, lengths)?;
    parts.iter().zip(fields).try_for_each(|(part, field)| (field.check)(part))
}
