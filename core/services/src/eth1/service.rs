//! The monitor's threads: one answers proposers and runs the machine, one asks the execution node.

use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::oneshot;
use blocksmith_sync::{Join, Primitives, RecvTimeoutError};

use super::BlockHeader;
use super::machine::{
    Answer, DepositLog, Effect, Eth1Monitor, Event, Failure, Limits, LimitsError, Question,
};
use super::vote::{Candidates, VotingState, get_eth1_vote};
use crate::machine::Machine;

/// How many proposers may ask at once; one more waits.
const QUESTIONS: usize = 16;

/// The execution node, as the monitor talks to it.
///
/// **Contract.** Each call returns within a time that the implementation bounds: the monitor makes
/// one call at a time and cannot stop before the call has returned. A panic counts as a failure.
pub trait ExecutionNode: Send + 'static {
    /// A block's hash.
    type Hash: Copy + Eq + Hash + Debug + Send + Sync + 'static;
    /// A deposit.
    type Deposit: Send + 'static;
    /// Why there is no answer.
    type Error: std::error::Error;

    /// Returns the number of the latest block.
    ///
    /// # Errors
    /// If the node gives no answer that can be read. So for the two below.
    fn latest(&mut self) -> Result<u64, Self::Error>;
    /// Returns the header of the block with this number.
    ///
    /// # Errors
    /// As above; and if the node has no such block.
    fn header(&mut self, number: u64) -> Result<BlockHeader<Self::Hash>, Self::Error>;
    /// Returns the contract's deposits of the blocks `from..=to`, in their order.
    ///
    /// # Errors
    /// As above.
    fn deposits(&mut self, from: u64, to: u64) -> Result<LogsOf<Self>, Self::Error>;
}

/// The deposits that a node has logged.
pub type LogsOf<N> = Vec<DepositLog<<N as ExecutionNode>::Hash, <N as ExecutionNode>::Deposit>>;

/// The contract's deposits, with proofs: what the monitor fills.
///
/// A panic over a proposal costs that proposal ([`ProposalError::Fault`]). A panic over a change
/// leaves the contents in doubt: the monitor truncates them to nothing and reads them again.
pub trait DepositContract: Send + 'static {
    /// A block's hash.
    type Hash: Copy;
    /// A deposit.
    type Deposit;
    /// The chain's view of the contract (`Eth1Data`).
    type View: Clone + Eq + Hash + Send + 'static;
    /// A deposit with its proof.
    type Proven: Send + 'static;

    /// Appends deposits. Returns false if there is no room.
    fn append(&mut self, deposits: Vec<Self::Deposit>) -> bool;
    /// Forgets every deposit from the `count`-th on.
    fn truncate(&mut self, count: u64);
    /// Returns the view after `count` deposits at a block, or `None` if there are fewer.
    fn view(&self, count: u64, hash: Self::Hash) -> Option<Self::View>;
    /// Returns the number of deposits in a view.
    fn count(view: &Self::View) -> u64;
    /// Returns the deposits `from..to` with their proofs against a view.
    ///
    /// # Errors
    /// [`ProposalError::Missing`], or [`ProposalError::Contradicted`] if the view's root is another.
    fn prove(
        &self,
        from: u64,
        to: u64,
        view: &Self::View,
    ) -> Result<Vec<Self::Proven>, ProposalError>;
}

/// Why a proposer gets no vote and no deposits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ProposalError {
    /// The block must include deposits that the monitor does not have yet.
    #[error("the block must include deposits that have not been read from the execution node yet")]
    Missing,
    /// The chain has voted for another root than that of the deposits that were read.
    #[error(
        "the chain has voted for a deposit root that the execution node's deposits do not have"
    )]
    Contradicted,
    /// The monitor has stopped.
    #[error("the monitor of the execution layer has stopped")]
    Stopped,
    /// A fault of ours: what keeps the deposits has panicked. The panic was reported.
    #[error("the deposits that were read could not be looked at: a panic was contained")]
    Fault,
}

/// What a proposer asks for.
#[derive(Clone, Debug)]
struct Ask<D> {
    state: VotingState<D>,
    deposit_index: u64,
}

/// What a proposer puts into its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal<D, T> {
    /// The vote on the contract.
    pub eth1_data: D,
    /// The deposits that are due, with their proofs.
    pub deposits: Vec<T>,
}

type Reply<K> =
    Result<Proposal<<K as DepositContract>::View, <K as DepositContract>::Proven>, ProposalError>;

enum Message<P: Primitives, N: ExecutionNode, K: DepositContract> {
    Proposal { ask: Ask<K::View>, reply: oneshot::Sender<P, Reply<K>> },
    Answered { request: u64, answer: Answer<N::Hash, N::Deposit> },
}

/// What the thread that asks the node is to ask, and where the answer goes.
struct Errand<P: Primitives, N: ExecutionNode, K: DepositContract> {
    request: u64,
    question: Question,
    answer: mailbox::Permit<P, Message<P, N, K>>,
}

