//! What lies too far ahead of the clock is not signed.
//!
//! **Contract.** [`Horizon::admits`] refuses a block or an attestation that lies more than one
//! epoch ahead: a block whose slot is more than an epoch's slots after the slot of now, and a vote
//! whose target is after the epoch that follows the one of now. Before genesis it is slot 0.
//! [`Horizon::admits_payload_vote`] refuses a vote on the payload of a slot that is more than an
//! epoch's slots after the slot of now: nothing of it is recorded, but a signature that is made now
//! could be shown then, and the one vote of that slot would be a stranger's choice.
//! Validators' own duties lie within that: they sign when a slot has begun. It refuses before
//! anything is recorded, so that nobody can bar a key by a vote for a far epoch or a block of a far
//! slot: such a record would refuse all that the key has to sign until then.
//!
//! **What it is not.** It does not refuse what is old; slashing protection does. It says nothing of
//! what else is never slashable, which is not recorded. And a signer without it signs and records any
//! slot and epoch: there, whoever reaches the signer can bar its keys.
//!
//! **A clock that steps.** The time of now is the later one of two: the system's time, and the
//! system's time when the signer was started, plus what has run since then by a clock that never
//! steps. So a step back bars no duty while the signer lives. After a restart it bars duties until
//! the system's time is right again, or within an epoch of it. A step ahead admits what lies that
//! much further ahead, until the clock is right again. If the signer was started with a clock that
//! was ahead, that lasts until a restart.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use blocksmith::slashing_protection::Statement;
use blocksmith_consensus::{Epoch, Slot};

/// Epochs by which what is signed may be ahead of the clock.
const AHEAD: u64 = 1;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Returns the time since the Unix epoch, as the system believes it; it may step. Zero if it is
    /// before that.
    fn system(&self) -> Duration;

    /// Returns the time since some moment; it never steps.
    fn steady(&self) -> Duration;
}

/// The clocks of the system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn system(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn steady(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Why a message is not signed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooFarAhead {
    /// The block's slot has not come for long.
    #[error("slot {slot} is more than an epoch ahead of the clock, by which it is slot {now}")]
    Block {
        /// The slot asked for.
        slot: Slot,
        /// The slot of now.
        now: Slot,
    },
    /// The slot whose payload is voted on has not come for long.
    #[error(
        "slot {slot} of the payload is more than an epoch ahead of the clock, by which it is \
             slot {now}"
    )]
    PayloadVote {
        /// The slot asked for.
        slot: Slot,
        /// The slot of now.
        now: Slot,
    },
    /// The vote's target has not come for long.
    #[error("target {target} is more than an epoch ahead of the clock, by which it is epoch {now}")]
    Vote {
        /// The target asked for.
        target: Epoch,
        /// The epoch of now.
        now: Epoch,
    },
}

/// A clock, and the chain whose slots it counts.
pub struct Horizon {
    clock: Box<dyn Clock>,
    genesis: Duration,
    slot: Duration,
    /// The system's time when the steady clock was at zero, as it seemed at the start.
    steady_began: Duration,
}

impl Horizon {
    /// Reads the clock, of a chain that begins `genesis_time` seconds after the Unix epoch, with
    /// slots of `slot_ms` milliseconds; a slot has at least one.
    #[must_use]
    pub fn new(clock: Box<dyn Clock>, genesis_time: u64, slot_ms: u64) -> Self {
        let (genesis, slot) = (Duration::from_secs(genesis_time), slot_ms.max(1));
        let steady_began = clock.system().saturating_sub(clock.steady());
        Self { clock, genesis, slot: Duration::from_millis(slot), steady_began }
    }

    /// Returns the slot of now; the first one before genesis.
    fn now(&self) -> Slot {
        let steady = self.steady_began.saturating_add(self.clock.steady());
        let since = self.clock.system().max(steady).saturating_sub(self.genesis);
        u64::try_from(since.as_millis() / self.slot.as_millis()).unwrap_or(u64::MAX)
    }

    /// Asks whether a message may be signed now, in epochs of `slots_per_epoch` slots. Reads the
    /// clock; does not block.
    ///
    /// # Errors
    /// [`TooFarAhead`] if it lies more than an epoch ahead.
    ///
    /// # Panics
    /// If `slots_per_epoch` is 0.
    pub fn admits(&self, statement: &Statement, slots_per_epoch: u64) -> Result<(), TooFarAhead> {
        let now = self.now();
        match *statement {
            Statement::Block { slot, .. } => {
                let last = last_slot(now, slots_per_epoch);
                if slot > last { Err(TooFarAhead::Block { slot, now }) } else { Ok(()) }
            }
            Statement::Attestation { target, .. } => {
                let now = now / slots_per_epoch;
                let last = now.saturating_add(AHEAD);
                if target > last { Err(TooFarAhead::Vote { target, now }) } else { Ok(()) }
            }
        }
    }

