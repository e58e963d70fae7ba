//! Random histories: clocks, heads, answers and failures in any order.

use quickcheck::{Gen, QuickCheck};

use super::*;

/// Plays a script, and checks after each step what always holds.
fn play(script: &[(u8, u8)]) {
    let duties: Vec<_> = (1..=6).map(|of| (of, 3 + of / 2)).collect();
    let mut line = Line::listed(&duties);
    line.lists.insert(2, duties.iter().map(|(of, slot)| (*of, 10 - slot)).collect());
    let mut signed: BTreeMap<DutyId, ToyVote> = BTreeMap::new();
    let mut seen = 0;
    for (what, with) in script {
        let slot = line.now / 1200;
        let branch = if with % 2 == 0 { 'a' } else { 'b' };
        match what % 10 {
            0..3 => line.now += u64::from(*with) * 3,
            3 if *with > 200 => line.now = line.now.saturating_sub(u64::from(*with) * 4),
            3 => line.root = [None, Some(1), Some(2)][usize::from(with % 3)],
            4 => line.tell(Event::Head(head(branch, slot))),
            5 => line.tell(Event::Available { slot, block: head(branch, slot).root }),
            _ if line.asked.is_empty() => {}
            _ => {
                let at = usize::from(*with) % line.asked.len();
                let (request, _, asked) = line.asked.swap_remove(at);
                let reply = answer(&line, *what, branch, &asked);
                line.tell(Event::Reply { request, reply });
            }
        }
        line.tell(Event::Wake);
        check(&line, &mut signed, &mut seen);
    }
    // Two epochs later everything has ended. Votes may still be asked for on the way.
    let end = (line.now / 1200 + 8) * 1200;
    while line.now < end {
        line.now = line.machine.wake_at().expect("after genesis").min(end);
        line.tell(Event::Wake);
        check(&line, &mut signed, &mut seen);
    }
    assert_eq!(line.machine.under_way().count(), 0);
    assert_eq!(line.ended.len(), line.began.len());
}

/// An honest answer, a failure, or an answer of another kind.
fn answer(line: &Line, what: u8, branch: char, asked: &Request<ToyVotes>) -> Reply<ToyVotes> {
    match asked {
        _ if what % 10 == 9 => Reply::Failed,
        _ if what == 66 => Reply::Refused,
        Request::Duties { epoch, validators } => {
            line.list(if branch == 'a' { 1 } else { 2 }, *epoch, validators)
        }
        Request::Data { .. } if what.is_multiple_of(7) => Reply::NoBlock,
        Request::Data { slot } => Reply::Data(ToyVote {
            is_complete: !what.is_multiple_of(3),
            ..data(branch, if what.is_multiple_of(11) { slot.saturating_sub(1) } else { *slot })
        }),
        Request::Sign { key, data, .. } => Reply::Signature((*key, *data)),
        Request::Publish { .. } if what % 10 == 8 => Reply::NotTaken,
        Request::Publish { votes, .. } => {
            let refused = votes.iter().take(usize::from(what % 2)).map(|vote| vote.validator);
            Reply::Published { refused: refused.collect() }
        }
    }
}

/// One outcome for each duty, one set of data for each vote, of the slot and of the branch that
/// lists the validator; requests within their slot.
fn check(line: &Line, signed: &mut BTreeMap<DutyId, ToyVote>, seen: &mut RequestId) {
    let slot = line.now / 1200;
    for (id, by_ms, asked) in &line.asked {
        if *id < *seen {
            continue;
        }
        assert!(*by_ms <= line.now + 1200, "a request is given up with its slot: {asked:?}");
        let Request::Sign { duty, data, .. } = asked else { continue };
        assert_eq!((duty.slot, data.slot), (slot, slot));
        assert_eq!(*signed.entry(*duty).or_insert(*data), *data, "one vote of a slot");
        let root = data.block % 10;
        assert!(line.lists[&root].contains(&(duty.validator, slot)), "{duty:?} {data:?}");
    }
    *seen = line.asked.iter().map(|asked| asked.0 + 1).chain([*seen]).max().unwrap_or(0);
    let mut ended: Vec<_> = line.ended.iter().map(|(duty, _)| *duty).collect();
    ended.sort_unstable();
    assert!(ended.windows(2).all(|pair| pair[0] < pair[1]), "a duty ends once: {ended:?}");
    let under_way = line.machine.under_way().count();
    assert_eq!(line.began.len(), ended.len() + under_way);
    assert!(line.machine.under_way().all(|duty| duty.slot == slot));
    // Six signatures, one request for data, two publications or more again, and two lists.
    assert!(line.machine.requests() <= 6 + 1 + 6 + 2);
}

#[test]
fn every_history_gives_each_duty_one_outcome_and_each_slot_one_vote() {
    // Slots pass, are slept over, and come back; nodes are on two branches, and answer anything.
    fn property(script: Vec<(u8, u8)>) -> bool {
        play(&script);
        true
    }
    let mut check = QuickCheck::new().rng(Gen::new(200)).tests(400);
    check.quickcheck(property as fn(Vec<(u8, u8)>) -> bool);
}
