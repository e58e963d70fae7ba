//! The first step of each thread: what its service knows from the beginning.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Tracer;
use super::items::{checkpoint, list, root};
use crate::clearance::Clearance;
use crate::consensus::{Consensus, Slot};
use crate::hot_db::HotDb;
use crate::quarantine::Limits;
use crate::supervision::ServiceName;

/// The number of the next start of services in this process.
static INSTANCES: AtomicU64 = AtomicU64::new(0);

/// What numbers the steps of the services of one start, and the words of their first steps.
pub(crate) struct Begins {
    tracers: [Arc<Tracer>; 5],
    words: [String; 5],
}

impl Begins {
    /// Takes down what the machines know, if somebody listens. `records` says whether there is a
    /// ColdDB.
    pub(crate) fn new<C: Consensus>(
        limits: &Limits,
        clearance: &Clearance<C>,
        hot_db: &HotDb<C>,
        records: bool,
    ) -> Self {
        // ORDERING: relaxed; the number is unique, and nothing else depends on it.
        let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
        let tracers = ServiceName::ALL.map(|service| Tracer::new(service, instance, 0));
        let words = |service| match service {
            ServiceName::Quarantine => {
                format!(" window={} submissions={}", limits.window, limits.submissions())
            }
            ServiceName::Clearance => of_clearance(clearance, records),
            ServiceName::HotDb => {
                format!(" known={}", list(hot_db.parents(), |(of, parent)| pair::<C>(of, parent)))
            }
            ServiceName::Rewinder | ServiceName::ColdDb => String::new(),
        };
        let heard = Tracer::is_heard();
        let words = ServiceName::ALL.map(|one| if heard { words(one) } else { String::new() });
        Self { tracers, words }
    }

    /// Returns what numbers the steps of a service's first thread.
    pub(crate) fn tracer(&self, service: ServiceName) -> Arc<Tracer> {
        self.tracers[service as usize].clone()
    }

    /// Tells that the service's thread begins.
    pub(crate) fn tell(&self, service: ServiceName) {
        let place = service as usize;
        self.tracers[place].begin(&self.words[place]);
    }
}

/// The chain of Clearance: root, `-`, and parent of each block.
fn of_clearance<C: Consensus>(machine: &Clearance<C>, records: bool) -> String {
    let each = |(of, parent, _): (C::Root, C::Root, Slot)| pair::<C>(of, parent);
    let (view, known) = (machine.view(), list(machine.blocks(), each));
    let (head, finalized) = (root(&view.head), checkpoint(&view.finalized));
    format!(" head={head} finalized={finalized} records={records} known={known}")
}

fn pair<C: Consensus>(of: C::Root, parent: C::Root) -> String {
    format!("{}-{}", root(&of), root(&parent))
}
