//! `Loom`: the primitives under loom's C11 memory model, and the runner that explores a scenario
//! with it.
//!
//! **Contract.** [`check`] runs every execution of a scenario within the bounds. Executions differ
//! in which thread goes next, and in which of the values that the memory model allows a load
//! returns. All executions with fewer than `preemptions` switches away from a thread that could go
//! on are run, and some with exactly that many: once its bound is reached loom makes no choice at
//! all, even where a thread has ended. It reports deadlocks, data races on cells, failed assertions
//! and leaked shared objects.
//!
//! | what | here |
//! |---|---|
//! | accesses | a store to a hidden atomic beside it precedes each access. loom remembers only the last access to an atomic: a load by the writer itself would hide an earlier load by another thread, and the order in which the write comes first would not be tried (loom's issues 166 and 392; the `engine` twins) |
//! | fence | loom's own fence is no scheduling point of its own but sticks to the previous operation; a relaxed store to a hidden atomic before it makes it one |
//! | futex wait | a relaxed read-modify-write compares (it reads the latest value, as a kernel does), then comes `park`; there is no lock, whose further happens-before edges would hide weak behaviour |
//! | what a wake orders | what precedes the wake happens before the return of the wait that it ends, as the contract of [`Futex`] promises: loom's `unpark` is such an edge. A wait that finds another word, or that expires, orders nothing |
//! | which sleeper a wake takes | the longest sleeper |
//! | timed wait | there is a scheduling point between falling asleep and expiry: whether a wake comes first is the scheduler's choice |
//! | spurious wake-ups | at most one in an execution, if [`LoomBounds::spurious`] allows: everything is explored again with the first sleep of each execution ending spuriously, then with the second, and so on |
//! | time | it passes when a timed wait expires; in addition a long time may pass at once, between any two operations: everything is explored again with the clock jumping at the first reading of an execution, then at the second, and so on, as far as [`LoomBounds::jumps`] allows |
//! | `SeqCst` accesses | refused, because loom treats them as acquire-release |
//!
//! The engine does not see load buffering (a load that returns what a later store of its own thread
//! led to), more than four spawned threads, or more than seven stores of history per atomic.

mod bounds;
mod stack;

use std::any::Any;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::counterexample::{self, Again, Counterexample, Misfit};
use crate::meter;
use crate::stepped::A_LONG_TIME;
use crate::thrown;
use crate::verdict::{Engine, Outcome, Verdict, Violation};
use blocksmith_sync::{
    Atomic, AtomicPtr, Cell, Futex, Join, Mutex, Ordering, Primitives, WaitOutcome,
};
use loom::sync::MutexGuard;

use crate::atomics::{Turn, futex, integer, mutex, pointer};
use crate::recording::{self, Access, Object, Stand, Who};
use crate::trace::{self, Panic};

use bounds::{Clock, Preemptions};
pub use bounds::{LoomBounds, merge_bounds};

/// Words of a thread's stack, four times what loom gives it: services have deep calls.
const STACK: usize = 0x4000;

/// The backend; see the module documentation.
#[derive(Clone, Copy, Debug)]
pub struct Loom;

fn order(order: Ordering) -> Ordering {
    assert_ne!(order, Ordering::SeqCst, "SeqCst is for fences: loom cannot judge such an access");
    order
}

fn who() -> Who {
    let current = loom::thread::current();
    let name = current.name().map_or_else(|| "main".to_owned(), str::to_owned);
    Who { id: number(current.id()), name }
}

/// Returns a thread's number. loom tells it in the text of its id alone.
fn number(id: loom::thread::ThreadId) -> usize {
    let digits = format!("{id:?}");
    digits.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(usize::MAX)
}

