//! The mailbox: the real channel, one call at a time.
//!
//! A channel cannot be cloned. So a state is the calls that lead to it: they are made anew on a
//! channel of their own, and then it is looked at, and drained. States that look the same, with as
//! many items accepted and taken before, are one. So a call that leaves the channel as it looked,
//! and has an effect that only a later call shows, is not noticed here: a permit that is dropped and
//! not given back, for example.

use std::hash::{Hash, Hasher};

use blocksmith_sync::Std;
use blocksmith_sync::mailbox::{
    OnFull, Permit, Receiver, SendError, SendPermit, Sender, TryRecvError, mailbox,
};
use stateright::Model;

use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

/// The items: the last is a reply.
const ITEMS: [&str; 4] = ["a", "b", "c", "r"];
const REPLY: usize = ITEMS.len() - 1;
const CAPACITY: usize = 2;
const SLOTS: usize = 1;
const MOST_KEPT: usize = 1;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The other policy for a mailbox that is full.
    OtherPolicy,
    /// A reply is sent as a request.
    ReplyTakesRoom,
    /// The receiver takes the newest item.
    NewestFirst,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Send(usize),
    Keep,
    Use(usize),
    Withdraw,
    Ask,
    Reply(usize),
    DropSlot,
    Receive,
    Close,
    DropSender,
    DropReceiver,
}

/// A channel with its ends, and what has become of each item.
struct World {
    fault: Option<Fault>,
    sender: Option<Sender<Std, usize>>,
    receiver: Option<Receiver<Std, usize>>,
    kept: Vec<SendPermit<Std, usize>>,
    slots: Vec<Permit<Std, usize>>,
    fate: [&'static str; ITEMS.len()],
    ended: bool,
    accepted: u8,
    taken: u8,
}

impl World {
    fn new(on_full: OnFull, fault: Option<Fault>) -> Self {
        let on_full = match (fault, on_full) {
            (Some(Fault::OtherPolicy), OnFull::EvictOldest) => OnFull::Refuse,
            (Some(Fault::OtherPolicy), _) => OnFull::EvictOldest,
            _ => on_full,
        };
        let (sender, receiver) = mailbox::<Std, usize>(CAPACITY, SLOTS, on_full);
        Self {
            fault,
            sender: Some(sender),
            receiver: Some(receiver),
            kept: Vec::new(),
            slots: Vec::new(),
            fate: ["new"; ITEMS.len()],
            ended: false,
            accepted: 0,
            taken: 0,
        }
    }

    /// Notes what became of an item that was sent.
    fn note(&mut self, item: usize, answer: Result<Option<usize>, SendError<usize>>) {
        match answer {
            Ok(evicted) => {
                self.fate[item] = "inLine";
                self.accepted += 1;
                if let Some(evicted) = evicted {
                    self.fate[evicted] = "evicted";
                    self.taken += 1;
                }
            }
            Err(SendError::Closed(back)) => self.fate[back] = "back",
            Err(_) => {}
        }
    }

    fn receive(&mut self) {
        let Some(receiver) = &self.receiver else { return };
        match receiver.try_recv() {
            Ok(item) => {
                self.fate[item] = "received";
                self.taken += 1;
            }
            Err(TryRecvError::Closed) => self.ended = true,
            Err(_) => {}
        }
    }

    /// The fault: what is in line is taken, and all but the newest item sent again.
    fn receive_newest(&mut self) {
        let mut line = self.drain();
        let Some(newest) = line.pop() else { return self.receive() };
        self.fate[newest] = "received";
        let Some(sender) = &self.sender else { return };
        for item in line {
            // There is room: the item has just been taken.
            let _ = sender.try_send(item);
        }
    }

    fn make(&mut self, call: Call) {
        match call {
            Call::Send(item) => {
                let answer = self.sender.as_ref().map(|sender| sender.try_send(item));
                answer.into_iter().for_each(|answer| self.note(item, answer));
            }
            Call::Keep => {
                let kept = self.sender.as_ref().map(Sender::try_reserve);
                self.kept.extend(kept.into_iter().flatten());
            }
            Call::Use(item) => {
                let answer = self.kept.pop().map(|place| place.send(item).map(|()| None));
                answer.into_iter().for_each(|answer| self.note(item, answer));
            }
            Call::Withdraw => drop(self.kept.pop()),
            Call::Ask => {
                let slot = self.receiver.as_ref().and_then(Receiver::permit);
                self.slots.extend(slot);
            }
            Call::Reply(item) if self.fault == Some(Fault::ReplyTakesRoom) => {
                drop(self.slots.pop());
                self.make(Call::Send(item));
            }
            Call::Reply(item) => {
                let answer = self.slots.pop().map(|slot| slot.send(item).map(|()| None));
                answer.into_iter().for_each(|answer| self.note(item, answer));
            }
            Call::DropSlot => drop(self.slots.pop()),
            Call::Receive if self.fault == Some(Fault::NewestFirst) => self.receive_newest(),
            Call::Receive => self.receive(),
            Call::Close => match (&self.sender, &self.receiver) {
                (Some(sender), _) => sender.close(),
                (_, Some(receiver)) => receiver.close(),
                (None, None) => {}
            },
            Call::DropSender => drop(self.sender.take()),
            Call::DropReceiver => {
                drop(self.receiver.take());
                for fate in &mut self.fate {
                    *fate = if *fate == "inLine" { "dropped" } else { *fate };
                }
            }
        }
    }

