//! One server over HTTP and JSON: what the clients of the beacon API and of a remote signer share.
//!
//! **Contract.** A call ends within the time that its caller gives, reads at most
//! [`MAX_RESPONSE`] bytes, follows no redirect, and returns either a JSON value or an
//! [`HttpError`]. A status other than 2xx is an error that carries the server's own words, so a
//! caller can tell a refusal from a failure.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

/// Bytes of an answer that are read: a list of 100,000 validators has about 40 MB.
pub(crate) const MAX_RESPONSE: u64 = 64 << 20;
/// Bytes of a refusal that are read.
const MAX_REFUSAL: u64 = 1 << 20;
/// Characters of a server's message that are kept.
const MAX_MESSAGE: usize = 200;

/// Why a call gave no value.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The address is not of the form that is served.
    #[error("{url:?} is not an address of the form http://host:port")]
    Url {
        /// What was given.
        url: String,
    },
    /// No connection, no answer in time, or one that is too long.
    #[error("{path}: {error}")]
    Transport {
        /// The path that was called.
        path: String,
        /// What went wrong.
        error: Box<ureq::Error>,
    },
    /// The server refuses.
    #[error("{path}: status {status}: {message}")]
    Status {
        /// The path that was called.
        path: String,
        /// The status.
        status: u16,
        /// The beginning of the server's message.
        message: String,
        /// The elements of a list that it refuses (`failures`), by their index.
        failures: Vec<usize>,
    },
    /// There are too few or too many beacon nodes.
    #[error("{given} beacon nodes are given, where 1 to 16 can be asked")]
    Nodes {
        /// How many were given.
        given: usize,
    },
    /// So many calls to a node are under way that it is not called.
    #[error("{node} does not answer the calls that are under way")]
    Busy {
        /// The node's address.
        node: String,
    },
    /// No node has answered in time.
    #[error("no beacon node has answered in time")]
    NoAnswer,
    /// The answer is not what was asked for.
    #[error("{path}: {problem}")]
    Answer {
        /// The path that was called.
        path: String,
        /// The field, and what is wrong with it.
        problem: String,
    },
}

impl HttpError {
    /// Returns the status, if the server refused with one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns whether what was sent may have arrived: no connection was refused, and no answer
    /// says that it was not taken.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Transport { error, .. } => match &**error {
                ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => false,
                ureq::Error::Io(error) => error.kind() != std::io::ErrorKind::ConnectionRefused,
                _ => true,
            },
            Self::Answer { .. } => true,
            Self::Status { .. }
            | Self::Url { .. }
            | Self::Nodes { .. }
            | Self::Busy { .. }
            | Self::NoAnswer => false,
        }
    }
}

/// What a server answers, in whatever form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Whether the body is SSZ, by what the server says of it.
    pub(crate) is_ssz: bool,
    pub(crate) body: Vec<u8>,
}

/// What a call sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body<'a> {
    Json(&'a str),
    Ssz(&'a [u8]),
}

impl<'a> Body<'a> {
    fn kind(self) -> &'static str {
        match self {
            Self::Json(_) => JSON,
            Self::Ssz(_) => SSZ,
        }
    }

    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Json(text) => text.as_bytes(),
            Self::Ssz(bytes) => bytes,
        }
    }
}

/// A call to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) path: &'a str,
    pub(crate) accept: &'a str,
    /// What is sent, if it is a POST.
    pub(crate) body: Option<Body<'a>>,
    /// Names and values of more headers.
    pub(crate) headers: &'a [(&'a str, &'a str)],
}

/// Answers of a test in the place of a server's.
#[cfg(test)]
pub(crate) type Script =
    std::sync::Arc<dyn Fn(&Call<'_>) -> Result<Response, HttpError> + Send + Sync>;

/// What carries calls.
#[derive(Clone)]
enum Transport {
    Connections(ureq::Agent),
    #[cfg(test)]
    Script(Script),
}

impl Transport {
    fn agent(&self) -> Option<&ureq::Agent> {
        match self {
            Self::Connections(agent) => Some(agent),
            #[cfg(test)]
            Self::Script(_) => None,
        }
    }
}

/// One server. A clone shares its connections.
#[derive(Clone)]
pub(crate) struct HttpClient {
    transport: Transport,
    url: String,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HttpClient").field(&self.url).finish()
    }
}

const JSON: &str = "application/json";
const SSZ: &str = "application/octet-stream";
/// Says that SSZ is read as well as JSON.
const EITHER: &str = "application/json, application/octet-stream;q=0.9";

