//! Several beacon nodes, of which one answers.
//!
//! **Contract.** [`BeaconNodes::ask`] asks one node after the other, in the order in which they
//! were given, until one gives what was asked for. A node that fails is asked last for a while, so
//! that a dead one does not cost each duty its time-out. The time is shared: with k nodes left, the
//! next one has a k-th of what remains, and the last one has all of it.
//!
//! | answer | what follows |
//! |---|---|
//! | a value | it is returned |
//! | no connection, no answer in time, a malformed one, 5xx | the next node, and this one rests |
//! | 404 and other refusals | the next node: another one may have the block (hazard V9) |
//! | 400 to a message that was submitted | it is returned: no other node will take it |
//!
//! **Invariants.**
//! - I1 A call ends within its time, whatever the nodes do.
//! - I2 Each node is asked at most once by a call.
//! - I3 The error of a call is that of the node that was asked first: it is the preferred one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::beacon_client::BeaconClient;
use crate::http_client::HttpError;

/// How long a node that failed is asked last.
const REST: Duration = Duration::from_secs(10);

/// A node, and until when it rests.
#[derive(Debug)]
struct Ranked {
    client: BeaconClient,
    /// In milliseconds since `start`.
    rests_until: AtomicU64,
}

/// Beacon nodes in the order in which they are preferred. A clone shares their standing and their
/// connections.
#[derive(Clone, Debug)]
pub struct BeaconNodes {
    nodes: Arc<[Ranked]>,
    start: Instant,
}

impl BeaconNodes {
    /// Returns the nodes with these addresses, `http://host:port`. Does not connect yet.
    ///
    /// # Errors
    /// [`HttpError::Url`], also if there is none.
    pub fn new<T: AsRef<str>>(urls: &[T]) -> Result<Self, HttpError> {
        if urls.is_empty() {
            return Err(HttpError::Url { url: String::new() });
        }
        let ranked = |url: &T| {
            let client = BeaconClient::new(url.as_ref())?;
            Ok(Ranked { client, rests_until: AtomicU64::new(0) })
        };
        let nodes = urls.iter().map(ranked).collect::<Result<_, HttpError>>()?;
        Ok(Self { nodes, start: Instant::now() })
    }

    /// Returns the clients of the nodes, in the order in which they were given.
    pub fn clients(&self) -> impl Iterator<Item = &BeaconClient> {
        self.nodes.iter().map(|node| &node.client)
    }

    /// Asks for something. `ask` is called once a node, with the time that it may take.
    ///
    /// # Errors
    /// The first node's error, if no node has it.
    pub fn ask<T>(
        &self,
        timeout: Duration,
        ask: impl FnMut(&BeaconClient, Duration) -> Result<T, HttpError>,
    ) -> Result<T, HttpError> {
        self.until(timeout, |_| false, ask)
    }

    /// Submits something to the first node that takes or refuses it.
    ///
    /// # Errors
    /// A refusal (400), or the first node's error.
    pub fn submit(
        &self,
        timeout: Duration,
        submit: impl FnMut(&BeaconClient, Duration) -> Result<(), HttpError>,
    ) -> Result<(), HttpError> {
        self.until(timeout, |error| error.status() == Some(400), submit)
    }

