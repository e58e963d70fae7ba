//! `Stepped`: runs the real code one operation at a time, in every interleaving, under stateright.
//!
//! **Contract.** A scenario is a function that uses the primitives of [`Stepped`] (so a generic
//! `fn scenario<P: Primitives>()`, instantiated). [`check`] runs it in every order in which its
//! threads' operations can take effect, breadth first, so that a counterexample is a shortest one.
//! Two properties are checked for every scenario:
//! - *no deadlock*: while a thread has not ended, some thread can go on (a thread that sleeps for
//!   ever after the others have ended is a deadlock, too);
//! - *no panic*: no thread panics, so no assertion of the scenario fails.
//!
//! A scenario must be deterministic except for the order of its operations: it uses no randomness
//! and no real time, compares no addresses, and leaves no state that outlives it.
//!
//! | what | explored | bound |
//! |---|---|---|
//! | which thread goes next | every choice | - |
//! | memory | sequentially consistent: orderings and fences are ignored | weak memory is left to another engine |
//! | which sleepers a wake takes | every choice | - |
//! | expiry of a timed wait | at any moment while it sleeps | [`Limits::expiries`] in an execution; later ones only when nothing else can run |
//! | time | it advances to the deadline of a wait that expires; in addition a long time may pass at any reading of the clock, that is, between any two operations | [`Limits::jumps`] in an execution |
//! | spurious wake-ups | at any moment of a sleep | [`Limits::spurious_wakeups`] in an execution |
//! | `yield_now` | returns once another thread has changed something since the last yield, or when nothing else can run | in addition, [`Limits::idle_yields`] return at any time |
//! | a panic that a thread's end reports to its `join` | a violation, unless [`Limits::panics_end_threads`] | - |
//!
//! **States.** An execution is replayed from its beginning for every state (coroutines cannot be
//! copied); the top of `world.rs` says what identifies a state. Equal states are explored only
//! once, and of two independent steps one order is enough (sleep sets, `search.rs`): that leaves out
//! steps, and no state. The hints `mark`, `rewind` and `checkpoint` of the primitives are assertions by the author
//! of the code, by which more states are merged. A wrong hint can hide behaviour, so small
//! scenarios are run with and without them ([`Limits::hints`]).
//!
//! **Counterexamples.** [`check`] keeps the one it finds ([`crate::counterexample`]), and [`replay`]
//! runs a recorded one again, up to the step at which it no longer fits the code, and
//! [`replay_on_threads`] does so with threads of the operating system, for a debugger. [`shrink`]
//! takes away the steps and switches between threads that it does not need.

mod limits;
mod memory;
mod model;
mod object;
mod operation;
mod primitives;
mod recorded;
mod runtime;
mod search;
mod step;
mod turnstile;
mod world;

pub use crate::counterexample::Misfit;
pub use limits::{A_LONG_TIME, Limits};
pub use memory::{Arc, Cell, Guard, Mutex};
pub use model::{Action, Rest, Stand, Standing, State, SteppedModel, check, explore};
pub use operation::{Kind, Name, Operation, Verb};
pub use primitives::{Atomic, AtomicPtr, Futex, JoinHandle, Stepped};
pub use recorded::{replay, replay_on_threads, shrink};
pub(crate) use runtime::{is_recorded, say};
pub use step::{Choice, Step};
