//! The genesis of a development network, by the field's convention: no files, and keys that
//! everybody knows.
//!
//! **Contract.** The secret key of validator `i` is `sha256(i)` as a number, modulo the order of
//! the group, with `i` in 32 bytes; all numbers are little-endian. Each validator deposits
//! `MAX_EFFECTIVE_BALANCE`, with the hash of its own key as withdrawal credentials. The deposit
//! contract has seen as many deposits as there are validators, and its last block is
//! [`ETH1_BLOCK_HASH`]. So two clients that are given the same number of validators and the same
//! genesis time begin with the same state.
//!
//! **These keys are public. Nothing of value may depend on them.**
//!
//! Reference: `ethereum/eth2.0-pm`, "interop/mocked_start"; Lodestar's `interopDeposits` and
//! `getInteropState`, whose genesis this is.

use blocksmith_consensus::bls::SecretKey;
use blocksmith_consensus::{
    BLS_WITHDRAWAL_PREFIX, BeaconState, ChainConfig, DOMAIN_DEPOSIT, DepositData, DepositMessage,
    GenesisError, Preset, Root, Wire, compute_domain, compute_signing_root, hash,
    initialize_beacon_state_from_deposits,
};

/// The last block of the execution chain.
pub const ETH1_BLOCK_HASH: Root = Root::new([0x0b; 32]);

/// The order of the group, big-endian.
const ORDER: [u8; 32] = [
    0x73, 0xed, 0xa7, 0x53, 0x29, 0x9d, 0x7d, 0x48, 0x33, 0x39, 0xd8, 0x08, 0x09, 0xa1, 0xd8, 0x05,
    0x53, 0xbd, 0xa4, 0x02, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
];

/// Returns the secret key of validator `index`, which everybody knows.
///
/// # Panics
/// If the hash of the index is a multiple of the group's order, which nobody will ever see.
#[must_use]
pub fn secret_key(index: u64) -> SecretKey {
    let mut input = [0; 32];
    input[..8].copy_from_slice(&index.to_le_bytes());
    let mut scalar = hash(&input).to_bytes();
    scalar.reverse();
    // 2^256 is less than three times the order.
    while scalar >= ORDER {
        subtract(&mut scalar, &ORDER);
    }
    SecretKey::from_bytes(&scalar).expect("below the order, and not zero")
}

/// Subtracts a number that is not larger; both are big-endian.
fn subtract(number: &mut [u8; 32], other: &[u8; 32]) {
    let mut borrow = false;
    for (digit, other) in number.iter_mut().zip(other).rev() {
        let (difference, first) = digit.overflowing_sub(*other);
        let (difference, second) = difference.overflowing_sub(u8::from(borrow));
        (*digit, borrow) = (difference, first || second);
    }
}

/// Returns the deposit of validator `index`.
#[must_use]
pub fn deposit<P: Preset>(index: u64, config: &ChainConfig) -> DepositData {
    let key = secret_key(index);
    let pubkey = key.public_key().to_bytes();
    let mut credentials = hash(pubkey.as_bytes()).to_bytes();
    credentials[0] = BLS_WITHDRAWAL_PREFIX;
    let withdrawal_credentials = Root::new(credentials);
    let message =
        DepositMessage { pubkey, withdrawal_credentials, amount: P::MAX_EFFECTIVE_BALANCE };
    let domain = compute_domain(DOMAIN_DEPOSIT, config.genesis_fork_version, Root::ZERO);
    let signing_root = compute_signing_root(message.hash_tree_root(), domain);
    let signature = key.sign(signing_root.as_bytes());
    DepositData { pubkey, withdrawal_credentials, amount: message.amount, signature }
}

/// Returns the genesis state of `validators` validators at `genesis_time`, in seconds since the
/// Unix epoch. Signs and verifies a deposit for each, which takes about two milliseconds.
///
/// # Errors
/// [`GenesisError`] if there are more validators than the registry holds.
pub fn genesis<P: Preset>(
    validators: u64,
    genesis_time: u64,
    config: &ChainConfig,
) -> Result<BeaconState<P>, GenesisError> {
    let deposits: Vec<_> = (0..validators).map(|index| deposit::<P>(index, config)).collect();
    initialize_beacon_state_from_deposits(ETH1_BLOCK_HASH, genesis_time, &deposits, config)
}

#[cfg(test)]
mod tests {
    use blocksmith_consensus::Minimal;

    use super::*;

    #[test]
    fn keys_are_those_of_the_convention() {
        // The first keys that the convention lists, and the public key of the first.
        let expected = "25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866";
        let first = SecretKey::from_bytes(&hex::decode(expected).unwrap().try_into().unwrap());
        let public_key = secret_key(0).public_key().to_bytes();
        assert_eq!(first.unwrap().public_key().to_bytes(), public_key);
        assert!(public_key.to_string().starts_with("0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e"));
    }

    #[test]
    fn the_genesis_of_eight_is_that_of_another_client() {
        // What a real client's node answered: its registry's root and its deposits' root.
        let config = ChainConfig::minimal();
        let state = genesis::<Minimal>(8, 1_795_835_595, &config).unwrap();
        let begins = |root: Root, expected: &str| root.to_string().starts_with(expected);
        assert!(begins(state.genesis_validators_root, "0x270d43e74ce3"));
        assert!(begins(state.eth1_data.deposit_root, "0x6a0f9d6cb086"));
        let first = state.validators.get(0).unwrap();
        assert!(begins(first.withdrawal_credentials, "0x00fad2a6bfb0"));
        assert_eq!((first.activation_epoch, first.effective_balance), (0, 32_000_000_000));
        assert_eq!((state.eth1_data.deposit_count, state.eth1_deposit_index), (8, 8));
        assert_eq!(state.genesis_time, 1_795_835_595);
    }
}
