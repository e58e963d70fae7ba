//! Values in the form of the beacon API: integers quoted, bytes and bit lists as `0x` and
//! hexadecimal digits, containers as objects in the order of their fields.
//!
//! Reference: beacon-APIs, "types"; consensus specification, `ssz/simple-serialize.md`, "JSON
//! mapping".

#[cfg(feature = "json")]
mod read;

use std::fmt::Write;

use ssz_rs::{Bitlist, List, Serialize, SimpleSerialize, Vector};

use crate::preset::Length;
use crate::primitives::FixedBytes;
use crate::tree::{Element, PersistentList, PersistentVector};

#[cfg(feature = "json")]
pub(crate) use read::object;
#[cfg(feature = "json")]
pub use read::{FromJson, JsonError, json_field};

/// A value that has a form in the beacon API.
///
/// # Examples
/// ```
/// use blocksmith_consensus::{Checkpoint, Json};
/// let json = Checkpoint { epoch: 3, ..Checkpoint::default() }.to_json();
/// assert!(json.starts_with(r#"{"epoch":"3","root":"0x0000"#));
/// ```
pub trait Json {
    /// Appends the JSON text.
    fn write_json(&self, text: &mut String);

    /// The JSON text.
    fn to_json(&self) -> String {
        let mut text = String::new();
        self.write_json(&mut text);
        text
    }
}

/// Writing to a string cannot fail.
fn append(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

/// Appends a quoted hexadecimal string.
pub(crate) fn write_hex(bytes: &[u8], text: &mut String) {
    text.push_str("\"0x");
    bytes.iter().for_each(|byte| append(text, format_args!("{byte:02x}")));
    text.push('"');
}

/// Appends an object; each field writes its own value.
pub(crate) fn write_object(fields: &[(&str, &dyn Json)], text: &mut String) {
    for (at, (name, value)) in fields.iter().enumerate() {
        append(text, format_args!("{}\"{name}\":", if at == 0 { '{' } else { ',' }));
        value.write_json(text);
    }
    text.push('}');
}

fn write_array<'a, T: Json + 'a>(values: impl Iterator<Item = &'a T>, text: &mut String) {
    text.push('[');
    for (at, value) in values.enumerate() {
        if at > 0 {
            text.push(',');
        }
        value.write_json(text);
    }
    text.push(']');
}

impl Json for u64 {
    fn write_json(&self, text: &mut String) {
        append(text, format_args!("\"{self}\""));
    }
}

impl Json for bool {
    fn write_json(&self, text: &mut String) {
        append(text, format_args!("{self}"));
    }
}

impl<const N: usize> Json for FixedBytes<N> {
    fn write_json(&self, text: &mut String) {
        write_hex(self.as_ref(), text);
    }
}

impl<const N: usize> Json for Bitlist<N> {
    fn write_json(&self, text: &mut String) {
        let mut bytes = Vec::new();
        // This fails only for a list beyond its limit; then what was written is shown.
        let _ = self.serialize(&mut bytes);
        write_hex(&bytes, text);
    }
}

impl<T: Json + SimpleSerialize, const N: usize> Json for List<T, N> {
    fn write_json(&self, text: &mut String) {
        write_array(self.iter(), text);
    }
}

impl<T: Json + SimpleSerialize, const N: usize> Json for Vector<T, N> {
    fn write_json(&self, text: &mut String) {
        write_array(self.iter(), text);
    }
}

impl<T: Element + Json, N: Length> Json for PersistentList<T, N> {
    fn write_json(&self, text: &mut String) {
        write_array(self.iter(), text);
    }
}

impl<T: Element + Json, N: Length> Json for PersistentVector<T, N> {
    fn write_json(&self, text: &mut String) {
        write_array(self.iter(), text);
    }
}

/// Justification bits: a bit vector of four, written as a byte in hexadecimal.
impl Json for u8 {
    fn write_json(&self, text: &mut String) {
        write_hex(&[*self], text);
    }
}
