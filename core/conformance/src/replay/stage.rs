//! Where a monitor or a server finds the figures of the services that are running now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blocksmith_node::metrics::VerdictTimes;
use blocksmith_sync::Broker;
use blocksmith_sync::broker::Snapshot;

#[derive(Default)]
enum Place {
    #[default]
    Empty,
    Running(Broker),
    /// The last figures of services that have ended.
    Left(Snapshot),
}

/// Holds the broker of the services that run, one after another, and the times to all verdicts; a
/// clone is another handle.
#[derive(Clone, Default)]
pub struct Stage {
    place: Arc<Mutex<Place>>,
    times: VerdictTimes,
}

/// Services are on the stage for as long as this lives.
#[must_use = "the services leave the stage when this is dropped"]
pub(super) struct OnStage(Stage);

impl Stage {
    /// Puts a broker on the stage.
    pub(super) fn enter(&self, broker: Broker) -> OnStage {
        *self.place() = Place::Running(broker);
        OnStage(self.clone())
    }

    /// Returns the figures of the last sample, of the services that are running or have just ended;
    /// `None` before any have run.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        match &*self.place() {
            Place::Empty => None,
            Place::Running(broker) => Some(broker.snapshot()),
            Place::Left(snapshot) => Some(snapshot.clone()),
        }
    }

    /// Returns the times from submission to verdict, of all services that were on the stage.
    #[must_use]
    pub fn times(&self) -> &VerdictTimes {
        &self.times
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnStage {
    /// Takes one more sample, so that the figures that are left are those of the end.
    fn drop(&mut self) {
        let mut place = self.0.place();
        if let Place::Running(broker) = &*place {
            broker.observe();
            *place = Place::Left(broker.snapshot());
        }
    }
}
