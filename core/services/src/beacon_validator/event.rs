//! What goes into the machine and what comes out of it.

use crate::beacon_validator::protocol::{DutyList, DutyProtocol, Head, Reading};
use crate::consensus::{Epoch, Slot, ValidatorIndex};

/// Identifies a request of one machine. It is not used twice.
pub type RequestId = u64;

/// A kind of duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// To propose the slot's block.
    Proposal,
    /// To attest in the slot's committee.
    Attestation,
    /// To aggregate the attestations of the committee.
    Aggregation,
}

impl Kind {
    /// Returns the project's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Attestation => "attestation",
            Self::Aggregation => "aggregation",
        }
    }
}

/// Identifies a duty. A validator has at most one of a kind in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DutyId {
    /// The slot.
    pub slot: Slot,
    /// What is to be done.
    pub kind: Kind,
    /// Who has to do it.
    pub validator: ValidatorIndex,
}

/// How a duty ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A beacon node has taken what was signed.
    Sent,
    /// Nothing was sent, or nobody has confirmed it.
    Missed(Reason),
}

/// Why a duty was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The clock read a later slot before anything was done, or the duty was learnt too late.
    SlotOver,
    /// It was still waiting for the beacon node at its deadline.
    NodeLate,
    /// It was still waiting for slashing protection at its deadline.
    ProtectionLate,
    /// It was still waiting for the signer at its deadline.
    SignerLate,
    /// It was signed, and at its deadline no beacon node had confirmed that it took it.
    PublishLate,
    /// The beacon node failed as often as is tolerated.
    NodeFailed,
    /// Slashing protection could not answer.
    ProtectionFailed,
    /// The signer failed as often as is tolerated.
    SignerFailed,
    /// The beacon nodes refused what was signed, or could not be reached to publish it.
    PublishFailed,
    /// What the beacon node sent is not what the duty asks for.
    BadAnswer,
    /// What the beacon node sent builds on a block of which no head was told.
    UnknownHead,
    /// What the beacon node sent is of another branch than the duty.
    OtherBranch,
    /// Another message of the same slot or target epoch has been signed.
    AlreadySigned,
    /// Slashing protection or the signer refused.
    Refused,
    /// The signer does not know the key.
    UnknownKey,
    /// The key may not sign yet.
    MayNotSign,
    /// A re-organisation gave the slot to others, or the key was taken away.
    Reassigned,
    /// The clock stepped back by more than an epoch.
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
            Self::NodeLate => "node_late",
            Self::ProtectionLate => "protection_late",
            Self::SignerLate => "signer_late",
            Self::PublishLate => "publish_late",
            Self::NodeFailed => "node_failed",
            Self::ProtectionFailed => "protection_failed",
            Self::SignerFailed => "signer_failed",
            Self::PublishFailed => "publish_failed",
            Self::BadAnswer => "bad_answer",
            Self::UnknownHead => "unknown_head",
            Self::OtherBranch => "other_branch",
            Self::AlreadySigned => "already_signed",
            Self::Refused => "refused",
            Self::UnknownKey => "unknown_key",
            Self::MayNotSign => "may_not_sign",
            Self::Reassigned => "reassigned",
            Self::ClockStepped => "clock_stepped",
            Self::Fault => "fault",
        }
    }
}

/// One of our validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Validator<K> {
    /// Its index.
    pub index: ValidatorIndex,
    /// Its key. No two validators have the same key.
    pub key: K,
    /// Whether it may sign. It may not while Doppelganger protection listens.
    pub may_sign: bool,
}

/// Where in a slot a validator attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The committee.
    pub committee: u64,
    /// Members of the committee, at least 1.
    pub committee_length: u64,
    /// Committees of the slot.
    pub committees_at_slot: u64,
    /// The validator's position, below `committee_length`.
    pub position: u64,
}

/// An entry of a list of duties, as a beacon node sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listed<K> {
    /// The validator's key.
    pub key: K,
    /// The validator's index.
    pub validator: ValidatorIndex,
    /// The slot.
    pub slot: Slot,
    /// The place in a committee; `None` in a list of proposers.
    pub place: Option<Place>,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message<V: DutyProtocol> {
    /// The RANDAO reveal of an epoch.
    Randao(Epoch),
    /// A block.
    Block(V::Block),
    /// An attestation.
    Attestation(V::Data),
    /// The selection proof of a slot.
    Selection(Slot),
    /// An aggregate with its aggregator and the selection proof.
    Aggregate {
        /// The aggregate.
        aggregate: V::Aggregate,
        /// The aggregator.
        aggregator: ValidatorIndex,
        /// The selection proof.
        proof: V::Signature,
    },
}

