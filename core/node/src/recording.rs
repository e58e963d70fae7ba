//! A recorded chain: what arrived at a node, in order, with an independent oracle's verdicts.
//!
//! **Contract.** [`Recording::load`] reads `manifest.json`, the genesis files and every file that
//! the manifest names, and checks everything before it returns: the result is a complete recording,
//! or an error that names file, field and value. Nothing in it is trusted: paths stay inside the
//! folder, files are bounded in size, and every digest that the manifest gives is compared.
//!
//! | file | content |
//! |---|---|
//! | `manifest.json` | the events with the oracle's verdicts; see `tests/oracle/gen_chain.py` |
//! | `genesis.ssz`, `genesis_block.ssz` | the anchor's state and block |
//! | `blocks/*.ssz`, `attestations/*.ssz` | what arrived, byte for byte |

use std::fmt;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use thiserror::Error;

use blocksmith_consensus::Root;

/// Largest file of a recording, in bytes: a mainnet state of several hundred thousand validators.
pub const MAX_FILE_BYTES: u64 = 1 << 28;
/// Largest number of events in a recording.
pub const MAX_EVENTS: usize = 1 << 20;

/// Why a recording cannot be used.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// A file cannot be read.
    #[error("{file}: {reason}")]
    Read {
        /// The file, as the recording names it.
        file: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The manifest is not what it should be.
    #[error("{file}: {reason}")]
    Json {
        /// The file.
        file: String,
        /// Line, column and complaint.
        reason: serde_json::Error,
    },
    /// A field has a value that is not valid.
    #[error("{file}: {field}: {problem}")]
    Field {
        /// The file.
        file: String,
        /// The field.
        field: String,
        /// The value and what is wrong with it.
        problem: String,
    },
}

impl RecordingError {
    fn field(field: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::Field {
            file: MANIFEST.to_owned(),
            field: field.to_string(),
            problem: problem.to_string(),
        }
    }
}

const MANIFEST: &str = "manifest.json";

/// Where the files of a recording are.
pub trait Files {
    /// Returns the content of a file, at most [`MAX_FILE_BYTES`]. `path` is relative and has no
    /// `..`.
    ///
    /// # Errors
    /// If there is no such file, or it is too large.
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>>;
}

/// A folder.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let file = std::fs::File::open(self.0.join(path))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(std::io::Error::other(format!("larger than {MAX_FILE_BYTES} bytes")));
        }
        Ok(bytes)
    }
}

/// Files that are part of the program: path and content.
#[derive(Clone, Copy, Debug)]
pub struct Embedded(pub &'static [(&'static str, &'static [u8])]);

impl Files for Embedded {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(name, _)| *name == path);
        found.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// Which constants the chain was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresetName {
    /// The minimal preset.
    Minimal,
    /// The mainnet preset.
    Mainnet,
}

impl fmt::Display for PresetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minimal => "minimal",
            Self::Mainnet => "mainnet",
        })
    }
}

/// A checkpoint as the manifest writes it: `[epoch, root]`.
pub type RecordedCheckpoint = (u64, Root);

/// The oracle's view of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedView {
    /// The head.
    pub head: Root,
    /// The justified checkpoint.
    pub justified: RecordedCheckpoint,
    /// The finalised checkpoint.
    pub finalized: RecordedCheckpoint,
}

/// What arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A reading of the clock.
    Tick {
        /// The slot.
        slot: u64,
        /// Time since the slot began.
        into_slot: Duration,
    },
    /// A block, as encoded on the wire.
    Block(Vec<u8>),
    /// An attestation, as encoded on the wire.
    Attestation(Vec<u8>),
}

/// The oracle's answer to an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// `valid`, `invalid`, `pending` or `ignored`, right after the event.
    pub verdict: Option<String>,
    /// The reason, in one word.
    pub reason: Option<String>,
    /// What happened to a pending item in the end; absent if it was never resolved.
    pub final_verdict: Option<String>,
    /// The reason for that, in one word.
    pub final_reason: Option<String>,
    /// For a valid block: root of the state after it.
    pub post_state_root: Option<Root>,
    /// The chain after the event, under the current fork choice rules.
    pub view: Option<RecordedView>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What arrived.
    pub arrival: Arrival,
    /// A label for people.
    pub label: String,
    /// What the oracle says about it.
    pub expected: Expected,
}

/// How many offences the oracle put on record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offences {
    /// Validators that double-voted.
    pub double_voters: usize,
    /// Validators that cast surrounding votes.
    pub surround_voters: usize,
    /// Proposers that signed two blocks for a slot.
    pub equivocations: usize,
}

