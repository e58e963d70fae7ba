//! Tests of the detector over the toy protocol: each rule, and all of it against a comparison of
//! every pair.

mod memory;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::{Effect, Event, Limits, SlashingDetector};
use crate::consensus::{Checkpoint, Epoch, IndexedVote, Slot, ValidatorIndex, Vote};
use crate::machine::Machine;
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToySlashing};

type Detector = SlashingDetector<Toy>;

const TOY: Toy = Toy { slots_per_epoch: 8, validators: 4, payloads: false };

/// Attestation `id` for block `head`.
fn attestation(id: u8, head: u8, target: Epoch) -> ToyAttestation {
    let slot = target.saturating_mul(8);
    let target = Checkpoint { epoch: target, root: 0 };
    ToyAttestation { id, slot, head, target, validator: 0, valid: true }
}

fn vote(head: u8, source: Epoch, target: Epoch) -> Vote<u8> {
    let checkpoint = |epoch| Checkpoint { epoch, root: 0 };
    Vote {
        id: head,
        slot: target.saturating_mul(8),
        beacon_block_root: head,
        source: checkpoint(source),
        target: checkpoint(target),
    }
}

fn cast(indices: &[ValidatorIndex], vote: Vote<u8>) -> Event<Toy> {
    let attestation = attestation(vote.id, vote.beacon_block_root, vote.target.epoch);
    Event::Attestation { indexed: IndexedVote { vote, indices: indices.to_vec() }, attestation }
}

fn propose(slot: Slot, proposer: ValidatorIndex, root: u8) -> Event<Toy> {
    let header = ToyBlock::new(root, 0, slot);
    Event::Proposal { slot, proposer, root, header }
}

fn detector(limits: Limits) -> Detector {
    Detector::new(limits)
}

