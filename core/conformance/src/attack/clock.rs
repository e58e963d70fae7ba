//! Attacks with slots that are far away, and with a clock that steps back.

use blocksmith_consensus::SignedBeaconBlock;

use super::chain::Chain;
use super::forged::{Junk, junk_block};
use super::held::orphan;
use super::plan::{Plan, Shot};

const ATTACKER: u64 = 1;
/// A slot that no node sees.
const FAR: u64 = 1 << 40;

/// A12. In the middle of the honest slots come queries for states and blocks of a far slot, then
/// one tick of a later one, and then the right one again.
pub(super) fn far_slots(chain: &Chain, n: u64, junk: &mut Junk) -> Plan {
    /// Threads that wait for a state at once; more would be the harness's own weight.
    const QUERIES: u64 = 32;
    let middle = chain.honest.len() / 2;
    let queries =
        (0..(n / 2).min(QUERIES)).map(|number| Shot::Query(chain.genesis_root, u64::MAX - number));
    let mut burst: Vec<Shot> = queries.collect();
    for number in 0..n - burst.len() as u64 {
        let SignedBeaconBlock { mut message, signature } =
            junk_block(chain, middle, number, junk).value().clone();
        message.slot = FAR + number;
        burst.push(Shot::Block(SignedBeaconBlock { message, signature }.into(), ATTACKER));
    }
    burst.push(Shot::Tick(2 * FAR));
    burst.push(Shot::Tick(chain.honest[middle].slot));
    let mut bursts = vec![Vec::new(); middle];
    bursts.push(burst);
    Plan { bursts, ..Plan::default() }
}

/// A14. In each honest slot but the last, blocks of the next slot come; the clock shows that slot
/// for a moment, and steps back. The other half is one orphan, again and again.
pub(super) fn steps_back(chain: &Chain, n: u64, junk: &mut Junk) -> Plan {
    let slots = chain.honest.len() - 1;
    let held = orphan(chain, 0, 0, 0, junk);
    let mut plan = Plan::spread(n / 2, slots, |number, at| {
        // It builds on what is known by now, and only its slot has not come.
        let SignedBeaconBlock { mut message, signature } =
            junk_block(chain, at, number, junk).value().clone();
        message.slot += 1;
        Shot::Block(SignedBeaconBlock { message, signature }.into(), ATTACKER)
    });
    for (at, burst) in plan.bursts.iter_mut().enumerate() {
        let slot = chain.honest[at].slot;
        burst.extend([Shot::Tick(slot + 1), Shot::Tick(slot)]);
    }
    let followers = (n / 2..n).map(|_| Shot::Block(held.clone(), ATTACKER + 1));
    plan.bursts[0].extend(followers);
    plan
}
