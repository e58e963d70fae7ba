//! The routes of a payload-timeliness committee, in the test fork that has one, and in phase0.

use std::collections::{BTreeMap, BTreeSet};

use blocksmith::rewinder::Lane;
use blocksmith::verdict::Verdict;
use blocksmith_consensus::gloas::{
    DOMAIN_PTC_ATTESTER, PayloadAttestation, PayloadAttestationData, PayloadAttestationMessage,
    process_payload_attestation,
};
use blocksmith_consensus::{
    FromJson, Json, Minimal, Payloads, Root, SharedBlock, Signatures, Wire, decode_exact,
};
use serde_json::{Value, json};

use super::events::{find, open};
use super::http::{Answer, ask, get_ssz};
use super::world::{VALIDATORS, World, epoch_root, number, options};
use crate::api::payloads::CAPACITY;
use crate::api::{Parts, Published};

const POOL: &str = "/eth/v1/beacon/pool/payload_attestations";
const DATA: &str = "/eth/v1/validator/payload_attestation_data";
const GLOAS: (&str, &str) = ("Eth-Consensus-Version", "gloas");

fn world(payloads: Payloads) -> World {
    let parts = Parts { payload_committee: Some(payloads), ..Parts::default() };
    World::with(options(None), 0, parts)
}

impl World {
    /// Returns the duties of all validators in an epoch, by slot.
    fn ptc_duties(&self, epoch: u64) -> BTreeMap<u64, Vec<u64>> {
        let all: Vec<String> = (0..VALIDATORS).map(|index| index.to_string()).collect();
        let target = format!("/eth/v1/validator/duties/ptc/{epoch}");
        let mut duties = BTreeMap::<_, Vec<_>>::new();
        for duty in self.post(&target, &json!(all).to_string()).data().as_array().unwrap() {
            duties.entry(number(&duty["slot"])).or_default().push(number(&duty["validator_index"]));
        }
        duties
    }

    fn payload_data(&self, slot: u64) -> PayloadAttestationData {
        PayloadAttestationData::from_json(&self.data(&format!("{DATA}?slot={slot}"))).unwrap()
    }

    fn payload_vote(&self, index: u64, data: PayloadAttestationData) -> PayloadAttestationMessage {
        let signature = self.sign(index, data.hash_tree_root(), DOMAIN_PTC_ATTESTER);
        PayloadAttestationMessage { validator_index: index, data, signature }
    }

    fn submit_votes(&self, votes: &[PayloadAttestationMessage]) -> Answer {
        let list: Vec<_> = votes.iter().map(Json::to_json).collect();
        self.submit_text(&format!("[{}]", list.join(",")))
    }

    fn submit_text(&self, body: &str) -> Answer {
        self.submit_bytes(&[("Content-Type", "application/json"), GLOAS], body.as_bytes())
    }

    fn submit_bytes(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        ask(self.address(), "POST", POOL, headers, body)
    }

    fn aggregates(&self, slot: u64) -> Vec<Value> {
        self.data(&format!("{POOL}?slot={slot}")).as_array().unwrap().clone()
    }

    /// Returns what the fork choice has counted for a block.
    fn counted(&self, root: Root) -> Value {
        let all = self.data("/blocksmith/v1/payload_votes");
        let mut all = all.as_array().unwrap().iter();
        all.find(|one| one["block_root"] == root.to_string()).cloned().unwrap_or(Value::Null)
    }
}

fn is_gloas(answer: &Answer) -> bool {
    answer.head.to_lowercase().contains("eth-consensus-version: gloas\r\n")
}

