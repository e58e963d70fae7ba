//! The blocks that came last: what is asked for most.
//!
//! **Invariants.**
//! - R1 At most [`CAPACITY`] blocks are held; the one that came first goes. What is not here may be
//!   in the store.
//! - R2 The chain may have a block, as its head or below it, before the verdict on it has come
//!   back. Who asks for a block of the head's chain waits meanwhile ([`Recent::settled`]), and is
//!   never told that there is no such block. Nobody waits for a block that the chain does not have:
//!   such a one may wait long for its parent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blocksmith_consensus::{Root, SharedBlock, Slot};
use tokio::sync::Notify;

use super::clock::Moment;

/// Blocks that are held: 128 epochs of the minimal preset.
pub(super) const CAPACITY: usize = 1024;

#[derive(Default)]
struct Held {
    blocks: HashMap<Root, SharedBlock>,
    order: VecDeque<Root>,
    /// Blocks of which submissions have no verdict yet. The services bound them.
    arriving: HashMap<Root, Arriving>,
}

/// A block that is being submitted. Its root stands for what is here, whoever submits it.
struct Arriving {
    slot: Slot,
    parent: Root,
    /// When the first of the submissions came.
    came: Moment,
    submissions: usize,
}

impl Held {
    /// Returns slot and parent of a block that is held or being submitted.
    fn place(&self, root: &Root) -> Option<(Slot, Root)> {
        let held = self.blocks.get(root).map(|block| {
            let message = &block.value().message;
            (message.slot, message.parent_root)
        });
        held.or_else(|| self.arriving.get(root).map(|block| (block.slot, block.parent)))
    }

    /// As [`Recent::ancestor`].
    fn ancestor(&self, head: Root, slot: Slot) -> Option<Root> {
        let mut root = head;
        // A root is that of one parent, so no step leads back, and by R1 and the bound of the
        // services there are few.
        loop {
            let (at, parent) = self.place(&root)?;
            if at <= slot {
                return Some(root);
            }
            root = parent;
        }
    }
}

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    /// A submission has ended.
    ended: Notify,
}

/// The blocks that came last, in the order in which they came.
#[derive(Clone, Default)]
pub(super) struct Recent(Arc<Shared>);

/// A submission of a block. Its end is told when it is dropped.
pub(super) struct Arrival {
    recent: Recent,
    root: Root,
    /// When the block came: with the first submission of those that were under way.
    pub(super) came: Moment,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut held = self.recent.held();
        if let Some(block) = held.arriving.get_mut(&self.root) {
            block.submissions -= 1;
            if block.submissions == 0 {
                held.arriving.remove(&self.root);
            }
        }
        drop(held);
        self.recent.0.ended.notify_waiters();
    }
}

impl Recent {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a block is being submitted and has come at this moment, until what is returned is
    /// dropped.
    pub(super) fn arrive(&self, block: &SharedBlock, came: Moment) -> Arrival {
        let (root, message) = (block.root(), &block.value().message);
        let (slot, parent) = (message.slot, message.parent_root);
        let mut held = self.held();
        let new = || Arriving { slot, parent, came, submissions: 0 };
        let arriving = held.arriving.entry(root).or_insert_with(new);
        arriving.submissions += 1;
        Arrival { recent: self.clone(), root, came: arriving.came }
    }

    /// Returns when a block came that is being submitted.
    pub(super) fn came(&self, root: &Root) -> Option<Moment> {
        self.held().arriving.get(root).map(|block| block.came)
    }

    /// Returns a block; waits while it is not held but being submitted, if it is on the chain that
    /// ends in `head` (R2). The caller bounds the wait.
    pub(super) async fn settled(&self, root: &Root, head: Root) -> Option<SharedBlock> {
        loop {
            // Made before the look, so that an end after the look is noticed.
            let ended = self.0.ended.notified();
            {
                let held = self.held();
                let block = held.blocks.get(root).cloned();
                let slot = held.arriving.get(root).map(|block| block.slot);
                let on_chain = slot.is_some_and(|slot| held.ancestor(head, slot) == Some(*root));
                if block.is_some() || !on_chain {
                    return block;
                }
            }
            ended.await;
        }
    }

    /// Holds a block.
    pub(super) fn insert(&self, block: SharedBlock) {
        let mut held = self.held();
        let root = block.root();
        if held.blocks.insert(root, block).is_some() {
            return;
        }
        held.order.push_back(root);
        while held.order.len() > CAPACITY {
            let first = held.order.pop_front();
            first.and_then(|first| held.blocks.remove(&first));
        }
    }

    /// Forgets a block.
    #[cfg(test)]
    pub(super) fn remove(&self, root: &Root) {
        let mut held = self.held();
        held.blocks.remove(root);
        held.order.retain(|one| one != root);
    }

    /// Returns a block.
    pub(super) fn get(&self, root: &Root) -> Option<SharedBlock> {
        self.held().blocks.get(root).cloned()
    }

    /// Returns the root of the last block at or before `slot` on the chain that ends in `head`, if
    /// all blocks of the chain from there are held or being submitted.
    pub(super) fn ancestor(&self, head: Root, slot: Slot) -> Option<Root> {
        self.held().ancestor(head, slot)
    }

    /// Returns root and slot of the block whose state has this root.
    pub(super) fn of_state(&self, state_root: &Root) -> Option<(Root, Slot)> {
        let held = self.held();
        held.order.iter().rev().find_map(|root| {
            let message = &held.blocks.get(root)?.value().message;
            (message.state_root == *state_root).then_some((*root, message.slot))
        })
    }
}

#[cfg(test)]
mod tests {
    use blocksmith_consensus::{BeaconBlock, SignedBeaconBlock};

    use super::*;

    fn chain(length: u64) -> Vec<SharedBlock> {
        let mut parent_root = Root::ZERO;
        let block = |slot| {
            let message = BeaconBlock { slot, parent_root, ..BeaconBlock::default() };
            let block = SharedBlock::from(SignedBeaconBlock { message, ..Default::default() });
            parent_root = block.root();
            block
        };
        (0..length).map(|at| 2 * at).map(block).collect()
    }

    #[test]
    fn the_block_that_came_first_goes_and_no_way_leads_past_it() {
        // Two blocks more than are held, in every other slot.
        let blocks = chain(CAPACITY as u64 + 2);
        let recent = Recent::default();
        blocks.iter().for_each(|block| recent.insert(block.clone()));
        recent.insert(blocks[CAPACITY].clone());
        assert!(recent.get(&blocks[1].root()).is_none());
        assert!(recent.get(&blocks[2].root()).is_some());
        let head = blocks[CAPACITY + 1].root();
        assert_eq!(recent.ancestor(head, 9), Some(blocks[4].root()));
        assert_eq!(recent.ancestor(head, 4), Some(blocks[2].root()));
        assert_eq!(recent.ancestor(head, 3), None);
    }
}
