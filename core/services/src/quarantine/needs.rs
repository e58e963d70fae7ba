//! The blocks that held items wait for, and when the network is asked for each again.
//!
//! **Rules.** A block is asked for when the first item begins to wait for it. It is asked for again
//! after one slot, then after two more, four, and so on up to [`LONGEST`], for as long as an item
//! waits. So a request that is lost delays a block by a slot; it does not lose the block. The times
//! are slots of a clock that may step back: no request lies further ahead than [`LONGEST`] slots.

use std::collections::{BTreeMap, BTreeSet};

use crate::consensus::Slot;

/// The longest pause between two requests, in slots.
pub(super) const LONGEST: u64 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Need {
    due: Slot,
    pause: u64,
}

/// The requests; one for each block that is waited for, and no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Needs<R> {
    of: BTreeMap<R, Need>,
    due: BTreeSet<(Slot, R)>,
}

impl<R: Copy + Ord> Needs<R> {
    pub(super) fn new() -> Self {
        Self { of: BTreeMap::new(), due: BTreeSet::new() }
    }

    /// Notes that a block was asked for at slot `now`.
    pub(super) fn asked(&mut self, root: R, now: Slot) {
        self.schedule(root, now, 1);
    }

    /// Notes that nothing waits for a block.
    pub(super) fn forget(&mut self, root: &R) {
        if let Some(need) = self.of.remove(root) {
            self.due.remove(&(need.due, *root));
        }
    }

    /// Returns at most `limit` blocks that are to be asked for again at slot `now`, those that have
    /// been due for longest first. The others stay due.
    pub(super) fn again(&mut self, now: Slot, limit: usize) -> Vec<R> {
        self.draw_near(now);
        let ready: Vec<_> =
            self.due.iter().take_while(|(due, _)| *due <= now).take(limit).copied().collect();
        for (_, root) in &ready {
            let pause = self.of.get(root).map_or(1, |need| (need.pause * 2).min(LONGEST));
            self.schedule(*root, now, pause);
        }
        ready.into_iter().map(|(_, root)| root).collect()
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
        self.forget(&root);
        let need = Need { due: now.saturating_add(pause), pause };
        self.of.insert(root, need);
        self.due.insert((need.due, root));
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Needs};

    #[test]
    fn the_pause_doubles_up_to_the_longest_until_nobody_waits() {
        // Slots 0 to 200: the distances between requests for one block.
        let mut needs = Needs::new();
        needs.asked('a', 0);
        let asked: Vec<_> = (1..200).filter(|now| needs.again(*now, 8) == ['a']).collect();
        let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!((asked[0], &pauses[..]), (1, &[2, 4, 8, 16, 32, 32, 32, 32, 32][..]));
        needs.forget(&'a');
        assert!(needs.again(1000, 8).is_empty() && needs.due.is_empty());
    }

    #[test]
    fn a_tick_asks_for_a_bounded_number_and_the_rest_stay_due() {
        // Five are due, two may be asked for in a tick.
        let mut needs = Needs::new();
        "abcde".chars().for_each(|root| needs.asked(root, 0));
        assert_eq!(needs.again(1, 2), ['a', 'b']);
        assert_eq!(needs.again(1, 2), ['c', 'd']);
        assert_eq!(needs.again(1, 2), ['e']);
    }

    #[test]
    fn a_clock_that_was_far_ahead_delays_a_request_by_the_longest_pause_at_most() {
        // One wrong tick a million slots ahead, then the right time again.
        let mut needs = Needs::new();
        needs.asked('a', 5);
        assert_eq!(needs.again(1_000_000, 8), ['a']);
        let asked = (6..6 + LONGEST).any(|now| needs.again(now, 8) == ['a']);
        assert!(asked);
    }
}
