//! How many requests came on each route, how they were answered, and how long that took.
//!
//! **Contract.** A request is counted once, when its answer begins: a stream of events counts when
//! it is opened. A request without a route counts under [`NO_ROUTE`]. Counting takes no lock.
//!
//! **Bound.** There are as many figures as there are routes, each with [`STATUSES`] and a
//! histogram; what clients send makes none. A route that nobody has asked for is left out of the
//! exposition.
//!
//! Reference: Prometheus, "Metric types", "Exposition formats".

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::Histogram;

/// The statuses that are told apart; any other counts as 0.
const STATUSES: [u16; 16] =
    [0, 200, 202, 204, 206, 400, 404, 405, 406, 408, 413, 414, 415, 431, 500, 503];
/// The route of requests that have none.
pub(super) const NO_ROUTE: (&str, &str) = ("", "none");

/// The figures of one route.
pub(super) struct Route {
    method: &'static str,
    path: &'static str,
    statuses: [AtomicU64; STATUSES.len()],
    times: Histogram,
}

impl Route {
    /// Counts a request.
    pub(super) fn observe(&self, status: u16, time: Duration) {
        let at = STATUSES.iter().position(|one| *one == status).unwrap_or_default();
        // ORDERING: figures for people; nothing is read by their help.
        self.statuses[at].fetch_add(1, Relaxed);
        self.times.observe(time);
        tracing::debug!(method = self.method, route = self.path, status, ?time, "request");
    }

    fn labels(&self) -> String {
        format!("method=\"{}\",route=\"{}\"", self.method, self.path)
    }
}

/// The figures of all routes.
#[derive(Default)]
pub(super) struct Requests(Mutex<Vec<Arc<Route>>>);

impl Requests {
    /// Adds a route. The table of routes is the only one to do so.
    pub(super) fn route(&self, (method, path): (&'static str, &'static str)) -> Arc<Route> {
        let statuses = std::array::from_fn(|_| AtomicU64::new(0));
        let route = Arc::new(Route { method, path, statuses, times: Histogram::default() });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(route.clone());
        route
    }

    /// Appends both families in the text exposition format.
    pub(super) fn write(&self, text: &mut String) {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked: Vec<_> = routes.iter().filter(|route| route.times.count() > 0).collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP blocksmith_http_requests_total Requests by route and status.\n\
             # TYPE blocksmith_http_requests_total counter"
        );
        for route in &asked {
            for (status, count) in STATUSES.iter().zip(&route.statuses) {
                // ORDERING: as in `observe`.
                let count = count.load(Relaxed);
                if count > 0 {
                    let labels = route.labels();
                    let _ = writeln!(
                        text,
                        "blocksmith_http_requests_total{{{labels},status=\"{status}\"}} {count}"
                    );
                }
            }
        }
        let _ = writeln!(
            text,
            "# HELP blocksmith_http_request_duration_seconds Time to the beginning of the answer.\n\
             # TYPE blocksmith_http_request_duration_seconds histogram"
        );
        for route in &asked {
            route.times.write("blocksmith_http_request_duration_seconds", &route.labels(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_by_route_and_status_and_a_route_that_nobody_asked_for_is_not() {
        // Two routes and an unknown status; the third route stays silent.
        let requests = Requests::default();
        let [a, b, _] = ["/a", "/b", "/c"].map(|path| requests.route(("GET", path)));
        a.observe(200, Duration::from_millis(1));
        a.observe(200, Duration::from_secs(60));
        a.observe(404, Duration::ZERO);
        b.observe(299, Duration::ZERO);
        let mut text = String::new();
        requests.write(&mut text);
        let total = "blocksmith_http_requests_total{method=\"GET\",route=";
        for line in [
            format!("{total}\"/a\",status=\"200\"}} 2"),
            format!("{total}\"/a\",status=\"404\"}} 1"),
            format!("{total}\"/b\",status=\"0\"}} 1"),
            "blocksmith_http_request_duration_seconds_bucket{method=\"GET\",route=\"/a\",\
             le=\"12\"} 2"
                .to_owned(),
            "blocksmith_http_request_duration_seconds_count{method=\"GET\",route=\"/a\"} 3"
                .to_owned(),
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("/c"), "{text}");
    }
}
