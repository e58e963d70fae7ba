//! `Shuttle`: the primitives under shuttle's schedulers, and the runner.
//!
//! **Contract.** [`check`] runs a scenario under many schedules: half of them random, half with
//! priorities that change at few points (PCT). It is a sample, not a proof; but the same seed
//! repeats it. Memory is sequentially consistent: orderings and fences are ignored.
//!
//! | what | here |
//! |---|---|
//! | which sleeper a wake takes | any |
//! | timed wait | it expires at any moment, with one chance in four at each turn of its thread, or is woken before |
//! | spurious wake-ups | one sleep in a given number, at any moment of the sleep: [`ShuttleBounds::spurious`] |
//! | time | it passes when a timed wait expires; in addition a long time may pass at once, between any two operations: one reading of the clock in a given number finds that it has jumped |
//! | data races | not seen |

use std::any::Any;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::meter;
use crate::stepped::A_LONG_TIME;
use crate::thrown;
use crate::verdict::{Engine, Outcome, Verdict, Violation};
use blocksmith_sync::{
    Atomic, AtomicPtr, Cell, Futex, Join, Mutex, Ordering, Primitives, WaitOutcome,
};
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::sync::MutexGuard;

use crate::atomics::{Turn, futex, integer, mutex, pointer};
use crate::trace::{self, Panic};

/// How far shuttle looks.
#[derive(Clone, Copy, Debug)]
pub struct ShuttleBounds {
    /// Schedules, half of them random and half PCT.
    pub iterations: usize,
    /// The seed of the random choices.
    pub seed: u64,
    /// The number of priority changes in a PCT schedule, plus one.
    pub depth: usize,
    /// One sleep in this many ends spuriously; 0 means that none does.
    pub spurious: u32,
}

impl ShuttleBounds {
    /// Returns the usual bounds with this number of schedules.
    #[must_use]
    pub const fn iterations(iterations: usize) -> Self {
        Self { iterations, seed: 0x0062_6c6f_636b, depth: 3, spurious: 8 }
    }
}

/// Steps of one execution after which the verdict is `Truncated`.
const MAX_STEPS: usize = 200_000;

/// The backend; see the module documentation.
#[derive(Clone, Copy, Debug)]
pub struct Shuttle;

/// shuttle is sequentially consistent, and warns of anything else.
fn order(_order: Ordering) -> Ordering {
    Ordering::SeqCst
}

fn thread() -> String {
    let current = shuttle::thread::current();
    current.name().map_or_else(|| "main".to_owned(), str::to_owned)
}

/// A timed wait expires with one chance in this many, each time that its thread would go on
/// waiting.
const EXPIRY: u32 = 4;

