//! A look at what decides who is served next, for tests and models.

use std::collections::BTreeMap;

use super::Quarantine;
use crate::consensus::Consensus;
use crate::quarantine::fair::UNIT;
use crate::quarantine::held_item::Kind;
use crate::quarantine::standing::FULL_SHARE;
use crate::quarantine::table::{Entry, Place};
use crate::verdict::ItemId;

/// What decides which peer's block is checked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The virtual time.
    pub now: u64,
    /// By peer, the virtual time at which its next check may begin. A peer that has nothing ready
    /// is left out, unless that time lies ahead.
    pub tags: BTreeMap<u64, u64>,
    /// The virtual time that a check of a small block takes of a proven peer of weight 1.
    pub check: u64,
    /// The peers that are proven.
    pub proven: Vec<u64>,
    /// What is being checked and was sent off for a peer that was not proven.
    pub unproven: Vec<ItemId>,
}

impl<C: Consensus> Quarantine<C> {
    /// Returns what decides which peer's block is checked next.
    #[must_use]
    pub fn shares_of_blocks(&self) -> Shares {
        let (now, tags) = self.ready[Kind::Blocks as usize].tags();
        let is_unproven = |entry: &&Entry<C>| {
            let is_block = entry.item().kind() == Kind::Blocks;
            is_block && matches!(entry.place, Place::InFlight { unproven: true, .. })
        };
        let entries = self.table.iter().filter(is_unproven);
        let unproven = entries.flat_map(|entry| entry.submissions.iter().map(|(id, _)| *id));
        Shares {
            now,
            tags,
            check: UNIT / FULL_SHARE,
            proven: self.standings.proven().collect(),
            unproven: unproven.collect(),
        }
    }
}
