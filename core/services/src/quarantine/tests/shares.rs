//! Shares of peers and kinds: who waits for whom, and who gives way.

use super::{Item, Limits, Node, node};
use crate::consensus::Checkpoint;
use crate::gossip::Operation;
use crate::quarantine::Event;
use crate::quarantine::fair::UNIT;
use crate::rewinder::{Answer, Job, Lane};
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyOperation};
use crate::verdict::Quarantined;

/// A block on the anchor, of one of the ten slots that have begun.
pub(super) fn block(root: u8) -> Item<Toy> {
    Item::Block(ToyBlock::new(root, 0, 1 + u64::from(root % 10)))
}

/// A block whose parent nobody has.
pub(super) fn orphan(root: u8) -> Item<Toy> {
    Item::Block(ToyBlock::new(root, root + 100, 5))
}

fn vote(id: u8) -> Item<Toy> {
    let target = Checkpoint { epoch: 2, root: 0 };
    Item::Attestation(ToyAttestation { id, slot: 9, head: 0, target, validator: 0, valid: true })
}

/// A valid vote of one validator.
pub(super) fn single(validator: u64) -> Item<Toy> {
    let target = Checkpoint { epoch: 2, root: 0 };
    let id = 100 + validator as u8;
    let vote = ToyAttestation { id, slot: 9, head: 0, target, validator, valid: true };
    Item::Single { attestation: vote, subnet: validator }
}

impl Node {
    /// Hands in a valid block of a peer, so that the peer is proven.
    pub(super) fn prove(&mut self, peer: u64, root: u8) {
        let id = self.hand_in(block(root), peer);
        self.settle();
        assert_eq!(self.answer_to(id), ("valid", "ok"));
    }

    /// Returns the root of each block at the Rewinder, in the order in which they were sent off.
    pub(super) fn under_way(&self) -> Vec<u8> {
        let block = |job: &Job<_>| match job {
            Job::Block(block) => Some(block.identity().root),
            _ => None,
        };
        self.checks.values().filter_map(block).collect()
    }

    /// Answers every check with a full lane, which proves nobody. Returns the roots of the blocks
    /// in the order in which they were sent off, one at a time.
    fn order_without_verdicts(&mut self) -> Vec<u8> {
        let mut order = Vec::new();
        while let [root] = self.under_way()[..] {
            order.push(root);
            let (request, _) = self.checks.pop_first().expect("one is under way");
            self.event(Event::Answered { request, answer: Answer::Busy });
        }
        order
    }

    pub(super) fn tick(&mut self, slot: u64) {
        self.event(Event::Tick { slot, into_slot_ms: 0 });
    }
}

#[test]
fn the_longest_waiting_item_is_evicted_and_told_so() {
    // Two items fit; two orphans wait, a third comes.
    let mut node = Node::new(Limits { items: 2, ..Limits::default() });
    let ids = [11, 12, 13].map(|root| node.hand_in(orphan(root), 0));
    assert_eq!(node.answer_to(ids[0]), ("dropped", "evicted"));
    assert_eq!(node.answer_to(ids[2]), ("pending", "unknown_parent"));
}

#[test]
fn at_its_quota_a_peer_gives_way_to_itself_alone() {
    // A quota of one: the second item of peer 7 is dropped; what the first one waits for is taken
    // in its place; peer 8 keeps its own.
    let mut node = Node::new(Limits { items_per_peer: 1, ..Limits::default() });
    let ids = [(1, 7), (3, 8), (2, 7)].map(|(root, peer)| node.hand_in(orphan(root), peer));
    assert_eq!(node.answer_to(ids[2]), ("dropped", "peer_quota"));
    assert_eq!([ids[0], ids[1]].map(|id| node.answer_to(id).0), ["pending"; 2]);
    let parent = node.hand_in(Item::Block(ToyBlock::new(101, 90, 4)), 7);
    assert_eq!(node.answer_to(ids[0]), ("dropped", "peer_quota"));
    assert_eq!([ids[1], parent].map(|id| node.answer_to(id).0), ["pending"; 2]);
}

