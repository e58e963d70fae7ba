//! Who may put another message into the Quarantine's mailbox: credits by peer.
//!
//! **Contract.** A submission takes a [`Credit`] before it goes into the mailbox. The credit ends
//! when the Quarantine takes the message out, and with the message wherever that ends otherwise
//! (the mailbox is closed or dropped, or an async sender gives up). A peer without credit left gets
//! no place: the submission is answered `Dropped(PeerBusy)` at once, and its caller does not wait.
//! So no peer makes the callers of the others wait.
//!
//! **Invariants.**
//! - C1 A peer with fewer messages in the mailbox than its share (`per_peer`) is never refused.
//! - C2 A peer goes beyond its share only while less than a quarter of the mailbox is taken. So `n`
//!   peers, whatever they send, take at most `capacity / 4 + n * per_peer` places. While that is
//!   less than the mailbox, any other peer finds room at once. (Ticks and questions come from the
//!   node, are few, and are not counted.)
//! - C3 The counts are those of the live credits, plus at most one for each thread that is asking.
//!   What is counted too much refuses nobody within its share, if each peer asks from one thread.
//! - C4 Peers are told apart by one of at most [`CELLS`] cells, under a key that no peer knows.
//!   Peers of one cell share one share, so a peer can take another's share only by chance. There
//!   are eight cells for each message, as far as that is less.
//!
//! If a share is as large as the mailbox, there is nothing to share: no credit is counted, and a
//! full mailbox makes every caller wait. That is for a node whose items all come from one source.
//!
//! **Memory order.** Relaxed throughout: the counts guard no data. The mailbox hands the message
//! over.

use std::hash::{DefaultHasher, Hash, Hasher};

use blocksmith_sync::{Atomic, Ordering, Primitives};

/// Cells in the table of counts. Two peers of a hundred share a cell with any given one by a chance
/// of a tenth.
const CELLS: usize = 1024;

/// The counts of the messages in the mailbox.
pub(super) struct Intake<P: Primitives> {
    /// `None` if a full mailbox makes every caller wait.
    shared: Option<P::Arc<Counts<P>>>,
}

struct Counts<P: Primitives> {
    /// Messages that may be there before a peer is held to its share.
    open: usize,
    per_peer: usize,
    key: u64,
    all: P::AtomicUsize,
    cells: Box<[P::AtomicUsize]>,
}

/// A peer's place in the mailbox, from before the message is sent until it is taken out.
pub(super) struct Credit<P: Primitives> {
    counted: Option<(P::Arc<Counts<P>>, usize)>,
}

impl<P: Primitives> Clone for Intake<P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<P: Primitives> Intake<P> {
    /// Returns the counts for a mailbox of `capacity` messages, of which each peer may have
    /// `per_peer` however full it is.
    pub(super) fn new(capacity: usize, per_peer: usize) -> Self {
        let shared = (per_peer < capacity).then(|| {
            let cells = capacity.saturating_mul(8).min(CELLS);
            P::arc(Counts {
                open: capacity / 4,
                per_peer,
                key: P::secret(),
                all: P::AtomicUsize::new(0),
                cells: (0..cells).map(|_| P::AtomicUsize::new(0)).collect(),
            })
        });
        Self { shared }
    }

    /// Takes a place for a message of `peer`; `None` if it has as many as it may. Does not block.
    pub(super) fn credit(&self, peer: u64) -> Option<Credit<P>> {
        let Some(counts) = &self.shared else { return Some(Credit { counted: None }) };
        let mut hasher = DefaultHasher::new();
        (counts.key, peer).hash(&mut hasher);
        let cell = (hasher.finish() % counts.cells.len() as u64) as usize;
        // ORDERING: relaxed, see the module's text.
        let own = counts.cells[cell].fetch_add(1, Ordering::Relaxed);
        let all = counts.all.fetch_add(1, Ordering::Relaxed);
        // From here on the drop of the credit takes both back.
        let credit = Credit { counted: Some((counts.clone(), cell)) };
        (own < counts.per_peer || all < counts.open).then_some(credit)
    }
}

impl<P: Primitives> Drop for Credit<P> {
    fn drop(&mut self) {
        if let Some((counts, cell)) = self.counted.take() {
            // ORDERING: relaxed, see the module's text.
            counts.cells[cell].fetch_sub(1, Ordering::Relaxed);
            counts.all.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use blocksmith_sync::Std;

    use super::Intake;

    /// Takes credits of a peer until it is refused.
    fn flood(intake: &Intake<Std>, peer: u64) -> Vec<super::Credit<Std>> {
        std::iter::from_fn(|| intake.credit(peer)).take(10_000).collect()
    }

    #[test]
    fn many_greedy_peers_leave_room_for_one_that_sends_little() {
        // A mailbox of 1,024 and shares of 8: ninety peers send until they are refused. The places
        // taken are within the bound of C2, and another peer gets its whole share.
        let intake = Intake::<Std>::new(1024, 8);
        let taken: Vec<_> = (1..=90).flat_map(|peer| flood(&intake, peer)).collect();
        assert!((256..=256 + 90 * 8).contains(&taken.len()), "{}", taken.len());
        let free_cell = (1000..2000).find_map(|peer| {
            let credits = flood(&intake, peer);
            (credits.len() == 8).then_some(credits)
        });
        let honest = free_cell.expect("peers of ninety cells leave others");
        assert!(taken.len() + honest.len() <= 1024);
    }

    #[test]
    fn a_peer_alone_may_take_a_quarter_and_no_more() {
        // The share is lent from what nobody uses, up to a quarter.
        let intake = Intake::<Std>::new(64, 2);
        assert_eq!(flood(&intake, 7).len(), 16);
    }

    #[test]
    fn a_credit_that_ends_makes_room_again() {
        // All of a peer's credits end: it may have as many again. A refusal costs nothing.
        let intake = Intake::<Std>::new(64, 2);
        for _ in 0..3 {
            let credits = flood(&intake, 7);
            assert_eq!(credits.len(), 16);
            assert!((0..100).all(|_| intake.credit(7).is_none()));
        }
        let credits = flood(&intake, 7);
        drop(credits.into_iter().next());
        assert!(intake.credit(7).is_some());
    }

    #[test]
    fn a_share_comes_back_though_others_have_the_quarter() {
        // Peer 7 has what is lent; another peer's credits end: it may have its share again.
        let intake = Intake::<Std>::new(64, 2);
        let _lent = flood(&intake, 7);
        let other = (8..1000).find(|peer| flood(&intake, *peer).len() == 2);
        let other = other.expect("there are other cells");
        for _ in 0..3 {
            assert_eq!(flood(&intake, other).len(), 2);
        }
    }

    #[test]
    fn two_mailboxes_keep_their_counts_under_different_keys() {
        // A peer that has found its cell-mates in one node knows nothing of another's cells.
        let key = || Intake::<Std>::new(64, 2).shared.map(|counts| counts.key);
        assert_ne!(key(), key());
    }

    #[test]
    fn a_share_as_large_as_the_mailbox_refuses_nobody() {
        // Nothing is counted, so callers wait instead.
        let intake = Intake::<Std>::new(4, 4);
        assert_eq!(flood(&intake, 7).len(), 10_000);
    }
}
