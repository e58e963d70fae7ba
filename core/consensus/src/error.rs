//! Errors that the modules share: invalid input on one side, faults of ours on the other.
//!
//! [`StateError`] is what the specification expresses as an assertion, an index error or an
//! overflow of `uint64` in a helper; [`Fault`] is what cannot be blamed on an input. A module's own
//! error (an attestation's, a deposit's) names the condition that failed and wraps these.
//!
//! Every operation has one enum, with a variant for each condition of the specification's function;
//! the variant carries the values compared. Its text consists of the operation's name, what was
//! given, and what was expected: `BlockHeader: proposer index 12, expected 40`.

use crate::primitives::{CommitteeIndex, Epoch, Slot, ValidatorIndex};

/// Something of ours failed; this says nothing about the input.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// The operating system provided no entropy.
    #[error("no entropy: {0}")]
    Entropy(String),
}

/// A `uint64` computation whose result is out of range, which makes an input invalid under the
/// specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Overflow {
    /// A sum.
    #[error("{0} + {1}, expected to fit a uint64")]
    Add(u64, u64),
    /// A difference.
    #[error("{0} - {1}, expected not to be negative")]
    Sub(u64, u64),
    /// A product.
    #[error("{0} * {1}, expected to fit a uint64")]
    Mul(u64, u64),
    /// A quotient.
    #[error("{0} / {1}, expected another divisor")]
    Div(u64, u64),
}

/// A condition of a helper that an input, or the state to which it is applied, does not meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StateError {
    /// A validator index outside the registry.
    #[error("validator index {index}, expected less than {count}")]
    UnknownValidator {
        /// The index.
        index: ValidatorIndex,
        /// Length of the list that was indexed.
        count: usize,
    },
    /// A slot whose block root the state does not hold.
    #[error("block root of slot {slot}, expected a recent slot before {state_slot}")]
    SlotOutOfRange {
        /// The slot.
        slot: Slot,
        /// The state's slot.
        state_slot: Slot,
    },
    /// A committee that the slot does not have.
    #[error("committee index {index}, expected less than {count}")]
    UnknownCommittee {
        /// The committee.
        index: CommitteeIndex,
        /// Committees per slot.
        count: u64,
    },
    /// Aggregation bits that end before the committee does.
    #[error("{bits} aggregation bits, expected {committee}")]
    AggregationBitsTooShort {
        /// Number of bits.
        bits: usize,
        /// Size of the committee.
        committee: usize,
    },
    /// No validator is active, so that nobody can be chosen.
    #[error("no active validators in epoch {0}, expected at least one")]
    NoActiveValidators(Epoch),
    /// A list of the state is full.
    #[error("the state's {0} are full, expected room for one more")]
    ListFull(&'static str),
    /// A computation overflows.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// A fault of ours, not of the input.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Tells a fault of ours from an invalid input.
pub trait AsFault {
    /// The fault, if this error is one.
    fn as_fault(&self) -> Option<&Fault>;
}

impl AsFault for StateError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            _ => None,
        }
    }
}

/// Arithmetic on `uint64` that fails where that of the specification would.
pub(crate) trait SafeMath: Sized {
    fn safe_add(self, other: Self) -> Result<Self, Overflow>;
    fn safe_sub(self, other: Self) -> Result<Self, Overflow>;
    fn safe_mul(self, other: Self) -> Result<Self, Overflow>;
    fn safe_div(self, other: Self) -> Result<Self, Overflow>;
}

impl SafeMath for u64 {
    fn safe_add(self, other: Self) -> Result<Self, Overflow> {
        self.checked_add(other).ok_or(Overflow::Add(self, other))
    }

    fn safe_sub(self, other: Self) -> Result<Self, Overflow> {
        self.checked_sub(other).ok_or(Overflow::Sub(self, other))
    }

    fn safe_mul(self, other: Self) -> Result<Self, Overflow> {
        self.checked_mul(other).ok_or(Overflow::Mul(self, other))
    }

    fn safe_div(self, other: Self) -> Result<Self, Overflow> {
        self.checked_div(other).ok_or(Overflow::Div(self, other))
    }
}

/// The largest `x` with `x * x <= n`: the specification's `integer_squareroot`.
pub fn integer_squareroot(n: u64) -> u64 {
    n.isqrt()
}
