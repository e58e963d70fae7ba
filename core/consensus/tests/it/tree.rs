//! Compares persistent lists with plain ones: elements, encoding, root, and what clones see.

use blocksmith_consensus::{
    AttestationData, Checkpoint, Eth1Data, PendingAttestation, PersistentList, Root, Validator,
    Wire,
};
use quickcheck::quickcheck;
use ssz_rs::{List, Merkleized, Serialize, SimpleSerialize};
use typenum::U4096;

const LIMIT: usize = 4096;

/// A step on a list, given as numbers: pushes, writes, or takes a clone to look at later.
type Step = (u8, u16, u64);

/// Runs the steps on both lists and compares them, including clones.
fn agrees<T>(steps: &[Step], make: impl Fn(u64) -> T) -> bool
where
    T: blocksmith_consensus::Element + SimpleSerialize,
{
    let mut tree = PersistentList::<T, U4096>::empty();
    let mut plain: Vec<T> = Vec::new();
    let mut clones = Vec::new();
    for (kind, at, value) in steps {
        match kind % 8 {
            0 => {
                let at = usize::from(*at) % (plain.len() + 1);
                if let Some(place) = tree.get_mut(at) {
                    *place = make(*value);
                    plain[at] = make(*value);
                }
            }
            1 => clones.push((tree.clone(), plain.clone())),
            // Some roots are asked for between writes, so that hashes are there to be forgotten.
            2 => drop(tree.hash_tree_root()),
            // Equal neighbours in a row fill chunks.
            _ => {
                for _ in 0..at % 90 {
                    tree.push(make(value / 3 * 3)).unwrap();
                    plain.push(make(value / 3 * 3));
                }
            }
        }
    }
    clones.push((tree, plain));
    clones.into_iter().all(|(tree, plain)| same(&tree, plain))
}

fn same<T>(tree: &PersistentList<T, U4096>, plain: Vec<T>) -> bool
where
    T: blocksmith_consensus::Element + SimpleSerialize,
{
    let mut reference: List<T, LIMIT> = plain.clone().try_into().unwrap();
    let (mut expected, mut encoded) = (Vec::new(), Vec::new());
    reference.serialize(&mut expected).unwrap();
    tree.append_ssz(&mut encoded);
    let root: Root = reference.hash_tree_root().unwrap().into();
    let built = PersistentList::<T, U4096>::try_from(plain.clone()).unwrap();
    let decoded = PersistentList::<T, U4096>::from_ssz_bytes(&encoded).unwrap();
    tree.len() == plain.len()
        && tree.to_vec() == plain
        && (0..=plain.len()).all(|at| tree.get(at) == plain.get(at))
        && encoded == expected
        && [tree, &built, &decoded].iter().all(|list| list.hash_tree_root() == root)
        && built == *tree
        && decoded == *tree
}

fn short(steps: Vec<Step>) -> Vec<Step> {
    steps.into_iter().take(40).collect()
}

quickcheck! {
    fn a_list_of_numbers_is_the_plain_list(steps: Vec<Step>) -> bool {
        agrees(&short(steps), |value| value)
    }

    fn a_list_of_roots_is_the_plain_list(steps: Vec<Step>) -> bool {
        agrees(&short(steps), |value| Root::new([value as u8; 32]))
    }

    fn a_list_of_validators_is_the_plain_list(steps: Vec<Step>) -> bool {
        let validator = |value| Validator {
            effective_balance: value,
            slashed: value % 2 == 1,
            ..Validator::default()
        };
        agrees(&short(steps).into_iter().take(8).collect::<Vec<_>>(), validator)
    }

    fn a_list_of_pending_attestations_is_the_plain_list(steps: Vec<Step>) -> bool {
        // Committees are on both sides of the limit for hashing in step.
        let attestation = |value: u64| {
            let bits: Vec<bool> = (0..value % 300).map(|at| (value >> (at % 64)) & 1 == 1).collect();
            PendingAttestation {
                aggregation_bits: bits.as_slice().try_into().unwrap(),
                data: AttestationData {
                    slot: value,
                    index: 1,
                    source: Checkpoint { epoch: value, root: Root::new([3; 32]) },
                    target: Checkpoint { epoch: 4, root: Root::new([5; 32]) },
                    ..AttestationData::default()
                },
                inclusion_delay: 6,
                proposer_index: value,
            }
        };
        let few = |(kind, at, value): &Step| (*kind, at % 12, value.wrapping_mul(251));
        let steps: Vec<Step> = short(steps).iter().take(12).map(few).collect();
        agrees(&steps, attestation)
    }

    fn a_list_of_votes_is_the_plain_list(steps: Vec<Step>) -> bool {
        let vote = |value| Eth1Data { deposit_count: value, ..Eth1Data::default() };
        agrees(&short(steps).into_iter().take(8).collect::<Vec<_>>(), vote)
    }
}

#[test]
fn a_list_holds_as_many_as_its_type_allows() {
    // Fills a list of 64 and pushes once more; decodes 65 elements, and a part of one.
    let mut list = PersistentList::<u64, typenum::U64>::try_from(vec![0; 64]).unwrap();
    assert!(list.push(1).is_err());
    assert_eq!(list.len(), 64);
    assert!(PersistentList::<u64, typenum::U64>::try_from(vec![0; 65]).is_err());
    assert!(PersistentList::<u64, typenum::U64>::from_ssz_bytes(&[0; 65 * 8]).is_err());
    assert!(PersistentList::<u64, typenum::U64>::from_ssz_bytes(&[0; 7]).is_err());
    assert_eq!(Eth1Data::default().encode().len(), 72);
}
