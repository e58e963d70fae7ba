//! Clients that are slow, malformed, or set upon harm.

use std::sync::{Barrier, mpsc as gate};
use std::thread;
use std::time::{Duration, Instant};

use blocksmith::slashing_protection::MemoryStore;
use blocksmith_consensus::{DOMAIN_BEACON_ATTESTER, bls};

use super::*;
use crate::signer::batch::tests::Gated;
use crate::signer::server::{MAX_BODY, SHORT_BODY};

const VOTE: Option<&str> = Some("ATTESTATION");

/// The head of a request to sign with key 0, for a body of that length.
fn head(length: usize) -> String {
    let path = format!("/api/v1/eth2/sign/{}", public_key(0));
    format!("POST {path} HTTP/1.1\r\nHost: s\r\nContent-Length: {length}\r\n\r\n")
}

/// A body with spaces at its end, so that it is a long one.
fn long(body: &str) -> String {
    body.to_owned() + &" ".repeat(SHORT_BODY)
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    // Half a head is sent; the other half, never.
    let head_patience = Duration::from_millis(50);
    let running = Running::within(Bounds { head: head_patience, ..Bounds::default() });
    let mut stream = running.connect();
    stream.write_all(&head(10).as_bytes()[..40]).expect("half a head");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the connection ends");
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&rest));
    signature(&running.sign(0, &vote_request(1, 2, 1)));
}

#[test]
fn a_body_that_does_not_come_is_answered_with_408() {
    // All of the body but its last byte, so that it is not complete.
    let body_patience = Duration::from_millis(50);
    let running = Running::within(Bounds { body: body_patience, ..Bounds::default() });
    let body = vote_request(1, 2, 1);
    let mut stream = running.connect();
    let sent = head(body.len()) + &body[..body.len() - 1];
    stream.write_all(sent.as_bytes()).expect("most of a request");
    assert_eq!(refused(&answer(&mut stream), 408), "the body did not come");
    assert_eq!(running.count(None, Answered::Unread), 1);
    // It has left no record.
    signature(&running.sign(0, &vote_request(1, 2, 2)));
}

#[test]
fn a_slow_body_takes_no_place_from_those_who_sign() {
    // One request may be signed at once. Two bodies are under way while a third is signed.
    let running = Running::within(Bounds { requests: 1, ..Bounds::default() });
    let body = vote_request(1, 2, 1);
    let mut slow = [running.connect(), running.connect()];
    for stream in &mut slow {
        let head = head(body.len()).replace("Host: s", "Host: s\r\nConnection: close");
        stream.write_all((head + &body[..20]).as_bytes()).expect("half a request");
    }
    signature(&running.sign(0, &body));
    for mut stream in slow {
        stream.write_all(&body.as_bytes()[20..]).expect("the rest");
        signature(&answer(&mut stream));
    }
    assert_eq!(running.count(VOTE, Answered::Repeated), 2);
}

#[test]
fn long_bodies_have_few_places_and_short_ones_need_none() {
    // No place: a long body waits until its time is over. One place: it is read.
    let body = vote_request(1, 2, 1);
    let body_patience = Duration::from_millis(50);
    let bounds = Bounds { long_bodies: 0, body: body_patience, ..Bounds::default() };
    let running = Running::within(bounds);
    refused(&running.sign(0, &long(&body)), 408);
    signature(&running.sign(0, &body));
    drop(running);
    let running = Running::within(Bounds { long_bodies: 1, ..Bounds::default() });
    for _ in 0..3 {
        // The place is given back each time, also by a body that is too long.
        signature(&running.sign(0, &long(&body)));
        refused(&running.sign(0, &" ".repeat(MAX_BODY + 1)), 413);
    }
}

/// A signer whose commits tell that they have begun, and wait for leave.
fn gated(bounds: Bounds) -> (Signer, gate::Receiver<()>, gate::Sender<bool>) {
    let ((begun, has_begun), (leave, leaves)) = (gate::channel(), gate::channel());
    let store = Gated { inner: MemoryStore::default(), begun, leave: leaves };
    let signer = Signer::bounded(config(), bounds, keys(1), store, Parts::default(), |_| ());
    (signer.expect("a signer"), has_begun, leave)
}

#[test]
fn once_slashing_protection_has_failed_the_health_says_so() {
    // A commit fails. The process still answers.
    let (signer, _has_begun, leave) = gated(Bounds::default());
    leave.send(false).expect("the store listens");
    let path = format!("POST /api/v1/eth2/sign/{} HTTP/1.1\r\n", public_key(0));
    refused(&exchange(signer.address(), &path, &vote_request(1, 2, 1)), 500);
    let get = |path: &str| exchange(signer.address(), &format!("GET {path} HTTP/1.1\r\n"), "");
    refused(&get("/healthcheck"), 503);
    assert_eq!(get("/upcheck").0, 200);
}

