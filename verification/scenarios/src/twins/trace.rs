//! Traces that must be refuted: those of services with a fault in their wiring.

use blocksmith::rewinder::Answer;
use blocksmith::toy::ToyBlock;
use blocksmith_sync::Primitives;

use super::services::{Fault, pair};
use crate::scenarios::trace::is_a_behaviour;

fn of_one_block<P: Primitives>(fault: Fault) {
    is_a_behaviour(|| {
        pair::<P, 1>(fault, [ToyBlock::new(1, 0, 1)], |answer, _| {
            assert!(matches!(answer, Some(Answer::Block(_))), "the block is valid");
        });
    });
}

/// R6: the worker is told that its commit is acknowledged, and answers; then it commits. Every
/// answer is right in the end, so only the trace shows it.
pub fn of_a_verdict_before_commit<P: Primitives>() {
    of_one_block::<P>(Fault::VerdictBeforeCommit);
}

/// The same pair, where the worker commits and then answers.
pub fn of_a_commit_before_verdict<P: Primitives>() {
    of_one_block::<P>(Fault::Nothing);
}
