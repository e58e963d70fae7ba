//! How a command ends.

use std::io;
use std::process::ExitCode;

use crate::note::note;

/// Exit code: everything is as expected.
pub const EXIT_OK: u8 = 0;
/// Exit code: something differs from what was expected.
pub const EXIT_DIFFERS: u8 = 1;
/// Exit code: wrong usage or input.
pub const EXIT_INPUT: u8 = 2;
/// Exit code: a limit stopped a check before its bounds were exhausted.
pub const EXIT_TRUNCATED: u8 = 3;
/// Exit code: the command itself failed, or the machine under it.
pub const EXIT_FAULT: u8 = 4;
/// Exit code: this plus the number of the signal that interrupted the command.
pub const EXIT_INTERRUPTED: u8 = 128;

/// The number of SIGPIPE on all systems; it gives the exit code of a command whose reader is gone.
const SIGPIPE: u8 = 13;

/// A failure that ends the command: the exit code, and what to print on stderr, if anything.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: Option<anyhow::Error>,
}

impl Failure {
    /// Wrong usage or input.
    pub fn input(error: impl Into<anyhow::Error>) -> Self {
        Self { code: EXIT_INPUT, error: Some(error.into()) }
    }

    /// A fault of ours, or of the machine.
    pub fn fault(error: impl Into<anyhow::Error>) -> Self {
        Self { code: EXIT_FAULT, error: Some(error.into()) }
    }

    /// The failure to open or make a file or folder that the command line names: a fault if an
    /// error in its chain says that the disk is full, otherwise wrong input.
    pub fn opening(error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        if error.chain().any(is_full) { Self::fault(error) } else { Self::input(error) }
    }

    /// The failure to write to `name` (stdout, say): quiet if its reader is gone, otherwise a
    /// fault.
    #[must_use]
    pub fn writing(name: &str, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: EXIT_INTERRUPTED + SIGPIPE, error: None };
        }
        Self::fault(anyhow::Error::from(error).context(name.to_owned()))
    }

    /// Returns the exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }
}

/// Whether an error is the operating system's, and says that there is no room for a file.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let Some(error) = error.downcast_ref::<io::Error>() else { return false };
    // What an error of this type wraps is not part of its chain.
    matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull)
        || error.get_ref().is_some_and(|inner| is_full(inner))
}

/// Prints why a command failed, if it did, and returns its exit code.
pub fn end(result: Result<u8, Failure>) -> ExitCode {
    ExitCode::from(result.unwrap_or_else(|failure| {
        if let Some(error) = failure.error {
            note(format_args!("error: {error:#}"));
        }
        failure.code
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_not_told_of_it_and_a_full_disk_is() {
        // Writing fails in two ways.
        let gone = Failure::writing("stdout", io::ErrorKind::BrokenPipe.into());
        assert_eq!((gone.code, gone.error.is_none()), (141, true));
        let full = Failure::writing("stdout", io::ErrorKind::StorageFull.into());
        assert_eq!(full.code, EXIT_FAULT);
        assert_eq!(full.error.map(|error| error.to_string()).as_deref(), Some("stdout"));
    }

    #[test]
    fn a_full_disk_is_a_fault_wherever_the_error_says_so_and_other_errors_are_wrong_input() {
        // The kinds that mean it and one that does not: alone, below contexts, and in another
        // error.
        use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, StorageFull};
        for (kind, code) in [
            (StorageFull, EXIT_FAULT),
            (QuotaExceeded, EXIT_FAULT),
            (FileTooLarge, EXIT_FAULT),
            (PermissionDenied, EXIT_INPUT),
        ] {
            let error = || io::Error::from(kind);
            assert_eq!(Failure::opening(error()).code, code, "{kind}");
            let below = anyhow::Error::from(error()).context("a file").context("an option");
            assert_eq!(Failure::opening(below).code, code, "{kind}");
            assert_eq!(Failure::opening(io::Error::other(error())).code, code, "{kind}");
        }
        assert_eq!(Failure::opening(anyhow::anyhow!("no such preset")).code, EXIT_INPUT);
    }
}
