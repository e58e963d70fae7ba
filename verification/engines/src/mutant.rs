//! `Mutant<B>`: a backend that weakens one ordering, or drops one fence, at one source line.
//!
//! **Contract.** `Mutant<B>` behaves like `B`, except at the one [`Site`] that [`weaken`] names on
//! the calling operating system thread. There it makes a *weakening*: it replaces the ordering by a
//! weaker one, or leaves out the fence. A site is a place in the source (which `#[track_caller]` in
//! the primitives' declarations passes on) and an operation, so core is neither edited nor
//! parameterised. [`record`] lists the sites that a run visits and that can be weakened.

use std::any::Any;
use std::cell::{Cell as StdCell, RefCell};
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

use crate::Checker;
use blocksmith_sync::{Atomic, AtomicPtr, Cell, Futex, Join, Ordering, Primitives, WaitOutcome};

/// An ordering in the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The source file, as the compiler names it.
    pub file: &'static str,
    /// Its line, from 1.
    pub line: u32,
    /// Its column, from 1.
    pub column: u32,
    /// The operation; `compare_exchange` has two orderings, and therefore two names.
    pub operation: &'static str,
    /// The ordering that is written there.
    pub ordering: &'static str,
}

/// A site and the ordering to use there instead; `None` leaves out the fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakening {
    /// Where.
    pub site: Site,
    /// What instead.
    pub to: Option<Ordering>,
}

thread_local! {
    /// Whether there is anything to do: a recording, or a weakening.
    static ACTIVE: StdCell<bool> = const { StdCell::new(false) };
    static RECORDED: RefCell<Option<BTreeSet<Site>>> = const { RefCell::new(None) };
    static WEAKENING: RefCell<Option<Weakening>> = const { RefCell::new(None) };
}

/// Runs `body` and returns the sites with an ordering stronger than relaxed that it visits.
pub fn record(body: impl FnOnce()) -> BTreeSet<Site> {
    RECORDED.set(Some(BTreeSet::new()));
    ACTIVE.set(true);
    body();
    ACTIVE.set(false);
    RECORDED.take().unwrap_or_default()
}

/// Runs `body` with one site weakened.
pub fn weaken<R>(weakening: Weakening, body: impl FnOnce() -> R) -> R {
    WEAKENING.set(Some(weakening));
    ACTIVE.set(true);
    let result = body();
    ACTIVE.set(false);
    WEAKENING.take();
    result
}

/// Returns the name of an ordering.
#[must_use]
pub fn name(ordering: Ordering) -> &'static str {
    match ordering {
        Ordering::Relaxed => "Relaxed",
        Ordering::Acquire => "Acquire",
        Ordering::Release => "Release",
        Ordering::AcqRel => "AcqRel",
        _ => "SeqCst",
    }
}

/// Returns the ordering to use; `None` means to leave out the fence.
#[inline]
#[track_caller]
fn order(operation: &'static str, ordering: Ordering) -> Option<Ordering> {
    if ACTIVE.get() { look_up(operation, ordering, Location::caller()) } else { Some(ordering) }
}

fn look_up(
    operation: &'static str,
    ordering: Ordering,
    at: &'static Location<'static>,
) -> Option<Ordering> {
    if ordering == Ordering::Relaxed {
        return Some(ordering);
    }
    let (file, line, column) = (at.file(), at.line(), at.column());
    let site = Site { file, line, column, operation, ordering: name(ordering) };
    let to = WEAKENING.with_borrow(|weakening| {
        weakening.as_ref().filter(|weakening| weakening.site == site).map(|weakening| weakening.to)
    });
    RECORDED.with_borrow_mut(|recorded| recorded.as_mut().map(|sites| sites.insert(site)));
    to.unwrap_or(Some(ordering))
}

/// The ordering of an access, which cannot be left out.
#[track_caller]
fn access(operation: &'static str, ordering: Ordering) -> Ordering {
    order(operation, ordering).unwrap_or(Ordering::Relaxed)
}

/// An atomic, pointer or futex of the backend below.
pub struct Weakened<A>(A);

// SAFETY: it is the atomic below, with another ordering only where that is asked for. A mutant runs
// on a checker, which then reports what is wrong instead of accessing the memory.
unsafe impl<V: Copy + Eq, A: Atomic<V>> Atomic<V> for Weakened<A> {
    fn new(value: V) -> Self {
        Self(A::new(value))
    }
    #[track_caller]
    fn load(&self, order: Ordering) -> V {
        self.0.load(access("load", order))
    }
    #[track_caller]
    fn store(&self, value: V, order: Ordering) {
        self.0.store(value, access("store", order));
    }
    #[track_caller]
    fn swap(&self, value: V, order: Ordering) -> V {
        self.0.swap(value, access("swap", order))
    }
    #[track_caller]
    fn fetch_add(&self, value: V, order: Ordering) -> V {
        self.0.fetch_add(value, access("fetch_add", order))
    }
    #[track_caller]
    fn fetch_sub(&self, value: V, order: Ordering) -> V {
        self.0.fetch_sub(value, access("fetch_sub", order))
    }
    #[track_caller]
    fn fetch_max(&self, value: V, order: Ordering) -> V {
        self.0.fetch_max(value, access("fetch_max", order))
    }
    #[track_caller]
    fn compare_exchange(
        &self,
        current: V,
        new: V,
        success: Ordering,
        failure: Ordering,
    ) -> Result<V, V> {
        let success = access("compare_exchange", success);
        let failure = access("compare_exchange (failure)", failure);
        self.0.compare_exchange(current, new, success, failure)
    }
}

