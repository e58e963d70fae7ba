//! Block production: the body of a block, and its state root.
//!
//! The block is run through the transition without its signatures. Each signature of what is packed
//! was verified before it came into a pool, and verified ones are summed to valid ones; they are
//! all verified again when the signed block comes in. The reveal comes from outside, and is
//! checked.
//!
//! Reference: consensus specification, `phase0/validator.md`, "Block proposal".

use std::hash::{Hash, Hasher};

use blocksmith::consensus::{BlockLimits, BlockParts, Failure};

use crate::accessors::get_beacon_proposer_index;
use crate::config::ChainConfig;
use crate::containers::{
    BeaconBlock, BeaconBlockBody, Deposit, Eth1Data, MAX_ATTESTATIONS, MAX_ATTESTER_SLASHINGS,
    MAX_PROPOSER_SLASHINGS, MAX_VOLUNTARY_EXITS, SignedBeaconBlock,
};
use crate::error::{AsFault, StateError};
use crate::phase0::{BlockFailure, Phase0};
use crate::preset::Preset;
use crate::primitives::{Root, SignatureBytes};
use crate::shared::{Phase0Fault, Shared, SharedUnsignedBlock};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::state_transition::{
    TransitionError, UpdateFlags, check_randao, verify_and_process_block,
};

/// How much of each kind a block may carry.
pub(crate) const LIMITS: BlockLimits = BlockLimits {
    attestations: MAX_ATTESTATIONS,
    proposer_slashings: MAX_PROPOSER_SLASHINGS,
    attester_slashings: MAX_ATTESTER_SLASHINGS,
    voluntary_exits: MAX_VOLUNTARY_EXITS,
};

/// What the proposer itself puts into a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProposerInputs {
    /// The proposer's signature over the epoch.
    pub randao_reveal: SignatureBytes,
    /// Free text.
    pub graffiti: Root,
    /// The vote on the deposit contract; `None` repeats the state's view.
    pub eth1_data: Option<Eth1Data>,
    /// The deposits that are due by the state's view: as many as the transition asks for.
    pub deposits: Vec<Deposit>,
}

impl Hash for ProposerInputs {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.randao_reveal, self.graffiti).hash(hasher);
    }
}

/// Returns the block on `state`; see [`blocksmith::consensus::Consensus::produce`].
pub(crate) fn produce<P: Preset>(
    mut state: BeaconState<P>,
    parts: BlockParts<Phase0<P>>,
    inputs: &ProposerInputs,
    config: &ChainConfig,
) -> Result<SharedUnsignedBlock, BlockFailure> {
    let mut message = BeaconBlock {
        slot: state.slot,
        proposer_index: get_beacon_proposer_index(&state).map_err(our_state)?,
        parent_root: parts.parent,
        state_root: Root::ZERO,
        body: BeaconBlockBody {
            randao_reveal: inputs.randao_reveal,
            eth1_data: inputs.eth1_data.clone().unwrap_or_else(|| state.eth1_data.clone()),
            graffiti: inputs.graffiti,
            proposer_slashings: list(parts.proposer_slashings.iter().map(Shared::value))?,
            attester_slashings: list(parts.attester_slashings.iter().map(Shared::value))?,
            attestations: list(parts.attestations.iter().map(Shared::value))?,
            deposits: list(inputs.deposits.iter())?,
            voluntary_exits: list(parts.voluntary_exits.iter().map(Shared::value))?,
        },
    };
    let refused = |error| match error {
        TransitionError::Invalid(error) => Failure::Invalid(error.into()),
        TransitionError::Fault(fault) => Failure::Fault(fault.into()),
    };
    check_randao(&state, &message.body, &mut Signatures::Verify)
        .map_err(|error| refused(error.into()))?;
    let flags = UpdateFlags {
        skip_bls_validation: true,
        skip_proposer_signature: true,
        skip_state_root_validation: true,
        ..UpdateFlags::default()
    };
    let unsigned = SignedBeaconBlock { message: message.clone(), signature: SignatureBytes::ZERO };
    verify_and_process_block(&mut state, &unsigned, flags, config).map_err(refused)?;
    message.state_root = state.hash_tree_root();
    Ok(message.into())
}

/// Returns a list of at most `N`; more is a fault, as what is packed is within the limits.
fn list<'a, T, L>(values: impl Iterator<Item = &'a T>) -> Result<L, BlockFailure>
where
    T: Clone + 'a,
    L: TryFrom<Vec<T>>,
{
    let values: Vec<T> = values.cloned().collect();
    L::try_from(values).map_err(|_| our_state(StateError::ListFull("operations of a block")))
}

fn our_state(error: StateError) -> BlockFailure {
    match error.as_fault() {
        Some(fault) => Failure::Fault(fault.clone().into()),
        None => Failure::Fault(Phase0Fault::State(error)),
    }
}