thread_local! {
    /// Sleeps of the execution so far, and which of them ends spuriously (0 means none).
    static SLEEPS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    static SPURIOUS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    /// The clock, how often the execution has read it so far, and at which reading it jumps (0
    /// means none).
    static CLOCK: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
    static READINGS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    static JUMP: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    /// The largest number of readings in one execution so far.
    static MOST_READINGS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Resets the state of an execution to what it is at the beginning.
fn begin_execution() {
    SLEEPS.set(0);
    CLOCK.set(Duration::ZERO);
    READINGS.set(0);
}

/// A hidden atomic to which a store is made before each access to its own atomic; see "accesses"
/// above.
struct LoomTurn(loom::sync::atomic::AtomicU32);

impl Turn for LoomTurn {
    fn new() -> Self {
        Self(loom::sync::atomic::AtomicU32::new(0))
    }
    fn take(&self) {
        self.0.store(0, Relaxed);
    }
}

integer!(LoomU32, loom::sync::atomic::AtomicU32, LoomTurn, u32, order, who);
integer!(LoomU64, loom::sync::atomic::AtomicU64, LoomTurn, u64, order, who);
integer!(LoomUsize, loom::sync::atomic::AtomicUsize, LoomTurn, usize, order, who);
pointer!(LoomPtr, loom::sync::atomic::AtomicPtr<()>, LoomTurn, order, who);
mutex!(LoomMutex, LoomGuard, loom::sync::Mutex<()>, MutexGuard, who);

// The comparison is a read-modify-write: it reads the latest value, as a kernel does.
futex!(
    LoomFutex,
    LoomU32,
    loom::thread,
    |word: &loom::sync::atomic::AtomicU32| word.fetch_add(0, Relaxed),
    who
);

impl LoomFutex {
    /// Ends a sleep that no waker has to end; returns whether one has ended it all the same.
    fn end_sleep(&self) -> bool {
        self.latest(); // the scheduling point at which wakers and the end race
        if self.leave() {
            return false;
        }
        loom::thread::park(); // takes the token that the waker has left
        true
    }
}

// SAFETY: the word is the checker's atomic.
unsafe impl Futex for LoomFutex {
    #[track_caller]
    fn wait(&self, expected: u32) {
        if std::thread::panicking() || !self.fall_asleep(expected, false) {
            return;
        }
        SLEEPS.set(SLEEPS.get() + 1);
        if SLEEPS.get() == SPURIOUS.get() {
            self.ended(self.end_sleep(), "woken for nothing");
        } else {
            loom::thread::park();
            self.ended(true, "");
        }
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
        let outcome = self.ended(self.end_sleep(), "expired");
        if outcome == WaitOutcome::TimedOut {
            CLOCK.set(CLOCK.get().max(deadline));
        }
        outcome
    }

    #[track_caller]
    fn wake(&self, count: u32) {
        if !std::thread::panicking() {
            self.wake_some(count, |_| 0);
        }
    }
}

/// Plain memory whose accesses loom checks for races.
pub struct LoomCell<T> {
    accesses: loom::cell::UnsafeCell<()>,
    content: std::cell::UnsafeCell<T>,
}

impl<T> LoomCell<T> {
    /// Is recorded before the access, in which a race is reported.
    #[track_caller]
    fn step(&self, operation: &'static str) {
        let at = std::panic::Location::caller();
        let object = Object("cell", std::ptr::from_ref(&self.accesses) as usize);
        recording::note(who, operation, Some(object), || Access::of(""), at);
    }
}

// SAFETY: the pointer is that of std's cell.
unsafe impl<T> Cell<T> for LoomCell<T> {
    fn new(value: T) -> Self {
        Self { accesses: loom::cell::UnsafeCell::new(()), content: value.into() }
    }
    #[track_caller]
    fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        if std::thread::panicking() {
            return read(self.content.get());
        }
        self.step("read");
        let _access = self.accesses.get();
        read(self.content.get())
    }
    #[track_caller]
    fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        if std::thread::panicking() {
            return write(self.content.get());
        }
        self.step("write");
        let _access = self.accesses.get_mut();
        write(self.content.get())
    }
}

/// Shared ownership; loom checks that nothing is leaked and that the last drop sees all others.
/// loom counts the owners of an empty value: no other thread runs between its count and that of the
/// actual value.
pub struct LoomArc<T> {
    owners: ManuallyDrop<loom::sync::Arc<()>>,
    value: ManuallyDrop<std::sync::Arc<T>>,
}

