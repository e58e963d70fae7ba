//! The store of the fork choice and its handlers; the contract is in the module above.
//!
//! Reference: consensus-specs v1.5.0 `on_tick`, `on_block`, `on_attestation`,
//! `on_attester_slashing`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

use thiserror::Error;

use super::proto_array::{ProtoArray, Viability, Weight};
use crate::consensus::{
    Balances, Checkpoint, Checkpoints, Epoch, IndexedVote, Slot, ValidatorIndex,
};
use crate::machine::Machine;

/// Constants of the fork choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Slots of an epoch; 0 is read as 1.
    pub slots_per_epoch: u64,
    /// `PROPOSER_SCORE_BOOST`, in percent of a slot's committee weight.
    pub proposer_score_boost_percent: u64,
    /// Attestations that may wait for their slot; one more is refused.
    pub max_queued_attestations: usize,
}

impl Config {
    /// Returns the constants of v1.5.0: a boost of 40 %, and room for 65,536 waiting attestations.
    #[must_use]
    pub const fn new(slots_per_epoch: u64) -> Self {
        Self { slots_per_epoch, proposer_score_boost_percent: 40, max_queued_attestations: 65_536 }
    }
}

/// What the machine is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<R> {
    /// The clock shows `slot`. Slots may be skipped; an earlier slot than the last changes nothing.
    Tick {
        /// The current slot.
        slot: Slot,
    },
    /// A block passed its full transition.
    Block {
        /// Its root.
        root: R,
        /// Its parent's root.
        parent: R,
        /// Its slot.
        slot: Slot,
        /// Checkpoints of its post-state, realised and pulled up.
        checkpoints: Checkpoints<R>,
        /// Whether it arrived in its own slot, before the attesting interval.
        timely: bool,
    },
    /// An attestation was verified.
    Attestation {
        /// Who voted for what.
        vote: IndexedVote<R>,
        /// Whether a block carried it; then its target may be of any epoch.
        from_block: bool,
    },
    /// An attester slashing was verified.
    AttesterSlashing {
        /// The validators that signed both attestations.
        indices: Vec<ValidatorIndex>,
    },
    /// The answer to [`Effect::NeedBalances`].
    JustifiedBalances {
        /// The checkpoint whose state the balances are from.
        checkpoint: Checkpoint<R>,
        /// The balances of the checkpoint's root, advanced to its epoch's first slot.
        balances: Balances,
    },
}

/// What the machine reports and asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<R> {
    /// The head is another block.
    HeadChanged {
        /// The head before.
        old: R,
        /// The head now.
        new: R,
        /// Number of blocks of the old chain that the new head does not descend from; 0 if it
        /// extends the old head.
        reorg_depth: u64,
    },
    /// The justified checkpoint has changed.
    Justified(Checkpoint<R>),
    /// The finalised checkpoint has changed; what does not descend from it is pruned.
    Finalized(Checkpoint<R>),
    /// Answer with [`Event::JustifiedBalances`] for this checkpoint.
    NeedBalances(Checkpoint<R>),
    /// The event was not admitted and changed nothing.
    Refused(Refusal),
}

