//! What a mailbox accepts, in which order, and when nothing more can come.
//!
//! ```text
//!   word     bit 63    62      61 .. 52      51 .. 26              25 .. 0
//!            gone  | closed | reserved | replies claimed | requests claimed         senders
//!
//!   consumed   requests, replies                                                    the consumer
//!   permits    issued (by the receiver), dropped (by who held them)
//! ```
//!
//! An item is accepted by the change of the word that claims its position in the queue. The
//! position is the number of items, of both kinds, that were claimed before. The word only counts
//! up; an item is queued if it is claimed and not consumed. All counts wrap around (the word's at
//! 2^26), and are compared by their differences.
//!
//! | count | raised by | lowered by |
//! |---|---|---|
//! | requests claimed | a send that is accepted; a place that is used; an eviction | - |
//! | replies claimed | a permit that is used | - |
//! | reserved | a sender that reserves a place | a place that is used or given back |
//! | consumed | the receiver, for what it has taken; an evictor, for the request that it has taken | - |
//! | issued, dropped | the receiver, in `permit`; the drop of a permit that is not used | - |
//! | closed | either side, for good | - |
//! | gone | the drop of the receiver, together with closed | - |
//!
//! **Invariants.**
//! - C1 `requests claimed - consumed + reserved <= capacity`, except while an evictor has claimed
//!   and not yet consumed; `issued - dropped - replies consumed <= replies`.
//! - C2 A send is accepted, and a place reserved, by a read-modify-write that finds `closed` unset.
//!   A permit or a reserved place is used by one that finds `gone` unset. So every accepted send
//!   precedes the closing in the word's modification order, and every place that is reserved at the
//!   closing is counted.
//! - C3 By C2, nothing can follow once a load finds the mailbox closed, nothing reserved, all
//!   claims consumed, and all issued permits either used or dropped. (The numbers of used and of
//!   dropped permits only grow, and their sum never exceeds the number issued: so it does not
//!   matter that they are counted in two words.)
//! - C4 A sender that claims has read `consumed` first, so it may see too little room, but never
//!   too much (see "Limits"). A sender that waits looks again when it is woken. Before a send is
//!   refused for want of room, `consumed` is read again: if it has not changed, the mailbox was
//!   full when the word was read. That read of the word acquires, so the second reading of
//!   `consumed` sees at least what had been consumed before the last claim that the word shows.
//! - C5 When a position is claimed, all but `capacity - 1` of the requests before it and all but
//!   `replies - 1` of the replies before it have been consumed, and their consumption happens
//!   before the claim. This holds for four reasons. A claim acquires what it has read of
//!   `consumed`. An evictor takes its request out before it claims. A permit is issued after the
//!   reply that made room for it was consumed. Claims and reservations acquire and release, so what
//!   happened before the earlier ones happens before the later ones; and what is reserved counts as
//!   claimed.
//!
//! **Limits.** The counts wrap around, and a thread may be suspended between any two steps. So a
//! sender that looks for room reads `consumed` again after the word. If `consumed` has moved by
//! 2^25 or more since the first reading, the sender counts no room, and looks again (C4). Two
//! coincidences remain in which a sender may claim more than there is room for. It is suspended
//! between its read of the word and its exchange while exactly 2^26 requests are claimed, or a
//! multiple, no more and no fewer. Or it is suspended between its first reading of `consumed` and
//! its read of the word while 2^32 requests are consumed, and fewer than 2^25 more. Checkers, whose
//! executions are too short for either, leave out the reading ([`Primitives::counts_wrap`]).
//!
//! **Memory order.** Consuming releases, and the look for room acquires: so the place in the queue
//! is free (C5). Closing, and giving back a permit or a place, release, and the look that ends the
//! stream acquires: a receiver that learns that nothing more will come sees what happened before
//! that was decided. All changes are read-modify-writes, so the changes that follow a release
//! continue its release sequence.

use core::convert::Infallible;

use crossbeam_utils::CachePadded;

use crate::counters::Figure;
use crate::primitives::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::primitives::{Atomic, Primitives};

/// In the word: one reply, or one reserved place. (A request is 1.)
const REPLY: u64 = 1 << 26;
const RESERVED: u64 = 1 << 52;
const CLOSED: u64 = 1 << 62;
const GONE: u64 = 1 << 63;

/// The bits of a count of claims.
pub(super) const COUNT: u32 = (1 << 26) - 1;

