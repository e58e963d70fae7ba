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

mod schedule;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::counterexample::{self, Again, Counterexample, Misfit, Request};
use crate::meter;
use crate::stepped::A_LONG_TIME;
use crate::thrown;
use crate::verdict::{Engine, Outcome, Verdict, Violation};
use blocksmith_sync::{
    Atomic, AtomicPtr, Cell, Futex, Join, Mutex, Ordering, Primitives, WaitOutcome,
};
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::MutexGuard;

use crate::atomics::{Turn, futex, integer, mutex, pointer};
use crate::recording::{self, Access, Object, Stand, Who};
use crate::trace::{self, Panic};
use schedule::{Follower, Picks, Written};

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

fn who() -> Who {
    let current = shuttle::thread::current();
    let id = current.id().into();
    let name = current.name().filter(|_| id > 0).unwrap_or("main").to_owned();
    Who { id, name }
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

integer!(ShuttleU32, shuttle::sync::atomic::AtomicU32, (), u32, order, who);
integer!(ShuttleU64, shuttle::sync::atomic::AtomicU64, (), u64, order, who);
integer!(ShuttleUsize, shuttle::sync::atomic::AtomicUsize, (), usize, order, who);
pointer!(ShuttlePtr, shuttle::sync::atomic::AtomicPtr<()>, (), order, who);
mutex!(ShuttleMutex, ShuttleGuard, shuttle::sync::Mutex<()>, MutexGuard, who);

futex!(
    ShuttleFutex,
    ShuttleU32,
    shuttle::thread,
    |word: &shuttle::sync::atomic::AtomicU32| word.load(Ordering::SeqCst),
    who
);

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
        if std::thread::panicking() || !self.fall_asleep(expected, false) {
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
        if !self.fall_asleep(expected, true) {
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
        let at = std::panic::Location::caller();
        recording::stand(who, Stand::Joins(self.0.thread().id().into()), at);
        let result = self.0.join();
        recording::stand(who, Stand::Runs, at);
        result
    }
}

/// Starts a thread. The body is boxed so that shuttle's code is compiled once for each `T`, not for
/// each closure.
#[track_caller]
fn spawn<T: Send + 'static>(name: &str, body: Box<dyn FnOnce() -> T + Send>) -> ShuttleJoin<T> {
    let at = std::panic::Location::caller();
    recording::note(who, "spawn", None, || Access::of(name), at);
    let body = move || {
        recording::stand(who, Stand::Runs, at);
        let result = body();
        recording::stand(who, Stand::Ended, at);
        result
    };
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
        let access = || Access::of("").result(format_args!("= {:?}", CLOCK.get()));
        recording::note(who, "now", None, access, at);
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

    fn counts_wrap() -> bool {
        false
    }

    fn secret() -> u64 {
        0
    }

    fn reporting() -> bool {
        std::thread::panicking()
    }
}

/// A scenario, shared by the executions.
type Body = Arc<dyn Fn() + Send + Sync>;

/// Runs `scenario`, which has `threads` threads (for the report), under `bounds.iterations`
/// schedules. A counterexample is also kept as data ([`counterexample::take`]). Blocks until done;
/// uses only the calling thread.
#[must_use]
pub fn check(
    scenario: impl Fn() + Clone + Send + Sync + 'static,
    threads: usize,
    bounds: ShuttleBounds,
) -> Verdict {
    SPURIOUS.set(bounds.spurious);
    let scenario: Body = Arc::new(scenario);
    let (number, request) = counterexample::begin(Engine::Shuttle);
    match request {
        Some(request) => {
            let answer = again(&scenario, &request);
            request.answer(answer);
            let outcome = Outcome::Truncated { by: "one recorded schedule".to_owned() };
            verdict(threads, bounds, "recorded", 1, outcome)
        }
        None => search(&scenario, threads, bounds, number),
    }
}

/// Runs a scenario under many schedules, in the check's run of this number.
fn search(scenario: &Body, threads: usize, bounds: ShuttleBounds, number: usize) -> Verdict {
    let half = bounds.iterations.div_ceil(2);
    let random = || Written::new(RandomScheduler::new_from_seed(bounds.seed, half));
    let pct = || Written::new(PctScheduler::new_from_seed(bounds.seed, bounds.depth, half));
    let (mut executions, mut result) = run(scenario, random(), None);
    let mut scheduler = "random and PCT";
    if result.is_err() {
        scheduler = "random";
        let _ = run(scenario, random(), Some(executions));
    } else {
        let (more, second) = run(scenario, pct(), None);
        executions += more;
        if second.is_err() {
            scheduler = "PCT";
            let _ = run(scenario, pct(), Some(more));
            (executions, result) = (more, second);
        }
    }
    let outcome = match result {
        Ok(()) => Outcome::Verified,
        Err(panic) => match violation(&panic) {
            None => Outcome::Truncated { by: format!("max_steps {MAX_STEPS}") },
            Some(violation) => {
                let found = Counterexample { run: number, ..recorded(&violation) };
                let counterexample = format!(
                    "no deadlock, no panic: {} ({})\nscheduler {scheduler}, seed {:#x}, execution \
                     {executions}:\n{}",
                    panic.message.lines().next().unwrap_or_default(),
                    panic.at,
                    bounds.seed,
                    counterexample::listing(&found),
                );
                counterexample::keep(found);
                Outcome::Violated { violation, counterexample }
            }
        },
    };
    recording::forget();
    verdict(threads, bounds, scheduler, executions, outcome)
}

