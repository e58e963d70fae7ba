//! The floor: the signatures of the gossip alone, in batches, on as many threads as the services
//! have workers.
//!
//! A batch is the usual one, over blst itself: each signature has a message and a key of its own,
//! even if others have the same, and the signatures are summed with their scalars all at once.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use blocksmith_consensus::Root;
use blst::min_pk::{PublicKey, Signature};
use blst::{BLST_ERROR, MultiPoint, Pairing, blst_fp12, blst_p1_affine, blst_p2_affine};

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

/// What a batch is made of.
struct Set {
    key: PublicKey,
    message: Root,
    signature: Signature,
}

fn set(signed: &Signed) -> Set {
    let key = match &signed.keys[..] {
        [only] => *only,
        keys => keys.add().to_public_key(),
    };
    let signature = Signature::sig_validate(signed.signature.as_ref(), false);
    Set { key, message: signed.message, signature: signature.expect("a point of the group") }
}

/// Returns whether all signatures are valid, by one pairing product.
fn verify_batch(sets: &[Set]) -> bool {
    /// Domain separation tag of the suite.
    const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    /// Size of a scalar, in bytes. Nobody has chosen the signatures by them, so they need not be
    /// secret here; they cost what secret ones do.
    const SCALAR: usize = 8;
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let numbers = (1..=sets.len() as u64).map(|number| ODD.wrapping_mul(number) | 1);
    let scalars: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
    let mut pairing = Pairing::new(true, DST);
    for (set, scalar) in sets.iter().zip(scalars.chunks_exact(SCALAR)) {
        let key: &blst_p1_affine = (&set.key).into();
        let message = set.message.as_ref();
        let taken =
            pairing.mul_n_aggregate(key, false, &(), false, scalar, SCALAR * 8, message, &[]);
        assert_eq!(taken, BLST_ERROR::BLST_SUCCESS);
    }
    pairing.commit();
    let signatures: Vec<Signature> = sets.iter().map(|set| set.signature).collect();
    let sum = signatures.as_slice().mult(&scalars, SCALAR * 8).to_signature();
    let mut of_signatures = blst_fp12::default();
    Pairing::aggregated(&mut of_signatures, <&blst_p2_affine>::from(&sum));
    pairing.finalverify(Some(&of_signatures))
}

impl<'a> Batches<'a> {
    fn of(signed: &'a [Vec<Signed>], batch: usize) -> Self {
        Self(signed.chunks(batch).map(|items| items.iter().flatten().collect()).collect())
    }

    /// Returns the CPU time of reading every signature, summing keys, and verifying all batches.
    fn whole(&self, threads: usize) -> Duration {
        self.each(threads, |batch| {
            let sets: Vec<_> = batch.iter().map(|signed| set(signed)).collect();
            verify_batch(&sets)
        })
    }

    /// Returns the CPU time of the batches alone.
    fn pairings(&self, threads: usize) -> Duration {
        let batches = self.0.iter();
        let sets: Vec<Vec<_>> =
            batches.map(|batch| batch.iter().map(|signed| set(signed)).collect()).collect();
        let next = AtomicUsize::new(0);
        measured(threads, &next, sets.len(), |at| verify_batch(&sets[at]))
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
    [times(Batches::whole), times(Batches::pairings)]
}
