//! What the HotDB does with a message, once for all that run it: threads over mailboxes, the
//! processes of a model, and twins with a fault.
//!
//! **Contract.** [`turn`] hands one message to the machine and gives the answer to [`Replies`]:
//! exactly one for each [`Message::Trail`] and [`Message::Commit`], in the same turn, none for the
//! rest. Where a reply goes is a type of whoever runs the HotDB: the sender of a one-shot, the number
//! of a process. A turn that loses its message by a panic drops the reply's end, which is an answer
//! where the end is a one-shot's.

use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::hot_db::machine::{CommitReply, HotDb, StateAt, TrailReply};
use crate::supervision::{Loss, Steps};

/// What the HotDB can be told. `T` is where a trail goes, `K` where an acknowledgement does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message<C: Consensus, T, K> {
    /// A worker wants to reach a state.
    Trail {
        /// The block.
        root: C::Root,
        /// The slot that its state is to be advanced to.
        slot: Slot,
        /// Where the trail goes.
        reply: T,
    },
    /// A worker has verified a block.
    Commit {
        /// The block.
        block: C::Block,
        /// The state after it.
        state: StateAt<C>,
        /// Where the acknowledgement goes.
        reply: K,
    },
    /// A worker passes by a state that a trail had asked for.
    PostState(StateAt<C>),
    /// Clearance says what to keep.
    Prune {
        /// The finalised checkpoint.
        finalized: Checkpoint<C::Root>,
        /// Root of the justified block.
        justified: C::Root,
        /// Root of the head.
        head: C::Root,
    },
}

impl<C: Consensus, T, K> Message<C, T, K> {
    /// Returns the kind of message, for reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Trail { .. } => "trail",
            Self::Commit { .. } => "commit",
            Self::PostState(_) => "state",
            Self::Prune { .. } => "prune",
        }
    }
}

/// How replies leave. Nothing here may block: the HotDB waits for nobody.
pub trait Replies<C: Consensus> {
    /// Where a trail goes.
    type Trail;
    /// Where an acknowledgement goes.
    type Ack;
    /// Takes the answer to a [`Message::Trail`]. A requester that is gone needs none.
    fn trail(&mut self, to: Self::Trail, reply: TrailReply<C>);
    /// Takes the answer to a [`Message::Commit`].
    fn ack(&mut self, to: Self::Ack, reply: CommitReply);
}

/// Handles a message.
///
/// # Errors
/// What a panic of the step took along.
pub fn turn<C: Consensus, R: Replies<C>>(
    machine: &mut HotDb<C>,
    consensus: &C,
    steps: &impl Steps,
    replies: &mut R,
    message: Message<C, R::Trail, R::Ack>,
) -> Result<(), Loss> {
    let word = message.word();
    match message {
        Message::Trail { root, slot, reply } => {
            let trail = steps.look(word, || machine.trail(root, slot))?;
            replies.trail(reply, trail);
        }
        Message::Commit { block, state, reply } => {
            let answer = steps.step(word, || machine.commit(consensus, &block, state.state))?;
            replies.ack(reply, answer);
        }
        Message::PostState(state) => {
            steps.step(word, || machine.post_state(consensus, state))?;
        }
        Message::Prune { finalized, justified, head } => {
            let prune = || machine.prune(consensus, finalized, justified, head);
            let pruned = steps.step(word, prune)?;
            tracing::debug!(pruned, epoch = finalized.epoch, "pruned");
        }
    }
    Ok(())
}