    /// Asks whether a vote on the payload of a slot may be signed now; see [`Horizon::admits`].
    ///
    /// # Errors
    /// [`TooFarAhead`] if the slot lies more than an epoch ahead.
    pub fn admits_payload_vote(&self, slot: Slot, slots_per_epoch: u64) -> Result<(), TooFarAhead> {
        let now = self.now();
        let is_near = slot <= last_slot(now, slots_per_epoch);
        if is_near { Ok(()) } else { Err(TooFarAhead::PayloadVote { slot, now }) }
    }
}

/// Returns the last slot that is admitted in slot `now`.
fn last_slot(now: Slot, slots_per_epoch: u64) -> Slot {
    now.saturating_add(AHEAD.saturating_mul(slots_per_epoch))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    /// Clocks in milliseconds, which tests set.
    #[derive(Clone, Default)]
    pub(in crate::signer) struct ManualClock {
        pub(in crate::signer) system: Arc<AtomicU64>,
        pub(in crate::signer) steady: Arc<AtomicU64>,
    }

    impl Clock for ManualClock {
        fn system(&self) -> Duration {
            Duration::from_millis(self.system.load(Relaxed))
        }

        fn steady(&self) -> Duration {
            Duration::from_millis(self.steady.load(Relaxed))
        }
    }

    /// Genesis at 100 s, slots of 2 s; epochs have 8 slots.
    fn horizon(system_ms: u64) -> (Horizon, ManualClock) {
        let clock = ManualClock::default();
        clock.system.store(system_ms, Relaxed);
        clock.steady.store(77_000, Relaxed);
        (Horizon::new(Box::new(clock.clone()), 100, 2_000), clock)
    }

    fn block(horizon: &Horizon, slot: Slot) -> Result<(), TooFarAhead> {
        horizon.admits(&Statement::Block { slot, signing_root: [1; 32] }, 8)
    }

    fn vote(horizon: &Horizon, target: Epoch) -> Result<(), TooFarAhead> {
        let statement = Statement::Attestation { source: 0, target, signing_root: [1; 32] };
        horizon.admits(&statement, 8)
    }

    #[test]
    fn what_lies_more_than_an_epoch_ahead_is_refused() {
        // In slot 12, of epoch 1, in its first and in its last millisecond.
        for at in [124_000, 125_999] {
            let (horizon, _) = horizon(at);
            assert_eq!(block(&horizon, 20), Ok(()));
            assert_eq!(block(&horizon, 21), Err(TooFarAhead::Block { slot: 21, now: 12 }));
            assert!(block(&horizon, u64::MAX).is_err() && vote(&horizon, u64::MAX).is_err());
            assert_eq!(vote(&horizon, 2), Ok(()));
            assert_eq!(vote(&horizon, 3), Err(TooFarAhead::Vote { target: 3, now: 1 }));
            assert_eq!((block(&horizon, 0), vote(&horizon, 0)), (Ok(()), Ok(())));
            let payload = |slot| horizon.admits_payload_vote(slot, 8);
            assert_eq!((payload(0), payload(20)), (Ok(()), Ok(())));
            assert_eq!(payload(21), Err(TooFarAhead::PayloadVote { slot: 21, now: 12 }));
            assert!(payload(u64::MAX).is_err());
        }
    }

    #[test]
    fn before_genesis_it_is_slot_zero() {
        // Long before, at the Unix epoch, and a moment before.
        for at in [0, 99_999] {
            let (horizon, _) = horizon(at);
            assert_eq!((block(&horizon, 8), vote(&horizon, 1)), (Ok(()), Ok(())));
            assert!(block(&horizon, 9).is_err() && vote(&horizon, 2).is_err());
        }
    }

    #[test]
    fn a_clock_that_steps_back_bars_no_duty() {
        // Started in slot 50; the system's clock is set to before genesis, and time runs on.
        let (horizon, clock) = horizon(200_000);
        clock.system.store(0, Relaxed);
        assert_eq!((block(&horizon, 50), vote(&horizon, 6)), (Ok(()), Ok(())));
        clock.steady.fetch_add(200_000, Relaxed);
        assert_eq!((block(&horizon, 150), vote(&horizon, 18)), (Ok(()), Ok(())));
        assert!(block(&horizon, 159).is_err() && vote(&horizon, 20).is_err());
    }

    #[test]
    fn a_clock_that_steps_ahead_and_back_admits_no_more_than_before() {
        // Ahead by a hundred slots, and right again.
        let (horizon, clock) = horizon(200_000);
        clock.system.fetch_add(200_000, Relaxed);
        assert_eq!(block(&horizon, 158), Ok(()));
        clock.system.fetch_sub(200_000, Relaxed);
        assert_eq!(block(&horizon, 58), Ok(()));
        assert!(block(&horizon, 59).is_err());
    }

    #[test]
    fn the_clocks_of_the_system_run() {
        // The system's time is after the first release of this; the steady clock does not go back.
        let clock = SystemClock::default();
        assert!(clock.system() > Duration::from_secs(1_700_000_000));
        let first = clock.steady();
        assert!(clock.steady() >= first);
    }
}
