//! The phase0 `BeaconState`: persistent lists, and caches that clones share.
//!
//! Everything whose length grows with the chain is a persistent tree (`tree`): a clone of the state
//! copies one pointer per list, neighbours share nodes, and each node remembers its hash, so that a
//! root after a few writes costs only the hashes on a few paths.
//!
//! - S1: the caches (`caches`) are functions of the fields. Code that writes `validators`, `slot`
//!   or `randao_mixes` by other means than this crate's functions must call
//!   [`BeaconState::drop_caches`].
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "BeaconState".

use std::collections::HashSet;

use crate::caches::Caches;
use crate::containers::{
    BeaconBlockHeader, Checkpoint, Eth1Data, Fork, PendingAttestation, Validator,
};
use crate::domains::compute_epoch_at_slot;
use crate::gloas::PtcWindow;
use crate::hashing::uint_leaf;
use crate::json::{Json, write_object};
use crate::known_roots::Known;
use crate::preset::{Length, Preset};
use crate::primitives::{Gwei, Root, Slot};
use crate::tree::{Element, Jobs, PersistentList, PersistentVector, RootJob};
use crate::wire::{BYTES_PER_OFFSET, DecodeError, Layout, Wire, decode_exact, split_container};

/// The state of the beacon chain after some block or slot.
///
/// # Examples
/// ```
/// use blocksmith_consensus::{BeaconState, Minimal};
/// assert!(BeaconState::<Minimal>::from_ssz_bytes(&[1, 2, 3]).is_err());
/// ```
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are those of the specification")]
pub struct BeaconState<P: Preset> {
    pub genesis_time: u64,
    pub genesis_validators_root: Root,
    pub slot: Slot,
    pub fork: Fork,
    pub latest_block_header: BeaconBlockHeader,
    pub block_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
    pub state_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
    pub historical_roots: PersistentList<Root, P::HistoricalRootsLimit>,
    pub eth1_data: Eth1Data,
    pub eth1_data_votes: PersistentList<Eth1Data, P::SlotsPerEth1VotingPeriod>,
    pub eth1_deposit_index: u64,
    pub validators: PersistentList<Validator, P::ValidatorRegistryLimit>,
    pub balances: PersistentList<Gwei, P::ValidatorRegistryLimit>,
    pub randao_mixes: PersistentVector<Root, P::EpochsPerHistoricalVector>,
    pub slashings: PersistentVector<Gwei, P::EpochsPerSlashingsVector>,
    pub previous_epoch_attestations: PersistentList<PendingAttestation, P::MaxPendingAttestations>,
    pub current_epoch_attestations: PersistentList<PendingAttestation, P::MaxPendingAttestations>,
    /// Bit `i` is set if the `i`-th last epoch was justified; the upper four bits are zero.
    pub justification_bits: u8,
    pub previous_justified_checkpoint: Checkpoint,
    pub current_justified_checkpoint: Checkpoint,
    pub finalized_checkpoint: Checkpoint,
    pub(crate) caches: Caches,
    /// Beside the state; only of the test fork (`payload_committee`).
    pub(crate) ptc_window: Option<PtcWindow<P>>,
}

/// Calls a macro with every field of the state in encoding order.
macro_rules! for_each_field {
    ($do:ident) => {
        $do!(
            genesis_time: u64,
            genesis_validators_root: Root,
            slot: Slot,
            fork: Fork,
            latest_block_header: BeaconBlockHeader,
            block_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
            state_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
            historical_roots: PersistentList<Root, P::HistoricalRootsLimit>,
            eth1_data: Eth1Data,
            eth1_data_votes: PersistentList<Eth1Data, P::SlotsPerEth1VotingPeriod>,
            eth1_deposit_index: u64,
            validators: PersistentList<Validator, P::ValidatorRegistryLimit>,
            balances: PersistentList<Gwei, P::ValidatorRegistryLimit>,
            randao_mixes: PersistentVector<Root, P::EpochsPerHistoricalVector>,
            slashings: PersistentVector<Gwei, P::EpochsPerSlashingsVector>,
            previous_epoch_attestations:
                PersistentList<PendingAttestation, P::MaxPendingAttestations>,
            current_epoch_attestations:
                PersistentList<PendingAttestation, P::MaxPendingAttestations>,
            justification_bits: u8,
            previous_justified_checkpoint: Checkpoint,
            current_justified_checkpoint: Checkpoint,
            finalized_checkpoint: Checkpoint,
        )
    };
}

