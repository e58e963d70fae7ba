//! The monitor's threads, with a node that the test holds.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use blocksmith_sync::Std;

use super::super::{
    BlockHeader, Candidates, DepositContract, Eth1Rules, Eth1Service, ExecutionNode, Failure,
    ProposalError, VotingState,
};
use super::chain::{Chain, limits};
use super::{Answer, Log, Question};

/// What a chain says of the contract: how many deposits, at which block.
type View = (u64, u64);

/// Which calls of the contract panic, one entry a call, the next one first.
#[derive(Clone, Default)]
struct Orders(Arc<Mutex<Vec<&'static str>>>);

impl Orders {
    fn strike(&self, call: &'static str) {
        let mut orders = self.0.lock().unwrap();
        if orders.first() == Some(&call) {
            orders.remove(0);
            drop(orders);
            // Without the panic hook, as it is ordered.
            std::panic::resume_unwind(Box::new("ordered"));
        }
    }

    fn is_done(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

/// A list of deposits whose proofs are their numbers. A view of block 999 has another root.
struct Contract(Vec<u64>, Orders);

impl DepositContract for Contract {
    type Hash = u64;
    type Deposit = u64;
    type View = View;
    type Proven = u64;

    fn append(&mut self, deposits: Vec<u64>) -> bool {
        // A change that is cut short has been made in part.
        self.0.extend(deposits.first());
        self.1.strike("append");
        self.0.extend(deposits.iter().skip(1));
        true
    }

    fn truncate(&mut self, count: u64) {
        self.1.strike("truncate");
        self.0.truncate(count as usize);
    }

    fn view(&self, count: u64, hash: u64) -> Option<View> {
        self.1.strike("view");
        (count <= self.0.len() as u64).then_some((count, hash))
    }

    fn count(view: &View) -> u64 {
        view.0
    }

    fn prove(&self, from: u64, to: u64, view: &View) -> Result<Vec<u64>, ProposalError> {
        self.1.strike("prove");
        if view.1 == 999 {
            return Err(ProposalError::Contradicted);
        }
        let deposits = self.0.get(from as usize..to as usize);
        deposits.map(<[u64]>::to_vec).ok_or(ProposalError::Missing)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer;

/// A node whose chain the test may change, and which panics while `panics` is set.
struct Node {
    chain: Arc<Mutex<Chain>>,
    /// Where it says that it was asked for the latest block; the test takes one for each poll.
    polled: mpsc::SyncSender<()>,
    panics: usize,
}

impl Node {
    fn ask(&mut self, question: Question) -> Answer<u64, u64> {
        if self.panics > 0 {
            self.panics -= 1;
            panic!("the node's adapter panics");
        }
        self.chain.lock().unwrap().answer(question)
    }
}

impl ExecutionNode for Node {
    type Hash = u64;
    type Deposit = u64;
    type Error = NoAnswer;

    fn latest(&mut self) -> Result<u64, NoAnswer> {
        // The test may have stopped to listen.
        let _ = self.polled.send(());
        match self.ask(Question::Latest) {
            Answer::Latest(number) => Ok(number),
            _ => Err(NoAnswer),
        }
    }

    fn header(&mut self, number: u64) -> Result<BlockHeader<u64>, NoAnswer> {
        match self.ask(Question::Header(number)) {
            Answer::Header(header) => Ok(header),
            _ => Err(NoAnswer),
        }
    }

    fn deposits(&mut self, from: u64, to: u64) -> Result<Vec<Log>, NoAnswer> {
        match self.ask(Question::Deposits { from, to }) {
            Answer::Deposits(logs) => Ok(logs),
            _ => Err(NoAnswer),
        }
    }
}

type Monitor = Eth1Service<Std, Node, Contract>;

/// Waits for so many polls. A monitor that polls no more fails the test instead of hanging it.
fn wait(polls: &mpsc::Receiver<()>, count: usize) {
    let patience = Duration::from_secs(60);
    (0..count).for_each(|_| polls.recv_timeout(patience).expect("the monitor polls"));
}

/// Starts a monitor of a chain of 21 blocks with a deposit each but the first, and waits until it
/// has followed it: the poll after the first is made when all has been taken in.
fn started(panics: usize) -> (Monitor, mpsc::Receiver<()>, mpsc::Receiver<Failure>) {
    let (monitor, polls, failures) = ordered(panics, &Orders::default());
    wait(&polls, 2 + panics);
    (monitor, polls, failures)
}

/// Starts such a monitor, whose contract panics as it is ordered to, and waits for no poll.
fn ordered(
    panics: usize,
    orders: &Orders,
) -> (Monitor, mpsc::Receiver<()>, mpsc::Receiver<Failure>) {
    let mut chain = Chain::new();
    (0..20).for_each(|_| chain.grow(1));
    following(&Arc::new(Mutex::new(chain)), panics, orders)
}

/// The same over a chain that the test may change.
fn following(
    chain: &Arc<Mutex<Chain>>,
    panics: usize,
    orders: &Orders,
) -> (Monitor, mpsc::Receiver<()>, mpsc::Receiver<Failure>) {
    let (polled, polls) = mpsc::sync_channel(0);
    let (told, failures) = mpsc::channel();
    let node = Node { chain: chain.clone(), polled, panics };
    let rules = Eth1Rules {
        candidates: Candidates { distance_seconds: 4 * 14 },
        slots_per_period: 4,
        max_deposits: 3,
    };
    let failed = move |failure| told.send(failure).expect("the test listens");
    let contract = Contract(Vec::new(), orders.clone());
    let monitor = Monitor::start(limits(), rules, node, contract, failed).expect("limits");
    (monitor, polls, failures)
}

/// Stops a monitor. A node that says that it is polled must not wait for the test then.
fn end(monitor: Monitor, polls: mpsc::Receiver<()>) {
    drop(polls);
    monitor.stop();
}

fn state(deposit_count: u64, votes: Vec<View>) -> VotingState<View> {
    VotingState { period_start: 14 * 19, eth1_data: (deposit_count, 1), deposit_count, votes }
}

#[test]
fn a_proposer_gets_the_last_candidate_and_the_deposits_that_are_due() {
    // Block 16 is followed, but is too young: block 15 is the last candidate. It has hash 16 and 15
    // deposits. Two deposits are due, then more than a block may have.
    let (monitor, polls, failures) = started(0);
    let proposal = monitor.handle().proposal(state(5, vec![]), 3).unwrap();
    assert_eq!(proposal.eth1_data, (15, 16));
    assert_eq!(proposal.deposits, [500, 600]);
    let proposal = monitor.handle().proposal(state(12, vec![]), 3).unwrap();
    assert_eq!(proposal.deposits, [500, 600, 700]);
    end(monitor, polls);
    assert_eq!(failures.iter().count(), 0);
}

#[test]
fn a_vote_that_decides_the_period_counts_for_the_deposits_of_its_own_block() {
    // Two of four votes are for block 14; the third decides, and makes its deposits due.
    let (monitor, _polls, _failures) = started(0);
    let decided = state(5, vec![(14, 15), (14, 15)]);
    let proposal = monitor.handle().proposal(decided, 5).unwrap();
    assert_eq!(proposal.eth1_data, (14, 15));
    assert_eq!(proposal.deposits, [700, 800, 900]);
    let undecided = state(5, vec![(14, 15)]);
    assert_eq!(monitor.handle().proposal(undecided, 5).unwrap().deposits, []);
}

#[test]
fn deposits_that_are_not_there_or_are_contradicted_are_errors() {
    // The chain has voted for 40 deposits; then for a root that nobody has, which makes the monitor
    // start anew; after the next polls it has everything again.
    let (monitor, polls, failures) = started(0);
    let handle = monitor.handle();
    assert_eq!(handle.proposal(state(40, vec![]), 38), Err(ProposalError::Missing));
    let contradicted = VotingState { eth1_data: (5, 999), ..state(5, vec![]) };
    assert_eq!(handle.proposal(contradicted, 3), Err(ProposalError::Contradicted));
    wait(&polls, 2);
    assert_eq!(failures.recv_timeout(Duration::from_secs(60)), Ok(Failure::StartedAnew));
    wait(&polls, 1);
    assert_eq!(handle.proposal(state(5, vec![]), 3).unwrap().eth1_data, (15, 16));
}

#[test]
fn a_node_that_panics_costs_freshness_and_a_monitor_that_stopped_says_so() {
    // Two calls panic; the third is answered.
    let (monitor, polls, failures) = started(2);
    let handle = monitor.handle();
    assert_eq!(handle.proposal(state(5, vec![]), 5).unwrap().eth1_data, (15, 16));
    end(monitor, polls);
    assert_eq!(failures.iter().collect::<Vec<_>>(), [Failure::NoAnswer; 2]);
    assert_eq!(handle.proposal(state(5, vec![]), 5), Err(ProposalError::Stopped));
}

#[test]
fn a_panic_over_a_proposal_costs_that_proposal_alone() {
    // Two deposits are due. The look at a candidate panics, then a proof, then nothing does.
    let orders = Orders::default();
    let (monitor, polls, failures) = ordered(0, &orders);
    wait(&polls, 2);
    orders.0.lock().unwrap().extend(["view", "prove"]);
    let handle = monitor.handle();
    for _ in 0..2 {
        assert_eq!(handle.proposal(state(5, vec![]), 3), Err(ProposalError::Fault));
    }
    assert_eq!(handle.proposal(state(5, vec![]), 3).unwrap().deposits, [500, 600]);
    end(monitor, polls);
    assert_eq!(failures.iter().count(), 0);
}

#[test]
fn deposits_that_a_panic_has_left_are_read_anew() {
    // The first change is cut short after one deposit, and so is the truncation that is to mend it.
    let orders = Orders::default();
    orders.0.lock().unwrap().extend(["append", "truncate"]);
    let (monitor, polls, failures) = ordered(0, &orders);
    // The first poll panics, the second reads everything, and the third shows that it is done.
    wait(&polls, 3);
    assert!(orders.is_done());
    let proposal = monitor.handle().proposal(state(5, vec![]), 3).unwrap();
    assert_eq!((proposal.eth1_data, proposal.deposits), ((15, 16), vec![500, 600]));
    end(monitor, polls);
    assert!(failures.iter().all(|failure| failure == Failure::StartedAnew));
}

#[test]
fn no_proposal_is_made_from_deposits_in_doubt() {
    // All has been read. The chain contradicts it, and no truncation succeeds, so the doubt stays.
    let orders = Orders::default();
    let (monitor, polls, _failures) = ordered(0, &orders);
    wait(&polls, 2);
    orders.0.lock().unwrap().extend(["truncate"; 1000]);
    let handle = monitor.handle();
    let contradicted = VotingState { eth1_data: (5, 999), ..state(5, vec![]) };
    assert_eq!(handle.proposal(contradicted, 3), Err(ProposalError::Contradicted));
    wait(&polls, 3);
    assert_eq!(handle.proposal(state(5, vec![]), 3), Err(ProposalError::Missing));
    let proposal = handle.proposal(state(5, vec![]), 5).unwrap();
    assert_eq!((proposal.eth1_data, proposal.deposits), ((5, 1), vec![]));
    assert!(!orders.is_done());
    end(monitor, polls);
}

#[test]
fn a_truncation_that_panics_costs_no_deposit_of_the_blocks_that_stay() {
    // The last eight blocks, four of which were followed, are replaced by nine, and the truncation
    // to those before them is cut short.
    let orders = Orders::default();
    let mut chain = Chain::new();
    (0..20).for_each(|_| chain.grow(1));
    let chain = Arc::new(Mutex::new(chain));
    let (monitor, polls, _failures) = following(&chain, 0, &orders);
    wait(&polls, 2);
    orders.0.lock().unwrap().push("truncate");
    chain.lock().unwrap().replace(8, &[1; 9]);
    // The monitor goes back a block at a poll at the slowest, and then reads everything anew.
    wait(&polls, 12);
    assert!(orders.is_done());
    let proposal = monitor.handle().proposal(state(14, vec![]), 11).unwrap();
    assert_eq!(proposal.deposits, chain.lock().unwrap().deposits_to(14)[11..]);
    end(monitor, polls);
}

#[test]
fn a_proposal_without_deposits_that_are_due_asks_for_no_proof() {
    // A proof would panic.
    let orders = Orders::default();
    let (monitor, polls, _failures) = ordered(0, &orders);
    wait(&polls, 2);
    orders.0.lock().unwrap().push("prove");
    assert_eq!(monitor.handle().proposal(state(5, vec![]), 5).unwrap().deposits, []);
    assert!(!orders.is_done());
    end(monitor, polls);
}
