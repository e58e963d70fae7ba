//! Every attack at a small size: that it attacks as it says, and that no verdict is lost. What the
//! services answer to an attack may become better; what is sent to them may not become less.

use std::collections::BTreeSet;
use std::sync::Arc;

use blocksmith::Config;
use blocksmith::consensus::{Consensus, ProposerCheck, StateOf, UpdateFlags};
use blocksmith_consensus::{ChainConfig, Minimal, Phase0, Preset, SharedAttestation, SharedBlock};
use blocksmith_node::recording::PresetName;
use serde_json::Value;

use super::chain::{Chain, Shape};
use super::forged::Junk;
use super::plan::{Plan, Played, Shot};
use super::play::{Bell, Scene, play};
use super::*;
use crate::protocol::{Moments, PerPreset, Protocol, Work};

mod measured;

/// A size at which every part of every attack has its turn.
const N: u64 = 24;
/// Small enough for a test, and several epochs long.
const CHAIN: u64 = 47;

fn options() -> Options {
    Options {
        attacks: Attack::ALL.to_vec(),
        sizes: vec![N],
        peers: vec![3],
        workers: 2,
        time: Duration::from_secs(60),
        chain: CHAIN,
        branches: 3,
        smallest: false,
        rounds: 1,
    }
}

/// The scene of a chain, with the limits that services have by default.
fn scene(shape: Shape) -> Scene {
    let config = Config { workers: 2, ..Config::default() };
    Scene { chain: Arc::new(Chain::build(shape)), config, time: options().time }
}

fn fresh() -> Scene {
    scene(Shape::fresh(8))
}

fn played(scene: &Scene, plan: &Plan) -> Played {
    let played = play(scene, plan).expect("services that start");
    assert_eq!(played.lost, 0, "a verdict was lost");
    assert_eq!(played.late, Vec::<String>::new(), "a thread does not end");
    played
}

fn blocks(plan: &Plan) -> Vec<SharedBlock> {
    let block = |shot: &Shot| match shot {
        Shot::Block(block, _) => Some(block.clone()),
        _ => None,
    };
    plan.bursts.iter().flatten().filter_map(block).collect()
}

fn votes(plan: &Plan) -> Vec<SharedAttestation> {
    let vote = |shot: &Shot| match shot {
        Shot::Attestation(vote, _) => Some(vote.clone()),
        _ => None,
    };
    plan.bursts.iter().flatten().filter_map(vote).collect()
}

fn distinct(roots: impl Iterator<Item = blocksmith_consensus::Root>) -> u64 {
    roots.collect::<BTreeSet<_>>().len() as u64
}

#[test]
fn every_attack_gives_a_row_and_loses_no_verdict() {
    // All attacks at one size; the JSON has exactly the fields that are promised.
    let mut seen = Vec::new();
    let report = run(&options(), |attack, n, peers, done, count| {
        seen.push((attack, n, peers));
        assert!(done < count);
    })
    .expect("every attack runs");
    assert_eq!(seen.len(), Attack::ALL.len());
    assert!(report.is_as_expected(), "{report}");
    // What is quiet has none dropped either, so that it is a measure (A5, A14).
    assert!(report.rows.iter().all(|row| row.honest.dropped == 0), "{report}");
    // No attack takes the room of honest blocks, at this size either (A3).
    assert!(!report.to_string().contains("hot_db_full"), "{report}");
    let json: Value = serde_json::from_str(&report.json().expect("it serialises")).expect("JSON");
    let rows = json.as_array().expect("a list");
    assert_eq!(rows.len(), Attack::ALL.len());
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    for (row, attack) in rows.iter().zip(Attack::ALL) {
        assert_eq!(row["attack"], attack.name());
        let mut fields = keys(row);
        fields.sort();
        let mut promised = [
            "attack",
            "n",
            "peers",
            "slots_run",
            "blocks_replayed",
            "cpu_ms",
            "peak_bytes",
            "honest",
            "verdicts_lost",
        ];
        promised.sort_unstable();
        assert_eq!(fields, promised);
        let mut fields = keys(&row["honest"]);
        fields.sort();
        assert_eq!(fields, ["dropped", "p50_ms", "p99_ms", "quiet_p50_ms", "quiet_p99_ms"]);
        assert!(row["honest"]["quiet_p99_ms"].as_f64() > Some(0.0), "{row}");
    }
    for line in report.to_string().lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
    }
}

