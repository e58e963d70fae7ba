//! A live view of the mailboxes in the terminal.
//!
//! On a terminal it shows a line for the load, and a bar for each queue with its depth, rates, the
//! age of its oldest item, refused and evicted items, and the largest depth so far. It redraws them
//! five times a second. 80 columns hold a line up to the age, or up to the lost items; a wider
//! terminal shows the rest. Elsewhere it writes a line each second with the queues that are not
//! empty. Both go to stderr, so that stdout has only results; one more is drawn at the end. The
//! terminal's state is not changed, so nothing has to be restored: when the monitor is dropped,
//! even after a signal, the bars are gone and the cursor is where they began.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use blocksmith_sync::EventNotifier;
use blocksmith_sync::broker::{Figures, Level, Snapshot};

use super::stage::Stage;

/// How often bars are redrawn, and lines written.
const FRAME: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Ending {
    is_over: AtomicBool,
    wake: EventNotifier,
}

/// A thread that shows figures until it is dropped.
pub struct Monitor {
    ending: Arc<Ending>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Draws bars below those that are on `screen`.
    ///
    /// # Panics
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn bars(stage: Stage, screen: MultiProgress) -> Self {
        let mut bars = Bars { screen, level: None, queues: BTreeMap::new() };
        Self::start(FRAME, move || stage.snapshot().iter().for_each(|shown| bars.draw(shown)))
    }

    /// Passes lines to `write`.
    ///
    /// # Panics
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn lines(stage: Stage, mut write: impl FnMut(&str) + Send + 'static) -> Self {
        Self::start(LINE, move || stage.snapshot().iter().for_each(|shown| write(&line(shown))))
    }

    fn start(every: Duration, mut draw: impl FnMut() + Send + 'static) -> Self {
        let ending = Arc::new(Ending::default());
        let over = ending.clone();
        let body = move || {
            let is_over = || over.is_over.load(Ordering::Relaxed).then_some(());
            while over.wake.wait_until_timeout(every, is_over).is_none() {
                draw();
            }
            draw();
        };
        Self { ending, thread: Some(std::thread::spawn(body)) }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // The flag is published, then the notifier notified.
        self.ending.is_over.store(true, Ordering::Relaxed);
        self.ending.wake.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the monitor's thread had panicked");
        }
    }
}

struct Bars {
    screen: MultiProgress,
    level: Option<ProgressBar>,
    queues: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn draw(&mut self, snapshot: &Snapshot) {
        let Self { screen, level, queues } = self;
        let level = level.get_or_insert_with(|| bar(screen, 1, "{wide_msg}"));
        level.set_message(load(snapshot));
        for figures in &snapshot.mailboxes {
            let queue = queues.entry(figures.name.clone()).or_insert_with(|| {
                let template = "{prefix:<20.20} {bar:6} {pos:>5}/{len:<5} {wide_msg}";
                let bar = bar(screen, figures.counters.capacity, template);
                bar.set_prefix(figures.name.clone());
                bar
            });
            // Replies have places of their own, so a depth may be above the capacity.
            queue.set_length(figures.counters.capacity.max(figures.counters.depth));
            queue.set_position(figures.counters.depth);
            queue.set_message(details(figures));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.queues.values().chain(&self.level).for_each(ProgressBar::finish_and_clear);
    }
}

fn bar(screen: &MultiProgress, length: u64, template: &str) -> ProgressBar {
    let bar = screen.add(ProgressBar::new(length));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("█▌·"));
    }
    bar
}

/// Returns the text of the line about the load.
fn load(snapshot: &Snapshot) -> String {
    let Snapshot { level, load, highest, changes, .. } = snapshot;
    let percent = f64::from(*load) / 10.0;
    let mut text = format!("load {level} ({percent:.1} %)");
    let asks: Vec<_> = level.asks().iter().map(|ask| ask.word()).collect();
    if !asks.is_empty() {
        let _ = write!(text, ", asks: {}", asks.join(", "));
    }
    if *highest > Level::Normal {
        let _ = write!(text, "; highest so far {highest}, {changes} changes");
    }
    text
}

