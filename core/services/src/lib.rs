//! Services of a consensus client: pure state machines with thin thread shells.
