//! States, steps and properties; see [`super`].

use std::collections::{BTreeMap, VecDeque};

use stateright::{Model, Property};

use super::words::InWords;
use crate::hazard::{self, Hazard};
use blocksmith_engines::explore;
use blocksmith_engines::lasso::{self, Liveness, Process};
use blocksmith_engines::verdict::{Breaks, Verdict};

/// A search that generates more states than this is truncated.
const MAX_STATES: usize = 3_000_000;

/// An instance of the model.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What holds if the instance is verified.
    pub claim: &'static str,
    /// Services in the ring.
    pub services: usize,
    /// Requests that each mailbox holds.
    pub capacity: usize,
    /// Slots for answers that each service has.
    pub slots: usize,
    /// Requests that each service makes, except the lowest, which has no service to ask.
    pub requests: usize,
    /// The pinned number of distinct states.
    pub states: u64,
}

/// A variant that must be refuted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The lowest service asks the highest: all services send around the ring, and wait. The answer
    /// is the request itself when it comes back to the service that made it.
    SendsRoundTheRing,
    /// Answers wait for room in the asker's mailbox, as requests do.
    AnswersInTheMailbox,
    /// Mailboxes have no bound.
    Unbounded,
    /// A service asks without a slot for the answer; an answer that finds none is dropped.
    NoSlotReserved,
}

/// A fault, the scenario that shows it, and the property that it breaks.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// The fault.
    pub fault: Fault,
    /// Its name.
    pub name: &'static str,
    /// The hazard.
    pub hazard: &'static Hazard,
    /// What goes wrong.
    pub claim: &'static str,
    /// Position of the scenario in [`SCENARIOS`].
    pub scenario: usize,
    /// The property that is reported.
    pub violates: &'static [Breaks],
}

/// Every scenario. There are more slots than a mailbox has room, so that senders do wait, and as
/// many requests as two services can hold in their mailboxes and in hand.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "two_of_one",
        claim: "two services in the abstract, mailboxes of one: no deadlock, every request is answered",
        services: 2,
        capacity: 1,
        slots: 3,
        requests: 4,
        states: 37,
    },
    Scenario {
        name: "two_of_two",
        claim: "two services in the abstract, mailboxes of two: no deadlock, every request is answered",
        services: 2,
        capacity: 2,
        slots: 4,
        requests: 6,
        states: 92,
    },
    Scenario {
        name: "three_of_one",
        claim: "three services in the abstract, mailboxes of one: no deadlock, every request is answered",
        services: 3,
        capacity: 1,
        slots: 3,
        requests: 4,
        states: 2461,
    },
    Scenario {
        name: "three_of_two",
        claim: "three services in the abstract, mailboxes of two: no deadlock, every request is answered",
        services: 3,
        capacity: 2,
        slots: 4,
        requests: 6,
        states: 21_439,
    },
];

/// Every twin.
pub const TWINS: &[Twin] = &[
    Twin {
        fault: Fault::SendsRoundTheRing,
        name: "two_send_round",
        hazard: &hazard::M8,
        claim: "two services whose sends wait for each other's mailbox",
        scenario: 0,
        violates: &[Breaks::Property("no deadlock")],
    },
    Twin {
        fault: Fault::SendsRoundTheRing,
        name: "three_send_round",
        hazard: &hazard::M8,
        claim: "three services whose sends wait round the ring; a larger mailbox only puts it off",
        scenario: 3,
        violates: &[Breaks::Property("no deadlock")],
    },
    Twin {
        fault: Fault::AnswersInTheMailbox,
        name: "answers_in_the_mailbox",
        hazard: &hazard::M8,
        claim: "answers wait for room in the mailbox of a service that waits to ask",
        scenario: 2,
        violates: &[Breaks::Property("no deadlock")],
    },
    Twin {
        fault: Fault::Unbounded,
        name: "unbounded",
        hazard: &hazard::M7,
        claim: "mailboxes without a bound: no deadlock, and no limit to what they hold",
        scenario: 0,
        violates: &[Breaks::Property("bounded")],
    },
    Twin {
        fault: Fault::NoSlotReserved,
        name: "no_slot_reserved",
        hazard: &hazard::M8,
        claim: "a service asks without a slot for the answer, which is dropped",
        scenario: 1,
        violates: &[Breaks::Property("no deadlock")],
    },
];

