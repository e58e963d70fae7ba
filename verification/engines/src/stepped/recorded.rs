//! Writes a failing execution down as a counterexample that travels, and runs one again.

use std::collections::BTreeMap;
use std::panic::Location;

use super::limits::Limits;
use super::operation::{Kind, Operation, Verb, show};
use super::runtime::{Carriers, Execution, with};
use super::step::{Choice, Line, Status, Step};
use super::world::World;
use crate::counterexample::{self, Again, Counterexample, Misfit, Standing};
use crate::verdict::{Engine, Violation};

fn source(at: &Location<'_>) -> String {
    format!("{}:{}", at.file(), at.line())
}

/// Returns what an object holds; the versions of plain memory say nothing to a reader.
fn held(world: &World, operation: &Operation) -> Option<String> {
    let name = operation.name?;
    let value = world.value(operation.index);
    match name.kind {
        Kind::Atomic | Kind::Pointer | Kind::Futex => Some(show(name, value)),
        Kind::Mutex => Some(if value & 1 == 1 { "locked" } else { "free" }.to_owned()),
        Kind::Cell | Kind::Arc => None,
    }
}

fn text(choice: Choice) -> String {
    match choice {
        Choice::Run(0) => "run".to_owned(),
        Choice::Run(number) => format!("run {number}"),
        Choice::Expire => "expire".to_owned(),
        Choice::Spurious => "spurious".to_owned(),
    }
}

fn choice(text: &str) -> Option<Choice> {
    match text {
        "run" => Some(Choice::Run(0)),
        "expire" => Some(Choice::Expire),
        "spurious" => Some(Choice::Spurious),
        _ => text.strip_prefix("run ")?.parse().ok().map(Choice::Run),
    }
}

const SHORTEST: &str = "The search is breadth first: within the bounds there is no shorter one.";

/// Returns the lines that the current execution has added since the last time.
fn lines() -> impl Iterator<Item = Line> {
    with(|world| world.trace.replace(Vec::new())).unwrap_or_default().into_iter()
}

/// Returns a step that no choice led to.
fn besides(line: Line) -> counterexample::Step {
    let step = counterexample::Step::landmark(line.thread.into(), line.text, source(line.at));
    counterexample::Step { result: line.result, is_landmark: line.is_landmark, ..step }
}

/// An execution that is written down step by step.
struct Recorder {
    execution: Execution,
    steps: Vec<counterexample::Step>,
    /// The thread that locked each mutex last.
    holders: BTreeMap<u32, usize>,
}

impl Recorder {
    fn start(carriers: Carriers, scenario: fn(), limits: Limits) -> Self {
        let execution = Execution::start_on(carriers, scenario, limits, true);
        let steps = lines().map(besides).collect();
        Self { execution, steps, holders: BTreeMap::new() }
    }

    /// Takes a step, which must be possible, and writes it down. What the thread does besides, while
    /// it unwinds, is written down as steps without a choice.
    fn step(&mut self, step: Step) {
        let thread = usize::from(step.thread);
        let (pending, before) = with(|world| {
            let pending = world.threads[thread].pending;
            (pending, pending.and_then(|(operation, _)| held(world, &operation)))
        });
        self.execution.step(step);
        let mut lines = lines();
        let (operation, result) = match step.choice {
            Choice::Run(_) => {
                let line = lines.next();
                let shown = pending.map(|(operation, _)| operation.to_string());
                (shown.unwrap_or_default(), line.map_or_else(String::new, |line| line.result))
            }
            Choice::Expire => ("its timed wait expires".to_owned(), String::new()),
            Choice::Spurious => ("it wakes up spuriously".to_owned(), String::new()),
        };
        if let Some((Operation { verb: Verb::Lock, index, .. }, _)) = pending {
            self.holders.insert(index, thread);
        }
        self.steps.push(counterexample::Step {
            thread,
            choice: text(step.choice),
            operation,
            object: pending.and_then(|(operation, _)| operation.name).map(|name| name.to_string()),
            before,
            after: pending.and_then(|(operation, _)| with(|world| held(world, &operation))),
            result,
            source: pending.map_or_else(String::new, |(_, at)| source(at)),
            changes: Vec::new(),
            is_landmark: false,
        });
        self.steps.extend(lines.map(besides));
    }

