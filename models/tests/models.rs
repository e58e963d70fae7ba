//! Checks of the models: verdicts, counts of states, and twins that must be refuted.

#[path = "models/catalogue.rs"]
mod catalogue;
#[path = "models/composition.rs"]
mod composition;
#[path = "models/lifecycle.rs"]
mod lifecycle;
#[path = "models/ring.rs"]
mod ring;
#[path = "models/stepped.rs"]
mod stepped;
#[path = "models/tla.rs"]
mod tla;
