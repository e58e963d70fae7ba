//! The surroundings, each of which shows one fault, and what holds of the mended design in them.

use super::{Design, Fault, GOOD, LATE, Node, Trouble};
use crate::hazard;
use crate::rules::{Instance, Rule, Twin};
use blocksmith_engines::verdict::Breaks;

/// A node that changes its branch after its list was given.
fn changes(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { switches: 1, ..Design::of(fault) })
}

/// A node that changes its branch between the two answers about a list, and back.
fn straddles(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { switches: 2, goes_back: true, has_slow_lists: true, ..Design::of(fault) })
}

/// Two nodes on two branches, of which either gives the list.
fn differs(fault: Option<Fault>) -> Box<dyn Instance> {
    let nodes = vec![GOOD, Node { branch: 1, ..GOOD }];
    Box::new(Design { nodes, has_slow_lists: true, ..Design::of(fault) })
}

fn learns(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { learns: true, ..Design::of(fault) })
}

fn paced(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { pace: 1, ..Design::of(fault) })
}

fn hangs(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { nodes: vec![Node { hangs: true, ..GOOD }, GOOD], ..Design::of(fault) })
}

fn lacks_block(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { nodes: vec![Node { sees: false, ..GOOD }, GOOD], ..Design::of(fault) })
}

/// Two validators vote in slot 2, and the signer of one of them never answers.
fn dead_signer(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { dead: Some(LATE), has_third: true, ..Design::of(fault) })
}

fn restarts(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { restarts: 1, ..Design::of(fault) })
}

/// A node that changes its branch after the list of a later epoch was had from it.
fn looks_ahead(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { looks_ahead: true, switches: 1, ..Design::of(fault) })
}

/// A node that never answers the first request for a list.
fn loses_list(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { loses_list: true, ..Design::of(fault) })
}

/// Two nodes, of which the first takes a publication and does not say so.
fn loses_answer(fault: Option<Fault>) -> Box<dyn Instance> {
    let trouble = Some(Trouble::LosesAnswer);
    Box::new(Design { nodes: vec![GOOD, GOOD], trouble, ..Design::of(fault) })
}

/// A node that cannot be reached for one publication.
fn breaks(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { trouble: Some(Trouble::NoConnection), ..Design::of(fault) })
}

/// A process that sleeps while its signer works.
fn sleeps(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { sleeps: true, signs_in: 1, ..Design::of(fault) })
}

fn stream_ends(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Design { has_stream: true, ..Design::of(fault) })
}

