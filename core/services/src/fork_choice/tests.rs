//! Tests of the fork choice, and the property that its head is the specification's `get_head`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::machine::{Config, Effect, Event, ForkChoice, Refusal};
use crate::consensus::{
    Balances, Checkpoint, Checkpoints, Epoch, IndexedVote, Slot, ValidatorIndex, Vote,
};
use crate::machine::Machine;

type Root = u32;

const SLOTS_PER_EPOCH: u64 = 4;
const VALIDATORS: usize = 8;

fn checkpoint(epoch: Epoch, root: Root) -> Checkpoint<Root> {
    Checkpoint { epoch, root }
}

fn all_at(checkpoint: Checkpoint<Root>) -> Checkpoints<Root> {
    Checkpoints {
        justified: checkpoint,
        finalized: checkpoint,
        unrealized_justified: checkpoint,
        unrealized_finalized: checkpoint,
    }
}

fn balances(each: u64) -> Balances {
    Balances { effective: Arc::from(vec![each; VALIDATORS]), total_active: each * 8 }
}

fn store() -> ForkChoice<Root> {
    ForkChoice::new(Config::new(SLOTS_PER_EPOCH), 0, 0, balances(100))
}

fn tick(slot: Slot) -> Event<Root> {
    Event::Tick { slot }
}

fn block_with(
    root: Root,
    parent: Root,
    slot: Slot,
    checkpoints: Checkpoints<Root>,
    timely: bool,
) -> Event<Root> {
    Event::Block { root, parent, slot, checkpoints, timely }
}

fn block(root: Root, parent: Root, slot: Slot) -> Event<Root> {
    block_with(root, parent, slot, all_at(checkpoint(0, 0)), false)
}

fn vote(indices: &[u64], root: Root, slot: Slot, target: Root) -> IndexedVote<Root> {
    let target = checkpoint(slot / SLOTS_PER_EPOCH, target);
    IndexedVote {
        vote: Vote { id: 0, slot, beacon_block_root: root, source: checkpoint(0, 0), target },
        indices: indices.to_vec(),
    }
}

fn attestation(indices: &[u64], root: Root, slot: Slot) -> Event<Root> {
    Event::Attestation { vote: vote(indices, root, slot, 0), from_block: false }
}

fn run(machine: &mut ForkChoice<Root>, events: Vec<Event<Root>>) -> Vec<Effect<Root>> {
    events.into_iter().flat_map(|event| machine.handle(&(), event)).collect()
}

#[test]
fn of_equal_branches_the_larger_root_is_head() {
    // Two children of the anchor without votes.
    let mut machine = store();
    let effects = run(&mut machine, vec![tick(1), block(7, 0, 1), block(5, 0, 1)]);
    assert_eq!(machine.head(), 7);
    assert_eq!(effects, vec![Effect::HeadChanged { old: 0, new: 7, reorg_depth: 0 }]);
}

#[test]
fn a_vote_counts_from_the_slot_after_its_own() {
    // The vote of slot 1 waits in the queue until the tick of slot 2.
    let mut machine = store();
    run(&mut machine, vec![tick(1), block(7, 0, 1), block(5, 0, 1), attestation(&[0], 5, 1)]);
    assert_eq!((machine.head(), machine.queued_attestations()), (7, 1));
    let effects = machine.handle(&(), tick(2));
    assert_eq!(effects, vec![Effect::HeadChanged { old: 7, new: 5, reorg_depth: 1 }]);
    assert_eq!(machine.queued_attestations(), 0);
}

#[test]
fn a_full_queue_refuses_the_newcomer_and_keeps_the_rest() {
    // Room for one: the first counts at the tick, the second was refused.
    let config = Config { max_queued_attestations: 1, ..Config::new(SLOTS_PER_EPOCH) };
    let mut machine = ForkChoice::new(config, 0, 0, balances(100));
    run(&mut machine, vec![tick(1), block(7, 0, 1), block(5, 0, 1), attestation(&[0], 5, 1)]);
    let effects = machine.handle(&(), attestation(&[1, 2], 7, 1));
    assert_eq!(effects, vec![Effect::Refused(Refusal::QueueFull)]);
    machine.handle(&(), tick(2));
    assert_eq!(machine.head(), 5);
}

