//! The rules of EIP-3076 for one key, as a pure machine.
//!
//! An event is a message that somebody wants to have signed, or an import. The effects are the
//! writes that keep the store equal to this history, and then the answer. Nothing is written for a
//! message that is refused, or that is on record already.

use std::collections::BTreeMap;

use super::record::{Block, MAX_NUMBER, Records, SigningRoot, Vote, Watermarks, agreed};
use crate::consensus::{Epoch, Slot};
use crate::machine::Machine;

/// How many records a key keeps (I6). Both are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Blocks of a key.
    pub blocks: usize,
    /// Attestations of a key: one an epoch.
    pub attestations: usize,
}

impl Default for Limits {
    /// Thirty-two of each, which is far more than a validator client ever asks for again.
    fn default() -> Self {
        Self { blocks: 32, attestations: 32 }
    }
}

/// A message that can be slashable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Statement {
    /// A proposal.
    Block {
        /// Its slot.
        slot: Slot,
        /// What is to be signed.
        signing_root: SigningRoot,
    },
    /// An attestation.
    Attestation {
        /// The epoch of its source.
        source: Epoch,
        /// The epoch of its target.
        target: Epoch,
        /// What is to be signed.
        signing_root: SigningRoot,
    },
}

/// How a file is read for a key of which something is known already; see the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Merge {
    /// The file may leave out what is below its newest messages, as a minimal file does.
    Raise,
    /// The file has all messages that are not below its oldest ones.
    Complete,
}

/// What can happen to a history.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message is to be signed.
    Sign(Statement),
    /// Messages were signed elsewhere.
    Import(Records, Merge),
}

/// Whether a message may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It may, and is on record now.
    Recorded,
    /// It may: the same message is on record.
    AlreadySigned,
    /// It may not.
    Refused(Refusal),
}

impl Outcome {
    /// Returns whether the message may be signed.
    #[must_use]
    pub fn allows(self) -> bool {
        match self {
            Self::Recorded | Self::AlreadySigned => true,
            Self::Refused(_) => false,
        }
    }
}

/// Why a message is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A slot or an epoch is above [`MAX_NUMBER`].
    #[error("{0} is no slot or epoch that could be recorded")]
    OutOfRange(u64),
    /// Another block of the slot was signed, or one of which the signing root is not known.
    #[error("another block of slot {0} is on record")]
    DoubleBlock(Slot),
    /// The slot is too old.
    #[error("slot {slot} is not above {watermark}, the lowest that is known")]
    OldBlock {
        /// The slot asked for.
        slot: Slot,
        /// The watermark.
        watermark: Slot,
    },
    /// The source of an attestation is after its target.
    #[error("source {source_epoch} is after target {target_epoch}")]
    SourceAfterTarget {
        /// The source asked for.
        source_epoch: Epoch,
        /// The target asked for.
        target_epoch: Epoch,
    },
    /// Another attestation of the target was signed, or one of which the root is not known.
    #[error("another attestation of target {0} is on record")]
    DoubleVote(Epoch),
    /// The source is too old.
    #[error("source {epoch} is below {watermark}, the lowest that is known")]
    OldSource {
        /// The source asked for.
        epoch: Epoch,
        /// The watermark.
        watermark: Epoch,
    },
    /// The target is too old.
    #[error("target {epoch} is not above {watermark}, the lowest that is known")]
    OldTarget {
        /// The target asked for.
        epoch: Epoch,
        /// The watermark.
        watermark: Epoch,
    },
    /// The attestation surrounds one on record.
    #[error("it surrounds the attestation {0} to {1}")]
    Surrounds(Epoch, Epoch),
    /// One on record surrounds the attestation.
    #[error("the attestation {0} to {1} surrounds it")]
    Surrounded(Epoch, Epoch),
    /// The message is for another chain than the records.
    #[error("the records are of the chain with another genesis validators root")]
    OtherChain,
}

/// A change of what is stored of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A block comes to the records, which have none of its slot.
    Block(Block),
    /// An attestation comes to the records, which have none of its target.
    Attestation(Vote),
    /// The block of a slot is forgotten.
    ForgetBlock(Slot),
    /// The attestation of a target is forgotten.
    ForgetAttestation(Epoch),
    /// The watermarks are now these.
    Watermarks(Watermarks),
    /// Everything is replaced.
    Replace(History),
}

