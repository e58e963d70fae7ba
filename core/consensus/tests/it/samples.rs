//! Values of every container that travels, and what must hold for each: it decodes from its
//! encoding to itself, and its root is that of `ssz_rs`, which computes it in the plain way.

use std::fmt::Debug;

use blocksmith_consensus::{
    AggregateAndProof, AggregationBits, Attestation, AttestationData, AttesterSlashing,
    BeaconBlock, BeaconBlockBody, BeaconBlockHeader, Checkpoint, Deposit, DepositData,
    DepositMessage, Eth1Block, Eth1Data, FixedBytes, Fork, ForkData, FromJson, HashTree,
    IndexedAttestation, Json, PendingAttestation, ProposerSlashing, Root, SignedAggregateAndProof,
    SignedBeaconBlock, SignedBeaconBlockHeader, SignedVoluntaryExit, SigningData, Validator,
    VoluntaryExit, Wire, decode_exact,
};
use quickcheck::{Arbitrary, Gen};
use ssz_rs::{List, SimpleSerialize, Vector};

/// A value of any shape that its type allows; large lists are short.
trait Sample: Sized {
    fn sample(g: &mut Gen) -> Self;
}

impl Sample for u64 {
    fn sample(g: &mut Gen) -> Self {
        u64::arbitrary(g)
    }
}

impl Sample for bool {
    fn sample(g: &mut Gen) -> Self {
        bool::arbitrary(g)
    }
}

impl<const N: usize> Sample for FixedBytes<N> {
    fn sample(g: &mut Gen) -> Self {
        let mut bytes = [0; N];
        bytes.iter_mut().for_each(|byte| *byte = u8::arbitrary(g));
        bytes.into()
    }
}

/// A length within a limit: often zero, seldom the limit.
fn length(g: &mut Gen, limit: usize) -> usize {
    match u8::arbitrary(g) % 8 {
        0 => 0,
        1 if limit <= 2048 => limit,
        _ => usize::arbitrary(g) % limit.min(9),
    }
}

impl Sample for AggregationBits {
    fn sample(g: &mut Gen) -> Self {
        let bits: Vec<bool> = (0..length(g, 2048)).map(|_| bool::arbitrary(g)).collect();
        bits.as_slice().try_into().expect("within the limit")
    }
}

impl<T: Sample + SimpleSerialize + Debug, const N: usize> Sample for List<T, N> {
    fn sample(g: &mut Gen) -> Self {
        // Lists of elements that hold bits or lists themselves stay short.
        let limit = if T::is_variable_size() { N.min(3) } else { N };
        let values: Vec<T> = (0..length(g, limit)).map(|_| T::sample(g)).collect();
        values.try_into().expect("within the limit")
    }
}

impl<T: Sample + SimpleSerialize + Debug, const N: usize> Sample for Vector<T, N> {
    fn sample(g: &mut Gen) -> Self {
        let values: Vec<T> = (0..N).map(|_| T::sample(g)).collect();
        values.try_into().expect("the length")
    }
}

/// Compares the decoding and the root of a value with the plain ones.
fn check<T: Wire + Debug + PartialEq>(value: &T) {
    let encoding = value.encode();
    assert_eq!(&decode_exact::<T>(&encoding).expect("its own encoding"), value);
    assert_eq!(&T::deserialize(&encoding).expect("its own encoding"), value);
    let plain = ssz_rs::Merkleized::hash_tree_root(&mut value.clone()).expect("within its limits");
    assert_eq!(value.hash_tree_root(), Root::from(plain), "{value:?}");
    let mut longer = encoding;
    longer.push(0);
    assert!(decode_exact::<T>(&longer).is_err() || T::is_variable_size());
}

