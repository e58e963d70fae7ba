//! The comparison of what comes with what is on record; the contract is in the module above.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::consensus::{Consensus, Epoch, IndexedVote, Slot, ValidatorIndex, Vote};
use crate::machine::Machine;
use crate::slashing::indices::Indices;
use crate::slashing::record::{Entry, Number, Record};
use crate::slashing::spans::{MAX_EPOCHS, Spans};

/// Bounds of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Slots of an epoch; 0 is read as 1.
    pub slots_per_epoch: u64,
    /// Epochs of the window, from 1 to 65,534; others are read as the nearest of these.
    pub epochs: u64,
    /// Memory of the record, in bytes. When the next vote may exceed it, the oldest epoch gives
    /// way, so the window is shorter than `epochs` (I4).
    pub bytes: usize,
    /// Different votes for one target of a validator, and different proposals for one of its slots;
    /// at least 2, as an offence takes two; less is read as 2.
    pub items_per_key: usize,
    /// The validators that are watched are those with an index below this number.
    pub validators: u64,
}

impl Limits {
    /// Returns limits for a node: 4,096 epochs (about 18 days on mainnet, more than its weak
    /// subjectivity period), 1 GiB, 4 items for each key, and 2^24 validators.
    ///
    /// For 500,000 validators, each epoch costs about 1 MB of spans and 2 MB of places, and 2 to
    /// 5 MB of attestations; `cargo run --release -p blocksmith --example slashing` prints it. So
    /// 1 GiB holds well over 100 of their epochs, and 4,096 epochs need about 30 GiB.
    #[must_use]
    pub const fn new(slots_per_epoch: u64) -> Self {
        Self {
            slots_per_epoch,
            epochs: 4096,
            bytes: 1 << 30,
            items_per_key: 4,
            validators: 1 << 24,
        }
    }
}

/// A verified item, or news of finality.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<C: Consensus> {
    /// An attestation, from the network or from a block, whose signature was verified.
    Attestation {
        /// What it says, and who cast it.
        indexed: IndexedVote<C::Root>,
        /// The attestation itself.
        attestation: C::Attestation,
    },
    /// A block whose proposer's signature was verified.
    Proposal {
        /// The block's slot.
        slot: Slot,
        /// Its proposer.
        proposer: ValidatorIndex,
        /// Its root.
        root: C::Root,
        /// Its signed header.
        header: C::SignedHeader,
    },
    /// An epoch was finalised: it is part of the past.
    Finalized {
        /// The finalised epoch.
        epoch: Epoch,
    },
}

/// An offence, with the operation that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<C: Consensus> {
    /// Two votes for one target epoch with different data.
    DoubleVote {
        /// Who cast both, ascending.
        validators: Vec<ValidatorIndex>,
        /// The vote that was on record.
        first: Vote<C::Root>,
        /// The vote that came.
        second: Vote<C::Root>,
        /// The operation, ready to be included in a block.
        slashing: C::AttesterSlashing,
    },
    /// One vote surrounds the other.
    SurroundVote {
        /// Who cast both, ascending.
        validators: Vec<ValidatorIndex>,
        /// The vote with the older source and the newer target.
        surrounding: Vote<C::Root>,
        /// The vote between them.
        surrounded: Vote<C::Root>,
        /// The operation, ready to be included in a block.
        slashing: C::AttesterSlashing,
    },
    /// Two blocks for one slot.
    DoubleProposal {
        /// Who proposed both.
        proposer: ValidatorIndex,
        /// The slot.
        slot: Slot,
        /// Root of the block that was on record.
        first: C::Root,
        /// Root of the block that came.
        second: C::Root,
        /// The operation, ready to be included in a block.
        slashing: C::ProposerSlashing,
    },
}

/// The blocks of one slot and proposer, by their headers.
type Proposals<C> = Vec<(<C as Consensus>::Root, <C as Consensus>::SignedHeader)>;

/// The detector; see the module's text.
#[derive(Clone, Debug)]
pub struct SlashingDetector<C: Consensus> {
    limits: Limits,
    /// The window: the oldest and the newest epoch.
    start: Epoch,
    newest: Epoch,
    pub(super) record: Record<C>,
    /// A function of `record`.
    pub(super) spans: Spans,
    proposals: BTreeMap<(Slot, ValidatorIndex), Proposals<C>>,
    /// The number of proposals in all of `proposals`.
    proposed: usize,
    not_recorded: u64,
    shortened: u64,
}

/// How a vote on record relates to one that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relation {
    Double,
    Surrounds,
    Surrounded,
}

