//! Scenarios of panics and stops, over the running services and the toy protocol.
//!
//! **What each shows.** Every requester is answered, even when its message is lost. The successor
//! serves the messages that are queued. Every thread ends. The scenario joins all threads, so a
//! thread that waits for ever is a deadlock, which every engine reports. Panics are injected
//! ([`blocksmith::supervision`]), before the machine is touched or as if in its middle.

use std::sync::Arc;
use std::time::Duration;

use blocksmith::supervision::{Fault, Gate, Injection, Intensity, ServiceName, When};
use blocksmith::toy::{Toy, ToyBlock, ToyState};
use blocksmith::{Anchor, Blocksmith, Client, Config, StopReport};
use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::{Atomic, Primitives};

use super::notifier::join;
use super::services::smallest;
use super::{Row, preemptions, restless, restless_states, steps};
use crate::row;
use blocksmith_engines::shuttle::ShuttleBounds;
use blocksmith_engines::stepped::A_LONG_TIME;

/// The number of panics that are tolerated where none is to stop the services.
const MANY: usize = 100;

/// Starts the services, which are four threads, with an injected fault, and tells them slot 10.
fn start<P: Primitives>(
    max_restarts: usize,
    service: ServiceName,
    when: When,
    fault: Fault<P>,
) -> Blocksmith<P, Toy> {
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let restarts = Intensity { max_restarts, window: Duration::from_secs(3600) };
    let worker_restarts = Some(restarts);
    let config = Config { restarts, worker_restarts, notices: 8, ..smallest() };
    let faults = vec![Injection { service, when, fault }];
    let toy = Arc::new(Toy::default());
    steps::hear();
    match Blocksmith::start_with_faults(config, toy, anchor, faults) {
        Ok((services, _)) => {
            services.client().tick(10, Duration::ZERO);
            services
        }
        Err(error) => panic!("the sizes are not zero: {error}"),
    }
}

fn stop<P: Primitives>(services: Blocksmith<P, Toy>, panics: u64) {
    let report = services.stop();
    let StopReport { joined, cause, .. } = &report;
    assert_eq!((*joined, report.panicked.len(), report.panics), (4, 0, panics), "{report}");
    assert_eq!(*cause, None);
}

/// Submits a block until its answer is no fault of ours. Returns the class of that answer.
fn insist<P: Primitives>(client: &Client<P, Toy>, block: ToyBlock) -> &'static str {
    for _ in 0..3 {
        let verdict = client.submit_block(block, 0, 1).wait();
        if verdict.reason() != "fault" {
            return verdict.class();
        }
    }
    panic!("one panic, and more than one lost message")
}

/// The worker panics over the parent while the child waits for it. Then the parent comes again.
pub fn a_worker_panics_while_a_child_waits<P: Primitives>() {
    let services = start::<P>(MANY, ServiceName::Rewinder, When::At(1), Fault::Panic);
    let client = services.client();
    let child = client.submit_block(ToyBlock::new(2, 1, 2), 0, 1);
    let parent = client.submit_block(ToyBlock::new(1, 0, 1), 0, 1);
    assert_eq!(parent.wait().reason(), "fault");
    assert_eq!(insist(client, ToyBlock::new(1, 0, 1)), "valid");
    assert_eq!(child.wait().class(), "valid");
    stop(services, 1);
}

/// The worker panics over the only block. This is the smallest of these scenarios.
pub fn a_worker_panics<P: Primitives>() {
    let services = start::<P>(MANY, ServiceName::Rewinder, When::At(1), Fault::Panic);
    let block = services.client().submit_block(ToyBlock::new(1, 0, 1), 0, 1);
    assert_eq!(block.wait().reason(), "fault");
    stop(services, 1);
}

/// A service loses one message, whichever it is. Two blocks are cleared all the same.
fn one_panic<P: Primitives>(service: ServiceName, nth: u64) {
    let services = start::<P>(MANY, service, When::At(nth), Fault::Panic);
    let client = services.client();
    for n in 1..=2 {
        assert_eq!(insist(client, ToyBlock::new(n, n - 1, u64::from(n))), "valid");
    }
    stop(services, 1);
}

/// The Quarantine panics over its third message.
pub fn the_quarantine_panics<P: Primitives>() {
    one_panic::<P>(ServiceName::Quarantine, 3);
}

