//! The arguments are judged, and compared with the comments that they are of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Argument, Compared, arguments};
use blocksmith_engines::litmus::Answer;

#[test]
fn every_argument_holds_and_every_weakening_is_answered_as_expected() {
    // Judges each variant under each model and under loom, and shows all that differ at once.
    let mut wrong = Vec::new();
    for Argument { id, variants, .. } in arguments() {
        for variant in variants {
            let judged = variant.judge().expect("well formed");
            if let Some(difference) = variant.difference(&judged) {
                let (what, answers, loom) = (variant.what, judged.answers, judged.loom);
                let program = &variant.program;
                wrong.push(format!("{id}, {what}: {answers:?}, {loom:?}; {difference}\n{program}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_argument_is_forbidden_as_written_and_has_a_weakening_that_is_not() {
    // Reads the expected answers. A weakening that stays forbidden has a reason, and only such a
    // one.
    let mut ids = BTreeSet::new();
    for Argument { id, variants, .. } in arguments() {
        assert!(ids.insert(id), "{id} is there twice");
        let (written, weaker) = variants.split_first().expect("it has a program");
        assert!(written.is_written() && written.expected == [Answer::Forbidden; 4], "{id}");
        let stays = |expected: &[Answer; 4]| *expected == [Answer::Forbidden; 4];
        assert!(weaker.iter().any(|variant| !stays(&variant.expected)), "{id} has no twin");
        for variant in weaker {
            let what = variant.what;
            assert_eq!(stays(&variant.expected), variant.redundant.is_some(), "{id}: {what}");
            assert_ne!(variant.program, written.program, "{id}: {what} weakens nothing");
        }
    }
}

#[test]
fn a_variant_with_another_answer_than_expected_is_found() {
    // Changes what is expected of one answer, and of loom.
    let mut variant = arguments().remove(0).variants.remove(0);
    let mut judged = variant.judge().expect("well formed");
    assert_eq!(variant.difference(&judged), None);
    variant.loom_differs = Some("a reason for nothing");
    assert!(variant.difference(&judged).is_some());
    variant.loom_differs = None;
    for loom in [Compared::FindsLess, Compared::FindsMore, Compared::Truncated] {
        judged.loom = loom;
        assert!(variant.difference(&judged).is_some(), "{loom:?}");
    }
    judged.loom = Compared::Agrees;
    variant.expected[2] = Answer::Allowed;
    assert!(variant.difference(&judged).is_some());
}

/// Returns the `ORDERING` comments of a file, each on one line. Unit tests are left out.
fn comments(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.lines().take_while(|line| *line != "#[cfg(test)]") {
        let comment = line.trim().strip_prefix("// ");
        is_open &= comment.is_some();
        if let Some(comment) = comment {
            if comment.starts_with("ORDERING") {
                found.push(comment.to_owned());
                is_open = true;
            } else if let Some(last) = found.last_mut().filter(|_| is_open) {
                last.push(' ');
                last.push_str(comment);
            }
        }
    }
    found
}

/// Returns the Rust files of a folder, from the workspace's root, with their text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder)).expect("a folder of core") {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("a name in UTF-8"));
        if entry.path().is_dir() {
            found.extend(sources(&path));
        } else if path.ends_with(".rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(entry.path()).expect("source in UTF-8");
            found.push((path, text));
        }
    }
    found
}

#[test]
fn every_pair_that_an_ordering_comment_names_has_a_program() {
    // Reads the comments of core. One names a pair if it says what it pairs with, which half a
    // fence is, or why the sweep cannot kill it.
    let arguments = arguments();
    let names_a_pair = |comment: &str| {
        let words = ["pairs with ", "fence (N)", "fence (W)", "ORDERING(survives)"];
        words.iter().any(|words| comment.contains(words)) && !comment.contains("pairs with nothing")
    };
    let (mut pairs, mut without) = (0, Vec::new());
    for (file, text) in ["core/sync/src", "core/services/src"].into_iter().flat_map(sources) {
        for comment in comments(&text).into_iter().filter(|comment| names_a_pair(comment)) {
            pairs += 1;
            let of = arguments.iter().flat_map(|argument| argument.of);
            let mut of = of.filter(|(path, _)| *path == file);
            if !of.any(|(_, words)| comment.contains(words)) {
                without.push(format!("{file}: {comment}"));
            }
        }
    }
    assert!(pairs > 60, "{pairs} comments name a pair");
    assert!(without.is_empty(), "{}", without.join("\n"));
}

#[test]
fn every_argument_is_of_comments_that_are_there() {
    // Looks for the words of each argument in the comments of its file.
    let files: Vec<_> =
        ["core/sync/src", "core/services/src"].into_iter().flat_map(sources).collect();
    for Argument { id, of, .. } in arguments() {
        assert!(!of.is_empty(), "{id} is of no comment");
        for (path, words) in of {
            let (_, text) = files.iter().find(|(file, _)| file == path).expect("the file is there");
            let is_there = comments(text).iter().any(|comment| comment.contains(words));
            assert!(is_there, "{id}: {path} has no comment with \"{words}\"");
        }
    }
}
