//! Clearance: the canonical chain. It owns the fork choice, the slashing detector and the
//! attestation pool, and tells the HotDB what to keep.
//!
//! **Contract.** Clearance takes cleared blocks, cleared attestations, the validators that verified
//! attester slashings are about, and ticks of the clock, in one order. It yields the head and the
//! justified and finalised checkpoints. Each of these messages is answered with the finalised
//! checkpoint, or with the news that it was lost.
//!
//! ```text
//!                            Rewinder: state of the justified checkpoint ──> balances,
//!                                ^               of the finalised one ──> spent operations
//!   cleared block ──────┐        │ needs balances               ┌─────────> HotDB: keep and prune
//!   cleared attestation ┼──> fork choice ──> head, justified, finalised ──> notices, watch
//!   attester slashing   ┤
//!   tick ───────────────┤
//!                       ├──> slashing detector ──> offences with their operations ──> notices
//!                       └──> attestation pool <── what a block can be packed from ──> Client
//! ```
//!
//! **Invariants.**
//! - I1 Only items that passed the firewall come in: the types leave no other way (hazard R8).
//! - I2 A block is in the HotDB before it is here (R7).
//! - I3 At most one request for balances per justified checkpoint is under way. While it is, the
//!   last known balances count. A failed request is repeated at the next tick, not in a loop.
//! - I4 If the fork choice refuses a block for a reason other than finality, Clearance reports
//!   that, and the message counts as lost. So no block is accepted and then missing here.
//! - I5 The HotDB is told at most once per message.
//! - I6 From the time Clearance is told that the load forbids detection until it is told that the
//!   load allows it again, the detector is shown finality alone. Every block and vote that it is
//!   not shown is counted.
//! - I7 The pool gets every cleared attestation, the attestations of every cleared block, and every
//!   tick. What it refuses or drops has no effect on anything else here.
//! - I8 When finality moves and operations are held, the finalised checkpoint's state is asked
//!   which of them no later block can carry, and these are dropped. One such request is under way
//!   at most; if it fails, or finality moves meanwhile, the next finality asks again.
//!
//! [`shell`] holds what is done with a message. Threads, models and twins (variants with a
//! deliberate fault, which a check must catch) all run it.
//!
//! **Blocking.** Clearance may wait for room in the HotDB's mailbox. It never waits for the
//! Rewinder (the balances come as a message into a reserved slot) nor for Quarantine (its replies
//! have reserved slots, too).

mod limits;
mod machine;
mod material;
mod service;
pub mod shell;

pub use limits::Limits;
pub use machine::{ChainView, Clearance, Effect, Event, Import};
pub use material::{BuildOn, KnownPayload, Material, Wanted, WantedOf};
pub(crate) use service::{ClearanceHandle, ClearanceMessage, ClearanceService, Receipt};
