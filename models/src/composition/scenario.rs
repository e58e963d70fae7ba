//! The scenarios of the composition, and their must-fail twins.

use blocksmith::consensus::{Checkpoint, Slot};
use blocksmith::quarantine::Item;
use blocksmith::rewinder::Job;
use blocksmith::toy::{Toy, ToyAttestation, ToyBlock, ToyRoot};

use crate::hazard::{self, Hazard};
use blocksmith_engines::verdict::Breaks;

/// A fault in the wiring between the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The HotDB has a Rewinder worker compute a state that it would like to cache, and holds the
    /// trail back until it has that state.
    HotDbWaitsForRewinder,
    /// The HotDB does not answer a request for a trail that it does not have.
    NoErrorReply,
    /// The verdict leaves before the commit is acknowledged.
    VerdictBeforeCommit,
    /// Quarantine looks up a block's parent in one step, and parks the block in a second table in
    /// another step.
    LookUpThenPark,
    /// Blocks are parked in a second table, and only a valid parent releases them.
    NoCascade,
    /// Replies have no reserved slots. They share the places of requests, and wait for one.
    NoReservedSlots,
    /// Quarantine does not tell Clearance the slot by which it judges.
    TwoClocks,
    /// Of attestations that are verified together, only the first is answered.
    BatchAnswersFirst,
    /// The answer to an invalid attestation is also given to those that are verified with it.
    BatchCondemned,
    /// A copy of a known block goes to the Rewinder, too.
    CopiesAreChecked,
    /// The HotDB puts a request for a trail that it does not have behind the others, to look again.
    LooksAgain,
}

/// An instance of the composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What holds if the scenario is verified.
    pub claim: &'static str,
    /// The items that the network submits, each with the words of the verdicts that it may get.
    pub items: Vec<(Item<Toy>, &'static [&'static str])>,
    /// The states that clients ask for. Each query must be answered.
    pub queries: Vec<(ToyRoot, Slot)>,
    /// The slot in which the scenario begins.
    pub first_slot: Slot,
    /// The last slot to which the clock ticks.
    pub last_slot: Slot,
    /// Whether a stop comes, which may be at any moment.
    pub stop: bool,
    /// Number of general workers.
    pub workers: usize,
    /// Number of requests that Quarantine may have under way.
    pub window: usize,
    /// Number of messages that each mailbox holds.
    pub capacity: usize,
    /// Number of items that Quarantine may hold.
    pub held: usize,
    /// Number of blocks that the HotDB may keep, the anchor included.
    pub hot_db_blocks: usize,
    /// Number of pruned roots that the HotDB remembers.
    pub pruned_roots: usize,
    /// The pinned number of distinct states, without a fault.
    pub states: u64,
}

/// A fault, the scenario that shows it, and the properties that it may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    /// The fault.
    pub fault: Fault,
    /// The hazard of which the fault is an instance.
    pub hazard: &'static Hazard,
    /// What goes wrong.
    pub claim: &'static str,
    /// Name of the scenario.
    pub scenario: &'static str,
    /// The properties, one of which must be reported as broken.
    pub violates: &'static [Breaks],
}

impl Twin {
    /// Returns the scenario that shows the fault.
    ///
    /// # Panics
    /// If no scenario has the name that the twin gives.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        scenario(self.scenario).unwrap_or_else(|| panic!("no scenario {}", self.scenario))
    }
}

