//! Tests of the runner of fork-choice cases, over cases that the tests make from the recorded
//! chain's genesis and first block, which is of slot 1.

use std::fs;
use std::path::Path;

use blocksmith_consensus::{SignatureBytes, SignedBeaconBlock, Wire, decode_exact};

use super::{CaseReport, CaseResult, run};

const CASE: &str = "minimal/phase0/fork_choice/on_block/suite/case";
/// A second into slot 1.
const TICK: &str = "- {tick: 1600000007}\n";
const ZERO: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";

fn recorded(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/chain").join(name)).unwrap()
}

fn block() -> SignedBeaconBlock {
    decode_exact(&recorded("blocks/000.ssz")).unwrap()
}

fn root() -> String {
    block().message.hash_tree_root().to_string()
}

/// Runs a case with these steps, the files `block` and `unsigned`, and more files.
fn outcome(steps: &str, files: &[(&str, &str)]) -> CaseReport {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join(CASE);
    fs::create_dir_all(&case).unwrap();
    let unsigned = SignedBeaconBlock { signature: SignatureBytes::default(), ..block() };
    for (name, bytes) in [
        ("anchor_state", recorded("genesis.ssz")),
        ("anchor_block", recorded("genesis_block.ssz")),
        ("block", block().encode()),
        ("unsigned", unsigned.encode()),
    ] {
        let packed = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        fs::write(case.join(format!("{name}.ssz_snappy")), packed).unwrap();
    }
    fs::write(case.join("steps.yaml"), steps).unwrap();
    for (name, text) in files {
        fs::write(case.join(name), text).unwrap();
    }
    run(folder.path(), &|_| true, &|_, _, _| ()).unwrap().cases.remove(0)
}

fn assert_result(steps: &str, files: &[(&str, &str)], expected: CaseResult, why: &str) {
    let report = outcome(steps, files);
    assert_eq!(report.result, expected, "{steps}{report:?}");
    assert!(report.why.contains(why), "{steps}{report:?}");
}

#[test]
fn a_check_that_is_not_known_is_passed_over_and_named_if_all_others_are_met() {
    // A check of a later fork beside one that holds, and beside one that does not.
    let steps = |time: u64| {
        format!("{TICK}- checks: {{time: {time}, should_override: {{validator: 3}}}}\n")
    };
    assert_result(&steps(1_600_000_007), &[], CaseResult::Skipped, "should_override");
    assert_result(&steps(1_600_000_008), &[], CaseResult::Failed, "the time is");
}

#[test]
fn the_older_names_of_checkpoints_are_compared() {
    // The anchor is justified, finalised and the best justified; no other root is.
    let block: blocksmith_consensus::BeaconBlock =
        decode_exact(&recorded("genesis_block.ssz")).unwrap();
    let genesis = block.hash_tree_root().to_string();
    for name in ["justified_checkpoint_root", "finalized_checkpoint_root"] {
        let steps = |root: &str| format!("- checks: {{{name}: '{root}'}}\n");
        assert_result(&steps(&genesis), &[], CaseResult::Passed, "");
        assert_result(&steps(ZERO), &[], CaseResult::Failed, "step 0");
    }
    // The current rules have no best justified checkpoint, so a case is not failed by it alone.
    let steps = format!("- checks: {{best_justified_checkpoint_root: '{ZERO}'}}\n");
    assert_result(&steps, &[], CaseResult::Passed, "");
}

#[test]
fn signatures_are_verified_unless_the_setting_is_2() {
    // A block without a signature.
    let steps = |valid: bool| format!("{TICK}- {{block: unsigned, valid: {valid}}}\n");
    let off = [("meta.yaml", "bls_setting: 2\n")];
    assert_result(&steps(false), &[], CaseResult::Passed, "");
    assert_result(&steps(true), &[], CaseResult::Failed, "accepted");
    assert_result(&steps(true), &off, CaseResult::Passed, "");
}

#[test]
fn a_block_is_timely_before_the_deadline_of_the_configuration() {
    // A second into a slot of six: before a third of it, and after a tenth of it. In slots of half
    // the length the block is a slot old.
    let steps = |root: &str| {
        format!("{TICK}- {{block: block}}\n- checks: {{proposer_boost_root: '{root}'}}\n")
    };
    let early = [("config.yaml", "ATTESTATION_DUE_BPS: 1000\n")];
    let short = [("config.yaml", "SLOT_DURATION_MS: 3000\n")];
    assert_result(&steps(&root()), &[], CaseResult::Passed, "");
    assert_result(&steps(ZERO), &[], CaseResult::Failed, "proposer boost");
    assert_result(&steps(ZERO), &early, CaseResult::Passed, "");
    assert_result(&steps(ZERO), &short, CaseResult::Passed, "");
}

#[test]
fn a_block_may_come_again() {
    // The second copy is accepted, and so it is in another slot.
    let steps = format!(
        "{TICK}- {{block: block}}\n- {{block: block}}\n- {{tick: 1600000013}}\n- {{block: block}}\n\
         - checks: {{head: {{slot: 1, root: '{}'}}}}\n",
        root()
    );
    assert_result(&steps, &[], CaseResult::Passed, "");
}

#[test]
fn the_checks_of_later_versions_are_compared_and_excused_by_no_older_rules() {
    // The head of slot 1 is the proposer's head and the one viable block, with the boost's weight:
    // 40 % of an eighth of 128 validators.
    let steps = |check: &str| format!("{TICK}- {{block: block}}\n- checks: {{{check}}}\n");
    let viable = |root: &str, weight: u64| {
        steps(&format!("viable_for_head_roots_and_weights: [{{root: '{root}', weight: {weight}}}]"))
    };
    let proposer = |root: &str| steps(&format!("get_proposer_head: '{root}'"));
    let boost = 128 * 32_000_000_000 / 8 * 40 / 100;
    assert_result(&viable(&root(), boost), &[], CaseResult::Passed, "");
    assert_result(&viable(&root(), boost + 1), &[], CaseResult::Failed, "viable for head");
    assert_result(&viable(ZERO, boost), &[], CaseResult::Failed, "viable for head");
    assert_result(&proposer(&root()), &[], CaseResult::Passed, "");
    assert_result(&proposer(ZERO), &[], CaseResult::Failed, "the proposer's head");
}
