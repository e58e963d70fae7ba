//! Processing of slots without blocks.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_slots".

use crate::accessors::get_current_epoch;
use crate::config::ChainConfig;
use crate::error::{AsFault, Fault};
use crate::preset::Preset;
use crate::primitives::{Root, Slot};
use crate::state::BeaconState;
use crate::state_transition::{EpochError, process_epoch};

/// Why empty slots cannot be processed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SlotsError {
    /// The state is at that slot or past it.
    #[error("Slots: slot {slot}, expected more than {state_slot}")]
    NotAfterState {
        /// The slot that was asked for.
        slot: Slot,
        /// The state's slot.
        state_slot: Slot,
    },
    /// An epoch's end failed.
    #[error("Slots: {0}")]
    Epoch(#[from] EpochError),
}

impl AsFault for SlotsError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::Epoch(error) => error.as_fault(),
            Self::NotAfterState { .. } => None,
        }
    }
}

/// Advances the state to the beginning of `slot`. The work grows with the distance: the caller must
/// make sure that `slot` is not far ahead of the clock.
///
/// # Errors
/// [`SlotsError::NotAfterState`], in which case the state is unchanged; [`SlotsError::Epoch`] if
/// the state contradicts itself.
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
        // Below `slot`, so there is a next one.
        let next_slot = state.slot + 1;
        if next_slot.is_multiple_of(P::SLOTS_PER_EPOCH) {
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
    let header = &state.latest_block_header;
    let previous_block_root = state.caches.roots.with(|known| known.header(header));
    if let Some(root) = state.block_roots.get_mut(at) {
        *root = previous_block_root;
    }
}
