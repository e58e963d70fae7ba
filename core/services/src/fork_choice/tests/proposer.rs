//! The proposer's head: each of its conditions alone.
