//! The thread of the BeaconValidator, and what it talks to.
//!
//! **Contract.** The thread takes heads, validators and answers from its mailbox and the time from
//! its clock, has the machine handle them, and starts what the machine asks for. It never waits for
//! a port: a port starts a request and returns, and any number of requests overlap.
//!
//! | call | blocks | woken by |
//! |---|---|---|
//! | [`BeaconValidatorService::run`] | until a message comes, or the machine's next time | its mailbox, the clock |
//! | [`BeaconValidatorHandle::head`], `validators`, `tick` | while the mailbox is full | the thread |
//! | [`BeaconValidatorHandle::stop`] | no: its slot in the mailbox is reserved | - |
//! | [`Answer::give`], the drop of an [`Answer`] | no: its slot in the mailbox is reserved | - |
//!
//! A port, and the journal, may call what does not block. They run in the service's own thread: a
//! call of theirs that waits for room in the mailbox waits for itself.
//!
//! **Invariants.**
//! - I1 Every request that is started is answered once: an [`Answer`] that is dropped says
//!   [`Reply::Failed`] (hazard M10). Each answer belongs to one request (M9).
//! - I2 The clock is read after every wait. So a duty of a slot that is over is not done after a
//!   late wake-up.
//! - I3 No lock is held while a port is called. The thread is the machine's only owner.
//! - I4 A stop ends the thread without waiting for answers under way. What they carry is dropped,
//!   so that no signature leaves after the stop.
//! - I5 No more requests are under way than the service was given room for. One more fails at once,
//!   and the machine tries it again at the next reading of the clock.
//! - I6 A panic of a port costs what the port was called for: a request whose answer the port drops
//!   has failed (I1), and a clock that panics was not read. The port is called again the next time.
//! - I7 A machine whose step was cut short by a panic is never used again (hazard L5). Its duties
//!   under way are missed with `Reason::Fault`, once each. The successor knows the validators and
//!   the heads that were taken before, never the lost event (L6), and begins no duty of a slot in
//!   which its predecessor has begun one. So no duty ends twice, and no message of a slot has two
//!   requests for signatures under way.
//! - I8 An answer to a request of a predecessor is dropped, whatever its number (M9).
//! - I9 More panics of the machine than [`Intensity`] tolerates end the service, and
//!   [`BeaconValidatorService::run`] says so.

use std::time::Duration;

use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::{Mutex, Primitives, RecvTimeoutError};

use crate::beacon_validator::event::{
    DutyId, Effect, Event, Listed, Outcome, Reply, Request, RequestId, Validator,
};
use crate::beacon_validator::machine::Limits;
use crate::beacon_validator::protocol::{DutyProtocol, Head, Reading};
use crate::beacon_validator::succession::{Succession, TooManyPanics};
use crate::supervision::Intensity;

/// How many requests may be under way at once, at most. A validator needs three in its slot.
pub const MAX_REQUESTS: usize = 32_766;

/// Messages that may wait, apart from answers.
const CAPACITY: usize = 64;

/// Tells the time.
pub trait Clock: Send {
    /// Returns the time now. It may step back. Does not block.
    fn read(&self) -> Reading;
    /// Returns whether every move of the clock is told by [`BeaconValidatorHandle::tick`], as it is
    /// where a test sets the clock. The service then does not wake by itself.
    fn is_told(&self) -> bool {
        false
    }
}

/// Something that carries requests out: beacon nodes, signers, slashing protection.
///
/// **Contract.** [`Port::start`] does not block: it starts the request and returns. It gives the
/// request up at `by_ms`, in milliseconds since genesis, and drops its answer then.
pub trait Port<P: Primitives, V: DutyProtocol>: Send {
    /// Starts a request.
    fn start(&mut self, request: Request<V>, by_ms: u64, answer: Answer<P, V>);
}

/// A beacon node, or several: fail-over is its own affair. It tells each new head by
/// [`BeaconValidatorHandle::head`], before it gives an answer that builds on that head.
pub trait BeaconNode<P: Primitives, V: DutyProtocol>: Port<P, V> {
    /// Tells the node which attesters to expect. Does not block.
    fn subscribe(&mut self, attesters: Vec<Listed<V::Key>>);
}

