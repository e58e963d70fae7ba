//! The production backend: std's atomics, mutex and threads, and on Linux the futex.
//!
//! | system | a thread sleeps by |
//! |---|---|
//! | Linux, Android | the futex (`linux`); the benches measure this one |
//! | any other with std: macOS, Windows, .. | a table of std's locks and condition variables (`parked`); its unit tests run on Linux, too |
//!
//! The associated types are std's own, without wrappers, and every function is inlined: generic
//! code instantiated with [`Std`] compiles to what one would write by hand against std.

use core::any::Any;
use core::cell::UnsafeCell;
use core::sync::atomic::{self, AtomicU64};
use core::time::Duration;
use std::sync::OnceLock;
use std::time::Instant;

use crate::primitives::{
    Atomic, AtomicPtr, Cell, Futex, Join, Mutex, Ordering, Primitives, WaitOutcome,
};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
mod parked;

#[cfg(any(target_os = "linux", target_os = "android"))]
use linux as futex;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use parked as futex;

/// In microseconds; see [`Yields`].
const LONG_YIELD: u64 = 300;
const SHORTEST_WHILE: u64 = 10_000;
const LONGEST_WHILE: u64 = 1_000_000;

/// What yields have cost, and when they are to be tried again, both in microseconds.
///
/// On a core with busy threads a yield lasts for one or more of their time slices, which are
/// between some 100 microseconds and some milliseconds.
struct Yields {
    again: AtomicU64,
    /// How long the last pause was; 0 if the last yield was short.
    pause: AtomicU64,
}

static YIELDS: Yields = Yields::new();

// ORDERING: none needed in this block: both are figures, of which nothing is concluded but whether
// to yield.
impl Yields {
    const fn new() -> Self {
        Self { again: AtomicU64::new(0), pause: AtomicU64::new(0) }
    }

    /// Returns whether a thread may yield at this time.
    fn are_due(&self, now: u64) -> bool {
        // ORDERING: as above.
        now >= self.again.load(Ordering::Relaxed)
    }

    /// Records how long a yield took.
    fn note(&self, before: u64, after: u64) {
        // ORDERING: as above.
        let last = self.pause.load(Ordering::Relaxed);
        if after - before >= LONG_YIELD {
            let next = (2 * last).clamp(SHORTEST_WHILE, LONGEST_WHILE);
            self.pause.store(next, Ordering::Relaxed);
            self.again.store(after + next, Ordering::Relaxed);
        } else if last != 0 {
            // ORDERING: as above.
            self.pause.store(0, Ordering::Relaxed);
        }
    }
}

/// The primitives of std and, where there is one, of the futex.
#[derive(Clone, Copy, Debug)]
pub struct Std;

macro_rules! atomic_integer {
    ($atomic:ty, $value:ty) => {
        // SAFETY: std's atomic, operation by operation.
        unsafe impl Atomic<$value> for $atomic {
            #[inline(always)]
            fn new(value: $value) -> Self {
                <$atomic>::new(value)
            }
            #[inline(always)]
            fn load(&self, order: Ordering) -> $value {
                <$atomic>::load(self, order)
            }
            #[inline(always)]
            fn store(&self, value: $value, order: Ordering) {
                <$atomic>::store(self, value, order);
            }
            #[inline(always)]
            fn swap(&self, value: $value, order: Ordering) -> $value {
                <$atomic>::swap(self, value, order)
            }
            #[inline(always)]
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                <$atomic>::fetch_add(self, value, order)
            }
            #[inline(always)]
            fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                <$atomic>::fetch_sub(self, value, order)
            }
            #[inline(always)]
            fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                <$atomic>::fetch_max(self, value, order)
            }
            #[inline(always)]
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                <$atomic>::compare_exchange(self, current, new, success, failure)
            }
        }
    };
}

atomic_integer!(atomic::AtomicU32, u32);
atomic_integer!(AtomicU64, u64);
atomic_integer!(atomic::AtomicUsize, usize);

