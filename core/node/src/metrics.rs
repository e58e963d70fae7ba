//! Figures of the broker, and times to verdicts, for Prometheus: its text exposition format 0.0.4,
//! over HTTP on loopback.
//!
//! **Contract.** [`Metrics::serve`] binds an address of the loopback interface (another is refused:
//! the figures tell an attacker how full a node is) and answers `GET /metrics` from a thread of its
//! own, one connection at a time, until it is dropped. The figures are those of the broker's last
//! sample, so asking often costs the services nothing; beside them are the histograms that the node
//! fills through [`VerdictTimes`]. `GET /` answers with a page that draws the queues live: it holds
//! all that it needs, and asks for nothing but `/metrics`.
//!
//! | request | answer |
//! |---|---|
//! | `GET /metrics`, any query | 200 and the figures; 503 if no services run |
//! | `GET /`, any query | 200 and the page |
//! | another path; another method | 404; 405 |
//! | not an HTTP/1 request | 400 |
//! | a head of more than 8 KiB; a head that is not complete within 2 s | 431; 408 |
//!
//! **Invariants.**
//! - I1 A connection takes at most [`MAX_REQUEST`] bytes, and [`PATIENCE`] for each direction,
//!   whatever the other end does; then it is closed. Other connections wait in the listener's queue
//!   meanwhile.
//! - I2 The drop waits for neither a client nor a clock. It sets a mark, shuts down the open
//!   connection, ends the thread's pause, wakes `accept` by connecting to it, and joins the thread.
//!   The thread records a connection first and looks at the mark afterwards, so that either the
//!   drop or the thread ends the connection. Without a free handle the drop cannot connect. It then
//!   tries until it can, or until the thread has ended.
//! - I3 The server listens as long as it lives. If the operating system has no connection to give,
//!   the thread pauses and tries again, without a limit.
//!
//! The server is written on std's sockets: a request is one line of which three words matter, while
//! the existing small HTTP servers bring a thread pool, but no bound on time or on the size of a
//! head.
//!
//! Reference: Prometheus, "Exposition formats", text-based format, version 0.0.4.

mod histogram;
mod verdict_times;

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;

use blocksmith_sync::broker::{Ask, FULL, Figures, Snapshot};

use crate::ACCEPT_PAUSE;

pub use histogram::{BOUNDS, Histogram};
pub use verdict_times::{Kind, Timer, VerdictTimes};

/// Bytes of a request's head, at most, up to one read of a KiB more.
pub const MAX_REQUEST: usize = 8 << 10;
/// Time that a client has for its request, and again for reading the answer.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes that are read and dropped after a refused request, so that its answer is not lost together
/// with them.
const MAX_REST: usize = 64 << 10;

/// Why figures cannot be served.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// The address can be reached from elsewhere.
    #[error("{0}: not an address of the loopback interface")]
    NotLoopback(SocketAddr),
    /// The operating system refuses.
    #[error("{address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    /// The connection that is being served.
    open: Mutex<Option<TcpStream>>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// A server of figures; it serves until it is dropped.
pub struct Metrics {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Metrics {
    /// Serves `times` and what `source` returns, `None` standing for "no services run". `source` is
    /// called in the server's thread. With port 0 the operating system chooses one: see
    /// [`Metrics::address`].
    ///
    /// # Errors
    /// If the address is not on the loopback interface, or cannot be bound.
    pub fn serve(
        address: SocketAddr,
        times: &VerdictTimes,
        source: impl Fn() -> Option<Snapshot> + Send + 'static,
    ) -> Result<Self, MetricsError> {
        let times = times.clone();
        Self::serve_text(address, move || source().map(|snapshot| exposition(&snapshot, &times)))
    }

    /// Serves what `figures` returns, a text in the exposition format; `None` stands for "nothing
    /// runs". Otherwise as [`Metrics::serve`], whose page shows queues alone.
    ///
    /// # Errors
    /// As [`Metrics::serve`].
    pub fn serve_text(
        address: SocketAddr,
        figures: impl Fn() -> Option<String> + Send + 'static,
    ) -> Result<Self, MetricsError> {
        if !address.ip().is_loopback() {
            return Err(MetricsError::NotLoopback(address));
        }
        let bind = |error| MetricsError::Bind { address, error };
        let listener = TcpListener::bind(address).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let shared = Arc::new(Shared::default());
        let (server, builder) = (shared.clone(), std::thread::Builder::new());
        let body = move || accept(&listener, &server, &figures);
        let thread = builder.name("metrics".to_owned()).spawn(body).map_err(bind)?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Returns the address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(open) = self.shared.open().as_ref() {
            // It may be closed already.
            let _ = open.shutdown(Shutdown::Both);
        }
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        // If the listener's queue is full, `accept` does not sleep, and the thread ends. If this
        // process has no handle left, `accept` may sleep: only a connection wakes it.
        while TcpStream::connect_timeout(&self.address, PATIENCE).is_err() && !thread.is_finished()
        {
            std::thread::park_timeout(ACCEPT_PAUSE);
        }
        if thread.join().is_err() {
            tracing::error!("the thread that serves metrics had panicked");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Shared, figures: &impl Fn() -> Option<String>) {
    while !shared.is_stopping() {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                // The drop ends the pause (I2).
                std::thread::park_timeout(ACCEPT_PAUSE);
                continue;
            }
        };
        *shared.open() = stream.try_clone().ok();
        // I2: the connection is recorded; now look at the mark.
        if !shared.is_stopping()
            && let Err(error) = answer(stream, figures)
        {
            tracing::debug!(%error, "a request for metrics was not answered");
        }
        *shared.open() = None;
    }
}

/// The page that draws the figures. Its script is part of it, and it requests nothing from anywhere
/// else.
const PAGE: &str = include_str!("metrics/page.html");
/// The content types of answers.
const TEXT: &str = "text/plain; version=0.0.4";
const HTML: &str = "text/html";

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Page,
    Figures,
}

