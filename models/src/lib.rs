//! Models of the protocols under stateright: the services as communicating processes, their life
//! cycle, services in a ring, and one small model for each rule of a machine. The crate also holds
//! the list of hazards, the list of these checks, the gate for the TLA+ specifications, and the
//! comparison of the machines with them.

pub mod catalogue;
pub mod composition;
pub mod hazard;
pub mod lifecycle;
pub mod refinement;
pub mod ring;
pub mod rules;
pub mod tla;
pub mod trace;
mod work;
