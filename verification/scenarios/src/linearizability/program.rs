//! Client programs: the threads of a program and the calls of each. The module enumerates all
//! programs up to a size.

use std::fmt;

use blocksmith_sync::{Backpressure, OnFull};

/// A call of a client. A call that sends carries items of its own. The items of a program are
/// numbered in the order of its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `try_send`.
    TrySend,
    /// `send`, which does what the policy says if the channel is full.
    Send,
    /// `send_timeout`. It may expire whenever it would block.
    SendTimeout,
    /// `try_recv`.
    TryRecv,
    /// `recv`.
    Recv,
    /// `recv_timeout`. It may expire whenever it would block.
    RecvTimeout,
    /// `drain`, at most [`BATCH`] items.
    Drain,
    /// `recv_batch`, at most [`BATCH`] items.
    RecvBatch,
    /// `send_batch` of [`BATCH`] items.
    SendBatch,
    /// `try_send_batch` of [`BATCH`] items.
    TrySendBatch,
    /// `send_async`, awaited.
    SendAsync,
    /// `send_async`, polled once and dropped.
    PollSend,
    /// `send_batch_async` of [`BATCH`] items, awaited.
    SendBatchAsync,
    /// `recv_async`, awaited.
    RecvAsync,
    /// `recv_async`, polled once and dropped.
    PollRecv,
    /// `reserve`, and then the permit's `send`.
    SendKept,
    /// `reserve`, and then the drop of the permit.
    DropKept,
    /// `recv_batch_async`, at most [`BATCH`] items, awaited.
    RecvBatchAsync,
    /// `send_deadline` with a deadline that is still to come. It expires as `SendTimeout` does.
    SendDeadline,
    /// `send_deadline` with a deadline that has passed.
    SendDue,
    /// `recv_deadline` with a deadline that is still to come. It expires as `RecvTimeout` does.
    RecvDeadline,
    /// `recv_deadline` with a deadline that has passed.
    RecvDue,
    /// `len`.
    Len,
    /// `is_empty`, or `!has_changed` of a watch.
    IsEmpty,
    /// `is_full`.
    IsFull,
    /// `capacity`.
    Capacity,
    /// `close`, by either end.
    Close,
    /// The drop of the thread's end, which is the last call of every thread.
    Drop,
    /// A signal, by a release: it tells the thread that looks what has happened before. It is no
    /// call of the channel.
    Signal,
    /// A look for the signal, by an acquire. It does not wait, and is no call of the channel.
    Look,
}

/// The number of items in a batch that is sent, and the most items that a batch receives.
pub const BATCH: usize = 2;

impl Call {
    /// Returns how many items the call carries.
    #[must_use]
    pub fn carries(self) -> usize {
        match self {
            Self::TrySend | Self::Send | Self::SendTimeout | Self::SendAsync | Self::PollSend => 1,
            Self::SendKept | Self::DropKept | Self::SendDeadline | Self::SendDue => 1,
            Self::SendBatch | Self::TrySendBatch | Self::SendBatchAsync => BATCH,
            _ => 0,
        }
    }

    /// Returns whether the call carries items.
    #[must_use]
    pub fn sends(self) -> bool {
        self.carries() > 0
    }

    /// Returns the name of the call, as counterexamples show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TrySend => "try_send",
            Self::Send => "send",
            Self::SendTimeout => "send_timeout",
            Self::TryRecv => "try_recv",
            Self::Recv => "recv",
            Self::RecvTimeout => "recv_timeout",
            Self::Drain => "drain",
            Self::RecvBatch => "recv_batch",
            Self::SendBatch => "send_batch",
            Self::TrySendBatch => "try_send_batch",
            Self::SendAsync => "send_async",
            Self::PollSend => "send_async, once",
            Self::SendBatchAsync => "send_batch_async",
            Self::RecvAsync => "recv_async",
            Self::PollRecv => "recv_async, once",
            Self::RecvBatchAsync => "recv_batch_async",
            Self::SendKept => "reserve and send",
            Self::DropKept => "reserve and drop",
            Self::SendDeadline => "send_deadline",
            Self::SendDue => "send_deadline, due",
            Self::RecvDeadline => "recv_deadline",
            Self::RecvDue => "recv_deadline, due",
            Self::Len => "len",
            Self::IsEmpty => "is_empty",
            Self::IsFull => "is_full",
            Self::Capacity => "capacity",
            Self::Close => "close",
            Self::Drop => "drop",
            Self::Signal => "signal",
            Self::Look => "look",
        }
    }
}

