//! The writer of the durable store: it writes behind, and the process crashes between two writes.

use blocksmith::clearance;
use blocksmith::cold_db::{self, Bounds, ColdDb, Effect, Event, Record, recover};
use blocksmith::consensus::Checkpoint;
use blocksmith::fork_choice;
use blocksmith::hot_db::{self, StateAt};
use blocksmith::identified;
use blocksmith::machine::Machine;
use blocksmith::quarantine;
use blocksmith::store::{Entry, MemoryStore, Store, StoreError, Write};
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use stateright::Model;
use std::collections::BTreeSet;

use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

const TOY: Toy = Toy { slots_per_epoch: 3, validators: 5, payloads: false };
const ONE: Checkpoint<ToyRoot> = Checkpoint { epoch: 1, root: 1 };
const THREE: Checkpoint<ToyRoot> = Checkpoint { epoch: 2, root: 3 };

/// A chain 1, 3, 4 with 2 beside it; the root of a block is its place, from 1.
const BLOCKS: [ToyBlock; 4] = [
    ToyBlock::new(1, 0, 1),
    ToyBlock::new(2, 0, 2),
    ToyBlock { finalizes: Some(ONE), ..ToyBlock::new(3, 1, 4) },
    ToyBlock { finalizes: Some(THREE), ..ToyBlock::new(4, 3, 7) },
];
/// The clock shows a slot after all blocks.
const NOW: u64 = 8;
/// What a variable shows that has no block.
const NONE: u8 = 9;
const CRASHES: u8 = 1;
const FAILURES: u8 = 1;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A failure of the store is not told to the machine.
    GoesOn,
    /// Of two states that are asked for, the second is not loaded.
    AsksOnce,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    machine: ColdDb<Toy>,
    /// The writes that are on the disk.
    log: Vec<Write<Toy>>,
    taken: u8,
    /// The finality that was told last, by its block.
    told: ToyRoot,
    asked: Option<ToyRoot>,
    durable: ToyRoot,
    crashes: u8,
    failures: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Take,
    Finalise(Checkpoint<ToyRoot>),
    StateComes,
    Commit,
    Fail,
    /// The process ends when so many of the pending writes are on the disk, and restarts.
    Crash(usize),
}

struct Durable {
    fault: Option<Fault>,
}

fn bounds() -> Bounds {
    Bounds {
        hot_db: hot_db::Limits::default(),
        cold_db: cold_db::Limits::default(),
        quarantine: quarantine::Limits::default(),
        clearance: clearance::Limits::default(),
        fork_choice: fork_choice::Config::new(TOY.slots_per_epoch),
    }
}

impl Durable {
    fn new_machine() -> ColdDb<Toy> {
        let anchor = Checkpoint { epoch: 0, root: 0 };
        let state = StateAt { root: 0, slot: 0, state: ToyState::anchor() };
        ColdDb::new(bounds().cold_db, anchor, state)
    }

    /// Takes the pending writes from the machine, in the order in which they get to the disk.
    fn flush(&self, machine: &mut ColdDb<Toy>) -> Vec<Write<Toy>> {
        let effects = machine.handle(&TOY, Event::Flush);
        let writes = effects.into_iter().find_map(|effect| match effect {
            Effect::Commit(writes) => Some(writes),
            _ => None,
        });
        writes.unwrap_or_default()
    }

    fn pending(&self, state: &State) -> Vec<Write<Toy>> {
        self.flush(&mut state.machine.clone())
    }

    fn tell(&self, state: &mut State, event: Event<Toy>) {
        for effect in state.machine.handle(&TOY, event) {
            match effect {
                Effect::AskState { root, .. } => state.asked = Some(root),
                Effect::Durable(checkpoint) => state.durable = checkpoint.root,
                Effect::Commit(_) | Effect::Failed(_) => {}
            }
        }
    }

    fn take(&self, state: &mut State) {
        let block = identified::block(&TOY, BLOCKS[usize::from(state.taken)]);
        state.taken += 1;
        self.tell(state, Event::Record(Record::Block { block, timely: false }));
    }

