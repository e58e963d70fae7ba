//! Tests of what is made of verified blocks and attestations, with real signatures: slashing
//! operations that a state takes, and attestations that are packed for a block.

use std::sync::Arc;
use std::time::Duration;

use blocksmith::attestation_pool::{Bits, PoolAttestation};
use blocksmith::consensus::{Consensus, IndexedVote};
use blocksmith::machine::Machine;
use blocksmith::notice::Notice;
use blocksmith::rewinder::Lane;
use blocksmith::slashing::{Effect, Event, Limits, SlashingDetector};
use blocksmith::{Anchor, Blocksmith, Client, Config, NoticeReceiver};
use blocksmith_consensus::{
    Attestation, AttestationData, DOMAIN_BEACON_ATTESTER, Minimal, Phase0, Root, SharedAttestation,
    SharedBlock, SignatureBytes, Signatures, SignedBeaconBlock, UpdateFlags, ValidatorIndex, Wire,
    bls, compute_subnet_for_attestation, get_beacon_committee, get_committee_count_per_slot,
    get_domain, process_attester_slashing, process_proposer_slashing, state_transition,
};
use blocksmith_sync::Std;

use crate::support::{State, advanced, all_votes, complete, config, draft, genesis, sign};

type Node = Phase0<Minimal>;
type Running = (Blocksmith<Std, Node>, NoticeReceiver<Std, Node>);

fn node() -> Node {
    Node::new(config())
}

/// Root of the block that the genesis state follows.
fn anchor_root() -> Root {
    advanced(&genesis(), 1).latest_block_header.hash_tree_root()
}

/// The services on the genesis state, at slot 3.
fn start() -> Running {
    let anchor = Anchor { root: anchor_root(), slot: 0, state: genesis() };
    let config = Config { workers: 1, observe_every: None, ..Config::default() };
    let started = Blocksmith::start(config, Arc::new(node()), anchor).unwrap();
    started.0.client().tick(3, Duration::ZERO);
    started
}

fn submit(client: &Client<Std, Node>, block: &SignedBeaconBlock) -> SharedBlock {
    let block = SharedBlock::from(block.clone());
    assert_eq!(client.submit_block(block.clone(), 0, 1).wait().reason(), "ok");
    block
}

/// An attestation of some members of a committee, by their places, signed by them.
fn signed(state: &State, data: &AttestationData, places: &[usize]) -> SharedAttestation {
    let committee = get_beacon_committee(state, data.slot, data.index).unwrap();
    let domain = get_domain(state, DOMAIN_BEACON_ATTESTER, data.target.epoch);
    let sign = |place: &usize| sign(committee[*place], data.hash_tree_root(), domain);
    let parts: Vec<SignatureBytes> = places.iter().map(sign).collect();
    let flags: Vec<bool> = (0..committee.len()).map(|place| places.contains(&place)).collect();
    Attestation {
        aggregation_bits: flags.as_slice().try_into().unwrap(),
        data: data.clone(),
        signature: bls::aggregate(&parts).unwrap(),
    }
    .into()
}

fn is_slashed(state: &State, index: ValidatorIndex) -> bool {
    state.validators.get(index as usize).unwrap().slashed
}

fn apply(state: &State, block: &SignedBeaconBlock) -> State {
    let mut post = state.clone();
    state_transition(&mut post, block, UpdateFlags::default(), &config()).unwrap();
    post
}

#[test]
fn single_votes_are_summed_into_an_attestation_that_a_block_carries() {
    // Four single votes give one attestation of four, in a valid block. On that block and on its
    // child nothing is left to include; on its parent all is.
    let (services, _notices) = start();
    let client = services.client();
    let state = advanced(&genesis(), 2);
    let data = all_votes(&state)[0].data.clone();
    let members = get_beacon_committee(&state, data.slot, data.index).unwrap().len();
    for place in 0..members {
        let vote = signed(&state, &data, &[place]);
        assert_eq!(client.submit_attestation(vote, 0, 1).wait().reason(), "ok");
    }
    let pack = |parent, slot| {
        client.rest();
        let state = client.state_at(parent, slot, Lane::Duties).unwrap();
        client.pack_attestations(parent, &state, 128).unwrap()
    };
    let packed = pack(anchor_root(), 2);
    let all: Vec<usize> = (0..members).collect();
    assert_eq!(packed, [signed(&state, &data, &all)], "the sum of the signatures is the same");
    let mut block = draft(&state);
    block.body.attestations = vec![packed[0].value().clone()].try_into().unwrap();
    let block = complete(&state, block);
    let root = submit(client, &block).root();
    assert_eq!(pack(root, 3), []);
    assert_eq!(pack(anchor_root(), 3), packed);
    let next = advanced(&apply(&genesis(), &block), 3);
    let child = submit(client, &complete(&next, draft(&next))).root();
    assert_eq!(pack(child, 4), []);
    assert_eq!(services.stop().panicked, Vec::<String>::new());
}