/// Hears how duties go. It must not block.
pub trait Journal: Send {
    /// A duty has begun.
    fn began(&mut self, duty: DutyId);
    /// A duty has ended.
    fn ended(&mut self, duty: DutyId, outcome: Outcome);
}

/// What the service talks to.
pub struct Ports<P: Primitives, V: DutyProtocol> {
    /// Tells the time.
    pub clock: Box<dyn Clock>,
    /// Answers all requests but the following.
    pub node: Box<dyn BeaconNode<P, V>>,
    /// Answers [`Request::Sign`].
    pub signer: Box<dyn Port<P, V>>,
    /// Answers [`Request::Protect`]. Where the signer itself protects its keys, this is
    /// [`SignerProtects`].
    pub protection: Box<dyn Port<P, V>>,
    /// Hears how duties go.
    pub journal: Box<dyn Journal>,
}

/// Stands for slashing protection that a remote signer does by itself: the signer answers
/// [`Reply::Refused`] instead of signing.
#[derive(Clone, Copy, Debug)]
pub struct SignerProtects;

impl<P: Primitives, V: DutyProtocol> Port<P, V> for SignerProtects {
    fn start(&mut self, request: Request<V>, _: u64, answer: Answer<P, V>) {
        use crate::beacon_validator::event::Protection::Recorded;
        if let Request::Protect(batch) = request {
            let all = batch.iter().map(|guarded| (guarded.duty, Recorded)).collect();
            answer.give(Reply::Protected(all));
        }
    }
}

/// What the thread is told.
enum Message<V: DutyProtocol> {
    Tick,
    Head(Head<V::Root>),
    Validators(Vec<Validator<V::Key>>),
    Reply { machine: u64, request: RequestId, reply: Reply<V> },
    Stop,
}

/// The slot that is reserved for the stop, until it is used.
type StopSlot<P, V> = <P as Primitives>::Mutex<Option<mailbox::Permit<P, Message<V>>>>;

/// How a service has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It was stopped, or nobody could reach it any more.
    Stopped,
    /// Its machine panicked more often than is tolerated.
    TooManyPanics,
}

/// The means to answer one request. Its drop answers that the request failed.
pub struct Answer<P: Primitives, V: DutyProtocol> {
    /// The number of the machine that asks.
    machine: u64,
    request: RequestId,
    slot: Option<mailbox::Permit<P, Message<V>>>,
}

impl<P: Primitives, V: DutyProtocol> Answer<P, V> {
    /// Answers. Does not block; an answer after the service has ended is dropped.
    pub fn give(mut self, reply: Reply<V>) {
        self.send(reply);
    }

    fn send(&mut self, reply: Reply<V>) {
        if let Some(slot) = self.slot.take() {
            // The send is refused only if the service is gone.
            let Self { machine, request, .. } = *self;
            drop(slot.send(Message::Reply { machine, request, reply }));
        }
    }
}

impl<P: Primitives, V: DutyProtocol> Drop for Answer<P, V> {
    fn drop(&mut self) {
        self.send(Reply::Failed);
    }
}

/// A BeaconValidator that has not been started.
pub struct BeaconValidatorService<P: Primitives, V: DutyProtocol> {
    machine: Succession<V>,
    ports: Ports<P, V>,
    mailbox: mailbox::Receiver<P, Message<V>>,
    /// The time that the machine knows.
    told: Option<Reading>,
}

/// The handle of a BeaconValidator.
pub struct BeaconValidatorHandle<P: Primitives, V: DutyProtocol> {
    mailbox: mailbox::Sender<P, Message<V>>,
    stop: P::Arc<StopSlot<P, V>>,
}

impl<P: Primitives, V: DutyProtocol> Clone for BeaconValidatorHandle<P, V> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone(), stop: self.stop.clone() }
    }
}

impl<P: Primitives, V: DutyProtocol> BeaconValidatorHandle<P, V> {
    /// Tells of a node's new head. If the service is gone, nothing happens.
    pub fn head(&self, head: Head<V::Root>) {
        drop(self.mailbox.send(Message::Head(head)));
    }

