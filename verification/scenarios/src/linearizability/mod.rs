//! Every channel against `bounded FIFO with close`, for all client programs up to a size.
//!
//! **Contract.** A [`Family`] is a channel, the sizes of its client programs, and an engine.
//! [`check`] enumerates the programs ([`program`]) and runs each under many schedules. It records
//! the calls and their answers ([`history`]), and asks stateright's testers whether the
//! specification ([`spec`]) allows some order of the calls. The first history without such an order
//! is the counterexample: a table with a column for each thread, followed by the engine's own
//! trace.
//!
//! | engine | schedules of a program | the order must keep to |
//! |---|---|---|
//! | shuttle | a sample: half random, half PCT | real time: linearizability |
//! | loom | all within its bounds, weak memory included | each thread's order, and every signal that was seen: sequential consistency |
//!
//! Under weak memory "returned before" has no meaning that threads could agree on. A program may
//! therefore hold one *signal* there: one thread tells another (release, acquire) what it has done,
//! at every place of the program. Calls that happened before the signal must then come first. Those
//! programs run once more with the first sleep of each execution ending in a spurious wake-up.
//! Under both engines a timed wait may expire whenever it would block.
//!
//! **Programs.** Each thread owns one end, makes calls on it and drops it. No program can therefore
//! wait for ever if the channel is right: a channel is not full and empty at once, and an end that
//! goes wakes the others. No program is left out, and a deadlock is a violation. Items are
//! distinct, and each of them must be dropped once.
//!
//! Beside the calls of threads, each channel has families of further calls: the calls of tasks and
//! of batches (awaited, polled once and dropped, in batches), of threads that keep places, of
//! threads that look at figures (`len` and its kin), and of threads that wait until a deadline,
//! which may have passed before the call. A select is one over two channels ([`either`]).
//!
//! The families do not enumerate everything. They leave out waits for the closing alone, two tasks
//! of one thread, more than two items in a batch, a batch under [`OnFull::EvictOldest`], the
//! figures of a meter, selects of more inputs, selects whose budgets are spent, and notifiers that
//! channels share in other ways. The scenarios are about these.
//!
//! To each of its readers, a watch is such a channel for one item, whose send replaces the item
//! that is there ([`spec::Granularity::Latest`]).
//!
//! **Where a channel is weaker.** `spsc`, `mpmc`, `oneshot` and `watch` are linearizable, call by
//! call. A batch of theirs counts as its items, one after the other. A receive that gets fewer
//! items than it asked for happens at two moments. At the first, the receiver sees that no more
//! items are there. At the second, it takes those that were there and frees their places. (A check
//! of longer programs found that these are two moments.)
//!
//! The mailbox is not linearizable at three places, which its contract names:
//!
//! - A send is *accepted*, then linked in line, then *visible*. A mailbox can therefore be full for
//!   one thread and still empty for another. An item also waits for the one before it, and the
//!   receiver does not wait for that one in `drain` and in timed waits.
//! - Room is free again a moment after the item was taken.
//! - A batch is received item by item until a look finds no more, and its room is free at its end.
//!   `recv_batch` is a `recv`, followed by that. An evictor may come between.
//!
//! The mailbox's `len` counts for a while, since it reads its figures one after the other. It
//! counts everything that is there during all of that while, and nothing that is there at no moment
//! of it. The calls of a mailbox happen in steps, each at one moment within the call
//! ([`spec::Granularity`]). A must-fail twin shows that the mailbox is not linearizable in one
//! step, for its items and for its figures.

mod depth;
pub mod either;
mod entry;
mod faults;
pub mod faulty;
pub mod faulty_select;
pub mod faulty_watch;
pub mod history;
pub mod list;
pub mod program;
pub mod select;
pub mod spec;
pub mod subjects;

pub use depth::Depth;
pub use entry::Size;

use std::collections::BTreeMap;
use std::sync::Arc;

use blocksmith_engines::verdict::{Engine, Outcome, Verdict, Violation};
use blocksmith_sync::Ordering::{Acquire, Release};
use blocksmith_sync::{Atomic, Join, OnFull, Primitives};

use blocksmith_engines::loom::{self, Loom, LoomBounds};
use blocksmith_engines::shuttle::{self, Shuttle, ShuttleBounds};
use history::{Judge, Order, Recorder, What};
use program::{Call, Calls, Program, Shape, programs};
use spec::{Granularity, Response};
use subjects::{Item, Ledger, Subject};

/// The engine that runs the programs of a family, and its bound.
#[derive(Clone, Copy, Debug)]
pub enum Runner {
    /// shuttle runs each program under this many schedules.
    Shuttle(usize),
    /// loom runs all executions of each program up to this preemption bound.
    Loom(usize),
    /// As [`Runner::Loom`], and then again with a spurious wake-up that ends the first sleep of
    /// each execution.
    LoomSpurious(usize),
}