#[test]
fn without_an_attacker_every_honest_item_is_valid() {
    // Blocks and votes of two epochs, and nothing beside them.
    let scene = scene(Shape::fresh(16));
    let played = played(&scene, &Plan::default());
    assert_eq!((played.slots, played.dropped, played.answers.all()), (16, 0, 0));
    assert_eq!(played.honest.class("valid"), 16 * (1 + 8));
    assert_eq!(played.latencies.len(), 16 * (1 + 8));
    assert_eq!(played.work.checked, 16);
    assert_eq!(played.work.verified, 16 * 8);
}

#[test]
fn an_attack_has_its_size_even_if_there_is_no_time_for_honest_slots() {
    // The time is over after the first honest slot of eight; every forged vote is answered.
    let mut scene = fresh();
    scene.time = Duration::from_millis(1);
    let plan = forged::forged_votes(&scene.chain, N, 1, &mut Junk::default());
    let played = played(&scene, &plan);
    assert_eq!((played.slots, played.rested), (1, true));
    assert_eq!(played.answers.all(), N);
    assert!(played.dropped > 0, "no honest item is answered within a millisecond, nine times");
}

#[test]
fn every_junk_block_is_refused_for_its_signature() {
    // A1: by three peers. None comes as far as a transition: those are of the honest blocks.
    let scene = fresh();
    let plan = forged::junk_blocks(&scene.chain, N, 3, &mut Junk::default());
    assert_eq!(distinct(blocks(&plan).iter().map(SharedBlock::root)), N);
    let played = played(&scene, &plan);
    assert_eq!(played.answers.reason("bad_proposer_signature"), N, "{}", played.answers);
    assert_eq!(played.work.checked, 8);
}

#[test]
fn blocks_of_a_registered_validator_in_others_slots_have_an_old_branch_advanced_once() {
    // As A1, but with a true signature, on genesis, which lies five epochs back: each has another
    // graffiti. What the honest slots cost is what they cost without the attacker.
    let shape = Shape { history: CHAIN - 7, finalizes: false, ..Shape::fresh(2) };
    let scene = scene(shape);
    let (slot, quiet) = (scene.chain.honest[0].slot, played(&scene, &Plan::default()));
    let plan = forged::blocks_of_others(&scene.chain, N);
    let forged = blocks(&plan);
    assert_eq!(distinct(forged.iter().map(SharedBlock::root)), N);
    let protocol = Phase0::<Minimal>::new(scene.chain.config.clone());
    for block in &forged {
        let checked = protocol.verify_proposer(&scene.chain.genesis, block, StateOf::Parent);
        assert!(matches!(checked, Ok(ProposerCheck::Signed)));
    }
    let played = played(&scene, &plan);
    assert_eq!(played.answers.reason("bad_block_header"), N, "{}", played.answers);
    let (ran, at_most) = (played.work.slots, quiet.work.slots + slot);
    assert!(ran <= at_most, "{ran} slots, and {at_most} are enough");
}

#[test]
fn blocks_of_an_index_that_nobody_has_have_no_branch_advanced() {
    // Each on another block of an earlier epoch. What the honest slots cost is what they cost
    // without the attacker, within an epoch.
    let shape = Shape { history: CHAIN - 7, finalizes: false, ..Shape::fresh(2) };
    let scene = scene(shape);
    let quiet = played(&scene, &Plan::default());
    let plan = forged::blocks_of_nobody(&scene.chain, N, &mut Junk::default());
    assert_eq!(distinct(blocks(&plan).iter().map(SharedBlock::root)), N);
    let played = played(&scene, &plan);
    assert_eq!(played.answers.reason("bad_proposer_signature"), N, "{}", played.answers);
    assert_eq!(played.work.checked, quiet.work.checked);
    let (ran, at_most) = (played.work.slots, quiet.work.slots + Minimal::SLOTS_PER_EPOCH);
    assert!(ran <= at_most, "{ran} slots, and {at_most} are enough");
}

