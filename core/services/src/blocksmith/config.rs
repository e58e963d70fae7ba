//! The sizes that a node chooses; see [`crate::blocksmith`].

use std::time::Duration;

use blocksmith_sync::broker;
use blocksmith_sync::mailbox::MAX_REPLIES;

use crate::blocksmith::service::StartError;
use crate::quarantine::shell::Slots;
use crate::supervision::Intensity;
use crate::{clearance, cold_db, hot_db, quarantine};

/// Sizes of everything that is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// General Rewinder workers, at least 1.
    pub workers: usize,
    /// Whether one more worker serves duties alone. Without it duties still come first, but may
    /// find every worker busy (hazard R2).
    pub reserved_worker: bool,
    /// Messages that each service's mailbox holds, at least 1, besides reserved slots for replies.
    pub mailbox_capacity: usize,
    /// Messages of one peer that the Quarantine's mailbox takes however full it is, at least 1. A
    /// peer may have more there while less than a quarter of the mailbox is taken. A further item
    /// is answered `Dropped(PeerBusy)` at once. From `mailbox_capacity` on, no item is answered so,
    /// and a full mailbox makes every caller wait: that is for a node with one source of items.
    pub mailbox_per_peer: usize,
    /// Tasks that each lane of the Rewinder holds besides those of the Quarantine, at least 1. The
    /// four states that Clearance and the ColdDB may ask for have places beside these.
    pub queries: usize,
    /// The largest number of attestations of one target that a worker takes at once, at least 1. It
    /// verifies at most 16 of them together; then duties and blocks that have come go first.
    pub attestation_batch: usize,
    /// Unread notices that are kept, at least 1.
    pub notices: usize,
    /// How many panics of services are tolerated before all services stop.
    pub restarts: Intensity,
    /// The same for panics of Rewinder workers. `None` tolerates any number: a panic costs the
    /// items of one task or one batch, their submitters are told, and which items are handled is up
    /// to the peers.
    pub worker_restarts: Option<Intensity>,
    /// Bounds of the Quarantine.
    pub quarantine: quarantine::Limits,
    /// Bounds of Clearance: of its pools, and of the slashing detector.
    pub clearance: clearance::Limits,
    /// Bounds of the HotDB.
    pub hot_db: hot_db::Limits,
    /// Bounds of the ColdDB, if there is a store.
    pub cold_db: cold_db::Limits,
    /// How the broker judges the load.
    pub broker: broker::Limits,
    /// How often a dedicated thread has the broker look at the mailboxes, at least a millisecond.
    /// With `None` there is no such thread, and the load level stays where it is until
    /// [`crate::Client::observe`] is called.
    pub observe_every: Option<Duration>,
    /// `PROPOSER_SCORE_BOOST`, in percent.
    pub proposer_score_boost_percent: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            reserved_worker: true,
            mailbox_capacity: 1024,
            mailbox_per_peer: 8,
            queries: 64,
            attestation_batch: 64,
            notices: 1 << 14,
            restarts: Intensity::default(),
            worker_restarts: None,
            quarantine: quarantine::Limits::default(),
            clearance: clearance::Limits::default(),
            hot_db: hot_db::Limits::default(),
            cold_db: cold_db::Limits::default(),
            broker: broker::Limits::default(),
            observe_every: Some(Duration::from_millis(250)),
            proposer_score_boost_percent: 40,
        }
    }
}

impl Config {
    /// Returns every size that must not be 0, by the name of its field.
    pub(super) fn sizes(&self) -> Vec<(&'static str, usize)> {
        let Self { quarantine, clearance, hot_db, cold_db, .. } = self;
        let some = |size: u64| usize::from(size > 0);
        let sampled = |every: Duration| usize::from(every >= Duration::from_millis(1));
        vec![
            ("workers", self.workers),
            ("mailbox_capacity", self.mailbox_capacity),
            ("mailbox_per_peer", self.mailbox_per_peer),
            ("queries", self.queries),
            ("attestation_batch", self.attestation_batch),
            ("notices", self.notices),
            ("observe_every", self.observe_every.map_or(1, sampled)),
            ("quarantine.window", quarantine.window),
            ("quarantine.unproven", quarantine.unproven),
            ("quarantine.peer_blocks", quarantine.peer_blocks),
            ("quarantine.peer_votes", quarantine.peer_votes),
            ("quarantine.items", quarantine.items),
            ("quarantine.bytes", quarantine.bytes),
            ("quarantine.items_per_peer", quarantine.items_per_peer),
            ("quarantine.patience", some(quarantine.patience)),
            ("quarantine.depth", quarantine.depth),
            ("quarantine.needs", quarantine.needs),
            ("quarantine.equivocations", quarantine.equivocations),
            ("quarantine.awaited_equivocations", quarantine.awaited_equivocations),
            ("clearance.aggregates", clearance.aggregates),
            ("clearance.attestations_per_slot", clearance.attestations_per_slot),
            ("clearance.attestations", clearance.attestations),
            ("clearance.attestation_bytes", clearance.attestation_bytes),
            ("clearance.operations", clearance.operations),
            ("clearance.detection_epochs", some(clearance.detection_epochs)),
            ("clearance.detection_bytes", clearance.detection_bytes),
            ("clearance.detection_validators", some(clearance.detection_validators)),
            ("hot_db.blocks - 1", hot_db.blocks.saturating_sub(1)),
            ("hot_db.bytes", hot_db.bytes),
            ("hot_db.checkpoint_slots", some(hot_db.checkpoint_slots)),
            ("hot_db.distance", some(hot_db.distance)),
            ("cold_db.batch", cold_db.batch),
            ("cold_db.attestations", cold_db.attestations),
        ]
    }

    /// Returns every size that must be at least 2, by the name of its field.
    fn pairs(&self) -> [(&'static str, usize); 1] {
        [("clearance.detection_items", self.clearance.detection_items)]
    }

    /// Refuses a size that is too small, and sizes that need more reply slots than a mailbox has.
    pub(super) fn check(&self) -> Result<(), StartError> {
        let sizes = self.sizes();
        if let Some((field, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(StartError::Zero { field });
        }
        if let Some((field, size)) = self.pairs().into_iter().find(|(_, size)| *size < 2) {
            return Err(StartError::TooSmall { field, size, least: 2 });
        }
        let (capacity, window) = (self.mailbox_capacity, self.quarantine.window);
        let slots = Slots::for_clearance(capacity, window, capacity).replies.saturating_add(1);
        if slots > MAX_REPLIES {
            let sizes = [("mailbox_capacity", capacity), ("quarantine.window", window)];
            let (field, size) = sizes[usize::from(window > capacity)];
            return Err(StartError::TooLarge { field, size, slots });
        }
        Ok(())
    }
}
