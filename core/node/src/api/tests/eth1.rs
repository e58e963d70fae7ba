//! Blocks with votes and deposits of an execution layer.

use std::sync::{Arc, Mutex};

use blocksmith::eth1::{DepositContract, Proposal, ProposalError, VotingState};
use blocksmith_consensus::{ChainConfig, Deposit, DepositCache, Eth1Data, Minimal, Root};
use serde_json::json;

use super::world::{VALIDATORS, World, number, options};
use crate::api::{Eth1Votes, Parts};
use crate::interop;

/// An execution layer whose vote the test chooses. It proves deposits as the monitor does.
struct Chosen {
    contract: DepositCache,
    answer: Mutex<Result<Eth1Data, ProposalError>>,
    asked: Mutex<Vec<VotingState<Eth1Data>>>,
}

impl Eth1Votes for Chosen {
    fn proposal(
        &self,
        state: VotingState<Eth1Data>,
        deposit_index: u64,
    ) -> Result<Proposal<Eth1Data, Deposit>, ProposalError> {
        let eth1_data = self.answer.lock().unwrap().clone()?;
        let votes = state.votes.iter().filter(|vote| **vote == eth1_data).count() as u64 + 1;
        let decided = votes * 2 > 32;
        let view = if decided { eth1_data.clone() } else { state.eth1_data.clone() };
        self.asked.lock().unwrap().push(state);
        let due = view.deposit_count.saturating_sub(deposit_index).min(16);
        let deposits = match due {
            0 => Vec::new(),
            _ => self.contract.prove(deposit_index, deposit_index + due, &view)?,
        };
        Ok(Proposal { eth1_data, deposits })
    }
}

fn chosen() -> Arc<Chosen> {
    let (mut contract, config) = (DepositCache::default(), ChainConfig::minimal());
    for index in 0..=VALIDATORS {
        contract.push(interop::deposit::<Minimal>(index, &config)).unwrap();
    }
    let count = contract.count();
    let eth1_data = Eth1Data {
        deposit_root: contract.root(count).unwrap(),
        deposit_count: count,
        block_hash: Root::new([0x0c; 32]),
    };
    Arc::new(Chosen { contract, answer: Mutex::new(Ok(eth1_data)), asked: Mutex::default() })
}

#[test]
fn a_vote_of_the_execution_layer_is_in_every_block_and_its_deposit_once_it_is_decided() {
    // A ninth deposit; the seventeenth vote of the period decides, and that block includes it.
    let eth1 = chosen();
    let vote = eth1.answer.lock().unwrap().clone().unwrap();
    let world =
        World::with(options(None), 0, Parts { eth1: Some(eth1.clone()), ..Parts::default() });
    for slot in 1..=18 {
        world.begin(slot);
        world.propose(slot);
        let body = world.data("/eth/v2/beacon/blocks/head")["message"]["body"].clone();
        assert_eq!(body["eth1_data"]["block_hash"], json!(vote.block_hash.to_string()));
        let deposits = body["deposits"].as_array().unwrap().len();
        assert_eq!(deposits, usize::from(slot == 17), "slot {slot}");
    }
    let new = world.data(&format!("/eth/v1/beacon/states/head/validators/{VALIDATORS}"));
    assert_eq!(
        (&new["status"], number(&new["index"])),
        (&json!("pending_initialized"), VALIDATORS)
    );
    // What was asked for is what the parent's state has: one vote more each time.
    let asked = eth1.asked.lock().unwrap();
    let votes: Vec<usize> = asked.iter().map(|state| state.votes.len()).collect();
    assert_eq!(votes, (0..18).collect::<Vec<_>>());
    assert_eq!(asked[17].eth1_data, vote);
}

#[test]
fn without_the_deposits_that_are_due_there_is_no_block_but_an_error() {
    // The monitor does not have them yet, is contradicted, has stopped, or panics; then it is back.
    let eth1 = chosen();
    let back = eth1.answer.lock().unwrap().clone();
    let world =
        World::with(options(None), 0, Parts { eth1: Some(eth1.clone()), ..Parts::default() });
    world.begin(1);
    for error in [
        ProposalError::Missing,
        ProposalError::Contradicted,
        ProposalError::Stopped,
        ProposalError::Fault,
    ] {
        *eth1.answer.lock().unwrap() = Err(error);
        let answer = world.unsigned("v3", 1, "");
        assert_eq!((answer.status, answer.error()), (503, error.to_string()));
    }
    *eth1.answer.lock().unwrap() = back;
    world.propose(1);
}
