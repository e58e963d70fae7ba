//! States and steps; see [`super`].

use std::collections::BTreeMap;

use blocksmith::clearance::{self, ChainView, Clearance, Import};
use blocksmith::cold_db::{self, Bounds, ColdDb, Effect, Event, recover};
use blocksmith::consensus::{Checkpoint, Consensus, Slot};
use blocksmith::fork_choice;
use blocksmith::hot_db::{self, HotDb, StateAt};
use blocksmith::machine::Machine;
use blocksmith::quarantine;
use blocksmith::store::{Entry, FinalizedBlock, MemoryStore, Store, StoreError, Write};
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use stateright::{Model, Property};

use super::Fault;
use super::world::{Machines, Outside, ToCold};
use crate::rules::Bounded;

/// One thing that is taken in.
#[derive(Clone, Copy, Debug)]
enum Input {
    Tick(Slot),
    Block(ToyBlock),
}

const FIRST: Checkpoint<ToyRoot> = Checkpoint { epoch: 1, root: 1 };

/// A chain 1 to 4 in which block 3 finalises block 1 in epoch 1, and a dead branch 5 beside it.
const HISTORY: [Input; 10] = [
    Input::Tick(3),
    Input::Block(ToyBlock::new(1, 0, 2)),
    Input::Block(ToyBlock::new(5, 0, 3)),
    Input::Tick(4),
    Input::Block(ToyBlock::new(2, 1, 4)),
    Input::Tick(5),
    Input::Block(ToyBlock { finalizes: Some(FIRST), ..ToyBlock::new(3, 2, 5) }),
    Input::Tick(6),
    Input::Block(ToyBlock::new(4, 3, 6)),
    Input::Tick(7),
];

/// What a run ends with: the view, the blocks of the fork choice, and the finalised chain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    view: ChainView<ToyRoot>,
    blocks: Vec<(ToyRoot, ToyRoot, Slot)>,
    point: Checkpoint<ToyRoot>,
    finalized: Result<Vec<FinalizedBlock<Toy>>, StoreError>,
}

/// The instance.
#[derive(Clone, Debug)]
pub(super) struct Durable {
    fault: Option<Fault>,
    pub(super) toy: Toy,
    /// How a run without a fault, a crash or a full disk ends.
    end: Option<End>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    machines: Machines,
    outside: Outside,
    /// Inputs that were taken in since the last start.
    taken: usize,
    crashed: bool,
    /// Whether a restart was refused.
    refused: bool,
    /// Finality of the restart, as long as nothing has come since.
    resumed: Option<u64>,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// The next input is taken in.
    Take,
    /// The ColdDB commits what it has gathered.
    Flush,
    /// The state that the ColdDB asked for comes.
    StateComes,
    /// The disk is full for the next commit.
    DiskFull,
    /// The process ends when so many writes of the commit under way are on the disk, and restarts.
    Crash(usize),
}

impl Durable {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let toy = Toy { slots_per_epoch: 3, validators: 5, payloads: false };
        let mut model = Self { fault: None, toy, end: None };
        let mut state = model.start();
        while state.taken < HISTORY.len() {
            model.take(&mut state);
            state.machines.flush(&model, &mut state.outside);
            model.state_comes(&mut state);
        }
        state.machines.flush(&model, &mut state.outside);
        model.end = Some(model.end_of(&state));
        model.fault = fault;
        model
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Returns what a commit says that finds the disk full.
    pub(super) fn refused(&self) -> Result<(), StoreError> {
        let full = StoreError::Full { place: "memory".to_owned(), reason: "no room".to_owned() };
        if self.has(Fault::GoesOn) { Ok(()) } else { Err(full) }
    }

