//! The instances: what the peers hand in, and within which bounds.

use blocksmith::consensus::{Checkpoint, Slot};
use blocksmith::quarantine::{Item, Limits};
use blocksmith::toy::{Toy, ToyAggregate, ToyAttestation, ToyBlock, ToyPayloadVote, ToyRoot};

use super::Fault;
use super::model::{Counts, Firewall, Handed};
use crate::rules::Instance;

/// The peers: two that are hostile, and one that holds less than its share.
const MALLORY: u64 = 7;
const OSCAR: u64 = 8;
const ALICE: u64 = 9;

/// The slot at which most instances begin.
const START: Slot = 10;

fn base(fault: Option<Fault>) -> Firewall {
    let limits = Limits { window: 2, unproven: 2, ..Limits::default() };
    Firewall {
        fault,
        limits,
        counts: Counts {
            overtaken: usize::MAX,
            imports: usize::MAX,
            window: limits.window,
            held: usize::MAX,
            patience: u64::MAX,
            slow: None,
        },
        before: Vec::new(),
        palette: Vec::new(),
        start: START,
        clock: Vec::new(),
        payloads: Vec::new(),
        finality: None,
        slow_imports: false,
        toy: Toy::default(),
    }
}

/// What a hostile peer hands in.
fn hostile(item: Item<Toy>, peer: u64) -> Handed {
    Handed { item, peer, valid: false, in_share: false }
}

/// What a hostile peer hands in though nothing is wrong with it.
fn valid(item: Item<Toy>, peer: u64) -> Handed {
    Handed { valid: true, ..hostile(item, peer) }
}

/// What the peer below its share hands in.
fn honest(item: Item<Toy>) -> Handed {
    Handed { item, peer: ALICE, valid: true, in_share: true }
}

fn block(root: ToyRoot, parent: ToyRoot, slot: Slot) -> Item<Toy> {
    Item::Block(ToyBlock::new(root, parent, slot))
}

fn forged(root: ToyRoot, parent: ToyRoot, slot: Slot) -> Item<Toy> {
    Item::Block(ToyBlock::new(root, parent, slot).badly_signed())
}

/// A block whose parent nobody has.
fn orphan(root: ToyRoot) -> Item<Toy> {
    block(root, root + 100, 5)
}

/// A vote of slot 9 for block 1 of slot 8, which is its target.
fn single(id: ToyRoot, validator: u64) -> Item<Toy> {
    let target = Checkpoint { epoch: 2, root: 1 };
    let attestation = ToyAttestation { id, slot: 9, head: 1, target, validator, valid: true };
    Item::Single { attestation, subnet: validator }
}

fn aggregate(id: ToyRoot, aggregator: u64, voters: u8) -> Item<Toy> {
    let target = Checkpoint { epoch: 2, root: 1 };
    let valid = true;
    let head = 1;
    Item::Aggregate(ToyAggregate { id, data: 90, slot: 9, head, target, aggregator, voters, valid })
}

/// An attestation to a block that nobody has.
fn adrift(id: ToyRoot) -> Item<Toy> {
    let target = Checkpoint { epoch: 2, root: 0 };
    let (head, validator, valid) = (id + 100, 0, true);
    Item::Attestation(ToyAttestation { id, slot: 9, head, target, validator, valid })
}

/// Alice is proven; the others keep sending blocks that are badly signed.
pub(super) fn turns(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.limits = Limits { window: 1, unproven: 1, ..model.limits };
    // One check may be under way when the block comes. None that starts later comes before it.
    model.counts = Counts { window: 1, overtaken: 0, ..model.counts };
    model.before = vec![honest(block(1, 0, 1))];
    model.palette = [junk(MALLORY, 3), junk(OSCAR, 2), vec![honest(block(2, 1, 2))]].concat();
    Box::new(model)
}

fn junk(peer: u64, count: u8) -> Vec<Handed> {
    let root = |n: u8| peer as u8 * 10 + n;
    (0..count).map(|n| hostile(forged(root(n), 0, 1), peer)).collect()
}

/// Nobody is proven; the others keep sending blocks that are badly signed.
pub(super) fn strangers(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.limits = Limits { window: 1, unproven: 1, ..model.limits };
    model.counts = Counts { window: 1, overtaken: 2, ..model.counts };
    model.palette = [junk(MALLORY, 3), junk(OSCAR, 2), vec![honest(block(1, 0, 1))]].concat();
    Box::new(model)
}

