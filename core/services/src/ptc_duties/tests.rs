//! Each invariant by itself, over nodes whose answers the test writes; then random histories.

use std::collections::BTreeMap;

use quickcheck::{Gen, QuickCheck};

use super::{Effect, Event, Limits, Listed, NoDuties, PtcDuties, Reply, RequestId};
use crate::consensus::{Epoch, Slot, ValidatorIndex};
use crate::machine::Machine;
use crate::supervision::contain;

type Root = char;
type Key = u64;
type Duties = PtcDuties<Key, Root>;

const SLOTS: u64 = 8;
const OURS: [ValidatorIndex; 3] = [2, 5, 9];

/// A request, as the machine makes it.
type Ask = (RequestId, Epoch, Vec<ValidatorIndex>);

/// The slot of a validator on a branch; validator 9 has none on branches that begin with `b`.
fn slot_of(root: Root, epoch: Epoch, validator: ValidatorIndex) -> Option<Slot> {
    let at = (u64::from(u32::from(root)) * 3 + validator) % SLOTS;
    (root != 'b' || validator != 9).then_some(epoch * SLOTS + at)
}

/// An honest node's answer while its head is on the branch of `root`.
fn answer(root: Root, (request, epoch, validators): &Ask) -> Event<Key, Root> {
    let listed = |validator: &ValidatorIndex| {
        let slot = slot_of(root, *epoch, *validator)?;
        Some(Listed { validator: *validator, key: validator + 100, slot })
    };
    let duties = validators.iter().filter_map(listed).collect();
    let reply = Reply::Duties { dependent_root: root, duties };
    Event::Answered { request: *request, reply }
}

fn ours(indices: &[ValidatorIndex]) -> Event<Key, Root> {
    Event::Validators(indices.iter().map(|index| (*index, index + 100)).collect())
}

fn tell(machine: &mut Duties, event: Event<Key, Root>) -> Vec<Ask> {
    let effects = machine.handle(&(), event);
    effects
        .into_iter()
        .map(|Effect::Ask { request, epoch, validators }| (request, epoch, validators))
        .collect()
}

/// Answers everything that is asked from the branch of `root`. Returns what was asked.
fn serve(machine: &mut Duties, asked: Vec<Ask>, root: Root) -> Vec<Ask> {
    let (mut open, mut all) = (asked.clone(), asked);
    // Each answer leads to one request at most, and the machine bounds those of a slot.
    while let Some(ask) = open.pop() {
        let more = tell(machine, answer(root, &ask));
        all.extend(more.iter().cloned());
        open.extend(more);
    }
    all
}

/// A machine in `slot` that has the lists of both epochs under `root`.
fn served(slot: Slot, root: Root) -> Duties {
    let mut machine = Duties::new(SLOTS, Limits::default());
    assert_eq!(tell(&mut machine, ours(&OURS)), []);
    let asked = tell(&mut machine, Event::Slot(slot));
    serve(&mut machine, asked, root);
    assert_eq!((machine.requests(), machine.lists()), (0, 2));
    machine
}

/// Asserts that the machine knows every duty of an epoch of a branch for these validators, and no
/// other.
fn assert_knows(machine: &Duties, root: Root, epoch: Epoch, validators: &[ValidatorIndex]) {
    for slot in epoch * SLOTS..(epoch + 1) * SLOTS {
        let due = machine.duties(slot, root).expect("a list");
        let due: Vec<_> = due.iter().map(|listed| listed.validator).collect();
        let expected: Vec<_> = validators
            .iter()
            .copied()
            .filter(|validator| slot_of(root, epoch, *validator) == Some(slot))
            .collect();
        assert_eq!(due, expected, "slot {slot} under {root}");
    }
}

