//! Rebuilds the machines of the services from what a store has.
//!
//! **Contract.** [`recover`] hands the journal, in its order, to new machines, as the services did
//! before the restart. The result is what they were after the last entry: the fork choice with its
//! blocks, votes and clock, the operation pool, the HotDB with its blocks, and the blocks that the
//! Quarantine knows.
//! What only the Quarantine knew (items that waited, roots that were refused) is not stored. Such
//! an item is judged anew when it comes again.
//!
//! Every block passes its transition once more. Signatures and the proofs of deposits were verified
//! before the block was stored and are left out; the state root is compared. So a state that the
//! store got wrong in any way is refused, and never served.
//!
//! The fork choice begins with the point as its anchor, and it takes in the same blocks, votes and
//! ticks as before the restart. So it ends with the same weights, except perhaps that of the
//! anchor, from which every head descends. The reasons are these: what came
//! before the point's block cannot name that block or a descendant; what does not descend from it
//! had been pruned, and a vote for it takes the weight of its validator's older votes away, as it
//! before; and the balances are those of the checkpoint that is justified in the end.
//!
//! The store has the roots of the blocks that finality has passed, and their places in the journal.
//! A vote that a block carried for one that came before it was counted, if the finality of the
//! point came later. So it is counted again, until a block or the clock tells of that finality.
//!
//! **Limits.** Of the blocks that finality has passed the store remembers
//! [`machine::Limits::passed`]. A vote that a block carried for an older one is not counted again.
//! One for a block that an earlier finality than the point's had excluded is counted until the
//! point's comes, and was not counted from the earlier one on. The votes that a block carried go
//! with it when finality passes it, for the slashing detector, too. If one of them was a
//! validator's latest and came in no other way, the one before it counts after a restart. If
//! finality passes a block in the very slot of a vote for it, that vote counts for nothing; after a
//! restart it takes the weight of its validator's older vote away all the same. If a validator
//! voted twice in one epoch, which is slashable, and finality has excluded the block of its first
//! vote, then its second vote counts after a restart and did not before.
//!
//! **Blocking.** It runs before any thread is started, and waits for nothing but the processor. Its
//! cost is one transition for each block since finality.

use std::collections::BTreeMap;

use crate::clearance::{
    self, Clearance, Effect as ClearanceEffect, Event as ClearanceEvent, Import,
};
use crate::cold_db::machine::{self, ColdDb, Listed};
use crate::consensus::{
    Balances, Checkpoint, Checkpoints, Consensus, Failure, IndexedVote, Slot, UpdateFlags,
    ValidatorIndex,
};
use crate::fork_choice;
use crate::hot_db::TrailReply;
use crate::hot_db::{self, CommitReply, Effect as HotEffect, Event as HotEvent, HotDb, StateAt};
use crate::identified::{self, IdentifiedBlock};
use crate::machine::Machine;
use crate::quarantine::{self, Quarantine};
use crate::store::{Entry, Loaded, Point, StoreError};
use crate::verdict::Cleared;

/// Bounds and constants of the machines.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bounds of the HotDB.
    pub hot_db: hot_db::Limits,
    /// Bounds of the ColdDB.
    pub cold_db: machine::Limits,
    /// Bounds of the Quarantine.
    pub quarantine: quarantine::Limits,
    /// Bounds of Clearance.
    pub clearance: clearance::Limits,
    /// Constants of the fork choice.
    pub fork_choice: fork_choice::Config,
}

/// From where the services go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resumed<R> {
    /// The finalised checkpoint.
    pub finalized: Checkpoint<R>,
    /// The head.
    pub head: R,
    /// What the clock had reached.
    pub slot: Slot,
    /// Blocks since finality.
    pub blocks: usize,
    /// Attestations since finality that were not part of a block.
    pub attestations: usize,
}

/// The machines as they were.
#[derive(Clone, Debug)]
pub struct Recovered<C: Consensus> {
    /// The HotDB.
    pub hot_db: HotDb<C>,
    /// Clearance.
    pub clearance: Clearance<C>,
    /// The Quarantine, which knows the blocks and holds nothing.
    pub quarantine: Quarantine<C>,
    /// The ColdDB. What it has gathered is to be committed.
    pub cold_db: ColdDb<C>,
    /// From where they go on.
    pub resumed: Resumed<C::Root>,
}

