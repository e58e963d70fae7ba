//! Counterexamples of the other engines: written down, run again, and made smaller.

use std::collections::BTreeMap;

use stateright::{Model, Property};

use super::*;
use crate::explore;
use crate::lasso::{self, Liveness};
use crate::loom::{self, Loom, LoomBounds};
use crate::shuttle::{self, Shuttle, ShuttleBounds};
use crate::trace::say;
use crate::verdict::{Engine, Verdict};

/// Two processes that hand a token back and forth; process 1 may also keep it.
struct Token {
    keeps: bool,
}

/// Who has the token, and how often it was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    by: u32,
    times: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Move {
    Hand,
    Look,
    Keep,
}

impl Model for Token {
    type State = Held;
    type Action = Move;

    fn init_states(&self) -> Vec<Held> {
        vec![Held { by: 9, times: 0 }, Held { by: 0, times: 0 }]
    }

    fn actions(&self, state: &Held, actions: &mut Vec<Move>) {
        actions.extend((state.by < 2).then_some(Move::Hand));
        actions.extend((state.by < 2).then_some(Move::Look));
        actions.extend((self.keeps && state.by == 1).then_some(Move::Keep));
    }

    fn next_state(&self, last: &Held, action: Move) -> Option<Held> {
        match action {
            Move::Hand => Some(Held { by: 1 - last.by, times: last.times + 1 - last.by }),
            Move::Look => Some(last.clone()),
            Move::Keep => Some(Held { by: 2, ..last.clone() }),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("handed over once", |_: &Self, held: &Held| held.times < 2)]
    }

    fn within_boundary(&self, held: &Held) -> bool {
        held.times < 3
    }
}

struct InWords;

impl Words<Token> for InWords {
    fn step(&self, _: &Token, held: &Held, action: &Move) -> (String, String) {
        (format!("process {}", held.by), format!("{action:?}s the token").to_lowercase())
    }

    fn objects(&self, _: &Token, held: &Held) -> Vec<(String, String)> {
        fields(&format!("{held:?}"))
    }

    fn stands(&self, _: &Token, held: &Held) -> Vec<Stand> {
        let stand = |process: u32| Stand {
            process: format!("process {process}"),
            what: if held.by == process { "has the token" } else { "waits for it" }.to_owned(),
            waits_for: (held.by != process)
                .then(|| format!("process {}", 1 - process))
                .into_iter()
                .collect(),
        };
        [0, 1].map(stand).to_vec()
    }
}

fn token(keeps: bool) -> Verdict {
    explore::check(Token { keeps }, &InWords, BTreeMap::new(), 1_000)
}

/// Runs a check, and returns its counterexample.
fn kept(check: impl FnOnce() -> Verdict) -> Counterexample {
    drop(take());
    let verdict = check();
    assert_eq!(verdict.word(), "violated", "{verdict}");
    take().expect("it is kept")
}

fn run_again(
    of: &Counterexample,
    how: Again,
    check: fn() -> Verdict,
) -> Result<Counterexample, Misfit> {
    again(of, how, || drop(check()))
}

#[test]
fn a_path_of_a_model_has_its_processes_and_what_changed() {
    // Hands the token over three times, from the second of two initial states.
    let found = kept(|| token(false));
    assert_eq!(found.threads, ["process 0", "process 1"]);
    assert_eq!(found.start, "1");
    let threads: Vec<_> = found.steps.iter().map(|step| step.thread).collect();
    assert_eq!(threads, [0, 1, 0]);
    let change = |object: &str, before: &str, after: &str| Change {
        object: object.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
    };
    assert_eq!(found.steps[0].changes, [change("by", "0", "1"), change("times", "0", "1")]);
    assert_eq!(found.steps[1].changes, [change("by", "1", "0")]);
    assert_eq!(found.end[0].waits_for, [1]);
    assert_eq!(read(&written(&found)), Ok(found.clone()));
    let table = table(&found);
    for words in ["hands the token", "times: 1 -> 2", "T1 process 1: has the token", "times = 2"] {
        assert!(table.contains(words), "{table}");
    }
}

