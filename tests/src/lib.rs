//! Official vectors, recorded chains, end to end, faults and property tests.
