//! The primitives of [`Stepped`]: handles to objects of the world; each visible operation is a
//! step.
//!
//! | operation | a step of its own? | why not |
//! |---|---|---|
//! | atomic access, futex wait and wake, lock, join, yield, `now` while the clock may jump | yes | |
//! | giving up one of several `Arc` handles | only where a shared destructor performs operations | otherwise nothing depends on which handle was the last |
//! | giving up the last handle, unlocking, spawning, `fence`, `now` once the clock cannot jump any more | no | no other thread can do anything in between that would make a difference |
//! | cell access | no | cells are free of races, which the weak-memory engine shows |
//!
//! Orderings are ignored: memory is sequentially consistent here.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc as StdArc, Mutex as StdMutex, PoisonError};
use std::thread;
use std::time::Duration;

use blocksmith_sync as sync;
use blocksmith_sync::{Ordering, Primitives, WaitOutcome};

use super::memory::{Arc, Cell, Mutex};
use super::object::Object;
use super::operation::{Kind, Operation, Verb, mix, show};
use super::runtime::{guarded, reach, suspend, with};
use super::step::WakeReason;
use crate::thrown;

/// An atomic integer of `Stepped`.
pub struct Atomic<V> {
    object: Object,
    value: PhantomData<fn(V) -> V>,
}

impl<V> fmt::Debug for Atomic<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Atomic").finish_non_exhaustive()
    }
}

macro_rules! atomic_integer {
    ($value:ty) => {
        impl Atomic<$value> {
            fn of_kind(kind: Kind, value: $value) -> Self {
                Self { object: Object::new(kind, value as u64, 0), value: PhantomData }
            }

            #[track_caller]
            fn access(
                &self,
                verb: Verb,
                a: $value,
                b: $value,
                change: impl FnOnce($value) -> Option<$value>,
            ) -> $value {
                let at = Location::caller();
                let operation = self.object.reach(verb, a as u64, b as u64, at);
                let change = |before| change(before as $value).map(|after| after as u64);
                with(|world| world.access(operation, at, change)) as $value
            }
        }

        // SAFETY: the threads of an execution perform one operation at a time, on one thread of the
        // operating system or in turns that happen one before the other (T1 of `turnstile`). So
        // each operation acts on the latest value.
        unsafe impl sync::Atomic<$value> for Atomic<$value> {
            fn new(value: $value) -> Self {
                Self::of_kind(Kind::Atomic, value)
            }
            #[track_caller]
            fn load(&self, _: Ordering) -> $value {
                self.access(Verb::Load, 0, 0, |_| None)
            }
            #[track_caller]
            fn store(&self, value: $value, _: Ordering) {
                self.access(Verb::Store, value, 0, |_| Some(value));
            }
            #[track_caller]
            fn swap(&self, value: $value, _: Ordering) -> $value {
                self.access(Verb::Swap, value, 0, |_| Some(value))
            }
            #[track_caller]
            fn fetch_add(&self, value: $value, _: Ordering) -> $value {
                self.access(Verb::FetchAdd, value, 0, |old| Some(old.wrapping_add(value)))
            }
            #[track_caller]
            fn fetch_sub(&self, value: $value, _: Ordering) -> $value {
                self.access(Verb::FetchSub, value, 0, |old| Some(old.wrapping_sub(value)))
            }
            #[track_caller]
            fn fetch_max(&self, value: $value, _: Ordering) -> $value {
                self.access(Verb::FetchMax, value, 0, |old| Some(old.max(value)))
            }
            #[track_caller]
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                _: Ordering,
                _: Ordering,
            ) -> Result<$value, $value> {
                let found = self.access(Verb::CompareExchange, current, new, |old| {
                    (old == current).then_some(new)
                });
                if found == current { Ok(found) } else { Err(found) }
            }
        }
    };
}

atomic_integer!(u32);
atomic_integer!(u64);
atomic_integer!(usize);

/// A word to sleep on.
#[derive(Debug)]
pub struct Futex(Atomic<u32>);