/// Every twin.
pub const TWINS: &[Twin] = &[
    Twin {
        fault: Fault::HotDbWaitsForRewinder,
        hazard: &hazard::R3,
        claim: "the HotDB waits for a worker while all workers wait for the HotDB",
        scenario: "invalid",
        violates: &[Breaks::Property("no deadlock")],
    },
    Twin {
        fault: Fault::NoErrorReply,
        hazard: &hazard::R4,
        claim: "two requests for an unknown root stop two workers",
        scenario: "queries",
        violates: &[Breaks::Property("no deadlock")],
    },
    Twin {
        fault: Fault::VerdictBeforeCommit,
        hazard: &hazard::R6,
        claim: "a child is released whose parent is not in the HotDB",
        scenario: "chain",
        violates: &[Breaks::Property("parent first")],
    },
    Twin {
        fault: Fault::LookUpThenPark,
        hazard: &hazard::Q1,
        claim: "a child is parked after its parent's verdict and nobody releases it",
        scenario: "chain",
        violates: &[
            Breaks::Property("one verdict each"),
            Breaks::Property("nobody stranded"),
            Breaks::Property("no deadlock"),
        ],
    },
    Twin {
        fault: Fault::NoCascade,
        hazard: &hazard::Q4,
        claim: "the child of an invalid block waits for ever",
        scenario: "invalid",
        violates: &[
            Breaks::Property("one verdict each"),
            Breaks::Property("nobody stranded"),
            Breaks::Property("no deadlock"),
        ],
    },
    Twin {
        fault: Fault::NoReservedSlots,
        hazard: &hazard::M8,
        claim: "full mailboxes whose senders wait for one another",
        scenario: "siblings",
        violates: &[Breaks::Property("no deadlock")],
    },
    Twin {
        fault: Fault::TwoClocks,
        hazard: &hazard::C5,
        claim: "a block that the Quarantine takes to be of this slot is of the future to the fork choice",
        scenario: "slots",
        violates: &[Breaks::Property("imported")],
    },
    Twin {
        fault: Fault::BatchAnswersFirst,
        hazard: &hazard::Q10,
        claim: "of attestations that are verified together only the first is answered",
        scenario: "batch",
        violates: &[
            Breaks::Property("one verdict each"),
            Breaks::Property("nobody stranded"),
            Breaks::Property("no deadlock"),
        ],
    },
    Twin {
        fault: Fault::BatchCondemned,
        hazard: &hazard::Q2,
        claim: "an invalid attestation condemns those that are verified with it",
        scenario: "batch",
        violates: &[Breaks::Property("right verdicts")],
    },
    Twin {
        fault: Fault::CopiesAreChecked,
        hazard: &hazard::Q5,
        claim: "a block that comes twice is checked twice",
        scenario: "duplicates",
        violates: &[Breaks::Property("checked once")],
    },
];

/// The property that every run comes to rest.
pub(super) const COMES_TO_REST: &str = "comes to rest";

/// A twin of the search for runs without an end. The search for states without steps does not see
/// it: there always is a step.
pub const ENDLESS: Twin = Twin {
    fault: Fault::LooksAgain,
    hazard: &hazard::R4,
    claim: "the HotDB looks for ever for a root that nobody has, and the worker waits for it",
    scenario: "queries",
    violates: &[Breaks::Property(COMES_TO_REST)],
};

const VALID: &[&str] = &["ok"];

fn block(block: ToyBlock) -> Item<Toy> {
    Item::Block(block)
}

/// Every scenario.
pub const SCENARIOS: &[fn() -> Scenario] = &[
    chain,
    siblings,
    tree,
    invalid,
    forged_copy,
    slots,
    attestations,
    batch,
    queries,
    finality,
    stop,
    whole,
    duplicates,
    eviction,
    full_hot_db,
    votes_and_finality,
    forgotten_roots,
];

/// Returns the scenario of that name.
#[must_use]
pub fn scenario(name: &str) -> Option<Scenario> {
    SCENARIOS.iter().map(|make| make()).find(|scenario| scenario.name == name)
}

fn base() -> Scenario {
    Scenario {
        name: "",
        claim: "",
        items: Vec::new(),
        queries: Vec::new(),
        first_slot: 3,
        last_slot: 3,
        stop: false,
        workers: 2,
        window: 2,
        capacity: 1,
        held: 16,
        hot_db_blocks: 16,
        pruned_roots: 4,
        states: 0,
    }
}

fn chain() -> Scenario {
    Scenario {
        name: "chain",
        claim: "three blocks of a chain, in any order, are cleared parents first",
        items: vec![
            (block(ToyBlock::new(1, 0, 1)), VALID),
            (block(ToyBlock::new(2, 1, 2)), VALID),
            (block(ToyBlock::new(3, 2, 3)), VALID),
        ],
        states: 599,
        ..base()
    }
}

fn siblings() -> Scenario {
    let sibling = |root| (block(ToyBlock::new(root, 0, u64::from(root))), VALID);
    Scenario {
        name: "siblings",
        claim: "four blocks on one parent fill every mailbox, and nobody waits in a circle",
        items: (1..=4).map(sibling).collect(),
        first_slot: 4,
        last_slot: 4,
        workers: 1,
        states: 94_973,
        ..base()
    }
}

fn tree() -> Scenario {
    Scenario {
        name: "tree",
        claim: "two branches, one of them invalid, judged by two workers side by side",
        items: vec![
            (block(ToyBlock::new(1, 0, 1)), VALID),
            (block(ToyBlock::new(2, 1, 2)), VALID),
            (block(ToyBlock::new(3, 1, 3).invalid()), &["bad_state_root"]),
            (block(ToyBlock::new(4, 3, 3)), &["invalid_ancestor"]),
        ],
        capacity: 2,
        states: 8644,
        ..base()
    }
}

