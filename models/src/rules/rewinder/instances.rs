//! The instances, each with its twins.

use blocksmith::consensus::{Checkpoint, Slot};
use blocksmith::hot_db::Limits;
use blocksmith::rewinder::Lane;
use blocksmith::toy::{Toy, ToyAttestation, ToyBlock, ToyRoot};

use super::Fault;
use super::model::{Ask, Rewinder, keep};
use crate::hazard;
use crate::rules::{Instance, Rule, Twin};
use blocksmith_engines::verdict::Breaks;

const VALID: &[&str] = &["ok"];

fn base(fault: Option<Fault>) -> Rewinder {
    Rewinder {
        fault,
        tasks: Vec::new(),
        prepared: 0,
        committed: Vec::new(),
        limits: Limits::default(),
        workers: 2,
        reserved: false,
        capacity: 4,
        batch: 2,
        prune: None,
        stop: false,
        panic: false,
        branches: 1,
        toy: Toy::default(),
    }
}

type Task = (Lane, Ask, &'static [&'static str]);

fn state(root: ToyRoot, slot: Slot, allowed: &'static [&'static str]) -> Task {
    (Lane::Queries, Ask::State(root, slot), allowed)
}

fn duty(root: ToyRoot, slot: Slot) -> Task {
    (Lane::Duties, Ask::State(root, slot), VALID)
}

fn block(root: ToyRoot, parent: ToyRoot, slot: Slot, allowed: &'static [&'static str]) -> Task {
    (Lane::Blocks, Ask::Block(ToyBlock::new(root, parent, slot)), allowed)
}

/// A vote for a target; its signature verifies if `valid`.
fn vote(id: ToyRoot, root: ToyRoot, epoch: u64, valid: bool) -> ToyAttestation {
    let target = Checkpoint { epoch, root };
    ToyAttestation { id, slot: 8, head: root, target, validator: 0, valid }
}

fn chain(first_slot: Slot, length: u8) -> Vec<ToyBlock> {
    let block = |root: u8| ToyBlock::new(root, root - 1, first_slot - 1 + u64::from(root));
    (1..=length).map(block).collect()
}

fn shared(fault: Option<Fault>) -> Box<dyn Instance> {
    let vote = Ask::Vote(vote(11, 0, 1, true));
    Box::new(Rewinder {
        tasks: vec![
            state(0, 3, VALID),
            state(0, 3, VALID),
            (Lane::Attestations, vote, VALID),
            block(1, 0, 4, VALID),
        ],
        ..base(fault)
    })
}

/// The state of block 3 has made room for those of the anchor and of newer blocks.
fn uncached(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut committed = chain(1, 3);
    committed.extend([ToyBlock::new(4, 3, 4), ToyBlock::new(5, 4, 9)]);
    Box::new(Rewinder {
        tasks: vec![block(8, 3, 10, VALID), block(9, 3, 11, VALID), state(5, 9, VALID)],
        committed,
        limits: Limits { checkpoint_slots: 1, passing_states: 4, ..Limits::default() },
        ..base(fault)
    })
}

fn reserved(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Rewinder {
        tasks: vec![
            block(1, 0, 4, VALID),
            state(0, 3, VALID),
            state(0, 5, VALID),
            duty(0, 2),
            duty(0, 6),
        ],
        workers: 1,
        reserved: true,
        ..base(fault)
    })
}

const DISTANCE: Slot = 100;

fn long(fault: Option<Fault>) -> Rewinder {
    Rewinder {
        limits: Limits { distance: DISTANCE, ..Limits::default() },
        workers: 1,
        ..base(fault)
    }
}

fn long_and_duty(fault: Option<Fault>) -> Box<dyn Instance> {
    let tasks =
        vec![state(0, DISTANCE, VALID), duty(0, 1), block(1, 0, DISTANCE, VALID), duty(0, 2)];
    Box::new(Rewinder { tasks, ..long(fault) })
}

fn long_and_stop(fault: Option<Fault>) -> Box<dyn Instance> {
    const EITHER: &[&str] = &["ok", "refused"];
    let tasks = vec![
        state(0, DISTANCE, EITHER),
        state(0, DISTANCE - 1, EITHER),
        block(1, 0, DISTANCE, EITHER),
    ];
    Box::new(Rewinder { tasks, workers: 2, stop: true, ..long(fault) })
}

