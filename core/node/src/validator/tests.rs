//! Requests against a server that gives a test's answers.

use std::sync::Mutex;
use std::time::Duration;

use blocksmith::beacon_validator::{
    DutyId, Guarded, Kind, Message, Place, Protection, Reply, Request, SignedDuty,
};
use blocksmith_consensus::{
    Attestation, AttestationData, BeaconBlock, Checkpoint, DOMAIN_BEACON_ATTESTER,
    DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO, Json, Phase0Duties, PublicKeyBytes, Root,
    SharedUnsignedBlock, SignatureBytes, Version, Wire, compute_domain, compute_signing_root,
};
use serde_json::Value;

use super::{Guard, GuardedMessage, Requests};
use crate::beacon_client::Genesis;
use crate::beacon_nodes::BeaconNodes;
use crate::http_client::tests::serve;
use crate::remote_signer::RemoteSigner;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Says what it is told to say, and keeps what it was asked.
struct Script(Vec<Protection>, Mutex<Vec<(PublicKeyBytes, GuardedMessage)>>);

impl Guard for &Script {
    fn protect(&self, messages: &[(PublicKeyBytes, GuardedMessage)]) -> Vec<Protection> {
        self.1.lock().unwrap().extend_from_slice(messages);
        self.0.clone()
    }
}

fn genesis() -> Genesis {
    Genesis {
        genesis_time: 0,
        genesis_validators_root: Root::new([6; 32]),
        genesis_fork_version: Version::new([0, 0, 0, 1]),
    }
}

fn script(said: Vec<Protection>) -> Script {
    Script(said, Mutex::default())
}

fn requests<'a>(url: &str, script: &'a Script) -> Requests<&'a Script> {
    let (nodes, signer) = (BeaconNodes::new(&[url]).unwrap(), RemoteSigner::new(url).unwrap());
    Requests::new(nodes, signer, genesis(), 8, script)
}

fn signing_root(object: Root, domain: [u8; 4]) -> Root {
    let Genesis { genesis_fork_version, genesis_validators_root, .. } = genesis();
    let domain = compute_domain(domain, genesis_fork_version, genesis_validators_root);
    compute_signing_root(object, domain)
}

fn duty(kind: Kind, validator: u64) -> DutyId {
    DutyId { slot: 9, kind, validator }
}

fn key(byte: u8) -> PublicKeyBytes {
    PublicKeyBytes::new([byte; 48])
}

fn block() -> SharedUnsignedBlock {
    BeaconBlock { slot: 9, proposer_index: 3, ..BeaconBlock::default() }.into()
}

fn data() -> AttestationData {
    let checkpoint = |epoch| Checkpoint { epoch, ..Checkpoint::default() };
    AttestationData { slot: 9, source: checkpoint(0), target: checkpoint(1), ..Default::default() }
}

fn attestation(validator: u64, position: u64) -> SignedDuty<Phase0Duties> {
    let place = Place { committee: 0, committee_length: 3, committees_at_slot: 1, position };
    SignedDuty {
        duty: duty(Kind::Attestation, validator),
        place: Some(place),
        message: Message::Attestation(data()),
        signature: SignatureBytes::new([validator as u8; 96]),
    }
}

#[test]
fn what_is_signed_goes_out_with_the_root_of_its_domain() {
    // A reveal, a block and an attestation; the signer computes the same roots.
    let signature = SignatureBytes::new([5; 96]);
    let answer = format!("{{\"signature\":\"{signature}\"}}");
    let (url, server) = serve(vec![(200, answer); 3]);
    let script = script(vec![]);
    let requests = requests(&url, &script);
    let messages = [Message::Randao(1), Message::Block(block()), Message::Attestation(data())];
    for message in messages {
        let duty = duty(Kind::Proposal, 3);
        let reply = requests.answer(Request::Sign { duty, key: key(3), message }, TIMEOUT);
        assert_eq!(reply, Reply::Signature(signature));
    }
    let roots = [
        signing_root(1u64.hash_tree_root(), DOMAIN_RANDAO),
        signing_root(block().root(), DOMAIN_BEACON_PROPOSER),
        signing_root(data().hash_tree_root(), DOMAIN_BEACON_ATTESTER),
    ];
    for ((_, body), root) in server.join().unwrap().iter().zip(roots) {
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["signingRoot"], root.to_string());
        assert_eq!(body["fork_info"]["fork"]["epoch"], "1");
    }
}

