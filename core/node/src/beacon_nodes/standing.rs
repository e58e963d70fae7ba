//! What is known of each node, and in which order they are asked because of it.
//!
//! **Rules of the rank.** What comes first in this list outweighs what comes later.
//! - R1 A node that failed lately comes after those that did not. It rests for [`REST`], and twice
//!   as long each time that it fails again, up to [`MAX_REST`]. So a node that is dead costs a share
//!   of a duty's time now and then, and not in each duty (hazard P2). An answer ends its rest.
//! - R2 A node that did not answer when it was asked for its health comes after those that did.
//! - R3 A node that is behind comes after those that are less so. Up to [`SYNCED`] slots are no
//!   difference: the slots may have no blocks.
//! - R4 A node whose head is optimistic comes after those whose head is verified.
//! - R5 Else they are in the order in which the user gave them.

use std::time::Duration;

/// How long a node that failed is asked last: two slots of the main network.
pub(super) const REST: Duration = Duration::from_secs(24);
/// How long a node that fails again and again is asked last.
pub(super) const MAX_REST: Duration = Duration::from_secs(384);
/// Slots by which a node may be behind and still counts as synchronised.
const SYNCED: u64 = 2;

/// What a node says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It gave no answer in time.
    Silent,
    /// It has answered.
    Answered {
        /// How many slots its head is behind the clock.
        sync_distance: u64,
        /// Whether its head's payload has not been verified.
        is_optimistic: bool,
    },
}

/// What is known of one node. Times are since any moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    health: Health,
    rests_until: Duration,
    /// How often it has failed since it answered.
    failures: u32,
}

impl Standing {
    pub(super) fn health(&self) -> Health {
        self.health
    }

    pub(super) fn set_health(&mut self, health: Health) {
        self.health = health;
    }

    /// Notes an answer, of whatever worth.
    pub(super) fn answered(&mut self) {
        (self.rests_until, self.failures) = (Duration::ZERO, 0);
    }

    /// Notes a failure. What fails while the node rests is the same failure.
    pub(super) fn failed(&mut self, now: Duration) {
        if now >= self.rests_until {
            let rest = REST.saturating_mul(1 << self.failures.min(16)).min(MAX_REST);
            self.rests_until = now.saturating_add(rest);
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// Returns what the node is ranked by; the less, the sooner it is asked.
    fn rank(&self, now: Duration) -> (bool, bool, u64, bool) {
        let (is_silent, distance, is_optimistic) = match self.health {
            Health::Unknown => (false, 0, false),
            Health::Silent => (true, 0, false),
            Health::Answered { sync_distance, is_optimistic } => {
                (false, if sync_distance <= SYNCED { 0 } else { sync_distance }, is_optimistic)
            }
        };
        (now < self.rests_until, is_silent, distance, is_optimistic)
    }
}

/// Returns the numbers of the nodes in the order in which they are asked now.
pub(super) fn order(nodes: &[Standing], now: Duration) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    // Stable: R5.
    order.sort_by_key(|node| nodes[*node].rank(now));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn healthy(sync_distance: u64, is_optimistic: bool) -> Standing {
        let health = Health::Answered { sync_distance, is_optimistic };
        Standing { health, ..Standing::default() }
    }

    fn failed(at: Duration, times: u32) -> Standing {
        let mut standing = Standing::default();
        let mut now = at;
        for _ in 0..times {
            standing.failed(now);
            now = standing.rests_until;
        }
        standing
    }

    #[test]
    fn nodes_of_equal_standing_are_in_the_users_order() {
        // One that was not asked, and two that are within what counts as synchronised (R5).
        assert_eq!(
            order(&[healthy(2, false), Standing::default(), healthy(0, false)], NOW),
            [0, 1, 2]
        );
    }

    #[test]
    fn a_node_that_is_behind_comes_after_those_that_are_less_so() {
        // R3; an optimistic one that is synchronised comes before one that is behind (R4).
        let nodes = [healthy(9, false), healthy(3, false), healthy(0, true), healthy(1, false)];
        assert_eq!(order(&nodes, NOW), [3, 2, 1, 0]);
    }

    #[test]
    fn a_silent_node_comes_after_one_that_is_far_behind() {
        // R2
        let silent = Standing { health: Health::Silent, ..Standing::default() };
        assert_eq!(order(&[silent, healthy(1_000, true)], NOW), [1, 0]);
    }

    #[test]
    fn a_node_that_failed_is_asked_last_until_it_has_rested() {
        // It comes after a silent one, and 24 s later it is the first again (R1).
        let silent = Standing { health: Health::Silent, ..Standing::default() };
        let nodes = [failed(NOW, 1), silent];
        assert_eq!(order(&nodes, NOW), [1, 0]);
        assert_eq!(order(&nodes, NOW + REST), [0, 1]);
    }

    #[test]
    fn a_node_that_fails_again_rests_twice_as_long_and_an_answer_ends_it() {
        // The third rest takes 96 s; many are bounded. Failures while it rests are one.
        let rest = |standing: &Standing, from: Duration| standing.rests_until - from;
        let third = failed(NOW, 3);
        assert_eq!(rest(&third, NOW), REST * (1 + 2 + 4));
        let before = failed(NOW, 20).rests_until;
        assert_eq!(rest(&failed(NOW, 21), before), MAX_REST);
        let mut standing = failed(NOW, 1);
        standing.failed(NOW + REST / 2);
        assert_eq!(rest(&standing, NOW), REST);
        standing.answered();
        assert_eq!(order(&[standing, Standing::default()], NOW), [0, 1]);
        standing.failed(NOW);
        assert_eq!(rest(&standing, NOW), REST, "it begins anew");
    }
}
