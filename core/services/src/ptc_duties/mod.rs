//! PtcDuties: in which slots our validators vote on payloads, on whichever branch the head is.
//!
//! **Contract.** The machine takes the slot, our validators, heads, and the answers of beacon
//! nodes. It asks for lists of duties, and says which duties a slot has under a given head. It
//! signs nothing and reads no clock.
//!
//! The duties of an epoch are a function of the epoch and of its *dependent root*, the last block
//! two epochs before. An answer names the root that its duties are of. A re-org that is deep enough
//! changes the root, and with it every duty.
//!
//! ```text
//!   each slot, for this epoch and the next:
//!
//!            ask for one validator ──> a list under that root covers all ──> nothing to do
//!                                  └─> no such list ──> ask for all ──> a list, under the root
//!                                                                       of this answer
//! ```
//!
//! | state of an epoch | what it means | who ends it |
//! |---|---|---|
//! | idle | what was to be asked in this slot is answered | a new slot, a head, another validator |
//! | asked | a request is under way | its answer, or the next slot |
//! | exhausted | it was asked as often as a slot allows | the next slot |
//!
//! **Invariants.**
//! - I1 A list stands under the root of the answer that carried it, whatever another answer said
//!   before (hazards D2, V8).
//! - I2 A list counts for the validators that were asked for. Whoever is not covered is asked for,
//!   whenever it was learnt (D1).
//! - I3 Duties are given out only for the branch of a head, under that branch's root (D3). Lists of
//!   several roots of an epoch are held side by side (D5).
//! - I4 Both epochs are asked about in every slot, also when their lists are there (D4). If an
//!   answer for all is of another root than the small one before it, the epoch is asked about again
//!   (D2).
//! - I5 A request belongs to the slot in which it was made. In the next slot its answer is stray,
//!   so a node that hangs costs no more than a slot.
//! - I6 Bounded: lists of the last two epochs, this and the next; [`Limits::branches`] of each; a
//!   duty for each validator that was asked for; one request for each of two epochs, and
//!   [`Limits::asks_per_slot`] in a slot.
//!
//! **Blocking.** The machine never waits.
//!
//! Sources: the Gloas `validator.md` of the consensus specifications; the beacon API's
//! `validator/duties/ptc`.

mod machine;
#[cfg(test)]
mod tests;

pub use machine::{Counters, Effect, Event, Limits, Listed, NoDuties, PtcDuties, Reply, RequestId};
