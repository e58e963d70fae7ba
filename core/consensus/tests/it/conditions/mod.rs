//! Every condition of the specification's `process_*` functions is broken once on a real state. The
//! error is the condition's variant with the values that were compared, and its text says what was
//! expected.

mod block;
mod epoch;
mod operations;

use std::fmt::{Debug, Display};

use blocksmith_consensus::{Domain, Root, SignatureBytes, Validator};

use crate::support::{State, key, sign};

/// What is done to a state and an item in order to break one condition.
type Spoil<T> = fn(&mut State, &mut T);

/// How a condition is broken, the error, and its text.
type Case<T, E> = (Spoil<T>, E, String);

/// Checks that `process` accepts `item` on `state`, and refuses it for the expected reason after
/// each case's change.
fn judge<T: Clone, E: Debug + Display + PartialEq>(
    state: &State,
    item: &T,
    process: impl Fn(&mut State, &T) -> Result<(), E>,
    cases: impl IntoIterator<Item = Case<T, E>>,
) {
    assert_eq!(process(&mut state.clone(), item), Ok(()));
    for (spoil, error, text) in cases {
        let (mut state, mut item) = (state.clone(), item.clone());
        spoil(&mut state, &mut item);
        assert_eq!(error.to_string(), text);
        assert_eq!(process(&mut state, &item), Err(error), "{text}");
    }
}

/// Validator `index` of a state, to be changed.
fn validator(state: &mut State, index: u64) -> &mut Validator {
    state.validators.get_mut(index as usize).expect("a validator of the state")
}

/// The sum of signatures of `signers`.
fn signed_by(signers: &[u64], root: Root, domain: Domain) -> SignatureBytes {
    let parts: Vec<_> = signers.iter().map(|index| sign(*index, root, domain)).collect();
    blocksmith_consensus::bls::aggregate(&parts).expect("signatures")
}

/// A signature that decodes, but that no validator made over anything that is signed here.
fn wrong() -> SignatureBytes {
    key(0).sign(b"something else")
}
