//! Beacon nodes that misbehave, which stand before the node in the validator's order.
//!
//! | stand-in | what it does |
//! |---|---|
//! | hangs | accepts connections and is silent |
//! | lags | says of votes on payloads that it has seen no block of the slot, and refuses such votes; its head is one behind, and it tells of none; all else it has from the node |
//!
//! **Bounds.** A stand-in has [`CONNECTIONS`] connections at once, each with a thread, and closes
//! those beyond. It reads at most [`MAX_HEAD`] and [`MAX_BODY`] bytes of a request. It ends with
//! this process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use blocksmith_consensus::decode_list;
use blocksmith_consensus::gloas::PayloadAttestationMessage;
use blocksmith_node::beacon_client::{BeaconClient, Syncing};
use serde_json::Value;

use super::StandIn;

/// Connections at once, at most.
const CONNECTIONS: usize = 64;
/// Bytes of a request's head that are read.
const MAX_HEAD: u64 = 16 << 10;
/// Bytes of a request's body that are read.
const MAX_BODY: u64 = 4 << 20;
/// How long the node may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Starts a stand-in for the node at this address. Returns where it listens.
///
/// # Errors
/// If there is no free port.
pub(super) fn start(stand_in: StandIn, node: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let open = Arc::new(());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let place = open.clone();
            if Arc::strong_count(&open) > CONNECTIONS + 1 {
                continue;
            }
            std::thread::spawn(move || {
                // A client that goes away ends its connection, and nothing else.
                let _ = match stand_in {
                    StandIn::Hangs => wait(stream),
                    StandIn::Lags => lag(stream, node),
                };
                drop(place);
            });
        }
    });
    Ok(address)
}

/// Reads until the client closes the connection.
fn wait(mut stream: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

/// A request as it came.
struct Request {
    /// The method and the path, with a space between them.
    line: String,
    /// The headers that are handed on.
    headers: String,
    body: Vec<u8>,
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = (&mut reader).take(MAX_HEAD);
    let mut first = String::new();
    head.read_line(&mut first)?;
    let line = first.rsplit_once(' ').map_or("", |(line, _)| line).to_owned();
    let (mut headers, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        head.read_line(&mut header)?;
        let name = header.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "content-length" => {
                let value = header.split(':').nth(1).and_then(|value| value.trim().parse().ok());
                length = value.unwrap_or(0);
                headers.push_str(&header);
            }
            "connection" | "host" => {}
            _ if header.trim().is_empty() => break,
            _ => headers.push_str(&header),
        }
    }
    let mut body = Vec::new();
    reader.take(length.min(MAX_BODY)).read_to_end(&mut body)?;
    Ok(Request { line, headers, body })
}

fn lag(mut stream: TcpStream, node: SocketAddr) -> std::io::Result<()> {
    let request = read(&stream)?;
    let path = request.line.split(' ').nth(1).unwrap_or_default();
    let is = |route: &str| path.starts_with(route);
    if is("/eth/v1/validator/payload_attestation_data") {
        return answer(&mut stream, "204 No Content", "");
    }
    if is("/eth/v1/events") {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: behind\n\n";
        stream.write_all(head.as_bytes())?;
        return wait(stream);
    }
    if request.line == "POST /eth/v1/beacon/pool/payload_attestations" {
        return answer(&mut stream, "400 Bad Request", &refusal(&request));
    }
    if is("/eth/v1/node/syncing") {
        let said = BeaconClient::new(&format!("http://{node}"));
        return match said.and_then(|node| node.syncing(PATIENCE)) {
            Ok(said) => answer(&mut stream, "200 OK", &behind(&said)),
            Err(_) => answer(&mut stream, "503 Service Unavailable", ""),
        };
    }
    hand_on(stream, node, &request)
}

/// Votes of a list in SSZ that are counted.
const MAX_VOTES: usize = 1 << 14;

