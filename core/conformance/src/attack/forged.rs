//! Attacks with forged signatures, and with votes of others.

use blocksmith_consensus::testing::{attest, secret_key, sign};
use blocksmith_consensus::{
    AggregateAndProof, Attestation, AttestationData, Checkpoint, DOMAIN_AGGREGATE_AND_PROOF,
    DOMAIN_SELECTION_PROOF, Minimal, Preset, Root, SharedAttestation, SharedBlock, SignatureBytes,
    SignedAggregateAndProof, SignedBeaconBlock, Wire, compute_epoch_at_slot,
    compute_subnet_for_attestation, get_beacon_committee, get_domain,
};
#[cfg(test)]
use blocksmith_consensus::{
    DOMAIN_BEACON_PROPOSER, get_beacon_proposer_index, get_current_epoch, process_slots,
};

use super::chain::{Chain, State, committees, number_root};
use super::plan::{Plan, Shot};

/// The key of nobody: the registries of the chains are far shorter.
const STRANGER: u64 = 1 << 32;

/// Signatures of a stranger: points of the group, each another one, and valid for nothing here.
/// What is not a point would cost less to refuse.
#[derive(Default)]
pub(super) struct Junk(Vec<SignatureBytes>);

impl Junk {
    pub(super) fn signature(&mut self, number: u64) -> SignatureBytes {
        let key = secret_key(STRANGER);
        while self.0.len() as u64 <= number {
            self.0.push(key.sign(&(self.0.len() as u64).to_le_bytes()));
        }
        self.0[number as usize]
    }
}

/// Returns the block of honest slot `at` with another content and a junk signature.
pub(super) fn junk_block(chain: &Chain, at: usize, number: u64, junk: &mut Junk) -> SharedBlock {
    let mut message = chain.honest[at].block.value().message.clone();
    message.body.graffiti = number_root(number);
    SignedBeaconBlock { message, signature: junk.signature(number) }.into()
}

/// Returns a vote of a member of honest slot `at` with a junk signature.
fn junk_vote(chain: &Chain, at: usize, number: u64, junk: &mut Junk) -> SharedAttestation {
    let votes = &chain.honest[at].votes;
    let vote = votes[number as usize % votes.len()].value().clone();
    Attestation { signature: junk.signature(number), ..vote }.into()
}

/// A1. Each block has the newest head as its parent, and the right slot and proposer.
pub(super) fn junk_blocks(chain: &Chain, n: u64, peers: u64, junk: &mut Junk) -> Plan {
    Plan::spread(n, chain.honest.len(), |number, at| {
        Shot::Block(junk_block(chain, at, number, junk), 1 + number % peers)
    })
}

/// Each block is of the first honest slot and on genesis, by a validator that does not propose
/// there and has signed it.
#[cfg(test)]
pub(super) fn blocks_of_others(chain: &Chain, n: u64) -> Plan {
    let mut state = chain.genesis.clone();
    process_slots(&mut state, chain.honest[0].slot, &chain.config).expect("ahead of the state");
    let expected = get_beacon_proposer_index(&state).expect("validators");
    let proposer_index = u64::from(expected == 0);
    let domain = get_domain(&state, DOMAIN_BEACON_PROPOSER, get_current_epoch(&state));
    Plan::spread(n, 1, |number, at| {
        let mut message = chain.honest[at].block.value().message.clone();
        message.body.graffiti = number_root(number);
        (message.parent_root, message.proposer_index) = (chain.genesis_root, proposer_index);
        let signature = sign(proposer_index + 1, message.hash_tree_root(), domain);
        Shot::Block(SignedBeaconBlock { message, signature }.into(), 1)
    })
}

/// Each block is of the first honest slot, by an index that no validator has, on another block of
/// the history. The two newest are left out: the slot's proposer may be known there.
#[cfg(test)]
pub(super) fn blocks_of_nobody(chain: &Chain, n: u64, junk: &mut Junk) -> Plan {
    Plan::spread(n, 1, |number, at| {
        let mut message = chain.honest[at].block.value().message.clone();
        let parent = &chain.history[chain.history.len() - 3 - number as usize];
        (message.parent_root, message.proposer_index) = (parent.root(), u64::MAX);
        Shot::Block(SignedBeaconBlock { message, signature: junk.signature(number) }.into(), 1)
    })
}

/// A2. Each vote is for the newest head, by a committee of its slot.
pub(super) fn forged_votes(chain: &Chain, n: u64, peers: u64, junk: &mut Junk) -> Plan {
    Plan::spread(n, chain.honest.len(), |number, at| {
        let vote = junk_vote(chain, at.saturating_sub(1), number, junk);
        Shot::Attestation(vote, 1 + number % peers)
    })
}

/// A10. As A2, but as many come together as a worker may take at once.
pub(super) fn forged_together(chain: &Chain, n: u64, batch: u64, junk: &mut Junk) -> Plan {
    let slots = n.div_ceil(batch).clamp(1, chain.honest.len() as u64 - 1);
    let mut plan = Plan::spread(n, slots as usize, |number, at| {
        Shot::Attestation(junk_vote(chain, at, number, junk), 1)
    });
    // In the first honest slot there is no head of that chain yet.
    plan.bursts.insert(0, Vec::new());
    plan
}

