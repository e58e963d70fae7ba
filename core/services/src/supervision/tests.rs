//! Panics, tears, stalls and stops of the running services, over the toy protocol on real threads.

use std::sync::Arc;
use std::time::Duration;

use blocksmith_sync::Std;

use super::{Cause, Fault, Gate, Injection, Intensity, ServiceName, When};
use crate::blocksmith::{Anchor, Blocksmith, Client, Config, NoticeReceiver, Submission};
use crate::consensus::Checkpoint;
use crate::notice::{Notice, NoticeOf};
use crate::rewinder::Lane;
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyState};

type Services = (Blocksmith<Std, Toy>, NoticeReceiver<Std, Toy>);

/// So many panics are tolerated that no test comes near the number.
const MANY: Intensity = Intensity { max_restarts: 1000, window: Duration::from_secs(3600) };

fn start(restarts: Intensity, faults: Vec<Injection<Std>>) -> Services {
    start_with(2, restarts, faults)
}

fn start_with(workers: usize, restarts: Intensity, faults: Vec<Injection<Std>>) -> Services {
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let worker_restarts = Some(restarts);
    let observe_every = None;
    let mut config =
        Config { workers, restarts, worker_restarts, observe_every, ..Config::default() };
    // Attestations of peers without proof are to be pulled together as well.
    config.quarantine.unproven = config.quarantine.window;
    config.quarantine.peer_blocks = config.quarantine.window;
    config.quarantine.peer_votes = config.quarantine.window;
    let toy = Arc::new(Toy::default());
    Blocksmith::start_with_faults(config, toy, anchor, faults).expect("the sizes are not zero")
}

fn inject(service: ServiceName, when: When, fault: Fault<Std>) -> Vec<Injection<Std>> {
    vec![Injection { service, when, fault }]
}

fn submit(client: &Client<Std, Toy>, block: ToyBlock) -> Submission<Std, Toy> {
    client.submit_block(block, 0, 1)
}

/// Submits a block until it has another answer than a fault of ours; returns that and how often.
fn insist(client: &Client<Std, Toy>, block: ToyBlock) -> (&'static str, usize) {
    for attempt in 1..100 {
        // The number of ticks changes, so that the faults do not keep step with the attempts.
        for _ in 0..1 + attempt % 3 {
            client.tick(10, Duration::ZERO);
        }
        let verdict = submit(client, block).wait();
        if verdict.reason() != "fault" {
            return (verdict.class(), attempt);
        }
    }
    panic!("block {} fails for ever", block.root)
}

/// A chain of `length` blocks, each insisted upon; returns how often one had to come again.
fn chain(client: &Client<Std, Toy>, length: u8) -> usize {
    let again = |n| {
        let (class, attempts) = insist(client, ToyBlock::new(n, n - 1, u64::from(n)));
        assert!(["valid", "ignored"].contains(&class), "block {n}: {class}");
        attempts - 1
    };
    (1..=length).map(again).sum()
}

/// Returns the head; asks until the question is not lost.
fn head(client: &Client<Std, Toy>) -> u8 {
    let answer = (0..100).find_map(|_| client.view());
    answer.expect("Clearance answers").head
}

/// The services that run where nothing is stored. The tests of the ColdDB strike that one.
fn without_a_store() -> impl Iterator<Item = ServiceName> {
    ServiceName::ALL.into_iter().filter(|service| *service != ServiceName::ColdDb)
}

#[test]
fn a_panic_over_any_message_of_any_service_costs_that_message_alone() {
    // Each of the first dozen messages in turn; the chain ends up cleared all the same.
    for service in without_a_store() {
        let mut struck = 0;
        for nth in 1..=12 {
            let (blocksmith, mut notices) =
                start(MANY, inject(service, When::At(nth), Fault::Panic));
            chain(blocksmith.client(), 4);
            assert_eq!(head(blocksmith.client()), 4, "{service} {nth}");
            let report = blocksmith.stop();
            assert_eq!((report.panicked.len(), report.cause), (0, None));
            let told: Vec<_> = notices.iter().filter(is_panic).collect();
            assert_eq!(told.len() as u64, report.panics);
            struck += report.panics;
        }
        assert!(struck >= 4, "{service}: {struck} of 12 were struck");
    }
}

fn is_panic(notice: &NoticeOf<Toy>) -> bool {
    matches!(notice, Notice::Panicked { .. })
}

