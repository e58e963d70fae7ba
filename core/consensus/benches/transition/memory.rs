//! What a kept state costs: how much a process grows for each state at the beginning of an epoch
//! that it keeps beside the one an epoch before, committees and hashes included.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use blocksmith_consensus::{ChainConfig, Mainnet, Preset, prepare_epoch, process_slots};

use crate::chain::State;

/// States that are kept; the growth is divided by their number.
const STATES: u64 = 12;

/// Lighthouse 8.1.0 and Grandine, MiB per kept epoch state.
fn peers(large: bool) -> [f64; 2] {
    if large { [36.0, 20.0] } else { [1.9, 0.9] }
}

/// A table of Markdown, by a process of its own that starts from `state`.
pub(crate) fn table(state: &[u8], large: bool) -> std::io::Result<String> {
    let path = std::env::temp_dir().join(format!("transition-{}.ssz", std::process::id()));
    std::fs::write(&path, state)?;
    let output = Command::new(std::env::current_exe()?).arg("--kept").arg(&path).output();
    std::fs::remove_file(&path)?;
    let report = output?.stdout;
    let figures: Vec<f64> =
        String::from_utf8_lossy(&report).split_whitespace().flat_map(str::parse).collect();
    let [resident, held] = figures[..] else {
        return Err(std::io::Error::other("the process that keeps states gave no figures"));
    };
    let [lighthouse, grandine] = peers(large).map(|peer| resident / peer);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n| kept epoch state | MiB | ours / Lighthouse | ours / Grandine |\n|---|---|---|---|\n\
         | growth of the process | {resident:.2} | {lighthouse:.2} | {grandine:.2} |\n\
         | of it, the state's own tree | {held:.2} | | |"
    );
    print!("{text}");
    Ok(text)
}

/// What the process of its own does: keeps the states of some epochs without blocks, in which all
/// balances change, and prints MiB per state, resident and in trees.
pub(crate) fn keep(path: &Path, config: &ChainConfig) -> std::io::Result<()> {
    let mut state = State::from_ssz_bytes(&std::fs::read(path)?).map_err(std::io::Error::other)?;
    let mut advance = || {
        let epoch = state.slot / Mainnet::SLOTS_PER_EPOCH + 1;
        process_slots(&mut state, epoch * Mainnet::SLOTS_PER_EPOCH, config).expect("ahead");
        state.hash_tree_root();
        prepare_epoch(&state).expect("somebody is active");
        state.clone()
    };
    // The first ones leave room for temporary lists behind, which later ones use again.
    let mut kept = vec![advance(), advance()];
    let before = resident()?;
    kept.extend((0..STATES).map(|_| advance()));
    let grown = (resident()? - before) / STATES as f64;
    let held: usize = kept.windows(2).skip(1).map(|pair| pair[1].bytes_beside(&pair[0])).sum();
    println!("{grown} {}", held as f64 / STATES as f64 / f64::from(1 << 20));
    Ok(())
}

/// The process's resident memory in MiB.
fn resident() -> std::io::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = kib.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| std::io::Error::other("no VmRSS in the status"))
}
