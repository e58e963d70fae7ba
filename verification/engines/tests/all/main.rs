//! Tests of the engines on small scenarios whose answer is known.

mod loom;
mod sleep_sets;
mod stepped;