#[test]
fn a_panic_over_every_fifth_message_costs_nothing_but_time() {
    // Whatever is lost is submitted again; head and state are those of a run without faults.
    for service in without_a_store() {
        let (blocksmith, _notices) = start(MANY, inject(service, When::Every(5), Fault::Panic));
        let client = blocksmith.client();
        chain(client, 9);
        assert_eq!(head(client), 9, "{service}");
        let state = (0..100).find_map(|_| client.state_at(9, 10, Lane::Duties).ok());
        assert_eq!(state.map(|state| (state.block, state.slot)), Some((9, 10)), "{service}");
        assert!(blocksmith.stop().panics > 0, "{service}");
    }
}

#[test]
fn the_requester_of_a_lost_message_is_told_and_the_report_names_it() {
    // The worker's first task panics: the block fails, its child waits, the block comes again.
    let (blocksmith, mut notices) =
        start(MANY, inject(ServiceName::Rewinder, When::At(1), Fault::Panic));
    let client = blocksmith.client();
    client.tick(10, Duration::ZERO);
    let child = submit(client, ToyBlock::new(2, 1, 2));
    assert_eq!(submit(client, ToyBlock::new(1, 0, 1)).wait().reason(), "fault");
    assert_eq!(client.pending().map(|pending| pending.len()), Some(1));
    assert_eq!(submit(client, ToyBlock::new(1, 0, 1)).wait().class(), "valid");
    assert_eq!(child.wait().class(), "valid");
    assert_eq!(blocksmith.stop().panics, 1);
    let told: Vec<_> = notices.iter().collect();
    let expected = Notice::Panicked {
        service: ServiceName::Rewinder,
        message: "block",
        text: "injected at message 1".to_owned(),
        resumes: true,
    };
    assert!(told.contains(&expected), "{told:?}");
    // A notice says that the block is needed: at first, and when it has failed.
    let needed = told.iter().filter(|notice| **notice == Notice::Need { root: 1 }).count();
    assert_eq!(needed, 2);
}

#[test]
fn a_poisoned_message_is_not_retried() {
    // Every task of the Rewinder panics: one submission is one panic, and one answer.
    let (blocksmith, _notices) =
        start(MANY, inject(ServiceName::Rewinder, When::Every(1), Fault::Panic));
    let client = blocksmith.client();
    client.tick(10, Duration::ZERO);
    for _ in 0..5 {
        assert_eq!(submit(client, ToyBlock::new(1, 0, 1)).wait().reason(), "fault");
    }
    client.rest();
    assert_eq!(blocksmith.stop().panics, 5);
}

/// Verdicts on five attestations of one target, the third of them invalid, that wait for the only
/// worker while it stands at a gate; and the panics that were tolerated. `more` is injected
/// besides.
fn judged_together(more: Vec<Injection<Std>>) -> (Vec<&'static str>, u64) {
    let gate = Gate::<Std>::new();
    let mut faults = inject(ServiceName::Rewinder, When::At(1), Fault::Stall(gate.clone()));
    faults.extend(more);
    let (blocksmith, _notices) = start_with(1, MANY, faults);
    let client = blocksmith.client();
    client.tick(4, Duration::ZERO);
    let block = submit(client, ToyBlock::new(1, 0, 1));
    gate.wait_for_arrival();
    let target = Checkpoint { epoch: 1, root: 0 };
    let votes: Vec<_> = (0..5)
        .map(|validator| {
            let (id, valid) = (20 + validator as u8, validator != 2);
            let vote = ToyAttestation { id, slot: 4, head: 0, target, validator, valid };
            client.submit_attestation(vote, 0, 1)
        })
        .collect();
    while client.counters().rewinder_waiting < 5 {
        std::thread::yield_now();
    }
    gate.open();
    assert_eq!(block.wait().class(), "valid");
    let reasons = votes.into_iter().map(|vote| vote.wait().reason()).collect();
    (reasons, blocksmith.stop().panics)
}

#[test]
fn attestations_that_are_pulled_together_have_their_own_verdicts() {
    // One of five is invalid; the others do not suffer.
    let (reasons, panics) = judged_together(Vec::new());
    assert_eq!(reasons, ["ok", "ok", "bad_signature", "ok", "ok"]);
    assert_eq!(panics, 0);
}

#[test]
fn a_panic_over_attestations_that_were_pulled_together_is_answered_to_each_and_not_retried() {
    // The worker's second pull panics, before its machine and in the middle of it: the pull was all
    // five.
    for fault in [Fault::Panic, Fault::Tear] {
        let outcome = judged_together(inject(ServiceName::Rewinder, When::At(2), fault));
        assert_eq!(outcome, (vec!["fault"; 5], 1));
    }
}

