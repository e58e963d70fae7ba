//! The specification: a bounded FIFO with close, one step at a time.
//!
//! A call and its answer amount to a few *points*, each of which happens at one moment. In most
//! channels all the points of a call happen at the same moment, so these channels are linearizable
//! in the plain sense. In the mailbox the points may happen one after the other within the call
//! (see [`Granularity`]). To each receiver, a watch is such a FIFO of one item, which a later item
//! replaces.
//!
//! ```text
//!   admitted ──> in line ──> visible ──> taken ──> released
//!   `---------- counted against the capacity ----------'
//! ```

use std::collections::VecDeque;

use stateright::semantics::SequentialSpec;

use super::program::{BATCH, Call, End, Program};

/// When the points of one call happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// The points happen all at once, between the call and its return.
    AtOnce,
    /// The points happen in order, each at a moment of its own between the call and its return.
    /// Only an item's place in the line is given to it at the moment at which it is accepted.
    InSteps,
    /// The channel is a watch. The points happen all at once. An accepted item replaces the one
    /// that is there. Each receiver takes an item once, and the item stays. The drop of the
    /// receivers closes nothing.
    Latest,
    /// There are two channels, each with a sender, and a receiver that selects. The points in one
    /// channel happen all at once. The receiver looks at one channel after the other.
    Either,
}

impl Granularity {
    /// Returns how many channels there are.
    #[must_use]
    pub fn lanes(self) -> usize {
        if self == Self::Either { 2 } else { 1 }
    }
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Response {
    /// The item was accepted.
    Accepted,
    /// The item was accepted, and this older one was given back for it.
    Evicted(u8),
    /// A place was kept, and then given back.
    Withdrawn,
    /// A place was kept. Then the item came back, because no receiver was left.
    Deserted,
    /// The first items of a batch were accepted.
    Batch {
        /// The number of accepted items.
        accepted: u8,
        /// Whether the answer was that the channel is closed, so that the others came back.
        closed: bool,
    },
    /// The item came back, because the channel had no room.
    Full,
    /// The time was over.
    Timeout,
    /// The channel is closed: the item came back, or nothing more will come.
    Closed,
    /// This item was received.
    Item(u8),
    /// This batch was received.
    Items(Vec<u8>),
    /// Nothing was there at that moment.
    Empty,
    /// A figure.
    Count(usize),
    /// Yes or no.
    Flag(bool),
    /// This input of a select has ended.
    Ended(usize),
    /// The signal was seen.
    Told,
    /// The signal was not seen.
    NotTold,
    /// The call has no answer, and has returned.
    Done,
}

/// Something that happens at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// An item is accepted: there is room, and the channel is open.
    Admit,
    /// A place is kept: there is room, and the channel is open.
    Keep,
    /// A kept place becomes the place of an item: there is a receiver.
    Use,
    /// A kept place is given back.
    Withdraw,
    /// No receiver is left.
    Deserted,
    /// This item, the oldest, gives its room to another: the channel is full and open.
    Evict(u8),
    /// The channel is open, and this item replaces the one that is there, if any.
    Replace(u8),
    /// The item gets its place in the line.
    Line(u8),
    /// The item becomes visible: it can be taken once those before it can.
    Show(u8),
    /// There is no room, and the channel is open.
    Full,
    /// The channel is closed.
    Closed,
    /// The oldest items are taken.
    Take {
        /// The items, in order.
        items: Vec<u8>,
        /// Whether no further item could be taken.
        all: bool,
    },
    /// The room of this many items is free again.
    Release(usize),
    /// Exactly this many items stand in line.
    Only(usize),
    /// Nothing stands in line, but more may come.
    Empty,
    /// Nothing can be taken now, but something may come.
    NothingToTake,
    /// The channel is closed, and nothing is on its way.
    Finished,
    /// A count of the items begins.
    CountFrom,
    /// A count ends with this figure. It includes every item that has been in line since the count
    /// began, and no item that was never in line meanwhile.
    Counted(usize),
    /// Whether nothing is in line.
    IsEmpty(bool),
    /// Whether there is no room.
    IsFull(bool),
    /// The channel has this many places.
    Holds(usize),
    /// The receiver is told that the channel is finished, which it is told once.
    TellEnd,
    /// The receiver has been told that the channel is finished.
    EndTold,
    /// Nothing can be taken now, and the receiver is not to be told of an end.
    Idle,
    /// No item is accepted from here on.
    Close,
    /// A sender is dropped. The drop of the last one closes the channel.
    SenderGoes,
    /// A receiver is dropped. The drop of the last one closes the channel.
    ReceiverGoes,
    /// If no receiver is left, the items that are left are dropped.
    Clear,
    /// The signal is given: it tells what has happened so far.
    Signal,
    /// The signal has been given.
    Told,
}

