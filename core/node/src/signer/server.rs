//! The remote-signing API over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/v1/eth2/sign/{0x key}` | 200 `{"signature"}`; 400 a malformed request, or another signing root; 403 a page of a browser; 404 an unknown key; 408 a body that does not come; 412 refused by slashing protection, for another chain than the records, or too far ahead of the clock; 413 a body beyond [`MAX_BODY`]; 500 slashing protection has failed; 503 too many requests at once |
//! | `GET /api/v1/eth2/publicKeys` | 200 and a list of keys |
//! | `GET /upcheck` | 200 `OK` |
//! | `GET /healthcheck` | 200 `{"status":"UP"}`; 503 once slashing protection has failed |
//! | `GET /metrics` | 200 and the figures of [`Figures`] |
//!
//! Errors are `{"code", "message"}`.
//!
//! **Bounds.** They are those of `Bounds`. There are at most [`MAX_CONNECTIONS`] connections;
//! others wait in the listener's queue. They wait there as well while the system has no handle for
//! them: the server pauses and tries again, however often. A head has to come within
//! [`HEAD_PATIENCE`], and a body within [`BODY_PATIENCE`]. A client that takes nothing of its
//! answers for [`WRITE_PATIENCE`] loses its connection. A request takes one of [`MAX_REQUESTS`]
//! permits when its body is complete, so slow bodies keep nobody else from signing. Bodies beyond
//! [`SHORT_BODY`] share [`MAX_LONG_BODIES`] places, so bodies take at most 48 MiB of memory
//! together. Computing roots and signing happens on as many threads as the machine has processors,
//! and never on those that serve connections.
//!
//! A request whose body is complete is finished, also if its client has gone: so a client that
//! connects and leaves cannot have more work queued than its share of [`MAX_REQUESTS`].
//!
//! **Pages of browsers.** A page of any site may have its reader's browser send requests to
//! loopback. It cannot read the answer, but a single vote of a far epoch would keep a key from
//! voting for good. Browsers say where such a request comes from (`Origin`, `Sec-Fetch-Site`); a
//! request that says so is refused, since no validator client does. A process on the same machine
//! says what it likes; against that, there is the clock ([`Horizon`]).
//!
//! Reference: remote-signing-api.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use blocksmith::slashing_protection::{Outcome, Refusal, Request};
use blocksmith_consensus::bls::SecretKey;
use blocksmith_consensus::{PublicKeyBytes, Root};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::batch::{Failed, Protector};
use super::figures::{Answered, Figures};
use super::horizon::{Horizon, TooFarAhead};
use super::signing::{self, Signable};
use crate::ACCEPT_PAUSE;
use crate::patient::Patient;

/// Bytes of a body, at most. A full block of phase0 takes about a quarter of a MiB in JSON.
pub const MAX_BODY: usize = 2 << 20;
/// Bytes of a body that needs no place among the long ones: more than any object but a block and
/// an aggregate of many validators takes.
pub const SHORT_BODY: usize = 16 << 10;
/// Bodies beyond [`SHORT_BODY`] that are read or parsed at once, at most.
pub const MAX_LONG_BODIES: usize = 16;
/// Connections at once, at most.
pub const MAX_CONNECTIONS: usize = 1024;
/// Requests that are signed at once, at most.
pub const MAX_REQUESTS: usize = 1024;
/// Time for a head, and the longest that a connection is idle: more than two slots of mainnet, so
/// that a client may keep its connection.
pub const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Time for a body.
pub const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// Time in which a client takes something of its answers.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(10);

const SIGN: &str = "/api/v1/eth2/sign/";

/// The times and numbers that bound what clients can do. Tests make them smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) head: Duration,
    pub(super) body: Duration,
    pub(super) write: Duration,
    pub(super) connections: usize,
    pub(super) requests: usize,
    pub(super) long_bodies: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: HEAD_PATIENCE,
            body: BODY_PATIENCE,
            write: WRITE_PATIENCE,
            connections: MAX_CONNECTIONS,
            requests: MAX_REQUESTS,
            long_bodies: MAX_LONG_BODIES,
        }
    }
}

/// What all requests share.
pub(super) struct Shared {
    keys: BTreeMap<PublicKeyBytes, SecretKey>,
    protector: Protector,
    horizon: Option<Horizon>,
    figures: Arc<Figures>,
    slots_per_epoch: u64,
    bounds: Bounds,
    requests: Arc<Semaphore>,
    long_bodies: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(
        keys: BTreeMap<PublicKeyBytes, SecretKey>,
        protector: Protector,
        horizon: Option<Horizon>,
        figures: Arc<Figures>,
        slots_per_epoch: u64,
        bounds: Bounds,
    ) -> Self {
        let requests = Arc::new(Semaphore::new(bounds.requests));
        let long_bodies = Arc::new(Semaphore::new(bounds.long_bodies));
        Self { keys, protector, horizon, figures, slots_per_epoch, bounds, requests, long_bodies }
    }
}

