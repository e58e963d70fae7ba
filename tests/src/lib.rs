//! Tests of the whole workspace: official vectors, recorded chains, end to end, faults, malformed
//! input and tidiness. There is nothing here to link: the tests are in `tests/all`, the data beside
//! them.

#![forbid(unsafe_code)]

/// The code of README, compiled and, where it has a `main`, run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
