//! Errors as the beacon API answers them: `{"code", "message"}`, and `failures` where a list was
//! submitted.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use blocksmith::{Gone, ReadError, StateError};
use serde_json::{Value, json};

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    /// What of a submitted list has failed, by its place.
    failures: Vec<(usize, String)>,
}

impl ApiError {
    /// An error with this status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), failures: Vec::new() }
    }

    /// What was asked for is malformed, or cannot be: 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The node does not have it: 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// The node cannot say now: 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// We failed: 500.
    pub fn fault(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Some of a list have failed; the others were taken: 400.
    pub fn of_list(failures: Vec<(usize, String)>) -> Self {
        let message = "some of the list were not accepted".to_owned();
        Self { status: StatusCode::BAD_REQUEST, message, failures }
    }

    /// Returns the text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"code": self.status.as_u16(), "message": self.message});
        if !self.failures.is_empty() {
            let failure = |(index, message)| json!({"index": index, "message": message});
            body["failures"] = Value::Array(self.failures.into_iter().map(failure).collect());
        }
        (self.status, [(header::CONTENT_TYPE, "application/json")], body.to_string())
            .into_response()
    }
}

impl From<StateError> for ApiError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::UnknownBlock | StateError::BeforeBlock => {
                Self::not_found("the state is not there any more, or has never been")
            }
            StateError::TooFar | StateError::Busy | StateError::Refused => {
                Self::unavailable(error.to_string())
            }
            StateError::Fault(text) => Self::fault(text),
        }
    }
}

impl From<Gone> for ApiError {
    fn from(error: Gone) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoStore => Self::not_found("the block is not held, and there is no store"),
            ReadError::TooMany { .. } => Self::bad_request(error.to_string()),
            ReadError::Busy | ReadError::Gone => Self::unavailable(error.to_string()),
            ReadError::Store(error) => Self::fault(error.to_string()),
        }
    }
}

impl From<blocksmith_consensus::StateError> for ApiError {
    fn from(error: blocksmith_consensus::StateError) -> Self {
        Self::fault(error.to_string())
    }
}

impl From<blocksmith_consensus::Overflow> for ApiError {
    fn from(_: blocksmith_consensus::Overflow) -> Self {
        Self::bad_request("the number is too large")
    }
}