    /// Returns the writes of one commit in the order in which they get to the disk.
    pub(super) fn as_written(&self, mut writes: Vec<Write<Toy>>) -> Vec<Write<Toy>> {
        let find = |writes: &[Write<Toy>], is: fn(&Write<Toy>) -> bool| writes.iter().position(is);
        let is_point =
            |write: &Write<Toy>| matches!(write, Write::Point(point) if point.checkpoint.epoch > 0);
        match self.fault {
            Some(Fault::EntryFirst) => {
                for at in 1..writes.len() {
                    let entry =
                        matches!(&writes[at], Write::Entry { entry: Entry::Block { .. }, .. });
                    if entry && matches!(writes[at - 1], Write::Block { .. }) {
                        writes.swap(at - 1, at);
                    }
                }
            }
            Some(Fault::BlockGoesFirst) => {
                for at in 1..writes.len() {
                    let entry = matches!(writes[at - 1], Write::ForgetEntry(_));
                    if entry && matches!(writes[at], Write::ForgetBlock(_)) {
                        writes.swap(at - 1, at);
                    }
                }
            }
            Some(Fault::PointBeforeState) => {
                if let Some(at) = find(&writes, is_point) {
                    let point = writes.remove(at);
                    let state =
                        |write: &Write<Toy>| matches!(write, Write::State(at) if at.root > 0);
                    let state = find(&writes, state).unwrap_or(at);
                    writes.insert(state, point);
                }
            }
            Some(Fault::ChainAfterPoint) => {
                if let Some(at) = find(&writes, is_point) {
                    let point = writes.remove(at);
                    let chain = find(&writes, |write| matches!(write, Write::Finalized { .. }));
                    writes.insert(chain.unwrap_or(at), point);
                }
            }
            Some(Fault::StateGoesFirst) => {
                if let Some(at) = find(&writes, is_point) {
                    writes.insert(at, Write::ForgetState(0));
                }
            }
            Some(Fault::AcknowledgedFirst | Fault::GoesOn) | None => {}
        }
        writes
    }

    fn bounds_of_machines(&self) -> Bounds {
        Bounds {
            hot_db: hot_db::Limits::default(),
            cold_db: cold_db::Limits { batch: 64, ..cold_db::Limits::default() },
            quarantine: quarantine::Limits::default(),
            clearance: clearance::Limits::default(),
            fork_choice: fork_choice::Config::new(self.toy.slots_per_epoch),
        }
    }

    fn machines(&self) -> Machines {
        let bounds = self.bounds_of_machines();
        let (anchor, state) = (Checkpoint { epoch: 0, root: 0 }, ToyState::anchor());
        let balances = self.toy.balances(&state).expect("the toy has balances");
        Machines {
            clearance: Clearance::new(bounds.fork_choice, 0, 0, balances),
            hot_db: HotDb::new(&self.toy, bounds.hot_db, 0, 0, state),
            cold_db: ColdDb::new(bounds.cold_db, anchor, StateAt { root: 0, slot: 0, state }),
        }
    }

    fn start(&self) -> State {
        State {
            machines: self.machines(),
            outside: Outside::default(),
            taken: 0,
            crashed: false,
            refused: false,
            resumed: None,
        }
    }

    fn take(&self, state: &mut State) {
        let input = HISTORY[state.taken];
        (state.taken, state.resumed) = (state.taken + 1, None);
        let import = match input {
            Input::Tick(slot) if slot <= state.machines.clearance.fork_choice().slot() => return,
            Input::Tick(slot) => Import::Tick { slot },
            Input::Block(block) => {
                let Some(block) = state.machines.clear(&self.toy, block) else { return };
                Import::Block { block, timely: false }
            }
        };
        state.machines.import(self, &mut state.outside, import);
    }

    fn state_comes(&self, state: &mut State) {
        let Some((root, slot)) = state.outside.asked.take() else { return };
        let State { machines, outside, .. } = state;
        let at = machines.state_of(&self.toy, root, slot);
        let at = at.map(|state| StateAt { root, slot, state });
        machines.tell_cold(self, outside, ToCold::State { root, state: at });
        if self.has(Fault::AcknowledgedFirst) {
            outside.acknowledged = machines.cold_db.point().checkpoint.epoch;
        }
    }

    /// Returns the writes of the commit that would come now.
    fn gathered(&self, state: &State) -> Vec<Write<Toy>> {
        let effects = state.machines.cold_db.clone().handle(&self.toy, Event::Flush);
        let writes = effects.into_iter().find_map(|effect| match effect {
            Effect::Commit(writes) => Some(writes),
            _ => None,
        });
        self.as_written(writes.unwrap_or_default())
    }

    fn store(state: &State) -> MemoryStore<Toy> {
        let mut store = MemoryStore::new(usize::MAX);
        state.outside.log.iter().for_each(|write| store.apply(write));
        store
    }

    fn crash(&self, state: &mut State, written: usize) {
        let writes = self.gathered(state);
        state.outside.log.extend(writes.into_iter().take(written));
        (state.outside.asked, state.outside.full) = (None, false);
        (state.taken, state.crashed) = (0, true);
        let bounds = self.bounds_of_machines();
        let recovered = match Self::store(state).load() {
            Ok(None) => Ok(self.machines()),
            Ok(Some(loaded)) => recover(&self.toy, &bounds, loaded).map(|all| Machines {
                clearance: all.clearance,
                hot_db: all.hot_db,
                cold_db: all.cold_db,
            }),
            Err(error) => Err(error),
        };
        match recovered {
            Ok(machines) => {
                state.resumed = Some(machines.clearance.view().finalized.epoch);
                state.machines = machines;
            }
            Err(_) => state.refused = true,
        }
    }

