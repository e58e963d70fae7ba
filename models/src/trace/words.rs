//! The words of a step, read.

use super::{Outcome, Refusal};

/// A verb and its named values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words<'a> {
    pub(crate) verb: &'a str,
    text: &'a str,
}

/// Returns the refusal of a value that is none of those that a trace has.
pub(crate) fn unreadable(field: &'static str, value: &str) -> Refusal {
    let value: String = value.chars().take(80).collect();
    Refusal::Unreadable { field, why: format!("{value:?} is not in the words of a trace") }
}

impl<'a> Words<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Refusal> {
        let mut parts = text.split(' ');
        let verb = parts.next().unwrap_or("");
        let has_form = parts
            .all(|part| part.split_once('=').is_some_and(|(n, v)| !n.is_empty() && !v.is_empty()));
        if verb.is_empty() || !has_form {
            return Err(unreadable("event or effects", text));
        }
        Ok(Self { verb, text })
    }

    /// Returns the value of this name.
    pub(crate) fn get(&self, name: &'static str) -> Result<&'a str, Refusal> {
        self.find(name).ok_or_else(|| unreadable(name, self.text))
    }

    /// Returns the value of this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<&'a str> {
        let mut parts = self.text.split(' ').skip(1).filter_map(|part| part.split_once('='));
        parts.find_map(|(own, value)| (own == name).then_some(value))
    }

    pub(crate) fn number(&self, name: &'static str) -> Result<u64, Refusal> {
        let value = self.get(name)?;
        value.parse().map_err(|_| unreadable(name, value))
    }

    /// Returns the entries of a list.
    pub(crate) fn list(&self, name: &'static str) -> Result<Vec<&'a str>, Refusal> {
        let value = self.get(name)?;
        Ok(if value == "-" { Vec::new() } else { value.split(',').collect() })
    }

    /// Returns the pairs of a list of blocks with their parents.
    pub(crate) fn blocks(&self, name: &'static str) -> Result<Vec<(&'a str, &'a str)>, Refusal> {
        let pair = |entry: &'a str| entry.split_once('-').ok_or_else(|| unreadable(name, entry));
        self.list(name)?.into_iter().map(pair).collect()
    }

    /// Returns epoch and root of a checkpoint.
    pub(crate) fn checkpoint(&self, name: &'static str) -> Result<(u64, &'a str), Refusal> {
        checkpoint(name, self.get(name)?)
    }
}

pub(crate) fn checkpoint<'a>(
    name: &'static str,
    value: &'a str,
) -> Result<(u64, &'a str), Refusal> {
    let read = value.split_once('@').and_then(|(epoch, root)| Some((epoch.parse().ok()?, root)));
    read.ok_or_else(|| unreadable(name, value))
}

/// Returns the root of a block, if the item is one.
pub(crate) fn block_root(what: &str) -> Option<&str> {
    let (root, _) = what.strip_prefix("block:")?.split_once('/')?;
    Some(root)
}

/// Returns whether an item is one that the Quarantine hands on; a state or a production is not.
pub(crate) fn is_of_the_network(what: &str) -> bool {
    !what.starts_with("state:") && !what.starts_with("produce:")
}

/// The refusal of a verb that a service does not have.
pub(crate) fn unknown(verb: &str) -> Outcome {
    Err(unreadable("event or effects", verb))
}
