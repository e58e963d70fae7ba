//! A look at a mailbox from outside.

use core::fmt;

use super::{Sender, Shared};
use crate::counters::Counters;
use crate::primitives::Primitives;

/// Reads the figures of a mailbox without being one of its ends: it keeps neither side alive, so senders
/// and receiver end as if it were not there.
pub struct Meter<P: Primitives, T: Send>(P::Arc<Shared<P, T>>);

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Returns a meter of this mailbox.
    #[must_use]
    pub fn meter(&self) -> Meter<P, T> {
        Meter(self.shared.clone())
    }
}

impl<P: Primitives, T: Send> Meter<P, T> {
    /// Returns the figures of the mailbox. Does not block.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.counters()
    }
}

impl<P: Primitives, T: Send> fmt::Debug for Meter<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}
