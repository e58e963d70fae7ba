//! BLS12-381 signatures with public keys in G1: the minimal-pubkey-size, proof-of-possession suite.
//!
//! - B1: a [`PublicKey`] was checked when it was decompressed: it is on the curve, in the subgroup,
//!   and not the point at infinity.
//! - B2: a [`Signature`] was checked when it was decompressed: it is on the curve and in the
//!   subgroup. It may be the point at infinity, which is no valid key's signature.
//! - B3: [`verify_batch`] multiplies every signature by its own random scalar of 64 bits from the
//!   operating system, so that invalid signatures cannot cancel each other out. A batch that fails
//!   says nothing about its members: [`first_invalid`] halves it until the first invalid one is
//!   isolated, and [`all_invalid`] tries products only as long as it can bear to lose them.
//! - B4: in a batch, keys that signed one message are summed with their scalars first, since
//!   `e(a, m) e(b, m) = e(a + b, m)`. It is the same product, so B3 holds as before. A sum that is
//!   the point at infinity makes the batch fail; for that a scalar has to be guessed.
//!
//! For each message a batch costs one hash to the curve and one Miller loop, and for each
//! signature one small multiplication of the key. The signatures themselves are summed with their
//! scalars all at once (Pippenger), and the final exponentiation is shared. The keys of an
//! aggregate are summed as affine points with shared inversions.
//!
//! Reference: IETF draft `irtf-cfrg-bls-signature-04`; consensus specification,
//! `phase0/beacon-chain.md`, "BLS signatures".

mod search;

use std::any::Any;

use blst::min_pk::{
    AggregatePublicKey, AggregateSignature, PublicKey as BlstPublicKey, SecretKey as BlstSecretKey,
    Signature as BlstSignature,
};
use blst::{BLST_ERROR, MultiPoint, Pairing, blst_fp12, blst_p1_affine, blst_p2_affine};

use crate::error::Fault;
use crate::primitives::{PublicKeyBytes, Root, SignatureBytes};

/// Domain separation tag of the suite.
const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
/// Bits of the scalars that keep a batch's members apart.
const BATCH_SCALAR_BITS: usize = 64;

/// Why bytes are not a key or a signature, or why an operation has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BlsError {
    /// Not an encoding of a point of the curve.
    #[error("not the encoding of a curve point")]
    Encoding,
    /// A point of the curve that is not in the subgroup of prime order.
    #[error("the point is not in the subgroup")]
    NotInGroup,
    /// The point at infinity as a public key.
    #[error("the public key is the point at infinity")]
    InfinityPublicKey,
    /// Zero, or not below the group's order.
    #[error("the secret key is zero or out of range")]
    SecretKey,
    /// An aggregate of nothing.
    #[error("nothing to aggregate")]
    EmptyAggregate,
}

impl From<BLST_ERROR> for BlsError {
    fn from(error: BLST_ERROR) -> Self {
        match error {
            BLST_ERROR::BLST_POINT_NOT_IN_GROUP => Self::NotInGroup,
            BLST_ERROR::BLST_PK_IS_INFINITY => Self::InfinityPublicKey,
            BLST_ERROR::BLST_BAD_SCALAR => Self::SecretKey,
            _ => Self::Encoding,
        }
    }
}

/// A checked public key (B1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(BlstPublicKey);

impl PublicKey {
    /// Decompresses and checks a key.
    ///
    /// # Errors
    /// [`BlsError`] if the bytes do not encode a point of the subgroup, or encode infinity.
    pub fn from_bytes(bytes: &PublicKeyBytes) -> Result<Self, BlsError> {
        Ok(Self(BlstPublicKey::key_validate(bytes.as_ref())?))
    }

    /// The compressed key.
    pub fn to_bytes(&self) -> PublicKeyBytes {
        PublicKeyBytes::new(self.0.to_bytes())
    }

    /// The sum of keys.
    ///
    /// # Errors
    /// [`BlsError::EmptyAggregate`] if there are no keys, [`BlsError::InfinityPublicKey`] if they
    /// cancel each other out.
    pub fn aggregate(keys: &[Self]) -> Result<Self, BlsError> {
        match keys {
            [] => Err(BlsError::EmptyAggregate),
            [only] => Ok(*only),
            // Not worth the set-up of shared inversions.
            [first, rest @ ..] if rest.len() < Self::SHARED_INVERSIONS => {
                let mut sum = AggregatePublicKey::from_public_key(&first.0);
                for key in rest {
                    sum.add_public_key(&key.0, false)?;
                }
                Self::finite(sum)
            }
            _ => {
                let points: Vec<BlstPublicKey> = keys.iter().map(|key| key.0).collect();
                Self::finite(points.as_slice().add())
            }
        }
    }

    /// The number of keys from which on sums share inversions.
    const SHARED_INVERSIONS: usize = 8;

