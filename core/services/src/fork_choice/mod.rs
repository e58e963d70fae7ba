//! ForkChoice: decides which of the known blocks is the head (LMD-GHOST with Casper FFG).
//!
//! **Contract.** A pure machine: [`ForkChoice`] takes one [`Event`] and returns the [`Effect`]s in
//! the order in which they came about. It holds no clock: the current slot is the largest that an
//! [`Event::Tick`] has named. It sees verified items only. No event makes it panic. An event that
//! the rules do not admit is answered with [`Effect::Refused`] and changes nothing.
//!
//! | event | changes |
//! |---|---|
//! | `Tick` | slot; ends the boost; at an epoch's start pulls checkpoints up; applies queued votes |
//! | `Block` | the tree; checkpoints; the boost, if it is the first timely block of its slot |
//! | `Attestation` | latest messages, or the queue if it counts from a later slot |
//! | `AttesterSlashing` | the equivocating validators, whose votes no longer count |
//! | `JustifiedBalances` | the weights of votes |
//!
//! ```text
//!   attestation of slot s        tick: slot > s          newer target epoch
//!  ───────────────────> queued ──────────────> counted ───────────────────> replaced
//!                         │ queue full            │ attester slashing
//!                         └──> refused            └──> discounted for ever
//! ```
//!
//! The balances of a new justified checkpoint come from a state that this machine does not have. It
//! returns [`Effect::NeedBalances`] and goes on with the last balances that it knows, until
//! [`Event::JustifiedBalances`] arrives for the checkpoint that is justified by then. An answer for
//! an older checkpoint is refused.
//!
//! **Invariants.**
//! - I1 In the tree a parent comes before its children, and every block but the first has its
//!   parent.
//! - I2 Once finality moves, every block in the tree descends from the finalised checkpoint: from
//!   its root, with nothing between the root and the first slot of its epoch. Pruning drops the
//!   others and nothing else (hazard R12). Pruning waits while a justified block, or a block that
//!   the next epoch will justify or finalise, is not among the descendants. That takes a third of
//!   the validators to equivocate.
//! - I3 A block's own weight is the sum of the balances of the latest messages that name it, over
//!   the validators that have not equivocated.
//! - I4 The slot, the justified epoch and the finalised epoch never decrease.
//! - I5 At most [`Config::max_queued_attestations`] attestations are queued. One more is refused,
//!   and those that wait keep their place. Latest messages and equivocating validators are bounded
//!   by the validator registry. Blocks are bounded by what is valid and not yet final.
//! - I6 `head()` is what `get_head` of the specification returns for the same events, with one
//!   difference. The specification never prunes, and it remembers the epoch of a vote for a block
//!   that finality has excluded. Here such a vote is refused, and the validator's earlier message
//!   stands.
//!
//! **Blocking.** ForkChoice never blocks. It is a part of Clearance, which owns it.
//!
//! Reference: consensus-specs v1.5.0, `phase0/fork-choice.md`.

mod machine;
mod proto_array;
#[cfg(test)]
mod tests;

pub use machine::{Config, Effect, Event, ForkChoice, Refusal};
