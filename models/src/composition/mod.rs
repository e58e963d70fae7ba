//! The services as communicating processes: the machines that run in production, connected by
//! bounded mailboxes, explored in every interleaving.
//!
//! **Contract.** A process is one of the services' pure machines with its mailbox and the effects
//! that it has yet to carry out. A step is one process taking one message, or carrying out one
//! effect; a send into a full mailbox is not possible, so the process waits. Items of the network
//! come in any order, the clock ticks at any moment, and a stop comes at any moment if the scenario
//! has one. What is done with a message, and how an effect is carried out, is core's own code (the
//! `shell` of each service), which threads run as well. Here it talks to mailboxes of the model
//! (`ends.rs`): who gets what is not written twice. What threads have besides (their loops, and
//! where they wait) is checked on the running services, by the engines that run threads.
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
//! | no deadlock | a state without steps is at rest: nothing queued, nothing under way, everybody idle |
//! | one verdict each | no submission and no query gets two answers; at rest each has one |
//! | right verdicts | a submission gets no other answer than its scenario allows |
//! | parent first | a block is checked, cleared and imported only after its parent, then itself, is committed |
//! | imported | a cleared block gets into the fork choice, unless finality has passed it |
//! | nobody stranded | at rest nothing waits for a root that is decided, or for anything at all if all came |
//! | bounded queues | mailboxes, reserved slots and lanes stay within their bounds; nothing is refused |
//! | head committed | head, justified and finalised block are in the HotDB |
//!
//! **Bounds.** A handful of items, one or two workers, two attestations verified together,
//! mailboxes of one or two places; crashes, lost messages and duties are not modelled. Workers
//! without a task are interchangeable, so the first of them pulls. Answers of machines are
//! deterministic, so one run per interleaving is all runs.
//!
//! **Twins.** A [`Fault`] changes where an end leads or when, never a machine or a shell, and must be
//! refuted in the scenario that [`TWINS`] names.

mod check;
mod ends;
mod pipeline;
mod process;
mod properties;
mod scenario;
mod steps;
mod words;

pub use check::check;
pub use pipeline::{Action, Pipeline, State};
pub use properties::verdicts_that_occur;
pub use scenario::{Fault, SCENARIOS, Scenario, TWINS, Twin, scenario};
