//! A client for tests: one request, one connection, on std's sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A test that waits longer has failed.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Returns the body's JSON.
    pub(super) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }

    /// Returns `data` of the body, of an answer that is no error.
    pub(super) fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()["data"].clone()
    }

    /// Returns the message of an error, whose code is its status.
    pub(super) fn error(&self) -> String {
        let json = self.json();
        assert_eq!(json["code"], self.status, "{json}");
        json["message"].as_str().expect("a message").to_owned()
    }
}

/// Connects.
pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.set_write_timeout(Some(LIMIT)).expect("a limit");
    stream
}

/// Sends a request and returns its answer.
pub(super) fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = connect(address);
    let mut head = format!(
        "{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    // The server may answer, and close, before it has read all.
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(body);
    answer(stream)
}

/// Reads an answer to its end.
pub(super) fn answer(stream: TcpStream) -> Answer {
    let mut reader = BufReader::new(stream);
    let head = head(&mut reader);
    let mut body = Vec::new();
    // What was sent before a reset is the answer.
    let _ = reader.read_to_end(&mut body);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap_or_else(|| panic!("no status in {head:?}")), head, body }
}

/// Reads the head of an answer.
pub(super) fn head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|bytes| bytes > 2) {}
    head
}

pub(super) fn get(address: SocketAddr, target: &str) -> Answer {
    ask(address, "GET", target, &[("Accept", "*/*")], b"")
}

pub(super) fn get_ssz(address: SocketAddr, target: &str) -> Answer {
    ask(address, "GET", target, &[("Accept", "application/octet-stream")], b"")
}

pub(super) fn post(address: SocketAddr, target: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "application/json"), ("Accept", "*/*")];
    ask(address, "POST", target, &headers, body.as_bytes())
}