/// One or more points that happen at once: one step of a thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The thread.
    pub thread: usize,
    /// The number of steps that the thread has taken before.
    pub number: usize,
    /// The position of the channel, in a program with several channels.
    pub lane: usize,
    /// The points, in order.
    pub points: Vec<Point>,
}

/// The channels of a program; most programs have one. [`SequentialSpec::invoke`] returns whether a
/// step may happen now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Channels {
    lanes: Vec<BoundedFifo>,
    /// The number of steps that each thread has taken.
    steps: Vec<usize>,
}

impl Channels {
    /// Returns the channels that the program begins with. They are empty and open, and each thread
    /// has its end.
    #[must_use]
    pub fn new(program: &Program, granularity: Granularity) -> Self {
        let lanes = granularity.lanes();
        let senders = program.count(End::Sender) / lanes;
        let lane = BoundedFifo { senders, ..BoundedFifo::new(program, granularity) };
        Self { lanes: vec![lane; lanes], steps: vec![0; program.threads.len()] }
    }
}

impl SequentialSpec for Channels {
    type Op = Step;
    type Ret = bool;

    fn invoke(&mut self, step: &Step) -> bool {
        let due = self.steps[step.thread] == step.number;
        self.steps[step.thread] += 1;
        let lane = &mut self.lanes[step.lane];
        due && step.points.iter().all(|point| lane.happens(point, step.thread))
    }
}

/// A bounded FIFO with close.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BoundedFifo {
    capacity: usize,
    /// The items in line, and whether each is visible.
    line: VecDeque<(u8, bool)>,
    /// The number of admitted items that are not in line yet.
    admitted: usize,
    /// The number of places that are kept.
    kept: usize,
    /// The number of taken items whose room is not free yet.
    taken: usize,
    closed: bool,
    senders: usize,
    receivers: usize,
    told: bool,
    /// Whether items stay ([`Granularity::Latest`]).
    latest: bool,
    /// For each thread, whether it has taken the item that is there, where items stay.
    seen: Vec<bool>,
    /// For each thread that counts: how many of the items now in line were there when its count
    /// began, and how many items have been there since.
    counts: Vec<Option<(usize, usize)>>,
    /// Whether the end has been told ([`Point::TellEnd`]).
    end_told: bool,
}

impl BoundedFifo {
    /// Returns the channel that the program begins with. It is empty and open, and each thread has
    /// its end.
    fn new(program: &Program, granularity: Granularity) -> Self {
        Self {
            capacity: program.capacity,
            line: VecDeque::new(),
            admitted: 0,
            kept: 0,
            taken: 0,
            closed: false,
            senders: program.count(End::Sender),
            receivers: program.count(End::Receiver),
            told: false,
            latest: granularity == Granularity::Latest,
            seen: vec![false; program.threads.len()],
            counts: vec![None; program.threads.len()],
            end_told: false,
        }
    }

    fn is_full(&self) -> bool {
        self.line.len() + self.admitted + self.kept + self.taken >= self.capacity
    }

    fn is_finished(&self) -> bool {
        self.closed && self.line.is_empty() && self.admitted + self.kept == 0
    }

    /// Takes the oldest item, if it is this one and visible. Returns whether it did.
    fn take(&mut self, item: u8) -> bool {
        for (before, _) in self.counts.iter_mut().flatten() {
            *before = before.saturating_sub(1); // the oldest were there before
        }
        self.line.pop_front() == Some((item, true))
    }

    /// Puts an item in line.
    fn put(&mut self, item: u8) {
        for (_, since) in self.counts.iter_mut().flatten() {
            *since += 1;
        }
        self.line.push_back((item, false));
    }

    /// Ends the count of a thread. Returns whether the result may be `count`.
    fn counted(&mut self, count: usize, thread: usize) -> bool {
        let Some((before, since)) = self.counts[thread].take() else { return false };
        // The last receiver drops what is left one by one.
        let least = if self.receivers == 0 { 0 } else { before };
        (least..=since.min(self.capacity)).contains(&count)
    }

    /// Lets this thread take an item that stays. Returns whether it did, as `take` does.
    fn see(&mut self, item: u8, thread: usize) -> bool {
        let is_new = !std::mem::replace(&mut self.seen[thread], true);
        is_new && self.line.front() == Some(&(item, true))
    }

