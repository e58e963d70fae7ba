//! The newtypes that turn a checker's atomics into the primitives of core, in one place for all
//! checkers.
//!
//! A checker reports by panicking. Destructors of the code under test then run, and must not enter
//! the checker again: a second panic would abort the process, and the report would be lost. So
//! every operation returns at once during a panic. Loads then return zero and exchanges succeed, so
//! that loops end.

/// What a thread does before each access to an atomic, if the checker must be told more than the
/// access itself tells it.
pub(crate) trait Turn {
    fn new() -> Self;
    fn take(&self);
}

/// The checker need not be told more.
impl Turn for () {
    fn new() -> Self {}
    fn take(&self) {}
}

/// Defines `$name`, an integer atomic of core over the checker's `$inner`. `$order` maps an
/// ordering to the one that the checker is given; `$who` tells which thread runs, for recordings.
macro_rules! integer {
    ($name:ident, $inner:ty, $turn:ty, $value:ty, $order:path, $who:path) => {
        /// An integer atomic that the checker sees.
        pub struct $name($inner, $turn);

        impl $name {
            #[track_caller]
            fn step(&self, operation: &'static str, access: impl FnOnce() -> Access) {
                let at = std::panic::Location::caller();
                let object = Object("atomic", std::ptr::from_ref(self) as usize);
                $crate::recording::note($who, operation, Some(object), access, at);
            }
        }

        // SAFETY: it is the checker's atomic, operation by operation; while the checker reports,
        // the execution is abandoned.
        unsafe impl Atomic<$value> for $name {
            fn new(value: $value) -> Self {
                Self(<$inner>::new(value), Turn::new())
            }
            #[track_caller]
            fn load(&self, order: Ordering) -> $value {
                if std::thread::panicking() {
                    return 0;
                }
                self.1.take();
                let value = self.0.load($order(order));
                self.step("load", || {
                    Access::of(format_args!("{order:?}"))
                        .read(value)
                        .result(format_args!("= {value}"))
                });
                value
            }
            #[track_caller]
            fn store(&self, value: $value, order: Ordering) {
                if std::thread::panicking() {
                    return;
                }
                self.1.take();
                self.0.store(value, $order(order));
                self.step("store", || Access::of(format_args!("{value}, {order:?}")).wrote(value));
            }
            #[track_caller]
            fn swap(&self, value: $value, order: Ordering) -> $value {
                if std::thread::panicking() {
                    return 0;
                }
                self.1.take();
                let before = self.0.swap(value, $order(order));
                self.step("swap", || {
                    Access::of(format_args!("{value}, {order:?}")).read(before).wrote(value)
                });
                before
            }
            #[track_caller]
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                if std::thread::panicking() {
                    return 0;
                }
                self.1.take();
                let before = self.0.fetch_add(value, $order(order));
                self.step("fetch_add", || {
                    let after = before.wrapping_add(value);
                    Access::of(format_args!("{value}, {order:?}")).read(before).wrote(after)
                });
                before
            }
            #[track_caller]
            fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                if std::thread::panicking() {
                    return 0;
                }
                self.1.take();
                let before = self.0.fetch_sub(value, $order(order));
                self.step("fetch_sub", || {
                    let after = before.wrapping_sub(value);
                    Access::of(format_args!("{value}, {order:?}")).read(before).wrote(after)
                });
                before
            }
            #[track_caller]
            fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                if std::thread::panicking() {
                    return 0;
                }
                self.1.take();
                let before = self.0.fetch_max(value, $order(order));
                self.step("fetch_max", || {
                    let after = before.max(value);
                    Access::of(format_args!("{value}, {order:?}")).read(before).wrote(after)
                });
                before
            }
            #[track_caller]
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if std::thread::panicking() {
                    return Ok(current);
                }
                self.1.take();
                let result =
                    self.0.compare_exchange(current, new, $order(success), $order(failure));
                self.step("compare_exchange", || {
                    let access = Access::of(format_args!("{current}, {new}, {success:?}"));
                    match result {
                        Ok(before) => access.read(before).wrote(new).result("succeeds"),
                        Err(found) => access.read(found).result("fails"),
                    }
                });
                result
            }
        }
    };
}

