//! The committees of three epochs, and the duties.

use std::collections::BTreeMap;

use blocksmith_consensus::gloas::{
    PtcOutOfRange, PtcWindow, compute_ptc, get_ptc, get_ptc_assignment, get_ptc_dependent_root,
    process_ptc_window,
};
use blocksmith_consensus::testing::latest_block_root;
use blocksmith_consensus::{
    BeaconBlockHeader, DecodeError, Minimal, Root, StateError, Wire, get_block_root_at_slot,
};

use super::state_at;
use crate::support::{VALIDATORS, advanced};

#[test]
fn the_first_window_has_no_committees_of_the_previous_epoch() {
    // Compares both other epochs with the computation, slot by slot.
    let (state, window) = state_at(11);
    for slot in 0..8 {
        assert_eq!(get_ptc(&state, &window, slot).unwrap(), [0; 16]);
    }
    for slot in 8..24 {
        assert_eq!(get_ptc(&state, &window, slot).unwrap(), compute_ptc(&state, slot).unwrap());
    }
}

#[test]
fn the_end_of_an_epoch_moves_the_window_and_computes_the_epoch_after_the_next() {
    // Ends epoch 1: what was the next epoch is then the current one, and epoch 3 comes in.
    let (state, before) = state_at(15);
    let mut after = before.clone();
    process_ptc_window(&state, &mut after).unwrap();
    let expected: Vec<_> = (24..32).map(|slot| compute_ptc(&state, slot).unwrap()).collect();
    let next = advanced(&state, 16);
    for slot in 8..24 {
        assert_eq!(get_ptc(&state, &before, slot), get_ptc(&next, &after, slot), "slot {slot}");
    }
    for (slot, ptc) in (24..32).zip(&expected) {
        assert_eq!(get_ptc(&next, &after, slot).unwrap(), ptc, "slot {slot}");
    }
}

#[test]
fn later_balances_do_not_move_a_committee_that_is_fixed() {
    // Turns the balances round: what would be computed now differs, what counts does not.
    let (mut state, window) = state_at(15);
    let fixed = get_ptc(&state, &window, 17).unwrap();
    for index in 0..VALIDATORS as usize {
        let validator = state.validators.get_mut(index).unwrap();
        validator.effective_balance = (16 + 7 * (63 - index as u64)) * 1_000_000_000;
    }
    assert_ne!(compute_ptc(&state, 17).unwrap(), fixed);
    assert_eq!(get_ptc(&state, &window, 17).unwrap(), fixed);
}

#[test]
fn a_window_that_cannot_move_is_left_as_it_is() {
    // Nobody is active in the epoch that would come in.
    let (mut state, window) = state_at(15);
    for index in 0..VALIDATORS as usize {
        state.validators.get_mut(index).unwrap().exit_epoch = 3;
    }
    state.drop_caches();
    let mut moved = window.clone();
    let error = process_ptc_window(&state, &mut moved).unwrap_err();
    assert_eq!(error, StateError::NoActiveValidators(1));
    assert_eq!(moved, window);
}

#[test]
fn only_epochs_next_to_the_states_have_committees() {
    // Asks in epoch 2 for the slots on both sides of the window, and for the last slot of all.
    let (state, window) = state_at(16);
    for (slot, epoch) in [(7, 0), (32, 4), (u64::MAX, u64::MAX / 8)] {
        let error = PtcOutOfRange { epoch, current: 2 };
        assert_eq!(get_ptc(&state, &window, slot), Err(error));
        assert_eq!(get_ptc_assignment(&state, &window, epoch, 0), Err(error));
    }
    assert!(get_ptc(&state, &window, 8).is_ok() && get_ptc(&state, &window, 31).is_ok());
    let error = PtcOutOfRange { epoch: u64::MAX, current: 2 };
    assert_eq!(get_ptc_assignment(&state, &window, u64::MAX, 0), Err(error));
}

#[test]
fn a_validator_has_at_most_one_slot_of_an_epoch() {
    // Looks up every validator, and compares with the committees that it is in.
    let (state, window) = state_at(11);
    for epoch in [1, 2] {
        let mut slots: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for slot in 8 * epoch..8 * epoch + 8 {
            let mut members = get_ptc(&state, &window, slot).unwrap().to_vec();
            members.sort_unstable();
            members.dedup();
            members.into_iter().for_each(|index| slots.entry(index).or_default().push(slot));
        }
        for index in 0..VALIDATORS {
            let slot = get_ptc_assignment(&state, &window, epoch, index).unwrap();
            let expected: &[u64] = slots.get(&index).map_or(&[], |slots| slots);
            assert_eq!(slot.as_slice(), expected, "validator {index}");
        }
        assert!(slots.len() < VALIDATORS as usize, "some validator has no duty");
    }
}

#[test]
fn the_dependent_root_is_the_last_block_before_the_preceding_epoch() {
    // Blocks at slots 5 and 15 of otherwise empty epochs. Epoch 2 depends on the end of epoch 0,
    // epoch 3 on that of epoch 1, and the first two on genesis.
    let (genesis, _) = state_at(0);
    let genesis_root = latest_block_root(&genesis);
    let with_block = |state, slot| {
        let mut state = advanced(state, slot);
        let parent_root = latest_block_root(&state);
        state.latest_block_header =
            BeaconBlockHeader { slot, parent_root, ..BeaconBlockHeader::default() };
        state
    };
    let at_5 = with_block(&genesis, 5);
    let at_15 = with_block(&at_5, 15);
    let state = advanced(&at_15, 18);
    let root = |epoch| get_ptc_dependent_root(&state, epoch);
    assert_eq!([root(0), root(1)], [Ok(genesis_root), Ok(genesis_root)]);
    assert_eq!(root(2), get_block_root_at_slot(&state, 7));
    assert_eq!(root(3), Ok(state.latest_block_header.hash_tree_root()));
    let roots: Vec<Root> = [0, 2, 3].into_iter().map(|epoch| root(epoch).unwrap()).collect();
    assert!(roots[0] != roots[1] && roots[1] != roots[2]);
    assert!(matches!(root(4), Err(StateError::SlotOutOfRange { slot: 23, .. })));
}

#[test]
fn a_window_is_its_encoding_and_nothing_longer_or_shorter() {
    // Three epochs of eight slots with sixteen places, eight bytes each.
    let (_, window) = state_at(11);
    let mut bytes = window.encode();
    assert_eq!(bytes.len(), 3 * 8 * 16 * 8);
    assert_eq!(PtcWindow::<Minimal>::from_ssz_bytes(&bytes).unwrap(), window);
    bytes.push(0);
    let error = PtcWindow::<Minimal>::from_ssz_bytes(&bytes).unwrap_err();
    assert_eq!(error, DecodeError::Length { provided: 3_073, expected: 3_072 });
    assert!(PtcWindow::<Minimal>::from_ssz_bytes(&bytes[..3_064]).is_err());
}
