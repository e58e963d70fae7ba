//! The pure part of the ColdDB; see [`crate::cold_db`] for its contract.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::consensus::{Checkpoint, Consensus, Slot, ValidatorIndex};
use crate::gossip::Operation;
use crate::hot_db::StateAt;
use crate::identified::IdentifiedBlock;
use crate::machine::Machine;
use crate::store::{Entry, Point, StoreError, Write};

/// Bounds of a ColdDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Writes that are gathered before they are committed, at least 1, unless nothing more is
    /// queued before that. A move of the point is never split, so its batch may be larger: it is
    /// bounded by what finality passes.
    pub batch: usize,
    /// Attestations kept in the journal since finality, at least 1. Beyond that the oldest is
    /// forgotten: if finality stands still for so long, a restart may miss the vote of a validator
    /// that has not voted since. The votes in blocks are kept with the blocks.
    pub attestations: usize,
    /// Attester slashings kept in the journal, those that came with a block included; finality does
    /// not release them. Beyond that the oldest is forgotten, and a restart counts its validators'
    /// votes again, unless a block has slashed them since.
    pub equivocations: usize,
    /// Operations of each kind kept in the journal, until finality has made them pointless; 0 is
    /// read as 1. Beyond that the oldest is forgotten. It should be what the operation pool may
    /// hold, [`crate::clearance::Limits::operations`].
    pub operations: usize,
    /// Blocks that finality has passed and that are remembered by their roots. A child of a block
    /// that was forgotten waits for its parent after a restart, instead of being refused.
    pub passed: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch: 256,
            attestations: 1 << 17,
            equivocations: 1 << 12,
            operations: 64,
            passed: 1 << 12,
        }
    }
}

/// What Clearance has taken in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record<C: Consensus> {
    /// A block that is in the fork choice.
    Block {
        /// The block.
        block: IdentifiedBlock<C>,
        /// Whether it came in the first third of its own slot.
        timely: bool,
    },
    /// An attestation that was not part of a block.
    Attestation {
        /// The attestation.
        attestation: C::Attestation,
        /// Who voted, ascending.
        indices: Vec<ValidatorIndex>,
    },
    /// Validators have equivocated, as an attester slashing proved, whether it came alone or in a
    /// block.
    Equivocation {
        /// The validators, ascending.
        indices: Vec<ValidatorIndex>,
    },
    /// A verified operation that the operation pool holds.
    Operation {
        /// The operation.
        operation: Operation<C>,
        /// The validators that it is about, ascending.
        validators: Vec<ValidatorIndex>,
    },
    /// Finality has made operations pointless, and the operation pool has dropped them.
    Spent {
        /// The operations.
        operations: Vec<Operation<C>>,
    },
    /// The clock reached a slot.
    Tick {
        /// The slot.
        slot: Slot,
    },
}

/// What happens to the ColdDB.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<C: Consensus> {
    /// Clearance has taken something in.
    Record(Record<C>),
    /// The finalised checkpoint has moved. Its block was recorded before.
    Finalized(Checkpoint<C::Root>),
    /// The answer to [`Effect::AskState`].
    State {
        /// The root of the block.
        root: C::Root,
        /// The state after it; `None` if it could not be had. It is asked for again when the clock
        /// next moves.
        state: Option<C::State>,
    },
    /// Nothing more is queued: what has been gathered is to be committed.
    Flush,
    /// A message was lost by a panic, so the journal would have a gap. What was recorded before it
    /// has been flushed.
    Lost,
    /// The answer to [`Effect::Commit`].
    Committed(Result<(), StoreError>),
}

/// What the ColdDB asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<C: Consensus> {
    /// Commit these writes, all or none; `Committed` follows before any other event.
    Commit(Vec<Write<C>>),
    /// Have the state after a block loaded; `State` follows.
    AskState {
        /// Root of the block.
        root: C::Root,
        /// Its slot.
        slot: Slot,
    },
    /// Finality is durable: a restart resumes from this checkpoint or a later one.
    Durable(Checkpoint<C::Root>),
    /// The store has failed. Nothing is written from now on.
    Failed(StoreError),
}