/// Rebuilds the machines; see the module's text.
///
/// # Errors
/// [`StoreError::Refused`] if the protocol does not accept what was stored, or the bounds do not
/// hold it.
pub fn recover<C: Consensus>(
    consensus: &C,
    bounds: &Bounds,
    loaded: Loaded<C>,
) -> Result<Recovered<C>, StoreError> {
    let Loaded { point, state, journal, mut blocks, passed } = loaded;
    let numbers = passed.iter().map(|(number, root)| (*root, *number)).collect();
    let root = point.checkpoint.root;
    let what = || format!("state after {root:?}");
    if (state.root, consensus.state_slot(&state.state)) != (root, point.slot) {
        let problem = format!("it is at slot {}, not {}", state.slot, point.slot);
        return Err(StoreError::Refused { what: what(), problem });
    }
    let balances = consensus.balances(&state.state);
    let balances = balances.map_err(|fault| refused(what(), fault))?;
    let mut rebuilt = Rebuilt {
        consensus,
        hot_db: HotDb::new(consensus, bounds.hot_db, root, point.slot, state.state),
        clearance: Clearance::from_checkpoint(
            bounds.fork_choice,
            bounds.clearance,
            point.checkpoint,
            point.slot,
            balances,
        ),
        clock: point.slot,
        asked: None,
        point,
        passed: numbers,
        finality: Finality::ToCome,
        passed_votes: Vec::new(),
        blocks: 0,
        attestations: 0,
    };
    let mut listed = Vec::with_capacity(journal.len());
    for (number, entry) in journal {
        let counts = number > point.number;
        match entry {
            Entry::Block { root, timely } => {
                let block = blocks.remove(&root);
                let missing = || refused(format!("entry {number}"), "its block is missing");
                let block = identified::block(consensus, block.ok_or_else(missing)?);
                let header = block.identity();
                if header.root != root {
                    return Err(refused(format!("block {root:?}"), "it has another root"));
                }
                let (parent, slot) = (header.parent, header.slot);
                listed.push((number, Listed::Block { root, parent, slot }));
                if counts {
                    rebuilt.block(number, block, timely)?;
                }
            }
            Entry::Attestation { attestation, indices } => {
                listed.push((number, Listed::Attestation));
                if counts {
                    rebuilt.attestation(attestation, indices);
                }
            }
            Entry::Equivocation { indices } => {
                listed.push((number, Listed::Equivocation));
                // It counts from wherever it was recorded.
                rebuilt.equivocation(indices);
            }
            Entry::Operation { operation, validators } => {
                listed.push((number, Listed::Operation(operation.clone())));
                // It is held from wherever it was recorded, until it is spent.
                rebuilt.clearance.resume_operation(operation, validators);
            }
            Entry::Tick { slot } => {
                listed.push((number, Listed::Tick(slot)));
                // The last tick before the point's block is the clock at that block.
                rebuilt.tick(slot);
            }
        }
    }
    rebuilt.answer_balances();
    let cold_db = ColdDb::resumed(consensus, bounds.cold_db, point, listed, passed.keys().copied());
    rebuilt.finish(bounds, cold_db, passed.into_values())
}

fn refused(what: String, problem: impl ToString) -> StoreError {
    StoreError::Refused { what, problem: problem.to_string() }
}

/// Whether the finality of the point has been told of in the journal. The fork choice of before the
/// restart had, until then, blocks that the new one has not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finality {
    /// Neither a block nor the clock has told of it.
    ToCome,
    /// A block's votes finalise the point in the next epoch.
    NextEpoch,
    /// It has been told of.
    Told,
}

/// Machines that are being rebuilt.
struct Rebuilt<'a, C: Consensus> {
    consensus: &'a C,
    hot_db: HotDb<C>,
    clearance: Clearance<C>,
    clock: Slot,
    /// The last checkpoint whose balances Clearance has asked for.
    asked: Option<Checkpoint<C::Root>>,
    point: Point<C::Root>,
    /// The blocks that finality has passed, each with its number in the journal.
    passed: BTreeMap<C::Root, u64>,
    finality: Finality,
    /// Votes for blocks that finality has passed, which count from a later slot.
    passed_votes: Vec<IndexedVote<C::Root>>,
    blocks: usize,
    attestations: usize,
}

