//! What a client asks of the chain and of the node.

use std::pin::pin;
use std::task::{Context, Waker};

use blocksmith::verdict::Verdict;
use blocksmith_consensus::{
    BeaconState, FromJson, Json, Minimal, Root, SharedBlock, SignedBeaconBlock, Wire, decode_exact,
};
use serde_json::json;
use tokio::time::timeout;

use super::http::{LIMIT, get_ssz, post};
use super::world::{GENESIS_TIME, VALIDATORS, World, number};
use crate::api::error::ApiError;

#[test]
fn genesis_and_configuration_are_those_that_a_real_client_was_given() {
    // The recorded answers: the registry's root, and the values that a client compares.
    let world = World::new();
    let genesis = world.data("/eth/v1/beacon/genesis");
    let root = genesis["genesis_validators_root"].as_str().unwrap();
    assert!(root.starts_with("0x270d43e74ce3"), "{root}");
    assert_eq!(genesis["genesis_fork_version"], "0x00000001");
    assert_eq!(number(&genesis["genesis_time"]), GENESIS_TIME);
    let spec = world.data("/eth/v1/config/spec");
    for (name, value) in [
        ("PRESET_BASE", "minimal"),
        ("CONFIG_NAME", "minimal"),
        ("SECONDS_PER_SLOT", "6"),
        ("SLOTS_PER_EPOCH", "8"),
        ("MIN_GENESIS_TIME", "1578009600"),
        ("EJECTION_BALANCE", "16000000000"),
        ("SHUFFLE_ROUND_COUNT", "10"),
        ("EPOCHS_PER_HISTORICAL_VECTOR", "64"),
        ("HISTORICAL_ROOTS_LIMIT", "16777216"),
        ("VALIDATOR_REGISTRY_LIMIT", "1099511627776"),
        ("FAR_FUTURE_EPOCH", "18446744073709551615"),
        ("INACTIVITY_PENALTY_QUOTIENT", "33554432"),
        ("DOMAIN_AGGREGATE_AND_PROOF", "0x06000000"),
        ("MAX_DEPOSITS", "16"),
    ] {
        assert_eq!(spec[name], value, "{name}");
    }
    assert_eq!(world.data("/eth/v1/config/fork_schedule")[0]["epoch"], "0");
    assert_eq!(world.data("/eth/v1/config/deposit_contract")["chain_id"], "5");
}

#[test]
fn validators_are_found_by_index_key_and_status() {
    // By query and by body, all and some, known and unknown.
    let world = World::new();
    let target = "/eth/v1/beacon/states/head/validators";
    let all = world.data(target);
    assert_eq!(all.as_array().map(Vec::len), Some(VALIDATORS as usize));
    let first = &all[0];
    assert_eq!(first["status"], "active_ongoing");
    assert_eq!(
        (first["index"].clone(), first["balance"].clone()),
        (json!("0"), json!("32000000000"))
    );
    let keys: Vec<&str> =
        (0..3).map(|at| all[at]["validator"]["pubkey"].as_str().unwrap()).collect();
    let indices = |list: &serde_json::Value| -> Vec<u64> {
        list.as_array().unwrap().iter().map(|one| number(&one["index"])).collect()
    };
    let by_query = world.data(&format!("{target}?id={},{}&id=7&id=99", keys[2], keys[0]));
    assert_eq!(indices(&by_query), [0, 2, 7]);
    let body = json!({"ids": [keys[1], "4"], "statuses": ["active"]}).to_string();
    assert_eq!(indices(&post(world.address(), target, &body).data()), [1, 4]);
    let body = json!({"ids": null, "statuses": ["exited_slashed"]}).to_string();
    assert_eq!(post(world.address(), target, &body).data(), json!([]));
    assert_eq!(
        indices(&world.data(&format!("{target}?status=active_exiting,active_ongoing"))).len(),
        8
    );
    assert_eq!(world.data(&format!("{target}/{}", keys[2]))["index"], "2");
    for (wrong, status) in [("/99", 404), ("/0xab", 400), ("?status=asleep", 400), ("?id=-1", 400)]
    {
        let answer = world.get(&format!("{target}{wrong}"));
        answer.error();
        assert_eq!(answer.status, status, "{wrong}");
    }
}

