//! The remote-signing API over a real connection.

use std::net::Shutdown;
use std::sync::Barrier;
use std::thread;

use blocksmith_consensus::bls;
use blocksmith_consensus::{
    AggregateAndProof, BeaconBlockHeader, DOMAIN_AGGREGATE_AND_PROOF, DOMAIN_BEACON_ATTESTER,
    DOMAIN_BEACON_PROPOSER, DOMAIN_DEPOSIT, DOMAIN_RANDAO, DOMAIN_SELECTION_PROOF,
    DOMAIN_VOLUNTARY_EXIT, DepositMessage, Epoch, Fork, VoluntaryExit,
};
use serde_json::Value;

use super::*;
use crate::signer::SignerError;
use crate::signer::server::MAX_BODY;
use crate::signer::signing::{self, RequestError};

fn number(number: u64) -> Root {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Root::new(bytes)
}

fn root_of(number_: u64, kind: DomainType) -> Root {
    compute_signing_root(number(number_), domain(kind))
}

fn aggregate() -> AggregateAndProof {
    let mut aggregate = AggregateAndProof { aggregator_index: 3, ..AggregateAndProof::default() };
    aggregate.aggregate.data = vote(1, 2, 9);
    aggregate.aggregate.aggregation_bits = [true, false, true].as_slice().try_into().expect("bits");
    aggregate
}

