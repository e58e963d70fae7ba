//! The deposits of the contract, with the proof of each against the contract's root at any time.
//!
//! **Contract.** A proof is made for the tree as it was after `count` deposits, because a state
//! checks deposits against the count and the root that it has voted for, and the contract has moved
//! on since. Deposits are appended in the contract's order. If the execution layer re-organises,
//! [`DepositCache::truncate`] forgets the newest.
//!
//! ```text
//!   level 2          c          complete: both halves are there, kept
//!   level 1      c       p      p: partial at this count, computed for a root or a proof
//!   level 0    c   c   c   -    -: no deposit yet, a zero
//! ```
//!
//! **Invariants.**
//! - I1 `levels[h]` has one node for each complete subtree of height `h`: `len >> h` nodes. So the
//!   memory is two roots and one deposit for each deposit.
//! - I2 A node of a subtree that is complete at `count` is the same at every later count. So a root
//!   or a proof at an earlier count needs at most one partial node on each level.
//!
//! **Bounds.** A root, a proof and an append take at most [`DEPOSIT_CONTRACT_TREE_DEPTH`] steps.
//! The cache holds at most [`DepositCache::CAPACITY`] deposits.
//!
//! Reference: consensus specification, `phase0/validator.md`, "Deposits"; deposit contract,
//! `get_deposit_root`.

use blocksmith::eth1::{DepositContract, ProposalError, VotingState};

use crate::config::ChainConfig;
use crate::containers::{DEPOSIT_PROOF_LENGTH, Deposit, DepositData, Eth1Data};
use crate::hashing::{hash_concat, uint_leaf, zero};
use crate::preset::Preset;
use crate::primitives::{DEPOSIT_CONTRACT_TREE_DEPTH, Root, Slot};
use crate::state::BeaconState;
use crate::wire::Wire;

/// What is wrong with a request to a [`DepositCache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DepositCacheError {
    /// The tree has no room for another leaf.
    #[error("the deposit tree is full")]
    Full,
    /// The deposits up to this count are not there.
    #[error("deposits up to {count} are asked for, {held} are held")]
    Missing {
        /// The count that was asked for.
        count: u64,
        /// How many deposits are held.
        held: u64,
    },
    /// A range of deposits ends before it begins, or after the count that its proofs are for.
    #[error("deposits {from} to {to} are asked for, with proofs at a count of {count}")]
    Range {
        /// The first deposit.
        from: u64,
        /// The deposit after the last.
        to: u64,
        /// The count that the proofs are for.
        count: u64,
    },
}

/// All deposits of the contract so far; see the module's text.
#[derive(Clone, Debug)]
pub struct DepositCache {
    deposits: Vec<DepositData>,
    levels: [Vec<Root>; DEPOSIT_CONTRACT_TREE_DEPTH + 1],
}

impl Default for DepositCache {
    fn default() -> Self {
        Self { deposits: Vec::new(), levels: std::array::from_fn(|_| Vec::new()) }
    }
}

impl DepositCache {
    /// How many deposits the contract takes.
    pub const CAPACITY: u64 = (1 << DEPOSIT_CONTRACT_TREE_DEPTH) - 1;

