//! The floor: the signatures of the gossip alone, in batches, on as many threads as the services
//! have workers.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use blocksmith_consensus::bls::{PublicKey, Signature, SignatureSet, verify_batch};

use crate::cpu_time;
use crate::slot::{Gossip, Signed};

/// CPU time of each kind of item.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) block: Duration,
    pub(crate) singles: Duration,
    pub(crate) aggregates: Duration,
}

impl Parts {
    pub(crate) fn total(&self) -> Duration {
        self.block + self.singles + self.aggregates
    }
}

/// Signatures of `batch` items at a time, a worker's bound.
struct Batches<'a>(Vec<Vec<&'a Signed>>);

fn set(signed: &Signed) -> SignatureSet {
    SignatureSet {
        public_key: PublicKey::aggregate(&signed.keys).expect("valid keys"),
        message: signed.message,
        signature: Signature::from_bytes(&signed.signature).expect("a point of the group"),
    }
}

impl<'a> Batches<'a> {
    fn of(signed: &'a [Vec<Signed>], batch: usize) -> Self {
        Self(signed.chunks(batch).map(|items| items.iter().flatten().collect()).collect())
    }

    /// Returns the CPU time of reading every signature, summing keys, and verifying all batches.
    fn from_bytes(&self, threads: usize) -> Duration {
        self.each(threads, |batch| {
            let sets: Vec<_> = batch.iter().map(|signed| set(signed)).collect();
            verify_batch(&sets).expect("entropy")
        })
    }

    /// Returns the CPU time of the batches alone.
    fn pairings(&self, threads: usize) -> Duration {
        let batches = self.0.iter();
        let sets: Vec<Vec<_>> =
            batches.map(|batch| batch.iter().map(|signed| set(signed)).collect()).collect();
        let next = AtomicUsize::new(0);
        measured(threads, &next, sets.len(), |at| verify_batch(&sets[at]).expect("entropy"))
    }

    fn each(&self, threads: usize, verify: impl Fn(&[&Signed]) -> bool + Sync) -> Duration {
        measured(threads, &AtomicUsize::new(0), self.0.len(), |at| verify(&self.0[at]))
    }
}

/// Runs `count` steps, drawn by `threads`, each of which has to hold.
fn measured(
    threads: usize,
    next: &AtomicUsize,
    count: usize,
    step: impl Fn(usize) -> bool + Sync,
) -> Duration {
    let before = cpu_time();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    // ORDERING: relaxed; the number alone is shared.
                    let at = next.fetch_add(1, Relaxed);
                    if at >= count {
                        break;
                    }
                    assert!(step(at), "an honest signature");
                }
            });
        }
    });
    cpu_time() - before
}

/// Returns the time of all signatures from their bytes and lists of keys, and that of the pairings
/// alone.
pub(crate) fn run<'a>(gossip: &'a Gossip, batch: usize, threads: usize) -> [Parts; 2] {
    let block = Batches(vec![gossip.block_signed.iter().collect()]);
    let singles = Batches::of(&gossip.singles.signed, batch);
    let aggregates = Batches::of(&gossip.aggregates.signed, batch);
    let times = |time: fn(&Batches<'a>, usize) -> Duration| Parts {
        block: time(&block, threads),
        singles: time(&singles, threads),
        aggregates: time(&aggregates, threads),
    };
    [times(Batches::from_bytes), times(Batches::pairings)]
}
