//! Threads of the operating system that carry the threads of a scenario, each held at a turnstile
//! before its next operation until it is let through.
//!
//! **Contract.** A replay on them takes the same steps as one on coroutines. It is for people: a
//! debugger shows each thread of the scenario as a thread, with the stack on which it waits.
//! [`Turnstile::pass`] lets the thread through, and blocks until it is held again or has ended.
//!
//! ```text
//!   executor                 carrier
//!      │ ── the world ──>       │ held
//!      │                        │ performs its operation and the local code after it
//!      │ <── the world ──       │ held before its next operation, or ended
//! ```
//!
//! **Invariant.** T1 The world is on one thread at a time: the one whose turn it is, or the
//! executor. It travels through channels, so what one did happens before what the next one does.
//!
//! **Ending.** A carrier whose turnstile is dropped waits for ever, and what it owns is leaked.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::runtime::{give_world, take_world};
use super::world::World;

/// The world on its way to the thread whose turn it is.
struct Handed(World);

// SAFETY: T1. What in the world is not `Send` by its type is one of two things. Bodies of threads
// that have yet to start are `Send` by the bound of `Primitives::spawn`, or the scenario itself, a
// function. Pointers to yielders are null where turnstiles carry the threads.
unsafe impl Send for Handed {}

/// The body of a thread, on its way to its carrier.
struct Body(Box<dyn FnOnce()>);

// SAFETY: it is `Send` by the bound of `Primitives::spawn`, or it is the scenario itself, a
// function, with what keeps its result.
unsafe impl Send for Body {}

impl Body {
    fn run(self) {
        (self.0)();
    }
}

/// The world on its way back.
enum Back {
    Held(Handed),
    Ended(Handed),
}

/// The carrier's side.
struct Gate {
    arrivals: Receiver<Handed>,
    back: Sender<Back>,
}

impl Gate {
    /// Waits until this thread is let through.
    fn wait(&self) {
        match self.arrivals.recv() {
            Ok(Handed(world)) => give_world(world),
            Err(_) => loop {
                thread::park();
            },
        }
    }
}

thread_local! {
    /// The turnstile of this thread, if it carries a thread of a scenario.
    static GATE: RefCell<Option<Gate>> = const { RefCell::new(None) };
}

/// Holds this thread before its next operation until it is let through. Returns whether it carries
/// a thread of a scenario.
pub(super) fn hold() -> bool {
    GATE.with_borrow(|gate| {
        let Some(gate) = gate else { return false };
        // An executor that has gone away lets nobody through, either.
        let _ = gate.back.send(Back::Held(Handed(take_world())));
        gate.wait();
        true
    })
}

/// The executor's side.
pub(super) struct Turnstile {
    go: Sender<Handed>,
    back: Receiver<Back>,
}

impl Turnstile {
    /// Starts the carrier of a thread, which is held before its first local code.
    ///
    /// # Panics
    /// If the operating system gives no thread.
    pub(super) fn new(label: &str, body: Box<dyn FnOnce()>) -> Self {
        let (go, arrivals) = channel();
        let (to_executor, back) = channel();
        let body = Body(body);
        let carry = move || {
            let gate = Gate { arrivals, back: to_executor.clone() };
            gate.wait();
            GATE.set(Some(gate));
            body.run();
            let _ = to_executor.send(Back::Ended(Handed(take_world())));
        };
        thread::Builder::new().name(label.to_owned()).spawn(carry).expect("a thread");
        Self { go, back }
    }

    /// Lets the thread through. Returns whether it has ended. Blocks until then, or until it is
    /// held again.
    pub(super) fn pass(&self) -> bool {
        self.go.send(Handed(take_world())).expect("a carrier that has not ended waits");
        let (Handed(world), ended) = match self.back.recv().expect("the carrier sends it back") {
            Back::Held(world) => (world, false),
            Back::Ended(world) => (world, true),
        };
        give_world(world);
        ended
    }
}