/// The largest capacity.
pub const MAX_CAPACITY: usize = (1 << 24) - 1;
/// The largest number of reply slots.
pub const MAX_REPLIES: usize = (1 << 15) - 1;
/// The largest number of places that are reserved at once.
const MAX_RESERVED: u32 = (1 << 8) - 1;

const fn requests(word: u64) -> u32 {
    word as u32 & COUNT
}
const fn replies(word: u64) -> u32 {
    (word >> 26) as u32 & COUNT
}
const fn reserved(word: u64) -> u32 {
    ((word & (CLOSED - 1)) >> 52) as u32
}
/// Returns the next position.
const fn position(word: u64) -> u32 {
    requests(word).wrapping_add(replies(word)) & COUNT
}
/// Returns the word with `count` more requests.
const fn with_requests(word: u64, count: u32) -> u64 {
    word - requests(word) as u64 + (requests(word).wrapping_add(count) & COUNT) as u64
}
/// Returns the word with one more reply.
const fn with_reply(word: u64) -> u64 {
    let next = replies(word).wrapping_add(1) & COUNT;
    word - replies(word) as u64 * REPLY + next as u64 * REPLY
}
/// Returns how many are claimed and not consumed.
const fn pending(claimed: u32, consumed: u32) -> u32 {
    claimed.wrapping_sub(consumed) & COUNT
}

/// Positions that have been claimed: the caller pushes an item to each before it does anything
/// else.
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) struct Claim {
    pub(super) first: u32,
    pub(super) count: u32,
    /// Requests and replies that are queued now, including these.
    pub(super) depth: u64,
}

/// Why a request is not accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Closed,
    /// All places are reserved, or as many as may be.
    Reserved,
}

/// What the consumer's side changes, and what nobody changes, on a cache line that senders only
/// read.
struct Returned<P: Primitives> {
    requests: P::AtomicU32,
    replies: P::AtomicU32,
    /// Permits that the receiver has issued; only it writes this.
    issued: P::AtomicU32,
    /// Permits that were dropped without use.
    dropped: P::AtomicU32,
    /// The same as `replies`, for the depth. It is a figure, and reading it is not a step for a
    /// checker.
    replied: Figure,
    capacity: u32,
    slots: u32,
}

pub(super) struct Credits<P: Primitives> {
    /// Every send changes it.
    word: CachePadded<P::AtomicU64>,
    returned: CachePadded<Returned<P>>,
}

impl<P: Primitives> Credits<P> {
    pub(super) fn new(capacity: usize, replies: usize) -> Self {
        assert!((1..=MAX_CAPACITY).contains(&capacity), "a mailbox holds 1 to 2^24-1 items");
        assert!(replies <= MAX_REPLIES, "a mailbox reserves at most 2^15-1 replies");
        let returned = Returned {
            requests: Atomic::new(0),
            replies: Atomic::new(0),
            issued: Atomic::new(0),
            dropped: Atomic::new(0),
            replied: Figure::default(),
            capacity: capacity as u32,
            slots: replies as u32,
        };
        Self { word: CachePadded::new(Atomic::new(0)), returned: CachePadded::new(returned) }
    }

    pub(super) fn capacity(&self) -> usize {
        self.returned.capacity as usize
    }

    /// Returns how many requests have been consumed. It must be read before the word (C4).
    #[inline]
    fn consumed(&self) -> u32 {
        // ORDERING: pairs with the releasing additions in `release` and `replace` (C5).
        self.returned.requests.load(Acquire)
    }

    /// Returns for how many requests there is room. The word must have been read after `consumed`.
    #[inline]
    fn room(&self, word: u64, consumed: u32) -> u32 {
        // For a moment an evictor may have claimed one too many (C1).
        let held = pending(requests(word), consumed) + reserved(word);
        let room = self.returned.capacity.saturating_sub(held);
        if P::counts_wrap() && self.has_passed(consumed) { 0 } else { room }
    }

    /// Returns whether so much has been consumed since `consumed` was read that the difference to a
    /// word that was read meanwhile may have wrapped around (see "Limits").
    #[inline]
    fn has_passed(&self, consumed: u32) -> bool {
        self.consumed().wrapping_sub(consumed) > COUNT / 2
    }

    /// Returns how many items are queued. It is a figure.
    fn depth(&self, word: u64, consumed: u32) -> u64 {
        let replied = self.returned.replied.get() as u32;
        u64::from(pending(requests(word), consumed)) + u64::from(pending(replies(word), replied))
    }

