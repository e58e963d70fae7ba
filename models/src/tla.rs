//! The gate for the TLA+ specifications: it runs an explicit-state checker over each configuration.
//!
//! **Contract.** [`CONFIGURATIONS`] lists each specification with each of its configurations, the
//! verdict that the checker must give, and the exact number of distinct states. A must-fail
//! configuration switches on a fault of the specification. If the checker finds no violation in
//! it, or another one than the one named, the gate fails. The checker's own limits lie far above
//! what the specifications need. A run that reaches a limit is `Truncated`, never a pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tla_checker::checker::{CheckResult, CheckStats, check, format_trace_with_actions};
use tla_checker::load::prepare_from_path;

use crate::hazard::{self, Hazard};
use blocksmith_engines::verdict::{Breaks, Engine, Expected, Outcome, Verdict, Violation};

/// The checker gives up after this many distinct states.
const MAX_STATES: usize = 2_000_000;
/// The checker gives up when a behaviour has this many states.
const MAX_DEPTH: usize = 1_000;

/// One specification under one configuration, with the expected verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The protocol that the specification describes.
    pub protocol: &'static str,
    /// Name of the module, without `.tla`.
    pub spec: &'static str,
    /// Name of the configuration, without `.cfg`.
    pub cfg: &'static str,
    /// The expected verdict.
    pub expected: Expected,
    /// The exact number of distinct states that the checker must visit, up to the violation if
    /// there is one.
    pub states: u64,
    /// What is claimed, or which fault the checker must find.
    pub claim: &'static str,
    /// The hazard that the fault is an instance of.
    pub hazard: Option<&'static Hazard>,
}

