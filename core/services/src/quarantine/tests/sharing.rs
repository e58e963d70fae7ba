//! Items that several peers have submitted: whose they are, and who gets them when their owner has
//! no room or no proof.

use super::shares::{block, orphan, single};
use super::{Item, Limits, Node, node};
use crate::consensus::Checkpoint;
use crate::quarantine::Event;
use crate::quarantine::table::SHARED;
use crate::toy::{ToyAttestation, ToyBlock};

#[test]
fn copies_that_fill_every_place_keep_no_item_from_a_proven_peer() {
    // Peer 7 sends junk, a block behind it, and copies of that until there is no place, of the item
    // or at all. Then proven peer 9 brings the block.
    for limits in
        [Limits { followers: 1, ..Limits::default() }, Limits { copies: 1, ..Limits::default() }]
    {
        let mut node = Node::new(limits);
        node.prove(9, 1);
        for root in 10..20 {
            node.hand_in(Item::Block(ToyBlock::new(root, 0, 1).badly_signed()), 7);
        }
        let [_, held, too_many] = [(); 3].map(|()| node.hand_in(block(2), 7));
        assert_eq!([held, too_many].map(|id| node.answer_to(id).0), ["pending", "ignored"]);
        let copy = node.hand_in(block(2), 9);
        assert_eq!(node.answer_to(copy), ("ignored", "duplicate"));
        assert_eq!(node.under_way(), [10, 11, 2]);
    }
}

#[test]
fn junk_without_a_place_for_the_copy_costs_its_owner_the_proof() {
    // Peer 7 fills the places of bad blocks, of which proven peer 9 brings two as well. Once one of
    // them is refused, the other is that of a peer without proof; one such check at a time.
    let limits = Limits { followers: 0, peer_blocks: 1, unproven: 1, ..Limits::default() };
    let mut node = Node::new(limits);
    node.prove(9, 1);
    let junk = |root| Item::Block(ToyBlock::new(root, 0, 1).badly_signed());
    for root in [10, 11, 12] {
        node.hand_in(junk(root), 7);
    }
    for root in [11, 12] {
        let copy = node.hand_in(junk(root), 9);
        assert_eq!(node.answer_to(copy), ("ignored", "duplicate"));
    }
    assert_eq!(node.under_way(), [10, 11]);
    let (request, job) = node.checks.pop_last().expect("the proven peer's is checked");
    let answer = node.work(job);
    node.event(Event::Answered { request, answer });
    assert_eq!(node.under_way(), [10]);
}

#[test]
fn what_waits_behind_a_peer_whose_item_is_refused_passes_to_one_of_better_standing() {
    // One check at a time, and nobody is proven. Peer 7 has three bad blocks, and a good one behind
    // them that peer 6 brings as well, before the first bad block is refused or after it.
    for is_before in [true, false] {
        let mut node = Node::new(Limits { unproven: 1, ..Limits::default() });
        for root in [10, 11, 12] {
            node.hand_in(Item::Block(ToyBlock::new(root, 0, 1).badly_signed()), 7);
        }
        let [own, copy] = if is_before { [7, 6] } else { [7, 7] };
        [own, copy].iter().for_each(|peer| {
            node.hand_in(block(4), *peer);
        });
        assert_eq!(node.under_way(), [10]);
        assert!(node.answer_one());
        // Of equal turns the one of the item that came first goes first.
        assert_eq!(node.under_way(), [11]);
        if !is_before {
            node.hand_in(block(4), 6);
        }
        assert!(node.answer_one());
        assert_eq!(node.under_way(), [4]);
    }
}

#[test]
fn what_waits_behind_a_peer_that_loses_its_proof_passes_to_a_proven_one() {
    // One block of a peer is checked at a time. Peer 7 has two bad blocks and a good one, which
    // peers 6 and 9 bring as well; of those, 9 is proven.
    let mut node = Node::new(Limits { peer_blocks: 1, ..Limits::default() });
    node.prove(7, 1);
    node.prove(9, 2);
    for root in [10, 11] {
        node.hand_in(Item::Block(ToyBlock::new(root, 0, 1).badly_signed()), 7);
    }
    [7, 6, 9].iter().for_each(|peer| {
        node.hand_in(block(4), *peer);
    });
    assert_eq!(node.under_way(), [10]);
    assert!(node.answer_one());
    assert_eq!(node.under_way(), [4, 11]);
}

