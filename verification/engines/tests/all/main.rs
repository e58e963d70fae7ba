//! The engines over small scenarios whose answer is known.

mod stepped;
