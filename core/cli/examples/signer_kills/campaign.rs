//! Rounds of a signer that is killed while clients ask it for messages that contradict each other.
//!
//! **Contract.** A round starts `blocksmith signer` on the one database, lets all clients ask at
//! once, kills it with SIGKILL after a random number of answers, and exports the database. Clients
//! run on until their connections end, so a kill comes anywhere in what the signer does. The
//! windows of slots and epochs of successive rounds overlap; within one, a key keeps all its
//! records.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{Client, Random};
use super::judge::{Message, Signed, lost, offences};

/// An error that says what has failed.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Slots and epochs of a round: fewer than the records that a key keeps.
const WINDOW: u64 = 12;
/// By how much the window moves with each round.
const STEP: u64 = 3;

/// How a campaign is run.
pub(crate) struct Plan<'a> {
    /// The command `blocksmith`.
    pub(crate) command: &'a Path,
    /// An empty folder.
    pub(crate) folder: &'a Path,
    /// Kills.
    pub(crate) kills: usize,
    /// Interop keys.
    pub(crate) keys: u64,
    /// Clients at once.
    pub(crate) clients: u64,
    /// Answers after which a kill may come, at most.
    pub(crate) answers: u64,
    /// The beginning of the random numbers.
    pub(crate) seed: u64,
}

/// What came of a campaign.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Signatures that have reached a client, each once.
    pub(crate) signed: Vec<Signed>,
    /// Requests that were answered, in all.
    pub(crate) answered: usize,
    /// Requests that slashing protection has refused.
    pub(crate) refused: usize,
    /// Requests that were under way when the signer was killed.
    pub(crate) cut: usize,
    /// Answers that are neither a signature nor a refusal by slashing protection.
    pub(crate) strange: Vec<String>,
    /// How long the signer took from its start until it served.
    pub(crate) opened: Vec<Duration>,
    /// Signatures without a record in the export that follows their round.
    pub(crate) lost: Vec<String>,
    /// Pairs that are an offence.
    pub(crate) offences: Vec<String>,
}

impl Report {
    /// Whether nothing slashable has left, nothing was lost, and every answer was in order.
    pub(crate) fn is_good(&self) -> bool {
        self.lost.is_empty() && self.offences.is_empty() && self.strange.is_empty()
    }
}

/// A signer in a process of its own. It is killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    /// Held open, so that the signer may write to it.
    _out: BufReader<ChildStdout>,
    /// Where it serves.
    pub(crate) address: String,
}

impl Running {
    /// Starts a signer over the database in `folder`, and waits until it serves.
    pub(crate) fn start(command: &Path, folder: &Path, keys: u64) -> Result<Self, Failure> {
        let mut child = Command::new(command)
            .args(["signer", "--preset", "minimal", "--listen", "127.0.0.1:0", "--interop"])
            .arg(format!("0..{keys}"))
            .arg("--db")
            .arg(folder.join("protection.sqlite"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or("its output is piped")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let address = line.trim().split_once("at http://").map(|(_, address)| address.to_owned());
        let running = Self { child, _out: out, address: address.clone().unwrap_or_default() };
        address.map(|_| running).ok_or_else(|| format!("the signer does not open: {line:?}").into())
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub(crate) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Exports the database in `folder` as a file of EIP-3076, and returns it. The file's name must be
/// new.
pub(crate) fn export(command: &Path, folder: &Path, name: &str) -> Result<Value, Failure> {
    let file = folder.join(name);
    let mut run = Command::new(command);
    run.args(["signer", "export", "--db"]).arg(folder.join("protection.sqlite")).arg(&file);
    let output = run.output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    // Killed before anything was recorded.
    if error.contains("nothing was signed or imported yet") {
        return Ok(Value::Null);
    }
    if !output.status.success() {
        return Err(format!("export: {error}").into());
    }
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

/// What a client tells of one request.
enum Told {
    Answered(Signed, u16),
    Cut,
}

/// Asks for random messages until the connection ends.
fn ask(address: &str, keys: &[String], base: u64, mut random: Random, tell: &mpsc::Sender<Told>) {
    // The signer may have been killed before.
    let Ok(mut client) = Client::connect(address) else { return };
    loop {
        let key = &keys[random.below(keys.len() as u64) as usize];
        let target = base + random.below(WINDOW);
        let message = match random.below(2) {
            0 => Message::Block(target),
            _ => Message::Vote(target - 1 - random.below(4), target),
        };
        let told = match client.sign(key, message, random.below(3) as u8) {
            Ok((status, signature)) => {
                Told::Answered(Signed { key: key.clone(), message, signature }, status)
            }
            Err(_) => Told::Cut,
        };
        let is_over = matches!(told, Told::Cut);
        if tell.send(told).is_err() || is_over {
            return;
        }
    }
}

/// One round: returns the signatures that have left.
fn round(plan: &Plan<'_>, at: usize, report: &mut Report) -> Result<Vec<Signed>, Failure> {
    let mut random = Random(plan.seed ^ (at as u64) << 20);
    let start = Instant::now();
    let running = Running::start(plan.command, plan.folder, plan.keys)?;
    report.opened.push(start.elapsed());
    let keys = Client::connect(&running.address)?.keys()?;
    if keys.len() as u64 != plan.keys {
        return Err(format!("{} keys", keys.len()).into());
    }
    let (address, base) = (running.address.clone(), 8 + at as u64 * STEP);
    let kill_after = 1 + random.below(plan.answers);
    let told: Vec<Told> = thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        for _ in 0..plan.clients {
            let (address, keys, tell) = (&address, &keys, tell.clone());
            let own = Random(random.below(u64::MAX));
            scope.spawn(move || ask(address, keys, base, own, &tell));
        }
        drop(tell);
        let mut all: Vec<Told> = told.iter().take(kill_after as usize).collect();
        running.kill()?;
        all.extend(told);
        Ok::<_, Failure>(all)
    })?;
    let mut signed = Vec::new();
    for told in told {
        let Told::Answered(it, status) = told else {
            report.cut += 1;
            continue;
        };
        report.answered += 1;
        match status {
            200 => signed.push(it),
            412 => report.refused += 1,
            _ => report.strange.push(format!("{status}: {it}")),
        }
    }
    signed.sort();
    signed.dedup();
    Ok(signed)
}

/// Runs a campaign, and judges it.
///
/// # Errors
/// If the signer does not open, or its database cannot be exported.
pub(crate) fn run(plan: &Plan<'_>) -> Result<Report, Failure> {
    let mut report = Report::default();
    for at in 0..plan.kills {
        let signed = round(plan, at, &mut report).map_err(|error| format!("kill {at}: {error}"))?;
        let exported = export(plan.command, plan.folder, &format!("after-{at}.json"))?;
        report.lost.extend(lost(&signed, &exported).iter().map(|it| format!("kill {at}: {it}")));
        report.signed.extend(signed);
    }
    report.signed.sort();
    report.signed.dedup();
    report.offences = offences(&report.signed);
    Running::start(plan.command, plan.folder, plan.keys)?.kill()?;
    Ok(report)
}