fn failures(answer: &Answer) -> Vec<(u64, String)> {
    let one = |failure: &Value| {
        (failure["index"].as_u64().unwrap(), failure["message"].as_str().unwrap().to_owned())
    };
    answer.json()["failures"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn members_of_the_committee_vote_and_the_votes_are_counted_and_aggregated() {
    // Each slot of two epochs. A committee has 16 places and a few members, who hold several.
    let world = world(Payloads::WithBlock);
    for slot in 1..=17 {
        world.begin(slot);
        let root = world.propose(slot);
        let data = world.payload_data(slot);
        assert_eq!((data.beacon_block_root, data.slot), (root, slot));
        assert!(data.payload_present && data.blob_data_available);
        let members = world.ptc_duties(slot / 8).remove(&slot).expect("a committee");
        let votes: Vec<_> = members.iter().map(|index| world.payload_vote(*index, data)).collect();
        assert_eq!(world.submit_votes(&votes).status, 200, "slot {slot}");
        let counted = world.counted(root);
        assert_eq!((&counted["present"], &counted["verified"]), (&json!("16"), &json!(true)));
        let [aggregate] = &world.aggregates(slot)[..] else { panic!("slot {slot}") };
        assert_eq!(aggregate["aggregation_bits"], "0xffff");
        // What the pool holds is what a block of the next slot could carry in Gloas.
        let ssz = get_ssz(world.address(), &format!("{POOL}?slot={slot}"));
        assert!(is_gloas(&ssz), "{}", ssz.head);
        let aggregate = PayloadAttestation::<Minimal>::from_ssz_bytes(&ssz.body).unwrap();
        let (client, next) = (world.node.client(), slot + 1);
        let mut state = client.state_at(root, next, Lane::Queries).unwrap();
        state.latest_block_header.parent_root = root;
        let window = client.consensus().ptc_window(&state).unwrap().unwrap();
        let mut verify = Signatures::Verify;
        process_payload_attestation(&state, &window, &aggregate, &mut verify).unwrap();
        // The pool forgets what no block of a later slot may carry.
        assert_eq!(world.aggregates(slot.saturating_sub(2)).len(), 0);
    }
    let published = world.network.published.lock().unwrap();
    assert!(published.iter().any(|one| matches!(one, Published::PayloadVote(_))));
    let metrics = String::from_utf8(world.get("/metrics").body).unwrap();
    // Of the last blocks none was left out, and nothing was counted twice.
    for line in [
        "blocksmith_payload_votes_total{outcome=\"second\"} 0",
        "blocksmith_payload_blocks 17",
        "blocksmith_payload_places 272",
        "blocksmith_payload_full_blocks 17",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn duties_are_those_of_the_current_epoch_and_the_next_and_name_what_they_depend_on() {
    // The next epoch's duties stay what they are once it has begun.
    let world = world(Payloads::WithBlock);
    let roots = world.run(1..=9);
    let next = world.ptc_duties(2);
    let answer =
        |epoch: u64, body: &str| world.post(&format!("/eth/v1/validator/duties/ptc/{epoch}"), body);
    for (epoch, dependent) in [(1, world.node.genesis_root()), (2, roots[&7])] {
        let duties = answer(epoch, r#"["0","1"]"#).json();
        assert_eq!(duties["dependent_root"], dependent.to_string(), "epoch {epoch}");
        assert_eq!(duties["execution_optimistic"], false);
        for duty in duties["data"].as_array().unwrap() {
            assert!(number(&duty["validator_index"]) < 2 && number(&duty["slot"]) / 8 == epoch);
            assert!(duty["pubkey"].as_str().unwrap().starts_with("0x"));
        }
    }
    for epoch in [0, 3, u64::MAX] {
        let (status, error) = (answer(epoch, "[]").status, answer(epoch, "[]").error());
        assert_eq!(status, 400, "epoch {epoch}");
        assert_eq!(error, "the epoch is neither the current one nor the next");
    }
    for body in ["", "[", "[1]", r#"["-1"]"#, r#"{"0":"1"}"#, r#"["18446744073709551616"]"#] {
        assert_eq!(answer(1, body).status, 400, "{body}");
    }
    assert_eq!(answer(1, r#"["99999"]"#).data(), json!([]));
    world.run(10..=16);
    assert_eq!(world.ptc_duties(2), next);
    let members: BTreeSet<u64> = next.into_values().flatten().collect();
    assert!(members.len() > 1, "{members:?}");
}

#[test]
fn there_is_nothing_to_vote_on_without_a_block_of_the_slot() {
    // No block; one of the slot before; JSON and SSZ; the slot in the path; another slot.
    let world = world(Payloads::WithBlock);
    world.begin(1);
    let empty = world.get(&format!("{DATA}?slot=1"));
    assert_eq!((empty.status, empty.body.len()), (204, 0));
    world.propose(1);
    let by_query = world.get(&format!("{DATA}?slot=1"));
    assert!(is_gloas(&by_query), "{}", by_query.head);
    assert_eq!(by_query.json()["version"], "gloas");
    assert_eq!(world.get(&format!("{DATA}/1")).json(), by_query.json());
    let ssz = get_ssz(world.address(), &format!("{DATA}?slot=1"));
    assert_eq!(decode_exact::<PayloadAttestationData>(&ssz.body).unwrap(), world.payload_data(1));
    world.begin(2);
    assert_eq!(world.get(&format!("{DATA}?slot=2")).status, 204);
    for slot in ["4", "18446744073709551615", "-1", "x", ""] {
        assert_eq!(world.get(&format!("{DATA}?slot={slot}")).status, 400, "{slot}");
        let path = world.get(&format!("{DATA}/{slot}"));
        assert_eq!(path.status, if slot.is_empty() { 404 } else { 400 }, "{slot}");
    }
    assert_eq!(world.get(DATA).status, 400);
}

#[test]
fn a_payload_that_comes_late_is_available_and_not_in_time_and_its_child_waits_for_it() {
    // Payloads come apart. Of slot 1: in time; of slot 2: after half of the slot; of slot 3: never.
    let world = world(Payloads::Apart);
    let mut events = open(&world, "execution_payload_available");
    let said = |slot| {
        let data = world.payload_data(slot);
        (data.payload_present, data.blob_data_available)
    };
    let tell = |root: &str| world.post(&format!("/blocksmith/v1/payloads/{root}"), "").status;
    world.begin(1);
    let first = world.propose(1);
    assert_eq!(said(1), (false, false));
    assert_eq!(world.counted(first), Value::Null);
    world.set(1, 2_999);
    assert_eq!(tell(&first.to_string()), 200);
    assert_eq!(said(1), (true, true));
    let event = find(&mut events, "execution_payload_available", "block_root", &first.to_string());
    assert_eq!(event, json!({"slot": "1", "block_root": first.to_string()}));
    world.begin(2);
    let second = world.propose(2);
    world.set(2, 3_000);
    assert_eq!(tell(&second.to_string()), 200);
    assert_eq!((said(2), tell(&second.to_string())), ((false, true), 200));
    world.node.client().rest();
    assert_eq!(world.counted(second)["verified"], true);
    world.begin(3);
    let third = world.propose(3);
    assert_eq!(said(3), (false, false));
    // The child of block 3 waits until the payload comes.
    world.begin(4);
    let child = world.signed(4, "child");
    let answer = world.post("/eth/v1/beacon/blocks", &child.to_json());
    assert_eq!(answer.status, 202);
    let pending = world.node.client().pending().unwrap();
    assert_eq!(pending.iter().map(|(_, why)| why.word()).collect::<Vec<_>>(), ["unknown_payload"]);
    assert_eq!(tell(&third.to_string()), 200);
    let root = child.message.hash_tree_root().to_string();
    let event = find(&mut events, "execution_payload_available", "block_root", &third.to_string());
    assert_eq!(event["slot"], "3");
    world.node.client().rest();
    assert_eq!(world.data("/eth/v1/beacon/headers/head")["root"], root);
    for wrong in ["", "0x", "0x01", "head"] {
        assert_ne!(tell(wrong), 200, "{wrong}");
    }
}

#[test]
fn blocks_that_are_not_accepted_make_no_payload_forgotten() {
    // After the head as many others come as payloads are remembered. Each is of the slot of
    // genesis, so it is refused at once.
    let world = world(Payloads::WithBlock);
    world.begin(1);
    let mut other = world.signed(1, "other");
    world.propose(1);
    other.message.slot = 0;
    for number in 0..CAPACITY as u64 {
        other.message.state_root = epoch_root(number);
        let answer = world.post("/eth/v1/beacon/blocks", &other.to_json());
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(&answer.body));
    }
    let data = world.payload_data(1);
    assert!(data.payload_present && data.blob_data_available, "{data:?}");
}

#[test]
fn a_payload_came_with_the_first_submission_of_its_block_and_is_there_before_the_verdict() {
    // The block is submitted in time, and that submission never ends. The chain has the block, but
    // nobody was told of a verdict. Then the block of the next slot is submitted in time, and again
    // after half of the slot, which has the verdict.
    let world = world(Payloads::WithBlock);
    let (client, recent) = (world.node.client(), &world.node.beacon().recent);
    world.begin(1);
    let block = SharedBlock::from(world.signed(1, ""));
    let first = recent.arrive(&block, (1, 2_999));
    let verdict = client.submit_block(block.clone(), 0, block.value().encode().len()).wait();
    assert!(matches!(verdict, Verdict::Accept { .. }), "{verdict:?}");
    assert_eq!(client.view().map(|view| view.head), Some(block.root()));
    let data = world.payload_data(1);
    assert!(data.payload_present && data.blob_data_available, "{data:?}");
    drop(first);
    for (in_time, slot) in [(true, 2), (false, 3)] {
        world.begin(slot);
        let block = world.signed(slot, "");
        let shared = SharedBlock::from(block.clone());
        let first = in_time.then(|| recent.arrive(&shared, (slot, 2_999)));
        world.set(slot, 3_000);
        assert_eq!(world.post("/eth/v1/beacon/blocks", &block.to_json()).status, 200);
        drop(first);
        let data = world.payload_data(slot);
        assert_eq!((data.payload_present, data.blob_data_available), (in_time, true));
    }
}

#[test]
fn a_list_of_votes_is_judged_one_by_one_in_both_forms() {
    // Of seven votes, three fail: each for the first condition that does not hold.
    let world = world(Payloads::WithBlock);
    let mut events = open(&world, "payload_attestation_message");
    world.begin(1);
    world.propose(1);
    let data = world.payload_data(1);
    let members = world.ptc_duties(0).remove(&1).expect("a committee");
    let stranger = (0..VALIDATORS).find(|index| !members.contains(index));
    let good = world.payload_vote(members[0], data);
    let late = world.payload_vote(members[0], PayloadAttestationData { slot: 9, ..data });
    let forged = PayloadAttestationMessage { signature: late.signature, ..good };
    let nobody = PayloadAttestationMessage { validator_index: 1 << 40, ..good };
    let mut votes = vec![forged, good, late, nobody];
    votes.extend(stranger.map(|index| world.payload_vote(index, data)));
    let answer = world.submit_votes(&votes);
    assert_eq!(answer.status, 400);
    let expected = [
        (0, "invalid: bad_signature"),
        (2, "ignored: not_current_slot"),
        (3, "invalid: unknown_validator"),
        (4, "invalid: not_in_committee"),
    ];
    let expected: Vec<_> = expected.map(|(at, why)| (at, why.to_owned())).into();
    assert_eq!(failures(&answer), expected[..votes.len() - 1]);
    let (_, event) = super::events::next(&mut events).expect("the one that was accepted");
    assert_eq!(event["version"], "gloas");
    assert_eq!(event["data"]["validator_index"], members[0].to_string());
    // A retry is a success, and is not counted twice (P4); so is SSZ.
    let bytes: Vec<u8> = [good, good].iter().flat_map(Wire::encode).collect();
    let ssz = [("Content-Type", "application/octet-stream"), GLOAS];
    assert_eq!(world.submit_bytes(&ssz, &bytes).status, 200);
    let held = world.aggregates(1);
    assert_eq!(held.len(), 1);
    let metrics = String::from_utf8(world.get("/metrics").body).unwrap();
    assert!(
        metrics.contains("blocksmith_payload_votes_total{outcome=\"accepted\"} 1"),
        "{metrics}"
    );
}

#[test]
fn hostile_bodies_and_headers_are_errors() {
    // No version, another one; what is no list, or cut off; numbers that are none.
    let world = world(Payloads::WithBlock);
    world.begin(3);
    let vote = PayloadAttestationMessage::default();
    let json = ("Content-Type", "application/json");
    for (headers, status) in [
        (vec![json], 400),
        (vec![json, ("Eth-Consensus-Version", "phase0")], 400),
        (vec![("Content-Type", "text/plain"), GLOAS], 415),
        (vec![("Content-Type", "application/octet-stream"), GLOAS], 400),
    ] {
        let answer = world.submit_bytes(&headers, vote.to_json().as_bytes());
        assert_eq!(answer.status, status, "{headers:?}");
    }
    let text = format!("[{}]", vote.to_json());
    for body in [
        String::new(),
        "{}".to_owned(),
        "[{}]".to_owned(),
        text[..text.len() - 2].to_owned(),
        text.replace("\"validator_index\":\"0\"", "\"validator_index\":0"),
        text.replace("\"payload_present\":false", "\"payload_present\":\"false\""),
        "[".repeat(4096),
    ] {
        assert_eq!(world.submit_text(&body).status, 400, "{:.80}", body);
    }
    let answer = world.submit_text(&text);
    assert_eq!(failures(&answer)[0].1, "ignored: not_current_slot");
    assert_eq!(world.submit_text("[]").status, 200);
    for query in ["?slot=x", "?slot=-1"] {
        assert_eq!(world.get(&format!("{POOL}{query}")).status, 400);
    }
}

#[test]
fn phase0_has_no_payload_timeliness_committee() {
    // The same requests to a node without the test fork; and the names of the configuration.
    let world = World::new();
    world.begin(1);
    world.propose(1);
    let message = "the chain has no payload-timeliness committee";
    for answer in [
        world.get(&format!("{DATA}?slot=1")),
        world.get(POOL),
        world.submit_text("[]"),
        world.post("/eth/v1/validator/duties/ptc/0", "[]"),
        world.get("/blocksmith/v1/payload_votes"),
        world.post(&format!("/blocksmith/v1/payloads/{}", Root::ZERO), ""),
    ] {
        assert_eq!((answer.status, answer.error().as_str()), (404, message));
    }
    assert_eq!(world.data("/eth/v1/config/spec").get("PTC_SIZE"), None);
    let fork = self::world(Payloads::WithBlock);
    let spec = fork.data("/eth/v1/config/spec");
    assert_eq!(spec["PAYLOAD_ATTESTATION_DUE_BPS"], "7500");
    assert_eq!(spec["PAYLOAD_DUE_BPS"], "5000");
    assert_eq!(
        (&spec["PTC_SIZE"], &spec["DOMAIN_PTC_ATTESTER"]),
        (&json!("16"), &json!("0x0c000000"))
    );
    let with_block = fork.post(&format!("/blocksmith/v1/payloads/{}", Root::ZERO), "");
    assert_eq!(with_block.error(), "payloads come with their blocks");
}

#[test]
fn the_test_fork_changes_neither_states_nor_blocks() {
    // The same chain with and without it, over two ends of epochs: the same roots.
    let roots = |world: World| {
        let blocks = world.run(1..=17);
        (blocks, world.data("/eth/v1/beacon/states/head/root")["root"].clone())
    };
    assert_eq!(roots(World::new()), roots(world(Payloads::WithBlock)));
}