#[test]
fn states_and_blocks_are_found_by_every_name_and_in_both_forms() {
    // A chain with an empty slot. The state's root is the one that the block claims.
    let world = World::new();
    let roots = world.run(1..=2);
    world.begin(4);
    let head = world.propose(4);
    let block = world.data("/eth/v2/beacon/blocks/head");
    let signed = SignedBeaconBlock::from_json(&block).unwrap();
    assert_eq!(signed.message.hash_tree_root(), head);
    let state_root = signed.message.state_root.to_string();
    for id in ["head", "4", &state_root] {
        let root = world.data(&format!("/eth/v1/beacon/states/{id}/root"));
        assert_eq!(root["root"], state_root, "{id}");
    }
    let ssz = get_ssz(world.address(), "/eth/v2/debug/beacon/states/head");
    assert!(ssz.head.to_lowercase().contains("eth-consensus-version: phase0"));
    let state = BeaconState::<Minimal>::from_ssz_bytes(&ssz.body).unwrap();
    assert_eq!(state.hash_tree_root().to_string(), state_root);
    let json = world.get("/eth/v2/debug/beacon/states/head").json();
    assert_eq!(json["data"].to_string().len(), state.to_json().len());
    assert_eq!(json["version"], "phase0");
    // The empty slot has a state, which is that of the block before, advanced, and no block.
    let advanced = get_ssz(world.address(), "/eth/v2/debug/beacon/states/3");
    let advanced = BeaconState::<Minimal>::from_ssz_bytes(&advanced.body).unwrap();
    assert_eq!((advanced.slot, advanced.latest_block_header.slot), (3, 2));
    assert_eq!(world.get("/eth/v2/beacon/blocks/3").status, 404);
    let ssz = get_ssz(world.address(), &format!("/eth/v2/beacon/blocks/{head}"));
    assert_eq!(decode_exact::<SignedBeaconBlock>(&ssz.body).unwrap(), signed);
    assert_eq!(world.data("/eth/v1/beacon/blocks/2/root")["root"], roots[&2].to_string());
    let header = world.data("/eth/v1/beacon/headers/1");
    assert_eq!(
        (&header["root"], &header["canonical"]),
        (&json!(roots[&1].to_string()), &json!(true))
    );
    assert_eq!(header["header"]["message"]["slot"], "1");
    assert_eq!(world.data("/eth/v1/beacon/headers")[0]["root"], head.to_string());
    assert_eq!(world.data("/eth/v1/beacon/headers?slot=3"), json!([]));
    let attestations = world.data("/eth/v1/beacon/blocks/2/attestations");
    assert_eq!(attestations.as_array().map(Vec::len), Some(1));
    let second = world.get("/eth/v2/beacon/blocks/2/attestations").json();
    assert_eq!((&second["version"], &second["data"]), (&json!("phase0"), &attestations));
    // Genesis has a block by the root of its state.
    let genesis = world.data("/eth/v1/beacon/headers/genesis");
    assert_eq!(genesis["root"], world.node.genesis_root().to_string());
    assert_eq!(
        world.data("/eth/v1/beacon/headers/1")["header"]["message"]["parent_root"],
        genesis["root"]
    );
    assert_eq!(world.get("/eth/v1/beacon/states/genesis/root").json()["finalized"], true);
    assert_eq!(world.get("/eth/v1/beacon/states/head/root").json()["finalized"], false);
}

