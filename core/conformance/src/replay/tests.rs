//! What a replay leaves on the stage.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use blocksmith::Anchor;
use blocksmith::consensus::Consensus;
use blocksmith_consensus::ChainConfig;
use blocksmith_node::metrics::Kind;
use blocksmith_node::recording::{Arrival, Folder, Recording};

use super::{Options, Pace, Stage, replay};
use crate::protocol::{Protocol, State};

#[test]
fn every_item_that_is_submitted_has_the_time_to_its_verdict_counted_once() {
    // At each pace, and with panics that have items handed in again: those have two verdicts.
    // Bytes that do not decode are not submitted; what waits at the end gets its verdict at the
    // stop.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/chain");
    let recording = Arc::new(Recording::load(&Folder(folder)).expect("the recorded chain"));
    let consensus = Arc::new(Protocol::new(recording.preset, ChainConfig::minimal()));
    let state = State::from_ssz_bytes(recording.preset, &recording.genesis).expect("a state");
    let decodes = |arrival: &Arrival| match arrival {
        Arrival::Block(bytes) => consensus.decode_block(bytes).is_ok(),
        Arrival::Attestation(bytes) => consensus.decode_attestation(bytes).is_ok(),
        Arrival::Tick { .. } => false,
    };
    let submitted = recording.events.iter().filter(|event| decodes(&event.arrival)).count();
    assert!(submitted > 100 && submitted < recording.events.len());
    let panics = vec!["quarantine:panic/7".parse().expect("a fault")];
    for (pace, faults) in [
        (Pace::Lockstep, Vec::new()),
        (Pace::Flood, Vec::new()),
        (Pace::Race, Vec::new()),
        (Pace::Flood, panics),
    ] {
        let insists = !faults.is_empty();
        let options = Options { pace, workers: 2, faults, deadline: Duration::from_secs(5) };
        let anchor = Anchor { root: recording.genesis_block_root, slot: 0, state: state.clone() };
        let stage = Stage::default();
        let outcome = replay(
            &recording,
            consensus.clone(),
            anchor,
            &options,
            None,
            None,
            &stage,
            Box::new(|_| ()),
        );
        let outcome = outcome.expect("a whole replay");
        assert_eq!(outcome.resubmitted > 0, insists, "{pace}");
        let timed: u64 = Kind::ALL.iter().map(|kind| stage.times().count(*kind)).sum();
        assert_eq!(timed, (submitted + outcome.resubmitted) as u64, "{pace}");
        assert!(Kind::ALL.iter().all(|kind| stage.times().count(*kind) > 0), "{pace}");
    }
}
