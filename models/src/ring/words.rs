//! Steps and states of the ring in words: for counterexamples and the Explorer.

use std::fmt;

use blocksmith_engines::counterexample::{Stand, Words};
use stateright::Model as _;

use super::model::{Action, Message, Ring, Service, State};

impl Ring {
    /// Returns a line for a step: actor, operation and object.
    pub(super) fn describe(&self, state: &State, action: Action) -> String {
        let (actor, does) = Self::tell(state, action);
        format!("{}  {does}", name(actor))
    }

    /// Returns the service that takes a step, and what it does.
    fn tell(state: &State, action: Action) -> (usize, String) {
        match action {
            Action::Ask(service) => {
                (service, format!("makes request {} of its own", state.0[service].made))
            }
            Action::Send(service) => match state.0[service].in_hand {
                Some((message, to)) => {
                    let held = state.0[to].mailbox.len() + 1;
                    (service, format!("sends {message} to service {to}, which holds {held}"))
                }
                None => (service, String::new()),
            },
            Action::Take(service) => {
                let message = state.0[service].mailbox.front();
                (service, format!("takes {}", list(message.into_iter())))
            }
            Action::Collect(service) => {
                let number = state.0[service].slots.front();
                let words = number.into_iter().map(|number| own_answer(*number));
                (service, format!("takes {}", list(words)))
            }
        }
    }
}

fn name(service: usize) -> String {
    format!("service {service}")
}

/// Tells of the ring in counterexamples.
pub(super) struct InWords;

impl Words<Ring> for InWords {
    fn step(&self, _: &Ring, state: &State, action: &Action) -> (String, String) {
        let (actor, does) = Ring::tell(state, *action);
        (name(actor), does)
    }

    fn objects(&self, _: &Ring, state: &State) -> Vec<(String, String)> {
        let all = state.0.iter().enumerate();
        all.map(|(number, service)| (name(number), service.parts().join("; "))).collect()
    }

    fn stands(&self, model: &Ring, state: &State) -> Vec<Stand> {
        let mut able = Vec::new();
        model.actions(state, &mut able);
        let stand = |(number, service): (usize, &Service)| {
            let to = service.in_hand.map(|(_, to)| to);
            let to = to.filter(|_| !able.contains(&Action::Send(number)));
            Stand {
                process: name(number),
                what: service.parts().join("; "),
                waits_for: to.into_iter().map(name).collect(),
            }
        };
        state.0.iter().enumerate().map(stand).collect()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_answer { "the answer to " } else { "" };
        write!(f, "{word}request {} of service {}", self.number, self.asker)
    }
}

fn own_answer(number: usize) -> String {
    format!("the answer to request {number}")
}

fn list<T: ToString>(words: impl Iterator<Item = T>) -> String {
    words.map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

impl Service {
    /// Says what the service has asked, what it holds, and what it waits for.
    fn parts(&self) -> Vec<String> {
        let mut parts = Vec::new();
        if self.answers.is_empty() {
            parts.push("has nobody to ask".to_owned());
        } else {
            let answered = self.answers.iter().filter(|count| **count > 0).count();
            let of = self.answers.len();
            parts.push(format!("has asked {} of {of}, {answered} answered", self.made));
        }
        let twice = self.answers.iter().enumerate().filter(|(_, count)| **count > 1);
        parts.extend(twice.map(|(number, count)| format!("request {number} has {count} answers")));
        if let Some((message, to)) = &self.in_hand {
            parts.push(format!("waits to send {message} to service {to}"));
        }
        if !self.mailbox.is_empty() {
            parts.push(format!("mailbox holds {}", list(self.mailbox.iter())));
        }
        if !self.slots.is_empty() {
            let answers = self.slots.iter().map(|number| own_answer(*number));
            parts.push(format!("slots hold {}", list(answers)));
        }
        parts
    }
}

impl fmt::Debug for State {
    /// Lists the services, one a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = self.0.iter().enumerate();
        all.try_for_each(|(number, service)| {
            writeln!(f, "  service {number}  {}", service.parts().join("; "))
        })
    }
}

#[cfg(test)]
mod tests {
    use stateright::Model;

    use super::super::{Fault, SCENARIOS, check};
    use super::*;

    #[test]
    fn a_state_is_a_line_for_each_service() {
        // Service 0 asks twice and sends both requests. Service 1 takes the first and waits to pass
        // it on. Then the lowest service answers it, into the slot.
        let model = Ring::new(SCENARIOS[2].clone(), None);
        let mut state = model.init_states().remove(0);
        let mut walk = |steps: &[Action]| {
            for step in steps {
                let mut able = Vec::new();
                model.actions(&state, &mut able);
                assert!(able.contains(step), "{step:?} is not possible in\n{state:?}");
                state = model.next_state(&state, *step).expect("it is possible");
            }
            format!("{state:?}")
        };
        use Action::{Ask, Send, Take};
        let text = walk(&[Ask(0), Send(0), Take(1), Ask(0), Send(0)]);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "  service 0  has asked 2 of 4, 0 answered",
                "  service 1  has asked 0 of 4, 0 answered; waits to send request 0 of service 0 \
                 to service 2; mailbox holds request 1 of service 0",
                "  service 2  has nobody to ask",
            ]
        );
        let text = walk(&[Send(1), Take(2), Take(1)]);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "  service 0  has asked 2 of 4, 0 answered; slots hold the answer to request 0",
                "  service 1  has asked 0 of 4, 0 answered; waits to send request 1 of service 0 \
                 to service 2",
                "  service 2  has nobody to ask",
            ]
        );
        let text = walk(&[Action::Collect(0)]);
        assert!(text.starts_with("  service 0  has asked 2 of 4, 1 answered\n"), "{text}");
    }

    #[test]
    fn the_end_of_a_counterexample_says_who_waits_for_whom() {
        // Explores two services whose sends wait for each other's mailbox.
        let verdict = check(&SCENARIOS[0], Some(Fault::SendsRoundTheRing));
        let text = verdict.counterexample().expect("it is refuted");
        let end = text.lines().skip_while(|line| *line != "then").skip(1);
        for (number, line) in end.filter(|line| !line.is_empty()).enumerate() {
            let other = 1 - number;
            assert!(line.starts_with(&format!("  service {number}  has asked 2 of 4")), "{line}");
            assert!(line.contains(&format!("of service {number} to service {other}; ")), "{line}");
            let held = format!("mailbox holds request 0 of service {other}");
            assert!(line.ends_with(&held), "{line}");
        }
    }
}
