//! `blocksmith signer`: keys in a process of their own, behind the remote-signing API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use blocksmith_consensus::Root;
use blocksmith_terminal::{Failure, Output};

/// Keys of the interop convention, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Indices {
    first: u64,
    end: u64,
}

impl FromStr for Indices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        /// Keys that are derived at the start, at most.
        const MAX: u64 = 1 << 17;
        let ends = text.split_once("..").and_then(|(first, end)| {
            Some(Self { first: first.parse().ok()?, end: end.parse().ok()? })
        });
        let ends = ends.filter(|it| it.first < it.end && it.end - it.first <= MAX);
        ends.ok_or_else(|| format!("expected N..M, with N below M and at most {MAX} keys"))
    }
}

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = false)]
#[cfg_attr(not(feature = "node"), allow(dead_code, reason = "read with the feature alone"))]
pub(crate) struct Arguments {
    /// Database of slashing protection; it is made if it does not exist. One process at a time has
    /// it.
    #[arg(long, global = true, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Folder with keystores of EIP-2335: every file whose name ends in .json. Each is locked.
    #[arg(long, value_name = "DIR", requires = "passwords")]
    keystores: Option<PathBuf>,
    /// The keystores' passwords: a folder with NAME.txt for NAME.json, or a file with the one
    /// password of all.
    #[arg(long, value_name = "DIR|FILE", requires = "keystores")]
    passwords: Option<PathBuf>,
    /// Keys N to M - 1 of the interop convention. INSECURE: EVERYBODY KNOWS THEM.
    #[arg(long, value_name = "N..M")]
    interop: Option<Indices>,
    /// Append a JSON line to this file for each block and attestation that is signed, before its
    /// signature leaves. One signer at a time has the file.
    #[arg(long, value_name = "FILE")]
    log_signatures: Option<PathBuf>,
    /// The chain that is signed for. Without it, the first message or file decides.
    #[arg(long, value_name = "ROOT", value_parser = root)]
    genesis_validators_root: Option<Root>,
    /// Preset of the chain: how many slots an epoch has.
    #[arg(long, value_name = "P", value_enum, default_value_t = Preset::Mainnet)]
    preset: Preset,
    /// When the chain begins, in seconds since the Unix epoch. With it, nothing is signed that lies
    /// more than an epoch ahead of the clock; without it, whoever reaches the signer can bar a key
    /// by a vote for a far epoch.
    #[arg(long, value_name = "SECONDS", requires = "slot_ms")]
    genesis_time: Option<u64>,
    /// Length of a slot in milliseconds.
    #[arg(long, value_name = "MS", requires = "genesis_time",
        value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    slot_ms: Option<u64>,
    /// Where the remote-signing API is served; port 0 takes a free one. The address is printed on
    /// stdout.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9701")]
    listen: SocketAddr,
    /// Allow an address beyond loopback. Whoever reaches it can have anything signed that slashing
    /// protection allows.
    #[arg(long)]
    beyond_loopback: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Preset {
    Minimal,
    Mainnet,
}

#[derive(clap::Subcommand)]
#[cfg_attr(not(feature = "node"), allow(dead_code, reason = "read with the feature alone"))]
enum Command {
    /// Take in what was signed elsewhere, from a file of EIP-3076; never allows more than before.
    Import {
        /// The file, of version 5; or 4, as Lodestar 1.5 writes.
        file: PathBuf,
        /// Read the file as all that its writer has signed, so that what lies in its gaps may be
        /// signed. Wrong for a minimal file. Without this, nothing up to its newest messages is
        /// signed.
        #[arg(long)]
        complete: bool,
    },
    /// Write what was signed to a new file of EIP-3076, version 5.
    Export {
        /// The file; it must not exist.
        file: PathBuf,
        /// One block and one attestation of each key, which stand for all before them.
        #[arg(long)]
        minimal: bool,
    },
}

fn root(text: &str) -> Result<Root, String> {
    text.parse().map_err(|error: blocksmith_consensus::ParseHexError| error.to_string())
}

/// Says which feature the command needs.
#[cfg(not(feature = "node"))]
pub(crate) fn run(_: &Arguments, _: Output) -> Result<u8, Failure> {
    Err(Failure::input(anyhow::anyhow!(
        "this program was built without the feature `node`, which the signer needs: \
         `cargo run -p blocksmith-cli --features node -- signer`"
    )))
}

#[cfg(feature = "node")]
pub(crate) use with_feature::run;

#[cfg(feature = "node")]
mod with_feature {
    use std::collections::BTreeSet;
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::path::Path;
    use std::sync::mpsc;

