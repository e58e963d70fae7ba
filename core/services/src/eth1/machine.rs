//! The monitor's machine; see [`crate::eth1`] for the states and the invariants.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::Hash;

use crate::machine::Machine;

/// What bounds a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The number of the first block that may have a deposit: that of the contract's deployment.
    pub start: u64,
    /// How many blocks behind the latest the monitor stays (`ETH1_FOLLOW_DISTANCE`).
    pub distance: u64,
    /// How many of the followed blocks are kept: the candidates of a vote, and how deep a
    /// re-organisation may go without a new start.
    pub window: usize,
    /// How many headers are taken before their deposits are asked for.
    pub batch: usize,
    /// How many blocks before the window are asked for their deposits at once.
    pub range: u64,
    /// Milliseconds from one look at the latest block to the next.
    pub pause_ms: u64,
    /// The longest pause after failures, in milliseconds.
    pub longest_pause_ms: u64,
}

/// A limit that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LimitsError {
    /// A limit is zero that must not be.
    #[error("{0} is 0")]
    Zero(&'static str),
    /// The longest pause is shorter than the pause.
    #[error("longest_pause_ms ({longest}) is shorter than pause_ms ({pause})")]
    Pause {
        /// [`Limits::pause_ms`].
        pause: u64,
        /// [`Limits::longest_pause_ms`].
        longest: u64,
    },
}

impl Limits {
    /// Returns whether the limits can be.
    ///
    /// # Errors
    /// A [`LimitsError`] that names the limit.
    pub fn check(&self) -> Result<(), LimitsError> {
        let zero = [
            ("window", self.window == 0),
            ("batch", self.batch == 0),
            ("range", self.range == 0),
            ("pause_ms", self.pause_ms == 0),
        ];
        if let Some((name, _)) = zero.into_iter().find(|(_, zero)| *zero) {
            return Err(LimitsError::Zero(name));
        }
        if self.longest_pause_ms < self.pause_ms {
            let (pause, longest) = (self.pause_ms, self.longest_pause_ms);
            return Err(LimitsError::Pause { pause, longest });
        }
        Ok(())
    }
}

/// What the monitor has to know of a block of the execution layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockHeader<H> {
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    pub hash: H,
    /// The hash of the block before it.
    pub parent: H,
    /// The block's time in seconds since the Unix epoch.
    pub timestamp: u64,
}

/// A deposit as the contract logged it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DepositLog<H, D> {
    /// The number of the block.
    pub number: u64,
    /// The hash of the block.
    pub hash: H,
    /// The contract's number of the deposit, from 0.
    pub index: u64,
    /// The deposit.
    pub deposit: D,
}

/// A block that the monitor follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Followed<H> {
    /// The block.
    pub header: BlockHeader<H>,
    /// How many deposits the contract had after it.
    pub deposits: u64,
}

/// What the monitor asks the execution node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The number of the latest block.
    Latest,
    /// The header of the block with this number.
    Header(u64),
    /// The contract's deposits of the blocks `from..=to`, in their order.
    Deposits {
        /// The first block.
        from: u64,
        /// The last block.
        to: u64,
    },
}

/// What the execution node answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer<H, D> {
    /// The number of the latest block.
    Latest(u64),
    /// A header.
    Header(BlockHeader<H>),
    /// Deposits.
    Deposits(Vec<DepositLog<H, D>>),
    /// There is no answer, or none that can be read.
    Failed,
}

/// What can happen to the monitor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<H, D> {
    /// The pause is over.
    Poll,
    /// The node has answered the request of this number.
    Answered {
        /// The number that [`Effect::Ask`] gave.
        request: u64,
        /// The answer.
        answer: Answer<H, D>,
    },
    /// The chain has voted for a root of the contract that the deposits taken in do not have.
    Contradicted,
}

/// What the monitor asks of its shell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<D> {
    /// Ask the execution node.
    Ask {
        /// Identifies the answer.
        request: u64,
        /// The question.
        question: Question,
    },
    /// Wait for as many milliseconds, then hand over [`Event::Poll`].
    Rest {
        /// The pause.
        pause_ms: u64,
    },
    /// Forget every deposit from this one on.
    Truncate(u64),
    /// Append these deposits.
    Append(Vec<D>),
    /// Something went wrong: for a log and a meter.
    Failed(Failure),
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The node gave no answer, or another than it was asked for.
    #[error("the execution node gave no answer that fits the question")]
    NoAnswer,
    /// The block that the monitor followed is not of the node's chain any more.
    #[error("the execution node's chain no longer has the block that was followed")]
    Reorganised,
    /// The deposits are of other blocks than the headers, or some are missing.
    #[error("the execution node's deposits do not fit its headers, or are not consecutive")]
    Deposits,
    /// Everything was forgotten: the node's chain does not fit what was taken in.
    #[error("the deposits taken in do not fit the chain and were forgotten")]
    StartedAnew,
}

/// Where the monitor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Resting,
    Latest,
    Headers,
    Deposits { from: u64, to: u64 },
}

