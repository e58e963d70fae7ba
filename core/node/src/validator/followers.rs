//! Threads that follow the beacon nodes: their heads, and what they know of our keys.
//!
//! **Invariants.**
//! - F1 A stream of events that ends, or that cannot be opened, is opened again after a pause: an
//!   end at once does not spin (hazard P6).
//! - F2 A key whose index is not known is asked for in every slot (hazard D1).
//! - F3 With Doppelganger protection a key signs only once the machine of
//!   [`blocksmith::beacon_validator::doppelganger`] says so. A poll that fails is no silence.
//! - F4 The nodes are asked for their health once a slot, two seconds before the next one begins,
//!   or a quarter of a slot if that is less. The answers have until the slot begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use blocksmith::beacon_validator::doppelganger::{
    Doppelganger, DoppelgangerEffect, DoppelgangerEvent, Standing,
};
use blocksmith::beacon_validator::service::Clock;
use blocksmith::beacon_validator::{Reading, Timing, Validator};
use blocksmith::consensus::{Epoch, Slot, ValidatorIndex};
use blocksmith::machine::Machine;
use blocksmith_consensus::{PublicKeyBytes, Root};

use super::WallClock;
use super::ports::Heads;
use crate::beacon_client::{BeaconClient, KnownValidator, NodeEvent};
use crate::beacon_nodes::BeaconNodes;

/// How long a call that no duty waits for may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a stream of events that has ended is opened again.
const REOPEN: Duration = Duration::from_millis(500);
/// A stream of events is opened anew after so many slots.
const LIFETIME_SLOTS: u32 = 16;

/// Hears of complete payloads: the slot and the block. It may wait.
pub(super) type OnPayload = Arc<dyn Fn(Slot, Root) + Send + Sync>;

/// Starts the thread that tells a node's heads, and its complete payloads if somebody hears of them.
/// Its end is the drop of what is returned.
pub(super) fn follow_events(
    node: BeaconClient,
    heads: Arc<Heads>,
    payloads: Option<OnPayload>,
    slot: Duration,
) -> mpsc::Sender<()> {
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let pause = |time| is_over(&stopped, time);
        follow(&node, &heads, payloads.as_deref(), slot, pause);
    });
    stop
}

