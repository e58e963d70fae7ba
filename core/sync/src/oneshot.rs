//! A one-shot: one value from one sender to one receiver; each end learns when the other is gone.
//!
//! **Contract.** [`channel`] makes one allocation and two ends. Each end acts at most once: the
//! sender sends or is dropped, the receiver receives or is dropped. Neither end waits for an end
//! that is gone. Sending never blocks. The receiver waits in one of two ways, and may switch
//! between them: a thread blocks in [`Receiver::recv`], or a task awaits the [`Receiver`], which is
//! a future. A future that is dropped loses nothing but the value that was meant for it. A sender
//! that wants to know whether the receiver still wants the value can look ([`Sender::is_closed`]),
//! or wait until it does not ([`Sender::closed`] and its variants).
//!
//! The state is one word. The receiver's thread sleeps on it, and it says which end frees the
//! allocation:
//!
//! ```text
//!             recv               send, drop Sender          the sender has woken
//!   EMPTY ----------> WAITING ----------------------> ENDED --------------------> LEFT
//!     |  \__________/   | |    (from EMPTY and REGISTERED too)
//!     |     poll        | |
//!     +-> REGISTERED ---+ |
//!     |                   |    close, drop Receiver         drop Receiver
//!     +-------------------+-------------------------> CLOSED ----------> RECEIVER_GONE
//!
//!   CLOSED -> ENDED -> LEFT: a sender that ends late.   ENDED, LEFT -> RECEIVER_GONE: recv, poll, drop.
//! ```
//!
//! | state | meaning | who may leave it |
//! |---|---|---|
//! | `EMPTY` | both ends live, nobody sleeps | both |
//! | `WAITING` | the receiver sleeps, or is about to | both |
//! | `REGISTERED` | the receiver's waker is in its cell | both |
//! | `CLOSED` | the receiver no longer accepts a value | both |
//! | `ENDED` | the sender has ended; the value is in the cell if it has sent | the receiver; the sender, if it found the receiver waiting or closed |
//! | `LEFT` | as `ENDED`, and the sender does not touch the allocation again | the receiver |
//! | `RECEIVER_GONE` | the receiver does not touch the allocation again | the sender |
//!
//! **Invariants.**
//! - I1 The sender touches the value's cell only before its first swap of the state, and afterwards
//!   only if that swap returned `CLOSED` or `RECEIVER_GONE`. The receiver touches the cell only
//!   after it has read `ENDED` or `LEFT`, and not if it has made the state `CLOSED` before.
//! - I2 The cell holds an `Option`: a value is either moved out or dropped with the allocation,
//!   never both.
//! - I3 A swap that ends the sender's part and finds `WAITING` is followed by a wake of the futex.
//!   If it finds `REGISTERED`, the sender takes the waker and wakes it. The receiver notifies
//!   `closing` after it has made the state `CLOSED`. If `close` finds `REGISTERED`, it wakes the
//!   waker, too: the task whose waker that is learns of the end by its next poll.
//! - I4 The waker's cell belongs to the receiver, except that a swap which returns `REGISTERED`
//!   hands it to the end that swapped. The receiver takes `REGISTERED` back before it touches the
//!   cell again.
//! - I5 The end that leaves last frees the allocation, and no end touches it after having left. A
//!   sender whose first swap found `EMPTY` has left by that swap, since there is nobody to wake.
//!   The receiver knows this, because only the receiver moves the state between the first four (its
//!   cell `own` says `Quiet`); it then frees the allocation without asking. Otherwise the sender
//!   leaves by a second swap, and the receiver also leaves by a swap. The end whose swap returns
//!   what the other's swap has put there is the last. A sender that finds `RECEIVER_GONE` is the
//!   last.
//!
//! So an exchange in which nobody sleeps costs one read-modify-write, the sender's. Each access to
//! the allocation reads the [ghost](Ghost) `life`, and freeing writes it: a checker of races on
//! cells would see a violation of I5.
//!
//! **Memory order.** The sender's first swap releases the value, and the receiver's read of `ENDED`
//! or `LEFT` acquires it. The receiver's registration releases the waker, and the sender's swap
//! acquires it. The swaps by which the ends leave release everything that was done to the cells,
//! and acquire it for the end that frees. A sender that waits for the closing relies on the
//! notifier's fences; nothing is handed over there.