    /// Returns the number of deposits.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.deposits.len() as u64
    }

    /// Returns the deposit at `index`.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<&DepositData> {
        self.deposits.get(usize::try_from(index).ok()?)
    }

    /// Appends a deposit.
    ///
    /// # Errors
    /// [`DepositCacheError::Full`].
    pub fn push(&mut self, deposit: DepositData) -> Result<(), DepositCacheError> {
        if self.count() == Self::CAPACITY {
            return Err(DepositCacheError::Full);
        }
        let mut node = deposit.hash_tree_root();
        let (first, above) = self.levels.split_first_mut().expect("33 levels");
        let mut below = first;
        below.push(node);
        for level in above {
            if below.len() % 2 == 1 {
                break;
            }
            node = hash_concat(&below[below.len() - 2], &node);
            level.push(node);
            below = level;
        }
        self.deposits.push(deposit);
        Ok(())
    }

    /// Forgets every deposit from the `count`-th on. Does nothing if there are not as many.
    pub fn truncate(&mut self, count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.deposits.truncate(count);
        for (height, level) in self.levels.iter_mut().enumerate() {
            level.truncate(count >> height);
        }
    }

    /// Returns the contract's root after `count` deposits, with the count mixed in.
    ///
    /// # Errors
    /// [`DepositCacheError::Missing`].
    pub fn root(&self, count: u64) -> Result<Root, DepositCacheError> {
        let partial = self.partial(self.held(count)?);
        Ok(hash_concat(&partial[DEPOSIT_CONTRACT_TREE_DEPTH], &uint_leaf(count)))
    }

    /// Returns the deposits `from..to` with their proofs against [`DepositCache::root`] at `count`.
    /// Allocates for what it returns.
    ///
    /// # Errors
    /// [`DepositCacheError::Missing`] if the deposits up to `count` are not all there;
    /// [`DepositCacheError::Range`] unless `from <= to <= count`.
    pub fn deposits(
        &self,
        from: u64,
        to: u64,
        count: u64,
    ) -> Result<Vec<Deposit>, DepositCacheError> {
        let held = self.held(count)?;
        if from > to || to > count {
            return Err(DepositCacheError::Range { from, to, count });
        }
        let partial = self.partial(held);
        let deposit = |index: usize| {
            let mut proof = [Root::ZERO; DEPOSIT_PROOF_LENGTH];
            proof[DEPOSIT_CONTRACT_TREE_DEPTH] = uint_leaf(count);
            for (height, node) in proof[..DEPOSIT_CONTRACT_TREE_DEPTH].iter_mut().enumerate() {
                *node = self.node(height, (index >> height) ^ 1, held, &partial);
            }
            let proof = proof.to_vec().try_into().expect("as long as the vector");
            Deposit { proof, data: self.deposits[index].clone() }
        };
        Ok((from as usize..to as usize).map(deposit).collect())
    }

    /// Returns `count` as an index, if there are as many deposits.
    fn held(&self, count: u64) -> Result<usize, DepositCacheError> {
        let held = self.count();
        let within = usize::try_from(count).ok().filter(|_| count <= held);
        within.ok_or(DepositCacheError::Missing { count, held })
    }

    /// Returns the partial node of each level after `count` deposits: the one that covers the leaf
    /// after the last. The topmost is the root of the tree (I2).
    fn partial(&self, count: usize) -> [Root; DEPOSIT_CONTRACT_TREE_DEPTH + 1] {
        let mut partial = [Root::ZERO; DEPOSIT_CONTRACT_TREE_DEPTH + 1];
        for height in 0..DEPOSIT_CONTRACT_TREE_DEPTH {
            let place = count >> height;
            partial[height + 1] = if place % 2 == 1 {
                hash_concat(&self.levels[height][place - 1], &partial[height])
            } else {
                hash_concat(&partial[height], zero(height))
            };
        }
        partial
    }

    /// Returns the node at `place` of a level after `count` deposits.
    fn node(&self, height: usize, place: usize, count: usize, partial: &[Root]) -> Root {
        match place.cmp(&(count >> height)) {
            std::cmp::Ordering::Less => self.levels[height][place],
            std::cmp::Ordering::Equal => partial[height],
            std::cmp::Ordering::Greater => *zero(height),
        }
    }
}

impl DepositContract for DepositCache {
    type Hash = Root;
    type Deposit = DepositData;
    type View = Eth1Data;
    type Proven = Deposit;

    fn append(&mut self, deposits: Vec<DepositData>) -> bool {
        deposits.into_iter().all(|deposit| self.push(deposit).is_ok())
    }

    fn truncate(&mut self, count: u64) {
        Self::truncate(self, count);
    }

    fn view(&self, count: u64, hash: Root) -> Option<Eth1Data> {
        let deposit_root = self.root(count).ok()?;
        Some(Eth1Data { deposit_root, deposit_count: count, block_hash: hash })
    }

    fn count(view: &Eth1Data) -> u64 {
        view.deposit_count
    }

    fn prove(&self, from: u64, to: u64, view: &Eth1Data) -> Result<Vec<Deposit>, ProposalError> {
        let count = view.deposit_count;
        let root = self.root(count).map_err(|_| ProposalError::Missing)?;
        if root != view.deposit_root {
            return Err(ProposalError::Contradicted);
        }
        self.deposits(from, to, count).map_err(|_| ProposalError::Missing)
    }
}

/// Returns the values that the vote of a proposer of `slot` depends on. `state` is of the block's
/// parent, at its own slot or later, not after `slot`. What empty slots would change of these
/// values is taken into account, so the state need not be advanced: a voting period begins without
/// votes.
#[must_use]
pub fn voting_state<P: Preset>(
    state: &BeaconState<P>,
    slot: Slot,
    config: &ChainConfig,
) -> VotingState<Eth1Data> {
    let period = slots_per_eth1_voting_period::<P>();
    let first = slot - slot % period;
    let same_period = state.slot / period == slot / period;
    let seconds =
        u64::try_from(u128::from(first) * u128::from(config.slot_duration_ms.get()) / 1_000);
    VotingState {
        period_start: state.genesis_time.saturating_add(seconds.unwrap_or(u64::MAX)),
        eth1_data: state.eth1_data.clone(),
        deposit_count: state.eth1_data.deposit_count,
        votes: if same_period { state.eth1_data_votes.to_vec() } else { Vec::new() },
    }
}