/// The property that every request is answered in the end.
const IS_ANSWERED: &str = "every request is answered";

/// A twin of the search for requests that are never answered.
pub const UNANSWERED: Twin = Twin {
    fault: Fault::NoSlotReserved,
    name: "no_slot_reserved_end",
    hazard: &hazard::M8,
    claim: "an answer without a slot is dropped, and its request waits for ever",
    scenario: 1,
    violates: &[Breaks::Property(IS_ANSWERED)],
};

/// A request on its way, or an answer in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The service that asked.
    pub asker: usize,
    /// Which of its requests.
    pub number: usize,
    /// Whether it has been answered.
    pub is_answer: bool,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// Requests, and with [`Fault::AnswersInTheMailbox`] also answers.
    pub mailbox: VecDeque<Message>,
    /// Answers in reserved slots, by the number of the request.
    pub slots: VecDeque<usize>,
    /// Number of reserved slots: for answers that are outstanding or in a slot.
    pub reserved: usize,
    /// The message that waits for room, and the service in whose mailbox it waits for room.
    pub in_hand: Option<(Message, usize)>,
    /// Requests made.
    pub made: usize,
    /// Answers to each request made.
    pub answers: Vec<u8>,
}

/// A state of all services. The module `words` says how a state is shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State(pub Vec<Service>);

/// What the next step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A service makes a request, and then has it in hand.
    Ask(usize),
    /// A service puts the message that it has in hand into the mailbox of its destination.
    Send(usize),
    /// A service takes the oldest message from its mailbox.
    Take(usize),
    /// A service takes an answer out of a slot.
    Collect(usize),
}

/// The services of one scenario, with or without a fault.
#[derive(Clone, Debug)]
pub struct Ring {
    scenario: Scenario,
    fault: Option<Fault>,
}

