//! What the answers of several nodes are worth, and what they do to the nodes' standing.

use std::time::Duration;

use super::hedge::{Hedge, Worth};
use super::standing::{Health, Standing, order};
use crate::beacon_client::Syncing;
use crate::http_client::HttpError;

/// A share that is shorter says nothing about a node that did not answer in it.
const FAIR_SHARE: Duration = Duration::from_millis(50);

/// Whom a call goes to, and what a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One after the other, for something that a node has or has not.
    Ask,
    /// One after the other, with something that a node takes or refuses.
    Submit,
    /// All at once, with something that a node takes or refuses.
    Broadcast,
}

/// The standing of all nodes. Times are since any moment.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    standings: Vec<Standing>,
}

impl Fleet {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { standings: vec![Standing::default(); nodes] }
    }

    /// Begins a call that is over at `end`.
    pub(crate) fn begin(&self, mode: Mode, now: Duration, end: Duration) -> Hedge {
        Hedge::new(self.order(now), end, mode == Mode::Broadcast)
    }

    pub(crate) fn order(&self, now: Duration) -> Vec<usize> {
        order(&self.standings, now)
    }

    /// Takes a node's answer to a call.
    pub(crate) fn take<T>(
        &mut self,
        hedge: &mut Hedge,
        mode: Mode,
        node: usize,
        answer: &Result<T, HttpError>,
        now: Duration,
    ) {
        let worth = worth(mode, answer);
        hedge.answered(node, worth);
        match worth {
            Worth::Failed => self.standings[node].failed(now),
            Worth::Useful | Worth::Nothing | Worth::Refused => self.standings[node].answered(),
        }
    }

    /// Ends a call that had `timeout`: nodes that were passed over without an answer have failed,
    /// unless their share of the time was too short to say so.
    pub(crate) fn end(&mut self, hedge: &Hedge, timeout: Duration, now: Duration) {
        let nodes = u32::try_from(self.standings.len()).unwrap_or(u32::MAX);
        if timeout >= FAIR_SHARE.saturating_mul(nodes) {
            hedge.late().for_each(|node| self.standings[node].failed(now));
        }
    }

    pub(crate) fn health(&self) -> Vec<Health> {
        self.standings.iter().map(Standing::health).collect()
    }

    pub(crate) fn set_health(&mut self, health: &[Health]) {
        for (standing, health) in self.standings.iter_mut().zip(health) {
            standing.set_health(*health);
        }
    }
}

fn worth<T>(mode: Mode, answer: &Result<T, HttpError>) -> Worth {
    match answer {
        Ok(_) => Worth::Useful,
        Err(error) if mode != Mode::Ask && error.status() == Some(400) => Worth::Refused,
        Err(error) if is_fault(error) => Worth::Failed,
        Err(_) => Worth::Nothing,
    }
}

/// Whether it is the node's fault that there is no answer, and not what it knows.
fn is_fault(error: &HttpError) -> bool {
    error.status().is_none_or(|status| status >= 500)
}

impl Health {
    /// Returns what an answer about it says.
    pub(super) fn of(answer: &Result<Syncing, HttpError>) -> Self {
        match answer {
            Ok(said) => Self::Answered {
                sync_distance: said.sync_distance,
                is_optimistic: said.is_optimistic,
            },
            // It lives, and does not have the route.
            Err(error) if !is_fault(error) => Self::Unknown,
            Err(_) => Self::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> HttpError {
        HttpError::Status { path: "/".into(), status, message: String::new(), failures: vec![] }
    }

    #[test]
    fn a_node_that_was_late_rests_unless_its_share_was_too_short() {
        // Two nodes, of which the first hangs: with shares of 50 ms it rests, with 49 ms not.
        let ms = Duration::from_millis;
        let mut fleet = Fleet::new(2);
        for (timeout, order) in [(ms(99), [0, 1]), (ms(100), [1, 0])] {
            let mut hedge = fleet.begin(Mode::Ask, ms(0), timeout);
            hedge.step(ms(0));
            hedge.step(timeout / 2);
            fleet.take(&mut hedge, Mode::Ask, 1, &Ok(()), timeout / 2);
            fleet.end(&hedge, timeout, timeout / 2);
            assert_eq!(fleet.order(timeout), order, "{timeout:?}");
        }
    }

    #[test]
    fn what_an_answer_is_worth_depends_on_whether_something_was_submitted() {
        // The statuses with a meaning, and an answer of no form.
        let of = |mode, code| worth::<()>(mode, &Err(status(code)));
        assert_eq!(of(Mode::Ask, 400), Worth::Nothing);
        for mode in [Mode::Submit, Mode::Broadcast] {
            assert_eq!((of(mode, 400), of(mode, 404)), (Worth::Refused, Worth::Nothing));
            assert_eq!((of(mode, 500), of(mode, 204)), (Worth::Failed, Worth::Nothing));
            assert_eq!(worth(mode, &Ok(())), Worth::Useful);
        }
        let malformed = HttpError::Answer { path: "/".into(), problem: String::new() };
        assert_eq!(worth::<()>(Mode::Ask, &Err(malformed)), Worth::Failed);
    }

    #[test]
    fn a_node_without_the_route_of_health_is_not_silent() {
        // 404 and 503.
        assert_eq!(Health::of(&Err(status(404))), Health::Unknown);
        assert_eq!(Health::of(&Err(status(503))), Health::Silent);
    }
}
