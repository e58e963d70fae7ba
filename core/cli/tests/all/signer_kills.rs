//! The judge of the command `signer_kills`, and a few of its kills.

#![cfg(feature = "node")]

#[path = "../../examples/signer_kills/campaign.rs"]
mod campaign;
#[path = "../../examples/signer_kills/client.rs"]
mod client;
#[path = "../../examples/signer_kills/judge.rs"]
mod judge;

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use campaign::{Plan, Running, export, run};
use client::Client;
use judge::{Message, Signed, lost, offences};

fn command() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_blocksmith"))
}

#[test]
fn a_few_kills_leave_nothing_slashable_and_lose_no_record() {
    // Five kills beside three clients. There are signatures and refusals, so both were judged.
    let folder = TempDir::new().expect("a temporary folder");
    let plan = Plan {
        command: command(),
        folder: folder.path(),
        kills: 5,
        keys: 4,
        clients: 3,
        answers: 80,
        seed: 7,
    };
    let report = run(&plan).expect("the signer opens after each kill");
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.opened.len(), 5);
    assert!(report.signed.len() > 5 && report.refused > 5 && report.cut > 0, "{report:?}");
}

#[test]
fn a_signer_whose_database_is_set_back_is_found_out() {
    // Must fail: the records of a round are taken away. One vote contradicts what had left, and the
    // record of the first is gone.
    let (folder, older) = (TempDir::new().expect("one"), TempDir::new().expect("two"));
    let ask = |message, variant| {
        let running = Running::start(command(), folder.path(), 1).expect("it opens");
        let mut client = Client::connect(&running.address).expect("it listens");
        let key = client.keys().expect("keys").remove(0);
        let (status, signature) = client.sign(&key, message, variant).expect("an answer");
        assert_eq!(status, 200);
        running.kill().expect("it runs");
        Signed { key, message, signature }
    };
    let mut signed = vec![ask(Message::Block(1), 1)];
    for entry in fs::read_dir(folder.path()).expect("a folder") {
        let entry = entry.expect("a file");
        fs::copy(entry.path(), older.path().join(entry.file_name())).expect("a copy");
    }
    signed.push(ask(Message::Block(2), 1));
    let exported = export(command(), folder.path(), "one.json").expect("an export");
    assert_eq!((offences(&signed).len(), lost(&signed, &exported).len()), (0, 0));

    for entry in fs::read_dir(folder.path()).expect("a folder") {
        fs::remove_file(entry.expect("a file").path()).expect("removed");
    }
    for entry in fs::read_dir(older.path()).expect("a folder") {
        let entry = entry.expect("a file");
        fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("a copy");
    }
    signed.push(ask(Message::Block(2), 2));
    let exported = export(command(), folder.path(), "two.json").expect("an export");
    assert_eq!(offences(&signed).len(), 1, "{:?}", offences(&signed));
    let lost = lost(&signed, &exported);
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].ends_with("Block(2)"), "{lost:?}");
}

fn signed(key: &str, message: Message, number: u8) -> Signed {
    Signed { key: key.to_owned(), message, signature: number.to_string() }
}

#[test]
fn the_judge_knows_every_offence_and_nothing_else() {
    // Pairs of one key, of which the first five are offences, in both orders.
    let (block, vote) = (Message::Block, Message::Vote);
    for (one, other, is_offence) in [
        (block(3), block(3), true),
        (vote(1, 3), vote(1, 3), true),
        (vote(1, 3), vote(2, 3), true),
        (vote(1, 4), vote(2, 3), true),
        (vote(0, 9), vote(1, 2), true),
        (block(3), block(4), false),
        (vote(1, 3), vote(1, 4), false),
        (vote(1, 3), vote(3, 4), false),
        (vote(1, 3), vote(2, 4), false),
        (block(3), vote(1, 3), false),
    ] {
        let (one, other) = (signed("a", one, 1), signed("a", other, 2));
        for pair in [[one.clone(), other.clone()], [other.clone(), one.clone()]] {
            assert_eq!(offences(&pair).len(), usize::from(is_offence), "{pair:?}");
        }
        // Of another key, or the same signature again.
        assert!(offences(&[Signed { key: "b".to_owned(), ..one.clone() }, other]).is_empty());
        assert!(offences(&[one.clone(), one]).is_empty());
    }
}

#[test]
fn the_judge_misses_each_record_that_is_not_there() {
    // A signer's own export, from which one thing at a time is changed.
    let folder = TempDir::new().expect("a temporary folder");
    let running = Running::start(command(), folder.path(), 2).expect("it opens");
    let mut client = Client::connect(&running.address).expect("it listens");
    let keys = client.keys().expect("keys");
    let messages = [Message::Block(1), Message::Vote(1, 2)];
    let all = messages.map(|message| {
        let (_, signature) = client.sign(&keys[0], message, 1).expect("an answer");
        Signed { key: keys[0].clone(), message, signature }
    });
    running.kill().expect("it runs");
    let exported = export(command(), folder.path(), "out.json").expect("an export");
    assert_eq!(lost(&all, &exported), [""; 0]);
    assert_eq!(lost(&all, &json!(null)).len(), 2);
    let zero = format!("0x{}", "00".repeat(32));
    for (pointer, value) in [
        ("/data/0/signed_blocks", json!([])),
        ("/data/0/signed_blocks/0/slot", json!("2")),
        ("/data/0/signed_blocks/0/signing_root", json!(zero)),
        ("/data/0/signed_attestations/0/source_epoch", json!("0")),
        ("/data/0/signed_attestations/0/target_epoch", json!("3")),
        ("/data/0/signed_attestations/0/signing_root", json!(null)),
    ] {
        let mut changed = exported.clone();
        *changed.pointer_mut(pointer).expect("it is there") = value;
        assert_eq!(lost(&all, &changed).len(), 1, "{pointer}");
    }
    let mut of_another = exported.clone();
    of_another["data"][0]["pubkey"] = json!(keys[1]);
    assert_eq!(lost(&all, &of_another).len(), 2);
}