/// A block of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Hot<R> {
    number: u64,
    parent: R,
    slot: Slot,
}

/// What kind an entry of the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind<R> {
    Block(R),
    Attestation,
    Equivocation,
    Operation,
    Tick(Slot),
}

/// Decides what is written, and in which order; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColdDb<C: Consensus> {
    limits: Limits,
    point: Point<C::Root>,
    hot: BTreeMap<C::Root, Hot<C::Root>>,
    journal: BTreeMap<u64, Kind<C::Root>>,
    attestations: BTreeSet<u64>,
    equivocations: BTreeSet<u64>,
    /// A few pointers for each.
    operations: BTreeMap<u64, Operation<C>>,
    /// Numbers of the passed blocks that are remembered.
    passed: BTreeSet<u64>,
    next: u64,
    gathered: Vec<Write<C>>,
    /// The point of the batch that is being committed, if that moves it.
    moving: Option<Checkpoint<C::Root>>,
    /// The newest finalised checkpoint that the point has not reached.
    wanted: Option<Checkpoint<C::Root>>,
    /// The block whose state has been asked for.
    asked: Option<C::Root>,
    failed: bool,
    /// Records that came after the store had failed.
    dropped: u64,
}

impl<C: Consensus> ColdDb<C> {
    /// Returns a ColdDB for an empty store: the anchor is the first thing that it writes.
    ///
    /// # Panics
    /// If a bound is zero.
    #[must_use]
    pub fn new(limits: Limits, checkpoint: Checkpoint<C::Root>, state: StateAt<C>) -> Self {
        let point = Point { checkpoint, slot: state.slot, number: 0 };
        let mut new = Self::at(limits, point);
        new.gathered = vec![Write::State(state), Write::Point(point)];
        new.moving = Some(checkpoint);
        new
    }

    /// Returns a ColdDB for a store that has this point and an empty journal.
    fn at(limits: Limits, point: Point<C::Root>) -> Self {
        assert!(limits.batch >= 1 && limits.attestations >= 1, "bounds must not be zero");
        Self {
            limits,
            point,
            hot: BTreeMap::new(),
            journal: BTreeMap::new(),
            attestations: BTreeSet::new(),
            equivocations: BTreeSet::new(),
            operations: BTreeMap::new(),
            passed: BTreeSet::new(),
            next: point.number.saturating_add(1),
            gathered: Vec::new(),
            moving: None,
            wanted: None,
            asked: None,
            failed: false,
            dropped: 0,
        }
    }

    /// Returns a ColdDB for a store that has this point, this journal (each entry's number, and for
    /// a block its parent and slot) and these passed blocks. What the journal has from before the
    /// point, or beside it, is the first thing to be dropped.
    #[must_use]
    pub(super) fn resumed(
        consensus: &C,
        limits: Limits,
        point: Point<C::Root>,
        journal: impl IntoIterator<Item = (u64, Listed<C>)>,
        passed: impl IntoIterator<Item = u64>,
    ) -> Self {
        let mut new = Self::at(limits, point);
        new.passed = passed.into_iter().collect();
        for (number, listed) in journal {
            let kind = match listed {
                Listed::Block { root, parent, slot } => {
                    new.hot.insert(root, Hot { number, parent, slot });
                    Kind::Block(root)
                }
                Listed::Attestation => {
                    new.attestations.insert(number);
                    Kind::Attestation
                }
                Listed::Equivocation => {
                    new.equivocations.insert(number);
                    Kind::Equivocation
                }
                Listed::Operation(operation) => {
                    new.operations.insert(number, operation);
                    Kind::Operation
                }
                Listed::Tick(slot) => Kind::Tick(slot),
            };
            new.journal.insert(number, kind);
            new.next = new.next.max(number.saturating_add(1));
        }
        let chain = new.chain_to(point.checkpoint.root);
        new.forget_passed(consensus, &chain);
        new
    }

    /// Returns the point of the last move, durable or about to be.
    #[must_use]
    pub fn point(&self) -> Point<C::Root> {
        self.point
    }

