//! The pure part of Clearance; see [`crate::clearance`] for its contract.

mod resume;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::hash::Hash;

use crate::attestation_pool::{self, AttestationPool, Candidates};
use crate::clearance::limits::Limits;
use crate::clearance::material::{BuildOn, Material, Wanted, WantedOf, known_payloads};
use crate::consensus::{
    Balances, Checkpoint, Consensus, Header, IndexedVote, Slot, ValidatorIndex,
};
use crate::fork_choice::{self, ForkChoice, Refusal};
use crate::gossip::{Operation, OperationKind};
use crate::hot_db::Prune;
use crate::machine::Machine;
use crate::operation_pool::OperationPool;
use crate::payload::PayloadPool;
use crate::slashing::{self, SlashingDetector};
use crate::verdict::{
    ClearedAttestation, ClearedBlock, ClearedOperation, ClearedPayloadVote, ClearedVote,
};

/// What the Quarantine passes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Import<C: Consensus> {
    /// A block that passed the firewall. It is in the HotDB.
    Block {
        /// The block.
        block: Box<ClearedBlock<C>>,
        /// Whether it came in its own slot, before the attestation deadline.
        timely: bool,
    },
    /// An attestation that passed the firewall.
    Attestation(Box<ClearedAttestation<C>>),
    /// A gossip vote that passed the firewall. It counts as an attestation does.
    Vote(Box<ClearedVote<C>>),
    /// An operation that passed the firewall. The validators of an attester slashing no longer
    /// count in the fork choice.
    Operation(Box<ClearedOperation<C>>),
    /// A payload vote that passed the firewall.
    PayloadVote(Box<ClearedPayloadVote<C>>),
    /// The payload of a block is there.
    Payload {
        /// Root of the block.
        root: C::Root,
    },
    /// The clock.
    Tick {
        /// The current slot.
        slot: Slot,
    },
}

/// What happens to Clearance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<C: Consensus> {
    /// The Quarantine passes something on.
    Import(Import<C>),
    /// The balances that were asked for.
    Balances {
        /// The checkpoint they belong to.
        checkpoint: Checkpoint<C::Root>,
        /// The balances; `None` if they could not be had. They are asked for again at the next
        /// tick.
        balances: Option<Balances>,
    },
    /// What has been found of the operations that were asked about: these are spent. Empty if the
    /// state could not be had; the next finality asks again.
    Spent(Vec<Operation<C>>),
    /// The load asks that slashable offences no longer be looked for, or be looked for again.
    Detection {
        /// Whether they are looked for.
        on: bool,
    },
}

/// What Clearance asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<C: Consensus> {
    /// Tell the HotDB what to keep.
    Prune(Prune<C::Root>),
    /// Have the Rewinder load the checkpoint's state; `Balances` follows.
    RequestBalances(Checkpoint<C::Root>),
    /// Have the Rewinder load the finalised checkpoint's state, and ask it which of these
    /// operations are spent ([`Consensus::is_spent`]); `Spent` follows.
    RequestSpent {
        /// The checkpoint.
        checkpoint: Checkpoint<C::Root>,
        /// All operations that are held, at least one.
        operations: Vec<Operation<C>>,
    },
    /// The head is another block.
    HeadChanged {
        /// The head before.
        old: C::Root,
        /// The head now.
        new: C::Root,
        /// Number of blocks of the old chain that the new head does not descend from; 0 if it
        /// extends the old chain.
        reorg_depth: u64,
    },
    /// The justified checkpoint moved.
    Justified(Checkpoint<C::Root>),
    /// The finalised checkpoint moved.
    Finalized(Checkpoint<C::Root>),
    /// A proposer signed two valid blocks for one slot.
    Equivocation {
        /// The proposer.
        proposer: ValidatorIndex,
        /// The slot.
        slot: Slot,
        /// Roots of the two blocks, in the order of arrival.
        roots: [C::Root; 2],
        /// The operation that proves it.
        slashing: C::ProposerSlashing,
    },
    /// Validators voted twice for one target epoch.
    DoubleVote {
        /// The validators, ascending.
        validators: Vec<ValidatorIndex>,
        /// The operation that proves it.
        slashing: C::AttesterSlashing,
    },
    /// Validators' votes surround one another.
    SurroundVote {
        /// The validators, ascending.
        validators: Vec<ValidatorIndex>,
        /// The operation that proves it.
        slashing: C::AttesterSlashing,
    },
    /// Slashable offences are no longer looked for, or are looked for again.
    Detection {
        /// Whether they are looked for.
        on: bool,
        /// Blocks and votes that have not been looked at, since the beginning.
        skipped: u64,
    },
    /// The fork choice did not take a cleared block, and finality is not the reason: the block is
    /// in the HotDB and not here. This is a fault of ours.
    NotImported {
        /// Root of the block.
        root: C::Root,
        /// Why.
        refusal: Refusal,
    },
}

