//! What the cases need of a state of Gloas, read from its bytes.
//!
//! The state begins with the fields of phase0 up to `slashings`, among them four lists. The window
//! of committees is its last field. So it ends where the fixed part does, which is where the first
//! list begins.

use std::ops::Range;

use blocksmith_consensus::gloas::PtcWindow;
use blocksmith_consensus::{
    BeaconState, ChainConfig, PersistentList, PersistentVector, Preset, Root, Wire, decode_exact,
    initialize_beacon_state_from_eth1,
};

use crate::vectors::error::NotPassed;

/// Length of an offset in bytes.
const OFFSET: usize = 4;

/// A state of Gloas, as far as the payload-timeliness committee is concerned.
pub(super) struct GloasState<P: Preset> {
    /// The whole encoding.
    pub(super) bytes: Vec<u8>,
    /// The fields that the state shares with phase0 and that are needed; the others are those of an
    /// empty state.
    pub(super) state: BeaconState<P>,
    /// The committees.
    pub(super) window: PtcWindow<P>,
    window_at: Range<usize>,
}

impl<P: Preset> GloasState<P> {
    /// Reads a state. What is not needed is not looked at.
    pub(super) fn new(bytes: Vec<u8>, config: &ChainConfig) -> Result<Self, NotPassed> {
        let mut state: BeaconState<P> =
            initialize_beacon_state_from_eth1(Root::ZERO, 0, &[], config)
                .map_err(NotPassed::failed)?;
        let mut fixed = Fields { bytes: &bytes, at: 0 };
        let vector = P::SLOTS_PER_HISTORICAL_ROOT as usize * size_of::<Root>();
        state.genesis_time = fixed.value(8)?;
        state.genesis_validators_root = fixed.value(32)?;
        state.slot = fixed.value(8)?;
        state.fork = fixed.value(16)?;
        state.latest_block_header = fixed.value(112)?;
        state.block_roots = roots(fixed.take(vector)?)?;
        state.state_roots = roots(fixed.take(vector)?)?;
        let end_of_fixed = fixed.offset()?;
        let (_eth1_data, _eth1_data_votes) = (fixed.take(72)?, fixed.offset()?);
        state.eth1_deposit_index = fixed.value(8)?;
        let (validators, balances) = (fixed.offset()?, fixed.offset()?);
        let mixes = P::EPOCHS_PER_HISTORICAL_VECTOR as usize * size_of::<Root>();
        state.randao_mixes = roots(fixed.take(mixes)?)?;
        state.validators = PersistentList::from_ssz_bytes(range(&bytes, validators..balances)?)
            .map_err(NotPassed::failed)?;
        state.drop_caches();
        let begin = end_of_fixed.saturating_sub(PtcWindow::<P>::ENCODED_LEN);
        let window_at = begin..end_of_fixed;
        let window = PtcWindow::from_ssz_bytes(range(&bytes, window_at.clone())?)
            .map_err(NotPassed::failed)?;
        Ok(Self { bytes, state, window, window_at })
    }

    /// Returns the encoding with the window as it is now.
    pub(super) fn with_window(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[self.window_at.clone()].copy_from_slice(&self.window.encode());
        bytes
    }
}

fn roots<N: blocksmith_consensus::Length>(
    bytes: &[u8],
) -> Result<PersistentVector<Root, N>, NotPassed> {
    PersistentVector::from_ssz_bytes(bytes).map_err(NotPassed::failed)
}

fn range(bytes: &[u8], range: Range<usize>) -> Result<&[u8], NotPassed> {
    let outside = || NotPassed::failed(format!("the state has no bytes {range:?}"));
    bytes.get(range.clone()).ok_or_else(outside)
}

/// The fields of a container, one after the other.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], NotPassed> {
        let field = range(self.bytes, self.at..self.at + length)?;
        self.at += length;
        Ok(field)
    }

    fn value<T: Wire>(&mut self, length: usize) -> Result<T, NotPassed> {
        decode_exact(self.take(length)?).map_err(NotPassed::failed)
    }

    fn offset(&mut self) -> Result<usize, NotPassed> {
        let offset = self.take(OFFSET)?;
        Ok(offset.iter().rev().fold(0, |value, byte| (value << 8) | usize::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blocksmith_consensus::Minimal;

    #[test]
    fn a_state_that_ends_early_or_points_elsewhere_is_an_error() {
        // Zeros of every length around those of the fields, and offsets that point nowhere.
        let config = ChainConfig::minimal();
        for length in (0..8_000).step_by(61) {
            assert!(GloasState::<Minimal>::new(vec![0; length], &config).is_err());
            assert!(GloasState::<Minimal>::new(vec![0xff; length], &config).is_err());
        }
    }
}
