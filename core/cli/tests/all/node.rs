//! `blocksmith node`, with and without the feature.

use std::process::Command;

fn node() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blocksmith"));
    command.arg("node");
    command
}

#[cfg(not(feature = "node"))]
#[test]
fn a_build_without_the_node_says_how_to_get_one() {
    // The default build.
    let output = node().output().expect("the command was built beside this test");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("--features node"), "{error}");
}

#[cfg(feature = "node")]
#[test]
fn a_node_answers_and_ends_in_order_by_a_signal() {
    // On a free port; one request; then SIGTERM. The deadline of the stop is the command's own.
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::process::Stdio;

    let mut child = node()
        .args(["--listen", "127.0.0.1:0", "--seconds-per-slot", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command was built beside this test");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    let address = first.strip_prefix("beacon API at http://").expect("the address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = "GET /eth/v1/node/syncing HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
    assert!(killed.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
}

#[cfg(feature = "node")]
#[test]
fn what_cannot_be_is_told_with_exit_code_two() {
    // No validators, a genesis of no time, and an address that is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (arguments, message) in [
        (["--interop", "0"], "--interop"),
        (["--genesis-time", "soon"], "seconds since the Unix epoch"),
        (["--listen", &address], &address),
    ] {
        let output = node().args(arguments).output().expect("the command was built");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(message), "{error}");
    }
}