/// A4. Each vote is for an old block as the head. The target is that block, too, in the current
/// epoch, so that its state has to be advanced through all the slots between.
pub(super) fn old_heads(chain: &Chain, n: u64, junk: &mut Junk) -> Plan {
    /// A prime, so that every head has its turn unless their number is a multiple of it.
    const STRIDE: u64 = 7919;
    let first = chain.honest[0].slot;
    let start = first - first % Minimal::SLOTS_PER_EPOCH;
    let old = chain.history.iter().filter(|block| block.value().message.slot <= start);
    let mut heads: Vec<Root> = old.map(SharedBlock::root).collect();
    heads.push(chain.genesis_root);
    Plan::spread(n, chain.honest.len(), |number, at| {
        let head = heads[(number * STRIDE % heads.len() as u64) as usize];
        let mut vote = chain.honest[at].votes[0].value().clone();
        let epoch = compute_epoch_at_slot::<Minimal>(vote.data.slot);
        vote.data.beacon_block_root = head;
        vote.data.target = Checkpoint { epoch, root: head };
        vote.signature = junk.signature(number);
        Shot::Attestation(vote.into(), 1)
    })
}

/// A8. Every combination of two and more of the four votes of a committee is a valid attestation.
/// Every twelfth is a second vote of one validator, with its key, for another head. They come in
/// three ways by turns: without a proof, as the single vote of a member on its subnet, and as an
/// aggregate with the proof of a member, whose key the attacker has.
pub(super) fn sums_of_votes(chain: &Chain, n: u64) -> Plan {
    Plan::spread(n, chain.honest.len(), |number, at| {
        let at = at.saturating_sub(1);
        let (way, number) = (number % 3, number as usize / 3);
        let (kind, committee) = (number % 12, number / 12);
        let HonestVotes { state, data, parent } = votes_of(chain, at, committee);
        let member = number % 4;
        let is_second = kind == SUMS.len();
        let second = AttestationData { beacon_block_root: parent, ..data.clone() };
        let data = if is_second { second } else { data };
        match way {
            0 => Shot::Attestation(sum(state, data, kind, committee % 4).into(), 1),
            1 => {
                let subnet = compute_subnet_for_attestation::<Minimal>(
                    committees(state, data.slot),
                    data.slot,
                    data.index,
                );
                Shot::Single(attest(state, data, |position| position == member).into(), subnet, 1)
            }
            _ => {
                let vote = sum(state, data, kind, committee % 4);
                Shot::Aggregate(with_proof(state, vote, member).into(), 1)
            }
        }
    })
}

/// The combinations of two and more of four votes, by their bits.
const SUMS: [u32; 11] =
    [0b11, 0b101, 0b110, 0b1001, 0b1010, 0b1100, 0b111, 0b1011, 0b1101, 0b1110, 0b1111];

/// Returns the sum of that kind, or the vote of `member` if there is none.
fn sum(state: &State, data: AttestationData, kind: usize, member: usize) -> Attestation {
    let bits = SUMS.get(kind).copied().unwrap_or(1 << member);
    attest(state, data, |position| bits >> position & 1 == 1)
}

/// Returns the aggregate that the member of its committee at `position` sends. Committees are so
/// small that every member is selected.
fn with_proof(state: &State, aggregate: Attestation, position: usize) -> SignedAggregateAndProof {
    let AttestationData { slot, index, target, .. } = aggregate.data;
    let members = get_beacon_committee(state, slot, index).expect("a known committee");
    let aggregator_index = members[position % members.len()];
    let [selection, outer] = [DOMAIN_SELECTION_PROOF, DOMAIN_AGGREGATE_AND_PROOF]
        .map(|domain| get_domain(state, domain, target.epoch));
    let key = aggregator_index + 1;
    let selection_proof = sign(key, slot.hash_tree_root(), selection);
    let message = AggregateAndProof { aggregator_index, aggregate, selection_proof };
    let signature = sign(key, message.hash_tree_root(), outer);
    SignedAggregateAndProof { message, signature }
}

struct HonestVotes<'a> {
    state: &'a State,
    data: AttestationData,
    parent: Root,
}

/// Returns what a committee of honest slot `at` votes for.
fn votes_of(chain: &Chain, at: usize, committee: usize) -> HonestVotes<'_> {
    let slot = &chain.honest[at];
    let vote = &slot.votes[committee * 4 % slot.votes.len()];
    HonestVotes { state: &slot.state, data: vote.value().data.clone(), parent: chain.parent(at) }
}

/// A9. A third each: the honest block of the slot under other signatures, one bad block, and one
/// forged attestation.
pub(super) fn copies(chain: &Chain, n: u64, peers: u64, junk: &mut Junk) -> Plan {
    let bad_block = junk_block(chain, 0, 0, junk);
    let bad_vote = junk_vote(chain, 0, 1, junk);
    Plan::spread(n, chain.honest.len(), |number, at| {
        let peer = 1 + number % peers;
        match number % 3 {
            0 => {
                let message = chain.honest[at].block.value().message.clone();
                let signature = junk.signature(number);
                Shot::Block(SignedBeaconBlock { message, signature }.into(), peer)
            }
            1 => Shot::Block(bad_block.clone(), peer),
            _ => Shot::Attestation(bad_vote.clone(), peer),
        }
    })
}