#[test]
fn only_the_first_timely_block_of_a_slot_is_boosted_and_only_in_that_slot() {
    // 40 % of a slot's committee (800 / 4 = 200) is 80, less than one vote of 100.
    let timely =
        |root, parent, slot| block_with(root, parent, slot, all_at(checkpoint(0, 0)), true);
    let mut machine = store();
    run(&mut machine, vec![tick(1), timely(5, 0, 1), timely(7, 0, 1)]);
    assert_eq!((machine.head(), machine.proposer_boost_root()), (5, Some(5)));
    assert_eq!(machine.weight(5), Some(80));
    run(&mut machine, vec![attestation(&[0], 7, 1), tick(2), timely(6, 5, 2)]);
    assert_eq!(machine.head(), 7, "a boost of 80 does not outweigh a vote of 100");
    machine.handle(&(), tick(3));
    assert_eq!(machine.proposer_boost_root(), None);
}

#[test]
fn a_block_of_an_earlier_slot_is_not_boosted_even_if_it_is_called_timely() {
    // The block of slot 1 is told in slot 2.
    let mut machine = store();
    run(&mut machine, vec![tick(2), block_with(5, 0, 1, all_at(checkpoint(0, 0)), true)]);
    assert_eq!(machine.proposer_boost_root(), None);
}

#[test]
fn equivocating_validators_count_no_more_before_or_after() {
    // Validator 0 votes, is slashed, and votes again in a later epoch.
    let mut machine = store();
    run(
        &mut machine,
        vec![tick(1), block(7, 0, 1), block(5, 0, 1), attestation(&[0], 5, 1), tick(2)],
    );
    assert_eq!(machine.head(), 5);
    machine.handle(&(), Event::AttesterSlashing { indices: vec![0] });
    assert_eq!((machine.head(), machine.weight(5)), (7, Some(0)));
    let later = Event::Attestation { vote: vote(&[0], 5, 4, 5), from_block: false };
    run(&mut machine, vec![tick(4), later, tick(5)]);
    assert_eq!(machine.weight(5), Some(0));
}

#[test]
fn a_new_justified_checkpoint_asks_for_balances_and_takes_no_others() {
    // The pull-up at the start of epoch 2 justifies block 4; balances of another checkpoint are
    // refused.
    let mut machine = store();
    let mut pulled = all_at(checkpoint(0, 0));
    pulled.unrealized_justified = checkpoint(1, 4);
    let mut effects =
        run(&mut machine, vec![tick(5), block(4, 0, 4), block_with(5, 4, 5, pulled, false)]);
    assert_eq!(machine.justified(), checkpoint(0, 0), "not before the epoch ends");
    effects.extend(machine.handle(&(), tick(8)));
    assert!(effects.contains(&Effect::Justified(checkpoint(1, 4))));
    assert!(effects.contains(&Effect::NeedBalances(checkpoint(1, 4))));
    let answer = |checkpoint| Event::JustifiedBalances { checkpoint, balances: balances(7) };
    assert_eq!(
        machine.handle(&(), answer(checkpoint(0, 0))),
        vec![Effect::Refused(Refusal::StaleBalances)]
    );
    assert_eq!(machine.handle(&(), answer(checkpoint(1, 4))), vec![]);
}

