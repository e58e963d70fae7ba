//! Proofs without a bound on threads and items: relations over counters, with inductive invariants.
//!
//! **Contract.** Each file in `verification/proofs/` states a part of a protocol as a transition
//! relation over counters ([`Relation`] says in which form). [`all`] reads them. `blocksmith-check
//! prove` has the obligations of each settled by two solvers, and the path of each twin found by
//! both.
//!
//! | relation | is of | what is proved |
//! |---|---|---|
//! | `notifier` | `core/sync/src/notifier.rs`, threads | no wake-up is lost, for any number of threads, items, batches, deadlines, cancels and panics |
//! | `credits` | `core/sync/src/mailbox/credits.rs` | no mailbox holds more than its capacity, and nothing comes after its end, for any capacity, senders, permits and evictors |
//! | `order` | the services | somebody can go on while anything is left to do, at any capacities and with any number of workers |
//! | `ledger` | the Quarantine | each submission is held or has one verdict, for any number of them |
//!
//! **What is not proved.** The relations are written by hand, and assume sequential consistency: the
//! orderings of the source are left to loom, shuttle and the sweep. The tests compare what an
//! instance of `notifier` reaches with what the code reaches under Stepped, by states and by steps, for
//! two and three threads beside the main one. An instance is bounded; the proof is not. The other
//! relations are not compared with code. Tasks that wait for a notifier are in none of them.

mod formula;
mod relation;
mod smt;

use serde::Serialize;

pub use relation::{Broken, Reached, Relation, State, Twin};
pub use smt::{Model, Solver};

use smt::Obligations;

/// Returns the relations.
///
/// # Panics
/// If a file is malformed, which a test would have found.
#[must_use]
pub fn all() -> Vec<Relation> {
    let files = [
        ("notifier", include_str!("../../proofs/notifier.rel")),
        ("credits", include_str!("../../proofs/credits.rel")),
        ("order", include_str!("../../proofs/order.rel")),
        ("ledger", include_str!("../../proofs/ledger.rel")),
    ];
    let read = |(name, text)| Relation::read(name, text).unwrap_or_else(|error| panic!("{error}"));
    files.into_iter().map(read).collect()
}

/// What a solver says of a relation.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The relation.
    pub relation: String,
    /// The solver.
    pub solver: &'static str,
    /// How many obligations there are: the existence of a first state, one initiation, a
    /// consecution a step, a safety a property.
    pub obligations: usize,
    /// Those that do not hold, each with the solver's answer.
    pub open: Vec<(String, String)>,
    /// The twins, each with the path that refutes it.
    pub twins: Vec<Refutation>,
}

/// What a solver says of a twin.
#[derive(Clone, Debug, Serialize)]
pub struct Refutation {
    /// What is wrong with the twin.
    pub twin: String,
    /// The hazard.
    pub hazard: String,
    /// The property that breaks.
    pub breaks: String,
    /// The path; `None` if there is none of the stated length.
    pub path: Option<Model>,
}

impl Proof {
    /// Returns whether all obligations hold and all twins are refuted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.open.is_empty() && self.twins.iter().all(|twin| twin.path.is_some())
    }
}

/// Has a solver settle all obligations of a relation, and find the path of each of its twins. Blocks
/// until it has.
///
/// # Errors
/// If the solver cannot be run, or gives no answer.
pub fn prove(relation: &Relation, solver: Solver) -> Result<Proof, String> {
    let obligations = Obligations::of(relation);
    let open = obligations.settle(solver)?;
    let mut twins = Vec::new();
    for twin in relation.twins() {
        let path = smt::find(&twin.relation, twin.length, solver)?;
        let breaks = twin.relation.safe.iter().map(|safe| safe.name.clone()).collect();
        twins.push(Refutation { twin: twin.name, hazard: twin.hazard, breaks, path });
    }
    let (relation, solver) = (relation.name.clone(), solver.name());
    Ok(Proof { relation, solver, obligations: obligations.all.len(), open, twins })
}

/// Returns the scripts of a relation by file name: its obligations, and the search for each twin's path.
#[must_use]
pub fn scripts(relation: &Relation) -> Vec<(String, String)> {
    let own = (format!("{}.smt2", relation.name), Obligations::of(relation).script());
    let twins = relation.twins().into_iter().enumerate().map(|(number, twin)| {
        let name = format!("{}-twin-{}.smt2", relation.name, number + 1);
        (name, format!("; {}\n{}", twin.name, smt::search(&twin.relation, twin.length)))
    });
    std::iter::once(own).chain(twins).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use blocksmith_models::hazard;

    use super::all;

    #[test]
    fn nothing_breaks_in_an_instance_and_each_step_is_possible_in_one() {
        for relation in all() {
            let mut taken = BTreeSet::new();
            for first in relation.instances() {
                let reached = relation.reach(first.clone());
                let reached = reached.unwrap_or_else(|broken| panic!("{first:?}: {broken:?}"));
                println!("{} {first:?}: {} states", relation.name, reached.states.len());
                taken.extend(reached.names);
            }
            // What is never possible proves nothing.
            let idle = relation.step_names().find(|name| !taken.contains(*name));
            assert_eq!(idle, None, "{}", relation.name);
        }
    }

    #[test]
    fn each_twin_shows_its_hazard_by_a_path_of_the_length_that_is_stated() {
        let mut others = Vec::new();
        for relation in all() {
            assert!(relation.twins().len() >= 2, "{}", relation.name);
            for twin in relation.twins() {
                let is_a_row = hazard::all().any(|row| row.id == twin.hazard);
                assert!(is_a_row, "{}: {}", relation.name, twin.hazard);
                let unproved = twin.relation.clone().unproved();
                let broken = unproved.reach(unproved.instances()[0].clone());
                let length = broken.as_ref().err().map(|broken| broken.path.len());
                if length != Some(twin.length) {
                    others.push((twin.name, twin.length, broken.map(|it| it.states.len())));
                }
            }
        }
        assert!(others.is_empty(), "{others:#?}");
    }
}
