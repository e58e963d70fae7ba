//! The runner on real threads: it explores nothing, but it runs the real primitives.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use crate::verdict::{Engine, Outcome, Verdict, Violation};

use crate::{meter, trace};

/// Time after which a run counts as a deadlock.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `scenario` `iterations` times on operating system threads. A run that does not end within a
/// minute is reported as a violation, and its threads are left running.
#[must_use]
pub fn check(scenario: fn(), threads: usize, iterations: usize) -> Verdict {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = done.send(trace::catch(|| {
            (0..iterations).for_each(|_| {
                meter::count();
                scenario();
            })
        }));
    });
    let outcome = match result.recv_timeout(PATIENCE) {
        Ok(Ok(())) => Outcome::Verified,
        Ok(Err(panic)) => Outcome::Violated {
            violation: Violation::Panic(panic.message.clone()),
            counterexample: format!("no panic: {} ({})", panic.message, panic.at),
        },
        Err(_) => Outcome::Violated {
            violation: Violation::Deadlock,
            counterexample: format!("no deadlock: not done after {} s", PATIENCE.as_secs()),
        },
    };
    Verdict {
        engine: Engine::Std,
        bounds: BTreeMap::from([
            ("threads", threads.to_string()),
            ("iterations", iterations.to_string()),
            ("memory_model", "this machine's, as it happens".to_owned()),
        ]),
        states: None,
        executions: Some(iterations as u64),
        outcome,
    }
}
