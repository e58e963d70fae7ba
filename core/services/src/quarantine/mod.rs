//! Quarantine: the firewall between network data and consensus state.
//!
//! **Contract.** Tainted blocks and attestations go in; each submission gets exactly one
//! [`crate::verdict::Verdict`] out. What passes goes on to Clearance as a
//! [`crate::verdict::Cleared`] item, after the Rewinder has committed it and answered; its verdict
//! leaves, and its children are judged, once Clearance has taken it in.
//!
//! ```text
//!                    unknown parent or block, future slot
//!            ┌───────────────────────────────────────────────┐
//!            │                                               v
//!   submit ─> judged ──────────> ready ──window──> in flight   waiting ──(parent or block decided,
//!            │   ^                                  │           │   slot reached)──> judged
//!            │   └──────────────────────────────────│───────────┘
//!            v                                      v
//!         verdict <───────── invalid, dropped, or valid ──> importing ──(in Clearance)──> verdict
//! ```
//!
//! The order of judgement of a block is that of `on_block`, after duplicates and bad ancestors:
//! duplicate, known invalid, invalid ancestor, unknown parent, future slot, not after the finalised
//! slot, not a descendant of the finalised block; then the Rewinder's checks.
//!
//! **Invariants.**
//! - I1 Each submission gets exactly one verdict: also on eviction, on a fault, and when the
//!   services stop (hazard Q10).
//! - I2 One owner of known, in flight, waiting and unviable: an item is judged and parked in one
//!   step, so no decision falls between the two (Q1).
//! - I3 An item waits only for a block that is not decided or a slot that has not come. Deciding a
//!   block judges all that waits for it; a rejected root takes its descendants along (Q4), and so
//!   does a root that finality has passed.
//! - I4 Items are told apart by root *and* signature; a root becomes unviable only for reasons that
//!   the root covers. A badly signed copy shadows nothing (Q6).
//! - I5 An answer counts for the request whose number it carries, once (Q2).
//! - I6 Submissions in all and by peer, bytes, followers, requests in flight and what is remembered
//!   are bounded by [`Limits`], where the policy at each bound stands (Q5, Q7, Q11). A copy of a held
//!   item counts for the peer that sends it.
//! - I7 The clock may step back; nothing that was released is parked again by that (Q11).
//! - I8 A block is known once Clearance has it. If Clearance loses it, that is a fault of ours: the
//!   submitter is told `Dropped(Fault)`, nothing below it is judged, and it may come again (L5).
//! - I9 An item that failed the Rewinder's check is remembered with the reason, so a copy of it is
//!   refused without another check (Q5).
//! - I10 To take an item out costs a number of steps logarithmic in what is held, however many wait
//!   for the same root or slot.
//!
//! [`shell`] is what is done with a message; threads, models and twins run it alike.
//!
//! **Blocking.** May wait for Clearance (a full mailbox; its chain, when the machine has to be
//! rebuilt), never for the network, the Rewinder's answer or the caller.

mod event;
mod machine;
mod service;
pub mod shell;
mod table;
#[cfg(test)]
mod tests;

pub use crate::verdict::ItemId;
pub use event::{Effect, Event, Item, Limits, RequestId};
pub use machine::Quarantine;
pub(crate) use service::{QuarantineHandle, QuarantineMessage, QuarantineService, VerdictReceiver};
