//! A channel with a fault, which the harness must refute, and the same channel without a fault.
//!
//! The channel is a locked queue whose ends never wait, as simple as can be. Each [`Fault`] is one
//! change of it.

use std::collections::VecDeque;
use std::time::Duration;

use blocksmith_sync::Ordering::{Acquire, Relaxed, Release};
use blocksmith_sync::{Atomic, Mutex, OnFull, Primitives};

use super::program::{Call, Calls, End, Program};
use super::spec::Response;
use super::subjects::{Ends, Item, Subject, deadline};

/// The fault of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The queue has no fault.
    None,
    /// The newest item is received first.
    LastInFirstOut,
    /// A sender looks whether the channel is closed before it takes the lock.
    AcceptedAfterClose,
    /// A sender looks for room under the lock, and releases the lock before it puts the item in.
    OneTooMany,
    /// The receiver looks at a figure that a sender raises only with its next item.
    StaleEmpty,
    /// A receiver reads the oldest item, releases the lock, and takes it again to remove the item.
    ReceivedTwice,
    /// An evictor releases the lock between taking the old item and putting the new one, and drops
    /// the new one if there is no room.
    LostOnEviction,
    /// A kept place is not counted until its item comes.
    PlaceNotKept,
    /// A place that is given back stays counted.
    PlaceNotFreed,
    /// An item that has been received is counted until the receiver's next call.
    StillCounted,
    /// The queue is full when it holds one item more than it can.
    FullTooLate,
    /// A call whose deadline has passed does not look at the queue.
    LateWithoutALook,
    /// A receiver takes an item, finds that its deadline has passed, and drops the item.
    LateWithAnItem,
}

/// The calls that its ends can make.
pub const CALLS: Calls = Calls {
    blocking_sender: &[],
    other_sender: &[Call::Send, Call::Close],
    receiver: &[Call::TryRecv, Call::Close],
    allowed: |_| true,
    alike: true,
};

/// The calls of ends whose senders also keep places.
pub const KEEPERS: Calls =
    Calls { other_sender: &[Call::Send, Call::SendKept, Call::DropKept, Call::Close], ..CALLS };

/// The calls of ends that look at figures.
pub const FIGURES: Calls = Calls {
    other_sender: &[Call::Send, Call::Len, Call::IsEmpty, Call::IsFull],
    receiver: &[Call::TryRecv, Call::Len, Call::IsEmpty, Call::IsFull, Call::Capacity],
    ..CALLS
};

/// The calls of ends that wait with a deadline.
pub const DEADLINES: Calls = Calls {
    other_sender: &[Call::Send, Call::SendDeadline, Call::SendDue],
    receiver: &[Call::TryRecv, Call::RecvDeadline, Call::RecvDue],
    ..CALLS
};

/// A locked queue with a fault.
#[derive(Clone, Copy, Debug)]
pub struct Faulty(pub Fault);

/// The state that the lock protects.
struct Line {
    items: VecDeque<Item>,
    /// The number of places that are kept.
    kept: usize,
    capacity: usize,
    /// The number of items that were put in. The next field counts those of them that the receivers
    /// have taken.
    sent: usize,
    received: usize,
    /// The number of items that are taken but not counted as taken, with [`Fault::StillCounted`].
    uncounted: usize,
}

impl Line {
    fn is_full(&self) -> bool {
        self.items.len() + self.kept >= self.capacity
    }
}

/// The channel that both ends share.
pub struct Shared<P: Primitives> {
    line: P::Mutex<Line>,
    closed: P::AtomicU32,
    /// The number of items that the receiver knows of, with [`Fault::StaleEmpty`].
    told: P::AtomicU32,
    senders: P::AtomicU32,
    receivers: P::AtomicU32,
    on_full: OnFull,
    fault: Fault,
}

impl<P: Primitives> Shared<P> {
    fn is_closed(&self) -> bool {
        self.closed.load(Acquire) == 1
    }

