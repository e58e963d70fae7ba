//! The client against answers as nodes give them, and as they must not.

use std::io::Cursor;
use std::time::Duration;

use blocksmith_consensus::{
    Attestation, AttestationData, BeaconBlock, Json, PublicKeyBytes, Root, SignatureBytes,
    SignedAggregateAndProof, SignedBeaconBlock,
};
use serde_json::Value;

use super::{BeaconClient, Events, HeadEvent, NodeEvent, Subscription};
use crate::http_client::HttpError;
use crate::http_client::tests::serve;

const TIMEOUT: Duration = Duration::from_secs(60);

fn key(byte: u8) -> PublicKeyBytes {
    PublicKeyBytes::new([byte; 48])
}

fn root(byte: u8) -> Root {
    Root::new([byte; 32])
}

/// Starts a server that gives these answers with status 200, and returns what it saw.
fn asks(answers: Vec<String>, ask: impl FnOnce(&BeaconClient)) -> Vec<(String, String)> {
    let (url, server) = serve(answers.into_iter().map(|answer| (200, answer)).collect());
    ask(&BeaconClient::new(&url).unwrap());
    server.join().unwrap()
}

#[test]
fn genesis_spec_and_sync_are_read_from_their_fields() {
    // The answers of a real node, with a field that is not known and one that is not there.
    let genesis = format!(
        r#"{{"data":{{"genesis_time":"5","genesis_validators_root":"{}",
        "genesis_fork_version":"0x00000001","more":1}}}}"#,
        root(3)
    );
    let spec = r#"{"data":{"SLOTS_PER_EPOCH":"8","LIST":["1"]}}"#.to_owned();
    let syncing = r#"{"data":{"head_slot":"7","sync_distance":"1","is_syncing":true}}"#.to_owned();
    let seen = asks(vec![genesis, spec, syncing], |node| {
        let genesis = node.genesis(TIMEOUT).unwrap();
        assert_eq!((genesis.genesis_time, genesis.genesis_validators_root), (5, root(3)));
        assert_eq!(node.spec(TIMEOUT).unwrap(), [("SLOTS_PER_EPOCH".into(), "8".into())]);
        let syncing = node.syncing(TIMEOUT).unwrap();
        assert!(syncing.is_syncing && !syncing.is_optimistic);
        assert_eq!((syncing.head_slot, syncing.sync_distance), (7, 1));
    });
    assert_eq!(seen[2].0, "GET /eth/v1/node/syncing");
}

#[test]
fn many_validators_are_asked_for_in_parts() {
    // 65 keys are two requests: a request line has its bounds.
    let entry = |byte: u8, status: &str| {
        let key = key(byte);
        format!(r#"{{"index":"{byte}","status":"{status}","validator":{{"pubkey":"{key}"}}}}"#)
    };
    let first =
        format!(r#"{{"data":[{},{}]}}"#, entry(0, "active_ongoing"), entry(1, "pending_queued"));
    let keys: Vec<PublicKeyBytes> = (0..65).map(key).collect();
    let seen = asks(vec![first, r#"{"data":[]}"#.to_owned()], |node| {
        let known = node.validators(&keys, TIMEOUT).unwrap();
        assert_eq!(
            known.iter().map(|v| (v.index, v.active)).collect::<Vec<_>>(),
            [(0, true), (1, false)]
        );
        assert_eq!(known[1].pubkey, key(1));
    });
    assert!(seen[0].0.len() < 8 << 10);
    assert_eq!(seen[1].0.matches("id=").count(), 1);
}

#[test]
fn duties_carry_the_root_that_came_with_them() {
    // Proposers and attesters; the attesters' indices go out as a list of texts.
    let head = format!(r#"{{"dependent_root":"{}","data":[{{"pubkey":"{}""#, root(9), key(4));
    let proposer = format!(r#"{head},"validator_index":"4","slot":"33"}}]}}"#);
    let attester = format!(
        r#"{head},"validator_index":"4","slot":"35","committee_index":"1","committee_length":"3",
        "committees_at_slot":"2","validator_committee_index":"2"}}]}}"#
    );
    let seen = asks(vec![proposer, attester, String::new()], |node| {
        let proposers = node.proposer_duties(4, TIMEOUT).unwrap();
        assert_eq!(proposers.dependent_root, root(9));
        assert_eq!((proposers.duties[0].slot, proposers.duties[0].pubkey), (33, key(4)));
        let attesters = node.attester_duties(4, &[4, 7], TIMEOUT).unwrap();
        let duty = attesters.duties[0];
        assert_eq!((duty.committee_index, duty.committee_length), (1, 3));
        assert_eq!((duty.committees_at_slot, duty.validator_committee_index), (2, 2));
        let subscription = Subscription { duty, is_aggregator: true };
        node.subscribe(&[subscription, subscription], TIMEOUT).unwrap();
    });
    assert_eq!(seen[0].0, "GET /eth/v1/validator/duties/proposer/4");
    assert_eq!(seen[1].1, r#"["4","7"]"#);
    let sent: Value = serde_json::from_str(&seen[2].1).unwrap();
    assert_eq!((&sent[1]["slot"], &sent[1]["is_aggregator"]), (&"35".into(), &true.into()));
}

