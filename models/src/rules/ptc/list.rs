//! The instances, what holds in each, and what its twins break.

use blocksmith::payload_attestation::Request;

use super::Fault;
use super::model::{Ptc, Spent};
use crate::hazard;
use crate::rules::{Instance, Rule, Twin};
use blocksmith_engines::verdict::Breaks;

/// Two validators on one branch, who vote in slots 4 and 5. Every millisecond counts from the time
/// for the data of slot 4 on.
fn base(fault: Option<Fault>) -> Ptc {
    Ptc {
        fault,
        branches: vec![vec![(1, 4), (2, 5)]],
        nodes: vec![0],
        hung: Vec::new(),
        blind: Vec::new(),
        keys: vec![1, 2],
        dead: Vec::new(),
        learns: None,
        clock: vec![48, 54, 55, 56, 57, 58, 60, 66, 67, 68, 69, 72],
        slow: |_| false,
        is_paced: false,
        bounds: Spent::default(),
    }
}

/// The first of two nodes never answers.
fn hung(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ptc { nodes: vec![0, 0], hung: vec![0], ..base(fault) })
}

/// Two nodes, each of which sees the slot's block at any time, or never.
fn lagging(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ptc { nodes: vec![0, 0], blind: vec![0, 1], ..base(fault) })
}

/// Three signers: one at any time, one never, one at once.
fn signers(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ptc {
        branches: vec![vec![(1, 4), (2, 4), (3, 4)]],
        keys: vec![1, 2, 3],
        dead: vec![2],
        slow: |request| matches!(request, Request::Sign { key: 1, .. }),
        ..base(fault)
    })
}

/// Every answer takes a millisecond.
fn paced(fault: Option<Fault>) -> Box<dyn Instance> {
    let clock = vec![48, 49, 50, 51, 54, 55, 56, 57, 58, 59, 60];
    Box::new(Ptc { is_paced: true, clock, ..base(fault) })
}

/// Nodes that answer late, twice, or fail.
fn slow_nodes(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ptc {
        nodes: vec![0, 0],
        slow: |request| matches!(request, Request::Data { .. } | Request::Publish { .. }),
        clock: vec![48, 54, 56, 57, 60, 66],
        bounds: Spent { failures: 1, repeats: 1, ..Spent::default() },
        ..base(fault)
    })
}

/// Two nodes on two branches that list the validators the other way round; lists and data come at
/// any time, from either node.
fn branches(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ptc {
        branches: vec![vec![(1, 4), (2, 5)], vec![(2, 4), (1, 5)]],
        nodes: vec![0, 1],
        slow: |request| matches!(request, Request::Duties { epoch: 1, .. } | Request::Data { .. }),
        clock: vec![48, 54, 56],
        bounds: Spent { switches: 2, ..Spent::default() },
        ..base(fault)
    })
}

/// A node that changes its branch three times, so that it comes back to each; it answers at once.
fn look_ahead(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ptc {
        branches: vec![vec![(1, 5), (2, 6)], vec![(2, 5), (1, 6)]],
        clock: vec![48, 54, 57, 60, 66, 69, 72, 78, 81, 84],
        bounds: Spent { switches: 3, ..Spent::default() },
        ..base(fault)
    })
}

/// A validator that is learnt at any moment.
fn learnt(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ptc {
        branches: vec![vec![(1, 4), (2, 5), (3, 6)]],
        keys: vec![1, 2, 3],
        learns: Some(3),
        clock: vec![48, 54, 57, 60, 66, 69, 72, 78, 81, 84],
        ..base(fault)
    })
}

/// A process that restarts twice, whose node changes its branch, and whose signers and publications
/// take any time. Both branches list the same duties.
fn restarts(fault: Option<Fault>) -> Box<dyn Instance> {
    let duties = vec![(1, 4), (2, 5)];
    Box::new(Ptc {
        branches: vec![duties.clone(), duties],
        slow: |request| matches!(request, Request::Sign { .. } | Request::Publish { .. }),
        clock: vec![48, 54, 56, 60, 66, 68, 72],
        bounds: Spent { restarts: 2, switches: 2, ..Spent::default() },
        ..base(fault)
    })
}

/// A clock that wakes late, and steps back within a slot and over one.
fn clock(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ptc {
        branches: vec![vec![(1, 4), (2, 5), (3, 6)]],
        keys: vec![1, 2, 3],
        slow: |request| matches!(request, Request::Sign { .. } | Request::Publish { .. }),
        clock: vec![48, 54, 66, 56, 66, 62, 66, 78, 84, 96],
        ..base(fault)
    })
}

