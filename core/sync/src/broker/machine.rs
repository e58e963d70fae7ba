//! The pure part of the broker; see [`crate::broker`] for its contract.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use thiserror::Error;

use crate::counters::Counters;

/// How much load should be shed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing.
    #[default]
    Normal,
    /// Some.
    Busy,
    /// More.
    High,
    /// Everything that can be.
    Critical,
}

/// What a level asks for. Parts of the node that can do it do it; none is obliged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// Drop peers with a low score.
    DropPeers,
    /// Drop requests from peers that are synchronising.
    DropSyncRequests,
    /// Stop looking for slashable offences of others. The protection of one's own validators never
    /// stops.
    StopSlashingDetection,
}

impl Level {
    /// All levels, in rising order.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Busy, Self::High, Self::Critical];

    /// Returns what the level asks for: what the level below asks for, and one thing more.
    #[must_use]
    pub fn asks(self) -> &'static [Ask] {
        &Ask::ALL[..self as usize]
    }

    /// Returns the word for reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Busy => "busy",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Ask {
    /// All asks, in the order in which rising levels add them.
    pub const ALL: [Self; 3] =
        [Self::DropPeers, Self::DropSyncRequests, Self::StopSlashingDetection];

    /// Returns the word for reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::DropPeers => "drop_peers",
            Self::DropSyncRequests => "drop_sync_requests",
            Self::StopSlashingDetection => "stop_slashing_detection",
        }
    }
}

/// Where a level begins and where it ends, in thousandths of a full mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// The level begins at this load.
    pub rise: u32,
    /// It ends below this load.
    pub fall: u32,
}

/// How the machine judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time constant of the rates: after this time, 63 % of a change shows.
    pub time_constant: Duration,
    /// An item that has waited this long counts as a full mailbox.
    pub full_age: Duration,
    /// Thresholds of Busy, High and Critical.
    pub thresholds: [Threshold; 3],
    /// How long the load must stay below `fall` before the level ends.
    pub dwell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_constant: Duration::from_secs(5),
            full_age: Duration::from_secs(12),
            thresholds: [
                Threshold { rise: 600, fall: 400 },
                Threshold { rise: 800, fall: 600 },
                Threshold { rise: 950, fall: 800 },
            ],
            dwell: Duration::from_secs(2),
        }
    }
}

/// Why limits are not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LimitsError {
    /// A time that serves as a divisor is zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// A level would end where it begins, and would flap.
    #[error("{level}: fall ({fall}) must be below rise ({rise}), and rise at most 1000")]
    Hysteresis {
        /// The level.
        level: Level,
        /// What was given.
        rise: u32,
        /// What was given.
        fall: u32,
    },
    /// A level would begin or end before the one below it.
    #[error("{0}: rise and fall must not be below those of the level before")]
    Order(Level),
}

impl Limits {
    /// Checks that each level ends below where it begins, and that levels are in order.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), LimitsError> {
        let times = [("time_constant", self.time_constant), ("full_age", self.full_age)];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Err(LimitsError::Zero(name));
        }
        let mut before = Threshold { rise: 0, fall: 0 };
        for (threshold, level) in self.thresholds.iter().zip(&Level::ALL[1..]) {
            let Threshold { rise, fall } = *threshold;
            if fall >= rise || rise > FULL {
                return Err(LimitsError::Hysteresis { level: *level, rise, fall });
            }
            if rise < before.rise || fall < before.fall {
                return Err(LimitsError::Order(*level));
            }
            before = *threshold;
        }
        Ok(())
    }
}

/// The load of a full mailbox.
pub const FULL: u32 = 1000;

/// How a mailbox's load counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weight {
    /// It raises the level, by depth and by age.
    Counts,
    /// It raises the level by its depth alone: its items wait for something other than their turn.
    Depth,
    /// Its figures are shown, and nothing else: it may be full permanently.
    Shown,
}

/// How long the oldest item in a mailbox has waited, as far as samples tell (B3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Age {
    /// It has waited at least this long.
    pub at_least: Duration,
    /// It has waited at most this long; `None` if it was there before the first sample.
    pub at_most: Option<Duration>,
}

/// The level changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// The level before.
    pub from: Level,
    /// The level now; always different from the level before.
    pub to: Level,
    /// When, by the clock of the samples.
    pub at: Duration,
}

/// The figures of one mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Its name.
    pub name: String,
    /// Whether its load counts.
    pub weight: Weight,
    /// Depth, totals, high-water mark and capacity, as last sampled.
    pub counters: Counters,
    /// Items accepted per second, exponentially weighted.
    pub rate_in: f64,
    /// Items received or evicted per second, exponentially weighted.
    pub rate_out: f64,
    /// Age of the oldest item.
    pub oldest: Age,
    /// The largest `oldest.at_least` so far.
    pub oldest_high: Duration,
    /// The load in thousandths of a full mailbox: the larger of depth and age.
    pub load: u32,
}

/// Everything that the broker knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The level.
    pub level: Level,
    /// The highest level so far.
    pub highest: Level,
    /// How often the level changed.
    pub changes: u64,
    /// The load of the fullest mailbox that counts.
    pub load: u32,
    /// The mailboxes by name.
    pub mailboxes: Vec<Figures>,
}

