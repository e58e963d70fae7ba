//! The encoding of the toy protocol's values, so that stores can be tested over it.

use crate::consensus::Checkpoint;
use crate::store::Codec;
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyRoot, ToyState};

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
    let block = ToyBlock {
        root: reader.byte()?,
        parent: reader.byte()?,
        slot: reader.number()?,
        valid: reader.flag()?,
        signed: reader.flag()?,
        finalizes: if reader.flag()? { Some(reader.checkpoint()?) } else { None },
    };
    reader.end(block)
}

/// Decodes what [`Codec::encode_attestation`] gives.
pub(crate) fn decode_attestation(bytes: &[u8]) -> Option<ToyAttestation> {
    let mut reader = Reader(bytes);
    let attestation = ToyAttestation {
        id: reader.byte()?,
        slot: reader.number()?,
        head: reader.byte()?,
        target: reader.checkpoint()?,
        validator: reader.number()?,
        valid: reader.flag()?,
    };
    reader.end(attestation)
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
