//! Traces of services on real threads, and what becomes of a trace in which a step is wrong.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use blocksmith::consensus::Checkpoint;
use blocksmith::store::MemoryStore;
use blocksmith::supervision::{Fault, Injection, Intensity, ServiceName, When};
use blocksmith::toy::{Toy, ToyAttestation, ToyBlock, ToyRoot, ToyState};
use blocksmith::trace::Step;
use blocksmith::{Anchor, Blocksmith, Client, Config};
use blocksmith_models::trace::read::{Problem, judge};
use blocksmith_models::trace::{Judge, Listener, Refusal, Rule};
use blocksmith_sync::Std;

/// A trace of [`chain`] that was recorded once, on real threads.
const RECORDED: &str = include_str!("trace.jsonl");

/// Every step of the process.
static STEPS: Mutex<Vec<Step>> = Mutex::new(Vec::new());

fn steps() -> MutexGuard<'static, Vec<Step>> {
    STEPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs services and returns their trace. One test at a time does so.
fn traced(faults: Vec<Injection<Std>>, body: impl FnOnce(&Client<Std, Toy>)) -> Vec<Step> {
    static ONE: Mutex<()> = Mutex::new(());
    static LISTEN: Once = Once::new();
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    LISTEN.call_once(|| {
        let is_heard = Listener::new(|step| steps().push(step)).install();
        assert!(is_heard, "something else listens");
    });
    steps().clear();
    let mut config = Config { workers: 2, observe_every: None, ..Config::default() };
    config.restarts = Intensity { max_restarts: 100, window: Duration::from_secs(1000) };
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let store = Box::new(MemoryStore::new(64));
    let started = Blocksmith::start_durable_with_faults(
        config,
        Arc::new(Toy::default()),
        anchor,
        faults,
        store,
    );
    let (blocksmith, notices) = started.expect("no size is zero");
    body(blocksmith.client());
    blocksmith.stop();
    drop(notices);
    std::mem::take(&mut *steps())
}

/// A chain of five blocks: a child that comes before its parent, a copy, an invalid block with a
/// child, votes that wait for their block, one of them forged, finality, a block that finality has
/// passed, and an orphan at the stop. With `rest`, the services come to rest after each item.
fn chain(client: &Client<Std, Toy>, rest: bool) {
    let pause = || {
        if rest {
            client.rest()
        }
    };
    client.tick(10, Duration::ZERO);
    let submit = |block: ToyBlock| {
        let submission = client.submit_block(block, 1, 1);
        pause();
        submission
    };
    let finalizes = Some(Checkpoint { epoch: 1, root: 2 });
    let vote = |validator: u64, valid| {
        let id = 40 + validator as ToyRoot;
        let target = Checkpoint { epoch: 2, root: 4 };
        let vote = ToyAttestation { id, slot: 9, head: 4, target, validator, valid };
        let submission = client.submit_attestation(vote, 2, 1);
        pause();
        submission
    };
    let votes = [vote(0, true), vote(1, false), vote(2, true)];
    let mut blocks = vec![
        submit(ToyBlock::new(2, 1, 4)),
        submit(ToyBlock::new(1, 0, 3)),
        submit(ToyBlock::new(2, 1, 4)),
        submit(ToyBlock::new(8, 7, 6)),
        submit(ToyBlock::new(7, 1, 5).invalid()),
        submit(ToyBlock { finalizes, ..ToyBlock::new(3, 2, 5) }),
    ];
    pause();
    client.tick(11, Duration::ZERO);
    pause();
    blocks.push(submit(ToyBlock::new(4, 3, 6)));
    blocks.push(submit(ToyBlock::new(9, 0, 3)));
    blocks.push(submit(ToyBlock::new(30, 29, 7)));
    // With a fault of ours an item may wait for one that was lost, so that only the stop answers it.
    client.rest();
    drop((blocks, votes));
}

/// Judges steps; returns the place of the first that is refuted, and the rule, or what is missing.
fn verdict(steps: &[Step]) -> Result<(), (usize, Option<Rule>, String)> {
    let mut judge = Judge::default();
    for (place, step) in steps.iter().enumerate() {
        match judge.step(step) {
            Ok(()) => {}
            Err(Refusal::Refuted { rule, why }) => return Err((place, Some(rule), why)),
            Err(Refusal::Unreadable { field, why }) => {
                return Err((place, None, format!("{field}: {why}")));
            }
        }
    }
    judge.lacks().map_or(Ok(()), |what| Err((steps.len(), None, what)))
}