/// Why an event was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum Refusal {
    /// The block is in the tree already.
    #[error("the block is known")]
    KnownBlock,
    /// The block's parent is not in the tree.
    #[error("the parent is not in the tree")]
    UnknownParent,
    /// The item's slot has not come.
    #[error("the slot has not come")]
    FutureSlot,
    /// The block's slot is not after its parent's.
    #[error("the slot is not after the parent's")]
    SlotNotAfterParent,
    /// The block's slot is not after the finalised checkpoint's first slot.
    #[error("the slot is not after the finalised slot")]
    NotAfterFinalizedSlot,
    /// The block's chain does not go through the finalised checkpoint.
    #[error("the block does not descend from the finalised checkpoint")]
    NotDescendantOfFinalized,
    /// A checkpoint newer than the store's is not on the block's own chain.
    #[error("a checkpoint of the post-state is not an ancestor of the block")]
    CheckpointNotAncestor,
    /// The attestation's target is neither of the current nor of the previous epoch.
    #[error("the target epoch is neither current nor previous")]
    TargetEpochOutOfRange,
    /// The attestation's target epoch is not that of its slot.
    #[error("the target epoch is not that of the slot")]
    TargetEpochNotOfSlot,
    /// The attestation's target is not in the tree.
    #[error("the target block is not in the tree")]
    UnknownTarget,
    /// The attestation's block is not in the tree.
    #[error("the attested block is not in the tree")]
    UnknownBlock,
    /// The attestation's block is newer than the attestation.
    #[error("the attested block is newer than the attestation")]
    BlockAfterAttestation,
    /// The attestation's target is not the checkpoint of its block's chain.
    #[error("the target is not the checkpoint of the attested block")]
    TargetNotAncestor,
    /// As many attestations as may wait for their slot are waiting.
    #[error("too many attestations wait for their slot")]
    QueueFull,
    /// The balances are not those of the justified checkpoint.
    #[error("the balances are of another checkpoint than the justified one")]
    StaleBalances,
}

/// The last vote of a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct LatestMessage<R> {
    epoch: Epoch,
    root: R,
}

/// The fork choice; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForkChoice<R> {
    config: Config,
    slot: Slot,
    tree: ProtoArray<R>,
    justified: Checkpoint<R>,
    finalized: Checkpoint<R>,
    unrealized_justified: Checkpoint<R>,
    unrealized_finalized: Checkpoint<R>,
    proposer_boost_root: Option<R>,
    latest_messages: BTreeMap<ValidatorIndex, LatestMessage<R>>,
    equivocating: BTreeSet<ValidatorIndex>,
    queue: VecDeque<IndexedVote<R>>,
    balances: Balances,
    head: R,
}

impl<R: Copy + Eq + Ord + Hash + Debug> ForkChoice<R> {
    /// Returns a store whose first block is `anchor`, with `balances` of the anchor's state. The
    /// anchor is justified and finalised in the epoch of `anchor_slot`, which is also the current
    /// slot.
    #[must_use]
    pub fn new(config: Config, anchor: R, anchor_slot: Slot, balances: Balances) -> Self {
        let config = Config { slots_per_epoch: config.slots_per_epoch.max(1), ..config };
        let epoch = anchor_slot / config.slots_per_epoch;
        let checkpoint = Checkpoint { epoch, root: anchor };
        Self {
            config,
            slot: anchor_slot,
            tree: ProtoArray::new(anchor, anchor_slot, epoch),
            justified: checkpoint,
            finalized: checkpoint,
            unrealized_justified: checkpoint,
            unrealized_finalized: checkpoint,
            proposer_boost_root: None,
            latest_messages: BTreeMap::new(),
            equivocating: BTreeSet::new(),
            queue: VecDeque::new(),
            balances,
            head: anchor,
        }
    }

    /// Returns a store whose first block is that of a finalised checkpoint, at `slot`, which may lie
    /// before the checkpoint's epoch. The checkpoint is justified and finalised.
    pub(crate) fn from_checkpoint(
        config: Config,
        checkpoint: Checkpoint<R>,
        slot: Slot,
        balances: Balances,
    ) -> Self {
        let mut new = Self::new(config, checkpoint.root, slot, balances);
        new.tree = ProtoArray::new(checkpoint.root, slot, checkpoint.epoch);
        (new.justified, new.finalized) = (checkpoint, checkpoint);
        (new.unrealized_justified, new.unrealized_finalized) = (checkpoint, checkpoint);
        new
    }

    /// Returns root, parent and slot of every block of the tree, parents first; the first block is
    /// its own parent.
    pub fn blocks(&self) -> Vec<(R, R, Slot)> {
        self.tree.blocks()
    }

    /// Returns the head.
    pub fn head(&self) -> R {
        self.head
    }

