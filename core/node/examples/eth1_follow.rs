//! Follows a development chain of the execution layer with real deposits and a re-organisation.
//!
//! `eth1_follow URL`: the node at `URL` has unlocked accounts and the methods `evm_mine`,
//! `evm_snapshot` and `evm_revert` (ganache has). The example deploys a contract that logs what it
//! is sent under the deposit contract's topic, sends deposits, and lets the monitor follow. At each
//! stage a state with the monitor's vote takes every deposit, so each proof is verified. Then the
//! chain goes back to a snapshot, and other deposits follow. It prints a table and exits with 0
//! only if the monitor has exactly the deposits of the chain at each stage.

use std::error::Error;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use blocksmith::eth1::{
    Candidates, Eth1Handle, Eth1Rules, Eth1Service, Failure, Limits, Proposal, VotingState,
};
use blocksmith_consensus::{
    BeaconState, ChainConfig, Deposit, DepositCache, DepositData, Eth1Data, Minimal,
    PublicKeyBytes, Root, SignatureBytes, initialize_beacon_state_from_eth1, process_deposit,
};
use blocksmith_node::execution::{DEPOSIT_EVENT_TOPIC, JsonRpc, Options, encode_deposit_event};
use blocksmith_sync::Std;
use serde_json::{Value, json};

/// Blocks that the monitor stays behind the latest.
const DISTANCE: u64 = 4;
/// Longer than any age of a block: every block that is followed may be voted for.
const AGE: u64 = 1 << 30;
/// How long a stage may take.
const PATIENCE: Duration = Duration::from_secs(30);

type Handle = Eth1Handle<Std, JsonRpc, DepositCache>;
type Failed = Box<dyn Error>;

/// The chain, as the example writes it.
struct Chain {
    url: String,
    from: String,
    contract: String,
}

fn call(url: &str, method: &str, params: Value) -> Result<Value, Failed> {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut response =
        ureq::post(url).content_type("application/json").send(request.to_string().as_bytes())?;
    let mut answer: Value = serde_json::from_slice(&response.body_mut().read_to_vec()?)?;
    match answer["error"].take() {
        Value::Null => Ok(answer["result"].take()),
        error => Err(format!("{method}: {error}").into()),
    }
}

/// Returns code that deploys a contract of 44 bytes, which logs its input under the topic.
fn contract_code() -> String {
    let topic = &DEPOSIT_EVENT_TOPIC[2..];
    // CALLDATASIZE, 0, 0, CALLDATACOPY; topic, CALLDATASIZE, 0, LOG1; STOP
    let code = format!("366000600037{}{topic}366000a100", "7f");
    // Copies the 0x2c bytes behind these 0x0b to memory and returns them.
    format!("0x602c80600b6000396000f3{code}")
}

impl Chain {
    fn deploy(url: &str) -> Result<Self, Failed> {
        let accounts = call(url, "eth_accounts", json!([]))?;
        let from = accounts[0].as_str().ok_or("the node has no account")?.to_owned();
        let transaction = json!([{"from": from, "data": contract_code(), "gas": "0x100000"}]);
        let hash = call(url, "eth_sendTransaction", transaction)?;
        let receipt = call(url, "eth_getTransactionReceipt", json!([hash]))?;
        let contract = receipt["contractAddress"].as_str().ok_or("no contract")?.to_owned();
        Ok(Self { url: url.to_owned(), from, contract })
    }

    /// Writes deposits, one to a block.
    fn deposit(&self, deposits: &[DepositData], first: u64) -> Result<(), Failed> {
        for (index, deposit) in (first..).zip(deposits) {
            let data = format!("0x{}", hex::encode(encode_deposit_event(deposit, index)));
            let transaction =
                json!([{"from": self.from, "to": self.contract, "data": data, "gas": "0x100000"}]);
            call(&self.url, "eth_sendTransaction", transaction)?;
        }
        Ok(())
    }

    fn mine(&self, blocks: u64) -> Result<(), Failed> {
        (0..blocks).try_for_each(|_| call(&self.url, "evm_mine", json!([])).map(drop))
    }
}

fn deposit(number: u8) -> DepositData {
    DepositData {
        pubkey: PublicKeyBytes::new([number; 48]),
        withdrawal_credentials: Root::new([number; 32]),
        amount: 32_000_000_000,
        signature: SignatureBytes::ZERO,
    }
}

