//! Tests of the pool: each rule by itself, random histories against the bounds, and the choice
//! against all choices.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use quickcheck::quickcheck;

use super::{AttestationPool, Bits, Candidates, Effect, Event, Limits, PoolAttestation, Refusal};
use crate::consensus::{Gwei, Slot};
use crate::machine::Machine;

/// Members of each committee.
const SIZE: usize = 8;

/// An attestation whose signature is the list of the members' signatures that went into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Signed {
    slot: Slot,
    committee: u64,
    data: u8,
    size: usize,
    members: Vec<usize>,
}

impl PoolAttestation for Signed {
    type DataRoot = u8;

    fn data_root(&self) -> u8 {
        self.data
    }

    fn slot(&self) -> Slot {
        self.slot
    }

    fn committee(&self) -> u64 {
        self.committee
    }

    fn bits(&self) -> Bits {
        (0..self.size).map(|place| self.members.contains(&place)).collect()
    }

    fn bytes(&self) -> usize {
        100
    }

    fn aggregate(parts: &[Self]) -> Option<Self> {
        let mut sum = parts.first()?.clone();
        sum.members = parts.iter().flat_map(|part| part.members.clone()).collect();
        sum.members.sort_unstable();
        Some(sum)
    }
}

type Pool = AttestationPool<u8, Signed>;

fn by(members: &[usize]) -> Signed {
    Signed { slot: 10, committee: 0, data: 1, size: SIZE, members: members.to_vec() }
}

fn pool(limits: Limits) -> Pool {
    let mut pool = Pool::new(limits);
    pool.handle(&(), Event::Tick { slot: 10 });
    pool
}

/// Inserts attestations of which none is refused and for which none gives way.
fn holding(limits: Limits, attestations: impl IntoIterator<Item = Signed>) -> Pool {
    let mut pool = pool(limits);
    for attestation in attestations {
        assert_eq!(insert(&mut pool, attestation), []);
    }
    pool
}

fn insert(pool: &mut Pool, attestation: Signed) -> Vec<Effect> {
    pool.handle(&(), Event::Attestation(attestation))
}

fn refused(refusal: Refusal) -> Vec<Effect> {
    vec![Effect::Refused(refusal)]
}

fn equal(_: &Signed) -> Option<Vec<Gwei>> {
    Some(vec![1; SIZE])
}

/// What is packed of the pool if nothing is included and all votes are worth the same.
fn packed(pool: &Pool) -> Vec<Vec<usize>> {
    let packed = pool.candidates([]).pack(equal, usize::MAX);
    packed.into_iter().map(|attestation| attestation.members).collect()
}

fn block(root: u8, slot: Slot, attestations: Vec<Signed>) -> Event<u8, Signed> {
    Event::Block { root, slot, attestations }
}

const LIMITS: Limits = Limits::new(8);

#[test]
fn an_aggregator_gets_the_largest_sum_of_its_own_data_whatever_blocks_include() {
    // Overlapping aggregates of one data, larger ones of other data and of another slot, and a
    // block that includes all of it.
    let other = |slot, data| Signed { slot, data, ..by(&[0, 1, 2, 3, 4]) };
    let mut pool = holding(LIMITS, [by(&[0, 1]), by(&[1, 2]), by(&[3]), by(&[1, 2, 4, 5])]);
    for attestation in [other(10, 2), other(11, 1)] {
        assert_eq!(insert(&mut pool, attestation), []);
    }
    pool.handle(&(), block(7, 11, vec![by(&[0, 1, 3])]));
    let largest = |slot, data| pool.of_data(slot, data).largest().map(|sum| sum.members);
    assert_eq!(largest(10, 1), Some(vec![1, 2, 4, 5]));
    assert_eq!(largest(10, 2), Some(vec![0, 1, 2, 3, 4]));
    assert_eq!(largest(10, 3), None);
    assert_eq!(largest(12, 1), None);
}

#[test]
fn disjoint_attestations_are_summed_and_overlapping_ones_are_not() {
    // Three disjoint ones, and one that shares a member with each of two.
    let mut pool = holding(LIMITS, [by(&[0]), by(&[1, 2]), by(&[3])]);
    assert_eq!((pool.len(), packed(&pool)), (3, vec![vec![0, 1, 2, 3]]));
    assert_eq!(insert(&mut pool, by(&[3, 4])), []);
    assert_eq!(packed(&pool), [vec![0, 1, 2, 3], vec![3, 4]]);
}

