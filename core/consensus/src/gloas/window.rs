//! The committees of three epochs, and the duties that follow from them.
//!
//! ```text
//!   | previous epoch | current epoch | next epoch |     a committee for each slot
//!                  <- process_ptc_window, at the end of the current epoch
//! ```
//!
//! - W1: the window's committees are those of the epochs around that of the state it belongs to.
//! - W2: the previous epoch of the first window has no committees: its places are all zero.
//!
//! Reference: consensus specification, `gloas/beacon-chain.md`, "get_ptc" and "process_ptc_window";
//! `gloas/fork.md`, "initialize_ptc_window"; `gloas/validator.md`, "Payload timeliness committee".

use std::marker::PhantomData;
use std::sync::Arc;

use super::committee::compute_epoch_ptcs;
use crate::accessors::{get_attester_dependent_root, get_current_epoch};
use crate::domains::{compute_epoch_at_slot, compute_start_slot_at_epoch};
use crate::error::{SafeMath, StateError};
use crate::preset::Preset;
use crate::primitives::{Epoch, Root, Slot, ValidatorIndex};
use crate::state::BeaconState;
use crate::wire::DecodeError;

/// The committees of the previous, the current and the next epoch. A clone costs a few pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PtcWindow<P: Preset> {
    /// For each epoch the members of all slots, one slot after the other.
    epochs: Vec<Arc<[ValidatorIndex]>>,
    preset: PhantomData<P>,
}

impl<P: Preset> PtcWindow<P> {
    /// Epochs of the window: those up to the lookahead, and the one before.
    const EPOCHS: usize = 2 + P::MIN_SEED_LOOKAHEAD as usize;
    /// Places in all committees of an epoch.
    const PLACES_PER_EPOCH: usize = P::SLOTS_PER_EPOCH as usize * P::PTC_SIZE;
    /// Bytes of every encoding.
    pub const ENCODED_LEN: usize = Self::EPOCHS * Self::PLACES_PER_EPOCH * size_of::<u64>();

    /// The window of a state that had none: at genesis, or right after the fork. The specification
    /// calls this `initialize_ptc_window`.
    ///
    /// # Errors
    /// As [`compute_ptc`](super::compute_ptc).
    pub fn initial(state: &BeaconState<P>) -> Result<Self, StateError> {
        let current = get_current_epoch(state);
        let mut epochs = vec![vec![0; Self::PLACES_PER_EPOCH].into()];
        for ahead in 0..=P::MIN_SEED_LOOKAHEAD {
            epochs.push(compute_epoch_ptcs(state, current.safe_add(ahead)?)?.into());
        }
        Ok(Self { epochs, preset: PhantomData })
    }

    /// Decodes a window that has to fill `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError::Length`] if there are more or fewer bytes.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() != Self::ENCODED_LEN {
            let (provided, expected) = (bytes.len(), Self::ENCODED_LEN);
            return Err(DecodeError::Length { provided, expected });
        }
        let (indices, _) = bytes.as_chunks::<8>();
        let indices: Vec<_> = indices.iter().map(|index| u64::from_le_bytes(*index)).collect();
        let epochs = indices.chunks(Self::PLACES_PER_EPOCH).map(Arc::from).collect();
        Ok(Self { epochs, preset: PhantomData })
    }

    /// The SSZ encoding.
    pub fn encode(&self) -> Vec<u8> {
        self.epochs.iter().flat_map(|epoch| epoch.iter()).flat_map(|i| i.to_le_bytes()).collect()
    }

    /// The committee of a slot of the `epoch`-th epoch of the window.
    fn committee(&self, epoch: usize, slot: Slot) -> Option<&[ValidatorIndex]> {
        let mut committees = self.epochs.get(epoch)?.chunks(P::PTC_SIZE);
        committees.nth((slot % P::SLOTS_PER_EPOCH) as usize)
    }
}

/// A slot whose committee a window does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("payload-timeliness committee of epoch {epoch}, expected an epoch next to {current}")]
pub struct PtcOutOfRange {
    /// The slot's epoch.
    pub epoch: Epoch,
    /// The state's epoch.
    pub current: Epoch,
}

/// Moves the window on by an epoch, to the one after the state's next: the last step of the end of
/// the state's epoch, after its effective balances are updated.
///
/// # Errors
/// As [`compute_ptc`](super::compute_ptc). The window is then unchanged.
pub fn process_ptc_window<P: Preset>(
    state: &BeaconState<P>,
    window: &mut PtcWindow<P>,
) -> Result<(), StateError> {
    let epoch = get_current_epoch(state).safe_add(P::MIN_SEED_LOOKAHEAD)?.safe_add(1)?;
    let last = compute_epoch_ptcs(state, epoch)?;
    window.epochs.remove(0);
    window.epochs.push(last.into());
    Ok(())
}

/// The committee of `slot`: a validator for each place, with duplicates (P1).
///
/// # Errors
/// [`PtcOutOfRange`] unless the slot's epoch is the state's or next to it.
pub fn get_ptc<'a, P: Preset>(
    state: &BeaconState<P>,
    window: &'a PtcWindow<P>,
    slot: Slot,
) -> Result<&'a [ValidatorIndex], PtcOutOfRange> {
    let (epoch, current) = (compute_epoch_at_slot::<P>(slot), get_current_epoch(state));
    let error = PtcOutOfRange { epoch, current };
    // The window begins with the epoch before the state's.
    let at = epoch.checked_add(1).and_then(|end| end.checked_sub(current)).ok_or(error)?;
    let at = usize::try_from(at).map_err(|_| error)?;
    window.committee(at, slot).ok_or(error)
}

/// The slot of `epoch` in whose committee validator `index` is, if there is one. There is at most
/// one, since the beacon committees of an epoch are disjoint.
///
/// # Errors
/// [`PtcOutOfRange`] unless the epoch is the state's or next to it.
pub fn get_ptc_assignment<P: Preset>(
    state: &BeaconState<P>,
    window: &PtcWindow<P>,
    epoch: Epoch,
    index: ValidatorIndex,
) -> Result<Option<Slot>, PtcOutOfRange> {
    let error = PtcOutOfRange { epoch, current: get_current_epoch(state) };
    let first = compute_start_slot_at_epoch::<P>(epoch).map_err(|_| error)?;
    for at in 0..P::SLOTS_PER_EPOCH {
        let slot = first.checked_add(at).ok_or(error)?;
        if get_ptc(state, window, slot)?.contains(&index) {
            return Ok(Some(slot));
        }
    }
    Ok(None)
}

/// The root of the block that the committees of `epoch` depend on: the last one before the start of
/// the preceding epoch, or the genesis block for the first two epochs. By P2 it is the root that
/// the epoch's beacon committees depend on: they give the candidates, and the balances are those at
/// the end of the epoch before the preceding one.
///
/// # Errors
/// [`StateError::SlotOutOfRange`] unless the state knows such a block, which it does up to the
/// epoch after its own.
pub fn get_ptc_dependent_root<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
) -> Result<Root, StateError> {
    get_attester_dependent_root(state, epoch)
}
