//! The operations that a block carries, one file each.
//!
//! Every `process_*` here follows the specification's function of the same name: conditions come in
//! its order, each with its own error, and nothing is written before the last condition that the
//! operation's own data can fail. Those of the operations that also travel alone are in a
//! `verify_*` of their own, which changes no state. Reading a state that does not support the
//! operation is a
//! [`StateError`](crate::StateError) inside the operation's error.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Operations".

mod attestation;
mod attester_slashing;
mod deposit;
mod proposer_slashing;
mod voluntary_exit;

pub(crate) use attestation::check_inclusion;
pub use attestation::{
    AttestationError, IndexedAttestationError, is_valid_indexed_attestation, process_attestation,
};
pub use attester_slashing::{
    AttesterSlashingError, process_attester_slashing, slashable_indices, verify_attester_slashing,
};
pub(crate) use deposit::effective_balance;
pub use deposit::{DepositError, apply_deposit, process_deposit};
pub use proposer_slashing::{
    ProposerSlashingError, process_proposer_slashing, verify_proposer_slashing,
};
pub use voluntary_exit::{VoluntaryExitError, process_voluntary_exit, verify_voluntary_exit};

/// Implements [`crate::AsFault`] for an error whose only source of faults is its `State` variant.
macro_rules! fault_in_state {
    ($error:ty) => {
        impl $crate::error::AsFault for $error {
            fn as_fault(&self) -> Option<&$crate::error::Fault> {
                match self {
                    Self::State(error) => error.as_fault(),
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use fault_in_state;
