//! The runner of EIP-3076's interchange tests, over the project's own cases and, where a folder is
//! given, over the published ones.
//!
//! A case is a file: a name, the chain, and steps. Each step imports a file of EIP-3076, and then
//! has blocks and attestations signed.

use std::fs;
use std::path::{Path, PathBuf};

use blocksmith::slashing_protection::{
    Key, Limits, Merge, Outcome, Request, Statement, check_and_record, export, import,
};
use blocksmith_consensus::{FromJson, PublicKeyBytes, Root, json_field};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::signer::interchange::{self, InterchangeError};
use crate::signer::protection::SqliteStore;

/// The folder with the published cases: `tests/generated` of their release.
const FOLDER: &str = "BLOCKSMITH_INTERCHANGE_TESTS";

type Object = Map<String, Value>;

fn field<T: FromJson>(object: &Object, name: &str) -> T {
    json_field(object, name).unwrap_or_else(|error| panic!("{error}"))
}

fn list<'a>(object: &'a Object, name: &str) -> Vec<&'a Object> {
    let list = object[name].as_array().expect("a list");
    list.iter().map(|value| value.as_object().expect("an object")).collect()
}

/// A message of a case, and what becomes of it under the two strategies that the EIP describes.
struct Message {
    request: Request,
    /// Under the minimal one, which keeps the newest numbers alone.
    minimal: bool,
    /// Under the complete one.
    complete: bool,
}

fn message(object: &Object, genesis: Root, is_block: bool) -> Message {
    let key: PublicKeyBytes = field(object, "pubkey");
    let root = object.contains_key("signing_root").then(|| field::<Root>(object, "signing_root"));
    let signing_root = root.unwrap_or(Root::ZERO).to_bytes();
    let statement = if is_block {
        Statement::Block { slot: field(object, "slot"), signing_root }
    } else {
        let (source, target) = (field(object, "source_epoch"), field(object, "target_epoch"));
        Statement::Attestation { source, target, signing_root }
    };
    let request = Request { genesis: genesis.to_bytes(), key: key.to_bytes(), statement };
    let minimal = field(object, "should_succeed");
    let complete = object.get("should_succeed_complete").and_then(Value::as_bool);
    Message { request, minimal, complete: complete.unwrap_or(minimal) }
}

/// Runs a case with one reading of imports; panics where it differs. Returns the number of
/// messages.
fn run(case: &Object, merge: Merge) -> usize {
    let name = case["name"].as_str().expect("a name");
    let genesis: Root = field(case, "genesis_validators_root");
    let folder = TempDir::new().expect("a folder");
    let mut store = SqliteStore::open(&folder.path().join("protection.sqlite")).expect("a store");
    let (limits, mut messages) = (Limits::default(), 0);
    // The store belongs to the case's chain from the start.
    import(&mut store, &limits, &genesis.to_bytes(), [], merge).expect("nothing to import");
    for step in list(case, "steps") {
        let file = serde_json::to_vec(&step["interchange"]).expect("JSON");
        let (chain, entries) = interchange::read(&file).expect("a file");
        let imported = import(&mut store, &limits, &chain, entries, merge);
        // We import what is slashable as well: it only makes more be refused.
        assert_eq!(imported.is_ok(), field::<bool>(step, "should_succeed"), "{name}: {imported:?}");
        let blocks = list(step, "blocks").into_iter().map(|it| message(it, genesis, true));
        let votes = list(step, "attestations").into_iter().map(|it| message(it, genesis, false));
        for message in blocks.chain(votes) {
            let outcome = check_and_record(&mut store, &limits, &[message.request]);
            let outcome = outcome.expect("a store")[0];
            let what = format!("{name}: {:?}: {outcome:?}", message.request.statement);
            match merge {
                Merge::Complete => assert_eq!(outcome.allows(), message.complete, "{what}"),
                // Stricter than the complete strategy, and never stricter than the minimal one.
                Merge::Raise => {
                    assert!(message.complete || !outcome.allows(), "{what}");
                    assert!(!message.minimal || outcome.allows(), "{what}");
                }
            }
            messages += 1;
        }
    }
    messages
}

fn read_case(path: &Path) -> Object {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(case)) => case,
        other => panic!("{}: not a case: {other:?}", path.display()),
    }
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    paths.sort();
    assert!(!paths.is_empty(), "{} has no case", folder.display());
    paths
}

/// Runs all cases of a folder in both readings; returns the number of cases and of messages.
fn run_all(folder: &Path) -> (usize, usize) {
    let paths = cases(folder);
    let mut messages = 0;
    for path in &paths {
        let case = read_case(path);
        messages += run(&case, Merge::Complete);
        run(&case, Merge::Raise);
    }
    (paths.len(), messages)
}

#[test]
fn the_projects_own_interchange_cases_pass() {
    // They are written by hand from the EIP's conditions.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interchange");
    assert_eq!(run_all(&folder), (9, 41));
}

