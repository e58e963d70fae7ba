//! A ghost variable: memory without content, accessed to state who may access what.
//!
//! **Contract.** Two overlapping calls, at least one of which is [`Ghost::write`], break the claim
//! that the variable stands for; a checker of data races reports that, and names both.
//! [`crate::Std`] does nothing. Neither call blocks, and neither orders anything.
//!
//! It serves claims that no cell shows: that memory is not used after it has been freed (each use
//! reads, the freeing writes), or that a field that exists only on paper has one owner at a time.
//!
//! ```
//! use blocksmith_sync::Ordering::{Acquire, Release};
//! use blocksmith_sync::{Atomic, Ghost, Primitives, Std};
//!
//! fn hand_over<P: Primitives>() {
//!     let shared = P::arc((P::AtomicU32::new(0), Ghost::<P>::new()));
//!     let other = shared.clone();
//!     let owner = P::spawn("owner", move || {
//!         other.1.write();
//!         other.0.store(1, Release); // with Relaxed, it would be a race
//!     });
//!     if shared.0.load(Acquire) == 1 {
//!         shared.1.write();
//!     }
//!     assert!(blocksmith_sync::Join::join(owner).is_ok());
//! }
//! hand_over::<Std>();
//! ```
//!
//! **Invariant.** G1 The cell has no content: no access to it reads or writes memory.

use crate::primitives::{Cell, Primitives};

/// A ghost variable; see the module documentation.
pub struct Ghost<P: Primitives>(P::Cell<()>);

// SAFETY: G1; there is no memory to race for.
unsafe impl<P: Primitives> Send for Ghost<P> {}
// SAFETY: as above.
unsafe impl<P: Primitives> Sync for Ghost<P> {}

impl<P: Primitives> Ghost<P> {
    /// Returns a variable that nobody has accessed.
    #[must_use]
    #[inline(always)]
    pub fn new() -> Self {
        Self(Cell::new(()))
    }

    /// States that the caller shares what the variable stands for.
    #[inline(always)]
    #[track_caller]
    pub fn read(&self) {
        self.0.with(|_| ());
    }

    /// States that the caller alone has what the variable stands for.
    #[inline(always)]
    #[track_caller]
    pub fn write(&self) {
        self.0.with_mut(|_| ());
    }
}

impl<P: Primitives> Default for Ghost<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Primitives> core::fmt::Debug for Ghost<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ghost")
    }
}

#[cfg(test)]
mod tests {
    use super::Ghost;
    use crate::scripted::{Scripted, script};

    #[test]
    fn each_call_is_an_access_that_the_backend_sees() {
        // A checker of races compares accesses to cells; here they are counted.
        let ghost = Ghost::<Scripted>::new();
        let accesses = || script(|script| script.accesses.get());
        let (reads, writes) = accesses();
        ghost.read();
        assert_eq!(accesses(), (reads + 1, writes));
        ghost.write();
        assert_eq!(accesses(), (reads + 1, writes + 1));
        assert_eq!(format!("{ghost:?}"), "Ghost");
    }
}
