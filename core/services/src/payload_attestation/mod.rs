//! PayloadAttestation: our validators' votes on whether the payload of each slot's block is there.
//!
//! **Contract.** The machine takes the time with every event, the heads and complete payloads that
//! beacon nodes tell of, our validators, and the answers to its requests. It asks for lists of
//! duties, for the data of a slot's votes and for signatures, and has what is signed published.
//! Every duty that begins ends once, with its slot at the latest: as sent, or as missed with a
//! reason.
//!
//! ```text
//!          payload and blobs are there
//!                      │ or
//!   ── slot ───────── fetch ────────── gather ────── due ─────── late ─────── slot ends
//!                      │                 │            │            │
//!   data:              one request, again until the deadline       │
//!   signatures:            one request each, side by side ─────────┤
//!   publication:           what is signed leaves ─ later ─── last ──┘
//! ```
//!
//! | what | when |
//! |---|---|
//! | data | when payload and blobs are told of; again at [`Timing::fetch_ms`] if the answer was no vote for both |
//! | data, after "no block", a failure or a time-out | again after [`Limits::retry_ms`], until [`Timing::due_ms`] |
//! | signatures | once the data, their head and its list of duties are known; given up at [`Timing::late_ms`] |
//! | first batch | once all is signed; at [`Limits::gather_ms`] after the data, or at the next of the following times |
//! | later batches, of what is signed then | at [`Timing::gather_ms`], [`Timing::due_ms`] and [`Timing::late_ms`]; once the rest is signed |
//! | a batch that failed, or that no node took | again after [`Limits::rest_ms`], and at [`Timing::due_ms`], until the slot ends |
//!
//! | state of a vote | what it means | who ends it |
//! |---|---|---|
//! | waits | there are no data, or the branch that they are of is not known | the data; the deadline |
//! | signing | the signer is asked, or rests after a failure | the signature; the late batch's time |
//! | signed | it leaves with the next batch | the time of a batch |
//! | publishing | it is on its way | the answer; the slot's end |
//! | done | it was sent or missed | the slot's end |
//!
//! **Invariants.**
//! - I1 A duty ends once, and with its slot at the latest, whatever is answered or not. A duty of a
//!   slot that was skipped ends as missed.
//! - I2 An answer is taken by the request that it is for. An answer that is late, doubled or to
//!   nothing is dropped and counted.
//! - I3 Each event comes with the time. Before it is handled, the slot is compared with the one
//!   that the votes are of: nothing is signed or published for a slot that is over (hazard P5).
//! - I4 All votes of a slot are on the same data, and the data do not change once a signature was
//!   asked for. No duty of a slot begins in the slot in which the process began, nor again once the
//!   clock has stepped back over it. So there is one vote of (slot, validator) (V10), as long as the
//!   clock of a process shows no earlier slot than its predecessor's last.
//! - I5 A vote is signed only if its data are of the slot and of a block of the slot, the block was
//!   told as a head, and the list under that head's dependent root names the validator (D3).
//! - I6 Data that say that there is no block, a failure and a node that hangs end nothing: data are
//!   asked for again until the deadline (P2, P3). The node port asks several nodes (V9).
//! - I7 No vote waits for the signature of another beyond a time of the slot (V7).
//! - I8 A vote is sent once a beacon node has confirmed it, and until then it is published again
//!   (P7). A refusal of a vote that may have arrived is a success (P4). One that no node has taken
//!   has not arrived.
//! - I9 Time is kept before the deadline for signing and publishing: the data are asked for at
//!   [`Timing::fetch_ms`] at the latest (P1).
//! - I10 An event that repeats leads to no request while one is under way, and a slot has at most
//!   [`Limits::asks_per_slot`] requests for data before their time and as many after it (P6).
//! - I11 Bounded: the votes of one slot, one for each validator; one request a vote to a signer, one
//!   for data, one for each batch, two for lists; [`Limits::heads`] heads.
//!
//! **Decision: no record on disk.** A second vote of (slot, validator) is not slashable: peers
//! ignore it. A process cannot know what an earlier one has sent in the slot in which it begins, so
//! it sends nothing in that slot. This costs at most one slot of votes at a restart, and no write
//! to disk before a signature, where there is the least time.
//!
//! **Lists.** The machine holds a [`crate::ptc_duties::PtcDuties`]. So a look-up of duties is a
//! function call and not a request, and nothing can move between the look-up and the signature.
//! The dependent root of the data's block is that of the head, as BeaconValidator is told it
//! ([`crate::beacon_validator::Head::shuffling_root`]).
//!
//! What a beacon node that lies can do: keep votes from being sent, and have votes say what is not
//! so. It cannot have two votes of a slot sent, nor a vote of another slot.
//!
//! **Blocking.** The machine never waits. The service ([`service`]) waits for its mailbox and the
//! clock alone: its ports start a request and return (P8).
//!
//! Sources: the Gloas `validator.md` and `p2p-interface.md` of the consensus specifications; the
//! beacon API's `validator/payload_attestation_data` and `pool/payload_attestations`.

mod event;
mod machine;
mod protocol;
pub mod service;
mod succession;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "testing"))]
pub mod toy;

pub use event::{
    DutyId, Effect, Event, Outcome, Reason, Reply, Request, RequestId, SignedVote, Step,
};
pub use machine::{Counters, Limits, Past, PayloadAttestation};
pub use protocol::{Claims, Timing, VoteProtocol};