/// A view of the canonical chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainView<R> {
    /// Root of the head block.
    pub head: R,
    /// Slot of the head block.
    pub head_slot: Slot,
    /// The justified checkpoint.
    pub justified: Checkpoint<R>,
    /// The finalised checkpoint.
    pub finalized: Checkpoint<R>,
}

fn view_of<R: Copy + Ord + Hash + Debug>(fork_choice: &ForkChoice<R>) -> ChainView<R> {
    let head = fork_choice.head();
    ChainView {
        head,
        // The head is a block of the fork choice.
        head_slot: fork_choice.slot_of(head).unwrap_or_default(),
        justified: fork_choice.justified(),
        finalized: fork_choice.finalized(),
    }
}

/// The canonical chain; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Clearance<C: Consensus> {
    fork_choice: ForkChoice<C::Root>,
    pool: AttestationPool<C::Root, C::Attestation>,
    /// Slots after its own in which an attestation may be included.
    inclusion_slots: u64,
    operations: OperationPool<C>,
    payload_votes: PayloadPool<C>,
    /// Whether it is being found out which operations are spent.
    sorting: bool,
    detector: SlashingDetector<C>,
    /// Whether the detector is shown blocks and votes, and how many it has not been shown.
    detects: bool,
    skipped: u64,
    kept: ChainView<C::Root>,
    /// The checkpoint whose balances have been asked for and are not there yet.
    asked: Option<Checkpoint<C::Root>>,
    /// The checkpoint whose balances are asked for again at the next tick, because a request
    /// failed.
    failed: Option<Checkpoint<C::Root>>,
}

impl<C: Consensus> Clearance<C> {
    /// Returns a Clearance whose chain is the anchor alone, with the default limits; `balances` are
    /// those of its state.
    #[must_use]
    pub fn new(
        config: fork_choice::Config,
        anchor: C::Root,
        anchor_slot: Slot,
        balances: Balances,
    ) -> Self {
        Self::with_limits(config, Limits::default(), anchor, anchor_slot, balances)
    }

    /// As [`Clearance::new`], with limits.
    #[must_use]
    pub fn with_limits(
        config: fork_choice::Config,
        limits: Limits,
        anchor: C::Root,
        anchor_slot: Slot,
        balances: Balances,
    ) -> Self {
        Self::of(config, limits, ForkChoice::new(config, anchor, anchor_slot, balances))
    }

    /// Returns a Clearance whose chain is the block of a finalised checkpoint alone. The block's
    /// slot may lie before the checkpoint's epoch.
    pub(crate) fn from_checkpoint(
        config: fork_choice::Config,
        limits: Limits,
        checkpoint: Checkpoint<C::Root>,
        slot: Slot,
        balances: Balances,
    ) -> Self {
        Self::of(config, limits, ForkChoice::from_checkpoint(config, checkpoint, slot, balances))
    }

    fn of(config: fork_choice::Config, limits: Limits, fork_choice: ForkChoice<C::Root>) -> Self {
        let inclusion_slots = config.slots_per_epoch;
        let detector = SlashingDetector::new(limits.detector(inclusion_slots));
        let pool = AttestationPool::new(limits.pool(inclusion_slots));
        let kept = view_of(&fork_choice);
        Self {
            fork_choice,
            pool,
            operations: OperationPool::new(limits.operations),
            payload_votes: PayloadPool::default(),
            sorting: false,
            inclusion_slots,
            detector,
            detects: true,
            skipped: 0,
            kept,
            asked: None,
            failed: None,
        }
    }

