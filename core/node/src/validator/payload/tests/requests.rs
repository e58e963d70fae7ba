//! Requests against a server that gives a test's answers.

use std::time::Duration;

use blocksmith::payload_attestation::{DutyId, Reply, Request, SignedVote, Timing};
use blocksmith_consensus::gloas::{DOMAIN_PTC_ATTESTER, PayloadAttestationData};
use blocksmith_consensus::{
    Json, PayloadVoteDuties, PublicKeyBytes, Root, SignatureBytes, Version, Wire, compute_domain,
    compute_signing_root,
};
use serde_json::Value;

use super::super::requests::Ballot;
use super::super::{PayloadRequests, limits, payload_timing};
use crate::beacon_client::Genesis;
use crate::beacon_nodes::BeaconNodes;
use crate::http_client::tests::serve;
use crate::remote_signer::RemoteSigner;
use crate::test_server::{self, Seen};

const TIMEOUT: Duration = Duration::from_secs(60);

fn genesis() -> Genesis {
    Genesis {
        genesis_time: 0,
        genesis_validators_root: Root::new([6; 32]),
        genesis_fork_version: Version::new([0, 0, 0, 1]),
    }
}

fn requests(urls: &[&str]) -> PayloadRequests {
    let (nodes, signer) = (BeaconNodes::new(urls).unwrap(), RemoteSigner::new(urls[0]).unwrap());
    PayloadRequests::new(nodes, signer, genesis(), 8)
}

fn data(slot: u64) -> PayloadAttestationData {
    PayloadAttestationData { slot, payload_present: true, ..Default::default() }
}

fn votes() -> Request<PayloadVoteDuties> {
    let vote = |validator| SignedVote {
        validator,
        data: data(9),
        signature: SignatureBytes::new([3; 96]),
    };
    Request::Publish { slot: 9, votes: [10, 11, 12].map(vote).to_vec() }
}

