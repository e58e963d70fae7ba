//! Kills a replay at random moments and lets it go on: `cargo run --release -p blocksmith-cli
//! --example kills -- 200 [SEED]`. Build the command first, in the same profile.
//!
//! It prints every divergence from an undisturbed replay, and how long the store takes to open. The
//! exit code is 0 if there is none, else 1. A moment is a number of commits, as the log tells them;
//! the process runs on while its log is read, so a kill comes anywhere in what it does.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use serde_json::Value;

use blocksmith::cold_db::{Bounds, Limits, recover};
use blocksmith::store::Store;
use blocksmith::{clearance, fork_choice, hot_db, quarantine};
use blocksmith_consensus::{ChainConfig, Minimal, Phase0, Root};
use blocksmith_node::store::RedbStore;

/// What one replay does: its exit, the commits that its log tells, and finality acknowledged.
struct Run {
    finished: bool,
    commits: usize,
    acknowledged: u64,
}

fn replay(command: &Path, data: &Path, pace: &str, kill_at: usize) -> anyhow::Result<Run> {
    let mut child = Command::new(command)
        .args(["replay", "--pace", pace, "--data"])
        .arg(data)
        .env("RUST_LOG", "blocksmith=debug")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{}: build it first", command.display()))?;
    let log = BufReader::new(child.stderr.take().context("its log is piped")?);
    let (mut commits, mut acknowledged) = (0, 0);
    for line in log.lines() {
        let line = line?;
        if let Some((_, rest)) = line.split_once("finality is durable epoch=") {
            acknowledged = rest.split(' ').next().unwrap_or_default().parse()?;
        }
        commits += usize::from(line.contains("committed writes="));
        if commits == kill_at {
            child.kill()?;
            break;
        }
    }
    Ok(Run { finished: child.wait()?.success(), commits, acknowledged })
}

/// Replays to the end. Returns what is printed, and the end of the chain.
fn finish(command: &Path, data: &Path, pace: &str) -> anyhow::Result<(String, Value)> {
    let report = data.with_extension("json");
    let mut run = Command::new(command);
    run.args(["replay", "--pace", pace, "--data"]).arg(data).arg("--json").arg(&report);
    let output = run.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = output.status.code();
    ensure!(code == Some(0), "exit {code:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(report)?)?;
    Ok((text, report["final"].clone()))
}

/// Opens the store as a restart does, and rebuilds the machines. Returns the time and the epoch
/// that is final.
fn open(data: &Path, genesis: &Root) -> anyhow::Result<(Duration, u64)> {
    let start = Instant::now();
    let phase0 = Arc::new(Phase0::<Minimal>::new(ChainConfig::minimal()));
    let mut store = RedbStore::open(data, phase0.clone(), genesis)?;
    let Some(loaded) = store.load()? else { return Ok((start.elapsed(), 0)) };
    let bounds = Bounds {
        hot_db: hot_db::Limits::default(),
        cold_db: Limits::default(),
        quarantine: quarantine::Limits::default(),
        clearance: clearance::Limits::default(),
        fork_choice: fork_choice::Config::new(8),
    };
    let recovered = recover(&*phase0, &bounds, loaded)?;
    Ok((start.elapsed(), recovered.resumed.finalized.epoch))
}

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let kills: usize = arguments.next().map_or(Ok(20), |count| count.parse())?;
    let mut random: u64 = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let example = std::env::current_exe()?;
    let folder = example.parent().and_then(Path::parent).context("a target folder")?;
    let command = folder.join(format!("blocksmith{}", std::env::consts::EXE_SUFFIX));
    let chain = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/chain/manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(chain)?)?;
    let genesis = manifest["genesis_block_root"].as_str().context("a genesis")?;
    let genesis: Root = genesis.parse().map_err(|error| anyhow!("genesis: {error:?}"))?;

    let work = std::env::temp_dir().join(format!("blocksmith-kills-{}", std::process::id()));
    std::fs::create_dir_all(&work)?;
    let mut undisturbed = Vec::new();
    for pace in ["lockstep", "flood"] {
        let data = work.join(pace);
        let whole = replay(&command, &data, pace, usize::MAX)?;
        ensure!(whole.finished, "the undisturbed replay fails");
        undisturbed.push((pace, whole.commits, finish(&command, &data, pace)?.1));
    }
    let (mut diverged, mut missed, mut opened) = (0, 0, Vec::new());
    for kill in 0..kills {
        let (pace, commits, end) = &undisturbed[kill % undisturbed.len()];
        // Knuth's generator; the high bits are the random ones.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = 1 + (random >> 33) as usize % commits;
        let data = work.join("killed");
        let run = replay(&command, &data, pace, at)?;
        missed += usize::from(run.finished);
        let (time, epoch) = open(&data, &genesis)?;
        opened.push(time);
        let mut complain = |what: String| {
            diverged += 1;
            println!("kill {kill} ({pace}, after {at} commits): {what}");
        };
        if epoch < run.acknowledged {
            complain(format!("epoch {} was acknowledged, {epoch} is final", run.acknowledged));
        }
        match finish(&command, &data, pace) {
            Ok((_, found)) if found == *end => {}
            Ok((text, found)) => complain(format!("ends at {found}, not {end}\n{text}")),
            Err(error) => complain(format!("{error:#}")),
        }
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::remove_dir_all(&work)?;
    opened.sort_unstable();
    let middle = opened.get(opened.len() / 2).copied().unwrap_or_default();
    let longest = opened.last().copied().unwrap_or_default();
    println!("{kills} kills, {missed} came after the end; {diverged} diverged");
    println!("the store opened in {middle:.1?} (median), {longest:.1?} (longest)");
    Ok(if diverged == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
