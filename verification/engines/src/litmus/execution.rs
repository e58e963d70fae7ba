//! All executions of a program: which values its loads return, from which writes (`rf`), and in
//! which order the writes to each location take effect (`co`).
//!
//! **How.** Every thread is run alone, each load returning each value that some write might store.
//! That set of values is a fixed point, found in at most as many rounds as there are writes. One
//! run of each thread together make a candidate; for each candidate, all `rf` that agree with the
//! values and all `co` are tried. A candidate in which a value depends on itself, through loads,
//! dependencies and writes, is no execution in any model: nothing ever computed that value.

use super::operation::{Change, LOCATIONS, Location, Mode, Operation, REGISTERS, Value};
use super::program::{Malformed, Outcome, Program};
use super::relation::{MAX_EVENTS, Relation, Set, members};

/// The most runs of one thread.
const MAX_RUNS: usize = 4_096;
/// The most candidates and choices of `rf` and `co` that are tried for one program.
const MAX_TRIED: u64 = 20_000_000;

/// An access or a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The thread, from 1; 0 writes what memory holds in the beginning.
    pub(super) thread: usize,
    /// `None` for a fence.
    pub(super) location: Option<Location>,
    pub(super) read: Option<u32>,
    pub(super) written: Option<u32>,
    pub(super) mode: Mode,
}

/// One run of one thread.
#[derive(Clone, Debug, Default)]
struct Run {
    events: Vec<Event>,
    /// For each event the events of the run, as bits, whose values it depends on.
    depends: Vec<Set>,
    registers: [Option<u32>; REGISTERS],
    /// The event that wrote each register.
    sources: [Option<usize>; REGISTERS],
    /// The events whose values decided that the run goes on.
    control: Set,
}

impl Run {
    fn value(&self, value: Value) -> u32 {
        match value {
            Value::Constant(value) => value,
            Value::Of(register) => self.registers[usize::from(register.0)].unwrap_or_default(),
        }
    }

    /// Adds an event that reads and writes these values.
    fn add(&mut self, thread: usize, operation: &Operation, mode: Mode, values: [Option<u32>; 2]) {
        let [read, written] = values;
        let source = operation.reads_register().and_then(|one| self.sources[usize::from(one.0)]);
        self.depends.push(self.control | source.map_or(0, |event| 1 << event));
        let location = operation.location();
        self.events.push(Event { thread, location, read, written, mode });
    }

    fn keep(&mut self, register: usize, value: u32) {
        self.registers[register] = Some(value);
        self.sources[register] = Some(self.events.len() - 1);
    }
}

/// The values that each location may hold.
type Values = [Vec<u32>; LOCATIONS];

/// Returns all runs of a thread in which its loads return these values.
fn runs(thread: usize, operations: &[Operation], values: &Values) -> Result<Vec<Run>, Malformed> {
    let mut going = vec![Run::default()];
    let mut ended = Vec::new();
    for operation in operations {
        let mut next = Vec::new();
        for run in going {
            step(thread, operation, run, values, &mut next, &mut ended);
        }
        if next.len() + ended.len() > MAX_RUNS {
            return Err(Malformed::TooMany);
        }
        going = next;
    }
    ended.append(&mut going);
    Ok(ended)
}

/// Takes one step of a run, in each possible way.
fn step(
    thread: usize,
    operation: &Operation,
    mut run: Run,
    values: &Values,
    next: &mut Vec<Run>,
    ended: &mut Vec<Run>,
) {
    let found = |at: Location| values[usize::from(at.0)].iter().copied();
    match *operation {
        Operation::Load { into, from, mode } => next.extend(found(from).map(|value| {
            let mut run = run.clone();
            run.add(thread, operation, mode, [Some(value), None]);
            run.keep(into.0.into(), value);
            run
        })),
        Operation::Store { value, mode, .. } => {
            let value = run.value(value);
            run.add(thread, operation, mode, [None, Some(value)]);
            next.push(run);
        }
        Operation::Modify { into, at, change, mode } => next.extend(found(at).map(|value| {
            let mut run = run.clone();
            let after = match change {
                Change::Add(more) => value.wrapping_add(more),
                Change::Put(value) => run.value(value),
            };
            run.add(thread, operation, mode, [Some(value), Some(after)]);
            run.keep(into.0.into(), value);
            run
        })),
        Operation::Exchange { into, at, expected, new, success, failure } => {
            next.extend(found(at).map(|value| {
                let mut run = run.clone();
                let written = (value == expected).then(|| run.value(new));
                let mode = if written.is_some() { success } else { failure };
                run.add(thread, operation, mode, [Some(value), written]);
                run.keep(into.0.into(), value);
                run
            }));
        }
        Operation::Fence(mode) => {
            run.add(thread, operation, mode, [None, None]);
            next.push(run);
        }
        Operation::Require { register, value, holds } => {
            let register = usize::from(register.0);
            run.control |= run.sources[register].map_or(0, |event| 1 << event);
            let goes_on = (run.registers[register] == Some(value)) == holds;
            if goes_on { next.push(run) } else { ended.push(run) }
        }
    }
}