/// Offences by relation and vote on record: the vote's entry, and who cast both.
type Offences<C> =
    BTreeMap<(Relation, Vote<<C as Consensus>::Root>), (Arc<Entry<C>>, Vec<ValidatorIndex>)>;

impl<C: Consensus> SlashingDetector<C> {
    /// Returns a detector without any record.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = Limits {
            slots_per_epoch: limits.slots_per_epoch.max(1),
            epochs: limits.epochs.clamp(1, MAX_EPOCHS),
            items_per_key: limits.items_per_key.max(2),
            ..limits
        };
        Self {
            limits,
            start: 0,
            newest: 0,
            record: Record::new(),
            spans: Spans::default(),
            proposals: BTreeMap::new(),
            proposed: 0,
            not_recorded: 0,
            shortened: 0,
        }
    }

    /// Returns how often a validator's vote, or a block, was not recorded: there were as many items
    /// for its key as may be, or the bound on memory leaves no room (I3, I4).
    pub fn not_recorded(&self) -> u64 {
        self.not_recorded
    }

    /// Returns the number of epochs that the bound on memory has cost the window so far (I4).
    pub fn shortened(&self) -> u64 {
        self.shortened
    }

    /// Returns the oldest and the newest epoch of the window.
    pub fn window(&self) -> (Epoch, Epoch) {
        (self.start, self.newest)
    }

    /// Returns the memory of the record, in bytes; it is at most [`Limits::bytes`].
    pub fn bytes(&self) -> usize {
        self.record.bytes() + self.spans.bytes() + self.proposed * Self::proposal_bytes()
    }

    /// Returns target epoch, validator and vote of everything on record, in that order.
    pub fn votes(&self) -> impl Iterator<Item = (Epoch, ValidatorIndex, &Vote<C::Root>)> {
        self.record.iter()
    }

    /// Returns about the memory of one proposal, in bytes.
    fn proposal_bytes() -> usize {
        /// The key, a vector, and the share of the map's nodes.
        const MEMBER_BYTES: usize = 96;
        size_of::<(C::Root, C::SignedHeader)>() + MEMBER_BYTES
    }

    /// Moves the window so that it reaches to `epoch`.
    fn reach(&mut self, epoch: Epoch) {
        if epoch > self.newest {
            self.newest = epoch;
        }
        let first = self.newest.saturating_sub(self.limits.epochs - 1);
        self.start_at(self.start.max(first));
        self.make_room(self.newest, |_| 0);
    }

    /// Forgets what lies before `start`.
    fn start_at(&mut self, start: Epoch) {
        if start > self.start {
            self.start = start;
            self.spans.start_at(start);
            let first_slot = start.saturating_mul(self.limits.slots_per_epoch);
            let kept = self.proposals.split_off(&(first_slot, 0));
            let gone = std::mem::replace(&mut self.proposals, kept);
            self.proposed -= gone.values().map(Vec::len).sum::<usize>();
        }
        self.record.span(self.start, self.newest);
    }

    /// Makes room for what costs at most as much as `cost` says, by shortening the window from its
    /// old end (I4). Returns whether there is room, and `epoch` still in the window.
    fn make_room(&mut self, epoch: Epoch, cost: impl Fn(&Self) -> usize) -> bool {
        while self.bytes().saturating_add(cost(self)) > self.limits.bytes {
            if self.start >= self.newest {
                return false;
            }
            self.start_at(self.start + 1);
            self.shortened += 1;
        }
        self.start <= epoch
    }

    fn on_attestation(
        &mut self,
        consensus: &C,
        indexed: IndexedVote<C::Root>,
        attestation: C::Attestation,
    ) -> Vec<Effect<C>> {
        // No state admits a source after its target.
        if indexed.vote.source.epoch > indexed.vote.target.epoch {
            return Vec::new();
        }
        self.reach(indexed.vote.target.epoch);
        let IndexedVote { vote, indices } = indexed;
        let entry = Arc::new(Entry { vote, indices: Indices::new(&indices), attestation });
        let mut number = None;
        let mut offences = Offences::<C>::new();
        for index in indices {
            if entry.vote.target.epoch < self.start {
                break;
            }
            if index >= self.limits.validators {
                self.not_recorded = self.not_recorded.saturating_add(1);
                continue;
            }
            self.take(index, &entry, &mut number, &mut offences);
        }
        offences
            .into_iter()
            .map(|((relation, _), (known, validators))| {
                offence(consensus, relation, &known, &entry, validators)
            })
            .collect()
    }

    /// Compares one validator's vote with its record, and records it. `number` is that of the entry
    /// once it is on record.
    fn take(
        &mut self,
        index: ValidatorIndex,
        entry: &Arc<Entry<C>>,
        number: &mut Option<Number>,
        offences: &mut Offences<C>,
    ) {
        let (source, target) = (entry.vote.source.epoch, entry.vote.target.epoch);
        let (mut known, mut same) = (0, None);
        for (held, cast) in self.record.cast(index, target) {
            known += 1;
            if same_data(&cast.vote, &entry.vote) {
                same = Some((held, cast.indices.len()));
                break;
            }
        }
        if let Some((held, len)) = same {
            // The larger attestation proves the same of more validators.
            if len < entry.indices.len() {
                self.enlarge(index, entry, held, number);
            }
            return;
        }
        if known >= self.limits.items_per_key {
            self.not_recorded = self.not_recorded.saturating_add(1);
            return;
        }
        for (relation, known) in self.contradictions(index, &entry.vote) {
            let offence = offences.entry((relation, known.vote.clone()));
            offence.or_insert_with(|| (known, Vec::new())).1.push(index);
        }
        let cost = |detector: &Self| {
            let entry = if number.is_some() { 0 } else { entry.bytes() };
            entry + detector.record.cost(index) + detector.spans.cost(index, source, target)
        };
        if !self.make_room(target, cost) {
            self.not_recorded = self.not_recorded.saturating_add(1);
            return;
        }
        *number = number.or_else(|| self.record.add(Arc::clone(entry)));
        if let Some(number) = *number {
            self.record.put(index, target, number);
            self.spans.insert(index, source, target);
        }
    }

    /// Replaces an attestation on one validator's record by a larger one with the same data, if
    /// there is room for it.
    fn enlarge(
        &mut self,
        index: ValidatorIndex,
        entry: &Arc<Entry<C>>,
        held: Number,
        number: &mut Option<Number>,
    ) {
        if number.is_none() && self.bytes() + entry.bytes() > self.limits.bytes {
            return;
        }
        *number = number.or_else(|| self.record.add(Arc::clone(entry)));
        if let Some(number) = *number {
            self.record.replace(index, entry.vote.target.epoch, (held, number));
        }
    }

    /// Returns the votes on record that contradict `vote`, and how: each that has the same target,
    /// and one for each direction of a surround.
    fn contradictions(
        &self,
        index: ValidatorIndex,
        vote: &Vote<C::Root>,
    ) -> Vec<(Relation, Arc<Entry<C>>)> {
        let (source, target) = (vote.source.epoch, vote.target.epoch);
        let double = self.record.cast(index, target);
        let mut found: Vec<_> =
            double.map(|(_, known)| (Relation::Double, Arc::clone(known))).collect();
        let within = |epoch| self.within(index, vote, epoch);
        let around = |epoch| self.around(index, vote, epoch);
        let minimum = self.spans.minimum_target(index, source).filter(|epoch| *epoch < target);
        let maximum = self.spans.maximum_target(index, source).filter(|epoch| *epoch > target);
        let (mut surrounded, mut surrounds) = (minimum.and_then(within), maximum.and_then(around));
        if source + 1 < self.start && self.record.has_source_before(self.start, source) {
            // Both sources lie before the window, where there are no spans (I2).
            surrounded = surrounded.or_else(|| (self.start..target).find_map(within));
            surrounds = surrounds.or_else(|| (target + 1..=self.newest).find_map(around));
        }
        found.extend(surrounded.map(|known| (Relation::Surrounded, known)));
        found.extend(surrounds.map(|known| (Relation::Surrounds, known)));
        found
    }

    /// Returns a vote of the validator for the target `epoch` that `vote` surrounds.
    fn within(
        &self,
        index: ValidatorIndex,
        vote: &Vote<C::Root>,
        epoch: Epoch,
    ) -> Option<Arc<Entry<C>>> {
        let mut cast = self.record.cast(index, epoch);
        cast.find(|(_, known)| surrounds(vote, &known.vote)).map(|(_, known)| Arc::clone(known))
    }

    /// Returns a vote of the validator for the target `epoch` that surrounds `vote`.
    fn around(
        &self,
        index: ValidatorIndex,
        vote: &Vote<C::Root>,
        epoch: Epoch,
    ) -> Option<Arc<Entry<C>>> {
        let mut cast = self.record.cast(index, epoch);
        cast.find(|(_, known)| surrounds(&known.vote, vote)).map(|(_, known)| Arc::clone(known))
    }

    fn on_proposal(
        &mut self,
        consensus: &C,
        (slot, proposer): (Slot, ValidatorIndex),
        root: C::Root,
        header: C::SignedHeader,
    ) -> Vec<Effect<C>> {
        let epoch = slot / self.limits.slots_per_epoch;
        self.reach(epoch);
        let known = self.proposals.get(&(slot, proposer)).map_or(&[][..], Vec::as_slice);
        if epoch < self.start || known.iter().any(|(known, _)| *known == root) {
            return Vec::new();
        }
        if known.len() >= self.limits.items_per_key {
            self.not_recorded = self.not_recorded.saturating_add(1);
            return Vec::new();
        }
        let offence = |(first, known): &(C::Root, C::SignedHeader)| Effect::DoubleProposal {
            proposer,
            slot,
            first: *first,
            second: root,
            slashing: consensus.proposer_slashing(known, &header),
        };
        let offences = known.iter().map(offence).collect();
        if self.make_room(epoch, |_| Self::proposal_bytes()) {
            self.proposals.entry((slot, proposer)).or_default().push((root, header));
            self.proposed += 1;
        } else {
            self.not_recorded = self.not_recorded.saturating_add(1);
        }
        offences
    }
}

