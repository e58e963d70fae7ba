//! The remote-signing API over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/v1/eth2/sign/{0x key}` | 200 `{"signature"}`; 400 a malformed request, or another signing root; 404 an unknown key; 408 a body that does not come; 412 refused by slashing protection; 413 a body beyond [`MAX_BODY`]; 500 slashing protection has failed; 503 too many requests at once |
//! | `GET /api/v1/eth2/publicKeys` | 200 and a list of keys |
//! | `GET /upcheck` | 200 `OK` |
//! | `GET /healthcheck` | 200 `{"status":"UP"}`; 503 once slashing protection has failed |
//!
//! Errors are `{"code", "message"}`.
//!
//! **Bounds.** There are at most [`MAX_CONNECTIONS`] connections; others wait in the listener's
//! queue. A head has to come within [`HEAD_PATIENCE`], and a body within [`BODY_PATIENCE`]. At most
//! [`MAX_REQUESTS`] are signed at once. Computing roots and signing happens on as many threads as
//! the machine has processors, and never on those that serve connections.
//!
//! A request that was begun is finished, also if its client has gone: so a client that connects and
//! leaves cannot have more work queued than its share of [`MAX_REQUESTS`].
//!
//! Reference: remote-signing-api.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use blocksmith::slashing_protection::{Outcome, Request};
use blocksmith_consensus::bls::SecretKey;
use blocksmith_consensus::{PublicKeyBytes, Root};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::batch::Protector;
use super::signing::{self, Signable};

/// Bytes of a body, at most. A full block of phase0 takes about a quarter of a MiB in JSON.
pub const MAX_BODY: usize = 2 << 20;
/// Connections at once, at most.
pub const MAX_CONNECTIONS: usize = 1024;
/// Requests that are signed at once, at most.
pub const MAX_REQUESTS: usize = 1024;
/// Time for a head, and the longest that a connection is idle: more than two slots of mainnet, so
/// that a client may keep its connection.
pub const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Time for a body.
pub const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// Connections that the system may fail to accept in a row before the server gives up.
const MAX_FAILURES: u32 = 1000;

const SIGN: &str = "/api/v1/eth2/sign/";

/// What all requests share.
pub(super) struct Shared {
    pub(super) keys: BTreeMap<PublicKeyBytes, SecretKey>,
    pub(super) protector: Protector,
    pub(super) slots_per_epoch: u64,
    pub(super) requests: Arc<Semaphore>,
}

/// An answer that is no signature.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, message) = self;
        let body = serde_json::json!({ "code": status.as_u16(), "message": message });
        json(status, body.to_string())
    }
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
        .route("/api/v1/eth2/publicKeys", get(public_keys))
        .route(&format!("{SIGN}{{key}}"), post(sign))
        .fallback(async || Refused(StatusCode::NOT_FOUND, "no such path".to_owned()))
        .method_not_allowed_fallback(async || {
            Refused(StatusCode::METHOD_NOT_ALLOWED, "no such method here".to_owned())
        })
        .with_state(shared)
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    if shared.protector.has_failed() {
        let message = super::batch::Failed.to_string();
        return Refused(StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    }
    json(StatusCode::OK, r#"{"status":"UP"}"#.to_owned())
}

async fn public_keys(State(shared): State<Arc<Shared>>) -> Response {
    let keys: Vec<String> = shared.keys.keys().map(ToString::to_string).collect();
    json(StatusCode::OK, serde_json::json!(keys).to_string())
}

async fn sign(State(shared): State<Arc<Shared>>, uri: Uri, body: Body) -> Response {
    let Ok(permit) = shared.requests.clone().try_acquire_owned() else {
        let message = "too many requests at once".to_owned();
        return Refused(StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    // A task of its own is finished also if the connection ends, and holds the permit until then.
    let task = tokio::spawn(async move {
        let signed = signature(&shared, &uri, body).await;
        drop(permit);
        signed
    });
    match task.await {
        Ok(Ok(body)) => json(StatusCode::OK, body),
        Ok(Err(refused)) => refused.into_response(),
        Err(_) => Refused(StatusCode::INTERNAL_SERVER_ERROR, "a fault".to_owned()).into_response(),
    }
}

async fn signature(shared: &Arc<Shared>, uri: &Uri, body: Body) -> Result<String, Refused> {
    let bytes = read_body(body).await?;
    let text = uri.path().strip_prefix(SIGN).unwrap_or_default();
    let text = if text.starts_with("0x") { text.to_owned() } else { format!("0x{text}") };
    let key: PublicKeyBytes = text
        .parse()
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("public key: {error}")))?;
    let unknown = || Refused(StatusCode::NOT_FOUND, format!("{key}: no such key"));
    let secret = shared.keys.get(&key).cloned().ok_or_else(unknown)?;

    let slots_per_epoch = shared.slots_per_epoch;
    let signable = blocking(move || signing::read(&bytes, slots_per_epoch)).await?;
    let signable = signable.map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    allowed(shared, &key, &signable).await?;
    let signing_root = signable.signing_root;
    let signature = blocking(move || secret.sign(signing_root.as_bytes())).await?;
    Ok(format!(r#"{{"signature":"{signature}"}}"#))
}

/// Asks slashing protection, if the object can be slashable.
async fn allowed(
    shared: &Shared,
    key: &PublicKeyBytes,
    signable: &Signable,
) -> Result<(), Refused> {
    let Some(statement) = signable.statement else { return Ok(()) };
    let genesis = signable.genesis.unwrap_or(Root::ZERO).to_bytes();
    let request = Request { genesis, key: key.to_bytes(), statement };
    match shared.protector.ask(request).await {
        Ok(Outcome::Refused(refusal)) => {
            tracing::warn!(%key, %refusal, "slashing protection refuses a signature");
            Err(Refused(StatusCode::PRECONDITION_FAILED, refusal.to_string()))
        }
        Ok(Outcome::Recorded | Outcome::AlreadySigned) => Ok(()),
        Err(failed) => Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, failed.to_string())),
    }
}

/// Runs work that takes a while on the threads for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Refused(StatusCode::INTERNAL_SERVER_ERROR, "a fault".to_owned()))
}

async fn read_body(body: Body) -> Result<Vec<u8>, Refused> {
    match timeout(BODY_PATIENCE, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(bytes)) => Ok(bytes.to_bytes().into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("more than {MAX_BODY} bytes");
            Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        Ok(Err(error)) => Err(Refused(StatusCode::BAD_REQUEST, error.to_string())),
        Err(_) => Err(Refused(StatusCode::REQUEST_TIMEOUT, "the body did not come".to_owned())),
    }
}

/// Serves until `stop` changes; then finishes what was begun, for at most `patience`.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    patience: Duration,
) {
    let service = router(shared);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (mut connections, mut failures) = (JoinSet::new(), 0);
    let mut stopping = stop.clone();
    while failures < MAX_FAILURES {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => break,
            // Connections that have ended are forgotten.
            Some(_) = connections.join_next() => {}
            (accepted, permit) = accepted => match accepted {
                Ok((stream, _)) => {
                    failures = 0;
                    let (service, stop) = (service.clone(), stop.clone());
                    connections.spawn(async move {
                        connection(stream, service, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    failures += 1;
                    tokio::task::yield_now().await;
                }
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

async fn connection(stream: TcpStream, service: Router, mut stop: watch::Receiver<bool>) {
    // Answers are small, and somebody waits for them.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(64 << 10);
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
