//! Questions of clients, on real threads: what a stop does with those that wait, and that they take
//! no place from the node's own.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blocksmith_sync::{Std, oneshot};

use super::scripted::{Scripted, soon};
use super::threads::{self, Services};
use crate::blocksmith::{Anchor, Blocksmith, Config, ProduceError};
use crate::clearance::BuildOn;
use crate::consensus::Checkpoint;
use crate::notice::Notice;
use crate::rewinder::load::STEP_SLOTS;
use crate::rewinder::{Answer, Lane};
use crate::store::MemoryStore;
use crate::toy::{ToyBlock, ToyState};

/// A protocol that is held before the first `count` parts of loads beyond slot 12, and the ends to
/// see such a part and to end its hold.
fn held(count: usize) -> (Scripted, Receiver<u64>, Sender<()>) {
    let (mut protocol, _) = Scripted::new();
    let begun = AtomicUsize::new(0);
    let ((go_on, held), (arrive, arrived)) = (channel(), channel());
    let (held, arrive) = (Mutex::new(held), Mutex::new(arrive));
    protocol.load = Box::new(move |slot| {
        if slot > 12 {
            // A test that has failed sees no more.
            let _ = arrive.lock().expect("no test panics here").send(slot);
            if begun.fetch_add(1, Relaxed) < count {
                soon(&held.lock().expect("no test panics here"));
            }
        }
    });
    (protocol, arrived, go_on)
}

fn answer(asked: &mut oneshot::Receiver<Std, Answer<Scripted>>) -> Option<Answer<Scripted>> {
    asked.try_recv().ok()
}

#[test]
fn a_stop_refuses_questions_that_wait_and_those_that_come_and_each_worker_ends_its_part() {
    // Both workers are within the first part of a long load when 40 more queries and duties of
    // long loads and a production wait, beside a block. The workers are let go after the stop.
    let (protocol, arrived, go_on) = held(2);
    let (blocksmith, _notices) = threads::start(protocol, 0, Vec::new());
    let client = blocksmith.client();
    let far = |number: u64| 8 * STEP_SLOTS + number;
    let mut in_hand = Vec::new();
    for (number, lane) in [(100, Lane::Queries), (101, Lane::Duties)] {
        in_hand.push(client.request_state(0, far(number), lane));
        assert_eq!(soon(&arrived), STEP_SLOTS);
    }
    let lane = |number| if number % 2 == 0 { Lane::Queries } else { Lane::Duties };
    let ask = |number| client.request_state(0, far(number), lane(number));
    let mut waiting: Vec<_> = (0..40).map(ask).collect();
    let production = std::thread::spawn({
        let client = client.clone();
        move || client.produce_block(BuildOn::Block(0), 12, 9)
    });
    let block = threads::submit(client, 1, 0, 1);
    threads::wait_for_waiting(client, 42);
    client.rewinder.give_up_long_loads();
    for asked in &mut waiting {
        assert!(matches!(answer(asked), Some(Answer::Refused)));
    }
    assert!(matches!(answer(&mut ask(40)), Some(Answer::Refused)));
    assert_eq!(production.join().expect("it returns"), Err(ProduceError::Refused));
    assert_eq!(client.counters().rewinder_waiting, 1, "the block");
    (0..2).for_each(|_| go_on.send(()).expect("a worker waits"));
    for asked in in_hand {
        assert!(matches!(asked.recv(), Ok(Answer::Refused)));
    }
    assert_eq!(block.wait().class(), "valid");
    blocksmith.stop();
    assert_eq!(arrived.try_iter().count(), 0, "a part was run after the stop");
}

/// Durable services with two workers and lanes of two tasks.
fn durable(protocol: Scripted) -> Services {
    let mut config = Config { workers: 2, queries: 1, ..threads::config(1, 0) };
    config.quarantine.window = 1;
    config.quarantine.unproven = 1;
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let store = Box::new(MemoryStore::new(usize::MAX));
    let started = Blocksmith::start_durable(config, Arc::new(protocol), anchor, store);
    let services = started.expect("the sizes are not zero");
    services.0.client().tick(12, Duration::ZERO);
    services
}

#[test]
fn clients_that_keep_the_lane_full_crowd_out_neither_balances_nor_the_finalised_state() {
    // One worker is within a load, and two more queries for the same state fill the lane. A block
    // on another worker justifies and finalises block 1. The clock stands still, so nothing that is
    // refused would be asked for again.
    let (mut protocol, arrived, go_on) = held(1);
    let (weigh, weighed) = channel();
    let weigh = Mutex::new(weigh);
    protocol.weigh = Box::new(move || {
        // The test may have seen enough.
        let _ = weigh.lock().expect("no test panics here").send(());
    });
    let (blocksmith, mut notices) = durable(protocol);
    let client = blocksmith.client();
    assert_eq!(threads::submit(client, 1, 0, 4).wait().class(), "valid");
    client.rest();
    weighed.try_iter().for_each(drop);
    let query = || client.request_state(1, STEP_SLOTS, Lane::Queries);
    let first = query();
    assert_eq!(soon(&arrived), STEP_SLOTS);
    let (second, third) = (query(), query());
    assert!(matches!(answer(&mut query()), Some(Answer::Busy)));
    let finalizes = Some(Checkpoint { epoch: 1, root: 1 });
    let block = ToyBlock { finalizes, ..ToyBlock::new(2, 1, 9) };
    assert_eq!(client.submit_block(block, 0, 1).wait().class(), "valid");
    soon(&weighed);
    let durable = Notice::Durable(Checkpoint { epoch: 1, root: 1 });
    loop {
        let notice = notices.recv_timeout(Duration::from_secs(20)).expect("finality is durable");
        if notice == durable {
            break;
        }
    }
    assert!(matches!(answer(&mut query()), Some(Answer::Busy)));
    go_on.send(()).expect("the worker waits");
    for asked in [first, second, third] {
        assert!(matches!(asked.recv(), Ok(Answer::State(_))));
    }
    blocksmith.stop();
}