/// Attestations to blocks that nobody has, beside blocks.
pub(super) fn kinds(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.limits.items = 2;
    model.palette = vec![
        hostile(adrift(50), MALLORY),
        hostile(adrift(51), MALLORY),
        hostile(adrift(52), OSCAR),
        hostile(adrift(53), OSCAR),
        honest(block(2, 1, 2)),
        honest(block(1, 0, 1)),
    ];
    Box::new(model)
}

/// Five blocks of one slot and proposer, from two peers.
pub(super) fn equivocations(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.slow_imports = true;
    model.limits.equivocations = 1;
    model.counts.imports = model.limits.equivocations + model.limits.window - 1;
    if model.has(Fault::AnyProposals) {
        model.limits.equivocations = usize::MAX;
    }
    let peers = [MALLORY, OSCAR, MALLORY, OSCAR, MALLORY];
    let blocks = peers.into_iter().zip(1..).map(|(peer, root)| valid(block(root, 0, 1), peer));
    model.palette = blocks.collect();
    Box::new(model)
}

/// Two blocks of one slot and proposer are kept, and the first is there. One peer has a block that
/// waits for each of five more, and another peer builds on a seventh.
pub(super) fn vouching(fault: Option<Fault>) -> Firewall {
    let mut model = base(fault);
    let limits = Limits { window: 1, unproven: 1, ..model.limits };
    model.limits = Limits { equivocations: 1, awaited_equivocations: 2, ..limits };
    // Mallory vouches for four, and Alice for one.
    model.counts = Counts { window: 1, imports: 2 + 4 + 1, ..model.counts };
    // Both are proven. A forged block of a slot that has not come waits without a check, so that
    // nobody is found out.
    let proofs = [honest(block(60, 0, 2)), valid(block(61, 60, 3), MALLORY)];
    let waits = |parent| hostile(forged(100 + parent, parent, START + 2), MALLORY);
    model.before = [proofs.into(), vec![honest(block(1, 0, 1))]].concat();
    model.before.extend((2..=6).map(waits));
    if model.has(Fault::ErasesPeers) {
        model.before.iter_mut().for_each(|handed| handed.peer = 0);
    }
    let of_mallory = (2..=6).map(|root| valid(block(root, 0, 1), MALLORY));
    model.palette = of_mallory.chain([honest(block(50, 40, 4)), honest(block(40, 0, 1))]).collect();
    model
}

/// A chain that comes backwards, longer than what its peer may hold, and one orphan of another
/// peer.
pub(super) fn reverse_chain(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.limits = Limits { items_per_peer: 2, patience: 4, ..model.limits };
    model.counts.patience = model.limits.patience;
    if model.has(Fault::EndlessPatience) {
        model.limits.patience = u64::MAX;
    }
    let chain = (1..=4).rev().map(|root| valid(block(root, root - 1, root.into()), MALLORY));
    model.palette = chain.chain([valid(orphan(9), OSCAR)]).collect();
    model.clock = (START + 1..=START + 4).collect();
    Box::new(model)
}

/// Blocks at and before the slot that becomes final at any time.
pub(super) fn late(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.slow_imports = true;
    model.before = vec![honest(block(1, 0, 4))];
    model.finality = Some(Checkpoint { epoch: 1, root: 1 });
    model.palette = vec![
        valid(block(2, 0, 3), MALLORY),
        valid(block(3, 0, 4), OSCAR),
        valid(block(4, 2, 4), OSCAR),
        valid(block(5, 1, 5), ALICE),
    ];
    Box::new(model)
}

/// Valid items beyond every limit.
pub(super) fn limits(fault: Option<Fault>) -> Firewall {
    let mut model = base(fault);
    model.limits =
        Limits { items: 3, items_per_peer: 2, depth: 2, equivocations: 1, ..model.limits };
    model.limits.patience = 2;
    model.palette = vec![
        valid(block(1, 0, 1), MALLORY),
        valid(block(2, 0, 1), MALLORY),
        valid(block(6, 5, 6), OSCAR),
        valid(block(5, 4, 5), OSCAR),
        valid(block(4, 3, 4), OSCAR),
        valid(orphan(30), ALICE),
        valid(orphan(31), OSCAR),
    ];
    model.clock = vec![12];
    model
}