/// Judges samples; see the module documentation.
#[derive(Clone, Debug)]
pub struct Machine {
    limits: Limits,
    now: Duration,
    relays: [Relay; 3],
    load: u32,
    highest: Level,
    changes: u64,
    tracks: BTreeMap<String, Track>,
}

impl Machine {
    /// Returns a machine that knows no mailbox, at the level Normal.
    ///
    /// # Errors
    /// If the limits make no sense.
    pub fn new(limits: Limits) -> Result<Self, LimitsError> {
        limits.check()?;
        Ok(Self {
            limits,
            now: Duration::ZERO,
            relays: [Relay::default(); 3],
            load: 0,
            highest: Level::Normal,
            changes: 0,
            tracks: BTreeMap::new(),
        })
    }

    /// Adds a mailbox without samples; another of the same name is forgotten.
    pub fn watch(&mut self, name: &str, weight: Weight) {
        self.tracks.insert(name.to_owned(), Track::new(weight));
    }

    /// Forgets a mailbox. From the next sample on its load no longer counts.
    pub fn forget(&mut self, name: &str) {
        self.tracks.remove(name);
    }

    /// Takes a sample of every mailbox; unknown names are ignored. A time before the last one
    /// counts as the last one. Returns the change of the level, if it changed.
    pub fn observe<'a>(
        &mut self,
        now: Duration,
        samples: impl IntoIterator<Item = (&'a str, Counters)>,
    ) -> Option<Change> {
        self.now = self.now.max(now);
        for (name, counters) in samples {
            if let Some(track) = self.tracks.get_mut(name) {
                track.observe(self.now, counters, &self.limits);
            }
        }
        let counted = self.tracks.values().filter(|track| track.weight != Weight::Shown);
        self.load = counted.map(|track| track.load).max().unwrap_or(0);
        let from = self.level();
        for (relay, threshold) in self.relays.iter_mut().zip(self.limits.thresholds) {
            relay.observe(self.now, self.load, threshold, self.limits.dwell);
        }
        let to = self.level();
        self.highest = self.highest.max(to);
        (from != to).then(|| {
            self.changes += 1;
            Change { from, to, at: self.now }
        })
    }

    /// Returns the level.
    #[must_use]
    pub fn level(&self) -> Level {
        let on = self.relays.iter().filter(|relay| relay.on).count();
        // Relays are switched on from the lowest up (B4), so the number of those that are on is the
        // level.
        Level::ALL[on]
    }

    /// Returns everything, as of the last sample.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            level: self.level(),
            highest: self.highest,
            changes: self.changes,
            load: self.load,
            mailboxes: self.tracks.iter().map(|(name, track)| track.figures(name)).collect(),
        }
    }
}

/// One level's switch.
#[derive(Clone, Copy, Debug, Default)]
struct Relay {
    on: bool,
    /// While the relay is on: since when the load has been below `fall`.
    below_since: Option<Duration>,
}

impl Relay {
    fn observe(&mut self, now: Duration, load: u32, threshold: Threshold, dwell: Duration) {
        if load >= threshold.rise {
            *self = Self { on: true, below_since: None };
        } else if self.on && load < threshold.fall {
            let since = *self.below_since.get_or_insert(now);
            if now.saturating_sub(since) >= dwell {
                *self = Self::default();
            }
        } else {
            self.below_since = None;
        }
    }
}

/// The largest number of samples kept of one mailbox. It must be at least 4.
const SAMPLES: usize = 64;

/// Consecutive samples that found the same number of accepted items.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sent: u64,
    first: Duration,
    last: Duration,
}

/// What is known of one mailbox.
#[derive(Clone, Debug)]
struct Track {
    weight: Weight,
    counters: Counters,
    /// Items accepted, and items received or evicted. These never fall, although `counters`, which
    /// are read field by field, may.
    sent: u64,
    taken: u64,
    /// Time and totals up to which the rates have been computed.
    reckoned: Option<(Duration, u64, u64)>,
    rate_in: f64,
    rate_out: f64,
    /// The samples from the last one that did not have the oldest item (if there is one) to the
    /// newest.
    seen: VecDeque<Seen>,
    oldest: Age,
    oldest_high: Duration,
    load: u32,
}

impl Track {
    fn new(weight: Weight) -> Self {
        Self {
            weight,
            counters: Counters::default(),
            sent: 0,
            taken: 0,
            reckoned: None,
            rate_in: 0.0,
            rate_out: 0.0,
            seen: VecDeque::new(),
            oldest: Age::default(),
            oldest_high: Duration::ZERO,
            load: 0,
        }
    }

    fn observe(&mut self, now: Duration, counters: Counters, limits: &Limits) {
        self.counters = counters;
        self.sent = self.sent.max(counters.sent);
        self.taken = self.taken.max(counters.received.saturating_add(counters.evicted));
        self.reckon(now, limits.time_constant);
        self.oldest = self.age(now, counters.depth);
        self.oldest_high = self.oldest_high.max(self.oldest.at_least);
        let full = u128::from(FULL);
        let depth = full * u128::from(counters.depth) / u128::from(counters.capacity.max(1));
        let age = match self.weight {
            Weight::Depth => 0,
            Weight::Counts | Weight::Shown => {
                full * self.oldest.at_least.as_nanos() / limits.full_age.as_nanos()
            }
        };
        self.load = u32::try_from(depth.max(age).min(full)).unwrap_or(FULL);
    }