    fn state_comes(&self, state: &mut State) {
        let Some(root) = state.asked.take() else { return };
        let slot = BLOCKS[usize::from(root) - 1].slot;
        let checkpoint = Checkpoint { epoch: 0, root: 0 };
        let loaded = Some(ToyState { block: root, slot, checkpoint });
        self.tell(state, Event::State { root, state: loaded });
        if self.fault == Some(Fault::AsksOnce) {
            state.asked = None;
        }
    }

    fn commit(&self, state: &mut State, is_full: bool) {
        let writes = self.flush(&mut state.machine);
        if !is_full {
            state.log.extend(writes);
            return self.tell(state, Event::Committed(Ok(())));
        }
        state.failures += 1;
        let full = StoreError::Full { place: "memory".to_owned(), reason: "no room".to_owned() };
        let outcome = if self.fault == Some(Fault::GoesOn) { Ok(()) } else { Err(full) };
        self.tell(state, Event::Committed(outcome));
    }

    fn crash(&self, state: &mut State, written: usize) {
        let writes = self.pending(state);
        state.log.extend(writes.into_iter().take(written));
        let mut store = MemoryStore::<Toy>::new(usize::MAX);
        state.log.iter().for_each(|write| store.apply(write));
        let loaded = store.load().expect("every prefix of the writes is a store");
        let disk = Disk::new(&state.log);
        state.taken = disk.entries.iter().copied().chain(disk.point).max().unwrap_or(0);
        state.machine = match loaded {
            None => Self::new_machine(),
            Some(loaded) => {
                let recovered = recover(&TOY, &bounds(), loaded);
                recovered.expect("the services go on from every prefix").cold_db
            }
        };
        (state.asked, state.crashes) = (None, state.crashes + 1);
        state.told = state.machine.point().checkpoint.root;
        self.tick(state);
    }

    fn tick(&self, state: &mut State) {
        self.tell(state, Event::Record(Record::Tick { slot: NOW }));
    }
}

/// What the writes amount to.
#[derive(Debug, Default)]
struct Disk {
    blocks: BTreeSet<ToyRoot>,
    entries: BTreeSet<ToyRoot>,
    states: BTreeSet<ToyRoot>,
    chain: BTreeSet<ToyRoot>,
    point: Option<ToyRoot>,
}

impl Disk {
    fn new(log: &[Write<Toy>]) -> Self {
        let mut disk = Self::default();
        for (kind, root) in shown(log, log) {
            let (set, is_put) = match kind {
                "point" => {
                    disk.point = Some(root);
                    continue;
                }
                "block" | "dropBlock" => (&mut disk.blocks, kind == "block"),
                "entry" | "dropEntry" => (&mut disk.entries, kind == "entry"),
                "state" | "dropState" => (&mut disk.states, kind == "state"),
                _ => (&mut disk.chain, true),
            };
            if is_put {
                set.insert(root);
            } else {
                set.remove(&root);
            }
        }
        disk
    }
}

/// Returns what the specification calls the writes. The clock's entries, and the notes of blocks
/// that finality has passed, are left out. `all` has the entries that are dropped.
fn shown(writes: &[Write<Toy>], all: &[Write<Toy>]) -> Vec<(&'static str, ToyRoot)> {
    let of_entry = |number: u64| {
        all.iter().find_map(|write| match write {
            Write::Entry { number: of, entry: Entry::Block { root, .. } } => {
                (*of == number).then_some(*root)
            }
            _ => None,
        })
    };
    let show = |write: &Write<Toy>| match write {
        Write::Block { root, .. } => Some(("block", *root)),
        Write::Entry { entry: Entry::Block { root, .. }, .. } => Some(("entry", *root)),
        Write::State(at) => Some(("state", at.root)),
        Write::Finalized { root, .. } => Some(("final", *root)),
        Write::Point(point) => Some(("point", point.checkpoint.root)),
        Write::ForgetEntry(number) => Some(("dropEntry", of_entry(*number)?)),
        Write::ForgetBlock(root) => Some(("dropBlock", *root)),
        Write::ForgetState(root) => Some(("dropState", *root)),
        Write::Entry { .. } | Write::Passed { .. } | Write::ForgetPassed(_) => None,
    };
    writes.iter().filter_map(show).collect()
}