/// Which end a thread holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A sender of its own.
    Sender,
    /// A receiver of its own.
    Receiver,
}

/// One thread of a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thread {
    /// The end that the thread holds.
    pub end: End,
    /// The calls that it makes on its end, in order.
    pub calls: Vec<Call>,
}

/// A program over one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The number of items that the channel holds.
    pub capacity: usize,
    /// What the channel's `send` does when the channel is full.
    pub on_full: OnFull,
    /// The threads, senders first.
    pub threads: Vec<Thread>,
}

impl Program {
    /// Returns the policy for a channel that cannot evict.
    ///
    /// # Panics
    /// If the program's policy is to evict. The families have no such program for a channel that
    /// cannot evict.
    #[must_use]
    pub fn backpressure(&self) -> Backpressure {
        Backpressure::try_from(self.on_full).expect("a policy of this channel")
    }

    /// Returns how many threads hold that end.
    #[must_use]
    pub fn count(&self, end: End) -> usize {
        self.threads.iter().filter(|thread| thread.end == end).count()
    }

    /// Returns how many items the program sends.
    #[must_use]
    pub fn items(&self) -> usize {
        self.threads.iter().flat_map(|thread| &thread.calls).map(|call| call.carries()).sum()
    }

    /// Returns the first item that a call carries. An item's number follows from its place in the
    /// program.
    #[must_use]
    pub fn item(&self, thread: usize, call: usize) -> u8 {
        let sends = |calls: &[Call]| calls.iter().map(|call| call.carries()).sum::<usize>();
        let before: usize = self.threads[..thread].iter().map(|thread| sends(&thread.calls)).sum();
        u8::try_from(before + sends(&self.threads[thread].calls[..call])).unwrap_or(u8::MAX)
    }

    /// Returns the thread that sends an item.
    ///
    /// # Panics
    /// If no thread sends it.
    #[must_use]
    pub fn sender_of(&self, item: u8) -> usize {
        let begins = |thread: &usize| self.item(*thread, 0) <= item;
        (0..self.threads.len()).rfind(begins).expect("the first thread begins with item 0")
    }

    /// Returns the name of a thread, for tables.
    #[must_use]
    pub fn thread_name(&self, thread: usize) -> String {
        let Thread { end, .. } = self.threads[thread];
        let same = |threads: &[Thread]| threads.iter().filter(|other| other.end == end).count();
        let name = if end == End::Sender { "sender" } else { "receiver" };
        match same(&self.threads) {
            1 => name.to_owned(),
            _ => format!("{name} {}", same(&self.threads[..=thread])),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "capacity {}, {:?}", self.capacity, self.on_full)?;
        for (number, thread) in self.threads.iter().enumerate() {
            let calls: Vec<_> = thread.calls.iter().map(|call| call.name()).collect();
            write!(f, "; {}: {}", self.thread_name(number), calls.join(", "))?;
        }
        Ok(())
    }
}

/// The programs of one size: how many threads hold each end, and how many calls they make.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The number of threads that hold a sender.
    pub senders: usize,
    /// The number of threads that hold a receiver.
    pub receivers: usize,
    /// The most calls of one thread, not counting its final drop.
    pub calls: usize,
    /// The most calls of all threads together, not counting their final drops.
    pub in_all: usize,
    /// Whether one thread signals to another, once. The signal is tried after each call of the one
    /// thread and before each call of the other.
    pub signal: bool,
}

