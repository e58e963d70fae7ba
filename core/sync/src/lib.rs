//! Synchronisation for services that exchange messages: an event notifier on a futex, a bounded
//! mailbox and one-shot replies, each written once against [`Primitives`].
//!
//! Production uses the plain aliases in this module, which run on [`Std`]. A checker instantiates the
//! generic types of the submodules with its own backend and explores the same source.

pub mod mailbox;
pub mod notifier;
pub mod oneshot;
mod primitives;
mod std_backend;

pub use primitives::{
    Atomic, AtomicPtr, Cell, Futex, Join, Mutex, Ordering, Primitives, WaitOutcome,
};
pub use std_backend::Std;
