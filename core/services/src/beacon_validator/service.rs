//! The thread of the BeaconValidator, and what it talks to.
//!
//! **Contract.** The thread takes heads, validators and answers from its mailbox and the time from
//! its clock, has the machine handle them, and starts what the machine asks for. It never waits for
//! a port: a port starts a request and returns, and any number of requests overlap.
//!
//! | call | blocks | woken by |
//! |---|---|---|
//! | [`BeaconValidatorService::run`] | until a message comes, or the machine's next time | its mailbox, the clock |
//! | [`BeaconValidatorHandle::head`], `validators`, `tick`, `stop` | while the mailbox is full | the thread |
//! | [`Answer::give`], the drop of an [`Answer`] | no: its slot in the mailbox is reserved | - |
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

use std::time::Duration;

use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::{Primitives, RecvTimeoutError};

use crate::beacon_validator::event::{
    DutyId, Effect, Event, Listed, Outcome, Reply, Request, RequestId, Validator,
};
use crate::beacon_validator::machine::{BeaconValidator, Limits};
use crate::beacon_validator::protocol::{DutyProtocol, Head, Reading};
use crate::machine::Machine;

/// How many requests may be under way at once, at most. A validator needs three in its slot.
pub const MAX_REQUESTS: usize = 32_767;

/// Messages that may wait, apart from answers.
const CAPACITY: usize = 64;

/// Tells the time.
pub trait Clock: Send {
    /// Returns the time now. It may step back. Does not block.
    fn read(&self) -> Reading;
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
    Reply { request: RequestId, reply: Reply<V> },
    Stop,
}

/// The means to answer one request. Its drop answers that the request failed.
pub struct Answer<P: Primitives, V: DutyProtocol> {
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
            drop(slot.send(Message::Reply { request: self.request, reply }));
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
    protocol: V,
    machine: BeaconValidator<V>,
    ports: Ports<P, V>,
    mailbox: mailbox::Receiver<P, Message<V>>,
    /// The time that the machine knows.
    told: Option<Reading>,
}

/// The handle of a BeaconValidator.
pub struct BeaconValidatorHandle<P: Primitives, V: DutyProtocol>(mailbox::Sender<P, Message<V>>);

impl<P: Primitives, V: DutyProtocol> Clone for BeaconValidatorHandle<P, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Primitives, V: DutyProtocol> BeaconValidatorHandle<P, V> {
    /// Tells of a node's new head. If the service is gone, nothing happens.
    pub fn head(&self, head: Head<V::Root>) {
        drop(self.0.send(Message::Head(head)));
    }

    /// Tells which validators are ours from now on.
    pub fn validators(&self, validators: Vec<Validator<V::Key>>) {
        drop(self.0.send(Message::Validators(validators)));
    }

    /// Has the clock read now, after it was set for example.
    pub fn tick(&self) {
        drop(self.0.send(Message::Tick));
    }

    /// Ends the service. What is under way is given up.
    pub fn stop(&self) {
        drop(self.0.send(Message::Stop));
    }
}

impl<P: Primitives, V: DutyProtocol> BeaconValidatorService<P, V> {
    /// Returns the service and its handle. At most `requests` are under way at once.
    ///
    /// # Panics
    /// As [`BeaconValidator::new`], and if `requests` is beyond [`MAX_REQUESTS`].
    #[must_use]
    pub fn new(
        protocol: V,
        limits: Limits,
        requests: usize,
        ports: Ports<P, V>,
    ) -> (Self, BeaconValidatorHandle<P, V>) {
        let (sender, mailbox) = mailbox::mailbox(CAPACITY, requests, OnFull::Block);
        let machine = BeaconValidator::new(&protocol, limits);
        let service = Self { protocol, machine, ports, mailbox, told: None };
        (service, BeaconValidatorHandle(sender))
    }

    /// Serves until [`BeaconValidatorHandle::stop`], or until every handle is gone and no request
    /// is under way.
    pub fn run(mut self) {
        loop {
            self.read_clock(false);
            match self.mailbox.recv_timeout(self.until_next()) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Closed) => break,
                Ok(message) => self.turn(message),
                Err(RecvTimeoutError::Timeout) => self.read_clock(true),
            }
        }
        tracing::debug!(requests = self.machine.requests(), "the validators' duties end");
    }

    /// Returns how long nothing is to be done unless a message comes.
    fn until_next(&self) -> Duration {
        let slot = Duration::from_millis(self.protocol.timing().slot_ms);
        match (self.machine.wake_at(), self.told) {
            (Some(at), Some(Reading::SinceGenesis(now))) => {
                Duration::from_millis(at.saturating_sub(now)).min(slot)
            }
            // Genesis is noticed soon after it has come.
            _ => slot / 12,
        }
    }

    fn turn(&mut self, message: Message<V>) {
        let is_tick = matches!(message, Message::Tick);
        self.read_clock(is_tick);
        let event = match message {
            Message::Head(head) => Event::Head(head),
            Message::Validators(validators) => Event::Validators(validators),
            Message::Reply { request, reply } => Event::Reply { request, reply },
            Message::Tick | Message::Stop => return,
        };
        self.handle(event);
    }

    /// Reads the clock, and tells the machine if it is due, if the time stepped back, or if `now`.
    fn read_clock(&mut self, now: bool) {
        let reading = self.ports.clock.read();
        let is_due = match (self.told, reading, self.machine.wake_at()) {
            (Some(Reading::SinceGenesis(told)), Reading::SinceGenesis(ms), Some(at)) => {
                ms >= at || ms < told
            }
            (told, reading, _) => told != Some(reading),
        };
        if is_due || now {
            self.told = Some(reading);
            self.handle(Event::Clock(reading));
        }
    }

    fn handle(&mut self, event: Event<V>) {
        let mut refused = self.handle_one(event);
        // A failure makes its duty rest, so that this ends.
        while let Some(request) = refused.pop() {
            let event = Event::Reply { request, reply: Reply::Failed };
            refused.extend(self.handle_one(event));
        }
    }

    /// Has the machine handle an event. Returns the requests for which there is no room.
    fn handle_one(&mut self, event: Event<V>) -> Vec<RequestId> {
        let mut refused = Vec::new();
        for effect in self.machine.handle(&self.protocol, event) {
            match effect {
                Effect::Ask { id, by_ms, request } => {
                    refused.extend(self.ask(id, by_ms, request).err());
                }
                Effect::Subscribe(attesters) => self.ports.node.subscribe(attesters),
                Effect::Began(duty) => self.ports.journal.began(duty),
                Effect::Ended { duty, outcome } => {
                    note_end(duty, outcome);
                    self.ports.journal.ended(duty, outcome);
                }
            }
        }
        refused
    }

    /// Starts a request. Returns its identity as an error if there is no room for it.
    fn ask(&mut self, id: RequestId, by_ms: u64, request: Request<V>) -> Result<(), RequestId> {
        let Some(slot) = self.mailbox.permit() else {
            tracing::warn!(id, "too many requests are under way");
            return Err(id);
        };
        let answer = Answer { request: id, slot: Some(slot) };
        let Ports { node, signer, protection, .. } = &mut self.ports;
        match &request {
            Request::Sign { .. } => signer.start(request, by_ms, answer),
            Request::Protect(_) => protection.start(request, by_ms, answer),
            _ => node.start(request, by_ms, answer),
        }
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
