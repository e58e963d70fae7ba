//! The server: connections, and what a client may take of them.
//!
//! **Invariants.**
//! - W1 There are at most [`CONNECTIONS`] connections, and at most [`PER_ADDRESS`] of one address.
//!   A further one is answered 503 and closed. A connection has one request at a time.
//! - W2 A request's head comes within [`HEAD`] and fits into [`MAX_HEAD`] bytes; the body and the
//!   answer have limits of their own (`routes`).
//! - W3 A client that takes nothing of its answer for [`WRITE`] loses its connection, be it a whole
//!   state or a stream of events.
//! - W4 [`Server::stop`] returns within about [`STOP`], whatever clients do.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// Connections, at most.
pub const CONNECTIONS: usize = 512;
/// Connections of one address, at most.
pub const PER_ADDRESS: usize = 256;
/// Time for a request's head; a connection without a request is closed after it, too.
pub const HEAD: Duration = Duration::from_secs(30);
/// Bytes of a request's head, at most.
pub const MAX_HEAD: usize = 64 << 10;
/// Time in which a client takes something of its answer.
pub const WRITE: Duration = Duration::from_secs(10);
/// Time in which what is being computed for clients may end.
pub const STOP: Duration = Duration::from_secs(2);
/// Threads of the runtime: handlers only pass things on.
const THREADS: usize = 2;

/// A server; it serves until it is stopped or dropped.
pub(super) struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    /// Binds an address and serves. With port 0 the operating system chooses one.
    pub(super) fn serve(address: SocketAddr, router: Router) -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(THREADS).thread_name("api").enable_all();
        let runtime = builder.build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        runtime.spawn(accept(listener, router));
        Ok(Self { address, runtime: Some(runtime) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection (W4).
    pub(super) fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(STOP);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Who has how many connections.
#[derive(Clone, Default)]
struct Doors(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection's place.
struct Place {
    doors: Doors,
    address: IpAddr,
}

impl Doors {
    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.open();
        if open.values().sum::<usize>() >= CONNECTIONS {
            return None;
        }
        let count = open.entry(address).or_default();
        if *count >= PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Place { doors: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.doors.open();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

async fn accept(listener: TcpListener, router: Router) {
    /// A pause after the operating system had no connection to give, such as for want of handles.
    const PAUSE: Duration = Duration::from_millis(20);
    let doors = Doors::default();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = doors.admit(address.ip()) else {
            tokio::spawn(refuse(stream));
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            serve(stream, router).await;
            drop(place);
        });
    }
}

/// Tells a client that there are too many connections.
async fn refuse(mut stream: TcpStream) {
    const BODY: &str = r#"{"code":503,"message":"there are too many connections"}"#;
    const PATIENCE: Duration = Duration::from_millis(200);
    let text = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    // Whether the client hears of it is its own affair.
    let _ = timeout(PATIENCE, stream.write_all(text.as_bytes())).await;
}

async fn serve(stream: TcpStream, router: Router) {
    // Small answers are not held back.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(Patient::new(stream));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HEAD);
    let served = builder.serve_connection(stream, TowerToHyperService::new(router)).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A stream whose writes fail if the other end takes nothing for [`WRITE`] (W3).
struct Patient {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    /// Whether a write is waiting, for which the deadline holds.
    waiting: bool,
}

impl Patient {
    fn new(stream: TcpStream) -> Self {
        Self { stream, deadline: Box::pin(sleep(WRITE)), waiting: false }
    }

    /// Passes on what a write came to, unless it has waited too long.
    fn within<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            self.deadline.as_mut().reset(Instant::now() + WRITE);
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.within(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
