//! What the services cost: honest slots through them, against direct calls of the protocol for the
//! same items.
//!
//! The direct calls are those that the services make, without queues, threads and machines: of each
//! block its proposer's signature, the transition and its effects; of the votes of a slot as many
//! batches as the services made of them. What batches of another size would save is said as well:
//! the direct calls are made once more with one batch a slot.
//!
//! The services are measured twice. Busy, the honest peer is always some slots ahead, so that there
//! is work whenever a thread looks; that is what a CPU second yields. Paced, it waits for each
//! block and then for the votes of its slot, so each thread falls asleep and is woken for nearly
//! each item.
//!
//! A CPU second does not yield the same at all times: on a machine that others use as well it
//! yields a fifth more or less from one second to the next, and less where all processors work that
//! share a core or a cache. So the services pause every [`PIECE`] slots, and the direct calls for
//! those slots are made right then; beside the busy services on as many threads at once as there
//! are workers.

use std::time::{Duration, Instant};

use blocksmith::consensus::{Consensus, ProposerCheck, StateOf, UpdateFlags};
use blocksmith_consensus::{Minimal, Phase0, Root, SharedAttestation};

use super::chain::{Chain, State};
use super::plan::Played;
use crate::process::cpu_time;

/// Slots that the honest peer is ahead of its verdicts when the services are to be busy.
pub(super) const AHEAD: usize = 8;

/// Slots through the services between two pauses in which the direct calls are made for them.
pub(super) const PIECE: usize = 32;

/// The direct calls for everything that the honest slots of a chain hold, in their order, on some
/// threads at once: each of them makes all.
pub(super) struct Direct<'a> {
    callers: Vec<Caller<'a>>,
    cpu: Duration,
}

impl<'a> Direct<'a> {
    /// Has made no call yet; `threads` is at least 1.
    pub(super) fn new(chain: &'a Chain, threads: usize) -> Self {
        let callers = (0..threads.max(1)).map(|_| Caller::new(chain)).collect();
        Self { callers, cpu: Duration::ZERO }
    }

    /// Goes on until the first `slots` are done. The votes of the new slots are verified in
    /// `batches` batches, each of them within a slot; at least one a slot.
    ///
    /// # Panics
    /// If an honest item is not valid, or if fewer slots are asked for than are done.
    pub(super) fn go_on(&mut self, slots: usize, batches: u64) {
        let before = cpu_time();
        std::thread::scope(|scope| {
            let [here, others @ ..] = &mut self.callers[..] else { return };
            for other in others {
                scope.spawn(|| other.go_on(slots, batches));
            }
            here.go_on(slots, batches);
        });
        self.cpu += cpu_time().saturating_sub(before);
    }

    /// Returns the time of each item on one of the threads, ascending; a vote's is that of its
    /// batch, divided.
    pub(super) fn latencies(&self) -> Vec<Duration> {
        let mut latencies = self.callers[0].latencies.clone();
        latencies.sort_unstable();
        latencies
    }

    /// Returns the CPU time of the calls for each thread.
    pub(super) fn cpu(&self) -> Duration {
        self.cpu / self.callers.len() as u32
    }

    fn a_second(&self) -> f64 {
        a_second(self.callers[0].latencies.len(), self.cpu())
    }
}

/// One of the threads that make the direct calls.
struct Caller<'a> {
    chain: &'a Chain,
    protocol: Phase0<Minimal>,
    /// The state after the slots that are done.
    state: State,
    /// The target of the last votes and its state.
    target: (Root, State),
    done: usize,
    latencies: Vec<Duration>,
}

impl<'a> Caller<'a> {
    fn new(chain: &'a Chain) -> Self {
        Self {
            chain,
            protocol: Phase0::new(chain.config.clone()),
            state: chain.genesis.clone(),
            target: (chain.genesis_root, chain.genesis.clone()),
            done: 0,
            latencies: Vec::new(),
        }
    }

    fn go_on(&mut self, slots: usize, batches: u64) {
        let chain = self.chain;
        let new = &chain.honest[self.done..slots];
        for (at, slot) in new.iter().enumerate() {
            let Self { protocol, state, latencies, .. } = self;
            let start = Instant::now();
            let signed = protocol.verify_proposer(state, &slot.block, StateOf::Parent);
            let signed = signed.expect("an honest block");
            let skip_proposer_signature = signed != ProposerCheck::Unknown;
            let flags = UpdateFlags { skip_proposer_signature, ..UpdateFlags::default() };
            protocol.transition(state, &slot.block, flags).expect("an honest block");
            protocol.block_effects(state, &slot.block).expect("a sound state");
            latencies.push(start.elapsed());
            self.votes(&slot.votes, slot.block.root(), share(batches, at, new.len()));
        }
        self.done = slots;
    }

    /// Verifies the votes of a slot, whose block was just imported, in `batches` batches.
    fn votes(&mut self, votes: &[SharedAttestation], newest: Root, batches: usize) {
        let start = Instant::now();
        self.retarget(votes, newest);
        for batch in votes.chunks(votes.len().div_ceil(batches).max(1)) {
            for outcome in self.protocol.verify_attestations(&self.target.1, batch) {
                outcome.expect("an honest vote");
            }
        }
        let each = start.elapsed() / votes.len().max(1) as u32;
        self.latencies.extend(votes.iter().map(|_| each));
    }

    /// Has the state of the votes' target at hand: the last one, or that of the newest block,
    /// advanced to the target's epoch.
    fn retarget(&mut self, votes: &[SharedAttestation], newest: Root) {
        let Some(target) = votes.first().map(|vote| vote.value().data.target) else { return };
        let start = self.protocol.start_slot(target.epoch);
        if self.target.0 == target.root && self.target.1.slot >= start {
            return;
        }
        assert_eq!(
            target.root, newest,
            "an honest chain has a block in the first slot of an epoch"
        );
        let mut state = self.state.clone();
        let start = start.max(state.slot);
        self.protocol.advance(&mut state, start).expect("ahead of the state");
        self.target = (newest, state);
    }
}

/// Returns how many of `batches` belong to slot number `at` of `slots`, if they are spread evenly;
/// at least one.
fn share(batches: u64, at: usize, slots: usize) -> usize {
    let until = |slot: usize| batches as usize * slot / slots;
    (until(at + 1) - until(at)).max(1)
}

/// Returns how many times the CPU time of direct calls the same items took through the services.
pub(super) fn times(played: &Played, direct: &Direct<'_>) -> f64 {
    played.cpu.as_secs_f64() / direct.cpu().as_secs_f64().max(f64::MIN_POSITIVE)
}

fn a_second(items: usize, cpu: Duration) -> f64 {
    items as f64 / cpu.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Says what honest slots cost through the services, busy or paced, against direct calls.
pub(super) fn note(pace: &str, played: &Played, direct: &Direct<'_>) -> String {
    format!(
        "{pace}, {:.0} items per CPU second through the services, {:.0} by the same direct calls: \
         {:.3} times the time; {:.2} batches of votes a slot",
        a_second(played.latencies.len(), played.cpu),
        direct.a_second(),
        times(played, direct),
        played.work.batches as f64 / played.slots.max(1) as f64,
    )
}

/// Says what direct calls yield if the votes of a slot are one batch.
pub(super) fn fewest(chain: &Chain, slots: usize) -> String {
    let mut direct = Direct::new(chain, 1);
    direct.go_on(slots, 0);
    format!("with one batch a slot, direct calls yield {:.0}", direct.a_second())
}