    /// Returns the head and the justified and finalised checkpoints.
    #[must_use]
    pub fn view(&self) -> ChainView<C::Root> {
        view_of(&self.fork_choice)
    }

    /// Returns root, parent and slot of every block of the fork choice, parents first.
    #[must_use]
    pub fn blocks(&self) -> Vec<(C::Root, C::Root, Slot)> {
        self.fork_choice.blocks()
    }

    /// Returns the block that a proposer of `slot` builds on: the head, or the head's parent
    /// ([`ForkChoice::proposer_head`]).
    #[must_use]
    pub fn proposer_head(&self, slot: Slot, on_time: bool) -> C::Root {
        self.fork_choice.proposer_head(slot, on_time)
    }

    /// Returns what a block on `parent` can be packed from: the attestations of the pool, and the
    /// votes that `parent` and its ancestors include already. It costs one step per ancestor of the
    /// last [`attestation_pool::Limits::age`] slots, and a few pointers for each attestation.
    #[must_use]
    pub fn candidates(&self, parent: C::Root) -> Candidates<C::Attestation> {
        let oldest = self.fork_choice.slot().saturating_sub(self.inclusion_slots);
        let at = |root| Some((self.fork_choice.slot_of(root)?, root));
        let before = |(slot, root): &(Slot, C::Root)| {
            let before = slot.checked_sub(1).filter(|slot| *slot >= oldest)?;
            at(self.fork_choice.ancestor(*root, before)?)
        };
        self.pool.candidates(std::iter::successors(at(parent), before))
    }

    /// Returns the block to build on, and what is wanted beside it.
    #[must_use]
    pub fn material(&self, on: BuildOn<C::Root>, wanted: WantedOf<C>) -> Material<C> {
        let parent = match on {
            BuildOn::Block(root) => root,
            BuildOn::ProposerHead { slot, on_time } => self.proposer_head(slot, on_time),
        };
        let mut material = Material::new(parent);
        match wanted {
            Wanted::Parent => {}
            Wanted::Block => {
                material.attestations = self.candidates(parent);
                material.operations = self.operations.held();
            }
            Wanted::Data { slot, root } => material.attestations = self.pool.of_data(slot, root),
            Wanted::PayloadVotes => {
                material.payload_votes = self.payload_votes.held();
                material.payloads = known_payloads(&self.fork_choice);
            }
        }
        material
    }

    /// Returns the fork choice.
    #[must_use]
    pub fn fork_choice(&self) -> &ForkChoice<C::Root> {
        &self.fork_choice
    }

    /// Returns whether the operation pool holds this operation.
    #[must_use]
    pub fn holds(&self, operation: &Operation<C>) -> bool {
        self.operations.holds(operation)
    }

    /// Returns whether slashable offences are looked for.
    #[must_use]
    pub fn detects(&self) -> bool {
        self.detects
    }

    /// `on_block` with the block's own attestations and slashings, and then what the detector and
    /// the pool make of them.
    fn block(
        &mut self,
        consensus: &C,
        block: &ClearedBlock<C>,
        timely: bool,
        effects: &mut Vec<Effect<C>>,
    ) {
        let Header { root, parent, slot, proposer, .. } = *block.item().identity();
        let evidence = block.evidence();
        let event = fork_choice::Event::Block {
            root,
            parent,
            slot,
            proposer,
            checkpoints: evidence.checkpoints,
            timely,
            votes: evidence.votes.clone(),
            equivocating: evidence.equivocating.clone(),
        };
        if let Some(refusal) = self.apply(consensus, event, effects) {
            if !is_harmless(refusal) {
                effects.push(Effect::NotImported { root, refusal });
            }
            // What the slashings prove is true, wherever the block stands.
            self.attester_slashing(consensus, evidence.equivocating.clone(), effects);
        }
        let attestations = consensus.attestations(block.item().item());
        for (vote, attestation) in evidence.votes.iter().zip(&attestations) {
            let (indexed, attestation) = (vote.clone(), attestation.clone());
            let event = || slashing::Event::Attestation { indexed, attestation };
            self.detect(consensus, event, effects);
        }
        self.pool.handle(&(), attestation_pool::Event::Block { root, slot, attestations });
        let proposal = || {
            let header = consensus.signed_header(block.item().item());
            slashing::Event::Proposal { slot, proposer, root, header }
        };
        self.detect(consensus, proposal, effects);
    }

