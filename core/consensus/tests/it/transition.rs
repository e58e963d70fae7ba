//! Tests of the transition: which stage gives the reason, what each flag leaves out, what clones
//! share.

use std::sync::Arc;

use blocksmith::consensus::{Consensus, Failure, Invalid};
use blocksmith_consensus::{
    Attestation, AttestationData, BeaconState, BlockError, ChainConfig, Mainnet, Minimal, Phase0,
    Root, RootJob, SharedAttestation, SharedBlock, SignatureBytes, SignedBeaconBlock,
    SignedVoluntaryExit, StateError, TransitionError, UpdateFlags, Validator, VoluntaryExit, Wire,
    compute_pulled_up_checkpoints, get_attesting_indices, get_beacon_committee, get_committees,
    initialize_beacon_state_from_eth1, process_slots, state_transition, verify_and_process_block,
    verify_and_process_block_one_by_one, verify_block_signature,
};

use crate::support::{
    State, VALIDATORS, advanced, all_votes, attestation, complete, config, draft, genesis, key,
};

/// The reason why `block` is invalid on `state`, judged both in a batch and one by one.
fn reason(state: &State, block: &SignedBeaconBlock) -> &'static str {
    let judge = |judge: fn(&mut State, &_, _, &_) -> Result<(), TransitionError>| match judge(
        &mut state.clone(),
        block,
        UpdateFlags::default(),
        &config(),
    ) {
        Ok(()) => "ok",
        Err(TransitionError::Invalid(error)) => error.reason(),
        Err(TransitionError::Fault(fault)) => panic!("{fault}"),
    };
    let together = judge(verify_and_process_block);
    assert_eq!(together, judge(verify_and_process_block_one_by_one));
    together
}

/// A signature that decodes, but that no validator made over anything that is signed here.
fn wrong() -> SignatureBytes {
    key(0).sign(b"something else")
}

fn premature_exit() -> SignedVoluntaryExit {
    let message = VoluntaryExit { epoch: 0, validator_index: 1 };
    SignedVoluntaryExit { message, signature: wrong() }
}

#[test]
fn a_block_with_an_attestation_is_valid_and_moves_the_state() {
    // Builds a block on slot 2 and applies it to genesis.
    let state = advanced(&genesis(), 2);
    let mut block = draft(&state);
    block.body.attestations = vec![attestation(&state)].try_into().unwrap();
    let signed = complete(&state, block);
    assert_eq!(reason(&state, &signed), "ok");
    assert!(verify_block_signature(&state, &signed));
    let mut post = genesis();
    state_transition(&mut post, &signed, UpdateFlags::default(), &config()).unwrap();
    assert_eq!(post.hash_tree_root(), signed.message.state_root);
    assert_eq!(post.current_epoch_attestations.len(), 1);
}

