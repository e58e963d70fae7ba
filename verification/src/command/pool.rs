//! Threads that do jobs, and one that hears of each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use blocksmith_terminal::{Failure, Interrupt};

/// Between two looks at the signals, and two drawings of what shows the progress.
const TICK: Duration = Duration::from_millis(200);

/// What a run comes to.
pub(super) enum End {
    /// Every job is done.
    Done,
    /// A signal came first, which asks for this exit code; what was under way is left behind.
    Interrupted(u8),
}

/// What is told of the jobs.
pub(super) enum News<R> {
    /// The job of this number has begun.
    Begun(usize),
    /// The job of this number is done; its result, and the seconds that it took.
    Done(usize, R, f64),
    /// Time passes.
    Tick,
}

/// Does each job on one of `workers` threads, in order, and tells `each` of it on this one.
///
/// # Errors
/// What `each` fails with, at once: what is under way is left behind.
pub(super) fn run<J, R>(
    jobs: &Arc<Vec<J>>,
    workers: usize,
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
        thread::spawn(move || {
            while !stop.load(Relaxed) {
                let number = next.fetch_add(1, Relaxed);
                let Some(job) = jobs.get(number) else { return };
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
        let event = match news.recv_timeout(TICK) {
            Ok(event) => event,
            Err(mpsc::RecvTimeoutError::Timeout) => News::Tick,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(End::Done),
        };
        each(event)?;
        if let Some(code) = interrupt.exit_code() {
            stop.store(true, Relaxed);
            // What came just now counts as done.
            news.try_iter().try_for_each(&mut each)?;
            return Ok(End::Interrupted(code));
        }
    }
}

fn done<R>(number: usize, result: R, start: Instant) -> News<R> {
    News::Done(number, result, start.elapsed().as_secs_f64())
}
