//! The runner of the `Stepped` backend: every interleaving, sequentially consistent, shortest
//! counterexample. The backend itself is `blocksmith_models::stepped`.

use blocksmith_models::stepped::{self, Limits};
use blocksmith_models::verdict::Verdict;

/// Explores `scenario`, which has `threads` threads (for the report), within `limits`.
#[must_use]
pub fn check(scenario: fn(), threads: usize, limits: Limits) -> Verdict {
    let mut verdict = stepped::check(scenario, limits);
    verdict.bounds.insert("threads", threads.to_string());
    verdict
}
