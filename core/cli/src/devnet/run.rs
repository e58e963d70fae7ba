//! The run of the network: the clock, the kills and hangs, and what is asked of the node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use blocksmith_consensus::{Minimal, Preset};
use blocksmith_node::beacon_client::BeaconClient;
use blocksmith_terminal::{EXIT_DIFFERS, EXIT_OK, Failure, Interrupt, Output, Report, note};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::ledger::{Kind, Ledger, Line};
use super::processes::{Processes, Setting};
use super::report::{Disturbances, Duties, Figures, PayloadDuties, PayloadVotes};
use super::signatures::Signatures;
use super::votes::Votes;
use super::{Arguments, Role};

const EPOCH: u64 = <Minimal as Preset>::SLOTS_PER_EPOCH;
/// Until genesis, in seconds: the processes start in less.
const UNTIL_GENESIS: u64 = 4;
/// How often the run looks at the clock.
const LOOK: Duration = Duration::from_millis(10);
/// A chain that rested for longer does not go on: nodes replay at most 8192 empty slots.
const MAX_REST_SLOTS: u64 = 8000;
/// How long the node may take to answer.
const PATIENCE: Duration = Duration::from_millis(400);
/// How long the verdicts under way may take once nobody submits any more.
const SETTLE: Duration = Duration::from_secs(5);

/// What a folder has to remember so that the network goes on there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Chain {
    genesis_time: u64,
    slot_ms: u64,
    validators: u64,
    /// Missing in folders of before: then it is phase0.
    #[serde(default)]
    ptc: bool,
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The folder of a run. One that was made for it goes with it.
struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    fn new(data: Option<&Path>) -> anyhow::Result<Self> {
        let name = || format!("blocksmith-devnet-{}-{}", std::process::id(), now().as_nanos());
        let path = data.map_or_else(|| std::env::temp_dir().join(name()), Path::to_owned);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, is_temporary: data.is_none() })
    }

    /// Returns the chain that is kept here, or begins one.
    fn chain(&self, slot_ms: u64, validators: u64, ptc: bool) -> anyhow::Result<Chain> {
        let file = self.path.join("devnet.json");
        let name = || file.display().to_string();
        if file.exists() {
            let text = std::fs::read(&file).with_context(name)?;
            let chain: Chain = serde_json::from_slice(&text).with_context(name)?;
            let wanted = Chain { genesis_time: chain.genesis_time, slot_ms, validators, ptc };
            anyhow::ensure!(
                chain == wanted && chain.genesis_time <= now().as_secs() + UNTIL_GENESIS,
                "{}: is of {} validators and slots of {} ms, from {} on, {} --ptc",
                name(),
                chain.validators,
                chain.slot_ms,
                chain.genesis_time,
                if chain.ptc { "with" } else { "without" }
            );
            return Ok(chain);
        }
        let genesis_time = now().as_secs() + UNTIL_GENESIS;
        let chain = Chain { genesis_time, slot_ms, validators, ptc };
        std::fs::write(&file, serde_json::to_vec(&chain)?).with_context(name)?;
        Ok(chain)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            note(format_args!("{}: {error}", self.path.display()));
        }
    }
}

/// Figures of the node that begin anew when it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    submitted: u64,
    verdicts: u64,
    offences: u64,
    payload_votes: u64,
    second_payload_votes: u64,
    /// Blocks that were voted on and are not final, the places that have voted on them, and those
    /// of the blocks on which a whole committee has.
    payload_blocks: u64,
    payload_places: u64,
    full_payload_blocks: u64,
}

impl Counted {
    /// Reads the node's figures; a family that is not there counts as none.
    fn read(text: &str) -> Self {
        let sum = |name: &str| {
            let of = |line: &str| {
                let rest = line.strip_prefix(name)?;
                let rest = rest.starts_with(['{', ' ']).then_some(rest)?;
                rest.rsplit(' ').next()?.parse::<f64>().ok()
            };
            text.lines().filter_map(of).sum::<f64>() as u64
        };
        Self {
            submitted: sum("blocksmith_submitted_total"),
            verdicts: sum("blocksmith_verdict_duration_seconds_count"),
            offences: sum("blocksmith_offences_total"),
            payload_votes: sum("blocksmith_payload_votes_total{outcome=\"accepted\"}"),
            second_payload_votes: sum("blocksmith_payload_votes_total{outcome=\"second\"}"),
            payload_blocks: sum("blocksmith_payload_blocks"),
            payload_places: sum("blocksmith_payload_places"),
            full_payload_blocks: sum("blocksmith_payload_full_blocks"),
        }
    }
}