    /// Updates the rates. The weight of the past fades with time, not with the number of samples
    /// (B2).
    fn reckon(&mut self, now: Duration, time_constant: Duration) {
        let (sent, taken) = (self.sent, self.taken);
        let Some((before, sent_before, taken_before)) = self.reckoned else {
            self.reckoned = Some((now, sent, taken));
            return;
        };
        let seconds = now.saturating_sub(before).as_secs_f64();
        if seconds <= 0.0 {
            // The clock stands still: what came counts with the next sample at which it has moved.
            return;
        }
        let gain = -(-seconds / time_constant.as_secs_f64()).exp_m1();
        self.rate_in += gain * ((sent - sent_before) as f64 / seconds - self.rate_in);
        self.rate_out += gain * ((taken - taken_before) as f64 / seconds - self.rate_out);
        self.reckoned = Some((now, sent, taken));
    }

    /// Returns the age of the oldest item, by when `sent` passed its number (B3).
    fn age(&mut self, now: Duration, depth: u64) -> Age {
        match self.seen.back_mut() {
            Some(newest) if newest.sent == self.sent => newest.last = now,
            _ => self.seen.push_back(Seen { sent: self.sent, first: now, last: now }),
        }
        // The oldest item is number `taken + 1`: a sample with no more than `taken` had not seen
        // it.
        while self.seen.len() > 1 && self.seen[1].sent <= self.taken {
            self.seen.pop_front();
        }
        if self.seen.len() > SAMPLES {
            self.thin();
        }
        if depth == 0 || self.sent <= self.taken {
            return Age { at_least: Duration::ZERO, at_most: Some(Duration::ZERO) };
        }
        let without = self.seen.front().filter(|seen| seen.sent <= self.taken);
        let with = self.seen.iter().find(|seen| seen.sent > self.taken);
        Age {
            at_least: with.map_or(Duration::ZERO, |seen| now.saturating_sub(seen.first)),
            at_most: without.map(|seen| now.saturating_sub(seen.last)),
        }
    }

    /// Drops every second sample except at the ends: the bounds grow apart, but stay true.
    fn thin(&mut self) {
        let last = self.seen.len() - 1;
        let mut index = 0;
        self.seen.retain(|_| {
            let keep = index % 2 == 0 || index == last;
            index += 1;
            keep
        });
    }

    fn figures(&self, name: &str) -> Figures {
        Figures {
            name: name.to_owned(),
            weight: self.weight,
            counters: self.counters,
            rate_in: self.rate_in,
            rate_out: self.rate_out,
            oldest: self.oldest,
            oldest_high: self.oldest_high,
            load: self.load,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Age, Counters, Duration, Limits, SAMPLES, Track, Weight};

    fn observe(track: &mut Track, second: u64, (depth, sent, received): (u64, u64, u64)) {
        let counters = Counters { depth, sent, received, capacity: 2000, ..Counters::default() };
        track.observe(Duration::from_secs(second), counters, &Limits::default());
    }

    #[test]
    fn the_samples_of_a_mailbox_are_bounded_and_the_ends_stay() {
        // A thousand samples, each with one item more, and nothing is taken.
        let mut track = Track::new(Weight::Counts);
        for sent in 1..=1000 {
            observe(&mut track, sent, (sent, sent, 0));
            let samples = track.seen.len();
            if sent <= SAMPLES as u64 {
                assert_eq!(samples as u64, sent);
            }
            assert!(samples <= SAMPLES && (sent < 64 || samples > SAMPLES / 2), "{samples}");
            let ends = track.seen.front().zip(track.seen.back());
            assert_eq!(ends.map(|(first, last)| (first.sent, last.sent)), Some((1, sent)));
        }
        assert_eq!(track.oldest.at_least, Duration::from_secs(999));
    }

    #[test]
    fn samples_that_tell_nothing_new_are_not_kept() {
        // The same figures a hundred times; then each item is taken before the next one comes.
        let mut track = Track::new(Weight::Counts);
        (0..100).for_each(|second| observe(&mut track, second, (1, 1, 0)));
        assert_eq!(track.seen.len(), 1);
        for sent in 2..100 {
            observe(&mut track, 100 + sent, (1, sent, sent - 1));
            assert!(track.seen.len() <= 2, "{}", track.seen.len());
        }
    }

    #[test]
    fn an_empty_mailbox_has_no_oldest_item_whatever_the_totals_say() {
        // The totals are read one after the other: one item seems to be there.
        let mut track = Track::new(Weight::Counts);
        observe(&mut track, 1, (0, 5, 4));
        observe(&mut track, 9, (0, 5, 4));
        let none = Age { at_least: Duration::ZERO, at_most: Some(Duration::ZERO) };
        assert_eq!(track.oldest, none);
    }
}
