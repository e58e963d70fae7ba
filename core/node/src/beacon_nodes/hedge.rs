//! One call to several nodes: which of them is asked, and when.
//!
//! **Contract.** [`Hedge`] is told the time and what the answers are worth, and says whom to ask,
//! until when to wait, or how the call ends. It has no clock and no thread.
//!
//! ```text
//!   time   0 ────────── share ────────── share ─────────────── end
//!   first  asked ···· no answer ······························  given up
//!   second              asked ·· useful: the call ends
//!   third                                (never asked)
//! ```
//!
//! **Rules.**
//! - H1 The next node is asked when the one before has used its share without an answer: with k
//!   nodes left, a k-th of the time that remains. The nodes that were asked before may still
//!   answer: all that were asked have until the end.
//! - H2 A node that fails, refuses or does not have it uses no share: the next node is asked at once
//!   (hazards P3 and V9).
//! - H3 The first useful answer ends the call.
//! - H4 A node is asked at most once by a call.
//! - H5 The call ends once all nodes have answered, and at its end whatever the nodes do.
//! - H6 A call that goes to all asks all at once.
//! - H7 Without a useful answer, what is told is a refusal if there was one, else the answer of the
//!   node that was asked first: it is the preferred one.

use std::time::Duration;

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is what was asked for, or what was submitted has been taken.
    Useful,
    /// The node does not have it; another one may.
    Nothing,
    /// The node refuses what was submitted. Another one may take it: a node that is behind knows
    /// less.
    Refused,
    /// No answer, or a malformed one: the node is at fault.
    Failed,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask this node.
    Ask(usize),
    /// Wait for an answer, until then at most.
    Wait(Duration),
    /// The call is over, with the answer of this node, if one has answered at all.
    End(Option<usize>),
}

/// A call. Nodes are numbers, times are since any moment.
#[derive(Clone, Debug)]
pub(crate) struct Hedge {
    /// The nodes in the order in which they are asked.
    order: Vec<usize>,
    end: Duration,
    /// Whether all are asked at once.
    all: bool,
    /// How many were asked.
    asked: usize,
    /// Answers of those that were asked, in the order in which they came.
    answers: Vec<(usize, Worth)>,
    /// When the share of the node that was asked last is used up.
    share_ends: Duration,
}

impl Hedge {
    /// Returns a call to these nodes, which are all different, that ends at `end`.
    pub(super) fn new(order: Vec<usize>, end: Duration, all: bool) -> Self {
        Self { order, end, all, asked: 0, answers: Vec::new(), share_ends: Duration::ZERO }
    }

    /// Takes an answer of a node that was asked. An answer that comes twice counts once.
    pub(super) fn answered(&mut self, node: usize, worth: Worth) {
        let is_open = !self.answers.iter().any(|(of, _)| *of == node);
        if is_open && self.order[..self.asked].contains(&node) {
            self.answers.push((node, worth));
        }
    }

    /// Returns what is to be done now. To be called again after each [`Step::Ask`].
    pub(crate) fn step(&mut self, now: Duration) -> Step {
        let useful = self.answers.iter().find(|(_, worth)| *worth == Worth::Useful);
        if let Some((node, _)) = useful {
            // H3
            return Step::End(Some(*node));
        }
        let is_last = self.asked == self.order.len();
        if now >= self.end || (is_last && self.answers.len() == self.asked) {
            // H5
            return Step::End(self.told());
        }
        // H6, H1, H2
        if !is_last && (self.all || now >= self.share_ends || self.last_has_answered()) {
            let left = u32::try_from(self.order.len() - self.asked).unwrap_or(u32::MAX);
            self.share_ends = now + (self.end - now) / left;
            self.asked += 1;
            return Step::Ask(self.order[self.asked - 1]);
        }
        Step::Wait(if is_last { self.end } else { self.share_ends.min(self.end) })
    }

