//! `Stepped`: the real code, one operation at a time, every interleaving, under stateright.
//!
//! **Contract.** A scenario is a function that uses the primitives of [`Stepped`] (so a generic
//! `fn scenario<P: Primitives>()`, instantiated). [`check`] runs it in every order in which its
//! threads' operations can take effect, breadth first, so that a counterexample is a shortest one.
//! Two properties hold of every scenario:
//! - *no deadlock*: while a thread has not ended, some thread can go on (a thread that sleeps for
//!   ever when the others have ended is a deadlock too);
//! - *no panic*: no thread panics, hence no assertion of the scenario fails.
//!
//! A scenario must be deterministic but for the order of its operations: no randomness, no real
//! time, no addresses compared, no state that outlives it.
//!
//! | what | explored | bound |
//! |---|---|---|
//! | who goes next | every choice | - |
//! | memory | sequentially consistent: orderings and fences are ignored | weak memory is another engine's |
//! | whom a wake takes | every choice among the sleepers | - |
//! | expiry of a timed wait | at any moment while it sleeps | [`Limits::expiries`] in an execution; later ones only when nothing else can run |
//! | time | goes to the deadline of a wait that expires; and a long time may pass at any reading of the clock, which is to say between any two operations | [`Limits::jumps`] in an execution |
//! | spurious wake-ups | at any moment of a sleep | [`Limits::spurious_wakeups`] in an execution |
//! | `yield_now` | goes on once another thread has changed something since the last yield, or when nothing else can run | plus [`Limits::idle_yields`] at any time |
//! | a panic that a thread's end reports to its `join` | a violation, unless [`Limits::panics_end_threads`] | - |
//!
//! **States.** An execution is replayed from its beginning for every state (coroutines cannot be
//! copied); what identifies a state is said at the top of `world.rs`. States that agree are
//! explored once. The hints `mark`, `rewind` and `checkpoint` of the primitives are assertions by
//! the author of the code that merge more states: a wrong one can hide behaviour, so small
//! scenarios are run with and without them ([`Limits::hints`]).

mod limits;
mod memory;
mod model;
mod object;
mod operation;
mod primitives;
mod runtime;
mod world;

pub use limits::{A_LONG_TIME, Limits};
pub use memory::{Arc, Cell, Guard, Mutex};
pub use model::{Action, Rest, State, SteppedModel, check, explore};
pub use operation::{Kind, Name, Operation, Verb};
pub use primitives::{Atomic, AtomicPtr, Futex, JoinHandle, Stepped};
pub use world::{Choice, Step};