impl<T> Clone for LoomArc<T> {
    fn clone(&self) -> Self {
        Self { owners: self.owners.clone(), value: self.value.clone() }
    }
}

impl<T> Deref for LoomArc<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for LoomArc<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: both are dropped here and nowhere else. The owners are dropped first: the
            // last drop of loom's count orders the others before the drop of the value.
            unsafe {
                ManuallyDrop::drop(&mut self.owners);
                ManuallyDrop::drop(&mut self.value);
            }
        }
    }
}

/// A thread of the scenario.
pub struct LoomJoin<T>(loom::thread::JoinHandle<T>);

impl<T: Send + 'static> Join<T> for LoomJoin<T> {
    #[track_caller]
    fn join(self) -> Result<T, Box<dyn Any + Send>> {
        if std::thread::panicking() {
            return Err(Box::new("the checker is reporting"));
        }
        let at = std::panic::Location::caller();
        recording::stand(who, Stand::Joins(number(self.0.thread().id())), at);
        let result = self.0.join();
        recording::stand(who, Stand::Runs, at);
        result
    }
}

// SAFETY: the handle is used by the coroutines of one operating system thread.
unsafe impl<T: Send> Send for LoomJoin<T> {}

loom::lazy_static! {
    static ref FENCES: loom::sync::atomic::AtomicU32 = loom::sync::atomic::AtomicU32::new(0);
}

/// Starts a thread. The body is boxed so that loom's code is compiled once for each `T`, not for
/// each closure.
#[track_caller]
fn spawn<T: Send + 'static>(name: &str, body: Box<dyn FnOnce() -> T + Send>) -> LoomJoin<T> {
    let at = std::panic::Location::caller();
    recording::note(who, "spawn", None, || Access::of(name), at);
    let body = move || {
        recording::stand(who, Stand::Runs, at);
        let result = body();
        recording::stand(who, Stand::Ended, at);
        result
    };
    let spawned = loom::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(body);
    LoomJoin(spawned.unwrap_or_else(|error| panic!("no thread for {name}: {error}")))
}

// SAFETY: these are the checker's fence, threads and counts of owners.
unsafe impl Primitives for Loom {
    type AtomicU32 = LoomU32;
    type AtomicU64 = LoomU64;
    type AtomicUsize = LoomUsize;
    type AtomicPtr<T> = LoomPtr<T>;
    type Futex = LoomFutex;
    type Cell<T> = LoomCell<T>;
    type Mutex<T: Send> = LoomMutex<T>;
    type Arc<T: Send + Sync> = LoomArc<T>;
    type JoinHandle<T: Send + 'static> = LoomJoin<T>;

    #[track_caller]
    fn fence(order: Ordering) {
        if std::thread::panicking() {
            return;
        }
        if order == Ordering::SeqCst {
            FENCES.store(0, Relaxed);
        }
        loom::sync::atomic::fence(order);
        let at = std::panic::Location::caller();
        recording::note(who, "fence", None, || Access::of(format_args!("{order:?}")), at);
    }

    fn arc<T: Send + Sync>(value: T) -> Self::Arc<T> {
        LoomArc {
            owners: ManuallyDrop::new(loom::sync::Arc::new(())),
            value: ManuallyDrop::new(std::sync::Arc::new(value)),
        }
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
        if std::thread::panicking() {
            return CLOCK.get();
        }
        READINGS.set(READINGS.get() + 1);
        if READINGS.get() == JUMP.get() {
            CLOCK.set(CLOCK.get() + A_LONG_TIME);
        }
        MOST_READINGS.set(MOST_READINGS.get().max(READINGS.get()));
        let at = std::panic::Location::caller();
        let access = || Access::of("").result(format_args!("= {:?}", CLOCK.get()));
        recording::note(who, "now", None, access, at);
        CLOCK.get()
    }