thread_local! {
    /// See [`ShuttleBounds::spurious`].
    static SPURIOUS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    /// The clock of the execution.
    static CLOCK: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

/// One reading of the clock in this many finds that it has jumped.
const JUMP: u32 = 8;

/// Makes a free choice with one chance in `count` (0 means never), drawn from the scheduler's
/// source.
fn one_in(count: u32) -> bool {
    count > 0 && shuttle::rand::thread_rng().gen_ratio(1, count)
}

integer!(ShuttleU32, shuttle::sync::atomic::AtomicU32, (), u32, order, thread);
integer!(ShuttleU64, shuttle::sync::atomic::AtomicU64, (), u64, order, thread);
integer!(ShuttleUsize, shuttle::sync::atomic::AtomicUsize, (), usize, order, thread);
pointer!(ShuttlePtr, shuttle::sync::atomic::AtomicPtr<()>, (), order, thread);
mutex!(ShuttleMutex, ShuttleGuard, shuttle::sync::Mutex<()>, MutexGuard);

futex!(ShuttleFutex, ShuttleU32, shuttle::thread, |word: &shuttle::sync::atomic::AtomicU32| word
    .load(Ordering::SeqCst));

impl ShuttleFutex {
    /// Returns whether the calling thread is still asleep.
    fn is_asleep(&self) -> bool {
        let me = shuttle::thread::current().id();
        self.sleepers.has(|sleeper| sleeper.id() == me)
    }
}

// SAFETY: the word is the checker's atomic.
unsafe impl Futex for ShuttleFutex {
    #[track_caller]
    fn wait(&self, expected: u32) {
        if std::thread::panicking() || !self.fall_asleep(expected) {
            return;
        }
        if one_in(SPURIOUS.get()) {
            shuttle::thread::yield_now();
            self.ended(!self.leave(), "woken for nothing");
            return;
        }
        while self.is_asleep() {
            shuttle::thread::park();
        }
        self.ended(true, "");
    }

    #[track_caller]
    fn wait_timeout(&self, expected: u32, timeout: Duration) -> WaitOutcome {
        if std::thread::panicking() {
            return WaitOutcome::TimedOut;
        }
        let deadline = CLOCK.get().saturating_add(timeout);
        if !self.fall_asleep(expected) {
            return WaitOutcome::Woken;
        }
        loop {
            shuttle::thread::yield_now();
            if one_in(EXPIRY) || !self.is_asleep() {
                let outcome = self.ended(!self.leave(), "expired");
                if outcome == WaitOutcome::TimedOut {
                    CLOCK.set(CLOCK.get().max(deadline));
                }
                return outcome;
            }
        }
    }

    #[track_caller]
    fn wake(&self, count: u32) {
        if std::thread::panicking() {
            return;
        }
        self.wake_some(count, |asleep| {
            if asleep == 1 { 0 } else { shuttle::rand::thread_rng().gen_range(0..asleep) }
        });
    }
}

/// Plain memory; shuttle sees no races.
pub struct ShuttleCell<T>(std::cell::UnsafeCell<T>);

// SAFETY: the pointer is that of std's cell.
unsafe impl<T> Cell<T> for ShuttleCell<T> {
    fn new(value: T) -> Self {
        Self(value.into())
    }
    fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }
    fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// A thread of the scenario.
pub struct ShuttleJoin<T>(shuttle::thread::JoinHandle<T>);

impl<T: Send + 'static> Join<T> for ShuttleJoin<T> {
    #[track_caller]
    fn join(self) -> Result<T, Box<dyn Any + Send>> {
        if std::thread::panicking() {
            return Err(Box::new("the checker is reporting"));
        }
        self.0.join()
    }
}

/// Starts a thread. The body is boxed so that shuttle's code is compiled once for each `T`, not for
/// each closure.
#[track_caller]
fn spawn<T: Send + 'static>(name: &str, body: Box<dyn FnOnce() -> T + Send>) -> ShuttleJoin<T> {
    let spawned = shuttle::thread::Builder::new().name(name.to_owned()).spawn(body);
    ShuttleJoin(spawned.unwrap_or_else(|error| panic!("no thread for {name}: {error}")))
}

// SAFETY: one thread runs at a time, in a sequentially consistent order, so a fence has nothing
// more to order; ownership is std's.
unsafe impl Primitives for Shuttle {
    type AtomicU32 = ShuttleU32;
    type AtomicU64 = ShuttleU64;
    type AtomicUsize = ShuttleUsize;
    type AtomicPtr<T> = ShuttlePtr<T>;
    type Futex = ShuttleFutex;
    type Cell<T> = ShuttleCell<T>;
    type Mutex<T: Send> = ShuttleMutex<T>;
    type Arc<T: Send + Sync> = Arc<T>;
    type JoinHandle<T: Send + 'static> = ShuttleJoin<T>;

    fn fence(_order: Ordering) {}

    fn arc<T: Send + Sync>(value: T) -> Self::Arc<T> {
        Arc::new(value)
    }

    #[track_caller]
    fn spawn<T: Send + 'static>(
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Self::JoinHandle<T> {
        spawn(name, Box::new(body))
    }

    #[track_caller]
    fn now() -> Duration {
        if !std::thread::panicking() && one_in(JUMP) {
            CLOCK.set(CLOCK.get() + A_LONG_TIME);
        }
        let at = std::panic::Location::caller();
        trace::note(thread, "now", 0, || format!("= {:?}", CLOCK.get()), at);
        CLOCK.get()
    }

    fn yield_now() {
        if !std::thread::panicking() {
            shuttle::thread::yield_now();
        }
    }

    fn contain(foreign: impl FnOnce()) {
        thrown::contain(foreign);
    }

    fn secret() -> u64 {
        0
    }

    fn reporting() -> bool {
        std::thread::panicking()
    }
}