#[test]
fn every_stage_gives_its_own_reason() {
    // Spoils one stage at a time.
    let state = advanced(&genesis(), 2);
    let spoiled = |spoil: fn(&State, &mut SignedBeaconBlock)| {
        let mut signed = SignedBeaconBlock { message: draft(&state), ..Default::default() };
        spoil(&state, &mut signed);
        reason(&state, &complete(&state, signed.message))
    };
    assert_eq!(spoiled(|_, _| {}), "ok");
    assert_eq!(spoiled(|_, b| b.message.parent_root = Root::ZERO), "bad_block_header");
    assert_eq!(spoiled(|_, b| b.message.body.randao_reveal = wrong()), "bad_randao");
    assert_eq!(
        spoiled(|_, b| {
            b.message.body.voluntary_exits = vec![premature_exit()].try_into().unwrap();
        }),
        "bad_operations"
    );
    assert_eq!(
        spoiled(|state, b| {
            let mut bad = attestation(state);
            bad.signature = wrong();
            b.message.body.attestations = vec![attestation(state), bad].try_into().unwrap();
        }),
        "bad_operations"
    );
    let mut signed = complete(&state, draft(&state));
    signed.signature = wrong();
    assert_eq!(reason(&state, &signed), "bad_proposer_signature");
    let slots = advanced(&state, 3);
    let mut late = slots.clone();
    let error = state_transition(&mut late, &signed, UpdateFlags::default(), &config());
    let Err(TransitionError::Invalid(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.reason(), "slot_not_after_parent");
}

#[test]
fn a_wrong_state_root_is_the_last_reason() {
    // Signs a block whose state root is not that of the state after it.
    let state = advanced(&genesis(), 2);
    let mut block = complete(&state, draft(&state)).message;
    block.state_root = Root::new([1; 32]);
    let signed = resigned(&state, block);
    assert_eq!(reason(&state, &signed), "bad_state_root");
}

/// Gives the block as it is a valid signature of its proposer.
fn resigned(state: &State, block: blocksmith_consensus::BeaconBlock) -> SignedBeaconBlock {
    use blocksmith_consensus::{DOMAIN_BEACON_PROPOSER, get_current_epoch, get_domain};
    let domain = get_domain(state, DOMAIN_BEACON_PROPOSER, get_current_epoch(state));
    let signature = crate::support::sign(block.proposer_index, block.hash_tree_root(), domain);
    SignedBeaconBlock { message: block, signature }
}

#[test]
fn of_two_faults_the_earlier_stage_gives_the_reason() {
    // Combines faults whose signatures are verified late with faults that are found at once.
    let state = advanced(&genesis(), 2);
    let mut bad_attestation = attestation(&state);
    bad_attestation.signature = wrong();

    let mut block = draft(&state);
    block.body.randao_reveal = wrong();
    block.body.attestations = vec![bad_attestation.clone()].try_into().unwrap();
    assert_eq!(reason(&state, &complete(&state, block)), "bad_randao");

    let mut block = draft(&state);
    block.body.randao_reveal = wrong();
    block.body.voluntary_exits = vec![premature_exit()].try_into().unwrap();
    assert_eq!(reason(&state, &complete(&state, block)), "bad_randao");

    let mut block = draft(&state);
    block.parent_root = Root::ZERO;
    block.body.randao_reveal = wrong();
    assert_eq!(reason(&state, &complete(&state, block.clone())), "bad_block_header");
    let mut signed = complete(&state, block);
    signed.signature = wrong();
    assert_eq!(reason(&state, &signed), "bad_proposer_signature");

    let mut block = draft(&state);
    block.body.attestations = vec![bad_attestation].try_into().unwrap();
    let mut signed = complete(&state, block);
    assert_eq!(reason(&state, &signed), "bad_operations");
    signed.message.proposer_index = u64::MAX;
    assert_eq!(reason(&state, &signed), "bad_proposer_signature");
}

#[test]
fn a_block_is_judged_by_the_key_of_whom_it_names() {
    // Lets another validator sign in its own name: the signature is valid, the proposer is not.
    let state = advanced(&genesis(), 2);
    let mut block = draft(&state);
    block.proposer_index = (block.proposer_index + 1) % VALIDATORS;
    let signed = complete(&state, block);
    assert!(verify_block_signature(&state, &signed));
    assert_eq!(reason(&state, &signed), "bad_block_header");
}

#[test]
fn a_signature_that_is_no_point_counts_as_a_wrong_one() {
    // Gives the reveal and the proposer's signature bytes that do not decode.
    let state = advanced(&genesis(), 2);
    let mut block = draft(&state);
    block.body.randao_reveal = SignatureBytes::new([0xff; 96]);
    let mut signed = complete(&state, block);
    assert_eq!(reason(&state, &signed), "bad_randao");
    signed.signature = SignatureBytes::ZERO;
    assert_eq!(reason(&state, &signed), "bad_proposer_signature");
}

#[test]
fn each_flag_leaves_out_its_own_check_and_no_other() {
    // Spoils what one flag covers and tries every flag alone.
    let state = advanced(&genesis(), 2);
    let valid = complete(&state, draft(&state));
    let mut bad_signature = valid.clone();
    bad_signature.signature = wrong();
    let mut bad_root = valid.message.clone();
    bad_root.state_root = Root::ZERO;
    let bad_root = resigned(&state, bad_root);
    let mut bad_parent = draft(&state);
    bad_parent.parent_root = Root::new([4; 32]);
    let bad_parent = resigned(&state, bad_parent);
    let none = UpdateFlags::default();
    let flags = [
        UpdateFlags { skip_bls_validation: true, ..none },
        UpdateFlags { skip_state_root_validation: true, ..none },
        UpdateFlags { skip_block_parent_root_validation: true, ..none },
        UpdateFlags { skip_merkle_validation: true, ..none },
    ];
    let apply = |block: &SignedBeaconBlock, flags| {
        verify_and_process_block(&mut state.clone(), block, flags, &config())
    };
    assert_eq!(flags.map(|f| apply(&bad_signature, f).is_ok()), [true, false, false, false]);
    assert_eq!(flags.map(|f| apply(&bad_root, f).is_ok()), [false, true, false, false]);
    assert!(flags.iter().all(|f| apply(&valid, *f).is_ok()));
    // Without the parent check the block gets as far as its state root, which is wrong.
    let reasons = flags.map(|f| match apply(&bad_parent, f) {
        Err(TransitionError::Invalid(error)) => error.reason(),
        other => panic!("{other:?}"),
    });
    let header = "bad_block_header";
    assert_eq!(reasons, [header, header, "bad_state_root", header]);
    assert!(apply(&bad_parent, UpdateFlags::replay()).is_ok());
}

#[test]
fn a_clone_does_not_see_what_is_written_to_the_other() {
    // Advances a clone across an epoch and compares the original's root with what it was.
    let state = advanced(&genesis(), 5);
    let before = state.hash_tree_root();
    let after = advanced(&state, 9);
    assert_eq!(state.hash_tree_root(), before);
    assert_ne!(after.hash_tree_root(), before);
    let decoded = State::from_ssz_bytes(&after.encode()).unwrap();
    assert_eq!(decoded.hash_tree_root(), after.hash_tree_root());
}

#[test]
fn clones_of_one_epoch_share_committees_and_the_next_epoch_inherits_them() {
    // Compares pointers of committees that clones and a later epoch look up.
    let state = advanced(&genesis(), 9);
    let clone = state.clone();
    let committees = get_committees(&state, 1).unwrap();
    let upcoming = get_committees(&clone, 2).unwrap();
    assert!(Arc::ptr_eq(&committees, &get_committees(&clone, 1).unwrap()));
    let later = advanced(&clone, 17);
    assert!(Arc::ptr_eq(&upcoming, &get_committees(&later, 2).unwrap()));
    assert!(Arc::ptr_eq(&committees, &get_committees(&later, 1).unwrap()));
    let mut fresh = later.clone();
    fresh.drop_caches();
    assert_eq!(*get_committees(&fresh, 2).unwrap(), *upcoming);
}

#[test]
fn slots_do_not_run_backwards_or_stand_still() {
    // Asks for the state's own slot and for one before it.
    let mut state = advanced(&genesis(), 4);
    let root = state.hash_tree_root();
    assert!(process_slots(&mut state, 4, &config()).is_err());
    assert!(process_slots(&mut state, 3, &config()).is_err());
    assert_eq!(state.hash_tree_root(), root);
}

#[test]
fn the_services_see_blocks_votes_and_balances() {
    // Runs a block and an attestation through the trait.
    let phase0 = Phase0::<Minimal>::new(config());
    let state = advanced(&genesis(), 2);
    let mut block = draft(&state);
    let vote = attestation(&state);
    block.body.attestations = vec![vote.clone()].try_into().unwrap();
    let signed = complete(&state, block);
    let shared = phase0.decode_block(&signed.encode()).unwrap();
    assert_eq!(shared, SharedBlock::from(signed.clone()));
    assert_eq!(phase0.header(&shared).root, signed.message.hash_tree_root());

    let mut post = genesis();
    phase0.transition(&mut post, &shared, UpdateFlags::default()).unwrap();
    assert_eq!(phase0.state_root(&post), signed.message.state_root);
    let effects = phase0.block_effects(&post, &shared).unwrap();
    let vote = SharedAttestation::from(vote);
    let voters = phase0.verify_attestation(&state, &vote).unwrap();
    assert_eq!(effects.votes[0].indices, voters);
    assert_eq!(effects.votes[0].vote, phase0.vote(&vote));
    let balances = phase0.balances(&post).unwrap();
    assert_eq!(balances.effective.iter().sum::<u64>(), balances.total_active);

    let again = phase0.transition(&mut post, &shared, UpdateFlags::default());
    let Err(Failure::Invalid(invalid)) = again else { panic!("{again:?}") };
    assert_eq!(invalid.reason(), "slot_not_after_parent");
    assert!(invalid.condemns_root());
    assert!(
        !blocksmith_consensus::InvalidData::from(BlockError::ProposerSignature(0)).condemns_root()
    );
}

#[test]
fn the_services_can_have_an_epoch_prepared() {
    // Where no validator is active, none can be chosen; a preparation that does nothing would not
    // notice.
    let phase0 = Phase0::<Minimal>::new(config());
    let mut state = advanced(&genesis(), 2);
    assert_eq!(phase0.prepare_epoch(&state), Ok(()));
    for index in 0..VALIDATORS {
        state.validators.get_mut(index as usize).unwrap().exit_epoch = 0;
    }
    state.drop_caches();
    assert_eq!(phase0.prepare_epoch(&state), Err(StateError::NoActiveValidators(0).into()));
}

#[test]
fn attestations_that_are_verified_together_have_the_outcomes_that_each_has_alone() {
    // Mixes valid ones with every kind of fault, two of them in a row; then tries all valid, one,
    // and none.
    type Spoil = fn(&mut Attestation);
    let phase0 = Phase0::<Minimal>::new(config());
    let state = advanced(&genesis(), 2);
    let valid = attestation(&state);
    let spoils: [Spoil; 9] = [
        |_| (),
        |vote| vote.signature = wrong(),
        |vote| vote.signature = SignatureBytes::new([0xff; 96]),
        |vote| vote.aggregation_bits = [false; 4].as_slice().try_into().unwrap(),
        |_| (),
        |vote| vote.data.target.epoch = 1,
        |vote| vote.data.index = 9,
        |vote| vote.data.beacon_block_root = Root::new([1; 32]),
        |_| (),
    ];
    let votes: Vec<_> = spoils
        .iter()
        .map(|spoil| {
            let mut vote = valid.clone();
            spoil(&mut vote);
            SharedAttestation::from(vote)
        })
        .collect();
    for votes in [&votes[..], &[votes[0].clone(), votes[4].clone()], &votes[1..2], &[]] {
        let together = phase0.verify_attestations(&state, votes);
        let alone: Vec<_> =
            votes.iter().map(|vote| phase0.verify_attestation(&state, vote)).collect();
        assert_eq!(together, alone);
    }
    let outcomes = phase0.verify_attestations(&state, &votes);
    let accepted = outcomes.iter().map(Result::is_ok).collect::<Vec<_>>();
    assert_eq!(accepted, [true, false, false, false, true, false, false, false, true]);
}

/// The genesis state advanced to `slot` by a block in every slot, each with the votes of the
/// previous slot.
fn attested_chain(slot: u64) -> State {
    let mut state = genesis();
    for next in 1..=slot {
        process_slots(&mut state, next, &config()).unwrap();
        let mut block = draft(&state);
        if next > 1 {
            block.body.attestations = all_votes(&state).try_into().unwrap();
        }
        verify_and_process_block(
            &mut state,
            &SignedBeaconBlock { message: block, ..SignedBeaconBlock::default() },
            UpdateFlags::replay(),
            &config(),
        )
        .unwrap();
    }
    state
}

#[test]
fn checkpoints_are_pulled_up_to_what_the_epoch_already_supports() {
    // Lets all validators vote for three epochs, and looks at the checkpoints within the epoch and
    // after it.
    let state = attested_chain(31);
    let before = state.hash_tree_root();
    let (justified, finalized) = compute_pulled_up_checkpoints(&state).unwrap();
    assert_eq!(state.hash_tree_root(), before);
    assert_eq!(
        (state.current_justified_checkpoint.epoch, state.finalized_checkpoint.epoch),
        (2, 0)
    );
    assert_eq!((justified.epoch, finalized.epoch), (3, 2));
    let after = advanced(&state, 32);
    assert_eq!(
        (after.current_justified_checkpoint, after.finalized_checkpoint),
        (justified, finalized)
    );
    let start = attested_chain(24);
    assert!(compute_pulled_up_checkpoints(&start).is_ok());
}

#[test]
fn full_participation_is_rewarded_and_absence_is_not() {
    // Compares balances after an epoch of full participation with those after an empty one.
    let genesis_total: u64 = genesis().balances.iter().sum();
    let attested: u64 = advanced(&attested_chain(23), 24).balances.iter().sum();
    let empty: u64 = advanced(&genesis(), 24).balances.iter().sum();
    assert!(attested > genesis_total);
    assert!(empty < genesis_total);
}

#[test]
fn a_state_hashed_by_two_threads_has_the_same_root() {
    // Distributes the hashing of a decoded state, twice over, and compares the root with one
    // computed alone.
    let mut state = BeaconState::<Mainnet>::from_ssz_bytes(&{
        let config = ChainConfig::mainnet();
        let genesis: BeaconState<Mainnet> =
            initialize_beacon_state_from_eth1(Root::new([6; 32]), 3, &[], &config).unwrap();
        genesis.encode()
    })
    .unwrap();
    for index in 0..2_000 {
        let validator = Validator { activation_epoch: index, ..Validator::default() };
        state.validators.push(validator).unwrap();
        state.balances.push(index).unwrap();
    }
    state.drop_caches();
    let alone = BeaconState::<Mainnet>::from_ssz_bytes(&state.encode()).unwrap();
    let jobs = state.root_jobs(2);
    assert!(jobs.len() >= 4, "{}", jobs.len());
    std::thread::scope(|scope| {
        scope.spawn(|| jobs.iter().for_each(RootJob::run));
        jobs.iter().rev().for_each(RootJob::run);
    });
    assert_eq!(state.hash_tree_root(), alone.hash_tree_root());
    assert!(state.root_jobs(2).is_empty());
}

#[test]
fn attesters_are_the_members_whose_bit_is_set() {
    // Committees of 12 and 13 members: tries every pattern of a few bits, and bits beyond the last
    // member.
    let mut state = genesis();
    let validator = state.validators.get(0).unwrap().clone();
    for _ in VALIDATORS..400 {
        state.validators.push(validator.clone()).unwrap();
        state.balances.push(32_000_000_000).unwrap();
    }
    state.drop_caches();
    let mut lengths = Vec::new();
    for slot in 0..8 {
        let index = slot % 4;
        let committee = get_beacon_committee(&state, slot, index).unwrap();
        lengths.push(committee.len());
        let data = AttestationData { slot, index, ..AttestationData::default() };
        for pattern in (0..1u32 << 16).step_by(379) {
            for length in committee.len()..=16 {
                let bits: Vec<bool> = (0..length).map(|at| pattern >> at & 1 == 1).collect();
                let members = committee.iter().zip(&bits).filter(|(_, bit)| **bit);
                let mut expected: Vec<u64> = members.map(|(member, _)| *member).collect();
                expected.sort_unstable();
                let bits = bits.as_slice().try_into().unwrap();
                assert_eq!(get_attesting_indices(&state, &data, &bits).unwrap(), expected);
            }
        }
        let short = vec![true; committee.len() - 1];
        let short = short.as_slice().try_into().unwrap();
        assert!(get_attesting_indices(&state, &data, &short).is_err());
    }
    assert!(lengths.contains(&12) && lengths.contains(&13), "{lengths:?}");
}
