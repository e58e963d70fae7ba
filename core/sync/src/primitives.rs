//! The operations that every algorithm of this crate is written against.
//!
//! **Contract.** Code that synchronises threads names no atomic, lock or thread of std. It is
//! generic over [`Primitives`] and gets them from there. Production runs on [`crate::Std`]. The
//! checkers supply other backends (weak memory, random schedules, one operation at a time), so that
//! they explore the very source that runs.
//!
//! | operation | blocks | who wakes it |
//! |---|---|---|
//! | [`Futex::wait`] | while the word equals `expected` and nobody wakes it | [`Futex::wake`], or nobody: a return may be spurious |
//! | [`Futex::wait_timeout`] | as above, at most `timeout` | the same, or the clock |
//! | [`Mutex::lock`] | while another thread holds the guard | the drop of that guard |
//! | [`Join::join`] | until the thread has ended | the end of that thread |
//!
//! **Invariants.**
//! - I1 A backend never strengthens an ordering that it is given: the argument that was passed is
//!   the contract.
//! - I2 `SeqCst` is used with [`Primitives::fence`] only, never with an access. Weak-memory
//!   checkers treat `SeqCst` accesses as acquire-release, and would report executions that cannot
//!   happen.
//! - I3 Time enters only through [`Primitives::now`] and the timed wait. A checker treats the
//!   expiry of a timed wait as a free choice, and may let time pass between any two operations. No
//!   algorithm may therefore rely on how long anything takes.
//! - I4 Foreign code that an algorithm calls on the side (a waker, or the drop of one) is called
//!   through [`Primitives::contain`], outside every lock, and after the last step of the operation
//!   that calls it.
//!
//! **Safety.** The channels hand memory from thread to thread because an atomic returned a certain
//! value, or because a lock was held. A backend that lies about either makes them unsound. The
//! traits that they rely on are therefore `unsafe` to implement, and each states what is relied on.
//! Only backends implement them; calling them is safe.
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
//! The declarations are `#[track_caller]`, which carries the source line of every operation to the
//! backends (for traces and for mutation site by site). Inlining removes it in production.

use core::any::Any;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use core::sync::atomic::Ordering;

/// An atomic integer of type `V` (`u32`, `u64` or `usize`); arithmetic wraps.
///
/// # Safety
/// The value behaves like that of std's atomic: there is one modification order, each
/// read-modify-write acts on the latest value in it, a load returns a value that the given ordering
/// allows, and no ordering is weaker than the one given. No value is made up out of thin air.
pub unsafe trait Atomic<V: Copy + Eq>: Send + Sync {
    /// Returns an atomic that holds `value`.
    fn new(value: V) -> Self;
    /// Returns the value.
    #[track_caller]
    fn load(&self, order: Ordering) -> V;
    /// Replaces the value.
    #[track_caller]
    fn store(&self, value: V, order: Ordering);
    /// Replaces the value and returns the previous one.
    #[track_caller]
    fn swap(&self, value: V, order: Ordering) -> V;
    /// Adds, wrapping, and returns the previous value.
    #[track_caller]
    fn fetch_add(&self, value: V, order: Ordering) -> V;
    /// Subtracts, wrapping, and returns the previous value.
    #[track_caller]
    fn fetch_sub(&self, value: V, order: Ordering) -> V;
    /// Stores the larger of the two values and returns the previous one.
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
/// As for [`Atomic`]; in addition, a pointer is returned with the provenance with which it was
/// stored.
pub unsafe trait AtomicPtr<T>: Send + Sync {
    /// Returns an atomic that holds `pointer`.
    fn new(pointer: *mut T) -> Self;
    /// Returns the pointer.
    #[track_caller]
    fn load(&self, order: Ordering) -> *mut T;
    /// Replaces the pointer.
    #[track_caller]
    fn store(&self, pointer: *mut T, order: Ordering);
    /// Replaces the pointer and returns the previous one.
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
    /// The thread was woken, or the word had changed, or the wake-up was spurious.
    Woken,
    /// The time was up.
    TimedOut,
}

/// A 32-bit atomic word on which threads can sleep.
///
/// The comparison in a wait and the sleep are one atomic step with respect to [`Futex::wake`]: a
/// wake that follows a change of the word is never lost.
///
/// A wake orders memory: what precedes it in its thread happens before the return of each wait that
/// it ends. A wait that ends otherwise (the word differs, the time is up, a spurious return) orders
/// nothing, and neither does a wake that finds no sleeper.
///
/// # Safety
/// The word is an [`Atomic`], whoever sleeps on it. (Lost or spurious wake-ups, and what a wake
/// orders, are not a matter of memory safety. The contract above is one of liveness: an algorithm
/// hands no memory over by a wake alone.)
pub unsafe trait Futex: Atomic<u32> {
    /// Sleeps while the word equals `expected`, until woken. May return spuriously.
    #[track_caller]
    fn wait(&self, expected: u32);
    /// Sleeps like [`Futex::wait`], for at most `timeout`.
    #[track_caller]
    fn wait_timeout(&self, expected: u32, timeout: Duration) -> WaitOutcome;
    /// Wakes at most `count` of the threads that sleep on this word. What precedes this call
    /// happens before their returns.
    #[track_caller]
    fn wake(&self, count: u32);
}

/// Plain memory that threads share. Why that is sound is argued elsewhere, and a checker tests the
/// argument.
///
/// The closures get a raw pointer that is valid for the duration of the call. Two overlapping
/// calls, at least one of which is [`Cell::with_mut`], are a data race.
///
/// # Safety
/// Each call runs its closure once, before it returns, with a pointer that is valid for reads (for
/// writes in `with_mut`) during the call, to the content and to nothing else; the content changes
/// through these pointers alone, and stays in place for as long as the cell lives.
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
/// At most one guard lives at a time, the content is reached only through it, and everything done
/// under one guard happens before everything done under the next.
pub unsafe trait Mutex<T>: Send + Sync {
    /// Gives access to the content for as long as it lives.
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

/// A set of synchronisation primitives; see the module documentation.
///
/// # Safety
/// `fence` orders memory as std's fence does. `arc` returns shared ownership of the given value:
/// all clones dereference to it, and it is dropped with the last of them. `spawn` runs the body
/// once, and everything before the call happens before the body. `reporting` returns `false` unless
/// the process, or this execution of the checker, is about to be abandoned; destructors then leak.
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
    /// If the operating system refuses to start a thread.
    #[track_caller]
    fn spawn<T: Send + 'static>(
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Self::JoinHandle<T>;
    /// Returns the time since an arbitrary fixed moment; it never runs backwards.
    #[track_caller]
    fn now() -> Duration;
    /// Lets other threads run. It is for a loop that waits for the next few instructions of another
    /// thread.
    #[track_caller]
    fn yield_now();

