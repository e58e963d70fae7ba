//! What a backend writes down of one execution: its operations, and where each thread stands.
//!
//! **Contract.** Loom and shuttle run all threads of an execution as coroutines on the calling
//! thread of the system, so a recording is kept per thread of the system. While one is on, each
//! operation of a backend adds a step ([`note`]), and each wait says what it waits for ([`stand`]).
//! Of a long execution the last [`MAX_STEPS`] steps are kept. [`take`] makes a counterexample of it.
//!
//! What an object holds is what was written to it last. Under weak memory a load may return
//! something older, and the step says so.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::Location;

use crate::counterexample::{Counterexample, Standing, Step};
use crate::verdict::{Engine, Violation};

/// The number of steps that are kept of one execution.
pub(crate) const MAX_STEPS: usize = 4_000;

/// A thread of the scenario.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// Its number in the checker.
    pub(crate) id: usize,
    pub(crate) name: String,
}

/// An object of the scenario: its kind, and its address, which is shown as a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Object(pub(crate) &'static str, pub(crate) usize);

/// What an operation did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// What stands between the operation's brackets.
    arguments: String,
    result: String,
    read: Option<String>,
    wrote: Option<String>,
}

impl Access {
    pub(crate) fn of(arguments: impl ToString) -> Self {
        Self { arguments: arguments.to_string(), ..Self::default() }
    }

    pub(crate) fn read(self, value: impl ToString) -> Self {
        Self { read: Some(value.to_string()), ..self }
    }

    pub(crate) fn wrote(self, value: impl ToString) -> Self {
        Self { wrote: Some(value.to_string()), ..self }
    }

    pub(crate) fn result(self, result: impl ToString) -> Self {
        Self { result: result.to_string(), ..self }
    }
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stand {
    /// Nothing.
    Runs,
    /// To be woken; `true` if it has a deadline.
    Asleep(Object, bool),
    /// The end of the thread of this number.
    Joins(usize),
    /// A lock.
    Locks(Object),
    /// Nothing any more.
    Ended,
}

/// A thread, and where it stands since which line.
struct Thread {
    id: usize,
    name: String,
    stand: Stand,
    at: &'static Location<'static>,
}

#[derive(Default)]
struct Recording {
    threads: Vec<Thread>,
    steps: VecDeque<Step>,
    left_out: usize,
    names: HashMap<Object, String>,
    /// Objects of each kind.
    kinds: BTreeMap<&'static str, usize>,
    values: HashMap<Object, String>,
    /// The thread that has each lock.
    holders: HashMap<Object, usize>,
    /// The thread that ran last.
    last: usize,
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static RECORDING: RefCell<Recording> = RefCell::default();
}

/// Begins a recording on this thread, and forgets an earlier one.
pub(crate) fn begin() {
    ON.set(true);
    RECORDING.take();
}

impl Recording {
    /// Returns the thread's place in the list.
    fn thread(&mut self, who: Who, at: &'static Location<'static>) -> usize {
        let place = self.threads.iter().position(|thread| thread.id == who.id);
        self.last = place.unwrap_or_else(|| {
            self.threads.push(Thread { id: who.id, name: who.name, stand: Stand::Runs, at });
            self.threads.len() - 1
        });
        self.threads[self.last].at = at;
        self.last
    }

    fn name(&mut self, object: Object) -> String {
        let kinds = &mut self.kinds;
        let named = self.names.entry(object).or_insert_with(|| {
            let number = kinds.entry(object.0).or_default();
            *number += 1;
            format!("{} {}", object.0, *number - 1)
        });
        named.clone()
    }

    fn push(&mut self, step: Step) {
        if self.steps.len() == MAX_STEPS {
            self.steps.pop_front();
            self.left_out += 1;
        }
        self.steps.push_back(step);
    }

    fn note(
        &mut self,
        who: Who,
        operation: &str,
        object: Option<Object>,
        access: Access,
        at: &'static Location<'static>,
    ) {
        let thread = self.thread(who, at);
        let Access { arguments, mut result, read, wrote } = access;
        let name = object.map(|object| self.name(object));
        let latest = object.and_then(|object| self.values.get(&object).cloned());
        if let (Some(read), Some(latest)) = (&read, &latest)
            && read != latest
            && wrote.is_none()
        {
            result = format!("{result}, which is not the latest").trim_start().to_owned();
        }
        let before = wrote.as_ref().and(read.clone()).or_else(|| latest.clone()).or(read);
        let after = wrote.or_else(|| before.clone());
        if let (Some(object), Some(after)) = (object, &after) {
            self.values.insert(object, after.clone());
        }
        let on = name.as_ref().map_or_else(String::new, |name| format!("{name} "));
        self.push(Step {
            thread,
            choice: String::new(),
            operation: format!("{on}{operation}({arguments})"),
            object: name,
            before,
            after,
            result,
            source: source(at),
            changes: Vec::new(),
            is_landmark: false,
        });
    }

