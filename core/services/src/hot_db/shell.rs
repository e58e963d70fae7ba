//! What the HotDB does with a message. It is written once for everything that runs it: threads over
//! mailboxes, the processes of a model, and twins (variants with a deliberate fault, which a check
//! must catch).
//!
//! **Contract.** [`turn`] hands one message to the machine and gives the answer to [`Replies`]:
//! exactly one for each [`Message::Trail`], [`Message::Committees`] and [`Message::Commit`], in the
//! same turn, and none for the other messages. The caller chooses the types of the two reply ends:
//! the sender of a
//! one-shot, or the number of a process. A turn that loses its message by a panic drops the reply
//! end. If that is a one-shot's sender, its receiver learns of the loss.

use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::hot_db::event::{CommitReply, CommitteesAt, Effect, Event, Prune, StateAt, TrailReply};
use crate::hot_db::machine::HotDb;
use crate::identified::IdentifiedBlock;
use crate::supervision::{Loss, Steps, Turn};

/// What the HotDB can be told. `T` is the reply end of a trail, `K` that of an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message<C: Consensus, T, K> {
    /// A worker wants to reach a state.
    Trail {
        /// The block.
        root: C::Root,
        /// The slot that its state is to be advanced to.
        slot: Slot,
        /// The end on which the trail is sent.
        reply: T,
    },
    /// A worker wants to verify attestations of a target.
    Committees {
        /// The target.
        target: Checkpoint<C::Root>,
        /// The end on which the committees, or the trail to them, are sent.
        reply: T,
    },
    /// A worker has verified a block.
    Commit {
        /// The block.
        block: IdentifiedBlock<C>,
        /// The state after it.
        state: StateAt<C>,
        /// The end on which the acknowledgement is sent.
        reply: K,
    },
    /// A worker posts back a state that a trail had asked for.
    PostState(StateAt<C>),
    /// A worker posts back committees that a trail had asked for.
    PostCommittees(CommitteesAt<C>),
    /// Clearance says what to keep.
    Prune(Prune<C::Root>),
}

impl<C: Consensus, T, K> Message<C, T, K> {
    /// Returns the kind of message, for reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Trail { .. } => "trail",
            Self::Committees { .. } => "committees",
            Self::Commit { .. } => "commit",
            Self::PostState(_) => "state",
            Self::PostCommittees(_) => "computed committees",
            Self::Prune(_) => "prune",
        }
    }
}

/// How replies are sent. Nothing here may block: the HotDB waits for nobody.
pub trait Replies<C: Consensus> {
    /// The reply end of a trail.
    type Trail;
    /// The reply end of an acknowledgement.
    type Ack;
    /// Takes the answer to a [`Message::Trail`] or a [`Message::Committees`]. A requester that is
    /// gone needs none.
    fn trail(&mut self, to: Self::Trail, reply: TrailReply<C>);
    /// Takes the answer to a [`Message::Commit`].
    fn ack(&mut self, to: Self::Ack, reply: CommitReply);
}

/// The requester that waits for the answer to an event, if any.
enum Waiting<T, K> {
    Trail(T),
    Ack(K),
    Nobody,
}

/// Handles a message.
///
/// # Errors
/// Returns the [`Loss`] if the step panics.
pub fn turn<C: Consensus, R: Replies<C>>(
    machine: &mut HotDb<C>,
    consensus: &C,
    steps: &impl Steps,
    replies: &mut R,
    message: Message<C, R::Trail, R::Ack>,
) -> Result<(), Loss> {
    let word = message.word();
    let (event, waiting) = match message {
        Message::Trail { root, slot, reply } => {
            (Event::Trail { root, slot }, Waiting::Trail(reply))
        }
        Message::Committees { target, reply } => {
            (Event::Committees { target }, Waiting::Trail(reply))
        }
        Message::Commit { block, state, reply } => {
            (Event::Commit { block, state }, Waiting::Ack(reply))
        }
        Message::PostState(state) => (Event::PostState(state), Waiting::Nobody),
        Message::PostCommittees(at) => (Event::PostCommittees(at), Waiting::Nobody),
        Message::Prune(prune) => (Event::Prune(prune), Waiting::Nobody),
    };
    let reads = matches!(event, Event::Trail { .. } | Event::Committees { .. });
    let turn = if reads { Turn::Look } else { Turn::Step };
    let effects = steps.hand(turn, word, machine, consensus, event)?;
    match (waiting, effects.into_iter().next()) {
        (Waiting::Trail(to), Some(Effect::Trail(reply))) => replies.trail(to, reply),
        (Waiting::Ack(to), Some(Effect::Committed(reply))) => replies.ack(to, reply),
        (Waiting::Nobody, None) => {}
        _ => debug_assert!(false, "each question has one answer, and nothing else has any"),
    }
    Ok(())
}
