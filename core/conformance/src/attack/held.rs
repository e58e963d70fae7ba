//! Attacks with what has to wait, and with what finality has passed or cannot pass.

use blocksmith_consensus::{Root, SharedBlock, SignedBeaconBlock};

use super::chain::{Chain, number_root};
use super::forged::{Junk, junk_block};
use super::plan::{Plan, Shot};

/// The only attacker, where the number of peers makes no difference.
const ATTACKER: u64 = 1;

/// A root that no block has.
fn nowhere(number: u64) -> Root {
    number_root(u64::MAX - number)
}

/// Returns a block with an unknown parent: an orphan. Nobody can tell whether its proposer signed.
pub(super) fn orphan(
    chain: &Chain,
    at: usize,
    number: u64,
    parent: u64,
    junk: &mut Junk,
) -> SharedBlock {
    let SignedBeaconBlock { mut message, signature } =
        junk_block(chain, at, number, junk).value().clone();
    message.parent_root = nowhere(parent);
    SignedBeaconBlock { message, signature }.into()
}

/// A3. All equivocations are valid blocks of the first honest slot. They come in the first eight.
pub(super) fn equivocations(chain: &Chain, n: u64) -> Plan {
    let blocks = chain.equivocations(n);
    let slots = chain.honest.len().min(8);
    Plan::spread(n, slots, |number, _| Shot::Block(blocks[number as usize].clone(), ATTACKER))
}

/// A5. The youngest block comes first, so that each waits for the next; the oldest, whose parent is
/// known, comes last, and again in each of the slots after the honest ones, as it would after a
/// request for it.
pub(super) fn reverse_chain(chain: &Chain, n: u64) -> Plan {
    let blocks = chain.side_chain(n + 1);
    let reverse = blocks.iter().rev().map(|block| Shot::Block(block.clone(), ATTACKER));
    let oldest = Shot::Block(blocks[0].clone(), ATTACKER);
    Plan { bursts: vec![reverse.collect()], slots_after: 8, again: vec![oldest], ..Plan::default() }
}

/// A6. Half of the orphans come first, so that finality passes them; the others wait until the
/// stop.
pub(super) fn orphans_of_one(chain: &Chain, n: u64, junk: &mut Junk) -> Plan {
    let slots = chain.honest.len();
    let early = slots.min(8);
    let mut orphan = |number, at| Shot::Block(orphan(chain, at, number, 0, junk), ATTACKER);
    let mut plan = Plan::spread(n / 2, early, &mut orphan);
    plan.bursts.resize_with(slots, Vec::new);
    let late = (n / 2..n).map(|number| orphan(number, slots - 1));
    plan.bursts[slots - 1].extend(late);
    plan
}

/// A7. Blocks of slots that finality has passed: every second one has a parent that was pruned, the
/// others one that nobody knows.
pub(super) fn late_blocks(chain: &Chain, n: u64, finalized_slot: u64, junk: &mut Junk) -> Plan {
    let passed = chain.history.iter().take_while(|b| b.value().message.slot <= finalized_slot);
    let passed: Vec<&SharedBlock> = passed.collect();
    Plan::spread(n, chain.honest.len(), |number, _| {
        let mut message = passed[number as usize / 2 % passed.len()].value().message.clone();
        message.body.graffiti = number_root(number);
        if number % 2 == 1 {
            message.parent_root = nowhere(number);
        }
        let signature = junk.signature(number);
        Shot::Block(SignedBeaconBlock { message, signature }.into(), ATTACKER)
    })
}

/// A11. Each orphan has another parent, so that each is a notice that it waits and one that asks
/// for its parent. The reader comes back after the honest slots, and sixteen slots pass.
pub(super) fn orphans_unread(chain: &Chain, n: u64, junk: &mut Junk) -> Plan {
    let plan = Plan::spread(n, chain.honest.len(), |number, at| {
        Shot::Block(orphan(chain, at, number, number, junk), ATTACKER)
    });
    Plan { reader_pauses: true, slots_after: 16, ..plan }
}

/// Returns the roots that the orphans of A11 wait for.
pub(super) fn unread_roots(n: u64) -> impl Iterator<Item = Root> {
    (0..n).map(nowhere)
}