#[test]
fn what_is_not_there_is_404_and_what_cannot_be_is_400() {
    // Roots of nothing, slots to come, and names of no form.
    let world = World::new();
    let nothing = Root::new([7; 32]);
    for (target, status) in [
        (format!("/eth/v1/beacon/states/{nothing}/root"), 404),
        (format!("/eth/v2/beacon/blocks/{nothing}"), 404),
        ("/eth/v1/beacon/states/99/fork".to_owned(), 404),
        ("/eth/v2/beacon/blocks/99".to_owned(), 404),
        ("/eth/v1/beacon/states/middle/fork".to_owned(), 400),
        ("/eth/v1/beacon/states/0x12/fork".to_owned(), 400),
        ("/eth/v1/beacon/states/-1/fork".to_owned(), 400),
        ("/eth/v1/beacon/states/head/committees?slot=99".to_owned(), 400),
        ("/eth/v1/beacon/states/head/committees?epoch=9".to_owned(), 400),
        ("/eth/v1/validator/duties/proposer/9".to_owned(), 400),
        ("/eth/v1/validator/duties/proposer/18446744073709551615".to_owned(), 400),
        ("/eth/v1/validator/attestation_data?slot=9&committee_index=0".to_owned(), 400),
        ("/eth/v1/validator/attestation_data?slot=0&committee_index=4".to_owned(), 400),
        ("/eth/v1/validator/attestation_data?slot=0".to_owned(), 400),
        (
            format!(
                "/eth/v1/validator/aggregate_attestation?slot=0&attestation_data_root={nothing}"
            ),
            404,
        ),
        ("/eth/v1/validator/blocks/0?randao_reveal=0x00".to_owned(), 400),
        ("/eth/v1/events?topics=weather".to_owned(), 400),
        ("/eth/v1/events".to_owned(), 400),
        ("/eth/v1/beacon".to_owned(), 404),
        ("/".to_owned(), 404),
    ] {
        let answer = world.get(&target);
        assert_eq!(answer.status, status, "{target}: {}", answer.error());
        assert!(!answer.error().is_empty());
    }
    let wrong_method = post(world.address(), "/eth/v1/beacon/genesis", "");
    assert_eq!((wrong_method.status, wrong_method.error().as_str()), (405, "Method Not Allowed"));
}

#[test]
fn the_node_tells_of_itself_and_of_nothing_to_validators_while_it_syncs() {
    // Health, version, peers and metrics; then the network says that the node is syncing.
    let world = World::new();
    assert_eq!(world.get("/eth/v1/node/health").status, 200);
    assert!(
        world.data("/eth/v1/node/version")["version"].as_str().unwrap().starts_with("Blocksmith/v")
    );
    assert_eq!(world.data("/eth/v1/node/peer_count")["connected"], "0");
    let identity = world.data("/eth/v1/node/identity");
    assert_eq!(
        (&identity["peer_id"], &identity["metadata"]["syncnets"]),
        (&json!(""), &json!("0x00"))
    );
    assert_eq!(world.get("/eth/v1/node/peers").json()["meta"]["count"], 0);
    let metrics = String::from_utf8(world.get("/metrics").body).unwrap();
    assert!(metrics.contains("blocksmith_mailbox_depth{mailbox=\"quarantine\"} 0"), "{metrics}");
    assert!(metrics.contains("blocksmith_head_slot 0"));
    world.begin(5);
    world.network.syncing.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(world.get("/eth/v1/node/health").status, 206);
    assert_eq!(world.get("/eth/v1/node/health?syncing_status=299").status, 299);
    assert_eq!(world.get("/eth/v1/node/health?syncing_status=600").status, 400);
    let syncing = world.data("/eth/v1/node/syncing");
    assert_eq!(
        (syncing["is_syncing"].clone(), number(&syncing["sync_distance"])),
        (json!(true), 5)
    );
    for target in [
        "/eth/v1/validator/duties/proposer/0",
        "/eth/v1/validator/attestation_data?slot=5&committee_index=0",
        "/eth/v1/validator/blocks/5",
    ] {
        assert_eq!(
            (world.get(target).status, world.get(target).error().as_str()),
            (503, "the node is syncing")
        );
    }
    for target in ["/eth/v1/validator/duties/attester/0", "/eth/v1/beacon/pool/attestations"] {
        assert_eq!(post(world.address(), target, "[]").status, 503);
    }
    // What is no duty is answered all the same.
    assert_eq!(world.get("/eth/v1/beacon/states/head/root").status, 200);
}