/// Likewise defines `$name<T>`, the pointer atomic; `$inner` is the checker's atomic pointer to
/// `()`.
macro_rules! pointer {
    ($name:ident, $inner:ty, $turn:ty, $order:path, $who:path) => {
        /// A pointer atomic that the checker sees. All `T` share one instance of the checker's
        /// type, because generic code of the checkers is most of what is compiled here.
        pub struct $name<T>($inner, $turn, std::marker::PhantomData<*mut T>);

        // SAFETY: an atomic pointer hands out nothing but the address; see std's `AtomicPtr`.
        unsafe impl<T> Send for $name<T> {}
        // SAFETY: as above.
        unsafe impl<T> Sync for $name<T> {}

        impl<T> $name<T> {
            #[track_caller]
            fn step(&self, operation: &'static str, access: impl FnOnce() -> Access) {
                let at = std::panic::Location::caller();
                let object = Object("pointer", std::ptr::from_ref(self) as usize);
                $crate::recording::note($who, operation, Some(object), access, at);
            }

            /// Addresses differ from run to run, so none is shown.
            fn shown(pointer: *mut ()) -> &'static str {
                if pointer.is_null() { "null" } else { "set" }
            }
        }

        // SAFETY: as above.
        unsafe impl<T> AtomicPtr<T> for $name<T> {
            fn new(pointer: *mut T) -> Self {
                Self(<$inner>::new(pointer.cast()), Turn::new(), std::marker::PhantomData)
            }
            #[track_caller]
            fn load(&self, order: Ordering) -> *mut T {
                if std::thread::panicking() {
                    return std::ptr::null_mut();
                }
                self.1.take();
                let pointer = self.0.load($order(order));
                let shown = Self::shown(pointer);
                self.step("load", || {
                    Access::of(format_args!("{order:?}"))
                        .read(shown)
                        .result(format_args!("= {shown}"))
                });
                pointer.cast()
            }
            #[track_caller]
            fn store(&self, pointer: *mut T, order: Ordering) {
                if std::thread::panicking() {
                    return;
                }
                self.1.take();
                self.0.store(pointer.cast(), $order(order));
                let shown = Self::shown(pointer.cast());
                self.step("store", || Access::of(format_args!("{shown}, {order:?}")).wrote(shown));
            }
            #[track_caller]
            fn swap(&self, pointer: *mut T, order: Ordering) -> *mut T {
                if std::thread::panicking() {
                    return pointer;
                }
                self.1.take();
                let before = self.0.swap(pointer.cast(), $order(order));
                let shown = Self::shown(pointer.cast());
                self.step("swap", || {
                    let access = Access::of(format_args!("{shown}, {order:?}"));
                    access.read(Self::shown(before)).wrote(shown)
                });
                before.cast()
            }
            #[track_caller]
            fn compare_exchange(
                &self,
                current: *mut T,
                new: *mut T,
                success: Ordering,
                failure: Ordering,
            ) -> Result<*mut T, *mut T> {
                if std::thread::panicking() {
                    return Ok(current);
                }
                self.1.take();
                let (old, new) = (current.cast(), new.cast());
                let result = self.0.compare_exchange(old, new, $order(success), $order(failure));
                self.step("compare_exchange", || {
                    let access = Access::of(format_args!("{success:?}"));
                    match result {
                        Ok(before) => {
                            let access = access.read(Self::shown(before));
                            access.wrote(Self::shown(new)).result("succeeds")
                        }
                        Err(found) => access.read(Self::shown(found)).result("fails"),
                    }
                });
                result.map(<*mut ()>::cast).map_err(<*mut ()>::cast)
            }
        }
    };
}

