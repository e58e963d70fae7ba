//! OperationPool: verified slashings and exits that a block may yet include.
//!
//! **Contract.** A pure structure: [`OperationPool::insert`] takes an operation with the validators
//! that it is about, and [`OperationPool::held`] copies out what a proposer chooses from. Whether a
//! block may carry an operation is a question to that block's state, and is asked when a block is
//! produced ([`crate::rewinder::Production`]). So an operation that a block of one branch includes
//! is there for a block of another, and a re-org loses nothing. What finality has made pointless is
//! dropped: [`OperationPool::remove`].
//!
//! **Invariants.**
//! - I1 Of each kind there are at most as many as the limit says
//!   ([`crate::clearance::Limits::operations`]). Beyond that the oldest goes: it is the one most
//!   likely to be included.
//! - I2 An operation that is about no validator beyond those of one that is held, of its kind, is
//!   not taken.
//! - I3 What is removed is gone; an operation about the same validators may come in again.
//!
//! Every operation that comes in has been verified, so only the holder of a validator's key can put
//! one there.
//!
//! **Blocking.** The pool never blocks.

use std::collections::VecDeque;

use crate::consensus::{Consensus, ValidatorIndex};
use crate::gossip::Operation;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held<C: Consensus> {
    operation: Operation<C>,
    /// Ascending.
    validators: Vec<ValidatorIndex>,
}

/// The pool; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationPool<C: Consensus> {
    /// Operations of a kind that are held, at least 1.
    limit: usize,
    /// By kind, oldest first.
    kinds: [VecDeque<Held<C>>; 3],
}

impl<C: Consensus> OperationPool<C> {
    /// Returns an empty pool that holds at most `limit` operations of each kind; 0 is read as 1.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), kinds: [const { VecDeque::new() }; 3] }
    }

    /// Takes a verified operation about `validators`, which ascend. Returns whether it is held now.
    pub fn insert(&mut self, operation: Operation<C>, validators: Vec<ValidatorIndex>) -> bool {
        let held = &mut self.kinds[operation.kind() as usize];
        let known = |other: &Held<C>| {
            validators.iter().all(|index| other.validators.binary_search(index).is_ok())
        };
        if held.iter().any(known) {
            return false;
        }
        while held.len() >= self.limit {
            held.pop_front();
        }
        held.push_back(Held { operation, validators });
        true
    }

    /// Drops these operations; one that is not held changes nothing. It costs a comparison of each
    /// with each that is held of its kind.
    pub fn remove(&mut self, operations: &[Operation<C>]) {
        for operation in operations {
            let held = &mut self.kinds[operation.kind() as usize];
            held.retain(|other| !other.operation.is_same(operation));
        }
    }

    /// Returns whether this operation is held. It costs a comparison with each of its kind.
    #[must_use]
    pub fn holds(&self, operation: &Operation<C>) -> bool {
        let held = &self.kinds[operation.kind() as usize];
        held.iter().any(|other| other.operation.is_same(operation))
    }

    /// Returns whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.iter().all(VecDeque::is_empty)
    }

    /// Returns what is held: proposer slashings, attester slashings, exits; of each the oldest
    /// first. It costs a pointer for each.
    #[must_use]
    pub fn held(&self) -> Vec<Operation<C>> {
        self.kinds.iter().flatten().map(|held| held.operation.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::OperationPool;
    use crate::gossip::Operation;
    use crate::toy::{Toy, ToyOperation, ToySlashing};

    fn exit(id: u8) -> Operation<Toy> {
        Operation::VoluntaryExit(ToyOperation { id, validators: 0, signed: true, valid: true })
    }

    #[test]
    fn beyond_the_limit_the_oldest_of_the_kind_goes_and_no_other_kind() {
        // Room for three: a slashing, and then four exits.
        let mut pool = OperationPool::new(3);
        let slashing = ToyOperation { id: 200, validators: 1, signed: true, valid: true };
        let slashing = Operation::ProposerSlashing(ToySlashing::Given(slashing));
        assert!(pool.insert(slashing.clone(), vec![0]));
        for id in 0..4 {
            assert!(pool.insert(exit(id), vec![u64::from(id)]));
        }
        let held = pool.held();
        assert_eq!(held.len(), 4);
        assert_eq!(held[..2], [slashing, exit(1)]);
        assert_eq!(held.last(), Some(&exit(3)));
    }

    #[test]
    fn what_is_removed_goes_alone_and_may_come_again() {
        // Two exits, of which one is removed, twice, and comes again.
        let mut pool = OperationPool::new(64);
        assert!(pool.is_empty());
        assert!(pool.insert(exit(1), vec![1]) && pool.insert(exit(2), vec![2]));
        pool.remove(&[exit(1)]);
        pool.remove(&[exit(1)]);
        assert_eq!(pool.held(), [exit(2)]);
        assert!(pool.insert(exit(1), vec![1]));
        pool.remove(&[exit(2), exit(1)]);
        assert!(pool.is_empty());
    }

    #[test]
    fn what_is_removed_is_one_operation_of_one_kind() {
        // Operations of all kinds with the same two contents; one content of a kind is removed.
        let kinds: [fn(ToyOperation) -> Operation<Toy>; 3] = [
            |content| Operation::ProposerSlashing(ToySlashing::Given(content)),
            |content| Operation::AttesterSlashing(ToySlashing::Given(content)),
            Operation::VoluntaryExit,
        ];
        let content = |id| ToyOperation { id, validators: 0, signed: true, valid: true };
        for kind in kinds {
            let mut pool = OperationPool::new(64);
            for (id, of) in [1, 2].into_iter().flat_map(|id| kinds.map(|of| (id, of))) {
                assert!(pool.insert(of(content(id)), vec![u64::from(id)]));
            }
            let removed = kind(content(1));
            let others: Vec<_> = pool.held().into_iter().filter(|held| *held != removed).collect();
            pool.remove(&[removed]);
            assert_eq!((pool.held().len(), pool.held()), (5, others));
        }
    }

    #[test]
    fn an_operation_about_nobody_new_is_not_taken() {
        // Validators 1 and 2, then 2 alone, then 2 and 3.
        let mut pool = OperationPool::new(64);
        let taken = [vec![1, 2], vec![2], vec![2, 3]]
            .into_iter()
            .zip(0..)
            .map(|(validators, id)| pool.insert(exit(id), validators));
        assert_eq!(taken.collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(pool.held(), [exit(0), exit(2)]);
    }
}
