//! Doppelganger protection: a key signs only once nobody else was heard to sign with it.
//!
//! **Contract.** A validator that is added listens for a number of whole epochs, one after the
//! other. For each of them the beacon node is asked, after the epoch is over, whether the validator
//! was live in it. If it was live in one, somebody else signs with its key, and it never may. If it
//! was silent in all of them, it may sign from then on.
//!
//! | state | left by |
//! |---|---|
//! | listening | silence in so many whole epochs: clear; life in one: detected |
//! | clear | - |
//! | detected | - |
//!
//! **Invariants.**
//! - D1 Only an answer that names the validator is silence. A poll that fails, or that leaves the
//!   validator out, is none, and is made again at the next reading of the clock.
//! - D2 The epoch in which a validator is added does not count: we may have signed in it ourselves,
//!   before a restart.
//! - D3 The epochs of silence follow each other. After an epoch of which no answer came in time the
//!   validator listens anew.
//! - D4 One poll is under way at most. An answer to another is dropped. A poll is given up when the
//!   next epoch begins, as the node answers for the epoch before the present one alone.
//! - D5 Nobody can have signed before genesis, so a validator that is added then is clear.
//!
//! Source: the `liveness` route of the beacon API.

use std::collections::BTreeMap;

use crate::consensus::{Epoch, ValidatorIndex};
use crate::machine::Machine;

/// Whether a validator may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It may not sign yet. It was silent from the epoch after `since` up to and with `heard`.
    Listening {
        /// The epoch in which it was added, or of which no answer came.
        since: Epoch,
        /// The last epoch that was silent, or `since`.
        heard: Epoch,
    },
    /// It may sign.
    Clear,
    /// Somebody else signs with its key.
    Detected,
}

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DoppelgangerEvent {
    /// The clock was read; `None` before genesis. It may step back.
    Clock(Option<Epoch>),
    /// These validators are ours as well. Those that are known are not added again.
    Add(Vec<ValidatorIndex>),
    /// A poll was answered, or failed.
    Answer {
        /// The poll.
        poll: u64,
        /// Which validators were live and which were silent; `None` if the poll failed.
        live: Option<Vec<(ValidatorIndex, bool)>>,
    },
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DoppelgangerEffect {
    /// The beacon node is to be asked who was live.
    Poll {
        /// Identifies the answer.
        poll: u64,
        /// The epoch, which is over.
        epoch: Epoch,
        /// Who is asked about, ascending.
        validators: Vec<ValidatorIndex>,
    },
    /// The validator may sign.
    Clear(ValidatorIndex),
    /// Somebody else signs with the validator's key: it must never sign here.
    Detected(ValidatorIndex),
}

/// The machine; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Doppelganger {
    /// How many whole epochs a validator listens.
    epochs: u64,
    /// Validators beyond this number are not taken.
    limit: usize,
    /// The latest epoch that the clock has read; `None` before genesis.
    epoch: Option<Epoch>,
    validators: BTreeMap<ValidatorIndex, Standing>,
    /// The poll under way, and its epoch.
    poll: Option<(u64, Epoch)>,
    next_poll: u64,
}

impl Doppelganger {
    /// Returns a machine without validators. Each listens for `epochs` whole epochs, and at most
    /// `limit` are taken.
    ///
    /// # Panics
    /// If `epochs` is 0: without listening there is no protection.
    #[must_use]
    pub fn new(epochs: u64, limit: usize) -> Self {
        assert!(epochs > 0, "a validator listens for at least one epoch");
        let validators = BTreeMap::new();
        Self { epochs, limit, epoch: None, validators, poll: None, next_poll: 0 }
    }

    /// Returns whether a validator may sign; `None` if it was not added.
    #[must_use]
    pub fn standing(&self, validator: ValidatorIndex) -> Option<Standing> {
        self.validators.get(&validator).copied()
    }

    fn add(&mut self, validators: Vec<ValidatorIndex>, effects: &mut Vec<DoppelgangerEffect>) {
        for validator in validators {
            let fits = self.validators.len() < self.limit;
            if !fits || self.validators.contains_key(&validator) {
                continue;
            }
            let standing = match self.epoch {
                None => Standing::Clear,
                Some(since) => Standing::Listening { since, heard: since },
            };
            self.validators.insert(validator, standing);
            if standing == Standing::Clear {
                effects.push(DoppelgangerEffect::Clear(validator));
            }
        }
    }

