//! The proposer's head: one history where the parent is to be built on, and each condition alone
//! that makes it the head.

use std::sync::Arc;

use super::{Root, SLOTS_PER_EPOCH, all_at, block, checkpoint, tick, vote};
use crate::consensus::{Balances, Slot};
use crate::fork_choice::{Config, Event, ForkChoice};
use crate::machine::Machine;

const PARENT: Root = 5;
const HEAD: Root = 6;

/// Two blocks after slot 4 of epoch 1, and votes for them. The committees of a slot weigh 200, so a
/// head below 40 is weak, and a parent above 320 is strong.
struct Scene {
    config: Config,
    parent_slot: Slot,
    head_slot: Slot,
    head_is_timely: bool,
    /// Whether the head's post-state justifies more than the parent's, once it is pulled up.
    head_justifies: bool,
    /// Another block on the parent: its slot and its proposer. The head's proposer is 6.
    other: Option<(Slot, u64)>,
    votes_for_parent: Vec<u64>,
    votes_for_head: Vec<u64>,
    slot: Slot,
    on_time: bool,
}

impl Default for Scene {
    /// The head came late, and nobody voted for it.
    fn default() -> Self {
        Self {
            config: Config::new(SLOTS_PER_EPOCH),
            parent_slot: 5,
            head_slot: 6,
            head_is_timely: false,
            head_justifies: false,
            other: None,
            votes_for_parent: vec![0, 1, 2, 4, 5],
            votes_for_head: vec![],
            slot: 7,
            on_time: true,
        }
    }
}

impl Scene {
    /// The machine in the slot that is proposed for, and still in the head's slot if `early`.
    fn machine(&self, early: bool) -> ForkChoice<Root> {
        let effective = [100, 100, 100, 100, 20, 1, 40, 39];
        let balances = Balances { effective: Arc::from(effective), total_active: 800 };
        let mut machine = ForkChoice::new(self.config, 0, 0, balances);
        let mut handle = |event| machine.handle(&(), event);
        handle(tick(self.parent_slot));
        handle(block(4, 0, 4));
        handle(block(PARENT, 4, self.parent_slot));
        handle(tick(self.head_slot));
        let mut checkpoints = all_at(checkpoint(0, 0));
        if self.head_justifies {
            checkpoints.unrealized_justified = checkpoint(1, 4);
        }
        let new = |root, slot, proposer, timely| Event::Block {
            root,
            parent: PARENT,
            slot,
            proposer,
            checkpoints,
            timely,
            votes: Vec::new(),
            equivocating: Vec::new(),
        };
        handle(new(HEAD, self.head_slot, 6, self.head_is_timely));
        if let Some((slot, proposer)) = self.other {
            handle(new(2, slot, proposer, false));
        }
        if !early {
            handle(tick(self.slot));
            let slot = self.slot - 1;
            let epoch_starts_before_parent = slot - slot % SLOTS_PER_EPOCH < self.parent_slot;
            let target = if epoch_starts_before_parent { 4 } else { PARENT };
            handle(Event::Attestation { vote: vote(&self.votes_for_parent, PARENT, slot, target) });
            handle(Event::Attestation { vote: vote(&self.votes_for_head, HEAD, slot, target) });
        }
        assert_eq!(machine.head(), HEAD);
        machine
    }

    fn proposer_head(&self) -> Root {
        self.machine(false).proposer_head(self.slot, self.on_time)
    }
}

/// A scene in other slots: those of the parent, of the head, and the one that is proposed for.
fn at(parent_slot: Slot, head_slot: Slot, slot: Slot) -> Scene {
    Scene { parent_slot, head_slot, slot, ..Scene::default() }
}

#[test]
fn a_late_and_weak_head_on_a_strong_parent_is_left_out() {
    // The parent weighs one more than the threshold, or the head one less; then other slots, the
    // last in the second epoch after finality.
    assert_eq!(Scene::default().proposer_head(), PARENT);
    assert_eq!(Scene { votes_for_head: vec![7], ..Scene::default() }.proposer_head(), PARENT);
    assert_eq!(at(8, 9, 10).proposer_head(), PARENT);
    assert_eq!(at(9, 10, 11).proposer_head(), PARENT);
}

