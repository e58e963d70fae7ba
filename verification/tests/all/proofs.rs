//! The relations that are proved, against the code that runs.
//!
//! **Contract.** An instance of a relation is enumerated, and so is the code under Stepped, with its
//! hints ignored; what the code's states are in the relation's counters is compared, and so are its
//! steps. What the threads remember (an epoch, whether a look is owed) is read off their
//! operations, so a state of the code has one state of the relation.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use blocksmith_engines::stepped::{
    Action, Choice, Kind, Limits, Stand, Standing, State, Stepped, SteppedModel, Verb,
};
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::{Atomic, Primitives};
use blocksmith_verification::proofs::{Reached, Relation, all};
use blocksmith_verification::scenarios::notifier::{Shared, join};
use stateright::Model;

fn waits<const WAITERS: usize, const ITEMS: usize>() {
    let shared = Shared::<Stepped>::new(0);
    let waiters = (0..WAITERS).map(|_| {
        let shared = shared.clone();
        Stepped::spawn("waiter", move || shared.changed.wait_until(|| shared.take()))
    });
    let waiters: Vec<_> = waiters.collect();
    let notifiers = (0..ITEMS).map(|_| {
        let shared = shared.clone();
        Stepped::spawn("notifier", move || shared.put())
    });
    let notifiers: Vec<_> = notifiers.collect();
    notifiers.into_iter().for_each(join);
    waiters.into_iter().for_each(join);
}

/// One thread publishes two items at once, and notifies two.
fn waits_for_a_batch() {
    let shared = Shared::<Stepped>::new(0);
    let waiters = [(); 2].map(|()| {
        let shared = shared.clone();
        Stepped::spawn("waiter", move || shared.changed.wait_until(|| shared.take()))
    });
    let other = shared.clone();
    let notifier = Stepped::spawn("notifier", move || {
        other.count.fetch_add(2, Relaxed);
        other.changed.notify_many(2);
    });
    join(notifier);
    waiters.into_iter().for_each(join);
}

/// What a thread of the scenario remembers.
#[derive(Clone, Copy, Default)]
struct Memory {
    epoch: u64,
    is_registered: bool,
    has_waited: bool,
    owes_a_look: bool,
    /// Of a notification: how many it has claimed.
    claimed: u64,
}

/// The value of an object of the scenario.
fn word(standing: &Standing, kind: Kind, nth: usize) -> u64 {
    let of_kind = standing.values.iter().filter(|(name, _)| name.kind == kind);
    of_kind.map(|(_, value)| *value).nth(nth).expect("a thread holds it")
}

const SLEEPER: u64 = 1 << 20;

/// Which of the two integers an operation is on: `waiters` or the count of items.
fn is_on_waiters(standing: &Standing, stand: Stand) -> bool {
    let Stand::Before(operation) = stand else { return false };
    let mut atomics = standing.values.keys().filter(|name| name.kind == Kind::Atomic);
    operation.name.is_some() && operation.name == atomics.next().copied()
}

/// What a thread remembers after a step that it has taken.
fn after(memory: Memory, thread: usize, before: &Standing, then: &Standing) -> Memory {
    let (stand, next) = (before.threads[thread].1, then.threads[thread].1);
    let Stand::Before(operation) = stand else {
        return Memory { has_waited: memory.has_waited | memory.is_registered, ..memory };
    };
    let mut memory = memory;
    let on_waiters = is_on_waiters(before, stand);
    let changed = word(before, Kind::Atomic, 0) != word(then, Kind::Atomic, 0);
    let is_waiter = &*before.threads[thread].0 == "waiter";
    match operation.verb {
        Verb::Load if operation.name.is_some_and(|name| name.kind == Kind::Futex) => {
            if memory.is_registered {
                // The look at the epoch before a sleep, which may find that it has moved.
                memory.has_waited |= word(before, Kind::Futex, 0) != memory.epoch;
            } else {
                memory.epoch = word(before, Kind::Futex, 0);
            }
        }
        Verb::FetchAdd if on_waiters => memory.is_registered = true,
        Verb::Wait => memory.has_waited |= !matches!(next, Stand::Asleep(_)),
        Verb::CompareExchange if on_waiters && changed && is_waiter => {
            let owes_a_look = memory.has_waited;
            memory = Memory { owes_a_look, epoch: memory.epoch, ..Memory::default() };
        }
        Verb::CompareExchange if on_waiters && changed => {
            memory.claimed = operation.a / SLEEPER - operation.b / SLEEPER;
        }
        _ => {}
    }
    // A look that finds nothing is followed by the reading of the epoch.
    let reads_epoch = matches!(next, Stand::Before(operation)
        if operation.verb == Verb::Load && operation.name.is_some_and(|n| n.kind == Kind::Futex));
    if reads_epoch && !memory.is_registered {
        memory.owes_a_look = false;
    }
    memory
}