fn hash(detector: &Detector) -> u64 {
    let mut hasher = DefaultHasher::new();
    detector.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_double_vote_names_those_who_cast_both_and_only_once() {
    // 1 and 2 vote twice, 3 once; the second vote is seen again in another aggregate.
    let mut detector = detector(Limits::new(8));
    assert_eq!(detector.handle(&TOY, cast(&[1, 2], vote(7, 0, 1))), vec![]);
    let found = detector.handle(&TOY, cast(&[1, 2, 3], vote(9, 0, 1)));
    let [Effect::DoubleVote { validators, first, second, slashing }] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(validators, &[1, 2]);
    assert_eq!((first, second), (&vote(7, 0, 1), &vote(9, 0, 1)));
    assert_eq!(slashing.evidence().attestations, [attestation(7, 7, 1), attestation(9, 9, 1)]);
    assert_eq!(
        slashing.evidence().indices,
        [vec![1, 2], vec![1, 2, 3]],
        "all who signed, as signed"
    );
    let again = Vote { id: 77, ..vote(9, 0, 1) };
    assert_eq!(detector.handle(&TOY, cast(&[1, 2, 3], again)), vec![]);
}

#[test]
fn a_surround_vote_is_found_in_either_order_and_the_operation_has_the_surrounding_one_first() {
    // (2, 5) surrounds (3, 4), whichever comes first.
    let (outer, inner) = (vote(1, 2, 5), vote(2, 3, 4));
    for order in [[outer.clone(), inner.clone()], [inner.clone(), outer.clone()]] {
        let mut detector = detector(Limits::new(8));
        let found: Vec<_> =
            order.into_iter().flat_map(|vote| detector.handle(&TOY, cast(&[47], vote))).collect();
        let [Effect::SurroundVote { validators, surrounding, surrounded, slashing }] = &found[..]
        else {
            panic!("{found:?}")
        };
        assert_eq!((&validators[..], surrounding, surrounded), (&[47][..], &outer, &inner));
        assert_eq!(slashing.evidence().attestations, [attestation(1, 1, 5), attestation(2, 2, 4)]);
    }
}

#[test]
fn honest_chains_of_votes_are_no_offence() {
    // Equal sources, and sources that move with the targets.
    let mut detector = detector(Limits::new(8));
    for (source, target) in [(0, 1), (0, 2), (1, 3), (1, 4), (3, 5)] {
        assert_eq!(detector.handle(&TOY, cast(&[0], vote(1, source, target))), vec![]);
    }
}

#[test]
fn a_vote_with_its_source_after_its_target_is_nothing() {
    // Such a vote is no vote; it does not meet one that would surround it.
    let mut detector = detector(Limits::new(8));
    assert_eq!(detector.handle(&TOY, cast(&[0], vote(1, 6, 5))), vec![]);
    assert_eq!(detector.handle(&TOY, cast(&[0], vote(2, 0, 7))), vec![]);
    assert_eq!(detector.votes().count(), 1);
}

#[test]
fn two_blocks_of_one_slot_are_reported_once_for_each_pair() {
    // Three roots make three pairs; a root seen again makes none; another proposer is another
    // matter.
    let mut detector = detector(Limits::new(8));
    let mut found = |proposer, root| detector.handle(&TOY, propose(27, proposer, root));
    assert_eq!([found(42, 1).len(), found(42, 1).len(), found(43, 2).len()], [0, 0, 0]);
    let slashing = ToySlashing::Of([1, 2].map(|root| ToyBlock::new(root, 0, 27)).into());
    let (proposer, slot, first, second) = (42, 27, 1, 2);
    let expected = Effect::DoubleProposal { proposer, slot, first, second, slashing };
    assert_eq!(found(42, 2), vec![expected]);
    assert_eq!([found(42, 2).len(), found(42, 3).len()], [0, 2]);
}

#[test]
fn what_is_before_the_window_is_forgotten_and_no_longer_taken() {
    // A window of three epochs, moved by a vote and then by finality.
    let mut detector = detector(Limits { epochs: 3, ..Limits::new(8) });
    detector.handle(&TOY, cast(&[0], vote(1, 2, 3)));
    detector.handle(&TOY, cast(&[1], vote(1, 3, 4)));
    detector.handle(&TOY, propose(31, 0, 1));
    detector.handle(&TOY, propose(32, 0, 1));
    detector.handle(&TOY, cast(&[2], vote(1, 5, 6)));
    assert_eq!(detector.window(), (4, 6));
    assert_eq!(detector.handle(&TOY, cast(&[0], vote(2, 2, 3))), vec![]);
    assert_eq!(detector.handle(&TOY, propose(31, 0, 2)), vec![]);
    assert_eq!(detector.handle(&TOY, cast(&[1], vote(2, 3, 4))).len(), 1);
    assert_eq!(detector.handle(&TOY, propose(32, 0, 2)).len(), 1);
    detector.handle(&TOY, Event::Finalized { epoch: 9 });
    assert_eq!((detector.window(), detector.votes().count()), ((7, 9), 0));
    // Finality within the window forgets nothing.
    detector.handle(&TOY, cast(&[0], vote(1, 6, 7)));
    detector.handle(&TOY, Event::Finalized { epoch: 9 });
    assert_eq!(detector.votes().count(), 1);
}

#[test]
fn a_surround_is_found_where_both_sources_lie_before_the_window() {
    // A window of four epochs up to 20; (3, 20) surrounds (5, 18), and (5, 18) lies in (3, 20).
    let limits = Limits { epochs: 4, ..Limits::new(8) };
    for order in [[vote(1, 3, 20), vote(2, 5, 18)], [vote(2, 5, 18), vote(1, 3, 20)]] {
        let mut detector = detector(limits);
        detector.handle(&TOY, cast(&[9], vote(0, 19, 20)));
        let found: Vec<_> =
            order.into_iter().flat_map(|vote| detector.handle(&TOY, cast(&[0], vote))).collect();
        assert!(matches!(&found[..], [Effect::SurroundVote { .. }]), "{found:?}");
    }
}

#[test]
fn a_validator_cannot_fill_the_record() {
    // Ten different votes for one target, ten proposals, room for two of each, whoever asks for
    // less.
    for items_per_key in [2, 1, 0] {
        let mut detector = detector(Limits { items_per_key, ..Limits::new(8) });
        let mut reports = 0;
        for root in 0..10 {
            reports += detector.handle(&TOY, cast(&[0], vote(root, 0, 1))).len();
            reports += detector.handle(&TOY, propose(9, 0, root)).len();
        }
        assert_eq!((reports, detector.not_recorded()), (2, 16), "{items_per_key}");
        assert_eq!(detector.votes().count(), 2);
    }
}

#[test]
fn an_index_beyond_any_registry_costs_no_memory() {
    // The bound is 100: 99 is watched, 100 and the largest number are counted.
    let mut detector = detector(Limits { validators: 100, ..Limits::new(8) });
    detector.handle(&TOY, cast(&[99, 100, u64::MAX], vote(1, 0, 1)));
    assert_eq!((detector.votes().count(), detector.not_recorded()), (1, 2));
}

#[test]
fn a_larger_attestation_takes_the_place_of_those_that_it_contains() {
    // A hundred single votes, then the sum of all: the record is smaller, and the operation's
    // first attestation is the sum. A smaller one afterwards changes nothing.
    let mut detector = detector(Limits::new(8));
    let all: Vec<u64> = (0..100).collect();
    for index in 0..100 {
        detector.handle(&TOY, cast(&[index], Vote { id: index as u8, ..vote(1, 0, 1) }));
    }
    let singles = detector.bytes();
    detector.handle(&TOY, cast(&all, Vote { id: 200, ..vote(1, 0, 1) }));
    assert!(detector.bytes() < singles / 2, "{} of {singles}", detector.bytes());
    detector.handle(&TOY, cast(&all[..50], Vote { id: 201, ..vote(1, 0, 1) }));
    let found = detector.handle(&TOY, cast(&[3], vote(2, 0, 1)));
    let [Effect::DoubleVote { slashing, .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (slashing.evidence().attestations[0].id, &slashing.evidence().indices[0]),
        (200, &all)
    );
}

/// Who cast both, and the identifier of the first attestation, if one double vote was found.
fn double_vote(found: &[Effect<Toy>]) -> (&[ValidatorIndex], u8) {
    let [Effect::DoubleVote { validators, slashing, .. }] = found else { panic!("{found:?}") };
    (validators, slashing.evidence().attestations[0].id)
}

#[test]
fn an_attestation_stays_for_those_whom_no_larger_one_contains() {
    // 1 and 2 in one attestation; a larger one of the same data has 1 but not 2. Then each votes
    // twice. Once a larger one has 2 as well, the first is gone.
    let mut detector = detector(Limits::new(8));
    detector.handle(&TOY, cast(&[1, 2], Vote { id: 10, ..vote(1, 0, 1) }));
    detector.handle(&TOY, cast(&[1, 3, 4], Vote { id: 11, ..vote(1, 0, 1) }));
    let found = detector.handle(&TOY, cast(&[2], vote(2, 0, 1)));
    assert_eq!(double_vote(&found), (&[2][..], 10));
    let found = detector.handle(&TOY, cast(&[1], vote(3, 0, 1)));
    assert_eq!(double_vote(&found), (&[1][..], 11));
}

#[test]
fn a_second_vote_for_an_epoch_is_replaced_by_a_larger_attestation_too() {
    // Validator 1 votes twice, and then the second vote comes in an attestation with another.
    let mut detector = detector(Limits::new(8));
    detector.handle(&TOY, cast(&[1], Vote { id: 10, ..vote(1, 0, 1) }));
    detector.handle(&TOY, cast(&[1], Vote { id: 11, ..vote(2, 0, 1) }));
    detector.handle(&TOY, cast(&[1, 2], Vote { id: 12, ..vote(2, 0, 1) }));
    let found = detector.handle(&TOY, cast(&[1], Vote { id: 13, ..vote(3, 0, 1) }));
    let firsts: Vec<_> = found.iter().map(|one| double_vote(std::slice::from_ref(one)).1).collect();
    assert_eq!(firsts, [10, 12]);
}

#[test]
fn a_window_that_has_moved_on_holds_nothing_of_the_past() {
    // Doubles, replaced votes, proposals and long spans, then a jump past all of them.
    let mut detector = detector(Limits { epochs: 40, validators: 1_000, ..Limits::new(8) });
    for target in 1..60 {
        detector.handle(&TOY, cast(&[1, 300], vote(1, target / 2, target)));
        detector.handle(&TOY, cast(&[1, 300, 700], vote(1, target / 2, target)));
        detector.handle(&TOY, cast(&[1], vote(2, 0, target)));
        detector.handle(&TOY, propose(target * 8, 1, 1));
    }
    detector.handle(&TOY, Event::Finalized { epoch: 500 });
    let mut fresh = Detector::new(Limits { epochs: 40, validators: 1_000, ..Limits::new(8) });
    fresh.handle(&TOY, Event::Finalized { epoch: 500 });
    assert_eq!(detector.bytes(), fresh.bytes());
    assert!(!detector.record.has_source_before(500, 500), "no source of an entry that is gone");
}

#[test]
fn equal_records_are_equal_whatever_the_order_in_which_validators_voted() {
    // Two orders of arrival give the same identity, another vote gives another one.
    let mut orders = [[1, 2, 3], [3, 1, 2]].map(|order| {
        let mut detector = detector(Limits::new(8));
        for index in order {
            let vote = Vote { id: index, ..vote(index, 0, 1) };
            detector.handle(&TOY, cast(&[u64::from(index)], vote));
        }
        detector
    });
    assert_eq!(orders[0], orders[1]);
    assert_eq!(hash(&orders[0]), hash(&orders[1]));
    // As many votes, and one of them different.
    orders[0].handle(&TOY, cast(&[4], vote(4, 0, 1)));
    orders[1].handle(&TOY, cast(&[4], vote(5, 0, 1)));
    assert_ne!(orders[0], orders[1]);
    assert_ne!(hash(&orders[0]), hash(&orders[1]), "a model tells states apart by their hashes");
}

/// What a random history is made of. Numbers are small, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Vote { validators: u8, head: u8, source: Epoch, target: Epoch },
    Propose { slot: Slot, proposer: ValidatorIndex, root: u8 },
    Finalize { epoch: Epoch },
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let below = |g: &mut Gen, bound: u64| u64::arbitrary(g) % bound;
        match below(g, 12) {
            0 => Self::Finalize { epoch: below(g, 24) },
            1 | 2 => Self::Propose {
                slot: below(g, 40) * 5,
                proposer: below(g, 2),
                root: below(g, 3) as u8,
            },
            _ => {
                let (a, b) = (below(g, 28), below(g, 28));
                Self::Vote {
                    validators: below(g, 8) as u8,
                    head: below(g, 2) as u8,
                    source: a.min(b),
                    target: a.max(b),
                }
            }
        }
    }
}