/// Follows a node's events until a stop. `pause` waits for a stop, at most for the time that it is
/// given, and returns whether it has come.
fn follow(
    node: &BeaconClient,
    heads: &Heads,
    payloads: Option<&(dyn Fn(Slot, Root) + Send + Sync)>,
    slot: Duration,
    pause: impl Fn(Duration) -> bool,
) {
    // A node that does not know the event of payloads may refuse the stream because of it.
    let mut wants_payloads = payloads.is_some();
    loop {
        match node.events(wants_payloads, slot.saturating_mul(LIFETIME_SLOTS)) {
            Ok(stream) => {
                for event in stream {
                    match event {
                        NodeEvent::Head(head) => heads.tell(&head),
                        NodeEvent::PayloadAvailable { slot, block } => {
                            payloads.iter().for_each(|tell| tell(slot, block));
                        }
                    }
                    if pause(Duration::ZERO) {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no stream of events");
                wants_payloads &= error.status() != Some(400);
            }
        }
        // F1
        if pause(REOPEN.min(slot)) {
            return;
        }
    }
}

/// Our keys, and what is known of them.
#[derive(Debug)]
pub(super) struct Keys {
    unknown: Vec<PublicKeyBytes>,
    known: BTreeMap<ValidatorIndex, PublicKeyBytes>,
    /// `None` if every key may sign.
    doppelganger: Option<Doppelganger>,
}

impl Keys {
    /// Returns keys of which nothing is known. Each listens for `epochs` epochs, if there are any.
    pub(super) fn new(keys: Vec<PublicKeyBytes>, epochs: u64, limit: usize) -> Self {
        let doppelganger = (epochs > 0).then(|| Doppelganger::new(epochs, limit));
        Self { unknown: keys, known: BTreeMap::new(), doppelganger }
    }

    /// Takes in what a node knows. Returns whether that is more than before.
    fn learn(&mut self, found: Vec<KnownValidator>) -> bool {
        let before = self.known.len();
        for KnownValidator { index, pubkey, .. } in found {
            if let Some(at) = self.unknown.iter().position(|key| *key == pubkey) {
                self.unknown.swap_remove(at);
                self.known.insert(index, pubkey);
            }
        }
        self.known.len() > before
    }

    /// Has the protection handle an event. Returns whether a validator's standing has changed, and
    /// the poll that is to be made.
    fn protect(&mut self, event: DoppelgangerEvent) -> (bool, Option<Poll>) {
        let (mut changed, mut poll) = (false, None);
        let Some(machine) = &mut self.doppelganger else { return (changed, poll) };
        for effect in machine.handle(&(), event) {
            match effect {
                DoppelgangerEffect::Poll { poll: id, epoch, validators } => {
                    poll = Some(Poll { id, epoch, validators });
                }
                DoppelgangerEffect::Clear(validator) => {
                    tracing::info!(validator, "nobody else signs with its key");
                    changed = true;
                }
                DoppelgangerEffect::Detected(validator) => {
                    tracing::error!(
                        validator,
                        "somebody else signs with its key; it signs nothing"
                    );
                }
            }
        }
        (changed, poll)
    }

    /// Returns our validators, as the duties' machine takes them.
    fn validators(&self) -> Vec<Validator<PublicKeyBytes>> {
        let may_sign = |index: ValidatorIndex| match &self.doppelganger {
            None => true,
            Some(machine) => machine.standing(index) == Some(Standing::Clear),
        };
        let validator = |(index, key): (&ValidatorIndex, &PublicKeyBytes)| Validator {
            index: *index,
            key: *key,
            may_sign: may_sign(*index),
        };
        self.known.iter().map(validator).collect()
    }

    /// Returns whether nothing more can be learnt.
    fn is_settled(&self) -> bool {
        self.unknown.is_empty() && self.doppelganger.is_none()
    }
}

/// A question of who was live.
#[derive(Debug, PartialEq, Eq)]
struct Poll {
    id: u64,
    epoch: Epoch,
    validators: Vec<ValidatorIndex>,
}

/// Starts the thread that learns the indices of the keys and whether they may sign, and tells what
/// it has learnt. Its end is the
/// drop of what is returned.
pub(super) fn follow_keys(
    nodes: BeaconNodes,
    mut keys: Keys,
    tell: impl Fn(Vec<Validator<PublicKeyBytes>>) + Send + 'static,
    clock: WallClock,
    timing: Timing,
) -> mpsc::Sender<()> {
    let (stop, stopped) = mpsc::channel::<()>();
    let slot = Duration::from_millis(timing.slot_ms);
    std::thread::spawn(move || {
        loop {
            if look(&nodes, &mut keys, &clock, timing) {
                tell(keys.validators());
            }
            if keys.is_settled() || is_over(&stopped, slot) {
                return;
            }
        }
    });
    stop
}

/// Asks the nodes about the keys once. Returns whether the duties' machine has to be told.
fn look(nodes: &BeaconNodes, keys: &mut Keys, clock: &WallClock, timing: Timing) -> bool {
    // The clock first: a validator that is added is added in the present epoch.
    let epoch = match clock.read() {
        Reading::BeforeGenesis => None,
        Reading::SinceGenesis(ms) => Some(ms / timing.slot_ms / timing.slots_per_epoch),
    };
    let (mut changed, mut poll) = keys.protect(DoppelgangerEvent::Clock(epoch));
    if !keys.unknown.is_empty() {
        let unknown = keys.unknown.clone();
        match nodes.ask(PATIENCE, move |node, time| node.validators(&unknown, time)) {
            Ok(found) => {
                if keys.learn(found) {
                    let ours = keys.known.keys().copied().collect();
                    let (cleared, next) = keys.protect(DoppelgangerEvent::Add(ours));
                    changed |= cleared || keys.doppelganger.is_none();
                    poll = poll.or(next);
                }
            }
            Err(error) => tracing::warn!(%error, "the keys' validators are not known"),
        }
    }
    if let Some(Poll { id, epoch, validators }) = poll {
        let live = nodes.ask(PATIENCE, move |node, time| node.liveness(epoch, &validators, time));
        let live = live.inspect_err(|error| tracing::warn!(%error, "who was live is not known"));
        let answer = DoppelgangerEvent::Answer { poll: id, live: live.ok() };
        changed |= keys.protect(answer).0;
    }
    changed
}

/// How long before a slot the nodes' health is asked for, at most.
const CHECK_LEAD_MS: u64 = 2_000;

/// Starts the thread that has the nodes' health checked. Its end is the drop of what is returned.
pub(super) fn follow_health(
    nodes: BeaconNodes,
    clock: WallClock,
    timing: Timing,
) -> mpsc::Sender<()> {
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        while !is_over(&stopped, until_check(clock.read(), timing.slot_ms)) {
            nodes.check(Duration::from_millis(check_lead_ms(timing.slot_ms)));
        }
    });
    stop
}