    /// Calls foreign code, above all wakers, and contains its panic: the caller continues as if the
    /// code had returned. The panic hook has reported the panic by then. So a waker that panics
    /// costs one wake-up, but neither the item that the caller holds nor the wake-ups of others.
    ///
    /// A checker lets panics that are its own reports pass.
    #[inline(always)]
    fn contain(foreign: impl FnOnce()) {
        contain(foreign);
    }

    /// Returns whether a waiter looks for a while before it registers and sleeps. It does not where
    /// nothing can change in the meantime (on one core), nor in checkers, which explore every
    /// moment of falling asleep anyway.
    #[inline(always)]
    fn looks() -> bool {
        false
    }
    /// Lets other threads have this core for a moment, unless that has recently taken long; returns
    /// whether it did. It is for a waiter that could just as well sleep.
    #[inline(always)]
    fn step_aside() -> bool {
        false
    }
    /// Returns whether an execution may be so long that a count of 26 bits wraps around while a
    /// thread is suspended between two steps. In a checker it may not: what guards against that
    /// would be one more step there, in vain.
    #[inline(always)]
    fn counts_wrap() -> bool {
        true
    }
    /// Returns a number that nobody outside the process can guess, another one with each call: the
    /// key of a table whose entries outsiders name. In a checker it is the same in each execution,
    /// so that executions can be repeated.
    fn secret() -> u64 {
        RandomState::new().hash_one(0)
    }

    /// Returns whether the backend is reporting a violation, by a panic of its own. Its primitives
    /// must not be touched then, so destructors that would synchronise return at once. In
    /// production this is never the case.
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
    /// retry loop). This is a hint for state-based checkers; a wrong hint hides states from them.
    #[inline(always)]
    fn rewind(_mark: u64) {}
    /// States that the calling thread's local state is a function of `key` alone. This, too, is a
    /// hint.
    #[inline(always)]
    fn checkpoint(_key: u64) {}
}

/// Runs `foreign` and drops the payload if it panics. A payload whose drop panics as well is
/// leaked.
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

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU32;

    use super::*;
    use crate::Std;

    /// Panics when it is dropped, and counts that.
    struct Bomb;

    static BOMBS: AtomicU32 = AtomicU32::new(0);

    impl Drop for Bomb {
        fn drop(&mut self) {
            BOMBS.fetch_add(1, Ordering::Relaxed);
            std::panic::panic_any("a payload panics when it is dropped");
        }
    }

    /// Foreign code panics, and then so does the drop of what it panicked with.
    #[test]
    fn a_payload_that_panics_is_contained() {
        Std::contain(|| std::panic::panic_any(Bomb));
        assert_eq!(BOMBS.load(Ordering::Relaxed), 1);
    }
}
