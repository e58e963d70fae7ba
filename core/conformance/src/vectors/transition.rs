//! Cases of the state transition: a state before, something that happens, and a state after or a
//! rejection.

use std::fmt::Display;

use blocksmith::consensus::UpdateFlags;
use blocksmith_consensus::{
    AsFault, BeaconBlock, BeaconState, ChainConfig, Deltas, Preset, Signatures, SignedBeaconBlock,
    Slot, StateError, TransitionError, get_head_deltas, get_inactivity_penalty_deltas,
    get_inclusion_delay_deltas, get_source_deltas, get_target_deltas, process_attestation,
    process_attester_slashing, process_block_header, process_deposit,
    process_effective_balance_updates, process_eth1_data_reset, process_historical_roots_update,
    process_justification_and_finalization, process_participation_record_updates,
    process_proposer_slashing, process_randao_mixes_reset, process_registry_updates,
    process_rewards_and_penalties, process_slashings, process_slashings_reset, process_slots,
    process_voluntary_exit, state_transition,
};

use super::error::{NotPassed, Outcome, ensure};
use super::files::Files;
use super::layout::Case;

/// Largest number of empty slots that a case may ask for at once: more than any official case does,
/// and still quick.
const MAX_EMPTY_SLOTS: Slot = 1 << 16;

/// The result of an attempt: the state after it, or the reason why it was rejected.
type Attempt<P> = Result<Result<BeaconState<P>, String>, NotPassed>;

/// Runs one operation of a block on a state.
pub(super) fn operation<P: Preset>(case: &Case, files: &Files, config: &ChainConfig) -> Outcome {
    let mut state = files.required_state::<P>("pre")?;
    let verify = files.meta()?.verify_signatures();
    let mut signatures = if verify { Signatures::Verify } else { Signatures::Skip };
    let state_ref = &mut state;
    let done = match case.handler.as_str() {
        "attestation" => {
            let operation = files.value("attestation")?;
            rejection(process_attestation(state_ref, &operation, &mut signatures))
        }
        "attester_slashing" => {
            let operation = files.value("attester_slashing")?;
            rejection(process_attester_slashing(state_ref, &operation, &mut signatures, config))
        }
        "block_header" => {
            let block = files.value::<BeaconBlock>("block")?;
            rejection(process_block_header(state_ref, &block, UpdateFlags::default()))
        }
        "deposit" => {
            let operation = files.value("deposit")?;
            rejection(process_deposit(state_ref, &operation, false, config))
        }
        "proposer_slashing" => {
            let operation = files.value("proposer_slashing")?;
            rejection(process_proposer_slashing(state_ref, &operation, &mut signatures, config))
        }
        "voluntary_exit" => {
            let operation = files.value("voluntary_exit")?;
            rejection(process_voluntary_exit(state_ref, &operation, &mut signatures, config))
        }
        _ => return Err(case.unknown("handler")),
    }?;
    compare(files, done.map(|()| state))
}

/// Runs one part of `process_epoch` on a state.
pub(super) fn epoch_processing<P: Preset>(
    case: &Case,
    files: &Files,
    config: &ChainConfig,
) -> Outcome {
    let mut state = files.required_state::<P>("pre")?;
    let state_ref = &mut state;
    let done = match case.handler.as_str() {
        "justification_and_finalization" => process_justification_and_finalization(state_ref),
        "rewards_and_penalties" => process_rewards_and_penalties(state_ref),
        "registry_updates" => process_registry_updates(state_ref, config),
        "slashings" => process_slashings(state_ref),
        "eth1_data_reset" => process_eth1_data_reset(state_ref),
        "effective_balance_updates" => process_effective_balance_updates(state_ref),
        "slashings_reset" => process_slashings_reset(state_ref),
        "randao_mixes_reset" => process_randao_mixes_reset(state_ref),
        "historical_roots_update" => process_historical_roots_update(state_ref),
        "participation_record_updates" => {
            process_participation_record_updates(state_ref);
            Ok(())
        }
        _ => return Err(case.unknown("handler")),
    };
    compare(files, rejection(done)?.map(|()| state))
}

/// Runs empty slots: as many as `slots.yaml` says.
pub(super) fn slots<P: Preset>(files: &Files, config: &ChainConfig) -> Outcome {
    let mut state = files.required_state::<P>("pre")?;
    let slots: Slot = files.required_yaml("slots")?;
    let target = check_distance(&state, state.slot.saturating_add(slots))?;
    let done = rejection(process_slots(&mut state, target, config))?;
    compare(files, done.map(|()| state))
}

