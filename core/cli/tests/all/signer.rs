//! `blocksmith signer` as a user runs it.

use std::process::{Command, Output};

fn signer(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_blocksmith"))
        .arg("signer")
        .args(arguments)
        .output()
        .expect("the command was built beside this test")
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[cfg(not(feature = "node"))]
#[test]
fn without_the_feature_the_signer_names_it() {
    // The default build.
    let output = signer(&["--interop", "0..4", "--db", "never-made.sqlite"]);
    assert_eq!(output.status.code(), Some(2), "{}", error(&output));
    assert!(error(&output).contains("--features node"), "{}", error(&output));
    assert!(!std::path::Path::new("never-made.sqlite").exists());
}

#[test]
fn wrong_arguments_are_refused() {
    // Each before anything is made.
    for arguments in [
        &["--interop", "4..4"][..],
        &["--interop", "0..1000000"],
        &["--keystores", "somewhere"],
        &["--genesis-validators-root", "0x12"],
        &["--genesis-time", "5"],
        &["--slot-ms", "6000"],
        &["export"],
    ] {
        let output = signer(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", error(&output));
    }
}

#[cfg(feature = "node")]
mod with_feature {
    use std::fs;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::{Child, ChildStdout, Stdio};
    use std::time::{SystemTime, UNIX_EPOCH};

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;

    /// A signer in a process of its own, with two interop keys. It is killed when it is dropped.
    struct Running {
        child: Child,
        out: BufReader<ChildStdout>,
        address: String,
    }

    impl Running {
        fn start(folder: &Path) -> Self {
            Self::with(folder, &[])
        }

        fn with(folder: &Path, arguments: &[&str]) -> Self {
            let mut command = Command::new(env!("CARGO_BIN_EXE_blocksmith"));
            Self::of(command.stderr(Stdio::null()), folder, arguments)
        }

        /// Runs the command, which has no arguments yet.
        fn of(command: &mut Command, folder: &Path, arguments: &[&str]) -> Self {
            let mut child = command
                .args(["signer", "--interop", "0..2", "--preset", "minimal"])
                .args(["--listen", "127.0.0.1:0", "--db"])
                .arg(folder.join("protection.sqlite"))
                .arg("--log-signatures")
                .arg(folder.join("signatures"))
                .args(arguments)
                .stdout(Stdio::piped())
                .spawn()
                .expect("the command was built beside this test");
            let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
            let mut line = String::new();
            out.read_line(&mut line).expect("the address is text");
            let address = line.trim().strip_prefix("signing for 2 keys at http://");
            let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
            Self { child, out, address }
        }

        /// Asks for an attestation of key 0; returns the status.
        fn vote(&self, target: u64, root: u8) -> u16 {
            let zero = format!("0x{}", "00".repeat(32));
            let root = format!("0x{}", format!("{root:02x}").repeat(32));
            let (source, slot) = (target - 1, target * 8);
            let body = format!(
                r#"{{"type":"ATTESTATION","attestation":{{"slot":"{slot}","index":"0",
                "beacon_block_root":"{root}","source":{{"epoch":"{source}","root":"{zero}"}},
                "target":{{"epoch":"{target}","root":"{zero}"}}}},"fork_info":{{"fork":{{
                "previous_version":"0x00000001","current_version":"0x00000001","epoch":"0"}},
                "genesis_validators_root":"{zero}"}}}}"#
            );
            // The first key of the convention.
            let key = "a99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4\
                       bf2d153f649f7b53359fe8b94a38e44c";
            let mut stream = TcpStream::connect(&self.address).expect("the signer listens");
            let head = format!("POST /api/v1/eth2/sign/0x{key} HTTP/1.1\r\nHost: s\r\n");
            let length = body.len();
            let head = format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).expect("a request");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
            status.unwrap_or_else(|| panic!("{answer:?}"))
        }

        fn signal(&self, name: &str) {
            let id = self.child.id().to_string();
            let sent = Command::new("kill").args([name, &id]).status().expect("kill");
            assert!(sent.success());
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            // It may have ended already.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn path(folder: &TempDir, name: &str) -> String {
        folder.path().join(name).to_str().expect("a plain path").to_owned()
    }

    #[test]
    fn a_second_signer_on_the_same_database_does_not_start() {
        // It ends with exit code 2 and names the file; the first one signs on.
        let folder = TempDir::new().expect("a temporary folder");
        let running = Running::start(folder.path());
        let db = path(&folder, "protection.sqlite");
        let second = signer(&["--interop", "0..2", "--listen", "127.0.0.1:0", "--db", &db]);
        assert_eq!(second.status.code(), Some(2), "{}", error(&second));
        assert!(error(&second).contains(&format!("{db}: in use")), "{}", error(&second));
        let export = signer(&["export", "--db", &db, &path(&folder, "out.json")]);
        assert_eq!(export.status.code(), Some(2), "{}", error(&export));
        assert_eq!(running.vote(2, 1), 200);
    }

    #[test]
    fn with_a_clock_nothing_is_signed_that_lies_far_ahead() {
        // A chain that begins tomorrow, so that it is epoch 0 however slow the machine is.
        let folder = TempDir::new().expect("a temporary folder");
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let tomorrow = (since.as_secs() + 86_400).to_string();
        let clock = ["--genesis-time", &tomorrow, "--slot-ms", "6000"];
        let running = Running::with(folder.path(), &clock);
        assert_eq!((running.vote(2, 1), running.vote(1, 1)), (412, 200));
    }

    #[test]
    fn a_signal_ends_it_in_order() {
        // SIGTERM: exit code 143; the database is free afterwards and has the record.
        let folder = TempDir::new().expect("a temporary folder");
        let mut running = Running::start(folder.path());
        assert_eq!(running.vote(2, 1), 200);
        running.signal("-TERM");
        assert_eq!(running.child.wait().expect("it ends").code(), Some(143));
        let mut rest = String::new();
        running.out.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "");
        let again = Running::start(folder.path());
        assert_eq!((again.vote(2, 2), again.vote(2, 1)), (412, 200));
    }

    #[test]
    fn a_signer_that_is_killed_keeps_every_record() {
        // kill -9 after each signature; afterwards another message is refused, the same one is not.
        let folder = TempDir::new().expect("a temporary folder");
        for target in 1..=5 {
            let mut running = Running::start(folder.path());
            assert_eq!(running.vote(target, 1), 200);
            running.child.kill().expect("it runs");
            running.child.wait().expect("it has been killed");
            let again = Running::start(folder.path());
            assert_eq!((again.vote(target, 2), again.vote(target, 1)), (412, 200));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_burst_of_connections_for_which_there_are_no_handles_leaves_the_signer_listening() {
        // The signer may open 64 files. Connections that ask for nothing come until it says that it
        // did not accept one; meanwhile a connection that it has is served many times over. Then
        // the others end, and a new one is served.
        const FILES: usize = 64;
        let folder = TempDir::new().expect("a temporary folder");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {FILES}; exec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_blocksmith")).stderr(Stdio::piped());
        let mut running = Running::of(&mut command, folder.path(), &[]);
        let told = BufReader::new(running.child.stderr.take().expect("it is piped"));
        let (found, wait) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            // Everything is read, so that the signer can go on.
            for line in told.lines().map_while(Result::ok) {
                if line.contains("a connection was not accepted") {
                    // The test may have what it needs.
                    let _ = found.send(());
                }
            }
        });
        let connect = || TcpStream::connect(&running.address).expect("the signer listens");
        let served = connect();
        let mut answers = BufReader::new(served.try_clone().expect("a handle"));
        let mut ask = || {
            let request = b"GET /healthcheck HTTP/1.1\r\nHost: s\r\n\r\n";
            (&served).write_all(request).expect("a request");
            let end = r#"{"status":"UP"}"#;
            let mut answer = String::new();
            while !answer.ends_with(end) {
                let mut bytes = [0];
                answers.read_exact(&mut bytes).expect("an answer");
                answer.push(char::from(bytes[0]));
            }
        };
        ask();
        let idle: Vec<_> = (0..FILES).map(|_| connect()).collect();
        wait.recv().expect("there are more connections than handles");
        (0..2000).for_each(|_| ask());
        drop(idle);
        assert_eq!(running.vote(2, 1), 200);
        drop(running);
        reader.join().expect("the log is text");
    }

    #[test]
    fn what_was_signed_is_logged_over_a_kill() {
        // Three signatures and a refusal, with a kill and half a line between them; then a folder
        // instead of a log.
        let folder = TempDir::new().expect("a temporary folder");
        let log = folder.path().join("signatures");
        let running = Running::start(folder.path());
        assert_eq!((running.vote(2, 1), running.vote(2, 2), running.vote(3, 1)), (200, 412, 200));
        drop(running);
        let mut text = fs::read_to_string(&log).expect("a log");
        text.push_str(r#"{"key":"0xa99a"#);
        fs::write(&log, text).expect("a file");
        assert_eq!(Running::start(folder.path()).vote(2, 1), 200);
        let text = fs::read_to_string(&log).expect("a log");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let targets: Vec<_> = lines.iter().map(|line| line["target"].as_u64()).collect();
        assert_eq!(targets, [Some(2), Some(3), Some(2)]);
        assert_eq!((&lines[0]["type"], &lines[0]), (&Value::from("ATTESTATION"), &lines[2]));
        assert_ne!(lines[0]["signing_root"], lines[1]["signing_root"]);
        let (db, no_log) = (path(&folder, "protection.sqlite"), path(&folder, ""));
        let start = ["--interop", "0..2", "--listen", "127.0.0.1:0", "--db", &db];
        let refused = signer(&[&start[..], &["--log-signatures", &no_log]].concat());
        assert_eq!(refused.status.code(), Some(2), "{}", error(&refused));
        assert!(error(&refused).contains(&no_log), "{}", error(&refused));
    }

    #[test]
    fn what_one_signer_exports_another_refuses_after_import() {
        // Complete and minimal; an export never overwrites, an import is idempotent.
        let (origin, elsewhere) = (TempDir::new().expect("one"), TempDir::new().expect("two"));
        drop({
            let running = Running::start(origin.path());
            assert_eq!((running.vote(2, 1), running.vote(5, 1)), (200, 200));
            running
        });
        let (db, other) =
            (path(&origin, "protection.sqlite"), path(&elsewhere, "protection.sqlite"));
        for (file, arguments) in
            [("complete", &["export"][..]), ("minimal", &["export", "--minimal"])]
        {
            let file = path(&origin, file);
            let mut all = arguments.to_vec();
            all.extend(["--db", &db, &file]);
            let exported = signer(&all);
            assert_eq!(exported.status.code(), Some(0), "{}", error(&exported));
            assert_eq!(signer(&all).status.code(), Some(2), "it must not overwrite");
        }
        let minimal = fs::read(path(&origin, "minimal")).expect("a file");
        let minimal: Value = serde_json::from_slice(&minimal).expect("JSON");
        assert_eq!(minimal["metadata"]["interchange_format_version"], "5");
        let votes = minimal["data"][0]["signed_attestations"].as_array().expect("a list");
        assert_eq!((votes.len(), &votes[0]["target_epoch"]), (1, &Value::from("5")));

        for _ in 0..2 {
            let imported = signer(&["import", "--db", &other, &path(&origin, "minimal")]);
            assert_eq!(imported.status.code(), Some(0), "{}", error(&imported));
        }
        let running = Running::start(elsewhere.path());
        assert_eq!((running.vote(5, 1), running.vote(4, 1), running.vote(6, 1)), (412, 412, 200));
        drop(running);
        let bad = path(&elsewhere, "bad.json");
        fs::write(&bad, "{}").expect("a file");
        let refused = signer(&["import", "--db", &other, &bad]);
        assert_eq!(refused.status.code(), Some(2), "{}", error(&refused));
        assert!(
            error(&refused).contains("bad.json: missing field `metadata`"),
            "{}",
            error(&refused)
        );
    }
}
