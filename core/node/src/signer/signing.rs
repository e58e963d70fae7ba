//! Requests of the remote-signing API: what is to be signed, computed from the object itself.
//!
//! **Contract.** [`read`] takes a body and returns the signing root of its object, and the
//! statement that slashing protection has to judge, if the object can be slashable. It believes
//! nothing that it can compute: a `signingRoot` that differs is an error. What is allocated is at
//! most a small multiple of the body.
//!
//! | type | object | domain | epoch of the domain |
//! |---|---|---|---|
//! | `RANDAO_REVEAL` | `randao_reveal.epoch` | RANDAO | the object |
//! | `BLOCK` | `block`, of phase0 | proposer | of its slot |
//! | `BLOCK_V2` | `beacon_block.block` of phase0, or `beacon_block.block_header` of any fork | proposer | of its slot |
//! | `ATTESTATION` | `attestation` | attester | of its target |
//! | `AGGREGATION_SLOT` | `aggregation_slot.slot` | selection proof | of the slot |
//! | `AGGREGATE_AND_PROOF` | `aggregate_and_proof` | aggregate and proof | of the aggregate's slot |
//! | `AGGREGATE_AND_PROOF_V2` | `aggregate_and_proof.data`, before Electra | aggregate and proof | of the aggregate's slot |
//! | `VOLUNTARY_EXIT` | `voluntary_exit` | voluntary exit | of the exit |
//! | `PAYLOAD_ATTESTATION_MESSAGE` | the data in `payload_attestation_message`, plain or as `{"version", "data"}` | PTC attester | of the data's slot |
//! | `DEPOSIT` | `deposit` | deposit | none: its own fork version |
//!
//! The fork version is `fork_info.fork`'s previous one before `fork_info.fork.epoch`, and its
//! current one from there on. Some clients send the epoch of the signed slot there instead of the
//! fork's; the version is the right one with either.
//!
//! Reference: remote-signing-api, `signing.yaml`; consensus specification, `phase0/validator.md`
//! and `gloas/validator.md`.

use blocksmith::slashing_protection::Statement;
use blocksmith_consensus::gloas::{DOMAIN_PTC_ATTESTER, PayloadAttestationData};
use blocksmith_consensus::{
    AggregateAndProof, AttestationData, BeaconBlock, BeaconBlockHeader, DOMAIN_AGGREGATE_AND_PROOF,
    DOMAIN_BEACON_ATTESTER, DOMAIN_BEACON_PROPOSER, DOMAIN_DEPOSIT, DOMAIN_RANDAO,
    DOMAIN_SELECTION_PROOF, DOMAIN_VOLUNTARY_EXIT, DepositMessage, DomainType, Epoch, Fork,
    FromJson, JsonError, Root, Slot, Version, VoluntaryExit, Wire, compute_domain,
    compute_signing_root, json_field,
};
use serde_json::{Map, Value};

/// What a request asks to have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signable {
    /// The request's type: one of [`KINDS`].
    pub kind: &'static str,
    /// What is signed.
    pub signing_root: Root,
    /// The chain it is for; none for a deposit.
    pub genesis: Option<Root>,
    /// What slashing protection has to judge. `None` if the object is never slashable.
    pub statement: Option<Statement>,
    /// The slot of a vote on a payload. It is never slashable, and the clock has to judge it.
    pub payload_slot: Option<Slot>,
}

/// Why a request is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The body is not a request.
    #[error("{0}")]
    Form(#[from] JsonError),
    /// The type is not known.
    #[error("type: {0:?} is not signed here")]
    Type(String),
    /// The object is of a fork whose objects are not known.
    #[error("beacon_block.version: of {0:?} only a block_header can be signed")]
    Version(String),
    /// The client has computed another root.
    #[error("signingRoot: is {stated}, but that of the object is {computed}")]
    SigningRoot {
        /// The root in the request.
        stated: Root,
        /// The root of the object in the request.
        computed: Root,
    },
}

/// The types that are signed, in the order of the module's table.
pub const KINDS: [&str; 10] = [
    "RANDAO_REVEAL",
    "BLOCK",
    "BLOCK_V2",
    "ATTESTATION",
    "AGGREGATION_SLOT",
    "AGGREGATE_AND_PROOF",
    "AGGREGATE_AND_PROOF_V2",
    "VOLUNTARY_EXIT",
    "PAYLOAD_ATTESTATION_MESSAGE",
    "DEPOSIT",
];

type Object = Map<String, Value>;

/// The forks whose aggregates are those of phase0.
const BEFORE_ELECTRA: [&str; 5] = ["PHASE0", "ALTAIR", "BELLATRIX", "CAPELLA", "DENEB"];

