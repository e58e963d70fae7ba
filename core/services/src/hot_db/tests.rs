//! The HotDB's rules, one by one, over the toy protocol: a state costs the same everywhere.

use super::{CommitReply, Effect, Event, HotDb, Limits, Prune, StateAt, TrailReply};
use crate::consensus::{Checkpoint, Consensus};
use crate::identified;
use crate::machine::Machine;
use crate::toy::{Toy, ToyBlock, ToyState};

/// A HotDB over the anchor.
struct Db(HotDb<Toy>);

/// What one cached state costs.
fn cost() -> usize {
    Toy::default().state_bytes(&ToyState::anchor())
}

fn state(root: u8, slot: u64) -> StateAt<Toy> {
    StateAt { root, slot, state: ToyState { block: root, slot, ..ToyState::anchor() } }
}

impl Db {
    fn new(limits: Limits) -> Self {
        Self(HotDb::new(&Toy::default(), limits, 0, 0, ToyState::anchor()))
    }

    /// Room for so many states.
    fn with_room_for(states: usize) -> Self {
        Self::new(Limits { state_bytes: states * cost(), ..Limits::default() })
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
fn the_byte_bound_evicts_advanced_states_first_then_the_oldest_and_never_a_pinned_one() {
    // Room for four states; the anchor, block 1 and the head 3 are pinned.
    let mut db = Db::with_room_for(4).chain(3);
    db.prune(0, 1, 3);
    db.post(2, 5);
    assert_eq!(db.0.states(), 4, "block 2's own state went, the newest stays");
    assert_eq!(db.trail(2, 2), (1, 1, 1));
    db.post(3, 6);
    assert_eq!((db.trail(2, 5), db.trail(3, 7)), ((1, 1, 1), (3, 6, 0)));
    // Three are pinned: the new one stays for a while, and is the next to go.
    assert_eq!(db.commit(4, 3, 4), CommitReply::Committed);
    assert_eq!((db.trail(3, 7), db.trail(4, 4), db.0.states()), ((3, 3, 0), (4, 4, 0), 4));
}

#[test]
fn an_advanced_state_goes_before_an_older_one_of_a_block_itself() {
    // Room for three states: the anchor's, block 1's own, and one more.
    let mut db = Db::with_room_for(3).chain(1);
    db.post(1, 4);
    assert_eq!(db.commit(2, 1, 5), CommitReply::Committed);
    assert_eq!([db.trail(1, 1), db.trail(1, 4)], [(1, 1, 0); 2]);
}

#[test]
fn states_between_checkpoints_go_before_those_at_one() {
    // A checkpoint every two slots, room for the anchor and three more: 1 and 3 go.
    let limits = Limits { checkpoint_slots: 2, state_bytes: 4 * cost(), ..Limits::default() };
    let db = Db::new(limits).chain(5);
    let starts = [1, 2, 3, 4, 5].map(|root| db.trail(root, u64::from(root)).0);
    assert_eq!(starts, [0, 2, 2, 4, 5]);
}

#[test]
fn a_long_trail_asks_for_a_state_in_its_middle() {
    // A checkpoint every two slots, and no room for states: the trail to 5 passes by 4 and 2.
    let limits = Limits { checkpoint_slots: 2, state_bytes: 0, ..Limits::default() };
    let mut db = Db::new(limits).chain(5);
    // The newest state is never evicted: another takes its place.
    assert_eq!(db.commit(6, 0, 6), CommitReply::Committed);
    let TrailReply::Trail(trail) = db.0.trail(5, 5) else { panic!("a trail") };
    let roots: Vec<_> = trail.blocks.iter().map(|block| block.identity().root).collect();
    assert_eq!((trail.start.root, roots), (0, vec![1, 2, 3, 4, 5]));
    assert_eq!((trail.wanted, trail.want_target), (vec![4, 2], false));
}

#[test]
fn pins_move_with_finality_and_the_head() {
    // Room for two states beside the anchor: after the move, 1 may go and 2 may not.
    let mut db = Db::with_room_for(3).chain(2);
    db.prune(0, 0, 1);
    db.prune(0, 0, 2);
    assert_eq!(db.commit(3, 2, 3), CommitReply::Committed);
    assert_eq!([1, 2, 3].map(|root| db.trail(root, u64::from(root)).0), [0, 2, 3]);
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
    let mut db = Db::with_room_for(1).chain(4);
    db.prune(2, 2, 4);
    for root in 2..=4 {
        assert!(matches!(db.0.trail(root, 9), TrailReply::Trail(_)), "{root}");
    }
}
