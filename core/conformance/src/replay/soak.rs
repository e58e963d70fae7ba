//! Replays the same chain again and again for some time, so that anything that leaks, hangs or
//! differs shows up.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::iterator::Signals;
use thiserror::Error;

use blocksmith::Anchor;
use blocksmith_node::recording::Recording;
use blocksmith_sync::broker::{Level, Snapshot};

use super::driver::{Inbox, round};
use super::error::ReplayError;
use super::options::{Options, Pace};
use super::report::{FinalView, Outcome};
use super::stage::Stage;
use crate::process::status;
use crate::protocol::Protocol;

/// A time as the command line writes it: a whole number and `ms`, `s`, `m` or `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// The longest time, in hours.
const MAX_HOURS: u64 = 24 * 365;

/// A time that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SpanError {
    /// It is not a number and a unit.
    #[error("expected a whole number and ms, s, m or h, such as 30s or 10m")]
    Form,
    /// It is zero, or more than a year.
    #[error("expected more than nothing and at most {MAX_HOURS}h")]
    Bounds,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(SpanError::Form),
        };
        if number.is_empty() {
            return Err(SpanError::Form);
        }
        let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
        let within = ms.filter(|ms| (1..=MAX_HOURS * 3_600_000).contains(ms));
        within.map(|ms| Self(Duration::from_millis(ms))).ok_or(SpanError::Bounds)
    }
}

/// What this process holds, as reported by the operating system; `None` where it does not report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Resident memory in KiB.
    pub resident_kib: Option<u64>,
    /// Threads.
    pub threads: Option<usize>,
}

impl Held {
    fn now() -> Self {
        let threads = status("Threads").and_then(|threads| usize::try_from(threads).ok());
        Self { resident_kib: status("VmRSS"), threads }
    }
}

/// The figures of one queue over all rounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// Items accepted.
    pub sent: u64,
    /// Items received.
    pub received: u64,
    /// Items refused.
    pub refused: u64,
    /// Items evicted.
    pub evicted: u64,
    /// Items that were left when a round had ended.
    pub left: u64,
    /// The largest depth.
    pub high_water: u64,
    /// The capacity.
    pub capacity: u64,
    /// The oldest item had waited at least this long.
    pub oldest: Duration,
}

/// What a soak found.
#[derive(Clone, Debug)]
pub struct Soak {
    /// The pace of the replays.
    pub pace: Pace,
    /// Rounds that ended.
    pub rounds: usize,
    /// Events handed in, and items among them, in all rounds.
    pub events: usize,
    /// As above.
    pub items: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// The end of the first round.
    pub first: Option<FinalView>,
    /// Rounds that did not end like the first, or not as the manifest says; the first of each kind.
    pub differing: Vec<usize>,
    /// The first difference in the first of them.
    pub difference: Option<String>,
    /// What the process held before the first round, after it, half-way through the last doubling
    /// of rounds, and at the end.
    pub held: [Held; 4],
    /// The largest resident memory after a round, in KiB.
    pub largest_kib: Option<u64>,
    /// The queues by name, over all rounds.
    pub totals: BTreeMap<String, Total>,
    /// The highest load level, and how often the level changed.
    pub highest: Level,
    /// As above.
    pub changes: u64,
    /// The outcome of the last round.
    pub last: Option<Outcome>,
}

/// Replays `recording` with fresh services again and again, until `time` has passed; at least once.
/// The consensus code, with its caches, is the same in all rounds.
///
/// # Errors
/// As [`super::replay`]; what was found until then is returned all the same.
///
/// # Panics
/// As [`super::replay`].
#[expect(clippy::too_many_arguments, reason = "those of a replay, and for how long")]
pub fn soak(
    recording: &Arc<Recording>,
    consensus: &Arc<Protocol>,
    anchor: &Anchor<Protocol>,
    options: &Options,
    time: Duration,
    signals: Option<Signals>,
    stage: &Stage,
    progress: &Arc<dyn Fn(usize, usize) + Send + Sync>,
) -> (Soak, Result<(), ReplayError>) {
    let inbox = Inbox::new(signals);
    let start = Instant::now();
    let mut soak = Soak::new(options.pace);
    let result = loop {
        let (number, progress) = (soak.rounds, progress.clone());
        let Anchor { root, slot, state } = anchor;
        let anchor = Anchor { root: *root, slot: *slot, state: state.clone() };
        let tell = Box::new(move |index| progress(number, index));
        match round(recording, consensus.clone(), anchor, options, None, &inbox, stage, tell) {
            Ok(outcome) => soak.take(outcome, recording.events.len(), stage.snapshot()),
            Err(error) => break Err(error),
        }
        if start.elapsed() >= time {
            break Ok(());
        }
    };
    progress(soak.rounds, recording.events.len());
    soak.elapsed = start.elapsed();
    soak.wait_for_threads();
    (soak, result)
}

/// How long the operating system may take to release a thread that has been joined.
const LETTING_GO: Duration = Duration::from_secs(5);

