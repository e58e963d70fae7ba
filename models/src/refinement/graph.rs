//! A graph of states, and what is visible of it: the states and the edges of the variables.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;

use thiserror::Error;

use super::value::Variables;

/// An exploration of more states than this is given up.
pub const MAX_STATES: usize = 500_000;

/// More states than [`MAX_STATES`] can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("more than {MAX_STATES} states")]
pub struct TooMany;

/// A step of a path: the word for it, and the visible state that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The word.
    pub word: String,
    /// The variables after the step.
    pub variables: Variables,
}

#[derive(Debug)]
struct Node {
    /// The number of the visible state.
    visible: usize,
    /// The node before it on a shortest path from an initial one, and the word of the step.
    before: Option<(usize, String)>,
    depth: usize,
}

/// What one side of a comparison can do.
///
/// A node is a whole state. The visible state is its variables' values. Nodes are numbered in the
/// order of a breadth-first search, so `before` leads along a shortest path. Steps that leave the
/// variables as they are do not count as edges.
#[derive(Debug)]
pub struct Side {
    name: &'static str,
    nodes: Vec<Node>,
    numbers: HashMap<Variables, usize>,
    /// Of each visible state: its variables, the first node that shows it, and whether it is
    /// initial.
    visible: Vec<(Variables, usize, bool)>,
    /// Visible edges, each with the first node from which it is taken, and the word for it.
    edges: BTreeMap<(usize, usize), (usize, String)>,
}

impl Side {
    /// Explores everything that can be reached from `initial`, breadth first. `steps` returns the
    /// states after a state, each with its step, and `word` the word for a step.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn explore<S: Clone + Eq + Hash, T>(
        name: &'static str,
        initial: Vec<S>,
        mut steps: impl FnMut(&S) -> Vec<(T, S)>,
        word: impl Fn(&T) -> String,
        show: impl Fn(&S) -> Variables,
    ) -> Result<Self, TooMany> {
        let (nodes, numbers) = (Vec::new(), HashMap::new());
        let mut side = Self { name, nodes, numbers, visible: Vec::new(), edges: BTreeMap::new() };
        let mut known: HashMap<S, usize> = HashMap::new();
        let mut queue = VecDeque::new();
        for state in initial {
            if let Entry::Vacant(entry) = known.entry(state.clone()) {
                let node = *entry.insert(side.add(show(&state), None));
                queue.push_back((node, state));
            }
        }
        while let Some((from, state)) = queue.pop_front() {
            for (step, next) in steps(&state) {
                let to = known.get(&next).copied().unwrap_or_else(|| {
                    let node = side.add(show(&next), Some((from, word(&step))));
                    known.insert(next.clone(), node);
                    queue.push_back((node, next));
                    node
                });
                side.join(from, to, || word(&step));
            }
            if side.nodes.len() > MAX_STATES {
                return Err(TooMany);
            }
        }
        Ok(side)
    }

    fn add(&mut self, variables: Variables, before: Option<(usize, String)>) -> usize {
        let node = self.nodes.len();
        let visible = *self.numbers.entry(variables).or_insert_with_key(|variables| {
            self.visible.push((variables.clone(), node, false));
            self.visible.len() - 1
        });
        self.visible[visible].2 |= before.is_none();
        let depth = before.as_ref().map_or(0, |(before, _)| self.nodes[*before].depth + 1);
        self.nodes.push(Node { visible, before, depth });
        node
    }

    fn join(&mut self, from: usize, to: usize, word: impl FnOnce() -> String) {
        let ends = (self.nodes[from].visible, self.nodes[to].visible);
        if ends.0 != ends.1 {
            self.edges.entry(ends).or_insert_with(|| (from, word()));
        }
    }

    /// Returns the names of the variables.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.visible
            .first()
            .map(|(variables, ..)| variables.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Returns the number of visible states.
    #[must_use]
    pub fn states(&self) -> usize {
        self.visible.len()
    }

    /// Returns the number of visible edges.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.edges.len()
    }

    /// Returns the number of whole states.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Returns a shortest path to a node. Its first step is the initial state.
    fn path(&self, node: usize) -> Vec<Step> {
        let mut path = Vec::new();
        let mut at = Some(node);
        while let Some(node) = at {
            let Node { visible, before, .. } = &self.nodes[node];
            let word = before.as_ref().map_or("initially", |(_, word)| word).to_owned();
            path.push(Step { word, variables: self.visible[*visible].0.clone() });
            at = before.as_ref().map(|(before, _)| *before);
        }
        path.reverse();
        path
    }

    /// Returns the first state or edge that `other` does not have, with the length of its path.
    fn first_that_lacks(&self, other: &Self) -> Option<(usize, Difference)> {
        let theirs = |visible: usize| other.numbers.get(&self.visible[visible].0).copied();
        let states = self.visible.iter().enumerate().filter_map(|(number, (_, node, initial))| {
            let lacks = match theirs(number) {
                None => Some(What::State),
                Some(their) if *initial && !other.visible[their].2 => Some(What::Initial),
                Some(_) => None,
            };
            lacks.map(|what| (self.nodes[*node].depth, what, *node, None))
        });
        let edges = self.edges.iter().filter_map(|((from, to), (node, word))| {
            let (Some(from), Some(their)) = (theirs(*from), theirs(*to)) else { return None };
            let lacks = !other.edges.contains_key(&(from, their));
            let step = Some((*to, word));
            lacks.then(|| (self.nodes[*node].depth + 1, What::Edge, *node, step))
        });
        let (length, what, node, step) =
            states.chain(edges).min_by_key(|(length, what, node, _)| (*length, *what, *node))?;
        let mut path = self.path(node);
        path.extend(
            step.map(|(to, word)| Step {
                word: word.clone(),
                variables: self.visible[to].0.clone(),
            }),
        );
        Some((length, Difference { only_in: self.name, other: other.name, what, path }))
    }
}

