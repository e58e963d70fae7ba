//! What a validator client asks and submits at its duties: every kind of request that a real one
//! was recorded to make.

use std::collections::BTreeSet;

use blocksmith_consensus::{
    Attestation, AttestationData, BeaconBlock, DOMAIN_BEACON_PROPOSER, DOMAIN_VOLUNTARY_EXIT,
    FromJson, Json, ProposerSlashing, Root, SignedBeaconBlock, SignedBeaconBlockHeader,
    SignedVoluntaryExit, VoluntaryExit, Wire,
};
use serde_json::{Value, json};

use super::http::{ask, get_ssz};
use super::world::{VALIDATORS, World, number};
use crate::api::Published;

#[test]
fn a_chain_whose_validators_know_only_the_api_is_finalised() {
    // Eight validators, four epochs and two slots: what the recorded client did, by its routes.
    let world = World::new();
    let roots = world.run(1..=34);
    let checkpoints = world.data("/eth/v1/beacon/states/head/finality_checkpoints");
    assert_eq!(checkpoints["current_justified"]["epoch"], "3");
    assert_eq!(checkpoints["finalized"]["epoch"], "2");
    assert_eq!(checkpoints["finalized"]["root"], roots[&16].to_string());
    let finalized = world.get("/eth/v1/beacon/headers/finalized").json();
    assert_eq!(finalized["data"]["root"], roots[&16].to_string());
    assert_eq!(finalized["finalized"], true);
    let state = world.data("/eth/v1/beacon/states/finalized/root");
    assert_eq!(state["root"], finalized["data"]["header"]["message"]["state_root"]);
    // What finality has passed is known as long as it is among the last blocks; its state is not.
    assert_eq!(world.get("/eth/v1/beacon/headers/9").json()["finalized"], true);
    assert_eq!(world.get("/eth/v1/beacon/states/9/root").status, 404);
    // Everybody's vote is on the chain.
    let all: Vec<String> = (0..VALIDATORS).map(|index| index.to_string()).collect();
    let live = world.post("/eth/v1/validator/liveness/3", &json!(all).to_string()).data();
    assert!(live.as_array().unwrap().iter().all(|one| one["is_live"] == true), "{live}");
    let published = world.network.published.lock().unwrap();
    let blocks = published.iter().filter(|one| matches!(one, Published::Block(_))).count();
    let votes = published.iter().filter(|one| matches!(one, Published::Attestation { .. })).count();
    assert_eq!((blocks, votes), (34, 34));
}

#[test]
fn a_second_block_of_a_proposer_is_counted_as_an_offence() {
    // Two blocks of slot 1, which differ in their graffiti; the counter is a thread's, so it is
    // read until it has changed.
    let world = World::new();
    world.begin(1);
    let counted = |count: u64| {
        let line = format!("blocksmith_offences_total{{kind=\"double_block\"}} {count}\n");
        String::from_utf8(world.get("/metrics").body).unwrap().contains(&line)
    };
    assert!(counted(0));
    let blocks = ["0x", "0x01"].map(|start| world.signed(1, &format!("{start:0<66}")));
    assert_ne!(blocks[0].message.hash_tree_root(), blocks[1].message.hash_tree_root());
    for block in &blocks {
        world.post("/eth/v1/beacon/blocks", &block.to_json());
    }
    while !counted(1) {
        std::thread::yield_now();
    }
}

