//! The life cycle: three services in a row under the real policy.

use std::time::Duration;

use blocksmith::machine::Machine;
use blocksmith::supervision::{Effect, Event, Intensity, ServiceName, Supervision};
use stateright::Model;

use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

const SERVICES: [(&str, ServiceName); 3] = [
    ("upper", ServiceName::Quarantine),
    ("worker", ServiceName::Rewinder),
    ("lower", ServiceName::HotDb),
];
const LOWER: usize = SERVICES.len() - 1;
const REQUESTS: u8 = 3;
const CAPACITY: u8 = 2;
const LAST: u8 = 3;
const INTENSITY: Intensity = Intensity { max_restarts: 1, window: Duration::from_secs(2) };

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The panics of workers are counted with those of the others.
    WorkersCount,
    /// The window is longer than configured.
    LongWindow,
    /// The policy that is told of the stop is replaced by a new one.
    ForgetsTheStop,
    /// The policy is not told that somebody wants the services to stop: it counts panics all the
    /// same.
    CountsDuringTheStop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Serving,
    Crashed,
    Ended,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Crashed => "crashed",
            Self::Ended => "ended",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    policy: Supervision,
    phase: [Phase; SERVICES.len()],
    queue: [u8; SERVICES.len()],
    restarts: Vec<u8>,
    stops: u8,
    made: u8,
    answered: u8,
    time: u8,
}

/// What happens; a service is given by its place in [`SERVICES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Request,
    Handle(usize),
    Panic { service: usize, torn: bool },
    Succeed(usize),
    Stop,
    End(usize),
    Tick,
}

struct Lifecycle {
    fault: Option<Fault>,
}

impl Lifecycle {
    fn new_policy(&self) -> Supervision {
        let longer = u64::from(self.fault == Some(Fault::LongWindow));
        let window = INTENSITY.window + Duration::from_secs(longer);
        Supervision::new(Intensity { window, ..INTENSITY }, None)
    }

    /// Hands an event to the policy, and carries out its effects for the service concerned.
    fn tell(&self, state: &mut State, event: Event) -> Vec<Effect> {
        if self.fault == Some(Fault::ForgetsTheStop) && state.policy.is_stopping() {
            state.policy = self.new_policy();
        }
        if self.fault == Some(Fault::CountsDuringTheStop) && event == Event::Stop {
            state.stops = 1;
            return Vec::new();
        }
        let effects = state.policy.handle(&(), event);
        if self.fault == Some(Fault::CountsDuringTheStop) && state.stops > 0 {
            return effects;
        }
        let stops = effects.iter().filter(|effect| matches!(effect, Effect::StopAll(_))).count();
        state.stops += u8::try_from(stops).expect("few effects");
        effects
    }

    fn panic(&self, state: &mut State, service: usize, torn: bool) {
        let name = match SERVICES[service].1 {
            ServiceName::Rewinder if self.fault == Some(Fault::WorkersCount) => {
                ServiceName::Quarantine
            }
            name => name,
        };
        let at = Duration::from_secs(state.time.into());
        let before = state.stops;
        let effects = self.tell(state, Event::Panicked { service: name, at, replaceable: !torn });
        state.queue[service] -= 1;
        state.answered += 1;
        if effects.contains(&Effect::Resume) {
            state.phase[service] = Phase::Crashed;
            let is_counted = name != ServiceName::Rewinder && before == 0;
            if is_counted && state.stops == 0 {
                state.restarts.push(state.time);
            }
        } else {
            end(state, service);
        }
    }

    fn handle(state: &mut State, service: usize) {
        state.queue[service] -= 1;
        if service == LOWER || state.phase[service + 1] == Phase::Ended {
            state.answered += 1;
        } else {
            state.queue[service + 1] += 1;
        }
    }

    fn can_handle(state: &State, service: usize) -> bool {
        let has_room = service == LOWER
            || state.phase[service + 1] == Phase::Ended
            || state.queue[service + 1] < CAPACITY;
        state.queue[service] > 0 && has_room
    }
}

