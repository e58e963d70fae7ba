//! The mailbox: the real channel, one call at a time.
//!
//! A channel cannot be cloned. So a state is the calls that lead to it: they are made anew on a
//! channel of their own, and then it is looked at, and drained. States that look the same, with as
//! many items accepted and taken before, are one. So a call that leaves the channel as it looked,
//! and has an effect that only a later call shows, is not noticed, unless what such calls did is
//! counted: in [`BACK`] kept places and slots that were given back are.

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
/// The capacity where what was given back is counted.
const SMALL: usize = 1;
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
    /// A kept place that is dropped is not given back.
    PlaceIsLost,
    /// A slot that is dropped is not given back.
    SlotIsLost,
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
    /// Kept places that the fault keeps for ever.
    lost_places: Vec<SendPermit<Std, usize>>,
    /// Slots that the fault keeps for ever.
    lost_slots: Vec<Permit<Std, usize>>,
    sender: Option<Sender<Std, usize>>,
    receiver: Option<Receiver<Std, usize>>,
    kept: Vec<SendPermit<Std, usize>>,
    slots: Vec<Permit<Std, usize>>,
    fate: [&'static str; ITEMS.len()],
    ended: bool,
    accepted: u8,
    taken: u8,
    /// Kept places and slots that were given back.
    back: (usize, usize),
}

impl World {
    fn new(capacity: usize, on_full: OnFull, fault: Option<Fault>) -> Self {
        let on_full = match (fault, on_full) {
            (Some(Fault::OtherPolicy), OnFull::EvictOldest) => OnFull::Refuse,
            (Some(Fault::OtherPolicy), _) => OnFull::EvictOldest,
            _ => on_full,
        };
        let (sender, receiver) = mailbox::<Std, usize>(capacity, SLOTS, on_full);
        Self {
            fault,
            lost_places: Vec::new(),
            lost_slots: Vec::new(),
            sender: Some(sender),
            receiver: Some(receiver),
            kept: Vec::new(),
            slots: Vec::new(),
            fate: ["new"; ITEMS.len()],
            ended: false,
            accepted: 0,
            taken: 0,
            back: (0, 0),
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
            Call::Withdraw => {
                self.back.0 += 1;
                let place = self.kept.pop();
                self.lost_places.extend(place.filter(|_| self.fault == Some(Fault::PlaceIsLost)));
            }
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
            Call::DropSlot => {
                self.back.1 += 1;
                let slot = self.slots.pop();
                self.lost_slots.extend(slot.filter(|_| self.fault == Some(Fault::SlotIsLost)));
            }
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

    /// Looks at the channel, and takes what is in line. What was given back is counted up to
    /// `most`.
    fn looks(self, most: usize) -> Looks {
        Looks {
            back: (self.back.0.min(most), self.back.1.min(most)),
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
    /// How many places and slots were given back, as far as they are counted.
    back: (usize, usize),
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
    /// The requests, of the first items.
    requests: usize,
    capacity: usize,
    /// Up to how many places and slots that were given back are counted.
    most_back: usize,
    on_full: OnFull,
    fault: Option<Fault>,
}

impl Mailbox {
    fn state(&self, calls: Vec<Call>) -> State {
        let mut world = World::new(self.capacity, self.on_full, self.fault);
        calls.iter().for_each(|call| world.make(*call));
        State { calls, looks: world.looks(self.most_back) }
    }

    /// Returns the items that there are.
    fn items(&self) -> impl Iterator<Item = usize> {
        (0..self.requests).chain([REPLY])
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
        for item in self.items().filter(|item| looks.fate[*item] == "new") {
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
            ("fate", Value::function(self.items().map(|item| (ITEMS[item], looks.fate[item])))),
            ("kept", looks.kept.into()),
            ("slots", looks.slots.into()),
            ("closed", looks.is_closed.into()),
            ("senders", looks.has_sender.into()),
            ("receiver", receiver.into()),
            ("back", Value::function([("places", looks.back.0), ("slots", looks.back.1)])),
        ])
    }
}

fn machine(on_full: OnFull, fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Mailbox { requests: REPLY, capacity: CAPACITY, most_back: 0, on_full, fault })
}

/// One place and one slot that were given back are counted, in a smaller mailbox.
fn counting(fault: Option<Fault>) -> Result<Side, TooMany> {
    let on_full = OnFull::Refuse;
    walk(&Mailbox { requests: 2, capacity: SMALL, most_back: 1, on_full, fault })
}

pub(super) const REFUSES: Instance = Instance {
    name: "mailbox",
    spec: "Mailbox",
    cfg: "Mailbox",
    source: "blocksmith_sync::mailbox over Std, one call at a time",
    bounds: "capacity 2, 3 requests, 1 reply, 1 slot, 1 kept place",
    dropped: "nothing",
    is_whole: true,
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

pub(super) const BACK: Instance = Instance {
    name: "mailbox_back",
    cfg: "Mailbox_Back",
    bounds: "capacity 1, 2 requests, 1 reply, 1 slot, 1 kept place; 1 of each given back counts",
    size: Agreement { states: 2560, edges: 7864 },
    machine: || counting(None),
    twins: &[
        Twin {
            name: "place_is_lost",
            claim: "a kept place that is dropped is not given back",
            machine: || counting(Some(Fault::PlaceIsLost)),
            step: "",
        },
        Twin {
            name: "slot_is_lost",
            claim: "a slot that is dropped is not given back",
            machine: || counting(Some(Fault::SlotIsLost)),
            step: "",
        },
    ],
    ..REFUSES
};