    /// Returns where a thread stands.
    fn standing(&self, world: &World, thread: usize) -> Standing {
        let own = &world.threads[thread];
        let others = || {
            let live = |other: &usize| world.threads[*other].status != Status::Ended;
            (0..world.threads.len()).filter(|&other| other != thread).filter(live).collect()
        };
        let target = |operation: &Operation| operation.index as usize;
        let (what, waits_for) = match (own.status, &own.pending) {
            (Status::Ended, _) => ("has ended".to_owned(), Vec::new()),
            (Status::Asleep { object, deadline: None }, _) => {
                let (name, value) = (world.name(object), world.value(object));
                let wakers: Vec<_> = others();
                let left = if wakers.is_empty() { "; nobody is left to wake it" } else { "" };
                (format!("sleeps on {name}, which holds {value}{left}"), wakers)
            }
            (Status::Asleep { object, .. }, _) => {
                (format!("sleeps on {}, with a deadline", world.name(object)), Vec::new())
            }
            (_, Some((operation, _))) => match operation.verb {
                Verb::Join if world.threads[target(operation)].status != Status::Ended => {
                    let other = target(operation);
                    (format!("waits for the end of T{other}"), vec![other])
                }
                Verb::Lock if world.value(operation.index) & 1 == 1 => {
                    let holder = self.holders.get(&operation.index).copied();
                    let name = world.name(operation.index);
                    let by =
                        holder.map_or_else(String::new, |holder| format!(", held by T{holder}"));
                    (format!("waits for {name}{by}"), holder.into_iter().collect())
                }
                _ => (format!("stands before {operation}"), Vec::new()),
            },
            (_, None) => ("runs".to_owned(), Vec::new()),
        };
        let at = own.pending.filter(|_| own.status != Status::Ended);
        Standing { what, waits_for, source: at.map_or_else(String::new, |(_, at)| source(at)) }
    }

    /// Returns what is written down, with this violation.
    fn end(self, violation: &Violation, limits: Limits) -> Counterexample {
        let (threads, end) = with(|world| {
            let threads = world.threads.iter().map(|thread| thread.label.to_string()).collect();
            let all = 0..world.threads.len();
            (threads, all.map(|thread| self.standing(world, thread)).collect())
        });
        Counterexample {
            check: String::new(),
            engine: Engine::Stepped.to_string(),
            violation: violation.to_string(),
            search: SHORTEST.to_owned(),
            handle_steps: limits.handle_steps,
            run: 0,
            start: String::new(),
            initial: BTreeMap::new(),
            threads,
            steps: self.steps,
            cycle_from: None,
            end,
        }
    }
}

/// Runs a schedule that leads to a violation, and writes it down.
pub(super) fn write_down(
    scenario: fn(),
    limits: Limits,
    schedule: &[Step],
    violation: &Violation,
) -> Counterexample {
    let mut recorder = Recorder::start(Carriers::Coroutines, scenario, limits);
    schedule.iter().for_each(|&step| recorder.step(step));
    recorder.end(violation, limits)
}

/// Returns what the current execution violates now.
fn violated() -> Option<Violation> {
    with(|world| match &world.panicked {
        Some(panic) => Some(Violation::Panic(panic.clone())),
        None if !world.ended() && world.steps().is_empty() => Some(Violation::Deadlock),
        None => None,
    })
}

/// Returns the limits under which a counterexample was found.
fn limits_of(recorded: &Counterexample, limits: Limits) -> Result<Limits, Misfit> {
    if recorded.engine != Engine::Stepped.name() {
        return Err(Misfit::Engine(recorded.engine.clone()));
    }
    Ok(Limits { handle_steps: recorded.handle_steps, ..limits })
}

/// Runs a recorded schedule again, step by step, and returns what it shows now. Only source lines
/// and values may have changed. Blocks until done; uses one thread.
///
/// # Errors
/// The first step that is not possible any more, or does something else; or nothing is violated, or
/// something else, or after another number of steps; or a cycle is recorded.
pub fn replay(
    scenario: fn(),
    limits: Limits,
    recorded: &Counterexample,
) -> Result<Counterexample, Misfit> {
    replay_on(Carriers::Coroutines, scenario, limits, recorded)
}

/// Like [`replay`], but each thread of the scenario is a thread of the operating system, of the same
/// name, which is held at a turnstile before each operation. One of them runs at a time. After a
/// deadlock its threads wait for as long as the process lives.
///
/// # Errors
/// As [`replay`]. A scenario whose threads share what is local to a thread does something else here.
pub fn replay_on_threads(
    scenario: fn(),
    limits: Limits,
    recorded: &Counterexample,
) -> Result<Counterexample, Misfit> {
    replay_on(Carriers::Threads, scenario, limits, recorded)
}

