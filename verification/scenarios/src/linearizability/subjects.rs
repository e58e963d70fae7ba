//! The channels of core as the harness drives them.

use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use blocksmith_sync::{
    Closed, Primitives, RecvTimeoutError, SendError, TryRecvError, oneshot, watch,
};

use super::program::{BATCH, Call, Calls, End, Program};
use super::spec::Response;
use crate::channel::{Channel, Closes, Receives, Reserves, Sends, Sent};
use crate::scenarios::task::{block_on, poll_once};

/// A ledger of how often each item of an execution was dropped, in memory that no checker sees.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Vec<AtomicU8>>);

impl Ledger {
    /// Returns a ledger for this many items.
    #[must_use]
    pub fn new(items: usize) -> Self {
        Self(Arc::new((0..items).map(|_| AtomicU8::new(0)).collect()))
    }

    /// Asserts that every item was dropped once.
    ///
    /// # Panics
    /// If an item was not dropped, or was dropped more than once.
    pub fn settle(&self) {
        let drops: Vec<_> = self.0.iter().map(|drops| drops.load(Relaxed)).collect();
        assert!(drops.iter().all(|drops| *drops == 1), "drops of each item: {drops:?}");
    }
}

/// The item that travels: a number, and the ledger into which its drop is written.
#[derive(Debug)]
pub struct Item {
    /// Its number in the program.
    pub number: u8,
    ledger: Ledger,
}

impl Item {
    /// Returns an item.
    #[must_use]
    pub fn new(number: u8, ledger: &Ledger) -> Self {
        Self { number, ledger: ledger.clone() }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.ledger.0[usize::from(self.number)].fetch_add(1, Relaxed);
    }
}

/// The ends of a new channel, one for each thread.
pub type Ends<S, R> = (Vec<S>, Vec<R>);

/// A channel under test.
pub trait Subject: Copy + Send + Sync + 'static {
    /// The end that sends.
    type Sender<P: Primitives>: Send + 'static;
    /// The end that receives.
    type Receiver<P: Primitives>: Send + 'static;

    /// Returns a new channel with as many ends as the program has threads for.
    fn open<P: Primitives>(&self, program: &Program) -> Ends<Self::Sender<P>, Self::Receiver<P>>;
    /// Makes a call of a sender with the items that it carries. Without items, the call is
    /// `close` or asks for a figure. Leaves `None` in place of the end if the call uses it up.
    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Self::Sender<P>>,
        call: Call,
        items: Vec<Item>,
    ) -> Response;
    /// Makes a call of a receiver. Leaves `None` in place of the end if the call uses it up.
    fn receive<P: Primitives>(
        &self,
        receiver: &mut Option<Self::Receiver<P>>,
        call: Call,
    ) -> Response;
}

/// A time limit. Its length does not matter, because a checker may let it expire at any moment.
const TIMEOUT: Duration = Duration::from_millis(1);

/// The calls of threads, for a channel that has them all.
pub const THREADS: Calls = Calls {
    blocking_sender: &[Call::TrySend, Call::Send, Call::SendTimeout, Call::Close],
    other_sender: &[Call::Send, Call::Close],
    receiver: &[
        Call::TryRecv,
        Call::Recv,
        Call::RecvTimeout,
        Call::Drain,
        Call::RecvBatch,
        Call::Close,
    ],
    allowed: |_| true,
    alike: true,
};

/// The calls of tasks, and of batches.
pub const TASKS: Calls = Calls {
    blocking_sender: &[
        Call::SendAsync,
        Call::PollSend,
        Call::SendBatch,
        Call::TrySendBatch,
        Call::SendBatchAsync,
    ],
    other_sender: &[],
    receiver: &[Call::TryRecv, Call::RecvAsync, Call::PollRecv, Call::RecvBatchAsync],
    allowed: |_| true,
    alike: true,
};

