//! The choice of a committee, against a slow reading of the rule.

use blocksmith_consensus::gloas::{
    DOMAIN_PTC_ATTESTER, MAX_EFFECTIVE_BALANCE_ELECTRA, compute_balance_weighted_selection,
    compute_ptc,
};
use blocksmith_consensus::testing;
use blocksmith_consensus::{
    BeaconState, ChainConfig, Mainnet, Preset, Root, StateError, ValidatorIndex,
    get_beacon_committee, get_committee_count_per_slot, get_seed, hash,
};
use quickcheck::quickcheck;

use super::state_at;
use crate::support::{State, config};

/// The rule as it is worded: candidate `i % total`, and its own hash for every attempt.
fn selected_slowly<P: Preset>(
    state: &BeaconState<P>,
    candidates: &[ValidatorIndex],
    seed: &Root,
    size: usize,
) -> Vec<ValidatorIndex> {
    let mut selected = Vec::new();
    let mut i = 0;
    while selected.len() < size {
        let candidate = candidates[i % candidates.len()];
        let mut input = seed.as_bytes().to_vec();
        input.extend((i as u64 / 16).to_le_bytes());
        let (random, offset) = (hash(&input), i % 16 * 2);
        let value = random.as_bytes()[offset..offset + 2].iter().rev();
        let value = value.fold(0u128, |value, byte| (value << 8) | u128::from(*byte));
        let balance = state.validators.get(candidate as usize).unwrap().effective_balance;
        if u128::from(balance) * 65_535 >= 2_048_000_000_000 * value {
            selected.push(candidate);
        }
        i += 1;
    }
    selected
}

/// A state of so many validators with these balances in Ether, one after the other.
fn with_balances(ether: &[u16]) -> State {
    let mut state: State = testing::genesis(ether.len() as u64, &config());
    for (at, ether) in ether.iter().enumerate() {
        let balance = u64::from(ether % 2_049) * 1_000_000_000;
        state.validators.get_mut(at).unwrap().effective_balance = balance;
    }
    state
}

quickcheck! {
    fn the_selection_is_that_of_the_rule(ether: Vec<u16>, order: Vec<u8>, seed: u64) -> bool {
        // Few candidates in any order, some twice; balances from 16 Ether to the largest that
        // counts; as many places as the larger committee has.
        let ether: Vec<u16> = ether.into_iter().take(20).map(|ether| ether.max(16)).collect();
        let count = ether.len().max(1);
        let state = with_balances(if ether.is_empty() { &[2_048] } else { &ether });
        let in_range = |at: &u8| u64::from(*at) % count as u64;
        let mut candidates: Vec<u64> = order.iter().map(in_range).collect();
        candidates.push(0);
        let seed = hash(&seed.to_le_bytes());
        [1, 16, 512].into_iter().all(|size| {
            let selected = compute_balance_weighted_selection(&state, &candidates, &seed, size);
            selected.unwrap() == selected_slowly(&state, &candidates, &seed, size)
        })
    }
}

/// The committee of `slot`, from the accessors that the specification names.
fn ptc_slowly<P: Preset>(state: &BeaconState<P>, slot: u64) -> Vec<ValidatorIndex> {
    let epoch = slot / P::SLOTS_PER_EPOCH;
    let mut input = get_seed(state, epoch, DOMAIN_PTC_ATTESTER).unwrap().as_bytes().to_vec();
    input.extend(slot.to_le_bytes());
    let committees = get_committee_count_per_slot(state, epoch).unwrap();
    let candidates: Vec<_> = (0..committees)
        .flat_map(|index| get_beacon_committee(state, slot, index).unwrap())
        .collect();
    selected_slowly(state, &candidates, &hash(&input), P::PTC_SIZE)
}

#[test]
fn a_committee_is_chosen_from_all_beacon_committees_of_its_slot() {
    // Compares the committees of two epochs with the slow reading; the larger preset has two beacon
    // committees a slot.
    let (state, _) = state_at(11);
    for slot in 8..24 {
        assert_eq!(compute_ptc(&state, slot).unwrap(), ptc_slowly(&state, slot), "slot {slot}");
    }
    let state: BeaconState<Mainnet> = testing::genesis(8_192, &ChainConfig::mainnet());
    assert_eq!(get_committee_count_per_slot(&state, 0).unwrap(), 2);
    for slot in [0, 31, 40] {
        assert_eq!(compute_ptc(&state, slot).unwrap(), ptc_slowly(&state, slot), "slot {slot}");
    }
}

#[test]
fn the_largest_balance_takes_every_candidate_in_turn() {
    // With the largest balance every attempt succeeds: the places go round.
    let state = with_balances(&[2_048; 3]);
    let selected = compute_balance_weighted_selection(&state, &[2, 0, 1], &hash(b"any"), 7);
    assert_eq!(selected.unwrap(), [2, 0, 1, 2, 0, 1, 2]);
    assert_eq!(MAX_EFFECTIVE_BALANCE_ELECTRA, 2_048_000_000_000);
}

#[test]
fn a_selection_that_cannot_be_made_is_an_error() {
    // No candidates, one that is not registered, a balance beyond what a product holds.
    let mut state = with_balances(&[32, 32]);
    let seed = hash(b"seed");
    let select = |state: &State, candidates: &[u64]| {
        compute_balance_weighted_selection(state, candidates, &seed, 16)
    };
    assert_eq!(select(&state, &[]), Err(StateError::NoActiveValidators(0)));
    let unknown = StateError::UnknownValidator { index: 2, count: 2 };
    assert_eq!(select(&state, &[0, 2]), Err(unknown));
    state.validators.get_mut(1).unwrap().effective_balance = u64::MAX;
    assert!(matches!(select(&state, &[1]), Err(StateError::Overflow(_))));
    let empty = with_balances(&[]);
    assert_eq!(compute_ptc(&empty, 3), Err(StateError::NoActiveValidators(0)));
}
