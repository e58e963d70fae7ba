//! Services of a consensus client, generic over the consensus protocol ([`consensus::Consensus`]) and
//! over the synchronisation primitives ([`blocksmith_sync::Primitives`]).
#![forbid(unsafe_code)]

pub mod consensus;
