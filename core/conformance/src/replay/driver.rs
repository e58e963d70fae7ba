//! The replay itself; see [`super`].

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::iterator::{Handle, Signals};
use thiserror::Error;

use blocksmith::consensus::Consensus;
use blocksmith::supervision::{Injection, Intensity};
use blocksmith::{Anchor, Blocksmith, Config, StartError, StateError, StopReport};
use blocksmith_consensus::Root;
use blocksmith_node::recording::Recording;
use blocksmith_sync::Std;

use super::inject::Inject;
use super::report::Outcome;
use super::run::{ATTEMPTS, End, Run};
use super::stage::Stage;

/// How fast the events follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Rest after every event.
    Lockstep,
    /// Rest before every tick.
    Flood,
    /// No rest before the end.
    Race,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lockstep => "lockstep",
            Self::Flood => "flood",
            Self::Race => "race",
        })
    }
}

/// How to replay.
#[derive(Clone, Debug)]
pub struct Options {
    /// The pace.
    pub pace: Pace,
    /// General Rewinder workers, at least 1.
    pub workers: usize,
    /// Faults to inject.
    pub faults: Vec<Inject>,
    /// How long the services may take to stop when the replay is interrupted.
    pub deadline: Duration,
}

/// Panics that the services tolerate while faults are injected, since these are the point.
const BORNE: usize = 1 << 20;

/// Why a replay could not be carried out.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The services did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A service ended before it was told to.
    #[error("{0} ended before it was told to")]
    Gone(&'static str),
    /// The state of the final head could not be obtained.
    #[error("state of the final head: {0}")]
    State(#[from] StateError),
    /// A thread panicked.
    #[error("panicked: {}", .0.join(", "))]
    Panicked(Vec<String>),
    /// Notices were evicted, so the counts would be wrong.
    #[error("{0} notices were evicted unread")]
    NoticesLost(u64),
    /// A signal came before the end.
    #[error("interrupted by signal {signal} after {events} of {of} events")]
    Interrupted {
        /// Its number.
        signal: i32,
        /// Events that had been handed in.
        events: usize,
        /// Events in total.
        of: usize,
        /// How the services stopped.
        report: Box<StopReport>,
    },
    /// An item, or a question, failed on our side again and again.
    #[error("{0} failed {ATTEMPTS} times")]
    FailsForEver(String),
    /// The thread that drives the replay panicked.
    #[error("the replay's own thread panicked")]
    Driver,
    /// An item had no verdict after everything had stopped.
    #[error("event {0} has no verdict though every service has ended")]
    NoVerdict(usize),
}

/// How often the broker samples: often enough for the bars to move.
const OBSERVE_EVERY: Duration = Duration::from_millis(100);

/// What ends the wait of the thread that started a replay.
enum News<C: Consensus> {
    Done(Box<Result<(Run<C>, End), ReplayError>>),
    Panicked,
    Signal(i32),
}

/// Where one replay, or several in a row, hear of their end and of signals.
pub(super) struct Inbox<C: Consensus> {
    sender: mpsc::Sender<News<C>>,
    news: mpsc::Receiver<News<C>>,
    listener: Option<(Handle, JoinHandle<()>)>,
}

impl<C: Consensus> Inbox<C> {
    /// Listens to signals, if any, until it is dropped.
    pub(super) fn new(signals: Option<Signals>) -> Self {
        let (sender, news) = mpsc::channel();
        let listener = signals.map(|mut signals| {
            let (handle, sender) = (signals.handle(), sender.clone());
            let listen = move || {
                for signal in signals.forever() {
                    if sender.send(News::Signal(signal)).is_err() {
                        break;
                    }
                }
            };
            (handle, std::thread::spawn(listen))
        });
        Self { sender, news, listener }
    }
}

impl<C: Consensus> Drop for Inbox<C> {
    fn drop(&mut self) {
        if let Some((handle, listener)) = self.listener.take() {
            handle.close();
            // The listener does nothing that panics.
            let _ = listener.join();
        }
    }
}

/// Reports if the thread that drives the replay panics.
struct Driver<C: Consensus>(mpsc::Sender<News<C>>);

impl<C: Consensus> Drop for Driver<C> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // If the replay was interrupted, nobody listens.
            let _ = self.0.send(News::Panicked);
        }
    }
}

