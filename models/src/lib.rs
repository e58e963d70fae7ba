//! Models of the protocols under stateright: the services as communicating processes, their life
//! cycle, and services in a ring. The crate also holds the list of hazards, the list of these
//! checks, and the gate for the TLA+ specifications.

pub mod catalogue;
pub mod composition;
pub mod hazard;
pub mod lifecycle;
pub mod ring;
pub mod tla;