/// Returns `EPOCHS_PER_ETH1_VOTING_PERIOD * SLOTS_PER_EPOCH`.
#[must_use]
pub const fn slots_per_eth1_voting_period<P: Preset>() -> u64 {
    P::EPOCHS_PER_ETH1_VOTING_PERIOD * P::SLOTS_PER_EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesis::initialize_beacon_state_from_eth1;
    use crate::merkle::{DepositTree, merkle_branch_root};
    use crate::primitives::{PublicKeyBytes, SignatureBytes};

    fn deposit(number: u64) -> DepositData {
        DepositData {
            pubkey: PublicKeyBytes::new([number as u8; 48]),
            withdrawal_credentials: Root::new([7; 32]),
            amount: number,
            signature: SignatureBytes::ZERO,
        }
    }

    fn cache(count: u64) -> DepositCache {
        let mut cache = DepositCache::default();
        (0..count).for_each(|number| cache.push(deposit(number)).expect("room"));
        cache
    }

    #[test]
    fn each_root_is_that_of_the_contract_at_the_time() {
        // Compares the roots at each count, asked for at the end, with the contract's own
        // algorithm.
        let (cache, mut tree) = (cache(19), DepositTree::default());
        for count in 0..19 {
            assert_eq!(cache.root(count), Ok(tree.root()), "{count} deposits");
            assert!(tree.push(deposit(count).hash_tree_root()));
        }
        assert_eq!(cache.root(19), Ok(tree.root()));
    }

    #[test]
    fn each_proof_leads_to_the_root_at_each_count() {
        // Every deposit, at every count that contains it, up to two levels of a partial tree.
        let cache = cache(13);
        for count in 0..=13 {
            let root = cache.root(count).unwrap();
            let deposits = cache.deposits(0, count, count).unwrap();
            assert_eq!(deposits.len() as u64, count);
            for (index, found) in deposits.iter().enumerate() {
                let leaf = found.data.hash_tree_root();
                assert_eq!(found.data, deposit(index as u64));
                assert_eq!(merkle_branch_root(leaf, &found.proof, index as u64), root);
            }
        }
    }

    #[test]
    fn a_forgotten_deposit_leaves_no_trace() {
        // Truncates at each count and appends others: all roots are those of a cache without it.
        for kept in 0..9 {
            let mut changed = cache(9);
            changed.truncate(kept);
            let mut fresh = cache(kept);
            for number in 100..105 {
                changed.push(deposit(number)).unwrap();
                fresh.push(deposit(number)).unwrap();
            }
            for count in 0..=kept + 5 {
                assert_eq!(changed.root(count), fresh.root(count), "{kept} kept, {count}");
            }
            assert_eq!(
                changed.deposits(0, kept + 5, kept + 5),
                fresh.deposits(0, kept + 5, kept + 5)
            );
        }
    }

    #[test]
    fn a_view_with_another_root_is_contradicted_and_one_with_more_deposits_is_missing() {
        // The cache's own view proves; the same with another root, and a longer one, do not.
        let cache = cache(3);
        let view = cache.view(2, Root::new([5; 32])).unwrap();
        assert_eq!(view.deposit_root, cache.root(2).unwrap());
        assert_eq!(cache.prove(0, 2, &view).map(|deposits| deposits.len()), Ok(2));
        let other = Eth1Data { deposit_root: Root::ZERO, ..view.clone() };
        assert_eq!(cache.prove(0, 2, &other), Err(ProposalError::Contradicted));
        let longer = Eth1Data { deposit_count: 4, ..view };
        assert_eq!(cache.prove(0, 2, &longer), Err(ProposalError::Missing));
        assert_eq!(cache.view(4, Root::ZERO), None);
    }

    #[test]
    fn a_voting_period_begins_without_votes_at_its_first_slot() {
        // The minimal preset has 32 slots a period, of 6 s. A vote counts to the period's end.
        let config = ChainConfig::minimal();
        let mut state: BeaconState<crate::preset::Minimal> =
            initialize_beacon_state_from_eth1(Root::ZERO, 1_600_000_000, &[], &config).unwrap();
        state.slot = 40;
        state.eth1_data_votes.push(Eth1Data::default()).unwrap();
        for (slot, votes, start) in [(40, 1, 32), (63, 1, 32), (64, 0, 64), (200, 0, 192)] {
            let voting = voting_state(&state, slot, &config);
            assert_eq!(voting.votes.len(), votes, "slot {slot}");
            assert_eq!(voting.period_start, state.genesis_time + 6 * start, "slot {slot}");
        }
        assert!(voting_state(&state, u64::MAX, &config).votes.is_empty());
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        // A count beyond the end, a range beyond the count, and a range that ends before it begins.
        let cache = cache(3);
        let missing = DepositCacheError::Missing { count: 4, held: 3 };
        assert_eq!(cache.root(4), Err(missing));
        assert_eq!(cache.deposits(0, 1, 4), Err(missing));
        let range = |from, to, count| DepositCacheError::Range { from, to, count };
        assert_eq!(cache.deposits(0, 3, 2), Err(range(0, 3, 2)));
        assert_eq!(cache.deposits(2, 1, 3), Err(range(2, 1, 3)));
        assert_eq!(cache.get(3), None);
        assert_eq!(cache.get(u64::MAX), None);
    }
}
