//! A litmus program under loom, on the same backend as the code that it stands for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use blocksmith_sync::{Atomic, Cell, Join, Primitives};

use super::operation::{Change, LOCATIONS, Location, Mode, Operation, REGISTERS, Value};
use super::program::{Malformed, Outcome, Program};
use crate::Checker;
use crate::loom::{self, Loom, LoomBounds};
use crate::verdict::Verdict;

/// What loom found.
#[derive(Clone, Debug)]
pub struct Explored {
    /// The verdict: a data race is a violation; the outcome that is asked about is not.
    pub verdict: Verdict,
    /// All outcomes, until a data race was found.
    pub outcomes: BTreeSet<Outcome>,
}

/// Runs every execution of the program under loom, with any number of preemptions. `None` means
/// that loom cannot judge it: it has a SeqCst access, which loom treats as acquire-release. Blocks
/// until done, at most for `max_seconds`; the verdict is then truncated.
///
/// # Errors
/// The program is malformed.
pub fn explore(program: &Program, max_seconds: u64) -> Result<Option<Explored>, Malformed> {
    program.check()?;
    if program.has_seq_cst_access() {
        return Ok(None);
    }
    let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
    let (found, code) = (outcomes.clone(), Arc::new(program.clone()));
    let scenario = move || {
        let outcome = run::<Loom>(&code);
        found.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome);
    };
    let bounds = LoomBounds { max_seconds, ..LoomBounds::unbounded() };
    let verdict = loom::check(scenario, program.threads.len(), bounds);
    let outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Some(Explored { verdict, outcomes }))
}

/// What the threads share: for each location an atomic and a cell, of which one is used.
struct Memory<P: Primitives> {
    atomics: [P::AtomicU32; LOCATIONS],
    cells: [P::Cell<u32>; LOCATIONS],
}

// SAFETY: a checker reports two accesses to a cell that race before it makes the second one.
unsafe impl<P: Checker> Send for Memory<P> {}
// SAFETY: as above.
unsafe impl<P: Checker> Sync for Memory<P> {}

type Registers = [Option<u32>; REGISTERS];

/// Runs the program once; the calling thread is its first. Blocks until all threads have ended.
fn run<P: Checker>(program: &Arc<Program>) -> Outcome {
    let memory = Arc::new(Memory::<P> {
        atomics: program.memory.map(Atomic::new),
        cells: program.memory.map(Cell::new),
    });
    let spawned: Vec<_> = (1..program.threads.len())
        .map(|thread| {
            let (program, memory) = (program.clone(), memory.clone());
            P::spawn("litmus", move || run_thread(&memory, &program.threads[thread]))
        })
        .collect();
    let first = program.threads.first().map(|thread| run_thread(&memory, thread));
    let mut outcome = Outcome { registers: first.unwrap_or_default(), memory: [0; LOCATIONS] };
    for thread in spawned {
        let registers = thread.join().unwrap_or_default();
        for (kept, value) in outcome.registers.iter_mut().zip(registers) {
            *kept = kept.or(value);
        }
    }
    for operation in program.operations() {
        if let Some(location) = operation.location() {
            let mode = if program.is_plain(location) { Mode::Plain } else { Mode::Relaxed };
            outcome.memory[usize::from(location.0)] = read_last(&memory, location, mode);
        }
    }
    outcome
}

/// Returns what a location holds after all threads have ended.
fn read_last<P: Checker>(memory: &Memory<P>, location: Location, mode: Mode) -> u32 {
    match mode {
        Mode::Plain => read(memory, location, mode),
        // A read-modify-write reads the latest value.
        _ => {
            memory.atomics[usize::from(location.0)].fetch_add(0, blocksmith_sync::Ordering::Relaxed)
        }
    }
}

fn read<P: Checker>(memory: &Memory<P>, location: Location, mode: Mode) -> u32 {
    let place = usize::from(location.0);
    match mode.ordering() {
        Some(order) => memory.atomics[place].load(order),
        // SAFETY: a checker reports an access that races before it is made.
        None => memory.cells[place].with(|value| unsafe { *value }),
    }
}

