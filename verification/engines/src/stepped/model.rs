//! The stateright model of a scenario, and the verdict on it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use stateright::{Model, Property};

use super::limits::Limits;
use super::operation::{Name, Operation, mix};
use super::recorded::{again, write_down};
use super::runtime::{Execution, file_name, with};
use super::search::{Footprint, Steps};
use super::step::{Choice, Line, Status, Step};
use super::world::World;
use crate::counterexample::{self, Counterexample};
use crate::verdict::{Engine, Outcome, Verdict, Violation};

/// Whether anything can still happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Rest {
    /// At least one step is possible.
    Running,
    /// Every thread has ended.
    Ended,
    /// No step is possible, but threads remain.
    Deadlock,
    /// A thread panicked.
    Panicked(String),
}

/// One possible step: which thread takes it, how, and which operation it performs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Action {
    /// The step.
    pub step: Step,
    /// The digest of the path of spawns that leads to the thread.
    path: u64,
    label: Arc<str>,
    operation: Option<(Operation, &'static Location<'static>)>,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{} {}: ", self.step.thread, self.label)?;
        match (self.step.choice, &self.operation) {
            (Choice::Expire, _) => f.write_str("its timed wait expires"),
            (Choice::Spurious, _) => f.write_str("it wakes up spuriously"),
            (Choice::Run(choice), Some((operation, at))) => {
                write!(f, "{operation} [{}:{}]", file_name(at), at.line())?;
                if choice > 0 { write!(f, " selection {choice}") } else { Ok(()) }
            }
            (Choice::Run(_), None) => f.write_str("goes on"),
        }
    }
}

/// A state: its identity, and the schedule that leads to it (which is not part of the identity).
#[derive(Clone)]
pub struct State {
    key: u64,
    schedule: Arc<[Step]>,
    actions: Arc<[Action]>,
    rest: Rest,
    scenario: fn(),
    limits: Limits,
}

impl State {
    /// Returns whether the execution goes on.
    #[must_use]
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Returns the number of steps that lead here.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.schedule.len()
    }

    /// Returns whether the state breaks a property.
    pub(super) fn is_violation(&self) -> bool {
        matches!(self.rest, Rest::Deadlock | Rest::Panicked(_))
    }
}

/// What a thread is about to do in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It has been made, and has done nothing yet.
    New,
    /// It stands before this operation.
    Before(Operation),
    /// It sleeps on this word.
    Asleep(Name),
    /// It has ended.
    Ended,
}

/// A state as others can compare it with a specification.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Each thread's label, and what it is about to do.
    pub threads: Vec<(Arc<str>, Stand)>,
    /// The objects that live, with their values: an integer's own, a digest for the rest.
    pub values: BTreeMap<Name, u64>,
}

impl State {
    /// Returns what each thread is about to do, and the values of the objects. Runs the schedule
    /// again.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let execution = replay(self.scenario, self.limits, &self.schedule, false);
        let standing = with(|world| {
            let stand = |thread: &super::world::Thread| match (thread.status, thread.pending) {
                (Status::Ended, _) => Stand::Ended,
                (Status::Asleep { object, .. }, _) => Stand::Asleep(world.name(object)),
                (_, Some((operation, _))) => Stand::Before(operation),
                (_, None) => Stand::New,
            };
            let threads = world.threads.iter().map(|it| (it.label.clone(), stand(it))).collect();
            Standing { threads, values: world.values() }
        });
        drop(execution);
        standing
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for State {}

impl fmt::Debug for State {
    /// Runs the schedule again and lists every thread with what it is about to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let execution = replay(self.scenario, self.limits, &self.schedule, false);
        writeln!(f, "{:?} after {} steps", self.rest, self.depth())?;
        let lines = standing();
        drop(execution);
        f.write_str(&lines)
    }
}

/// Lists the threads of the current execution, one a line.
fn standing() -> String {
    let mut text = String::new();
    with(|world| {
        for (index, thread) in world.threads.iter().enumerate() {
            let _ = write!(text, "  T{index} {}: ", thread.label);
            let _ = match (thread.status, &thread.pending) {
                (Status::Ended, _) => writeln!(text, "ended"),
                (Status::Asleep { object, .. }, Some((_, at))) => {
                    let name = world.name(object);
                    writeln!(text, "asleep on {name} [{}:{}]", file_name(at), at.line())
                }
                (_, Some((operation, at))) => {
                    writeln!(text, "before {operation} [{}:{}]", file_name(at), at.line())
                }
                _ => writeln!(text, "running"),
            };
        }
    });
    text
}

