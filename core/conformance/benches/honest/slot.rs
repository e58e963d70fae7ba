//! The gossip of one honest slot, as it comes from the wire, and the signatures in it.
//!
//! Validator `i` has the secret key `i + 1`; see [`blocksmith_consensus::testing`]. Everything is
//! valid by the rules. No aggregate is a subset of another, so each is news: that is the dearest
//! honest case.

use blocksmith::Anchor;
use blocksmith_consensus::testing::{
    attest, attestation_data, block, genesis, latest_block_root, sign,
};
use blocksmith_consensus::{
    AggregateAndProof, Attestation, AttestationData, BeaconState, ChainConfig,
    DOMAIN_AGGREGATE_AND_PROOF, DOMAIN_BEACON_ATTESTER, DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO,
    DOMAIN_SELECTION_PROOF, Domain, Mainnet, Phase0, Root, SignatureBytes, SignedAggregateAndProof,
    SignedBeaconBlock, Slot, ValidatorIndex, Wire, compute_epoch_at_slot, compute_signing_root,
    compute_subnet_for_attestation, get_attesting_indices, get_beacon_committee,
    get_committee_count_per_slot, get_domain, is_aggregator, process_slots,
};
use blst::min_pk::PublicKey;

pub(crate) type State = BeaconState<Mainnet>;

/// The slot that is measured. Its block carries the votes of the two slots before.
pub(crate) const SLOT: Slot = 3;
/// Subnets whose single attestations the node is subscribed to.
const SUBNETS: u64 = 4;
/// The most aggregates of a slot: what 64 committees with 16 aggregators each send.
const AGGREGATES: usize = 1024;
/// Each aggregate leaves out every so manieth vote of its committee, another one each.
const LEFT_OUT: usize = 29;

/// A signature from the wire, with all that is needed to verify it.
pub(crate) struct Signed {
    /// Keys of all who signed.
    pub(crate) keys: Vec<PublicKey>,
    /// The signing root.
    pub(crate) message: Root,
    /// The signature, compressed.
    pub(crate) signature: SignatureBytes,
}

/// An encoded item.
pub(crate) enum Item {
    /// With its subnet.
    Single(Vec<u8>, u64),
    Aggregate(Vec<u8>),
}

/// Items of a kind, and their signatures, item by item.
#[derive(Default)]
pub(crate) struct Votes {
    pub(crate) items: Vec<Item>,
    pub(crate) signed: Vec<Vec<Signed>>,
}

/// The gossip; see the module's text.
pub(crate) struct Gossip {
    pub(crate) config: ChainConfig,
    genesis: State,
    /// The blocks before.
    pub(crate) before: Vec<Vec<u8>>,
    /// The block.
    pub(crate) block: Vec<u8>,
    /// How many attestations it carries.
    pub(crate) carried: usize,
    /// Its signatures.
    pub(crate) block_signed: Vec<Signed>,
    /// Single attestations of the slot before, by which peers introduce themselves.
    pub(crate) introductions: Vec<Item>,
    pub(crate) singles: Votes,
    pub(crate) aggregates: Votes,
}

impl Gossip {
    /// Builds a chain of three blocks and the votes for the last one; `peers` introduce themselves.
    pub(crate) fn build(validators: u64, peers: usize) -> Self {
        let config = ChainConfig::mainnet();
        let genesis: State = genesis(validators, &config);
        let mut state = genesis.clone();
        let mut on = |slot, votes| {
            process_slots(&mut state, slot, &config).expect("ahead of the state");
            let signed = block(&mut state, votes, Root::ZERO, &config);
            (signed, state.clone())
        };
        let before = [1, 2].map(|slot| on(slot, 0..0).0.encode()).to_vec();
        let (signed, mut state) = on(SLOT, 1..SLOT);
        process_slots(&mut state, SLOT + 1, &config).expect("ahead of the state");
        let introductions = singles(&state, SLOT - 1, 0..SUBNETS).items.into_iter();
        Self {
            block: signed.encode(),
            carried: signed.message.body.attestations.len(),
            block_signed: of_block(&state, &signed),
            introductions: introductions.take(peers).collect(),
            singles: singles(&state, SLOT, 0..SUBNETS),
            aggregates: aggregates(&state, SLOT, AGGREGATES),
            config,
            genesis,
            before,
        }
    }

    /// Returns what the services start from.
    pub(crate) fn anchor(&self) -> Anchor<Phase0<Mainnet>> {
        let (root, state) = (latest_block_root(&self.genesis), self.genesis.clone());
        Anchor { root, slot: 0, state }
    }

    /// Returns how many signatures there are in all, and how many keys are summed for them.
    pub(crate) fn signatures(&self) -> (usize, usize) {
        let votes = self.singles.signed.iter().chain(&self.aggregates.signed).flatten();
        let all = self.block_signed.iter().chain(votes);
        all.fold((0, 0), |(count, keys), signed| (count + 1, keys + signed.keys.len()))
    }
}