/// A recorded chain; see the module documentation.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Which constants it was made with.
    pub preset: PresetName,
    /// The anchor's state, encoded.
    pub genesis: Vec<u8>,
    /// The root that the anchor's state must have.
    pub genesis_state_root: Root,
    /// Root of the anchor block.
    pub genesis_block_root: Root,
    /// What arrived, in order.
    pub events: Vec<Event>,
    /// Head at the end.
    pub final_head: Root,
    /// State root of that head.
    pub final_state_root: Root,
    /// Finalised checkpoint in that head's state.
    pub final_finalized: RecordedCheckpoint,
    /// Offences on record.
    pub offences: Offences,
}

#[derive(Deserialize)]
struct Manifest {
    spec: String,
    genesis_time: u64,
    genesis_state_root: Text<Root>,
    genesis_block_root: Text<Root>,
    final_head: Text<Root>,
    final_state_root: Text<Root>,
    final_finalized: (u64, Text<Root>),
    #[serde(default)]
    slashings: Vec<Slashing>,
    events: Vec<RawEvent>,
}

#[derive(Deserialize)]
struct Slashing {
    kind: String,
    #[serde(default)]
    validators: Vec<u64>,
}

#[derive(Deserialize)]
struct RawView {
    head: Text<Root>,
    justified: (u64, Text<Root>),
    finalized: (u64, Text<Root>),
}

#[derive(Deserialize)]
struct RawEvent {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    label: String,
    file: Option<String>,
    sha256: Option<String>,
    time: Option<u64>,
    slot: Option<u64>,
    verdict: Option<String>,
    reason: Option<String>,
    final_verdict: Option<String>,
    final_reason: Option<String>,
    post_state_root: Option<Text<Root>>,
    fork_choice: Option<String>,
    after_v1_5_0: Option<RawView>,
}

/// A value that is written as a string.
struct Text<T>(T);

impl<'de, T> Deserialize<'de> for Text<T>
where
    T: std::str::FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| {
            serde::de::Error::custom(format_args!("`{}`: {error}", text.escape_debug()))
        })
    }
}

impl Recording {
    /// Reads and checks a recording.
    ///
    /// # Errors
    /// The first problem, with file, field and value.
    pub fn load(files: &dyn Files) -> Result<Self, RecordingError> {
        let manifest: Manifest = json(files, MANIFEST)?;
        let preset = preset(&manifest.spec)?;
        if manifest.events.len() > MAX_EVENTS {
            let problem = format!("{} events, at most {MAX_EVENTS}", manifest.events.len());
            return Err(RecordingError::field("events", problem));
        }
        let genesis = read(files, "genesis.ssz")?;
        let clock = Clock { genesis_time: manifest.genesis_time, preset };
        let events = manifest.events.into_iter().enumerate();
        let events = events
            .map(|(index, raw)| event(files, clock, index, raw))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            preset,
            genesis,
            genesis_state_root: manifest.genesis_state_root.0,
            genesis_block_root: manifest.genesis_block_root.0,
            events,
            final_head: manifest.final_head.0,
            final_state_root: manifest.final_state_root.0,
            final_finalized: (manifest.final_finalized.0, manifest.final_finalized.1.0),
            offences: offences(&manifest.slashings),
        })
    }
}

#[derive(Clone, Copy)]
struct Clock {
    genesis_time: u64,
    preset: PresetName,
}

impl Clock {
    fn seconds_per_slot(self) -> u64 {
        match self.preset {
            PresetName::Minimal => 6,
            PresetName::Mainnet => 12,
        }
    }
}

fn preset(spec: &str) -> Result<PresetName, RecordingError> {
    match spec.rsplit('.').next() {
        Some("minimal") => Ok(PresetName::Minimal),
        Some("mainnet") => Ok(PresetName::Mainnet),
        _ => {
            let problem =
                format!("`{}` ends in neither .minimal nor .mainnet", spec.escape_debug());
            Err(RecordingError::field("spec", problem))
        }
    }
}

fn offences(slashings: &[Slashing]) -> Offences {
    let mut offences = Offences::default();
    for slashing in slashings {
        match slashing.kind.as_str() {
            "attester_double" => offences.double_voters += slashing.validators.len(),
            "attester_surround" => offences.surround_voters += slashing.validators.len(),
            "proposer" => offences.equivocations += slashing.validators.len(),
            _ => {}
        }
    }
    offences
}

