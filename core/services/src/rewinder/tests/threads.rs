//! Workers on real threads: epochs that are prepared, and panics among attestations.

use std::panic::resume_unwind;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use blocksmith_sync::Std;

use super::scripted::{Call, Calls, Scripted, soon};
use crate::blocksmith::{Anchor, Blocksmith, Client, Config, NoticeReceiver, Submission};
use crate::consensus::Checkpoint;
use crate::gossip::Operation;
use crate::notice::Notice;
use crate::rewinder::Lane;
use crate::supervision::{Cause, Fault, Gate, Injection, Intensity, ServiceName, When};
use crate::toy::{ToyAttestation, ToyBlock, ToyFault, ToyOperation, ToyState};

pub(super) type Services = (Blocksmith<Std, Scripted>, NoticeReceiver<Std, Scripted>);
pub(super) type Asked = Submission<Std, Scripted>;

/// Services with one worker, besides that for duties, batches of four and room for five blocks;
/// panics of the worker are tolerated up to `restarts`.
pub(super) fn start(protocol: Scripted, restarts: usize, faults: Vec<Injection<Std>>) -> Services {
    start_with(protocol, 4, restarts, faults)
}

/// The same with batches of this size.
pub(super) fn start_with(
    protocol: Scripted,
    batch: usize,
    restarts: usize,
    faults: Vec<Injection<Std>>,
) -> Services {
    start_as(protocol, config(batch, restarts), faults)
}

/// A configuration with one worker, besides that for duties.
pub(super) fn config(batch: usize, restarts: usize) -> Config {
    let window = Duration::from_secs(3600);
    let mut config = Config {
        workers: 1,
        attestation_batch: batch,
        worker_restarts: Some(Intensity { max_restarts: restarts, window }),
        observe_every: None,
        ..Config::default()
    };
    config.hot_db.blocks = 6;
    config.quarantine.unproven = config.quarantine.window;
    config.quarantine.peer_blocks = config.quarantine.window;
    config.quarantine.peer_votes = config.quarantine.window;
    config
}

/// Services as a configuration says, at slot 12.
pub(super) fn start_as(
    protocol: Scripted,
    config: Config,
    faults: Vec<Injection<Std>>,
) -> Services {
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let started = Blocksmith::start_with_faults(config, Arc::new(protocol), anchor, faults);
    let services = started.expect("the sizes are not zero");
    services.0.client().tick(12, Duration::ZERO);
    services
}

/// A gate at which the worker's first task is held up.
pub(super) fn gate() -> (Arc<Gate<Std>>, Vec<Injection<Std>>) {
    let gate = Gate::<Std>::new();
    let fault = Fault::Stall(gate.clone());
    (gate, vec![Injection { service: ServiceName::Rewinder, when: When::At(1), fault }])
}

pub(super) fn submit(client: &Client<Std, Scripted>, root: u8, parent: u8, slot: u64) -> Asked {
    client.submit_block(ToyBlock::new(root, parent, slot), 0, 1)
}

/// An attestation to the anchor as the target of `epoch`.
pub(super) fn vote(client: &Client<Std, Scripted>, id: u8, epoch: u64) -> Asked {
    vote_or_forgery(client, id, epoch, true)
}

pub(super) fn vote_or_forgery(
    client: &Client<Std, Scripted>,
    id: u8,
    epoch: u64,
    valid: bool,
) -> Asked {
    let target = Checkpoint { epoch, root: 0 };
    let validator = u64::from(id);
    let vote = ToyAttestation { id, slot: 4 * epoch, head: 0, target, validator, valid };
    client.submit_attestation(vote, 0, 1)
}

pub(super) fn wait_for_waiting(client: &Client<Std, Scripted>, tasks: usize) {
    while client.counters().rewinder_waiting < tasks {
        std::thread::yield_now();
    }
}

