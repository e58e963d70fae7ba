//! Shows the slashing detector honest validators' votes, aggregated as committees do, and prints
//! the time for a vote, the memory for a vote, and how long the window is under the default bound.
//!
//! `cargo run --release -p blocksmith --example slashing [VALIDATORS] [EPOCHS]`

use std::error::Error;
use std::time::{Duration, Instant};

use blocksmith::consensus::{Consensus, Epoch, IndexedVote};
use blocksmith::machine::Machine;
use blocksmith::slashing::{Event, Limits, SlashingDetector};
use blocksmith_consensus::{
    AggregationBits, Attestation, AttestationData, ChainConfig, Checkpoint, Mainnet, Phase0, Root,
    SharedAttestation, SignatureBytes,
};

type Protocol = Phase0<Mainnet>;

/// Committees of an epoch: 64 in each of 32 slots, as with 260,000 validators and more.
const COMMITTEES: u64 = 64 * 32;
/// The least number of members of a committee.
const TARGET_COMMITTEE_SIZE: u64 = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let validators = numbers.next().transpose()?.unwrap_or(100_000);
    let epochs = numbers.next().transpose()?.unwrap_or(1024);
    let protocol = Protocol::new(ChainConfig::mainnet());
    let limits = Limits { epochs, bytes: usize::MAX, ..Limits::new(32) };
    let mut detector = SlashingDetector::<Protocol>::new(limits);

    let (mut time, mut late) = (Duration::ZERO, Duration::ZERO);
    for target in 1..=epochs {
        // Each committee's votes come in two overlapping aggregates, as from two aggregators.
        let events =
            [(0, 90), (10, 100)].map(|percent| votes(&protocol, validators, target, percent));
        let [first, second] = events.map(|events| {
            let start = Instant::now();
            for event in events {
                assert!(detector.handle(&protocol, event).is_empty(), "honest votes");
            }
            start.elapsed()
        });
        time += first + second;
        late += if target > epochs / 2 { first + second } else { Duration::ZERO };
    }
    let per_vote = |time: Duration, epochs: u64| {
        // Each of the two aggregates has nine tenths of a committee.
        time.as_nanos() as f64 / (validators as f64 * 1.8 * epochs as f64)
    };
    let bytes = detector.bytes();
    let of_epoch = bytes as f64 / epochs as f64;
    println!("{validators} validators, {epochs} epochs, 2 aggregates of 90 % of each committee");
    println!(
        "{:.0} ns for each vote, {:.0} in the later half",
        per_vote(time, epochs),
        per_vote(late, epochs - epochs / 2)
    );
    println!(
        "{:.1} MB in all, {:.2} MB for each epoch, {:.1} bytes for each vote",
        bytes as f64 / 1e6,
        of_epoch / 1e6,
        of_epoch / validators as f64
    );
    let bound = Limits::new(32).bytes;
    println!("{:.0} epochs in {} MiB", bound as f64 / of_epoch, bound >> 20);
    Ok(())
}

/// Returns the votes for one target of a part of each committee, in percent of its members.
fn votes(
    protocol: &Protocol,
    validators: u64,
    target: Epoch,
    (from, to): (u64, u64),
) -> Vec<Event<Protocol>> {
    let committees = COMMITTEES.min((validators / TARGET_COMMITTEE_SIZE).max(1));
    let committee = |index: u64| {
        // Members are spread over the registry and change with the epoch.
        let all = (0..validators).skip(((index + target) % committees) as usize);
        let members: Vec<u64> = all.step_by(committees as usize).collect();
        let part = |percent| members.len() * percent as usize / 100;
        let (from, to) = (part(from), part(to));
        let bits: Vec<bool> = (0..members.len()).map(|at| from <= at && at < to).collect();
        (members[from..to].to_vec(), bits)
    };
    let checkpoint = |epoch: Epoch| Checkpoint { epoch, root: Root::new([epoch as u8; 32]) };
    let event = |index: u64| {
        let (indices, bits) = committee(index);
        let attestation = SharedAttestation::from(Attestation {
            aggregation_bits: AggregationBits::try_from(bits.as_slice()).expect("a committee"),
            data: AttestationData {
                slot: target * 32 + index % 32,
                index: index / 32,
                beacon_block_root: Root::new([index as u8; 32]),
                source: checkpoint(target - 1),
                target: checkpoint(target),
            },
            signature: SignatureBytes::ZERO,
        });
        let vote = protocol.vote(&attestation);
        Event::Attestation { indexed: IndexedVote { vote, indices }, attestation }
    };
    (0..committees).map(event).collect()
}
