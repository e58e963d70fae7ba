//! The instances, what holds in each, and what its twins break.

use blocksmith::beacon_validator::toy::ToyDuties;
use blocksmith::beacon_validator::{Head, Listed, Message, Place, Request};

use super::Fault;
use super::model::{Branch, Validators};
use super::node::Lie;
use crate::hazard;
use crate::rules::{Instance, Rule, Twin};
use blocksmith_engines::verdict::Breaks;

fn proposer(slot: u64, key: u8) -> Listed<u8> {
    Listed { key, validator: key.into(), slot, place: None }
}

fn attester(slot: u64, key: u8, committee: u64) -> Listed<u8> {
    let position = u64::from(key);
    let place = Place { committee, committee_length: 8, committees_at_slot: 2, position };
    Listed { place: Some(place), ..proposer(slot, key) }
}

/// A branch whose last two epochs' blocks are its own.
fn branch(number: u8, proposers: &[Listed<u8>], attesters: &[Listed<u8>]) -> Branch {
    let dependent = number * 10;
    Branch {
        head: Head {
            root: dependent + 3,
            slot: 3,
            current_dependent: dependent,
            previous_dependent: dependent,
        },
        proposers: proposers.to_vec(),
        attesters: attesters.to_vec(),
    }
}

fn base(fault: Option<Fault>, branches: Vec<Branch>) -> Validators {
    Validators {
        fault,
        branches,
        starts_on: vec![0],
        keys: vec![1],
        dead: Vec::new(),
        clock: vec![52, 54, 60],
        slow: |_| false,
        restarts: 0,
        failures: 0,
        repeats: 0,
        switches: 0,
        lies: 0,
        losses: 0,
        holds: 0,
        panics: 0,
        learns: None,
    }
}

/// Whether a request is about a block or an attestation that is signed.
fn is_of_signing(request: &Request<ToyDuties>) -> bool {
    match request {
        Request::Protect(_) => true,
        Request::Sign { message, .. } => message.is_protected(),
        _ => false,
    }
}

fn is_sign(request: &Request<ToyDuties>) -> bool {
    matches!(request, Request::Sign { message, .. } if !matches!(message, Message::Selection(_)))
}

/// Two processes with one key and one database, each with a node on its own branch.
fn processes(fault: Option<Fault>) -> Box<dyn Instance> {
    let lists = |number| branch(number, &[proposer(4, 1)], &[attester(4, 1, 0)]);
    let mut model = base(fault, vec![lists(0), lists(1)]);
    model.starts_on = vec![0, 1];
    model.slow = is_of_signing;
    model.restarts = 1;
    Box::new(model)
}

/// A process that restarts, and whose node changes its branch.
fn restarts(fault: Option<Fault>) -> Box<dyn Instance> {
    let lists = |number| branch(number, &[proposer(5, 1)], &[attester(4, 1, 0)]);
    let mut model = base(fault, vec![lists(0), lists(1)]);
    model.slow = is_of_signing;
    model.clock = vec![52, 60, 64, 72];
    model.restarts = 2;
    model.switches = 2;
    Box::new(model)
}

/// Two keys whose signers answer late, twice, or fail; one of them proposes and attests.
fn signers(fault: Option<Fault>) -> Box<dyn Instance> {
    let lists = branch(0, &[proposer(4, 1)], &[attester(4, 1, 0), attester(4, 3, 0)]);
    let mut model = base(fault, vec![lists]);
    model.keys = vec![1, 3];
    model.slow = is_sign;
    model.clock = vec![52, 56, 60];
    model.failures = 1;
    model.repeats = 1;
    Box::new(model)
}

/// Three keys, and a signer of one of them that never answers.
fn dead_signer(fault: Option<Fault>) -> Box<dyn Instance> {
    let attesters = [attester(4, 1, 0), attester(4, 2, 0), attester(4, 3, 1)];
    let lists = branch(0, &[proposer(4, 1)], &attesters);
    let mut model = base(fault, vec![lists]);
    model.keys = vec![1, 2, 3];
    model.dead = vec![2];
    model.clock = vec![52, 54, 56, 58, 60];
    Box::new(model)
}

/// Two branches with other duties; lists, blocks and data come at any time.
fn branches(fault: Option<Fault>) -> Box<dyn Instance> {
    let first = branch(0, &[proposer(4, 1)], &[attester(4, 1, 0)]);
    let second = branch(1, &[proposer(5, 1)], &[attester(5, 1, 1)]);
    let mut model = base(fault, vec![first, second]);
    model.slow = |request| {
        let of_epoch_1 = matches!(request, Request::Duties { epoch: 1, .. });
        let of_node = matches!(request, Request::Produce { .. } | Request::Data { .. });
        of_epoch_1 || of_node
    };
    model.clock = vec![52, 60, 64];
    model.switches = 2;
    Box::new(model)
}

