//! The words for roots, checkpoints, states and items.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::consensus::{Checkpoint, Consensus, Header, Slot, Vote};
use crate::gossip::{GossipVote, IdentifiedOperation, IdentifiedVote, VoteHeader};
use crate::identified::IdentifiedBlock;
use crate::payload::PayloadVoteHeader;
use crate::quarantine::Item;
use crate::rewinder::Job;

/// Most characters of a root: enough for no two of a trace to be alike by chance.
const CHARACTERS: usize = 14;

/// Returns the text of a root. What has a meaning in a trace stands for itself nowhere else.
pub(super) fn root(root: &impl std::fmt::Debug) -> String {
    let text = format!("{root:?}");
    let plain = |one: char| if one.is_ascii_alphanumeric() { one } else { '_' };
    text.chars().take(CHARACTERS).map(plain).collect()
}

pub(super) fn checkpoint<R: std::fmt::Debug>(checkpoint: &Checkpoint<R>) -> String {
    format!("{}@{}", checkpoint.epoch, root(&checkpoint.root))
}

pub(super) fn state<R: std::fmt::Debug>(of: &R, slot: Slot) -> String {
    format!("state:{}@{slot}", root(of))
}

/// Returns the list of what `each` says of the entries; `-` if there is none.
pub(super) fn list<T>(entries: impl IntoIterator<Item = T>, each: impl Fn(T) -> String) -> String {
    let entries: Vec<_> = entries.into_iter().map(each).collect();
    if entries.is_empty() { "-".to_owned() } else { entries.join(",") }
}

pub(super) fn header<R: std::fmt::Debug, S: Hash>(header: &Header<R, S>) -> String {
    let mut hasher = DefaultHasher::new();
    header.signature.hash(&mut hasher);
    let copy = u32::try_from(hasher.finish() >> 32).unwrap_or(0);
    format!("block:{}/{copy:08x}", root(&header.root))
}

pub(super) fn block<C: Consensus>(block: &IdentifiedBlock<C>) -> String {
    header(block.identity())
}

pub(super) fn attestation<R: std::fmt::Debug>(vote: &Vote<R>) -> String {
    format!("attestation:{}", root(&vote.id))
}

pub(super) fn vote<R: std::fmt::Debug>(header: &VoteHeader<R>) -> String {
    format!("vote:{}", root(&header.vote.id))
}

pub(super) fn gossip_vote<C: Consensus>(one: &IdentifiedVote<C>) -> String {
    vote(one.identity())
}

pub(super) fn operation<C: Consensus>(operation: &IdentifiedOperation<C>) -> String {
    format!("operation:{}", root(&operation.identity().id))
}

pub(super) fn payload_vote<R: std::fmt::Debug>(header: &PayloadVoteHeader<R>) -> String {
    format!("payload_vote:{}", root(&header.id))
}

pub(super) fn job<C: Consensus>(job: &Job<C>) -> String {
    match job {
        Job::Block(one) => block::<C>(one),
        Job::Attestation(one) => attestation(one.identity()),
        Job::Vote(one) => gossip_vote::<C>(one),
        Job::Operation { operation: one, .. } => operation::<C>(one),
        Job::PayloadVote(one) => payload_vote(one.identity()),
        Job::State { root, slot } => state(root, *slot),
        Job::Produce { root: parent, slot, .. } => format!("produce:{}@{slot}", root(parent)),
    }
}

/// Writes the item of a job, and what it builds on or votes for.
pub(super) fn job_with_needs<C: Consensus>(one: &Job<C>, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, " what={}", job(one));
    match one {
        Job::Block(block) => needs_of_block(block.identity(), out),
        Job::Attestation(attestation) => needs_of_vote(attestation.identity(), out),
        Job::Vote(vote) => needs_of_vote(&vote.identity().vote, out),
        Job::PayloadVote(vote) => {
            let _ = write!(out, " head={}", root(&vote.identity().data.block));
        }
        Job::Operation { .. } | Job::State { .. } | Job::Produce { .. } => {}
    }
}

/// Writes an item as the network gave it. The protocol is asked for its identity here.
pub(super) fn item<C: Consensus>(consensus: &C, item: &Item<C>, out: &mut String) {
    let of_vote = |one: &GossipVote<C>, out: &mut String| {
        let header = consensus.gossip_vote(one);
        let _ = write!(out, " what={}", vote(&header));
        needs_of_vote(&header.vote, out);
    };
    match item {
        Item::Block(block) => {
            let of = consensus.header(block);
            let _ = write!(out, " what={}", header(&of));
            needs_of_block(&of, out);
        }
        Item::Attestation(one) => {
            let of = consensus.vote(one);
            let _ = write!(out, " what={}", attestation(&of));
            needs_of_vote(&of, out);
        }
        Item::Single { attestation, subnet } => {
            let one = GossipVote::Single { attestation: attestation.clone(), subnet: *subnet };
            of_vote(&one, out);
        }
        Item::Aggregate(aggregate) => of_vote(&GossipVote::Aggregate(aggregate.clone()), out),
        Item::Operation(one) => {
            let _ = write!(out, " what=operation:{}", root(&consensus.operation(one).id));
        }
        Item::PayloadVote(one) => {
            let of = consensus.payload_vote(one);
            let _ = write!(out, " what={} head={}", payload_vote(&of), root(&of.data.block));
        }
    }
}

fn needs_of_block<R: std::fmt::Debug, S>(header: &Header<R, S>, out: &mut String) {
    let _ = write!(out, " parent={} slot={}", root(&header.parent), header.slot);
}

fn needs_of_vote<R: std::fmt::Debug>(vote: &Vote<R>, out: &mut String) {
    let (head, target) = (root(&vote.beacon_block_root), checkpoint(&vote.target));
    let _ = write!(out, " head={head} target={target}");
}