    /// Returns the claim of `count` positions that changed the word from `before` to `after`.
    #[inline]
    fn claim(&self, before: u64, after: u64, count: u32, consumed: u32) -> Claim {
        Claim { first: position(before), count, depth: self.depth(after, consumed) }
    }

    /// Claims positions for at most `wanted` requests (C2), at least for one, or says why not.
    pub(super) fn accept(&self, wanted: usize) -> Result<Claim, Refusal> {
        self.confirmed(|consumed| self.try_claim(wanted, consumed))
    }

    /// Like `accept`, but for a caller that waits if the mailbox is full: that may have changed
    /// since (C4).
    #[inline]
    pub(super) fn offer(&self, wanted: usize) -> Result<Claim, Refusal> {
        self.try_claim(wanted, self.consumed())
    }

    #[inline]
    fn try_claim(&self, wanted: usize, consumed: u32) -> Result<Claim, Refusal> {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let mut count = 0;
        let before = self.exchange(|word| {
            if word & CLOSED != 0 {
                return Err(Refusal::Closed);
            }
            count = self.room(word, consumed).min(wanted);
            if count == 0 { Err(Refusal::Full) } else { Ok(with_requests(word, count)) }
        })?;
        Ok(self.claim(before, with_requests(before, count), count, consumed))
    }

    /// Like `accept` for one request; but `Full` means that, in the word's modification order, the
    /// mailbox was full *and open*. The caller holds the consumer's lock: it takes the oldest
    /// request, and is then accepted as of this moment (C2) by `replace`. `Reserved` means that the
    /// mailbox is full of reserved places, and that there is no request to evict.
    pub(super) fn accept_or_confirm_full(&self) -> Result<Claim, Refusal> {
        loop {
            let consumed = self.consumed();
            let mut is_full = false;
            let before = self.exchange(|word| {
                is_full = self.room(word, consumed) == 0;
                if word & CLOSED != 0 {
                    Err(Refusal::Closed)
                } else if is_full && pending(requests(word), consumed) == 0 {
                    Err(Refusal::Reserved)
                } else if is_full {
                    Ok(word)
                } else {
                    Ok(with_requests(word, 1))
                }
            })?;
            if !is_full {
                return Ok(self.claim(before, with_requests(before, 1), 1, consumed));
            }
            if self.consumed() == consumed {
                return Err(Refusal::Full); // at the exchange (C4)
            }
        }
    }

    /// Claims a position in exchange for the oldest request, which the caller has taken since
    /// `accept_or_confirm_full`, under the consumer's lock.
    pub(super) fn replace(&self) -> Claim {
        let Ok(before) = self.exchange::<Infallible>(|word| Ok(with_requests(word, 1)));
        // ORDERING: pairs with the acquiring load in `consumed`. It comes after the claim, so a
        // thread that sees the room that it makes also sees that the room is taken.
        // ORDERING(survives): each claim acquires from the earlier ones, so a sender that claims
        // before the evictor has read `consumed` before this addition. The ordering is kept so that
        // room does not depend on how claims are ordered.
        let consumed = self.returned.requests.fetch_add(1, Release).wrapping_add(1);
        self.claim(before, with_requests(before, 1), 1, consumed)
    }

    /// Counts as consumed what the receiver has taken.
    pub(super) fn release(&self, requests: u32, replies: u32) {
        if requests > 0 {
            // ORDERING: pairs with the acquiring load in `consumed`.
            self.returned.requests.fetch_add(requests, Release);
        }
        if replies > 0 {
            // ORDERING: none needed: the permits that are issued for them are handed over (C5).
            self.returned.replies.fetch_add(replies, Relaxed);
            self.returned.replied.add(replies.into());
        }
    }

    /// Takes a reply slot; receiver only. Returns whether there was one.
    pub(super) fn take_permit(&self) -> bool {
        // ORDERING: none needed: the figure is the receiver's own. Dropping a permit touches no
        // place.
        let issued = self.returned.issued.load(Relaxed);
        let replied = self.returned.replies.load(Relaxed);
        let dropped = self.returned.dropped.load(Relaxed);
        let is_free = issued.wrapping_sub(dropped).wrapping_sub(replied) < self.returned.slots;
        if is_free {
            // ORDERING: as above.
            self.returned.issued.store(issued.wrapping_add(1), Relaxed);
        }
        is_free
    }

