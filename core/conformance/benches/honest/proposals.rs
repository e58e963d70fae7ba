//! Proposals at mainnet size, from the slot's start to the broadcast of the signed block.
//!
//! **What is measured.** At the slot's start the services are told the time. The RANDAO reveal is
//! signed, a block is produced on the proposer's head as a duty, and signed; it comes in the same
//! way as every block, and is broadcast once its verdict is there, by then committed and known to
//! the fork choice. The pool holds two aggregates of each committee of the slot before, of which
//! neither is within the other, so that a block packs 128 attestations. The clock is the wall's.
//! The signer is a call of the library; `core/cli/examples/signer_slot.rs` measures the one of
//! HTTP.
//!
//! **The flood.** In every second proposal, [`PEERS`] peers without a key send forged items as fast
//! as the services take them, from before the slot's start until the broadcast: votes of members
//! under the signatures of other members, and blocks of this slot on the head under the signature
//! of the block before. Each item is another one, and costs a signature's verification if it gets
//! as far as that.
//!
//! **What is told.** Each step's time, and the whole; their medians, and the longest. One of the
//! proposals is of an epoch's first slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use blocksmith::clearance::BuildOn;
use blocksmith::rewinder::Lane;
use blocksmith::verdict::Verdict;
use blocksmith::{Anchor, Blocksmith, Client, Config};
use blocksmith_conformance::{Counts, Moments, PerPreset, Protocol};
use blocksmith_consensus::testing::{genesis, latest_block_root, sign};
use blocksmith_consensus::{
    ChainConfig, DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO, Mainnet, Preset, ProposerInputs, Root,
    SharedBlock, SignedBeaconBlock, Slot, Wire, compute_epoch_at_slot, get_beacon_proposer_index,
    get_domain, process_slots,
};
use blocksmith_node::recording::PresetName;
use blocksmith_sync::Std;

use crate::services::{burst, submit};
use crate::slot::{Item, State, aggregates, singles};
use crate::{PEERS, VALIDATORS, WORKERS, memory, ms};

/// The slot of the first proposal that counts. The two before bring votes, and fill the caches.
const FIRST: Slot = 24;
/// Proposals that count; half of them have a flood beside them.
const PROPOSALS: u64 = 24;
/// Aggregates of a slot: two of each committee.
const AGGREGATES: usize = 128;
/// Forged votes for each forged block.
const VOTES: usize = 16;
/// When the aggregates come, after the beginning of their slot.
const AGGREGATES_AT: Duration = Duration::from_secs(8);
/// The goal.
const GOAL: Duration = Duration::from_millis(500);

/// The steps of a proposal, in their order.
const STEPS: [&str; 8] = [
    "reveal signed",
    "head and state",
    "packing",
    "transition and state root",
    "block signed",
    "checks before the transition",
    "transition and state root, again",
    "commit, fork choice and broadcast",
];

/// What one proposal took.
struct Proposal {
    slot: Slot,
    steps: [Duration; STEPS.len()],
    whole: Duration,
    /// Forged items that were sent from the slot's start on.
    forged: u64,
}

/// The services, and what the proposer knows before its slot.
struct Stage {
    client: Client<Std, Protocol>,
    counts: Counts,
    config: ChainConfig,
    /// The head's block and state.
    head: Option<SharedBlock>,
    state: State,
}

impl Stage {
    /// Lets the aggregates of the slot before come in; returns the state advanced to `slot`.
    fn prepare(&self, slot: Slot) -> State {
        let mut state = self.state.clone();
        process_slots(&mut state, slot, &self.config).expect("ahead of the state");
        if self.head.is_some() {
            let votes = aggregates(&state, slot - 1, AGGREGATES).items;
            self.client.tick(slot - 1, AGGREGATES_AT);
            burst(&self.client, &votes, PEERS);
        }
        self.client.rest();
        state
    }

