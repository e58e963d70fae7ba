//! Scenarios of foreign code. Wakers throw, use the channel that wakes them, drop what they can
//! reach, and throw as they are dropped, in every place where a channel calls them. The channel
//! says what must hold all the same: no item is lost, no other thread stays asleep, and no end is
//! freed while it is in use.
//!
//! A waker may be called on any thread. An end that belongs to one thread can be reached only
//! through a thread-local, which `behaving` sets. The checkers run all threads of a scenario on one
//! thread of the operating system, so all of them see what one of them sets. Where that matters,
//! only one thread wakes, or the others are `quiet`.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use blocksmith_engines::thrown::{contain, throw};
use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::broker::{Broker, Weight};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Closed, Mutex, OnFull, Primitives, oneshot};

use super::broker::{at_once, holds};
use super::channel::{Counted, of};
use super::notifier::{Shared, join};
use super::task::{Alarm, block_on};
use super::{RUNS, Row, SAMPLE, TOO_LARGE, restless, states};
use crate::channel::{Channel, Closes, Receives, Sends, Sent};
use crate::row;

thread_local! {
    /// The conduct: what foreign wakers do when this thread wakes them.
    static CONDUCT: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
    /// Where on its stack a thread became quiet; 0 if none is.
    static QUIET: Cell<usize> = const { Cell::new(0) };
}

/// Less than the stack of a checker's thread, in bytes, and more than lies between a thread that is
/// quiet and the waker that it wakes. Stacks grow downwards.
const NEAR: usize = 16 << 10;

/// Takes the conduct away when it is dropped. While a checker reports a failure, what the conduct
/// holds must not be touched.
struct Behaving;

impl Drop for Behaving {
    fn drop(&mut self) {
        let conduct = CONDUCT.take();
        if std::thread::panicking() {
            std::mem::forget(conduct);
        }
    }
}

/// Runs `body`. Foreign wakers that this thread wakes meanwhile call `conduct`.
fn behaving<R>(conduct: impl Fn() + 'static, body: impl FnOnce() -> R) -> R {
    CONDUCT.set(Some(Rc::new(conduct)));
    let _end = Behaving;
    body()
}

/// Takes the quiet away when it is dropped.
struct Quiet;

impl Drop for Quiet {
    fn drop(&mut self) {
        QUIET.set(0);
    }
}

/// Runs `body`. Foreign wakers that this thread wakes meanwhile call no conduct: it belongs to
/// another thread, which may run in between, and whose wakers call it.
fn quiet<R>(body: impl FnOnce() -> R) -> R {
    QUIET.set(address());
    let _end = Quiet;
    body()
}

/// Returns where the caller is on the stack of its thread. The checkers' threads are coroutines: a
/// stack is the only thing that each of them has to itself.
#[inline(never)]
fn address() -> usize {
    let here = std::hint::black_box(0_u8);
    std::ptr::from_ref(&here).addr()
}

/// A waker that calls the conduct of the thread that wakes it, if that thread has one and is not
/// quiet.
struct Foreign;

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        if QUIET.get().wrapping_sub(address()) < NEAR {
            return;
        }
        let conduct = CONDUCT.with_borrow(Clone::clone);
        if let Some(conduct) = conduct {
            conduct();
        }
    }
}

/// A waker that throws when it is woken.
struct Throws;

impl Wake for Throws {
    fn wake(self: Arc<Self>) {
        throw();
    }
}

/// A waker that throws as it is dropped, whether it has been woken or not.
struct ThrowsAtTheEnd<P: Primitives>(Alarm<P>);

impl<P: Primitives> Wake for ThrowsAtTheEnd<P> {
    fn wake(self: Arc<Self>) {
        self.0.ring();
    }
}

impl<P: Primitives> Drop for ThrowsAtTheEnd<P> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            throw();
        }
    }
}

/// A waker that takes what is in a slot, and drops it.
struct Drops<P: Primitives, T: Send + 'static>(P::Mutex<Option<T>>);

impl<P: Primitives, T: Send + 'static> Drops<P, T> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }

    fn put(&self, value: T) {
        *self.0.lock() = Some(value);
    }

    fn empty(&self) {
        let taken = self.0.lock().take();
        drop(taken);
    }
}

