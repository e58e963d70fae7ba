//! The deposit contract's `DepositEvent`.
//!
//! ```text
//!   word  0..5    offsets of the five values, each a byte string
//!   160           48, public key (48 bytes, padded to 64)
//!   256           32, withdrawal credentials
//!   320            8, amount in Gwei, little endian (padded to 32)
//!   384           96, signature
//!   512            8, index of the deposit, little endian (padded to 32)
//! ```
//!
//! The contract encodes every event this way, so another layout is refused: a byte string that is
//! elsewhere, longer or shorter, or padded with anything but zeros.
//!
//! References: deposit contract, `DepositEvent`; Solidity contract ABI specification, "bytes".

use blocksmith_consensus::{DepositData, PublicKeyBytes, Root, SignatureBytes};
use thiserror::Error;

/// `keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)")`.
pub const DEPOSIT_EVENT_TOPIC: &str =
    "0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5";

/// Bytes of a word of the encoding.
const WORD: usize = 32;
/// Bytes of the event's data.
const LENGTH: usize = 576;
/// Name, offset and length of each byte string.
const VALUES: [(&str, usize, usize); 5] = [
    ("pubkey", 160, 48),
    ("withdrawal_credentials", 256, 32),
    ("amount", 320, 8),
    ("signature", 384, 96),
    ("index", 512, 8),
];

/// Why an event's data is not that of a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DepositEventError {
    /// The data is longer or shorter.
    #[error("the event's data has {0} bytes, expected 576")]
    Length(usize),
    /// A value is elsewhere, has another length, or is padded with something else than zeros.
    #[error("the event's {0} is not encoded as the deposit contract does")]
    Layout(&'static str),
}

/// Returns the deposit of an event and its index in the contract.
///
/// # Errors
/// A [`DepositEventError`].
pub fn decode_deposit_event(data: &[u8]) -> Result<(DepositData, u64), DepositEventError> {
    if data.len() != LENGTH {
        return Err(DepositEventError::Length(data.len()));
    }
    let mut values = [&data[..0]; VALUES.len()];
    for (place, (name, offset, length)) in VALUES.into_iter().enumerate() {
        let is = |at: usize, number: usize| data[at..at + WORD] == word(number);
        let padding = length.next_multiple_of(WORD) - length;
        let start = offset + WORD;
        let padded = &data[start + length..start + length + padding];
        if !is(place * WORD, offset) || !is(offset, length) || padded.iter().any(|byte| *byte != 0)
        {
            return Err(DepositEventError::Layout(name));
        }
        values[place] = &data[start..start + length];
    }
    let [pubkey, credentials, amount, signature, index] = values;
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
    let deposit = DepositData {
        pubkey: PublicKeyBytes::new(pubkey.try_into().expect("48 bytes")),
        withdrawal_credentials: Root::new(credentials.try_into().expect("32 bytes")),
        amount: number(amount),
        signature: SignatureBytes::new(signature.try_into().expect("96 bytes")),
    };
    Ok((deposit, number(index)))
}

/// Returns the event's data for a deposit: for development chains and tests, where something else
/// than the deposit contract writes the log.
#[must_use]
pub fn encode_deposit_event(deposit: &DepositData, index: u64) -> Vec<u8> {
    let (amount, index) = (deposit.amount.to_le_bytes(), index.to_le_bytes());
    let values: [&[u8]; VALUES.len()] = [
        deposit.pubkey.as_ref(),
        deposit.withdrawal_credentials.as_ref(),
        &amount,
        deposit.signature.as_ref(),
        &index,
    ];
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for value in values {
        head.extend(word(values.len() * WORD + tail.len()));
        tail.extend(word(value.len()));
        tail.extend(value);
        tail.resize(tail.len().next_multiple_of(WORD), 0);
    }
    [head, tail].concat()
}

/// Returns the word that is this number, big endian.
fn word(number: usize) -> [u8; WORD] {
    let mut word = [0; WORD];
    word[WORD - size_of::<u64>()..].copy_from_slice(&(number as u64).to_be_bytes());
    word
}

#[cfg(test)]
pub(super) mod tests {
    use quickcheck::quickcheck;

    use super::*;

    pub(in crate::execution) fn deposit(number: u8) -> DepositData {
        DepositData {
            pubkey: PublicKeyBytes::new([number; 48]),
            withdrawal_credentials: Root::new([number.wrapping_add(1); 32]),
            amount: 32_000_000_000 + u64::from(number),
            signature: SignatureBytes::new([number.wrapping_add(2); 96]),
        }
    }

    #[test]
    fn an_event_decodes_to_the_deposit_and_its_index() {
        // The encoding is made by the rules of the ABI, not by the table above.
        let data = encode_deposit_event(&deposit(7), 0x0102_0304_0506_0708);
        assert_eq!(decode_deposit_event(&data), Ok((deposit(7), 0x0102_0304_0506_0708)));
    }

    #[test]
    fn every_byte_is_a_value_or_is_compared() {
        // Changes one byte at a time: the event decodes to something else, or is an error.
        let data = encode_deposit_event(&deposit(7), 3);
        for place in 0..data.len() {
            let mut changed = data.clone();
            changed[place] ^= 0x80;
            assert_ne!(decode_deposit_event(&changed), Ok((deposit(7), 3)), "byte {place}");
        }
        let shorter = &data[..LENGTH - 1];
        assert_eq!(decode_deposit_event(shorter), Err(DepositEventError::Length(575)));
        let mut changed = data;
        changed[385] = 1;
        assert_eq!(decode_deposit_event(&changed), Err(DepositEventError::Layout("signature")));
    }

    quickcheck! {
        fn any_bytes_are_a_deposit_or_an_error(data: Vec<u8>) -> bool {
            decode_deposit_event(&data).is_err()
        }
    }
}
