//! The instances: one file for each protocol.

mod dispatcher;
mod duties;
mod hot_db;
mod lifecycle;
mod mailbox;
mod payload_votes;
mod protection;
mod ptc_duties;
mod quarantine;
mod store;

use super::Instance;

/// Every instance.
pub const INSTANCES: &[Instance] = &[
    protection::INSTANCE,
    lifecycle::INSTANCE,
    mailbox::REFUSES,
    mailbox::EVICTS,
    mailbox::BACK,
    dispatcher::LANES,
    dispatcher::BACK,
    dispatcher::BATCHES,
    dispatcher::STANDINGS,
    store::INSTANCE,
    hot_db::TRAIL,
    hot_db::LATE,
    quarantine::VERDICTS,
    quarantine::TURNS,
    quarantine::WINDOW,
    quarantine::ROOM,
    quarantine::EXPIRY,
    ptc_duties::INSTANCE,
    payload_votes::INSTANCE,
    duties::INSTANCE,
];