fn verdict(
    threads: usize,
    bounds: ShuttleBounds,
    scheduler: &str,
    executions: u64,
    outcome: Outcome,
) -> Verdict {
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

/// Returns what a panic reports; `None` if an execution was too long.
fn violation(panic: &Panic) -> Option<Violation> {
    if panic.message.contains("exceeded max_steps") {
        None
    } else if panic.message.starts_with("deadlock!") {
        Some(Violation::Deadlock)
    } else {
        Some(Violation::Panic(panic.message.clone()))
    }
}

const SAMPLED: &str = "The first of a sample that fails: smaller ones may exist.";
const SHRUNK: &str =
    "No turns in a row can go, or be taken earlier, without the violation's going.";

/// Returns the execution that has just been recorded.
fn recorded(violation: &Violation) -> Counterexample {
    let found = recording::take(Engine::Shuttle, violation, SAMPLED);
    Counterexample { start: schedule::last().0.text(), ..found }
}

/// Makes recorded choices. Returns what the execution shows, whether a choice did not fit, and what
/// is violated.
fn follow(
    scenario: &Body,
    picks: Picks,
    is_strict: bool,
) -> (Counterexample, bool, Option<Violation>) {
    let scheduler = Written::new(Follower::new(picks, is_strict));
    let (_, result) = run(scenario, scheduler, Some(1));
    let violation = result.err().and_then(|panic| violation(&panic));
    let (picks, misfits) = schedule::last();
    let shown = violation.clone().unwrap_or(Violation::Deadlock);
    let found = recording::take(Engine::Shuttle, &shown, SAMPLED);
    (Counterexample { start: picks.text(), ..found }, misfits, violation)
}

/// Follows a recorded execution, and makes it smaller if that is asked for.
fn again(scenario: &Body, request: &Request) -> Result<Counterexample, Misfit> {
    let recorded = &request.recorded;
    let picks = Picks::read(&recorded.start, MAX_STEPS).ok_or(Misfit::Choice(0))?;
    let (found, misfits, violation) = follow(scenario, picks.clone(), true);
    counterexample::compare(recorded, &found, misfits)?;
    let violation = violation.ok_or(Misfit::Holds)?;
    counterexample::compare_ends(recorded, &found)?;
    match request.how {
        Again::Replay => Ok(found),
        Again::Threads => Err(counterexample::NO_THREADS),
        Again::Shrink => Ok(shrink(scenario, picks, found, &violation)),
    }
}

/// The most executions that a shrink tries.
const MAX_TRIES: usize = 4_000;

/// Leaves turns out and takes turns earlier, as long as the same is violated and fewer steps are
/// left, or as many with fewer switches.
fn shrink(
    scenario: &Body,
    mut picks: Picks,
    mut best: Counterexample,
    violation: &Violation,
) -> Counterexample {
    let size = |picks: &Picks, found: &Counterexample| (found.steps.len(), picks.switches());
    let mut tries = 0;
    loop {
        let mut smaller = picks.smaller().take(MAX_TRIES - tries);
        let better = smaller.find_map(|candidate| {
            tries += 1;
            let (found, _, violated) = follow(scenario, candidate, false);
            let picks_then = Picks::read(&found.start, MAX_STEPS)?;
            let is_smaller = size(&picks_then, &found) < size(&picks, &best);
            (violated.as_ref() == Some(violation) && is_smaller).then_some((picks_then, found))
        });
        drop(smaller);
        match better {
            Some(better) => (picks, best) = better,
            None => return Counterexample { search: SHRUNK.to_owned(), ..best },
        }
    }
}

/// Runs shuttle; returns how many executions it began. Records the execution of that number.
fn run(scenario: &Body, scheduler: Written, recorded: Option<u64>) -> (u64, Result<(), Panic>) {
    keep_our_hook_on_top();
    let executions = Arc::new(AtomicU64::new(0));
    let count = executions.clone();
    let scenario = scenario.clone();
    let runner = shuttle::Runner::new(scheduler, config());
    let result = trace::catch(move || {
        runner.run(move || {
            meter::count();
            let execution = count.fetch_add(1, Relaxed) + 1;
            if recorded == Some(execution) {
                recording::begin();
            }
            CLOCK.set(Duration::ZERO);
            scenario();
            recording::stand(who, Stand::Ended, std::panic::Location::caller());
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
