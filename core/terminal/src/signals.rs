//! Orderly termination by SIGINT or SIGTERM.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::EXIT_INTERRUPTED;

/// The signals that end a command in order.
pub const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Listens for [`SIGNALS`]. The first signal is recorded for whoever asks; the second ends the
/// process at once.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Begins to listen, until the process ends.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen() -> io::Result<Self> {
        let (heard, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for signal in SIGNALS {
            let code = i32::from(EXIT_INTERRUPTED) + signal;
            // The order matters: the first signal finds the flag not set, and sets it.
            flag::register_conditional_shutdown(signal, code, again.clone())?;
            flag::register(signal, again.clone())?;
            flag::register_usize(signal, heard.clone(), usize::try_from(signal).unwrap_or(0))?;
        }
        Ok(Self(heard))
    }

    /// Returns the signal that came, if one did.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        // ORDERING: pairs with nothing; nothing but the number is handed over.
        Some(self.0.load(Relaxed) as i32).filter(|signal| *signal != 0)
    }

    /// Returns the exit code for the signal that came, if one did.
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        self.signal().map(|signal| EXIT_INTERRUPTED + signal as u8)
    }
}