/// An answer that is no signature.
struct Refused {
    status: StatusCode,
    answered: Answered,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, answered: Answered, message: impl ToString) -> Self {
        Self { status, answered, message: message.to_string() }
    }

    fn malformed(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Answered::Malformed, message)
    }

    fn failed(message: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Answered::Failed, message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        problem(self.status, &self.message)
    }
}

fn problem(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({ "code": status.as_u16(), "message": message });
    json(status, body.to_string())
}

fn json(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/upcheck", get(async || "OK"))
        .route("/healthcheck", get(health))
        .route("/metrics", get(metrics))
        .route("/api/v1/eth2/publicKeys", get(public_keys))
        .route(&format!("{SIGN}{{key}}"), post(sign))
        .fallback(async || problem(StatusCode::NOT_FOUND, "no such path"))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "no such method here")
        })
        .with_state(shared)
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    if shared.protector.has_failed() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, &Failed.to_string());
    }
    json(StatusCode::OK, r#"{"status":"UP"}"#.to_owned())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = shared.figures.exposition(shared.keys.len(), shared.protector.counters());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, kind)], text).into_response()
}

async fn public_keys(State(shared): State<Arc<Shared>>) -> Response {
    let keys: Vec<String> = shared.keys.keys().map(ToString::to_string).collect();
    json(StatusCode::OK, serde_json::json!(keys).to_string())
}

async fn sign(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = match ask(&shared, &uri, &headers, body).await {
        Ok(asked) => asked,
        Err(refused) => {
            shared.figures.answered(None, refused.answered);
            let (why, message) = (refused.answered.word(), &refused.message);
            tracing::debug!(why, message, "a request to sign was refused");
            return refused.into_response();
        }
    };
    // A task of its own is finished also if the connection ends, and holds the permits until then.
    let task = tokio::spawn(async move {
        let mut kind = None;
        let signed = signature(&shared, asked, &mut kind).await;
        let answered = signed.as_ref().map_or_else(|refused| refused.answered, |it| it.0);
        shared.figures.answered(kind, answered);
        signed
    });
    match task.await {
        Ok(Ok((_, body))) => json(StatusCode::OK, body),
        Ok(Err(refused)) => refused.into_response(),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "a fault"),
    }
}

/// A complete request of somebody who may ask, for a key that the signer has.
struct Asked {
    key: PublicKeyBytes,
    secret: SecretKey,
    body: LongBody,
    /// Given back when the request was answered.
    _permit: OwnedSemaphorePermit,
}

/// A body, and its place among the long ones if it is one.
struct LongBody {
    bytes: Vec<u8>,
    place: Option<OwnedSemaphorePermit>,
}

async fn ask(
    shared: &Shared,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Asked, Refused> {
    if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
        let message = "a page of a browser cannot have anything signed";
        return Err(Refused::new(StatusCode::FORBIDDEN, Answered::Page, message));
    }
    let text = uri.path().strip_prefix(SIGN).unwrap_or_default();
    let text = if text.starts_with("0x") { text.to_owned() } else { format!("0x{text}") };
    let key: PublicKeyBytes =
        text.parse().map_err(|error| Refused::malformed(format!("public key: {error}")))?;
    let unknown =
        || Refused::new(StatusCode::NOT_FOUND, Answered::UnknownKey, format!("{key}: no such key"));
    let secret = shared.keys.get(&key).cloned().ok_or_else(unknown)?;
    let late = |_| {
        let message = "the body did not come";
        Refused::new(StatusCode::REQUEST_TIMEOUT, Answered::Unread, message)
    };
    let body = timeout(shared.bounds.body, read(shared, body)).await.map_err(late)??;
    let busy = |_| {
        let message = "too many requests at once";
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, Answered::Busy, message)
    };
    let permit = shared.requests.clone().try_acquire_owned().map_err(busy)?;
    Ok(Asked { key, secret, body, _permit: permit })
}

async fn read(shared: &Shared, mut body: Body) -> Result<LongBody, Refused> {
    let (mut bytes, mut place) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Refused::malformed)?;
        let Some(data) = frame.data_ref() else { continue };
        let length = bytes.len() + data.len();
        if length > MAX_BODY {
            let message = format!("more than {MAX_BODY} bytes");
            return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, Answered::Unread, message));
        }
        if length > SHORT_BODY && place.is_none() {
            let free = shared.long_bodies.clone().acquire_owned().await;
            place = Some(free.map_err(Refused::failed)?);
        }
        bytes.extend_from_slice(data);
    }
    Ok(LongBody { bytes, place })
}

