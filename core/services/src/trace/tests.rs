//! What a step tells, and what it costs if nobody listens.

mod words;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;

use blocksmith_sync::Std;
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use super::{Step, TARGET, Tracer, Words};
use crate::machine::Machine;
use crate::observer::Observer;
use crate::supervision::{Guard, Intensity, Loss, ServiceName, Steps, Supervisor, Turn};
use crate::toy::Toy;

/// Counts how often it is put into words.
struct Noted(Rc<Cell<u32>>, u64);

impl Words<()> for Noted {
    fn words(&self, (): &(), out: &mut String) {
        self.0.set(self.0.get() + 1);
        assert_ne!(self.1, 5, "no words for five");
        out.push_str(&format!("note number={}", self.1));
    }
}

/// Answers an event with as many effects as its number says; panics at 9.
struct Echo;

impl Machine for Echo {
    type Event = Noted;
    type Effect = Noted;

    fn handle(&mut self, (): &(), event: Noted) -> Vec<Noted> {
        assert_ne!(event.1, 9, "ordered");
        (0..event.1).map(|number| Noted(event.0.clone(), number)).collect()
    }
}

/// Runs steps with a tracer. A panic takes the machine.
struct Traced(std::sync::Arc<Tracer>);

impl Steps for Traced {
    fn step<T>(&self, _: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        catch_unwind(AssertUnwindSafe(step)).map_err(|_| Loss::Machine)
    }

    fn look<T>(&self, word: &'static str, look: impl FnOnce() -> T) -> Result<T, Loss> {
        self.step(word, look).map_err(|_| Loss::Message)
    }

    fn follow_up<T>(&self, word: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        self.step(word, step)
    }

    fn tracer(&self) -> Option<&Tracer> {
        Some(&self.0)
    }
}

/// Keeps what is told while it is set for the thread.
#[derive(Default)]
struct Kept(Mutex<Vec<Step>>);

thread_local! {
    static TOLD: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut kept = self.0.lock().expect("nobody panics with it");
        kept.extend(Step::of(event));
        TOLD.set(kept.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn hand(steps: &Traced, turn: Turn, count: &Rc<Cell<u32>>, number: u64) -> Option<Loss> {
    let event = Noted(count.clone(), number);
    steps.hand(turn, "note", &mut Echo, &(), event).err()
}

#[test]
fn a_step_is_told_with_its_number_its_effects_and_what_is_lost() {
    // Hands over events, of which two panic, while this thread listens.
    let steps = Traced(Tracer::new(ServiceName::HotDb, 7, 3));
    let count = Rc::new(Cell::new(0));
    tracing::subscriber::with_default(Kept::default(), || {
        steps.0.begin(" known=-");
        assert_eq!(hand(&steps, Turn::Step, &count, 2), None);
        assert_eq!(hand(&steps, Turn::Look, &count, 9), Some(Loss::Message));
        assert_eq!(hand(&steps, Turn::Step, &count, 9), Some(Loss::Machine));
        assert_eq!(hand(&steps, Turn::FollowUp, &count, 0), None);
        steps.0.end();
    });
    let told = TOLD.take();
    let of = |place: usize, event: &str, effects: &[&str], lost: &str, life| Step {
        service: "hot_db".to_owned(),
        instance: 7,
        thread: 3,
        life,
        number: place as u64,
        event: event.to_owned(),
        effects: effects.iter().map(ToString::to_string).collect(),
        lost: lost.to_owned(),
    };
    let expected = [
        of(0, "begin known=-", &[], "", 0),
        of(1, "note number=2", &["note number=0", "note number=1"], "", 0),
        of(2, "note number=9", &[], "message", 0),
        of(3, "note number=9", &[], "machine", 0),
        of(4, "note number=0", &[], "", 1),
        of(5, "end", &[], "", 1),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_panic_of_the_words_costs_the_words_alone() {
    // The fifth number has no words: as an event, and as an effect of the event six.
    let steps = Traced(Tracer::new(ServiceName::HotDb, 0, 0));
    let count = Rc::new(Cell::new(0));
    tracing::subscriber::with_default(Kept::default(), || {
        for number in [5, 6, 1] {
            assert_eq!(hand(&steps, Turn::Step, &count, number), None);
        }
    });
    let told: Vec<_> = TOLD.take().into_iter().map(|step| (step.event, step.effects)).collect();
    assert_eq!((&*told[0].0, told[0].1.len()), (super::UNTOLD, 5));
    assert_eq!((&*told[1].0, &told[1].1[..]), ("note number=6", &[super::UNTOLD.to_owned()][..]));
    assert_eq!((&*told[2].0, told[2].1.len()), ("note number=1", 1));
}

#[test]
fn a_guard_tells_the_steps_that_it_runs() {
    // A thread's guard and that of another thread, each with a step and the first one's panic.
    let (observer, _notices) = Observer::<Std, Toy>::new(4);
    let supervisor = Supervisor::new(Intensity::default(), None, observer);
    let tracer = Tracer::new(ServiceName::Rewinder, 7, 0);
    let first = Guard::<Std, Toy>::new(ServiceName::Rewinder, true, &supervisor, None, tracer);
    let second = first.another(1);
    let count = Rc::new(Cell::new(0));
    tracing::subscriber::with_default(Kept::default(), || {
        for (guard, number) in [(&first, 9), (&second, 1)] {
            guard.begin();
            let event = Noted(count.clone(), number);
            let _ = guard.hand(Turn::Step, "note", &mut Echo, &(), event);
        }
    });
    let told = TOLD.take().into_iter().map(|step| (step.thread, step.event, step.lost));
    let expected = [
        (0, "begin", ""),
        (0, "note number=9", "machine"),
        (1, "begin", ""),
        (1, "note number=1", ""),
    ];
    let expected =
        expected.map(|(thread, event, lost)| (thread, event.to_owned(), lost.to_owned()));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn no_word_is_put_together_if_nobody_listens() {
    // Hands over events on a thread that has no subscriber, or one that wants other targets.
    let steps = Traced(Tracer::new(ServiceName::HotDb, 0, 0));
    let count = Rc::new(Cell::new(0));
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
        steps.0.begin("");
        for number in 0..4 {
            assert_eq!(hand(&steps, Turn::Step, &count, number), None);
        }
    });
    assert_eq!(count.get(), 0);
}