#[test]
fn offences_of_single_votes_blocks_and_votes_in_blocks_come_with_operations_that_hold() {
    // One committee votes for the anchor. A block at slot 2 carries the vote of two of its members
    // for the block at slot 1. A second block of slot 2 has other graffiti.
    let (services, mut notices) = start();
    let client = services.client();
    let first = advanced(&genesis(), 1);
    let first = complete(&first, draft(&first));
    submit(client, &first);
    let away = all_votes(&advanced(&genesis(), 2))[0].data.clone();
    let vote = signed(&advanced(&genesis(), 2), &away, &[0, 1, 2]);
    assert_eq!(client.submit_attestation(vote, 0, 1).wait().reason(), "ok");
    let state = advanced(&apply(&genesis(), &first), 2);
    let towards = all_votes(&state)[0].data.clone();
    assert_ne!(towards.beacon_block_root, away.beacon_block_root);
    let mut block = draft(&state);
    let vote = signed(&state, &towards, &[1, 2, 3]);
    block.body.attestations = vec![vote.value().clone()].try_into().unwrap();
    let mut other = block.clone();
    other.body.graffiti = Root::new([1; 32]);
    let proposer = block.proposer_index;
    submit(client, &complete(&state, block));
    submit(client, &complete(&state, other));
    client.rest();
    services.stop();

    let told: Vec<_> = notices.iter().collect();
    let committee = get_beacon_committee(&state, towards.slot, towards.index).unwrap();
    let mut both = vec![committee[1], committee[2]];
    both.sort_unstable();
    let (mut votes, mut proposals) = (0, 0);
    for notice in told {
        let mut state = state.clone();
        let verify = &mut Signatures::Verify;
        match notice {
            Notice::DoubleVote { validators, slashing } => {
                votes += 1;
                assert_eq!(validators, both);
                let operation = slashing.value();
                process_attester_slashing(&mut state, operation, verify, &config()).unwrap();
                assert!(validators.iter().all(|at| is_slashed(&state, *at)));
            }
            Notice::Equivocation { proposer: index, slashing, .. } => {
                proposals += 1;
                assert_eq!(index, proposer);
                process_proposer_slashing(&mut state, slashing.value(), verify, &config()).unwrap();
                assert!(is_slashed(&state, proposer));
            }
            _ => {}
        }
    }
    assert_eq!((votes, proposals), (1, 1));
}

#[test]
fn two_votes_of_a_validator_by_gossip_come_with_an_operation_that_holds() {
    // A validator votes on its subnet for the anchor, and then for the block at slot 1. The topic
    // ignores the second vote.
    let (services, mut notices) = start();
    let client = services.client();
    let first = advanced(&genesis(), 1);
    let first = complete(&first, draft(&first));
    submit(client, &first);
    let state = advanced(&apply(&genesis(), &first), 2);
    let votes = [&advanced(&genesis(), 2), &state].map(|state| {
        let data = all_votes(state)[0].data.clone();
        signed(state, &data, &[1])
    });
    let data = &votes[0].value().data;
    let subnet = compute_subnet_for_attestation::<Minimal>(
        get_committee_count_per_slot(&state, data.target.epoch).unwrap(),
        data.slot,
        data.index,
    );
    let voter = get_beacon_committee(&state, data.slot, data.index).unwrap()[1];
    let words = votes.map(|vote| client.submit_single_attestation(vote, subnet, 0, 1).wait());
    assert_eq!(words.map(|verdict| verdict.reason()), ["ok", "second_vote"]);
    client.rest();
    services.stop();

    let offences = notices.iter().filter_map(|notice| match notice {
        Notice::DoubleVote { validators, slashing } => Some((validators, slashing)),
        _ => None,
    });
    let offences: Vec<_> = offences.collect();
    let [(validators, slashing)] = &offences[..] else { panic!("{offences:?}") };
    assert_eq!(validators, &[voter]);
    let mut state = state;
    let verify = &mut Signatures::Verify;
    process_attester_slashing(&mut state, slashing.value(), verify, &config()).unwrap();
    assert!(is_slashed(&state, voter));
}