fn key(state: &State, index: ValidatorIndex) -> PublicKey {
    let validator = state.validators.get(index as usize).expect("a member is registered");
    PublicKey::from_bytes(validator.pubkey.as_ref()).expect("a valid key")
}

fn by_one(
    state: &State,
    index: ValidatorIndex,
    root: Root,
    domain: Domain,
    signature: SignatureBytes,
) -> Signed {
    let keys = vec![key(state, index)];
    Signed { keys, message: compute_signing_root(root, domain), signature }
}

fn of_attestation(state: &State, attestation: &Attestation, domain: Domain) -> Signed {
    let Attestation { data, aggregation_bits, signature } = attestation;
    let who = get_attesting_indices(state, data, aggregation_bits).expect("a known committee");
    let keys = who.iter().map(|index| key(state, *index)).collect();
    let message = compute_signing_root(data.hash_tree_root(), domain);
    Signed { keys, message, signature: *signature }
}

fn of_block(state: &State, signed: &SignedBeaconBlock) -> Vec<Signed> {
    let SignedBeaconBlock { message, signature } = signed;
    let [proposal, randao, attester] =
        [DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO, DOMAIN_BEACON_ATTESTER]
            .map(|domain| get_domain(state, domain, 0));
    let (proposer, reveal) = (message.proposer_index, message.body.randao_reveal);
    let mut all = vec![
        by_one(state, proposer, message.hash_tree_root(), proposal, *signature),
        by_one(state, proposer, 0_u64.hash_tree_root(), randao, reveal),
    ];
    let attestations = message.body.attestations.iter();
    all.extend(attestations.map(|attestation| of_attestation(state, attestation, attester)));
    all
}

/// Returns the votes of every member of committees of a slot.
pub(crate) fn singles(state: &State, slot: Slot, committees: std::ops::Range<u64>) -> Votes {
    let epoch = compute_epoch_at_slot::<Mainnet>(slot);
    let count = get_committee_count_per_slot(state, epoch).expect("known committees");
    let domain = get_domain(state, DOMAIN_BEACON_ATTESTER, epoch);
    let mut votes = Votes::default();
    for index in committees.start..committees.end.min(count) {
        let subnet = compute_subnet_for_attestation::<Mainnet>(count, slot, index);
        let data = attestation_data(state, slot, index);
        for member in 0..committee(state, &data).len() {
            let vote = attest(state, data.clone(), |position| position == member);
            votes.items.push(Item::Single(vote.encode(), subnet));
            votes.signed.push(vec![of_attestation(state, &vote, domain)]);
        }
    }
    votes
}

fn committee(state: &State, data: &AttestationData) -> Vec<ValidatorIndex> {
    get_beacon_committee(state, data.slot, data.index).expect("a known committee").to_vec()
}

/// Returns aggregates of a slot by members whose selection proofs select them: in all at most
/// `most`, of each committee as many. The state is past the slot.
pub(crate) fn aggregates(state: &State, slot: Slot, most: usize) -> Votes {
    let epoch = compute_epoch_at_slot::<Mainnet>(slot);
    let count = get_committee_count_per_slot(state, epoch).expect("known committees");
    let selection = get_domain(state, DOMAIN_SELECTION_PROOF, epoch);
    let mut votes = Votes::default();
    for index in 0..count {
        let data = attestation_data(state, slot, index);
        let committee = committee(state, &data);
        let proofs = committee
            .iter()
            .map(|member| (*member, sign(member + 1, slot.hash_tree_root(), selection)));
        let selected = proofs.filter(|(_, proof)| is_aggregator(committee.len(), proof));
        let room = (most - votes.items.len()).min(LEFT_OUT).min(most.div_ceil(count as usize));
        for (number, (member, proof)) in selected.take(room).enumerate() {
            let vote = attest(state, data.clone(), |position| position % LEFT_OUT != number);
            votes.push_aggregate(state, member, proof, vote);
        }
    }
    votes
}

impl Votes {
    fn push_aggregate(
        &mut self,
        state: &State,
        member: ValidatorIndex,
        proof: SignatureBytes,
        vote: Attestation,
    ) {
        let [selection, outer, attester] =
            [DOMAIN_SELECTION_PROOF, DOMAIN_AGGREGATE_AND_PROOF, DOMAIN_BEACON_ATTESTER]
                .map(|domain| get_domain(state, domain, vote.data.target.epoch));
        let slot = vote.data.slot;
        let of_vote = of_attestation(state, &vote, attester);
        let message =
            AggregateAndProof { aggregator_index: member, aggregate: vote, selection_proof: proof };
        let root = message.hash_tree_root();
        let signature = sign(member + 1, root, outer);
        self.signed.push(vec![
            by_one(state, member, slot.hash_tree_root(), selection, proof),
            by_one(state, member, root, outer, signature),
            of_vote,
        ]);
        self.items.push(Item::Aggregate(SignedAggregateAndProof { message, signature }.encode()));
    }
}
