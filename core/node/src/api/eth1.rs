//! What a block says of the execution layer: the vote on the deposit contract, and the deposits
//! that are due.
//!
//! **Contract.** A proposer hands over the few values of a state that the answer depends on, not
//! the state. Without a source, a block repeats the state's own vote; it is valid for as long as
//! the state has taken in every deposit that it knows of.
//!
//! Reference: consensus specification, `phase0/validator.md`, "Eth1 Data" and "Deposits".

use blocksmith::eth1::{Eth1Handle, ExecutionNode, Proposal, ProposalError, VotingState};
use blocksmith_consensus::{Deposit, DepositCache, DepositData, Eth1Data, Root};
use blocksmith_sync::Std;

/// Where votes and deposits come from.
pub trait Eth1Votes: Send + Sync {
    /// Returns the vote and the deposits for a block on the state that `state` and `deposit_index`
    /// (`eth1_deposit_index`) come from. May block for a short time, not for the network.
    ///
    /// # Errors
    /// A [`ProposalError`]: without the deposits that are due no valid block can be made.
    fn proposal(
        &self,
        state: VotingState<Eth1Data>,
        deposit_index: u64,
    ) -> Result<Proposal<Eth1Data, Deposit>, ProposalError>;
}

impl<N> Eth1Votes for Eth1Handle<Std, N, DepositCache>
where
    N: ExecutionNode<Hash = Root, Deposit = DepositData>,
{
    fn proposal(
        &self,
        state: VotingState<Eth1Data>,
        deposit_index: u64,
    ) -> Result<Proposal<Eth1Data, Deposit>, ProposalError> {
        Self::proposal(self, state, deposit_index)
    }
}
