//! A histogram of times, as Prometheus wants one: how many were at most so long, for fixed bounds.
//!
//! **Contract.** [`Histogram::observe`] takes two atomic additions: it takes no lock, allocates
//! nothing and never blocks, so any thread may observe. [`Histogram::write`] appends the samples of
//! one histogram in the text exposition format: `_bucket` for each bound and for `+Inf`, each with
//! all that is below it, `_sum` in seconds, and `_count`.
//!
//! **Invariants.**
//! - I1 Every time is in exactly one bucket of the memory: that of the least bound that is not
//!   below it, or the last. The exposition adds them up, so its buckets never fall as `le` grows.
//! - I2 `_count` and the bucket `+Inf` are one number: the sum of the buckets that were read.
//! - I3 The figures only grow, for as long as the process lives.
//!
//! Whoever reads in the middle of an observation may see it in the buckets and not in the sum yet;
//! the next look shows both.
//!
//! The bounds are ours rather than the reader's, since a histogram's cannot be changed afterwards:
//! three a decade where the services are, from a tenth of a millisecond on, and from a second on
//! what a slot is cut into: its third, at which attestations are due, and its end.
//!
//! Reference: Prometheus, "Metric types" and "Exposition formats", version 0.0.4.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The buckets' upper bounds, ascending; a time that equals one is within it.
pub const BOUNDS: [Duration; 17] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_micros(1_000),
    Duration::from_micros(2_500),
    Duration::from_micros(5_000),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(12),
];

/// How many times lie between each two of [`BOUNDS`], and their sum.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, and one for what is longer than all of them.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// In nanoseconds: times of 584 years in all.
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Counts a time. Does not block.
    pub fn observe(&self, time: Duration) {
        let at = BOUNDS.partition_point(|bound| *bound < time);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // ORDERING: figures for people; nothing is read by their help.
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Returns how many times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        // ORDERING: as in `observe`.
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Appends the samples of the family `name` that carry `label` (`kind="block"`, say), without
    /// the HELP and TYPE lines, which a family has once.
    pub fn write(&self, name: &str, label: &str, text: &mut String) {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|bound| bound.as_secs_f64().to_string());
        for (bucket, bound) in self.buckets.iter().zip(bounds.chain(["+Inf".to_owned()])) {
            // ORDERING: as in `observe`.
            count += bucket.load(Ordering::Relaxed);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}_bucket{{{label},le=\"{bound}\"}} {count}");
        }
        let seconds = Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        let _ = writeln!(text, "{name}_sum{{{label}}} {seconds}");
        let _ = writeln!(text, "{name}_count{{{label}}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    /// What the text says: the buckets with their bounds, the sum, the count.
    fn read(histogram: &Histogram) -> (Vec<(f64, u64)>, f64, u64) {
        let mut text = String::new();
        histogram.write("t_seconds", "kind=\"x\"", &mut text);
        let (mut buckets, mut sum, mut count) = (Vec::new(), f64::NAN, u64::MAX);
        for line in text.lines() {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and a value");
            match sample {
                "t_seconds_sum{kind=\"x\"}" => sum = value.parse().expect("a number"),
                "t_seconds_count{kind=\"x\"}" => count = value.parse().expect("a number"),
                bucket => {
                    let bound = bucket.strip_prefix("t_seconds_bucket{kind=\"x\",le=\"");
                    let bound = bound.and_then(|rest| rest.strip_suffix("\"}")).expect("a bucket");
                    let bound = bound.parse().expect("a number, or +Inf");
                    buckets.push((bound, value.parse().expect("a number")));
                }
            }
        }
        (buckets, sum, count)
    }

    fn of(times: &[Duration]) -> Histogram {
        let histogram = Histogram::default();
        times.iter().for_each(|time| histogram.observe(*time));
        histogram
    }

    #[test]
    fn the_bounds_ascend_and_are_told_in_seconds() {
        // Reads them back from the text of a histogram that has counted nothing.
        let (buckets, sum, count) = read(&Histogram::default());
        assert_eq!((sum, count), (0.0, 0));
        let bounds: Vec<f64> = buckets.iter().map(|(bound, _)| *bound).collect();
        assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        assert_eq!((bounds[0], bounds[3], bounds[16]), (0.0001, 0.001, 12.0));
        assert_eq!(bounds[17], f64::INFINITY);
        assert!(buckets.iter().all(|(_, below)| *below == 0));
    }

    #[test]
    fn a_time_counts_in_its_bucket_and_in_all_that_are_wider() {
        // One that equals a bound, one just above it, and one that is longer than all bounds.
        let nanosecond = Duration::from_nanos(1);
        let times = [BOUNDS[2], BOUNDS[2] + nanosecond, Duration::from_secs(60)];
        let (buckets, sum, count) = read(&of(&times));
        let below: Vec<u64> = buckets.iter().map(|(_, below)| *below).collect();
        assert_eq!(below[..4], [0, 0, 1, 2]);
        assert!(below[4..17].iter().all(|below| *below == 2), "{below:?}");
        assert_eq!((below[17], count), (3, 3));
        assert!((sum - 60.001_000_001).abs() < 1e-9, "{sum}");
    }

    quickcheck! {
        fn what_is_read_back_is_what_was_observed(times: Vec<u32>) -> bool {
            // In units of 10 microseconds, so that every bucket can be met.
            let times: Vec<_> =
                times.iter().map(|at| Duration::from_micros(u64::from(*at % 2_000_000) * 10)).collect();
            let (buckets, sum, count) = read(&of(&times));
            let total: f64 = times.iter().map(Duration::as_secs_f64).sum();
            let as_many = |(bound, below): &(f64, u64)| {
                times.iter().filter(|time| time.as_secs_f64() <= *bound).count() as u64 == *below
            };
            buckets.len() == BOUNDS.len() + 1
                && buckets.is_sorted_by(|a, b| a.1 <= b.1)
                && buckets.iter().all(as_many)
                && count == times.len() as u64
                && (sum - total).abs() < 1e-6
        }
    }

    #[test]
    fn no_observation_is_lost_between_threads() {
        // Four threads observe at once, and a fifth reads meanwhile: its buckets never fall, and
        // its count is that of `+Inf`.
        const EACH: u64 = 10_000;
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for bound in &BOUNDS[..4] {
                let (time, histogram) = (*bound * 2, &histogram);
                scope.spawn(move || (0..EACH).for_each(|_| histogram.observe(time)));
            }
            scope.spawn(|| {
                for _ in 0..100 {
                    let (buckets, _, count) = read(&histogram);
                    assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{buckets:?}");
                    assert_eq!(buckets.last().map(|(_, below)| *below), Some(count));
                }
            });
        });
        let (_, sum, count) = read(&histogram);
        assert_eq!((count, histogram.count()), (4 * EACH, 4 * EACH));
        let total: Duration = BOUNDS[..4].iter().map(|bound| *bound * 2 * EACH as u32).sum();
        assert!((sum - total.as_secs_f64()).abs() < 1e-6, "{sum}");
    }
}
