//! SlashingDetector: finds validators that contradicted themselves in public.
//!
//! **Contract.** A pure machine: [`SlashingDetector`] takes one verified item and returns the
//! offences that it completes, each with the operation that proves it, ready to be included in a
//! block. Detection is not protection (hazard Q9). Nothing waits for the detector's answer, and at
//! the broker's highest load level Clearance shows it finality alone.
//!
//! | offence | two signed items of one validator |
//! |---|---|
//! | double proposal | blocks of one slot with different roots |
//! | double vote | attestations of one target epoch with different data |
//! | surround vote | attestations of which one has the older source and the newer target |
//!
//! ```text
//!  surrounding   source ├───────────────────────────────┤ target
//!  surrounded             source ├─────────────┤ target
//!                ──────────────────────────────────────────────> epochs
//!                                    ├── window: votes by target ──┤
//! ```
//!
//! | part | holds |
//! |---|---|
//! | `spans` | for each validator and epoch the least target of its votes from later on, and the greatest of those from before: one look tells whether a vote surrounds, or is surrounded |
//! | `record` | for each validator and target epoch the attestations that it cast, each once |
//! | `indices` | who cast an attestation, packed |
//!
//! **Invariants.**
//! - I1 No false report: the two items of an offence are on record or have just come, were
//!   verified, and have been compared with each other.
//! - I2 Complete: a vote that comes is compared with all votes on record of its validators. It is
//!   reported with each that has the same target and different data. If it surrounds others, it is
//!   reported with one of them, and if others surround it, with one of those. Where its source lies
//!   doesn't matter. A block is reported with each other block of its slot and proposer. An item
//!   that is on record already is not compared again.
//! - I3 A validator has at most [`Limits::items_per_key`] different votes for one target on record,
//!   or proposals for one slot. A further one adds nothing to what is known of that validator: it
//!   is counted, not compared and not recorded. The bound is at least 2: the second is the offence.
//! - I4 On record are votes by target, and proposals by slot, of the window: the
//!   [`Limits::epochs`] epochs up to the newest that an item or finality has named. When the next
//!   item could exceed [`Limits::bytes`], the oldest epoch is forgotten, and the window stays that
//!   much shorter until it has grown again at its new end. If the newest epoch alone fills the
//!   memory, what comes is compared, counted, and not recorded.
//! - I5 Finality alone forgets nothing: a validator can be slashed until it may withdraw, which is
//!   long after.
//!
//! Every item that the detector is given must have been verified. Then the number of validators on
//! record is bounded by the registry, and only the holder of a validator's key can put anything on
//! that validator's record.
//!
//! **Blocking.** The detector never blocks.
//!
//! Reference: consensus-specs `is_slashable_attestation_data`, `process_proposer_slashing`; for the
//! spans, see `spans.rs`.

mod indices;
mod machine;
mod record;
mod spans;
#[cfg(test)]
mod tests;

pub use machine::{Effect, Event, Limits, SlashingDetector};
