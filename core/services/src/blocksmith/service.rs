//! Starting and stopping; see [`crate::blocksmith`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use blocksmith_sync::broker::{self, Broker};
use blocksmith_sync::mailbox::MAX_REPLIES;
use blocksmith_sync::oneshot::{self, RecvTimeoutError};
use blocksmith_sync::{Join, Primitives};
use thiserror::Error;

use crate::activity::Activity;
use crate::blocksmith::client::Client;
use crate::blocksmith::config::Config;
use crate::blocksmith::machines::Machines;
use crate::clearance::ClearanceService;
use crate::cold_db::{ColdDbService, Resumed};
use crate::consensus::{Consensus, Slot};
use crate::hot_db::HotDbService;
use crate::observer::{NoticeReceiver, Observer};
use crate::quarantine::QuarantineService;
use crate::quarantine::shell::Slots;
use crate::rewinder::shell::lane_capacity;
use crate::rewinder::{RewinderService, Role};
use crate::store::{Store, StoreError};
use crate::supervision::{Cause, Guard, Injection, Probes, ServiceName, Supervisor};
use crate::trace::Begins;

/// A finalised block to start from.
#[derive(Clone, Debug)]
pub struct Anchor<C: Consensus> {
    /// Its root.
    pub root: C::Root,
    /// Its slot.
    pub slot: Slot,
    /// The state after it.
    pub state: C::State,
}

/// Why the services cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// A size is zero.
    #[error("{field} must be at least 1")]
    Zero {
        /// Name of the field of [`Config`].
        field: &'static str,
    },
    /// A size that must be more than 1 is smaller than it may be.
    #[error("{field} of {size} must be at least {least}")]
    TooSmall {
        /// Name of the field of [`Config`].
        field: &'static str,
        /// Its value.
        size: usize,
        /// The least value that it may have.
        least: usize,
    },
    /// The Quarantine's mailbox cannot keep a slot for every answer.
    #[error("{field} of {size} needs {slots} reply slots; a mailbox has at most {MAX_REPLIES}")]
    TooLarge {
        /// Name of the field of [`Config`].
        field: &'static str,
        /// Its value.
        size: usize,
        /// The reply slots that it needs, with the other sizes as they are.
        slots: usize,
    },
    /// The broker's limits make no sense.
    #[error("broker: {0}")]
    Broker(#[from] broker::LimitsError),
    /// The store cannot be used, or what it holds.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The anchor's state cannot be used.
    #[error("anchor state: {0}")]
    Anchor(String),
}

/// What was queued for a service, when the stop was asked for or at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The service.
    pub service: ServiceName,
    /// Messages in its mailbox; for the Rewinder, tasks in its lanes.
    pub queued: u64,
}

/// How the services ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Threads that were joined.
    pub joined: usize,
    /// Names of the threads that had panicked outside of a turn from which a service recovers.
    pub panicked: Vec<String>,
    /// Names of the threads that had not ended by the deadline. They are left running, and end when
    /// what they wait for lets them.
    pub late: Vec<String>,
    /// What was queued when the stop was asked for, from the top down.
    pub pending: Vec<Pending>,
    /// What was queued at the deadline, if some thread was late.
    pub pending_at_deadline: Vec<Pending>,
    /// Submissions that had no verdict when the Quarantine came to handle the stop; each got one.
    pub submissions: usize,
    /// Panics after which a successor went on.
    pub panics: u64,
    /// Why the services stopped by themselves, if they did.
    pub cause: Option<Cause>,
}

struct Thread<P: Primitives> {
    name: String,
    handle: P::JoinHandle<()>,
    /// The sender is dropped when the thread is about to end.
    ended: oneshot::Receiver<P, ()>,
}

/// The running services; see the module's text.
pub struct Blocksmith<P: Primitives, C: Consensus> {
    client: Client<P, C>,
    supervisor: P::Arc<Supervisor<P, C>>,
    /// The threads, in the order in which they end.
    threads: Vec<Thread<P>>,
    resumed: Option<Resumed<C::Root>>,
}