    /// Tells which validators are ours from now on.
    pub fn validators(&self, validators: Vec<Validator<V::Key>>) {
        drop(self.mailbox.send(Message::Validators(validators)));
    }

    /// Has the clock read now, after it was set for example.
    pub fn tick(&self) {
        drop(self.mailbox.send(Message::Tick));
    }

    /// Ends the service. What is under way is given up. Does not block; a second call does nothing.
    pub fn stop(&self) {
        let slot = self.stop.lock().take();
        if let Some(slot) = slot {
            // The send is refused only if the service is gone.
            drop(slot.send(Message::Stop));
        }
    }
}

impl<P: Primitives, V: DutyProtocol> BeaconValidatorService<P, V> {
    /// Returns the service and its handle. At most `requests` are under way at once.
    ///
    /// # Panics
    /// As [`crate::beacon_validator::BeaconValidator::new`], and if `requests` is beyond
    /// [`MAX_REQUESTS`].
    #[must_use]
    pub fn new(
        protocol: V,
        limits: Limits,
        requests: usize,
        ports: Ports<P, V>,
    ) -> (Self, BeaconValidatorHandle<P, V>) {
        Self::with_intensity(protocol, limits, requests, ports, Intensity::default())
    }

    /// As [`BeaconValidatorService::new`], where `intensity` says how many panics of the machine
    /// are tolerated.
    ///
    /// # Panics
    /// As [`BeaconValidatorService::new`].
    #[must_use]
    pub fn with_intensity(
        protocol: V,
        limits: Limits,
        requests: usize,
        ports: Ports<P, V>,
        intensity: Intensity,
    ) -> (Self, BeaconValidatorHandle<P, V>) {
        assert!(requests <= MAX_REQUESTS, "{requests} requests are more than a mailbox can hold");
        let (sender, mailbox) = mailbox::mailbox(CAPACITY, requests + 1, OnFull::Block);
        let stop = P::arc(P::Mutex::new(mailbox.permit()));
        let machine = Succession::new(protocol, limits, intensity);
        let service = Self { machine, ports, mailbox, told: None };
        (service, BeaconValidatorHandle { mailbox: sender, stop })
    }

    /// Serves until [`BeaconValidatorHandle::stop`], until every handle is gone and no request is
    /// under way, or until the machine has panicked too often. Returns which it was.
    pub fn run(mut self) -> Ending {
        match self.serve() {
            Ok(()) => {
                tracing::debug!(requests = self.machine.get().requests(), "the duties end");
                Ending::Stopped
            }
            Err(TooManyPanics) => {
                tracing::error!("the duties end: more panics than are tolerated");
                Ending::TooManyPanics
            }
        }
    }

    fn serve(&mut self) -> Result<(), TooManyPanics> {
        loop {
            self.read_clock(false)?;
            let message = if self.ports.clock.is_told() {
                self.mailbox.recv().map_err(|_| RecvTimeoutError::Closed)
            } else {
                self.mailbox.recv_timeout(self.until_next())
            };
            match message {
                Ok(Message::Stop) | Err(RecvTimeoutError::Closed) => return Ok(()),
                Ok(message) => self.turn(message)?,
                Err(RecvTimeoutError::Timeout) => self.read_clock(true)?,
            }
        }
    }

    /// Returns how long nothing is to be done unless a message comes.
    pub(super) fn until_next(&self) -> Duration {
        let slot = Duration::from_millis(self.machine.protocol().timing().slot_ms);
        match (self.machine.get().wake_at(), self.told) {
            (Some(at), Some(Reading::SinceGenesis(now))) => {
                Duration::from_millis(at.saturating_sub(now)).min(slot)
            }
            // Genesis is noticed soon after it has come.
            _ => slot / 12,
        }
    }

    fn turn(&mut self, message: Message<V>) -> Result<(), TooManyPanics> {
        let is_tick = matches!(message, Message::Tick);
        self.read_clock(is_tick)?;
        let event = match message {
            Message::Head(head) => Event::Head(head),
            Message::Validators(validators) => Event::Validators(validators),
            Message::Reply { machine, request, reply } if machine == self.machine.number() => {
                Event::Reply { request, reply }
            }
            // An answer to a predecessor (I8).
            Message::Reply { .. } => return Ok(()),
            Message::Tick | Message::Stop => return Ok(()),
        };
        self.handle(event)
    }