/// The calls of threads that keep places.
pub const KEEPERS: Calls = Calls {
    blocking_sender: &[Call::TrySend, Call::Send, Call::SendKept, Call::DropKept, Call::Close],
    other_sender: &[Call::Send, Call::SendKept, Call::DropKept, Call::Close],
    receiver: &[Call::TryRecv, Call::Recv, Call::Close],
    allowed: |_| true,
    alike: true,
};

/// The calls of threads that look at figures.
pub const FIGURES: Calls = Calls {
    blocking_sender: &[Call::Send, Call::Len, Call::IsEmpty, Call::IsFull],
    other_sender: &[Call::Send, Call::Len, Call::IsEmpty, Call::IsFull],
    receiver: &[Call::TryRecv, Call::Len, Call::IsEmpty, Call::IsFull, Call::Capacity],
    allowed: |_| true,
    alike: true,
};

/// The calls of a sender that looks at figures while others send and receive. The receiver has a
/// call that takes nothing, so that what it leaves is there for a while.
pub const ONLOOKERS: Calls =
    Calls { other_sender: &[Call::Send, Call::Len], receiver: &[Call::TryRecv], ..FIGURES };

/// The calls of threads that keep places and look at figures.
pub const FIGURES_OF_KEEPERS: Calls = Calls {
    blocking_sender: &[Call::SendKept, Call::DropKept, Call::Len, Call::IsFull],
    other_sender: &[Call::SendKept, Call::DropKept, Call::Len, Call::IsFull],
    ..FIGURES
};

/// The calls of threads that wait until a deadline, which may have passed already.
pub const DEADLINES: Calls = Calls {
    blocking_sender: &[Call::TrySend, Call::SendDeadline, Call::SendDue],
    other_sender: &[],
    receiver: &[Call::TryRecv, Call::RecvDeadline, Call::RecvDue],
    allowed: |_| true,
    alike: true,
};

/// The calls with a deadline, of a one-shot.
pub const DEADLINES_OF_ONE: Calls = Calls { receiver: DEADLINES.receiver, ..ONE_SHOT };

/// The calls with a deadline, of a watch, whose senders do not wait.
pub const DEADLINES_OF_READERS: Calls = Calls { receiver: DEADLINES.receiver, ..WATCH };

/// The calls of threads that select, and of those that send to them.
pub const SELECT: Calls = Calls {
    blocking_sender: &[Call::Send, Call::Close],
    other_sender: &[],
    receiver: &[Call::TryRecv, Call::Recv, Call::RecvDeadline, Call::RecvAsync, Call::PollRecv],
    allowed: |_| true,
    alike: false,
};

/// The calls of a one-shot, whose `send` and `recv` use the end up.
pub const ONE_SHOT: Calls = Calls {
    blocking_sender: &[Call::Send],
    other_sender: &[],
    receiver: &[Call::TryRecv, Call::RecvTimeout, Call::Recv, Call::Close],
    allowed: |calls| {
        let last = calls.len().saturating_sub(1);
        !calls[..last].iter().any(|call| matches!(call, Call::Send | Call::Recv))
    },
    alike: true,
};

/// The calls of a watch: `send`, and the reader's `changed` and its kin.
pub const WATCH: Calls = Calls {
    blocking_sender: &[Call::Send, Call::Close],
    other_sender: &[],
    receiver: &[Call::TryRecv, Call::Recv, Call::RecvTimeout, Call::RecvAsync, Call::PollRecv],
    allowed: |_| true,
    alike: true,
};

/// Returns the response to a send. Asserts that an item that comes back is the one that was sent.
fn sent(result: Sent<Item>, number: u8) -> Response {
    let (item, response) = match result {
        Ok(None) => return Response::Accepted,
        Ok(Some(evicted)) => return Response::Evicted(evicted.number),
        Err(SendError::Full(item)) => (item, Response::Full),
        Err(SendError::Timeout(item)) => (item, Response::Timeout),
        Err(SendError::Closed(item)) => (item, Response::Closed),
    };
    assert_eq!(item.number, number, "another item came back");
    response
}

