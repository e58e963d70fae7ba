//! The phase0 state transition of the Ethereum consensus specification.