#[test]
fn a_request_whose_client_has_gone_is_finished() {
    // One place. Its client leaves while its record is committed; when the place is free, the
    // signer has noticed that.
    let (signer, has_begun, leave) = gated(Bounds { connections: 1, ..Bounds::default() });
    let body = vote_request(1, 2, 1);
    let mut gone = connect(signer.address());
    gone.write_all((head(body.len()) + &body).as_bytes()).expect("a request");
    has_begun.recv().expect("a commit");
    drop(gone);
    assert_eq!(exchange(signer.address(), "GET /upcheck HTTP/1.1\r\n", "").0, 200);
    assert_eq!(signer.figures().count(VOTE, Answered::Signed), 0);
    leave.send(true).expect("the store listens");
    let end = Instant::now() + Duration::from_secs(30);
    while signer.figures().count(VOTE, Answered::Signed) == 0 {
        assert!(Instant::now() < end, "the request was given up");
        thread::yield_now();
    }
}

#[test]
fn beyond_the_bound_requests_are_answered_with_503() {
    // Nothing may be signed at once.
    let running = Running::within(Bounds { requests: 0, ..Bounds::default() });
    let message = refused(&running.sign(0, &vote_request(1, 2, 1)), 503);
    assert_eq!(message, "too many requests at once");
    assert_eq!(running.count(None, Answered::Busy), 1);
    assert_eq!(running.get("/upcheck").0, 200);
}

#[test]
fn a_connection_beyond_the_bound_waits_until_another_ends() {
    // One place. Its connection is idle after a first request, until its time is over.
    let patience = Duration::from_millis(200);
    let running = Running::within(Bounds { connections: 1, head: patience, ..Bounds::default() });
    let mut idle = running.connect();
    idle.write_all(b"GET /upcheck HTTP/1.1\r\nHost: s\r\n\r\n").expect("a request");
    let mut first = [0; 12];
    idle.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    let start = Instant::now();
    signature(&running.sign(0, &vote_request(1, 2, 1)));
    assert!(start.elapsed() > patience / 2, "{:?}", start.elapsed());
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).expect("closed");
}

#[test]
fn a_client_that_takes_nothing_of_its_answers_loses_its_connection() {
    // One place. Its client asks for more answers than fit on the way, and reads none of them.
    let write = Duration::from_millis(100);
    let running = Running::within(Bounds { connections: 1, write, ..Bounds::default() });
    let greedy = running.connect();
    let mut writer = greedy.try_clone().expect("another handle");
    let requests = "GET /metrics HTTP/1.1\r\nHost: s\r\n\r\n".repeat(1000);
    // The signer stops reading as well; then the rest of the requests goes nowhere.
    let asking = thread::spawn(move || while writer.write_all(requests.as_bytes()).is_ok() {});
    let mut next = running.connect();
    let body = vote_request(1, 2, 1);
    let head = head(body.len()).replace("Host: s", "Host: s\r\nConnection: close");
    next.write_all((head + &body).as_bytes()).expect("a request");
    signature(&answer(&mut next));
    drop(greedy);
    asking.join().expect("no panic");
}

#[test]
fn a_page_of_a_browser_has_nothing_signed() {
    // Both headers by which a browser says who asks; neither request leaves a record.
    let running = Running::start();
    let body = vote_request(1, 1 << 40, 1);
    for header in ["Origin: http://example.org", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        let mut stream = running.connect();
        let close = format!("\r\n{header}\r\nConnection: close\r\nContent-Length");
        let request = head(body.len()).replace("\r\nContent-Length", &close) + &body;
        stream.write_all(request.as_bytes()).expect("a request");
        refused(&answer(&mut stream), 403);
    }
    assert_eq!(running.count(None, Answered::Page), 3);
    signature(&running.sign(0, &vote_request(1, 2, 1)));
}

#[test]
fn a_key_is_the_same_in_capitals() {
    // With and without 0x, and of mixed case. A prefix in capitals is none.
    let running = Running::start();
    let plain = public_key(0).to_string().trim_start_matches("0x").to_owned();
    let first = signature(&running.sign(0, &vote_request(1, 2, 1)));
    let (upper, half) = (plain.to_uppercase(), plain[..48].to_uppercase() + &plain[48..]);
    for key in [upper.clone(), format!("0x{upper}"), format!("0x{half}")] {
        let path = format!("/api/v1/eth2/sign/{key}");
        assert_eq!(signature(&running.post(&path, &vote_request(1, 2, 1))), first);
        refused(&running.post(&path, &vote_request(1, 2, 2)), 412);
    }
    refused(&running.post(&format!("/api/v1/eth2/sign/0X{plain}"), &vote_request(1, 2, 1)), 400);
}