    fn close(&self) {
        let _line = self.line.lock();
        self.closed.store(1, Release);
    }

    fn send(&self, item: Item) -> Response {
        let (closed_before, full_before) = (self.is_closed(), self.line.lock().is_full());
        let mut line = self.line.lock();
        let closed = match self.fault {
            Fault::AcceptedAfterClose => closed_before,
            _ => self.is_closed(),
        };
        let full = match self.fault {
            Fault::OneTooMany => full_before,
            _ => line.is_full(),
        };
        if closed {
            return Response::Closed;
        }
        let mut response = Response::Accepted;
        if full && self.on_full != OnFull::EvictOldest {
            return Response::Full;
        } else if full && let Some(oldest) = line.items.pop_front() {
            response = Response::Evicted(oldest.number);
            line.received += 1;
        }
        if self.fault == Fault::LostOnEviction && full {
            drop(line);
            line = self.line.lock();
            if line.is_full() {
                return response;
            }
        }
        self.put(&mut line, item);
        response
    }

    fn put(&self, line: &mut Line, item: Item) {
        // ORDERING: none is needed, because all of this happens under the lock.
        self.told.store(u32::try_from(line.items.len()).unwrap_or(u32::MAX), Relaxed);
        line.items.push_back(item);
        line.sent += 1;
    }

    /// Returns how many items the queue says that it holds.
    fn len(&self) -> usize {
        let line = self.line.lock();
        line.sent.saturating_sub(line.received)
    }

    fn is_full(&self) -> bool {
        let capacity = self.line.lock().capacity;
        self.len() >= capacity + usize::from(self.fault == Fault::FullTooLate)
    }

    /// Returns the figure that the call is about, if it is about one.
    fn figure(&self, call: Call) -> Option<Response> {
        Some(match call {
            Call::Len => Response::Count(self.len()),
            Call::IsEmpty => Response::Flag(self.len() == 0),
            Call::IsFull => Response::Flag(self.is_full()),
            Call::Capacity => Response::Count(self.line.lock().capacity),
            _ => return None,
        })
    }

    /// Receives as `receive` does, until `deadline`. The time may pass whenever it would wait for
    /// an item.
    fn receive_until(&self, deadline: Duration) -> Response {
        if self.fault == Fault::LateWithoutALook && P::now() >= deadline {
            return Response::Timeout;
        }
        match self.receive() {
            Response::Empty => Response::Timeout,
            Response::Item(_) if self.fault == Fault::LateWithAnItem && P::now() >= deadline => {
                Response::Timeout
            }
            response => response,
        }
    }

    /// Sends as `send` does, until `deadline`. The time may pass whenever it would wait for room.
    fn send_until(&self, item: Item, deadline: Duration) -> Response {
        if self.fault == Fault::LateWithoutALook && P::now() >= deadline {
            return Response::Timeout;
        }
        match self.send(item) {
            Response::Full => Response::Timeout,
            response => response,
        }
    }

    /// Keeps a place. Then uses the place for the item, or gives it back if there is none.
    fn keep(&self, item: Option<Item>) -> Response {
        let mut line = self.line.lock();
        if self.is_closed() {
            return Response::Closed;
        }
        if line.is_full() {
            return Response::Full;
        }
        line.kept += usize::from(self.fault != Fault::PlaceNotKept);
        drop(line);
        let mut line = self.line.lock();
        let Some(item) = item else {
            let counted = !matches!(self.fault, Fault::PlaceNotKept | Fault::PlaceNotFreed);
            line.kept -= usize::from(counted);
            return Response::Withdrawn;
        };
        line.kept -= usize::from(self.fault != Fault::PlaceNotKept);
        // ORDERING: none is needed, because the count only falls, and its last fall is under the
        // lock.
        if self.receivers.load(Relaxed) == 0 {
            return Response::Deserted;
        }
        self.put(&mut line, item);
        Response::Accepted
    }