impl HttpClient {
    /// Returns a client of a server at `http://host:port`, with a path or without. Does not connect
    /// yet.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub(crate) fn new(url: &str) -> Result<Self, HttpError> {
        let base = url.trim_end_matches('/');
        let host = base.strip_prefix("http://").filter(|host| !host.is_empty());
        if host.is_none() || base.contains(['?', '#', '@', ' ']) {
            return Err(HttpError::Url { url: url.to_owned() });
        }
        let config =
            ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build();
        Ok(Self { transport: Transport::Connections(config.into()), url: base.to_owned() })
    }

    /// Returns a client whose answers a test gives.
    #[cfg(test)]
    pub(crate) fn scripted(url: &str, script: Script) -> Self {
        Self { transport: Transport::Script(script), url: url.to_owned() }
    }

    /// Returns the server's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn get(&self, path: &str, timeout: Duration) -> Result<Value, HttpError> {
        let call = Call { path, accept: JSON, body: None, headers: &[] };
        json(path, &self.call(&call, timeout)?.body)
    }

    /// Returns an answer in JSON or in SSZ, whichever the server has.
    pub(crate) fn get_either(&self, path: &str, timeout: Duration) -> Result<Response, HttpError> {
        self.call(&Call { path, accept: EITHER, body: None, headers: &[] }, timeout)
    }

    /// Returns an answer that is a text.
    pub(crate) fn text(&self, path: &str, timeout: Duration) -> Result<String, HttpError> {
        let call = Call { path, accept: "*/*", body: None, headers: &[] };
        String::from_utf8(self.call(&call, timeout)?.body).map_err(|error| answer(path, error))
    }

    /// Sends a JSON text. An answer without a body is `null`.
    pub(crate) fn post(
        &self,
        path: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<Value, HttpError> {
        self.post_with(path, body, &[], timeout)
    }

    /// Sends a JSON text with more headers: their names and values.
    pub(crate) fn post_with(
        &self,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Value, HttpError> {
        let call = Call { path, accept: JSON, body: Some(Body::Json(body)), headers };
        json(path, &self.call(&call, timeout)?.body)
    }

    /// Sends SSZ with more headers: their names and values. What the answer says is dropped.
    pub(crate) fn post_ssz(
        &self,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<(), HttpError> {
        let call = Call { path, accept: JSON, body: Some(Body::Ssz(body)), headers };
        self.call(&call, timeout).map(drop)
    }

    /// Performs a call. A status other than 2xx is an error.
    fn call(&self, call: &Call<'_>, timeout: Duration) -> Result<Response, HttpError> {
        let response = match &self.transport {
            Transport::Connections(agent) => connect(agent, &self.url, call, timeout)?,
            #[cfg(test)]
            Transport::Script(script) => script(call)?,
        };
        match response.status {
            200..300 => Ok(response),
            status => Err(refusal(call.path, status, &response.body)),
        }
    }

    /// Opens a stream of events, which ends after `lifetime` at the latest: reading fails then.
    pub(crate) fn events(
        &self,
        path: &str,
        lifetime: Duration,
    ) -> Result<ureq::BodyReader<'static>, HttpError> {
        let agent = self.transport.agent().ok_or(HttpError::NoAnswer)?;
        let request = agent.get(format!("{}{path}", self.url));
        let request = request.config().timeout_global(Some(lifetime)).build();
        let response = request.header("Accept", "text/event-stream").call();
        let response = response.map_err(|error| transport(path, error))?;
        let status = response.status().as_u16();
        let body = response.into_body();
        if status != 200 {
            let mut body = body;
            let body = body.with_config().limit(MAX_REFUSAL).read_to_vec();
            return Err(refusal(path, status, &body.unwrap_or_default()));
        }
        Ok(body.into_with_config().limit(u64::MAX).reader())
    }
}

/// Performs a call over a connection.
fn connect(
    agent: &ureq::Agent,
    url: &str,
    call: &Call<'_>,
    timeout: Duration,
) -> Result<Response, HttpError> {
    let Call { path, accept, body, headers } = *call;
    let url = format!("{url}{path}");
    let response = match body {
        None => {
            let request = agent.get(url).config().timeout_global(Some(timeout)).build();
            request.header("Accept", accept).call()
        }
        Some(body) => {
            let request = agent.post(url).config().timeout_global(Some(timeout)).build();
            let request = request.header("Accept", accept).content_type(body.kind());
            let with = |request: ureq::RequestBuilder<_>, (name, value): &(&str, &str)| {
                request.header(*name, *value)
            };
            headers.iter().fold(request, with).send(body.bytes())
        }
    };
    let mut response = response.map_err(|error| transport(path, error))?;
    let status = response.status();
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    let is_ssz = kind.is_some_and(|kind| kind.starts_with(SSZ));
    let limit = if status.is_success() { MAX_RESPONSE } else { MAX_REFUSAL };
    let body = response.body_mut().with_config().limit(limit).read_to_vec();
    let body = match body {
        Ok(body) => body,
        // What a server says of its refusal may be cut off: the status is what counts.
        Err(_) if !status.is_success() => Vec::new(),
        Err(error) => return Err(transport(path, error)),
    };
    Ok(Response { status: status.as_u16(), is_ssz, body })
}

fn transport(path: &str, error: ureq::Error) -> HttpError {
    HttpError::Transport { path: path.to_owned(), error: Box::new(error) }
}

/// Returns an error about an answer.
pub(crate) fn answer(path: &str, problem: impl ToString) -> HttpError {
    HttpError::Answer { path: path.to_owned(), problem: problem.to_string() }
}

/// Reads a JSON text; an empty one is `null`.
pub(crate) fn json(path: &str, body: &[u8]) -> Result<Value, HttpError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| answer(path, error))
}

