//! A client of the remote-signing API that keeps its connection, and asks for anything.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::judge::Message;

/// Knuth's generator; the high bits are the random ones.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Returns a number below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// A connection to a signer.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to `host:port`.
    pub(crate) fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Returns the signer's keys.
    pub(crate) fn keys(&mut self) -> Result<Vec<String>> {
        let (_, body) = self.exchange("GET /api/v1/eth2/publicKeys", "")?;
        let keys = body.as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(keys.map(str::to_owned).collect())
    }

    /// Asks for a signature; `variant` tells messages of the same numbers apart. Returns the status
    /// and, with 200, the signature.
    pub(crate) fn sign(
        &mut self,
        key: &str,
        message: Message,
        variant: u8,
    ) -> Result<(u16, String)> {
        let (status, body) =
            self.exchange(&format!("POST /api/v1/eth2/sign/{key}"), &body(message, variant))?;
        Ok((status, body["signature"].as_str().unwrap_or_default().to_owned()))
    }

    fn exchange(&mut self, line: &str, body: &str) -> Result<(u16, Value)> {
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: s\r\nContent-Length: {length}\r\n\r\n");
        self.stream.get_mut().write_all((head + body).as_bytes())?;
        let wrong = || Error::from(ErrorKind::InvalidData);
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|status| status.parse().ok());
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().map_err(|_| wrong())?;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status.ok_or_else(wrong)?, serde_json::from_slice(&body)?))
    }
}

/// The body of a request, on a chain whose genesis validators root is zero.
fn body(message: Message, variant: u8) -> String {
    let root = |number: u8| format!("0x{}", format!("{number:02x}").repeat(32));
    let (zero, other) = (root(0), root(variant));
    let object = match message {
        Message::Block(slot) => format!(
            r#""type":"BLOCK_V2","beacon_block":{{"version":"DENEB","block_header":{{
            "slot":"{slot}","proposer_index":"1","parent_root":"{zero}","state_root":"{zero}",
            "body_root":"{other}"}}}}"#
        ),
        Message::Vote(source, target) => format!(
            r#""type":"ATTESTATION","attestation":{{"slot":"{slot}","index":"0",
            "beacon_block_root":"{other}","source":{{"epoch":"{source}","root":"{zero}"}},
            "target":{{"epoch":"{target}","root":"{zero}"}}}}"#,
            slot = target.saturating_mul(8)
        ),
    };
    format!(
        r#"{{{object},"fork_info":{{"fork":{{"previous_version":"0x00000001",
        "current_version":"0x00000001","epoch":"0"}},"genesis_validators_root":"{zero}"}}}}"#
    )
}
