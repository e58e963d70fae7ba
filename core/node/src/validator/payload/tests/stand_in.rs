//! Beacon nodes that stand in for real ones: each answers the routes by a script, some badly.
//!
//! A stand-in has an answer for each request at a time of the slot, and a time that the answer
//! takes. A vote that one of them takes reaches all others at once, as gossip would have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use blocksmith_consensus::gloas::{PayloadAttestationData, PayloadAttestationMessage};
use blocksmith_consensus::{FromJson, Json, PublicKeyBytes, Root, Wire, decode_list};
use serde_json::Value;

use crate::beacon_client::{BeaconClient, HeadEvent};
use crate::http_client::{Body, Call, HttpError, Response};

/// The slot that is voted on, the third of epoch 2 with 8 slots an epoch.
pub(super) const SLOT: u64 = 18;
/// When in the slot the block comes, and its payload.
pub(super) const BLOCK_MS: u64 = 1_500;
pub(super) const PAYLOAD_MS: u64 = 4_000;
/// When a block that comes late does.
pub(super) const LATE_MS: u64 = 8_200;
/// Until when a node that is busy takes no votes.
pub(super) const BUSY_MS: u64 = 8_500;

pub(super) const fn root(byte: u8) -> Root {
    Root::new([byte; 32])
}

/// The branch that most nodes are on: its block, what its duties depend on, and who votes.
pub(super) const BRANCH: (Root, Root, [u64; 3]) = (root(0xaa), root(1), [1, 2, 3]);
/// Another branch, which has split off before the duties were fixed.
pub(super) const OTHER: (Root, Root, [u64; 3]) = (root(0xbb), root(2), [1, 2, 4]);

pub(super) fn key(validator: u64) -> PublicKeyBytes {
    PublicKeyBytes::new([u8::try_from(validator).unwrap_or(u8::MAX); 48])
}

/// What a stand-in does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stand {
    /// All that a node should.
    Honest,
    /// It accepts requests and is silent.
    Hangs,
    /// It has nothing of the slot, and says 204; votes on the slot it refuses.
    Lags,
    /// The same in the older form: 404.
    Lags404,
    /// The block comes to it at 8.2 s.
    Late,
    /// It takes votes and never says so.
    LosesAnswers,
    /// It refuses the first vote of each list, with `failures`.
    Refuses,
    /// It knows the path form of the data's route alone.
    PathForm,
    /// Its stream of events is closed.
    NoEvents,
    /// It answers in SSZ where it may.
    Ssz,
    /// It takes no SSZ: 415.
    JsonOnly,
    /// It takes no votes before 8.5 s, and says 503 at once.
    Busy,
    /// It answers after 300 ms, and each answer comes twice.
    SlowTwice,
    /// It fails: 500.
    Fails,
    /// Its data are of the slot before.
    WrongSlot,
    /// It is on another branch, with a block of its own in the slot.
    OtherBranch,
    /// Its lists carry the root and the duties of the other branch.
    WrongRoot,
    /// Every other list is of the other branch: A-B-A.
    Flips,
}

pub(super) const ALL: [Stand; 18] = [
    Stand::Honest,
    Stand::Hangs,
    Stand::Lags,
    Stand::Lags404,
    Stand::Late,
    Stand::LosesAnswers,
    Stand::Refuses,
    Stand::PathForm,
    Stand::NoEvents,
    Stand::Ssz,
    Stand::JsonOnly,
    Stand::Busy,
    Stand::SlowTwice,
    Stand::Fails,
    Stand::WrongSlot,
    Stand::OtherBranch,
    Stand::WrongRoot,
    Stand::Flips,
];