#[test]
fn finality_prunes_what_does_not_descend_and_nothing_else() {
    // Two branches at slot 1; the branch over 4 finalises epoch 1, the sibling 7 goes.
    let mut machine = store();
    let effects = run(
        &mut machine,
        vec![
            tick(9),
            block(1, 0, 1),
            block(7, 0, 1),
            block(4, 1, 4),
            block(6, 4, 5),
            block_with(5, 4, 9, all_at(checkpoint(1, 4)), false),
        ],
    );
    assert!(effects.contains(&Effect::Finalized(checkpoint(1, 4))));
    let kept: Vec<Root> = (0..8).filter(|&root| machine.contains(root)).collect();
    assert_eq!(kept, vec![4, 5, 6]);
    assert_eq!(machine.handle(&(), block(8, 7, 9)), vec![Effect::Refused(Refusal::UnknownParent)]);
    assert_eq!(
        machine.handle(&(), block(8, 4, 4)),
        vec![Effect::Refused(Refusal::SlotNotAfterParent)]
    );
}

#[test]
fn a_child_of_the_finalised_root_at_or_before_its_epoch_goes_too() {
    // Block 1 of slot 1 is the checkpoint of epoch 1 on the branch that skips to slot 9; its child
    // of slot 3 is on a chain whose checkpoint is that child.
    let mut machine = store();
    run(
        &mut machine,
        vec![
            tick(9),
            block(1, 0, 1),
            block(3, 1, 3),
            block_with(5, 1, 9, all_at(checkpoint(1, 1)), false),
        ],
    );
    assert!(machine.contains(1) && machine.contains(5) && !machine.contains(3));
}

#[test]
fn nothing_is_pruned_while_finality_contradicts_the_justified_block() {
    // Block 4 is justified for epoch 1 by one branch, its sibling 5 finalised for epoch 1 by
    // another, as only a third of slashable validators can bring about: the head stays on what is
    // justified.
    let mut machine = store();
    let mut states = all_at(checkpoint(0, 0));
    states.justified = checkpoint(1, 4);
    run(
        &mut machine,
        vec![
            tick(9),
            block(4, 0, 4),
            block(5, 0, 4),
            block_with(6, 4, 9, states, false),
            block_with(7, 5, 9, all_at(checkpoint(1, 5)), false),
        ],
    );
    assert_eq!((machine.justified(), machine.finalized()), (checkpoint(1, 4), checkpoint(1, 5)));
    assert_eq!((machine.head(), machine.block_count()), (4, 5));
    machine.handle(&(), tick(10));
    let effects = machine.handle(&(), block(8, 6, 10));
    assert_eq!(effects, vec![Effect::Refused(Refusal::NotDescendantOfFinalized)]);
}

#[test]
fn a_checkpoint_that_is_not_an_ancestor_is_refused() {
    // Block 4's post-state claims to finalise a root that nobody has seen.
    let mut machine = store();
    let effects =
        run(&mut machine, vec![tick(9), block_with(4, 0, 9, all_at(checkpoint(1, 99)), false)]);
    assert_eq!(effects, vec![Effect::Refused(Refusal::CheckpointNotAncestor)]);
    assert!(!machine.contains(4));
}

#[test]
fn extreme_numbers_are_refused_without_overflow() {
    // Slots, epochs and indices at the end of their range.
    let mut machine = store();
    let far = vote(&[u64::MAX], 0, u64::MAX, 0);
    assert_eq!(
        run(&mut machine, vec![Event::Attestation { vote: far, from_block: true }]),
        vec![Effect::Refused(Refusal::FutureSlot)]
    );
    run(&mut machine, vec![tick(u64::MAX), block(1, 0, u64::MAX)]);
    let mut wild = vote(&[u64::MAX], 1, u64::MAX - 1, 0);
    wild.vote.target.epoch = u64::MAX;
    let effects = machine.handle(&(), Event::Attestation { vote: wild, from_block: true });
    assert_eq!(effects, vec![Effect::Refused(Refusal::TargetEpochNotOfSlot)]);
    assert_eq!(machine.head(), 1);
}

// -- the specification, word for word, over maps
// ------------------------------------------------------

#[derive(Clone, Copy)]
struct SpecBlock {
    parent: Root,
    slot: Slot,
    justified: Epoch,
    unrealized_justified: Epoch,
}