impl<P: Primitives, T: Send + 'static> Wake for Drops<P, T> {
    fn wake(self: Arc<Self>) {
        self.empty();
    }
}

/// Polls a future once.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&waker))
}

/// Lets a future wait with `waker`, and forgets the future, so that the waker stays registered.
fn forgotten(future: impl Future, waker: Waker) {
    let mut future = Box::pin(future);
    assert!(poll(future.as_mut(), waker).is_pending());
    std::mem::forget(future);
}

/// Returns the item if it was accepted. Otherwise asserts that it came back, and returns 0.
fn accepted(sent: Sent<u32>, item: u32) -> u32 {
    match sent {
        Ok(evicted) => {
            assert_eq!(evicted, None);
            item
        }
        Err(error) => {
            assert_eq!(error.into_inner(), item);
            0
        }
    }
}

/// A receiving task's waker sends through the end that wakes it, while the receiver closes.
pub fn a_waker_sends_again<P: Primitives, C: Channel>() {
    let (sender, mut receiver) = C::open::<P, u32>(3, OnFull::Block);
    forgotten(receiver.recv_async(), Waker::from(Arc::new(Foreign)));
    let thread = P::spawn("sender", move || {
        let (sender, again) = (Rc::new(sender), Rc::new(Cell::new(0)));
        let (same, sum) = (sender.clone(), again.clone());
        let conduct = move || sum.set(sum.get() + accepted(same.try_send(2), 2));
        let first = behaving(conduct, || accepted(sender.send(1), 1));
        first + again.get()
    });
    quiet(|| receiver.close());
    let received: u32 = receiver.iter().sum();
    assert_eq!(received, join(thread), "accepted and received differ");
}

/// A receiving task's waker sends through the end that wakes it by a batch, while the receiver
/// closes.
pub fn a_waker_sends_after_a_batch<P: Primitives, C: Channel>() {
    let (sender, mut receiver) = C::open::<P, u32>(4, OnFull::Block);
    forgotten(receiver.recv_async(), Waker::from(Arc::new(Foreign)));
    let thread = P::spawn("sender", move || {
        let (sender, again) = (Rc::new(sender), Rc::new(Cell::new(0)));
        let (same, sum) = (sender.clone(), again.clone());
        let conduct = move || sum.set(sum.get() + accepted(same.try_send(4), 4));
        let mut batch = vec![1, 2];
        let sent = behaving(conduct, || sender.try_send_batch(&mut batch)).unwrap_or(0);
        assert_eq!(batch, [1, 2][sent..]);
        [0, 1, 3][sent] + again.get()
    });
    quiet(|| receiver.close());
    let received: u32 = receiver.iter().sum();
    assert_eq!(received, join(thread), "accepted and received differ");
}

/// A sending task's waker receives through the end that wakes it, while a thread sends.
pub fn a_waker_receives_again<P: Primitives, C: Channel>() {
    let (mut sender, receiver) = C::open::<P, u32>(2, OnFull::Block);
    (1..=2).for_each(|item| assert_eq!(sender.try_send(item), Ok(None)));
    forgotten(sender.send_async(8), Waker::from(Arc::new(Foreign)));
    let thread = P::spawn("receiver", move || {
        let (receiver, again) = (Rc::new(receiver), Rc::new(Cell::new(0)));
        let (same, sum) = (receiver.clone(), again.clone());
        let conduct = move || sum.set(sum.get() + same.try_recv().unwrap_or(0));
        let first = behaving(conduct, || receiver.recv().unwrap_or(0));
        let Some(receiver) = Rc::into_inner(receiver) else { panic!("the conduct is over") };
        (first + again.get(), receiver)
    });
    let sent = accepted(sender.try_send(4), 4);
    let (received, receiver) = join(thread);
    drop(sender);
    let rest = receiver.iter().sum::<u32>();
    assert_eq!(received + rest, 3 + sent, "accepted and received differ");
}

