//! Synchronisation for services that exchange messages: an event notifier on a futex, and a ladder
//! of channels, each written once against [`Primitives`].
//!
//! Production uses the plain aliases in this module, which run on [`Std`]. A checker instantiates
//! the generic types of the submodules with its own backend and explores the same source.
//!
//! # Which channel for what
//!
//! | to | use |
//! |---|---|
//! | pass work to a service, with a bound | [`mailbox::mailbox`] |
//! | receive from several channels in one thread, in a fixed order, without starving any | [`select::Select`], over any receivers, one-shots and deadlines; cheapest where they share a notifier ([`mailbox::mailbox_on`], [`spsc::spsc_on`]) |
//! | show the latest value to whoever wants to know: the head, what is final | [`watch::watch`] |
//! | be sure of a place before there is anything to put there | [`mailbox::Sender::reserve`], [`mpmc::Sender::reserve`] |
//! | talk from a task to a service on a thread, or back | the same channels: `send_async`, `recv_async`; a [`oneshot::Receiver`] is a future |
//! | answer one question | [`oneshot::channel`], its sender moved into the question |
//! | answer into the asker's mailbox without ever blocking | [`mailbox::Receiver::permit`] |
//! | join two stages of a pipeline, item by item or in batches | [`spsc::spsc`] |
//! | let whichever worker is free take the next task | [`mpmc::mpmc`] |
//! | sleep on a condition of your own | [`EventNotifier`]: `wait_until` in a thread, `until` in a task |
//! | know how full mailboxes are, shed load, restart a service with its mailbox | [`Broker`] |
//!
//! | channel | senders, receivers | an item costs, with nobody asleep | memory | when full |
//! |---|---|---|---|---|
//! | [`oneshot`] | 1, 1, once | one exchange | one allocation, no more | cannot be |
//! | [`spsc`] | 1, 1 | plain loads and stores, a fence on each side; a batch costs no more than an item | its places, allocated at once | [`Backpressure`] |
//! | [`mailbox`] | many, 1 | an exchange and a fence to send, nothing of the kind to receive | blocks of up to 32 places, allocated as needed, and spare blocks of at most 1024 places | [`OnFull`] |
//! | [`mpmc`] | many, many | two locks, a fence on each side | its places, allocated at once | [`Backpressure`] |
//! | [`watch`](mod@watch) | many, many; each reader sees the latest value | an allocation and a lock to send, a lock to read | its value | a value replaces the previous one |
//!
//! Begin with the mailbox. Take a ring where there will only ever be one sender, and the pool's
//! queue where any receiver may take any item. Items leave the pool's queue in order, but the work
//! on them may not finish in order.
//!
//! # One vocabulary
//!
//! `send` does what the policy says. `try_send` never blocks. `send_timeout` blocks for at most
//! about a given time, and `send_deadline` until [`Primitives::now`] has about reached a given
//! moment. `send_async` suspends a task instead of blocking its thread. `recv` and its variants do
//! the same for receiving. A channel closes when any end calls `close`, or when all ends of one
//! side are gone. From then on nothing more is accepted; everything that has been accepted can
//! still be received, and then receivers get [`Closed`].
//!
//! | call | [`oneshot`] | [`spsc`] | [`mailbox`] | [`mpmc`] | returns |
//! |---|---|---|---|---|---|
//! | `send` | yes, never blocks | yes | yes; a `Permit`'s never blocks | yes | [`SendError`] with the item; a mailbox: what it evicted |
//! | `try_send`, `send_timeout`, `send_deadline`, `send_async` | - | yes | yes | yes | the same |
//! | `reserve`, `try_reserve`, `reserve_async` | - | its sender is alone | yes | yes | a `SendPermit`, whose `send` never blocks |
//! | `send_batch`, `try_send_batch`, `send_batch_async` | - | yes | yes | yes | how many; the rest stays in the vector |
//! | `recv`, `try_recv`, `recv_timeout`, `recv_deadline` | yes | yes | yes | yes | the item; [`Closed`], [`TryRecvError`], [`RecvTimeoutError`] |
//! | `recv_async` | the receiver is a future | yes | yes | yes | the item, or [`Closed`] |
//! | `recv_batch`, `recv_batch_async` | - | yes | yes | yes | how many were appended, or [`Closed`] |
//! | `drain` | - | yes | yes | yes | how many were appended; it does not block |
//! | `iter`, `try_iter`, `for item in receiver` or `&receiver` | - | yes | yes | yes | items |
//! | `close` | the receiver's; the sender is dropped | both ends' | both ends' | both ends' | |
//! | `is_closed` | both ends' | both ends' | both ends' | both ends' | whether no send will be accepted |
//! | `is_disconnected` | both ends' | both ends' | both ends'; a `Permit`'s | both ends' | whether the other side has gone |
//! | `closed`, `closed_timeout`, `closed_deadline`, `closed_async` | the sender's | the sender's | the sender's | the sender's | when `is_closed` holds |
//! | policy on full | cannot be full | [`Backpressure`] | [`OnFull`] | [`Backpressure`] | |
//! | `counters`; `meter` for a thread without an end | - | both ends' | both ends' | both ends' | [`Counters`] |
//! | `len`, `is_empty`, `is_full`, `capacity` | - | both ends' | both ends' | both ends' | of this moment |
//! | `into_stream`, `stream`, with the feature `stream` | - | the receiver's | the receiver's | the receiver's | a `futures_core::Stream` |
//! | `clone` | - | - | the sender | both ends | |
//!
//! A [`watch`](mod@watch) has `send`, and is read by `get`, `changed` and the variants of
//! `changed`; its module says how. Sending or receiving an empty batch returns `Ok(0)`, or
//! [`Closed`] once the channel is closed.
//!
//! Every error contains the item, if there was one. A receiver needs no `closed`, because `recv`
//! says so when nothing is left. Batches are taken and accepted in order. If a batch is accepted in
//! parts, each part is accepted in order and notifies once.
//!
//! ```
//! use blocksmith_sync::{Backpressure, Std, mpmc, oneshot};
//!
//! let (sender, receiver) = mpmc::mpmc::<Std, u32>(3, Backpressure::Refuse);
//! let mut batch = vec![1, 2, 3, 4];
//! assert_eq!(sender.send_batch(&mut batch), Ok(3));
//! assert_eq!(batch, [4]); // what found no room
//! assert_eq!(receiver.try_iter().next(), Some(1));
//! let meter = receiver.meter();
//! let pool = std::thread::spawn(move || receiver.into_iter().sum::<u32>());
//! sender.close();
//! sender.closed(); // it is: returns at once
//! assert_eq!(pool.join().unwrap(), 5);
//! assert!(sender.is_disconnected());
//! assert_eq!((meter.counters().received, meter.counters().refused), (3, 1));
//!
//! let (reply, mut answer) = oneshot::channel::<Std, u32>();
//! answer.close();
//! assert_eq!(reply.send(7).unwrap_err().into_inner(), 7);
//! ```
//!
//! ```
//! use blocksmith_sync::{Backpressure, Closed, SendError, Std, TryRecvError, spsc};
//!
//! let (sender, receiver) = spsc::spsc::<Std, &str>(1, Backpressure::Refuse);
//! assert_eq!(sender.send("first"), Ok(()));
//! assert_eq!(sender.send("second"), Err(SendError::Full("second")));
//! sender.close();
//! assert_eq!(sender.send("third"), Err(SendError::Closed("third")));
//! assert_eq!(receiver.recv(), Ok("first"));
//! assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
//! assert_eq!(receiver.recv(), Err(Closed));
//! assert_eq!(receiver.counters().refused, 1);
//! ```
//!
//! # Threads and tasks
//!
//! Services stay on threads of their own. A client that talks to them may be a task on any runtime;
//! this crate needs no runtime itself. A future is cancelled by dropping it: a receive that is
//! dropped has taken nothing, a send that is dropped has sent nothing, and a wake-up that the
//! future had been given is passed on to another waiter. To set a time limit, wrap the future in
//! the runtime's `timeout`. `examples/tokio.rs` shows tasks that ask a plain thread.
//!
//! A notifier that no task has ever waited for costs no more than one without support for tasks:
//! its count of tasks shares a word with its count of threads.
//!
//! # Platforms
//!
//! | system | a thread sleeps by | |
//! |---|---|---|
//! | Linux, Android | the futex | measured; the checks run on it |
//! | macOS, Windows, any other with std | a table of std's locks and condition variables | its unit tests run on Linux |

