//! What the crate promises about bytes, signatures and the order of judgement, tested through its
//! public interface.

#![forbid(unsafe_code)]

mod allocation;
mod bytes;
mod conditions;
mod evidence;
mod forged;
mod production;
mod ptc;
mod samples;
mod signatures;
mod smoke;
mod support;
mod transition;
mod tree;
