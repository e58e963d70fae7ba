//! Tests of the server as a client sees it, over real sockets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};

use quickcheck::QuickCheck;

use blocksmith_sync::Broker;
use blocksmith_sync::broker::{Limits, Weight};
use blocksmith_sync::mailbox::OnFull;

use super::{
    BOUNDS, Kind, MAX_REQUEST, Metrics, MetricsError, Shared, VerdictTimes, accept, exposition,
    judge,
};

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A broker that watches one mailbox with three of four places taken.
fn broker() -> Broker {
    let broker = Broker::new(Limits::default()).expect("the defaults");
    let opened = broker.open::<u32>("rewinder.blocks", Weight::Counts, 4, 0, OnFull::Refuse);
    let (sender, _lease) = opened.expect("a new name");
    assert!((0..3).all(|n| sender.send(n) == Ok(None)));
    broker.observe();
    broker
}

/// Two blocks and no attestation have their verdicts.
fn times() -> VerdictTimes {
    let times = VerdictTimes::default();
    for _ in 0..2 {
        assert_eq!(times.start(Kind::Block).watch(&mut std::future::ready(7)), Some(7));
    }
    times
}

fn serve() -> Metrics {
    let broker = broker();
    Metrics::serve(local(), &times(), move || Some(broker.snapshot())).expect("a free port")
}

/// Sends bytes, ends the request, and returns the answer.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in UTF-8");
    answer
}

#[test]
fn a_get_has_every_figure_in_the_text_format() {
    // Each line of the body is a comment or `name{labels} number`; every name has its TYPE and
    // HELP.
    let metrics = serve();
    let answer = ask(metrics.address(), b"GET /metrics?x=1 HTTP/1.1\r\nHost: here\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let (mut types, mut helps, mut samples) = (BTreeMap::new(), 0, BTreeMap::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert_eq!(types.insert(name, kind), None, "{name} twice");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.split_once(' ').is_some_and(|(_, help)| !help.is_empty()), "{line}");
            helps += 1;
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let value: f64 = value.parse().expect("a number");
            let (family, kind) = family(&types, name).expect("TYPE comes first");
            assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
            assert!(value.is_finite() && value >= 0.0, "{line}");
            samples.insert(name, value);
        }
    }
    assert_eq!(helps, types.len());
    let of = |name: &str| samples.get(name).copied();
    assert_eq!(of("blocksmith_mailbox_depth{mailbox=\"rewinder.blocks\"}"), Some(3.0));
    assert_eq!(of("blocksmith_mailbox_capacity{mailbox=\"rewinder.blocks\"}"), Some(4.0));
    assert_eq!(of("blocksmith_mailbox_sent_total{mailbox=\"rewinder.blocks\"}"), Some(3.0));
    assert_eq!(of("blocksmith_mailbox_load_ratio{mailbox=\"rewinder.blocks\"}"), Some(0.75));
    assert_eq!(of("blocksmith_load_level"), Some(1.0));
    assert_eq!(of("blocksmith_load_asks{ask=\"drop_peers\"}"), Some(1.0));
    assert_eq!(of("blocksmith_load_asks{ask=\"stop_slashing_detection\"}"), Some(0.0));
}

/// Returns the family that a sample is of, and its kind: a histogram's samples have names of their
/// own.
fn family<'a>(types: &BTreeMap<&'a str, &'a str>, sample: &str) -> Option<(&'a str, &'a str)> {
    let name = sample.split('{').next().unwrap_or_default();
    let suffixes = ["", "_bucket", "_sum", "_count"].into_iter();
    let mut stems = suffixes.filter_map(|suffix| Some((suffix, name.strip_suffix(suffix)?)));
    stems.find_map(|(suffix, stem)| {
        let (family, kind) = types.get_key_value(stem)?;
        ((*kind == "histogram") != suffix.is_empty()).then_some((*family, *kind))
    })
}

#[test]
fn the_times_to_verdicts_are_served_as_histograms() {
    // Two blocks and no attestation: a line a bucket, the last with all, then sum and count.
    let metrics = serve();
    let answer = ask(metrics.address(), b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    let name = "blocksmith_verdict_duration_seconds";
    assert!(answer.contains(&format!("\n# TYPE {name} histogram\n")), "{answer}");
    let samples: Vec<_> = answer.lines().filter(|line| line.starts_with(name)).collect();
    assert_eq!(samples.len(), 2 * (BOUNDS.len() + 1 + 2), "{samples:?}");
    for (kind, count) in [("block", 2), ("attestation", 0)] {
        let labels = format!("kind=\"{kind}\"");
        for sample in [
            format!("{name}_bucket{{{labels},le=\"+Inf\"}} {count}"),
            format!("{name}_count{{{labels}}} {count}"),
        ] {
            assert!(samples.contains(&sample.as_str()), "{sample}: {samples:?}");
        }
        let sum = format!("{name}_sum{{{labels}}} ");
        let sum = samples.iter().find_map(|sample| sample.strip_prefix(&sum)).expect("a sum");
        let sum: f64 = sum.parse().expect("a number");
        assert_eq!(sum > 0.0, count > 0, "{kind}: {sum}");
    }
}

#[test]
fn what_is_no_request_for_metrics_is_refused_by_its_status() {
    // One request of each kind, on one server, which still answers after each of them.
    let metrics = serve();
    let mut large = b"GET /metrics HTTP/1.1\r\nCookie: ".to_vec();
    large.resize(MAX_REQUEST * 3, b'x');
    for (request, status) in [
        (&b"GET /other HTTP/1.1\r\n\r\n"[..], "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"\r\n\r\n", "400"),
        (b"GET /metrics\r\n\r\n", "400"),
        (b"GET /metrics HTTP/2\r\n\r\n", "400"),
        (b"\xff\xfe\xfd\r\n\r\n", "400"),
        (b"GET /metrics HTTP/1.1\r\n", "400"),
        (b"", "400"),
        (&large, "431"),
        (b"GET /metrics HTTP/1.0\r\n\r\n", "200"),
    ] {
        let answer = ask(metrics.address(), request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(40)]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer}");
    }
}

#[test]
fn any_bytes_are_judged_without_a_panic() {
    // Any bytes may come before the end of the head; only `GET /metrics` and `GET /` pass.
    fn property(bytes: Vec<u8>) -> bool {
        judge(&bytes).is_err() || bytes.starts_with(b"GET /")
    }
    QuickCheck::new().tests(1_000).quickcheck(property as fn(Vec<u8>) -> bool);
}

#[test]
fn the_page_needs_nothing_but_the_figures() {
    // The page is HTML with its script inside; every address in it is that of the figures.
    let metrics = serve();
    let answer = ask(metrics.address(), b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/html; charset=utf-8"), "{head}");
    assert!(body.starts_with("<!doctype html>") && body.trim_end().ends_with("</html>"));
    assert_eq!(body.matches("fetch(\"/metrics\"").count(), 1);
    for word in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!body.contains(word), "{word}");
    }
}

