//! The recorded chain through the fork choice and the slashing detector alone, without threads. The
//! items come in the oracle's order. After every event, the view must be the oracle's under v1.5.0.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use blocksmith::consensus::{Checkpoint, Consensus, IndexedVote, UpdateFlags};
use blocksmith::fork_choice::{self, Config, ForkChoice, Refusal};
use blocksmith::machine::Machine;
use blocksmith::slashing::{self, Limits, SlashingDetector};
use blocksmith_consensus::{
    BeaconBlock, BeaconState, ChainConfig, Minimal, Phase0, Root, SharedAttestation, Wire,
    decode_exact,
};
use serde_json::Value;

use crate::here;

type Node = Phase0<Minimal>;

/// The seconds from the start of a slot until attesters vote.
const ATTESTING_INTERVAL_SECONDS: u64 = 2;

fn file(name: &Value) -> Vec<u8> {
    let name = name.as_str().expect("a file name");
    fs::read(here("chain").join(name)).expect("a recorded file")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn root(value: &Value) -> Root {
    value.as_str().expect("a root").parse().expect("a root")
}

fn view(value: &Value) -> (Root, Checkpoint<Root>, Checkpoint<Root>) {
    let checkpoint = |pair: &Value| Checkpoint { epoch: number(&pair[0]), root: root(&pair[1]) };
    (root(&value["head"]), checkpoint(&value["justified"]), checkpoint(&value["finalized"]))
}

/// The node that the oracle simulated, made of the project's parts.
struct Replay {
    node: Node,
    states: BTreeMap<Root, BeaconState<Minimal>>,
    fork_choice: ForkChoice<Root>,
    detector: SlashingDetector<Node>,
    offences: Vec<slashing::Effect<Node>>,
    waiting: Vec<SharedAttestation>,
    timely: bool,
}

impl Replay {
    fn new() -> Self {
        let node = Node::new(ChainConfig::minimal());
        let bytes = file(&Value::from("genesis.ssz"));
        let state = BeaconState::from_ssz_bytes(&bytes).expect("a genesis state");
        let block: BeaconBlock =
            decode_exact(&file(&Value::from("genesis_block.ssz"))).expect("a genesis block");
        let balances = node.balances(&state).expect("balances");
        let anchor = block.hash_tree_root();
        Self {
            fork_choice: ForkChoice::new(Config::new(8), anchor, 0, balances),
            detector: SlashingDetector::new(Limits::new(8)),
            states: BTreeMap::from([(anchor, state)]),
            offences: Vec::new(),
            waiting: Vec::new(),
            timely: true,
            node,
        }
    }

    /// Tells the fork choice of an event, and gives it the balances that it asks for.
    fn tell(&mut self, event: fork_choice::Event<Root>) -> Result<(), Refusal> {
        for effect in self.fork_choice.handle(&(), event) {
            match effect {
                fork_choice::Effect::NeedBalances(checkpoint) => {
                    let state = self.target_state(checkpoint).expect("a justified state");
                    let balances = self.node.balances(&state).expect("balances");
                    self.tell(fork_choice::Event::JustifiedBalances { checkpoint, balances })?;
                }
                fork_choice::Effect::Finalized(Checkpoint { epoch, .. }) => {
                    self.detect(slashing::Event::Finalized { epoch });
                }
                fork_choice::Effect::Refused(refusal) => return Err(refusal),
                _ => {}
            }
        }
        Ok(())
    }

    fn detect(&mut self, event: slashing::Event<Node>) {
        self.offences.extend(self.detector.handle(&self.node, event));
    }

    fn target_state(&self, target: Checkpoint<Root>) -> Option<BeaconState<Minimal>> {
        let mut state = self.states.get(&target.root)?.clone();
        let start = self.node.start_slot(target.epoch).max(state.slot);
        self.node.advance(&mut state, start).expect("empty slots");
        Some(state)
    }

    fn tick(&mut self, event: &Value) {
        let slot = number(&event["slot"]);
        let into_slot = (number(&event["time"]) - 1_600_000_000) % 6;
        self.timely = into_slot < ATTESTING_INTERVAL_SECONDS;
        self.tell(fork_choice::Event::Tick { slot }).expect("ticks are not refused");
        // These attestations could not be verified when they came, because their block was not
        // there.
        for attestation in std::mem::take(&mut self.waiting) {
            self.attestation(attestation);
        }
    }

    fn attestation(&mut self, attestation: SharedAttestation) {
        let vote = self.node.vote(&attestation);
        let known = self.fork_choice.contains(vote.beacon_block_root);
        let Some(state) = self.target_state(vote.target).filter(|_| known) else {
            self.waiting.push(attestation);
            return;
        };
        let indices =
            self.node.verify_attestation(&state, &attestation).expect("a valid attestation");
        let vote = IndexedVote { vote, indices };
        self.detect(slashing::Event::Attestation { indexed: vote.clone(), attestation });
        self.tell(fork_choice::Event::Attestation { vote }).expect("admitted");
    }

    /// Applies a block that the oracle found valid. Returns the root of the state after it.
    fn block(&mut self, event: &Value) -> Root {
        let block = self.node.decode_block(&file(&event["file"])).expect("a block");
        let header = self.node.header(&block);
        let mut state = self.states[&header.parent].clone();
        let outcome = self.node.transition(&mut state, &block, UpdateFlags::default());
        outcome.expect("a valid block");
        let effects = self.node.block_effects(&state, &block).expect("effects");
        self.states.insert(header.root, state);
        let (slot, proposer) = (header.slot, header.proposer);
        let signed = self.node.signed_header(&block);
        self.detect(slashing::Event::Proposal {
            slot,
            proposer,
            root: header.root,
            header: signed,
        });
        self.tell(fork_choice::Event::Block {
            root: header.root,
            parent: header.parent,
            slot,
            proposer,
            checkpoints: effects.checkpoints,
            timely: self.timely,
            votes: effects.votes.clone(),
            equivocating: effects.equivocating,
        })
        .expect("a block that the fork choice admits");
        for (indexed, attestation) in effects.votes.into_iter().zip(self.node.attestations(&block))
        {
            self.detect(slashing::Event::Attestation { indexed, attestation });
        }
        effects.post_state_root
    }
}

fn manifest() -> Value {
    serde_json::from_slice(&file(&Value::from("manifest.json"))).expect("a manifest")
}

fn replay() -> (Replay, Value) {
    let manifest = manifest();
    let events = manifest["events"].as_array().expect("events");
    let mut replay = Replay::new();
    for (index, event) in events.iter().enumerate() {
        match event["type"].as_str() {
            Some("tick") => replay.tick(event),
            Some("attestation") => {
                let attestation = replay.node.decode_attestation(&file(&event["file"]));
                replay.attestation(attestation.expect("an attestation"));
            }
            _ if event["verdict"] == "valid" => {
                let computed = replay.block(event);
                assert_eq!(computed, root(&event["post_state_root"]), "event {index}");
            }
            _ => {}
        }
        for released in event["releases"].as_array().into_iter().flatten() {
            if released["verdict"] == "valid" {
                let computed = replay.block(&events[number(&released["event"]) as usize]);
                assert_eq!(computed, root(&released["post_state_root"]), "event {index}");
            }
        }
        if let Some(after) = event.get("after_v1_5_0") {
            let fork_choice = &replay.fork_choice;
            let computed = (fork_choice.head(), fork_choice.justified(), fork_choice.finalized());
            assert_eq!(computed, view(after), "after event {index}");
        }
    }
    (replay, manifest)
}

#[test]
fn the_recorded_chain_gives_the_oracles_view_after_every_event_and_its_offences() {
    // Replays ticks, valid blocks and attestations in recorded order, and compares head, justified
    // and finalised checkpoints after each event.
    let (replay, manifest) = replay();
    assert_eq!(replay.fork_choice.head(), root(&manifest["final_head"]));
    assert!(replay.waiting.is_empty());

    let mut found: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for offence in &replay.offences {
        let (kind, validators) = match offence {
            slashing::Effect::DoubleVote { validators, .. } => {
                ("attester_double", validators.clone())
            }
            slashing::Effect::SurroundVote { validators, .. } => {
                ("attester_surround", validators.clone())
            }
            slashing::Effect::DoubleProposal { proposer, .. } => ("proposer", vec![*proposer]),
        };
        found.entry(kind).or_default().extend(validators);
    }
    let mut expected: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for slashing in manifest["slashings"].as_array().expect("slashings") {
        let validators = slashing["validators"].as_array().expect("validators");
        let kind = slashing["kind"].as_str().expect("a kind");
        expected.entry(kind).or_default().extend(validators.iter().map(number));
    }
    assert_eq!(found, expected);
}