    /// Returns whether nothing is there for this thread.
    fn is_empty(&self, thread: usize) -> bool {
        self.line.is_empty() || self.latest && self.seen[thread]
    }

    fn happens(&mut self, point: &Point, thread: usize) -> bool {
        match point {
            Point::Take { items, .. } if self.latest => {
                self.taken += items.len();
                items.iter().all(|&item| self.see(item, thread))
            }
            Point::Empty | Point::NothingToTake if self.latest => {
                self.is_empty(thread) && !self.closed
            }
            Point::Finished if self.latest => self.is_empty(thread) && self.closed,
            Point::Admit => {
                let possible = !self.closed && !self.is_full();
                self.admitted += 1;
                possible
            }
            Point::Keep => {
                let possible = !self.closed && !self.is_full();
                self.kept += 1;
                possible
            }
            Point::Use => {
                self.kept -= 1;
                self.admitted += 1;
                self.receivers > 0
            }
            Point::Withdraw => {
                self.kept -= 1;
                true
            }
            Point::Deserted => self.receivers == 0,
            Point::Evict(oldest) => {
                let possible = !self.closed && self.is_full() && self.take(*oldest);
                self.admitted += 1;
                possible
            }
            Point::Replace(item) => {
                self.line.clear();
                self.line.push_back((*item, true));
                self.seen.fill(false);
                !self.closed
            }
            Point::Line(item) => {
                self.admitted -= 1;
                self.put(*item);
                true
            }
            Point::Show(item) => {
                let mut line = self.line.iter_mut();
                line.find(|place| place.0 == *item).map(|place| place.1 = true).is_some()
            }
            Point::Full => !self.closed && self.is_full(),
            Point::Closed => self.closed,
            Point::Take { items, all } => {
                self.taken += items.len();
                let taken = items.iter().all(|&item| self.take(item));
                taken && !(*all && self.line.front().is_some_and(|place| place.1))
            }
            Point::Release(count) => {
                self.taken -= count;
                true
            }
            Point::Only(count) => self.line.len() == *count,
            Point::Empty => self.line.is_empty() && !self.is_finished(),
            Point::NothingToTake => {
                !self.line.front().is_some_and(|place| place.1) && !self.is_finished()
            }
            Point::Finished => self.is_finished(),
            Point::CountFrom => {
                self.counts[thread] = Some((self.line.len(), self.line.len()));
                true
            }
            Point::Counted(count) => self.counted(*count, thread),
            Point::IsEmpty(flag) => self.is_empty(thread) == *flag,
            Point::IsFull(flag) => self.is_full() == *flag,
            Point::Holds(places) => self.capacity == *places,
            Point::TellEnd => self.is_finished() && !std::mem::replace(&mut self.end_told, true),
            Point::EndTold => self.end_told,
            Point::Idle => {
                let is_due = self.is_finished() && !self.end_told;
                !self.line.front().is_some_and(|place| place.1) && !is_due
            }
            Point::Close => {
                self.closed = true;
                true
            }
            Point::SenderGoes => {
                self.senders -= 1;
                self.closed |= self.senders == 0;
                true
            }
            Point::ReceiverGoes => {
                self.receivers -= 1;
                self.closed |= self.receivers == 0;
                true
            }
            Point::Clear => {
                let last = self.receivers == 0;
                let through = self.admitted == 0 && self.line.iter().all(|place| place.1);
                if last {
                    self.line.clear();
                }
                !last || through
            }
            Point::Signal => {
                self.told = true;
                true
            }
            Point::Told => self.told,
        }
    }
}