#[test]
fn every_slot_asks_for_one_validator_and_for_all_only_under_a_new_root() {
    // The first slot of epoch 2, the next one on the same branch, and one on another.
    let mut machine = Duties::new(SLOTS, Limits::default());
    tell(&mut machine, ours(&OURS));
    let asked = tell(&mut machine, Event::Slot(16));
    assert_eq!(asked, [(0, 2, vec![2]), (1, 3, vec![2])]);
    let all: Vec<_> = serve(&mut machine, asked, 'a').into_iter().map(|ask| ask.2.len()).collect();
    assert_eq!(all, [1, 1, 3, 3]);
    assert_knows(&machine, 'a', 2, &OURS);
    assert_knows(&machine, 'a', 3, &OURS);
    for (slot, root, expected) in [(17, 'a', vec![1, 1]), (18, 'b', vec![1, 1, 3, 3])] {
        let asked = tell(&mut machine, Event::Slot(slot));
        let all = serve(&mut machine, asked, root);
        let lengths: Vec<_> = all.into_iter().map(|ask| ask.2.len()).collect();
        assert_eq!(lengths, expected, "slot {slot}");
    }
    assert_knows(&machine, 'b', 2, &OURS);
    // The same slot again asks for nothing.
    assert_eq!(tell(&mut machine, Event::Slot(18)), []);
}

#[test]
fn a_validator_that_is_learnt_later_is_asked_for() {
    // D1: after the lists are there, and while the request for all is under way.
    let mut machine = served(16, 'a');
    let asked = tell(&mut machine, ours(&[2, 5, 9, 11]));
    let all = vec![2, 5, 9, 11];
    assert_eq!(asked.iter().map(|ask| &ask.2).collect::<Vec<_>>(), [&all, &all]);
    let asked_before = asked.clone();
    assert_eq!(tell(&mut machine, ours(&[2, 5, 9, 11, 12])), []);
    let asked = serve(&mut machine, asked_before, 'a');
    assert!(asked.iter().any(|ask| ask.2 == [2, 5, 9, 11, 12]));
    assert_knows(&machine, 'a', 2, &[2, 5, 9, 11, 12]);
    assert_knows(&machine, 'a', 3, &[2, 5, 9, 11, 12]);
}

#[test]
fn duties_stand_under_the_root_of_the_answer_that_carried_them() {
    // D2: the small answer is of branch b, the one for all of branch a. Then the small one is of b
    // again (A-B-A): the duties of a never stand under b.
    let mut machine = Duties::new(SLOTS, Limits::default());
    tell(&mut machine, ours(&OURS));
    let asked = tell(&mut machine, Event::Slot(16));
    let asked = tell(&mut machine, answer('b', &asked[0]));
    let again = tell(&mut machine, answer('a', &asked[0]));
    assert_eq!(machine.counters().straddled, 1);
    assert_eq!(machine.duties(17, 'b'), Err(NoDuties::OtherBranch));
    assert_knows(&machine, 'a', 2, &OURS);
    // The difference is noticed: the root is asked for again, in the same slot.
    assert_eq!(again.iter().map(|ask| (ask.1, ask.2.len())).collect::<Vec<_>>(), [(2, 1)]);
    serve(&mut machine, again, 'b');
    assert_knows(&machine, 'b', 2, &OURS);
    assert_knows(&machine, 'a', 2, &OURS);
}

#[test]
fn duties_are_given_out_for_the_branch_of_the_head_only() {
    // D3: the head has moved to a branch whose list is not there yet, or whose epoch is unknown.
    let machine = served(16, 'a');
    assert_eq!(machine.duties(17, 'b'), Err(NoDuties::OtherBranch));
    assert_eq!(machine.duties(32, 'a'), Err(NoDuties::Unknown));
    assert_eq!(Duties::new(SLOTS, Limits::default()).duties(17, 'a'), Err(NoDuties::Unknown));
}

#[test]
fn the_next_epochs_duties_are_reconciled_until_they_are_due() {
    // D4: they were fetched under a; in the epoch's own first slot the root is another.
    let mut machine = served(16, 'a');
    let asked = tell(&mut machine, Event::Slot(24));
    assert_eq!(asked.iter().map(|ask| ask.1).collect::<Vec<_>>(), [3, 4]);
    serve(&mut machine, asked, 'b');
    assert_knows(&machine, 'b', 3, &OURS);
}

