//! The execution layer's node over JSON-RPC: blocks, and the logs of the deposit contract.
//!
//! **Contract.** [`JsonRpc`] is an [`ExecutionNode`] for
//! [`Eth1Service`]. It calls `eth_getBlockByNumber` and `eth_getLogs`
//! by HTTP. Each call ends within [`Options::timeout`], and reads at most
//! [`Options::max_response_bytes`]. An answer that is not what was asked for is an error that names
//! the field; nothing of it is used. Redirects are not followed.
//!
//! An `https` address is refused: the execution node is on the same machine or behind the
//! operator's own proxy.
//!
//! References: Ethereum JSON-RPC API (execution-apis); EIP-1474; deposit contract, `DepositEvent`;
//! Solidity contract ABI specification.

mod deposit_event;
#[cfg(test)]
mod tests;

use std::time::Duration;

use blocksmith::eth1::{
    BlockHeader, Candidates, DepositLog, Eth1Rules, Eth1Service, ExecutionNode, Limits, LogsOf,
};
use blocksmith_consensus::{
    ChainConfig, DepositCache, DepositData, MAX_DEPOSITS, Preset, Root,
    slots_per_eth1_voting_period,
};
use blocksmith_sync::Std;
use serde_json::{Value, json};
use thiserror::Error;

pub use deposit_event::{
    DEPOSIT_EVENT_TOPIC, DepositEventError, decode_deposit_event, encode_deposit_event,
};

/// Bytes of an error message of the node that are kept.
const MAX_MESSAGE: usize = 200;

/// How to reach the execution node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The node's address: `http://host:port/path`.
    pub url: String,
    /// The deposit contract's address: `0x` and 40 hexadecimal digits.
    pub deposit_contract: String,
    /// How long a call may take.
    pub timeout: Duration,
    /// How many bytes of an answer are read.
    pub max_response_bytes: u64,
}

impl Options {
    /// Returns options with ten seconds for a call and 16 MiB for an answer: room for about 12,000
    /// deposits.
    #[must_use]
    pub fn new(url: impl Into<String>, deposit_contract: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            deposit_contract: deposit_contract.into(),
            timeout: Duration::from_secs(10),
            max_response_bytes: 16 << 20,
        }
    }
}

