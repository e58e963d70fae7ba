//! Duties of two keys with deadlines, and signers that are late or dead.
//!
//! The duties are attestations, of a committee each, in slots of an epoch each. A duty is asked for
//! (the specification's `Ask`) when the node answers with its data, and slashing protection answers
//! at once.

use std::collections::{BTreeMap, BTreeSet};

use blocksmith::beacon_validator::toy::{Signed, ToyData, ToyDuties, ToySignature};
use blocksmith::beacon_validator::{
    BeaconValidator, DutyId, DutyList, Effect, Event, Head, Kind, Limits, Listed, Outcome, Place,
    Protection, Reading, Reply, Request, RequestId, Timing, Validator,
};
use blocksmith::machine::Machine;
use stateright::Model;

use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

/// The duties: their names, validators and times. A key is its validator's number, and odd, so that
/// nobody aggregates. So is the committee.
const DUTIES: [(&str, u8, u64); 3] = [("a1", 1, 0), ("a2", 1, 1), ("b1", 3, 0)];
const KEY_OF_B: u8 = 3;
const LAST: u64 = 3;
/// The slot of time 0.
const FIRST: u64 = 8;
/// The root that committees depend on.
const DEPENDENT: u8 = 1;
const TIMING: Timing = Timing {
    slots_per_epoch: 1,
    slot_ms: 100,
    proposal_end_ms: 50,
    attestation_ms: 0,
    attestation_gather_ms: 0,
    aggregate_ms: 50,
    aggregate_gather_ms: 50,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A signature is taken for the one that its key was asked for last.
    Uncorrelated,
    /// The clock is read a slot late.
    ReadsLate,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    machine: BeaconValidator<ToyDuties>,
    time: u64,
    b_is_dead: bool,
    stage: [&'static str; DUTIES.len()],
    used: [Option<usize>; DUTIES.len()],
    outcomes: [u8; DUTIES.len()],
    /// Requests under way: for data by validator, for signatures and publications by duty.
    data: BTreeMap<u8, RequestId>,
    requests: BTreeMap<usize, RequestId>,
    publications: BTreeMap<usize, RequestId>,
    asked: BTreeSet<usize>,
    transit: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Ask(&'static str),
    Sign(&'static str),
    /// The signature that a duty asked for comes, and is taken or dropped.
    Hear(&'static str),
    Publish(&'static str),
    Tick,
}

struct Duties {
    fault: Option<Fault>,
}

/// Returns the place of a duty in the list.
fn duty(name: &str) -> usize {
    DUTIES.iter().position(|(other, ..)| *other == name).expect("it is one of the duties")
}

fn of_id(id: DutyId) -> Option<usize> {
    let is_it = |(_, validator, time): &(&str, u8, u64)| {
        (u64::from(*validator), FIRST + time) == (id.validator, id.slot)
    };
    DUTIES.iter().position(is_it).filter(|_| id.kind == Kind::Attestation)
}

/// Returns the data of a duty's attestation.
fn data(duty: usize) -> ToyData {
    let (_, validator, time) = DUTIES[duty];
    let slot = FIRST + time;
    let (head, committee) = (slot as u8, validator.into());
    ToyData { slot, committee, head, source: slot - 1, target: slot }
}

fn signature(duty: usize) -> ToySignature {
    ToySignature { key: DUTIES[duty].1, of: Signed::Attestation(data(duty)) }
}

fn head(slot: u64) -> Head<u8> {
    Head { root: slot as u8, slot, current_dependent: DEPENDENT, previous_dependent: DEPENDENT }
}

/// Returns the attesters of an epoch, which has one slot.
fn listed(epoch: u64) -> Vec<Listed<u8>> {
    let of_epoch = DUTIES.iter().filter(|(.., time)| FIRST + time == epoch);
    let entry = |(_, key, _): &(&str, u8, u64)| {
        let committee = (*key).into();
        let place = Place { committee, committee_length: 1, committees_at_slot: 4, position: 0 };
        Listed { key: *key, validator: (*key).into(), slot: epoch, place: Some(place) }
    };
    of_epoch.map(entry).collect()
}

impl State {
    fn slot(&self) -> u64 {
        FIRST + self.time
    }

    /// Hands the machine an event, and what is answered at once.
    fn tell(&mut self, event: Event<ToyDuties>) {
        let protocol = ToyDuties { timing: TIMING };
        let mut events = vec![event];
        // Each round answers requests; the machine makes a bounded number in a slot.
        while let Some(event) = events.pop() {
            for effect in self.machine.handle(&protocol, event) {
                match effect {
                    Effect::Ask { id, request, .. } => {
                        let reply = self.take(id, request);
                        events.extend(reply.map(|reply| Event::Reply { request: id, reply }));
                    }
                    Effect::Ended { duty, outcome } => {
                        let Some(duty) = of_id(duty) else { continue };
                        let is_sent = outcome == Outcome::Sent;
                        self.stage[duty] = if is_sent { "sent" } else { "missed" };
                        self.outcomes[duty] += 1;
                    }
                    Effect::Began(_) | Effect::Subscribe(_) => {}
                }
            }
        }
    }

    /// Takes note of a request, or answers it.
    fn take(&mut self, id: RequestId, request: Request<ToyDuties>) -> Option<Reply<ToyDuties>> {
        match request {
            Request::Duties { epoch, list, .. } => {
                let root = head(self.slot()).dependent_root(&TIMING, list, epoch);
                let dependent_root = root.unwrap_or(DEPENDENT);
                let is_attesters = list == DutyList::Attesters;
                let listed = if is_attesters { listed(epoch) } else { Vec::new() };
                return Some(Reply::Duties { dependent_root, listed });
            }
            Request::Data { committee, .. } => {
                self.data.insert(committee as u8, id);
            }
            Request::Protect(guarded) => {
                let answers = guarded.iter().map(|guarded| (guarded.duty, Protection::Recorded));
                return Some(Reply::Protected(answers.collect()));
            }
            Request::Sign { duty, key, message } => {
                let Some(duty) = of_id(duty) else {
                    // A selection proof; with an odd key it makes nobody an aggregator.
                    let of = Signed::of(&message);
                    return Some(Reply::Signature(ToySignature { key, of }));
                };
                self.stage[duty] = "waits";
                self.asked.insert(duty);
                self.requests.insert(duty, id);
            }
            Request::Publish(signed) => {
                for signed in signed {
                    let Some(duty) = of_id(signed.duty) else { continue };
                    self.stage[duty] = "signed";
                    let mut all = 0..DUTIES.len();
                    self.used[duty] = all.find(|other| signature(*other) == signed.signature);
                    self.publications.insert(duty, id);
                }
            }
            Request::Produce { .. } | Request::Aggregate { .. } => return Some(Reply::Failed),
        }
        None
    }

    fn read(&mut self, slot: u64) {
        self.tell(Event::Clock(Reading::SinceGenesis(TIMING.at(slot, 0))));
    }
}

impl Duties {
    /// The signature that a duty asked for comes.
    fn hear(&self, state: &mut State, name: &str) {
        let of = duty(name);
        state.transit.remove(&of);
        let request = state.requests.remove(&of);
        let of_key = |other: &usize| DUTIES[*other].1 == DUTIES[of].1;
        let last = state.requests.keys().copied().rfind(of_key);
        let request = match (self.fault, last) {
            (Some(Fault::Uncorrelated), Some(last)) => state.requests.remove(&last),
            _ => request,
        };
        let Some(request) = request else { return };
        state.tell(Event::Reply { request, reply: Reply::Signature(signature(of)) });
    }
}

impl Model for Duties {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let machine = BeaconValidator::new(&ToyDuties { timing: TIMING }, Limits::default());
        let mut state = State {
            machine,
            time: 0,
            b_is_dead: false,
            stage: ["planned"; DUTIES.len()],
            used: [None; DUTIES.len()],
            outcomes: [0; DUTIES.len()],
            data: BTreeMap::new(),
            requests: BTreeMap::new(),
            publications: BTreeMap::new(),
            asked: BTreeSet::new(),
            transit: BTreeSet::new(),
        };
        let validator = |key: u8| Validator { index: key.into(), key, may_sign: true };
        state.tell(Event::Validators([1, KEY_OF_B].map(validator).to_vec()));
        state.tell(Event::Head(head(FIRST)));
        state.read(FIRST);
        vec![state.clone(), State { b_is_dead: true, ..state }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (duty, (name, validator, time)) in DUTIES.into_iter().enumerate() {
            let is_now = time == state.time && state.stage[duty] == "planned";
            let has_data = state.data.contains_key(&validator);
            actions.extend((is_now && has_data).then_some(Action::Ask(name)));
            let signs = !(state.b_is_dead && validator == KEY_OF_B);
            let signs = signs && state.asked.contains(&duty);
            actions.extend(signs.then_some(Action::Sign(name)));
            actions.extend(state.transit.contains(&duty).then_some(Action::Hear(name)));
            let publishes = state.stage[duty] == "signed";
            actions.extend(publishes.then_some(Action::Publish(name)));
        }
        actions.extend((state.time < LAST).then_some(Action::Tick));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Ask(name) => {
                let request = state.data.remove(&DUTIES[duty(name)].1)?;
                state.tell(Event::Reply { request, reply: Reply::Data(data(duty(name))) });
                // Attestations are protected together, or at the next reading of the clock.
                state.read(state.slot());
            }
            Action::Sign(name) => {
                state.asked.remove(&duty(name));
                state.transit.insert(duty(name));
            }
            Action::Hear(name) => self.hear(&mut state, name),
            Action::Publish(name) => {
                let request = state.publications.remove(&duty(name))?;
                state.tell(Event::Reply {
                    request,
                    reply: Reply::Published { refused: Vec::new() },
                });
            }
            Action::Tick => {
                state.time += 1;
                // What was asked of the nodes in the slot before is over.
                state.data.clear();
                state.publications.clear();
                let late = u64::from(self.fault == Some(Fault::ReadsLate));
                state.tell(Event::Head(head(state.slot())));
                state.read(state.slot() - late);
            }
        }
        Some(state)
    }
}

impl Projected for Duties {
    fn variables(&self, state: &State) -> Variables {
        let names = DUTIES.map(|(name, ..)| name);
        let set = |duties: &BTreeSet<usize>| Value::set(duties.iter().map(|duty| names[*duty]));
        let used = state.used.map(|duty| duty.map_or("none", |duty| names[duty]));
        variables([
            ("stage", Value::function(names.into_iter().zip(state.stage))),
            ("asked", set(&state.asked)),
            ("transit", set(&state.transit)),
            ("used", Value::function(names.into_iter().zip(used))),
            ("dead", Value::set(state.b_is_dead.then_some("b"))),
            ("time", state.time.into()),
            ("outcomes", Value::function(names.into_iter().zip(state.outcomes))),
        ])
    }
}

fn machine(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Duties { fault })
}

pub(super) const INSTANCE: Instance = Instance {
    name: "duties",
    spec: "Duties",
    cfg: "Duties",
    source: "beacon_validator: BeaconValidator",
    bounds: "3 attestations of 2 keys in 2 slots, 4 slots, a signer that may be dead",
    dropped: "lists, heads, data and slashing protection, which are answered at once",
    is_whole: true,
    size: Agreement { states: 560, edges: 1078 },
    machine: || machine(None),
    twins: &[
        Twin {
            name: "uncorrelated",
            claim: "a signature is taken for the one that its key was asked for last",
            machine: || machine(Some(Fault::Uncorrelated)),
            step: "Hear",
        },
        Twin {
            name: "reads_late",
            claim: "the clock is read a slot late",
            machine: || machine(Some(Fault::ReadsLate)),
            step: "Tick",
        },
    ],
};