#[test]
fn the_page_and_the_dashboard_ask_for_figures_that_there_are() {
    // Every name that they use is one of a family; of a histogram, one of its samples.
    let figures = exposition(&broker().snapshot(), &times());
    let dashboard = include_str!("../../grafana.json");
    let names = |text: &str, before: &str| -> Vec<String> {
        let rest = text.split(before).skip(1);
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        rest.map(|rest| rest.chars().take_while(|c| is_name(*c)).collect()).collect()
    };
    let types = figures.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: BTreeMap<_, _> = types.collect();
    let has = |name: &str| family(&types, &format!("blocksmith_{name}")).is_some();
    let asked = names(dashboard, "blocksmith_");
    assert!(asked.len() > 5 && asked.iter().all(|name| has(name)), "{asked:?}");
    assert!(asked.iter().any(|name| name == "verdict_duration_seconds_bucket"), "{asked:?}");
    assert!(!has("verdict_duration_seconds") && !has("mailbox_depth_bucket"));
    let shown = names(include_str!("page.html"), "figures.");
    for name in shown.iter().filter(|name| name.ends_with("_total") || *name == "oldest_seconds") {
        assert!(has(&format!("mailbox_{name}")), "{name}");
    }
}

#[test]
fn without_services_the_answer_is_that_there_are_none() {
    // The source has nothing.
    let metrics = Metrics::serve(local(), &times(), || None).expect("a free port");
    let answer = ask(metrics.address(), b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn the_end_waits_for_no_client() {
    // One client has connected and sends nothing; another is being answered when the server is
    // dropped.
    let (asked, is_asked) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let source = move || {
        asked.send(()).expect("the test listens");
        let _ = goes_on.recv();
        None
    };
    let metrics = Metrics::serve(local(), &times(), source).expect("a free port");
    let mut busy = TcpStream::connect(metrics.address()).expect("it listens");
    let silent = TcpStream::connect(metrics.address()).expect("it listens");
    busy.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").expect("it reads");
    is_asked.recv().expect("the request arrives");
    drop(go_on);
    drop(metrics);
    drop(silent);
}

#[test]
fn a_silent_client_is_cut_off_by_the_end() {
    // The server is waiting for its request, or about to: the client gets no answer, not even that
    // its time is up.
    let metrics = serve();
    let mut silent = TcpStream::connect(metrics.address()).expect("it listens");
    drop(metrics);
    let mut answer = String::new();
    // The connection may be reset as well as closed.
    let _ = silent.read_to_string(&mut answer);
    assert_eq!(answer, "");
}

#[test]
fn an_address_that_others_reach_is_refused() {
    // All interfaces; and a port that is taken.
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = Metrics::serve(everywhere, &times(), || None).err();
    assert!(matches!(refused, Some(MetricsError::NotLoopback(address)) if address == everywhere));
    let metrics = serve();
    let taken = Metrics::serve(metrics.address(), &times(), || None);
    let taken = taken.err().map(|error| error.to_string());
    assert!(taken.is_some_and(|error| error.starts_with("127.0.0.1:")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_to_which_the_system_gives_no_connection_tries_on_and_stops_when_it_is_told() {
    // A listener that does not wait, so that accepting fails whenever nobody connects: thousands of
    // times here, as often as the server likes there. Then somebody connects.
    let listener = TcpListener::bind(local()).expect("a free port");
    listener.set_nonblocking(true).expect("it can be set");
    let (address, shared) =
        (listener.local_addr().expect("an address"), Arc::new(Shared::default()));
    let (same, server) = (listener.try_clone().expect("a handle"), shared.clone());
    let body = move || accept(&same, &server, &|| Some("figures".to_owned()));
    let thread = Some(std::thread::spawn(body));
    let metrics = Metrics { address, shared, thread };
    assert!((0..10_000).all(|_| listener.accept().is_err()));
    // Now the server alone has it: one that had given up would refuse the connection.
    drop(listener);
    let answer = ask(address, b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\nfigures"), "{answer}");
    drop(metrics);
}