/// Returns the response to the send of a batch, of which `left` came back.
fn sent_batch(result: Result<usize, Closed>, first: u8, left: &[Item]) -> Response {
    let accepted = BATCH - left.len();
    let rest = (first..).skip(accepted).take(left.len());
    assert!(left.iter().map(|item| item.number).eq(rest), "other items came back");
    assert!(result.is_err() || result == Ok(accepted), "accepted and told differ");
    Response::Batch { accepted: accepted as u8, closed: result.is_err() }
}

fn received<E>(result: Result<Item, E>, why: impl FnOnce(E) -> Response) -> Response {
    result.map_or_else(why, |item| Response::Item(item.number))
}

/// Returns the response to a receive that appends items and returns their number.
fn appended(result: Result<usize, Closed>, items: &[Item]) -> Response {
    match result {
        Ok(count) => {
            assert_eq!(count, items.len(), "it counts what it appends");
            Response::Items(items.iter().map(|item| item.number).collect())
        }
        Err(Closed) => Response::Closed,
    }
}

/// Returns the figure that the call is about, if it is about one.
fn figure(end: &impl Closes, call: Call) -> Option<Response> {
    Some(match call {
        Call::Len => Response::Count(end.len()),
        Call::IsEmpty => Response::Flag(end.is_empty()),
        Call::IsFull => Response::Flag(end.is_full()),
        Call::Capacity => Response::Count(end.capacity()),
        _ => return None,
    })
}

fn try_recv(result: Result<Item, TryRecvError>) -> Response {
    received(result, |error| match error {
        TryRecvError::Empty => Response::Empty,
        TryRecvError::Closed => Response::Closed,
    })
}

fn recv_timeout(result: Result<Item, RecvTimeoutError>) -> Response {
    received(result, |error| match error {
        RecvTimeoutError::Timeout => Response::Timeout,
        RecvTimeoutError::Closed => Response::Closed,
    })
}

/// Returns the deadline of a call. It lies shortly after the call, or has passed before the call.
pub(super) fn deadline<P: Primitives>(call: Call) -> Duration {
    match call {
        Call::SendDue | Call::RecvDue => Duration::ZERO,
        _ => P::now() + TIMEOUT,
    }
}

/// Returns the response to a wait until `deadline`.
///
/// # Panics
/// If the wait has ended with a time-out before that.
fn not_before<P: Primitives>(deadline: Duration, response: Response) -> Response {
    let is_over = response != Response::Timeout || P::now() >= deadline;
    assert!(is_over, "a wait ended before its deadline");
    response
}

impl<C: Channel> Subject for C {
    type Sender<P: Primitives> = C::Sender<P, Item>;
    type Receiver<P: Primitives> = C::Receiver<P, Item>;