    /// Returns where a thread stands.
    fn standing(&mut self, place: usize, violation: &Violation) -> Standing {
        let Thread { stand, at, .. } = self.threads[place];
        let ended = |thread: &Thread| matches!(thread.stand, Stand::Ended);
        let panics = matches!(violation, Violation::Panic(_) | Violation::DataRace);
        let (what, waits_for) = match stand {
            Stand::Ended => ("has ended".to_owned(), Vec::new()),
            Stand::Runs if panics && place == self.last => {
                (format!("ends with the {violation}"), Vec::new())
            }
            Stand::Runs => ("runs".to_owned(), Vec::new()),
            Stand::Asleep(object, deadline) => {
                let name = self.name(object);
                let value = self.values.get(&object).map_or("", String::as_str);
                let others = self.threads.iter().enumerate();
                let others = others.filter(|(other, it)| *other != place && !ended(it));
                let wakers: Vec<_> = others.map(|(other, _)| other).collect();
                let end = match (deadline, wakers.is_empty()) {
                    (true, _) => ", with a deadline",
                    (false, true) => "; nobody is left to wake it",
                    (false, false) => "",
                };
                let what = format!("sleeps on {name}, which holds {value}{end}");
                (what, if deadline { Vec::new() } else { wakers })
            }
            Stand::Joins(id) => match self.threads.iter().position(|thread| thread.id == id) {
                Some(other) => (format!("waits for the end of T{other}"), vec![other]),
                None => ("waits for the end of a thread that has not begun".to_owned(), Vec::new()),
            },
            Stand::Locks(object) => {
                let holder = self.holders.get(&object).copied();
                let by = holder.map_or_else(String::new, |holder| format!(", held by T{holder}"));
                (format!("waits for {}{by}", self.name(object)), holder.into_iter().collect())
            }
        };
        let source = if let Stand::Ended = stand { String::new() } else { source(at) };
        Standing { what, waits_for, source }
    }
}

fn source(at: &Location<'_>) -> String {
    format!("{}:{}", at.file(), at.line())
}

/// Adds a step if a recording is on. The functions are called only then.
#[inline]
pub(crate) fn note(
    who: impl FnOnce() -> Who,
    operation: &'static str,
    object: Option<Object>,
    access: impl FnOnce() -> Access,
    at: &'static Location<'static>,
) {
    if ON.get() {
        let (who, access) = (who(), access());
        RECORDING.with_borrow_mut(|all| all.note(who, operation, object, access, at));
    }
}

/// Says where the running thread stands from now on, if a recording is on.
#[inline]
pub(crate) fn stand(who: impl FnOnce() -> Who, stand: Stand, at: &'static Location<'static>) {
    if ON.get() {
        let who = who();
        RECORDING.with_borrow_mut(|all| {
            let place = all.thread(who, at);
            all.threads[place].stand = stand;
        });
    }
}

/// Says that the running thread has a lock, or has given it back.
#[inline]
pub(crate) fn holds(who: impl FnOnce() -> Who, lock: Object, is_held: bool) {
    if ON.get() {
        let id = who().id;
        RECORDING.with_borrow_mut(|all| {
            let place = all.threads.iter().position(|thread| thread.id == id);
            match place.filter(|_| is_held) {
                Some(place) => drop(all.holders.insert(lock, place)),
                None => drop(all.holders.remove(&lock)),
            }
        });
    }
}

/// Returns whether a recording is on.
pub(crate) fn is_on() -> bool {
    ON.get()
}

/// Adds what the running thread says of itself; see [`crate::trace::say`].
pub(crate) fn say(words: impl FnOnce() -> String, at: &'static Location<'static>) {
    if ON.get() {
        RECORDING.with_borrow_mut(|all| {
            let (thread, operation) = (all.last, words());
            all.push(Step::landmark(thread, operation, source(at)));
        });
    }
}

/// Ends the recording. Returns it as a counterexample of this engine.
pub(crate) fn take(engine: Engine, violation: &Violation, search: &str) -> Counterexample {
    ON.set(false);
    let mut all = RECORDING.take();
    let end = (0..all.threads.len()).map(|place| all.standing(place, violation)).collect();
    let search = match all.left_out {
        0 => search.to_owned(),
        left_out => format!("{search} {left_out} steps before the first one here are left out."),
    };
    Counterexample {
        check: String::new(),
        engine: engine.to_string(),
        violation: violation.to_string(),
        search,
        handle_steps: false,
        run: 0,
        start: String::new(),
        initial: BTreeMap::new(),
        threads: all.threads.into_iter().map(|thread| thread.name).collect(),
        steps: all.steps.into(),
        cycle_from: None,
        end,
    }
}

/// Ends the recording and forgets it.
pub(crate) fn forget() {
    ON.set(false);
    RECORDING.take();
}