#[test]
fn the_same_request_from_many_at_once_has_one_signature() {
    // Eight threads, and slots of which each has a block and a vote.
    let running = Running::start();
    for slot in 1..=4 {
        for body in [block_request(slot, 1), vote_request(slot, slot + 1, 1)] {
            let barrier = Barrier::new(8);
            let ask = || {
                barrier.wait();
                signature(&running.sign(0, &body))
            };
            let signatures: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            });
            assert!(signatures.iter().all(|it| *it == signatures[0]), "{slot}");
        }
    }
    assert_eq!(running.count(VOTE, Answered::Signed), 4);
    assert_eq!(running.count(VOTE, Answered::Repeated), 28);
}

#[test]
fn numbers_at_their_ends_neither_overflow_nor_bar_a_key() {
    // The largest slots and epochs; afterwards the key signs what comes next.
    let running = Running::start();
    const MAX: u64 = u64::MAX;
    let edge = (1 << 63) - 1;
    for (body, status) in [
        (block_request(MAX, 1), 412),
        (block_request(edge + 1, 1), 412),
        (vote(MAX, MAX, 1), 412),
        (vote(0, MAX, 1), 412),
        (vote(0, edge + 1, 1), 412),
        (vote(MAX, 0, 1), 412),
        (request("AGGREGATION_SLOT", "aggregation_slot", &slot(MAX), ""), 200),
        (request("RANDAO_REVEAL", "randao_reveal", r#"{"epoch":"18446744073709551615"}"#, ""), 200),
        (
            request(
                "AGGREGATION_SLOT",
                "aggregation_slot",
                r#"{"slot":"18446744073709551616"}"#,
                "",
            ),
            400,
        ),
        (request("AGGREGATION_SLOT", "aggregation_slot", r#"{"slot":"-1"}"#, ""), 400),
        (request("AGGREGATION_SLOT", "aggregation_slot", r#"{"slot":"1e3"}"#, ""), 400),
        (request("AGGREGATION_SLOT", "aggregation_slot", r#"{"slot":"+1"}"#, ""), 400),
        (request("AGGREGATION_SLOT", "aggregation_slot", r#"{"slot":" 1"}"#, ""), 400),
    ] {
        assert_eq!(running.sign(0, &body).0, status, "{body}");
    }
    signature(&running.sign(0, &block_request(1, 1)));
    signature(&running.sign(0, &vote_request(0, 1, 1)));

    fn slot(slot: u64) -> String {
        format!(r#"{{"slot":"{slot}"}}"#)
    }
    /// A vote whose slot is small, whatever its target.
    fn vote(source: u64, target: u64, number: u8) -> String {
        let mut data = super::vote(source, 1, number);
        data.target.epoch = target;
        request("ATTESTATION", "attestation", &data.to_json(), "")
    }
}

#[test]
fn a_field_that_comes_twice_is_read_once() {
    // What is judged and recorded is what is signed: the last one.
    let running = Running::start();
    let twice = |one: &AttestationData, other: &AttestationData| {
        let second = format!(r#","attestation":{}"#, other.to_json());
        request("ATTESTATION", "attestation", &one.to_json(), &second)
    };
    let signed = signature(&running.sign(0, &twice(&vote(5, 6, 1), &vote(1, 2, 1))));
    let root = signing_root(&vote(1, 2, 1), DOMAIN_BEACON_ATTESTER);
    assert!(bls::verify(&public_key(0), root.as_bytes(), &signed));
    refused(&running.sign(0, &twice(&vote(2, 3, 1), &vote(1, 2, 2))), 412);
    signature(&running.sign(0, &vote_request(2, 3, 2)));
}

#[test]
fn another_fork_is_another_message_of_the_same_target() {
    // Versions and the fork's epoch are the client's word; they change the root, not the statement.
    let running = Running::start();
    signature(&running.sign(0, &vote_request(1, 2, 1)));
    signature(&running.sign(0, &block_request(9, 1)));
    for (from, to) in [
        (format!(r#""current_version":"{VERSION}""#), r#""current_version":"0xffffffff""#),
        (r#""epoch":"1"}"#.to_owned(), r#""epoch":"18446744073709551615"}"#),
    ] {
        for body in [vote_request(1, 2, 1), block_request(9, 1)] {
            let mut other = body.replace(&from, to);
            // The version before the fork differs as well, so that the root does.
            other = other.replace(
                &format!(r#""previous_version":"{VERSION}""#),
                r#""previous_version":"0xeeeeeeee""#,
            );
            let message = refused(&running.sign(0, &other), 412);
            assert!(message.contains("is on record"), "{message}");
        }
    }
}

#[test]
fn wrong_forms_are_refused_and_leave_no_record() {
    // Each field of a vote is replaced by values of other types, and left out.
    let running = Running::start();
    let whole: Value = serde_json::from_str(&vote_request(1, 2, 1)).expect("JSON");
    let wrong =
        ["null", "true", "7", "1.5", "[]", "{}", r#""""#, r#""0x""#, r#""\u0000""#, r#"["0"]"#];
    let (mut asked, mut pointers) = (0, Vec::new());
    leaves(&whole, String::new(), &mut pointers);
    assert!(pointers.len() > 10, "{pointers:?}");
    for pointer in pointers {
        for value in wrong {
            let mut body = whole.clone();
            *body.pointer_mut(&pointer).expect("it is there") =
                serde_json::from_str(value).expect("JSON");
            let message = refused(&running.sign(0, &body.to_string()), 400);
            assert!(!message.is_empty(), "{pointer} {value}");
            asked += 1;
        }
    }
    for body in ["", "null", "\"x\"", "{", "\u{feff}{}", "{}{}", "nul", "[[[[", "{\"type\":null}"] {
        refused(&running.sign(0, body), 400);
        asked += 1;
    }
    assert_eq!(running.count(None, Answered::Malformed), asked);
    assert_eq!(running.signer.counters().expect("running").requests(), 0);
    signature(&running.sign(0, &vote_request(1, 2, 2)));
}

/// Lists the paths of everything inside a value.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    if let Some(object) = value.as_object() {
        for (name, inner) in object {
            let path = format!("{path}/{name}");
            found.push(path.clone());
            leaves(inner, path, found);
        }
    }
}

#[test]
fn a_large_body_of_small_values_is_refused_quickly() {
    // Nearly two MiB of each form, from several clients at once; a vote is signed beside them.
    let running = Running::start();
    let fill = |unit: &str| unit.repeat((MAX_BODY - 64) / unit.len());
    let bodies = [
        fill("["),
        format!("[{}0]", fill("0,")),
        format!("{{\"type\":\"ATTESTATION\",\"a\":[{}{{}}]}}", fill("{},")),
        format!("{{\"type\":\"{}\"}}", fill("x")),
        format!("{{\"type\":\"BLOCK_V2\",\"beacon_block\":{{\"version\":\"{}\"}}}}", fill("x")),
    ];
    thread::scope(|scope| {
        for body in &bodies {
            scope.spawn(|| {
                let message = refused(&running.sign(0, body), 400);
                assert!(message.len() < 1024, "{}", message.len());
            });
        }
        signature(&running.sign(1, &vote_request(1, 2, 1)));
    });
}

#[test]
fn what_was_signed_and_refused_is_told() {
    // The figures, in the format of Prometheus, after a few requests of each result.
    let running = Running::start();
    let vote_once = vote_request(1, 2, 1);
    for (body, status) in
        [(&vote_once, 200), (&vote_once, 200), (&vote_request(1, 2, 2), 412), (&"{}".into(), 400)]
    {
        assert_eq!(running.sign(0, body).0, status);
    }
    let unknown = format!("/api/v1/eth2/sign/{}", public_key(9));
    refused(&running.post(&unknown, &vote_once), 404);
    let (status, text) = running.get("/metrics");
    assert_eq!(status, 200);
    for line in [
        r#"blocksmith_signer_requests_total{type="ATTESTATION",result="signed"} 1"#,
        r#"blocksmith_signer_requests_total{type="ATTESTATION",result="repeated"} 1"#,
        r#"blocksmith_signer_requests_total{type="ATTESTATION",result="refused"} 1"#,
        r#"blocksmith_signer_requests_total{type="none",result="malformed"} 1"#,
        r#"blocksmith_signer_requests_total{type="none",result="unknown_key"} 1"#,
        r#"blocksmith_signer_refused_total{rule="double_vote"} 1"#,
        "blocksmith_signer_transactions_total 3",
        "blocksmith_signer_judged_total 3",
        "blocksmith_signer_keys 4",
        r#"blocksmith_signer_duration_seconds_count{result="signed"} 2"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    assert_eq!(text.matches("# TYPE ").count(), 6, "{text}");
}
