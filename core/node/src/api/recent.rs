//! The blocks that came last: what is asked for most.
//!
//! **Invariant.** R1 At most [`CAPACITY`] blocks are held; the one that came first goes. What is
//! not here may be in the store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use blocksmith_consensus::{Root, SharedBlock, Slot};

/// Blocks that are held: 128 epochs of the minimal preset.
pub(super) const CAPACITY: usize = 1024;

#[derive(Default)]
struct Held {
    blocks: HashMap<Root, SharedBlock>,
    order: VecDeque<Root>,
}

/// The blocks that came last, in the order in which they came.
#[derive(Default)]
pub(super) struct Recent(Mutex<Held>);

impl Recent {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Returns a block.
    pub(super) fn get(&self, root: &Root) -> Option<SharedBlock> {
        self.held().blocks.get(root).cloned()
    }

    /// Returns the root of the last block at or before `slot` on the chain that ends in `head`, if
    /// all blocks of the chain from there are held.
    pub(super) fn ancestor(&self, head: Root, slot: Slot) -> Option<Root> {
        let held = self.held();
        let mut root = head;
        // Each step goes to a block that is held and came before: by R1 there are few.
        loop {
            let message = &held.blocks.get(&root)?.value().message;
            if message.slot <= slot {
                return Some(root);
            }
            root = message.parent_root;
        }
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
