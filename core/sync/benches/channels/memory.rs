//! Bytes that a channel occupies, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::peers::Channel;
use crate::workloads::CAPACITY;

/// The system's allocator, which counts the bytes that are in use.
pub(crate) struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's pointer and layout, unchanged.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Returns the bytes of an empty channel, and the further bytes for each of [`CAPACITY`] queued
/// `u64`.
pub(crate) fn of<C: Channel>() -> (usize, f64) {
    let before = IN_USE.load(Relaxed);
    let (mut senders, receivers) = C::make::<u64>(CAPACITY, 1, 1);
    // Each vector holds one end.
    let vectors = size_of::<C::Sender<u64>>() + size_of::<C::Receiver<u64>>();
    let empty = IN_USE.load(Relaxed) - before - vectors;
    (0..CAPACITY).for_each(|_| C::send(&mut senders[0], 1));
    let full = IN_USE.load(Relaxed) - before - vectors;
    drop(receivers);
    (empty, (full - empty) as f64 / CAPACITY as f64)
}