/// Replays `recording` on real threads. `progress` is called with each event's number, on the
/// thread that hands events in. Any of `signals` stops the services within the deadline of the
/// options. While the services run, their broker is on the `stage`.
///
/// # Errors
/// If the services cannot be started, lose an item, or panic, or if a signal comes. A difference
/// from the manifest is not an error; the outcome lists it.
///
/// # Panics
/// If the operating system refuses to start a thread.
pub fn replay<C: Consensus<Root = Root>>(
    recording: &Arc<Recording>,
    consensus: Arc<C>,
    anchor: Anchor<C>,
    options: &Options,
    signals: Option<Signals>,
    stage: &Stage,
    progress: impl FnMut(usize) + Send + 'static,
) -> Result<Outcome, ReplayError> {
    let inbox = Inbox::new(signals);
    round(recording, consensus, anchor, options, &inbox, stage, progress)
}

/// Like [`replay`], but hears of signals through an inbox that several rounds share.
pub(super) fn round<C: Consensus<Root = Root>>(
    recording: &Arc<Recording>,
    consensus: Arc<C>,
    anchor: Anchor<C>,
    options: &Options,
    inbox: &Inbox<C>,
    stage: &Stage,
    mut progress: impl FnMut(usize) + Send + 'static,
) -> Result<Outcome, ReplayError> {
    let mut config = Config {
        workers: options.workers,
        // There is room for every notice: there are at most a handful per event, so none is
        // evicted.
        notices: recording.events.len().saturating_mul(16).max(1024),
        observe_every: Some(OBSERVE_EVERY),
        ..Config::default()
    };
    if !options.faults.is_empty() {
        config.restarts = Intensity { max_restarts: BORNE, ..config.restarts };
    }
    let faults: Vec<Injection<Std>> = options.faults.iter().map(Inject::injection).collect();
    let anchor_slot = anchor.slot;
    let (blocksmith, notices) =
        Blocksmith::<Std, C>::start_with_faults(config, consensus, anchor, faults)?;
    let client = blocksmith.client().clone();
    let _on_stage = stage.enter(client.broker().clone());
    let mut run = Run::new(client, notices, recording.clone(), options, anchor_slot);
    let handed_in = Arc::new(AtomicUsize::new(0));
    let (count, sender) = (handed_in.clone(), inbox.sender.clone());
    let driver = std::thread::spawn(move || {
        let driver = Driver(sender);
        let result = run.all(|index| {
            // Relaxed: it is a figure for a report.
            count.store(index + 1, Ordering::Relaxed);
            progress(index);
        });
        let result = result.map(|end| (run, end));
        // If the replay was interrupted, nobody listens.
        let _ = driver.0.send(News::Done(Box::new(result)));
    });
    let first = inbox.news.recv();
    if let Ok(News::Signal(signal)) = first {
        let report = Box::new(blocksmith.stop_within(options.deadline));
        let events = handed_in.load(Ordering::Relaxed);
        let of = recording.events.len();
        // The driver may be waiting for a thread that is late; it ends with the process.
        return Err(ReplayError::Interrupted { signal, events, of, report });
    }
    let whole = driver.join().is_ok();
    let (run, end) = match first {
        Ok(News::Done(result)) if whole => (*result)?,
        _ => return Err(ReplayError::Driver),
    };
    let stopped = blocksmith.stop();
    if !stopped.panicked.is_empty() {
        return Err(ReplayError::Panicked(stopped.panicked));
    }
    run.outcome(options, end, &stopped)
}
