//! Stepped backend and stateright models of every protocol; the TLA+ gate.
