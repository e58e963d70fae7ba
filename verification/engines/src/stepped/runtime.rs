//! Runs one execution: threads are coroutines, and every operation hands control back.
//!
//! **Contract.** [`Execution::start`] runs the scenario up to its first operation,
//! [`Execution::step`] performs exactly one operation (or ends one sleep) and the local code after
//! it. The execution stays on the thread that started it, and there is one at a time. Threads of the
//! operating system can carry the scenario's threads instead of coroutines ([`Carriers`]).
//!
//! **Ending.** An execution that is dropped half-way is run to its end, always taking the first
//! possible step, so that destructors run as they normally would. Threads that cannot end (because
//! of a deadlock, or because a thousand steps were not enough) are abandoned: what they own is
//! leaked, as by `mem::forget`.
//!
//! **Panics** inside a scenario are not printed; they end the thread and are part of the state.
//! While a thread unwinds, its operations take effect at once, without a step of their own.

use std::cell::RefCell;
use std::panic::{self, Location, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::limits::Limits;
use super::operation::Operation;
use super::step::{Choice, Line, Status, Step, WakeReason};
use super::turnstile::{self, Turnstile};
use super::world::World;

/// Bytes of stack for a thread; pages that are not touched cost nothing.
const STACK_BYTES: usize = 256 * 1024;
/// Stacks that are kept for the next execution.
const STACKS_KEPT: usize = 32;
/// Steps that a dropped execution gets in order to end.
const STEPS_TO_END: usize = 1_000;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with the world of the execution that this thread runs.
///
/// # Panics
/// If there is none, because a primitive of `Stepped` was used outside a scenario.
pub(super) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(|world| {
        f(world.as_mut().expect("a Stepped primitive was used outside of a scenario"))
    })
}

/// Like [`with`], but returns nothing if there is no execution: for destructors.
pub(super) fn with_if_any<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD
        .try_with(|world| world.try_borrow_mut().ok().and_then(|mut world| world.as_mut().map(f)))
        .ok()
        .flatten()
}

/// Takes the world from this thread.
pub(super) fn take_world() -> World {
    WORLD.take().expect("the world is on this thread")
}

/// Gives the world to this thread.
pub(super) fn give_world(world: World) {
    WORLD.set(Some(world));
}

/// Returns whether there is an execution that is recorded.
pub(crate) fn is_recorded() -> bool {
    with_if_any(|world| world.is_recorded()).unwrap_or_default()
}

/// Adds what the running thread says of itself, if there is an execution that is recorded.
pub(crate) fn say(words: impl FnOnce() -> String, at: &'static Location<'static>) {
    with_if_any(|world| world.say(words, at));
}

/// Waits before an operation until the schedule lets this thread perform it.
pub(super) fn reach(operation: Operation, at: &'static Location<'static>) {
    if std::thread::panicking() {
        return;
    }
    with(|world| {
        let thread = world.thread();
        thread.status = Status::Ready;
        thread.pending = Some((operation, at));
        world.visible_destructor |= thread.destructors > 0;
    });
    suspend();
}

/// Hands control to the executor.
pub(super) fn suspend() {
    if turnstile::hold() {
        return;
    }
    let yielder = with(|world| world.thread().yielder);
    // SAFETY: the current thread's coroutine stored this pointer when it began (`start_bodies`), to
    // a yielder that lives on its stack until its body returns; the body is what runs now.
    unsafe { &*yielder }.suspend(());
}

fn install_panic_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let noted = with_if_any(|world| {
                let at = info
                    .location()
                    .map_or_else(String::new, |at| format!(" [{}:{}]", file_name(at), at.line()));
                world.last_panic = Some(format!("{}{at}", payload_text(info.payload())));
            });
            if noted.is_none() {
                previous(info);
            }
        }));
    });
}

/// Returns the last part of a location's path.
pub(super) fn file_name<'a>(at: &Location<'a>) -> &'a str {
    at.file().rsplit('/').next().unwrap_or_default()
}

fn payload_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "panic".to_owned()).replace('\n', " ")
}

/// What carries the threads of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carriers {
    Coroutines,
    /// Threads of the operating system, held at turnstiles.
    Threads,
}

/// What carries a thread that has not ended.
enum Carrier {
    Coroutine(Coroutine<(), (), ()>),
    Thread(Turnstile),
}

/// One execution; see the module documentation.
pub(super) struct Execution {
    carriers: Carriers,
    threads: Vec<Option<Carrier>>,
}

impl Execution {
    /// Starts `scenario` as the first thread.
    pub(super) fn start(scenario: fn(), limits: Limits, trace: bool) -> Self {
        Self::start_on(Carriers::Coroutines, scenario, limits, trace)
    }

