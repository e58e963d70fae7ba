//! `blocksmith devnet`: a node, a signer and a validator, each a process of its own, on loopback.
//!
//! ```text
//!              devnet (this process): clock, kills and hangs, the table
//!                 │ starts           │ starts             │ starts
//!                 v                  v                    v
//!   slashing   signer <──sign── validator ──duties──>   node ──> store
//!   protection    │ log of           │ steps of duties    │ blocks, figures
//!   (SQLite)      │ signatures       │                    │
//!                 └──────────────────┴────────> devnet <──┘
//! ```
//!
//! **What is counted.** A duty is planned if the node lists it, or if the validator begins it; it
//! is sent if the validator says so, else missed. Participation is what the chain's blocks include
//! of the votes that the committees owe, over the slots that at least an epoch has followed. What
//! is slashable is counted three times, and an offence that several counts find is counted by each:
//! by the node's detector, which sees every message that is verified; by comparing the votes and
//! blocks of the chain pairwise, as EIP-3076 puts it; and by comparing likewise what the signer has
//! logged of each key, which includes signatures that nobody received. The log of a folder goes
//! back to the chain's first slot.
//!
//! With `--ptc` votes on payloads are counted, too: how many the node has accepted, how many it has
//! refused as second ones of a validator and slot, and at how many places its fork choice counts
//! them, of the blocks that are not final. Of the validator's side: how many votes were planned and
//! sent, how long before the deadline they left, and how many duties were done twice (none may be).

#[cfg(feature = "node")]
mod ledger;
#[cfg(feature = "node")]
mod processes;
#[cfg(feature = "node")]
mod report;
#[cfg(feature = "node")]
mod run;
#[cfg(feature = "node")]
mod signatures;
#[cfg(feature = "node")]
mod stand_ins;
#[cfg(feature = "node")]
mod votes;

use std::path::PathBuf;

use blocksmith_terminal::Report;
#[cfg(not(feature = "node"))]
use blocksmith_terminal::{Failure, Output};

/// A process of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Role {
    /// The one with the keys.
    Signer,
    /// The one that does the duties.
    Validator,
    /// The one with the chain.
    Node,
}

#[cfg(feature = "node")]
impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Signer => "signer",
            Self::Validator => "validator",
            Self::Node => "node",
        }
    }
}

/// A beacon node that misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StandIn {
    /// It accepts connections and is silent.
    Hangs,
    /// It has not seen the block of a slot when it is asked for votes on its payload.
    Lags,
}

#[derive(clap::Args)]
#[cfg_attr(not(feature = "node"), allow(dead_code, reason = "read with the feature alone"))]
pub(crate) struct Arguments {
    /// Stop after so many slots.
    #[arg(long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    slots: u64,
    /// Length of a slot.
    #[arg(long, value_name = "MS", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(200..=60_000))]
    slot_ms: u64,
    /// Validators, with the keys of the interop convention: EVERYBODY KNOWS THEM.
    #[arg(long, value_name = "N", default_value_t = 16,
        value_parser = clap::value_parser!(u64).range(8..=4096))]
    validators: u64,
    /// Kill this process (SIGKILL) every few slots, at a random moment, and start it again.
    #[arg(long, value_name = "PROCESS", value_delimiter = ',')]
    kill: Vec<Role>,
    /// Stop this process (SIGSTOP) every few slots, at a random moment, for a slot and a half: it
    /// hangs, and nobody is told. Without a name, the signer.
    #[arg(long, value_name = "PROCESS", value_delimiter = ',', num_args = 0..,
        default_missing_value = "signer")]
    hang: Vec<Role>,
    /// How many slots lie between two kills or hangs.
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::value_parser!(u64).range(2..=10_000))]
    every: u64,
    /// Chooses the moments.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Run the test fork "phase0 with a payload-timeliness committee", which no network runs:
    /// committees vote on payloads, which are there with their blocks.
    #[arg(long)]
    ptc: bool,
    /// Give the validator beacon nodes that misbehave, which it prefers to the node, in this order.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    stand_ins: Vec<StandIn>,
    /// Keep the chain, slashing protection and logs in this folder; run again with it, the network
    /// goes on. Without it they are in a temporary folder, which is removed in the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write the figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn reports_on_stdout(&self) -> bool {
        Report::goes_to_stdout(self.json.as_deref())
    }
}

/// Says which feature the command needs.
#[cfg(not(feature = "node"))]
pub(crate) fn run(_: &Arguments, _: Output) -> Result<u8, Failure> {
    Err(Failure::input(anyhow::anyhow!(
        "this program was built without the feature `node`, which the network needs: \
         `cargo run --release --features blocksmith-cli/node -- devnet`"
    )))
}

#[cfg(feature = "node")]
pub(crate) use run::run;
