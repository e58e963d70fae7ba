//! Nodes of a mailbox's queue, and where the spare ones wait.
//!
//! **Contract.** A sender gets a node from its [`Stash`], and the consumer gives it back to the
//! [`NodeCache`] when the item has been taken. Neither blocks; where there is nothing to recycle a
//! node is allocated, and where there is no room for a spare one it is freed.
//!
//! ```text
//!   cache   [ chain ] [ chain ] [ null  ] . . .      chain: node --next--> node --next--> . . . null
//!              |  swapped out whole        ^
//!              v                           | put whole, where null
//!   stash   node --next--> node            nodes that the consumer has passed, in the order of use
//! ```
//!
//! Spare nodes travel in chains, so that the cache is touched once in [`NodeCache::chain`] items;
//! and in the order in which they were used, so that they lie in memory as they are used.
//!
//! | word | value | meaning | who leaves it |
//! |---|---|---|---|
//! | a place of the cache | null | free | who has a chain to put, by an exchange |
//! | | a chain | spare nodes | who swaps null in: the chain is its own |
//! | a stash | `BUSY` | a thread uses it | that thread, by a store |
//! | | null or a chain | | who swaps `BUSY` in: the chain is its own |
//!
//! **Invariants.**
//! - N1 A spare node is in one chain, and a chain is in one place, one stash, or one thread's
//!   hands. It leaves a word by a swap and enters it by an exchange with null, or by the store of
//!   the thread that has swapped `BUSY` in: so it is handed over whole, to one thread.
//! - N2 A spare node holds no item.
//! - N3 At most [`PLACES`] chains are spare, of at most `chain` nodes each; and less than one in
//!   each stash and at the consumer. `PLACES * chain` is at most [`MAX_SPARE`], and at most the
//!   capacity. A mailbox of less than [`PLACES`] requests keeps none.
//!
//! **Memory order.** Who puts a chain down releases its `next`s, and all uses of its nodes before;
//! who takes it acquires.

use core::mem::MaybeUninit;
use core::ptr;

use crate::primitives::Ordering::{Acquire, Relaxed, Release};
use crate::primitives::{AtomicPtr, Cell, Primitives};

/// Places of a cache.
pub(super) const PLACES: usize = 8;
/// The largest number of spare nodes in a cache.
pub(super) const MAX_SPARE: usize = 1024;

pub(super) struct Node<P: Primitives, T> {
    /// In the queue, the node that was pushed next; of a spare node, the next in its chain.
    pub(super) next: P::AtomicPtr<Node<P, T>>,
    pub(super) item: P::Cell<MaybeUninit<T>>,
}

impl<P: Primitives, T> Node<P, T> {
    pub(super) fn allocate() -> *mut Self {
        let next = AtomicPtr::new(ptr::null_mut());
        Box::into_raw(Box::new(Self { next, item: Cell::new(MaybeUninit::uninit()) }))
    }

    /// Frees a chain of nodes without items.
    ///
    /// # Safety
    /// The chain is the caller's, from [`Node::allocate`], and nobody else can reach it.
    pub(super) unsafe fn free_chain(mut node: *mut Self) {
        while !node.is_null() {
            // SAFETY: the caller's promise.
            let freed = unsafe { Box::from_raw(node) };
            // ORDERING: none needed, the chain is the caller's.
            node = freed.next.load(Relaxed);
        }
    }
}

/// The spare nodes of a mailbox.
pub(super) struct NodeCache<P: Primitives, T> {
    places: [P::AtomicPtr<Node<P, T>>; PLACES],
    /// Nodes in a full chain; 0: nothing is kept.
    chain: usize,
}