#[test]
fn the_signers_answers_are_told_apart() {
    // Refused, unknown, and a failure of which nothing is known.
    let (url, server) = serve([412, 404, 503].map(|status| (status, String::new())).to_vec());
    let script = script(vec![]);
    let requests = requests(&url, &script);
    let sign = || {
        let (duty, message) = (duty(Kind::Attestation, 1), Message::Attestation(data()));
        requests.answer(Request::Sign { duty, key: key(1), message }, TIMEOUT)
    };
    assert_eq!([sign(), sign(), sign()], [Reply::Refused, Reply::UnknownKey, Reply::Failed]);
    server.join().unwrap();
}

#[test]
fn the_guard_sees_slots_epochs_and_roots_and_its_answers_are_by_duty() {
    // A block and an attestation, of which the second is refused.
    let script = script(vec![Protection::Recorded, Protection::Refused]);
    let requests = requests("http://127.0.0.1:1", &script);
    let guarded = |kind, validator, message| Guarded {
        duty: duty(kind, validator),
        key: key(validator as u8),
        message,
    };
    let messages = vec![
        guarded(Kind::Proposal, 3, Message::Block(block())),
        guarded(Kind::Attestation, 4, Message::Attestation(data())),
    ];
    let reply = requests.answer(Request::Protect(messages), TIMEOUT);
    assert_eq!(
        reply,
        Reply::Protected(vec![
            (duty(Kind::Proposal, 3), Protection::Recorded),
            (duty(Kind::Attestation, 4), Protection::Refused),
        ])
    );
    let block_root = signing_root(block().root(), DOMAIN_BEACON_PROPOSER);
    let root = signing_root(data().hash_tree_root(), DOMAIN_BEACON_ATTESTER);
    assert_eq!(
        *script.1.lock().unwrap(),
        [
            (key(3), GuardedMessage::Block { slot: 9, signing_root: block_root }),
            (key(4), GuardedMessage::Attestation { source: 0, target: 1, signing_root: root }),
        ]
    );
}

#[test]
fn attestations_go_out_as_one_list_and_those_that_the_node_names_are_refused() {
    // Three attestations, of which the node refuses the last; one has a place that no committee
    // has.
    let refusal = r#"{"code":400,"message":"","failures":[{"index":2,"message":""}]}"#;
    let (url, server) = serve(vec![(400, refusal.to_owned()), (400, "{}".to_owned())]);
    let script = script(vec![]);
    let requests = requests(&url, &script);
    let signed =
        vec![attestation(10, 0), attestation(11, 2), attestation(12, 3), attestation(13, 1)];
    let reply = requests.answer(Request::Publish(signed.clone()), TIMEOUT);
    let refused = vec![duty(Kind::Attestation, 12), duty(Kind::Attestation, 13)];
    assert_eq!(reply, Reply::Published { refused });
    let all = requests.answer(Request::Publish(signed[..2].to_vec()), TIMEOUT);
    let refused = vec![duty(Kind::Attestation, 10), duty(Kind::Attestation, 11)];
    assert_eq!(all, Reply::Published { refused }, "a refusal that names nobody");
    let seen = server.join().unwrap();
    assert_eq!(seen[0].0, "POST /eth/v2/beacon/pool/attestations");
    let sent: Value = serde_json::from_str(&seen[0].1).unwrap();
    // Bits 0, 2 and 1 of three, each below the delimiter.
    let bits: Vec<&Value> =
        sent.as_array().unwrap().iter().map(|sent| &sent["aggregation_bits"]).collect();
    assert_eq!(bits, ["0x09", "0x0c", "0x0a"]);
}

