//! Chains of blocks that wait for one another, and their depth.

use super::{Item, Limits, Node};
use crate::toy::ToyBlock;

#[test]
fn a_chain_that_comes_backwards_loses_its_tips_and_resolves_when_its_parent_comes() {
    // A depth of 3 and blocks 6 to 1 backwards: the three tips go, and block 1 releases 2 and 3.
    let mut node = Node::new(Limits { depth: 3, ..Limits::default() });
    let of = |n: u8| Item::Block(ToyBlock::new(n, n - 1, u64::from(n)));
    let ids = [6, 5, 4, 3, 2].map(|n| node.hand_in(of(n), u64::from(n)));
    assert_eq!(
        ids[..2].iter().map(|id| node.answer_to(*id).1).collect::<Vec<_>>(),
        ["too_deep"; 2]
    );
    assert_eq!(node.machine.held(), 3);
    node.hand_in(of(1), 9);
    node.settle();
    assert_eq!(node.cleared, [1, 2, 3, 4]);
    assert_eq!(node.machine.held(), 0);
}

#[test]
fn a_chain_that_comes_forwards_takes_no_block_beyond_its_depth() {
    // Block 1 is missing. Of 2 to 5, each by another peer, the last is one too many; then a branch
    // of the same depth is not.
    let mut node = Node::new(Limits { depth: 3, ..Limits::default() });
    let ids = [(2, 1), (3, 2), (4, 3), (5, 4), (8, 3)].map(|(root, parent)| {
        node.hand_in(Item::Block(ToyBlock::new(root, parent, u64::from(root))), u64::from(root))
    });
    let reasons = ids.map(|id| node.answer_to(id).1);
    assert_eq!(&reasons[..3], ["unknown_parent"; 3]);
    assert_eq!(&reasons[3..], ["too_deep", "unknown_parent"]);
}

#[test]
fn a_block_that_waits_no_more_makes_the_chain_below_it_shorter() {
    // A depth of 3; 2 to 4 wait for 1, which comes, so that 2 is at the Rewinder. Block 5 is then
    // the third that waits, and 6 the fourth.
    let mut node = Node::new(Limits { depth: 3, ..Limits::default() });
    let of = |n: u8| Item::Block(ToyBlock::new(n, n - 1, u64::from(n)));
    (2..=4).for_each(|n| {
        node.hand_in(of(n), 7);
    });
    node.hand_in(of(1), 9);
    assert!(node.answer_one());
    assert_eq!(node.under_way(), [2]);
    let ids = [5, 6].map(|n| node.hand_in(of(n), 7));
    assert_eq!(ids.map(|id| node.answer_to(id).1), ["unknown_parent", "too_deep"]);
    node.settle();
    assert_eq!(node.cleared, [1, 2, 3, 4, 5]);
}

#[test]
fn a_chain_that_has_lost_its_middle_is_as_long_as_what_is_left() {
    // A depth of 3 and a patience of four slots. Blocks 2 and 3 expire, 4 came later: 5 and 6 find
    // room below it, 7 does not; and 3, which comes again, takes the place of the tip.
    let mut node = Node::new(Limits { depth: 3, patience: 4, ..Limits::default() });
    let of = |n: u8| Item::Block(ToyBlock::new(n, n - 1, u64::from(n)));
    let _expired = [2, 3].map(|n| node.hand_in(of(n), 7));
    node.tick(12);
    node.hand_in(of(4), 7);
    node.tick(14);
    assert_eq!(node.machine.held(), 1);
    let ids = [5, 6, 7].map(|n| node.hand_in(of(n), 7));
    assert_eq!(
        ids.map(|id| node.answer_to(id).1),
        ["unknown_parent", "unknown_parent", "too_deep"]
    );
    let again = node.hand_in(of(3), 7);
    assert_eq!(node.answer_to(again).1, "unknown_parent");
    assert_eq!(node.answer_to(ids[1]), ("dropped", "too_deep"));
}

#[test]
fn of_two_branches_the_longer_one_loses_its_tip() {
    // A depth of 3: 4, 3 and 8 wait for 2, and then 2 for 1; so 2 to 4 are as many as may be. Block
    // 1, whose parent nobody has, takes the place of 4, and the branch of 8 stays.
    let mut node = Node::new(Limits { depth: 3, ..Limits::default() });
    let of = |root: u8, parent: u8| Item::Block(ToyBlock::new(root, parent, u64::from(root)));
    let ids =
        [(4, 3), (3, 2), (8, 2), (2, 1)].map(|(root, parent)| node.hand_in(of(root, parent), 7));
    assert_eq!(ids.map(|id| node.answer_to(id).1), ["unknown_parent"; 4]);
    node.hand_in(of(1, 100), 7);
    let reasons = ids.map(|id| node.answer_to(id).1);
    assert_eq!(reasons, ["too_deep", "unknown_parent", "unknown_parent", "unknown_parent"]);
}
