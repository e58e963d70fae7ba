//! A linked queue with many producers and one consumer at a time.
//!
//! **Contract.** [`Queue::push`] never blocks and never fails. [`Queue::front`], [`Queue::pop`] and
//! [`Queue::is_busy`] belong to the consumer: calls of them may not overlap, and one must happen
//! before the next.
//!
//! ```text
//!   oldest . . . . . head (consumer)                                  tail (producers)
//!     |               |                                                 |
//!   [taken] ------> [taken] --next--> [item] --next--> [item]  . . .  [item] --next--> null
//!      to the cache, a chain at a time                       ^
//!                                         a producer between its swap and its link
//! ```
//!
//! **Invariants.**
//! - Q1 `tail` points at the node that was pushed last; `head` at a node whose item has been taken
//!   (or that never had one, at first). A node is reachable from `head` once its predecessor's
//!   `next` is set.
//! - Q2 In the queue a node's `next` is written once, by the producer whose swap returned that
//!   node, and this is that producer's last access to it. Within a chain it was written before the
//!   chain was linked.
//! - Q3 The consumer gives a node away only after it has read its `next` as non-null; by Q2 nobody
//!   touches it afterwards. Until then the nodes from `oldest` to `head`, `taken` of them and
//!   `head`, are its own.
//! - Q4 An item is written before its node is published, and touched only by the consumer
//!   thereafter. It is moved out once: by the `pop` that makes its node the head.
//!
//! **Busy is not empty.** Between the swap and the link the queue holds items that `pop` cannot
//! reach, among them items of producers that came later and are done. `pop` returns `None`;
//! `is_busy` tells the difference. A producer notifies after it has linked, so one may sleep on a
//! busy queue.
//!
//! Reference: D. Vyukov's non-intrusive multi-producer single-consumer node queue.

use core::ptr;

use crossbeam_utils::CachePadded;

use super::nodes::{Node, NodeCache, Stash};
use crate::primitives::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::primitives::{AtomicPtr, Cell, Primitives};

/// What the consumer has passed, and where it stands (Q3).
struct Consumer<P: Primitives, T> {
    head: *mut Node<P, T>,
    oldest: *mut Node<P, T>,
    /// Nodes from `oldest` to before `head`.
    taken: usize,
}

impl<P: Primitives, T> Clone for Consumer<P, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<P: Primitives, T> Copy for Consumer<P, T> {}

pub(super) struct Queue<P: Primitives, T> {
    /// The node pushed last (Q1).
    tail: CachePadded<P::AtomicPtr<Node<P, T>>>,
    /// The consumer's own.
    consumer: CachePadded<P::Cell<Consumer<P, T>>>,
    cache: NodeCache<P, T>,
    /// For producers that come once.
    common: Stash<P, T>,
}

// SAFETY: `consumer` and the items are the consumer's, whose calls are ordered (contract, Q4); all
// else is atomic. Items travel from thread to thread, hence `T: Send`.
unsafe impl<P: Primitives, T: Send> Send for Queue<P, T> {}
// SAFETY: as above.
unsafe impl<P: Primitives, T: Send> Sync for Queue<P, T> {}

/// An item that is linked.
pub(super) struct Front<P: Primitives, T>(*mut Node<P, T>);

impl<P: Primitives, T> Queue<P, T> {
    /// Returns an empty queue, whose cache is measured for `capacity` items.
    pub(super) fn new(capacity: usize) -> Self {
        let head = Node::<P, T>::allocate();
        Self {
            tail: CachePadded::new(AtomicPtr::new(head)),
            consumer: CachePadded::new(Cell::new(Consumer { head, oldest: head, taken: 0 })),
            cache: NodeCache::new(capacity),
            common: Stash::new(),
        }
    }

    pub(super) fn cache(&self) -> &NodeCache<P, T> {
        &self.cache
    }

    /// Appends an item like [`Queue::push`], for a producer without a stash.
    pub(super) fn push_once(&self, item: T) {
        self.push(&self.common, item);
    }

