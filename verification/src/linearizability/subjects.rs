//! The channels of core as the harness drives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use blocksmith_sync::mailbox::mailbox;
use blocksmith_sync::mpmc::mpmc;
use blocksmith_sync::spsc::spsc;
use blocksmith_sync::{
    Closed, Primitives, RecvTimeoutError, SendError, TryRecvError, mailbox, mpmc, oneshot, spsc,
};

use super::history::Response;
use super::program::{BATCH, Call, Calls, End, Program};

/// How often each item of an execution was dropped, in memory that no checker sees.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Vec<AtomicU8>>);

impl Ledger {
    /// Returns a ledger for so many items.
    #[must_use]
    pub fn new(items: usize) -> Self {
        Self(Arc::new((0..items).map(|_| AtomicU8::new(0)).collect()))
    }

    /// Asserts that every item was dropped once.
    ///
    /// # Panics
    /// If not.
    pub fn settle(&self) {
        let drops: Vec<_> = self.0.iter().map(|drops| drops.load(Relaxed)).collect();
        assert!(drops.iter().all(|drops| *drops == 1), "drops of each item: {drops:?}");
    }
}

/// What travels: a number, and a ledger in which its end is written.
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

    /// Returns what its ends can do.
    fn calls(&self) -> Calls;
    /// Returns a new channel with as many ends as the program has threads for.
    fn open<P: Primitives>(&self, program: &Program) -> Ends<Self::Sender<P>, Self::Receiver<P>>;
    /// Sends `item`, or closes if there is none. `None` is left where the call uses the end up.
    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Self::Sender<P>>,
        call: Call,
        item: Option<Item>,
    ) -> Response;
    /// Receives, or closes.
    fn receive<P: Primitives>(
        &self,
        receiver: &mut Option<Self::Receiver<P>>,
        call: Call,
    ) -> Response;
}

/// Any time at all: a checker lets it expire when it likes.
const TIMEOUT: Duration = Duration::from_millis(1);

/// The calls of a channel with all of them.
pub const ALL_CALLS: Calls = Calls {
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
};

/// An answer to a send that accepted; a mailbox may return what it evicted.
trait Accepted {
    fn response(self) -> Response;
}

impl Accepted for () {
    fn response(self) -> Response {
        Response::Accepted
    }
}

impl Accepted for Option<Item> {
    fn response(self) -> Response {
        self.map_or(Response::Accepted, |item| Response::Evicted(item.number))
    }
}

/// The response to a send; what comes back must be what was sent.
fn sent<A: Accepted>(result: Result<A, SendError<Item>>, number: u8) -> Response {
    let (item, response) = match result {
        Ok(accepted) => return accepted.response(),
        Err(SendError::Full(item)) => (item, Response::Full),
        Err(SendError::Timeout(item)) => (item, Response::Timeout),
        Err(SendError::Closed(item)) => (item, Response::Closed),
    };
    assert_eq!(item.number, number, "another item came back");
    response
}

fn numbers(items: &[Item]) -> Response {
    Response::Items(items.iter().map(|item| item.number).collect())
}

