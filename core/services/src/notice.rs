//! What the services tell whoever listens. Listening never slows them down.

use blocksmith_sync::broker::{Change, Level};

use crate::consensus::{Checkpoint, Slot, ValidatorIndex};
use crate::fork_choice::Refusal;
use crate::supervision::{Cause, ServiceName};
use crate::verdict::{ItemId, PendingReason};

/// Something a node may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notice<R> {
    /// A submission has to wait.
    Parked {
        /// The submission.
        id: ItemId,
        /// What for.
        why: PendingReason,
    },
    /// Somebody waits for this block: the network may ask its peers for it.
    Need {
        /// Root of the block.
        root: R,
    },
    /// The head is another block.
    HeadChanged {
        /// The head before.
        old: R,
        /// The head now.
        new: R,
        /// Blocks of the old chain that the new head does not descend from; 0 if it extends the
        /// old.
        reorg_depth: u64,
    },
    /// The justified checkpoint moved.
    Justified(Checkpoint<R>),
    /// The finalised checkpoint moved.
    Finalized(Checkpoint<R>),
    /// A proposer signed two blocks for one slot, both valid.
    Equivocation {
        /// The proposer.
        proposer: ValidatorIndex,
        /// The slot.
        slot: Slot,
        /// Roots of the two blocks, in the order of arrival.
        roots: [R; 2],
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
    /// A cleared block did not get into the fork choice, by a fault of ours; its submitter was told
    /// so.
    NotImported {
        /// Root of the block.
        root: R,
        /// Why.
        refusal: Refusal,
    },
    /// The broker's level changed: what `to` asks for is to be done, and what `from` asked for
    /// besides is no longer wanted (see [`Level::asks`]).
    Load {
        /// The level before.
        from: Level,
        /// The level now.
        to: Level,
    },
    /// Slashable offences are looked for no more, or again. Protection is not touched.
    SlashingDetection {
        /// Whether they are looked for.
        on: bool,
        /// Blocks and votes that have not been looked at, since the start.
        skipped: u64,
    },
    /// A service panicked over a message. Its requester was told of a fault, the message is lost.
    Panicked {
        /// The service.
        service: ServiceName,
        /// What kind of message it was.
        message: &'static str,
        /// What the panic said.
        text: String,
        /// Whether a successor serves what is queued.
        resumes: bool,
    },
    /// The services stop by themselves.
    Escalated {
        /// Why.
        cause: Cause,
    },
}

impl<R> Notice<R> {
    pub(crate) fn load(Change { from, to, .. }: Change) -> Self {
        Self::Load { from, to }
    }
}
