//! Deliberate panics that foreign code of a scenario throws, distinguished from a checker's
//! reports.
//!
//! **Contract.** Code under test contains panics of the foreign code that it calls
//! ([`Primitives::contain`](blocksmith_sync::Primitives::contain)). Under a checker, `contain` must
//! not swallow a report that the checker makes by a panic, nor a failed assertion of the scenario.
//! So a scenario throws [`Thrown`], with [`throw`], and [`contain`] contains only that. Nothing
//! that the checker sees may happen between the throw and the code that contains it: a backend does
//! nothing while a thread unwinds.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

/// The payload that is thrown.
#[derive(Clone, Copy, Debug)]
pub struct Thrown;

/// Panics with [`Thrown`].
///
/// # Panics
/// Always.
pub fn throw() -> ! {
    panic_any(Thrown)
}

/// Runs `foreign`; contains a panic with [`Thrown`], and lets every other panic pass.
pub fn contain(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign))
        && !payload.is::<Thrown>()
    {
        resume_unwind(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_thrown_is_contained_and_a_failed_assertion_is_not() {
        // Tries one panic of each kind.
        contain(|| throw());
        let passed = catch_unwind(|| contain(|| panic!("a report")));
        assert_eq!(passed.unwrap_err().downcast_ref(), Some(&"a report"));
    }
}
