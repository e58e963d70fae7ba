//! Block production: from a parent's state, advanced to the block's slot, to an unsigned block.
//!
//! - B1 What the state does not admit is left out, and is no error: an attestation of another
//!   branch, an operation that a block of the chain has included.
//! - B2 No two operations of a block are about one validator. Each has been checked against the
//!   state before the block, so none spoils another.
//! - B3 A block has no more of a kind than the protocol lets it have. Attestations are chosen by
//!   value (`attestation_pool`), operations by age.
//! - B4 The block is run through the transition, which gives its state root. Left out are the
//!   checks of the proposer's signature and of the state root, which are not there yet. A protocol
//!   may leave out the signatures of attestations and operations, too: what is in a pool has been
//!   verified. So a block that the transition would refuse for anything else is answered as an
//!   error.
//!
//! It is one step of a worker: at most [`operations`](crate::clearance::Limits::operations)
//! operations of each kind are checked, and one block is run.

use crate::attestation_pool::Candidates;
use crate::consensus::{BlockParts, Consensus, ValidatorIndex};
use crate::gossip::Operation;
use crate::rewinder::worker::{Answer, Stop, stop};

/// What a block is made of beside its parent and slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Production<C: Consensus> {
    /// What the proposer itself puts in.
    pub inputs: C::BlockInputs,
    /// Attestations to choose from.
    pub attestations: Candidates<C::Attestation>,
    /// Operations to choose from, those to be taken first in front.
    pub operations: Vec<Operation<C>>,
}

/// Produces a block on `state`, which is that of the parent `root`, advanced to the block's slot.
pub(super) fn produce<C: Consensus>(
    consensus: &C,
    root: C::Root,
    state: C::State,
    production: &Production<C>,
) -> Result<Answer<C>, Stop<C>> {
    let limits = consensus.block_limits();
    let weights = |attestation: &C::Attestation| consensus.inclusion_weights(&state, attestation);
    let mut parts = BlockParts::new(root);
    parts.attestations = production.attestations.pack(weights, limits.attestations);
    // Validators that an operation of the block is about (B2).
    let mut touched: Vec<ValidatorIndex> = Vec::new();
    for operation in &production.operations {
        let (room, held) = match operation {
            Operation::ProposerSlashing(_) => {
                (limits.proposer_slashings, parts.proposer_slashings.len())
            }
            Operation::AttesterSlashing(_) => {
                (limits.attester_slashings, parts.attester_slashings.len())
            }
            Operation::VoluntaryExit(_) => (limits.voluntary_exits, parts.voluntary_exits.len()),
        };
        if held >= room {
            continue;
        }
        let Ok(validators) = consensus.verify_operation(&state, operation) else { continue };
        if validators.iter().any(|index| touched.contains(index)) {
            continue;
        }
        touched.extend(validators);
        match operation {
            Operation::ProposerSlashing(inner) => parts.proposer_slashings.push(inner.clone()),
            Operation::AttesterSlashing(inner) => parts.attester_slashings.push(inner.clone()),
            Operation::VoluntaryExit(inner) => parts.voluntary_exits.push(inner.clone()),
        }
    }
    match consensus.produce(state, parts, &production.inputs) {
        Ok(block) => Ok(Answer::Produced(block)),
        Err(failure) => Err(stop(failure)),
    }
}
