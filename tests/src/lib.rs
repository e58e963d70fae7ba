//! Tests of the whole workspace: official vectors, the recorded chain, malformed input,
//! dependencies and tidiness. This crate has nothing to link. Its tests are in `tests/all`, and
//! their data is beside them.

#![forbid(unsafe_code)]

/// The code of README. It is compiled and, where it can be, run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
