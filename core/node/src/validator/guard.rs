//! Slashing protection on this side of the signer: a second lock, in memory.

use std::sync::{Mutex, PoisonError};

use blocksmith::beacon_validator::Protection;
use blocksmith::slashing_protection::{
    Limits, MemoryStore, Outcome, Refusal, Request, Statement, check_and_record,
};
use blocksmith_consensus::{PublicKeyBytes, Root};

use super::requests::{Guard, GuardedMessage};

/// Slashing protection that lasts as long as the process. It does not stand for the signer's, which
/// is durable; it keeps a mistake of this process from reaching a signer that has none.
#[derive(Debug)]
pub struct MemoryGuard {
    genesis: Root,
    limits: Limits,
    store: Mutex<MemoryStore>,
}

impl MemoryGuard {
    /// Returns a guard for the chain with this `genesis_validators_root`.
    #[must_use]
    pub fn new(genesis: Root, limits: Limits) -> Self {
        Self { genesis, limits, store: Mutex::default() }
    }
}

impl Guard for MemoryGuard {
    fn protect(&self, messages: &[(PublicKeyBytes, GuardedMessage)]) -> Vec<Protection> {
        let request = |(key, message): &(PublicKeyBytes, GuardedMessage)| {
            let statement = match *message {
                GuardedMessage::Block { slot, signing_root } => {
                    Statement::Block { slot, signing_root: signing_root.to_bytes() }
                }
                GuardedMessage::Attestation { source, target, signing_root } => {
                    let signing_root = signing_root.to_bytes();
                    Statement::Attestation { source, target, signing_root }
                }
            };
            Request { genesis: self.genesis.to_bytes(), key: key.to_bytes(), statement }
        };
        let batch: Vec<Request> = messages.iter().map(request).collect();
        // A batch that panicked was not committed.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        match check_and_record(&mut *store, &self.limits, &batch) {
            Ok(outcomes) => outcomes.into_iter().map(said).collect(),
            Err(_) => vec![Protection::Failed; messages.len()],
        }
    }
}

fn said(outcome: Outcome) -> Protection {
    match outcome {
        Outcome::Recorded | Outcome::AlreadySigned => Protection::Recorded,
        Outcome::Refused(Refusal::DoubleBlock(_) | Refusal::DoubleVote(_)) => {
            Protection::AlreadySigned
        }
        Outcome::Refused(_) => Protection::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_message_of_a_slot_or_target_is_refused_and_the_same_one_is_not() {
        // Blocks and attestations of one key, and the same of another.
        let guard = MemoryGuard::new(Root::new([9; 32]), Limits::default());
        let root = |byte| Root::new([byte; 32]);
        let block = |slot, byte| GuardedMessage::Block { slot, signing_root: root(byte) };
        let vote = |source, target, byte| GuardedMessage::Attestation {
            source,
            target,
            signing_root: root(byte),
        };
        let key = |byte| PublicKeyBytes::new([byte; 48]);
        let said = guard.protect(&[
            (key(1), block(5, 1)),
            (key(1), block(5, 2)),
            (key(1), block(5, 1)),
            (key(2), block(5, 2)),
            (key(1), vote(1, 4, 3)),
            (key(1), vote(2, 4, 4)),
            (key(1), vote(2, 3, 5)),
        ]);
        use Protection::{AlreadySigned, Recorded, Refused};
        assert_eq!(
            said,
            [Recorded, AlreadySigned, Recorded, Recorded, Recorded, AlreadySigned, Refused]
        );
    }
}
