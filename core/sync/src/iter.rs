//! The iterators of receivers.

use core::fmt;
use core::iter::FusedIterator;

/// What an iterator asks of a receiver. The trait is sealed: its module cannot be named outside.
pub(crate) mod sealed {
    /// A receiver of items.
    pub trait Receives {
        /// What it receives.
        type Item;
        /// Blocks for the next item; `None` means that nothing more can come.
        fn next(&self) -> Option<Self::Item>;
        /// Returns the next item if it is there.
        fn next_now(&self) -> Option<Self::Item>;
    }
}
use sealed::Receives;

/// Receives until nothing more can come, and owns the receiver: dropping it drops the receiver.
/// `next` blocks like `recv`.
pub struct IntoIter<R>(pub(crate) R);

/// Receives until nothing more can come; `next` blocks like `recv`.
pub struct Iter<'a, R>(pub(crate) &'a R);

/// Receives what is there; `next` does not block, and `None` may be followed by an item.
pub struct TryIter<'a, R>(pub(crate) &'a R);

impl<R: Receives> Iterator for IntoIter<R> {
    type Item = R::Item;
    fn next(&mut self) -> Option<R::Item> {
        self.0.next()
    }
}

impl<R: Receives> Iterator for Iter<'_, R> {
    type Item = R::Item;
    fn next(&mut self) -> Option<R::Item> {
        self.0.next()
    }
}

impl<R: Receives> Iterator for TryIter<'_, R> {
    type Item = R::Item;
    fn next(&mut self) -> Option<R::Item> {
        self.0.next_now()
    }
}

// Once nothing more can come, that is final.
impl<R: Receives> FusedIterator for IntoIter<R> {}
impl<R: Receives> FusedIterator for Iter<'_, R> {}

macro_rules! opaque_debug {
    ($($name:ident $(<$lifetime:lifetime>)?),*) => { $(
        impl<R> fmt::Debug for $name<$($lifetime,)? R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }
    )* };
}
opaque_debug!(IntoIter, Iter<'_>, TryIter<'_>);
