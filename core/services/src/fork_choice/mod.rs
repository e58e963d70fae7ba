//! ForkChoice: which of the known blocks is the head (LMD-GHOST with Casper FFG).
//!
//! **Contract.** A pure machine: [`ForkChoice`] takes one [`Event`] and returns the
//! [`Effect`]s in the order in which they came about. It holds no clock: time is the slot of the
//! last [`Event::Tick`]. It sees verified items only, and no event makes it panic; what the rules
//! do not admit is answered with [`Effect::Refused`] and changes nothing.
//!
//! | event | changes |
//! |---|---|
//! | `Tick` | slot; ends the boost; at an epoch's start pulls checkpoints up; applies queued votes |
//! | `Block` | the tree; checkpoints; the boost, if it is the first timely block of its slot |
//! | `Attestation` | latest messages, or the queue if it counts from a later slot |
//! | `AttesterSlashing` | the equivocating validators, whose votes count no more |
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
//! says [`Effect::NeedBalances`] and goes on with the last ones that it knows until
//! [`Event::JustifiedBalances`] for the checkpoint then justified arrives; an answer for an older
//! one is refused.
//!
//! **Invariants.**
//! - I1 In the tree a parent comes before its children, and every block but the first has its
//!   parent.
//! - I2 Once finality moves, every block in the tree descends from the finalised checkpoint: from
//!   its root, with nothing between the root and the first slot of its epoch. Pruning drops the
//!   others and nothing else (hazard R12). It waits while a justified block, or one that the next
//!   epoch will justify or finalise, is not among the descendants, which takes a third of the
//!   validators to equivocate.
//! - I3 A block's own weight is the sum of the balances of the latest messages that name it, over
//!   the validators that have not equivocated.
//! - I4 The slot, the justified epoch and the finalised epoch never decrease.
//! - I5 Queued attestations are at most [`Config::max_queued_attestations`]; one more is refused,
//!   and those that wait keep their place. Latest messages and equivocating validators are bounded
//!   by the validator registry, blocks by what is valid and not yet final.
//! - I6 `head()` is what `get_head` of the specification returns for the same events, with one
//!   difference: the specification never prunes, and remembers the epoch of a vote for a block that
//!   finality has excluded, while here such a vote is refused and the validator's earlier message
//!   stands.
//!
//! **Blocking.** Never; it is a part of Clearance, which owns it.
//!
//! Reference: consensus-specs v1.5.0, `phase0/fork-choice.md`.

mod machine;
mod proto_array;
#[cfg(test)]
mod tests;

pub use machine::{Config, Effect, Event, ForkChoice, Refusal};