/// What the state requires of the type of a field.
trait StateField: Sized {
    /// Length of every encoding, or `None` if it varies.
    const FIXED_LEN: Option<usize>;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
    fn append(&self, buffer: &mut Vec<u8>);

    /// The field's root, perhaps known from before.
    fn root(&self, known: &mut Known) -> Root;

    /// About how many bytes are appended; exact for large fields.
    fn length_hint(&self) -> usize {
        Self::FIXED_LEN.unwrap_or(0)
    }

    /// How many hashes the root of a large field still needs.
    fn unhashed(&self) -> usize {
        0
    }

    /// Cuts these hashes into jobs.
    fn root_jobs(&self, _jobs: &mut Jobs) {}

    /// Adds up the bytes that this field holds outside of itself and that are not in `seen` yet.
    fn bytes_beside(&self, _seen: &mut HashSet<usize>) -> usize {
        0
    }
}

macro_rules! wire_fields {
    ($($type:ty => $root:expr),+ $(,)?) => {$(
        impl StateField for $type {
            const FIXED_LEN: Option<usize> = <$type as Layout>::FIXED_LEN;

            fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                decode_exact(bytes)
            }

            fn append(&self, buffer: &mut Vec<u8>) {
                buffer.extend_from_slice(&Wire::encode(self));
            }

            fn root(&self, known: &mut Known) -> Root {
                let root: fn(&Self, &mut Known) -> Root = $root;
                root(self, known)
            }
        }
    )+};
}

wire_fields! {
    u64 => |value, _| uint_leaf(*value),
    Root => |value, _| *value,
    Fork => |value, known| known.fork(value),
    BeaconBlockHeader => |value, known| known.header(value),
    Eth1Data => |value, known| known.eth1_data(value),
    Checkpoint => |value, known| known.checkpoint(value),
}

/// Justification bits: there are four, and the upper half of the byte is zero.
impl StateField for u8 {
    const FIXED_LEN: Option<usize> = Some(1);

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes {
            [bits @ 0..0b1_0000] => Ok(*bits),
            _ => Err(DecodeError::Value("justification bits beyond the fourth".into())),
        }
    }

    fn append(&self, buffer: &mut Vec<u8>) {
        buffer.push(*self);
    }

    fn root(&self, _known: &mut Known) -> Root {
        uint_leaf(u64::from(*self))
    }
}

impl<T: Element, N: Length> StateField for PersistentList<T, N> {
    const FIXED_LEN: Option<usize> = None;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_ssz_bytes(bytes)
    }

    fn append(&self, buffer: &mut Vec<u8>) {
        self.append_ssz(buffer);
    }

    fn root(&self, _known: &mut Known) -> Root {
        self.hash_tree_root()
    }

    fn length_hint(&self) -> usize {
        /// Typical length of a pending attestation.
        const TYPICAL: usize = 256;
        self.fixed_ssz_len().unwrap_or(self.len() * TYPICAL)
    }

    fn unhashed(&self) -> usize {
        self.unhashed()
    }

    fn root_jobs(&self, jobs: &mut Jobs) {
        self.root_jobs(jobs);
    }

    fn bytes_beside(&self, seen: &mut HashSet<usize>) -> usize {
        self.held_beside(seen)
    }
}