fn replay(scenario: fn(), limits: Limits, schedule: &[Step], trace: bool) -> Execution {
    let mut execution = Execution::start(scenario, limits, trace);
    for &step in schedule {
        execution.step(step);
    }
    execution
}

/// A scenario as a stateright model. Clones share their statistics.
#[derive(Clone, Debug)]
pub struct SteppedModel {
    scenario: fn(),
    limits: Limits,
    statistics: Arc<Statistics>,
}

#[derive(Debug, Default)]
struct Statistics {
    threads: AtomicUsize,
    depth: AtomicUsize,
    cut: AtomicBool,
    visible_destructor: AtomicBool,
}

impl SteppedModel {
    /// Returns the model of a scenario.
    #[must_use]
    pub fn new(scenario: fn(), limits: Limits) -> Self {
        Self { scenario, limits, statistics: Arc::default() }
    }

    /// Describes the current execution, which `schedule` led to.
    fn view(&self, schedule: Vec<Step>) -> State {
        with(|world| {
            let mut key = world.key();
            if !self.limits.dedup {
                for step in &schedule {
                    let choice = match step.choice {
                        Choice::Run(choice) => u64::from(choice),
                        Choice::Expire => 256,
                        Choice::Spurious => 257,
                    };
                    key = mix(key, u64::from(step.thread) << 32 | choice);
                }
            }
            let actions: Arc<[Action]> = world
                .steps()
                .into_iter()
                .map(|step| {
                    let thread = &world.threads[usize::from(step.thread)];
                    let (path, label) = (thread.path, thread.label.clone());
                    Action { step, path, label, operation: thread.pending }
                })
                .collect();
            let rest = match &world.panicked {
                Some(panic) => Rest::Panicked(panic.clone()),
                None if world.ended() => Rest::Ended,
                None if actions.is_empty() => Rest::Deadlock,
                None => Rest::Running,
            };
            self.statistics.threads.fetch_max(world.threads.len(), Ordering::Relaxed);
            self.statistics.depth.fetch_max(schedule.len(), Ordering::Relaxed);
            if world.visible_destructor {
                self.statistics.visible_destructor.store(true, Ordering::Relaxed);
            }
            let (scenario, limits) = (self.scenario, self.limits);
            State { key, schedule: schedule.into(), actions, rest, scenario, limits }
        })
    }
}

impl Steps for SteppedModel {
    type State = State;
    type Action = Action;

    fn is_reduced(&self) -> bool {
        self.limits.sleep_sets && self.limits.dedup
    }

    fn key(&self, state: &State) -> u64 {
        state.key
    }

    fn is_violation(&self, state: &State) -> bool {
        state.is_violation()
    }

    fn path(&self, action: &Action) -> u64 {
        action.path
    }

    fn is_only(&self, action: &Action) -> bool {
        action.step.choice == Choice::Run(0)
    }

    fn first(&self) -> State {
        let execution = replay(self.scenario, self.limits, &[], false);
        let state = self.view(Vec::new());
        drop(execution);
        state
    }

    /// None at the limit of steps.
    fn actions_of(&self, state: &State) -> Vec<Action> {
        if state.depth() < self.limits.max_steps {
            return state.actions.to_vec();
        }
        if !state.actions.is_empty() {
            self.statistics.cut.store(true, Ordering::Relaxed);
        }
        Vec::new()
    }

    fn take(&self, state: &State, action: &Action) -> (State, Footprint) {
        let mut execution = replay(self.scenario, self.limits, &state.schedule, false);
        with(World::begin_footprint);
        execution.step(action.step);
        let footprint = with(World::take_footprint);
        let mut schedule = Vec::with_capacity(state.schedule.len() + 1);
        schedule.extend_from_slice(&state.schedule);
        schedule.push(action.step);
        let next = self.view(schedule);
        drop(execution);
        (next, footprint)
    }
}

impl Model for SteppedModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(self.actions_of(state));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.take(state, &action).0)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NO_DEADLOCK, |_, state: &State| state.rest != Rest::Deadlock),
            Property::always(NO_PANIC, |_, state: &State| !matches!(state.rest, Rest::Panicked(_))),
        ]
    }
}

const NO_DEADLOCK: &str = "no deadlock";
const NO_PANIC: &str = "no panic";