    fn read(&mut self, epoch: Option<Epoch>, effects: &mut Vec<DoppelgangerEffect>) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.poll = None;
            self.listen_anew();
        }
        self.ask(effects);
    }

    /// A validator whose silence has a gap listens anew from the present epoch.
    fn listen_anew(&mut self) {
        let Some(now) = self.epoch else { return };
        for standing in self.validators.values_mut() {
            let Standing::Listening { heard, .. } = *standing else { continue };
            // The epoch before the present one can still be asked about.
            if heard.saturating_add(2) < now {
                *standing = Standing::Listening { since: now, heard: now };
            }
        }
    }

    /// Polls the epoch before the present one, if somebody has listened to all of it.
    fn ask(&mut self, effects: &mut Vec<DoppelgangerEffect>) {
        let Some(over) = self.epoch.and_then(|now| now.checked_sub(1)) else { return };
        if self.poll.is_some() {
            return;
        }
        let awaits = |standing: &Standing| match standing {
            Standing::Listening { heard, .. } => *heard < over,
            Standing::Clear | Standing::Detected => false,
        };
        let awaiting = self.validators.iter().filter(|(_, standing)| awaits(standing));
        let validators: Vec<_> = awaiting.map(|(validator, _)| *validator).collect();
        if validators.is_empty() {
            return;
        }
        let poll = self.next_poll;
        self.next_poll += 1;
        self.poll = Some((poll, over));
        effects.push(DoppelgangerEffect::Poll { poll, epoch: over, validators });
    }

    fn answer(
        &mut self,
        poll: u64,
        live: Option<Vec<(ValidatorIndex, bool)>>,
        effects: &mut Vec<DoppelgangerEffect>,
    ) {
        let Some((_, epoch)) = self.poll.filter(|(under_way, _)| *under_way == poll) else {
            return;
        };
        self.poll = None;
        for (validator, is_live) in live.unwrap_or_default() {
            let Some(standing) = self.validators.get_mut(&validator) else { continue };
            let Standing::Listening { since, heard } = *standing else { continue };
            // A validator that was added since, or an entry twice, is not what was asked about.
            if heard.saturating_add(1) != epoch && !(is_live && epoch > since) {
                continue;
            }
            if is_live {
                *standing = Standing::Detected;
                effects.push(DoppelgangerEffect::Detected(validator));
            } else if epoch - since >= self.epochs {
                *standing = Standing::Clear;
                effects.push(DoppelgangerEffect::Clear(validator));
            } else {
                *standing = Standing::Listening { since, heard: epoch };
            }
        }
    }
}

impl Machine for Doppelganger {
    type Event = DoppelgangerEvent;
    type Effect = DoppelgangerEffect;

