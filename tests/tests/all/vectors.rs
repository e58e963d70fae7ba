//! The official test cases that ship with the project. Each group has a test of its own, so that a
//! test runner can run groups side by side.
//!
//! A test unpacks its group into a temporary folder, and runs it with the library behind
//! `blocksmith vectors`. The numbers are those of the archives, so a case that is lost is a
//! failure.

use blocksmith_conformance::vectors::{CaseResult, Report, run};

use crate::archive::unpack;
use crate::here;

/// Runs the cases below `prefix`. Asserts that there are `expected` of them and that none fails.
fn run_group(archive: &str, prefix: &str, expected: usize) -> Report {
    let folder = tempfile::tempdir().expect("a temporary folder");
    unpack(&here("vectors").join(archive), &[prefix], folder.path()).expect("an archive");
    let report = run(folder.path(), &|_| true, &|_, _, _| ()).expect("the official layout");
    let failed: Vec<_> =
        report.cases.iter().filter(|case| case.result == CaseResult::Failed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(report.cases.len(), expected);
    report
}

macro_rules! groups {
    ($($name:ident: $archive:literal, $prefix:literal, $cases:literal;)*) => {$(
        #[test]
        fn $name() {
            // Runs the group: every case passes, and none is skipped.
            let report = run_group($archive, $prefix, $cases);
            assert_eq!((report.passed, report.skipped), ($cases, 0));
        }
    )*};
}

groups! {
    minimal_operations_pass: "minimal.tar.xz", "minimal/phase0/operations", 62;
    minimal_epoch_processing_passes: "minimal.tar.xz", "minimal/phase0/epoch_processing", 34;
    minimal_sanity_passes: "minimal.tar.xz", "minimal/phase0/sanity", 33;
    minimal_finality_passes: "minimal.tar.xz", "minimal/phase0/finality", 2;
    minimal_random_passes: "minimal.tar.xz", "minimal/phase0/random", 9;
    minimal_rewards_pass: "minimal.tar.xz", "minimal/phase0/rewards", 30;
    minimal_shuffling_passes: "minimal.tar.xz", "minimal/phase0/shuffling", 168;
    minimal_genesis_passes: "minimal.tar.xz", "minimal/phase0/genesis", 9;
    minimal_ssz_static_passes: "minimal.tar.xz", "minimal/phase0/ssz_static", 705;
    general_bls_passes: "minimal.tar.xz", "general/phase0/bls", 36;
    mainnet_operations_pass: "mainnet.tar.xz", "mainnet/phase0/operations", 62;
    mainnet_sanity_passes: "mainnet.tar.xz", "mainnet/phase0/sanity", 30;
    mainnet_epoch_processing_passes: "mainnet.tar.xz", "mainnet/phase0/epoch_processing", 32;
    mainnet_rewards_pass: "mainnet.tar.xz", "mainnet/phase0/rewards", 30;
    mainnet_finality_passes: "mainnet.tar.xz", "mainnet/phase0/finality", 2;
    mainnet_random_passes: "mainnet.tar.xz", "mainnet/phase0/random", 9;
    mainnet_fork_choice_passes: "mainnet.tar.xz", "mainnet/phase0/fork_choice", 7;
    current_fork_choice_passes: "current.tar.xz", "minimal/phase0/fork_choice", 4;
    minimal_payload_attestations_decode: "gloas.tar.xz", "minimal/gloas/ssz_static", 20;
    mainnet_payload_attestations_decode: "gloas.tar.xz", "mainnet/gloas/ssz_static", 20;
    payload_attestation_operations_pass: "gloas.tar.xz", "minimal/gloas/operations", 6;
    payload_timeliness_window_passes: "gloas.tar.xz", "minimal/gloas/epoch_processing", 1;
    payload_attestation_gossip_passes: "gloas.tar.xz", "minimal/gloas/networking", 6;
}

#[test]
fn the_votes_of_payload_timeliness_committees_hold_where_heads_cannot_be_compared() {
    // Each case is skipped for its heads, after all its votes were found as expected.
    let report = run_group("gloas.tar.xz", "minimal/gloas/fork_choice", 5);
    assert_eq!((report.passed, report.skipped), (0, 5));
    for case in &report.cases {
        assert!(case.why.starts_with("its votes hold;"), "{case:?}");
    }
}

#[test]
fn minimal_fork_choice_passes_but_for_the_cases_whose_rules_changed() {
    // Of twelve cases of v1.1.10, these three have another answer under v1.7.0-alpha.13.
    let report = run_group("minimal.tar.xz", "minimal/phase0/fork_choice", 12);
    let skipped: Vec<&str> = report
        .cases
        .iter()
        .filter(|case| case.result == CaseResult::Skipped)
        .filter_map(|case| case.path.rsplit('/').next())
        .collect();
    assert_eq!(
        skipped,
        [
            "new_finalized_slot_is_justified_checkpoint_ancestor",
            "new_finalized_slot_is_not_justified_checkpoint_ancestor",
            "on_block_checkpoints",
        ]
    );
    assert_eq!(report.passed, 9);
}