fn invalid() -> Scenario {
    Scenario {
        name: "invalid",
        claim: "an invalid block takes its descendants along and leaves its sibling alone",
        items: vec![
            (block(ToyBlock::new(1, 0, 1).invalid()), &["bad_state_root"]),
            (block(ToyBlock::new(2, 1, 2)), &["invalid_ancestor"]),
            (block(ToyBlock::new(3, 2, 3)), &["invalid_ancestor"]),
            (block(ToyBlock::new(4, 0, 1)), VALID),
        ],
        window: 1,
        workers: 1,
        states: 3590,
        ..base()
    }
}

fn forged_copy() -> Scenario {
    Scenario {
        name: "forged_copy",
        claim: "a badly signed copy neither shadows nor condemns the honest block",
        items: vec![
            (block(ToyBlock::new(1, 0, 1)), VALID),
            (
                block(ToyBlock::new(1, 0, 1).badly_signed()),
                &["bad_proposer_signature", "duplicate"],
            ),
            (block(ToyBlock::new(2, 1, 2)), VALID),
        ],
        states: 2895,
        ..base()
    }
}

fn slots() -> Scenario {
    Scenario {
        name: "slots",
        claim: "blocks of future slots are released by the clock, children included",
        items: vec![(block(ToyBlock::new(1, 0, 2)), VALID), (block(ToyBlock::new(2, 1, 3)), VALID)],
        first_slot: 1,
        states: 5411,
        ..base()
    }
}

fn attestations() -> Scenario {
    let vote = |id, validator| ToyAttestation {
        id,
        slot: 4,
        head: 1,
        target: Checkpoint { epoch: 1, root: 1 },
        validator,
        valid: validator == 0,
    };
    Scenario {
        name: "attestations",
        claim: "attestations wait for their block and share the load of their target's state",
        items: vec![
            (block(ToyBlock::new(1, 0, 1)), VALID),
            (Item::Attestation(vote(11, 0)), VALID),
            (Item::Attestation(vote(12, 1)), &["bad_signature"]),
        ],
        first_slot: 4,
        last_slot: 4,
        states: 1444,
        ..base()
    }
}

fn batch() -> Scenario {
    let vote = |id, valid| {
        let target = Checkpoint { epoch: 1, root: 0 };
        let vote = ToyAttestation { id, slot: 4, head: 0, target, validator: 0, valid };
        Item::Attestation(vote)
    };
    Scenario {
        name: "batch",
        claim: "attestations of one target are verified together, and each has its own verdict",
        items: vec![
            (vote(11, false), &["bad_signature"]),
            (vote(12, true), VALID),
            (vote(13, true), VALID),
        ],
        first_slot: 4,
        last_slot: 4,
        workers: 2,
        window: 3,
        states: 8374,
        ..base()
    }
}

fn queries() -> Scenario {
    Scenario {
        name: "queries",
        claim: "requests for unknown roots are answered and leave the workers to the block",
        items: vec![(block(ToyBlock::new(1, 0, 1)), VALID)],
        queries: vec![(8, 3), (9, 3)],
        states: 1520,
        ..base()
    }
}

fn duplicates() -> Scenario {
    const ONCE: &[&str] = &["ok", "duplicate"];
    Scenario {
        name: "duplicates",
        claim: "a block that comes twice, at any distance, is checked once and answered twice",
        items: vec![
            (block(ToyBlock::new(1, 0, 1)), ONCE),
            (block(ToyBlock::new(1, 0, 1)), ONCE),
            (block(ToyBlock::new(2, 1, 2)), VALID),
        ],
        states: 807,
        ..base()
    }
}

fn eviction() -> Scenario {
    Scenario {
        name: "eviction",
        claim: "a Quarantine with room for one item answers those that it has no room for",
        items: vec![
            (block(ToyBlock::new(1, 0, 1)), &["ok", "quarantine_full"]),
            (block(ToyBlock::new(2, 1, 2)), &["ok", "evicted", "quarantine_full"]),
            (block(ToyBlock::new(3, 0, 3)), &["ok", "quarantine_full"]),
        ],
        held: 1,
        states: 789,
        ..base()
    }
}

