//! The processes of the network: started, killed, stopped and continued.
//!
//! **Invariants.**
//! - P1 A process ends when this one does, however this one ends: its standard input is a pipe from
//!   here. One that hangs by SIGSTOP is continued or killed first, if this process ends in order.
//! - P2 A process that is started again listens where it listened before, on the same files.
//! - P3 A killed process has been waited for before it is started again, so that it holds no lock.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::ledger::Line;
use super::stand_ins;
use super::{Role, StandIn};

/// How long a process may take to say where it listens.
const START: Duration = Duration::from_secs(30);
/// How long a process may take to end in order.
const END: Duration = Duration::from_secs(10);
/// Lines of the validator that wait, at most; then the validator waits.
const LINES: usize = 1 << 14;

/// What the processes are told.
pub(super) struct Setting {
    pub(super) folder: PathBuf,
    pub(super) genesis_time: u64,
    pub(super) slot_ms: u64,
    pub(super) validators: u64,
    /// Whether the chain is the test fork with a payload-timeliness committee.
    pub(super) ptc: bool,
    /// Beacon nodes that the validator prefers to the node.
    pub(super) stand_ins: Vec<StandIn>,
}

/// The processes.
pub(super) struct Processes {
    setting: Setting,
    program: PathBuf,
    running: Vec<(Role, Child)>,
    signer: Option<SocketAddr>,
    node: Option<SocketAddr>,
    /// Where the stand-ins listen, once the node has been started.
    stand_ins: Vec<SocketAddr>,
    lines: SyncSender<Line>,
}

impl Processes {
    /// Returns no process yet, and where the validator's lines come.
    pub(super) fn new(setting: Setting) -> anyhow::Result<(Self, Receiver<Line>)> {
        let program = std::env::current_exe().context("the path of this program")?;
        let (lines, received) = sync_channel(LINES);
        let running = Vec::new();
        let (signer, node, stand_ins) = (None, None, Vec::new());
        Ok((Self { setting, program, running, signer, node, stand_ins, lines }, received))
    }

    /// Returns where the node's API is.
    pub(super) fn node_url(&self) -> anyhow::Result<String> {
        let address = self.node.context("the node has not been started")?;
        Ok(format!("http://{address}"))
    }

    /// Starts a process, and waits until it says where it listens. The signer and the node come
    /// before the validator.
    pub(super) fn start(&mut self, role: Role) -> anyhow::Result<()> {
        let mut command = self.command(role)?;
        let log = self.log(role);
        let opened = OpenOptions::new().create(true).append(true).open(&log);
        let log = opened.with_context(|| log.display().to_string())?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let child = command.spawn().with_context(|| self.program.display().to_string())?;
        self.running.push((role, child));
        let child = &mut self.running.last_mut().context("it was pushed")?.1;
        let output = BufReader::new(child.stdout.take().context("its output is piped")?);
        if role == Role::Validator {
            let lines = self.lines.clone();
            std::thread::spawn(move || forward(output, &lines));
            return Ok(());
        }
        let address = address(output).with_context(|| {
            format!("the {} does not start: {}", role.word(), last_line(&self.log(role)))
        })?;
        match role {
            Role::Signer => self.signer = Some(address),
            _ if self.node.is_none() => {
                let start = |kind: &StandIn| stand_ins::start(*kind, address);
                let started: std::io::Result<_> =
                    self.setting.stand_ins.iter().map(start).collect();
                self.stand_ins = started.context("a beacon node that misbehaves")?;
                self.node = Some(address);
            }
            _ => self.node = Some(address),
        }
        Ok(())
    }

    /// Returns where the signer logs what it signs. A run that goes on in its folder goes on there.
    pub(super) fn signatures(&self) -> PathBuf {
        self.setting.folder.join("signatures.jsonl")
    }

    fn log(&self, role: Role) -> PathBuf {
        self.setting.folder.join(format!("{}.log", role.word()))
    }

    fn command(&self, role: Role) -> anyhow::Result<Command> {
        let Setting { folder, genesis_time, slot_ms, validators, ptc, .. } = &self.setting;
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut command = Command::new(&self.program);
        command.args([role.word(), "--while-stdin-is-open"]);
        match role {
            Role::Signer => {
                command.arg("--db").arg(folder.join("protection.sqlite"));
                command.arg("--log-signatures").arg(self.signatures());
                command.args(["--preset", "minimal", "--interop", &format!("0..{validators}")]);
                command.args(["--genesis-time", &genesis_time.to_string()]);
                command.args(["--slot-ms", &slot_ms.to_string()]);
                command.args(["--listen", &self.signer.unwrap_or(free).to_string()]);
            }
            Role::Node => {
                command.arg("--data").arg(folder.join("chain"));
                command.args(["--interop", &validators.to_string()]);
                command.args(["--genesis-time", &genesis_time.to_string()]);
                command.args(["--slot-ms", &slot_ms.to_string()]);
                command.args(["--listen", &self.node.unwrap_or(free).to_string()]);
                command.args(ptc.then_some("--ptc"));
            }
            Role::Validator => {
                let signer = self.signer.context("the signer has not been started")?;
                let stand_ins = self.stand_ins.iter().map(|address| format!("http://{address}"));
                let nodes: Vec<String> = stand_ins.chain([self.node_url()?]).collect();
                command.args(["--json", "--beacon-node", &nodes.join(",")]);
                command.args(["--signer", &format!("http://{signer}")]);
            }
        }
        Ok(command)
    }

