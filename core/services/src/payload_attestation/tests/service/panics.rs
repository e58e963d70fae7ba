//! Panics of what the service calls, and of the machine in its thread.

use super::super::super::toy::POISON;
use super::*;
use crate::supervision::Intensity;

/// Panics without the panic hook, as it is ordered.
fn throw() -> ! {
    std::panic::resume_unwind(Box::new("ordered"))
}

/// A port, clock or journal whose calls of each kind panic once.
struct Once<T>(T, Cell<u8>);

impl<T> Once<T> {
    fn of(inner: T) -> Box<Self> {
        Box::new(Self(inner, Cell::new(0)))
    }

    fn strike(&self, kind: u8) {
        if self.1.get() & kind == 0 {
            self.1.set(self.1.get() | kind);
            throw();
        }
    }
}

impl Clock for Once<SetClock> {
    fn read(&self) -> Reading {
        self.strike(1);
        self.0.read()
    }
}

impl Port<Std, ToyVotes> for Once<ToTest> {
    fn start(&mut self, request: Request<ToyVotes>, by_ms: u64, answer: Answer<Std, ToyVotes>) {
        self.strike(1);
        self.0.start(request, by_ms, answer);
    }
}

impl Journal for Once<Tells> {
    fn began(&mut self, duty: DutyId) {
        self.0.began(duty);
        self.strike(1);
    }

    fn ended(&mut self, duty: DutyId, outcome: Outcome) {
        self.0.ended(duty, outcome);
        self.strike(2);
    }

    fn took(&mut self, slot: Slot, step: Step, ms: u64) {
        self.0.took(slot, step, ms);
        self.strike(4);
    }
}

#[test]
fn a_port_a_clock_and_a_journal_that_panic_cost_that_call_alone() {
    // The clock panics at its first reading, node and signer over their first request with the
    // answer in their hand, and the journal over the first word of each kind.
    let (to_test, requests) = mpsc::channel();
    let (tell_list, lists) = mpsc::channel();
    let (tell, heard) = mpsc::channel();
    let to_test = ToTest(to_test, tell_list);
    let mut running = Running::launch(Builder::new(SLOW), &[1, 2], |_, now| Ports {
        clock: Once::of(SetClock(now, Cell::new(0), 1)),
        node: Once::of(to_test.clone()),
        signer: Once::of(to_test),
        journal: Once::of(Tells(tell)),
    });
    (running.requests, running.lists, running.heard) = (requests, lists, heard);
    running.answer_data();
    // The signature of 1 has failed with its request.
    assert_eq!([running.sign(), running.sign()], [2, 1]);
    let (_, answer) = running.next();
    answer.give(all_taken());
    let ends = running.outcomes(2);
    assert!(ends.iter().all(|(_, how)| matches!(how, Outcome::Sent { .. })), "{ends:?}");
    running.stop();
}

impl Running {
    /// Has the machine panic over the data that it has asked for.
    fn poison(&self) {
        let (_, answer) = self.next();
        answer.give(Reply::Data(ToyVote { block: POISON, ..data('a', SLOT) }));
    }

    fn assert_lost(&self) {
        let fault = missed(Reason::Fault);
        assert_eq!(self.outcomes(2), [(id(SLOT, 1), fault), (id(SLOT, 2), fault)]);
    }
}

#[test]
fn too_many_panics_end_the_thread_and_its_duties_are_told_as_missed() {
    // No panic is tolerated.
    let none = Intensity { max_restarts: 0, ..Intensity::default() };
    let service = Builder::new(SLOW).intensity(none);
    let running = Running::launch(service, &[1, 2], |own, _| own);
    running.poison();
    running.assert_lost();
    assert_eq!(running.ended.recv_timeout(LONG), Ok(Ending::TooManyPanics));
}

#[test]
fn a_successor_is_told_the_time_at_once() {
    // Four lists are asked for before the panic, and those of the successor without a message.
    let running = start(0);
    let next = || running.lists.recv_timeout(LONG).expect("it is asked");
    assert_eq!([next(), next(), next(), next()], [1, 2, 1, 2]);
    running.poison();
    running.assert_lost();
    assert_eq!([next(), next()], [1, 2]);
    running.stop();
}

/// A journal that has the time for the next slot's data come when a duty ends.
struct Leaps(Tells, Arc<AtomicU64>);

impl Journal for Leaps {
    fn began(&mut self, duty: DutyId) {
        self.0.began(duty);
    }

    fn ended(&mut self, duty: DutyId, outcome: Outcome) {
        self.1.store(((SLOT + 1) * 1200 + FETCH) * MS, Ordering::Relaxed);
        self.0.ended(duty, outcome);
    }

    fn took(&mut self, slot: Slot, step: Step, ms: u64) {
        self.0.took(slot, step, ms);
    }
}

#[test]
fn an_answer_to_a_predecessor_is_dropped_though_a_request_has_its_number() {
    // Four requests for lists and one for data, which hangs; the next data are poisoned. The
    // successor begins in the next slot, and its request for data has the number of the one that
    // hangs, which is then answered with data of that slot.
    let (tell, heard) = mpsc::channel();
    let mut running = Running::launch(Builder::new(SLOW), &[1, 2, LATER], |own, now| Ports {
        clock: Box::new(SetClock(now.clone(), Cell::new(0), 1)),
        journal: Box::new(Leaps(Tells(tell), now)),
        ..own
    });
    running.heard = heard;
    running.handle.head(head('a', SLOT + 1));
    let (_, old) = running.next();
    running.now.store((SLOT * 1200 + FETCH + 60) * MS, Ordering::Relaxed);
    running.handle.tick();
    running.handle.tick();
    running.poison();
    running.assert_lost();
    let (request, under_way) = running.next();
    assert_eq!(request, Request::Data { slot: SLOT + 1 });
    old.give(Reply::Data(data('a', SLOT + 1)));
    running.stop();
    drop(under_way);
    assert!(running.requests.try_recv().is_err(), "another's data are signed");
}
