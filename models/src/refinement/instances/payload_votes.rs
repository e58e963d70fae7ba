//! The votes on the payload of one slot's block, an event at a time.

use blocksmith::beacon_validator::{Head, Reading, Validator};
use blocksmith::machine::Machine;
use blocksmith::payload_attestation::toy::{ToyVote, ToyVotes};
use blocksmith::payload_attestation::{
    Effect, Event, Limits, Outcome, PayloadAttestation, Reply, Request, RequestId, Timing,
};
use blocksmith::ptc_duties::Listed;
use stateright::Model;

use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

const VOTES: [&str; 2] = ["a", "b"];
/// The slot of the votes; the process has begun in the one before.
const SLOT: u64 = 1;
/// A tick, in milliseconds.
const TICK: u64 = 10;
const END: u64 = 5;
const TIMING: Timing = Timing {
    slots_per_epoch: 8,
    slot_ms: END * TICK,
    fetch_ms: TICK,
    gather_ms: 2 * TICK,
    due_ms: 3 * TICK,
    late_ms: 4 * TICK,
};
/// The root that all duties depend on, and the slot's block.
const DEPENDENT: u8 = 1;
const BLOCK: u8 = 7;
const DATA: ToyVote = ToyVote { slot: SLOT, block: BLOCK, is_complete: true };
/// What a variable shows that has no time.
const NEVER: u64 = 9;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// What is signed waits for the others until the deadline.
    GathersLate,
    /// A vote that is not signed is given up at the end of the slot.
    WaitsOn,
    /// The data are asked for again after two ticks.
    RestsLong,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    machine: PayloadAttestation<ToyVotes>,
    time: u64,
    seen: bool,
    data: &'static str,
    stage: [&'static str; VOTES.len()],
    since: [u64; VOTES.len()],
    left: [u64; VOTES.len()],
    ends: [u8; VOTES.len()],
    /// The requests under way: for lists, for data, for each signature, and for publications.
    lists: Vec<(RequestId, u64, usize)>,
    asked: Option<RequestId>,
    signing: [Option<RequestId>; VOTES.len()],
    batches: Vec<(RequestId, Vec<usize>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    See,
    NoBlock,
    Data,
    Sign(&'static str),
    Refuse(&'static str),
    Confirm(RequestId),
    Tick,
}

struct Votes {
    fault: Option<Fault>,
}

/// Returns the place of a vote in the list.
fn vote(name: &str) -> usize {
    VOTES.iter().position(|other| *other == name).expect("it is one of the votes")
}

fn head(root: u8, slot: u64) -> Head<u8> {
    Head { root, slot, current_dependent: DEPENDENT, previous_dependent: DEPENDENT }
}

impl State {
    /// Hands the machine an event at a time of the clock, and takes note of what it wants.
    fn tell(&mut self, at_ms: u64, event: Event<ToyVotes>) {
        for effect in self.machine.handle(&Reading::SinceGenesis(at_ms), event) {
            match effect {
                Effect::Ask { id, request, .. } => self.take(id, request),
                Effect::Began(duty) => self.stage[duty.validator as usize] = "waits",
                Effect::Ended { duty, outcome } => {
                    let is_sent = matches!(outcome, Outcome::Sent { .. });
                    self.stage[duty.validator as usize] = if is_sent { "sent" } else { "missed" };
                    self.ends[duty.validator as usize] += 1;
                }
                Effect::Took { .. } => {}
            }
        }
    }

    fn take(&mut self, id: RequestId, request: Request<ToyVotes>) {
        match request {
            Request::Duties { epoch, validators } => self.lists.push((id, epoch, validators.len())),
            Request::Data { .. } => (self.asked, self.data) = (Some(id), "asked"),
            Request::Sign { duty, .. } => {
                let vote = duty.validator as usize;
                (self.signing[vote], self.stage[vote], self.data) = (Some(id), "signing", "fixed");
            }
            Request::Publish { votes, .. } => {
                let votes: Vec<_> = votes.iter().map(|vote| vote.validator as usize).collect();
                for vote in &votes {
                    (self.stage[*vote], self.left[*vote]) = ("publishing", self.time);
                }
                self.batches.push((id, votes));
            }
        }
    }

    /// An event in the slot of the votes.
    fn tell_now(&mut self, event: Event<ToyVotes>) {
        self.tell(SLOT * TIMING.slot_ms + self.time * TICK, event);
    }

    fn reply(&mut self, request: RequestId, reply: Reply<ToyVotes>) {
        self.tell_now(Event::Reply { request, reply });
    }

    /// A node answers with the lists of the first epoch, as long as they are asked for.
    fn answer_lists(&mut self) {
        while let Some(at) = self.lists.iter().position(|(_, epoch, _)| *epoch == 0) {
            let (request, _, count) = self.lists.remove(at);
            let listed = |key: u8| Listed { validator: key.into(), key, slot: SLOT };
            let duties = (0..2).take(count).map(listed).collect();
            let reply = Reply::Duties { dependent_root: DEPENDENT, duties };
            self.tell(0, Event::Reply { request, reply });
        }
    }

    /// Forgets the requests whose time is over: nobody waits for them any more.
    fn forget(&mut self) {
        if self.time >= TIMING.due_ms / TICK && self.data != "fixed" {
            (self.asked, self.data) = (None, "none");
        }
        if self.time >= END {
            self.batches.clear();
        }
    }
}

impl Model for Votes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut timing = TIMING;
        match self.fault {
            Some(Fault::GathersLate) => timing.gather_ms = TIMING.due_ms,
            Some(Fault::WaitsOn) => timing.late_ms = TIMING.slot_ms,
            _ => {}
        }
        let rests = 1 + u64::from(self.fault == Some(Fault::RestsLong));
        let limits = Limits { retry_ms: rests * TICK, ..Limits::default() };
        let mut state = State {
            machine: PayloadAttestation::new(ToyVotes { timing }, limits),
            time: 0,
            seen: false,
            data: "none",
            stage: ["planned"; VOTES.len()],
            since: [NEVER; VOTES.len()],
            left: [NEVER; VOTES.len()],
            ends: [0; VOTES.len()],
            lists: Vec::new(),
            asked: None,
            signing: [None; VOTES.len()],
            batches: Vec::new(),
        };
        let validator = |key: u8| Validator { index: key.into(), key, may_sign: true };
        state.tell(0, Event::Validators((0..2).map(validator).collect()));
        state.answer_lists();
        state.tell(0, Event::Head(head(0, 0)));
        state.tell_now(Event::Wake);
        state.lists.clear();
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend((!state.seen && state.time < END).then_some(Action::See));
        let answer = if state.seen { Action::Data } else { Action::NoBlock };
        actions.extend(state.asked.map(|_| answer));
        for (vote, name) in VOTES.into_iter().enumerate() {
            if state.stage[vote] == "signing" {
                actions.extend([Action::Sign(name), Action::Refuse(name)]);
            }
        }
        actions.extend(state.batches.iter().map(|(request, _)| Action::Confirm(*request)));
        actions.extend((state.time < END).then_some(Action::Tick));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::See => {
                state.seen = true;
                state.tell_now(Event::Head(head(BLOCK, SLOT)));
            }
            Action::NoBlock => {
                state.data = "rests";
                let request = state.asked.take()?;
                state.reply(request, Reply::NoBlock);
            }
            Action::Data => {
                let request = state.asked.take()?;
                state.reply(request, Reply::Data(DATA));
            }
            Action::Sign(name) => {
                let vote = vote(name);
                let request = state.signing[vote].take()?;
                (state.stage[vote], state.since[vote]) = ("signed", state.time);
                state.reply(request, Reply::Signature((vote as u8, DATA)));
            }
            Action::Refuse(name) => {
                let request = state.signing[vote(name)].take()?;
                state.reply(request, Reply::Refused);
            }
            Action::Confirm(request) => {
                state.batches.retain(|(other, _)| *other != request);
                state.reply(request, Reply::Published { refused: Vec::new() });
            }
            Action::Tick => {
                state.time += 1;
                state.tell_now(Event::Wake);
                state.forget();
            }
        }
        Some(state)
    }
}

