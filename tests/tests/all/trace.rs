//! Traces of the recorded chain through the services on real threads: each is a behaviour of the
//! specification, also where services panic.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use blocksmith::Anchor;
use blocksmith::store::Store;
use blocksmith::trace::Step;
use blocksmith_conformance::replay::{Inject, Options, Pace, Stage, replay};
use blocksmith_conformance::{Protocol, State};
use blocksmith_consensus::ChainConfig;
use blocksmith_models::trace::{Judge, Listener, Summary};
use blocksmith_node::recording::{Folder, Recording};
use blocksmith_node::store::RedbStore;

use crate::here;

/// The judge of the trace that is being told, and the first step that it refuses.
static TOLD: Mutex<Option<(Judge, Option<String>)>> = Mutex::new(None);

/// Judges a step as it is told.
fn judge(step: Step) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((judge, refused @ None)) = told.as_mut() {
        *refused = judge.step(&step).err().map(|refusal| format!("{refusal}: {step:?}"));
    }
}

/// Replays the recorded chain, and returns what its trace has, once that is judged.
fn judged(recording: &Arc<Recording>, pace: Pace, faults: &[&str], stored: bool) -> Summary {
    *TOLD.lock().unwrap_or_else(PoisonError::into_inner) = Some((Judge::default(), None));
    let consensus = Arc::new(Protocol::new(recording.preset, ChainConfig::minimal()));
    let state = State::from_ssz_bytes(recording.preset, &recording.genesis).expect("a state");
    let anchor = Anchor { root: recording.genesis_block_root, slot: 0, state };
    let folder = tempfile::tempdir().expect("a folder");
    let store = stored.then(|| {
        let store = RedbStore::open(folder.path(), consensus.clone(), &anchor.root);
        Box::new(store.expect("a new store")) as Box<dyn Store<Protocol>>
    });
    let faults: Vec<Inject> = faults.iter().map(|one| one.parse().expect("a fault")).collect();
    let options = Options { pace, workers: 2, faults, deadline: Duration::from_secs(60) };
    let (stage, progress) = (Stage::default(), Box::new(|_| ()));
    let outcome = replay(recording, consensus, anchor, &options, store, None, &stage, progress);
    let outcome = outcome.expect("a whole replay");
    assert!(outcome.mismatches.is_empty(), "{pace}: {outcome}");
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (judge, refused) = told.expect("it was put there above");
    assert_eq!(refused, None, "{pace}, {:?}", options.faults);
    assert_eq!(judge.lacks(), None, "{pace}, {:?}", options.faults);
    judge.summary()
}

#[test]
fn the_trace_of_a_replay_is_a_behaviour_at_every_pace_and_with_panics() {
    // Replays the recorded chain in ten ways, one after the other, each with its trace judged.
    assert!(Listener::new(judge).install(), "something else listens");
    let recording = Recording::load(&Folder(here("chain"))).expect("the recorded chain");
    let recording = Arc::new(recording);
    for (pace, faults, stored) in [
        (Pace::Lockstep, &[][..], false),
        (Pace::Flood, &[][..], false),
        (Pace::Race, &[][..], false),
        (Pace::Lockstep, &[][..], true),
        (Pace::Race, &[][..], true),
        (Pace::Flood, &["quarantine:panic/7"][..], false),
        (Pace::Flood, &["rewinder:panic/11"][..], true),
        (Pace::Lockstep, &["clearance:panic/13"][..], false),
        (Pace::Flood, &["hot_db:panic/9"][..], true),
        (Pace::Race, &["quarantine:panic/23", "rewinder:panic/29", "hot_db:panic/31"][..], false),
    ] {
        let summary = judged(&recording, pace, faults, stored);
        println!("{pace} {faults:?}: {summary:?}");
        assert_eq!(summary.instances, 1);
        assert!(summary.blocks > 40 && summary.submissions > 100, "{summary:?}");
        let gave_up = !faults.is_empty();
        assert!(summary.verdicts == summary.submissions || gave_up, "{summary:?}");
    }
}
