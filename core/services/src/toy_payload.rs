//! Votes on payloads in the toy protocol. The committee of every slot has each validator once, and
//! validator 0 once more, at the last place.

use crate::consensus::{Slot, ValidatorIndex};
use crate::payload::{PayloadData, PayloadVoteHeader, Places};
use crate::toy::{ToyInvalid, ToyRoot};

/// A vote on the payload of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToyPayloadVote {
    /// Its identity.
    pub id: ToyRoot,
    /// The slot that the voter was assigned to.
    pub slot: Slot,
    /// The block.
    pub block: ToyRoot,
    /// Who votes.
    pub validator: ValidatorIndex,
    /// Whether the payload was there in time.
    pub present: bool,
    /// Whether its blobs were available.
    pub available: bool,
    /// Whether its signature verifies.
    pub valid: bool,
}

impl ToyPayloadVote {
    /// Returns what the gossip conditions ask.
    pub(crate) fn header(&self) -> PayloadVoteHeader<ToyRoot> {
        let Self { id, slot, block, validator, present, available, .. } = *self;
        let data = PayloadData { slot, block, present, available };
        PayloadVoteHeader { id, data, validator }
    }

    /// Returns the places that the voter holds, if the vote verifies.
    pub(crate) fn places(&self, validators: usize) -> Result<Places, ToyInvalid> {
        let index = usize::try_from(self.validator).ok().filter(|index| *index < validators);
        let own = index.ok_or(ToyInvalid::PayloadCommittee)?;
        if !self.valid {
            return Err(ToyInvalid::PayloadSignature);
        }
        let again = (own == 0).then_some(validators);
        Ok(Places { committee: validators + 1, held: std::iter::once(own).chain(again).collect() })
    }
}