/// Explores a scenario and returns the verdict. `threads`, including the main one, is for the
/// report, which says so if there were more. A counterexample is also kept as data
/// ([`crate::counterexample::take`]). Blocks until done; uses one thread.
#[must_use]
pub fn check(scenario: fn(), threads: usize, limits: Limits) -> Verdict {
    let (run, request) = counterexample::begin(Engine::Stepped);
    let Some(request) = request else { return search(scenario, threads, limits, run) };
    let answer = again(scenario, limits, &request.recorded, request.how);
    request.answer(answer);
    let bounds = bounds(limits, threads, &Statistics::default());
    let outcome = Outcome::Truncated { by: "one recorded schedule".to_owned() };
    Verdict { engine: Engine::Stepped, bounds, states: None, executions: None, outcome }
}

/// Explores a scenario in the check's run of this number.
fn search(scenario: fn(), threads: usize, limits: Limits, run: usize) -> Verdict {
    let model = SteppedModel::new(scenario, limits);
    let statistics = model.statistics.clone();
    let found = super::search::search(&model, limits.max_states);
    let outcome = if let Some(state) = &found.violation {
        let (violation, property) = match &state.rest {
            Rest::Panicked(panic) => (Violation::Panic(panic.clone()), NO_PANIC),
            _ => (Violation::Deadlock, NO_DEADLOCK),
        };
        let written = write_down(scenario, limits, &state.schedule, &violation);
        counterexample::keep(Counterexample { run, ..written });
        Outcome::Violated { violation, counterexample: listing(property, state) }
    } else if statistics.visible_destructor.load(Ordering::Relaxed) && !limits.handle_steps {
        return search(scenario, threads, Limits { handle_steps: true, ..limits }, run);
    } else if found.stopped {
        Outcome::Truncated { by: format!("max_states {}", limits.max_states) }
    } else if statistics.cut.load(Ordering::Relaxed) {
        Outcome::Truncated { by: format!("max_steps {}", limits.max_steps) }
    } else {
        Outcome::Verified
    };
    let mut bounds = bounds(limits, threads, &statistics);
    bounds.insert("steps_taken", found.steps.to_string());
    Verdict {
        engine: Engine::Stepped,
        bounds,
        states: Some(found.states),
        executions: None,
        outcome,
    }
}

fn bounds(
    limits: Limits,
    threads: usize,
    statistics: &Statistics,
) -> BTreeMap<&'static str, String> {
    let mut bounds = BTreeMap::from([
        ("threads", threads.max(statistics.threads.load(Ordering::Relaxed)).to_string()),
        ("depth", statistics.depth.load(Ordering::Relaxed).to_string()),
        ("memory_model", "sequentially consistent".to_owned()),
        ("wake_order", "any".to_owned()),
        ("timed_wait_expiries", limits.expiries.to_string()),
        ("spurious_wakeups", limits.spurious_wakeups.to_string()),
        ("clock_jumps", limits.jumps.to_string()),
        ("idle_yields", limits.idle_yields.to_string()),
        ("max_states", limits.max_states.to_string()),
        ("hints", if limits.hints { "believed" } else { "ignored" }.to_owned()),
    ]);
    if limits.handle_steps {
        bounds.insert("shared_destructors", "every order".to_owned());
    }
    if !limits.dedup {
        bounds.insert("reduction", "none".to_owned());
    } else if !limits.sleep_sets {
        bounds.insert("reduction", "equal states".to_owned());
    }
    bounds
}

/// Runs the schedule of a state once more and writes it down.
fn listing(property: &str, state: &State) -> String {
    let mut execution = replay(state.scenario, state.limits, &state.schedule, true);
    let end = standing();
    let lines = execution.take_trace();
    drop(execution);
    let width = |of: fn(&Line) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let (label, text) = (width(|line| line.label.len()), width(|line| line.text.len()));
    let result = width(|line| line.result.len());
    let mut listing = match &state.rest {
        Rest::Panicked(panic) => format!("violates \"{property}\": {panic}\n"),
        _ => format!("violates \"{property}\"\n"),
    };
    for (number, line) in lines.iter().enumerate() {
        let _ = writeln!(
            listing,
            "{:>4}  T{} {:label$}  {:text$}  {:result$}  {}:{}",
            number + 1,
            line.thread,
            line.label,
            line.text,
            line.result,
            file_name(line.at),
            line.at.line()
        );
    }
    listing.push_str("then\n");
    listing.push_str(&end);
    listing
}

/// Serves stateright's Explorer for a scenario. Blocks for as long as the process lives.
///
/// # Panics
/// If the address cannot be bound.
pub fn explore(scenario: fn(), limits: Limits, address: SocketAddr) {
    let _ = SteppedModel::new(scenario, limits).checker().serve(address);
}
