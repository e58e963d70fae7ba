//! Cases of the gossip topics: each message goes through the Quarantine's machine to its verdict,
//! with a real worker of the Rewinder and a real HotDB beneath it, in one thread.
//!
//! The class of each verdict is compared with the case's. What is parked is ignored on its topic
//! meanwhile, and so is a valid item that is not to be passed on. An item that the Quarantine drops
//! without a judgement fails the case.
//!
//! Clearance is left out: it would take every item in and move no checkpoint. A case may name a
//! finalised checkpoint that no block of the case belongs to; the Quarantine is then told of it as
//! its successor would be. A block that the case calls `failed` gets that answer in place of the
//! Rewinder's.

use std::collections::{BTreeMap, VecDeque};

use blocksmith::consensus::{Checkpoint, Consensus, Slot};
use blocksmith::gossip::Operation;
use blocksmith::hot_db::{self, HotDb};
use blocksmith::machine::Machine;
use blocksmith::quarantine::{Effect, Event, Item, ItemId, Limits, Quarantine};
use blocksmith::rewinder::{Answer, Job, Worker, WorkerEffect, WorkerEvent};
use blocksmith::verdict::{Quarantined, RejectReason, Verdict};
use blocksmith_consensus::{
    BeaconState, ChainConfig, InvalidData, Preset, Root, SharedBlock, SignedBeaconBlock, Wire,
};
use serde::Deserialize;

use super::error::{NotPassed, Outcome, ensure};
use super::files::Files;
use super::layout::Case;
use crate::protocol::{Protocol, State};

/// `meta.yaml` of a case.
#[derive(Debug, Deserialize)]
struct Meta {
    topic: String,
    #[serde(default)]
    blocks: Vec<Block>,
    finalized_checkpoint: Option<Finalized>,
    current_time_ms: Option<u64>,
    messages: Vec<Message>,
}

/// A block that is known before the messages come.
#[derive(Debug, Deserialize)]
pub(super) struct Block {
    pub(super) block: String,
    #[serde(default)]
    pub(super) failed: bool,
}

/// The finalised checkpoint, by root or by the name of a block.
#[derive(Debug, Deserialize)]
struct Finalized {
    epoch: u64,
    root: Option<String>,
    block: Option<String>,
}

/// A message, when it comes, and the class that is expected.
#[derive(Debug, Deserialize)]
struct Message {
    message: String,
    #[serde(default)]
    offset_ms: u64,
    #[serde(default)]
    subnet_id: u64,
    expected: String,
    #[serde(default)]
    reason: String,
}

/// Runs a case.
pub(super) fn run<P: Preset>(
    case: &Case,
    files: &Files,
    config: &ChainConfig,
    of_preset: fn(BeaconState<P>) -> State,
) -> Outcome {
    let meta: Meta = files.required_yaml("meta")?;
    let state = files.required_state::<P>("state")?;
    let mut node = Node::new(state, of_preset, config)?;
    node.take_in(files, &meta)?;
    for (index, message) in meta.messages.iter().enumerate() {
        let item = item(&node.phase0, files, &meta.topic, message)
            .ok_or_else(|| case.unknown("topic"))??;
        let at = meta.current_time_ms.map_or(node.begin_ms, |now| now + message.offset_ms);
        node.tick_ms(at)?;
        let (class, reason) = node.judge(item)?;
        ensure(class == message.expected, || {
            let Message { message: name, expected, reason: why, .. } = message;
            format!("message {index} ({name}): {class} ({reason}), expected {expected} ({why})")
        })?;
    }
    Ok(())
}

/// Decodes a message by the topic's wire form. `None` for a topic that phase0 does not have.
fn item(
    phase0: &Protocol,
    files: &Files,
    topic: &str,
    message: &Message,
) -> Option<Result<Item<Protocol>, NotPassed>> {
    let subnet = message.subnet_id;
    let decode = |bytes: &[u8]| -> Option<Result<Item<Protocol>, InvalidData>> {
        Some(match topic {
            "beacon_block" => phase0.decode_block(bytes).map(Item::Block),
            "beacon_attestation" => phase0
                .decode_attestation(bytes)
                .map(|attestation| Item::Single { attestation, subnet }),
            "beacon_aggregate_and_proof" => phase0.decode_aggregate(bytes).map(Item::Aggregate),
            "proposer_slashing" => phase0
                .decode_proposer_slashing(bytes)
                .map(|slashing| Item::Operation(Operation::ProposerSlashing(slashing))),
            "attester_slashing" => phase0
                .decode_attester_slashing(bytes)
                .map(|slashing| Item::Operation(Operation::AttesterSlashing(slashing))),
            "voluntary_exit" => phase0
                .decode_voluntary_exit(bytes)
                .map(|exit| Item::Operation(Operation::VoluntaryExit(exit))),
            _ => return None,
        })
    };
    match files.required_ssz(&message.message) {
        Ok(bytes) => Some(decode(&bytes)?.map_err(NotPassed::failed)),
        Err(error) => Some(Err(error)),
    }
}

