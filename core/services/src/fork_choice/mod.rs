//! ForkChoice: decides which of the known blocks is the head (LMD-GHOST with Casper FFG).
//!
//! **Contract.** A pure machine: [`ForkChoice`] takes one [`Event`] and returns the [`Effect`]s in
//! the order in which they came about. It holds no clock: the current slot is the largest that an
//! [`Event::Tick`] has named. It sees verified items only. No event makes it panic. An event that
//! the rules do not admit is answered with [`Effect::Refused`] and changes nothing. A block that is
//! known is admitted, changes nothing, and has no effects.
//!
//! | event | changes |
//! |---|---|
//! | `Tick` | slot; ends the boost; at an epoch's start pulls checkpoints up; applies queued votes |
//! | `Block` | the tree; checkpoints; the boost; then all that follows from its votes and slashings |
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
//! The boost goes to the first block of the current slot that is timely, if the current epoch's
//! shuffling follows from the same block on its chain as on the chain of the head before it. A
//! block is timely if it comes in its own slot, before the attestation deadline
//! (`ATTESTATION_DUE_BPS`). The caller has the clock and says whether it came before the deadline.
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
//! - I4 The justified epoch and the finalised epoch never decrease. Nor does the slot, but for a
//!   tick that lies more than an epoch before it: the clock was wrong then, and is followed, or all
//!   votes would be refused until the wrong slot is reached. Queued attestations that the right
//!   clock would not have taken in are dropped.
//! - I5 At most [`Config::max_queued_attestations`] attestations are queued. One more is refused,
//!   and those that wait keep their place. Latest messages and equivocating validators are bounded
//!   by the validator registry. Blocks are bounded by what is valid and not yet final.
//! - I6 The head is looked for once per event, and only if the best child of a block, a leaf, or
//!   what may be head has changed.
//! - I7 `head()` is what `get_head` of the specification returns for the same events, with one
//!   difference. The specification never prunes, and it remembers the epoch of a vote for a block
//!   that finality has excluded. Here such a vote is refused, and the validator's earlier message
//!   stands.
//!   For the same reason votes for pruned children of the tree's first block are missing from that
//!   block's weight, which only the choice of a proposer reads, and only if its child is the head.
//!   `proposer_head` sees no equivocation whose other block is pruned, and no pruned parent.
//! - I8 Two stores that differ in nothing but the order in which their indices were made are equal.
//!
//! **Cost.** Let n be the number of blocks, l the number of leaves, f the number of places on the
//! path from a block to the first at which branches part, k the largest number of children of a
//! block, and v the number of validators that have voted. On a chain without forks f is 0, whatever
//! its length. If every slot since finality has two blocks, f is their number.
//!
//! | event | cost, beside the look-up of roots in O(log n) and of validators in O(log v) |
//! |---|---|
//! | `Block` | O(f log k) for it, its boost and each block that its votes are for or were for; the blocks of two epochs for the dependent root, if its parent is not the head; once per fork the shorter half of what it parts |
//! | `Attestation`, `AttesterSlashing` | O(f log k) for each block that the votes are for or were for, up to where the old and the new path meet; the blocks between the vote and its target |
//! | `Tick` | O(f log k) for the boost that ends; O(l log k) in a new epoch |
//! | another justified checkpoint | O(l log k) |
//! | `PayloadVote`, `Payload` | the look-up and the voter's places; the votes move no head (`payload`) |
//! | another finalised checkpoint, `JustifiedBalances` | O(n log k + v log n) |
//! | another head | the blocks between the old and the new head and their last common ancestor |
//!
//! **Blocking.** ForkChoice never blocks. It is a part of Clearance, which owns it.
//!
//! Reference: consensus-specs v1.7.0-alpha.13, `phase0/fork-choice.md`.

mod event;
mod machine;
mod payload;
mod proposer_head;
mod proto_array;
mod segments;
#[cfg(test)]
mod tests;

pub use event::{Config, Effect, Event, Refusal};
pub use machine::ForkChoice;
pub use payload::BlockPayload;
