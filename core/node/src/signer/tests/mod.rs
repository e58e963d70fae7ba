//! The signer as its clients see it, and the files that it reads and writes.

mod ahead;
mod api;
mod database;
mod hostile;
mod interchange;
mod keystores;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use blocksmith::slashing_protection::{GenesisRoot, Limits};
use blocksmith_consensus::{
    AttestationData, BeaconBlock, Checkpoint, Domain, DomainType, Json, PublicKeyBytes, Root,
    SignatureBytes, Version, Wire, compute_domain, compute_signing_root,
};
use serde_json::Value;
use tempfile::TempDir;

use super::figures::Answered;
use super::keystore::LockedKey;
use super::protection::SqliteStore;
use super::server::Bounds;
use super::{Config, Parts, Signer};
use crate::interop;

/// The chain of the tests.
const GENESIS: Root = Root::new([7; 32]);
const VERSION: Version = Version::new([0, 0, 0, 1]);

fn domain(kind: DomainType) -> Domain {
    compute_domain(kind, VERSION, GENESIS)
}

fn public_key(index: u64) -> PublicKeyBytes {
    interop::secret_key(index).public_key().to_bytes()
}

fn keys(count: u64) -> Vec<LockedKey> {
    (0..count).map(|at| LockedKey::without_file(interop::secret_key(at), "interop")).collect()
}

fn config() -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        beyond_loopback: false,
        slots_per_epoch: 8,
        limits: Limits::default(),
    }
}

/// A signer with four keys and a database of its own.
struct Running {
    signer: Signer,
    folder: TempDir,
}

impl Running {
    fn start() -> Self {
        Self::within(Bounds::default())
    }

    fn within(bounds: Bounds) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let signer = Self::bounded(&folder, bounds, Parts::default());
        Self { signer, folder }
    }

    fn with(parts: Parts) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let signer = Self::bounded(&folder, Bounds::default(), parts);
        Self { signer, folder }
    }

    fn over(folder: &TempDir) -> Signer {
        Self::bounded(folder, Bounds::default(), Parts::default())
    }

    fn bounded(folder: &TempDir, bounds: Bounds, parts: Parts) -> Signer {
        let store = SqliteStore::open(&folder.path().join("protection.sqlite"));
        let fail = |error| panic!("the store failed: {error}");
        let signer =
            Signer::bounded(config(), bounds, keys(4), store.expect("a store"), parts, fail);
        signer.expect("a signer")
    }

    /// How many requests of a type had a result.
    fn count(&self, kind: Option<&str>, answered: Answered) -> u64 {
        self.signer.figures().count(kind, answered)
    }

    fn connect(&self) -> TcpStream {
        connect(self.signer.address())
    }

    fn get(&self, path: &str) -> (u16, String) {
        exchange(self.signer.address(), &format!("GET {path} HTTP/1.1\r\n"), "")
    }

    fn post(&self, path: &str, body: &str) -> (u16, String) {
        exchange(self.signer.address(), &format!("POST {path} HTTP/1.1\r\n"), body)
    }

    fn sign(&self, index: u64, body: &str) -> (u16, String) {
        self.post(&format!("/api/v1/eth2/sign/{}", public_key(index)), body)
    }
}

/// Connects, and waits at most half a minute for what is read later.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the signer listens");
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a time-out");
    stream
}

/// Sends one request on a connection of its own; returns the status and the body of the answer.
fn exchange(address: SocketAddr, line: &str, body: &str) -> (u16, String) {
    let mut stream = connect(address);
    let length = body.len();
    let head =
        format!("{line}Host: signer\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("a head");
    // A body that is too long is answered before it has been read.
    let _ = stream.write_all(body.as_bytes());
    answer(&mut stream)
}

/// Returns the signature of an answer.
fn signature(answer: &(u16, String)) -> SignatureBytes {
    assert_eq!(answer.0, 200, "{}", answer.1);
    let value: Value = serde_json::from_str(&answer.1).expect("JSON");
    value["signature"].as_str().expect("a signature").parse().expect("0x and digits")
}

/// Returns the message of an error, whose code has to be that of the status.
fn refused(answer: &(u16, String), status: u16) -> String {
    assert_eq!(answer.0, status, "{}", answer.1);
    let value: Value = serde_json::from_str(&answer.1).expect("JSON");
    assert_eq!(value["code"], status, "{}", answer.1);
    value["message"].as_str().expect("a message").to_owned()
}

fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    // A connection that is reset has ended as well; what came before counts.
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..read]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.unwrap_or_else(|| panic!("no answer: {text:?}")), body.unwrap_or_default())
}

/// A request, as Lodestar sends it: the fork's epoch is that of the slot that is signed.
fn request(kind: &str, name: &str, object: &str, more: &str) -> String {
    let fork =
        format!(r#"{{"previous_version":"{VERSION}","current_version":"{VERSION}","epoch":"1"}}"#);
    format!(
        r#"{{"type":"{kind}","{name}":{object}{more},"fork_info":{{"fork":{fork},"genesis_validators_root":"{GENESIS}"}}}}"#
    )
}

fn block(slot: u64, graffiti: u8) -> BeaconBlock {
    let mut block = BeaconBlock { slot, proposer_index: 1, ..BeaconBlock::default() };
    block.body.graffiti = Root::new([graffiti; 32]);
    block
}

fn block_request(slot: u64, graffiti: u8) -> String {
    let object = format!(r#"{{"version":"PHASE0","block":{}}}"#, block(slot, graffiti).to_json());
    request("BLOCK_V2", "beacon_block", &object, "")
}

fn vote(source: u64, target: u64, number: u8) -> AttestationData {
    AttestationData {
        slot: target * 8,
        index: 0,
        beacon_block_root: Root::new([number; 32]),
        source: Checkpoint { epoch: source, root: Root::new([1; 32]) },
        target: Checkpoint { epoch: target, root: Root::new([2; 32]) },
    }
}

fn vote_request(source: u64, target: u64, number: u8) -> String {
    request("ATTESTATION", "attestation", &vote(source, target, number).to_json(), "")
}

fn signing_root(object: &impl Wire, kind: DomainType) -> Root {
    compute_signing_root(object.hash_tree_root(), domain(kind))
}

fn genesis() -> GenesisRoot {
    GENESIS.to_bytes()
}
