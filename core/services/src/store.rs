//! What survives a restart: the interface of a durable store, and the records that go into it.
//!
//! **Contract.** A store is a set of typed tables. [`Store::commit`] applies a list of [`Write`]s
//! in their order, all or none, and returns when they are durable. The list comes from the ColdDB's
//! machine, which alone decides what is written and in which order (see [`crate::cold_db`]). A
//! store has no rule of its own. It may wait for its disk; the only thread that calls it is the
//! ColdDB's.
//!
//! | table | key | value | what for |
//! |---|---|---|---|
//! | point | - | [`Point`] | the finalised block from which a restart begins |
//! | states | block root | state | the state after that block |
//! | blocks | block root | signed block | blocks since finality, and the finalised chain |
//! | journal | number | [`Entry`] | what Clearance took in since that block, in its order |
//! | finalised | slot | block root | the finalised chain, for [`Store::by_range`] |
//! | passed | number | block root | the newest blocks that finality has passed: a child of one is refused |
//!
//! [`MemoryStore`] keeps the tables in memory: for tests, and for a node that wants the finalised
//! chain without a disk. An adapter that writes files needs [`Codec`], the encoding of a protocol's
//! values.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::consensus::{Checkpoint, Consensus, Slot, ValidatorIndex};
use crate::gossip::Operation;
use crate::hot_db::StateAt;

/// The largest number of blocks that one request for finalised blocks returns
/// (`MAX_REQUEST_BLOCKS`).
pub const MAX_REQUEST_BLOCKS: usize = 1024;

/// Why a store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
pub enum StoreError {
    /// The system refuses to read or write.
    #[error("{place}: {reason}")]
    Io {
        /// The file or folder.
        place: String,
        /// What the system says.
        reason: String,
    },
    /// There is no room for what is to be written.
    #[error("{place}: the disk is full: {reason}")]
    Full {
        /// The file or folder.
        place: String,
        /// What the system says.
        reason: String,
    },
    /// Another process has the store open.
    #[error("{place}: in use by another process")]
    InUse {
        /// The file or folder.
        place: String,
    },
    /// The content is not what was written.
    #[error("{place}: damaged: {table} {key}: {problem}")]
    Damaged {
        /// The file or folder.
        place: String,
        /// The table, or `file` where it is not known.
        table: &'static str,
        /// The key, in hexadecimal or in words.
        key: String,
        /// What is wrong with the value.
        problem: String,
    },
    /// The file is of another format, of another chain, or was made under another configuration.
    #[error("{place}: {field}: expected {expected}, found {found}")]
    Foreign {
        /// The file or folder.
        place: String,
        /// What differs.
        field: &'static str,
        /// What this program expects.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// A panic lost what was to be written, so what follows it must not be written either.
    #[error("a record was lost by a panic, and nothing is written after a gap")]
    Gap,
    /// A block or a state was written whole, but the protocol refuses it: it was not written by the
    /// protocol that reads it.
    #[error("the protocol refuses what was stored: {what}: {problem}")]
    Refused {
        /// The block or state.
        what: String,
        /// The protocol's reason.
        problem: String,
    },
}

/// The finalised block from which a restart begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point<R> {
    /// The finalised checkpoint.
    pub checkpoint: Checkpoint<R>,
    /// Slot of its block, at or before the checkpoint's first slot.
    pub slot: Slot,
    /// Number of the block's entry in the journal. That entry and those before it are of no use any
    /// more.
    pub number: u64,
}

/// What Clearance took in: one entry of the journal.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Entry<C: Consensus> {
    /// A block, which the table of blocks has.
    Block {
        /// Its root.
        root: C::Root,
        /// Whether it came in the first third of its own slot.
        timely: bool,
    },
    /// An attestation that was not part of a block.
    Attestation {
        /// The attestation.
        attestation: C::Attestation,
        /// Who voted, ascending.
        indices: Vec<ValidatorIndex>,
    },
    /// Validators have equivocated, as an attester slashing proved, whether it came alone or in a
    /// block.
    Equivocation {
        /// The validators, ascending.
        indices: Vec<ValidatorIndex>,
    },
    /// A verified operation that a block may yet include.
    Operation {
        /// The operation.
        operation: Operation<C>,
        /// The validators that it is about, ascending.
        validators: Vec<ValidatorIndex>,
    },
    /// The clock reached a slot.
    Tick {
        /// The slot.
        slot: Slot,
    },
}

/// One change of a store.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Write<C: Consensus> {
    /// Put a block.
    Block {
        /// Its root.
        root: C::Root,
        /// The block.
        block: C::Block,
    },
    /// Put the state after a block.
    State(StateAt<C>),
    /// Put an entry of the journal.
    Entry {
        /// Its number.
        number: u64,
        /// The entry.
        entry: Entry<C>,
    },
    /// Note that a block is finalised.
    Finalized {
        /// Its slot.
        slot: Slot,
        /// Its root.
        root: C::Root,
    },
    /// Note that finality has passed a block. The number is that of the entry that named it.
    Passed {
        /// The number.
        number: u64,
        /// The block's root.
        root: C::Root,
    },
    /// Move the point from which a restart begins.
    Point(Point<C::Root>),
    /// Drop an entry of the journal, if it is there.
    ForgetEntry(u64),
    /// Drop a note that finality has passed a block, if it is there.
    ForgetPassed(u64),
    /// Drop a block, if it is there.
    ForgetBlock(C::Root),
    /// Drop a state, if it is there.
    ForgetState(C::Root),
}

