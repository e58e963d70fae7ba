//! Quarantine: the firewall between network data and consensus state.
//!
//! **Contract.** Unverified ("tainted") items go in, and each submission gets exactly one
//! [`crate::verdict::Verdict`]. The items are blocks; gossip votes (single attestations and
//! aggregates); operations (slashings and voluntary exits); votes of payload-timeliness committees
//! (`machine/payload.rs`); and attestations that come without a proof, which are never passed on to
//! peers. An item that passes goes on to Clearance as a [`crate::verdict::Cleared`] item, after the
//! Rewinder has answered (and, for a block, has committed it). Once Clearance has taken it in, its
//! verdict is sent and its children are judged.
//!
//! ```text
//!                    unknown parent or block, future slot
//!            ┌───────────────────────────────────────────────┐
//!            │                                               v
//!   submit ─> judged ──────────> ready ──window──> in flight   waiting ──(parent or block decided,
//!            │   ^                                  │           │   payload, slot there)──> judged
//!            │   └──────────────────────────────────│───────────┘
//!            v                                      v
//!         verdict <───────── invalid, dropped, or valid ──> importing ──(in Clearance)──> verdict
//! ```
//!
//! A block is judged in this order: duplicate, not after the finalised slot, known invalid, invalid
//! ancestor, one of too many of its slot and proposer, unknown parent, future slot, not a
//! descendant of the finalised block; then the Rewinder's checks, of which the proposer's signature
//! is the first. What needs no state comes first, and the classes are those of the gossip
//! specification: a block that is merely late or superfluous is ignored, never rejected (A7).
//!
//! **Invariants.**
//! - I1 Each submission gets exactly one verdict, also on eviction, on a fault, and when the
//!   services stop (hazard Q10).
//! - I2 What is known, in flight, waiting and unviable has one owner. An item is judged and parked
//!   in one step, so no decision falls between the two (Q1).
//! - I3 An item waits only for a block that is not decided or a slot that has not come. When a
//!   block is decided, every item that waits for it is judged. A rejected root takes its
//!   descendants along (Q4); so does a root that finality has passed.
//! - I4 Items are told apart by root *and* signature. A root becomes unviable only for reasons that
//!   the root covers. A badly signed copy shadows nothing (Q6).
//! - I5 An answer counts once, for the request whose number it carries (Q2).
//! - I6 [`Limits`] bounds the items and bytes of each kind, the submissions by peer, the followers
//!   (submissions that share a held item), the requests in flight and what is remembered. Its
//!   fields state the policy at each bound (Q5, Q7, Q11). A copy of a held item counts for the peer
//!   that sends it.
//! - I7 The clock may step back. That parks no released item again (Q11).
//! - I8 A block is known once Clearance has it, and while it may be on a chain that holds the
//!   finalised checkpoint. The checkpoint's block may be of an earlier slot than the checkpoint;
//!   then its child of a slot up to the checkpoint's is passed by finality as other branches are.
//!   If Clearance loses a block, that is a fault of ours: the submitter is told `Dropped(Fault)`,
//!   nothing below the block is judged, and the block may come again (L5).
//! - I9 An item that failed the Rewinder's check is remembered with the reason, so a copy of it is
//!   refused without another check (Q5).
//!   A single vote that differs from the first one of its validator and target epoch is ignored by
//!   its topic. The first such one is checked and passed on to Clearance all the same, so that the
//!   slashing detector sees both.
//! - I10 The number of steps to take an item out is logarithmic in what is held, however many items
//!   wait for the same root or slot.
//! - I11 Peers share what is checked: what is ready is served by a fair queue of each kind, and a
//!   peer that is not proven (no item accepted, or one rejected since) has a small share and few
//!   checks under way. The node may multiply a peer's share by a weight. So a peer without a key
//!   delays a proven peer's item by [`Limits::unproven`] checks at most (A1), and one whose items
//!   are valid by [`Limits::peer_blocks`] or [`Limits::peer_votes`] of them (A8). Votes of peers
//!   that are not proven are checked in a lane of their own, after those of others (A2).
//!   An item that several peers have submitted is that of a proven one if there is one, and else
//!   that of one that no rejected item speaks against, if there is one; whether that was so before
//!   or came later, and however many copies fill the places. If the item is rejected, that counts
//!   against its owner, also if the owner's own copy had no place.
//! - I12 Peers share what is held: the largest holder gives way. What it gives up passes to another
//!   peer that has submitted it, if there is one. Each kind has its own room and its own part of the
//!   window, and a kind that was passed over goes next, so no kind starves another (A2), not even in
//!   a window of one (A14).
//! - I13 What waits expires after [`Limits::patience`] slots. The network is asked again for what
//!   is waited for, with a pause that doubles, until an item no longer waits for it (A5, A11). The
//!   peers whose items wait take turns, so none keeps the others' requests back; an eighth of the
//!   requests is kept for peers that are not proven.
//! - I14 Waiting blocks form no chain longer than [`Limits::depth`]. Where one would, its tip goes,
//!   as the block that has come may be what releases the others; if it is the tip itself, it goes.
//! - I15 A block that is built on its parent's payload
//!   ([`crate::consensus::Consensus::needs_payload`]) waits for that payload when all else is
//!   there, and the network is asked for it as for a block. What waits for it is released by the
//!   payload, by finality that passes the parent, and by its patience.
//!
//! [`shell`] holds what is done with a message. Threads, models and twins (variants with a
//! deliberate fault, which a check must catch) all run it.
//!
//! The mailbox is shared by peers as well: a peer that has more messages there than it may is
//! answered `Dropped(PeerBusy)` at once, so that it makes no other peer's caller wait
//! (`intake.rs`).
//!
//! **Blocking.** The Quarantine may wait for Clearance: for room in its mailbox, and for its chain
//! when the machine has to be rebuilt. It never waits for the network, the Rewinder's answer or the
//! caller.

mod chains;
mod event;
mod fair;
mod held_item;
mod holders;
mod intake;
mod machine;
mod needs;
mod service;
pub mod shell;
mod standing;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod vouchers;

pub use crate::verdict::ItemId;
pub use event::{Effect, Event, Item, Limits, RequestId};
pub use machine::Quarantine;
#[cfg(any(test, feature = "testing"))]
pub use machine::Shares;
pub(crate) use service::{QuarantineHandle, QuarantineMessage, QuarantineService, VerdictReceiver};
pub use standing::MAX_WEIGHT;
