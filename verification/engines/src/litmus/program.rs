//! Litmus programs: a few threads of a few operations, and the outcome that is asked about.
//!
//! A program is written with the functions of this module:
//!
//! ```
//! use blocksmith_engines::litmus::*;
//!
//! // A message is passed: the item is written before the flag, and read after it.
//! let program = Program::new("MP+rel+acq", [
//!     vec![store(X, 1, RLX), store(Y, 1, REL)],
//!     vec![load(A, Y, ACQ), load(B, X, RLX)],
//! ])
//! .asks([A.is(1), B.is(0)]);
//! assert_eq!(judge(&program, RC11).unwrap().answer, Answer::Forbidden);
//! ```

use std::fmt;

use super::operation::{LOCATIONS, Location, Mode, Operation, REGISTERS, Register};

/// The most threads of a program.
pub const MAX_THREADS: usize = 4;
/// The most operations of a program that are events: accesses and fences.
pub const MAX_OPERATIONS: usize = 12;

/// A part of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// A register holds this value; one that was never written holds none.
    Read(Register, u32),
    /// A location has this value in the end.
    Final(Location, u32),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(register, value) => write!(f, "{register}={value}"),
            Self::Final(location, value) => write!(f, "end {location}={value}"),
        }
    }
}

/// What was read, and what memory holds in the end. A location that the program does not use holds
/// zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outcome {
    /// The value of each register that was written.
    pub registers: [Option<u32>; REGISTERS],
    /// The value of each location.
    pub memory: [u32; LOCATIONS],
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for (register, value) in (0..).map(Register).zip(self.registers) {
            if let Some(value) = value {
                write!(f, "{space}{register}={value}")?;
                space = " ";
            }
        }
        for (location, value) in (0..).map(Location).zip(self.memory) {
            write!(f, "{space}{location}={value}")?;
            space = " ";
        }
        Ok(())
    }
}

/// A litmus program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// The operations of each thread.
    pub threads: Vec<Vec<Operation>>,
    /// What memory holds in the beginning.
    pub memory: [u32; LOCATIONS],
    /// The outcome that is asked about: all of these.
    pub conditions: Vec<Condition>,
}

/// Why a program cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// More than [`MAX_THREADS`] threads, or [`MAX_OPERATIONS`] events.
    TooLarge,
    /// A register is written twice, or read by another thread or before it is written.
    Register(Register),
    /// A location has plain accesses and atomic ones.
    Location(Location),
    /// An operation of this thread, counted from 1, has a mode that it cannot have.
    Mode(usize),
    /// No outcome is asked about.
    NoCondition,
    /// More executions than the enumeration tries.
    TooMany,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => {
                write!(f, "more than {MAX_THREADS} threads or {MAX_OPERATIONS} events")
            }
            Self::Register(register) => {
                write!(f, "register {register} is not written once before its thread reads it")
            }
            Self::Location(location) => write!(f, "{location} has plain and atomic accesses"),
            Self::Mode(thread) => {
                write!(f, "a mode that its operation cannot have, thread {thread}")
            }
            Self::NoCondition => f.write_str("no outcome is asked about"),
            Self::TooMany => f.write_str("too many executions"),
        }
    }
}

impl std::error::Error for Malformed {}

impl Program {
    /// Returns a program whose memory is zero in the beginning, and which asks for nothing yet.
    #[must_use]
    pub fn new(name: &'static str, threads: impl Into<Vec<Vec<Operation>>>) -> Self {
        Self { name, threads: threads.into(), memory: [0; LOCATIONS], conditions: Vec::new() }
    }

    /// Sets what a location holds in the beginning.
    #[must_use]
    pub fn begins(mut self, location: Location, value: u32) -> Self {
        self.memory[usize::from(location.0)] = value;
        self
    }

    /// Asks whether all of these can come out together.
    #[must_use]
    pub fn asks(mut self, conditions: impl Into<Vec<Condition>>) -> Self {
        self.conditions = conditions.into();
        self
    }

    /// Returns whether the outcome is the one that is asked about.
    #[must_use]
    pub fn is_asked(&self, outcome: &Outcome) -> bool {
        self.conditions.iter().all(|condition| match *condition {
            Condition::Read(register, value) => {
                outcome.registers[usize::from(register.0)] == Some(value)
            }
            Condition::Final(location, value) => outcome.memory[usize::from(location.0)] == value,
        })
    }