mod source;
mod task;

use core::future::Future;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::task::Waker;
use core::time::Duration;

pub use crate::error::{Closed, RecvTimeoutError, SendError, TryRecvError};

use crate::ends::{opaque_debug, unwind_safe};
use crate::ghost::Ghost;
use crate::notifier::EventNotifier;
use crate::primitives::Ordering::{AcqRel, Acquire, Relaxed};
use crate::primitives::{Atomic, Cell, Futex, Primitives};
use crate::spin::Patience;

const EMPTY: u32 = 0;
const WAITING: u32 = 1;
const REGISTERED: u32 = 2;
const CLOSED: u32 = 3;
const ENDED: u32 = 4;
const LEFT: u32 = 5;
const RECEIVER_GONE: u32 = 6;

/// What the receiver has made of the state, as far as the sender may have seen it (I5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    /// `EMPTY`.
    Quiet,
    /// `WAITING` or `REGISTERED`.
    Announced,
    /// `CLOSED`.
    Closed,
}

struct Shared<P: Primitives, T> {
    /// See the table at the top of the file.
    state: P::Futex,
    value: P::Cell<Option<T>>,
    /// The waker of the task that awaits (I4).
    waker: P::Cell<Option<Waker>>,
    /// Only the receiver accesses it.
    own: P::Cell<Own>,
    /// Read at each access to the allocation, written when it is freed; see I5.
    life: Ghost<P>,
    /// A sender that waits for the receiver to go sleeps on it.
    closing: EventNotifier<P>,
}

impl<P: Primitives, T> Shared<P, T> {
    /// Returns what an end points to.
    ///
    /// # Safety
    /// The caller's end has not left (I5).
    #[inline]
    unsafe fn touch<'a>(shared: NonNull<Self>) -> &'a Self {
        // SAFETY: the caller promises it; the pointer came from a `Box` in `channel` and is not
        // freed yet (I5).
        let shared = unsafe { shared.as_ref() };
        shared.life.read();
        shared
    }

    /// Frees the allocation; returns the value if it is in its cell. Wakers that are left, in the
    /// cell or with a forgotten future in `closing`, are dropped as the last step, and take nothing
    /// with them if they panic.
    ///
    /// # Safety
    /// The caller is the last end (I5), and does not touch the allocation again.
    #[inline]
    unsafe fn free(shared: NonNull<Self>) -> Option<T> {
        // SAFETY: the pointer came from a `Box` in `channel`, and the caller promises the rest.
        let shared = unsafe { Box::from_raw(shared.as_ptr()) };
        shared.life.write();
        // SAFETY: the other end has left (I5).
        let value = shared.value.with_mut(|cell| unsafe { (*cell).take() });
        P::contain(|| drop(shared));
        value
    }
}

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
#[inline]
pub fn channel<P: Primitives, T: Send>() -> (Sender<P, T>, Receiver<P, T>) {
    // The allocation is made first, so that the fields are written where they stay. If they were
    // copied from the stack, in larger pieces than they were written in, each copy would wait for
    // its stores to reach the cache.
    let shared = Box::<Shared<P, T>>::new_uninit();
    let shared = Box::write(
        shared,
        Shared {
            state: Atomic::new(EMPTY),
            value: Cell::new(None),
            waker: Cell::new(None),
            own: Cell::new(Own::Quiet),
            life: Ghost::new(),
            closing: EventNotifier::new(),
        },
    );
    let shared = NonNull::from(Box::leak(shared));
    (Sender { shared }, Receiver { shared: Some(shared) })
}

/// The end that sends.
pub struct Sender<P: Primitives, T: Send> {
    /// Valid until this end leaves, which consumes it (I5).
    shared: NonNull<Shared<P, T>>,
}

