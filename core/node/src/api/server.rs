//! The server: connections, and what a client may take of them.
//!
//! **Invariants.**
//! - W1 There are at most [`Limits::connections`] connections, and at most [`Limits::per_address`]
//!   of one address. A further one is answered 503 and closed. A connection has one request at a
//!   time.
//! - W2 A request's head comes within [`Limits::head`] and fits into [`MAX_HEAD`] bytes. A head
//!   that is not complete by then is answered 408; a connection without a request is closed. The
//!   body and the answer have limits of their own (`routes`).
//! - W3 A client that takes nothing of its answer for [`Limits::write`] loses its connection, be it
//!   a whole state or a stream of events.
//! - W4 [`Server::stop`] returns within about [`STOP`], whatever clients do.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::ACCEPT_PAUSE;
use crate::patient::Patient;

/// Bytes of a request's head, at most.
pub const MAX_HEAD: usize = 64 << 10;
/// Time in which what is being computed for clients may end.
pub const STOP: Duration = Duration::from_secs(2);
/// Threads of the runtime: handlers only pass things on.
const THREADS: usize = 2;

/// What clients may take of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, at most.
    pub connections: usize,
    /// Connections of one address, at most.
    pub per_address: usize,
    /// Time for a request's head; a connection without a request is closed after it, too.
    pub head: Duration,
    /// Time for a request's body, from the end of its head.
    pub body: Duration,
    /// Time for a request, from the end of its head to the beginning of its answer.
    pub request: Duration,
    /// Time in which a client takes something of its answer.
    pub write: Duration,
}

impl Default for Limits {
    /// 512 connections, half of them for one address; 30 s for a head, 10 s for a body, 15 s for a
    /// request, 10 s for a write.
    fn default() -> Self {
        Self {
            connections: 512,
            per_address: 256,
            head: Duration::from_secs(30),
            body: Duration::from_secs(10),
            request: Duration::from_secs(15),
            write: Duration::from_secs(10),
        }
    }
}

/// A server; it serves until it is stopped or dropped.
pub(super) struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
    doors: Doors,
}

impl Server {
    /// Binds an address and serves. With port 0 the operating system chooses one.
    pub(super) fn serve(address: SocketAddr, router: Router, limits: Limits) -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(THREADS).thread_name("api").enable_all();
        let runtime = builder.build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let doors = Doors::new(limits);
        runtime.spawn(accept(listener, router, doors.clone()));
        Ok(Self { address, runtime: Some(runtime), doors })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many connections there are.
    pub(super) fn connections(&self) -> usize {
        self.doors.open().values().sum()
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
#[derive(Clone)]
struct Doors {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    limits: Limits,
}

/// A connection's place.
struct Place {
    doors: Doors,
    address: IpAddr,
}

impl Doors {
    fn new(limits: Limits) -> Self {
        Self { open: Arc::default(), limits }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.open();
        let of_address = open.get(&address).copied().unwrap_or_default();
        if open.values().sum::<usize>() >= self.limits.connections
            || of_address >= self.limits.per_address
        {
            return None;
        }
        open.insert(address, of_address + 1);
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

async fn accept(listener: TcpListener, router: Router, doors: Doors) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = doors.admit(address.ip()) else {
            tokio::spawn(refuse(stream));
            continue;
        };
        let (router, limits) = (router.clone(), doors.limits);
        tokio::spawn(async move {
            serve(stream, router, limits).await;
            drop(place);
        });
    }
}

/// Tells a client that there are too many connections.
async fn refuse(mut stream: TcpStream) {
    tell(&mut stream, "503 Service Unavailable", "there are too many connections").await;
}

/// Answers a client of which there is no request, and whose connection is closed then.
async fn tell(stream: &mut TcpStream, status: &str, message: &str) {
    const PATIENCE: Duration = Duration::from_millis(200);
    let code = status.split(' ').next().unwrap_or_default();
    let body = format!(r#"{{"code":{code},"message":"{message}"}}"#);
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // Whether the client hears of it is its own affair.
    let _ = timeout(PATIENCE, stream.write_all(text.as_bytes())).await;
}

async fn serve(stream: TcpStream, router: Router, limits: Limits) {
    // Small answers are not held back.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(Patient::new(stream, limits.write));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(MAX_HEAD);
    let mut connection = builder.serve_connection(stream, TowerToHyperService::new(router));
    let Err(error) = (&mut connection).await else { return };
    tracing::debug!(%error, "a connection ended early");
    let parts = connection.into_parts();
    let Patient { mut stream, gave_up, .. } = parts.io.into_inner();
    // What is left in the buffer is the beginning of a head, unless an answer was cut off.
    if error.is_timeout() && !gave_up && !parts.read_buf.is_empty() {
        tell(&mut stream, "408 Request Timeout", "the head took too long").await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_all_addresses_together_have_so_many_places() {
        // Two for one address, three in all; a place that is given back is free.
        let limits = Limits { connections: 3, per_address: 2, ..Limits::default() };
        let doors = Doors::new(limits);
        let [a, b, c] = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        let first = doors.admit(a).expect("there is room");
        let second = doors.admit(a).expect("there is room");
        assert!(doors.admit(a).is_none(), "a third one of an address");
        let third = doors.admit(b).expect("there is room");
        assert!(doors.admit(c).is_none(), "a fourth one");
        assert!(!doors.open().contains_key(&c), "who was refused takes no memory");
        drop(first);
        let fourth = doors.admit(c).expect("there is room again");
        drop((second, third, fourth));
        assert!(doors.open().is_empty());
    }
}