    /// Reads the clock, and tells the machine if it is due, if the time stepped back, or if `now`.
    pub(super) fn read_clock(&mut self, now: bool) -> Result<(), TooManyPanics> {
        let mut reading = None;
        P::contain(|| reading = Some(self.ports.clock.read()));
        let Some(reading) = reading else { return Ok(()) };
        let is_due = match (self.told, reading, self.machine.get().wake_at()) {
            (Some(Reading::SinceGenesis(told)), Reading::SinceGenesis(ms), Some(at)) => {
                ms >= at || ms < told
            }
            (told, reading, _) => told != Some(reading),
        };
        if is_due || now {
            self.told = Some(reading);
            self.handle(Event::Clock(reading))?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event<V>) -> Result<(), TooManyPanics> {
        let mut refused = self.handle_one(event)?;
        // A failure makes its duty rest, so that this ends.
        while let Some((machine, request)) = refused.pop() {
            if machine == self.machine.number() {
                refused.extend(self.handle_one(Event::Reply { request, reply: Reply::Failed })?);
            }
        }
        Ok(())
    }

    /// Has the machine handle an event. Returns the requests for which there is no room, each with
    /// the number of the machine that asks.
    fn handle_one(&mut self, event: Event<V>) -> Result<Vec<(u64, RequestId)>, TooManyPanics> {
        let effects = match self.machine.step(event) {
            Ok(effects) => effects,
            Err(text) => return self.replace(&text).map(|()| Vec::new()),
        };
        let mut refused = Vec::new();
        for effect in effects {
            match effect {
                Effect::Ask { id, by_ms, request } => {
                    let refusal = self.ask(id, by_ms, request).err();
                    refused.extend(refusal.map(|id| (self.machine.number(), id)));
                }
                Effect::Subscribe(attesters) => P::contain(|| self.ports.node.subscribe(attesters)),
                Effect::Began(duty) => P::contain(|| self.ports.journal.began(duty)),
                Effect::Ended { duty, outcome } => self.tell_end(duty, outcome),
            }
        }
        Ok(refused)
    }

    /// Puts a successor in the place of a machine that has panicked (I7).
    fn replace(&mut self, text: &str) -> Result<(), TooManyPanics> {
        tracing::error!(text, "the machine of the validators' duties panicked");
        let (lost, succeeds) = self.machine.replace(P::now());
        for (duty, outcome) in lost {
            self.tell_end(duty, outcome);
        }
        // The successor has not been told the time.
        self.told = None;
        succeeds
    }

    fn tell_end(&mut self, duty: DutyId, outcome: Outcome) {
        note_end(duty, outcome);
        P::contain(|| self.ports.journal.ended(duty, outcome));
    }

    /// Starts a request. Returns its identity as an error if there is no room for it.
    fn ask(&mut self, id: RequestId, by_ms: u64, request: Request<V>) -> Result<(), RequestId> {
        let Some(slot) = self.mailbox.permit() else {
            tracing::warn!(id, "too many requests are under way");
            return Err(id);
        };
        let answer = Answer { machine: self.machine.number(), request: id, slot: Some(slot) };
        let Ports { node, signer, protection, .. } = &mut self.ports;
        // The drop of an answer answers it, also while the port unwinds (I6).
        P::contain(|| match &request {
            Request::Sign { .. } => signer.start(request, by_ms, answer),
            Request::Protect(_) => protection.start(request, by_ms, answer),
            _ => node.start(request, by_ms, answer),
        });
        Ok(())
    }
}

fn note_end(duty: DutyId, outcome: Outcome) {
    let DutyId { slot, kind, validator } = duty;
    match outcome {
        Outcome::Sent => tracing::debug!(slot, kind = kind.word(), validator, "sent"),
        Outcome::Missed(why) => {
            tracing::warn!(slot, kind = kind.word(), validator, why = why.word(), "missed");
        }
    }
}
