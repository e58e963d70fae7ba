//! States, steps and properties; see [`super`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use blocksmith::machine::Machine;
use blocksmith::supervision::{Effect, Event, Intensity, ServiceName, Supervision};
use stateright::{Model, Property};

use super::words::InWords;
use crate::hazard::{self, Hazard};
use blocksmith_engines::explore;
use blocksmith_engines::lasso::{self, Liveness};
use blocksmith_engines::verdict::{Breaks, Verdict};

/// A search that generates more states than this is truncated.
const MAX_STATES: usize = 3_000_000;

/// A request, by its position in the scenario.
pub type Request = usize;

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Poison {
    /// Nothing.
    None,
    /// The upper service panics when it handles the request.
    Upper,
    /// The lower service panics when it handles the request.
    Lower,
    /// The lower service breaks when it handles the request, and has no successor.
    Tears,
}

/// An instance of the model.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What holds if the instance is verified.
    pub claim: &'static str,
    /// The requests; they may be made in any order.
    pub requests: &'static [Poison],
    /// Requests that each mailbox holds.
    pub capacity: usize,
    /// Number of panics that supervision tolerates.
    pub max_restarts: usize,
    /// The pinned number of distinct states.
    pub states: u64,
}

/// A variant that must be refuted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The upper service makes its mailbox when it starts; a message sent before that is lost.
    MailboxMadeByTheThread,
    /// The reply slots of the lower service are freed when it is told to stop, not when it has
    /// ended.
    RepliesFreedAtTheStop,
    /// The lower service is stopped first.
    ConsumerStopsFirst,
    /// A service that panics does not answer its requesters.
    NobodyIsAnswered,
    /// The successor handles the message at which its predecessor panicked.
    PoisonIsRetried,
}

/// A fault, the scenario that shows it, and the property that it breaks.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// The fault.
    pub fault: Fault,
    /// The hazard.
    pub hazard: &'static Hazard,
    /// What goes wrong.
    pub claim: &'static str,
    /// Position of the scenario in [`SCENARIOS`].
    pub scenario: usize,
    /// The properties, one of which is reported.
    pub violates: &'static [Breaks],
}

/// Every scenario.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "crashes",
        claim: "a panic in either service costs the message that caused it, and nothing that is queued",
        requests: &[Poison::None, Poison::Upper, Poison::Lower, Poison::None],
        capacity: 2,
        max_restarts: 2,
        states: 28_502,
    },
    Scenario {
        name: "escalation",
        claim: "one panic more than is borne stops both services, and every request is answered",
        requests: &[Poison::Lower, Poison::None, Poison::Upper],
        capacity: 1,
        max_restarts: 1,
        states: 2372,
    },
    Scenario {
        name: "no_successor",
        claim: "a service without a successor ends, what it has queued is answered, and all stops",
        requests: &[Poison::None, Poison::Tears, Poison::None],
        capacity: 2,
        max_restarts: 3,
        states: 2701,
    },
];

/// Every twin.
pub const TWINS: &[Twin] = &[
    Twin {
        fault: Fault::MailboxMadeByTheThread,
        hazard: &hazard::L2,
        claim: "the mailbox is made by its thread: what is sent before has no answer",
        scenario: 0,
        violates: &[Breaks::Property("answered once")],
    },
    Twin {
        fault: Fault::RepliesFreedAtTheStop,
        hazard: &hazard::L3,
        claim: "reply slots are freed while the lower service holds them",
        scenario: 0,
        violates: &[Breaks::Property("answered once"), Breaks::Property("no deadlock")],
    },
    Twin {
        fault: Fault::ConsumerStopsFirst,
        hazard: &hazard::L4,
        claim: "the lower service is stopped before the one that sends to it",
        scenario: 0,
        violates: &[Breaks::Property("nothing queued is lost")],
    },
    Twin {
        fault: Fault::NobodyIsAnswered,
        hazard: &hazard::L5,
        claim: "the requester of a lost message is not answered",
        scenario: 0,
        violates: &[Breaks::Property("answered once"), Breaks::Property("no deadlock")],
    },
    Twin {
        fault: Fault::PoisonIsRetried,
        hazard: &hazard::L6,
        claim: "the successor tries the poisoned message again",
        scenario: 1,
        violates: &[Breaks::Property("not retried")],
    },
];