fn assert_behaviour(steps: &[Step]) {
    if let Err((place, rule, why)) = verdict(steps) {
        let before: Vec<_> = steps[place.saturating_sub(30)..steps.len().min(place + 1)]
            .iter()
            .map(|step| {
                format!(
                    "{} {} {:?}: {} -> {:?} {}",
                    step.service, step.thread, step.number, step.event, step.effects, step.lost
                )
            })
            .collect();
        panic!("step {place}, {rule:?}: {why}\n{}", before.join("\n"));
    }
}

#[test]
fn what_services_do_on_real_threads_is_a_behaviour() {
    // Runs the chain at rest after each item once, and at once many times.
    for round in 0..40 {
        let steps = traced(Vec::new(), |client| chain(client, round == 0));
        let mut judge = Judge::default();
        assert_behaviour(&steps);
        steps.iter().for_each(|step| judge.step(step).expect("judged above"));
        let summary = judge.summary();
        assert_eq!((summary.submissions, summary.verdicts), (12, 12), "round {round}");
        assert_eq!((summary.instances, summary.blocks), (1, 4 + u64::from(summary.blocks > 4)));
    }
}

#[test]
fn what_services_do_when_they_panic_is_a_behaviour_all_the_same() {
    // Panics at every message of every service in turn, before the step and in its middle.
    let mut lost = BTreeMap::new();
    for service in ServiceName::ALL {
        for at in 1..=16 {
            for fault in [Fault::Panic, Fault::Tear] {
                let faults = vec![Injection { service, when: When::At(at), fault }];
                let steps = traced(faults, |client| chain(client, false));
                assert_behaviour(&steps);
                for step in steps.iter().filter(|step| !step.lost.is_empty()) {
                    *lost.entry((step.service.clone(), step.lost.clone())).or_insert(0) += 1;
                }
            }
        }
    }
    for service in ServiceName::ALL.map(ServiceName::word) {
        for what in ["message", "machine"] {
            let is_seen = lost.contains_key(&(service.to_owned(), what.to_owned()));
            assert!(is_seen, "no {what} of {service} was lost: {lost:?}");
        }
    }
}

fn recorded() -> Vec<Step> {
    let lines: Vec<_> = RECORDED.lines().collect();
    let step = |line: &&str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| line[name].as_str().expect("a text").to_owned();
        let number = |name: &str| line[name].as_u64().expect("a number");
        let effects = line["effects"].as_array().expect("a list");
        Step {
            service: text("service"),
            instance: number("instance"),
            thread: number("thread"),
            life: number("life"),
            number: number("number"),
            event: text("event"),
            effects: effects.iter().map(|one| one.as_str().expect("a text").to_owned()).collect(),
            lost: text("lost"),
        }
    };
    lines[1..lines.len() - 1].iter().map(step).collect()
}

/// A change of a trace at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// The step comes after the next one of its thread.
    Swap,
    Drop,
    Double,
}

/// Returns the trace with the change, or `None` if the step has no successor to change places with.
fn changed(steps: &[Step], at: usize, change: Change) -> Option<Vec<Step>> {
    let mut steps = steps.to_vec();
    match change {
        Change::Swap => {
            let is_next = |step: &Step| {
                (&step.service, step.thread) == (&steps[at].service, steps[at].thread)
            };
            let next = at + 1 + steps[at + 1..].iter().position(is_next)?;
            steps.swap(at, next);
        }
        Change::Drop => drop(steps.remove(at)),
        Change::Double => steps.insert(at, steps[at].clone()),
    }
    Some(steps)
}

/// Numbers the steps of each thread anew, so that only what they say can refute them.
fn renumbered(mut steps: Vec<Step>) -> Vec<Step> {
    let mut next = BTreeMap::new();
    for step in &mut steps {
        let number = next.entry((step.service.clone(), step.thread)).or_insert(0);
        step.number = *number;
        *number += 1;
    }
    steps
}

