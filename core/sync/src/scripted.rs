//! A backend for unit tests: the primitives of [`Std`], except that a test decides what happens
//! where [`Std`] asks the machine, and sees what a channel asks of its backend.
//!
//! The script belongs to the thread that runs the test. Only what a futex counts is shared, for
//! tests that put other threads to sleep.

use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use crate::Std;
use crate::notifier::EventNotifier;
use crate::primitives::{Atomic, Futex, Ordering, Primitives, WaitOutcome};

/// The primitives; see the module documentation.
pub(crate) struct Scripted;

type Step = Box<dyn FnOnce()>;

/// What a test decides, and what it sees.
#[derive(Default)]
pub(crate) struct Script {
    /// Whether waiters look before they sleep.
    pub(crate) looks: Cell<bool>,
    /// How many steps aside are short from now on; the one after them is not taken.
    pub(crate) short_steps: Cell<u32>,
    /// Whether the backend reports a violation.
    pub(crate) reports: Cell<bool>,
    /// What happens while this thread yields the next time.
    pub(crate) at_yield: Cell<Option<Step>>,
    /// What happens during the next timed wait of this thread, which then says that its time is up.
    pub(crate) at_timed_wait: Cell<Option<Step>>,
    /// Accesses to cells: to read, and to write.
    pub(crate) accesses: Cell<(u32, u32)>,
    /// Cells that have been made and not dropped.
    pub(crate) cells: Cell<i64>,
}

thread_local! {
    static SCRIPT: Script = Script::default();
}

/// Calls `with` with this thread's script.
pub(crate) fn script<R>(with: impl FnOnce(&Script) -> R) -> R {
    SCRIPT.with(with)
}

/// Counts the calls to `wake`, tells when a thread goes to sleep, and lets it return only while
/// nobody holds `gate`.
pub(crate) struct ScriptedFutex {
    word: AtomicU32,
    pub(crate) wakes: AtomicU32,
    pub(crate) sleeps: AtomicU32,
    slept: EventNotifier<Std>,
    pub(crate) gate: std::sync::Mutex<()>,
}

impl ScriptedFutex {
    /// Waits until threads have gone to sleep on this word at least that many times.
    pub(crate) fn until_asleep(&self, times: u32) {
        // ORDERING: none needed; a figure, published before its notification.
        self.slept.wait_until(|| (self.sleeps.load(Relaxed) >= times).then_some(()));
    }
}

// SAFETY: the word of std, operation by operation.
unsafe impl Atomic<u32> for ScriptedFutex {
    fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
            wakes: AtomicU32::new(0),
            sleeps: AtomicU32::new(0),
            slept: EventNotifier::new(),
            gate: std::sync::Mutex::new(()),
        }
    }
    fn load(&self, order: Ordering) -> u32 {
        self.word.load(order)
    }
    fn store(&self, value: u32, order: Ordering) {
        self.word.store(value, order);
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.word.swap(value, order)
    }
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_add(value, order)
    }
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_sub(value, order)
    }
    fn fetch_max(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_max(value, order)
    }
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.word.compare_exchange(current, new, success, failure)
    }
}

// SAFETY: as above.
unsafe impl Futex for ScriptedFutex {
    fn wait(&self, expected: u32) {
        // ORDERING: none needed; as in `until_asleep`.
        self.sleeps.fetch_add(1, Relaxed);
        self.slept.notify_all();
        self.word.wait(expected);
        drop(self.gate.lock());
    }
    fn wait_timeout(&self, expected: u32, timeout: Duration) -> WaitOutcome {
        match script(|script| script.at_timed_wait.take()) {
            Some(step) => {
                step();
                WaitOutcome::TimedOut
            }
            None => self.word.wait_timeout(expected, timeout),
        }
    }
    fn wake(&self, count: u32) {
        // ORDERING: none needed; a figure.
        self.wakes.fetch_add(1, Relaxed);
        self.word.wake(count);
    }
}