#[test]
fn duties_of_an_epoch_are_those_of_its_blocks_and_name_what_they_depend_on() {
    // The next epoch's duties, before and after it has begun.
    let world = World::new();
    let roots = world.run(1..=9);
    let before = world.get("/eth/v1/validator/duties/proposer/2").json();
    assert_eq!(before["dependent_root"], roots[&9].to_string());
    let duties = world.get("/eth/v1/validator/duties/proposer/1").json();
    assert_eq!(duties["dependent_root"], roots[&7].to_string());
    let slots: Vec<u64> =
        duties["data"].as_array().unwrap().iter().map(|duty| number(&duty["slot"])).collect();
    assert_eq!(slots, (8..16).collect::<Vec<_>>());
    let block = world.data("/eth/v2/beacon/blocks/9");
    assert_eq!(duties["data"][1]["validator_index"], block["message"]["proposer_index"]);
    // Each validator votes once an epoch, in its committee's place, also in the next epoch.
    for (epoch, dependent) in
        [(0, world.node.genesis_root()), (1, world.node.genesis_root()), (2, roots[&7])]
    {
        let body = r#"["0","1","2","3","4","5","6","7"]"#;
        let duties = world.post(&format!("/eth/v1/validator/duties/attester/{epoch}"), body).json();
        assert_eq!(duties["dependent_root"], dependent.to_string(), "epoch {epoch}");
        let voters: BTreeSet<u64> = duties["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|duty| number(&duty["validator_index"]))
            .collect();
        assert_eq!(voters, (0..8).collect(), "epoch {epoch}");
        let committees =
            world.data(&format!("/eth/v1/beacon/states/head/committees?epoch={epoch}"));
        for duty in duties["data"].as_array().unwrap() {
            let mut committees = committees.as_array().unwrap().iter();
            let own = committees
                .find(|one| one["slot"] == duty["slot"] && one["index"] == duty["committee_index"]);
            let place = number(&duty["validator_committee_index"]) as usize;
            assert_eq!(own.unwrap()["validators"][place], duty["validator_index"]);
        }
    }
    let some = world.post("/eth/v1/validator/duties/attester/1", r#"["3"]"#).data();
    assert_eq!(some.as_array().map(Vec::len), Some(1));
    assert_eq!(world.post("/eth/v1/validator/duties/attester/9", "[]").status, 400);
}

#[test]
fn a_block_is_produced_and_published_in_every_version_and_form() {
    // Three versions of the question; JSON and SSZ; and a second time, after a lost answer.
    let world = World::new();
    world.begin(1);
    let one = world.unsigned("v1", 1, "Lodestar-v1.5.1%2F2115aa7").json();
    assert_eq!(one["block_value"], "0");
    let graffiti = one["data"]["body"]["graffiti"].as_str().unwrap();
    assert!(graffiti.starts_with("0x4c6f646573746172"), "{graffiti}");
    assert_eq!(one["data"]["body"]["eth1_data"]["deposit_count"], "8");
    let two = world.unsigned("v2", 1, "").json();
    assert_eq!(two["version"], "phase0");
    let three = world.unsigned("v3", 1, "");
    let head = three.head.to_lowercase();
    assert!(head.contains("eth-execution-payload-blinded: false"), "{head}");
    let three = three.json();
    assert_eq!(
        (&three["execution_payload_blinded"], &three["consensus_block_value"]),
        (&json!(false), &json!("0"))
    );
    assert_eq!(three["data"], two["data"]);
    let block = world.signed(1, "");
    assert_eq!(block.message, BeaconBlock::from_json(&two["data"]).unwrap());
    let octets =
        [("Content-Type", "application/octet-stream"), ("Eth-Consensus-Version", "phase0")];
    let publish = |bytes: &[u8]| {
        ask(
            world.address(),
            "POST",
            "/eth/v2/beacon/blocks?broadcast_validation=gossip",
            &octets,
            bytes,
        )
    };
    assert_eq!(publish(&block.encode()).status, 200);
    assert_eq!(publish(&block.encode()).status, 200, "the same again");
    assert_eq!(world.post("/eth/v1/beacon/blocks", &block.to_json()).status, 200);
    assert_eq!(
        world.data("/eth/v1/beacon/blocks/head/root")["root"],
        block.message.hash_tree_root().to_string()
    );
    assert_eq!(publish(&block.encode()[1..]).status, 400);
    let wrong = ask(
        world.address(),
        "POST",
        "/eth/v1/beacon/blocks",
        &[("Content-Type", "text/plain")],
        b"{}",
    );
    assert_eq!(wrong.status, 415);
    // A block by another signature, and one whose slot has not come.
    world.begin(2);
    let block = world.signed(2, "");
    let forged = SignedBeaconBlock {
        signature: world.sign(0, Root::ZERO, DOMAIN_BEACON_PROPOSER),
        ..block.clone()
    };
    let answer = world.post("/eth/v1/beacon/blocks", &forged.to_json());
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (400, "the block is invalid: bad_proposer_signature")
    );
    assert_eq!(world.get("/eth/v1/validator/blocks/9?randao_reveal=0x00").status, 400);
    let reveal = format!("0x{}", "00".repeat(96));
    let answer = world.get(&format!("/eth/v1/validator/blocks/2?randao_reveal={reveal}"));
    assert_eq!(answer.status, 400, "{}", answer.error());
    assert_eq!(world.post("/eth/v1/beacon/blocks", &block.to_json()).status, 200);
    let published = world.network.published.lock().unwrap().len();
    assert_eq!(published, 2, "each block once, and nothing forged");
}

#[test]
fn votes_are_submitted_aggregated_and_included() {
    // Of one slot: data, votes, the pool's sum, and the aggregator's message.
    let world = World::new();
    world.begin(1);
    let head = world.propose(1);
    let votes = world.attest(1);
    let data = &votes[0].1.data;
    assert_eq!((data.beacon_block_root, data.target.root), (head, world.node.genesis_root()));
    let target = format!("attestation_data_root={}&slot=1", data.hash_tree_root());
    let sum = world.data(&format!("/eth/v1/validator/aggregate_attestation?{target}"));
    let sum = Attestation::from_json(&sum).unwrap();
    assert_eq!(sum, votes[0].1);
    let two =
        world.get(&format!("/eth/v2/validator/aggregate_attestation?{target}&committee_index=0"));
    assert_eq!(two.json()["version"], "phase0");
    let other =
        world.get(&format!("/eth/v2/validator/aggregate_attestation?{target}&committee_index=1"));
    assert_eq!(other.status, 404);
    let aggregate = world.aggregate_and_proof(votes[0].0, sum);
    for version in ["v1", "v2"] {
        let target = format!("/eth/{version}/validator/aggregate_and_proofs");
        assert_eq!(world.post(&target, &format!("[{}]", aggregate.to_json())).status, 200);
    }
    // The same vote again is no failure. A forged one is, and the answer says which it was.
    world.begin(2);
    world.propose(2);
    let next = world.votes(2);
    let signature = world.sign(0, Root::ZERO, DOMAIN_BEACON_PROPOSER);
    let forged = Attestation { signature, ..next[0].1.clone() };
    let far = AttestationData { slot: 4_000, ..data.clone() };
    let unknown = Attestation { data: far, ..forged.clone() };
    let all = [&votes[0].1, &forged, &unknown].map(Json::to_json);
    let answer = world.post("/eth/v2/beacon/pool/attestations", &format!("[{}]", all.join(",")));
    assert_eq!(answer.status, 400);
    let failures = answer.json()["failures"].clone();
    let failed: Vec<_> = failures.as_array().unwrap().iter().map(|one| &one["index"]).collect();
    assert_eq!(failed, [1, 2], "{failures}");
    assert_eq!(failures[0]["message"], "invalid: bad_signature");
    let valid = format!("[{}]", next[0].1.to_json());
    assert_eq!(world.post("/eth/v1/beacon/pool/attestations", &valid).status, 200);
    let included = world.data("/eth/v2/beacon/blocks/head");
    assert_eq!(
        included["message"]["body"]["attestations"][0]["signature"],
        json!(votes[0].1.signature.to_string())
    );
    let list = world.get("/eth/v2/beacon/blocks/head/attestations").json();
    assert_eq!(list["version"], "phase0");
    assert_eq!(list["data"], included["message"]["body"]["attestations"]);
    assert_eq!(list["data"], world.data("/eth/v1/beacon/blocks/head/attestations"));
}

#[test]
fn lists_of_votes_and_aggregates_are_read_as_ssz_and_other_lists_are_not() {
    // The list's encoding by hand: offsets, then the elements. A cut one; and JSON alone elsewhere.
    let world = World::new();
    world.begin(1);
    world.propose(1);
    let octets =
        [("Content-Type", "application/octet-stream"), ("Eth-Consensus-Version", "phase0")];
    let post = |target: &str, bytes: &[u8]| ask(world.address(), "POST", target, &octets, bytes);
    let list = |elements: &[Vec<u8>]| {
        let mut at = 4 * elements.len();
        let mut bytes = Vec::new();
        for element in elements {
            bytes.extend(u32::try_from(at).unwrap().to_le_bytes());
            at += element.len();
        }
        bytes.extend(elements.concat());
        bytes
    };
    let votes = world.votes(1);
    let (voter, vote) = votes[0].clone();
    // Its failure does not depend on which of the two is judged first.
    let data = AttestationData { slot: 4_000, ..vote.data.clone() };
    let far = Attestation { data, ..vote.clone() };
    let pool = "/eth/v2/beacon/pool/attestations";
    let answer = post(pool, &list(&[vote.encode(), far.encode()]));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["failures"][0]["index"], 1, "{}", answer.error());
    assert_eq!(post(pool, &list(&[vote.encode()])).status, 200);
    assert_eq!(post(pool, &list(&[vote.encode()])[1..]).status, 400);
    let aggregate = world.aggregate_and_proof(voter, vote);
    let aggregates = "/eth/v2/validator/aggregate_and_proofs";
    assert_eq!(post(aggregates, &list(&[aggregate.encode()])).status, 200);
    assert_eq!(post("/eth/v1/validator/duties/attester/0", &[0; 8]).status, 415);
    assert_eq!(post("/eth/v1/beacon/pool/voluntary_exits", &[0; 112]).status, 415);
}