/// The calls that the ends of a channel can make, and in which order.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// The calls of a sender under a policy that waits.
    pub blocking_sender: &'static [Call],
    /// The calls of a sender under a policy that does not wait. There the three ways to send are
    /// one.
    pub other_sender: &'static [Call],
    /// The calls of a receiver.
    pub receiver: &'static [Call],
    /// Whether a thread may make these calls in this order.
    pub allowed: fn(&[Call]) -> bool,
    /// Whether the threads of one end are alike, so that it does not matter which of them makes
    /// which calls.
    pub alike: bool,
}

/// Returns every program of a shape. Of programs that differ only in the numbering of items and of
/// threads that are alike, it returns one: items are numbered by place, and threads that are alike
/// stand in ascending order.
#[must_use]
pub fn programs(calls: &Calls, shape: Shape, capacity: usize, on_full: OnFull) -> Vec<Program> {
    let sender = if on_full == OnFull::Block { calls.blocking_sender } else { calls.other_sender };
    let list = |end, alphabet: &[Call]| -> Vec<Thread> {
        let all = sequences(alphabet, shape.calls)
            .into_iter()
            .filter(|calls_of| (calls.allowed)(calls_of));
        all.map(|calls| Thread { end, calls }).collect()
    };
    let choose = if calls.alike { ascending } else { any };
    let senders = choose(&list(End::Sender, sender), shape.senders);
    let receivers = choose(&list(End::Receiver, calls.receiver), shape.receivers);
    let mut found = Vec::new();
    for senders in &senders {
        for receivers in &receivers {
            let threads = [senders.as_slice(), receivers].concat();
            let total: usize = threads.iter().map(|thread| thread.calls.len()).sum();
            if total > shape.in_all {
                continue;
            }
            let program = Program { capacity, on_full, threads };
            if shape.signal {
                found.extend(with_signals(&program));
            } else {
                found.push(program);
            }
        }
    }
    for program in &mut found {
        program.threads.iter_mut().for_each(|thread| thread.calls.push(Call::Drop));
    }
    found
}

/// Returns every sequence of at most `length` calls.
fn sequences(alphabet: &[Call], length: usize) -> Vec<Vec<Call>> {
    let mut all = vec![Vec::new()];
    let mut begin = 0;
    for _ in 0..length {
        let end = all.len();
        for place in begin..end {
            for &call in alphabet {
                let mut longer = all[place].clone();
                longer.push(call);
                all.push(longer);
            }
        }
        begin = end;
    }
    all
}

/// Returns every way to choose `count` of `threads` in ascending order, with repeats allowed.
fn ascending(threads: &[Thread], count: usize) -> Vec<Vec<Thread>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (place, first) in threads.iter().enumerate() {
        for rest in ascending(&threads[place..], count - 1) {
            all.push([std::slice::from_ref(first), &rest].concat());
        }
    }
    all
}

/// Returns every way to choose `count` of `threads`, one after the other, with repeats allowed.
fn any(threads: &[Thread], count: usize) -> Vec<Vec<Thread>> {
    (0..count).fold(vec![Vec::new()], |chosen, _| {
        let further = |before: &Vec<Thread>| {
            let before = before.clone();
            threads.iter().map(move |next| [before.as_slice(), std::slice::from_ref(next)].concat())
        };
        chosen.iter().flat_map(further).collect()
    })
}

/// Returns every variant of a program in which one thread signals after one of its calls, and
/// another thread looks for the signal before one of its own.
fn with_signals(program: &Program) -> Vec<Program> {
    let mut all = Vec::new();
    let threads = program.threads.len();
    for (from, to) in (0..threads).flat_map(|from| (0..threads).map(move |to| (from, to))) {
        let (signals, looks) = (program.threads[from].calls.len(), program.threads[to].calls.len());
        if from == to {
            continue;
        }
        for (after, before) in (1..=signals).flat_map(|a| (0..looks).map(move |b| (a, b))) {
            let mut variant = program.clone();
            variant.threads[from].calls.insert(after, Call::Signal);
            variant.threads[to].calls.insert(before, Call::Look);
            all.push(variant);
        }
    }
    all
}
