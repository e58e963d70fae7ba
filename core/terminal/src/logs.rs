//! Logs, on stderr.
//!
//! This is a minimal subscriber for tracing: an event is a line, with its level, its target and its
//! fields. A program that wants more of tracing can use another subscriber with the libraries. Only
//! the command uses this one, so that it builds from few crates.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::output::{BAD, Color, PLAIN};

/// Which events are logged: a level for all targets, and other levels for targets that begin with a
/// name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    all: LevelFilter,
    targets: Vec<(String, LevelFilter)>,
}

impl Filter {
    /// Parses the value of `RUST_LOG`: `level` or `target=level`, separated by commas. `None` if a
    /// part is neither.
    fn parse(text: &str) -> Option<Self> {
        let mut filter = Self { all: LevelFilter::OFF, targets: Vec::new() };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((target, level)) => {
                    filter.targets.push((target.to_owned(), level.parse().ok()?));
                }
                None => filter.all = part.parse().ok()?,
            }
        }
        // The longest matching name decides.
        filter.targets.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Some(filter)
    }

    fn lets_through(&self, level: Level, target: &str) -> bool {
        let named = self.targets.iter().find(|(name, _)| target.starts_with(name));
        level <= named.map_or(self.all, |(_, level)| *level)
    }

    fn most(&self) -> LevelFilter {
        let levels = self.targets.iter().map(|(_, level)| *level);
        levels.chain([self.all]).max().unwrap_or(LevelFilter::OFF)
    }
}

/// The filter that `RUST_LOG` asks for, if it is set and valid.
fn asked() -> Option<Filter> {
    Filter::parse(&std::env::var("RUST_LOG").ok()?)
}

/// Sends the process's log to stderr: warnings and errors, or what `RUST_LOG` asks for.
pub fn log_to_stderr(color: Color) {
    start(asked().unwrap_or_else(|| Filter { all: LevelFilter::WARN, targets: vec![] }), color);
}

/// Like [`log_to_stderr`], if `RUST_LOG` asks for anything.
pub fn log_if_asked(color: Color) {
    if let Some(filter) = asked() {
        start(filter, color);
    }
}

/// What hears the events of a target besides the log.
struct Listener {
    target: &'static str,
    hear: Box<dyn Fn(&Event<'_>) + Send + Sync>,
}

/// There is at most one listener in a process.
static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Has `hear` called with every event of exactly this target, whatever its level, besides what is
/// logged. It is called on the thread of the event, and must not block. Returns whether it is so: a
/// process has one listener, and one log that was started before.
pub fn listen(target: &'static str, hear: impl Fn(&Event<'_>) + Send + Sync + 'static) -> bool {
    let is_set = LISTENER.set(Listener { target, hear: Box::new(hear) }).is_ok();
    // What was found out before about who wants which events no longer holds.
    tracing::callsite::rebuild_interest_cache();
    is_set && tracing::dispatcher::get_default(|log| log.is::<Lines>())
}

fn start(filter: Filter, color: Color) {
    let lines = Lines { filter, color: color.on_stderr(), spans: AtomicU64::new(1) };
    // A second subscriber in one process is refused, and the first one stays.
    let _ = tracing::subscriber::set_global_default(lines);
}

struct Lines {
    filter: Filter,
    color: bool,
    /// The number of the next span; spans are not shown.
    spans: AtomicU64,
}

/// The text of an event: its message, then its fields.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let is_heard = LISTENER.get().is_some_and(|listener| listener.target == target);
        let is_logged = self.filter.lets_through(*metadata.level(), target);
        // `enabled!` asks as a hint, which is no event.
        !metadata.is_span() && (is_heard || is_logged)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if LISTENER.get().is_some() { LevelFilter::TRACE } else { self.filter.most() })
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // ORDERING: pairs with nothing; each number is given once.
        Id::from_u64(self.spans.fetch_add(1, Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        if let Some(listener) = LISTENER.get().filter(|listener| listener.target == target) {
            (listener.hear)(event);
        }
        if !self.filter.lets_through(*level, target) {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let (before, after) = match *level {
            Level::ERROR if self.color => (BAD, PLAIN),
            _ => ("", ""),
        };
        // If stderr cannot be written to, there is nowhere left to report that.
        let _ = writeln!(io::stderr(), "{before}{level:>5}{after} {target}:{}", text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_that_fits_decides() {
        // A level for all, one for a crate, one for a module of it; and texts that are not levels.
        let filter = Filter::parse("warn, blocksmith=info,blocksmith::rewinder=off").unwrap();
        let through = |level, target| filter.lets_through(level, target);
        assert!(through(Level::WARN, "other") && !through(Level::INFO, "other"));
        assert!(through(Level::INFO, "blocksmith::hot_db"));
        assert!(!through(Level::ERROR, "blocksmith::rewinder::worker"));
        assert_eq!(filter.most(), LevelFilter::INFO);
        assert_eq!(Filter::parse("loud"), None);
        assert_eq!(Filter::parse("").map(|filter| filter.most()), Some(LevelFilter::OFF));
    }
}