/// The threads that sleep on a futex, the longest sleeper first. A thread that is no longer in the
/// list has been woken.
pub(crate) struct Sleepers<T>(std::sync::Mutex<std::collections::VecDeque<T>>);

impl<T> Sleepers<T> {
    pub(crate) fn new() -> Self {
        Self(std::sync::Mutex::default())
    }

    fn all(&self) -> std::sync::MutexGuard<'_, std::collections::VecDeque<T>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn join(&self, thread: T) {
        self.all().push_back(thread);
    }

    /// Returns whether a thread is still asleep.
    pub(crate) fn has(&self, is_it: impl Fn(&T) -> bool) -> bool {
        self.all().iter().any(is_it)
    }

    /// Takes off a thread that nobody has woken; returns whether there was one.
    pub(crate) fn leave(&self, is_it: impl Fn(&T) -> bool) -> bool {
        let mut all = self.all();
        all.iter().position(is_it).and_then(|place| all.remove(place)).is_some()
    }

    /// Takes off the thread that `choose` picks, to be woken; `choose` gets the number of sleepers.
    pub(crate) fn wake(&self, choose: impl FnOnce(usize) -> usize) -> Option<T> {
        let asleep = self.all().len();
        if asleep == 0 { None } else { self.all().remove(choose(asleep)) }
    }
}

/// Defines `$name`, a futex over the integer atomic `$word`; `$thread` is the checker's module of
/// threads, and `$who` tells which one runs. `$latest` reads the word's latest value and is the scheduling point of a comparison.
/// There is no scheduling point between it and joining the sleepers, so the two are one step.
macro_rules! futex {
    ($name:ident, $word:ty, $($thread:ident)::+, $latest:expr, $who:path) => {
        /// A word to sleep on that the checker sees.
        pub struct $name {
            word: $word,
            sleepers: $crate::atomics::Sleepers<$($thread)::+::Thread>,
        }

        impl $name {
            fn latest(&self) -> u32 {
                $latest(&self.word.0)
            }

            /// Compares, and joins the sleepers if the word is as expected.
            #[track_caller]
            fn fall_asleep(&self, expected: u32, has_deadline: bool) -> bool {
                let asleep = self.latest() == expected;
                self.word.step("wait", || {
                    let result = if asleep { "sleeps" } else { "has changed" };
                    Access::of(expected).result(result)
                });
                if asleep {
                    self.sleepers.join($($thread)::+::current());
                    self.stand(Stand::Asleep(self.object(), has_deadline));
                }
                asleep
            }

            fn object(&self) -> Object {
                Object("atomic", std::ptr::from_ref(&self.word) as usize)
            }

            #[track_caller]
            fn stand(&self, stand: Stand) {
                $crate::recording::stand($who, stand, std::panic::Location::caller());
            }

            /// Takes the calling thread off the list; returns whether nobody has woken it.
            fn leave(&self) -> bool {
                let me = $($thread)::+::current().id();
                self.sleepers.leave(|sleeper| sleeper.id() == me)
            }

            /// Wakes `count` sleepers, each picked by `choose`.
            #[track_caller]
            fn wake_some(&self, count: u32, choose: impl Fn(usize) -> usize) {
                // This conflicts with the comparison in a wait, so both orders are explored.
                self.latest();
                self.word.step("wake", || Access::of(count));
                for _ in 0..count {
                    let Some(sleeper) = self.sleepers.wake(&choose) else { break };
                    sleeper.unpark();
                }
            }

            /// Records how a sleep ended.
            #[track_caller]
            fn ended(&self, woken: bool, otherwise: &'static str) -> WaitOutcome {
                self.stand(Stand::Runs);
                self.word.step("wait", || {
                    Access::of("..").result(if woken { "is woken" } else { otherwise })
                });
                if woken { WaitOutcome::Woken } else { WaitOutcome::TimedOut }
            }
        }

        // SAFETY: the word inside is such an atomic.
        unsafe impl Atomic<u32> for $name {
            fn new(value: u32) -> Self {
                let sleepers = $crate::atomics::Sleepers::new();
                Self { word: Atomic::new(value), sleepers }
            }
            #[track_caller]
            fn load(&self, order: Ordering) -> u32 {
                self.word.load(order)
            }
            #[track_caller]
            fn store(&self, value: u32, order: Ordering) {
                self.word.store(value, order);
            }
            #[track_caller]
            fn swap(&self, value: u32, order: Ordering) -> u32 {
                self.word.swap(value, order)
            }
            #[track_caller]
            fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
                self.word.fetch_add(value, order)
            }
            #[track_caller]
            fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
                self.word.fetch_sub(value, order)
            }
            #[track_caller]
            fn fetch_max(&self, value: u32, order: Ordering) -> u32 {
                self.word.fetch_max(value, order)
            }
            #[track_caller]
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
    };
}