    fn attestation(
        &mut self,
        consensus: &C,
        vote: IndexedVote<C::Root>,
        attestation: C::Attestation,
        effects: &mut Vec<Effect<C>>,
    ) {
        let (indexed, shown) = (vote.clone(), attestation.clone());
        let event = || slashing::Event::Attestation { indexed, attestation: shown };
        self.detect(consensus, event, effects);
        // A vote that is refused is for a pruned block, for example. It has no weight, and that is
        // all.
        self.apply(consensus, fork_choice::Event::Attestation { vote }, effects);
        // The pool may have no use for it.
        self.pool.handle(&(), attestation_pool::Event::Attestation(attestation));
    }

    /// The validators' votes count no more. The fork choice never refuses this.
    fn attester_slashing(
        &mut self,
        consensus: &C,
        indices: Vec<ValidatorIndex>,
        effects: &mut Vec<Effect<C>>,
    ) {
        if !indices.is_empty() {
            self.apply(consensus, fork_choice::Event::AttesterSlashing { indices }, effects);
        }
    }

    /// Shows the detector a block or a vote, unless the load forbids it. Finality is always shown,
    /// as it moves the detector's window.
    fn detect(
        &mut self,
        consensus: &C,
        event: impl FnOnce() -> slashing::Event<C>,
        effects: &mut Vec<Effect<C>>,
    ) {
        if !self.detects {
            self.skipped += 1;
            return;
        }
        self.show(consensus, event(), effects);
    }

    fn show(&mut self, consensus: &C, event: slashing::Event<C>, effects: &mut Vec<Effect<C>>) {
        for offence in self.detector.handle(consensus, event) {
            self.keep_ready(&offence);
            effects.push(match offence {
                slashing::Effect::DoubleProposal { proposer, slot, first, second, slashing } => {
                    Effect::Equivocation { proposer, slot, roots: [first, second], slashing }
                }
                slashing::Effect::DoubleVote { validators, slashing, .. } => {
                    Effect::DoubleVote { validators, slashing }
                }
                slashing::Effect::SurroundVote { validators, slashing, .. } => {
                    Effect::SurroundVote { validators, slashing }
                }
            });
        }
    }

    /// Holds the operation that proves an offence for the next block.
    fn keep_ready(&mut self, offence: &slashing::Effect<C>) {
        let (operation, validators) = match offence {
            slashing::Effect::DoubleProposal { proposer, slashing, .. } => {
                (Operation::ProposerSlashing(slashing.clone()), vec![*proposer])
            }
            slashing::Effect::DoubleVote { validators, slashing, .. }
            | slashing::Effect::SurroundVote { validators, slashing, .. } => {
                (Operation::AttesterSlashing(slashing.clone()), validators.clone())
            }
        };
        self.operations.insert(operation, validators);
    }

    /// Hands the fork choice an event. Returns the reason if the fork choice refuses it.
    fn apply(
        &mut self,
        consensus: &C,
        event: fork_choice::Event<C::Root>,
        effects: &mut Vec<Effect<C>>,
    ) -> Option<Refusal> {
        let mut refused = None;
        for effect in self.fork_choice.handle(&(), event) {
            match effect {
                fork_choice::Effect::HeadChanged { old, new, reorg_depth } => {
                    effects.push(Effect::HeadChanged { old, new, reorg_depth });
                }
                fork_choice::Effect::Justified(checkpoint) => {
                    effects.push(Effect::Justified(checkpoint));
                }
                fork_choice::Effect::Finalized(checkpoint) => {
                    effects.push(Effect::Finalized(checkpoint));
                    let epoch = checkpoint.epoch;
                    self.show(consensus, slashing::Event::Finalized { epoch }, effects);
                    self.sort_out(checkpoint, effects);
                }
                fork_choice::Effect::NeedBalances(checkpoint) => self.ask(checkpoint, effects),
                fork_choice::Effect::Refused(refusal) => refused = Some(refusal),
            }
        }
        refused
    }

    fn ask(&mut self, checkpoint: Checkpoint<C::Root>, effects: &mut Vec<Effect<C>>) {
        self.asked = Some(checkpoint);
        effects.push(Effect::RequestBalances(checkpoint));
    }

