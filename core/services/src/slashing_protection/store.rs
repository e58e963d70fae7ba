//! The store of what was signed, and the three things that are done with it as one transaction
//! each: a batch of requests, an import, an export.
//!
//! | step of a batch | if it fails, or the process ends there |
//! |---|---|
//! | begin, read, write | nothing was recorded, and nothing is signed |
//! | commit | all or nothing was recorded, and nothing is signed |
//! | the call returns | all was recorded; what is not signed now can be asked for again |

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::machine::{Effect, Event, History, Limits, Merge, Outcome, Refusal, Statement, Write};
use super::record::{MAX_NUMBER, Records};
use crate::machine::Machine;
use crate::store::StoreError;

/// A compressed public key.
pub type Key = [u8; 48];
/// The root of a chain's first registry.
pub type GenesisRoot = [u8; 32];

/// One message that somebody wants to have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The chain that the message is for.
    pub genesis: GenesisRoot,
    /// Who is to sign.
    pub key: Key,
    /// The message.
    pub statement: Statement,
}

/// What was signed, by key; one transaction at a time.
pub trait ProtectionStore {
    /// A transaction; dropping it without a commit leaves the store as it was.
    type Transaction<'a>: Transaction
    where
        Self: 'a;

    /// Begins a transaction. Until it ends, no other handle of the same store can write: neither in
    /// this process nor in another.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another handle writes, another if the store cannot be used.
    fn begin(&mut self) -> Result<Self::Transaction<'_>, StoreError>;
}

/// Reads and writes that happen together or not at all.
pub trait Transaction {
    /// Returns the chain that the store belongs to, if that is known.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn genesis(&mut self) -> Result<Option<GenesisRoot>, StoreError>;

    /// Binds the store to a chain for good.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn bind(&mut self, genesis: &GenesisRoot) -> Result<(), StoreError>;

    /// Returns all keys of which something is known, in order.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn keys(&mut self) -> Result<Vec<Key>, StoreError>;

    /// Returns what is known of a key: for an unknown key the empty history.
    ///
    /// # Errors
    /// If the store cannot be read, or holds what cannot be.
    fn history(&mut self, key: &Key) -> Result<History, StoreError>;

    /// Makes a change of what is known of a key.
    ///
    /// # Errors
    /// If the store cannot be written. A block of a slot, or an attestation of a target, that is on
    /// record already is refused: a store has each at most once.
    fn write(&mut self, key: &Key, write: &Write) -> Result<(), StoreError>;

    /// Ends the transaction. What was written survives the end of the process and of the machine.
    ///
    /// # Errors
    /// If it cannot be made durable. The store must not be used any more then, since nobody knows
    /// what is on the disk.
    fn commit(self) -> Result<(), StoreError>;
}

/// Says for each request whether it may be signed, and records those that may: I1. The outcomes are
/// in the order of the requests, and a request sees those before it. Blocks for at most one commit;
/// if nothing new may be signed, there is none.
///
/// # Errors
/// If the store fails. Then nothing of the batch may be signed.
pub fn check_and_record<S: ProtectionStore>(
    store: &mut S,
    limits: &Limits,
    requests: &[Request],
) -> Result<Vec<Outcome>, StoreError> {
    let mut transaction = store.begin()?;
    let mut genesis = transaction.genesis()?;
    let mut histories: BTreeMap<Key, History> = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(requests.len());
    let mut changed = false;
    for request in requests {
        if genesis.is_some_and(|genesis| genesis != request.genesis) {
            outcomes.push(Outcome::Refused(Refusal::OtherChain));
            continue;
        }
        let history = match histories.entry(request.key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(transaction.history(&request.key)?),
        };
        for effect in history.handle(limits, Event::Sign(request.statement)) {
            match effect {
                Effect::Write(write) => {
                    transaction.write(&request.key, &write)?;
                    changed = true;
                }
                Effect::Answer(outcome) => outcomes.push(outcome),
            }
        }
        if genesis.is_none() && changed {
            transaction.bind(&request.genesis)?;
            genesis = Some(request.genesis);
        }
    }
    if changed {
        transaction.commit()?;
    }
    assert_eq!(outcomes.len(), requests.len(), "each request has one answer");
    Ok(outcomes)
}

/// Why nothing was imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is of another chain than the store.
    #[error("the genesis validators root is not that of the records")]
    OtherChain,
    /// A slot or an epoch is above [`MAX_NUMBER`].
    #[error("{0} is no slot or epoch that could be recorded")]
    OutOfRange(u64),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes in what was signed elsewhere, all of it or nothing; several entries of one key count as
