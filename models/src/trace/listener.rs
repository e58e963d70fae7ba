//! A subscriber of `tracing` that hears the steps of the services.
//!
//! **Contract.** A [`Listener`] hands each step ([`blocksmith::trace`]) that it hears to one
//! function, on the thread that takes the step and before an effect of the step is carried out. So
//! the function is called once at a time for each service's thread, but by several threads at once,
//! and what it waits for holds the services up.
//!
//! A listener is the process's own subscriber. An engine may run the threads of an execution as
//! coroutines of one thread of the system, and shuttle keeps a default subscriber for each of them:
//! a subscriber of a thread alone would not hear them. Whoever wants to hear some executions and
//! not others decides so at each step ([`Listener::only_while`]); nothing is put into words for a
//! step that is not wanted.

use blocksmith::trace::{Step, TARGET};
use tracing::dispatcher::{Dispatch, set_global_default};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// Hands the steps that it hears to a function; see the module's text.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    hear: fn(Step),
    is_wanted: fn() -> bool,
}

impl Listener {
    /// Returns a listener that hands every step to `hear`.
    #[must_use]
    pub const fn new(hear: fn(Step)) -> Self {
        Self { hear, is_wanted: || true }
    }

    /// Returns the same listener, which hears a step only if `is_wanted` says so on the step's
    /// thread.
    #[must_use]
    pub const fn only_while(self, is_wanted: fn() -> bool) -> Self {
        Self { is_wanted, ..self }
    }

    /// Has the whole process listened to from now on, until it ends. Returns whether it is so: a
    /// process has one subscriber.
    #[must_use]
    pub fn install(self) -> bool {
        set_global_default(Dispatch::new(self)).is_ok()
    }

    /// Hears an event that another subscriber of the process hands on.
    pub fn hear(&self, event: &Event<'_>) {
        if (self.is_wanted)() {
            Step::of(event).into_iter().for_each(self.hear);
        }
    }
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Whether a step is wanted may change from one to the next.
        if metadata.target() == TARGET { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET && (self.is_wanted)()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.hear(event);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use blocksmith::supervision::ServiceName;
    use blocksmith::trace::Tracer;
    use tracing::Level;
    use tracing::subscriber::with_default;

    use super::*;

    thread_local! {
        static HEARD: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
        static WANTED: Cell<bool> = const { Cell::new(true) };
    }

    /// Keeps the steps of this thread, while they are wanted.
    const KEEPS: Listener = Listener::new(|step| HEARD.with_borrow_mut(|heard| heard.push(step)))
        .only_while(|| WANTED.get());

    /// Tells three steps, of which the second is not wanted; returns the numbers of those heard.
    fn tell(each: impl Fn(bool)) -> Vec<u64> {
        let tracer = Tracer::new(ServiceName::HotDb, 0, 0);
        for is_wanted in [true, false, true] {
            WANTED.set(is_wanted);
            each(is_wanted);
            tracer.tell("prune", "", None);
        }
        HEARD.take().iter().map(|step| step.number).collect()
    }

    #[test]
    fn steps_are_heard_while_they_are_wanted_and_nothing_else_is() {
        // Before each step, somebody asks whether it is heard, and another target has an event.
        let numbers = with_default(KEEPS, || {
            tell(|is_wanted| {
                assert_eq!(Tracer::is_heard(), is_wanted);
                assert!(!tracing::enabled!(target: "blocksmith::other", Level::ERROR));
                tracing::error!(target: "blocksmith::other", number = 7_u64, "no step");
            })
        });
        assert_eq!(numbers, [0, 2]);
    }

    /// Hands every event on.
    struct Outer;

    impl Subscriber for Outer {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            KEEPS.hear(event);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn what_another_subscriber_hands_on_is_heard_while_it_is_wanted() {
        // The other subscriber hands every event on, also one that is no step.
        let event = |_| tracing::error!(target: "blocksmith::other", number = 7_u64, "no step");
        assert_eq!(with_default(Outer, || tell(event)), [0, 2]);
    }
}