/// What a vote and a block are bounded by, from the preset and the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eth1Rules {
    /// Which blocks may be voted for.
    pub candidates: Candidates,
    /// `EPOCHS_PER_ETH1_VOTING_PERIOD * SLOTS_PER_EPOCH`.
    pub slots_per_period: u64,
    /// `MAX_DEPOSITS`.
    pub max_deposits: u64,
}

/// A monitor whose threads run. Dropping it is [`Eth1Service::stop`].
pub struct Eth1Service<P: Primitives, N: ExecutionNode, K: DepositContract> {
    handle: Eth1Handle<P, N, K>,
    threads: Vec<P::JoinHandle<()>>,
}

/// Asks the monitor. A clone costs a reference count.
pub struct Eth1Handle<P: Primitives, N: ExecutionNode, K: DepositContract> {
    mailbox: mailbox::Sender<P, Message<P, N, K>>,
}

impl<P: Primitives, N: ExecutionNode, K: DepositContract> Clone for Eth1Handle<P, N, K> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone() }
    }
}

impl<P, N, K> Eth1Service<P, N, K>
where
    P: Primitives,
    N: ExecutionNode,
    K: DepositContract<Hash = N::Hash, Deposit = N::Deposit>,
{
    /// Starts two threads that follow the node's chain and fill `contract`, which is empty.
    /// `failed` is called on the monitor's thread for each failure: for a log. It must not block.
    ///
    /// # Errors
    /// A [`LimitsError`].
    pub fn start(
        limits: Limits,
        rules: Eth1Rules,
        node: N,
        contract: K,
        failed: impl FnMut(Failure) + Send + 'static,
    ) -> Result<Self, LimitsError> {
        let machine = Eth1Monitor::new(limits)?;
        let (sender, receiver) = mailbox::mailbox(QUESTIONS, 1, OnFull::Block);
        let (errands, asked) = mailbox::mailbox(1, 0, OnFull::Block);
        let (mailbox, doubtful) = (receiver, false);
        let service = Monitor { machine, rules, contract, doubtful, mailbox, errands, failed };
        let threads = vec![
            P::spawn("eth1_node", move || ask_node(node, &asked)),
            P::spawn("eth1", move || service.run()),
        ];
        Ok(Self { handle: Eth1Handle { mailbox: sender }, threads })
    }

    /// Returns a handle.
    #[must_use]
    pub fn handle(&self) -> Eth1Handle<P, N, K> {
        self.handle.clone()
    }

    /// Stops the monitor: proposers that wait are answered, and later ones get
    /// [`ProposalError::Stopped`]. Blocks until the call of the node that is under way has returned.
    pub fn stop(self) {
        drop(self);
    }
}

impl<P: Primitives, N: ExecutionNode, K: DepositContract> Drop for Eth1Service<P, N, K> {
    fn drop(&mut self) {
        self.handle.mailbox.close();
        for thread in self.threads.drain(..) {
            // A thread of the monitor contains the panics of what it calls.
            let _ = thread.join();
        }
    }
}

impl<P, N, K> Eth1Handle<P, N, K>
where
    P: Primitives,
    N: ExecutionNode,
    K: DepositContract<Hash = N::Hash, Deposit = N::Deposit>,
{
    /// Returns the vote and the deposits for a block on the state that `state` and `deposit_index`
    /// (`eth1_deposit_index`) come from. Blocks until the monitor's thread answers; that thread
    /// never waits for the execution node.
    ///
    /// # Errors
    /// A [`ProposalError`]: without the deposits that are due no valid block can be made.
    pub fn proposal(&self, state: VotingState<K::View>, deposit_index: u64) -> Reply<K> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { state, deposit_index };
        if self.mailbox.send(Message::Proposal { ask, reply }).is_err() {
            return Err(ProposalError::Stopped);
        }
        answer.recv().unwrap_or(Err(ProposalError::Stopped))
    }
}

/// The monitor's own thread.
struct Monitor<P: Primitives, N: ExecutionNode, K: DepositContract, F> {
    machine: Eth1Monitor<N::Hash>,
    rules: Eth1Rules,
    contract: K,
    /// Whether a change of the contract was cut short by a panic, and no truncation to nothing has
    /// succeeded since.
    doubtful: bool,
    mailbox: mailbox::Receiver<P, Message<P, N, K>>,
    errands: mailbox::Sender<P, Errand<P, N, K>>,
    failed: F,
}

