//! What a shell and `man` need from a command.

use std::io::{self, Write};

use clap::{Command, Subcommand};
use clap_complete::Shell;

use crate::{EXIT_OK, Failure};

/// Subcommands that print the command's own description.
#[derive(Clone, Debug, Subcommand)]
pub enum Page {
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print the manual page, in roff, as `man -l -` reads it.
    Man,
}

impl Page {
    /// Prints the page.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub fn print(&self, mut command: Command) -> Result<u8, Failure> {
        let mut text = Vec::new();
        let rendered = match self {
            Self::Completions { shell } => {
                let name = command.get_name().to_owned();
                clap_complete::generate(*shell, &mut command, name, &mut text);
                Ok(())
            }
            Self::Man => clap_mangen::Man::new(command).render(&mut text),
        };
        let mut stdout = io::stdout().lock();
        rendered
            .and_then(|()| stdout.write_all(&text))
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::writing("stdout", error))?;
        Ok(EXIT_OK)
    }
}