impl<C: Consensus> Machine<C> for SlashingDetector<C> {
    type Event = Event<C>;
    type Effect = Effect<C>;

    /// Takes one event and returns the offences that it completes. An attestation costs, for each
    /// validator that cast it, a few look-ups and one visit per epoch whose spans change: one or
    /// two if the validator votes from each epoch to the next, and never more than twice the
    /// window.
    fn handle(&mut self, consensus: &C, event: Event<C>) -> Vec<Effect<C>> {
        match event {
            Event::Attestation { indexed, attestation } => {
                self.on_attestation(consensus, indexed, attestation)
            }
            Event::Proposal { slot, proposer, root, header } => {
                self.on_proposal(consensus, (slot, proposer), root, header)
            }
            Event::Finalized { epoch } => {
                self.reach(epoch);
                Vec::new()
            }
        }
    }
}

impl<C: Consensus> SlashingDetector<C> {
    /// Returns all that decides what the detector will say.
    #[expect(clippy::type_complexity, reason = "a list of the fields, for comparison alone")]
    fn identity(
        &self,
    ) -> (Limits, [u64; 4], &Record<C>, &BTreeMap<(Slot, ValidatorIndex), Proposals<C>>) {
        let numbers = [self.start, self.newest, self.not_recorded, self.shortened];
        (self.limits, numbers, &self.record, &self.proposals)
    }
}

