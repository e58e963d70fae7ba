//! How long an item waits for its verdict, by kind, as the node sees it.
//!
//! The services own no clock. The node has one, and it has both ends: it submits, and the verdict
//! wakes it. A [`Timer`] is started before an item is submitted, so that the time includes the wait
//! for room in the Quarantine's mailbox, and it is observed when the verdict is there, whatever the
//! verdict says: an item that waits for its parent or for its slot has a long time, and so has one
//! that is given up at the stop.
//!
//! | the node | calls | the time ends |
//! |---|---|---|
//! | awaits the verdict in a task | [`Timer::time`] | when the task sees the verdict |
//! | looks for verdicts now and then | [`Timer::watch`] | when the verdict is sent, however late the node looks |
//!
//! A timer that is dropped before is not observed: of an item that did not decode, say.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use super::histogram::Histogram;

/// The name of the family of histograms.
const NAME: &str = "blocksmith_verdict_duration_seconds";

/// What was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A block.
    Block,
    /// An attestation.
    Attestation,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Block, Self::Attestation];

    /// Returns the word for it, which is the value of the label `kind`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Attestation => "attestation",
        }
    }
}

/// The histograms, one a kind; a clone is another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct VerdictTimes(Arc<[OfKind; Kind::ALL.len()]>);

#[derive(Debug, Default)]
struct OfKind {
    times: Histogram,
    submitted: AtomicU64,
}

impl VerdictTimes {
    /// Starts the time of an item that is about to be submitted.
    #[must_use = "the time is observed through it"]
    pub fn start(&self, kind: Kind) -> Timer {
        // ORDERING: pairs with nothing; nothing but the number is handed over.
        self.of(kind).submitted.fetch_add(1, Ordering::Relaxed);
        Timer { times: self.clone(), kind, start: Instant::now() }
    }

    /// Returns how many verdicts of a kind were timed so far.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.of(kind).times.count()
    }

    fn of(&self, kind: Kind) -> &OfKind {
        &self.0[kind as usize]
    }

    /// Appends the families in the text exposition format.
    pub(super) fn write(&self, text: &mut String) {
        let name = "blocksmith_submitted_total";
        let help = "Items whose time to a verdict has begun.";
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for kind in Kind::ALL {
            // ORDERING: as in `start`.
            let submitted = self.of(kind).submitted.load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}{{kind=\"{}\"}} {submitted}", kind.word());
        }
        let help = "Time from an item's submission to its verdict.";
        let _ = writeln!(text, "# HELP {NAME} {help}\n# TYPE {NAME} histogram");
        for kind in Kind::ALL {
            self.of(kind).times.write(NAME, &format!("kind=\"{}\"", kind.word()), text);
        }
    }
}

/// The time of one item, which goes on until its verdict is there.
#[derive(Debug)]
#[must_use = "the time is observed through it"]
pub struct Timer {
    times: VerdictTimes,
    kind: Kind,
    start: Instant,
}

impl Timer {
    fn observe(&self) {
        self.times.of(self.kind).times.observe(self.start.elapsed());
    }

    /// Awaits the verdict, and observes the time once it is there. A future that is dropped before
    /// is not observed.
    pub async fn time<F: Future>(self, submission: F) -> F::Output {
        let verdict = submission.await;
        self.observe();
        verdict
    }

    /// Has the time observed at the moment when the verdict is sent, in the thread that sends it;
    /// returns the verdict if it is there already. Afterwards the submission is asked as before, as
    /// often as one likes, but is not awaited: that would put another waker where this one is. Does
    /// not block. A submission that is dropped before its verdict is not observed.
    pub fn watch<F: Future + Unpin>(self, submission: &mut F) -> Option<F::Output> {
        let arrival = Arc::new(Arrival { timer: self, is_told: AtomicBool::new(false) });
        let waker = Waker::from(arrival.clone());
        match Pin::new(submission).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(verdict) => {
                arrival.tell();
                Some(verdict)
            }
            Poll::Pending => None,
        }
    }
}

/// What the verdict wakes.
struct Arrival {
    timer: Timer,
    is_told: AtomicBool,
}

impl Arrival {
    /// Observes the time, once: a verdict that comes while it is being looked for is seen, and may
    /// wake as well.
    fn tell(&self) {
        // ORDERING: one of the two swaps is first in the order of this one flag; nothing else is
        // read by its help.
        if !self.is_told.swap(true, Ordering::Relaxed) {
            self.timer.observe();
        }
    }
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::future;
    use std::time::Duration;

