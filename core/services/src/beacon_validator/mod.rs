//! BeaconValidator: what our validators have to do in each slot, and when.
//!
//! **Contract.** The machine takes readings of the clock, the heads and lists of duties of a beacon
//! node, and the answers to its requests. It asks for blocks, attestation data, aggregates, records
//! of slashing protection and signatures, and has what is signed published. Every duty whose slot
//! begins while it is listed ends once, by its deadline: as sent, or as missed with a reason.
//!
//! ```text
//!             clock   heads   lists of duties
//!               v       v       v
//!   proposal:     reveal ─> produce ─> protect ─> sign ─> publish ─> sent
//!   attestation:              data ──> protect ─> sign ─> publish ─> sent
//!   aggregation:  select ─> wait ─> merge ──────> sign ─> publish ─> sent
//!                 signer    beacon     slashing    signer  beacon
//!                            node     protection            node
//! ```
//!
//! | what | when |
//! |---|---|
//! | proposals | at the start of the slot; given up at [`Timing::proposal_end_ms`] |
//! | selection proofs | at the start of the slot |
//! | attestations | at [`Timing::attestation_ms`], or when the slot's own block is the head |
//! | aggregates | at [`Timing::aggregate_ms`] |
//! | attestations and aggregates end | with their slot |
//! | a step that failed | again at the next reading of the clock, at most [`Limits::attempts`] times |
//! | lists of this and the next epoch | once a slot, and again when a head or another validator says so |
//!
//! **Invariants.**
//! - I1 A duty ends once. A duty that has begun ends by its deadline, whatever is answered or not.
//! - I2 An answer is taken by the request that it is for. An answer that is late, doubled or to
//!   nothing is dropped and counted (hazard V3). An answer about several duties names each (V4).
//! - I3 A duty has at most one request under way. So a key has at most one for each kind and slot.
//! - I4 A block or an attestation is signed only after slashing protection said of this very
//!   message that it is on record (V1). Every other answer ends the duty or is a failure (V5).
//! - I5 A message is signed only if it is of the duty's slot, committee, proposer and epoch, and
//!   builds on a head whose branch has the dependent root of the list that the duty stands in. The
//!   root of a list is that of the answer that carried the list (V8).
//! - I6 No duty waits for the signature of another beyond a time of the slot: what is signed by
//!   then is published (V6, V7).
//! - I7 No duty of a slot begins once the clock has read a later slot, even if the clock steps back
//!   afterwards. A step back by more than an epoch is a restart: duties that are under way are
//!   missed, and I1 holds from then on anew.
//! - I8 Bounded: lists of two epochs; one attestation and one aggregation a validator and epoch,
//!   one proposal a slot; one request a duty that has begun, one a committee, four for lists.
//!
//! What a beacon node that lies can do: keep duties from being done; have a validator sign one
//! attestation and one block of a slot that are not slashable but worthless; choose the source
//! below the target. It cannot have a message of another slot or target epoch signed, and so cannot
//! raise what slashing protection refuses beyond the present epoch.
//!
//! A signer is trusted to sign what it was asked to: the machine does not verify signatures.
//!
//! **Blocking.** The machine never waits. The service ([`service`]) waits for its mailbox and the
//! clock alone: its ports start a request and return.
//!
//! Sources: the phase0 `validator.md` of the consensus specifications; EIP-3076; the beacon and
//! remote-signing APIs.

pub mod doppelganger;
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
    DutyId, Effect, Event, Guarded, Kind, Listed, Message, Outcome, Place, Protection, Reason,
    Reply, Request, RequestId, SignedDuty, Validator,
};
pub use machine::{BeaconValidator, Counters, Limits};
pub use protocol::{BlockClaims, DataClaims, DutyList, DutyProtocol, Head, Reading, Timing};
