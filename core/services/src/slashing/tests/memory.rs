//! The memory of the record, and its bound.

use super::{TOY, attestation, cast, detector, double_vote, propose, vote};
use crate::consensus::Vote;
use crate::machine::Machine;
use crate::slashing::Limits;
use crate::slashing::indices::Indices;
use crate::slashing::record::{Entry, Record};
use crate::slashing::spans::{PLACE_BYTES, Spans, VALIDATORS};
use crate::toy::{Toy, ToyAttestation};

/// What an entry of `indices` with this vote costs is [`Entry::bytes`].
fn entry(indices: &[u64], vote: Vote<u8>) -> Entry<Toy> {
    let attestation = attestation(vote.id, vote.beacon_block_root, vote.target.epoch);
    Entry { vote, indices: Indices::new(indices), attestation }
}

#[test]
fn an_entry_costs_itself_its_counts_its_number_and_what_is_behind_it() {
    // A hundred indices of two bytes each. An `Arc` has two counts; the number stands for a pointer
    // and a count.
    let indices: Vec<u64> = (1..=100).map(|at| at * 1_000).collect();
    let entry = entry(&indices, vote(1, 0, 1));
    let (counts, numbered) = (size_of::<[usize; 2]>(), size_of::<(usize, usize)>());
    let behind = 200 + size_of::<ToyAttestation>();
    assert_eq!(entry.bytes(), size_of_val(&entry) + counts + numbered + behind);
}

#[test]
fn the_record_counts_the_memory_of_its_epochs_places_and_entries() {
    // Epochs without votes; then two votes of validator 0 and one of a validator nine groups later,
    // and an epoch that its votes leave the window with.
    let chunk = VALIDATORS as usize * size_of::<u32>();
    let far = 9 * VALIDATORS + 5;
    let mut record = Record::<Toy>::new();
    record.span(0, 1);
    let two = record.bytes();
    record.span(0, 3);
    assert!(two > 0 && record.bytes() == 2 * two, "{two} bytes for two epochs");
    let one = entry(&[0, far], vote(1, 0, 1));
    let other = entry(&[0], vote(2, 0, 1));
    let bytes = one.bytes() + other.bytes();
    let before = record.bytes();
    let first = record.add(one.into()).unwrap();
    let second = record.add(other.into()).unwrap();
    assert_eq!(record.bytes() - before, bytes);
    let grown_by_put = |record: &mut Record<Toy>, validator, target, number| {
        let before = record.bytes();
        record.put(validator, target, number);
        record.bytes() - before
    };
    assert_eq!(grown_by_put(&mut record, 0, 1, first), PLACE_BYTES + chunk);
    let further = grown_by_put(&mut record, 0, 1, second);
    assert!((size_of::<(u64, Vec<u32>)>()..=128).contains(&further), "{further} in a map");
    // The epoch has a place for each of ten groups now, and one that gets its first vote later has
    // as many at once. That a vote may need all of it and a member of a map is what is looked for.
    let most = record.cost(far);
    assert_eq!(most, 10 * PLACE_BYTES + chunk + further);
    assert_eq!(grown_by_put(&mut record, far, 1, first), 9 * PLACE_BYTES + chunk);
    let late = record.add(entry(&[1], vote(3, 0, 2)).into()).unwrap();
    assert_eq!(grown_by_put(&mut record, 1, 2, late), 10 * PLACE_BYTES + chunk);
    record.span(3, 3);
    assert_eq!(record.bytes(), two / 2);
}

#[test]
fn a_vote_that_lies_across_the_edges_of_chunks_costs_the_spans_as_much_as_is_looked_for() {
    // The spans begin with the last epoch of a chunk, the vote's source is the last but one of
    // another, and its target the second of a third. So each kind of target changes in three
    // chunks, in two of them at one epoch alone. A row has a place for each of ten groups.
    let validator = 9 * VALIDATORS + 5;
    let mut spans = Spans::default();
    spans.start_at(16);
    let looked_for = spans.cost(validator, 46, 65);
    spans.insert(validator, 46, 65);
    let chunk = VALIDATORS as usize * 16 * size_of::<u16>();
    assert_eq!(spans.bytes(), 6 * (chunk + 10 * PLACE_BYTES));
    assert_eq!(looked_for, spans.bytes());
}

#[test]
fn what_just_fits_is_recorded_and_one_byte_less_shortens_the_window() {
    // The second of two votes, with as much memory as is looked for, and one byte less.
    let votes = [cast(&[7], vote(1, 4, 5)), cast(&[8], vote(2, 4, 5))];
    let run = |bytes| {
        let mut detector = detector(Limits { bytes, ..Limits::new(8) });
        votes.iter().for_each(|vote| drop(detector.handle(&TOY, vote.clone())));
        (detector.shortened(), detector.votes().count())
    };
    let mut before = detector(Limits::new(8));
    before.handle(&TOY, votes[0].clone());
    let places = before.record.cost(8) + before.spans.cost(8, 4, 5);
    let enough = before.bytes() + entry(&[8], vote(2, 4, 5)).bytes() + places;
    assert_eq!(run(enough), (0, 2));
    assert_eq!(run(enough - 1), (1, 2));
}

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