#[test]
fn equal_members_of_different_data_are_not_summed() {
    // Two data of one committee.
    let other = Signed { data: 2, ..by(&[1]) };
    let pool = holding(LIMITS, [by(&[0]), other]);
    assert_eq!(packed(&pool), [[0], [1]]);
}

#[test]
fn what_adds_no_member_is_refused() {
    // A copy, a part of a sum, and an attestation by nobody.
    let mut pool = holding(LIMITS, [by(&[0]), by(&[1])]);
    assert_eq!(insert(&mut pool, by(&[1])), refused(Refusal::Known));
    assert_eq!(insert(&mut pool, by(&[0, 1])), refused(Refusal::Known));
    assert_eq!(insert(&mut pool, by(&[])), refused(Refusal::Empty));
    let mut wider = by(&[5]);
    wider.size = SIZE + 1;
    assert_eq!(insert(&mut pool, wider), refused(Refusal::Mismatch));
    assert_eq!(pool.len(), 2);
}

#[test]
fn what_contains_others_takes_their_place() {
    // Two singles and an overlapping pair are within one of four members.
    let mut pool = holding(LIMITS, [by(&[0]), by(&[1]), by(&[1, 2])]);
    assert_eq!(insert(&mut pool, by(&[0, 1, 2, 3])), []);
    assert_eq!((pool.len(), packed(&pool)), (1, vec![vec![0, 1, 2, 3]]));
}

#[test]
fn what_is_within_a_sum_goes() {
    // {2, 3} joins {0, 1}, and {1, 2} is within that.
    let pool = holding(LIMITS, [by(&[0, 1]), by(&[1, 2]), by(&[2, 3])]);
    assert_eq!((pool.len(), packed(&pool)), (2, vec![vec![0, 1, 2, 3]]));
}

#[test]
fn a_part_joins_the_largest_sum_that_has_none_of_its_members() {
    // {6} can join two members or three; {0} only the three.
    let mut pool = holding(LIMITS, [by(&[0, 1]), by(&[1, 2, 3]), by(&[6])]);
    assert_eq!(packed(&pool), [vec![1, 2, 3, 6], vec![0, 1]]);
    assert_eq!(insert(&mut pool, by(&[6, 7])), []);
    assert_eq!(packed(&pool), [[0, 1, 6, 7], [1, 2, 3, 6]]);
}

#[test]
fn beyond_the_bound_the_smallest_sum_gives_way() {
    // Room for two sums: the smaller one goes, whether or not it is the new one.
    let limits = Limits { aggregates: 2, ..LIMITS };
    let mut pool = holding(limits, [by(&[0, 1, 2]), by(&[0, 3])]);
    let evicted = vec![Effect::Evicted { slot: 10, attestations: 1 }];
    assert_eq!(insert(&mut pool, by(&[0, 3, 4, 1])), []);
    assert_eq!(insert(&mut pool, by(&[0, 4, 5, 2])), evicted);
    assert_eq!(insert(&mut pool, by(&[0, 6])), evicted);
    assert_eq!(insert(&mut pool, by(&[0, 5, 6, 7])), evicted, "of equal ones the newest");
    assert_eq!(packed(&pool), [vec![0, 1, 3, 4], vec![0, 2, 4, 5]]);
    assert_eq!(pool.len(), 2);
}

#[test]
fn one_slot_cannot_fill_the_pool() {
    // Room for two of a slot: a third is refused, one that takes the place of both is not.
    let limits = Limits { per_slot: 2, ..LIMITS };
    let mut pool = holding(limits, [by(&[0]), by(&[1])]);
    assert_eq!(insert(&mut pool, by(&[2])), refused(Refusal::SlotFull));
    assert_eq!(insert(&mut pool, Signed { slot: 9, ..by(&[2]) }), []);
    assert_eq!(insert(&mut pool, by(&[0, 1, 2])), []);
    assert_eq!(pool.len(), 2);
}

