//! The search through the states of a scenario: breadth first, with sleep sets.
//!
//! **Contract.** [`search`] visits every state that can be reached, each by a shortest schedule, and
//! stops at the first that breaks a property. What it leaves out are steps, not states: of two
//! *independent* steps of two threads only one order is taken, since the other leads to the same
//! state. A step costs a run of the whole schedule before it, so this is what a search costs.
//!
//! **Independence** is observed, not declared. A [`Footprint`] is what a step and the local code
//! after it read and wrote, by identities that no schedule changes: objects, who sleeps on them, who
//! owns them, and the ends of threads. Two steps are independent if neither wrote what the other read
//! or wrote. A step that does anything else is independent of none: it yields (which any change lets
//! go on), looks at the clock, chooses among several sleepers, ends a sleep by itself, or panics.
//!
//! **Sleep sets** (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems",
//! LNCS 1032, 1996, section 5). With each state goes the set of steps that need not be taken there.
//! - Z1 A step is put to sleep for the steps that are taken after it from the same state. It stays
//!   asleep along steps that are independent of it, so what it read is still the same, and what it
//!   would do is, too.
//! - Z2 A state that is met again with a smaller set is taken up again, for the difference.
//! - Z3 A schedule that is left out has the length of one that is taken and leads to the same state,
//!   so shortest schedules are still found.
//!
//! Without `dedup` every schedule is a state of its own, and nothing is left out.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};

use super::model::{Action, State, SteppedModel};
use super::world::Choice;
use crate::meter;

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

/// A state that was met.
struct Met {
    asleep: Vec<Sleeper>,
    is_expanded: bool,
}

/// What a search found.
pub(super) struct Found {
    /// Distinct states.
    pub(super) states: u64,
    /// Steps taken, and the beginning.
    pub(super) steps: usize,
    /// Whether the limit stopped the search.
    pub(super) stopped: bool,
    /// A state that breaks a property.
    pub(super) violation: Option<State>,
}

/// Searches the states of a scenario until all have been visited, one breaks a property, or
/// `max_states` have been generated, repeats included. Blocks until done.
pub(super) fn search(model: &SteppedModel, max_states: usize) -> Found {
    let first = model.first();
    let mut met = HashMap::from([(first.key(), Met { asleep: Vec::new(), is_expanded: false })]);
    // A state, and the threads for which it is taken up again.
    let mut queue = VecDeque::from([(first, None::<BTreeSet<u64>>)]);
    let mut found = Found { states: 1, steps: 1, stopped: false, violation: None };
    meter::count();
    while let Some((state, again)) = queue.pop_front() {
        if again.is_none() && state.is_violation() {
            found.violation = Some(state);
            return found;
        }
        let Some(entry) = met.get_mut(&state.key()) else { continue };
        entry.is_expanded = true;
        let mut asleep = entry.asleep.clone();
        for action in model.actions_of(&state) {
            let left_out = again.as_ref().is_some_and(|only| !only.contains(&action.path()));
            if left_out || sleeps(&asleep, action.path()) {
                continue;
            }
            if found.steps >= max_states {
                found.stopped = true;
                return found;
            }
            let (next, footprint) = model.take(&state, &action);
            meter::count();
            found.steps += 1;
            let inherited = model.is_reduced().then(|| still_asleep(&asleep, &footprint));
            let inherited = inherited.unwrap_or_default();
            match met.entry(next.key()) {
                Entry::Vacant(place) => {
                    place.insert(Met { asleep: inherited, is_expanded: false });
                    found.states += 1;
                    queue.push_back((next, None));
                }
                Entry::Occupied(mut place) => {
                    let woken = place.get_mut().wake(&inherited);
                    if place.get().is_expanded && !woken.is_empty() {
                        queue.push_back((next, Some(woken)));
                    }
                }
            }
            if may_sleep(&action, &footprint) {
                asleep.push(Sleeper { path: action.path(), footprint });
            }
        }
    }
    found
}

/// Returns whether a step may be put to sleep: a thread has no other one then.
fn may_sleep(action: &Action, footprint: &Footprint) -> bool {
    !footprint.is_global && action.step.choice == Choice::Run(0)
}

/// Returns the steps that are still asleep after one that left this footprint (Z1).
fn still_asleep(asleep: &[Sleeper], footprint: &Footprint) -> Vec<Sleeper> {
    let still = |sleeper: &&Sleeper| sleeper.footprint.is_independent_of(footprint);
    asleep.iter().filter(still).cloned().collect()
}

impl Met {
    /// Wakes the steps that do not sleep where the state is met again, and returns their threads
    /// (Z2).
    fn wake(&mut self, inherited: &[Sleeper]) -> BTreeSet<u64> {
        let is_woken = |sleeper: &Sleeper| !sleeps(inherited, sleeper.path);
        let woken = self.asleep.iter().filter(|sleeper| is_woken(sleeper));
        let woken = woken.map(|sleeper| sleeper.path).collect();
        self.asleep.retain(|sleeper| !is_woken(sleeper));
        woken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Footprint, Met, Sleeper};

    fn footprint(reads: &[u64], writes: &[u64]) -> Footprint {
        let set = |objects: &[u64]| objects.iter().copied().collect();
        Footprint { reads: set(reads), writes: set(writes), is_global: false }
    }

    #[test]
    fn a_state_that_is_met_again_keeps_asleep_what_sleeps_both_times() {
        // Threads 1 and 2 sleep the first time, 2 and 3 the second.
        let sleeper = |path| Sleeper { path, footprint: Footprint::default() };
        let mut met = Met { asleep: vec![sleeper(1), sleeper(2)], is_expanded: true };
        assert_eq!(met.wake(&[sleeper(2), sleeper(3)]), BTreeSet::from([1]));
        assert_eq!(met.asleep.iter().map(|one| one.path).collect::<Vec<_>>(), [2]);
        assert_eq!(met.wake(&[sleeper(2)]), BTreeSet::new());
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
}