    /// Returns whether everything has been taken in and written.
    fn at_rest(&self, state: &State) -> bool {
        state.taken == HISTORY.len()
            && state.outside.asked.is_none()
            && state.machines.cold_db.failure().is_none()
            && self.gathered(state).is_empty()
    }

    fn end_of(&self, state: &State) -> End {
        let clearance = &state.machines.clearance;
        let mut blocks = clearance.blocks();
        blocks.sort_unstable();
        End {
            view: clearance.view(),
            blocks,
            point: state.machines.cold_db.point().checkpoint,
            finalized: Self::store(state).by_range(0, Slot::MAX, usize::MAX),
        }
    }
}

/// Returns a write in a word or two.
fn write_words(write: &Write<Toy>) -> String {
    let text = format!("{write:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

impl Bounded for Durable {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("inputs", HISTORY.len().to_string()),
            ("crashes", "1, between any two writes".to_owned()),
            ("failed_commits", "1".to_owned()),
        ])
    }

    fn step_in_words(&self, state: &State, action: &Action) -> (String, String) {
        let (process, does) = match *action {
            Action::Take => match HISTORY.get(state.taken) {
                Some(Input::Tick(slot)) => ("clearance", format!("takes the tick of slot {slot}")),
                Some(Input::Block(block)) => {
                    let ToyBlock { root, parent, slot, .. } = block;
                    ("clearance", format!("takes block {root} on {parent} at {slot}"))
                }
                None => ("clearance", "takes nothing".to_owned()),
            },
            Action::Flush => ("cold_db", format!("commits {} writes", self.gathered(state).len())),
            Action::StateComes => {
                ("cold_db", format!("gets the state that it asked for: {:?}", state.outside.asked))
            }
            Action::DiskFull => ("disk", "is full for the next commit".to_owned()),
            Action::Crash(written) => {
                let all = self.gathered(state).len();
                ("process", format!("ends after {written} of {all} writes, and begins again"))
            }
        };
        (process.to_owned(), does)
    }

    fn objects(&self, state: &State) -> Vec<(String, String)> {
        let State { machines, outside, .. } = state;
        let view = machines.clearance.view();
        let writes: Vec<_> = outside.log.iter().map(write_words).collect();
        let gathered: Vec<_> = self.gathered(state).iter().map(write_words).collect();
        let resumed = match state.resumed {
            Some(epoch) => format!("with finality of epoch {epoch}"),
            None if state.refused => "refused".to_owned(),
            None => "no".to_owned(),
        };
        let point = machines.cold_db.point().checkpoint;
        let all = [
            ("clearance", format!("head {}, finalized {}", view.head, view.finalized.root)),
            ("cold_db", format!("to be written: [{}]; point: {}", gathered.join(", "), point.root)),
            ("disk", writes.join(", ")),
            ("acknowledged", format!("finality of epoch {}", outside.acknowledged)),
            ("begun again", resumed),
        ];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Model for Durable {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.refused {
            return;
        }
        let gathered = self.gathered(state).len();
        actions.extend((state.taken < HISTORY.len()).then_some(Action::Take));
        actions.extend((gathered > 0).then_some(Action::Flush));
        actions.extend(state.outside.asked.map(|_| Action::StateComes));
        actions.extend((!state.outside.was_full).then_some(Action::DiskFull));
        if !state.crashed {
            actions.extend((0..=gathered).map(Action::Crash));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Take => self.take(&mut state),
            Action::Flush => state.machines.flush(self, &mut state.outside),
            Action::StateComes => self.state_comes(&mut state),
            Action::DiskFull => (state.outside.full, state.outside.was_full) = (true, true),
            Action::Crash(written) => self.crash(&mut state, written),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every restart resumes", |_: &Self, state: &State| !state.refused),
            Property::always(
                "finality is not older than acknowledged",
                |_: &Self, state: &State| {
                    state.resumed.is_none_or(|epoch| epoch >= state.outside.acknowledged)
                },
            ),
            Property::always("the same end", |model: &Self, state: &State| {
                !model.at_rest(state) || Some(model.end_of(state)) == model.end
            }),
        ]
    }
}
