//! What a thread is about to do, in a form that can be compared, digested and printed.

use std::fmt;

/// Combines two digests; the order matters.
pub(super) fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left ^ 0x9E37_79B9_7F4A_7C15)
        * u128::from(right.rotate_left(23) ^ 0xC2B2_AE3D_27D4_EB4F);
    let folded = (product as u64) ^ ((product >> 64) as u64);
    (folded ^ left.rotate_left(41)).wrapping_add(right).wrapping_mul(0xFF51_AFD7_ED55_8CCD)
        ^ (folded >> 31)
}

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An atomic integer.
    Atomic,
    /// An atomic pointer.
    Pointer,
    /// A word to sleep on.
    Futex,
    /// Plain memory.
    Cell,
    /// A mutex.
    Mutex,
    /// Shared ownership.
    Arc,
}

/// The name of an object: the same in every execution that creates it at the same point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// What it is.
    pub kind: Kind,
    /// Index of the thread that made it.
    pub creator: u8,
    /// How many objects that thread had made before.
    pub nth: u32,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Atomic => "atomic",
            Kind::Pointer => "pointer",
            Kind::Futex => "futex",
            Kind::Cell => "cell",
            Kind::Mutex => "mutex",
            Kind::Arc => "arc",
        };
        write!(f, "{kind} {}.{}", self.creator, self.nth)
    }
}

/// What a thread is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Atomic load.
    Load,
    /// Atomic store.
    Store,
    /// Atomic swap.
    Swap,
    /// Atomic addition.
    FetchAdd,
    /// Atomic subtraction.
    FetchSub,
    /// Atomic maximum.
    FetchMax,
    /// Atomic compare and exchange.
    CompareExchange,
    /// Futex wait.
    Wait,
    /// Futex wait with a timeout.
    WaitTimeout,
    /// Futex wake.
    Wake,
    /// Acquire a mutex.
    Lock,
    /// Give up one of several handles of shared ownership.
    Release,
    /// Wait for the end of a thread.
    Join,
    /// Let others go first.
    Yield,
    /// Read the clock.
    Now,
}

impl Verb {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Store => "store",
            Self::Swap => "swap",
            Self::FetchAdd => "fetch_add",
            Self::FetchSub => "fetch_sub",
            Self::FetchMax => "fetch_max",
            Self::CompareExchange => "compare_exchange",
            Self::Wait => "wait",
            Self::WaitTimeout => "wait_timeout",
            Self::Wake => "wake",
            Self::Lock => "lock",
            Self::Release => "release",
            Self::Join => "join",
            Self::Yield => "yield_now",
            Self::Now => "now",
        }
    }
}

/// One operation: what is done, on which object, with which arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// What is done.
    pub verb: Verb,
    /// On which object; none for `Join`, `Yield` and `Now`.
    pub name: Option<Name>,
    /// Index into the world's objects, or of the thread that is joined.
    pub(super) index: u32,
    /// First argument (the digest of a pointer).
    pub a: u64,
    /// Second argument.
    pub b: u64,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.verb, self.name) {
            (Verb::Join, _) => write!(f, "join T{}", self.index),
            (Verb::CompareExchange, Some(name)) => {
                write!(
                    f,
                    "{} compare_exchange({}, {})",
                    name,
                    show(name, self.a),
                    show(name, self.b)
                )
            }
            (Verb::Load | Verb::Lock | Verb::Release, Some(name)) => {
                write!(f, "{name} {}()", self.verb.text())
            }
            (verb, Some(name)) => write!(f, "{name} {}({})", verb.text(), show(name, self.a)),
            (verb, None) => f.write_str(verb.text()),
        }
    }
}

/// Prints a value: pointers by their version, which is short enough as four hexadecimal digits.
pub(super) fn show(name: Name, value: u64) -> String {
    match name.kind {
        Kind::Pointer if value == 0 => "null".to_owned(),
        Kind::Pointer => format!("&{:04x}", value as u16),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::mix;

    #[test]
    fn mixing_depends_on_the_order() {
        // A digest that forgot the order would merge different histories.
        assert_ne!(mix(mix(1, 2), 3), mix(mix(1, 3), 2));
        assert_ne!(mix(0, 0), 0);
        assert_ne!(mix(1, 0), mix(0, 1));
    }
}