    #[track_caller]
    fn yield_now() {
        if !std::thread::panicking() {
            loom::thread::yield_now();
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
type Body = std::sync::Arc<dyn Fn() + Send + Sync>;

/// Explores `scenario`, which has `threads` threads (for the report), within `bounds`. A
/// counterexample is also kept as data ([`counterexample::take`]). Blocks until done; uses only the
/// calling thread.
#[must_use]
pub fn check(
    scenario: impl Fn() + Clone + Send + Sync + 'static,
    threads: usize,
    bounds: LoomBounds,
) -> Verdict {
    let scenario: Body = std::sync::Arc::new(scenario);
    let (number, request) = counterexample::begin(Engine::Loom);
    let (verdict, found) = search(&scenario, threads, bounds);
    let Some(request) = request else {
        if let Some(found) = found {
            counterexample::keep(Counterexample { run: number, ..found });
        }
        return verdict;
    };
    let answer = found.ok_or(Misfit::Holds).and_then(|found| {
        counterexample::compare(&request.recorded, &found, false)?;
        counterexample::compare_ends(&request.recorded, &found)?;
        match request.how {
            Again::Replay => Ok(found),
            Again::Threads => Err(counterexample::NO_THREADS),
            Again::Shrink => Ok(with_fewest_preemptions(&scenario, threads, bounds, found)),
        }
    });
    request.answer(answer);
    verdict
}

const FIRST: &str = "The first that fails, in the order in which loom explores.";
const FEWEST: &str = "The first that fails with the fewest preemptions.";

/// Explores with a smaller bound on preemptions, beginning with none, until the same is violated.
fn with_fewest_preemptions(
    scenario: &Body,
    threads: usize,
    bounds: LoomBounds,
    found: Counterexample,
) -> Counterexample {
    for fewer in 0..bounds.preemptions.unwrap_or(MOST_PREEMPTIONS) {
        let preemptions = Some(fewer);
        let bounds = LoomBounds { preemptions, spurious_preemptions: preemptions, ..bounds };
        let same = |it: &Counterexample| it.violation == found.violation;
        if let Some(smaller) = search(scenario, threads, bounds).1.filter(same) {
            return Counterexample { search: FEWEST.to_owned(), ..smaller };
        }
    }
    Counterexample { search: FEWEST.to_owned(), ..found }
}

/// The largest bound on preemptions that a shrink tries where the check has none.
const MOST_PREEMPTIONS: usize = 4;

/// Explores a scenario. Returns the verdict, and the counterexample as data.
fn search(
    scenario: &Body,
    threads: usize,
    bounds: LoomBounds,
) -> (Verdict, Option<Counterexample>) {
    let start = Instant::now();
    let (mut executions, mut result) = (0, Ok(()));
    MOST_READINGS.set(0);
    // First undisturbed, then with one sleep that ends spuriously, then with one jump of the clock.
    let sleeps = (0..=bounds.spurious).map(|sleep| (sleep, 0));
    for (spurious, jump) in sleeps.chain((1..=bounds.jumps).map(|reading| (0, reading))) {
        if jump > MOST_READINGS.get() {
            break;
        }
        SPURIOUS.set(spurious);
        JUMP.set(jump);
        let restless = LoomBounds { preemptions: bounds.spurious_preemptions, ..bounds };
        let bounds = if (spurious, jump) == (0, 0) { bounds } else { restless };
        let more;
        (more, result) = explore(scenario, bounds, None);
        executions += more;
        if result.is_err() {
            // The same executions again, in the same order; this time the last one is recorded.
            let _ = explore(scenario, bounds, Some(more));
            break;
        }
    }
    SPURIOUS.set(0);
    JUMP.set(0);
    let mut found = None;
    let outcome = match result {
        Ok(()) if start.elapsed().as_secs() >= bounds.max_seconds => {
            Outcome::Truncated { by: format!("max_seconds {}", bounds.max_seconds) }
        }
        Ok(()) => Outcome::Verified,
        Err(panic) if panic.message.contains("maximum number of branches") => {
            Outcome::Truncated { by: format!("max_branches {}", bounds.max_branches) }
        }
        Err(panic) => {
            let (violation, property) = violated(&panic);
            let written = recording::take(Engine::Loom, &violation, FIRST);
            let steps = counterexample::listing(&written);
            found = Some(written);
            let counterexample = format!("{property}\nin execution {executions}:\n{steps}");
            Outcome::Violated { violation, counterexample }
        }
    };
    recording::forget();
    (verdict(threads, bounds, executions, outcome), found)
}

fn verdict(threads: usize, bounds: LoomBounds, executions: u64, outcome: Outcome) -> Verdict {
    let words = |preemptions| Preemptions::from(preemptions).to_string();
    let spurious = match bounds.spurious {
        0 => "none".to_owned(),
        sleeps => format!(
            "at most 1, of the first {sleeps} sleeps; preemptions then: {}",
            words(bounds.spurious_preemptions)
        ),
    };
    Verdict {
        engine: Engine::Loom,
        bounds: BTreeMap::from([
            ("threads", threads.to_string()),
            ("preemptions", words(bounds.preemptions)),
            ("history", "7 stores per atomic".to_owned()),
            ("memory_model", "C11 without load buffering".to_owned()),
            ("wake_order", "longest sleeper first".to_owned()),
            ("wake_memory", "a wake orders memory".to_owned()),
            ("spurious", spurious),
            ("expiry", "at any moment of a timed wait".to_owned()),
            ("clock", clock(bounds).to_string()),
        ]),
        states: None,
        executions: Some(executions),
        outcome,
    }
}

/// Returns what the clock did.
fn clock(bounds: LoomBounds) -> Clock {
    match (MOST_READINGS.get(), bounds.jumps) {
        (0, _) => Clock::NeverRead,
        (_, 0) => Clock::Expires,
        (readings, jumps) => Clock::Jumps {
            readings: readings.min(jumps),
            preemptions: bounds.spurious_preemptions.into(),
        },
    }
}

/// Runs loom; returns how many executions it began. `traced` is the execution to record.
fn explore(scenario: &Body, bounds: LoomBounds, traced: Option<u64>) -> (u64, Result<(), Panic>) {
    let executions = std::sync::Arc::new(AtomicU64::new(0));
    let count = executions.clone();
    let scenario = scenario.clone();
    let mut builder = loom::model::Builder::new();
    builder.max_threads = loom::MAX_THREADS;
    builder.preemption_bound = bounds.preemptions;
    builder.max_branches = bounds.max_branches;
    builder.max_duration = Some(Duration::from_secs(bounds.max_seconds));
    builder.checkpoint_interval = 1_000; // also how often loom looks at the clock
    builder.max_permutations = None;
    builder.checkpoint_file = None;
    builder.location = false;
    builder.log = false;
    let result = trace::catch(move || {
        builder.check(move || {
            // Made now, because a lazily made static would itself be a synchronisation edge.
            let _ = &*FENCES;
            begin_execution();
            meter::count();
            let execution = count.fetch_add(1, Relaxed) + 1;
            if traced == Some(execution) {
                recording::begin();
            }
            stack::on_own_stack(|| scenario());
            recording::stand(who, Stand::Ended, std::panic::Location::caller());
        });
    });
    (executions.load(Relaxed), result)
}

/// Returns the property that loom's panic reports, and that property in words.
fn violated(panic: &Panic) -> (Violation, String) {
    let message = panic.message.trim_start();
    let words = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let leaked = ["Allocation leaked.", "Arc leaked.", "Messages leaked."];
    if message.starts_with("deadlock; threads") {
        let property = "no deadlock: every thread that is left sleeps for ever".to_owned();
        (Violation::Deadlock, property)
    } else if message.starts_with("Causality violation") {
        (Violation::DataRace, format!("no data race: {words}"))
    } else if leaked.iter().any(|kind| message.starts_with(kind)) {
        (Violation::Leak, format!("nothing is leaked: {words}"))
    } else {
        let line = message.lines().next().unwrap_or_default();
        (Violation::Panic(message.to_owned()), format!("no panic: {line} ({})", panic.at))
    }
}