#[test]
fn an_epoch_is_prepared_once_by_the_worker_of_its_first_block_after_the_answer() {
    // The preparation waits until the block's verdict is there; later blocks of the epoch ask for
    // none.
    let (mut protocol, calls) = Scripted::new();
    let (go_on, held) = channel();
    let held = Mutex::new(held);
    protocol.prepare = Box::new(move |_| {
        soon(&held.lock().expect("one worker"));
        Ok(())
    });
    let (blocksmith, _notices) = start(protocol, 0, Vec::new());
    let client = blocksmith.client();
    for (root, slot, first) in
        [(1, 1, false), (2, 5, true), (3, 6, false), (4, 7, false), (5, 9, true)]
    {
        assert_eq!(submit(client, root, root - 1, slot).wait().class(), "valid");
        assert_eq!(calls.next(), Call::Block(root));
        if first {
            go_on.send(()).expect("the protocol is there");
            assert_eq!(calls.next(), Call::Prepare(root, slot));
        }
    }
    assert_eq!(blocksmith.stop().panics, 0);
    assert_eq!(calls.rest(), []);
}

#[test]
fn what_waits_goes_before_the_preparation() {
    // Behind the first block of an epoch wait another branch's, attestations and a query.
    let (protocol, calls) = Scripted::new();
    let (gate, faults) = gate();
    let (blocksmith, _notices) = start(protocol, 0, faults);
    let client = blocksmith.client();
    let mut asked = vec![submit(client, 1, 0, 9)];
    gate.wait_for_arrival();
    asked.push(submit(client, 2, 0, 8));
    asked.extend([20, 21].map(|id| vote(client, id, 3)));
    let query = std::thread::spawn({
        let client = client.clone();
        move || client.state_at(0, 11, Lane::Queries)
    });
    wait_for_waiting(client, 4);
    gate.open();
    assert!(asked.into_iter().all(|asked| asked.wait().class() == "valid"));
    let state = query.join().expect("it is answered").expect("the state");
    assert_eq!((state.block, state.slot), (0, 11));
    let order: Vec<_> = (0..5).map(|_| calls.next()).collect();
    let expected = [
        Call::Block(1),
        Call::Block(2),
        Call::Committees(3),
        Call::Attestations(2),
        Call::Prepare(2, 8),
    ];
    assert_eq!(order, expected);
    blocksmith.stop();
    assert_eq!(calls.rest(), []);
}

#[test]
fn only_a_block_that_is_committed_has_its_epoch_prepared() {
    // An invalid block, attestations, a query and a duty enter epochs as well; then a valid block
    // comes, and one for which there is no room.
    let (protocol, calls) = Scripted::new();
    let (blocksmith, _notices) = start(protocol, 0, Vec::new());
    let client = blocksmith.client();
    let invalid = client.submit_block(ToyBlock::new(1, 0, 5).invalid(), 0, 1);
    assert_eq!(invalid.wait().class(), "invalid");
    assert_eq!(vote(client, 20, 2).wait().class(), "valid");
    for lane in [Lane::Queries, Lane::Duties] {
        assert_eq!(client.state_at(0, 12, lane).map(|state| state.slot), Ok(12));
    }
    assert_eq!(submit(client, 2, 0, 8).wait().class(), "valid");
    let order: Vec<_> = (0..5).map(|_| calls.next()).collect();
    let expected = [
        Call::Block(1),
        Call::Committees(2),
        Call::Attestations(1),
        Call::Block(2),
        Call::Prepare(2, 8),
    ];
    assert_eq!(order, expected);
    for root in 3..=6 {
        assert_eq!(submit(client, root, 2, 9 + u64::from(root) % 3).wait().class(), "valid");
    }
    assert_eq!(submit(client, 7, 2, 12).wait().reason(), "hot_db_full");
    assert_eq!(vote(client, 21, 2).wait().class(), "valid");
    blocksmith.stop();
    let blocks = (3..=7).map(Call::Block).chain([Call::Attestations(1)]).collect::<Vec<_>>();
    assert_eq!(calls.rest(), blocks);
}

