//! One word that decides what a mailbox accepts, and when nothing more can come.
//!
//! ```text
//!   bit 63    62      61 .. 54      53 .. 39        38 .. 24            23 .. 0
//!   gone  | closed | reserved | replies queued | permits out | requests queued ("used")
//! ```
//!
//! | field | raised by | lowered by |
//! |---|---|---|
//! | used | a send that is accepted (an eviction takes over the credit of the evicted) | the receiver, per request taken |
//! | reserved | a sender that reserves a place | a place that is used (it becomes "used") or given back |
//! | permits out | the receiver, in `permit` | a permit that is used or dropped |
//! | replies queued | a permit that is used | the receiver, per reply taken |
//! | closed | either side, for good | - |
//! | gone | the drop of the receiver, together with closed | - |
//!
//! **Invariants.**
//! - C1 `used + reserved <= capacity` and `permits out + replies queued <= replies`.
//! - C2 A send is accepted, and a place reserved, by a read-modify-write that finds `closed` unset;
//!   a permit and a reserved place are used by one that finds `gone` unset. So all that is accepted
//!   precedes the closing in the word's modification order, and what is reserved then is counted.
//! - C3 By C2, once a load finds the mailbox closed with no request, place, permit or reply, none
//!   can follow: only the receiver lowers `used`, and it has taken everything that was accepted.
//!
//! **Memory order.** Items are handed over by the queue, not by this word, so counting is relaxed.
//! Closing and giving a permit or a place back release, the look that ends the stream acquires: who
//! learns that nothing more comes sees what happened before that was decided. All changes are
//! read-modify-writes, so a release is not cut off by the relaxed changes that follow it.

use crate::primitives::Ordering::{Acquire, Relaxed, Release};
use crate::primitives::{Atomic, Primitives};

const USED: u64 = 1;
const PERMIT: u64 = 1 << 24;
const REPLY: u64 = 1 << 39;
const RESERVED: u64 = 1 << 54;
const CLOSED: u64 = 1 << 62;
const GONE: u64 = 1 << 63;

/// The largest capacity.
pub const MAX_CAPACITY: usize = (1 << 24) - 1;
/// The largest number of reply slots.
pub const MAX_REPLIES: usize = (1 << 15) - 1;
/// The largest number of places that are reserved at once.
const MAX_RESERVED: u64 = (1 << 8) - 1;

const fn used(word: u64) -> u64 {
    word & (PERMIT - 1)
}
const fn permits(word: u64) -> u64 {
    (word & (REPLY - 1)) >> 24
}
const fn replies(word: u64) -> u64 {
    (word & (RESERVED - 1)) >> 39
}
const fn reserved(word: u64) -> u64 {
    (word & (CLOSED - 1)) >> 54
}

const fn depth(word: u64) -> u64 {
    used(word) + replies(word)
}

/// The answer to a request for a credit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The caller must push its item; requests and replies that are queued now, this one included.
    Accepted(u64),
    Full,
    Closed,
    /// All places are reserved, or as many as can be.
    Reserved,
}

pub(super) struct Credits<P: Primitives> {
    word: P::AtomicU64,
    capacity: u64,
    replies: u64,
}