/// Follows the execution layer; see [`crate::eth1`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Eth1Monitor<H> {
    limits: Limits,
    phase: Phase,
    /// The number of the request that is under way, or was the last (I5).
    request: u64,
    /// The latest block that may be followed (I2).
    target: u64,
    /// The first block whose deposits have not been taken in.
    next: u64,
    /// How many deposits have been taken in.
    deposits: u64,
    /// Followed blocks, the last of which is `next - 1` (I1).
    window: VecDeque<Followed<H>>,
    /// Headers on top of the window whose deposits are not known yet.
    batch: Vec<BlockHeader<H>>,
    /// Failures since the last step forward.
    failures: u32,
    /// How often deposits did not fit up to block `misfit`: what is dropped next.
    misfits: u32,
    /// The last block of the batch that did not fit. Misfits count until it has been taken in:
    /// after the window was dropped, earlier batches fit again and say nothing of it.
    misfit: u64,
    /// Whether everything is to be forgotten once the request under way has its answer.
    contradicted: bool,
}

impl<H: Copy + Eq + Hash + Debug> Eth1Monitor<H> {
    /// Returns a monitor that has seen nothing. The first event is [`Event::Poll`].
    ///
    /// # Errors
    /// A [`LimitsError`].
    pub fn new(limits: Limits) -> Result<Self, LimitsError> {
        limits.check()?;
        Ok(Self {
            limits,
            phase: Phase::Resting,
            request: 0,
            target: 0,
            next: limits.start,
            deposits: 0,
            window: VecDeque::new(),
            batch: Vec::new(),
            failures: 0,
            misfits: 0,
            misfit: 0,
            contradicted: false,
        })
    }

    /// Returns the followed blocks, oldest first.
    pub fn followed(&self) -> impl DoubleEndedIterator<Item = &Followed<H>> {
        self.window.iter()
    }

    /// Returns the number of deposits taken in.
    #[must_use]
    pub fn deposits(&self) -> u64 {
        self.deposits
    }

    fn ask<D>(&mut self, phase: Phase, question: Question) -> Effect<D> {
        self.phase = phase;
        self.request += 1;
        Effect::Ask { request: self.request, question }
    }

    fn rest<D>(&mut self) -> Effect<D> {
        self.phase = Phase::Resting;
        let doubled = 1u64.checked_shl(self.failures.min(63)).unwrap_or(u64::MAX);
        let pause_ms = self.limits.pause_ms.saturating_mul(doubled);
        Effect::Rest { pause_ms: pause_ms.min(self.limits.longest_pause_ms) }
    }

    fn fail<D>(&mut self, failure: Failure, effects: &mut Vec<Effect<D>>) {
        self.batch.clear();
        self.failures = self.failures.saturating_add(1);
        effects.push(Effect::Failed(failure));
        effects.push(self.rest());
    }

    /// Asks for what comes next, or rests.
    fn go_on<D>(&mut self) -> Effect<D> {
        let header = self.next + self.batch.len() as u64;
        if self.batch.is_empty() && self.next > self.target {
            return self.rest();
        }
        // Blocks before the window are asked for their deposits alone.
        let kept = self.target.saturating_sub(self.limits.window as u64 - 1);
        if self.window.is_empty() && self.batch.is_empty() && self.next < kept {
            let to = self.next.saturating_add(self.limits.range - 1).min(kept - 1);
            let (from, to) = (self.next, to);
            return self.ask(Phase::Deposits { from, to }, Question::Deposits { from, to });
        }
        if header > self.target || self.batch.len() == self.limits.batch {
            let (from, to) = (self.next, header - 1);
            return self.ask(Phase::Deposits { from, to }, Question::Deposits { from, to });
        }
        self.ask(Phase::Headers, Question::Header(header))
    }

    fn take_latest<D>(&mut self, latest: u64) -> Effect<D> {
        // No chain is as long as half of all numbers, so sums with a number do not overflow.
        match latest.min(u64::MAX / 2).checked_sub(self.limits.distance) {
            // A target that is lower than before forgets nothing: blocks that are gone are noticed
            // by their hashes, and the answer may be that of a node that lags.
            Some(target) => {
                self.target = target;
                self.failures = 0;
                self.go_on()
            }
            None => self.rest(),
        }
    }

    fn take_header<D>(&mut self, header: BlockHeader<H>, effects: &mut Vec<Effect<D>>) {
        let expected = self.next + self.batch.len() as u64;
        if header.number != expected {
            return self.fail(Failure::NoAnswer, effects);
        }
        let before = self.batch.last().or(self.window.back().map(|block| &block.header));
        if before.is_some_and(|before| before.hash != header.parent) {
            return self.go_back(effects);
        }
        self.batch.push(header);
        effects.push(self.go_on());
    }

    /// The last block is not the parent of the next: it goes, with its deposits (I4).
    fn go_back<D>(&mut self, effects: &mut Vec<Effect<D>>) {
        effects.push(Effect::Failed(Failure::Reorganised));
        if self.batch.pop().is_some() {
            effects.push(self.go_on());
            return;
        }
        self.window.pop_back();
        match self.window.back() {
            Some(last) => {
                let deposits = last.deposits;
                self.next -= 1;
                self.truncate(deposits, effects);
                effects.push(self.go_on());
            }
            // What lies before the window was taken on trust, and the node's chain has changed at
            // its edge.
            None => self.start_anew(effects),
        }
    }