#[test]
fn a_path_of_a_model_is_followed_until_an_action_is_not_possible() {
    // Follows it as it is, with an action too many, with another action, and with other words.
    let found = kept(|| token(false));
    let check = || token(false);
    assert_eq!(run_again(&found, Again::Replay, check), Ok(found.clone()));
    let run =
        |changed: &Counterexample| run_again(changed, Again::Replay, check).expect_err("misfit");
    let mut changed = found.clone();
    changed.steps[1].choice = "Keep".to_owned();
    assert!(matches!(run(&changed), Misfit::Impossible { step: 2, .. }));
    changed = found.clone();
    changed.steps[2].operation = "throws the token".to_owned();
    assert!(matches!(run(&changed), Misfit::Differs { step: 3, .. }));
    changed = found.clone();
    changed.steps.pop();
    assert_eq!(run(&changed), Misfit::Holds);
    changed = found.clone();
    changed.start = "7".to_owned();
    assert_eq!(run(&changed), Misfit::Choice(0));
    changed.run = 1;
    assert_eq!(run(&changed), Misfit::NoRun);
    changed = Counterexample { engine: "loom".to_owned(), ..found };
    assert_eq!(run(&changed), Misfit::Engine("loom".to_owned()));
}

#[test]
fn the_second_run_of_a_check_is_followed_where_the_second_was_recorded() {
    // A check that looks for a lasso first, and finds none.
    fn twice() -> Verdict {
        assert_eq!(starved(false).word(), "verified");
        token(false)
    }
    let found = kept(twice);
    assert_eq!(found.run, 1);
    assert_eq!(run_again(&found, Again::Replay, twice), Ok(found.clone()));
}

#[test]
fn steps_that_a_path_does_not_need_are_taken_away() {
    // Adds two steps that change nothing; they go again.
    let found = kept(|| token(false));
    let mut padded = found.clone();
    for (place, thread) in [(0, 0), (2, 1)] {
        let look = Step {
            thread,
            choice: "Look".to_owned(),
            operation: "looks the token".to_owned(),
            changes: Vec::new(),
            ..found.steps[0].clone()
        };
        padded.steps.insert(place, look);
    }
    let replayed = run_again(&padded, Again::Replay, || token(false)).expect("it fits");
    assert_eq!(replayed.steps.len(), 5);
    assert_eq!(run_again(&padded, Again::Shrink, || token(false)), Ok(found));
}

/// Looks for a behaviour in which process 0 never has the token again.
fn starved(keeps: bool) -> Verdict {
    let property = Liveness {
        model: &Token { keeps },
        name: "it comes back",
        process: |action: &Move| (*action == Move::Hand).then_some(1),
        waits: |held: &Held| held.by >= 1 && held.by != 9,
    };
    lasso::check(&property, &InWords, BTreeMap::new(), 100)
}

#[test]
fn a_lasso_has_a_prefix_and_a_cycle_and_is_followed_again() {
    // The process that keeps the token leaves nothing to do; a cycle of looks is not fair.
    let found = kept(|| starved(true));
    let choices: Vec<_> = found.steps.iter().map(|step| &*step.choice).collect();
    assert_eq!((choices, found.cycle_from), (vec!["Hand", "Keep"], Some(2)));
    let check = || starved(true);
    assert_eq!(run_again(&found, Again::Replay, check), Ok(found.clone()));
    assert_eq!(read(&written(&found)), Ok(found.clone()));
    assert!(table(&found).contains("-- and nothing happens any more"), "{}", table(&found));
    let json: serde_json::Value = serde_json::from_str(&written(&found)).expect("JSON");
    assert_eq!(json["loop"], 2);
    // A cycle that process 1 could leave is not fair, so it is none.
    let mut unfair = found.clone();
    unfair.steps[1].choice = "Look".to_owned();
    unfair.steps[1].operation = "looks the token".to_owned();
    unfair.cycle_from = Some(1);
    assert_eq!(run_again(&unfair, Again::Replay, check), Err(Misfit::Holds));
    let mut outside = found;
    outside.cycle_from = Some(3);
    assert_eq!(Counterexample::try_from(Itf::from(&outside)), Err(Unreadable::Loop));
}

