//! Finds starvation: a fair behaviour in which something waits for ever.
//!
//! **Contract.** [`search`] visits every state of a finite stateright model, and looks for a
//! *lasso*: a path to a state, and a cycle from there, such that a given predicate holds in every
//! state of the cycle and the cycle is weakly fair. Each action belongs to a process or to nobody.
//! A behaviour is weakly fair if each process acts infinitely often or is disabled infinitely
//! often. Actions of nobody may be left out for ever: they are the adversary's choices.
//!
//! The search is exact for the graph that it has visited:
//! - L1 A process is enabled in a state if one of its actions leads to a state. A step that changes
//!   nothing is a step.
//! - L2 Let `K` be a strongly connected component of the states in which the predicate holds. `K`
//!   has a fair cycle if and only if each process has a step inside `K` or is disabled in a state
//!   of `K`. A part of `K` has fewer such steps and states, so only whole components are judged.
//! - L3 A behaviour may also stop. A state in which no process is enabled is a cycle without steps.
//!   Each process is disabled in such a state, so the rule of L2 finds it without a further case.
//! - L4 A search that meets more than `max_states` distinct states is [`Found::Truncated`]. It says
//!   nothing about starvation then.
//!
//! Components are found by Tarjan's algorithm ("Depth-first search and linear graph algorithms",
//! 1972), with a stack of its own, so that a long path costs no stack of the thread.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::{Debug, Write as _};
use std::hash::Hash;

use stateright::Model;

use crate::counterexample::{self, Counterexample, Described, Path, Walk, Words};
use crate::meter;
use crate::verdict::{Engine, Outcome, Verdict, Violation};

/// A process, by its number.
pub type Process = u32;

/// A path to a state, and a cycle from that state to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasso<S, A> {
    /// The steps that lead to `entry`: each state, and the action that leaves it.
    pub prefix: Vec<(S, A)>,
    /// The state in which the cycle begins and ends.
    pub entry: S,
    /// The steps of the cycle, which begins in `entry`. It is empty if nothing happens any more.
    pub cycle: Vec<(S, A)>,
}

/// The answer of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<S, A> {
    /// No fair behaviour keeps the predicate true for ever.
    Nothing,
    /// This one does.
    Starvation(Lasso<S, A>),
    /// The model has more states than the limit.
    Truncated,
}

/// The result of a search: the answer, and the number of distinct states visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search<S, A> {
    /// Distinct states visited.
    pub states: usize,
    /// The answer.
    pub found: Found<S, A>,
}

struct Edge<A> {
    action: A,
    process: Option<Process>,
    to: usize,
}

/// The visited graph. States are numbered in breadth-first order.
struct Graph<S, A> {
    states: Vec<S>,
    edges: Vec<Vec<Edge<A>>>,
    /// The state and the edge by which each state was met first; `None` for an initial state.
    parents: Vec<Option<(usize, usize)>>,
}

/// Looks for a fair behaviour of `model` in which `waits` holds for ever. `process` tells the
/// process that takes an action. Blocks until done. Memory grows with states and steps.
pub fn search<M: Model>(
    model: &M,
    process: impl Fn(&M::Action) -> Option<Process>,
    waits: impl Fn(&M::State) -> bool,
    max_states: usize,
) -> Search<M::State, M::Action>
where
    M::State: Clone + Eq + Hash,
    M::Action: Clone,
{
    let (graph, complete) = Graph::visit(model, &process, max_states);
    let states = graph.states.len();
    if !complete {
        return Search { states, found: Found::Truncated };
    }
    let starving: Vec<bool> = graph.states.iter().map(waits).collect();
    let lasso = graph.components(&starving).into_iter().find_map(|part| graph.fair_cycle(&part));
    Search { states, found: lasso.map_or(Found::Nothing, Found::Starvation) }
}

/// Runs [`search`] and returns the verdict. A lasso breaks the property `name`; `describe` says
/// what an action does in a state, and `bounds` says what the model leaves out.
pub fn judge<M: Model>(
    model: &M,
    name: &str,
    process: impl Fn(&M::Action) -> Option<Process>,
    waits: impl Fn(&M::State) -> bool,
    describe: impl Fn(&M::State, &M::Action) -> String,
    bounds: BTreeMap<&'static str, String>,
    max_states: usize,
) -> Verdict
where
    M::State: Clone + Debug + Eq + Hash,
    M::Action: Clone + Debug,
{
    let tell = |state: &M::State, action: &M::Action| {
        let actor = match process(action) {
            Some(process) => format!("process {process}"),
            None => "nobody".to_owned(),
        };
        (actor, describe(state, action))
    };
    let property = Liveness { model, name, process: &process, waits };
    check(&property, &Described(tell), bounds, max_states)
}

