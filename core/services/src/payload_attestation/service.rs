//! The thread of PayloadAttestation, and what it talks to.
//!
//! **Contract.** The thread takes heads, complete payloads, validators and answers from its mailbox
//! and the time from its clock, has the machine handle them, and starts what the machine asks for.
//! It never waits for a port: a port starts a request and returns, and any number of requests
//! overlap (hazard P8).
//!
//! There is one thread for lists of duties and votes. The votes need the duties of a branch at the
//! moment at which they are signed, and the lists wait for nobody. With a thread each, a look-up
//! would be a request with an answer, and the head could move between the two.
//!
//! | call | blocks | woken by |
//! |---|---|---|
//! | [`PayloadAttestationService::run`] | until a message comes, or the machine's next time | its mailbox, the clock |
//! | [`PayloadAttestationHandle::head`], `available`, `validators`, `tick` | while the mailbox is full | the thread |
//! | [`PayloadAttestationHandle::stop`] | no: its slot in the mailbox is reserved | - |
//! | [`Answer::give`], the drop of an [`Answer`] | no: its slot in the mailbox is reserved | - |
//!
//! A port, and the journal, may call what does not block. They run in the service's own thread: a
//! call of theirs that waits for room in the mailbox waits for itself.
//!
//! **Invariants.**
//! - I1 Every request that is started is answered once: an [`Answer`] that is dropped says
//!   [`Reply::Failed`] (hazard M10). Each answer belongs to one request (M9).
//! - I2 The clock is read after every wait, and the machine gets the reading with the event. So no
//!   vote of a slot that is over is signed after a late wake-up (P5).
//! - I3 No lock is held while a port is called. The thread is the machine's only owner.
//! - I4 A stop ends the thread without waiting for answers under way. What they carry is dropped,
//!   so that no vote leaves after the stop.
//! - I5 No more requests are under way than the service was given room for. One more fails at once,
//!   and the machine tries it again later.
//! - I6 A panic of a port costs what the port was called for: a request whose answer the port drops
//!   has failed (I1). A clock that panics was not read, and the message that was to be handled is
//!   lost. Each is called again the next time.
//! - I7 A machine whose step was cut short by a panic is never used again (hazard L5). Its duties
//!   under way are missed with `Reason::Fault`, once each. The successor knows the validators and
//!   the heads that were taken before, never the lost event (L6), and begins no duty of a slot in
//!   which its predecessor has begun one. So no duty ends twice, and there are no two votes of a
//!   slot.
//! - I8 An answer to a request of a predecessor is dropped, whatever its number (M9).
//! - I9 More panics of the machine than [`Intensity`] tolerates end the service, and
//!   [`PayloadAttestationService::run`] says so.
//! - I10 When the source of heads or of complete payloads ends, nothing is left to be told, and
//!   nothing wakes the thread for it: the data are then asked for at their time (P6).

use std::time::Duration;

use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::{Mutex, Primitives, RecvTimeoutError};

use crate::beacon_validator::service::{Clock, Ending};
use crate::beacon_validator::{Head, Reading, Validator};
use crate::consensus::Slot;
use crate::payload_attestation::event::{
    DutyId, Effect, Event, Outcome, Reply, Request, RequestId, Step,
};
use crate::payload_attestation::machine::Limits;
use crate::payload_attestation::protocol::VoteProtocol;
use crate::payload_attestation::succession::{Succession, TooManyPanics};
use crate::supervision::Intensity;

/// How many requests may be under way at once, at most. A validator needs one in its slot, and the
/// service needs five more.
pub const MAX_REQUESTS: usize = 32_766;

/// Messages that may wait, apart from answers.
const CAPACITY: usize = 64;

/// Something that carries requests out: beacon nodes or signers.
///
/// **Contract.** [`Port::start`] does not block: it starts the request and returns. It gives the
/// request up at `by_ms`, in milliseconds since genesis, and drops its answer then.
pub trait Port<P: Primitives, V: VoteProtocol>: Send {
    /// Starts a request.
    fn start(&mut self, request: Request<V>, by_ms: u64, answer: Answer<P, V>);
}

/// Hears how duties go, and how long their steps take. It must not block.
pub trait Journal: Send {
    /// A duty has begun.
    fn began(&mut self, duty: DutyId);
    /// A duty has ended.
    fn ended(&mut self, duty: DutyId, outcome: Outcome);
    /// A step for the votes of a slot has taken this long, in milliseconds.
    fn took(&mut self, slot: Slot, step: Step, ms: u64);
}