#[test]
fn an_epoch_has_duties_under_several_roots_and_the_one_confirmed_last_stays() {
    // D5: lists under a and b; a comes back and needs no request for all; then c replaces b.
    let mut machine = served(16, 'a');
    for (slot, root, lengths) in [(17, 'b', 4), (18, 'a', 2), (19, 'c', 4)] {
        let asked = tell(&mut machine, Event::Slot(slot));
        assert_eq!(serve(&mut machine, asked, root).len(), lengths, "slot {slot}");
    }
    assert_eq!(machine.lists(), 4);
    assert_knows(&machine, 'a', 2, &OURS);
    assert_knows(&machine, 'c', 2, &OURS);
    assert_eq!(machine.duties(17, 'b'), Err(NoDuties::OtherBranch));
}

#[test]
fn a_slot_has_duties_if_a_list_of_its_epoch_has_them() {
    // Validators 5, 9 and 2 vote in slots 16, 20 and 21 of epoch 2. No list of epoch 4 is known.
    let machine = served(16, 'a');
    let has_duties = [16, 17, 20, 21, 32].map(|slot| machine.has_duties(slot));
    assert_eq!(has_duties, [true, false, true, true, false]);
}

#[test]
fn a_head_of_another_branch_asks_at_once_and_a_known_one_does_not() {
    // The root of epoch 2 as it is known, another one, and one of an epoch that is not looked at.
    let mut machine = served(16, 'a');
    let head = |epoch, dependent_root| Event::Head { epoch, dependent_root };
    assert_eq!(tell(&mut machine, head(2, 'a')), []);
    assert_eq!(tell(&mut machine, head(9, 'b')), []);
    let asked = tell(&mut machine, head(2, 'b'));
    assert_eq!(asked.iter().map(|ask| (ask.1, &ask.2[..])).collect::<Vec<_>>(), [(2, &[2][..])]);
    serve(&mut machine, asked, 'b');
    assert_knows(&machine, 'b', 2, &OURS);
}

#[test]
fn a_head_that_comes_while_all_are_asked_for_is_not_forgotten() {
    // D2: the list of branch a is under way when the head moves to b.
    let mut machine = Duties::new(SLOTS, Limits::default());
    tell(&mut machine, ours(&OURS));
    let asked = tell(&mut machine, Event::Slot(16));
    let asked = tell(&mut machine, answer('a', &asked[0]));
    assert_eq!(asked[0].2.len(), 3);
    assert_eq!(tell(&mut machine, Event::Head { epoch: 2, dependent_root: 'b' }), []);
    let again = tell(&mut machine, answer('a', &asked[0]));
    assert_eq!(again.iter().map(|ask| (ask.1, ask.2.len())).collect::<Vec<_>>(), [(2, 1)]);
    serve(&mut machine, again, 'b');
    assert_knows(&machine, 'b', 2, &OURS);
}

#[test]
fn the_list_of_one_validator_comes_with_its_root_and_straddles_nothing() {
    // It is on branch a, then on b: the answer for one is the answer for all.
    let mut machine = Duties::new(SLOTS, Limits::default());
    tell(&mut machine, ours(&[2]));
    for (slot, root) in [(16, 'a'), (17, 'b')] {
        let asked = tell(&mut machine, Event::Slot(slot));
        assert_eq!(serve(&mut machine, asked, root).len(), 2, "slot {slot}");
        assert_knows(&machine, root, 2, &[2]);
    }
    assert_eq!(machine.counters().straddled, 0);
}

#[test]
fn a_node_that_hangs_costs_no_more_than_a_slot() {
    // The requests of slot 16 are never answered in time; what comes late is stray.
    let mut machine = Duties::new(SLOTS, Limits::default());
    tell(&mut machine, ours(&OURS));
    let hung = tell(&mut machine, Event::Slot(16));
    let asked = tell(&mut machine, Event::Slot(17));
    assert_eq!(asked.len(), 2);
    for ask in &hung {
        assert_eq!(tell(&mut machine, answer('b', ask)), []);
    }
    assert_eq!((machine.counters().stray, machine.requests()), (2, 2));
    serve(&mut machine, asked, 'a');
    assert_knows(&machine, 'a', 2, &OURS);
}

