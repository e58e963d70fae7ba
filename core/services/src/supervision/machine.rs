//! The pure part of supervision: which panics are tolerated, and when all services stop; see
//! [`crate::supervision`] for the contract.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::machine::Machine;

/// A service that is supervised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceName {
    /// The firewall.
    Quarantine,
    /// The canonical chain.
    Clearance,
    /// The workers that run the state transition.
    Rewinder,
    /// Blocks and states since finality.
    HotDb,
    /// The writer of the durable store.
    ColdDb,
}

impl ServiceName {
    /// All services, in the order in which they stop.
    pub const ALL: [Self; 5] =
        [Self::Quarantine, Self::Clearance, Self::Rewinder, Self::HotDb, Self::ColdDb];

    /// Returns the project's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Clearance => "clearance",
            Self::Rewinder => "rewinder",
            Self::HotDb => "hot_db",
            Self::ColdDb => "cold_db",
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How many panics are tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Intensity {
    /// Panics that are tolerated within the window; 0 tolerates none.
    pub max_restarts: usize,
    /// The window. A panic that is older no longer counts.
    pub window: Duration,
}

impl Default for Intensity {
    /// Ten in a minute.
    fn default() -> Self {
        Self { max_restarts: 10, window: Duration::from_secs(60) }
    }
}

/// What happens to the supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A service panicked over a message.
    Panicked {
        /// The service.
        service: ServiceName,
        /// When it panicked, counted from an arbitrary fixed moment.
        at: Duration,
        /// Whether a successor can be had: the machine is whole, or another can be built.
        replaceable: bool,
    },
    /// A service whose machine was cut short, and which was to have a successor, cannot have one
    /// after all.
    NotRebuilt {
        /// The service.
        service: ServiceName,
    },
    /// Somebody wants the services to stop.
    Stop,
}

/// Why the services stopped by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// More panics than are tolerated.
    TooManyRestarts {
        /// The service that panicked last.
        service: ServiceName,
        /// What was allowed.
        intensity: Intensity,
    },
    /// A service's machine was cut short in the middle of a step, and no other can be built.
    Torn {
        /// The service.
        service: ServiceName,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRestarts { service, intensity } => write!(
                f,
                "{service} panicked, and more than {} panics within {:?} are not borne",
                intensity.max_restarts, intensity.window
            ),
            Self::Torn { service } => {
                write!(f, "{service} panicked in the middle of a step, and cannot be rebuilt")
            }
        }
    }
}

/// What supervision asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The service goes on with its next message.
    Resume,
    /// The service ends; what it has queued is answered by being dropped.
    End,
    /// All services stop, from the top down; `None` means that somebody wanted it.
    StopAll(Option<Cause>),
}

/// Panics within a window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    intensity: Intensity,
    /// When the last panics happened, oldest first; at most `max_restarts`.
    recent: VecDeque<Duration>,
}

impl Budget {
    /// Returns a budget of which nothing is spent.
    pub(crate) fn new(intensity: Intensity) -> Self {
        Self { intensity, recent: VecDeque::new() }
    }

    /// Counts a panic; returns whether it is within the intensity.
    pub(crate) fn bears(&mut self, at: Duration) -> bool {
        let window = self.intensity.window;
        while self.recent.front().is_some_and(|old| at.saturating_sub(*old) >= window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.intensity.max_restarts {
            return false;
        }
        self.recent.push_back(at);
        true
    }
}

/// The policy; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Supervision {
    services: Budget,
    /// The budget of the Rewinder's workers; `None` tolerates every panic.
    workers: Option<Budget>,
    stopping: bool,
}

impl Supervision {
    /// Returns a supervision that has seen no panic. `services` is the intensity of all services
    /// but the Rewinder together, and `workers` that of its workers. Without one the workers'
    /// panics are tolerated without count.
    #[must_use]
    pub fn new(services: Intensity, workers: Option<Intensity>) -> Self {
        Self { services: Budget::new(services), workers: workers.map(Budget::new), stopping: false }
    }

    /// Returns whether the stop has been asked for.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Returns the budget that counts the service's panics, if there is one.
    fn budget(&mut self, service: ServiceName) -> Option<&mut Budget> {
        match service {
            _ if self.stopping => None,
            ServiceName::Rewinder => self.workers.as_mut(),
            _ => Some(&mut self.services),
        }
    }

    /// Returns when the panics happened that were counted for the services' intensity, without
    /// those that were too old when another one came; the oldest is first. There are at most
    /// `max_restarts`. Panics of the Rewinder's workers are not among them, nor those that came
    /// while the services stopped.
    pub fn counted(&self) -> impl Iterator<Item = Duration> {
        self.services.recent.iter().copied()
    }

    fn stop(&mut self, cause: Option<Cause>) -> Vec<Effect> {
        if std::mem::replace(&mut self.stopping, true) {
            return Vec::new();
        }
        vec![Effect::StopAll(cause)]
    }
}

impl Machine for Supervision {
    type Event = Event;
    type Effect = Effect;

