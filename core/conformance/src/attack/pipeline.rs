//! What the services cost: honest slots through them, against direct calls of the protocol for the
//! same items.
//!
//! The direct calls are those that the services make, without queues, threads and machines: of each
//! block its proposer's signature, the transition and its effects; of the votes of a slot as many
//! batches as the services made of them. What batches of another size would save is said as well: the
//! direct calls are made once more with one batch a slot.
//!
//! The services are measured twice, each time with the direct calls right after. Busy, the honest
//! peer is always some slots ahead, so that there is work whenever a thread looks; that is what a CPU
//! second yields. Paced, it waits for each block and then for the votes of its slot, so each thread
//! falls asleep and is woken for nearly each item.

use std::time::{Duration, Instant};

use blocksmith::consensus::{Consensus, UpdateFlags};
use blocksmith_consensus::{Minimal, Phase0, Root, SharedAttestation};

use super::chain::{Chain, State};
use super::plan::Played;
use crate::process::cpu_time;

/// Slots that the honest peer is ahead of its verdicts when the services are to be busy.
pub(super) const AHEAD: usize = 8;

/// What the direct calls took.
pub(super) struct Direct {
    /// The time of each item, ascending; a vote's is that of its batch, divided.
    pub(super) latencies: Vec<Duration>,
    /// CPU time of the process meanwhile.
    pub(super) cpu: Duration,
}

/// Checks everything that the first honest slots of a chain hold, in their order. The votes of all of
/// them are verified in `batches` batches, each of them within a slot; at least one a slot.
///
/// # Panics
/// If an honest item is not valid.
pub(super) fn direct(chain: &Chain, slots: usize, batches: u64) -> Direct {
    let protocol = Phase0::<Minimal>::new(chain.config.clone());
    let mut state = chain.genesis.clone();
    let mut target = (chain.genesis_root, chain.genesis.clone());
    let mut latencies = Vec::new();
    let cpu = cpu_time();
    for (at, slot) in chain.honest[..slots].iter().enumerate() {
        let start = Instant::now();
        let signed = protocol.verify_proposer(&state, &slot.block).expect("an honest block");
        let flags = UpdateFlags { skip_proposer_signature: signed, ..UpdateFlags::default() };
        protocol.transition(&mut state, &slot.block, flags).expect("an honest block");
        protocol.block_effects(&state, &slot.block).expect("a sound state");
        latencies.push(start.elapsed());
        let votes = &slot.votes;
        let start = Instant::now();
        target = target_of(&protocol, target, votes, (slot.block.root(), &state));
        let here = share(batches, at, slots);
        for batch in votes.chunks(votes.len().div_ceil(here).max(1)) {
            for outcome in protocol.verify_attestations(&target.1, batch) {
                outcome.expect("an honest vote");
            }
        }
        let each = start.elapsed() / votes.len().max(1) as u32;
        latencies.extend(votes.iter().map(|_| each));
    }
    let cpu = cpu_time().saturating_sub(cpu);
    latencies.sort_unstable();
    Direct { latencies, cpu }
}

/// Returns how many of `batches` belong to slot number `at` of `slots`, if they are spread evenly; at
/// least one.
fn share(batches: u64, at: usize, slots: usize) -> usize {
    let until = |slot: usize| batches as usize * slot / slots;
    (until(at + 1) - until(at)).max(1)
}

/// Returns how many times the CPU time of direct calls the same items took through the services.
pub(super) fn times(played: &Played, direct: &Direct) -> f64 {
    played.cpu.as_secs_f64() / direct.cpu.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn a_second(items: usize, cpu: Duration) -> f64 {
    items as f64 / cpu.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Says what honest slots cost through the services, busy or paced, against direct calls.
pub(super) fn note(pace: &str, played: &Played, direct: &Direct) -> String {
    format!(
        "{pace}, {:.0} items per CPU second through the services, {:.0} by the same direct calls: \
         {:.3} times the time; {:.2} batches of votes a slot",
        a_second(played.latencies.len(), played.cpu),
        a_second(direct.latencies.len(), direct.cpu),
        times(played, direct),
        played.work.batches as f64 / played.slots.max(1) as f64,
    )
}

/// Says what direct calls yield if the votes of a slot are one batch.
pub(super) fn fewest(chain: &Chain, slots: usize) -> String {
    let direct = direct(chain, slots, 0);
    let yields = a_second(direct.latencies.len(), direct.cpu);
    format!("with one batch a slot, direct calls yield {yields:.0}")
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
