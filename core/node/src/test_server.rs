//! A server for tests of clients: one connection and one request for each reply.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// A request as the server saw it.
pub(crate) struct Seen {
    /// The method and the path, with a space between them.
    pub(crate) path: String,
    /// What is no text in it is replaced.
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
    /// The lines of the head after the first, in lower case.
    pub(crate) head: String,
}

/// What the server does with a request: a status and a body, or nothing until the client gives up.
pub(crate) type Reply = Option<(u16, String)>;

/// Serves one request after the other, each with a reply that is made of it. Returns the address,
/// and the requests once all were answered.
pub(crate) fn serve<R>(replies: Vec<R>) -> (String, JoinHandle<Vec<Seen>>)
where
    R: FnOnce(&Seen) -> Reply + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let answer = move |reply| answer(&listener, reply);
    (url, std::thread::spawn(move || replies.into_iter().map(answer).collect()))
}

fn answer(listener: &TcpListener, reply: impl FnOnce(&Seen) -> Reply) -> Seen {
    let (mut stream, _) = listener.accept().expect("a client");
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    let (mut first, mut length, mut head) = (String::new(), 0, String::new());
    reader.read_line(&mut first).expect("a request line");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a head");
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).expect("a body");
    let path = first.rsplit_once(' ').expect("three words").0.to_owned();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    let seen = Seen { path, body, bytes, head };
    match reply(&seen) {
        Some((status, body)) => {
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}", body.len());
            // A client that was told too much may be gone.
            let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}");
        }
        // Until the client has closed its end.
        None => {
            let _ = reader.read(&mut [0]);
        }
    }
    seen
}
