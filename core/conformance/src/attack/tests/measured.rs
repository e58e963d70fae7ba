//! What a row counts as dropped and lost, and whose memory its peak is.

use blocksmith::verdict::{DropReason, IgnoreReason, RejectReason, Verdict};

use super::super::plan::HONEST;
use super::*;

#[test]
fn a_lost_verdict_is_counted_and_fails_the_report() {
    // A row in which one verdict was lost among others in which none was.
    let mut report = Report { rows: vec![row("A1", 64, 1.0), row("A1", 256, 1.0)] };
    assert!(report.is_as_expected());
    report.rows[1].verdicts_lost = 1;
    assert!(!report.is_as_expected());
}

#[test]
fn honest_items_that_an_attack_has_dropped_fail_the_report() {
    // Those that are dropped without it, too, are no fault of an attack; nor are fewer.
    let lossy = |dropped, lost| Played { dropped, lost, rested: true, ..Played::default() };
    for (quiet, attacked, by_attack) in [(0, 0, 0), (0, 1, 1), (2, 2, 0), (2, 1, 0), (2, 144, 142)]
    {
        let mut row = Row { honest: Honest::default(), notes: Vec::new(), ..row("A1", 64, 1.0) };
        stage::blame(&mut row, &lossy(quiet, 0), &lossy(attacked, 0));
        assert_eq!((row.honest.dropped, row.dropped_by_attack), (attacked, by_attack));
        assert_eq!(row.notes.is_empty(), quiet == 0, "{:?}", row.notes);
        // What another run of the same row lost is counted as well.
        stage::blame(&mut row, &lossy(0, 1), &lossy(1, 2));
        let found = (row.honest.dropped, row.dropped_by_attack, row.verdicts_lost);
        assert_eq!(found, (attacked + 1, by_attack + 1, 3));
        row.verdicts_lost = 0;
        let mut report = Report { rows: vec![row] };
        assert!(!report.is_as_expected());
        report.rows[0].dropped_by_attack = 0;
        assert!(report.is_as_expected());
    }
}

#[test]
fn an_honest_item_that_is_not_accepted_counts_as_dropped_and_with_its_whole_deadline() {
    // Each answer comes at once; only one accepted item, and one that is ignored for a copy of it,
    // were fast.
    let (soon, deadline) = (Duration::from_millis(1), Duration::from_secs(5));
    let refused = Verdict::Reject(RejectReason::KnownInvalid);
    let duplicate = Verdict::Ignore(IgnoreReason::Duplicate);
    for (answer, is_copied, is_right) in [
        (Verdict::Accept { post_state_root: None, relay: false }, false, true),
        (duplicate.clone(), true, true),
        (duplicate, false, false),
        (Verdict::Ignore(IgnoreReason::TooOld), true, false),
        (Verdict::Ignore(IgnoreReason::SecondProposal), false, false),
        (refused, true, false),
        (Verdict::Dropped(DropReason::PeerBusy), false, false),
        (Verdict::Dropped(DropReason::Evicted), true, false),
    ] {
        let mut played = Played::default();
        played.take_honest(Some(soon), deadline, Some(answer.clone()), || is_copied);
        let expected = if is_right { (0, vec![soon]) } else { (1, vec![deadline]) };
        assert_eq!((played.dropped, played.latencies), expected, "{answer:?} {is_copied}");
        assert_eq!((played.lost, played.honest.all()), (0, 1));
        // The same answer after the deadline.
        let mut played = Played::default();
        played.take_honest(None, deadline, Some(answer), || is_copied);
        assert_eq!((played.dropped, played.latencies), (1, vec![deadline]));
    }
    let mut played = Played::default();
    played.take_honest(None, deadline, None, || true);
    assert_eq!((played.dropped, played.lost, played.latencies), (1, 1, vec![deadline]));
}

#[test]
fn an_honest_block_that_a_copy_comes_before_is_rightly_ignored() {
    // The attacker relays each honest block before the honest peer sends it.
    let scene = fresh();
    let relayed = |slot: &chain::HonestSlot| vec![Shot::Block(slot.block.clone(), 1)];
    let bursts = scene.chain.honest.iter().map(relayed).collect();
    let plan = Plan { bursts, ..Plan::default() };
    let played = played(&scene, &plan);
    assert_eq!((played.dropped, played.answers.class("valid")), (0, 8), "{}", played.answers);
    assert_eq!(played.honest.reason("duplicate"), 8, "{}", played.honest);
    // Copies under other signatures are none, nor are items of another kind.
    let slot = &scene.chain.honest[0];
    let honest =
        [Shot::Block(slot.block.clone(), HONEST), Shot::Attestation(slot.votes[0].clone(), HONEST)];
    assert_eq!(honest.each_ref().map(|shot| plan.copies(shot)), [true, false]);
    let plan = forged::copies(&scene.chain, N, 3, &mut Junk::default());
    assert_eq!(honest.each_ref().map(|shot| plan.copies(shot)), [false, false]);
    let plan = Plan { again: vec![honest[1].clone()], ..Plan::default() };
    assert_eq!(honest.each_ref().map(|shot| plan.copies(shot)), [false, true]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_peak_of_a_row_is_not_that_of_what_came_before_it_or_between() {
    // Something touches 512 MiB before the tree of A13, and in the pauses of honest slots.
    const TOUCHED: usize = 512 << 20;
    let touch = || drop(std::hint::black_box(vec![1_u8; TOUCHED]));
    let _alone = crate::process::PEAK.lock();
    touch();
    let row = stage::blocks_in_tree(N, 1);
    assert!((1..TOUCHED as u64).contains(&row.peak_bytes), "{}", row.peak_bytes);
    let between = &mut |_, _| touch();
    let pieces = play::Pieces { slots: 3, between };
    let played = play::play_in(&fresh(), &Plan::default(), Some(pieces)).expect("a run");
    assert!((1..TOUCHED as u64).contains(&played.peak), "{}", played.peak);
}