macro_rules! subject {
    ($(#[$text:meta])* $name:ident, $module:ident, $open:expr) => {
        $(#[$text])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Subject for $name {
            type Sender<P: Primitives> = $module::Sender<P, Item>;
            type Receiver<P: Primitives> = $module::Receiver<P, Item>;

            fn calls(&self) -> Calls {
                ALL_CALLS
            }

            fn open<P: Primitives>(
                &self,
                program: &Program,
            ) -> Ends<Self::Sender<P>, Self::Receiver<P>> {
                $open(program)
            }

            fn send<P: Primitives>(
                &self,
                sender: &mut Option<Self::Sender<P>>,
                call: Call,
                item: Option<Item>,
            ) -> Response {
                let Some(sender) = sender else { return Response::Closed };
                let Some(item) = item else {
                    sender.close();
                    return Response::Done;
                };
                let number = item.number;
                match call {
                    Call::TrySend => sent(sender.try_send(item), number),
                    Call::SendTimeout => sent(sender.send_timeout(item, TIMEOUT), number),
                    _ => sent(sender.send(item), number),
                }
            }

            fn receive<P: Primitives>(
                &self,
                receiver: &mut Option<Self::Receiver<P>>,
                call: Call,
            ) -> Response {
                let Some(receiver) = receiver else { return Response::Closed };
                let mut batch = Vec::new();
                match call {
                    Call::TryRecv => match receiver.try_recv() {
                        Ok(item) => Response::Item(item.number),
                        Err(TryRecvError::Empty) => Response::Empty,
                        Err(TryRecvError::Closed) => Response::Closed,
                    },
                    Call::Recv => match receiver.recv() {
                        Ok(item) => Response::Item(item.number),
                        Err(Closed) => Response::Closed,
                    },
                    Call::RecvTimeout => match receiver.recv_timeout(TIMEOUT) {
                        Ok(item) => Response::Item(item.number),
                        Err(RecvTimeoutError::Timeout) => Response::Timeout,
                        Err(RecvTimeoutError::Closed) => Response::Closed,
                    },
                    Call::Drain => {
                        let count = receiver.drain(&mut batch, BATCH);
                        assert_eq!(count, batch.len(), "drain counts what it appends");
                        numbers(&batch)
                    }
                    Call::RecvBatch => match receiver.recv_batch(&mut batch, BATCH) {
                        Ok(count) => {
                            assert_eq!(count, batch.len(), "recv_batch counts what it appends");
                            numbers(&batch)
                        }
                        Err(Closed) => Response::Closed,
                    },
                    _ => {
                        receiver.close();
                        Response::Done
                    }
                }
            }
        }
    };
}

subject! {
    /// The ring: one sender, one receiver.
    Spsc, spsc, |program: &Program| {
        let (sender, receiver) = spsc(program.capacity, program.backpressure());
        (vec![sender], vec![receiver])
    }
}

subject! {
    /// The mailbox: a sender for each thread, one receiver.
    Mailbox, mailbox, |program: &Program| {
        let (sender, receiver) = mailbox(program.capacity, 0, program.on_full);
        (copies(sender, program.count(End::Sender)), vec![receiver])
    }
}

subject! {
    /// The pool's queue: a sender or a receiver for each thread.
    Mpmc, mpmc, |program: &Program| {
        let (sender, receiver) = mpmc(program.capacity, program.backpressure());
        let receivers = copies(receiver, program.count(End::Receiver));
        (copies(sender, program.count(End::Sender)), receivers)
    }
}

/// Returns `count` ends, of which `end` is one.
fn copies<E: Clone>(end: E, count: usize) -> Vec<E> {
    let mut ends: Vec<_> = (1..count).map(|_| end.clone()).collect();
    ends.push(end);
    ends
}

/// The one-shot: a channel for one item, whose `send` and `recv` use the end up.
#[derive(Clone, Copy, Debug)]
pub struct OneShot;

impl Subject for OneShot {
    type Sender<P: Primitives> = oneshot::Sender<P, Item>;
    type Receiver<P: Primitives> = oneshot::Receiver<P, Item>;

    fn calls(&self) -> Calls {
        Calls {
            blocking_sender: &[Call::Send],
            other_sender: &[],
            receiver: &[Call::TryRecv, Call::RecvTimeout, Call::Recv],
            allowed: |calls| {
                let last = calls.len().saturating_sub(1);
                !calls[..last].iter().any(|call| matches!(call, Call::Send | Call::Recv))
            },
        }
    }

    fn open<P: Primitives>(&self, _: &Program) -> Ends<Self::Sender<P>, Self::Receiver<P>> {
        let (sender, receiver) = oneshot::channel();
        (vec![sender], vec![receiver])
    }

    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Self::Sender<P>>,
        _: Call,
        item: Option<Item>,
    ) -> Response {
        let (Some(sender), Some(item)) = (sender.take(), item) else { return Response::Closed };
        let number = item.number;
        sent(sender.send(item).map_err(SendError::Closed), number)
    }

    fn receive<P: Primitives>(
        &self,
        receiver: &mut Option<Self::Receiver<P>>,
        call: Call,
    ) -> Response {
        let Some(mut end) = receiver.take() else { return Response::Closed };
        let response = match call {
            Call::Recv => {
                return end.recv().map_or(Response::Closed, |item| Response::Item(item.number));
            }
            Call::TryRecv => match end.try_recv() {
                Ok(item) => Response::Item(item.number),
                Err(oneshot::TryRecvError::Empty) => Response::Empty,
                Err(oneshot::TryRecvError::Dropped) => Response::Closed,
            },
            _ => match end.recv_timeout(TIMEOUT) {
                Ok(item) => Response::Item(item.number),
                Err(oneshot::RecvTimeoutError::Timeout) => Response::Timeout,
                Err(oneshot::RecvTimeoutError::Dropped) => Response::Closed,
            },
        };
        *receiver = Some(end);
        response
    }
}