impl Projected for Votes {
    fn variables(&self, state: &State) -> Variables {
        let batch = |votes: &Vec<usize>| Value::set(votes.iter().map(|vote| VOTES[*vote]));
        variables([
            ("time", state.time.into()),
            ("seen", state.seen.into()),
            ("data", state.data.into()),
            ("stage", Value::function(VOTES.into_iter().zip(state.stage))),
            ("since", Value::function(VOTES.into_iter().zip(state.since))),
            ("left", Value::function(VOTES.into_iter().zip(state.left))),
            ("batches", Value::set(state.batches.iter().map(|(_, votes)| batch(votes)))),
            ("ends", Value::function(VOTES.into_iter().zip(state.ends))),
        ])
    }
}

fn machine(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Votes { fault })
}

pub(super) const INSTANCE: Instance = Instance {
    name: "payload_votes",
    spec: "PayloadVotes",
    cfg: "PayloadVotes",
    source: "payload_attestation: PayloadAttestation, with its PtcDuties",
    bounds: "1 slot of 6 times, 2 votes, a block that comes late or never, signers that refuse",
    dropped: "lists of duties, which are known before; payloads that are told early; restarts",
    is_whole: true,
    size: Agreement { states: 234, edges: 349 },
    machine: || machine(None),
    twins: &[
        Twin {
            name: "gathers_late",
            claim: "what is signed waits for the others until the deadline",
            machine: || machine(Some(Fault::GathersLate)),
            step: "Tick",
        },
        Twin {
            name: "waits_on",
            claim: "a vote that is not signed is given up at the end of the slot",
            machine: || machine(Some(Fault::WaitsOn)),
            step: "Tick",
        },
        Twin {
            name: "rests_long",
            claim: "the data are asked for again after two ticks",
            machine: || machine(Some(Fault::RestsLong)),
            step: "Tick",
        },
    ],
};
