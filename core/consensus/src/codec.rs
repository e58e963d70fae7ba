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

#[cfg(test)]
mod tests {
    use blocksmith::consensus::Consensus;

    use super::*;
    use crate::config::ChainConfig;
    use crate::containers::{AttesterSlashing, ProposerSlashing, SignedVoluntaryExit};
    use crate::preset::Minimal;

    #[test]
    fn an_operation_that_was_encoded_is_decoded_to_itself() {
        // One of each kind, none of whose parts are alike.
        let phase0 = Phase0::<Minimal>::new(ChainConfig::minimal());
        let mut proposer = ProposerSlashing::default();
        proposer.signed_header_1.message.slot = 7;
        proposer.signed_header_2.message.proposer_index = 9;
        let mut attester = AttesterSlashing::default();
        attester.attestation_1.data.slot = 8;
        attester.attestation_2.data.target.epoch = 3;
        let mut exit = SignedVoluntaryExit::default();
        exit.message.validator_index = 5;
        let operations = [
            Operation::ProposerSlashing(proposer.into()),
            Operation::AttesterSlashing(attester.into()),
            Operation::VoluntaryExit(exit.into()),
        ];
        for operation in operations {
            let bytes = phase0.encode_operation(&operation);
            let decoded = match &operation {
                Operation::ProposerSlashing(_) => {
                    phase0.decode_proposer_slashing(&bytes).map(Operation::ProposerSlashing)
                }
                Operation::AttesterSlashing(_) => {
                    phase0.decode_attester_slashing(&bytes).map(Operation::AttesterSlashing)
                }
                Operation::VoluntaryExit(_) => {
                    phase0.decode_voluntary_exit(&bytes).map(Operation::VoluntaryExit)
                }
            };
            let decoded: Operation<Phase0<Minimal>> = decoded.expect("it was encoded");
            assert!(decoded.is_same(&operation), "{}", operation.kind().word());
        }
    }
}
