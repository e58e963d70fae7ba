//! Several beacon nodes, of which one answers.
//!
//! **Contract.** [`BeaconNodes::ask`] asks the nodes by their rank until one gives what was asked
//! for. The next node is asked when the one before has used its share of the time, or at once if it
//! has failed; the first useful answer is returned. [`BeaconNodes::submit`] does the same with
//! something that a node may refuse, and [`BeaconNodes::broadcast`] gives it to all at once.
//!
//! | answer | what follows |
//! |---|---|
//! | a value | it is returned, and what has not begun of the rest is cancelled |
//! | no connection, no answer in time, a malformed one, 5xx | the next node, and this one rests |
//! | 204, 404 and other refusals | the next node: another one may have the block (hazard V9) |
//! | 400 to a message that was submitted | the next node; it is returned if no other takes it |
//!
//! Which node is asked when is decided by `hedge`, their rank by `standing`, and what an answer is
//! worth by `fleet`; all three are pure.
//!
//! **Threads.** A single node is called on the caller's thread. Of several, each has
//! [`THREADS`] threads and a queue of [`QUEUE`] calls of its own, so a node that hangs keeps no call
//! from another node. A node whose queue is full counts as one that fails.
//!
//! **Invariants.**
//! - I1 A call ends within its time, whatever the nodes do. It blocks until then at most.
//! - I2 Each node is asked at most once by a call.
//! - I3 A call that is over begins no request. A request that is under way then goes on until the
//!   call's end at the latest, and its answer is dropped.
//! - I4 At most [`MAX_NODES`] nodes are asked, so at most `MAX_NODES * THREADS` threads run.

mod fleet;
mod hedge;
mod standing;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use blocksmith_sync::{Backpressure, Primitives, Std, mpmc};

use crate::beacon_client::BeaconClient;
use crate::http_client::HttpError;
pub(crate) use fleet::{Fleet, Mode};
#[cfg(test)]
pub(crate) use hedge::Hedge;
pub(crate) use hedge::Step;
pub use standing::Health;

/// Nodes, at most.
pub const MAX_NODES: usize = 16;
/// Calls to a node at once, at most, if there are several nodes.
pub const THREADS: usize = 8;
/// Calls that wait for a node's threads, at most.
pub const QUEUE: usize = 64;
/// A call to one node.
type Job = Box<dyn FnOnce(&BeaconClient) + Send>;

/// A node, and where its threads take their calls from.
struct Node {
    client: BeaconClient,
    /// `None` if it is the only node.
    jobs: Option<mpmc::Sender<Std, Job>>,
}

/// Beacon nodes in the order in which they are preferred. A clone shares their standing, their
/// connections and their threads, which end with the last clone.
#[derive(Clone)]
pub struct BeaconNodes {
    nodes: Arc<[Node]>,
    fleet: Arc<Mutex<Fleet>>,
    start: Instant,
}

impl std::fmt::Debug for BeaconNodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.clients().map(BeaconClient::url)).finish()
    }
}

impl BeaconNodes {
    /// Returns the nodes with these addresses, `http://host:port`. Does not connect yet.
    ///
    /// # Errors
    /// [`HttpError::Url`]; [`HttpError::Nodes`] if there is none, or more than [`MAX_NODES`].
    pub fn new<T: AsRef<str>>(urls: &[T]) -> Result<Self, HttpError> {
        let client = |url: &T| BeaconClient::new(url.as_ref());
        Self::of(urls.iter().map(client).collect::<Result<_, _>>()?)
    }

    /// Returns the nodes of these clients; see [`BeaconNodes::new`].
    fn of(clients: Vec<BeaconClient>) -> Result<Self, HttpError> {
        if clients.is_empty() || clients.len() > MAX_NODES {
            return Err(HttpError::Nodes { given: clients.len() });
        }
        let is_alone = clients.len() == 1;
        let fleet = Arc::new(Mutex::new(Fleet::new(clients.len())));
        let node = |(number, client)| {
            let jobs = (!is_alone).then(|| start_threads(number, &client));
            Node { client, jobs }
        };
        let nodes = clients.into_iter().enumerate().map(node).collect();
        Ok(Self { nodes, fleet, start: Instant::now() })
    }

    /// Returns the clients of the nodes, in the order in which they were given.
    pub fn clients(&self) -> impl Iterator<Item = &BeaconClient> {
        self.nodes.iter().map(|node| &node.client)
    }

