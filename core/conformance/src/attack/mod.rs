//! Attacks on the services, with honest traffic beside them, for growing sizes.
//!
//! **Contract.** [`run`] plays each attack at each size, by each number of peers. The same honest
//! traffic runs twice, each time through services of its own: first alone, then beside the attack.
//! A row says what the attack adds: slots, replayed blocks and CPU time; it says how long honest
//! items took, quiet and under attack, how many of them were not accepted in time, and how many
//! submissions have no verdict at the end. The last number has to be 0, and no attack may have more
//! honest items dropped than are dropped without it. An honest item that is dropped counts with its
//! whole deadline. Everything is built here, in the minimal preset with real keys and signatures,
//! and is the same in every run; times differ.
//!
//! A second verdict cannot be seen from here, as a submission takes one. The steps of a trace would
//! show it ([`blocksmith::trace`]).
//!
//! | file | what is there |
//! |---|---|
//! | [`Attack`] | the attacks by name |
//! | `chain` | chains with histories, branches and honest slots |
//! | `plan`, `play` | what an attacker does; one run, and what came of it |
//! | `forged`, `held`, `clock` | the attacks' plans |
//! | `tree`, `pipeline` | the rows without an attacker |
//! | `stage` | which scene belongs to which attack, and what a row says of it |
//! | `rounds` | the row of several rounds |
//! | [`Growth`], [`svg`], [`Report`] | fitted growth, curves, the table |
//!
//! **Bounds.** A round takes about as long as [`Options::time`] twice, at most, beside what its
//! chain takes to build and import; a row takes [`Options::rounds`] of them. Items are at most
//! [`MAX_ITEMS`] a row.

mod catalogue;
mod chain;
mod clock;
mod fit;
mod forged;
mod held;
mod pipeline;
mod plan;
mod play;
mod report;
mod rounds;
mod stage;
pub mod svg;
mod tree;

#[cfg(test)]
mod tests;

use std::time::Duration;

use blocksmith::StartError;
use thiserror::Error;

pub use catalogue::Attack;
pub use chain::{MAX_BRANCHES, MAX_SLOTS};
pub use fit::{Growth, fit};
pub use report::{Fit, Honest, Report, Row};
pub use rounds::Overhead;
use stage::Stages;

/// The most items of an attack.
pub const MAX_ITEMS: u64 = 1 << 16;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The attacks, in this order.
    pub attacks: Vec<Attack>,
    /// The sizes, ascending, each 1 to [`MAX_ITEMS`]; if there are none, each attack has its own.
    pub sizes: Vec<u64>,
    /// How many peers attack, each at least 1. Attacks for which the number makes no difference
    /// are run with the first one only.
    pub peers: Vec<u64>,
    /// General Rewinder workers, at least 1.
    pub workers: usize,
    /// How long the honest slots of a run may take.
    pub time: Duration,
    /// Slots of the long chain, at most [`MAX_SLOTS`].
    pub chain: u64,
    /// Its branches, at most [`MAX_BRANCHES`].
    pub branches: u64,
    /// Whether an attack that is not given a size is run at its own smallest one only.
    pub smallest: bool,
    /// How often each row is measured, at least once. The row is that of the median round, with the
    /// worst of what must not happen.
    pub rounds: usize,
}

/// Why an attack could not be run.
#[derive(Debug, Error)]
pub enum AttackError {
    /// The services did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A block of the history was not accepted, though nobody attacks yet.
    #[error("the history's block at slot {slot} was answered: {answer}")]
    History {
        /// The block's slot.
        slot: u64,
        /// The reason, in one word.
        answer: &'static str,
    },
}

/// Runs the attacks. `progress` is called before each row with its attack, size and peers, and with
/// how many rows have been done and how many there are.
///
/// # Errors
/// If the services do not start, or do not take a valid history.
pub fn run(
    options: &Options,
    mut progress: impl FnMut(Attack, u64, u64, usize, usize),
) -> Result<Report, AttackError> {
    let mut rows = Vec::new();
    for attack in &options.attacks {
        let sizes = match (options.sizes.as_slice(), options.smallest) {
            ([], true) => &attack.sizes()[..1],
            ([], false) => attack.sizes(),
            (given, _) => given,
        };
        let peers = if attack.is_by_peers() { &options.peers[..] } else { &options.peers[..1] };
        for n in sizes {
            rows.extend(peers.iter().map(|peers| (*attack, *n, *peers)));
        }
    }
    let mut stages = Stages::new(options);
    let mut report = Report::default();
    let count = rows.len();
    for (done, (attack, n, peers)) in rows.into_iter().enumerate() {
        progress(attack, n, peers, done, count);
        let round = |_| stages.row(attack, n, peers);
        let rounds = (0..options.rounds.max(1)).map(round).collect::<Result<_, _>>()?;
        report.rows.push(rounds::median(rounds));
    }
    Ok(report)
}
