//! How the toy protocol's attestations are packed, and how it produces a block.

use std::sync::Arc;

use crate::attestation_pool::PoolAttestation;
use crate::bits::Bits;
use crate::consensus::{BlockLimits, BlockParts, Consensus, Failure, Slot, UpdateFlags};
use crate::gossip::Operation;
use crate::toy::{
    Toy, ToyAttestation, ToyBlock, ToyFault, ToyInvalid, ToyOperation, ToyRoot, ToyState,
    toy_operation,
};

pub(crate) const LIMITS: BlockLimits = BlockLimits {
    attestations: 2,
    proposer_slashings: 1,
    attester_slashings: 1,
    voluntary_exits: 2,
};

/// A committee for each validator: the member's one bit, and data of its own for each attestation.
impl PoolAttestation for ToyAttestation {
    type DataRoot = ToyRoot;

    fn data_root(&self) -> ToyRoot {
        self.id
    }

    fn slot(&self) -> Slot {
        self.slot
    }

    fn committee(&self) -> u64 {
        self.validator
    }

    fn bits(&self) -> Bits {
        Bits::from_iter([true])
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn aggregate(parts: &[Self]) -> Option<Self> {
        match parts {
            [only] => Some(*only),
            _ => None,
        }
    }
}

/// A block without a signature. Toy blocks carry nothing, so what was packed stands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ToyUnsigned {
    /// The block; it says that its signature does not verify.
    pub block: ToyBlock,
    /// What the block would carry.
    pub attestations: Arc<[ToyAttestation]>,
    /// The same: proposer slashings, attester slashings, exits.
    pub operations: Arc<[ToyOperation]>,
}

/// Produces the block whose root is `root`. A block whose root is its parent's is invalid.
pub(crate) fn produce(
    toy: &Toy,
    mut state: ToyState,
    parts: BlockParts<Toy>,
    root: ToyRoot,
) -> Result<ToyUnsigned, Failure<ToyInvalid, ToyFault>> {
    let block = ToyBlock::new(root, parts.parent, state.slot).badly_signed();
    let block = if root == parts.parent { block.invalid() } else { block };
    // The toy's invalid blocks are those whose state root is wrong.
    let flags = UpdateFlags { skip_proposer_signature: true, ..UpdateFlags::default() };
    toy.transition(&mut state, &ToyBlock { signed: true, ..block }, flags)?;
    let proposer = parts.proposer_slashings.into_iter().map(Operation::ProposerSlashing);
    let attester = parts.attester_slashings.into_iter().map(Operation::AttesterSlashing);
    let exits = parts.voluntary_exits.into_iter().map(Operation::VoluntaryExit);
    let operations = proposer.chain(attester).chain(exits);
    Ok(ToyUnsigned {
        block,
        attestations: parts.attestations.into(),
        operations: operations.map(|operation| toy_operation(&operation)).collect(),
    })
}