    /// Returns what was last known of the nodes' health, in the order in which they were given.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        self.fleet().health()
    }

    /// Asks for something. `ask` is called with a node and the time that it may take, on several
    /// threads if there are several nodes. Blocks until the call is over.
    ///
    /// # Errors
    /// The error of the node that was asked first, if no node has it; [`HttpError::NoAnswer`] if
    /// none has answered.
    pub fn ask<T: Send + 'static>(
        &self,
        timeout: Duration,
        ask: impl Fn(&BeaconClient, Duration) -> Result<T, HttpError> + Send + Sync + 'static,
    ) -> Result<T, HttpError> {
        self.call(Mode::Ask, timeout, ask)
    }

    /// Submits something to the nodes, until one takes it. Blocks until the call is over.
    ///
    /// # Errors
    /// A refusal (400), if no node takes it; else see [`BeaconNodes::ask`].
    pub fn submit(
        &self,
        timeout: Duration,
        submit: impl Fn(&BeaconClient, Duration) -> Result<(), HttpError> + Send + Sync + 'static,
    ) -> Result<(), HttpError> {
        self.call(Mode::Submit, timeout, submit)
    }

    /// Submits something to all nodes at once. Blocks until one has taken it; the others are not
    /// waited for.
    ///
    /// # Errors
    /// As [`BeaconNodes::submit`].
    pub fn broadcast(
        &self,
        timeout: Duration,
        submit: impl Fn(&BeaconClient, Duration) -> Result<(), HttpError> + Send + Sync + 'static,
    ) -> Result<(), HttpError> {
        self.call(Mode::Broadcast, timeout, submit)
    }

    /// Asks all nodes at once for their health, which their rank depends on. Blocks until all have
    /// answered, at most for `timeout`. A single node is not asked: its rank is the first.
    pub fn check(&self, timeout: Duration) {
        if self.nodes.len() == 1 {
            return;
        }
        let end = self.now() + timeout;
        let (sender, answers) = mpsc::channel();
        for number in 0..self.nodes.len() {
            let (sender, rest) = (sender.clone(), self.rest_of(end));
            self.start(number, move |client| {
                // Whoever has asked may have gone.
                let _ = sender.send((number, client.syncing(rest())));
            });
        }
        drop(sender);
        let mut health = vec![Health::Silent; self.nodes.len()];
        while let Ok((number, answer)) = answers.recv_timeout(self.until(end)) {
            health[number] = Health::of(&answer);
        }
        self.fleet().set_health(&health);
    }

    fn call<T: Send + 'static>(
        &self,
        mode: Mode,
        timeout: Duration,
        ask: impl Fn(&BeaconClient, Duration) -> Result<T, HttpError> + Send + Sync + 'static,
    ) -> Result<T, HttpError> {
        if let [only] = &*self.nodes {
            return ask(&only.client, timeout);
        }
        let end = self.now() + timeout;
        let mut hedge = self.fleet().begin(mode, self.now(), end);
        let mut answers: Vec<Option<Result<T, HttpError>>> = Vec::new();
        answers.resize_with(self.nodes.len(), || None);
        let (sender, answered) = mpsc::channel();
        let (ask, over) = (Arc::new(ask), Arc::new(AtomicBool::new(false)));
        let ended = loop {
            let until = match hedge.step(self.now()) {
                Step::Ask(number) => {
                    let (sender, ask, over) = (sender.clone(), ask.clone(), over.clone());
                    let rest = self.rest_of(end);
                    let begun = self.start(number, move |client| {
                        // ORDERING: pairs with nothing; a request too many is of no harm (I3).
                        if !over.load(Relaxed) && !rest().is_zero() {
                            // Whoever has asked may have gone.
                            let _ = sender.send((number, ask(client, rest())));
                        }
                    });
                    if !begun {
                        let node = self.nodes[number].client.url().to_owned();
                        let busy: Result<T, _> = Err(HttpError::Busy { node });
                        self.fleet().take(&mut hedge, mode, number, &busy, self.now());
                    }
                    continue;
                }
                Step::Wait(until) => until,
                Step::End(number) => break number,
            };
            match answered.recv_timeout(self.until(until)) {
                Ok((number, answer)) => {
                    if let Err(error) = &answer {
                        let node = self.nodes[number].client.url();
                        tracing::debug!(node, %error, "a beacon node does not have it");
                    }
                    self.fleet().take(&mut hedge, mode, number, &answer, self.now());
                    answers[number] = Some(answer);
                }
                // This thread has a sender: only the time ends the wait.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        };
        // ORDERING: pairs with nothing, as the load. What goes to all goes on.
        over.store(mode != Mode::Broadcast, Relaxed);
        self.fleet().end(&hedge, timeout, self.now());
        let told = ended.and_then(|number| answers[number].take());
        told.unwrap_or(Err(HttpError::NoAnswer))
    }

    /// Puts a call into a node's queue. Returns whether there was room for it.
    fn start(&self, number: usize, job: impl FnOnce(&BeaconClient) + Send + 'static) -> bool {
        let jobs = self.nodes[number].jobs.as_ref();
        jobs.is_some_and(|jobs| jobs.try_send(Box::new(job)).is_ok())
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn until(&self, end: Duration) -> Duration {
        end.saturating_sub(self.now())
    }

    /// Returns what tells how long it is until `end`, when it is called.
    fn rest_of(&self, end: Duration) -> impl Fn() -> Duration + Send + use<> {
        let start = self.start;
        move || end.saturating_sub(start.elapsed())
    }
}

/// Starts a node's threads, which end when the queue is gone, each after the call in its hand.
fn start_threads(number: usize, client: &BeaconClient) -> mpmc::Sender<Std, Job> {
    let (sender, jobs) = mpmc::mpmc::<Std, Job>(QUEUE, Backpressure::Block);
    for thread in 0..THREADS {
        let (client, jobs) = (client.clone(), jobs.clone());
        // The handle is dropped: a thread ends by itself.
        drop(Std::spawn(&format!("beacon_node_{number}_{thread}"), move || {
            while let Ok(job) = jobs.recv() {
                // A call that panics has been reported, and is to its caller like one that hangs.
                let _ = catch_unwind(AssertUnwindSafe(|| job(&client)));
            }
        }));
    }
    sender
}