// SAFETY: it is the atomic inside.
unsafe impl sync::Atomic<u32> for Futex {
    fn new(value: u32) -> Self {
        Self(Atomic::<u32>::of_kind(Kind::Futex, value))
    }
    #[track_caller]
    fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }
    #[track_caller]
    fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, order);
    }
    #[track_caller]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.0.swap(value, order)
    }
    #[track_caller]
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_add(value, order)
    }
    #[track_caller]
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_sub(value, order)
    }
    #[track_caller]
    fn fetch_max(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_max(value, order)
    }
    #[track_caller]
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.0.compare_exchange(current, new, success, failure)
    }
}

impl Futex {
    fn sleep(
        &self,
        expected: u32,
        timeout: Option<Duration>,
        at: &'static Location<'static>,
    ) -> WaitOutcome {
        if thread::panicking() {
            return WaitOutcome::Woken;
        }
        let verb = if timeout.is_some() { Verb::WaitTimeout } else { Verb::Wait };
        let operation = self.0.object.reach(verb, u64::from(expected), 0, at);
        if !with(|world| world.sleep(operation, at, timeout)) {
            return WaitOutcome::Woken;
        }
        suspend();
        with(|world| {
            let reason = world.thread().reason;
            world.learn(mix(operation.a, reason as u64 + 1));
            let sleep = || operation.name.map(|name| format!("{name} sleep")).unwrap_or_default();
            match reason {
                WakeReason::Woken => {}
                WakeReason::Expired => world.note(sleep, at, || "expires".into()),
                WakeReason::Spurious => {
                    world.note(sleep, at, || "ends spuriously".into());
                }
            }
            if reason == WakeReason::Expired { WaitOutcome::TimedOut } else { WaitOutcome::Woken }
        })
    }
}

// SAFETY: as above.
unsafe impl sync::Futex for Futex {
    #[track_caller]
    fn wait(&self, expected: u32) {
        self.sleep(expected, None, Location::caller());
    }
    #[track_caller]
    fn wait_timeout(&self, expected: u32, timeout: Duration) -> WaitOutcome {
        self.sleep(expected, Some(timeout), Location::caller())
    }
    #[track_caller]
    fn wake(&self, count: u32) {
        let at = Location::caller();
        let operation = self.0.object.reach(Verb::Wake, u64::from(count), 0, at);
        with(|world| world.wake(operation, at));
    }
}

/// An atomic pointer. The state's identity contains, instead of the address, the version that its
/// writer gave it.
pub struct AtomicPtr<T> {
    object: Object,
    pointee: PhantomData<fn(*mut T) -> *mut T>,
}

impl<T> fmt::Debug for AtomicPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicPtr").finish_non_exhaustive()
    }
}

/// Performs an access to a pointer: `change` gets the address found and returns the one to write.
/// Returns the address found. It does not depend on the type of the pointee, so it is compiled
/// once.
#[track_caller]
fn access_pointer(object: &Object, verb: Verb, change: &dyn Fn(usize) -> Option<usize>) -> usize {
    let at = Location::caller();
    let operation = object.reach(verb, 0, 0, at);
    with(|world| {
        let index = operation.index;
        let (found, version) = (world.raw(index), world.value(index));
        let written = change(found);
        let done = Operation { a: u64::from(written.is_some()), ..operation };
        if let Some(raw) = written {
            let version = world.pointer_version(raw);
            world.set(index, version, raw);
        }
        let name = world.name(index);
        world.record(done, version, at, || show(name, version));
        found
    })
}

impl<T> AtomicPtr<T> {
    #[track_caller]
    fn access(&self, verb: Verb, change: impl Fn(usize) -> Option<usize>) -> *mut T {
        ptr::with_exposed_provenance_mut(access_pointer(&self.object, verb, &change))
    }
}

