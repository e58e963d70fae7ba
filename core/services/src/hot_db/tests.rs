//! The HotDB's rules, one by one, over the toy protocol: a state costs the same everywhere.

mod committees;
mod properties;

use std::hash::{BuildHasher, RandomState};

use super::{
    CommitReply, CommitteesAt, CommitteesKey, Effect, Event, HotDb, Limits, Prune, StateAt,
    TrailReply,
};
use crate::consensus::{Checkpoint, Consensus};
use crate::identified;
use crate::machine::Machine;
use crate::toy::{Toy, ToyBlock, ToyState};

/// A HotDB over the anchor.
struct Db(HotDb<Toy>);

/// What so many cached states and blocks cost together.
fn cost(states: usize, blocks: usize) -> usize {
    let (toy, block) = (Toy::default(), ToyBlock::new(1, 0, 1));
    states * toy.state_bytes(&ToyState::anchor()) + blocks * toy.block_bytes(&block)
}

fn state(root: u8, slot: u64) -> StateAt<Toy> {
    StateAt { root, slot, state: ToyState { block: root, slot, ..ToyState::anchor() } }
}

impl Db {
    fn new(limits: Limits) -> Self {
        Self(HotDb::new(&Toy::default(), limits, 0, 0, ToyState::anchor()))
    }

    /// Room for so many states and blocks. The anchor's block costs nothing.
    fn with_room_for(states: usize, blocks: usize) -> Self {
        Self::new(Limits { bytes: cost(states, blocks), ..Limits::default() })
    }

    fn commit(&mut self, root: u8, parent: u8, slot: u64) -> CommitReply {
        let block = identified::block(&Toy::default(), ToyBlock::new(root, parent, slot));
        let commit = Event::Commit { block, state: state(root, slot) };
        match self.0.handle(&Toy::default(), commit).as_slice() {
            [Effect::Committed(reply)] => *reply,
            other => panic!("{other:?}"),
        }
    }

    /// A chain of blocks 1, 2, .. on the anchor, each in the slot of its number.
    fn chain(mut self, length: u8) -> Self {
        for root in 1..=length {
            assert_eq!(self.commit(root, root - 1, u64::from(root)), CommitReply::Committed);
        }
        self
    }

    fn post(&mut self, root: u8, slot: u64) {
        assert_eq!(self.0.handle(&Toy::default(), Event::PostState(state(root, slot))), []);
    }

    fn prune(&mut self, finalized: u8, justified: u8, head: u8) {
        let finalized = Checkpoint { epoch: 1, root: finalized };
        let keep = Event::Prune(Prune { finalized, justified, head });
        assert_eq!(self.0.handle(&Toy::default(), keep), []);
    }

