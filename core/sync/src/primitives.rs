//! The operations that every algorithm of this crate is written against.
//!
//! **Contract.** Code that synchronises threads names no atomic, lock or thread of std: it is
//! generic over [`Primitives`] and gets them from there. [`crate::Std`] is what production runs on;
//! the checkers supply others (weak memory, random schedules, one operation at a time), so that
//! what is explored is the source that runs.
//!
//! | operation | blocks | who wakes it |
//! |---|---|---|
//! | [`Futex::wait`] | while the word equals `expected` and nobody wakes it | [`Futex::wake`], or nobody: a return may be spurious |
//! | [`Futex::wait_timeout`] | as above, at most `timeout` | the same, or the clock |
//! | [`Mutex::lock`] | while another thread holds the guard | the drop of that guard |
//! | [`Join::join`] | until the thread has ended | the end of that thread |
//!
//! **Invariants.**
//! - I1 A backend never strengthens an ordering that it is given: the argument is the contract.
//! - I2 `SeqCst` is used with [`Primitives::fence`] alone, never with an access: weak-memory
//!   checkers judge `SeqCst` accesses as if they were acquire-release, and would report what cannot
//!   happen.
//! - I3 Time enters through [`Primitives::now`] and the timed wait only. A checker treats the
//!   expiry of a timed wait as a free choice, and may let time pass between any two operations, so
//!   no algorithm may rely on how long anything takes.
//! - I4 Foreign code that an algorithm calls beside its own work (a waker, or the drop of one) is
//!   called through [`Primitives::contain`], outside every lock, and after the last step of the
//!   operation that calls it.
//!
//! **Safety.** The channels hand memory from thread to thread because an atomic returned what it
//! returned, or because a lock was held. A backend that lies about that makes them unsound, so the
//! traits that are relied on are `unsafe` to implement; each says what is relied on. Implementing
//! them is for backends; calling them is safe.
//!
//! ```compile_fail,E0200
//! use blocksmith_sync::Ordering;
//!
//! struct Liar;
//!
//! impl blocksmith_sync::Atomic<u32> for Liar { // an `unsafe impl`, or none
//!     fn new(_: u32) -> Self { Liar }
//!     fn load(&self, _: Ordering) -> u32 { 7 }
//!     fn store(&self, _: u32, _: Ordering) {}
//!     fn swap(&self, _: u32, _: Ordering) -> u32 { 7 }
//!     fn fetch_add(&self, _: u32, _: Ordering) -> u32 { 7 }
//!     fn fetch_sub(&self, _: u32, _: Ordering) -> u32 { 7 }
//!     fn fetch_max(&self, _: u32, _: Ordering) -> u32 { 7 }
//!     fn compare_exchange(&self, _: u32, _: u32, _: Ordering, _: Ordering) -> Result<u32, u32> {
//!         Ok(7)
//!     }
//! }
//! ```
//!
//! `#[track_caller]` stands on the declarations, which carries the source line of every operation
//! to the backends (traces, mutation site by site); production inlines it away.

use core::any::Any;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use core::sync::atomic::Ordering;

/// An atomic integer of type `V` (`u32`, `u64` or `usize`); arithmetic wraps.
///
/// # Safety
/// The value behaves as that of std's atomic: there is one modification order, each
/// read-modify-write acts on the latest value in it, a load returns a value that the given ordering
/// allows, and no ordering is weaker than the one given. No value is invented.
pub unsafe trait Atomic<V: Copy + Eq>: Send + Sync {
    /// Returns an atomic that holds `value`.
    fn new(value: V) -> Self;
    /// Returns the value.
    #[track_caller]
    fn load(&self, order: Ordering) -> V;
    /// Replaces the value.
    #[track_caller]
    fn store(&self, value: V, order: Ordering);
    /// Replaces the value and returns the one before.
    #[track_caller]
    fn swap(&self, value: V, order: Ordering) -> V;
    /// Adds, wrapping, and returns the value before.
    #[track_caller]
    fn fetch_add(&self, value: V, order: Ordering) -> V;
    /// Subtracts, wrapping, and returns the value before.
    #[track_caller]
    fn fetch_sub(&self, value: V, order: Ordering) -> V;
    /// Stores the larger of the two and returns the value before.
    #[track_caller]
    fn fetch_max(&self, value: V, order: Ordering) -> V;
    /// Replaces `current` by `new`. Fails only if the value differs (never spuriously).
    ///
    /// # Errors
    /// The value found, if it is not `current`.
    #[track_caller]
    fn compare_exchange(
        &self,
        current: V,
        new: V,
        success: Ordering,
        failure: Ordering,
    ) -> Result<V, V>;
}

