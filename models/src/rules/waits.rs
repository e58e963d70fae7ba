//! Waits: read-write locks of three policies, taken again or held across a question.
//!
//! No code of core runs here. The services share no lock and hold none while they wait, so there is
//! nothing to run: the instances that hold are the design in a few steps, and the twins are what
//! real clients have shipped instead.
//!
//! A thread is a list of steps. A lock admits one writer or any number of readers; its policy says
//! whom it admits while others wait. A message is sent to one place and received from it once.
//!
//! | property | meaning |
//! |---|---|
//! | no deadlock | a state without further steps is one in which every thread has ended |
//! | who waits gets in | no fair behaviour keeps a thread in the line for ever (threads begin anew when they have ended) |

use std::collections::BTreeMap;

use stateright::{Model, Property};

use std::net::SocketAddr;

use super::{Bounded, InWords, Instance, MAX_STATES, Rule, Twin};
use crate::hazard;
use blocksmith_engines::counterexample::Stand;
use blocksmith_engines::lasso;
use blocksmith_engines::symmetry::{self, Symmetric};
use blocksmith_engines::verdict::{Breaks, Verdict};

/// One step of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Step {
    /// Joins the line for reading.
    AskRead,
    /// Joins the line for writing.
    AskWrite,
    /// Goes on once the lock admits it.
    Enter,
    /// Gives back what it took last.
    Leave,
    /// Sends a message to a place.
    Send(usize),
    /// Waits for the message of a place.
    Receive(usize),
}

use Step::{AskRead, AskWrite, Enter, Leave, Receive, Send};

/// Whom a lock admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Policy {
    /// A reader, whenever nobody writes.
    ReadersFirst,
    /// No reader while a writer waits.
    WritersFirst,
    /// The one who has waited longest.
    Fair,
}

const POLICIES: &[Policy] = &[Policy::ReadersFirst, Policy::WritersFirst, Policy::Fair];

/// Threads that share one lock.
#[derive(Clone, Debug)]
struct Locks {
    threads: &'static [&'static [Step]],
    policies: &'static [Policy],
    /// Whether a thread begins anew when it has ended.
    again: bool,
}

/// What the threads have done, and who waits for the lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LockState {
    policy: Policy,
    /// Steps that each thread has taken.
    at: Vec<usize>,
    /// The threads that wait for the lock, the first first, and whether each is to write.
    line: Vec<(usize, bool)>,
    /// The threads inside, once for each time, and whether each writes.
    inside: Vec<(usize, bool)>,
    sent: Vec<bool>,
}

impl Locks {
    fn admits(state: &LockState, thread: usize) -> bool {
        let Some(place) = state.line.iter().position(|(who, _)| *who == thread) else {
            return false;
        };
        let writes = state.line[place].1;
        let free = if writes {
            state.inside.is_empty()
        } else {
            state.inside.iter().all(|(_, writes)| !writes)
        };
        let turn = match state.policy {
            Policy::ReadersFirst => true,
            Policy::WritersFirst => writes || state.line.iter().all(|(_, writes)| !writes),
            Policy::Fair => place == 0,
        };
        free && turn
    }

    fn may_step(&self, state: &LockState, thread: usize) -> bool {
        match self.threads[thread].get(state.at[thread]) {
            None => false,
            Some(Enter) => Self::admits(state, thread),
            Some(Receive(place)) => state.sent[*place],
            Some(AskRead | AskWrite | Leave | Send(_)) => true,
        }
    }
}

