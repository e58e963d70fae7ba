//! The store of the fork choice and its handlers; the contract is in the module above.
//!
//! Reference: consensus-specs v1.7.0-alpha.13 `on_tick`, `on_block`, `on_attestation`,
//! `on_attester_slashing`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

use super::event::{Config, Effect, Event, Refusal};
use super::payload::{self, Payloads};
use super::proto_array::{NewBlock, ProtoArray, Viability, Weight};
use crate::consensus::{
    Balances, Checkpoint, Checkpoints, Epoch, IndexedVote, Slot, ValidatorIndex,
};
use crate::machine::Machine;

/// `MIN_SEED_LOOKAHEAD`, which all presets share: the shuffling of an epoch follows from what came
/// before the epoch that precedes it.
const MIN_SEED_LOOKAHEAD: Epoch = 1;

/// The last vote of a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct LatestMessage<R> {
    epoch: Epoch,
    root: R,
}

/// The fork choice; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForkChoice<R> {
    pub(super) config: Config,
    slot: Slot,
    pub(super) tree: ProtoArray<R>,
    justified: Checkpoint<R>,
    pub(super) finalized: Checkpoint<R>,
    unrealized_justified: Checkpoint<R>,
    unrealized_finalized: Checkpoint<R>,
    pub(super) proposer_boost_root: Option<R>,
    latest_messages: BTreeMap<ValidatorIndex, LatestMessage<R>>,
    equivocating: BTreeSet<ValidatorIndex>,
    queue: VecDeque<IndexedVote<R>>,
    balances: Balances,
    pub(super) payloads: Payloads<R>,
    pub(super) head: R,
}

impl<R: Copy + Eq + Ord + Hash + Debug> ForkChoice<R> {
    /// Returns a store whose first block is `anchor`, with `balances` of the anchor's state. The
    /// anchor is justified and finalised in the epoch of `anchor_slot`, which is also the current
    /// slot.
    #[must_use]
    pub fn new(config: Config, anchor: R, anchor_slot: Slot, balances: Balances) -> Self {
        let epoch = anchor_slot / config.slots_per_epoch.max(1);
        let checkpoint = Checkpoint { epoch, root: anchor };
        Self::from_checkpoint(config, checkpoint, anchor_slot, balances)
    }

    /// Returns a store whose first block is that of a finalised checkpoint, at `slot`, which may
    /// lie before the checkpoint's epoch. The checkpoint is justified and finalised.
    pub(crate) fn from_checkpoint(
        config: Config,
        checkpoint: Checkpoint<R>,
        slot: Slot,
        balances: Balances,
    ) -> Self {
        let config = Config { slots_per_epoch: config.slots_per_epoch.max(1), ..config };
        let rule = Viability {
            justified: checkpoint,
            finalized: checkpoint,
            current_epoch: slot / config.slots_per_epoch,
            slots_per_epoch: config.slots_per_epoch,
        };
        Self {
            config,
            slot,
            tree: ProtoArray::new(slot, rule),
            justified: checkpoint,
            finalized: checkpoint,
            unrealized_justified: checkpoint,
            unrealized_finalized: checkpoint,
            proposer_boost_root: None,
            latest_messages: BTreeMap::new(),
            equivocating: BTreeSet::new(),
            queue: VecDeque::new(),
            balances,
            payloads: Payloads::new(),
            head: checkpoint.root,
        }
    }

    /// Returns root, parent and slot of every block of the tree, parents first; the first block is
    /// its own parent.
    pub fn blocks(&self) -> Vec<(R, R, Slot)> {
        self.tree.blocks()
    }

    /// Returns the head. It is known when an event has been handled, so this costs nothing.
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

    /// Returns whether a validator has been proved to equivocate: its votes do not count.
    #[must_use]
    pub fn has_equivocated(&self, index: ValidatorIndex) -> bool {
        self.equivocating.contains(&index)
    }

    /// Returns the votes, in Gwei, for `root` and its descendants, boost included (`get_weight`).
    pub fn weight(&self, root: R) -> Option<u128> {
        self.tree.weight(root)
    }