    fn handle(&mut self, (): &(), event: DoppelgangerEvent) -> Vec<DoppelgangerEffect> {
        let mut effects = Vec::new();
        match event {
            DoppelgangerEvent::Clock(epoch) => self.read(epoch, &mut effects),
            DoppelgangerEvent::Add(validators) => self.add(validators, &mut effects),
            DoppelgangerEvent::Answer { poll, live } => self.answer(poll, live, &mut effects),
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::DoppelgangerEffect::{Clear, Detected, Poll};
    use super::DoppelgangerEvent::{Add, Answer, Clock};
    use super::{Doppelganger, DoppelgangerEffect, Standing};
    use crate::machine::Machine;

    /// Two epochs of silence; validator 7 is added in epoch 5.
    fn listening() -> Doppelganger {
        let mut machine = Doppelganger::new(2, 3);
        machine.handle(&(), Clock(Some(5)));
        assert_eq!(machine.handle(&(), Add(vec![7])), []);
        machine
    }

    /// Reads an epoch, and returns the poll that it begins.
    fn polled(machine: &mut Doppelganger, now: u64) -> u64 {
        match machine.handle(&(), Clock(Some(now))).as_slice() {
            [Poll { poll, epoch, .. }] if *epoch + 1 == now => *poll,
            other => panic!("no poll in epoch {now}: {other:?}"),
        }
    }

    fn silent(poll: u64) -> super::DoppelgangerEvent {
        Answer { poll, live: Some(vec![(7, false)]) }
    }

    #[test]
    fn a_validator_is_clear_after_so_many_whole_epochs_of_silence() {
        // Epoch 5, in which it was added, does not count; epochs 6 and 7 do.
        let mut machine = listening();
        assert_eq!(machine.handle(&(), Clock(Some(5))), []);
        assert_eq!(machine.handle(&(), Clock(Some(6))), [], "epoch 5 is not polled");
        let poll = polled(&mut machine, 7);
        assert_eq!(machine.handle(&(), silent(poll)), []);
        assert_eq!(machine.standing(7), Some(Standing::Listening { since: 5, heard: 6 }));
        let poll = polled(&mut machine, 8);
        assert_eq!(machine.handle(&(), silent(poll)), [Clear(7)]);
        assert_eq!(machine.handle(&(), Clock(Some(9))), [], "nobody listens");
    }

    #[test]
    fn a_validator_that_was_live_never_signs() {
        // It is live in epoch 6, and silent afterwards.
        let mut machine = listening();
        let poll = polled(&mut machine, 7);
        let live = Some(vec![(7, true)]);
        assert_eq!(machine.handle(&(), Answer { poll, live }), [Detected(7)]);
        for now in 8..12 {
            assert_eq!(machine.handle(&(), Clock(Some(now))), []);
        }
        assert_eq!(machine.handle(&(), Add(vec![7])), []);
        assert_eq!(machine.standing(7), Some(Standing::Detected));
    }

    #[test]
    fn a_poll_that_fails_or_leaves_the_validator_out_is_no_silence() {
        // Both are made again at the next reading.
        let mut machine = listening();
        for live in [None, Some(vec![]), Some(vec![(8, false)])] {
            let poll = polled(&mut machine, 7);
            assert_eq!(machine.handle(&(), Clock(Some(7))), [], "one is under way");
            assert_eq!(machine.handle(&(), Answer { poll, live }), []);
            assert_eq!(machine.standing(7), Some(Standing::Listening { since: 5, heard: 5 }));
        }
        let poll = polled(&mut machine, 7);
        machine.handle(&(), silent(poll));
        assert_eq!(machine.standing(7), Some(Standing::Listening { since: 5, heard: 6 }));
    }

    #[test]
    fn an_answer_that_is_late_or_doubled_is_dropped() {
        // The poll of epoch 6 is answered in epoch 8, and that of epoch 7 twice.
        let mut machine = listening();
        let late = polled(&mut machine, 7);
        assert_eq!(machine.handle(&(), Clock(Some(8))), [], "it listens anew");
        assert_eq!(machine.standing(7), Some(Standing::Listening { since: 8, heard: 8 }));
        assert_eq!(machine.handle(&(), silent(late)), []);
        let poll = polled(&mut machine, 10);
        assert_eq!(machine.handle(&(), silent(late)), []);
        assert_eq!(machine.standing(7), Some(Standing::Listening { since: 8, heard: 8 }));
        let twice = Some(vec![(7, false), (7, false)]);
        assert_eq!(machine.handle(&(), Answer { poll, live: twice }), []);
        assert_eq!(machine.handle(&(), silent(poll)), []);
        assert_eq!(machine.standing(7), Some(Standing::Listening { since: 8, heard: 9 }));
    }

    #[test]
    fn an_answer_that_says_both_of_a_validator_says_that_it_is_live() {
        // It is silent in the first entry and live in the second.
        let mut machine = listening();
        let poll = polled(&mut machine, 7);
        let live = Some(vec![(7, false), (7, true)]);
        assert_eq!(machine.handle(&(), Answer { poll, live }), [Detected(7)]);
    }

    #[test]
    fn a_validator_may_have_been_live_in_the_epoch_in_which_it_was_added() {
        // Validator 8 is added in epoch 6, and 9 while epoch 6 is asked about. The answer has both.
        let mut machine = listening();
        machine.handle(&(), Clock(Some(6)));
        machine.handle(&(), Add(vec![8]));
        let poll = polled(&mut machine, 7);
        machine.handle(&(), Add(vec![9]));
        let live = Some(vec![(7, false), (8, true), (9, true)]);
        assert_eq!(machine.handle(&(), Answer { poll, live }), []);
        assert_eq!(machine.standing(8), Some(Standing::Listening { since: 6, heard: 6 }));
        assert_eq!(machine.standing(9), Some(Standing::Listening { since: 7, heard: 7 }));
    }

    #[test]
    fn an_epoch_without_an_answer_is_a_gap() {
        // The clock jumps over the epoch in which epoch 7 could have been asked about.
        let mut machine = listening();
        let poll = polled(&mut machine, 7);
        machine.handle(&(), silent(poll));
        machine.handle(&(), Clock(Some(9)));
        assert_eq!(machine.standing(7), Some(Standing::Listening { since: 9, heard: 9 }));
    }

    #[test]
    fn a_clock_that_steps_back_changes_nothing() {
        // Epoch 6 again after 7: the poll of epoch 6 is still the one under way.
        let mut machine = listening();
        let poll = polled(&mut machine, 7);
        assert_eq!(machine.handle(&(), Clock(Some(6))), []);
        machine.handle(&(), silent(poll));
        assert_eq!(machine.handle(&(), Clock(Some(6))), []);
        assert_eq!(machine.standing(7), Some(Standing::Listening { since: 5, heard: 6 }));
    }

    #[test]
    fn before_genesis_a_validator_is_clear_and_beyond_the_limit_none_is_taken() {
        // The limit is three.
        let mut machine = Doppelganger::new(2, 3);
        machine.handle(&(), Clock(None));
        let effects = machine.handle(&(), Add(vec![1, 2, 3, 4, 1]));
        assert_eq!(effects, [Clear(1), Clear(2), Clear(3)]);
        assert_eq!(machine.standing(4), None);
        let none: [DoppelgangerEffect; 0] = [];
        assert_eq!(machine.handle(&(), Clock(Some(0))), none);
    }
}
