//! What payload-timeliness committees say of the blocks of the tree.
//!
//! - Y1 There is an entry for a block if a vote on it has been counted or its payload has been
//!   verified. It goes with the block.
//! - Y2 A block that is not in the tree has no entry, whatever is said of it.
//!
//! The head does not depend on it: the blocks of the tree are all built on the payload that their
//! parent has, or have none.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use super::event::Refusal;
use super::machine::ForkChoice;
use super::proto_array::ProtoArray;
use crate::payload::{PayloadData, PlaceVotes, Places};

/// What is known of a block's payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockPayload {
    /// Whether this node has verified it.
    pub verified: bool,
    /// What the committee of the block's slot says of it.
    pub votes: PlaceVotes,
}

/// The entries, by block.
pub(super) type Payloads<R> = BTreeMap<R, BlockPayload>;

impl<R: Copy + Eq + Ord + Hash + Debug> ForkChoice<R> {
    /// Returns what is known of the payload of a block, if anything is.
    pub fn payload(&self, root: R) -> Option<&BlockPayload> {
        self.payloads.get(&root)
    }

    /// Returns the blocks of which [`ForkChoice::payload`] knows something.
    pub fn payloads(&self) -> impl Iterator<Item = (R, &BlockPayload)> {
        self.payloads.iter().map(|(root, payload)| (*root, payload))
    }

    /// Returns whether more than half of the committee say `timely` of the payload, and this node
    /// has verified it (`payload_timeliness`).
    pub fn payload_timeliness(&self, root: R, timely: bool) -> bool {
        let said = |payload: &BlockPayload| payload.verified && payload.votes.is_timely(timely);
        self.payload(root).is_some_and(said)
    }

    /// Returns whether more than half of the committee say `available` of the payload's blobs, and
    /// this node has verified it (`payload_data_availability`).
    pub fn payload_data_availability(&self, root: R, available: bool) -> bool {
        let said =
            |payload: &BlockPayload| payload.verified && payload.votes.is_available(available);
        self.payload(root).is_some_and(said)
    }

    /// `on_payload_attestation_message`, after the checks that need a state.
    pub(super) fn on_payload_vote(
        &mut self,
        data: &PayloadData<R>,
        places: &Places,
    ) -> Result<(), Refusal> {
        let block = self.tree.node(data.block).ok_or(Refusal::UnknownBlock)?;
        if block.slot != data.slot {
            return Ok(());
        }
        let votes = &mut self.payloads.entry(data.block).or_default().votes;
        if votes.timely().len() != places.committee {
            *votes = PlaceVotes::new(places.committee);
        }
        votes.set(&places.held, data.present, data.available);
        Ok(())
    }

    pub(super) fn on_payload(&mut self, root: R) -> Result<(), Refusal> {
        self.tree.node(root).ok_or(Refusal::UnknownBlock)?;
        self.payloads.entry(root).or_default().verified = true;
        Ok(())
    }
}

/// Drops the entries of blocks that have left the tree (Y1).
pub(super) fn prune<R: Copy + Eq + Ord + Hash + Debug>(
    payloads: &mut Payloads<R>,
    tree: &ProtoArray<R>,
) {
    payloads.retain(|root, _| tree.node(*root).is_some());
}
