//! The running services over the toy protocol, on real threads.

use std::sync::Arc;
use std::time::Duration;

use blocksmith_sync::Std;
use blocksmith_sync::broker::{Level, Weight};
use blocksmith_sync::mailbox::Counters;

use super::{
    Anchor, Blocksmith, Client, Config, NoticeReceiver, StartError, StateError, Submission,
};
use crate::blocksmith::ProduceError;
use crate::clearance::BuildOn;
use crate::consensus::Checkpoint;
use crate::gossip::Operation;
use crate::notice::Notice;
use crate::rewinder::Lane;
use crate::supervision::{Fault, Gate, Injection, ServiceName, When};
use crate::toy::{
    Toy, ToyAttestation, ToyBlock, ToyInvalid, ToyOperation, ToyPayloadVote, ToyState,
};
use crate::verdict::PendingReason;

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
fn who_asks_again_gets_the_same_verdict() {
    // Asked twice without waiting, then by waiting: also when the services have gone meanwhile.
    let (blocksmith, _notices) = start(Config { workers: 1, ..Config::default() });
    let mut submission = submit(blocksmith.client(), ToyBlock::new(1, 0, 1).invalid());
    blocksmith.client().rest();
    let first = submission.try_wait().expect("it is judged");
    blocksmith.stop();
    assert_eq!(first.class(), "invalid");
    assert_eq!(submission.try_wait().as_ref(), Some(&first));
    assert_eq!(submission.wait(), first);
}