/// Votes of one validator, and sums of the same votes, which are checked at the same time.
pub(super) fn votes(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.slow_imports = true;
    model.before = vec![honest(block(1, 0, 8))];
    model.palette = vec![
        valid(single(70, 1), MALLORY),
        valid(aggregate(80, 2, 0b0011), MALLORY),
        valid(single(71, 1), OSCAR),
        valid(aggregate(81, 3, 0b0001), OSCAR),
    ];
    Box::new(model)
}

/// Three votes of one validator, from two peers.
pub(super) fn second_votes(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.slow_imports = true;
    model.before = vec![honest(block(1, 0, 8))];
    model.palette = vec![
        valid(single(70, 1), MALLORY),
        valid(single(71, 1), OSCAR),
        valid(single(72, 1), MALLORY),
    ];
    Box::new(model)
}

/// The same invalid items from two peers, again and again, and a valid block that both bring.
pub(super) fn copies(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.slow_imports = true;
    let (first, second) = (forged(1, 0, 1), forged(2, 0, 2));
    model.palette = vec![
        hostile(first.clone(), MALLORY),
        hostile(second.clone(), MALLORY),
        hostile(first.clone(), OSCAR),
        hostile(second, OSCAR),
        hostile(first, OSCAR),
        valid(block(3, 0, 3), MALLORY),
        honest(block(3, 0, 3)),
    ];
    Box::new(model)
}

/// A block, a copy of it under another signature from a hostile peer, and its child.
pub(super) fn forged_copy(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.slow_imports = true;
    model.palette = vec![
        hostile(forged(1, 0, 1), MALLORY),
        hostile(forged(1, 0, 1), OSCAR),
        hostile(forged(2, 1, 2), OSCAR),
        honest(block(1, 0, 1)),
        honest(block(2, 1, 2)),
    ];
    Box::new(model)
}

/// Blocks whose parents are missing; one parent comes, or never does.
pub(super) fn missing(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.palette =
        vec![valid(block(5, 4, 5), MALLORY), valid(block(6, 4, 6), OSCAR), honest(block(4, 0, 4))];
    model.clock = (START + 1..=START + 4).collect();
    Box::new(model)
}

/// A block of a hostile peer behind its junk, with a copy that takes the last place; a proven peer
/// brings it, too.
pub(super) fn places(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.limits = Limits { window: 1, unproven: 1, followers: 1, ..model.limits };
    model.counts = Counts { window: 1, overtaken: 0, ..model.counts };
    model.before = vec![honest(block(1, 0, 1))];
    let copies = [(); 2].map(|()| valid(block(2, 1, 2), MALLORY));
    model.palette = [junk(MALLORY, 2), copies.into(), vec![honest(block(2, 1, 2))]].concat();
    Box::new(model)
}

/// Two peers are proven. One of them sends blocks that are badly signed, and behind them a good one
/// that the other brings as well.
pub(super) fn proof_lost(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.limits = Limits { window: 1, unproven: 1, ..model.limits };
    model.counts = Counts { window: 1, overtaken: 0, ..model.counts };
    model.before = vec![valid(block(1, 0, 1), MALLORY), honest(block(2, 1, 2))];
    let copies = vec![valid(block(3, 2, 3), MALLORY), honest(block(3, 2, 3))];
    model.palette = [junk(MALLORY, 3), copies].concat();
    Box::new(model)
}

/// Orphans of a peer that holds as many as it can; two other peers bring the first of them as well.
pub(super) fn shared_orphans(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.limits.items = 2;
    let of_mallory = (0..4).map(|n| valid(orphan(10 + n), MALLORY));
    model.palette = of_mallory.chain([valid(orphan(10), OSCAR), honest(orphan(10))]).collect();
    Box::new(model)
}

/// Blocks whose parents are invented, and one whose parent is merely late; one request a tick.
pub(super) fn invented(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.limits.needs = 1;
    model.counts.slow = Some(2);
    let of_mallory = (0..3).map(|n| valid(orphan(10 + n), MALLORY));
    model.palette = of_mallory.chain([honest(block(5, 200, 5))]).collect();
    model.clock = (START + 1..=START + 6).collect();
    Box::new(model)
}

