//! What is said beside the results.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line beside the results, on stderr; where that cannot be written there is nobody left
/// to tell.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
