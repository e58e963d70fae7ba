//! A one-shot: one value from one sender to one receiver, and the news when either end is gone.
//!
//! **Contract.** [`channel`] makes one allocation and two ends. Each end acts at most once: the sender
//! sends or is dropped, the receiver receives or is dropped. Nobody waits for an end that is gone.
//! Sending never blocks. The receiver waits in one of two ways, and may change between them: a thread
//! blocks in [`Receiver::recv`], or a task awaits the [`Receiver`], which is a future. A future that is
//! dropped loses nothing but the value that was meant for it. A sender that wants to know whether anybody
//! still waits looks ([`Sender::is_closed`]) or waits for that ([`Sender::closed`] and its kin).
//!
//! The state is one word, on which the receiver's thread sleeps:
//!
//! ```text
//!            recv            send                    recv, poll
//!   EMPTY ---------> WAITING ------> SENT  ------------------> TAKEN
//!     |  \____________|_|__________/   (from EMPTY and REGISTERED too)
//!     | poll          | |
//!     +-> REGISTERED -+ |
//!     |                 |
//!     |    drop Sender  |
//!     +-----------------+----------> SENDER_GONE     recv, poll: Closed
//!     |  drop Receiver, close (it does not sleep then)
//!     +----------------------------> RECEIVER_GONE   send: the value back
//! ```
//!
//! | state | meaning | who may leave it |
//! |---|---|---|
//! | `EMPTY` | both ends live, nobody sleeps | both |
//! | `WAITING` | the receiver sleeps, or is about to | both |
//! | `REGISTERED` | the receiver's waker is in its cell | both |
//! | `SENT` | the value is in the cell; the sender is done | the receiver |
//! | `TAKEN` | the value has moved out | nobody |
//! | `SENDER_GONE` | dropped without sending | nobody |
//! | `RECEIVER_GONE` | dropped or closed without receiving | the sender, as it ends (a late `send` takes its value back) |
//!
//! **Invariants.**
//! - I1 The sender touches the cell only before its one swap of the state, and after it only if that
//!   swap returned `RECEIVER_GONE`. The receiver touches the cell only after it has read `SENT`, and
//!   reads the state no more once it has made it `RECEIVER_GONE`.
//! - I2 The cell holds an `Option`: a value is moved out or dropped with the allocation, never both.
//! - I3 Whoever finds `WAITING` when it ends the sender's part wakes the futex; whoever finds
//!   `REGISTERED` takes the waker and wakes it.
//! - I4 The waker's cell belongs to the receiver, except that a swap which returns `REGISTERED` hands it
//!   to the one that swapped. The receiver takes `REGISTERED` back before it touches the cell again.
//!
//! **Memory order.** Two pairs. The sender's swap releases the value, the receiver's read of `SENT`
//! acquires it. The receiver's registration releases the waker, the sender's swap acquires it. When the
//! receiver is gone, nothing is handed over; who waits for that sleeps and wakes by the notifier's fences.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

pub use crate::error::{Closed, RecvTimeoutError, SendError, TryRecvError};

use crate::ends::opaque_debug;
use crate::notifier::EventNotifier;
use crate::primitives::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::primitives::{Atomic, Cell, Futex, Primitives, WaitOutcome};
use crate::spin::look_again;

const EMPTY: u32 = 0;
const WAITING: u32 = 1;
const SENT: u32 = 2;
const TAKEN: u32 = 3;
const SENDER_GONE: u32 = 4;
const RECEIVER_GONE: u32 = 5;
const REGISTERED: u32 = 6;

struct Shared<P: Primitives, T> {
    /// See the table at the top of the file.
    state: P::Futex,
    value: P::Cell<Option<T>>,
    /// Of the task that awaits (I4).
    waker: P::Cell<Option<Waker>>,
    /// A sender sleeps on it that waits for the receiver to go.
    closing: EventNotifier<P>,
}

