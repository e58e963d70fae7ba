//! The node's side of a payload-timeliness committee: duties, what to vote on, the votes of the
//! pool, and which payloads are there.
//!
//! **Contract.** It is there in the test fork alone
//! ([`Phase0::with_payload_committee`](blocksmith_consensus::Phase0::with_payload_committee)); in
//! phase0 every route of it answers 404. The names and containers are those of Gloas, so the
//! version of what is sent and answered is `gloas`.
//!
//! **Invariants.**
//! - Y1 A payload is told to the services and to the listeners of events once its block is known
//!   and it is there itself, whichever comes first; to the listeners once.
//! - Y2 What is remembered are the payloads of the last [`CAPACITY`] blocks, the oldest forgotten
//!   first. A payload that comes with its block takes a place once the block was accepted, and one
//!   that comes apart once it is told of, which says that it was verified. So what nobody has
//!   verified makes nothing forgotten.
//! - Y3 Whether a payload was there in time is told by the moment at which it came, and never
//!   changes. A payload that comes with its block came with the first submission of the block; of
//!   submissions count the one that was accepted, and those that were under way together with it.
//!   The moment is held by the submission until the block is accepted, and noted before the
//!   submission ends. Whether a payload is available is told by its being there.
//!
//! Reference: consensus specification 1.7.0-alpha.13, `gloas/validator.md`; ethereum/beacon-APIs.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use blocksmith::clearance::{ChainView, KnownPayload};
use blocksmith::payload::PayloadGroup;
use blocksmith::verdict::{IgnoreReason, Verdict};
use blocksmith_consensus::gloas::{
    GossipClock, PayloadAttestation, PayloadAttestationData, PayloadAttestationMessage, PtcWindow,
    get_ptc, get_ptc_dependent_root,
};
use blocksmith_consensus::{
    BasisPoints, BeaconState, Epoch, InvalidData, Json, Payloads, Phase0, Preset, Root, Slot,
    ValidatorIndex, Wire, aggregate_payload_votes, compute_start_slot_at_epoch, get_validator,
};

use super::beacon::Beacon;
use super::clock::Moment;
use super::error::ApiError;
use super::events::Topic;
use super::pool;
use super::request::{Answer, Asked, VERSION, done, json, parse, ssz_of};

/// The version of the containers.
const GLOAS: &str = "gloas";
/// Blocks whose payloads are remembered.
pub(super) const CAPACITY: usize = 1024;
/// The part of a slot in which a payload is in time (`PAYLOAD_DUE_BPS`).
pub(super) const PAYLOAD_DUE_BPS: u64 = 5_000;
/// The part of a slot after which votes on payloads are due (`PAYLOAD_ATTESTATION_DUE_BPS`).
pub(super) const PAYLOAD_ATTESTATION_DUE_BPS: u64 = 7_500;

/// What is known of one payload.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// When it came.
    came: Option<Moment>,
    /// The block's slot, once the block was accepted.
    block: Option<Slot>,
    told: bool,
}

#[derive(Default)]
struct Held {
    payloads: HashMap<Root, Known>,
    order: VecDeque<Root>,
}

impl Held {
    fn of(&mut self, root: Root) -> &mut Known {
        if !self.payloads.contains_key(&root) {
            self.order.push_back(root);
            if self.order.len() > CAPACITY
                && let Some(oldest) = self.order.pop_front()
            {
                self.payloads.remove(&oldest);
            }
        }
        self.payloads.entry(root).or_default()
    }
}

/// Which payloads are there; see the module's text.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<Held>);

/// What follows from a block or a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Available {
    slot: Slot,
    /// Whether the listeners of events have yet to be told.
    is_new: bool,
}

impl Arrivals {
    fn note(&self, root: Root, note: impl FnOnce(&mut Known)) -> Option<Available> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.of(root);
        note(known);
        let slot = known.block.filter(|_| known.came.is_some())?;
        Some(Available { slot, is_new: !std::mem::replace(&mut known.told, true) })
    }

    /// Notes that a payload is there, since this moment. The first note counts.
    fn payload(&self, root: Root, at: Moment) -> Option<Available> {
        self.note(root, |known| known.came = known.came.or(Some(at)))
    }

    /// Notes that a block was accepted.
    fn block(&self, root: Root, slot: Slot) -> Option<Available> {
        self.note(root, |known| known.block = Some(slot))
    }

    /// Returns when a payload came.
    fn came(&self, root: &Root) -> Option<Moment> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.payloads.get(root).and_then(|known| known.came)
    }

    /// Returns whether a payload is there.
    pub(super) fn has(&self, root: &Root) -> bool {
        self.came(root).is_some()
    }
}