/// A node whose answer to a publication is lost.
fn lossy(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ptc {
        branches: vec![vec![(1, 4), (2, 4)]],
        slow: |request| matches!(request, Request::Publish { .. }),
        clock: vec![48, 54, 55, 56, 57, 60],
        bounds: Spent { losses: 2, ..Spent::default() },
        ..base(fault)
    })
}

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        name: "votes_with_a_hung_node",
        claim: "the first of two beacon nodes never answers: every vote leaves by the deadline",
        states: 13,
        model: || hung(None),
        twins: &[twin!(
            "a_hung_node_uses_up_the_time",
            P2,
            hung,
            FirstNodeOnly,
            "a vote leaves by the deadline",
            "data are asked of the first node alone, which hangs"
        )],
    },
    Rule {
        name: "votes_on_a_late_block",
        claim: "two beacon nodes see a slot's block at any time: a vote leaves by the deadline if \
                one has it before",
        states: 1178,
        model: || lagging(None),
        twins: &[
            twin!(
                "no_block_is_taken_for_the_answer",
                P3,
                lagging,
                NoBlockIsFinal,
                "a vote leaves by the deadline",
                "once a node has said that there is no block, no node is asked any more"
            ),
            twin!(
                "the_first_node_alone_is_asked",
                V9,
                lagging,
                FirstNodeOnly,
                "a vote leaves by the deadline",
                "the first node has seen no block, and the second is not asked"
            ),
        ],
    },
    Rule {
        name: "votes_with_slow_and_dead_signers",
        claim: "one signer answers at any time and one never: what is signed by the deadline leaves \
                by it",
        states: 51,
        model: || signers(None),
        twins: &[twin!(
            "votes_leave_after_the_slowest",
            V7,
            signers,
            WaitsForAll,
            "a vote leaves by the deadline",
            "what is signed waits for the last signature of the slot"
        )],
    },
    Rule {
        name: "votes_at_a_steady_pace",
        claim: "every answer takes a twelfth of a slot: every vote leaves by the deadline",
        states: 12,
        model: || paced(None),
        twins: &[twin!(
            "begun_at_the_deadline",
            P1,
            paced,
            BeginsAtTheDeadline,
            "a vote leaves by the deadline",
            "the data are asked for at the deadline"
        )],
    },
    Rule {
        name: "votes_with_slow_nodes",
        claim: "beacon nodes answer late, twice or not at all: each duty ends once, with its slot",
        states: 329,
        model: || slow_nodes(None),
        twins: &[twin!(
            "the_clock_waits_for_a_node",
            P8,
            slow_nodes,
            WaitsForTheNode,
            "each duty ends with its slot",
            "the clock is not read while a node is waited for"
        )],
    },
    Rule {
        name: "votes_on_two_branches",
        claim: "two beacon nodes on two branches, with two changes between lists and data: what is \
                signed is of the branch of the data's block",
        states: 62460,
        model: || branches(None),
        twins: &[
            twin!(
                "votes_of_a_list_under_another_root",
                V8,
                branches,
                RootOfAnother,
                "what is signed is of the head's branch",
                "a list of one branch is told under the root of the other"
            ),
            twin!(
                "votes_of_a_list_that_straddles",
                D2,
                branches,
                KeepsUnderAnotherRoot,
                "what is signed is of the head's branch",
                "a list is kept under the root that a request before it gave"
            ),
            twin!(
                "votes_without_comparison",
                D3,
                branches,
                HeadsAgree,
                "what is signed is of the head's branch",
                "heads say nothing of what duties depend on, so that a duty is done on any branch"
            ),
            twin!(
                "votes_with_one_root_an_epoch",
                D5,
                branches,
                OneRoot,
                "what is signed is of the head's branch",
                "the root of the first head is taken for that of every head"
            ),
        ],
    },
    Rule {
        name: "votes_of_the_next_slots",
        claim: "a beacon node changes its branch three times: the votes that the branch lists for a \
                later slot are sent",
        states: 674,
        model: || look_ahead(None),
        twins: &[twin!(
            "votes_of_a_list_that_is_kept",
            D4,
            look_ahead,
            KeepsTheFirstList,
            "the branch's duties are done",
            "the first list of an epoch is kept, whatever root the head has"
        )],
    },
    Rule {
        name: "votes_of_a_validator_learnt_late",
        claim: "a validator is learnt at any moment: its votes in later slots are sent",
        states: 77,
        model: || learnt(None),
        twins: &[twin!(
            "votes_asked_for_by_root_alone",
            D1,
            learnt,
            KeepsByRoot,
            "the branch's duties are done",
            "a list is asked for again only if its root has changed"
        )],
    },
    Rule {
        name: "votes_across_restarts",
        claim: "a process restarts twice, its node changes its branch, and what it had asked for is \
                carried out later or not: there is one vote of (slot, validator)",
        states: 68197,
        model: || restarts(None),
        twins: &[twin!(
            "votes_again_after_a_restart",
            V10,
            restarts,
            BeginsAtOnce,
            "one vote of (slot, validator)",
            "a process votes in the slot in which it begins"
        )],
    },
    Rule {
        name: "votes_with_a_clock_that_jumps",
        claim: "the clock wakes late, and steps back within a slot and over one: each duty ends \
                once with its slot, and there is one vote",
        states: 347,
        model: || clock(None),
        twins: &[twin!(
            "a_late_wake_votes_for_a_slot_that_is_over",
            P5,
            clock,
            ReadsBeforeWaiting,
            "nothing is signed for a slot that is over",
            "the machine is told of the time at which a wait began"
        )],
    },
    Rule {
        name: "votes_with_lost_confirmations",
        claim: "two answers to publications are lost: what a node has taken is told as sent, and \
                nothing else is",
        states: 45,
        model: || lossy(None),
        twins: &[
            twin!(
                "a_known_vote_is_told_as_refused",
                P4,
                lossy,
                TriesInSilence,
                "what has arrived is told as sent",
                "a vote is sent again after its answer was lost, and the refusal is told"
            ),
            twin!(
                "a_lost_answer_is_told_as_none_taken",
                P4,
                lossy,
                LostIsNotTaken,
                "what has arrived is told as sent",
                "a vote whose answer was lost is told as not taken, and its refusal then as one"
            ),
            twin!(
                "told_as_sent_before_it_has_left",
                P7,
                lossy,
                ConfirmsFirst,
                "what is told as sent has arrived",
                "a vote is told as sent before it has left"
            ),
        ],
    },
];
