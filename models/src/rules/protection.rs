//! Slashing protection: two processes that check, record and sign, over one database of core's own
//! rules, and crashes between any two steps.
//!
//! A process asks for a batch, which is one transaction; then the signatures leave, one by one. A
//! process that crashes forgets what it was about to do, while the other goes on; what was
//! committed stays. Both crash if one does after the other. Every process may ask for every batch
//! of a short list, so that two ask for the same message, for messages that contradict each other,
//! and for what was signed already.
//!
//! | property | meaning |
//! |---|---|
//! | no two signatures are slashable | of one key: no two blocks of a slot, no two votes of a target, no vote around another |
//! | no crash loses the record of a signature | the store says of every signature that has left that it was signed, unless a process that has not crashed is about to record it |

use std::collections::BTreeMap;

use blocksmith::slashing_protection::{
    Key, Limits, MemoryStore, Outcome, ProtectionStore, Request, Statement, Transaction,
    check_and_record,
};
use stateright::{Model, Property};

use super::{Bounded, Instance, Rule, Twin};
use crate::hazard;
use blocksmith_engines::verdict::Breaks;

const KEY: Key = [1; 48];

const fn block(slot: u64, root: u8) -> Statement {
    Statement::Block { slot, signing_root: [root; 32] }
}

const fn vote(source: u64, target: u64, root: u8) -> Statement {
    Statement::Attestation { source, target, signing_root: [root; 32] }
}

/// What can be asked for: two blocks of a slot; two votes of a target; a vote around one of them.
const BATCHES: [&[Statement]; 5] = [
    &[block(1, 1), vote(1, 2, 1)],
    &[block(1, 2)],
    &[vote(1, 2, 1)],
    &[vote(1, 2, 2), block(1, 1)],
    &[vote(0, 3, 1)],
];
const PROCESSES: usize = 2;
/// Batches that are asked for in a run, at most.
const ASKED: usize = 4;
/// Crashes of a run, at most: each process may crash once, or one of them twice.
const CRASHES: usize = 2;

/// A fault of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// The signatures leave before the record is written.
    SignsFirst,
    /// The check and the record are two transactions.
    TwoTransactions,
    /// A refusal is taken for a success.
    IgnoresRefusals,
}

/// What a process is about to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Process {
    /// Messages that were checked and are to be recorded.
    to_record: Vec<Statement>,
    /// Messages whose signatures are to leave.
    to_sign: Vec<Statement>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    store: MemoryStore,
    processes: [Process; PROCESSES],
    /// The messages whose signatures have left, in order, each once.
    signed: Vec<Statement>,
    asked: usize,
    crashes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Ask(usize, usize),
    Record(usize),
    Sign(usize),
    Crash(usize),
}

#[derive(Clone, Debug)]
struct Protection {
    fault: Option<Fault>,
}

fn requests(batch: &[Statement]) -> Vec<Request> {
    batch.iter().map(|it| Request { genesis: [0; 32], key: KEY, statement: *it }).collect()
}

/// One transaction: check and record. Returns the outcomes.
fn record(store: &mut MemoryStore, batch: &[Statement]) -> Vec<Outcome> {
    check_and_record(store, &Limits::default(), &requests(batch)).expect("memory does not fail")
}

/// A look at the store that records nothing.
fn judge(store: &MemoryStore, statement: Statement) -> Outcome {
    let mut store = store.clone();
    let history = store.begin().and_then(|mut transaction| transaction.history(&KEY));
    history.expect("memory does not fail").judge(statement)
}

fn allowed(batch: &[Statement], outcomes: &[Outcome]) -> Vec<Statement> {
    let pairs = batch.iter().zip(outcomes);
    pairs.filter(|(_, outcome)| outcome.allows()).map(|(statement, _)| *statement).collect()
}

impl Protection {
    fn ask(&self, state: &mut State, process: usize, batch: &[Statement]) {
        state.asked += 1;
        let look = |state: &State| {
            let outcomes: Vec<_> = batch.iter().map(|it| judge(&state.store, *it)).collect();
            allowed(batch, &outcomes)
        };
        match self.fault {
            None => {
                let outcomes = record(&mut state.store, batch);
                state.processes[process].to_sign = allowed(batch, &outcomes);
            }
            Some(Fault::IgnoresRefusals) => {
                record(&mut state.store, batch);
                state.processes[process].to_sign = batch.to_vec();
            }
            Some(Fault::SignsFirst) => state.processes[process].to_sign = look(state),
            Some(Fault::TwoTransactions) => state.processes[process].to_record = look(state),
        }
    }

    fn record(&self, state: &mut State, process: usize) {
        let batch = std::mem::take(&mut state.processes[process].to_record);
        record(&mut state.store, &batch);
        if self.fault == Some(Fault::TwoTransactions) {
            state.processes[process].to_sign = batch;
        }
    }

    fn sign(&self, state: &mut State, process: usize) {
        let statement = state.processes[process].to_sign.remove(0);
        if !state.signed.contains(&statement) {
            state.signed.push(statement);
            // The order in which signatures have left makes no state of its own.
            state.signed.sort_unstable_by_key(number);
        }
        if self.fault == Some(Fault::SignsFirst) {
            state.processes[process].to_record.push(statement);
        }
    }
}