/// Blocks of this slot and the next ones, while the clock steps back and forth.
pub(super) fn clock(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.start = 9;
    model.limits = Limits { window: 1, unproven: 1, items: 2, ..model.limits };
    model.counts.window = 1;
    // What is in flight is never evicted, and the last that came may be one too many.
    model.counts.held = model.limits.items + model.limits.window;
    if model.has(Fault::AnyNumber) {
        model.limits.items = usize::MAX;
    }
    model.palette = vec![
        valid(block(1, 0, 10), MALLORY),
        valid(block(2, 0, 10), MALLORY),
        valid(block(3, 0, 12), MALLORY),
        valid(block(4, 0, 12), OSCAR),
    ];
    model.clock = vec![10, 9, 10, 12];
    Box::new(model)
}

/// Orphans of two peers that hold as many as they can, and one of a peer below its share.
pub(super) fn orphans(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.limits.items = 3;
    model.counts.held = 3;
    let of = |peer: u64| {
        (0..3).map(move |n| valid(orphan(10 * peer as u8 + n), peer)).collect::<Vec<_>>()
    };
    model.palette = [of(MALLORY), of(OSCAR), vec![honest(orphan(30))]].concat();
    Box::new(model)
}

/// Votes for a block that comes at any time.
pub(super) fn votes_wait(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.slow_imports = true;
    model.palette = vec![
        valid(single(70, 1), MALLORY),
        valid(single(71, 2), MALLORY),
        valid(aggregate(80, 3, 0b0011), OSCAR),
        honest(block(1, 0, 8)),
    ];
    model.clock = vec![11];
    Box::new(model)
}

/// A chain of three whose blocks are built on their parents' payloads, and a vote on the last one.
pub(super) fn payloads(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.toy.payloads = true;
    model.slow_imports = true;
    let (id, present, available, valid) = (70, true, true, true);
    let vote = ToyPayloadVote { id, slot: 10, block: 3, validator: 0, present, available, valid };
    model.palette = vec![
        honest(block(1, 0, 8)),
        honest(block(2, 1, 9)),
        hostile(block(3, 2, 10), MALLORY),
        hostile(Item::PayloadVote(vote), OSCAR),
    ];
    model.payloads = vec![1, 2];
    model.clock = vec![11];
    Box::new(model)
}

/// More than the window takes, of blocks and votes.
pub(super) fn window(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut model = base(fault);
    model.before = vec![honest(block(1, 0, 8))];
    if model.has(Fault::AnyWindow) {
        model.limits = Limits { window: 64, unproven: 64, ..model.limits };
    }
    model.palette = vec![
        valid(single(70, 1), MALLORY),
        valid(block(2, 1, 9), MALLORY),
        hostile(forged(3, 1, 9), OSCAR),
        valid(single(71, 2), OSCAR),
        honest(block(4, 1, 10)),
    ];
    Box::new(model)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use stateright::Model;

    use super::{limits, vouching};
    use crate::rules::quarantine::model::Firewall;

    /// Returns every reason of a verdict that any run of the instance gives.
    fn reasons(model: &Firewall) -> BTreeSet<&'static str> {
        let (mut states, mut reasons) = (model.init_states(), BTreeSet::new());
        let mut seen: HashSet<_> = states.iter().cloned().collect();
        while let Some(state) = states.pop() {
            let verdicts = state.log.items.iter().flat_map(|item| &item.verdicts);
            reasons.extend(verdicts.map(|word| word.reason));
            let mut actions = Vec::new();
            model.actions(&state, &mut actions);
            let next = actions.into_iter().filter_map(|action| model.next_state(&state, action));
            states.extend(next.filter(|next| seen.insert(next.clone())));
        }
        reasons
    }

    #[test]
    fn each_limit_of_the_instance_about_limits_turns_something_away() {
        // Explores the instance and collects the reasons, so that what holds of them is not empty.
        let reasons = reasons(&limits(None));
        for limit in ["quarantine_full", "evicted", "peer_quota", "too_deep", "expired"] {
            assert!(reasons.contains(limit), "{limit} is not among {reasons:?}");
        }
        assert!(reasons.contains("second_proposal"), "{reasons:?}");
    }

    #[test]
    fn a_proposer_uses_up_what_its_own_blocks_vouch_for() {
        // Explores the instance about vouching and collects the reasons: one of the proposer's
        // blocks is ignored, so that what the other peer vouches for is not all there is.
        let reasons = reasons(&vouching(None));
        assert!(reasons.contains("second_proposal"), "{reasons:?}");
    }
}
