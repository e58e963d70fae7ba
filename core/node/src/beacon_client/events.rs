//! The events of a beacon node.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use blocksmith_consensus::{FromJson, JsonError, Root, Slot, json_field};
use serde_json::Value;

use super::{BeaconClient, object};
use crate::http_client::HttpError;

/// Bytes of a line of the event stream, at most.
const MAX_EVENT: u64 = 64 << 10;

/// The event `head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadEvent {
    /// The head's slot.
    pub slot: Slot,
    /// The head's root.
    pub block: Root,
    /// The root that attesters of the head's epoch depend on.
    pub previous_duty_dependent_root: Root,
    /// The root that attesters of the next epoch and proposers of the head's depend on.
    pub current_duty_dependent_root: Root,
}

/// An event of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// The node has a new head (`head`).
    Head(HeadEvent),
    /// The node has the payload and the blobs of a block (`execution_payload_available`).
    PayloadAvailable {
        /// The block's slot.
        slot: Slot,
        /// The block.
        block: Root,
    },
}

impl BeaconClient {
    /// Opens the stream of the events `head`, and of `execution_payload_available` if `payloads`.
    /// It ends after `lifetime` at the latest, also in the middle of a read: a stream that has died
    /// in silence is not waited for. The caller opens it again.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`]; 400 if the node does not know one of the events.
    pub fn events(
        &self,
        payloads: bool,
        lifetime: Duration,
    ) -> Result<Events<impl BufRead + use<>>, HttpError> {
        let topics = if payloads { "head,execution_payload_available" } else { "head" };
        let reader = self.http.events(&format!("/eth/v1/events?topics={topics}"), lifetime)?;
        Ok(Events { reader: BufReader::new(reader) })
    }
}

/// The events of a node, as they come.
#[derive(Debug)]
pub struct Events<R> {
    reader: R,
}

impl<R: BufRead> Events<R> {
    /// Returns the events of a text in the form of an event stream.
    pub fn new(reader: R) -> Self {
        Self { reader }
    }
}

/// Ends when the stream ends or fails, or sends a line of more than 64 KiB. What is none of the
/// events is passed over, among it comments that keep the connection alive.
impl<R: BufRead> Iterator for Events<R> {
    type Item = NodeEvent;

    fn next(&mut self) -> Option<NodeEvent> {
        let mut topic = String::new();
        loop {
            let mut line = Vec::new();
            let read = (&mut self.reader).take(MAX_EVENT).read_until(b'\n', &mut line).ok()?;
            if read == 0 || line.pop() != Some(b'\n') {
                return None;
            }
            let Ok(line) = std::str::from_utf8(&line) else { continue };
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                topic.clear();
            } else if let Some(name) = line.strip_prefix("event:") {
                name.trim().clone_into(&mut topic);
            } else if let Some(text) = line.strip_prefix("data:")
                && let Some(event) = event(&topic, text)
            {
                return Some(event);
            }
        }
    }
}

/// Reads the data of an event, if it is one that is known.
fn event(topic: &str, text: &str) -> Option<NodeEvent> {
    match topic {
        "head" => HeadEvent::from_json_text(text.as_bytes()).ok().map(NodeEvent::Head),
        "execution_payload_available" => {
            let Payload { slot, block } = Payload::from_json_text(text.as_bytes()).ok()?;
            Some(NodeEvent::PayloadAvailable { slot, block })
        }
        _ => None,
    }
}

struct Payload {
    slot: Slot,
    block: Root,
}

impl FromJson for Payload {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let data = object(value)?;
        Ok(Self { slot: json_field(data, "slot")?, block: json_field(data, "block_root")? })
    }
}

impl FromJson for HeadEvent {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let data = object(value)?;
        Ok(Self {
            slot: json_field(data, "slot")?,
            block: json_field(data, "block")?,
            previous_duty_dependent_root: json_field(data, "previous_duty_dependent_root")?,
            current_duty_dependent_root: json_field(data, "current_duty_dependent_root")?,
        })
    }
}