#[test]
fn a_chain_that_comes_backwards_and_is_longer_than_the_quota_is_resolved() {
    // Ten blocks from one peer, the tip first, with a quota of four: the block that connects them
    // is taken, and releases what is held; the tips may come again.
    let mut node = Node::new(Limits { items_per_peer: 4, ..Limits::default() });
    let chain: Vec<_> = (1..=10).map(|n| ToyBlock::new(n, n - 1, u64::from(n))).collect();
    let ids: Vec<_> = chain.iter().rev().map(|b| node.hand_in(Item::Block(*b), 7)).collect();
    node.settle();
    assert_eq!(node.answer_to(ids[9]), ("valid", "ok"));
    assert_eq!(ids[..6].iter().filter(|id| node.answer_to(**id).1 == "peer_quota").count(), 6);
    assert_eq!(node.cleared, [1, 2, 3, 4]);
    for block in &chain[4..] {
        node.hand_in(Item::Block(*block), 7);
        node.settle();
    }
    assert_eq!((node.cleared.len(), node.machine.held()), (10, 0));
}

#[test]
fn what_is_decided_at_once_evicts_nobody() {
    // Room for one, which an orphan has: a copy of a known block and a known-invalid one need none.
    let mut node = Node::new(Limits { items: 1, ..Limits::default() });
    node.prove(0, 1);
    assert_eq!(node.judge(ToyBlock::new(2, 0, 1).invalid()).0, "invalid");
    let held = node.hand_in(orphan(3), 8);
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("ignored", "duplicate"));
    assert_eq!(node.judge(ToyBlock::new(2, 0, 1).invalid()), ("invalid", "known_invalid"));
    assert_eq!(node.answer_to(held), ("pending", "unknown_parent"));
}

#[test]
fn the_peer_that_holds_most_gives_way_and_a_small_holder_keeps_what_it_has() {
    // Room for six: peer 9 holds one, peer 7 fills the rest and goes on.
    let mut node = Node::new(Limits { items: 6, ..Limits::default() });
    let honest = node.hand_in(orphan(1), 9);
    let flood: Vec<_> = (10..40).map(|root| node.hand_in(orphan(root), 7)).collect();
    assert_eq!(node.answer_to(honest), ("pending", "unknown_parent"));
    let evicted = flood.iter().filter(|id| node.answer_to(**id) == ("dropped", "evicted")).count();
    assert_eq!(evicted, 25);
}

#[test]
fn a_peer_without_proof_gives_way_before_a_proven_one_that_holds_more() {
    // Room for six: the proven peer holds four, each of two others one; then another comes.
    let mut node = Node::new(Limits { items: 6, ..Limits::default() });
    node.prove(9, 1);
    let honest = [10, 11, 12, 13].map(|root| node.hand_in(orphan(root), 9));
    let [first, second, third] =
        [(20, 5), (21, 6), (22, 5)].map(|(root, peer)| node.hand_in(orphan(root), peer));
    assert_eq!(honest.map(|id| node.answer_to(id).0), ["pending"; 4]);
    assert_eq!(node.answer_to(first), ("dropped", "evicted"));
    assert_eq!([second, third].map(|id| node.answer_to(id).0), ["pending"; 2]);
}

#[test]
fn attestations_take_no_room_of_blocks() {
    // Room for two of each kind: votes for an unknown block fill theirs and a block still fits.
    let mut node = Node::new(Limits { items: 2, ..Limits::default() });
    let target = Checkpoint { epoch: 2, root: 0 };
    for id in 50..60 {
        let vote = ToyAttestation { id, slot: 9, head: 99, target, validator: 0, valid: true };
        node.hand_in(Item::Attestation(vote), 7);
    }
    let blocks = [11, 12].map(|root| node.hand_in(orphan(root), 8));
    assert_eq!(blocks.map(|id| node.answer_to(id).0), ["pending"; 2]);
    assert_eq!(node.machine.held(), 4);
}

#[test]
fn copies_count_for_the_peer_that_sends_them() {
    // A quota of two: peer 7 brings one block and a copy of another peer's; its next copy is
    // dropped, and its places come back with the verdict.
    let mut node = Node::new(Limits { items_per_peer: 2, ..Limits::default() });
    let ids = [(1, 8), (1, 7), (2, 7), (1, 7)]
        .map(|(root, peer)| node.hand_in(Item::Block(ToyBlock::new(root, root + 50, 5)), peer));
    assert_eq!(node.answer_to(ids[3]), ("dropped", "peer_quota"));
    assert_eq!(node.judge(ToyBlock::new(51, 0, 1)), ("valid", "ok"));
    assert_eq!(node.answer_to(ids[1]), ("ignored", "duplicate"));
    let again = node.hand_in(orphan(3), 7);
    assert_eq!(node.answer_to(ids[2]), ("pending", "unknown_parent"));
    assert_eq!(node.answer_to(again), ("pending", "unknown_parent"));
}