/// One rule for each of the surroundings: the mended design holds in it, and the one that was
/// described does not.
pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        name: "design_and_a_change_of_branch_mended",
        claim: "a node changes its branch once: votes are in time, of their branch, and one of each",
        states: 83,
        model: || changes(None),
        twins: &[twin!(
            "design_and_a_change_of_branch",
            D3,
            changes,
            AsDescribed,
            "what is signed is of the head's branch",
            "duties are looked up by slot alone, whatever branch the data are of"
        )],
    },
    Rule {
        name: "design_and_a_change_back_mended",
        claim: "a node changes its branch between two answers about a list, and back: votes are in time, of their branch, and one of each",
        states: 374,
        model: || straddles(None),
        twins: &[twin!(
            "design_and_a_change_back",
            D2,
            straddles,
            AsDescribed,
            "what is signed is of the head's branch",
            "the duties of the second answer are kept under the root of the first"
        )],
    },
    Rule {
        name: "design_and_nodes_that_differ_mended",
        claim: "lists come from either of two nodes on two branches: votes are in time, of their branch, and one of each",
        states: 287,
        model: || differs(None),
        twins: &[twin!(
            "design_and_nodes_that_differ",
            D5,
            differs,
            AsDescribed,
            "what is signed is of the head's branch",
            "an epoch has one root and one list, though another node is on another branch"
        )],
    },
    Rule {
        name: "design_and_a_late_validator_mended",
        claim: "a validator is learnt at any moment: votes are in time, of their branch, and one of each",
        states: 189,
        model: || learns(None),
        twins: &[twin!(
            "design_and_a_late_validator",
            D1,
            learns,
            AsDescribed,
            "the branch's duties are done",
            "nothing is asked for while the root stays, so that a new validator has no duties"
        )],
    },
    Rule {
        name: "design_at_a_steady_pace_mended",
        claim: "every answer takes an eighth of a slot: votes are in time, of their branch, and one of each",
        states: 18,
        model: || paced(None),
        twins: &[twin!(
            "design_at_a_steady_pace",
            P1,
            paced,
            AsDescribed,
            "a vote leaves by the deadline",
            "the data are asked for at three quarters, when the votes are due"
        )],
    },
    Rule {
        name: "design_and_a_hung_node_mended",
        claim: "the first of two nodes never answers: votes are in time, of their branch, and one of each",
        states: 18,
        model: || hangs(None),
        twins: &[twin!(
            "design_and_a_hung_node",
            P2,
            hangs,
            AsDescribed,
            "a vote leaves by the deadline",
            "nodes are asked one after the other, and the first never answers"
        )],
    },
    Rule {
        name: "design_and_a_node_without_the_block_mended",
        claim: "the first of two nodes has no block: votes are in time, of their branch, and one of each",
        states: 18,
        model: || lacks_block(None),
        twins: &[twin!(
            "design_and_a_node_without_the_block",
            P3,
            lacks_block,
            AsDescribed,
            "a vote leaves by the deadline",
            "the first success is taken, and that there is no block is one"
        )],
    },
    Rule {
        name: "design_and_a_dead_signer_mended",
        claim: "the signer of one of two validators never answers: votes are in time, of their branch, and one of each",
        states: 18,
        model: || dead_signer(None),
        twins: &[twin!(
            "design_and_a_dead_signer",
            V7,
            dead_signer,
            AsDescribed,
            "a vote leaves by the deadline",
            "all signatures are awaited before one request publishes them"
        )],
    },
    Rule {
        name: "design_and_a_restart_mended",
        claim: "the process restarts at any moment: votes are in time, of their branch, and one of each",
        states: 83,
        model: || restarts(None),
        twins: &[twin!(
            "design_and_a_restart",
            V10,
            restarts,
            AsDescribed,
            "one vote of (slot, validator)",
            "nothing tells a process what the one before it has signed in the slot"
        )],
    },
    Rule {
        name: "design_and_a_list_had_ahead_mended",
        claim: "a node changes its branch after it gave a later epoch's list: what the branch lists is done",
        states: 189,
        model: || looks_ahead(None),
        twins: &[twin!(
            "design_and_a_list_had_ahead",
            D4,
            looks_ahead,
            AsDescribed,
            "the branch's duties are done",
            "the list of a later epoch is had ahead, and each slot asks for the present epoch's root"
        )],
    },
    Rule {
        name: "design_and_a_list_without_answer_mended",
        claim: "the first request for a list is never answered: votes are in time, of their branch, and one of each",
        states: 18,
        model: || loses_list(None),
        twins: &[twin!(
            "design_and_a_list_without_answer",
            P8,
            loses_list,
            AsDescribed,
            "a vote leaves by the deadline",
            "the loop that asks once a slot waits for an answer, and so asks no more"
        )],
    },
    Rule {
        name: "design_and_a_lost_answer_mended",
        claim: "a node takes one publication and does not say so: what it has taken is told as sent",
        states: 50,
        model: || loses_answer(None),
        twins: &[twin!(
            "design_and_a_lost_answer",
            P4,
            loses_answer,
            AsDescribed,
            "what has arrived is told as sent",
            "the second node refuses what it knows from the first, and the refusal is told"
        )],
    },
    Rule {
        name: "design_and_a_broken_connection_mended",
        claim: "a node cannot be reached for one publication: votes are in time all the same",
        states: 56,
        model: || breaks(None),
        twins: &[twin!(
            "design_and_a_broken_connection",
            P7,
            breaks,
            AsDescribed,
            "a vote leaves by the deadline",
            "the slot is done once its task has begun, and a publication that fails is not tried again"
        )],
    },
    Rule {
        name: "design_and_a_late_wake_mended",
        claim: "the process sleeps once while its signer works: no vote leaves after its slot",
        states: 67,
        model: || sleeps(None),
        twins: &[twin!(
            "design_and_a_late_wake",
            P5,
            sleeps,
            AsDescribed,
            "nothing leaves for a slot that is over",
            "the slot is compared before the signature and not before the votes leave"
        )],
    },
    Rule {
        name: "design_and_a_closed_stream_mended",
        claim: "a stream of events beside the timer ends: each wait ends for something new",
        states: 71,
        model: || stream_ends(None),
        twins: &[twin!(
            "design_and_a_closed_stream",
            P6,
            stream_ends,
            AsDescribed,
            "a wait ends for something new",
            "a stream that has ended is waited for again, and is ready at once"
        )],
    },
];