    /// Appends an item, in a node from `stash`. Any thread; the caller notifies the consumer
    /// afterwards.
    #[inline]
    pub(super) fn push(&self, stash: &Stash<P, T>, item: T) {
        let node = stash.node(&self.cache);
        // SAFETY: the node is this thread's until the swap below (Q4), and holds nothing (N2).
        unsafe { &(*node).item }.with_mut(|place| unsafe {
            (*place).write(item);
        });
        self.link(node, node);
    }

    /// Appends items like [`Queue::push`], as one chain: nothing comes between them.
    pub(super) fn push_all(&self, stash: &Stash<P, T>, items: impl Iterator<Item = T>) {
        let (mut first, mut last) = (ptr::null_mut(), ptr::null_mut::<Node<P, T>>());
        for item in items {
            let node = stash.node(&self.cache);
            // SAFETY: the node is this thread's until it is linked (Q4), and holds nothing (N2).
            unsafe { &(*node).item }.with_mut(|place| unsafe {
                (*place).write(item);
            });
            if last.is_null() {
                first = node;
            } else {
                // SAFETY: as above.
                // ORDERING: none needed: the chain is published by its link.
                unsafe { (*last).next.store(node, Relaxed) };
            }
            last = node;
        }
        if !last.is_null() {
            self.link(first, last);
        }
    }

    /// Appends a chain from `first` to `last`, which are this thread's, `last` with nothing behind
    /// it.
    #[inline]
    fn link(&self, first: *mut Node<P, T>, last: *mut Node<P, T>) {
        // ORDERING: release publishes the last node's own fields to the producer that will link
        // behind it; acquire is the other end of this, for the node that is returned.
        let before = self.tail.swap(last, AcqRel);
        // SAFETY: `before` is alive: its `next` is null until we set it (Q2, Q3).
        let before = unsafe { &*before };
        // ORDERING: pairs with the acquiring load in `front`: it carries the chain and its items.
        before.next.store(first, Release);
    }

    /// Returns the oldest item that is linked. Consumer only.
    #[inline]
    pub(super) fn front(&self) -> Option<Front<P, T>> {
        // SAFETY: the consumer's own node, given away by nobody else (Q3).
        // ORDERING: pairs with the releasing store in `push`.
        let next = unsafe { (*self.consumer().head).next.load(Acquire) };
        (!next.is_null()).then_some(Front(next))
    }

    /// Takes the item that [`Queue::front`] has just returned. Consumer only.
    #[inline]
    pub(super) fn pop(&self, Front(node): Front<P, T>) -> T {
        let Consumer { head, mut oldest, mut taken } = self.consumer();
        // SAFETY: published, and the consumer's (Q4); it becomes the head, so it is moved out once.
        let item =
            unsafe { &(*node).item }.with_mut(|place| unsafe { (*place).assume_init_read() });
        taken += 1;
        if taken >= self.cache.chain() {
            // SAFETY: the nodes from `oldest` to the old head are the consumer's to give away (Q3).
            unsafe { self.cache.give_away(oldest, head) };
            (oldest, taken) = (node, 0);
        }
        // SAFETY: the consumer's cell.
        self.consumer.with_mut(|own| unsafe { *own = Consumer { head: node, oldest, taken } });
        item
    }

    /// Returns whether there are items that are not linked yet. Consumer only, after `front` has
    /// returned `None`.
    pub(super) fn is_busy(&self) -> bool {
        // ORDERING: none needed: a push that happened before this call is seen by coherence, of
        // others nothing is promised.
        self.tail.load(Relaxed) != self.consumer().head
    }

    #[inline]
    fn consumer(&self) -> Consumer<P, T> {
        // SAFETY: the consumer's cell.
        self.consumer.with(|own| unsafe { *own })
    }
}

impl<P: Primitives, T> Drop for Queue<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            return; // leaks; the process only prints its report
        }
        while let Some(front) = self.front() {
            drop(self.pop(front));
        }
        self.common.empty_into(&self.cache);
        // SAFETY: `&mut self` says that nobody else is here; the last node is the head (Q1).
        unsafe { Node::free_chain(self.consumer().oldest) };
    }
}