/// The definition: all items of the window, and every pair compared.
struct Pairs {
    epochs: u64,
    newest: Epoch,
    votes: Vec<(ValidatorIndex, Vote<u8>)>,
    proposals: Vec<(Slot, ValidatorIndex, u8)>,
}

/// A validator's offences with one vote: the votes of the same target, and whether it surrounds and
/// is surrounded.
type Expected = (Vec<Vote<u8>>, bool, bool);

impl Pairs {
    fn reach(&mut self, epoch: Epoch) -> Epoch {
        self.newest = self.newest.max(epoch);
        let start = (self.newest + 1).saturating_sub(self.epochs);
        self.votes.retain(|(_, vote)| vote.target.epoch >= start);
        self.proposals.retain(|(slot, ..)| slot / 8 >= start);
        start
    }

    fn vote(&mut self, validator: ValidatorIndex, vote: &Vote<u8>) -> Expected {
        let start = self.reach(vote.target.epoch);
        let known: Vec<_> =
            self.votes.iter().filter(|(index, _)| *index == validator).map(|(_, v)| v).collect();
        let data = |vote: &Vote<u8>| (vote.beacon_block_root, vote.source, vote.target);
        if vote.target.epoch < start || known.iter().any(|known| data(known) == data(vote)) {
            return (Vec::new(), false, false);
        }
        let same = known.iter().filter(|known| known.target.epoch == vote.target.epoch);
        let expected = (
            same.map(|known| Vote::clone(known)).collect(),
            known.iter().any(|known| surrounds(vote, known)),
            known.iter().any(|known| surrounds(known, vote)),
        );
        self.votes.push((validator, vote.clone()));
        expected
    }

