//! A block that the services produce, on the real protocol: signed by its proposer, it comes back
//! through the ordinary way and is valid.

use std::sync::Arc;
use std::time::Duration;

use blocksmith::clearance::BuildOn;
use blocksmith::{Anchor, Blocksmith, Client, Config, ProduceError};
use blocksmith_consensus::testing::{
    attest, attestation_data, block, genesis, latest_block_root, sign,
};
use blocksmith_consensus::{
    BeaconState, ChainConfig, DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO, InvalidData, Minimal, Phase0,
    ProposerInputs, Root, SharedAttestation, SharedBlock, SignedBeaconBlock, Slot, Wire,
    get_beacon_proposer_index, get_current_epoch, get_domain, process_slots,
};
use blocksmith_sync::Std;

type State = BeaconState<Minimal>;
type Services = Client<Std, Phase0<Minimal>>;

fn advanced(state: &State, slot: Slot) -> State {
    let mut state = state.clone();
    process_slots(&mut state, slot, &ChainConfig::minimal()).expect("ahead of the state");
    state
}

/// The inputs of the proposer of `state`'s slot.
fn inputs(state: &State) -> ProposerInputs {
    let proposer = get_beacon_proposer_index(state).expect("somebody is active");
    let epoch = get_current_epoch(state);
    let mut root = [0; 32];
    root[..8].copy_from_slice(&epoch.to_le_bytes());
    let domain = get_domain(state, DOMAIN_RANDAO, epoch);
    let randao_reveal = sign(proposer + 1, Root::new(root), domain);
    ProposerInputs { randao_reveal, graffiti: Root::new([7; 32]), ..ProposerInputs::default() }
}

fn signed(state: &State, block: &blocksmith_consensus::BeaconBlock) -> SharedBlock {
    let domain = get_domain(state, DOMAIN_BEACON_PROPOSER, get_current_epoch(state));
    let signature = sign(block.proposer_index + 1, block.hash_tree_root(), domain);
    SignedBeaconBlock { message: block.clone(), signature }.into()
}

fn accepted(client: &Services, block: &SharedBlock) {
    assert_eq!(client.submit_block(block.clone(), 1, 1_000).wait().class(), "valid");
}

/// A vote for the block of slot 8 in `state`, by some members of a committee.
fn vote(state: &State, committee: u64, members: std::ops::Range<usize>) -> SharedAttestation {
    let next = advanced(state, 9);
    let data = attestation_data(&next, 8, committee);
    attest(&next, data, |position| members.contains(&position)).into()
}

#[test]
fn a_produced_block_carries_what_its_branch_admits_and_is_valid_once_it_is_signed() {
    // Two blocks of one proposer at the start of epoch 1, so votes for them have different targets.
    let config = ChainConfig::minimal();
    let genesis = genesis::<Minimal>(64, &config);
    let root = latest_block_root(&genesis);
    let [mut on_a, mut on_b] = [advanced(&genesis, 8), advanced(&genesis, 8)];
    let a: SharedBlock = block(&mut on_a, 0..0, Root::new([1; 32]), &config).into();
    let b: SharedBlock = block(&mut on_b, 0..0, Root::new([2; 32]), &config).into();
    let anchor = Anchor { root, slot: 0, state: genesis };
    let services = Config { workers: 2, ..Config::default() };
    let protocol = Arc::new(Phase0::<Minimal>::new(config));
    let (blocksmith, _notices) =
        Blocksmith::<Std, _>::start(services, protocol, anchor).expect("the sizes are not zero");
    let client = blocksmith.client();
    client.tick(8, Duration::ZERO);
    accepted(client, &a);
    accepted(client, &b);
    client.tick(9, Duration::ZERO);
    // Four members of one committee vote for the first, in two attestations; one of the other
    // committee votes for the second.
    let votes = [vote(&on_a, 0, 0..2), vote(&on_a, 0, 2..4), vote(&on_b, 1, 0..1)];
    for vote in votes {
        assert_eq!(client.submit_attestation(vote, 1, 300).wait().class(), "valid");
    }
    client.rest();

    let at_9 = advanced(&on_a, 9);
    let on = BuildOn::ProposerHead { slot: 9, on_time: true };
    assert_eq!(client.proposer_head(9, true), Some(a.root()));
    let unsigned = client.produce_block(on, 9, inputs(&at_9)).expect("the head is known");
    let produced = unsigned.value();
    assert_eq!((produced.slot, produced.parent_root), (9, a.root()));
    let body = &produced.body;
    assert_eq!(body.graffiti, Root::new([7; 32]));
    // The votes for the first block come as their sum, that for the second is left out.
    assert_eq!(body.attestations.len(), 1);
    assert_eq!(body.attestations[0].data.target.root, a.root());
    assert_eq!(body.attestations[0].aggregation_bits.count_ones(), 4);
    // The detector has found the two proposals.
    assert_eq!(body.proposer_slashings.len(), 1);
    let slashed = body.proposer_slashings[0].signed_header_1.message.proposer_index;
    assert_eq!(slashed, a.value().message.proposer_index);

    let block = signed(&at_9, produced);
    assert_eq!(block.root(), unsigned.root());
    accepted(client, &block);
    client.rest();
    assert_eq!(client.proposer_head(10, true), Some(block.root()));
    // What this block includes, the next one does not.
    let after = client.state_at(block.root(), 10, blocksmith::rewinder::Lane::Duties);
    let after = after.expect("the block is known");
    let next = client.produce_block(BuildOn::Block(block.root()), 10, inputs(&after));
    let next = next.expect("the block is known");
    assert!(next.value().body.attestations.is_empty());
    assert!(next.value().body.proposer_slashings.is_empty());
    // On the other branch the slashing is not included yet, and neither is the vote for it.
    let beside = client.produce_block(BuildOn::Block(b.root()), 10, inputs(&advanced(&on_b, 10)));
    let beside = beside.expect("the block is known");
    let votes = &beside.value().body.attestations;
    assert_eq!(votes.len(), 1);
    assert_eq!(votes[0].data.target.root, b.root());
    assert_eq!(beside.value().body.proposer_slashings.len(), 1);
    errors(client, a.root(), inputs(&at_9));
}

/// Each mistake of a caller has its own answer.
fn errors(client: &Services, parent: Root, inputs: ProposerInputs) {
    let produce = |root, slot, inputs: &ProposerInputs| {
        client.produce_block(BuildOn::Block(root), slot, inputs.clone())
    };
    let unknown = produce(Root::new([9; 32]), 9, &inputs);
    assert_eq!(unknown, Err(ProduceError::UnknownParent));
    assert_eq!(produce(parent, 8, &inputs), Err(ProduceError::NotAfterParent));
    assert_eq!(produce(parent, u64::MAX, &inputs), Err(ProduceError::TooFar));
    let no_reveal = produce(parent, 9, &ProposerInputs::default());
    let Err(ProduceError::Invalid(InvalidData::Block(error))) = no_reveal else {
        panic!("{no_reveal:?}")
    };
    assert_eq!(error.reason(), "bad_randao");
}
