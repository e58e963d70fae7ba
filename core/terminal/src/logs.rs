//! Logs, on stderr.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Color;

/// What `RUST_LOG` asks for: `level` or `target=level`, separated by commas.
fn asked() -> Option<Targets> {
    std::env::var("RUST_LOG").ok()?.parse().ok()
}

/// Sends the process's log to stderr: warnings and errors, or what `RUST_LOG` asks for.
pub fn log_to_stderr(color: Color) {
    start(asked().unwrap_or_else(|| Targets::new().with_default(tracing::Level::WARN)), color);
}

/// As [`log_to_stderr`], if `RUST_LOG` asks for anything.
pub fn log_if_asked(color: Color) {
    if let Some(targets) = asked() {
        start(targets, color);
    }
}

fn start(targets: Targets, color: Color) {
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(color.of_logs()).with_writer(std::io::stderr);
    // A second subscriber in one process is refused, and the first one goes on.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
}
