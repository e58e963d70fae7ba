//! What is kept and what goes; the contract is in the module above.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use crate::attestation_pool::cover::{Candidates, Data};
use crate::attestation_pool::{Bits, PoolAttestation, Seat};
use crate::consensus::Slot;
use crate::machine::Machine;

/// Bounds of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Slots after its own in which an attestation may be included (`SLOTS_PER_EPOCH`).
    pub age: u64,
    /// Aggregates of one data, at least 1.
    pub aggregates: usize,
    /// Attestations of one slot; what has been summed up counts by its parts.
    pub per_slot: usize,
    /// Attestations of all slots.
    pub items: usize,
    /// Memory of the attestations, in bytes.
    pub bytes: usize,
    /// Blocks whose attestations are remembered. Without one, its votes may be packed again.
    pub blocks: usize,
}

impl Limits {
    /// Returns limits for a node: 16 aggregates of one data, 2^15 attestations of a slot (500,000
    /// validators have 15,625 votes a slot), 2^18 in all, 128 MiB, and four blocks a slot.
    #[must_use]
    pub const fn new(slots_per_epoch: u64) -> Self {
        Self {
            age: slots_per_epoch,
            aggregates: 16,
            per_slot: 1 << 15,
            items: 1 << 18,
            bytes: 128 << 20,
            blocks: 4 * slots_per_epoch as usize,
        }
    }
}

/// What happens to the pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<R, A> {
    /// An attestation was verified.
    Attestation(A),
    /// A block that was verified includes attestations.
    Block {
        /// Root of the block.
        root: R,
        /// Its slot.
        slot: Slot,
        /// What it includes.
        attestations: Vec<A>,
    },
    /// The clock.
    Tick {
        /// The current slot.
        slot: Slot,
    },
}

/// Why an attestation is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No block may include it any more.
    TooOld,
    /// Nobody attested.
    Empty,
    /// All its members are in an aggregate of the same data.
    Known,
    /// Its committee has another size than that of equal data.
    Mismatch,
    /// Its slot has as many attestations as may be.
    SlotFull,
    /// The pool is full of attestations that are no older.
    PoolFull,
}

/// What the pool has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// An attestation is not kept.
    Refused(Refusal),
    /// Attestations gave way to others.
    Evicted {
        /// Their slot.
        slot: Slot,
        /// How many.
        attestations: usize,
    },
}

/// Attestations of equal data that can be summed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Aggregate<A> {
    pub(super) bits: Bits,
    pub(super) parts: Vec<A>,
}

impl<A: PoolAttestation> Aggregate<A> {
    fn bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(part_bytes).sum();
        parts + size_of::<Self>() + self.bits.heap_bytes()
    }
}

fn part_bytes<A: PoolAttestation>(part: &A) -> usize {
    size_of::<A>() + part.bytes()
}

/// Returns a bound on the memory that an attestation adds: it may be an aggregate of its own, of
/// new data.
fn cost<A: PoolAttestation>(attestation: &A, bits: &Bits) -> usize {
    let aggregate = size_of::<Aggregate<A>>() + bits.heap_bytes();
    part_bytes(attestation) + aggregate + data_bytes::<A>()
}

/// Returns about the memory of data without its aggregates.
fn data_bytes<A: PoolAttestation>() -> usize {
    /// The share of the map's nodes, and the list.
    const MEMBER_BYTES: usize = 96;
    size_of::<A::DataRoot>() + MEMBER_BYTES
}

/// Attestations of one slot, by data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OfSlot<A: PoolAttestation> {
    data: BTreeMap<A::DataRoot, Vec<Aggregate<A>>>,
    parts: usize,
}

/// What a block includes: who of which committee.
type Included = Vec<(Seat, Bits)>;

/// The pool; see the module's text. `R` is a block root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttestationPool<R, A: PoolAttestation> {
    limits: Limits,
    now: Slot,
    slots: BTreeMap<Slot, OfSlot<A>>,
    items: usize,
    bytes: usize,
    pub(super) blocks: BTreeMap<(Slot, R), Included>,
}