/// What a store and a caller have to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Store this. It comes before the answer.
    Write(Write),
    /// Answer the request, once everything before has been committed.
    Answer(Outcome),
}

/// What is known of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    blocks: BTreeMap<Slot, Option<SigningRoot>>,
    /// By target: the source, and what was signed.
    votes: BTreeMap<Epoch, (Epoch, Option<SigningRoot>)>,
    watermarks: Watermarks,
}

impl Machine<Limits> for History {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, limits: &Limits, event: Event) -> Vec<Effect> {
        match event {
            Event::Sign(statement) => match self.judge(statement) {
                Outcome::Recorded => {
                    let mut effects = self.record(limits, statement);
                    effects.push(Effect::Answer(Outcome::Recorded));
                    effects
                }
                outcome => vec![Effect::Answer(outcome)],
            },
            Event::Import(records, merge) => {
                let before = self.clone();
                self.import(limits, &records, merge);
                let changed = *self != before;
                changed.then(|| Effect::Write(Write::Replace(self.clone()))).into_iter().collect()
            }
        }
    }
}

impl History {
    /// Puts together what a store has of a key. Records below the watermarks are taken as they are:
    /// they are refused by the watermarks as well.
    #[must_use]
    pub fn new(
        blocks: impl IntoIterator<Item = Block>,
        attestations: impl IntoIterator<Item = Vote>,
        watermarks: Watermarks,
    ) -> Self {
        let of_vote = |vote: Vote| (vote.target, (vote.source, vote.signing_root));
        Self {
            blocks: blocks.into_iter().map(|block| (block.slot, block.signing_root)).collect(),
            votes: attestations.into_iter().map(of_vote).collect(),
            watermarks,
        }
    }

    /// The blocks on record, by slot.
    pub fn blocks(&self) -> impl Iterator<Item = Block> {
        self.blocks.iter().map(|(slot, root)| Block { slot: *slot, signing_root: *root })
    }

    /// The attestations on record, by target.
    pub fn attestations(&self) -> impl Iterator<Item = Vote> {
        self.votes.iter().map(|(target, (source, signing_root))| Vote {
            source: *source,
            target: *target,
            signing_root: *signing_root,
        })
    }

    /// The watermarks.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    /// Makes a change that another copy of this history has made.
    pub fn apply(&mut self, write: Write) {
        match write {
            Write::Block(block) => {
                self.blocks.insert(block.slot, block.signing_root);
            }
            Write::Attestation(vote) => {
                self.votes.insert(vote.target, (vote.source, vote.signing_root));
            }
            Write::ForgetBlock(slot) => {
                self.blocks.remove(&slot);
            }
            Write::ForgetAttestation(target) => {
                self.votes.remove(&target);
            }
            Write::Watermarks(watermarks) => self.watermarks = watermarks,
            Write::Replace(history) => *self = history,
        }
    }

    /// Returns what may be told to another signer: all records, with one more of each kind where
    /// the watermarks are above what the records alone would give.
    #[must_use]
    pub fn complete(&self) -> Records {
        let mut records = Records {
            blocks: self.blocks().collect(),
            attestations: self.attestations().collect(),
        };
        let least = records.least();
        if let Some(slot) = self.watermarks.slot.filter(|_| least.slot != self.watermarks.slot) {
            records.blocks.insert(0, Block { slot, signing_root: None });
        }
        let vote = self.watermarks.vote.filter(|_| least.vote != self.watermarks.vote);
        if let Some((source, target)) = vote {
            records.attestations.insert(0, Vote { source, target, signing_root: None });
        }
        records
    }

    /// Returns at most one block and one attestation, which stand for all: the newest slot, and the
    /// newest source and target.
    #[must_use]
    pub fn minimal(&self) -> Records {
        let newest = self.complete().newest();
        let block = newest.slot.map(|slot| Block { slot, signing_root: None });
        let vote = newest.vote.map(|(source, target)| Vote { source, target, signing_root: None });
        Records { blocks: block.into_iter().collect(), attestations: vote.into_iter().collect() }
    }

    /// Compares a message with what is known, and changes nothing.
    #[must_use]
    pub fn judge(&self, statement: Statement) -> Outcome {
        let judged = match statement {
            Statement::Block { slot, signing_root } => self.judge_block(slot, signing_root),
            Statement::Attestation { source, target, signing_root } => {
                self.judge_vote(source, target, signing_root)
            }
        };
        judged.unwrap_or_else(Outcome::Refused)
    }

