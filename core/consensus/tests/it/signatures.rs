//! Tests of signatures: batches, infinity, proof of possession.

use blocksmith_consensus::bls::{self, PublicKey, Signature, SignatureSet};
use blocksmith_consensus::{FixedBytes, PublicKeyBytes, Root, SignatureBytes, apply_deposit};

use crate::support::{VALIDATORS, config, deposit, genesis, key};

fn set(index: u64, message: Root, signature: SignatureBytes) -> SignatureSet {
    SignatureSet {
        public_key: key(index).public_key(),
        message,
        signature: Signature::from_bytes(&signature).unwrap(),
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let bytes: Root = format!("0x{digits}").parse().unwrap();
    bytes.as_bytes().to_vec()
}

fn infinity<const N: usize>() -> FixedBytes<N> {
    let mut bytes = [0; N];
    bytes[0] = 0xc0;
    bytes.into()
}

#[test]
fn faults_that_cancel_in_the_sum_do_not_cancel_in_a_batch() {
    // Swaps the signatures of two messages, which leaves their sum unchanged.
    let (first, second) = (Root::new([1; 32]), Root::new([2; 32]));
    let signatures = [key(0).sign(first.as_ref()), key(1).sign(second.as_ref())];
    let honest = [set(0, first, signatures[0]), set(1, second, signatures[1])];
    let swapped = [set(0, first, signatures[1]), set(1, second, signatures[0])];
    let keys = [0, 1].map(|index| key(index).public_key().to_bytes());
    let sum = bls::aggregate(&[signatures[1], signatures[0]]).unwrap();

    assert!(bls::verify_batch(&honest).unwrap());
    assert!(bls::aggregate_verify(&keys, &[first.as_ref(), second.as_ref()], &sum));
    assert!(!bls::verify_batch(&swapped).unwrap());
    assert!(!swapped[0].verify());
}

#[test]
fn signatures_of_one_message_do_not_cancel_in_a_batch_either() {
    // Three keys sign one message, and two of them another, in turns. Two signatures of one message
    // are swapped, which leaves every sum of keys and signatures unchanged.
    let message = |at: u64| Root::new([at as u8 % 2; 32]);
    let signature = |at: u64| key(at).sign(message(at).as_ref());
    let honest: Vec<_> = (0..5).map(|at| set(at, message(at), signature(at))).collect();
    assert!(bls::verify_batch(&honest).unwrap());
    let mut swapped = honest.clone();
    swapped[0].signature = honest[4].signature;
    swapped[4].signature = honest[0].signature;
    assert!(!bls::verify_batch(&swapped).unwrap());
    assert_eq!(bls::all_invalid(&swapped).unwrap(), [0, 4]);
    // One message alone, and a key twice.
    let [first, second] = [0, 2].map(|at| honest[at].clone());
    assert!(bls::verify_batch(&[first.clone(), first.clone(), second.clone()]).unwrap());
    let stranger = set(7, message(0), signature(0));
    assert_eq!(bls::all_invalid(&[first, stranger, second]).unwrap(), [1]);
}

#[test]
fn invalid_members_of_a_batch_are_found() {
    // Spoils members of a batch of eleven: none, the first, the last, several, all.
    let message = |index: u64| Root::new([index as u8 + 1; 32]);
    let honest: Vec<_> = (0..11)
        .map(|index| set(index, message(index), key(index).sign(message(index).as_ref())))
        .collect();
    for spoilt in [
        &[][..],
        &[0],
        &[10],
        &[3, 4, 9],
        &[0, 1, 2, 10],
        &[0, 1, 2],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    ] {
        let mut sets = honest.clone();
        spoilt.iter().for_each(|at| sets[*at].message = Root::ZERO);
        assert_eq!(bls::verify_batch(&sets).unwrap(), spoilt.is_empty());
        assert_eq!(bls::first_invalid(&sets).unwrap(), spoilt.first().copied());
        assert_eq!(bls::all_invalid(&sets).unwrap(), spoilt);
    }
}

#[test]
fn a_batch_with_the_infinite_signature_is_invalid() {
    // Puts infinity, which is no key's signature, beside an honest signature.
    let message = Root::new([7; 32]);
    let honest = set(1, message, key(1).sign(message.as_ref()));
    let infinite = set(2, message, infinity());
    assert_eq!(bls::all_invalid(&[honest.clone(), infinite, honest]).unwrap(), [1]);
}

#[test]
fn sums_of_many_keys_are_those_of_one_at_a_time() {
    // Adds keys with repetitions, in numbers around the switch to shared inversions; the secret
    // keys are small numbers, so that the sum's key is known.
    for count in [1u64, 2, 7, 8, 9, 10, 33, 200] {
        let keys: Vec<_> = (0..count).map(|at| key(at / 3).public_key()).collect();
        let sum: u64 = (0..count).map(|at| at / 3 + 1).sum();
        assert_eq!(PublicKey::aggregate(&keys).unwrap(), key(sum - 1).public_key(), "{count}");
    }
}

#[test]
fn an_empty_batch_and_a_batch_of_one_are_judged() {
    // Verifies no signature, one valid and one invalid signature.
    let message = Root::new([3; 32]);
    let signature = key(4).sign(message.as_ref());
    assert!(bls::verify_batch(&[]).unwrap());
    assert!(bls::verify_batch(&[set(4, message, signature)]).unwrap());
    assert!(!bls::verify_batch(&[set(5, message, signature)]).unwrap());
}

#[test]
fn the_point_at_infinity_is_no_public_key_and_signs_nothing() {
    // Uses infinity as key, as signature, as a member of an aggregate, and as a sum of keys.
    let message = [5; 32];
    let (bad_key, no_signature): (PublicKeyBytes, SignatureBytes) = (infinity(), infinity());
    let good_key = key(0).public_key().to_bytes();
    assert!(PublicKey::from_bytes(&bad_key).is_err());
    assert!(!bls::verify(&bad_key, &message, &no_signature));
    assert!(!bls::verify(&good_key, &message, &no_signature));
    assert!(!bls::fast_aggregate_verify(&[good_key, bad_key], &message, &no_signature));
    assert!(!bls::fast_aggregate_verify(&[], &message, &no_signature));
    assert!(!bls::aggregate_verify(&[], &[], &no_signature));
    assert!(PublicKey::aggregate(&[]).is_err());
    // The order of the group less one is the secret key whose public key is the negative of that of
    // key one.
    let mut order_less_one = [0; 32];
    order_less_one
        .copy_from_slice(&hex("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000"));
    let negative = bls::SecretKey::from_bytes(&order_less_one).unwrap().public_key();
    assert!(PublicKey::aggregate(&[key(0).public_key(), negative]).is_err());
    // The same holds where inversions are shared.
    let cancelling: Vec<_> = (0..16).flat_map(|_| [key(0).public_key(), negative]).collect();
    assert!(PublicKey::aggregate(&cancelling).is_err());
    let keys = [good_key, negative.to_bytes()];
    assert!(!bls::fast_aggregate_verify(&keys, &message, &no_signature));
}

#[test]
fn bytes_that_are_no_point_are_errors() {
    // Decodes strings that are not compressed points.
    for byte in [0x00, 0x80, 0xff] {
        assert!(PublicKey::from_bytes(&PublicKeyBytes::new([byte; 48])).is_err());
        assert!(Signature::from_bytes(&SignatureBytes::new([byte; 96])).is_err());
    }
    assert!(bls::sign(&[0; 32], b"message").is_err());
    assert!(bls::sign(&[0xff; 32], b"message").is_err());
}

#[test]
fn a_deposit_without_proof_of_possession_is_void_and_not_invalid() {
    // Applies a deposit signed by another key, then the same signed by its own.
    let mut state = genesis();
    let mut forged = deposit(VALIDATORS);
    forged.signature = deposit(VALIDATORS + 1).signature;
    apply_deposit(&mut state, &forged, &config()).unwrap();
    assert_eq!(state.validators.len() as u64, VALIDATORS);
    apply_deposit(&mut state, &deposit(VALIDATORS), &config()).unwrap();
    assert_eq!(state.validators.len() as u64, VALIDATORS + 1);
    assert_eq!(state.balances.len() as u64, VALIDATORS + 1);
}

#[test]
fn a_second_deposit_adds_to_the_balance_whatever_its_signature() {
    // Tops up validator 3 with a signature that does not verify.
    let mut state = genesis();
    let mut top_up = deposit(3);
    top_up.signature = SignatureBytes::ZERO;
    apply_deposit(&mut state, &top_up, &config()).unwrap();
    assert_eq!(state.validators.len() as u64, VALIDATORS);
    assert_eq!(state.balances.get(3), Some(&64_000_000_000));
}

#[test]
fn branches_that_register_different_keys_at_one_index_keep_their_own() {
    // Adds another validator to each of two clones and looks both up again by topping up.
    let mut left = genesis();
    let mut right = left.clone();
    let (first, second) = (deposit(VALIDATORS), deposit(VALIDATORS + 1));
    apply_deposit(&mut left, &first, &config()).unwrap();
    apply_deposit(&mut right, &second, &config()).unwrap();
    apply_deposit(&mut left, &first, &config()).unwrap();
    apply_deposit(&mut right, &second, &config()).unwrap();
    for (state, expected) in [(&left, &first), (&right, &second)] {
        assert_eq!(state.validators.len() as u64, VALIDATORS + 1);
        assert_eq!(state.validators.get(VALIDATORS as usize).unwrap().pubkey, expected.pubkey);
        assert_eq!(state.balances.get(VALIDATORS as usize), Some(&64_000_000_000));
    }
}