/// Runs `scenario`, which has `threads` threads (for the report), under `bounds.iterations`
/// schedules. Blocks until done; uses only the calling thread.
#[must_use]
pub fn check(
    scenario: impl Fn() + Clone + Send + Sync + 'static,
    threads: usize,
    bounds: ShuttleBounds,
) -> Verdict {
    SPURIOUS.set(bounds.spurious);
    let half = bounds.iterations.div_ceil(2);
    let random = || RandomScheduler::new_from_seed(bounds.seed, half);
    let pct = || PctScheduler::new_from_seed(bounds.seed, bounds.depth, half);
    let (mut executions, mut result) = run(scenario.clone(), random(), None);
    let mut scheduler = "random and PCT";
    if let Err(panic) = &result {
        scheduler = "random";
        result = Err(traced(panic, || run(scenario, random(), Some(executions))));
    } else {
        let (more, second) = run(scenario.clone(), pct(), None);
        executions += more;
        if let Err(panic) = second {
            scheduler = "PCT";
            result = Err(traced(&panic, || run(scenario, pct(), Some(more))));
            executions = more;
        }
    }
    let outcome = match result {
        Ok(()) => Outcome::Verified,
        Err(panic) if panic.message.contains("exceeded max_steps") => {
            Outcome::Truncated { by: format!("max_steps {MAX_STEPS}") }
        }
        Err(panic) => Outcome::Violated {
            violation: if panic.message.starts_with("deadlock!") {
                Violation::Deadlock
            } else {
                Violation::Panic(panic.message.clone())
            },
            counterexample: format!(
                "no deadlock, no panic: {} ({})\nscheduler {scheduler}, seed {:#x}, execution \
                 {executions}:\n{}",
                panic.message.lines().next().unwrap_or_default(),
                panic.at,
                bounds.seed,
                trace::take_steps(),
            ),
        },
    };
    Verdict {
        engine: Engine::Shuttle,
        bounds: BTreeMap::from([
            ("threads", threads.to_string()),
            ("scheduler", scheduler.to_owned()),
            ("iterations", bounds.iterations.to_string()),
            ("seed", format!("{:#x}", bounds.seed)),
            ("pct_depth", bounds.depth.to_string()),
            ("memory_model", "sequential consistency, sampled".to_owned()),
            ("spurious", spurious(bounds.spurious)),
            ("expiry", format!("one chance in {EXPIRY} at each turn of a timed wait")),
            ("clock", format!("one reading in {JUMP} finds that it has jumped")),
        ]),
        states: None,
        executions: Some(executions),
        outcome,
    }
}

fn spurious(one_in: u32) -> String {
    if one_in == 0 { "none".to_owned() } else { format!("one sleep in {one_in}") }
}

/// Repeats a failed run with its last execution recorded, and returns the panic.
fn traced(panic: &Panic, again: impl FnOnce() -> (u64, Result<(), Panic>)) -> Panic {
    let _ = again();
    panic.clone()
}

/// A scheduler that is forgotten instead of dropped: shuttle's random one prints a page to stderr
/// when it is dropped after a failure, and here failures of twins are expected.
struct Quiet<S>(ManuallyDrop<S>);

impl<S: Scheduler> Scheduler for Quiet<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        self.0.next_task(runnable, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// Runs shuttle; returns how many executions it began.
fn run<S: Scheduler + 'static>(
    scenario: impl Fn() + Send + Sync + 'static,
    scheduler: S,
    recorded: Option<u64>,
) -> (u64, Result<(), Panic>) {
    keep_our_hook_on_top();
    let executions = Arc::new(AtomicU64::new(0));
    let count = executions.clone();
    let runner = shuttle::Runner::new(Quiet(ManuallyDrop::new(scheduler)), config());
    let result = trace::catch(move || {
        runner.run(move || {
            meter::count();
            let execution = count.fetch_add(1, Relaxed) + 1;
            if recorded == Some(execution) {
                trace::tracing(true);
            }
            CLOCK.set(Duration::ZERO);
            scenario();
        });
    });
    (executions.load(Relaxed), result)
}

fn config() -> shuttle::Config {
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.max_steps = shuttle::MaxSteps::FailAfter(MAX_STEPS);
    config.silence_warnings = true;
    config.stack_size = 0x2_0000;
    config
}

/// At its first run shuttle installs a hook for the whole process, which prints; ours goes on top
/// of it.
fn keep_our_hook_on_top() {
    static FIRST_RUN: Once = Once::new();
    static HOOK: Once = Once::new();
    FIRST_RUN.call_once(|| {
        shuttle::Runner::new(RandomScheduler::new_from_seed(0, 1), config()).run(|| {});
    });
    trace::install_hook(&HOOK);
}
