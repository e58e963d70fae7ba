//! What the ColdDB is given of a turn: all that a restart needs of what Clearance has taken in.
//!
//! **Contract.** Before a step, [`of_event`] says what its event comes to, as the event is gone
//! afterwards; after it, [`of_effects`] says what the step has found. Of both, what is not
//! [`is_in`] the machine after the step is left out.

use crate::clearance::machine::{Clearance, Effect, Event, Import};
use crate::cold_db::Record;
use crate::consensus::{Consensus, IndexedVote};
use crate::gossip::{Operation, OperationKind};
use crate::verdict::{ClearedBlock, ClearedOperation};

/// Returns what the ColdDB is to be given of an event, in order.
pub(super) fn of_event<C: Consensus>(
    machine: &Clearance<C>,
    consensus: &C,
    event: &Event<C>,
) -> Vec<Record<C>> {
    match event {
        Event::Import(import) => of_import(machine, consensus, import),
        Event::Spent(operations) if !operations.is_empty() => {
            vec![Record::Spent { operations: operations.clone() }]
        }
        Event::Spent(_) | Event::Balances { .. } | Event::Detection { .. } => Vec::new(),
    }
}

fn of_import<C: Consensus>(
    machine: &Clearance<C>,
    consensus: &C,
    import: &Import<C>,
) -> Vec<Record<C>> {
    let of_vote = |evidence: &IndexedVote<C::Root>, attestation: C::Attestation| {
        // A vote for a block that finality has passed is not recorded: it has no weight, and a
        // restart could not tell it from one that had.
        let counts = machine.fork_choice().contains(evidence.vote.beacon_block_root);
        let indices = evidence.indices.clone();
        counts.then_some(Record::Attestation { attestation, indices }).into_iter().collect()
    };
    match import {
        Import::Block { block, timely } => {
            let mut records: Vec<_> = slashed_in(machine, block).into_iter().collect();
            records.push(Record::Block { block: block.item().clone(), timely: *timely });
            records
        }
        Import::Attestation(one) => of_vote(one.evidence(), one.item().item().clone()),
        Import::Vote(one) => of_vote(one.evidence(), one.item().item().attestation(consensus)),
        Import::Operation(operation) => of_operation(operation),
        // They are of no use after a restart: votes count in their slot alone, and whoever has the
        // payload tells it again.
        Import::PayloadVote(_) | Import::Payload { .. } => Vec::new(),
        Import::Tick { slot } => vec![Record::Tick { slot: *slot }],
    }
}

/// Returns what the slashings in a block newly prove. It holds wherever the block stands, so it is
/// recorded beside the block: a block that finality passes is dropped.
fn slashed_in<C: Consensus>(machine: &Clearance<C>, block: &ClearedBlock<C>) -> Option<Record<C>> {
    let indices = &block.evidence().equivocating;
    let is_new = indices.iter().any(|index| !machine.fork_choice().has_equivocated(*index));
    is_new.then(|| Record::Equivocation { indices: indices.clone() })
}

/// Returns what an attester slashing proves to the fork choice, which is for good, and apart from
/// that the operation, which the pool holds until it is spent.
fn of_operation<C: Consensus>(operation: &ClearedOperation<C>) -> Vec<Record<C>> {
    let validators = operation.evidence().clone();
    let mut records = Vec::new();
    if operation.item().item().kind() == OperationKind::AttesterSlashing {
        records.push(Record::Equivocation { indices: validators.clone() });
    }
    records.push(Record::Operation { operation: operation.item().item().clone(), validators });
    records
}

/// Returns the operations that prove the offences that a step has found.
pub(super) fn of_effects<C: Consensus>(effects: &[Effect<C>]) -> impl Iterator<Item = Record<C>> {
    effects.iter().filter_map(|effect| {
        let (operation, validators) = match effect {
            Effect::Equivocation { proposer, slashing, .. } => {
                (Operation::ProposerSlashing(slashing.clone()), vec![*proposer])
            }
            Effect::DoubleVote { validators, slashing }
            | Effect::SurroundVote { validators, slashing } => {
                (Operation::AttesterSlashing(slashing.clone()), validators.clone())
            }
            _ => return None,
        };
        Some(Record::Operation { operation, validators })
    })
}

/// Returns whether the machine has taken in what a record says. Votes and ticks that change nothing
/// change nothing after a restart either.
pub(super) fn is_in<C: Consensus>(machine: &Clearance<C>, record: &Record<C>) -> bool {
    match record {
        Record::Block { block, .. } => machine.fork_choice().contains(block.identity().root),
        Record::Operation { operation, .. } => machine.holds(operation),
        Record::Spent { operations } => operations.iter().all(|spent| !machine.holds(spent)),
        Record::Attestation { .. } | Record::Equivocation { .. } | Record::Tick { .. } => true,
    }
}