impl<P: Primitives, C: Consensus> Blocksmith<P, C> {
    /// Starts the services and returns them with the receiver of their notices.
    ///
    /// # Errors
    /// Returns an error if a size is zero or too large, if the broker's limits make no sense, or if
    /// the anchor's balances cannot be computed. Nothing has been started then.
    ///
    /// # Panics
    /// If the operating system refuses a thread.
    pub fn start(
        config: Config,
        consensus: Arc<C>,
        anchor: Anchor<C>,
    ) -> Result<(Self, NoticeReceiver<P, C>), StartError> {
        Self::start_injected(config, consensus, anchor, Vec::new(), None)
    }

    /// As [`Blocksmith::start`], with a store. If the store is empty, `anchor` is the first thing
    /// that is written. Otherwise the services go on from what it holds, and `anchor` is of no
    /// use. [`Blocksmith::resumed`] tells which it was. Blocks while the store is read, and while
    /// every block since finality passes its transition once more.
    ///
    /// # Errors
    /// As [`Blocksmith::start`]; and [`StartError::Store`] if the store cannot be read or written,
    /// or if the protocol refuses what it holds.
    ///
    /// # Panics
    /// As [`Blocksmith::start`].
    pub fn start_durable(
        config: Config,
        consensus: Arc<C>,
        anchor: Anchor<C>,
        store: Box<dyn Store<C>>,
    ) -> Result<(Self, NoticeReceiver<P, C>), StartError> {
        Self::start_injected(config, consensus, anchor, Vec::new(), Some(store))
    }

    /// As [`Blocksmith::start`], with faults: for tests and demonstrations.
    ///
    /// # Errors
    /// As [`Blocksmith::start`].
    ///
    /// # Panics
    /// As [`Blocksmith::start`].
    #[cfg(any(test, feature = "testing"))]
    pub fn start_with_faults(
        config: Config,
        consensus: Arc<C>,
        anchor: Anchor<C>,
        faults: Vec<Injection<P>>,
    ) -> Result<(Self, NoticeReceiver<P, C>), StartError> {
        Self::start_injected(config, consensus, anchor, faults, None)
    }

    /// As [`Blocksmith::start_durable`], with faults: for tests and demonstrations.
    ///
    /// # Errors
    /// As [`Blocksmith::start_durable`].
    ///
    /// # Panics
    /// As [`Blocksmith::start`].
    #[cfg(any(test, feature = "testing"))]
    pub fn start_durable_with_faults(
        config: Config,
        consensus: Arc<C>,
        anchor: Anchor<C>,
        faults: Vec<Injection<P>>,
        store: Box<dyn Store<C>>,
    ) -> Result<(Self, NoticeReceiver<P, C>), StartError> {
        Self::start_injected(config, consensus, anchor, faults, Some(store))
    }