/// Why an execution node cannot be asked, or gave no answer.
#[derive(Debug, Error)]
pub enum ExecutionError {
    /// The address is not of the form that is served.
    #[error("{url:?} is not an address of the form http://host:port/path")]
    Url {
        /// What was given.
        url: String,
    },
    /// The contract's address is not one.
    #[error("{address:?} is not a contract's address: 0x and 40 hexadecimal digits")]
    Contract {
        /// What was given.
        address: String,
    },
    /// The request failed: no connection, no answer in time, an answer that is too long or not 200.
    #[error("{method}: {error}")]
    Http {
        /// The method called.
        method: &'static str,
        /// What went wrong.
        error: Box<ureq::Error>,
    },
    /// The node answered with an error.
    #[error("{method}: error {code}: {message}")]
    Node {
        /// The method called.
        method: &'static str,
        /// The node's number of the error.
        code: i64,
        /// The node's words, at most 200 bytes of them.
        message: String,
    },
    /// The answer is not what was asked for.
    #[error("{method}: field {field}: {value}")]
    Field {
        /// The method called.
        method: &'static str,
        /// The field that is missing or cannot be read.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// A log is not a deposit.
    #[error("eth_getLogs: {0}")]
    Event(#[from] DepositEventError),
}

/// A monitor that follows an execution node over JSON-RPC.
pub type Monitor = Eth1Service<Std, JsonRpc, DepositCache>;

/// Starts a monitor by a chain's configuration. `first_block` is the first that may have a deposit.
/// It keeps the blocks that a voting period may vote for, looks for new ones twice in the time of a
/// block, and logs its failures. Does not wait for the node.
///
/// # Errors
/// [`ExecutionError::Url`], [`ExecutionError::Contract`].
///
/// # Panics
/// Never: no limit is zero.
pub fn follow<P: Preset>(
    options: Options,
    config: &ChainConfig,
    first_block: u64,
) -> Result<Monitor, ExecutionError> {
    /// Blocks that are kept, at most.
    const WINDOW: u64 = 1 << 16;
    let node = JsonRpc::new(options)?;
    let seconds = config.seconds_per_eth1_block.max(1);
    let distance = config.eth1_follow_distance;
    let slots_per_period = slots_per_eth1_voting_period::<P>();
    let period = slots_per_period.saturating_mul(config.slot_duration_ms.get()) / 1000;
    // Candidates are up to two distances older than the beginning of the period.
    let window = distance.saturating_mul(2).saturating_add(period / seconds).clamp(1, WINDOW);
    let pause_ms = seconds.saturating_mul(500);
    let limits = Limits {
        start: first_block,
        distance,
        window: window as usize,
        batch: 32,
        range: 1_000,
        pause_ms,
        longest_pause_ms: pause_ms.max(60_000),
    };
    let distance_seconds = seconds.saturating_mul(distance);
    let rules = Eth1Rules {
        candidates: Candidates { distance_seconds },
        slots_per_period,
        max_deposits: MAX_DEPOSITS as u64,
    };
    let failed = |failure| tracing::warn!(?failure, "the execution layer is not followed");
    let monitor = Eth1Service::start(limits, rules, node, DepositCache::default(), failed);
    Ok(monitor.expect("no limit is zero"))
}

/// A client of one execution node. It keeps its connection between calls.
#[derive(Debug)]
pub struct JsonRpc {
    agent: ureq::Agent,
    options: Options,
    next_id: u64,
}

const GET_BLOCK: &str = "eth_getBlockByNumber";
const GET_LOGS: &str = "eth_getLogs";

impl JsonRpc {
    /// Returns a client. Does not connect yet.
    ///
    /// # Errors
    /// [`ExecutionError::Url`], [`ExecutionError::Contract`].
    pub fn new(options: Options) -> Result<Self, ExecutionError> {
        if options.url.strip_prefix("http://").is_none_or(str::is_empty) {
            return Err(ExecutionError::Url { url: options.url });
        }
        let digits = options.deposit_contract.strip_prefix("0x");
        let is_address = |digits: &str| digits.len() == 40 && hex::decode(digits).is_ok();
        if !digits.is_some_and(is_address) {
            return Err(ExecutionError::Contract { address: options.deposit_contract });
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .max_redirects(0)
            .build();
        Ok(Self { agent: config.into(), options, next_id: 0 })
    }

    /// Calls a method and returns its result. Blocks for at most [`Options::timeout`].
    fn call(&mut self, method: &'static str, params: &Value) -> Result<Value, ExecutionError> {
        self.next_id += 1;
        let request =
            json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        let http = |error| ExecutionError::Http { method, error: Box::new(error) };
        let request = request.to_string();
        let post = self.agent.post(&self.options.url).content_type("application/json");
        let mut response = post.send(request.as_bytes()).map_err(http)?;
        let body = response.body_mut().with_config().limit(self.options.max_response_bytes);
        let body = body.read_to_vec().map_err(http)?;
        let mut answer: Value = serde_json::from_slice(&body).map_err(|error| {
            ExecutionError::Field { method, field: "body", value: error.to_string() }
        })?;
        if answer["id"] != self.next_id {
            return Err(field(method, "id", &answer["id"]));
        }
        let error = &answer["error"];
        if !error.is_null() {
            let message = error["message"].as_str().unwrap_or_default();
            let message = message.chars().take(MAX_MESSAGE / 4).collect();
            let code = error["code"].as_i64().unwrap_or_default();
            return Err(ExecutionError::Node { method, code, message });
        }
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(field(method, "result", &Value::Null)),
        }
    }

    fn block(&mut self, which: &str) -> Result<BlockHeader<Root>, ExecutionError> {
        let block = self.call(GET_BLOCK, &json!([which, false]))?;
        Ok(BlockHeader {
            number: quantity(GET_BLOCK, "number", &block)?,
            hash: root(GET_BLOCK, "hash", &block)?,
            parent: root(GET_BLOCK, "parentHash", &block)?,
            timestamp: quantity(GET_BLOCK, "timestamp", &block)?,
        })
    }

    /// Reads one log. Logs of other contracts and events were not asked for: they are errors.
    fn log(&self, log: &Value) -> Result<DepositLog<Root, DepositData>, ExecutionError> {
        let address = log["address"].as_str().unwrap_or_default();
        if !address.eq_ignore_ascii_case(&self.options.deposit_contract) {
            return Err(field(GET_LOGS, "address", &log["address"]));
        }
        let topic = log["topics"][0].as_str().unwrap_or_default();
        if !topic.eq_ignore_ascii_case(DEPOSIT_EVENT_TOPIC) {
            return Err(field(GET_LOGS, "topics", &log["topics"]));
        }
        // A log of a block that a re-organisation has removed.
        if log["removed"] == true {
            return Err(field(GET_LOGS, "removed", &log["removed"]));
        }
        let data = log["data"].as_str().and_then(|data| data.strip_prefix("0x"));
        let data = data.and_then(|data| hex::decode(data).ok());
        let data = data.ok_or_else(|| field(GET_LOGS, "data", &log["data"]))?;
        let (deposit, index) = decode_deposit_event(&data)?;
        Ok(DepositLog {
            number: quantity(GET_LOGS, "blockNumber", log)?,
            hash: root(GET_LOGS, "blockHash", log)?,
            index,
            deposit,
        })
    }
}

impl ExecutionNode for JsonRpc {
    type Hash = Root;
    type Deposit = DepositData;
    type Error = ExecutionError;

    fn latest(&mut self) -> Result<u64, ExecutionError> {
        Ok(self.block("latest")?.number)
    }

    fn header(&mut self, number: u64) -> Result<BlockHeader<Root>, ExecutionError> {
        self.block(&format!("{number:#x}"))
    }

    fn deposits(&mut self, from: u64, to: u64) -> Result<LogsOf<Self>, ExecutionError> {
        let filter = json!([{
            "address": self.options.deposit_contract,
            "topics": [DEPOSIT_EVENT_TOPIC],
            "fromBlock": format!("{from:#x}"),
            "toBlock": format!("{to:#x}"),
        }]);
        let logs = self.call(GET_LOGS, &filter)?;
        let logs = logs.as_array().ok_or_else(|| field(GET_LOGS, "result", &logs))?;
        logs.iter().map(|log| self.log(log)).collect()
    }
}

/// Returns an error that names a field and the beginning of what it holds.
fn field(method: &'static str, field: &'static str, value: &Value) -> ExecutionError {
    let value = value.to_string().chars().take(MAX_MESSAGE / 4).collect();
    ExecutionError::Field { method, field, value }
}

/// Reads a quantity: `0x` and a hexadecimal number.
fn quantity(
    method: &'static str,
    name: &'static str,
    object: &Value,
) -> Result<u64, ExecutionError> {
    let digits = object[name].as_str().and_then(|text| text.strip_prefix("0x"));
    // `from_str_radix` would take a sign.
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.ok_or_else(|| field(method, name, &object[name]))
}

/// Reads 32 bytes of data: `0x` and 64 hexadecimal digits.
fn root(method: &'static str, name: &'static str, object: &Value) -> Result<Root, ExecutionError> {
    let root = object[name].as_str().and_then(|text| text.parse().ok());
    root.ok_or_else(|| field(method, name, &object[name]))
}