#[test]
fn a_stop_leaves_the_preparation_out() {
    // The block stands at the gate when the stop has been told of, has closed the queue, or both.
    for (told, closed) in [(true, false), (false, true), (true, true)] {
        let (protocol, calls) = Scripted::new();
        let (gate, faults) = gate();
        let (blocksmith, _notices) = start(protocol, 0, faults);
        let block = submit(blocksmith.client(), 1, 0, 5);
        gate.wait_for_arrival();
        let rewinder = &blocksmith.client().rewinder;
        if told {
            rewinder.give_up_long_loads();
        }
        if closed {
            rewinder.close();
        }
        gate.open();
        assert_eq!(block.wait().class(), "valid");
        if !closed {
            // The worker asks what it is to do next before it takes another block.
            assert_eq!(submit(blocksmith.client(), 2, 1, 6).wait().class(), "valid");
        }
        blocksmith.stop();
        let after = if closed { vec![] } else { vec![Call::Block(2)] };
        assert_eq!(calls.rest(), [vec![Call::Block(1)], after].concat(), "{told} {closed}");
    }
}

#[test]
fn a_preparation_that_fails_or_panics_changes_no_answer() {
    // It fails in epoch 1 and panics in epoch 2; the block after each is judged as ever.
    let (mut protocol, calls) = Scripted::new();
    protocol.prepare = Box::new(|state| match state.slot {
        ..8 => Err(ToyFault::WrongState { block: state.block, slot: state.slot }),
        _ => resume_unwind(Box::new("in the preparation")),
    });
    let (blocksmith, mut notices) = start(protocol, 1, Vec::new());
    let client = blocksmith.client();
    for (root, slot) in [(1, 4), (2, 8)] {
        assert_eq!(submit(client, root, root - 1, slot).wait().class(), "valid");
        assert_eq!([calls.next(), calls.next()], [Call::Block(root), Call::Prepare(root, slot)]);
    }
    assert_eq!(submit(client, 3, 2, 9).wait().class(), "valid");
    let report = blocksmith.stop();
    assert_eq!((report.panics, report.panicked.len(), report.cause), (1, 0, None));
    let told: Vec<_> = notices.iter().collect();
    let expected = Notice::Panicked {
        service: ServiceName::Rewinder,
        message: "epoch",
        text: "in the preparation".to_owned(),
        resumes: true,
    };
    assert_eq!(told.iter().filter(|notice| **notice == expected).count(), 1, "{told:?}");
}

#[test]
fn a_preparation_that_panics_counts_against_the_workers_intensity() {
    // No panic is tolerated: the services stop by themselves, with the block's verdict given.
    let (mut protocol, _calls) = Scripted::new();
    protocol.prepare = Box::new(|_| resume_unwind(Box::new("in the preparation")));
    let (blocksmith, _notices) = start(protocol, 0, Vec::new());
    let client = blocksmith.client();
    let orphan = submit(client, 9, 8, 10);
    assert_eq!(submit(client, 1, 0, 4).wait().class(), "valid");
    assert_eq!(orphan.wait().reason(), "shutdown");
    let report = blocksmith.stop();
    let intensity = Intensity { max_restarts: 0, window: Duration::from_secs(3600) };
    let cause = Cause::TooManyRestarts { service: ServiceName::Rewinder, intensity };
    assert_eq!((report.panics, report.cause), (1, Some(cause)));
}

fn first_time(once: &Once) -> bool {
    let mut first = false;
    once.call_once(|| first = true);
    first
}

/// A protocol that panics once over the attestations of which 20 is the first: when `verified` of
/// them are verified.
fn strikes_at(verified: usize) -> (Scripted, Calls) {
    let (mut protocol, calls) = Scripted::new();
    let once = Once::new();
    protocol.verify = Box::new(move |attestations, at| {
        let first = attestations.first().map(|attestation| attestation.id);
        if first == Some(20) && at == verified && first_time(&once) {
            resume_unwind(Box::new("among attestations"));
        }
    });
    (protocol, calls)
}