/// Two sides have the same visible states and edges, and begin in the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Visible states.
    pub states: usize,
    /// Visible edges.
    pub edges: usize,
}

/// What one side has and the other has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A state.
    State,
    /// That a state is initial.
    Initial,
    /// An edge between two states that both sides have.
    Edge,
}

/// The first state or edge that only one side has, on a shortest path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The side that has it.
    pub only_in: &'static str,
    /// The other side.
    pub other: &'static str,
    /// What it is.
    pub what: What,
    /// The way there: the last step is, or leads to, what the other side has not.
    pub path: Vec<Step>,
}

/// Compares the visible states and edges of two sides.
///
/// # Errors
/// The difference with the shortest path, of the two sides' first ones.
pub fn compare(one: &Side, other: &Side) -> Result<Agreement, Box<Difference>> {
    let of_one = one.first_that_lacks(other);
    let of_other = other.first_that_lacks(one);
    match of_one.into_iter().chain(of_other).min_by_key(|(length, _)| *length) {
        Some((_, difference)) => Err(Box::new(difference)),
        None => Ok(Agreement { states: one.states(), edges: one.edges() }),
    }
}

impl fmt::Display for Difference {
    /// Writes the path, a step a line. Of each state after the first it shows what has changed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::State => "the last state can be reached",
            What::Initial => "the state is initial",
            What::Edge => "the last step is possible",
        };
        writeln!(f, "{what} in {}, and not in {}:", self.only_in, self.other)?;
        let mut before: Option<&Variables> = None;
        for (number, Step { word, variables }) in self.path.iter().enumerate() {
            writeln!(f, "  {number}. {word}")?;
            for (name, value) in variables {
                let old = before.and_then(|before| before.get(name));
                if old != Some(value) {
                    writeln!(f, "       {name} = {value}")?;
                }
            }
            before = Some(variables);
        }
        Ok(())
    }
}