/// Returns the runs of all threads, over the values that they may write.
fn all_runs(program: &Program) -> Result<Vec<Vec<Run>>, Malformed> {
    let mut values: Values = program.memory.map(|value| vec![value]);
    let writes = program.operations().filter(|operation| operation.may_write()).count();
    let over = |values: &Values| -> Result<Vec<Vec<Run>>, Malformed> {
        (1..).zip(&program.threads).map(|(thread, all)| runs(thread, all, values)).collect()
    };
    for _ in 0..writes {
        let mut more = values.clone();
        for event in over(&values)?.iter().flatten().flat_map(|run| &run.events) {
            if let (Some(at), Some(value)) = (event.location, event.written) {
                let known = &mut more[usize::from(at.0)];
                if !known.contains(&value) {
                    known.push(value);
                }
            }
        }
        if more == values {
            break;
        }
        values = more;
    }
    over(&values)
}

/// One execution.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    pub(super) events: Vec<Event>,
    /// Sequenced before: the order of each thread, and what memory begins with before everything.
    pub(super) sb: Relation,
    /// What each read reads from.
    pub(super) rf: Relation,
    /// The order of the writes to each location.
    pub(super) co: Relation,
    /// From each read to the writes that come after what it has read.
    pub(super) fr: Relation,
    pub(super) outcome: Outcome,
}

impl Execution {
    /// Returns the events for which something holds.
    pub(super) fn set(&self, holds: impl Fn(&Event) -> bool) -> Set {
        let events = self.events.iter().enumerate();
        events.fold(0, |set, (place, event)| set | Set::from(holds(event)) << place)
    }

    /// Returns the pairs of accesses to one location.
    pub(super) fn same_location(&self) -> Relation {
        Relation::of(self.events.len(), |from, to| {
            let location = self.events[from].location;
            location.is_some() && location == self.events[to].location
        })
    }

    /// Returns the pairs of events of different threads.
    pub(super) fn external(&self) -> Relation {
        Relation::of(self.events.len(), |from, to| {
            self.events[from].thread != self.events[to].thread
        })
    }
}

/// One run of each thread: what does not depend on `rf` and `co`.
struct Candidate {
    events: Vec<Event>,
    sb: Relation,
    depends: Relation,
    registers: [Option<u32>; REGISTERS],
}

impl Candidate {
    fn new(memory: &[(Location, u32)], runs: &[&Run]) -> Self {
        let initial = memory.iter().map(|&(location, value)| Event {
            thread: 0,
            location: Some(location),
            read: None,
            written: Some(value),
            mode: Mode::Relaxed,
        });
        let mut events: Vec<_> = initial.collect();
        let (mut depends, mut registers) = (Relation::default(), [None; REGISTERS]);
        for run in runs {
            let begin = events.len();
            events.extend(&run.events);
            for (place, sources) in run.depends.iter().enumerate() {
                for source in members(*sources) {
                    depends.add(begin + source, begin + place);
                }
            }
            for (kept, value) in registers.iter_mut().zip(run.registers) {
                *kept = kept.or(value);
            }
        }
        debug_assert!(events.len() <= MAX_EVENTS);
        let sb = Relation::of(events.len(), |from, to| {
            let (before, after) = (events[from].thread, events[to].thread);
            from < to && if before == 0 { after != 0 } else { before == after }
        });
        Self { events, sb, depends, registers }
    }

