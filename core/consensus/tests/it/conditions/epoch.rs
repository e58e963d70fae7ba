//! Tests of what one of our own states may lack for empty slots: the error names the step and the
//! values.

use blocksmith_consensus::{
    AttestationData, ChainConfig, EpochError, Overflow, PendingAttestation, PersistentList,
    SlotsError, StateError, process_slots,
};

use super::{Case, Spoil, judge, validator};
use crate::support::{State, advanced, config, genesis};

/// The slot to reach, and the configuration.
type Request = (u64, ChainConfig);

fn overflow(left: u64, right: u64) -> StateError {
    Overflow::Add(left, right).into()
}

#[test]
fn every_step_of_an_epochs_end_is_named() {
    // Asks for the state's own slot, then breaks what each step of an epoch's end needs.
    let state = advanced(&genesis(), 14);
    let cases: [(Spoil<Request>, SlotsError, &str); 5] = [
        (
            |_, (slot, _)| *slot = 14,
            SlotsError::NotAfterState { slot: 14, state_slot: 14 },
            "Slots: slot 14, expected more than 14",
        ),
        (
            |state, _| {
                let data = AttestationData { index: 9, ..Default::default() };
                let pending = PendingAttestation { data, ..Default::default() };
                state.previous_epoch_attestations.push(pending).unwrap();
            },
            EpochError::Justification(StateError::UnknownCommittee { index: 9, count: 2 }).into(),
            "Slots: JustificationAndFinalization: committee index 9, expected less than 2",
        ),
        (
            |state, _| state.balances = PersistentList::empty(),
            EpochError::Rewards(StateError::UnknownValidator { index: 0, count: 0 }).into(),
            "Slots: RewardsAndPenalties: validator index 0, expected less than 0",
        ),
        (
            |state, (_, config)| {
                validator(state, 4).effective_balance = config.ejection_balance;
                config.min_validator_withdrawability_delay = u64::MAX;
            },
            EpochError::Registry(overflow(6, u64::MAX)).into(),
            "Slots: RegistryUpdates: 6 + 18446744073709551615, expected to fit a uint64",
        ),
        (
            |state, _| {
                *state.slashings.get_mut(0).unwrap() = u64::MAX;
                *state.slashings.get_mut(1).unwrap() = 1;
            },
            EpochError::Slashings(overflow(u64::MAX, 1)).into(),
            "Slots: Slashings: 18446744073709551615 + 1, expected to fit a uint64",
        ),
    ];
    let process = |state: &mut State, (slot, config): &Request| process_slots(state, *slot, config);
    let cases = cases.into_iter().map(|(spoil, error, text)| (spoil, error, text.to_owned()));
    judge(&state, &(16, config()), process, cases);

    // No rewards or penalties are paid at the end of the first epoch.
    let balance: Case<Request, SlotsError> = (
        |state, _| *state.balances.get_mut(2).unwrap() = u64::MAX,
        EpochError::EffectiveBalances(overflow(u64::MAX, 250_000_000)).into(),
        "Slots: EffectiveBalanceUpdates: 18446744073709551615 + 250000000, expected to fit a uint64"
            .to_owned(),
    );
    judge(&advanced(&genesis(), 6), &(8, config()), process, [balance]);
}
