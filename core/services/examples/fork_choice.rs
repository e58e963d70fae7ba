//! Times the fork choice on trees of different sizes that nothing finalises, and prints the time of
//! an event as a ratio to that on the smallest tree.
//!
//! `cargo run --release -p blocksmith --example fork_choice`
//!
//! A block event brings a timely block on the head that carries a vote of each of a committee's
//! validators, who voted an epoch before. The tick before it, which ends the boost, is timed apart,
//! and so is the tick that begins an epoch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use blocksmith::consensus::{Balances, Checkpoint, Checkpoints, IndexedVote, Slot, Vote};
use blocksmith::fork_choice::{Config, Event, ForkChoice};
use blocksmith::machine::Machine;

type Root = [u8; 32];

const SLOTS_PER_EPOCH: u64 = 32;
/// Validators of a slot's committees.
const COMMITTEE: u64 = 128;
/// Sizes of the trees, in blocks.
const SIZES: [u64; 4] = [256, 1_024, 4_096, 16_384];
/// Blocks that are timed on each tree: two epochs.
const TIMED: u64 = 2 * SLOTS_PER_EPOCH;
/// Times that each tree is timed; the shortest time of each event counts.
const ROUNDS: usize = 9;

/// How the tree of so many blocks looks.
#[derive(Clone, Copy)]
enum Shape {
    /// One chain.
    Chain,
    /// A chain with 63 blocks beside it, evenly spread.
    Branches,
    /// Each block of the chain has a sibling: every proposer equivocates.
    Equivocations,
}

/// A root that is no more in order than a hash is.
fn root(number: u64) -> Root {
    let mut root = [0; 32];
    for (word, chunk) in (1_u64..).zip(root.chunks_mut(8)) {
        let mixed = (number ^ word << 60).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        chunk.copy_from_slice(
            &(mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes(),
        );
    }
    root
}

/// The chain: a machine, its last block and slot, and roots by slot.
#[derive(Clone)]
struct Tree {
    machine: ForkChoice<Root>,
    chain: Vec<Root>,
    next: u64,
}

impl Tree {
    fn new(size: u64, shape: Shape) -> Self {
        let validators = usize::try_from(SLOTS_PER_EPOCH * COMMITTEE).expect("few validators");
        let effective = Arc::from(vec![32_000_000_000; validators]);
        let balances = Balances { effective, total_active: 32_000_000_000 * validators as u64 };
        let machine = ForkChoice::new(Config::new(SLOTS_PER_EPOCH), root(0), 0, balances);
        let mut tree = Self { machine, chain: vec![root(0)], next: 1 };
        while tree.next < size {
            let slot = tree.chain.len() as u64;
            let parent = tree.head();
            tree.machine.handle(&(), Event::Tick { slot });
            let block = tree.block(parent, true);
            tree.machine.handle(&(), block);
            let beside = match shape {
                Shape::Chain => false,
                Shape::Branches => slot.is_multiple_of(size / 64),
                Shape::Equivocations => true,
            };
            if beside {
                let block = tree.sibling(parent, slot);
                tree.machine.handle(&(), block);
            }
        }
        assert_eq!(tree.machine.block_count() as u64, tree.next);
        tree
    }

    fn head(&self) -> Root {
        *self.chain.last().expect("the anchor")
    }

    /// The next block of the chain, with the votes of the committee of the slot before it.
    fn block(&mut self, parent: Root, timely: bool) -> Event<Root> {
        let slot = self.chain.len() as u64;
        let block = new_block(root(self.next), parent, slot, timely, self.votes(slot - 1));
        self.chain.push(root(self.next));
        self.next += 1;
        block
    }

    fn sibling(&mut self, parent: Root, slot: Slot) -> Event<Root> {
        self.next += 1;
        new_block(root(self.next - 1), parent, slot, false, Vec::new())
    }

    /// The committee of `slot` votes for the block of that slot.
    fn votes(&self, slot: Slot) -> Vec<IndexedVote<Root>> {
        let at = |slot: Slot| self.chain[usize::try_from(slot).expect("few slots")];
        let epoch = slot / SLOTS_PER_EPOCH;
        let target = Checkpoint { epoch, root: at(epoch * SLOTS_PER_EPOCH) };
        let source = Checkpoint { epoch: 0, root: root(0) };
        let vote = Vote { id: at(slot), slot, beacon_block_root: at(slot), source, target };
        let first = slot % SLOTS_PER_EPOCH * COMMITTEE;
        vec![IndexedVote { vote, indices: (first..first + COMMITTEE).collect() }]
    }

    /// Times of a block, of a tick within an epoch, and of one that begins an epoch.
    fn time(&self) -> [Duration; 3] {
        let mut times = [Duration::ZERO; 3];
        let mut counts = [0_u32; 3];
        let mut tree = self.clone();
        for number in 0..=TIMED {
            let slot = tree.chain.len() as u64;
            let tick = if slot.is_multiple_of(SLOTS_PER_EPOCH) { 2 } else { 1 };
            let parent = tree.head();
            let block = tree.block(parent, true);
            for (kind, event) in [(tick, Event::Tick { slot }), (0, block)] {
                let start = Instant::now();
                tree.machine.handle(&(), event);
                // The first block makes the arrays grow, which a copy leaves no room for. In a tree
                // that grows by itself that happens at every doubling.
                if number > 0 {
                    times[kind] += start.elapsed();
                    counts[kind] += 1;
                }
            }
            assert_eq!(tree.machine.head(), tree.head());
        }
        [0, 1, 2].map(|kind| times[kind] / counts[kind])
    }
}

fn new_block(
    root: Root,
    parent: Root,
    slot: Slot,
    timely: bool,
    votes: Vec<IndexedVote<Root>>,
) -> Event<Root> {
    let genesis = Checkpoint { epoch: 0, root: self::root(0) };
    let checkpoints = Checkpoints {
        justified: genesis,
        finalized: genesis,
        unrealized_justified: genesis,
        unrealized_finalized: genesis,
    };
    Event::Block {
        root,
        parent,
        slot,
        proposer: slot,
        checkpoints,
        timely,
        votes,
        equivocating: Vec::new(),
    }
}

fn main() {
    println!("microseconds per event, and times that on the smallest tree\n");
    println!(
        "{:<24} {:>7} {:>15} {:>15} {:>15}",
        "tree", "blocks", "block", "tick", "epoch's tick"
    );
    for (name, shape) in [
        ("a chain", Shape::Chain),
        ("64 branches", Shape::Branches),
        ("every slot equivocated", Shape::Equivocations),
    ] {
        let mut smallest: Option<[f64; 3]> = None;
        for size in SIZES {
            let tree = Tree::new(size, shape);
            let mut best = [Duration::MAX; 3];
            for _ in 0..ROUNDS {
                let times = tree.time();
                best = [0, 1, 2].map(|kind| best[kind].min(times[kind]));
            }
            let micros = best.map(|time| time.as_secs_f64() * 1e6);
            let base = *smallest.get_or_insert(micros);
            let cell =
                |kind: usize| format!("{:.2} {:>6.2}x", micros[kind], micros[kind] / base[kind]);
            println!("{name:<24} {size:>7} {:>15} {:>15} {:>15}", cell(0), cell(1), cell(2));
        }
    }
}