/// A body of each type, with the root that has to be signed.
fn every_type() -> Vec<(&'static str, String, Root)> {
    let proposer = DOMAIN_BEACON_PROPOSER;
    let exit = VoluntaryExit { epoch: 5, validator_index: 1 };
    let header = BeaconBlockHeader { slot: 19, ..BeaconBlockHeader::default() };
    let of_header = format!(r#"{{"version":"CAPELLA","block_header":{}}}"#, header.to_json());
    let of_block = block(17, 1);
    let aggregate = aggregate();
    let v2 = format!(r#"{{"version":"phase0","data":{}}}"#, aggregate.to_json());
    let epoch = r#"{"epoch":"6"}"#;
    let slot = r#"{"slot":"51"}"#;
    let randao = root_of(6, DOMAIN_RANDAO);
    let selection = root_of(51, DOMAIN_SELECTION_PROOF);
    let of_aggregate = signing_root(&aggregate, DOMAIN_AGGREGATE_AND_PROOF);
    let (payload, root) = payload_vote();
    let wrapped = format!(r#"{{"version":"GLOAS","data":{payload}}}"#);
    let of_payload = compute_signing_root(root, domain([12, 0, 0, 0]));
    let of = |kind, name, object: &str, root| (kind, request(kind, name, object, ""), root);
    let ptc = ["PAYLOAD_ATTESTATION_MESSAGE", "payload_attestation_message"];
    vec![
        of("RANDAO_REVEAL", "randao_reveal", epoch, randao),
        of("AGGREGATION_SLOT", "aggregation_slot", slot, selection),
        of("BLOCK", "block", &of_block.to_json(), signing_root(&of_block, proposer)),
        ("BLOCK_V2", block_request(18, 2), signing_root(&block(18, 2), proposer)),
        of("BLOCK_V2", "beacon_block", &of_header, signing_root(&header, proposer)),
        (
            "ATTESTATION",
            vote_request(1, 2, 3),
            signing_root(&vote(1, 2, 3), DOMAIN_BEACON_ATTESTER),
        ),
        of("AGGREGATE_AND_PROOF", "aggregate_and_proof", &aggregate.to_json(), of_aggregate),
        of("AGGREGATE_AND_PROOF_V2", "aggregate_and_proof", &v2, of_aggregate),
        of(
            "VOLUNTARY_EXIT",
            "voluntary_exit",
            &exit.to_json(),
            signing_root(&exit, DOMAIN_VOLUNTARY_EXIT),
        ),
        of(ptc[0], ptc[1], &payload, of_payload),
        of(ptc[0], ptc[1], &wrapped, of_payload),
        deposit(),
    ]
}

/// A vote of the payload-timeliness committee, and the root of its data. The root and the numbers
/// are those of a case of the specification's tests (`ssz_static`, `PayloadAttestationData`).
fn payload_vote() -> (String, Root) {
    let block = "0x251a892fa742e49ade5df33b106d3076492902b020883e415a82e2e5e1352b74";
    let slot = u64::from_le_bytes([0x4e, 0x53, 0x8c, 0xae, 0xa9, 0x21, 0xda, 0x09]);
    let data = format!(
        r#"{{"beacon_block_root":"{block}","slot":"{slot}","payload_present":true,"blob_data_available":true}}"#
    );
    let root = "0x95394c47c7c375c0d3cd19ccfed0c0c4be89ee16c4f7bf0e9bdee0028f5d814d";
    (data, root.parse().expect("a root"))
}

fn deposit() -> (&'static str, String, Root) {
    let message = DepositMessage { pubkey: public_key(1), amount: 32, ..DepositMessage::default() };
    let object = message.to_json();
    let object = object.trim_end_matches('}');
    let body =
        format!(r#"{{"type":"DEPOSIT","deposit":{object},"genesis_fork_version":"{VERSION}"}}}}"#);
    let domain = compute_domain(DOMAIN_DEPOSIT, VERSION, Root::ZERO);
    ("DEPOSIT", body, compute_signing_root(message.hash_tree_root(), domain))
}

#[test]
fn every_type_of_object_is_signed() {
    // The signature is verified over a root that the test computes.
    let running = Running::start();
    let every_type = every_type();
    for (kind, body, root) in &every_type {
        let signature = signature(&running.sign(1, body));
        assert!(bls::verify(&public_key(1), root.as_bytes(), &signature), "{kind}");
    }
    for kind in signing::KINDS {
        let asked = every_type.iter().filter(|it| it.0 == kind).count() as u64;
        assert!(asked > 0, "{kind}");
        assert_eq!(running.count(Some(kind), Answered::Signed), asked, "{kind}");
    }
}

#[test]
fn a_payload_vote_has_the_signature_that_the_specification_computes() {
    // A case of the specification's gossip tests: key 62 signs for validator 61, on a chain of its
    // own.
    let data = r#"{"beacon_block_root":"0x29874e204fad82a30293db7910390d39dc70d4e7c5a7302cfbc10a1b8f17dcf4","slot":"1","payload_present":true,"blob_data_available":true}"#;
    let body = request("PAYLOAD_ATTESTATION_MESSAGE", "payload_attestation_message", data, "");
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    let genesis = "0xf5a04d65ca33493c985006efcea80acca627d0cf0c8707fc898dfe63ec8d14d7";
    body["fork_info"]["genesis_validators_root"] = Value::from(genesis);
    body["fork_info"]["fork"]["previous_version"] = Value::from("0x06000001");
    body["fork_info"]["fork"]["current_version"] = Value::from("0x07000001");
    body["fork_info"]["fork"]["epoch"] = Value::from("0");
    let read = signing::read(body.to_string().as_bytes(), 8).expect("a request");
    let mut secret = [0; 32];
    secret[31] = 62;
    let secret = bls::SecretKey::from_bytes(&secret).expect("a key");
    let expected = "0x9370d10752a27cafbabcde4370f755832d5e26ac4852220dc5044309539524ef\
                    219e2c77ff81b3d4c43a39398e083d0f14ebdf87e51090cda910bbf06116640946\
                    ad113137c75f592a5e44d1db3755dcab432e19c9fed1b5f6aecf01831a4747";
    assert_eq!(secret.sign(read.signing_root.as_bytes()).to_string(), expected);
    assert_eq!(read.statement, None);
}

#[test]
fn what_cannot_be_slashable_is_for_the_chain_of_the_records_as_well() {
    // The first message binds the database, of whatever type; afterwards each type is refused on
    // another chain. A deposit is for none.
    let (_, randao, _) = every_type().swap_remove(0);
    let elsewhere = |body: &str| body.replace(&GENESIS.to_string(), &Root::ZERO.to_string());
    for first in [randao, vote_request(1, 2, 3)] {
        let running = Running::start();
        signature(&running.sign(0, &first));
        for (kind, body, _) in every_type() {
            if kind == "DEPOSIT" {
                signature(&running.sign(2, &body));
                continue;
            }
            let message = refused(&running.sign(2, &elsewhere(&body)), 412);
            assert!(message.contains("another genesis validators root"), "{kind}: {message}");
            assert!(running.count(Some(kind), Answered::Refused) > 0, "{kind}");
            signature(&running.sign(2, &body));
        }
        // The binding outlives the signer.
        let Running { signer, folder } = running;
        drop(signer);
        let running = Running { signer: Running::over(&folder), folder };
        for (kind, body, _) in every_type() {
            let status = if kind == "DEPOSIT" { 200 } else { 412 };
            assert_eq!(running.sign(2, &elsewhere(&body)).0, status, "{kind}");
        }
    }
}

#[test]
fn a_stated_root_is_compared_and_never_signed() {
    // Both spellings; a root that differs costs no record.
    let running = Running::start();
    let root = signing_root(&block(5, 1), DOMAIN_BEACON_PROPOSER);
    for name in ["signingRoot", "signing_root"] {
        let with = |root: Root| {
            let object = format!(r#"{{"version":"PHASE0","block":{}}}"#, block(5, 1).to_json());
            request("BLOCK_V2", "beacon_block", &object, &format!(r#","{name}":"{root}""#))
        };
        let message = refused(&running.sign(0, &with(Root::new([1; 32]))), 400);
        assert!(message.starts_with("signingRoot: is 0x0101"), "{message}");
        signature(&running.sign(0, &with(root)));
    }
    signature(&running.sign(1, &block_request(5, 2)));
}

#[test]
fn slashing_protection_refuses_with_412_and_repeats_what_it_has_signed() {
    // A second block, a second vote and a surrounding vote of one key; another key is free.
    let running = Running::start();
    let first = signature(&running.sign(0, &block_request(9, 1)));
    assert_eq!(signature(&running.sign(0, &block_request(9, 1))), first);
    let message = refused(&running.sign(0, &block_request(9, 2)), 412);
    assert_eq!(message, "another block of slot 9 is on record");
    signature(&running.sign(1, &block_request(9, 2)));
    signature(&running.sign(0, &vote_request(3, 4, 1)));
    refused(&running.sign(0, &vote_request(3, 4, 2)), 412);
    signature(&running.sign(0, &vote_request(4, 5, 1)));
    let message = refused(&running.sign(0, &vote_request(3, 6, 1)), 412);
    assert_eq!(message, "it surrounds the attestation 4 to 5");
    // The same objects on another chain are other messages, and not ours.
    let other = block_request(10, 1).replace(&GENESIS.to_string(), &Root::ZERO.to_string());
    let message = refused(&running.sign(0, &other), 412);
    assert!(message.contains("another genesis validators root"), "{message}");
}

#[test]
fn records_outlive_the_signer() {
    // The signer is stopped, and another is started over its database.
    let Running { signer, folder } = Running::start();
    let running = Running { signer, folder };
    let first = signature(&running.sign(0, &block_request(9, 1)));
    let Running { signer, folder } = running;
    drop(signer);
    let running = Running { signer: Running::over(&folder), folder };
    refused(&running.sign(0, &block_request(9, 2)), 412);
    assert_eq!(signature(&running.sign(0, &block_request(9, 1))), first);
}

#[test]
fn of_requests_that_contradict_each_other_at_once_one_is_signed() {
    // Eight threads ask for different blocks of one slot; again for attestations.
    let running = Running::start();
    for slot in 1..=4 {
        let barrier = Barrier::new(8);
        let ask = |number: u8| {
            let body = match slot % 2 {
                0 => block_request(slot, number),
                _ => vote_request(slot, slot + 1, number),
            };
            barrier.wait();
            running.sign(0, &body).0
        };
        let ask = &ask;
        let answers: Vec<u16> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || ask(number))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|status| **status == 412).count(), 7, "{answers:?}");
    }
}

#[test]
fn keys_and_health_are_told() {
    // What Lodestar asks for at its start.
    let running = Running::start();
    let (status, body) = running.get("/api/v1/eth2/publicKeys");
    let mut expected: Vec<String> = (0..4).map(|at| public_key(at).to_string()).collect();
    expected.sort();
    assert_eq!((status, serde_json::from_str(&body).ok()), (200, Some(expected)));
    assert_eq!(running.get("/upcheck"), (200, "OK".to_owned()));
    assert_eq!(running.get("/healthcheck"), (200, r#"{"status":"UP"}"#.to_owned()));
}

#[test]
fn what_is_no_request_is_refused_with_a_code_and_a_message() {
    // Paths, methods, keys, and bodies; none of them leaves a record.
    let running = Running::start();
    refused(&running.get("/"), 404);
    refused(&running.get("/api/v1/eth2/sign/0x00"), 405);
    refused(&running.post("/upcheck", ""), 405);
    let body = block_request(7, 1);
    let unknown = format!("/api/v1/eth2/sign/{}", public_key(9));
    refused(&running.post(&unknown, &body), 404);
    for key in ["0x12", "", "%ff", "0xzz", "0x12/34"] {
        let (status, _) = running.post(&format!("/api/v1/eth2/sign/{key}"), &body);
        assert!(matches!(status, 400 | 404), "{key}: {status}");
    }
    let plain = public_key(2).to_string();
    let without = format!("/api/v1/eth2/sign/{}", plain.trim_start_matches("0x"));
    signature(&running.post(&without, &body));
    for (body, expected) in [
        (String::new(), "EOF"),
        ("[]".to_owned(), "expected an object"),
        ("{}".to_owned(), r#"type: """#),
        (body.replace("BLOCK_V2", "BLOCK_V9"), r#"type: "BLOCK_V9""#),
        (body.replace("PHASE0", "ALTAIR"), r#"of "ALTAIR" only a block_header"#),
        (
            body.replace(r#""slot":"7""#, r#""slot":7"#),
            "beacon_block.block.slot: expected a number",
        ),
        (body.replace("fork_info", "fork"), "fork_info: is missing"),
        (body.replace(r#","epoch":"1""#, ""), "fork_info.fork.epoch: is missing"),
        (format!("{{\"signingRoot\":\"0x00\",{}", &body[1..]), "signingRoot: expected 0x and 64"),
        ("[".repeat(100_000), "recursion"),
    ] {
        let message = refused(&running.sign(0, &body), 400);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    refused(&running.sign(0, &" ".repeat(MAX_BODY + 1)), 413);
    assert_eq!(running.signer.counters().expect("running").requests(), 1);
}

#[test]
fn a_client_that_sends_half_a_body_and_leaves_costs_nothing() {
    // The connection is closed in the middle; afterwards the signer signs as before.
    let running = Running::start();
    let path = format!("/api/v1/eth2/sign/{}", public_key(0));
    let mut stream = TcpStream::connect(running.signer.address()).expect("the signer listens");
    let head = format!("POST {path} HTTP/1.1\r\nHost: signer\r\nContent-Length: 1000\r\n\r\n{{");
    stream.write_all(head.as_bytes()).expect("a head");
    stream.shutdown(Shutdown::Write).expect("half a close");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the connection ends");
    signature(&running.sign(0, &block_request(7, 1)));
}

#[test]
fn several_requests_share_a_connection() {
    // A client keeps its connection between two signatures.
    let running = Running::start();
    let path = format!("/api/v1/eth2/sign/{}", public_key(0));
    let mut stream = TcpStream::connect(running.signer.address()).expect("the signer listens");
    for (number, close) in [(1, ""), (2, "Connection: close\r\n")] {
        let body = vote_request(number, number + 1, 1);
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: s\r\n{close}Content-Length: {length}\r\n\r\n");
        stream.write_all((head + &body).as_bytes()).expect("a request");
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("two answers");
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
}

#[test]
fn it_stops_beside_an_idle_connection_and_closes_the_database() {
    // The idle connection would last for the patience of a head.
    let Running { signer, folder } = Running::start();
    let running = Running { signer, folder };
    let mut idle = TcpStream::connect(running.signer.address()).expect("the signer listens");
    assert_eq!(running.get("/upcheck").0, 200);
    let Running { signer, folder } = running;
    drop(signer);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).expect("closed");
    assert!(rest.is_empty());
    let again = SqliteStore::open(&folder.path().join("protection.sqlite"));
    assert!(again.is_ok(), "{:?}", again.err());
}

#[test]
fn it_listens_on_loopback_alone_unless_told_otherwise() {
    // Refused before anything is bound, and an epoch without slots as well.
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let start = |config| {
        let store = blocksmith::slashing_protection::MemoryStore::default();
        Signer::start(config, keys(1), store, Parts::default(), |_| ())
            .map(|signer| signer.address())
    };
    let beyond = start(Config { listen, ..config() });
    assert!(matches!(beyond, Err(SignerError::NotLoopback(_))), "{beyond:?}");
    let told = start(Config { listen, beyond_loopback: true, ..config() });
    assert!(told.is_ok(), "{told:?}");
    let slots = start(Config { slots_per_epoch: 0, ..config() });
    assert!(matches!(slots, Err(SignerError::NoSlots)), "{slots:?}");
}

/// Reads a vote of an epoch under a fork; returns the version that its root has.
fn version_of(target: Epoch, fork: &Fork) -> Version {
    let body = request("ATTESTATION", "attestation", &vote(0, target, 1).to_json(), "");
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    body["fork_info"]["fork"] = serde_json::from_str(&fork.to_json()).expect("JSON");
    let read = signing::read(body.to_string().as_bytes(), 8).expect("a request");
    let root = |version| {
        let domain = compute_domain(DOMAIN_BEACON_ATTESTER, version, GENESIS);
        compute_signing_root(vote(0, target, 1).hash_tree_root(), domain)
    };
    let versions = [fork.previous_version, fork.current_version];
    *versions.iter().find(|it| root(**it) == read.signing_root).expect("one of both")
}

#[test]
fn the_fork_is_that_of_the_signed_epoch() {
    // Before the fork and from it on; an exit of an older epoch is signed with the older version.
    let (before, after) = (Version::new([1; 4]), Version::new([2; 4]));
    let fork = Fork { previous_version: before, current_version: after, epoch: 10 };
    assert_eq!([9, 10, 11].map(|epoch| version_of(epoch, &fork)), [before, after, after]);
    // Slots count as the preset says.
    let body = request("AGGREGATION_SLOT", "aggregation_slot", r#"{"slot":"80"}"#, "");
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    body["fork_info"]["fork"] = serde_json::from_str(&fork.to_json()).expect("JSON");
    let read = |slots| signing::read(body.to_string().as_bytes(), slots).expect("a request");
    assert_ne!(read(8).signing_root, read(32).signing_root);
    // A vote of the payload-timeliness committee is of its slot's epoch: 9, then 10.
    for (slot, version) in [(79, before), (80, after)] {
        let data = format!(
            r#"{{"beacon_block_root":"{GENESIS}","slot":"{slot}","payload_present":true,"blob_data_available":true}}"#
        );
        let name = "payload_attestation_message";
        let body = request("PAYLOAD_ATTESTATION_MESSAGE", name, &data, "");
        let mut body: Value = serde_json::from_str(&body).expect("JSON");
        let mut root_under = |fork: &Fork| {
            body["fork_info"]["fork"] = serde_json::from_str(&fork.to_json()).expect("JSON");
            signing::read(body.to_string().as_bytes(), 8).expect("a request").signing_root
        };
        let only = Fork { previous_version: version, current_version: version, epoch: 0 };
        assert_eq!(root_under(&fork), root_under(&only), "{slot}");
    }
    let error = signing::read(b"{\"type\":\"SYNC_COMMITTEE_MESSAGE\"}", 8);
    assert_eq!(error, Err(RequestError::Type("SYNC_COMMITTEE_MESSAGE".to_owned())));
}

#[test]
fn damaged_bodies_never_make_the_reader_panic() {
    // A byte is replaced, and the end cut, at random places of every type.
    fn property(at: usize, byte: u8, cut: usize) -> bool {
        every_type().into_iter().all(|(_, body, root)| {
            let mut bytes = body.into_bytes();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % 4);
            // What is still a request is signed for what it says now.
            signing::read(&bytes, 8).is_ok_and(|it| it.signing_root == root)
                || signing::read(&bytes, 8) == signing::read(&bytes, 8)
        })
    }
    let property = property as fn(usize, u8, usize) -> bool;
    quickcheck::QuickCheck::new().tests(300).quickcheck(property);
}
