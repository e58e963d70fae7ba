//! What must hold for any bytes, for each entry point. The fuzz targets and the smoke run of the
//! tests share it.
//!
//! An input is an error, or it is the only encoding of the value that comes out: encoding the value
//! again gives the same bytes, and its root equals that of a copy. Nothing panics.

use blocksmith_consensus::{
    Attestation, AttesterSlashing, BeaconState, Mainnet, Minimal, Preset, ProposerSlashing,
    SignedAggregateAndProof, SignedBeaconBlock, Wire, decode_exact,
};

fn sound<T: Wire>(bytes: &[u8]) -> bool {
    let Ok(value) = decode_exact::<T>(bytes) else { return false };
    assert_eq!(value.encode(), bytes, "two encodings of one value");
    assert_eq!(value.hash_tree_root(), value.clone().hash_tree_root());
    true
}

/// A block from the network. Returns whether it decoded, as the other functions do.
pub(crate) fn block(bytes: &[u8]) -> bool {
    sound::<SignedBeaconBlock>(bytes)
}

/// An attestation or an aggregate from the network.
pub(crate) fn attestation(bytes: &[u8]) -> bool {
    sound::<Attestation>(bytes) | sound::<SignedAggregateAndProof>(bytes)
}

/// A slashing from the network.
pub(crate) fn slashing(bytes: &[u8]) -> bool {
    sound::<AttesterSlashing>(bytes) | sound::<ProposerSlashing>(bytes)
}

/// A state from a file or a checkpoint server.
pub(crate) fn state(bytes: &[u8]) -> bool {
    of_preset::<Minimal>(bytes) | of_preset::<Mainnet>(bytes)
}

fn of_preset<P: Preset>(bytes: &[u8]) -> bool {
    let Ok(state) = BeaconState::<P>::from_ssz_bytes(bytes) else { return false };
    assert_eq!(state.encode(), bytes, "two encodings of one state");
    assert_eq!(state.hash_tree_root(), state.clone().hash_tree_root());
    true
}
