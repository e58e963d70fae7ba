//! The rules one by one, batches, imports, and random histories.

mod imports;
mod properties;
mod rules;

use super::{
    Block, GenesisRoot, Key, Limits, MemoryStore, Merge, Outcome, Records, Refusal, Request,
    SigningRoot, Statement, Vote, check_and_record, export, import,
};
use crate::store::StoreError;

const GENESIS: GenesisRoot = [7; 32];
const ALICE: Key = [1; 48];
const BOB: Key = [2; 48];

fn root(number: u8) -> SigningRoot {
    [number; 32]
}

fn block(slot: u64, number: u8) -> Statement {
    Statement::Block { slot, signing_root: root(number) }
}

fn vote(source: u64, target: u64, number: u8) -> Statement {
    Statement::Attestation { source, target, signing_root: root(number) }
}

fn of(key: Key, statement: Statement) -> Request {
    Request { genesis: GENESIS, key, statement }
}

/// Asks for one message of Alice.
fn sign(store: &mut MemoryStore, statement: Statement) -> Outcome {
    let outcomes = check_and_record(store, &Limits::default(), &[of(ALICE, statement)]);
    outcomes.expect("memory does not fail")[0]
}

fn refusal(store: &mut MemoryStore, statement: Statement) -> Refusal {
    match sign(store, statement) {
        Outcome::Refused(refusal) => refusal,
        outcome => panic!("{statement:?}: {outcome:?}"),
    }
}

fn blocks(blocks: &[(u64, Option<u8>)]) -> Records {
    let of_block =
        |(slot, number): &(u64, Option<u8>)| Block { slot: *slot, signing_root: number.map(root) };
    Records { blocks: blocks.iter().map(of_block).collect(), attestations: Vec::new() }
}

fn votes(votes: &[(u64, u64, Option<u8>)]) -> Records {
    let of_vote = |(source, target, number): &(u64, u64, Option<u8>)| Vote {
        source: *source,
        target: *target,
        signing_root: number.map(root),
    };
    Records { blocks: Vec::new(), attestations: votes.iter().map(of_vote).collect() }
}

/// Imports for Alice.
fn take(store: &mut MemoryStore, records: Records, merge: Merge) {
    import(store, &Limits::default(), &GENESIS, [(ALICE, records)], merge).expect("an import");
}