#[test]
fn too_many_panics_stop_everything_and_every_request_is_answered() {
    // Two are tolerated. An orphan waits all the while; the third panic ends it all, by itself.
    let few = Intensity { max_restarts: 2, window: Duration::from_secs(3600) };
    let faults = inject(ServiceName::Rewinder, When::Every(1), Fault::Panic);
    let (blocksmith, mut notices) = start(few, faults);
    let client = blocksmith.client().clone();
    client.tick(10, Duration::ZERO);
    let orphan = submit(&client, ToyBlock::new(9, 8, 3));
    let blocks = [1, 2, 3].map(|root| submit(&client, ToyBlock::new(root, 0, 1)));
    assert_eq!(blocks.map(|block| block.wait().reason()), ["fault"; 3]);
    assert_eq!(orphan.wait().reason(), "shutdown");
    assert_eq!(submit(&client, ToyBlock::new(1, 0, 1)).wait().reason(), "fault");
    let report = blocksmith.stop();
    let cause = Cause::TooManyRestarts { service: ServiceName::Rewinder, intensity: few };
    assert_eq!((report.cause, report.joined, report.panicked.len()), (Some(cause), 6, 0));
    assert!(report.to_string().contains("rewinder panicked, and more than 2 panics"));
    assert!(notices.iter().any(|notice| notice == Notice::Escalated { cause }));
}

#[test]
fn a_torn_quarantine_is_rebuilt_from_what_clearance_has() {
    // Two blocks, an orphan, then ticks until the tear: the orphan is answered, the chain goes on
    // above the two.
    let (blocksmith, _notices) =
        start(MANY, inject(ServiceName::Quarantine, When::At(30), Fault::Tear));
    let client = blocksmith.client();
    client.tick(10, Duration::ZERO);
    for n in 1..=2 {
        assert_eq!(submit(client, ToyBlock::new(n, n - 1, u64::from(n))).wait().class(), "valid");
    }
    let mut orphan = submit(client, ToyBlock::new(9, 8, 3));
    let mut verdict = None;
    for _ in 0..30 {
        client.tick(10, Duration::ZERO);
        verdict = verdict.or_else(|| orphan.try_wait());
    }
    let verdict = verdict.unwrap_or_else(|| orphan.wait());
    assert_eq!(verdict.reason(), "fault");
    assert_eq!(submit(client, ToyBlock::new(2, 1, 2)).wait().reason(), "duplicate");
    assert_eq!(submit(client, ToyBlock::new(3, 2, 3)).wait().class(), "valid");
    let report = blocksmith.stop();
    assert_eq!((report.panics, report.cause), (1, None));
}

#[test]
fn a_quarantine_that_is_torn_again_and_again_loses_nothing_that_is_cleared() {
    // Every seventh message tears it, wherever that falls.
    let (blocksmith, _notices) =
        start(MANY, inject(ServiceName::Quarantine, When::Every(7), Fault::Tear));
    chain(blocksmith.client(), 9);
    assert_eq!(head(blocksmith.client()), 9);
    assert!(blocksmith.stop().panics > 0);
}

#[test]
fn a_torn_quarantine_asks_again_for_the_chain_if_clearance_panics_over_the_question() {
    // After the tick, the Quarantine's third message is a block, which tears it; Clearance's second
    // one is the question.
    let mut faults = inject(ServiceName::Quarantine, When::At(3), Fault::Tear);
    faults.extend(inject(ServiceName::Clearance, When::At(2), Fault::Panic));
    let (blocksmith, _notices) = start(MANY, faults);
    let client = blocksmith.client();
    client.tick(10, Duration::ZERO);
    client.rest();
    assert_eq!(submit(client, ToyBlock::new(1, 0, 1)).wait().reason(), "fault");
    assert_eq!(submit(client, ToyBlock::new(1, 0, 1)).wait().class(), "valid");
    let report = blocksmith.stop();
    assert_eq!((report.panics, report.cause), (2, None));
}

#[test]
fn a_torn_quarantine_that_is_never_told_the_chain_ends_all_with_its_cause() {
    // Clearance panics over every message, but is told the time all the same.
    let mut faults = inject(ServiceName::Quarantine, When::At(3), Fault::Tear);
    faults.extend(inject(ServiceName::Clearance, When::Every(1), Fault::Panic));
    let (blocksmith, mut notices) = start(MANY, faults);
    let client = blocksmith.client();
    client.tick(10, Duration::ZERO);
    client.rest();
    assert_eq!(submit(client, ToyBlock::new(1, 0, 1)).wait().reason(), "fault");
    // A stop before the last question would be the cause of the end, and not the tear.
    let cause = Cause::Torn { service: ServiceName::Quarantine };
    assert!(notices.iter().any(|notice| notice == Notice::Escalated { cause }));
    let report = blocksmith.stop();
    assert_eq!((report.cause, report.joined, report.panicked.len()), (Some(cause), 6, 0));
    // The tick's panic, the tear, and sixteen lost questions.
    assert_eq!(report.panics, 18);
}