// Derived, the two would ask for a protocol that can be cloned.
impl<C: Consensus> Clone for Entry<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Block { root, timely } => Self::Block { root: *root, timely: *timely },
            Self::Attestation { attestation, indices } => {
                Self::Attestation { attestation: attestation.clone(), indices: indices.clone() }
            }
            Self::Equivocation { indices } => Self::Equivocation { indices: indices.clone() },
            Self::Operation { operation, validators } => {
                Self::Operation { operation: operation.clone(), validators: validators.clone() }
            }
            Self::Tick { slot } => Self::Tick { slot: *slot },
        }
    }
}

impl<C: Consensus> Clone for Write<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Block { root, block } => Self::Block { root: *root, block: block.clone() },
            Self::State(state) => Self::State(state.clone()),
            Self::Entry { number, entry } => Self::Entry { number: *number, entry: entry.clone() },
            Self::Finalized { slot, root } => Self::Finalized { slot: *slot, root: *root },
            Self::Passed { number, root } => Self::Passed { number: *number, root: *root },
            Self::Point(point) => Self::Point(*point),
            Self::ForgetEntry(number) => Self::ForgetEntry(*number),
            Self::ForgetPassed(number) => Self::ForgetPassed(*number),
            Self::ForgetBlock(root) => Self::ForgetBlock(*root),
            Self::ForgetState(root) => Self::ForgetState(*root),
        }
    }
}

/// What a store holds for a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<C: Consensus> {
    /// The point.
    pub point: Point<C::Root>,
    /// The state after its block.
    pub state: StateAt<C>,
    /// The journal, by number.
    pub journal: BTreeMap<u64, Entry<C>>,
    /// Every block that the journal names.
    pub blocks: BTreeMap<C::Root, C::Block>,
    /// Blocks that finality has passed, by the number of the entry that named them.
    pub passed: BTreeMap<u64, C::Root>,
}

/// A finalised block with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FinalizedBlock<C: Consensus> {
    /// Its slot.
    pub slot: Slot,
    /// Its root.
    pub root: C::Root,
    /// The block.
    pub block: C::Block,
}

/// A durable store; see the module's text.
pub trait Store<C: Consensus>: Send + 'static {
    /// Returns what a restart needs, or `None` if nothing has been written. Reads the whole journal
    /// and every block that it names; the finalised chain is not read.
    ///
    /// # Errors
    /// A [`StoreError`] that names the place, if anything cannot be read or is not what was
    /// written.
    fn load(&mut self) -> Result<Option<Loaded<C>>, StoreError>;

    /// Applies the writes in their order, all or none. They are durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`] if the system refuses. Then nothing of the list is in the store after a
    /// restart.
    fn commit(&mut self, writes: &[Write<C>]) -> Result<(), StoreError>;

    /// Returns the finalised blocks of slots from `start` to before `end`, in the order of their
    /// slots, at most `at_most`.
    ///
    /// # Errors
    /// As [`Store::load`].
    fn by_range(
        &mut self,
        start: Slot,
        end: Slot,
        at_most: usize,
    ) -> Result<Vec<FinalizedBlock<C>>, StoreError>;

    /// Returns a block, finalised or not; `None` if the store does not have it.
    ///
    /// # Errors
    /// As [`Store::load`].
    fn by_root(&mut self, root: C::Root) -> Result<Option<C::Block>, StoreError>;
}

/// The encoding of a protocol's values, for stores that write bytes. What is encoded is decoded to
/// an equal value. No function panics or blocks, whatever the bytes are.
pub trait Codec: Consensus {
    /// Returns what tells this protocol and its configuration from others: text, the same in every
    /// run.
    fn identity(&self) -> String;
    /// Returns a root's bytes. All roots have the same number of bytes.
    fn encode_root(&self, root: &Self::Root) -> Vec<u8>;
    /// Returns the root of these bytes, if they are a root's.
    fn decode_root(&self, bytes: &[u8]) -> Option<Self::Root>;
    /// Returns a block's wire form, which [`Consensus::decode_block`] reads.
    fn encode_block(&self, block: &Self::Block) -> Vec<u8>;
    /// Returns an attestation's wire form, which [`Consensus::decode_attestation`] reads.
    fn encode_attestation(&self, attestation: &Self::Attestation) -> Vec<u8>;
    /// Returns an operation's wire form, which the function of its kind reads:
    /// [`Consensus::decode_proposer_slashing`], [`Consensus::decode_attester_slashing`] or
    /// [`Consensus::decode_voluntary_exit`].
    fn encode_operation(&self, operation: &Operation<Self>) -> Vec<u8>;
    /// Returns a state's encoding.
    fn encode_state(&self, state: &Self::State) -> Vec<u8>;
    /// Decodes a state.
    ///
    /// # Errors
    /// What is wrong, if the bytes are not exactly one encoded state.
    fn decode_state(&self, bytes: &[u8]) -> Result<Self::State, String>;
}

