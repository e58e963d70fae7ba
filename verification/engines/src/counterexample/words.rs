//! Counterexamples of models: a path is written down, followed again, and made smaller.

use std::collections::BTreeMap;
use std::fmt::Debug;

use stateright::Model;

use super::{
    Again, Change, Counterexample, Misfit, NO_THREADS, Request, Standing, Step, compare_ends,
    fields,
};
use crate::verdict::{Engine, Violation};

/// Where a process of a model stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// The process.
    pub process: String,
    /// What it does or waits for, in words.
    pub what: String,
    /// The processes of which one would have to go on first; none if it does not wait.
    pub waits_for: Vec<String>,
}

/// Says in words what happens in a model.
pub trait Words<M: Model> {
    /// Returns the process that takes a step, and what it does.
    fn step(&self, model: &M, state: &M::State, action: &M::Action) -> (String, String);

    /// Returns what each object holds. An object that is named like a process belongs to it.
    fn objects(&self, model: &M, state: &M::State) -> Vec<(String, String)>;

    /// Returns where each process stands; nothing if nothing is known of that.
    fn stands(&self, model: &M, state: &M::State) -> Vec<Stand>;
}

/// A function tells of a model's steps. Its objects are the fields of a state's `Debug` text.
pub(crate) struct Described<F>(pub(crate) F);

impl<M, F> Words<M> for Described<F>
where
    M: Model,
    M::State: Debug,
    F: Fn(&M::State, &M::Action) -> (String, String),
{
    fn step(&self, _: &M, state: &M::State, action: &M::Action) -> (String, String) {
        (self.0)(state, action)
    }

    fn objects(&self, _: &M, state: &M::State) -> Vec<(String, String)> {
        fields(&format!("{state:?}"))
    }

    fn stands(&self, _: &M, _: &M::State) -> Vec<Stand> {
        Vec::new()
    }
}

/// A path through a model.
pub(crate) struct Path<S, A> {
    /// The number of its initial state.
    pub(crate) start: usize,
    /// Each state, and the action that leaves it.
    pub(crate) steps: Vec<(S, A)>,
    /// The state in which it ends.
    pub(crate) last: S,
    /// As [`Counterexample::cycle_from`].
    pub(crate) cycle_from: Option<usize>,
}

/// Paths of a model, and what they violate.
pub(crate) struct Walk<'a, M: Model, V> {
    pub(crate) model: &'a M,
    pub(crate) words: &'a dyn Words<M>,
    /// Returns what a path violates.
    pub(crate) violated: V,
    /// Whether that depends on the cycle of a path; otherwise paths have none.
    pub(crate) has_cycles: bool,
    /// As [`Counterexample::search`].
    pub(crate) search: &'static str,
}

