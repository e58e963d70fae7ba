//! Processes that are alike: a search that looks at one state of each set of states that differ
//! only in which of them is which.
//!
//! **Contract.** [`explore()`] and [`check`] explore the quotient of a [`Symmetric`] model. They
//! find a violation if and only if [`crate::explore`] finds one of the whole model, and a path as
//! short, provided that the model is as symmetric as it says: that renaming alike processes changes
//! neither what is initial, nor what follows from what, nor which properties hold. [`asymmetry`]
//! looks for a state of the model in which that is not so. The path that is returned is one of the
//! whole model, with one name for each process from its first step to its last.
//!
//! The reduction is that of Ip and Dill (1996) and of Clarke, Enders, Filkorn and Jha (1996), with a
//! representative chosen by its hash among all renamings. If two states of an orbit have one hash,
//! both may be looked at, which costs time alone.
//!
//! **Bounds.** [`MAX_RENAMINGS`]. Properties of behaviours that go on for ever are left to
//! [`crate::lasso`], which takes no symmetric model.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use stateright::{Model, Property};

use crate::counterexample::Words;
use crate::explore::{self, Conjunction, Exploration, Steps};
use crate::verdict::Verdict;

/// The largest number of renamings, the identity included.
pub const MAX_RENAMINGS: usize = 5_040;

/// A model of numbered processes, some of which are alike.
pub trait Symmetric: Model {
    /// Returns the number of processes.
    fn processes(&self) -> usize;

    /// Returns the classes of processes that are alike. A process that is in none is like no other.
    fn alike(&self) -> Vec<Vec<usize>>;

    /// Returns the state in which process `to[n]` is what process `n` is in this one.
    fn renamed(&self, state: &Self::State, to: &[usize]) -> Self::State;
}

/// Returns all renamings, each as the new number of each process.
///
/// # Panics
/// If there are more than [`MAX_RENAMINGS`].
pub fn renamings<M: Symmetric>(model: &M) -> Vec<Vec<usize>> {
    let mut all = vec![(0..model.processes()).collect::<Vec<_>>()];
    for class in model.alike() {
        let orders = orders(&class);
        assert!(all.len() * orders.len() <= MAX_RENAMINGS, "there are too many renamings");
        let renamed = |before: &Vec<usize>, order: &Vec<usize>| {
            let mut after = before.clone();
            class.iter().zip(order).for_each(|(one, other)| after[*one] = *other);
            after
        };
        all = all
            .iter()
            .flat_map(|one| orders.iter().map(move |order| renamed(one, order)))
            .collect();
    }
    all
}

/// Returns the orders in which the members of a class can stand.
fn orders(class: &[usize]) -> Vec<Vec<usize>> {
    let Some((first, rest)) = class.split_first() else { return vec![Vec::new()] };
    let inserted = |order: Vec<usize>| {
        (0..=order.len()).map(move |place| [&order[..place], &[*first], &order[place..]].concat())
    };
    orders(rest).into_iter().flat_map(inserted).collect()
}

/// The quotient: the same model, with one state of each orbit.
#[derive(Clone)]
struct Quotient<M> {
    whole: Conjunction<M>,
    renamings: Vec<Vec<usize>>,
}

impl<M: Symmetric> Quotient<M>
where
    M::State: Hash,
{
    fn representative(&self, state: &M::State) -> M::State {
        let hash = |state: &M::State| {
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            hasher.finish()
        };
        let orbit = self.renamings.iter().map(|to| self.whole.0.renamed(state, to));
        orbit.min_by_key(hash).expect("the identity is one of them")
    }
}

const ALL: &str = "every property";

impl<M: Symmetric> Model for Quotient<M>
where
    M::State: Hash,
{
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<M::State> {
        self.whole.init_states().iter().map(|state| self.representative(state)).collect()
    }

    fn actions(&self, state: &M::State, actions: &mut Vec<M::Action>) {
        self.whole.actions(state, actions);
    }

    fn next_state(&self, last: &M::State, action: M::Action) -> Option<M::State> {
        self.whole.next_state(last, action).map(|state| self.representative(&state))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(ALL, |model: &Self, state: &M::State| {
            model.whole.broken(state).is_none()
        })]
    }
}

