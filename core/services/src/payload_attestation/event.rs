//! What goes into the machine and what comes out of it.

use crate::beacon_validator::{Head, Validator};
use crate::consensus::{Epoch, Slot, ValidatorIndex};
use crate::payload_attestation::protocol::VoteProtocol;
use crate::ptc_duties::Listed;

/// Identifies a request of one machine. It is not used twice.
pub type RequestId = u64;

/// Identifies a duty: the validator votes on the payload of the slot's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DutyId {
    /// The slot.
    pub slot: Slot,
    /// Who has to vote.
    pub validator: ValidatorIndex,
}

/// How a duty ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A beacon node has taken the vote.
    Sent {
        /// How long before the deadline the vote left for the first time, in milliseconds;
        /// negative if it left later.
        lead_ms: i64,
    },
    /// No vote was sent, or nobody has confirmed it.
    Missed(Reason),
}

/// Why a duty was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The clock read a later slot before anything was done.
    SlotOver,
    /// The clock read a time beyond the deadline before the data were asked for.
    DeadlineOver,
    /// The process began within the slot, and cannot know whether it had voted before.
    MayHaveVoted,
    /// No beacon node had seen a block of the slot.
    NoBlock,
    /// A beacon node had not answered at the deadline.
    NodeLate,
    /// The beacon nodes failed to give the data.
    NodeFailed,
    /// The data are of another slot, or of a block of another slot.
    BadAnswer,
    /// The data are of a block that was never told as a head.
    UnknownHead,
    /// The duties on the branch of the data's block are not known.
    NoList,
    /// On the branch of the data's block the validator has no duty in the slot.
    OtherBranch,
    /// The signer had not answered when the late batch left.
    SignerLate,
    /// The signer failed as often as is tolerated, or was resting after a failure at the end.
    SignerFailed,
    /// The signer refused.
    SignerRefused,
    /// The signer does not know the key.
    UnknownKey,
    /// The vote was signed, and at the end of the slot no beacon node had confirmed it.
    PublishLate,
    /// The publication failed as often as is tolerated.
    PublishFailed,
    /// The beacon nodes refused the vote, and it cannot have arrived before.
    PublishRefused,
    /// The key may not sign yet.
    MayNotSign,
    /// The key was taken away.
    Removed,
    /// The clock stepped back to an earlier slot.
    ClockStepped,
    /// The machine panicked over an event, which may have been another duty's. A fault of ours.
    Fault,
}

impl Reason {
    /// Returns the project's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SlotOver => "slot_over",
            Self::DeadlineOver => "deadline_over",
            Self::MayHaveVoted => "may_have_voted",
            Self::NoBlock => "no_block",
            Self::NodeLate => "node_late",
            Self::NodeFailed => "node_failed",
            Self::BadAnswer => "bad_answer",
            Self::UnknownHead => "unknown_head",
            Self::NoList => "no_list",
            Self::OtherBranch => "other_branch",
            Self::SignerLate => "signer_late",
            Self::SignerFailed => "signer_failed",
            Self::SignerRefused => "signer_refused",
            Self::UnknownKey => "unknown_key",
            Self::PublishLate => "publish_late",
            Self::PublishFailed => "publish_failed",
            Self::PublishRefused => "publish_refused",
            Self::MayNotSign => "may_not_sign",
            Self::Removed => "removed",
            Self::ClockStepped => "clock_stepped",
            Self::Fault => "fault",
        }
    }
}

/// A step whose duration is measured, from its request to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The data were fetched.
    Fetch,
    /// A vote was signed.
    Sign,
    /// A batch was published.
    Publish,
}

impl Step {
    /// Returns the project's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Sign => "sign",
            Self::Publish => "publish",
        }
    }
}

/// A vote that is signed, on its way to the beacon nodes: a `PayloadAttestationMessage`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignedVote<V: VoteProtocol> {
    /// The validator. It is not signed.
    pub validator: ValidatorIndex,
    /// What is voted.
    pub data: V::Data,
    /// The signature of the data.
    pub signature: V::Signature,
}

/// What the machine asks for. Each request has one answer, and ends by its time with or without it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request<V: VoteProtocol> {
    /// The duties of these validators in an epoch. Beacon node; [`Reply::Duties`].
    Duties {
        /// The epoch.
        epoch: Epoch,
        /// The validators, ascending: one, or all of ours.
        validators: Vec<ValidatorIndex>,
    },
    /// The data of the slot's votes. Beacon nodes: one that has seen no block is no reason not to
    /// ask another. [`Reply::Data`], or [`Reply::NoBlock`] if no node has seen a block.
    Data {
        /// The slot.
        slot: Slot,
    },
    /// A signature. Signer; [`Reply::Signature`], [`Reply::Refused`] or [`Reply::UnknownKey`].
    Sign {
        /// The duty.
        duty: DutyId,
        /// The key.
        key: V::Key,
        /// What is signed.
        data: V::Data,
    },
    /// The publication of votes with equal data. Beacon nodes; [`Reply::Published`] or
    /// [`Reply::NotTaken`].
    Publish {
        /// The slot of the votes.
        slot: Slot,
        /// The votes, in the order of the validators.
        votes: Vec<SignedVote<V>>,
    },
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply<V: VoteProtocol> {
    /// A list of duties, and the root that came with it.
    Duties {
        /// The root that the list depends on.
        dependent_root: V::Root,
        /// The duties of those that were asked for.
        duties: Vec<Listed<V::Key>>,
    },
    /// The data of the slot's votes.
    Data(V::Data),
    /// No beacon node has seen a block of the slot.
    NoBlock,
    /// A signature.
    Signature(V::Signature),
    /// The signer refused.
    Refused,
    /// The signer does not know the key.
    UnknownKey,
    /// Everything was published but the votes of these validators. A vote that the node already
    /// knew may stand here: the machine knows whether it may have arrived before.
    Published {
        /// The validators whose vote was refused.
        refused: Vec<ValidatorIndex>,
    },
    /// No beacon node has taken the votes: each has said so, or was not reached. So none of them
    /// has arrived.
    NotTaken,
    /// It failed: no connection, a time-out, a malformed answer. Nothing is known of the effect.
    Failed,
}

/// What happens to the machine. The time comes with every event, as the machine's context.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<V: VoteProtocol> {
    /// Nothing but that time has passed. The shell says so by the time that
    /// [`super::PayloadAttestation::wake_at`] returns.
    Wake,
    /// Our validators, all of them.
    Validators(Vec<Validator<V::Key>>),
    /// A beacon node has a new head. A node's head is told before the answers that build on it.
    Head(Head<V::Root>),
    /// A beacon node has the payload and the blobs of a block (`execution_payload_available`).
    Available {
        /// The block's slot.
        slot: Slot,
        /// The block.
        block: V::Root,
    },
    /// A request was answered.
    Reply {
        /// The request.
        request: RequestId,
        /// The answer.
        reply: Reply<V>,
    },
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<V: VoteProtocol> {
    /// A request is to be made. Requests overlap; none waits for another.
    Ask {
        /// Identifies the answer.
        id: RequestId,
        /// When the request is given up, in milliseconds since genesis.
        by_ms: u64,
        /// What is asked.
        request: Request<V>,
    },
    /// A duty has begun.
    Began(DutyId),
    /// A step has taken this long, in milliseconds.
    Took {
        /// The slot for which it was done.
        slot: Slot,
        /// The step.
        step: Step,
        /// How long it took.
        ms: u64,
    },
    /// A duty that had begun has ended. No duty ends twice.
    Ended {
        /// The duty.
        duty: DutyId,
        /// How it ended.
        outcome: Outcome,
    },
}