    fn judge_block(&self, slot: Slot, signing_root: SigningRoot) -> Result<Outcome, Refusal> {
        if slot > MAX_NUMBER {
            return Err(Refusal::OutOfRange(slot));
        }
        if let Some(on_record) = self.blocks.get(&slot) {
            let same = *on_record == Some(signing_root);
            return same.then_some(Outcome::AlreadySigned).ok_or(Refusal::DoubleBlock(slot));
        }
        match self.watermarks.slot.filter(|watermark| slot <= *watermark) {
            Some(watermark) => Err(Refusal::OldBlock { slot, watermark }),
            None => Ok(Outcome::Recorded),
        }
    }

    fn judge_vote(
        &self,
        source: Epoch,
        target: Epoch,
        signing_root: SigningRoot,
    ) -> Result<Outcome, Refusal> {
        if source > target {
            let (source_epoch, target_epoch) = (source, target);
            return Err(Refusal::SourceAfterTarget { source_epoch, target_epoch });
        }
        if target > MAX_NUMBER {
            return Err(Refusal::OutOfRange(target));
        }
        if let Some(on_record) = self.votes.get(&target) {
            let same = *on_record == (source, Some(signing_root));
            return same.then_some(Outcome::AlreadySigned).ok_or(Refusal::DoubleVote(target));
        }
        if let Some((least_source, least_target)) = self.watermarks.vote {
            if source < least_source {
                return Err(Refusal::OldSource { epoch: source, watermark: least_source });
            }
            if target <= least_target {
                return Err(Refusal::OldTarget { epoch: target, watermark: least_target });
            }
        }
        self.contradiction(source, target).map_or(Ok(Outcome::Recorded), Err)
    }

    /// Returns how an attestation surrounds one on record, or is surrounded.
    fn contradiction(&self, source: Epoch, target: Epoch) -> Option<Refusal> {
        self.attestations().find_map(|vote| {
            if source < vote.source && vote.target < target {
                Some(Refusal::Surrounds(vote.source, vote.target))
            } else if vote.source < source && target < vote.target {
                Some(Refusal::Surrounded(vote.source, vote.target))
            } else {
                None
            }
        })
    }

    /// Puts a message that was judged on record, and forgets the oldest beyond the limits.
    fn record(&mut self, limits: &Limits, statement: Statement) -> Vec<Effect> {
        let before = self.watermarks;
        let mut writes = Vec::new();
        match statement {
            Statement::Block { slot, signing_root } => {
                let block = Block { slot, signing_root: Some(signing_root) };
                writes.push(Write::Block(block));
                self.apply(Write::Block(block));
                if self.watermarks.slot.is_none() {
                    self.watermarks.raise_slot(slot);
                }
                writes.extend(self.forget_blocks(limits).into_iter().map(Write::ForgetBlock));
            }
            Statement::Attestation { source, target, signing_root } => {
                let vote = Vote { source, target, signing_root: Some(signing_root) };
                writes.push(Write::Attestation(vote));
                self.apply(Write::Attestation(vote));
                if self.watermarks.vote.is_none() {
                    self.watermarks.raise_vote(source, target);
                }
                writes.extend(self.forget_votes(limits).into_iter().map(Write::ForgetAttestation));
            }
        }
        if self.watermarks != before {
            writes.push(Write::Watermarks(self.watermarks));
        }
        writes.into_iter().map(Effect::Write).collect()
    }

    /// Forgets the oldest blocks beyond the limit, and raises the watermark to them (I5, I6).
    fn forget_blocks(&mut self, limits: &Limits) -> Vec<Slot> {
        let mut forgotten = Vec::new();
        while self.blocks.len() > limits.blocks.max(1) {
            let Some((slot, _)) = self.blocks.pop_first() else { break };
            self.watermarks.raise_slot(slot);
            forgotten.push(slot);
        }
        forgotten
    }

    /// Forgets the attestations with the oldest targets beyond the limit, and raises the watermarks
    /// to them (I5, I6).
    fn forget_votes(&mut self, limits: &Limits) -> Vec<Epoch> {
        let mut forgotten = Vec::new();
        while self.votes.len() > limits.attestations.max(1) {
            let Some((target, (source, _))) = self.votes.pop_first() else { break };
            forgotten.push(target);
            forgotten.extend(self.raise_vote(source, target));
        }
        forgotten
    }

