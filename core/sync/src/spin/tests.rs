//! Tests of how long a wait looks: they count looks and pauses, and measure no time.

use super::*;
use crate::scripted::{Scripted, script};

fn fresh() -> Budget {
    Budget::new(Patience::new().0.into_inner())
}

#[test]
fn looks_that_find_something_are_worth_more() {
    let budget = (0..100).fold(fresh(), |budget, _| budget.paused(40));
    assert!((100..=160).contains(&budget.pauses), "{}: four times 40", budget.pauses);
    let budget = (0..100).fold(budget, |budget, _| budget.paused(u32::from(u16::MAX)));
    assert_eq!(budget.pauses, Budget::PAUSES.1);
    assert_eq!(Budget::new(budget.word()).word(), budget.word());
}

#[test]
fn looks_in_vain_are_worth_less_and_a_trial_is_rare() {
    let mut budget = Budget { pauses: Budget::PAUSES.1, ..fresh() };
    for wait in 1..RARE {
        budget = Budget::new(budget.missed().word());
        assert!(budget.pauses < Budget::PAUSES.1, "a trial after {wait}");
    }
    assert_eq!((budget.pauses, budget.steps), (Budget::PAUSES.0, Budget::STEPS.0));
    let trial = budget.missed();
    assert_eq!((trial.pauses, trial.steps), (Budget::PAUSES.1, Budget::STEPS.1));
    assert_eq!(trial.stepped().steps, Budget::STEPS.1);
}

/// Where pauses found nothing, a quarter of them is not spent again, whether a step aside found
/// something or not. A step that did is worth the most steps; waits in vain are counted on.
#[test]
fn pauses_in_vain_are_worth_a_quarter_less() {
    let budget = Budget { pauses: 400, steps: 10, misses: 7 };
    let Budget { pauses, steps, misses } = budget.missed();
    assert_eq!((pauses, steps, misses), (300, 9, 8));
    let Budget { pauses, steps, misses } = budget.stepped();
    assert_eq!((pauses, steps, misses), (300, Budget::STEPS.1, 7));
    let least = Budget { pauses: Budget::PAUSES.0, ..budget };
    assert_eq!(least.stepped().pauses, Budget::PAUSES.0);
}

/// A wait in which the look number `found` finds something. `short_steps` steps aside are short.
/// Returns how often it looked, and whether it found something.
fn wait(patience: &Patience, found: u32, short_steps: u32) -> (u32, bool) {
    script(|script| {
        script.looks.set(true);
        script.short_steps.set(short_steps);
    });
    let mut looks = 0;
    let result = patience.look_again::<Scripted, _>(|| {
        looks += 1;
        (looks == found).then_some(())
    });
    script(|script| script.looks.set(false));
    (looks, result.is_some())
}

fn budget(patience: &Patience) -> (u32, u32, u32) {
    let Budget { pauses, steps, misses } = Budget::new(patience.0.load(Relaxed));
    (pauses, steps, misses)
}

/// The pauses between two looks are 1, 2, 4, .. 64, 64, ..; a wait ends as soon as it has spent its
/// pauses, and has taken its steps aside or one that was long.
#[test]
fn a_wait_looks_no_longer_than_its_patience() {
    const NEVER: u32 = 0;
    let with = |pauses, steps| Patience(AtomicU32::new(Budget { pauses, steps, misses: 0 }.word()));
    for (pauses, looks) in [(1, 1), (2, 2), (3, 2), (4, 3), (31, 5), (32, 6), (127, 7), (512, 14)] {
        assert_eq!(wait(&with(pauses, 8), NEVER, 0), (looks, false), "{pauses} pauses");
        assert_eq!(wait(&with(pauses, 8), NEVER, 3), (looks + 3, false), "{pauses} pauses");
        assert_eq!(wait(&with(pauses, 8), NEVER, 99), (looks + 8, false), "{pauses} pauses");
    }
}

/// What a wait was worth decides how long the next one at the same place looks.
#[test]
fn a_wait_learns_from_the_one_before() {
    let patience = Patience(AtomicU32::new(Budget { pauses: 400, steps: 10, misses: 7 }.word()));
    assert_eq!((wait(&patience, 2, 0), budget(&patience)), ((2, true), (352, 10, 7)));
    assert_eq!((wait(&patience, 0, 0), budget(&patience)), ((11, false), (264, 9, 8)));
    assert_eq!((wait(&patience, 11, 1), budget(&patience)), ((11, true), (198, 32, 8)));
}

/// On one core, and in checkers, nothing changes while a thread looks.
#[test]
fn where_looks_are_of_no_use_there_are_none() {
    let patience = Patience::new();
    let before = budget(&patience);
    let found = patience.look_again::<Scripted, ()>(|| panic!("it looked"));
    assert_eq!((found, budget(&patience)), (None, before));
    let pace = Pace::default();
    assert!((0..2 * u64::from(TRIAL)).all(|wait| !pace.pause::<Scripted>(8, 100 * wait)));
}

/// Waits at a channel of `capacity` items, between each two of which some items pass. Returns how
/// long the pause was in each, 0 if there was none.
fn pauses(pace: &Pace, capacity: usize, between: impl IntoIterator<Item = u64>) -> Vec<u32> {
    let mut passed = pace.passed.load(Relaxed);
    script(|script| script.looks.set(true));
    let pause = |items: u64| {
        passed += items;
        let paused = pace.pause::<Scripted>(capacity, passed);
        if paused { pace.pauses.load(Relaxed) } else { 0 }
    };
    let pauses = between.into_iter().map(pause).collect();
    script(|script| script.looks.set(false));
    pauses
}

/// Up to three items between two waits are no stream; four are.
#[test]
fn items_that_come_one_by_one_are_not_delayed() {
    let pace = Pace::default();
    assert_eq!(pauses(&pace, 100, [0, 1, 2, 3, 1]), [0; 5]);
    assert_eq!(pauses(&pace, 100, [4, 3]), [SHORTEST_PAUSE, 0]);
}

/// A stream that is looked at too often is found by a trial, which is rare and short, however long
/// the last pause was.
#[test]
fn a_trial_is_rare_and_short() {
    let pace = Pace::default();
    let waits = pauses(&pace, 100, (1..=2 * TRIAL).map(|_| 1));
    let trials = (1..=2 * TRIAL).map(|wait| if wait % TRIAL == 0 { SHORTEST_PAUSE } else { 0 });
    assert!(waits.into_iter().eq(trials));
    let stream = pauses(&pace, 100, (1..TRIAL).map(|_| 10));
    assert_eq!(stream.last(), Some(&LONGEST_PAUSE));
    assert_eq!(pauses(&pace, 100, [1]), [SHORTEST_PAUSE]);
}

/// A pause doubles while less than half of the capacity comes through, up to a bound, and halves
/// while more than twice as much does, down to a bound. In between it stays.
#[test]
fn a_pause_lets_about_the_capacity_through() {
    for capacity in [20, 100, 1000] {
        let pace = Pace::default();
        let paused = |items| pauses(&pace, capacity as usize, [items; 4]);
        let (few, half, twice) = (capacity / 2 - 1, capacity / 2, 2 * capacity);
        assert_eq!(paused(half), [64; 4], "a stream begins with the shortest");
        assert_eq!(paused(few), [128, 256, 512, 512]);
        assert_eq!([paused(half), paused(twice)], [[512; 4]; 2]);
        assert_eq!(paused(twice + 1), [256, 128, 64, 64]);
        assert_eq!(paused(STREAM), [128, 256, 512, 512]);
    }
}
