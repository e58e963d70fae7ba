//! The replay itself; see [`super`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::iterator::{Handle, Signals};

use blocksmith::quarantine;
use blocksmith::store::Store;
use blocksmith::supervision::{Injection, Intensity};
use blocksmith::{Anchor, Blocksmith, Config};
use blocksmith_node::recording::Recording;
use blocksmith_sync::Std;

use super::error::ReplayError;
use super::inject::Inject;
use super::options::Options;
use super::report::Outcome;
use super::run::{End, Run};
use super::stage::Stage;
use crate::protocol::Protocol;

/// Panics that are borne while faults are injected: they are the point.
const BORNE: usize = 1 << 20;

/// How often the broker samples: often enough for a bar that moves.
const OBSERVE_EVERY: Duration = Duration::from_millis(100);

/// What ends the wait of the thread that started a replay.
enum News {
    Done(Box<Result<(Run, End), ReplayError>>),
    Panicked,
    Signal(i32),
}

/// Where one replay, or several in a row, hear of their end and of signals.
pub(super) struct Inbox {
    sender: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
    listener: Option<(Handle, JoinHandle<()>)>,
}

impl Inbox {
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

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Some((handle, listener)) = self.listener.take() {
            handle.close();
            // The listener does nothing that panics.
            let _ = listener.join();
        }
    }
}

/// Reports if the thread that drives the replay panics.
struct Driver(mpsc::Sender<News>);

impl Drop for Driver {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // If the replay was interrupted, nobody listens.
            let _ = self.0.send(News::Panicked);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "a replay and what it reports to")]
/// Replays `recording` on real threads. With a `store` that holds something, the services go on
/// from there; see [`super`]. `progress` is called with each event's number, in the
/// thread that hands events in. Each of `signals` stops the services within the deadline of the
/// options. While they run, their broker is on the `stage`, and each verdict is timed there.
///
/// # Errors
/// If the services cannot be started, lose an item, or panic, or if a signal comes. A difference
/// from the manifest is not an error; the outcome lists it.
///
/// # Panics
/// If the operating system refuses to start a thread.
pub fn replay(
    recording: &Arc<Recording>,
    consensus: Arc<Protocol>,
    anchor: Anchor<Protocol>,
    options: &Options,
    store: Option<Box<dyn Store<Protocol>>>,
    signals: Option<Signals>,
    stage: &Stage,
    progress: Box<dyn FnMut(usize) + Send>,
) -> Result<Outcome, ReplayError> {
    let inbox = Inbox::new(signals);
    round(recording, consensus, anchor, options, store, &inbox, stage, progress)
}

#[expect(clippy::too_many_arguments, reason = "a replay and what it reports to")]
/// Like [`replay`], but hears of signals through an inbox that several rounds share.
pub(super) fn round(
    recording: &Arc<Recording>,
    consensus: Arc<Protocol>,
    anchor: Anchor<Protocol>,
    options: &Options,
    store: Option<Box<dyn Store<Protocol>>>,
    inbox: &Inbox,
    stage: &Stage,
    mut progress: Box<dyn FnMut(usize) + Send>,
) -> Result<Outcome, ReplayError> {
    let mut config = Config {
        workers: options.workers,
        // There is room for every notice: there are at most a handful per event, so none is
        // evicted.
        notices: recording.events.len().saturating_mul(16).max(1024),
        observe_every: Some(OBSERVE_EVERY),
        // The recording's items wait for as long as it takes.
        quarantine: quarantine::Limits {
            patience: u64::MAX,
            depth: usize::MAX,
            ..quarantine::Limits::default()
        },
        // They all come from one source, which waits for room.
        mailbox_per_peer: usize::MAX,
        ..Config::default()
    };
    if !options.faults.is_empty() {
        config.restarts = Intensity { max_restarts: BORNE, ..config.restarts };
    }
    let faults: Vec<Injection<Std>> = options.faults.iter().map(Inject::injection).collect();
    let anchor_slot = anchor.slot;
    let (blocksmith, notices) = match store {
        None => Blocksmith::<Std, Protocol>::start_with_faults(config, consensus, anchor, faults)?,
        Some(store) => Blocksmith::<Std, Protocol>::start_durable_with_faults(
            config, consensus, anchor, faults, store,
        )?,
    };
    let resumed = blocksmith.resumed();
    let client = blocksmith.client().clone();
    let _on_stage = stage.enter(client.broker().clone());
    let times = stage.times().clone();
    let recording_of_run = recording.clone();
    let mut run = Run::new(client, notices, times, recording_of_run, options, anchor_slot, resumed);
    let handed_in = Arc::new(AtomicUsize::new(0));
    let (count, sender) = (handed_in.clone(), inbox.sender.clone());
    let driver = std::thread::spawn(move || {
        let driver = Driver(sender);
        let result = run.all(&mut |index| {
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