/// Every specification under each of its configurations.
pub const CONFIGURATIONS: &[Configuration] = &[
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier",
        expected: Expected::Verified,
        states: 47938,
        claim: "nothing lost, nobody stranded, no wake too many: store buffers, 2 producers, 2 consumers",
        hazard: None,
    },
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier_SequentiallyConsistent",
        expected: Expected::Verified,
        states: 36268,
        claim: "the same without store buffers",
        hazard: None,
    },
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier_Liveness",
        expected: Expected::Verified,
        states: 2713,
        claim: "every item is consumed: store buffers, 2 producers, 1 consumer",
        hazard: None,
    },
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier_NoSecondLook",
        expected: Expected::Violated(&[Breaks::Deadlock]),
        states: 570,
        claim: "a consumer that does not look again sleeps beside an item",
        hazard: Some(&hazard::N1),
    },
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier_NoSecondLook_Liveness",
        expected: Expected::Violated(&[Breaks::Property("EveryItemIsConsumed")]),
        states: 1329,
        claim: "the same fault breaks liveness",
        hazard: Some(&hazard::N1),
    },
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier_NoProducerFence",
        expected: Expected::Violated(&[Breaks::Property("NobodyIsStranded")]),
        states: 1842,
        claim: "without the fence in notify an item is stranded",
        hazard: Some(&hazard::N2),
    },
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier_NoConsumerFence",
        expected: Expected::Violated(&[Breaks::Property("NobodyIsStranded")]),
        states: 1314,
        claim: "without the fence in prepare an item is stranded",
        hazard: Some(&hazard::N2),
    },
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier_WakeKept",
        expected: Expected::Violated(&[Breaks::Property("NobodyIsStranded")]),
        states: 1596,
        claim: "with wakes that are never taken off the count a notification is skipped that is needed",
        hazard: Some(&hazard::N7),
    },
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier_RegisterFirst",
        expected: Expected::Violated(&[Breaks::Property("NobodyIsStranded")]),
        states: 1928,
        claim: "a consumer that reads the epoch after registering sleeps though it is claimed",
        hazard: Some(&hazard::N7),
    },
    Configuration {
        protocol: "notifier",
        spec: "EventNotifier",
        cfg: "EventNotifier_SleptOver",
        expected: Expected::Violated(&[Breaks::Property("NoWakeTooMany")]),
        states: 17039,
        claim: "a consumer that sleeps again after a wake meant for an older one leaves that one asleep",
        hazard: Some(&hazard::N7),
    },
    Configuration {
        protocol: "quarantine",
        spec: "Quarantine",
        cfg: "Quarantine",
        expected: Expected::Verified,
        states: 1592,
        claim: "one verdict each, parents first, nobody stranded, all answered: 6 items, 2 workers, 2 slots",
        hazard: None,
    },
    Configuration {
        protocol: "quarantine",
        spec: "Quarantine",
        cfg: "Quarantine_LookUpThenPark",
        expected: Expected::Violated(&[Breaks::Property("NobodyIsStranded")]),
        states: 1409,
        claim: "an item parked after its parent cleared is stranded",
        hazard: Some(&hazard::Q1),
    },
    Configuration {
        protocol: "quarantine",
        spec: "Quarantine",
        cfg: "Quarantine_NoCascade",
        expected: Expected::Violated(&[Breaks::Deadlock]),
        states: 1552,
        claim: "descendants of an invalid block wait for ever",
        hazard: Some(&hazard::Q4),
    },
    Configuration {
        protocol: "quarantine",
        spec: "Quarantine",
        cfg: "Quarantine_VerdictBeforeCommit",
        expected: Expected::Violated(&[Breaks::Property("ParentFirst")]),
        states: 265,
        claim: "a child is handed over before its parent is committed",
        hazard: Some(&hazard::R6),
    },
    Configuration {
        protocol: "quarantine",
        spec: "Quarantine",
        cfg: "Quarantine_BadSignatureCondemns",
        expected: Expected::Violated(&[Breaks::Property("HonestIsNotRejected")]),
        states: 231,
        claim: "a forged copy makes the honest block be rejected",
        hazard: Some(&hazard::Q6),
    },
    Configuration {
        protocol: "duties",
        spec: "Duties",
        cfg: "Duties",
        expected: Expected::Verified,
        states: 560,
        claim: "one outcome by the deadline, and no other duty's signature: 3 duties, 2 keys",
        hazard: None,
    },
    Configuration {
        protocol: "duties",
        spec: "Duties",
        cfg: "Duties_Liveness",
        expected: Expected::Verified,
        states: 560,
        claim: "every duty ends, whichever signer is dead",
        hazard: None,
    },
    Configuration {
        protocol: "duties",
        spec: "Duties",
        cfg: "Duties_Uncorrelated",
        expected: Expected::Violated(&[Breaks::Property("OwnSignature")]),
        states: 105,
        claim: "a signature that came too late is taken for the next duty",
        hazard: Some(&hazard::V3),
    },
    Configuration {
        protocol: "duties",
        spec: "Duties",
        cfg: "Duties_NoDeadline",
        expected: Expected::Violated(&[Breaks::Property("EveryDutyEnds")]),
        states: 215,
        claim: "a worker waits for a dead signer for ever, and all duties wait for the worker",
        hazard: Some(&hazard::V6),
    },
    Configuration {
        protocol: "duties",
        spec: "PtcDuties",
        cfg: "PtcDuties",
        expected: Expected::Verified,
        states: 1169,
        claim: "a vote is by the list of its data's branch: 2 branches, 2 validators, 3 changes",
        hazard: None,
    },
    Configuration {
        protocol: "duties",
        spec: "PtcDuties",
        cfg: "PtcDuties_Liveness",
        expected: Expected::Verified,
        states: 1169,
        claim: "in the end the list of the node's branch covers everybody",
        hazard: None,
    },
    Configuration {
        protocol: "duties",
        spec: "PtcDuties",
        cfg: "PtcDuties_RootOfAnother",
        expected: Expected::Violated(&[Breaks::Property("OwnBranch")]),
        states: 121,
        claim: "a list is kept under the root of an answer before it",
        hazard: Some(&hazard::D2),
    },
    Configuration {
        protocol: "duties",
        spec: "PtcDuties",
        cfg: "PtcDuties_NoComparison",
        expected: Expected::Violated(&[Breaks::Property("OwnBranch")]),
        states: 67,
        claim: "a list is looked up by the root that was heard last",
        hazard: Some(&hazard::D3),
    },
    Configuration {
        protocol: "duties",
        spec: "PtcDuties",
        cfg: "PtcDuties_ByRootAlone",
        expected: Expected::Violated(&[Breaks::Property("EveryoneIsCovered")]),
        states: 1159,
        claim: "a new validator does not have a list asked for",
        hazard: Some(&hazard::D1),
    },
    Configuration {
        protocol: "duties",
        spec: "PayloadAttestation",
        cfg: "PayloadAttestation",
        expected: Expected::Verified,
        states: 1261,
        claim: "one vote, by the deadline, with one outcome: 2 nodes, 2 votes, 1 restart",
        hazard: None,
    },
    Configuration {
        protocol: "duties",
        spec: "PayloadAttestation",
        cfg: "PayloadAttestation_Liveness",
        expected: Expected::Verified,
        states: 1261,
        claim: "every duty ends, whichever node hangs and whichever signer is dead",
        hazard: None,
    },
    Configuration {
        protocol: "duties",
        spec: "PayloadAttestation",
        cfg: "PayloadAttestation_FirstNodeOnly",
        expected: Expected::Violated(&[Breaks::Property("LeavesByTheDeadline")]),
        states: 162,
        claim: "the first node has no block, or hangs, and the second is not asked",
        hazard: Some(&hazard::V9),
    },
    Configuration {
        protocol: "duties",
        spec: "PayloadAttestation",
        cfg: "PayloadAttestation_WaitsForAll",
        expected: Expected::Violated(&[Breaks::Property("LeavesByTheDeadline")]),
        states: 731,
        claim: "votes leave after the slowest signer",
        hazard: Some(&hazard::V7),
    },
    Configuration {
        protocol: "duties",
        spec: "PayloadAttestation",
        cfg: "PayloadAttestation_NoGuard",
        expected: Expected::Violated(&[Breaks::Property("OneVote")]),
        states: 530,
        claim: "a process votes in the slot in which it begins",
        hazard: Some(&hazard::V10),
    },
    Configuration {
        protocol: "duties",
        spec: "PayloadAttestation",
        cfg: "PayloadAttestation_TimerWaits",
        expected: Expected::Violated(&[Breaks::Property("EveryDutyEnds")]),
        states: 778,
        claim: "the thread that keeps the time waits for a node that never answers",
        hazard: Some(&hazard::P8),
    },
    Configuration {
        protocol: "rules",
        spec: "SlashingProtection",
        cfg: "SlashingProtection",
        expected: Expected::Verified,
        states: 2918,
        claim: "no two signatures are slashable, each is on record: 2 workers, 3 messages, 2 crashes",
        hazard: None,
    },
    Configuration {
        protocol: "rules",
        spec: "SlashingProtection",
        cfg: "SlashingProtection_SignFirst",
        expected: Expected::Violated(&[Breaks::Property("SignedIsRecorded")]),
        states: 15,
        claim: "a signature that leaves before its record",
        hazard: Some(&hazard::V1),
    },
    Configuration {
        protocol: "rules",
        spec: "SlashingProtection",
        cfg: "SlashingProtection_SignFirst_Slashable",
        expected: Expected::Violated(&[Breaks::Property("NoTwoAreSlashable")]),
        states: 95,
        claim: "a crash between a signature and its record lets a second message be signed",
        hazard: Some(&hazard::V1),
    },
    Configuration {
        protocol: "rules",
        spec: "SlashingProtection",
        cfg: "SlashingProtection_TwoTransactions",
        expected: Expected::Violated(&[Breaks::Property("NoTwoAreSlashable")]),
        states: 523,
        claim: "two workers check before either has recorded",
        hazard: Some(&hazard::V2),
    },
    Configuration {
        protocol: "rules",
        spec: "SlashingProtection",
        cfg: "SlashingProtection_RefusalIgnored",
        expected: Expected::Violated(&[Breaks::Property("NoTwoAreSlashable")]),
        states: 221,
        claim: "what is refused is signed",
        hazard: Some(&hazard::V5),
    },
    Configuration {
        protocol: "mailbox",
        spec: "Mailbox",
        cfg: "Mailbox",
        expected: Expected::Verified,
        states: 3260,
        claim: "bounded, no reply evicted, the end is the end: a mailbox that refuses, 3 requests, 1 reply",
        hazard: None,
    },
    Configuration {
        protocol: "mailbox",
        spec: "Mailbox",
        cfg: "Mailbox_Evicts",
        expected: Expected::Verified,
        states: 5594,
        claim: "the same, a mailbox that evicts the oldest request",
        hazard: None,
    },
    Configuration {
        protocol: "mailbox",
        spec: "Mailbox",
        cfg: "Mailbox_Liveness",
        expected: Expected::Verified,
        states: 816,
        claim: "what is accepted leaves the line, and a closed mailbox ends",
        hazard: None,
    },
    Configuration {
        protocol: "mailbox",
        spec: "Mailbox",
        cfg: "Mailbox_KeptIsFree",
        expected: Expected::Violated(&[Breaks::Property("Bounded")]),
        states: 61,
        claim: "a kept place takes no room",
        hazard: Some(&hazard::M7),
    },
    Configuration {
        protocol: "mailbox",
        spec: "Mailbox",
        cfg: "Mailbox_EvictsReplies",
        expected: Expected::Violated(&[Breaks::Property("RepliesAreNotEvicted")]),
        states: 1060,
        claim: "an eviction takes a reply",
        hazard: Some(&hazard::M5),
    },
    Configuration {
        protocol: "mailbox",
        spec: "Mailbox",
        cfg: "Mailbox_EndsEarly",
        expected: Expected::Violated(&[Breaks::Property("EndIsTheEnd")]),
        states: 143,
        claim: "the end is told though a place is kept",
        hazard: Some(&hazard::M5),
    },
    Configuration {
        protocol: "mailbox",
        spec: "Mailbox",
        cfg: "Mailbox_EndsEarly_Liveness",
        expected: Expected::Violated(&[Breaks::Property("EveryItemIsReceived")]),
        states: 1064,
        claim: "what is sent after the end was told is not received",
        hazard: Some(&hazard::M5),
    },
    Configuration {
        protocol: "mailbox",
        spec: "Mailbox",
        cfg: "Mailbox_ClosesSlots",
        expected: Expected::Violated(&[Breaks::Property("DeliversToTheEnd")]),
        states: 158,
        claim: "a close ends the slots that are out",
        hazard: Some(&hazard::L3),
    },
    Configuration {
        protocol: "mailbox",
        spec: "Mailbox",
        cfg: "Mailbox_SlotIsLost",
        expected: Expected::Violated(&[Breaks::Property("EveryMailboxEnds")]),
        states: 640,
        claim: "a slot that is dropped is never given back",
        hazard: Some(&hazard::M10),
    },
    Configuration {
        protocol: "lifecycle",
        spec: "Lifecycle",
        cfg: "Lifecycle",
        expected: Expected::Verified,
        states: 3022,
        claim: "restarts within the intensity, one answer each, one stop from above: 3 services, 3 requests",
        hazard: None,
    },
    Configuration {
        protocol: "lifecycle",
        spec: "Lifecycle",
        cfg: "Lifecycle_Liveness",
        expected: Expected::Verified,
        states: 1008,
        claim: "a stop ends all services, and every crash has a successor",
        hazard: None,
    },
    Configuration {
        protocol: "lifecycle",
        spec: "Lifecycle",
        cfg: "Lifecycle_NotCounted",
        expected: Expected::Violated(&[Breaks::Property("Intensity")]),
        states: 107,
        claim: "panics are borne without count",
        hazard: Some(&hazard::L6),
    },
    Configuration {
        protocol: "lifecycle",
        spec: "Lifecycle",
        cfg: "Lifecycle_LowerFirst",
        expected: Expected::Violated(&[Breaks::Property("EndsInOrder")]),
        states: 29,
        claim: "the stop begins below",
        hazard: Some(&hazard::L4),
    },
    Configuration {
        protocol: "lifecycle",
        spec: "Lifecycle",
        cfg: "Lifecycle_NobodyAnswers",
        expected: Expected::Violated(&[Breaks::Property("OneAnswer")]),
        states: 7,
        claim: "the requester of a lost message is not answered",
        hazard: Some(&hazard::L5),
    },
    Configuration {
        protocol: "lifecycle",
        spec: "Lifecycle",
        cfg: "Lifecycle_NoSuccessor",
        expected: Expected::Violated(&[Breaks::Property("EveryCrashIsFollowed")]),
        states: 724,
        claim: "a service that panicked has no successor",
        hazard: Some(&hazard::L5),
    },
    Configuration {
        protocol: "lifecycle",
        spec: "Lifecycle",
        cfg: "Lifecycle_NoSuccessor_Stop",
        expected: Expected::Violated(&[Breaks::Property("StopEnds")]),
        states: 724,
        claim: "the stop waits for a service that has no successor",
        hazard: Some(&hazard::L5),
    },
    Configuration {
        protocol: "store",
        spec: "Store",
        cfg: "Store",
        expected: Expected::Verified,
        states: 662,
        claim: "every prefix of the writes resumes, no gap, nothing acknowledged early: 4 blocks, 1 crash",
        hazard: None,
    },
    Configuration {
        protocol: "store",
        spec: "Store",
        cfg: "Store_Liveness",
        expected: Expected::Verified,
        states: 662,
        claim: "finality becomes durable, unless the store fails",
        hazard: None,
    },
    Configuration {
        protocol: "store",
        spec: "Store",
        cfg: "Store_EntryFirst",
        expected: Expected::Violated(&[Breaks::Property("Resumes")]),
        states: 9,
        claim: "an entry is written before its block",
        hazard: Some(&hazard::S1),
    },
    Configuration {
        protocol: "store",
        spec: "Store",
        cfg: "Store_PointFirst",
        expected: Expected::Violated(&[Breaks::Property("Resumes")]),
        states: 81,
        claim: "the point is written before the state and the chain",
        hazard: Some(&hazard::S2),
    },
    Configuration {
        protocol: "store",
        spec: "Store",
        cfg: "Store_AcknowledgedFirst",
        expected: Expected::Violated(&[Breaks::Property("AcknowledgedIsDurable")]),
        states: 20,
        claim: "finality is acknowledged before the commit",
        hazard: Some(&hazard::S4),
    },
    Configuration {
        protocol: "store",
        spec: "Store",
        cfg: "Store_GoesOn",
        expected: Expected::Violated(&[Breaks::Property("NoGap")]),
        states: 124,
        claim: "the writer goes on after a failure",
        hazard: Some(&hazard::S5),
    },
    Configuration {
        protocol: "store",
        spec: "Store",
        cfg: "Store_AsksOnce",
        expected: Expected::Violated(&[Breaks::Property("FinalityIsDurable")]),
        states: 101,
        claim: "finality that has moved on meanwhile is not asked for",
        hazard: Some(&hazard::S6),
    },
    Configuration {
        protocol: "rewinder",
        spec: "Dispatcher",
        cfg: "Dispatcher",
        expected: Expected::Verified,
        states: 2992,
        claim: "lanes take turns, and one worker is for duties: 4 lanes, 2 workers",
        hazard: None,
    },
    Configuration {
        protocol: "rewinder",
        spec: "Dispatcher",
        cfg: "Dispatcher_PutBack",
        expected: Expected::Verified,
        states: 1530,
        claim: "the same with blocks that are put back: 2 lanes, 3 workers",
        hazard: None,
    },
    Configuration {
        protocol: "rewinder",
        spec: "Dispatcher",
        cfg: "Dispatcher_Shares",
        expected: Expected::Verified,
        states: 510,
        claim: "the same with batches that idle workers share: 2 states, 3 workers",
        hazard: None,
    },
    Configuration {
        protocol: "rewinder",
        spec: "Dispatcher",
        cfg: "Dispatcher_Liveness",
        expected: Expected::Verified,
        states: 144,
        claim: "every lane of a closed queue is emptied",
        hazard: None,
    },
    Configuration {
        protocol: "rewinder",
        spec: "Dispatcher",
        cfg: "Dispatcher_NotReserved",
        expected: Expected::Violated(&[Breaks::Property("ReservedIsForDuties")]),
        states: 11,
        claim: "the reserved worker takes what there is",
        hazard: Some(&hazard::R2),
    },
    Configuration {
        protocol: "rewinder",
        spec: "Dispatcher",
        cfg: "Dispatcher_NoTurns",
        expected: Expected::Violated(&[Breaks::Property("NoLaneIsPassedOverForLong")]),
        states: 1981,
        claim: "lanes are served in their order alone",
        hazard: Some(&hazard::Q8),
    },
    Configuration {
        protocol: "rewinder",
        spec: "Dispatcher",
        cfg: "Dispatcher_LoadsTwice",
        expected: Expected::Violated(&[Breaks::Property("LoadedOnce")]),
        states: 70,
        claim: "tasks for a state that is being loaded are pulled",
        hazard: Some(&hazard::R11),
    },
    Configuration {
        protocol: "rewinder",
        spec: "Dispatcher",
        cfg: "Dispatcher_TakesAll",
        expected: Expected::Violated(&[Breaks::Property("Bounded")]),
        states: 42,
        claim: "a full lane takes a task",
        hazard: Some(&hazard::M7),
    },
    Configuration {
        protocol: "rewinder",
        spec: "Dispatcher",
        cfg: "Dispatcher_KeepsClaim",
        expected: Expected::Violated(&[Breaks::Property("EveryLaneIsServed")]),
        states: 216,
        claim: "the claim of a worker that panics stays",
        hazard: Some(&hazard::L5),
    },
    Configuration {
        protocol: "hot_db",
        spec: "HotDbTrail",
        cfg: "HotDbTrail",
        expected: Expected::Verified,
        states: 468,
        claim: "every block has a trail, and no state is replayed twice at once: 5 blocks, 2 workers",
        hazard: None,
    },
    Configuration {
        protocol: "hot_db",
        spec: "HotDbTrail",
        cfg: "HotDbTrail_Liveness",
        expected: Expected::Verified,
        states: 468,
        claim: "a worker that waits for another's state goes on",
        hazard: None,
    },
    Configuration {
        protocol: "hot_db",
        spec: "HotDbTrail",
        cfg: "HotDbTrail_NoClaim",
        expected: Expected::Violated(&[Breaks::Property("SingleFlight")]),
        states: 43,
        claim: "two workers replay one block",
        hazard: Some(&hazard::R11),
    },
    Configuration {
        protocol: "hot_db",
        spec: "HotDbTrail",
        cfg: "HotDbTrail_PrunesAll",
        expected: Expected::Violated(&[Breaks::Property("NoDescendantIsDropped")]),
        states: 8,
        claim: "finality drops all but its block and the head",
        hazard: Some(&hazard::R12),
    },
    Configuration {
        protocol: "hot_db",
        spec: "HotDbTrail",
        cfg: "HotDbTrail_PrunesAll_Trail",
        expected: Expected::Violated(&[Breaks::Property("EveryBlockHasATrail")]),
        states: 12,
        claim: "finality drops the blocks below the head",
        hazard: Some(&hazard::R12),
    },
    Configuration {
        protocol: "hot_db",
        spec: "HotDbTrail",
        cfg: "HotDbTrail_BaseWithoutState",
        expected: Expected::Violated(&[Breaks::Property("BaseHasState")]),
        states: 11,
        claim: "the base moves to a block whose state is not cached",
        hazard: Some(&hazard::R4),
    },
    Configuration {
        protocol: "hot_db",
        spec: "HotDbTrail",
        cfg: "HotDbTrail_ClaimStays",
        expected: Expected::Violated(&[Breaks::Property("EveryWaitEnds")]),
        states: 491,
        claim: "a claim outlives its replay",
        hazard: Some(&hazard::L5),
    },
];

