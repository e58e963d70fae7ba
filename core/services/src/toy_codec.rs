//! The encoding of the toy protocol's values, so that stores can be tested over it.

use std::sync::Arc;

use crate::consensus::Checkpoint;
use crate::gossip::Operation;
use crate::store::Codec;
use crate::toy::{
    Toy, ToyAttestation, ToyAttesterSlashing, ToyBlock, ToyOperation, ToyRoot, ToySlashing,
    ToyState,
};

/// Reads single bytes and little-endian numbers off the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn flag(&mut self) -> Option<bool> {
        self.byte().filter(|byte| *byte <= 1).map(|byte| byte == 1)
    }

    fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn checkpoint(&mut self) -> Option<Checkpoint<ToyRoot>> {
        Some(Checkpoint { epoch: self.number()?, root: self.byte()? })
    }

    /// Reads a number of numbers, and then these.
    fn numbers(&mut self) -> Option<Vec<u64>> {
        let count = self.byte()?;
        (0..count).map(|_| self.number()).collect()
    }

    fn block(&mut self) -> Option<ToyBlock> {
        Some(ToyBlock {
            root: self.byte()?,
            parent: self.byte()?,
            slot: self.number()?,
            valid: self.flag()?,
            signed: self.flag()?,
            finalizes: if self.flag()? { Some(self.checkpoint()?) } else { None },
        })
    }

    fn attestation(&mut self) -> Option<ToyAttestation> {
        Some(ToyAttestation {
            id: self.byte()?,
            slot: self.number()?,
            head: self.byte()?,
            target: self.checkpoint()?,
            validator: self.number()?,
            valid: self.flag()?,
        })
    }

    fn operation(&mut self) -> Option<ToyOperation> {
        Some(ToyOperation {
            id: self.byte()?,
            validators: self.byte()?,
            signed: self.flag()?,
            valid: self.flag()?,
        })
    }

    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

fn put(bytes: &mut Vec<u8>, checkpoint: Checkpoint<ToyRoot>) {
    bytes.extend(checkpoint.epoch.to_le_bytes());
    bytes.push(checkpoint.root);
}

/// Decodes what [`Codec::encode_block`] gives.
pub(crate) fn decode_block(bytes: &[u8]) -> Option<ToyBlock> {
    let mut reader = Reader(bytes);
    let block = reader.block()?;
    reader.end(block)
}

/// Decodes what [`Codec::encode_attestation`] gives.
pub(crate) fn decode_attestation(bytes: &[u8]) -> Option<ToyAttestation> {
    let mut reader = Reader(bytes);
    let attestation = reader.attestation()?;
    reader.end(attestation)
}

/// Decodes what [`Codec::encode_operation`] gives of a proposer slashing.
pub(crate) fn decode_proposer_slashing(bytes: &[u8]) -> Option<ToySlashing<[ToyBlock; 2]>> {
    let mut reader = Reader(bytes);
    let slashing = if reader.flag()? {
        ToySlashing::Of(Arc::new([reader.block()?, reader.block()?]))
    } else {
        ToySlashing::Given(reader.operation()?)
    };
    reader.end(slashing)
}

/// Decodes what [`Codec::encode_operation`] gives of an attester slashing.
pub(crate) fn decode_attester_slashing(bytes: &[u8]) -> Option<ToySlashing<ToyAttesterSlashing>> {
    let mut reader = Reader(bytes);
    let slashing = if reader.flag()? {
        let attestations = [reader.attestation()?, reader.attestation()?];
        let indices = [reader.numbers()?, reader.numbers()?];
        ToySlashing::Of(Arc::new(ToyAttesterSlashing { attestations, indices }))
    } else {
        ToySlashing::Given(reader.operation()?)
    };
    reader.end(slashing)
}

/// Decodes what [`Codec::encode_operation`] gives of an exit.
pub(crate) fn decode_voluntary_exit(bytes: &[u8]) -> Option<ToyOperation> {
    let mut reader = Reader(bytes);
    let exit = reader.operation()?;
    reader.end(exit)
}

fn put_operation(bytes: &mut Vec<u8>, operation: &ToyOperation) {
    bytes.extend([operation.id, operation.validators]);
    bytes.extend([operation.signed, operation.valid].map(u8::from));
}

impl Codec for Toy {
    fn identity(&self) -> String {
        format!("toy slots={} validators={}", self.slots_per_epoch, self.validators)
    }

    fn encode_root(&self, root: &ToyRoot) -> Vec<u8> {
        vec![*root]
    }

    fn decode_root(&self, bytes: &[u8]) -> Option<ToyRoot> {
        if let [root] = bytes { Some(*root) } else { None }
    }

    fn encode_block(&self, block: &ToyBlock) -> Vec<u8> {
        let mut bytes = vec![block.root, block.parent];
        bytes.extend(block.slot.to_le_bytes());
        bytes.extend([block.valid, block.signed, block.finalizes.is_some()].map(u8::from));
        if let Some(checkpoint) = block.finalizes {
            put(&mut bytes, checkpoint);
        }
        bytes
    }

    fn encode_attestation(&self, attestation: &ToyAttestation) -> Vec<u8> {
        let mut bytes = vec![attestation.id];
        bytes.extend(attestation.slot.to_le_bytes());
        bytes.push(attestation.head);
        put(&mut bytes, attestation.target);
        bytes.extend(attestation.validator.to_le_bytes());
        bytes.push(u8::from(attestation.valid));
        bytes
    }

    fn encode_operation(&self, operation: &Operation<Self>) -> Vec<u8> {
        let mut bytes = Vec::new();
        match operation {
            Operation::ProposerSlashing(ToySlashing::Of(blocks)) => {
                bytes.push(1);
                blocks.iter().for_each(|block| bytes.extend(self.encode_block(block)));
            }
            Operation::AttesterSlashing(ToySlashing::Of(slashing)) => {
                bytes.push(1);
                for attestation in &slashing.attestations {
                    bytes.extend(self.encode_attestation(attestation));
                }
                for indices in &slashing.indices {
                    // A toy has a handful of validators.
                    bytes.push(u8::try_from(indices.len()).unwrap_or(u8::MAX));
                    indices.iter().for_each(|index| bytes.extend(index.to_le_bytes()));
                }
            }
            Operation::ProposerSlashing(ToySlashing::Given(given))
            | Operation::AttesterSlashing(ToySlashing::Given(given)) => {
                bytes.push(0);
                put_operation(&mut bytes, given);
            }
            Operation::VoluntaryExit(exit) => put_operation(&mut bytes, exit),
        }
        bytes
    }

    fn encode_state(&self, state: &ToyState) -> Vec<u8> {
        let mut bytes = vec![state.block];
        bytes.extend(state.slot.to_le_bytes());
        put(&mut bytes, state.checkpoint);
        bytes
    }

    fn decode_state(&self, bytes: &[u8]) -> Result<ToyState, String> {
        let mut reader = Reader(bytes);
        let mut read = || {
            let (block, slot) = (reader.byte()?, reader.number()?);
            Some(ToyState { block, slot, checkpoint: reader.checkpoint()? })
        };
        let state = read().and_then(|state| reader.end(state));
        state.ok_or_else(|| format!("{} bytes are no state", bytes.len()))
    }
}
