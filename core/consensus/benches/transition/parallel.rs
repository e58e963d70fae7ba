//! A root whose work is shared with an idle thread: the time until the root is there, compared with
//! one thread alone. Here the wall clock counts, so a separate process takes the cores from
//! everybody else for a second, if the system lets it.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use blocksmith_consensus::{Root, RootJob};

use crate::chain::State;
use crate::clock::cpu_time;

const THREADS: usize = 2;
const ROUNDS: usize = 30;

/// The root, with the help of another thread.
fn shared_out(state: &State) -> Root {
    let jobs = state.root_jobs(THREADS);
    let next = AtomicUsize::new(0);
    // ORDERING: pairs with nothing; each number is drawn once, and the end of the scope orders
    // everything else.
    let draw = || jobs.get(next.fetch_add(1, Ordering::Relaxed));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(job) = draw() {
                RootJob::run(job)
            }
        });
        while let Some(job) = draw() {
            job.run();
        }
    });
    state.hash_tree_root()
}

/// A table of Markdown, by a process of its own that starts from `state`.
pub(crate) fn table(state: &[u8]) -> std::io::Result<String> {
    let path = std::env::temp_dir().join(format!("root-{}.ssz", std::process::id()));
    std::fs::write(&path, state)?;
    let output = run(&path);
    std::fs::remove_file(&path)?;
    let text = String::from_utf8_lossy(&output?.stdout).into_owned();
    print!("{text}");
    Ok(text)
}

/// Runs this program with priority over all others, or as one of them.
fn run(path: &Path) -> std::io::Result<Output> {
    let program = std::env::current_exe()?;
    let first = Command::new("chrt")
        .args(["--fifo", "1"])
        .arg(&program)
        .args(["--parallel", "first"])
        .arg(path)
        .output();
    match first {
        Ok(output) if output.status.success() => Ok(output),
        _ => Command::new(program).args(["--parallel", "shared"]).arg(path).output(),
    }
}

/// What the process of its own does: the minimum of several rounds each, in turn, as a table.
pub(crate) fn compare(path: &Path, cores: &str) -> std::io::Result<String> {
    let state = std::fs::read(path)?;
    let mut best = [[Duration::MAX; 2]; 2];
    for _ in 0..ROUNDS {
        for (root, best) in [State::hash_tree_root, shared_out].iter().zip(&mut best) {
            let state = State::from_ssz_bytes(&state).map_err(std::io::Error::other)?;
            let (wall, cpu) = (Instant::now(), cpu_time());
            std::hint::black_box(root(&state));
            let times = [wall.elapsed(), cpu_time().saturating_sub(cpu)];
            best.iter_mut().zip(times).for_each(|(best, time)| *best = time.min(*best));
        }
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut text = format!(
        "\n| root after decode, cores {cores} | ms until it is there | ms of CPU | of one \
         thread's time |\n|---|---|---|---|\n"
    );
    for (name, [wall, cpu]) in ["one thread", "and an idle one"].iter().zip(best) {
        let ratio = wall.as_secs_f64() / best[0][0].as_secs_f64();
        let _ = writeln!(text, "| {name} | {:.2} | {:.2} | {ratio:.2} |", ms(wall), ms(cpu));
    }
    Ok(text)
}
