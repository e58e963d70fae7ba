//! Values that are derived from a state and shared by its clones.
//!
//! | cache | key | shared by | replaced |
//! |---|---|---|---|
//! | proposers and their keys, total active balance | epoch | states of one epoch start | each epoch |
//! | committees | dependent root and epoch (`shufflings`) | all descendants of one state | when there are too many |
//! | index of public keys | position in the registry | clones, copy on write | by deposits |
//! | decompressed keys, affine | validator index and bytes | all descendants of one state | never, grows |
//! | the last root, and the roots of the small fields (`known_roots`) | value | clones, copy on write | by the next root |
//! | exit queue | - | no other state (two numbers, by value) | by every exit |
//!
//! The context of the next epoch is made current at the end of `process_effective_balance_updates`.
//!
//! - C1: the shuffling of epochs up to the next one, and the balances that count, are fixed from
//!   the start of an epoch on. Seeds mix what was revealed two epochs before, activations and exits
//!   take effect at least `MAX_SEED_LOOKAHEAD` epochs later, and effective balances change only
//!   between epochs. Hence branches that part within an epoch may share one context, and branches
//!   that part after the block that an epoch's committees depend on may share these committees
//!   (`shufflings`).
//! - C2: a context answers only for its own epoch. A state that is in another epoch computes anew.
//! - C3: a decompressed key is only handed out for the compressed bytes that it came from, so two
//!   branches that register different keys at one index cannot mislead each other.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::bls::{BlsError, PublicKey};
use crate::containers::Validator;
use crate::known_roots::KnownRoots;
use crate::preset::Length;
use crate::primitives::{Epoch, Gwei, PublicKeyBytes, ValidatorIndex};
use crate::shufflings::{Committees, Shufflings};
use crate::tree::PersistentList;

type Validators<N> = PersistentList<Validator, N>;

/// Everything that a state caches. A clone copies a handful of pointers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caches {
    pub(crate) epoch: Option<Arc<EpochContext>>,
    pub(crate) shufflings: Arc<Shufflings>,
    pub(crate) public_key_index: PublicKeyIndex,
    pub(crate) public_keys: Arc<PublicKeyTable>,
    pub(crate) exit_queue: Option<ExitQueue>,
    pub(crate) roots: KnownRoots,
}

impl Caches {
    /// Brings the index of public keys up to the registry's length.
    pub(crate) fn index_public_keys<N: Length>(&mut self, validators: &Validators<N>) {
        self.public_key_index.extend(validators);
    }

    /// Makes the context of `epoch` current, keeping the committees that stay valid.
    pub(crate) fn start_epoch(&mut self, epoch: Epoch) {
        let context = match self.epoch.take() {
            Some(old) if old.epoch.checked_add(1) == Some(epoch) => EpochContext {
                epoch,
                previous: old.current.clone(),
                current: old.next.clone(),
                ..EpochContext::default()
            },
            _ => EpochContext { epoch, ..EpochContext::default() },
        };
        self.epoch = Some(Arc::new(context));
    }
}

/// The end of the exit queue: the last epoch that has exits, and how many it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExitQueue {
    pub(crate) last_epoch: Epoch,
    pub(crate) exits: u64,
}

/// Values that are fixed for one epoch; each is computed when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct EpochContext {
    pub(crate) epoch: Epoch,
    pub(crate) previous: OnceLock<Arc<Committees>>,
    pub(crate) current: OnceLock<Arc<Committees>>,
    pub(crate) next: OnceLock<Arc<Committees>>,
    pub(crate) total_active_balance: OnceLock<Gwei>,
    pub(crate) active_validator_count: OnceLock<u64>,
    /// Indexed by slot of the epoch.
    pub(crate) proposers: OnceLock<Box<[ValidatorIndex]>>,
    /// Indexed by slot of the epoch (`duties`).
    pub(crate) proposer_keys: OnceLock<Box<[Result<PublicKey, BlsError>]>>,
}

