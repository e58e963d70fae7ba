//! What the signer's log says was signed, and whether any of it is slashable.
//!
//! The log has what nobody else may have seen: signatures whose asker was killed, and messages that
//! never reached the node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// A line of the log.
#[derive(Debug, Deserialize)]
struct Line {
    key: String,
    #[serde(flatten)]
    message: Message,
    signing_root: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Message {
    #[serde(rename = "BLOCK")]
    Block { slot: u64 },
    #[serde(rename = "ATTESTATION")]
    Attestation { source: u64, target: u64 },
}

/// What one key has signed; the same message again counts once.
#[derive(Debug, Default)]
struct Signed {
    /// Slot and signing root.
    blocks: BTreeSet<(u64, String)>,
    /// Source, target and signing root.
    votes: BTreeSet<(u64, u64, String)>,
}

/// What all keys have signed.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    keys: BTreeMap<String, Signed>,
}

impl Signatures {
    /// Reads the log of a signer that has ended.
    ///
    /// # Errors
    /// If it cannot be read, or a line of it is not one of the log. A last line that does not end
    /// is passed over: a kill has cut it, and of its batch nothing was signed.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        Self::parse(BufReader::new(file)).with_context(|| path.display().to_string())
    }

    fn parse(mut log: impl BufRead) -> anyhow::Result<Self> {
        let (mut signatures, mut text) = (Self::default(), Vec::new());
        for number in 1_u64.. {
            text.clear();
            log.read_until(b'\n', &mut text)?;
            if text.last() != Some(&b'\n') {
                break;
            }
            let line = serde_json::from_slice(&text).with_context(|| format!("line {number}"))?;
            signatures.take(line);
        }
        Ok(signatures)
    }

    fn take(&mut self, Line { key, message, signing_root }: Line) {
        let signed = self.keys.entry(key).or_default();
        match message {
            Message::Block { slot } => signed.blocks.insert((slot, signing_root)),
            Message::Attestation { source, target } => {
                signed.votes.insert((source, target, signing_root))
            }
        };
    }

    /// Returns whether nothing was signed.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns how many pairs of messages of one key are slashable as EIP-3076 puts it: two blocks
    /// of one slot, two votes of one target, and a vote that surrounds another.
    pub(super) fn slashable(&self) -> u64 {
        let of_key = |signed: &Signed| {
            pairs(signed.blocks.iter().map(|(slot, _)| *slot))
                + pairs(signed.votes.iter().map(|(_, target, _)| *target))
                + surrounds(&signed.votes)
        };
        self.keys.values().map(of_key).sum()
    }
}

/// Returns how many pairs of a list have the same number.
fn pairs(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut counts = BTreeMap::<u64, u64>::new();
    numbers
        .map(|number| {
            let count = counts.entry(number).or_default();
            *count += 1;
            *count - 1
        })
        .sum()
}

/// Returns how many pairs have one vote that surrounds the other. The votes come by source, and
/// those of one source by target, so that a vote surrounds exactly the later ones whose target is
/// smaller. Takes linear time where nothing is slashable, but for the look-ups.
fn surrounds(votes: &BTreeSet<(u64, u64, String)>) -> u64 {
    let (mut targets, mut count) = (Vec::new(), 0);
    for (_, target, _) in votes {
        let at = targets.partition_point(|earlier| earlier <= target);
        count += (targets.len() - at) as u64;
        targets.insert(at, *target);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(key: u8, slot: u64, root: u8) -> String {
        format!(r#"{{"key":"{key}","type":"BLOCK","slot":{slot},"signing_root":"{root}"}}"#) + "\n"
    }

    fn vote(key: u8, source: u64, target: u64, root: u8) -> String {
        let epochs = format!(r#""source":{source},"target":{target}"#);
        let rest = format!(r#""type":"ATTESTATION",{epochs},"signing_root":"{root}"}}"#);
        format!(r#"{{"key":"{key}",{rest}"#) + "\n"
    }

    fn slashable(lines: &[String]) -> u64 {
        Signatures::parse(lines.concat().as_bytes()).expect("a log").slashable()
    }

    #[test]
    fn each_offence_is_counted_and_nothing_else() {
        // A history that has one of each, and grows by a line at a time.
        let history = [
            (block(1, 5, 1), 0),
            (block(1, 6, 2), 0),
            // The same again, and the slot of another key.
            (block(1, 5, 1), 0),
            (block(2, 5, 9), 0),
            (block(1, 5, 3), 1),
            (vote(1, 2, 3, 4), 1),
            (vote(1, 2, 3, 4), 1),
            // A target as far as the slot of a block, and a source that is shared.
            (vote(1, 2, 5, 5), 1),
            (vote(2, 0, 9, 6), 1),
            // A double vote, which neither surrounds nor is surrounded.
            (vote(1, 2, 3, 7), 2),
            // It surrounds 2-3, twice, and not 2-5.
            (vote(1, 1, 4, 8), 4),
            // It is surrounded by 2-9 of another key alone.
            (vote(1, 5, 6, 9), 4),
        ];
        let lines: Vec<String> = history.iter().map(|(line, _)| line.clone()).collect();
        for (at, (line, expected)) in history.iter().enumerate() {
            assert_eq!(slashable(&lines[..=at]), *expected, "{line}");
        }
        // The order in which they were signed does not matter.
        let reversed: Vec<String> = lines.into_iter().rev().collect();
        assert_eq!(slashable(&reversed), 4);
    }

    #[test]
    fn surrounding_votes_are_counted_as_the_definition_does() {
        // Every pair of votes with small epochs.
        let all: Vec<(u64, u64)> =
            (0..5).flat_map(|source| (source..6).map(move |target| (source, target))).collect();
        for (s1, t1) in &all {
            for (s2, t2) in &all {
                let is_offence = t1 == t2 || (s1 < s2 && t2 < t1) || (s2 < s1 && t1 < t2);
                let found = slashable(&[vote(1, *s1, *t1, 1), vote(1, *s2, *t2, 2)]);
                assert_eq!(found, u64::from(is_offence), "{s1}-{t1} {s2}-{t2}");
            }
        }
    }

    #[test]
    fn a_last_line_that_a_kill_has_cut_is_passed_over_and_no_other() {
        // The second of two votes of one target, cut everywhere; then the same before another line.
        let (first, second) = (vote(1, 2, 3, 4), vote(1, 2, 3, 5));
        for cut in 0..second.len() {
            assert_eq!(slashable(&[first.clone(), second[..cut].to_owned()]), 0, "{cut}");
        }
        assert_eq!(slashable(&[first.clone(), second.clone()]), 1);
        let glued = [&second[..9], &first].concat();
        let error = Signatures::parse(glued.as_bytes()).expect_err("a damaged line");
        assert_eq!(error.to_string(), "line 1");
        assert!(Signatures::parse(&b""[..]).expect("no line").is_empty());
    }
}
