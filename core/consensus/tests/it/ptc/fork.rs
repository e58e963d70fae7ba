//! The test fork "phase0 with a payload-timeliness committee": its windows, and what it asks of a
//! vote.

use blocksmith::consensus::{Consensus, Failure, Invalid};
use blocksmith::payload::PayloadData;
use blocksmith_consensus::gloas::{
    PayloadAttestationMessage, PtcWindow, get_ptc, process_payload_attestation, process_ptc_window,
};
use blocksmith_consensus::{
    BeaconState, Minimal, Payloads, Phase0, Phase0Fault, Root, SharedPayloadVote, Signatures, Wire,
    aggregate_payload_votes,
};

use super::{data, outsider, signature, state_at, with_several_places};
use crate::support::{State, advanced, config};

const ROOT: Root = Root::new([0x55; 32]);

fn fork() -> Phase0<Minimal> {
    Phase0::with_payload_committee(config(), Payloads::WithBlock)
}

fn window(fork: &Phase0<Minimal>, state: &State) -> PtcWindow<Minimal> {
    fork.ptc_window(state).unwrap().expect("the fork has committees").into_owned()
}

#[test]
fn the_windows_of_a_chain_are_those_that_the_ends_of_epochs_give() {
    // From genesis over four epochs, in one step and slot by slot; and in phase0, where there is
    // none, although the roots are the same.
    let (genesis, mut expected) = state_at(0);
    let (mut by_slot, mut at_once, mut plain) = (genesis.clone(), genesis.clone(), genesis);
    for epoch in 0..4 {
        // The last step of the epoch's end comes after its effective balances are updated, which
        // here turns all of them round, and before the next slot begins.
        let start = epoch * 8 + 8;
        let mut end = advanced(&plain, start);
        end.slot = start - 1;
        end.drop_caches();
        process_ptc_window(&end, &mut expected).unwrap();
        for slot in epoch * 8 + 1..=start {
            fork().advance(&mut by_slot, slot).unwrap();
        }
        fork().advance(&mut at_once, start).unwrap();
        Phase0::<Minimal>::new(config()).advance(&mut plain, start).unwrap();
        assert_eq!(window(&fork(), &by_slot), expected, "epoch {epoch}");
        assert_eq!(window(&fork(), &at_once), expected, "epoch {epoch}");
        assert_eq!(at_once.hash_tree_root(), plain.hash_tree_root());
        assert_eq!(at_once.encode(), plain.encode());
    }
    assert_eq!(Phase0::<Minimal>::new(config()).ptc_window(&at_once), Ok(None));
}

#[test]
fn a_state_that_was_read_from_a_store_has_the_committees_of_the_epoch_after_its_next() {
    // Balances have changed since the committees of the state's epoch were fixed: those are lost,
    // and those two epochs later are not.
    let (mut state, _) = state_at(0);
    fork().advance(&mut state, 16).unwrap();
    for index in 0..32 {
        state.validators.get_mut(index).unwrap().effective_balance = 1_000_000_000;
    }
    state.drop_caches();
    let mut read = BeaconState::<Minimal>::from_ssz_bytes(&state.encode()).unwrap();
    let own = |state: &State, slot| get_ptc(state, &window(&fork(), state), slot).unwrap().to_vec();
    assert_ne!(own(&read, 17), own(&state, 17));
    for state in [&mut state, &mut read] {
        fork().advance(state, 32).unwrap();
    }
    for slot in 32..40 {
        assert_eq!(own(&read, slot), own(&state, slot), "slot {slot}");
    }
}

#[test]
fn a_vote_gives_its_places_or_the_first_condition_that_fails() {
    // A member with several places; nobody, a stranger, and a forged vote; phase0, which cannot
    // tell; and what is asked without a state.
    let (state, window) = state_at(11);
    let (index, places) = with_several_places(&state, &window, 11);
    let data = data(ROOT, 11);
    let signature = signature(&state, &data, &[index]);
    let vote = PayloadAttestationMessage { validator_index: index, data, signature };
    let check = |vote: PayloadAttestationMessage| {
        let shared = SharedPayloadVote::from(vote);
        fork().verify_payload_vote(&state, &shared).map_err(|failure| match failure {
            Failure::Invalid(invalid) => invalid.reason(),
            Failure::Fault(fault) => panic!("{fault}"),
        })
    };
    let found = check(vote).unwrap();
    assert_eq!((found.committee, found.held), (16, places));
    let of = |validator_index| PayloadAttestationMessage { validator_index, ..vote };
    assert_eq!(check(of(64)), Err("unknown_validator"));
    assert_eq!(check(of(outsider(&state, &window, 11))), Err("not_in_committee"));
    let changed =
        PayloadAttestationMessage { data: super::data(Root::new([0x56; 32]), 11), ..vote };
    assert_eq!(check(changed), Err("bad_signature"));
    let shared = fork().decode_payload_vote(&vote.encode()).unwrap();
    let phase0 = Phase0::<Minimal>::new(config());
    let refused = Err(Failure::Fault(Phase0Fault::NoPayloadCommittee));
    assert_eq!(phase0.verify_payload_vote(&state, &shared), refused);
    let header = fork().payload_vote(&shared);
    let said = PayloadData { slot: 11, block: ROOT, present: true, available: false };
    assert_eq!((header.validator, header.data, header.id), (index, said, shared.root()));
    assert!(fork().decode_payload_vote(&vote.encode()[1..]).is_err());
}

#[test]
fn votes_are_summed_for_each_place_and_a_block_may_carry_the_sum() {
    // A validator with several places signs for each; a place that is there twice is none.
    let (mut state, window) = state_at(11);
    let (index, places) = with_several_places(&state, &window, 11);
    let data = data(ROOT, 11);
    let one = signature(&state, &data, &[index]);
    let votes: Vec<_> = places.iter().map(|place| (*place, one)).collect();
    let sum = aggregate_payload_votes::<Minimal>(data, &votes).unwrap();
    assert_eq!(sum.aggregation_bits.ones().collect::<Vec<_>>(), places);
    assert_eq!(sum.signature, signature(&state, &data, &vec![index; places.len()]));
    state.slot = 12;
    state.latest_block_header.parent_root = ROOT;
    let mut verify = Signatures::Verify;
    process_payload_attestation(&state, &window, &sum, &mut verify).unwrap();
    let twice = [votes.clone(), vec![votes[0]]].concat();
    assert_eq!(aggregate_payload_votes::<Minimal>(data, &twice), None);
    assert_eq!(aggregate_payload_votes::<Minimal>(data, &[(16, one)]), None);
    assert_eq!(aggregate_payload_votes::<Minimal>(data, &[]), None);
}

#[test]
fn a_block_needs_its_parents_payload_only_where_payloads_come_apart() {
    // The same block in all three.
    let block = blocksmith_consensus::SignedBeaconBlock::default().into();
    assert!(!fork().needs_payload(&block));
    assert!(!Phase0::<Minimal>::new(config()).needs_payload(&block));
    let apart = Phase0::<Minimal>::with_payload_committee(config(), Payloads::Apart);
    assert!(apart.needs_payload(&block));
}