#[test]
fn every_forged_vote_is_refused_for_its_signature() {
    // A2 and A10; what a mend may drop or ignore is never valid.
    let scene = fresh();
    let mut junk = Junk::default();
    for plan in [
        forged::forged_votes(&scene.chain, N, 3, &mut junk),
        forged::forged_together(&scene.chain, N, 8, &mut junk),
    ] {
        // No signature comes twice, so that nothing that is remembered answers the next one.
        let all = votes(&plan);
        let signatures: BTreeSet<_> = all.iter().map(|vote| vote.value().signature).collect();
        assert_eq!(signatures.len() as u64, N);
        let played = played(&scene, &plan);
        assert_eq!(played.answers.all(), N);
        assert_eq!(played.answers.class("valid"), 0, "{}", played.answers);
        assert!(played.answers.reason("bad_signature") > 0, "{}", played.answers);
    }
}

#[test]
fn equivocations_are_different_valid_blocks_of_one_slot_and_proposer() {
    // A3: each is applied to the genesis state with every check on.
    let chain = Chain::build(Shape::fresh(8));
    let protocol = Phase0::<Minimal>::new(chain.config.clone());
    let blocks = blocks(&held::equivocations(&chain, N));
    assert_eq!(distinct(blocks.iter().map(SharedBlock::root)), N);
    let honest = &chain.honest[0].block.value().message;
    for block in blocks {
        let message = &block.value().message;
        assert_eq!((message.slot, message.proposer_index), (honest.slot, honest.proposer_index));
        let mut state = chain.genesis.clone();
        protocol.transition(&mut state, &block, UpdateFlags::default()).expect("a valid block");
    }
}

#[test]
fn forged_votes_to_old_heads_need_states_far_behind() {
    // A4: the heads lie all over the history, branches included, and each target is its head in
    // the current epoch.
    let shape = Shape { history: CHAIN, branches: 3, finalizes: false, ..Shape::fresh(8) };
    let scene = scene(shape);
    let plan = forged::old_heads(&scene.chain, 3 * CHAIN, &mut Junk::default());
    let known: BTreeSet<_> = scene.chain.history.iter().map(SharedBlock::root).collect();
    let all = votes(&plan);
    let heads: BTreeSet<_> = all.iter().map(|vote| vote.value().data.beacon_block_root).collect();
    assert_eq!(heads.intersection(&known).count(), known.len(), "a block is no vote's head");
    for vote in &all {
        let data = &vote.value().data;
        assert_eq!(data.target.root, data.beacon_block_root);
        assert_eq!(data.target.epoch, data.slot / Minimal::SLOTS_PER_EPOCH);
    }
    let played = played(&scene, &plan);
    assert_eq!((played.answers.all(), played.answers.class("valid")), (3 * CHAIN, 0));
}

#[test]
fn a_history_has_its_slots_and_branches() {
    // Ten slots, the first four empty, with two branches: each is a block that nothing builds on.
    let shape = Shape { history: 14, empty: 4, branches: 2, ..Shape::fresh(1) };
    let chain = Chain::build(shape);
    let slots: Vec<_> = chain.history.iter().map(|block| block.value().message.slot).collect();
    assert_eq!(slots, (5..=14).collect::<Vec<_>>());
    let parents: BTreeSet<_> =
        chain.history.iter().map(|block| block.value().message.parent_root).collect();
    let tips = chain.history.iter().filter(|block| !parents.contains(&block.root()));
    // The newest tip is a branch here, or what the honest slots go on from.
    let tips: Vec<_> = tips.map(SharedBlock::root).filter(|tip| *tip != chain.parent(0)).collect();
    assert_eq!(tips.len(), 2);
    assert_eq!(chain.history[0].value().message.parent_root, chain.genesis_root);
}

#[test]
fn finality_moves_on_a_chain_that_carries_votes_and_on_no_other() {
    // The state after forty slots, with votes in blocks and without.
    for (finalizes, moves) in [(true, true), (false, false)] {
        let chain = Chain::build(Shape { finalizes, ..Shape::fresh(40) });
        let state = &chain.honest[39].state;
        assert_eq!(state.finalized_checkpoint.epoch > 0, moves);
    }
}