struct Spec {
    slot: Slot,
    blocks: BTreeMap<Root, SpecBlock>,
    justified: Checkpoint<Root>,
    finalized: Checkpoint<Root>,
    unrealized_justified: Checkpoint<Root>,
    unrealized_finalized: Checkpoint<Root>,
    boost: Option<Root>,
    messages: BTreeMap<ValidatorIndex, (Epoch, Root)>,
    equivocating: BTreeSet<ValidatorIndex>,
    waiting: Vec<IndexedVote<Root>>,
    balance: Vec<u64>,
}

impl Spec {
    fn new() -> Self {
        let anchor =
            SpecBlock { parent: Root::MAX, slot: 0, justified: 0, unrealized_justified: 0 };
        Self {
            slot: 0,
            blocks: BTreeMap::from([(0, anchor)]),
            justified: checkpoint(0, 0),
            finalized: checkpoint(0, 0),
            unrealized_justified: checkpoint(0, 0),
            unrealized_finalized: checkpoint(0, 0),
            boost: None,
            messages: BTreeMap::new(),
            equivocating: BTreeSet::new(),
            waiting: Vec::new(),
            balance: vec![100; VALIDATORS],
        }
    }

    fn ancestor(&self, root: Root, slot: Slot) -> Root {
        let block = self.blocks[&root];
        if block.slot > slot { self.ancestor(block.parent, slot) } else { root }
    }

    fn weight(&self, root: Root) -> u64 {
        let slot = self.blocks[&root].slot;
        let votes: u64 = (0_u64..)
            .zip(&self.balance)
            .filter(|(index, _)| !self.equivocating.contains(index))
            .filter(|(index, _)| {
                self.messages.get(index).is_some_and(|m| self.ancestor(m.1, slot) == root)
            })
            .map(|(_, balance)| balance)
            .sum();
        let boosted = self.boost.is_some_and(|boost| self.ancestor(boost, slot) == root);
        let committee = self.balance.iter().sum::<u64>() / SLOTS_PER_EPOCH;
        votes + if boosted { committee * 40 / 100 } else { 0 }
    }

    fn children(&self, root: Root) -> Vec<Root> {
        self.blocks.iter().filter(|(_, b)| b.parent == root).map(|(&child, _)| child).collect()
    }

    fn filter_block_tree(&self, root: Root, filtered: &mut BTreeSet<Root>) -> bool {
        let children = self.children(root);
        if !children.is_empty() {
            let viable: Vec<bool> =
                children.iter().map(|&child| self.filter_block_tree(child, filtered)).collect();
            if viable.contains(&true) {
                filtered.insert(root);
                return true;
            }
            return false;
        }
        let (block, epoch) = (self.blocks[&root], self.slot / SLOTS_PER_EPOCH);
        let pulled_up = epoch > block.slot / SLOTS_PER_EPOCH;
        let source = if pulled_up { block.unrealized_justified } else { block.justified };
        let correct_justified =
            self.justified.epoch == 0 || source == self.justified.epoch || source + 2 >= epoch;
        let start = self.finalized.epoch * SLOTS_PER_EPOCH;
        let correct_finalized =
            self.finalized.epoch == 0 || self.finalized.root == self.ancestor(root, start);
        if correct_justified && correct_finalized {
            filtered.insert(root);
            return true;
        }
        false
    }

    fn head(&self) -> Root {
        let mut filtered = BTreeSet::new();
        self.filter_block_tree(self.justified.root, &mut filtered);
        let mut head = self.justified.root;
        loop {
            let children = self.children(head).into_iter().filter(|root| filtered.contains(root));
            match children.max_by_key(|&root| (self.weight(root), root)) {
                None => return head,
                Some(child) => head = child,
            }
        }
    }

