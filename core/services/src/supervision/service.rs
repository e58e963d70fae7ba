//! Where panics are caught and reported, and where threads end; see [`crate::supervision`].

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use blocksmith_sync::{Mutex, Primitives, oneshot};

use crate::consensus::Consensus;
use crate::machine::Machine;
use crate::notice::Notice;
use crate::observer::Observer;
use crate::supervision::inject::{Probe, Strike};
use crate::supervision::machine::{Cause, Effect, Event, Intensity, ServiceName, Supervision};
use crate::trace::{self, Tracer, Words};

/// Sends the stop to the Quarantine, without blocking.
type StopAll = Box<dyn FnOnce() + Send>;

struct Inner {
    machine: Supervision,
    /// Taken by the first stop.
    stop: Option<StopAll>,
    cause: Option<Cause>,
    panics: u64,
    held: usize,
}

/// What the services share in order to be supervised.
pub(crate) struct Supervisor<P: Primitives, C: Consensus> {
    inner: P::Mutex<Inner>,
    observer: Observer<P, C>,
}

impl<P: Primitives, C: Consensus> Supervisor<P, C> {
    pub(crate) fn new(
        services: Intensity,
        workers: Option<Intensity>,
        observer: Observer<P, C>,
    ) -> P::Arc<Self> {
        let machine = Supervision::new(services, workers);
        let inner = Inner { machine, stop: None, cause: None, panics: 0, held: 0 };
        P::arc(Self { inner: P::Mutex::new(inner), observer })
    }

    /// Sets how the stop is sent. It must not block.
    pub(crate) fn stop_by(&self, stop: impl FnOnce() + Send + 'static) {
        self.inner.lock().stop = Some(Box::new(stop));
    }

    /// Stops all services, from the top down. Does not block; a second call does nothing.
    pub(crate) fn stop(&self) {
        let effects = self.inner.lock().machine.handle(&(), Event::Stop);
        self.carry_out(&effects);
    }

    /// Reports a panic; returns whether the service goes on. Does not block.
    fn panicked(
        &self,
        service: ServiceName,
        message: &'static str,
        text: String,
        replaceable: bool,
    ) -> bool {
        let effects = {
            let mut inner = self.inner.lock();
            inner.panics += 1;
            inner.machine.handle(&(), Event::Panicked { service, at: P::now(), replaceable })
        };
        let resumes = effects.contains(&Effect::Resume);
        tracing::error!(%service, message, text, resumes, "panicked");
        self.observer.tell(Notice::Panicked { service, message, text, resumes });
        self.carry_out(&effects);
        resumes
    }

    /// Reports that a service that was cut short cannot be rebuilt, so that the end of all services
    /// has a cause. Does not block.
    pub(crate) fn not_rebuilt(&self, service: ServiceName) {
        let effects = self.inner.lock().machine.handle(&(), Event::NotRebuilt { service });
        self.carry_out(&effects);
    }

    fn carry_out(&self, effects: &[Effect]) {
        for effect in effects {
            let Effect::StopAll(cause) = effect else { continue };
            if let Some(cause) = cause {
                tracing::error!(%cause, "the services stop");
                self.observer.tell(Notice::Escalated { cause: *cause });
            }
            let stop = {
                let mut inner = self.inner.lock();
                inner.cause = *cause;
                inner.stop.take()
            };
            if let Some(stop) = stop {
                stop();
            }
        }
    }

    /// Notes how many submissions had no verdict when the Quarantine was told to stop.
    pub(crate) fn note_held(&self, held: usize) {
        self.inner.lock().held = held;
    }

    /// Returns the number of panics that were tolerated, the number of submissions without a
    /// verdict at the stop, and why the services stopped by themselves, if they did.
    pub(crate) fn summary(&self) -> (u64, usize, Option<Cause>) {
        let inner = self.inner.lock();
        (inner.panics, inner.held, inner.cause)
    }
}