/// What the service talks to.
pub struct Ports<P: Primitives, V: VoteProtocol> {
    /// Tells the time.
    pub clock: Box<dyn Clock>,
    /// Answers all requests but [`Request::Sign`]: a beacon node, or several. Fail-over is its own
    /// affair. It tells each new head by [`PayloadAttestationHandle::head`] before it gives an
    /// answer that builds on that head.
    pub node: Box<dyn Port<P, V>>,
    /// Answers [`Request::Sign`].
    pub signer: Box<dyn Port<P, V>>,
    /// Hears how duties go.
    pub journal: Box<dyn Journal>,
}

/// What the thread is told.
enum Message<V: VoteProtocol> {
    Tick,
    Head(Head<V::Root>),
    Available { slot: Slot, block: V::Root },
    Validators(Vec<Validator<V::Key>>),
    Reply { machine: u64, request: RequestId, reply: Reply<V> },
    Stop,
}

/// The slot that is reserved for the stop, until it is used.
type StopSlot<P, V> = <P as Primitives>::Mutex<Option<mailbox::Permit<P, Message<V>>>>;

/// The means to answer one request. Its drop answers that the request failed.
pub struct Answer<P: Primitives, V: VoteProtocol> {
    /// The number of the machine that asks.
    machine: u64,
    request: RequestId,
    slot: Option<mailbox::Permit<P, Message<V>>>,
}

impl<P: Primitives, V: VoteProtocol> Answer<P, V> {
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

impl<P: Primitives, V: VoteProtocol> Drop for Answer<P, V> {
    fn drop(&mut self) {
        self.send(Reply::Failed);
    }
}

/// Builds a service from what it depends on.
#[derive(Clone, Debug)]
pub struct Builder<V: VoteProtocol> {
    protocol: V,
    limits: Limits,
    requests: usize,
    intensity: Intensity,
}

impl<V: VoteProtocol> Builder<V> {
    /// Returns a builder with the default bounds: 1,024 requests under way, ten panics a minute.
    #[must_use]
    pub fn new(protocol: V) -> Self {
        let (limits, intensity) = (Limits::default(), Intensity::default());
        Self { protocol, limits, requests: 1024, intensity }
    }

    /// Sets the bounds of the machine.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets how many requests may be under way at once. Each validator of a slot needs one.
    #[must_use]
    pub fn requests(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    /// Sets how many panics of the machine are tolerated.
    #[must_use]
    pub fn intensity(self, intensity: Intensity) -> Self {
        Self { intensity, ..self }
    }

    /// Returns the service and its handle.
    ///
    /// # Panics
    /// As [`crate::payload_attestation::PayloadAttestation::new`], and if more requests are allowed
    /// than [`MAX_REQUESTS`].
    #[must_use]
    pub fn build<P: Primitives>(
        self,
        ports: Ports<P, V>,
    ) -> (PayloadAttestationService<P, V>, PayloadAttestationHandle<P, V>) {
        let Self { protocol, limits, requests, intensity } = self;
        assert!(requests <= MAX_REQUESTS, "{requests} requests are more than a mailbox can hold");
        let slot_ms = protocol.timing().slot_ms;
        let (sender, mailbox) = mailbox::mailbox(CAPACITY, requests + 1, OnFull::Block);
        let stop = P::arc(P::Mutex::new(mailbox.permit()));
        let machine = Succession::new(protocol, limits, intensity);
        let slot = Duration::from_millis(slot_ms);
        let knows_time = false;
        let service = PayloadAttestationService { machine, ports, mailbox, slot, knows_time };
        (service, PayloadAttestationHandle { mailbox: sender, stop })
    }
}

/// A PayloadAttestation that has not been started.
pub struct PayloadAttestationService<P: Primitives, V: VoteProtocol> {
    machine: Succession<V>,
    ports: Ports<P, V>,
    mailbox: mailbox::Receiver<P, Message<V>>,
    /// Length of a slot.
    slot: Duration,
    /// Whether the machine was told the time. Before that, it asks for nothing.
    knows_time: bool,
}

/// The handle of a PayloadAttestation.
pub struct PayloadAttestationHandle<P: Primitives, V: VoteProtocol> {
    mailbox: mailbox::Sender<P, Message<V>>,
    stop: P::Arc<StopSlot<P, V>>,
}

impl<P: Primitives, V: VoteProtocol> Clone for PayloadAttestationHandle<P, V> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone(), stop: self.stop.clone() }
    }
}

impl<P: Primitives, V: VoteProtocol> PayloadAttestationHandle<P, V> {
    /// Tells of a node's new head. If the service is gone, nothing happens.
    pub fn head(&self, head: Head<V::Root>) {
        drop(self.mailbox.send(Message::Head(head)));
    }

