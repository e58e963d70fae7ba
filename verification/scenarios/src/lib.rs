//! The scenarios of Blocksmith's protocols, their must-fail twins (the same scenarios over variants
//! that carry a fault), and the linearizability of the channels. `blocksmith-verification` lists
//! them as checks and runs them.
//!
//! They are generic over the primitives, and this crate instantiates each for every engine. That
//! takes minutes to compile. So the crate has no tests of its own, which would compile all of it
//! once more.

pub mod channel;
pub mod linearizability;
pub mod scenarios;
pub mod twins;