    /// Asks which operations finality has made pointless, unless that is being found out (I8).
    fn sort_out(&mut self, checkpoint: Checkpoint<C::Root>, effects: &mut Vec<Effect<C>>) {
        if !self.sorting && !self.operations.is_empty() {
            self.sorting = true;
            let operations = self.operations.held();
            effects.push(Effect::RequestSpent { checkpoint, operations });
        }
    }

    /// Tells the HotDB once per event what is to stay cached, if that has changed.
    fn keep(&mut self, effects: &mut Vec<Effect<C>>) {
        let view = self.view();
        if view != self.kept {
            self.kept = view;
            let ChainView { head, justified, finalized, .. } = view;
            effects.push(Effect::Prune(Prune { finalized, justified: justified.root, head }));
        }
    }
}

impl<C: Consensus> Machine<C> for Clearance<C> {
    type Event = Event<C>;
    type Effect = Effect<C>;

    fn handle(&mut self, consensus: &C, event: Event<C>) -> Vec<Effect<C>> {
        let mut effects = Vec::new();
        match event {
            Event::Import(Import::Block { block, timely }) => {
                self.block(consensus, &block, timely, &mut effects);
            }
            Event::Import(Import::Attestation(attestation)) => {
                let vote = attestation.evidence().clone();
                let attestation = attestation.item().item().clone();
                self.attestation(consensus, vote, attestation, &mut effects);
            }
            Event::Import(Import::Vote(vote)) => {
                let attestation = vote.item().item().attestation(consensus);
                self.attestation(consensus, vote.evidence().clone(), attestation, &mut effects);
            }
            Event::Import(Import::Operation(operation)) => {
                let (indices, operation) =
                    (operation.evidence().clone(), operation.item().item().clone());
                let kind = operation.kind();
                self.operations.insert(operation, indices.clone());
                if kind == OperationKind::AttesterSlashing {
                    self.attester_slashing(consensus, indices, &mut effects);
                }
            }
            Event::Import(Import::PayloadVote(vote)) => {
                let (data, places) = (vote.item().identity().data, vote.evidence().clone());
                let event = fork_choice::Event::PayloadVote { data, places: places.clone() };
                // A vote for a block that finality has passed is of no use to the pool either.
                if self.apply(consensus, event, &mut effects).is_none() {
                    self.payload_votes.insert(data, &places, vote.item().item());
                }
            }
            Event::Import(Import::Payload { root }) => {
                // It is refused if finality has passed the block.
                self.apply(consensus, fork_choice::Event::Payload { root }, &mut effects);
            }
            Event::Import(Import::Tick { slot }) => {
                self.apply(consensus, fork_choice::Event::Tick { slot }, &mut effects);
                self.pool.handle(&(), attestation_pool::Event::Tick { slot });
                self.payload_votes.tick(self.fork_choice.slot());
                if let Some(checkpoint) = self.failed.take()
                    && checkpoint == self.fork_choice.justified()
                    && self.asked.is_none()
                {
                    self.ask(checkpoint, &mut effects);
                }
            }
            Event::Balances { checkpoint, balances } => {
                self.asked = self.asked.filter(|asked| *asked != checkpoint);
                match balances {
                    Some(balances) => {
                        let event = fork_choice::Event::JustifiedBalances { checkpoint, balances };
                        // The event is refused if another checkpoint is justified by now; that
                        // one's balances are on the way.
                        self.apply(consensus, event, &mut effects);
                    }
                    None => self.failed = Some(checkpoint),
                }
            }
            Event::Spent(operations) => {
                self.sorting = false;
                self.operations.remove(&operations);
            }
            Event::Detection { on } => {
                if on != self.detects {
                    self.detects = on;
                    effects.push(Effect::Detection { on, skipped: self.skipped });
                }
            }
        }
        self.keep(&mut effects);
        effects
    }
}

/// Returns whether a cleared block that the fork choice refuses is of no use to it: finality has
/// passed it (and perhaps its parent) while it was being checked.
fn is_harmless(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::UnknownParent | Refusal::NotAfterFinalizedSlot | Refusal::NotDescendantOfFinalized
    )
}
