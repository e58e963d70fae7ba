//! The Rewinder: the queue of lanes, the workers, and the HotDB that they ask; and Clearance, which
//! takes in what they have cleared.
//!
//! Dispatcher, workers with their shell, HotDB and Clearance are core's. In one step a worker
//! pulls, or handles the event that its last effects have led to, and carries the new effects out.
//! So other steps come between two events of a worker, and not between two effects of one event.
//! The HotDB answers at once: it waits for nobody, and a worker that waits for it does nothing
//! else.
//!
//! Tasks come in any order and at any moment. So do, where the instance says so, finality that
//! prunes a branch, the stop, and a panic that takes a worker's machine away.
//!
//! | property | meaning |
//! |---|---|
//! | no deadlock | at rest every task has come and has its answer, and no state is being loaded |
//! | one answer each | no task has two answers |
//! | right answers | a task has no other answer than the instance allows |
//! | an idle worker gets what waits | whoever pulls gets a task if one waits that it may take, and a duty before any other |
//! | nothing waits for a busy worker | no task has been given to a worker that is busy |
//! | duties wait for duties alone | while a duty waits, the reserved worker serves a duty, or would get this one |
//! | a duty waits for one part | while a duty waits, a worker that serves every lane runs no more slots than one part has |
//! | a block waits for one step | while a block or a duty waits, a worker verifies no more votes than one step has |
//! | a stop waits for one part | after the stop, a load runs no more slots than one part has |
//! | a stop waits for one step | after the stop, no more votes are verified than one step has |
//! | the distance is bounded | no load runs more slots than the HotDB lets a state be advanced |
//! | a state is loaded by one | no state is being loaded by two workers |
//! | a state is replayed once | no state is posted twice |
//! | one load for a branch and epoch | votes of one epoch load at most one state for each branch |
//! | a kept state is its block's | the HotDB gives a state for no block but its own |
//! | the fork choice follows | every block of the fork choice is in the HotDB |
//! | imported once | no block is new to Clearance twice |

mod instances;
mod model;
mod ports;
mod properties;
mod words;

pub(super) use instances::RULES;

/// Slots that a worker runs between two looks at what else there is: an epoch of mainnet.
const PART_SLOTS: u64 = 32;

/// Votes that a worker verifies at most between two looks at what else there is.
const STEP_VOTES: u64 = 16;

/// A fault at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// Tasks are given to a worker whose flag says that it is ready, and the flag sinks when the
    /// worker takes the first of them.
    GivesToTheReady,
    /// Every task goes into one lane.
    OneLane,
    /// No worker serves any lane but that of the duties.
    NoConsumer,
    /// That a block was pruned is no answer.
    PrunedInSilence,
    /// Nobody remembers which blocks were pruned.
    PrunedIsForgotten,
    /// The state before a block is committed as the state after it.
    KeepsThePreState,
    /// The workers do not say what they load.
    ClaimsNothing,
    /// A worker that has claimed goes on with the trail that it has, though another may have
    /// reported the state since.
    NoSecondLook,
    /// Committees are never found.
    CommitteesMiss,
    /// A vote asks for the state of its target.
    StateForEachTarget,
    /// The slot before is asked for, and wraps at zero.
    SlotWraps,
    /// The start of an epoch is computed without a check.
    EpochWraps,
    /// A load or a batch never looks at what else there is.
    NeverLooks,
    /// A load looks at what else there is, and serves only one of the duties that wait.
    OneDutyAtATime,
    /// A batch looks for duties alone, as a load does.
    NoBlockFirst,
    /// A state may be advanced to any slot.
    AnyDistance,
    /// A task for which its lane has no room is not answered.
    RefusedInSilence,
    /// A worker gives the load of a parent to its own pool and waits.
    WaitsForThePool,
    /// A worker whose machine panics drops what it had promised.
    PromiseForgotten,
    /// The verdict, and with it the import, comes before the HotDB has the block.
    ImportsFirst,
    /// Whether a block is new is found out in one step, and it is imported in another.
    LooksThenImports,
}
