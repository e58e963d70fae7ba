//! The memory of the record, and its bound.

use super::{TOY, attestation, cast, detector, double_vote, propose, vote};
use crate::consensus::Vote;
use crate::machine::Machine;
use crate::slashing::Limits;
use crate::slashing::indices::Indices;
use crate::slashing::record::Entry;
use crate::slashing::spans::VALIDATORS;
use crate::toy::Toy;

#[test]
fn what_a_larger_attestation_replaces_costs_nothing() {
    // A vote of validator 1 and then one of 1 and 2, compared with the latter alone.
    let (mut both, mut alone) = (detector(Limits::new(8)), detector(Limits::new(8)));
    both.handle(&TOY, cast(&[1], Vote { id: 10, ..vote(1, 0, 1) }));
    for detector in [&mut both, &mut alone] {
        detector.handle(&TOY, cast(&[1, 2], Vote { id: 11, ..vote(1, 0, 1) }));
    }
    assert_eq!((both.bytes(), both == alone), (alone.bytes(), true));
}

#[test]
fn an_attestation_is_replaced_if_there_is_room_for_the_larger_one_beside_it() {
    // There are votes on record, and just room for a much larger attestation beside them; then one
    // byte less. Where there is none, the smaller one stays, as the evidence shows.
    let indices: Vec<u64> = (0..16_000).collect();
    let larger = Vote { id: 200, ..vote(1, 0, 1) };
    let entry: Entry<Toy> = Entry {
        vote: larger.clone(),
        indices: Indices::new(&indices),
        attestation: attestation(larger.id, 1, 1),
    };
    let votes = |limits| {
        let mut detector = detector(limits);
        for index in 0..64 {
            detector.handle(&TOY, cast(&[index], Vote { id: index as u8, ..vote(1, 0, 1) }));
        }
        detector
    };
    let full = votes(Limits::new(8)).bytes() + entry.bytes();
    for (bytes, expected) in [(full, 200), (full - 1, 1)] {
        let limits = Limits { bytes, ..Limits::new(8) };
        let mut detector = votes(limits);
        assert_eq!(detector.not_recorded(), 0, "all fit");
        detector.handle(&TOY, cast(&indices, larger.clone()));
        assert!(detector.bytes() <= bytes);
        let found = detector.handle(&TOY, cast(&[1], vote(2, 0, 1)));
        assert_eq!(double_vote(&found), (&[1][..], expected), "{bytes}");
    }
}

#[test]
fn memory_stays_below_its_bound_by_a_shorter_window() {
    // Two hundred epochs of 300 validators in 200 kB: the newest epochs stay, and an offence in
    // them is found.
    let limits = Limits { bytes: 200_000, validators: 1_000, ..Limits::new(8) };
    let mut detector = detector(limits);
    let all: Vec<u64> = (0..300).collect();
    for target in 1..=200 {
        detector.handle(&TOY, cast(&all, vote(1, target - 1, target)));
        detector.handle(&TOY, propose(target * 8, 0, 1));
        assert!(detector.bytes() <= limits.bytes, "{} at {target}", detector.bytes());
    }
    let (start, newest) = detector.window();
    assert_eq!((newest, detector.shortened()), (200, start));
    assert!(start > 100 && start < 195, "{start}");
    assert_eq!(detector.handle(&TOY, cast(&[5], vote(2, 199, 200))).len(), 1);
    assert_eq!(detector.not_recorded(), 0);
}

#[test]
fn a_vote_costs_no_more_memory_than_was_looked_for_and_no_less_than_it_takes() {
    // Votes over long and short distances, each an attestation of its own: of one validator, of
    // others in its group, and of groups that nobody was in. Two chunks are new for a group at least.
    let mut detector = detector(Limits::new(8));
    detector.handle(&TOY, cast(&[7], vote(1, 0, 60)));
    let votes =
        [(1, 2, 3), (1, 3, 20), (2, 0, 59), (VALIDATORS, 2, 3), (9 * VALIDATORS + 5, 30, 60)];
    for (id, (index, source, target)) in (10..).zip(votes) {
        let said = Vote { id, ..vote(id, source, target) };
        let attestation = attestation(id, id, target);
        let entry: Entry<Toy> =
            Entry { vote: said.clone(), indices: Indices::new(&[index]), attestation };
        let places = detector.record.cost(index) + detector.spans.cost(index, source, target);
        let before = detector.bytes();
        assert_eq!(detector.handle(&TOY, cast(&[index], said)), []);
        let grown = detector.bytes() - before;
        let least = if index < VALIDATORS { 0 } else { 64 * (size_of::<u32>() + 16 * 2) };
        let bounds = entry.bytes() + least..=entry.bytes() + places;
        assert!(bounds.contains(&grown), "{index}: {grown} is not in {bounds:?}");
    }
}

#[test]
fn proposals_count_towards_the_bound_on_memory() {
    // Proposals alone, over epochs and then within one.
    let limits = Limits { bytes: 6_000, ..Limits::new(8) };
    let mut detector = detector(limits);
    for slot in 0..400 {
        detector.handle(&TOY, propose(slot, 0, 1));
        assert!(detector.bytes() <= limits.bytes, "{} at {slot}", detector.bytes());
    }
    assert!(detector.shortened() > 0 && detector.not_recorded() == 0);
    for proposer in 1..100 {
        detector.handle(&TOY, propose(399, proposer, 1));
    }
    assert!(detector.bytes() <= limits.bytes && detector.not_recorded() > 0);
}

#[test]
fn what_does_not_fit_at_all_is_compared_and_counted() {
    // There is room for the votes of a few validators and then for none: the window is one epoch.
    let limits = Limits { bytes: 16_000, validators: 100_000, ..Limits::new(8) };
    let mut detector = detector(limits);
    for index in 0..50 {
        detector.handle(&TOY, cast(&[index * 64], Vote { id: index as u8, ..vote(1, 4, 5) }));
        assert!(detector.bytes() <= limits.bytes, "{}", detector.bytes());
    }
    let on_record = detector.votes().count() as u64;
    assert!(on_record > 0 && on_record < 50, "{on_record}");
    assert_eq!(detector.not_recorded(), 50 - on_record);
    assert_eq!(detector.window(), (5, 5));
    assert_eq!(detector.handle(&TOY, cast(&[0], vote(2, 4, 5))).len(), 1);
}
