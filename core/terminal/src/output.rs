//! Results for a person, on stdout.

use std::fmt::Display;
use std::io::{self, Stderr, Stdout, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::Failure;

/// When to colour results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    fn choice(self) -> ColorChoice {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
    }

    /// Returns whether logs, which go to stderr, are to be coloured.
    #[must_use]
    pub fn of_logs(self) -> bool {
        let stderr = AutoStream::choice(&io::stderr());
        match self {
            Self::Auto => !matches!(stderr, ColorChoice::Never),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// As it should be.
const GOOD: Style = AnsiColor::Green.on_default();
/// Not as it should be.
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Lines for a person: on stdout, or, where a report goes there, on stderr. Nothing here panics; a
/// line that cannot be written is a [`Failure`].
#[derive(Debug)]
pub struct Output(Stream);

#[derive(Debug)]
enum Stream {
    Out(AutoStream<Stdout>),
    Err(AutoStream<Stderr>),
}

impl Output {
    /// Opens it; `report_on_stdout`: a report takes stdout.
    #[must_use]
    pub fn new(color: Color, report_on_stdout: bool) -> Self {
        let choice = color.choice();
        Self(if report_on_stdout {
            Stream::Err(AutoStream::new(io::stderr(), choice))
        } else {
            Stream::Out(AutoStream::new(io::stdout(), choice))
        })
    }

    /// Writes a line.
    ///
    /// # Errors
    /// If nobody reads on, or the disk is full.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        let (result, name) = match &mut self.0 {
            Stream::Out(stream) => (writeln!(stream, "{text}"), "stdout"),
            Stream::Err(stream) => (writeln!(stream, "{text}"), "stderr"),
        };
        result.map_err(|error| Failure::writing(name, error))
    }

    /// Writes text that may have several lines, or none.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn text(&mut self, text: impl Display) -> Result<(), Failure> {
        text.to_string().lines().try_for_each(|line| self.line(line))
    }
}

/// Returns the text in the colour of what is as it should be, or is not.
#[must_use]
pub fn painted(good: bool, text: impl Display) -> String {
    let style = if good { GOOD } else { BAD };
    format!("{style}{text}{style:#}")
}
