//! Rules that a reader would tire of checking: what is subtle has its reason beside it, and nothing
//! is unfinished.
//!
//! The rules are textual. The text after `//` is comment, and the rest of a line is code. A reason
//! counts as beside a line if it stands in that line or in the few lines above.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace;

/// The number of lines above an `unsafe` in which its reason may stand.
const SAFETY_WITHIN: usize = 8;
/// The number of lines above an ordering in which its reason may stand. One reason may serve a
/// whole small function.
const ORDERING_WITHIN: usize = 15;

const CRATES: [&str; 10] = [
    "core/sync",
    "core/services",
    "core/consensus",
    "core/node",
    "core/conformance",
    "core/terminal",
    "core/cli",
    "models",
    "verification",
    "tests",
];

/// A source file, split into lines. Its path is relative to the workspace.
struct Source {
    path: PathBuf,
    lines: Vec<String>,
}

/// Splits a line into code and comment.
fn split(line: &str) -> (&str, &str) {
    line.find("//").map_or((line, ""), |at| line.split_at(at))
}

impl Source {
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines.iter().enumerate().map(|(at, line)| (at, split(line).0))
    }

    /// Returns whether one of `reasons` stands in a comment, in line `at` or in the `within` lines
    /// above it.
    fn has_reason(&self, at: usize, within: usize, reasons: &[&str]) -> bool {
        self.lines[at.saturating_sub(within)..=at]
            .iter()
            .any(|line| reasons.iter().any(|reason| split(line).1.contains(reason)))
    }

    /// Returns the line at which the unit tests begin, or the end of the file if it has none.
    fn tests_begin(&self) -> usize {
        let marker = self.lines.iter().position(|line| line.trim() == "#[cfg(test)]");
        marker.unwrap_or(self.lines.len())
    }

    fn place(&self, at: usize) -> String {
        format!("{}:{}: {}", self.path.display(), at + 1, self.lines[at].trim())
    }
}

/// Returns the Rust files of a crate. This file is left out, because its needles would find
/// themselves.
fn sources(krate: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![workspace(krate)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs")
                && !path.ends_with("all/tidy.rs")
            {
                let text = fs::read_to_string(&path).expect("source in UTF-8");
                let path = path.strip_prefix(workspace("")).expect("within it").to_owned();
                found.push(Source { lines: text.lines().map(str::to_owned).collect(), path });
            }
        }
    }
    assert!(!found.is_empty(), "{krate} has no source");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Returns whether `word` stands in `code` as a whole word.
fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(part) && !code[at + word.len()..].starts_with(part))
}

fn none(what: &str, places: &[String]) {
    assert!(places.is_empty(), "{what}:\n{}", places.join("\n"));
}

#[test]
fn every_unsafe_has_its_reason() {
    // Looks for `SAFETY:` beside each block and impl, or a section `# Safety` above a function.
    let mut places = Vec::new();
    for source in CRATES.iter().flat_map(|krate| sources(krate)) {
        for (at, code) in source.code() {
            let stated = source.has_reason(at, SAFETY_WITHIN, &["SAFETY:", "# Safety"]);
            if has_word(code, "unsafe") && !stated {
                places.push(source.place(at));
            }
        }
    }
    none("no SAFETY beside", &places);
}

#[test]
fn only_sync_has_unsafe_in_core() {
    // The root of every other crate forbids unsafe code.
    for krate in [
        "core/services",
        "core/consensus",
        "core/node",
        "core/conformance",
        "core/terminal",
        "tests",
    ] {
        let root = fs::read_to_string(workspace(krate).join("src/lib.rs")).expect("a root");
        assert!(root.contains("#![forbid(unsafe_code)]"), "{krate}");
    }
}

#[test]
fn unsafe_outside_core_is_the_engines() {
    // Backends implement cells, guards and coroutines. Code that is written against them needs no
    // unsafe code.
    let engines = ["verification/engines"];
    let mut places = Vec::new();
    for source in ["models", "verification"].into_iter().flat_map(sources) {
        let is_engine = engines.iter().any(|path| source.path.starts_with(path));
        for (at, code) in source.code().filter(|_| !is_engine) {
            if has_word(code, "unsafe") {
                places.push(source.place(at));
            }
        }
    }
    none("unsafe outside the engines", &places);
}

#[test]
fn every_ordering_in_sync_has_its_reason() {
    // Looks for `ORDERING:` beside each use outside the unit tests. Imports and plain names are not
    // uses.
    let orderings = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
    let (mut places, mut uses) = (Vec::new(), 0);
    for source in sources("core/sync/src").iter().filter(|source| !is_test_file(&source.path)) {
        let end = source.tests_begin();
        for (at, code) in source.code().filter(|(at, _)| *at < end) {
            let is_use = orderings.iter().any(|ordering| has_word(code, ordering))
                && code.contains('(')
                && !code.trim_start().starts_with("use ");
            uses += usize::from(is_use);
            if is_use && !source.has_reason(at, ORDERING_WITHIN, &["ORDERING:"]) {
                places.push(source.place(at));
            }
        }
    }
    // This test once passed over every file, because the path to the workspace leads through this
    // crate.
    assert!(uses > 100, "{uses} uses in all of sync");
    none("no ORDERING beside", &places);
}

#[test]
fn seq_cst_is_for_fences_only() {
    // No access is SeqCst, because one of the checkers judges such an access as AcqRel.
    let mut places = Vec::new();
    for source in sources("core/sync") {
        for (at, code) in source.code() {
            let allowed = code.contains("fence(") || code.trim_start().starts_with("use ");
            if has_word(code, "SeqCst") && !allowed {
                places.push(source.place(at));
            }
        }
    }
    none("SeqCst outside a fence", &places);
}

#[test]
fn nothing_is_unfinished() {
    // No crate has a placeholder, an ignored test or left-over debugging.
    let needles = ["todo!", "unimplemented!", "dbg!", "#[ignore"];
    let mut places = Vec::new();
    for source in CRATES.iter().flat_map(|krate| sources(krate)) {
        for (at, code) in source.code() {
            if needles.iter().any(|needle| code.contains(needle)) {
                places.push(source.place(at));
            }
        }
    }
    none("unfinished", &places);
}

#[test]
fn core_does_not_sleep() {
    // A thread of core waits by parking on a notifier, which can be interrupted (hazard N10). A
    // bench may pause between measurements, and an example may pace the load that it sends.
    let mut places = Vec::new();
    let is_bench = |source: &Source| {
        source
            .path
            .components()
            .any(|part| ["benches", "examples"].map(AsRef::as_ref).contains(&part.as_os_str()))
    };
    let sources = CRATES[..4].iter().flat_map(|krate| sources(krate));
    for source in sources.filter(|source| !is_bench(source)) {
        for (at, code) in source.code() {
            if code.contains("thread::sleep") || has_word(code, "sleep_ms") {
                places.push(source.place(at));
            }
        }
    }
    none("sleeps", &places);
}

fn is_test_file(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}
