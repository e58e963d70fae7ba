//! The bounds of an exploration by loom, and those of several together.

use std::collections::BTreeMap;
use std::fmt;

/// How far loom looks.
#[derive(Clone, Copy, Debug)]
pub struct LoomBounds {
    /// Switches away from a thread that could go on, per execution. Executions with fewer are
    /// explored in full, those with exactly this many in part. `None` means any number.
    pub preemptions: Option<usize>,
    /// Operations of one execution at which loom may branch.
    pub max_branches: usize,
    /// Time after which the verdict is `Truncated`.
    pub max_seconds: u64,
    /// One of this many first sleeps of an execution may end spuriously; 0 means none.
    pub spurious: u32,
    /// The same as `preemptions`, for the executions in which a sleep ends spuriously or the clock
    /// jumps.
    pub spurious_preemptions: Option<usize>,
    /// The clock may jump at one of this many first readings of an execution; 0 means at none. This
    /// costs nothing for code that never reads the clock.
    pub jumps: u32,
}

impl LoomBounds {
    /// Returns the usual bounds with this number of preemptions.
    #[must_use]
    pub const fn preemptions(preemptions: usize) -> Self {
        let preemptions = Some(preemptions);
        Self { preemptions, spurious_preemptions: preemptions, ..Self::unbounded() }
    }

    /// Returns bounds that limit neither preemptions nor, in practice, anything else.
    #[must_use]
    pub const fn unbounded() -> Self {
        Self {
            preemptions: None,
            max_branches: 20_000,
            max_seconds: 600,
            spurious: 0,
            spurious_preemptions: None,
            jumps: 4,
        }
    }
}

/// What the clock does in the executions of a scenario, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Clock {
    /// Nothing: the scenario never reads it.
    NeverRead,
    /// It passes when a timed wait expires.
    Expires,
    /// It also jumps at most once.
    Jumps {
        /// At one of this many first readings.
        readings: u32,
        /// The bound on preemptions in the executions in which it does.
        preemptions: Preemptions,
    },
}

/// A bound on preemptions, from the least to the most: a number, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Preemptions {
    /// All executions with fewer, and some with as many.
    Below(usize),
    /// Any number.
    Unbounded,
}

impl From<Option<usize>> for Preemptions {
    fn from(bound: Option<usize>) -> Self {
        bound.map_or(Self::Unbounded, Self::Below)
    }
}

const UNBOUNDED: &str = "unbounded";
const BELOW: (&str, &str) = ("below ", " and some with ");

impl fmt::Display for Preemptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(bound) => write!(f, "{}{bound}{}{bound}", BELOW.0, BELOW.1),
            Self::Unbounded => f.write_str(UNBOUNDED),
        }
    }
}

impl Preemptions {
    /// Reads what [`Display`](fmt::Display) has written.
    fn read(text: &str) -> Option<Self> {
        if text == UNBOUNDED {
            return Some(Self::Unbounded);
        }
        let (below, with) = text.strip_prefix(BELOW.0)?.split_once(BELOW.1)?;
        (below == with).then(|| below.parse().ok().map(Self::Below))?
    }
}

const NEVER_READ: &str = "never read";
const EXPIRES: &str = "passes with expiries alone";
const JUMPS: (&str, &str) =
    ("jumps at most once, at one of the first ", " readings; preemptions then: ");

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverRead => f.write_str(NEVER_READ),
            Self::Expires => f.write_str(EXPIRES),
            Self::Jumps { readings, preemptions } => {
                write!(f, "{}{readings}{}{preemptions}", JUMPS.0, JUMPS.1)
            }
        }
    }
}

impl Clock {
    /// Reads what [`Display`](fmt::Display) has written.
    fn read(text: &str) -> Option<Self> {
        match text {
            NEVER_READ => Some(Self::NeverRead),
            EXPIRES => Some(Self::Expires),
            _ => {
                let (readings, preemptions) = text.strip_prefix(JUMPS.0)?.split_once(JUMPS.1)?;
                let preemptions = Preemptions::read(preemptions)?;
                Some(Self::Jumps { readings: readings.parse().ok()?, preemptions })
            }
        }
    }
}

/// Adds the bounds of a verdict to those of others, so that they are those of all together. The
/// clock's bound is that of the scenario in which the clock does most; of scenarios in which it
/// jumps at as many readings, that with the most preemptions then. Otherwise a bound takes the place
/// of an earlier one of the same name.
pub fn merge_bounds(
    all: &mut BTreeMap<&'static str, String>,
    more: impl IntoIterator<Item = (&'static str, String)>,
) {
    for (name, bound) in more {
        let earlier = all.get(name).and_then(|earlier| Clock::read(earlier));
        let most = match (name, earlier, Clock::read(&bound)) {
            ("clock", Some(earlier), Some(later)) => earlier.max(later).to_string(),
            _ => bound,
        };
        all.insert(name, most);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Clock, Preemptions, merge_bounds};

    const fn jumps(readings: u32, preemptions: usize) -> Clock {
        Clock::Jumps { readings, preemptions: Preemptions::Below(preemptions) }
    }

    #[test]
    fn bounds_of_several_scenarios_have_the_clock_that_does_most() {
        // Adds the clocks in several orders; another bound is that which was added last.
        let clocks = [Clock::NeverRead, Clock::Expires, jumps(4, 3), jumps(12, 1), jumps(12, 2)];
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 4, 3, 0, 2]] {
            let mut all = BTreeMap::new();
            for place in order {
                let clock = clocks[place].to_string();
                let more = [("clock", clock), ("preemptions", place.to_string())];
                merge_bounds(&mut all, more);
            }
            let clock = "jumps at most once, at one of the first 12 readings; preemptions then: \
                         below 2 and some with 2"
                .to_owned();
            let last = order[4].to_string();
            assert_eq!(all, BTreeMap::from([("clock", clock), ("preemptions", last)]));
        }
        // A bound in other words takes the place of an earlier one.
        let mut all = BTreeMap::from([("clock", jumps(4, 3).to_string())]);
        merge_bounds(&mut all, [("clock", "one reading in 8".to_owned())]);
        assert_eq!(all["clock"], "one reading in 8");
    }

    #[test]
    fn a_clock_is_read_as_it_was_written() {
        // Writes each and reads it; of bounds on preemptions that differ nothing is read.
        let unbounded = Clock::Jumps { readings: 2, preemptions: Preemptions::Unbounded };
        for clock in [Clock::NeverRead, Clock::Expires, jumps(4, 0), jumps(12, 10), unbounded] {
            assert_eq!(Clock::read(&clock.to_string()), Some(clock));
        }
        let other = jumps(4, 3).to_string().replace("with 3", "with 4");
        assert_eq!(Clock::read(&other), None);
    }
}
