//! Values from their form in the beacon API.
//!
//! **Contract.** What [`Json`](super::Json) writes is read back as the same value. A number is a
//! string of decimal digits; bytes and bit lists are `0x` and two hexadecimal digits for each byte.
//! Fields that the type does not know are ignored. A list is no longer than its limit, and what is
//! allocated is at most a small multiple of the text. No input panics.
//!
//! Reference: as [`super`].

use std::fmt;

use serde_json::{Map, Value};
use ssz_rs::{Bitlist, List, SimpleSerialize, Vector};

use crate::primitives::FixedBytes;
use crate::wire::decode_exact;

/// Why a JSON value is not one of the expected type: where in it, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The way to the part, from the inside out.
    way: Vec<Step>,
    problem: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Element(usize),
}

impl JsonError {
    /// Returns an error about the value itself.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { way: Vec::new(), problem: problem.into() }
    }

    /// Says that the value is a field of another one.
    #[must_use]
    pub fn in_field(mut self, name: &str) -> Self {
        self.way.push(Step::Field(name.to_owned()));
        self
    }

    /// Says that the value is an element of a list.
    #[must_use]
    pub fn in_element(mut self, at: usize) -> Self {
        self.way.push(Step::Element(at));
        self
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.way.iter().rev().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Element(at) => write!(f, "[{at}]")?,
            }
        }
        let colon = if self.way.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}", self.problem)
    }
}

impl std::error::Error for JsonError {}

/// A value that can be read from its form in the beacon API.
///
/// # Examples
/// ```
/// use blocksmith_consensus::{Checkpoint, FromJson, Json};
/// let checkpoint = Checkpoint { epoch: 3, ..Checkpoint::default() };
/// assert_eq!(Checkpoint::from_json_text(checkpoint.to_json().as_bytes()), Ok(checkpoint));
/// let error = Checkpoint::from_json_text(br#"{"epoch":3}"#).unwrap_err();
/// assert_eq!(error.to_string(), "epoch: expected a number in quotes");
/// ```
pub trait FromJson: Sized {
    /// Reads a parsed value.
    ///
    /// # Errors
    /// [`JsonError`] names the first part, in reading order, that is missing or of another form.
    fn from_json(value: &Value) -> Result<Self, JsonError>;

    /// Parses a text and reads it.
    ///
    /// # Errors
    /// If the text is not JSON, or nests deeper than 128 values; else as [`FromJson::from_json`].
    fn from_json_text(text: &[u8]) -> Result<Self, JsonError> {
        let value = serde_json::from_slice(text).map_err(|error| JsonError::new(error.to_string()));
        Self::from_json(&value?)
    }
}

fn text<'a>(value: &'a Value, expected: &str) -> Result<&'a str, JsonError> {
    value.as_str().ok_or_else(|| JsonError::new(format!("expected {expected}")))
}

fn elements(value: &Value) -> Result<&[Value], JsonError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| JsonError::new("expected a list"))
}

fn all<T: FromJson>(values: &[Value]) -> Result<Vec<T>, JsonError> {
    let read = |(at, value)| T::from_json(value).map_err(|error| error.in_element(at));
    values.iter().enumerate().map(read).collect()
}

/// Reads an object.
pub(crate) fn object(value: &Value) -> Result<&Map<String, Value>, JsonError> {
    value.as_object().ok_or_else(|| JsonError::new("expected an object"))
}

/// Reads a field of an object.
///
/// # Errors
/// [`JsonError`] if it is missing or of another form.
pub fn json_field<T: FromJson>(object: &Map<String, Value>, name: &str) -> Result<T, JsonError> {
    let value = object.get(name).ok_or_else(|| JsonError::new("is missing").in_field(name))?;
    T::from_json(value).map_err(|error| error.in_field(name))
}

impl FromJson for u64 {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        const EXPECTED: &str = "a number in quotes";
        let text = text(value, EXPECTED)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| JsonError::new(format!("expected {EXPECTED}")))
    }
}

impl FromJson for bool {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        value.as_bool().ok_or_else(|| JsonError::new("expected true or false"))
    }
}

impl<const N: usize> FromJson for FixedBytes<N> {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let parsed = text(value, "0x and hexadecimal digits")?.parse();
        parsed.map_err(|error: crate::ParseHexError| JsonError::new(error.to_string()))
    }
}