    /// Returns, for each read, the writes of its value; `None` if there is none for some read.
    fn sources(&self) -> Option<Vec<(usize, Vec<usize>)>> {
        let reads = self.events.iter().enumerate().filter(|(_, event)| event.read.is_some());
        reads
            .map(|(read, event)| {
                let is_source = |&write: &usize| {
                    let other = &self.events[write];
                    write != read && other.location == event.location && other.written == event.read
                };
                let sources: Vec<_> = (0..self.events.len()).filter(is_source).collect();
                (!sources.is_empty()).then_some((read, sources))
            })
            .collect()
    }

    /// Returns, for each location, all orders of its writes; the first write is the initial one.
    fn orders(&self, memory: &[(Location, u32)]) -> Vec<Vec<Vec<usize>>> {
        let writes = |at: Location| -> Vec<usize> {
            let of_threads = (memory.len()..self.events.len()).filter(|&event| {
                self.events[event].location == Some(at) && self.events[event].written.is_some()
            });
            of_threads.collect()
        };
        let places = (0..).zip(memory);
        places
            .map(|(initial, &(location, _))| {
                let mut orders = Vec::new();
                permute(&mut vec![initial], &mut writes(location), &mut orders);
                orders
            })
            .collect()
    }

    fn execution(
        &self,
        rf: Relation,
        orders: &[&Vec<usize>],
        memory: &[(Location, u32)],
    ) -> Execution {
        let mut co = Relation::default();
        let mut outcome = Outcome { registers: self.registers, ..Outcome::default() };
        for (order, (location, _)) in orders.iter().zip(memory) {
            for (place, &from) in order.iter().enumerate() {
                order[place + 1..].iter().for_each(|&to| co.add(from, to));
            }
            let last = order.last().and_then(|&last| self.events[last].written);
            outcome.memory[usize::from(location.0)] = last.unwrap_or_default();
        }
        let itself = Relation::identity((1 << MAX_EVENTS) - 1);
        let fr = rf.inverse().then(&co) - itself;
        Execution { events: self.events.clone(), sb: self.sb, rf, co, fr, outcome }
    }
}

/// Adds to `orders` each order of `left` behind `begun`.
fn permute(begun: &mut Vec<usize>, left: &mut Vec<usize>, orders: &mut Vec<Vec<usize>>) {
    if left.is_empty() {
        orders.push(begun.clone());
    }
    for place in 0..left.len() {
        begun.push(left.remove(place));
        permute(begun, left, orders);
        if let Some(event) = begun.pop() {
            left.insert(place, event);
        }
    }
}

/// Goes through all choices of one place in each row, the first row fastest. Returns whether there
/// is a next choice.
fn advance(choice: &mut [usize], sizes: impl Fn(usize) -> usize) -> bool {
    for (row, place) in choice.iter_mut().enumerate() {
        *place += 1;
        if *place < sizes(row) {
            return true;
        }
        *place = 0;
    }
    false
}

/// The initial writes: the locations that a program uses, and what they hold.
type Memory = Vec<(Location, u32)>;

/// The enumeration of one program's executions.
struct Enumeration<V> {
    memory: Memory,
    visit: V,
    tried: u64,
    found: u64,
}

impl<V: FnMut(&Execution)> Enumeration<V> {
    fn spend(&mut self) -> Result<(), Malformed> {
        self.tried += 1;
        if self.tried > MAX_TRIED { Err(Malformed::TooMany) } else { Ok(()) }
    }

    /// Visits the executions in which the threads run like this.
    fn visit_runs(&mut self, runs: &[&Run]) -> Result<(), Malformed> {
        self.spend()?;
        let candidate = Candidate::new(&self.memory, runs);
        let Some(sources) = candidate.sources() else { return Ok(()) };
        let orders = candidate.orders(&self.memory);
        let mut choice = vec![0; sources.len()];
        loop {
            let mut rf = Relation::default();
            for ((read, writes), &write) in sources.iter().zip(&choice) {
                rf.add(writes[write], *read);
            }
            self.spend()?;
            if (candidate.depends | rf).is_acyclic() {
                self.visit_orders(&candidate, rf, &orders)?;
            }
            if !advance(&mut choice, |row| sources[row].1.len()) {
                return Ok(());
            }
        }
    }

