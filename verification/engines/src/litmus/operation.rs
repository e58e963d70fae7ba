//! What a thread of a litmus program does: accesses and fences, with their modes.

use std::fmt;
use std::sync::atomic::Ordering;

use super::program::Condition;

/// How many locations there are.
pub const LOCATIONS: usize = 6;
/// How many registers there are.
pub const REGISTERS: usize = 8;

/// A place in memory. All accesses to it are atomic, or all are plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location(pub(super) u8);

/// The first location.
pub const X: Location = Location(0);
/// The second location.
pub const Y: Location = Location(1);
/// The third location.
pub const Z: Location = Location(2);
/// The fourth location.
pub const U: Location = Location(3);
/// The fifth location.
pub const V: Location = Location(4);
/// The sixth location.
pub const W: Location = Location(5);

impl Location {
    /// Asks for the value that the location has in the end.
    #[must_use]
    pub const fn ends(self, value: u32) -> Condition {
        Condition::Final(self, value)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["x", "y", "z", "u", "v", "w"][usize::from(self.0)])
    }
}

/// What a thread keeps of a value that it has read. One thread alone writes it, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Register(pub(super) u8);

/// The first register.
pub const A: Register = Register(0);
/// The second register.
pub const B: Register = Register(1);
/// The third register.
pub const C: Register = Register(2);
/// The fourth register.
pub const D: Register = Register(3);
/// The fifth register.
pub const E: Register = Register(4);
/// The sixth register.
pub const F: Register = Register(5);
/// The seventh register.
pub const G: Register = Register(6);
/// The eighth register.
pub const H: Register = Register(7);

impl Register {
    /// Asks for the value that was read.
    #[must_use]
    pub const fn is(self, value: u32) -> Condition {
        Condition::Read(self, value)
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["a", "b", "c", "d", "e", "f", "g", "h"][usize::from(self.0)])
    }
}

/// How an access or a fence orders others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Not atomic: two such accesses that nothing orders are a data race.
    Plain,
    /// As [`Ordering::Relaxed`].
    Relaxed,
    /// As [`Ordering::Acquire`].
    Acquire,
    /// As [`Ordering::Release`].
    Release,
    /// As [`Ordering::AcqRel`].
    AcqRel,
    /// As [`Ordering::SeqCst`].
    SeqCst,
}

/// [`Mode::Plain`].
pub const PLAIN: Mode = Mode::Plain;
/// [`Mode::Relaxed`].
pub const RLX: Mode = Mode::Relaxed;
/// [`Mode::Acquire`].
pub const ACQ: Mode = Mode::Acquire;
/// [`Mode::Release`].
pub const REL: Mode = Mode::Release;
/// [`Mode::AcqRel`].
pub const ACQ_REL: Mode = Mode::AcqRel;
/// [`Mode::SeqCst`].
pub const SEQ_CST: Mode = Mode::SeqCst;

impl Mode {
    /// Returns whether it acquires.
    #[must_use]
    pub fn acquires(self) -> bool {
        matches!(self, Self::Acquire | Self::AcqRel | Self::SeqCst)
    }

    /// Returns whether it releases.
    #[must_use]
    pub fn releases(self) -> bool {
        matches!(self, Self::Release | Self::AcqRel | Self::SeqCst)
    }

    /// Returns the ordering of an atomic access or a fence; `None` for a plain access.
    pub(super) fn ordering(self) -> Option<Ordering> {
        match self {
            Self::Plain => None,
            Self::Relaxed => Some(Ordering::Relaxed),
            Self::Acquire => Some(Ordering::Acquire),
            Self::Release => Some(Ordering::Release),
            Self::AcqRel => Some(Ordering::AcqRel),
            Self::SeqCst => Some(Ordering::SeqCst),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain",
            Self::Relaxed => "rlx",
            Self::Acquire => "acq",
            Self::Release => "rel",
            Self::AcqRel => "acq-rel",
            Self::SeqCst => "sc",
        })
    }
}

/// What a store writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// This number.
    Constant(u32),
    /// What a register of the thread holds. The store depends on the load.
    Of(Register),
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Constant(value)
    }
}

impl From<Register> for Value {
    fn from(register: Register) -> Self {
        Self::Of(register)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => value.fmt(f),
            Self::Of(register) => register.fmt(f),
        }
    }
}

/// One operation of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A load.
    Load {
        /// Where the value is kept.
        into: Register,
        /// What is read.
        from: Location,
        /// How.
        mode: Mode,
    },
    /// A store.
    Store {
        /// What is written.
        to: Location,
        /// The value.
        value: Value,
        /// How.
        mode: Mode,
    },
    /// A read-modify-write that always writes.
    Modify {
        /// Where the value before is kept.
        into: Register,
        /// What is changed.
        at: Location,
        /// What becomes of the value.
        change: Change,
        /// How.
        mode: Mode,
    },
    /// A compare-exchange that never fails spuriously.
    Exchange {
        /// Where the value before is kept.
        into: Register,
        /// What is changed.
        at: Location,
        /// The value that must be found.
        expected: u32,
        /// The value that replaces it.
        new: Value,
        /// How, if the value is found.
        success: Mode,
        /// How another value is read.
        failure: Mode,
    },
    /// A fence.
    Fence(Mode),
    /// The thread ends here unless the register holds (`holds`), or does not hold, this value.
    Require {
        /// The register.
        register: Register,
        /// The value.
        value: u32,
        /// Whether it must hold it.
        holds: bool,
    },
}

