//! Slashing protection: workers that check, record and sign over one store.

use blocksmith::slashing_protection::{
    History, Key, Limits, MemoryStore, ProtectionStore, Request, Statement, Transaction, Write,
    check_and_record,
};
use stateright::Model;

use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

const KEY: Key = [1; 48];
const WORKERS: usize = 2;
const CRASHES: u8 = 2;
const LIMITS: Limits = Limits { blocks: 1, attestations: 1 };

/// The messages: their names, slots and signing roots.
const MESSAGES: [(&str, u64, u8); 4] =
    [("one", 1, 1), ("other", 1, 2), ("next", 2, 3), ("last", 3, 4)];

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// What is refused is signed.
    RefusalIgnored,
    /// A crash loses the last record, as of a store whose commit is not durable.
    RecordLost,
    /// The store keeps one record more than it may.
    KeepsMore,
    /// A record that is forgotten does not raise the watermark.
    WatermarkStays,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    store: MemoryStore,
    /// The store before the last commit.
    before: MemoryStore,
    signed: [bool; MESSAGES.len()],
    wants: [usize; WORKERS],
    /// Whether each worker may sign what it wants.
    allowed: [bool; WORKERS],
    crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Ask { worker: usize, message: usize },
    Sign { worker: usize },
    Crash,
}

struct Protection {
    fault: Option<Fault>,
}

fn history(store: &MemoryStore) -> History {
    let mut store = store.clone();
    let history = store.begin().and_then(|mut transaction| transaction.history(&KEY));
    history.expect("memory does not fail")
}

/// The fault: a watermark that was set before a commit is set again after it.
fn keep_watermark(before: &MemoryStore, store: &mut MemoryStore) {
    let watermarks = history(before).watermarks();
    if watermarks.slot.is_none() {
        return;
    }
    let written = store.begin().and_then(|mut transaction| {
        transaction.write(&KEY, &Write::Watermarks(watermarks))?;
        transaction.commit()
    });
    written.expect("memory does not fail");
}

impl Protection {
    fn ask(&self, state: &mut State, worker: usize, message: usize) {
        let (_, slot, root) = MESSAGES[message];
        let statement = Statement::Block { slot, signing_root: [root; 32] };
        let request = Request { genesis: [0; 32], key: KEY, statement };
        let more = usize::from(self.fault == Some(Fault::KeepsMore));
        let limits = Limits { blocks: LIMITS.blocks + more, ..LIMITS };
        let before = state.store.clone();
        let outcomes = check_and_record(&mut state.store, &limits, &[request]);
        let outcome = outcomes.expect("memory does not fail")[0];
        match self.fault {
            Some(Fault::RecordLost) => state.before = before,
            Some(Fault::WatermarkStays) => keep_watermark(&before, &mut state.store),
            _ => {}
        }
        state.wants[worker] = message;
        state.allowed[worker] = outcome.allows() || self.fault == Some(Fault::RefusalIgnored);
    }
}

impl Model for Protection {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let (store, before) = (MemoryStore::default(), MemoryStore::default());
        let (signed, wants, allowed) = ([false; 4], [0; WORKERS], [false; WORKERS]);
        vec![State { store, before, signed, wants, allowed, crashes: 0 }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS {
            if state.allowed[worker] {
                actions.push(Action::Sign { worker });
            } else {
                let all = 0..MESSAGES.len();
                actions.extend(all.map(|message| Action::Ask { worker, message }));
            }
        }
        actions.extend((state.crashes < CRASHES).then_some(Action::Crash));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Ask { worker, message } => self.ask(&mut state, worker, message),
            Action::Sign { worker } => {
                state.signed[state.wants[worker]] = true;
                state.allowed[worker] = false;
            }
            Action::Crash => {
                (state.allowed, state.crashes) = ([false; WORKERS], state.crashes + 1);
                if self.fault == Some(Fault::RecordLost) {
                    state.store = state.before.clone();
                }
            }
        }
        Some(state)
    }
}

impl Projected for Protection {
    fn variables(&self, state: &State) -> Variables {
        let history = history(&state.store);
        let is_recorded = |(_, slot, root): &(&str, u64, u8)| {
            let mut blocks = history.blocks();
            blocks.any(|block| (block.slot, block.signing_root) == (*slot, Some([*root; 32])))
        };
        let recorded = MESSAGES.iter().filter(|message| is_recorded(message));
        let signed = MESSAGES.iter().zip(state.signed).filter(|(_, signed)| *signed);
        let place = |allowed: bool| if allowed { "allowed" } else { "idle" };
        variables([
            ("recorded", Value::set(recorded.map(|message| message.0))),
            ("watermark", history.watermarks().slot.unwrap_or(0).into()),
            ("signed", Value::set(signed.map(|(message, _)| message.0))),
            ("wants", Value::sequence(state.wants.map(|message| MESSAGES[message].0))),
            ("place", Value::sequence(state.allowed.map(place))),
            ("crashes", state.crashes.into()),
        ])
    }
}

fn machine(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Protection { fault })
}

pub(super) const INSTANCE: Instance = Instance {
    name: "slashing_protection",
    spec: "SlashingProtection",
    cfg: "SlashingProtection",
    source: "slashing_protection: check_and_record over MemoryStore",
    bounds: "2 workers, 4 blocks of 3 slots, 1 record, 2 crashes",
    dropped: "nothing",
    is_whole: true,
    size: Agreement { states: 2149, edges: 11706 },
    machine: || machine(None),
    twins: &[
        Twin {
            name: "refusal_ignored",
            claim: "a worker signs what is refused",
            machine: || machine(Some(Fault::RefusalIgnored)),
            step: "Ask",
        },
        Twin {
            name: "record_lost",
            claim: "a crash takes back the last record",
            machine: || machine(Some(Fault::RecordLost)),
            step: "Crash",
        },
        Twin {
            name: "keeps_more",
            claim: "the store keeps one record more than its bound",
            machine: || machine(Some(Fault::KeepsMore)),
            step: "Ask",
        },
        Twin {
            name: "watermark_stays",
            claim: "a record that is forgotten does not raise the watermark",
            machine: || machine(Some(Fault::WatermarkStays)),
            step: "Ask",
        },
    ],
};
