//! What the services cost: honest slots through them, against direct calls of the protocol for the
//! same items.
//!
//! The direct calls are those that no node can leave out: of each block the full transition and its
//! effects, of the votes of a slot one batch against their target's state.

use std::time::{Duration, Instant};

use blocksmith::consensus::{Consensus, UpdateFlags};
use blocksmith_consensus::{Minimal, Phase0, Root, SharedAttestation};

use super::chain::{Chain, State};
use crate::process::cpu_time;

/// What the direct calls took.
pub(super) struct Direct {
    /// The time of each item, ascending; a vote's is that of its batch, divided.
    pub(super) latencies: Vec<Duration>,
    /// CPU time of the process meanwhile.
    pub(super) cpu: Duration,
}

/// Checks everything that a chain's honest slots hold, in their order.
///
/// # Panics
/// If an honest item is not valid.
pub(super) fn direct(chain: &Chain) -> Direct {
    let protocol = Phase0::<Minimal>::new(chain.config.clone());
    let mut state = chain.genesis.clone();
    let mut target = (chain.genesis_root, chain.genesis.clone());
    let mut latencies = Vec::new();
    let cpu = cpu_time();
    for slot in &chain.honest {
        let start = Instant::now();
        let flags = UpdateFlags::default();
        protocol.transition(&mut state, &slot.block, flags).expect("an honest block");
        protocol.block_effects(&state, &slot.block).expect("a sound state");
        latencies.push(start.elapsed());
        let votes = &slot.votes;
        let start = Instant::now();
        target = target_of(&protocol, target, votes, (slot.block.root(), &state));
        for outcome in protocol.verify_attestations(&target.1, votes) {
            outcome.expect("an honest vote");
        }
        let each = start.elapsed() / votes.len().max(1) as u32;
        latencies.extend(votes.iter().map(|_| each));
    }
    let cpu = cpu_time().saturating_sub(cpu);
    latencies.sort_unstable();
    Direct { latencies, cpu }
}

/// Returns the target of votes and its state: the last one, or the newest block advanced to the
/// target's epoch.
fn target_of(
    protocol: &Phase0<Minimal>,
    last: (Root, State),
    votes: &[SharedAttestation],
    (newest, state): (Root, &State),
) -> (Root, State) {
    let Some(target) = votes.first().map(|vote| vote.value().data.target) else { return last };
    let start = protocol.start_slot(target.epoch);
    let same_epoch = last.1.slot >= start;
    if last.0 == target.root && same_epoch {
        return last;
    }
    assert_eq!(target.root, newest, "an honest chain has a block in the first slot of an epoch");
    let mut state = state.clone();
    let start = start.max(state.slot);
    protocol.advance(&mut state, start).expect("ahead of the state");
    (newest, state)
}
