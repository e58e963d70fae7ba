//! Committees by (dependent root, epoch), shared by all descendants of one state.
//!
//! The root that an epoch's committees depend on is that of the last block before the start of the
//! preceding epoch. It commits to the state after that block, and from there on nothing can change
//! the epoch's seed or which validators are active in it (C1 in `caches`). So:
//!
//! - K1: two states of one chain that agree on an epoch and its dependent root agree on its
//!   committees, whichever branch they are on and whether or not they were cloned before the
//!   committees were asked for. The epoch alone is not enough as a key: branches that differ in the
//!   dependent root shuffle differently.
//! - K2: only committees of the state's epoch, of the one before and of the one after are looked up
//!   here. The active validators of a later epoch are not fixed yet.
//! - K3: committees are computed once. A thread that asks while another one computes them waits for
//!   the result. The list is locked only for the look-up.
//!
//! Bound: [`LIMIT`] shufflings of eight bytes per active validator. When it is exceeded, the
//! shuffling of the lowest epoch is removed, and of several the one that was added first. So a
//! replay of the past does not push out what the head needs. States keep those that they hold
//! themselves.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::primitives::{Epoch, Root, ValidatorIndex};

/// Largest number of shufflings that are kept: three epochs of a handful of branches.
const LIMIT: usize = 16;

/// The shuffled active validators of an epoch, cut into committees.
#[derive(Debug, PartialEq, Eq)]
pub struct Committees {
    shuffled: Box<[ValidatorIndex]>,
    committees_per_slot: u64,
    slots_per_epoch: u64,
}

impl Committees {
    pub(crate) fn new(
        shuffled: Vec<ValidatorIndex>,
        committees_per_slot: u64,
        slots_per_epoch: u64,
    ) -> Self {
        Self { shuffled: shuffled.into_boxed_slice(), committees_per_slot, slots_per_epoch }
    }

    /// Committees in every slot of the epoch, at least one.
    pub fn committees_per_slot(&self) -> u64 {
        self.committees_per_slot
    }

    /// Number of validators that are active in the epoch.
    pub fn active_validator_count(&self) -> u64 {
        self.shuffled.len() as u64
    }

    /// The members of committee `index` in the epoch's `slot`-th slot, or `None` if there is no
    /// such committee.
    pub fn committee(&self, slot: u64, index: u64) -> Option<&[ValidatorIndex]> {
        if index >= self.committees_per_slot || slot >= self.slots_per_epoch {
            return None;
        }
        let position = u128::from(slot * self.committees_per_slot + index);
        let committees = u128::from(self.committees_per_slot * self.slots_per_epoch);
        let bound = |at: u128| (self.shuffled.len() as u128 * at / committees) as usize;
        self.shuffled.get(bound(position)..bound(position + 1))
    }
}

/// What the committees of an epoch are a function of, within one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShufflingId {
    pub(crate) dependent_root: Root,
    pub(crate) epoch: Epoch,
}

type Cell = Arc<OnceLock<Arc<Committees>>>;

/// The committees that a chain's states know.
#[derive(Debug, Default)]
pub(crate) struct Shufflings {
    /// In the order in which they were added.
    cells: Mutex<Vec<(ShufflingId, Cell)>>,
}

impl Shufflings {
    /// The committees of `id`; `compute` makes them if no thread has yet (K3).
    pub(crate) fn get_or_compute(
        &self,
        id: ShufflingId,
        compute: impl FnOnce() -> Arc<Committees>,
    ) -> Arc<Committees> {
        let cell = self.cell(id);
        Arc::clone(cell.get_or_init(compute))
    }