// SAFETY: a cell is reached by one end at a time (I1, I4), and its content may change threads.
unsafe impl<P: Primitives, T: Send> Send for Shared<P, T> {}
// SAFETY: as above; the state is an atomic.
unsafe impl<P: Primitives, T: Send> Sync for Shared<P, T> {}

/// Returns the two ends of a new one-shot.
///
/// ```
/// use blocksmith_sync::{Std, oneshot};
///
/// let (reply, answer) = oneshot::channel::<Std, u64>();
/// std::thread::spawn(move || reply.send(42));
/// assert_eq!(answer.recv(), Ok(42));
/// ```
#[must_use]
pub fn channel<P: Primitives, T: Send>() -> (Sender<P, T>, Receiver<P, T>) {
    let (value, waker) = (Cell::new(None), Cell::new(None));
    let closing = EventNotifier::new();
    let shared = P::arc(Shared { state: Atomic::new(EMPTY), value, waker, closing });
    (Sender { shared: shared.clone(), done: false }, Receiver { shared, done: false })
}

/// The end that sends.
pub struct Sender<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    done: bool,
}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends the value and wakes the receiver. Never blocks.
    ///
    /// # Errors
    /// [`SendError::Closed`], with the value, if the receiver is gone or has closed.
    pub fn send(mut self, value: T) -> Result<(), SendError<T>> {
        self.done = true;
        // SAFETY: I1, before the swap.
        self.shared.value.with_mut(|cell| unsafe { *cell = Some(value) });
        if self.finish(SENT) != RECEIVER_GONE {
            return Ok(());
        }
        // SAFETY: I1, the receiver is gone.
        match self.shared.value.with_mut(|cell| unsafe { (*cell).take() }) {
            Some(value) => Err(SendError::Closed(value)),
            None => unreachable!("the value was put there above"),
        }
    }

    /// Returns whether the receiver is gone or has closed: nobody will see what is sent.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        // ORDERING: none needed, nothing is handed over in this direction.
        self.shared.state.load(Relaxed) == RECEIVER_GONE
    }

    /// The same: of a one-shot, to close and to go are one.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.is_closed()
    }

    /// Blocks until the receiver goes or closes, which wakes this thread. Of use beside a thread that
    /// computes the value: it can stop when nobody wants it any more.
    ///
    /// ```
    /// use blocksmith_sync::{Std, oneshot};
    ///
    /// let (reply, answer) = oneshot::channel::<Std, u64>();
    /// let asker = std::thread::spawn(move || drop(answer));
    /// reply.closed();
    /// assert!(reply.is_closed() && reply.send(42).is_err());
    /// asker.join().unwrap();
    /// ```
    pub fn closed(&self) {
        self.shared.closing.wait_until(|| self.is_closed().then_some(()));
    }

    /// Blocks like [`Sender::closed`], for at most about `timeout`, and returns whether the receiver is
    /// gone or has closed.
    #[must_use]
    pub fn closed_timeout(&self, timeout: Duration) -> bool {
        let is_closed = || self.is_closed().then_some(());
        self.shared.closing.wait_until_timeout(timeout, is_closed).is_some()
    }

    /// Suspends the task until the receiver goes or closes.
    ///
    /// # Cancel safety
    /// The future can be dropped at any moment; another one waits as well.
    pub fn closed_async(&self) -> impl Future<Output = ()> + Send {
        self.shared.closing.until(|| self.is_closed().then_some(()))
    }

    /// Ends the sender's part and returns the state before (I3).
    fn finish(&self, state: u32) -> u32 {
        // ORDERING: release pairs with the acquiring load in `Receiver::take`, acquire with the releasing
        // exchange in `Receiver::register`.
        let before = self.shared.state.swap(state, AcqRel);
        match before {
            WAITING => self.shared.state.wake(1),
            // SAFETY: I4, the swap returned `REGISTERED`.
            REGISTERED => match self.shared.waker.with_mut(|cell| unsafe { (*cell).take() }) {
                Some(waker) => waker.wake(),
                None => unreachable!("a waker is registered"),
            },
            _ => {}
        }
        before
    }
}

