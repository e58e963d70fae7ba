//! The durable store: Clearance, HotDB and ColdDB with their shells, and a crash between any two
//! writes.
//!
//! A history of ticks and blocks is taken in, in its order; one block finalises another, and a
//! branch dies. At any moment the ColdDB commits what it has gathered, or gets the state that it
//! has asked for, or the disk is full for one commit, or the process crashes: then the store has a
//! prefix of the writes of the commit under way. The restart rebuilds the machines from the store
//! by core's own recovery, and the whole history comes again.
//!
//! | property | meaning |
//! |---|---|
//! | every restart resumes | no restart finds a store that it refuses or cannot read |
//! | finality is not older than acknowledged | a restart resumes from the finality that was acknowledged last, or a later one |
//! | the same end | once everything has been taken in and written, chain and store are those of a run without a crash |

mod model;
mod world;

use super::{Instance, Rule, Twin};
use crate::hazard;
use blocksmith_engines::verdict::Breaks;

use model::Durable;

/// A fault at the port of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// An entry of the journal is written before the block that it names.
    EntryFirst,
    /// A block is dropped before the entry that names it.
    BlockGoesFirst,
    /// The point is written before the state that it refers to.
    PointBeforeState,
    /// The finalised chain is written after the point that refers to it.
    ChainAfterPoint,
    /// The old state is dropped before the point has moved.
    StateGoesFirst,
    /// Finality is acknowledged before the commit that makes it durable.
    AcknowledgedFirst,
    /// The writer goes on after a commit that has failed.
    GoesOn,
}

fn durable(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Durable::new(fault))
}

pub(super) const RULES: &[Rule] = &[Rule {
    name: "crash_and_recovery",
    claim: "a crash between any two writes and a full disk: the restart resumes, from no older \
            finality than was acknowledged, and ends as a run without them does",
    states: 9097,
    model: || durable(None),
    twins: &[
        twin!(
            "entry_before_its_block",
            S1,
            durable,
            EntryFirst,
            "every restart resumes",
            "an entry of the journal is durable and the block that it names is not"
        ),
        twin!(
            "block_goes_before_its_entry",
            S1,
            durable,
            BlockGoesFirst,
            "every restart resumes",
            "a block of a dead branch is dropped, and the entry that names it is not"
        ),
        twin!(
            "point_before_its_state",
            S2,
            durable,
            PointBeforeState,
            "every restart resumes",
            "the point is durable and the state after its block is not"
        ),
        twin!(
            "chain_after_the_point",
            S2,
            durable,
            ChainAfterPoint,
            "the same end",
            "the finalised chain is indexed after the point, and by nobody after a crash"
        ),
        twin!(
            "state_goes_before_the_point",
            S3,
            durable,
            StateGoesFirst,
            "every restart resumes",
            "the old state is dropped, and the point still refers to it"
        ),
        twin!(
            "acknowledged_before_durable",
            S4,
            durable,
            AcknowledgedFirst,
            "finality is not older than acknowledged",
            "finality is acknowledged when its writes are gathered"
        ),
        twin!(
            "goes_on_after_a_gap",
            S5,
            durable,
            GoesOn,
            "finality is not older than acknowledged",
            "the writes after a failed commit are written"
        ),
    ],
}];