/// Returns why a change at a step leaves a behaviour, by what the step is.
fn reason(step: &Step, next: Option<&Step>, change: Change) -> &'static str {
    let verb = step.event.split(' ').next().unwrap_or("");
    let next = next.map_or("", |next| next.event.split(' ').next().unwrap_or(""));
    match (step.service.as_str(), verb, change) {
        ("cold_db", "record", Change::Drop) => "a vote that changes nothing may be left out",
        ("cold_db", "flush", _) => "when a batch is flushed is open, and an empty flush is none",
        ("cold_db", _, Change::Swap) if next == "flush" => "when a batch is flushed is open",
        ("hot_db", "post_state" | "post_committees", _) => "a state may be cached or not",
        ("hot_db", _, Change::Swap) if next.starts_with("post_") => "a state may be cached or not",
        ("quarantine", "tick" | "payload" | "weigh" | "stop", _) => "the node may tell it or not",
        ("quarantine", "submit", _) => "what the network gives, and when, is open",
        ("quarantine", _, Change::Swap) => "two messages of different senders may change places",
        ("hot_db", _, Change::Swap) => "two messages of different senders may change places",
        ("clearance", _, Change::Swap) => "two messages of different senders may change places",
        ("cold_db", _, Change::Swap) => "two messages of different senders may change places",
        _ => "UNEXPLAINED",
    }
}

#[test]
fn a_recorded_trace_is_a_behaviour_and_with_one_step_changed_it_is_none() {
    // Swaps, drops and doubles each step. As numbered, each change is refuted. Numbered anew, a
    // change is refuted unless the specification leaves open what it changes.
    let steps = recorded();
    assert_behaviour(&steps);
    let mut refuted = BTreeMap::new();
    let mut left = BTreeMap::new();
    let mut unexplained = Vec::new();
    for change in [Change::Swap, Change::Drop, Change::Double] {
        for at in 0..steps.len() {
            let Some(other) = changed(&steps, at, change) else { continue };
            if other == steps {
                // Two neighbours that are alike but for their numbers.
                continue;
            }
            let as_numbered = verdict(&other);
            assert!(as_numbered.is_err(), "{change:?} of step {at} passes");
            match verdict(&renumbered(other)) {
                Err((_, rule, _)) => *refuted.entry((change, rule)).or_insert(0) += 1,
                Ok(()) => {
                    let own = |step: &&Step| {
                        (&step.service, step.thread) == (&steps[at].service, steps[at].thread)
                    };
                    let next = steps[at + 1..].iter().find(own);
                    let why = reason(&steps[at], next, change);
                    if why == "UNEXPLAINED" {
                        let (own, next) = (&steps[at].event, next.map(|next| &next.event));
                        unexplained.push(format!("{change:?} {at}: {own:?}, {next:?}"));
                    }
                    *left.entry((change, why)).or_insert(0) += 1;
                }
            }
        }
    }
    let count = |change: Change, of: &BTreeMap<_, usize>| -> usize {
        of.iter().filter(|((other, _), _)| *other == change).map(|(_, count)| count).sum()
    };
    let total = |change: Change| {
        let refuted: usize =
            refuted.iter().filter(|((one, _), _)| *one == change).map(|(_, count)| count).sum();
        (refuted, count(change, &left))
    };
    println!("{} steps\nrefuted {refuted:#?}\nleft {left:#?}", steps.len());
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    let totals = [Change::Swap, Change::Drop, Change::Double].map(total);
    assert_eq!((steps.len(), totals), PINNED);
}

/// The number of steps of the recorded trace; then, for swaps, drops and doubles, how many are
/// refuted by what the steps say and how many leave a behaviour.
const PINNED: (usize, [(usize, usize); 3]) = (129, [(103, 19), (124, 5), (128, 1)]);

/// Judges the recorded file with its text changed.
fn judged(change: impl FnOnce(&str) -> String) -> Result<(), Problem> {
    judge(Cursor::new(change(RECORDED).into_bytes())).map(drop)
}

#[test]
fn a_trace_that_is_cut_short_is_no_pass_wherever_it_is_cut() {
    // Cuts the file after every line, and in the middle of every line.
    assert!(judged(str::to_owned).is_ok());
    let mut at = 0;
    let lines: Vec<_> = RECORDED.split_inclusive('\n').collect();
    for line in &lines {
        for cut in [at, at + line.len() / 2] {
            let problem = judged(|text| text[..cut].to_owned()).expect_err("it is cut short");
            assert!(matches!(problem, Problem::Incomplete(_)), "{cut}: {problem}");
        }
        at += line.len();
    }
    // Without its last line break, and with nothing missing, it is whole.
    assert!(judged(|text| text.trim_end().to_owned()).is_ok());
}