impl<P: Primitives, T: Send> Drop for Sender<P, T> {
    fn drop(&mut self) {
        if !self.done {
            self.finish(SENDER_GONE);
        }
    }
}

/// The end that receives.
pub struct Receiver<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    done: bool,
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Blocks until the sender has sent or is gone; either wakes this thread.
    ///
    /// # Errors
    /// [`Closed`] if the sender is gone without sending, this end has closed, or the value was received
    /// before.
    pub fn recv(mut self) -> Result<T, Closed> {
        let mark = P::mark();
        loop {
            match self.take() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Closed) => return Err(Closed),
                Err(TryRecvError::Empty) => {}
            }
            if look_again::<P, ()>(|| self.has_ended().then_some(())).is_none() && self.announce() {
                self.shared.state.wait(WAITING);
            }
            P::rewind(mark);
        }
    }

    /// Returns the value if it is there. Does not block.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if it is not yet there, [`TryRecvError::Closed`] if it never will be.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.take()
    }

    /// Blocks like [`Receiver::recv`], for at most about `timeout`. After a time-out one may try again.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] or [`RecvTimeoutError::Closed`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let deadline = P::now().saturating_add(timeout);
        let mark = P::mark();
        let mut outcome = WaitOutcome::Woken;
        loop {
            match self.take() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Closed) => return Err(RecvTimeoutError::Closed),
                Err(TryRecvError::Empty) if outcome == WaitOutcome::TimedOut => {
                    return Err(RecvTimeoutError::Timeout);
                }
                Err(TryRecvError::Empty) => {}
            }
            if self.announce() {
                let left = deadline.saturating_sub(P::now());
                outcome = self.shared.state.wait_timeout(WAITING, left);
            }
            if outcome == WaitOutcome::Woken {
                P::rewind(mark);
            }
        }
    }

    /// Closes: a value that is not there yet will not be accepted; one that is there can still be received.
    /// Does not block.
    pub fn close(&mut self) {
        // ORDERING: none needed in this function: nothing is handed over to the sender. If the value is
        // there, the last owner of the allocation drops it (I2), and the reference count orders that.
        let mut state = self.shared.state.load(Relaxed);
        while !self.done && matches!(state, EMPTY | WAITING | REGISTERED) {
            match self.shared.state.compare_exchange(state, RECEIVER_GONE, Relaxed, Relaxed) {
                Ok(_) => self.done = true,
                Err(found) => state = found,
            }
        }
        if self.done && state == REGISTERED {
            // SAFETY: I4, the exchange found `REGISTERED`.
            drop(self.shared.waker.with_mut(|cell| unsafe { (*cell).take() }));
        }
        if self.done {
            self.shared.closing.notify_all();
        }
    }

    /// Returns whether no value will be accepted any more: one is there, or was, or the sender is gone, or
    /// this end has closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.done || self.has_ended()
    }

    /// Returns whether the sender has gone; it goes as it sends. The value may still be there.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        // ORDERING: none needed, nothing is concluded about the value.
        matches!(self.shared.state.load(Relaxed), SENT | TAKEN | SENDER_GONE)
    }

    /// Returns whether the sender has sent or is gone: a look that takes nothing.
    fn has_ended(&self) -> bool {
        // ORDERING: none needed, `take` follows.
        matches!(self.shared.state.load(Relaxed), SENT | SENDER_GONE)
    }

    /// Takes the value if the state is `SENT`.
    fn take(&mut self) -> Result<T, TryRecvError> {
        if self.done {
            return Err(TryRecvError::Closed);
        }
        // ORDERING: pairs with the releasing swap in `Sender::finish`.
        match self.shared.state.load(Acquire) {
            SENT => {
                self.done = true;
                // SAFETY: I1, `SENT` was read.
                let value = self.shared.value.with_mut(|cell| unsafe { (*cell).take() });
                // ORDERING: none needed, the sender is done and nobody else reads the state.
                self.shared.state.store(TAKEN, Relaxed);
                value.ok_or(TryRecvError::Closed)
            }
            SENDER_GONE => {
                self.done = true;
                Err(TryRecvError::Closed)
            }
            _ => Err(TryRecvError::Empty),
        }
    }

    /// Moves `EMPTY` to `WAITING`; returns whether the state is `WAITING` now.
    fn announce(&self) -> bool {
        // ORDERING: none needed; the value is read after another `take`.
        match self.shared.state.compare_exchange(EMPTY, WAITING, Relaxed, Relaxed) {
            Ok(_) => true,
            Err(REGISTERED) => {
                self.retract();
                false
            }
            Err(found) => found == WAITING,
        }
    }

    /// Moves `REGISTERED` back to `EMPTY`; returns whether it did (if not, the sender has ended).
    fn retract(&self) -> bool {
        // ORDERING: none needed: this end has written the cell, and the sender has not touched it.
        self.shared.state.compare_exchange(REGISTERED, EMPTY, Relaxed, Relaxed).is_ok()
    }

    /// Puts a waker into its cell and says so; returns whether the sender will wake it (if not, the
    /// sender has ended).
    fn register(&self, waker: &Waker) -> bool {
        // ORDERING: none needed; a sender that ends after this look is seen by the exchange below.
        let before = match self.shared.state.load(Relaxed) {
            REGISTERED if self.retract() => EMPTY,
            found @ (EMPTY | WAITING) => found,
            _ => return false,
        };
        // SAFETY: I4: the state is not `REGISTERED`, and only this end can make it so.
        self.shared.waker.with_mut(|cell| unsafe { *cell = Some(waker.clone()) });
        // ORDERING: pairs with the acquiring swap in `Sender::finish`.
        self.shared.state.compare_exchange(before, REGISTERED, Release, Relaxed).is_ok()
    }
}

