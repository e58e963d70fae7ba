//! The encoding of phase0's values for a durable store: SSZ, as on the wire.

use blocksmith::gossip::Operation;
use blocksmith::store::Codec;

use crate::phase0::Phase0;
use crate::preset::Preset;
use crate::primitives::Root;
use crate::shared::{SharedAttestation, SharedBlock};
use crate::state::BeaconState;
use crate::wire::Wire;

impl<P: Preset> Codec for Phase0<P> {
    /// Names the fork, the preset and every value of the configuration.
    fn identity(&self) -> String {
        let mut text = format!("phase0 {}", P::NAME);
        for (key, value) in self.config().values() {
            text.push_str(&format!(" {key}={value}"));
        }
        text
    }

    fn encode_root(&self, root: &Root) -> Vec<u8> {
        root.as_bytes().to_vec()
    }

    fn decode_root(&self, bytes: &[u8]) -> Option<Root> {
        Root::try_from(bytes).ok()
    }

    fn encode_block(&self, block: &SharedBlock) -> Vec<u8> {
        block.value().encode()
    }

    fn encode_attestation(&self, attestation: &SharedAttestation) -> Vec<u8> {
        attestation.value().encode()
    }

    fn encode_operation(&self, operation: &Operation<Self>) -> Vec<u8> {
        match operation {
            Operation::ProposerSlashing(slashing) => slashing.value().encode(),
            Operation::AttesterSlashing(slashing) => slashing.value().encode(),
            Operation::VoluntaryExit(exit) => exit.value().encode(),
        }
    }

    fn encode_state(&self, state: &BeaconState<P>) -> Vec<u8> {
        state.encode()
    }

    fn decode_state(&self, bytes: &[u8]) -> Result<BeaconState<P>, String> {
        BeaconState::from_ssz_bytes(bytes).map_err(|error| error.to_string())
    }
}
