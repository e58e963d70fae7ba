//! What a send does when a channel is full.

/// What a send does when the channel is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFull {
    /// It waits until there is room.
    Block,
    /// It returns the item.
    Refuse,
    /// It takes the place of the oldest request, which is returned to the sender.
    EvictOldest,
}

/// The policies of a channel whose senders cannot take items out of it. To evict, a sender must act
/// as a receiver; where the receiving index has one owner, as in [`crate::spsc`], it cannot.
///
/// ```
/// use blocksmith_sync::{Backpressure, CannotEvict, OnFull};
///
/// assert_eq!(Backpressure::try_from(OnFull::Block), Ok(Backpressure::Block));
/// assert_eq!(Backpressure::try_from(OnFull::EvictOldest), Err(CannotEvict));
/// assert_eq!(OnFull::from(Backpressure::Refuse), OnFull::Refuse);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backpressure {
    /// A send waits until there is room.
    Block,
    /// A send returns the item.
    Refuse,
}

/// The channel cannot evict: its policy must be to block or to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this channel cannot evict its oldest item")]
pub struct CannotEvict;

impl TryFrom<OnFull> for Backpressure {
    type Error = CannotEvict;

    fn try_from(policy: OnFull) -> Result<Self, CannotEvict> {
        match policy {
            OnFull::Block => Ok(Self::Block),
            OnFull::Refuse => Ok(Self::Refuse),
            OnFull::EvictOldest => Err(CannotEvict),
        }
    }
}

impl From<Backpressure> for OnFull {
    fn from(policy: Backpressure) -> Self {
        match policy {
            Backpressure::Block => Self::Block,
            Backpressure::Refuse => Self::Refuse,
        }
    }
}