#[test]
fn an_answer_is_taken_once() {
    // The second copy is stray, and so is one to a request that was never made.
    let mut machine = Duties::new(SLOTS, Limits::default());
    tell(&mut machine, ours(&OURS));
    let asked = tell(&mut machine, Event::Slot(16));
    tell(&mut machine, answer('a', &asked[0]));
    assert_eq!(tell(&mut machine, answer('a', &asked[0])), []);
    assert_eq!(tell(&mut machine, answer('a', &(99, 2, vec![2]))), []);
    assert_eq!(machine.counters().stray, 2);
}

#[test]
fn a_failure_is_asked_again_as_often_as_a_slot_allows() {
    // No node ever answers: four requests for each epoch, and four more in the next slot.
    let mut machine = Duties::new(SLOTS, Limits::default());
    tell(&mut machine, ours(&OURS));
    for slot in [16, 17] {
        let mut open = tell(&mut machine, Event::Slot(slot));
        let mut count = 0;
        while let Some((request, ..)) = open.pop() {
            count += 1;
            assert!(count <= 8, "slot {slot}");
            open.extend(tell(&mut machine, Event::Answered { request, reply: Reply::Failed }));
        }
        assert_eq!(count, 8, "slot {slot}");
    }
    assert_eq!(machine.duties(17, 'a'), Err(NoDuties::Unknown));
}

#[test]
fn entries_that_cannot_be_duties_of_ours_are_not_taken() {
    // A stranger, another key, another epoch, a second slot; one entry is right.
    let mut machine = Duties::new(SLOTS, Limits::default());
    tell(&mut machine, ours(&[2]));
    let asked = tell(&mut machine, Event::Slot(16));
    let entry = |validator, key, slot| Listed { validator, key, slot };
    let duties = vec![
        entry(3, 103, 18),
        entry(2, 999, 18),
        entry(2, 102, 24),
        entry(2, 102, 18),
        entry(2, 102, 19),
    ];
    let reply = Reply::Duties { dependent_root: 'a', duties };
    tell(&mut machine, Event::Answered { request: asked[0].0, reply });
    assert_eq!(machine.counters().dropped, 4);
    assert_eq!(machine.duties(18, 'a'), Ok(vec![entry(2, 102, 18)]));
    assert_eq!(machine.duties(19, 'a'), Ok(vec![]));
}

#[test]
fn duties_of_a_validator_that_is_gone_or_has_another_key_are_not_given_out() {
    // Validator 5 goes, comes back with another key, and then with its own: it is asked for anew.
    let mut machine = served(16, 'a');
    assert_eq!(tell(&mut machine, ours(&[2, 9])), []);
    assert_knows(&machine, 'a', 2, &[2, 9]);
    let other = Event::Validators(vec![(2, 102), (5, 7), (9, 109)]);
    let asked = tell(&mut machine, other);
    assert_eq!(asked.len(), 2);
    serve(&mut machine, asked, 'a');
    assert_knows(&machine, 'a', 2, &[2, 9]);
    let asked = tell(&mut machine, ours(&OURS));
    assert_eq!(asked.len(), 2);
    serve(&mut machine, asked, 'a');
    assert_knows(&machine, 'a', 2, &OURS);
}

#[test]
fn what_is_held_is_bounded() {
    // A hundred epochs of a branch each; a registry of twice the limit, and every index twice.
    let limits = Limits { validators: 2, ..Limits::default() };
    let mut machine = Duties::new(SLOTS, limits);
    let twice: Vec<_> = [2, 2, 5, 9].iter().map(|index| (*index, index + 100)).collect();
    tell(&mut machine, Event::Validators(twice));
    assert_eq!(machine.counters().dropped, 2);
    for slot in 0..100 * SLOTS {
        let asked = tell(&mut machine, Event::Slot(slot));
        let root = ['a', 'b', 'c', 'd', 'e'][slot as usize % 5];
        let asked = serve(&mut machine, asked, root);
        assert!(asked.iter().all(|ask| ask.2.len() <= 2) && asked.len() <= 8);
        assert!(machine.lists() <= 4 * 2, "{} lists", machine.lists());
    }
    assert_eq!(machine.duties(97 * SLOTS - 1, 'a'), Err(NoDuties::Unknown));
    assert_ne!(machine.duties(97 * SLOTS, 'a'), Err(NoDuties::Unknown));
}

