//! Threads that carry requests out, behind ports that do not block.
//!
//! **Contract.** A port puts a request into a queue and returns; a thread of its pool takes it from
//! there, and performs it with what is left of its time. A request that finds the queue full, or
//! whose time is over when its turn comes, fails. Node and signer have pools of their own, so a
//! signer that hangs keeps no list and no block from being asked for.
//!
//! **Invariants.**
//! - I1 The heads that a node's answer builds on are told before the answer. If the stream of
//!   events has not told one, the node is asked about it.
//! - I2 At most [`QUEUE`] requests wait for a pool. The roots that were told are remembered up to
//!   [`HEADS`].

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use blocksmith::beacon_validator::service::{Answer, BeaconNode, Clock, Port};
use blocksmith::beacon_validator::{Head, Listed, Reading, Reply, Request};
use blocksmith::consensus::{Epoch, Slot};
use blocksmith_consensus::{Phase0Duties, PublicKeyBytes, Root};
use blocksmith_sync::{Backpressure, Primitives, Std, mpmc};

use super::WallClock;
use super::requests::{Guard, Requests};
use crate::beacon_client::{AttesterDuty, BeaconClient, HeadEvent, Subscription};
use crate::beacon_nodes::BeaconNodes;
use crate::http_client::HttpError;

/// Requests that wait for a pool of threads, at most: the attestations of a slot of 10,000
/// validators, and what else there is.
const QUEUE: usize = 1 << 10;
/// Roots of heads that are remembered as told, at most.
const HEADS: usize = 64;
/// How long a call that no duty waits for may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Hears of heads. It may wait, as [`Heads::tell`] says.
type Listener = Arc<dyn Fn(Head<Root>) + Send + Sync>;

/// Tells heads, each once.
pub(super) struct Heads {
    slots_per_epoch: u64,
    told: Mutex<VecDeque<Root>>,
    listeners: Mutex<Vec<Listener>>,
}

impl Heads {
    pub(super) fn new(slots_per_epoch: u64) -> Self {
        Self { slots_per_epoch, told: Mutex::default(), listeners: Mutex::default() }
    }

    /// Says whom to tell as well.
    pub(super) fn tell_to(&self, listener: impl Fn(Head<Root>) + Send + Sync + 'static) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(Arc::new(listener));
    }

    fn is_told(&self, root: &Root) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(root)
    }

    /// Tells a head. Every head is told, also one that was told before: the chain may have come
    /// back to it. Waits while the mailbox of a listener is full.
    pub(super) fn tell(&self, event: &HeadEvent) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let head = Head {
            root: event.block,
            slot: event.slot,
            current_dependent: event.current_duty_dependent_root,
            previous_dependent: event.previous_duty_dependent_root,
        };
        listeners.iter().for_each(|listener| listener(head));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.contains(&event.block) {
            if told.len() == HEADS {
                told.pop_front();
            }
            told.push_back(event.block);
        }
    }

    /// Tells the head `root`, unless it was told, by what the node says of it (I1). The lists of
    /// its epoch carry the roots that the event would have carried.
    pub(super) fn ensure(&self, nodes: &BeaconNodes, root: &Root, timeout: Duration) {
        if self.is_told(root) {
            return;
        }
        let (head, slots_per_epoch) = (*root, self.slots_per_epoch);
        let known =
            nodes.ask(timeout, move |node, time| ask_head(node, &head, slots_per_epoch, time));
        match known {
            Ok(event) => self.tell(&event),
            Err(error) => tracing::warn!(%error, %root, "nothing is known of a head"),
        }
    }
}

/// Asks one node for what its event of a head would have said. The lists are those of the node's
/// own head. So the block has to be on the chain of that head before and after they are asked for:
/// a node that is on another branch, or changes it, says nothing (hazard D2).
pub(super) fn ask_head(
    node: &BeaconClient,
    root: &Root,
    slots_per_epoch: u64,
    timeout: Duration,
) -> Result<HeadEvent, HttpError> {
    let slot = canonical_slot(node, root, timeout)?;
    let epoch: Epoch = slot / slots_per_epoch;
    // Some nodes refuse a list of nobody; every chain has a validator 0.
    let previous = node.attester_duties(epoch, &[0], timeout)?.dependent_root;
    let current = node.proposer_duties(epoch, timeout)?.dependent_root;
    canonical_slot(node, root, timeout)?;
    Ok(HeadEvent {
        slot,
        block: *root,
        previous_duty_dependent_root: previous,
        current_duty_dependent_root: current,
    })
}

