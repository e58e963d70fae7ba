//! Random histories: the machine beside the specification, which must agree after every step.

use std::collections::BTreeSet;
use std::sync::Arc;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::specification::{Spec, SpecBlock};
use super::{Root, SLOTS_PER_EPOCH, all_at, checkpoint, store, tick, vote};
use crate::consensus::{Balances, Checkpoint, Checkpoints, Epoch, IndexedVote, Slot, Vote};
use crate::fork_choice::{Effect, Event, ForkChoice};
use crate::machine::Machine;

/// One step; numbers are reduced to what makes sense when the step is taken.
#[derive(Clone, Debug)]
enum Step {
    Tick(u8),
    Block { parent: u8, slot: u8, justify: u8, timely: bool, proposer: u8, body: Body },
    Attestation(Ballot),
    Slashing(u8),
    Balances(u8),
}

/// Which of the eight validators vote, for which block, and how old the vote is.
#[derive(Clone, Copy, Debug)]
struct Ballot {
    voters: u8,
    root: u8,
    age: u8,
}

/// What a block carries.
#[derive(Clone, Debug)]
struct Body {
    ballots: Vec<Ballot>,
    equivocating: Option<u8>,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut byte = || u8::arbitrary(g);
        match byte() % 16 {
            0..=3 => Self::Tick(byte()),
            4..=9 => {
                let ballots = byte() % 3;
                Self::Block {
                    parent: byte(),
                    slot: byte(),
                    justify: byte(),
                    timely: byte() < 128,
                    proposer: byte(),
                    body: Body {
                        ballots: (0..ballots)
                            .map(|_| Ballot { voters: byte(), root: byte(), age: byte() })
                            .collect(),
                        equivocating: Some(byte()).filter(|index| *index < 8),
                    },
                }
            }
            10..=13 => Self::Attestation(Ballot { voters: byte(), root: byte(), age: byte() }),
            14 => Self::Slashing(byte()),
            _ => Self::Balances(byte()),
        }
    }
}

/// The machine and the specification side by side, and the post-states of all blocks.
struct Pair {
    machine: ForkChoice<Root>,
    spec: Spec,
    states: Vec<Checkpoints<Root>>,
}

