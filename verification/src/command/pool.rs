//! A pool of threads that do jobs. The calling thread is told of each job.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use blocksmith_terminal::{Failure, Interrupt};

/// The time between two looks at the signals, and between two drawings of the progress line.
const TICK: Duration = Duration::from_millis(200);

/// How a run ended.
pub(super) enum End {
    /// Every job is done, passed over, or [lost].
    Done,
    /// A signal ended the run, and asks for this exit code. The jobs that were under way are
    /// abandoned.
    Interrupted(u8),
    /// The deadline has come. The jobs that were under way are abandoned.
    OutOfTime,
}

/// When a run has to end.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    /// The moment at which what is under way is abandoned.
    pub(super) at: Instant,
    /// The expected seconds of each job. A job that would not end in time is not begun.
    pub(super) seconds: Arc<Vec<f64>>,
}

impl Deadline {
    fn leaves_room_for(&self, job: usize) -> bool {
        let left = self.at.saturating_duration_since(Instant::now()).as_secs_f64();
        self.seconds.get(job).is_some_and(|seconds| *seconds <= left)
    }
}

/// What the calling thread is told.
pub(super) enum News<R> {
    /// The job of this number has begun.
    Begun(usize),
    /// The job of this number is done, with this result, and took these seconds.
    Done(usize, R, f64),
    /// A tick has passed without news.
    Tick,
}

/// Does each job on one of `workers` threads, in order. Calls `each` with the news on the calling
/// thread. Blocks until all jobs are done, a signal has come, or the deadline. With a deadline, jobs
/// that it leaves no room for are passed over.
///
/// # Errors
/// If `each` fails, with its error, at once. The jobs that are under way are abandoned.
pub(super) fn run<J, R>(
    jobs: &Arc<Vec<J>>,
    workers: usize,
    deadline: Option<&Deadline>,
    work: impl Fn(&J) -> R + Clone + Send + 'static,
    mut each: impl FnMut(News<R>) -> Result<(), Failure>,
) -> Result<End, Failure>
where
    J: Send + Sync + 'static,
    R: Send + 'static,
{
    let interrupt = Interrupt::listen().map_err(Failure::fault)?;
    let next = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, news) = mpsc::channel();
    for _ in 0..workers.clamp(1, jobs.len().max(1)) {
        let (jobs, next, stop) = (jobs.clone(), next.clone(), stop.clone());
        let (sender, work) = (sender.clone(), work.clone());
        let deadline = deadline.cloned();
        thread::spawn(move || {
            while !stop.load(Relaxed) {
                let number = next.fetch_add(1, Relaxed);
                let Some(job) = jobs.get(number) else { return };
                if deadline.as_ref().is_some_and(|deadline| !deadline.leaves_room_for(number)) {
                    continue;
                }
                let start = Instant::now();
                let begun = sender.send(News::Begun(number)).is_ok();
                if !begun || sender.send(done(number, work(job), start)).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    loop {
        let left = |deadline: &Deadline| deadline.at.saturating_duration_since(Instant::now());
        let event = match news.recv_timeout(deadline.map_or(TICK, |one| left(one).min(TICK))) {
            Ok(event) => event,
            Err(mpsc::RecvTimeoutError::Timeout) => News::Tick,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(End::Done),
        };
        each(event)?;
        if let Some(code) = interrupt.exit_code() {
            stop.store(true, Relaxed);
            // Jobs that ended meanwhile count as done.
            news.try_iter().try_for_each(&mut each)?;
            return Ok(End::Interrupted(code));
        }
        if deadline.is_some_and(|deadline| left(deadline).is_zero()) {
            stop.store(true, Relaxed);
            news.try_iter().try_for_each(&mut each)?;
            return Ok(End::OutOfTime);
        }
    }
}

/// Says how many jobs of a run without a deadline have no result, if there are some. A job has none
/// if its worker panicked.
pub(super) fn lost(jobs: usize, results: usize) -> Option<String> {
    let lost = jobs - results;
    (lost > 0).then(|| format!("{lost} of {jobs} have no result: a worker panicked"))
}

fn done<R>(number: usize, result: R, start: Instant) -> News<R> {
    News::Done(number, result, start.elapsed().as_secs_f64())
}