// SAFETY: as above.
unsafe impl<A: Futex> Futex for Weakened<A> {
    #[track_caller]
    fn wait(&self, expected: u32) {
        self.0.wait(expected);
    }
    #[track_caller]
    fn wait_timeout(&self, expected: u32, timeout: Duration) -> WaitOutcome {
        self.0.wait_timeout(expected, timeout)
    }
    #[track_caller]
    fn wake(&self, count: u32) {
        self.0.wake(count);
    }
}

/// A pointer of the backend below.
pub struct WeakenedPtr<A>(A);

// SAFETY: as above.
unsafe impl<T, A: AtomicPtr<T>> AtomicPtr<T> for WeakenedPtr<A> {
    fn new(pointer: *mut T) -> Self {
        Self(A::new(pointer))
    }
    #[track_caller]
    fn load(&self, order: Ordering) -> *mut T {
        self.0.load(access("load", order))
    }
    #[track_caller]
    fn store(&self, pointer: *mut T, order: Ordering) {
        self.0.store(pointer, access("store", order));
    }
    #[track_caller]
    fn swap(&self, pointer: *mut T, order: Ordering) -> *mut T {
        self.0.swap(pointer, access("swap", order))
    }
    #[track_caller]
    fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        let success = access("compare_exchange", success);
        let failure = access("compare_exchange (failure)", failure);
        self.0.compare_exchange(current, new, success, failure)
    }
}

/// A thread of the backend below.
pub struct MutantJoin<J>(J);

impl<T, J: Join<T>> Join<T> for MutantJoin<J> {
    #[track_caller]
    fn join(self) -> Result<T, Box<dyn Any + Send>> {
        self.0.join()
    }
}

/// The backend; see the module documentation.
#[derive(Clone, Copy, Debug)]
pub struct Mutant<B>(PhantomData<fn() -> B>);

// SAFETY: it is the backend below; as above.
unsafe impl<B: Checker> Primitives for Mutant<B> {
    type AtomicU32 = Weakened<B::AtomicU32>;
    type AtomicU64 = Weakened<B::AtomicU64>;
    type AtomicUsize = Weakened<B::AtomicUsize>;
    type AtomicPtr<T> = WeakenedPtr<B::AtomicPtr<T>>;
    type Futex = Weakened<B::Futex>;
    type Cell<T> = MutantCell<B::Cell<T>>;
    type Mutex<T: Send> = B::Mutex<T>;
    type Arc<T: Send + Sync> = B::Arc<T>;
    type JoinHandle<T: Send + 'static> = MutantJoin<B::JoinHandle<T>>;

    #[track_caller]
    fn fence(ordering: Ordering) {
        if let Some(ordering) = order("fence", ordering) {
            B::fence(ordering);
        }
    }
    fn arc<T: Send + Sync>(value: T) -> Self::Arc<T> {
        B::arc(value)
    }
    #[track_caller]
    fn spawn<T: Send + 'static>(
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Self::JoinHandle<T> {
        MutantJoin(B::spawn(name, body))
    }
    #[track_caller]
    fn now() -> Duration {
        B::now()
    }
    #[track_caller]
    fn yield_now() {
        B::yield_now();
    }
    fn contain(foreign: impl FnOnce()) {
        B::contain(foreign);
    }
    fn counts_wrap() -> bool {
        B::counts_wrap()
    }
    fn secret() -> u64 {
        B::secret()
    }
    fn reporting() -> bool {
        B::reporting()
    }
    fn mark() -> u64 {
        B::mark()
    }
    fn rewind(mark: u64) {
        B::rewind(mark);
    }
    fn checkpoint(key: u64) {
        B::checkpoint(key);
    }
}

/// Plain memory of the backend below.
pub struct MutantCell<C>(C);

// SAFETY: it is the cell below.
unsafe impl<T, C: Cell<T>> Cell<T> for MutantCell<C> {
    fn new(value: T) -> Self {
        Self(C::new(value))
    }
    #[track_caller]
    fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        self.0.with(read)
    }
    #[track_caller]
    fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(write)
    }
}