    fn cell(&self, id: ShufflingId) -> Cell {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = cells.iter().find(|(known, _)| *known == id) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        cells.push((id, Arc::clone(&cell)));
        if cells.len() > LIMIT {
            // `min_by_key` takes the first of equals.
            let epochs = cells.iter().map(|(id, _)| id.epoch).enumerate();
            let oldest = epochs.min_by_key(|(_, epoch)| *epoch).map_or(0, |(at, _)| at);
            cells.remove(oldest);
        }
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accessors::{get_attester_dependent_root, get_committees};
    use crate::config::ChainConfig;
    use crate::containers::{BeaconBlock, BeaconBlockBody, Validator};
    use crate::preset::Minimal;
    use crate::primitives::{FAR_FUTURE_EPOCH, PublicKeyBytes, SignatureBytes};
    use crate::state::BeaconState;
    use crate::state_transition::{UpdateFlags, process_block, process_slots};
    use crate::wire::Wire;
    use crate::{get_beacon_proposer_index, initialize_beacon_state_from_eth1};

    type State = BeaconState<Minimal>;

    fn genesis() -> State {
        let config = ChainConfig::minimal();
        let mut state: State =
            initialize_beacon_state_from_eth1(Root::new([9; 32]), 1, &[], &config).unwrap();
        for index in 0..64 {
            let validator = Validator {
                pubkey: PublicKeyBytes::new([index; 48]),
                effective_balance: 32_000_000_000,
                exit_epoch: FAR_FUTURE_EPOCH,
                withdrawable_epoch: FAR_FUTURE_EPOCH,
                ..Validator::default()
            };
            state.validators.push(validator).unwrap();
            state.balances.push(32_000_000_000).unwrap();
        }
        state.drop_caches();
        state
    }

    fn advanced(state: &State, slot: u64) -> State {
        let mut state = state.clone();
        process_slots(&mut state, slot, &ChainConfig::minimal()).unwrap();
        state
    }

    /// `state` after a block at `slot` that reveals `reveal`.
    fn with_block(state: &State, slot: u64, reveal: u8) -> State {
        let mut state = advanced(state, slot);
        let block = BeaconBlock {
            slot,
            proposer_index: get_beacon_proposer_index(&state).unwrap(),
            parent_root: state.latest_block_header.hash_tree_root(),
            state_root: Root::ZERO,
            body: BeaconBlockBody {
                randao_reveal: SignatureBytes::new([reveal; 96]),
                ..BeaconBlockBody::default()
            },
        };
        process_block(&mut state, &block, UpdateFlags::replay(), &ChainConfig::minimal()).unwrap();
        state
    }

    /// Two branches that part at slot 10, in epoch 1, each at the beginning of epoch 3.
    fn branches() -> [State; 2] {
        let parent = with_block(&genesis(), 9, 1);
        [2, 3].map(|reveal| advanced(&with_block(&parent, 10, reveal), 24))
    }

    /// What a state that shares nothing with any other computes.
    fn anew(state: &State, epoch: Epoch) -> Arc<Committees> {
        let mut state = state.clone();
        state.drop_caches();
        get_committees(&state, epoch).unwrap()
    }

    #[test]
    fn branches_with_one_dependent_root_share_a_shuffling() {
        // Epoch 2 depends on the last block of epoch 0; the branches part in epoch 1, and neither
        // was asked before.
        let [left, right] = branches();
        let root = |state| get_attester_dependent_root(state, 2).unwrap();
        assert_ne!(left.hash_tree_root(), right.hash_tree_root());
        assert_eq!(root(&left), root(&right));
        let shared = get_committees(&left, 2).unwrap();
        assert!(Arc::ptr_eq(&shared, &get_committees(&right, 2).unwrap()));
        assert_eq!(shared, anew(&right, 2));
    }

    #[test]
    fn branches_with_different_dependent_roots_do_not_share() {
        // Epoch 3 depends on the last block of epoch 1, which is not the same.
        let [left, right] = branches();
        let committees = [&left, &right].map(|state| get_committees(state, 3).unwrap());
        assert_ne!(committees[0], committees[1]);
        assert_eq!(committees[0], anew(&left, 3));
        assert_eq!(committees[1], anew(&right, 3));
    }

    /// Whether both branches get their own committees of epoch 3 from a cache with these keys.
    fn both_are_right(id: impl Fn(&State) -> ShufflingId) -> bool {
        let cache = Shufflings::default();
        branches().iter().all(|state| {
            let own = anew(state, 3);
            cache.get_or_compute(id(state), || Arc::clone(&own)) == own
        })
    }

    #[test]
    fn the_epoch_alone_would_be_the_wrong_key() {
        // The same check must fail with the dependent root left out of the key.
        assert!(both_are_right(|state| ShufflingId {
            dependent_root: get_attester_dependent_root(state, 3).unwrap(),
            epoch: 3,
        }));
        assert!(!both_are_right(|_| ShufflingId { dependent_root: Root::ZERO, epoch: 3 }));
    }

    #[test]
    fn the_first_epochs_depend_on_the_genesis_block() {
        // At slot 0 that block's root is not in the state's list yet.
        let start = genesis();
        let root = get_attester_dependent_root(&start, 0).unwrap();
        assert_eq!(root, get_attester_dependent_root(&start, 1).unwrap());
        let later = advanced(&start, 8);
        assert_eq!(root, *later.block_roots.get(0).unwrap());
        assert_eq!(root, get_attester_dependent_root(&later, 1).unwrap());
        let shared = get_committees(&start, 1).unwrap();
        assert!(Arc::ptr_eq(&shared, &get_committees(&later, 1).unwrap()));
    }

    #[test]
    fn the_lowest_epoch_goes_first() {
        // Fills the cache, adds one more, and then one that is older than all others.
        let cache = Shufflings::default();
        let committees = || Arc::new(Committees::new(vec![1, 2, 3], 1, 8));
        let id = |epoch| ShufflingId { dependent_root: Root::ZERO, epoch };
        let first: Vec<_> =
            (5..=5 + LIMIT as u64).map(|at| cache.get_or_compute(id(at), committees)).collect();
        cache.get_or_compute(id(0), committees);
        assert_eq!(cache.cells.lock().unwrap().len(), LIMIT);
        let again = |at: u64| cache.get_or_compute(id(at), committees);
        assert!(Arc::ptr_eq(&first[LIMIT], &again(5 + LIMIT as u64)));
        assert!(Arc::ptr_eq(&first[1], &again(6)));
        assert!(!Arc::ptr_eq(&first[0], &again(5)));
    }
}