/// The fork and the chain that a request is for.
struct ForkInfo {
    fork: Fork,
    genesis: Root,
}

impl ForkInfo {
    fn read(request: &Object) -> Result<Self, JsonError> {
        let info = object(request, "fork_info")?;
        let inside = |error: JsonError| error.in_field("fork_info");
        Ok(Self {
            fork: json_field(info, "fork").map_err(inside)?,
            genesis: json_field(info, "genesis_validators_root").map_err(inside)?,
        })
    }

    fn signing_root(&self, object_root: Root, domain: DomainType, epoch: Epoch) -> Root {
        let version = if epoch < self.fork.epoch {
            self.fork.previous_version
        } else {
            self.fork.current_version
        };
        compute_signing_root(object_root, compute_domain(domain, version, self.genesis))
    }
}

/// Reads a request.
///
/// # Errors
/// [`RequestError`] names the field that is missing or of another form, the type that is not known,
/// or both roots if the request's own differs.
///
/// # Panics
/// If `slots_per_epoch` is 0.
pub fn read(body: &[u8], slots_per_epoch: u64) -> Result<Signable, RequestError> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| JsonError::new(error.to_string()))?;
    let request = value.as_object().ok_or_else(|| JsonError::new("expected an object"))?;
    let stated = request.get("type").and_then(Value::as_str).unwrap_or_default();
    let known = KINDS.into_iter().find(|kind| *kind == stated);
    let kind = known.ok_or_else(|| RequestError::Type(stated.chars().take(64).collect()))?;
    let signable = if kind == "DEPOSIT" {
        deposit(request)?
    } else {
        of_chain(kind, request, slots_per_epoch)?
    };
    for name in ["signingRoot", "signing_root"] {
        if let Some(stated) = request.get(name).filter(|value| !value.is_null()) {
            let stated = Root::from_json(stated).map_err(|error| error.in_field(name))?;
            let computed = signable.signing_root;
            if stated != computed {
                return Err(RequestError::SigningRoot { stated, computed });
            }
        }
    }
    Ok(signable)
}

/// The signing root of a small number.
fn number(epoch: u64) -> Root {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&epoch.to_le_bytes());
    Root::new(bytes)
}

fn of_chain(
    kind: &'static str,
    request: &Object,
    slots_per_epoch: u64,
) -> Result<Signable, RequestError> {
    let of_slot = |slot: Slot| slot / slots_per_epoch;
    let unsigned = match kind {
        "RANDAO_REVEAL" => {
            let epoch = nested(request, "randao_reveal", "epoch")?;
            Unsigned::harmless(number(epoch), DOMAIN_RANDAO, epoch)
        }
        "AGGREGATION_SLOT" => {
            let slot = nested(request, "aggregation_slot", "slot")?;
            Unsigned::harmless(number(slot), DOMAIN_SELECTION_PROOF, of_slot(slot))
        }
        "AGGREGATE_AND_PROOF" | "AGGREGATE_AND_PROOF_V2" => {
            let aggregate = aggregate(kind, request)?;
            let epoch = of_slot(aggregate.aggregate.data.slot);
            Unsigned::harmless(aggregate.hash_tree_root(), DOMAIN_AGGREGATE_AND_PROOF, epoch)
        }
        "VOLUNTARY_EXIT" => {
            let exit: VoluntaryExit = json_field(request, "voluntary_exit")?;
            Unsigned::harmless(exit.hash_tree_root(), DOMAIN_VOLUNTARY_EXIT, exit.epoch)
        }
        "ATTESTATION" => {
            let data: AttestationData = json_field(request, "attestation")?;
            let (domain, epoch) = (DOMAIN_BEACON_ATTESTER, data.target.epoch);
            let judged = Judged::Vote(data.source.epoch, epoch);
            Unsigned { root: data.hash_tree_root(), domain, epoch, judged }
        }
        "BLOCK" | "BLOCK_V2" => {
            let (root, slot) = block(kind, request)?;
            let (domain, epoch) = (DOMAIN_BEACON_PROPOSER, of_slot(slot));
            Unsigned { root, domain, epoch, judged: Judged::Block(slot) }
        }
        "PAYLOAD_ATTESTATION_MESSAGE" => {
            let data = payload_attestation(request)?;
            let (root, epoch) = (data.hash_tree_root(), of_slot(data.slot));
            let judged = Judged::PayloadVote(data.slot);
            Unsigned { root, domain: DOMAIN_PTC_ATTESTER, epoch, judged }
        }
        other => return Err(RequestError::Type(other.to_owned())),
    };
    let info = ForkInfo::read(request)?;
    let root = info.signing_root(unsigned.root, unsigned.domain, unsigned.epoch);
    let signing_root = root.to_bytes();
    let (statement, payload_slot) = match unsigned.judged {
        Judged::Block(slot) => (Some(Statement::Block { slot, signing_root }), None),
        Judged::Vote(source, target) => {
            (Some(Statement::Attestation { source, target, signing_root }), None)
        }
        Judged::PayloadVote(slot) => (None, Some(slot)),
        Judged::Nothing => (None, None),
    };
    let genesis = Some(info.genesis);
    Ok(Signable { kind, signing_root: root, genesis, statement, payload_slot })
}