#[test]
fn a_torn_clearance_or_hot_db_stops_everything_and_every_request_is_answered() {
    // Their machines cannot be had from elsewhere; the third message tears them.
    for service in [ServiceName::Clearance, ServiceName::HotDb] {
        let (blocksmith, _notices) = start(MANY, inject(service, When::At(3), Fault::Tear));
        let client = blocksmith.client();
        client.tick(10, Duration::ZERO);
        let blocks: Vec<_> =
            (1..=9).map(|n| submit(client, ToyBlock::new(n, n - 1, u64::from(n)))).collect();
        let orphan = submit(client, ToyBlock::new(99, 98, 3));
        let reasons: Vec<_> = blocks.into_iter().map(|block| block.wait().reason()).collect();
        let known = |reason: &&str| ["ok", "fault", "shutdown"].contains(reason);
        assert!(
            reasons.iter().all(known) && reasons.iter().any(|reason| *reason != "ok"),
            "{service}: {reasons:?}"
        );
        assert!(["fault", "shutdown"].contains(&orphan.wait().reason()));
        let report = blocksmith.stop();
        let cause = Some(Cause::Torn { service });
        assert_eq!((report.cause, report.joined, report.panicked.len()), (cause, 6, 0));
    }
}

#[test]
fn a_thread_that_is_stuck_at_the_deadline_is_named_and_the_others_are_joined_later() {
    // A worker stands at a gate with a block in hand, another block is queued behind it.
    let gate = Gate::<Std>::new();
    let faults = inject(ServiceName::Rewinder, When::At(1), Fault::Stall(gate.clone()));
    let (blocksmith, _notices) = start(MANY, faults);
    let client = blocksmith.client().clone();
    client.tick(10, Duration::ZERO);
    let stuck = submit(&client, ToyBlock::new(1, 0, 1));
    gate.wait_for_arrival();
    let report = blocksmith.stop_within(Duration::from_millis(20));
    // Nobody above it can end before it.
    let late = ["quarantine", "clearance", "rewinder_duties", "rewinder_0", "rewinder_1", "hot_db"];
    assert_eq!((report.late.as_slice(), report.joined), (&late.map(str::to_owned)[..], 0));
    assert_eq!(report.submissions, 1);
    assert!(report.to_string().contains("not ended by the deadline: quarantine"), "{report}");
    assert_eq!(report.pending_at_deadline.len(), report.pending.len());
    assert!(!report.to_string().contains("panicked:"), "{report}");
    gate.open();
    assert_eq!(stuck.wait().class(), "valid");
}

#[test]
fn the_stop_reports_what_was_pending_and_answers_it() {
    // Both workers and the Quarantine's window are busy at a gate; the rest waits before it.
    let gate = Gate::<Std>::new();
    let faults = inject(ServiceName::Rewinder, When::Every(1), Fault::Stall(gate.clone()));
    let (blocksmith, _notices) = start(MANY, faults);
    let client = blocksmith.client().clone();
    client.tick(10, Duration::ZERO);
    let submissions: Vec<_> = (1..=9).map(|n| submit(&client, ToyBlock::new(n, 0, 1))).collect();
    gate.wait_for_arrival();
    while client.counters().rewinder_waiting < 7 {
        std::thread::yield_now();
    }
    let opener = std::thread::spawn({
        let client = client.clone();
        move || {
            // Once the Quarantine refuses, the stop is under way.
            while submit(&client, ToyBlock::new(50, 49, 2)).wait().reason() != "fault" {}
            gate.open();
        }
    });
    let report = blocksmith.stop();
    opener.join().expect("the gate was opened");
    // A worker that has not come to the gate yet has left its task in the lane.
    let lanes = report.pending.iter().find(|pending| pending.service == ServiceName::Rewinder);
    assert!(lanes.is_some_and(|lanes| (7..=9).contains(&lanes.queued)), "{report}");
    assert!(report.submissions >= 9 && report.joined == 6, "{report}");
    assert_eq!(report.pending_at_deadline, [], "nothing was late");
    assert!(submissions.into_iter().all(|submission| submission.wait().class() == "valid"));
}

#[test]
fn a_delay_holds_a_message_up_and_loses_nothing() {
    // Every message of the HotDB is handled a little later.
    let late = Fault::Delay(Duration::from_millis(1));
    let (blocksmith, _notices) = start(MANY, inject(ServiceName::HotDb, When::Every(1), late));
    assert_eq!(chain(blocksmith.client(), 3), 0);
    assert_eq!(head(blocksmith.client()), 3);
    assert_eq!(blocksmith.stop().panics, 0);
}