/// A property of behaviours: no fair one waits for ever.
#[derive(Debug)]
pub struct Liveness<'a, M, P, W> {
    /// The model.
    pub model: &'a M,
    /// The property's name.
    pub name: &'a str,
    /// Returns the process that takes an action.
    pub process: P,
    /// Returns whether something waits in a state.
    pub waits: W,
}

impl<M, P, W> Liveness<'_, M, P, W>
where
    M: Model,
    M::State: Clone + Eq + Hash,
    M::Action: Clone,
    P: Fn(&M::Action) -> Option<Process>,
    W: Fn(&M::State) -> bool,
{
    /// Returns the property if a path is a lasso that breaks it: its cycle ends where it begins,
    /// the predicate holds in all of it, and it is fair (L1 to L3).
    fn broken(&self, path: &Path<M::State, M::Action>) -> Option<Violation> {
        let cycle = path.steps.get(path.cycle_from?..)?;
        let entry = cycle.first().map_or(&path.last, |(state, _)| state);
        let states = || cycle.iter().map(|(state, _)| state).chain([&path.last]);
        if *entry != path.last || !states().all(&self.waits) {
            return None;
        }
        let enabled: Vec<BTreeSet<Process>> = states().map(|state| self.enabled(state)).collect();
        let acts =
            |process| cycle.iter().any(|(_, action)| (self.process)(action) == Some(process));
        let mut all = enabled.iter().flatten();
        let fair = all.all(|it| acts(*it) || enabled.iter().any(|enabled| !enabled.contains(it)));
        fair.then(|| Violation::Property(self.name.to_owned()))
    }

    /// Returns the processes that are enabled in a state (L1).
    fn enabled(&self, state: &M::State) -> BTreeSet<Process> {
        let mut actions = Vec::new();
        self.model.actions(state, &mut actions);
        let leads = |action: &M::Action| {
            let next = self.model.next_state(state, action.clone());
            next.is_some_and(|next| self.model.within_boundary(&next))
        };
        actions.iter().filter(|action| leads(action)).filter_map(&self.process).collect()
    }
}

const SEARCH: &str = "The way to the cycle is a shortest one; other cycles may be shorter.";

/// Searches for a lasso that breaks the property and returns the verdict; `words` tells of the
/// model, and `bounds` says what it leaves out. A lasso is also kept as data
/// ([`counterexample::take`]). Blocks until done.
pub fn check<M, P, W>(
    property: &Liveness<'_, M, P, W>,
    words: &dyn Words<M>,
    mut bounds: BTreeMap<&'static str, String>,
    max_states: usize,
) -> Verdict
where
    M: Model,
    M::State: Clone + Debug + Eq + Hash,
    M::Action: Clone + Debug,
    P: Fn(&M::Action) -> Option<Process>,
    W: Fn(&M::State) -> bool,
{
    let Liveness { model, name, process, waits } = property;
    let engine = Engine::Stateright;
    bounds.insert("fairness", "weak, by process".to_owned());
    bounds.insert("max_states", max_states.to_string());
    let violated = |path: &Path<M::State, M::Action>| property.broken(path);
    let walk = Walk { model: *model, words, violated, has_cycles: true, search: SEARCH };
    let (number, request) = counterexample::begin(engine);
    if let Some(request) = request {
        walk.again(request);
        let outcome = Outcome::Truncated { by: "one recorded path".to_owned() };
        return Verdict { engine, bounds, states: None, executions: None, outcome };
    }
    let search = search(*model, process, waits, max_states);
    let outcome = match search.found {
        Found::Nothing => Outcome::Verified,
        Found::Truncated => Outcome::Truncated { by: format!("max_states {max_states}") },
        Found::Starvation(lasso) => {
            let counterexample =
                listing(name, &lasso, |state, action| words.step(model, state, action));
            let violation = Violation::Property((*name).to_owned());
            if let Some(path) = path(*model, lasso) {
                let written = walk.write_down(&path, &violation);
                counterexample::keep(Counterexample { run: number, ..written });
            }
            Outcome::Violated { violation, counterexample }
        }
    };
    let states = Some(search.states as u64);
    Verdict { engine, bounds, states, executions: None, outcome }
}