#[test]
fn a_reverse_chain_resolves_where_the_quota_allows() {
    // A5: with room for all of it, every block is valid in the end; each waits for the next one.
    let shape = Shape { history: N + 2, empty: N + 1, finalizes: false, ..Shape::fresh(2) };
    let scene = scene(shape);
    let plan = held::reverse_chain(&scene.chain, N);
    let chain = blocks(&plan);
    assert_eq!(chain.len() as u64, N + 1);
    for pair in chain.windows(2) {
        assert_eq!(pair[0].value().message.parent_root, pair[1].root());
    }
    let played = played(&scene, &plan);
    assert_eq!(played.answers.class("valid"), N + 1, "{}", played.answers);
}

#[test]
fn orphans_of_one_root_wait_for_finality_or_the_stop() {
    // A6: finality moves while half of them wait; none is ever valid, and each is answered.
    let scene = scene(Shape::fresh(40));
    let plan = held::orphans_of_one(&scene.chain, N, &mut Junk::default());
    let orphans = blocks(&plan);
    assert_eq!(distinct(orphans.iter().map(SharedBlock::root)), N);
    assert_eq!(distinct(orphans.iter().map(|block| block.value().message.parent_root)), 1);
    let played = played(&scene, &plan);
    assert_eq!((played.answers.all(), played.answers.class("valid")), (N, 0));
    assert!(played.answers.reason("finalized") >= 1, "{}", played.answers);
}

#[test]
fn late_blocks_lie_at_or_before_the_finalised_slot() {
    // A7: the history's finality covers the slots that the blocks are of.
    let shape = Shape { history: 48, ..Shape::fresh(2) };
    let scene = scene(shape);
    let finalized = scene.chain.honest[0].state.finalized_checkpoint.epoch * 8;
    let plan = held::late_blocks(&scene.chain, N, finalized, &mut Junk::default());
    let late = blocks(&plan);
    assert_eq!(late.len() as u64, N);
    assert!(finalized >= 24, "{finalized}");
    assert!(late.iter().all(|block| block.value().message.slot <= finalized));
    let played = played(&scene, &plan);
    assert_eq!((played.answers.all(), played.answers.class("valid")), (N, 0));
}

#[test]
fn sums_of_votes_are_valid_in_themselves() {
    const ALL_KINDS: u64 = 3 * 12;
    // A8: eleven sums of four votes, all with true signatures, and a second vote; of each three one
    // has no proof, one is a single vote and one an aggregate with its proof.
    let scene = fresh();
    let plan = forged::sums_of_votes(&scene.chain, ALL_KINDS);
    let sizes = votes(&plan).iter().fold([0; 5], |mut sizes, vote| {
        sizes[vote.value().aggregation_bits.iter().filter(|bit| **bit).count()] += 1;
        sizes
    });
    assert_eq!(sizes, [0, 1, 6, 4, 1]);
    let shots = plan.bursts.iter().flatten();
    let (mut singles, mut proven) = (0, 0);
    for shot in shots {
        singles += u64::from(matches!(shot, Shot::Single(..)));
        proven += u64::from(matches!(shot, Shot::Aggregate(..)));
    }
    assert_eq!((singles, proven), (12, 12));
    let played = played(&scene, &plan);
    assert_eq!(played.answers.all(), ALL_KINDS);
    assert!(played.answers.class("valid") > 0, "{}", played.answers);
    assert_eq!(played.answers.class("invalid"), 0, "{}", played.answers);
}

#[test]
fn copies_are_of_three_kinds_and_none_is_valid() {
    // A9: the good block under other signatures has one root, the two bad items are one each.
    let scene = fresh();
    let plan = forged::copies(&scene.chain, N, 3, &mut Junk::default());
    assert_eq!(distinct(votes(&plan).iter().map(SharedAttestation::root)), 1);
    let copies = blocks(&plan);
    let honest: BTreeSet<_> = scene.chain.honest.iter().map(|slot| slot.block.root()).collect();
    assert_eq!(copies.iter().filter(|block| honest.contains(&block.root())).count(), 8);
    let played = played(&scene, &plan);
    assert_eq!((played.answers.all(), played.answers.class("valid")), (N, 0));
    assert_eq!(played.honest.class("valid"), played.honest.all(), "{}", played.honest);
}

