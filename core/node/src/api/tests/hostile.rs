//! Clients that send rubbish, too much, or too slowly.

use std::io::{Read, Write};
use std::time::Instant;

use quickcheck::{Arbitrary, Gen};

use super::http::{ask, connect, get, post};
use super::world::World;
use crate::api::MAX_BODY;

/// Every route, with a place for what a client makes up.
const ROUTES: [(&str, &str); 24] = [
    ("GET", "/eth/v1/beacon/states/@/root"),
    ("GET", "/eth/v1/beacon/states/@/fork"),
    ("GET", "/eth/v1/beacon/states/@/finality_checkpoints"),
    ("GET", "/eth/v1/beacon/states/@/validators"),
    ("GET", "/eth/v1/beacon/states/head/validators/@"),
    ("GET", "/eth/v1/beacon/states/head/validators?id=@&status=@"),
    ("GET", "/eth/v1/beacon/states/head/committees?epoch=@&slot=@&index=@"),
    ("POST", "/eth/v1/beacon/states/head/validators"),
    ("GET", "/eth/v2/debug/beacon/states/@"),
    ("GET", "/eth/v1/beacon/headers/@"),
    ("GET", "/eth/v1/beacon/headers?slot=@&parent_root=@"),
    ("GET", "/eth/v2/beacon/blocks/@"),
    ("POST", "/eth/v1/beacon/blocks"),
    ("POST", "/eth/v2/beacon/blocks?broadcast_validation=@"),
    ("POST", "/eth/v1/beacon/pool/attestations"),
    ("POST", "/eth/v1/beacon/pool/proposer_slashings"),
    ("POST", "/eth/v1/beacon/pool/attester_slashings"),
    ("POST", "/eth/v1/beacon/pool/voluntary_exits"),
    ("GET", "/eth/v1/validator/duties/proposer/@"),
    ("POST", "/eth/v1/validator/duties/attester/@"),
    ("GET", "/eth/v1/validator/blocks/@?randao_reveal=@&graffiti=@"),
    ("GET", "/eth/v1/validator/attestation_data?slot=@&committee_index=@"),
    ("GET", "/eth/v1/validator/aggregate_attestation?attestation_data_root=@&slot=@"),
    ("POST", "/eth/v1/validator/aggregate_and_proofs"),
];

/// Requests of the property.
const REQUESTS: usize = 600;

/// Returns bytes as part of a path or a query, which HTTP lets through.
fn escaped(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'%' => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02x}"),
    };
    bytes.iter().map(one).collect()
}

#[test]
fn any_bytes_in_path_query_and_body_are_answered_in_form() {
    // Arbitrary bytes in every place of every route; an error has its code and a message.
    let world = World::new();
    let address = world.address();
    let mut g = Gen::new(48);
    for _ in 0..REQUESTS {
        let (method, target) = ROUTES[usize::arbitrary(&mut g) % ROUTES.len()];
        let target = target.replace('@', &escaped(&Vec::arbitrary(&mut g)));
        let body = Vec::<u8>::arbitrary(&mut g);
        let octets = bool::arbitrary(&mut g);
        let kind = if octets { "application/octet-stream" } else { "application/json" };
        let answer = ask(address, method, &target, &[("Content-Type", kind)], &body);
        assert!((200..600).contains(&answer.status) && answer.status != 500, "{target} {body:?}");
        assert!(answer.status < 400 || !answer.error().is_empty(), "{target} {body:?}");
    }
    assert_eq!(get(address, "/eth/v1/node/health").status, 200);
}

#[test]
fn a_body_of_another_form_is_told_where_it_is_wrong() {
    // What is nearly right: broken JSON, nesting, numbers that are no texts, and long lists.
    let world = World::new();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let duties = "/eth/v1/validator/duties/attester/0";
    for (target, body, message) in [
        (duties, "", "EOF"),
        (duties, "[1]", "[0]: expected a number in quotes"),
        (duties, "{}", "expected a list"),
        (duties, "[\"1\"", "EOF"),
        (duties, &deep, "recursion limit"),
        ("/eth/v1/beacon/blocks", "{}", "message: is missing"),
        ("/eth/v1/beacon/blocks", r#"{"message":{"slot":"1x"}}"#, "message.slot: expected"),
        (
            "/eth/v1/beacon/pool/attestations",
            r#"[{"aggregation_bits":"0x00"}]"#,
            "[0].aggregation_bits",
        ),
        ("/eth/v1/beacon/states/head/validators", r#"{"ids":"0"}"#, "expected a list"),
    ] {
        let answer = post(world.address(), target, body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.error().contains(message), "{body}: {}", answer.error());
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    // A byte more than is allowed, with and without a length given.
    let world = World::new();
    let answer = post(world.address(), "/eth/v1/beacon/blocks", &" ".repeat(MAX_BODY + 1));
    assert_eq!(answer.status, 413, "{}", answer.error());
    let mut stream = connect(world.address());
    let head =
        "POST /eth/v1/beacon/blocks HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", MAX_BODY + 1, " ".repeat(MAX_BODY + 1));
    let _ = stream.write_all(chunk.as_bytes());
    let answer = super::http::answer(stream);
    assert_eq!(answer.status, 413);
}

#[test]
fn clients_that_are_slow_keep_nobody_waiting() {
    // A head without an end, a body without an end, and an answer that is not read, many of each.
    let world = World::new();
    let mut slow: Vec<_> = (0..60).map(|_| connect(world.address())).collect();
    for (at, stream) in slow.iter_mut().enumerate() {
        let text: &[u8] = match at % 3 {
            0 => b"GET /eth/v1/beacon/genesis HTTP/1.1\r\nHost: te",
            1 => b"POST /eth/v1/beacon/blocks HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n{",
            _ => b"GET /eth/v2/debug/beacon/states/head HTTP/1.1\r\nHost: test\r\n\r\n",
        };
        stream.write_all(text).unwrap();
    }
    let start = Instant::now();
    world.begin(1);
    world.propose(1);
    assert!(start.elapsed() < crate::api::Limits::default().request, "{:?}", start.elapsed());
    // They are still there, and get what they ask for once they go on.
    slow[0].write_all(b"st\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    slow[0].read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn one_address_has_so_many_connections_and_the_stop_waits_for_none() {
    // All that it may have, all silent; a further one is told; then the node stops.
    let world = World::new();
    let silent: Vec<_> =
        (0..crate::api::Limits::default().per_address).map(|_| connect(world.address())).collect();
    let refused = super::http::answer(connect(world.address()));
    assert_eq!((refused.status, refused.error().as_str()), (503, "there are too many connections"));
    let start = Instant::now();
    let report = world.node.stop(super::http::LIMIT);
    assert!(report.late.is_empty(), "{report:?}");
    assert!(start.elapsed() < super::http::LIMIT / 2, "{:?}", start.elapsed());
    drop(silent);
}