/// Reads what a server says of its refusal: `{code, message}`, with the `failures` of a list or
/// without.
fn refusal(path: &str, status: u16, body: &[u8]) -> HttpError {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = value["message"].as_str().unwrap_or_default();
    let message = message.chars().take(MAX_MESSAGE).collect();
    let failures = value["failures"].as_array().map_or(&[][..], Vec::as_slice);
    let index = |failure: &Value| match &failure["index"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|number| usize::try_from(number).ok()),
    };
    let failures = failures.iter().filter_map(index).collect();
    HttpError::Status { path: path.to_owned(), status, message, failures }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;
    use crate::test_server::{self, Seen};

    /// Serves a reply for each request, with its status and body. Returns the address.
    pub(crate) fn serve(
        replies: Vec<(u16, String)>,
    ) -> (String, JoinHandle<Vec<(String, String)>>) {
        let reply = |reply| move |_: &Seen| Some(reply);
        let (url, server) = test_server::serve(replies.into_iter().map(reply).collect());
        let seen = |seen: Seen| (seen.path, seen.body);
        let requests = move || server.join().expect("the server").into_iter().map(seen).collect();
        (url, std::thread::spawn(requests))
    }

    #[test]
    fn a_refusal_carries_the_servers_words_and_the_places_in_the_list() {
        // Indices as numbers and in quotes; a message that is too long; a body that is no JSON.
        let failures = r#"{"code":400,"message":"some","failures":[{"index":2},{"index":"5"},{}]}"#;
        let long = format!("{{\"message\":\"{}\"}}", "x".repeat(300));
        let replies = vec![(400, failures.to_owned()), (500, long), (302, "<html>".to_owned())];
        let (url, server) = serve(replies);
        let client = HttpClient::new(&format!("{url}/")).unwrap();
        let call = || client.get("/path", Duration::from_secs(60)).unwrap_err();
        match call() {
            HttpError::Status { status, message, failures, .. } => {
                assert_eq!((status, message.as_str(), failures), (400, "some", vec![2, 5]));
            }
            other => panic!("{other}"),
        }
        match call() {
            HttpError::Status { message, .. } => assert_eq!(message.len(), MAX_MESSAGE),
            other => panic!("{other}"),
        }
        assert_eq!(call().status(), Some(302), "redirects are not followed");
        assert_eq!(server.join().unwrap()[0].0, "GET /path");
    }

    #[test]
    fn a_server_that_hangs_costs_the_time_that_the_caller_gave() {
        // The server accepts and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client =
            HttpClient::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let error = client.get("/", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, HttpError::Transport { .. }), "{error}");
    }

    #[test]
    fn a_stream_that_falls_silent_ends_with_its_lifetime() {
        // The server sends a head and one comment, and then nothing, without closing.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client =
            HttpClient::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n: here\n").expect("the client reads");
            // Until the client has closed its end.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let mut stream = client.events("/", Duration::from_millis(200)).unwrap();
        let mut text = Vec::new();
        assert!(stream.read_to_end(&mut text).is_err());
        assert_eq!(text, b": here\n");
        drop(stream);
        server.join().unwrap();
    }

    #[test]
    fn addresses_that_cannot_be_asked_are_refused() {
        // Another scheme, no host, a user, a query.
        for url in ["https://a", "a:1", "http://", "http://u@a", "http://a?b", "http://a b", ""] {
            assert!(matches!(HttpClient::new(url), Err(HttpError::Url { .. })), "{url}");
        }
    }
}
