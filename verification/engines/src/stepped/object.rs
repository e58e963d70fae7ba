//! Handles to the world's objects: what atomics, futexes, cells, locks and shared ownership have in
//! common.

use std::panic::Location;

use super::operation::{Kind, Operation, Verb};
use super::runtime::{reach, with, with_if_any};

/// A handle to an object of the current execution.
pub(super) struct Object {
    pub(super) index: u32,
    epoch: u64,
}

impl Object {
    /// Makes an object with these first values.
    pub(super) fn new(kind: Kind, value: u64, raw: usize) -> Self {
        with(|world| Self { index: world.add_object(kind, value, raw), epoch: world.epoch })
    }

    /// Makes an atomic pointer that points there.
    pub(super) fn of_pointer(raw: usize) -> Self {
        let version = with(|world| world.pointer_version(raw));
        Self::new(Kind::Pointer, version, raw)
    }

    /// Makes plain memory that the current thread has written.
    pub(super) fn written(kind: Kind, locked: u32) -> Self {
        let version = with(|world| world.thread().history);
        Self::new(kind, version << locked, 0)
    }

    /// Returns the number of the execution that made it.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Stands before an operation on this object, and returns it once it may be performed.
    pub(super) fn reach(
        &self,
        verb: Verb,
        a: u64,
        b: u64,
        at: &'static Location<'static>,
    ) -> Operation {
        let operation = with(|world| {
            assert_eq!(world.epoch, self.epoch, "an object outlived its execution");
            world.operation(verb, self.index, a, b)
        });
        reach(operation, at);
        operation
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        with_if_any(|world| {
            if world.epoch == self.epoch {
                world.drop_object(self.index);
            }
        });
    }
}
