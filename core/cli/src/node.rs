//! `blocksmith node`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use blocksmith_terminal::{Failure, Output};

/// When the chain begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At once.
    Now,
    /// So many seconds after the Unix epoch.
    At(u64),
}

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Now);
        }
        let seconds = text.parse();
        seconds
            .map(Self::At)
            .map_err(|_| "expected now, or seconds since the Unix epoch".to_owned())
    }
}

/// When the payloads of the test fork are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Payloads {
    /// With their blocks.
    WithBlock,
    /// When somebody says so.
    Apart,
}

#[derive(clap::Args)]
#[cfg_attr(not(feature = "node"), allow(dead_code, reason = "read with the feature alone"))]
pub(crate) struct Arguments {
    /// Validators at genesis. Their keys are those of the interop convention: EVERYBODY KNOWS THEM.
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::value_parser!(u64).range(1..=65536))]
    interop: u64,
    /// When the chain begins: now, or in seconds since the Unix epoch. It belongs to the chain's
    /// identity, so a restart with --data gives it as a number.
    #[arg(long, value_name = "TIME", default_value = "now")]
    genesis_time: Begin,
    /// Length of a slot.
    #[arg(long, value_name = "S", default_value_t = 6,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds_per_slot: u64,
    /// Length of a slot in milliseconds, where whole seconds do not do.
    #[arg(long, value_name = "MS", conflicts_with = "seconds_per_slot",
        value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    slot_ms: Option<u64>,
    /// Where the beacon API is served; port 0 takes a free one. The address is printed on stdout.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5052")]
    listen: SocketAddr,
    /// Keep in this folder what a restart needs. One process at a time may use the folder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write blocks that were produced or submitted to this folder, as SSZ: the first 4096.
    #[arg(long, value_name = "DIR")]
    ssz_dump: Option<PathBuf>,
    /// Take votes on the deposit contract, and deposits, from this node of the execution layer,
    /// over JSON-RPC: http://HOST:PORT/PATH. Without it, blocks repeat the vote of genesis.
    #[arg(long, value_name = "URL", requires = "deposit_contract")]
    execution: Option<String>,
    /// The deposit contract's address on the execution layer. The chain's genesis counts the
    /// interop validators' deposits as its first ones.
    #[arg(long, value_name = "ADDRESS", requires = "execution")]
    deposit_contract: Option<String>,
    /// The first block of the execution layer that may have a deposit.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "execution")]
    deposit_block: u64,
    /// Run the test fork "phase0 with a payload-timeliness committee", which no network runs:
    /// committees vote on payloads, over the routes of Gloas. Payloads are there with their blocks,
    /// or apart from them, when POST /blocksmith/v1/payloads/{block_root} says so.
    #[arg(long, value_name = "PAYLOADS", num_args = 0..=1, default_missing_value = "with-block")]
    ptc: Option<Payloads>,
    /// Write every step of the services' machines to this file, one line of JSON each;
    /// `blocksmith-check trace FILE` judges it. What the disk is too slow for is left out and
    /// counted, and the trace is then no pass.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// On SIGINT or SIGTERM, stop within about this many milliseconds and exit with 128 plus the
    /// signal's number (130, 143).
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    deadline: u64,
}

/// Says how to get a command that has it.
#[cfg(not(feature = "node"))]
pub(crate) fn run(_: &Arguments, _: Output) -> Result<u8, Failure> {
    Err(Failure::input(anyhow::anyhow!(
        "this build has no node: build it with `cargo build --release --features node`"
    )))
}

#[cfg(feature = "node")]
pub(crate) use serving::run;

#[cfg(feature = "node")]
mod serving {
    use std::mem::ManuallyDrop;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use blocksmith::Config;
    use blocksmith::store::StoreError;
    use blocksmith_consensus::{ChainConfig, Minimal};
    use blocksmith_node::api::{Eth1Votes, Loopback, Node, NodeError, Options, Parts, Time};
    use blocksmith_node::execution::{self, Monitor};
    use blocksmith_terminal::{EXIT_FAULT, Interrupt, note};