macro_rules! containers {
    ($($name:ident { $($field:ident),+ $(,)? })+) => {
        $(
            impl Sample for $name {
                fn sample(g: &mut Gen) -> Self {
                    Self { $($field: Sample::sample(g)),+ }
                }
            }
        )+

        #[test]
        fn every_container_is_the_plain_one() {
            // Makes values of every type and compares encoding, decoding and root with `ssz_rs`.
            const VALUES: usize = 120;
            let mut g = Gen::new(64);
            for _ in 0..VALUES {
                $(check(&$name::sample(&mut g));)+
            }
        }

        #[test]
        fn roots_side_by_side_are_those_of_one_at_a_time() {
            // Hashes up to 20 values of every type together, and each alone.
            let mut g = Gen::new(64);
            for count in [0usize, 1, 2, 3, 20] {
                $(
                    let values: Vec<_> = (0..count).map(|_| $name::sample(&mut g)).collect();
                    let together = $name::hash_roots(&values.iter().collect::<Vec<_>>());
                    let alone: Vec<Root> = values.iter().map(HashTree::hash_root).collect();
                    assert_eq!(together, alone, "{values:?}");
                )+
            }
            // There are only few bits, so that no value's bits need more than a leaf.
            let few = |at: usize| {
                let bits = vec![true; at * 11 % 257];
                let aggregation_bits = bits.as_slice().try_into().expect("within the limit");
                Attestation { aggregation_bits, ..Attestation::sample(&mut Gen::new(64)) }
            };
            let values: Vec<_> = (0..40).map(few).collect();
            let together = Attestation::hash_roots(&values.iter().collect::<Vec<_>>());
            let alone: Vec<Root> = values.iter().map(HashTree::hash_root).collect();
            assert_eq!(together, alone);
        }

        #[test]
        fn every_container_allocates_no_more_than_a_multiple_of_its_bytes() {
            // Sends hostile bytes in place of values of every type.
            let mut g = Gen::new(64);
            for _ in 0..2 {
                $(crate::allocation::check(stringify!($name), &$name::sample(&mut g));)+
            }
        }

        #[test]
        fn every_container_is_read_back_from_its_json_and_only_if_it_is_whole() {
            // Makes values of every type, reads what is written, and leaves out each field once.
            let mut g = Gen::new(64);
            for _ in 0..20 {
                $(
                    let value = $name::sample(&mut g);
                    let text = value.to_json();
                    assert_eq!($name::from_json_text(text.as_bytes()).as_ref(), Ok(&value));
                    $(
                        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
                        json.as_object_mut().unwrap().remove(stringify!($field));
                        let error = $name::from_json(&json).unwrap_err().to_string();
                        assert_eq!(error, concat!(stringify!($field), ": is missing"));
                    )+
                )+
            }
        }

        #[test]
        fn every_container_has_its_fields_in_json() {
            // Looks for the names of all fields, in order.
            let mut g = Gen::new(64);
            $(
                let json = $name::sample(&mut g).to_json();
                let mut rest = json.as_str();
                $(
                    let name = concat!("\"", stringify!($field), "\":");
                    let at = rest.find(name);
                    rest = &rest[at.unwrap_or_else(|| panic!("no {name} in {json}"))..];
                )+
                assert!(rest.ends_with('}'));
            )+
        }
    };
}

containers! {
    Fork { previous_version, current_version, epoch }
    ForkData { current_version, genesis_validators_root }
    Checkpoint { epoch, root }
    Validator {
        pubkey, withdrawal_credentials, effective_balance, slashed, activation_eligibility_epoch,
        activation_epoch, exit_epoch, withdrawable_epoch,
    }
    AttestationData { slot, index, beacon_block_root, source, target }
    IndexedAttestation { attesting_indices, data, signature }
    PendingAttestation { aggregation_bits, data, inclusion_delay, proposer_index }
    Eth1Data { deposit_root, deposit_count, block_hash }
    Eth1Block { timestamp, deposit_root, deposit_count }
    DepositMessage { pubkey, withdrawal_credentials, amount }
    DepositData { pubkey, withdrawal_credentials, amount, signature }
    Deposit { proof, data }
    BeaconBlockHeader { slot, proposer_index, parent_root, state_root, body_root }
    SignedBeaconBlockHeader { message, signature }
    SigningData { object_root, domain }
    ProposerSlashing { signed_header_1, signed_header_2 }
    AttesterSlashing { attestation_1, attestation_2 }
    Attestation { aggregation_bits, data, signature }
    VoluntaryExit { epoch, validator_index }
    SignedVoluntaryExit { message, signature }
    BeaconBlockBody {
        randao_reveal, eth1_data, graffiti, proposer_slashings, attester_slashings, attestations,
        deposits, voluntary_exits,
    }
    BeaconBlock { slot, proposer_index, parent_root, state_root, body }
    SignedBeaconBlock { message, signature }
    AggregateAndProof { aggregator_index, aggregate, selection_proof }
    SignedAggregateAndProof { message, signature }
}