impl std::error::Error for Difference {}

/// Returns the variables of `names` alone.
#[must_use]
pub fn restricted(variables: &Variables, names: &BTreeSet<&str>) -> Variables {
    let kept = variables.iter().filter(|(name, _)| names.contains(name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Agreement, Side, What, compare};
    use crate::refinement::value::{Value, Variables};

    type Pair = (u8, u8);

    /// Returns the side whose whole states are pairs of which the first is visible.
    fn side(name: &'static str, initial: &[Pair], edges: &[(Pair, Pair)]) -> Side {
        let steps = |state: &(u8, u8)| {
            let from = edges.iter().filter(|(from, _)| from == state);
            from.map(|(_, to)| (format!("to {}", to.0), *to)).collect()
        };
        let show = |state: &(u8, u8)| Variables::from([("x".to_owned(), Value::from(state.0))]);
        Side::explore(name, initial.to_vec(), steps, String::clone, show).expect("few states")
    }

    fn words(difference: &super::Difference) -> Vec<&str> {
        difference.path.iter().map(|step| step.word.as_str()).collect()
    }

    #[test]
    fn steps_that_show_nothing_make_no_difference() {
        // One side takes two steps in the dark for one of the other, and stays where it is.
        let one = side("one", &[(0, 0)], &[((0, 0), (0, 1)), ((0, 1), (1, 0)), ((1, 0), (1, 0))]);
        let other = side("other", &[(0, 5)], &[((0, 5), (1, 5))]);
        assert_eq!(compare(&one, &other), Ok(Agreement { states: 2, edges: 1 }));
        assert_eq!((one.nodes(), other.nodes()), (3, 2));
    }

    #[test]
    fn a_state_on_one_side_is_told_with_its_shortest_path() {
        // The second side has a third state, at the end of a path of two and of one of three.
        let edges = [((0, 0), (1, 0)), ((0, 0), (2, 0)), ((2, 0), (1, 0))];
        let one = side("one", &[(0, 0)], &edges);
        let more = [edges[0], edges[1], edges[2], ((2, 0), (3, 0)), ((1, 0), (2, 1))];
        let other = side("other", &[(0, 0)], &[&more[..4], &[((1, 0), (3, 0))]].concat());
        for (first, second) in [(&one, &other), (&other, &one)] {
            let difference = compare(first, second).expect_err("a state more");
            assert_eq!((difference.only_in, difference.what), ("other", What::State));
            assert_eq!(difference.path.len(), 3);
            assert_eq!(difference.path.last().map(|step| &step.word[..]), Some("to 3"));
            assert!(difference.to_string().contains("x = 3"), "{difference}");
        }
    }

    #[test]
    fn an_edge_on_one_side_is_told_though_the_states_are_the_same() {
        // Both reach 0, 1 and 2; one of them also comes back from 2 to 0.
        let edges = [((0, 0), (1, 0)), ((1, 0), (2, 0)), ((2, 0), (0, 0))];
        let (one, other) = (side("one", &[(0, 0)], &edges), side("other", &[(0, 0)], &edges[..2]));
        let difference = compare(&one, &other).expect_err("an edge more");
        assert_eq!((difference.only_in, difference.what), ("one", What::Edge));
        assert_eq!(words(&difference), ["initially", "to 1", "to 2", "to 0"]);
    }

    #[test]
    fn a_state_that_is_initial_on_one_side_alone_is_told() {
        // The other side reaches the state by a step.
        let edges = [((0, 0), (1, 0))];
        let one = side("one", &[(0, 0), (1, 0)], &edges);
        let other = side("other", &[(0, 0)], &edges);
        let difference = compare(&other, &one).expect_err("an initial state more");
        assert_eq!((difference.only_in, difference.what), ("one", What::Initial));
        assert_eq!(words(&difference), ["initially"]);
    }
}