    fn propose(&mut self, slot: Slot, proposer: ValidatorIndex, root: u8) -> Vec<u8> {
        let start = self.reach(slot / 8);
        let own = self.proposals.iter().filter(|(s, p, _)| (*s, *p) == (slot, proposer));
        let known: Vec<u8> = own.map(|(_, _, root)| *root).collect();
        if slot / 8 < start || known.contains(&root) {
            return Vec::new();
        }
        self.proposals.push((slot, proposer, root));
        known
    }
}

fn surrounds(outer: &Vote<u8>, inner: &Vote<u8>) -> bool {
    outer.source.epoch < inner.source.epoch && inner.target.epoch < outer.target.epoch
}

/// Returns what the detector says of one validator in answer to one vote, if it is true: each
/// witness is on record, and the operation is made of the two.
fn said(
    effects: &[Effect<Toy>],
    validator: ValidatorIndex,
    vote: &Vote<u8>,
    pairs: &Pairs,
) -> Option<Expected> {
    let known = |other: &Vote<u8>| {
        pairs.votes.iter().any(|(index, known)| *index == validator && known == other)
    };
    let mut said: Expected = (Vec::new(), false, false);
    for effect in effects {
        let (ids, slashing) = match effect {
            Effect::DoubleVote { validators, first, second, slashing } => {
                if !validators.contains(&validator) {
                    continue;
                }
                said.0.push(first.clone());
                if second != vote || !known(first) {
                    return None;
                }
                ([first.id, second.id], slashing)
            }
            Effect::SurroundVote { validators, surrounding, surrounded, slashing } => {
                if !validators.contains(&validator) {
                    continue;
                }
                let outer = surrounding == vote;
                let witness = if outer { surrounded } else { surrounding };
                let again = if outer { &mut said.1 } else { &mut said.2 };
                if *again || !known(witness) || !surrounds(surrounding, surrounded) {
                    return None;
                }
                *again = true;
                ([surrounding.id, surrounded.id], slashing)
            }
            Effect::DoubleProposal { .. } => return None,
        };
        let by_both =
            slashing.evidence().indices.iter().all(|indices| indices.contains(&validator));
        if slashing.evidence().attestations.map(|attestation| attestation.id) != ids || !by_both {
            return None;
        }
    }
    Some(said)
}