#[test]
fn what_is_said_of_a_state_or_block_is_of_the_view_by_which_it_was_found() {
    // The view of before finality, used after it: nothing but genesis is final by it.
    let world = World::new();
    let roots = world.run(1..=31);
    let before = world.node.client().view().expect("the services run");
    world.run(32..=34);
    let beacon = world.node.beacon();
    let after = world.node.client().view().expect("the services run");
    assert_eq!((before.finalized.epoch, after.finalized.epoch), (0, 2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let root = roots[&16].to_string();
    for (view, finalized) in [(before, false), (after, true)] {
        let state = runtime.block_on(beacon.state_in(view, "16")).unwrap();
        assert_eq!(state.finalized, finalized, "the state, {view:?}");
        for id in ["16", &root] {
            let block = runtime.block_on(beacon.block_in(view, id)).unwrap();
            assert_eq!(block.finalized, finalized, "the block {id}, {view:?}");
        }
        let head = runtime.block_on(beacon.state_in(view, "head")).unwrap();
        assert_eq!(head.state.slot, view.head_slot, "the head of the view, not the latest");
        assert!(!head.finalized);
    }
}

#[test]
fn a_question_about_the_head_is_about_the_head_of_now() {
    // The head's state is kept for the next question; after a block it is another one.
    let world = World::new();
    let root = || world.data("/eth/v1/beacon/states/head/root")["root"].clone();
    let mut seen = Vec::new();
    for slot in 1..=3 {
        world.begin(slot);
        world.propose(slot);
        let block = world.data("/eth/v1/beacon/headers/head");
        assert_eq!(root(), block["header"]["message"]["state_root"], "slot {slot}");
        assert_eq!(root(), block["header"]["message"]["state_root"], "slot {slot}, again");
        seen.push(root());
    }
    // A state before the head is still its own.
    assert_eq!(world.data("/eth/v1/beacon/states/2/root")["root"], seen[1]);
}

#[test]
fn who_asks_for_the_head_waits_for_the_verdict_that_the_chain_was_ahead_of() {
    // The block is the head, and a submission of it has not ended. It ends without a verdict, then
    // with one.
    let world = World::new();
    let block = import(&world, 1);
    let beacon = world.node.beacon();
    let view = world.node.client().view().expect("the services run");
    assert_eq!(view.head, block.root());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for accepted in [false, true] {
        let arrival = beacon.recent.arrive(&block, (2, 0));
        let mut asked = pin!(beacon.block_in(view, "head"));
        assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        if accepted {
            beacon.recent.insert(block.clone());
        }
        drop(arrival);
        assert_eq!(runtime.block_on(asked).is_ok(), accepted);
    }
}

/// Submits the block of a slot to the services alone, as if the API had not yet had its verdict.
fn import(world: &World, slot: u64) -> SharedBlock {
    world.begin(slot);
    let block = SharedBlock::from(world.signed(slot, ""));
    let client = world.node.client();
    let verdict = client.submit_block(block.clone(), 0, block.value().encode().len()).wait();
    assert!(matches!(verdict, Verdict::Accept { .. }), "{verdict:?}");
    // The verdict comes before the fork choice has the block; who asks here waits for that, as the
    // route that publishes blocks does.
    assert_eq!(client.view().map(|view| view.head), Some(block.root()));
    block
}

#[test]
fn a_block_below_the_head_whose_verdict_is_under_way_is_waited_for() {
    // The second block is the head and held; the submission of the first one has not ended. Another
    // block on genesis, which the chain does not have, is submitted as well.
    let world = World::new();
    world.begin(1);
    let other = SharedBlock::from(world.signed(1, "other"));
    let first = import(&world, 1);
    let second = import(&world, 2);
    let beacon = world.node.beacon();
    beacon.recent.insert(second);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    for id in ["1".to_owned(), first.root().to_string()] {
        let arrivals = [&first, &other].map(|block| beacon.recent.arrive(block, (2, 0)));
        let mut asked = pin!(beacon.block_of(&id));
        assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "{id}");
        let other = other.root().to_string();
        let unknown = async { timeout(LIMIT, beacon.block_of(&other)).await };
        let unknown = runtime.block_on(unknown).expect("nobody waits for a block of no chain");
        assert_eq!(unknown.err().map(|error| error.status().as_u16()), Some(404));
        beacon.recent.insert(first.clone());
        drop(arrivals);
        let found = runtime.block_on(asked).expect("a block of the chain");
        assert_eq!((found.block.root(), found.canonical), (first.root(), true));
        beacon.recent.remove(&first.root());
    }
}

#[test]
fn states_are_answered_while_no_verdict_on_their_blocks_is_there() {
    // Of the head and of the block below it nothing is held, and both submissions are under way: a
    // state comes from the services, which had it before the chain named its block.
    let world = World::new();
    let blocks = [1, 2].map(|slot| import(&world, slot));
    let beacon = world.node.beacon();
    let arrivals = blocks.each_ref().map(|block| beacon.recent.arrive(block, (2, 0)));
    let [first, second] =
        blocks.each_ref().map(|block| block.value().message.state_root.to_string());
    for (id, state_root) in
        [("head", &second), ("2", &second), (&*second, &second), ("1", &first), (&*first, &first)]
    {
        let root = world.data(&format!("/eth/v1/beacon/states/{id}/root"));
        assert_eq!(root["root"], **state_root, "{id}");
        let whole = get_ssz(world.address(), &format!("/eth/v2/debug/beacon/states/{id}"));
        let whole = BeaconState::<Minimal>::from_ssz_bytes(&whole.body).expect("a state");
        assert_eq!(whole.hash_tree_root().to_string(), **state_root, "{id}");
    }
    drop(arrivals);
}

#[test]
fn a_name_whose_block_was_dropped_meanwhile_is_looked_up_in_the_view_of_now() {
    // The view of an earlier finality, whose checkpoint the node has dropped.
    let world = World::new();
    world.run(1..=34);
    let before = world.node.client().view().expect("the services run");
    world.run(35..=50);
    let after = world.node.client().view().expect("the services run");
    assert_eq!((before.finalized.epoch, after.finalized.epoch), (2, 4));
    let beacon = world.node.beacon();
    beacon.recent.remove(&before.finalized.root);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let status = |error: ApiError| error.status().as_u16();
    let gone = runtime.block_on(beacon.state_in(before, "finalized")).err().map(status);
    assert_eq!(gone, Some(404));
    let state = runtime.block_on(beacon.state_from(before, "finalized")).expect("there is one");
    assert_eq!(state.state.slot, 32);
    let gone = runtime.block_on(beacon.block_in(before, "finalized")).err().map(status);
    assert_eq!(gone, Some(404));
    let block = runtime.block_on(beacon.block_from(before, "finalized")).expect("there is one");
    assert_eq!(block.block.root(), after.finalized.root);
}

#[test]
fn requests_are_counted_by_route_and_status() {
    // Two answers of one route, a method that is not served, and a path that is none.
    let world = World::new();
    for target in ["head", "head", "99"] {
        world.get(&format!("/eth/v1/beacon/states/{target}/fork"));
    }
    world.get("/nowhere");
    post(world.address(), "/eth/v1/beacon/genesis", "");
    let metrics = String::from_utf8(world.get("/metrics").body).unwrap();
    let route = "method=\"GET\",route=\"/eth/v1/beacon/states/{state_id}/fork\"";
    let none = "method=\"\",route=\"none\"";
    for line in [
        format!("blocksmith_http_requests_total{{{route},status=\"200\"}} 2"),
        format!("blocksmith_http_requests_total{{{route},status=\"404\"}} 1"),
        format!("blocksmith_http_request_duration_seconds_count{{{route}}} 3"),
        format!("blocksmith_http_requests_total{{{none},status=\"404\"}} 1"),
        format!("blocksmith_http_requests_total{{{none},status=\"405\"}} 1"),
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} is not in\n{metrics}");
    }
}