    /// Returns the start and the number of blocks of the trail to a state.
    fn trail(&self, root: u8, slot: u64) -> (u8, u64, usize) {
        match self.0.trail(root, slot) {
            TrailReply::Trail(trail) => (trail.start.root, trail.start.slot, trail.blocks.len()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn states_and_committees_are_compared_hashed_and_shown_by_their_place() {
    // One place with two states, and other places. Committees of the toy protocol are all alike.
    let hashes = RandomState::new();
    let here = state(3, 5);
    let same = StateAt { state: ToyState::anchor(), ..here.clone() };
    assert_eq!((&here, hashes.hash_one(&here)), (&same, hashes.hash_one(&same)));
    for other in [state(4, 5), state(3, 6)] {
        assert_ne!(here, other);
        assert_ne!(hashes.hash_one(&here), hashes.hash_one(&other));
    }
    assert_eq!(format!("{here:?}"), "state(3 at 5)");
    let committees = |dependent_root, epoch| CommitteesAt::<Toy> {
        key: CommitteesKey { dependent_root, epoch },
        committees: (),
    };
    let here = committees(2, 1);
    assert_eq!(here, committees(2, 1));
    for other in [committees(3, 1), committees(2, 2)] {
        assert_ne!(here, other);
        assert_ne!(hashes.hash_one(&here), hashes.hash_one(&other));
    }
    assert_eq!(format!("{here:?}"), "committees(epoch 1 after 2)");
}

#[test]
fn a_commit_needs_its_parent_counts_once_and_keeps_to_the_bound() {
    // Room for two blocks beside the anchor.
    let mut db = Db::new(Limits { blocks: 3, ..Limits::default() });
    assert_eq!(db.commit(2, 1, 2), CommitReply::UnknownParent);
    assert_eq!(db.commit(1, 0, 1), CommitReply::Committed);
    assert_eq!(db.commit(1, 0, 1), CommitReply::AlreadyCommitted);
    assert_eq!(db.commit(2, 1, 2), CommitReply::Committed);
    assert_eq!(db.commit(3, 2, 3), CommitReply::Full);
    assert!(!db.0.contains(3));
}

#[test]
fn a_trail_starts_at_the_closest_state_and_says_what_cannot_be_had() {
    // A chain of three, whose states are all there.
    let db = Db::new(Limits { distance: 5, ..Limits::default() }).chain(3);
    assert_eq!(db.trail(3, 3), (3, 3, 0));
    assert_eq!(db.trail(3, 8), (3, 3, 0));
    assert_eq!(db.0.trail(3, 9), TrailReply::TooFar { block_slot: 3 });
    assert_eq!(db.0.trail(3, u64::MAX), TrailReply::TooFar { block_slot: 3 });
    assert_eq!(db.0.trail(3, 2), TrailReply::BeforeBlock { block_slot: 3 });
    assert_eq!(db.0.trail(9, 3), TrailReply::UnknownParent);
    // From the state at slot 8 it is five slots more, and no nearer to a slot before that.
    let mut db = db;
    db.post(3, 8);
    assert_eq!(db.trail(3, 13), (3, 8, 0));
    assert_eq!(db.0.trail(3, 14), TrailReply::TooFar { block_slot: 3 });
    assert_eq!(db.trail(3, 7), (3, 3, 0));
}

#[test]
fn a_state_that_was_advanced_serves_later_slots_and_not_earlier_ones() {
    // Block 1 at slot 1; its state at slot 4 is posted.
    let mut db = Db::new(Limits::default()).chain(1);
    db.post(1, 4);
    assert_eq!([3, 4, 6].map(|slot| db.trail(1, slot).1), [1, 4, 4]);
    db.post(9, 4);
    db.post(1, 0);
    assert_eq!(db.0.states(), 3, "one of no block, and one before its block, are dropped");
}

#[test]
fn the_byte_bound_evicts_passing_states_first_then_what_expires_first_and_never_a_pinned_one() {
    // Room for four states beside three blocks; the anchor, block 1 and the head 3 are pinned.
    let mut db = Db::with_room_for(4, 3).chain(3);
    db.prune(0, 1, 3);
    db.post(2, 5);
    assert_eq!(db.0.states(), 4, "block 2's own state went, the newest stays");
    assert_eq!((db.trail(2, 2), db.trail(2, 5)), ((1, 1, 1), (2, 5, 0)));
    // The passing state goes, and block 4 takes the room that its own state would need.
    assert_eq!(db.commit(4, 3, 4), CommitReply::Committed);
    let starts = [1, 2, 3, 4].map(|root| db.trail(root, u64::from(root)).0);
    assert_eq!((starts, db.0.bytes()), ([1, 1, 3, 3], cost(3, 4)));
}

#[test]
fn blocks_count_and_take_the_room_of_states_that_are_not_pinned() {
    // Room for four states in all; the blocks may take the room of two.
    let mut db = Db::with_room_for(4, 0);
    let mut committed = 0;
    while db.commit(committed + 1, committed, u64::from(committed) + 1) == CommitReply::Committed {
        committed += 1;
        assert!(db.0.bytes() <= cost(4, 0), "{committed}");
    }
    assert_eq!(usize::from(committed), cost(2, 0) / cost(0, 1));
    assert_eq!((db.0.states(), db.0.bytes()), (2, cost(4, 0)));
    // Finality makes room.
    db.post(1, 1);
    db.prune(1, 1, 1);
    assert_eq!(db.0.bytes(), cost(1, usize::from(committed) - 1));
    assert_eq!(db.commit(committed + 1, committed, 99), CommitReply::Committed);
}

#[test]
fn an_advanced_state_goes_before_an_older_one_of_a_block_itself() {
    // Room for three states: the anchor's, block 1's own, and one more.
    let mut db = Db::with_room_for(3, 2).chain(1);
    db.post(1, 4);
    assert_eq!(db.commit(2, 1, 5), CommitReply::Committed);
    assert_eq!([db.trail(1, 1), db.trail(1, 4)], [(1, 1, 0); 2]);
}

#[test]
fn a_passing_state_that_is_posted_again_keeps_its_place_in_line() {
    // Room for two: the first comes again before a third does, and gives way all the same.
    let mut db = Db::new(Limits { passing_states: 2, ..Limits::default() }).chain(1);
    for slot in [5, 6, 5, 7] {
        db.post(1, slot);
    }
    let starts = [5, 6, 7].map(|slot| db.trail(1, slot).1);
    assert_eq!(starts, [1, 6, 7]);
}

#[test]
fn of_passing_states_the_first_gives_way() {
    // Room for two: of three advanced states of block 1, the first is gone.
    let mut db = Db::new(Limits { passing_states: 2, ..Limits::default() }).chain(1);
    [3, 5, 4].into_iter().for_each(|slot| db.post(1, slot));
    assert_eq!([3, 4, 5].map(|slot| db.trail(1, slot).1), [1, 4, 5]);
}

#[test]
fn checkpoints_thin_as_powers_of_two() {
    // Every state of the last two slots, and of the last 2 * 2^j slots those that pass a multiple
    // of 2^j: of 1 to 20, block 16 passes one of 16, 8 of 8, 20 and 12 of 4, 18 of 2, 19 of 1.
    let limits = Limits { checkpoint_slots: 2, passing_states: 0, ..Limits::default() };
    let db = Db::new(limits).chain(20);
    let kept: Vec<_> = (1..=20).filter(|root| db.trail(*root, u64::from(*root)).2 == 0).collect();
    assert_eq!(kept, [8, 12, 16, 18, 19, 20]);
}

#[test]
fn a_checkpoint_is_the_first_block_after_a_power_of_two_where_slots_are_empty() {
    // Blocks 1, 2, 3 at slots 7, 9 and 20: 9 is the first after 8, and 20 the first after 16.
    let limits = Limits { checkpoint_slots: 2, passing_states: 0, ..Limits::default() };
    let mut db = Db::new(limits);
    for (root, slot) in [(1, 7), (2, 9), (3, 20), (4, 25)] {
        assert_eq!(db.commit(root, root - 1, slot), CommitReply::Committed);
    }
    let kept = [(1, 7), (2, 9), (3, 20), (4, 25)].map(|(root, slot)| db.trail(root, slot).2 == 0);
    assert_eq!(kept, [false, true, true, true]);
}

#[test]
fn a_late_block_leaves_its_state_for_its_children_though_its_checkpoint_has_expired() {
    // Block 40 at slot 3 comes when block 20 at slot 20 is there.
    let limits = Limits { checkpoint_slots: 2, passing_states: 1, ..Limits::default() };
    let mut db = Db::new(limits).chain(20);
    assert_eq!(db.commit(40, 1, 3), CommitReply::Committed);
    assert_eq!(db.trail(40, 4), (40, 3, 0));
}

#[test]
fn a_replayed_state_is_a_checkpoint_again_if_that_has_not_expired() {
    // Room for three states: the finalised block's, 16, the head's, 20, and one more. At slot 20
    // the checkpoint of 17 has expired, that of 18 lasts longer than that of 19.
    let bytes = cost(3, 20);
    let limits = Limits { checkpoint_slots: 2, passing_states: 1, bytes, ..Limits::default() };
    let mut db = Db::new(limits).chain(20);
    db.prune(16, 16, 20);
    let kept = |db: &Db| [17, 18, 19].map(|root| db.trail(root, u64::from(root)).2 == 0);
    db.post(17, 17);
    assert_eq!(kept(&db), [true, false, false]);
    db.post(18, 18);
    assert_eq!(kept(&db), [false, true, false]);
    db.post(19, 19);
    assert_eq!(kept(&db), [false, true, false]);
}

#[test]
fn a_long_trail_asks_for_its_end_and_for_states_in_its_middle() {
    // A checkpoint every two slots, and room for blocks alone: the trail to 5 passes by 4 and 2.
    let limits = Limits { checkpoint_slots: 2, bytes: cost(1, 5), ..Limits::default() };
    let db = Db::new(limits).chain(5);
    let TrailReply::Trail(trail) = db.0.trail(5, 5) else { panic!("a trail") };
    let roots: Vec<_> = trail.blocks.iter().map(|block| block.identity().root).collect();
    assert_eq!((trail.start.root, roots), (0, vec![1, 2, 3, 4, 5]));
    assert_eq!((trail.wanted, trail.want_target), (vec![5, 4, 2], false));
    let TrailReply::Trail(trail) = db.0.trail(5, 7) else { panic!("a trail") };
    assert_eq!((trail.root, trail.block_slot, trail.slot, trail.want_target), (5, 5, 7, true));
}

#[test]
fn pins_move_with_finality_and_the_head() {
    // Room for two states beside the anchor: after the move, 1 may go and 2 may not.
    let mut db = Db::with_room_for(3, 3).chain(2);
    db.prune(0, 0, 1);
    db.prune(0, 0, 2);
    assert_eq!(db.commit(3, 2, 3), CommitReply::Committed);
    assert_eq!([1, 2, 3].map(|root| db.trail(root, u64::from(root)).0), [0, 2, 3]);
}

#[test]
fn advanced_states_of_the_base_are_not_pinned() {
    // Room for two states: the base's own, and one more.
    let mut db = Db::with_room_for(2, 0);
    (1..9).for_each(|slot| db.post(0, slot));
    assert_eq!((db.0.states(), db.0.pinned_bytes()), (2, cost(1, 0)));
    assert_eq!(db.trail(0, 0), (0, 0, 0));
}

#[test]
fn the_first_pinned_block_on_top_of_another_tells_of_it() {
    // A chain of six, 3 justified, and a branch of 7 and 8 on 2. Nothing that is pinned builds on
    // the head, on the branch, or on what is not there.
    let mut db = Db::new(Limits::default()).chain(6);
    assert_eq!(db.commit(7, 2, 4), CommitReply::Committed);
    assert_eq!(db.commit(8, 7, 5), CommitReply::Committed);
    db.prune(0, 3, 6);
    let above = |root| db.0.pinned_descendant(root).map(|at| at.root);
    let told = [0, 2, 3, 5, 6, 7, 8, 99].map(above);
    assert_eq!(told, [Some(3), Some(3), Some(6), Some(6), None, None, None, None]);
}

#[test]
fn only_a_trail_that_replays_brings_a_state_on_top_along() {
    // A chain of twenty, most of whose states are gone; the head is 20.
    let limits = Limits { checkpoint_slots: 2, passing_states: 0, ..Limits::default() };
    let mut db = Db::new(limits).chain(20);
    db.prune(0, 0, 20);
    for root in 1..=20 {
        let event = Event::Trail { root, slot: 20 };
        let reply = db.0.handle(&Toy::default(), event).pop();
        let Some(Effect::Trail(TrailReply::Trail(trail))) = reply else { panic!("a trail") };
        let on_top = trail.descendant.as_ref().map(|at| at.root);
        assert_eq!(on_top, trail.replays().then_some(20), "{root}");
    }
}

#[test]
fn pruning_drops_what_does_not_descend_from_the_finalised_block_and_nothing_else() {
    // A chain of four; 7 and 8 branch off at 1. Block 2 is finalised.
    let mut db = Db::new(Limits::default()).chain(4);
    assert_eq!(db.commit(7, 1, 5), CommitReply::Committed);
    assert_eq!(db.commit(8, 7, 6), CommitReply::Committed);
    db.prune(2, 3, 4);
    let kept = [0, 1, 2, 3, 4, 7, 8].map(|root| db.0.contains(root));
    assert_eq!(kept, [false, false, true, true, true, false, false]);
    assert_eq!((db.0.states(), db.trail(4, 4)), (3, (4, 4, 0)));
    assert_eq!(db.0.trail(8, 8), TrailReply::Pruned);
    assert_eq!(db.commit(9, 8, 9), CommitReply::Pruned);
    // A root that is not there changes nothing.
    db.prune(99, 3, 4);
    assert_eq!(db.0.blocks(), 3);
}

#[test]
fn pruned_roots_are_forgotten_in_order() {
    // Room for one: of 0 and 1, which go with 2's finality, the later is remembered.
    let mut db = Db::new(Limits { pruned_roots: 1, ..Limits::default() }).chain(3);
    db.prune(2, 2, 3);
    let replies = [0, 1].map(|root| db.0.trail(root, 9));
    assert_eq!(replies, [TrailReply::UnknownParent, TrailReply::Pruned]);
}

#[test]
fn every_block_has_a_trail_when_the_finalised_state_is_not_cached() {
    // No room: the finalised block's own state is gone, so what leads to it stays.
    let mut db = Db::with_room_for(1, 4).chain(4);
    db.prune(2, 2, 4);
    for root in 2..=4 {
        assert!(matches!(db.0.trail(root, 9), TrailReply::Trail(_)), "{root}");
    }
}