#[test]
fn the_oldest_slot_gives_way_and_never_a_newer_one() {
    // Room for three in count, then in bytes: slot 8 goes, data by data, then slot 9; what is no
    // newer than the rest is refused.
    let one = pool_bytes();
    for limits in [Limits { items: 3, ..LIMITS }, Limits { bytes: 3 * one, ..LIMITS }] {
        let of = |slot, data| Signed { slot, data, ..by(&[0]) };
        let mut pool = holding(limits, [of(8, 1), of(8, 2), of(9, 1)]);
        assert_eq!(insert(&mut pool, of(8, 3)), refused(Refusal::PoolFull));
        let evicted = |slot| vec![Effect::Evicted { slot, attestations: 1 }];
        assert_eq!(insert(&mut pool, of(10, 1)), evicted(8));
        assert_eq!(insert(&mut pool, of(10, 2)), evicted(8));
        assert_eq!(insert(&mut pool, of(10, 3)), evicted(9));
        assert_eq!(insert(&mut pool, of(10, 4)), refused(Refusal::PoolFull));
        assert_eq!((pool.len(), pool.bytes()), (3, 3 * one));
    }
}

#[test]
fn as_much_goes_as_a_large_attestation_needs() {
    // The pool is full of three attestations; one of a committee eighty times as large comes.
    let limits = Limits { bytes: 3 * pool_bytes(), ..LIMITS };
    let of = |slot, data| Signed { slot, data, ..by(&[0]) };
    let mut pool = holding(limits, [of(8, 1), of(8, 2), of(9, 1)]);
    let evicted = Effect::Evicted { slot: 8, attestations: 1 };
    let large = Signed { size: 80 * SIZE, ..of(10, 1) };
    assert_eq!(insert(&mut pool, large), [evicted, evicted]);
    assert!(pool.len() == 2 && pool.bytes() <= limits.bytes, "{}", pool.bytes());
}

#[test]
fn what_goes_makes_room_in_its_slot() {
    // Room for three, and for two of a slot. One of slot 8 goes; then two of slot 10 are within one.
    let limits = Limits { items: 3, per_slot: 2, ..LIMITS };
    let of = |slot, data| Signed { slot, data, ..by(&[0]) };
    let mut pool = holding(limits, [of(8, 1), of(8, 2), of(10, 1)]);
    let evicted = vec![Effect::Evicted { slot: 8, attestations: 1 }];
    assert_eq!(insert(&mut pool, Signed { data: 1, ..by(&[1]) }), evicted);
    assert_eq!(insert(&mut pool, by(&[0, 1, 2])), []);
    assert_eq!(insert(&mut pool, of(8, 3)), []);
    assert_eq!(pool.len(), 3);
}

#[test]
fn what_takes_the_place_of_others_needs_no_further_room() {
    // The pool is full of four attestations of one sum, in count and then in bytes: there would be
    // room for data and a sum, and not for an attestation.
    let singles = [0, 1, 2, 3].map(|member| by(&[member]));
    let part = size_of::<Signed>() + by(&[0]).bytes();
    let bytes = holding(LIMITS, singles.clone()).bytes() + pool_bytes() - part;
    for limits in [Limits { items: 4, ..LIMITS }, Limits { bytes, ..LIMITS }] {
        let mut pool = holding(limits, singles.clone());
        assert_eq!(insert(&mut pool, by(&[6])), refused(Refusal::PoolFull));
        assert_eq!(insert(&mut pool, by(&[0, 1, 2, 3, 4])), []);
        assert_eq!(pool.len(), 1);
    }
}

#[test]
fn memory_is_counted_by_part_by_sum_and_by_data() {
    // A second part of a sum; a second sum of the same data; the same of other data.
    let one = holding(LIMITS, [by(&[0])]);
    let part = size_of::<Signed>() + by(&[1]).bytes();
    assert_eq!(holding(LIMITS, [by(&[0]), by(&[1])]).bytes(), one.bytes() + part);
    let sum = holding(LIMITS, [by(&[0, 1]), by(&[1, 2])]).bytes() - one.bytes();
    assert!(sum > part, "the sum's bits, and their own memory");
    let data = holding(LIMITS, [by(&[0]), Signed { data: 2, ..by(&[0]) }]).bytes() - one.bytes();
    assert!(data > sum + 64, "{data} beside {sum}");
}