    /// Proposes in a slot; `state` is the head's, advanced to it.
    fn propose(&self, slot: Slot, state: &State) -> (SharedBlock, [Instant; STEPS.len() + 1]) {
        let epoch = compute_epoch_at_slot::<Mainnet>(slot);
        let proposer = get_beacon_proposer_index(state).expect("somebody is active");
        let domain = |kind| get_domain(state, kind, epoch);
        let (broadcast, wire) = mpsc::channel();
        self.counts.take_moments();
        let start = Instant::now();
        self.client.tick(slot, Duration::ZERO);
        let randao_reveal = sign(proposer + 1, epoch.hash_tree_root(), domain(DOMAIN_RANDAO));
        let revealed = Instant::now();
        let inputs = ProposerInputs { randao_reveal, ..ProposerInputs::default() };
        let on = BuildOn::ProposerHead { slot, on_time: true };
        let message = self.client.produce_block(on, slot, inputs).expect("a block");
        let message = message.value().clone();
        let made = self.counts.take_moments();
        let produced = Instant::now();
        let root = message.hash_tree_root();
        let signature = sign(proposer + 1, root, domain(DOMAIN_BEACON_PROPOSER));
        let block = SharedBlock::from(SignedBeaconBlock { message, signature });
        let bytes = block.value().encode();
        let signed = Instant::now();
        let verdict = self.client.submit_block(block.clone(), 0, bytes.len()).wait();
        broadcast.send(bytes).expect("somebody listens");
        let end = Instant::now();
        assert!(matches!(verdict, Verdict::Accept { relay: true, .. }), "{verdict:?}");
        assert!(wire.recv().is_ok_and(|bytes| !bytes.is_empty()));
        let (began, ended) = self.counts.take_moments().transition.expect("it was applied");
        let Moments { packing, production, .. } = made;
        let (packed, _) = production.expect("a block was produced");
        let loaded = packing.unwrap_or(packed);
        (block, [start, revealed, loaded, packed, produced, signed, began, ended, end])
    }

    /// Makes a proposal's block the head.
    fn follow(&mut self, block: SharedBlock, slot: Slot) {
        self.client.rest();
        let view = self.client.view().expect("the services run");
        assert_eq!(view.head, block.root(), "slot {slot}");
        let state = self.client.state_at(view.head, slot, Lane::Queries).expect("the head's");
        let PerPreset::Mainnet(state) = state else { panic!("a state of another preset") };
        self.state = state;
        self.head = Some(block);
    }

    /// Returns what those send who have no key: votes for the slot before, and blocks of `slot`.
    fn forge(&self, slot: Slot, state: &State) -> Vec<Forged> {
        let honest = singles(state, slot - 1, 0..8).items;
        let before = self.head.as_ref().expect("a proposal came before").value();
        let mut block = before.clone();
        block.message.slot = slot;
        block.message.parent_root = before.message.hash_tree_root();
        block.message.proposer_index = get_beacon_proposer_index(state).expect("an active one");
        /// Where a vote has its signature: after the offset of its bits, and its data.
        const SIGNATURE: std::ops::Range<usize> = 4 + 128..4 + 128 + 96;
        let all = honest.iter().enumerate().flat_map(|(at, item)| {
            let others = honest.iter().cycle().skip(at + 1).take(VOTES);
            let votes = others.filter_map(move |other| match (item, other) {
                (Item::Single(bytes, subnet), Item::Single(other, _)) => {
                    let mut bytes = bytes.clone();
                    bytes[SIGNATURE].copy_from_slice(&other[SIGNATURE]);
                    Some(Forged::Vote(Item::Single(bytes, *subnet)))
                }
                _ => None,
            });
            block.message.body.graffiti = Root::new([at as u8; 32]);
            block.message.state_root = (at as u64).hash_tree_root();
            votes.chain([Forged::Block(block.encode())])
        });
        all.collect()
    }

    /// Sends forged items until it is told to stop, and counts them.
    fn flood(&self, forged: &[Forged], stop: &AtomicBool, count: &AtomicU64) {
        for (at, item) in forged.iter().cycle().enumerate() {
            // ORDERING: relaxed; nothing but the flag and the number is shared.
            if stop.load(Relaxed) {
                return;
            }
            let peer = 1000 + (at % PEERS) as u64;
            // Nobody waits for the verdicts.
            match item {
                Forged::Vote(item) => drop(submit(&self.client, item, peer)),
                Forged::Block(bytes) => drop(self.client.submit_block_bytes(bytes, peer)),
            }
            count.fetch_add(1, Relaxed);
        }
    }