#[test]
fn an_item_has_a_bounded_number_of_copies() {
    // One copy beside the first submission; the next is a duplicate.
    let mut node = Node::new(Limits { followers: 1, ..Limits::default() });
    let [first, copy, third] = [0, 1, 2].map(|peer| node.hand_in(orphan(11), peer));
    assert_eq!([first, copy].map(|id| node.answer_to(id).0), ["pending"; 2]);
    assert_eq!(node.answer_to(third), ("ignored", "duplicate"));
}

#[test]
fn copies_are_bounded_in_all_and_evict_nobody() {
    // One copy may be held: a further one is a duplicate, and the items stay.
    let mut node = Node::new(Limits { items: 2, copies: 1, ..Limits::default() });
    let [first, copy, third] = [0, 1, 2].map(|peer| node.hand_in(orphan(11), peer));
    assert_eq!(node.answer_to(third), ("ignored", "duplicate"));
    let other = node.hand_in(orphan(12), 3);
    assert_eq!([first, copy, other].map(|id| node.answer_to(id).0), ["pending"; 3]);
}

#[test]
fn peers_without_proof_have_few_checks_under_way_and_a_proven_one_passes_them() {
    // Two peers send ten blocks each; two are sent off. Then a proven peer's block comes.
    let mut node = node();
    node.prove(9, 1);
    for root in 10..30 {
        node.hand_in(block(root), u64::from(root % 2));
    }
    assert_eq!(node.under_way(), [10, 11]);
    node.hand_in(block(2), 9);
    assert_eq!(node.under_way(), [10, 11, 2]);
}

#[test]
fn what_is_valid_and_not_passed_on_proves_no_peer() {
    // Peer 7 brings a vote without a proof, and a second block of a slot and proposer. Then it
    // brings ten blocks, and once some of them were passed on, ten more.
    let mut node = node();
    node.prove(9, 1);
    for item in [vote(1), block(11)] {
        let id = node.hand_in(item, 7);
        node.settle();
        assert_eq!(node.answer_to(id), ("valid", "ok"));
    }
    for root in 30..40 {
        node.hand_in(block(root), 7);
    }
    assert_eq!(node.under_way(), [30, 31]);
    node.settle();
    for root in 40..50 {
        node.hand_in(block(root), 7);
    }
    assert!(node.under_way().len() > 2, "{:?}", node.under_way());
}

#[test]
fn ready_items_of_many_peers_take_turns() {
    // Peer 7 has five blocks ready when peer 8 brings one: it is next, or the one after.
    let mut node = Node::new(Limits { window: 1, ..Limits::default() });
    for root in 10..16 {
        node.hand_in(block(root), 7);
    }
    node.hand_in(block(20), 8);
    let mut order = Vec::new();
    while let [root] = node.under_way()[..] {
        order.push(root);
        node.answer_one();
    }
    let place = order.iter().position(|root| *root == 20);
    assert!(place.is_some_and(|place| place <= 2), "{order:?}");
    assert_eq!(order.len(), 7);
}

#[test]
fn a_peer_that_sends_junk_loses_its_share() {
    // Peer 7 is refused four times; then it and peer 8, both without proof, have blocks ready.
    let mut node = Node::new(Limits { window: 1, ..Limits::default() });
    for root in 10..14 {
        node.hand_in(Item::Block(ToyBlock::new(root, 0, 1).badly_signed()), 7);
        node.settle();
    }
    node.hand_in(block(99), 6);
    for root in 20..30 {
        node.hand_in(block(root), 7);
        node.hand_in(block(root + 20), 8);
    }
    let order = node.order_without_verdicts();
    let before = order.iter().take_while(|root| **root != 49).filter(|r| **r < 40).count();
    assert!(before <= 4, "{order:?}");
}

#[test]
fn a_proven_peers_copy_takes_an_item_out_of_the_backlog_of_a_peer_without_proof() {
    // Peer 7 sends junk and then, behind it, the block that proven peer 9 brings as well.
    let mut node = node();
    node.prove(9, 1);
    for root in 10..20 {
        node.hand_in(Item::Block(ToyBlock::new(root, 0, 1).badly_signed()), 7);
    }
    node.hand_in(block(2), 7);
    assert_eq!(node.under_way(), [10, 11]);
    let copy = node.hand_in(block(2), 9);
    assert_eq!(node.under_way(), [10, 11, 2]);
    node.settle();
    assert_eq!(node.answer_to(copy), ("ignored", "duplicate"));
}