/// Returns the points of a call with that answer, grouped by the moment at which they happen.
/// `gone` says whether the call used the thread's end up.
///
/// A batch is no more than its items: each of them is accepted at a moment of its own. A receiver
/// that takes fewer items than it asked for has seen, at an earlier moment, that no more are there.
#[must_use]
pub fn points(
    call: Call,
    item: u8,
    end: End,
    response: &Response,
    gone: bool,
    granularity: Granularity,
) -> Vec<Vec<Point>> {
    let accepted = |first, item| vec![first, Point::Line(item), Point::Show(item)];
    let mut groups = match response {
        Response::Accepted if granularity == Granularity::Latest => {
            vec![vec![Point::Replace(item)]]
        }
        // The answer is that of two calls, `reserve` and `send`.
        Response::Accepted if call == Call::SendKept => {
            vec![vec![Point::Keep], accepted(Point::Use, item)]
        }
        Response::Withdrawn => vec![vec![Point::Keep], vec![Point::Withdraw]],
        Response::Deserted => {
            vec![vec![Point::Keep], vec![Point::Deserted], vec![Point::Withdraw]]
        }
        Response::Accepted => vec![accepted(Point::Admit, item)],
        Response::Evicted(oldest) => vec![accepted(Point::Evict(*oldest), item)],
        Response::Batch { accepted: count, closed } => {
            let items = (item..).take(usize::from(*count));
            let mut groups: Vec<_> = items.map(|item| accepted(Point::Admit, item)).collect();
            if *closed {
                groups.push(vec![Point::Closed]);
            } else if *count == 0 {
                groups.push(vec![Point::Full]);
            }
            groups
        }
        Response::Items(items) => taken(call, items, granularity),
        Response::Item(item) => {
            vec![vec![Point::Take { items: vec![*item], all: false }, Point::Release(1)]]
        }
        Response::Count(count) if call == Call::Len => {
            vec![vec![Point::CountFrom, Point::Counted(*count)]]
        }
        _ => look(call, response).into_iter().map(|point| vec![point]).collect(),
    };
    let end_of_thread = end;
    let mut end = match end {
        _ if !gone => vec![],
        End::Sender => vec![Point::SenderGoes],
        End::Receiver if granularity == Granularity::Latest => vec![],
        End::Receiver => vec![Point::ReceiverGoes],
    };
    match groups.last_mut() {
        Some(last) => last.append(&mut end),
        None if !end.is_empty() => groups.push(end),
        None => {}
    }
    if gone && end_of_thread == End::Receiver && granularity != Granularity::Latest {
        groups.push(vec![Point::Clear]); // one by one, as `counted` knows
    }
    match granularity {
        Granularity::AtOnce | Granularity::Latest | Granularity::Either => groups,
        Granularity::InSteps => groups.into_iter().flat_map(in_steps).collect(),
    }
}

/// Returns each point in a group of its own. Only an item's place in the line stays with the point
/// at which the item is accepted.
fn in_steps(group: Vec<Point>) -> Vec<Vec<Point>> {
    let mut steps: Vec<Vec<Point>> = Vec::new();
    for point in group {
        match steps.last_mut() {
            Some(last) if *last == [Point::Admit] || *last == [Point::Use] => last.push(point),
            _ => steps.push(vec![point]),
        }
    }
    steps
}

/// Returns the points of a call that received a batch.
fn taken(call: Call, items: &[u8], granularity: Granularity) -> Vec<Vec<Point>> {
    let take = |items: &[u8], all| Point::Take { items: items.to_vec(), all };
    let release = Point::Release(items.len());
    let all = items.len() < BATCH;
    match granularity {
        // The items are taken one by one, and then a look finds no more. A batch that waits begins
        // with a `recv`.
        Granularity::InSteps => {
            let mut points: Vec<_> = items.iter().map(|item| take(&[*item], false)).collect();
            points.extend(all.then(|| take(&[], true)));
            if call == Call::RecvBatch && !items.is_empty() {
                points.insert(1, Point::Release(1));
                points.push(Point::Release(items.len() - 1));
            } else {
                points.push(release);
            }
            vec![points]
        }
        _ if all && !items.is_empty() => {
            vec![vec![Point::Only(items.len())], vec![take(items, false), release]]
        }
        _ => vec![vec![take(items, all), release]],
    }
}

/// Returns the point of a call that neither accepted nor received.
fn look(call: Call, response: &Response) -> Option<Point> {
    match response {
        Response::Full => Some(Point::Full),
        Response::Timeout if call.sends() => Some(Point::Full),
        Response::Timeout => Some(Point::NothingToTake),
        Response::Closed if call.sends() => Some(Point::Closed),
        Response::Closed => Some(Point::Finished),
        Response::Empty if call == Call::PollRecv => Some(Point::NothingToTake),
        Response::Empty => Some(Point::Empty),
        Response::Told => Some(Point::Told),
        Response::Count(places) => Some(Point::Holds(*places)),
        Response::Flag(flag) if call == Call::IsFull => Some(Point::IsFull(*flag)),
        Response::Flag(flag) => Some(Point::IsEmpty(*flag)),
        Response::Done if call == Call::Close => Some(Point::Close),
        Response::Done if call == Call::Signal => Some(Point::Signal),
        _ => None,
    }
}