/// The property that every request is answered in the end.
const IS_ANSWERED: &str = "every request is answered";

/// A twin of the search for requests that are never answered.
pub const UNANSWERED: Twin = Twin {
    fault: Fault::MailboxMadeByTheThread,
    hazard: &hazard::L2,
    claim: "a request that comes before the service's thread is lost, and waits for ever",
    scenario: 0,
    violates: &[Breaks::Property(IS_ANSWERED)],
};

/// An answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Done,
    Fault,
    Shutdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Message {
    /// A request (at the upper service), or the task made of it (at the lower service).
    Work(Request),
    /// The lower service's answer, in a reserved slot.
    Answered(Request, Answer),
    /// The stop, in a reserved slot.
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    NotStarted,
    Serving,
    /// The service has crashed, and its successor has not begun yet.
    Crashed,
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Service {
    pub(super) phase: Phase,
    pub(super) mailbox: VecDeque<Message>,
    pub(super) closed: bool,
}

/// A state of the two services. The module `words` says how a state is shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) policy: Supervision,
    pub(super) upper: Service,
    pub(super) lower: Service,
    /// The request that the upper service has taken, while the lower's mailbox has no room for its
    /// task.
    pub(super) in_hand: Option<Request>,
    /// The requests that are at the lower service.
    pub(super) under_way: BTreeSet<Request>,
    /// Whether the upper service has come to the stop.
    pub(super) stopping: bool,
    /// Whether a service ended without a successor.
    pub(super) torn: bool,
    pub(super) made: Vec<bool>,
    pub(super) answers: Vec<Vec<Answer>>,
    /// How often each request was handled, by the upper and the lower service.
    pub(super) handled: Vec<[u8; 2]>,
    pub(super) successors: usize,
    pub(super) steps_after_stop: usize,
}

/// What the next step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client makes the request.
    Make(Request),
    /// A service starts; the lower one first.
    Start(ServiceName),
    /// The owner asks for the stop.
    Stop,
    /// A service takes a message or ends, or its successor begins.
    Step(ServiceName),
}

pub(super) const UPPER: ServiceName = ServiceName::Quarantine;
pub(super) const LOWER: ServiceName = ServiceName::Clearance;

/// The two services in one scenario, with or without a fault.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    pub(super) scenario: Scenario,
    fault: Option<Fault>,
}