/// Runs a history through the detector and through the definition; returns whether they agree.
fn agrees(steps: &[Step], epochs: u64) -> bool {
    let limits = Limits { epochs, items_per_key: usize::MAX, ..Limits::new(8) };
    let mut detector = detector(limits);
    let (votes, proposals) = (Vec::new(), Vec::new());
    let mut pairs = Pairs { epochs, newest: 0, votes, proposals };
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Finalize { epoch } => {
                pairs.reach(*epoch);
                if !detector.handle(&TOY, Event::Finalized { epoch: *epoch }).is_empty() {
                    return false;
                }
            }
            Step::Propose { slot, proposer, root } => {
                let effects = detector.handle(&TOY, propose(*slot, *proposer, *root));
                let found: Option<Vec<u8>> = effects
                    .iter()
                    .map(|effect| match effect {
                        Effect::DoubleProposal { first, second, slashing, .. } => (second == root
                            && slashing.evidence().map(|header| header.root) == [*first, *root])
                        .then_some(*first),
                        _ => None,
                    })
                    .collect();
                if found != Some(pairs.propose(*slot, *proposer, *root)) {
                    return false;
                }
            }
            Step::Vote { validators, head, source, target } => {
                let indices: Vec<u64> = (0..3).filter(|bit| validators >> bit & 1 == 1).collect();
                let vote = Vote { id: at as u8, ..vote(*head, *source, *target) };
                // Single votes, so that no attestation takes the place of another.
                for index in indices {
                    let effects = detector.handle(&TOY, cast(&[index], vote.clone()));
                    let said = said(&effects, index, &vote, &pairs);
                    if said != Some(pairs.vote(index, &vote)) {
                        return false;
                    }
                }
            }
        }
        if !spans_agree(&detector) {
            return false;
        }
    }
    true
}