/// An object of which the fork is not known yet.
struct Unsigned {
    root: Root,
    domain: DomainType,
    epoch: Epoch,
    judged: Judged,
}

/// What is judged of an object: by slashing protection and the clock, by the clock alone, or not.
enum Judged {
    Block(Slot),
    Vote(Epoch, Epoch),
    PayloadVote(Slot),
    Nothing,
}

impl Unsigned {
    fn harmless(root: Root, domain: DomainType, epoch: Epoch) -> Self {
        Self { root, domain, epoch, judged: Judged::Nothing }
    }
}

fn object<'a>(parent: &'a Object, name: &str) -> Result<&'a Object, JsonError> {
    let problem = if parent.contains_key(name) { "expected an object" } else { "is missing" };
    let found = parent.get(name).and_then(Value::as_object);
    found.ok_or_else(|| JsonError::new(problem).in_field(name))
}

fn nested(parent: &Object, outer: &str, inner: &str) -> Result<u64, JsonError> {
    json_field(object(parent, outer)?, inner).map_err(|error| error.in_field(outer))
}

/// The version of an object, in capitals; of a word that is too long for one, its beginning.
fn version(object: &Object) -> String {
    let word = object.get("version").and_then(Value::as_str).unwrap_or_default();
    word.chars().take(64).collect::<String>().to_ascii_uppercase()
}

/// Returns the root of a block and its slot.
fn block(kind: &str, request: &Object) -> Result<(Root, Slot), RequestError> {
    let of_block = |block: BeaconBlock| (block.hash_tree_root(), block.slot);
    if kind == "BLOCK" {
        return Ok(of_block(json_field(request, "block")?));
    }
    let outer = object(request, "beacon_block")?;
    let inside = |error: JsonError| error.in_field("beacon_block");
    let version = version(outer);
    if outer.contains_key("block_header") {
        let header: BeaconBlockHeader = json_field(outer, "block_header").map_err(inside)?;
        return Ok((header.hash_tree_root(), header.slot));
    }
    if version != "PHASE0" {
        return Err(RequestError::Version(version));
    }
    Ok(of_block(json_field(outer, "block").map_err(inside)?))
}

fn aggregate(kind: &str, request: &Object) -> Result<AggregateAndProof, RequestError> {
    if kind == "AGGREGATE_AND_PROOF" {
        return Ok(json_field(request, "aggregate_and_proof")?);
    }
    let outer = object(request, "aggregate_and_proof")?;
    let inside = |error: JsonError| error.in_field("aggregate_and_proof");
    let version = version(outer);
    if !BEFORE_ELECTRA.contains(&version.as_str()) {
        let problem = format!("aggregates of {version:?} are not known");
        return Err(inside(JsonError::new(problem).in_field("version")).into());
    }
    Ok(json_field(outer, "data").map_err(inside)?)
}

/// Returns the data of a vote of the payload-timeliness committee. Some clients put them into an
/// object that names the fork, and others do not.
fn payload_attestation(request: &Object) -> Result<PayloadAttestationData, JsonError> {
    const NAME: &str = "payload_attestation_message";
    let outer = object(request, NAME)?;
    let data: Result<_, JsonError> = match outer.contains_key("data") {
        true => json_field(outer, "data"),
        false => return json_field(request, NAME),
    };
    data.map_err(|error| error.in_field(NAME))
}

fn deposit(request: &Object) -> Result<Signable, RequestError> {
    let message: DepositMessage = json_field(request, "deposit")?;
    let version: Version = json_field(object(request, "deposit")?, "genesis_fork_version")
        .map_err(|error: JsonError| error.in_field("deposit"))?;
    let domain = compute_domain(DOMAIN_DEPOSIT, version, Root::ZERO);
    let signing_root = compute_signing_root(message.hash_tree_root(), domain);
    let (genesis, statement, payload_slot) = (None, None, None);
    Ok(Signable { kind: "DEPOSIT", signing_root, genesis, statement, payload_slot })
}
