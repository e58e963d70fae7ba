//! The running services over the toy protocol, on real threads.

use std::sync::Arc;
use std::time::Duration;

use blocksmith_sync::Std;

use super::{Anchor, Blocksmith, Client, Config, NoticeReceiver, StartError, Submission};
use crate::consensus::Checkpoint;
use crate::notice::Notice;
use crate::rewinder::Lane;
use crate::toy::{Toy, ToyBlock, ToyState};

fn start(config: Config) -> (Blocksmith<Std, Toy>, NoticeReceiver<Std, Toy>) {
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let started = Blocksmith::start(config, Arc::new(Toy::default()), anchor);
    let started = started.expect("the sizes are not zero");
    started.0.client().tick(10, Duration::ZERO);
    started
}

fn submit(client: &Client<Std, Toy>, block: ToyBlock) -> Submission<Std, Toy> {
    client.submit_block(block, 0, 1)
}

#[test]
fn a_chain_in_reverse_order_ends_up_cleared_with_its_tip_as_head() {
    // Blocks 3, 2, 1; rest; every verdict is there and the head is 3.
    let (blocksmith, _notices) = start(Config { workers: 2, ..Config::default() });
    let client = blocksmith.client();
    let blocks = [3, 2, 1].map(|n| ToyBlock::new(n, n - 1, u64::from(n)));
    let submissions = blocks.map(|block| submit(client, block));
    let verdicts = submissions.map(|submission| submission.wait().class());
    client.rest();
    assert_eq!(verdicts, ["valid"; 3]);
    assert_eq!(client.view().map(|view| view.head), Some(3));
    let state = client.state_at(3, 9, Lane::Duties).expect("the block is known");
    assert_eq!((state.block, state.slot), (3, 9));
    assert_eq!(blocksmith.stop().panicked, Vec::<String>::new());
}

#[test]
fn what_waits_at_the_stop_is_answered() {
    // An orphan waits; the services stop; its verdict is there, and so is a later one's.
    let (blocksmith, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = blocksmith.client().clone();
    let orphan = submit(&client, ToyBlock::new(9, 8, 3));
    assert_eq!(blocksmith.stop().joined, 5);
    assert_eq!(orphan.wait().reason(), "shutdown");
    assert_eq!(submit(&client, ToyBlock::new(1, 0, 1)).wait().reason(), "fault");
    assert_eq!(client.view(), None);
}

#[test]
fn the_smallest_mailboxes_do_not_deadlock() {
    // Capacity one everywhere, a window of one, and more items than any queue holds.
    let mut config = Config { workers: 1, mailbox_capacity: 1, queries: 1, ..Config::default() };
    config.quarantine.window = 1;
    let (blocksmith, _notices) = start(config);
    let client = blocksmith.client();
    let submissions: Vec<_> =
        (1..=200).map(|n| submit(client, ToyBlock::new(n, n - 1, u64::from(n.min(10))))).collect();
    client.rest();
    let classes: Vec<_> = submissions.into_iter().map(|s| s.wait().class()).collect();
    assert_eq!(classes.iter().filter(|class| **class == "valid").count(), 10);
    assert_eq!(classes.len(), 200);
}

#[test]
fn finality_prunes_and_is_told() {
    // Block 4 finalises block 4's parent chain at epoch 1; a dead branch is refused afterwards.
    let (blocksmith, notices) = start(Config { workers: 2, ..Config::default() });
    let client = blocksmith.client();
    let finalizes = Some(Checkpoint { epoch: 1, root: 2 });
    let blocks = [
        ToyBlock::new(1, 0, 3),
        ToyBlock::new(5, 0, 3),
        ToyBlock::new(2, 1, 4),
        ToyBlock { finalizes, ..ToyBlock::new(3, 2, 5) },
    ];
    for block in blocks {
        assert_eq!(submit(client, block).wait().class(), "valid");
    }
    client.rest();
    let late = submit(client, ToyBlock::new(6, 5, 6)).wait();
    assert_eq!(late.reason(), "not_descendant_of_finalized");
    assert_eq!(client.view().map(|view| view.finalized.root), Some(2));
    blocksmith.stop();
    let told: Vec<_> = notices.iter().collect();
    assert!(told.contains(&Notice::Finalized(Checkpoint { epoch: 1, root: 2 })), "{told:?}");
}

#[test]
fn a_size_of_zero_is_refused_by_name() {
    // No worker.
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let config = Config { workers: 0, ..Config::default() };
    let refused = Blocksmith::<Std, Toy>::start(config, Arc::new(Toy::default()), anchor);
    assert_eq!(refused.err(), Some(StartError::Zero { field: "workers" }));
}