    /// Turns a permit into a queued reply and returns its claim, or returns its slot and `None` if
    /// the receiver is gone.
    pub(super) fn use_permit(&self) -> Option<Claim> {
        let used = self.exchange(|word| {
            if word & GONE == 0 { Ok(with_reply(word)) } else { Err(Refusal::Closed) }
        });
        if used.is_err() {
            self.drop_permit();
        }
        used.ok().map(|before| self.claim(before, with_reply(before), 1, self.consumed()))
    }

    /// Returns the slot of an unused permit.
    pub(super) fn drop_permit(&self) {
        // ORDERING: pairs with the acquiring load in `is_finished`.
        self.returned.dropped.fetch_add(1, Release);
    }

    /// Reserves a place for one request (C2), or says why not.
    pub(super) fn reserve(&self) -> Result<(), Refusal> {
        self.confirmed(|consumed| {
            let reserved = self.exchange(|word| {
                if word & CLOSED != 0 {
                    Err(Refusal::Closed)
                } else if reserved(word) == MAX_RESERVED {
                    Err(Refusal::Reserved)
                } else if self.room(word, consumed) == 0 {
                    Err(Refusal::Full)
                } else {
                    Ok(word + RESERVED)
                }
            });
            reserved.map(drop)
        })
    }

    /// Turns a reserved place into a queued request and returns its claim, or `None` if the
    /// receiver is gone: then the place is still reserved.
    pub(super) fn use_reserved(&self) -> Option<Claim> {
        let change = |word| with_requests(word - RESERVED, 1);
        let used =
            self.exchange(
                |word| {
                    if word & GONE == 0 { Ok(change(word)) } else { Err(Refusal::Closed) }
                },
            );
        used.ok().map(|before| self.claim(before, change(before), 1, self.consumed()))
    }

    /// Gives a reserved place back.
    pub(super) fn drop_reserved(&self) {
        // ORDERING: pairs with the acquiring load in `is_finished`.
        self.word.fetch_sub(RESERVED, Release);
    }

    /// Closes; if `gone`, refuses permits, too.
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

    /// Returns the word. It is a figure, or a look at bits that are never cleared.
    fn look(&self) -> u64 {
        // ORDERING: none needed; see above.
        self.word.load(Relaxed)
    }

    /// Returns the word, for a look at the room.
    #[inline]
    fn acquire(&self) -> u64 {
        // ORDERING: pairs with the releasing exchanges, for callers that read `consumed` again
        // (C4).
        self.word.load(Acquire)
    }

    /// Returns whether a request would be refused for want of room, at one moment (C4). It is a
    /// figure.
    pub(super) fn is_full(&self) -> bool {
        let room = |consumed| match self.room(self.acquire(), consumed) {
            0 => Err(Refusal::Full),
            _ => Ok(()),
        };
        self.confirmed(room).is_err()
    }

    /// Returns how many items have been claimed beyond the first `count`, of both kinds, at most as
    /// many as there are places: a figure. `count` is read before the claims: what is claimed and
    /// gone in between is counted, and what is there all the time is not left out.
    pub(super) fn claimed_since(&self, count: impl FnOnce() -> u64) -> u64 {
        let count = count() as u32;
        let claimed = pending(position(self.look()), count);
        // Another thread's claim may not be seen yet, although its item is seen to be gone.
        let claimed = if claimed > COUNT / 2 { 0 } else { claimed };
        u64::from(claimed.min(self.returned.capacity + self.returned.slots))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.look() & CLOSED != 0
    }