#[test]
fn each_condition_alone_lets_the_head_stand() {
    // All else is as in the scenes where the head is left out.
    let heavy_head = Scene { votes_for_head: vec![6], ..Scene::default() };
    let light_parent = Scene { votes_for_parent: vec![0, 1, 2, 4], ..Scene::default() };
    let scenes = [
        ("the head is in time", Scene { head_is_timely: true, ..Scene::default() }),
        ("the proposer is late", Scene { on_time: false, ..Scene::default() }),
        ("the head is as heavy as the threshold", heavy_head),
        ("the parent is as heavy as the threshold", light_parent),
        ("the head justifies more", Scene { head_justifies: true, ..Scene::default() }),
        ("a slot lies between the parent and the head", at(8, 10, 11)),
        ("a slot lies between the head and the proposal", at(8, 9, 11)),
        ("an epoch starts, so that the shuffling may change", at(6, 7, 8)),
        ("finality is three epochs back", at(13, 14, 15)),
    ];
    for (why, scene) in scenes {
        assert_eq!(scene.proposer_head(), HEAD, "{why}");
    }
}

#[test]
fn a_weak_head_whose_proposer_equivocated_is_left_out() {
    // The head is in time, the proposer late and the parent without votes: none of that matters.
    let equivocation = |head_slot, slot, other| Scene {
        head_is_timely: true,
        on_time: false,
        votes_for_parent: vec![],
        other: Some(other),
        ..at(5, head_slot, slot)
    };
    assert_eq!(equivocation(6, 7, (6, 6)).proposer_head(), PARENT);
    for (why, scene) in [
        ("the other block is another proposer's", equivocation(6, 7, (6, 7))),
        ("the other block is of another slot", equivocation(7, 8, (6, 6))),
        ("a slot lies between the head and the proposal", equivocation(6, 8, (6, 6))),
        (
            "the head is as heavy as the threshold",
            Scene { votes_for_head: vec![6], ..equivocation(6, 7, (6, 6)) },
        ),
    ] {
        assert_eq!(scene.proposer_head(), HEAD, "{why}");
    }
}

#[test]
fn a_head_with_the_boost_is_not_left_out() {
    // The boost of 10 % weighs 20, which is weak, and the head's proposer has equivocated. It is
    // still the head's slot.
    let scene = Scene {
        config: Config { proposer_score_boost_percent: 10, ..Config::new(SLOTS_PER_EPOCH) },
        head_is_timely: true,
        other: Some((6, 6)),
        ..Scene::default()
    };
    let mut machine = scene.machine(true);
    assert_eq!(machine.proposer_boost_root(), Some(HEAD));
    assert_eq!(machine.proposer_head(7, true), HEAD);
    machine.handle(&(), tick(7));
    assert_eq!(machine.proposer_head(7, true), PARENT);
}

#[test]
fn the_first_block_of_the_tree_has_no_parent_to_build_on() {
    // Nothing but the anchor, with the next slot to propose for.
    let balances = Balances { effective: Arc::from([]), total_active: 800 };
    let machine = ForkChoice::<Root>::new(Config::new(SLOTS_PER_EPOCH), 0, 0, balances);
    assert_eq!(machine.proposer_head(1, true), 0);
}

#[test]
fn the_thresholds_are_those_of_the_configuration() {
    // No head is below 0 % of a committee, and no parent here is above 200 %; finality may be three
    // epochs back.
    let scene = |config| Scene { config, ..Scene::default() };
    let usual = Config::new(SLOTS_PER_EPOCH);
    let never_weak = Config { reorg_head_weight_threshold_percent: 0, ..usual };
    assert_eq!(scene(never_weak).proposer_head(), HEAD);
    let never_strong = Config { reorg_parent_weight_threshold_percent: 200, ..usual };
    assert_eq!(scene(never_strong).proposer_head(), HEAD);
    let patient = Config { reorg_max_epochs_since_finalization: 3, ..usual };
    assert_eq!(Scene { config: patient, ..at(13, 14, 15) }.proposer_head(), PARENT);
}