impl<R: Copy + Ord + Hash + Debug, A: PoolAttestation> AttestationPool<R, A> {
    /// Returns an empty pool.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: Limits { aggregates: limits.aggregates.max(1), ..limits },
            now: 0,
            slots: BTreeMap::new(),
            items: 0,
            bytes: 0,
            blocks: BTreeMap::new(),
        }
    }

    /// Returns the number of attestations that are held.
    pub fn len(&self) -> usize {
        self.items
    }

    /// Returns whether no attestation is held.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Returns the memory of the attestations, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns what a block can be packed from that extends `chain`: the slots and roots of its
    /// ancestors, at least of the last [`Limits::age`] slots, in any order. It costs a pointer or
    /// two for each attestation that is held.
    pub fn candidates(&self, chain: impl IntoIterator<Item = (Slot, R)>) -> Candidates<A> {
        let mut covered = BTreeMap::<Seat, Bits>::new();
        for (seat, bits) in chain.into_iter().filter_map(|key| self.blocks.get(&key)).flatten() {
            covered.entry(*seat).or_insert_with(|| Bits::new(bits.size())).add(bits);
        }
        let data = self.slots.iter().flat_map(|(slot, of_slot)| {
            of_slot.data.values().filter_map(|aggregates| {
                let committee = aggregates.first()?.parts.first()?.committee();
                Some(Data { seat: (*slot, committee), aggregates: aggregates.clone() })
            })
        });
        Candidates { data: data.collect(), covered }
    }

    /// Returns the aggregates of one data alone, and no votes that a chain includes. It costs a
    /// pointer or two for each of their parts.
    pub fn of_data(&self, slot: Slot, root: A::DataRoot) -> Candidates<A> {
        let aggregates = self.slots.get(&slot).and_then(|of_slot| of_slot.data.get(&root));
        let data = aggregates.and_then(|aggregates| {
            let committee = aggregates.first()?.parts.first()?.committee();
            Some(Data { seat: (slot, committee), aggregates: aggregates.clone() })
        });
        Candidates { data: data.into_iter().collect(), covered: BTreeMap::new() }
    }

    /// Returns the first slot whose attestations may still be included (I5).
    fn oldest(&self) -> Slot {
        self.now.saturating_sub(self.limits.age)
    }

    fn tick(&mut self, slot: Slot) {
        if slot < self.oldest() {
            self.step_back(slot);
        }
        self.now = self.now.max(slot);
        let oldest = self.oldest();
        while let Some((&slot, _)) = self.slots.first_key_value() {
            if slot >= oldest {
                break;
            }
            self.evict_from(slot);
        }
        while self.blocks.first_key_value().is_some_and(|((slot, _), _)| *slot < oldest) {
            self.blocks.pop_first();
        }
    }

    /// Follows a clock that was wrong before, and drops what lies ahead of the right one (I5).
    fn step_back(&mut self, slot: Slot) {
        self.now = slot;
        let ahead = slot.saturating_add(2);
        while let Some((&last, _)) = self.slots.range(ahead..).next_back() {
            self.evict_from(last);
        }
        self.blocks.retain(|(of, _), _| *of < ahead);
    }

    /// Drops the attestations of the first data of a slot; returns how many there were.
    fn evict_from(&mut self, slot: Slot) -> usize {
        let Some(of_slot) = self.slots.get_mut(&slot) else { return 0 };
        let gone = of_slot.data.pop_first();
        let aggregates = gone.map(|(_, aggregates)| aggregates).unwrap_or_default();
        let parts = aggregates.iter().map(|aggregate| aggregate.parts.len()).sum();
        let bytes: usize = aggregates.iter().map(Aggregate::bytes).sum();
        of_slot.parts -= parts;
        if of_slot.data.is_empty() {
            self.slots.remove(&slot);
        }
        self.items -= parts;
        self.bytes -= if parts > 0 { bytes + data_bytes::<A>() } else { 0 };
        parts
    }

    fn on_attestation(&mut self, attestation: A) -> Vec<Effect> {
        let bits = attestation.bits();
        match self.admit(&attestation, &bits) {
            Ok(mut effects) => {
                effects.extend(self.insert(attestation, bits));
                effects
            }
            Err(refusal) => vec![Effect::Refused(refusal)],
        }
    }

    /// Checks that an attestation is to be kept, and makes room for it. Nothing has changed if it
    /// is not.
    fn admit(&mut self, attestation: &A, bits: &Bits) -> Result<Vec<Effect>, Refusal> {
        let slot = attestation.slot();
        if slot < self.oldest() {
            return Err(Refusal::TooOld);
        }
        if bits.count() == 0 {
            return Err(Refusal::Empty);
        }
        let of_slot = self.slots.get(&slot);
        let data = of_slot.and_then(|of_slot| of_slot.data.get(&attestation.data_root()));
        let aggregates = data.map_or(&[][..], Vec::as_slice);
        if aggregates.iter().any(|aggregate| aggregate.bits.size() != bits.size()) {
            return Err(Refusal::Mismatch);
        }
        if aggregates.iter().any(|aggregate| bits.is_subset(&aggregate.bits)) {
            return Err(Refusal::Known);
        }
        let within = aggregates.iter().filter(|aggregate| aggregate.bits.is_subset(bits));
        let (parts, bytes) = within.fold((0, 0), |(parts, bytes), aggregate| {
            (parts + aggregate.parts.len(), bytes + aggregate.bytes())
        });
        if of_slot.map_or(0, |of_slot| of_slot.parts) - parts >= self.limits.per_slot {
            return Err(Refusal::SlotFull);
        }
        let cost = cost(attestation, bits);
        // It must fit even if all that is older goes.
        let (mut items_left, mut bytes_left) = (self.items - parts + 1, self.bytes - bytes + cost);
        let mut evictions = Vec::new();
        for (old, of_slot) in self.slots.range(..slot) {
            for aggregates in of_slot.data.values() {
                if items_left <= self.limits.items && bytes_left <= self.limits.bytes {
                    break;
                }
                let gone: usize = aggregates.iter().map(|aggregate| aggregate.parts.len()).sum();
                let freed: usize = aggregates.iter().map(Aggregate::bytes).sum();
                items_left -= gone;
                bytes_left -= freed + data_bytes::<A>();
                evictions.push(*old);
            }
        }
        if items_left > self.limits.items || bytes_left > self.limits.bytes {
            return Err(Refusal::PoolFull);
        }
        let evict = |slot| Effect::Evicted { slot, attestations: self.evict_from(slot) };
        Ok(evictions.into_iter().map(evict).collect())
    }

    /// Adds an attestation that is within no aggregate (I1, I2).
    fn insert(&mut self, attestation: A, bits: Bits) -> Option<Effect> {
        let (slot, root) = (attestation.slot(), attestation.data_root());
        let empty = || OfSlot { data: BTreeMap::new(), parts: 0 };
        let of_slot = self.slots.entry(slot).or_insert_with(empty);
        let aggregates = of_slot.data.entry(root).or_insert_with(|| {
            self.bytes += data_bytes::<A>();
            Vec::new()
        });
        let parts = |all: &[Aggregate<A>]| all.iter().map(|one| one.parts.len()).sum::<usize>();
        let bytes = |all: &[Aggregate<A>]| all.iter().map(Aggregate::bytes).sum::<usize>();
        let before = (parts(aggregates), bytes(aggregates));
        aggregates.retain(|aggregate| !aggregate.bits.is_subset(&bits));
        add(aggregates, attestation, bits);
        let mut evicted = None;
        if aggregates.len() > self.limits.aggregates {
            let smallest =
                (0..aggregates.len()).rev().min_by_key(|at| aggregates[*at].bits.count());
            let gone = smallest.map(|at| aggregates.remove(at).parts.len());
            evicted = gone.map(|attestations| Effect::Evicted { slot, attestations });
        }
        let after = (parts(aggregates), bytes(aggregates));
        of_slot.parts = of_slot.parts - before.0 + after.0;
        self.items = self.items - before.0 + after.0;
        self.bytes = self.bytes - before.1 + after.1;
        evicted
    }

    fn on_block(&mut self, root: R, slot: Slot, attestations: &[A]) {
        if attestations.is_empty() || slot < self.oldest() {
            return;
        }
        let seat = |attestation: &A| (attestation.slot(), attestation.committee());
        let included = attestations.iter().map(|one| (seat(one), one.bits())).collect();
        self.blocks.insert((slot, root), included);
        while self.blocks.len() > self.limits.blocks {
            self.blocks.pop_first();
        }
    }
}