/// Explores the quotient of `model` breadth first, up to `max_states` generated states (repeats
/// included). The states of the result are representatives; its path is one of the model. Blocks
/// until done.
///
/// # Panics
/// If there are too many renamings, or if the model is not as symmetric as it says and the path of
/// the quotient is none of the model.
pub fn explore<M>(model: &M, max_states: usize) -> Exploration<M::State, M::Action>
where
    M: Symmetric + Clone + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let whole = Conjunction(Arc::new(model.clone()));
    let all = Quotient { whole, renamings: renamings(model) };
    let found = explore::explore(all.clone(), max_states);
    let violation = found.violation.map(|(_, steps)| {
        let path = lifted(&all, &steps);
        let (last, _) = path.last().expect("a path has a state");
        (all.whole.broken(last).unwrap_or(ALL), path)
    });
    Exploration { violation, ..found }
}

/// Returns a path of the model whose states have these representatives.
fn lifted<M: Symmetric>(
    all: &Quotient<M>,
    steps: &Steps<M::State, M::Action>,
) -> Steps<M::State, M::Action>
where
    M::State: Clone + Hash + PartialEq,
    M::Action: Clone,
{
    const LIFTS: &str = "each step of the quotient is one of the model";
    let model = &all.whole.0;
    let represents = |state: &M::State, at: usize| all.representative(state) == steps[at].0;
    let mut last = model.init_states().into_iter().find(|state| represents(state, 0)).expect(LIFTS);
    let mut path = Vec::new();
    for at in 1..steps.len() {
        let mut actions = Vec::new();
        model.actions(&last, &mut actions);
        let next = |action: M::Action| Some((model.next_state(&last, action.clone())?, action));
        let possible = actions.into_iter().filter_map(next);
        let (next, action) = { possible }.find(|(next, _)| represents(next, at)).expect(LIFTS);
        path.push((std::mem::replace(&mut last, next), Some(action)));
    }
    path.push((last, None));
    path
}

/// Explores the quotient of `model` and returns the verdict, like [`explore::check`]. The number of
/// states is that of the representatives.
///
/// # Panics
/// As [`explore()`].
pub fn check<M>(
    model: M,
    words: &dyn Words<M>,
    mut bounds: BTreeMap<&'static str, String>,
    max_states: usize,
) -> Verdict
where
    M: Symmetric + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    bounds.insert("renamings", renamings(&model).len().to_string());
    let all = Conjunction(Arc::new(model));
    explore::check_with(&all, words, bounds, max_states, || explore(&*all.0, max_states))
}

