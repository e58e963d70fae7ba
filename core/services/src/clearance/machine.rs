//! The pure part of Clearance; see [`crate::clearance`] for its contract.

use crate::consensus::{
    Balances, Checkpoint, Consensus, Header, IndexedVote, Slot, ValidatorIndex,
};
use crate::fork_choice::{self, ForkChoice, Refusal};
use crate::hot_db::Prune;
use crate::machine::Machine;
use crate::slashing::{self, SlashingDetector};
use crate::verdict::{ClearedAttestation, ClearedBlock};

/// What the Quarantine passes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Import<C: Consensus> {
    /// A block that passed the firewall. It is in the HotDB.
    Block {
        /// The block.
        block: Box<ClearedBlock<C>>,
        /// Whether it came in the first third of its own slot.
        timely: bool,
    },
    /// An attestation that passed the firewall.
    Attestation(Box<ClearedAttestation<C>>),
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
    },
    /// Validators voted twice for one target epoch.
    DoubleVote {
        /// The validators, ascending.
        validators: Vec<ValidatorIndex>,
    },
    /// Validators' votes surround one another.
    SurroundVote {
        /// The validators, ascending.
        validators: Vec<ValidatorIndex>,
    },
    /// Slashable offences are no longer looked for, or are looked for again.
    Detection {
        /// Whether they are looked for.
        on: bool,
        /// Blocks and votes that have not been looked at, since the beginning.
        skipped: u64,
    },
    /// The fork choice did not take a cleared block, and neither finality nor an earlier copy of it
    /// is the reason: the block is in the HotDB and not here. This is a fault of ours.
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
    /// The justified checkpoint.
    pub justified: Checkpoint<R>,
    /// The finalised checkpoint.
    pub finalized: Checkpoint<R>,
}

/// The canonical chain; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Clearance<C: Consensus> {
    fork_choice: ForkChoice<C::Root>,
    detector: SlashingDetector<C::Root>,
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
    /// Returns a Clearance whose chain is the anchor alone; `balances` are those of its state.
    #[must_use]
    pub fn new(
        config: fork_choice::Config,
        anchor: C::Root,
        anchor_slot: Slot,
        balances: Balances,
    ) -> Self {
        Self::of(config, ForkChoice::new(config, anchor, anchor_slot, balances))
    }

    /// Returns a Clearance whose chain is the block of a finalised checkpoint alone. The block's
    /// slot may lie before the checkpoint's epoch.
    pub(crate) fn from_checkpoint(
        config: fork_choice::Config,
        checkpoint: Checkpoint<C::Root>,
        slot: Slot,
        balances: Balances,
    ) -> Self {
        Self::of(config, ForkChoice::from_checkpoint(config, checkpoint, slot, balances))
    }

    fn of(config: fork_choice::Config, fork_choice: ForkChoice<C::Root>) -> Self {
        let detector = SlashingDetector::new(slashing::Limits::new(config.slots_per_epoch));
        let kept = ChainView {
            head: fork_choice.head(),
            justified: fork_choice.justified(),
            finalized: fork_choice.finalized(),
        };
        Self { fork_choice, detector, detects: true, skipped: 0, kept, asked: None, failed: None }
    }

    /// Returns the head and the justified and finalised checkpoints.
    #[must_use]
    pub fn view(&self) -> ChainView<C::Root> {
        ChainView {
            head: self.fork_choice.head(),
            justified: self.fork_choice.justified(),
            finalized: self.fork_choice.finalized(),
        }
    }

    /// Returns root, parent and slot of every block of the fork choice, parents first.
    #[must_use]
    pub fn blocks(&self) -> Vec<(C::Root, C::Root, Slot)> {
        self.fork_choice.blocks()
    }

    /// Returns the fork choice.
    #[must_use]
    pub fn fork_choice(&self) -> &ForkChoice<C::Root> {
        &self.fork_choice
    }

    /// Returns whether slashable offences are looked for.
    #[must_use]
    pub fn detects(&self) -> bool {
        self.detects
    }

    /// `on_block`, then the block's own attestations and slashings.
    fn block(&mut self, block: &ClearedBlock<C>, timely: bool, effects: &mut Vec<Effect<C>>) {
        let header = block.item().identity();
        let evidence = block.evidence();
        let event = fork_choice::Event::Block {
            root: header.root,
            parent: header.parent,
            slot: header.slot,
            checkpoints: evidence.checkpoints,
            timely,
        };
        if let Some(refusal) = self.apply(event, effects).filter(|refusal| !is_harmless(*refusal)) {
            effects.push(Effect::NotImported { root: header.root, refusal });
        }
        for vote in evidence.votes.iter().cloned() {
            self.vote(vote, true, effects);
        }
        if !evidence.equivocating.is_empty() {
            let indices = evidence.equivocating.clone();
            self.apply(fork_choice::Event::AttesterSlashing { indices }, effects);
        }
        let Header { root, slot, proposer, .. } = *header;
        self.detect(slashing::Event::Proposal { slot, proposer, root }, effects);
    }

    fn vote(&mut self, vote: IndexedVote<C::Root>, from_block: bool, effects: &mut Vec<Effect<C>>) {
        self.detect(slashing::Event::Attestation(vote.clone()), effects);
        // A vote that is refused is for a pruned block, for example. It has no weight, and that is
        // all.
        self.apply(fork_choice::Event::Attestation { vote, from_block }, effects);
    }

    /// Shows the detector a block or a vote, unless the load forbids it. Finality is always shown,
    /// as it lets the detector forget.
    fn detect(&mut self, event: slashing::Event<C::Root>, effects: &mut Vec<Effect<C>>) {
        if !self.detects && !matches!(event, slashing::Event::Finalized { .. }) {
            self.skipped += 1;
            return;
        }
        effects.extend(self.detector.handle(&(), event).into_iter().map(|offence| match offence {
            slashing::Effect::DoubleProposal { proposer, slot, first, second } => {
                Effect::Equivocation { proposer, slot, roots: [first, second] }
            }
            slashing::Effect::DoubleVote { validators, .. } => Effect::DoubleVote { validators },
            slashing::Effect::SurroundVote { validators, .. } => {
                Effect::SurroundVote { validators }
            }
        }));
    }

    /// Hands the fork choice an event. Returns the reason if the fork choice refuses it.
    fn apply(
        &mut self,
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
                    self.detect(slashing::Event::Finalized { epoch }, effects);
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

    /// Tells the HotDB once per event what is to stay cached, if that has changed.
    fn keep(&mut self, effects: &mut Vec<Effect<C>>) {
        let view = self.view();
        if view != self.kept {
            self.kept = view;
            let ChainView { head, justified, finalized } = view;
            effects.push(Effect::Prune(Prune { finalized, justified: justified.root, head }));
        }
    }
}