/// What all threads remember after a step of one of them, which may have woken others.
fn remember(memories: &mut [Memory], thread: usize, before: &Standing, then: &Standing) {
    memories[thread] = after(memories[thread], thread, before, then);
    let sleeps =
        |standing: &Standing, thread: usize| matches!(standing.threads[thread].1, Stand::Asleep(_));
    for (other, memory) in memories.iter_mut().enumerate() {
        memory.has_waited |= sleeps(before, other) && !sleeps(then, other);
    }
}

/// The counter of the relation that a thread is counted by, and how often.
fn place(
    standing: &Standing,
    thread: usize,
    memory: Memory,
    batch: u64,
) -> Option<(&'static str, u64)> {
    let (label, stand) = &standing.threads[thread];
    let is_old = memory.epoch != word(standing, Kind::Futex, 0);
    let aged = |now, old| Some((if is_old { old } else { now }, 1));
    if &**label == "notifier" {
        return match stand {
            Stand::Ended => None,
            Stand::New => Some(("X", batch)),
            Stand::Asleep(_) => panic!("a notification sleeps"),
            Stand::Before(operation) => match operation.verb {
                Verb::FetchAdd if operation.name.is_some_and(|n| n.kind == Kind::Futex) => {
                    Some(("C", memory.claimed))
                }
                Verb::FetchAdd => Some(("X", batch)),
                Verb::Load | Verb::CompareExchange => Some(("P", batch)),
                Verb::Wake => Some(("M", batch)),
                verb => panic!("a notification is before {verb:?}"),
            },
        };
    }
    if &**label != "waiter" {
        return None;
    }
    match stand {
        Stand::Ended => None,
        Stand::New if !memory.is_registered => Some(("I", 1)),
        // It has been woken, and has not gone on yet.
        Stand::New => Some(("EO", 1)),
        Stand::Asleep(_) => aged("A", "Ao"),
        Stand::Before(operation) => {
            let on_epoch = operation.name.is_some_and(|name| name.kind == Kind::Futex);
            match operation.verb {
                _ if on_epoch && memory.has_waited => Some(("EO", 1)),
                Verb::Load if on_epoch && !memory.is_registered => Some(("L", 1)),
                Verb::Load | Verb::Wait if on_epoch => aged("W", "Wo"),
                Verb::FetchAdd => aged("R", "Ro"),
                Verb::CompareExchange if is_on_waiters(standing, *stand) => {
                    Some((if memory.has_waited { "EO" } else { "E" }, 1))
                }
                Verb::Load | Verb::CompareExchange if memory.is_registered => aged("G", "Go"),
                Verb::Load | Verb::CompareExchange if memory.owes_a_look => Some(("IO", 1)),
                Verb::Load | Verb::CompareExchange => Some(("I", 1)),
                verb => panic!("a waiter is before {verb:?}"),
            }
        }
    }
}

/// A state of the code in the counters of the relation.
fn projected(
    relation: &Relation,
    standing: &Standing,
    memories: &[Memory],
    batch: u64,
) -> Vec<i64> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (thread, memory) in memories.iter().enumerate() {
        if let Some((name, count)) = place(standing, thread, *memory, batch) {
            *counts.entry(name).or_default() += count;
        }
    }
    let waiters = word(standing, Kind::Atomic, 0);
    counts.insert("n", word(standing, Kind::Atomic, 1));
    counts.insert("s", waiters / SLEEPER);
    counts.insert("w", waiters % SLEEPER);
    let value = |name| counts.get(name).copied().unwrap_or(0);
    relation.names().map(|name| i64::try_from(value(name)).expect("a small number")).collect()
}

