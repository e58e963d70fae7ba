//! Counterexamples of Stepped: written down, read back, shown, and run again.

mod engines;

use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::{Atomic, Futex, Join, Mutex, Primitives};

use super::*;
use crate::stepped::{self, Limits, Stepped};

/// Two threads take two locks in opposite orders.
fn crossed_locks<P: Primitives>() {
    let locks = P::arc([P::Mutex::<u32>::new(0), P::Mutex::<u32>::new(0)]);
    let other = locks.clone();
    let thread = P::spawn("other", move || {
        let _second = other[1].lock();
        let _first = other[0].lock();
    });
    {
        let _first = locks[0].lock();
        let _second = locks[1].lock();
    }
    thread.join().expect("it ends");
}

/// A thread sleeps on a word that nobody changes after the look.
fn lost_wake<P: Primitives>() {
    let word = P::arc(<P::Futex as Atomic<u32>>::new(0));
    let sleeper = word.clone();
    let thread = P::spawn("sleeper", move || {
        if sleeper.load(Relaxed) == 0 {
            sleeper.wait(0);
        }
    });
    word.wake(1);
    thread.join().expect("it ends");
}

/// As `lost_wake`, but the word changes before the wake.
fn kept_wake<P: Primitives>() {
    let word = P::arc(<P::Futex as Atomic<u32>>::new(0));
    let sleeper = word.clone();
    let thread = P::spawn("sleeper", move || {
        if sleeper.load(Relaxed) == 0 {
            sleeper.wait(0);
        }
    });
    word.store(1, Relaxed);
    word.wake(1);
    thread.join().expect("it ends");
}

fn found(scenario: fn()) -> Counterexample {
    let _ = take();
    let verdict = stepped::check(scenario, 2, Limits::DEFAULT);
    assert_eq!(verdict.word(), "violated");
    let kept = take().expect("it is kept");
    assert_eq!(take(), None, "it is taken once");
    Counterexample { check: "engine.test.stepped".to_owned(), ..kept }
}

fn read(text: &str) -> Result<Counterexample, String> {
    let itf: Itf = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Counterexample::try_from(itf).map_err(|error| error.to_string())
}

fn written(of: &Counterexample) -> String {
    serde_json::to_string(&Itf::from(of)).expect("it is data")
}

#[test]
fn the_end_names_the_cycle_of_waits() {
    // Two crossed locks: each thread waits for the one that holds the other lock.
    let crossed = found(crossed_locks::<Stepped>);
    assert_eq!(crossed.violation, "deadlock");
    assert_eq!(crossed.cycle(), Some(vec![0, 1]));
    let ending = crossed.ending().join("\n");
    for words in ["held by T1", "held by T0", "cycle of waits: T0 -> T1 -> T0"] {
        assert!(ending.contains(words), "{ending}");
    }
    // A lost wake-up: main waits for the sleeper, and could only be followed by a wake of its own.
    let lost = found(lost_wake::<Stepped>);
    let ending = lost.ending().join("\n");
    for words in ["T0 main: waits for the end of T1", "T1 sleeper: sleeps on futex 0.", "T0 -> T1"]
    {
        assert!(ending.contains(words), "{ending}");
    }
}

/// Main sleeps on a word, and the other thread ends without a wake.
fn no_wake<P: Primitives>() {
    let word = P::arc(<P::Futex as Atomic<u32>>::new(0));
    let other = word.clone();
    let thread = P::spawn("other", move || other.load(Relaxed));
    word.wait(0);
    thread.join().expect("it ends");
}

#[test]
fn a_sleeper_that_nobody_is_left_to_wake_is_told_as_such() {
    // The other thread has ended, so main is in no cycle.
    let alone = found(no_wake::<Stepped>);
    let ending = alone.ending().join("\n");
    assert!(ending.contains("which holds 0; nobody is left to wake it ["), "{ending}");
    assert!(ending.contains("T1 other: has ended"), "{ending}");
    assert_eq!(alone.cycle(), None);
    let crossed = found(crossed_locks::<Stepped>);
    assert!(!crossed.ending().join("").contains("nobody"));
}