/// Returns when payloads are there.
///
/// # Errors
/// 404 on a chain that has none.
fn payloads<P: Preset>(beacon: &Beacon<P>) -> Result<Payloads, ApiError> {
    let none = || ApiError::not_found("the chain has no payload-timeliness committee");
    beacon.client.consensus().payloads().ok_or_else(none)
}

fn come_with_blocks<P: Preset>(beacon: &Beacon<P>) -> bool {
    beacon.client.consensus().payloads() == Some(Payloads::WithBlock)
}

/// Notes when a block came that was accepted, if it has brought its payload along. Until this has
/// returned, the block has to be one of those that are being submitted (Y3).
pub(super) fn block_came<P: Preset>(beacon: &Beacon<P>, root: Root, at: Moment) {
    if come_with_blocks(beacon) {
        // The block is not noted yet: `block_accepted` tells of it.
        beacon.arrivals.payload(root, at);
    }
}

/// Returns when the payload of a block came that the chain has.
fn came<P: Preset>(beacon: &Beacon<P>, root: &Root) -> Option<Moment> {
    // The chain may have a block before its verdict has come back. This look is the first: a
    // submission ends after the arrival was noted, so that one of the two looks finds it.
    let submitted = beacon.recent.came(root).filter(|_| come_with_blocks(beacon));
    beacon.arrivals.came(root).or(submitted)
}

/// Notes that a block was accepted, and tells of its payload if that is there (Y1).
pub(super) async fn block_accepted<P: Preset>(beacon: &Beacon<P>, root: Root, slot: Slot) {
    if beacon.client.consensus().payloads().is_some()
        && let Some(available) = beacon.arrivals.block(root, slot)
    {
        tell(beacon, root, available).await;
    }
}

async fn tell<P: Preset>(beacon: &Beacon<P>, root: Root, available: Available) {
    beacon.client.payload_async(root).await;
    if available.is_new {
        let data = format!(r#"{{"slot":"{}","block_root":"{root}"}}"#, available.slot);
        beacon.events.send(Topic::ExecutionPayloadAvailable, &data);
    }
}

/// `POST /blocksmith/v1/payloads/{block_root}`: says that the payload of a block is there, on a
/// chain on which payloads come apart from their blocks. The block need not be known. This stands
/// for an envelope that has been verified.
pub(super) async fn arrived<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    if payloads(&beacon)? == Payloads::WithBlock {
        return Err(ApiError::bad_request("payloads come with their blocks"));
    }
    let root = parse::<Root>(asked.part(0), "block_root")?;
    let available = beacon.arrivals.payload(root, beacon.clock.moment());
    match available {
        Some(available) => tell(&beacon, root, available).await,
        // The services hold on to it until the block comes.
        None => beacon.client.payload_async(root).await,
    }
    Ok(done())
}

/// Returns what a member of the committee of `slot` says, or `None` if no block of the slot was
/// seen.
async fn vote<P: Preset>(
    beacon: &Beacon<P>,
    view: &ChainView<Root>,
    slot: Slot,
) -> Result<Option<PayloadAttestationData>, ApiError> {
    let root = match beacon.canonical(view, slot).await? {
        Some(root) if slot == view.head_slot => root,
        // A block of the next slot may have come early.
        Some(root) if slot < view.head_slot => {
            let block = beacon.block(view, root).await?;
            if block.is_none_or(|block| block.value().message.slot != slot) {
                return Ok(None);
            }
            root
        }
        _ => return Ok(None),
    };
    let came = came(beacon, &root);
    let due = BasisPoints::new(PAYLOAD_DUE_BPS).map(|part| part.of(slot_ms(beacon)));
    let in_time = |(at, into): Moment| at == slot && due.is_some_and(|due| into < due);
    Ok(Some(PayloadAttestationData {
        beacon_block_root: root,
        slot,
        payload_present: came.is_some_and(in_time),
        blob_data_available: came.is_some(),
    }))
}

fn slot_ms<P: Preset>(beacon: &Beacon<P>) -> u64 {
    beacon.config().slot_duration_ms.get()
}

/// Returns whether a vote of `slot` may come now, on some honest clock.
fn is_current<P: Preset>(beacon: &Beacon<P>, slot: Slot) -> bool {
    let (now, into) = beacon.clock.moment();
    let slot_ms = slot_ms(beacon);
    let now_ms = now.saturating_mul(slot_ms).saturating_add(into);
    GossipClock { genesis_ms: 0, slot_ms, now_ms }.is_current_slot(slot)
}