    /// Returns the justified checkpoint.
    pub fn justified(&self) -> Checkpoint<R> {
        self.justified
    }

    /// Returns the finalised checkpoint.
    pub fn finalized(&self) -> Checkpoint<R> {
        self.finalized
    }

    /// Returns the current slot: the largest that a tick has named.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Returns the block that the boost supports in this slot.
    pub fn proposer_boost_root(&self) -> Option<R> {
        self.proposer_boost_root
    }

    /// Returns whether `root` is in the tree.
    pub fn contains(&self, root: R) -> bool {
        self.tree.node(root).is_some()
    }

    /// Returns the slot of a block in the tree.
    pub fn slot_of(&self, root: R) -> Option<Slot> {
        self.tree.node(root).map(|node| node.slot)
    }

    /// Returns the last block at or before `slot` on the chain that ends in `root`
    /// (`get_ancestor`).
    pub fn ancestor(&self, root: R, slot: Slot) -> Option<R> {
        self.tree.ancestor(root, slot)
    }

    /// Returns the votes, in Gwei, for `root` and its descendants, boost included (`get_weight`).
    pub fn weight(&self, root: R) -> Option<u128> {
        self.tree.weight(root, self.boost())
    }

    /// Returns the number of blocks in the tree.
    pub fn block_count(&self) -> usize {
        self.tree.len()
    }

    /// Returns the number of attestations that wait for their slot.
    pub fn queued_attestations(&self) -> usize {
        self.queue.len()
    }

    fn on_tick(&mut self, slot: Slot) {
        if slot <= self.slot {
            return;
        }
        let previous_epoch = self.epoch_at(self.slot);
        self.slot = slot;
        self.proposer_boost_root = None;
        // However many epochs were skipped, pulling up once or once for each comes to the same.
        if self.epoch_at(slot) > previous_epoch {
            self.update_checkpoints(self.unrealized_justified, self.unrealized_finalized);
        }
        let waiting = std::mem::take(&mut self.queue);
        for vote in waiting {
            if vote.vote.slot >= self.slot {
                self.queue.push_back(vote);
            } else if self.validate_attestation(&vote, false).is_ok() {
                self.update_latest_messages(&vote);
            }
        }
    }

    fn on_block(
        &mut self,
        root: R,
        parent: R,
        slot: Slot,
        checkpoints: &Checkpoints<R>,
        timely: bool,
    ) -> Result<(), Refusal> {
        if self.tree.node(root).is_some() {
            return Err(Refusal::KnownBlock);
        }
        let parent_slot = self.tree.node(parent).ok_or(Refusal::UnknownParent)?.slot;
        if slot > self.slot {
            return Err(Refusal::FutureSlot);
        }
        if slot <= parent_slot {
            return Err(Refusal::SlotNotAfterParent);
        }
        let finalized_slot = self.start_slot(self.finalized.epoch);
        if slot <= finalized_slot {
            return Err(Refusal::NotAfterFinalizedSlot);
        }
        if self.finalized.epoch > 0
            && self.tree.ancestor(parent, finalized_slot) != Some(self.finalized.root)
        {
            return Err(Refusal::NotDescendantOfFinalized);
        }
        self.check_checkpoints(parent, checkpoints)?;
        self.tree.insert(
            root,
            parent,
            slot,
            checkpoints.justified.epoch,
            checkpoints.unrealized_justified.epoch,
        );
        if timely && slot == self.slot && self.proposer_boost_root.is_none() {
            self.proposer_boost_root = Some(root);
        }
        self.update_checkpoints(checkpoints.justified, checkpoints.finalized);
        newer(&mut self.unrealized_justified, checkpoints.unrealized_justified);
        newer(&mut self.unrealized_finalized, checkpoints.unrealized_finalized);
        if self.epoch_at(slot) < self.epoch_at(self.slot) {
            self.update_checkpoints(
                checkpoints.unrealized_justified,
                checkpoints.unrealized_finalized,
            );
        }
        Ok(())
    }

