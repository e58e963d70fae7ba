//! Sends a flood of attestations of one target through the running services, verified one at a time
//! and together, and prints as a ratio how many are verified per second of processor time.
//!
//! `cargo run --release -p blocksmith-consensus --example attestations`

use std::sync::Arc;
use std::time::Duration;

use blocksmith::{Anchor, Blocksmith, Config};
use blocksmith_consensus::{
    Attestation, AttestationData, Checkpoint, DOMAIN_BEACON_ATTESTER, Minimal, Phase0, Root,
    SharedAttestation, SignatureBytes, Wire, bls, get_beacon_committee,
    get_committee_count_per_slot, get_domain,
};
use blocksmith_sync::Std;
use rustix::time::{ClockId, clock_gettime};

#[path = "../tests/it/support.rs"]
#[allow(dead_code)]
mod support;

use support::{State, config, genesis, sign};

/// Runs of each kind, in turn; the shortest time of each counts.
const ROUNDS: usize = 5;

fn main() {
    let state = genesis();
    let root = anchor_root(&state);
    let votes = votes(&state, root);
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (best, batch) in best.iter_mut().zip([1, Config::default().attestation_batch]) {
            *best = (*best).min(flood(&state, root, &votes, batch));
        }
    }
    let [one_by_one, together] = best.map(|time| time.as_secs_f64());
    println!("{} attestations of one target, services on real threads", votes.len());
    println!("per second of processor time: {:.2} times as many together", one_by_one / together);
}

/// The processor time that all services need for verdicts on `votes`.
fn flood(state: &State, root: Root, votes: &[SharedAttestation], batch: usize) -> Duration {
    let consensus = Arc::new(Phase0::<Minimal>::new(config()));
    let anchor = Anchor { root, slot: 0, state: state.clone() };
    let mailbox_per_peer = usize::MAX;
    let config = Config {
        attestation_batch: batch,
        mailbox_per_peer,
        observe_every: None,
        ..Config::default()
    };
    let (services, _notices) =
        Blocksmith::<Std, _>::start(config, consensus, anchor).expect("the sizes are not zero");
    let client = services.client();
    client.tick(9, Duration::ZERO);
    let before = processor_time();
    let submissions: Vec<_> =
        votes.iter().map(|vote| client.submit_attestation(vote.clone(), 0, 1)).collect();
    for submission in submissions {
        assert_eq!(submission.wait().reason(), "ok");
    }
    let time = processor_time() - before;
    services.stop();
    time
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Attestations to `root` by one, two, .. members of each committee of the first epoch.
fn votes(state: &State, root: Root) -> Vec<SharedAttestation> {
    let domain = get_domain(state, DOMAIN_BEACON_ATTESTER, 0);
    let target = Checkpoint { epoch: 0, root };
    let mut votes = Vec::new();
    for slot in 0..8 {
        for index in 0..get_committee_count_per_slot(state, 0).expect("committees") {
            let committee = get_beacon_committee(state, slot, index).expect("a committee");
            let data = AttestationData {
                slot,
                index,
                beacon_block_root: root,
                source: state.current_justified_checkpoint,
                target,
            };
            let message = data.hash_tree_root();
            let parts: Vec<SignatureBytes> =
                committee.iter().map(|member| sign(*member, message, domain)).collect();
            for pattern in 1..1u32 << committee.len() {
                let bits: Vec<bool> =
                    (0..committee.len()).map(|at| pattern >> at & 1 == 1).collect();
                let signers = parts.iter().zip(&bits).filter(|(_, bit)| **bit);
                let signers: Vec<_> = signers.map(|(part, _)| *part).collect();
                let attestation = Attestation {
                    aggregation_bits: bits.as_slice().try_into().expect("within the limit"),
                    data: data.clone(),
                    signature: bls::aggregate(&signers).expect("signatures"),
                };
                votes.push(attestation.into());
            }
        }
    }
    votes
}

/// The root of the block that a genesis state follows.
fn anchor_root(state: &State) -> Root {
    let mut header = state.latest_block_header.clone();
    header.state_root = state.hash_tree_root();
    header.hash_tree_root()
}
