//! Why a channel did not do what it was asked to do. A refused item is always in the error.

/// Why an item was not accepted; the item is inside.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError<T> {
    /// The channel is full, and its policy or the call says not to wait.
    #[error("the channel is full")]
    Full(T),
    /// The channel was full for the whole time.
    #[error("the channel stayed full")]
    Timeout(T),
    /// The channel is closed, or its receiver is gone.
    #[error("the channel is closed")]
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

/// Nothing more will come: the channel is closed, and every accepted item has been received. For a
/// mailbox it also means that no permit is outstanding; for a one-shot, that the value was
/// received, or that the sender was dropped without sending. Sending a batch also ends with it:
/// nothing more is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the channel is closed, and nothing is left in it")]
pub struct Closed;

/// Why a `try_recv` returned no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// There is nothing at the moment.
    #[error("the channel is empty")]
    Empty,
    /// Nothing will ever come again; see [`Closed`].
    #[error("the channel is closed, and nothing is left in it")]
    Closed,
}

/// Why a `recv_timeout` returned no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecvTimeoutError {
    /// Nothing came in time: the wait looked once more after its deadline had come, and found
    /// nothing.
    #[error("nothing came in time")]
    Timeout,
    /// Nothing will ever come again; see [`Closed`].
    #[error("the channel is closed, and nothing is left in it")]
    Closed,
}

#[cfg(test)]
mod tests {
    use super::SendError;

    #[test]
    fn only_a_closed_channel_refuses_for_good() {
        // `Debug` names the reason, and not the item, which need not be `Debug`.
        struct Item;
        let errors = [SendError::Full(Item), SendError::Timeout(Item), SendError::Closed(Item)];
        let told = errors.each_ref().map(|error| (error.is_closed(), format!("{error:?}")));
        let expected = [(false, "Full(..)"), (false, "Timeout(..)"), (true, "Closed(..)")];
        assert_eq!(told, expected.map(|(is_closed, text)| (is_closed, text.to_owned())));
    }
}
