//! What the threads of `Stepped` share besides atomics: plain memory, mutual exclusion, ownership.
//!
//! None of these is part of the state's identity by its content. Each has a version, which its last
//! writer derived from what that thread had done so far. Code that does not depend on the type of
//! the content is in functions of its own, so that it is compiled once.

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::{Arc as StdArc, Mutex as StdMutex, MutexGuard as StdGuard};
use std::thread;

use blocksmith_sync as sync;

use super::object::Object;
use super::operation::{Kind, Verb, mix};
use super::runtime::{with, with_if_any};

/// Plain memory. The state's identity contains, instead of its content, the version that its last
/// writer gave it.
pub struct Cell<T> {
    object: Object,
    content: UnsafeCell<T>,
}

impl<T> fmt::Debug for Cell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").finish_non_exhaustive()
    }
}

/// Makes the current thread depend on the content of an object.
fn read_version(object: &Object) {
    with(|world| {
        let version = world.value(object.index);
        world.reads(object.index);
        world.learn(version);
    });
}

/// Gives the content of an object the version that the current thread writes now.
fn write_version(object: &Object, locked: u64) {
    with_if_any(|world| {
        let thread = world.thread();
        let version = mix(thread.path, thread.history) << 1 | locked;
        world.set(object.index, version, 0);
    });
}

// SAFETY: the pointer is that of std's cell.
unsafe impl<T> sync::Cell<T> for Cell<T> {
    fn new(value: T) -> Self {
        Self { object: Object::written(Kind::Cell, 0), content: UnsafeCell::new(value) }
    }
    #[track_caller]
    fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read_version(&self.object);
        read(self.content.get())
    }
    #[track_caller]
    fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        read_version(&self.object);
        let result = write(self.content.get());
        write_version(&self.object, 0);
        result
    }
}

/// Mutual exclusion. The object's value is the content's version, shifted, and a bit for "locked".
pub struct Mutex<T> {
    object: Object,
    content: StdMutex<T>,
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

/// Access to the content of a [`Mutex`].
pub struct Guard<'a, T> {
    object: &'a Object,
    content: StdGuard<'a, T>,
    written: bool,
}

impl<T: fmt::Debug> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.content.fmt(f)
    }
}

/// Takes the lock of a mutex, when it is the thread's turn.
fn lock(object: &Object, at: &'static Location<'static>) {
    let operation = object.reach(Verb::Lock, 0, 0, at);
    with(|world| {
        let version = world.value(operation.index);
        world.set(operation.index, version | 1, 0);
        world.record(operation, version, at, String::new);
    });
}

/// Releases the lock of a mutex; `written` says that its content has changed.
fn unlock(object: &Object, written: bool) {
    if written {
        return write_version(object, 0);
    }
    with_if_any(|world| {
        let version = world.value(object.index);
        world.set(object.index, version & !1, 0);
    });
}

// SAFETY: the content is in std's mutex.
unsafe impl<T: Send> sync::Mutex<T> for Mutex<T> {
    type Guard<'a>
        = Guard<'a, T>
    where
        T: 'a;

    fn new(value: T) -> Self {
        Self { object: Object::written(Kind::Mutex, 1), content: StdMutex::new(value) }
    }

    #[track_caller]
    fn lock(&self) -> Guard<'_, T> {
        lock(&self.object, Location::caller());
        let content = match self.content.try_lock() {
            Ok(content) => content,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Only a thread that unwinds gets here: it locks without waiting for its turn.
            Err(std::sync::TryLockError::WouldBlock) => {
                eprintln!("a destructor locked a held mutex while its thread was panicking");
                std::process::abort()
            }
        };
        Guard { object: &self.object, content, written: false }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.content
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.written = true;
        &mut self.content
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        unlock(self.object, self.written);
    }
}

/// Shared ownership.
pub struct Arc<T: Send + Sync> {
    /// `Some` until the destructor takes it.
    shared: Option<StdArc<(Object, T)>>,
}

impl<T: Send + Sync> Arc<T> {
    pub(super) fn new(value: T) -> Self {
        Self { shared: Some(StdArc::new((Object::new(Kind::Arc, 0, 0), value))) }
    }

    fn content(&self) -> &(Object, T) {
        self.shared.as_ref().expect("only the destructor takes it")
    }
}

impl<T: Send + Sync + fmt::Debug> fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.content().1.fmt(f)
    }
}

impl<T: Send + Sync> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T: Send + Sync> Deref for Arc<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.content().1
    }
}

/// Gives up a handle; `last` tells whether it is the only one. Returns whether that runs the
/// destructor of the content, the end of which is reported to [`released`].
fn release(object: &Object, last: &dyn Fn() -> bool) -> bool {
    let steps = with_if_any(|world| world.limits.handle_steps) == Some(true);
    if steps && !last() && !thread::panicking() {
        let at = Location::caller();
        let operation = object.reach(Verb::Release, 0, 0, at);
        let last = last();
        with(|world| {
            world.record(operation, u64::from(last), at, || {
                if last { "the last".into() } else { String::new() }
            });
        });
    }
    let destructs = last();
    with_if_any(|world| {
        if world.epoch == object.epoch() {
            world.writes(object.index);
        }
        world.thread().destructors += u32::from(destructs);
        if steps {
            world.learn(u64::from(destructs) + 11);
        }
    });
    destructs
}

fn released(destructs: bool) {
    with_if_any(|world| world.thread().destructors -= u32::from(destructs));
}

impl<T: Send + Sync> Drop for Arc<T> {
    /// Which handle is the last decides which thread runs the content's destructor. That makes a
    /// visible difference only if the destructor performs operations: then giving up one of several
    /// handles is a step (`Limits::handle_steps`). Giving up the last one races with no other
    /// thread.
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        let destructs = release(&shared.0, &|| StdArc::strong_count(&shared) == 1);
        drop(shared);
        released(destructs);
    }
}