/// When a process is disturbed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    role: Role,
    hangs: bool,
    /// In milliseconds since genesis.
    at_ms: u64,
}

/// Returns the disturbances of the slots from `first` to `last`, in their order: they take turns,
/// and the moment within a slot is random.
fn plans(arguments: &Arguments, first: u64, last: u64) -> Vec<Plan> {
    let turns: Vec<_> = arguments
        .kill
        .iter()
        .map(|role| (*role, false))
        .chain(arguments.hang.iter().map(|role| (*role, true)))
        .collect();
    let mut seed = arguments.seed;
    let slots = (first + arguments.every..=last).step_by(arguments.every as usize);
    let plan = |(slot, (role, hangs)): (u64, &(Role, bool))| {
        // A step of SplitMix64.
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let into = (mixed ^ (mixed >> 31)) % arguments.slot_ms;
        Plan { role: *role, hangs: *hangs, at_ms: slot * arguments.slot_ms + into }
    };
    slots.zip(turns.iter().cycle()).map(plan).collect()
}

/// A run under way.
struct Run {
    processes: Processes,
    lines: Receiver<Line>,
    client: BeaconClient,
    chain: Chain,
    first: u64,
    last: u64,
    plans: std::iter::Peekable<std::vec::IntoIter<Plan>>,
    /// Which process hangs, and until when in milliseconds since genesis.
    hanging: Option<(Role, u64)>,
    disturbed: BTreeMap<Role, (u64, u64)>,
    /// The process that was down or hung in a slot.
    down: BTreeMap<u64, &'static str>,
    ledger: Ledger,
    votes: Votes,
    /// Of the node that runs, and of those before it.
    counted: Counted,
    before: Counted,
}

impl Run {
    fn ms(&self) -> u64 {
        let since = now().saturating_sub(Duration::from_secs(self.chain.genesis_time));
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn slot(&self) -> u64 {
        self.ms() / self.chain.slot_ms
    }

    fn take_lines(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.ledger.line(line);
        }
    }

    /// Waits for a line of the validator, until the clock is to be looked at again.
    fn await_line(&mut self) {
        if let Ok(line) = self.lines.recv_timeout(LOOK) {
            self.ledger.line(line);
        }
    }

    /// Kills and hangs what is due, and has go on what has hung long enough.
    fn disturb(&mut self) -> anyhow::Result<()> {
        let ms = self.ms();
        if let Some((role, until)) = self.hanging
            && ms >= until
        {
            self.processes.hang(role, false)?;
            self.hanging = None;
        }
        let Some(plan) = self.plans.next_if(|plan| plan.at_ms <= ms) else { return Ok(()) };
        let Plan { role, hangs, .. } = plan;
        let (slot, slots) = (self.slot(), if hangs { 2 } else { 1 });
        self.down.extend((slot..=slot + slots).map(|slot| (slot, role.word())));
        let (kills, hung) = self.disturbed.entry(role).or_default();
        if hangs {
            *hung += 1;
            self.processes.hang(role, true)?;
            self.hanging = Some((role, ms + self.chain.slot_ms * 3 / 2));
            return Ok(());
        }
        *kills += 1;
        if role == Role::Node {
            let counted = std::mem::take(&mut self.counted);
            self.before.offences += counted.offences;
            self.before.payload_votes += counted.payload_votes;
            self.before.second_payload_votes += counted.second_payload_votes;
        }
        self.processes.kill(role)?;
        self.processes.start(role)
    }