    /// Proposes beside a flood; returns how many items were sent meanwhile as well.
    fn propose_flooded(
        &self,
        slot: Slot,
        state: &State,
    ) -> (SharedBlock, [Instant; STEPS.len() + 1], u64) {
        /// Items that are sent before the slot begins.
        const AHEAD: u64 = 512;
        let forged = self.forge(slot, state);
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let flood = scope.spawn(|| self.flood(&forged, &stop, &count));
            while count.load(Relaxed) < AHEAD && !flood.is_finished() {
                std::thread::yield_now();
            }
            let before = count.load(Relaxed);
            let (block, moments) = self.propose(slot, state);
            stop.store(true, Relaxed);
            (block, moments, count.load(Relaxed) - before)
        })
    }
}

/// What somebody without a key sends.
enum Forged {
    Vote(Item),
    Block(Vec<u8>),
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}

fn report(name: &str, proposals: &[Proposal]) {
    println!("\n| {name}: {} proposals | p50 ms | longest ms |\n|---|---|---|", proposals.len());
    for (at, step) in STEPS.iter().enumerate() {
        let (middle, longest) = median(proposals.iter().map(|it| it.steps[at]).collect());
        println!("| {step} | {:.1} | {:.1} |", ms(middle), ms(longest));
    }
    let (middle, longest) = median(proposals.iter().map(|it| it.whole).collect());
    println!("| from the slot's start to the broadcast | {:.1} | {:.1} |", ms(middle), ms(longest));
    let late = proposals.iter().filter(|it| it.whole > GOAL).count();
    let forged: u64 = proposals.iter().map(|it| it.forged).sum();
    println!("\n{late} took more than {} ms; {forged} forged items came beside.", GOAL.as_millis());
}

/// Measures proposals with and without a flood, in turns.
pub(crate) fn run(validators: u64) {
    let config = ChainConfig::mainnet();
    let state: State = genesis(validators, &config);
    let protocol = Protocol::new(PresetName::Mainnet, config.clone());
    let counts = protocol.counts();
    let anchor = Anchor {
        root: latest_block_root(&state),
        slot: 0,
        state: PerPreset::Mainnet(state.clone()),
    };
    let services = Config { workers: WORKERS, ..Config::default() };
    let (blocksmith, _notices) =
        Blocksmith::<Std, Protocol>::start(services, Arc::new(protocol), anchor)
            .expect("the services start");
    let client = blocksmith.client().clone();
    let mut stage = Stage { client, counts, config, head: None, state };
    let (mut quiet, mut flooded) = (Vec::new(), Vec::new());
    for slot in FIRST - 2..FIRST + PROPOSALS {
        let state = stage.prepare(slot);
        let (block, moments, forged) = if slot >= FIRST && slot % 2 == 0 {
            stage.propose_flooded(slot, &state)
        } else {
            let (block, moments) = stage.propose(slot, &state);
            (block, moments, 0)
        };
        let carried = block.value().message.body.attestations.len();
        stage.follow(block, slot);
        if slot < FIRST {
            continue;
        }
        // Fewer validators have fewer committees.
        assert!(carried == AGGREGATES || validators < VALIDATORS, "slot {slot}: {carried}");
        let steps = std::array::from_fn(|at| moments[at + 1].duration_since(moments[at]));
        let whole = moments[STEPS.len()].duration_since(moments[0]);
        let each: Vec<_> =
            steps.iter().map(|step: &Duration| format!("{:.1}", ms(*step))).collect();
        println!("slot {slot}: {:.1} ms: {}; {forged} forged", ms(whole), each.join(", "));
        let of_kind = if slot % 2 == 0 { &mut flooded } else { &mut quiet };
        of_kind.push(Proposal { slot, steps, whole, forged });
    }
    println!("\n{validators} validators, mainnet preset, {AGGREGATES} attestations in each block.");
    report("quiet", &quiet);
    report("flood", &flooded);
    let of_epoch = |it: &&Proposal| it.slot.is_multiple_of(Mainnet::SLOTS_PER_EPOCH);
    for first in quiet.iter().chain(&flooded).filter(of_epoch) {
        println!("The first slot of an epoch, {}, took {:.1} ms.", first.slot, ms(first.whole));
    }
    println!("Memory: {} MiB at most.", memory("VmHWM"));
    let report = blocksmith.stop();
    assert_eq!((report.panics, report.cause), (0, None));
}