/// What a read-modify-write makes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It adds, wrapping around.
    Add(u32),
    /// It puts this value in its place.
    Put(Value),
}

/// Loads.
#[must_use]
pub const fn load(into: Register, from: Location, mode: Mode) -> Operation {
    Operation::Load { into, from, mode }
}

/// Stores a number, or what a register holds.
#[must_use]
pub fn store(to: Location, value: impl Into<Value>, mode: Mode) -> Operation {
    Operation::Store { to, value: value.into(), mode }
}

/// Adds, wrapping around; `u32::MAX` takes one off.
#[must_use]
pub const fn fetch_add(into: Register, at: Location, value: u32, mode: Mode) -> Operation {
    Operation::Modify { into, at, change: Change::Add(value), mode }
}

/// Replaces the value.
#[must_use]
pub fn swap(into: Register, at: Location, value: impl Into<Value>, mode: Mode) -> Operation {
    Operation::Modify { into, at, change: Change::Put(value.into()), mode }
}

/// Replaces `values.0` by `values.1`; `modes` are those of success and of failure.
#[must_use]
pub const fn exchange(
    into: Register,
    at: Location,
    values: (u32, u32),
    modes: (Mode, Mode),
) -> Operation {
    let (expected, new) = (values.0, Value::Constant(values.1));
    Operation::Exchange { into, at, expected, new, success: modes.0, failure: modes.1 }
}

/// Passes a fence.
#[must_use]
pub const fn fence(mode: Mode) -> Operation {
    Operation::Fence(mode)
}

/// Ends the thread unless the register holds this value.
#[must_use]
pub const fn require(register: Register, value: u32) -> Operation {
    Operation::Require { register, value, holds: true }
}

/// Ends the thread if the register holds this value.
#[must_use]
pub const fn require_not(register: Register, value: u32) -> Operation {
    Operation::Require { register, value, holds: false }
}

impl Operation {
    /// Returns the location that is accessed.
    pub(super) fn location(&self) -> Option<Location> {
        match *self {
            Self::Load { from: at, .. }
            | Self::Store { to: at, .. }
            | Self::Modify { at, .. }
            | Self::Exchange { at, .. } => Some(at),
            Self::Fence(_) | Self::Require { .. } => None,
        }
    }

    /// Returns the register that is written.
    pub(super) fn written(&self) -> Option<Register> {
        match *self {
            Self::Load { into, .. } | Self::Modify { into, .. } | Self::Exchange { into, .. } => {
                Some(into)
            }
            _ => None,
        }
    }

    /// Returns whether the operation may write to memory.
    pub(super) fn may_write(&self) -> bool {
        matches!(self, Self::Store { .. } | Self::Modify { .. } | Self::Exchange { .. })
    }

    pub(super) fn modes(&self) -> [Option<Mode>; 2] {
        match *self {
            Self::Load { mode, .. } | Self::Store { mode, .. } | Self::Modify { mode, .. } => {
                [Some(mode), None]
            }
            Self::Exchange { success, failure, .. } => [Some(success), Some(failure)],
            Self::Fence(mode) => [Some(mode), None],
            Self::Require { .. } => [None, None],
        }
    }

    /// Returns whether a mode is one that the operation cannot have.
    pub(super) fn has_wrong_mode(&self) -> bool {
        match *self {
            Self::Load { mode, .. } => matches!(mode, Mode::Release | Mode::AcqRel),
            Self::Store { mode, .. } => matches!(mode, Mode::Acquire | Mode::AcqRel),
            Self::Modify { mode, .. } => mode == Mode::Plain,
            Self::Exchange { success, failure, .. } => {
                success == Mode::Plain
                    || !matches!(failure, Mode::Relaxed | Mode::Acquire | Mode::SeqCst)
            }
            Self::Fence(mode) => matches!(mode, Mode::Plain | Mode::Relaxed),
            Self::Require { .. } => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { into, from, mode } => write!(f, "{into} = {from}.{mode}"),
            Self::Store { to, value, mode } => write!(f, "{to} = {value}.{mode}"),
            Self::Modify { into, at, change: Change::Add(value), mode } => {
                write!(f, "{into} = {at} += {}.{mode}", value.cast_signed())
            }
            Self::Modify { into, at, change: Change::Put(value), mode } => {
                write!(f, "{into} = {at} <-> {value}.{mode}")
            }
            Self::Exchange { into, at, expected, new, success, failure } => {
                write!(f, "{into} = {at}: {expected} -> {new}.{success}/{failure}")
            }
            Self::Fence(mode) => write!(f, "fence.{mode}"),
            Self::Require { register, value, holds } => {
                write!(f, "if {register} {} {value}:", if *holds { "=" } else { "!=" })
            }
        }
    }
}

impl Operation {
    /// Returns the register on which the operation depends.
    pub(super) fn reads_register(&self) -> Option<Register> {
        match *self {
            Self::Store { value: Value::Of(register), .. }
            | Self::Modify { change: Change::Put(Value::Of(register)), .. }
            | Self::Exchange { new: Value::Of(register), .. }
            | Self::Require { register, .. } => Some(register),
            _ => None,
        }
    }
}