/// Returns what stands behind the bar of a queue, the more important first, since a terminal cuts
/// off the end.
fn details(figures: &Figures) -> String {
    let counters = &figures.counters;
    let (into, out) = (short(figures.rate_in), short(figures.rate_out));
    let oldest = figures.oldest.at_least.as_secs_f64();
    let mut text = format!("in {into:>4}/s out {out:>4}/s age {oldest:>4.1}s");
    for (word, count) in [("refused", counters.refused), ("evicted", counters.evicted)] {
        if count > 0 {
            let _ = write!(text, " {word} {count}");
        }
    }
    let _ = write!(text, " high {}", counters.high_water);
    text
}

/// Returns a rate in four characters.
fn short(rate: f64) -> String {
    match rate {
        rate if rate >= 9_999.5 => format!("{:.0}k", rate / 1e3),
        rate if rate >= 99.95 => format!("{rate:.0}"),
        rate => format!("{rate:.1}"),
    }
}

/// Returns the figures in one line, without queues through which nothing has passed.
fn line(snapshot: &Snapshot) -> String {
    let mut text = load(snapshot);
    for figures in snapshot.mailboxes.iter().filter(|figures| figures.counters.sent > 0) {
        let Figures { name, counters, .. } = figures;
        let details = details(figures).split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = write!(text, "; {name} {}/{} {details}", counters.depth, counters.capacity);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, mpsc};

    use blocksmith_sync::Broker;
    use blocksmith_sync::broker::{Limits, Weight};
    use blocksmith_sync::mailbox::OnFull;
    use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

    use super::{Bars, Monitor, line};
    use crate::replay::stage::Stage;

    /// A broker that watches one queue, with three of four places taken and one send refused.
    fn broker() -> Broker {
        let broker = Broker::new(Limits::default()).expect("the defaults");
        let opened = broker.open::<u32>("hot_db", Weight::Counts, 3, 0, OnFull::Refuse);
        let (sender, _lease) = opened.expect("a new name");
        assert_eq!((0..4).filter(|n| sender.send(*n).is_ok()).count(), 3);
        broker.observe();
        broker
    }

    #[test]
    fn a_line_has_level_depth_and_what_was_refused() {
        // A full queue: the level asks for everything.
        let line = line(&broker().snapshot());
        assert!(line.starts_with("load critical (100.0 %), asks: drop_peers, drop_sync"), "{line}");
        assert!(line.contains("; hot_db 3/3 in 0.0/s out 0.0/s age "), "{line}");
        assert!(line.ends_with("refused 1 high 3"), "{line}");
    }

    /// What is written to a terminal; `#` stands for a line that is cleared.
    #[derive(Clone, Debug, Default)]
    struct Written(Arc<Mutex<String>>);

    impl Written {
        fn add(&self, text: &str) -> io::Result<()> {
            self.0.lock().map_err(|_| io::Error::other("poisoned"))?.push_str(text);
            Ok(())
        }

        fn text(&self) -> String {
            self.0.lock().map(|text| text.clone()).unwrap_or_default()
        }
    }

    impl TermLike for Written {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.add(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.add(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.add("#")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bars_are_drawn_and_gone_at_the_end() {
        // What is written after the last clearing of a line is what stays.
        let terminal = Written::default();
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let screen = MultiProgress::with_draw_target(target);
        let mut bars = Bars { screen, level: None, queues: Default::default() };
        bars.draw(&broker().snapshot());
        let shown = terminal.text();
        assert!(shown.contains("load critical") && shown.contains("hot_db"), "{shown}");
        assert!(shown.contains("███") && shown.contains("3/3"), "{shown}");
        // The terminal has 80 columns; the most important figures are there, and no line is longer.
        assert!(shown.contains("s refused 1"), "{shown}");
        drop(bars);
        let text = terminal.text();
        assert_eq!(text.rsplit('#').next().map(str::trim), Some(""), "{text}");
    }

    #[test]
    fn the_last_figures_are_shown_when_the_monitor_ends() {
        // It is dropped long before its second is over.
        let (sender, lines) = mpsc::channel();
        let stage = Stage::default();
        let on_stage = stage.enter(broker());
        let monitor = Monitor::lines(stage, move |line| drop(sender.send(line.to_owned())));
        drop(on_stage);
        drop(monitor);
        assert!(lines.iter().last().is_some_and(|line| line.contains("hot_db 3/3")));
    }
}