// SAFETY: std's atomic pointer, operation by operation.
unsafe impl<T> AtomicPtr<T> for atomic::AtomicPtr<T> {
    #[inline(always)]
    fn new(pointer: *mut T) -> Self {
        Self::new(pointer)
    }
    #[inline(always)]
    fn load(&self, order: Ordering) -> *mut T {
        self.load(order)
    }
    #[inline(always)]
    fn store(&self, pointer: *mut T, order: Ordering) {
        self.store(pointer, order);
    }
    #[inline(always)]
    fn swap(&self, pointer: *mut T, order: Ordering) -> *mut T {
        self.swap(pointer, order)
    }
    #[inline(always)]
    fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        self.compare_exchange(current, new, success, failure)
    }
}

// SAFETY: the word is std's atomic.
unsafe impl Futex for atomic::AtomicU32 {
    #[inline]
    fn wait(&self, expected: u32) {
        futex::wait(self, expected);
    }

    #[inline]
    fn wait_timeout(&self, expected: u32, timeout: Duration) -> WaitOutcome {
        futex::wait_timeout(self, expected, timeout)
    }

    #[inline]
    fn wake(&self, count: u32) {
        futex::wake(self, count);
    }
}

// SAFETY: the pointer is that of std's cell, which is valid for as long as the cell lives.
unsafe impl<T> Cell<T> for UnsafeCell<T> {
    #[inline(always)]
    fn new(value: T) -> Self {
        Self::new(value)
    }
    #[inline(always)]
    fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.get())
    }
    #[inline(always)]
    fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.get())
    }
}

// SAFETY: std's mutex and its guard.
unsafe impl<T: Send> Mutex<T> for std::sync::Mutex<T> {
    type Guard<'a>
        = std::sync::MutexGuard<'a, T>
    where
        T: 'a;

    #[inline]
    fn new(value: T) -> Self {
        Self::new(value)
    }
    #[inline]
    fn lock(&self) -> Self::Guard<'_> {
        self.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<T: Send> Join<T> for std::thread::JoinHandle<T> {
    fn join(self) -> Result<T, Box<dyn Any + Send>> {
        self.join()
    }
}

/// Starts a thread. The body is boxed so that std's code is compiled once for each `T`, not for
/// each closure.
fn spawn<T: Send + 'static>(
    name: &str,
    body: Box<dyn FnOnce() -> T + Send>,
) -> std::thread::JoinHandle<T> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .unwrap_or_else(|error| panic!("no thread for {name}: {error}"))
}

// SAFETY: std's fence, shared ownership and threads.
unsafe impl Primitives for Std {
    type AtomicU32 = atomic::AtomicU32;
    type AtomicU64 = AtomicU64;
    type AtomicUsize = atomic::AtomicUsize;
    type AtomicPtr<T> = atomic::AtomicPtr<T>;
    type Futex = atomic::AtomicU32;
    type Cell<T> = UnsafeCell<T>;
    type Mutex<T: Send> = std::sync::Mutex<T>;
    type Arc<T: Send + Sync> = std::sync::Arc<T>;
    type JoinHandle<T: Send + 'static> = std::thread::JoinHandle<T>;

    #[inline(always)]
    fn fence(order: Ordering) {
        atomic::fence(order);
    }

    #[inline]
    fn arc<T: Send + Sync>(value: T) -> Self::Arc<T> {
        std::sync::Arc::new(value)
    }

    fn spawn<T: Send + 'static>(
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Self::JoinHandle<T> {
        spawn(name, Box::new(body))
    }

    fn now() -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    #[inline]
    fn yield_now() {
        std::thread::yield_now();
    }

    /// Yields, and measures how long that takes. After a yield of 300 microseconds no thread yields
    /// for 10 milliseconds; each time that the next is as long again, this pause doubles, up to a
    /// second.
    fn step_aside() -> bool {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let before = micros(Self::now());
        if !YIELDS.are_due(before) {
            return false;
        }
        std::thread::yield_now();
        YIELDS.note(before, micros(Self::now()));
        true
    }

    #[inline]
    fn looks() -> bool {
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores =
            CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from));
        *cores > 1
    }
}

#[cfg(test)]
mod tests;