impl Bounded for Locks {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        let policies: Vec<_> = self.policies.iter().map(|policy| format!("{policy:?}")).collect();
        BTreeMap::from([
            ("threads", self.threads.len().to_string()),
            ("policies", policies.join(", ")),
        ])
    }

    fn step_in_words(&self, state: &LockState, thread: &usize) -> (String, String) {
        let does = match self.threads[*thread].get(state.at[*thread]) {
            Some(AskRead) => "asks for the lock, to read".to_owned(),
            Some(AskWrite) => "asks for the lock, to write".to_owned(),
            Some(Enter) => "has the lock".to_owned(),
            Some(Leave) => "gives the lock back".to_owned(),
            Some(Send(place)) => format!("sends message {place}"),
            Some(Receive(place)) => format!("receives message {place}"),
            None => String::new(),
        };
        (thread_name(*thread), does)
    }

    fn objects(&self, state: &LockState) -> Vec<(String, String)> {
        let list = |all: &[(usize, bool)]| {
            let word = |&(thread, writes): &(usize, bool)| {
                format!("{} to {}", thread_name(thread), if writes { "write" } else { "read" })
            };
            all.iter().map(word).collect::<Vec<_>>().join(", ")
        };
        vec![
            ("lock, inside".to_owned(), list(&state.inside)),
            ("lock, in line".to_owned(), list(&state.line)),
            ("messages".to_owned(), format!("{:?}", state.sent)),
        ]
    }

    fn stands(&self, state: &LockState) -> Vec<Stand> {
        let stand = |thread: usize| {
            let inside = state.inside.iter().filter(|(who, _)| *who == thread).count();
            let holds = if inside > 0 { ", and has it already" } else { "" };
            let other = |who: &usize| *who != thread;
            let (what, waits_for) = match self.threads[thread].get(state.at[thread]) {
                None => ("has ended".to_owned(), Vec::new()),
                Some(Enter) if !Self::admits(state, thread) => {
                    let place = state.line.iter().position(|(who, _)| *who == thread);
                    let before = &state.line[..place.unwrap_or(0)];
                    let whom = state.inside.iter().chain(before).map(|(who, _)| *who);
                    let words = format!("waits for the lock ({:?}){holds}", state.policy);
                    (words, whom.filter(other).collect())
                }
                Some(Receive(place)) if !state.sent[*place] => {
                    let sends =
                        |who: &usize| self.threads[*who][state.at[*who]..].contains(&Send(*place));
                    let whom = (0..self.threads.len()).filter(other).filter(sends);
                    (format!("waits for message {place}"), whom.collect::<Vec<_>>())
                }
                Some(step) => (format!("stands before {step:?}"), Vec::new()),
            };
            let mut waits_for: Vec<_> = waits_for.into_iter().map(thread_name).collect();
            waits_for.dedup();
            Stand { process: thread_name(thread), what, waits_for }
        };
        (0..self.threads.len()).map(stand).collect()
    }
}

fn thread_name(thread: usize) -> String {
    format!("thread {thread}")
}

impl Model for Locks {
    type State = LockState;
    type Action = usize;

    fn init_states(&self) -> Vec<LockState> {
        let start = |policy: &Policy| LockState {
            policy: *policy,
            at: vec![0; self.threads.len()],
            line: Vec::new(),
            inside: Vec::new(),
            sent: vec![false; 2],
        };
        self.policies.iter().map(start).collect()
    }

    fn actions(&self, state: &LockState, actions: &mut Vec<usize>) {
        actions.extend((0..self.threads.len()).filter(|thread| self.may_step(state, *thread)));
    }

    fn next_state(&self, last: &LockState, thread: usize) -> Option<LockState> {
        let mut state = last.clone();
        match *self.threads[thread].get(state.at[thread])? {
            AskRead => state.line.push((thread, false)),
            AskWrite => state.line.push((thread, true)),
            Enter => {
                let place = state.line.iter().position(|(who, _)| *who == thread)?;
                let entry = state.line.remove(place);
                state.inside.push(entry);
            }
            Leave => {
                let place = state.inside.iter().rposition(|(who, _)| *who == thread)?;
                state.inside.remove(place);
            }
            Send(place) => state.sent[place] = true,
            Receive(place) => state.sent[place] = false,
        }
        state.at[thread] += 1;
        if self.again && state.at[thread] == self.threads[thread].len() {
            state.at[thread] = 0;
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("no deadlock", |model: &Self, state: &LockState| {
            let mut threads = 0..model.threads.len();
            let ended = |thread: usize| state.at[thread] == model.threads[thread].len();
            threads.clone().any(|thread| model.may_step(state, thread)) || threads.all(ended)
        })]
    }
}

const READER: &[Step] = &[AskRead, Enter, Leave];
const WRITER: &[Step] = &[AskWrite, Enter, Leave];
const READS_AGAIN: &[Step] = &[AskRead, Enter, AskRead, Enter, Leave, Leave];
/// Gives the lock back before it asks for a state, and takes it again with the answer.
const ASKS_OUTSIDE: &[Step] =
    &[AskWrite, Enter, Leave, Send(0), Receive(1), AskWrite, Enter, Leave];