impl<const N: usize> FromJson for Bitlist<N> {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        const EXPECTED: &str = "0x and hexadecimal digits";
        let wrong = || JsonError::new(format!("expected {EXPECTED}"));
        let digits = text(value, EXPECTED)?.strip_prefix("0x").ok_or_else(wrong)?;
        if digits.len() % 2 != 0 || digits.len() / 2 > N / 8 + 1 {
            return Err(wrong());
        }
        let nibble = |digit: u8| (digit as char).to_digit(16).and_then(|n| u8::try_from(n).ok());
        let byte = |pair: &[u8]| Some(nibble(*pair.first()?)? * 16 + nibble(*pair.get(1)?)?);
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks_exact(2).map(byte).collect();
        let decoded = decode_exact(&bytes.ok_or_else(wrong)?);
        decoded.map_err(|error| JsonError::new(error.to_string()))
    }
}

impl<T: FromJson + SimpleSerialize, const N: usize> FromJson for List<T, N> {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let values = elements(value)?;
        if values.len() > N {
            return Err(JsonError::new(format!("more than {N} elements")));
        }
        Self::try_from(all(values)?).map_err(|_| JsonError::new(format!("more than {N} elements")))
    }
}

impl<T: FromJson + SimpleSerialize, const N: usize> FromJson for Vector<T, N> {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let values = elements(value)?;
        let wrong = || JsonError::new(format!("expected {N} elements"));
        if values.len() != N {
            return Err(wrong());
        }
        Self::try_from(all(values)?).map_err(|_| wrong())
    }
}

/// A list without a limit of its own: that of the text that it comes from holds.
impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        all(elements(value)?)
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;
    use crate::containers::{AggregationBits, Checkpoint, SignedBeaconBlock};
    use crate::json::Json;

    #[test]
    fn numbers_are_digits_in_quotes_and_nothing_else() {
        // What Rust's own parser would take besides, and what JSON knows besides.
        for text in ["\"\"", "\"+1\"", "\"-1\"", "\" 1\"", "\"0x1\"", "1", "null"] {
            let error = u64::from_json_text(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "expected a number in quotes", "{text}");
        }
        assert_eq!(u64::from_json_text(b"\"18446744073709551615\""), Ok(u64::MAX));
        assert!(u64::from_json_text(b"\"18446744073709551616\"").is_err());
    }

    #[test]
    fn a_list_is_no_longer_than_its_limit_and_bits_have_their_delimiter() {
        // One element more than fits; bits without the last bit, and with more than a committee.
        type Few = List<u64, 2>;
        assert!(Few::from_json_text(br#"["1","2"]"#).is_ok());
        let error = Few::from_json_text(br#"["1","2","3"]"#).unwrap_err();
        assert_eq!(error.to_string(), "more than 2 elements");
        let error = Few::from_json_text(br#"["1",2]"#).unwrap_err();
        assert_eq!(error.to_string(), "[1]: expected a number in quotes");
        let bits = |text: &str| AggregationBits::from_json(&Value::from(text)).is_ok();
        assert!(bits("0x01") && bits("0xff03"));
        assert!(!bits("0x") && !bits("0x00") && !bits("0x0") && !bits("0x+1") && !bits("ff"));
        assert!(bits(&format!("0x{}01", "ff".repeat(256))));
        assert!(!bits(&format!("0x{}01", "ff".repeat(257))));
    }

    #[test]
    fn an_error_says_where_it_is() {
        // A number in place of a deposit.
        let block = SignedBeaconBlock::default().to_json();
        let wrong = block.replace(r#""deposits":[]"#, r#""deposits":[7]"#);
        let error = SignedBeaconBlock::from_json_text(wrong.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "message.body.deposits[0]: expected an object");
    }

    quickcheck! {
        /// No text makes the reader panic; what is read is written as it was, but for what is left
        /// out.
        fn damaged_texts_are_errors_or_values(at: usize, byte: u8, cut: usize) -> bool {
            let mut text = Checkpoint { epoch: 7, ..Checkpoint::default() }.to_json().into_bytes();
            let place = at % text.len();
            text[place] = byte;
            text.truncate(text.len() - cut % 8);
            Checkpoint::from_json_text(&text).map_or(true, |value| {
                Checkpoint::from_json_text(value.to_json().as_bytes()) == Ok(value)
            })
        }
    }
}