impl Lifecycle {
    /// Returns the model.
    #[must_use]
    pub fn new(scenario: Scenario, fault: Option<Fault>) -> Self {
        Self { scenario, fault }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn has_room(&self, service: &Service) -> bool {
        let work = service.mailbox.iter().filter(|message| matches!(message, Message::Work(_)));
        work.count() < self.scenario.capacity
    }

    fn can_step(&self, state: &State, name: ServiceName) -> bool {
        let service = if name == UPPER { &state.upper } else { &state.lower };
        match service.phase {
            Phase::NotStarted | Phase::Ended => false,
            Phase::Crashed => true,
            // The upper service waits for room in the lower's mailbox.
            Phase::Serving if name == UPPER && state.in_hand.is_some() => {
                state.lower.closed || self.has_room(&state.lower)
            }
            Phase::Serving => !service.mailbox.is_empty() || state.is_over(name),
        }
    }

    fn make(&self, state: &mut State, request: Request) {
        state.made[request] = true;
        if state.upper.closed {
            // The mailbox returns the message; the drop of its one-shot is the answer.
            state.answers[request].push(Answer::Fault);
        } else if state.upper.phase != Phase::NotStarted || !self.has(Fault::MailboxMadeByTheThread)
        {
            state.upper.mailbox.push_back(Message::Work(request));
        }
    }

    fn step(&self, state: &mut State, name: ServiceName) {
        let service = state.service(name);
        if service.phase == Phase::Crashed {
            service.phase = Phase::Serving;
            state.successors += usize::from(!state.policy.is_stopping());
        } else if let (true, Some(request)) = (name == UPPER, state.in_hand) {
            state.in_hand = None;
            self.send_down(state, request);
        } else if let Some(message) = state.service(name).mailbox.pop_front() {
            if name == UPPER {
                self.upper_takes(state, message);
            } else {
                self.lower_takes(state, message);
            }
        } else {
            state.end(name);
        }
    }

    fn send_down(&self, state: &mut State, request: Request) {
        state.under_way.insert(request);
        if state.lower.closed {
            let message = Message::Answered(request, Answer::Fault);
            state.upper.mailbox.push_back(message);
        } else {
            state.lower.mailbox.push_back(Message::Work(request));
        }
    }

    fn upper_takes(&self, state: &mut State, message: Message) {
        match message {
            Message::Work(request) => {
                state.handled[request][0] += 1;
                if self.scenario.requests[request] == Poison::Upper {
                    self.crash(state, UPPER, request);
                } else if state.stopping {
                    state.answers[request].push(Answer::Shutdown);
                } else {
                    state.in_hand = Some(request);
                }
            }
            Message::Answered(request, answer) => {
                state.under_way.remove(&request);
                state.answers[request].push(answer);
            }
            Message::Stop => {
                state.stopping = true;
                if self.has(Fault::RepliesFreedAtTheStop) {
                    state.under_way.clear();
                }
            }
        }
    }

    fn lower_takes(&self, state: &mut State, message: Message) {
        let Message::Work(request) = message else { return };
        state.handled[request][1] += 1;
        match self.scenario.requests[request] {
            Poison::Lower | Poison::Tears => self.crash(state, LOWER, request),
            Poison::None | Poison::Upper => self.reply(state, request, Answer::Done),
        }
    }

    /// Puts the lower service's answer into the slot that was reserved for it; if the slot was
    /// freed, the answer is lost.
    fn reply(&self, state: &mut State, request: Request, answer: Answer) {
        if state.under_way.contains(&request) {
            state.upper.mailbox.push_back(Message::Answered(request, answer));
        }
    }

    /// Lets a service panic at a request: dropping what the message carried answers the requester.
    fn crash(&self, state: &mut State, name: ServiceName, request: Request) {
        if self.has(Fault::PoisonIsRetried) {
            state.service(name).mailbox.push_front(Message::Work(request));
        } else if !self.has(Fault::NobodyIsAnswered) {
            if name == UPPER {
                state.answers[request].push(Answer::Fault);
            } else {
                self.reply(state, request, Answer::Fault);
            }
        }
        let replaceable = self.scenario.requests[request] != Poison::Tears;
        let event = Event::Panicked { service: name, at: Duration::ZERO, replaceable };
        for effect in state.policy.handle(&(), event) {
            match effect {
                Effect::Resume => state.service(name).phase = Phase::Crashed,
                Effect::End => {
                    state.torn = true;
                    for message in std::mem::take(&mut state.service(name).mailbox) {
                        if let Message::Work(request) = message {
                            self.reply(state, request, Answer::Fault);
                        }
                    }
                    state.end(name);
                }
                Effect::StopAll(_) => self.stop_all(state),
            }
        }
    }

    fn stop_all(&self, state: &mut State) {
        if self.has(Fault::ConsumerStopsFirst) {
            state.lower.closed = true;
        }
        state.upper.mailbox.push_back(Message::Stop);
        state.upper.closed = true;
    }

    fn poisoned(&self, request: Request) -> bool {
        self.scenario.requests[request] != Poison::None
    }
}

impl State {
    fn service(&mut self, name: ServiceName) -> &mut Service {
        if name == UPPER { &mut self.upper } else { &mut self.lower }
    }

    /// Returns whether nothing more can come: closed, empty, no answer outstanding.
    fn is_over(&self, name: ServiceName) -> bool {
        if name == UPPER {
            self.upper.closed && self.upper.mailbox.is_empty() && self.under_way.is_empty()
        } else {
            self.lower.closed && self.lower.mailbox.is_empty()
        }
    }

    /// Ends a service, which closes what is below it.
    fn end(&mut self, name: ServiceName) {
        let service = self.service(name);
        (service.phase, service.closed) = (Phase::Ended, true);
        if name == UPPER {
            self.lower.closed = true;
        }
    }