#[test]
fn the_vote_of_a_slot_is_for_the_head_and_checkpoints_of_that_slot() {
    // The first slot of an epoch without a block, and a slot before the head's.
    let world = World::new();
    let roots = world.run(1..=6);
    let data = |slot: u64| {
        world.data(&format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index=0"))
    };
    world.begin(8);
    let empty = data(8);
    assert_eq!(
        (&empty["beacon_block_root"], &empty["target"]["root"]),
        (&json!(roots[&6].to_string()), &json!(roots[&6].to_string()))
    );
    assert_eq!(empty["target"]["epoch"], "1");
    let late = data(4);
    assert_eq!(late["beacon_block_root"], roots[&4].to_string());
    assert_eq!((&late["slot"], &late["target"]["epoch"]), (&json!("4"), &json!("0")));
    world.begin(9);
    let head = world.propose(9);
    let now = data(9);
    assert_eq!(
        (&now["beacon_block_root"], &now["target"]["root"]),
        (&json!(head.to_string()), &json!(roots[&6].to_string()))
    );
}

#[test]
fn operations_are_taken_once_they_are_valid_and_go_into_a_block() {
    // A slashing of a proposer that signed twice; an exit that comes too early; and rubbish.
    let world = World::new();
    world.begin(1);
    let header = |graffiti: &str| {
        let block = world.signed(1, graffiti);
        let message = blocksmith_consensus::BeaconBlockHeader {
            slot: 1,
            proposer_index: block.message.proposer_index,
            parent_root: block.message.parent_root,
            state_root: block.message.state_root,
            body_root: block.message.body.hash_tree_root(),
        };
        SignedBeaconBlockHeader { message, signature: block.signature }
    };
    let slashing = ProposerSlashing { signed_header_1: header("a"), signed_header_2: header("b") };
    let target = "/eth/v1/beacon/pool/proposer_slashings";
    let twice =
        ProposerSlashing { signed_header_2: slashing.signed_header_1.clone(), ..slashing.clone() };
    let answer = world.post(target, &twice.to_json());
    assert_eq!(answer.status, 400, "{}", answer.error());
    assert_eq!(world.post(target, &slashing.to_json()).status, 200);
    assert_eq!(world.post(target, &slashing.to_json()).status, 200, "the same again");
    let message = VoluntaryExit { epoch: 0, validator_index: 3 };
    let signature = world.sign(3, message.hash_tree_root(), DOMAIN_VOLUNTARY_EXIT);
    let exit = SignedVoluntaryExit { message, signature };
    let answer = world.post("/eth/v1/beacon/pool/voluntary_exits", &exit.to_json());
    assert_eq!((answer.status, answer.error().as_str()), (400, "invalid: bad_voluntary_exit"));
    let answer = world.post("/eth/v2/beacon/pool/attester_slashings", "{}");
    assert_eq!((answer.status, answer.error().as_str()), (400, "attestation_1: is missing"));
    // The proposer of the first slot is slashed; somebody else includes it.
    let slashed = slashing.signed_header_1.message.proposer_index;
    let slot = (2..8).find(|slot| world.proposer(*slot) != slashed).unwrap();
    world.begin(slot);
    world.propose(slot);
    let validator = world.data(&format!("/eth/v1/beacon/states/head/validators/{slashed}"));
    assert_eq!(
        (&validator["status"], &validator["validator"]["slashed"]),
        (&json!("active_slashed"), &json!(true))
    );
}

#[test]
fn subscriptions_are_read_and_need_no_network() {
    // What was recorded; one without a field; and what newer clients send.
    let world = World::new();
    let target = "/eth/v1/validator/beacon_committee_subscriptions";
    let one = json!({"validator_index":"0","committee_index":"0","committees_at_slot":"1","slot":"5","is_aggregator":true});
    assert_eq!(world.post(target, &json!([one]).to_string()).status, 200);
    let mut less = one;
    less.as_object_mut().map(|fields: &mut serde_json::Map<String, Value>| fields.remove("slot"));
    let answer = world.post(target, &json!([less]).to_string());
    assert_eq!((answer.status, answer.error().as_str()), (400, "[0].slot: is missing"));
    assert_eq!(world.post("/eth/v1/validator/prepare_beacon_proposer", "[]").status, 200);
    assert_eq!(get_ssz(world.address(), "/eth/v1/node/version").status, 200);
}