impl Model for Durable {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            machine: Self::new_machine(),
            log: Vec::new(),
            taken: 0,
            told: 0,
            asked: None,
            durable: 0,
            crashes: 0,
            failures: 0,
        };
        self.tick(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_left = usize::from(state.taken) < BLOCKS.len();
        actions.extend(is_left.then_some(Action::Take));
        let told = BLOCKS.iter().take(state.taken.into()).filter_map(|block| block.finalizes);
        let news = told.filter(|checkpoint| checkpoint.root > state.told);
        actions.extend(news.map(Action::Finalise));
        let is_well = state.machine.failure().is_none();
        actions.extend((state.asked.is_some() && is_well).then_some(Action::StateComes));
        let pending = self.pending(state);
        if !pending.is_empty() {
            actions.push(Action::Commit);
            let all = [&state.log[..], &pending[..]].concat();
            let is_seen = !shown(&pending, &all).is_empty();
            actions.extend((state.failures < FAILURES && is_seen).then_some(Action::Fail));
        }
        if state.crashes < CRASHES {
            actions.extend((0..=pending.len()).map(Action::Crash));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Take => self.take(&mut state),
            Action::Finalise(checkpoint) => {
                state.told = checkpoint.root;
                self.tell(&mut state, Event::Finalized(checkpoint));
            }
            Action::StateComes => self.state_comes(&mut state),
            Action::Commit => self.commit(&mut state, false),
            Action::Fail => self.commit(&mut state, true),
            Action::Crash(written) => self.crash(&mut state, written),
        }
        Some(state)
    }
}

impl Projected for Durable {
    fn variables(&self, state: &State) -> Variables {
        let pending = self.pending(state);
        let all = [&state.log[..], &pending[..]].concat();
        let write =
            |(kind, root): (&str, ToyRoot)| Value::sequence([Value::from(kind), Value::from(root)]);
        let disk = Disk::new(&state.log);
        variables([
            ("taken", state.taken.into()),
            ("pending", Value::sequence(shown(&pending, &all).into_iter().map(write))),
            ("asked", state.asked.unwrap_or(NONE).into()),
            ("point", state.machine.point().checkpoint.root.into()),
            ("failed", state.machine.failure().is_some().into()),
            ("blocks", Value::set(disk.blocks)),
            ("entries", Value::set(disk.entries)),
            ("states", Value::set(disk.states)),
            ("chain", Value::set(disk.chain)),
            ("stored", disk.point.unwrap_or(NONE).into()),
            ("durable", state.durable.into()),
            ("crashes", state.crashes.into()),
            ("failures", state.failures.into()),
        ])
    }
}

fn machine(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Durable { fault })
}

pub(super) const INSTANCE: Instance = Instance {
    name: "store",
    spec: "Store",
    cfg: "Store",
    source: "cold_db: ColdDb and recover, over MemoryStore",
    bounds: "4 blocks, 2 moves of the point, 1 crash between any two writes, 1 failure",
    dropped: "the finality that is wanted; entries of the clock; notes of blocks that were passed",
    is_whole: false,
    size: Agreement { states: 626, edges: 1980 },
    machine: || machine(None),
    twins: &[
        Twin {
            name: "goes_on",
            claim: "the writer goes on after a failure",
            machine: || machine(Some(Fault::GoesOn)),
            step: "Fail",
        },
        Twin {
            name: "asks_once",
            claim: "finality that has moved on meanwhile is not asked for",
            machine: || machine(Some(Fault::AsksOnce)),
            step: "",
        },
    ],
};
