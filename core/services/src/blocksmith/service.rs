//! Starting and stopping; see [`crate::blocksmith`].

use std::sync::Arc;

use blocksmith_sync::mailbox;
use blocksmith_sync::{Join, Primitives};
use thiserror::Error;

use crate::activity::Activity;
use crate::blocksmith::client::Client;
use crate::clearance::{Clearance, ClearanceService};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::fork_choice;
use crate::hot_db::{self, HotDb, HotDbService};
use crate::notice::Notice;
use crate::observer::Observer;
use crate::quarantine::{self, Quarantine, QuarantineService, Slots};
use crate::rewinder::{RewinderService, Role};

/// The end on which notices are read.
pub type NoticeReceiver<P, C> = mailbox::Receiver<P, Notice<<C as Consensus>::Root>>;

/// Sizes of everything that is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// General Rewinder workers, at least 1.
    pub workers: usize,
    /// Whether one more worker serves duties alone. Without it duties still come first, but may find
    /// every worker busy (HAZARDS R2).
    pub reserved_worker: bool,
    /// Messages that each service's mailbox holds, at least 1, besides reserved slots for replies.
    pub mailbox_capacity: usize,
    /// Tasks that each lane of the Rewinder holds besides those of the Quarantine, at least 1.
    pub queries: usize,
    /// Notices kept unread, at least 1.
    pub notices: usize,
    /// Bounds of the Quarantine.
    pub quarantine: quarantine::Limits,
    /// Bounds of the HotDB.
    pub hot_db: hot_db::Limits,
    /// `PROPOSER_SCORE_BOOST`, in percent.
    pub proposer_score_boost_percent: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            reserved_worker: true,
            mailbox_capacity: 1024,
            queries: 64,
            notices: 1 << 14,
            quarantine: quarantine::Limits::default(),
            hot_db: hot_db::Limits::default(),
            proposer_score_boost_percent: 40,
        }
    }
}

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
    /// The anchor's state is of no use.
    #[error("anchor state: {0}")]
    Anchor(String),
}

/// How the services ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Threads that were joined.
    pub joined: usize,
    /// Names of those that had panicked.
    pub panicked: Vec<String>,
}

struct Thread<P: Primitives> {
    name: String,
    handle: P::JoinHandle<()>,
}

struct Threads<P: Primitives> {
    quarantine: Thread<P>,
    clearance: Thread<P>,
    workers: Vec<Thread<P>>,
    hot_db: Thread<P>,
}

/// The running services; see the module's text.
pub struct Blocksmith<P: Primitives, C: Consensus> {
    client: Client<P, C>,
    threads: Option<Threads<P>>,
}