#[test]
fn a_block_that_a_node_refuses_is_refused_and_one_that_nobody_takes_failed() {
    // Taken, passed on but not yet valid, refused, and a node that is gone.
    let statuses = [200, 202, 400];
    let (url, server) = serve(statuses.map(|status| (status, String::new())).to_vec());
    let script = script(vec![]);
    let requests = requests(&url, &script);
    let publish = || {
        let duty = duty(Kind::Proposal, 3);
        let (message, signature) = (Message::Block(block()), SignatureBytes::ZERO);
        let signed = SignedDuty { duty, place: None, message, signature };
        requests.answer(Request::Publish(vec![signed]), TIMEOUT)
    };
    let taken = Reply::Published { refused: vec![] };
    assert_eq!([publish(), publish()], [taken.clone(), taken]);
    assert_eq!(publish(), Reply::Published { refused: vec![duty(Kind::Proposal, 3)] });
    server.join().unwrap();
    assert_eq!(publish(), Reply::Failed);
}

#[test]
fn a_list_with_places_that_cannot_be_is_read_without_them() {
    // A position beyond the committee, and a committee beyond the limit.
    let entry = |length: u64, position: u64| {
        format!(
            r#"{{"pubkey":"{}","validator_index":"4","slot":"9","committee_index":"0",
            "committee_length":"{length}","committees_at_slot":"1",
            "validator_committee_index":"{position}"}}"#,
            key(4)
        )
    };
    let list = [entry(3, 2), entry(3, 3), entry(2_049, 0), entry(0, 0)].join(",");
    let root = Root::new([7; 32]);
    let answer = format!(r#"{{"dependent_root":"{root}","data":[{list}]}}"#);
    let (url, server) = serve(vec![(200, answer)]);
    let script = script(vec![]);
    let requests = requests(&url, &script);
    let list = blocksmith::beacon_validator::DutyList::Attesters;
    let request = Request::Duties { epoch: 1, list, validators: vec![4] };
    match requests.answer(request, TIMEOUT) {
        Reply::Duties { dependent_root, listed } => {
            assert_eq!(dependent_root, root);
            assert_eq!(listed.len(), 1);
            assert_eq!(listed[0].place.map(|place| place.position), Some(2));
        }
        other => panic!("{other:?}"),
    }
    server.join().unwrap();
}

#[test]
fn blocks_data_and_aggregates_are_asked_for_with_what_identifies_them() {
    // The aggregate is asked for by the root of the data.
    let attestation = Attestation { data: data(), ..Attestation::default() };
    let answers = [block().value().to_json(), data().to_json(), attestation.to_json()];
    let answers = answers.map(|data| (200, format!("{{\"data\":{data}}}")));
    let (url, server) = serve(answers.to_vec());
    let script = script(vec![]);
    let requests = requests(&url, &script);
    let reveal = SignatureBytes::new([1; 96]);
    let produced = requests.answer(Request::Produce { slot: 9, reveal }, TIMEOUT);
    assert_eq!(produced, Reply::Block(block()));
    let asked = requests.answer(Request::Data { slot: 9, committee: 2 }, TIMEOUT);
    assert_eq!(asked, Reply::Data(data()));
    let merged = requests.answer(Request::Aggregate { slot: 9, data: data() }, TIMEOUT);
    assert_eq!(merged, Reply::Aggregate(attestation.into()));
    let seen = server.join().unwrap();
    assert!(seen[2].0.contains(&data().hash_tree_root().to_string()));
    assert!(seen[1].0.ends_with("slot=9&committee_index=2"));
}

#[test]
fn nobody_proposes_in_the_slot_of_genesis() {
    // A node lists proposers of the first epoch, the slot of genesis among them.
    let entry =
        |slot: u64| format!(r#"{{"pubkey":"{}","validator_index":"4","slot":"{slot}"}}"#, key(4));
    let list = [entry(0), entry(1)].join(",");
    let root = Root::new([7; 32]);
    let (url, server) =
        serve(vec![(200, format!(r#"{{"dependent_root":"{root}","data":[{list}]}}"#))]);
    let script = script(vec![]);
    let list = blocksmith::beacon_validator::DutyList::Proposers;
    let request = Request::Duties { epoch: 0, list, validators: vec![4] };
    let Reply::Duties { listed, .. } = requests(&url, &script).answer(request, TIMEOUT) else {
        panic!("a list was answered");
    };
    assert_eq!(listed.iter().map(|duty| duty.slot).collect::<Vec<_>>(), [1]);
    server.join().unwrap();
}