#[test]
fn what_waits_behind_a_peer_without_proof_passes_to_one_that_is_proven_later() {
    // Two bad blocks of peer 7 are under way; its good one was brought by peer 8 as well, before a
    // vote proves that.
    let mut node = node();
    for root in 10..14 {
        node.hand_in(Item::Block(ToyBlock::new(root, 0, 1).badly_signed()), 7);
    }
    [7, 8].iter().for_each(|peer| {
        node.hand_in(block(4), *peer);
    });
    node.hand_in(single(1), 8);
    assert_eq!(node.under_way(), [10, 11]);
    let (request, job) = node.checks.pop_last().expect("the vote is checked");
    let answer = node.work(job);
    node.event(Event::Answered { request, answer });
    assert_eq!(node.under_way(), [10, 11, 4]);
}

#[test]
fn what_a_proven_peer_has_taken_over_passes_on_when_that_loses_its_proof() {
    // One block of a peer is checked at a time, and one of those without proof. Peer 7 brings a
    // block, peer 6 as well, and then peer 9, whose it is from then on. Peer 6 is proven by a vote,
    // and then peer 9 is refused.
    let mut node = Node::new(Limits { peer_blocks: 1, unproven: 1, ..Limits::default() });
    node.prove(9, 1);
    for (root, peer) in [(10, 9), (11, 5)] {
        node.hand_in(Item::Block(ToyBlock::new(root, 0, 1).badly_signed()), peer);
    }
    [7, 6, 9].iter().for_each(|peer| {
        node.hand_in(block(4), *peer);
    });
    node.hand_in(single(1), 6);
    let (request, job) = node.checks.pop_last().expect("the vote is checked");
    let answer = node.work(job);
    node.event(Event::Answered { request, answer });
    assert_eq!(node.under_way(), [10, 11]);
    assert!(node.answer_one());
    assert_eq!(node.under_way(), [11, 4]);
}

#[test]
fn what_others_brought_as_well_is_theirs_when_there_is_no_room_for_its_owner() {
    // Room for two. Peer 8 brings an orphan, which peers 7 and 9 bring as well, and then two more.
    // Its own submission gives way, and then its next item; the first orphan is peer 9's now.
    let mut node = Node::new(Limits { items: 2, ..Limits::default() });
    node.prove(8, 1);
    node.prove(9, 2);
    let [first, seventh, ninth] = [8, 7, 9].map(|peer| node.hand_in(orphan(10), peer));
    let [second, third] = [20, 30].map(|root| node.hand_in(orphan(root), 8));
    assert_eq!([first, second].map(|id| node.answer_to(id)), [("dropped", "evicted"); 2]);
    let pending = [seventh, ninth, third].map(|id| node.answer_to(id));
    assert_eq!(pending, [("pending", "unknown_parent"); 3]);
    let fourth = node.hand_in(orphan(40), 8);
    assert_eq!(node.answer_to(third), ("dropped", "evicted"));
    assert_eq!([seventh, ninth, fourth].map(|id| node.answer_to(id).0), ["pending"; 3]);
    assert_eq!((node.machine.held(), node.machine.awaited_roots()), (2, vec![110, 140]));
}

#[test]
fn what_passes_on_gives_back_the_place_of_the_copy_that_goes() {
    // A quota of one, and room for one copy. Peer 7's orphan, which peer 8 has brought as well,
    // gives way to the block that it waits for. Then peer 9 brings the orphan, and peer 6 as well.
    let limits = Limits { items_per_peer: 1, copies: 1, ..Limits::default() };
    let mut node = Node::new(limits);
    [7, 8].iter().for_each(|peer| {
        node.hand_in(orphan(1), *peer);
    });
    node.hand_in(Item::Block(ToyBlock::new(101, 90, 4)), 7);
    let [ninth, sixth] = [9, 6].map(|peer| node.hand_in(orphan(1), peer));
    assert_eq!(node.answer_to(ninth), ("pending", "unknown_parent"));
    assert_eq!(node.answer_to(sixth), ("ignored", "duplicate"));
}

#[test]
fn what_gives_way_passes_to_a_proven_peer_before_others() {
    // Room for ten, one request a tick. Peer 8 has ten orphans, of which peers 7 and 9 bring the
    // first as well; peer 6, without proof, has one. What peer 9 waits for is asked for right after
    // what peer 8 waits for.
    let mut node = Node::new(Limits { items: 10, needs: 1, ..Limits::default() });
    node.prove(8, 1);
    node.prove(9, 2);
    node.hand_in(orphan(5), 6);
    [8, 7, 9].iter().for_each(|peer| {
        node.hand_in(orphan(10), *peer);
    });
    (20..=28).for_each(|root| {
        node.hand_in(orphan(root), 8);
    });
    node.needed.clear();
    (0..2).for_each(|_| node.tick(11));
    assert_eq!(node.needed, [121, 110]);
}