fn far(fault: Option<Fault>) -> Box<dyn Instance> {
    let tasks = vec![state(0, DISTANCE, VALID), state(0, Slot::MAX, &["too_far"])];
    Box::new(Rewinder { tasks, ..long(fault) })
}

/// Finality moves to block 1, beside which lies block 2.
fn prune_race(fault: Option<Fault>) -> Box<dyn Instance> {
    const EITHER: &[&str] = &["ok", "pruned"];
    Box::new(Rewinder {
        tasks: vec![
            block(3, 2, 6, EITHER),
            state(2, 40, EITHER),
            state(0, 3, EITHER),
            block(4, 1, 6, VALID),
        ],
        committed: vec![ToyBlock::new(1, 0, 4), ToyBlock::new(2, 0, 5)],
        prune: Some(keep(1, 1)),
        ..base(fault)
    })
}

fn edges(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Rewinder {
        tasks: vec![
            state(0, 0, VALID),
            state(1, Slot::MAX, &["too_far"]),
            block(8, 1, 0, &["invalid"]),
            block(9, 1, Slot::MAX, &["too_far"]),
        ],
        committed: chain(1, 1),
        workers: 1,
        ..base(fault)
    })
}

fn edges_of_votes(fault: Option<Fault>) -> Box<dyn Instance> {
    let last = u64::MAX / 4;
    Box::new(Rewinder {
        tasks: vec![
            (Lane::Attestations, Ask::Vote(vote(11, 0, 0, true)), VALID),
            (Lane::Attestations, Ask::Vote(vote(12, 1, last, true)), &["too_far"]),
            (Lane::Attestations, Ask::Vote(vote(13, 1, u64::MAX, true)), &["too_far"]),
        ],
        committed: chain(1, 1),
        workers: 1,
        ..base(fault)
    })
}

/// Four old heads of epoch 1 on one branch, and forged votes of epoch 2 for three of them.
fn forged(fault: Option<Fault>) -> Box<dyn Instance> {
    let vote = |id, root| {
        let vote = vote(id, root, 2, false);
        (Lane::Attestations, Ask::Vote(vote), &["invalid"][..])
    };
    Box::new(Rewinder {
        tasks: vec![vote(11, 1), vote(12, 2), vote(13, 3), vote(14, 3)],
        committed: chain(4, 4),
        ..base(fault)
    })
}

/// A worker with a batch of votes of two targets, each longer than two steps, one of them with many
/// forged votes. Blocks and a duty come at any moment: one of the blocks on a parent whose state is
/// gone, and one that asks for what the batch has asked for.
fn batch(fault: Option<Fault>, allowed: &'static [&'static str]) -> Rewinder {
    let vote = |id: u8| {
        let vote = vote(id, 5, 3, id < 60 || !id.is_multiple_of(3));
        (Lane::Attestations, Ask::Vote(vote), allowed)
    };
    let mut committed = chain(1, 3);
    committed.extend([ToyBlock::new(4, 3, 4), ToyBlock::new(5, 4, 9)]);
    Rewinder {
        tasks: (50..50 + BATCH as u8).map(vote).collect(),
        prepared: BATCH,
        committed,
        limits: Limits { checkpoint_slots: 1, passing_states: 4, ..Limits::default() },
        workers: 1,
        capacity: BATCH,
        batch: BATCH,
        ..base(fault)
    }
}

/// Votes of a batch that is longer than two steps.
const BATCH: usize = 28;

fn batch_and_blocks(fault: Option<Fault>) -> Box<dyn Instance> {
    let mut batch = batch(fault, &["ok", "invalid"]);
    batch.tasks.extend([block(6, 3, 10, VALID), block(7, 5, 12, VALID), duty(5, 12)]);
    Box::new(batch)
}

fn batch_and_stop(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Rewinder { stop: true, ..batch(fault, &["ok", "invalid", "refused"]) })
}

fn full_lane(fault: Option<Fault>) -> Box<dyn Instance> {
    const EITHER: &[&str] = &["ok", "busy"];
    let tasks = vec![state(0, 3, EITHER), state(0, 4, EITHER), state(0, 5, EITHER)];
    Box::new(Rewinder { tasks, workers: 1, capacity: 1, ..base(fault) })
}

fn panics(fault: Option<Fault>) -> Box<dyn Instance> {
    const EITHER: &[&str] = &["ok", "fault"];
    Box::new(Rewinder {
        tasks: vec![state(0, 3, EITHER), state(0, 3, EITHER), block(1, 0, 4, EITHER)],
        panic: true,
        ..base(fault)
    })
}

