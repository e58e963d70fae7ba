//! What the commands of Blocksmith share: exit codes, output that may fail, report files, signals.
//!
//! | exit code | when |
//! |---|---|
//! | 0 | all is as expected |
//! | 1 | something is not as expected |
//! | 2 | wrong usage or input |
//! | 3 | a check was truncated |
//! | 4 | a fault of ours, or of the machine, such as a full disk |
//! | 128 + n | ended in order by signal n: 130 for SIGINT, 143 for SIGTERM, 141 if the reader is gone |
#![forbid(unsafe_code)]

mod exit;
mod hush;
mod logs;
mod note;
mod output;
#[cfg(feature = "pages")]
mod page;
mod report;
mod signals;

pub use exit::{
    EXIT_DIFFERS, EXIT_FAULT, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK, EXIT_TRUNCATED, Failure, end,
};
pub use hush::Hush;
pub use logs::{listen, log_if_asked, log_to_stderr};
pub use note::note;
pub use output::{Color, Output};
#[cfg(feature = "pages")]
pub use page::Page;
pub use report::Report;
pub use signals::{Interrupt, SIGNALS};