fn event(
    files: &dyn Files,
    clock: Clock,
    index: usize,
    raw: RawEvent,
) -> Result<Event, RecordingError> {
    let name = |field: &str| format!("events[{index}].{field}");
    let arrival = match raw.kind.as_str() {
        "tick" => tick(clock, index, &raw)?,
        "block" => Arrival::Block(item(files, index, &raw)?),
        "attestation" => Arrival::Attestation(item(files, index, &raw)?),
        other => {
            let problem = format!("`{}` is no kind of event", other.escape_debug());
            return Err(RecordingError::field(name("type"), problem));
        }
    };
    // The recording has only the final answer for an attestation.
    let applied = raw.fork_choice.map(|word| match word.as_str() {
        "applied" => ("valid".to_owned(), "ok".to_owned()),
        _ => ("invalid".to_owned(), word),
    });
    let (final_verdict, final_reason) = match applied {
        Some((verdict, reason)) => (Some(verdict), Some(reason)),
        None => (raw.final_verdict, raw.final_reason),
    };
    let view = raw.after_v1_5_0.map(|view| RecordedView {
        head: view.head.0,
        justified: (view.justified.0, view.justified.1.0),
        finalized: (view.finalized.0, view.finalized.1.0),
    });
    let expected = Expected {
        verdict: raw.verdict,
        reason: raw.reason,
        final_verdict,
        final_reason,
        post_state_root: raw.post_state_root.map(|root| root.0),
        view,
    };
    Ok(Event { arrival, label: raw.label, expected })
}

fn tick(clock: Clock, index: usize, raw: &RawEvent) -> Result<Arrival, RecordingError> {
    let missing = |field| RecordingError::field(format!("events[{index}].{field}"), "is missing");
    let slot = raw.slot.ok_or_else(|| missing("slot"))?;
    let time = raw.time.ok_or_else(|| missing("time"))?;
    let since_genesis = time.checked_sub(clock.genesis_time).ok_or_else(|| {
        RecordingError::field(format!("events[{index}].time"), format!("{time} is before genesis"))
    })?;
    if since_genesis / clock.seconds_per_slot() != slot {
        let problem = format!("{time} does not lie in slot {slot}");
        return Err(RecordingError::field(format!("events[{index}].time"), problem));
    }
    let into_slot = Duration::from_secs(since_genesis % clock.seconds_per_slot());
    Ok(Arrival::Tick { slot, into_slot })
}

/// Reads an item's file and compares its digest, where the manifest gives one.
fn item(files: &dyn Files, index: usize, raw: &RawEvent) -> Result<Vec<u8>, RecordingError> {
    let field = format!("events[{index}].file");
    let Some(path) = &raw.file else {
        return Err(RecordingError::field(field, "is missing"));
    };
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || path.is_empty() {
        let problem = format!("`{}` leads out of the folder", path.escape_debug());
        return Err(RecordingError::field(field, problem));
    }
    let bytes = files
        .read(path)
        .map_err(|reason| RecordingError::field(field, format_args!("{path}: {reason}")))?;
    let digest = hex::encode(Sha256::digest(&bytes));
    match &raw.sha256 {
        Some(recorded) if *recorded != digest => Err(RecordingError::Field {
            file: path.clone(),
            field: "sha256".to_owned(),
            problem: format!(
                "{digest} ({} bytes), but {MANIFEST} events[{index}].sha256 says {}",
                bytes.len(),
                recorded.escape_debug()
            ),
        }),
        _ => Ok(bytes),
    }
}

fn read(files: &dyn Files, path: &str) -> Result<Vec<u8>, RecordingError> {
    files.read(path).map_err(|reason| RecordingError::Read { file: path.to_owned(), reason })
}

fn json<T: DeserializeOwned>(files: &dyn Files, path: &str) -> Result<T, RecordingError> {
    serde_json::from_slice(&read(files, path)?)
        .map_err(|reason| RecordingError::Json { file: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::{Embedded, Recording};

    fn problem(files: Embedded) -> String {
        Recording::load(&files).expect_err("the recording is broken").to_string()
    }

    #[test]
    fn a_missing_manifest_is_named() {
        // No file at all.
        assert!(problem(Embedded(&[])).starts_with("manifest.json: "));
    }

    #[test]
    fn a_manifest_that_is_not_json_gives_line_and_column() {
        // One stray character.
        let problem = problem(Embedded(&[("manifest.json", b"{\n!")]));
        assert!(problem.contains("line 2 column 1"), "{problem}");
    }
}