    /// Like [`Execution::start`], with these carriers.
    pub(super) fn start_on(
        carriers: Carriers,
        scenario: fn(),
        limits: Limits,
        trace: bool,
    ) -> Self {
        static EPOCH: AtomicU64 = AtomicU64::new(1);
        install_panic_hook();
        let mut world = World::new(EPOCH.fetch_add(1, Ordering::Relaxed), limits, trace);
        world.add_thread("main", guarded(scenario, drop));
        WORLD.with_borrow_mut(|current| {
            assert!(current.is_none(), "one execution at a time on a thread");
            *current = Some(world);
        });
        let mut execution = Self { carriers, threads: Vec::new() };
        execution.settle();
        execution
    }

    /// Performs one step, which must be one of [`World::steps`].
    pub(super) fn step(&mut self, step: Step) {
        let thread = usize::from(step.thread);
        match step.choice {
            Choice::Run(choice) => {
                with(|world| world.chosen = choice);
                self.resume(thread);
            }
            Choice::Expire => with(|world| world.rouse(thread, WakeReason::Expired)),
            Choice::Spurious => with(|world| world.rouse(thread, WakeReason::Spurious)),
        }
        self.settle();
    }

    /// Takes the trace.
    pub(super) fn take_trace(&mut self) -> Vec<Line> {
        with(|world| world.trace.take()).unwrap_or_default()
    }

    /// Runs local code until every thread waits before an operation, sleeps or has ended.
    fn settle(&mut self) {
        loop {
            self.start_bodies();
            let woken = with(|world| {
                world.threads.iter().position(|thread| thread.status == Status::Woken)
            });
            match woken {
                Some(thread) => self.resume(thread),
                None => return,
            }
        }
    }

    fn start_bodies(&mut self) {
        for body in with(|world| std::mem::take(&mut world.bodies)) {
            let index = self.threads.len();
            let carrier = match self.carriers {
                Carriers::Coroutines => Carrier::Coroutine(coroutine(index, body)),
                Carriers::Threads => {
                    let label = with(|world| world.threads[index].label.clone());
                    Carrier::Thread(Turnstile::new(&label, body))
                }
            };
            self.threads.push(Some(carrier));
        }
    }

    fn resume(&mut self, thread: usize) {
        with(|world| {
            world.current = thread;
            world.threads[thread].status = Status::Ready;
        });
        match self.threads[thread].take().expect("the thread has not ended") {
            Carrier::Coroutine(mut coroutine) => match coroutine.resume(()) {
                CoroutineResult::Yield(()) => {
                    self.threads[thread] = Some(Carrier::Coroutine(coroutine));
                }
                CoroutineResult::Return(()) => keep_stack(coroutine.into_stack()),
            },
            Carrier::Thread(turnstile) => {
                if !turnstile.pass() {
                    self.threads[thread] = Some(Carrier::Thread(turnstile));
                }
            }
        }
    }
}

/// Returns a coroutine that runs the body of the thread of this index.
fn coroutine(index: usize, body: Box<dyn FnOnce()>) -> Coroutine<(), (), ()> {
    let stack = STACKS
        .with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| DefaultStack::new(STACK_BYTES).expect("memory for a stack"));
    Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
        with(|world| world.threads[index].yielder = yielder);
        body();
    })
}

impl Drop for Execution {
    fn drop(&mut self) {
        for _ in 0..STEPS_TO_END {
            let step = with(|world| {
                world.panicked = None;
                world.trace = None;
                let steps = world.steps();
                // Time passes last.
                let run = steps.iter().find(|step| matches!(step.choice, Choice::Run(_)));
                run.or(steps.first()).copied()
            });
            match step {
                Some(step) => self.step(step),
                None => break,
            }
        }
        for carrier in self.threads.drain(..).flatten() {
            let Carrier::Coroutine(mut coroutine) = carrier else { continue };
            // SAFETY: the frames are abandoned without running their destructors, which leaks what
            // they own. Nothing elsewhere refers to them: bodies are `'static`, the primitives lend
            // no thread's locals to another, and no thread of this execution runs again.
            unsafe { coroutine.force_reset() };
            keep_stack(coroutine.into_stack());
        }
        WORLD.with_borrow_mut(|world| *world = None);
    }
}

fn keep_stack(stack: DefaultStack) {
    STACKS.with_borrow_mut(|stacks| {
        if stacks.len() < STACKS_KEPT {
            stacks.push(stack);
        }
    });
}

/// Wraps the body of a thread: `keep` gets what it returned or panicked with, and the world is
/// informed.
pub(super) fn guarded<T>(
    body: impl FnOnce() -> T + 'static,
    keep: impl FnOnce(std::thread::Result<T>) + 'static,
) -> Box<dyn FnOnce()> {
    Box::new(move || {
        let result = panic::catch_unwind(panic::AssertUnwindSafe(body));
        let panic = result.as_ref().err().map(|payload| {
            with(|world| world.last_panic.take()).unwrap_or_else(|| payload_text(&**payload))
        });
        keep(result);
        with(|world| world.end_thread(panic));
    })
}
