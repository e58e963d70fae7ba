//! Steps and states of the life cycle in words: for counterexamples and the Explorer.

use std::fmt;

use blocksmith::supervision::ServiceName;
use blocksmith_engines::counterexample::{Stand, Words};

use super::model::{
    Action, Answer, LOWER, Lifecycle, Message, Phase, Poison, Request, Service, State, UPPER,
};

impl Lifecycle {
    /// Returns a line for a step: actor, operation and object.
    pub(super) fn describe(&self, state: &State, action: Action) -> String {
        let (actor, does) = self.tell(state, action);
        format!("{actor:<11} {does}")
    }

    /// Returns the actor of a step, and what it does.
    fn tell(&self, state: &State, action: Action) -> (&'static str, String) {
        match action {
            Action::Make(request) if state.upper.closed => {
                ("client", format!("makes request {request}, which the closed mailbox hands back"))
            }
            Action::Make(request) => ("client", format!("makes request {request}")),
            Action::Start(name) => ("owner", format!("starts the {} service", word(name))),
            Action::Stop => ("owner", "sends the stop".to_owned()),
            Action::Step(name) => (word(name), self.describe_step(state, name)),
        }
    }

    fn describe_step(&self, state: &State, name: ServiceName) -> String {
        let service = if name == UPPER { &state.upper } else { &state.lower };
        match (service.phase, state.in_hand, service.mailbox.front()) {
            (Phase::Crashed, ..) => "has a successor, which begins".to_owned(),
            (_, Some(request), _) if name == UPPER => {
                let to = if state.lower.closed { "the closed mailbox" } else { "the mailbox" };
                format!("sends request {request} to {to} of the lower service")
            }
            (_, _, Some(&Message::Work(request))) if self.panics(name, request) => {
                format!("takes request {request}, and panics over it")
            }
            (_, _, Some(&Message::Work(request))) if name == LOWER => {
                format!("takes request {request}, and answers it")
            }
            (_, _, Some(message)) => format!("takes {}", message_words(*message)),
            (_, _, None) => "ends".to_owned(),
        }
    }

    fn panics(&self, name: ServiceName, request: Request) -> bool {
        match self.scenario.requests[request] {
            Poison::None => false,
            Poison::Upper => name == UPPER,
            Poison::Lower | Poison::Tears => name == LOWER,
        }
    }
}

/// Returns `upper` or `lower`. The services' own names are those that supervision knows.
fn word(name: ServiceName) -> &'static str {
    if name == UPPER { "upper" } else { "lower" }
}

fn answer(answer: Answer) -> &'static str {
    match answer {
        Answer::Done => "done",
        Answer::Fault => "fault",
        Answer::Shutdown => "shutdown",
    }
}

fn message_words(message: Message) -> String {
    match message {
        Message::Work(request) => format!("request {request}"),
        Message::Answered(request, inner) => {
            format!("the answer to request {request}: {}", answer(inner))
        }
        Message::Stop => "the stop".to_owned(),
    }
}

fn list(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

impl Service {
    /// Says in which phase of its life the service is, and what is in its mailbox.
    fn parts(&self) -> Vec<String> {
        let phase = match self.phase {
            Phase::NotStarted => "not started",
            Phase::Serving => "serving",
            Phase::Crashed => "crashed, its successor has not begun",
            Phase::Ended => "ended",
        };
        let open = if self.closed { "closed" } else { "open" };
        let held = list(self.mailbox.iter().copied().map(message_words));
        let holds = if held.is_empty() { "empty".to_owned() } else { format!("holds {held}") };
        vec![phase.to_owned(), format!("mailbox {open}, {holds}")]
    }
}

impl State {
    /// Says what has become of a request so far.
    fn request(&self, request: Request) -> String {
        let mut parts = Vec::new();
        if !self.made[request] {
            parts.push("not made".to_owned());
        }
        for (name, times) in [UPPER, LOWER].into_iter().zip(self.handled[request]) {
            match times {
                0 => {}
                1 => parts.push(format!("handled by the {}", word(name))),
                more => parts.push(format!("handled by the {} {more} times", word(name))),
            }
        }
        match self.answers[request][..] {
            [] if self.made[request] => parts.push("not answered".to_owned()),
            [] => {}
            [one] => parts.push(format!("answered {}", answer(one))),
            ref more => {
                let words = list(more.iter().map(|one| answer(*one).to_owned()));
                parts.push(format!("answered {} times: {words}", more.len()));
            }
        }
        parts.join(", ")
    }
}

impl State {
    /// Returns the two services, the requests and the supervision, each with what it holds.
    fn parts(&self) -> Vec<(String, Vec<String>)> {
        let mut parts = self.upper.parts();
        let in_hand = self.in_hand.iter();
        parts.extend(in_hand.map(|request| format!("has request {request} in hand")));
        if !self.under_way.is_empty() {
            let out = list(self.under_way.iter().map(|request| format!("request {request}")));
            parts.push(format!("keeps a slot for the answer to {out}"));
        }
        if self.stopping {
            parts.push("has come to the stop".to_owned());
        }
        let mut all = vec![("upper".to_owned(), parts), ("lower".to_owned(), self.lower.parts())];
        let requests = 0..self.made.len();
        all.extend(requests.map(|it| (format!("request {it}"), vec![self.request(it)])));
        let mut parts = vec![match self.successors {
            0 => "no successor so far".to_owned(),
            1 => "1 successor so far".to_owned(),
            more => format!("{more} successors so far"),
        }];
        if self.torn {
            parts.push("a service ended without a successor".to_owned());
        }
        if self.policy.is_stopping() {
            parts.push(format!("all are told to stop, {} steps since", self.steps_after_stop));
        }
        all.push(("supervision".to_owned(), parts));
        all
    }
}

impl fmt::Debug for State {
    /// Lists the two services, the requests and the supervision, one per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        parts.iter().try_for_each(|(name, parts)| writeln!(f, "  {name:<11} {}", parts.join("; ")))
    }
}