impl<P: Primitives, T> NodeCache<P, T> {
    pub(super) fn new(capacity: usize) -> Self {
        let places = core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()));
        Self { places, chain: capacity.min(MAX_SPARE) / PLACES }
    }

    /// Returns how many nodes make a chain to put; 0: none is to be kept.
    pub(super) fn chain(&self) -> usize {
        self.chain
    }

    /// Cuts a chain after `last`, and keeps it or frees it. Where nothing is kept it is one node.
    ///
    /// # Safety
    /// As [`NodeCache::put`]; `last` is in the chain.
    #[inline]
    pub(super) unsafe fn give_away(&self, first: *mut Node<P, T>, last: *mut Node<P, T>) {
        if self.chain == 0 {
            // SAFETY: the caller's promise; it came from `Box::into_raw`.
            drop(unsafe { Box::from_raw(first) });
        } else {
            // SAFETY: the caller's promise.
            // ORDERING: none needed, the chain is the caller's until it is put.
            unsafe { (*last).next.store(ptr::null_mut(), Relaxed) };
            // SAFETY: the caller's promise.
            unsafe { self.put(first) };
        }
    }

    /// Keeps a chain, or frees it if there is no place.
    ///
    /// # Safety
    /// The chain is the caller's (N1), of nodes without items (N2), at most [`NodeCache::chain`] of
    /// them.
    unsafe fn put(&self, chain: *mut Node<P, T>) {
        for place in &self.places {
            // ORDERING: none needed, the exchange decides. Its success pairs with the acquiring
            // swap in `take`.
            if place.load(Relaxed).is_null()
                && place.compare_exchange(ptr::null_mut(), chain, Release, Relaxed).is_ok()
            {
                return;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { Node::free_chain(chain) };
    }

    /// Takes a chain, or null.
    fn take(&self) -> *mut Node<P, T> {
        for place in &self.places {
            // ORDERING: none needed, the swap decides.
            if !place.load(Relaxed).is_null() {
                // ORDERING: pairs with the releasing exchange in `put`.
                let chain = place.swap(ptr::null_mut(), Acquire);
                if !chain.is_null() {
                    return chain;
                }
            }
        }
        ptr::null_mut()
    }
}

impl<P: Primitives, T> Drop for NodeCache<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            return; // leaks; the process only prints its report
        }
        loop {
            let chain = self.take();
            if chain.is_null() {
                return;
            }
            // SAFETY: N1: it was swapped out.
            unsafe { Node::free_chain(chain) };
        }
    }
}

/// A sender's part of a chain.
pub(super) struct Stash<P: Primitives, T> {
    chain: P::AtomicPtr<Node<P, T>>,
}

impl<P: Primitives, T> Stash<P, T> {
    /// Not the address of a node: nodes are aligned.
    const BUSY: *mut Node<P, T> = ptr::without_provenance_mut(1);

    pub(super) fn new() -> Self {
        Self { chain: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Returns a node whose `next` is null, recycled or new; it is the caller's.
    #[inline]
    pub(super) fn node(&self, cache: &NodeCache<P, T>) -> *mut Node<P, T> {
        if cache.chain == 0 {
            return Node::allocate();
        }
        // ORDERING: pairs with the releasing store below, if another thread sends through the same
        // end.
        let mut node = self.chain.swap(Self::BUSY, Acquire);
        if node == Self::BUSY {
            return Node::allocate();
        }
        if node.is_null() {
            node = cache.take();
        }
        let mut rest = ptr::null_mut();
        if node.is_null() {
            node = Node::allocate();
        } else {
            // SAFETY: N1: it was swapped out, so it is this thread's.
            let next = unsafe { &(*node).next };
            // ORDERING: none needed, the node is this thread's.
            rest = next.load(Relaxed);

            // ORDERING: none needed: the node is published by the queue.
            next.store(ptr::null_mut(), Relaxed);
        }
        // ORDERING: pairs with the acquiring swaps here and in `empty_into`.
        self.chain.store(rest, Release);
        node
    }

    /// Gives what is left back to the cache.
    pub(super) fn empty_into(&mut self, cache: &NodeCache<P, T>) {
        if cache.chain == 0 {
            return;
        }
        // ORDERING: none needed: `&mut self` says that the uses of this end happen before.
        let chain = self.chain.swap(ptr::null_mut(), Relaxed);
        if !chain.is_null() {
            // SAFETY: N1: it was swapped out, and nobody is in `node`, so it is not `BUSY`.
            unsafe { cache.put(chain) };
        }
    }
}
