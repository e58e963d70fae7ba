//! Adapters between the services and the outside: files of a recorded chain, the clock.
