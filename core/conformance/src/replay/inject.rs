//! Faults to inject, as the command line writes them: `SERVICE:panic@N`, `SERVICE:panic/N`,
//! `SERVICE:delay=MS`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use blocksmith::supervision::{Fault, Injection, ServiceName, When};
use blocksmith_sync::Std;

/// The longest delay, in milliseconds.
const MAX_DELAY_MS: u64 = 60_000;

/// What happens to messages of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Panic(When),
    Delay(Duration),
}

/// A fault for some messages of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inject {
    service: ServiceName,
    what: What,
}

/// A fault that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InjectError {
    /// It does not have the form of a fault.
    #[error("expected SERVICE:panic@N, SERVICE:panic/N or SERVICE:delay=MS")]
    Form,
    /// There is no such service.
    #[error(
        "there is no service {0:?}; there are quarantine, clearance, rewinder, hot_db and cold_db"
    )]
    Service(String),
    /// The number is not a number, or is out of bounds.
    #[error("{number:?} is no number from 1 to {max}")]
    Number {
        /// What was written.
        number: String,
        /// The largest number that is allowed.
        max: u64,
    },
}

impl Inject {
    /// Returns the fault in the form that the services take.
    pub fn injection(&self) -> Injection<Std> {
        let (when, fault) = match self.what {
            What::Panic(when) => (when, Fault::Panic),
            What::Delay(time) => (When::Every(1), Fault::Delay(time)),
        };
        Injection { service: self.service, when, fault }
    }
}

impl FromStr for Inject {
    type Err = InjectError;

    fn from_str(text: &str) -> Result<Self, InjectError> {
        let (service, what) = text.split_once(':').ok_or(InjectError::Form)?;
        let known = ServiceName::ALL.into_iter().find(|known| known.word() == service);
        let service = known.ok_or_else(|| InjectError::Service(service.to_owned()))?;
        let what = if let Some(number) = what.strip_prefix("panic@") {
            What::Panic(When::At(parse(number, u64::MAX)?))
        } else if let Some(number) = what.strip_prefix("panic/") {
            What::Panic(When::Every(parse(number, u64::MAX)?))
        } else if let Some(number) = what.strip_prefix("delay=") {
            What::Delay(Duration::from_millis(parse(number, MAX_DELAY_MS)?))
        } else {
            return Err(InjectError::Form);
        };
        Ok(Self { service, what })
    }
}

fn parse(number: &str, max: u64) -> Result<u64, InjectError> {
    let parsed = number.parse().ok().filter(|parsed| (1..=max).contains(parsed));
    parsed.ok_or_else(|| InjectError::Number { number: number.to_owned(), max })
}

impl fmt::Display for Inject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Panic(When::At(nth)) => write!(f, "{}:panic@{nth}", self.service),
            What::Panic(When::Every(nth)) => write!(f, "{}:panic/{nth}", self.service),
            What::Delay(time) => write!(f, "{}:delay={}", self.service, time.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Inject;

    #[test]
    fn what_is_parsed_is_printed_alike() {
        // One of each form.
        for text in ["quarantine:panic@3", "hot_db:panic/10", "rewinder:delay=5"] {
            assert_eq!(text.parse::<Inject>().map(|fault| fault.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        // A wrong form, a wrong service, and wrong numbers.
        for (text, part) in [
            ("quarantine", "expected SERVICE:panic@N"),
            ("quarantine:stop", "expected SERVICE:panic@N"),
            ("network:panic@3", "no service \"network\""),
            ("clearance:panic@0", "\"0\" is no number from 1"),
            ("clearance:panic/x", "\"x\" is no number"),
            ("clearance:delay=60001", "from 1 to 60000"),
        ] {
            let error = text.parse::<Inject>().map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|error| error.contains(part)), "{text}: {error:?}");
        }
    }
}