impl<T: Element, N: Length> StateField for PersistentVector<T, N> {
    const FIXED_LEN: Option<usize> = Some(Self::ENCODED_LEN);

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_ssz_bytes(bytes)
    }

    fn append(&self, buffer: &mut Vec<u8>) {
        self.append_ssz(buffer);
    }

    fn root(&self, _known: &mut Known) -> Root {
        self.hash_tree_root()
    }

    fn unhashed(&self) -> usize {
        self.unhashed()
    }

    fn root_jobs(&self, jobs: &mut Jobs) {
        self.root_jobs(jobs);
    }

    fn bytes_beside(&self, seen: &mut HashSet<usize>) -> usize {
        self.held_beside(seen)
    }
}

impl<P: Preset> BeaconState<P> {
    /// Decodes a state that must fill `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] if an offset, a length, a limit or a value is not what the type requires.
    /// Nothing panics, and the memory allocated is at most a small multiple of `bytes.len()`.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        macro_rules! lengths {
            ($($field:ident: $type:ty),+ $(,)?) => { [$(<$type as StateField>::FIXED_LEN),+] };
        }
        let mut parts = split_container(bytes, for_each_field!(lengths))?.into_iter();
        macro_rules! decode {
            ($($field:ident: $type:ty),+ $(,)?) => {
                Self {
                    $($field: StateField::decode(parts.next().unwrap_or_default())?,)+
                    caches: Caches::default(),
                    ptc_window: None,
                }
            };
        }
        let mut state = for_each_field!(decode);
        state.drop_caches();
        Ok(state)
    }

    /// The SSZ encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        self.append_ssz(&mut buffer);
        buffer
    }

    /// Appends the SSZ encoding. A caller that encodes often should keep the buffer: with a new
    /// buffer for a large state, the operating system takes most of the time, for fresh memory.
    pub fn append_ssz(&self, buffer: &mut Vec<u8>) {
        macro_rules! fixed_part {
            ($($field:ident: $type:ty),+ $(,)?) => {
                0 $(+ <$type as StateField>::FIXED_LEN.unwrap_or(BYTES_PER_OFFSET))+
            };
        }
        macro_rules! length_hint {
            ($($field:ident: $type:ty),+ $(,)?) => { 0 $(+ self.$field.length_hint())+ };
        }
        let fixed_part: usize = for_each_field!(fixed_part);
        let start = buffer.len();
        buffer.reserve(fixed_part + for_each_field!(length_hint));
        let mut offsets = Vec::new();
        macro_rules! append_fixed {
            ($($field:ident: $type:ty),+ $(,)?) => {$(
                if <$type as StateField>::FIXED_LEN.is_some() {
                    self.$field.append(buffer);
                } else {
                    offsets.push(buffer.len());
                    buffer.extend_from_slice(&[0; BYTES_PER_OFFSET]);
                }
            )+};
        }
        for_each_field!(append_fixed);
        let mut places = offsets.into_iter();
        macro_rules! append_variable {
            ($($field:ident: $type:ty),+ $(,)?) => {$(
                if <$type as StateField>::FIXED_LEN.is_none()
                    && let Some(at) = places.next()
                {
                    let offset = ((buffer.len() - start) as u32).to_le_bytes();
                    buffer[at..at + BYTES_PER_OFFSET].copy_from_slice(&offset);
                    self.$field.append(buffer);
                }
            )+};
        }
        for_each_field!(append_variable);
    }

    /// The Merkle root of the state. Hashes that were computed before, by this state or by a
    /// clone that shares the nodes, are reused.
    pub fn hash_tree_root(&self) -> Root {
        macro_rules! roots {
            ($($field:ident: $type:ty),+ $(,)?) => {
                |known| {
                    let roots = [$(StateField::root(&self.$field, known)),+];
                    known.fields(&roots)
                }
            };
        }
        self.caches.roots.with(for_each_field!(roots))
    }

    /// Cuts what [`Self::hash_tree_root`] would still have to hash into independent jobs, for a
    /// caller with `threads` idle threads, including its own. Run them in any order, on any
    /// threads, in part or not at all: the root is the same, and need not repeat what they did. The
    /// result is empty if there is too little to hash to be worth handing over, as after a block.
    ///
    /// A job keeps its part of the state alive.
    ///
    /// # Examples
    /// ```
    /// use blocksmith_consensus::{BeaconState, Mainnet};
    /// # use blocksmith_consensus::{ChainConfig, Root, initialize_beacon_state_from_eth1};
    /// # let config = ChainConfig::mainnet();
    /// # let state: BeaconState<Mainnet> =
    /// #     initialize_beacon_state_from_eth1(Root::ZERO, 0, &[], &config).unwrap();
    /// let decoded = BeaconState::<Mainnet>::from_ssz_bytes(&state.encode()).unwrap();
    /// let (mine, yours): (Vec<_>, Vec<_>) =
    ///     decoded.root_jobs(2).into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| yours.iter().for_each(|(_, job)| job.run()));
    ///     mine.iter().for_each(|(_, job)| job.run());
    /// });
    /// assert_eq!(decoded.hash_tree_root(), state.hash_tree_root());
    /// ```
    pub fn root_jobs(&self, threads: usize) -> Vec<RootJob> {
        macro_rules! unhashed {
            ($($field:ident: $type:ty),+ $(,)?) => { 0 $(+ StateField::unhashed(&self.$field))+ };
        }
        let mut jobs = Jobs::new(for_each_field!(unhashed), threads);
        macro_rules! cut {
            ($($field:ident: $type:ty),+ $(,)?) => {
                $(StateField::root_jobs(&self.$field, &mut jobs);)+
            };
        }
        for_each_field!(cut);
        jobs.into_jobs()
    }

    /// Forgets what was derived from the fields; see S1 in the module documentation.
    pub fn drop_caches(&mut self) {
        self.caches = Caches::default();
        self.caches.start_epoch(compute_epoch_at_slot::<P>(self.slot));
    }

    /// The number of bytes that this state holds and `other` does not: the cost of keeping it
    /// beside `other`. Walks the trees of both states.
    pub fn bytes_beside(&self, other: &Self) -> usize {
        let mut seen = HashSet::new();
        let mut total = |state: &Self| {
            macro_rules! bytes {
                ($($field:ident: $type:ty),+ $(,)?) => {
                    0 $(+ state.$field.bytes_beside(&mut seen))+
                };
            }
            for_each_field!(bytes)
        };
        total(other);
        size_of::<Self>() + size_of::<Known>() + total(self)
    }

    /// An upper estimate of the bytes that keeping this state costs if a state within an epoch of
    /// it is kept as well: what an epoch rewrites entirely (balances, pending attestations), and
    /// the paths to what it rewrites in part.
    pub fn bytes_beside_neighbours(&self) -> usize {
        /// A leaf with its hash, reference counts and the largest chunk that a slot rewrites.
        const LEAF: usize = 640;
        /// An inner node with its hash and reference counts.
        const INNER: usize = 96;
        let balances = self.balances.len().div_ceil(<Gwei as Element>::CHUNK) * (LEAF + INNER);
        let pending =
            self.previous_epoch_attestations.len() + self.current_epoch_attestations.len();
        let attestations = pending * 2 * (size_of::<PendingAttestation>() + 128);
        // A slot rewrites one path in each of five lists, none of them deeper than this.
        const DEPTH: usize = 16;
        let paths = P::SLOTS_PER_EPOCH as usize * 5 * (LEAF + DEPTH * INNER);
        size_of::<Self>() + size_of::<Known>() + balances + attestations + paths
    }
}

impl<P: Preset> Json for BeaconState<P> {
    fn write_json(&self, text: &mut String) {
        macro_rules! fields {
            ($($field:ident: $type:ty),+ $(,)?) => {
                [$((stringify!($field), &self.$field as &dyn Json)),+]
            };
        }
        write_object(&for_each_field!(fields), text);
    }
}