    use anyhow::{Context, anyhow};
    use blocksmith::slashing_protection::{ImportError, Limits, Merge, export, import};
    use blocksmith::store::StoreError;
    use blocksmith_consensus::{Mainnet, Minimal};
    use blocksmith_node::interop;
    use blocksmith_node::signer::horizon::{Horizon, SystemClock};
    use blocksmith_node::signer::keystore::{LockedKey, load};
    use blocksmith_node::signer::log::SignatureLog;
    use blocksmith_node::signer::protection::SqliteStore;
    use blocksmith_node::signer::{Config, Parts, Signer, SignerError, interchange};
    use blocksmith_terminal::{EXIT_INTERRUPTED, EXIT_OK, SIGNALS, note};
    use signal_hook::iterator::Signals;

    use super::*;

    /// Bytes of a file of EIP-3076, at most: it is read whole.
    const MAX_INTERCHANGE: u64 = 512 << 20;

    /// What ends the signer.
    enum End {
        Signal(i32),
        Failure(StoreError),
    }

    pub(crate) fn run(arguments: &Arguments, out: Output) -> Result<u8, Failure> {
        let path = arguments.db.as_deref().ok_or_else(|| {
            Failure::input(anyhow!("--db FILE: nothing is signed without slashing protection"))
        })?;
        match &arguments.command {
            None => serve(arguments, path, out),
            Some(Command::Import { file, complete }) => take(path, file, *complete, out),
            Some(Command::Export { file, minimal }) => give(path, file, *minimal, out),
        }
    }

    /// A database that cannot be used is wrong input; a full disk is not.
    fn of_store(error: StoreError) -> Failure {
        match error {
            StoreError::Full { .. } => Failure::fault(error),
            error => Failure::input(error),
        }
    }

    fn of_import(error: ImportError) -> Failure {
        match error {
            ImportError::Store(error) => of_store(error),
            error => Failure::input(error),
        }
    }

    fn keys(arguments: &Arguments) -> Result<Vec<LockedKey>, Failure> {
        let mut keys = Vec::new();
        if let (Some(folder), Some(passwords)) = (&arguments.keystores, &arguments.passwords) {
            keys = load(folder, passwords).map_err(Failure::input)?;
        }
        if let Some(indices) = arguments.interop {
            note("insecure: the interop keys are known to everybody");
            let known: BTreeSet<_> = keys.iter().map(|key: &LockedKey| key.public_key).collect();
            for index in indices.first..indices.end {
                let key = LockedKey::without_file(interop::secret_key(index), "an interop key");
                // A keystore may hold an interop key.
                if !known.contains(&key.public_key) {
                    keys.push(key);
                }
            }
        }
        if keys.is_empty() {
            return Err(Failure::input(anyhow!("no keys: give --keystores or --interop")));
        }
        Ok(keys)
    }

