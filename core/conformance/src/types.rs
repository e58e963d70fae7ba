//! The types of phase0 by name, with their decoders; apart from them those of Gloas that there are.

use blocksmith_consensus::gloas::{
    IndexedPayloadAttestation, PayloadAttestation, PayloadAttestationData,
    PayloadAttestationMessage,
};
use blocksmith_consensus::{
    AggregateAndProof, Attestation, AttestationData, AttesterSlashing, BeaconBlock,
    BeaconBlockBody, BeaconBlockHeader, BeaconState, Checkpoint, DecodeError, Deposit, DepositData,
    DepositMessage, Eth1Block, Eth1Data, Fork, ForkData, HistoricalBatch, IndexedAttestation, Json,
    Mainnet, Minimal, PendingAttestation, Preset, ProposerSlashing, Root, SignedAggregateAndProof,
    SignedBeaconBlock, SignedBeaconBlockHeader, SignedVoluntaryExit, SigningData, Validator,
    VoluntaryExit, Wire, decode_exact,
};
use blocksmith_node::recording::PresetName;

/// A decoded value.
pub trait Value {
    /// Its SSZ encoding.
    fn encoding(&self) -> Vec<u8>;
    /// Its hash tree root.
    fn root(&self) -> Root;
    /// Its form in the beacon API.
    fn json(&self) -> String;
}

/// Decodes bytes that a value must fill exactly.
pub type Decode = fn(&[u8]) -> Result<Box<dyn Value>, DecodeError>;

struct OnWire<T>(T);

impl<T: Wire + Json> Value for OnWire<T> {
    fn encoding(&self) -> Vec<u8> {
        self.0.encode()
    }

    fn root(&self) -> Root {
        self.0.hash_tree_root()
    }

    fn json(&self) -> String {
        self.0.to_json()
    }
}

/// For types that depend on the preset.
macro_rules! with_preset {
    ($($type:ident),+) => {$(
        impl<P: Preset> Value for $type<P> {
            fn encoding(&self) -> Vec<u8> {
                self.encode()
            }

            fn root(&self) -> Root {
                self.hash_tree_root()
            }

            fn json(&self) -> String {
                self.to_json()
            }
        }
    )+};
}

with_preset!(BeaconState, HistoricalBatch, IndexedPayloadAttestation, PayloadAttestation);

macro_rules! on_wire {
    ($($type:ident),+ $(,)?) => {
        /// Names of the types that are the same in all presets.
        const ON_WIRE: &[(&str, Decode)] = &[$(
            (stringify!($type), |bytes| Ok(Box::new(OnWire(decode_exact::<$type>(bytes)?)))),
        )+];
    };
}

on_wire!(
    AggregateAndProof,
    Attestation,
    AttestationData,
    AttesterSlashing,
    BeaconBlock,
    BeaconBlockBody,
    BeaconBlockHeader,
    Checkpoint,
    Deposit,
    DepositData,
    DepositMessage,
    Eth1Block,
    Eth1Data,
    Fork,
    ForkData,
    IndexedAttestation,
    PendingAttestation,
    ProposerSlashing,
    SignedAggregateAndProof,
    SignedBeaconBlock,
    SignedBeaconBlockHeader,
    SignedVoluntaryExit,
    SigningData,
    Validator,
    VoluntaryExit,
);

/// The types whose size depends on the preset.
fn of_preset<P: Preset>() -> [(&'static str, Decode); 2] {
    [
        ("BeaconState", |bytes| Ok(Box::new(BeaconState::<P>::from_ssz_bytes(bytes)?))),
        ("HistoricalBatch", |bytes| Ok(Box::new(HistoricalBatch::<P>::from_ssz_bytes(bytes)?))),
    ]
}

/// Returns the decoder of a preset's type of that name, if phase0 has it.
#[must_use]
pub fn decoder(preset: PresetName, name: &str) -> Option<Decode> {
    let of_preset = match preset {
        PresetName::Minimal => of_preset::<Minimal>(),
        PresetName::Mainnet => of_preset::<Mainnet>(),
    };
    let found = |(known, decode): &(&str, Decode)| (*known == name).then_some(*decode);
    ON_WIRE.iter().find_map(found).or_else(|| of_preset.iter().find_map(found))
}

/// Returns the decoder of the type of that name, if it is one of Gloas that there is.
pub fn gloas_decoder<P: Preset>(name: &str) -> Option<Decode> {
    Some(match name {
        "PayloadAttestationData" => {
            |bytes| Ok(Box::new(OnWire(decode_exact::<PayloadAttestationData>(bytes)?)))
        }
        "PayloadAttestationMessage" => {
            |bytes| Ok(Box::new(OnWire(decode_exact::<PayloadAttestationMessage>(bytes)?)))
        }
        "PayloadAttestation" => {
            |bytes| Ok(Box::new(PayloadAttestation::<P>::from_ssz_bytes(bytes)?))
        }
        "IndexedPayloadAttestation" => {
            |bytes| Ok(Box::new(IndexedPayloadAttestation::<P>::from_ssz_bytes(bytes)?))
        }
        _ => return None,
    })
}

/// Returns the names of all types of phase0, sorted.
pub fn names() -> Vec<&'static str> {
    let of_preset = of_preset::<Minimal>();
    let mut names: Vec<_> = ON_WIRE.iter().chain(&of_preset).map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}