/// A receiving task's waker throws at the send that wakes it. The send succeeds all the same.
pub fn a_waker_throws_at_a_send<P: Primitives, C: Channel>() {
    let (sender, mut receiver) = C::open::<P, u32>(1, OnFull::Block);
    let thread = P::spawn("sender", move || {
        assert_eq!(sender.send(1), Ok(None));
        assert_eq!(sender.send(2), Ok(None));
    });
    let first = {
        let mut next = pin!(receiver.recv_async());
        match poll(next.as_mut(), Waker::from(Arc::new(Throws))) {
            Poll::Ready(item) => item,
            Poll::Pending => block_on::<P, _>(next),
        }
    };
    assert_eq!([first, receiver.recv(), receiver.recv()], [Ok(1), Ok(2), Err(Closed)]);
    join(thread);
}

/// A sending task's waker throws at the receive that wakes it. The receive has its item.
pub fn a_waker_throws_at_a_receive<P: Primitives, C: Channel>() {
    let (mut sender, receiver) = C::open::<P, u32>(1, OnFull::Block);
    assert_eq!(sender.try_send(1), Ok(None));
    let thread = P::spawn("receiver", move || {
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
        assert_eq!(receiver.recv(), Err(Closed));
    });
    {
        let mut second = pin!(sender.send_async(2));
        let sent = match poll(second.as_mut(), Waker::from(Arc::new(Throws))) {
            Poll::Ready(sent) => sent,
            Poll::Pending => block_on::<P, _>(second),
        };
        assert_eq!(sent, Ok(None));
    }
    drop(sender);
    join(thread);
}

/// Two tasks wait for the end, and the waker of the first throws. The second is woken, whether the
/// receiver closes or goes.
pub fn a_waker_throws_at_the_end<P: Primitives, C: Channel, const GOES: bool>() {
    let (sender, receiver) = C::open::<P, u32>(1, OnFull::Block);
    let thread = P::spawn("receiver", move || {
        receiver.close();
        if GOES { None } else { Some(receiver) }
    });
    let mut first = pin!(sender.closed_async());
    let _ = poll(first.as_mut(), Waker::from(Arc::new(Throws)));
    block_on::<P, _>(sender.closed_async());
    assert!(sender.is_closed());
    drop(join(thread));
}

/// The receiver closes while two tasks wait for the end, and the waker of the first throws.
pub fn a_waker_throws_at_the_close<P: Primitives, C: Channel>() {
    a_waker_throws_at_the_end::<P, C, false>();
}

/// The receiver goes while two tasks wait for the end, and the waker of the first throws.
pub fn a_waker_throws_at_the_drop<P: Primitives, C: Channel>() {
    a_waker_throws_at_the_end::<P, C, true>();
}

/// A receiving task's wakers throw as they are dropped. One is dropped when a poll replaces it, the
/// other when the task has its item and leaves the list. The item arrives.
pub fn a_waker_throws_as_it_goes<P: Primitives, C: Channel>() {
    let (sender, mut receiver) = C::open::<P, u32>(1, OnFull::Block);
    let thread = P::spawn("sender", move || assert_eq!(sender.send(7), Ok(None)));
    let waker = || Waker::from(Arc::new(ThrowsAtTheEnd::<P>(Alarm::new())));
    let received = {
        let mut next = pin!(receiver.recv_async());
        let polled = [(); 2].iter().find_map(|()| {
            let waker = waker();
            let polled = next.as_mut().poll(&mut Context::from_waker(&waker));
            contain(|| drop(waker)); // ours
            if let Poll::Ready(item) = polled { Some(item) } else { None }
        });
        polled.unwrap_or_else(|| block_on::<P, _>(next))
    };
    assert_eq!((received, receiver.recv()), (Ok(7), Err(Closed)));
    join(thread);
}

/// A chosen task finds room before it knows that it was chosen, and passes the choice on to another
/// sender. That sender's waker throws. The accepted item arrives.
pub fn a_chosen_sender_wakes_one_that_throws<P: Primitives, C: Channel>() {
    let (sender, receiver) = C::open::<P, u32>(1, OnFull::Block);
    assert_eq!(sender.try_send(1), Ok(None));
    let mut senders = C::senders(sender, 2);
    let (Some(mut other), Some(mut sender)) = (senders.pop(), senders.pop()) else {
        panic!("a channel with several senders")
    };
    let mut second = Box::pin(sender.send_async(2));
    assert!(poll(second.as_mut(), Alarm::<P>::waker()).is_pending());
    forgotten(other.send_async(4), Waker::from(Arc::new(Throws)));
    let thread = P::spawn("receiver", move || {
        assert_eq!(receiver.recv(), Ok(1));
        receiver.close();
        receiver.iter().sum::<u32>()
    });
    let sent = poll(second.as_mut(), Alarm::<P>::waker());
    drop(second);
    let sent = if let Poll::Ready(sent) = sent { accepted(sent, 2) } else { 0 };
    assert_eq!(join(thread), sent, "accepted and received differ");
}