/// Returns a message in words.
fn words(statement: &Statement) -> String {
    match statement {
        Statement::Block { slot, signing_root } => {
            format!("block {} of slot {slot}", signing_root[0])
        }
        Statement::Attestation { source, target, signing_root } => {
            format!("vote {} for {source} to {target}", signing_root[0])
        }
    }
}

/// A number for each message of the list.
fn number(statement: &Statement) -> Option<usize> {
    BATCHES.iter().copied().flatten().position(|other| other == statement)
}

/// Whether two different messages of one key are an offence.
fn slashable(one: &Statement, other: &Statement) -> bool {
    match (one, other) {
        (Statement::Block { slot: one, .. }, Statement::Block { slot: other, .. }) => one == other,
        (
            Statement::Attestation { source: s1, target: t1, .. },
            Statement::Attestation { source: s2, target: t2, .. },
        ) => t1 == t2 || (s1 < s2 && t2 < t1) || (s2 < s1 && t1 < t2),
        _ => false,
    }
}

impl Bounded for Protection {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("processes", PROCESSES.to_string()),
            ("batches asked for", ASKED.to_string()),
            ("crashes", CRASHES.to_string()),
        ])
    }

    fn step_in_words(&self, state: &State, action: &Action) -> (String, String) {
        let all = |batch: &[Statement]| batch.iter().map(words).collect::<Vec<_>>().join(" and ");
        let (process, does) = match *action {
            Action::Ask(process, batch) => {
                (process, format!("asks whether it may sign {}", all(BATCHES[batch])))
            }
            Action::Record(process) => {
                (process, format!("records {}", all(&state.processes[process].to_record)))
            }
            Action::Sign(process) => {
                let first = state.processes[process].to_sign.first().map(words);
                (process, format!("lets the signature of {} leave", first.unwrap_or_default()))
            }
            Action::Crash(process) => (process, "crashes, and begins again".to_owned()),
        };
        (format!("process {process}"), does)
    }

    fn objects(&self, state: &State) -> Vec<(String, String)> {
        let all = |list: &[Statement]| list.iter().map(words).collect::<Vec<_>>().join(", ");
        let held = |(number, process): (usize, &Process)| {
            let (record, sign) = (all(&process.to_record), all(&process.to_sign));
            (format!("process {number}"), format!("to record: [{record}]; to sign: [{sign}]"))
        };
        let mut held: Vec<_> = state.processes.iter().enumerate().map(held).collect();
        held.push(("signatures that have left".to_owned(), all(&state.signed)));
        held
    }
}

impl Model for Protection {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, process) in state.processes.iter().enumerate() {
            if !process.to_sign.is_empty() {
                actions.push(Action::Sign(at));
            } else if !process.to_record.is_empty() {
                actions.push(Action::Record(at));
            } else if state.asked < ASKED {
                actions.extend((0..BATCHES.len()).map(|batch| Action::Ask(at, batch)));
            }
            if state.crashes < CRASHES && *process != Process::default() {
                actions.push(Action::Crash(at));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Ask(process, batch) => self.ask(&mut state, process, BATCHES[batch]),
            Action::Record(process) => self.record(&mut state, process),
            Action::Sign(process) => self.sign(&mut state, process),
            Action::Crash(process) => {
                state.processes[process] = Process::default();
                state.crashes += 1;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no two signatures are slashable", |_, state: &State| {
                let mut pairs = state.signed.iter().enumerate().flat_map(|(at, one)| {
                    state.signed[at + 1..].iter().map(move |other| (one, other))
                });
                !pairs.any(|(one, other)| slashable(one, other))
            }),
            Property::always(LOST, |_, state: &State| {
                let about_to =
                    |it: &Statement| state.processes.iter().any(|one| one.to_record.contains(it));
                let recorded = |it: &Statement| judge(&state.store, *it) != Outcome::Recorded;
                state.signed.iter().all(|it| recorded(it) || about_to(it))
            }),
        ]
    }
}

fn protection(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Protection { fault })
}

const LOST: &str = "no crash loses the record of a signature";
const SLASHABLE: &[Breaks] = &[Breaks::Property("no two signatures are slashable")];

pub(super) const RULES: &[Rule] = &[Rule {
    name: "record_before_signature",
    claim: "two processes on one database, each of which may crash alone: no two signatures are \
            slashable, and each that has left is on record",
    states: 1172,
    model: || protection(None),
    twins: &[
        Twin {
            name: "signature_before_record",
            hazard: &hazard::V1,
            claim: "a process crashes between the signature and its record, and the other goes on",
            model: || protection(Some(Fault::SignsFirst)),
            breaks: &[Breaks::Property(LOST)],
        },
        Twin {
            name: "check_and_record_apart",
            hazard: &hazard::V2,
            claim: "two processes check before either has recorded",
            model: || protection(Some(Fault::TwoTransactions)),
            breaks: SLASHABLE,
        },
        Twin {
            name: "refusal_taken_for_success",
            hazard: &hazard::V5,
            claim: "a process signs whatever it has asked for",
            model: || protection(Some(Fault::IgnoresRefusals)),
            breaks: SLASHABLE,
        },
    ],
}];
