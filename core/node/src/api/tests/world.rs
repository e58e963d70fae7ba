//! A node on a port of its own, whose clock the test sets, and a validator client of a few lines
//! that knows the interop keys.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use blocksmith::Config;
use blocksmith_consensus::{
    AggregateAndProof, Attestation, AttestationData, BeaconBlock, ChainConfig,
    DOMAIN_AGGREGATE_AND_PROOF, DOMAIN_BEACON_ATTESTER, DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO,
    DOMAIN_SELECTION_PROOF, Domain, DomainType, FromJson, Json, Minimal, Root, SignatureBytes,
    SignedAggregateAndProof, SignedBeaconBlock, Version, Wire, compute_domain,
    compute_signing_root,
};
use serde_json::Value;

use super::http::{Answer, get, post};
use crate::api::{Broadcast, Limits, Node, Options, Parts, Published, Time};
use crate::interop;

pub(super) const VALIDATORS: u64 = 8;
pub(super) const GENESIS_TIME: u64 = 1_795_835_595;
const SLOT_MS: u64 = 6_000;

/// A network that keeps what is published.
#[derive(Default)]
pub(super) struct Network {
    pub(super) published: Mutex<Vec<Published>>,
    pub(super) syncing: AtomicBool,
}

impl Broadcast for Network {
    fn publish(&self, message: Published) {
        self.published.lock().unwrap().push(message);
    }

    fn is_syncing(&self) -> bool {
        self.syncing.load(Relaxed)
    }
}

pub(super) struct World {
    pub(super) node: Node<Minimal>,
    pub(super) network: Arc<Network>,
    now_ms: Arc<AtomicU64>,
}