/// A chosen task passes the choice on to another sender, whose waker drops the receiver. The drop
/// must not wait for an item that the very thread on which it runs has accepted and not yet linked.
pub fn a_chosen_sender_wakes_one_that_drops_the_receiver<P: Primitives, C: Channel>() {
    let (sender, receiver) = C::open::<P, Counted<P>>(1, OnFull::Block);
    let drops = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let item = || Counted(drops.clone());
    assert!(sender.try_send(item()).is_ok());
    let mut senders = C::senders(sender, 2);
    let (Some(mut other), Some(mut sender)) = (senders.pop(), senders.pop()) else {
        panic!("a channel with several senders")
    };
    let slot = Drops::<P, _>::new();
    let mut second = Box::pin(sender.send_async(item()));
    assert!(poll(second.as_mut(), Alarm::<P>::waker()).is_pending());
    let mut third = Box::pin(other.send_async(item()));
    assert!(poll(third.as_mut(), Waker::from(slot.clone())).is_pending());
    let receiving = slot.clone();
    let thread = P::spawn("receiver", move || {
        let first = receiver.recv();
        // From here on, the thread that takes the receiver drops it.
        receiving.put(receiver);
        drop(first);
    });
    let _ = poll(second.as_mut(), Alarm::<P>::waker());
    drop((second, third));
    join(thread);
    slot.empty();
    assert_eq!(drops.load(Relaxed), 3, "items dropped");
}

/// Three tasks wait, and one notification is for all of them. The first waker throws, and the
/// second notifies again. The third is woken.
pub fn a_notification_for_all<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let wakers = [Waker::from(Arc::new(Throws)), Waker::from(Arc::new(Foreign))];
    let mut tasks = [(); 2].map(|()| Box::pin(shared.changed.until(|| None::<()>)));
    for (task, waker) in tasks.iter_mut().zip(wakers) {
        assert!(poll(task.as_mut(), waker).is_pending());
    }
    let other = shared.clone();
    let thread = P::spawn("notifier", move || {
        let again = other.clone();
        other.count.store(1, Relaxed);
        behaving(move || again.changed.notify_many(2), || other.changed.notify_all());
    });
    let is_set = || (shared.count.load(Relaxed) == 1).then_some(());
    block_on::<P, _>(shared.changed.until(is_set));
    join(thread);
}

/// The waker of a task that awaits a one-shot throws. The send succeeds, and the value arrives.
pub fn a_one_shots_waker_throws<P: Primitives>() {
    let (sender, mut receiver) = oneshot::channel::<P, u32>();
    let thread = P::spawn("sender", move || assert_eq!(sender.send(7), Ok(())));
    let value = match poll(Pin::new(&mut receiver), Waker::from(Arc::new(Throws))) {
        Poll::Ready(value) => value,
        Poll::Pending => receiver.recv(),
    };
    assert_eq!(value, Ok(7));
    join(thread);
}

/// The waker of a task that awaits a one-shot drops the receiving end. The value is dropped once.
pub fn a_one_shots_waker_drops_its_receiver<P: Primitives>() {
    let drops = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let value = Counted::<P>(drops.clone());
    let (sender, mut receiver) = oneshot::channel::<P, Counted<P>>();
    let slot = Drops::<P, _>::new();
    let thread = P::spawn("sender", move || drop(sender.send(value)));
    drop(poll(Pin::new(&mut receiver), Waker::from(slot.clone())));
    slot.put(receiver);
    join(thread);
    slot.empty();
    assert_eq!(drops.load(Relaxed), 1, "values dropped");
}

/// A waker that calls the broker.
struct Asks<P: Primitives>(Broker<P>);