const ASKS_INSIDE: &[Step] = &[AskWrite, Enter, Send(0), Receive(1), Leave];
/// Makes the state, for which it looks at what the lock protects.
const MAKES: &[Step] = &[Receive(0), AskWrite, Enter, Leave, Send(1)];

fn locks(threads: &'static [&'static [Step]], policies: &'static [Policy]) -> Box<dyn Instance> {
    Box::new(Locks { threads, policies, again: false })
}

impl Symmetric for Locks {
    fn processes(&self) -> usize {
        self.threads.len()
    }

    fn alike(&self) -> Vec<Vec<usize>> {
        let mut classes: BTreeMap<&[Step], Vec<usize>> = BTreeMap::new();
        for (thread, steps) in self.threads.iter().enumerate() {
            classes.entry(steps).or_default().push(thread);
        }
        classes.into_values().collect()
    }

    fn renamed(&self, state: &LockState, to: &[usize]) -> LockState {
        let mut at = state.at.clone();
        to.iter().zip(&state.at).for_each(|(other, at_step)| at[*other] = *at_step);
        let each =
            |all: &[(usize, bool)]| all.iter().map(|&(who, writes)| (to[who], writes)).collect();
        LockState { at, line: each(&state.line), inside: each(&state.inside), ..state.clone() }
    }
}

/// Threads of which some are alike: one state of those that differ in their names is looked at.
#[derive(Clone, Debug)]
struct Alike(Locks);

impl Instance for Alike {
    fn check(self: Box<Self>) -> Verdict {
        let bounds = self.0.bounds();
        symmetry::check(self.0, &InWords, bounds, MAX_STATES)
    }

    fn serve(self: Box<Self>, address: SocketAddr) {
        drop(self.0.checker().serve(address));
    }
}

fn alike(threads: &'static [&'static [Step]], policies: &'static [Policy]) -> Box<dyn Instance> {
    Box::new(Alike(Locks { threads, policies, again: false }))
}

/// Threads that share one lock, again and again, and one of them that must not wait for ever.
#[derive(Clone, Debug)]
struct Line {
    locks: Locks,
    /// The thread that must get in.
    thread: usize,
}

impl Instance for Line {
    fn check(self: Box<Self>) -> Verdict {
        let Self { locks, thread } = *self;
        let waits = |state: &LockState| state.line.iter().any(|(who, _)| *who == thread);
        let process = |thread: &usize| u32::try_from(*thread).ok();
        let describe = |_: &LockState, thread: &usize| format!("thread {thread} goes on");
        let bounds = locks.bounds();
        lasso::judge(&locks, GETS_IN, process, waits, describe, bounds, MAX_STATES)
    }

    fn serve(self: Box<Self>, address: SocketAddr) {
        drop(self.locks.checker().serve(address));
    }
}

const GETS_IN: &str = "who waits gets in";

fn line(
    threads: &'static [&'static [Step]],
    thread: usize,
    policies: &'static [Policy],
) -> Box<dyn Instance> {
    Box::new(Line { locks: Locks { threads, policies, again: true }, thread })
}