/// The names of the operating system's threads on which `told` ran its second thread.
static CARRIERS: std::sync::Mutex<Vec<Option<String>>> = std::sync::Mutex::new(Vec::new());

/// The second thread tells on which thread it runs; then main panics.
fn told<P: Primitives>() {
    let thread = P::spawn("other", || {
        let name = std::thread::current().name().map(str::to_owned);
        CARRIERS.lock().expect("nobody panics with it").push(name);
    });
    thread.join().expect("it ends");
    panic!("told");
}

#[test]
fn threads_at_turnstiles_take_the_same_steps() {
    // Three deadlocks, each replayed with threads of the operating system; then the code differs.
    for scenario in [crossed_locks::<Stepped>, lost_wake::<Stepped>, no_wake::<Stepped>] {
        let recorded = found(scenario);
        let again = stepped::replay_on_threads(scenario, Limits::DEFAULT, &recorded);
        assert_eq!(again, Ok(recorded));
    }
    let lost = found(lost_wake::<Stepped>);
    let misfit = stepped::replay_on_threads(kept_wake::<Stepped>, Limits::DEFAULT, &lost);
    assert_eq!(misfit, stepped::replay(kept_wake::<Stepped>, Limits::DEFAULT, &lost));
    assert!(misfit.is_err());
    // The thread of the scenario has one of the operating system, with its name.
    let recorded = found(told::<Stepped>);
    let carriers = || std::mem::take(&mut *CARRIERS.lock().expect("nobody panics with it"));
    assert!(!carriers().contains(&Some("other".to_owned())), "they are coroutines");
    assert!(stepped::replay_on_threads(told::<Stepped>, Limits::DEFAULT, &recorded).is_ok());
    assert_eq!(carriers(), [Some("other".to_owned())]);
}

#[test]
fn a_thread_that_another_can_let_go_is_in_no_cycle() {
    // T0 waits for T1, T1 for T0 or T2, and T2 can go on. Once T2 waits, too, there is a cycle.
    let mut crossed = found(crossed_locks::<Stepped>);
    let end = |waits_for: &[usize]| Standing {
        what: String::new(),
        waits_for: waits_for.to_vec(),
        source: String::new(),
    };
    crossed.end = vec![end(&[1]), end(&[0, 2]), end(&[])];
    assert_eq!(crossed.cycle(), None);
    crossed.end[2] = end(&[1]);
    assert_eq!(crossed.cycle(), Some(vec![0, 1]));
}

#[test]
fn a_step_says_what_its_object_held_before_and_after() {
    // The wait leaves the word at 0, and the lock is free before it is taken.
    let lost = found(lost_wake::<Stepped>);
    let wait = lost.steps.iter().find(|step| step.operation.contains("wait")).expect("a wait");
    assert_eq!((wait.before.as_deref(), wait.after.as_deref()), (Some("0"), Some("0")));
    assert_eq!(wait.result, "sleeps");
    assert!(wait.source.contains("counterexample/tests.rs:"), "{}", wait.source);
    let crossed = found(crossed_locks::<Stepped>);
    let lock = crossed.steps.iter().find(|step| step.operation.contains("lock")).expect("a lock");
    assert_eq!((lock.before.as_deref(), lock.after.as_deref()), (Some("free"), Some("locked")));
}

#[test]
fn a_file_is_read_back_as_it_was_written() {
    // Writes the trace format, looks at its envelope, and reads it.
    let lost = found(lost_wake::<Stepped>);
    let text = written(&lost);
    assert_eq!(read(&text), Ok(lost.clone()));
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["#meta"]["format"], "ITF");
    let states = json["states"].as_array().expect("states");
    assert_eq!(states.len(), lost.steps.len() + 1);
    for (index, state) in states.iter().enumerate() {
        assert_eq!(state["#meta"]["index"], index);
        for name in json["vars"].as_array().expect("vars") {
            assert!(!state[name.as_str().expect("a name")].is_null(), "{name} in {state}");
        }
        assert!(state["objects"]["#map"].is_array());
    }
}