/// The Quarantine and what is beneath it.
struct Node {
    phase0: Protocol,
    quarantine: Quarantine<Protocol>,
    hot_db: HotDb<Protocol>,
    /// Time of genesis, and of the state's slot.
    genesis_ms: u64,
    begin_ms: u64,
    /// Root, parent and slot of the blocks that are known, the newest last.
    chain: Vec<(Root, Root, Slot)>,
    finalized: Checkpoint<Root>,
    verdicts: BTreeMap<ItemId, Verdict<Root, InvalidData>>,
    submitted: ItemId,
    /// Whether the next block's check is answered by its failure.
    fails: bool,
}

impl Node {
    /// Returns a node whose anchor is the block that the state follows.
    fn new<P: Preset>(
        state: BeaconState<P>,
        of_preset: fn(BeaconState<P>) -> State,
        config: &ChainConfig,
    ) -> Result<Self, NotPassed> {
        let mut header = state.latest_block_header.clone();
        if header.state_root == Root::ZERO {
            header.state_root = state.hash_tree_root();
        }
        let (root, slot) = (header.hash_tree_root(), state.slot);
        let out_of_range = || NotPassed::failed("a time of the case exceeds 64 bits");
        let genesis_ms = state.genesis_time.checked_mul(1000).ok_or_else(out_of_range)?;
        let state = of_preset(state);
        let phase0 = Protocol::new(state.preset(), config.clone());
        let since = slot.checked_mul(phase0.slot_duration_ms());
        let begin_ms = since.and_then(|s| s.checked_add(genesis_ms)).ok_or_else(out_of_range)?;
        let finalized = Checkpoint { epoch: 0, root };
        let hot_db = HotDb::new(&phase0, hot_db::Limits::default(), root, slot, state);
        Ok(Self {
            quarantine: Quarantine::new(Limits::default(), finalized, slot),
            hot_db,
            phase0,
            genesis_ms,
            begin_ms,
            chain: vec![(root, root, slot)],
            finalized,
            verdicts: BTreeMap::new(),
            submitted: 0,
            fails: false,
        })
    }

    /// Takes in the blocks of the case, and what is finalised.
    fn take_in(&mut self, files: &Files, meta: &Meta) -> Outcome {
        let mut blocks = Vec::new();
        for Block { block, failed } in &meta.blocks {
            let block: SharedBlock = files.value::<SignedBeaconBlock>(block)?.into();
            blocks.push((block, *failed));
        }
        let anchor = self.finalized.root;
        if let Some((first, _)) = blocks.first() {
            let root = first.root();
            ensure(root == anchor, || format!("the first block is {root}, not the state's"))?;
        }
        for (block, failed) in blocks.into_iter().skip(1) {
            let message = &block.value().message;
            let (root, parent, slot) = (block.root(), message.parent_root, message.slot);
            self.tick_ms(self.genesis_ms + slot * self.phase0.slot_duration_ms())?;
            self.fails = failed;
            let (class, reason) = self.judge(Item::Block(block))?;
            self.fails = false;
            let expected = if failed { "reject" } else { "valid" };
            ensure(class == expected, || format!("block {root}: {class} ({reason})"))?;
            if !failed {
                self.chain.push((root, parent, slot));
            }
        }
        meta.finalized_checkpoint.as_ref().map_or(Ok(()), |checkpoint| {
            let root = match (&checkpoint.root, &checkpoint.block) {
                (Some(root), _) => root.parse().map_err(NotPassed::failed)?,
                (None, Some(name)) => {
                    files.value::<SignedBeaconBlock>(name)?.message.hash_tree_root()
                }
                (None, None) => return Err(NotPassed::failed("a checkpoint without a root")),
            };
            self.finalize(Checkpoint { epoch: checkpoint.epoch, root })
        })
    }

    fn finalize(&mut self, finalized: Checkpoint<Root>) -> Outcome {
        self.finalized = finalized;
        if self.quarantine.knows(finalized.root) {
            self.tell(Event::Imported { request: None, finalized })
        } else {
            let chain = self.chain.iter().copied();
            self.quarantine = self.quarantine.successor(&self.phase0, finalized, chain);
            Ok(())
        }
    }

    fn tick_ms(&mut self, at: u64) -> Outcome {
        let slot_ms = self.phase0.slot_duration_ms();
        let since = at.saturating_sub(self.genesis_ms);
        self.tell(Event::Tick { slot: since / slot_ms, into_slot_ms: since % slot_ms })
    }