#[test]
fn what_passes_to_a_peer_without_proof_counts_eightfold() {
    // Room for two. Peer 8, proven, brings three orphans, the first of which peer 7 brings as well:
    // that is peer 7's then, and goes before the others of peer 8.
    let mut node = Node::new(Limits { items: 2, ..Limits::default() });
    node.prove(8, 1);
    let [first, copy] = [8, 7].map(|peer| node.hand_in(orphan(10), peer));
    let others = [20, 30].map(|root| node.hand_in(orphan(root), 8));
    assert_eq!([first, copy].map(|id| node.answer_to(id)), [("dropped", "evicted"); 2]);
    assert_eq!(others.map(|id| node.answer_to(id).0), ["pending"; 2]);
}

#[test]
fn a_peer_over_its_quota_leaves_what_others_brought_as_well() {
    // A quota of one: peer 7's orphan gives way to the block that it waits for, but peer 8 has
    // brought it, too.
    let mut node = Node::new(Limits { items_per_peer: 1, ..Limits::default() });
    let [first, copy] = [7, 8].map(|peer| node.hand_in(orphan(1), peer));
    let parent = node.hand_in(Item::Block(ToyBlock::new(101, 90, 4)), 7);
    assert_eq!(node.answer_to(first), ("dropped", "peer_quota"));
    assert_eq!([copy, parent].map(|id| node.answer_to(id).0), ["pending"; 2]);
}

#[test]
fn an_owner_without_a_submission_makes_room_for_a_block_with_its_own() {
    // A quota of one, and no place for copies: peer 9, proven, owns an orphan that it brought
    // second. Its own orphan stays, and what it brings next is over the quota, although another
    // item waits for it.
    let mut node = Node::new(Limits { items_per_peer: 1, copies: 0, ..Limits::default() });
    node.prove(9, 9);
    let first = node.hand_in(orphan(1), 7);
    let copy = node.hand_in(orphan(1), 9);
    assert_eq!(node.answer_to(copy), ("ignored", "duplicate"));
    let own = node.hand_in(orphan(2), 9);
    let parent = node.hand_in(Item::Block(ToyBlock::new(102, 90, 4)), 9);
    assert_eq!(node.answer_to(parent), ("dropped", "peer_quota"));
    assert_eq!([first, own].map(|id| node.answer_to(id).0), ["pending"; 2]);
}

#[test]
fn what_a_proven_peers_items_wait_for_is_asked_for_first() {
    // One request a tick. Peer 7 has four orphans, proven peer 9 one of its own and one that peer 7
    // brought first.
    let mut node = Node::new(Limits { needs: 1, ..Limits::default() });
    node.prove(9, 9);
    (1..=4).for_each(|root| {
        node.hand_in(orphan(root), 7);
    });
    node.hand_in(orphan(4), 9);
    node.hand_in(orphan(5), 9);
    node.needed.clear();
    (0..5).for_each(|_| node.tick(11));
    assert_eq!(node.needed, [104, 105, 101, 102, 103]);
}

#[test]
fn a_peer_that_falls_gives_up_all_and_takes_over_a_bounded_number_when_it_rises() {
    // Peer 7 brings 200 blocks and 200 votes, which wait for two blocks, and peer 8 the same; then
    // peer 7 sends junk, and peer 7 a valid vote. Once all are gone, nothing is left in the index.
    let mut node = node();
    let target = Checkpoint { epoch: 2, root: 0 };
    let vote = |id| ToyAttestation { id, slot: 9, head: 202, target, validator: 0, valid: true };
    for peer in [7, 8] {
        for id in 1..=200 {
            node.hand_in(Item::Block(ToyBlock::new(id, 201, 5)), peer);
            node.hand_in(Item::Attestation(vote(id)), peer);
        }
    }
    let shared = |node: &Node| [7, 8].map(|peer| node.machine.shared(peer));
    assert_eq!(shared(&node), [[400, 0], [0, SHARED]]);
    node.hand_in(Item::Block(ToyBlock::new(250, 0, 1).badly_signed()), 7);
    node.settle();
    assert_eq!(shared(&node), [[0, SHARED], [400, 0]]);
    // Eight slots later nothing speaks against it any more.
    node.tick(18);
    node.hand_in(single(1), 7);
    node.settle();
    assert_eq!(shared(&node), [[SHARED, 0], [400 - SHARED, SHARED]]);
    node.event(Event::Stop);
    assert_eq!(shared(&node), [[0, 0]; 2]);
}
