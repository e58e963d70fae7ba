//! Results for a person, on stdout.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use crate::Failure;

/// When to colour the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set (no-color.org).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    fn on(self, is_terminal: bool) -> bool {
        let refused = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Auto => is_terminal && !refused(),
            Self::Always => true,
            Self::Never => false,
        }
    }

    /// Returns whether output to stderr is coloured.
    pub(crate) fn on_stderr(self) -> bool {
        self.on(io::stderr().is_terminal())
    }
}

/// As it should be; not as it should be; the end of either.
const GOOD: &str = "\u{1b}[32m";
pub(crate) const BAD: &str = "\u{1b}[1;31m";
pub(crate) const PLAIN: &str = "\u{1b}[0m";

/// Output for a person: on stdout, or on stderr if a report goes to stdout. Nothing here panics; a
/// line that cannot be written is a [`Failure`].
#[derive(Clone, Copy, Debug)]
pub struct Output {
    on_stderr: bool,
    color: bool,
}

impl Output {
    /// Opens the output; `report_on_stdout` says that a report goes to stdout.
    #[must_use]
    pub fn new(color: Color, report_on_stdout: bool) -> Self {
        let color =
            if report_on_stdout { color.on_stderr() } else { color.on(io::stdout().is_terminal()) };
        Self { on_stderr: report_on_stdout, color }
    }

    /// Returns the text in the colour of what is as it should be, or of what is not.
    #[must_use]
    pub fn painted(&self, good: bool, text: impl Display) -> String {
        match (self.color, good) {
            (false, _) => text.to_string(),
            (true, true) => format!("{GOOD}{text}{PLAIN}"),
            (true, false) => format!("{BAD}{text}{PLAIN}"),
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// If the reader is gone, or the disk is full.
    pub fn line(&self, text: impl Display) -> Result<(), Failure> {
        let (result, name) = if self.on_stderr {
            (writeln!(io::stderr(), "{text}"), "stderr")
        } else {
            (writeln!(io::stdout(), "{text}"), "stdout")
        };
        result.map_err(|error| Failure::writing(name, error))
    }

    /// Writes text that may have several lines, or none.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn text(&self, text: impl Display) -> Result<(), Failure> {
        text.to_string().lines().try_for_each(|line| self.line(line))
    }
}