    /// Submits an item. Returns the class that its topic has for the verdict, and the reason.
    fn judge(&mut self, item: Item<Protocol>) -> Result<(&'static str, &'static str), NotPassed> {
        let id = self.submitted;
        self.submitted += 1;
        self.tell(Event::Submit { id, item: Quarantined::new(item, 0, 0) })?;
        match self.verdicts.remove(&id) {
            Some(verdict @ Verdict::Accept { relay: true, .. }) => Ok(("valid", verdict.reason())),
            Some(Verdict::Accept { relay: false, .. }) => Ok(("ignore", "not_passed_on")),
            Some(verdict @ Verdict::Ignore(_)) => Ok(("ignore", verdict.reason())),
            Some(verdict @ Verdict::Reject(_)) => Ok(("reject", verdict.reason())),
            Some(verdict @ Verdict::Dropped(_)) => {
                Err(NotPassed::Failed(format!("dropped: {}", verdict.reason())))
            }
            None => {
                let pending = self.quarantine.pending();
                let why = pending.into_iter().find(|(other, _)| *other == id);
                let (_, why) = why.ok_or_else(|| NotPassed::failed("no verdict, and not held"))?;
                Ok(("ignore", why.word()))
            }
        }
    }

    /// Passes an event to the Quarantine, and whatever follows from it, until nothing does.
    fn tell(&mut self, event: Event<Protocol>) -> Outcome {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.quarantine.handle(&self.phase0, event) {
                events.extend(self.carry_out(effect)?);
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        effect: Effect<Protocol>,
    ) -> Result<Option<Event<Protocol>>, NotPassed> {
        let (request, job) = match effect {
            Effect::Check { request, job, .. } => (request, job),
            Effect::CheckAtHead { request, operation } => {
                let (root, _, _) = self.chain[self.chain.len() - 1];
                let slot = self.quarantine.slot_of_operations(&self.phase0, root);
                (request, Job::Operation { operation, root, slot })
            }
            Effect::ClearBlock { request, .. }
            | Effect::ClearAttestation { request, .. }
            | Effect::ClearVote { request, .. }
            | Effect::ClearOperation { request, .. }
            | Effect::ClearPayloadVote { request, .. } => {
                let finalized = self.finalized;
                return Ok(Some(Event::Imported { request: Some(request), finalized }));
            }
            Effect::Verdict { id, verdict } => {
                let second = self.verdicts.insert(id, verdict).is_some();
                return ensure(!second, || "a second verdict".to_owned()).map(|()| None);
            }
            Effect::Parked { .. }
            | Effect::Need { .. }
            | Effect::NeedPayload { .. }
            | Effect::ClearPayload { .. } => return Ok(None),
        };
        let answer = match &job {
            Job::Block(_) if self.fails => Answer::Invalid(RejectReason::KnownInvalid),
            _ => self.work(job)?,
        };
        if let Answer::Fault(text) = &answer {
            return Err(NotPassed::Failed(format!("the Rewinder failed: {text}")));
        }
        Ok(Some(Event::Answered { request, answer }))
    }

    /// Does a job as a worker of the Rewinder does.
    fn work(&mut self, job: Job<Protocol>) -> Result<Answer<Protocol>, NotPassed> {
        let mut worker = Worker::Idle;
        let mut event = Some(WorkerEvent::Start(vec![job]));
        // The rounds are bounded: the worker asks for a trail, claims it, loads it in parts, asks
        // for a commit or to go on, and answers.
        while let Some(next) = event.take() {
            for effect in worker.handle(&self.phase0, next) {
                match effect {
                    WorkerEffect::RequestTrail { root, slot } => {
                        event = Some(WorkerEvent::Trail(self.hot_db.trail(root, slot)));
                    }
                    WorkerEffect::RequestCommittees { target } => {
                        let reply = self.hot_db.committees(&self.phase0, target);
                        event = Some(WorkerEvent::Trail(reply));
                    }
                    WorkerEffect::Claim(_) => event = Some(WorkerEvent::Claimed(true)),
                    WorkerEffect::Requeue { .. } => {
                        return Err(NotPassed::failed("every claim is granted"));
                    }
                    WorkerEffect::Commit { block, state } => {
                        let commit = hot_db::Event::Commit { block, state };
                        let effects = self.hot_db.handle(&self.phase0, commit);
                        event = effects.into_iter().find_map(|effect| match effect {
                            hot_db::Effect::Committed(reply) => Some(WorkerEvent::Committed(reply)),
                            _ => None,
                        });
                    }
                    WorkerEffect::PostState(state) => {
                        self.hot_db.handle(&self.phase0, hot_db::Event::PostState(state));
                    }
                    WorkerEffect::PostCommittees(committees) => {
                        let post = hot_db::Event::PostCommittees(committees);
                        self.hot_db.handle(&self.phase0, post);
                    }
                    WorkerEffect::Loaded(_) => {}
                    WorkerEffect::Proceed | WorkerEffect::GiveWay(_) => {
                        event = Some(WorkerEvent::Proceed)
                    }
                    WorkerEffect::Answer(answer) => return Ok(answer),
                }
            }
        }
        Err(NotPassed::failed("a worker without an answer"))
    }
}