fn check_lead_ms(slot_ms: u64) -> u64 {
    CHECK_LEAD_MS.min(slot_ms / 4)
}

/// Returns how long it is until the health is asked for next, which is never now: a check that has
/// begun is not begun again (F4). At most a slot, whatever the clock does.
fn until_check(now: Reading, slot_ms: u64) -> Duration {
    let Reading::SinceGenesis(ms) = now else { return Duration::from_millis(slot_ms) };
    let (into_slot, at) = (ms % slot_ms.max(1), slot_ms - check_lead_ms(slot_ms));
    let wait = if into_slot < at { at - into_slot } else { slot_ms - into_slot + at };
    Duration::from_millis(wait)
}

/// Waits for a stop, at most for `pause`, and returns whether it has come.
fn is_over(stopped: &mpsc::Receiver<()>, pause: Duration) -> bool {
    stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::http_client::tests::serve;

    fn key(byte: u8) -> PublicKeyBytes {
        PublicKeyBytes::new([byte; 48])
    }

    fn known(index: u64, byte: u8) -> KnownValidator {
        KnownValidator { index, pubkey: key(byte), active: true }
    }

    fn may_sign(keys: &Keys) -> Vec<(u64, bool)> {
        keys.validators().iter().map(|it| (it.index, it.may_sign)).collect()
    }

    #[test]
    fn a_stream_that_ends_is_opened_again_after_a_pause_and_without_an_event_it_does_not_know() {
        // The first stream is refused, and the next ones end at once; the third pause is the stop.
        let head = |byte: u8| {
            let root = Root::new([byte; 32]);
            let text = format!(
                r#"{{"slot":"{byte}","block":"{root}","previous_duty_dependent_root":"{root}",
                "current_duty_dependent_root":"{root}"}}"#
            );
            (200, format!("event: head\ndata: {}\n\n", text.replace('\n', "")))
        };
        let (url, server) = serve(vec![(400, String::new()), head(1), head(2)]);
        let node = BeaconClient::new(&url).unwrap();
        let (heads, told) = (Heads::new(8), Arc::new(Mutex::new(Vec::new())));
        let heard = told.clone();
        heads.tell_to(move |head| heard.lock().unwrap().push(head.slot));
        let pauses = Mutex::new(Vec::new());
        let pause = |time: Duration| {
            let mut pauses = pauses.lock().unwrap();
            pauses.push(time);
            pauses.iter().filter(|time| !time.is_zero()).count() == 3
        };
        let payloads = |_, _| ();
        follow(&node, &heads, Some(&payloads), Duration::from_secs(60), pause);
        assert_eq!(*told.lock().unwrap(), [1, 2]);
        let all = pauses.into_inner().unwrap();
        assert_eq!(all.iter().filter(|time| **time == REOPEN).count(), 3, "one for each end");
        let seen = server.join().unwrap();
        let topics = ["head,execution_payload_available", "head", "head"];
        for ((path, _), topics) in seen.iter().zip(topics) {
            assert_eq!(*path, format!("GET /eth/v1/events?topics={topics}"));
        }
    }

    #[test]
    fn health_is_asked_for_two_seconds_before_a_slot_and_once() {
        // Slots of 12 s: at their begin, a moment before the check, at it, and behind it.
        let wait = |ms, slot| until_check(Reading::SinceGenesis(ms), slot).as_millis();
        let waits = [120_000, 129_999, 130_000, 131_000].map(|ms| wait(ms, 12_000));
        assert_eq!(waits, [10_000, 1, 12_000, 11_000]);
        // Of a short slot a quarter; and before genesis the clock is looked at every slot.
        assert_eq!((wait(0, 400), wait(300, 400)), (300, 400));
        assert_eq!(until_check(Reading::BeforeGenesis, 400).as_millis(), 400);
    }

    #[test]
    fn a_key_is_learnt_once_and_a_key_that_is_not_ours_never() {
        // Two keys; a node names one of them, then a stranger, then the same one elsewhere.
        let mut keys = Keys::new(vec![key(1), key(2)], 0, 10);
        assert!(keys.learn(vec![known(7, 1), known(8, 9)]));
        assert!(!keys.learn(vec![known(9, 1)]));
        assert_eq!((may_sign(&keys), keys.is_settled()), (vec![(7, true)], false));
        assert!(keys.learn(vec![known(3, 2)]));
        assert_eq!((may_sign(&keys), keys.is_settled()), (vec![(3, true), (7, true)], true));
    }

    #[test]
    fn a_key_signs_after_a_silent_epoch_and_never_after_a_live_one() {
        // Added in epoch 3. Its epoch 4 is asked about in epoch 5, and a failure says nothing.
        let mut keys = Keys::new(vec![key(1), key(2)], 1, 10);
        keys.learn(vec![known(1, 1), known(2, 2)]);
        assert_eq!(keys.protect(DoppelgangerEvent::Clock(Some(3))), (false, None));
        assert_eq!(keys.protect(DoppelgangerEvent::Add(vec![1, 2])), (false, None));
        assert_eq!(may_sign(&keys), [(1, false), (2, false)]);
        let (_, poll) = keys.protect(DoppelgangerEvent::Clock(Some(5)));
        let Poll { id, epoch, validators } = poll.unwrap();
        assert_eq!((epoch, validators), (4, vec![1, 2]));
        let failed = DoppelgangerEvent::Answer { poll: id, live: None };
        assert!(!keys.protect(failed).0);
        let (_, poll) = keys.protect(DoppelgangerEvent::Clock(Some(5)));
        let live = Some(vec![(1, false), (2, true)]);
        let answer = DoppelgangerEvent::Answer { poll: poll.unwrap().id, live };
        assert_eq!(keys.protect(answer), (true, None));
        assert_eq!(may_sign(&keys), [(1, true), (2, false)]);
        assert!(!keys.is_settled());
    }

    #[test]
    fn a_key_that_is_known_before_genesis_signs_at_once() {
        // Nobody can have signed before.
        let mut keys = Keys::new(vec![key(1)], 2, 10);
        keys.learn(vec![known(4, 1)]);
        assert_eq!(keys.protect(DoppelgangerEvent::Clock(None)), (false, None));
        assert_eq!(keys.protect(DoppelgangerEvent::Add(vec![4])), (true, None));
        assert_eq!(may_sign(&keys), [(4, true)]);
    }
}
