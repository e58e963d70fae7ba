//! The checks under shuttle: the verdict on each scenario and each twin is the expected one.

use blocksmith_engines::counterexample::{table, take};
use blocksmith_engines::shuttle::{Shuttle, ShuttleBounds, check};
use blocksmith_engines::verdict::{Engine, Outcome};
use blocksmith_scenarios::scenarios::services::a_good_block_is;

mod checks;

checks::tests! {
    Engine::Shuttle;
    engine notifier mailbox spsc mpmc oneshot watch task time foreign select broker lifecycle services trace validator payload_attestation linearizability
}

#[test]
fn only_a_sleep_that_ends_for_nothing_refutes_its_twin() {
    // Runs as many schedules without spurious wake-ups: none of them fails.
    let twin = checks::twin("a_sleep_that_ends_is_a_message");
    let bounds = ShuttleBounds { spurious: 0, ..twin.shuttle_bounds() };
    assert_eq!(check(twin.shuttle, twin.threads, bounds).outcome, Outcome::Verified);
}

#[test]
fn a_counterexample_of_running_services_shows_the_steps_of_their_machines() {
    // A scenario claims that a good block is invalid. Every service says what became of the block,
    // in the order of cause and effect, in its own thread.
    drop(take());
    let claim = || a_good_block_is::<Shuttle>("invalid");
    let verdict = check(claim, 5, ShuttleBounds::iterations(1));
    assert_eq!(verdict.word(), "violated", "{verdict}");
    let found = take().expect("it is kept");
    let summary = found.landmarks().expect("there are some");
    let table = table(&summary);
    let steps = summary.steps.iter().filter(|step| step.is_landmark);
    let steps: Vec<_> = steps.map(|step| (&found.threads[step.thread], &step.operation)).collect();
    let mut after = 0;
    for (thread, words) in [
        ("quarantine", "quarantine: submit item=0 "),
        ("rewinder", "rewinder: "),
        ("hot_db", "hot_db: commit "),
        ("quarantine", "quarantine: answered request=0 answer=valid"),
        ("clearance", "clearance: import what=block:"),
        ("quarantine", "quarantine: imported request=0 "),
    ] {
        let is_it =
            |(by, said): &(&String, &String)| by.starts_with(thread) && said.starts_with(words);
        let place = steps[after..].iter().position(is_it);
        after += 1 + place.unwrap_or_else(|| panic!("no \"{words}\" after step {after}:\n{table}"));
    }
    assert!(summary.steps.len() * 10 < found.steps.len(), "{table}");
}