impl<V: DutyProtocol> Message<V> {
    /// Returns whether two different ones can be a slashable offence.
    #[must_use]
    pub const fn is_protected(&self) -> bool {
        matches!(self, Self::Block(_) | Self::Attestation(_))
    }
}

/// What slashing protection says of a message. It says so when the record is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// This very message is on record, now or from before; it may be signed.
    Recorded,
    /// Another message of the same slot or target epoch is on record.
    AlreadySigned,
    /// It must not be signed for any other reason.
    Refused,
    /// It could not be checked or recorded.
    Failed,
}

/// A message that is signed, on its way to the beacon node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignedDuty<V: DutyProtocol> {
    /// The duty.
    pub duty: DutyId,
    /// The place in a committee; `None` for a proposal.
    pub place: Option<Place>,
    /// The message.
    pub message: Message<V>,
    /// Its signature.
    pub signature: V::Signature,
}

/// What the machine asks for. Each request has one answer, and ends by its time with or without it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request<V: DutyProtocol> {
    /// A list of duties. Beacon node; [`Reply::Duties`].
    Duties {
        /// The epoch.
        epoch: Epoch,
        /// Which list.
        list: DutyList,
        /// Our validators, ascending.
        validators: Vec<ValidatorIndex>,
    },
    /// An unsigned block for a slot. Beacon node; [`Reply::Block`].
    Produce {
        /// The slot.
        slot: Slot,
        /// The RANDAO reveal that the block has to carry.
        reveal: V::Signature,
    },
    /// The data of a committee's attestations. Beacon node; [`Reply::Data`].
    Data {
        /// The slot.
        slot: Slot,
        /// The committee.
        committee: u64,
    },
    /// A check and a durable record of messages, as one transaction. Slashing protection;
    /// [`Reply::Protected`].
    Protect(Vec<Guarded<V>>),
    /// A signature. Signer; [`Reply::Signature`], [`Reply::Refused`] or [`Reply::UnknownKey`].
    Sign {
        /// The duty.
        duty: DutyId,
        /// The key.
        key: V::Key,
        /// What is signed.
        message: Message<V>,
    },
    /// The aggregate of attestations with this data. Beacon node; [`Reply::Aggregate`].
    Aggregate {
        /// The slot.
        slot: Slot,
        /// The data.
        data: V::Data,
    },
    /// The publication of what is signed: one block, or attestations, or aggregates. Beacon node;
    /// [`Reply::Published`].
    Publish(Vec<SignedDuty<V>>),
}

/// A message to check and record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guarded<V: DutyProtocol> {
    /// The duty.
    pub duty: DutyId,
    /// The key that is to sign.
    pub key: V::Key,
    /// What is to be signed: a block or an attestation.
    pub message: Message<V>,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply<V: DutyProtocol> {
    /// A list of duties, and the root that came with it.
    Duties {
        /// The root that the list depends on.
        dependent_root: V::Root,
        /// The entries.
        listed: Vec<Listed<V::Key>>,
    },
    /// A block.
    Block(V::Block),
    /// Attestation data.
    Data(V::Data),
    /// What slashing protection says, by duty.
    Protected(Vec<(DutyId, Protection)>),
    /// A signature.
    Signature(V::Signature),
    /// The signer's own protection refused (412).
    Refused,
    /// The signer does not know the key (404).
    UnknownKey,
    /// An aggregate.
    Aggregate(V::Aggregate),
    /// Everything was published but what these duties signed.
    Published {
        /// The duties whose message was refused.
        refused: Vec<DutyId>,
    },
    /// It failed: no connection, a time-out, a malformed answer. Nothing is known of the effect.
    Failed,
}

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<V: DutyProtocol> {
    /// The clock was read. The shell reads it by the time that
    /// [`super::BeaconValidator::wake_at`] returns.
    Clock(Reading),
    /// Our validators, all of them.
    Validators(Vec<Validator<V::Key>>),
    /// A beacon node has a new head. A node's head is told before the answers that build on it.
    Head(Head<V::Root>),
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
pub enum Effect<V: DutyProtocol> {
    /// A request is to be made. Requests overlap; none waits for another.
    Ask {
        /// Identifies the answer.
        id: RequestId,
        /// When the request is given up, in milliseconds since genesis.
        by_ms: u64,
        /// What is asked.
        request: Request<V>,
    },
    /// The beacon node should expect these attesters. Nothing waits for it.
    Subscribe(Vec<Listed<V::Key>>),
    /// A duty has begun: its slot has, or it was learnt in its slot.
    Began(DutyId),
    /// A duty that had begun has ended. No duty ends twice.
    Ended {
        /// The duty.
        duty: DutyId,
        /// How it ended.
        outcome: Outcome,
    },
}