fn import(fault: Option<Fault>) -> Box<dyn Instance> {
    let tasks = vec![block(1, 0, 4, VALID), block(1, 0, 4, VALID), block(2, 0, 5, VALID)];
    Box::new(Rewinder { tasks, ..base(fault) })
}

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        name: "shared_queue",
        claim: "two workers pull from the lanes: whoever is idle gets what waits, and a state that \
                two tasks need is loaded by one worker, once",
        states: 2060,
        model: || shared(None),
        twins: &[
            twin!(
                "given_to_the_ready",
                R1,
                shared,
                GivesToTheReady,
                "nothing waits for a busy worker",
                "a second task is given to a worker whose flag has not sunk, while the other idles"
            ),
            twin!(
                "load_each",
                R11,
                shared,
                ClaimsNothing,
                "a state is replayed once",
                "two workers load one state because neither says what it loads"
            ),
            twin!(
                "no_consumer",
                C3,
                shared,
                NoConsumer,
                "an idle worker gets what waits",
                "no worker serves the lanes of blocks, votes and queries"
            ),
        ],
    },
    Rule {
        name: "uncached_parent",
        claim: "two blocks on a parent whose state is gone: one worker replays it, the other puts \
                its task back and waits for nobody",
        states: 1305,
        model: || uncached(None),
        twins: &[
            twin!(
                "no_second_look",
                R11,
                uncached,
                NoSecondLook,
                "a state is replayed once",
                "a worker claims what another has reported since its trail, and replays it again"
            ),
            twin!(
                "replay_each",
                R11,
                uncached,
                ClaimsNothing,
                "a state is loaded by one",
                "two workers replay the parent of two blocks"
            ),
            twin!(
                "pool_waits_for_itself",
                C8,
                uncached,
                WaitsForThePool,
                "no deadlock",
                "every worker waits for a load that it has given to the pool of these workers"
            ),
        ],
    },
    Rule {
        name: "reserved_worker",
        claim: "with a reserved worker a duty waits for other duties alone",
        states: 5782,
        model: || reserved(None),
        twins: &[twin!(
            "one_lane",
            R2,
            reserved,
            OneLane,
            "duties wait for duties alone",
            "duties stand in one lane with everything else"
        )],
    },
    Rule {
        name: "long_load_and_duty",
        claim: "one worker, a load of 100 slots and duties at any moment: a duty waits for 32 slots \
                at most",
        states: 1133,
        model: || long_and_duty(None),
        twins: &[
            twin!(
                "one_duty_at_a_time",
                R2,
                long_and_duty,
                OneDutyAtATime,
                "a duty waits for one part",
                "of two duties that wait, a load serves one between two of its parts"
            ),
            twin!(
                "duty_behind_a_long_load",
                R2,
                long_and_duty,
                NeverLooks,
                "a duty waits for one part",
                "a worker looks for duties only between two tasks"
            ),
        ],
    },
    Rule {
        name: "long_load_and_stop",
        claim: "two workers, loads of 100 slots and a stop at any moment: a load runs 32 slots at \
                most after the stop, and is refused",
        states: 3740,
        model: || long_and_stop(None),
        twins: &[twin!(
            "stop_behind_a_long_load",
            A12,
            long_and_stop,
            NeverLooks,
            "a stop waits for one part",
            "a worker looks for the stop only between two tasks"
        )],
    },
    Rule {
        name: "far_slot",
        claim: "a state of a far slot is refused, and no load runs more slots than the bound",
        states: 25,
        model: || far(None),
        twins: &[twin!(
            "any_distance",
            A12,
            far,
            AnyDistance,
            "the distance is bounded",
            "a state may be advanced to any slot, and takes its worker for good"
        )],
    },
    Rule {
        name: "prune_race",
        claim: "finality prunes a branch at any moment, also while a trail of it is out: each task \
                is answered, with what it asked for or with the word that it was pruned",
        states: 8556,
        model: || prune_race(None),
        twins: &[
            twin!(
                "pruned_in_silence",
                R5,
                prune_race,
                PrunedInSilence,
                "no deadlock",
                "a block that was there at the look-up is pruned before its trail, and nobody says so"
            ),
            twin!(
                "pruned_is_unknown",
                R5,
                prune_race,
                PrunedIsForgotten,
                "right answers",
                "a pruned parent is called unknown, so that its child would wait for it"
            ),
        ],
    },
    Rule {
        name: "edges_of_slots",
        claim: "slots and epochs at 0 and at the largest number are answered, and nothing wraps",
        states: 436,
        model: || edges(None),
        twins: &[twin!(
            "slot_wraps",
            R14,
            edges,
            SlotWraps,
            "right answers",
            "the slot before is computed without a check, and wraps at 0"
        )],
    },
    Rule {
        name: "edges_of_epochs",
        claim: "votes of the first and of the last epoch are answered, and no start of an epoch wraps",
        states: 78,
        model: || edges_of_votes(None),
        twins: &[twin!(
            "epoch_wraps",
            R14,
            edges_of_votes,
            EpochWraps,
            "right answers",
            "the start of an epoch is computed without a check, and wraps at the last"
        )],
    },
    Rule {
        name: "forged_votes",
        claim: "forged votes of one epoch for old heads of one branch load one state together",
        states: 10_142,
        model: || forged(None),
        twins: &[
            twin!(
                "no_second_look_at_committees",
                R13,
                forged,
                NoSecondLook,
                "one load for a branch and epoch",
                "a worker claims committees that another has posted since, and computes them again"
            ),
            twin!(
                "committees_miss",
                R13,
                forged,
                CommitteesMiss,
                "one load for a branch and epoch",
                "committees are computed for each forged vote"
            ),
            twin!(
                "state_for_each_target",
                A4,
                forged,
                StateForEachTarget,
                "one load for a branch and epoch",
                "a state is loaded for each old head that forged votes name"
            ),
        ],
    },
    Rule {
        name: "batch_and_blocks",
        claim: "one worker, a batch of 28 votes and blocks and a duty at any moment: each of them \
                waits for one step of at most 16 votes, also a block whose parent is replayed first",
        states: 1836,
        model: || batch_and_blocks(None),
        twins: &[
            twin!(
                "block_behind_a_batch",
                A2,
                batch_and_blocks,
                NoBlockFirst,
                "a block waits for one step",
                "a batch of votes gives way to duties alone"
            ),
            twin!(
                "duty_behind_a_batch",
                R2,
                batch_and_blocks,
                NeverLooks,
                "a block waits for one step",
                "a worker looks for duties and blocks only between two tasks"
            ),
        ],
    },
    Rule {
        name: "batch_and_stop",
        claim: "one worker, a batch of 28 votes and a stop at any moment: at most 16 votes are \
                verified after the stop, and the rest is refused",
        states: 21,
        model: || batch_and_stop(None),
        twins: &[twin!(
            "stop_behind_a_batch",
            A12,
            batch_and_stop,
            NeverLooks,
            "a stop waits for one step",
            "a worker looks for the stop only between two tasks"
        )],
    },
    Rule {
        name: "full_lane",
        claim: "a task for which its lane has no room is answered at once",
        states: 109,
        model: || full_lane(None),
        twins: &[twin!(
            "refused_in_silence",
            C4,
            full_lane,
            RefusedInSilence,
            "no deadlock",
            "somebody waits for a look-up that its lane has refused"
        )],
    },
    Rule {
        name: "panicking_worker",
        claim: "a worker panics between any two events: its task is answered, and a state that \
                another waits for is free",
        states: 378,
        model: || panics(None),
        twins: &[twin!(
            "promise_forgotten",
            C9,
            panics,
            PromiseForgotten,
            "no deadlock",
            "a worker that panics leaves its promise pending, and its claim with it"
        )],
    },
    Rule {
        name: "import_after_commit",
        claim: "blocks and a copy by two workers: each is imported once, after the HotDB has it, \
                and what is kept is its own state",
        states: 463,
        model: || import(None),
        twins: &[
            twin!(
                "imports_first",
                R7,
                import,
                ImportsFirst,
                "the fork choice follows",
                "a block is imported before the HotDB has it"
            ),
            twin!(
                "keeps_the_pre_state",
                R9,
                import,
                KeepsThePreState,
                "a kept state is its block's",
                "the state before a block is kept as the state after it"
            ),
            twin!(
                "looks_then_imports",
                C11,
                import,
                LooksThenImports,
                "imported once",
                "two copies of a block are both found to be new, and then both imported"
            ),
        ],
    },
];