/// Enumerates the code, and returns its states and steps in the counters of the relation.
fn of_the_code(relation: &Relation, scenario: fn(), batch: u64) -> Reached {
    let limits = Limits { hints: false, max_states: usize::MAX, ..Limits::DEFAULT };
    let model = SteppedModel::new(scenario, limits);
    let mut reached = Reached::default();
    let mut seen: HashMap<State, Vec<i64>> = HashMap::new();
    let mut queue: VecDeque<(State, Vec<Memory>)> = VecDeque::new();
    for state in model.init_states() {
        let standing = state.standing();
        let memories = vec![Memory::default(); standing.threads.len()];
        let here = projected(relation, &standing, &memories, batch);
        reached.states.insert(here.clone());
        seen.insert(state.clone(), here);
        queue.push_back((state, memories));
    }
    while let Some((state, memories)) = queue.pop_front() {
        let (standing, here) = (state.standing(), seen[&state].clone());
        let mut actions: Vec<Action> = Vec::new();
        model.actions(&state, &mut actions);
        for action in actions {
            assert!(matches!(action.step.choice, Choice::Run(_)), "{action:?}");
            let thread = usize::from(action.step.thread);
            let next = model.next_state(&state, action).expect("it is possible");
            let then = next.standing();
            assert_eq!(then.threads.len(), memories.len(), "all threads are there at first");
            let mut later = memories.clone();
            let mut there = here.clone();
            // At the end, the last thread drops the objects.
            if !then.values.is_empty() {
                remember(&mut later, thread, &standing, &then);
                there = projected(relation, &then, &later, batch);
            }
            if here != there {
                reached.steps.insert((here.clone(), there.clone()));
            }
            match seen.get(&next) {
                Some(known) => assert_eq!(*known, there, "one state, two projections"),
                None => {
                    reached.states.insert(there.clone());
                    seen.insert(next.clone(), there);
                    queue.push_back((next, later));
                }
            }
        }
    }
    println!("{} states of the code", seen.len());
    reached
}

/// Returns the relation of a notification of one.
fn notify_one() -> Relation {
    let relation = all().into_iter().find(|relation| relation.name == "notifier");
    let relation = relation.expect("it is there");
    let one = |relation: Relation, step, condition| {
        relation.restricted(step, condition).expect("it is a step")
    };
    let relation = one(relation, "publish", "k = 1");
    let relation = one(relation, "claim", "c = 1 and k = 1");
    one(relation, "move the epoch", "c = 1 and more = 0")
}

/// Says what is in one of two sets only, at most three of each.
fn differences<T: Ord + std::fmt::Debug>(
    code: &BTreeSet<T>,
    relation: &BTreeSet<T>,
) -> Vec<String> {
    let code_only = code.difference(relation).take(3).map(|it| format!("code only: {it:?}"));
    let others = relation.difference(code).take(3).map(|it| format!("relation only: {it:?}"));
    code_only.chain(others).collect()
}

fn first(relation: &Relation, waiters: i64, items: i64) -> Vec<i64> {
    let number = |name| match name {
        "I" => waiters,
        "X" => items,
        _ => 0,
    };
    relation.names().map(number).collect()
}

#[test]
fn the_notifier_has_the_states_and_steps_of_its_relation() {
    for (waiters, items, scenario) in
        [(1, 1, waits::<1, 1> as fn()), (2, 1, waits::<2, 1>), (1, 2, waits::<1, 2>)]
    {
        let relation = notify_one();
        let specified = relation.reach(first(&relation, waiters, items)).expect("nothing breaks");
        let code = of_the_code(&relation, scenario, 1);
        let names: Vec<&str> = relation.names().collect();
        let differ = differences(&code.states, &specified.states);
        assert!(differ.is_empty(), "{waiters} {items} {names:?}: {differ:#?}");
        let differ = differences(&code.steps, &specified.steps);
        assert!(differ.is_empty(), "{waiters} {items} {names:?}: {differ:#?}");
        println!(
            "{waiters} waiters, {items} items: {} states, {} steps, of both",
            code.states.len(),
            code.steps.len()
        );
    }
}

#[test]
fn a_batch_has_no_state_that_its_relation_has_not() {
    let relation = all().into_iter().find(|it| it.name == "notifier").expect("it is there");
    let specified = relation.reach(first(&relation, 2, 2)).expect("nothing breaks");
    let code = of_the_code(&relation, waits_for_a_batch, 2);
    let extra: Vec<_> = code.states.difference(&specified.states).take(3).collect();
    let names: Vec<&str> = relation.names().collect();
    assert!(extra.is_empty(), "{names:?} {extra:?}");
    assert!(code.states.len() > 100, "{}", code.states.len());
}