#[test]
fn a_surround_in_either_order_gives_an_operation_that_holds() {
    // Votes from epoch 1 to 4 and from 2 to 3 by two validators each, one in common.
    let state = advanced(&genesis(), 2);
    let vote = |source, target, indices: &[ValidatorIndex]| {
        let mut attestation = all_votes(&state)[0].clone();
        attestation.data.source.epoch = source;
        attestation.data.target.epoch = target;
        let domain = get_domain(&state, DOMAIN_BEACON_ATTESTER, target);
        let root = attestation.data.hash_tree_root();
        let parts: Vec<_> = indices.iter().map(|index| sign(*index, root, domain)).collect();
        attestation.signature = bls::aggregate(&parts).unwrap();
        let attestation = SharedAttestation::from(attestation);
        let vote = node().vote(&attestation);
        let indexed = IndexedVote { vote, indices: indices.to_vec() };
        Event::<Node>::Attestation { indexed, attestation }
    };
    let (outer, inner) = (vote(1, 4, &[5, 9]), vote(2, 3, &[9, 11]));
    for order in [[outer.clone(), inner.clone()], [inner, outer]] {
        let mut detector = SlashingDetector::<Node>::new(Limits::new(8));
        let found: Vec<_> =
            order.into_iter().flat_map(|event| detector.handle(&node(), event)).collect();
        let [Effect::SurroundVote { validators, slashing, .. }] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(validators, &[9]);
        let mut state = state.clone();
        let operation = slashing.value();
        process_attester_slashing(&mut state, operation, &mut Signatures::Verify, &config())
            .unwrap();
        let slashed = (0..64u64).filter(|index| is_slashed(&state, *index));
        assert_eq!(slashed.collect::<Vec<_>>(), [9]);
    }
}

#[test]
fn what_a_vote_is_worth_is_the_balance_of_an_unslashed_member_of_an_admitted_attestation() {
    // An admitted one with a slashed member; then each condition is broken by itself.
    let mut state = advanced(&genesis(), 2);
    let good = all_votes(&state)[0].clone();
    let committee = get_beacon_committee(&state, good.data.slot, good.data.index).unwrap();
    state.validators.get_mut(committee[1] as usize).unwrap().slashed = true;
    let worth = |state: &State, change: &dyn Fn(&mut Attestation)| {
        let mut attestation = good.clone();
        change(&mut attestation);
        node().inclusion_weights(state, &attestation.into())
    };
    let mut expected = vec![32_000_000_000; committee.len()];
    expected[1] = 0;
    assert_eq!(worth(&state, &|_| {}), Some(expected));
    assert_eq!(worth(&advanced(&state, 10), &|_| {}), None, "too old");
    assert_eq!(worth(&state, &|one| one.data.slot = 2), None, "too new");
    assert_eq!(worth(&state, &|one| one.data.source.root = Root::new([1; 32])), None);
    assert_eq!(worth(&state, &|one| one.data.target.root = Root::new([1; 32])), None);
    assert_eq!(worth(&state, &|one| one.data.target.epoch = 1), None);
    assert_eq!(worth(&state, &|one| one.data.index = 60), None);
    let too_long = |one: &mut Attestation| {
        one.aggregation_bits = [true; 9].as_slice().try_into().unwrap();
    };
    assert_eq!(worth(&state, &too_long), None);
}

#[test]
fn attestations_that_share_a_member_or_differ_in_data_have_no_sum() {
    // Two disjoint ones; one that overlaps; one of another committee; none at all.
    let state = advanced(&genesis(), 2);
    let votes = all_votes(&state);
    let [first, second, third] =
        [&[0][..], &[1, 2], &[2, 3]].map(|places| signed(&state, &votes[0].data, places));
    let sum = SharedAttestation::aggregate(&[first.clone(), second.clone()]).unwrap();
    assert_eq!(sum.bits().iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(sum.bits(), Bits::from_iter([true, true, true, false]));
    assert_eq!(SharedAttestation::aggregate(&[second, third]), None);
    let other = signed(&state, &votes[1].data, &[1]);
    assert_eq!(SharedAttestation::aggregate(&[first.clone(), other]), None);
    assert_eq!(SharedAttestation::aggregate(&[]), None);
    assert_eq!(SharedAttestation::aggregate(std::slice::from_ref(&first)), Some(first));
}