impl<P: Primitives> Wake for Asks<P> {
    fn wake(self: Arc<Self>) {
        let snapshot = self.0.snapshot();
        assert_eq!(snapshot.level, self.0.level());
    }
}

/// The waker of a subscriber asks the broker that wakes it. Another subscriber has gone, but a task
/// still waits on its notifier; that task's waker asks the broker, too.
pub fn a_subscribers_waker_asks_the_broker<P: Primitives>() {
    let Ok(broker) = Broker::<P>::new(at_once()) else { panic!("the limits make sense") };
    assert_eq!(broker.watch("work", Weight::Counts, || holds(10)), Ok(()));
    let asks = || Waker::from(Arc::new(Asks(broker.clone())));
    let Ok((_, mut changes)) = broker.subscribe() else { panic!("there is room") };
    let notifier = P::arc(EventNotifier::<P>::new());
    drop(broker.subscribe_on(notifier.clone()));
    forgotten(notifier.until(|| None::<()>), asks());
    let observer = broker.clone();
    let early = {
        let mut next = pin!(changes.recv_async());
        let early = poll(next.as_mut(), asks());
        let thread = P::spawn("observer", move || assert!(observer.observe().is_some()));
        let change = block_on::<P, _>(next);
        join(thread);
        assert!(early.is_pending());
        change
    };
    assert_eq!(early.map(|change| change.to), Ok(broker.level()));
}

/// Returns the scenarios of every channel.
pub(super) fn list<C: Channel>() -> Vec<Row> {
    vec![
        row! {
            foreign::a_waker_sends_again for C,
            "a waker sends through the end that wakes it while the channel closes: what is accepted \
             is received, what comes back is not",
            Some(&hazard::M11),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            foreign::a_waker_sends_after_a_batch for C,
            "the same, woken by a batch", Some(&hazard::M11),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            foreign::a_waker_receives_again for C,
            "a waker receives through the end that wakes it: each item once", Some(&hazard::M11),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            foreign::a_waker_throws_at_a_send for C,
            "a send whose receiver's waker throws has sent", Some(&hazard::N13),
            threads: 2, loom: restless(2), shuttle: SAMPLE,
            stepped: of::<C, _>(TOO_LARGE, states(400_000), states(400_000)), std: RUNS,
        },
        row! {
            foreign::a_waker_throws_at_a_receive for C,
            "a receive whose sender's waker throws has its item", Some(&hazard::N13),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            foreign::a_waker_throws_at_the_close for C,
            "a close wakes all who wait for it, though one waker throws", Some(&hazard::N13),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            foreign::a_waker_throws_at_the_drop for C,
            "the drop of the receiver wakes all who wait for it, though one waker throws",
            Some(&hazard::N13),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            foreign::a_waker_throws_as_it_goes for C,
            "a waker that throws as it is dropped costs no item", Some(&hazard::N13),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
    ]
}

/// Returns the scenarios of a channel with several senders.
pub(super) fn many<C: Channel>() -> Vec<Row> {
    vec![
        row! {
            foreign::a_chosen_sender_wakes_one_that_throws for C,
            "a task that passes its choice on to one whose waker throws loses no item", Some(&hazard::M12),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            foreign::a_chosen_sender_wakes_one_that_drops_the_receiver for C,
            "a task that passes its choice on to one whose waker drops the receiver keeps nobody \
             waiting",
            Some(&hazard::M12),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
    ]
}

/// Returns the scenarios of the notifier, the one-shot and the broker.
pub(super) fn others() -> Vec<Row> {
    vec![
        row! {
            foreign::a_notification_for_all,
            "a notification for all reaches all, though one waker throws and one notifies",
            Some(&hazard::N13),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            foreign::a_one_shots_waker_throws,
            "a one-shot whose receiver's waker throws has sent", Some(&hazard::N13),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        row! {
            foreign::a_one_shots_waker_drops_its_receiver,
            "a waker may drop the receiving end that it belongs to; the value is dropped once",
            Some(&hazard::N12),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        row! {
            foreign::a_subscribers_waker_asks_the_broker,
            "a waker may call the broker that wakes it", Some(&hazard::N12),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
    ]
}
