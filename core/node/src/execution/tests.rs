//! The client against a server on loopback that answers what a test says.

use std::thread::JoinHandle;
use std::time::Duration;

use blocksmith::eth1::ExecutionNode;
use blocksmith_consensus::Root;
use serde_json::{Value, json};

use super::deposit_event::tests::deposit;
use super::{DEPOSIT_EVENT_TOPIC, ExecutionError, JsonRpc, Options, encode_deposit_event};
use crate::test_server::{self, Seen};

const CONTRACT: &str = "0x00000000219ab540356cBB839Cbe05303d7705Fa";

/// What the server does with the next request.
enum Reply {
    /// Answers with this as the result, under the request's id.
    Result(Value),
    /// Answers with exactly this.
    Body(&'static str),
    /// Reads the request and hangs until the client gives up.
    Hang,
}

/// Starts a server for as many requests as there are replies. It returns the requests' bodies. The
/// client waits for a minute, longer than any test takes.
fn serve(replies: Vec<Reply>) -> (JsonRpc, JoinHandle<Vec<Value>>) {
    serve_within(Duration::from_secs(60), replies)
}

fn serve_within(timeout: Duration, replies: Vec<Reply>) -> (JsonRpc, JoinHandle<Vec<Value>>) {
    let reply = |reply: Reply| {
        move |seen: &Seen| match reply {
            Reply::Result(result) => {
                let id = &request(seen)["id"];
                Some((200, json!({"id": id, "result": result}).to_string()))
            }
            Reply::Body(body) => Some((200, body.to_owned())),
            Reply::Hang => None,
        }
    };
    let (url, server) = test_server::serve(replies.into_iter().map(reply).collect());
    let mut options = Options::new(url, CONTRACT);
    options.timeout = timeout;
    options.max_response_bytes = 8 << 10;
    let requests = move || server.join().expect("the server").iter().map(request).collect();
    let node = JsonRpc::new(options).expect("an address and a contract");
    (node, std::thread::spawn(requests))
}

fn request(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).expect("JSON")
}

fn block() -> Value {
    json!({
        "number": "0x1b4", "hash": Root::new([1; 32]).to_string(),
        "parentHash": Root::new([2; 32]).to_string(), "timestamp": "0x55ba467c", "extraData": "0x",
    })
}

fn log(number: u8) -> Value {
    json!({
        "address": CONTRACT.to_lowercase(), "topics": [DEPOSIT_EVENT_TOPIC], "removed": false,
        "data": format!("0x{}", hex::encode(encode_deposit_event(&deposit(number), number.into()))),
        "blockNumber": "0x5", "blockHash": Root::new([3; 32]).to_string(), "logIndex": "0x0",
    })
}