/// Ends a service: what it has queued is answered by being dropped.
fn end(state: &mut State, service: usize) {
    state.answered += std::mem::take(&mut state.queue[service]);
    state.phase[service] = Phase::Ended;
}

fn is_told(state: &State, service: usize) -> bool {
    match service.checked_sub(1) {
        None => state.stops > 0,
        Some(above) => state.phase[above] == Phase::Ended && state.queue[service] == 0,
    }
}

impl Model for Lifecycle {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            policy: self.new_policy(),
            phase: [Phase::Serving; SERVICES.len()],
            queue: [0; SERVICES.len()],
            restarts: Vec::new(),
            stops: 0,
            made: 0,
            answered: 0,
            time: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let may_ask = state.phase[0] != Phase::Ended && state.queue[0] < CAPACITY;
        actions.extend((state.made < REQUESTS && may_ask).then_some(Action::Request));
        for service in 0..SERVICES.len() {
            match state.phase[service] {
                Phase::Crashed => actions.push(Action::Succeed(service)),
                Phase::Ended => {}
                Phase::Serving => {
                    let handles = Self::can_handle(state, service);
                    actions.extend(handles.then_some(Action::Handle(service)));
                    if state.queue[service] > 0 {
                        actions.push(Action::Panic { service, torn: false });
                        let tears = service == LOWER;
                        actions.extend(tears.then_some(Action::Panic { service, torn: true }));
                    }
                    actions.extend(is_told(state, service).then_some(Action::End(service)));
                }
            }
        }
        actions.push(Action::Stop);
        actions.extend((state.time < LAST).then_some(Action::Tick));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Request => {
                state.made += 1;
                state.queue[0] += 1;
            }
            Action::Handle(service) => Self::handle(&mut state, service),
            Action::Panic { service, torn } => self.panic(&mut state, service, torn),
            Action::Succeed(service) => state.phase[service] = Phase::Serving,
            Action::Stop => {
                self.tell(&mut state, Event::Stop);
            }
            Action::End(service) => end(&mut state, service),
            Action::Tick => state.time += 1,
        }
        (state.stops < 4).then_some(state)
    }
}

impl Projected for Lifecycle {
    fn variables(&self, state: &State) -> Variables {
        let names = SERVICES.map(|(name, _)| name);
        variables([
            ("phase", Value::function(names.into_iter().zip(state.phase.map(Phase::word)))),
            ("queue", Value::function(names.into_iter().zip(state.queue))),
            ("restarts", Value::sequence(state.restarts.iter().copied())),
            ("recent", Value::sequence(state.policy.counted().map(|at| at.as_secs()))),
            ("stops", state.stops.into()),
            ("made", state.made.into()),
            ("answered", state.answered.into()),
            ("time", state.time.into()),
        ])
    }
}

fn machine(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Lifecycle { fault })
}

pub(super) const INSTANCE: Instance = Instance {
    name: "lifecycle",
    spec: "Lifecycle",
    cfg: "Lifecycle",
    source: "supervision: Supervision",
    bounds: "3 services, 3 requests, 1 restart in 2 of 3 ticks",
    dropped: "nothing",
    is_whole: true,
    size: Agreement { states: 3022, edges: 11006 },
    machine: || machine(None),
    twins: &[
        Twin {
            name: "workers_count",
            claim: "a worker's panic is counted with the services'",
            machine: || machine(Some(Fault::WorkersCount)),
            step: "Panic",
        },
        Twin {
            name: "long_window",
            claim: "a panic counts for a tick longer than configured",
            machine: || machine(Some(Fault::LongWindow)),
            step: "Panic",
        },
        Twin {
            name: "forgets_the_stop",
            claim: "the stop is told again",
            machine: || machine(Some(Fault::ForgetsTheStop)),
            step: "Stop",
        },
        Twin {
            name: "counts_during_the_stop",
            claim: "panics are counted while the services stop",
            machine: || machine(Some(Fault::CountsDuringTheStop)),
            step: "Panic",
        },
    ],
};