/// Answers with a value of Gloas, in JSON.
fn versioned(text: &str) -> Response {
    let text = format!(r#"{{"version":"{GLOAS}","data":{text}}}"#);
    ([(VERSION, GLOAS)], json(text)).into_response()
}

/// `GET /eth/v1/validator/payload_attestation_data?slot=..`, and as older clients ask, with the
/// slot in the path. 204 if no block of the slot was seen; in JSON or SSZ.
pub(super) async fn data<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    payloads(&beacon)?;
    beacon.synced()?;
    let as_ssz = asked.wants_ssz()?;
    let slot =
        if asked.path.is_empty() { asked.required("slot")? } else { asked.number(0, "slot")? };
    if !is_current(&beacon, slot) {
        return Err(ApiError::bad_request("the slot is not the current one"));
    }
    let Some(data) = vote(&beacon, &beacon.view(), slot).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    Ok(if as_ssz { ssz_of(GLOAS, data.encode()) } else { versioned(&data.to_json()) })
}

/// Returns the duties of some validators, by slot and then as they were asked for.
fn duties_of<P: Preset>(
    state: &BeaconState<P>,
    window: &PtcWindow<P>,
    epoch: Epoch,
    asked: &BTreeSet<ValidatorIndex>,
) -> Result<String, ApiError> {
    let unknown = |error| ApiError::bad_request(format!("{error}"));
    let first = compute_start_slot_at_epoch::<P>(epoch)?;
    let mut list = Vec::new();
    for slot in (0..P::SLOTS_PER_EPOCH).filter_map(|at| first.checked_add(at)) {
        let members: HashSet<_> =
            get_ptc(state, window, slot).map_err(unknown)?.iter().copied().collect();
        for index in asked.iter().filter(|index| members.contains(index)) {
            let pubkey = get_validator(state, *index)?.pubkey;
            list.push(format!(
                r#"{{"pubkey":"{pubkey}","validator_index":"{index}","slot":"{slot}"}}"#
            ));
        }
    }
    Ok(super::duties::answer(get_ptc_dependent_root(state, epoch)?, &list))
}

/// `POST /eth/v1/validator/duties/ptc/{epoch}`: of the current epoch and the next. The dependent
/// root and the duties come from one state.
pub(super) async fn duties<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    payloads(&beacon)?;
    beacon.synced()?;
    let epoch = asked.number(0, "epoch")?;
    let indices: BTreeSet<ValidatorIndex> =
        beacon.read::<Vec<u64>>(&asked).await?.into_iter().collect();
    let current = beacon.epoch();
    if epoch < current || epoch > current.saturating_add(1) {
        return Err(ApiError::bad_request("the epoch is neither the current one nor the next"));
    }
    let state = beacon.state_of_epoch(&beacon.view(), current).await?;
    let client = beacon.client.clone();
    let duties = move || {
        let window = client.consensus().ptc_window(&state)?;
        let none = || ApiError::fault("the state has no payload-timeliness committees");
        duties_of(&state, &*window.ok_or_else(none)?, epoch, &indices)
    };
    Ok(json(beacon.compute(duties).await??))
}

/// `POST /eth/v1/beacon/pool/payload_attestations`, in JSON or SSZ: votes of one member each.
pub(super) async fn submit<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    payloads(&beacon)?;
    beacon.synced()?;
    match asked.headers.get(VERSION).map(|version| version.as_bytes()) {
        Some(version) if version == GLOAS.as_bytes() => {}
        Some(_) => return Err(ApiError::bad_request(format!("{VERSION} is not {GLOAS}"))),
        None => return Err(ApiError::bad_request(format!("{VERSION} is missing"))),
    }
    let list: Vec<PayloadAttestationMessage> = beacon.read_list(&asked).await?;
    let item = |vote: PayloadAttestationMessage| {
        // The services know the time to a tick; here it is known exactly.
        if !is_current(&beacon, vote.data.slot) {
            return (Err("ignored: not_current_slot".to_owned()), 0);
        }
        (Ok(pool::Submitted::PayloadVote(vote.into())), vote.encode().len())
    };
    let items = list.into_iter().map(item).collect();
    pool::settle_all(beacon.clone(), items).await
}

/// Returns the aggregate of a group.
fn aggregate<P: Preset>(group: &PayloadGroup<Phase0<P>>) -> Option<PayloadAttestation<P>> {
    let data = group.votes.first()?.1.value().data;
    let signature = |(place, vote): &(usize, blocksmith_consensus::SharedPayloadVote)| {
        (*place, vote.value().signature)
    };
    let votes: Vec<_> = group.votes.iter().map(signature).collect();
    aggregate_payload_votes(data, &votes)
}

