//! The machines of the services without threads: Clearance, HotDB and ColdDB over the toy protocol,
//! with a store that remembers every transaction. The shells are the real ones.

use std::collections::VecDeque;

use crate::clearance::Material;
use crate::clearance::shell::{self as clearance_shell, Chain, Request};
use crate::clearance::{self, ChainView, Clearance, Import};
use crate::cold_db::shell::{self, Message};
use crate::cold_db::{Bounds, ColdDb, Limits, Record, recover};
use crate::consensus::{Checkpoint, Consensus, IndexedVote, Slot, UpdateFlags};
use crate::fork_choice;
use crate::gossip::Operation;
use crate::hot_db::{self, Event as HotEvent, HotDb, Prune, StateAt, TrailReply};
use crate::identified;
use crate::machine::Machine;
use crate::notice::{Notice, NoticeOf};
use crate::quarantine::{self, Quarantine};
use crate::rewinder::{Answer, Job, Lane};
use crate::store::{MemoryStore, Store, StoreError, Write};
use crate::supervision::Bare;
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyOperation, ToyRoot, ToySlashing, ToyState};
use crate::verdict::Cleared;

/// The protocol of all tests.
pub(super) const TOY: Toy = Toy { slots_per_epoch: 3, validators: 5, payloads: false };

/// One thing that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Tick(Slot),
    /// A tick of a clock that is put right: it counts even if it lies in the past.
    PutRight(Slot),
    Block(ToyBlock),
    Vote(ToyAttestation),
    /// An attester slashing by gossip; bit `i` is validator `i`.
    Slashing(u8),
    /// A voluntary exit by gossip: its number and its validator.
    Exit(u8, u64),
    /// A block with attester slashings of these validators.
    Carrier(ToyBlock, u8),
}

/// The validators of a bit field.
fn members(validators: u8) -> Vec<u64> {
    (0..8).filter(|index| validators >> index & 1 == 1).collect()
}

fn cleared(operation: Operation<Toy>, validators: Vec<u64>) -> Import<Toy> {
    let item = identified::operation(&TOY, operation);
    Import::Operation(Box::new(Cleared::new(item, validators)))
}

pub(super) fn bounds() -> Bounds {
    Bounds {
        hot_db: hot_db::Limits::default(),
        cold_db: Limits { batch: 8, ..Limits::default() },
        quarantine: quarantine::Limits::default(),
        clearance: clearance::Limits::default(),
        fork_choice: fork_choice::Config::new(TOY.slots_per_epoch),
    }
}

/// The view, the blocks with their weights, and the clock.
type Told = (ChainView<ToyRoot>, Vec<(ToyRoot, Option<u128>)>, Slot);

type ToMessage = Message<Toy>;

/// What the services are connected to.
pub(super) struct Outside {
    store: MemoryStore<Toy>,
    /// Every transaction, in order.
    pub(super) log: Vec<Vec<Write<Toy>>>,
    /// Finality that was acknowledged, with the number of transactions before that.
    pub(super) durable: Vec<(usize, Checkpoint<ToyRoot>)>,
    pub(super) failed: Vec<StoreError>,
    /// After how many transactions the disk is full.
    pub(super) room: usize,
    to_cold: VecDeque<ToMessage>,
    to_hot: Vec<Prune<ToyRoot>>,
    /// What Clearance asks of the states of these blocks.
    requests: Vec<(ToyRoot, Request<Toy>)>,
    wanted_state: Option<(ToyRoot, Slot)>,
    /// Whether requests for a state fail.
    pub(super) busy: bool,
}

pub(super) struct World {
    pub(super) clearance: Clearance<Toy>,
    pub(super) hot_db: HotDb<Toy>,
    pub(super) cold_db: ColdDb<Toy>,
    pub(super) quarantine: Quarantine<Toy>,
    pub(super) clock: Slot,
    /// What came too early, or before the block that it names.
    waiting: Vec<Input>,
    pub(super) outside: Outside,
}

impl World {
    /// Starts over a store: new if it is empty, else from what it holds.
    pub(super) fn start(store: MemoryStore<Toy>) -> Result<Self, StoreError> {
        Self::start_with(store, bounds())
    }

