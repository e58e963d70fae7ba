//! What the Quarantine does with a message. It is written once for everything that runs it: threads
//! over mailboxes, the processes of a model, and twins (variants with a deliberate fault, which a
//! check must catch).
//!
//! **Contract.** [`turn`] hands one message to the machine and returns what is to be done.
//! [`carry_out`] does one piece of it, through [`Ports`], and returns what follows from that piece.
//! The caller carries out every piece, in order, before the next turn; it puts what follows behind
//! the pieces that are left. Clearance is told of a slot before it is told of what the slot
//! releases.
//!
//! A message that is lost by a panic is answered all the same. If the machine waits for the
//! message, the machine is told of the loss. If the message is a submission, the end on which its
//! verdict would be sent is dropped.

use crate::clearance::Import;
use crate::clearance::shell::Chain;
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::notice::{Notice, NoticeOf};
use crate::quarantine::event::{Effect, Event, Item, RequestId};
use crate::quarantine::machine::Quarantine;
use crate::rewinder::{Answer, Job, Lane};
use crate::supervision::{Loss, Steps, Turn};
use crate::verdict::{ItemId, PendingReason, Quarantined, Verdict};

/// What the Quarantine can be told. `V` is the end on which a verdict is sent, `Q` the end on which
/// the answer to [`Message::Pending`] is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message<C: Consensus, V, Q> {
    /// The network gives an item.
    Submit {
        /// Its number.
        id: ItemId,
        /// The item.
        item: Quarantined<Item<C>>,
        /// The end on which its verdict is sent.
        verdict: V,
    },
    /// The Rewinder answers a request.
    Answered {
        /// The request.
        request: RequestId,
        /// The answer.
        answer: Answer<C>,
    },
    /// Clearance has taken an import in.
    Imported {
        /// The request whose item it was; `None` for a tick.
        request: Option<RequestId>,
        /// What is finalised after it.
        finalized: Checkpoint<C::Root>,
    },
    /// Clearance has lost an item.
    NotImported {
        /// The request whose item it was.
        request: RequestId,
    },
    /// The payload of a block is there.
    Payload {
        /// Root of the block.
        root: C::Root,
    },
    /// The clock.
    Tick {
        /// The current slot.
        slot: Slot,
        /// Milliseconds since it began.
        into_slot_ms: u64,
    },
    /// The node gives a peer a weight.
    Weigh {
        /// The peer.
        peer: u64,
        /// The weight.
        weight: u8,
    },
    /// Somebody asks what has no verdict yet.
    Pending(Q),
    /// The services stop.
    Stop,
}

impl<C: Consensus, V, Q> Message<C, V, Q> {
    /// Returns the kind of message, for reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Submit { .. } => "submission",
            Self::Answered { .. } => "answer",
            Self::Imported { .. } => "import",
            Self::NotImported { .. } => "failed import",
            Self::Payload { .. } => "payload",
            Self::Tick { .. } => "tick",
            Self::Weigh { .. } => "weight",
            Self::Pending(_) => "question",
            Self::Stop => "stop",
        }
    }

    /// Returns whether the message comes through a slot that was reserved for it (hazard M8).
    #[must_use]
    pub fn is_reply(&self) -> bool {
        matches!(
            self,
            Self::Answered { .. } | Self::Imported { .. } | Self::NotImported { .. } | Self::Stop
        )
    }

    /// Turns what Clearance says of an import into a message: `request` is that of the item, `None`
    /// for a tick; `finalized` is `None` if the import is lost. A lost tick needs no message, as
    /// the next tick says the same.
    #[must_use]
    pub fn of_import(
        request: Option<RequestId>,
        finalized: Option<Checkpoint<C::Root>>,
    ) -> Option<Self> {
        match (finalized, request) {
            (Some(finalized), request) => Some(Self::Imported { request, finalized }),
            (None, Some(request)) => Some(Self::NotImported { request }),
            (None, None) => None,
        }
    }
}

/// The Quarantine's connections to the other services, to submitters and to observers.
pub trait Ports<C: Consensus> {
    /// The end on which a verdict is sent. Its drop tells the submitter of a fault.
    type Verdict;
    /// The end on which the answer to [`Message::Pending`] is sent.
    type Question;
    /// A slot that is kept for an answer.
    type Slot;