    fn start_injected(
        config: Config,
        consensus: Arc<C>,
        anchor: Anchor<C>,
        faults: Vec<Injection<P>>,
        mut store: Option<Box<dyn Store<C>>>,
    ) -> Result<(Self, NoticeReceiver<P, C>), StartError> {
        config.check()?;
        let Machines {
            hot_db: hot_db_machine,
            clearance: clearance_machine,
            quarantine: quarantine_machine,
            cold_db: cold_db_machine,
            resumed,
        } = Machines::new(&config, &*consensus, anchor, store.as_deref_mut())?;
        let activity = Activity::<P>::new();
        let (observer, notices) = Observer::new(config.notices);
        let broker = Broker::new(config.broker)?;
        let supervisor = Supervisor::new(config.restarts, config.worker_restarts, observer.clone());
        let probes = Probes::new(faults);
        let records = cold_db_machine.is_some();
        let begins = Begins::new(&config.quarantine, &clearance_machine, &hot_db_machine, records);
        let guard = |service, replaceable| {
            let (probe, tracer) = (probes.of(service), begins.tracer(service));
            Guard::new(service, replaceable, &supervisor, probe, tracer)
        };

        let capacity = config.mailbox_capacity;
        let (hot_db_service, hot_db) = HotDbService::new(
            consensus.clone(),
            hot_db_machine,
            capacity,
            &activity,
            guard(ServiceName::HotDb, false),
        );

        let lane = lane_capacity(config.quarantine.window, config.queries);
        let (rewinder_service, rewinder) = RewinderService::new(
            consensus.clone(),
            hot_db.clone(),
            config.workers,
            (lane, config.attestation_batch),
            &activity,
            guard(ServiceName::Rewinder, true),
        );

        let (cold_db_service, cold_db) = store
            .zip(cold_db_machine)
            .map(|(store, machine)| {
                ColdDbService::new(
                    consensus.clone(),
                    machine,
                    store,
                    capacity,
                    rewinder.clone(),
                    observer.clone(),
                    &activity,
                    guard(ServiceName::ColdDb, false),
                )
            })
            .unzip();

        let (clearance_service, clearance) = ClearanceService::new(
            consensus.clone(),
            clearance_machine,
            capacity,
            rewinder.clone(),
            hot_db.clone(),
            cold_db.clone(),
            observer.clone(),
            broker.clone(),
            &activity,
            guard(ServiceName::Clearance, false),
        );

        let slots = Slots::for_clearance(capacity, config.quarantine.window, capacity);
        let (quarantine_service, quarantine) = QuarantineService::new(
            consensus.clone(),
            quarantine_machine,
            slots,
            config.mailbox_per_peer,
            rewinder.clone(),
            clearance.clone(),
            observer.clone(),
            &activity,
            guard(ServiceName::Quarantine, true),
        );

        let client = Client {
            consensus,
            quarantine,
            clearance,
            rewinder,
            hot_db,
            cold_db,
            observer,
            broker,
            activity,
        };
        client.register();
        // Every mailbox exists (I1). Now the threads start, from the bottom up.
        let mut threads = Vec::new();
        if let Some(service) = cold_db_service {
            begins.tell(ServiceName::ColdDb);
            threads.push(spawn("cold_db", |ended| move || service.run(ended)));
        }
        begins.tell(ServiceName::HotDb);
        threads.push(spawn("hot_db", |ended| move || hot_db_service.run(ended)));
        let worker = |role| {
            let service = &rewinder_service;
            move |ended| service.worker(role, ended)
        };
        // The first worker that is started is the last to end.
        for number in (0..config.workers).rev() {
            threads.push(spawn(&format!("rewinder_{number}"), worker(Role::General)));
        }
        if config.reserved_worker {
            threads.push(spawn("rewinder_duties", worker(Role::Reserved)));
        }
        begins.tell(ServiceName::Clearance);
        threads.push(spawn("clearance", |ended| move || clearance_service.run(ended)));
        begins.tell(ServiceName::Quarantine);
        threads.push(spawn("quarantine", |ended| move || quarantine_service.run(ended)));
        if let Some(every) = config.observe_every {
            let sampler = client.sampler(every);
            let until_told = |ended| {
                move || {
                    sampler();
                    drop(ended);
                }
            };
            threads.push(spawn("broker", until_told));
        }
        threads.reverse();
        Ok((Self { client, supervisor, threads, resumed }, notices))
    }

    /// Returns from where the services went on when they were started; `None` if they began with
    /// the anchor.
    pub fn resumed(&self) -> Option<Resumed<C::Root>> {
        self.resumed
    }

    /// Returns a handle for submitting and asking.
    pub fn client(&self) -> &Client<P, C> {
        &self.client
    }

    /// Stops the services in reverse order and joins every thread, however long that takes. Items
    /// in flight are judged first. Items that wait are answered `Dropped(Shutdown)`. Requests for a
    /// state or a block that wait, or come from now on, are answered `Refused` at once. What a
    /// worker has in hand is given up after 32 more slots, or after one more step of 16 votes.
    pub fn stop(mut self) -> StopReport {
        self.shut_down(None)
    }