/// What is lost by a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The message; the machine was not touched.
    Message,
    /// The message and the machine: it must not be used again (I3).
    Machine,
}

/// How a service runs the steps of its machine.
pub trait Steps {
    /// Runs a step over a message. `word` is the kind of message, for reports.
    ///
    /// # Errors
    /// Returns what is lost if the step panics.
    fn step<T>(&self, word: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss>;
    /// As [`Steps::step`], for a step that only reads its machine: the machine stays whole.
    ///
    /// # Errors
    /// Returns what is lost by a panic: the message.
    fn look<T>(&self, word: &'static str, look: impl FnOnce() -> T) -> Result<T, Loss>;
    /// As [`Steps::step`], for a step that no message brought: one that follows from another.
    ///
    /// # Errors
    /// Returns what is lost if the step panics.
    fn follow_up<T>(&self, word: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss>;

    /// Returns what numbers the steps for a trace. By default no step is told.
    fn tracer(&self) -> Option<&Tracer> {
        None
    }

    /// Hands an event to a machine, and tells the step to a trace, if one is kept: the one place
    /// where that happens ([`crate::trace`]).
    ///
    /// # Errors
    /// Returns what is lost if the step panics.
    fn hand<X: ?Sized, M: Machine<X>>(
        &self,
        turn: Turn,
        word: &'static str,
        machine: &mut M,
        context: &X,
        event: M::Event,
    ) -> Result<Vec<M::Effect>, Loss>
    where
        M::Event: Words<X>,
        M::Effect: Words<X>,
    {
        let tracer = self.tracer().filter(|_| Tracer::is_heard());
        // The words of roots are the protocol's code, and may panic: that costs the words alone.
        let told = tracer.map(|tracer| {
            let words = contain(|| {
                let mut words = String::new();
                event.words(context, &mut words);
                words
            });
            (tracer, words.unwrap_or_else(|_| trace::UNTOLD.to_owned()))
        });
        let handle = || machine.handle(context, event);
        let outcome = match turn {
            Turn::Step => self.step(word, handle),
            Turn::Look => self.look(word, handle),
            Turn::FollowUp => self.follow_up(word, handle),
        };
        if let Some((tracer, words)) = told {
            match &outcome {
                Ok(effects) => {
                    let effects = contain(|| trace::effects(context, effects));
                    let effects = effects.unwrap_or_else(|_| trace::UNTOLD.to_owned());
                    tracer.tell(&words, &effects, None);
                }
                Err(loss) => tracer.tell(&words, "", Some(*loss)),
            }
        }
        outcome
    }
}

/// Which of the three ways of [`Steps`] a step is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// [`Steps::step`].
    Step,
    /// [`Steps::look`].
    Look,
    /// [`Steps::follow_up`].
    FollowUp,
}

/// Runs steps as they are: a panic is the caller's. It is for models, whose steps do not panic.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl Steps for Bare {
    fn step<T>(&self, _: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        Ok(step())
    }

    fn look<T>(&self, _: &'static str, look: impl FnOnce() -> T) -> Result<T, Loss> {
        Ok(look())
    }

    fn follow_up<T>(&self, _: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        Ok(step())
    }
}

/// What one service needs in order to be supervised.
pub(crate) struct Guard<P: Primitives, C: Consensus> {
    service: ServiceName,
    /// Whether a machine that was cut short can be replaced.
    replaceable: bool,
    supervisor: P::Arc<Supervisor<P, C>>,
    probe: Option<P::Arc<Probe<P>>>,
    tracer: Arc<Tracer>,
}

impl<P: Primitives, C: Consensus> Guard<P, C> {
    pub(crate) fn new(
        service: ServiceName,
        replaceable: bool,
        supervisor: &P::Arc<Supervisor<P, C>>,
        probe: Option<P::Arc<Probe<P>>>,
        tracer: Arc<Tracer>,
    ) -> Self {
        Self { service, replaceable, supervisor: supervisor.clone(), probe, tracer }
    }