/// Has a panic cost the first four of six attestations of one target, behind which another target's
/// waits; one panic is tolerated. Returns how many were verified together, each time.
fn lost_batch(protocol: Scripted, calls: &Calls) -> Vec<usize> {
    let (gate, faults) = gate();
    let (blocksmith, mut notices) = start(protocol, 1, faults);
    let client = blocksmith.client();
    // The targets are the last block before epochs 1 and 2.
    let block = submit(client, 1, 0, 9);
    gate.wait_for_arrival();
    let mut votes: Vec<_> = (20..26).map(|id| vote(client, id, 3)).collect();
    votes.push(vote(client, 30, 2));
    wait_for_waiting(client, 7);
    gate.open();
    assert_eq!(block.wait().class(), "valid");
    let reasons: Vec<_> = votes.into_iter().map(|vote| vote.wait().reason()).collect();
    assert_eq!(reasons, ["fault", "fault", "fault", "fault", "ok", "ok", "ok"]);
    // Nobody is held any more, and what was lost may come again.
    client.rest();
    assert_eq!(client.pending(), Some(Vec::new()));
    assert_eq!(vote(client, 20, 3).wait().reason(), "ok");
    let report = blocksmith.stop();
    assert_eq!((report.panics, report.panicked.len(), report.cause), (1, 0, None));
    let panics = notices.iter().filter(|notice| matches!(notice, Notice::Panicked { .. }));
    assert_eq!(panics.count(), 1);
    let together = |call| match call {
        Call::Attestations(count) => Some(count),
        _ => None,
    };
    calls.rest().into_iter().filter_map(together).collect()
}

#[test]
fn a_panic_among_attestations_is_one_panic_and_a_fault_to_each_of_them_alone() {
    // Before the first, between two, after the last but before the outcomes are handed over.
    for verified in 0..=4 {
        let (protocol, calls) = strikes_at(verified);
        assert_eq!(lost_batch(protocol, &calls), [4, 2, 1, 1], "at {verified}");
    }
}

#[test]
fn a_panic_while_the_state_of_attestations_is_loaded_leaves_it_free_for_others() {
    // The advance to the preceding epoch panics once: none of the four is verified, the next two
    // are.
    let (mut protocol, calls) = Scripted::new();
    let once = Once::new();
    protocol.load = Box::new(move |slot| {
        if slot == 8 && first_time(&once) {
            resume_unwind(Box::new("while a state is loaded"));
        }
    });
    assert_eq!(lost_batch(protocol, &calls), [2, 1, 1]);
}

#[test]
fn a_panic_among_attestations_that_is_not_borne_leaves_nobody_without_an_answer() {
    // No panic is tolerated: the batch is answered with the fault, and what waits behind it with
    // the stop or, since what is in flight is judged first, with its verdict.
    let (protocol, _calls) = strikes_at(2);
    let (gate, faults) = gate();
    let (blocksmith, _notices) = start(protocol, 0, faults);
    let client = blocksmith.client();
    // The targets are the last block before epochs 1 and 2.
    let block = submit(client, 1, 0, 9);
    gate.wait_for_arrival();
    let votes: Vec<_> = (20..26).map(|id| vote(client, id, 3)).collect();
    wait_for_waiting(client, 6);
    gate.open();
    assert_eq!(block.wait().class(), "valid");
    let reasons: Vec<_> = votes.into_iter().map(|vote| vote.wait().reason()).collect();
    assert_eq!(reasons[..4], ["fault"; 4]);
    assert!(reasons[4..].iter().all(|reason| ["ok", "shutdown"].contains(reason)), "{reasons:?}");
    let report = blocksmith.stop();
    assert_eq!(report.panics, 1);
    assert!(matches!(report.cause, Some(Cause::TooManyRestarts { .. })), "{report}");
}

/// Asks for the state of the anchor at `slot`, on a thread of its own.
fn ask_state(client: &Client<Std, Scripted>, slot: u64, lane: Lane) -> Receiver<u64> {
    let (client, (answer, answered)) = (client.clone(), channel());
    std::thread::spawn(move || {
        let state = client.state_at(0, slot, lane).expect("the state");
        answer.send(state.slot).expect("the test waits");
    });
    answered
}