/// Returns the slot of a block that is on the chain of the node's head.
fn canonical_slot(node: &BeaconClient, root: &Root, timeout: Duration) -> Result<Slot, HttpError> {
    match node.block_slot(root, timeout)? {
        (slot, true) => Ok(slot),
        (_, false) => Err(HttpError::Status {
            path: format!("/eth/v1/beacon/headers/{root}"),
            // As if the node did not have it: the next one is asked.
            status: 404,
            message: "the block is on another branch than the node's head".to_owned(),
            failures: Vec::new(),
        }),
    }
}

/// A request, until when it is of use, and whom to answer.
pub(super) struct Errand {
    request: Request<Phase0Duties>,
    by_ms: u64,
    answer: Answer<Std, Phase0Duties>,
}

/// What a pool's thread does next.
pub(super) enum Job {
    /// Performs a request and gives the answer.
    Request(Box<Errand>),
    /// Tells the node which attesters to expect.
    Subscribe(Vec<Listed<PublicKeyBytes>>),
}

/// A pool of threads that performs jobs in the order in which they come.
pub(super) struct Pool<J: Send + 'static>(mpmc::Sender<Std, J>);

impl<J: Send + 'static> Pool<J> {
    /// Starts the threads. They end when the pool is gone and the queue is empty, each after the
    /// job that it has in hand. A job that panics is dropped, and its thread goes on.
    pub(super) fn start(
        name: &str,
        threads: usize,
        perform: impl Fn(J) + Send + Sync + 'static,
    ) -> Self {
        let (sender, jobs) = mpmc::mpmc(QUEUE, Backpressure::Block);
        let perform = Arc::new(perform);
        for number in 0..threads {
            let (jobs, perform) = (jobs.clone(), perform.clone());
            // The handle is dropped: a thread ends by itself.
            drop(Std::spawn(&format!("{name}_{number}"), move || {
                while let Ok(job) = jobs.recv() {
                    // The panic has been reported. What is dropped with the job says that it failed.
                    let _ = catch_unwind(AssertUnwindSafe(|| perform(job)));
                }
            }));
        }
        Self(sender)
    }

    /// Puts a job into the queue, or drops it if the queue is full. Does not block.
    pub(super) fn put(&self, job: J) {
        drop(self.0.try_send(job));
    }
}

impl Port<Std, Phase0Duties> for Pool<Job> {
    fn start(
        &mut self,
        request: Request<Phase0Duties>,
        by_ms: u64,
        answer: Answer<Std, Phase0Duties>,
    ) {
        // A full queue drops the answer, which says that the request failed.
        self.put(Job::Request(Box::new(Errand { request, by_ms, answer })));
    }
}

impl BeaconNode<Std, Phase0Duties> for Pool<Job> {
    fn subscribe(&mut self, attesters: Vec<Listed<PublicKeyBytes>>) {
        self.put(Job::Subscribe(attesters));
    }
}

/// Performs a job of the duties.
pub(super) fn perform<G: Guard>(job: Job, requests: &Requests<G>, heads: &Heads, clock: WallClock) {
    match job {
        Job::Request(errand) => {
            let Errand { request, by_ms, answer } = *errand;
            let Reading::SinceGenesis(now) = clock.read() else { return };
            let rest = by_ms.saturating_sub(now);
            if rest == 0 {
                return;
            }
            let reply = requests.answer(request, Duration::from_millis(rest));
            match &reply {
                Reply::Block(block) => {
                    heads.ensure(requests.nodes(), &block.value().parent_root, PATIENCE);
                }
                Reply::Data(data) => {
                    heads.ensure(requests.nodes(), &data.beacon_block_root, PATIENCE);
                }
                _ => {}
            }
            answer.give(reply);
        }
        Job::Subscribe(attesters) => {
            let subscriptions: Vec<Subscription> =
                attesters.iter().filter_map(subscription).collect();
            let told = requests
                .nodes()
                .submit(PATIENCE, move |node, time| node.subscribe(&subscriptions, time));
            if let Err(error) = told {
                tracing::warn!(%error, "the node was not told which attesters to expect");
            }
        }
    }
}