#[test]
fn a_file_that_is_no_counterexample_says_why() {
    // Damages one field at a time; nothing panics.
    let text = written(&found(lost_wake::<Stepped>));
    for (from, to, why) in [
        ("\"ITF\"", "\"XYZ\"", "#meta.format"),
        ("\"thread\":-1", "\"thread\":0", "states[0]"),
        ("\"thread\":1", "\"thread\":7", "is no thread"),
        ("\"waits_for\":[1]", "\"waits_for\":[9]", "#meta.end"),
        ("\"states\"", "\"state\"", "states"),
        ("\"operation\":", "\"operation\":7,\"x\":", "expected a string"),
    ] {
        assert!(text.contains(from), "{from} is in {text}");
        let error = read(&text.replace(from, to)).expect_err(from);
        assert!(error.contains(why), "{from}: {error}");
    }
    assert!(read("{}").is_err() && read("").is_err());
    let mut many = found(lost_wake::<Stepped>);
    many.threads = vec![String::new(); 257];
    assert_eq!(Counterexample::try_from(Itf::from(&many)), Err(Unreadable::TooLarge));
}

#[test]
fn a_schedule_is_run_again_until_it_no_longer_fits() {
    // The recorded schedule shows the same again. With the code changed, or the file, the step is
    // named; with a schedule that ends earlier nothing is violated yet.
    let lost = found(lost_wake::<Stepped>);
    assert_eq!(stepped::replay(lost_wake::<Stepped>, Limits::DEFAULT, &lost), Ok(lost.clone()));
    let run = |changed: &Counterexample| {
        stepped::replay(lost_wake::<Stepped>, Limits::DEFAULT, changed).expect_err("it misfits")
    };
    let moved = stepped::replay(kept_wake::<Stepped>, Limits::DEFAULT, &lost).expect_err("fixed");
    assert!(matches!(moved, Misfit::Differs { .. } | Misfit::Impossible { .. }), "{moved}");
    let mut changed = lost.clone();
    changed.steps.pop();
    assert_eq!(run(&changed), Misfit::Holds);
    changed.steps[0].operation = "another operation".to_owned();
    assert!(matches!(run(&changed), Misfit::Differs { step: 1, .. }));
    changed.steps[0].choice = "run 9".to_owned();
    assert!(matches!(run(&changed), Misfit::Impossible { step: 1, .. }));
    changed.steps[0].choice = "fly".to_owned();
    assert_eq!(run(&changed), Misfit::Choice(1));
    changed.engine = "loom".to_owned();
    assert_eq!(run(&changed), Misfit::Engine("loom".to_owned()));
}

/// A thread finds the word that main has written; a third thread has no part in that.
fn seen_word<P: Primitives>() {
    let words = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let (reader, bystander) = (words.clone(), words.clone());
    let thread = P::spawn("reader", move || assert_eq!(reader[0].load(Relaxed), 0, "it is seen"));
    let other = P::spawn("bystander", move || bystander[1].load(Relaxed));
    words[0].store(1, Relaxed);
    thread.join().expect("it ends");
    other.join().expect("it ends");
}