fn full_hot_db() -> Scenario {
    const EITHER: &[&str] = &["ok", "hot_db_full"];
    Scenario {
        name: "full_hot_db",
        claim: "a HotDB without room refuses a commit, and the block is given up, not condemned",
        items: vec![
            (block(ToyBlock::new(1, 0, 1)), EITHER),
            (block(ToyBlock::new(2, 0, 2)), EITHER),
            (block(ToyBlock::new(3, 0, 3)), EITHER),
        ],
        hot_db_blocks: 2,
        states: 21_163,
        ..base()
    }
}

fn votes_and_finality() -> Scenario {
    let finalizes = Some(Checkpoint { epoch: 1, root: 1 });
    let vote = ToyAttestation {
        id: 11,
        slot: 5,
        head: 3,
        target: Checkpoint { epoch: 1, root: 0 },
        validator: 0,
        valid: true,
    };
    Scenario {
        name: "votes_and_finality",
        // This scenario has found two faults. The vote waited for a block that finality had
        // refused. The vote was rejected when the block's answer came after finality had pruned
        // the block's parent. An answer of the HotDB's that comes before finality is told rejects
        // neither.
        claim: "a vote for a fork that finality prunes is answered, and not rejected",
        items: vec![
            (block(ToyBlock::new(1, 0, 4)), VALID),
            (block(ToyBlock { finalizes, ..ToyBlock::new(2, 1, 5) }), VALID),
            (block(ToyBlock::new(3, 0, 5)), &["ok", "not_descendant_of_finalized", "finalized"]),
            (Item::Attestation(vote), &["ok", "too_old"]),
        ],
        workers: 1,
        window: 1,
        first_slot: 5,
        last_slot: 5,
        states: 31_137,
        ..base()
    }
}

fn whole() -> Scenario {
    let vote = ToyAttestation {
        id: 11,
        slot: 3,
        head: 1,
        target: Checkpoint { epoch: 0, root: 0 },
        validator: 0,
        valid: true,
    };
    Scenario {
        name: "whole",
        claim: "a block, its child of the next slot, a forged copy and a vote, with the clock ticking",
        items: vec![
            (block(ToyBlock::new(1, 0, 2)), VALID),
            (
                block(ToyBlock::new(1, 0, 2).badly_signed()),
                &["bad_proposer_signature", "duplicate"],
            ),
            (block(ToyBlock::new(2, 1, 3)), VALID),
            (Item::Attestation(vote), VALID),
        ],
        first_slot: 2,
        states: 1_075_474,
        ..base()
    }
}

fn finality() -> Scenario {
    let finalizes = Some(Checkpoint { epoch: 1, root: 1 });
    Scenario {
        name: "finality",
        claim: "a fork that is judged while finality prunes it gets one verdict, and no worker stops",
        items: vec![
            (block(ToyBlock::new(1, 0, 4)), VALID),
            (block(ToyBlock { finalizes, ..ToyBlock::new(2, 1, 5) }), VALID),
            (block(ToyBlock::new(3, 0, 5)), &["ok", "not_descendant_of_finalized", "finalized"]),
        ],
        first_slot: 5,
        last_slot: 5,
        states: 15_413,
        ..base()
    }
}

fn forgotten_roots() -> Scenario {
    let finalizes = Some(Checkpoint { epoch: 1, root: 1 });
    Scenario {
        name: "forgotten_roots",
        // The HotDB no longer remembers the pruned root, so it answers that it never had the parent
        // of the fork's block. Quarantine once parked that block for ever.
        claim: "as finality, with a HotDB that remembers no pruned root",
        items: vec![
            (block(ToyBlock::new(1, 0, 4)), VALID),
            (block(ToyBlock { finalizes, ..ToyBlock::new(2, 1, 5) }), VALID),
            (block(ToyBlock::new(3, 0, 5)), &["ok", "not_descendant_of_finalized", "fault"]),
        ],
        pruned_roots: 0,
        states: 15_399,
        ..finality()
    }
}

fn stop() -> Scenario {
    const ANY: &[&str] = &["ok", "shutdown"];
    Scenario {
        name: "stop",
        claim: "whenever the stop comes, every submission has one verdict",
        items: vec![
            (block(ToyBlock::new(1, 0, 1)), VALID),
            (block(ToyBlock::new(2, 1, 2)), ANY),
            (block(ToyBlock::new(4, 9, 2)), &["shutdown"]),
        ],
        // The stop has a slot of its own, as in core, so it also comes when the mailbox is full.
        stop: true,
        states: 1401,
        ..base()
    }
}

/// Returns the job that answers a query.
pub(super) fn query((root, slot): (ToyRoot, Slot)) -> Job<Toy> {
    Job::State { root, slot }
}