/// Reads a request and answers it.
fn answer(mut stream: TcpStream, figures: &impl Fn() -> Option<String>) -> io::Result<()> {
    let head = read_head(&mut stream)?;
    let refused = head.is_err();
    let answer = head.and_then(|head| judge(&head)).and_then(|asked| match asked {
        Asked::Page => Ok((HTML, PAGE.to_owned())),
        Asked::Figures => figures().map(|figures| (TEXT, figures)).ok_or("503 Service Unavailable"),
    });
    let (status, (kind, body)) = match answer {
        Ok(body) => ("200 OK", body),
        Err(status) => (status, (TEXT, format!("{status}\n"))),
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n{}\r\n{body}",
        body.len(),
        if status.starts_with("405") { "Allow: GET\r\n" } else { "" },
    );
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(response.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    if refused { drop_rest(&mut stream) } else { Ok(()) }
}

/// Reads until the head is complete; the inner error is an answer.
fn read_head(stream: &mut TcpStream) -> io::Result<Result<Vec<u8>, &'static str>> {
    let deadline = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let Some(read) = read_until(stream, &mut chunk, deadline)? else {
            return Ok(Err("408 Request Timeout"));
        };
        head.extend_from_slice(&chunk[..read]);
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Ok(head));
        }
        if head.len() >= MAX_REQUEST {
            return Ok(Err("431 Request Header Fields Too Large"));
        }
        if read == 0 {
            return Ok(Err("400 Bad Request"));
        }
    }
}

/// Reads once; `None` if nothing comes before the deadline.
fn read_until(
    stream: &mut TcpStream,
    chunk: &mut [u8],
    deadline: Instant,
) -> io::Result<Option<usize>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(None);
    }
    stream.set_read_timeout(Some(left))?;
    match stream.read(chunk) {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Some(0)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads and drops what a refused client still sends, within bounds.
fn drop_rest(stream: &mut TcpStream) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let (mut chunk, mut rest) = ([0; 1024], 0);
    while let Some(read) = read_until(stream, &mut chunk, deadline)? {
        rest += read;
        if read == 0 || rest > MAX_REST {
            break;
        }
    }
    Ok(())
}

/// Returns what a request is for, or why it is refused.
fn judge(head: &[u8]) -> Result<Asked, &'static str> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| "400 Bad Request")?;
    let words: Vec<_> = line.split(' ').collect();
    let [method, target, version] = words[..] else { return Err("400 Bad Request") };
    if !version.starts_with("HTTP/1.") || method.is_empty() || target.is_empty() {
        return Err("400 Bad Request");
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match (method, path) {
        ("GET", "/metrics") => Ok(Asked::Figures),
        ("GET", "/") => Ok(Asked::Page),
        ("GET", _) => Err("404 Not Found"),
        _ => Err("405 Method Not Allowed"),
    }
}

/// A family of figures, one for each mailbox.
type Family = (&'static str, &'static str, &'static str, fn(&Figures) -> f64);

const FAMILIES: [Family; 9] = [
    ("depth", "gauge", "Items that wait.", |f| f.counters.depth as f64),
    ("capacity", "gauge", "Items that the mailbox holds, reply slots not included.", |f| {
        f.counters.capacity as f64
    }),
    ("high_water", "gauge", "The largest depth so far.", |f| f.counters.high_water as f64),
    ("sent_total", "counter", "Items accepted.", |f| f.counters.sent as f64),
    ("received_total", "counter", "Items received.", |f| f.counters.received as f64),
    ("refused_total", "counter", "Sends that found no room.", |f| f.counters.refused as f64),
    ("evicted_total", "counter", "Items that made room for newer ones.", |f| {
        f.counters.evicted as f64
    }),
    ("oldest_seconds", "gauge", "The oldest item has waited at least so long.", |f| {
        f.oldest.at_least.as_secs_f64()
    }),
    ("load_ratio", "gauge", "Depth or age against what counts as full, 0 to 1.", |f| ratio(f.load)),
];

fn ratio(load: u32) -> f64 {
    f64::from(load) / f64::from(FULL)
}

/// Returns the figures in the text exposition format.
#[must_use]
pub fn exposition(snapshot: &Snapshot, times: &VerdictTimes) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP blocksmith_{name} {help}\n# TYPE blocksmith_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "blocksmith_{name}{labels} {value}");
        }
    };
    for (name, kind, help, value) in FAMILIES {
        let samples: Vec<_> = snapshot
            .mailboxes
            .iter()
            .map(|figures| (label("mailbox", &figures.name), value(figures)))
            .collect();
        family(&format!("mailbox_{name}"), kind, help, &samples);
    }
    let plain = |value: f64| [(String::new(), value)];
    let level = f64::from(snapshot.level as u8);
    let help = "0 normal, 1 busy, 2 high, 3 critical.";
    family("load_level", "gauge", help, &plain(level));
    let help = "Load of the fullest mailbox that counts, 0 to 1.";
    family("load_ratio", "gauge", help, &plain(ratio(snapshot.load)));
    let help = "How often the level changed.";
    family("load_changes_total", "counter", help, &plain(snapshot.changes as f64));
    let asked = |ask: Ask| f64::from(u8::from(snapshot.level.asks().contains(&ask)));
    let asks = Ask::ALL.map(|ask| (label("ask", ask.word()), asked(ask)));
    family("load_asks", "gauge", "1 for what the level asks for, 0 for what not.", &asks);
    times.write(&mut text);
    text
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{name}=\"{value}\"}}")
}

#[cfg(test)]
mod tests;