    /// Raises the watermarks of attestations. Records that are then below are forgotten, which
    /// raises the watermarks to them, until none is below (I4, I5). Returns the targets of those.
    fn raise_vote(&mut self, source: Epoch, target: Epoch) -> Vec<Epoch> {
        self.watermarks.raise_vote(source, target);
        let mut forgotten = Vec::new();
        // Each round but the last forgets a record.
        while let Some((least_source, least_target)) = self.watermarks.vote {
            let below = |vote: &Vote| vote.source < least_source || vote.target < least_target;
            let Some(vote) = self.attestations().find(below) else { break };
            self.votes.remove(&vote.target);
            self.watermarks.raise_vote(vote.source, vote.target);
            forgotten.push(vote.target);
        }
        forgotten
    }

    fn import(&mut self, limits: &Limits, records: &Records, merge: Merge) {
        self.import_blocks(records);
        self.import_votes(limits, records);
        if merge == Merge::Raise {
            let newest = records.newest();
            if let Some(slot) = newest.slot {
                self.watermarks.raise_slot(slot);
                self.blocks = self.blocks.split_off(&slot);
            }
            if let Some((source, target)) = newest.vote {
                self.raise_vote(source, target);
            }
        }
        self.forget_blocks(limits);
    }

    /// Takes blocks in that were signed elsewhere. Those below the watermark are refused as it is.
    fn import_blocks(&mut self, records: &Records) {
        let is_new = self.watermarks.slot.is_none();
        if is_new {
            self.watermarks.slot = records.least().slot;
        }
        for block in &records.blocks {
            match self.blocks.get_mut(&block.slot) {
                Some(on_record) => *on_record = agreed(*on_record, block.signing_root),
                // A root that comes to a slot that was forgotten could be a second one (I7).
                None if is_new || Some(block.slot) > self.watermarks.slot => {
                    self.blocks.insert(block.slot, block.signing_root);
                }
                None => {}
            }
        }
    }

    /// Takes attestations in that were signed elsewhere, the oldest target first. The oldest record
    /// beyond the limit is forgotten at once, so each attestation is compared with few.
    ///
    /// All is refused afterwards that would be refused if all came first and the oldest were
    /// forgotten at the end:
    /// - The oldest record would be forgotten at the end as well. Only records that fall below the
    ///   watermarks could make room for it, and such a record raises the target's watermark to its
    ///   own target (I5). The oldest record is then below, too (I4).
    /// - What contradicts a record that was forgotten does not come on record. It is below the
    ///   watermarks (I5), and raises them to itself. It would have done so at the end, when the
    ///   record had been forgotten and it was below the watermarks itself.
    /// - What contradicts another attestation of the file comes without its root (I7), whichever of
    ///   them comes first, and whether or not the other was forgotten.
    fn import_votes(&mut self, limits: &Limits, records: &Records) {
        let is_new = self.watermarks.vote.is_none();
        let least = records.least().vote;
        if is_new {
            self.watermarks.vote = least;
        }
        self.forget_votes(limits);
        for (vote, alone) in records.by_target() {
            assert!(self.votes.len() <= limits.attestations.max(1), "few records are looked at");
            // Nothing was forgotten at the watermark's own target (I7).
            let is_first = is_new && self.watermarks.vote == least;
            self.import_vote(vote, alone, is_first);
            self.forget_votes(limits);
        }
    }

    /// Takes an attestation in. Where it contradicts what is known, the watermarks are raised to
    /// both. `alone` says that it contradicts no other attestation of its file, `is_first` that it
    /// may come on record at the watermark's own target.
    fn import_vote(&mut self, vote: Vote, alone: bool, is_first: bool) {
        let (least_source, least_target) =
            self.watermarks.vote.unwrap_or((vote.source, vote.target));
        match self.votes.get_mut(&vote.target) {
            Some((source, on_record)) if *source == vote.source => {
                *on_record = agreed(*on_record, vote.signing_root);
            }
            Some((source, on_record)) => {
                *on_record = None;
                let source = vote.source.max(*source);
                self.raise_vote(source, vote.target);
            }
            None if vote.source >= least_source && (is_first || vote.target > least_target) => {
                // What contradicts another message is never signed again.
                let alone = alone && self.contradiction(vote.source, vote.target).is_none();
                let signing_root = vote.signing_root.filter(|_| alone);
                self.votes.insert(vote.target, (vote.source, signing_root));
            }
            None => {
                self.raise_vote(vote.source, vote.target);
            }
        }
    }
}
