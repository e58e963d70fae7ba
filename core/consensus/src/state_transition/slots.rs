//! Slots without blocks.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_slots".

use crate::accessors::get_current_epoch;
use crate::config::ChainConfig;
use crate::error::{SafeMath, StateError};
use crate::preset::Preset;
use crate::primitives::{Root, Slot};
use crate::state::BeaconState;
use crate::state_transition::process_epoch;
use crate::wire::Wire;

/// Why empty slots cannot be processed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SlotsError {
    /// The state is at that slot or past it.
    #[error("slot {slot} does not come after the state's slot {state_slot}")]
    NotAfterState {
        /// The slot that was asked for.
        slot: Slot,
        /// The state's slot.
        state_slot: Slot,
    },
    /// An epoch's end failed.
    #[error(transparent)]
    State(#[from] StateError),
}

crate::operations::fault_in_state!(SlotsError);

/// Brings the state to the beginning of `slot`. The work grows with the distance: it is for the
/// caller to know that `slot` is not far ahead of the clock.
///
/// # Errors
/// [`SlotsError::NotAfterState`], and then the state is unchanged; [`SlotsError::State`] if the
/// state contradicts itself.
pub fn process_slots<P: Preset>(
    state: &mut BeaconState<P>,
    slot: Slot,
    config: &ChainConfig,
) -> Result<(), SlotsError> {
    if state.slot >= slot {
        return Err(SlotsError::NotAfterState { slot, state_slot: state.slot });
    }
    while state.slot < slot {
        process_slot(state);
        let next_slot = state.slot.safe_add(1).map_err(StateError::from)?;
        if next_slot % P::SLOTS_PER_EPOCH == 0 {
            process_epoch(state, config)?;
        }
        state.slot = next_slot;
        if state.caches.epoch.as_ref().is_none_or(|known| known.epoch != get_current_epoch(state)) {
            state.caches.start_epoch(get_current_epoch(state));
        }
    }
    Ok(())
}

/// Remembers the roots of the state and of its latest block.
pub fn process_slot<P: Preset>(state: &mut BeaconState<P>) {
    let previous_state_root = state.hash_tree_root();
    let at = (state.slot % P::SLOTS_PER_HISTORICAL_ROOT) as usize;
    if let Some(root) = state.state_roots.get_mut(at) {
        *root = previous_state_root;
    }
    if state.latest_block_header.state_root == Root::ZERO {
        state.latest_block_header.state_root = previous_state_root;
    }
    let previous_block_root = state.latest_block_header.hash_tree_root();
    if let Some(root) = state.block_roots.get_mut(at) {
        *root = previous_block_root;
    }
}
