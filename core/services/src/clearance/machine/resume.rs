//! What Clearance takes in again after a restart, beside the blocks, attestations and ticks of the
//! journal, which are imported as they were at first.

use crate::clearance::machine::{Clearance, Effect};
use crate::consensus::{Consensus, IndexedVote, ValidatorIndex};
use crate::gossip::Operation;

impl<C: Consensus> Clearance<C> {
    /// Takes in again that validators have equivocated.
    pub(crate) fn resume_equivocation(
        &mut self,
        consensus: &C,
        indices: Vec<ValidatorIndex>,
    ) -> Vec<Effect<C>> {
        let mut effects = Vec::new();
        self.attester_slashing(consensus, indices, &mut effects);
        self.keep(&mut effects);
        effects
    }

    /// Takes an operation into the pool again. What an attester slashing proves is a matter of
    /// [`Clearance::resume_equivocation`].
    pub(crate) fn resume_operation(
        &mut self,
        operation: Operation<C>,
        validators: Vec<ValidatorIndex>,
    ) {
        self.operations.insert(operation, validators);
    }

    /// As [`crate::fork_choice::ForkChoice::resume_vote`].
    pub(crate) fn resume_vote(&mut self, vote: &IndexedVote<C::Root>) -> bool {
        self.fork_choice.resume_vote(vote)
    }
}
