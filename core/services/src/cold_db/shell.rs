//! What the ColdDB does with a message. It is written once for everything that runs it: threads
//! over mailboxes, models, and twins (variants with a deliberate fault, which a check must catch).
//!
//! **Contract.** [`turn`] hands one message to the machine and carries the effects out through
//! [`Ports`], commits included. [`flush`] commits what has been gathered; the caller calls it when
//! nothing more is queued, before it waits or reports that it rests. What is asked about stored
//! blocks is answered by [`crate::cold_db::reads`].

use std::collections::VecDeque;

use crate::cold_db::machine::{ColdDb, Effect, Event, Record};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::notice::{Notice, NoticeOf};
use crate::store::{StoreError, Write};
use crate::supervision::{Loss, Steps, Turn};

/// How many requests for a state may be under way at once.
pub const STATE_REQUESTS: usize = 1;

/// What the ColdDB can be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message<C: Consensus> {
    /// Clearance has taken something in.
    Record(Record<C>),
    /// Clearance says that finality has moved.
    Finalized(Checkpoint<C::Root>),
    /// The Rewinder's answer to a request for a state.
    State {
        /// Root of the block.
        root: C::Root,
        /// The state after it, if it could be had.
        state: Option<crate::hot_db::StateAt<C>>,
    },
}

impl<C: Consensus> Message<C> {
    /// Returns the kind of message, for reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Record(_) => "record",
            Self::Finalized(_) => "finality",
            Self::State { .. } => "state",
        }
    }
}

/// The ColdDB's connections: the store as far as it is written, the Rewinder and observers.
pub trait Ports<C: Consensus> {
    /// Commits writes to the store. It may wait for the disk.
    ///
    /// # Errors
    /// The store's.
    fn commit(&mut self, writes: &[Write<C>]) -> Result<(), StoreError>;
    /// Has the Rewinder load a state; [`Message::State`] follows, through a slot that is kept for
    /// it. Never blocks.
    fn ask_state(&mut self, root: C::Root, slot: Slot);
    /// Sends a notice to the observers.
    fn tell(&mut self, notice: NoticeOf<C>);
}

/// Handles a message, and commits if a batch is full. A message that is lost by a panic makes a
/// gap: what was gathered before it is committed, and then nothing more is written.
///
/// # Errors
/// [`Loss::Machine`] if the machine must not be used any more.
pub fn turn<C: Consensus, P: Ports<C>>(
    machine: &mut ColdDb<C>,
    consensus: &C,
    steps: &impl Steps,
    ports: &mut P,
    message: Message<C>,
) -> Result<(), Loss> {
    let word = message.word();
    let event = match message {
        Message::Record(record) => Event::Record(record),
        Message::Finalized(checkpoint) => Event::Finalized(checkpoint),
        Message::State { root, state } => {
            Event::State { root, state: state.map(|state| state.state) }
        }
    };
    let effects = match steps.hand(Turn::Step, word, machine, consensus, event) {
        Err(Loss::Message) => {
            flush(machine, consensus, steps, ports)?;
            steps.hand(Turn::FollowUp, word, machine, consensus, Event::Lost)
        }
        step => step,
    };
    let effects = effects.map_err(|_| Loss::Machine)?;
    carry_out(machine, consensus, steps, ports, effects)?;
    if machine.is_full() { flush(machine, consensus, steps, ports) } else { Ok(()) }
}

/// Commits what has been gathered.
///
/// # Errors
/// As [`turn`].
pub fn flush<C: Consensus, P: Ports<C>>(
    machine: &mut ColdDb<C>,
    consensus: &C,
    steps: &impl Steps,
    ports: &mut P,
) -> Result<(), Loss> {
    let effects = steps.hand(Turn::FollowUp, "flush", machine, consensus, Event::Flush);
    let effects = effects.map_err(|_| Loss::Machine)?;
    carry_out(machine, consensus, steps, ports, effects)
}

/// Carries effects out. The loop is bounded: a commit is followed by a notice and nothing else.
fn carry_out<C: Consensus, P: Ports<C>>(
    machine: &mut ColdDb<C>,
    consensus: &C,
    steps: &impl Steps,
    ports: &mut P,
    effects: Vec<Effect<C>>,
) -> Result<(), Loss> {
    let mut work = VecDeque::from(effects);
    while let Some(effect) = work.pop_front() {
        match effect {
            Effect::Commit(writes) => {
                let outcome = ports.commit(&writes);
                tracing::debug!(writes = writes.len(), whole = outcome.is_ok(), "committed");
                let event = Event::Committed(outcome);
                let effects = steps.hand(Turn::FollowUp, "commit", machine, consensus, event);
                work.extend(effects.map_err(|_| Loss::Machine)?);
            }
            Effect::AskState { root, slot } => ports.ask_state(root, slot),
            Effect::Durable(checkpoint) => {
                tracing::info!(epoch = checkpoint.epoch, root = ?checkpoint.root, "finality is durable");
                ports.tell(Notice::Durable(checkpoint));
            }
            Effect::Failed(error) => {
                tracing::error!(%error, "the store has failed, and nothing more is written");
                ports.tell(Notice::StoreFailed(Box::new(error)));
            }
        }
    }
    Ok(())
}