    fn truncate<D>(&mut self, deposits: u64, effects: &mut Vec<Effect<D>>) {
        if deposits < self.deposits {
            self.deposits = deposits;
            effects.push(Effect::Truncate(deposits));
        }
    }

    fn start_anew<D>(&mut self, effects: &mut Vec<Effect<D>>) {
        (self.misfits, self.misfit) = (0, 0);
        self.window.clear();
        self.next = self.limits.start;
        self.truncate(0, effects);
        self.fail(Failure::StartedAnew, effects);
    }

    fn take_deposits<D>(
        &mut self,
        (from, to): (u64, u64),
        logs: Vec<DepositLog<H, D>>,
        effects: &mut Vec<Effect<D>>,
    ) {
        if !self.fits(from, to, &logs) {
            self.misfit = self.misfit.max(to);
            return self.misfit(effects);
        }
        let mut taken = self.deposits;
        let mut of_block = logs.iter().map(|log| log.number).peekable();
        for header in self.batch.drain(..) {
            while of_block.next_if_eq(&header.number).is_some() {
                taken += 1;
            }
            self.window.push_back(Followed { header, deposits: taken });
        }
        self.deposits += logs.len() as u64;
        self.next = to + 1;
        let excess = self.window.len().saturating_sub(self.limits.window);
        self.window.drain(..excess);
        self.failures = 0;
        if to >= self.misfit {
            self.misfits = 0;
        }
        if !logs.is_empty() {
            effects.push(Effect::Append(logs.into_iter().map(|log| log.deposit).collect()));
        }
        effects.push(self.go_on());
    }

    /// Whether the deposits are of the blocks asked for, in their order, without a gap (I3).
    fn fits<D>(&self, from: u64, to: u64, logs: &[DepositLog<H, D>]) -> bool {
        let mut number = from;
        logs.iter().zip(self.deposits..).all(|(log, index)| {
            let ascends = number <= log.number && log.number <= to;
            number = log.number;
            // Before the window there are no headers to compare with.
            let place = usize::try_from(log.number.wrapping_sub(from)).ok();
            let header = place.and_then(|place| self.batch.get(place));
            let of_the_chain =
                self.batch.is_empty() || header.is_some_and(|header| header.hash == log.hash);
            ascends && of_the_chain && log.index == index
        })
    }

    /// Deposits that do not fit: the chain may have changed between two answers, so the same is
    /// asked again. If it does not fit again, an earlier answer was wrong.
    fn misfit<D>(&mut self, effects: &mut Vec<Effect<D>>) {
        self.misfits += 1;
        let dropped = match self.misfits {
            1 => return self.fail(Failure::Deposits, effects),
            2 => self.window.front().copied(),
            _ => None,
        };
        match dropped {
            Some(first) => {
                // Down to the first block, whose own deposits are kept with it.
                self.window.truncate(1);
                self.next = first.header.number + 1;
                self.truncate(first.deposits, effects);
                self.fail(Failure::Deposits, effects);
            }
            None => self.start_anew(effects),
        }
    }
}

impl<H, D> Machine<std::marker::PhantomData<D>> for Eth1Monitor<H>
where
    H: Copy + Eq + Hash + Debug,
{
    type Event = Event<H, D>;
    type Effect = Effect<D>;

    fn handle(&mut self, _: &std::marker::PhantomData<D>, event: Event<H, D>) -> Vec<Effect<D>> {
        let mut effects = Vec::new();
        match event {
            Event::Poll if self.phase == Phase::Resting => {
                effects.push(self.ask(Phase::Latest, Question::Latest));
            }
            // A pause that ends twice.
            Event::Poll => {}
            Event::Contradicted if self.phase == Phase::Resting => self.start_anew(&mut effects),
            Event::Contradicted => self.contradicted = true,
            Event::Answered { request, answer } if request == self.request => {
                self.answered(answer, &mut effects);
            }
            // An answer that was given twice (I5).
            Event::Answered { .. } => {}
        }
        effects
    }
}

impl<H: Copy + Eq + Hash + Debug> Eth1Monitor<H> {
    fn answered<D>(&mut self, answer: Answer<H, D>, effects: &mut Vec<Effect<D>>) {
        if std::mem::take(&mut self.contradicted) {
            return self.start_anew(effects);
        }
        match (self.phase, answer) {
            (Phase::Latest, Answer::Latest(latest)) => effects.push(self.take_latest(latest)),
            (Phase::Headers, Answer::Header(header)) => self.take_header(header, effects),
            (Phase::Deposits { from, to }, Answer::Deposits(logs)) => {
                self.take_deposits((from, to), logs, effects);
            }
            // The same answer twice: nothing is under way.
            (Phase::Resting, _) => {}
            _ => self.fail(Failure::NoAnswer, effects),
        }
    }
}