/// Looks for a state of the whole model in which it is not as symmetric as it says: a renaming of
/// an initial state that is not initial, of a state whose successors are not the renamed ones, or
/// that breaks another property. Returns the first one in words. Blocks until at most `max_states`
/// states have been looked at.
pub fn asymmetry<M>(model: &M, max_states: usize) -> Option<String>
where
    M: Symmetric,
    M::State: Clone + Debug + Hash + Eq,
{
    let all = renamings(model);
    let broken = |state: &M::State| {
        let properties = model.properties();
        properties
            .iter()
            .filter(|it| !(it.condition)(model, state))
            .map(|it| it.name)
            .collect::<Vec<_>>()
    };
    let follow = |state: &M::State| {
        let mut actions = Vec::new();
        model.actions(state, &mut actions);
        actions.into_iter().filter_map(|action| model.next_state(state, action)).collect::<Vec<_>>()
    };
    let initial = model.init_states();
    let counted = |states: &[M::State]| {
        let mut count = HashMap::new();
        states.iter().for_each(|state| *count.entry(state.clone()).or_insert(0) += 1);
        count
    };
    let renamed = |states: &[M::State], to: &[usize]| {
        states.iter().map(|state| model.renamed(state, to)).collect::<Vec<_>>()
    };
    if let Some(to) = all.iter().find(|to| counted(&renamed(&initial, to)) != counted(&initial)) {
        return Some(format!("the initial states are others when renamed by {to:?}"));
    }
    let mut seen: HashSet<M::State> = initial.iter().cloned().collect();
    let mut queue = VecDeque::from(initial);
    while let Some(state) = queue.pop_front() {
        let next = follow(&state);
        for to in &all {
            let other = model.renamed(&state, to);
            if broken(&other) != broken(&state) {
                return Some(format!("{state:?}: other properties break when renamed by {to:?}"));
            }
            if counted(&follow(&other)) != counted(&renamed(&next, to)) {
                return Some(format!("{state:?}: other states follow when renamed by {to:?}"));
            }
        }
        for state in next {
            if seen.len() < max_states && seen.insert(state.clone()) {
                queue.push_back(state);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes that count to a bound; with `leader`, the first may do so only before the others.
    #[derive(Clone, Debug)]
    struct Counters {
        processes: usize,
        leader: bool,
        bound: usize,
    }

    impl Model for Counters {
        type State = Vec<usize>;
        type Action = usize;

        fn init_states(&self) -> Vec<Vec<usize>> {
            vec![vec![0; self.processes]]
        }

        fn actions(&self, state: &Vec<usize>, actions: &mut Vec<usize>) {
            let leads = |process: &usize| !self.leader || *process > 0 || state[1] == 0;
            actions.extend((0..self.processes).filter(|it| state[*it] < 3).filter(leads));
        }

        fn next_state(&self, last: &Vec<usize>, process: usize) -> Option<Vec<usize>> {
            let mut state = last.clone();
            state[process] += 1;
            Some(state)
        }

        fn properties(&self) -> Vec<Property<Self>> {
            vec![Property::always("below the bound", |model: &Self, state: &Vec<usize>| {
                state.iter().sum::<usize>() < model.bound
            })]
        }
    }

    impl Symmetric for Counters {
        fn processes(&self) -> usize {
            self.processes
        }

        fn alike(&self) -> Vec<Vec<usize>> {
            vec![(0..self.processes).collect()]
        }

        fn renamed(&self, state: &Vec<usize>, to: &[usize]) -> Vec<usize> {
            let mut other = state.clone();
            (0..state.len()).for_each(|process| other[to[process]] = state[process]);
            other
        }
    }

    #[test]
    fn the_quotient_has_one_state_of_each_orbit() {
        // Four counters from 0 to 3: 4^4 states, and the multisets of four of four values.
        let model = Counters { processes: 4, leader: false, bound: 100 };
        assert_eq!(renamings(&model).len(), 24);
        let (whole, part) = (explore::explore(model.clone(), 10_000), explore(&model, 10_000));
        assert_eq!((whole.states, part.states), (256, 35));
        assert!(whole.violation.is_none() && part.violation.is_none());
        assert_eq!(asymmetry(&model, 10_000), None);
    }

    #[test]
    fn a_violation_is_found_by_a_path_of_the_model_that_is_as_short() {
        // The sum reaches seven in seven steps, of which each follows from the one before it.
        let model = Counters { processes: 3, leader: false, bound: 7 };
        let whole = explore::explore(model.clone(), 10_000).violation.expect("it breaks");
        let (property, path) = explore(&model, 10_000).violation.expect("it breaks");
        assert_eq!((property, path.len()), (whole.0, whole.1.len()));
        for pair in path.windows(2) {
            let action = pair[0].1.expect("each but the last has one");
            assert_eq!(model.next_state(&pair[0].0, action), Some(pair[1].0.clone()));
        }
        assert_eq!(path.last().map(|(state, _)| state.iter().sum()), Some(7_usize));
    }

    #[test]
    fn a_model_that_is_not_symmetric_is_told() {
        // Only the first process looks at the second one.
        let model = Counters { processes: 3, leader: true, bound: 100 };
        let told = asymmetry(&model, 10_000).expect("it is not");
        assert!(told.contains("other states follow"), "{told}");
    }
}