impl<P: Primitives> Credits<P> {
    pub(super) fn new(capacity: usize, replies: usize) -> Self {
        assert!((1..=MAX_CAPACITY).contains(&capacity), "a mailbox holds 1 to 2^24-1 items");
        assert!(replies <= MAX_REPLIES, "a mailbox reserves at most 2^15-1 replies");
        Self { word: Atomic::new(0), capacity: capacity as u64, replies: replies as u64 }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Returns whether every place is a request's, or reserved.
    const fn is_taken(&self, word: u64) -> bool {
        used(word) + reserved(word) == self.capacity
    }

    /// Takes a credit for one request (C2).
    pub(super) fn accept(&self) -> Answer {
        self.update(|word| {
            if word & CLOSED != 0 {
                Err(Answer::Closed)
            } else if self.is_taken(word) {
                Err(Answer::Full)
            } else {
                Ok(word + USED)
            }
        })
        .map_or_else(|answer| answer, |word| Answer::Accepted(depth(word)))
    }

    /// Takes credits for as many of `wanted` requests as there is room for (C2): how many, at least
    /// one, and what is queued with them; or why not.
    pub(super) fn accept_some(&self, wanted: usize) -> Result<(usize, u64), Answer> {
        let mut count = 0;
        let word = self.update(|word| {
            if word & CLOSED != 0 {
                return Err(Answer::Closed);
            }
            count = (wanted as u64).min(self.capacity - used(word) - reserved(word));
            if count == 0 { Err(Answer::Full) } else { Ok(word + count * USED) }
        })?;
        Ok((count as usize, depth(word)))
    }

    /// As `accept`; but `Full` says that, in the word's modification order, the mailbox was full
    /// *and open*. The caller holds the consumer's lock, so that it stays full: it may evict the
    /// oldest request, keep its credit, and is then accepted as of this moment (C2). `Reserved`: it
    /// is full of places that are reserved, and there is no request to evict.
    pub(super) fn accept_or_confirm_full(&self) -> Answer {
        let mut full = false;
        let updated = self.update(|word| {
            full = self.is_taken(word);
            if full && used(word) == 0 && word & CLOSED == 0 {
                return Err(Answer::Reserved);
            }
            match word & CLOSED {
                0 if full => Ok(word),
                0 => Ok(word + USED),
                _ => Err(Answer::Closed),
            }
        });
        match updated {
            Err(answer) => answer,
            Ok(_) if full => Answer::Full,
            Ok(word) => Answer::Accepted(depth(word)),
        }
    }

    /// Returns the credits of `requests` and `replies` that the receiver has taken.
    pub(super) fn release(&self, requests: u64, replies: u64) {
        // ORDERING: none needed, see the module's text.
        self.word.fetch_sub(requests * USED + replies * REPLY, Relaxed);
    }

    /// Takes a reply slot; receiver only. Returns whether there was one.
    pub(super) fn take_permit(&self) -> bool {
        self.update(|word| {
            let free = permits(word) + replies(word) < self.replies;
            if free { Ok(word + PERMIT) } else { Err(Answer::Full) }
        })
        .is_ok()
    }

    /// Turns a permit into a queued reply and returns the depth with it, or returns its slot and
    /// `None` if the receiver is gone.
    pub(super) fn use_permit(&self) -> Option<u64> {
        let used = self.update(|word| {
            if word & GONE == 0 { Ok(word - PERMIT + REPLY) } else { Err(Answer::Closed) }
        });
        if used.is_err() {
            self.drop_permit();
        }
        used.ok().map(depth)
    }

    /// Returns the slot of an unused permit.
    pub(super) fn drop_permit(&self) {
        // ORDERING: pairs with the acquiring load in `is_finished`.
        self.word.fetch_sub(PERMIT, Release);
    }

    /// Reserves a place for one request (C2): accepted, or why not.
    pub(super) fn reserve(&self) -> Answer {
        self.update(|word| {
            if word & CLOSED != 0 {
                Err(Answer::Closed)
            } else if reserved(word) == MAX_RESERVED {
                Err(Answer::Reserved)
            } else if self.is_taken(word) {
                Err(Answer::Full)
            } else {
                Ok(word + RESERVED)
            }
        })
        .map_or_else(|answer| answer, |word| Answer::Accepted(depth(word)))
    }

    /// Turns a reserved place into a queued request and returns the depth with it, or `None` if the
    /// receiver is gone: then the place is still reserved.
    pub(super) fn use_reserved(&self) -> Option<u64> {
        let used = self.update(|word| {
            if word & GONE == 0 { Ok(word - RESERVED + USED) } else { Err(Answer::Closed) }
        });
        used.ok().map(depth)
    }

    /// Gives a reserved place back.
    pub(super) fn drop_reserved(&self) {
        // ORDERING: pairs with the acquiring load in `is_finished`.
        self.word.fetch_sub(RESERVED, Release);
    }

    /// Closes; `gone`: and refuses permits too.
    pub(super) fn close(&self, gone: bool) {
        let bits = if gone { CLOSED | GONE } else { CLOSED };
        // ORDERING: none needed; the exchange below compares with the latest value.
        let mut word = self.word.load(Relaxed);
        while word & bits != bits {
            // ORDERING: success pairs with the acquiring load in `is_finished`.
            match self.word.compare_exchange(word, word | bits, Release, Relaxed) {
                Ok(_) => return,
                Err(found) => word = found,
            }
        }
    }

    /// Returns whether no request would be accepted for want of room: a figure.
    pub(super) fn is_full(&self) -> bool {
        // ORDERING: none needed, a figure.
        self.is_taken(self.word.load(Relaxed))
    }

    pub(super) fn is_closed(&self) -> bool {
        // ORDERING: none needed, a look at one bit that is never unset.
        self.word.load(Relaxed) & CLOSED != 0
    }

    /// Returns whether the receiver has gone.
    pub(super) fn is_gone(&self) -> bool {
        // ORDERING: none needed, a look at one bit that is never unset.
        self.word.load(Relaxed) & GONE != 0
    }

    /// Returns how many permits are out, and places reserved.
    pub(super) fn permits_out(&self) -> u64 {
        // ORDERING: none needed, a figure.
        let word = self.word.load(Relaxed);
        permits(word) + reserved(word)
    }

    /// Returns whether nothing more can come (C3); receiver only.
    pub(super) fn is_finished(&self) -> bool {
        // ORDERING: pairs with the releases in `close`, `drop_permit` and `drop_reserved`.
        let word = self.word.load(Acquire);
        word & CLOSED != 0 && word & (CLOSED - 1) == 0
    }

    /// Returns how many accepted items the receiver has not taken: requests, and replies.
    pub(super) fn queued(&self) -> (u64, u64) {
        // ORDERING: none needed: for the receiver its own changes are in order, for others it is a
        // figure.
        let word = self.word.load(Relaxed);
        (used(word), replies(word))
    }

    /// Applies `change` until it lands on the latest value, and returns the new one or its refusal.
    fn update(&self, mut change: impl FnMut(u64) -> Result<u64, Answer>) -> Result<u64, Answer> {
        // ORDERING: none needed; the exchange below compares with the latest value.
        let mut word = self.word.load(Relaxed);
        loop {
            let changed = change(word)?;
            // ORDERING: none needed, see the module's text.
            match self.word.compare_exchange(word, changed, Relaxed, Relaxed) {
                Ok(_) => return Ok(changed),
                Err(found) => word = found,
            }
        }
    }
}