    fn update(&mut self, justified: Checkpoint<Root>, finalized: Checkpoint<Root>) {
        if justified.epoch > self.justified.epoch {
            self.justified = justified;
        }
        if finalized.epoch > self.finalized.epoch {
            self.finalized = finalized;
        }
    }

    fn on_tick(&mut self, slot: Slot) {
        while self.slot < slot {
            self.slot += 1;
            self.boost = None;
            if self.slot.is_multiple_of(SLOTS_PER_EPOCH) {
                self.update(self.unrealized_justified, self.unrealized_finalized);
            }
        }
        let slot = self.slot;
        let due: Vec<_> = self.waiting.extract_if(.., |vote| vote.vote.slot < slot).collect();
        for vote in due {
            self.on_attestation(&vote);
        }
    }

    fn on_block(&mut self, root: Root, block: SpecBlock, states: &Checkpoints<Root>, timely: bool) {
        let start = self.finalized.epoch * SLOTS_PER_EPOCH;
        if block.slot > self.slot
            || block.slot <= start
            || self.ancestor(block.parent, start) != self.finalized.root
        {
            return;
        }
        self.blocks.insert(root, block);
        if timely && block.slot == self.slot && self.boost.is_none() {
            self.boost = Some(root);
        }
        self.update(states.justified, states.finalized);
        if states.unrealized_justified.epoch > self.unrealized_justified.epoch {
            self.unrealized_justified = states.unrealized_justified;
        }
        if states.unrealized_finalized.epoch > self.unrealized_finalized.epoch {
            self.unrealized_finalized = states.unrealized_finalized;
        }
        if block.slot / SLOTS_PER_EPOCH < self.slot / SLOTS_PER_EPOCH {
            self.update(states.unrealized_justified, states.unrealized_finalized);
        }
    }

    fn on_attestation(&mut self, indexed: &IndexedVote<Root>) {
        let vote = &indexed.vote;
        let current = self.slot / SLOTS_PER_EPOCH;
        let Some(block) = self.blocks.get(&vote.beacon_block_root) else { return };
        let start = vote.target.epoch * SLOTS_PER_EPOCH;
        if vote.target.epoch + 1 < current
            || !self.blocks.contains_key(&vote.target.root)
            || block.slot > vote.slot
            || self.ancestor(vote.beacon_block_root, start) != vote.target.root
        {
            return;
        }
        for &index in &indexed.indices {
            let known = self.messages.get(&index);
            if !self.equivocating.contains(&index)
                && known.is_none_or(|known| vote.target.epoch > known.0)
            {
                self.messages.insert(index, (vote.target.epoch, vote.beacon_block_root));
            }
        }
    }
}

// -- random histories
// ---------------------------------------------------------------------------------

