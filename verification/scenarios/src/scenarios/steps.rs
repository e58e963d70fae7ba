//! The steps of the services' machines, as scenarios of running services hear them.
//!
//! **What for.** An execution that fails has hundreds of operations. What each machine was told and
//! asked for, in its thread's column, is by what a reader finds the way through them: so each step
//! is a landmark of a recorded execution. And [`of`] keeps the steps of an execution, to be judged.
//!
//! **How.** An engine runs all threads of an execution on one thread of the system. So what is
//! heard on that thread is every step of the execution, and of no other. On real threads it would
//! not be. Nothing is put into words unless the execution is recorded or its steps are kept, and to
//! hear a step is no operation, so no schedule changes by it.

use std::cell::RefCell;
use std::sync::OnceLock;

use blocksmith::trace::{Step, TARGET};
use blocksmith_engines::trace::{is_recorded, say};
use blocksmith_models::trace::Listener;

thread_local! {
    /// The steps of the execution that runs on this thread, while they are kept.
    static KEPT: RefCell<Option<Vec<Step>>> = const { RefCell::new(None) };
}

const LISTENER: Listener = Listener::new(take).only_while(|| is_recorded() || is_kept());

fn is_kept() -> bool {
    KEPT.with_borrow(Option::is_some)
}

fn take(step: Step) {
    // That a thread begins is told by its starter, so it is no landmark of the thread.
    if is_recorded() && !step.event.starts_with("begin") {
        say(|| words(&step));
    }
    KEPT.with_borrow_mut(|steps| steps.iter_mut().for_each(|steps| steps.push(step.clone())));
}

/// Says what a machine was told and what it asks for.
fn words(step: &Step) -> String {
    let Step { service, event, effects, lost, .. } = step;
    let told = format!("{service}: {event}");
    match (&effects[..], lost.as_str()) {
        ([], "") => told,
        (_, "") => format!("{told} => {}", effects.join("; ")),
        (_, lost) => format!("{told} => a panic takes the {lost}"),
    }
}

/// Has the steps of services heard from now on: by a subscriber of the process, or beside its log.
/// Returns whether they are; they are not if the process has a subscriber of another kind.
pub(super) fn hear() -> bool {
    static HEARD: OnceLock<bool> = OnceLock::new();
    *HEARD.get_or_init(|| {
        LISTENER.install() || blocksmith_terminal::listen(TARGET, |event| LISTENER.hear(event))
    })
}

/// Keeps the steps of this thread until it is dropped, however the execution ends.
struct Keeping;

impl Drop for Keeping {
    fn drop(&mut self) {
        KEPT.set(None);
    }
}

/// Runs `body` and returns the steps of the services in it.
///
/// # Panics
/// If the steps cannot be heard.
pub(super) fn of(body: impl FnOnce()) -> Vec<Step> {
    assert!(hear(), "another subscriber hears the steps");
    KEPT.set(Some(Vec::new()));
    let keeping = Keeping;
    body();
    let steps = KEPT.take().unwrap_or_default();
    drop(keeping);
    steps
}