#[test]
fn a_trace_with_something_left_out_is_no_pass() {
    // The end mark says that steps were left out, or counts more steps than there are.
    let left_out = judged(|text| text.replace("\"left_out\":0", "\"left_out\":3"));
    assert!(
        matches!(&left_out, Err(Problem::Incomplete(why)) if why.contains('3')),
        "{left_out:?}"
    );
    let counted = judged(|text| text.replace("\"steps\":", "\"steps\":1"));
    assert!(matches!(counted, Err(Problem::Incomplete(_))), "{counted:?}");
}

#[test]
fn what_cannot_be_read_is_told_with_its_line_and_field() {
    // Another format, another version, a line that is no JSON, an unknown field, a word that is
    // none, and a line after the end mark.
    let refused = |change: &dyn Fn(&str) -> String, line: usize, field: &str| {
        let problem = judged(change).expect_err("it cannot be read");
        match &problem {
            Problem::Unreadable { line: at, field: of, .. } => {
                assert_eq!((*at, of.as_str()), (line, field), "{problem}");
            }
            _ => panic!("{problem}"),
        }
    };
    refused(&|text| text.replacen("blocksmith-trace", "other", 1), 1, "format");
    refused(&|text| text.replacen("\"version\":1", "\"version\":2", 1), 1, "version");
    refused(&|text| text.replacen("\n{", "\n[", 1), 2, "line");
    refused(&|text| text.replacen("\"life\"", "\"live\"", 1), 2, "line");
    let submits = RECORDED.lines().position(|line| line.contains("\"submit ")).expect("one does");
    let bogus = |text: &str| text.replacen("\"submit ", "\"sumbit ", 1);
    refused(&bogus, submits + 1, "event or effects");
    let after = RECORDED.lines().count() + 1;
    refused(&|text| format!("{text}{{}}\n"), after, "line");
    assert!(matches!(judged(|_| String::new()), Err(Problem::Incomplete(_))));
    let nothing =
        "{\"format\":\"blocksmith-trace\",\"version\":1}\n{\"end\":{\"steps\":0,\"left_out\":0}}\n";
    assert!(matches!(judged(|_| nothing.to_owned()), Err(Problem::Incomplete(_))));
}

/// Changes the words of every step of the recorded trace; returns the rule that refutes it.
fn refuting(change: impl Fn(&mut Step)) -> Option<Rule> {
    let mut steps = recorded();
    steps.iter_mut().for_each(change);
    verdict(&steps).err().and_then(|(_, rule, _)| rule)
}

#[test]
fn what_no_exchange_of_steps_shows_is_refuted_by_its_own_rule() {
    // Changes words: the window is too small; an item is accepted when it goes to Clearance; what
    // was found invalid failed on our side, and is rejected; the head was another one.
    let replace = |step: &mut Step, from: &str, to: &str| {
        step.event = step.event.replace(from, to);
        step.effects.iter_mut().for_each(|effect| *effect = effect.replace(from, to));
    };
    assert_eq!(refuting(|_| ()), None);
    assert_eq!(refuting(|step| replace(step, "window=64", "window=0")), Some(Rule::Window));
    let failed = |step: &mut Step| replace(step, "answer=invalid", "answer=fault");
    assert_eq!(refuting(failed), Some(Rule::Fault));
    assert_eq!(refuting(|step| replace(step, "head old=", "head old=9")), Some(Rule::Chain));
    let steps = recorded();
    let block_one = steps.iter().find(|step| step.event.contains(" what=block:1/"));
    let item = block_one.and_then(|step| step.event.split(' ').nth(1)).expect("its submission");
    let early = |step: &mut Step| {
        if step.effects.iter().any(|one| one.starts_with("clear ") && one.contains("block:1/")) {
            step.effects.push(format!("verdict {item} class=valid reason=ok"));
        }
    };
    assert_eq!(refuting(early), Some(Rule::ImportFirst));
}
