//! Attacks with forged signatures, and with votes of others.

use blocksmith_consensus::testing::{attest, secret_key};
use blocksmith_consensus::{
    Attestation, AttestationData, Checkpoint, Minimal, Preset, Root, SharedAttestation,
    SharedBlock, SignatureBytes, SignedBeaconBlock, compute_epoch_at_slot,
};

use super::chain::{Chain, number_root};
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
/// Every twelfth is a second vote of one validator, with its key, for another head.
pub(super) fn sums_of_votes(chain: &Chain, n: u64) -> Plan {
    const SUMS: [u32; 11] =
        [0b11, 0b101, 0b110, 0b1001, 0b1010, 0b1100, 0b111, 0b1011, 0b1101, 0b1110, 0b1111];
    Plan::spread(n, chain.honest.len(), |number, at| {
        let at = at.saturating_sub(1);
        let (kind, committee) = (number as usize % 12, number as usize / 12);
        let HonestVotes { state, data, parent } = votes_of(chain, at, committee);
        let vote = match SUMS.get(kind) {
            Some(sum) => attest(state, data, |member| sum >> member & 1 == 1),
            None => {
                let data = AttestationData { beacon_block_root: parent, ..data };
                attest(state, data, |member| member == committee % 4)
            }
        };
        Shot::Attestation(vote.into(), 1)
    })
}

struct HonestVotes<'a> {
    state: &'a super::chain::State,
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