pub(super) fn options(data: Option<PathBuf>) -> Options {
    Options {
        config: ChainConfig::minimal(),
        validators: VALIDATORS,
        genesis_time: GENESIS_TIME,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        data,
        ssz_dump: None,
        services: Config { workers: 2, ..Config::default() },
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::of(options(None), 0)
    }

    pub(super) fn of(options: Options, slot: u64) -> Self {
        Self::with(options, slot, Parts::default())
    }

    /// A world whose clients may take so much.
    pub(super) fn limited(limits: Limits) -> Self {
        Self::with(options(None), 0, Parts { limits, ..Parts::default() })
    }

    pub(super) fn with(options: Options, slot: u64, parts: Parts) -> Self {
        let now_ms = Arc::new(AtomicU64::new(GENESIS_TIME * 1000 + slot * SLOT_MS));
        let network = Arc::new(Network::default());
        let time = Time::Manual(now_ms.clone());
        let node = Node::start_with(options, time, network.clone(), parts);
        Self { node: node.expect("a node"), network, now_ms }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.node.address()
    }

    /// Sets the clock to the beginning of a slot.
    pub(super) fn begin(&self, slot: u64) {
        self.set(slot, 0);
        self.node.tick();
        self.node.client().rest();
    }

    /// Sets the clock to so many milliseconds into a slot, and does not tell the services.
    pub(super) fn set(&self, slot: u64, into_ms: u64) {
        self.now_ms.store(GENESIS_TIME * 1000 + slot * SLOT_MS + into_ms, Relaxed);
    }

    pub(super) fn get(&self, target: &str) -> Answer {
        get(self.address(), target)
    }

    pub(super) fn data(&self, target: &str) -> Value {
        self.get(target).data()
    }

    pub(super) fn post(&self, target: &str, body: &str) -> Answer {
        post(self.address(), target, body)
    }

    /// Signs for a validator.
    pub(super) fn sign(&self, index: u64, root: Root, kind: DomainType) -> SignatureBytes {
        let genesis = self.data("/eth/v1/beacon/genesis");
        let text = |name: &str| genesis[name].as_str().expect("a text").to_owned();
        let version: Version = text("genesis_fork_version").parse().expect("a version");
        let validators: Root = text("genesis_validators_root").parse().expect("a root");
        let domain: Domain = compute_domain(kind, version, validators);
        interop::secret_key(index).sign(compute_signing_root(root, domain).as_bytes())
    }

    /// Returns who proposes in a slot.
    pub(super) fn proposer(&self, slot: u64) -> u64 {
        let duties = self.data(&format!("/eth/v1/validator/duties/proposer/{}", slot / 8));
        number(&duties[(slot % 8) as usize]["validator_index"])
    }

    /// Asks for a block by a version of the route.
    pub(super) fn unsigned(&self, version: &str, slot: u64, graffiti: &str) -> Answer {
        let reveal = self.sign(self.proposer(slot), epoch_root(slot / 8), DOMAIN_RANDAO);
        self.get(&format!(
            "/eth/{version}/validator/blocks/{slot}?randao_reveal={reveal}&graffiti={graffiti}"
        ))
    }

    /// Returns the signed block of a slot.
    pub(super) fn signed(&self, slot: u64, graffiti: &str) -> SignedBeaconBlock {
        let data = self.unsigned("v1", slot, graffiti).data();
        let message = BeaconBlock::from_json(&data).expect("a block");
        let root = message.hash_tree_root();
        let signature = self.sign(message.proposer_index, root, DOMAIN_BEACON_PROPOSER);
        SignedBeaconBlock { message, signature }
    }

    /// Proposes in a slot; returns the block's root.
    pub(super) fn propose(&self, slot: u64) -> Root {
        let block = self.signed(slot, "test");
        let answer = self.post("/eth/v1/beacon/blocks", &block.to_json());
        assert_eq!(answer.status, 200, "slot {slot}: {}", String::from_utf8_lossy(&answer.body));
        block.message.hash_tree_root()
    }

    /// Returns the attester duties of a slot: validator, committee, its length, and the place
    /// there.
    pub(super) fn attesters(&self, slot: u64) -> Vec<[u64; 4]> {
        let all: Vec<String> = (0..VALIDATORS).map(|index| format!("\"{index}\"")).collect();
        let target = format!("/eth/v1/validator/duties/attester/{}", slot / 8);
        let duties = self.post(&target, &format!("[{}]", all.join(","))).data();
        let duties = duties.as_array().expect("a list").iter();
        let of_slot = duties.filter(|duty| number(&duty["slot"]) == slot);
        let names =
            ["validator_index", "committee_index", "committee_length", "validator_committee_index"];
        of_slot.map(|duty| names.map(|name| number(&duty[name]))).collect()
    }

    /// Returns the votes of a slot, one for each validator on duty.
    pub(super) fn votes(&self, slot: u64) -> Vec<(u64, Attestation)> {
        let vote = |[validator, committee, length, place]: [u64; 4]| {
            let data = self.data(&format!(
                "/eth/v1/validator/attestation_data?slot={slot}&committee_index={committee}"
            ));
            let data = AttestationData::from_json(&data).expect("data");
            let bits: Vec<bool> = (0..length).map(|at| at == place).collect();
            let aggregation_bits = bits.as_slice().try_into().expect("a committee");
            let signature = self.sign(validator, data.hash_tree_root(), DOMAIN_BEACON_ATTESTER);
            (validator, Attestation { aggregation_bits, data, signature })
        };
        self.attesters(slot).into_iter().map(vote).collect()
    }

    /// Attests to a slot; returns the votes.
    pub(super) fn attest(&self, slot: u64) -> Vec<(u64, Attestation)> {
        let votes = self.votes(slot);
        let list: Vec<String> = votes.iter().map(|(_, vote)| vote.to_json()).collect();
        let answer =
            self.post("/eth/v1/beacon/pool/attestations", &format!("[{}]", list.join(",")));
        assert_eq!(answer.status, 200, "slot {slot}: {}", String::from_utf8_lossy(&answer.body));
        votes
    }

    /// Signs an aggregate of a slot.
    pub(super) fn aggregate_and_proof(
        &self,
        aggregator_index: u64,
        aggregate: Attestation,
    ) -> SignedAggregateAndProof {
        let slot = epoch_root(aggregate.data.slot);
        let selection_proof = self.sign(aggregator_index, slot, DOMAIN_SELECTION_PROOF);
        let message = AggregateAndProof { aggregator_index, aggregate, selection_proof };
        let root = message.hash_tree_root();
        let signature = self.sign(aggregator_index, root, DOMAIN_AGGREGATE_AND_PROOF);
        SignedAggregateAndProof { message, signature }
    }

    /// Lets every validator do its duties from a slot to another one.
    pub(super) fn run(&self, slots: std::ops::RangeInclusive<u64>) -> BTreeMap<u64, Root> {
        let one = |slot| {
            self.begin(slot);
            let root = self.propose(slot);
            self.attest(slot);
            (slot, root)
        };
        slots.map(one).collect()
    }
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}

/// The root of a number.
pub(super) fn epoch_root(number: u64) -> Root {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Root::new(bytes)
}
