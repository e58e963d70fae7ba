//! The clock of the slots.
//!
//! **Contract.** A [`SlotClock`] says which slot it is and how long ago that began. It asks a
//! source of time each time, so that a clock that steps is followed. Before genesis there is no
//! slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use blocksmith_consensus::Slot;

/// Where time comes from: the time since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub enum Time {
    /// The system's clock.
    #[default]
    System,
    /// Milliseconds that somebody else sets: for tests.
    Manual(Arc<AtomicU64>),
}

impl Time {
    /// Returns the time since the Unix epoch; zero if the system's clock stands before it.
    pub fn now(&self) -> Duration {
        match self {
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            // ORDERING: pairs with nothing; nothing but the number is handed over.
            Self::Manual(milliseconds) => Duration::from_millis(milliseconds.load(Relaxed)),
        }
    }
}

/// A moment: the slot, and milliseconds into it. Before genesis it is the beginning of slot 0.
pub(super) type Moment = (Slot, u64);

/// The clock of one chain.
#[derive(Clone, Debug)]
pub struct SlotClock {
    time: Time,
    genesis: Duration,
    slot: Duration,
}

impl SlotClock {
    /// Returns the clock of a chain that begins `genesis_time` seconds after the Unix epoch, with
    /// slots of `slot_ms` milliseconds. A slot has at least one.
    #[must_use]
    pub fn new(time: Time, genesis_time: u64, slot_ms: u64) -> Self {
        let (genesis, slot) = (Duration::from_secs(genesis_time), slot_ms.max(1));
        Self { time, genesis, slot: Duration::from_millis(slot) }
    }

    /// Returns the slot, and how long ago it began. `None` before genesis.
    #[must_use]
    pub fn now(&self) -> Option<(Slot, Duration)> {
        let since = self.time.now().checked_sub(self.genesis)?;
        let slot = since.as_millis() / self.slot.as_millis();
        let into = since.as_millis() % self.slot.as_millis();
        // Below the length of a slot, which is a number of 64 bits.
        let into = Duration::from_millis(u64::try_from(into).unwrap_or(u64::MAX));
        Some((u64::try_from(slot).unwrap_or(u64::MAX), into))
    }

    /// Returns the slot; the first one before genesis.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.now().map_or(0, |(slot, _)| slot)
    }

    /// Returns the moment.
    pub(super) fn moment(&self) -> Moment {
        let (slot, into) = self.now().unwrap_or_default();
        (slot, u64::try_from(into.as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns how long it is until the next moment at which the services are told the time: the
    /// beginning of a slot, or `early` before that.
    #[must_use]
    pub fn until_tick(&self, early: Duration) -> Duration {
        let Some((_, into)) = self.now() else {
            return self.genesis.saturating_sub(self.time.now());
        };
        let left = self.slot.saturating_sub(into);
        match left.checked_sub(early) {
            Some(until) if !until.is_zero() => until,
            _ => left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(at_ms: u64) -> SlotClock {
        SlotClock::new(Time::Manual(Arc::new(AtomicU64::new(at_ms))), 10, 2_000)
    }

    #[test]
    fn slots_are_counted_from_genesis_and_there_is_none_before() {
        // A millisecond before genesis, at genesis, and in the second slot.
        assert_eq!((clock(9_999).now(), clock(9_999).slot()), (None, 0));
        assert_eq!(clock(10_000).now(), Some((0, Duration::ZERO)));
        assert_eq!(clock(13_500).now(), Some((1, Duration::from_millis(1_500))));
    }

    #[test]
    fn the_next_tick_is_early_or_at_the_beginning_of_a_slot_and_never_at_once() {
        // With slots of two seconds, and half a second early; and slots shorter than that.
        let until = |at| clock(at).until_tick(Duration::from_millis(500)).as_millis();
        assert_eq!([4_000, 10_000, 11_499, 11_500, 11_999].map(until), [6_000, 1_500, 1, 500, 1]);
        let short = SlotClock::new(Time::Manual(Arc::new(AtomicU64::new(10_100))), 10, 400);
        assert_eq!(short.until_tick(Duration::from_millis(500)).as_millis(), 300);
    }
}