    /// Returns the blocks that may be head, each with its weight in Gwei, in the order in which
    /// they came: the leaves of `get_filtered_block_tree`.
    pub fn viable_heads(&self) -> Vec<(R, u128)> {
        self.tree.viable_leaves()
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
        // More than an epoch back is no jitter: the clock was wrong before (I4).
        let was_wrong = slot.saturating_add(self.config.slots_per_epoch) < self.slot;
        if slot <= self.slot && !was_wrong {
            return;
        }
        let previous_epoch = self.epoch_at(self.slot);
        self.slot = slot;
        self.boost(None);
        // However many epochs were skipped, pulling up once or once for each comes to the same.
        if self.epoch_at(slot) > previous_epoch {
            self.update_checkpoints(self.unrealized_justified, self.unrealized_finalized);
        }
        let waiting = std::mem::take(&mut self.queue);
        for vote in waiting {
            if vote.vote.slot > self.slot.saturating_add(1) {
                // It was taken in by the wrong clock.
            } else if vote.vote.slot >= self.slot {
                self.queue.push_back(vote);
            } else if self.validate_attestation(&vote, false).is_ok() {
                self.update_latest_messages(&vote);
            }
        }
    }

    /// Returns whether the block is new; a known one is admitted and changes nothing.
    fn on_block(
        &mut self,
        block: NewBlock<R>,
        checkpoints: &Checkpoints<R>,
    ) -> Result<bool, Refusal> {
        if self.tree.node(block.root).is_some() {
            return Ok(false);
        }
        let parent_slot = self.tree.node(block.parent).ok_or(Refusal::UnknownParent)?.slot;
        if block.slot > self.slot {
            return Err(Refusal::FutureSlot);
        }
        if block.slot <= parent_slot {
            return Err(Refusal::SlotNotAfterParent);
        }
        if block.slot <= self.start_slot(self.finalized.epoch) {
            return Err(Refusal::NotAfterFinalizedSlot);
        }
        if !self.tree.descends_from_finalized(block.parent) {
            return Err(Refusal::NotDescendantOfFinalized);
        }
        self.check_checkpoints(&block, checkpoints)?;
        let timely = block.timely && block.slot == self.slot;
        let boosted = timely
            && self.proposer_boost_root.is_none()
            && self.has_dependent_root_of_head(block.parent);
        self.tree.insert(&NewBlock { timely, ..block });
        if boosted {
            self.boost(Some(block.root));
        }
        self.update_checkpoints(checkpoints.justified, checkpoints.finalized);
        newer(&mut self.unrealized_justified, checkpoints.unrealized_justified);
        newer(&mut self.unrealized_finalized, checkpoints.unrealized_finalized);
        if self.epoch_at(block.slot) < self.epoch_at(self.slot) {
            self.update_checkpoints(
                checkpoints.unrealized_justified,
                checkpoints.unrealized_finalized,
            );
        }
        Ok(true)
    }

    /// Whether the shuffling of the current epoch follows from the same block on the chain of the
    /// head and on that of `parent`, whose child is of the current slot
    /// (`get_shuffling_dependent_root`). If not, the child's proposer may be another than the one
    /// that the head's chain expects. Costs a visit for each block of two epochs.
    ///
    /// Both are `None` if the block is older than the tree. Then it is the same, as all chains
    /// have the tree's first block in common.
    fn has_dependent_root_of_head(&self, parent: R) -> bool {
        let lookahead = self.epoch_at(self.slot).saturating_sub(MIN_SEED_LOOKAHEAD);
        let slot = self.start_slot(lookahead).saturating_sub(1);
        parent == self.head
            || self.tree.ancestor(parent, slot) == self.tree.ancestor(self.head, slot)
    }

    /// A checkpoint that would replace one of the store's must be on the block's own chain, or the
    /// justified and finalised roots might not be in the tree. It is never the block itself, whose
    /// state holds no votes for it, so the parent's chain is the one to look at. Its epoch starts
    /// before the block's slot, or the block itself would be that epoch's checkpoint on its chain.
    fn check_checkpoints(
        &self,
        block: &NewBlock<R>,
        checkpoints: &Checkpoints<R>,
    ) -> Result<(), Refusal> {
        let pairs = [
            (checkpoints.justified, self.justified),
            (checkpoints.unrealized_justified, self.unrealized_justified),
            (checkpoints.finalized, self.finalized),
            (checkpoints.unrealized_finalized, self.unrealized_finalized),
        ];
        for (new, known) in pairs {
            let start = self.start_slot(new.epoch);
            let on_chain =
                || start < block.slot && self.tree.ancestor(block.parent, start) == Some(new.root);
            if new.epoch > known.epoch && !on_chain() {
                return Err(Refusal::CheckpointNotAncestor);
            }
        }
        Ok(())
    }