    /// Visits the executions in which the reads read from these writes.
    fn visit_orders(
        &mut self,
        candidate: &Candidate,
        rf: Relation,
        orders: &[Vec<Vec<usize>>],
    ) -> Result<(), Malformed> {
        let mut choice = vec![0; orders.len()];
        loop {
            self.spend()?;
            let chosen: Vec<_> = orders.iter().zip(&choice).map(|(all, &one)| &all[one]).collect();
            (self.visit)(&candidate.execution(rf, &chosen, &self.memory));
            self.found += 1;
            if !advance(&mut choice, |row| orders[row].len()) {
                return Ok(());
            }
        }
    }
}

/// Calls `visit` with each execution of the program in which no value depends on itself. Returns
/// how many there are.
///
/// # Errors
/// The program is malformed, or has too many executions.
pub(super) fn enumerate(
    program: &Program,
    visit: impl FnMut(&Execution),
) -> Result<u64, Malformed> {
    program.check()?;
    let threads = all_runs(program)?;
    let used = |location: &Location| {
        program.operations().any(|operation| operation.location() == Some(*location))
    };
    let memory = (0..).map(Location).zip(program.memory).filter(|(location, _)| used(location));
    let mut enumeration = Enumeration { memory: memory.collect(), visit, tried: 0, found: 0 };
    let mut choice = vec![0; threads.len()];
    loop {
        let runs: Vec<_> = threads.iter().zip(&choice).map(|(runs, &run)| &runs[run]).collect();
        enumeration.visit_runs(&runs)?;
        if !advance(&mut choice, |row| threads[row].len()) {
            return Ok(enumeration.found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::*;
    use super::super::program::{Malformed, Program};
    use super::enumerate;

    fn count(threads: impl Into<Vec<Vec<Operation>>>) -> Result<u64, Malformed> {
        enumerate(&Program::new("program", threads).asks([X.ends(0)]), |_| ())
    }

    #[test]
    fn the_number_of_executions_is_the_product_of_the_choices() {
        // Two writes have two orders, and a read beside them three sources. Two increments can read
        // from the initial write and from each other: both read 0 (two orders), or one reads from
        // the other (two, times two orders). Never does each read from the other.
        let writes = vec![store(X, 1, RLX), store(X, 2, RLX)];
        assert_eq!(count([writes.clone()]), Ok(2));
        assert_eq!(count([writes, vec![load(A, X, RLX)]]), Ok(6));
        let increments = [vec![fetch_add(A, X, 1, RLX)], vec![fetch_add(B, X, 1, RLX)]];
        assert_eq!(count(increments), Ok(6));
    }

    #[test]
    fn no_value_is_made_out_of_thin_air() {
        // Two threads copy each other's location, by the value and by a test: neither can ever read
        // a value that nobody computed.
        let copy =
            [vec![load(A, X, RLX), store(Y, A, RLX)], vec![load(B, Y, RLX), store(X, B, RLX)]];
        let test = [
            vec![load(A, X, RLX), require(A, 1), store(Y, 1, RLX)],
            vec![load(B, Y, RLX), require(B, 1), store(X, 1, RLX)],
        ];
        for threads in [copy, test] {
            let program = Program::new("program", threads).asks([A.is(1)]);
            let mut outcomes = Vec::new();
            enumerate(&program, |execution| outcomes.push(execution.outcome)).expect("well formed");
            assert!(!outcomes.is_empty());
            assert!(outcomes.iter().all(|outcome| outcome.registers[0] == Some(0)));
        }
    }

    #[test]
    fn a_program_with_too_many_executions_is_refused() {
        // Twelve loads and stores of one location, of which each load returns any value.
        let thread = |registers: [Register; 2], value: u32| {
            vec![
                fetch_add(registers[0], X, value, RLX),
                fetch_add(registers[1], X, value, RLX),
                store(X, value, RLX),
            ]
        };
        let threads = [thread([A, B], 1), thread([C, D], 2), thread([E, F], 4), thread([G, H], 8)];
        assert_eq!(count(threads), Err(Malformed::TooMany));
    }
}