    pub(super) fn start_with(
        mut store: MemoryStore<Toy>,
        bounds: Bounds,
    ) -> Result<Self, StoreError> {
        let anchor = Checkpoint { epoch: 0, root: 0 };
        let state = ToyState::anchor();
        let (hot_db, clearance, quarantine, cold_db, clock) = match store.load()? {
            Some(loaded) => {
                let all = recover(&TOY, &bounds, loaded)?;
                (all.hot_db, all.clearance, all.quarantine, all.cold_db, all.resumed.slot)
            }
            None => {
                let balances = TOY.balances(&state).map_err(|_| StoreError::Gap)?;
                (
                    HotDb::new(&TOY, bounds.hot_db, 0, 0, state),
                    Clearance::with_limits(bounds.fork_choice, bounds.clearance, 0, 0, balances),
                    Quarantine::new(bounds.quarantine, anchor, 0),
                    ColdDb::new(bounds.cold_db, anchor, StateAt { root: 0, slot: 0, state }),
                    0,
                )
            }
        };
        let outside = Outside {
            store,
            log: Vec::new(),
            durable: Vec::new(),
            failed: Vec::new(),
            room: usize::MAX,
            to_cold: VecDeque::new(),
            to_hot: Vec::new(),
            requests: Vec::new(),
            wanted_state: None,
            busy: false,
        };
        let mut world =
            Self { clearance, hot_db, cold_db, quarantine, clock, waiting: Vec::new(), outside };
        world.flush();
        Ok(world)
    }

    /// Handles an input as the Quarantine and the Rewinder would: what is known has no effect, and
    /// what comes too early waits. Ticks of the past are left out.
    pub(super) fn take(&mut self, input: Input) {
        self.take_one(input);
        // What that has released may release more; each round releases at least one.
        loop {
            let waiting = std::mem::take(&mut self.waiting);
            let before = waiting.len();
            waiting.into_iter().for_each(|input| self.take_one(input));
            if self.waiting.len() == before {
                break;
            }
        }
    }

    fn take_one(&mut self, input: Input) {
        let import = match input {
            Input::Tick(slot) if slot <= self.clock => return,
            Input::Tick(slot) | Input::PutRight(slot) => {
                self.clock = slot;
                Import::Tick { slot }
            }
            Input::Block(block) | Input::Carrier(block, _) => {
                let known = self.hot_db.contains(block.root);
                let parent = self.state_of(block.parent);
                if known {
                    return;
                }
                let Some(mut state) = parent.filter(|_| block.slot <= self.clock) else {
                    return self.waiting.push(input);
                };
                TOY.transition(&mut state, &block, UpdateFlags::default()).expect("it is valid");
                let mut effects = TOY.block_effects(&state, &block).expect("it was valid");
                if let Input::Carrier(_, validators) = input {
                    effects.equivocating = members(validators);
                }
                let item = identified::block(&TOY, block);
                let (root, slot) = (block.root, block.slot);
                let state = StateAt { root, slot, state };
                self.hot_db.handle(&TOY, HotEvent::Commit { block: item.clone(), state });
                let timely = block.slot == self.clock && block.root.is_multiple_of(2);
                Import::Block { block: Box::new(Cleared::new(item, effects)), timely }
            }
            Input::Vote(attestation) => {
                if !self.clearance.fork_choice().contains(attestation.head)
                    || attestation.slot > self.clock
                {
                    return self.waiting.push(input);
                }
                let vote = TOY.vote(&attestation);
                let evidence = IndexedVote { vote, indices: vec![attestation.validator] };
                let item = identified::attestation(&TOY, attestation);
                Import::Attestation(Box::new(Cleared::new(item, evidence)))
            }
            Input::Slashing(validators) => {
                let given = ToyOperation { id: 99, validators, signed: true, valid: true };
                cleared(Operation::AttesterSlashing(ToySlashing::Given(given)), members(validators))
            }
            Input::Exit(id, validator) => {
                let exit =
                    ToyOperation { id, validators: 1 << validator, signed: true, valid: true };
                cleared(Operation::VoluntaryExit(exit), vec![validator])
            }
        };
        self.turn(clearance_shell::Message::Import { import, reply: () });
    }

    fn turn(&mut self, message: clearance_shell::Message<Toy, (), (), (), ()>) {
        let Self { clearance, outside, .. } = self;
        let work = clearance_shell::turn(clearance, &TOY, &Bare, outside, message);
        for piece in work.expect("nothing panics") {
            clearance_shell::carry_out(clearance, &TOY, &Bare, outside, piece).expect("as above");
        }
        for keep in std::mem::take(&mut self.outside.to_hot) {
            self.hot_db.handle(&TOY, HotEvent::Prune(keep));
        }
        for (root, request) in std::mem::take(&mut self.outside.requests) {
            let state = self.state_of(root).expect("the block of a checkpoint is in the HotDB");
            let at = StateAt { root, slot: TOY.state_slot(&state), state };
            let answer = Answer::State(at);
            self.turn(clearance_shell::Message::reply(&TOY, request, answer));
        }
    }

