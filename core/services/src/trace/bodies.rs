//! The words for the events and effects of the stores.

use std::fmt::Write as _;

use super::items::{self, checkpoint, list, root, state};
use super::words::{Words, of_commit, of_trail};
use crate::cold_db::{self, Record};
use crate::consensus::Consensus;
use crate::hot_db::{self, Prune};
use crate::store::Write;

/// Returns the words for what is to be kept.
pub(super) fn prune<R: std::fmt::Debug>(prune: &Prune<R>) -> String {
    let Prune { finalized, justified, head } = prune;
    let (finalized, justified, head) = (checkpoint(finalized), root(justified), root(head));
    format!(" finalized={finalized} justified={justified} head={head}")
}

impl<C: Consensus> Words<C> for hot_db::Event<C> {
    fn words(&self, _: &C, out: &mut String) {
        // Writing to a string does not fail; so below.
        let _ = match self {
            Self::Trail { root: of, slot } => write!(out, "trail root={} slot={slot}", root(of)),
            Self::Committees { target } => write!(out, "committees target={}", checkpoint(target)),
            Self::Commit { block, .. } => {
                let header = block.identity();
                let (of, parent) = (root(&header.root), root(&header.parent));
                write!(out, "commit root={of} parent={parent} slot={}", header.slot)
            }
            Self::PostState(at) => write!(out, "post_state what={}", state(&at.root, at.slot)),
            Self::PostCommittees(at) => {
                let (epoch, of) = (at.key.epoch, root(&at.key.dependent_root));
                write!(out, "post_committees what={epoch}@{of}")
            }
            Self::Prune(keep) => write!(out, "prune{}", prune(keep)),
        };
    }
}

impl<C: Consensus> Words<C> for hot_db::Effect<C> {
    fn words(&self, _: &C, out: &mut String) {
        let _ = match self {
            Self::Trail(reply) => write!(out, "trail reply={}", of_trail(reply)),
            Self::Committed(reply) => write!(out, "committed reply={}", of_commit(*reply)),
        };
    }
}

impl<C: Consensus> Words<C> for cold_db::Event<C> {
    fn words(&self, consensus: &C, out: &mut String) {
        let _ = match self {
            Self::Record(record) => {
                let what = match record {
                    Record::Block { block, .. } => items::block::<C>(block),
                    Record::Attestation { attestation, .. } => {
                        items::attestation(&consensus.vote(attestation))
                    }
                    Record::Equivocation { .. } => "equivocation".to_owned(),
                    Record::Operation { operation, .. } => {
                        let id = consensus.operation(operation).id;
                        format!("operation:{}", root(&id))
                    }
                    Record::Spent { operations } => format!("spent:{}", operations.len()),
                    Record::Tick { slot } => format!("tick:{slot}"),
                };
                write!(out, "record what={what}")
            }
            Self::Finalized(at) => write!(out, "finalized at={}", checkpoint(at)),
            Self::State { root: of, state } => {
                write!(out, "state root={} known={}", root(of), state.is_some())
            }
            Self::Flush => write!(out, "flush"),
            Self::Lost => write!(out, "lost"),
            Self::Committed(outcome) => write!(out, "committed whole={}", outcome.is_ok()),
        };
    }
}

impl<C: Consensus> Words<C> for cold_db::Effect<C> {
    fn words(&self, _: &C, out: &mut String) {
        let _ = match self {
            Self::Commit(writes) => {
                let blocks = writes.iter().filter_map(|one| match one {
                    Write::Block { root, .. } => Some(root),
                    _ => None,
                });
                let blocks = list(blocks, root);
                write!(out, "commit writes={} blocks={blocks}", writes.len())
            }
            Self::AskState { root: of, slot } => {
                write!(out, "ask_state root={} slot={slot}", root(of))
            }
            Self::Durable(at) => write!(out, "durable at={}", checkpoint(at)),
            Self::Failed(_) => write!(out, "failed"),
        };
    }
}
