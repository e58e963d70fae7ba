//! Checks of the models: verdicts, counts of states, and twins that must be refuted.

#[path = "models/stepped.rs"]
mod stepped;
#[path = "models/tla.rs"]
mod tla;