    fn open<P: Primitives>(&self, program: &Program) -> Ends<Self::Sender<P>, Self::Receiver<P>> {
        let (sender, receiver) = C::open(program.capacity, program.on_full);
        let senders = C::senders(sender, program.count(End::Sender));
        (senders, C::receivers(receiver, program.count(End::Receiver)))
    }

    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Self::Sender<P>>,
        call: Call,
        mut items: Vec<Item>,
    ) -> Response {
        let Some(sender) = sender else { return Response::Closed };
        let Some(number) = items.first().map(|item| item.number) else {
            return figure(sender, call).unwrap_or_else(|| {
                sender.close();
                Response::Done
            });
        };
        if call.carries() == BATCH {
            let result = match call {
                Call::SendBatch => sender.send_batch(&mut items),
                Call::TrySendBatch => sender.try_send_batch(&mut items),
                _ => block_on::<P, _>(sender.send_batch_async(&mut items)),
            };
            return sent_batch(result, number, &items);
        }
        let Some(item) = items.pop() else { return Response::Done };
        match call {
            Call::TrySend => sent(sender.try_send(item), number),
            Call::SendTimeout => sent(sender.send_timeout(item, TIMEOUT), number),
            Call::SendDeadline | Call::SendDue => {
                let deadline = deadline::<P>(call);
                not_before::<P>(deadline, sent(sender.send_deadline(item, deadline), number))
            }
            Call::SendAsync => sent(block_on::<P, _>(sender.send_async(item)), number),
            Call::PollSend => match poll_once::<P, _>(pin!(sender.send_async(item))) {
                Poll::Ready(result) => sent(result, number),
                Poll::Pending => Response::Full,
            },
            _ => sent(sender.send(item), number),
        }
    }

    fn receive<P: Primitives>(
        &self,
        receiver: &mut Option<Self::Receiver<P>>,
        call: Call,
    ) -> Response {
        let Some(receiver) = receiver else { return Response::Closed };
        let mut items = Vec::new();
        let closed = |_| Response::Closed;
        match call {
            Call::TryRecv => try_recv(receiver.try_recv()),
            Call::Recv => received(receiver.recv(), closed),
            Call::RecvTimeout => recv_timeout(receiver.recv_timeout(TIMEOUT)),
            Call::RecvDeadline | Call::RecvDue => {
                let deadline = deadline::<P>(call);
                not_before::<P>(deadline, recv_timeout(receiver.recv_deadline(deadline)))
            }
            Call::RecvAsync => received(block_on::<P, _>(receiver.recv_async()), closed),
            Call::PollRecv => match poll_once::<P, _>(pin!(receiver.recv_async())) {
                Poll::Ready(result) => received(result, closed),
                Poll::Pending => Response::Empty,
            },
            Call::Drain => appended(Ok(receiver.drain(&mut items, BATCH)), &items),
            Call::RecvBatch => appended(receiver.recv_batch(&mut items, BATCH), &items),
            Call::RecvBatchAsync => {
                let result = block_on::<P, _>(receiver.recv_batch_async(&mut items, BATCH));
                appended(result, &items)
            }
            _ => figure(receiver, call).unwrap_or_else(|| {
                receiver.close();
                Response::Done
            }),
        }
    }
}

/// A channel whose senders also keep places.
#[derive(Clone, Copy, Debug)]
pub struct Keeping<C>(pub C);

impl<C: Reserves> Subject for Keeping<C> {
    type Sender<P: Primitives> = C::Sender<P, Item>;
    type Receiver<P: Primitives> = C::Receiver<P, Item>;

    fn open<P: Primitives>(&self, program: &Program) -> Ends<Self::Sender<P>, Self::Receiver<P>> {
        Subject::open(&self.0, program)
    }

    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Self::Sender<P>>,
        call: Call,
        mut items: Vec<Item>,
    ) -> Response {
        let keeps = matches!(call, Call::SendKept | Call::DropKept);
        let (Some(end), true) = (sender.as_ref(), keeps) else {
            return Subject::send(&self.0, sender, call, items);
        };
        let permit = match C::reserve(end) {
            Ok(permit) => permit,
            Err(SendError::Closed(())) => return Response::Closed,
            Err(SendError::Full(()) | SendError::Timeout(())) => return Response::Full,
        };
        let Some(item) = items.pop().filter(|_| call == Call::SendKept) else {
            return Response::Withdrawn; // the drop of the permit
        };
        let number = item.number;
        match sent(C::send(permit, item).map(|()| None), number) {
            Response::Closed => Response::Deserted,
            response => response,
        }
    }

    fn receive<P: Primitives>(
        &self,
        receiver: &mut Option<Self::Receiver<P>>,
        call: Call,
    ) -> Response {
        Subject::receive(&self.0, receiver, call)
    }
}

/// The one-shot: a channel for one item.
#[derive(Clone, Copy, Debug)]
pub struct OneShot;

impl Subject for OneShot {
    type Sender<P: Primitives> = oneshot::Sender<P, Item>;
    type Receiver<P: Primitives> = oneshot::Receiver<P, Item>;

