//! Why a mailbox returned without doing what was asked. A refused item is always in the error.

/// Why an item was not accepted; it is returned.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError<T> {
    /// The mailbox is full, and its policy or the call does not wait.
    #[error("the mailbox is full")]
    Full(T),
    /// The mailbox was full for the whole time.
    #[error("the mailbox stayed full")]
    Timeout(T),
    /// The mailbox is closed, or its receiver is gone.
    #[error("the mailbox is closed")]
    Closed(T),
}

impl<T> SendError<T> {
    /// Returns the item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Timeout(item) | Self::Closed(item) => item,
        }
    }

    /// Returns whether no later send can succeed either.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl<T> core::fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Timeout(_) => "Timeout(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

/// Nothing more will come: the mailbox is closed, every accepted item has been received and no permit
/// is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mailbox is closed and empty")]
pub struct Closed;

/// Why [`super::Receiver::try_recv`] returned no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// Nothing at the moment.
    #[error("the mailbox is empty")]
    Empty,
    /// Nothing ever again; see [`Closed`].
    #[error("the mailbox is closed and empty")]
    Closed,
}

/// Why [`super::Receiver::recv_timeout`] returned no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecvTimeoutError {
    /// Nothing came in time.
    #[error("nothing came in time")]
    Timeout,
    /// Nothing ever again; see [`Closed`].
    #[error("the mailbox is closed and empty")]
    Closed,
}
