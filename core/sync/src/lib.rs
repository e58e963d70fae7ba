//! Synchronisation for services that exchange messages: an event notifier on a futex, a bounded
//! mailbox and one-shot replies, each written once against [`Primitives`].
//!
//! Production uses the plain aliases in this module, which run on [`Std`]. A checker instantiates the
//! generic types of the submodules with its own backend and explores the same source.
//!
//! | to | use |
//! |---|---|
//! | pass work to a service, with a bound | [`mailbox::mailbox`] |
//! | wait for several mailboxes in one thread | [`mailbox::mailbox_on`], one [`EventNotifier`] |
//! | answer one question | [`oneshot::channel`], its sender moved into the question |
//! | answer into the asker's mailbox without ever blocking | [`mailbox::Receiver::permit`] |
//! | sleep on a condition of your own | [`EventNotifier`] |

mod counters;
mod error;
pub mod mailbox;
pub mod mpmc;
pub mod notifier;
pub mod oneshot;
mod policy;
mod primitives;
mod spin;
pub mod spsc;
mod std_backend;

pub use counters::Counters;
pub use error::{Closed, RecvTimeoutError, SendError, TryRecvError};
pub use policy::{Backpressure, CannotEvict, OnFull};
pub use primitives::{
    Atomic, AtomicPtr, Cell, Futex, Join, Mutex, Ordering, Primitives, WaitOutcome,
};
pub use std_backend::Std;

/// An event notifier on the operating system's futex.
pub type EventNotifier = notifier::EventNotifier<Std>;
/// The sending end of a mailbox between operating system threads.
pub type Sender<T> = mailbox::Sender<Std, T>;
/// The receiving end of a mailbox between operating system threads.
pub type Receiver<T> = mailbox::Receiver<Std, T>;
/// A reserved reply slot of such a mailbox.
pub type Permit<T> = mailbox::Permit<Std, T>;
/// The sending end of a one-shot between operating system threads.
pub type ReplySender<T> = oneshot::Sender<Std, T>;
/// The receiving end of a one-shot between operating system threads.
pub type ReplyReceiver<T> = oneshot::Receiver<Std, T>;
