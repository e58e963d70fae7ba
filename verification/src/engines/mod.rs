//! The engines that run a scenario: a backend of the primitives each, and a runner that answers
//! with a verdict and its bounds.
//!
//! | engine | backend | explores | memory |
//! |---|---|---|---|
//! | [`loom`] | [`loom::Loom`] | all executions within a preemption bound | weak |
//! | [`shuttle`] | [`shuttle::Shuttle`] | a seeded sample | sequentially consistent |
//! | [`stepped`] | `blocksmith_models::stepped::Stepped` | all interleavings | sequentially consistent |
//! | [`threads`] | `blocksmith_sync::Std` | what happens | this machine's |

mod atomics;
pub mod loom;
pub mod shuttle;
pub mod stepped;
pub mod threads;
pub mod trace;