impl Stand {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Hangs => "hangs",
            Self::Lags => "lags",
            Self::Lags404 => "lags-404",
            Self::Late => "late-block",
            Self::LosesAnswers => "loses-answers",
            Self::Refuses => "refuses-one",
            Self::PathForm => "path-form",
            Self::NoEvents => "no-events",
            Self::Ssz => "ssz",
            Self::JsonOnly => "json-only",
            Self::Busy => "busy",
            Self::SlowTwice => "slow-twice",
            Self::Fails => "fails",
            Self::WrongSlot => "wrong-slot",
            Self::OtherBranch => "other-branch",
            Self::WrongRoot => "wrong-root",
            Self::Flips => "a-b-a",
        }
    }

    /// Whether what it says of the branches is not what most nodes say.
    pub(super) const fn differs(self) -> bool {
        matches!(self, Self::OtherBranch | Self::WrongRoot | Self::Flips)
    }

    /// Whether it gives the data of the slot before the deadline.
    pub(super) const fn gives_data(self) -> bool {
        !matches!(self, Self::Hangs | Self::Lags | Self::Lags404 | Self::Fails | Self::WrongSlot)
    }

    /// Whether it takes all votes, and says so.
    pub(super) const fn confirms(self) -> bool {
        self.gives_data() && !matches!(self, Self::LosesAnswers | Self::Refuses)
            || matches!(self, Self::WrongSlot)
    }

    /// Whether it gives lists of duties.
    pub(super) const fn gives_duties(self) -> bool {
        !matches!(self, Self::Hangs | Self::Fails)
    }

    /// When in the slot it has the block; `None` if never.
    pub(super) const fn block_ms(self) -> Option<u64> {
        match self {
            Self::Hangs | Self::Lags | Self::Lags404 | Self::Fails => None,
            Self::Late => Some(LATE_MS),
            _ => Some(BLOCK_MS),
        }
    }

    pub(super) const fn branch(self) -> (Root, Root, [u64; 3]) {
        if matches!(self, Self::OtherBranch) { OTHER } else { BRANCH }
    }

    /// How long an answer takes, in milliseconds; `None` if there is none.
    pub(super) const fn takes_ms(self, is_publication: bool) -> Option<u64> {
        match self {
            Self::Hangs => None,
            Self::LosesAnswers if is_publication => None,
            Self::SlowTwice => Some(300),
            _ => Some(5),
        }
    }

    /// Whether it tells events.
    pub(super) const fn tells(self) -> bool {
        !matches!(self, Self::Hangs | Self::NoEvents | Self::Fails)
    }

    /// Returns the event of the slot's block, or of the one before it.
    pub(super) fn head(self, is_parent: bool) -> HeadEvent {
        let (block, depends, _) = self.branch();
        HeadEvent {
            slot: if is_parent { SLOT - 1 } else { SLOT },
            block: if is_parent { parent(block) } else { block },
            previous_duty_dependent_root: depends,
            current_duty_dependent_root: root(9),
        }
    }
}

fn parent(block: Root) -> Root {
    root(block.as_bytes()[0] - 1)
}

/// What the stand-ins of a slot have done and seen.
#[derive(Debug, Default)]
pub(super) struct World {
    /// In milliseconds since the slot began.
    pub(super) now_ms: u64,
    /// Votes that a node has taken, by validator: what they say.
    pub(super) taken: BTreeMap<u64, BTreeSet<Vec<u8>>>,
    /// Requests for data, and publications, by node.
    pub(super) asked: Vec<[u64; 2]>,
    /// Lists that were answered, by node.
    lists: Vec<u64>,
}

impl World {
    pub(super) fn new(nodes: usize) -> Arc<Mutex<Self>> {
        let world = Self { asked: vec![[0; 2]; nodes], lists: vec![0; nodes], ..Self::default() };
        Arc::new(Mutex::new(world))
    }

    /// Takes a vote. Returns whether it is new.
    pub(super) fn take(&mut self, vote: &PayloadAttestationMessage) -> bool {
        let said = self.taken.entry(vote.validator_index).or_default();
        said.insert(vote.data.encode()) && said.len() == 1
    }
}

/// Returns the client of a stand-in, which is the node of this number.
pub(super) fn client(stand: Stand, number: usize, world: &Arc<Mutex<World>>) -> BeaconClient {
    let world = world.clone();
    let url = format!("http://{}", stand.word());
    BeaconClient::scripted(
        &url,
        Arc::new(move |call: &Call<'_>| {
            let mut world = world.lock().expect("no test has panicked");
            respond(stand, number, &mut world, call)
        }),
    )
}

fn answered(status: u16, body: String) -> Result<Response, HttpError> {
    Ok(Response { status, is_ssz: false, body: body.into_bytes() })
}