#[test]
fn a_cycle_is_marked_in_every_form() {
    // Makes the last step of a path one that is taken for ever.
    let mut found = kept(|| starved(true));
    found.cycle_from = Some(1);
    assert!(table(&found).contains("-- from here on, for ever:\n"), "{}", table(&found));
    assert!(mermaid(&found).contains("  loop for ever\n"), "{}", mermaid(&found));
    assert!(dot(&found).contains("s2 -> s2 [color=blue"), "{}", dot(&found));
    assert!(html(&found).contains(">from here on, for ever</td>"));
}

/// The two crossed locks under shuttle.
fn sampled() -> Verdict {
    shuttle::check(crossed_locks::<Shuttle>, 2, ShuttleBounds::iterations(200))
}

#[test]
fn shuttles_schedule_is_written_down_and_followed() {
    // Each thread has one lock, and waits for the one that has the other.
    let found = kept(sampled);
    assert_eq!((found.violation.as_str(), found.cycle()), ("deadlock", Some(vec![0, 1])));
    let ending = found.ending().join("\n");
    for words in
        ["T0 main: waits for mutex", "held by T1", "held by T0", "counterexample/tests.rs:"]
    {
        assert!(ending.contains(words), "{ending}");
    }
    assert!(found.steps[0].operation.starts_with("spawn(other)"), "{}", found.steps[0].operation);
    assert_eq!(run_again(&found, Again::Replay, sampled), Ok(found.clone()));
    assert_eq!(read(&written(&found)), Ok(found.clone()));
    let run =
        |changed: &Counterexample| run_again(changed, Again::Replay, sampled).expect_err("misfit");
    let mut changed = found.clone();
    changed.steps[1].operation = "another operation".to_owned();
    assert!(matches!(run(&changed), Misfit::Differs { step: 2, .. }));
    changed = found.clone();
    changed.start = "9 / ".to_owned();
    assert!(matches!(run(&changed), Misfit::Impossible { step: 1, .. }));
    changed.start = "nothing".to_owned();
    assert_eq!(run(&changed), Misfit::Choice(0));
}

#[test]
fn a_schedule_of_a_fixed_program_no_longer_violates_anything() {
    // Records locks that are crossed, and follows that in a program that takes none.
    let found = kept(sampled);
    let fixed = || shuttle::check(|| {}, 1, ShuttleBounds::iterations(10));
    let misfit = again(&found, Again::Replay, || drop(fixed())).expect_err("it is fixed");
    assert!(matches!(misfit, Misfit::Holds | Misfit::Impossible { step: 1, .. }), "{misfit}");
}

/// A thread finds a word that main has written; a bystander loads another a few times.
fn noisy<P: Primitives>() {
    let words = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let (reader, bystander) = (words.clone(), words.clone());
    let other = P::spawn("bystander", move || {
        assert_eq!((0..8).map(|_| bystander[1].load(Relaxed)).sum::<u32>(), 0);
    });
    let thread = P::spawn("reader", move || {
        say(|| "looks at the word".to_owned());
        assert_eq!(reader[0].load(Relaxed), 0, "it is seen");
    });
    say(|| "sends a word to reader".to_owned());
    words[0].store(1, Relaxed);
    thread.join().expect("it ends");
    other.join().expect("it ends");
}

#[test]
fn shuttles_schedule_is_made_smaller() {
    // The steps of the bystander can go; what is violated stays the same.
    let check = || shuttle::check(noisy::<Shuttle>, 3, ShuttleBounds::iterations(400));
    let found = kept(check);
    let shrunk = run_again(&found, Again::Shrink, check).expect("it fits");
    assert!(shrunk.violation.contains("it is seen"), "{}", shrunk.violation);
    assert!(shrunk.steps.len() <= found.steps.len());
    let bystander = shrunk.threads.iter().position(|thread| thread == "bystander");
    let noise = shrunk.steps.iter().filter(|step| Some(step.thread) == bystander).count();
    assert_eq!(noise, 0, "{}", table(&shrunk));
    assert_eq!(run_again(&shrunk, Again::Replay, check).map(|it| it.steps), Ok(shrunk.steps));
}

