//! Votes as the fork choice counts them.

use blocksmith_consensus::gloas::{
    MessageSource, PayloadAttestation, PayloadAttestationError, PayloadAttestationMessage,
    PayloadVoteError, PayloadVotes, PtcWindow, get_ptc,
};
use blocksmith_consensus::{Minimal, Root, SignatureBytes, Signatures, ValidatorIndex};

use super::{data, outsider, signature, state_at, with_several_places};
use crate::support::State;

const ROOT: Root = Root::new([0x55; 32]);
const SLOT: u64 = 11;
const WIRE: MessageSource = MessageSource::Wire { current_slot: SLOT };

/// A vote of `index` on the block at `SLOT`, signed by it.
fn message(state: &State, index: ValidatorIndex, present: bool) -> PayloadAttestationMessage {
    let mut data = data(ROOT, SLOT);
    data.payload_present = present;
    data.blob_data_available = !present;
    let signature = signature(state, &data, &[index]);
    PayloadAttestationMessage { validator_index: index, data, signature }
}

struct Block {
    state: State,
    window: PtcWindow<Minimal>,
    votes: PayloadVotes<Minimal>,
}

impl Block {
    fn new() -> Self {
        let (state, window) = state_at(SLOT);
        Self { state, window, votes: PayloadVotes::default() }
    }

    fn count(
        &mut self,
        message: &PayloadAttestationMessage,
        source: MessageSource,
    ) -> Result<usize, PayloadVoteError> {
        let (state, window, verify) = (&self.state, &self.window, &mut Signatures::Verify);
        self.votes.on_payload_attestation_message(state, window, message, source, verify)
    }

    /// Asserts that a vote fails with `error` and that nothing is counted.
    fn assert_refused(
        &mut self,
        message: &PayloadAttestationMessage,
        source: MessageSource,
        error: PayloadVoteError,
    ) {
        assert_eq!(self.count(message, source), Err(error));
        assert_eq!(self.votes, PayloadVotes::default());
    }
}

#[test]
fn a_vote_counts_at_every_place_of_its_voter_and_the_last_one_counts() {
    // The voter says yes, then no.
    let mut block = Block::new();
    let (voter, places) = with_several_places(&block.state, &block.window, SLOT);
    for present in [true, false] {
        let message = message(&block.state, voter, present);
        assert_eq!(block.count(&message, WIRE), Ok(places.len()));
        for at in 0..16 {
            let said = places.contains(&at).then_some(present);
            assert_eq!(block.votes.timeliness_votes()[at], said);
            assert_eq!(block.votes.availability_votes()[at], said.map(|said| !said));
        }
    }
}

#[test]
fn a_vote_of_another_slot_than_the_block_changes_nothing() {
    // The clock shows the vote's slot; the block is of the slot before. No other check is reached.
    let mut block = Block::new();
    let outsider = outsider(&block.state, &block.window, SLOT);
    let mut message = message(&block.state, outsider, true);
    message.data.slot = SLOT + 1;
    let source = MessageSource::Wire { current_slot: SLOT + 1 };
    assert_eq!(block.count(&message, source), Ok(0));
    assert_eq!(block.votes, PayloadVotes::default());
}

#[test]
fn a_vote_of_somebody_else_than_a_member_is_refused() {
    // From either source.
    let mut block = Block::new();
    let index = outsider(&block.state, &block.window, SLOT);
    let message = message(&block.state, index, true);
    for source in [WIRE, MessageSource::Block] {
        let error = PayloadVoteError::NotInCommittee { index, slot: SLOT };
        block.assert_refused(&message, source, error);
    }
}

#[test]
fn a_vote_from_a_peer_is_of_the_current_slot() {
    // The clock has moved on; from a block it counts still.
    let mut block = Block::new();
    let (voter, places) = with_several_places(&block.state, &block.window, SLOT);
    let message = message(&block.state, voter, true);
    let late = MessageSource::Wire { current_slot: SLOT + 1 };
    let error = PayloadVoteError::NotCurrentSlot { slot: SLOT, current: SLOT + 1 };
    block.assert_refused(&message, late, error);
    assert_eq!(block.count(&message, MessageSource::Block), Ok(places.len()));
}

#[test]
fn a_vote_from_a_peer_is_signed_by_its_voter() {
    // The signature is another member's; from a block it is not looked at.
    let mut block = Block::new();
    let (voter, places) = with_several_places(&block.state, &block.window, SLOT);
    let mut message = message(&block.state, voter, true);
    message.signature = signature(&block.state, &message.data, &[voter + 1]);
    let error = PayloadAttestationError::Signature { attesters: 1 };
    block.assert_refused(&message, WIRE, error.into());
    assert_eq!(block.count(&message, MessageSource::Block), Ok(places.len()));
}

#[test]
fn more_than_half_of_the_places_decide_and_only_over_a_payload_that_is_here() {
    // Member after member votes yes. Eight places of sixteen are not enough.
    let mut block = Block::new();
    let ptc = get_ptc(&block.state, &block.window, SLOT).unwrap().to_vec();
    let mut seen = Vec::new();
    for voter in &ptc {
        let message = message(&block.state, *voter, true);
        block.count(&message, WIRE).unwrap();
        let votes = &block.votes;
        let yes = votes.timeliness_votes().iter().filter(|vote| **vote == Some(true)).count();
        seen.push(yes);
        assert_eq!(votes.payload_timeliness(true, true), yes > 8, "{yes} votes");
        assert_eq!(votes.payload_data_availability(false, true), yes > 8, "{yes} votes");
        assert!(!votes.payload_timeliness(false, true));
        assert!(!votes.payload_data_availability(true, true));
        assert!(!votes.payload_timeliness(true, false));
        assert!(!votes.payload_data_availability(false, false));
    }
    assert_eq!(seen.last(), Some(&16));
}

#[test]
fn exactly_half_of_the_places_do_not_decide() {
    // A window whose first eight places are one validator's and whose others are another's.
    let mut block = Block::new();
    let row: Vec<u64> = (0..16).map(|place| place / 8).collect();
    let bytes: Vec<u8> = (0..24).flat_map(|_| &row).flat_map(|index| index.to_le_bytes()).collect();
    block.window = PtcWindow::from_ssz_bytes(&bytes).unwrap();
    let first = message(&block.state, 0, true);
    assert_eq!(block.count(&first, WIRE), Ok(8));
    assert!(!block.votes.payload_timeliness(true, true));
    assert!(!block.votes.payload_data_availability(false, true));
    let second = message(&block.state, 1, true);
    assert_eq!(block.count(&second, WIRE), Ok(8));
    assert!(block.votes.payload_timeliness(true, true));
}

#[test]
fn the_votes_that_a_block_carries_count_without_signatures() {
    // The bits of one place of a holder of several: its vote counts at all of them.
    let mut block = Block::new();
    let (voter, places) = with_several_places(&block.state, &block.window, SLOT);
    let mut attestation = PayloadAttestation::<Minimal> {
        aggregation_bits: Default::default(),
        data: message(&block.state, voter, true).data,
        signature: SignatureBytes::ZERO,
    };
    assert!(attestation.aggregation_bits.set(places[0], true));
    let counted = block.votes.on_payload_attestation(&block.state, &block.window, &attestation);
    assert_eq!(counted, Ok(()));
    let votes = block.votes.timeliness_votes();
    assert!((0..16).all(|at| votes[at].is_some() == places.contains(&at)));
}
