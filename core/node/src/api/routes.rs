//! The table of what is served.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{RawPathParams, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use blocksmith_consensus::Preset;
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::beacon::Beacon;
use super::error::ApiError;
use super::request::{Answer, Asked, query_of};
use super::requests::NO_ROUTE;
use super::{blocks, duties, info, payloads, pool, states, validator};

/// Bytes of a body, at most. The largest block in JSON takes about a tenth of it.
pub const MAX_BODY: usize = 4 << 20;
/// Bytes of a body that needs no room among the large ones.
const SMALL_BODY: usize = 64 << 10;

/// Makes a route of a handler, whose requests are counted under `name`.
fn route<P, F, R>(
    beacon: &Arc<Beacon<P>>,
    filter: MethodFilter,
    name: (&'static str, &'static str),
    handler: F,
) -> MethodRouter
where
    P: Preset,
    F: Fn(Arc<Beacon<P>>, Asked) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Answer> + Send,
{
    let (beacon, figures) = (beacon.clone(), beacon.requests.route(name));
    let serve = move |params: RawPathParams, request: Request| async move {
        let start = Instant::now();
        let path = params.iter().map(|(_, value)| value.to_owned()).collect();
        let patience = beacon.limits.request;
        let answer = async {
            let asked = asked(&beacon, path, request).await?;
            handler(beacon, asked).await
        };
        let late = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the request took too long");
        let answer = timeout(patience, answer).await.map_err(late).and_then(|answer| answer);
        let answer = answer.into_response();
        figures.observe(answer.status().as_u16(), start.elapsed());
        answer
    };
    on(filter, serve)
}

/// Reads a request.
async fn asked<P: Preset>(
    beacon: &Beacon<P>,
    path: Vec<String>,
    request: Request,
) -> Result<Asked, ApiError> {
    let query = query_of(request.uri().query().unwrap_or_default())?;
    let (parts, body) = request.into_parts();
    let (body, room) = read(beacon, body).await?;
    Ok(Asked { path, query, headers: parts.headers, body, _room: room })
}

