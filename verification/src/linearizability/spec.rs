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

/// How the points of one call happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// All at once, between the call and its return.
    AtOnce,
    /// In order, each at a moment of its own between the call and its return; but an item gets its
    /// place in the line as it is accepted.
    InSteps,
    /// All at once, and an item that is accepted replaces what is there; each receiver takes it once,
    /// and it stays: of a watch. The receivers' going closes nothing.
    Latest,
    /// Two channels, each with a sender, and a receiver that selects: all that happens in one of them
    /// at once, but the receiver looks at one after the other.
    Either,
}

impl Granularity {
    /// Returns how many channels there are.
    #[must_use]
    pub fn lanes(self) -> usize {
        if self == Self::Either { 2 } else { 1 }
    }
}

/// What a call was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Response {
    /// The item was accepted.
    Accepted,
    /// The item was accepted, and this one given back for it.
    Evicted(u8),
    /// A place was kept, and given back.
    Withdrawn,
    /// A place was kept; then the item came back, for there was no receiver.
    Deserted,
    /// So many of a batch were accepted; `closed`: the end was in the way of the others.
    Batch {
        /// How many, from the first.
        accepted: u8,
        /// Whether the answer was that the channel is closed.
        closed: bool,
    },
    /// The item came back: no room.
    Full,
    /// The time was over.
    Timeout,
    /// The item came back, or nothing will come: closed.
    Closed,
    /// An item.
    Item(u8),
    /// A batch.
    Items(Vec<u8>),
    /// Nothing at the moment.
    Empty,
    /// So many.
    Count(usize),
    /// Yes, or no.
    Flag(bool),
    /// The end of this input of a select.
    Ended(usize),
    /// The signal is there.
    Told,
    /// It is not there, or not seen.
    NotTold,
    /// A call without an answer has returned.
    Done,
}

/// What happens at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// An item is accepted: there is room, and the channel is open.
    Admit,
    /// A place is kept: there is room, and the channel is open.
    Keep,
    /// A place that is kept becomes an item's: there is a receiver.
    Use,
    /// A place that is kept is given back.
    Withdraw,
    /// There is no receiver.
    Deserted,
    /// The oldest item, this one, gives its room to another; the channel is full and open.
    Evict(u8),
    /// The channel is open, and this item stands where any other did.
    Replace(u8),
    /// The item gets its place in the line.
    Line(u8),
    /// The item can be taken, once those before it can.
    Show(u8),
    /// There is no room, and the channel is open.
    Full,
    /// The channel is closed.
    Closed,
    /// The oldest items are taken, these; `all`: no other could have been.
    Take {
        /// The items, in order.
        items: Vec<u8>,
        /// Whether there was no further one.
        all: bool,
    },
    /// The room of so many items is free again.
    Release(usize),
    /// So many items stand in line.
    Only(usize),
    /// Nothing stands in line, but more may come.
    Empty,
    /// Nothing can be taken now, but something may come.
    NothingToTake,
    /// The channel is closed, and nothing is on its way.
    Finished,
    /// A count of the items begins.
    CountFrom,
    /// It ends with so many: all that have been in line since it began, none that has not.
    Counted(usize),
    /// Whether nothing is in line.
    IsEmpty(bool),
    /// Whether there is no room.
    IsFull(bool),
    /// The channel has so many places.
    Holds(usize),
    /// The receiver is told that the channel is finished; that is told once.
    TellEnd,
    /// It has been told.
    EndTold,
    /// Nothing can be taken now, and no end is to be told.
    Idle,
    /// No item is accepted from here on.
    Close,
    /// One sender fewer; the last one closes.
    SenderGoes,
    /// One receiver fewer; the last one closes.
    ReceiverGoes,
    /// If there is no receiver, what is left is dropped.
    Clear,
    /// What happened so far is told.
    Signal,
    /// It has been told.
    Told,
}

/// One or more points that happen at once, as a thread's step of that number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The thread.
    pub thread: usize,
    /// How many steps it has taken before.
    pub number: usize,
    /// Where: a channel of a program that has several.
    pub lane: usize,
    /// What happens.
    pub points: Vec<Point>,
}

/// The channels of a program, mostly one. [`SequentialSpec::invoke`] returns whether the step may
/// happen now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Channels {
    lanes: Vec<BoundedFifo>,
    /// Steps that each thread has taken.
    steps: Vec<usize>,
}

impl Channels {
    /// Returns the channels that the program begins with: empty, open, with an end for each thread
    /// that has one.
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
    /// Items in line, and whether each can be seen.
    line: VecDeque<(u8, bool)>,
    /// Items admitted that are not in line yet.
    admitted: usize,
    /// Places that are kept.
    kept: usize,
    /// Items taken whose room is not free yet.
    taken: usize,
    closed: bool,
    senders: usize,
    receivers: usize,
    told: bool,
    /// Whether items stay ([`Granularity::Latest`]), and which threads have taken the one that is
    /// there.
    latest: bool,
    seen: Vec<bool>,
    /// For each thread that counts, how many of the items in line were there when it began, and how
    /// many have been there since.
    counts: Vec<Option<(usize, usize)>>,
    /// Whether the end has been told ([`Point::TellEnd`]).
    end_told: bool,
}

impl BoundedFifo {
    /// Returns the channel that the program begins with: empty, open, one end for each thread.
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

    /// Takes the oldest item, if it is this one and can be seen.
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

    /// Ends a count: returns whether it may come to `count`.
    fn counted(&mut self, count: usize, thread: usize) -> bool {
        let Some((before, since)) = self.counts[thread].take() else { return false };
        // The last receiver drops what is left one by one.
        let least = if self.receivers == 0 { 0 } else { before };
        (least..=since.min(self.capacity)).contains(&count)
    }

    /// As `take` by this thread, of what stays.
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

/// Returns the points of a call that was answered so, those together that happen at once. `gone`:
/// the call used the thread's end up.
///
/// A batch is no more than its items: each is accepted at a moment of its own, and a receiver that
/// takes fewer than it might has seen, at a moment before it takes them, that no more are there.
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
        // Two calls in one.
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

/// Returns the points one by one; but an item gets its place in the line as it is accepted.
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
        // One by one, then a look that finds no more; a batch that waits begins with a `recv`.
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