impl<M, V> Walk<'_, M, V>
where
    M: Model,
    M::State: Clone,
    M::Action: Clone + Debug,
    V: Fn(&Path<M::State, M::Action>) -> Option<Violation>,
{
    /// Writes a path down.
    pub(crate) fn write_down(
        &self,
        path: &Path<M::State, M::Action>,
        violation: &Violation,
    ) -> Counterexample {
        let (model, words) = (self.model, self.words);
        let states = path.steps.iter().map(|(state, _)| state).chain([&path.last]);
        let held: Vec<BTreeMap<_, _>> =
            states.map(|state| words.objects(model, state).into_iter().collect()).collect();
        let told: Vec<_> =
            path.steps.iter().map(|(state, action)| words.step(model, state, action)).collect();
        let stands = words.stands(model, &path.last);
        let threads = processes(&told, &stands);
        let number = |process: &String| threads.iter().position(|known| known == process);
        let mut steps = Vec::new();
        for ((process, operation), ((_, action), held)) in
            told.iter().zip(path.steps.iter().zip(held.windows(2)))
        {
            steps.push(Step {
                thread: number(process).unwrap_or(0),
                choice: format!("{action:?}"),
                operation: operation.clone(),
                object: None,
                before: None,
                after: None,
                result: String::new(),
                source: String::new(),
                changes: changes(&held[0], &held[1]),
                is_landmark: false,
            });
        }
        let end = |process: &String| {
            let stand = stands.iter().find(|stand| stand.process == *process);
            Standing {
                what: stand.map_or_else(String::new, |stand| stand.what.clone()),
                waits_for: stand
                    .map_or_else(Vec::new, |it| it.waits_for.iter().filter_map(number).collect()),
                source: String::new(),
            }
        };
        Counterexample {
            check: String::new(),
            engine: Engine::Stateright.to_string(),
            violation: violation.to_string(),
            search: self.search.to_owned(),
            handle_steps: false,
            run: 0,
            start: path.start.to_string(),
            initial: those_that_change(&held),
            end: threads.iter().map(end).collect(),
            threads,
            steps,
            cycle_from: path.cycle_from,
        }
    }

    /// Takes the steps of these actions' texts. Returns the number of the first step that is not
    /// possible, from 0, if there is one.
    fn take(
        &self,
        start: usize,
        choices: &[&str],
        cycle_from: Option<usize>,
    ) -> Result<Path<M::State, M::Action>, Option<usize>> {
        let last = self.model.init_states().into_iter().nth(start).ok_or(None)?;
        let mut path = Path { start, steps: Vec::new(), last, cycle_from };
        for (number, choice) in choices.iter().enumerate() {
            let mut actions = Vec::new();
            self.model.actions(&path.last, &mut actions);
            let action = actions.into_iter().find(|action| format!("{action:?}") == *choice);
            let action = action.ok_or(Some(number))?;
            let next = self.model.next_state(&path.last, action.clone());
            let next = next.filter(|next| self.model.within_boundary(next)).ok_or(Some(number))?;
            path.steps.push((std::mem::replace(&mut path.last, next), action));
        }
        Ok(path)
    }

    /// Follows a recorded path, and makes it smaller if that is asked for.
    pub(crate) fn again(&self, request: Request) {
        let answer = self.follow(&request.recorded, request.how);
        request.answer(answer);
    }

    fn follow(&self, recorded: &Counterexample, how: Again) -> Result<Counterexample, Misfit> {
        let start = recorded.start.parse().map_err(|_| Misfit::Choice(0))?;
        let choices: Vec<_> = recorded.steps.iter().map(|step| &*step.choice).collect();
        let cycle_from = recorded.cycle_from.filter(|_| self.has_cycles);
        let path = self.take(start, &choices, cycle_from).map_err(|failed| match failed {
            None => Misfit::Choice(0),
            Some(number) => Misfit::Impossible {
                step: number + 1,
                recorded: recorded.steps[number].operation.clone(),
            },
        })?;
        for (number, ((state, action), step)) in (1..).zip(path.steps.iter().zip(&recorded.steps)) {
            let (process, found) = self.words.step(self.model, state, action);
            // By name: where a process comes in the list depends on where the path ends.
            let place = recorded.threads.iter().position(|known| *known == process);
            if found != step.operation || place != Some(step.thread) {
                let recorded = format!("{} by {}", step.operation, recorded.thread(step.thread));
                let found = format!("{found} by {process}");
                return Err(Misfit::Differs { step: number, recorded, found });
            }
        }
        let violation = (self.violated)(&path).ok_or(Misfit::Holds)?;
        let found = self.write_down(&path, &violation);
        compare_ends(recorded, &found)?;
        match how {
            Again::Replay => Ok(found),
            Again::Threads => Err(NO_THREADS),
            Again::Shrink => {
                let smallest = self.smallest(start, choices, cycle_from, &violation);
                Ok(smallest.map_or(found, |path| self.write_down(&path, &violation)))
            }
        }
    }

    /// Takes steps away, one at a time, as long as the same is violated without them. Each step that
    /// goes makes the path shorter, so this ends.
    fn smallest(
        &self,
        start: usize,
        mut choices: Vec<&str>,
        mut cycle_from: Option<usize>,
        violation: &Violation,
    ) -> Option<Path<M::State, M::Action>> {
        let mut best = None;
        let mut place = 0;
        while place < choices.len() {
            let mut fewer = choices.clone();
            fewer.remove(place);
            let from = cycle_from.map(|from| from - usize::from(place < from));
            let path = self.take(start, &fewer, from).ok();
            match path.filter(|path| (self.violated)(path).as_ref() == Some(violation)) {
                Some(path) => {
                    (choices, cycle_from, best, place) = (fewer, from, Some(path), 0);
                }
                None => place += 1,
            }
        }
        best
    }
}

/// Returns the processes that act, wait, or are waited for: first those of which nothing else is
/// known than their steps.
fn processes(told: &[(String, String)], stands: &[Stand]) -> Vec<String> {
    let mut threads: Vec<String> = Vec::new();
    for (process, _) in told {
        let stands_somewhere = stands.iter().any(|stand| stand.process == *process);
        if !stands_somewhere && !threads.contains(process) {
            threads.push(process.clone());
        }
    }
    let acts = |process: &String| told.iter().any(|(actor, _)| actor == process);
    let is_waited_for =
        |process: &String| stands.iter().any(|stand| stand.waits_for.contains(process));
    let has_a_part = |stand: &&Stand| {
        let process = &stand.process;
        acts(process) || !stand.waits_for.is_empty() || is_waited_for(process)
    };
    threads.extend(stands.iter().filter(has_a_part).map(|stand| stand.process.clone()));
    threads
}

/// Returns what every object holds in the beginning that holds something else later.
fn those_that_change(held: &[BTreeMap<String, String>]) -> BTreeMap<String, String> {
    let Some(first) = held.first() else { return BTreeMap::new() };
    let changes = |name: &String| held.iter().any(|held| held.get(name) != first.get(name));
    let all = held.iter().flat_map(BTreeMap::keys).filter(|name| changes(name));
    all.map(|name| (name.clone(), first.get(name).cloned().unwrap_or_default())).collect()
}

/// Returns which objects hold something else than before. One that is not there holds nothing.
pub(super) fn changes(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<Change> {
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let text = |held: &BTreeMap<String, String>, name| held.get(name).cloned().unwrap_or_default();
    let all = names.into_iter().map(|name| Change {
        object: name.clone(),
        before: text(before, name),
        after: text(after, name),
    });
    all.filter(|change| change.before != change.after).collect()
}