    /// Asks the node who has duties in an epoch, from the slot after `slot` on.
    fn plan(&mut self, epoch: u64, slot: u64) -> Result<(), blocksmith_node::HttpError> {
        let all: Vec<u64> = (0..self.chain.validators).collect();
        let (from, to) = ((epoch * EPOCH).max(slot + 1), epoch * EPOCH + EPOCH - 1);
        let proposers = self.client.proposer_duties(epoch, PATIENCE)?.duties;
        let listed: Vec<_> =
            proposers.iter().map(|duty| (duty.slot, duty.validator_index)).collect();
        self.ledger.list(Kind::Proposal, from, to, &listed);
        let attesters = self.client.attester_duties(epoch, &all, PATIENCE)?.duties;
        let listed: Vec<_> =
            attesters.iter().map(|duty| (duty.slot, duty.validator_index)).collect();
        self.ledger.list(Kind::Attestation, from, to, &listed);
        let place = |duty: &blocksmith_node::beacon_client::AttesterDuty| {
            let place = (duty.slot, duty.committee_index, duty.validator_committee_index);
            (place, duty.validator_index)
        };
        let members: Vec<_> = attesters.iter().map(place).collect();
        self.votes.committees(from, to, &members);
        if self.chain.ptc {
            let voters = self.client.ptc_duties(epoch, &all, PATIENCE)?.duties;
            let listed: Vec<_> =
                voters.iter().map(|duty| (duty.slot, duty.validator_index)).collect();
            self.ledger.list(Kind::PayloadVote, from, to, &listed);
        }
        Ok(())
    }

    /// Asks the node once a slot. Returns the head's slot and the epochs that are justified and
    /// final; `None` if the node does not answer.
    fn ask(&mut self, slot: u64) -> Option<(u64, u64, u64)> {
        let answer = (|| {
            // The lists of a slot are asked for before it begins.
            self.plan((slot + 1) / EPOCH, slot)?;
            let head = self.client.syncing(PATIENCE)?.head_slot;
            let (justified, finalized) = self.client.finality(PATIENCE)?;
            self.counted = Counted::read(&self.client.metrics(PATIENCE)?);
            Ok::<_, blocksmith_node::HttpError>((head, justified, finalized))
        })();
        answer.ok()
    }

