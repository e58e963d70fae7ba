//! ColdDB: the writer of the durable store. It keeps what a restart needs, and the finalised chain.
//!
//! **Contract.** The ColdDB takes what Clearance has taken in, in the same order, and finality. It
//! writes behind: no verdict waits for the disk. A thread of its own gathers what is queued into a
//! batch and commits each batch as one transaction, which is durable when the commit returns. After
//! a crash at any moment, [`recover`] rebuilds the services from the store, and the same input
//! leads to the same end. What it resumes from is a prefix of what Clearance had taken in, and its
//! finality is at least the one of the last [`crate::notice::Notice::Durable`].
//!
//! ```text
//!   Clearance ── record, finalised ──> gathered ── flush ──> committed ──> Durable (if the point moved)
//!                      │                                        │
//!                      └── state of the finalised block         └── failed ──> StoreFailed, silent
//!                          (asked of the Rewinder)
//! ```
//!
//! | event | writes, in this order |
//! |---|---|
//! | block | the entry of what its slashings newly prove; the block, then the entry that names it |
//! | attestation, gossip vote, attester slashing, tick | the journal's entry |
//! | operation that the pool of operations holds now | the journal's entry |
//! | operations that the finalised state has spent | their entries are dropped |
//! | state of the finalised block | the state; the finalised chain by slot; the point; then what these make useless is dropped: the old state, older entries, blocks beside the chain, whose roots are noted before that |
//!
//! **Invariants.**
//! - I1 The order of the writes is the order in which Clearance took the items in.
//! - I2 A block is written before the entry that names it, and dropped after it.
//! - I3 The point is written after the state and the chain that it refers to, and before anything
//!   is dropped that the old point needs. So not only every prefix of the transactions, but every
//!   prefix of the *writes* is a store from which the services resume.
//! - I4 The journal has what Clearance took in since the point's block, and the clock at that
//!   block. It is bounded: blocks by the HotDB's bound, attestations by [`Limits::attestations`],
//!   what attester slashings prove by [`Limits::equivocations`] (it outlasts finality, I7),
//!   operations by [`Limits::operations`] of each kind (I8), ticks by those, since of the ticks
//!   between two items the first two and the last are kept, also where the items between them are
//!   gone.
//! - I5 After a failure of the store (a full disk, for instance) nothing more is written, because a
//!   gap would be a wrong state after a restart. The services go on in memory; the node is told
//!   once and decides. The same holds after a message that is lost by a panic; what came before it
//!   is whole, and is written.
//! - I6 At most one state is asked for at a time. If it cannot be had, it is asked for again when
//!   the clock next moves, and the point stays where it was meanwhile.
//! - I7 What an attester slashing has proved stays in the journal when finality passes it, also if
//!   only blocks carried the slashing that finality drops: the fork choice never counts its
//!   validators again.
//! - I8 An operation stays in the journal as long as Clearance's pool holds it, also when finality
//!   passes its entry: exits and slashings that came by gossip, and slashings that were found here.
//!   It goes when the finalised checkpoint's state says that it is spent, or when the bound is
//!   reached, as it does from the pool.
//! - I9 Questions about stored blocks have a lane of their own, and the ColdDB reads one bounded
//!   chunk between two batches of records ([`reads`]). So no record waits for more than one chunk,
//!   however much is asked, and no question makes a commit.
//!
//! **Blocking.** The ColdDB waits for its disk alone. It asks the Rewinder for a state and has a
//! slot reserved for the answer. Clearance waits for room in the ColdDB's mailbox if the disk is
//! slower than the chain for long: that is the only way in which a slow disk is felt. No question
//! takes a place there. Whoever asks waits for the answer, or is told at once that the lane is
//! full.

mod machine;
pub mod reads;
mod recovery;
mod service;
pub mod shell;
#[cfg(test)]
mod tests;

pub use machine::{ColdDb, Effect, Event, Limits, Record};
pub use recovery::{Bounds, Recovered, Resumed, recover};
pub(crate) use service::{ColdDbHandle, ColdDbService};