#[test]
fn a_reader_that_does_not_pause_hears_of_every_parent() {
    // A11 without the pause, and with room: the harness sees each request. The pause alone makes
    // the difference that a row reports.
    let scene = fresh();
    let plan = held::orphans_unread(&scene.chain, N, &mut Junk::default());
    assert!(plan.reader_pauses);
    let played = played(&scene, &Plan { reader_pauses: false, ..plan });
    let heard = held::unread_roots(N).filter(|root| played.heard.needs.contains(root));
    assert_eq!(heard.count() as u64, N);
    assert!(played.heard.heads > 0);
}

#[test]
fn far_slots_are_asked_for_and_the_clock_goes_wrong_once() {
    // A12: half are queries, half blocks, and two ticks.
    let scene = fresh();
    let plan = clock::far_slots(&scene.chain, N, &mut Junk::default());
    let ticks = plan.bursts.iter().flatten().filter(|shot| matches!(shot, Shot::Tick(_)));
    assert_eq!(ticks.count(), 2);
    let played = played(&scene, &plan);
    assert_eq!(played.queries, [N / 2; 2], "a state is not answered");
    assert_eq!((played.answers.all(), played.answers.class("valid")), (N / 2, 0));
}

#[test]
fn the_clock_steps_back_over_blocks_that_it_had_parked() {
    // A14: blocks of the next slot are parked, and copies of an orphan are held.
    let scene = fresh();
    let plan = clock::steps_back(&scene.chain, N, &mut Junk::default());
    let played = played(&scene, &plan);
    assert_eq!(played.answers.all(), N);
    assert_eq!(played.heard.parked.len() as u64, N / 2);
    assert_eq!(distinct(blocks(&plan).iter().map(SharedBlock::root)), N / 2 + 1);
}

#[test]
fn direct_calls_check_what_the_services_check() {
    // The row "pipeline" compares the same items: two epochs of blocks, and eight votes a slot. Of
    // several threads, one tells how long each item took.
    let chain = Chain::build(Shape::fresh(16));
    for threads in [1, 3] {
        let mut direct = pipeline::Direct::new(&chain, threads);
        direct.go_on(12, 30);
        assert_eq!(direct.latencies().len(), 12 * (1 + 8));
        direct.go_on(16, 10);
        assert_eq!(direct.latencies().len(), 16 * (1 + 8));
    }
}

#[test]
fn the_services_pause_between_pieces_and_tell_what_they_did_since() {
    // Eight slots in pieces of three, two slots ahead; in a pause, every verdict is there.
    let (scene, mut pauses) = (fresh(), Vec::new());
    let between = &mut |slots, batches| pauses.push((slots, batches));
    let plan = Plan { ahead: 2, ..Plan::default() };
    let pieces = play::Pieces { slots: 3, between };
    let played = play::play_in(&scene, &plan, Some(pieces)).expect("services that start");
    assert_eq!((played.lost, played.slots, played.latencies.len()), (0, 8, 8 * (1 + 8)));
    assert_eq!(pauses.iter().map(|(slots, _)| *slots).collect::<Vec<_>>(), [3, 6, 8]);
    let least = [3, 3, 2];
    assert!(pauses.iter().zip(least).all(|((_, batches), least)| *batches >= least), "{pauses:?}");
    assert_eq!(pauses.iter().map(|(_, batches)| batches).sum::<u64>(), played.work.batches);
}

#[test]
fn a_bell_wakes_whoever_waits_when_it_has_rung_as_often_as_asked_for() {
    // Another thread rings a bell three times; it has rung before anybody waits, or meanwhile.
    let bell = Arc::new(Bell::default());
    std::thread::scope(|scope| {
        scope.spawn(|| (0..3).for_each(|_| bell.ring()));
        bell.wait(2, Duration::from_secs(60));
        assert!(bell.count() >= 2);
        bell.wait(3, Duration::from_secs(60));
    });
    assert_eq!(bell.count(), 3);
    bell.wait(4, Duration::ZERO);
}