/// Asks for a vote of a chain that has voted for nothing yet.
fn vote(handle: &Handle) -> Result<Eth1Data, Failed> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(ask(handle, now, Eth1Data::default(), 0)?.eth1_data)
}

fn ask(
    handle: &Handle,
    now: u64,
    eth1_data: Eth1Data,
    index: u64,
) -> Result<Proposal<Eth1Data, Deposit>, Failed> {
    let deposit_count = eth1_data.deposit_count;
    let state =
        VotingState { period_start: now + AGE, eth1_data, deposit_count, votes: Vec::new() };
    Ok(handle.proposal(state, index)?)
}

/// Waits until the monitor votes for so many deposits with this root.
fn follows(handle: &Handle, told: &Receiver<Failure>, expected: &Eth1Data) -> Result<(), Failed> {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = vote(handle)?;
        if (found.deposit_count, found.deposit_root)
            == (expected.deposit_count, expected.deposit_root)
        {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("the monitor votes for {found:?}, expected {expected:?}").into());
        }
        // A failure is news as well.
        let _ = told.recv_timeout(Duration::from_millis(20));
    }
}

/// Lets a state that has taken in the vote take every deposit, in blocks of 16.
fn prove(handle: &Handle, view: &Eth1Data) -> Result<u64, Failed> {
    let config = ChainConfig::minimal();
    let mut state: BeaconState<Minimal> =
        initialize_beacon_state_from_eth1(Root::ZERO, 0, &[], &config)?;
    state.eth1_data = view.clone();
    while state.eth1_deposit_index < view.deposit_count {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let proposal = ask(handle, now, view.clone(), state.eth1_deposit_index)?;
        for deposit in &proposal.deposits {
            process_deposit(&mut state, deposit, false, &config)?;
        }
    }
    Ok(state.eth1_deposit_index)
}

fn main() -> Result<(), Failed> {
    let url = std::env::args().nth(1).ok_or("usage: eth1_follow URL")?;
    let chain = Chain::deploy(&url)?;
    let options = Options::new(&url, &chain.contract);
    let limits = Limits {
        start: 0,
        distance: DISTANCE,
        window: 32,
        batch: 8,
        range: 16,
        pause_ms: 20,
        longest_pause_ms: 200,
    };
    let rules = Eth1Rules {
        candidates: Candidates { distance_seconds: AGE },
        slots_per_period: 32,
        max_deposits: 16,
    };
    let (tell, told) = mpsc::channel();
    // The example listens to the end.
    let failed = move |failure| {
        let _ = tell.send(failure);
    };
    let node = JsonRpc::new(options)?;
    let service =
        Eth1Service::<Std, _, _>::start(limits, rules, node, DepositCache::default(), failed)?;
    let handle = service.handle();
    println!("stage                        deposits  proofs");
    let stage = |name: &str, deposits: &[DepositData]| -> Result<(), Failed> {
        let mut cache = DepositCache::default();
        deposits.iter().try_for_each(|deposit| cache.push(deposit.clone()))?;
        let count = cache.count();
        let view = Eth1Data {
            deposit_root: cache.root(count)?,
            deposit_count: count,
            block_hash: Root::ZERO,
        };
        follows(&handle, &told, &view)?;
        println!("{name:<28} {count:>8} {:>7}", prove(&handle, &view)?);
        Ok(())
    };

    let mut deposits: Vec<DepositData> = (0..20).map(deposit).collect();
    chain.deposit(&deposits, 0)?;
    chain.mine(DISTANCE)?;
    stage("twenty deposits", &deposits)?;
    let snapshot = call(&url, "evm_snapshot", json!([]))?;
    let lost: Vec<DepositData> = (20..25).map(deposit).collect();
    chain.deposit(&lost, 20)?;
    chain.mine(DISTANCE + 3)?;
    stage("five more", &[&deposits[..], &lost[..]].concat())?;
    call(&url, "evm_revert", json!([snapshot]))?;
    let other: Vec<DepositData> = (30..33).map(deposit).collect();
    chain.deposit(&other, 20)?;
    chain.mine(2 * DISTANCE + 6)?;
    deposits.extend(other);
    stage("re-organised, three others", &deposits)?;
    service.stop();
    Ok(())
}