impl<C: Consensus> PartialEq for SlashingDetector<C> {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl<C: Consensus> Eq for SlashingDetector<C> {}

impl<C: Consensus> Hash for SlashingDetector<C> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// Returns whether two votes have the same `AttestationData`. A validator sits in one committee of
/// an epoch, so the committee's index follows from the slot.
fn same_data<R: Eq>(a: &Vote<R>, b: &Vote<R>) -> bool {
    (a.slot, &a.beacon_block_root, &a.source, &a.target)
        == (b.slot, &b.beacon_block_root, &b.source, &b.target)
}

/// Returns whether the first vote surrounds the second.
fn surrounds<R>(outer: &Vote<R>, inner: &Vote<R>) -> bool {
    outer.source.epoch < inner.source.epoch && inner.target.epoch < outer.target.epoch
}

/// Returns the offence of one group of validators with the same contradiction. The relation is that
/// of the vote on record to the one that came.
fn offence<C: Consensus>(
    consensus: &C,
    relation: Relation,
    known: &Entry<C>,
    came: &Entry<C>,
    validators: Vec<ValidatorIndex>,
) -> Effect<C> {
    // The specification's check wants the surrounding vote first.
    let (first, second) =
        if relation == Relation::Surrounded { (came, known) } else { (known, came) };
    let indices = [first.indices.unpack(), second.indices.unpack()];
    let slashing = consensus
        .attester_slashing((&first.attestation, &indices[0]), (&second.attestation, &indices[1]));
    let (first, second) = (first.vote.clone(), second.vote.clone());
    match relation {
        Relation::Double => Effect::DoubleVote { validators, first, second, slashing },
        Relation::Surrounds | Relation::Surrounded => {
            let (surrounding, surrounded) = (first, second);
            Effect::SurroundVote { validators, surrounding, surrounded, slashing }
        }
    }
}
