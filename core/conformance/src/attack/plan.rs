//! What an attacker does, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use blocksmith::verdict::{ItemId, Verdict};
use blocksmith_consensus::{
    InvalidData, Root, SharedAggregate, SharedAttestation, SharedBlock, Slot,
};

use crate::protocol::Work;

/// The peer that the honest items come from; those of attackers are numbered from 1.
pub(super) const HONEST: u64 = 0;

/// One thing that an attacker does.
#[derive(Clone)]
pub(super) enum Shot {
    /// A peer sends a block.
    Block(SharedBlock, u64),
    /// A peer sends an attestation.
    Attestation(SharedAttestation, u64),
    /// A peer sends an attestation of one validator on a subnet, which is the second number.
    Single(SharedAttestation, u64, u64),
    /// A peer sends an aggregate with its proof.
    Aggregate(SharedAggregate, u64),
    /// The clock shows a slot.
    Tick(Slot),
    /// Somebody asks for the state of a block at a slot, and waits for it in a thread.
    Query(Root, Slot),
}

/// What an attacker does, and when.
#[derive(Clone, Default)]
pub(super) struct Plan {
    /// What happens in each honest slot, beginning before the honest block.
    pub(super) bursts: Vec<Vec<Shot>>,
    /// Whether the node does not read its notices before the honest slots are over.
    pub(super) reader_pauses: bool,
    /// Slots that pass after the honest ones, with nothing in them but `again`.
    pub(super) slots_after: u64,
    /// What is sent in each of those slots.
    pub(super) again: Vec<Shot>,
    /// How many slots the honest peer sends before it waits for the verdicts of the first of them.
    /// With 0 it waits for each block, and then for the votes of its slot.
    pub(super) ahead: usize,
}

impl Plan {
    /// Returns whether the attacker sends anything in honest slot number `at`.
    pub(super) fn attacks_in(&self, at: usize) -> bool {
        self.bursts.get(at).is_some_and(|burst| !burst.is_empty())
    }

    /// Returns whether the attacker sends an exact copy of a block or an attestation, whichever
    /// peer it comes from: one with another signature is none.
    pub(super) fn copies(&self, honest: &Shot) -> bool {
        self.bursts.iter().flatten().chain(&self.again).any(|shot| match (shot, honest) {
            (Shot::Block(one, _), Shot::Block(other, _)) => one == other,
            (Shot::Attestation(one, _), Shot::Attestation(other, _)) => one == other,
            _ => false,
        })
    }

    /// Spreads `count` shots evenly over the first `slots` of the honest slots. `shot` gets the
    /// number of the shot and that of the slot.
    pub(super) fn spread(
        count: u64,
        slots: usize,
        mut shot: impl FnMut(u64, usize) -> Shot,
    ) -> Self {
        let mut bursts: Vec<Vec<Shot>> = vec![Vec::new(); slots.max(1)];
        for number in 0..count {
            // Both factors are far below the square root of the largest number.
            let at = (number * slots as u64 / count) as usize;
            bursts[at].push(shot(number, at));
        }
        Self { bursts, ..Self::default() }
    }
}

/// How many items were answered how: class and reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally(BTreeMap<(&'static str, &'static str), u64>);

impl Tally {
    pub(super) fn add(&mut self, verdict: &Verdict<Root, InvalidData>) {
        *self.0.entry((verdict.class(), verdict.reason())).or_default() += 1;
    }

    /// Returns how many answers have this class.
    pub(super) fn class(&self, class: &str) -> u64 {
        self.0.iter().filter(|((of, _), _)| *of == class).map(|(_, count)| count).sum()
    }

    /// Returns how many answers have this reason.
    #[cfg(test)]
    pub(super) fn reason(&self, reason: &str) -> u64 {
        self.0.iter().filter(|((_, of), _)| *of == reason).map(|(_, count)| count).sum()
    }

    pub(super) fn all(&self) -> u64 {
        self.0.values().sum()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, ((class, reason), count)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{class} {reason} {count}")?;
        }
        if self.0.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

/// What the notices told a node that read them.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// Roots that were asked for.
    pub(super) needs: BTreeSet<Root>,
    /// How often each submission was parked because its slot had not come.
    pub(super) parked: BTreeMap<ItemId, u64>,
    /// How often the head changed.
    pub(super) heads: u64,
}

/// What came of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Played {
    /// From submission to verdict, of every honest item, in ascending order; the deadline, for an
    /// item that was dropped.
    pub(super) latencies: Vec<Duration>,
    /// Honest slots that there was time for.
    pub(super) slots: u64,
    /// Whether the services came to rest afterwards. If they did not, `work` and `cpu` lack a part.
    pub(super) rested: bool,
    /// Honest items that were not accepted by the deadline. One that is ignored as a duplicate is
    /// not among them if the attacker sends a copy of it.
    pub(super) dropped: u64,
    /// The verdicts of honest items.
    pub(super) honest: Tally,
    /// The verdicts of the attacker's items.
    pub(super) answers: Tally,
    /// Submissions that had no verdict in the end, or the one that stands for a lost one.
    pub(super) lost: u64,
    /// What the services did, from the first honest slot until they rested.
    pub(super) work: Work,
    /// CPU time of the process meanwhile.
    pub(super) cpu: Duration,
    /// Peak of the resident memory meanwhile, in bytes.
    pub(super) peak: u64,
    /// How long the stop took.
    pub(super) stop: Duration,
    /// Threads that had not ended by the stop's deadline.
    pub(super) late: Vec<String>,
    /// Submissions that were held when the stop was asked for.
    pub(super) held: u64,
    /// What the notices told.
    pub(super) heard: Heard,
    /// States that were asked for, and answers.
    pub(super) queries: [u64; 2],
}

impl Played {
    /// Returns the latency below which `percent` of the honest items are, in milliseconds: the
    /// nearest rank.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        percentile(&self.latencies, percent)
    }
}

/// Returns the nearest-rank percentile of sorted times, in milliseconds; 0 of none.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_ranks() {
        // Of 1 to 200 ms the 50th percentile is the 100th value; of one value every one is that.
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!((percentile(&times, 50), percentile(&times, 99)), (100.0, 198.0));
        assert_eq!((percentile(&times[..1], 50), percentile(&times[..1], 99)), (1.0, 1.0));
        assert_eq!(percentile(&[], 50), 0.0);
    }

    #[test]
    fn shots_are_spread_over_the_slots_in_their_order() {
        // Five shots over three slots: no shot is lost, and no slot has more than one more.
        let plan = Plan::spread(5, 3, |number, at| Shot::Tick(10 * at as u64 + number));
        let ticks = |burst: &Vec<Shot>| {
            burst.iter().map(|shot| if let Shot::Tick(slot) = shot { *slot } else { 99 }).collect()
        };
        let bursts: Vec<Vec<u64>> = plan.bursts.iter().map(ticks).collect();
        assert_eq!(bursts, [vec![0, 1], vec![12, 13], vec![24]]);
    }
}
