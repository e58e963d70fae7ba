//! The stream of events (`/eth/v1/events`).
//!
//! **Contract.** [`Hub::send`] never waits. A subscriber gets the events of its topics in their
//! order, as server-sent events, without a gap.
//!
//! **Invariants.**
//! - E1 The hub holds [`HELD`] events. A subscriber that is further behind loses its stream; the
//!   hub and the other subscribers do not notice.
//! - E2 There are at most [`STREAMS`] streams; a further one is refused.
//! - E3 A stream whose client is gone ends at the next event or heartbeat. A client that does not
//!   read is cut off by the server's limit on writing, too.
//!
//! Reference: beacon-APIs, "eventstream"; HTML standard, "Server-sent events".

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::error::ApiError;

/// Events that the hub holds for subscribers that are behind.
pub const HELD: usize = 256;
/// Streams at a time.
pub const STREAMS: usize = 64;
/// Events that a stream holds besides.
const AHEAD: usize = 8;
/// A stream without events gets a comment so often.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The head is another block.
    Head,
    /// A block was imported.
    Block,
    /// An attestation was accepted.
    Attestation,
    /// A voluntary exit was accepted.
    VoluntaryExit,
    /// The finalised checkpoint moved.
    FinalizedCheckpoint,
    /// The new head does not descend from the old one.
    ChainReorg,
    /// The payload of a block is there, and may be voted on.
    ExecutionPayloadAvailable,
    /// A vote on a payload was accepted.
    PayloadAttestationMessage,
}

impl Topic {
    const ALL: [Self; 8] = [
        Self::Head,
        Self::Block,
        Self::Attestation,
        Self::VoluntaryExit,
        Self::FinalizedCheckpoint,
        Self::ChainReorg,
        Self::ExecutionPayloadAvailable,
        Self::PayloadAttestationMessage,
    ];

    /// Returns the name of the topic.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Block => "block",
            Self::Attestation => "attestation",
            Self::VoluntaryExit => "voluntary_exit",
            Self::FinalizedCheckpoint => "finalized_checkpoint",
            Self::ChainReorg => "chain_reorg",
            Self::ExecutionPayloadAvailable => "execution_payload_available",
            Self::PayloadAttestationMessage => "payload_attestation_message",
        }
    }
}

impl FromStr for Topic {
    type Err = ApiError;

    fn from_str(word: &str) -> Result<Self, ApiError> {
        let topic = Self::ALL.into_iter().find(|topic| topic.word() == word);
        topic.ok_or_else(|| ApiError::bad_request(format!("there is no topic {word}")))
    }
}

#[derive(Clone)]
struct Event {
    topic: Topic,
    /// As it is sent.
    text: Bytes,
}

/// Hands events to every stream.
pub(super) struct Hub {
    sender: broadcast::Sender<Event>,
    streams: Arc<Semaphore>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(HELD), streams: Arc::new(Semaphore::new(STREAMS)) }
    }
}

impl Hub {
    /// Sends an event, whose data are one line of JSON. Does not wait.
    pub(super) fn send(&self, topic: Topic, data: &str) {
        let text = format!("event: {}\ndata: {data}\n\n", topic.word());
        // There may be no subscriber.
        let _ = self.sender.send(Event { topic, text: text.into() });
    }

    /// Returns how many streams there are.
    pub(super) fn streams(&self) -> usize {
        STREAMS - self.streams.available_permits()
    }

    /// Returns a stream of the events of some topics, from now on.
    pub(super) fn subscribe(&self, topics: Vec<Topic>) -> Result<Response, ApiError> {
        let permit = self.streams.clone().try_acquire_owned();
        let permit = permit.map_err(|_| ApiError::unavailable("there are too many streams"))?;
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(forward(self.sender.subscribe(), topics, sender, permit));
        let stream = ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>);
        let headers =
            [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
        Ok((headers, Body::from_stream(stream)).into_response())
    }
}

/// Forwards events until the client is gone or too far behind.
async fn forward(
    mut events: broadcast::Receiver<Event>,
    topics: Vec<Topic>,
    to: mpsc::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
) {
    loop {
        let text = match tokio::time::timeout(HEARTBEAT, events.recv()).await {
            Ok(Ok(event)) if topics.contains(&event.topic) => event.text,
            Ok(Ok(_)) => continue,
            // E1: what is missing cannot be made up for.
            Ok(Err(_)) => return,
            Err(_) => Bytes::from_static(b":\n\n"),
        };
        if to.send(text).await.is_err() {
            return;
        }
    }
}
