//! The blocks that held items wait for, and when the network is asked for each again.
//!
//! **Rules.** A block is asked for when the first item begins to wait for it. It is asked for again
//! after one slot, then after two more, four, and so on up to [`LONGEST`], for as long as an item
//! waits. So a request that is lost delays a block by a slot; it does not lose the block. The times
//! are slots of a clock that may step back: no request lies further ahead than [`LONGEST`] slots.
//!
//! A tick asks for a bounded number. The peers whose items wait share it: they take turns, each
//! with the block that has been due for longest among those that its items wait for. Proven peers
//! come first in each round, but for an eighth of the requests, which is kept for the others. So
//! however many blocks a peer's items claim to build on, they delay what an item of another peer
//! of its kind waits for by one request of each such peer.
//!
//! **Invariants.**
//! - N1 `of` has each block that an item waits for, with the number of such items by their owners,
//!   and no other block. `due` has each of them once.
//! - N2 `by_peer` has, for each owner, the blocks that its items wait for, by when they are due.
//!   No row is empty.
//! - N3 `after` is the peer that was served last, of the proven ones and of the others, if the last
//!   tick's bound left something due of that kind.

use std::collections::{BTreeMap, BTreeSet};

use super::fair::Peer;
use crate::consensus::Slot;

/// One request in so many is kept for peers that are not proven.
const KEPT: usize = 8;

/// The longest pause between two requests, in slots.
pub(super) const LONGEST: u64 = 32;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Need {
    due: Slot,
    pause: u64,
    /// How many items wait for the block, by owner.
    items: BTreeMap<Peer, usize>,
}

/// The requests; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Needs<R> {
    of: BTreeMap<R, Need>,
    due: BTreeSet<(Slot, R)>,
    by_peer: BTreeMap<Peer, BTreeSet<(Slot, R)>>,
    after: [Option<Peer>; 2],
}

impl<R: Copy + Ord> Needs<R> {
    pub(super) fn new() -> Self {
        Self {
            of: BTreeMap::new(),
            due: BTreeSet::new(),
            by_peer: BTreeMap::new(),
            after: [None; 2],
        }
    }

    /// Notes at slot `now` that an item of `owner` begins to wait for a block. Returns whether it is
    /// the first; the network is then to be asked for the block.
    pub(super) fn begin(&mut self, root: R, owner: Peer, now: Slot) -> bool {
        let first = !self.of.contains_key(&root);
        let need = self.of.entry(root).or_insert_with(|| {
            let due = now.saturating_add(1);
            self.due.insert((due, root));
            Need { due, pause: 1, items: BTreeMap::new() }
        });
        *need.items.entry(owner).or_default() += 1;
        self.by_peer.entry(owner).or_default().insert((need.due, root));
        first
    }

    /// Notes that an item of `owner` waits for a block no more. Nothing is asked for that nothing
    /// waits for.
    pub(super) fn end(&mut self, root: &R, owner: Peer) {
        let Some(need) = self.of.get_mut(root) else { return };
        let due = (need.due, *root);
        if let Some(items) = need.items.get_mut(&owner) {
            *items -= 1;
            if *items == 0 {
                need.items.remove(&owner);
                without(&mut self.by_peer, owner, &due);
            }
        }
        if need.items.is_empty() {
            self.of.remove(root);
            self.due.remove(&due);
        }
    }

    /// Notes that an item that waits for a block has another owner now.
    pub(super) fn pass_on(&mut self, root: R, from: Peer, to: Peer) {
        if let Some(due) = self.of.get(&root).map(|need| need.due) {
            self.begin(root, to, due);
            self.end(&root, from);
        }
    }

    /// Notes that nothing waits for a block.
    pub(super) fn forget(&mut self, root: &R) {
        let Some(need) = self.of.remove(root) else { return };
        let due = (need.due, *root);
        self.due.remove(&due);
        need.items.keys().for_each(|owner| without(&mut self.by_peer, *owner, &due));
    }

