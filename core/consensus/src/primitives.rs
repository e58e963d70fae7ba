//! Byte strings, scalar aliases and constants of the phase0 specification.
//!
//! [`FixedBytes`] is the one representation of every fixed-length byte string (roots, public keys,
//! signatures, versions). It is inline (no heap), so that a registry of a million validators costs
//! no more than its own bytes.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Custom types" and "Constants".

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use ssz_rs::{DeserializeError, MerkleizationError, Node, SerializeError};

/// A slot number, counted from genesis.
pub type Slot = u64;
/// An epoch number, counted from genesis.
pub type Epoch = u64;
/// A position in the validator registry.
pub type ValidatorIndex = u64;
/// A committee's position within its slot.
pub type CommitteeIndex = u64;
/// An amount of Ether in Gwei (10^-9 Ether).
pub type Gwei = u64;

/// A 32-byte hash or Merkle root.
pub type Root = FixedBytes<32>;
/// A compressed BLS12-381 public key (a point of G1).
pub type PublicKeyBytes = FixedBytes<48>;
/// A compressed BLS12-381 signature (a point of G2).
pub type SignatureBytes = FixedBytes<96>;
/// A fork version.
pub type Version = FixedBytes<4>;
/// A signature domain: four bytes of type, 28 of fork data root.
pub type Domain = FixedBytes<32>;
/// The four bytes that tell signature purposes apart.
pub type DomainType = [u8; 4];

/// The slot of the genesis state.
pub const GENESIS_SLOT: Slot = 0;
/// The epoch of the genesis state.
pub const GENESIS_EPOCH: Epoch = 0;
/// "Never": the value of an epoch that has not been set.
pub const FAR_FUTURE_EPOCH: Epoch = u64::MAX;
/// Rewarded behaviours per epoch (source, target, head, inclusion).
pub const BASE_REWARDS_PER_EPOCH: u64 = 4;
/// Depth of the deposit contract's Merkle tree.
pub const DEPOSIT_CONTRACT_TREE_DEPTH: usize = 32;
/// Number of remembered justification bits.
pub const JUSTIFICATION_BITS_LENGTH: u32 = 4;
/// First byte of withdrawal credentials that commit to a BLS key.
pub const BLS_WITHDRAWAL_PREFIX: u8 = 0;

/// Domain of block proposals.
pub const DOMAIN_BEACON_PROPOSER: DomainType = [0, 0, 0, 0];
/// Domain of attestations.
pub const DOMAIN_BEACON_ATTESTER: DomainType = [1, 0, 0, 0];
/// Domain of RANDAO reveals.
pub const DOMAIN_RANDAO: DomainType = [2, 0, 0, 0];
/// Domain of deposits.
pub const DOMAIN_DEPOSIT: DomainType = [3, 0, 0, 0];
/// Domain of voluntary exits.
pub const DOMAIN_VOLUNTARY_EXIT: DomainType = [4, 0, 0, 0];
/// Domain of aggregation selection proofs.
pub const DOMAIN_SELECTION_PROOF: DomainType = [5, 0, 0, 0];
/// Domain of aggregates and their proofs.
pub const DOMAIN_AGGREGATE_AND_PROOF: DomainType = [6, 0, 0, 0];

/// A byte string of exactly `N` bytes, shown as `0x` and hexadecimal digits.
///
/// # Examples
/// ```
/// use blocksmith_consensus::Version;
/// let version: Version = "0x00000001".parse().unwrap();
/// assert_eq!(version.as_bytes(), &[0, 0, 0, 1]);
/// assert_eq!(version.to_string(), "0x00000001");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FixedBytes<const N: usize>([u8; N]);

impl<const N: usize> FixedBytes<N> {
    /// The string of `N` zero bytes.
    pub const ZERO: Self = Self([0; N]);

    /// Wraps an array.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes, by value.
    pub const fn to_bytes(self) -> [u8; N] {
        self.0
    }

    /// Whether every byte is zero.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }
}

impl<const N: usize> Default for FixedBytes<N> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<const N: usize> From<[u8; N]> for FixedBytes<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> TryFrom<&[u8]> for FixedBytes<N> {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

impl<const N: usize> AsRef<[u8]> for FixedBytes<N> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> fmt::LowerHex for FixedBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            f.write_str("0x")?;
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Display for FixedBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#x}")
    }
}

impl<const N: usize> fmt::Debug for FixedBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not `0x` followed by exactly two hexadecimal digits per byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("expected 0x and {digits} hexadecimal digits")]
pub struct ParseHexError {
    /// How many digits the type requires.
    pub digits: usize,
}

impl<const N: usize> FromStr for FixedBytes<N> {
    type Err = ParseHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = ParseHexError { digits: 2 * N };
        let digits = text.strip_prefix("0x").ok_or(error.clone())?.as_bytes();
        if digits.len() != 2 * N {
            return Err(error);
        }
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: u8| (digit as char).to_digit(16).ok_or(error.clone());
            *byte = (nibble(pair[0])? * 16 + nibble(pair[1])?) as u8;
        }
        Ok(Self(bytes))
    }
}

impl From<Node> for Root {
    fn from(node: Node) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(node.as_ref());
        Self(bytes)
    }
}

impl<const N: usize> ssz_rs::Sized for FixedBytes<N> {
    fn is_variable_size() -> bool {
        false
    }

    fn size_hint() -> usize {
        N
    }
}

impl<const N: usize> ssz_rs::Serialize for FixedBytes<N> {
    fn serialize(&self, buffer: &mut Vec<u8>) -> Result<usize, SerializeError> {
        buffer.extend_from_slice(&self.0);
        Ok(N)
    }
}

impl<const N: usize> ssz_rs::Deserialize for FixedBytes<N> {
    fn deserialize(encoding: &[u8]) -> Result<Self, DeserializeError> {
        let provided = encoding.len();
        Self::try_from(encoding).map_err(|_| {
            if provided < N {
                DeserializeError::ExpectedFurtherInput { provided, expected: N }
            } else {
                DeserializeError::AdditionalInput { provided, expected: N }
            }
        })
    }
}

impl<const N: usize> ssz_rs::Merkleized for FixedBytes<N> {
    fn hash_tree_root(&mut self) -> Result<Node, MerkleizationError> {
        let mut bytes: ssz_rs::Vector<u8, N> =
            self.0.to_vec().try_into().expect("as many bytes as the type has");
        ssz_rs::Merkleized::hash_tree_root(&mut bytes)
    }
}

impl<const N: usize> ssz_rs::SimpleSerialize for FixedBytes<N> {}

/// SHA-256, the specification's `hash`.
pub fn hash(input: &[u8]) -> Root {
    Root::new(Sha256::digest(input).into())
}

/// Like [`hash`], for an input that fits into one block of the compression function together with
/// its padding. This is half the work of a tree's node.
///
/// # Panics
/// If `input` is longer than 55 bytes.
pub(crate) fn hash_one_block(input: &[u8]) -> Root {
    const START: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    assert!(input.len() <= 55, "input, its end mark and its length share 64 bytes");
    let mut block = [0; 64];
    block[..input.len()].copy_from_slice(input);
    block[input.len()] = 0x80;
    block[56..].copy_from_slice(&(8 * input.len() as u64).to_be_bytes());
    let mut words = START;
    sha2::compress256(&mut words, &[block.into()]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    Root::new(digest)
}
