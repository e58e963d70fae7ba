//! The rules: what holds in each instance, and what its twins break.

use super::Fault;
use super::instances::{
    clock, copies, equivocations, forged_copy, invented, kinds, late, limits, missing, orphans,
    payloads, places, proof_lost, reverse_chain, second_votes, shared_orphans, strangers, turns,
    votes, votes_wait, vouching, window,
};
use crate::hazard;
use crate::rules::{Rule, Twin};
use blocksmith_engines::verdict::Breaks;

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        name: "peers_take_turns",
        claim: "two peers without a key send five bad blocks: a proven peer's block that is ready \
                waits for the check under way and no other",
        states: 8409,
        model: || turns(None),
        twins: &[twin!(
            "one_queue_for_all_peers",
            A1,
            turns,
            ErasesPeers,
            "a peer waits for few of others",
            "what is ready is checked in the order of arrival, whoever sent it"
        )],
    },
    Rule {
        name: "strangers_take_turns",
        claim: "of three peers without a key one sends a good block: once it is ready it waits for \
                one check of each other at most",
        states: 10124,
        model: || strangers(None),
        twins: &[twin!(
            "one_queue_for_all_strangers",
            A1,
            strangers,
            ErasesPeers,
            "a peer waits for few of others",
            "what is ready is checked in the order of arrival, and nobody is proven"
        )],
    },
    Rule {
        name: "copies_take_no_places",
        claim: "a peer without a key sends junk, a block behind it, and a copy in the last place: \
                once a proven peer brings the block, it waits for no check of others",
        states: 140,
        model: || places(None),
        twins: &[twin!(
            "a_copy_needs_a_place",
            A15,
            places,
            CopiesNeedAPlace,
            "a peer waits for few of others",
            "a copy without a place changes nothing, whoever brings it"
        )],
    },
    Rule {
        name: "proof_is_lost",
        claim: "a proven peer sends junk, and a good block behind it that another proven peer \
                brings, too: for that one it waits for no check of others",
        states: 213,
        model: || proof_lost(None),
        twins: &[twin!(
            "copies_are_forgotten",
            A16,
            proof_lost,
            ForgetsCopies,
            "a peer waits for few of others",
            "a copy of what is held is a duplicate, and nobody remembers who brought it"
        )],
    },
    Rule {
        name: "what_gives_way_passes_on",
        claim: "four orphans of one peer, the first brought by two others as well, and room for \
                two: none of the others' is dropped for want of room",
        states: 61,
        model: || shared_orphans(None),
        twins: &[twin!(
            "gives_way_for_all",
            A16,
            shared_orphans,
            EvictsForAll,
            "a peer below its share finds room",
            "what gives way for its first sender is dropped for all who have brought it"
        )],
    },
    Rule {
        name: "requests_take_turns",
        claim: "a peer invents the parents of three blocks, one request a tick: what another \
                peer's block waits for is asked for every other time at least",
        states: 3003,
        model: || invented(None),
        twins: &[twin!(
            "one_queue_of_requests",
            A17,
            invented,
            ErasesPeers,
            "what is missing is asked for again",
            "the root that has been due for longest is asked for next, whoever's item waits for it"
        )],
    },
    Rule {
        name: "room_of_each_kind",
        claim: "four attestations to unknown blocks and room for two of a kind: no block is dropped",
        states: 779,
        model: || kinds(None),
        twins: &[twin!(
            "one_room_for_all_kinds",
            A2,
            kinds,
            OneRoom,
            "a peer below its share finds room",
            "one bound counts attestations and blocks together"
        )],
    },
    Rule {
        name: "proposals_are_bounded",
        claim: "five valid blocks of one slot and proposer and a bound of one: no more are \
                imported than are checked when the bound is reached, and one is passed on",
        states: 352,
        model: || equivocations(None),
        twins: &[
            twin!(
                "proposals_without_bound",
                A3,
                equivocations,
                AnyProposals,
                "few blocks of one proposer are imported",
                "every valid block of one slot and proposer is imported"
            ),
            twin!(
                "every_proposal_is_passed_on",
                A3,
                equivocations,
                RelaysAll,
                "one block of a proposer is passed on",
                "every valid block of one slot and proposer is passed on to peers"
            ),
        ],
    },
    Rule {
        name: "what_is_built_on_is_let_in",
        claim: "two blocks of a slot and proposer are kept, and a proven peer with its key vouches \
                for all that it may: the one that another proven peer builds on is let in",
        states: 8570,
        model: || Box::new(vouching(None)),
        twins: &[
            Twin {
                name: "nobody_vouches",
                hazard: &hazard::A18,
                claim: "the bound on blocks of one slot and proposer is the same for all that are \
                        waited for, whoever makes the blocks that wait",
                model: || Box::new(vouching(Some(Fault::NobodyVouches))),
                breaks: &[Breaks::Property("what an honest peer builds on is let in")],
            },
            Twin {
                name: "all_vouch_as_one",
                hazard: &hazard::A18,
                claim: "what blocks that wait vouch for is counted for all peers together",
                model: || Box::new(vouching(Some(Fault::ErasesPeers))),
                breaks: &[Breaks::Property("what an honest peer builds on is let in")],
            },
        ],
    },
    Rule {
        name: "chain_comes_backwards",
        claim: "a chain of four comes backwards from a peer that may hold two: each ancestor is \
                let in, and what still waits goes after its patience of four slots",
        states: 6301,
        model: || reverse_chain(None),
        twins: &[
            twin!(
                "quota_before_judgement",
                A5,
                reverse_chain,
                QuotaFirst,
                "what others wait for is let in",
                "the quota refuses the block that would release what fills the quota"
            ),
            twin!(
                "endless_patience",
                A5,
                reverse_chain,
                EndlessPatience,
                "nothing waits beyond its patience",
                "what waits never expires"
            ),
        ],
    },
    Rule {
        name: "late_blocks",
        claim: "blocks at and before the slot that becomes final at any time: none that is valid \
                is rejected",
        states: 10996,
        model: || late(None),
        twins: &[twin!(
            "late_is_invalid",
            A7,
            late,
            RejectsTheLate,
            "no valid item is rejected",
            "a block that finality has passed is rejected"
        )],
    },
    Rule {
        name: "limits_punish_nobody",
        claim: "valid items beyond the bounds on items, peers, depth, time and proposals: none is \
                rejected",
        states: 18157,
        model: || Box::new(limits(None)),
        twins: &[Twin {
            name: "beyond_a_limit_is_invalid",
            hazard: &hazard::C15,
            claim: "an item that a limit of ours turns away is rejected",
            model: || Box::new(limits(Some(Fault::RejectsBeyondLimits))),
            breaks: &[Breaks::Property("no valid item is rejected")],
        }],
    },
    Rule {
        name: "first_votes",
        claim: "two votes of one validator, and an aggregate with a part of it, checked at the \
                same time: one vote is accepted, and no part after the whole",
        states: 1509,
        model: || votes(None),
        twins: &[
            twin!(
                "every_vote_counts",
                A8,
                votes,
                OtherVoters,
                "one vote of a validator is accepted",
                "votes of one validator are taken for those of several"
            ),
            twin!(
                "every_sum_counts",
                A8,
                votes,
                OtherData,
                "no part of an aggregate is accepted after it",
                "aggregates of the same data are not compared with each other"
            ),
        ],
    },
    Rule {
        name: "second_votes",
        claim: "three votes of one validator from two peers: one is accepted, and at least two \
                are shown to Clearance",
        states: 139,
        model: || second_votes(None),
        twins: &[twin!(
            "second_votes_are_ignored_unlooked_at",
            A20,
            second_votes,
            IgnoresSecondVotes,
            "two votes of a validator are shown",
            "a second vote of a validator is ignored before its check, and nobody sees the offence"
        )],
    },
    Rule {
        name: "copies_cost_a_look_up",
        claim: "two forged blocks and a valid one come several times: each is checked once",
        states: 2502,
        model: || copies(None),
        twins: &[twin!(
            "invalid_is_forgotten",
            A9,
            copies,
            ForgetsTheInvalid,
            "an item is checked once",
            "what was found invalid is not remembered"
        )],
    },
    Rule {
        name: "forged_copies",
        claim: "copies of a block under other signatures, before it and beside it: it is judged \
                for itself",
        states: 979,
        model: || forged_copy(None),
        twins: &[twin!(
            "root_is_the_key",
            C10,
            forged_copy,
            KeyIsRoot,
            "a forged copy takes nothing from a block",
            "copies are recognised by their roots, whatever their signatures"
        )],
    },
    Rule {
        name: "missing_is_asked_for_again",
        claim: "blocks whose parents are missing: the parents are asked for again with a pause \
                that doubles, until they come",
        states: 14661,
        model: || missing(None),
        twins: &[
            twin!(
                "asked_for_once",
                A11,
                missing,
                AsksOnce,
                "what is missing is asked for again",
                "a missing block is asked for once"
            ),
            twin!(
                "timer_not_set_again",
                C2,
                missing,
                TimerNotSetAgain,
                "what is missing is asked for again",
                "the timer is not set again after its first tick"
            ),
        ],
    },
    Rule {
        name: "clock_steps_back",
        claim: "blocks of this slot and later ones while the clock steps back: they are bounded, \
                released by ticks, and what was released is not parked again",
        states: 4154,
        model: || clock(None),
        twins: &[
            twin!(
                "parked_again",
                A14,
                clock,
                ParksAgain,
                "what was released is not parked again",
                "a block that is ready waits for its slot again when the clock has stepped back"
            ),
            twin!(
                "tick_after_a_step_back",
                Q11,
                clock,
                LosesATick,
                "nothing waits for a slot that has come",
                "the tick after one that stepped back releases nothing"
            ),
            twin!(
                "any_number_waits",
                Q11,
                clock,
                AnyNumber,
                "what is held is bounded",
                "blocks of later slots are parked without a bound"
            ),
        ],
    },
    Rule {
        name: "orphans_leave_room",
        claim: "two peers with three orphans each, room for three: an orphan of a peer below its \
                share is not dropped",
        states: 268,
        model: || orphans(None),
        twins: &[twin!(
            "orphans_of_all_in_one_room",
            C14,
            orphans,
            ErasesPeers,
            "a peer below its share finds room",
            "what waits is bounded for all peers together"
        )],
    },
    Rule {
        name: "votes_wait_for_their_block",
        claim: "votes for a block that comes at any time: its import releases them",
        states: 9308,
        model: || votes_wait(None),
        twins: &[
            twin!(
                "woken_by_votes",
                Q3,
                votes_wait,
                ImportsWithVotes,
                "nothing waits for a block that is there",
                "what waits for a block is released when a vote has been imported"
            ),
            twin!(
                "woken_by_a_tick",
                C13,
                votes_wait,
                ImportsAtTick,
                "nothing waits for a block that is there",
                "what waits for a block is released by the next tick"
            ),
            twin!(
                "parked_after_the_import",
                C1,
                votes_wait,
                LookUpThenPark,
                "nothing waits for a block that is there",
                "a vote's block is imported between the look-up and the parking"
            ),
        ],
    },
    Rule {
        name: "children_wait_for_payloads",
        claim: "blocks that are built on their parents' payloads, and a payload vote: each \
                payload, at any time, releases what waits for it",
        states: 5573,
        model: || payloads(None),
        twins: &[
            twin!(
                "early_payload_is_dropped",
                Q1,
                payloads,
                DropsEarlyPayloads,
                "nothing waits for a payload that is there",
                "a payload that comes before its block is not told, and nothing tells it later"
            ),
            twin!(
                "payload_told_by_a_tick",
                C13,
                payloads,
                PayloadsAtTick,
                "nothing waits for a payload that is there",
                "what waits for a payload is released by the next tick"
            ),
        ],
    },
    Rule {
        name: "window_is_fixed",
        claim: "five items and a window of two: at most two checks are under way",
        states: 2974,
        model: || window(None),
        twins: &[twin!(
            "no_window",
            Q7,
            window,
            AnyWindow,
            "checks under way fit the window",
            "whatever is ready is sent off"
        )],
    },
];