    /// Returns all operations.
    pub(super) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.threads.iter().flatten()
    }

    /// Returns whether the accesses to a location are plain.
    pub(super) fn is_plain(&self, location: Location) -> bool {
        self.operations().any(|operation| {
            operation.location() == Some(location) && operation.modes()[0] == Some(Mode::Plain)
        })
    }

    /// Returns whether an access is SeqCst; fences do not count.
    pub(super) fn has_seq_cst_access(&self) -> bool {
        self.operations().any(|operation| {
            operation.location().is_some() && operation.modes().contains(&Some(Mode::SeqCst))
        })
    }

    /// Checks the sizes, registers, locations and modes.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), Malformed> {
        let is_event = |operation: &&Operation| !matches!(operation, Operation::Require { .. });
        let events = self.operations().filter(is_event).count();
        if self.threads.len() > MAX_THREADS || events > MAX_OPERATIONS {
            return Err(Malformed::TooLarge);
        }
        let mut written = Vec::new();
        for (thread, operations) in (1..).zip(&self.threads) {
            let begin = written.len();
            for operation in operations {
                if operation.has_wrong_mode() {
                    return Err(Malformed::Mode(thread));
                }
                if let Some(register) = operation.reads_register()
                    && !written[begin..].contains(&register)
                {
                    return Err(Malformed::Register(register));
                }
                if let Some(register) = operation.written() {
                    if written.contains(&register) {
                        return Err(Malformed::Register(register));
                    }
                    written.push(register);
                }
            }
        }
        for location in self.operations().filter_map(Operation::location) {
            let mut accesses = self.operations().filter(|one| one.location() == Some(location));
            let is_plain = |one: &Operation| one.modes()[0] == Some(Mode::Plain);
            if self.is_plain(location) && !accesses.all(is_plain) {
                return Err(Malformed::Location(location));
            }
        }
        if self.conditions.is_empty() { Err(Malformed::NoCondition) } else { Ok(()) }
    }
}

impl fmt::Display for Program {
    /// Writes one thread per line, and the question.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, thread) in (1..).zip(&self.threads) {
            let mut line = format!("T{number}:");
            let mut gap = " ";
            for operation in thread {
                line.push_str(gap);
                line.push_str(&operation.to_string());
                gap = if matches!(operation, Operation::Require { .. }) { " " } else { "; " };
            }
            writeln!(f, "{line}")?;
        }
        let conditions: Vec<_> = self.conditions.iter().map(ToString::to_string).collect();
        write!(f, "{}?", conditions.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::*;
    use super::*;

    fn check(threads: impl Into<Vec<Vec<Operation>>>) -> Result<(), Malformed> {
        Program::new("program", threads).asks([X.ends(0)]).check()
    }

    #[test]
    fn a_program_that_cannot_be_judged_says_why() {
        // One program for each reason, beside one that is well formed.
        assert_eq!(check([vec![load(A, X, RLX), store(Y, A, REL), require(A, 1)]]), Ok(()));
        assert_eq!(check(vec![vec![]; 5]), Err(Malformed::TooLarge));
        assert_eq!(check([vec![fence(SEQ_CST); 13]]), Err(Malformed::TooLarge));
        let twice = [vec![load(A, X, RLX)], vec![load(A, X, RLX)]];
        assert_eq!(check(twice), Err(Malformed::Register(A)));
        let of_another = [vec![load(A, X, RLX)], vec![store(Y, A, RLX)]];
        assert_eq!(check(of_another), Err(Malformed::Register(A)));
        assert_eq!(check([vec![require(B, 1)]]), Err(Malformed::Register(B)));
        let mixed = [vec![store(X, 1, PLAIN)], vec![load(A, X, ACQ)]];
        assert_eq!(check(mixed), Err(Malformed::Location(X)));
        assert_eq!(check([vec![], vec![load(A, X, REL)]]), Err(Malformed::Mode(2)));
        assert_eq!(check([vec![fence(RLX)]]), Err(Malformed::Mode(1)));
        assert_eq!(check([vec![exchange(A, X, (0, 1), (RLX, REL))]]), Err(Malformed::Mode(1)));
        assert_eq!(Program::new("nothing", []).check(), Err(Malformed::NoCondition));
    }

    #[test]
    fn a_program_is_printed_thread_by_thread() {
        // Prints each kind of operation once.
        let program = Program::new(
            "all",
            [
                vec![load(A, X, ACQ), require(A, 1), store(Y, A, REL), fence(SEQ_CST)],
                vec![
                    fetch_add(B, X, u32::MAX, ACQ_REL),
                    swap(C, X, 2, RLX),
                    exchange(D, X, (0, 1), (ACQ, RLX)),
                ],
            ],
        )
        .asks([A.is(1), Y.ends(2)]);
        let text = "T1: a = x.acq; if a = 1: y = a.rel; fence.sc\n\
                    T2: b = x += -1.acq-rel; c = x <-> 2.rlx; d = x: 0 -> 1.acq/rlx\n\
                    a=1, end y=2?";
        assert_eq!(program.to_string(), text);
    }
}