    fn has_ended(&self) -> bool {
        self.upper.phase == Phase::Ended && self.lower.phase == Phase::Ended
    }
}

impl Model for Lifecycle {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let requests = self.scenario.requests.len();
        let intensity =
            Intensity { max_restarts: self.scenario.max_restarts, window: Duration::from_secs(1) };
        let service = Service { phase: Phase::NotStarted, mailbox: VecDeque::new(), closed: false };
        vec![State {
            policy: Supervision::new(intensity, None),
            upper: service.clone(),
            lower: service,
            in_hand: None,
            under_way: BTreeSet::new(),
            stopping: false,
            torn: false,
            made: vec![false; requests],
            answers: vec![Vec::new(); requests],
            handled: vec![[0; 2]; requests],
            successors: 0,
            steps_after_stop: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let open = state.upper.closed || self.has_room(&state.upper);
        for (request, made) in state.made.iter().enumerate() {
            if !made && open {
                actions.push(Action::Make(request));
            }
        }
        match (state.lower.phase, state.upper.phase) {
            (Phase::NotStarted, _) => actions.push(Action::Start(LOWER)),
            (_, Phase::NotStarted) => actions.push(Action::Start(UPPER)),
            // Only an owner that has started both services can stop them.
            _ if !state.policy.is_stopping() => actions.push(Action::Stop),
            _ => {}
        }
        let able = [UPPER, LOWER].into_iter().filter(|name| self.can_step(state, *name));
        actions.extend(able.map(Action::Step));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        if state.policy.is_stopping() && matches!(action, Action::Step(_)) {
            state.steps_after_stop += 1;
        }
        match action {
            Action::Make(request) => self.make(&mut state, request),
            Action::Start(name) => state.service(name).phase = Phase::Serving,
            Action::Stop => {
                for effect in state.policy.handle(&(), Event::Stop) {
                    debug_assert_eq!(effect, Effect::StopAll(None));
                    self.stop_all(&mut state);
                }
            }
            Action::Step(name) => self.step(&mut state, name),
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
                !actions.is_empty() || state.has_ended()
            }),
            Property::always("answered once", |_: &Self, state: &State| {
                let end = state.has_ended();
                let mut all = state.answers.iter().zip(&state.made);
                all.all(|(answers, made)| {
                    answers.len() <= 1 && (!end || answers.len() == usize::from(*made))
                })
            }),
            Property::always("nothing queued is lost", |model: &Self, state: &State| {
                let failed = |request: Request| {
                    // A request that comes after the stop is returned, which is not a loss.
                    state.answers[request].contains(&Answer::Fault)
                        && state.handled[request] != [0; 2]
                };
                let mut requests = 0..state.made.len();
                state.torn || !requests.any(|request| !model.poisoned(request) && failed(request))
            }),
            Property::always("not retried", |model: &Self, state: &State| {
                let mut requests = 0..state.made.len();
                requests.all(|request| {
                    !model.poisoned(request) || state.handled[request].iter().all(|n| *n <= 1)
                })
            }),
            Property::always("intensity", |model: &Self, state: &State| {
                state.successors <= model.scenario.max_restarts
            }),
            // Steps of each request: taken, sent down, handled, answered, two crashes. In addition:
            // the stop, and two ends.
            Property::always("stop terminates", |_: &Self, state: &State| {
                state.steps_after_stop <= 6 * state.made.len() + 3
            }),
        ]
    }
}

/// Explores a scenario, with or without a fault. Blocks until the search ends.
#[must_use]
pub fn check(scenario: &Scenario, fault: Option<Fault>) -> Verdict {
    let model = Lifecycle::new(scenario.clone(), fault);
    explore::check(model, &InWords, bounds(scenario), MAX_STATES)
}

/// Looks for a run of a scenario in which a request has no answer, ever, although the services are
/// started and each goes on as long as it can. Blocks until the search ends.
#[must_use]
pub fn check_end(scenario: &Scenario, fault: Option<Fault>) -> Verdict {
    let property = Liveness {
        model: &Lifecycle::new(scenario.clone(), fault),
        name: IS_ANSWERED,
        process: |action: &Action| match action {
            // Clients and the owner may leave it at that.
            Action::Make(_) | Action::Stop => None,
            Action::Start(_) => Some(0),
            Action::Step(name) => Some(if *name == UPPER { 1 } else { 2 }),
        },
        waits: |state: &State| {
            state.made.iter().zip(&state.answers).any(|(made, answers)| *made && answers.is_empty())
        },
    };
    lasso::check(&property, &InWords, bounds(scenario), MAX_STATES)
}

fn bounds(scenario: &Scenario) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("requests", scenario.requests.len().to_string()),
        ("mailbox_capacity", scenario.capacity.to_string()),
        ("max_restarts", scenario.max_restarts.to_string()),
        ("window", "all panics in one".to_owned()),
    ])
}