    /// Stops like [`Blocksmith::stop`], and returns after about `deadline` at the latest. Threads
    /// that have not ended by then are named in the report and left running. What they hold is
    /// answered when they end.
    pub fn stop_within(mut self, deadline: Duration) -> StopReport {
        self.shut_down(Some(deadline))
    }

    fn shut_down(&mut self, deadline: Option<Duration>) -> StopReport {
        if self.threads.is_empty() {
            return StopReport::default();
        }
        let until = deadline.map(|time| P::now().saturating_add(time));
        let mut report = StopReport { pending: self.pending(), ..StopReport::default() };
        self.client.broker.stop();
        self.supervisor.stop();
        for mut thread in std::mem::take(&mut self.threads) {
            let ended = until.is_none_or(|until| {
                thread.ended.recv_deadline(until) != Err(RecvTimeoutError::Timeout)
            });
            if ended {
                report.join(thread);
            } else {
                tracing::error!(thread = thread.name, "has not ended by the deadline");
                report.late.push(thread.name);
            }
        }
        if !report.late.is_empty() {
            report.pending_at_deadline = self.pending();
        }
        (report.panics, report.submissions, report.cause) = self.supervisor.summary();
        report
    }

    /// Returns what is queued for each service, without blocking.
    fn pending(&self) -> Vec<Pending> {
        let counters = self.client.counters();
        let queued = |service| match service {
            ServiceName::Quarantine => counters.quarantine.depth,
            ServiceName::Clearance => counters.clearance.depth,
            ServiceName::Rewinder => counters.rewinder_waiting as u64,
            ServiceName::HotDb => counters.hot_db.depth,
            ServiceName::ColdDb => {
                let lanes = [counters.cold_db, counters.cold_db_questions];
                lanes.into_iter().flatten().map(|lane| lane.depth).sum()
            }
        };
        ServiceName::ALL.map(|service| Pending { service, queued: queued(service) }).to_vec()
    }
}

impl<P: Primitives, C: Consensus> Drop for Blocksmith<P, C> {
    fn drop(&mut self) {
        // While a checker reports a violation, its threads cannot be joined.
        if !P::reporting() {
            self.shut_down(None);
        }
    }
}

impl StopReport {
    fn join<P: Primitives>(&mut self, thread: Thread<P>) {
        self.joined += 1;
        if thread.handle.join().is_err() {
            tracing::error!(thread = thread.name, "had panicked");
            self.panicked.push(thread.name);
        }
    }
}

impl fmt::Display for StopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, pending: &[Pending]| {
            let mut words = pending.iter().map(|Pending { service, queued }| (service, queued));
            words.try_for_each(|(service, queued)| write!(f, ", {service} {queued}"))
        };
        if let Some(cause) = &self.cause {
            writeln!(f, "stopped by themselves: {cause}")?;
        }
        write!(f, "pending at the stop: {} submissions", self.submissions)?;
        list(f, &self.pending)?;
        write!(f, "\n{} threads joined, {} panics made good", self.joined, self.panics)?;
        if !self.panicked.is_empty() {
            write!(f, "\npanicked: {}", self.panicked.join(", "))?;
        }
        if !self.late.is_empty() {
            write!(f, "\nnot ended by the deadline: {}; still pending", self.late.join(", "))?;
            list(f, &self.pending_at_deadline)?;
        }
        Ok(())
    }
}

/// Starts a thread. `body` gets the sender that it drops when it ends.
fn spawn<P: Primitives, B: FnOnce() + Send + 'static>(
    name: &str,
    body: impl FnOnce(oneshot::Sender<P, ()>) -> B,
) -> Thread<P> {
    let (end, ended) = oneshot::channel();
    Thread { name: name.to_owned(), handle: P::spawn(name, body(end)), ended }
}
