//! The instances: one file for each protocol.

mod lifecycle;
mod mailbox;
mod protection;

use super::Instance;

/// Every instance.
pub const INSTANCES: &[Instance] =
    &[protection::INSTANCE, lifecycle::INSTANCE, mailbox::REFUSES, mailbox::EVICTS];