#[test]
fn a_look_at_the_shares_tells_what_a_check_costs_and_what_is_checked_for_strangers() {
    // Peer 9 is proven and peer 7 is not. Each has a block under way, and peer 7 a vote as well,
    // which peer 8 brings, too; peer 7 has a second block ready.
    let mut node = Node::new(Limits { unproven: 1, ..Limits::default() });
    node.prove(9, 1);
    let stranger = node.hand_in(block(2), 7);
    let copy = node.hand_in(block(2), 8);
    node.hand_in(block(3), 9);
    node.hand_in(single(1), 7);
    node.hand_in(block(4), 7);
    assert_eq!(node.checks.len(), 3);
    let shares = node.machine.shares_of_blocks();
    assert_eq!((shares.proven, shares.unproven), (vec![9], vec![stranger, copy]));
    // Peer 9 has nothing ready, and peer 7's next turn is due.
    let tags: Vec<_> = shares.tags.iter().map(|(peer, tag)| (*peer, tag - shares.now)).collect();
    assert_eq!((tags, shares.check), (vec![(7, 0)], UNIT / 64));
}

#[test]
fn a_place_for_a_copy_comes_back_with_the_verdict() {
    // Room for one copy: it is used by one block, and then by another.
    let mut node = Node::new(Limits { copies: 1, ..Limits::default() });
    for root in [1, 2] {
        let [_, copy] = [7, 8].map(|peer| node.hand_in(block(root), peer));
        assert_eq!(node.answer_to(copy), ("pending", "being_checked"));
        node.settle();
        assert_eq!(node.answer_to(copy), ("ignored", "duplicate"));
    }
}

#[test]
fn what_is_evicted_while_it_is_ready_leaves_its_queue() {
    // A window of one that is never answered, room for three: the queue stays as small as the room.
    let mut node = Node::new(Limits { window: 1, items: 3, ..Limits::default() });
    (10..90).for_each(|root| {
        node.hand_in(block(root), u64::from(root % 7));
    });
    assert_eq!((node.machine.held(), node.machine.queued()), (3, 2));
}

#[test]
fn a_peer_is_forgiven_with_time() {
    // Peer 7 is refused four times; 64 slots later it takes turns with peer 8.
    let mut node = Node::new(Limits { window: 1, ..Limits::default() });
    for root in 10..14 {
        node.hand_in(Item::Block(ToyBlock::new(root, 0, 1).badly_signed()), 7);
        node.settle();
    }
    node.tick(80);
    node.hand_in(block(99), 6);
    for root in 20..30 {
        node.hand_in(block(root), 7);
        node.hand_in(block(root + 20), 8);
    }
    let order = node.order_without_verdicts();
    let before = order.iter().take_while(|root| **root != 49).filter(|r| **r < 40).count();
    assert!(before >= 8, "{order:?}");
}

#[test]
fn a_proven_peers_copy_keeps_an_item_in_the_room() {
    // Room for one: peer 7, without proof, and then proven peer 9 bring one orphan, peer 6 another.
    let mut node = Node::new(Limits { items: 1, ..Limits::default() });
    node.prove(9, 1);
    let [first, copy] = [7, 9].map(|peer| node.hand_in(orphan(10), peer));
    let other = node.hand_in(orphan(20), 6);
    assert_eq!([first, copy].map(|id| node.answer_to(id).0), ["pending"; 2]);
    assert_eq!(node.answer_to(other), ("dropped", "quarantine_full"));
}

#[test]
fn a_proof_counts_for_what_is_held_already() {
    // Room for one of each kind: peer 9 holds an orphan when its vote on a subnet proves it; then
    // peer 5 comes.
    let mut node = Node::new(Limits { items: 1, ..Limits::default() });
    let held = node.hand_in(orphan(10), 9);
    let target = Checkpoint { epoch: 2, root: 0 };
    let vote = ToyAttestation { id: 50, slot: 9, head: 0, target, validator: 1, valid: true };
    let vote = node.hand_in(Item::Single { attestation: vote, subnet: 1 }, 9);
    node.settle();
    assert_eq!(node.answer_to(vote), ("valid", "ok"));
    let other = node.hand_in(orphan(11), 5);
    assert_eq!(node.answer_to(held), ("pending", "unknown_parent"));
    assert_eq!(node.answer_to(other), ("dropped", "quarantine_full"));
}

