//! The attestation pool.
mod bits;

pub use bits::Bits;

use std::fmt::Debug;
use std::hash::Hash;

use crate::consensus::Slot;

/// What the pool asks of an attestation: a vote of some members of one committee, with the sum of
/// their signatures.
pub trait PoolAttestation: Clone + Eq + Hash + Debug + Send + Sync + 'static {
    /// What identifies the data that are signed: attestations of equal data can be summed.
    type DataRoot: Copy + Ord + Hash + Debug + Send + Sync + 'static;

    /// Returns what identifies the data.
    fn data_root(&self) -> Self::DataRoot;
    /// Returns the slot attested to.
    fn slot(&self) -> Slot;
    /// Returns the committee's number within the slot.
    fn committee(&self) -> u64;
    /// Returns which members of the committee attested.
    fn bits(&self) -> Bits;
    /// Returns the memory that a clone keeps, in bytes.
    fn bytes(&self) -> usize;
    /// Returns the sum of attestations of equal data, no member of which has attested twice. `None`
    /// if there are none, or if their signatures cannot be summed; those of verified attestations
    /// can.
    fn aggregate(parts: &[Self]) -> Option<Self>;
}