    /// Keeps the end on which a submission that the machine has taken gets its verdict.
    fn keep(&mut self, id: ItemId, verdict: Self::Verdict);
    /// Gives a submission its verdict.
    fn verdict(&mut self, id: ItemId, verdict: Verdict<C::Root, C::Invalid>);
    /// Drops every end that is kept: the machine was lost, and its successor holds nothing.
    fn forget(&mut self);
    /// Says how many submissions had no verdict when the stop came.
    fn note_held(&mut self);
    /// Answers a question.
    fn pending(&mut self, to: Self::Question, pending: Vec<(ItemId, PendingReason)>);
    /// Takes a slot for an answer. There are as many slots as can be needed; see [`Slots`]. Only a
    /// successor may find none, as it does not count what the lost machine had asked.
    fn reserve(&mut self) -> Option<Self::Slot>;
    /// Has the Rewinder do a job; its answer comes as [`Message::Answered`] through the slot.
    fn check(&mut self, slot: Self::Slot, request: RequestId, lane: Lane, job: Job<C>);
    /// Passes an import on to Clearance. The message that [`Message::of_import`] makes of
    /// Clearance's answer comes through the slot. May wait for room.
    fn import(&mut self, slot: Self::Slot, request: Option<RequestId>, import: Import<C>);
    /// Asks Clearance for the root of the head and waits for the answer; `None` if Clearance is
    /// gone or has lost the question.
    fn head(&mut self) -> Option<C::Root>;
    /// Asks Clearance for its blocks and waits for the answer. A question that Clearance has lost
    /// is asked again, up to a bound; `None` if the bound is reached or Clearance is gone.
    fn chain(&mut self) -> Option<Chain<C::Root>>;
    /// Sends a notice to the observers.
    fn tell(&mut self, notice: NoticeOf<C>);
}

/// Bounds of the Quarantine's mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Slots for messages of the network and the clock. A sender that finds them taken waits.
    pub network: usize,
    /// Slots reserved for answers of the Rewinder and of Clearance (hazard M8). The stop has one
    /// more.
    pub replies: usize,
}

impl Slots {
    /// Returns numbers of slots that suffice whatever the schedule.
    ///
    /// At most `window` checks are under way, or answered and unread. Clearance's answers that are
    /// not given yet are at most one for each message in its mailbox, one for the message that it
    /// handles and one for the message that is being sent (`clearance + 2`). As for its answers
    /// that are given and unread: while the oldest of them is unread, only messages queued before
    /// it are handled. At most `network + window` of these (ticks and answered checks) send one
    /// more each.
    #[must_use]
    pub fn for_clearance(network: usize, window: usize, clearance: usize) -> Self {
        let sum = |sizes: [usize; 3]| sizes.into_iter().fold(0, usize::saturating_add);
        let unread = sum([1, network, window]);
        Self { network, replies: sum([window, clearance.saturating_add(2), unread]) }
    }
}

/// What the Quarantine has yet to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work<C: Consensus> {
    /// Clearance is to be told of the slot.
    TellSlot(Slot),
    /// What its machine asks for.
    Effect(Effect<C>),
    /// An event that the machine is to be told, and that no message brought.
    Event(Event<C>),
}

/// Handles a message and returns what is to be done. Returns `None` if the service does not go on:
/// its machine is lost, and there is no successor.
pub fn turn<C: Consensus, P: Ports<C>>(
    machine: &mut Quarantine<C>,
    consensus: &C,
    steps: &impl Steps,
    ports: &mut P,
    message: Message<C, P::Verdict, P::Question>,
) -> Option<Vec<Work<C>>> {
    let word = message.word();
    // What is to be done besides the machine's step is kept outside of the step, so that a panic in
    // the step leaves it whole.
    let (mut submitter, mut slot) = (None, None);
    let (event, instead) = match message {
        Message::Submit { id, item, verdict } => {
            submitter = Some((id, verdict));
            (Event::Submit { id, item }, None)
        }
        Message::Answered { request, answer } => {
            if let Answer::Fault(text) = &answer {
                tracing::error!(request, text, "a check failed on our side");
            }
            let instead = fault(request, "the answer was lost");
            (Event::Answered { request, answer }, Some(instead))
        }
        // Clearance has the item, but its submitter is told that it failed. The item may come
        // again, and is then found to be there.
        Message::Imported { request, finalized } => {
            let instead = request.map(|request| Event::NotImported { request });
            (Event::Imported { request, finalized }, instead)
        }
        Message::NotImported { request } => {
            (Event::NotImported { request }, Some(Event::NotImported { request }))
        }
        Message::Payload { root } => (Event::Payload { root }, Some(Event::Payload { root })),
        Message::Tick { slot: now, into_slot_ms } => {
            slot = Some(now);
            let event = || Event::Tick { slot: now, into_slot_ms };
            (event(), Some(event()))
        }
        Message::Weigh { peer, weight } => {
            let event = || Event::Weigh { peer, weight };
            (event(), Some(event()))
        }
        Message::Stop => {
            ports.note_held();
            (Event::Stop, Some(Event::Stop))
        }
        Message::Pending(question) => {
            if let Ok(pending) = steps.look(word, || machine.pending()) {
                ports.pending(question, pending);
            }
            return Some(Vec::new());
        }
    };
    let stops = matches!(event, Event::Stop);
    let mut work: Vec<_> = slot.into_iter().map(Work::TellSlot).collect();
    match steps.hand(Turn::Step, word, machine, consensus, event) {
        Ok(effects) => {
            if let Some((id, verdict)) = submitter {
                ports.keep(id, verdict);
            }
            work.extend(effects.into_iter().map(Work::Effect));
        }
        // A submitter learns of the fault by the drop of its verdict's end.
        Err(Loss::Message) => work.extend(instead.map(Work::Event)),
        Err(Loss::Machine) => {
            rebuild(machine, consensus, ports)?;
            work.clear();
            work.extend(stops.then_some(Work::Event(Event::Stop)));
        }
    }
    Some(work)
}

