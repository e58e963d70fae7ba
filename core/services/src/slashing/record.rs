//! The votes on record: for each target epoch and validator the attestations that it cast, and each
//! attestation once.
//!
//! - V1 A place of a validator in an epoch holds the number of an entry of that epoch, in 32 bits.
//!   A validator's further votes for the epoch, which are offences, are in a map beside it.
//! - V2 An entry goes when no place holds its number. So attestations that a larger one of the same
//!   data has replaced for all its validators cost nothing.
//! - V3 Two records are equal if the same validators cast the same attestations in the same order.
//!   The numbers are not compared.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::attestation_pool::PoolAttestation;
use crate::consensus::{Consensus, Epoch, ValidatorIndex, Vote};
use crate::slashing::indices::Indices;
use crate::slashing::spans::{PLACE_BYTES, VALIDATORS};

/// Memory of a chunk of places, in bytes.
const CHUNK_BYTES: usize = VALIDATORS as usize * size_of::<u32>();
/// About the memory of a member of a map, in bytes.
const MEMBER_BYTES: usize = 96;

/// An attestation on record: what it says, who cast it, and the attestation itself.
#[derive(Clone, Debug)]
pub(super) struct Entry<C: Consensus> {
    pub(super) vote: Vote<C::Root>,
    pub(super) indices: Indices,
    pub(super) attestation: C::Attestation,
}

impl<C: Consensus> Entry<C> {
    /// Returns the memory that the entry costs, in bytes. An `Arc` has two counts beside its value.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + 2 * size_of::<usize>()
            + size_of::<Numbered<C>>()
            + self.indices.heap_bytes()
            + self.attestation.bytes()
    }
}

/// An entry and how many places hold its number.
#[derive(Clone, Debug)]
struct Numbered<C: Consensus> {
    entry: Option<Arc<Entry<C>>>,
    places: usize,
}

/// The number of an entry of an epoch, beginning with 1; 0 in a place stands for none.
pub(super) type Number = u32;

/// The votes for one target epoch.
#[derive(Clone, Debug)]
struct Votes<C: Consensus> {
    places: Vec<Option<Box<[Number]>>>,
    further: BTreeMap<ValidatorIndex, Vec<Number>>,
    entries: Vec<Numbered<C>>,
    free: Vec<Number>,
    bytes: usize,
}

impl<C: Consensus> Votes<C> {
    fn new() -> Self {
        let (places, entries, free) = (Vec::new(), Vec::new(), Vec::new());
        Self { places, further: BTreeMap::new(), entries, free, bytes: 0 }
    }

    fn place(&self, validator: ValidatorIndex) -> Number {
        let chunk = self.places.get((validator / VALIDATORS) as usize);
        let chunk = chunk.and_then(Option::as_ref);
        chunk.map_or(0, |chunk| chunk[(validator % VALIDATORS) as usize])
    }

    /// Returns the validator's place, which is in one of `groups`. Makes it if there is none.
    fn place_mut(&mut self, validator: ValidatorIndex, groups: usize) -> &mut Number {
        let group = (validator / VALIDATORS) as usize;
        if group >= self.places.len() {
            let more = groups - self.places.len();
            self.places.reserve_exact(more);
            self.places.resize(groups, None);
            self.bytes += more * PLACE_BYTES;
        }
        let chunk = self.places[group].get_or_insert_with(|| {
            self.bytes += CHUNK_BYTES;
            vec![0; VALIDATORS as usize].into_boxed_slice()
        });
        &mut chunk[(validator % VALIDATORS) as usize]
    }

    fn entry(&self, number: Number) -> Option<&Arc<Entry<C>>> {
        self.entries.get((number as usize).checked_sub(1)?)?.entry.as_ref()
    }

    /// Returns the numbers of the validator's votes, in the order in which they came.
    fn of(&self, validator: ValidatorIndex) -> impl Iterator<Item = Number> {
        let first = Some(self.place(validator)).filter(|number| *number > 0);
        let further = first.and_then(|_| self.further.get(&validator));
        first.into_iter().chain(further.into_iter().flatten().copied())
    }

    /// Says that one more place holds a number.
    fn hold(&mut self, number: Number) {
        self.entries[number as usize - 1].places += 1;
    }

    /// Says that one place fewer holds a number. Returns the entry if that was the last one (V2).
    fn release(&mut self, number: Number) -> Option<Arc<Entry<C>>> {
        let numbered = &mut self.entries[number as usize - 1];
        numbered.places -= 1;
        if numbered.places > 0 {
            return None;
        }
        self.free.push(number);
        let entry = numbered.entry.take();
        self.bytes -= entry.as_ref().map_or(0, |entry| entry.bytes());
        entry
    }

    fn add(&mut self, entry: Arc<Entry<C>>) -> Option<Number> {
        let bytes = entry.bytes();
        let numbered = Numbered { entry: Some(entry), places: 0 };
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize - 1] = numbered;
                number
            }
            None => {
                let number = Number::try_from(self.entries.len() + 1).ok()?;
                self.entries.push(numbered);
                number
            }
        };
        self.bytes += bytes;
        Some(number)
    }

    fn put(&mut self, validator: ValidatorIndex, number: Number, groups: usize) {
        self.hold(number);
        let place = self.place_mut(validator, groups);
        if *place == 0 {
            *place = number;
        } else {
            self.bytes += MEMBER_BYTES;
            self.further.entry(validator).or_default().push(number);
        }
    }

    /// Returns the old entry if no place holds it any more.
    fn replace(
        &mut self,
        validator: ValidatorIndex,
        (old, new): (Number, Number),
    ) -> Option<Arc<Entry<C>>> {
        let place = if self.place(validator) == old {
            self.place_mut(validator, self.places.len())
        } else {
            self.further.get_mut(&validator)?.iter_mut().find(|number| **number == old)?
        };
        *place = new;
        self.hold(new);
        self.release(old)
    }
}

