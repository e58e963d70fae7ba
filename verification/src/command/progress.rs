//! The progress line of a run, on a terminal.

use std::io::{self, IsTerminal};
use std::time::Instant;

use blocksmith_engines::meter;
use blocksmith_terminal::{Failure, Hush};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The beginnings of the lines that shuttle prints for each execution that fails. They are kept off
/// stderr: twins are meant to fail, and the results say how they did.
const EXPECTED: &[&str] = &[
    "Task failed, serializing schedule",
    "Test deadlocked, and ",
    "test panicked in task ",
    "test panicked in a task that was still unwinding ",
    "test panicked while dropping the tasks ",
];

/// A line on stderr that says how far a run is. If stderr is no terminal, there is no line.
pub(super) struct Progress {
    bar: ProgressBar,
    _hush: Hush,
    start: Instant,
    /// The recorded seconds of all jobs. The next field is those of the jobs that are done.
    all: f64,
    done: f64,
}

impl Progress {
    /// Begins a line for this many jobs. `recorded_seconds` is the sum of their recorded times.
    ///
    /// # Errors
    /// If the system refuses a pipe.
    pub(super) fn new(jobs: usize, recorded_seconds: f64) -> Result<Self, Failure> {
        let is_terminal = io::stderr().is_terminal();
        let hush = Hush::start(EXPECTED).map_err(Failure::fault)?;
        let target = if is_terminal {
            target(&hush).map_err(Failure::fault)?
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(jobs as u64), target);
        // The message takes the width that the bar leaves.
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        let start = Instant::now();
        Ok(Self { bar, _hush: hush, start, all: recorded_seconds, done: 0.0 })
    }

    /// Counts a job as done. `recorded_seconds` is its recorded time.
    pub(super) fn done(&mut self, recorded_seconds: f64) {
        self.done += recorded_seconds;
        self.bar.inc(1);
    }

    /// Draws the line anew. `running` names the jobs that are under way.
    pub(super) fn draw(&self, running: &[String]) {
        let elapsed = self.start.elapsed().as_secs_f64();
        let rate = meter::looked_at() as f64 / elapsed.max(0.001);
        let left = match self.done {
            done if done > 0.0 => words(elapsed / done * (self.all - done)),
            _ => "?".to_owned(),
        };
        self.bar.set_message(format!("{left} left, {}/s: {}", short(rate), running.join(", ")));
    }

    /// Runs `print` while the line is hidden.
    pub(super) fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Returns the draw target for the terminal behind stderr.
#[cfg(unix)]
fn target(hush: &Hush) -> io::Result<ProgressDrawTarget> {
    let terminal = console::Term::read_write_pair(io::stdin(), hush.stderr()?);
    Ok(ProgressDrawTarget::term(terminal, DRAWS_A_SECOND))
}

#[cfg(not(unix))]
fn target(_: &Hush) -> io::Result<ProgressDrawTarget> {
    Ok(ProgressDrawTarget::stderr_with_hz(DRAWS_A_SECOND))
}

const DRAWS_A_SECOND: u8 = 10;

/// Returns a number in three or four characters.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n if n >= 1e3 => format!("{:.0}k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

/// Returns a time in minutes and seconds.
fn words(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds / 60 {
        0 => format!("{seconds} s"),
        minutes => format!("{minutes} min {} s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        // Formats one number and one time of each size.
        let rates = [0.4, 999.0, 1_500.0, 2_340_000.0].map(short);
        assert_eq!(rates, ["0", "999", "2k", "2.3M"]);
        assert_eq!([0.2, 59.0, 61.0, 600.0].map(words), ["0 s", "59 s", "1 min 1 s", "10 min 0 s"]);
    }
}