/// Reads a body. One that says that it is too long is refused at once. One of which more than
/// [`SMALL_BODY`] bytes have come waits for room among the large ones, so that what does not come
/// takes no room. The client has a time for its body, which begins again when there is room.
async fn read<P: Preset>(
    beacon: &Beacon<P>,
    mut body: Body,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), ApiError> {
    let late = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body took too long");
    let cut_off = |_| ApiError::bad_request("the body is cut off");
    let too_large = || {
        let message = format!("the body has more than {MAX_BODY} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let whole = match body.size_hint().upper().map(usize::try_from) {
        Some(Ok(bytes)) if bytes <= MAX_BODY => bytes,
        Some(_) => return Err(too_large()),
        None => MAX_BODY,
    };
    let (mut bytes, mut room) = (Vec::new(), None);
    let mut deadline = Instant::now() + beacon.limits.body;
    while let Some(frame) = timeout_at(deadline, body.frame()).await.map_err(late)? {
        let frame = frame.map_err(cut_off)?;
        let Some(data) = frame.data_ref() else { continue };
        let length = bytes.len() + data.len();
        if length > MAX_BODY {
            return Err(too_large());
        }
        if length > SMALL_BODY && room.is_none() {
            room = Some(beacon.room_for(whole.max(length)).await?);
            deadline = Instant::now() + beacon.limits.body;
        }
        bytes.extend_from_slice(data);
    }
    Ok((bytes.into(), room))
}

/// Gives every error its form: also those of the router.
async fn in_form(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let kind = response.headers().get(axum::http::header::CONTENT_TYPE);
    if !is_error || kind.is_some_and(|kind| kind == "application/json") {
        return response;
    }
    let reason = status.canonical_reason().unwrap_or("error");
    ApiError::new(status, reason).into_response()
}

/// Returns the table of what is served.
pub(super) fn router<P: Preset>(beacon: &Arc<Beacon<P>>) -> Router {
    macro_rules! table {
        ($($method:ident $path:literal $handler:path;)+) => {
            Router::new()$(.route(
                $path,
                route(beacon, MethodFilter::$method, (stringify!($method), $path), $handler),
            ))+
        };
    }
    let table = table! {
        GET "/eth/v1/beacon/genesis" info::genesis::<P>;
        GET "/eth/v1/config/spec" info::config::<P>;
        GET "/eth/v1/config/fork_schedule" info::forks::<P>;
        GET "/eth/v1/config/deposit_contract" info::contract::<P>;
        GET "/eth/v1/node/version" info::version::<P>;
        GET "/eth/v1/node/health" info::health::<P>;
        GET "/eth/v1/node/syncing" info::syncing::<P>;
        GET "/eth/v1/node/identity" info::identity::<P>;
        GET "/eth/v1/node/peers" info::peers::<P>;
        GET "/eth/v1/node/peer_count" info::peer_count::<P>;
        GET "/eth/v1/events" info::events::<P>;
        GET "/metrics" info::metrics::<P>;
        GET "/eth/v1/beacon/states/{state_id}/root" states::root::<P>;
        GET "/eth/v1/beacon/states/{state_id}/fork" states::fork::<P>;
        GET "/eth/v1/beacon/states/{state_id}/finality_checkpoints" states::finality::<P>;
        GET "/eth/v1/beacon/states/{state_id}/validators" states::validators::<P>;
        POST "/eth/v1/beacon/states/{state_id}/validators" states::post_validators::<P>;
        GET "/eth/v1/beacon/states/{state_id}/validators/{validator_id}" states::validator::<P>;
        GET "/eth/v1/beacon/states/{state_id}/committees" states::committees::<P>;
        GET "/eth/v2/debug/beacon/states/{state_id}" states::whole::<P>;
        GET "/eth/v1/beacon/headers" blocks::headers::<P>;
        GET "/eth/v1/beacon/headers/{block_id}" blocks::header::<P>;
        GET "/eth/v2/beacon/blocks/{block_id}" blocks::block::<P>;
        GET "/eth/v1/beacon/blocks/{block_id}/root" blocks::root::<P>;
        GET "/eth/v1/beacon/blocks/{block_id}/attestations" blocks::attestations::<P>;
        GET "/eth/v2/beacon/blocks/{block_id}/attestations" blocks::attestations_v2::<P>;
        POST "/eth/v1/beacon/blocks" blocks::publish::<P>;
        POST "/eth/v2/beacon/blocks" blocks::publish::<P>;
        POST "/eth/v1/beacon/pool/attestations" pool::attestations::<P>;
        POST "/eth/v2/beacon/pool/attestations" pool::attestations::<P>;
        POST "/eth/v1/beacon/pool/proposer_slashings" pool::proposer_slashings::<P>;
        POST "/eth/v1/beacon/pool/attester_slashings" pool::attester_slashings::<P>;
        POST "/eth/v2/beacon/pool/attester_slashings" pool::attester_slashings::<P>;
        POST "/eth/v1/beacon/pool/voluntary_exits" pool::voluntary_exits::<P>;
        GET "/eth/v1/validator/duties/proposer/{epoch}" duties::proposer::<P>;
        POST "/eth/v1/validator/duties/attester/{epoch}" duties::attester::<P>;
        POST "/eth/v1/validator/liveness/{epoch}" duties::liveness::<P>;
        POST "/eth/v1/validator/beacon_committee_subscriptions" duties::subscribe::<P>;
        POST "/eth/v1/validator/prepare_beacon_proposer" validator::nothing::<P>;
        GET "/eth/v1/validator/blocks/{slot}" validator::block_v1::<P>;
        GET "/eth/v2/validator/blocks/{slot}" validator::block_v2::<P>;
        GET "/eth/v3/validator/blocks/{slot}" validator::block_v3::<P>;
        GET "/eth/v1/validator/attestation_data" validator::attestation_data::<P>;
        GET "/eth/v1/validator/aggregate_attestation" validator::aggregate_v1::<P>;
        GET "/eth/v2/validator/aggregate_attestation" validator::aggregate_v2::<P>;
        POST "/eth/v1/validator/aggregate_and_proofs" pool::aggregates::<P>;
        POST "/eth/v2/validator/aggregate_and_proofs" pool::aggregates::<P>;
        POST "/eth/v1/validator/duties/ptc/{epoch}" payloads::duties::<P>;
        GET "/eth/v1/validator/payload_attestation_data" payloads::data::<P>;
        GET "/eth/v1/validator/payload_attestation_data/{slot}" payloads::data::<P>;
        GET "/eth/v1/beacon/pool/payload_attestations" payloads::pool::<P>;
        POST "/eth/v1/beacon/pool/payload_attestations" payloads::submit::<P>;
        GET "/blocksmith/v1/payload_votes" payloads::counted::<P>;
        POST "/blocksmith/v1/payloads/{block_root}" payloads::arrived::<P>;
    };
    let figures = beacon.requests.route(NO_ROUTE);
    let none = move |status: StatusCode| {
        figures.observe(status.as_u16(), Duration::ZERO);
        std::future::ready(status)
    };
    let other = none.clone();
    table
        .fallback(move || none(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(move || other(StatusCode::METHOD_NOT_ALLOWED))
        .layer(axum::middleware::map_response(in_form))
}