    /// Returns at most `limit` blocks that are to be asked for again at slot `now`; the others stay
    /// due. `proven` tells of a peer. The cost is linear in the number of peers and in `limit`.
    pub(super) fn again(
        &mut self,
        now: Slot,
        limit: usize,
        proven: impl Fn(Peer) -> bool,
    ) -> Vec<R> {
        self.draw_near(now);
        let mut rounds = self.rounds(now, proven);
        let (mut asked, mut kept) = (Vec::new(), limit / KEPT);
        // Each turn of the loop asks for a block, or leaves a peer out for which none is due.
        while asked.len() < limit && rounds.iter().any(|round| !round.is_empty()) {
            kept = if rounds[1].is_empty() { 0 } else { kept };
            self.serve(0, &mut rounds[0], now, limit - kept, &mut asked);
            let before = asked.len();
            let others = if rounds[0].is_empty() { limit } else { before + kept };
            self.serve(1, &mut rounds[1], now, others, &mut asked);
            kept = kept.saturating_sub(asked.len() - before);
            for round in &mut rounds {
                round.retain(|peer| self.first_due(*peer, now).is_some());
            }
        }
        for (after, round) in self.after.iter_mut().zip(&rounds) {
            *after = after.filter(|_| !round.is_empty());
        }
        asked
    }

    /// Returns the peers for which something is due, proven ones and others, each in the order of
    /// their turns.
    fn rounds(&self, now: Slot, proven: impl Fn(Peer) -> bool) -> [Vec<Peer>; 2] {
        let mut rounds = [Vec::new(), Vec::new()];
        for &peer in self.by_peer.keys().filter(|peer| self.first_due(**peer, now).is_some()) {
            rounds[usize::from(!proven(peer))].push(peer);
        }
        for (round, after) in rounds.iter_mut().zip(self.after) {
            let served = round.partition_point(|peer| after.is_some_and(|after| *peer <= after));
            round.rotate_left(served);
        }
        rounds
    }

    /// Asks once for each peer of a round, until `limit` are asked for in all. The peers that had
    /// their turn are moved to the round's end.
    fn serve(
        &mut self,
        of: usize,
        round: &mut [Peer],
        now: Slot,
        limit: usize,
        asked: &mut Vec<R>,
    ) {
        let mut turns = 0;
        for peer in round.iter() {
            if asked.len() >= limit {
                break;
            }
            turns += 1;
            // Another peer's turn may have served it.
            let Some(root) = self.first_due(*peer, now) else { continue };
            let pause = self.of.get(&root).map_or(1, |need| (need.pause * 2).min(LONGEST));
            self.schedule(root, now, pause);
            asked.push(root);
            self.after[of] = Some(*peer);
        }
        round.rotate_left(turns);
    }

    /// Returns the block that has been due for longest among those that a peer's items wait for.
    fn first_due(&self, peer: Peer, now: Slot) -> Option<R> {
        let (due, root) = self.by_peer.get(&peer)?.first()?;
        (*due <= now).then_some(*root)
    }

    /// Makes due soon what lies further ahead than any pause: the clock has stepped back.
    fn draw_near(&mut self, now: Slot) {
        while let Some(&(due, root)) = self.due.last() {
            if due <= now.saturating_add(LONGEST) {
                break;
            }
            self.schedule(root, now, 1);
        }
    }

    fn schedule(&mut self, root: R, now: Slot, pause: u64) {
        let Some(need) = self.of.get_mut(&root) else { return };
        let (before, due) = (need.due, now.saturating_add(pause));
        (need.due, need.pause) = (due, pause);
        self.due.remove(&(before, root));
        self.due.insert((due, root));
        for owner in need.items.keys() {
            if let Some(row) = self.by_peer.get_mut(owner) {
                row.remove(&(before, root));
                row.insert((due, root));
            }
        }
    }
}

