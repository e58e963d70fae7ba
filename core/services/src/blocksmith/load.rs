//! What the broker watches: every queue of the services, by name.
//!
//! | name | what waits there | counts by |
//! |---|---|---|
//! | `quarantine`, `clearance`, `hot_db`, and `cold_db` if there is a store | messages to the service | depth, age |
//! | `quarantine.items` | submissions without a verdict, which may wait for a parent or a slot | depth |
//! | `rewinder.duties`, `.blocks`, `.attestations`, `.queries` | tasks for a worker, by lane | depth, age |
//! | `cold_db.questions`, if there is a store | questions for stored blocks: the lane is full if a few peers ask | no |
//! | `notices` | unread notices: the queue stays full if nobody listens | no |

use std::time::Duration;

use blocksmith_sync::Primitives;
use blocksmith_sync::broker::{Broker, Weight};
use blocksmith_sync::mailbox::Counters;

use crate::blocksmith::client::Client;
use crate::consensus::Consensus;
use crate::notice::Notice;
use crate::rewinder::Lane;

/// A queue with fewer places is full with a few items, which says nothing about the load.
const FEW: u64 = 16;

impl<P: Primitives, C: Consensus> Client<P, C> {
    /// Makes the broker watch every queue of the services.
    pub(super) fn register(&self) {
        let notices = self.observer.meter();
        self.watch("notices", Weight::Shown, move || notices.counters());
        let quarantine = self.quarantine.post().meter();
        self.watch("quarantine", Weight::Counts, move || quarantine.counters());
        let items = self.quarantine.held();
        self.watch("quarantine.items", Weight::Depth, move || items.counters());
        let clearance = self.clearance.post().meter();
        self.watch("clearance", Weight::Counts, move || clearance.counters());
        let hot_db = self.hot_db.post().meter();
        self.watch("hot_db", Weight::Counts, move || hot_db.counters());
        if let Some(cold_db) = &self.cold_db {
            let records = cold_db.records().meter();
            self.watch("cold_db", Weight::Counts, move || records.counters());
            let questions = cold_db.questions().meter();
            self.watch("cold_db.questions", Weight::Shown, move || questions.counters());
        }
        for lane in Lane::ALL {
            let gauge = self.rewinder.gauge(lane);
            let name = format!("rewinder.{}", lane.word());
            self.watch(&name, Weight::Counts, move || gauge.counters());
        }
    }

    fn watch(&self, name: &str, weight: Weight, read: impl Fn() -> Counters + Send + 'static) {
        let weight = if read().capacity < FEW { Weight::Shown } else { weight };
        let watched = self.broker.watch(name, weight, read);
        watched.expect("the broker is new, and the names are distinct");
    }

    /// Returns the body of the thread that takes the samples. It runs until the broker is told to
    /// stop.
    pub(super) fn sampler(&self, every: Duration) -> impl FnOnce() + Send + 'static {
        let (broker, observer): (Broker<P>, _) = (self.broker.clone(), self.observer.clone());
        move || broker.serve(every, |change| observer.tell(Notice::load(change)))
    }
}