    /// Waits until nobody submits and every verdict is there, and returns how many are missing.
    fn lost(&mut self) -> anyhow::Result<u64> {
        let by = now() + SETTLE;
        loop {
            self.counted = Counted::read(&self.client.metrics(SETTLE)?);
            let lost = self.counted.submitted.saturating_sub(self.counted.verdicts);
            if lost == 0 || now() >= by {
                return Ok(lost);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Returns what the nodes of the run have counted of votes on payloads; `None` without `--ptc`.
    fn payload_votes(&self) -> Option<PayloadVotes> {
        let Counted {
            payload_blocks: blocks,
            payload_places: places,
            full_payload_blocks: full,
            ..
        } = self.counted;
        self.chain.ptc.then(|| PayloadVotes {
            accepted: self.before.payload_votes + self.counted.payload_votes,
            second: self.before.second_payload_votes + self.counted.second_payload_votes,
            blocks,
            places,
            full,
        })
    }

    /// Reads the blocks of the run from the chain.
    fn read_blocks(&mut self) -> anyhow::Result<()> {
        for slot in self.first..=self.last {
            match self.client.block(&slot.to_string(), SETTLE) {
                Ok(block) => self.votes.block(&block),
                Err(error) if error.status() == Some(404) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Prepares a run: the signer, the node, the validator.
fn begin(arguments: &Arguments, chain: Chain, folder: &Folder) -> anyhow::Result<Run> {
    let Chain { genesis_time, slot_ms, validators, ptc } = chain;
    let (folder, stand_ins) = (folder.path.clone(), arguments.stand_ins.clone());
    let setting = Setting { folder, genesis_time, slot_ms, validators, ptc, stand_ins };
    let (mut processes, lines) = Processes::new(setting)?;
    for role in [Role::Signer, Role::Node, Role::Validator] {
        processes.start(role)?;
    }
    let client = BeaconClient::new(&processes.node_url()?)?;
    let mut run = Run {
        processes,
        lines,
        client,
        chain,
        first: 0,
        last: 0,
        plans: Vec::new().into_iter().peekable(),
        hanging: None,
        disturbed: BTreeMap::new(),
        down: BTreeMap::new(),
        ledger: Ledger::new(0, 0),
        votes: Votes::default(),
        counted: Counted::default(),
        before: Counted::default(),
    };
    // A network that goes on has begun a slot already.
    let is_new = run.ms() == 0;
    run.first = if is_new { 1 } else { run.slot() + 2 };
    run.last = run.first + arguments.slots - 1;
    run.plans = plans(arguments, run.first, run.last).into_iter().peekable();
    run.ledger = Ledger::new(run.first, run.last);
    Ok(run)
}

/// Runs until the last slot is over. Returns what is final by then, or `None` if a signal came.
fn watch(run: &mut Run, interrupt: &Interrupt) -> anyhow::Result<Option<()>> {
    let bar = ProgressBar::new(run.last - run.first + 1);
    let style = "{bar:30} slot {pos} of {len}{msg}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()));
    let mut asked = None;
    while run.slot() <= run.last {
        if interrupt.signal().is_some() {
            return Ok(None);
        }
        run.take_lines();
        run.disturb()?;
        if let Some(ended) = run.processes.ended() {
            anyhow::bail!("{ended}");
        }
        // In the second half of each slot: then its block and its votes are there.
        let (ms, slot) = (run.ms(), run.slot());
        if ms % run.chain.slot_ms >= run.chain.slot_ms / 2 && asked != Some(slot) {
            asked = Some(slot);
            let known = run.ask(slot);
            let missed = run.ledger.missed(slot.saturating_sub(1), |_| None).len();
            let chain = known.map_or(", the node does not answer".to_owned(), |known| {
                format!(", head {}, justified {}, finalised {}", known.0, known.1, known.2)
            });
            bar.set_message(format!("{chain}, duties missed {missed}"));
        }
        bar.set_position((slot + 1).saturating_sub(run.first));
        run.await_line();
    }
    bar.finish_and_clear();
    if let Some((role, _)) = run.hanging.take() {
        run.processes.hang(role, false)?;
    }
    Ok(Some(()))
}

/// Ends the run, and returns its figures.
fn settle(run: &mut Run, slots: u64, finalized_before: u64) -> anyhow::Result<Figures> {
    // Lines that are on their way come before the end.
    run.processes.end(Role::Validator)?;
    run.take_lines();
    let verdicts_lost = run.lost()?;
    run.read_blocks()?;
    let (justified_epoch, finalized_epoch) = run.client.finality(SETTLE)?;
    let payload_votes = run.payload_votes();
    let payload_duties = run.chain.ptc.then(|| PayloadDuties::of(&run.ledger));
    run.processes.end(Role::Node)?;
    run.processes.end(Role::Signer)?;
    let signatures = Signatures::read(&run.processes.signatures())?;
    let counts: Vec<_> = Kind::ALL.map(|kind| run.ledger.counts(kind)).to_vec();
    let sent: u64 = counts.iter().map(|(_, sent)| sent).sum();
    anyhow::ensure!(sent == 0 || !signatures.is_empty(), "the signer has logged no signature");
    let missed = run.ledger.missed(run.last, |slot| run.down.get(&slot).copied());
    Ok(Figures {
        slots,
        justified_epoch,
        finalized_epoch,
        participation: run.votes.participation(run.first, run.last.saturating_sub(EPOCH)),
        duties: Duties { planned: counts.iter().map(|(planned, _)| planned).sum(), sent, missed },
        slashable: run.votes.slashable()
            + run.before.offences
            + run.counted.offences
            + signatures.slashable(),
        verdicts_lost,
        blocks: run.votes.blocks(),
        disturbances: run.disturbed.iter().map(|(role, of)| Disturbances::of(*role, *of)).collect(),
        payload_votes,
        payload_duties,
        finalized_before,
    })
}

pub(crate) fn run(arguments: &Arguments, out: Output) -> Result<u8, Failure> {
    let interrupt = Interrupt::listen().map_err(Failure::fault)?;
    let report = Report::maybe("--json", arguments.json.as_deref())?;
    let folder = Folder::new(arguments.data.as_deref()).map_err(Failure::opening)?;
    let chain = folder.chain(arguments.slot_ms, arguments.validators, arguments.ptc);
    let chain = chain.map_err(Failure::opening)?;
    let mut run = begin(arguments, chain, &folder).map_err(Failure::fault)?;
    let before = run.client.finality(SETTLE).map_err(Failure::fault)?.1;
    let head = run.client.syncing(SETTLE).map_err(Failure::fault)?.head_slot;
    if run.slot() > head + MAX_REST_SLOTS {
        return Err(Failure::input(anyhow::anyhow!(
            "{}: the chain has rested since slot {head}, for more than {MAX_REST_SLOTS} slots",
            folder.path.display()
        )));
    }
    let watched = watch(&mut run, &interrupt).map_err(Failure::fault)?;
    if watched.is_none() {
        return Ok(interrupt.exit_code().unwrap_or(EXIT_OK));
    }
    let figures = settle(&mut run, arguments.slots, before).map_err(Failure::fault)?;
    figures.print(&run.ledger, out)?;
    if let Some(report) = report {
        let text = serde_json::to_string(&figures).map_err(Failure::fault)?;
        report.finish(&text)?;
    }
    let faults = figures.faults();
    faults.iter().for_each(|fault| note(format_args!("error: {fault}")));
    Ok(if faults.is_empty() { EXIT_OK } else { EXIT_DIFFERS })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(text: &str) -> Arguments {
        Only::parse_from(text.split(' ')).arguments
    }

    #[test]
    fn disturbances_take_turns_and_lie_in_their_slots() {
        // Two processes to kill, and the signer, which hangs without being named.
        let arguments = arguments("devnet --kill node,validator --hang --every 4 --slot-ms 500");
        let plans = plans(&arguments, 1, 20);
        let seen: Vec<_> = plans.iter().map(|it| (it.role, it.hangs, it.at_ms / 500)).collect();
        let turns = [(Role::Node, false), (Role::Validator, false), (Role::Signer, true)];
        let expected: Vec<_> = turns
            .iter()
            .cycle()
            .zip([5, 9, 13, 17])
            .map(|((role, hangs), slot)| (*role, *hangs, slot))
            .collect();
        assert_eq!(seen, expected);
        let moments: std::collections::BTreeSet<_> =
            plans.iter().map(|plan| plan.at_ms % 500).collect();
        assert!(moments.len() > 1, "{moments:?}");
    }

    #[test]
    fn a_quiet_run_has_no_disturbance() {
        // No process is named.
        assert_eq!(plans(&arguments("devnet --every 2"), 1, 100), []);
    }

    #[test]
    fn the_nodes_figures_are_summed_over_their_labels() {
        // Two kinds; a family whose name begins alike; a comment.
        let text = "# HELP blocksmith_submitted_total x\n\
            blocksmith_submitted_total{kind=\"block\"} 3\n\
            blocksmith_submitted_total{kind=\"attestation\"} 4\n\
            blocksmith_submitted_total_more{kind=\"block\"} 9\n\
            blocksmith_verdict_duration_seconds_count{kind=\"block\"} 2\n\
            blocksmith_offences_total{kind=\"double_vote\"} 1\n\
            blocksmith_payload_votes_total{outcome=\"accepted\"} 5\n\
            blocksmith_payload_votes_total{outcome=\"second\"} 6\n\
            blocksmith_payload_votes_total{outcome=\"refused\"} 8\n\
            blocksmith_payload_blocks 2\n\
            blocksmith_payload_places 31\n\
            blocksmith_payload_full_blocks 1\n";
        let counted = Counted {
            submitted: 7,
            verdicts: 2,
            offences: 1,
            payload_votes: 5,
            second_payload_votes: 6,
            payload_blocks: 2,
            payload_places: 31,
            full_payload_blocks: 1,
        };
        assert_eq!(Counted::read(text), counted);
        assert_eq!(Counted::read(""), Counted::default());
    }

    #[test]
    fn a_folder_goes_on_with_its_own_chain_alone() {
        // Begun with 16 validators; asked for again with 16, and with 8; then a damaged file.
        let folder = Folder::new(None).unwrap();
        let chain = folder.chain(500, 16, false).unwrap();
        assert_eq!(folder.chain(500, 16, false).unwrap(), chain);
        assert!(folder.chain(500, 8, false).unwrap_err().to_string().contains("devnet.json"));
        assert!(folder.chain(500, 16, true).unwrap_err().to_string().contains("without --ptc"));
        std::fs::write(folder.path.join("devnet.json"), "{").unwrap();
        let error = folder.chain(500, 16, false).unwrap_err();
        assert!(error.to_string().contains("devnet.json"), "{error}");
        let path = folder.path.clone();
        drop(folder);
        assert!(!path.exists());
    }
}