/// Clearance panics over its second message. It is the first block, which is valid already.
pub fn clearance_panics<P: Primitives>() {
    one_panic::<P>(ServiceName::Clearance, 2);
}

/// The HotDB panics over its second message, which is the first commit.
pub fn the_hot_db_panics<P: Primitives>() {
    one_panic::<P>(ServiceName::HotDb, 2);
}

/// The Quarantine panics in the middle of a step, which tears its machine. An orphan waits, and
/// another block may be anywhere.
pub fn a_torn_quarantine_is_rebuilt<P: Primitives>() {
    let services = start::<P>(MANY, ServiceName::Quarantine, When::At(5), Fault::Tear);
    let client = services.client();
    let orphan = client.submit_block(ToyBlock::new(9, 8, 3), 0, 1);
    let other = client.submit_block(ToyBlock::new(1, 0, 1), 0, 1).wait();
    assert!(["ok", "fault"].contains(&other.reason()), "{other:?}");
    let again = insist(client, ToyBlock::new(1, 0, 1));
    assert!(["valid", "ignored"].contains(&again), "{again}");
    assert_eq!(insist(client, ToyBlock::new(2, 1, 2)), "valid");
    stop(services, 1);
    assert!(["fault", "shutdown"].contains(&orphan.wait().reason()));
}

/// The HotDB's machine is torn. All services stop by themselves, whatever is queued.
pub fn a_torn_hot_db_stops_everything<P: Primitives>() {
    let services = start::<P>(MANY, ServiceName::HotDb, When::At(2), Fault::Tear);
    let client = services.client().clone();
    let blocks = [ToyBlock::new(2, 1, 2), ToyBlock::new(1, 0, 1)];
    let words = blocks.map(|block| client.submit_block(block, 0, 1)).map(|s| s.wait().reason());
    assert!(words.iter().all(|word| ["fault", "shutdown"].contains(word)), "{words:?}");
    let report = services.stop();
    assert_eq!((report.joined, report.panicked.len()), (4, 0), "{report}");
    assert!(report.cause.is_some());
}

/// No panic is tolerated. The first one stops all services, while another client submits.
pub fn too_many_panics<P: Primitives>() {
    let services = start::<P>(0, ServiceName::Rewinder, When::Every(1), Fault::Panic);
    let client = services.client().clone();
    let other = P::spawn("client", move || {
        let orphan = client.submit_block(ToyBlock::new(9, 8, 3), 0, 1);
        let block = client.submit_block(ToyBlock::new(2, 0, 2), 0, 1);
        [orphan.wait().reason(), block.wait().reason()]
    });
    let block = services.client().submit_block(ToyBlock::new(1, 0, 1), 0, 1);
    assert!(["fault", "shutdown"].contains(&block.wait().reason()));
    let words = join(other);
    assert!(words.iter().all(|word| ["fault", "shutdown"].contains(word)), "{words:?}");
    let report = services.stop();
    assert_eq!((report.joined, report.panicked.len()), (4, 0), "{report}");
    assert!(report.cause.is_some());
}

/// The owner stops the services while a client submits and a worker panics over one of its blocks.
pub fn a_stop_with_queued_work<P: Primitives>() {
    let services = start::<P>(MANY, ServiceName::Rewinder, When::At(1), Fault::Panic);
    let client = services.client().clone();
    let other = P::spawn("client", move || {
        let blocks = [ToyBlock::new(2, 1, 2), ToyBlock::new(1, 0, 1), ToyBlock::new(3, 0, 3)];
        let submissions = blocks.map(|block| client.submit_block(block, 0, 1));
        submissions.map(|submission| submission.wait().reason())
    });
    let report = services.stop();
    assert_eq!((report.joined, report.panicked.len(), report.cause), (4, 0, None), "{report}");
    let words = join(other);
    assert!(words.iter().all(|word| ["ok", "fault", "shutdown"].contains(word)), "{words:?}");
}

