//! Chains that the command builds itself, in the minimal preset, with real keys and signatures.
//!
//! **Contract.** A chain has a history, which is handed in before anything is measured, and honest
//! slots after it: in each, a block and the single votes of all its committee members. Every block
//! is valid by the rules. Everything is a function of the [`Shape`].
//!
//! ```text
//!   genesis ── history ─────┬────┬─────── honest 0 ── honest 1 ── ..
//!                           │    └─ branch 1         (a branch is one block, in a slot that the
//!                           └─ branch 0               main chain leaves out)
//! ```
//!
//! **Bounds.** A history has at most [`MAX_SLOTS`] slots and [`MAX_BRANCHES`] branches.

use blocksmith::Anchor;
use blocksmith_consensus::testing::{attest, attestation_data, block, genesis, latest_block_root};
use blocksmith_consensus::{
    BeaconState, ChainConfig, Minimal, Phase0, Root, SharedAttestation, SharedBlock, Slot,
    compute_epoch_at_slot, get_beacon_committee, get_committee_count_per_slot, process_slots,
};

use crate::counting::Counting;

/// Validators of every chain: two committees of four in a slot.
const VALIDATORS: u64 = 64;
/// The longest history.
pub const MAX_SLOTS: u64 = 16_384;
/// The most branches of a history.
pub const MAX_BRANCHES: u64 = 64;

/// The protocol that the attacks are run over.
pub(super) type Protocol = Counting<Phase0<Minimal>>;
pub(super) type State = BeaconState<Minimal>;

/// What a chain looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Slots of the history.
    pub(super) history: u64,
    /// Slots that the chain leaves empty at its beginning, which are part of the history.
    pub(super) empty: u64,
    /// Branches of the history, at even distances.
    pub(super) branches: u64,
    /// Honest slots after it.
    pub(super) honest: u64,
    /// Whether blocks carry the votes of the slot before. Without them there is no finality.
    pub(super) finalizes: bool,
}

impl Shape {
    /// A chain without a history, on which finality can move.
    pub(super) fn fresh(honest: u64) -> Self {
        Self { history: 0, empty: 0, branches: 0, honest, finalizes: true }
    }
}

/// A slot of honest traffic.
pub(super) struct HonestSlot {
    pub(super) slot: Slot,
    pub(super) block: SharedBlock,
    /// A vote of each member of the slot's committees for the block.
    pub(super) votes: Vec<SharedAttestation>,
    /// The state after the block.
    pub(super) state: State,
}

/// A chain; see the module's text.
pub(super) struct Chain {
    pub(super) config: ChainConfig,
    pub(super) genesis: State,
    pub(super) genesis_root: Root,
    /// Blocks of the history, branches among them, parents first.
    pub(super) history: Vec<SharedBlock>,
    /// The honest slots, at least one.
    pub(super) honest: Vec<HonestSlot>,
}

impl Chain {
    /// Builds a chain. It takes about a millisecond a block.
    pub(super) fn build(shape: Shape) -> Self {
        let config = ChainConfig::minimal();
        let genesis = genesis::<Minimal>(VALIDATORS, &config);
        let genesis_root = latest_block_root(&genesis);
        let mut builder = Builder { state: genesis.clone(), finalizes: shape.finalizes, config };
        // A fork takes two slots: the branch's, and that of the block beside it.
        let built = shape.history.saturating_sub(shape.empty);
        let apart = built.checked_div(shape.branches).unwrap_or(u64::MAX).max(2);
        let mut history = Vec::new();
        let mut forks = 0;
        for slot in shape.empty + 1..=shape.history {
            if forks < shape.branches && (slot - shape.empty).is_multiple_of(apart) {
                forks += 1;
                history.push(builder.branch(slot));
            } else {
                history.push(builder.block(slot));
            }
        }
        let after = shape.history + 1;
        let honest = (after..after + shape.honest.max(1)).map(|slot| builder.honest(slot));
        let honest = honest.collect();
        Self { config: builder.config, genesis, genesis_root, history, honest }
    }

    /// Returns what the services start from.
    pub(super) fn anchor(&self) -> Anchor<Protocol> {
        Anchor { root: self.genesis_root, slot: 0, state: self.genesis.clone() }
    }

    /// Returns the parent of honest slot `at`: what its block builds on.
    pub(super) fn parent(&self, at: usize) -> Root {
        self.honest[at].block.value().message.parent_root
    }

    /// Returns another chain on genesis: a block without votes in each of the slots from 1 to
    /// `length`, oldest first.
    pub(super) fn side_chain(&self, length: u64) -> Vec<SharedBlock> {
        let config = self.config.clone();
        let mut builder = Builder { state: self.genesis.clone(), finalizes: false, config };
        (1..=length).map(|slot| builder.block(slot)).collect()
    }

    /// Returns `count` different valid blocks for the first honest slot, all by its proposer: what
    /// only the owner of that one key can make.
    pub(super) fn equivocations(&self, count: u64) -> Vec<SharedBlock> {
        let mut before = self.genesis.clone();
        let slot = self.honest[0].slot;
        process_slots(&mut before, slot, &self.config).expect("ahead of the state");
        // The committees and keys that all of them need are known once.
        let made = |number| {
            let block = block(&mut before.clone(), 0..0, number_root(number), &self.config);
            SharedBlock::from(block)
        };
        (1..=count).map(made).collect()
    }
}

/// Returns a root that holds a number, so that numbers give different ones.
pub(super) fn number_root(number: u64) -> Root {
    let mut bytes = [0xa7; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Root::new(bytes)
}

/// Returns the number of committees of a slot, by a state of its epoch or the one before.
pub(super) fn committees(state: &State, slot: Slot) -> u64 {
    let epoch = compute_epoch_at_slot::<Minimal>(slot);
    get_committee_count_per_slot(state, epoch).expect("known committees")
}

struct Builder {
    config: ChainConfig,
    state: State,
    finalizes: bool,
}

impl Builder {
    fn advance(&mut self, slot: Slot) {
        process_slots(&mut self.state, slot, &self.config).expect("ahead of the state");
    }

    fn block(&mut self, slot: Slot) -> SharedBlock {
        self.advance(slot);
        let voted = if self.finalizes { slot - 1..slot } else { 0..0 };
        block(&mut self.state, voted, Root::ZERO, &self.config).into()
    }

    /// Returns a block of a branch; the chain goes on from where it was.
    fn branch(&mut self, slot: Slot) -> SharedBlock {
        let trunk = self.state.clone();
        let block = self.block(slot);
        self.state = trunk;
        block
    }

    fn honest(&mut self, slot: Slot) -> HonestSlot {
        let block = self.block(slot);
        let state = self.state.clone();
        // Only the next slot knows the block's root.
        let mut next = state.clone();
        process_slots(&mut next, slot + 1, &self.config).expect("ahead of the state");
        let mut votes = Vec::new();
        for index in 0..committees(&next, slot) {
            let data = attestation_data(&next, slot, index);
            let members = get_beacon_committee(&next, slot, index).expect("a known committee");
            let vote = |member| attest(&next, data.clone(), |position| position == member).into();
            votes.extend((0..members.len()).map(vote));
        }
        HonestSlot { slot, block, votes, state }
    }
}