const NO_DEADLOCK: &[Breaks] = &[Breaks::Property("no deadlock")];

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "read_once",
        claim: "a read lock that is taken once at a time, beside a writer: no deadlock under any \
                policy of the lock",
        states: 222,
        model: || locks(&[READER, READER, WRITER], POLICIES),
        twins: &[
            Twin {
                name: "read_again_writers_first",
                hazard: &hazard::C6,
                claim: "a read lock is taken again while a writer waits, and writers come first",
                model: || locks(&[READS_AGAIN, WRITER], &[Policy::WritersFirst]),
                breaks: NO_DEADLOCK,
            },
            Twin {
                name: "read_again_fair",
                hazard: &hazard::C6,
                claim: "a read lock is taken again while a writer waits, and the lock is fair",
                model: || locks(&[READS_AGAIN, WRITER], &[Policy::Fair]),
                breaks: NO_DEADLOCK,
            },
        ],
    },
    Rule {
        name: "read_once_by_three",
        claim: "three readers and two writers, alike among themselves: no deadlock under any policy \
                of the lock",
        states: 678,
        model: || alike(&[READER, READER, READER, WRITER, WRITER], POLICIES),
        twins: &[Twin {
            name: "read_again_by_two",
            hazard: &hazard::C6,
            claim: "two alike readers take a read lock again while one of two writers waits, and \
                    the lock is fair",
            model: || alike(&[READS_AGAIN, READS_AGAIN, WRITER, WRITER], &[Policy::Fair]),
            breaks: NO_DEADLOCK,
        }],
    },
    Rule {
        name: "read_again_readers_first",
        claim: "where readers come first, a read lock that is taken again does not deadlock: so \
                tests over such a lock do not show the fault",
        states: 26,
        model: || locks(&[READS_AGAIN, WRITER], &[Policy::ReadersFirst]),
        twins: &[],
    },
    Rule {
        name: "a_writer_gets_in",
        claim: "a writer beside readers that come again and again gets in, where writers come \
                first and where the lock is fair",
        states: 70,
        model: || line(&[READER, READER, WRITER], 2, &[Policy::WritersFirst, Policy::Fair]),
        twins: &[Twin {
            name: "a_writer_starves",
            hazard: &hazard::C6,
            claim: "readers come first, which a read lock that is taken again needs, and between \
                    them a writer never gets in",
            model: || line(&[READER, READER, WRITER], 2, &[Policy::ReadersFirst]),
            breaks: &[Breaks::Property(GETS_IN)],
        }],
    },
    Rule {
        name: "a_reader_gets_in",
        claim: "a reader beside writers that come again and again gets in, where the \
                lock is fair",
        states: 31,
        model: || line(&[WRITER, WRITER, READER], 2, &[Policy::Fair]),
        twins: &[Twin {
            name: "a_reader_starves",
            hazard: &hazard::C6,
            claim: "writers come first, and between them a reader never gets in",
            model: || line(&[WRITER, WRITER, READER], 2, &[Policy::WritersFirst]),
            breaks: &[Breaks::Property(GETS_IN)],
        }],
    },
    Rule {
        name: "state_outside_the_lock",
        claim: "a state that is asked for outside the lock is made, and the lock is free for its \
                maker",
        states: 168,
        model: || locks(&[ASKS_OUTSIDE, MAKES, WRITER], POLICIES),
        twins: &[Twin {
            name: "state_under_the_lock",
            hazard: &hazard::C7,
            claim: "a state is asked for under the lock that its maker takes",
            model: || locks(&[ASKS_INSIDE, MAKES, WRITER], POLICIES),
            breaks: NO_DEADLOCK,
        }],
    },
];

#[cfg(test)]
mod tests {
    use blocksmith_engines::explore;

    use super::*;

    #[test]
    fn alike_threads_change_no_verdict_and_spare_states() {
        // The same locks with and without the reduction: the verdicts, and the states looked at.
        type Case = (&'static [&'static [Step]], &'static [Policy], bool);
        let cases: [Case; 4] = [
            (&[READER, READER, READER, WRITER, WRITER], POLICIES, false),
            (&[READER, READER, READER, READER, WRITER], POLICIES, false),
            (&[READS_AGAIN, READS_AGAIN, WRITER, WRITER], &[Policy::Fair], true),
            (&[READS_AGAIN, READS_AGAIN, WRITER], &[Policy::ReadersFirst], false),
        ];
        for (threads, policies, breaks) in cases {
            let locks = Locks { threads, policies, again: false };
            let whole = explore::explore(locks.clone(), MAX_STATES);
            let part = symmetry::explore(&locks, MAX_STATES);
            let length = |found: &explore::Exploration<LockState, usize>| {
                found.violation.as_ref().map(|(property, path)| (*property, path.len()))
            };
            assert_eq!(length(&whole), length(&part), "{threads:?}");
            assert_eq!((part.violation.is_some(), part.stopped), (breaks, false), "{threads:?}");
            println!("{} states, {} of alike threads", whole.states, part.states);
            // A search that ends early looks at parts of both.
            assert!(breaks || part.states * 3 / 2 < whole.states, "{threads:?}: {}", part.states);
            assert_eq!(symmetry::asymmetry(&locks, 2_000), None, "{threads:?}");
        }
    }
}
