//! Requests and answers: parameters, bodies in JSON or SSZ, envelopes.
//!
//! **Invariants.**
//! - Q1 Whatever a request holds, the answer is a value or an [`ApiError`].
//! - Q2 A body is read up to a limit, and an answer's SSZ is given only to who asks for it.

use std::str::FromStr;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use blocksmith_consensus::{FromJson, Wire, decode_exact};

use tokio::sync::OwnedSemaphorePermit;

use super::error::ApiError;

/// What a handler returns.
pub(super) type Answer = Result<Response, ApiError>;

/// The header that names the fork of what is sent.
pub(super) const VERSION: HeaderName = HeaderName::from_static("eth-consensus-version");
/// The only fork.
pub(super) const PHASE0: &str = "phase0";
const SSZ: &str = "application/octet-stream";
const JSON: &str = "application/json";

/// A request, taken apart.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The parameters of the path, in their order.
    pub(super) path: Vec<String>,
    /// The parameters of the query, in their order.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The room that a large body takes.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

/// Returns the parameters of a query.
pub(super) fn query_of(text: &str) -> Result<Vec<(String, String)>, ApiError> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(name)?, decoded(value)?))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// Undoes the percent encoding.
fn decoded(text: &str) -> Result<String, ApiError> {
    let wrong = || ApiError::bad_request("the query is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || (rest.next()? as char).to_digit(16);
                let (high, low) = digit().zip(digit()).ok_or_else(wrong)?;
                u8::try_from(high * 16 + low).map_err(|_| wrong())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

impl Asked {
    /// Returns a parameter of the path.
    pub(super) fn part(&self, at: usize) -> &str {
        self.path.get(at).map_or("", String::as_str)
    }

    /// Returns a number in the path.
    pub(super) fn number(&self, at: usize, name: &str) -> Result<u64, ApiError> {
        parse(self.part(at), name)
    }

    /// Returns a parameter of the query, if it is there.
    pub(super) fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let value = self.query.iter().find(|(key, _)| key == name);
        value.map(|(_, value)| parse(value, name)).transpose()
    }

    /// Returns a parameter of the query.
    pub(super) fn required<T: FromStr>(&self, name: &str) -> Result<T, ApiError> {
        let value = self.optional(name)?;
        value.ok_or_else(|| ApiError::bad_request(format!("{name} is missing")))
    }

    /// Returns all values of a parameter that may be repeated, or be a list with commas.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.query.iter().filter(|(key, _)| key == name);
        values.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect()
    }

    /// Returns the body's value, which is JSON.
    pub(super) fn json<T: FromJson>(&self) -> Result<T, ApiError> {
        T::from_json_text(&self.body).map_err(|error| ApiError::bad_request(error.to_string()))
    }

    /// Returns the body's value, which is JSON or SSZ by its content type.
    pub(super) fn value<T: FromJson + Wire>(&self) -> Result<T, ApiError> {
        if !self.is_ssz()? {
            return self.json();
        }
        decode_exact(&self.body)
            .map_err(|error| ApiError::bad_request(format!("malformed SSZ: {error}")))
    }

    /// Returns whether the body is SSZ; a type that is neither that nor JSON is refused.
    pub(super) fn is_ssz(&self) -> Result<bool, ApiError> {
        match self.content_type() {
            SSZ => Ok(true),
            JSON => Ok(false),
            kind => {
                let message = format!("{kind} is neither {JSON} nor {SSZ}");
                Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
            }
        }
    }

    /// Refuses a body of SSZ where JSON alone is read. Clients ask again in JSON then.
    pub(super) fn not_ssz(&self) -> Result<(), ApiError> {
        if self.content_type() == SSZ {
            let message = format!("only {JSON} is read here");
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        Ok(())
    }

    /// Returns the body's type without its parameters; JSON if the client does not say.
    fn content_type(&self) -> &str {
        let kind = self.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or(JSON);
        kind.split(';').next().unwrap_or_default().trim()
    }

    /// Returns whether the client likes SSZ better than JSON.
    pub(super) fn wants_ssz(&self) -> Result<bool, ApiError> {
        let accepts = self.headers.get_all(header::ACCEPT).iter();
        let text: Vec<_> = accepts.filter_map(|accept| accept.to_str().ok()).collect();
        if text.is_empty() {
            return Ok(false);
        }
        let (mut json, mut ssz) = (0.0, 0.0);
        for range in text.join(",").split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality: f32 = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
            match kind {
                SSZ => ssz = quality,
                JSON | "*/*" | "application/*" if quality > json => json = quality,
                _ => {}
            }
        }
        if json <= 0.0 && ssz <= 0.0 {
            let message = format!("only {JSON} and {SSZ} can be had");
            return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, message));
        }
        Ok(ssz > json)
    }
}

/// Parses a parameter.
pub(super) fn parse<T: FromStr>(text: &str, name: &str) -> Result<T, ApiError> {
    // Rust's parser would take a sign.
    let parsed =
        Some(text).filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| ApiError::bad_request(format!("{name} cannot be {text:?}")))
}

/// Answers with a JSON text.
pub(super) fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, JSON)], text).into_response()
}

/// Answers `{"data": ..}`.
pub(super) fn data(text: &str) -> Response {
    json(format!("{{\"data\":{text}}}"))
}

/// Answers with SSZ of the only fork.
pub(super) fn ssz(bytes: Vec<u8>) -> Response {
    ssz_of(PHASE0, bytes)
}

/// Answers with SSZ whose containers are those of a fork.
pub(super) fn ssz_of(version: &'static str, bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, SSZ)], [(VERSION, version)], bytes).into_response()
}

/// Answers that all went well, without more.
pub(super) fn done() -> Response {
    StatusCode::OK.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &str) -> Result<bool, StatusCode> {
        let mut asked = Asked::default();
        asked.headers.insert(header::ACCEPT, accept.parse().expect("a header"));
        asked.wants_ssz().map_err(|error| error.status())
    }

    #[test]
    fn ssz_is_for_who_likes_it_better() {
        // What clients send, with and without qualities.
        assert_eq!(Asked::default().wants_ssz(), Ok(false));
        assert_eq!(accepting("*/*"), Ok(false));
        assert_eq!(accepting("application/octet-stream"), Ok(true));
        assert_eq!(accepting("application/octet-stream;q=1,application/json;q=0.9"), Ok(true));
        assert_eq!(accepting("application/octet-stream;q=0.5,application/json"), Ok(false));
        assert_eq!(accepting("text/html"), Err(StatusCode::NOT_ACCEPTABLE));
    }

    #[test]
    fn a_query_is_decoded_or_refused() {
        // Escapes, pluses, repeated names, and broken escapes.
        let query = query_of("id=1&id=0xab&graffiti=a%2Fb+c&flag").unwrap();
        let asked = Asked { query, ..Asked::default() };
        assert_eq!(asked.all("id"), ["1", "0xab"]);
        assert_eq!(asked.optional("graffiti"), Ok(Some("a/b c".to_owned())));
        assert!(asked.required::<u64>("slot").is_err());
        for broken in ["a=%", "a=%2", "a=%zz", "a=%ff"] {
            assert!(query_of(broken).is_err(), "{broken}");
        }
        assert!(parse::<u64>("+1", "slot").is_err());
    }
}