#[test]
fn headers_and_deposits_are_asked_for_by_number_and_read_in_full() {
    // One call of each kind; the requests are looked at as the server saw them.
    let logs = json!([log(0), log(1)]);
    let replies = vec![Reply::Result(block()), Reply::Result(block()), Reply::Result(logs)];
    let (mut node, server) = serve(replies);
    assert_eq!(node.latest().unwrap(), 436);
    let header = node.header(436).unwrap();
    assert_eq!((header.number, header.timestamp), (436, 0x55ba_467c));
    assert_eq!((header.hash, header.parent), (Root::new([1; 32]), Root::new([2; 32])));
    let logs = node.deposits(3, 260).unwrap();
    assert_eq!(logs.iter().map(|log| log.index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(logs[1].deposit, deposit(1));
    assert_eq!((logs[1].number, logs[1].hash), (5, Root::new([3; 32])));
    let requests = server.join().unwrap();
    assert_eq!(requests[0]["params"], json!(["latest", false]));
    assert_eq!(requests[1]["method"], "eth_getBlockByNumber");
    assert_eq!(requests[1]["params"], json!(["0x1b4", false]));
    let filter = &requests[2]["params"][0];
    assert_eq!((&filter["fromBlock"], &filter["toBlock"]), (&json!("0x3"), &json!("0x104")));
    assert_eq!(filter["address"], CONTRACT);
}

#[test]
fn an_answer_that_is_not_what_was_asked_for_is_an_error_that_names_the_field() {
    // Each field in turn is missing or of another form.
    let changed = |name: &str, value: Value| {
        let mut block = block();
        block[name] = value;
        block
    };
    for (answer, name) in [
        (changed("number", json!("436")), "number"),
        (changed("number", json!("0x+1")), "number"),
        (changed("number", json!("0x1ffffffffffffffff")), "number"),
        (changed("hash", json!("0x12")), "hash"),
        (changed("parentHash", Value::Null), "parentHash"),
        (changed("timestamp", json!(5)), "timestamp"),
        (Value::Null, "number"),
    ] {
        let (mut node, server) = serve(vec![Reply::Result(answer)]);
        let error = node.header(436).unwrap_err();
        assert!(matches!(error, ExecutionError::Field { field, .. } if field == name), "{error}");
        server.join().unwrap();
    }
}

#[test]
fn a_log_that_is_no_deposit_of_the_contract_is_an_error() {
    // Another contract, another event, a log that was removed, data that is none, and no list.
    let changed = |name: &str, value: Value| {
        let mut log = log(0);
        log[name] = value;
        json!([log])
    };
    for (answer, name) in [
        (changed("address", json!("0x0000000000000000000000000000000000000001")), "address"),
        (changed("topics", json!(["0x01"])), "topics"),
        (changed("topics", json!([])), "topics"),
        (changed("removed", json!(true)), "removed"),
        (changed("data", json!("0xzz")), "data"),
        (changed("blockHash", json!("0x")), "blockHash"),
        (json!({}), "result"),
    ] {
        let (mut node, server) = serve(vec![Reply::Result(answer)]);
        let error = node.deposits(0, 1).unwrap_err();
        assert!(matches!(error, ExecutionError::Field { field, .. } if field == name), "{error}");
        server.join().unwrap();
    }
    let (mut node, server) = serve(vec![Reply::Result(changed("data", json!("0x00")))]);
    assert!(matches!(node.deposits(0, 1), Err(ExecutionError::Event(_))));
    server.join().unwrap();
}

#[test]
fn an_error_of_the_node_a_hang_and_an_answer_without_end_are_errors() {
    // The node's own error, another id, no JSON, too many bytes, nobody there, and no answer at
    // all.
    let long: &'static str = "1".repeat(9 << 10).leak();
    let refused = r#"{"id": 1, "error": {"code": -32005, "message": "too many results"}}"#;
    let (mut node, server) = serve(vec![
        Reply::Body(refused),
        Reply::Body(r#"{"id": 7, "result": null}"#),
        Reply::Body("<html>"),
        Reply::Body(long),
    ]);
    assert_eq!(
        node.latest().unwrap_err().to_string(),
        "eth_getBlockByNumber: error -32005: too many results"
    );
    let of = |error: ExecutionError| match error {
        ExecutionError::Field { field, .. } => field,
        ExecutionError::Http { .. } => "http",
        other => panic!("{other}"),
    };
    assert_eq!(of(node.latest().unwrap_err()), "id");
    assert_eq!(of(node.latest().unwrap_err()), "body");
    assert_eq!(of(node.latest().unwrap_err()), "http");
    assert_eq!(server.join().unwrap().len(), 4);
    assert_eq!(of(node.latest().unwrap_err()), "http");
    let (mut node, server) = serve_within(Duration::from_millis(100), vec![Reply::Hang]);
    assert_eq!(of(node.latest().unwrap_err()), "http");
    server.join().unwrap();
}

#[test]
fn addresses_that_cannot_be_asked_are_refused() {
    // Another scheme, no host, and contracts of the wrong form.
    for url in ["https://127.0.0.1:8545", "127.0.0.1:8545", "http://", ""] {
        let error = JsonRpc::new(Options::new(url, CONTRACT)).unwrap_err();
        assert!(matches!(error, ExecutionError::Url { .. }), "{url}");
    }
    for contract in ["", "0x12", "00000000219ab540356cBB839Cbe05303d7705Fa00", "0xzz"] {
        let error = JsonRpc::new(Options::new("http://127.0.0.1:1", contract)).unwrap_err();
        assert!(matches!(error, ExecutionError::Contract { .. }), "{contract}");
    }
}