    /// A sum that may be the point at infinity.
    fn finite(sum: AggregatePublicKey) -> Result<Self, BlsError> {
        /// The mark of infinity in an uncompressed point's first byte.
        const INFINITY_FLAG: u8 = 0x40;
        let sum = sum.to_public_key();
        if sum.serialize()[0] & INFINITY_FLAG != 0 {
            return Err(BlsError::InfinityPublicKey);
        }
        Ok(Self(sum))
    }
}

/// A signature in the subgroup (B2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(BlstSignature);

impl Signature {
    /// Decompresses and checks a signature.
    ///
    /// # Errors
    /// [`BlsError`] if the bytes do not encode a point of the subgroup.
    pub fn from_bytes(bytes: &SignatureBytes) -> Result<Self, BlsError> {
        Ok(Self(BlstSignature::sig_validate(bytes.as_ref(), false)?))
    }

    /// The compressed signature.
    pub fn to_bytes(&self) -> SignatureBytes {
        SignatureBytes::new(self.0.to_bytes())
    }
}

/// A message, the key (or sum of keys) that is said to have signed it, and the signature.
#[derive(Clone, Debug)]
pub struct SignatureSet {
    /// The key or sum of keys.
    pub public_key: PublicKey,
    /// What was signed.
    pub message: Root,
    /// The signature.
    pub signature: Signature,
}

impl SignatureSet {
    /// Whether this signature is valid.
    pub fn verify(&self) -> bool {
        core_verify(&[self.public_key], &[self.message.as_ref()], &self.signature)
    }
}

/// Whether all signatures are valid, by one pairing product (B3). True if there are none.
///
/// # Errors
/// [`Fault::Entropy`] if the operating system provides no random bytes.
pub fn verify_batch(sets: &[SignatureSet]) -> Result<bool, Fault> {
    match sets {
        [] => return Ok(true),
        [only] => return Ok(only.verify()),
        _ => {}
    }
    let mut random = vec![0; sets.len() * BATCH_SCALAR_BITS / 8];
    getrandom::fill(&mut random).map_err(|error| Fault::Entropy(error.to_string()))?;
    // A scalar of zero would leave its signature out.
    random.iter_mut().step_by(BATCH_SCALAR_BITS / 8).for_each(|byte| *byte |= 1);
    let mut by_message: Vec<usize> = (0..sets.len()).collect();
    by_message.sort_unstable_by_key(|at| sets[*at].message);
    let mut pairing = Pairing::new(true, DST);
    for same in by_message.chunk_by(|one, other| sets[*one].message == sets[*other].message) {
        if !pair(&mut pairing, sets, same, &random) {
            return Ok(false);
        }
    }
    pairing.commit();
    let signatures: Vec<BlstSignature> = sets.iter().map(|set| set.signature.0).collect();
    let sum = signatures.as_slice().mult(&random, BATCH_SCALAR_BITS).to_signature();
    let mut of_signatures = blst_fp12::default();
    Pairing::aggregated(&mut of_signatures, <&blst_p2_affine>::from(&sum));
    Ok(pairing.finalverify(Some(&of_signatures)))
}

/// Adds the sets at positions `same` to a batch, as far as keys and messages go; they have one
/// message (B4). Returns whether the library took them.
fn pair(pairing: &mut Pairing, sets: &[SignatureSet], same: &[usize], random: &[u8]) -> bool {
    let scalar = |at: usize| &random[at * BATCH_SCALAR_BITS / 8..][..BATCH_SCALAR_BITS / 8];
    let message = sets[same[0]].message;
    // The signatures follow, all together; a value that is not a point stands for none.
    let outcome = if let [only] = same {
        let key: &blst_p1_affine = (&sets[*only].public_key.0).into();
        let (scalar, message) = (scalar(*only), message.as_ref());
        pairing.mul_n_aggregate(key, false, &(), false, scalar, BATCH_SCALAR_BITS, message, &[])
    } else {
        let keys: Vec<BlstPublicKey> = same.iter().map(|at| sets[*at].public_key.0).collect();
        let scalars: Vec<u8> = same.iter().flat_map(|at| scalar(*at)).copied().collect();
        let sum = keys.as_slice().mult(&scalars, BATCH_SCALAR_BITS).to_public_key();
        let key: &blst_p1_affine = (&sum).into();
        pairing.aggregate(key, false, &(), false, message.as_ref(), &[])
    };
    outcome == BLST_ERROR::BLST_SUCCESS
}

/// The position of the first invalid signature, found by halving batches. That is about twice the
/// work of one batch, however many are invalid.
///
/// # Errors
/// As [`verify_batch`].
pub fn first_invalid(sets: &[SignatureSet]) -> Result<Option<usize>, Fault> {
    if verify_batch(sets)? {
        return Ok(None);
    }
    // The first invalid one is within `from..to`.
    let (mut from, mut to) = (0, sets.len());
    while to - from > 1 {
        let middle = from.midpoint(to);
        if verify_batch(&sets[from..middle])? {
            from = middle;
        } else {
            to = middle;
        }
    }
    Ok(Some(from))
}