/// A clock that steps back and wakes late.
fn clock(fault: Option<Fault>) -> Box<dyn Instance> {
    let attesters = [attester(4, 1, 0), attester(5, 3, 0), attester(6, 5, 0)];
    let lists = branch(0, &[proposer(5, 1)], &attesters);
    let mut model = base(fault, vec![lists]);
    model.keys = vec![1, 3, 5];
    model.slow = is_of_signing;
    model.clock = vec![52, 60, 52, 64, 80, 66, 84];
    Box::new(model)
}

/// A node with two branches that lies twice, about lists, blocks and data.
fn lying(fault: Option<Fault>) -> Box<dyn Instance> {
    let first = branch(0, &[proposer(4, 1)], &[attester(4, 1, 0)]);
    let second = branch(1, &[proposer(5, 1)], &[attester(5, 1, 1)]);
    let mut model = base(fault, vec![first, second]);
    model.slow = |request| !Lie::about(request).is_empty();
    model.clock = vec![52, 60, 64];
    model.lies = 2;
    Box::new(model)
}

/// Two branches that list other validators for a slot, and lists that are held up while the node
/// changes branches.
fn straddled(fault: Option<Fault>) -> Box<dyn Instance> {
    let first = branch(0, &[], &[attester(5, 1, 0), attester(6, 5, 0)]);
    let second = branch(1, &[], &[attester(5, 3, 0), attester(6, 7, 0)]);
    let mut model = base(fault, vec![first, second]);
    model.keys = vec![1, 3, 5, 7];
    model.clock = vec![54, 60, 64, 72, 76, 84];
    model.holds = 2;
    model.switches = 3;
    Box::new(model)
}

/// A validator that is learnt at any moment.
fn learnt(fault: Option<Fault>) -> Box<dyn Instance> {
    let attesters = [attester(4, 1, 0), attester(5, 3, 0), attester(6, 5, 0)];
    let mut model = base(fault, vec![branch(0, &[], &attesters)]);
    model.keys = vec![1, 3, 5];
    model.learns = Some(5);
    model.clock = vec![52, 60, 64, 72, 76, 84];
    Box::new(model)
}

/// A node whose answer to a publication is lost.
fn lossy(fault: Option<Fault>) -> Box<dyn Instance> {
    let lists = branch(0, &[proposer(4, 1)], &[attester(4, 1, 0), attester(4, 3, 0)]);
    let mut model = base(fault, vec![lists]);
    model.keys = vec![1, 3];
    model.slow = |request| matches!(request, Request::Publish(_));
    model.clock = vec![52, 54, 56, 60];
    model.losses = 1;
    Box::new(model)
}