    /// Tells that a node has the payload and the blobs of a block.
    pub fn available(&self, slot: Slot, block: V::Root) {
        drop(self.mailbox.send(Message::Available { slot, block }));
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

impl<P: Primitives, V: VoteProtocol> PayloadAttestationService<P, V> {
    /// Serves until [`PayloadAttestationHandle::stop`], until every handle is gone and no request
    /// is under way, or until the machine has panicked too often. Returns which it was.
    pub fn run(mut self) -> Ending {
        match self.serve() {
            Ok(()) => {
                tracing::debug!(requests = self.machine.get().requests(), "the votes end");
                Ending::Stopped
            }
            Err(TooManyPanics) => {
                tracing::error!("the votes end: more panics than are tolerated");
                Ending::TooManyPanics
            }
        }
    }

    fn serve(&mut self) -> Result<(), TooManyPanics> {
        loop {
            if !self.knows_time {
                self.turn(Message::Tick)?;
            }
            let message = if self.ports.clock.is_told() {
                self.mailbox.recv().map_err(|_| RecvTimeoutError::Closed)
            } else {
                self.mailbox.recv_timeout(self.until_next())
            };
            match message {
                Ok(Message::Stop) | Err(RecvTimeoutError::Closed) => return Ok(()),
                Ok(message) => self.turn(message)?,
                Err(RecvTimeoutError::Timeout) => self.turn(Message::Tick)?,
            }
        }
    }

    /// Returns how long nothing is to be done unless a message comes. The clock is read for it: the
    /// time that an event took to be handled is not waited for again.
    pub(super) fn until_next(&self) -> Duration {
        let next = self.machine.get().wake_at().and_then(|at| Some((at, self.read()?)));
        match next {
            // A clock that has stepped back is noticed within a slot.
            Some((at, Reading::SinceGenesis(now))) => {
                Duration::from_millis(at.saturating_sub(now)).min(self.slot)
            }
            // Genesis is noticed soon after it has come.
            _ => self.slot / 12,
        }
    }

    fn turn(&mut self, message: Message<V>) -> Result<(), TooManyPanics> {
        let event = match message {
            Message::Head(head) => Event::Head(head),
            Message::Available { slot, block } => Event::Available { slot, block },
            Message::Validators(validators) => Event::Validators(validators),
            Message::Reply { machine, request, reply } if machine == self.machine.number() => {
                Event::Reply { request, reply }
            }
            // An answer to a predecessor (I8).
            Message::Reply { .. } => return Ok(()),
            Message::Tick | Message::Stop => Event::Wake,
        };
        match self.read() {
            Some(at) => self.handle(at, event),
            None => Ok(()),
        }
    }

    /// Reads the clock; `None` if it panics (I6).
    fn read(&self) -> Option<Reading> {
        let mut reading = None;
        P::contain(|| reading = Some(self.ports.clock.read()));
        reading
    }

    fn handle(&mut self, at: Reading, event: Event<V>) -> Result<(), TooManyPanics> {
        self.knows_time = true;
        let mut refused = self.handle_one(at, event)?;
        // A failure makes its step rest, or was the last of its slot, so that this ends.
        while let Some((machine, request)) = refused.pop() {
            if machine == self.machine.number() {
                let failed = Event::Reply { request, reply: Reply::Failed };
                refused.extend(self.handle_one(at, failed)?);
            }
        }
        Ok(())
    }

    /// Has the machine handle an event. Returns the requests for which there is no room, each with
    /// the number of the machine that asks.
    fn handle_one(
        &mut self,
        at: Reading,
        event: Event<V>,
    ) -> Result<Vec<(u64, RequestId)>, TooManyPanics> {
        let effects = match self.machine.step(at, event) {
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
                Effect::Began(duty) => P::contain(|| self.ports.journal.began(duty)),
                Effect::Took { slot, step, ms } => {
                    P::contain(|| self.ports.journal.took(slot, step, ms));
                }
                Effect::Ended { duty, outcome } => self.tell_end(duty, outcome),
            }
        }
        Ok(refused)
    }

    /// Puts a successor in the place of a machine that has panicked (I7).
    fn replace(&mut self, text: &str) -> Result<(), TooManyPanics> {
        tracing::error!(text, "the machine of the votes on payloads panicked");
        let (lost, succeeds) = self.machine.replace(P::now());
        for (duty, outcome) in lost {
            self.tell_end(duty, outcome);
        }
        self.knows_time = false;
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
        let Ports { node, signer, .. } = &mut self.ports;
        // The drop of an answer answers it, also while the port unwinds (I6).
        P::contain(|| match &request {
            Request::Sign { .. } => signer.start(request, by_ms, answer),
            _ => node.start(request, by_ms, answer),
        });
        Ok(())
    }
}

fn note_end(duty: DutyId, outcome: Outcome) {
    let DutyId { slot, validator } = duty;
    match outcome {
        Outcome::Sent { lead_ms } => tracing::debug!(slot, validator, lead_ms, "voted"),
        Outcome::Missed(why) => {
            tracing::warn!(slot, validator, why = why.word(), "missed a vote on a payload");
        }
    }
}
