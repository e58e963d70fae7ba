//! A linked queue with many producers and one consumer at a time.
//!
//! **Contract.** [`Queue::push`] never blocks and never fails. [`Queue::pop`] and [`Queue::is_busy`]
//! belong to the consumer: calls of them may not overlap, and one must happen before the next.
//!
//! ```text
//!   head (consumer)                                   tail (producers)
//!     |                                                 |
//!   [dummy] --next--> [item] --next--> [item]   . . .  [item] --next--> null
//!                                             ^
//!                                a producer between its swap and its link
//! ```
//!
//! **Invariants.**
//! - Q1 `tail` points at the node that was pushed last; `head` at a node whose item has been taken (the
//!   dummy, at first). A node is reachable from `head` once its predecessor's `next` is set.
//! - Q2 A node's `next` is written once, by the producer whose swap returned that node, and this is
//!   that producer's last access to it.
//! - Q3 The consumer frees a node only after it has read its `next` as non-null; by Q2 nobody touches it
//!   afterwards.
//! - Q4 An item is written before its node is published, and touched only by the consumer thereafter.
//!
//! **Busy is not empty.** Between the swap and the link the queue holds items that `pop` cannot reach,
//! among them items of producers that came later and are done. `pop` returns `None`; `is_busy` tells
//! the difference. A producer notifies after it has linked, so one may sleep on a busy queue.
//!
//! Reference: D. Vyukov's non-intrusive multi-producer single-consumer node queue.

use core::ptr;

use crossbeam_utils::CachePadded;

use crate::primitives::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::primitives::{AtomicPtr, Cell, Primitives};

struct Node<P: Primitives, T> {
    next: P::AtomicPtr<Node<P, T>>,
    item: P::Cell<Option<T>>,
}

impl<P: Primitives, T> Node<P, T> {
    fn allocate(item: Option<T>) -> *mut Self {
        let next = AtomicPtr::new(ptr::null_mut());
        Box::into_raw(Box::new(Self { next, item: Cell::new(item) }))
    }
}

pub(super) struct Queue<P: Primitives, T> {
    /// The node pushed last (Q1).
    tail: CachePadded<P::AtomicPtr<Node<P, T>>>,
    /// The node before the oldest item (Q1); the consumer's own.
    head: CachePadded<P::Cell<*mut Node<P, T>>>,
}

// SAFETY: `head` and the items are the consumer's, whose calls are ordered (contract, Q4); all else is
// atomic. Items travel from thread to thread, hence `T: Send`.
unsafe impl<P: Primitives, T: Send> Send for Queue<P, T> {}
// SAFETY: as above.
unsafe impl<P: Primitives, T: Send> Sync for Queue<P, T> {}

impl<P: Primitives, T> Queue<P, T> {
    pub(super) fn new() -> Self {
        let dummy = Node::<P, T>::allocate(None);
        Self {
            tail: CachePadded::new(AtomicPtr::new(dummy)),
            head: CachePadded::new(Cell::new(dummy)),
        }
    }

    /// Appends an item. Any thread; the caller notifies the consumer afterwards.
    pub(super) fn push(&self, item: T) {
        let node = Node::<P, T>::allocate(Some(item));
        // ORDERING: release publishes the new node's own fields to the producer that will link behind
        // it; acquire is the other end of this, for the node that is returned.
        let before = self.tail.swap(node, AcqRel);
        // SAFETY: `before` is alive: its `next` is null until we set it (Q2, Q3).
        let before = unsafe { &*before };
        // ORDERING: pairs with the acquiring load in `pop`: it carries the node and its item.
        before.next.store(node, Release);
    }

    /// Takes the oldest item that is linked. Consumer only.
    pub(super) fn pop(&self) -> Option<T> {
        let head = self.head();
        // SAFETY: the consumer's own node, freed by nobody else (Q3).
        // ORDERING: pairs with the releasing store in `push`.
        let next = unsafe { (*head).next.load(Acquire) };
        if next.is_null() {
            return None;
        }
        // SAFETY: published (Q4), and alive until a later `pop` replaces it as head (Q3).
        let item = unsafe { (*next).item.with_mut(|item| (*item).take()) };
        // SAFETY: `head` is the consumer's cell.
        self.head.with_mut(|head| unsafe { *head = next });
        // SAFETY: Q3; it came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(head) });
        item
    }

    /// Returns whether there are items that are not linked yet. Consumer only, after `pop` has returned
    /// `None`.
    pub(super) fn is_busy(&self) -> bool {
        // ORDERING: none needed: a push that happened before this call is seen by coherence, of others
        // nothing is promised.
        self.tail.load(Relaxed) != self.head()
    }

    fn head(&self) -> *mut Node<P, T> {
        // SAFETY: `head` is the consumer's cell.
        self.head.with(|head| unsafe { *head })
    }
}

impl<P: Primitives, T> Drop for Queue<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            return; // leaks; the process only prints its report
        }
        while self.pop().is_some() {}
        // SAFETY: the last node is left, and `&mut self` says that nobody else is here.
        drop(unsafe { Box::from_raw(self.head()) });
    }
}
