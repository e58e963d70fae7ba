//! Clients that are slow, against limits that are short: each limit ends what it is for, however
//! fast the machine is. No test waits for the usual limits, nor sleeps.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use blocksmith_consensus::Json;

use super::http::{LIMIT, answer, connect, get};
use super::world::World;
use crate::api::{HELD, Limits, Topic};

/// A limit that a test waits for.
const SHORT: Duration = Duration::from_millis(100);
/// A limit that no test reaches.
const LONG: Duration = Duration::from_secs(600);

/// Limits that nobody reaches.
fn patient() -> Limits {
    Limits { head: LONG, body: LONG, request: LONG, write: LONG, ..Limits::default() }
}

/// Waits until a condition holds; the test fails if it does not in time.
fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

fn send(world: &World, text: &[u8]) -> TcpStream {
    let mut stream = connect(world.address());
    stream.write_all(text).unwrap();
    stream
}

#[test]
fn a_head_that_does_not_end_is_answered_408_and_gives_its_place_back() {
    // The only place is taken by half a head.
    let world = World::limited(Limits { head: SHORT, per_address: 1, ..patient() });
    let slow = send(&world, b"GET /eth/v1/beacon/genesis HTTP/1.1\r\nHost: te");
    let told = answer(slow);
    assert_eq!((told.status, told.error().as_str()), (408, "the head took too long"));
    until("the place is not free again", || world.node.connections() == 0);
}

#[test]
fn a_connection_without_a_request_is_closed_without_an_answer() {
    // It says nothing at all, and reads to the end.
    let world = World::limited(Limits { head: SHORT, ..patient() });
    let mut silent = connect(world.address());
    let mut text = Vec::new();
    silent.read_to_end(&mut text).unwrap();
    assert!(text.is_empty(), "{text:?}");
}

#[test]
fn a_body_that_does_not_come_is_answered_408_and_gives_its_room_back() {
    // A small one, and large ones that take more room together than there is: what has come of each
    // is more than a small one has.
    let world = World::limited(Limits { body: SHORT, ..patient() });
    let body = |length: usize, come: usize| {
        let head = "POST /eth/v1/beacon/blocks HTTP/1.1\r\nHost: test\r\nConnection: close\r\n";
        let text = format!("{head}Content-Length: {length}\r\n\r\n{}", " ".repeat(come));
        send(&world, text.as_bytes())
    };
    let small = answer(body(60_000, 1));
    assert_eq!((small.status, small.error().as_str()), (408, "the body took too long"));
    let large: Vec<_> = (0..40).map(|_| body(crate::api::MAX_BODY, 70_000)).collect();
    for slow in large {
        assert_eq!(answer(slow).status, 408);
    }
}

#[test]
fn a_body_that_says_that_it_is_too_long_is_not_waited_for() {
    // Nobody's time is over, and nothing of the bodies comes.
    let world = World::limited(patient());
    for length in [crate::api::MAX_BODY as u64 + 1, u64::MAX / 2] {
        let head = "POST /eth/v1/beacon/blocks HTTP/1.1\r\nHost: test\r\nConnection: close\r\n";
        let text = format!("{head}Content-Length: {length}\r\n\r\n");
        assert_eq!(answer(send(&world, text.as_bytes())).status, 413, "{length}");
    }
}

#[test]
fn bodies_that_do_not_come_take_no_room_from_others() {
    // Nobody's time is over. Large bodies, and some of unknown length, have hardly begun; together
    // they would take more room than there is.
    let world = World::limited(patient());
    let head = "POST /eth/v1/beacon/blocks HTTP/1.1\r\nHost: test\r\n";
    let length = format!("{head}Content-Length: {}\r\n\r\n{{", crate::api::MAX_BODY);
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n");
    let slow: Vec<_> = [length, chunked]
        .iter()
        .flat_map(|text| (0..20).map(|_| send(&world, text.as_bytes())))
        .collect();
    until("they are not all there", || world.node.connections() == slow.len());
    world.begin(1);
    let block = world.signed(1, "").to_json() + &" ".repeat(100_000);
    assert_eq!(world.post("/eth/v1/beacon/blocks", &block).status, 200);
    drop(slow);
}

#[test]
fn a_request_that_waits_too_long_is_answered_408() {
    // All threads for computations are taken.
    let world = World::limited(Limits { request: SHORT, ..patient() });
    let taken = world.node.beacon().take_computations();
    let late = get(world.address(), "/eth/v1/beacon/states/head/validators");
    assert_eq!((late.status, late.error().as_str()), (408, "the request took too long"));
    drop(taken);
    let mut metrics = String::new();
    world.node.beacon().requests.write(&mut metrics);
    let route = "route=\"/eth/v1/beacon/states/{state_id}/validators\",status=\"408\"} 1";
    assert!(metrics.contains(route), "{metrics}");
}

#[test]
fn a_client_that_takes_nothing_of_its_answers_loses_its_connection() {
    // It asks for whole states, more than fit on the way, and reads none of them.
    let world = World::limited(Limits { write: SHORT, ..patient() });
    let request = "GET /eth/v2/debug/beacon/states/head HTTP/1.1\r\nHost: test\r\n\r\n";
    let bytes = world.node.beacon().genesis.state.to_json().len();
    let times = (64 << 20) / bytes + 1;
    let stream = connect(world.address());
    let mut writer = stream.try_clone().unwrap();
    // The server stops reading as well; then the rest of the requests goes nowhere.
    let asking = std::thread::spawn(move || {
        (0..times).take_while(|_| writer.write_all(request.as_bytes()).is_ok()).count()
    });
    until("the server goes on waiting for the client", || world.node.connections() == 0);
    drop(stream);
    asking.join().unwrap();
    assert_eq!(get(world.address(), "/eth/v1/node/health").status, 200);
}

#[test]
fn a_reader_of_events_that_takes_nothing_loses_its_stream_and_not_the_node() {
    // As many events as the hub holds, so none is lost there, and more bytes than fit on the way.
    let world = World::limited(Limits { write: SHORT, ..patient() });
    let head = b"GET /eth/v1/events?topics=block HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut slow = BufReader::new(send(&world, head));
    let head = super::http::head(&mut slow);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let hub = &world.node.beacon().events;
    let data = format!("{{\"padding\":\"{}\"}}", "x".repeat(128 << 10));
    (0..HELD).for_each(|_| hub.send(Topic::Block, &data));
    until("the stream goes on", || hub.streams() == 0);
    world.begin(1);
    world.propose(1);
    drop(slow);
}