fn refusal(places: &[usize]) -> (u16, String) {
    let of = |place: &usize| format!(r#"{{"index":{place},"message":""}}"#);
    let failures: Vec<String> = places.iter().map(of).collect();
    (400, format!(r#"{{"code":400,"message":"","failures":[{}]}}"#, failures.join(",")))
}

#[test]
fn data_are_read_in_json_and_ssz_and_by_the_form_that_the_node_knows() {
    // In JSON; in the path form, which is found out once; nothing seen by it; another slot.
    let json = |slot| (200, format!(r#"{{"data":{}}}"#, data(slot).to_json()));
    let replies = vec![
        json(9),
        (404, String::new()),
        json(9),
        (204, String::new()),
        json(8),
        (404, String::new()),
        (400, String::new()),
    ];
    let (url, server) = serve(replies);
    let requests = requests(&[&url]);
    let ask = || requests.answer(Request::Data { slot: 9 }, TIMEOUT);
    assert_eq!((ask(), ask()), (Reply::Data(data(9)), Reply::Data(data(9))));
    assert_eq!(ask(), Reply::NoBlock);
    assert_eq!(ask(), Reply::Failed, "data of another slot are none");
    // A node that has seen nothing, in the older way, and refuses the other form: it keeps its own.
    assert_eq!(ask(), Reply::NoBlock);
    let paths: Vec<String> = server.join().unwrap().into_iter().map(|(path, _)| path).collect();
    let is_query = paths.iter().map(|path| path.ends_with("?slot=9")).collect::<Vec<_>>();
    assert_eq!(is_query, [true, true, false, false, false, false, true]);
}

#[test]
fn what_is_signed_goes_out_with_the_root_of_the_committees_domain() {
    // The signer's answer, and the body that it saw.
    let signature = SignatureBytes::new([5; 96]);
    let (url, server) = serve(vec![(200, format!("{{\"signature\":\"{signature}\"}}"))]);
    let duty = DutyId { slot: 19, validator: 4 };
    let key = PublicKeyBytes::new([4; 48]);
    let reply = requests(&[&url]).answer(Request::Sign { duty, key, data: data(19) }, TIMEOUT);
    assert_eq!(reply, Reply::Signature(signature));
    let Genesis { genesis_fork_version, genesis_validators_root, .. } = genesis();
    let domain = compute_domain(DOMAIN_PTC_ATTESTER, genesis_fork_version, genesis_validators_root);
    let root = compute_signing_root(data(19).hash_tree_root(), domain);
    let body: Value = serde_json::from_str(&server.join().unwrap()[0].1).unwrap();
    assert_eq!(body["signingRoot"], root.to_string());
    assert_eq!(body["fork_info"]["fork"]["epoch"], "2");
    assert_eq!(body["type"], "PAYLOAD_ATTESTATION_MESSAGE");
}

#[test]
fn duties_come_with_the_root_that_they_depend_on() {
    // One entry, as the node gives it.
    let key = PublicKeyBytes::new([4; 48]);
    let list = format!(
        r#"{{"dependent_root":"{}","data":[{{"pubkey":"{key}","validator_index":"4","slot":"9"}}]}}"#,
        Root::new([8; 32])
    );
    let (url, server) = serve(vec![(200, list)]);
    let request = Request::Duties { epoch: 1, validators: vec![4, 5] };
    let Reply::Duties { dependent_root, duties } = requests(&[&url]).answer(request, TIMEOUT)
    else {
        panic!("a list");
    };
    assert_eq!(dependent_root, Root::new([8; 32]));
    assert_eq!((duties[0].validator, duties[0].key, duties[0].slot), (4, key, 9));
    let seen = server.join().unwrap();
    assert_eq!(seen[0], ("POST /eth/v1/validator/duties/ptc/1".into(), r#"["4","5"]"#.into()));
}

#[test]
fn a_vote_is_refused_if_every_node_that_answers_refuses_it() {
    // One node refuses two of the votes, another one one of these and a third one: P1.
    let (first, one) = serve(vec![refusal(&[0, 2])]);
    let (second, two) = serve(vec![refusal(&[1, 2])]);
    let reply = requests(&[&first, &second]).answer(votes(), TIMEOUT);
    assert_eq!(reply, Reply::Published { refused: vec![12] });
    let sent = &one.join().unwrap()[0];
    assert_eq!(sent.0, "POST /eth/v1/beacon/pool/payload_attestations");
    assert_eq!(two.join().unwrap().len(), 1);
    // A refusal that names nobody is one of the list; a node that takes all has the last word.
    let (first, one) = serve(vec![(400, "{}".to_owned())]);
    let (second, two) = serve(vec![(200, String::new())]);
    let reply = requests(&[&first, &second]).answer(votes(), TIMEOUT);
    assert_eq!(reply, Reply::Published { refused: vec![] });
    one.join().unwrap();
    two.join().unwrap();
    let (only, server) = serve(vec![(400, "{}".to_owned())]);
    let reply = requests(&[&only]).answer(votes(), TIMEOUT);
    assert_eq!(reply, Reply::Published { refused: vec![10, 11, 12] });
    server.join().unwrap();
}

#[test]
fn votes_go_out_in_ssz_and_in_json_to_a_node_that_does_not_take_that_form() {
    // A node that takes SSZ; one that answers 415 to it, twice; one that answers 415 to anything.
    let of = |status| move |_: &Seen| Some((status, String::new()));
    let publish = |requests: &PayloadRequests| requests.answer(votes(), TIMEOUT);
    let (taken, nobody) = (Reply::Published { refused: vec![] }, Reply::NotTaken);
    let (url, server) = test_server::serve(vec![of(200), of(200)]);
    let knows_ssz = requests(&[&url]);
    assert_eq!([publish(&knows_ssz), publish(&knows_ssz)], [taken.clone(), taken.clone()]);
    let Request::Publish { votes: list, .. } = votes() else { unreachable!("it is one") };
    let bytes: Vec<u8> = Ballot::new(list).messages().iter().flat_map(Wire::encode).collect();
    for seen in server.join().unwrap() {
        assert_eq!(seen.bytes, bytes);
        assert!(seen.head.contains("content-type: application/octet-stream\r\n"), "{}", seen.head);
        assert!(seen.head.contains("eth-consensus-version: gloas\r\n"), "{}", seen.head);
    }
    let (url, server) = test_server::serve(vec![of(415), of(200), of(200)]);
    let knows_json = requests(&[&url]);
    assert_eq!([publish(&knows_json), publish(&knows_json)], [taken.clone(), taken]);
    let seen = server.join().unwrap();
    assert_eq!(seen[0].bytes, bytes);
    for seen in &seen[1..] {
        let sent: Value = serde_json::from_str(&seen.body).unwrap();
        let vote = (&sent[2]["validator_index"], &sent[2]["data"]["slot"]);
        assert_eq!(vote, (&"12".into(), &"9".into()));
        assert!(seen.head.contains("content-type: application/json\r\n"), "{}", seen.head);
        assert!(seen.head.contains("eth-consensus-version: gloas\r\n"), "{}", seen.head);
    }
    // A node that takes neither form may take SSZ the next time.
    let (url, server) = test_server::serve(vec![of(415), of(415), of(415), of(415)]);
    let knows_none = requests(&[&url]);
    assert_eq!([publish(&knows_none), publish(&knows_none)], [nobody.clone(), nobody]);
    let is_ssz = |seen: &Seen| seen.head.contains("octet-stream");
    let forms: Vec<bool> = server.join().unwrap().iter().map(is_ssz).collect();
    assert_eq!(forms, [true, false, true, false]);
}

#[test]
fn a_refusal_after_a_lost_answer_says_nothing() {
    // The first node takes the votes and is silent; the second one knows them from there (P2).
    let (silent, one) = test_server::serve(vec![|_: &Seen| None]);
    let (second, two) = serve(vec![refusal(&[0, 1, 2])]);
    let reply = requests(&[&silent, &second]).answer(votes(), Duration::from_millis(300));
    assert_eq!(reply, Reply::Published { refused: vec![] });
    one.join().unwrap();
    two.join().unwrap();
    // A node that refuses the connection has taken nothing: the refusal of one vote counts. That of
    // all may come from a node that is behind.
    let gone = "http://127.0.0.1:1";
    for (places, expected) in [
        (vec![1], Reply::Published { refused: vec![11] }),
        (vec![0, 1, 2], Reply::NotTaken),
        (vec![], Reply::NotTaken),
    ] {
        let (second, two) = serve(vec![refusal(&places)]);
        assert_eq!(requests(&[gone, &second]).answer(votes(), TIMEOUT), expected, "{places:?}");
        two.join().unwrap();
    }
}

#[test]
fn votes_that_no_node_has_taken_have_not_arrived() {
    // Each node says so, or is gone; then one of them is silent, and may have taken them (P3).
    let (busy, one) = serve(vec![(503, String::new())]);
    let (fails, two) = serve(vec![(500, String::new())]);
    let reply = requests(&[&busy, &fails]).answer(votes(), TIMEOUT);
    assert_eq!(reply, Reply::NotTaken);
    one.join().unwrap();
    two.join().unwrap();
    let gone = [busy.as_str(), "http://127.0.0.1:1"];
    assert_eq!(requests(&gone).answer(votes(), TIMEOUT), Reply::NotTaken);
    let (silent, server) = test_server::serve(vec![|_: &Seen| None]);
    let reply = requests(&[&silent, gone[1]]).answer(votes(), Duration::from_millis(300));
    assert_eq!(reply, Reply::Failed);
    server.join().unwrap();
    let broadcast = requests(&gone).with_broadcast(true);
    assert_eq!(broadcast.answer(votes(), TIMEOUT), Reply::NotTaken);
}

#[test]
fn a_chain_has_votes_on_payloads_if_its_configuration_says_so() {
    // The time alone, the size alone, neither, and a fork that is put off for ever.
    let spec = |pairs: &[(&str, &str)]| {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        payload_timing(&pairs.iter().map(owned).collect::<Vec<_>>(), 8, 12_000)
    };
    let due = ("PAYLOAD_ATTESTATION_DUE_BPS", "5000");
    assert_eq!(spec(&[due]), Some(Timing::from_basis_points(8, 12_000, 5_000)));
    assert_eq!(spec(&[("PTC_SIZE", "16")]), Some(Timing::gloas(8, 12_000)));
    assert_eq!(spec(&[("SLOTS_PER_EPOCH", "8")]), None);
    assert_eq!(spec(&[due, ("GLOAS_FORK_EPOCH", "18446744073709551615")]), None);
    assert!(spec(&[due, ("GLOAS_FORK_EPOCH", "7")]).is_some());
}

#[test]
fn the_machines_bounds_shrink_with_the_slot() {
    // The default is for slots of 12 s; of 1 s; and of a millisecond, where none is zero.
    assert_eq!(limits(12_000).node_ms, 750);
    assert_eq!((limits(1_000).node_ms, limits(1_000).retry_ms), (62, 8));
    assert_eq!((limits(1).node_ms, limits(1).retry_ms, limits(60_000).node_ms), (1, 1, 750));
}
