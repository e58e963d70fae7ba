//! How a batch is verified step by step, and what goes first between two steps: of the machine, of
//! the queue, and of a worker on a real thread.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use blocksmith_sync::Std;

use super::scripted::{Call, Calls, Scripted, soon};
use super::threads::{self, Asked, Services};
use super::{db, target, vote, words};
use crate::blocksmith::Config;
use crate::clearance::BuildOn;
use crate::hot_db::{CommitteesAt, CommitteesKey, TrailReply};
use crate::identified;
use crate::machine::Machine;
use crate::rewinder::precedence::BLOCKS;
use crate::rewinder::shell::{Lanes, Task};
use crate::rewinder::{Dispatcher, GoesFirst, Job, Lane, Pause, Role, Worker, WorkerEvent};
use crate::supervision::{Fault, Injection, ServiceName, When};
use crate::toy::{Toy, ToyAttestation, ToyBlock};

/// A worker that has the committees for these votes of one target, and is about to verify them.
fn with_batch(toy: &Toy, valid: &[bool]) -> Worker<Toy> {
    let jobs = (1..).zip(valid).map(|(id, valid)| vote(id, 1, *valid)).collect();
    let mut worker = Worker::Idle;
    worker.handle(toy, WorkerEvent::Start(jobs));
    let reply = db().committees(toy, target(1));
    worker.handle(toy, WorkerEvent::Trail(reply));
    worker
}

/// The words of each step's answers, until the last.
fn steps(toy: &Toy, worker: &mut Worker<Toy>) -> Vec<Vec<&'static str>> {
    let mut steps = Vec::new();
    while !worker.is_idle() {
        let mut answers = words(worker.handle(toy, WorkerEvent::Proceed));
        assert_eq!(answers.last() == Some(&"gives way"), !worker.is_idle());
        answers.retain(|word| *word != "gives way");
        steps.push(answers);
    }
    steps
}

/// How many votes each step verifies, if those at the places are forged; each has its own outcome.
fn sizes(count: usize, forged: impl Fn(usize) -> bool) -> Vec<usize> {
    let toy = Toy::default();
    let valid: Vec<_> = (0..count).map(|at| !forged(at)).collect();
    let steps = steps(&toy, &mut with_batch(&toy, &valid));
    let words = valid.iter().map(|valid| if *valid { "valid" } else { "invalid" });
    assert_eq!(steps.concat(), words.collect::<Vec<_>>());
    steps.iter().map(Vec::len).collect()
}

#[test]
fn a_batch_is_verified_in_steps_that_grow_while_they_pass() {
    // Batches of votes that all hold, around the bounds of the steps; then one forged vote in each
    // step, which is less than a quarter.
    for (count, expected) in [
        (1, vec![1]),
        (8, vec![8]),
        (9, vec![8, 1]),
        (24, vec![8, 16]),
        (64, vec![8, 16, 16, 16, 8]),
    ] {
        assert_eq!(sizes(count, |_| false), expected);
    }
    assert_eq!(sizes(40, |at| [7, 8, 39].contains(&at)), [8, 16, 16]);
}

#[test]
fn a_quarter_that_has_failed_makes_steps_small_until_neither_step_nor_batch_is_so_bad() {
    // All are forged; every fourth is; a quarter of the first step; a quarter of a later step,
    // which is much less than a quarter of the batch; the whole first step, which the batch makes
    // up for after three times as many.
    assert_eq!(sizes(20, |_| true), [8, 4, 4, 4]);
    assert_eq!(sizes(20, |at| at % 4 == 3), [8, 4, 4, 4]);
    assert_eq!(sizes(24, |at| at < 2), [8, 4, 8, 4]);
    assert_eq!(sizes(40, |at| (20..24).contains(&at)), [8, 16, 4, 8, 4]);
    assert_eq!(sizes(48, |at| at < 8), [8, 4, 4, 4, 4, 4, 4, 4, 8, 4]);
}

