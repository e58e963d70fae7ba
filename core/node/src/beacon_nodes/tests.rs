//! Calls to several nodes, whose answers are a test's.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::http_client::tests::serve;
use crate::test_server::{self, Seen};

/// Far longer than any test takes: what waits for a share of it has failed.
const TIME: Duration = Duration::from_secs(600);
/// What ends such a wait.
const SOON: Duration = Duration::from_secs(60);

fn status(status: u16) -> HttpError {
    HttpError::Status { path: "/".into(), status, message: String::new(), failures: vec![] }
}

fn nodes() -> BeaconNodes {
    BeaconNodes::new(&["http://a", "http://b", "http://c"]).unwrap()
}

fn name(client: &BeaconClient) -> &str {
    client.url().trim_start_matches("http://")
}

/// Asks or submits; node `a` and so on give what `answers` says of them. Returns who was asked.
fn asked(
    nodes: &BeaconNodes,
    answers: [(&'static str, Result<u8, u16>); 3],
    submit: bool,
) -> (Result<u8, Option<u16>>, String) {
    let begun = Instant::now();
    let (seen, value) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(0)));
    let (asked, taken) = (seen.clone(), value.clone());
    let ask = move |client: &BeaconClient, time: Duration| {
        assert!(time <= TIME);
        asked.lock().unwrap().push_str(name(client));
        let answer = answers.iter().find(|(of, _)| *of == name(client)).unwrap().1;
        answer.map_err(status).inspect(|value| *taken.lock().unwrap() = *value)
    };
    let done = match submit {
        true => nodes.submit(TIME, move |node, time| ask(node, time).map(drop)),
        false => nodes.ask(TIME, ask).map(drop),
    };
    assert!(begun.elapsed() < SOON, "nobody is waited for");
    let done = done.map(|()| *value.lock().unwrap()).map_err(|error| error.status());
    let seen = seen.lock().unwrap().clone();
    (done, seen)
}

#[test]
fn the_next_node_is_asked_at_once_for_what_one_does_not_have() {
    // A refusal and a failure; then nobody has it, and the preferred node's error is told.
    let answers = [("a", Err(404)), ("b", Ok(7)), ("c", Ok(8))];
    assert_eq!(asked(&nodes(), answers, false), (Ok(7), "ab".into()));
    let answers = [("a", Err(204)), ("b", Err(503)), ("c", Err(500))];
    assert_eq!(asked(&nodes(), answers, false), (Err(Some(204)), "abc".into()));
}

#[test]
fn a_node_that_failed_is_asked_last_and_one_that_refused_is_not() {
    // `a` fails, then `b` has nothing: the order is b, c, a, until `a` has answered.
    let nodes = nodes();
    let answers = [("a", Err(503)), ("b", Ok(1)), ("c", Ok(2))];
    assert_eq!(asked(&nodes, answers, false).1, "ab");
    let answers = [("a", Ok(0)), ("b", Err(404)), ("c", Err(404))];
    assert_eq!(asked(&nodes, answers, false), (Ok(0), "bca".into()));
    assert_eq!(asked(&nodes, answers, false), (Ok(0), "a".into()));
}

#[test]
fn what_a_node_refuses_is_submitted_to_the_next_and_the_refusal_told_if_none_takes_it() {
    // A node that is behind refuses. Then the first one fails: the refusal is what is told.
    let answers = [("a", Err(400)), ("b", Ok(1)), ("c", Ok(2))];
    assert_eq!(asked(&nodes(), answers, true), (Ok(1), "ab".into()));
    let answers = [("a", Err(500)), ("b", Err(400)), ("c", Err(404))];
    assert_eq!(asked(&nodes(), answers, true), (Err(Some(400)), "abc".into()));
    // Of a question, 400 is no more than any other answer.
    let answers = [("a", Err(404)), ("b", Err(400)), ("c", Err(404))];
    assert_eq!(asked(&nodes(), answers, false), (Err(Some(404)), "abc".into()));
}