#[test]
fn a_proof_counts_for_what_is_ready_already() {
    // One check without proof at a time: peer 9 has three blocks, peer 7 two. The second is sent
    // off when the first is checked, and the third when the first is in Clearance and proves the
    // peer.
    let mut node = Node::new(Limits { unproven: 1, ..Limits::default() });
    for root in [10, 11, 12] {
        node.hand_in(block(root), 9);
    }
    [20, 21].iter().for_each(|root| {
        node.hand_in(block(*root), 7);
    });
    assert_eq!(node.under_way(), [10]);
    assert!(node.answer_one());
    assert_eq!(node.under_way(), [11, 12]);
}

#[test]
fn one_peer_fills_no_window() {
    // Proven peer 9 has three blocks and three votes ready, at bounds of two; then proven peer 8
    // brings one of each, and both are sent off at once. An answer makes room for peer 9 again.
    let limits = Limits { peer_blocks: 2, peer_votes: 2, ..Limits::default() };
    let mut node = Node::new(limits);
    node.prove(9, 1);
    node.prove(8, 2);
    for number in 0..3 {
        node.hand_in(block(20 + number as u8), 9);
        node.hand_in(single(number), 9);
    }
    assert_eq!((node.under_way(), node.machine.in_flight()), (vec![20, 21], 4));
    node.hand_in(block(30), 8);
    node.hand_in(single(3), 8);
    assert_eq!((node.under_way(), node.machine.in_flight()), (vec![20, 21, 30], 6));
    assert!(node.answer_one());
    assert!(node.under_way().contains(&22), "{:?}", node.under_way());
}

#[test]
fn blocks_and_votes_of_a_peer_have_bounds_of_their_own() {
    // One block and two votes may be under way for a peer, which has three of each ready.
    let limits = Limits { peer_blocks: 1, peer_votes: 2, ..Limits::default() };
    let mut node = Node::new(limits);
    node.prove(9, 1);
    for number in 0..3 {
        node.hand_in(block(20 + number as u8), 9);
        node.hand_in(single(number), 9);
    }
    assert_eq!((node.under_way(), node.machine.in_flight()), (vec![20], 3));
}

#[test]
fn votes_of_peers_without_proof_have_a_lane_of_their_own() {
    // Peer 7 and proven peer 9 send a vote and a block each; then peer 7 is proven by its vote.
    let mut node = node();
    node.prove(9, 1);
    let mut lanes_of = |item: Item<Toy>, peer| {
        let before = node.lanes.len();
        node.hand_in(item, peer);
        let lanes = node.lanes[before..].to_vec();
        node.settle();
        lanes
    };
    assert_eq!(lanes_of(block(20), 7), [Lane::Blocks]);
    assert_eq!(lanes_of(single(1), 9), [Lane::Attestations]);
    assert_eq!(lanes_of(single(2), 6), [Lane::Unproven]);
    assert_eq!(lanes_of(single(3), 6), [Lane::Attestations]);
}

#[test]
fn a_large_item_costs_its_peer_more() {
    // Peer 7 sends blocks of 40 KiB, peer 8 small ones: eleven small ones go for a large one.
    let mut node = Node::new(Limits { window: 1, ..Limits::default() });
    node.hand_in(block(99), 6);
    for (root, peer, bytes) in
        (10..40).map(|n| (n, 7, 40 << 10)).chain((50..80).map(|n| (n, 8, 100)))
    {
        let item = Quarantined::new(block(root), peer, bytes);
        node.event(Event::Submit { id: u64::from(root) + 1000, item });
    }
    let order = node.order_without_verdicts();
    let large = order.iter().take_while(|root| **root != 79).filter(|r| **r < 40).count();
    assert!((2..=4).contains(&large), "{order:?}");
}

#[test]
fn an_eighth_of_the_window_is_kept_for_each_other_kind() {
    // A window of eight, and more of either kind than it holds: five of one and then one of the
    // other, whichever comes first; the last places are for operations and for payload votes.
    for (first, second) in [(block as fn(u8) -> _, vote as fn(u8) -> _), (vote, block)] {
        let mut node =
            Node::new(Limits { window: 8, unproven: 8, peer_blocks: 8, ..Limits::default() });
        for number in 10..20 {
            node.hand_in(first(number), 7);
        }
        assert_eq!(node.checks.len(), 5);
        for number in 20..30 {
            node.hand_in(second(number), 7);
        }
        assert_eq!(node.checks.len(), 6);
    }
}