/// Takes one block out of a peer's row, and the row with the last one.
fn without<R: Ord>(by_peer: &mut BTreeMap<Peer, BTreeSet<(Slot, R)>>, peer: Peer, due: &(Slot, R)) {
    if let Some(row) = by_peer.get_mut(&peer) {
        row.remove(due);
        if row.is_empty() {
            by_peer.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Needs, Peer};

    const NOBODY: fn(Peer) -> bool = |_| false;

    #[test]
    fn the_pause_doubles_up_to_the_longest_until_nobody_waits() {
        // Slots 0 to 200: the distances between requests for one block.
        let mut needs = Needs::new();
        assert!(needs.begin('a', 7, 0));
        let asked: Vec<_> = (1..200).filter(|now| needs.again(*now, 8, NOBODY) == ['a']).collect();
        let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!((asked[0], &pauses[..]), (1, &[2, 4, 8, 16, 32, 32, 32, 32, 32][..]));
        needs.forget(&'a');
        assert!(needs.again(1000, 8, NOBODY).is_empty());
        assert_eq!(needs, Needs::new());
    }

    #[test]
    fn a_block_is_asked_for_until_the_last_item_of_the_last_peer_waits_no_more() {
        // Two items of peer 7 and one of peer 8, of which the first is the first to wait.
        let mut needs = Needs::new();
        assert_eq!([7, 7, 8].map(|peer| needs.begin('a', peer, 0)), [true, false, false]);
        for peer in [7, 8] {
            needs.end(&'a', peer);
            assert_eq!(needs.clone().again(1, 8, NOBODY), ['a']);
        }
        assert_eq!(needs.by_peer.len(), 1);
        let mut passed_on = needs.clone();
        needs.end(&'a', 7);
        assert_eq!(needs, Needs::new());
        passed_on.pass_on('a', 7, 8);
        assert_eq!((passed_on.by_peer.len(), passed_on.again(1, 8, NOBODY)), (1, vec!['a']));
        passed_on.end(&'a', 8);
        assert_eq!(passed_on, Needs::new());
    }

    #[test]
    fn a_tick_asks_for_a_bounded_number_and_the_rest_stay_due() {
        // Five are due, two may be asked for in a tick.
        let mut needs = Needs::new();
        "abcde".chars().for_each(|root| assert!(needs.begin(root, 7, 0)));
        assert_eq!(needs.again(1, 2, NOBODY), ['a', 'b']);
        assert_eq!(needs.again(1, 2, NOBODY), ['c', 'd']);
        assert_eq!(needs.again(1, 2, NOBODY), ['e']);
    }

    #[test]
    fn peers_take_turns_and_the_next_tick_goes_on_where_the_last_one_ended() {
        // Peers 1 to 3 wait for four blocks each and peer 4 for one; two are asked for in a tick.
        let mut needs = Needs::new();
        for (peer, roots) in [(1, "abcd"), (2, "efgh"), (3, "ijkl"), (4, "z")] {
            roots.chars().for_each(|root| assert!(needs.begin(root, peer, 0)));
        }
        let asked = [(); 4].map(|()| needs.again(1, 2, NOBODY).into_iter().collect::<String>());
        assert_eq!(asked, ["ae", "iz", "bf", "jc"]);
    }

    #[test]
    fn proven_peers_come_first_and_a_block_that_two_wait_for_is_asked_for_once() {
        // Peer 9 is proven. Peer 1 waits for many, and for one that peer 9 waits for.
        let mut needs = Needs::new();
        "abcdx".chars().for_each(|root| assert!(needs.begin(root, 1, 0)));
        assert!(!needs.begin('x', 9, 0) && needs.begin('y', 9, 0));
        let proven = |peer| peer == 9;
        assert_eq!(needs.again(1, 3, proven), ['x', 'y', 'a']);
        assert_eq!(needs.again(1, 8, proven), ['b', 'c', 'd']);
        assert_eq!((needs.after, needs.again(2, 8, proven)), ([None; 2], vec![]));
    }

    #[test]
    fn an_eighth_of_the_requests_is_kept_for_peers_that_are_not_proven() {
        // Peers 11 to 18 are proven and wait for two blocks each; peers 1 and 2 for one each.
        let mut needs = Needs::new();
        for peer in 11..=18 {
            assert!(needs.begin(10 * peer, peer, 0) && needs.begin(10 * peer + 1, peer, 0));
        }
        assert!(needs.begin(1, 1, 0) && needs.begin(2, 2, 0));
        let proven = |peer| peer > 10;
        let asked = [(); 3].map(|()| needs.again(1, 8, proven));
        assert_eq!(asked[0], [110, 120, 130, 140, 150, 160, 170, 1]);
        assert_eq!(asked[1], [180, 111, 121, 131, 141, 151, 161, 2]);
        // What nobody else asks for is the proven peers'.
        assert_eq!((asked[2].clone(), needs.after), (vec![171, 181], [None; 2]));
    }

    #[test]
    fn any_number_of_strangers_gets_what_is_kept_for_them_and_no_more() {
        // Peer 99 is proven and waits for 64 blocks; 63 peers wait for two each; 64 requests.
        let mut needs = Needs::new();
        for root in 0..64 {
            assert!(needs.begin(1000 + root, 99, 0));
        }
        for peer in 0..63 {
            assert!(needs.begin(2 * peer, peer, 0) && needs.begin(2 * peer + 1, peer, 0));
        }
        let asked = needs.again(1, 64, |peer| peer == 99);
        let of_proven = asked.iter().filter(|root| **root >= 1000).count();
        assert_eq!((asked.len(), of_proven), (64, 56));
    }

    #[test]
    fn two_strangers_get_all_that_is_kept_for_them_in_turns() {
        // Peer 99 is proven, and peers 1 and 2 are not; each waits for 64 blocks; 64 requests.
        let mut needs = Needs::new();
        for (peer, first) in [(1, 0), (2, 100), (99, 1000)] {
            (first..first + 64).for_each(|root| assert!(needs.begin(root, peer, 0)));
        }
        let asked = needs.again(1, 64, |peer| peer == 99);
        let of = |range: std::ops::Range<u64>| asked.iter().filter(|r| range.contains(r)).count();
        assert_eq!([of(0..100), of(100..200), of(1000..2000)], [4, 4, 56]);
    }

    #[test]
    fn a_round_that_is_cut_short_goes_on_where_it_was_cut() {
        // Peer 9 is proven and waits for one block, peers 1 to 3 for many. Of eight requests one is
        // kept for them; then peer 9 has no more.
        let mut needs = Needs::new();
        for (peer, roots) in [(9, "z"), (1, "abc"), (2, "def"), (3, "ghi")] {
            roots.chars().for_each(|root| assert!(needs.begin(root, peer, 0)));
        }
        let asked: String = needs.again(1, 8, |peer| peer == 9).into_iter().collect();
        assert_eq!(asked, "zadgbehc");
    }

    #[test]
    fn what_is_kept_goes_to_the_proven_once_the_others_have_theirs() {
        // Peer 1 waits for one block, proven peers 11 and 12 for many; sixteen requests a tick.
        let mut needs = Needs::new();
        for root in 0..20 {
            assert!(needs.begin(100 + root, 11, 0) && needs.begin(200 + root, 12, 0));
        }
        assert!(needs.begin(1, 1, 0));
        let asked = needs.again(1, 16, |peer| peer > 10);
        let of = |range: std::ops::Range<u64>| asked.iter().filter(|r| range.contains(r)).count();
        assert_eq!((of(0..100), of(100..200), of(200..300)), (1, 8, 7));
    }

    #[test]
    fn a_clock_that_was_far_ahead_delays_a_request_by_the_longest_pause_at_most() {
        // One wrong tick a million slots ahead, then the right time again.
        let mut needs = Needs::new();
        assert!(needs.begin('a', 7, 5));
        assert_eq!(needs.again(1_000_000, 8, NOBODY), ['a']);
        let asked = (6..6 + LONGEST).any(|now| needs.again(now, 8, NOBODY) == ['a']);
        assert!(asked);
    }
}
