//! The votes that blocks carry for a block that finality excludes later, before and after a
//! restart. The protocol is the toy protocol with blocks that carry votes.

use std::collections::BTreeMap;

use crate::clearance::{self, Clearance, Event as ClearanceEvent, Import};
use crate::cold_db::{Bounds, ColdDb, Effect, Event, Record, recover};
use crate::consensus::{Checkpoint, Consensus, IndexedVote, Slot, UpdateFlags};
use crate::fork_choice::{self, ForkChoice};
use crate::hot_db::StateAt;
use crate::identified;
use crate::machine::Machine;
use crate::rewinder::tests::scripted::Scripted;
use crate::store::{MemoryStore, Store};
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyState};
use crate::verdict::Cleared;

/// The checkpoint that is finalised: of block 1, which is of slot 3.
const POINT: Checkpoint<u8> = Checkpoint { epoch: 1, root: 1 };
const ANCHOR: Checkpoint<u8> = Checkpoint { epoch: 0, root: 0 };

fn bounds() -> Bounds {
    Bounds {
        fork_choice: fork_choice::Config::new(Toy::default().slots_per_epoch),
        ..super::world::bounds()
    }
}

/// Clearance and the ColdDB with its store, over Clearance's own order.
struct Node {
    protocol: Scripted,
    clearance: Clearance<Scripted>,
    cold_db: ColdDb<Scripted>,
    store: MemoryStore<Scripted>,
    states: BTreeMap<u8, ToyState>,
}

impl Node {
    fn new(protocol: Scripted) -> Self {
        let state = ToyState::anchor();
        let states = BTreeMap::from([(0, state)]);
        let balances = protocol.balances(&state).expect("it has them");
        let Bounds { fork_choice, clearance, cold_db, .. } = bounds();
        let clearance = Clearance::with_limits(fork_choice, clearance, 0, 0, balances);
        let cold_db = ColdDb::new(cold_db, ANCHOR, StateAt { root: 0, slot: 0, state });
        Self { protocol, clearance, cold_db, store: MemoryStore::new(usize::MAX), states }
    }

    fn take(&mut self, import: Import<Scripted>, record: Record<Scripted>) {
        let before = self.clearance.view().finalized;
        self.clear(ClearanceEvent::Import(import));
        self.store(Event::Record(record));
        let after = self.clearance.view().finalized;
        if after != before {
            self.store(Event::Finalized(after));
        }
        self.store(Event::Flush);
    }

    fn clear(&mut self, event: ClearanceEvent<Scripted>) {
        for effect in self.clearance.handle(&self.protocol, event) {
            match effect {
                clearance::Effect::RequestBalances(checkpoint) => {
                    let balances = self.protocol.balances(&ToyState::anchor()).ok();
                    self.clear(ClearanceEvent::Balances { checkpoint, balances });
                }
                clearance::Effect::RequestSpent { .. } => {
                    self.clear(ClearanceEvent::Spent(Vec::new()));
                }
                _ => {}
            }
        }
    }

    fn store(&mut self, event: Event<Scripted>) {
        for effect in self.cold_db.handle(&self.protocol, event) {
            let next = match effect {
                Effect::Commit(writes) => Event::Committed(self.store.commit(&writes)),
                Effect::AskState { root, .. } => {
                    Event::State { root, state: self.states.get(&root).copied() }
                }
                Effect::Durable(_) => continue,
                Effect::Failed(error) => panic!("{error}"),
            };
            self.store(next);
        }
    }

    fn tick(&mut self, slot: Slot) {
        self.take(Import::Tick { slot }, Record::Tick { slot });
    }

    fn block(&mut self, block: ToyBlock) {
        let mut state = self.states[&block.parent];
        let flags = UpdateFlags::default();
        self.protocol.transition(&mut state, &block, flags).expect("it is valid");
        self.states.insert(block.root, state);
        let effects = self.protocol.block_effects(&state, &block).expect("it is valid");
        let block = identified::block(&self.protocol, block);
        let cleared = Box::new(Cleared::new(block.clone(), effects));
        let import = Import::Block { block: cleared, timely: false };
        self.take(import, Record::Block { block, timely: false });
    }

    fn vote(&mut self, attestation: ToyAttestation) {
        let indices = vec![attestation.validator];
        let vote = self.protocol.vote(&attestation);
        let item = identified::attestation(&self.protocol, attestation);
        let evidence = IndexedVote { vote, indices: indices.clone() };
        let import = Import::Attestation(Box::new(Cleared::new(item, evidence)));
        self.take(import, Record::Attestation { attestation, indices });
    }

    fn fork_choice(&self) -> &ForkChoice<u8> {
        self.clearance.fork_choice()
    }
}

/// What happens, in this order, after block 1 and its children 2 and 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Tick(Slot),
    /// The block beside the point that finality excludes: 5, on the anchor.
    Excluded,
    /// A block on this one, at this slot, that carries validator 0's second vote.
    Carries(u8, u8, Slot),
    /// A block on this one, at this slot, that finalises the point at once, or with its epoch.
    Finalizes(u8, u8, Slot),
    FinalizesLater(u8, u8, Slot),
}

