//! The instances: one file for each protocol.

mod dispatcher;
mod hot_db;
mod lifecycle;
mod mailbox;
mod protection;
mod store;

use super::Instance;

/// Every instance.
pub const INSTANCES: &[Instance] = &[
    protection::INSTANCE,
    lifecycle::INSTANCE,
    mailbox::REFUSES,
    mailbox::EVICTS,
    dispatcher::LANES,
    dispatcher::BACK,
    dispatcher::BATCHES,
    dispatcher::STANDINGS,
    store::INSTANCE,
    hot_db::INSTANCE,
];