#[test]
fn accepted_attestations_are_packed_for_a_block_and_others_are_not() {
    // Of two for block 1 one is invalid; the other is there for a block in its next slot, and no
    // longer for one past an epoch.
    let (blocksmith, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = blocksmith.client();
    assert_eq!(submit(client, ToyBlock::new(1, 0, 9)).wait().class(), "valid");
    let target = Checkpoint { epoch: 2, root: 0 };
    let good = ToyAttestation { id: 1, slot: 9, head: 1, target, validator: 2, valid: true };
    let bad = ToyAttestation { id: 2, validator: 3, valid: false, ..good };
    let verdicts = [good, bad].map(|one| client.submit_attestation(one, 0, 1).wait().class());
    assert_eq!(verdicts, ["valid", "invalid"]);
    client.rest();
    let pack = |slot, max| {
        let state = client.state_at(1, slot, Lane::Duties).expect("the block is known");
        client.pack_attestations(1, &state, max)
    };
    assert_eq!(pack(10, 128), Some(vec![good]));
    assert_eq!([pack(10, 0), pack(14, 128)], [Some(vec![]), Some(vec![])]);
    let client = client.clone();
    let state = client.state_at(1, 10, Lane::Duties).expect("the block is known");
    blocksmith.stop();
    assert_eq!(client.pack_attestations(1, &state, 128), None);
}

#[test]
fn an_operation_that_the_finalised_chain_has_taken_in_is_there_for_no_block() {
    // Exits 12 and 13; in the toy, block 13 is the one that carries exit 13. It becomes final.
    let (blocksmith, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = blocksmith.client();
    for (id, validator) in [(12, 2), (13, 3)] {
        let exit = ToyOperation { id, validators: 1 << validator, signed: true, valid: true };
        let exit = client.submit_operation(Operation::VoluntaryExit(exit), 0, 1).wait();
        assert_eq!(exit.class(), "valid");
    }
    let exits = |parent| {
        let block = client.produce_block(BuildOn::Block(parent), 11, 2).expect("it is known");
        block.operations.iter().map(|operation| operation.id).collect::<Vec<_>>()
    };
    assert_eq!(submit(client, ToyBlock::new(13, 0, 4)).wait().class(), "valid");
    assert_eq!(exits(13), [12, 13]);
    let finalizes = Some(Checkpoint { epoch: 1, root: 13 });
    let block = ToyBlock { finalizes, ..ToyBlock::new(14, 13, 8) };
    assert_eq!(submit(client, block).wait().class(), "valid");
    client.rest();
    assert_eq!(exits(14), [12]);
    blocksmith.stop();
}

#[test]
fn the_pools_have_the_limits_of_the_configuration() {
    // Room for one attestation and one exit: of two of each, one is there for a block.
    let mut config = Config { workers: 1, ..Config::default() };
    (config.clearance.attestations, config.clearance.operations) = (1, 1);
    let (blocksmith, _notices) = start(config);
    let client = blocksmith.client();
    assert_eq!(submit(client, ToyBlock::new(1, 0, 9)).wait().class(), "valid");
    let target = Checkpoint { epoch: 2, root: 0 };
    for validator in [2, 3] {
        let id = 10 + validator as u8;
        let vote = ToyAttestation { id, slot: 9, head: 1, target, validator, valid: true };
        assert_eq!(client.submit_attestation(vote, 0, 1).wait().class(), "valid");
        let exit = ToyOperation { id, validators: 1 << validator, signed: true, valid: true };
        let exit = client.submit_operation(Operation::VoluntaryExit(exit), 0, 1).wait();
        assert_eq!(exit.class(), "valid");
    }
    let unsigned = client.produce_block(BuildOn::Block(1), 11, 2).expect("the parent is known");
    assert_eq!((unsigned.attestations.len(), unsigned.operations.len()), (1, 1));
    assert_eq!(unsigned.operations[0].id, 13, "the newer exit");
    blocksmith.stop();
}

#[test]
fn what_waits_at_the_stop_is_answered() {
    // An orphan waits; the services stop; its verdict is there, and so is a later one's.
    let (blocksmith, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = blocksmith.client().clone();
    let orphan = submit(&client, ToyBlock::new(9, 8, 3));
    assert_eq!(blocksmith.stop().joined, 6);
    assert_eq!(orphan.wait().reason(), "shutdown");
    assert_eq!(submit(&client, ToyBlock::new(1, 0, 1)).wait().reason(), "fault");
    assert_eq!(client.view(), None);
}

#[test]
fn the_smallest_mailboxes_do_not_deadlock() {
    // Capacity one everywhere, a window of one, and more items than any queue holds.
    let mut config = Config { workers: 1, mailbox_capacity: 1, queries: 1, ..Config::default() };
    config.quarantine.window = 1;
    // A slow worker leaves all of them waiting in one chain. None may be dropped: what waits for it
    // would wait for longer than the clock of this test goes.
    config.quarantine.depth = 200;
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
fn a_peer_that_fills_the_mailbox_is_answered_at_once_and_others_find_room() {
    // The Quarantine is held up at its first submission, so nothing leaves its mailbox of 64. Peer
    // 1 gets a quarter of it. Then each other peer gets its share of 2 (unless two peers share a
    // cell). Once the Quarantine goes on, peer 1 has credit again.
    let gate = Gate::<Std>::new();
    let (service, fault) = (ServiceName::Quarantine, Fault::Stall(gate.clone()));
    let stall = vec![Injection { service, when: When::At(1), fault }];
    let config =
        Config { workers: 1, mailbox_capacity: 64, mailbox_per_peer: 2, ..Config::default() };
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let started = Blocksmith::<Std, Toy>::start_with_faults(config, Arc::default(), anchor, stall);
    let (blocksmith, _notices) = started.expect("the sizes are not zero");
    let client = blocksmith.client();
    let send = |peer, root| client.submit_block(ToyBlock::new(root, 0, 1), peer, 1);
    let refused = |submissions: &mut [Submission<Std, Toy>]| {
        let answers = submissions.iter_mut().filter_map(Submission::try_wait);
        answers.filter(|verdict| verdict.reason() == "peer_busy").count()
    };
    let held_up = send(1, 1);
    gate.wait_for_arrival();
    let mut flood: Vec<_> = (0..40).map(|root| send(1, root)).collect();
    let of_flood = refused(&mut flood);
    let shares = (2..10).filter(|peer| {
        let mut three = [1, 2, 3].map(|root| send(*peer, root));
        refused(&mut three) == 1
    });
    let shares = shares.count();
    // A test that fails stops the services, which wait for the gate.
    gate.open();
    assert_eq!(of_flood, 40 - 16);
    assert!(shares >= 4, "{shares}");
    client.tick(1, Duration::ZERO);
    client.rest();
    assert_ne!(held_up.wait().reason(), "peer_busy");
    assert_ne!(send(1, 1).wait().reason(), "peer_busy");
    blocksmith.stop();
}

#[test]
fn finality_prunes_and_is_told() {
    // Block 4 finalises block 4's parent chain at epoch 1; a dead branch is refused afterwards.
    let (blocksmith, mut notices) = start(Config { workers: 2, ..Config::default() });
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
fn at_the_highest_level_detection_stops_and_clearing_goes_on() {
    // A queue of the node's own is full; then it is gone. Two blocks of one proposer come in
    // between.
    let mut config = Config { workers: 1, observe_every: None, ..Config::default() };
    config.broker.dwell = Duration::ZERO;
    let (blocksmith, mut notices) = start(config);
    let client = blocksmith.client();
    let full = Counters { depth: 64, sent: 64, capacity: 64, ..Counters::default() };
    assert_eq!(client.broker().watch("node.peers", Weight::Counts, move || full), Ok(()));
    assert_eq!(client.observe().map(|change| change.to), Some(Level::Critical));
    for block in [ToyBlock::new(1, 0, 3), ToyBlock::new(2, 0, 3)] {
        assert_eq!(submit(client, block).wait().class(), "valid");
    }
    assert!(client.broker().forget("node.peers"));
    assert_eq!(client.observe().map(|change| change.to), Some(Level::Normal));
    assert_eq!(submit(client, ToyBlock::new(3, 1, 4)).wait().class(), "valid");
    client.rest();
    client.observe();
    let snapshot = client.broker().snapshot();
    let items = snapshot.mailboxes.iter().find(|figures| figures.name == "quarantine.items");
    let items = items.map(|figures| figures.counters);
    assert_eq!(items.map(|items| (items.sent, items.received, items.depth)), Some((3, 3, 0)));
    assert_eq!(blocksmith.stop().panicked, Vec::<String>::new());
    let told: Vec<_> = notices.iter().collect();
    let load = |from, to| Notice::Load { from, to };
    for notice in [
        load(Level::Normal, Level::Critical),
        Notice::SlashingDetection { on: false, skipped: 0 },
        load(Level::Critical, Level::Normal),
        Notice::SlashingDetection { on: true, skipped: 2 },
    ] {
        assert!(told.contains(&notice), "{notice:?} in {told:?}");
    }
    assert!(!told.iter().any(|notice| matches!(notice, Notice::Equivocation { .. })), "{told:?}");
}

#[test]
fn every_queue_is_watched_under_its_name() {
    // Those of few places are only shown.
    let (blocksmith, _notices) = start(Config { workers: 1, ..Config::default() });
    let weight = |name: &str| {
        let snapshot = blocksmith.client().broker().snapshot();
        snapshot.mailboxes.iter().find(|figures| figures.name == name).map(|found| found.weight)
    };
    for name in ["quarantine", "clearance", "hot_db", "rewinder.duties", "rewinder.blocks"] {
        assert_eq!(weight(name), Some(Weight::Counts), "{name}");
    }
    assert_eq!(weight("quarantine.items"), Some(Weight::Depth));
    assert_eq!(weight("notices"), Some(Weight::Shown));
    let config = Config { mailbox_capacity: 1, ..Config::default() };
    let (blocksmith, _notices) = start(config);
    let snapshot = blocksmith.client().broker().snapshot();
    let few = snapshot.mailboxes.iter().filter(|figures| figures.weight == Weight::Shown);
    let few: Vec<_> = few.map(|figures| figures.name.as_str()).collect();
    assert_eq!(few, ["clearance", "hot_db", "notices", "quarantine"]);
    let config = Config { mailbox_capacity: 16, ..Config::default() };
    let (blocksmith, _notices) = start(config);
    let snapshot = blocksmith.client().broker().snapshot();
    let clearance = snapshot.mailboxes.iter().find(|figures| figures.name == "clearance");
    assert_eq!(clearance.map(|figures| figures.weight), Some(Weight::Counts), "sixteen is enough");
}

/// The name of a size that must not be 0, and what makes it 0.
type Zero = (&'static str, fn(&mut Config));

const ZEROS: &[Zero] = &[
    ("workers", |config| config.workers = 0),
    ("mailbox_capacity", |config| config.mailbox_capacity = 0),
    ("mailbox_per_peer", |config| config.mailbox_per_peer = 0),
    ("queries", |config| config.queries = 0),
    ("attestation_batch", |config| config.attestation_batch = 0),
    ("notices", |config| config.notices = 0),
    ("observe_every", |config| config.observe_every = Some(Duration::from_micros(999))),
    ("quarantine.window", |config| config.quarantine.window = 0),
    ("quarantine.unproven", |config| config.quarantine.unproven = 0),
    ("quarantine.peer_blocks", |config| config.quarantine.peer_blocks = 0),
    ("quarantine.peer_votes", |config| config.quarantine.peer_votes = 0),
    ("quarantine.items", |config| config.quarantine.items = 0),
    ("quarantine.bytes", |config| config.quarantine.bytes = 0),
    ("quarantine.items_per_peer", |config| config.quarantine.items_per_peer = 0),
    ("quarantine.patience", |config| config.quarantine.patience = 0),
    ("quarantine.depth", |config| config.quarantine.depth = 0),
    ("quarantine.needs", |config| config.quarantine.needs = 0),
    ("quarantine.equivocations", |config| config.quarantine.equivocations = 0),
    ("quarantine.awaited_equivocations", |config| config.quarantine.awaited_equivocations = 0),
    ("clearance.aggregates", |config| config.clearance.aggregates = 0),
    ("clearance.attestations_per_slot", |config| config.clearance.attestations_per_slot = 0),
    ("clearance.attestations", |config| config.clearance.attestations = 0),
    ("clearance.attestation_bytes", |config| config.clearance.attestation_bytes = 0),
    ("clearance.operations", |config| config.clearance.operations = 0),
    ("clearance.detection_epochs", |config| config.clearance.detection_epochs = 0),
    ("clearance.detection_bytes", |config| config.clearance.detection_bytes = 0),
    ("clearance.detection_validators", |config| config.clearance.detection_validators = 0),
    ("hot_db.blocks - 1", |config| config.hot_db.blocks = 1),
    ("hot_db.bytes", |config| config.hot_db.bytes = 0),
    ("hot_db.checkpoint_slots", |config| config.hot_db.checkpoint_slots = 0),
    ("hot_db.distance", |config| config.hot_db.distance = 0),
    ("cold_db.batch", |config| config.cold_db.batch = 0),
    ("cold_db.attestations", |config| config.cold_db.attestations = 0),
];

#[test]
fn each_size_of_zero_is_refused_by_name() {
    // Every size of the list alone, and the list has every size that is looked at.
    for (field, make_zero) in ZEROS {
        let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
        let mut config = Config::default();
        make_zero(&mut config);
        let refused = Blocksmith::<Std, Toy>::start(config, Arc::default(), anchor).err();
        assert_eq!(refused, Some(StartError::Zero { field }));
    }
    let looked_at: Vec<_> = Config::default().sizes().into_iter().map(|(name, _)| name).collect();
    let listed: Vec<_> = ZEROS.iter().map(|(name, _)| *name).collect();
    assert_eq!(looked_at, listed);
}

#[test]
fn a_detector_without_room_for_a_second_item_is_refused_by_name() {
    // An offence takes two items, so a bound of 0 or 1 would find none; 2 is enough.
    let start = |items| {
        let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
        let mut config = Config::default();
        config.clearance.detection_items = items;
        Blocksmith::<Std, Toy>::start(config, Arc::default(), anchor)
    };
    for items in [0, 1] {
        let error = start(items).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error, format!("clearance.detection_items of {items} must be at least 2"));
    }
    let (blocksmith, _notices) = start(2).expect("two are enough");
    assert_eq!(blocksmith.stop().cause, None);
}

#[test]
fn sizes_that_need_more_reply_slots_than_a_mailbox_has_are_refused() {
    // Each of the two sizes alone, the largest of all included.
    for size in [16_384, usize::MAX] {
        let mut window = Config::default();
        window.quarantine.window = size;
        let capacity = Config { mailbox_capacity: size, ..Config::default() };
        for (config, field) in [(window, "quarantine.window"), (capacity, "mailbox_capacity")] {
            let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
            let refused = Blocksmith::<Std, _>::start(config, Arc::new(Toy::default()), anchor);
            let error = refused.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(&format!("{field} of {size} needs")), "{error}");
        }
    }
}

/// Polls a future with a waker that does nothing, while the services run on threads of their own.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_task_has_a_block_produced_and_learns_why_there_is_none() {
    // On a given block and on the proposer's head; then on an unknown block, before the parent's
    // slot, too far ahead, an invalid one, and after the services have gone.
    let (node, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = node.client().clone();
    assert_eq!(submit(&client, ToyBlock::new(1, 0, 9)).wait().class(), "valid");
    let produce = |parent, slot, root| {
        block_on(client.produce_block_async(BuildOn::Block(parent), slot, root))
    };
    let unsigned = produce(1, 11, 2).expect("the parent is known").block;
    assert_eq!((unsigned.root, unsigned.parent, unsigned.slot), (2, 1, 11));
    assert_eq!(client.produce_block(BuildOn::Block(1), 11, 2), produce(1, 11, 2));
    let head = BuildOn::ProposerHead { slot: 11, on_time: true };
    let on_head = block_on(client.produce_block_async(head, 11, 3)).expect("there is a head");
    assert_eq!(Some(on_head.block.parent), block_on(client.proposer_head_async(11, true)));
    let why = |parent, slot, root| produce(parent, slot, root).expect_err("there is no block");
    assert_eq!(why(77, 11, 3), ProduceError::UnknownParent);
    assert_eq!(why(1, 9, 3), ProduceError::NotAfterParent);
    assert_eq!(why(1, 1_000_000, 3), ProduceError::TooFar);
    assert_eq!(why(1, 11, 1), ProduceError::Invalid(ToyInvalid::Block));
    assert_eq!(node.stop().panicked, Vec::<String>::new());
    assert!(matches!(why(1, 11, 2), ProduceError::Fault(_)));
}

#[test]
fn a_task_gets_what_the_pools_hold() {
    // An attestation for block 1, and a payload vote for block 2 of the clock's slot.
    let (node, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = node.client();
    for block in [ToyBlock::new(1, 0, 9), ToyBlock::new(2, 1, 10)] {
        assert_eq!(submit(client, block).wait().class(), "valid");
    }
    let target = Checkpoint { epoch: 2, root: 0 };
    let one = ToyAttestation { id: 30, slot: 9, head: 1, target, validator: 2, valid: true };
    assert_eq!(client.submit_attestation(one, 0, 1).wait().class(), "valid");
    let (slot, present, available) = (10, true, false);
    let vote =
        ToyPayloadVote { id: 40, slot, block: 2, validator: 1, present, available, valid: true };
    assert_eq!(client.submit_payload_vote(vote, 0, 1).wait().class(), "valid");
    client.rest();
    let state = client.state_at(1, 10, Lane::Duties).expect("the block is known");
    assert_eq!(block_on(client.pack_attestations_async(1, &state, 9)), Some(vec![one]));
    let aggregates = block_on(client.aggregates_async(9, 30)).expect("Clearance is there");
    assert_eq!(aggregates.largest(), Some(one));
    let (groups, known) = block_on(client.payload_votes_async()).expect("Clearance is there");
    assert_eq!(groups.iter().map(|group| &group.votes[..]).collect::<Vec<_>>(), [[(1, vote)]]);
    assert!(known.iter().any(|known| known.root == 2), "{known:?}");
    assert_eq!(client.proposer_head(11, true), Some(2));
    node.stop();
}

#[test]
fn a_block_on_a_payload_is_judged_once_the_payload_is_told() {
    // The anchor's and block 1's are told by a thread, block 2's by a task.
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let toy = Arc::new(Toy { payloads: true, ..Toy::default() });
    let config = Config { workers: 1, ..Config::default() };
    let (node, _notices) = Blocksmith::<Std, _>::start(config, toy, anchor).expect("it starts");
    let client = node.client();
    client.tick(10, Duration::ZERO);
    client.payload(0);
    assert_eq!(submit(client, ToyBlock::new(1, 0, 1)).wait().class(), "valid");
    for (root, by_task) in [(2, false), (3, true)] {
        let mut block = submit(client, ToyBlock::new(root, root - 1, u64::from(root)));
        client.rest();
        assert_eq!(block.try_wait(), None);
        if by_task {
            block_on(client.payload_async(root - 1));
        } else {
            client.payload(root - 1);
        }
        client.rest();
        assert_eq!(block.try_wait().map(|verdict| verdict.class()), Some("valid"));
    }
    node.stop();
}

#[test]
fn a_weight_reaches_the_quarantine() {
    // One by a thread and one by a task.
    let (node, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = node.client();
    client.rest();
    let sent = || client.counters().quarantine.sent;
    let before = sent();
    client.weigh(7, 2);
    assert_eq!(sent(), before + 1);
    block_on(client.weigh_async(7, 3));
    assert_eq!(sent(), before + 2);
    node.stop();
}

#[test]
fn a_submission_is_pending_under_its_number() {
    // Two orphans.
    let (node, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = node.client();
    let orphans = [8, 18].map(|parent| submit(client, ToyBlock::new(parent + 1, parent, 3)));
    client.rest();
    let mut pending = client.pending().expect("the Quarantine is there");
    pending.sort_unstable();
    let expected = orphans.each_ref().map(|one| (one.id(), PendingReason::UnknownParent));
    assert_eq!(pending, expected);
    assert_ne!(orphans[0].id(), orphans[1].id());
    node.stop();
}

#[test]
fn the_watch_of_the_chain_shows_each_new_head() {
    // The anchor, then block 1.
    let (node, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = node.client();
    let watch = client.watch_chain();
    assert_eq!(watch.get().head, 0);
    assert_eq!(submit(client, ToyBlock::new(1, 0, 1)).wait().class(), "valid");
    client.rest();
    assert_eq!(Some(*watch.get()), client.view());
    assert_eq!(watch.get().head, 1);
    node.stop();
}

#[test]
fn services_that_are_dropped_have_ended() {
    // Their client is left.
    let (node, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = node.client().clone();
    drop(node);
    assert_eq!(client.view(), None);
}

#[test]
fn a_task_does_what_a_thread_can() {
    // A block of the next slot, whose time is told; and the same chain as a thread hands in.
    let (node, _notices) = start(Config { workers: 1, ..Config::default() });
    let client = node.client().clone();
    let mut early = submit(&client, ToyBlock::new(30, 0, 11));
    client.rest();
    assert_eq!(early.try_wait(), None);
    block_on(client.tick_async(11, Duration::ZERO));
    client.rest();
    assert_eq!(early.try_wait().map(|verdict| verdict.class()), Some("valid"));
    let child = block_on(client.submit_block_async(ToyBlock::new(2, 1, 2), 0, 1));
    client.rest();
    assert_eq!(block_on(client.pending_async()).map(|pending| pending.len()), Some(1));
    let parent = block_on(client.submit_block_async(ToyBlock::new(1, 0, 1), 0, 1));
    assert!(
        [parent, child].map(|item| block_on(item).class()).iter().all(|class| *class == "valid")
    );
    assert_eq!(block_on(client.view_async()), client.view());
    let state = block_on(client.state_at_async(2, 3, Lane::Queries));
    assert_eq!(state.map(|state| state.slot), Ok(3));
    let unknown = block_on(client.state_at_async(9, 9, Lane::Duties));
    assert_eq!(unknown.map(|_| ()), Err(StateError::UnknownBlock));
    node.stop();
}