    /// A checkpoint that would replace one of the store's must be on the block's own chain, or the
    /// justified and finalised roots might not be in the tree. It is never the block itself, whose
    /// state holds no votes for it, so the parent's chain is the one to look at.
    fn check_checkpoints(&self, parent: R, checkpoints: &Checkpoints<R>) -> Result<(), Refusal> {
        let pairs = [
            (checkpoints.justified, self.justified),
            (checkpoints.unrealized_justified, self.unrealized_justified),
            (checkpoints.finalized, self.finalized),
            (checkpoints.unrealized_finalized, self.unrealized_finalized),
        ];
        for (new, known) in pairs {
            let start = self.start_slot(new.epoch);
            if new.epoch > known.epoch && self.tree.ancestor(parent, start) != Some(new.root) {
                return Err(Refusal::CheckpointNotAncestor);
            }
        }
        Ok(())
    }

    fn on_attestation(&mut self, vote: IndexedVote<R>, from_block: bool) -> Result<(), Refusal> {
        if vote.vote.slot < self.slot {
            self.validate_attestation(&vote, from_block)?;
            self.update_latest_messages(&vote);
            return Ok(());
        }
        // One slot ahead is what clocks may differ by; more is refused rather than kept.
        if vote.vote.slot > self.slot.saturating_add(1) {
            return Err(Refusal::FutureSlot);
        }
        if self.queue.len() >= self.config.max_queued_attestations {
            return Err(Refusal::QueueFull);
        }
        self.queue.push_back(vote);
        Ok(())
    }

    /// `validate_on_attestation`, except for its last line, which demands that the slot is past.
    /// The callers see to that.
    fn validate_attestation(
        &self,
        indexed: &IndexedVote<R>,
        from_block: bool,
    ) -> Result<(), Refusal> {
        let vote = &indexed.vote;
        let current = self.epoch_at(self.slot);
        let in_range =
            vote.target.epoch == current || vote.target.epoch.checked_add(1) == Some(current);
        if !from_block && !in_range {
            return Err(Refusal::TargetEpochOutOfRange);
        }
        if vote.target.epoch != self.epoch_at(vote.slot) {
            return Err(Refusal::TargetEpochNotOfSlot);
        }
        if self.tree.node(vote.target.root).is_none() {
            return Err(Refusal::UnknownTarget);
        }
        let block = self.tree.node(vote.beacon_block_root).ok_or(Refusal::UnknownBlock)?;
        if block.slot > vote.slot {
            return Err(Refusal::BlockAfterAttestation);
        }
        let start = self.start_slot(vote.target.epoch);
        if self.tree.ancestor(vote.beacon_block_root, start) != Some(vote.target.root) {
            return Err(Refusal::TargetNotAncestor);
        }
        Ok(())
    }

    fn update_latest_messages(&mut self, indexed: &IndexedVote<R>) {
        let message = LatestMessage {
            epoch: indexed.vote.target.epoch,
            root: indexed.vote.beacon_block_root,
        };
        for &index in &indexed.indices {
            if self.equivocating.contains(&index) {
                continue;
            }
            let balance = self.balance(index);
            if let Some(known) = self.latest_messages.get(&index) {
                if known.epoch >= message.epoch {
                    continue;
                }
                self.tree.remove_weight(known.root, balance);
            }
            self.latest_messages.insert(index, message);
            self.tree.add_weight(message.root, balance);
        }
    }

    fn on_attester_slashing(&mut self, indices: &[ValidatorIndex]) {
        for &index in indices {
            if self.equivocating.insert(index)
                && let Some(message) = self.latest_messages.remove(&index)
            {
                self.tree.remove_weight(message.root, self.balance(index));
            }
        }
    }

    fn on_balances(
        &mut self,
        checkpoint: Checkpoint<R>,
        balances: Balances,
    ) -> Result<(), Refusal> {
        if checkpoint != self.justified {
            return Err(Refusal::StaleBalances);
        }
        self.balances = balances;
        self.tree.clear_weights();
        for (&index, message) in &self.latest_messages {
            self.tree.add_weight(message.root, balance_of(&self.balances, index));
        }
        Ok(())
    }

