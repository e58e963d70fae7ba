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
    let node = running::Running::start(&["--seconds-per-slot", "1"]);
    let answer = node.get("/eth/v1/node/syncing");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(node.terminate(), Some(143));
}

#[cfg(feature = "node")]
#[test]
fn the_test_fork_is_there_if_it_is_asked_for() {
    // Without it, with payloads that come with their blocks, and with such that come apart.
    for (arguments, has_committee) in
        [(&[][..], false), (&["--ptc"], true), (&["--ptc", "apart"], true)]
    {
        let node = running::Running::start(arguments);
        let spec = node.get("/eth/v1/config/spec");
        assert_eq!(spec.contains("\"PTC_SIZE\":\"16\""), has_committee, "{arguments:?}: {spec}");
        let votes = node.get("/blocksmith/v1/payload_votes");
        assert_eq!(votes.starts_with("HTTP/1.1 200"), has_committee, "{arguments:?}: {votes}");
        assert_eq!(node.terminate(), Some(143));
    }
}

#[cfg(feature = "node")]
#[test]
fn a_node_asks_the_execution_layer_and_does_not_wait_for_it_to_end() {
    // The execution layer takes the first question and never answers. A call may take ten seconds,
    // and the deadline of the stop is five: the command is back before the connection is closed by
    // the call's own limit.
    use std::io::{BufRead, BufReader, Read};
    use std::time::{Duration, Instant};

    let layer = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/path", layer.local_addr().expect("an address"));
    let contract = format!("0x{}", "ab".repeat(20));
    let node = running::Running::start(&["--execution", &url, "--deposit-contract", &contract]);
    let (stream, _) = layer.accept().expect("the monitor connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    let (asked, mut reader) = (Instant::now(), BufReader::new(stream));
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).expect("a request");
    assert_eq!(first, "POST /path HTTP/1.1\r\n");
    for line in reader.by_ref().lines().map(|line| line.expect("a head")) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let question: serde_json::Value = serde_json::from_slice(&body).expect("a question");
    assert_eq!(question["method"], "eth_getBlockByNumber");
    assert_eq!(question["params"], serde_json::json!(["latest", false]));
    // The node serves, although the execution layer is silent.
    let answer = node.get("/eth/v1/node/syncing");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(node.terminate(), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(9), "it has waited: {:?}", asked.elapsed());
}

/// A node that runs.
#[cfg(feature = "node")]
mod running {
    use std::io::{BufRead, BufReader, Lines, Read, Write};
    use std::net::TcpStream;
    use std::process::{Child, ChildStdout, Command, Stdio};

    /// A node on a free port. It is killed if the test fails before it has ended.
    pub(super) struct Running {
        child: Child,
        address: String,
        /// What it still prints.
        _stdout: Lines<BufReader<ChildStdout>>,
    }

    impl Running {
        /// Starts it; returns once it serves.
        pub(super) fn start(arguments: &[&str]) -> Self {
            let mut command = super::node();
            command.args(["--listen", "127.0.0.1:0"]).args(arguments).stdout(Stdio::piped());
            let mut child = command.spawn().expect("the command was built beside this test");
            let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
            let first = lines.next().expect("a line").expect("text");
            let address = first.strip_prefix("beacon API at http://").expect("the address");
            Self { address: address.to_owned(), child, _stdout: lines }
        }

        pub(super) fn get(&self, target: &str) -> String {
            let mut stream = TcpStream::connect(&self.address).expect("it listens");
            let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).expect("a request");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            answer
        }

        /// Sends SIGTERM; returns the exit code.
        pub(super) fn terminate(mut self) -> Option<i32> {
            let id = self.child.id().to_string();
            let killed = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
            assert!(killed.success());
            self.child.wait().expect("it ends").code()
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            // It has ended already unless the test has failed.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(feature = "node")]
#[test]
fn what_cannot_be_is_told_with_exit_code_two() {
    // No validators, a genesis of no time, an address that is taken; an execution layer without
    // its contract, a contract and a block without the layer, and addresses of other forms.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let contract = format!("0x{}", "ab".repeat(20));
    let layer = |url, contract| vec!["--execution", url, "--deposit-contract", contract];
    for (arguments, message) in [
        (vec!["--interop", "0"], "--interop"),
        (vec!["--genesis-time", "soon"], "seconds since the Unix epoch"),
        (vec!["--listen", &address], &address),
        (vec!["--execution", "http://127.0.0.1:1"], "--deposit-contract <ADDRESS>"),
        (vec!["--deposit-contract", &contract], "--execution <URL>"),
        (vec!["--deposit-block", "3"], "--execution <URL>"),
        (vec!["--ptc", "sometimes"], "with-block, apart"),
        (layer("https://127.0.0.1:1", &contract), "http://host:port/path"),
        (layer("http://127.0.0.1:1", "0x12"), "0x and 40 hexadecimal digits"),
    ] {
        let output = node().args(&arguments).output().expect("the command was built");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(message), "{error}");
    }
}
