//! Reading YAML from outside: what is read takes no more memory than in proportion to its text.
//!
//! An alias stands for a copy of what its anchor marks, and a few bytes of aliases can ask for any
//! number of copies. Neither configurations nor vectors have any, so a text with both is refused
//! before it is parsed.

use serde::de::{DeserializeOwned, Error as _};

/// Reads a text.
///
/// # Errors
/// If the text is not YAML of this form, or has anchors and aliases.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, yaml_serde::Error> {
    if let (Some(_), Some(line)) = (line_of(text, b'&'), line_of(text, b'*')) {
        return Err(yaml_serde::Error::custom(format!("line {line}: aliases are not supported")));
    }
    yaml_serde::from_str(text)
}

/// Returns the first line on which `mark` may begin an anchor or an alias. Comments and quoted
/// text are looked at as well, since where they end is not known here.
fn line_of(text: &str, mark: u8) -> Option<usize> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // Within a word it is part of the word, and twice it is a power in a comment.
    let within = |byte: u8| byte.is_ascii_alphanumeric() || byte == mark;
    let mut before = b' ';
    let mut line = 1;
    let mut bytes = text.as_bytes().iter().peekable();
    while let Some(&byte) = bytes.next() {
        if byte == mark && !within(before) && bytes.peek().copied().is_some_and(is_name) {
            return Some(line);
        }
        line += usize::from(byte == b'\n');
        before = byte;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::read;

    #[test]
    fn an_alias_is_refused_wherever_it_may_stand() {
        // As a key, a value, and a member of a list; after a comma, a colon, a quote that is open.
        let forms = [
            "x: &a \"long\"\n*a : 1\n",
            "x: &a 1\ny: *a\n",
            "x: &a 1\ny:\n- *a\n",
            "{x: &a 1, y: [2,*a]}",
            "{\"x\": &a 1, \"y\":*a}",
            "x: &a it's\ny: *a\n",
            "\"x #\": &a 1\n\"y #\": *a\n",
        ];
        for text in forms {
            let error = read::<yaml_serde::Value>(text).unwrap_err().to_string();
            assert!(error.contains("aliases are not supported"), "{text}: {error}");
            assert!(yaml_serde::from_str::<yaml_serde::Value>(text).is_ok(), "{text} is YAML");
        }
    }

    #[test]
    fn the_line_of_the_first_alias_is_named() {
        // The anchor is on the first line.
        let error = read::<yaml_serde::Value>("x: &a 1\n\ny: *a\n").unwrap_err().to_string();
        assert!(error.starts_with("line 3: "), "{error}");
    }

    #[test]
    fn what_only_looks_alike_is_read() {
        // Powers and products in comments, an "and", an asterisk within a word.
        let text = "# 2**64 & more, 3 *4, R&D\nx: 2*3\ny: a&b\n";
        let read: BTreeMap<String, String> = read(text).unwrap();
        assert_eq!((read["x"].as_str(), read["y"].as_str()), ("2*3", "a&b"));
    }
}