/// Stops the services while a worker is held up over a block, until after the stop has returned.
/// The stop returns at its deadline all the same, and names that worker. Then the worker goes on,
/// and all answers come. Returns the times at which the stop began and at which it had returned.
fn stop_a_worker_that_is_held_up<P: Primitives>(deadline: Duration) -> (Duration, Duration) {
    let gate = Gate::<P>::new();
    let stall = Fault::Stall(gate.clone());
    let services = start::<P>(MANY, ServiceName::Rewinder, When::At(1), stall);
    let client = services.client().clone();
    let orphan = client.submit_block(ToyBlock::new(9, 8, 3), 0, 1);
    let block = client.submit_block(ToyBlock::new(1, 0, 1), 0, 1);
    gate.wait_for_arrival();
    let began = P::now();
    let report = services.stop_within(deadline);
    let ended = P::now();
    assert!(report.late.iter().any(|name| name.starts_with("rewinder")), "not late: {report}");
    assert!(report.late.len() > 1, "who is late keeps nobody: {report}");
    assert_eq!(report.joined + report.late.len(), 4, "{report}");
    gate.open();
    assert_eq!(orphan.wait().reason(), "shutdown");
    assert!(["ok", "shutdown"].contains(&block.wait().reason()));
    (began, ended)
}

/// The deadline of a stop passes while the stop waits, or has passed when it begins.
pub fn a_deadline_passes<P: Primitives>() {
    for deadline in [Duration::from_millis(2), Duration::ZERO] {
        let (began, ended) = stop_a_worker_that_is_held_up::<P>(deadline);
        assert!(ended >= began + deadline, "the stop returned before its deadline");
    }
}

/// The deadline of a stop is so far away that the clock reaches it only at the end of the stop's
/// own wait. Several threads are late. The stop waits for the deadline once, not once for each
/// thread.
pub fn a_deadline_is_one_for_all_threads<P: Primitives>() {
    let deadline = A_LONG_TIME * 1_000;
    let (began, ended) = stop_a_worker_that_is_held_up::<P>(deadline);
    assert!(ended >= began + deadline, "the stop returned before its deadline");
    let jumps = A_LONG_TIME * 500; // the clock jumps at one reading in eight, of some hundreds
    assert!(ended < began + deadline + jumps, "the stop returned long after its deadline");
}

/// A thread comes to a gate after a relaxed store. It goes on once the gate is open, which is after
/// another relaxed store.
pub fn a_gate_orders_both_sides<P: Primitives>() {
    let gate = Gate::<P>::new();
    let done = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let (other, seen) = (gate.clone(), done.clone());
    let thread = P::spawn("held up", move || {
        seen[0].store(1, Relaxed);
        other.pass();
        assert_eq!(seen[1].load(Relaxed), 1, "what came before the opening is not seen");
    });
    gate.wait_for_arrival();
    assert_eq!(done[0].load(Relaxed), 1, "what came before the arrival is not seen");
    done[1].store(1, Relaxed);
    gate.open();
    join(thread);
}

/// The schedules of one scenario under shuttle.
const SAMPLE: Option<ShuttleBounds> = Some(ShuttleBounds::iterations(3_000));
/// The number of runs on real threads.
const RUNS: Option<usize> = Some(100);

/// Returns the scenarios of this module. As with those of the services, the stepped engine does not
/// run them. loom runs the smallest ones.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            lifecycle::a_worker_panics,
            "a worker that panics has its requester answered", Some(&hazard::L5),
            threads: 5, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::a_worker_panics_while_a_child_waits,
            "the child waits on, the parent may come again", Some(&hazard::L5),
            threads: 5, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::the_quarantine_panics,
            "a message that the Quarantine loses costs that message alone", Some(&hazard::L6),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::clearance_panics,
            "a block that Clearance loses is a fault to its submitter, and no hole in the chain",
            Some(&hazard::L6),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::the_hot_db_panics,
            "a commit that the HotDB loses is a fault to the submitter", Some(&hazard::L5),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::a_torn_quarantine_is_rebuilt,
            "a torn Quarantine answers what it held and goes on from Clearance's chain", Some(&hazard::L5),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::a_torn_hot_db_stops_everything,
            "a service without a successor stops all, every request is answered", Some(&hazard::L3),
            threads: 5, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::too_many_panics,
            "beyond the intensity all services stop by themselves, every request is answered",
            Some(&hazard::L6),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::a_stop_with_queued_work,
            "a stop while work is queued and a worker panics: every request is answered", Some(&hazard::L4),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::a_deadline_passes,
            "a stop returns though a worker is held up, names that worker, and loses no answer",
            Some(&hazard::L3),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            lifecycle::a_deadline_is_one_for_all_threads,
            "a stop returns at its deadline, however many threads are late", Some(&hazard::L3),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: None,
        },
        row! {
            lifecycle::a_gate_orders_both_sides,
            "what holds up a service in a test orders what is before it and after it", None,
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
    ]
}