impl Ring {
    /// Returns the model.
    #[must_use]
    pub fn new(scenario: Scenario, fault: Option<Fault>) -> Self {
        Self { scenario, fault }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn has_room(&self, service: &Service) -> bool {
        service.mailbox.len() < self.scenario.capacity || self.has(Fault::Unbounded)
    }

    fn is_lowest(&self, service: usize) -> bool {
        service + 1 == self.scenario.services
    }

    /// Returns how many requests a service makes.
    fn requests(&self, service: usize) -> usize {
        let asks = !self.is_lowest(service) || self.has(Fault::SendsRoundTheRing);
        if asks { self.scenario.requests } else { 0 }
    }

    /// Returns whether a service may make a request: whether it has one left, and a slot for the
    /// answer if it needs one.
    fn may_ask(&self, number: usize, service: &Service) -> bool {
        let reserves = !matches!(
            self.fault,
            Some(Fault::SendsRoundTheRing | Fault::AnswersInTheMailbox | Fault::NoSlotReserved)
        );
        service.made < self.requests(number)
            && (!reserves || service.reserved < self.scenario.slots)
    }

    /// Lets a service take a message: its own request that has come back, an answer, or a request
    /// to pass on or answer.
    fn take(&self, state: &mut State, service: usize) {
        let Some(message) = state.0[service].mailbox.pop_front() else { return };
        let Message { asker, number, .. } = message;
        if message.is_answer || asker == service {
            state.0[service].answers[number] += 1;
        } else if !self.is_lowest(service) || self.has(Fault::SendsRoundTheRing) {
            let next = (service + 1) % self.scenario.services;
            state.0[service].in_hand = Some((message, next));
        } else if self.has(Fault::AnswersInTheMailbox) {
            state.0[service].in_hand = Some((Message { is_answer: true, ..message }, asker));
        } else if state.0[asker].slots.len() < self.scenario.slots {
            state.0[asker].slots.push_back(number);
        }
    }
}

impl Model for Ring {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let service = |number| Service {
            mailbox: VecDeque::new(),
            slots: VecDeque::new(),
            reserved: 0,
            in_hand: None,
            made: 0,
            answers: vec![0; self.requests(number)],
        };
        vec![State((0..self.scenario.services).map(service).collect())]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, service) in state.0.iter().enumerate() {
            if let Some((_, to)) = service.in_hand {
                if self.has_room(&state.0[to]) {
                    actions.push(Action::Send(number));
                }
                continue;
            }
            if self.may_ask(number, service) {
                actions.push(Action::Ask(number));
            }
            if !service.mailbox.is_empty() {
                actions.push(Action::Take(number));
            }
            if !service.slots.is_empty() {
                actions.push(Action::Collect(number));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Ask(asker) => {
                let service = &mut state.0[asker];
                let message = Message { asker, number: service.made, is_answer: false };
                service.in_hand = Some((message, (asker + 1) % self.scenario.services));
                service.made += 1;
                service.reserved += 1;
            }
            Action::Send(service) => {
                let (message, to) = state.0[service].in_hand.take()?;
                state.0[to].mailbox.push_back(message);
            }
            Action::Take(service) => self.take(&mut state, service),
            Action::Collect(service) => {
                let number = state.0[service].slots.pop_front()?;
                state.0[service].reserved -= 1;
                state.0[service].answers[number] += 1;
            }
        }
        Some(state)
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        let next = self.next_state(last, action)?;
        Some(format!("{}\n{next:?}", self.describe(last, action)))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no deadlock", |model: &Self, state: &State| {
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                let mut answers = state.0.iter().flat_map(|service| &service.answers);
                !actions.is_empty() || answers.all(|count| *count == 1)
            }),
            Property::always("answered once", |_: &Self, state: &State| {
                state.0.iter().flat_map(|service| &service.answers).all(|count| *count <= 1)
            }),
            Property::always("bounded", |model: &Self, state: &State| {
                let Scenario { capacity, slots, .. } = model.scenario;
                let mut all = state.0.iter();
                all.all(|one| one.mailbox.len() <= capacity && one.slots.len() <= slots)
            }),
        ]
    }
}

/// Explores a scenario, with or without a fault. Blocks until the search ends.
#[must_use]
pub fn check(scenario: &Scenario, fault: Option<Fault>) -> Verdict {
    let model = Ring::new(scenario.clone(), fault);
    explore::check(model, &InWords, bounds(scenario), MAX_STATES)
}

/// Looks for a run of a scenario in which a request has no answer, ever, although each service goes
/// on as long as it can. Blocks until the search ends.
#[must_use]
pub fn check_end(scenario: &Scenario, fault: Option<Fault>) -> Verdict {
    let property = Liveness {
        model: &Ring::new(scenario.clone(), fault),
        name: IS_ANSWERED,
        process: |action: &Action| {
            let (Action::Ask(service)
            | Action::Send(service)
            | Action::Take(service)
            | Action::Collect(service)) = action;
            Some(*service as Process)
        },
        waits: |state: &State| {
            state.0.iter().flat_map(|service| &service.answers).any(|count| *count == 0)
        },
    };
    lasso::check(&property, &InWords, bounds(scenario), MAX_STATES)
}

fn bounds(scenario: &Scenario) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("services", scenario.services.to_string()),
        ("mailbox_capacity", scenario.capacity.to_string()),
        ("reply_slots", scenario.slots.to_string()),
        ("requests", format!("{} each", scenario.requests)),
    ])
}
