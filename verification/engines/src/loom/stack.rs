//! A stack for the first thread of an execution.
//!
//! Loom gives a thread that a scenario starts as much stack as it asks for, but the first one gets
//! 32 KiB, and services that are started and stopped in it need more than that in some builds. So its
//! body runs on a stack of our own. Loom switches threads by their stack pointers, wherever these
//! point.

use std::cell::Cell;

use corosensei::on_stack;
use corosensei::stack::DefaultStack;

/// Bytes of that stack, as many as a started thread has. Pages that are not touched cost nothing.
pub(super) const BYTES: usize = super::STACK * size_of::<usize>();

thread_local! {
    /// The stack of the execution before: its pages are mapped.
    static KEPT: Cell<Option<DefaultStack>> = const { Cell::new(None) };
}

/// Keeps the stack when its body has returned or panicked.
struct Lent(Option<DefaultStack>);

impl Drop for Lent {
    fn drop(&mut self) {
        KEPT.set(self.0.take());
    }
}

/// Runs the body on a stack of [`BYTES`]; its panics pass through.
///
/// # Panics
/// If there is no memory for a stack.
pub(super) fn on_own_stack(body: impl FnOnce()) {
    let kept = KEPT.take();
    let stack = kept.unwrap_or_else(|| DefaultStack::new(BYTES).expect("memory for a stack"));
    let mut lent = Lent(Some(stack));
    if let Some(stack) = &mut lent.0 {
        on_stack(stack, body);
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::super::{Loom, LoomBounds, check};
    use super::BYTES;
    use crate::verdict::{Outcome, Violation};
    use blocksmith_sync::{Join, Primitives};

    /// Uses more than half of the stack, and gives way to another thread while it does.
    fn deep() {
        let room = black_box([7_u8; BYTES / 2]);
        let other = Loom::spawn("other", || black_box([8_u8; BYTES / 2])[1]);
        let joined = other.join().expect("it does not panic");
        assert_eq!((black_box(&room)[BYTES / 2 - 1], joined), (7, 8));
    }

    fn deep_and_wrong() {
        deep();
        panic!("on purpose");
    }

    #[test]
    fn the_first_thread_has_as_much_stack_as_a_started_one() {
        let bounds = LoomBounds::preemptions(1);
        assert_eq!(check(deep, 2, bounds).outcome, Outcome::Verified);
        let outcome = check(deep_and_wrong, 2, bounds).outcome;
        let Outcome::Violated { violation: Violation::Panic(message), .. } = outcome else {
            panic!("a panic passes through the stack, and this did not: {outcome:?}")
        };
        assert!(message.contains("on purpose"), "{message}");
    }
}