    fn update_checkpoints(&mut self, justified: Checkpoint<R>, finalized: Checkpoint<R>) {
        newer(&mut self.justified, justified);
        newer(&mut self.finalized, finalized);
    }

    fn viability(&self) -> Viability<R> {
        Viability {
            justified: self.justified,
            finalized: self.finalized,
            current_epoch: self.epoch_at(self.slot),
            slots_per_epoch: self.config.slots_per_epoch,
        }
    }

    /// Returns the boosted block and `get_proposer_score`.
    fn boost(&self) -> Option<(R, Weight)> {
        let committee_weight = self.balances.total_active / self.config.slots_per_epoch;
        let percent = Weight::from(self.config.proposer_score_boost_percent);
        let score = Weight::from(committee_weight) * percent / 100;
        self.proposer_boost_root.map(|root| (root, score))
    }

    fn balance(&self, index: ValidatorIndex) -> u64 {
        balance_of(&self.balances, index)
    }

    fn epoch_at(&self, slot: Slot) -> Epoch {
        slot / self.config.slots_per_epoch
    }

    fn start_slot(&self, epoch: Epoch) -> Slot {
        epoch.saturating_mul(self.config.slots_per_epoch)
    }
}

impl<R: Copy + Eq + Ord + Hash + Debug> Machine for ForkChoice<R> {
    type Event = Event<R>;
    type Effect = Effect<R>;

    /// Takes one event and returns what follows from it. It costs one visit per block of the tree,
    /// and one per validator when balances arrive.
    fn handle(&mut self, (): &(), event: Event<R>) -> Vec<Effect<R>> {
        let (justified, finalized, old_head) = (self.justified, self.finalized, self.head);
        let outcome = match event {
            Event::Tick { slot } => {
                self.on_tick(slot);
                Ok(())
            }
            Event::Block { root, parent, slot, checkpoints, timely } => {
                self.on_block(root, parent, slot, &checkpoints, timely)
            }
            Event::Attestation { vote, from_block } => self.on_attestation(vote, from_block),
            Event::AttesterSlashing { indices } => {
                self.on_attester_slashing(&indices);
                Ok(())
            }
            Event::JustifiedBalances { checkpoint, balances } => {
                self.on_balances(checkpoint, balances)
            }
        };
        if let Err(refusal) = outcome {
            return vec![Effect::Refused(refusal)];
        }
        let mut effects = Vec::new();
        if self.justified != justified {
            effects.push(Effect::Justified(self.justified));
            effects.push(Effect::NeedBalances(self.justified));
        }
        if self.finalized != finalized {
            effects.push(Effect::Finalized(self.finalized));
        }
        self.head = self.tree.head(self.boost(), &self.viability());
        if self.head != old_head {
            let reorg_depth = self.tree.blocks_left(old_head, self.head).unwrap_or(0);
            effects.push(Effect::HeadChanged { old: old_head, new: self.head, reorg_depth });
        }
        if self.finalized != finalized || self.justified != justified {
            // This comes after the depth of the reorganisation is known, as the old head may be
            // among what goes.
            let needed = [self.justified, self.unrealized_justified, self.unrealized_finalized];
            self.tree.prune(&self.viability(), &needed.map(|checkpoint| checkpoint.root));
        }
        effects
    }
}

/// A validator that the justified state does not know has no weight.
fn balance_of(balances: &Balances, index: ValidatorIndex) -> u64 {
    usize::try_from(index)
        .ok()
        .and_then(|index| balances.effective.get(index).copied())
        .unwrap_or(0)
}

/// Replaces a checkpoint by one of a later epoch.
fn newer<R: Copy>(known: &mut Checkpoint<R>, new: Checkpoint<R>) {
    if new.epoch > known.epoch {
        *known = new;
    }
}
