//! A batch: attestations and gossip votes of one target, verified in bounded steps with the
//! committees of that target.
//!
//! No duty and no block waits for a whole batch: between two steps the worker gives way to them.
//! And no batch costs much more than its members alone, however many of them are forged (hazard
//! A10).
//!
//! - S1 The first step verifies at most [`FIRST_STEP`] jobs. The next one may be twice as large, up
//!   to [`LARGEST_STEP`].
//! - S2 Once a quarter of a step has failed, or a quarter of what has been verified of the batch,
//!   the next step verifies at most [`SMALL_STEP`] jobs, each alone: a forged vote then spoils no
//!   product of signatures. The step after that starts to grow again if neither holds any more.
//! - S3 A job's answer leaves with its step. So what is left of a batch has no verdict, and a stop
//!   can refuse it.

use std::collections::VecDeque;

use crate::consensus::Consensus;
use crate::hot_db::CommitteesAt;
use crate::rewinder::gossip;
use crate::rewinder::worker::{Answer, Job};

/// Most jobs of a batch's first step.
pub(super) const FIRST_STEP: usize = 8;
/// Most jobs of any step.
pub(super) const LARGEST_STEP: usize = 16;
/// Most jobs of a step after one in which too many have failed.
pub(super) const SMALL_STEP: usize = 4;

/// A batch that is being verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batch<C: Consensus> {
    committees: CommitteesAt<C>,
    /// What is left, at least one until the last step is done.
    jobs: VecDeque<Job<C>>,
    pace: Pace,
}

impl<C: Consensus> Batch<C> {
    /// `jobs` are attestations and gossip votes of the target of `committees`.
    pub(super) fn new(committees: CommitteesAt<C>, jobs: Vec<Job<C>>) -> Self {
        Self { committees, jobs: jobs.into(), pace: Pace::default() }
    }

    /// Returns how many jobs are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.jobs.len()
    }

    /// Verifies the next jobs (S1, S2). Returns their answers, in order.
    pub(super) fn step(&mut self, consensus: &C) -> Vec<Answer<C>> {
        let count = self.pace.step.min(self.jobs.len());
        let jobs: Vec<_> = self.jobs.drain(..count).collect();
        let committees = &self.committees.committees;
        let answers = if self.pace.alone {
            let one = |job| gossip::verify(consensus, committees, vec![job]);
            jobs.into_iter().flat_map(one).collect()
        } else {
            gossip::verify(consensus, committees, jobs)
        };
        let failed =
            |answer: &&Answer<C>| matches!(answer, Answer::Invalid(_) | Answer::InvalidVote { .. });
        self.pace.passed(answers.len(), answers.iter().filter(failed).count());
        answers
    }
}

/// How large the next step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pace {
    /// Most jobs of the next step.
    step: usize,
    /// Whether they are verified each alone.
    alone: bool,
    /// Jobs that have been verified, and those of them that have failed.
    verified: usize,
    failed: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { step: FIRST_STEP, alone: false, verified: 0, failed: 0 }
    }
}

impl Pace {
    /// Takes in a step in which `failed` of `verified` jobs have failed.
    fn passed(&mut self, verified: usize, failed: usize) {
        self.verified += verified;
        self.failed += failed;
        let a_quarter = |failed: usize, of: usize| failed > 0 && 4 * failed >= of;
        self.alone = a_quarter(failed, verified) || a_quarter(self.failed, self.verified);
        self.step = if self.alone { SMALL_STEP } else { LARGEST_STEP.min(2 * self.step) };
    }
}
