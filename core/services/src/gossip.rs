//! What comes by gossip beside blocks: votes (single attestations and aggregates) and operations
//! (slashings and voluntary exits).
//!
//! **Contract.** The protocol says once, when an item is first looked at, what the gossip
//! conditions ask of it without a state: [`VoteHeader`] and [`OperationHeader`]. The Quarantine
//! judges by them; what needs a state is a job of the Rewinder's.
//!
//! Reference: consensus specification, `phase0/p2p-interface.md`, "Topics and messages".

use crate::consensus::{Consensus, Failure, ValidatorIndex, Vote};
use crate::identified::Identified;

/// A vote is propagated until so many slots after its own have passed.
pub const ATTESTATION_PROPAGATION_SLOT_RANGE: u64 = 32;
/// Two honest clocks may differ by so many milliseconds.
pub const MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS: u64 = 500;

/// A vote as it travels on its topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GossipVote<C: Consensus> {
    /// An attestation of one validator.
    Single {
        /// The attestation.
        attestation: C::Attestation,
        /// The subnet that it came on.
        subnet: u64,
    },
    /// An aggregate, with the proof that its aggregator was selected.
    Aggregate(C::Aggregate),
}

impl<C: Consensus> GossipVote<C> {
    /// Returns the attestation, without what its topic adds.
    pub fn attestation(&self, consensus: &C) -> C::Attestation {
        match self {
            Self::Single { attestation, .. } => attestation.clone(),
            Self::Aggregate(aggregate) => consensus.aggregated(aggregate),
        }
    }
}

/// An operation as it travels on its topic. A clone costs a pointer.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Operation<C: Consensus> {
    /// Two headers that one proposer signed for one slot.
    ProposerSlashing(C::ProposerSlashing),
    /// Two votes that contradict each other.
    AttesterSlashing(C::AttesterSlashing),
    /// A validator's wish to stop.
    VoluntaryExit(C::VoluntaryExit),
}

// A derived `Clone` would ask for a protocol that can be cloned.
impl<C: Consensus> Clone for Operation<C> {
    fn clone(&self) -> Self {
        match self {
            Self::ProposerSlashing(slashing) => Self::ProposerSlashing(slashing.clone()),
            Self::AttesterSlashing(slashing) => Self::AttesterSlashing(slashing.clone()),
            Self::VoluntaryExit(exit) => Self::VoluntaryExit(exit.clone()),
        }
    }
}

/// The topic of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// `proposer_slashing`.
    ProposerSlashing,
    /// `attester_slashing`.
    AttesterSlashing,
    /// `voluntary_exit`.
    VoluntaryExit,
}

impl OperationKind {
    /// Returns the name of the topic.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ProposerSlashing => "proposer slashing",
            Self::AttesterSlashing => "attester slashing",
            Self::VoluntaryExit => "voluntary exit",
        }
    }
}

impl<C: Consensus> Operation<C> {
    /// Returns its topic.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::ProposerSlashing(_) => OperationKind::ProposerSlashing,
            Self::AttesterSlashing(_) => OperationKind::AttesterSlashing,
            Self::VoluntaryExit(_) => OperationKind::VoluntaryExit,
        }
    }
}

/// A list of bits: one for each member of a committee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bits {
    len: usize,
    /// Bit `i` is bit `i % 64` of word `i / 64`. Bits from `len` on are 0.
    words: Box<[u64]>,
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let (mut len, mut words) = (0, Vec::new());
        for bit in bits {
            if len % 64 == 0 {
                words.push(0);
            }
            if let Some(last) = words.last_mut() {
                *last |= u64::from(bit) << (len % 64);
            }
            len += 1;
        }
        Self { len, words: words.into() }
    }
}