/// Runs whole blocks: `blocks_0`, `blocks_1`, and so on.
pub(super) fn blocks<P: Preset>(case: &Case, files: &Files, config: &ChainConfig) -> Outcome {
    if !["blocks", "finality", "random"].contains(&case.handler.as_str()) {
        return Err(case.unknown("handler"));
    }
    let meta = files.meta()?;
    let flags =
        UpdateFlags { skip_bls_validation: !meta.verify_signatures(), ..UpdateFlags::default() };
    let count =
        meta.blocks_count.ok_or_else(|| NotPassed::failed("meta.yaml has no blocks_count"))?;
    let state = files.required_state::<P>("pre")?;
    let attempt = (0..count).try_fold(Ok(state), |state, index| match state {
        Ok(state) => {
            let block = files.value::<SignedBeaconBlock>(&format!("blocks_{index}"))?;
            apply_block(state, &block, flags, config)
        }
        // The first rejection ends the case, whatever follows.
        rejected => Ok(rejected),
    })?;
    compare(files, attempt)
}

/// Runs `state_transition` on the state of a block's parent.
pub(super) fn apply_block<P: Preset>(
    mut state: BeaconState<P>,
    block: &SignedBeaconBlock,
    flags: UpdateFlags,
    config: &ChainConfig,
) -> Attempt<P> {
    check_distance(&state, block.message.slot)?;
    match state_transition(&mut state, block, flags, config) {
        Ok(()) => Ok(Ok(state)),
        Err(TransitionError::Invalid(error)) => Ok(Err(error.to_string())),
        Err(fault @ TransitionError::Fault(_)) => Err(NotPassed::failed(fault)),
    }
}

/// Computes the five components of the attestation deltas.
pub(super) fn rewards<P: Preset>(case: &Case, files: &Files) -> Outcome {
    if !["basic", "leak", "random"].contains(&case.handler.as_str()) {
        return Err(case.unknown("handler"));
    }
    type Component<P> = fn(&BeaconState<P>) -> Result<Deltas, StateError>;
    let components: [(&str, Component<P>); 5] = [
        ("source_deltas", get_source_deltas),
        ("target_deltas", get_target_deltas),
        ("head_deltas", get_head_deltas),
        ("inclusion_delay_deltas", get_inclusion_delay_deltas),
        ("inactivity_penalty_deltas", get_inactivity_penalty_deltas),
    ];
    let state = files.required_state::<P>("pre")?;
    for (name, component) in components {
        let [rewards, penalties] = decode_deltas(&files.required_ssz(name)?)
            .ok_or_else(|| NotPassed::Failed(format!("{name} is not a pair of lists")))?;
        let computed = component(&state).map_err(NotPassed::failed)?;
        let difference = |what, expected: &[u64], computed: &[u64]| {
            let at = expected.iter().zip(computed).position(|(a, b)| a != b);
            format!("{name}: {what} differ, first at {at:?} of {}", expected.len())
        };
        ensure(computed.rewards == rewards, || difference("rewards", &rewards, &computed.rewards))?;
        ensure(computed.penalties == penalties, || {
            difference("penalties", &penalties, &computed.penalties)
        })?;
    }
    Ok(())
}

/// Decodes a container of two lists of `uint64`.
fn decode_deltas(bytes: &[u8]) -> Option<[Vec<u64>; 2]> {
    const OFFSETS: usize = 8;
    let offset = |at: usize| {
        let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let second = offset(4)?;
    if offset(0)? != OFFSETS {
        return None;
    }
    let list = |part: &[u8]| {
        let (numbers, rest) = part.as_chunks::<{ u64::BITS as usize / 8 }>();
        rest.is_empty().then(|| numbers.iter().map(|number| u64::from_le_bytes(*number)).collect())
    };
    Some([list(bytes.get(OFFSETS..second)?)?, list(bytes.get(second..)?)?])
}

/// Distinguishes errors of the input, which are rejections, from errors of ours, which fail the
/// case.
fn rejection<E: AsFault + Display>(
    outcome: Result<(), E>,
) -> Result<Result<(), String>, NotPassed> {
    match outcome {
        Ok(()) => Ok(Ok(())),
        Err(error) => match error.as_fault() {
            Some(fault) => Err(NotPassed::failed(fault)),
            None => Ok(Err(error.to_string())),
        },
    }
}

/// Compares an attempt with `post`; if `post` is absent, the attempt must have been rejected.
fn compare<P: Preset>(files: &Files, attempt: Result<BeaconState<P>, String>) -> Outcome {
    match (attempt, files.state::<P>("post")?) {
        (Err(_), None) => Ok(()),
        (Ok(_), None) => Err(NotPassed::failed("accepted, and should have been rejected")),
        (Err(why), Some(_)) => Err(NotPassed::Failed(format!("rejected: {why}"))),
        (Ok(state), Some(expected)) => {
            let [computed, expected] = [state.hash_tree_root(), expected.hash_tree_root()];
            ensure(computed == expected, || format!("the state root is {computed}, not {expected}"))
        }
    }
}

/// Returns `slot`, unless it is so far ahead that running up to it would occupy the machine.
pub(super) fn check_distance<P: Preset>(
    state: &BeaconState<P>,
    slot: Slot,
) -> Result<Slot, NotPassed> {
    if slot.saturating_sub(state.slot) > MAX_EMPTY_SLOTS {
        return Err(NotPassed::Failed(format!(
            "{MAX_EMPTY_SLOTS} empty slots would not reach {slot}"
        )));
    }
    Ok(slot)
}
