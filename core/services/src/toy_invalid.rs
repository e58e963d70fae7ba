//! What can be wrong with items of the toy protocol, and with us.

use thiserror::Error;

use crate::consensus::{Invalid, Slot};
use crate::toy::ToyRoot;

/// What can be wrong with a toy item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum ToyInvalid {
    /// The encoding is wrong.
    #[error("the bytes are not the encoding of a toy item")]
    Malformed,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// The block claims another proposer than the expected one.
    #[error("the block is of another proposer's slot")]
    Proposer,
    /// The transition rejects the block.
    #[error("the block says of itself that it is invalid")]
    Block,
    /// The attestation does not verify.
    #[error("the attestation says of itself that it is invalid")]
    Attestation,
    /// A single attestation came on another validator's subnet.
    #[error("the attestation is for another subnet")]
    Subnet,
    /// The operation's signatures do not verify.
    #[error("the operation says of itself that it is badly signed")]
    OperationSignature,
    /// The voter is in no payload-timeliness committee.
    #[error("the voter holds no place of the committee")]
    PayloadCommittee,
    /// The payload vote's signature does not verify.
    #[error("the payload vote says of itself that it is badly signed")]
    PayloadSignature,
    /// The state does not allow the operation.
    #[error("the operation says of itself that it is invalid")]
    Operation,
}

impl Invalid for ToyInvalid {
    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed_ssz",
            Self::Signature => "bad_proposer_signature",
            Self::Proposer => "bad_block_header",
            Self::Block => "bad_state_root",
            Self::Attestation => "bad_signature",
            Self::Subnet => "wrong_subnet",
            Self::OperationSignature => "bad_operation_signature",
            Self::PayloadCommittee => "not_in_committee",
            Self::PayloadSignature => "bad_signature",
            Self::Operation => "bad_operation",
        }
    }

    fn condemns_root(&self) -> bool {
        matches!(self, Self::Proposer | Self::Block | Self::OperationSignature)
    }
}

/// What can go wrong on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum ToyFault {
    /// A state was asked to run backwards, or a block was applied to another block's state.
    #[error("state of block {block} at slot {slot} does not fit the request")]
    WrongState {
        /// The block the state follows.
        block: ToyRoot,
        /// The state's slot.
        slot: Slot,
    },
}