/// Lists the steps of a lasso, one per line.
fn listing<S, A>(
    name: &str,
    lasso: &Lasso<S, A>,
    tell: impl Fn(&S, &A) -> (String, String),
) -> String {
    let mut text = format!("violates \"{name}\"\n");
    let steps = lasso.prefix.iter().chain(&lasso.cycle).enumerate();
    for (number, (state, action)) in steps {
        if number == lasso.prefix.len() {
            text.push_str("for ever\n");
        }
        let (actor, does) = tell(state, action);
        let _ = writeln!(text, "{:>4}  {actor:<11} {does}", number + 1);
    }
    if lasso.cycle.is_empty() {
        text.push_str("and nothing happens any more\n");
    }
    text
}

/// Returns a lasso as a path that can be written down.
fn path<M: Model>(model: &M, lasso: Lasso<M::State, M::Action>) -> Option<Path<M::State, M::Action>>
where
    M::State: PartialEq,
{
    let Lasso { prefix, entry, cycle } = lasso;
    let first = prefix.first().map_or(&entry, |(state, _)| state);
    let start = model.init_states().iter().position(|state| state == first)?;
    let cycle_from = Some(prefix.len());
    Some(Path { start, steps: prefix.into_iter().chain(cycle).collect(), last: entry, cycle_from })
}

impl<S: Clone + Eq + Hash, A: Clone> Graph<S, A> {
    /// Visits the model breadth first. Returns whether all of it was visited.
    fn visit<M: Model<State = S, Action = A>>(
        model: &M,
        process: impl Fn(&A) -> Option<Process>,
        max_states: usize,
    ) -> (Self, bool) {
        let mut graph = Self { states: Vec::new(), edges: Vec::new(), parents: Vec::new() };
        let mut numbers = HashMap::new();
        for state in model.init_states().into_iter().filter(|s| model.within_boundary(s)) {
            if graph.number(&mut numbers, state, None, max_states).is_none() {
                return (graph, false);
            }
        }
        let mut from = 0;
        while from < graph.states.len() {
            let state = graph.states[from].clone();
            let mut actions = Vec::new();
            model.actions(&state, &mut actions);
            for action in actions {
                meter::count();
                let next = model.next_state(&state, action.clone());
                let Some(next) = next.filter(|next| model.within_boundary(next)) else { continue };
                let parent = Some((from, graph.edges[from].len()));
                let Some(to) = graph.number(&mut numbers, next, parent, max_states) else {
                    return (graph, false);
                };
                let process = process(&action);
                graph.edges[from].push(Edge { action, process, to });
            }
            from += 1;
        }
        (graph, true)
    }

    /// Returns a state's number, and adds the state if it is new and the limit allows it.
    fn number(
        &mut self,
        numbers: &mut HashMap<S, usize>,
        state: S,
        parent: Option<(usize, usize)>,
        max_states: usize,
    ) -> Option<usize> {
        if let Some(&number) = numbers.get(&state) {
            return Some(number);
        }
        let number = self.states.len();
        if number >= max_states {
            return None;
        }
        self.states.push(state.clone());
        self.edges.push(Vec::new());
        self.parents.push(parent);
        numbers.insert(state, number);
        Some(number)
    }

    /// Returns the strongly connected components of the states that starve, single states included.
    fn components(&self, starving: &[bool]) -> Vec<BTreeSet<usize>> {
        const NEW: usize = usize::MAX;
        let (mut order, mut low) = (vec![NEW; starving.len()], vec![NEW; starving.len()]);
        let (mut on_stack, mut stack) = (vec![false; starving.len()], Vec::new());
        let (mut next, mut found) = (0, Vec::new());
        for root in (0..starving.len()).filter(|&state| starving[state]) {
            let mut path = if order[root] == NEW { vec![(root, 0)] } else { Vec::new() };
            while let Some((state, edge)) = path.last_mut() {
                let state = *state;
                if order[state] == NEW {
                    (order[state], low[state], on_stack[state]) = (next, next, true);
                    next += 1;
                    stack.push(state);
                }
                if let Some(Edge { to, .. }) = self.edges[state].get(*edge) {
                    *edge += 1;
                    if starving[*to] && order[*to] == NEW {
                        path.push((*to, 0));
                    } else if starving[*to] && on_stack[*to] {
                        low[state] = low[state].min(order[*to]);
                    }
                    continue;
                }
                path.pop();
                if let Some(&(parent, _)) = path.last() {
                    low[parent] = low[parent].min(low[state]);
                }
                if low[state] == order[state] {
                    let first = stack.iter().rposition(|&s| s == state).unwrap_or(0);
                    let part: BTreeSet<_> = stack.drain(first..).collect();
                    part.iter().for_each(|&state| on_stack[state] = false);
                    found.push(part);
                }
            }
        }
        found
    }

