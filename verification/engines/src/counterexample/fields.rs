//! Reads what a state holds from its `Debug` text.

/// The deepest field of a field that is a value of its own.
const MAX_DEPTH: usize = 6;

/// Returns the fields of a value from its `Debug` text on one line, each with the text of its own
/// value. A field that is a struct with named fields is taken apart, too, and its fields' names
/// follow its own after a dot. A text that is no such struct is one field, `state`.
///
/// ```
/// use blocksmith_engines::counterexample::fields;
///
/// let found = fields("State { at: [1, 2], lock: Lock { held: true, line: \"a, b\" } }");
/// let expected = [("at", "[1, 2]"), ("lock.held", "true"), ("lock.line", "\"a, b\"")];
/// assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
/// assert_eq!(fields("7"), [("state".to_owned(), "7".to_owned())]);
/// ```
#[must_use]
pub fn fields(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if !take_apart("", text, MAX_DEPTH, &mut found) {
        found.push(("state".to_owned(), text.to_owned()));
    }
    found
}

/// Adds the fields of a struct with named fields. Returns whether the text is one.
fn take_apart(prefix: &str, text: &str, depth: usize, found: &mut Vec<(String, String)>) -> bool {
    let Some(inside) = named_fields(text).filter(|_| depth > 0) else { return false };
    let parts = split(inside);
    let pairs: Option<Vec<_>> = parts.iter().map(|part| part.split_once(": ")).collect();
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let Some(pairs) = pairs.filter(|pairs| pairs.iter().all(|(name, _)| is_name(name))) else {
        return false;
    };
    for (name, value) in pairs {
        let name = format!("{prefix}{name}");
        if !take_apart(&format!("{name}."), value, depth - 1, found) {
            found.push((name, value.to_owned()));
        }
    }
    true
}

/// Returns what is between the braces of `Name { .. }`.
fn named_fields(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once(" { ")?;
    let is_name = name.starts_with(|first: char| first.is_uppercase())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    rest.strip_suffix(" }").filter(|_| is_name)
}

/// Splits at the commas that are in no brackets and no quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    let mut quoted = false;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' if quoted => drop(characters.next()),
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::fields;

    #[derive(Debug)]
    struct Inner {
        _line: Vec<Option<u8>>,
        _text: &'static str,
    }

    #[derive(Debug)]
    struct Outer {
        _pair: (u8, u8),
        _inner: Inner,
        _map: BTreeMap<u8, &'static str>,
        _none: Option<Inner>,
    }

    #[test]
    fn commas_in_brackets_and_quotes_separate_nothing() {
        // Takes apart a value whose parts hold commas, quotes, colons and braces.
        let inner = Inner { _line: vec![Some(1), None], _text: "a, \"b\": { }" };
        let map = BTreeMap::from([(1, "x: y, z")]);
        let outer = Outer { _pair: (1, 2), _inner: inner, _map: map, _none: None };
        let found = fields(&format!("{outer:?}"));
        let expected = [
            ("_pair", "(1, 2)"),
            ("_inner._line", "[Some(1), None]"),
            ("_inner._text", "\"a, \\\"b\\\": { }\""),
            ("_map", "{1: \"x: y, z\"}"),
            ("_none", "None"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
