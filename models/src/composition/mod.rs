//! The services as communicating processes: the machines that run in production, connected by
//! bounded mailboxes, explored in every interleaving.
//!
//! **Contract.** A process is one of the services' pure machines with its mailbox and the effects
//! that it has yet to carry out. In one step, one process takes one message or carries out one
//! effect. A step that would send into a full mailbox is not possible, so the process waits. The
//! network submits its items in any order, the clock ticks at any moment, and a stop comes at any
//! moment if the scenario has one.
//!
//! Core's own code (the `shell` of each service) decides what is done with a message and how an
//! effect is carried out. The production threads run the same code. In the model the shells talk to
//! the model's mailboxes (`ends.rs`), so the routing of messages is not written twice. The threads
//! also have loops and places where they wait. Those are checked on the running services, by the
//! engines that run threads.
//!
//! ```text
//!  network ─┐ bounded      blocks        bounded
//!  clock ───┴────> Quarantine ──────────────> Clearance ──┐ bounded
//!                 │    ^   ^ reserved            │ │  ^    │
//!         lanes   │    │   └─────────────────────┘ │  │    v
//!  queries ───┐   v    │ reserved     lane         │  │  HotDB
//!             └─> Rewinder <───────────────────────┘  │    ^ │ one-shot
//!                 worker ... worker ──────────────────┘    │ │
//!                    │  ^         reserved        bounded  │ │
//!                    └──│──────────────────────────────────┘ │
//!                       └────────────────────────────────────┘
//! ```
//!
//! | property | says |
//! |---|---|
//! | no deadlock | a state without steps is at rest: nothing is queued or under way, all are idle |
//! | one verdict each | no submission and no query gets two answers; at rest each has one |
//! | right verdicts | a submission gets no other answer than its scenario allows |
//! | parent first | a block is checked after its parent's commit, and cleared after its own |
//! | checked once | no block is handed to the Rewinder twice with the same signature |
//! | imported | a cleared block gets into the fork choice, unless finality has passed it |
//! | nobody stranded | at rest no item waits for a decided root, or for any if all were submitted |
//! | bounded queues | mailboxes, reserved slots and lanes stay within their bounds; nothing is refused |
//! | head committed | head, justified and finalised block are in the HotDB |
//!
//! Beside those, a liveness property, in the scenarios of fewer than [`MAX_KEPT`] states: a run comes
//! to rest as long as each service goes on while it can (weak fairness by process), whatever the
//! network, the clients and the clock do or leave undone.
//!
//! **Bounds.** A scenario has a handful of items, one or two workers, at most two attestations that
//! are verified together, and mailboxes of one or two places. Crashes, lost messages and duties are
//! not modelled. Workers without a task are interchangeable, so only the first of them pulls. The
//! machines are deterministic, so one run per interleaving covers all runs.
//!
//! **Twins.** A must-fail twin is a scenario with a [`Fault`] in its wiring. The fault changes
//! where an end leads, or when; it never changes a machine or a shell. It must be refuted in the
//! scenario that [`TWINS`] names, and [`ENDLESS`] by the search for runs without an end.

mod check;
mod ends;
mod pipeline;
mod process;
mod properties;
mod scenario;
mod steps;
pub(crate) mod words;

pub use check::{MAX_KEPT, check, check_end};
pub use pipeline::{Action, Pipeline, State};
pub use properties::verdicts_that_occur;
pub use scenario::{ENDLESS, Fault, SCENARIOS, Scenario, TWINS, Twin, scenario};