    fn enables(&self, state: usize, process: Process) -> bool {
        self.edges[state].iter().any(|edge| edge.process == Some(process))
    }

    /// Returns a lasso whose cycle lies in a component and is fair, if there is one (L2, L3).
    fn fair_cycle(&self, part: &BTreeSet<usize>) -> Option<Lasso<S, A>> {
        let inside = |state: usize| {
            let edges = self.edges[state].iter().enumerate();
            edges.filter(|(_, edge)| part.contains(&edge.to))
        };
        let entry = *part.first()?;
        let processes: BTreeSet<_> =
            part.iter().flat_map(|&s| self.edges[s].iter().filter_map(|e| e.process)).collect();
        let (mut at, mut steps) = (entry, Vec::new());
        for process in processes {
            // A step of the process, or else a state in which the process is disabled.
            let own = part.iter().find_map(|&s| {
                inside(s).find(|(_, edge)| edge.process == Some(process)).map(|(i, _)| (s, Some(i)))
            });
            let disabled = || part.iter().find(|&&s| !self.enables(s, process));
            let (state, edge) = own.or_else(|| disabled().map(|&s| (s, None)))?;
            steps.extend(self.path(part, at, state));
            at = state;
            if let Some(edge) = edge {
                steps.push((state, edge));
                at = self.edges[state][edge].to;
            }
        }
        steps.extend(self.path(part, at, entry));
        Some(self.lasso(entry, &steps))
    }

    /// Returns a shortest path between two states of a component. It is empty for the same state.
    fn path(&self, part: &BTreeSet<usize>, from: usize, to: usize) -> Vec<(usize, usize)> {
        let mut parents = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(state) = queue.pop_front().filter(|&state| state != to) {
            for (number, edge) in self.edges[state].iter().enumerate() {
                if edge.to != from && part.contains(&edge.to) && !parents.contains_key(&edge.to) {
                    parents.insert(edge.to, (state, number));
                    queue.push_back(edge.to);
                }
            }
        }
        let (mut steps, mut at) = (Vec::new(), to);
        while let Some(&step) = parents.get(&at).filter(|_| at != from) {
            steps.push(step);
            at = step.0;
        }
        steps.reverse();
        steps
    }

