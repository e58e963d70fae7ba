//! The state transition: empty slots, then a block, judged in a fixed order.
//!
//! | order | stage | reason word |
//! |---|---|---|
//! | 1 | `process_slots` up to the block | `slot_not_after_parent` |
//! | 2 | the proposer's signature | `bad_proposer_signature` |
//! | 3 | `process_block_header` | `bad_block_header` |
//! | 4 | `process_randao` | `bad_randao` |
//! | 5 | `process_eth1_data` | `bad_eth1_data` |
//! | 6 | `process_operations` | `bad_operations` |
//! | 7 | the state root | `bad_state_root` |
//!
//! Signatures are verified together when something fails or all stages are done; even so, the
//! reason is that of the earliest failed stage (`signatures`, G1 and G2).
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Beacon chain state transition
//! function".

mod block;
mod epoch;
mod slots;

pub(crate) use block::check_randao;
pub use block::{
    Eth1DataError, HeaderError, OperationsError, RandaoError, process_block_header,
    process_eth1_data, process_operations, process_randao,
};
pub use blocksmith::consensus::UpdateFlags;
pub use epoch::{
    EpochError, compute_pulled_up_checkpoints, process_effective_balance_updates, process_epoch,
    process_eth1_data_reset, process_historical_roots_update,
    process_justification_and_finalization, process_participation_record_updates,
    process_randao_mixes_reset, process_registry_updates, process_rewards_and_penalties,
    process_slashings, process_slashings_reset,
};
pub use slots::{SlotsError, process_slot, process_slots};

use blocksmith::consensus::{ProposerCheck, StateOf};

use crate::accessors::{
    epoch_context, get_beacon_proposer_index, get_current_epoch, get_domain, get_validator,
    proposer_of_slot, signature_set,
};
use crate::bls::{BlsError, SignatureSet};
use crate::config::ChainConfig;
use crate::containers::{BeaconBlock, SignedBeaconBlock};
use crate::domains::compute_epoch_at_slot;
use crate::duties::proposer_key;
use crate::error::{AsFault, Fault};
use crate::preset::Preset;
use crate::primitives::{DOMAIN_BEACON_PROPOSER, Epoch, Root, Slot, ValidatorIndex};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::wire::Wire;

/// Why a block is invalid: the first stage that failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BlockError {
    /// The block's slot does not come after its parent's.
    #[error("Slots: block slot {slot}, expected more than {parent_slot}")]
    SlotNotAfterParent {
        /// The block's slot.
        slot: Slot,
        /// The slot of the state to which the block was applied.
        parent_slot: Slot,
    },
    /// The slots up to the block cannot be processed.
    #[error("Slots: {0}")]
    Slots(EpochError),
    /// The signature is not that of the validator that the block names.
    #[error("BlockSignature: signature does not verify, expected proposer {0}'s")]
    ProposerSignature(ValidatorIndex),
    /// The header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The RANDAO reveal.
    #[error(transparent)]
    Randao(#[from] RandaoError),
    /// The vote on the deposit contract.
    #[error(transparent)]
    Eth1Data(#[from] Eth1DataError),
    /// The operations.
    #[error(transparent)]
    Operations(#[from] OperationsError),
    /// The state root.
    #[error("StateRoot: state root {provided}, expected {computed}")]
    StateRoot {
        /// The root that the block names.
        provided: Root,
        /// The root that was computed.
        computed: Root,
    },
}

impl BlockError {
    /// The project's word for the reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SlotNotAfterParent { .. } | Self::Slots(_) => "slot_not_after_parent",
            Self::ProposerSignature(_) => "bad_proposer_signature",
            Self::Header(_) => "bad_block_header",
            Self::Randao(_) => "bad_randao",
            Self::Eth1Data(_) => "bad_eth1_data",
            Self::Operations(_) => "bad_operations",
            Self::StateRoot { .. } => "bad_state_root",
        }
    }
}

/// How a transition fails: because of the block, or because of us.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TransitionError {
    /// The block is invalid.
    #[error(transparent)]
    Invalid(BlockError),
    /// Something of ours failed; the block may be valid.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Any stage's error becomes an invalid block, unless a fault is inside.
impl<E: AsFault + Into<BlockError>> From<E> for TransitionError {
    fn from(error: E) -> Self {
        match error.as_fault() {
            Some(fault) => Self::Fault(fault.clone()),
            None => Self::Invalid(error.into()),
        }
    }
}

impl From<SlotsError> for BlockError {
    fn from(error: SlotsError) -> Self {
        match error {
            SlotsError::NotAfterState { slot, state_slot } => {
                Self::SlotNotAfterParent { slot, parent_slot: state_slot }
            }
            SlotsError::Epoch(error) => Self::Slots(error),
        }
    }
}