/// Returns whether the spans are what the votes on record say (S4).
fn spans_agree(detector: &Detector) -> bool {
    let (start, newest) = detector.window();
    (0..3).all(|index| {
        let of: Vec<_> = detector
            .votes()
            .filter(|(_, validator, _)| *validator == index)
            .map(|(target, _, vote)| (vote.source.epoch, target))
            .collect();
        (start.saturating_sub(1)..=newest).all(|epoch| {
            let targets = |after: bool| {
                let counts =
                    move |source: Epoch| if after { source > epoch } else { source < epoch };
                of.iter().filter(move |(source, _)| counts(*source)).map(|(_, target)| *target)
            };
            let minimum = targets(true).min();
            let maximum = targets(false).max().filter(|target| *target > epoch);
            minimum == detector.spans.minimum_target(index, epoch)
                && maximum == detector.spans.maximum_target(index, epoch)
        })
    })
}

quickcheck! {
    /// Against the comparison of every pair, with a window that is never left.
    fn every_offence_is_found_and_nothing_else(steps: Vec<Step>) -> bool {
        agrees(&steps, 64)
    }

    /// The same with short windows, over which sources, targets and finality move.
    fn every_offence_within_a_moving_window_is_found(steps: Vec<Step>, epochs: u8) -> bool {
        agrees(&steps, u64::from(epochs % 20) + 1)
    }

    /// Random votes of many validators under a small bound: it holds after every event, and what
    /// the record says it costs is given back when the window leaves it.
    fn memory_is_bounded_under_random_votes(votes: Vec<(u16, u8, u8, u8)>) -> bool {
        let limits = Limits { bytes: 60_000, validators: 1_000, ..Limits::new(8) };
        let mut detector = detector(limits);
        for (index, head, source, length) in votes {
            let index = u64::from(index) % 900;
            let (source, target) = (u64::from(source), u64::from(source) + u64::from(length % 40));
            detector.handle(&TOY, cast(&[index, index + 70], vote(head % 4, source, target)));
            let (start, newest) = detector.window();
            if detector.bytes() > limits.bytes || start > newest {
                return false;
            }
        }
        detector.handle(&TOY, Event::Finalized { epoch: 100_000 });
        detector.handle(&TOY, Event::Finalized { epoch: 200_000 });
        let mut fresh = Detector::new(limits);
        fresh.handle(&TOY, Event::Finalized { epoch: 200_000 });
        detector.votes().count() == 0 && detector.bytes() <= fresh.bytes()
    }
}
