//! Minimum and maximum targets: what decides in one look whether a vote surrounds an earlier one of
//! its validator, or is surrounded by one.
//!
//! For a validator and an epoch `e`, the *minimum target* is the least target of its votes with a
//! source after `e`, and the *maximum target* is the greatest target of its votes with a source
//! before `e`. A vote from `s` to `t` surrounds an earlier one if and only if the minimum target at
//! `s` is less than `t`. An earlier one surrounds it if and only if the maximum target at `s` is
//! greater than `t`.
//!
//! ```text
//!            epoch   0   1   2   3   4   5   6
//!   vote 2 to 4              ├───────┤
//!   minimum target   4   4   -   -   -   -   -     votes from before 2 to after 4 surround it
//!   maximum target   -   -   -   4   -   -   -     a vote from 3 to 3 lies within it
//! ```
//!
//! - S1 The minimum target never decreases with the epoch, and neither does the maximum target. So
//!   an update starts at the vote's source and stops at the first epoch that needs no change. The
//!   maximum target counts only below itself: no vote from `e` ends before `e`.
//! - S2 A target is stored as its distance from the epoch, in 16 bits, 0 for none. A window has at
//!   most [`MAX_EPOCHS`] epochs, so every distance fits.
//! - S3 Chunks of [`VALIDATORS`] by [`EPOCHS`] come into being when something is stored in them,
//!   and go when the window has left them. The votes of a validator that always votes from one
//!   epoch to the next change one minimum target each, and no maximum target.
//! - S4 The spans are a function of the votes on record. So they are no part of a detector's
//!   identity.
//!
//! Reference: the min-max surround design of protolambda's `eth2-surround`, as Lighthouse's slasher
//! uses it. Theirs wraps around on disk, and theirs leaves out what has a source before the window.

use std::collections::VecDeque;

use crate::consensus::{Epoch, ValidatorIndex};

/// Validators of a chunk.
pub(super) const VALIDATORS: u64 = 64;
/// Epochs of a chunk.
pub(super) const EPOCHS: u64 = 16;
/// The most epochs that a window can have (S2).
pub(super) const MAX_EPOCHS: u64 = u16::MAX as u64 - 1;

/// Memory of one chunk of distances, in bytes.
const CHUNK_BYTES: usize = (VALIDATORS * EPOCHS) as usize * size_of::<u16>();
/// Memory of a chunk's place, whether or not there is a chunk, in bytes.
pub(super) const PLACE_BYTES: usize = size_of::<Option<Box<[u16]>>>();

/// The distances of one kind of target, for all validators and the epochs of the window.
#[derive(Clone, Debug, Default)]
struct Distances {
    /// Number of the first row of chunks.
    first: u64,
    /// Rows of chunks; a row has [`EPOCHS`] epochs, and a place for each group of validators.
    rows: VecDeque<Vec<Option<Box<[u16]>>>>,
    /// Groups of validators that have come up: a new row has a place for each.
    groups: usize,
    chunks: usize,
    places: usize,
}

impl Distances {
    fn at(&self, validator: ValidatorIndex, epoch: Epoch) -> u64 {
        let row = (epoch / EPOCHS).checked_sub(self.first).map(|row| row as usize);
        let row = row.and_then(|row| self.rows.get(row));
        let chunk = row.and_then(|row| row.get((validator / VALIDATORS) as usize)?.as_ref());
        chunk.map_or(0, |chunk| u64::from(chunk[cell(validator, epoch)]))
    }

    /// Returns the distances of the validator in the row of `epoch`, by epoch; `None` if the row is
    /// before the window. Makes the chunk if there is none.
    fn row_mut(&mut self, validator: ValidatorIndex, epoch: Epoch) -> Option<&mut [u16]> {
        let row = (epoch / EPOCHS).checked_sub(self.first)? as usize;
        if row >= self.rows.len() {
            self.rows.resize_with(row + 1, Vec::new);
        }
        let group = (validator / VALIDATORS) as usize;
        self.groups = self.groups.max(group + 1);
        let row = self.rows.get_mut(row)?;
        if group >= row.len() {
            let more = self.groups - row.len();
            row.reserve_exact(more);
            row.resize(self.groups, None);
            self.places += more;
        }
        let chunk = row[group].get_or_insert_with(|| {
            self.chunks += 1;
            vec![0; (VALIDATORS * EPOCHS) as usize].into_boxed_slice()
        });
        let from = cell(validator, 0);
        chunk.get_mut(from..from + EPOCHS as usize)
    }

    /// Forgets the rows that lie before `epoch` as a whole.
    fn forget_before(&mut self, epoch: Epoch) {
        let first = epoch / EPOCHS;
        for _ in self.first..first {
            let Some(row) = self.rows.pop_front() else { break };
            self.places -= row.len();
            self.chunks -= row.iter().flatten().count();
        }
        self.first = self.first.max(first);
    }