#[test]
fn steps_and_switches_that_a_violation_does_not_need_are_taken_away() {
    // Adds a step of a bystander to a shortest schedule, and a switch: both go again.
    let shortest = found(seen_word::<Stepped>);
    let threads = |of: &Counterexample| of.steps.iter().map(|step| step.thread).collect::<Vec<_>>();
    assert_eq!(threads(&shortest), [0, 1]);
    let bystander = Step {
        thread: 2,
        operation: "atomic 0.1 load()".to_owned(),
        object: Some("atomic 0.1".to_owned()),
        ..shortest.steps[1].clone()
    };
    let mut padded = shortest.clone();
    padded.steps.insert(1, bystander);
    let limits = Limits::DEFAULT;
    let replayed = stepped::replay(seen_word::<Stepped>, limits, &padded).expect("it fits");
    assert_eq!(threads(&replayed), [0, 2, 1]);
    let shrunk = stepped::shrink(seen_word::<Stepped>, limits, &padded).expect("it fits");
    assert_eq!(shrunk, shortest);
    // Where no step can go, switches do: both threads of a deadlock end up with their steps in a
    // row as far as the deadlock allows.
    let lost = found(lost_wake::<Stepped>);
    let shrunk = stepped::shrink(lost_wake::<Stepped>, limits, &lost).expect("it fits");
    let switches =
        |of: &Counterexample| threads(of).windows(2).filter(|two| two[0] != two[1]).count();
    assert_eq!(shrunk.steps.len(), lost.steps.len());
    assert!(switches(&shrunk) <= switches(&lost) && switches(&shrunk) == 1, "{}", table(&shrunk));
    assert_eq!((shrunk.violation.as_str(), shrunk.cycle()), ("deadlock", Some(vec![0, 1])));
}

#[test]
fn every_form_shows_every_step() {
    // Counts the steps of each form, and looks for the cycle.
    let crossed = found(crossed_locks::<Stepped>);
    let steps = crossed.steps.len();
    let table = table(&crossed);
    assert!(table.contains("T0 main") && table.contains("T1 other"), "{table}");
    assert!(table.contains(&format!("\n{steps:>4} | ")), "{table}");
    assert!(table.ends_with("cycle of waits: T0 -> T1 -> T0\n"), "{table}");
    let diagram = mermaid(&crossed);
    assert!(diagram.starts_with("sequenceDiagram\n"));
    let messages =
        diagram.lines().filter(|line| line.contains("->>") || line.contains("Note over"));
    // A note for each thread, and one for the cycle.
    assert_eq!(messages.count(), steps + crossed.threads.len() + 1, "{diagram}");
    let graph = dot(&crossed);
    for step in 1..=steps {
        assert!(graph.contains(&format!("    s{step} [label=")), "{graph}");
    }
    assert!(graph.contains("e0 -> e1 [color=red") && graph.contains("e1 -> e0 [color=red"));
    let page = html(&crossed);
    assert_eq!(page.matches("<td class=\"own\">").count(), steps);
    assert!(page.contains("<p class=\"cycle\">cycle of waits: T0 -&gt; T1 -&gt; T0</p>"));
    assert!(!page.contains("http") && !page.contains("<script"), "it needs nothing else");
    assert_eq!(page.matches("<tr class=\"end\">").count(), 1);
    // Of threads of which nothing is said, nothing is shown.
    let mut silent = crossed;
    silent.end.iter_mut().for_each(|end| end.what.clear());
    assert!(!html(&silent).contains("<tr class=\"end\">"));
}

#[test]
fn what_a_file_says_is_no_markup() {
    // Puts markup and quotes into a step, a label and the check's name.
    let mut crossed = found(crossed_locks::<Stepped>);
    crossed.steps[0].operation = "<b>\"x\"</b>; A->>B: #".to_owned();
    crossed.threads[0] = "<i>".to_owned();
    crossed.check = "<u>".to_owned();
    let page = html(&crossed);
    assert!(!page.contains("<b>") && !page.contains("<i>") && !page.contains("<u>"), "{page}");
    assert!(page.contains("&lt;b&gt;&quot;x&quot;&lt;/b&gt;"));
    assert!(dot(&crossed).contains("<b>\\\"x\\\"</b>"));
    assert!(!mermaid(&crossed).contains("A->>B"));
}