    fn open<P: Primitives>(&self, _: &Program) -> Ends<Self::Sender<P>, Self::Receiver<P>> {
        let (sender, receiver) = oneshot::channel();
        (vec![sender], vec![receiver])
    }

    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Self::Sender<P>>,
        _: Call,
        mut items: Vec<Item>,
    ) -> Response {
        let (Some(sender), Some(item)) = (sender.take(), items.pop()) else {
            return Response::Closed;
        };
        let number = item.number;
        sent(sender.send(item).map(|()| None), number)
    }

    fn receive<P: Primitives>(
        &self,
        receiver: &mut Option<Self::Receiver<P>>,
        call: Call,
    ) -> Response {
        let Some(mut end) = receiver.take() else { return Response::Closed };
        let response = match call {
            Call::Recv => return received(end.recv(), |_| Response::Closed),
            Call::TryRecv => try_recv(end.try_recv()),
            Call::RecvTimeout => recv_timeout(end.recv_timeout(TIMEOUT)),
            Call::RecvDeadline | Call::RecvDue => {
                let deadline = deadline::<P>(call);
                not_before::<P>(deadline, recv_timeout(end.recv_deadline(deadline)))
            }
            _ => {
                end.close();
                Response::Done
            }
        };
        *receiver = Some(end);
        response
    }
}

/// The watch. It begins with no item, which counts as seen.
#[derive(Clone, Copy, Debug)]
pub struct Watch;

/// Returns the response to a `changed` or its kin.
fn changed<A: Deref<Target = Option<Item>>, E>(
    result: Result<A, E>,
    why: impl FnOnce(E) -> Response,
) -> Response {
    let number = |value: A| value.as_ref().map_or(Response::Empty, |it| Response::Item(it.number));
    result.map_or_else(why, number)
}

impl Subject for Watch {
    type Sender<P: Primitives> = watch::Sender<P, Option<Item>>;
    type Receiver<P: Primitives> = watch::Receiver<P, Option<Item>>;

    fn open<P: Primitives>(&self, program: &Program) -> Ends<Self::Sender<P>, Self::Receiver<P>> {
        let (sender, receiver) = watch::watch(None);
        let senders = (1..program.count(End::Sender)).map(|_| sender.clone()).collect::<Vec<_>>();
        let receivers: Vec<_> =
            (1..program.count(End::Receiver)).map(|_| receiver.clone()).collect();
        let receivers = receivers.into_iter().chain([receiver]).collect();
        (senders.into_iter().chain([sender]).collect(), receivers)
    }

    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Self::Sender<P>>,
        _: Call,
        mut items: Vec<Item>,
    ) -> Response {
        let Some(sender) = sender else { return Response::Closed };
        let Some(item) = items.pop() else {
            sender.close();
            return Response::Done;
        };
        let number = item.number;
        match sender.send(Some(item)) {
            Ok(()) => Response::Accepted,
            Err(error) => {
                let back = error.into_inner();
                let number_back = back.as_ref().map(|item| item.number);
                assert_eq!(number_back, Some(number), "another item came back");
                Response::Closed
            }
        }
    }

    fn receive<P: Primitives>(
        &self,
        receiver: &mut Option<Self::Receiver<P>>,
        call: Call,
    ) -> Response {
        let Some(reader) = receiver else { return Response::Closed };
        let closed = |_| Response::Closed;
        let late = |error| match error {
            RecvTimeoutError::Timeout => Response::Timeout,
            RecvTimeoutError::Closed => Response::Closed,
        };
        match call {
            Call::Recv => changed(reader.changed(), closed),
            Call::RecvTimeout => changed(reader.changed_timeout(TIMEOUT), late),
            Call::RecvDeadline | Call::RecvDue => {
                let deadline = deadline::<P>(call);
                not_before::<P>(deadline, changed(reader.changed_deadline(deadline), late))
            }
            Call::RecvAsync => changed(block_on::<P, _>(reader.changed_async()), closed),
            Call::PollRecv => match poll_once::<P, _>(pin!(reader.changed_async())) {
                Poll::Ready(result) => changed(result, closed),
                Poll::Pending => Response::Empty,
            },
            _ => changed(reader.try_changed(), |error| match error {
                TryRecvError::Empty => Response::Empty,
                TryRecvError::Closed => Response::Closed,
            }),
        }
    }
}