fn subscription(listed: &Listed<PublicKeyBytes>) -> Option<Subscription> {
    let place = listed.place?;
    let duty = AttesterDuty {
        pubkey: listed.key,
        validator_index: listed.validator,
        slot: listed.slot,
        committee_index: place.committee,
        committee_length: place.committee_length,
        committees_at_slot: place.committees_at_slot,
        validator_committee_index: place.position,
    };
    // Who aggregates is known in the slot; a committee of up to 16 aggregates as a whole.
    Some(Subscription { duty, is_aggregator: true })
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::mpsc;

    use super::*;
    use crate::http_client::tests::serve;

    /// A test that waits longer than this has failed.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_job_that_finds_the_queue_full_is_dropped_at_once() {
        // The only thread waits with a job in hand, and the queue behind it is full. The jobs that
        // were taken are performed all the same.
        let (begin, begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let pool = Pool::start("full", 1, move |job: Arc<()>| {
            begin.send(job).expect("the test waits");
            // Ends when the test lets all jobs go.
            let _ = released.lock().map(|released| released.recv());
        });
        let job = Arc::new(());
        pool.put(job.clone());
        let first = begun.recv_timeout(LONG).expect("it is performed");
        (0..QUEUE).for_each(|_| pool.put(job.clone()));
        let excess = Arc::new(());
        pool.put(excess.clone());
        assert_eq!((Arc::strong_count(&excess), Arc::strong_count(&job)), (1, QUEUE + 2));
        drop((release, first));
        for _ in 0..QUEUE {
            begun.recv_timeout(LONG).expect("it is performed");
        }
    }

    #[test]
    fn a_job_that_panics_costs_no_thread() {
        // One thread; without the panic hook, as it is meant.
        let (tell, told) = mpsc::channel();
        let pool = Pool::start("panics", 1, move |is_good: bool| match is_good {
            true => tell.send(()).expect("the test waits"),
            false => resume_unwind(Box::new("meant")),
        });
        [false, false, true].into_iter().for_each(|is_good| pool.put(is_good));
        told.recv_timeout(LONG).expect("the thread goes on");
    }

    #[test]
    fn a_head_without_an_event_is_asked_for_with_the_roots_that_its_duties_depend_on() {
        // The header, then both lists of its epoch. No list is asked for nobody, which is refused
        // by some nodes.
        let list = |byte| {
            let root = Root::new([byte; 32]);
            (200, format!(r#"{{"dependent_root":"{root}","data":[]}}"#))
        };
        let header = (200, r#"{"data":{"header":{"message":{"slot":"19"}}}}"#.to_owned());
        let (url, server) = serve(vec![header.clone(), list(1), list(2), header]);
        let node = BeaconClient::new(&url).unwrap();
        let root = Root::new([7; 32]);
        let event = ask_head(&node, &root, 8, Duration::from_secs(60)).unwrap();
        let expected = HeadEvent {
            slot: 19,
            block: root,
            previous_duty_dependent_root: Root::new([1; 32]),
            current_duty_dependent_root: Root::new([2; 32]),
        };
        assert_eq!(event, expected);
        let seen = server.join().unwrap();
        let attesters = "POST /eth/v1/validator/duties/attester/2";
        assert_eq!(seen[1], (attesters.to_owned(), r#"["0"]"#.to_owned()));
        assert_eq!(seen[2].0, "GET /eth/v1/validator/duties/proposer/2");
    }

    #[test]
    fn the_lists_of_a_node_on_another_branch_are_not_taken_for_those_of_a_head() {
        // The block is on another branch at once; or it is after the lists were answered.
        let header = |canonical: bool| {
            let text = format!(
                r#"{{"data":{{"canonical":{canonical},"header":{{"message":{{"slot":"19"}}}}}}}}"#
            );
            (200, text)
        };
        let list = (200, format!(r#"{{"dependent_root":"{}","data":[]}}"#, Root::new([1; 32])));
        let answers = vec![header(false), header(true), list.clone(), list, header(false)];
        let (url, server) = serve(answers);
        let node = BeaconClient::new(&url).unwrap();
        for _ in 0..2 {
            let said = ask_head(&node, &Root::new([7; 32]), 8, Duration::from_secs(60));
            assert_eq!(said.unwrap_err().status(), Some(404));
        }
        assert_eq!(server.join().unwrap().len(), 5);
    }
}