#[test]
fn what_is_signed_is_asked_for_and_published_in_the_form_of_the_api() {
    // One request of each kind: values come back as they were written.
    let block = BeaconBlock { slot: 5, ..BeaconBlock::default() };
    let data = AttestationData { slot: 6, ..AttestationData::default() };
    let attestation = Attestation { data: data.clone(), ..Attestation::default() };
    let answers = vec![
        format!(r#"{{"version":"phase0","data":{}}}"#, block.to_json()),
        format!(r#"{{"data":{}}}"#, data.to_json()),
        format!(r#"{{"data":{}}}"#, attestation.to_json()),
        String::new(),
        String::new(),
        String::new(),
    ];
    let reveal = SignatureBytes::new([7; 96]);
    let seen = asks(answers, |node| {
        assert_eq!(node.produce_block(5, &reveal, Some(&root(1)), TIMEOUT).unwrap(), block);
        assert_eq!(node.attestation_data(6, 1, TIMEOUT).unwrap(), data);
        assert_eq!(node.aggregate_attestation(6, 1, &root(2), TIMEOUT).unwrap(), attestation);
        node.publish_block(&SignedBeaconBlock::default(), TIMEOUT).unwrap();
        node.publish_attestations(&[attestation.clone(), attestation], TIMEOUT).unwrap();
        node.publish_aggregates(&[SignedAggregateAndProof::default()], TIMEOUT).unwrap();
    });
    let expected =
        format!("GET /eth/v3/validator/blocks/5?randao_reveal={reveal}&graffiti={}", root(1));
    assert_eq!(seen[0].0, expected);
    assert_eq!(seen[1].0, "GET /eth/v1/validator/attestation_data?slot=6&committee_index=1");
    let aggregate = "GET /eth/v2/validator/aggregate_attestation";
    let query = format!("attestation_data_root={}&slot=6&committee_index=1", root(2));
    assert_eq!(seen[2].0, format!("{aggregate}?{query}"));
    assert_eq!(seen[3].0, "POST /eth/v2/beacon/blocks");
    assert_eq!(seen[4].0, "POST /eth/v2/beacon/pool/attestations");
    assert_eq!(seen[5].0, "POST /eth/v2/validator/aggregate_and_proofs");
    let published: Value = serde_json::from_str(&seen[4].1).unwrap();
    assert_eq!(published.as_array().map(Vec::len), Some(2));
}

#[test]
fn an_answer_of_another_form_names_the_path_and_the_field() {
    // No data, a number without quotes, a duty without a slot, no dependent root.
    let answers = ["{}", r#"{"data":{"head_slot":7}}"#].map(str::to_owned).to_vec();
    asks(answers, |node| {
        let error = node.genesis(TIMEOUT).unwrap_err().to_string();
        assert_eq!(error, "/eth/v1/beacon/genesis: data: expected an object");
        let error = node.syncing(TIMEOUT).unwrap_err().to_string();
        assert_eq!(error, "/eth/v1/node/syncing: data.head_slot: expected a number in quotes");
    });
    let rootless = r#"{"data":[]}"#.to_owned();
    let slotless = format!(
        r#"{{"dependent_root":"{}","data":[{{"pubkey":"{}","validator_index":"1"}}]}}"#,
        root(1),
        key(1)
    );
    asks(vec![rootless, slotless], |node| {
        let error = node.proposer_duties(1, TIMEOUT).unwrap_err();
        assert!(error.to_string().ends_with("dependent_root: is missing"), "{error}");
        let error = node.proposer_duties(1, TIMEOUT).unwrap_err();
        assert!(error.to_string().ends_with("data[0].slot: is missing"), "{error}");
        assert!(matches!(error, HttpError::Answer { .. }));
    });
}

fn head(slot: u64) -> String {
    format!(
        r#"{{"slot":"{slot}","block":"{}","state":"{}","epoch_transition":false,
        "previous_duty_dependent_root":"{}","current_duty_dependent_root":"{}"}}"#,
        root(1),
        root(2),
        root(3),
        root(4)
    )
    .replace('\n', "")
}

fn heads(events: impl Iterator<Item = NodeEvent>) -> Vec<HeadEvent> {
    let head = |event| match event {
        NodeEvent::Head(head) => Some(head),
        NodeEvent::PayloadAvailable { .. } => None,
    };
    events.filter_map(head).collect()
}

#[test]
fn complete_payloads_are_told_between_the_heads() {
    // A payload, one without its block, and a head.
    let stream = format!(
        "event: execution_payload_available\ndata: {{\"slot\":\"3\",\"block_root\":\"{}\"}}\n\n\
         event: execution_payload_available\ndata: {{\"slot\":\"4\"}}\n\nevent: head\ndata: {}\n\n",
        root(7),
        head(5),
    );
    let events: Vec<NodeEvent> = Events::new(Cursor::new(stream)).collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0], NodeEvent::PayloadAvailable { slot: 3, block: root(7) });
    assert!(matches!(events[1], NodeEvent::Head(HeadEvent { slot: 5, .. })));
}

