//! The bytes of the store's values.
//!
//! Every value ends in a checksum: the first eight bytes of the SHA-256 of the table's name, the
//! key and the value. So a value that was altered, cut short, or moved to another key is noticed.
//! Numbers are little-endian.

use blocksmith::consensus::Checkpoint;
use blocksmith::gossip::Operation::{self, AttesterSlashing, ProposerSlashing, VoluntaryExit};
use blocksmith::gossip::OperationKind;
use blocksmith::store::{Codec, Entry, Point};
use sha2::{Digest, Sha256};

/// Length of a checksum in bytes.
const CHECKSUM: usize = 8;

const TICK: u8 = 0;
const BLOCK: u8 = 1;
const ATTESTATION: u8 = 2;
const EQUIVOCATION: u8 = 3;
const PROPOSER_SLASHING: u8 = 4;
const ATTESTER_SLASHING: u8 = 5;
const VOLUNTARY_EXIT: u8 = 6;

fn checksum(table: &str, key: &[u8], value: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = Sha256::new();
    for part in [table.as_bytes(), key] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(value);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hasher.finalize()[..CHECKSUM]);
    sum
}

/// Returns the value with its checksum behind it.
pub(super) fn seal(table: &str, key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let sum = checksum(table, key, &value);
    value.extend_from_slice(&sum);
    value
}

/// Returns the value without its checksum.
///
/// # Errors
/// What is wrong, if the checksum is not that of the value.
pub(super) fn unseal<'a>(table: &str, key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], String> {
    let short = || format!("{} bytes are too few for a value", sealed.len());
    let end = sealed.len().checked_sub(CHECKSUM).ok_or_else(short)?;
    let (value, sum) = sealed.split_at(end);
    if checksum(table, key, value) == sum {
        Ok(value)
    } else {
        Err(format!("the checksum of {} bytes does not match", value.len()))
    }
}

/// Reads numbers and roots off the front of a value.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let short = || format!("it ends {} bytes early", count - self.0.len());
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, String> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Reads numbers up to the end.
    fn numbers(&mut self) -> Result<Vec<u64>, String> {
        let mut numbers = Vec::with_capacity(self.0.len() / 8);
        while !self.0.is_empty() {
            numbers.push(self.number()?);
        }
        Ok(numbers)
    }

    /// Reads a number of numbers, and then these.
    fn counted(&mut self) -> Result<Vec<u64>, String> {
        let count = self.number()?;
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(8));
        Reader(self.take(length.ok_or("too many validators")?)?).numbers()
    }

    fn rest(self) -> &'a [u8] {
        self.0
    }

    fn end(self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", self.0.len())) }
    }
}

/// Decodes a root.
pub(super) fn root<C: Codec>(codec: &C, bytes: &[u8]) -> Result<C::Root, String> {
    codec.decode_root(bytes).ok_or_else(|| format!("{} bytes are no root", bytes.len()))
}

/// Encodes a point.
pub(super) fn encode_point<C: Codec>(codec: &C, point: &Point<C::Root>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [point.checkpoint.epoch, point.slot, point.number] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend(codec.encode_root(&point.checkpoint.root));
    bytes
}

/// Decodes a point.
pub(super) fn decode_point<C: Codec>(codec: &C, bytes: &[u8]) -> Result<Point<C::Root>, String> {
    let mut reader = Reader(bytes);
    let (epoch, slot, number) = (reader.number()?, reader.number()?, reader.number()?);
    let root = root(codec, reader.rest())?;
    Ok(Point { checkpoint: Checkpoint { epoch, root }, slot, number })
}

/// Encodes an entry of the journal.
pub(super) fn encode_entry<C: Codec>(codec: &C, entry: &Entry<C>) -> Vec<u8> {
    match entry {
        Entry::Tick { slot } => {
            let mut bytes = vec![TICK];
            bytes.extend_from_slice(&slot.to_le_bytes());
            bytes
        }
        Entry::Block { root, timely } => {
            let mut bytes = vec![BLOCK, u8::from(*timely)];
            bytes.extend(codec.encode_root(root));
            bytes
        }
        Entry::Attestation { attestation, indices } => {
            let mut bytes = vec![ATTESTATION];
            put_counted(&mut bytes, indices);
            bytes.extend(codec.encode_attestation(attestation));
            bytes
        }
        Entry::Equivocation { indices } => {
            let mut bytes = vec![EQUIVOCATION];
            indices.iter().for_each(|index| bytes.extend_from_slice(&index.to_le_bytes()));
            bytes
        }
        Entry::Operation { operation, validators } => {
            let mut bytes = vec![match operation.kind() {
                OperationKind::ProposerSlashing => PROPOSER_SLASHING,
                OperationKind::AttesterSlashing => ATTESTER_SLASHING,
                OperationKind::VoluntaryExit => VOLUNTARY_EXIT,
            }];
            put_counted(&mut bytes, validators);
            bytes.extend(codec.encode_operation(operation));
            bytes
        }
    }
}

/// Puts the number of numbers, and then these.
fn put_counted(bytes: &mut Vec<u8>, numbers: &[u64]) {
    bytes.extend_from_slice(&(numbers.len() as u64).to_le_bytes());
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
}

/// Decodes an entry of the journal. Allocates no more than a small multiple of `bytes`.
pub(super) fn decode_entry<C: Codec>(codec: &C, bytes: &[u8]) -> Result<Entry<C>, String> {
    let mut reader = Reader(bytes);
    match reader.byte()? {
        TICK => {
            let slot = reader.number()?;
            reader.end()?;
            Ok(Entry::Tick { slot })
        }
        BLOCK => {
            let timely = match reader.byte()? {
                0 => false,
                1 => true,
                other => return Err(format!("{other} is not a boolean")),
            };
            Ok(Entry::Block { root: root(codec, reader.rest())?, timely })
        }
        ATTESTATION => {
            let indices = reader.counted()?;
            let attestation = codec.decode_attestation(reader.rest());
            let attestation = attestation.map_err(|error| error.to_string())?;
            Ok(Entry::Attestation { attestation, indices })
        }
        EQUIVOCATION => Ok(Entry::Equivocation { indices: reader.numbers()? }),
        PROPOSER_SLASHING => {
            operation(reader, |bytes| codec.decode_proposer_slashing(bytes).map(ProposerSlashing))
        }
        ATTESTER_SLASHING => {
            operation(reader, |bytes| codec.decode_attester_slashing(bytes).map(AttesterSlashing))
        }
        VOLUNTARY_EXIT => {
            operation(reader, |bytes| codec.decode_voluntary_exit(bytes).map(VoluntaryExit))
        }
        other => Err(format!("{other} is no kind of entry")),
    }
}

/// Reads what an entry has of an operation, behind its kind.
fn operation<C: Codec>(
    mut reader: Reader<'_>,
    decode: impl FnOnce(&[u8]) -> Result<Operation<C>, C::Invalid>,
) -> Result<Entry<C>, String> {
    let validators = reader.counted()?;
    let operation = decode(reader.rest()).map_err(|error| error.to_string())?;
    Ok(Entry::Operation { operation, validators })
}
