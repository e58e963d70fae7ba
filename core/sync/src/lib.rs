//! Synchronisation primitives, event notifier and channels, written once against a primitive abstraction.