/// Awaits what [`Receiver::recv`] blocks for. Dropping it in between is a drop of the receiver.
impl<P: Primitives, T: Send> Future for Receiver<P, T> {
    type Output = Result<T, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.take() {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(TryRecvError::Closed) => return Poll::Ready(Err(Closed)),
                Err(TryRecvError::Empty) if self.register(context.waker()) => return Poll::Pending,
                // The sender has ended: the next look finds what it left.
                Err(TryRecvError::Empty) => {}
            }
        }
    }
}

// The value is in the allocation: moving the receiver moves nothing that anybody points to.
impl<P: Primitives, T: Send> Unpin for Receiver<P, T> {}

impl<P: Primitives, T: Send> Drop for Receiver<P, T> {
    fn drop(&mut self) {
        if !self.done && !P::reporting() {
            self.close();
        }
    }
}

opaque_debug!("oneshot"; Sender, Receiver);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Std;
    use std::sync::Arc;

    /// A thousand exchanges with the sender in another thread.
    #[test]
    fn the_value_arrives() {
        for round in 0..1000_u32 {
            let (tx, rx) = channel::<Std, u32>();
            let thread = std::thread::spawn(move || tx.send(round));
            assert_eq!(rx.recv(), Ok(round));
            assert_eq!(thread.join().unwrap(), Ok(()));
        }
    }

    /// The receiver blocks in another thread while the sender goes away.
    #[test]
    fn a_dropped_sender_ends_the_wait() {
        let (tx, rx) = channel::<Std, u32>();
        let thread = std::thread::spawn(move || rx.recv());
        drop(tx);
        assert_eq!(thread.join().unwrap(), Err(Closed));
    }

    /// The value comes back in the error, and `is_closed` tells beforehand.
    #[test]
    fn a_dropped_receiver_refuses_the_value() {
        let (tx, rx) = channel::<Std, u32>();
        assert!(!tx.is_closed());
        drop(rx);
        assert!(tx.is_closed());
        assert_eq!(tx.send(7), Err(SendError::Closed(7)));
    }

    /// A time-out leaves the receiver usable; a second receive finds nothing.
    #[test]
    fn after_a_time_out_the_value_can_still_be_received_once() {
        let (tx, mut rx) = channel::<Std, u32>();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        assert_eq!(tx.send(9), Ok(()));
        assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(9));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    }

    /// Counts its wake-ups.
    #[derive(Default)]
    struct Flag(std::sync::atomic::AtomicUsize);

    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Polled twice with two wakers: only the later one is woken, and neither outlives the exchange.
    #[test]
    fn the_last_waker_is_woken() {
        let flags = [Arc::new(Flag::default()), Arc::new(Flag::default())];
        let (tx, mut rx) = channel::<Std, u32>();
        for flag in &flags {
            let waker = Waker::from(Arc::clone(flag));
            let polled = Pin::new(&mut rx).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        tx.send(5).unwrap();
        assert_eq!(flags.each_ref().map(|flag| flag.0.load(Relaxed)), [0, 1]);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut rx).poll(&mut context), Poll::Ready(Ok(5)));
        drop(rx);
        assert_eq!(flags.each_ref().map(Arc::strong_count), [1, 1]);
    }

    /// Polled, then received by blocking; polled, then dropped: the waker is left alone.
    #[test]
    fn a_task_may_become_a_thread_or_leave() {
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        let mut context = Context::from_waker(&waker);
        let (tx, mut rx) = channel::<Std, u32>();
        assert!(Pin::new(&mut rx).poll(&mut context).is_pending());
        let thread = std::thread::spawn(move || rx.recv());
        tx.send(6).unwrap();
        assert_eq!(thread.join().unwrap(), Ok(6));
        let (tx, mut rx) = channel::<Std, u32>();
        assert!(Pin::new(&mut rx).poll(&mut context).is_pending());
        drop(rx);
        assert_eq!(tx.send(7), Err(SendError::Closed(7)));
        drop(waker);
        assert!(flag.0.load(Relaxed) <= 1 && Arc::strong_count(&flag) == 1);
    }

    /// Counts the owners of a value that is sent and never received.
    #[test]
    fn an_unreceived_value_is_dropped_once() {
        let value = Arc::new(());
        let (tx, rx) = channel::<Std, Arc<()>>();
        tx.send(Arc::clone(&value)).unwrap();
        assert_eq!(Arc::strong_count(&value), 2);
        drop(rx);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    /// Closed before the value comes, it comes back; closed after, it is received.
    #[test]
    fn a_close_refuses_what_is_not_there_yet() {
        let (tx, mut rx) = channel::<Std, u32>();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut rx).poll(&mut context).is_pending());
        assert!(!rx.is_closed() && !rx.is_disconnected());
        rx.close();
        assert!(tx.is_closed() && rx.is_closed() && !rx.is_disconnected());
        assert_eq!(tx.send(7), Err(SendError::Closed(7)));
        assert!(rx.is_disconnected());
        assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(Pin::new(&mut rx).poll(&mut context), Poll::Ready(Err(Closed)));
        let (tx, mut rx) = channel::<Std, u32>();
        tx.send(8).unwrap();
        rx.close();
        assert!(rx.is_closed() && rx.is_disconnected());
        assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(8));
        assert_eq!(rx.recv(), Err(Closed));
    }

    /// A thread and a task wait for the receiver to go, after a time-out each.
    #[test]
    fn a_sender_waits_for_the_end() {
        let (tx, rx) = channel::<Std, u32>();
        let mut context = Context::from_waker(Waker::noop());
        assert!(!tx.closed_timeout(Duration::from_millis(1)) && !tx.is_disconnected());
        assert!(std::pin::pin!(tx.closed_async()).poll(&mut context).is_pending());
        let tx = Arc::new(tx);
        let other = Arc::clone(&tx);
        let thread = std::thread::spawn(move || other.closed());
        drop(rx);
        thread.join().unwrap();
        assert!(std::pin::pin!(tx.closed_async()).poll(&mut context).is_ready());
        assert!(tx.closed_timeout(Duration::ZERO) && tx.is_disconnected());
    }
}
