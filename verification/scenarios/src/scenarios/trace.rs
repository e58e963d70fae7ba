//! Scenarios of the running services whose traces are judged: each execution ends with the question
//! whether its trace is a behaviour of the specification (`blocksmith_models::trace`).
//!
//! **How.** The steps are those that `steps` hears. On real threads there are none; there the
//! traces of `blocksmith replay` are judged.

use std::sync::Arc;
use std::time::Duration;

use blocksmith::toy::{Toy, ToyBlock, ToyState};
use blocksmith::{Anchor, Blocksmith};
use blocksmith_models::hazard;
use blocksmith_models::trace::{Judge, Refusal};
use blocksmith_sync::Primitives;

use super::services::smallest;
use super::{Row, preemptions, steps};
use crate::row;
use blocksmith_engines::shuttle::ShuttleBounds;

/// Runs `body` and asserts that the trace of what it does is a behaviour, and whole.
pub(crate) fn is_a_behaviour(body: impl FnOnce()) {
    let steps = steps::of(body);
    let mut judge = Judge::default();
    for (place, step) in steps.iter().enumerate() {
        match judge.step(step) {
            Ok(()) => {}
            Err(Refusal::Refuted { rule, why }) => panic!(
                "the trace is refuted by \"{rule}\": {why}, at step {place}: {} {}: {} -> {:?}",
                step.service, step.thread, step.event, step.effects
            ),
            Err(Refusal::Unreadable { field, why }) => panic!("step {place}: {field}: {why}"),
        }
    }
    if let Some(what) = judge.lacks() {
        panic!("the trace lacks {what}, after {} steps", steps.len());
    }
}

fn start<P: Primitives>() -> Blocksmith<P, Toy> {
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    match Blocksmith::start(smallest(), Arc::new(Toy::default()), anchor) {
        Ok((services, notices)) => {
            // Nobody reads the notices.
            drop(notices);
            services.client().tick(10, Duration::ZERO);
            services
        }
        Err(error) => panic!("the sizes are not zero: {error}"),
    }
}

/// A client submits a valid block and stops the services.
pub fn of_one_block<P: Primitives>() {
    is_a_behaviour(|| {
        let services = start::<P>();
        let block = services.client().submit_block(ToyBlock::new(1, 0, 1), 0, 1);
        assert_eq!(block.wait().class(), "valid");
        services.stop();
    });
}

/// A child comes before its parent, then a copy of it and an invalid block, and the stop meets an
/// orphan.
pub fn of_a_short_life<P: Primitives>() {
    is_a_behaviour(|| {
        let services = start::<P>();
        let blocks = [
            ToyBlock::new(2, 1, 2),
            ToyBlock::new(1, 0, 1),
            ToyBlock::new(2, 1, 2),
            ToyBlock::new(3, 1, 3).invalid(),
        ];
        let submissions = blocks.map(|block| services.client().submit_block(block, 0, 1));
        let orphan = services.client().submit_block(ToyBlock::new(9, 8, 4), 0, 1);
        for submission in submissions {
            assert_ne!(submission.wait().class(), "dropped");
        }
        services.stop();
        assert_eq!(orphan.wait().reason(), "shutdown");
    });
}

/// A block waits for its parent when the services stop.
pub fn of_a_stop<P: Primitives>() {
    is_a_behaviour(|| {
        let services = start::<P>();
        let orphan = services.client().submit_block(ToyBlock::new(2, 1, 1), 0, 1);
        services.stop();
        assert_eq!(orphan.wait().reason(), "shutdown");
    });
}

/// The schedules of one scenario under shuttle.
const SAMPLE: Option<ShuttleBounds> = Some(ShuttleBounds::iterations(2_000));

/// Returns the scenarios of this module. loom's bounds are those of the same scenarios among
/// `services`.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            trace::of_one_block,
            "the trace of a block that is judged, committed and cleared is a behaviour of the \
             specification", Some(&hazard::R6),
            threads: 5, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: None,
        },
        row! {
            trace::of_a_stop,
            "the trace of a stop that meets a waiting block is a behaviour of the specification",
            Some(&hazard::Q10),
            threads: 5, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: None,
        },
        row! {
            trace::of_a_short_life,
            "the trace of a child before its parent, a copy, an invalid block and the stop is a \
             behaviour of the specification", Some(&hazard::Q1),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: None,
        },
    ]
}