    fn receive(&self) -> Response {
        let mut line = self.line.lock();
        if self.fault == Fault::ReceivedTwice
            && let Some(item) = line.items.front()
        {
            let number = item.number;
            drop(line);
            line = self.line.lock();
            line.items.pop_front();
            return Response::Item(number);
        }
        // ORDERING: none needed, as above.
        if self.fault == Fault::StaleEmpty && self.told.load(Relaxed) == 0 && !self.is_closed() {
            return Response::Empty;
        }
        let item = match self.fault {
            Fault::LastInFirstOut => line.items.pop_back(),
            _ => line.items.pop_front(),
        };
        line.received += std::mem::take(&mut line.uncounted);
        let taken = usize::from(item.is_some());
        match self.fault {
            Fault::StillCounted => line.uncounted += taken,
            _ => line.received += taken,
        }
        match item {
            Some(item) => Response::Item(item.number),
            // A kept place may still get its item.
            None if self.is_closed() && line.kept == 0 => Response::Closed,
            None => Response::Empty,
        }
    }
}

/// The end that sends.
pub struct Sender<P: Primitives>(P::Arc<Shared<P>>);

impl<P: Primitives> Drop for Sender<P> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Relaxed) == 1 {
            self.0.close();
        }
    }
}

/// The end that receives.
pub struct Receiver<P: Primitives>(P::Arc<Shared<P>>);

impl<P: Primitives> Drop for Receiver<P> {
    fn drop(&mut self) {
        let mut line = self.0.line.lock();
        if self.0.receivers.fetch_sub(1, Relaxed) == 1 {
            self.0.closed.store(1, Release);
            line.items.clear();
            line.received = line.sent;
        }
    }
}

impl Subject for Faulty {
    type Sender<P: Primitives> = Sender<P>;
    type Receiver<P: Primitives> = Receiver<P>;

    fn open<P: Primitives>(&self, program: &Program) -> Ends<Sender<P>, Receiver<P>> {
        let count = |end| u32::try_from(program.count(end)).unwrap_or(u32::MAX);
        let shared = P::arc(Shared {
            line: Mutex::new(Line {
                items: VecDeque::new(),
                kept: 0,
                capacity: program.capacity,
                sent: 0,
                received: 0,
                uncounted: 0,
            }),
            closed: Atomic::new(0),
            told: Atomic::new(0),
            senders: Atomic::new(count(End::Sender)),
            receivers: Atomic::new(count(End::Receiver)),
            on_full: program.on_full,
            fault: self.0,
        });
        let senders = (0..program.count(End::Sender)).map(|_| Sender(shared.clone())).collect();
        let receivers = (0..program.count(End::Receiver)).map(|_| Receiver(shared.clone()));
        (senders, receivers.collect())
    }

    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Sender<P>>,
        call: Call,
        items: Vec<Item>,
    ) -> Response {
        match (sender, items.into_iter().next()) {
            (Some(sender), Some(item)) if call == Call::SendKept => sender.0.keep(Some(item)),
            (Some(sender), Some(_)) if call == Call::DropKept => sender.0.keep(None),
            (Some(sender), Some(item)) if matches!(call, Call::SendDeadline | Call::SendDue) => {
                sender.0.send_until(item, deadline::<P>(call))
            }
            (Some(sender), Some(item)) => sender.0.send(item),
            (Some(sender), None) => sender.0.figure(call).unwrap_or_else(|| {
                sender.0.close();
                Response::Done
            }),
            (None, _) => Response::Closed,
        }
    }

    fn receive<P: Primitives>(&self, receiver: &mut Option<Receiver<P>>, call: Call) -> Response {
        match receiver {
            Some(receiver) if call == Call::TryRecv => receiver.0.receive(),
            Some(receiver) if matches!(call, Call::RecvDeadline | Call::RecvDue) => {
                receiver.0.receive_until(deadline::<P>(call))
            }
            Some(receiver) => receiver.0.figure(call).unwrap_or_else(|| {
                receiver.0.close();
                Response::Done
            }),
            None => Response::Closed,
        }
    }
}