/// Returns the memory of one attestation of its own data.
fn pool_bytes() -> usize {
    holding(LIMITS, [by(&[0])]).bytes()
}

/// An attestation whose data have a root of the usual size.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Rooted(Signed);

impl PoolAttestation for Rooted {
    type DataRoot = [u8; 32];

    fn data_root(&self) -> [u8; 32] {
        [self.0.data; 32]
    }

    fn slot(&self) -> Slot {
        self.0.slot
    }

    fn committee(&self) -> u64 {
        self.0.committee
    }

    fn bits(&self) -> Bits {
        self.0.bits()
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn aggregate(parts: &[Self]) -> Option<Self> {
        parts.first().cloned()
    }
}

#[test]
fn data_cost_their_root_and_a_place_in_a_map_beside_their_attestations() {
    // One attestation each, with roots of a byte and of 32 bytes.
    let short = holding(LIMITS, [by(&[0])]).bytes();
    let mut long = AttestationPool::<u8, Rooted>::new(LIMITS);
    long.handle(&(), Event::Tick { slot: 10 });
    long.handle(&(), Event::Attestation(Rooted(by(&[0]))));
    assert_eq!(long.len(), 1);
    assert_eq!(long.bytes() - short, size_of::<[u8; 32]>() - size_of::<u8>());
}

#[test]
fn what_no_block_may_include_any_more_goes_and_is_not_taken() {
    // With an age of 8 slots, slot 2 is open in slot 10 and not in 11.
    let old = Signed { slot: 2, ..by(&[0]) };
    let mut pool = holding(LIMITS, [old.clone(), Signed { slot: 3, ..by(&[0]) }]);
    pool.handle(&(), Event::Tick { slot: 11 });
    assert_eq!((pool.len(), pool.is_empty()), (1, false));
    assert_eq!(insert(&mut pool, old.clone()), refused(Refusal::TooOld));
    pool.handle(&(), Event::Tick { slot: 4 });
    let again = insert(&mut pool, old);
    assert_eq!(again, refused(Refusal::TooOld), "a small step back opens nothing");
    pool.handle(&(), Event::Tick { slot: 100 });
    assert_eq!((pool.is_empty(), pool.bytes()), (true, 0));
}

#[test]
fn a_clock_that_was_far_ahead_is_followed_and_what_it_let_in_goes() {
    // With an age of 8 slots. The clock says 1,000 and then 12: an attestation and a block of slot
    // 999 go, and one of slot 11 is taken and packed until slot 20.
    let mut pool = holding(LIMITS, []);
    pool.handle(&(), Event::Tick { slot: 1000 });
    assert_eq!(insert(&mut pool, Signed { slot: 999, ..by(&[0]) }), []);
    pool.handle(&(), block(9, 999, vec![by(&[0])]));
    let vote = Signed { slot: 11, ..by(&[1]) };
    assert_eq!(insert(&mut pool, vote.clone()), refused(Refusal::TooOld));
    pool.handle(&(), Event::Tick { slot: 12 });
    assert_eq!((pool.is_empty(), pool.bytes()), (true, 0));
    assert_eq!(insert(&mut pool, vote), []);
    pool.handle(&(), Event::Tick { slot: 19 });
    assert_eq!(pool.len(), 1);
    pool.handle(&(), Event::Tick { slot: 20 });
    assert!(pool.is_empty());
}

#[test]
fn a_clock_that_is_put_right_keeps_what_blocks_up_to_the_next_slot_include() {
    // With an age of 8 slots. At slot 21 there are blocks of slots 13 to 15. The clock goes back to
    // slot 13, which is still open, and then to slot 12, which is not.
    let mut pool = Pool::new(LIMITS);
    pool.handle(&(), Event::Tick { slot: 21 });
    for slot in 13..=15 {
        pool.handle(&(), block(1, slot, vec![by(&[0])]));
    }
    let kept = |pool: &Pool| {
        let mut slots = (13..=15).filter(|slot| !pool.candidates([(*slot, 1)]).covered.is_empty());
        (slots.next(), slots.next_back())
    };
    for (slot, expected) in [(13, (Some(13), Some(15))), (12, (Some(13), None))] {
        pool.handle(&(), Event::Tick { slot });
        assert_eq!(kept(&pool), expected, "{slot}");
    }
}

#[test]
fn votes_that_the_chain_includes_count_nothing_and_those_of_another_branch_count() {
    // Block 1 includes 0 and 1, block 2 of the other branch 2 and 3; there are 0 to 3 and 4 to 6.
    let next = Signed { committee: 1, data: 2, ..by(&[4, 5, 6]) };
    let mut pool = holding(LIMITS, [by(&[0, 1, 2, 3]), next]);
    pool.handle(&(), block(1, 9, vec![by(&[0, 1])]));
    pool.handle(&(), block(2, 9, vec![by(&[2]), by(&[3])]));
    let first = |chain: &[(Slot, u8)]| {
        let packed = pool.candidates(chain.iter().copied()).pack(equal, usize::MAX);
        packed.into_iter().map(|attestation| attestation.members.len()).collect::<Vec<_>>()
    };
    assert_eq!(first(&[]), [4, 3]);
    assert_eq!(first(&[(9, 1)]), [3, 4], "two votes are left of the four");
    assert_eq!(first(&[(9, 2), (9, 1)]), [3], "none is left");
}

#[test]
fn data_of_which_the_chain_includes_every_vote_are_not_asked_for() {
    // Block 1 includes the first data's votes, in two parts; of the second it includes one of two.
    let next = Signed { committee: 1, data: 2, ..by(&[4, 5]) };
    let mut pool = holding(LIMITS, [by(&[0, 1, 2]), next]);
    let part = Signed { committee: 1, data: 2, ..by(&[4]) };
    pool.handle(&(), block(1, 9, vec![by(&[0, 1]), by(&[2]), part]));
    let asked = RefCell::new(Vec::new());
    let weights = |attestation: &Signed| {
        asked.borrow_mut().push(attestation.data);
        Some(vec![1; SIZE])
    };
    let packed = pool.candidates([(9, 1)]).pack(weights, usize::MAX);
    assert_eq!((packed.len(), asked.into_inner()), (1, vec![2]));
}

#[test]
fn the_attestations_of_old_blocks_and_of_too_many_are_forgotten() {
    // Room for two blocks; then the clock passes one of them.
    let mut pool =
        holding(Limits { blocks: 2, ..LIMITS }, [by(&[0]), Signed { slot: 9, ..by(&[0]) }]);
    for (root, slot) in [(1, 9), (2, 10), (3, 10)] {
        pool.handle(&(), block(root, slot, vec![by(&[0])]));
    }
    let left = |pool: &Pool, key| pool.candidates([key]).pack(equal, usize::MAX).len();
    assert_eq!([(9, 1), (10, 2), (10, 3)].map(|key| left(&pool, key)), [2, 1, 1]);
    pool.handle(&(), block(4, 9, vec![by(&[0])]));
    assert_eq!(left(&pool, (9, 4)), 2, "the oldest block gives way, also if it came last");
    pool.handle(&(), Event::Tick { slot: 19 });
    assert!(pool.blocks.is_empty());
    pool.handle(&(), block(1, 9, vec![by(&[0])]));
    pool.handle(&(), block(1, 19, vec![]));
    assert!(pool.blocks.is_empty(), "too old, and nothing to remember");
}

#[test]
fn what_is_not_eligible_is_not_packed_and_equal_data_are_asked_for_once() {
    // Data 2 is not eligible.
    let pool = holding(LIMITS, [by(&[0, 1]), by(&[1, 2]), Signed { data: 2, ..by(&[5, 6, 7]) }]);
    let asked = Cell::new(0);
    let weights = |attestation: &Signed| {
        asked.set(asked.get() + 1);
        (attestation.data == 1).then(|| vec![1; SIZE])
    };
    let packed = pool.candidates([]).pack(weights, usize::MAX);
    assert!(packed.iter().all(|attestation| attestation.data == 1));
    assert_eq!((packed.len(), asked.get()), (2, 2));
}

#[test]
fn a_member_counts_once_among_different_data_of_its_committee() {
    // 0 and 1 vote for two data of one committee: the second adds only 2.
    let other = Signed { data: 2, ..by(&[0, 1, 2]) };
    let third = Signed { committee: 1, data: 3, ..by(&[4, 5]) };
    let pool = holding(LIMITS, [by(&[0, 1, 3, 4]), other, third]);
    let order: Vec<u8> =
        pool.candidates([]).pack(equal, 3).iter().map(|attestation| attestation.data).collect();
    assert_eq!(order, [1, 3, 2]);
    // Of two data by the same members the second adds nothing.
    let pool = holding(LIMITS, [by(&[0, 1]), Signed { data: 2, ..by(&[0, 1]) }]);
    assert_eq!(packed(&pool), [[0, 1]]);
}

#[test]
fn the_heaviest_comes_first_and_ties_go_to_the_older_slot_and_the_lesser_root() {
    // Member 7 weighs as much as three others; what weighs nothing is left out.
    let of = |slot, data, members: &[usize]| Signed { slot, data, ..by(members) };
    let all = [of(10, 9, &[0, 1]), of(10, 4, &[0, 2]), of(9, 5, &[0, 1]), of(8, 6, &[7])];
    let pool = holding(LIMITS, all.into_iter().chain([of(7, 7, &[6])]));
    let weights = |_: &Signed| Some(vec![1, 1, 1, 1, 1, 1, 0, 3]);
    let roots = |max| {
        let packed = pool.candidates([]).pack(weights, max);
        packed.iter().map(|attestation| attestation.data).collect::<Vec<_>>()
    };
    assert_eq!(roots(usize::MAX), [6, 5, 4, 9]);
    assert_eq!(roots(2), [6, 5]);
    assert!(roots(0).is_empty());
}

/// An attestation from three random numbers: one of 4 slots, 2 committees and 2 data.
fn random((place, head, members): (u8, bool, u8)) -> Signed {
    let (slot, committee) = (u64::from(place % 4) + 7, u64::from(place / 4 % 2));
    let data = committee as u8 * 2 + u8::from(head);
    let members = (0..SIZE).filter(|bit| members >> bit & 1 == 1).collect();
    Signed { slot, committee, data, size: SIZE, members }
}

/// Returns whether the counts are those of what is held, no sum is within another of its data, and
/// nobody is in a sum twice.
fn is_sound(pool: &Pool, limits: &Limits) -> bool {
    let data = pool.candidates([]).data;
    let bits = |at: usize, of: usize| &data[at].aggregates[of].bits;
    let antichains = (0..data.len()).all(|at| {
        let len = data[at].aggregates.len();
        len <= limits.aggregates
            && (0..len).all(|a| (0..len).all(|b| a == b || !bits(at, a).is_subset(bits(at, b))))
    });
    let mut per_slot = BTreeMap::<Slot, usize>::new();
    let mut bytes = data.len() * (pool_bytes() - one_aggregate());
    for data in &data {
        for aggregate in &data.aggregates {
            let members: Vec<usize> =
                aggregate.parts.iter().flat_map(|part| part.members.clone()).collect();
            let distinct: BTreeSet<usize> = members.iter().copied().collect();
            if distinct.len() != members.len() || !aggregate.bits.iter().eq(distinct) {
                return false;
            }
            *per_slot.entry(data.seat.0).or_default() += aggregate.parts.len();
            bytes += one_aggregate() + (aggregate.parts.len() - 1) * one_part();
        }
    }
    let total: usize = per_slot.values().sum();
    antichains
        && (pool.len(), pool.bytes()) == (total, bytes)
        && total <= limits.items
        && bytes <= limits.bytes
        && per_slot.values().all(|parts| *parts <= limits.per_slot)
}

/// Returns the memory of a second part of a sum.
fn one_part() -> usize {
    holding(LIMITS, [by(&[0]), by(&[1])]).bytes() - pool_bytes()
}

/// Returns the memory of a second sum of equal data.
fn one_aggregate() -> usize {
    holding(LIMITS, [by(&[0, 1]), by(&[0, 2])]).bytes() - pool_bytes()
}

/// Returns what a choice covers, in weight; each member once.
fn worth(packed: &[Signed], weights: &[Gwei], covered: &BTreeMap<(Slot, u64), Bits>) -> Gwei {
    let members: BTreeSet<(Slot, u64, usize)> = packed
        .iter()
        .flat_map(|one| one.members.iter().map(|place| (one.slot, one.committee, *place)))
        .filter(|(slot, committee, place)| {
            let covered = covered.get(&(*slot, *committee));
            !covered.is_some_and(|bits| bits.iter().any(|bit| bit == *place))
        })
        .collect();
    members.iter().map(|(_, _, place)| weights[*place]).sum()
}

/// Returns all sums that can be chosen.
fn sums(candidates: &Candidates<Signed>) -> Vec<Signed> {
    let aggregates = candidates.data.iter().flat_map(|data| &data.aggregates);
    aggregates.map(|aggregate| Signed::aggregate(&aggregate.parts).expect("parts")).collect()
}

/// Returns the best that any choice of at most `max` of the first ten sums is worth.
fn best(sums: &[Signed], max: usize, worth: impl Fn(&[Signed]) -> Gwei) -> Gwei {
    (0u32..1 << sums.len())
        .filter(|choice| choice.count_ones() as usize <= max)
        .map(|choice| {
            let chosen = sums.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1);
            worth(&chosen.map(|(_, sum)| sum.clone()).collect::<Vec<_>>())
        })
        .max()
        .unwrap_or(0)
}