#[test]
fn only_whole_head_events_are_told() {
    // Comments, another topic, a damaged event, lines of both kinds, and a stream that breaks off.
    let stream = format!(
        ": hello\n\nevent: block\ndata: {}\n\nevent: head\ndata: 5\n\nevent: head\r\ndata: {}\r\n\
         \r\ndata: {}\n\nevent:head\ndata:{}\n\nevent: head\ndata: {}",
        head(1),
        head(2),
        head(3),
        head(4),
        head(5),
    );
    let heads = heads(Events::new(Cursor::new(stream)));
    assert_eq!(heads.iter().map(|head| head.slot).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(heads[0].block, root(1));
    assert_eq!(heads[0].previous_duty_dependent_root, root(3));
    assert_eq!(heads[0].current_duty_dependent_root, root(4));
}

#[test]
fn a_line_without_end_ends_the_stream() {
    // 70,000 bytes and a good event behind them.
    let stream = format!("{}\nevent: head\ndata: {}\n", "x".repeat(70_000), head(1));
    assert_eq!(Events::new(Cursor::new(stream)).count(), 0);
}

#[test]
fn a_stream_of_events_is_read_from_a_node() {
    // The node sends one event and closes.
    let seen = asks(vec![format!("event: head\ndata: {}\n\n", head(8))], |node| {
        let heads = heads(node.events(false, TIMEOUT).unwrap());
        assert_eq!(heads.len(), 1);
        assert_eq!(heads[0].slot, 8);
    });
    assert_eq!(seen[0].0, "GET /eth/v1/events?topics=head");
}

#[test]
fn liveness_blocks_and_finality_are_read_from_their_fields() {
    // One validator of two is named; a block comes back as it was; the epochs of two checkpoints.
    let live = r#"{"data":[{"index":"4","is_live":true}]}"#.to_owned();
    let block = SignedBeaconBlock::default();
    let finality = r#"{"data":{"previous_justified":{"epoch":"1"},
        "current_justified":{"epoch":"3"},"finalized":{"epoch":"2"}}}"#;
    let answers = vec![live, format!(r#"{{"data":{}}}"#, block.to_json()), finality.to_owned()];
    let seen = asks(answers, |node| {
        assert_eq!(node.liveness(5, &[4, 6], TIMEOUT).unwrap(), [(4, true)]);
        assert_eq!(node.block("17", TIMEOUT).unwrap(), block);
        assert_eq!(node.finality(TIMEOUT).unwrap(), (3, 2));
    });
    assert_eq!(seen[0], ("POST /eth/v1/validator/liveness/5".into(), r#"["4","6"]"#.into()));
    assert_eq!(seen[1].0, "GET /eth/v2/beacon/blocks/17");
}

#[test]
fn an_older_node_is_asked_by_its_own_version_and_that_is_found_out_once() {
    // The newer route is unknown in three ways; the second question goes to the older one at once.
    // Then the node is upgraded; and one that knows neither is told with its first answer.
    let block = BeaconBlock { slot: 5, ..BeaconBlock::default() };
    let found = || (200, format!(r#"{{"data":{}}}"#, block.to_json()));
    let status = |status| (status, r#"{"message":"no"}"#.to_owned());
    let replies = vec![
        status(404),
        found(),
        found(),
        status(405),
        status(200),
        status(501),
        found(),
        status(404),
        status(405),
        status(503),
    ];
    let (url, server) = serve(replies);
    let node = BeaconClient::new(&url).unwrap();
    let reveal = SignatureBytes::new([7; 96]);
    let produce = |node: &BeaconClient| node.produce_block(5, &reveal, None, TIMEOUT);
    assert_eq!(produce(&node).unwrap(), block);
    assert_eq!(produce(&node.clone()).unwrap(), block, "a clone knows as well");
    node.publish_attestations(&[Attestation::default()], TIMEOUT).unwrap();
    assert_eq!(produce(&node).unwrap(), block);
    assert_eq!(produce(&node).unwrap_err().status(), Some(404));
    assert_eq!(produce(&node).unwrap_err().status(), Some(503), "a failure is no unknown route");
    let paths: Vec<String> = server.join().unwrap().into_iter().map(|(path, _)| path).collect();
    let versions = paths.iter().map(|path| path.split('/').nth(2).unwrap());
    let expected = ["v3", "v2", "v2", "v2", "v1", "v2", "v3", "v3", "v2", "v3"];
    assert_eq!(versions.collect::<Vec<_>>(), expected);
}