    /// Lets the ColdDB handle what is queued, and flush.
    pub(super) fn flush(&mut self) {
        loop {
            let Self { cold_db, outside, .. } = self;
            let Some(message) = outside.to_cold.pop_front() else { break };
            shell::turn(cold_db, &TOY, &Bare, outside, message).expect("nothing panics");
            if let Some((root, _)) = self.outside.wanted_state.take() {
                let state = self.state_of(root).filter(|_| !self.outside.busy);
                let state =
                    state.map(|state| StateAt { root, slot: TOY.state_slot(&state), state });
                self.outside.to_cold.push_back(Message::State { root, state });
            }
        }
        shell::flush(&mut self.cold_db, &TOY, &Bare, &mut self.outside).expect("nothing panics");
    }

    fn state_of(&self, root: ToyRoot) -> Option<ToyState> {
        let slot = match self.hot_db.trail(root, 0) {
            TrailReply::Trail(trail) => trail.block_slot,
            TrailReply::BeforeBlock { block_slot } => block_slot,
            _ => return None,
        };
        match self.hot_db.trail(root, slot) {
            TrailReply::Trail(trail) if trail.blocks.is_empty() => Some(trail.start.state),
            _ => None,
        }
    }

    pub(super) fn store(&mut self) -> &mut MemoryStore<Toy> {
        &mut self.outside.store
    }

    /// Returns all that a node can tell of the chain: the view, the blocks, and each one's weight
    /// but that of the finalised block, from which every head descends.
    pub(super) fn chain(&self) -> Told {
        let fork_choice = self.clearance.fork_choice();
        let mut blocks: Vec<_> = fork_choice.blocks().into_iter().map(|(root, ..)| root).collect();
        blocks.sort_unstable();
        let finalized = fork_choice.finalized().root;
        let weight = |root| fork_choice.weight(root).filter(|_| root != finalized);
        let weights = blocks.into_iter().map(|root| (root, weight(root))).collect();
        (self.clearance.view(), weights, fork_choice.slot())
    }
}

impl clearance_shell::Ports<Toy> for Outside {
    type Receipt = ();
    type View = ();
    type Chain = ();
    type Candidates = ();
    type Slot = ();

    fn wants_detection(&self) -> bool {
        true
    }

    fn view(&mut self, (): (), _: ChainView<ToyRoot>) {}

    fn chain(&mut self, (): (), _: Chain<ToyRoot>) {}

    fn candidates(&mut self, (): (), _: Material<Toy>) {}

    fn prune(&mut self, keep: Prune<ToyRoot>) {
        self.to_hot.push(keep);
    }

    fn reserve(&mut self) -> Option<()> {
        Some(())
    }

    fn request(&mut self, (): (), request: Request<Toy>, _: Lane, job: Job<Toy>) {
        if let Job::State { root, .. } = job {
            self.requests.push((root, request));
        }
    }

    fn keeps_records(&self) -> bool {
        true
    }

    fn record(&mut self, record: Record<Toy>) {
        self.to_cold.push_back(Message::Record(record));
    }

    fn finalized(&mut self, checkpoint: Checkpoint<ToyRoot>) {
        self.to_cold.push_back(Message::Finalized(checkpoint));
    }

    fn tell(&mut self, _: NoticeOf<Toy>) {}

    fn taken(&mut self, (): (), _: Checkpoint<ToyRoot>) {}

    fn lost(&mut self, (): ()) {}
}

impl shell::Ports<Toy> for Outside {
    fn commit(&mut self, writes: &[Write<Toy>]) -> Result<(), StoreError> {
        if self.log.len() >= self.room {
            return Err(StoreError::Full { place: "memory".into(), reason: "no room".into() });
        }
        self.log.push(writes.to_vec());
        self.store.commit(writes)
    }

    fn ask_state(&mut self, root: ToyRoot, slot: Slot) {
        assert_eq!(self.wanted_state, None, "one state at a time");
        self.wanted_state = Some((root, slot));
    }

    fn tell(&mut self, notice: NoticeOf<Toy>) {
        match notice {
            Notice::Durable(checkpoint) => self.durable.push((self.log.len(), checkpoint)),
            Notice::StoreFailed(error) => self.failed.push(*error),
            _ => {}
        }
    }
}
