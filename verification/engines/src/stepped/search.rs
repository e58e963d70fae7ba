//! The search through the states of a scenario: breadth first, with sleep sets.
//!
//! **Contract.** [`search`] visits every state that can be reached, each by a shortest schedule, and
//! stops at the first that breaks a property. What it leaves out are steps, not states: of two
//! *independent* steps of two threads only one order is taken, since the other leads to the same
//! state. A step costs a run of the whole schedule before it, so this is what a search costs.
//!
//! **Independence** is observed, not declared. A [`Footprint`] is what a step and the local code
//! after it read and wrote, by identities that no schedule changes: objects, who sleeps on them, and
//! who owns them. Two steps are independent if neither wrote what the other read or wrote. The end of
//! a thread is none of these: whoever waits for it has no step before, and it does not happen again.
//! A step that does anything else is independent of none: it yields (which any change lets go on),
//! looks at the clock, chooses among several sleepers, ends a sleep by itself, or panics.
//!
//! **Sleep sets** (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems",
//! LNCS 1032, 1996, section 5). With each state goes the set of steps that need not be taken there.
//! - Z1 A step is put to sleep for the steps that are taken after it from the same state. It stays
//!   asleep along steps that are independent of it, so what it read is still the same, and what it
//!   would do is, too.
//! - Z2 Of the schedules that lead to a state, the first that is taken counts, with what sleeps after
//!   it; when the state is met again, nothing is done. Breadth first, that schedule is the least of the
//!   shortest ones, step by step in the order in which steps are taken. No step of a least schedule
//!   sleeps: it would be independent of the steps since it was put to sleep, so it could have been done
//!   before them, in a schedule as short and less. Depth first, more would be needed.
//! - Z3 A schedule that is left out has the length of one that is taken and leads to the same state,
//!   so shortest schedules are still found.
//!
//! Without `dedup` every schedule is a state of its own, and nothing is left out.

use std::collections::{BTreeSet, HashSet, VecDeque};

use crate::meter;

/// What is searched.
pub(super) trait Steps {
    /// A state, with the schedule that leads to it.
    type State;
    /// A step of a thread.
    type Action;

    /// Returns the state before any step.
    fn first(&self) -> Self::State;
    /// Returns a digest that is the same for states that are one.
    fn key(&self, state: &Self::State) -> u64;
    /// Returns whether the state breaks a property.
    fn is_violation(&self, state: &Self::State) -> bool;
    /// Returns the steps that can be taken.
    fn actions_of(&self, state: &Self::State) -> Vec<Self::Action>;
    /// Returns the thread of a step, by an identity that no schedule changes.
    fn path(&self, action: &Self::Action) -> u64;
    /// Returns whether the thread of a step has no other one.
    fn is_only(&self, action: &Self::Action) -> bool;
    /// Takes a step; returns the next state, and what the step read and wrote.
    fn take(&self, state: &Self::State, action: &Self::Action) -> (Self::State, Footprint);
    /// Returns whether steps are left out.
    fn is_reduced(&self) -> bool;
}

/// What a step read and wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    reads: BTreeSet<u64>,
    writes: BTreeSet<u64>,
    /// Whether it did something that is not an access to an object.
    is_global: bool,
}

impl Footprint {
    pub(super) fn read(&mut self, object: u64) {
        self.reads.insert(object);
    }

    pub(super) fn write(&mut self, object: u64) {
        self.writes.insert(object);
    }

    pub(super) fn global(&mut self) {
        self.is_global = true;
    }

    fn is_independent_of(&self, other: &Self) -> bool {
        let reaches = |one: &Self, other: &Self| {
            !one.writes.is_disjoint(&other.reads) || !one.writes.is_disjoint(&other.writes)
        };
        !self.is_global && !other.is_global && !reaches(self, other) && !reaches(other, self)
    }
}

/// A step that need not be taken: its thread, and what it would read and write.
#[derive(Clone, Debug)]
struct Sleeper {
    /// The thread by the path of spawns that leads to it: indices depend on the schedule.
    path: u64,
    footprint: Footprint,
}

fn sleeps(sleepers: &[Sleeper], path: u64) -> bool {
    sleepers.iter().any(|sleeper| sleeper.path == path)
}