/// Carries out one piece of work. Returns what follows from it, or `None` if the service does not
/// go on.
pub fn carry_out<C: Consensus, P: Ports<C>>(
    machine: &mut Quarantine<C>,
    consensus: &C,
    steps: &impl Steps,
    ports: &mut P,
    work: Work<C>,
) -> Option<Vec<Work<C>>> {
    let effect = match work {
        Work::Event(event) => {
            let word = event.word();
            return match steps.hand(Turn::FollowUp, word, machine, consensus, event) {
                Ok(effects) => Some(effects.into_iter().map(Work::Effect).collect()),
                Err(_) => rebuild(machine, consensus, ports).map(|()| Vec::new()),
            };
        }
        Work::TellSlot(slot) => {
            if let Some(kept) = ports.reserve() {
                ports.import(kept, None, Import::Tick { slot });
            }
            return Some(Vec::new());
        }
        Work::Effect(effect) => effect,
    };
    let mut import = |request, import| match ports.reserve() {
        Some(kept) => {
            ports.import(kept, Some(request), import);
            None
        }
        None => Some(Event::NotImported { request }),
    };
    let follows = match effect {
        Effect::ClearBlock { request, block, timely } => {
            import(request, Import::Block { block, timely })
        }
        Effect::ClearAttestation { request, attestation } => {
            import(request, Import::Attestation(attestation))
        }
        Effect::ClearVote { request, vote } => import(request, Import::Vote(vote)),
        Effect::ClearOperation { request, operation } => {
            import(request, Import::Operation(operation))
        }
        Effect::ClearPayloadVote { request, vote } => import(request, Import::PayloadVote(vote)),
        Effect::ClearPayload { root } => {
            // If all slots are taken, the payload counts as verified once it is told again.
            if let Some(kept) = ports.reserve() {
                ports.import(kept, None, Import::Payload { root });
            }
            None
        }
        Effect::Check { request, lane, job } => check(ports, request, lane, job),
        Effect::CheckAtHead { request, operation } => match ports.head() {
            Some(root) => {
                let slot = machine.slot_of_operations(consensus, root);
                let job = Job::Operation { operation, root, slot };
                check(ports, request, job.lane(), job)
            }
            None => Some(fault(request, "Clearance did not tell the head")),
        },
        Effect::Verdict { id, verdict } => {
            ports.verdict(id, verdict);
            None
        }
        Effect::Parked { id, why } => {
            ports.tell(Notice::Parked { id, why });
            None
        }
        Effect::Need { root } => {
            ports.tell(Notice::Need { root });
            None
        }
        Effect::NeedPayload { root } => {
            ports.tell(Notice::NeedPayload { root });
            None
        }
    };
    Some(follows.into_iter().map(Work::Event).collect())
}

/// Gives the Rewinder a job. Returns the machine's next event if there is no slot for the answer.
fn check<C: Consensus, P: Ports<C>>(
    ports: &mut P,
    request: RequestId,
    lane: Lane,
    job: Job<C>,
) -> Option<Event<C>> {
    let Some(kept) = ports.reserve() else {
        return Some(fault(request, "no slot was reserved for the answer"));
    };
    ports.check(kept, request, lane, job);
    None
}

fn fault<C: Consensus>(request: RequestId, text: &str) -> Event<C> {
    Event::Answered { request, answer: Answer::Fault(text.to_owned()) }
}

/// Replaces a machine that was cut short by one that knows what Clearance has. Every submission
/// that was held is answered by the drop of its verdict's end. Returns `None` if there is no
/// successor.
fn rebuild<C: Consensus, P: Ports<C>>(
    machine: &mut Quarantine<C>,
    consensus: &C,
    ports: &mut P,
) -> Option<()> {
    ports.forget();
    let (finalized, chain) = ports.chain()?;
    *machine = machine.successor(consensus, finalized, chain);
    Some(())
}