/// An atomic pointer. It owns nothing: who frees the pointee is the algorithm's business.
///
/// # Safety
/// As for [`Atomic`]; and a pointer comes back with the provenance with which it was stored.
pub unsafe trait AtomicPtr<T>: Send + Sync {
    /// Returns an atomic that holds `pointer`.
    fn new(pointer: *mut T) -> Self;
    /// Returns the pointer.
    #[track_caller]
    fn load(&self, order: Ordering) -> *mut T;
    /// Replaces the pointer.
    #[track_caller]
    fn store(&self, pointer: *mut T, order: Ordering);
    /// Replaces the pointer and returns the one before.
    #[track_caller]
    fn swap(&self, pointer: *mut T, order: Ordering) -> *mut T;
    /// Replaces `current` by `new`. Fails only if the pointer differs (never spuriously).
    ///
    /// # Errors
    /// The pointer found, if it is not `current`.
    #[track_caller]
    fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T>;
}

/// How a timed wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitOutcome {
    /// Woken, or the word had changed, or for no reason at all.
    Woken,
    /// The time was over.
    TimedOut,
}

/// A 32-bit atomic word on which threads can sleep.
///
/// The comparison in a wait and the sleep are one step with regard to [`Futex::wake`]: a wake that
/// follows a change of the word is never lost. Neither of them orders other memory.
///
/// # Safety
/// The word is an [`Atomic`], whatever is slept on it. (Lost or spurious wake-ups are no matter of
/// memory safety; the contract above is one of liveness.)
pub unsafe trait Futex: Atomic<u32> {
    /// Sleeps while the word equals `expected`, until woken. May return spuriously.
    #[track_caller]
    fn wait(&self, expected: u32);
    /// Sleeps like [`Futex::wait`], for at most `timeout`.
    #[track_caller]
    fn wait_timeout(&self, expected: u32, timeout: Duration) -> WaitOutcome;
    /// Wakes at most `count` of the threads that sleep on this word.
    #[track_caller]
    fn wake(&self, count: u32);
}

/// Plain memory, shared by an argument that stands elsewhere; a checker tests that argument.
///
/// The closures get a raw pointer that is valid for the call. Two overlapping calls of which one is
/// [`Cell::with_mut`] are a data race.
///
/// # Safety
/// Each call runs its closure once, before it returns, with a pointer that is valid for reads (for
/// writes in `with_mut`) during the call, to the content and to nothing else; the content changes
/// through these pointers alone, and lives where it is as long as the cell does.
pub unsafe trait Cell<T> {
    /// Returns a cell that holds `value`.
    fn new(value: T) -> Self;
    /// Calls `read` with a pointer to the content.
    #[track_caller]
    fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R;
    /// Calls `write` with a pointer to the content.
    #[track_caller]
    fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R;
}

/// Mutual exclusion. A panic while the guard is held does not poison it.
///
/// # Safety
/// At most one guard lives at a time, the content is reached through it alone, and what was done
/// under a guard happens before what is done under the next.
pub unsafe trait Mutex<T>: Send + Sync {
    /// Access to the content for as long as it lives.
    type Guard<'a>: DerefMut<Target = T>
    where
        Self: 'a,
        T: 'a;
    /// Returns an unlocked mutex around `value`.
    fn new(value: T) -> Self;
    /// Blocks until no other guard lives.
    #[track_caller]
    fn lock(&self) -> Self::Guard<'_>;
}