/// One step; numbers are reduced to what makes sense when the step is taken.
#[derive(Clone, Debug)]
enum Step {
    Tick(u8),
    Block { parent: u8, slot: u8, justify: u8, timely: bool },
    Attestation { voters: u8, root: u8, age: u8 },
    Slashing(u8),
    Balances(u8),
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut byte = || u8::arbitrary(g);
        match byte() % 16 {
            0..=3 => Self::Tick(byte()),
            4..=9 => {
                Self::Block { parent: byte(), slot: byte(), justify: byte(), timely: byte() < 128 }
            }
            10..=13 => Self::Attestation { voters: byte(), root: byte(), age: byte() },
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
            Step::Block { parent, slot, justify, timely } => {
                self.block(parent, slot, justify, timely);
            }
            Step::Attestation { voters, root, age } => self.attest(voters, root, age),
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

    fn block(&mut self, parent: u8, slot: u8, justify: u8, timely: bool) {
        let root = Root::try_from(self.states.len()).expect("few steps");
        // Parents are taken from the last few blocks, so that chains grow long enough to finalise.
        let parent = root.saturating_sub(1 + Root::from(parent % 4));
        let before = self.states[parent as usize];
        self.states.push(before);
        let Some(parent_slot) = self.spec.blocks.get(&parent).map(|block| block.slot) else {
            return;
        };
        let slot = (parent_slot + 1 + u64::from(slot % 3)).min(self.spec.slot + 1);
        if slot <= parent_slot {
            return;
        }
        let later = |known: Checkpoint<Root>, epoch: Epoch| {
            let new = checkpoint(epoch, self.spec.ancestor(parent, epoch * SLOTS_PER_EPOCH));
            if epoch > known.epoch { new } else { known }
        };
        let epoch = slot / SLOTS_PER_EPOCH;
        let back = |bits: u8| epoch.saturating_sub(u64::from(bits & 3));
        let max = |a: Checkpoint<Root>, b: Checkpoint<Root>| if b.epoch > a.epoch { b } else { a };
        // This holds in any state: finalised <= justified, realised <= pulled up.
        let finalized = later(before.finalized, back(justify | 2));
        let justified = max(finalized, later(before.justified, back(justify | 1)));
        let unrealized_finalized =
            max(finalized, later(before.unrealized_finalized, back((justify >> 4) | 1)));
        let unrealized_justified = max(
            max(justified, unrealized_finalized),
            later(before.unrealized_justified, back(justify >> 2)),
        );
        let states =
            Checkpoints { justified, finalized, unrealized_justified, unrealized_finalized };
        self.states[root as usize] = states;
        let block = SpecBlock {
            parent,
            slot,
            justified: states.justified.epoch,
            unrealized_justified: states.unrealized_justified.epoch,
        };
        self.spec.on_block(root, block, &states, timely);
        let effects = self.machine.handle(&(), block_with(root, parent, slot, states, timely));
        let refused = effects.iter().any(|effect| matches!(effect, Effect::Refused(_)));
        assert_eq!(!refused, self.spec.blocks.contains_key(&root), "{effects:?}");
    }

    fn attest(&mut self, voters: u8, root: u8, age: u8) {
        let newest = Root::try_from(self.states.len() - 1).expect("few steps");
        let root = newest.saturating_sub(Root::from(root % 6));
        if !self.spec.blocks.contains_key(&root) {
            return;
        }
        let slot = self.spec.slot.saturating_sub(u64::from(age % 6));
        let target = self.spec.ancestor(root, slot / SLOTS_PER_EPOCH * SLOTS_PER_EPOCH);
        // The one difference that the module states: votes for what is pruned are not remembered.
        if !self.machine.contains(root) || !self.machine.contains(target) {
            return;
        }
        let indices: Vec<u64> = (0..8).filter(|bit| voters >> bit & 1 == 1).collect();
        let vote = vote(&indices, root, slot, target);
        if vote.vote.slot < self.spec.slot {
            self.spec.on_attestation(&vote);
        } else {
            self.spec.waiting.push(vote.clone());
        }
        self.machine.handle(&(), Event::Attestation { vote, from_block: false });
    }
}

fn heads_agree(steps: Vec<Step>) -> bool {
    let states = vec![all_at(checkpoint(0, 0))];
    let mut pair = Pair { machine: store(), spec: Spec::new(), states };
    for step in &steps {
        pair.take(step);
        let (machine, spec) = (&pair.machine, &mut pair.spec);
        let kept = |vote: &Vote<Root>| {
            machine.contains(vote.beacon_block_root) && machine.contains(vote.target.root)
        };
        spec.waiting.retain(|waiting| kept(&waiting.vote));
        if machine.head() != spec.head()
            || machine.justified() != spec.justified
            || machine.finalized() != spec.finalized
        {
            return false;
        }
    }
    true
}

#[test]
fn the_head_is_what_the_specification_says_on_random_histories() {
    // Random ticks, blocks, votes, slashings and balances; a word-for-word get_head beside the
    // machine.
    QuickCheck::new()
        .rng(Gen::new(120))
        .tests(10_000)
        .quickcheck(heads_agree as fn(Vec<Step>) -> bool);
}