/// The reason why a specification could not be judged. It is a fault of ours, and no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// The files cannot be read or parsed, or the configuration does not fit the specification.
    #[error("{path}: {reason}")]
    Load {
        /// The specification.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An expression cannot be evaluated.
    #[error("{path}: {reason}")]
    Evaluation {
        /// The specification.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The checker's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The outcome. If a limit on states, depth or time stopped the checker, it is `Truncated`.
    pub outcome: Outcome,
    /// Number of distinct states visited.
    pub states: usize,
    /// Length of the longest behaviour that the checker followed.
    pub depth: usize,
}

/// Returns the folder that holds the specifications.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tla")
}

/// Runs the checker over a specification and a configuration. Blocks until the checker ends.
///
/// # Errors
/// If the files cannot be read or parsed, if the configuration does not fit, or if an expression
/// cannot be evaluated.
pub fn run(spec: &Path, cfg: &Path) -> Result<Report, SpecError> {
    let path = spec.to_path_buf();
    let mut prepared = prepare_from_path(spec, Some(cfg), &[])
        .map_err(|error| SpecError::Load { path: path.clone(), reason: error.to_string() })?;
    if let Some(warning) = prepared.warnings.first() {
        return Err(SpecError::Load { path, reason: warning.value.clone() });
    }
    let config = &mut prepared.checker_config;
    (config.max_states, config.max_depth) = (MAX_STATES, MAX_DEPTH);
    let result = check(&prepared.spec, &prepared.domains, &prepared.checker_config);
    let variables = &prepared.spec.vars;
    let report = |outcome: Outcome, stats: &CheckStats| Report {
        outcome,
        states: stats.states_explored,
        depth: stats.max_depth_reached,
    };
    let violated = |violation: Violation, trace: String, stats: &CheckStats| {
        let counterexample = format!("violates {violation}\n{trace}");
        Ok(report(Outcome::Violated { violation, counterexample }, stats))
    };
    let evaluation = |reason: String| Err(SpecError::Evaluation { path: path.clone(), reason });
    match result {
        CheckResult::Ok(stats) => Ok(report(Outcome::Verified, &stats)),
        CheckResult::Deadlock(trace, actions, stats) => {
            let trace = format_trace_with_actions(&trace, &actions, variables);
            violated(Violation::Deadlock, trace, &stats)
        }
        CheckResult::InvariantViolation(found, stats) => {
            let trace = format_trace_with_actions(&found.trace, &found.actions, variables);
            let name =
                prepared.spec.invariant_names.get(found.violated_invariant).cloned().flatten();
            let name = name.map_or_else(|| found.violated_invariant.to_string(), |n| n.to_string());
            violated(Violation::Property(name), trace, &stats)
        }
        CheckResult::LivenessViolation(found, stats) => {
            violated(Violation::Property(found.property.clone()), format!("{found:?}"), &stats)
        }
        CheckResult::MaxStatesExceeded(stats)
        | CheckResult::MaxDepthExceeded(stats)
        | CheckResult::MaxTimeExceeded(stats) => {
            let by = format!("{} states, depth {}", stats.states_explored, stats.max_depth_reached);
            Ok(report(Outcome::Truncated { by }, &stats))
        }
        other => evaluation(format!("{other:?}")),
    }
}

/// Runs one configuration of [`folder`] and returns the verdict. If the specification cannot be
/// judged, nothing is shown either way, so the verdict is `Truncated` with the reason.
#[must_use]
pub fn check_spec(spec: &str, cfg: &str) -> Verdict {
    let folder = folder();
    let result =
        run(&folder.join(spec).with_extension("tla"), &folder.join(cfg).with_extension("cfg"));
    let mut bounds = BTreeMap::from([
        ("configuration", cfg.to_owned()),
        ("max_depth", MAX_DEPTH.to_string()),
        ("max_states", MAX_STATES.to_string()),
    ]);
    let (states, outcome) = match result {
        Err(error) => (None, Outcome::Truncated { by: error.to_string() }),
        Ok(report) => {
            bounds.insert("depth", report.depth.to_string());
            (Some(report.states as u64), report.outcome)
        }
    };
    Verdict { engine: Engine::Tla, bounds, states, executions: None, outcome }
}