#[test]
fn a_copy_moves_an_item_to_a_proven_peer_alone() {
    // One request may be under way for peers without proof. Peer 7 has two blocks, of which the
    // second is brought by peer 8, too, and then by a proven one.
    let limits = Limits { unproven: 1, ..Limits::default() };
    let mut node = Node::new(limits);
    assert_eq!(node.machine.limits(), &limits);
    node.prove(9, 1);
    for (root, peer, under_way) in [(20, 7, 1), (21, 7, 1), (21, 8, 1), (21, 9, 2)] {
        node.hand_in(block(root), peer);
        assert_eq!(node.checks.len(), under_way, "block {root} of peer {peer}");
    }
}

#[test]
fn what_waits_too_long_is_dropped_by_the_slot() {
    // Patience of four slots from slot 10: at 13 it waits, at 14 it is dropped and its place free.
    let mut node = Node::new(Limits { patience: 4, ..Limits::default() });
    let ids = [node.hand_in(orphan(1), 7), node.hand_in(Item::Block(ToyBlock::new(2, 0, 90)), 7)];
    node.tick(13);
    assert_eq!(ids.map(|id| node.answer_to(id).0), ["pending"; 2]);
    assert_eq!((node.machine.held(), node.machine.awaited_roots()), (2, vec![101]));
    node.tick(14);
    assert_eq!(ids.map(|id| node.answer_to(id)), [("dropped", "expired"); 2]);
    assert_eq!((node.machine.held(), node.machine.awaited_roots().len()), (0, 0));
    // Nothing waits for the parent, so it is asked for no more.
    let asked = node.needed.len();
    (15..100).for_each(|slot| node.tick(slot));
    assert_eq!(node.needed.len(), asked);
}

#[test]
fn a_missing_block_is_asked_for_again_while_an_item_waits_for_it() {
    // One orphan from slot 10; its parent comes at slot 18.
    let mut node = node();
    node.hand_in(orphan(1), 7);
    for slot in 11..18 {
        node.tick(slot);
    }
    assert_eq!(node.needed, [101; 4]);
    assert_eq!(node.judge(ToyBlock::new(101, 0, 1)), ("valid", "ok"));
    (18..60).for_each(|slot| node.tick(slot));
    assert_eq!(node.needed, [101; 4]);
}

#[test]
fn a_peer_of_weight_two_gets_twice_the_share_of_one_of_weight_one() {
    // One check at a time. Both peers bring a backlog, and neither is proven while it is served.
    // Then a peer of weight 1 is one like any other.
    let limits = Limits { window: 1, unproven: 1, ..Limits::default() };
    for (weight, first) in [(2, 10), (4, 12), (1, 7)] {
        let mut node = Node::new(limits);
        node.event(Event::Weigh { peer: 7, weight: 9 });
        node.event(Event::Weigh { peer: 7, weight });
        for root in 1..=60 {
            node.hand_in(block(root), 7);
            node.hand_in(block(root + 100), 8);
        }
        let order = node.order_without_verdicts();
        let served = order[..15].iter().filter(|root| **root <= 60).count();
        assert!((first..=first + 1).contains(&served), "{weight}: {order:?}");
        assert_eq!(order.len(), 120);
    }
}

#[test]
fn kinds_take_turns_in_a_window_that_keeps_no_places_free() {
    // A window of one, which a block has when eight more come, and then three votes and an exit.
    let mut node = Node::new(Limits { window: 1, ..Limits::default() });
    for root in 1..=9 {
        node.hand_in(block(root), 1);
    }
    for id in 1..=3 {
        node.hand_in(vote(id), 2);
    }
    let exit = ToyOperation { id: 1, validators: 1, signed: true, valid: true };
    node.hand_in(Item::Operation(Operation::VoluntaryExit(exit)), 3);
    let kind = |job: &Job<_>| match job {
        Job::Block(_) => 'b',
        Job::Operation { .. } => 'e',
        _ => 'v',
    };
    let mut order = String::new();
    while let Some((request, job)) = node.checks.pop_first() {
        order.push(kind(&job));
        node.event(Event::Answered { request, answer: Answer::Busy });
    }
    assert_eq!(order, "bbvebvbvbbbbb");
}