/// What a search found.
pub(super) struct Found<S> {
    /// Distinct states.
    pub(super) states: u64,
    /// Steps taken, and the beginning.
    pub(super) steps: usize,
    /// Whether the limit stopped the search.
    pub(super) stopped: bool,
    /// A state that breaks a property.
    pub(super) violation: Option<S>,
}

/// Searches the states of a scenario until all have been visited, one breaks a property, or
/// `max_states` have been generated, repeats included. Blocks until done.
pub(super) fn search<M: Steps>(model: &M, max_states: usize) -> Found<M::State> {
    let first = model.first();
    let mut met = HashSet::from([model.key(&first)]);
    let mut queue = VecDeque::from([(first, Vec::new())]);
    let mut found = Found { states: 1, steps: 1, stopped: false, violation: None };
    meter::count();
    while let Some((state, mut asleep)) = queue.pop_front() {
        if model.is_violation(&state) {
            found.violation = Some(state);
            return found;
        }
        for action in model.actions_of(&state) {
            let path = model.path(&action);
            if sleeps(&asleep, path) {
                continue;
            }
            if found.steps >= max_states {
                found.stopped = true;
                return found;
            }
            let (next, footprint) = model.take(&state, &action);
            meter::count();
            found.steps += 1;
            if met.insert(model.key(&next)) {
                found.states += 1;
                queue.push_back((next, still_asleep(&asleep, &footprint)));
            }
            if model.is_reduced() && model.is_only(&action) && !footprint.is_global {
                asleep.push(Sleeper { path, footprint });
            }
        }
    }
    found
}