impl Soak {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            rounds: 0,
            events: 0,
            items: 0,
            elapsed: Duration::ZERO,
            first: None,
            differing: Vec::new(),
            difference: None,
            held: [Held::now(); 4],
            largest_kib: None,
            totals: BTreeMap::new(),
            highest: Level::Normal,
            changes: 0,
            last: None,
        }
    }

    fn take(&mut self, outcome: Outcome, events: usize, snapshot: Option<Snapshot>) {
        self.rounds += 1;
        self.events += events;
        self.items += outcome.tally.items.values().sum::<usize>();
        let first = self.first.get_or_insert_with(|| outcome.last.clone());
        // In a race the end depends on the schedule.
        let same = self.pace == Pace::Race || *first == outcome.last;
        if !same || !outcome.mismatches.is_empty() {
            self.differing.push(self.rounds);
            let what = outcome.mismatches.first().map(ToString::to_string);
            let ends = || format!("the head is {}", outcome.last.head);
            self.difference.get_or_insert(what.unwrap_or_else(ends));
        }
        self.last = Some(outcome);
        snapshot.iter().for_each(|snapshot| self.add(snapshot));
        let held = Held::now();
        self.largest_kib = self.largest_kib.max(held.resident_kib);
        if self.rounds == 1 {
            self.held[1] = held;
        }
        if self.rounds.is_power_of_two() {
            self.held[2] = held;
        }
        self.held[3] = held;
    }

    fn add(&mut self, snapshot: &Snapshot) {
        self.highest = self.highest.max(snapshot.highest);
        self.changes += snapshot.changes;
        for figures in &snapshot.mailboxes {
            let total = self.totals.entry(figures.name.clone()).or_default();
            let counters = &figures.counters;
            total.sent += counters.sent;
            total.received += counters.received;
            total.refused += counters.refused;
            total.evicted += counters.evicted;
            total.left += counters.depth;
            total.high_water = total.high_water.max(counters.high_water);
            total.capacity = counters.capacity;
            total.oldest = total.oldest.max(figures.oldest_high);
        }
    }

    /// Waits until the operating system has released all threads: a joined one may be on its list
    /// for a moment.
    fn wait_for_threads(&mut self) {
        let start = Instant::now();
        loop {
            self.held[3].threads = Held::now().threads;
            if self.threads_left() == 0 || start.elapsed() > LETTING_GO {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Returns how many more threads there are than before the first round.
    #[must_use]
    pub fn threads_left(&self) -> usize {
        let [before, .., after] = self.held;
        after.threads.unwrap_or(0).saturating_sub(before.threads.unwrap_or(0))
    }

    /// Returns whether every round ended as it should and no thread is left.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.differing.is_empty() && self.threads_left() == 0
    }
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        writeln!(
            f,
            "{} rounds in {seconds:.1} s, pace {}: {} events, {} items, {:.0} items/s\n",
            self.rounds,
            self.pace,
            self.events,
            self.items,
            self.items as f64 / seconds.max(1e-9)
        )?;
        if let Some(first) = &self.first {
            let (epoch, root) = &first.finalized;
            let what = match self.differing.len() {
                _ if self.pace == Pace::Race => "of the first round; not determined at this pace",
                0 => "in every round",
                _ => "of the first round",
            };
            writeln!(f, "  head         {}  {what}", first.head)?;
            writeln!(f, "  state root   {}  {what}", first.state_root)?;
            writeln!(f, "  finalized    epoch {epoch} {root}  {what}")?;
        }
        let differing: Vec<_> = self.differing.iter().take(10).map(usize::to_string).collect();
        match differing.is_empty() {
            true => writeln!(f, "  0 rounds differ\n")?,
            false => writeln!(
                f,
                "  {} rounds DIFFER, the first of them: {}; {}\n",
                self.differing.len(),
                differing.join(", "),
                self.difference.as_deref().unwrap_or_default()
            )?,
        }
        self.write_held(f)?;
        self.write_broker(f)
    }
}

impl Soak {
    fn write_held(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |kib: Option<u64>| kib.map_or("unknown".to_owned(), |kib| format!("{kib} KiB"));
        let number = |threads: Option<usize>| threads.map_or("?".to_owned(), |n| n.to_string());
        let [before, first, middle, end] = self.held;
        writeln!(f, "  resident memory")?;
        writeln!(f, "    before the first round   {:>12}", kib(before.resident_kib))?;
        writeln!(f, "    after the first          {:>12}", kib(first.resident_kib))?;
        let round = (self.rounds.max(1) + 1).next_power_of_two() / 2;
        writeln!(f, "    after round {round:<12} {:>12}", kib(middle.resident_kib))?;
        writeln!(f, "    after the last           {:>12}", kib(end.resident_kib))?;
        writeln!(f, "    the largest              {:>12}", kib(self.largest_kib))?;
        writeln!(
            f,
            "  threads: {} before, {} after, {} left\n",
            number(before.threads),
            number(end.threads),
            self.threads_left()
        )
    }

    fn write_broker(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  load: highest level {}, {} changes", self.highest, self.changes)?;
        writeln!(
            f,
            "  {:<22} {:>10} {:>10} {:>8} {:>8} {:>5} {:>15} {:>9}",
            "queue", "sent", "received", "refused", "evicted", "left", "high-water", "oldest"
        )?;
        for (name, total) in &self.totals {
            writeln!(
                f,
                "  {name:<22} {:>10} {:>10} {:>8} {:>8} {:>5} {:>7}/{:<7} {:>7.1} s",
                total.sent,
                total.received,
                total.refused,
                total.evicted,
                total.left,
                total.high_water,
                total.capacity,
                total.oldest.as_secs_f64()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Span, SpanError};

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        // One of each unit.
        for (text, ms) in [("250ms", 250), ("2s", 2_000), ("10m", 600_000), ("1h", 3_600_000)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(ms))), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        // No number, no unit, another unit, a sign, an empty text, zero, too much.
        for text in ["s", "10", "10d", "-1s", "", "1 s", "1.5s", "٣s"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::Form), "{text}");
        }
        for text in ["0s", "8761h", "99999999999999999999s"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::Bounds), "{text}");
        }
    }
}