impl<C: Consensus> Rebuilt<'_, C> {
    /// Runs a block's transition, and gives the block to the HotDB and to Clearance. A block whose
    /// parent is not here had been passed by finality. `number` is the block's in the journal.
    fn block(
        &mut self,
        number: u64,
        block: IdentifiedBlock<C>,
        timely: bool,
    ) -> Result<(), StoreError> {
        let header = block.identity();
        let (root, parent, slot) = (header.root, header.parent, header.slot);
        if !self.hot_db.contains(parent) || self.hot_db.contains(root) {
            return Ok(());
        }
        let what = || format!("block {root:?} at slot {slot}");
        let flags = UpdateFlags {
            skip_merkle_validation: true,
            skip_bls_validation: true,
            ..UpdateFlags::default()
        };
        let mut state = self.state_of(parent)?;
        let outcome = self.consensus.transition(&mut state, block.item(), flags);
        outcome.map_err(|failure| match failure {
            Failure::Invalid(invalid) => refused(what(), invalid),
            Failure::Fault(fault) => refused(what(), fault),
        })?;
        let effects = self.consensus.block_effects(&state, block.item());
        let effects = effects.map_err(|fault| refused(what(), fault))?;
        let state = StateAt { root, slot, state };
        let commit = HotEvent::Commit { block: block.clone(), state };
        let reply = self.hot_db.handle(self.consensus, commit);
        if !matches!(reply[..], [HotEffect::Committed(CommitReply::Committed)]) {
            return Err(refused(what(), "the HotDB has no room for it"));
        }
        self.blocks += 1;
        for vote in self.votes_for_passed(number, &effects.votes) {
            // One that does not count now did not count at all.
            let _ = self.clearance.resume_vote(&vote);
        }
        self.hear_finality(slot, &effects.checkpoints);
        let block = Box::new(Cleared::new(block, effects));
        self.import(Import::Block { block, timely });
        Ok(())
    }

    /// Returns the votes that block `number` carried for blocks that were known then, and that
    /// finality has passed since.
    fn votes_for_passed(
        &self,
        number: u64,
        votes: &[IndexedVote<C::Root>],
    ) -> Vec<IndexedVote<C::Root>> {
        if self.finality == Finality::Told {
            return Vec::new();
        }
        let was_known =
            |root: &C::Root| self.passed.get(root).is_some_and(|passed| *passed < number);
        let counted = |vote: &&IndexedVote<C::Root>| {
            let vote = &vote.vote;
            vote.target.epoch == self.consensus.epoch_at(vote.slot)
                && was_known(&vote.beacon_block_root)
                && !self.hot_db.contains(vote.beacon_block_root)
        };
        votes.iter().filter(counted).cloned().collect()
    }

    /// Takes in what a block of `slot` tells of the point's finality, as the fork choice did.
    fn hear_finality(&mut self, slot: Slot, checkpoints: &Checkpoints<C::Root>) {
        let epoch = self.point.checkpoint.epoch;
        let pulled_up = checkpoints.unrealized_finalized.epoch >= epoch;
        let is_past = self.consensus.epoch_at(slot) < self.consensus.epoch_at(self.clock);
        if checkpoints.finalized.epoch >= epoch || pulled_up && is_past {
            self.finality = Finality::Told;
        } else if pulled_up && self.finality == Finality::ToCome {
            self.finality = Finality::NextEpoch;
        }
    }

    fn attestation(&mut self, attestation: C::Attestation, indices: Vec<u64>) {
        self.attestations += 1;
        let item = identified::attestation(self.consensus, attestation);
        let vote = item.identity().clone();
        let evidence = IndexedVote { vote, indices };
        if !self.hot_db.contains(evidence.vote.beacon_block_root) {
            // What was recorded was a vote for a block of the tree, which finality has passed
            // since. It may be one half of an offence all the same.
            let attestation = item.item().clone();
            let effects =
                self.clearance.resume_detection(self.consensus, evidence.clone(), attestation);
            self.follow(effects);
            self.passed_votes.push(evidence);
            return self.count_passed_votes();
        }
        self.import(Import::Attestation(Box::new(Cleared::new(item, evidence))));
    }

    fn count_passed_votes(&mut self) {
        let clearance = &mut self.clearance;
        self.passed_votes.retain(|vote| !clearance.resume_vote(vote));
    }

    fn equivocation(&mut self, indices: Vec<ValidatorIndex>) {
        let effects = self.clearance.resume_equivocation(self.consensus, indices);
        self.follow(effects);
    }

    fn tick(&mut self, slot: Slot) {
        let enters = self.consensus.epoch_at(slot) > self.consensus.epoch_at(self.clock);
        if enters && self.finality == Finality::NextEpoch {
            self.finality = Finality::Told;
        }
        self.import(Import::Tick { slot });
        self.clock = self.clearance.fork_choice().slot();
        self.count_passed_votes();
    }

    fn import(&mut self, import: Import<C>) {
        let effects = self.clearance.handle(self.consensus, ClearanceEvent::Import(import));
        self.follow(effects);
    }

    fn follow(&mut self, effects: Vec<ClearanceEffect<C>>) {
        for effect in effects {
            match effect {
                ClearanceEffect::Prune(keep) => {
                    self.hot_db.handle(self.consensus, HotEvent::Prune(keep));
                }
                ClearanceEffect::RequestBalances(checkpoint) => self.asked = Some(checkpoint),
                // The next finality asks again.
                ClearanceEffect::RequestSpent { .. } => {
                    let none = ClearanceEvent::Spent(Vec::new());
                    self.clearance.handle(self.consensus, none);
                }
                // The observers were told before the restart.
                _ => {}
            }
        }
    }

    /// Gives Clearance the balances that it asked for last. If they cannot be had, it asks again at
    /// the next tick.
    fn answer_balances(&mut self) {
        let Some(checkpoint) = self.asked.take() else { return };
        let event = ClearanceEvent::Balances { checkpoint, balances: self.balances(checkpoint) };
        for effect in self.clearance.handle(self.consensus, event) {
            if let ClearanceEffect::Prune(keep) = effect {
                self.hot_db.handle(self.consensus, HotEvent::Prune(keep));
            }
        }
    }

    fn balances(&self, checkpoint: Checkpoint<C::Root>) -> Option<Balances> {
        let mut state = self.state_of(checkpoint.root).ok()?;
        self.consensus.advance(&mut state, self.consensus.start_slot(checkpoint.epoch)).ok()?;
        self.consensus.balances(&state).ok()
    }

    /// Returns the state after a block of the HotDB.
    fn state_of(&self, root: C::Root) -> Result<C::State, StoreError> {
        let what = || format!("state after {root:?}");
        // A trail to the last slot tells the block's own slot.
        let slot = match self.hot_db.trail(root, 0) {
            TrailReply::Trail(trail) => trail.block_slot,
            TrailReply::BeforeBlock { block_slot } => block_slot,
            _ => return Err(refused(what(), "the HotDB does not have the block")),
        };
        let TrailReply::Trail(trail) = self.hot_db.trail(root, slot) else {
            return Err(refused(what(), "the HotDB has no trail to it"));
        };
        let mut state = trail.start.state.clone();
        for block in &trail.blocks {
            let outcome =
                self.consensus.transition(&mut state, block.item(), UpdateFlags::replay());
            outcome.map_err(|failure| match failure {
                Failure::Invalid(invalid) => refused(what(), invalid),
                Failure::Fault(fault) => refused(what(), fault),
            })?;
        }
        Ok(state)
    }

    /// Makes the other machines follow Clearance.
    fn finish(
        mut self,
        bounds: &Bounds,
        mut cold_db: ColdDb<C>,
        passed: impl Iterator<Item = C::Root>,
    ) -> Result<Recovered<C>, StoreError> {
        let view = self.clearance.view();
        // Finality may have moved once more, and the process ended before the point did.
        let finalized = machine::Event::Finalized(view.finalized);
        for effect in cold_db.handle(self.consensus, finalized) {
            let machine::Effect::AskState { root, .. } = effect else { continue };
            let state = Some(self.state_of(root)?);
            cold_db.handle(self.consensus, machine::Event::State { root, state });
        }
        // A block without a parent in the chain is one that finality has passed.
        let passed: Vec<_> =
            passed.filter(|root| !self.clearance.fork_choice().contains(*root)).collect();
        self.hot_db.remember_pruned(passed.iter().copied());
        let passed = passed.into_iter().map(|root| (root, root, 0));
        let chain = self.clearance.blocks().into_iter().chain(passed);
        let quarantine = Quarantine::new(bounds.quarantine, view.finalized, self.clock).successor(
            self.consensus,
            view.finalized,
            chain,
        );
        let resumed = Resumed {
            finalized: view.finalized,
            head: view.head,
            slot: self.clock,
            blocks: self.blocks,
            attestations: self.attestations,
        };
        let Self { hot_db, clearance, .. } = self;
        Ok(Recovered { hot_db, clearance, quarantine, cold_db, resumed })
    }
}