/// one. Returns the number of keys of which more is known now. Blocks for at most one commit.
///
/// # Errors
/// [`ImportError::OtherChain`] if the store belongs to another chain, [`ImportError::OutOfRange`]
/// if a number cannot be stored, [`ImportError::Store`] if the store fails.
pub fn import<S: ProtectionStore>(
    store: &mut S,
    limits: &Limits,
    genesis: &GenesisRoot,
    entries: impl IntoIterator<Item = (Key, Records)>,
    merge: Merge,
) -> Result<usize, ImportError> {
    let mut by_key: BTreeMap<Key, Records> = BTreeMap::new();
    for (key, records) in entries {
        let slots = records.blocks.iter().map(|block| block.slot);
        let epochs = records.attestations.iter().map(|vote| vote.source.max(vote.target));
        if let Some(number) = slots.chain(epochs).find(|number| *number > MAX_NUMBER) {
            return Err(ImportError::OutOfRange(number));
        }
        let of_key = by_key.entry(key).or_default();
        of_key.blocks.extend(records.blocks);
        of_key.attestations.extend(records.attestations);
    }
    let mut transaction = store.begin()?;
    match transaction.genesis()? {
        Some(bound) if bound != *genesis => return Err(ImportError::OtherChain),
        Some(_) => {}
        None => transaction.bind(genesis)?,
    }
    let mut changed = 0;
    for (key, records) in by_key {
        let mut history = transaction.history(&key)?;
        for effect in history.handle(limits, Event::Import(records, merge)) {
            if let Effect::Write(write) = effect {
                transaction.write(&key, &write)?;
                changed += 1;
            }
        }
    }
    transaction.commit()?;
    Ok(changed)
}

/// What can be told to another signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The chain.
    pub genesis: GenesisRoot,
    /// Keys and what is known of each.
    pub entries: Vec<(Key, Records)>,
}

/// Returns what is known of all keys: everything, or, if `minimal`, one block and one attestation
/// of each. `None` if the store belongs to no chain yet: then nothing was signed. Only reads.
///
/// # Errors
/// If the store cannot be read.
pub fn export<S: ProtectionStore>(
    store: &mut S,
    minimal: bool,
) -> Result<Option<Export>, StoreError> {
    let mut transaction = store.begin()?;
    let Some(genesis) = transaction.genesis()? else { return Ok(None) };
    let mut entries = Vec::new();
    for key in transaction.keys()? {
        let history = transaction.history(&key)?;
        entries.push((key, if minimal { history.minimal() } else { history.complete() }));
    }
    Ok(Some(Export { genesis, entries }))
}

/// A store in memory: for tests, models, and keys that nobody else has. It forgets everything with
/// the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryStore {
    genesis: Option<GenesisRoot>,
    histories: BTreeMap<Key, History>,
}

/// A transaction of a [`MemoryStore`].
pub struct MemoryTransaction<'a> {
    store: &'a mut MemoryStore,
    genesis: Option<GenesisRoot>,
    changed: BTreeMap<Key, History>,
}

impl ProtectionStore for MemoryStore {
    type Transaction<'a> = MemoryTransaction<'a>;

    fn begin(&mut self) -> Result<MemoryTransaction<'_>, StoreError> {
        let genesis = self.genesis;
        Ok(MemoryTransaction { store: self, genesis, changed: BTreeMap::new() })
    }
}

impl Transaction for MemoryTransaction<'_> {
    fn genesis(&mut self) -> Result<Option<GenesisRoot>, StoreError> {
        Ok(self.genesis)
    }

    fn bind(&mut self, genesis: &GenesisRoot) -> Result<(), StoreError> {
        self.genesis = Some(*genesis);
        Ok(())
    }

    fn keys(&mut self) -> Result<Vec<Key>, StoreError> {
        let known = self.store.histories.keys().filter(|key| !self.changed.contains_key(*key));
        let mut keys: Vec<Key> = known.chain(self.changed.keys()).copied().collect();
        keys.sort_unstable();
        Ok(keys)
    }

    fn history(&mut self, key: &Key) -> Result<History, StoreError> {
        let history = self.changed.get(key).or_else(|| self.store.histories.get(key));
        Ok(history.cloned().unwrap_or_default())
    }

    fn write(&mut self, key: &Key, write: &Write) -> Result<(), StoreError> {
        let mut history = self.history(key)?;
        let taken = match write {
            Write::Block(block) => history.blocks().any(|other| other.slot == block.slot),
            Write::Attestation(vote) => {
                history.attestations().any(|other| other.target == vote.target)
            }
            _ => false,
        };
        if taken {
            let (what, problem) = (format!("{write:?}"), "on record already".to_owned());
            return Err(StoreError::Refused { what, problem });
        }
        history.apply(write.clone());
        self.changed.insert(*key, history);
        Ok(())
    }

    fn commit(self) -> Result<(), StoreError> {
        self.store.genesis = self.genesis;
        self.store.histories.extend(self.changed);
        Ok(())
    }
}