/// The votes on record, by target epoch; see the module's text.
#[derive(Clone, Debug)]
pub(super) struct Record<C: Consensus> {
    start: Epoch,
    epochs: VecDeque<Votes<C>>,
    /// Groups of validators that have come up.
    groups: usize,
    /// How many entries have each source.
    sources: BTreeMap<Epoch, usize>,
    bytes: usize,
}

impl<C: Consensus> Record<C> {
    pub(super) fn new() -> Self {
        let (epochs, sources) = (VecDeque::new(), BTreeMap::new());
        Self { start: 0, epochs, groups: 0, sources, bytes: 0 }
    }

    fn votes(&self, target: Epoch) -> Option<&Votes<C>> {
        self.epochs.get(usize::try_from(target.checked_sub(self.start)?).ok()?)
    }

    /// Changes the votes for a target epoch. `None` if that is not in the window.
    fn change<T>(&mut self, target: Epoch, change: impl FnOnce(&mut Votes<C>) -> T) -> Option<T> {
        let place = usize::try_from(target.checked_sub(self.start)?).ok()?;
        let votes = self.epochs.get_mut(place)?;
        let before = votes.bytes;
        let outcome = change(votes);
        self.bytes = self.bytes - before + votes.bytes;
        Some(outcome)
    }

    /// Returns the validator's votes for a target epoch, in the order in which they came.
    pub(super) fn cast(
        &self,
        validator: ValidatorIndex,
        target: Epoch,
    ) -> impl Iterator<Item = (Number, &Arc<Entry<C>>)> {
        let votes = self.votes(target);
        votes.into_iter().flat_map(move |votes| {
            votes.of(validator).filter_map(|number| Some((number, votes.entry(number)?)))
        })
    }

    /// Returns whether an entry has a source before `end` other than `source`.
    pub(super) fn has_source_before(&self, end: Epoch, source: Epoch) -> bool {
        self.sources.range(..end).any(|(known, _)| *known != source)
    }

    /// Adds an entry, which no place holds yet. `None` if its target is not in the window.
    pub(super) fn add(&mut self, entry: Arc<Entry<C>>) -> Option<Number> {
        let source = entry.vote.source.epoch;
        let number = self.change(entry.vote.target.epoch, |votes| votes.add(entry))??;
        *self.sources.entry(source).or_default() += 1;
        Some(number)
    }

    /// Puts an entry on the validator's record, after its other votes for the epoch.
    pub(super) fn put(&mut self, validator: ValidatorIndex, target: Epoch, number: Number) {
        self.groups = self.groups.max((validator / VALIDATORS) as usize + 1);
        let groups = self.groups;
        self.change(target, |votes| votes.put(validator, number, groups));
    }

    /// Replaces one of the validator's votes by another entry with the same data.
    pub(super) fn replace(
        &mut self,
        validator: ValidatorIndex,
        target: Epoch,
        (old, new): (Number, Number),
    ) {
        let gone = self.change(target, |votes| votes.replace(validator, (old, new))).flatten();
        gone.into_iter().for_each(|entry| self.forget_source(entry.vote.source.epoch));
    }

    fn forget_source(&mut self, source: Epoch) {
        if let Some(entries) = self.sources.get_mut(&source) {
            *entries -= 1;
            if *entries == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// Moves the window forward: epochs before `start` are forgotten, those up to `newest` have
    /// room. It costs one step per epoch of either.
    pub(super) fn span(&mut self, start: Epoch, newest: Epoch) {
        while self.start < start {
            let Some(votes) = self.epochs.pop_front() else { break };
            self.start += 1;
            self.bytes -= votes.bytes;
            for entry in votes.entries.iter().filter_map(|numbered| numbered.entry.as_ref()) {
                self.forget_source(entry.vote.source.epoch);
            }
        }
        self.start = self.start.max(start);
        let epochs = newest.saturating_add(1).saturating_sub(self.start);
        for _ in self.epochs.len() as u64..epochs {
            self.epochs.push_back(Votes::new());
        }
    }

    /// Returns the memory of the record, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.epochs.len() * size_of::<Votes<C>>()
    }

    /// Returns a bound on the memory that one more vote of the validator can cost, without its
    /// entry, in bytes.
    pub(super) fn cost(&self, validator: ValidatorIndex) -> usize {
        let groups = self.groups.max((validator / VALIDATORS) as usize + 1);
        groups * PLACE_BYTES + CHUNK_BYTES + MEMBER_BYTES
    }

    /// Returns target epoch, validator and vote of everything on record, in that order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Epoch, ValidatorIndex, &Vote<C::Root>)> {
        (self.start..).zip(&self.epochs).flat_map(|(target, votes)| {
            let chunks = (0..).zip(&votes.places).filter(|(_, chunk)| chunk.is_some());
            let validators = chunks.flat_map(|(group, _): (u64, _)| {
                group * VALIDATORS..(group + 1).saturating_mul(VALIDATORS)
            });
            validators.flat_map(move |validator| {
                let entries = votes.of(validator).filter_map(|number| votes.entry(number));
                entries.map(move |entry| (target, validator, &entry.vote))
            })
        })
    }
}

impl<C: Consensus> PartialEq for Record<C> {
    fn eq(&self, other: &Self) -> bool {
        self.start == other.start
            && self.epochs.len() == other.epochs.len()
            && self.iter().eq(other.iter())
    }
}

impl<C: Consensus> Eq for Record<C> {}

impl<C: Consensus> Hash for Record<C> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.start, self.epochs.len()).hash(state);
        self.iter().for_each(|on_record| on_record.hash(state));
    }
}