fn write<P: Checker>(memory: &Memory<P>, location: Location, value: u32, mode: Mode) {
    let place = usize::from(location.0);
    match mode.ordering() {
        Some(order) => memory.atomics[place].store(value, order),
        // SAFETY: a checker reports an access that races before it is made.
        None => memory.cells[place].with_mut(|to| unsafe { *to = value }),
    }
}

fn run_thread<P: Checker>(memory: &Memory<P>, operations: &[Operation]) -> Registers {
    let mut registers = Registers::default();
    for operation in operations {
        let value = |value: Value| match value {
            Value::Constant(value) => value,
            Value::Of(register) => registers[usize::from(register.0)].unwrap_or_default(),
        };
        match *operation {
            Operation::Load { into, from, mode } => {
                registers[usize::from(into.0)] = Some(read(memory, from, mode));
            }
            Operation::Store { to, value: new, mode } => write(memory, to, value(new), mode),
            Operation::Modify { into, at, change, mode } => {
                let Some(order) = mode.ordering() else { continue };
                let atomic = &memory.atomics[usize::from(at.0)];
                let before = match change {
                    Change::Add(more) => atomic.fetch_add(more, order),
                    Change::Put(new) => atomic.swap(value(new), order),
                };
                registers[usize::from(into.0)] = Some(before);
            }
            Operation::Exchange { into, at, expected, new, success, failure } => {
                let orders = success.ordering().zip(failure.ordering());
                let Some((success, failure)) = orders else { continue };
                let atomic = &memory.atomics[usize::from(at.0)];
                let found = atomic.compare_exchange(expected, value(new), success, failure);
                registers[usize::from(into.0)] = Some(found.unwrap_or_else(|found| found));
            }
            Operation::Fence(mode) => {
                if let Some(order) = mode.ordering() {
                    P::fence(order);
                }
            }
            Operation::Require { register, value, holds } => {
                if (registers[usize::from(register.0)] == Some(value)) != holds {
                    break;
                }
            }
        }
    }
    registers
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::explore;
    use crate::verdict::Violation;

    #[test]
    fn loom_finds_the_outcomes_that_the_axioms_allow() {
        // Store buffering with relaxed accesses, and with fences: loom's outcomes are those of
        // RC11, of which sequential consistency has one less without fences.
        let sb = |fences: bool| {
            let thread = |to, register, from| {
                let mut operations =
                    vec![store(to, 1, RLX), fence(SEQ_CST), load(register, from, RLX)];
                if !fences {
                    operations.remove(1);
                }
                operations
            };
            Program::new("SB", [thread(X, A, Y), thread(Y, B, X)]).asks([A.is(0), B.is(0)])
        };
        for (fences, outcomes) in [(true, 3), (false, 4)] {
            let program = sb(fences);
            let explored = explore(&program, 60).expect("well formed").expect("no SeqCst access");
            assert_eq!(explored.verdict.word(), "verified");
            let axioms = judge(&program, RC11).expect("well formed").outcomes;
            assert_eq!((explored.outcomes, axioms.len()), (axioms, outcomes));
            assert_eq!(judge(&program, SC).expect("well formed").outcomes.len(), 3);
        }
    }

    #[test]
    fn loom_reports_a_race_on_a_plain_location() {
        // The flag is relaxed; loom must see the race, and none if the flag hands the item over.
        let handed = |release, acquire| {
            let threads = [
                vec![store(X, 1, PLAIN), store(Y, 1, release)],
                vec![load(A, Y, acquire), require(A, 1), load(B, X, PLAIN)],
            ];
            Program::new("MP", threads).asks([B.is(0)])
        };
        let found =
            |program| explore(&program, 60).expect("well formed").expect("no SeqCst access");
        let race = found(handed(RLX, RLX));
        assert_eq!(race.verdict.violation(), Some(&Violation::DataRace));
        assert_eq!(found(handed(REL, ACQ)).verdict.word(), "verified");
    }

    #[test]
    fn a_seq_cst_access_is_not_run_under_loom() {
        // loom would judge it as acquire-release.
        let program = Program::new("SB", [vec![store(X, 1, SEQ_CST)]]).asks([X.ends(1)]);
        assert!(explore(&program, 60).expect("well formed").is_none());
    }
}