/// A channel, the client programs over it, and the engine that runs them.
#[derive(Clone, Debug)]
pub struct Family<S> {
    /// The channel.
    pub subject: S,
    /// The calls that its ends can make.
    pub calls: Calls,
    /// When the points of a call happen.
    pub granularity: Granularity,
    /// The sizes of the programs.
    pub shapes: Vec<Shape>,
    /// The capacities of the channel, each of which is tried.
    pub capacities: &'static [usize],
    /// The policies of the channel, each of which is tried.
    pub policies: &'static [OnFull],
    /// The engine that runs the programs.
    pub runner: Runner,
}

/// One thread of a program in one execution.
struct Client<S, P: Primitives> {
    subject: S,
    judge: Arc<Judge>,
    recorder: Recorder,
    ledger: Ledger,
    signal: Option<P::Arc<P::AtomicU32>>,
    thread: usize,
}

impl<S: Subject, P: Primitives> Client<S, P> {
    /// Makes the thread's calls on its end, and drops the end at the last call. `used` makes one
    /// call.
    fn run<E>(&self, end: E, used: impl Fn(&mut Option<E>, Call, Vec<Item>) -> Response) {
        let mut end = Some(end);
        let program = self.judge.program();
        for (number, &call) in program.threads[self.thread].calls.iter().enumerate() {
            let had = end.is_some();
            if call == Call::Drop && !had {
                return;
            }
            let numbers = program.item(self.thread, number)..;
            let item = |number| Item::new(number, &self.ledger);
            let items = numbers.take(call.carries()).map(item).collect();
            self.recorder.note(self.thread, number, What::Call);
            let response = match call {
                Call::Drop => {
                    drop(end.take());
                    Response::Done
                }
                Call::Signal | Call::Look => self.signals(call),
                _ => used(&mut end, call, items),
            };
            let gone = had && end.is_none();
            self.recorder.note(self.thread, number, What::Return { response, gone });
        }
    }

    fn signals(&self, call: Call) -> Response {
        let Some(word) = &self.signal else { return Response::NotTold };
        if call == Call::Signal {
            word.store(1, Release);
            Response::Done
        } else if word.load(Acquire) == 1 {
            Response::Told
        } else {
            Response::NotTold
        }
    }
}