/// A handle to a thread that returns `T`.
pub trait Join<T>: Send {
    /// Blocks until the thread has ended.
    ///
    /// # Errors
    /// What the thread panicked with.
    #[track_caller]
    fn join(self) -> Result<T, Box<dyn Any + Send>>;
}

/// A set of synchronisation primitives; see the module's text.
///
/// # Safety
/// `fence` orders memory as std's fence does; `arc` returns shared ownership of the value given,
/// which clones share and all dereference to, and which is dropped with the last of them; `spawn`
/// runs the body once, and what precedes it happens before it. `reporting` returns `false` unless
/// the process, or this checker's execution, is about to be given up: destructors then leak.
pub unsafe trait Primitives: Sized + Send + Sync + 'static {
    /// A 32-bit atomic.
    type AtomicU32: Atomic<u32>;
    /// A 64-bit atomic.
    type AtomicU64: Atomic<u64>;
    /// A pointer-sized atomic.
    type AtomicUsize: Atomic<usize>;
    /// An atomic pointer.
    type AtomicPtr<T>: AtomicPtr<T>;
    /// A word to sleep on.
    type Futex: Futex;
    /// Unsynchronised memory.
    type Cell<T>: Cell<T>;
    /// Mutual exclusion.
    type Mutex<T: Send>: Mutex<T>;
    /// Shared ownership.
    type Arc<T: Send + Sync>: Clone + Send + Sync + Deref<Target = T>;
    /// A running thread.
    type JoinHandle<T: Send + 'static>: Join<T>;

    /// Orders the memory operations around it. `SeqCst` fences have one total order.
    #[track_caller]
    fn fence(order: Ordering);
    /// Returns `value` under shared ownership.
    fn arc<T: Send + Sync>(value: T) -> Self::Arc<T>;
    /// Starts a thread.
    ///
    /// # Panics
    /// If the operating system refuses a thread.
    #[track_caller]
    fn spawn<T: Send + 'static>(
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Self::JoinHandle<T>;
    /// Returns the time since an arbitrary fixed moment; it never runs backwards.
    #[track_caller]
    fn now() -> Duration;
    /// Lets other threads run: for a loop that waits for another thread's next few instructions.
    #[track_caller]
    fn yield_now();

    /// Calls foreign code, a waker above all, and contains its panic: the caller goes on as if the
    /// code had returned. The panic hook has reported it by then. So one waker that panics costs
    /// one wake-up, and neither the item in the caller's hands nor the wake-ups of others.
    ///
    /// A checker lets its own reports pass.
    #[inline(always)]
    fn contain(foreign: impl FnOnce()) {
        contain(foreign);
    }

    /// Returns whether a waiter looks for a while before it registers and sleeps. Not where nothing
    /// can change meanwhile (one core), and not in checkers, which explore every moment of falling
    /// asleep anyway.
    #[inline(always)]
    fn looks() -> bool {
        false
    }
    /// Lets other threads have this core for a moment, unless that has lately taken long; returns
    /// whether it did. For a waiter that could as well sleep.
    #[inline(always)]
    fn step_aside() -> bool {
        false
    }
    /// Returns whether the backend is reporting a violation, by a panic of its own. Its primitives
    /// must not be touched then, so destructors that would synchronise return at once. Never in
    /// production.
    #[inline(always)]
    fn reporting() -> bool {
        false
    }
    /// Returns a mark of the calling thread's local state, for [`Primitives::rewind`].
    #[inline(always)]
    fn mark() -> u64 {
        0
    }
    /// States that the calling thread's local state is again what it was at the mark (the head of a
    /// retry loop). A hint for state-based checkers: a wrong one hides states.
    #[inline(always)]
    fn rewind(_mark: u64) {}
    /// States that the calling thread's local state is a function of `key` alone. A hint likewise.
    #[inline(always)]
    fn checkpoint(_key: u64) {}
}

/// Runs `foreign` and drops what it panics with. A payload whose drop panics too is leaked.
#[inline]
fn contain(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
        discard(payload);
    }
}

#[cold]
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        core::mem::forget(second);
    }
}
