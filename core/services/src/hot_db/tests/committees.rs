//! Committees by (dependent root, epoch). An epoch has four slots.

use super::{Db, Limits};
use crate::consensus::Checkpoint;
use crate::hot_db::{CommitteesAt, CommitteesKey, Event, TrailReply};
use crate::machine::Machine;
use crate::toy::Toy;

/// How the committees of a target are to be had.
#[derive(Debug, PartialEq, Eq)]
enum How {
    /// They are cached.
    Known,
    /// From the state of this block at this slot, for this dependent root: at once, or by replaying
    /// so many blocks and advancing to this slot.
    From {
        start: (u8, u64),
        dependent_root: u8,
        blocks: usize,
        slot: u64,
    },
    Other(TrailReply<Toy>),
}

fn how(db: &Db, root: u8, epoch: u64) -> How {
    match db.0.committees(&Toy::default(), Checkpoint { epoch, root }) {
        TrailReply::Committees(at) => {
            assert_eq!(at.key.epoch, epoch);
            How::Known
        }
        TrailReply::Trail(trail) => {
            let key = trail.committees.expect("the key");
            assert_eq!((key.epoch, trail.want_target), (epoch, false));
            How::From {
                start: (trail.start.root, trail.start.slot),
                dependent_root: key.dependent_root,
                blocks: trail.blocks.len(),
                slot: trail.slot,
            }
        }
        other => How::Other(other),
    }
}

fn post(db: &mut Db, dependent_root: u8, epoch: u64) {
    let key = CommitteesKey { dependent_root, epoch };
    let at = Event::PostCommittees(CommitteesAt { key, committees: () });
    assert_eq!(db.0.handle(&Toy::default(), at), []);
}

#[test]
fn all_targets_of_an_epoch_with_one_dependent_root_share_committees() {
    // A chain to slot 12. Of targets in epoch 3 at blocks 8 to 12 the last block before epoch 2,
    // 7, is the dependent root.
    let mut db = Db::new(Limits::default()).chain(12);
    let at_once = |root: u8| How::From {
        start: (root, u64::from(root)),
        dependent_root: 7,
        blocks: 0,
        slot: u64::from(root),
    };
    for root in 8..=12 {
        assert_eq!(how(&db, root, 3), at_once(root));
    }
    post(&mut db, 7, 3);
    for root in 8..=12 {
        assert_eq!(how(&db, root, 3), How::Known);
    }
    // Another epoch, and another branch, are not meant.
    assert_ne!(how(&db, 8, 2), How::Known);
    db.commit(50, 6, 9);
    assert_ne!(how(&db, 50, 3), How::Known);
}

#[test]
fn the_first_epochs_depend_on_the_anchor() {
    // In epochs 0 and 1 nothing lies before the preceding epoch.
    let db = Db::new(Limits::default()).chain(4);
    for (root, epoch) in [(0, 0), (0, 1), (4, 1)] {
        let slot = u64::from(root);
        let from = How::From { start: (root, slot), dependent_root: 0, blocks: 0, slot };
        assert_eq!(how(&db, root, epoch), from);
    }
}

#[test]
fn a_branch_without_a_state_near_by_is_advanced_from_its_dependent_root_once() {
    // The only block lies at slot 1; epoch 5's committees are known at slot 16. The next epoch's
    // can be had from that state, too, if it is posted.
    let mut db = Db::new(Limits::default()).chain(1);
    let from = How::From { start: (1, 1), dependent_root: 1, blocks: 0, slot: 16 };
    assert_eq!(how(&db, 1, 5), from);
    post(&mut db, 1, 5);
    assert_eq!(how(&db, 1, 5), How::Known);
    db.post(1, 18);
    let at_once = How::From { start: (1, 18), dependent_root: 1, blocks: 0, slot: 18 };
    assert_eq!(how(&db, 1, 4), at_once);
    let anew = How::From { start: (1, 1), dependent_root: 1, blocks: 0, slot: 4 };
    assert_eq!(how(&db, 1, 2), anew, "slot 18 is too late for epoch 2");
}

#[test]
fn a_target_that_every_branch_has_built_upon_long_ago_is_stale() {
    // A chain to slot 6, attested to in epoch 5, whose preceding epoch begins at slot 16. Only its
    // end may be advanced; block 3 may be, too, once a branch leaves it after slot 16.
    let mut db = Db::new(Limits::default()).chain(6);
    db.prune(0, 0, 6);
    for root in 0..6 {
        assert_eq!(how(&db, root, 5), How::Other(TrailReply::Stale), "{root}");
    }
    assert!(matches!(how(&db, 6, 5), How::From { start: (6, 6), slot: 16, .. }));
    db.commit(30, 3, 16);
    assert!(matches!(how(&db, 3, 5), How::From { start: (3, 3), slot: 16, .. }));
    // What is known is answered, whoever builds where, and so is the head.
    post(&mut db, 2, 5);
    assert_eq!(how(&db, 2, 5), How::Known);
    assert_eq!(how(&db, 4, 5), How::Other(TrailReply::Stale));
    db.prune(0, 0, 4);
    assert!(matches!(how(&db, 4, 5), How::From { start: (4, 4), .. }));
}

#[test]
fn what_cannot_be_had_is_said_as_for_a_trail() {
    // Block 2 is finalised, 1 pruned; a target after its epoch, and one too far ahead.
    let mut db = Db::new(Limits { distance: 10, ..Limits::default() }).chain(5);
    db.prune(2, 2, 5);
    assert_eq!(how(&db, 9, 1), How::Other(TrailReply::UnknownParent));
    assert_eq!(how(&db, 1, 1), How::Other(TrailReply::Pruned));
    assert_eq!(how(&db, 5, 1), How::Other(TrailReply::BeforeBlock { block_slot: 5 }));
    assert_eq!(how(&db, 5, 4), How::Other(TrailReply::TooFar { block_slot: 5 }));
    // Where finality has passed the dependent root, the base stands for it.
    assert!(matches!(how(&db, 4, 1), How::From { start: (4, 4), dependent_root: 2, .. }));
}

#[test]
fn committees_are_bounded_and_the_first_go() {
    // Room for two.
    let mut db = Db::new(Limits { committees: 2, ..Limits::default() }).chain(1);
    [2, 3, 4].into_iter().for_each(|epoch| post(&mut db, 1, epoch));
    assert_ne!(how(&db, 1, 2), How::Known);
    assert_eq!([3, 4].map(|epoch| how(&db, 1, epoch)), [How::Known, How::Known]);
}

#[test]
fn old_heads_cost_no_more_than_one_trail_for_each_branch() {
    // 200 blocks, two branches, and attestations of one epoch to every block of both: only their
    // ends ask for a trail, until it is there.
    let mut db = Db::new(Limits::default()).chain(150);
    for root in 151..=200 {
        let parent = if root == 151 { 75 } else { root - 1 };
        db.commit(root, parent, u64::from(root) - 75);
    }
    db.prune(0, 0, 150);
    let mut trails = Vec::new();
    for root in (0..=200).chain(0..=200) {
        match how(&db, root, 100) {
            How::From { dependent_root, .. } => {
                trails.push(root);
                post(&mut db, dependent_root, 100);
            }
            How::Known => {}
            other => assert_eq!(other, How::Other(TrailReply::Stale)),
        }
    }
    assert_eq!(trails, [150, 200]);
}
