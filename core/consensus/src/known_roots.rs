//! The last root of a state and of its small parts, so that what has not changed is not hashed
//! again.
//!
//! Lists keep their hashes in their nodes (`tree`). The rest of a state's root is the tree over its
//! fields and the roots of its small containers. If these were hashed each time, which is twice a
//! slot, they would be most of what an empty slot costs.
//!
//! - N1: a root is looked up by the value that it belongs to, and a node of the fields' tree is
//!   hashed again if a leaf below it differs. So a known root is never wrong, whatever was written
//!   to the state and by whom.
//! - N2: the lock is held to take what is known out or to put it back, never while hashing. A
//!   thread that finds nothing because another thread has taken it out computes everything.

use std::sync::{Arc, Mutex, PoisonError};

use crate::containers::{BeaconBlockHeader, Checkpoint, Eth1Data, Fork};
use crate::hash_tree::HashTree;
use crate::primitives::Root;
use crate::tree::SmallTree;

/// What is known about a state's root; a clone shares it until either state is hashed again.
#[derive(Debug, Default)]
pub(crate) struct KnownRoots {
    last: Mutex<Option<Arc<Known>>>,
}

/// Values with their roots, and the tree over the fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    fork: Option<(Fork, Root)>,
    header: Option<(BeaconBlockHeader, Root)>,
    eth1_data: Option<(Eth1Data, Root)>,
    /// The state's three checkpoints; the one that was put there longest ago makes room.
    checkpoints: [Option<(Checkpoint, Root)>; 3],
    next_checkpoint: usize,
    fields: SmallTree,
}

impl Clone for KnownRoots {
    fn clone(&self) -> Self {
        Self { last: Mutex::new(self.lock().clone()) }
    }
}

impl KnownRoots {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Known>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `hash`, which computes a root with the help of what is known, and keeps what it
    /// learns.
    pub(crate) fn with<R>(&self, hash: impl FnOnce(&mut Known) -> R) -> R {
        let taken = self.lock().take();
        let mut known = taken.unwrap_or_default();
        let result = hash(Arc::make_mut(&mut known));
        *self.lock() = Some(known);
        result
    }
}

/// The root in `place` if it is that of `value`; otherwise the computed root, which is put there.
fn recall<T: Clone + PartialEq + HashTree>(place: &mut Option<(T, Root)>, value: &T) -> Root {
    match place {
        Some((known, root)) if known == value => *root,
        _ => place.insert((value.clone(), value.hash_root())).1,
    }
}

impl Known {
    pub(crate) fn fork(&mut self, fork: &Fork) -> Root {
        recall(&mut self.fork, fork)
    }

    pub(crate) fn header(&mut self, header: &BeaconBlockHeader) -> Root {
        recall(&mut self.header, header)
    }

    pub(crate) fn eth1_data(&mut self, eth1_data: &Eth1Data) -> Root {
        recall(&mut self.eth1_data, eth1_data)
    }

    pub(crate) fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Root {
        let known = self.checkpoints.iter().flatten().find(|(known, _)| known == checkpoint);
        if let Some((_, root)) = known {
            return *root;
        }
        let place = &mut self.checkpoints[self.next_checkpoint];
        self.next_checkpoint = (self.next_checkpoint + 1) % 3;
        recall(place, checkpoint)
    }

    /// The root over the fields' roots.
    pub(crate) fn fields(&mut self, roots: &[Root]) -> Root {
        self.fields.root(roots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_recalled_by_value_in_any_number() {
        // Asks for more checkpoints than there are places, again and again.
        let mut known = Known::default();
        for round in 0..3 {
            for epoch in 0..5 {
                let checkpoint = Checkpoint { epoch, root: Root::new([epoch as u8; 32]) };
                assert_eq!(known.checkpoint(&checkpoint), checkpoint.hash_root(), "{round}");
                assert_eq!(known.checkpoint(&checkpoint), checkpoint.hash_root(), "{round}");
            }
        }
    }

    #[test]
    fn another_value_has_another_root() {
        // Recalls a header, changes it, and recalls it again, also in a clone.
        let roots = KnownRoots::default();
        let mut header = BeaconBlockHeader::default();
        let first = roots.with(|known| known.header(&header));
        let clone = roots.clone();
        header.slot = 1;
        assert_eq!(roots.with(|known| known.header(&header)), header.hash_root());
        assert_ne!(first, header.hash_root());
        assert_eq!(clone.with(|known| known.header(&header)), header.hash_root());
    }
}
