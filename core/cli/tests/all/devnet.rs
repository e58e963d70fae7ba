//! `blocksmith validator` and `blocksmith devnet`, with and without the feature.

use std::process::Command;

fn blocksmith(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blocksmith"));
    command.args(arguments);
    command
}

/// Runs a command to its end; returns its exit code and what it printed on stderr.
fn ended(arguments: &[&str]) -> (Option<i32>, String) {
    let output = blocksmith(arguments).output().expect("the command was built beside this test");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[cfg(not(feature = "node"))]
#[test]
fn a_build_without_the_network_says_how_to_get_one() {
    // The default build.
    let client = ["validator", "--beacon-node", "http://a", "--signer", "http://b"];
    for arguments in [&["devnet"][..], &client] {
        let (code, error) = ended(arguments);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("feature"), "{error}");
    }
}

#[cfg(feature = "node")]
#[test]
fn what_cannot_be_is_told_with_exit_code_two() {
    // Addresses of another form, a text that is too long, and numbers out of their bounds.
    let client = |more: &[&'static str]| {
        let nodes = ["validator", "--signer", "http://127.0.0.1:1", "--beacon-node"];
        [&nodes[..], more].concat()
    };
    let long = "a graffiti that has more than 32 b";
    for (arguments, message) in [
        (client(&["ftp://a"]), "ftp://a"),
        (client(&["http://127.0.0.1:1,localhost"]), "localhost"),
        (client(&["http://a", "--graffiti", long]), "32 bytes"),
        (client(&["http://127.0.0.1:1", "--metrics", "192.0.2.1:80"]), "loopback"),
        (vec!["devnet", "--slots", "0"], "--slots"),
        (vec!["devnet", "--kill", "everything"], "--kill"),
        (vec!["devnet", "--data", "/dev/null"], "/dev/null"),
    ] {
        let (code, error) = ended(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(message), "{arguments:?}: {error}");
    }
}

#[cfg(feature = "node")]
#[test]
fn a_validator_waits_for_its_node_and_ends_when_its_input_does() {
    // Nothing listens there. Its standard input is closed once it has said that it waits.
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let client = ["validator", "--while-stdin-is-open", "--beacon-node", &url, "--signer", &url];
    let mut child = blocksmith(&client)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built beside this test");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let said = lines.next().expect("a line").expect("text");
    assert!(said.starts_with("waiting: "), "{said}");
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
}

#[cfg(feature = "node")]
#[test]
fn a_network_is_killed_and_hung_and_goes_on_in_its_folder() {
    // A few slots with a kill of each process and a hang, then a few more on the same files. How
    // many duties are in time depends on the machine; that each has an end, and that nothing is
    // slashable or lost, does not.
    let folder = tempfile::tempdir().expect("a folder");
    let (data, json) = (folder.path().join("net"), folder.path().join("figures.json"));
    let mut last = 0;
    for disturbed in [true, false] {
        let mut run = blocksmith(&["devnet", "--slots", "9", "--slot-ms", "500", "--every", "2"]);
        run.arg("--data").arg(&data).arg("--json").arg(&json);
        if disturbed {
            run.args(["--kill", "node,validator,signer", "--hang", "signer"]);
        }
        let output = run.output().expect("the command was built beside this test");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{error}");
        let text = std::fs::read(&json).expect("a report");
        let figures: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!((&figures["slots"], &figures["slashable"]), (&9.into(), &0.into()));
        assert_eq!(figures["verdicts_lost"], 0);
        let duties = &figures["duties"];
        let missed = duties["missed"].as_array().expect("a list").len() as u64;
        let (planned, sent) = (duties["planned"].as_u64(), duties["sent"].as_u64());
        assert_eq!(planned, sent.map(|sent| sent + missed), "{duties}");
        let disturbances = figures["disturbances"].as_array().expect("a list");
        let sum =
            |name: &str| disturbances.iter().map(|it| it[name].as_u64().unwrap()).sum::<u64>();
        let expected = if disturbed { (3, 1) } else { (0, 0) };
        assert_eq!((sum("kills"), sum("hangs")), expected, "{disturbances:?}");
        last = planned.expect("a number");
    }
    assert!(last > 0, "a network that goes on has duties");
}

#[cfg(feature = "node")]
#[test]
fn a_network_votes_on_payloads_past_nodes_that_misbehave() {
    // The validator prefers a node that hangs and one that lags to the honest one. How many votes
    // are in time depends on the machine; that some are, and none twice, does not.
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("figures.json");
    let mut run = blocksmith(&["devnet", "--ptc", "--slots", "8", "--stand-ins", "hangs,lags"]);
    let output = run.arg("--json").arg(&json).output().expect("the command was built");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{error}");
    let text = std::fs::read(&json).expect("a report");
    let figures: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let duties = &figures["payload_duties"];
    let of = |name: &str| duties[name].as_u64().expect("a number");
    assert!(of("sent") > 0 && of("planned") >= of("sent"), "{duties}");
    assert_eq!(of("doubled"), 0, "{duties}");
    let accepted = figures["payload_votes"]["accepted"].as_u64().expect("a number");
    assert!(accepted >= of("sent"), "the node has every vote that was sent: {accepted} {duties}");
}

#[cfg(feature = "node")]
#[test]
fn a_chain_that_has_rested_too_long_is_told_and_not_begun_again() {
    // A chain that began at the epoch of the clock; and a folder with another length of slots.
    let folder = tempfile::tempdir().expect("a folder");
    let chain = r#"{"genesis_time":5,"slot_ms":1000,"validators":16}"#;
    std::fs::write(folder.path().join("devnet.json"), chain).expect("a file");
    let data = folder.path().to_str().expect("text");
    let (code, error) = ended(&["devnet", "--slots", "2", "--data", data]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("has rested since slot 0"), "{error}");
    let other = ["devnet", "--slots", "2", "--slot-ms", "500", "--data", data];
    let (code, error) = ended(&other);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("devnet.json: is of 16 validators and slots of 1000 ms"), "{error}");
}