#[test]
fn a_node_that_hangs_costs_one_call_its_share_and_the_next_calls_nothing() {
    // The first node accepts and is silent; the second answers twice.
    let silent = vec![|_: &Seen| None];
    let (hung, server) = test_server::serve(silent);
    let (sound, answers) = serve(vec![(200, r#"{"data":{"A":"1"}}"#.to_owned()); 2]);
    let nodes = BeaconNodes::new(&[hung, sound]).unwrap();
    let ask = |timeout| nodes.ask(timeout, |node, time| node.spec(time));
    let expected = vec![("A".to_owned(), "1".to_owned())];
    assert_eq!(ask(Duration::from_millis(400)).unwrap(), expected);
    let begun = Instant::now();
    assert_eq!(ask(TIME).unwrap(), expected, "the silent one is not waited for");
    assert!(begun.elapsed() < SOON);
    // The request to the silent node ends with the time of the first call.
    assert_eq!(server.join().unwrap().len(), 1);
    assert_eq!(answers.join().unwrap().len(), 2);
}

/// Occupies all threads of the node that is asked first: each says so, and waits for a turn.
fn occupy(nodes: &BeaconNodes) -> (Receiver<()>, Sender<()>) {
    let (said, begun) = channel();
    let (turn, turns) = channel::<()>();
    let turns = Arc::new(Mutex::new(turns));
    for _ in 0..THREADS {
        let (said, turns) = (said.clone(), turns.clone());
        assert!(nodes.start(0, move |_| {
            said.send(()).unwrap();
            // Ends when the turns' sender is gone.
            let _ = turns.lock().unwrap().recv();
        }));
    }
    for _ in 0..THREADS {
        begun.recv_timeout(SOON).expect("a thread takes the call");
    }
    (begun, turn)
}

#[test]
fn a_call_that_is_over_begins_no_request() {
    // The first node's threads are all in use, so a call waits in its queue; the second answers.
    let nodes = BeaconNodes::new(&["http://a", "http://b"]).unwrap();
    let (_begun, turn) = occupy(&nodes);
    let (said, asked) = channel();
    let ask = move |node: &BeaconClient, _: Duration| {
        said.send(name(node).to_owned()).unwrap();
        Ok(())
    };
    nodes.ask(Duration::from_millis(40), ask).unwrap();
    // The queue goes on; behind the call there is another one, which says that it was passed.
    let (passed, passing) = channel();
    assert!(nodes.start(0, move |_| passed.send(()).unwrap()));
    drop(turn);
    passing.recv_timeout(SOON).expect("the queue goes on");
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_node_whose_queue_is_full_is_passed_over_at_once() {
    // All threads and all places are in use; the second node is asked without a share's wait.
    let nodes = nodes();
    let (_begun, turn) = occupy(&nodes);
    for _ in 0..QUEUE {
        assert!(nodes.start(0, |_| ()));
    }
    assert!(!nodes.start(0, |_| ()), "the queue has an end");
    let answers = [("a", Ok(1)), ("b", Ok(2)), ("c", Ok(3))];
    assert_eq!(asked(&nodes, answers, false), (Ok(2), "b".into()));
    drop(turn);
}

#[test]
fn a_broadcast_goes_to_all_and_returns_with_the_first_that_takes_it() {
    // `a` waits until the call has returned, `b` refuses, `c` takes it.
    let nodes = nodes();
    let (returned, returns) = channel::<()>();
    let returns = Mutex::new(returns);
    let (said, asked) = channel();
    let submit = move |node: &BeaconClient, _: Duration| {
        let name = name(node).to_owned();
        let answer = match name.as_str() {
            "a" => returns.lock().unwrap().recv_timeout(SOON).map_err(|_| status(500)),
            "b" => Err(status(400)),
            _ => Ok(()),
        };
        said.send((name, answer.is_ok())).unwrap();
        answer
    };
    nodes.broadcast(TIME, submit).unwrap();
    returned.send(()).unwrap();
    let mut all: Vec<_> = (0..3).map(|_| asked.recv_timeout(SOON).unwrap()).collect();
    all.sort();
    assert_eq!(all, [("a".into(), true), ("b".into(), false), ("c".into(), true)]);
}

#[test]
fn a_call_that_panics_on_one_node_is_answered_by_the_next() {
    // Without the panic hook, as it is meant. The node's thread lives on.
    let nodes = BeaconNodes::new(&["http://a", "http://b"]).unwrap();
    for _ in 0..=THREADS {
        let ask = |node: &BeaconClient, _: Duration| match name(node) {
            "a" => std::panic::resume_unwind(Box::new("meant")),
            _ => Ok(5),
        };
        assert_eq!(nodes.ask(Duration::from_millis(20), ask).unwrap(), 5);
    }
    let (said, alive) = channel();
    assert!(nodes.start(0, move |_| said.send(()).unwrap()));
    alive.recv_timeout(SOON).expect("a thread is left");
}

#[test]
fn no_answer_at_all_is_told_as_such() {
    // Two nodes that wait until the test is over.
    let nodes = BeaconNodes::new(&["http://a", "http://b"]).unwrap();
    let (over, ends) = channel::<()>();
    let ends = Mutex::new(ends);
    let ask = move |_: &BeaconClient, _: Duration| {
        let _ = ends.lock().unwrap().recv();
        Ok(())
    };
    let told = nodes.ask(Duration::from_millis(20), ask).unwrap_err();
    assert!(matches!(told, HttpError::NoAnswer), "{told}");
    drop(over);
}

#[test]
fn a_check_ranks_the_nodes_by_what_they_say_and_asks_them_all_at_once() {
    // One is behind, one is silent, one is synchronised; all have the same time.
    let says = |distance: u64| {
        let said = format!(
            r#"{{"data":{{"head_slot":"7","sync_distance":"{distance}","is_syncing":false,
            "is_optimistic":false}}}}"#
        );
        serve(vec![(200, said), (200, "{}".to_owned())])
    };
    let ((behind, first), (sound, third)) = (says(40), says(0));
    let (hung, second) = test_server::serve(vec![|_: &Seen| None]);
    let nodes = BeaconNodes::new(&[behind, hung, sound]).unwrap();
    nodes.check(Duration::from_millis(300));
    let answered = |sync_distance| Health::Answered { sync_distance, is_optimistic: false };
    assert_eq!(nodes.health(), [answered(40), Health::Silent, answered(0)]);
    assert_eq!(nodes.fleet().order(nodes.now()), [2, 0, 1]);
    second.join().unwrap();
    // What is not the form of an answer is no answer.
    nodes.check(Duration::from_secs(60));
    assert_eq!(nodes.health(), [Health::Silent; 3]);
    first.join().unwrap();
    third.join().unwrap();
}

#[test]
fn a_single_node_is_called_on_the_callers_thread() {
    // It needs no threads of its own.
    let nodes = BeaconNodes::new(&["http://a"]).unwrap();
    let caller = std::thread::current().id();
    let on = nodes.ask(TIME, move |_, time| {
        assert_eq!(time, TIME);
        Ok(std::thread::current().id())
    });
    assert_eq!(on.unwrap(), caller);
}

#[test]
fn there_is_at_least_one_node_and_no_more_than_the_limit() {
    // None, seventeen, and one whose address cannot be.
    let none = BeaconNodes::new::<&str>(&[]).unwrap_err();
    assert!(matches!(none, HttpError::Nodes { given: 0 }));
    let many = BeaconNodes::new(&["http://a"; MAX_NODES + 1]).unwrap_err();
    assert!(matches!(many, HttpError::Nodes { given: 17 }));
    assert!(matches!(BeaconNodes::new(&["ftp://a"]), Err(HttpError::Url { .. })));
}