/// Recent additions that may be copied cheaply before they are merged into the shared base.
const OVERLAY_LIMIT: usize = 256;

/// Finds the registry position of a public key. The lowest position wins, as in the specification.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublicKeyIndex {
    base: Arc<HashMap<PublicKeyBytes, ValidatorIndex>>,
    overlay: Arc<HashMap<PublicKeyBytes, ValidatorIndex>>,
    indexed: usize,
}

impl PublicKeyIndex {
    pub(crate) fn extend<N: Length>(&mut self, validators: &Validators<N>) {
        if validators.len() == self.indexed {
            return;
        }
        if validators.len() < self.indexed {
            // The registry never shrinks; if it was replaced by hand, start over.
            *self = Self::default();
        }
        let new = (self.indexed..validators.len()).filter_map(|index| validators.get(index));
        let bulk = validators.len() - self.indexed + self.overlay.len() > OVERLAY_LIMIT;
        if bulk {
            let base = Arc::make_mut(&mut self.base);
            base.reserve(validators.len() - self.indexed + self.overlay.len());
            base.extend(self.overlay.iter().map(|(key, index)| (*key, *index)));
            self.overlay = Arc::default();
        }
        for (index, validator) in (self.indexed as u64..).zip(new) {
            if self.get(&validator.pubkey).is_none() {
                let map = if bulk { &mut self.base } else { &mut self.overlay };
                Arc::make_mut(map).insert(validator.pubkey, index);
            }
        }
        self.indexed = validators.len();
    }

    pub(crate) fn get(&self, key: &PublicKeyBytes) -> Option<ValidatorIndex> {
        self.overlay.get(key).or_else(|| self.base.get(key)).copied()
    }
}

/// Public keys that were decompressed and found to be in the group, as affine points by validator
/// index. All states of a chain share the table. It is read without decompressing, and written when
/// a validator's key is first needed or its deposit is accepted.
#[derive(Debug, Default)]
pub(crate) struct PublicKeyTable {
    keys: RwLock<Vec<Option<(PublicKeyBytes, PublicKey)>>>,
}

impl PublicKeyTable {
    /// The key of `compressed`, which is at `index` of a registry. It is decompressed at most once,
    /// unless branches disagree about it.
    pub(crate) fn get(
        &self,
        index: usize,
        compressed: &PublicKeyBytes,
    ) -> Result<PublicKey, BlsError> {
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(index).copied();
        match known.flatten() {
            Some((bytes, key)) if bytes == *compressed => return Ok(key),
            // Another branch's key is there: by C3 this one is decompressed each time.
            Some(_) => return PublicKey::from_bytes(compressed),
            None => {}
        }
        let key = PublicKey::from_bytes(compressed)?;
        self.insert(index, *compressed, key);
        Ok(key)
    }

    /// The sum of the keys of several validators. Looks them all up under one lock.
    pub(crate) fn aggregate<'a>(
        &self,
        validators: impl Iterator<Item = (usize, &'a PublicKeyBytes)> + Clone,
    ) -> Result<PublicKey, BlsError> {
        let known = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            let look_up = |(index, compressed): (usize, &PublicKeyBytes)| match keys.get(index) {
                Some(Some((bytes, key))) if bytes == compressed => Some(*key),
                _ => None,
            };
            validators.clone().map(look_up).collect::<Option<Vec<_>>>()
        };
        let keys = match known {
            Some(keys) => keys,
            None => validators
                .map(|(index, compressed)| self.get(index, compressed))
                .collect::<Result<_, _>>()?,
        };
        PublicKey::aggregate(&keys)
    }

    /// Remembers a key that was checked. An existing entry stays.
    pub(crate) fn insert(&self, index: usize, compressed: PublicKeyBytes, key: PublicKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() <= index {
            keys.resize(index + 1, None);
        }
        keys[index].get_or_insert((compressed, key));
    }
}
