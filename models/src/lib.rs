//! Models: the `Stepped` backend, which runs the real code one operation at a time under
//! stateright, the compositions of the services' state machines, and the gate for the TLA+
//! specifications.

pub mod catalogue;
pub mod composition;
pub mod explore;
pub mod hazard;
pub mod lifecycle;
pub mod ring;
pub mod stepped;
pub mod thrown;
pub mod tla;
pub mod verdict;