/// How many attestations each call of the protocol gets, for a batch in which those are forged.
fn calls_for(forged: impl Fn(u8) -> bool) -> Vec<usize> {
    let (protocol, calls) = Scripted::new();
    let attestation = |id: u8| {
        let (target, validator) = (target(1), u64::from(id));
        let valid = !forged(id);
        ToyAttestation { id, slot: 4, head: 0, target, validator, valid }
    };
    let job = |id| Job::Attestation(identified::attestation(&protocol, attestation(id)));
    let mut worker = Worker::<Scripted>::Idle;
    worker.handle(&protocol, WorkerEvent::Start((0..16).map(job).collect()));
    let key = CommitteesKey { dependent_root: 0, epoch: 1 };
    let committees = TrailReply::Committees(CommitteesAt { key, committees: () });
    worker.handle(&protocol, WorkerEvent::Trail(committees));
    while !worker.is_idle() {
        worker.handle(&protocol, WorkerEvent::Proceed);
    }
    let count = |call| match call {
        Call::Attestations(count) => count,
        other => panic!("{other:?}"),
    };
    calls.rest().into_iter().map(count).collect()
}

#[test]
fn the_votes_of_a_small_step_are_verified_each_alone() {
    // The protocol sees the first step together and, if a quarter of it is forged, the others
    // alone.
    assert_eq!(calls_for(|_| false), [8, 8]);
    assert_eq!(calls_for(|id| id < 4), [8, 1, 1, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn a_stop_between_two_steps_refuses_what_has_no_verdict() {
    // Of twelve, eight are verified; nothing is said of the others but that they are refused.
    let toy = Toy::default();
    let mut worker = with_batch(&toy, &[true; 12]);
    let first = words(worker.handle(&toy, WorkerEvent::Proceed));
    assert_eq!(first, [["valid"; 8].as_slice(), &["gives way"]].concat());
    assert_eq!(words(worker.handle(&toy, WorkerEvent::Stop)), ["refused"; 4]);
    assert!(worker.is_idle());
}

/// Lanes in which this many duties, blocks, votes and queries wait; the replies are their lanes.
fn lanes(waiting: [usize; 4]) -> Lanes<Toy, Lane> {
    let mut lanes: Lanes<Toy, Lane> = Dispatcher::new(64, 8);
    let proven = Lane::ALL.into_iter().filter(|lane| *lane != Lane::Unproven);
    for (lane, count) in proven.zip(waiting) {
        (0..count).for_each(|_| add(&mut lanes, lane));
    }
    lanes
}

fn add(lanes: &mut Lanes<Toy, Lane>, lane: Lane) {
    let toy = Toy::default();
    let job = match lane {
        Lane::Duties => Job::State { root: 0, slot: lanes.waiting() as u64 },
        Lane::Blocks => Job::Block(identified::block(&toy, ToyBlock::new(1, 0, 1))),
        Lane::Attestations | Lane::Unproven => vote(1, 1, true),
        Lane::Queries => Job::State { root: 1, slot: 1 },
    };
    let task = Task::new(&toy, lane, job, lane).expect("no panic");
    assert!(task.submit(lanes).is_ok());
}

/// What goes first in a pause, with what may interrupt each.
fn pause(
    place: GoesFirst,
    allowed: GoesFirst,
    lanes: &mut Lanes<Toy, Lane>,
) -> Vec<(Lane, GoesFirst)> {
    let mut pause = Pause::new(place, allowed);
    let next = || pause.next(lanes).map(|(task, allowed)| (task.reply, allowed));
    std::iter::from_fn(next).collect()
}

const DUTY: (Lane, GoesFirst) = (Lane::Duties, GoesFirst::Nothing);
const BLOCK: (Lane, GoesFirst) = (Lane::Blocks, GoesFirst::Duties);

#[test]
fn all_duties_and_then_a_bounded_number_of_blocks_go_before_votes() {
    // Between two steps; between two parts of a load; within a block or a duty that went first; and
    // on the worker that is reserved for duties.
    let general = GoesFirst::of_role(Role::General);
    for (place, allowed, expected) in [
        (GoesFirst::Blocks, general, [vec![DUTY; 9], vec![BLOCK; BLOCKS]].concat()),
        (GoesFirst::Duties, general, vec![DUTY; 9]),
        (GoesFirst::Blocks, BLOCK.1, vec![DUTY; 9]),
        (GoesFirst::Duties, DUTY.1, Vec::new()),
        (GoesFirst::Blocks, GoesFirst::of_role(Role::Reserved), Vec::new()),
    ] {
        assert_eq!(pause(place, allowed, &mut lanes([9, 9, 9, 9])), expected);
    }
}

#[test]
fn a_duty_that_comes_while_blocks_go_first_goes_before_the_next_of_them() {
    // It comes after the last block that may go.
    let mut lanes = lanes([0, 9, 1, 0]);
    let mut pause = Pause::new(GoesFirst::Blocks, GoesFirst::Blocks);
    for _ in 0..BLOCKS {
        assert_eq!(pause.next(&mut lanes).map(|(task, _)| task.reply), Some(Lane::Blocks));
    }
    add(&mut lanes, Lane::Duties);
    assert_eq!(pause.next(&mut lanes).map(|(task, _)| task.reply), Some(Lane::Duties));
    assert!(pause.next(&mut lanes).is_none());
}

#[test]
fn blocks_that_go_first_bring_the_turn_of_the_other_lanes_nearer() {
    // A query that four blocks have gone before is next, though blocks wait. Duties take nobody's
    // turn.
    let mut waiting = lanes([2, 9, 0, 1]);
    assert_eq!(pause(GoesFirst::Blocks, GoesFirst::Blocks, &mut waiting).len(), 2 + BLOCKS);
    assert_eq!(waiting.pull(Role::General, 0)[0].reply, Lane::Queries);
    let mut waiting = lanes([9, 9, 0, 1]);
    assert_eq!(pause(GoesFirst::Duties, GoesFirst::Blocks, &mut waiting).len(), 9);
    assert_eq!(waiting.pull(Role::General, 0)[0].reply, Lane::Blocks);
}

#[test]
fn what_goes_first_and_waits_for_a_claim_of_the_interrupted_load_is_left_where_it_is() {
    // The duty needs the state that is being loaded, and a block was put back until it is there.
    let mut queue = Dispatcher::new(4, 8);
    assert!(queue.claim((3, 3)));
    assert_eq!(queue.submit(Lane::Duties, Some((3, 3)), "duty"), Ok(()));
    queue.requeue(Lane::Blocks, None, (3, 3), "block");
    assert_eq!(queue.pull_first(GoesFirst::Blocks.lanes()), None);
    queue.loaded((3, 3));
    assert_eq!(queue.pull_first(GoesFirst::Blocks.lanes()), Some("duty"));
    // What the duty needs is marked as being loaded, as by any pull.
    assert_eq!(queue.pull_first(GoesFirst::Blocks.lanes()), None);
    queue.loaded((3, 3));
    assert_eq!(queue.pull_first(GoesFirst::Duties.lanes()), None);
    assert_eq!(queue.pull_first(GoesFirst::Blocks.lanes()), Some("block"));
}

/// Services whose one worker is within the first step of a batch of 40 votes, and held there and in
/// each of the next two until told to go on. Block 1, of slot 8, is there: the target of the votes
/// is the last block before that epoch, whatever the head is by then.
fn within_a_batch(restarts: usize, faults: Vec<Injection<Std>>) -> Held {
    hold(threads::config(40, restarts), true, faults)
}

/// The same with a configuration, and with votes that verify or do not.
fn hold(config: Config, valid: bool, faults: Vec<Injection<Std>>) -> Held {
    let (mut protocol, calls) = Scripted::new();
    let (go_on, held) = channel();
    let (arrive, arrived) = channel();
    let (held, arrive) = (Mutex::new(held), Mutex::new(arrive));
    protocol.verify = Box::new(move |_, at| {
        if at == 0 {
            arrive.lock().expect("one worker").send(()).expect("the test waits");
            soon(&held.lock().expect("one worker"));
        }
    });
    let (gate, mut all) = threads::gate();
    all.extend(faults);
    let services = threads::start_as(protocol, config, all);
    let client = services.0.client();
    let block = threads::submit(client, 1, 0, 8);
    gate.wait_for_arrival();
    let votes = (20..60).map(|id| threads::vote_or_forgery(client, id, 3, valid)).collect();
    threads::wait_for_waiting(client, 40);
    gate.open();
    assert_eq!(block.wait().class(), "valid");
    soon(&arrived);
    Held { services, votes, go_on, arrived, calls }
}

struct Held {
    services: Services,
    votes: Vec<Asked>,
    go_on: Sender<()>,
    arrived: Receiver<()>,
    calls: Calls,
}

impl Held {
    /// Lets the worker go on to the next step.
    fn step(&self) {
        self.go_on.send(()).expect("the worker waits");
        soon(&self.arrived);
    }

    /// Lets the worker go on to the end; returns the reasons of the votes.
    fn reasons(&mut self) -> Vec<String> {
        (0..3).for_each(|_| self.go_on.send(()).expect("the worker waits"));
        self.votes.drain(..).map(|vote| vote.wait().reason().to_owned()).collect()
    }
}

#[test]
fn a_block_that_comes_within_a_batch_is_judged_after_the_step_in_hand() {
    // One comes within each of two steps. The first of them enters an epoch, which is prepared once
    // nothing waits. The committees are asked for once.
    let mut held = within_a_batch(0, Vec::new());
    let client = held.services.0.client().clone();
    let first = threads::submit(&client, 2, 1, 12);
    threads::wait_for_waiting(&client, 1);
    held.step();
    assert_eq!(first.wait().class(), "valid");
    let second = threads::submit(&client, 3, 1, 11);
    threads::wait_for_waiting(&client, 1);
    assert_eq!(held.reasons(), ["ok"; 40]);
    assert_eq!(second.wait().class(), "valid");
    let expected = [
        Call::Block(1),
        Call::Committees(3),
        Call::Attestations(8),
        Call::Block(2),
        Call::Attestations(16),
        Call::Block(3),
        Call::Attestations(16),
        Call::Prepare(2, 12),
    ];
    let calls: Vec<_> = (0..expected.len()).map(|_| held.calls.next()).collect();
    assert_eq!(calls, expected);
    assert_eq!(held.services.0.stop().panics, 0);
}

#[test]
fn a_production_beside_a_flood_of_forged_votes_waits_for_the_step_in_hand_alone() {
    // No worker is reserved. The proposal is asked for within the first step of 40 forged votes,
    // and the worker is held within the second step when it is there.
    let config = Config { reserved_worker: false, ..threads::config(40, 0) };
    let held = hold(config, false, Vec::new());
    let client = held.services.0.client().clone();
    let (answer, produced) = channel();
    std::thread::spawn({
        let client = client.clone();
        move || answer.send(client.produce_block(BuildOn::Block(1), 12, 9))
    });
    threads::wait_for_waiting(&client, 1);
    held.step();
    let block = soon(&produced).expect("the parent is known");
    assert_eq!((block.block.root, block.block.parent, block.block.slot), (9, 1, 12));
    // Eight votes have been verified together; each of the others is verified alone.
    (0..32).for_each(|_| held.go_on.send(()).expect("the worker waits"));
    let reasons: Vec<_> = held.votes.into_iter().map(|vote| vote.wait().reason()).collect();
    assert_eq!(reasons, ["bad_signature"; 40]);
    held.services.0.stop();
}

#[test]
fn a_stop_within_a_batch_refuses_what_the_step_in_hand_leaves() {
    // The worker is told while it is within the first step.
    let mut held = within_a_batch(0, Vec::new());
    held.services.0.client().rewinder.give_up_long_loads();
    let reasons = held.reasons();
    assert_eq!(reasons[..8], ["ok"; 8]);
    assert_eq!(reasons[8..], ["shutdown"; 32]);
    held.services.0.stop();
}

#[test]
fn a_block_that_goes_first_and_panics_costs_the_batch_nothing() {
    // The third message of the worker is the block.
    let at = When::At(3);
    let panics = Injection { service: ServiceName::Rewinder, when: at, fault: Fault::Panic };
    let mut held = within_a_batch(1, vec![panics]);
    let client = held.services.0.client();
    let block = threads::submit(client, 2, 1, 12);
    threads::wait_for_waiting(client, 1);
    assert_eq!(held.reasons(), ["ok"; 40]);
    assert_eq!(block.wait().reason(), "fault");
    let report = held.services.0.stop();
    assert_eq!((report.panics, report.cause), (1, None));
}

#[test]
fn a_panic_within_a_step_is_a_fault_to_what_has_no_verdict() {
    // The second step panics, after the first has been answered.
    let (mut protocol, _calls) = Scripted::new();
    protocol.verify = Box::new(|votes, at| {
        if votes.len() == 3 && at == 1 {
            resume_unwind(Box::new("in the second step"));
        }
    });
    let (gate, faults) = threads::gate();
    let (blocksmith, _notices) = threads::start_with(protocol, 16, 1, faults);
    let client = blocksmith.client();
    let block = threads::submit(client, 1, 0, 8);
    gate.wait_for_arrival();
    let votes: Vec<_> = (20..31).map(|id| threads::vote(client, id, 3)).collect();
    threads::wait_for_waiting(client, 11);
    gate.open();
    assert_eq!(block.wait().class(), "valid");
    let reasons: Vec<_> = votes.into_iter().map(|vote| vote.wait().reason()).collect();
    assert_eq!(reasons, [["ok"; 8].as_slice(), &["fault"; 3]].concat());
    assert_eq!(blocksmith.stop().panics, 1);
}