    fn until<T>(
        &self,
        timeout: Duration,
        is_final: impl Fn(&HttpError) -> bool,
        mut ask: impl FnMut(&BeaconClient, Duration) -> Result<T, HttpError>,
    ) -> Result<T, HttpError> {
        let end = Instant::now() + timeout;
        let mut first = None;
        let order = self.order();
        for (asked, node) in order.iter().enumerate() {
            let left = u32::try_from(order.len() - asked).unwrap_or(u32::MAX);
            let rest = end.saturating_duration_since(Instant::now());
            match ask(&node.client, rest / left) {
                Ok(value) => {
                    // ORDERING: pairs with nothing; nothing but the number is handed over.
                    node.rests_until.store(0, Relaxed);
                    return Ok(value);
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    self.note(node, &error);
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or(HttpError::Url { url: String::new() }))
    }

    /// Returns the nodes in the order in which they are asked now: those that rest come last.
    fn order(&self) -> Vec<&Ranked> {
        let now = self.now();
        let mut order: Vec<_> = self.nodes.iter().collect();
        // ORDERING: pairs with nothing; a standing that is old costs a time-out.
        order.sort_by_key(|node| node.rests_until.load(Relaxed) > now);
        order
    }

    /// Has a node rest if it is its fault that it did not answer.
    fn note(&self, node: &Ranked, error: &HttpError) {
        if error.status().is_some_and(|status| status < 500) {
            return;
        }
        if self.nodes.len() > 1 {
            tracing::debug!(node = node.client.url(), %error, "the next beacon node is asked");
        }
        let rest = u64::try_from(REST.as_millis()).unwrap_or(u64::MAX);
        // ORDERING: pairs with nothing; see `order`.
        node.rests_until.store(self.now().saturating_add(rest), Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const TIME: Duration = Duration::from_secs(60);

    fn status(status: u16) -> HttpError {
        HttpError::Status { path: "/".into(), status, message: String::new(), failures: vec![] }
    }

    fn nodes() -> BeaconNodes {
        BeaconNodes::new(&["http://a", "http://b", "http://c"]).unwrap()
    }

    /// Asks; node `a` and so on give what `answers` says of them. Returns who was asked.
    fn asked(
        nodes: &BeaconNodes,
        answers: &[(&str, Result<u8, u16>)],
        submit: bool,
    ) -> (Result<u8, Option<u16>>, String) {
        let seen = RefCell::new(String::new());
        let mut value = None;
        let mut ask = |client: &BeaconClient, time: Duration| {
            assert!(time <= TIME);
            let name = client.url().trim_start_matches("http://");
            seen.borrow_mut().push_str(name);
            let answer = answers.iter().find(|(of, _)| *of == name).unwrap().1;
            answer.map(|it| value = Some(it)).map_err(status)
        };
        let done = if submit { nodes.submit(TIME, ask) } else { nodes.ask(TIME, &mut ask) };
        let done = done.map_err(|error| error.status());
        (done.map(|()| value.unwrap()), seen.into_inner())
    }

    #[test]
    fn the_next_node_is_asked_for_what_one_does_not_have_and_none_is_asked_twice() {
        // A refusal and a failure; then nobody has it, and the first error is told.
        let answers = [("a", Err(404)), ("b", Ok(7)), ("c", Ok(8))];
        assert_eq!(asked(&nodes(), &answers, false), (Ok(7), "ab".into()));
        let answers = [("a", Err(404)), ("b", Err(503)), ("c", Err(500))];
        assert_eq!(asked(&nodes(), &answers, false), (Err(Some(404)), "abc".into()));
    }

    #[test]
    fn a_node_that_failed_is_asked_last_and_one_that_refused_is_not() {
        // `a` fails, then `b` refuses: the order is b, c, a, and stays so.
        let nodes = nodes();
        let answers = [("a", Err(503)), ("b", Ok(1)), ("c", Ok(2))];
        assert_eq!(asked(&nodes, &answers, false).1, "ab");
        let answers = [("a", Ok(0)), ("b", Err(404)), ("c", Err(404))];
        assert_eq!(asked(&nodes, &answers, false), (Ok(0), "bca".into()));
        // It has answered: it is the first again.
        assert_eq!(asked(&nodes, &answers, false), (Ok(0), "a".into()));
    }

    #[test]
    fn what_a_node_refuses_to_take_is_submitted_to_no_other() {
        // 400 ends a submission, and no question.
        let answers = [("a", Err(400)), ("b", Ok(1)), ("c", Ok(2))];
        assert_eq!(asked(&nodes(), &answers, true), (Err(Some(400)), "a".into()));
        assert_eq!(asked(&nodes(), &answers, false), (Ok(1), "ab".into()));
    }

    #[test]
    fn the_time_is_shared_and_the_last_node_has_all_that_is_left() {
        // Three nodes that fail at once: a third, a half, all.
        let shares = RefCell::new(vec![]);
        let ask = |_: &BeaconClient, time: Duration| {
            shares.borrow_mut().push(time.as_secs());
            Err::<(), _>(status(503))
        };
        nodes().ask(TIME, ask).unwrap_err();
        // The calls take next to no time, but the clock may tick: at most a second is missing each.
        let shares = shares.into_inner();
        assert_eq!(shares.len(), 3);
        assert!(shares.iter().zip([20, 30, 60]).all(|(share, of)| *share <= of));
        assert!(shares[0] < shares[1] && shares[1] < shares[2]);
    }

    #[test]
    fn there_is_at_least_one_node() {
        // None, and one whose address cannot be.
        assert!(matches!(BeaconNodes::new::<&str>(&[]), Err(HttpError::Url { .. })));
        assert!(matches!(BeaconNodes::new(&["ftp://a"]), Err(HttpError::Url { .. })));
    }
}
