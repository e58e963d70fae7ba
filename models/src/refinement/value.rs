//! The values of TLA+ in one canonical form, and how they are read.
//!
//! Two texts of one value, in whatever order their elements come, are read as equal values, and an
//! equal value has one text. As in TLA+, a sequence is a function of 1 to its length, and a record
//! is a function of its fields' names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use thiserror::Error;

/// How deep values may be nested in a text.
const MAX_DEPTH: usize = 32;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// `TRUE` or `FALSE`.
    Flag(bool),
    /// An integer.
    Number(i64),
    /// A string.
    Text(String),
    /// A set.
    Set(BTreeSet<Value>),
    /// A function of 1 to n.
    Sequence(Vec<Value>),
    /// Any other function.
    Function(BTreeMap<Value, Value>),
}

/// The values of a state's variables, by the variables' names.
pub type Variables = BTreeMap<String, Value>;

impl Value {
    /// Returns the set of these elements.
    pub fn set<T: Into<Self>>(elements: impl IntoIterator<Item = T>) -> Self {
        Self::Set(elements.into_iter().map(Into::into).collect())
    }

    /// Returns the sequence of these elements.
    pub fn sequence<T: Into<Self>>(elements: impl IntoIterator<Item = T>) -> Self {
        Self::Sequence(elements.into_iter().map(Into::into).collect())
    }

    /// Returns the function of these pairs; it is a sequence if its domain is 1 to n.
    pub fn function<K: Into<Self>, V: Into<Self>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs: BTreeMap<Self, Self> =
            pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let is_sequence = (1..).zip(pairs.keys()).all(|(at, key)| *key == Self::Number(at));
        if is_sequence {
            Self::Sequence(pairs.into_values().collect())
        } else {
            Self::Function(pairs)
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// Numbers above the largest `i64` become that one.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}

impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Self::Number(number.into())
    }
}

fn listed<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    between: &str,
    mut show: impl FnMut(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        show(f, item)?;
    }
    Ok(())
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(if *flag { "TRUE" } else { "FALSE" }),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Set(elements) => {
                f.write_str("{")?;
                listed(f, elements, ", ", |f, element| write!(f, "{element}"))?;
                f.write_str("}")
            }
            Self::Sequence(elements) => {
                f.write_str("<<")?;
                listed(f, elements, ", ", |f, element| write!(f, "{element}"))?;
                f.write_str(">>")
            }
            Self::Function(pairs) => {
                f.write_str("(")?;
                listed(f, pairs, " @@ ", |f, (key, value)| write!(f, "{key} :> {value}"))?;
                f.write_str(")")
            }
        }
    }
}

/// Why a text is no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{expected} was expected before {rest:?}")]
pub struct NoValue {
    expected: &'static str,
    rest: String,
}

impl std::str::FromStr for Value {
    type Err = NoValue;

    fn from_str(text: &str) -> Result<Self, NoValue> {
        let mut reader = Reader { rest: text.chars().peekable() };
        let value = reader.value(0)?;
        if reader.next_is("") && reader.rest.peek().is_none() {
            Ok(value)
        } else {
            Err(reader.fails("the end"))
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn fails(&self, expected: &'static str) -> NoValue {
        NoValue { expected, rest: self.rest.clone().take(20).collect() }
    }

    /// Skips white space, and then `token`, if it is next. Returns whether it was.
    fn next_is(&mut self, token: &str) -> bool {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
        let mut ahead = self.rest.clone();
        let is_next = token.chars().all(|c| ahead.next() == Some(c));
        if is_next {
            self.rest = ahead;
        }
        is_next
    }

    fn expect(&mut self, token: &'static str) -> Result<(), NoValue> {
        if self.next_is(token) { Ok(()) } else { Err(self.fails(token)) }
    }

    fn while_is(&mut self, is: impl Fn(&char) -> bool) -> String {
        std::iter::from_fn(|| self.rest.next_if(&is)).collect()
    }

    /// Reads items until `end`, which stands behind the last one.
    fn until<T>(
        &mut self,
        end: &'static str,
        between: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, NoValue>,
    ) -> Result<Vec<T>, NoValue> {
        let mut items = Vec::new();
        if self.next_is(end) {
            return Ok(items);
        }
        // The loop is bounded by the text: each item takes at least one character.
        loop {
            items.push(item(self)?);
            if self.next_is(end) {
                return Ok(items);
            }
            self.expect(between)?;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, NoValue> {
        if depth > MAX_DEPTH {
            return Err(self.fails("less nesting"));
        }
        let element = |reader: &mut Self| reader.value(depth + 1);
        if self.next_is("{") {
            return Ok(Value::Set(self.until("}", ",", element)?.into_iter().collect()));
        }
        if self.next_is("<<") {
            return Ok(Value::Sequence(self.until(">>", ",", element)?));
        }
        if self.next_is("(") {
            let pairs = self.until(")", "@@", |reader| {
                let key = reader.value(depth + 1)?;
                reader.expect(":>")?;
                Ok((key, reader.value(depth + 1)?))
            })?;
            return Ok(Value::function(pairs));
        }
        if self.next_is("[") {
            let fields = self.until("]", ",", |reader| {
                reader.next_is("");
                let name = reader.while_is(|c| c.is_alphanumeric() || *c == '_');
                reader.expect("|->")?;
                Ok((Value::Text(name), reader.value(depth + 1)?))
            })?;
            return Ok(Value::function(fields));
        }
        if self.next_is("\"") {
            let text = self.while_is(|c| *c != '"');
            self.expect("\"")?;
            return Ok(Value::Text(text));
        }
        let word = self.while_is(|c| c.is_alphanumeric() || *c == '-');
        match word.as_str() {
            "TRUE" | "true" => Ok(Value::Flag(true)),
            "FALSE" | "false" => Ok(Value::Flag(false)),
            _ => word.parse().map(Value::Number).map_err(|_| self.fails("a value")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Value;

    fn read(text: &str) -> Value {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_value_has_one_text_in_whatever_order_it_is_written() {
        // Sets and functions with their elements in two orders, and two ways to write a function.
        for (one, other) in [
            ("{2, 1}", "{1,2, 2}"),
            ("(\"b\" :> 1 @@ \"a\" :> 2)", "[a |-> 2, b |-> 1]"),
            ("(2 :> TRUE @@ 1 :> FALSE)", "<<false, true>>"),
            ("{<<1, {}>>}", "{ <<1,{}>> }"),
        ] {
            assert_eq!(read(one), read(other));
            assert_eq!(read(one).to_string(), read(other).to_string());
            assert_eq!(read(&read(one).to_string()), read(one));
        }
        assert_ne!(read("{1}"), read("<<1>>"));
        assert_ne!(read("\"1\""), read("1"));
        assert_ne!(read("(0 :> 1)"), read("(1 :> 1)"));
    }

    #[test]
    fn a_text_that_is_no_value_is_refused() {
        // Cut short, without its sign, with more behind it, and nested too deep.
        let deep = "{".repeat(100) + &"}".repeat(100);
        for text in ["", "{1", "<<1>", "(1 > 2)", "[a |- 1]", "1 2", "\"a", "{1 2}", "x", &deep] {
            assert!(text.parse::<Value>().is_err(), "{text}");
        }
    }
}
