//! Supervision: what becomes of a panic, and how the services end.
//!
//! **Contract.** A panic in a service or in a Rewinder worker costs the message that was being
//! handled and, if it cut the machine's step short, what the table below says. The requester is
//! answered with a fault, the panic is reported as a [`crate::notice::Notice::Panicked`], and a
//! successor serves what is queued. More than [`Intensity::max_restarts`] panics within
//! [`Intensity::window`], or a machine that cannot be replaced, stop all services in order, and
//! [`crate::blocksmith::StopReport`] says why.
//!
//! ```text
//!                     message        done                          every panic
//!   serving ─────────────────> turn ──────> serving          turn ────────────> counted
//!                                                                                 │
//!        ┌──────────── within the intensity, machine whole or replaceable ────────┤
//!        v                                                                        │
//!   successor: same mailbox, next message            too many, or torn for good   v
//!        (the one that was lost is not retried)      ───────────────────────> all services stop
//! ```
//!
//! | service | panicked before its machine was touched | in the middle of its machine's step |
//! |---|---|---|
//! | Quarantine | machine kept | rebuilt from Clearance's chain; what it held is answered `Dropped(Fault)`. Stop if Clearance does not tell its chain, asked 16 times |
//! | Clearance | machine kept | stop: votes and balances are nowhere else |
//! | HotDB | machine kept (reading a trail never touches it) | stop: it is the only one that has the blocks |
//! | ColdDB | machine kept, and nothing more is written, as there would be a gap | stop: what was gathered is lost |
//! | Rewinder worker | next task | next task: a worker's machine lives for one task, or one batch |
//!
//! In a turn, the message is split into what a machine handles (plain data) and what must be
//! answered (one-shots, permits, reserved slots). Only the machine's step, which is pure, runs
//! inside `catch_unwind`. What must be answered stays outside, and so do the mailbox and the
//! effects. So no channel is ever touched while a thread unwinds. Effects are carried out after the
//! step: they are sends, which do not panic. Should a send panic all the same, the thread ends, the
//! drop of its mailbox answers what is queued, the services stop, and the report names the thread.
//!
//! **Invariants.**
//! - I1 Every requester is answered, also when its message is lost: the one-shot or permit that the
//!   message carried is dropped after the unwinding (hazard L5).
//! - I2 Nobody handles a lost message again (L6). If a machine waits for the message, the machine
//!   is told that the answer is a fault; that step takes nothing from the message but its number.
//!   If a tick is lost while the machine is whole, the machine is still told the time, because two
//!   services that go by different clocks would refuse what the other has passed. Attestations that
//!   are verified together are lost together, since nobody knows which of them caused the panic.
//!   Each is answered with the fault.
//! - I3 A machine whose step was cut short is never used again. What replaces it knows only what
//!   another service has verified, so nothing is cleared that did not pass a full transition.
//! - I4 A panic is a fault of ours: it is answered `Dropped(Fault)` or `Fault`, never as a
//!   rejection.
//! - I5 The successor has its predecessor's mailbox, thread and message count. A thread is not what
//!   fails, so no thread is replaced, and at the end there are as many to join as were started.
//! - I6 The stop reaches the Quarantine through a slot that was reserved when the services were
//!   built, so the thread that sends it waits for nobody. A service that ends closes the mailbox of
//!   the one below. So services end in the reverse order of starting, by construction (L4).
//! - I7 The intensity is that of all services together, except for the Rewinder. What its workers
//!   handle comes from peers and is not retried. So without a budget of their own
//!   ([`crate::blocksmith::Config::worker_restarts`]) no number of their panics stops the node. The
//!   memory of a budget is bounded by `max_restarts`.
//!
//! **Blocking.** Reporting a panic and sending the stop never block.
//!
//! Faults can be injected with the feature `testing` (`Injection`). Without an injected fault a
//! service pays for one check of an `Option` per message.
//!
//! The notion of restart intensity is that of Erlang/OTP's `supervisor`.

#[cfg_attr(
    not(any(test, feature = "testing")),
    allow(dead_code, unreachable_pub, reason = "what injects faults is behind the feature")
)]
mod inject;
mod machine;
mod service;
#[cfg(test)]
mod tests;

#[cfg(not(any(test, feature = "testing")))]
pub(crate) use inject::Injection;
pub(crate) use inject::Probes;
#[cfg(any(test, feature = "testing"))]
pub use inject::{Fault, Gate, Injection, When};
pub(crate) use machine::Budget;
pub use machine::{Cause, Effect, Event, Intensity, ServiceName, Supervision};
pub use service::{Bare, Loss, Steps, Turn};
pub(crate) use service::{EndGuard, Guard, Supervisor, contain};