fn replay_on(
    carriers: Carriers,
    scenario: fn(),
    limits: Limits,
    recorded: &Counterexample,
) -> Result<Counterexample, Misfit> {
    let limits = limits_of(recorded, limits)?;
    let mut recorder = Recorder::start(carriers, scenario, limits);
    let chosen = (1..).zip(&recorded.steps).filter(|(_, step)| !step.choice.is_empty());
    for (number, step) in chosen {
        let choice = choice(&step.choice).ok_or(Misfit::Choice(number))?;
        let impossible = || Misfit::Impossible { step: number, recorded: step.operation.clone() };
        let thread = u8::try_from(step.thread).map_err(|_| impossible())?;
        let next = Step { thread, choice };
        if !with(|world| world.steps()).contains(&next) {
            return Err(impossible());
        }
        let place = recorder.steps.len();
        recorder.step(next);
        let found = &recorder.steps[place].operation;
        if *found != step.operation {
            let (recorded, found) = (step.operation.clone(), found.clone());
            return Err(Misfit::Differs { step: number, recorded, found });
        }
    }
    let violation = violated().ok_or(Misfit::Holds)?;
    let (check, run) = (recorded.check.clone(), recorded.run);
    let found = Counterexample { check, run, ..recorder.end(&violation, limits) };
    // Now those steps, too, that no choice leads to.
    counterexample::compare(recorded, &found, false)?;
    counterexample::compare_ends(recorded, &found)?;
    Ok(found)
}

/// Does what is asked for with a recorded execution.
pub(super) fn again(
    scenario: fn(),
    limits: Limits,
    recorded: &Counterexample,
    how: Again,
) -> Result<Counterexample, Misfit> {
    match how {
        Again::Replay => replay(scenario, limits, recorded),
        Again::Threads => replay_on_threads(scenario, limits, recorded),
        Again::Shrink => shrink(scenario, limits, recorded),
    }
}

/// Runs a recorded schedule again, and takes away what it does not need: steps, as long as the same
/// is violated without them; and switches between threads, by moving a step up behind the step of
/// its thread before it. Each change that stays makes the schedule shorter, or as long with fewer
/// switches, so this ends. Blocks until nothing more can go; uses one thread.
///
/// # Errors
/// As [`replay`].
pub fn shrink(
    scenario: fn(),
    limits: Limits,
    recorded: &Counterexample,
) -> Result<Counterexample, Misfit> {
    let replayed = replay(scenario, limits, recorded)?;
    let limits = limits_of(recorded, limits)?;
    let chosen = recorded.steps.iter().filter(|step| !step.choice.is_empty());
    let mut schedule: Vec<_> = chosen
        .filter_map(|step| {
            let thread = u8::try_from(step.thread).ok()?;
            Some(Step { thread, choice: choice(&step.choice)? })
        })
        .collect();
    let same = |schedule: &[Step]| {
        let found = run(scenario, limits, schedule);
        found.filter(|found| found.to_string() == replayed.violation)
    };
    loop {
        let found = smaller(&schedule).find(|smaller| same(smaller).is_some());
        let Some(smaller) = found else { break };
        schedule = smaller;
    }
    let violation = same(&schedule).ok_or(Misfit::Holds)?;
    let shown = write_down(scenario, limits, &schedule, &violation);
    Ok(Counterexample { check: recorded.check.clone(), run: recorded.run, ..shown })
}

/// Runs a schedule; returns what is violated after its last step. `None` if a step is not possible.
fn run(scenario: fn(), limits: Limits, schedule: &[Step]) -> Option<Violation> {
    let mut execution = Execution::start(scenario, limits, false);
    for &step in schedule {
        if !with(|world| world.steps()).contains(&step) {
            return None;
        }
        execution.step(step);
    }
    violated()
}

/// Returns the schedules that are one change smaller.
fn smaller(schedule: &[Step]) -> impl Iterator<Item = Vec<Step>> + '_ {
    let switches = |schedule: &[Step]| {
        schedule.windows(2).filter(|pair| pair[0].thread != pair[1].thread).count()
    };
    let without = (0..schedule.len()).map(|place| {
        let mut less = schedule.to_vec();
        less.remove(place);
        less
    });
    let moved = (0..schedule.len()).filter_map(move |place| {
        let step = schedule[place];
        let before = schedule[..place].iter().rposition(|other| other.thread == step.thread)?;
        let mut moved = schedule.to_vec();
        moved.remove(place);
        moved.insert(before + 1, step);
        (switches(&moved) < switches(schedule)).then_some(moved)
    });
    without.chain(moved)
}