#[test]
fn landmarks_are_shown_alone() {
    // Both engines write down what the threads say of themselves.
    let sampled = kept(|| shuttle::check(noisy::<Shuttle>, 3, ShuttleBounds::iterations(400)));
    let stepped = kept(|| stepped::check(noisy::<Stepped>, 3, Limits::DEFAULT));
    for found in [sampled, stepped] {
        let summary = found.landmarks().expect("there are some");
        let table = table(&summary);
        assert!(summary.steps.len() < found.steps.len() + 1);
        for words in ["sends a word to reader", "looks at the word"] {
            assert!(table.contains(words), "{table}");
        }
        let reader = found.threads.iter().position(|thread| thread == "reader").expect("it is one");
        let arrow = format!("  T0->>T{reader}: ");
        assert!(mermaid(&summary).contains(&arrow), "{}", mermaid(&summary));
        assert_eq!(read(&written(&found)), Ok(found.clone()));
    }
    assert_eq!(kept(self::sampled).landmarks(), None);
}

/// A message and a flag, both relaxed.
fn message_passing<P: Primitives>() {
    let words = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let other = words.clone();
    let thread = P::spawn("writer", move || {
        other[0].store(1, Relaxed);
        other[1].store(1, Relaxed);
    });
    if words[1].load(Relaxed) == 1 {
        assert_eq!(words[0].load(Relaxed), 1, "the message is old");
    }
    thread.join().expect("it ends");
}

#[test]
fn looms_execution_is_written_down_and_says_which_load_is_old() {
    // The flag is seen and the message is not; the same is found again, with few preemptions.
    let check = old_message;
    let found = kept(check);
    assert!(found.violation.contains("the message is old"), "{}", found.violation);
    let table = table(&found);
    assert!(table.contains("= 0, which is not the latest"), "{table}");
    assert!(found.end[0].what.contains("the message is old"), "{table}");
    assert_eq!(run_again(&found, Again::Replay, check), Ok(found.clone()));
    let shrunk = run_again(&found, Again::Shrink, check).expect("it fits");
    assert!(shrunk.steps.len() <= found.steps.len() && shrunk.search.contains("fewest"));
    let mut changed = found;
    changed.steps[0].operation = "another operation".to_owned();
    let misfit = run_again(&changed, Again::Replay, check).expect_err("misfit");
    assert!(matches!(misfit, Misfit::Differs { step: 1, .. }), "{misfit}");
}

/// The two crossed locks under Stepped.
fn stepwise() -> Verdict {
    stepped::check(crossed_locks::<Stepped>, 2, Limits::DEFAULT)
}

fn old_message() -> Verdict {
    loom::check(message_passing::<Loom>, 2, LoomBounds::preemptions(3))
}

#[test]
fn an_execution_that_ends_otherwise_than_was_recorded_no_longer_fits() {
    // Has each engine follow what it recorded, with another violation.
    let checks: [fn() -> Verdict; 5] =
        [|| token(false), || starved(true), sampled, stepwise, old_message];
    for check in checks {
        let found = kept(check);
        let (engine, now) = (found.engine.clone(), found.violation.clone());
        for violation in ["data race", "property \"another\""] {
            let recorded = Counterexample { violation: violation.to_owned(), ..found.clone() };
            let misfit = run_again(&recorded, Again::Replay, check);
            let other = Misfit::Violates { recorded: violation.to_owned(), found: now.clone() };
            assert_eq!(misfit, Err(other), "{engine}");
        }
        assert_eq!(run_again(&found, Again::Replay, check), Ok(found), "{engine}");
    }
    // The text of a panic has source lines and values, and may be another.
    let found = kept(old_message);
    let recorded = Counterexample { violation: "panic \"left: 7\"".to_owned(), ..found.clone() };
    assert_eq!(run_again(&recorded, Again::Replay, old_message), Ok(found));
}

#[test]
fn an_execution_with_another_number_of_steps_no_longer_fits() {
    // Takes all steps out of a recorded execution, or adds one at its end that no choice leads to.
    let misfit = |of: &Counterexample, steps: &[Step], check| {
        let recorded = Counterexample { steps: steps.to_vec(), ..of.clone() };
        run_again(&recorded, Again::Replay, check)
    };
    let length = |recorded, found| Err(Misfit::Length { recorded, found });
    let checks: [fn() -> Verdict; 3] = [sampled, stepwise, old_message];
    for check in checks {
        let found = kept(check);
        let (steps, engine) = (&found.steps, &found.engine);
        let said = Step::landmark(0, "says something".to_owned(), String::new());
        let longer = [&steps[..], &[said]].concat();
        let count = steps.len();
        assert_eq!(misfit(&found, &longer, check), length(count + 1, count), "{engine}");
        // Stepped's steps are its schedule, so without them nothing happens.
        let none = if engine == "stepped" { Err(Misfit::Holds) } else { length(0, count) };
        assert_eq!(misfit(&found, &[], check), none, "{engine}");
    }
    // Those of a model are its schedule, too.
    assert_eq!(misfit(&kept(|| token(false)), &[], || token(false)), Err(Misfit::Holds));
}