    /// Returns the same guard for another thread of the service, of this number.
    pub(crate) fn another(&self, thread: u64) -> Self {
        Self {
            service: self.service,
            replaceable: self.replaceable,
            supervisor: self.supervisor.clone(),
            probe: self.probe.clone(),
            tracer: self.tracer.another(thread),
        }
    }

    /// Tells a trace that this thread begins.
    pub(crate) fn begin(&self) {
        self.tracer.begin("");
    }

    pub(crate) fn supervisor(&self) -> &Supervisor<P, C> {
        &self.supervisor
    }

    pub(crate) fn shared(&self) -> &P::Arc<Supervisor<P, C>> {
        &self.supervisor
    }

    fn attempt<T>(
        &self,
        message: &'static str,
        changes: bool,
        strike: Option<(Strike, u64)>,
        step: impl FnOnce() -> T,
    ) -> Result<T, Loss> {
        let touched = Cell::new(false);
        // Unwinding may leave the machine half done, and `touched` says so (I3).
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if let Some((strike, number)) = strike {
                touched.set(changes && strike == Strike::Middle);
                let text = format!("injected at message {number}");
                // The panic hook does not run: the panic was ordered, so it is not printed as an
                // accident.
                resume_unwind(Box::new(text));
            }
            touched.set(changes);
            step()
        }));
        outcome.map_err(|payload| {
            let loss = if touched.get() { Loss::Machine } else { Loss::Message };
            let replaceable = self.replaceable || loss == Loss::Message;
            self.supervisor.panicked(self.service, message, text(&*payload), replaceable);
            loss
        })
    }
}

/// A panic is reported. Nothing that a step captures may synchronise, as it is dropped while the
/// thread unwinds.
impl<P: Primitives, C: Consensus> Steps for Guard<P, C> {
    fn step<T>(&self, word: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        let strike = self.probe.as_deref().and_then(Probe::strike);
        self.attempt(word, true, strike, step)
    }

    fn look<T>(&self, word: &'static str, look: impl FnOnce() -> T) -> Result<T, Loss> {
        let strike = self.probe.as_deref().and_then(Probe::strike);
        self.attempt(word, false, strike, look)
    }

    fn follow_up<T>(&self, word: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        self.attempt(word, true, None, step)
    }

    fn tracer(&self) -> Option<&Tracer> {
        Some(&self.tracer)
    }
}

/// Runs pure code of the consensus protocol outside of a step.
///
/// # Errors
/// Returns the text of its panic.
pub(crate) fn contain<T>(pure: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(pure)).map_err(|payload| text(&*payload))
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}

/// Marks the end of a thread, however it comes. It closes what is below (I6), then tells the thread
/// that waits for the end.
pub(crate) struct EndGuard<P: Primitives, C: Consensus, F: FnMut()> {
    supervisor: P::Arc<Supervisor<P, C>>,
    tracer: Arc<Tracer>,
    close_below: F,
    /// Its drop is the news.
    _ended: oneshot::Sender<P, ()>,
}

impl<P: Primitives, C: Consensus, F: FnMut()> EndGuard<P, C, F> {
    pub(crate) fn new(guard: &Guard<P, C>, ended: oneshot::Sender<P, ()>, close_below: F) -> Self {
        let (supervisor, tracer) = (guard.supervisor.clone(), guard.tracer.clone());
        Self { supervisor, tracer, close_below, _ended: ended }
    }
}

impl<P: Primitives, C: Consensus, F: FnMut()> Drop for EndGuard<P, C, F> {
    fn drop(&mut self) {
        // A checker that reports a violation unwinds as well; nothing is left to close then.
        if P::reporting() {
            return;
        }
        if std::thread::panicking() {
            self.supervisor.stop();
        }
        self.tracer.end();
        (self.close_below)();
    }
}
