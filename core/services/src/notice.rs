//! Notices: what the services tell a node that listens. Listening never slows the services down.

use blocksmith_sync::broker::{Change, Level};

use crate::consensus::{Checkpoint, Consensus, Slot, ValidatorIndex};
use crate::fork_choice::Refusal;
use crate::store::StoreError;
use crate::supervision::{Cause, ServiceName};
use crate::verdict::{ItemId, PendingReason};

/// A notice of services that run the protocol `C`.
pub type NoticeOf<C> = Notice<
    <C as Consensus>::Root,
    <C as Consensus>::AttesterSlashing,
    <C as Consensus>::ProposerSlashing,
>;

/// Something a node may want to know. `R` is a root, `A` an attester slashing and `P` a proposer
/// slashing; see [`NoticeOf`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notice<R, A, P> {
    /// A submission has to wait.
    Parked {
        /// The submission.
        id: ItemId,
        /// What it waits for.
        why: PendingReason,
    },
    /// An item waits for this block: the network may ask its peers for it. The notice comes again,
    /// with a pause that doubles, for as long as an item waits.
    Need {
        /// Root of the block.
        root: R,
    },
    /// An item waits for the payload of this block, which is known. The notice comes again like
    /// [`Notice::Need`].
    NeedPayload {
        /// Root of the block.
        root: R,
    },
    /// The head is another block.
    HeadChanged {
        /// The head before.
        old: R,
        /// The head now.
        new: R,
        /// Number of blocks of the old chain that the new head does not descend from; 0 if it
        /// extends the old chain.
        reorg_depth: u64,
    },
    /// The justified checkpoint moved.
    Justified(Checkpoint<R>),
    /// The finalised checkpoint moved.
    Finalized(Checkpoint<R>),
    /// Finality is in the store: a restart resumes from this checkpoint or a later one.
    Durable(Checkpoint<R>),
    /// The store has failed, for instance because its disk is full. Nothing more is written, the
    /// services go on in memory, and a restart resumes from the last [`Notice::Durable`].
    StoreFailed(Box<StoreError>),
    /// A proposer signed two blocks for one slot, both valid.
    Equivocation {
        /// The proposer.
        proposer: ValidatorIndex,
        /// The slot.
        slot: Slot,
        /// Roots of the two blocks, in the order of arrival.
        roots: [R; 2],
        /// The operation that proves it, ready to be included in a block.
        slashing: P,
    },
    /// Validators voted twice for one target epoch.
    DoubleVote {
        /// The validators, ascending.
        validators: Vec<ValidatorIndex>,
        /// The operation that proves it, ready to be included in a block.
        slashing: A,
    },
    /// Validators' votes surround one another.
    SurroundVote {
        /// The validators, ascending.
        validators: Vec<ValidatorIndex>,
        /// The operation that proves it, ready to be included in a block.
        slashing: A,
    },
    /// A cleared block did not get into the fork choice because of a fault of ours. Its submitter
    /// was told so.
    NotImported {
        /// Root of the block.
        root: R,
        /// Why.
        refusal: Refusal,
    },
    /// The broker's load level changed. What `to` asks for is to be done, and what `from` asked for
    /// besides is no longer wanted (see [`Level::asks`]).
    Load {
        /// The level before.
        from: Level,
        /// The level now.
        to: Level,
    },
    /// Clearance no longer looks for slashable offences, or looks for them again. Protection is not
    /// touched.
    SlashingDetection {
        /// Whether they are looked for.
        on: bool,
        /// Blocks and votes that have not been looked at, since the start.
        skipped: u64,
    },
    /// A service panicked over a message. Its requester was told of a fault, and the message is
    /// lost.
    Panicked {
        /// The service.
        service: ServiceName,
        /// What kind of message it was.
        message: &'static str,
        /// The text of the panic.
        text: String,
        /// Whether a successor serves what is queued.
        resumes: bool,
    },
    /// The reader fell behind, and notices were evicted before it read them. Those that it reads
    /// next were sent after them.
    Lost {
        /// How many.
        count: u64,
    },
    /// The services stop by themselves.
    Escalated {
        /// Why.
        cause: Cause,
    },
}

impl<R, A, P> Notice<R, A, P> {
    pub(crate) fn load(Change { from, to, .. }: Change) -> Self {
        Self::Load { from, to }
    }
}