#[test]
fn an_execution_that_is_finite_has_no_cycle() {
    // Adds a cycle to what each engine has recorded of a property of states or of executions.
    let checks: [fn() -> Verdict; 4] = [|| token(false), sampled, stepwise, old_message];
    for check in checks {
        let found = kept(check);
        assert_eq!(found.cycle_from, None);
        let recorded = Counterexample { cycle_from: Some(1), ..found.clone() };
        for how in [Again::Replay, Again::Shrink] {
            let misfit = run_again(&recorded, how, check).expect_err(&found.engine);
            assert_eq!(misfit, Misfit::Cycle { recorded: Some(1), found: None });
            let words = "recorded was a cycle after step 1, now there is no cycle";
            assert_eq!(misfit.to_string(), words);
        }
    }
}

#[test]
fn the_cycle_of_an_engine_that_finds_its_own_must_be_the_recorded_one() {
    // An engine finds the same lasso each time; the file has another cycle, or none.
    let found = kept(|| starved(true));
    let check = || crate::counterexample::found(Engine::Stateright, Some(found.clone()));
    assert_eq!(again(&found, Again::Replay, check), Ok(found.clone()));
    for cycle_from in [None, Some(0), Some(1)] {
        let recorded = Counterexample { cycle_from, ..found.clone() };
        let other = Misfit::Cycle { recorded: cycle_from, found: Some(2) };
        assert_eq!(again(&recorded, Again::Replay, check), Err(other));
    }
}

#[test]
fn a_step_of_another_thread_no_longer_fits() {
    // Moves a step to another thread: one of a model, and one of Stepped that no choice leads to.
    let said = || stepped::check(noisy::<Stepped>, 3, Limits::DEFAULT);
    let checks: [fn() -> Verdict; 3] = [|| token(false), || starved(true), said];
    for check in checks {
        let found = kept(check);
        let moved = |step: &Step| step.choice.is_empty() || found.engine == "stateright";
        let place = found.steps.iter().position(moved).expect("there is one");
        let mut recorded = found.clone();
        recorded.steps[place].thread = 1 - recorded.steps[place].thread;
        let misfit = run_again(&recorded, Again::Replay, check).expect_err("it was moved");
        let Misfit::Differs { step, recorded, found } = misfit else { panic!("{misfit}") };
        assert_eq!(step, place + 1);
        assert_eq!(recorded.split(" by ").next(), found.split(" by ").next());
    }
}

#[test]
fn what_a_thread_says_under_stepped_is_compared() {
    // Changes a step that no choice leads to.
    let check = || stepped::check(noisy::<Stepped>, 3, Limits::DEFAULT);
    let mut recorded = kept(check);
    let said = recorded.steps.iter_mut().find(|step| step.choice.is_empty());
    said.expect("there is one").operation = "says something else".to_owned();
    let misfit = run_again(&recorded, Again::Replay, check).expect_err("it was changed");
    assert!(matches!(misfit, Misfit::Differs { .. }), "{misfit}");
}

#[test]
fn long_values_are_shown_by_their_difference() {
    // Two long lists that differ in one element, and values that are short.
    let list = |last: &str| format!("[{}, {last}, 99]", ["Block { root: 1 }"; 9].join(", "));
    let (before, after) = render::difference(&list("Vote(1)"), &list("Vote(22)"));
    assert_eq!((before.as_str(), after.as_str()), ("..1..", "..22.."));
    assert_eq!(render::difference("a", ""), ("a".to_owned(), "nothing".to_owned()));
    assert!(render::cut(&"x".repeat(1_000)).chars().count() <= 160);
}