/// Signs what may be signed. Writes the request's type to `kind` as soon as it is known.
async fn signature(
    shared: &Arc<Shared>,
    asked: Asked,
    kind: &mut Option<&'static str>,
) -> Result<(Answered, String), Refused> {
    let start = Instant::now();
    let Asked { key, secret, body, _permit } = asked;
    let slots_per_epoch = shared.slots_per_epoch;
    let read = blocking(move || {
        let LongBody { bytes, place } = body;
        let signable = signing::read(&bytes, slots_per_epoch);
        drop((bytes, place));
        signable
    });
    let signable = read.await?.map_err(Refused::malformed)?;
    *kind = Some(signable.kind);
    let answered = allowed(shared, &key, &signable).await?;
    let signing_root = signable.signing_root;
    let signature = blocking(move || secret.sign(signing_root.as_bytes())).await?;
    shared.figures.signed_within(start.elapsed());
    tracing::debug!(%key, kind = signable.kind, %signing_root, result = answered.word(), "signed");
    Ok((answered, format!(r#"{{"signature":"{signature}"}}"#)))
}

/// Asks the clock about what has a time that it judges.
fn near(horizon: &Horizon, signable: &Signable, slots_per_epoch: u64) -> Result<(), TooFarAhead> {
    if let Some(statement) = &signable.statement {
        horizon.admits(statement, slots_per_epoch)?;
    }
    match signable.payload_slot {
        Some(slot) => horizon.admits_payload_vote(slot, slots_per_epoch),
        None => Ok(()),
    }
}

/// Asks the clock, if there is one, and slashing protection. Of what cannot be slashable, only the
/// chain is compared.
async fn allowed(
    shared: &Shared,
    key: &PublicKeyBytes,
    signable: &Signable,
) -> Result<Answered, Refused> {
    // A deposit is for any chain of its fork version.
    let Some(genesis) = signable.genesis.map(Root::to_bytes) else { return Ok(Answered::Signed) };
    if let Some(horizon) = &shared.horizon
        && let Err(far) = near(horizon, signable, shared.slots_per_epoch)
    {
        shared.figures.too_far_ahead();
        let kind = signable.kind;
        tracing::warn!(%key, kind, %far, "what lies too far ahead is not signed");
        return Err(Refused::new(StatusCode::PRECONDITION_FAILED, Answered::Refused, far));
    }
    let outcome = match signable.statement {
        Some(statement) => {
            shared.protector.ask(Request { genesis, key: key.to_bytes(), statement }).await
        }
        None => shared.protector.is_of_chain(genesis).await.map(|is_same| match is_same {
            true => Outcome::Recorded,
            false => Outcome::Refused(Refusal::OtherChain),
        }),
    };
    match outcome.map_err(Refused::failed)? {
        Outcome::Recorded => Ok(Answered::Signed),
        Outcome::AlreadySigned => Ok(Answered::Repeated),
        Outcome::Refused(refusal) => {
            shared.figures.refused(&refusal);
            let kind = signable.kind;
            tracing::warn!(%key, kind, %refusal, "slashing protection refuses a signature");
            Err(Refused::new(StatusCode::PRECONDITION_FAILED, Answered::Refused, refusal))
        }
    }
}

/// Runs work that takes a while on the threads for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refused::failed("a fault"))
}

/// Serves until `stop` changes; then finishes what was begun, for at most `patience`.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    patience: Duration,
) {
    let bounds = shared.bounds;
    let service = router(shared);
    let permits = Arc::new(Semaphore::new(bounds.connections));
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await;
            let accepted = listener.accept().await;
            if let Err(error) = &accepted {
                tracing::warn!(%error, "a connection was not accepted");
                // A connection that ends meanwhile ends the pause: its handle is free.
                sleep(ACCEPT_PAUSE).await;
            }
            (accepted, permit)
        };
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => break,
            // Connections that have ended are forgotten.
            Some(_) = connections.join_next() => {}
            (accepted, permit) = accepted => if let Ok((stream, _)) = accepted {
                let (service, stop) = (service.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, service, bounds, stop).await;
                    drop(permit);
                });
            },
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(patience, all).await.is_err() {
        tracing::warn!("connections were cut at the end");
    }
}

/// Waits until the signer stops, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(
    stream: TcpStream,
    service: Router,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are small, and somebody waits for them.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(64 << 10);
    let stream = Patient::new(stream, bounds.write);
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection has ended early");
    }
}

#[cfg(test)]
mod tests {
    use blocksmith::slashing_protection::{Limits, MemoryStore};

    use super::*;

    #[test]
    fn a_long_body_has_its_place_until_it_was_parsed() {
        // The longest body that needs none, and one that is a byte longer.
        let (protector, thread) =
            Protector::start(MemoryStore::default(), Limits::default(), None, |_| ())
                .expect("a thread");
        let bounds = Bounds { long_bodies: 1, ..Bounds::default() };
        let keys = BTreeMap::new();
        let shared = Shared::new(keys, protector, None, Arc::default(), 8, bounds);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let read = |length| runtime.block_on(read(&shared, Body::from(vec![b' '; length])));
        assert!(read(SHORT_BODY).is_ok_and(|body| body.place.is_none()));
        let long = read(SHORT_BODY + 1).ok().expect("there is a place");
        assert_eq!(shared.long_bodies.available_permits(), 0);
        drop(long);
        assert_eq!(shared.long_bodies.available_permits(), 1);
        drop(shared);
        thread.join().expect("no panic");
    }
}
