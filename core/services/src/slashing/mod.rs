//! SlashingDetector: finds validators that contradicted themselves in public.
//!
//! **Contract.** A pure machine: [`SlashingDetector`] takes one verified item and returns the
//! offences that it completes. Detection is not protection (hazard Q9). Nothing waits for the
//! detector's answer, and at the broker's highest load level Clearance shows it finality alone.
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
//! ```
//!
//! **Invariants.**
//! - I1 Every two recorded items of a validator have been compared exactly once, when the later one
//!   came; an item that is recorded already is not compared again. So each offence is reported once
//!   for each validator and pair.
//! - I2 A validator has at most [`Limits::targets_per_validator`] target epochs on record, the
//!   newest. It has at most [`Limits::items_per_key`] different votes for one target on record, or
//!   proposals for one slot. A further one adds nothing to what is known of that validator: it is
//!   counted, not recorded.
//! - I3 Votes with a target, and proposals with a slot, more than
//!   [`Limits::epochs_behind_finality`] epochs before the finalised epoch are forgotten and no
//!   longer taken.
//!
//! Every item that the detector is given must have been verified. Then the number of validators on
//! record is bounded by the registry, and only the holder of a validator's key can put anything on
//! that validator's record.
//!
//! **Blocking.** The detector never blocks.
//!
//! Reference: consensus-specs `is_slashable_attestation_data`, `process_proposer_slashing`.

mod machine;

pub use machine::{Effect, Event, Limits, SlashingDetector};