    /// Returns how many entries the journal has.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.journal.len()
    }

    /// Returns whether the store has failed, and how many records have not been written since.
    #[must_use]
    pub fn failure(&self) -> Option<u64> {
        self.failed.then_some(self.dropped)
    }

    /// Returns whether as many writes are gathered as a batch may have.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.gathered.len() >= self.limits.batch
    }

    fn record(&mut self, record: Record<C>) -> Option<Effect<C>> {
        match record {
            Record::Block { block, timely } => {
                let header = block.identity();
                let known =
                    |root| self.hot.contains_key(root) || *root == self.point.checkpoint.root;
                if known(&header.root) || !known(&header.parent) {
                    return None;
                }
                let root = header.root;
                let hot = Hot { number: self.next, parent: header.parent, slot: header.slot };
                self.hot.insert(root, hot);
                // The block comes before the entry that names it (I2).
                self.gathered.push(Write::Block { root, block: block.item().clone() });
                self.enter(Kind::Block(root), Entry::Block { root, timely });
                None
            }
            Record::Attestation { attestation, indices } => {
                self.attestations.insert(self.next);
                self.enter(Kind::Attestation, Entry::Attestation { attestation, indices });
                if self.attestations.len() > self.limits.attestations
                    && let Some(oldest) = self.attestations.first().copied()
                {
                    self.forget(oldest);
                }
                None
            }
            Record::Equivocation { indices } => {
                self.equivocations.insert(self.next);
                self.enter(Kind::Equivocation, Entry::Equivocation { indices });
                if self.equivocations.len() > self.limits.equivocations
                    && let Some(oldest) = self.equivocations.first().copied()
                {
                    self.forget(oldest);
                }
                None
            }
            Record::Operation { operation, validators } => {
                self.operation(operation, validators);
                None
            }
            Record::Spent { operations } => {
                self.forget_spent(&operations);
                None
            }
            Record::Tick { slot } => {
                self.enter(Kind::Tick(slot), Entry::Tick { slot });
                self.trim_ticks(self.next);
                self.ask()
            }
        }
    }

    /// Enters an operation, unless the journal has it. Beyond the bound the oldest of its kind
    /// goes.
    fn operation(&mut self, operation: Operation<C>, validators: Vec<ValidatorIndex>) {
        if self.operations.values().any(|other| other.is_same(&operation)) {
            return;
        }
        let kind = operation.kind();
        self.operations.insert(self.next, operation.clone());
        self.enter(Kind::Operation, Entry::Operation { operation, validators });
        let of_kind = self.operations.iter().filter(|(_, other)| other.kind() == kind);
        let mut numbers: VecDeque<_> = of_kind.map(|(number, _)| *number).collect();
        while numbers.len() > self.limits.operations.max(1) {
            let Some(oldest) = numbers.pop_front() else { break };
            self.forget(oldest);
        }
    }

    fn forget_spent(&mut self, spent: &[Operation<C>]) {
        let is_spent = |held: &Operation<C>| spent.iter().any(|other| other.is_same(held));
        let gone = self.operations.iter().filter(|(_, held)| is_spent(held));
        let numbers: Vec<_> = gone.map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| self.forget(number));
    }

    fn enter(&mut self, kind: Kind<C::Root>, entry: Entry<C>) {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        self.journal.insert(number, kind);
        self.gathered.push(Write::Entry { number, entry });
    }

    /// Drops an entry of the journal, and the ticks around it that say nothing more. A block goes
    /// with its entry, and after it (I2).
    fn forget(&mut self, number: u64) {
        let Some(kind) = self.journal.remove(&number) else { return };
        self.gathered.push(Write::ForgetEntry(number));
        match kind {
            Kind::Block(root) => drop(self.hot.remove(&root)),
            Kind::Attestation => drop(self.attestations.remove(&number)),
            Kind::Equivocation => drop(self.equivocations.remove(&number)),
            Kind::Operation => drop(self.operations.remove(&number)),
            Kind::Tick(_) => return,
        }
        self.trim_ticks(number);
    }

    /// Drops ticks of the run around the place of an entry that is not there, but for the first two
    /// and the last (I4). The first two ticks after an item count the votes that waited for their
    /// slots. Of later ones, with nothing between, the last says all. The clock at the point's
    /// block is the first of its run, as what came before it is gone.
    fn trim_ticks(&mut self, number: u64) {
        let is_tick = |(_, kind): &(&u64, &Kind<C::Root>)| matches!(kind, Kind::Tick(_));
        let before = self.journal.range(..number).rev().take_while(is_tick);
        let mut run: Vec<_> = before.map(|(number, _)| *number).collect();
        run.reverse();
        run.extend(self.journal.range(number..).take_while(is_tick).map(|(number, _)| *number));
        // Of a run that was trimmed before, or of two that have become one, few are left.
        if let [_, _, idle @ .., _] = run.as_slice() {
            for number in idle {
                self.journal.remove(number);
                self.gathered.push(Write::ForgetEntry(*number));
            }
        }
    }

    fn finalized(&mut self, checkpoint: Checkpoint<C::Root>) -> Option<Effect<C>> {
        if checkpoint.epoch > self.point.checkpoint.epoch {
            self.wanted = Some(checkpoint);
        }
        self.ask()
    }

    /// Asks for the state of the wanted checkpoint, one at a time.
    fn ask(&mut self) -> Option<Effect<C>> {
        let wanted = self.wanted.filter(|_| self.asked.is_none())?;
        let slot = match self.hot.get(&wanted.root) {
            Some(hot) => hot.slot,
            None if wanted.root == self.point.checkpoint.root => self.point.slot,
            None => return None,
        };
        self.asked = Some(wanted.root);
        Some(Effect::AskState { root: wanted.root, slot })
    }

    fn state(&mut self, consensus: &C, root: C::Root, state: Option<C::State>) -> Vec<Effect<C>> {
        if self.asked != Some(root) {
            return Vec::new();
        }
        self.asked = None;
        let Some(state) = state else {
            // Finality that has moved on meanwhile may be the reason. Otherwise the next tick asks.
            let moved_on = self.wanted.is_some_and(|wanted| wanted.root != root);
            return if moved_on { self.ask().into_iter().collect() } else { Vec::new() };
        };
        if let Some(checkpoint) = self.wanted.filter(|wanted| wanted.root == root) {
            self.wanted = None;
            self.move_point(consensus, checkpoint, state);
        }
        // Finality has moved on meanwhile.
        self.ask().into_iter().collect()
    }

    /// Moves the point: first the state and the finalised chain, then the point that refers to
    /// them, and last what the point has made useless (I3).
    fn move_point(&mut self, consensus: &C, checkpoint: Checkpoint<C::Root>, state: C::State) {
        let old = self.point;
        let root = checkpoint.root;
        let (number, slot) = match self.hot.get(&root) {
            Some(hot) => (hot.number, hot.slot),
            None => (old.number, old.slot),
        };
        let chain = self.chain_to(root);
        if root != old.checkpoint.root {
            self.gathered.push(Write::State(StateAt { root, slot, state }));
        }
        for (slot, root) in chain.iter().rev() {
            self.gathered.push(Write::Finalized { slot: *slot, root: *root });
        }
        if root != old.checkpoint.root {
            self.pass(old.number, old.checkpoint.root);
        }
        self.point = Point { checkpoint, slot, number };
        self.gathered.push(Write::Point(self.point));
        self.moving = Some(checkpoint);
        if root != old.checkpoint.root {
            self.gathered.push(Write::ForgetState(old.checkpoint.root));
        }
        self.forget_passed(consensus, &chain);
    }

    /// Returns slot and root of a block of the journal and of its ancestors there, newest first.
    fn chain_to(&self, root: C::Root) -> Vec<(Slot, C::Root)> {
        let mut chain = Vec::new();
        let mut at = root;
        // The loop is bounded by the number of blocks: each step goes to a parent, which came
        // before its child.
        while let Some(hot) = self.hot.get(&at) {
            chain.push((hot.slot, at));
            at = hot.parent;
        }
        chain
    }

    /// Drops the entries up to the point's, the blocks beside the finalised chain, and what does
    /// not descend from the point. The last tick before the point's block stays: it is the clock at
    /// that block (I4).
    fn forget_passed(&mut self, consensus: &C, chain: &[(Slot, C::Root)]) {
        let start = consensus.start_slot(self.point.checkpoint.epoch);
        let finalized: BTreeSet<_> = chain.iter().map(|(_, root)| *root).collect();
        let mut kept = BTreeSet::from([self.point.checkpoint.root]);
        let mut passed = self.journal.range(..=self.point.number).rev();
        let clock = passed.find(|(_, kind)| matches!(kind, Kind::Tick(_)));
        let clock = clock.map(|(number, _)| *number);
        let listed: Vec<_> = self.journal.iter().map(|(number, kind)| (*number, *kind)).collect();
        for (number, kind) in listed {
            let passed = number <= self.point.number;
            match kind {
                Kind::Block(root) => {
                    let descends = !passed
                        && self
                            .hot
                            .get(&root)
                            .is_some_and(|hot| kept.contains(&hot.parent) && hot.slot > start);
                    if descends {
                        kept.insert(root);
                        continue;
                    }
                    if root != self.point.checkpoint.root {
                        self.pass(number, root);
                    }
                    self.forget(number);
                    if !finalized.contains(&root) {
                        self.gathered.push(Write::ForgetBlock(root));
                    }
                }
                Kind::Attestation | Kind::Tick(_) if passed && clock != Some(number) => {
                    self.forget(number);
                }
                // Finality does not make a validator honest, so its equivocation stays. An
                // operation stays until it is spent.
                Kind::Attestation | Kind::Equivocation | Kind::Operation | Kind::Tick(_) => {}
            }
        }
    }

    /// Remembers that finality has passed a block, and forgets the oldest beyond the bound.
    fn pass(&mut self, number: u64, root: C::Root) {
        self.passed.insert(number);
        self.gathered.push(Write::Passed { number, root });
        while self.passed.len() > self.limits.passed {
            let Some(oldest) = self.passed.pop_first() else { break };
            self.gathered.push(Write::ForgetPassed(oldest));
        }
    }

    fn flush(&mut self) -> Vec<Effect<C>> {
        if self.gathered.is_empty() {
            return Vec::new();
        }
        vec![Effect::Commit(std::mem::take(&mut self.gathered))]
    }

    fn committed(&mut self, outcome: Result<(), StoreError>) -> Vec<Effect<C>> {
        let moved = self.moving.take();
        match outcome {
            Ok(()) => moved.map(Effect::Durable).into_iter().collect(),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: StoreError) -> Vec<Effect<C>> {
        self.failed = true;
        self.gathered.clear();
        vec![Effect::Failed(error)]
    }
}

/// An entry that a store has, as far as the ColdDB needs to know it.
pub(super) enum Listed<C: Consensus> {
    Block { root: C::Root, parent: C::Root, slot: Slot },
    Attestation,
    Equivocation,
    Operation(Operation<C>),
    Tick(Slot),
}

impl<C: Consensus> Machine<C> for ColdDb<C> {
    type Event = Event<C>;
    type Effect = Effect<C>;

    fn handle(&mut self, consensus: &C, event: Event<C>) -> Vec<Effect<C>> {
        if self.failed {
            // A gap in the journal would be a wrong state after a restart, so nothing follows a
            // write that has failed (I5).
            self.dropped += u64::from(matches!(event, Event::Record(_)));
            return Vec::new();
        }
        match event {
            Event::Record(record) => self.record(record).into_iter().collect(),
            Event::Finalized(checkpoint) => self.finalized(checkpoint).into_iter().collect(),
            Event::State { root, state } => self.state(consensus, root, state),
            Event::Flush => self.flush(),
            Event::Lost => self.fail(StoreError::Gap),
            Event::Committed(outcome) => self.committed(outcome),
        }
    }
}