    /// Returns whether the receiver is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.look() & GONE != 0
    }

    /// Returns the position that will be claimed next, or a lower one. (By coherence this call sees
    /// claims that happened before it; nothing is promised about others.)
    pub(super) fn tail(&self) -> u32 {
        position(self.look())
    }

    /// Returns how many permits are outstanding and places reserved, together. It is a figure.
    pub(super) fn permits_out(&self) -> u32 {
        let word = self.look();
        self.permits(word) + reserved(word)
    }

    /// Returns how many permits are neither used, according to this word, nor dropped.
    fn permits(&self, word: u64) -> u32 {
        // ORDERING: pairs with the releasing addition in `drop_permit`.
        let dropped = self.returned.dropped.load(Acquire);
        // ORDERING: none needed: it is the receiver's own, or a figure.
        let issued = self.returned.issued.load(Relaxed);
        pending(issued.wrapping_sub(dropped), replies(word))
    }

    /// Returns whether nothing more can come (C3). Receiver only, after it has returned the credits
    /// of all that it has taken.
    #[inline]
    pub(super) fn is_finished(&self) -> bool {
        self.is_closed() && self.has_ended()
    }

    #[cold]
    fn has_ended(&self) -> bool {
        let consumed = self.consumed();
        // ORDERING: pairs with the releases in `close` and `drop_reserved`. It comes after
        // `consumed`, because an evictor consumes after its claim.
        let word = self.word.load(Acquire);
        pending(requests(word), consumed) == 0
            && self.replied(word) == 0
            && reserved(word) == 0
            && self.permits(word) == 0
    }

    /// Returns how many replies are claimed, according to this word, and not consumed.
    fn replied(&self, word: u64) -> u32 {
        // ORDERING: none needed: the receiver sees its own changes in order; for others it is a
        // figure.
        pending(replies(word), self.returned.replies.load(Relaxed))
    }

    /// Returns how many accepted items have not been consumed: requests and replies.
    pub(super) fn queued(&self) -> (u32, u32) {
        let consumed = self.consumed();
        let word = self.look(); // after `consumed`, so the result is never too low
        (pending(requests(word), consumed), self.replied(word))
    }

    /// Attempts an operation that depends on how much has been consumed, until `Full` is confirmed
    /// (C4).
    #[inline]
    fn confirmed<R>(
        &self,
        mut attempt: impl FnMut(u32) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        loop {
            let consumed = self.consumed();
            match attempt(consumed) {
                Err(Refusal::Full) if self.consumed() != consumed => {}
                result => return result,
            }
        }
    }

    /// Applies `change` until it lands on the latest value, and returns the previous value, or its
    /// refusal.
    #[inline]
    fn exchange<E>(&self, mut change: impl FnMut(u64) -> Result<u64, E>) -> Result<u64, E> {
        let mut word = self.acquire();
        loop {
            let changed = change(word)?;
            // ORDERING: success pairs with itself, from claim to claim (C5); failure, as `acquire`,
            // with success.
            // ORDERING(survives): `word` was read with acquire. Success acquires again because the
            // word may have left this value and come back to it meanwhile, which takes a
            // reservation and its end, or 2^26 claims (see "Limits").
            match self.word.compare_exchange(word, changed, AcqRel, Acquire) {
                Ok(_) => return Ok(word),
                Err(found) => word = found,
            }
        }
    }
}

#[cfg(test)]
impl Credits<crate::Std> {
    /// Makes the counts what they would be if this many had been claimed and consumed.
    pub(super) fn set_passed(&self, passed_requests: u32, passed_replies: u32) {
        let word = with_requests(u64::from(passed_replies) * REPLY, passed_requests);
        self.word.store(word, Relaxed);
        self.returned.requests.store(passed_requests, Relaxed);
        self.returned.replies.store(passed_replies, Relaxed);
        self.returned.issued.store(passed_replies, Relaxed);
        self.returned.replied.add(passed_replies.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Std;

    #[test]
    fn full_is_said_only_if_nothing_was_consumed_meanwhile() {
        // A request is consumed while an attempt finds the mailbox full: it is attempted again.
        let credits = Credits::<Std>::new(1, 0);
        let mut attempts = 0;
        let attempt = |consumed| {
            attempts += 1;
            if consumed == 0 {
                credits.release(1, 0);
            }
            if consumed == 1 { Ok(()) } else { Err(Refusal::Full) }
        };
        assert!(credits.confirmed(attempt).is_ok());
        assert_eq!(attempts, 2);
        let full = credits.confirmed(|_| Err::<(), _>(Refusal::Full));
        assert!(full == Err(Refusal::Full), "nothing is consumed any more");
    }

    #[test]
    fn a_sender_that_slept_through_a_whole_round_counts_no_room() {
        // One of two places is taken. A sender has read `consumed` a round of the count ago, or one
        // less: by its figures one place is free, or both are.
        const ROUND: u32 = COUNT + 1;
        let credits = Credits::<Std>::new(2, 0);
        credits.set_passed(ROUND + 10, 0);
        assert!(credits.offer(1).is_ok());
        for late in [10, 11] {
            assert!(credits.try_claim(1, late) == Err(Refusal::Full), "{late}");
        }
        assert!(credits.accept(9).is_ok_and(|claim| claim.count == 1), "the next look is exact");
    }

    #[test]
    fn half_a_round_is_told_from_more() {
        // So many have been consumed since that the sender cannot know, or one less.
        let credits = Credits::<Std>::new(1, 0);
        credits.set_passed(COUNT / 2 + 1, 0);
        assert_eq!([0, 1].map(|before| credits.has_passed(before)), [true, false]);
    }
}