/// Returns the refusal of all votes of a list, which is in SSZ or JSON.
fn refusal(request: &Request) -> String {
    let Request { headers, body, .. } = request;
    let votes = match headers.to_ascii_lowercase().contains("application/octet-stream") {
        true => decode_list::<PayloadAttestationMessage, MAX_VOTES>(body).map_or(0, |it| it.len()),
        false => serde_json::from_slice::<Vec<Value>>(body).map_or(0, |votes| votes.len()),
    };
    let failure = |at| format!(r#"{{"index":{at},"message":"the block is not known"}}"#);
    let failures: Vec<String> = (0..votes).map(failure).collect();
    format!(r#"{{"code":400,"message":"","failures":[{}]}}"#, failures.join(","))
}

/// Returns what a node says of itself whose head is one slot behind.
fn behind(said: &Syncing) -> String {
    let (head, distance) = (said.head_slot.saturating_sub(1), said.sync_distance + 1);
    format!(
        r#"{{"data":{{"head_slot":"{head}","sync_distance":"{distance}","is_syncing":{},"is_optimistic":{},"el_offline":false}}}}"#,
        said.is_syncing, said.is_optimistic
    )
}

fn answer(stream: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    stream.write_all(format!("{head}\r\n{body}").as_bytes())
}

/// Hands a request to the node, and its answer back.
fn hand_on(mut stream: TcpStream, node: SocketAddr, request: &Request) -> std::io::Result<()> {
    let mut connection = TcpStream::connect_timeout(&node, PATIENCE)?;
    let Request { line, headers, body } = request;
    let head = format!("{line} HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n{headers}\r\n");
    connection.write_all(head.as_bytes())?;
    connection.write_all(body)?;
    std::io::copy(&mut connection, &mut stream).map(drop)
}

#[cfg(test)]
mod tests {
    use blocksmith_consensus::Wire;

    use super::*;

    /// Sends a request without a connection of its own; returns all that comes back.
    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_node_that_lags_has_no_data_refuses_votes_and_hands_all_else_on() {
        // The node behind it says what it was asked.
        let node = TcpListener::bind("127.0.0.1:0").unwrap();
        let behind = node.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = node.accept().unwrap();
            let request = read(&stream).unwrap();
            answer(&mut stream, "200 OK", "from the node").unwrap();
            (request.line, String::from_utf8(request.body).unwrap())
        });
        let lags = start(StandIn::Lags, behind).unwrap();
        let data = "GET /eth/v1/validator/payload_attestation_data?slot=5 HTTP/1.1\r\n\r\n";
        assert!(ask(lags, data).starts_with("HTTP/1.1 204 "));
        let votes = "POST /eth/v1/beacon/pool/payload_attestations HTTP/1.1\r\n\
                     Content-Length: 7\r\n\r\n[{},{}]";
        let refused = ask(lags, votes);
        assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
        assert!(refused.contains(r#""index":1"#) && !refused.contains(r#""index":2"#));
        let vote = PayloadAttestationMessage::default().encode();
        let in_ssz = String::from_utf8([&vote[..], &vote].concat()).unwrap();
        let votes = format!(
            "POST /eth/v1/beacon/pool/payload_attestations HTTP/1.1\r\nContent-Type: \
             application/octet-stream\r\nContent-Length: {}\r\n\r\n{in_ssz}",
            in_ssz.len()
        );
        let refused = ask(lags, &votes);
        assert!(refused.contains(r#""index":1"#) && !refused.contains(r#""index":2"#));
        let other = "POST /eth/v1/validator/duties/ptc/0 HTTP/1.1\r\nHost: a\r\n\
                     Content-Length: 5\r\n\r\n[\"1\"]";
        assert!(ask(lags, other).ends_with("from the node"));
        let seen = server.join().unwrap();
        assert_eq!(seen, ("POST /eth/v1/validator/duties/ptc/0".into(), "[\"1\"]".into()));
    }

    #[test]
    fn a_node_that_hangs_keeps_the_connection_and_says_nothing() {
        // The client closes its half: only then it ends, without an answer.
        let hangs = start(StandIn::Hangs, SocketAddr::from(([127, 0, 0, 1], 1))).unwrap();
        let mut stream = TcpStream::connect(hangs).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let kind = stream.read(&mut [0]).unwrap_err().kind();
        assert!(matches!(kind, std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.set_read_timeout(None).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}