quickcheck! {
    /// Random attestations in a small pool whose clock moves: all bounds hold after every event.
    fn bounds_and_invariants_hold_under_random_inserts(items: Vec<(u8, bool, u8)>) -> bool {
        let bytes = 6 * pool_bytes();
        let limits = Limits { aggregates: 3, per_slot: 5, items: 8, bytes, ..LIMITS };
        let mut pool = pool(limits);
        items.into_iter().enumerate().all(|(at, item)| {
            insert(&mut pool, random(item));
            if at % 8 == 7 {
                let slot = 10 + at as u64 / 8;
                pool.handle(&(), Event::Tick { slot });
            }
            is_sound(&pool, &limits)
        })
    }

    /// Random candidates, inclusions and weights: the choice is eligible, worth at least 1 - 1/e of
    /// the best, and in each step what a search of all candidates finds.
    fn the_choice_is_greedy_and_near_the_best(
        items: Vec<(u8, bool, u8)>,
        included: Vec<(u8, bool, u8)>,
        weights: (u8, u8, u8, u8),
        max: u8
    ) -> bool {
        let mut pool = pool(Limits { aggregates: 3, ..LIMITS });
        for item in items.into_iter().take(14) {
            insert(&mut pool, random(item));
        }
        let included: Vec<_> = included.into_iter().take(2).map(random).collect();
        pool.handle(&(), block(1, 9, included));
        let candidates = pool.candidates([(9, 1)]);
        let (a, b, c, d) = weights;
        let weights: Vec<Gwei> = [a, b, c, d, 1, 1, 0, 2].map(Gwei::from).to_vec();
        let eligible = |one: &Signed| one.data != 3;
        let max = usize::from(max % 5);
        let packed =
            candidates.pack(|one| eligible(one).then(|| weights.clone()), max);
        let worth = |choice: &[Signed]| worth(choice, &weights, &candidates.covered);
        let sums: Vec<Signed> = sums(&candidates).into_iter().filter(eligible).take(12).collect();
        let all = sums.len() == self::sums(&candidates).into_iter().filter(eligible).count();
        let greedy = (0..packed.len()).all(|at| {
            let with = |next: &Signed| worth(&[&packed[..at], std::slice::from_ref(next)].concat());
            let most = sums.iter().map(with).max().unwrap_or(0);
            let taken = worth(&packed[..=at]);
            taken > worth(&packed[..at]) && taken >= most
        });
        let complete = packed.len() == max || sums.iter().all(|sum| {
            worth(&[&packed[..], std::slice::from_ref(sum)].concat()) == worth(&packed)
        });
        let near = !all || {
            let best = best(&sums, max, worth) as f64;
            worth(&packed) as f64 + 1e-6 >= (1.0 - (-1.0f64).exp()) * best
        };
        packed.len() <= max && packed.iter().all(eligible) && greedy && complete && near
    }
}