/// `GET /eth/v1/beacon/pool/payload_attestations?slot=..`, in JSON or SSZ: the aggregates of the
/// pool; of each slot and block those with the most places first.
pub(super) async fn pool<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    payloads(&beacon)?;
    let as_ssz = asked.wants_ssz()?;
    let slot = asked.optional::<Slot>("slot")?;
    let (mut groups, _) = beacon.client.payload_votes_async().await?;
    groups.retain(|group| slot.is_none_or(|slot| group.data.slot == slot));
    groups.sort_by_key(|group| {
        let data = group.data;
        (data.slot, data.block, std::cmp::Reverse(group.votes.len()))
    });
    // Signatures are summed.
    let sums = move || groups.iter().filter_map(aggregate).collect::<Vec<PayloadAttestation<P>>>();
    let list = beacon.compute(sums).await?;
    if as_ssz {
        let bytes = list.iter().flat_map(PayloadAttestation::encode).collect();
        return Ok(ssz_of(GLOAS, bytes));
    }
    let list: Vec<_> = list.iter().map(Json::to_json).collect();
    Ok(versioned(&format!("[{}]", list.join(","))))
}

/// `GET /blocksmith/v1/payload_votes`: what the fork choice has counted for each block.
pub(super) async fn counted<P: Preset>(beacon: Arc<Beacon<P>>, _: Asked) -> Answer {
    payloads(&beacon)?;
    let (_, known) = beacon.client.payload_votes_async().await?;
    let one = |known: &KnownPayload<Root>| {
        let votes = &known.payload.votes;
        let count =
            |votes: &[Option<bool>], said| votes.iter().filter(|vote| **vote == Some(said)).count();
        let (timely, available) = (votes.timely(), votes.available());
        format!(
            concat!(
                r#"{{"slot":"{}","block_root":"{}","verified":{},"places":"{}","#,
                r#""present":"{}","absent":"{}","available":"{}","unavailable":"{}"}}"#
            ),
            known.slot,
            known.root,
            known.payload.verified,
            timely.len(),
            count(timely, true),
            count(timely, false),
            count(available, true),
            count(available, false)
        )
    };
    let list: Vec<_> = known.iter().map(one).collect();
    let list = format!(r#"{{"data":[{}]}}"#, list.join(","));
    Ok(([(header::CACHE_CONTROL, "no-cache")], json(list)).into_response())
}

/// What became of the votes that were submitted.
#[derive(Debug, Default)]
pub(super) struct PayloadFigures {
    accepted: AtomicU64,
    /// Second votes of a validator and slot: none of them was counted.
    second: AtomicU64,
    refused: AtomicU64,
}

impl PayloadFigures {
    /// Counts a verdict.
    pub(super) fn count(&self, verdict: &Verdict<Root, InvalidData>) {
        let counter = match verdict {
            Verdict::Accept { .. } => &self.accepted,
            Verdict::Ignore(IgnoreReason::SecondVote) => &self.second,
            _ => &self.refused,
        };
        // ORDERING: relaxed; a figure for people, and nothing is read by its help.
        counter.fetch_add(1, Relaxed);
    }
}

/// Appends the figures of votes in the text exposition format. Of blocks there are those that are
/// not final and were voted on.
pub(super) async fn write_figures<P: Preset>(beacon: &Beacon<P>, text: &mut String) {
    if beacon.client.consensus().payloads().is_none() {
        return;
    }
    let known = beacon.client.payload_votes_async().await.map(|(_, known)| known);
    let voted = |known: &KnownPayload<Root>| {
        let timely = known.payload.votes.timely();
        (timely.iter().flatten().count(), timely.len())
    };
    let voted: Vec<_> = known.unwrap_or_default().iter().map(voted).collect();
    let voted: Vec<_> = voted.into_iter().filter(|(count, _)| *count > 0).collect();
    let places: usize = voted.iter().map(|(count, _)| count).sum();
    let full = voted.iter().filter(|(count, places)| count == places).count();
    for (name, help, value) in [
        ("blocks", "Blocks that were voted on and are not final.", voted.len()),
        ("places", "Places of committees that have voted on these blocks.", places),
        ("full_blocks", "Of these blocks, those on which the whole committee has voted.", full),
    ] {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP blocksmith_payload_{name} {help}\n# TYPE blocksmith_payload_{name} gauge\n\
             blocksmith_payload_{name} {value}"
        );
    }
    let name = "blocksmith_payload_votes_total";
    let help = "Votes on payloads that were submitted, by what became of them.";
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
    let figures = &beacon.payload_figures;
    for (what, count) in [
        ("accepted", &figures.accepted),
        ("second", &figures.second),
        ("refused", &figures.refused),
    ] {
        // ORDERING: relaxed; a figure for people, and nothing is read by its help.
        let count = count.load(Relaxed);
        let _ = writeln!(text, "{name}{{outcome=\"{what}\"}} {count}");
    }
}