#[test]
fn a_duty_does_not_wait_for_the_check_of_an_operation_that_has_loaded_its_state() {
    // The one general worker is held within the check, of the state at slot 12, when the duty
    // comes, which the reserved worker takes.
    let (mut protocol, _calls) = Scripted::new();
    let ((go_on, held), (arrive, arrived)) = (channel(), channel());
    let (held, arrive) = (Mutex::new(held), Mutex::new(arrive));
    protocol.operate = Box::new(move || {
        arrive.lock().expect("one worker").send(()).expect("the test waits");
        soon(&held.lock().expect("one worker"));
    });
    let (blocksmith, _notices) = start(protocol, 0, Vec::new());
    let client = blocksmith.client();
    let exit = ToyOperation { id: 9, validators: 1, signed: true, valid: true };
    let exit = client.submit_operation(Operation::VoluntaryExit(exit), 0, 1);
    soon(&arrived);
    assert_eq!(soon(&ask_state(client, 12, Lane::Duties)), 12);
    go_on.send(()).expect("the worker waits");
    assert_eq!(exit.wait().class(), "valid");
    blocksmith.stop();
}

#[test]
fn a_worker_within_a_long_load_serves_every_duty_that_waits_between_two_parts() {
    // No worker is reserved. Two duties and a vote come within the first part of a query, and one
    // duty within the second part. The vote waits for the end.
    let (mut protocol, calls) = Scripted::new();
    let ((go_on, held), (arrive, arrived)) = (channel(), channel());
    let (held, arrive) = (Mutex::new(held), Mutex::new(arrive));
    protocol.load = Box::new(move |slot| {
        arrive.lock().expect("one worker").send(slot).expect("the test waits");
        if [32, 64].contains(&slot) {
            soon(&held.lock().expect("one worker"));
        }
    });
    let config = Config { reserved_worker: false, ..config(4, 0) };
    let (blocksmith, _notices) = start_as(protocol, config, Vec::new());
    let client = blocksmith.client();
    let query = ask_state(client, 100, Lane::Queries);
    assert_eq!(soon(&arrived), 32);
    let first = [5, 6].map(|slot| ask_state(client, slot, Lane::Duties));
    let vote = vote(client, 20, 2);
    wait_for_waiting(client, 3);
    go_on.send(()).expect("the worker waits");
    let mut both = [soon(&arrived), soon(&arrived)];
    both.sort_unstable();
    assert_eq!(both, [5, 6]);
    assert_eq!(soon(&arrived), 64);
    assert_eq!(first.map(|duty| soon(&duty)), [5, 6]);
    let second = ask_state(client, 7, Lane::Duties);
    wait_for_waiting(client, 2);
    assert_eq!(calls.rest(), []);
    go_on.send(()).expect("the worker waits");
    let rest: Vec<u64> = (0..3).map(|_| soon(&arrived)).collect();
    // The state of slot 6 is closest to the duty's.
    assert_eq!(rest, [7, 96, 100]);
    assert_eq!((soon(&second), soon(&query)), (7, 100));
    assert_eq!(vote.wait().class(), "valid");
    blocksmith.stop();
}

#[test]
fn an_item_is_asked_once_what_identifies_it() {
    // A block that waits for its parent and is replayed for a query later, its parent, and a vote:
    // each goes through every service. The vote comes before there is another block than its
    // target: no branch is without it then, and later it may be stale.
    let (blocksmith, _notices) = start(Scripted::new().0, 0, Vec::new());
    let client = blocksmith.client();
    assert_eq!(vote(client, 7, 2).wait().class(), "valid");
    let child = submit(client, 2, 1, 2);
    let parent = submit(client, 1, 0, 1);
    for asked in [parent, child] {
        assert_eq!(asked.wait().class(), "valid");
    }
    assert!(client.state_at(2, 9, Lane::Queries).is_ok());
    let looks = client.consensus().looks.each_ref().map(|looks| looks.load(Relaxed));
    assert_eq!(looks, [2, 1], "headers of two blocks, one vote");
    blocksmith.stop();
}
