//! SlashingProtection: says for each of our own keys whether a message may be signed.
//!
//! **Contract.** [`check_and_record`] takes a batch of requests. It compares each with what is
//! known of its key, writes down what may be signed, and commits everything as one durable
//! transaction of a [`ProtectionStore`]. A caller signs only after the call has returned, and only
//! the items whose outcome [allows](Outcome::allows) it. Each item has an outcome of its own, in
//! the order of the requests. An error means that none of them may be signed.
//!
//! | outcome | when | sign? |
//! |---|---|---|
//! | `Recorded` | nothing that is known contradicts the message, and it is now on record | yes |
//! | `AlreadySigned` | the same message is on record, with the same signing root | yes |
//! | `Refused(reason)` | the message could be slashable beside what is known | no |
//!
//! ```text
//!  request ──> begin ──> History::handle ──> writes ──> commit ──> outcome ──> signature
//!                │          (pure)                        │
//!                └── crash: nothing was recorded          └── crash: recorded, and not signed
//! ```
//!
//! What is known of a key is a [`History`]: the messages on record, and two watermarks below which
//! nothing is signed any more. The rules are those of EIP-3076, in its complete form:
//!
//! | message | refused if |
//! |---|---|
//! | block | another block of its slot is on record; its slot is at or below the watermark |
//! | attestation | its source is after its target; another attestation of its target is on record; its source is below, or its target at or below the watermark; it surrounds one on record, or one on record surrounds it |
//!
//! **Invariants.**
//! - I1 Durable first: an outcome that allows a signature is returned after the transaction that
//!   has the record was committed (hazards V1, V2).
//! - I2 Any two messages that were allowed for one key are no slashable pair.
//! - I3 Watermarks never go down. The first record of a kind sets them.
//! - I4 No record is below a watermark: each block's slot is at least the slot's, each
//!   attestation's source and target are at least the votes'.
//! - I5 A record that is forgotten raises the watermarks to itself. Whatever could contradict it is
//!   refused from then on. If that puts other records below the watermarks, those are forgotten,
//!   too.
//! - I6 A key has at most [`Limits::blocks`] and [`Limits::attestations`] records. The oldest is
//!   forgotten first.
//! - I7 A signing root is on record only if the message contradicts nothing that was known when it
//!   came. So "already signed" repeats a signature, and never completes an offence. An import that
//!   has another message of a slot or target erases the root. An import of a message that surrounds
//!   one on record or one of its file, or is surrounded, comes without its root.
//! - I8 An import never makes anything signable that was not.
//! - I9 All records are of one chain. The first request or import binds the store to its genesis
//!   validators root, and others are refused.
//!
//! **Importing.** EIP-3076 reads a file as all that its writer knows. That is wrong for a minimal
//! file: the two numbers of a key that it holds stand for everything below them. On a key of which
//! nothing is known, both readings give the same watermarks. On other keys [`Merge::Raise`] refuses
//! everything up to the file's newest messages, and [`Merge::Complete`] only what the file names.
//! The latter is safe for complete files alone. A file's attestations are taken in by target, and
//! the oldest are forgotten meanwhile, so the work for a key is proportional to its messages and to
//! [`Limits::attestations`], and no order of the file's lists is dearer than another.
//!
//! **Blocking.** [`check_and_record`] blocks for the store: for one commit, if anything was
//! recorded. The machine never blocks.
//!
//! Reference: EIP-3076, "Conditions"; consensus specification, `phase0/validator.md`, "How to avoid
//! slashing".

mod machine;
mod record;
mod store;
#[cfg(test)]
mod tests;

pub use machine::{Effect, Event, History, Limits, Merge, Outcome, Refusal, Statement, Write};
pub use record::{Block, MAX_NUMBER, Records, SigningRoot, Vote, Watermarks};
pub use store::{
    Export, GenesisRoot, ImportError, Key, MemoryStore, MemoryTransaction, ProtectionStore,
    Request, Transaction, check_and_record, export, import,
};
