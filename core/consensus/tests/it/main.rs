//! What the crate promises of bytes, signatures and the order of judgement, by its public face.

#![forbid(unsafe_code)]

mod allocation;
mod bytes;
mod conditions;
mod samples;
mod signatures;
mod smoke;
mod support;
mod transition;
mod tree;