pub mod broker;
mod counters;
mod ends;
mod error;
mod ghost;
pub mod iter;
pub mod mailbox;
pub mod mpmc;
pub mod notifier;
pub mod oneshot;
mod policy;
mod primitives;
#[cfg(test)]
mod scripted;
pub mod select;
mod spin;
pub mod spsc;
mod std_backend;
#[cfg(feature = "stream")]
pub mod stream;
pub mod watch;

pub use counters::Counters;
pub use error::{Closed, RecvTimeoutError, SendError, TryRecvError};
pub use ghost::Ghost;
pub use policy::{Backpressure, CannotEvict, OnFull};
pub use primitives::{
    Atomic, AtomicPtr, Cell, Futex, Join, Mutex, Ordering, Primitives, WaitOutcome,
};
pub use std_backend::Std;

/// An event notifier on the operating system's futex.
pub type EventNotifier = notifier::EventNotifier<Std>;
/// A broker of mailboxes between operating system threads.
pub type Broker = broker::Broker<Std>;
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
/// The sending end of a ring between operating system threads.
pub type RingSender<T> = spsc::Sender<Std, T>;
/// The receiving end of a ring between operating system threads.
pub type RingReceiver<T> = spsc::Receiver<Std, T>;
/// The sending end of a watch between operating system threads.
pub type WatchSender<T> = watch::Sender<Std, T>;
/// The reading end of a watch between operating system threads.
pub type WatchReceiver<T> = watch::Receiver<Std, T>;
/// The sending end of a pool's queue between operating system threads.
pub type PoolSender<T> = mpmc::Sender<Std, T>;
/// The receiving end of a pool's queue between operating system threads.
pub type PoolReceiver<T> = mpmc::Receiver<Std, T>;
