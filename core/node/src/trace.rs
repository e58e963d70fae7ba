//! A trace in a file: one line of JSON for each step of the services' machines.
//!
//! **Contract.** The first line names the format and its version. Each further line is a
//! [`Step`], in an order of cause and effect ([`blocksmith::trace`]). The last line, which
//! [`Recorder::finish`] writes, is an end mark: how many steps were written, and how many were left
//! out. So a file that was cut short is seen to be, and so is one that has a gap.
//!
//! ```text
//! {"format":"blocksmith-trace","version":1}
//! {"service":"hot_db","instance":0,"thread":0,"life":0,"number":0,"event":"begin known=..","effects":[],"lost":""}
//! ..
//! {"end":{"steps":17,"left_out":0}}
//! ```
//!
//! **Bounds.** At most [`BUFFER`] steps wait to be written. No service waits for the disk: a step
//! that finds no room is left out and counted. If a write fails, the steps from there on are left
//! out and counted, and [`Recorder::finish`] returns the error.
//!
//! **Threads.** [`Recorder::step`] may be called by any thread and never blocks for long: it puts
//! the step into a queue, from which a thread of the recorder's own writes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use blocksmith::trace::{Step, VERSION};
use serde_json::json;

/// Most steps that wait to be written.
pub const BUFFER: usize = 1 << 16;

/// The name of the format, in the first line.
pub const FORMAT: &str = "blocksmith-trace";

/// How many steps a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Steps that were written.
    pub steps: u64,
    /// Steps that were left out.
    pub left_out: u64,
}

/// What the writer is handed.
enum Line {
    Step(Box<Step>),
    /// Nothing more comes.
    End,
}

/// Writes a trace.
pub struct Recorder {
    lines: SyncSender<Line>,
    left_out: Arc<AtomicU64>,
    /// Taken by the end.
    writer: Mutex<Option<JoinHandle<io::Result<Counts>>>>,
}

impl Recorder {
    /// Creates the file, or empties the one that is there, and writes the first line.
    ///
    /// # Errors
    /// If the file cannot be created or written, or the system refuses a thread.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "{}", json!({ "format": FORMAT, "version": VERSION }))?;
        file.flush()?;
        Self::start(file, BUFFER)
    }

    /// Writes to `file`, with at most `room` steps that wait.
    fn start(file: impl Write + Send + 'static, room: usize) -> io::Result<Self> {
        let (lines, steps) = sync_channel(room);
        let left_out = Arc::new(AtomicU64::new(0));
        let missing = left_out.clone();
        let body = move || write(file, &steps, &missing);
        let writer = std::thread::Builder::new().name("trace".to_owned()).spawn(body)?;
        Ok(Self { lines, left_out, writer: Mutex::new(Some(writer)) })
    }

    /// Takes a step, to be written. Leaves it out and counts it if too many wait.
    pub fn step(&self, step: Step) {
        if self.lines.try_send(Line::Step(Box::new(step))).is_err() {
            // ORDERING: relaxed; whoever reads the count has joined or been told by other means.
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what waits and the end mark. Blocks for the disk. A second call does nothing and
    /// returns `None`.
    ///
    /// # Errors
    /// The first error of a write.
    pub fn finish(&self) -> io::Result<Option<Counts>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return Ok(None) };
        // A writer that has failed is gone, and says so when it is joined.
        let _ = self.lines.send(Line::End);
        writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer panicked"))).map(Some)
    }
}

/// Writes steps until the end, then the end mark.
fn write(mut file: impl Write, steps: &Receiver<Line>, left_out: &AtomicU64) -> io::Result<Counts> {
    let mut written = 0;
    while let Ok(Line::Step(step)) = steps.recv() {
        writeln!(file, "{}", line(&step))?;
        written += 1;
    }
    // ORDERING: as above; a step that is left out after this comes after the end.
    let counts = Counts { steps: written, left_out: left_out.load(Ordering::Relaxed) };
    let end = json!({ "steps": counts.steps, "left_out": counts.left_out });
    writeln!(file, "{}", json!({ "end": end }))?;
    file.flush()?;
    Ok(counts)
}

fn line(step: &Step) -> serde_json::Value {
    json!({
        "service": step.service,
        "instance": step.instance,
        "thread": step.thread,
        "life": step.life,
        "number": step.number,
        "event": step.event,
        "effects": step.effects,
        "lost": step.lost,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use serde_json::Value;

    use super::*;

    fn step(number: u64) -> Step {
        Step { service: "hot_db".to_owned(), number, event: "flush".to_owned(), ..Step::default() }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).expect("the file");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn a_file_has_the_steps_in_their_order_and_an_end_mark_that_counts_them() {
        // Records three steps, ends twice, and reads the file.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("trace");
        let recorder = Recorder::create(&path).expect("it can be created");
        (0..3).for_each(|number| recorder.step(step(number)));
        let counts = Counts { steps: 3, left_out: 0 };
        assert_eq!(recorder.finish().expect("it can be written"), Some(counts));
        assert_eq!(recorder.finish().expect("nothing is written"), None);
        let lines = lines(&path);
        assert_eq!(lines[0], json!({ "format": "blocksmith-trace", "version": 1 }));
        let numbers: Vec<_> = lines[1..4].iter().map(|line| line["number"].as_u64()).collect();
        assert_eq!(numbers, [Some(0), Some(1), Some(2)]);
        assert_eq!(lines[4..], [json!({ "end": { "steps": 3, "left_out": 0 } })]);
    }

    #[test]
    fn a_step_that_finds_no_room_is_left_out_and_counted() {
        // The file takes nothing until it is let go; there is room for one step that waits.
        struct Held(Receiver<()>, Vec<u8>, std::sync::mpsc::Sender<Vec<u8>>);
        impl Write for Held {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                // The other end is dropped when the file is let go.
                let _ = self.0.recv();
                self.1.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                let _ = self.2.send(self.1.clone());
                Ok(())
            }
        }
        let ((hold, held), (sender, text)) = (channel(), channel());
        let recorder = Recorder::start(Held(held, Vec::new(), sender), 1).expect("a thread");
        // One step is with the writer at most, and one waits at most.
        (0..9).for_each(|number| recorder.step(step(number)));
        drop(hold);
        let counts = recorder.finish().expect("it can be written").expect("the first end");
        assert!(counts.steps <= 2 && counts.steps >= 1, "{counts:?}");
        assert_eq!(counts.steps + counts.left_out, 9);
        let text = String::from_utf8(text.recv().expect("it was flushed")).expect("text");
        let end = json!({ "end": { "steps": counts.steps, "left_out": counts.left_out } });
        assert_eq!(text.lines().last(), Some(end.to_string().as_str()));
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        // The device that is always full, where there is one.
        let full = Path::new("/dev/full");
        if full.exists() {
            let outcome = Recorder::create(full).map(drop);
            assert!(outcome.is_err(), "the first line was written");
        }
    }
}