#[test]
fn the_published_interchange_cases_pass_where_they_are_given() {
    // Release 5.3.0 has 38 cases. They are not part of the project.
    let Ok(folder) = std::env::var(FOLDER) else {
        println!("skipped: {FOLDER} names no folder with the cases that EIP-3076 publishes");
        return;
    };
    let (count, messages) = run_all(Path::new(&folder));
    println!("{count} cases, {messages} messages, in both readings of an import");
    assert!(count >= 38, "only {count} cases in {folder}");
}

fn file(version: &str) -> String {
    let root = Root::new([7; 32]);
    let key = PublicKeyBytes::new([3; 48]);
    format!(
        r#"{{"metadata":{{"interchange_format_version":"{version}","genesis_validators_root":"{root}"}},
        "data":[{{"pubkey":"{key}","signed_blocks":[{{"slot":"81952","signing_root":"{root}"}}],
        "signed_attestations":[{{"source_epoch":"2290","target_epoch":"3007"}}]}}]}}"#
    )
}

#[test]
fn versions_five_and_four_are_read_and_five_is_written() {
    // What is read is exported and read again.
    for version in ["5", "4"] {
        let (genesis, entries) = interchange::read(file(version).as_bytes()).expect("a file");
        let folder = TempDir::new().expect("a folder");
        let mut store = SqliteStore::open(&folder.path().join("p")).expect("a store");
        let taken = entries.clone();
        import(&mut store, &Limits::default(), &genesis, taken, Merge::Raise).expect("an import");
        let exported = export(&mut store, false).expect("a store").expect("something");
        assert_eq!((exported.genesis, &exported.entries), (genesis, &entries));
        let written = interchange::write(&exported).expect("JSON");
        assert!(written.contains(r#""interchange_format_version": "5""#), "{written}");
        assert_eq!(interchange::read(written.as_bytes()).expect("our own"), (genesis, entries));
    }
    let error = interchange::read(file("6").as_bytes()).expect_err("another version");
    assert!(matches!(error, InterchangeError::Version(_)), "{error}");
}

#[test]
fn an_entry_that_is_no_key_is_passed_over_only_if_nothing_was_signed() {
    // As Lodestar 1.5.1 exports the names of other rows; then the same name with one message.
    let stray = |blocks: &str| {
        let entry = format!(
            r#"{{"pubkey":"0x47454e455349535f54494d45","signed_blocks":[{blocks}],
            "signed_attestations":[]}}"#
        );
        file("4").replacen(r#""data":["#, &format!(r#""data":[{entry},"#), 1)
    };
    let expected = interchange::read(file("4").as_bytes()).expect("a file");
    assert_eq!(interchange::read(stray("").as_bytes()).expect("nothing is lost"), expected);
    let error = interchange::read(stray(r#"{"slot":"7"}"#).as_bytes()).expect_err("a message");
    assert!(matches!(error, InterchangeError::Key { .. }), "{error}");
    let expected = "pubkey \"0x47454e455349535f54494d45\": expected 0x and 96 hexadecimal digits";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_malformed_file_is_an_error_that_says_where() {
    // One thing is wrong in each.
    for (from, to, expected) in [
        (r#""81952""#, "81952", "invalid type"),
        (r#""81952""#, r#""-1""#, "is not a number in quotes"),
        (r#""81952""#, r#""9223372036854775808""#, "is not a number in quotes"),
        ("signed_attestations", "last_signed", "missing field `signed_attestations`"),
        ("]}]}", "", "EOF"),
    ] {
        let wrong = file("5").replacen(from, to, 1);
        assert_ne!(wrong, file("5"), "{from}");
        let error = interchange::read(wrong.as_bytes()).expect_err(from).to_string();
        assert!(error.contains(expected) && error.contains("line"), "{error}");
    }
}

#[test]
fn a_file_of_another_chain_is_refused_and_changes_nothing() {
    // The store is bound to its chain by its first record.
    let folder = TempDir::new().expect("a folder");
    let mut store = SqliteStore::open(&folder.path().join("p")).expect("a store");
    let key: Key = [3; 48];
    let statement = Statement::Block { slot: 1, signing_root: [1; 32] };
    let request = Request { genesis: [8; 32], key, statement };
    let outcome = check_and_record(&mut store, &Limits::default(), &[request]);
    assert_eq!(outcome, Ok(vec![Outcome::Recorded]));
    let before = export(&mut store, false);
    let (genesis, entries) = interchange::read(file("5").as_bytes()).expect("a file");
    let refused = import(&mut store, &Limits::default(), &genesis, entries, Merge::Complete);
    assert_eq!(refused, Err(blocksmith::slashing_protection::ImportError::OtherChain));
    assert_eq!(export(&mut store, false), before);
}