impl Pair {
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Tick(by) => {
                let slot = self.spec.slot + u64::from(by % 4);
                self.spec.on_tick(slot);
                self.machine.handle(&(), tick(slot));
            }
            Step::Block { parent, slot, justify, timely, proposer, ref body } => {
                let Some((parent, slot)) = self.place(parent, slot) else { return };
                let (block, states) = self.new_block(parent, slot, justify, proposer);
                self.block(block, states, timely, body);
            }
            Step::Attestation(ballot) => self.attest(ballot),
            Step::Slashing(index) => {
                let index = u64::from(index) % 8;
                self.spec.equivocating.insert(index);
                self.machine.handle(&(), Event::AttesterSlashing { indices: vec![index] });
            }
            Step::Balances(seed) => {
                let new: Vec<u64> = (1..=8).map(|i| u64::from(seed) * i % 101).collect();
                let balances =
                    Balances { effective: Arc::from(new.clone()), total_active: new.iter().sum() };
                let checkpoint = self.machine.justified();
                self.machine.handle(&(), Event::JustifiedBalances { checkpoint, balances });
                self.spec.balance = new;
            }
        }
    }

    /// Parent and slot of the next block. Most parents are among the last few blocks, so that
    /// chains grow long enough to finalise; some are any block.
    fn place(&mut self, parent: u8, slot: u8) -> Option<(Root, Slot)> {
        let root = Root::try_from(self.states.len()).expect("few steps");
        let back = if parent < 192 { Root::from(parent % 4) } else { Root::from(parent - 192) };
        let parent = root.saturating_sub(1 + back);
        let parent_slot = self.spec.blocks.get(&parent)?.slot;
        let slot = (parent_slot + 1 + u64::from(slot % 3)).min(self.spec.slot + 1);
        (slot > parent_slot).then_some((parent, slot))
    }

    /// A block and checkpoints such as its post-state could have: finalised <= justified, realised
    /// <= pulled up, none before the parent's. All are on the block's chain and older than it: at
    /// the first slot of an epoch no vote of that epoch can be in a state.
    fn new_block(
        &self,
        parent: Root,
        slot: Slot,
        justify: u8,
        proposer: u8,
    ) -> (SpecBlock, Checkpoints<Root>) {
        let before = self.states[parent as usize];
        let later = |known: Checkpoint<Root>, epoch: Epoch| {
            let new = checkpoint(epoch, self.spec.ancestor(parent, epoch * SLOTS_PER_EPOCH));
            if epoch > known.epoch { new } else { known }
        };
        let epoch = (slot - 1) / SLOTS_PER_EPOCH;
        let back = |bits: u8| epoch.saturating_sub(u64::from(bits & 3));
        let max = |a: Checkpoint<Root>, b: Checkpoint<Root>| if b.epoch > a.epoch { b } else { a };
        let finalized = later(before.finalized, back(justify | 2));
        let justified = max(finalized, later(before.justified, back(justify | 1)));
        let unrealized_finalized =
            max(finalized, later(before.unrealized_finalized, back((justify >> 4) | 1)));
        let unrealized_justified = max(
            max(justified, unrealized_finalized),
            later(before.unrealized_justified, back(justify >> 2)),
        );
        let block = SpecBlock {
            parent,
            slot,
            proposer: u64::from(proposer % 3),
            justified: justified.epoch,
            unrealized_justified,
        };
        for made in [justified, finalized, unrealized_justified, unrealized_finalized] {
            let on_chain = self.spec.ancestor(parent, made.epoch * SLOTS_PER_EPOCH);
            assert_eq!(made.root, on_chain, "the checkpoint of the block's own chain");
        }
        let states =
            Checkpoints { justified, finalized, unrealized_justified, unrealized_finalized };
        (block, states)
    }

    fn block(&mut self, block: SpecBlock, states: Checkpoints<Root>, timely: bool, body: &Body) {
        let root = Root::try_from(self.states.len()).expect("few steps");
        self.states.push(states);
        let votes: Vec<_> = body
            .ballots
            .iter()
            .filter_map(|ballot| self.vote(*ballot))
            .filter(|vote| vote.vote.slot < block.slot)
            .collect();
        let equivocating: Vec<u64> = body.equivocating.into_iter().map(u64::from).collect();
        self.spec.on_block(root, block, &states, timely);
        let admitted = self.spec.blocks.contains_key(&root);
        if admitted {
            votes.iter().for_each(|vote| self.spec.on_attestation(vote, true));
            self.spec.equivocating.extend(&equivocating);
        }
        let event = Event::Block {
            root,
            parent: block.parent,
            slot: block.slot,
            proposer: block.proposer,
            checkpoints: states,
            timely,
            votes,
            equivocating,
        };
        let effects = self.machine.handle(&(), event.clone());
        let refused = effects.iter().any(|effect| matches!(effect, Effect::Refused(_)));
        assert_eq!(!refused, admitted, "{effects:?}");
        if admitted && self.machine.contains(root) {
            let before = self.machine.clone();
            assert_eq!(self.machine.handle(&(), event), [], "a known block is admitted silently");
            assert_eq!(self.machine, before);
        }
    }

    /// The vote that a ballot stands for now; `None` if the machine does not know what it is for,
    /// which is the one difference that the module states.
    fn vote(&self, Ballot { voters, root, age }: Ballot) -> Option<IndexedVote<Root>> {
        let newest = Root::try_from(self.states.len() - 1).expect("few steps");
        let root = newest.saturating_sub(Root::from(root % 6));
        if !self.spec.blocks.contains_key(&root) {
            return None;
        }
        let slot = self.spec.slot.saturating_sub(u64::from(age % 6));
        let target = self.spec.ancestor(root, slot / SLOTS_PER_EPOCH * SLOTS_PER_EPOCH);
        let known = self.machine.contains(root) && self.machine.contains(target);
        let indices: Vec<u64> = (0..8).filter(|bit| voters >> bit & 1 == 1).collect();
        known.then(|| vote(&indices, root, slot, target))
    }

    fn attest(&mut self, ballot: Ballot) {
        let Some(vote) = self.vote(ballot) else { return };
        if vote.vote.slot < self.spec.slot {
            self.spec.on_attestation(&vote, false);
        } else {
            self.spec.waiting.push(vote.clone());
        }
        self.machine.handle(&(), Event::Attestation { vote });
    }

    /// Forgets what the machine will not count, as it has pruned it.
    fn forget_pruned(&mut self) {
        let Self { machine, spec, .. } = self;
        let kept = |vote: &Vote<Root>| {
            machine.contains(vote.beacon_block_root) && machine.contains(vote.target.root)
        };
        spec.waiting.retain(|waiting| kept(&waiting.vote));
    }

    /// Whether what is read without a cost is the same.
    fn heads_agree(&self) -> bool {
        let (machine, spec) = (&self.machine, &self.spec);
        machine.head() == spec.head()
            && machine.justified() == spec.justified
            && machine.finalized() == spec.finalized
    }

    /// Asserts that weights, the blocks that may be head, and the proposer's head are the same.
    fn assert_weights(&self) {
        let (machine, spec) = (&self.machine, &self.spec);
        machine.tree.assert_index();
        let viable: BTreeSet<_> = machine.viable_heads().into_iter().collect();
        assert_eq!(viable, spec.viable_heads());
        // Votes for pruned children of the first block, the finalised one, are not in its weight.
        let first = machine.blocks()[0].0;
        let exact = |root| root != first || machine.block_count() == spec.blocks.len();
        for (root, ..) in machine.blocks().into_iter().filter(|(root, ..)| exact(*root)) {
            assert_eq!(machine.weight(root), Some(u128::from(spec.weight(root))), "{root}");
        }
        for (ahead, on_time) in [(0, true), (1, true), (1, false), (2, true)] {
            let slot = spec.slot + ahead;
            if exact(spec.blocks[&machine.head()].parent) {
                let expected = spec.proposer_head(slot, on_time, |root| machine.contains(root));
                assert_eq!(machine.proposer_head(slot, on_time), expected, "{slot} {on_time}");
            }
        }
    }
}

fn agree(steps: Vec<Step>) -> bool {
    let states = vec![all_at(checkpoint(0, 0))];
    let mut pair = Pair { machine: store(), spec: Spec::new(), states };
    for (number, step) in steps.iter().enumerate() {
        pair.take(step);
        pair.forget_pruned();
        // All that is costly to compare is compared now and then.
        if !pair.heads_agree() {
            return false;
        }
        if number % 4 == 3 {
            pair.assert_weights();
        }
    }
    pair.assert_weights();
    true
}

#[test]
fn the_machine_says_what_the_specification_says_on_random_histories() {
    // Random ticks, blocks with votes and slashings, votes, slashings and balances, and the
    // specification beside the machine. The index is compared with one that is built anew.
    // QUICKCHECK_TESTS asks for another number of histories.
    let asked = std::env::var("QUICKCHECK_TESTS").ok().and_then(|number| number.parse().ok());
    let mut histories = QuickCheck::new().rng(Gen::new(120)).tests(asked.unwrap_or(4_000));
    histories.quickcheck(agree as fn(Vec<Step>) -> bool);
}