impl<C: Consensus> Machine<C> for Clearance<C> {
    type Event = Event<C>;
    type Effect = Effect<C>;

    fn handle(&mut self, _consensus: &C, event: Event<C>) -> Vec<Effect<C>> {
        let mut effects = Vec::new();
        match event {
            Event::Import(Import::Block { block, timely }) => {
                self.block(&block, timely, &mut effects);
            }
            Event::Import(Import::Attestation(attestation)) => {
                self.vote(attestation.evidence().clone(), false, &mut effects);
            }
            Event::Import(Import::Tick { slot }) => {
                self.apply(fork_choice::Event::Tick { slot }, &mut effects);
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
                        self.apply(event, &mut effects);
                    }
                    None => self.failed = Some(checkpoint),
                }
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

/// Returns whether a cleared block that the fork choice refuses is of no use to it: the block is
/// there already, or finality has passed it (and perhaps its parent) while it was being checked.
fn is_harmless(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::KnownBlock
            | Refusal::UnknownParent
            | Refusal::NotAfterFinalizedSlot
            | Refusal::NotDescendantOfFinalized
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Clearance, Effect, Event, Import};
    use crate::consensus::{Balances, BlockEffects, Checkpoint, Checkpoints};
    use crate::fork_choice::{Config, Refusal};
    use crate::identified;
    use crate::machine::Machine;
    use crate::toy::{Toy, ToyBlock};
    use crate::verdict::Cleared;

    /// Block `root` on the anchor at `slot`, cleared; the anchor is all that it justifies.
    fn cleared(root: u8, parent: u8, slot: u64) -> Event<Toy> {
        let anchor = Checkpoint { epoch: 0, root: 0 };
        let evidence = BlockEffects {
            post_state_root: root,
            checkpoints: Checkpoints {
                justified: anchor,
                finalized: anchor,
                unrealized_justified: anchor,
                unrealized_finalized: anchor,
            },
            votes: Vec::new(),
            equivocating: Vec::new(),
        };
        let block = Box::new(Cleared::new(
            identified::block(&Toy::default(), ToyBlock::new(root, parent, slot)),
            evidence,
        ));
        Event::Import(Import::Block { block, timely: false })
    }

    #[test]
    fn what_comes_while_detection_is_off_is_counted_and_not_looked_at() {
        // Of two pairs of blocks for one slot, the pair that comes while it is off is not found.
        let balances = Balances { effective: Arc::from([]), total_active: 1 };
        let mut machine = Clearance::<Toy>::new(Config::new(4), 0, 0, balances);
        let mut handle = |event| machine.handle(&Toy::default(), event);
        handle(Event::Import(Import::Tick { slot: 9 }));
        let found = |effects: &[Effect<Toy>]| {
            effects.iter().any(|effect| matches!(effect, Effect::Equivocation { .. }))
        };
        assert!(found(&[1, 2].map(|root| handle(cleared(root, 0, 1))).concat()));
        let off = Effect::Detection { on: false, skipped: 0 };
        assert_eq!(handle(Event::Detection { on: false }), [off]);
        assert!(!found(&[3, 4].map(|root| handle(cleared(root, 0, 2))).concat()));
        let on = Effect::Detection { on: true, skipped: 2 };
        assert_eq!(handle(Event::Detection { on: true }), [on]);
        assert_eq!(handle(Event::Detection { on: true }), []);
    }

    #[test]
    fn a_cleared_block_that_the_fork_choice_refuses_is_told() {
        // One of the future is our fault; a copy, and one whose parent is pruned, are harmless.
        let balances = Balances { effective: Arc::from([]), total_active: 1 };
        let mut machine = Clearance::<Toy>::new(Config::new(4), 0, 0, balances);
        let mut handle = |event| machine.handle(&Toy::default(), event);
        handle(Event::Import(Import::Tick { slot: 3 }));
        let expected = Effect::NotImported { root: 1, refusal: Refusal::FutureSlot };
        assert_eq!(handle(cleared(1, 0, 4)), [expected]);
        assert_eq!(handle(cleared(1, 0, 3)).len(), 2, "a new head, and what to keep");
        assert_eq!(handle(cleared(1, 0, 3)), []);
        assert_eq!(handle(cleared(9, 8, 2)), []);
    }
}