#[test]
fn an_attacker_is_waited_for_in_the_slots_of_its_bursts() {
    let plan = Plan::spread(2, 4, |_, _| Shot::Tick(0));
    assert_eq!([0, 1, 2, 3, 4].map(|at| plan.attacks_in(at)), [true, false, true, false, false]);
}

fn row(attack: &'static str, n: u64, cpu_ms: f64) -> Row {
    Row {
        attack,
        n,
        peers: 1,
        slots_run: 529 * n,
        blocks_replayed: 15 * n,
        cpu_ms,
        peak_bytes: 1 << 26,
        honest: Honest {
            p50_ms: 8.0,
            p99_ms: 20.0,
            quiet_p50_ms: 4.0,
            quiet_p99_ms: 5.0,
            dropped: 2,
        },
        verdicts_lost: 0,
        stop_ms: 1.0,
        overhead: None,
        dropped_by_attack: 0,
        notes: vec![
            "a <note> that is much longer than the hundred columns of a line, so that it \
                     has to be broken somewhere, with & and other characters"
                .to_owned(),
        ],
    }
}

#[test]
fn the_fitted_growth_is_that_of_the_rows() {
    // Slots and CPU that are linear by construction; the factor is that of the largest size.
    let rows = vec![row("A4", 64, 640.0), row("A4", 256, 2560.0), row("A4", 1024, 10_240.0)];
    let report = Report { rows };
    let fits = report.fits();
    assert_eq!(fits.len(), 1);
    assert_eq!(fits[0].slots.to_string(), "n^1.00");
    assert_eq!(fits[0].cpu.to_string(), "n^1.00");
    assert!((fits[0].factor - 544.0 * 1024.0 / 10.0).abs() < 1e-6);
    assert!(report.to_string().lines().all(|line| line.chars().count() <= 100), "{report}");
}

#[test]
fn curves_are_well_formed_and_show_every_point() {
    // Every element is closed, nothing is drawn outside of the picture, each figure is a dot.
    let mut rows = vec![row("A1", 64, 10.0), row("A1", 256, 0.0), row("A1", 1024, 1e6)];
    rows.push(Row { peers: 64, ..row("A1", 64, 5.0) });
    let report = Report { rows };
    assert_eq!(svg::curves(&report, Attack::A2), None);
    let svg = svg::curves(&report, Attack::A1).expect("rows of A1");
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    // Three figures at three sizes, and four ratios.
    assert_eq!(svg.matches("<circle").count(), 3 * 3 + 4);
    assert!(svg.contains(">n<") && svg.contains("goal 2x") && svg.contains(">1024<"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    for part in svg.split("cy='").skip(1) {
        let y: f64 = part.split('\'').next().expect("a value").parse().expect("a number");
        assert!((0.0..=400.0).contains(&y), "{y}");
    }
}

#[test]
fn slots_and_blocks_are_counted_by_what_was_asked() {
    // A block is applied once with its signature and once again without, over three empty
    // slots each; then a state is advanced by five.
    let chain = Chain::build(Shape { history: 3, empty: 3, ..Shape::fresh(1) });
    let protocol = Protocol::new(PresetName::Minimal, ChainConfig::minimal());
    let genesis = || PerPreset::Minimal(chain.genesis.clone());
    let block = &chain.honest[0].block;
    for flags in [UpdateFlags::default(), UpdateFlags::replay()] {
        protocol.transition(&mut genesis(), block, flags).expect("a valid block");
    }
    let (start, end) = protocol.counts().take_moments().transition.expect("a block with one");
    assert!(start < end);
    assert_eq!(protocol.counts().take_moments(), Moments::default(), "it was taken");
    let before = protocol.counts().work();
    assert_eq!(before, Work { slots: 8, replayed: 1, checked: 1, verified: 0, batches: 0 });
    protocol.advance(&mut genesis(), 5).expect("ahead of the state");
    protocol.verify_attestations(&genesis(), &[]);
    let vote = &chain.honest[0].votes[0];
    let state = PerPreset::Minimal(chain.honest[0].state.clone());
    protocol.verify_attestation(&state, vote).expect("a valid vote");
    let work = protocol.counts().work().since(before);
    assert_eq!(work, Work { slots: 5, replayed: 0, checked: 0, verified: 1, batches: 1 });
}