/// Returns the steps that are still asleep after one that left this footprint (Z1).
fn still_asleep(asleep: &[Sleeper], footprint: &Footprint) -> Vec<Sleeper> {
    let still = |sleeper: &&Sleeper| sleeper.footprint.is_independent_of(footprint);
    asleep.iter().filter(still).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::{BTreeSet, VecDeque};

    use quickcheck::{Arbitrary, Gen, QuickCheck};

    use super::{Footprint, Steps, search};

    fn footprint(reads: &[u64], writes: &[u64]) -> Footprint {
        let set = |objects: &[u64]| objects.iter().copied().collect();
        Footprint { reads: set(reads), writes: set(writes), is_global: false }
    }

    #[test]
    fn steps_are_independent_if_neither_wrote_what_the_other_read_or_wrote() {
        // Two reads of one object, accesses to two objects; then each kind of meeting, both ways.
        let (reads, writes) = (footprint(&[1], &[]), footprint(&[1], &[1]));
        assert!(reads.is_independent_of(&reads));
        assert!(writes.is_independent_of(&footprint(&[2], &[2])));
        for other in [&reads, &writes, &footprint(&[], &[1])] {
            assert!(!writes.is_independent_of(other) && !other.is_independent_of(&writes));
        }
        let mut more = footprint(&[2], &[]);
        more.global();
        assert!(!more.is_independent_of(&reads) && !reads.is_independent_of(&more));
    }

    /// A thread of one of the systems below does one of these, and goes to the next.
    #[derive(Clone, Copy, Debug)]
    enum Instruction {
        /// Adds one to a variable.
        Add(usize),
        /// Waits until a variable has a value.
        Await(usize, u8),
        /// Goes back to the first instruction if a variable has a value.
        Repeat(usize, u8),
    }

    /// The values of a variable.
    const VALUES: u8 = 3;
    const VARIABLES: usize = 3;

    impl Arbitrary for Instruction {
        fn arbitrary(g: &mut Gen) -> Self {
            let (variable, value) = (usize::arbitrary(g) % VARIABLES, u8::arbitrary(g) % VALUES);
            match u8::arbitrary(g) % 5 {
                0 | 1 => Self::Add(variable),
                2 => Self::Await(variable, value),
                _ => Self::Repeat(variable, value),
            }
        }
    }

    /// Threads whose programs may go round: other than a schedule's, their states do not say how many
    /// steps were taken.
    #[derive(Clone, Debug)]
    struct System {
        programs: Vec<Vec<Instruction>>,
        is_reduced: bool,
        seen: RefCell<BTreeSet<(Vec<usize>, [u8; VARIABLES])>>,
    }

    #[derive(Clone, Debug)]
    struct State {
        next: Vec<usize>,
        values: [u8; VARIABLES],
    }

    impl Arbitrary for System {
        fn arbitrary(g: &mut Gen) -> Self {
            let program = |g: &mut Gen| {
                let length = 1 + usize::arbitrary(g) % 4;
                (0..length).map(|_| Instruction::arbitrary(g)).collect()
            };
            let threads = 2 + usize::arbitrary(g) % 2;
            let programs = (0..threads).map(|_| program(g)).collect();
            Self { programs, is_reduced: true, seen: RefCell::default() }
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            let this = self.clone();
            Box::new(self.programs.shrink().map(move |programs| Self { programs, ..this.clone() }))
        }
    }

    impl Steps for System {
        type State = State;
        type Action = usize;

        fn first(&self) -> State {
            State { next: vec![0; self.programs.len()], values: [0; VARIABLES] }
        }

        fn key(&self, state: &State) -> u64 {
            let places = state.next.iter().fold(1, |key, next| key * 8 + *next as u64);
            state.values.iter().fold(places, |key, value| key * 8 + u64::from(*value))
        }

        fn is_violation(&self, state: &State) -> bool {
            self.seen.borrow_mut().insert((state.next.clone(), state.values));
            false
        }

        fn actions_of(&self, state: &State) -> Vec<usize> {
            let can_go = |thread: &usize| match self.programs[*thread].get(state.next[*thread]) {
                Some(Instruction::Await(variable, value)) => state.values[*variable] == *value,
                instruction => instruction.is_some(),
            };
            (0..self.programs.len()).filter(can_go).collect()
        }

        fn path(&self, thread: &usize) -> u64 {
            *thread as u64
        }

        fn is_only(&self, _: &usize) -> bool {
            true
        }

        fn take(&self, state: &State, thread: &usize) -> (State, Footprint) {
            let mut state = state.clone();
            let mut left = Footprint::default();
            let instruction = self.programs[*thread][state.next[*thread]];
            state.next[*thread] += 1;
            match instruction {
                Instruction::Add(variable) => {
                    state.values[variable] = (state.values[variable] + 1) % VALUES;
                    left.write(variable as u64);
                }
                Instruction::Await(variable, _) => left.read(variable as u64),
                Instruction::Repeat(variable, value) => {
                    left.read(variable as u64);
                    if state.values[variable] == value {
                        state.next[*thread] = 0;
                    }
                }
            }
            (state, left)
        }

        fn is_reduced(&self) -> bool {
            self.is_reduced
        }
    }

    /// Returns every state, by a search that leaves nothing out.
    fn all(system: &System) -> BTreeSet<(Vec<usize>, [u8; VARIABLES])> {
        let mut queue = VecDeque::from([system.first()]);
        let mut seen = BTreeSet::new();
        while let Some(state) = queue.pop_front() {
            if seen.insert((state.next.clone(), state.values)) {
                let actions = system.actions_of(&state);
                queue.extend(actions.iter().map(|thread| system.take(&state, thread).0));
            }
        }
        seen
    }

    #[test]
    fn what_is_left_out_are_steps_and_no_states() {
        fn agrees(system: System) -> bool {
            let found = search(&system, usize::MAX);
            let seen = system.seen.take();
            found.states == seen.len() as u64 && seen == all(&system)
        }
        QuickCheck::new().tests(5_000).quickcheck(agrees as fn(System) -> bool);
    }

    #[test]
    fn breadth_first_the_first_schedule_to_a_state_is_the_one_that_counts() {
        // Depth first, a state of this system is left out.
        use Instruction::{Add, Repeat};
        let other = vec![Add(0), Repeat(2, 0)];
        let programs = vec![vec![Repeat(0, 1), Repeat(0, 0), Add(1)], other.clone(), other];
        let system = System { programs, is_reduced: true, seen: RefCell::default() };
        search(&system, usize::MAX);
        assert_eq!(system.seen.take(), all(&system));
    }

    #[test]
    fn of_two_orders_of_independent_steps_one_is_taken() {
        // Two threads that add to variables of their own: four states, and three of four steps.
        let programs = vec![vec![Instruction::Add(0)], vec![Instruction::Add(1)]];
        let steps = |is_reduced| {
            let system =
                System { programs: programs.clone(), is_reduced, seen: RefCell::default() };
            let found = search(&system, usize::MAX);
            (found.states, found.steps - 1)
        };
        assert_eq!(steps(false), (4, 4));
        assert_eq!(steps(true), (4, 3));
    }
}
