//! Tests of the walk and of the report, over folders that the tests make.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn everything(_: &str) -> bool {
    true
}

fn silence(_: &CaseReport, _: usize, _: usize) {}

/// Makes folders and files below a temporary root.
fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

const MAPPING: &str = "minimal/phase0/shuffling/core/shuffle";

#[test]
fn a_folder_of_another_layout_is_an_error() {
    // An empty folder, one with files only, and a case without its preset.
    let folders: [&[(&str, &[u8])]; 3] =
        [&[], &[("README", b"x")], &[("phase0/shuffling/core/shuffle/a/mapping.yaml", b"x")]];
    for files in folders {
        let root = tree(files);
        let outcome = run(root.path(), &everything, &silence);
        assert!(matches!(outcome, Err(VectorsError::NotInLayout(_))), "{files:?}");
    }
    let root = tree(&[]);
    let outcome = run(&root.path().join("missing"), &everything, &silence);
    assert!(matches!(outcome, Err(VectorsError::Io { .. })));
}

#[test]
fn each_case_is_reported_once_in_the_order_of_paths() {
    // A mapping of one index, one that is wrong, one that is not YAML, an unknown handler, another
    // fork.
    let seed = "0x0000000000000000000000000000000000000000000000000000000000000000";
    let mapping = |to: u64| format!("{{seed: '{seed}', count: 1, mapping: [{to}]}}\n");
    let (good, bad) = (mapping(0), mapping(1));
    let root = tree(&[
        (&format!("{MAPPING}/a/mapping.yaml"), good.as_bytes()),
        (&format!("{MAPPING}/b/mapping.yaml"), bad.as_bytes()),
        (&format!("{MAPPING}/c/mapping.yaml"), b"{seed: ["),
        ("minimal/phase0/rewards/unknown/suite/d/pre.yaml", b""),
        ("minimal/altair/rewards/basic/suite/e/pre.yaml", b""),
    ]);
    let called = AtomicUsize::new(0);
    let report = run(root.path(), &everything, &|_, _, total| {
        assert_eq!(total, 5);
        called.fetch_add(1, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!((report.passed, report.failed, report.skipped), (1, 2, 2));
    assert_eq!(called.load(Ordering::Relaxed), 5);
    let results: Vec<_> = report.cases.iter().map(|case| (&case.path[..], case.result)).collect();
    assert_eq!(results[0], ("minimal/altair", CaseResult::Skipped));
    assert_eq!(results[1].1, CaseResult::Skipped);
    assert_eq!(results[2], ("minimal/phase0/shuffling/core/shuffle/a", CaseResult::Passed));
    assert_eq!([results[3].1, results[4].1], [CaseResult::Failed; 2]);
    assert!(report.cases[3].why.contains("index 0 goes to 0, not to 1"), "{}", report.cases[3].why);
}

#[test]
fn the_filter_sees_paths_and_may_not_leave_nothing() {
    // Two cases, one wanted; then none.
    let root = tree(&[
        (&format!("{MAPPING}/a/mapping.yaml"), b"x"),
        (&format!("{MAPPING}/b/mapping.yaml"), b"x"),
    ]);
    let report = run(root.path(), &|path| path.ends_with("/b"), &silence).unwrap();
    assert_eq!(report.cases.len(), 1);
    let outcome = run(root.path(), &|_| false, &silence);
    assert!(matches!(outcome, Err(VectorsError::NothingLeft(_))));
}

#[test]
fn a_case_whose_files_are_missing_or_damaged_fails() {
    // A folder without its files, a state that is not a snappy block, and a snappy block that is
    // not a state.
    let not_a_state = snap::raw::Encoder::new().compress_vec(b"short").unwrap();
    let root = tree(&[
        ("minimal/phase0/epoch_processing/slashings/s/a/meta.yaml", b"{}"),
        ("minimal/phase0/epoch_processing/slashings/s/b/pre.ssz_snappy", &[0xff; 9]),
        ("minimal/phase0/epoch_processing/slashings/s/c/pre.ssz_snappy", &not_a_state),
    ]);
    let report = run(root.path(), &everything, &silence).unwrap();
    assert_eq!(report.failed, 3, "{report:?}");
    assert!(report.cases[0].why.contains("pre.ssz_snappy is missing"));
}

#[test]
fn seeds_are_sorted_by_who_decodes_them() {
    // Files of every runner that has some, two of them alike, one that does not decompress, and one
    // that is too long.
    let pack = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    let long = pack(&vec![0; (1 << 17) + 1]);
    let [one, two, three, four] = [b"one", b"two", b"thr", b"fou"].map(|bytes| pack(bytes));
    let phase0 = "minimal/phase0";
    let files: [(String, &[u8]); 10] = [
        (format!("{phase0}/sanity/blocks/s/a/blocks_0.ssz_snappy"), &one),
        (format!("{phase0}/sanity/blocks/s/a/blocks_12.ssz_snappy"), &two),
        (format!("{phase0}/sanity/blocks/s/a/pre.ssz_snappy"), &three),
        (format!("{phase0}/sanity/blocks/s/a/post.ssz_snappy"), &long),
        (format!("{phase0}/fork_choice/f/s/a/attestation_0x1f.ssz_snappy"), &one),
        (format!("{phase0}/fork_choice/f/s/a/block_0xab.ssz_snappy"), &one),
        (format!("{phase0}/operations/attester_slashing/s/a/attester_slashing.ssz_snappy"), &four),
        (format!("{phase0}/operations/deposit/s/a/deposit.ssz_snappy"), &four),
        (format!("{phase0}/ssz_static/Attestation/s/a/serialized.ssz_snappy"), &two),
        (format!("{phase0}/ssz_static/Checkpoint/s/a/serialized.ssz_snappy"), &[0xff; 9]),
    ];
    let root = tree(&files.each_ref().map(|(path, bytes)| (path.as_str(), *bytes)));
    let out = tempfile::tempdir().unwrap();
    let counts = seeds(root.path(), out.path()).unwrap();
    let expected = [("attestation", 2), ("block", 2), ("slashing", 1), ("state", 1)];
    assert_eq!(counts, Seeds::from(expected));
    for (target, count) in expected {
        assert_eq!(fs::read_dir(out.path().join(target)).unwrap().count(), count);
    }
    let state = fs::read_dir(out.path().join("state")).unwrap().next().unwrap().unwrap();
    assert_eq!(fs::read(state.path()).unwrap(), b"thr");
    assert!(seeds(out.path(), root.path()).is_err());
}

#[test]
fn the_report_has_the_documented_json_form() {
    // One failed case.
    let case = CaseReport { path: "p".into(), result: CaseResult::Failed, why: "w".into() };
    let json = Report::new(vec![case]).to_json();
    let expected =
        r#"{"passed":0,"failed":1,"skipped":0,"cases":[{"path":"p","result":"failed","why":"w"}]}"#;
    assert_eq!(json, expected);
}