#[test]
fn a_clock_that_steps_back_or_to_its_end_is_followed() {
    // Back by an epoch, where the next epoch's list is still held; then to the last slot of all.
    let mut machine = served(24, 'a');
    let asked = tell(&mut machine, Event::Slot(16));
    assert_eq!(asked.iter().map(|ask| ask.1).collect::<Vec<_>>(), [2, 3]);
    serve(&mut machine, asked, 'a');
    assert_knows(&machine, 'a', 2, &OURS);
    assert_eq!(machine.lists(), 2);
    let (asked, last) = (tell(&mut machine, Event::Slot(u64::MAX)), u64::MAX / SLOTS);
    assert_eq!(asked.iter().map(|ask| ask.1).collect::<Vec<_>>(), [last, last + 1]);
}

#[test]
fn limits_of_nothing_are_refused() {
    // An epoch without slots, and each limit as 0.
    let usual = Limits::default();
    let all = [
        (0, usual),
        (SLOTS, Limits { validators: 0, ..usual }),
        (SLOTS, Limits { branches: 0, ..usual }),
        (SLOTS, Limits { asks_per_slot: 0, ..usual }),
    ];
    for (slots, limits) in all {
        assert!(contain(|| Duties::new(slots, limits)).is_err(), "{slots} {limits:?}");
    }
}

/// Plays a script, then lets branch `b` settle.
fn play(script: &[(u8, u8)]) {
    let mut machine = Duties::new(SLOTS, Limits::default());
    let mut open: Vec<Ask> = tell(&mut machine, ours(&OURS));
    let (mut slot, mut known) = (16, OURS.to_vec());
    let mut asks: BTreeMap<(Slot, Epoch), u8> = BTreeMap::new();
    for (what, with) in script {
        let with = usize::from(*with);
        let root = ['a', 'b', 'c'][with % 3];
        let event = match what % 8 {
            0 => {
                slot += with as u64 % 3;
                Event::Slot(slot)
            }
            1 => {
                known = OURS[..with % 3 + 1].to_vec();
                ours(&known)
            }
            2 => Event::Head { epoch: slot / SLOTS + with as u64 % 2, dependent_root: root },
            _ if open.is_empty() => continue,
            3 => {
                let (request, ..) = open.swap_remove(with % open.len());
                Event::Answered { request, reply: Reply::Failed }
            }
            _ => answer(root, &open.swap_remove(with % open.len())),
        };
        let asked = tell(&mut machine, event);
        for ask in &asked {
            let count = asks.entry((slot, ask.1)).or_default();
            *count += 1;
            assert!(*count <= Limits::default().asks_per_slot);
        }
        open.extend(asked);
        assert!(machine.requests() <= 2 && machine.lists() <= 8);
        assert_all_true(&machine, slot / SLOTS, &known);
    }
    for _ in 0..2 {
        slot += 1;
        let asked = tell(&mut machine, Event::Slot(slot));
        serve(&mut machine, asked, 'b');
    }
    for epoch in [slot / SLOTS, slot / SLOTS + 1] {
        assert_knows(&machine, 'b', epoch, &known);
    }
}

/// Asserts that whatever is given out for an epoch and the next is a duty of ours on that branch.
fn assert_all_true(machine: &Duties, epoch: Epoch, known: &[ValidatorIndex]) {
    for slot in epoch * SLOTS..(epoch + 2) * SLOTS {
        for root in ['a', 'b', 'c'] {
            for due in machine.duties(slot, root).unwrap_or_default() {
                assert_eq!(slot_of(root, slot / SLOTS, due.validator), Some(slot));
                assert!(known.contains(&due.validator));
            }
        }
    }
}

#[test]
fn no_history_gives_a_duty_of_another_branch_and_every_one_settles() {
    // Slots pass, heads move between three branches; answers come late, in any order, from nodes on
    // different branches, or not at all; validators come and go. In the end one branch stays, and
    // two slots pass in which every answer comes.
    fn property(script: Vec<(u8, u8)>) -> bool {
        play(&script);
        true
    }
    let mut check = QuickCheck::new().rng(Gen::new(200)).tests(400);
    check.quickcheck(property as fn(Vec<(u8, u8)>) -> bool);
}