fn respond(
    stand: Stand,
    number: usize,
    world: &mut World,
    call: &Call<'_>,
) -> Result<Response, HttpError> {
    const DATA: &str = "/eth/v1/validator/payload_attestation_data";
    if stand == Stand::Fails {
        return answered(500, String::new());
    }
    let list = |depends: Root, entries: &[String]| {
        let entries = entries.join(",");
        answered(200, format!(r#"{{"dependent_root":"{depends}","data":[{entries}]}}"#))
    };
    let path = call.path;
    if let Some(rest) = path.strip_prefix(DATA) {
        let in_path = rest.starts_with('/');
        if in_path != (stand == Stand::PathForm) {
            return answered(404, r#"{"code":404,"message":"no such route"}"#.to_owned());
        }
        world.asked[number][0] += 1;
        return data(stand, world.now_ms);
    }
    if path.starts_with("/eth/v1/validator/duties/ptc/") {
        world.lists[number] += 1;
        let flips = stand == Stand::Flips && world.lists[number].is_multiple_of(2);
        let is_other = flips || matches!(stand, Stand::WrongRoot | Stand::OtherBranch);
        let (_, depends, voters) = if is_other { OTHER } else { BRANCH };
        let epoch: u64 = path.rsplit('/').next().and_then(|it| it.parse().ok()).expect("an epoch");
        let Some(Body::Json(asked)) = call.body else { panic!("lists are asked for in JSON") };
        let entry = |validator: &u64| {
            format!(
                r#"{{"pubkey":"{}","validator_index":"{validator}","slot":"{SLOT}"}}"#,
                key(*validator)
            )
        };
        let is_asked = |it: &&u64| epoch == SLOT / 8 && asked.contains(&format!("\"{it}\""));
        let entries: Vec<_> = voters.iter().filter(is_asked).map(entry).collect();
        return list(depends, &entries);
    }
    if let Some(block) = path.strip_prefix("/eth/v1/beacon/headers/") {
        return header(stand, world.now_ms, block);
    }
    if path.starts_with("/eth/v1/validator/duties/attester/") {
        return list(stand.branch().1, &[]);
    }
    if path.starts_with("/eth/v1/validator/duties/proposer/") {
        return list(root(9), &[]);
    }
    assert_eq!(path, "/eth/v1/beacon/pool/payload_attestations");
    world.asked[number][1] += 1;
    publication(stand, world, call.body.expect("a POST"))
}

fn data(stand: Stand, now_ms: u64) -> Result<Response, HttpError> {
    if stand.block_ms().is_none_or(|at| at > now_ms) {
        let status = if stand == Stand::Lags404 { 404 } else { 204 };
        return answered(status, String::new());
    }
    let is_there = now_ms >= PAYLOAD_MS;
    let data = PayloadAttestationData {
        beacon_block_root: stand.branch().0,
        slot: if stand == Stand::WrongSlot { SLOT - 1 } else { SLOT },
        payload_present: is_there,
        blob_data_available: is_there,
    };
    match stand {
        Stand::Ssz => Ok(Response { status: 200, is_ssz: true, body: data.encode() }),
        _ => answered(200, format!(r#"{{"version":"gloas","data":{}}}"#, data.to_json())),
    }
}

fn header(stand: Stand, now_ms: u64, block: &str) -> Result<Response, HttpError> {
    let has = stand.block_ms().is_some_and(|at| at <= now_ms);
    let own = stand.branch().0.to_string();
    // A node that is not behind has the blocks of both branches.
    let is_known = has && [BRANCH.0.to_string(), OTHER.0.to_string()].contains(&block.to_owned());
    let canonical = block == own;
    match is_known {
        true => answered(
            200,
            format!(
                r#"{{"data":{{"canonical":{canonical},"header":{{"message":{{"slot":"{SLOT}"}}}}}}}}"#
            ),
        ),
        false => answered(404, String::new()),
    }
}

fn publication(stand: Stand, world: &mut World, body: Body<'_>) -> Result<Response, HttpError> {
    if stand == Stand::Busy && world.now_ms < BUSY_MS {
        return answered(503, String::new());
    }
    let votes = match body {
        Body::Ssz(_) if stand == Stand::JsonOnly => return answered(415, String::new()),
        Body::Ssz(bytes) => {
            decode_list::<PayloadAttestationMessage, 64>(bytes).expect("votes in SSZ")
        }
        Body::Json(text) => {
            assert_eq!(stand, Stand::JsonOnly, "SSZ comes first");
            let votes: Value = serde_json::from_str(text).expect("JSON");
            Vec::<PayloadAttestationMessage>::from_json(&votes).expect("votes")
        }
    };
    let mut failures = Vec::new();
    for (at, vote) in votes.iter().enumerate() {
        let has = stand.block_ms().is_some_and(|block| block <= world.now_ms);
        let refused = !has || (stand == Stand::Refuses && at == 0);
        // A vote that is known already is a failure too.
        if refused || !world.take(vote) {
            failures.push(format!(r#"{{"index":{at},"message":"not taken"}}"#));
        }
    }
    match failures.is_empty() {
        true => answered(200, String::new()),
        false => {
            let failures = failures.join(",");
            answered(400, format!(r#"{{"code":400,"message":"","failures":[{failures}]}}"#))
        }
    }
}