// SAFETY: as for the integers; provenance is exposed when a pointer is stored.
unsafe impl<T> sync::AtomicPtr<T> for AtomicPtr<T> {
    fn new(pointer: *mut T) -> Self {
        Self { object: Object::of_pointer(pointer.expose_provenance()), pointee: PhantomData }
    }
    #[track_caller]
    fn load(&self, _: Ordering) -> *mut T {
        self.access(Verb::Load, |_| None)
    }
    #[track_caller]
    fn store(&self, pointer: *mut T, _: Ordering) {
        self.access(Verb::Store, |_| Some(pointer.expose_provenance()));
    }
    #[track_caller]
    fn swap(&self, pointer: *mut T, _: Ordering) -> *mut T {
        self.access(Verb::Swap, |_| Some(pointer.expose_provenance()))
    }
    #[track_caller]
    fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        _: Ordering,
        _: Ordering,
    ) -> Result<*mut T, *mut T> {
        let found = self.access(Verb::CompareExchange, |found| {
            (found == current.addr()).then(|| new.expose_provenance())
        });
        if found.addr() == current.addr() { Ok(found) } else { Err(found) }
    }
}

/// A handle to a thread of `Stepped`.
pub struct JoinHandle<T> {
    thread: u8,
    result: StdArc<StdMutex<Option<thread::Result<T>>>>,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// Waits until the thread has ended.
fn wait_for(thread: u8, at: &'static Location<'static>) {
    let operation = with(|world| world.operation(Verb::Join, u32::from(thread), 0, 0));
    reach(operation, at);
    with(|world| {
        let outcome = world.threads[usize::from(thread)].history;
        world.record(operation, outcome, at, String::new);
    });
}

impl<T: Send> sync::Join<T> for JoinHandle<T> {
    #[track_caller]
    fn join(self) -> Result<T, Box<dyn Any + Send>> {
        wait_for(self.thread, Location::caller());
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The result is missing only if a thread that unwinds joins one that is still running.
        result.unwrap_or_else(|| Err(Box::new("the thread has not ended")))
    }
}

/// The primitives that stateright steps through; see the module documentation.
#[derive(Clone, Copy, Debug)]
pub struct Stepped;

/// Adds a thread. The body is boxed so that the code around it is compiled once for each `T`, not
/// for each closure.
fn spawn<T: 'static>(name: &str, body: Box<dyn FnOnce() -> T>) -> JoinHandle<T> {
    let result = StdArc::new(StdMutex::new(None));
    let slot = result.clone();
    let body = guarded(body, move |result| {
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    });
    JoinHandle { thread: with(|world| world.add_thread(name, body)), result }
}

// SAFETY: one operation at a time is sequentially consistent, so a fence has nothing more to order;
// ownership is std's.
unsafe impl Primitives for Stepped {
    type AtomicU32 = Atomic<u32>;
    type AtomicU64 = Atomic<u64>;
    type AtomicUsize = Atomic<usize>;
    type AtomicPtr<T> = AtomicPtr<T>;
    type Futex = Futex;
    type Cell<T> = Cell<T>;
    type Mutex<T: Send> = Mutex<T>;
    type Arc<T: Send + Sync> = Arc<T>;
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn fence(_: Ordering) {}

    fn arc<T: Send + Sync>(value: T) -> Arc<T> {
        Arc::new(value)
    }

    #[track_caller]
    fn spawn<T: Send + 'static>(
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        spawn(name, Box::new(body))
    }

    /// Returns the logical clock, which may jump here.
    #[track_caller]
    fn now() -> Duration {
        let at = Location::caller();
        let operation = with(|world| world.operation(Verb::Now, 0, 0, 0));
        let choice = !thread::panicking() && with(|world| world.may_jump());
        if choice {
            reach(operation, at);
        }
        with(|world| world.read_clock(operation, choice && world.chosen == 1, at))
    }

    #[track_caller]
    fn yield_now() {
        if thread::panicking() {
            return;
        }
        let at = Location::caller();
        let operation = with(|world| world.operation(Verb::Yield, 0, 0, 0));
        reach(operation, at);
        with(|world| world.yielded(operation, at));
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

    fn mark() -> u64 {
        with(|world| world.thread().history)
    }

    fn rewind(mark: u64) {
        with(|world| {
            if world.limits.hints {
                world.thread().history = mark;
            }
        });
    }

    fn checkpoint(key: u64) {
        with(|world| {
            if world.limits.hints {
                let thread = world.thread();
                thread.history = mix(mix(thread.path, 0xC4EC), key);
            }
        });
    }
}