/// Applies a block to the state of its parent: empty slots, then [`verify_and_process_block`].
///
/// # Errors
/// [`TransitionError::Invalid`] with the first stage that fails. The state is then unusable.
pub fn state_transition<P: Preset>(
    state: &mut BeaconState<P>,
    signed_block: &SignedBeaconBlock,
    flags: UpdateFlags,
    config: &ChainConfig,
) -> Result<(), TransitionError> {
    process_slots(state, signed_block.message.slot, config)?;
    verify_and_process_block(state, signed_block, flags, config)
}

/// Applies a block to its parent's state advanced to the block's slot, with its signatures verified
/// together.
///
/// # Errors
/// [`TransitionError::Invalid`] with the first stage that fails. The state is then unusable.
pub fn verify_and_process_block<P: Preset>(
    state: &mut BeaconState<P>,
    signed_block: &SignedBeaconBlock,
    flags: UpdateFlags,
    config: &ChainConfig,
) -> Result<(), TransitionError> {
    let mut stages = Stages::default();
    let signatures =
        if flags.skip_bls_validation { Signatures::Skip } else { Signatures::Collect(Vec::new()) };
    stages.run(state, signed_block, flags, signatures, config)
}

/// Like [`verify_and_process_block`], with every signature verified where it occurs.
///
/// # Errors
/// [`TransitionError::Invalid`] with the first stage that fails. The state is then unusable.
pub fn verify_and_process_block_one_by_one<P: Preset>(
    state: &mut BeaconState<P>,
    signed_block: &SignedBeaconBlock,
    flags: UpdateFlags,
    config: &ChainConfig,
) -> Result<(), TransitionError> {
    let signatures = if flags.skip_bls_validation { Signatures::Skip } else { Signatures::Verify };
    Stages::default().run(state, signed_block, flags, signatures, config)
}

/// How many signatures were set aside when each stage ended. This tells to which stage an invalid
/// one belongs.
#[derive(Debug, Default)]
struct Stages {
    after_proposer: usize,
    after_randao: usize,
}

impl Stages {
    fn run<P: Preset>(
        &mut self,
        state: &mut BeaconState<P>,
        signed_block: &SignedBeaconBlock,
        flags: UpdateFlags,
        mut signatures: Signatures,
        config: &ChainConfig,
    ) -> Result<(), TransitionError> {
        let outcome = self.process(state, signed_block, flags, &mut signatures, config);
        if let Err(TransitionError::Fault(fault)) = outcome {
            return Err(fault.into());
        }
        if let Some(at) = signatures.first_invalid()? {
            return Err(TransitionError::Invalid(self.blame::<P>(at, &signed_block.message)));
        }
        outcome?;
        check_state_root(state, &signed_block.message, flags)
    }

    fn process<P: Preset>(
        &mut self,
        state: &mut BeaconState<P>,
        signed_block: &SignedBeaconBlock,
        flags: UpdateFlags,
        signatures: &mut Signatures,
        config: &ChainConfig,
    ) -> Result<(), TransitionError> {
        let block = &signed_block.message;
        if !matches!(signatures, Signatures::Skip) {
            // This makes the key come from the epoch's list. If there is no proposer, the header's
            // check says so.
            let _ = get_beacon_proposer_index(state);
        }
        if !flags.skip_proposer_signature
            && !signatures.accept(|| proposer_signature_set(state, signed_block))
        {
            let proposer = block.proposer_index;
            return Err(TransitionError::Invalid(BlockError::ProposerSignature(proposer)));
        }
        self.after_proposer = signatures.collected();
        process_block_header(state, block, flags)?;
        process_randao(state, &block.body, signatures)?;
        self.after_randao = signatures.collected();
        process_eth1_data(state, &block.body)?;
        process_operations(state, &block.body, flags, signatures, config)?;
        Ok(())
    }

    /// What the `at`-th signature that was set aside makes invalid. A stage that did not end has a
    /// mark of zero; it can only be the last stage that set anything aside. So has the proposer's
    /// if its signature was left out.
    fn blame<P: Preset>(&self, at: usize, block: &BeaconBlock) -> BlockError {
        let proposer = block.proposer_index;
        if at < self.after_proposer {
            return BlockError::ProposerSignature(proposer);
        }
        let operation = match self.after_randao {
            0 => None,
            marked => at.checked_sub(marked),
        };
        match operation.and_then(|at| OperationsError::of_signature(&block.body, at)) {
            Some(error) => BlockError::Operations(error),
            // The header was accepted, so this is the proposer.
            None => {
                let epoch = compute_epoch_at_slot::<P>(block.slot);
                BlockError::Randao(RandaoError::Signature { proposer, epoch })
            }
        }
    }
}

