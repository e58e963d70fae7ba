//! How engines catch the panics by which checkers report, and how a scenario says what it does.
//!
//! **Contract.** An engine runs a scenario on the calling operating system thread (loom and shuttle
//! run all threads of a scenario as coroutines on it), so everything here is per thread, and checks
//! may run side by side. [`catch`] runs a closure with panics silenced, and returns the first one,
//! with its location. [`say`] adds a landmark to the recorded steps of a failing execution;
//! [`is_recorded`] tells whether the running one is recorded.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::thrown::Thrown;

/// Takes the place of the message of a panic that has none.
const NO_TEXT: &str = "a panic without text";

/// A panic, as the hook saw it.
#[derive(Clone, Debug)]
pub struct Panic {
    /// The payload, if it was text.
    pub message: String,
    /// File and line.
    pub at: String,
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static FIRST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Adds what the running thread does to the recorded steps, in words: a landmark by which a reader
/// finds the way through many operations. It is no operation, so no schedule changes by it, and the
/// words are only made if an execution is recorded.
#[track_caller]
pub fn say(words: impl FnOnce() -> String) {
    let at = Location::caller();
    let mut words = Some(words);
    let made = || words.take().map_or_else(String::new, |words| words());
    crate::stepped::say(made, at);
    if let Some(words) = words {
        crate::recording::say(words, at);
    }
}

/// Returns whether the steps of the running execution are recorded, so that what is said is kept.
#[must_use]
pub fn is_recorded() -> bool {
    crate::stepped::is_recorded() || crate::recording::is_on()
}

/// Installs the hook that silences and remembers panics inside [`catch`]. A new `again` puts it on
/// top of a hook that has been installed since.
pub(crate) fn install_hook(again: &'static Once) {
    again.call_once(|| {
        let outer = take_hook();
        set_hook(Box::new(move |info| {
            if info.payload().is::<Thrown>() {
                return; // a scenario throws it, on any thread, and its caller contains it
            }
            if !QUIET.get() {
                return outer(info);
            }
            let payload = info.payload();
            let message = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| NO_TEXT.to_owned());
            let at = info.location().map(ToString::to_string).unwrap_or_default();
            // The first panic says what is wrong; one without text is a coroutine that is being
            // abandoned.
            FIRST.with_borrow_mut(|first| match first {
                Some(first) if first.message != NO_TEXT => {}
                _ => *first = Some(Panic { message, at }),
            });
        }));
    });
}

/// Runs `body`; panics are not printed.
///
/// # Errors
/// The first panic, if `body` panicked.
pub fn catch<R>(body: impl FnOnce() -> R) -> Result<R, Panic> {
    static HOOK: Once = Once::new();
    install_hook(&HOOK);
    FIRST.take();
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    QUIET.set(before);
    result.map_err(|_| {
        FIRST.take().unwrap_or_else(|| Panic {
            message: "what foreign code threw was not contained".to_owned(),
            at: String::new(),
        })
    })
}