/// Runs a program once. It spawns every thread but the last, which is the caller.
fn execute<S: Subject, P: Primitives>(subject: S, judge: &Arc<Judge>) {
    let program = judge.program();
    let ledger = Ledger::new(program.items());
    let recorder = Recorder::default();
    let signals = program.threads.iter().any(|thread| thread.calls.contains(&Call::Signal));
    let signal = signals.then(|| P::arc(Atomic::new(0)));
    let client = |thread| Client::<S, P> {
        subject,
        judge: judge.clone(),
        recorder: recorder.clone(),
        ledger: ledger.clone(),
        signal: signal.clone(),
        thread,
    };
    let (senders, receivers) = subject.open::<P>(program);
    let mut bodies: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for sender in senders {
        let client = client(bodies.len());
        bodies.push(Box::new(move || {
            client.run(sender, |end, call, items| client.subject.send::<P>(end, call, items));
        }));
    }
    for receiver in receivers {
        let client = client(bodies.len());
        bodies.push(Box::new(move || {
            client.run(receiver, |end, call, _| client.subject.receive::<P>(end, call));
        }));
    }
    let last = bodies.pop();
    let names = (0..).map(|thread| program.thread_name(thread));
    let threads: Vec<_> =
        bodies.into_iter().zip(names).map(|(body, name)| P::spawn(&name, body)).collect();
    if let Some(body) = last {
        body();
    }
    for thread in threads {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
    judge.hear(recorder.history());
    ledger.settle();
}

impl<S: Subject> Family<S> {
    /// Returns the family's programs.
    #[must_use]
    pub fn programs(&self) -> Vec<Program> {
        let mut all = Vec::new();
        for &on_full in self.policies {
            for &capacity in self.capacities {
                let of = |shape: &Shape| programs(&self.calls, *shape, capacity, on_full);
                all.extend(self.shapes.iter().flat_map(of));
            }
        }
        all
    }

    /// Returns the sizes of the programs, in words.
    fn clients(&self) -> String {
        let sizes = self.shapes.iter().map(|shape| {
            let Shape { senders, receivers, calls, in_all, signal } = shape;
            let threads = format!("{senders}+{receivers} threads");
            let signal = if *signal { ", one signal" } else { "" };
            let in_all = (*in_all).min(calls * (senders + receivers));
            format!("{threads}: {calls} calls each, {in_all} in all{signal}")
        });
        sizes.collect::<Vec<_>>().join("; ")
    }

    fn order(&self) -> Order {
        match self.runner {
            Runner::Shuttle(_) => Order::RealTime,
            Runner::Loom(_) | Runner::LoomSpurious(_) => Order::Program,
        }
    }

    fn run(&self, judge: &Arc<Judge>) -> Verdict {
        let (subject, heard) = (self.subject, judge.clone());
        let threads = judge.program().threads.len();
        match self.runner {
            Runner::Shuttle(schedules) => {
                let body = move || execute::<S, Shuttle>(subject, &heard);
                shuttle::check(body, threads, ShuttleBounds::iterations(schedules))
            }
            Runner::Loom(preemptions) | Runner::LoomSpurious(preemptions) => {
                let body = move || execute::<S, Loom>(subject, &heard);
                let spurious = u32::from(matches!(self.runner, Runner::LoomSpurious(_)));
                let bounds = LoomBounds { spurious, ..LoomBounds::preemptions(preemptions) };
                loom::check(body, threads, bounds)
            }
        }
    }
}

/// The property that a history breaks if the specification does not allow it.
const LINEARIZABLE: &str = "every history is one of a bounded FIFO with close";

/// Runs the programs of a family, and ends with the first that is refuted or stopped by a limit.
/// Blocks until all programs have run or one has ended it.
#[must_use]
pub fn check<S: Subject>(family: &Family<S>) -> Verdict {
    let programs = family.programs();
    let mut bounds = bounds(family, programs.len());
    let (mut executions, mut histories) = (0, 0);
    let mut outcome = Outcome::Verified;
    for program in programs {
        let judge = Arc::new(Judge::new(program, family.granularity, family.order()));
        let verdict = family.run(&judge);
        executions += verdict.executions.unwrap_or(0);
        histories += judge.distinct();
        let of_all = verdict.bounds.into_iter().filter(|(name, _)| *name != "threads");
        loom::merge_bounds(&mut bounds, of_all);
        match verdict.outcome {
            Outcome::Verified => continue,
            Outcome::Truncated { by } => {
                outcome = Outcome::Truncated { by: format!("{by}, in {}", judge.program()) };
            }
            Outcome::Violated { violation, counterexample } => {
                let violation = match judge.table() {
                    Some(_) => Violation::Property(LINEARIZABLE.to_owned()),
                    None => violation,
                };
                let counterexample = explain(&judge, &counterexample);
                outcome = Outcome::Violated { violation, counterexample };
            }
        }
        break;
    }
    bounds.remove("iterations");
    bounds.insert("histories", histories.to_string());
    let engine = match family.runner {
        Runner::Shuttle(_) => Engine::Shuttle,
        Runner::Loom(_) | Runner::LoomSpurious(_) => Engine::Loom,
    };
    Verdict { engine, bounds, states: None, executions: Some(executions), outcome }
}

fn bounds<S: Subject>(family: &Family<S>, programs: usize) -> BTreeMap<&'static str, String> {
    let mut bounds = BTreeMap::from([
        ("clients", format!("[{}]", family.clients())),
        ("capacities", format!("{:?}", family.capacities)),
        ("policies", format!("{:?}", family.policies)),
        ("programs", programs.to_string()),
    ]);
    match family.runner {
        Runner::Shuttle(schedules) => {
            bounds.insert("order", Order::RealTime.name().to_owned());
            bounds.insert("schedules", format!("{schedules} each"));
        }
        Runner::Loom(_) | Runner::LoomSpurious(_) => {
            bounds.insert("order", Order::Program.name().to_owned());
        }
    }
    bounds
}

/// Returns the engine's counterexample together with the program. If the specification refuted a
/// history, the history is in it as a table.
fn explain(judge: &Judge, counterexample: &str) -> String {
    let (first, rest) = counterexample.split_once('\n').unwrap_or((counterexample, ""));
    let program = judge.program();
    match judge.table() {
        Some(table) => format!(
            "{LINEARIZABLE}: this one has no such order\n\
             {program}\n{table}{rest}"
        ),
        None => format!("{first}\n{program}\n{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::program::{Call, Calls};
    use super::spec::Granularity;
    use super::subjects::OneShot;
    use super::{Family, Runner, check, entry};

    #[test]
    fn the_clock_of_a_family_is_that_of_the_program_that_reads_it_most() {
        // The receiver waits with a limit, or looks once, which comes last and reads no clock.
        let family = |receiver| Family {
            subject: OneShot,
            calls: Calls {
                blocking_sender: &[Call::Send],
                other_sender: &[],
                receiver,
                allowed: |_| true,
                alike: true,
            },
            granularity: Granularity::AtOnce,
            shapes: vec![entry::pair(1, 2)],
            capacities: entry::ONE,
            policies: entry::BLOCK,
            runner: Runner::Loom(0),
        };
        let clock = |receiver| check(&family(receiver)).bounds["clock"].clone();
        assert_eq!(clock(&[Call::TryRecv]), "never read");
        let waits = clock(&[Call::RecvTimeout]);
        assert!(waits.starts_with("jumps at most once"), "{waits}");
        assert_eq!(clock(&[Call::RecvTimeout, Call::TryRecv]), waits);
    }
}
