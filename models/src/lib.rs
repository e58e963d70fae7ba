//! Models: the compositions of the services' state machines under stateright, the rows of hazards,
//! and the gate for the TLA+ specifications.

pub mod catalogue;
pub mod composition;
pub mod hazard;
pub mod lifecycle;
pub mod ring;
pub mod tla;
