//! A13: what a block costs in the fork choice, by the number of blocks since finality.
//!
//! The machine is driven alone, with numbers for roots: a chain of `n` blocks, with a fork at every
//! 64th part of it, on which no checkpoint moves.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blocksmith::consensus::{Balances, Checkpoint, Checkpoints, IndexedVote, Vote};
use blocksmith::fork_choice::{Config, Effect, Event, ForkChoice};
use blocksmith::machine::Machine;

use crate::process::{cpu_time, forget_peak, peak_bytes};

/// Blocks whose cost is measured.
pub(super) const MEASURED: u64 = 256;
/// Branches of the tree.
const BRANCHES: u64 = 64;
const SLOTS_PER_EPOCH: u64 = 8;
const VALIDATORS: u64 = 64;
/// The finalised and justified block.
const ANCHOR: u64 = 0;

/// What blocks and votes cost.
pub(super) struct Cost {
    /// Times of block events, ascending.
    pub(super) blocks: Vec<Duration>,
    /// Times of vote events, ascending.
    pub(super) votes: Vec<Duration>,
    /// CPU time of all these events.
    pub(super) cpu: Duration,
    /// Peak of the process's resident memory, in bytes, since before the tree was built.
    pub(super) peak: u64,
}

struct Tree {
    machine: ForkChoice<u64>,
    /// The newest block of the main chain, and its slot.
    head: u64,
    slot: u64,
    next_root: u64,
}

impl Tree {
    fn new() -> Self {
        let effective: Arc<[u64]> = vec![32_000_000_000; VALIDATORS as usize].into();
        let total_active = effective.iter().sum();
        let balances = Balances { effective, total_active };
        let machine = ForkChoice::new(Config::new(SLOTS_PER_EPOCH), ANCHOR, 0, balances);
        Self { machine, head: ANCHOR, slot: 0, next_root: 1 }
    }

    /// Hands an event to the machine, which must admit it.
    fn take(&mut self, event: Event<u64>) -> Duration {
        let start = Instant::now();
        let effects = black_box(self.machine.handle(&(), event));
        let time = start.elapsed();
        let refused = effects.iter().any(|effect| matches!(effect, Effect::Refused(_)));
        assert!(!refused, "the fork choice refuses a block or vote by the rules: {effects:?}");
        time
    }

    /// Adds a block in the next slot; `fork` says that the chain does not go on from it.
    fn block(&mut self, fork: bool) -> Duration {
        self.slot += 1;
        self.take(Event::Tick { slot: self.slot });
        let (root, anchor) = (self.next_root, Checkpoint { epoch: 0, root: ANCHOR });
        let time = self.take(Event::Block {
            root,
            parent: self.head,
            slot: self.slot,
            checkpoints: Checkpoints {
                justified: anchor,
                finalized: anchor,
                unrealized_justified: anchor,
                unrealized_finalized: anchor,
            },
            timely: true,
            proposer: self.slot % VALIDATORS,
            votes: Vec::new(),
            equivocating: Vec::new(),
        });
        self.next_root += 1;
        if !fork {
            self.head = root;
        }
        time
    }

    /// A vote of one validator for the head, which no block carries. The clock moves first: until
    /// its slot is over, a vote only waits.
    fn vote(&mut self) -> Duration {
        let slot = self.slot;
        self.slot += 1;
        self.take(Event::Tick { slot: self.slot });
        let epoch = slot / SLOTS_PER_EPOCH;
        let start = epoch * SLOTS_PER_EPOCH;
        let target = self.machine.ancestor(self.head, start).expect("the head is in the tree");
        let vote = Vote {
            id: self.next_root,
            slot,
            beacon_block_root: self.head,
            source: Checkpoint { epoch: 0, root: ANCHOR },
            target: Checkpoint { epoch, root: target },
        };
        let indices = vec![slot % VALIDATORS];
        self.take(Event::Attestation { vote: IndexedVote { vote, indices } })
    }
}

/// Measures blocks and votes on a tree that has `n` blocks before.
pub(super) fn measure(n: u64) -> Cost {
    forget_peak();
    let mut tree = Tree::new();
    let apart = (n / BRANCHES).max(2);
    for number in 1..=n {
        tree.block(number.is_multiple_of(apart));
    }
    let (mut blocks, mut votes) = (Vec::new(), Vec::new());
    let cpu = cpu_time();
    for _ in 0..MEASURED {
        blocks.push(tree.block(false));
        votes.push(tree.vote());
    }
    let (cpu, peak) = (cpu_time().saturating_sub(cpu), peak_bytes());
    assert_eq!(tree.machine.block_count() as u64, n + MEASURED + 1, "no block was left out");
    blocks.sort_unstable();
    votes.sort_unstable();
    Cost { blocks, votes, cpu, peak }
}