/// Applies a block without looking at its proposer's signature or its state root: the
/// specification's `process_block`.
///
/// # Errors
/// [`TransitionError::Invalid`] with the first stage that fails. The state is then unusable.
pub fn process_block<P: Preset>(
    state: &mut BeaconState<P>,
    block: &BeaconBlock,
    flags: UpdateFlags,
    config: &ChainConfig,
) -> Result<(), TransitionError> {
    let mut signatures =
        if flags.skip_bls_validation { Signatures::Skip } else { Signatures::Verify };
    process_block_header(state, block, flags)?;
    process_randao(state, &block.body, &mut signatures)?;
    process_eth1_data(state, &block.body)?;
    process_operations(state, &block.body, flags, &mut signatures, config)?;
    Ok(())
}

/// Whether the block is signed by the validator that it names as its proposer. The state must
/// belong to the block's chain; its slot does not matter.
pub fn verify_block_signature<P: Preset>(
    state: &BeaconState<P>,
    signed_block: &SignedBeaconBlock,
) -> bool {
    proposer_signature_set(state, signed_block).is_ok_and(|set| set.verify())
}

fn proposer_signature_set<P: Preset>(
    state: &BeaconState<P>,
    signed_block: &SignedBeaconBlock,
) -> Result<SignatureSet, BlsError> {
    let root = signed_block.message.hash_tree_root();
    signature_set_at(state, signed_block, root, get_current_epoch(state))
}

/// As [`proposer_signature_set`], for a block of `epoch` whose root is known.
fn signature_set_at<P: Preset>(
    state: &BeaconState<P>,
    signed_block: &SignedBeaconBlock,
    block_root: Root,
    epoch: Epoch,
) -> Result<SignatureSet, BlsError> {
    let block = &signed_block.message;
    // A validator that does not exist has no key that could have signed.
    let key = get_validator(state, block.proposer_index)
        .and_then(|_| proposer_key(state, block.proposer_index))
        .unwrap_or(Err(BlsError::Encoding));
    let domain = get_domain(state, DOMAIN_BEACON_PROPOSER, epoch);
    signature_set(key, block_root, domain, &signed_block.signature)
}

/// Runs the first checks of a block's transition by a state of any of its ancestors: the proposer's
/// signature, and, if the state is of the block's epoch, whether the slot is the proposer's.
/// `block_root` is the root of the message.
///
/// Of a validator that the state of an earlier ancestor (`whose`) does not know nothing is known: a
/// block between may register it. But nobody proposes in the epoch of its registration. If the
/// parent's state does not know the validator, that is final at any slot: only `process_deposit`
/// adds to the registry, and empty slots run no operations. So it is if the state of a descendant
/// of the parent does not know the validator. Of such a state nothing but the key is asked: its
/// epoch's proposers may be another branch's.
///
/// The outcome is that of the transition. A registered key never changes, in phase0 the fork does
/// not either, and an epoch's proposers are fixed when it begins (`duties`). Only where a block
/// between has registered the proposer, in the epoch of both, the transition blames the header and
/// not the signature.
///
/// In a state of the block's epoch that keeps what it computes, the epoch's proposers are computed
/// first, once for all clones. Whoever keeps the state has them, also if the block fails.
///
/// # Errors
/// [`TransitionError::Invalid`] with the first stage that fails.
pub(crate) fn verify_proposer_early<P: Preset>(
    state: &BeaconState<P>,
    signed_block: &SignedBeaconBlock,
    block_root: Root,
    whose: StateOf,
) -> Result<ProposerCheck, TransitionError> {
    let block = &signed_block.message;
    let provided = block.proposer_index;
    let epoch = compute_epoch_at_slot::<P>(block.slot);
    let is_of_epoch = whose != StateOf::Descendant && epoch == get_current_epoch(state);
    if is_of_epoch && epoch_context(state).is_some() {
        // If there is no proposer, the header's check says so.
        let _ = proposer_of_slot(state, block.slot);
    }
    let is_registered = get_validator(state, provided).is_ok();
    if !is_registered && whose == StateOf::Ancestor && !is_of_epoch {
        return Ok(ProposerCheck::Unknown);
    }
    let set = signature_set_at(state, signed_block, block_root, epoch);
    if !set.is_ok_and(|set| set.verify()) {
        return Err(TransitionError::Invalid(BlockError::ProposerSignature(provided)));
    }
    if !is_of_epoch {
        return Ok(ProposerCheck::Signed);
    }
    match proposer_of_slot(state, block.slot) {
        Ok(expected) if expected != provided => {
            let error = HeaderError::Proposer { provided, expected };
            Err(TransitionError::Invalid(error.into()))
        }
        // Without a proposer the header's check says what is wrong.
        _ => Ok(ProposerCheck::Complete),
    }
}

fn check_state_root<P: Preset>(
    state: &BeaconState<P>,
    block: &BeaconBlock,
    flags: UpdateFlags,
) -> Result<(), TransitionError> {
    if flags.skip_state_root_validation {
        return Ok(());
    }
    let computed = state.hash_tree_root();
    if block.state_root != computed {
        let provided = block.state_root;
        return Err(TransitionError::Invalid(BlockError::StateRoot { provided, computed }));
    }
    Ok(())
}