// SAFETY: only one end at a time accesses a cell (I1, I4, I5), and its content may change threads;
// everything else is atomic.
unsafe impl<P: Primitives, T: Send> Send for Sender<P, T> {}
// SAFETY: by reference this end only looks at the state and sleeps on the notifier.
unsafe impl<P: Primitives, T: Send> Sync for Sender<P, T> {}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends the value and wakes the receiver. Never blocks.
    ///
    /// # Errors
    /// [`SendError::Closed`], with the value, if the receiver is gone or has closed.
    #[inline]
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        let this = ManuallyDrop::new(self);
        // SAFETY: I1, before the swap.
        this.shared().value.with_mut(|cell| unsafe { *cell = Some(value) });
        match this.end() {
            Ok(()) => Ok(()),
            Err(Some(value)) => Err(SendError::Closed(value)),
            Err(None) => unreachable!("the value was put there above"),
        }
    }

    /// Returns whether the receiver is gone or has closed: nobody will see what is sent.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        // ORDERING: none needed; nothing is handed over in this direction.
        matches!(self.shared().state.load(Relaxed), CLOSED | RECEIVER_GONE)
    }

    /// Returns the same as `is_closed`: for a one-shot, closing and going are one.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.is_closed()
    }

    /// Blocks until the receiver goes or closes, which wakes this thread. It is useful beside a
    /// thread that computes the value, which can stop when nobody wants the value any more.
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
        self.shared().closing.wait_until(|| self.is_closed().then_some(()));
    }

    /// Blocks like [`Sender::closed`], for at most about `timeout`, and returns whether the
    /// receiver is gone or has closed.
    #[must_use]
    pub fn closed_timeout(&self, timeout: Duration) -> bool {
        self.closed_deadline(P::now().saturating_add(timeout))
    }

    /// Blocks like [`Sender::closed_timeout`], until [`Primitives::now`] is about `deadline`.
    #[must_use]
    pub fn closed_deadline(&self, deadline: Duration) -> bool {
        let is_closed = || self.is_closed().then_some(());
        self.shared().closing.wait_until_deadline(deadline, is_closed).is_some()
    }

    /// Suspends the task until the receiver goes or closes.
    ///
    /// # Cancel safety
    /// The future can be dropped at any moment; a new one can take its place.
    pub fn closed_async(&self) -> impl Future<Output = ()> + Send {
        self.shared().closing.until(|| self.is_closed().then_some(()))
    }

    fn shared(&self) -> &Shared<P, T> {
        // SAFETY: this end leaves only where it is consumed.
        unsafe { Shared::touch(self.shared) }
    }

    /// Ends the sender's part, and leaves. If the receiver had closed, returns the content of the
    /// value's cell.
    #[inline]
    fn end(&self) -> Result<(), Option<T>> {
        // ORDERING: release pairs with the acquiring load in `Receiver::take` and the swap in
        // `Receiver::leave`, acquire with the releasing exchange in `Receiver::register` and the
        // swap in `Receiver::leave`.
        match self.shared().state.swap(ENDED, AcqRel) {
            EMPTY => Ok(()),
            before @ (CLOSED | RECEIVER_GONE) => Err(self.take_back(before)),
            before => {
                self.wake(before);
                Ok(())
            }
        }
    }

    /// Takes the content of the value's cell, which the receiver does not want, and leaves.
    #[inline(never)]
    fn take_back(&self, before: u32) -> Option<T> {
        if before == RECEIVER_GONE {
            // SAFETY: I5, the receiver has left.
            return unsafe { Shared::free(self.shared) };
        }
        // SAFETY: I1, the swap returned `CLOSED`.
        let value = self.shared().value.with_mut(|cell| unsafe { (*cell).take() });
        self.leave();
        value
    }

    /// Wakes the receiver, which was found in the state `before`, and leaves (I3).
    #[inline(never)]
    fn wake(&self, before: u32) {
        if before == WAITING {
            self.shared().state.wake(1);
            return self.leave();
        }
        // SAFETY: I4, the swap returned `REGISTERED`.
        let waker = self.shared().waker.with_mut(|cell| unsafe { (*cell).take() });
        self.leave();
        match waker {
            Some(waker) => P::contain(|| waker.wake()),
            None => unreachable!("a waker is registered"),
        }
    }

    /// Leaves after the receiver has been found waiting or closed (I5).
    fn leave(&self) {
        // ORDERING: pairs with the swap in `Receiver::leave`, either way.
        if self.shared().state.swap(LEFT, AcqRel) == RECEIVER_GONE {
            // SAFETY: I5, the receiver has left.
            let left = unsafe { Shared::free(self.shared) };
            P::contain(|| drop(left));
        }
    }
}

