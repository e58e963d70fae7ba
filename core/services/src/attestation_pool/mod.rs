//! AttestationPool: verified attestations that a block may yet include.
//!
//! **Contract.** A pure machine: [`AttestationPool`] takes verified attestations, the attestations
//! of blocks, and the clock. [`AttestationPool::candidates`] copies out what a proposer chooses
//! from, which costs a few pointers for each attestation; [`Candidates::pack`] chooses, on the
//! proposer's own thread.
//!
//! ```text
//!  slot ──> data ──> aggregates: sets of members, none within another
//!                      each is a list of parts, pairwise disjoint, signed over equal data
//!
//!  attestation ──> disjoint from an aggregate: a part of the largest such
//!              ──> within one: dropped         ──> around some: takes their place
//!              ──> overlaps all: an aggregate of its own
//! ```
//!
//! Signatures are summed when an aggregate is packed, and not before: an attestation that no block
//! of ours includes costs no point addition.
//!
//! **Invariants.**
//! - I1 Of the aggregates of one data, none is within another. The parts of an aggregate are
//!   disjoint, so that no member's signature goes into a sum twice.
//! - I2 One data has at most [`Limits::aggregates`]. Beyond that the one with the fewest members
//!   goes, of equal ones the newest.
//! - I3 A slot has at most [`Limits::per_slot`] parts, so that one slot cannot fill the pool: what
//!   comes beyond is refused.
//! - I4 The pool has at most [`Limits::items`] parts, and they cost at most [`Limits::bytes`]. What
//!   is too much goes by data, from the oldest slot. If what comes is no newer than all the rest,
//!   it is refused itself.
//! - I5 Attestations more than [`Limits::age`] slots old go, and are not taken: no block may
//!   include them. So do the attestations of blocks that old. A tick that lies more than that
//!   before the last one tells that the clock was wrong before: it is followed, and what lies more
//!   than a slot ahead of it goes. A smaller step back changes nothing.
//! - I6 A member's vote that a block of the given chain includes counts nothing. What blocks of
//!   other branches include still counts, so a re-org loses nothing.
//! - I7 What is packed is eligible, each member's vote is counted once, also among attestations of
//!   different data, and what the choice is worth is at least (1 - 1/e) of the best choice of as
//!   many aggregates. Equal inputs give equal choices.
//!
//! Every attestation that comes in has been verified. Then its size, its committee and its members
//! are those of the protocol.
//!
//! **Blocking.** The pool never blocks.
//!
//! Reference: consensus-specs `phase0/validator.md`, "Attestations"; G. Nemhauser, L. Wolsey,
//! M. Fisher, "An analysis of approximations for maximizing submodular set functions" (1978), for
//! the bound, and M. Minoux, "Accelerated greedy algorithms" (1978), for the lazy evaluation.

use std::fmt::Debug;
use std::hash::Hash;

pub use crate::bits::Bits;
use crate::consensus::Slot;

mod cover;
mod machine;
#[cfg(test)]
mod tests;

pub use cover::Candidates;
pub use machine::{AttestationPool, Effect, Event, Limits, Refusal};

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

/// A committee of a slot. On one chain it is always the same validators.
type Seat = (Slot, u64);