/// The cell of std; its accesses, and how many there are, are counted.
pub(crate) struct ScriptedCell<T>(UnsafeCell<T>);

// SAFETY: the pointer is that of std's cell, which is valid for as long as the cell lives.
unsafe impl<T> crate::primitives::Cell<T> for ScriptedCell<T> {
    fn new(value: T) -> Self {
        script(|script| script.cells.set(script.cells.get() + 1));
        Self(UnsafeCell::new(value))
    }
    fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        script(|script| script.accesses.update(|(reads, writes)| (reads + 1, writes)));
        read(self.0.get())
    }
    fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        script(|script| script.accesses.update(|(reads, writes)| (reads, writes + 1)));
        write(self.0.get())
    }
}

impl<T> Drop for ScriptedCell<T> {
    fn drop(&mut self) {
        script(|script| script.cells.set(script.cells.get() - 1));
    }
}

// SAFETY: those of `Std`, and the word and the cell above. `reporting` is what a test says, and
// destructors then leak.
unsafe impl Primitives for Scripted {
    type AtomicU32 = <Std as Primitives>::AtomicU32;
    type AtomicU64 = <Std as Primitives>::AtomicU64;
    type AtomicUsize = <Std as Primitives>::AtomicUsize;
    type AtomicPtr<T> = <Std as Primitives>::AtomicPtr<T>;
    type Futex = ScriptedFutex;
    type Cell<T> = ScriptedCell<T>;
    type Mutex<T: Send> = <Std as Primitives>::Mutex<T>;
    type Arc<T: Send + Sync> = <Std as Primitives>::Arc<T>;
    type JoinHandle<T: Send + 'static> = <Std as Primitives>::JoinHandle<T>;

    fn fence(order: Ordering) {
        Std::fence(order);
    }
    fn arc<T: Send + Sync>(value: T) -> Self::Arc<T> {
        Std::arc(value)
    }
    fn spawn<T: Send + 'static>(
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Self::JoinHandle<T> {
        Std::spawn(name, body)
    }
    fn now() -> Duration {
        Std::now()
    }
    fn yield_now() {
        match script(|script| script.at_yield.take()) {
            Some(step) => step(),
            None => Std::yield_now(),
        }
    }
    fn looks() -> bool {
        script(|script| script.looks.get())
    }
    fn step_aside() -> bool {
        script(|script| {
            let left = script.short_steps.get();
            script.short_steps.set(left.saturating_sub(1));
            left > 0
        })
    }
    fn reporting() -> bool {
        script(|script| script.reports.get())
    }
}

/// Runs `test` while the backend reports a violation. What the test drops is leaked.
pub(crate) fn while_reporting(test: impl FnOnce()) {
    script(|script| script.reports.set(true));
    test();
    script(|script| script.reports.set(false));
}

/// Returns a waker and the number of its wake-ups.
pub(crate) fn counting_waker() -> (std::sync::Arc<Wakes>, core::task::Waker) {
    let wakes = std::sync::Arc::new(Wakes::default());
    (wakes.clone(), wakes.into())
}

/// Polls a future with `waker`, and forgets it while it is pending: its entry stays in the list.
pub(crate) fn forget_pending<F: Future>(future: F, waker: &core::task::Waker) {
    let mut future = Box::pin(future);
    assert!(future.as_mut().poll(&mut core::task::Context::from_waker(waker)).is_pending());
    core::mem::forget(future);
}

/// Counts the wake-ups of a waker.
#[derive(Default)]
pub(crate) struct Wakes(AtomicU32);

impl Wakes {
    pub(crate) fn get(&self) -> u32 {
        // ORDERING: none needed; a figure.
        self.0.load(Relaxed)
    }
}

impl std::task::Wake for Wakes {
    fn wake(self: std::sync::Arc<Self>) {
        // ORDERING: none needed; a figure.
        self.0.fetch_add(1, Relaxed);
    }
}
