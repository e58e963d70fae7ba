//! Panics of the machine's step, and its successors.

use std::time::Duration;

use super::super::Past;
use super::super::succession::{Succession, TooManyPanics};
use super::super::toy::POISON;
use super::*;
use crate::supervision::Intensity;

const NOW: Duration = Duration::from_secs(1);
/// One panic in a minute is tolerated.
const ONE: Intensity = Intensity { max_restarts: 1, window: Duration::from_secs(60) };

/// Machines in a row, whose validators 1 and 2 vote in `SLOT` and in the next.
struct Machines {
    line: Succession<ToyVotes>,
    asked: Vec<(RequestId, Request<ToyVotes>)>,
    began: Vec<DutyId>,
}

impl Machines {
    /// The process begins in slot 4, and it is time for the data of `SLOT`.
    fn at_fetch() -> Self {
        let line = Succession::new(TOY, limits(), ONE);
        let mut machines = Self { line, asked: Vec::new(), began: Vec::new() };
        machines.tell(4, 0, Event::Head(head('a', 4)));
        let of = |index: u64| Validator { index, key: index as u8, may_sign: true };
        machines.tell(4, 0, Event::Validators([1, 2].map(of).to_vec()));
        machines.tell(SLOT, FETCH, Event::Head(head('a', SLOT)));
        machines
    }

    /// Hands an event over; lists are answered at once.
    fn tell(&mut self, slot: Slot, ms: u64, event: Event<ToyVotes>) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let at = Reading::SinceGenesis(slot * 1200 + ms);
            for effect in self.line.step(at, event).expect("no panic") {
                match effect {
                    Effect::Ask { id, request: Request::Duties { epoch, validators }, .. } => {
                        let listed = |(validator, slot): (u64, u64)| {
                            let is_asked = slot / 4 == epoch && validators.contains(&validator);
                            is_asked.then_some(Listed { validator, key: validator as u8, slot })
                        };
                        let duties = [(1, SLOT), (2, SLOT + 1)].into_iter().filter_map(listed);
                        let reply = Reply::Duties { dependent_root: 1, duties: duties.collect() };
                        events.push(Event::Reply { request: id, reply });
                    }
                    Effect::Ask { id, request, .. } => self.asked.push((id, request)),
                    Effect::Began(duty) => self.began.push(duty),
                    Effect::Took { .. } | Effect::Ended { .. } => {}
                }
            }
        }
    }

    /// Has the machine panic over the data of `SLOT`.
    fn poison(&mut self) {
        self.poison_in(SLOT);
    }

    /// Has the machine panic over the data of a slot, at the time for them.
    fn poison_in(&mut self, slot: Slot) {
        let (request, _) = self.asked.pop().expect("the data are asked for");
        let reply = Reply::Data(ToyVote { block: POISON, ..data('a', slot) });
        let at = Reading::SinceGenesis(slot * 1200 + FETCH);
        let panicked = self.line.step(at, Event::Reply { request, reply });
        assert_eq!(panicked, Err("the data are poisoned".to_owned()));
    }
}

#[test]
fn a_panic_ends_the_duties_under_way_once_and_a_successor_votes_in_the_next_slot() {
    // The successor knows validators and heads, and begins nothing of the slot of its predecessor.
    let mut machines = Machines::at_fetch();
    assert_eq!(machines.began, [id(SLOT, 1)]);
    machines.poison();
    let lost = vec![(id(SLOT, 1), missed(Reason::Fault))];
    assert_eq!(machines.line.replace(NOW), (lost, Ok(())));
    assert_eq!(machines.line.number(), 1);
    machines.tell(SLOT, FETCH + 1, Event::Wake);
    machines.tell(SLOT, DUE, Event::Wake);
    assert_eq!((machines.asked.len(), machines.began.len()), (0, 1));
    machines.tell(SLOT + 1, FETCH, Event::Head(head('a', SLOT + 1)));
    assert_eq!(machines.began, [id(SLOT, 1), id(SLOT + 1, 2)]);
    let (request, asked) = machines.asked.pop().expect("the data are asked for");
    assert_eq!(asked, Request::Data { slot: SLOT + 1 });
    let reply = Reply::Data(data('a', SLOT + 1));
    machines.tell(SLOT + 1, FETCH, Event::Reply { request, reply });
    assert!(matches!(machines.asked[..], [(_, Request::Sign { .. })]), "{:?}", machines.asked);
}

#[test]
fn a_successor_knows_when_the_process_began_and_what_was_begun() {
    // The process began in slot 4, and the duty of `SLOT` was lost.
    let mut machines = Machines::at_fetch();
    machines.poison();
    assert_eq!(machines.line.replace(NOW).1, Ok(()));
    let past = Past::Known { first: Some(4), done: Some(SLOT) };
    assert_eq!(machines.line.get().past(), past);
}

#[test]
fn a_duty_that_has_ended_is_not_ended_by_a_later_panic() {
    // The duty of `SLOT` is missed with its slot; then the machine panics over the next data.
    let mut machines = Machines::at_fetch();
    machines.tell(SLOT + 1, FETCH, Event::Head(head('a', SLOT + 1)));
    machines.poison_in(SLOT + 1);
    assert_eq!(machines.line.replace(NOW).0, [(id(SLOT + 1, 2), missed(Reason::Fault))]);
}

#[test]
fn more_panics_than_are_tolerated_leave_no_successor() {
    // One is tolerated in a minute. The second comes in the same minute, or in the next one.
    for (seconds, succeeds) in [(59, Err(TooManyPanics)), (61, Ok(()))] {
        let mut machines = Machines::at_fetch();
        machines.poison();
        assert_eq!(machines.line.replace(NOW).1, Ok(()));
        assert_eq!(machines.line.replace(NOW + Duration::from_secs(seconds)).1, succeeds);
    }
}
