//! How a transition treats the signatures that it encounters.
//!
//! A block's checks have an order, and the first that fails is the reason of the verdict. Yet
//! verifying all signatures in one pairing product costs a fraction of verifying each. Both can be
//! had: [`Signatures::Collect`] sets every signature aside as if it were valid, and the block's
//! stages decide once something fails or everything is done:
//!
//! - G1: what an operation does to the state depends on its signature only in that the operation is
//!   rejected if the signature is invalid. So going on with an unverified signature changes no
//!   later check that would have been reached.
//! - G2: when a check fails, whatever was collected came earlier; if any of it is invalid, the
//!   first invalid signature is the reason; otherwise the failed check is.
//!
//! Deposits are not part of this: a deposit's signature decides whether there is a new validator,
//! not whether the block is valid, so it is always verified at once.

use crate::bls::{self, BlsError, SignatureSet};
use crate::error::Fault;

/// What to do with the signatures of operations.
#[derive(Debug, Clone, Default)]
pub enum Signatures {
    /// Take them as valid. This is for blocks that are known to be valid.
    Skip,
    /// Verify each where it occurs.
    #[default]
    Verify,
    /// Set them aside, in order; the caller verifies them together.
    Collect(Vec<SignatureSet>),
}

impl Signatures {
    /// Whether the transition may go on, because the signature is valid, taken as valid, or set
    /// aside.
    pub(crate) fn accept(&mut self, set: impl FnOnce() -> Result<SignatureSet, BlsError>) -> bool {
        match self {
            Self::Skip => true,
            Self::Verify => set().is_ok_and(|set| set.verify()),
            Self::Collect(sets) => match set() {
                Ok(set) => {
                    sets.push(set);
                    true
                }
                Err(_) => false,
            },
        }
    }

    /// How many signatures are set aside.
    pub(crate) fn collected(&self) -> usize {
        match self {
            Self::Collect(sets) => sets.len(),
            Self::Skip | Self::Verify => 0,
        }
    }

    /// The position of the first invalid signature among those that are set aside.
    ///
    /// # Errors
    /// [`Fault`] if there is no entropy for the batch.
    pub(crate) fn first_invalid(&self) -> Result<Option<usize>, Fault> {
        let Self::Collect(sets) = self else { return Ok(None) };
        bls::first_invalid(sets)
    }

    /// The positions of all invalid signatures among those that are set aside, in ascending order.
    ///
    /// # Errors
    /// [`Fault`] if there is no entropy for the batch.
    pub(crate) fn all_invalid(&self) -> Result<Vec<usize>, Fault> {
        let Self::Collect(sets) = self else { return Ok(Vec::new()) };
        bls::all_invalid(sets)
    }
}