/// Adds an attestation to the largest aggregate that has none of its members, or as one of its own.
/// What is within the sum then goes.
fn add<A: PoolAttestation>(aggregates: &mut Vec<Aggregate<A>>, attestation: A, bits: Bits) {
    let disjoint = (0..aggregates.len()).filter(|at| aggregates[*at].bits.is_disjoint(&bits));
    // Of equal ones the oldest.
    let Some(largest) = disjoint.rev().max_by_key(|at| aggregates[*at].bits.count()) else {
        aggregates.push(Aggregate { bits, parts: vec![attestation] });
        return;
    };
    let sum = &mut aggregates[largest];
    sum.bits.add(&bits);
    sum.parts.push(attestation);
    let sum = sum.bits.clone();
    let mut at = 0;
    aggregates.retain(|aggregate| {
        at += 1;
        at - 1 == largest || !aggregate.bits.is_subset(&sum)
    });
}

impl<R: Copy + Ord + Hash + Debug, A: PoolAttestation> Machine for AttestationPool<R, A> {
    type Event = Event<R, A>;
    type Effect = Effect;

    /// Takes one event. An attestation costs a pass over the aggregates of equal data, and over the
    /// data that give way.
    fn handle(&mut self, (): &(), event: Event<R, A>) -> Vec<Effect> {
        match event {
            Event::Attestation(attestation) => self.on_attestation(attestation),
            Event::Block { root, slot, attestations } => {
                self.on_block(root, slot, &attestations);
                Vec::new()
            }
            Event::Tick { slot } => {
                self.tick(slot);
                Vec::new()
            }
        }
    }
}