impl Bits {
    /// Returns how many bits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no bits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bits are set.
    #[must_use]
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Returns the position of the first bit that is set.
    #[must_use]
    pub fn first_one(&self) -> Option<usize> {
        let at = self.words.iter().position(|word| *word != 0)?;
        Some(at * 64 + self.words[at].trailing_zeros() as usize)
    }

    /// Returns whether `other` has as many bits, and every bit that is set here.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        let mut words = self.words.iter().zip(&other.words);
        self.len == other.len && words.all(|(here, there)| here & !there == 0)
    }
}

/// Which topic a vote came on, with what the topic adds to the attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VoteTopic {
    /// `beacon_attestation_{subnet}`.
    Subnet(u64),
    /// `beacon_aggregate_and_proof`, by this aggregator (as the message claims).
    Aggregate(ValidatorIndex),
}

/// What the gossip conditions ask of a vote without a state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VoteHeader<R> {
    /// What is voted for. `id` is the root of the whole message: signatures, bits and, for an
    /// aggregate, the proof.
    pub vote: Vote<R>,
    /// `hash_tree_root` of the attestation data.
    pub data: R,
    /// The committee's index in its slot.
    pub committee: u64,
    /// Which members vote.
    pub bits: Bits,
    /// Where it came from.
    pub topic: VoteTopic,
}

/// What the gossip conditions ask of an operation without a state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationHeader<R> {
    /// `hash_tree_root` of the whole message, signatures included.
    pub id: R,
    /// The validators that it is about, ascending: the proposer (that of the first header), the
    /// attesters that both votes name, or the one that wishes to stop.
    pub validators: Vec<ValidatorIndex>,
}

/// A gossip vote with its [`VoteHeader`].
pub type IdentifiedVote<C> = Identified<GossipVote<C>, VoteHeader<<C as Consensus>::Root>>;
/// An operation with its [`OperationHeader`].
pub type IdentifiedOperation<C> = Identified<Operation<C>, OperationHeader<<C as Consensus>::Root>>;

/// Why a gossip vote did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VoteFailure<I, F> {
    /// The first check that fails.
    pub failure: Failure<I, F>,
    /// For a single attestation whose committee and bits are right: who is said to vote. That an
    /// earlier vote of this validator was seen counts before its signature does.
    pub attester: Option<ValidatorIndex>,
}

impl<I, F> From<Failure<I, F>> for VoteFailure<I, F> {
    fn from(failure: Failure<I, F>) -> Self {
        Self { failure, attester: None }
    }
}

/// The validators that voted, ascending, or why the vote did not pass.
pub type VoteOutcome<C> =
    Result<Vec<ValidatorIndex>, VoteFailure<<C as Consensus>::Invalid, <C as Consensus>::Fault>>;

#[cfg(test)]
mod tests {
    use super::Bits;

    fn bits(text: &str) -> Bits {
        text.chars().map(|bit| bit == '1').collect()
    }

    #[test]
    fn bits_are_counted_and_found_across_words() {
        // Nothing, one bit at each end of two words, and all of 130.
        assert_eq!((bits("").count_ones(), bits("").first_one()), (0, None));
        assert!(bits("").is_empty() && !bits("0").is_empty());
        for at in [0, 63, 64, 127] {
            let one: Bits = (0..128).map(|bit| bit == at).collect();
            assert_eq!((one.len(), one.count_ones(), one.first_one()), (128, 1, Some(at)));
        }
        assert_eq!((0..130).map(|_| true).collect::<Bits>().count_ones(), 130);
    }

    #[test]
    fn a_subset_has_the_same_length_and_no_bit_of_its_own() {
        // Subset, superset, incomparable, equal, and another length.
        assert!(bits("0100").is_subset_of(&bits("0110")));
        assert!(!bits("0110").is_subset_of(&bits("0100")));
        assert!(!bits("1000").is_subset_of(&bits("0110")));
        assert!(bits("0110").is_subset_of(&bits("0110")));
        assert!(!bits("010").is_subset_of(&bits("0110")));
    }
}