impl<P, N, K, F> Monitor<P, N, K, F>
where
    P: Primitives,
    N: ExecutionNode,
    K: DepositContract<Hash = N::Hash, Deposit = N::Deposit>,
    F: FnMut(Failure),
{
    fn run(mut self) {
        let mut poll = self.step(Event::Poll);
        loop {
            let message = match poll {
                Some(at) => self.mailbox.recv_deadline(at),
                None => self.mailbox.recv().map_err(|_| RecvTimeoutError::Closed),
            };
            match message {
                Ok(Message::Answered { request, answer }) => {
                    poll = self.step(Event::Answered { request, answer });
                }
                Ok(Message::Proposal { ask, reply }) => {
                    let mut answer = Err(ProposalError::Fault);
                    P::contain(|| answer = self.proposal(&ask));
                    if answer.as_ref().is_err_and(|error| *error == ProposalError::Contradicted) {
                        poll = self.step(Event::Contradicted).or(poll);
                    }
                    // A proposer that is gone needs no reply.
                    let _ = reply.send(answer);
                }
                Err(RecvTimeoutError::Timeout) => poll = self.step(Event::Poll),
                Err(RecvTimeoutError::Closed) => return,
            }
        }
    }

    /// Hands an event over and carries the effects out. Returns when to poll, if the machine rests.
    ///
    /// A change of the contract that is cut short makes the machine start anew. What the machine
    /// asks of the contract next is then to forget everything, or to take the first deposits, so
    /// there are two more steps at most.
    fn step(&mut self, event: Event<N::Hash, N::Deposit>) -> Option<Duration> {
        let (mut poll, is_whole) = self.carry_out(event);
        if !is_whole {
            poll = self.step(Event::Contradicted).or(poll);
        }
        poll
    }

    /// As [`Self::step`]; returns as well whether no change of the contract was cut short.
    fn carry_out(&mut self, event: Event<N::Hash, N::Deposit>) -> (Option<Duration>, bool) {
        let (mut poll, mut is_whole) = (None, true);
        for effect in self.machine.handle(&PhantomData, event) {
            match effect {
                Effect::Ask { request, question } => self.ask(request, question),
                Effect::Rest { pause_ms } => {
                    poll = Some(P::now().saturating_add(Duration::from_millis(pause_ms)));
                }
                Effect::Truncate(count) => is_whole &= self.change(|all| all.truncate(count)),
                Effect::Append(deposits) => {
                    let mut has_room = true;
                    is_whole &= self.change(|all| has_room = all.append(deposits));
                    debug_assert!(has_room, "the contract itself takes no more");
                }
                Effect::Failed(failure) => P::contain(|| (self.failed)(failure)),
            }
        }
        (poll, is_whole)
    }

    /// Changes the contract, which is emptied before if its contents are in doubt. Returns whether
    /// nothing panicked.
    fn change(&mut self, change: impl FnOnce(&mut K)) -> bool {
        let contract = &mut self.contract;
        let was_doubtful = std::mem::replace(&mut self.doubtful, true);
        let mut is_whole = false;
        P::contain(|| {
            if was_doubtful {
                contract.truncate(0);
            }
            change(contract);
            is_whole = true;
        });
        self.doubtful = !is_whole;
        is_whole
    }

    fn ask(&mut self, request: u64, question: Question) {
        let Some(answer) = self.mailbox.permit() else {
            debug_assert!(false, "one request is under way at most");
            return;
        };
        // Refused only if the node's thread is gone, and it outlives this one.
        drop(self.errands.send(Errand { request, question, answer }));
    }

    fn proposal(&self, ask: &Ask<K::View>) -> Reply<K> {
        let Ask { state, deposit_index } = ask;
        if self.doubtful {
            // The monitor has no deposit that it can rely on, so the vote is the state's own.
            if K::count(&state.eth1_data) > *deposit_index {
                return Err(ProposalError::Missing);
            }
            let eth1_data = state.eth1_data.clone();
            return Ok(Proposal { eth1_data, deposits: Vec::new() });
        }
        let admitted =
            self.machine.followed().filter(|block| self.rules.candidates.admit(block, state));
        let views = admitted.filter_map(|at| self.contract.view(at.deposits, at.header.hash));
        let considered: Vec<K::View> = views.collect();
        let eth1_data = get_eth1_vote(&considered, state);
        // A block's vote is counted before its deposits are.
        let same = state.votes.iter().filter(|vote| **vote == eth1_data).count() as u64 + 1;
        let decided = same.saturating_mul(2) > self.rules.slots_per_period;
        let view = if decided { &eth1_data } else { &state.eth1_data };
        let due = K::count(view).saturating_sub(*deposit_index).min(self.rules.max_deposits);
        let deposits = match due {
            0 => Vec::new(),
            _ => self.contract.prove(*deposit_index, deposit_index + due, view)?,
        };
        Ok(Proposal { eth1_data, deposits })
    }
}

/// Asks the node, one question at a time, until the monitor is gone.
fn ask_node<P, N, K>(mut node: N, errands: &mailbox::Receiver<P, Errand<P, N, K>>)
where
    P: Primitives,
    N: ExecutionNode,
    K: DepositContract,
{
    while let Ok(Errand { request, question, answer }) = errands.recv() {
        let asked = catch_unwind(AssertUnwindSafe(|| match question {
            Question::Latest => node.latest().map(Answer::Latest),
            Question::Header(number) => node.header(number).map(Answer::Header),
            Question::Deposits { from, to } => node.deposits(from, to).map(Answer::Deposits),
        }));
        let reply = asked.ok().and_then(Result::ok).unwrap_or(Answer::Failed);
        // The monitor may have stopped.
        drop(answer.send(Message::Answered { request, answer: reply }));
    }
}