    fn child(&mut self, role: Role) -> anyhow::Result<&mut Child> {
        let found = self.running.iter_mut().find(|(of, _)| *of == role);
        Ok(&mut found.with_context(|| format!("the {} does not run", role.word()))?.1)
    }

    /// Returns a process that has ended by itself, and how.
    pub(super) fn ended(&mut self) -> Option<String> {
        self.running.iter_mut().find_map(|(role, child)| {
            let status = child.try_wait().ok().flatten()?;
            let log = self.setting.folder.join(format!("{}.log", role.word()));
            Some(format!("the {} has ended: {status}: {}", role.word(), last_line(&log)))
        })
    }

    /// Kills a process (SIGKILL).
    pub(super) fn kill(&mut self, role: Role) -> anyhow::Result<()> {
        let child = self.child(role)?;
        child.kill()?;
        child.wait()?;
        self.running.retain(|(of, _)| *of != role);
        Ok(())
    }

    /// Stops a process where it stands (SIGSTOP), or has it go on (SIGCONT).
    pub(super) fn hang(&mut self, role: Role, hangs: bool) -> anyhow::Result<()> {
        let signal = if hangs { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(self.child(role)?), signal)?;
        Ok(())
    }

    /// Has a process end in order, and waits for that.
    ///
    /// # Errors
    /// If it does not end in time; it is killed then.
    pub(super) fn end(&mut self, role: Role) -> anyhow::Result<()> {
        let child = self.child(role)?;
        // P1: the end of its input.
        drop(child.stdin.take());
        let by = Instant::now() + END;
        while child.try_wait()?.is_none() {
            if Instant::now() >= by {
                self.kill(role)?;
                bail!("the {} did not end within {} s", role.word(), END.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.running.retain(|(of, _)| *of != role);
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the last line of a log, which may be gone with its folder when somebody reads this.
fn last_line(log: &Path) -> String {
    /// Bytes that are looked at.
    const TAIL: u64 = 4096;
    let read = || {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok::<_, std::io::Error>(tail)
    };
    let tail = read().unwrap_or_default();
    String::from_utf8_lossy(&tail).lines().last().unwrap_or("it says nothing").to_owned()
}

/// Hands the validator's lines on until it ends, or nobody takes them.
fn forward(output: impl BufRead, lines: &SyncSender<Line>) {
    for line in output.lines().map_while(Result::ok) {
        if let Ok(line) = serde_json::from_str(&line)
            && lines.send(line).is_err()
        {
            return;
        }
    }
}

/// Returns where a process listens: its first line ends with the address. The rest of its output is
/// read and dropped.
fn address(output: impl BufRead + Send + 'static) -> anyhow::Result<SocketAddr> {
    let (told, first) = channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // Only the first one is looked at.
            let _ = told.send(line);
        }
    });
    let line = first.recv_timeout(START).map_err(|error| match error {
        RecvTimeoutError::Timeout => anyhow!("it says nothing within {} s", START.as_secs()),
        RecvTimeoutError::Disconnected => anyhow!("it has ended"),
    })?;
    let (_, address) = line.split_once("http://").context("it does not say where it listens")?;
    address.parse().with_context(|| format!("where it listens: {address:?}"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_first_line_says_where_a_process_listens() {
        // A line of a node; no address; no line at all.
        let read = |text: &'static str| address(Cursor::new(text));
        let found = read("beacon API at http://127.0.0.1:5052\ngenesis 0x00 at 5\n").unwrap();
        assert_eq!(found, SocketAddr::from(([127, 0, 0, 1], 5052)));
        assert!(read("beacon API at http://somewhere\n").is_err());
        assert!(read("beacon API\n").is_err());
        assert!(read("").unwrap_err().to_string().contains("has ended"));
    }

    #[test]
    fn the_last_line_of_a_log_is_found_however_long_it_is() {
        // A log that begins with far more than is looked at; and none.
        let log = std::env::temp_dir().join(format!("blocksmith-log-{}", std::process::id()));
        std::fs::write(&log, format!("{}\nerror: the address is taken\n", "x".repeat(9_000)))
            .unwrap();
        assert_eq!(last_line(&log), "error: the address is taken");
        std::fs::remove_file(&log).unwrap();
        assert_eq!(last_line(&log), "it says nothing");
    }

    #[test]
    fn lines_that_are_not_about_duties_are_passed_over() {
        // Two lines, one of which is.
        let (lines, received) = sync_channel(4);
        let duty = r#"{"slot":9,"kind":"proposal","validator":7,"step":"sent"}"#;
        forward(Cursor::new(format!("waiting\n{duty}\n")), &lines);
        drop(lines);
        assert_eq!(received.iter().count(), 1);
    }
}
