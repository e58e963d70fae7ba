//! Traces of failing executions, and how engines catch the panics by which checkers report.
//!
//! **Contract.** An engine runs a scenario on the calling operating system thread (loom and shuttle
//! run all threads of a scenario as coroutines on it), so everything here is per thread, and checks
//! may run side by side. [`catch`] runs a closure with panics silenced, and returns the first one,
//! with its location. While tracing is on, the backends add one step per operation.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::thrown::Thrown;

/// The number of steps that are kept of one execution; of a longer one the last steps are kept.
const MAX_STEPS: usize = 400;

/// Takes the place of the message of a panic that has none.
const NO_TEXT: &str = "a panic without text";

/// One operation of one thread.
#[derive(Clone, Debug)]
struct Step {
    thread: String,
    operation: &'static str,
    /// The address of the object; it is printed as a small number.
    object: usize,
    value: String,
    at: &'static Location<'static>,
}

/// A panic, as the hook saw it.
#[derive(Clone, Debug)]
pub struct Panic {
    /// The payload, if it was text.
    pub message: String,
    /// File and line.
    pub at: String,
}

thread_local! {
    static TRACING: Cell<bool> = const { Cell::new(false) };
    static STEPS: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static FIRST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Starts or ends the recording of steps on this thread; starting forgets the earlier ones.
pub fn tracing(on: bool) {
    TRACING.set(on);
    if on {
        STEPS.take();
    }
}

/// Adds a step if tracing is on. The closures are called only then.
#[inline]
pub(crate) fn note(
    thread: impl FnOnce() -> String,
    operation: &'static str,
    object: usize,
    value: impl FnOnce() -> String,
    at: &'static Location<'static>,
) {
    if TRACING.get() {
        let step = Step { thread: thread(), operation, object, value: value(), at };
        add(step);
    }
}

fn add(step: Step) {
    STEPS.with_borrow_mut(|steps| steps.push(step));
}

/// Ends the recording and returns the steps as text, one per line.
#[must_use]
pub fn take_steps() -> String {
    tracing(false);
    let steps = STEPS.take();
    let mut names = HashMap::new();
    let mut text = String::new();
    let skipped = steps.len().saturating_sub(MAX_STEPS);
    if skipped > 0 {
        let _ = writeln!(text, "  .. {skipped} earlier steps");
    }
    for step in steps.iter().skip(skipped) {
        let next = names.len();
        let object = *names.entry(step.object).or_insert(next);
        let file = step.at.file().rsplit('/').next().unwrap_or_default();
        let Step { thread, operation, value, .. } = step;
        let place = format!("{file}:{}", step.at.line());
        let _ = writeln!(text, "  {thread:<10} {operation:<22} o{object:<3} {value:<24} {place}");
    }
    text
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