/// A store in memory. It is as durable as the process. The finalised chain is bounded: beyond the
/// bound its oldest blocks are forgotten.
#[derive(Clone, Debug)]
pub struct MemoryStore<C: Consensus> {
    point: Option<Point<C::Root>>,
    states: BTreeMap<C::Root, StateAt<C>>,
    blocks: BTreeMap<C::Root, C::Block>,
    journal: BTreeMap<u64, Entry<C>>,
    finalized: BTreeMap<Slot, C::Root>,
    passed: BTreeMap<u64, C::Root>,
    max_finalized: usize,
}

impl<C: Consensus> MemoryStore<C> {
    /// Returns an empty store that keeps at most `max_finalized` finalised blocks.
    #[must_use]
    pub fn new(max_finalized: usize) -> Self {
        Self {
            point: None,
            states: BTreeMap::new(),
            blocks: BTreeMap::new(),
            journal: BTreeMap::new(),
            finalized: BTreeMap::new(),
            passed: BTreeMap::new(),
            max_finalized,
        }
    }

    /// Applies one write.
    pub fn apply(&mut self, write: &Write<C>) {
        match write.clone() {
            Write::Block { root, block } => drop(self.blocks.insert(root, block)),
            Write::State(state) => drop(self.states.insert(state.root, state)),
            Write::Entry { number, entry } => drop(self.journal.insert(number, entry)),
            Write::Finalized { slot, root } => {
                self.finalized.insert(slot, root);
                while self.finalized.len() > self.max_finalized {
                    let Some((_, oldest)) = self.finalized.pop_first() else { break };
                    self.blocks.remove(&oldest);
                }
            }
            Write::Passed { number, root } => drop(self.passed.insert(number, root)),
            Write::Point(point) => self.point = Some(point),
            Write::ForgetEntry(number) => drop(self.journal.remove(&number)),
            Write::ForgetPassed(number) => drop(self.passed.remove(&number)),
            Write::ForgetBlock(root) => drop(self.blocks.remove(&root)),
            Write::ForgetState(root) => drop(self.states.remove(&root)),
        }
    }

    fn damaged(table: &'static str, key: String) -> StoreError {
        let (place, problem) = ("memory".to_owned(), "missing".to_owned());
        StoreError::Damaged { place, table, key, problem }
    }
}

impl<C: Consensus> Store<C> for MemoryStore<C> {
    fn load(&mut self) -> Result<Option<Loaded<C>>, StoreError> {
        let Some(point) = self.point else { return Ok(None) };
        let root = point.checkpoint.root;
        let state = self.states.get(&root).cloned();
        let state = state.ok_or_else(|| Self::damaged("states", format!("{root:?}")))?;
        let mut blocks = BTreeMap::new();
        for entry in self.journal.values() {
            let Entry::Block { root, .. } = entry else { continue };
            let block = self.blocks.get(root).cloned();
            let block = block.ok_or_else(|| Self::damaged("blocks", format!("{root:?}")))?;
            blocks.insert(*root, block);
        }
        let (journal, passed) = (self.journal.clone(), self.passed.clone());
        Ok(Some(Loaded { point, state, journal, blocks, passed }))
    }

    fn commit(&mut self, writes: &[Write<C>]) -> Result<(), StoreError> {
        writes.iter().for_each(|write| self.apply(write));
        Ok(())
    }

    fn by_range(
        &mut self,
        start: Slot,
        end: Slot,
        at_most: usize,
    ) -> Result<Vec<FinalizedBlock<C>>, StoreError> {
        if start >= end {
            return Ok(Vec::new());
        }
        let found = self.finalized.range(start..end).take(at_most);
        found
            .map(|(&slot, &root)| {
                let block = self.blocks.get(&root).cloned();
                let block = block.ok_or_else(|| Self::damaged("blocks", format!("{root:?}")))?;
                Ok(FinalizedBlock { slot, root, block })
            })
            .collect()
    }

    fn by_root(&mut self, root: C::Root) -> Result<Option<C::Block>, StoreError> {
        Ok(self.blocks.get(&root).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::{MemoryStore, Write};
    use crate::toy::{Toy, ToyBlock};

    #[test]
    fn a_store_in_memory_keeps_as_many_finalized_blocks_as_it_may() {
        // Room for two. Four become final, one after the other.
        let mut store = MemoryStore::<Toy>::new(2);
        for root in 1..=4 {
            let block = ToyBlock::new(root, root - 1, u64::from(root));
            store.apply(&Write::Block { root, block });
        }
        for root in 1..=4 {
            store.apply(&Write::Finalized { slot: u64::from(root), root });
        }
        let kept: Vec<_> = store.blocks.keys().copied().collect();
        assert_eq!((kept, store.finalized.len()), (vec![3, 4], 2));
    }
}