/// The positions of all invalid signatures, in ascending order. That costs at most 1.25 times what
/// verifying one by one costs, or one product of eight more than that, whichever are invalid
/// (hazard A10); far less if few are.
///
/// # Errors
/// As [`verify_batch`].
pub fn all_invalid(sets: &[SignatureSet]) -> Result<Vec<usize>, Fault> {
    let messages: Vec<Root> = sets.iter().map(|set| set.message).collect();
    search::all_invalid(&messages, |range| verify_batch(&sets[range]))
}

/// A secret key, for signing in tests and by validators without a remote signer.
#[derive(Clone)]
pub struct SecretKey(BlstSecretKey);

impl SecretKey {
    /// A key from its big-endian bytes.
    ///
    /// # Errors
    /// [`BlsError::SecretKey`] if it is zero or not below the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(BlsError::SecretKey);
        }
        Ok(Self(BlstSecretKey::from_bytes(bytes).map_err(|_| BlsError::SecretKey)?))
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk())
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> SignatureBytes {
        SignatureBytes::new(self.0.sign(message, DST, &[]).to_bytes())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Signs `message`: the suite's `Sign`.
///
/// # Errors
/// [`BlsError::SecretKey`] if the key is zero or not below the group's order.
pub fn sign(secret_key: &[u8; 32], message: &[u8]) -> Result<SignatureBytes, BlsError> {
    Ok(SecretKey::from_bytes(secret_key)?.sign(message))
}

/// The suite's `Verify`: false for anything that is not a key, not a signature or does not match.
pub fn verify(public_key: &PublicKeyBytes, message: &[u8], signature: &SignatureBytes) -> bool {
    verify_with_key(public_key, message, signature).is_some()
}

/// Like [`verify`]; returns the decompressed key if the signature is valid.
pub(crate) fn verify_with_key(
    public_key: &PublicKeyBytes,
    message: &[u8],
    signature: &SignatureBytes,
) -> Option<PublicKey> {
    let key = PublicKey::from_bytes(public_key).ok()?;
    let signature = Signature::from_bytes(signature).ok()?;
    core_verify(&[key], &[message], &signature).then_some(key)
}

/// The suite's `Aggregate`.
///
/// # Errors
/// [`BlsError::EmptyAggregate`] if there are none, another error if a part is not a signature.
pub fn aggregate(signatures: &[SignatureBytes]) -> Result<SignatureBytes, BlsError> {
    let parts: Vec<Signature> =
        signatures.iter().map(Signature::from_bytes).collect::<Result<_, _>>()?;
    let (first, rest) = parts.split_first().ok_or(BlsError::EmptyAggregate)?;
    let mut sum = AggregateSignature::from_signature(&first.0);
    for part in rest {
        sum.add_signature(&part.0, false)?;
    }
    Ok(SignatureBytes::new(sum.to_signature().to_bytes()))
}

/// The suite's `FastAggregateVerify`: all keys signed one message. False if there are no keys.
pub fn fast_aggregate_verify(
    public_keys: &[PublicKeyBytes],
    message: &[u8],
    signature: &SignatureBytes,
) -> bool {
    let keys: Result<Vec<_>, _> = public_keys.iter().map(PublicKey::from_bytes).collect();
    let (Ok(keys), Ok(signature)) = (keys, Signature::from_bytes(signature)) else {
        return false;
    };
    PublicKey::aggregate(&keys).is_ok_and(|key| core_verify(&[key], &[message], &signature))
}

/// The suite's `AggregateVerify`: each key signed its own message. False if there are no keys, or
/// not as many messages as keys.
pub fn aggregate_verify(
    public_keys: &[PublicKeyBytes],
    messages: &[&[u8]],
    signature: &SignatureBytes,
) -> bool {
    if public_keys.is_empty() || public_keys.len() != messages.len() {
        return false;
    }
    let keys: Result<Vec<_>, _> = public_keys.iter().map(PublicKey::from_bytes).collect();
    let (Ok(keys), Ok(signature)) = (keys, Signature::from_bytes(signature)) else {
        return false;
    };
    core_verify(&keys, messages, &signature)
}

/// Whether `signature` is the sum of each key's signature over its message. By B1 and B2 the
/// points need no further check.
fn core_verify(keys: &[PublicKey], messages: &[&[u8]], signature: &Signature) -> bool {
    let mut pairing = Pairing::new(true, DST);
    let mut part: &dyn Any = <&blst_p2_affine>::from(&signature.0);
    for (key, message) in keys.iter().zip(messages) {
        let key: &blst_p1_affine = (&key.0).into();
        if pairing.aggregate(key, false, part, false, message, &[]) != BLST_ERROR::BLST_SUCCESS {
            return false;
        }
        // The signature goes in only once; a value that is not a point stands for none.
        part = &();
    }
    pairing.commit();
    pairing.finalverify(None)
}