impl<P: Primitives, C: Consensus> Blocksmith<P, C> {
    /// Starts the services and returns them with the end on which notices are read.
    ///
    /// # Errors
    /// If a size is zero, or the anchor's balances cannot be computed. Nothing has been started then.
    ///
    /// # Panics
    /// If the operating system refuses a thread.
    pub fn start(
        config: Config,
        consensus: Arc<C>,
        anchor: Anchor<C>,
    ) -> Result<(Self, NoticeReceiver<P, C>), StartError> {
        config.check()?;
        let balances = consensus
            .balances(&anchor.state)
            .map_err(|error| StartError::Anchor(error.to_string()))?;
        let activity = Activity::<P>::new();
        let (observer, notices) = Observer::new(config.notices);

        let machine =
            HotDb::new(&*consensus, config.hot_db, anchor.root, anchor.slot, anchor.state);
        let capacity = config.mailbox_capacity;
        let (hot_db_service, hot_db) =
            HotDbService::new(consensus.clone(), machine, capacity, &activity);

        let lane = config.quarantine.window + config.queries;
        let (rewinder_service, rewinder) = RewinderService::new(
            consensus.clone(),
            hot_db.clone(),
            config.workers,
            lane,
            &activity,
        );

        let fork_choice = fork_choice::Config {
            proposer_score_boost_percent: config.proposer_score_boost_percent,
            ..fork_choice::Config::new(consensus.slots_per_epoch())
        };
        let machine = Clearance::new(fork_choice, anchor.root, anchor.slot, balances);
        let (clearance_service, clearance) = ClearanceService::new(
            consensus.clone(),
            machine,
            capacity,
            rewinder.clone(),
            hot_db.clone(),
            observer.clone(),
            &activity,
        );

        let finalized = Checkpoint { epoch: consensus.epoch_at(anchor.slot), root: anchor.root };
        let machine = Quarantine::new(config.quarantine, finalized, anchor.slot);
        let slots = Slots::for_clearance(capacity, config.quarantine.window, capacity);
        let (quarantine_service, quarantine) = QuarantineService::new(
            consensus.clone(),
            machine,
            slots,
            rewinder.clone(),
            clearance.clone(),
            observer.clone(),
            &activity,
        );

        // Every mailbox exists (I1); now the threads, from the bottom up.
        let hot_db_thread = spawn("hot_db", move || hot_db_service.run());
        let reserved = config
            .reserved_worker
            .then(|| spawn("rewinder_duties", rewinder_service.worker(Role::Reserved)));
        let general = (0..config.workers).map(|number| {
            spawn(&format!("rewinder_{number}"), rewinder_service.worker(Role::General))
        });
        let workers = reserved.into_iter().chain(general).collect();
        let clearance_thread = spawn("clearance", move || clearance_service.run());
        let quarantine_thread = spawn("quarantine", move || quarantine_service.run());
        let threads = Threads {
            quarantine: quarantine_thread,
            clearance: clearance_thread,
            workers,
            hot_db: hot_db_thread,
        };
        let client =
            Client { consensus, quarantine, clearance, rewinder, hot_db, observer, activity };
        Ok((Self { client, threads: Some(threads) }, notices))
    }

    /// Returns a handle for submitting and asking.
    pub fn client(&self) -> &Client<P, C> {
        &self.client
    }

    /// Stops the services in reverse order and joins every thread. What is in flight is judged first;
    /// what waits is answered `Dropped(Shutdown)`.
    pub fn stop(mut self) -> StopReport {
        self.shut_down()
    }

    fn shut_down(&mut self) -> StopReport {
        let mut report = StopReport::default();
        let Some(threads) = self.threads.take() else { return report };
        self.client.quarantine.stop();
        report.join(threads.quarantine);
        self.client.clearance.close();
        report.join(threads.clearance);
        self.client.rewinder.close();
        for worker in threads.workers {
            report.join(worker);
        }
        self.client.hot_db.close();
        report.join(threads.hot_db);
        report
    }
}

impl<P: Primitives, C: Consensus> Drop for Blocksmith<P, C> {
    fn drop(&mut self) {
        // While a checker reports a violation, its threads cannot be joined.
        if !P::reporting() {
            self.shut_down();
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

impl Config {
    fn check(&self) -> Result<(), StartError> {
        let sizes = [
            ("workers", self.workers),
            ("mailbox_capacity", self.mailbox_capacity),
            ("queries", self.queries),
            ("notices", self.notices),
            ("quarantine.window", self.quarantine.window),
            ("quarantine.items", self.quarantine.items),
            ("hot_db.blocks - 1", self.hot_db.blocks.saturating_sub(1)),
            ("hot_db.checkpoint_slots", usize::from(self.hot_db.checkpoint_slots > 0)),
        ];
        match sizes.iter().find(|(_, size)| *size == 0) {
            Some((field, _)) => Err(StartError::Zero { field }),
            None => Ok(()),
        }
    }
}

fn spawn<P: Primitives>(name: &str, body: impl FnOnce() + Send + 'static) -> Thread<P> {
    Thread { name: name.to_owned(), handle: P::spawn(name, body) }
}