    fn lasso(&self, entry: usize, cycle: &[(usize, usize)]) -> Lasso<S, A> {
        let (mut prefix, mut at) = (Vec::new(), entry);
        while let Some(step) = self.parents[at] {
            prefix.push(step);
            at = step.0;
        }
        prefix.reverse();
        let told = |&(state, edge): &(usize, usize)| {
            (self.states[state].clone(), self.edges[state][edge].action.clone())
        };
        Lasso {
            prefix: prefix.iter().map(told).collect(),
            entry: self.states[entry].clone(),
            cycle: cycle.iter().map(told).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stateright::Model;

    use super::{Found, Lasso, Process, judge, search};

    /// A step: from, the process that takes it (0 is nobody), to.
    type Step = (u8, Process, u8);

    /// A graph by its steps. State 0 is the initial one.
    struct Steps(&'static [Step]);

    impl Model for Steps {
        type State = u8;
        type Action = Step;

        fn init_states(&self) -> Vec<u8> {
            vec![0]
        }

        fn actions(&self, state: &u8, actions: &mut Vec<Step>) {
            actions.extend(self.0.iter().filter(|step| step.0 == *state));
        }

        fn next_state(&self, _: &u8, (_, _, to): Step) -> Option<u8> {
            Some(to)
        }
    }

    fn of(&(_, process, _): &Step) -> Option<Process> {
        (process > 0).then_some(process)
    }

    /// Searches with the states of `waiting` as those that wait. Checks that a lasso is one.
    fn find(steps: &'static [Step], waiting: &[u8]) -> Found<u8, Step> {
        let found = search(&Steps(steps), of, |s| waiting.contains(s), 100).found;
        if let Found::Starvation(Lasso { prefix, entry, cycle }) = &found {
            let ends: Vec<_> = prefix.iter().map(|(_, step)| step.2).collect();
            assert_eq!(ends.last().unwrap_or(&0), entry);
            let states = cycle.iter().map(|(state, _)| *state);
            assert!(states.chain([*entry]).all(|state| waiting.contains(&state)));
            let (mut at, all) = (*entry, prefix.iter().chain(cycle));
            all.for_each(|(state, step)| assert_eq!(*state, step.0));
            for (state, step) in cycle {
                assert_eq!(*state, at);
                at = step.2;
            }
            assert_eq!(at, *entry);
        }
        found
    }

    /// Returns the processes that act in the cycle of the lasso that must be there.
    fn cycle_of(steps: &'static [Step], waiting: &[u8]) -> Vec<Process> {
        let Found::Starvation(lasso) = find(steps, waiting) else { panic!("no lasso") };
        lasso.cycle.iter().map(|(_, step)| step.1).collect()
    }

    #[test]
    fn a_cycle_that_leaves_an_enabled_process_out_is_unfair() {
        // 0 and 1 form a cycle of process 1; process 2 could leave it from both.
        assert_eq!(find(&[(0, 1, 1), (1, 1, 0), (0, 2, 2), (1, 2, 2)], &[0, 1]), Found::Nothing);
    }

    #[test]
    fn a_process_that_is_disabled_once_in_a_cycle_may_be_left_out() {
        // Process 2 could leave from 0 alone: the cycle passes through 1, in which it cannot.
        assert_eq!(cycle_of(&[(0, 1, 1), (1, 1, 0), (0, 2, 2)], &[0, 1]), [1, 1]);
    }

    #[test]
    fn a_cycle_in_which_each_process_acts_is_fair() {
        // Both are enabled in both states, and both have a step inside.
        let steps = &[(0, 1, 1), (1, 2, 0), (0, 2, 2), (1, 1, 2)];
        assert_eq!(cycle_of(steps, &[0, 1]), [1, 2]);
    }

    #[test]
    fn the_fair_one_of_two_components_is_found() {
        // Process 2 leaves 0 and 1 for 2 and 3, and has no step there.
        let steps = &[(0, 1, 1), (1, 1, 0), (0, 2, 2), (1, 2, 2), (2, 1, 3), (3, 1, 2)];
        let Found::Starvation(lasso) = find(steps, &[0, 1, 2, 3]) else { panic!("no lasso") };
        assert_eq!((lasso.prefix.len(), lasso.entry, lasso.cycle.len()), (1, 2, 2));
    }

    #[test]
    fn a_cycle_through_a_state_that_does_not_wait_is_none() {
        // 0 waits and 1 does not.
        assert_eq!(find(&[(0, 1, 1), (1, 1, 0)], &[0]), Found::Nothing);
    }

    #[test]
    fn a_self_loop_is_a_cycle() {
        // Process 1 may stay in 1 for ever.
        assert_eq!(cycle_of(&[(0, 1, 1), (1, 1, 1)], &[0, 1]), [1]);
    }

    #[test]
    fn a_path_that_ends_elsewhere_is_no_lasso() {
        // 0 and 1 wait, and process 1 leads out of both.
        assert_eq!(find(&[(0, 1, 1), (1, 1, 2)], &[0, 1]), Found::Nothing);
    }

    #[test]
    fn a_behaviour_may_stop_where_no_process_is_enabled() {
        // Only nobody's step leads out of 1, so it may never be taken.
        assert!(cycle_of(&[(0, 1, 1), (1, 0, 2)], &[0, 1]).is_empty());
    }

    #[test]
    fn nobodys_steps_alone_make_no_cycle_fair() {
        // The adversary may go round for ever; process 1 is enabled all the while.
        let steps = &[(0, 0, 1), (1, 0, 0), (0, 1, 2), (1, 1, 2)];
        assert_eq!(find(steps, &[0, 1]), Found::Nothing);
    }

    #[test]
    fn a_limit_on_states_truncates() {
        // Three states: a limit of three suffices, and one of two does not.
        let run = |max| search(&Steps(&[(0, 1, 1), (1, 1, 2)]), of, |_| false, max);
        assert_eq!((run(3).states, run(3).found), (3, Found::Nothing));
        assert_eq!((run(2).states, run(2).found), (2, Found::Truncated));
    }

    #[test]
    fn a_verdict_names_the_property_and_lists_prefix_and_cycle() {
        // One step leads to a self loop.
        let steps = Steps(&[(0, 1, 1), (1, 1, 1)]);
        let describe = |_: &u8, step: &Step| format!("to {}", step.2);
        let verdict = judge(&steps, "served", of, |s| *s < 2, describe, BTreeMap::new(), 9);
        assert_eq!((verdict.word(), verdict.states), ("violated", Some(2)));
        let text = verdict.counterexample().expect("violated");
        assert_eq!(
            text,
            "violates \"served\"\n   1  process 1   to 1\nfor ever\n   2  process 1   to 1\n"
        );
    }
}
