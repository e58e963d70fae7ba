//! What Clearance takes in again after a restart, beside the blocks, attestations and ticks of the
//! journal, which are imported as they were at first.

use crate::clearance::machine::{Clearance, Effect};
#[cfg(test)]
use crate::consensus::Epoch;
use crate::consensus::{Consensus, IndexedVote, ValidatorIndex};
use crate::gossip::Operation;
use crate::slashing;

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

    /// Shows the detector a vote for a block that finality has passed since.
    pub(crate) fn resume_detection(
        &mut self,
        consensus: &C,
        indexed: IndexedVote<C::Root>,
        attestation: C::Attestation,
    ) -> Vec<Effect<C>> {
        let mut effects = Vec::new();
        let event = || slashing::Event::Attestation { indexed, attestation };
        self.detect(consensus, event, &mut effects);
        self.keep(&mut effects);
        effects
    }

    /// Returns the votes on the detector's record.
    #[cfg(test)]
    pub(crate) fn votes_on_record(&self) -> Vec<(Epoch, ValidatorIndex, C::Root)> {
        let votes = self.detector.votes();
        votes.map(|(epoch, index, vote)| (epoch, index, vote.beacon_block_root)).collect()
    }

    /// As [`crate::fork_choice::ForkChoice::resume_vote`].
    pub(crate) fn resume_vote(&mut self, vote: &IndexedVote<C::Root>) -> bool {
        self.fork_choice.resume_vote(vote)
    }
}