impl<P: Primitives, T: Send> Drop for Sender<P, T> {
    fn drop(&mut self) {
        if !P::reporting() {
            drop(self.end());
        }
    }
}

/// The end that receives.
pub struct Receiver<P: Primitives, T: Send> {
    /// `None`: this end has left (I5), and so the sender has ended.
    shared: Option<NonNull<Shared<P, T>>>,
}

// SAFETY: see the sender.
unsafe impl<P: Primitives, T: Send> Send for Receiver<P, T> {}
// SAFETY: by reference this end only looks at the state; everything else needs `&mut`.
unsafe impl<P: Primitives, T: Send> Sync for Receiver<P, T> {}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Blocks until the sender has sent or is gone; either wakes this thread.
    ///
    /// # Errors
    /// [`Closed`] if the sender was dropped without sending, if this end has closed, or if the
    /// value was received before.
    #[inline]
    pub fn recv(mut self) -> Result<T, Closed> {
        match self.take() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Closed) => Err(Closed),
            Err(TryRecvError::Empty) => self.block(),
        }
    }

    /// Blocks after a look that found nothing.
    #[inline(never)]
    fn block(&mut self) -> Result<T, Closed> {
        let patience = Patience::once();
        let mark = P::mark();
        loop {
            let looked = patience.look_again::<P, ()>(|| self.has_ended().then_some(()));
            if looked.is_none() && self.announce() {
                self.shared().state.wait(WAITING);
            }
            P::rewind(mark);
            match self.take() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Closed) => return Err(Closed),
                Err(TryRecvError::Empty) => {}
            }
        }
    }

    /// Returns the value if it is there. Does not block.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if the value is not there yet, [`TryRecvError::Closed`] if it never
    /// will be.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.take()
    }

    /// Blocks like [`Receiver::recv`], for at most about `timeout`. After a time-out the caller may
    /// try again.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] or [`RecvTimeoutError::Closed`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_deadline(P::now().saturating_add(timeout))
    }

    /// Blocks like [`Receiver::recv_timeout`], until about `deadline`, as [`Primitives::now`] tells
    /// the time. Once the clock has been seen past the deadline, the receiver looks one last time.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] or [`RecvTimeoutError::Closed`].
    pub fn recv_deadline(&mut self, deadline: Duration) -> Result<T, RecvTimeoutError> {
        let mark = P::mark();
        loop {
            let is_over = P::now() >= deadline;
            match self.take() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Closed) => return Err(RecvTimeoutError::Closed),
                Err(TryRecvError::Empty) if is_over => return Err(RecvTimeoutError::Timeout),
                Err(TryRecvError::Empty) => {}
            }
            if self.announce() {
                let left = deadline.saturating_sub(P::now());
                // How it ended does not matter: the clock decides, and the next look.
                let _ = self.shared().state.wait_timeout(WAITING, left);
            }
            P::rewind(mark);
        }
    }

    /// Closes this end: a value that is not there yet will not be accepted; one that is already
    /// there can still be received. Wakes the task that has polled this end. Does not block.
    pub fn close(&mut self) {
        if let Some(waker) = self.refuse() {
            P::contain(|| waker.wake());
        }
    }

    /// Makes the state `CLOSED`, unless the sender has ended. Returns this end's waker if it was
    /// registered.
    fn refuse(&mut self) -> Option<Waker> {
        self.shared?;
        // ORDERING: none needed in this function: nothing is handed over before this end leaves.
        let mut state = self.shared().state.load(Relaxed);
        while matches!(state, EMPTY | WAITING | REGISTERED) {
            match self.shared().state.compare_exchange(state, CLOSED, Relaxed, Relaxed) {
                Ok(_) => return self.refused(state),
                Err(found) => state = found,
            }
        }
        None
    }

    /// Announces that this end has closed, and takes its waker back; it found the state `before`.
    fn refused(&self, before: u32) -> Option<Waker> {
        self.set_own(Own::Closed);
        let waker = if before == REGISTERED {
            // SAFETY: I4, the exchange found `REGISTERED`.
            self.shared().waker.with_mut(|cell| unsafe { (*cell).take() })
        } else {
            None
        };
        self.shared().closing.notify_all();
        waker
    }

    /// Returns whether no value will be accepted from now on: one is or was there, the sender is
    /// gone, or this end has closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        // ORDERING: none needed; nothing is concluded about the value.
        self.has_ended() || self.shared().state.load(Relaxed) == CLOSED
    }

    /// Returns whether the sender is gone; sending consumes it. The value may still be there.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.has_ended()
    }

    fn shared(&self) -> &Shared<P, T> {
        match self.shared {
            // SAFETY: this end has not left.
            Some(shared) => unsafe { Shared::touch(shared) },
            None => unreachable!("whoever has left says so before"),
        }
    }

    fn own(&self) -> Own {
        // SAFETY: the cell is this end's.
        self.shared().own.with(|own| unsafe { *own })
    }

    fn set_own(&self, own: Own) {
        // SAFETY: the cell is this end's.
        self.shared().own.with_mut(|cell| unsafe { *cell = own });
    }

    /// Returns whether the sender has sent or is gone. This look takes nothing.
    fn has_ended(&self) -> bool {
        // ORDERING: none needed; `take` follows wherever the value matters.
        self.shared.is_none() || matches!(self.shared().state.load(Relaxed), ENDED | LEFT)
    }

    /// If the sender has ended, takes the value and leaves.
    #[inline]
    fn take(&mut self) -> Result<T, TryRecvError> {
        let Some(allocation) = self.shared else { return Err(TryRecvError::Closed) };
        // ORDERING: pairs with the releasing swaps in `Sender::end` and `Sender::leave`.
        let state = self.shared().state.load(Acquire);
        if !matches!(state, ENDED | LEFT | CLOSED) {
            return Err(TryRecvError::Empty);
        }
        match self.own() {
            Own::Closed => Err(TryRecvError::Closed),
            Own::Quiet => {
                self.shared = None;
                // SAFETY: I5, the sender has left by its first swap.
                let value = unsafe { Shared::free(allocation) };
                value.ok_or(TryRecvError::Closed)
            }
            Own::Announced => {
                // SAFETY: I1, the sender has ended.
                let value = self.shared().value.with_mut(|cell| unsafe { (*cell).take() });
                self.leave(allocation);
                value.ok_or(TryRecvError::Closed)
            }
        }
    }

    /// Leaves after the sender may have found this end waiting or closed (I5).
    fn leave(&mut self, allocation: NonNull<Shared<P, T>>) {
        // ORDERING: pairs with the sender's swaps, either way.
        let before = self.shared().state.swap(RECEIVER_GONE, AcqRel);
        self.shared = None;
        if before == LEFT {
            // SAFETY: I5, the sender has left.
            let left = unsafe { Shared::free(allocation) };
            P::contain(|| drop(left));
        }
    }

    /// Closes and leaves; a value that is there is dropped.
    #[inline(never)]
    fn abandon(&mut self) {
        let waker = self.refuse();
        P::contain(|| drop(waker));
        match self.shared {
            Some(allocation) if self.own() == Own::Closed => self.leave(allocation),
            _ => drop(self.take()),
        }
    }

    /// Moves `EMPTY` to `WAITING`; returns whether the state is `WAITING` now.
    fn announce(&self) -> bool {
        // ORDERING: none needed; the value is read after another `take`.
        match self.shared().state.compare_exchange(EMPTY, WAITING, Relaxed, Relaxed) {
            Ok(_) => {
                self.set_own(Own::Announced);
                true
            }
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
        let state = &self.shared().state;
        let retracted = state.compare_exchange(REGISTERED, EMPTY, Relaxed, Relaxed).is_ok();
        if retracted {
            self.set_own(Own::Quiet);
        }
        retracted
    }
}

impl<P: Primitives, T: Send> Drop for Receiver<P, T> {
    #[inline]
    fn drop(&mut self) {
        if self.shared.is_some() && !P::reporting() {
            self.abandon();
        }
    }
}

opaque_debug!("oneshot"; Sender, Receiver);
unwind_safe!(Sender, Receiver);

#[cfg(test)]
mod tests;