/// Defines `$name<T>` and its guard over the checker's mutex: the lock is the checker's, but the
/// content is ours, so that it can be accessed while the checker reports.
macro_rules! mutex {
    ($name:ident, $guard:ident, $lock:ty, $inner_guard:ident, $who:path) => {
        /// A mutex that the checker sees.
        pub struct $name<T> {
            lock: $lock,
            content: std::cell::UnsafeCell<T>,
        }

        // SAFETY: the content is accessed only through the guard, and there is only one guard at a
        // time.
        unsafe impl<T: Send> Send for $name<T> {}
        // SAFETY: as above.
        unsafe impl<T: Send> Sync for $name<T> {}

        /// The guard of the mutex; it holds no lock while the checker reports.
        pub struct $guard<'a, T> {
            lock: Option<$inner_guard<'a, ()>>,
            content: &'a std::cell::UnsafeCell<T>,
        }

        // SAFETY: the lock is the checker's, and the guard holds it, except while the checker
        // reports; then only one thread unwinds.
        unsafe impl<T: Send> Mutex<T> for $name<T> {
            type Guard<'a>
                = $guard<'a, T>
            where
                T: 'a;

            fn new(value: T) -> Self {
                Self { lock: <$lock>::new(()), content: std::cell::UnsafeCell::new(value) }
            }
            #[track_caller]
            fn lock(&self) -> Self::Guard<'_> {
                if std::thread::panicking() {
                    return $guard { lock: None, content: &self.content };
                }
                let at = std::panic::Location::caller();
                let object =
                    Object("mutex", std::ptr::from_ref(&self.content) as *const () as usize);
                $crate::recording::stand($who, Stand::Locks(object), at);
                let lock = self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                $crate::recording::stand($who, Stand::Runs, at);
                $crate::recording::holds($who, object, true);
                let access = || Access::of("").wrote("locked");
                $crate::recording::note($who, "lock", Some(object), access, at);
                $guard { lock: Some(lock), content: &self.content }
            }
        }

        impl<T> std::ops::Deref for $guard<'_, T> {
            type Target = T;
            fn deref(&self) -> &T {
                // SAFETY: the lock is held, or the checker reports and only one thread unwinds.
                unsafe { &*self.content.get() }
            }
        }

        impl<T> std::ops::DerefMut for $guard<'_, T> {
            fn deref_mut(&mut self) -> &mut T {
                // SAFETY: as in `deref`.
                unsafe { &mut *self.content.get() }
            }
        }

        impl<T> Drop for $guard<'_, T> {
            #[track_caller]
            fn drop(&mut self) {
                if std::thread::panicking() {
                    std::mem::forget(self.lock.take());
                    return;
                }
                let at = std::panic::Location::caller();
                let object =
                    Object("mutex", std::ptr::from_ref(self.content) as *const () as usize);
                let access = || Access::of("").wrote("free");
                $crate::recording::note($who, "unlock", Some(object), access, at);
                $crate::recording::holds($who, object, false);
            }
        }
    };
}

pub(crate) use {futex, integer, mutex, pointer};
