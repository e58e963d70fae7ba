//! The stream of events.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use blocksmith_consensus::Root;
use serde_json::{Value, json};

use super::http::{LIMIT, connect, get, head};
use super::world::World;
use crate::api::{HELD, STREAMS};

/// Opens a stream of topics; returns once it is open.
pub(super) fn open(world: &World, topics: &str) -> BufReader<TcpStream> {
    let mut stream = connect(world.address());
    let request = format!(
        "GET /eth/v1/events?topics={topics} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let head = head(&mut reader).to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("text/event-stream"), "{head}");
    reader
}

/// Reads the next event: its topic and its data. Returns `None` at the end of the stream, and if no
/// event comes for [`LIMIT`]: a heartbeat is none, although it ends a read.
pub(super) fn next(reader: &mut impl BufRead) -> Option<(String, Value)> {
    let (start, mut topic) = (Instant::now(), None);
    while start.elapsed() < LIMIT {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(name) = line.strip_prefix("event: ") {
            topic = Some(name.trim().to_owned());
        }
        if let Some(data) = line.strip_prefix("data: ") {
            return Some((topic?, serde_json::from_str(data).ok()?));
        }
    }
    None
}

/// Reads up to the first event of a topic with this value in a field; returns its data. There are
/// few events before it.
pub(super) fn find(reader: &mut impl BufRead, topic: &str, field: &str, value: &str) -> Value {
    /// Events before it, at most.
    const BEFORE: usize = 64;
    let mut events = std::iter::from_fn(|| next(reader)).take(BEFORE);
    let found = events.find(|(name, data)| name == topic && data[field] == value);
    found.unwrap_or_else(|| panic!("no {topic} whose {field} is {value}")).1
}

/// Does the duties of some slots. A slot begins once the event of the head before it was read: the
/// follower may skip a head that is not the last one. Returns the roots, and the events by slot.
fn run(
    world: &World,
    heads: &mut impl BufRead,
    slots: std::ops::RangeInclusive<u64>,
) -> (BTreeMap<u64, Root>, BTreeMap<u64, Value>) {
    let one = |slot| {
        let root = world.run(slot..=slot)[&slot];
        ((slot, root), (slot, find(heads, "head", "block", &root.to_string())))
    };
    slots.map(one).unzip()
}

#[test]
fn a_listener_hears_of_blocks_heads_votes_and_finality_in_their_order() {
    // Five epochs. A stream holds nothing of other topics.
    let world = World::new();
    let mut blocks = open(&world, "block,head");
    let mut finality = open(&world, "finalized_checkpoint&topics=attestation");
    let root = world.run(1..=1)[&1];
    // The two may come in any order: the block's tells of the verdict, the head's of the choice.
    let mut heard: Vec<_> = (0..2).filter_map(|_| next(&mut blocks)).collect();
    heard.sort_by_key(|(topic, _)| topic.clone());
    let (block, head) = (&heard[0], &heard[1]);
    assert_eq!(block.0, "block");
    assert_eq!(block.1, json!({"slot":"1","block":root.to_string(),"execution_optimistic":false}));
    assert_eq!((head.0.as_str(), &head.1["block"]), ("head", &json!(root.to_string())));
    let genesis = world.node.genesis_root().to_string();
    assert_eq!(head.1["previous_duty_dependent_root"], genesis);
    assert_eq!(head.1["current_duty_dependent_root"], genesis);
    assert_eq!((&head.1["epoch_transition"], &head.1["slot"]), (&json!(false), &json!("1")));
    let state = world.data("/eth/v1/beacon/states/head/root");
    assert_eq!(head.1["state"], state["root"]);
    let (topic, vote) = next(&mut finality).unwrap();
    assert_eq!((topic.as_str(), &vote["data"]["slot"]), ("attestation", &json!("1")));
    let (roots, heads) = run(&world, &mut blocks, 2..=34);
    let finalized = find(&mut finality, "finalized_checkpoint", "epoch", "2");
    assert_eq!(finalized["block"], roots[&16].to_string());
    let header = world.data("/eth/v1/beacon/headers/16");
    assert_eq!(finalized["state"], header["header"]["message"]["state_root"]);
    assert_eq!(heads[&17]["current_duty_dependent_root"], roots[&15].to_string());
    assert_eq!(heads[&17]["previous_duty_dependent_root"], roots[&7].to_string());
}

#[test]
fn a_listener_hears_of_a_reorg_before_the_head_that_made_it() {
    // A block without votes loses to its sibling, for which the slot's committee votes.
    let world = World::new();
    let mut stream = open(&world, "chain_reorg,head");
    run(&world, &mut stream, 1..=1);
    world.begin(2);
    let (first, second) = (world.signed(2, "a"), world.signed(3, "b"));
    let submit = |block: &blocksmith_consensus::SignedBeaconBlock| {
        use blocksmith_consensus::Json;
        world.post("/eth/v1/beacon/blocks", &block.to_json()).status
    };
    assert_eq!(submit(&first), 200);
    let (topic, old) = next(&mut stream).unwrap();
    assert_eq!((topic.as_str(), &old["slot"]), ("head", &json!("2")));
    // The sibling of the next slot is timely, and is boosted.
    world.begin(3);
    assert_eq!(submit(&second), 200);
    let (topic, reorg) = next(&mut stream).unwrap();
    assert_eq!(topic, "chain_reorg");
    assert_eq!((&reorg["depth"], &reorg["slot"]), (&json!("1"), &json!("3")));
    assert_eq!(reorg["old_head_block"], old["block"]);
    let (topic, head) = next(&mut stream).unwrap();
    assert_eq!((topic.as_str(), &head["block"]), ("head", &reorg["new_head_block"]));
}

#[test]
fn a_reader_that_does_not_read_loses_its_stream_and_nobody_else_notices() {
    // More events than the hub holds, each too large for the rest of the way. The second reader
    // reads as they come.
    let world = World::new();
    let mut slow = open(&world, "block");
    let mut quick = open(&world, "block");
    let hub = &world.node.beacon().events;
    let data = format!("{{\"padding\":\"{}\"}}", "x".repeat(64 << 10));
    let events = 4 * HELD;
    for at in 0..events {
        hub.send(crate::api::Topic::Block, &data);
        assert!(next(&mut quick).is_some(), "event {at}");
    }
    // The slow reader finds what was on the way, and then the end.
    let found = std::iter::from_fn(|| next(&mut slow)).take(events).count();
    assert!(found < events, "{found} of {events}");
    assert_eq!(world.get("/eth/v1/node/health").status, 200);
}

#[test]
fn there_are_so_many_streams_and_one_that_ends_makes_room() {
    // All of them, one more, and one fewer: the place is free once its end was noticed.
    let world = World::new();
    let mut streams: Vec<_> = (0..STREAMS).map(|_| open(&world, "head")).collect();
    let refused = get(world.address(), "/eth/v1/events?topics=head");
    assert_eq!((refused.status, refused.error().as_str()), (503, "there are too many streams"));
    drop(streams.pop());
    let (hub, start) = (&world.node.beacon().events, Instant::now());
    while hub.streams() == STREAMS {
        assert!(start.elapsed() < LIMIT, "the stream that has ended keeps its place");
        hub.send(crate::api::Topic::Head, "{}");
        std::thread::yield_now();
    }
    streams.push(open(&world, "head"));
}