    /// Returns the nodes that have not answered and that were passed over for it: another one was
    /// asked after them. The node that was asked last is none of them. So if none answers in time,
    /// the next call begins with another node than this one.
    pub(super) fn late(&self) -> impl Iterator<Item = usize> + '_ {
        let passed = if self.all { 0 } else { self.asked.saturating_sub(1) };
        self.order[..passed].iter().copied().filter(|node| self.worth(*node).is_none())
    }

    /// Whether the node that was asked last has answered; the share is its own.
    fn last_has_answered(&self) -> bool {
        self.asked > 0 && self.worth(self.order[self.asked - 1]).is_some()
    }

    fn worth(&self, node: usize) -> Option<Worth> {
        self.answers.iter().find(|(of, _)| *of == node).map(|(_, worth)| *worth)
    }

    /// Returns whose answer is told if none was useful (H7).
    fn told(&self) -> Option<usize> {
        let refused = |node: &&usize| self.worth(**node) == Some(Worth::Refused);
        let answered = |node: &&usize| self.worth(**node).is_some();
        let refusal = self.order.iter().find(refused);
        refusal.or_else(|| self.order.iter().find(answered)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A call to nodes 2, 0 and 1, in this order, that ends after 60 s. Two are asked by the end of
    /// the first share.
    fn hedge() -> Hedge {
        Hedge::new(vec![2, 0, 1], s(60), false)
    }

    #[test]
    fn the_next_node_is_asked_when_the_one_before_has_used_its_share() {
        // Nobody answers: a third, half of what is left, all of it (H1, H5).
        let mut hedge = hedge();
        assert_eq!((hedge.step(s(0)), hedge.step(s(0))), (Step::Ask(2), Step::Wait(s(20))));
        assert_eq!(hedge.step(s(19)), Step::Wait(s(20)));
        assert_eq!((hedge.step(s(20)), hedge.step(s(20))), (Step::Ask(0), Step::Wait(s(40))));
        assert_eq!((hedge.step(s(40)), hedge.step(s(40))), (Step::Ask(1), Step::Wait(s(60))));
        assert_eq!(hedge.step(s(60)), Step::End(None));
    }

    #[test]
    fn a_node_that_has_it_not_or_fails_has_the_next_one_asked_at_once() {
        // No time passes (H2). The last one's refusal is told, not the first one's failure (H7).
        let mut hedge = hedge();
        for (node, worth) in [(2, Worth::Failed), (0, Worth::Nothing), (1, Worth::Refused)] {
            assert_eq!(hedge.step(s(1)), Step::Ask(node));
            hedge.answered(node, worth);
        }
        assert_eq!(hedge.step(s(1)), Step::End(Some(1)));
    }

    #[test]
    fn an_answer_within_a_share_has_the_next_one_asked_though_an_earlier_node_hangs() {
        // 2 hangs, 0 is asked and has nothing: 1 is asked at once and not at the end of 0's share.
        let mut hedge = hedge();
        assert_eq!(hedge.step(s(0)), Step::Ask(2));
        assert_eq!(hedge.step(s(20)), Step::Ask(0));
        hedge.answered(0, Worth::Nothing);
        assert_eq!(hedge.step(s(21)), Step::Ask(1));
        // The first one may still win.
        hedge.answered(2, Worth::Useful);
        assert_eq!(hedge.step(s(22)), Step::End(Some(2)));
    }

    #[test]
    fn the_first_useful_answer_ends_the_call() {
        // The second answers; the third is never asked, and what the first says later is not told.
        let mut hedge = hedge();
        assert_eq!((hedge.step(s(0)), hedge.step(s(20))), (Step::Ask(2), Step::Ask(0)));
        hedge.answered(0, Worth::Useful);
        hedge.answered(2, Worth::Useful);
        assert_eq!(hedge.step(s(20)), Step::End(Some(0)));
    }

    #[test]
    fn no_node_is_asked_twice_and_no_answer_counts_twice() {
        // An answer that is repeated, and one of a node that was not asked.
        let mut hedge = hedge();
        assert_eq!(hedge.step(s(0)), Step::Ask(2));
        hedge.answered(1, Worth::Useful);
        hedge.answered(2, Worth::Nothing);
        hedge.answered(2, Worth::Useful);
        assert_eq!((hedge.step(s(0)), hedge.step(s(0))), (Step::Ask(0), Step::Wait(s(30))));
        hedge.answered(0, Worth::Failed);
        assert_eq!(hedge.step(s(0)), Step::Ask(1));
        hedge.answered(1, Worth::Failed);
        assert_eq!(hedge.step(s(0)), Step::End(Some(2)), "the preferred one's answer is told");
    }

    #[test]
    fn a_call_to_all_asks_all_at_once() {
        // No share is used up, and nobody is late.
        let mut hedge = Hedge::new(vec![2, 0, 1], s(60), true);
        let steps: Vec<Step> = (0..4).map(|_| hedge.step(s(0))).collect();
        assert_eq!(steps, [Step::Ask(2), Step::Ask(0), Step::Ask(1), Step::Wait(s(60))]);
        assert_eq!(hedge.late().count(), 0);
    }

    #[test]
    fn who_was_passed_over_without_an_answer_is_late_and_who_was_asked_last_is_not() {
        // 2 hangs for its share, 0 answers, 1 is asked last and hangs until the end.
        let mut hedge = hedge();
        assert_eq!((hedge.step(s(0)), hedge.late().count()), (Step::Ask(2), 0));
        assert_eq!(hedge.step(s(20)), Step::Ask(0));
        assert_eq!(hedge.late().collect::<Vec<_>>(), [2]);
        hedge.answered(0, Worth::Nothing);
        assert_eq!(hedge.step(s(21)), Step::Ask(1));
        assert_eq!(hedge.step(s(60)), Step::End(Some(0)));
        assert_eq!(hedge.late().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_call_without_time_asks_nobody() {
        // Its end has come before it begins.
        assert_eq!(hedge().step(s(60)), Step::End(None));
    }
}