    /// Handles one event. `StopAll` is asked for once. While the services stop, panics are
    /// tolerated without count: what is queued is finite by then, and the rest of it is still to be
    /// answered.
    fn handle(&mut self, (): &(), event: Event) -> Vec<Effect> {
        let (service, at, replaceable) = match event {
            Event::Stop => return self.stop(None),
            Event::NotRebuilt { service } => {
                let mut effects = vec![Effect::End];
                effects.extend(self.stop(Some(Cause::Torn { service })));
                return effects;
            }
            Event::Panicked { service, at, replaceable } => (service, at, replaceable),
        };
        let next = if replaceable { Effect::Resume } else { Effect::End };
        let cause = if replaceable {
            self.budget(service).and_then(|budget| {
                let intensity = budget.intensity;
                (!budget.bears(at)).then_some(Cause::TooManyRestarts { service, intensity })
            })
        } else {
            Some(Cause::Torn { service })
        };
        let mut effects = vec![next];
        if cause.is_some() {
            effects.extend(self.stop(cause));
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Effect, Event, Intensity, Machine, ServiceName, Supervision};
    use std::time::Duration;

    const INTENSITY: Intensity = Intensity { max_restarts: 2, window: Duration::from_secs(10) };

    fn panicked(seconds: u64, replaceable: bool) -> Event {
        let at = Duration::from_secs(seconds);
        Event::Panicked { service: ServiceName::Clearance, at, replaceable }
    }

    #[test]
    fn what_is_counted_is_told_and_a_panic_while_the_services_stop_is_not_counted() {
        // A panic; the stop; and another one.
        let mut policy = Supervision::new(INTENSITY, None);
        assert!(!policy.is_stopping());
        policy.handle(&(), panicked(3, true));
        assert_eq!(policy.handle(&(), Event::Stop), [Effect::StopAll(None)]);
        assert_eq!(policy.handle(&(), panicked(4, true)), [Effect::Resume]);
        assert_eq!(policy.counted().collect::<Vec<_>>(), [Duration::from_secs(3)]);
    }

    #[test]
    fn panics_within_the_intensity_are_borne_and_one_more_stops_all() {
        // Two in ten seconds, then a third in the same window.
        let mut policy = Supervision::new(INTENSITY, None);
        assert_eq!(policy.handle(&(), panicked(0, true)), [Effect::Resume]);
        assert_eq!(policy.handle(&(), panicked(9, true)), [Effect::Resume]);
        let service = ServiceName::Clearance;
        let cause = Cause::TooManyRestarts { service, intensity: INTENSITY };
        let effects = policy.handle(&(), panicked(9, true));
        assert_eq!(effects, [Effect::Resume, Effect::StopAll(Some(cause))]);
        assert!(policy.is_stopping());
    }

    #[test]
    fn a_panic_leaves_the_window_after_its_length() {
        // The first is ten seconds old when the third comes, so only one other counts.
        let mut policy = Supervision::new(INTENSITY, None);
        for seconds in [0, 9, 10, 19, 20] {
            assert_eq!(policy.handle(&(), panicked(seconds, true)), [Effect::Resume], "{seconds}");
        }
        assert_eq!(policy.handle(&(), panicked(20, true)).len(), 2);
    }

    #[test]
    fn a_machine_that_cannot_be_replaced_ends_its_service_and_stops_all() {
        // The first panic, and torn; a second torn one asks for nothing but its own end.
        let mut policy = Supervision::new(INTENSITY, None);
        let cause = Cause::Torn { service: ServiceName::Clearance };
        let stop = Effect::StopAll(Some(cause));
        assert_eq!(policy.handle(&(), panicked(0, false)), [Effect::End, stop]);
        assert_eq!(policy.handle(&(), panicked(0, false)), [Effect::End]);
    }

    #[test]
    fn a_service_that_cannot_be_rebuilt_stops_all_unless_they_stop_already() {
        // The panic was borne as one of a replaceable machine; then no successor is to be had.
        let mut policy = Supervision::new(INTENSITY, None);
        assert_eq!(policy.handle(&(), panicked(0, true)), [Effect::Resume]);
        let service = ServiceName::Quarantine;
        let stop = Effect::StopAll(Some(Cause::Torn { service }));
        assert_eq!(policy.handle(&(), Event::NotRebuilt { service }), [Effect::End, stop]);
        assert_eq!(policy.handle(&(), Event::NotRebuilt { service }), [Effect::End]);
    }

    #[test]
    fn while_the_services_stop_panics_are_borne_without_count() {
        // None is allowed; after the stop, three in a row.
        let none = Intensity { max_restarts: 0, ..INTENSITY };
        let mut policy = Supervision::new(none, None);
        assert_eq!(policy.handle(&(), Event::Stop), [Effect::StopAll(None)]);
        assert_eq!(policy.handle(&(), Event::Stop), []);
        for _ in 0..3 {
            assert_eq!(policy.handle(&(), panicked(1, true)), [Effect::Resume]);
        }
    }

    #[test]
    fn a_worker_s_panics_are_counted_apart_or_not_at_all() {
        // Without a budget of their own a hundred are tolerated, and leave the services' budget
        // untouched; with one, the third of them stops all.
        let worker = Event::Panicked {
            service: ServiceName::Rewinder,
            at: Duration::ZERO,
            replaceable: true,
        };
        let mut policy = Supervision::new(INTENSITY, None);
        for _ in 0..100 {
            assert_eq!(policy.handle(&(), worker), [Effect::Resume]);
        }
        assert_eq!(policy.handle(&(), panicked(0, true)), [Effect::Resume]);
        let mut policy = Supervision::new(INTENSITY, Some(INTENSITY));
        for _ in 0..2 {
            assert_eq!(policy.handle(&(), worker), [Effect::Resume]);
            assert_eq!(policy.handle(&(), panicked(0, true)), [Effect::Resume]);
        }
        assert_eq!(policy.handle(&(), worker).len(), 2);
    }

    #[test]
    fn a_clock_that_steps_back_forgets_nothing() {
        // The second panic claims to be earlier than the first: it counts all the same.
        let mut policy = Supervision::new(INTENSITY, None);
        for seconds in [20, 5] {
            assert_eq!(policy.handle(&(), panicked(seconds, true)), [Effect::Resume]);
        }
        assert_eq!(policy.handle(&(), panicked(6, true)).len(), 2);
    }
}