    fn is_closed(&self) -> bool {
        let of_sender = self.sender.as_ref().map(Sender::is_closed);
        of_sender.or_else(|| self.receiver.as_ref().map(Receiver::is_closed)).unwrap_or(true)
    }

    fn drain(&self) -> Vec<usize> {
        let take = || self.receiver.as_ref().and_then(|receiver| receiver.try_recv().ok());
        std::iter::from_fn(take).collect()
    }

    /// Looks at the channel, and takes what is in line.
    fn looks(self) -> Looks {
        Looks {
            fate: self.fate,
            kept: self.kept.len(),
            slots: self.slots.len(),
            is_closed: self.is_closed(),
            has_sender: self.sender.is_some(),
            has_receiver: self.receiver.is_some(),
            ended: self.ended,
            counts: (self.accepted, self.taken),
            line: self.drain(),
        }
    }
}

/// How a channel looks, and what was done with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Looks {
    line: Vec<usize>,
    fate: [&'static str; ITEMS.len()],
    kept: usize,
    slots: usize,
    is_closed: bool,
    has_sender: bool,
    has_receiver: bool,
    ended: bool,
    /// How many items were accepted, and how many taken.
    counts: (u8, u8),
}

/// The calls that lead to a state, and how it looks.
#[derive(Clone, Debug)]
struct State {
    calls: Vec<Call>,
    looks: Looks,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.looks == other.looks
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.looks.hash(hasher);
    }
}

struct Mailbox {
    on_full: OnFull,
    fault: Option<Fault>,
}

impl Mailbox {
    fn state(&self, calls: Vec<Call>) -> State {
        let mut world = World::new(self.on_full, self.fault);
        calls.iter().for_each(|call| world.make(*call));
        State { calls, looks: world.looks() }
    }
}

impl Model for Mailbox {
    type State = State;
    type Action = Call;

    fn init_states(&self) -> Vec<State> {
        vec![self.state(Vec::new())]
    }

    /// Every call that the ends at hand allow; the channel says what it does.
    fn actions(&self, state: &State, actions: &mut Vec<Call>) {
        let looks = &state.looks;
        let (keeps, has_slot) = (looks.kept > 0, looks.slots > 0);
        for item in (0..ITEMS.len()).filter(|item| looks.fate[*item] == "new") {
            if item == REPLY {
                actions.extend(has_slot.then_some(Call::Reply(item)));
            } else {
                actions.extend(looks.has_sender.then_some(Call::Send(item)));
                actions.extend(keeps.then_some(Call::Use(item)));
            }
        }
        if looks.has_sender {
            actions.extend((looks.kept < MOST_KEPT).then_some(Call::Keep));
            actions.push(Call::DropSender);
        }
        if looks.has_receiver {
            actions.extend((!looks.ended).then_some(Call::Ask));
            actions.extend([Call::Receive, Call::DropReceiver]);
        }
        actions.extend(keeps.then_some(Call::Withdraw));
        actions.extend(has_slot.then_some(Call::DropSlot));
        actions.push(Call::Close);
    }

    fn next_state(&self, last: &State, call: Call) -> Option<State> {
        let mut calls = last.calls.clone();
        calls.push(call);
        Some(self.state(calls))
    }
}

impl Projected for Mailbox {
    fn variables(&self, state: &State) -> Variables {
        let looks = &state.looks;
        let receiver = match (looks.has_receiver, looks.ended) {
            (false, _) => "gone",
            (true, true) => "ended",
            (true, false) => "takes",
        };
        variables([
            ("line", Value::sequence(looks.line.iter().map(|item| ITEMS[*item]))),
            ("fate", Value::function(ITEMS.into_iter().zip(looks.fate))),
            ("kept", looks.kept.into()),
            ("slots", looks.slots.into()),
            ("closed", looks.is_closed.into()),
            ("senders", looks.has_sender.into()),
            ("receiver", receiver.into()),
        ])
    }
}

fn machine(on_full: OnFull, fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Mailbox { on_full, fault })
}

pub(super) const REFUSES: Instance = Instance {
    name: "mailbox",
    spec: "Mailbox",
    cfg: "Mailbox",
    source: "blocksmith_sync::mailbox over Std, one call at a time",
    bounds: "capacity 2, 3 requests, 1 reply, 1 slot, 1 kept place",
    dropped: "nothing",
    size: Agreement { states: 3260, edges: 11486 },
    machine: || machine(OnFull::Refuse, None),
    twins: &[
        Twin {
            name: "evicts",
            claim: "a mailbox that is to refuse evicts",
            machine: || machine(OnFull::Refuse, Some(Fault::OtherPolicy)),
            step: "Send",
        },
        Twin {
            name: "newest_first",
            claim: "the newest item is received first",
            machine: || machine(OnFull::Refuse, Some(Fault::NewestFirst)),
            step: "Receive",
        },
    ],
};

pub(super) const EVICTS: Instance = Instance {
    name: "mailbox_evicts",
    cfg: "Mailbox_Evicts",
    size: Agreement { states: 5594, edges: 19208 },
    machine: || machine(OnFull::EvictOldest, None),
    twins: &[
        Twin {
            name: "refuses",
            claim: "a mailbox that is to evict refuses",
            machine: || machine(OnFull::EvictOldest, Some(Fault::OtherPolicy)),
            step: "Send",
        },
        Twin {
            name: "reply_takes_room",
            claim: "a reply takes a place of the capacity, and may be evicted",
            machine: || machine(OnFull::EvictOldest, Some(Fault::ReplyTakesRoom)),
            step: "",
        },
    ],
    ..REFUSES
};