    fn on_attestation(&mut self, vote: IndexedVote<R>) -> Result<(), Refusal> {
        if vote.vote.slot < self.slot {
            self.validate_attestation(&vote, false)?;
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

    /// Counts, after a restart, a vote for a block that finality has passed since the vote was taken
    /// in: it has no weight, and takes that of older votes of its validators away. Returns whether
    /// it counts from this slot on.
    pub(crate) fn resume_vote(&mut self, vote: &IndexedVote<R>) -> bool {
        let counts = vote.vote.slot < self.slot;
        if counts {
            self.update_latest_messages(vote);
        }
        counts
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

    /// Counts the attestations of a block and the slashings that it carries.
    fn on_block_body(&mut self, votes: &[IndexedVote<R>], equivocating: &[ValidatorIndex]) {
        for vote in votes {
            if vote.vote.slot < self.slot && self.validate_attestation(vote, true).is_ok() {
                self.update_latest_messages(vote);
            }
        }
        self.on_attester_slashing(equivocating);
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
        self.boost(self.proposer_boost_root);
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

    /// Moves the boost to a block, or ends it.
    fn boost(&mut self, root: Option<R>) {
        self.proposer_boost_root = root;
        let score = self.committee_fraction(self.config.proposer_score_boost_percent);
        self.tree.set_boost(root.map(|root| (root, score)));
    }

    /// Returns so many percent of the weight of a slot's committees, in Gwei
    /// (`calculate_committee_fraction`).
    pub(super) fn committee_fraction(&self, percent: u64) -> Weight {
        let committee_weight = self.balances.total_active / self.config.slots_per_epoch;
        Weight::from(committee_weight) * Weight::from(percent) / 100
    }

    fn balance(&self, index: ValidatorIndex) -> u64 {
        balance_of(&self.balances, index)
    }

    pub(super) fn epoch_at(&self, slot: Slot) -> Epoch {
        slot / self.config.slots_per_epoch
    }

    fn start_slot(&self, epoch: Epoch) -> Slot {
        epoch.saturating_mul(self.config.slots_per_epoch)
    }
}

impl<R: Copy + Eq + Ord + Hash + Debug> Machine for ForkChoice<R> {
    type Event = Event<R>;
    type Effect = Effect<R>;

    /// Takes one event and returns what follows from it; the module's text gives the cost. The head
    /// is looked for once, however many votes the event brings.
    fn handle(&mut self, (): &(), event: Event<R>) -> Vec<Effect<R>> {
        let (justified, finalized, old_head) = (self.justified, self.finalized, self.head);
        let outcome = match event {
            Event::Tick { slot } => {
                self.on_tick(slot);
                Ok(())
            }
            Event::Block {
                root,
                parent,
                slot,
                proposer,
                checkpoints,
                timely,
                votes,
                equivocating,
            } => {
                let block = NewBlock {
                    root,
                    parent,
                    slot,
                    proposer,
                    timely,
                    justified_epoch: checkpoints.justified.epoch,
                    unrealized_justified_epoch: checkpoints.unrealized_justified.epoch,
                };
                self.on_block(block, &checkpoints).map(|new| {
                    if new {
                        self.on_block_body(&votes, &equivocating);
                    }
                })
            }
            Event::Attestation { vote } => self.on_attestation(vote),
            Event::AttesterSlashing { indices } => {
                self.on_attester_slashing(&indices);
                Ok(())
            }
            Event::PayloadVote { data, places } => self.on_payload_vote(&data, &places),
            Event::Payload { root } => self.on_payload(root),
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
        self.tree.set_rule(self.viability());
        self.head = self.tree.changed_head().unwrap_or(self.head);
        if self.head != old_head {
            let reorg_depth = self.tree.blocks_left(old_head, self.head).unwrap_or(0);
            effects.push(Effect::HeadChanged { old: old_head, new: self.head, reorg_depth });
        }
        if self.finalized != finalized || self.justified != justified {
            // This comes after the depth of the reorganisation is known, as the old head may be
            // among what goes.
            let needed = [self.justified, self.unrealized_justified, self.unrealized_finalized];
            self.tree.prune(&needed.map(|checkpoint| checkpoint.root));
            payload::prune(&mut self.payloads, &self.tree);
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