/// Tells of the life cycle in counterexamples.
pub(super) struct InWords;

impl Words<Lifecycle> for InWords {
    fn step(&self, model: &Lifecycle, state: &State, action: &Action) -> (String, String) {
        let (actor, does) = model.tell(state, *action);
        (actor.to_owned(), does)
    }

    fn objects(&self, _: &Lifecycle, state: &State) -> Vec<(String, String)> {
        state.parts().into_iter().map(|(name, parts)| (name, parts.join("; "))).collect()
    }

    fn stands(&self, _: &Lifecycle, state: &State) -> Vec<Stand> {
        let services = state.parts().into_iter().take(2);
        let stand = |(process, parts): (String, Vec<String>)| Stand {
            process,
            what: parts.join("; "),
            waits_for: Vec::new(),
        };
        services.map(stand).collect()
    }
}

#[cfg(test)]
mod tests {
    use stateright::Model;

    use super::super::{Fault, SCENARIOS};
    use super::*;

    /// Takes the steps one after another. Returns each step in words, and the last state.
    fn walk(model: &Lifecycle, steps: &[Action]) -> (Vec<String>, State) {
        let mut state = model.init_states().remove(0);
        let mut words = Vec::new();
        for step in steps {
            let mut able = Vec::new();
            model.actions(&state, &mut able);
            assert!(able.contains(step), "{step:?} is not possible in\n{state:?}");
            words.push(model.describe(&state, *step));
            state = model.next_state(&state, *step).expect("it is possible");
        }
        (words, state)
    }

    const BEGIN: [Action; 4] =
        [Action::Start(LOWER), Action::Start(UPPER), Action::Make(1), Action::Make(0)];

    #[test]
    fn a_state_is_a_line_for_each_service_each_request_and_the_supervision() {
        // The upper service panics over the poisoned request 1. Its successor takes request 0.
        let model = Lifecycle::new(SCENARIOS[0].clone(), None);
        let up = Action::Step(UPPER);
        let steps = [&BEGIN[..], &[up, up, up]].concat();
        let (words, state) = walk(&model, &steps);
        assert_eq!(
            words,
            [
                "owner       starts the lower service",
                "owner       starts the upper service",
                "client      makes request 1",
                "client      makes request 0",
                "upper       takes request 1, and panics over it",
                "upper       has a successor, which begins",
                "upper       takes request 0",
            ]
        );
        assert_eq!(
            format!("{state:?}").lines().collect::<Vec<_>>(),
            [
                "  upper       serving; mailbox open, empty; has request 0 in hand",
                "  lower       serving; mailbox open, empty",
                "  request 0   handled by the upper, not answered",
                "  request 1   handled by the upper, answered fault",
                "  request 2   not made",
                "  request 3   not made",
                "  supervision 1 successor so far",
            ]
        );
    }

    #[test]
    fn the_stop_and_what_is_queued_are_told() {
        // The stop comes while request 0 is at the lower service and request 1 is queued. A request
        // made afterwards is handed back. The lower service still answers what it has.
        let model = Lifecycle::new(SCENARIOS[2].clone(), None);
        let (up, low) = (Action::Step(UPPER), Action::Step(LOWER));
        let steps = [
            Action::Start(LOWER),
            Action::Start(UPPER),
            Action::Make(0),
            up,
            up,
            Action::Make(1),
            Action::Stop,
            Action::Make(2),
            low,
        ];
        let (words, state) = walk(&model, &steps);
        assert_eq!(
            words[4..],
            [
                "upper       sends request 0 to the mailbox of the lower service",
                "client      makes request 1",
                "owner       sends the stop",
                "client      makes request 2, which the closed mailbox hands back",
                "lower       takes request 0, and answers it",
            ]
        );
        assert_eq!(
            format!("{state:#?}").lines().collect::<Vec<_>>(),
            [
                "  upper       serving; mailbox closed, holds request 1, the stop, the answer to \
                 request 0: done; keeps a slot for the answer to request 0",
                "  lower       serving; mailbox open, empty",
                "  request 0   handled by the upper, handled by the lower, not answered",
                "  request 1   not answered",
                "  request 2   answered fault",
                "  supervision no successor so far; all are told to stop, 1 steps since",
            ]
        );
    }

    #[test]
    fn what_a_fault_leaves_is_told_too() {
        // A poisoned message that the successor tries again is handled twice.
        let model = Lifecycle::new(SCENARIOS[0].clone(), Some(Fault::PoisonIsRetried));
        let up = Action::Step(UPPER);
        let (_, state) = walk(&model, &[&BEGIN[..], &[up, up, up]].concat());
        let text = format!("{state:?}");
        assert!(text.contains("  upper       crashed, its successor has not begun; "), "{text}");
        assert!(text.contains("mailbox open, holds request 1, request 0\n"), "{text}");
        assert!(
            text.contains("  request 1   handled by the upper 2 times, not answered\n"),
            "{text}"
        );
    }
}
