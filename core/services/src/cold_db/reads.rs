//! How the ColdDB answers questions about stored blocks: chunk by chunk, between the records. It is
//! written once for everything that runs it.
//!
//! **Contract.** Questions wait in a lane of their own, of [`QUESTIONS`] places; a question that
//! finds it full is answered "busy" at once. The ColdDB works in rounds:
//!
//! ```text
//!   take a question, if none is in hand
//!   take the records that are queued, at most as many as their mailbox holds ──> commit
//!   read one chunk for the question in hand, at most CHUNK blocks ──> answer, or go on next round
//! ```
//!
//! **Invariants.**
//! - R1 A record waits for at most one chunk, whatever is asked and by however many: a round reads
//!   one, and takes all records that were queued before that.
//! - R2 A question sees what was recorded before it was asked. It is taken before the round's
//!   records are, so those that were queued before it are among them, and they are committed before
//!   its first chunk is read. No commit is made for a question alone.
//! - R3 Each question is answered exactly once: with what was read, with the first error of the
//!   store, or, where the ColdDB ends before that, by the drop of its reply end. It ends once what
//!   was recorded is in the store, without reading for those who ask: a stop waits for two chunks
//!   at most, the one being read and one behind the last records.
//! - R4 One question is in hand, and those that wait have their turns in order. A question takes at
//!   most `MAX_REQUEST_BLOCKS / CHUNK + 1` rounds, so one that waits has its turn.
//!
//! The finalised chain grows behind a range that is being read, and what has been read stays final.
//! If the store forgets the oldest blocks of its chain meanwhile, and more of them than have been
//! read, the answer lacks those that were forgotten.

use crate::consensus::{Consensus, Slot};
use crate::store::{FinalizedBlock, MAX_REQUEST_BLOCKS, StoreError};

/// How many questions may wait, besides the one that is in hand.
pub const QUESTIONS: usize = 16;

/// How many blocks are read at most between two batches of records.
pub const CHUNK: usize = 32;

/// The answer to a question for a range.
pub type RangeReply<C> = Result<Vec<FinalizedBlock<C>>, StoreError>;
/// The answer to a question by roots: for each root its block, if the store has it.
pub type RootsReply<C> = Result<Vec<Option<<C as Consensus>::Block>>, StoreError>;

/// A question about stored blocks. `R` is the reply end of a range, `B` that of blocks by root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question<C: Consensus, R, B> {
    /// Somebody asks for finalised blocks by slot.
    Range {
        /// The first slot.
        start: Slot,
        /// The number of slots. No more than [`MAX_REQUEST_BLOCKS`] blocks are returned.
        count: u64,
        /// The end on which the blocks are sent.
        reply: R,
    },
    /// Somebody asks for blocks by root.
    Roots {
        /// The roots. Those beyond the first [`MAX_REQUEST_BLOCKS`] are left out.
        roots: Vec<C::Root>,
        /// The end on which the blocks are sent.
        reply: B,
    },
}

/// A question in hand, with what has been read for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reading<C: Consensus, R, B> {
    /// Finalised blocks by slot.
    Range {
        /// The first slot that has not been read.
        start: Slot,
        /// The slot after the last one.
        end: Slot,
        /// The blocks before `start`.
        found: Vec<FinalizedBlock<C>>,
        /// The end on which the blocks are sent.
        reply: R,
    },
    /// Blocks by root.
    Roots {
        /// All roots that were asked for.
        roots: Vec<C::Root>,
        /// What the store has of the first of them.
        found: Vec<Option<C::Block>>,
        /// The end on which the blocks are sent.
        reply: B,
    },
}

impl<C: Consensus, R, B> From<Question<C, R, B>> for Reading<C, R, B> {
    fn from(question: Question<C, R, B>) -> Self {
        match question {
            Question::Range { start, count, reply } => {
                let end = start.saturating_add(count);
                Self::Range { start, end, found: Vec::new(), reply }
            }
            Question::Roots { mut roots, reply } => {
                roots.truncate(MAX_REQUEST_BLOCKS);
                Self::Roots { roots, found: Vec::new(), reply }
            }
        }
    }
}

/// The store as far as it is read, and those who ask.
pub trait Ports<C: Consensus> {
    /// The reply end of a range.
    type Range;
    /// The reply end of blocks by root.
    type Roots;

    /// Reads finalised blocks of slots from `start` to before `end` from the store, at most
    /// `at_most`. It may wait for the disk.
    fn read_range(&mut self, start: Slot, end: Slot, at_most: usize) -> RangeReply<C>;
    /// Reads blocks from the store. It may wait for the disk.
    fn read_roots(&mut self, roots: &[C::Root]) -> RootsReply<C>;
    /// Answers a [`Question::Range`].
    fn range(&mut self, to: Self::Range, reply: RangeReply<C>);
    /// Answers a [`Question::Roots`].
    fn roots(&mut self, to: Self::Roots, reply: RootsReply<C>);
}

/// Reads the next chunk for a question in hand: at most [`CHUNK`] blocks. Returns the question if
/// more is to be read for it; otherwise it has been answered.
pub fn read<C: Consensus, P: Ports<C>>(
    ports: &mut P,
    reading: Reading<C, P::Range, P::Roots>,
) -> Option<Reading<C, P::Range, P::Roots>> {
    match reading {
        Reading::Range { start, end, mut found, reply } => {
            let room = CHUNK.min(MAX_REQUEST_BLOCKS.saturating_sub(found.len()));
            let chunk = match ports.read_range(start, end, room) {
                Ok(chunk) => chunk,
                Err(error) => {
                    ports.range(reply, Err(error));
                    return None;
                }
            };
            // A chunk with room left is the last: the chain has no more blocks in the range.
            let is_full = chunk.len() >= room;
            let start = chunk.last().map_or(end, |last| last.slot.saturating_add(1));
            found.extend(chunk);
            if is_full && start < end && found.len() < MAX_REQUEST_BLOCKS {
                return Some(Reading::Range { start, end, found, reply });
            }
            ports.range(reply, Ok(found));
        }
        Reading::Roots { roots, mut found, reply } => {
            let until = roots.len().min(found.len().saturating_add(CHUNK));
            match ports.read_roots(roots.get(found.len()..until).unwrap_or_default()) {
                Ok(chunk) => found.extend(chunk),
                Err(error) => {
                    ports.roots(reply, Err(error));
                    return None;
                }
            }
            if until < roots.len() {
                return Some(Reading::Roots { roots, found, reply });
            }
            ports.roots(reply, Ok(found));
        }
    }
    None
}
