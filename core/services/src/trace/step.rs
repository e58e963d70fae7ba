//! A step that was told, read back from its event.

use std::fmt;

use tracing::Event;
use tracing::field::{Field, Visit};

use super::TARGET;

/// A step of a machine; see [`super`] for the meaning of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Step {
    /// The service.
    pub service: String,
    /// Which services of the process.
    pub instance: u64,
    /// Which thread of the service.
    pub thread: u64,
    /// How many machines of the thread were lost before.
    pub life: u64,
    /// The step's number in its thread.
    pub number: u64,
    /// What the machine was told, in words.
    pub event: String,
    /// What it asks for, in order, each in words.
    pub effects: Vec<String>,
    /// What a panic has taken: empty, `message` or `machine`.
    pub lost: String,
}

impl Step {
    /// Reads the step that an event of `tracing` tells. Returns `None` if the event tells no step.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Option<Self> {
        if event.metadata().target() != TARGET {
            return None;
        }
        let mut step = Self::default();
        event.record(&mut step);
        Some(step)
    }
}

impl Visit for Step {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "instance" => self.instance = value,
            "thread" => self.thread = value,
            "life" => self.life = value,
            "number" => self.number = value,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "service" => value.clone_into(&mut self.service),
            "event" => value.clone_into(&mut self.event),
            "effects" if !value.is_empty() => {
                self.effects = value.split("; ").map(str::to_owned).collect();
            }
            "lost" => value.clone_into(&mut self.lost),
            _ => {}
        }
    }

    /// No field of a step has another type.
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