    fn bytes(&self) -> usize {
        self.chunks * CHUNK_BYTES + self.places * PLACE_BYTES
    }
}

/// Returns the place of a distance in its chunk: a validator's epochs lie side by side.
fn cell(validator: ValidatorIndex, epoch: Epoch) -> usize {
    ((validator % VALIDATORS) * EPOCHS + epoch % EPOCHS) as usize
}

/// Returns a distance as it is stored (S2).
fn stored(target: Epoch, epoch: Epoch) -> u16 {
    debug_assert!(target > epoch && target - epoch <= MAX_EPOCHS + 1, "{epoch} to {target}");
    u16::try_from(target.saturating_sub(epoch)).unwrap_or(u16::MAX)
}

/// The minimum and maximum targets of all validators; see the module's text.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans {
    /// The first epoch that is kept: the one before the window, for votes from before the window.
    floor: Epoch,
    minimum: Distances,
    maximum: Distances,
}

impl Spans {
    /// Returns the least target of the validator's votes with a source after `epoch`. An epoch
    /// before those that are kept stands for the first that is.
    pub(super) fn minimum_target(&self, validator: ValidatorIndex, epoch: Epoch) -> Option<Epoch> {
        let epoch = epoch.max(self.floor);
        let distance = self.minimum.at(validator, epoch);
        (distance > 0).then_some(epoch + distance)
    }

    /// Returns the greatest target of the validator's votes with a source before `epoch`; `None` if
    /// the epoch lies before those that are kept.
    pub(super) fn maximum_target(&self, validator: ValidatorIndex, epoch: Epoch) -> Option<Epoch> {
        let distance = self.maximum.at(validator, epoch);
        (epoch >= self.floor && distance > 0).then_some(epoch + distance)
    }

    /// Takes a vote in. It costs one visit per epoch whose target changes, and one more.
    pub(super) fn insert(&mut self, validator: ValidatorIndex, source: Epoch, target: Epoch) {
        self.lower(validator, source, target);
        self.raise(validator, source, target);
    }

    /// Lowers the minimum targets before the source, the last epoch first (S1).
    fn lower(&mut self, validator: ValidatorIndex, source: Epoch, target: Epoch) {
        let mut end = source;
        while end > self.floor {
            let last = end - 1;
            if self.minimum_target(validator, last).is_some_and(|known| known <= target) {
                return;
            }
            let first = (last - last % EPOCHS).max(self.floor);
            let Some(row) = self.minimum.row_mut(validator, last) else { return };
            for epoch in (first..=last).rev() {
                let distance = &mut row[(epoch % EPOCHS) as usize];
                if *distance > 0 && epoch + u64::from(*distance) <= target {
                    return;
                }
                *distance = stored(target, epoch);
            }
            end = first;
        }
    }

    /// Raises the maximum targets after the source and before the target, the first epoch first
    /// (S1).
    fn raise(&mut self, validator: ValidatorIndex, source: Epoch, target: Epoch) {
        let mut first = source.saturating_add(1).max(self.floor);
        while first < target {
            if self.maximum_target(validator, first).is_some_and(|known| known >= target) {
                return;
            }
            let end = (first - first % EPOCHS).saturating_add(EPOCHS).min(target);
            let Some(row) = self.maximum.row_mut(validator, first) else { return };
            for epoch in first..end {
                let distance = &mut row[(epoch % EPOCHS) as usize];
                if epoch + u64::from(*distance) >= target {
                    return;
                }
                *distance = stored(target, epoch);
            }
            first = end;
        }
    }

    /// Moves the window's start forward to `start`.
    pub(super) fn start_at(&mut self, start: Epoch) {
        self.floor = self.floor.max(start.saturating_sub(1));
        self.minimum.forget_before(self.floor);
        self.maximum.forget_before(self.floor);
    }

    /// Returns the memory of the spans, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.minimum.bytes() + self.maximum.bytes()
    }

    /// Returns a bound on the memory that one more vote of the validator can cost, in bytes.
    pub(super) fn cost(&self, validator: ValidatorIndex, source: Epoch, target: Epoch) -> usize {
        let rows = |from: Epoch, to: Epoch| (to.saturating_sub(from) / EPOCHS + 2) as usize;
        let chunks = rows(self.floor, source) + rows(source.max(self.floor), target);
        let known = self.minimum.groups.max(self.maximum.groups);
        let places = known.max((validator / VALIDATORS) as usize + 1);
        chunks * (CHUNK_BYTES + places * PLACE_BYTES)
    }
}