    use super::{Arguments, Begin, Failure, Output, Payloads};
    use crate::trace::Trace;

    /// How often the command looks for a signal.
    const LOOK: Duration = Duration::from_millis(50);

    fn options(arguments: &Arguments) -> Result<Options, Failure> {
        let mut config = ChainConfig::minimal();
        let slot_ms = arguments.slot_ms.unwrap_or(arguments.seconds_per_slot * 1000);
        config.set("SLOT_DURATION_MS", &slot_ms.to_string()).map_err(Failure::input)?;
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let genesis_time = match arguments.genesis_time {
            Begin::Now => now(),
            Begin::At(seconds) => seconds,
        };
        Ok(Options {
            config,
            validators: arguments.interop,
            genesis_time,
            listen: arguments.listen,
            data: arguments.data.clone(),
            ssz_dump: arguments.ssz_dump.clone(),
            services: Config::default(),
        })
    }

    /// Starts the monitor of the execution layer, if there is one.
    fn monitor(arguments: &Arguments, config: &ChainConfig) -> Result<Option<Monitor>, Failure> {
        let Some((url, contract)) =
            arguments.execution.as_ref().zip(arguments.deposit_contract.as_ref())
        else {
            return Ok(None);
        };
        let options = execution::Options::new(url, contract);
        let monitor = execution::follow::<Minimal>(options, config, arguments.deposit_block);
        monitor.map(Some).map_err(Failure::input)
    }

    /// Tells wrong input from a fault of the machine.
    fn failure(error: NodeError) -> Failure {
        match error {
            NodeError::Store(StoreError::Full { .. } | StoreError::Io { .. })
            | NodeError::Genesis(_) => Failure::fault(error),
            NodeError::Dump { path, error } => {
                Failure::opening(anyhow::Error::from(error).context(path.display().to_string()))
            }
            error => Failure::input(error),
        }
    }

    /// Runs a node until a signal comes, or until the services stop by themselves.
    pub(crate) fn run(arguments: &Arguments, out: Output) -> Result<u8, Failure> {
        let interrupt = Interrupt::listen().map_err(Failure::fault)?;
        let options = options(arguments)?;
        let genesis_time = options.genesis_time;
        if !options.listen.ip().is_loopback() {
            note(format_args!(
                "warning: the API can be reached from elsewhere, and trusts everybody"
            ));
        }
        // It ends with the process. To stop it would be to wait for the call that is under way,
        // which may take longer than the deadline, and nothing is lost with it.
        let monitor = monitor(arguments, &options.config)?.map(ManuallyDrop::new);
        let eth1 = monitor.as_ref().map(|monitor| Arc::new(monitor.handle()) as Arc<dyn Eth1Votes>);
        let payload_committee = arguments.ptc.map(|payloads| match payloads {
            Payloads::WithBlock => blocksmith_consensus::Payloads::WithBlock,
            Payloads::Apart => blocksmith_consensus::Payloads::Apart,
        });
        let parts = Parts { eth1, payload_committee, ..Parts::default() };
        let trace = Trace::begin(arguments.trace.as_deref())?;
        let node = Node::<Minimal>::start_with(options, Time::System, Arc::new(Loopback), parts);
        let node = node.map_err(failure)?;
        out.line(format_args!("beacon API at http://{}", node.address()))?;
        out.line(format_args!("genesis {} at {genesis_time}", node.genesis_root()))?;
        let mut chain = node.client().watch_chain();
        while interrupt.signal().is_none() && !node.is_stopped() {
            // Either the chain has moved, or it is time to look again.
            let _ = chain.changed_timeout(LOOK);
        }
        let report = node.stop(Duration::from_millis(arguments.deadline));
        trace.map_or(Ok(()), Trace::finish)?;
        if !report.late.is_empty() {
            note(format_args!("threads that had not ended: {}", report.late.join(", ")));
        }
        if let Some(cause) = report.cause {
            note(format_args!("error: the services stopped by themselves: {cause:?}"));
        }
        Ok(interrupt.exit_code().unwrap_or(EXIT_FAULT))
    }
}