    use blocksmith_sync::oneshot;

    use super::*;

    fn counts(times: &VerdictTimes) -> [u64; 2] {
        Kind::ALL.map(|kind| times.count(kind))
    }

    #[test]
    fn a_verdict_is_timed_when_it_is_sent_and_not_when_somebody_looks() {
        // Watches a one-shot, sends into it, and only then looks.
        let times = VerdictTimes::default();
        let (sender, mut receiver) = oneshot::channel::<blocksmith_sync::Std, u32>();
        assert_eq!(times.start(Kind::Block).watch(&mut receiver), None);
        assert_eq!(counts(&times), [0, 0]);
        assert!(sender.send(7).is_ok());
        assert_eq!(counts(&times), [1, 0]);
        assert_eq!(receiver.try_recv(), Ok(7));
        assert_eq!(counts(&times), [1, 0]);
    }

    #[test]
    fn a_verdict_that_is_there_already_is_given_back_and_timed_once() {
        // Sends first.
        let times = VerdictTimes::default();
        let (sender, mut receiver) = oneshot::channel::<blocksmith_sync::Std, u32>();
        assert!(sender.send(7).is_ok());
        assert_eq!(times.start(Kind::Attestation).watch(&mut receiver), Some(Ok(7)));
        assert_eq!(counts(&times), [0, 1]);
    }

    #[test]
    fn a_future_that_is_ready_and_wakes_as_well_is_timed_once() {
        // It wakes, then says that it is ready; and wakes once more when all is over.
        let times = VerdictTimes::default();
        let mut kept = None;
        let mut both = future::poll_fn(|context: &mut Context<'_>| {
            context.waker().wake_by_ref();
            kept = Some(context.waker().clone());
            Poll::Ready(())
        });
        assert_eq!(times.start(Kind::Block).watch(&mut both), Some(()));
        if let Some(waker) = kept {
            waker.wake();
        }
        assert_eq!(counts(&times), [1, 0]);
    }

    #[test]
    fn what_is_dropped_before_its_verdict_is_not_timed() {
        // A timer alone; a submission that is watched; a task's future.
        let times = VerdictTimes::default();
        drop(times.start(Kind::Block));
        let (sender, mut receiver) = oneshot::channel::<blocksmith_sync::Std, u32>();
        assert_eq!(times.start(Kind::Block).watch(&mut receiver), None);
        drop(receiver);
        assert!(sender.send(7).is_err());
        drop(times.start(Kind::Block).time(future::pending::<()>()));
        assert_eq!(counts(&times), [0, 0]);
    }

    #[test]
    fn a_task_that_awaits_its_verdict_times_it() {
        // Polls it by hand: pending first, then ready.
        let times = VerdictTimes::default();
        let (sender, receiver) = oneshot::channel::<blocksmith_sync::Std, u32>();
        let mut task = Box::pin(times.start(Kind::Block).time(receiver));
        let mut context = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut context).is_pending());
        assert!(sender.send(7).is_ok());
        assert_eq!(counts(&times), [0, 0]);
        assert_eq!(task.as_mut().poll(&mut context), Poll::Ready(Ok(7)));
        assert_eq!(counts(&times), [1, 0]);
    }

    #[test]
    fn the_time_is_that_between_the_start_and_the_verdict() {
        // A verdict that comes 3 ms after the start, or later, is not among those of 2.5 ms.
        let times = VerdictTimes::default();
        let (sender, mut receiver) = oneshot::channel::<blocksmith_sync::Std, u32>();
        let timer = times.start(Kind::Block);
        let earlier = timer.start.checked_sub(Duration::from_millis(3)).expect("the past");
        assert_eq!(Timer { start: earlier, ..timer }.watch(&mut receiver), None);
        assert!(sender.send(7).is_ok());
        let mut text = String::new();
        times.write(&mut text);
        let bucket = |le: &str| format!("\n{NAME}_bucket{{kind=\"block\",le=\"{le}\"}} ");
        assert!(text.contains(&format!("{}0\n", bucket("0.0025"))), "{text}");
        assert!(text.contains(&format!("{}1\n", bucket("+Inf"))), "{text}");
        assert!(text.contains(&format!("\n{NAME}_count{{kind=\"attestation\"}} 0\n")), "{text}");
        assert!(text.contains("\nblocksmith_submitted_total{kind=\"block\"} 1\n"), "{text}");
    }
}