use Step::{Carries, Excluded, Finalizes, FinalizesLater, Tick};

/// Validator 0 votes for block 2 in epoch 1, and for `second` in epoch 2, by a block alone. Returns
/// the weights of blocks 2 and 6 and the head, before and after a restart.
fn weights(second: u8, steps: &[Step]) -> [([u128; 2], u8); 2] {
    let vote = |id, slot, head, target| ToyAttestation {
        id,
        slot,
        head,
        target,
        validator: if id == 101 { 1 } else { 0 },
        valid: true,
    };
    let carried = vote(102, 8, second, Checkpoint { epoch: 2, root: second });
    let carries = steps.iter().find_map(|step| match step {
        Carries(root, ..) => Some(*root),
        _ => None,
    });
    let later = steps.iter().find_map(|step| match step {
        FinalizesLater(root, ..) => Some(*root),
        _ => None,
    });
    let (mut protocol, _calls) = Scripted::new();
    protocol.effects = Box::new(move |block, effects| {
        if Some(block.root) == carries {
            let indexed = IndexedVote { vote: Toy::default().vote(&carried), indices: vec![0] };
            effects.votes.push(indexed);
        }
        if Some(block.root) == later {
            effects.checkpoints.unrealized_justified = POINT;
            effects.checkpoints.unrealized_finalized = POINT;
        }
    });
    let mut node = Node::new(protocol);
    node.tick(6);
    for (root, parent, slot) in [(1, 0, 3), (2, 1, 5), (6, 1, 6)] {
        node.block(ToyBlock::new(root, parent, slot));
    }
    node.vote(vote(100, 5, 2, POINT));
    node.vote(vote(101, 6, 6, POINT));
    node.tick(7);
    for step in steps {
        match *step {
            Tick(slot) => node.tick(slot),
            Excluded => node.block(ToyBlock::new(5, 0, 5)),
            Carries(root, parent, slot) | FinalizesLater(root, parent, slot) => {
                node.block(ToyBlock::new(root, parent, slot));
            }
            Finalizes(root, parent, slot) => {
                let finalizes = Some(POINT);
                node.block(ToyBlock { finalizes, ..ToyBlock::new(root, parent, slot) });
            }
        }
    }
    assert_eq!(node.cold_db.point().checkpoint, POINT, "the point has moved");
    let loaded = node.store.load().expect("it holds").expect("something");
    let again = recover(&node.protocol, &bounds(), loaded).expect("it is whole");
    [node.fork_choice(), again.clearance.fork_choice()].map(|fork_choice| {
        let weight = |root| fork_choice.weight(root).expect("it is in the tree");
        ([2, 6].map(weight), fork_choice.head())
    })
}

#[test]
fn a_vote_in_a_block_for_one_that_finality_excludes_takes_the_older_ones_weight_after_a_restart() {
    // Block 3 carries the vote. Then a block finalises the point, at once or with the next epoch.
    let one = |weight: u128| if weight > 0 { 1 } else { 0 };
    for steps in [
        &[Excluded, Tick(9), Carries(3, 6, 9), Tick(10), Finalizes(4, 3, 10), Tick(11)][..],
        // The vote is the last thing that comes before the finality, and after its block.
        &[Excluded, Tick(10), FinalizesLater(4, 6, 10), Tick(11), Carries(3, 4, 11), Tick(12)],
        &[Excluded, Tick(11), FinalizesLater(4, 6, 10), Carries(3, 4, 11), Tick(12)],
    ] {
        let [before, after] = weights(5, steps);
        assert_eq!(before, after, "{steps:?}");
        assert_eq!(before.0.map(one), [0, 1], "{steps:?}");
    }
}

#[test]
fn a_vote_in_a_block_that_did_not_count_does_not_count_after_a_restart_either() {
    // The vote comes after the finality, which a block or the clock has told of; its block comes
    // after it; or it is for a block that never came.
    for (second, steps) in [
        (5, &[Excluded, Tick(10), Finalizes(4, 6, 10), Tick(11), Carries(3, 4, 11)][..]),
        (5, &[Excluded, Tick(10), FinalizesLater(4, 6, 10), Tick(13), Carries(3, 4, 13)]),
        (5, &[Excluded, Tick(13), FinalizesLater(4, 6, 10), Carries(3, 4, 13)]),
        (5, &[Tick(9), Carries(3, 6, 9), Excluded, Tick(10), Finalizes(4, 3, 10)]),
        (77, &[Excluded, Tick(9), Carries(3, 6, 9), Tick(10), Finalizes(4, 3, 10)]),
    ] {
        let [before, after] = weights(second, steps);
        assert_eq!(before, after, "{steps:?}");
        assert!(before.0.iter().all(|weight| *weight > 0), "{before:?} {steps:?}");
    }
}