    fn serve(arguments: &Arguments, path: &Path, out: Output) -> Result<u8, Failure> {
        let config = Config {
            listen: arguments.listen,
            beyond_loopback: arguments.beyond_loopback,
            slots_per_epoch: match arguments.preset {
                Preset::Minimal => <Minimal as blocksmith_consensus::Preset>::SLOTS_PER_EPOCH,
                Preset::Mainnet => <Mainnet as blocksmith_consensus::Preset>::SLOTS_PER_EPOCH,
            },
            limits: Limits::default(),
        };
        let is_new = !path.exists();
        let mut store = SqliteStore::open(path).map_err(of_store)?;
        if is_new {
            note(format_args!(
                "{}: a new database; what was signed elsewhere has to be imported first",
                path.display()
            ));
        }
        if let Some(root) = arguments.genesis_validators_root {
            let root = root.to_bytes();
            import(&mut store, &config.limits, &root, [], Merge::Raise).map_err(of_import)?;
        }
        let log = arguments.log_signatures.as_deref().map(SignatureLog::open);
        let log = log.transpose().map_err(of_store)?;
        let horizon = arguments.genesis_time.zip(arguments.slot_ms).map(|(genesis, slot_ms)| {
            Horizon::new(Box::new(SystemClock::default()), genesis, slot_ms)
        });
        if horizon.is_none() {
            note(
                "without --genesis-time, a vote for a far epoch is signed, and bars its key until then",
            );
        }
        let parts = Parts { log, horizon };
        let keys = keys(arguments)?;
        let count = keys.len();
        // The signals are heard before anybody is told that the signer runs.
        let mut signals = Signals::new(SIGNALS).map_err(Failure::fault)?;
        let (end, ends) = mpsc::channel();
        let failed = end.clone();
        // If nobody listens any more, the signer stops already.
        let tell = move |error| drop(failed.send(End::Failure(error)));
        let signer =
            Signer::start(config, keys, store, parts, tell).map_err(|error| match error {
                SignerError::Io { .. } => Failure::fault(error),
                error => Failure::input(error),
            })?;
        let handle = signals.handle();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if end.send(End::Signal(signal)).is_err() {
                    break;
                }
            }
        });
        out.line(format_args!("signing for {count} keys at http://{}", signer.address()))?;
        let ended = ends.recv().map_err(Failure::fault)?;
        drop(signer);
        handle.close();
        match ended {
            End::Signal(signal) => Ok(EXIT_INTERRUPTED + signal as u8),
            End::Failure(error) => Err(Failure::fault(error)),
        }
    }

    fn take(path: &Path, file: &Path, complete: bool, out: Output) -> Result<u8, Failure> {
        let bytes = read(file).map_err(Failure::input)?;
        let parsed = interchange::read(&bytes).with_context(|| file.display().to_string());
        let (genesis, entries) = parsed.map_err(Failure::input)?;
        let mut store = SqliteStore::open(path).map_err(of_store)?;
        let merge = if complete { Merge::Complete } else { Merge::Raise };
        let count = entries.len();
        let changed =
            import(&mut store, &Limits::default(), &genesis, entries, merge).map_err(of_import)?;
        out.line(format_args!(
            "{count} entries read; of {changed} keys more is known than before"
        ))?;
        Ok(EXIT_OK)
    }

    fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(file)
            .and_then(|file| file.take(MAX_INTERCHANGE + 1).read_to_end(&mut bytes))
            .with_context(|| file.display().to_string())?;
        if bytes.len() as u64 > MAX_INTERCHANGE {
            return Err(anyhow!("{}: longer than {MAX_INTERCHANGE} bytes", file.display()));
        }
        Ok(bytes)
    }

    fn give(path: &Path, file: &Path, minimal: bool, out: Output) -> Result<u8, Failure> {
        if !path.exists() {
            return Err(Failure::input(anyhow!("{}: no such database", path.display())));
        }
        let mut store = SqliteStore::open(path).map_err(of_store)?;
        let exported = export(&mut store, minimal).map_err(of_store)?;
        let exported = exported.ok_or_else(|| {
            Failure::input(anyhow!("{}: nothing was signed or imported yet", path.display()))
        })?;
        let text = interchange::write(&exported).map_err(Failure::fault)?;
        let mut target = File::create_new(file)
            .with_context(|| file.display().to_string())
            .map_err(Failure::opening)?;
        let written = target.write_all(text.as_bytes()).and_then(|()| target.sync_all());
        if let Err(error) = written {
            // Half a file would be read as less than was signed.
            let _ = fs::remove_file(file);
            return Err(Failure::writing(&file.display().to_string(), error));
        }
        out.line(format_args!("{} keys written to {}", exported.entries.len(), file.display()))?;
        Ok(EXIT_OK)
    }
}