/// A machine that panics at any step, and whose successors go on.
fn panics(fault: Option<Fault>) -> Box<dyn Instance> {
    let attesters = [attester(4, 1, 0), attester(5, 3, 0), attester(6, 5, 0)];
    let mut model = base(fault, vec![branch(0, &[], &attesters)]);
    model.keys = vec![1, 3, 5];
    model.slow = is_of_signing;
    model.clock = vec![52, 60, 64, 72, 76];
    model.panics = 2;
    model.repeats = 1;
    Box::new(model)
}

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        name: "two_processes_one_database",
        claim: "two processes with one key on two branches, and a restart: no slashable pair \
                leaves",
        states: 9472,
        model: || processes(None),
        twins: &[
            twin!(
                "two_processes_check_and_record_apart",
                V2,
                processes,
                ChecksThenRecords,
                "no slashable pair leaves",
                "two processes check, and then both record"
            ),
            twin!(
                "signed_before_and_goes_on",
                V5,
                processes,
                SignsAgain,
                "no slashable pair leaves",
                "that another message of the slot was signed is logged, and the duty goes on"
            ),
        ],
    },
    Rule {
        name: "restart_at_any_step",
        claim: "a process restarts twice, its node changes branches, and what it had asked for is \
                carried out later or not: no slashable pair leaves, and what is signed is of its \
                head's branch",
        states: 16450,
        model: || restarts(None),
        twins: &[twin!(
            "record_after_release",
            V1,
            restarts,
            RecordsLate,
            "no slashable pair leaves",
            "a signature leaves, and the process ends before its record is written"
        )],
    },
    Rule {
        name: "late_and_doubled_answers",
        claim: "signers of two keys answer late, twice or not at all: each duty ends once by its \
                deadline, and no signature is used for another duty",
        states: 7788,
        model: || signers(None),
        twins: &[
            twin!(
                "stale_signature_is_taken",
                V3,
                signers,
                KeepsTheStale,
                "no signature is used for another duty",
                "a signature that came too late is taken for the next that was asked for"
            ),
            twin!(
                "signatures_by_position",
                V4,
                signers,
                ByPosition,
                "no signature is used for another duty",
                "each signature is given to the first request that waits"
            ),
        ],
    },
    Rule {
        name: "dead_signer",
        claim: "a signer of one of three keys never answers: all duties of the others are sent",
        states: 6,
        model: || dead_signer(None),
        twins: &[
            twin!(
                "wait_without_deadline",
                V6,
                dead_signer,
                NoDeadline,
                "a dead signer costs its own keys alone",
                "nothing happens while a signer is waited for"
            ),
            twin!(
                "published_after_the_slowest",
                V7,
                dead_signer,
                WaitsForAll,
                "a dead signer costs its own keys alone",
                "what is signed waits for the last signature of the slot"
            ),
        ],
    },
    Rule {
        name: "duties_of_two_branches",
        claim: "a node changes branches twice between lists, blocks and data: what is signed is a \
                duty on its head's branch",
        states: 59156,
        model: || branches(None),
        twins: &[
            twin!(
                "list_under_another_root",
                V8,
                branches,
                RootOfAnother,
                "what is signed is of the head's branch",
                "a list of one branch is stored under the root of the other"
            ),
            twin!(
                "duties_without_comparison",
                D3,
                branches,
                HeadsAgree,
                "what is signed is of the head's branch",
                "heads say nothing of what duties depend on, so that a duty is done on any branch"
            ),
            twin!(
                "one_root_an_epoch",
                D5,
                branches,
                OneRoot,
                "what is signed is of the head's branch",
                "the roots of an epoch's first head are taken for those of every head"
            ),
        ],
    },
    Rule {
        name: "clock_steps_and_late_wakes",
        claim: "the clock steps back into a slot that is over and skips another: each duty ends \
                once by its deadline",
        states: 322,
        model: || clock(None),
        twins: &[twin!(
            "clock_waits_for_signers",
            V6,
            clock,
            NoDeadline,
            "each duty ends by its deadline",
            "the clock is not read while a signer is waited for"
        )],
    },
    Rule {
        name: "lying_node",
        claim: "a beacon node lies twice about lists, blocks and data: no slashable pair leaves, \
                and what is signed is of the duty's slot, proposer and epoch",
        states: 6893,
        model: || lying(None),
        twins: &[twin!(
            "what_the_node_sent_is_signed",
            V11,
            lying,
            TrustsTheNode,
            "what is signed is the duty's own",
            "the signer is given what the node sent, and not what the machine has judged"
        )],
    },
    Rule {
        name: "lists_straddle_a_change_of_branch",
        claim: "a node changes branches three times while lists are held up: what the branch lists \
                for a later slot is sent",
        states: 695,
        model: || straddled(None),
        twins: &[
            twin!(
                "list_and_root_of_two_requests",
                D2,
                straddled,
                KeepsUnderAnotherRoot,
                "what is signed is of the head's branch",
                "a list is kept under a root that was asked for after it"
            ),
            twin!(
                "look_ahead_is_kept",
                D4,
                straddled,
                KeepsTheFirstList,
                "the branch's duties are done",
                "the first list of an epoch is kept, whatever root the head has"
            ),
        ],
    },
    Rule {
        name: "validator_learnt_late",
        claim: "a validator is learnt at any moment: its duties of later slots are sent",
        states: 35,
        model: || learnt(None),
        twins: &[
            twin!(
                "list_asked_for_by_root_alone",
                D1,
                learnt,
                KeepsByRoot,
                "the branch's duties are done",
                "a list is asked for again only if its root has changed"
            ),
            twin!(
                "late_wake_with_an_old_reading",
                P5,
                learnt,
                ReadsBeforeWaiting,
                "nothing is signed for a slot that is over",
                "the machine is told of the time at which a wait began"
            ),
        ],
    },
    Rule {
        name: "lost_confirmations",
        claim: "the answer to a publication is lost: what a node has taken is told as sent, and \
                nothing else is",
        states: 79,
        model: || lossy(None),
        twins: &[
            twin!(
                "loss_taken_for_a_refusal",
                P4,
                lossy,
                TakesALossForARefusal,
                "what has arrived is told as sent",
                "that no answer came is taken for a refusal"
            ),
            twin!(
                "voted_before_the_vote_has_left",
                P7,
                lossy,
                ConfirmsFirst,
                "what is told as sent has arrived",
                "a duty is marked as done before its message has left"
            ),
        ],
    },
    Rule {
        name: "panic_at_any_step",
        claim: "the machine panics twice: each duty ends once by its deadline, and no answer to a \
                machine is taken by its successor",
        states: 5330,
        model: || panics(None),
        twins: &[
            twin!(
                "duties_of_a_lost_machine_have_no_end",
                L5,
                panics,
                EndsNothing,
                "each duty has one outcome",
                "nobody ends what a machine that has panicked had begun"
            ),
            twin!(
                "successor_begins_again",
                L6,
                panics,
                SuccessorBeginsAgain,
                "each duty has one outcome",
                "a successor does the duties of a slot that its predecessor has begun"
            ),
            twin!(
                "answer_for_a_predecessor",
                M9,
                panics,
                AnswersTheSuccessor,
                "no signature is used for another duty",
                "an answer is taken by the successor's request of the same number"
            ),
        ],
    },
];
