//! Tests of the conditions of each operation.

use blocksmith::consensus::Consensus;
use blocksmith::gossip::Operation;
use blocksmith_consensus::{
    Attestation, AttestationData, AttestationError, AttesterSlashing, AttesterSlashingError,
    BeaconBlockHeader, ChainConfig, Checkpoint, DOMAIN_BEACON_ATTESTER, DOMAIN_BEACON_PROPOSER,
    DOMAIN_VOLUNTARY_EXIT, Deposit, DepositError, DepositTree, IndexedAttestation,
    IndexedAttestationError, Minimal, Overflow, PendingAttestation, Phase0, ProposerSlashing,
    ProposerSlashingError, Root, Signatures, SignedBeaconBlockHeader, SignedVoluntaryExit,
    StateError, VoluntaryExit, VoluntaryExitError, Wire, get_domain, hash_concat,
    process_attestation, process_attester_slashing, process_deposit, process_proposer_slashing,
    process_voluntary_exit,
};

use super::{Case, Spoil, judge, signed_by, validator, wrong};
use crate::support::{State, VALIDATORS, advanced, attestation, config, deposit, genesis, sign};

/// A slashing of validator 5 for two headers of slot 1.
pub(super) fn proposer_slashing(state: &State) -> ProposerSlashing {
    let domain = get_domain(state, DOMAIN_BEACON_PROPOSER, 0);
    let header = |body_root| {
        let message =
            BeaconBlockHeader { slot: 1, proposer_index: 5, body_root, ..Default::default() };
        let signature = sign(5, message.hash_tree_root(), domain);
        SignedBeaconBlockHeader { message, signature }
    };
    ProposerSlashing {
        signed_header_1: header(Root::new([1; 32])),
        signed_header_2: header(Root::new([2; 32])),
    }
}

/// A slashing of validators 7, 8 and 9 for two votes of one epoch.
pub(super) fn attester_slashing(state: &State) -> AttesterSlashing {
    let domain = get_domain(state, DOMAIN_BEACON_ATTESTER, 0);
    let vote = |beacon_block_root| {
        let data = AttestationData { beacon_block_root, ..Default::default() };
        IndexedAttestation {
            attesting_indices: vec![7, 8, 9].try_into().unwrap(),
            signature: signed_by(&[7, 8, 9], data.hash_tree_root(), domain),
            data,
        }
    };
    AttesterSlashing {
        attestation_1: vote(Root::new([1; 32])),
        attestation_2: vote(Root::new([2; 32])),
    }
}

/// An exit of validator 11 for epoch 0.
pub(super) fn voluntary_exit(state: &State) -> SignedVoluntaryExit {
    let message = VoluntaryExit { epoch: 0, validator_index: 11 };
    let domain = get_domain(state, DOMAIN_VOLUNTARY_EXIT, 0);
    let signature = sign(11, message.hash_tree_root(), domain);
    SignedVoluntaryExit { message, signature }
}

type NodeOperation = Operation<Phase0<Minimal>>;

#[test]
fn an_operation_is_spent_once_no_later_block_can_carry_it() {
    // Each operation against the state that it is made for, and after each change. A slashing of
    // three is not spent while one of them can be slashed. The exit of a slashed validator is
    // spent.
    let node = Phase0::<Minimal>::new(config());
    let fresh = advanced(&genesis(), 9);
    let after = |change: &dyn Fn(&mut State)| {
        let mut state = fresh.clone();
        change(&mut state);
        let proposer = NodeOperation::ProposerSlashing(proposer_slashing(&fresh).into());
        let attester = NodeOperation::AttesterSlashing(attester_slashing(&fresh).into());
        let exit = NodeOperation::VoluntaryExit(voluntary_exit(&fresh).into());
        [proposer, attester, exit].map(|operation| node.is_spent(&state, &operation))
    };
    assert_eq!(after(&|_| {}), [false; 3]);
    assert_eq!(after(&|state| validator(state, 5).slashed = true), [true, false, false]);
    assert_eq!(after(&|state| validator(state, 5).withdrawable_epoch = 1), [true, false, false]);
    assert_eq!(after(&|state| validator(state, 5).withdrawable_epoch = 2), [false; 3]);
    assert_eq!(after(&|state| validator(state, 5).activation_epoch = 9), [false; 3]);
    let slash = |state: &mut State, to| (7..to).for_each(|at| validator(state, at).slashed = true);
    assert_eq!(after(&|state| slash(state, 9)), [false; 3]);
    assert_eq!(after(&|state| slash(state, 10)), [false, true, false]);
    assert_eq!(after(&|state| validator(state, 11).exit_epoch = 900), [false, false, true]);
}

/// A configuration that lets validators exit after an epoch.
pub(super) fn short_service() -> ChainConfig {
    ChainConfig { shard_committee_period: 1, ..config() }
}

#[test]
fn every_condition_of_a_proposer_slashing_is_named() {
    // Breaks each condition of `process_proposer_slashing`; a validator is slashable on three.
    let state = advanced(&genesis(), 10);
    let slashing = proposer_slashing(&state);
    let not_slashable = |slashed, activation, withdrawable| {
        let (index, current) = (5, 1);
        ProposerSlashingError::NotSlashable { index, slashed, activation, withdrawable, current }
    };
    let cases: [(Spoil<ProposerSlashing>, ProposerSlashingError, &str); 9] = [
        (
            |_, slashing| slashing.signed_header_2.message.slot = 3,
            ProposerSlashingError::Slots { first: 1, second: 3 },
            "slot 3 of header 2, expected 1",
        ),
        (
            |_, slashing| slashing.signed_header_2.message.proposer_index = 6,
            ProposerSlashingError::Proposers { first: 5, second: 6 },
            "proposer index 6 of header 2, expected 5",
        ),
        (
            |_, slashing| slashing.signed_header_2 = slashing.signed_header_1.clone(),
            ProposerSlashingError::SameHeader { slot: 1, proposer: 5 },
            "equal headers of slot 1 by 5, expected different ones",
        ),
        (
            |_, slashing| {
                slashing.signed_header_1.message.proposer_index = 64;
                slashing.signed_header_2.message.proposer_index = 64;
            },
            StateError::UnknownValidator { index: 64, count: 64 }.into(),
            "validator index 64, expected less than 64",
        ),
        (
            |state, _| validator(state, 5).slashed = true,
            not_slashable(true, 0, u64::MAX),
            "validator 5 with slashed true, activation epoch 0, withdrawable epoch \
             18446744073709551615, expected slashable in 1",
        ),
        (
            |state, _| validator(state, 5).activation_epoch = 2,
            not_slashable(false, 2, u64::MAX),
            "validator 5 with slashed false, activation epoch 2, withdrawable epoch \
             18446744073709551615, expected slashable in 1",
        ),
        (
            |state, _| validator(state, 5).withdrawable_epoch = 1,
            not_slashable(false, 0, 1),
            "validator 5 with slashed false, activation epoch 0, withdrawable epoch 1, \
             expected slashable in 1",
        ),
        (
            |_, slashing| slashing.signed_header_1.signature = wrong(),
            ProposerSlashingError::Signature { header: 1, proposer: 5 },
            "signature of header 1 does not verify, expected validator 5's",
        ),
        (
            |_, slashing| slashing.signed_header_2.signature = wrong(),
            ProposerSlashingError::Signature { header: 2, proposer: 5 },
            "signature of header 2 does not verify, expected validator 5's",
        ),
    ];
    let process = |state: &mut State, slashing: &ProposerSlashing| {
        process_proposer_slashing(state, slashing, &mut Signatures::Verify, &config())
    };
    judge(&state, &slashing, process, named("ProposerSlashing", cases));
}

#[test]
fn every_condition_of_an_attester_slashing_is_named() {
    // Breaks each condition of `process_attester_slashing`, in either attestation.
    let state = advanced(&genesis(), 10);
    let slashing = attester_slashing(&state);
    let within = |number, error| AttesterSlashingError::Attestation { number, error };
    let cases: [(Spoil<AttesterSlashing>, AttesterSlashingError, &str); 8] = [
        (
            |_, slashing| slashing.attestation_2 = slashing.attestation_1.clone(),
            AttesterSlashingError::NotSlashable { first: (0, 0), second: (0, 0) },
            "votes from epoch 0 to 0 and from 0 to 0, expected a double or a surrounding vote",
        ),
        (
            |_, slashing| {
                // The second surrounds the first: that is not slashable in this order.
                (
                    slashing.attestation_1.data.source.epoch,
                    slashing.attestation_1.data.target.epoch,
                ) = (2, 3);
                (
                    slashing.attestation_2.data.source.epoch,
                    slashing.attestation_2.data.target.epoch,
                ) = (1, 4);
            },
            AttesterSlashingError::NotSlashable { first: (2, 3), second: (1, 4) },
            "votes from epoch 2 to 3 and from 1 to 4, expected a double or a surrounding vote",
        ),
        (
            |_, slashing| slashing.attestation_1.attesting_indices = Default::default(),
            within(1, IndexedAttestationError::Empty),
            "attestation 1: 0 attesting indices, expected at least one",
        ),
        (
            |_, slashing| slashing.attestation_2.attesting_indices[1] = 7,
            within(2, IndexedAttestationError::Unsorted { previous: 7, index: 7 }),
            "attestation 2: attesting index 7 after 7, expected ascending and distinct ones",
        ),
        (
            |_, slashing| slashing.attestation_1.attesting_indices[2] = 99,
            within(1, StateError::UnknownValidator { index: 99, count: 64 }.into()),
            "attestation 1: validator index 99, expected less than 64",
        ),
        (
            |_, slashing| slashing.attestation_1.signature = wrong(),
            within(1, IndexedAttestationError::Signature { attesters: 3 }),
            "attestation 1: signature does not verify, expected that of 3 attesters",
        ),
        (
            |_, slashing| slashing.attestation_2.signature = wrong(),
            within(2, IndexedAttestationError::Signature { attesters: 3 }),
            "attestation 2: signature does not verify, expected that of 3 attesters",
        ),
        (
            |state, _| (7..10).for_each(|index| validator(state, index).slashed = true),
            AttesterSlashingError::NobodySlashed { common: 3 },
            "none of 3 common attesters slashable, expected at least one",
        ),
    ];
    let process = |state: &mut State, slashing: &AttesterSlashing| {
        process_attester_slashing(state, slashing, &mut Signatures::Verify, &config())
    };
    judge(&state, &slashing, process, named("AttesterSlashing", cases));
}

#[test]
fn every_condition_of_an_attestation_is_named() {
    // Breaks each condition of `process_attestation`: both ends of the inclusion, both sources.
    const JUSTIFIED: Checkpoint = Checkpoint { epoch: 0, root: Root::ZERO };
    let state = advanced(&genesis(), 10);
    let vote = attestation(&state);
    let source = |epoch, expected| AttestationError::Source {
        provided: Checkpoint { epoch, ..JUSTIFIED },
        expected,
    };
    let zero = Root::ZERO;
    let (wrong_source, wrong_previous) = (
        format!("source of epoch 3 and root {zero}, expected epoch 0 and root {zero}"),
        format!("source of epoch 0 and root {zero}, expected epoch 5 and root {zero}"),
    );
    let cases: [(Spoil<Attestation>, AttestationError, &str); 11] = [
        (
            |_, vote| vote.data.target.epoch = 7,
            AttestationError::TargetEpoch { target: 7, previous: 0, current: 1 },
            "target epoch 7, expected 0 or 1",
        ),
        (
            |_, vote| vote.data.target.epoch = 0,
            AttestationError::TargetSlot { target: 0, expected: 1, slot: 9 },
            "target epoch 0, expected 1 of slot 9",
        ),
        (
            |_, vote| vote.data.slot = 10,
            AttestationError::InclusionDelay { state: 10, earliest: 11, latest: 18 },
            "included at slot 10, expected from 11 to 18",
        ),
        (
            |_, vote| (vote.data.slot, vote.data.target.epoch) = (1, 0),
            AttestationError::InclusionDelay { state: 10, earliest: 2, latest: 9 },
            "included at slot 10, expected from 2 to 9",
        ),
        (
            |_, vote| vote.data.index = 2,
            AttestationError::Committee { index: 2, count: 2 },
            "committee index 2, expected less than 2",
        ),
        (
            |_, vote| vote.aggregation_bits = [true; 5].as_slice().try_into().unwrap(),
            AttestationError::AggregationBits { bits: 5, committee: 4 },
            "5 aggregation bits, expected 4",
        ),
        (|_, vote| vote.data.source.epoch = 3, source(3, JUSTIFIED), &wrong_source),
        (
            |state, vote| {
                state.previous_justified_checkpoint.epoch = 5;
                (vote.data.slot, vote.data.target.epoch) = (7, 0);
            },
            source(0, Checkpoint { epoch: 5, ..JUSTIFIED }),
            &wrong_previous,
        ),
        (
            |_, vote| vote.aggregation_bits = [false; 4].as_slice().try_into().unwrap(),
            IndexedAttestationError::Empty.into(),
            "0 attesting indices, expected at least one",
        ),
        (
            |_, vote| vote.signature = wrong(),
            IndexedAttestationError::Signature { attesters: 4 }.into(),
            "signature does not verify, expected that of 4 attesters",
        ),
        (
            |state, _| {
                while state.current_epoch_attestations.push(PendingAttestation::default()).is_ok() {
                }
            },
            StateError::ListFull("pending attestations").into(),
            "the state's pending attestations are full, expected room for one more",
        ),
    ];
    let process = |state: &mut State, vote: &Attestation| {
        process_attestation(state, vote, &mut Signatures::Verify)
    };
    judge(&state, &vote, process, named("Attestation", cases));
}

/// A new validator's deposit, the first one, with its proof; and a state that expects it.
fn proven_deposit() -> (State, Deposit) {
    let data = deposit(VALIDATORS);
    let mut tree = DepositTree::default();
    assert!(tree.push(data.hash_tree_root()));
    let mut proof = vec![Root::ZERO];
    while proof.len() < 32 {
        let last = proof[proof.len() - 1];
        proof.push(hash_concat(&last, &last));
    }
    // The root is mixed with the number of deposits.
    let mut count = [0; 32];
    count[0] = 1;
    proof.push(Root::new(count));
    let mut state = genesis();
    state.eth1_data.deposit_root = tree.root();
    (state, Deposit { proof: proof.try_into().unwrap(), data })
}

#[test]
fn every_condition_of_a_deposit_is_named() {
    // Breaks the proof by the root and by the data, and overflows the counter and a balance.
    let (state, proven) = proven_deposit();
    let (root, other) = (state.eth1_data.deposit_root, Root::new([3; 32]));
    let mut forged = proven.data.clone();
    forged.amount += 1;
    let forged =
        proven.proof.iter().fold(forged.hash_tree_root(), |node, side| hash_concat(&node, side));
    let proof = |computed, expected| DepositError::MerkleProof { index: 0, computed, expected };
    let texts = [(root, other), (forged, root)].map(|(computed, expected)| {
        format!("root {computed} by the proof at index 0, expected {expected}")
    });
    let cases: [(Spoil<Deposit>, DepositError, &str); 2] = [
        (
            |state, _| state.eth1_data.deposit_root = Root::new([3; 32]),
            proof(root, other),
            &texts[0],
        ),
        (|_, deposit| deposit.data.amount += 1, proof(forged, root), &texts[1]),
    ];
    let process =
        |state: &mut State, deposit: &Deposit| process_deposit(state, deposit, false, &config());
    judge(&state, &proven, process, named("Deposit", cases));

    let overflow = |left, right| StateError::from(Overflow::Add(left, right)).into();
    let cases: [(Spoil<Deposit>, DepositError, &str); 2] = [
        (
            |state, _| state.eth1_deposit_index = u64::MAX,
            overflow(u64::MAX, 1),
            "18446744073709551615 + 1, expected to fit a uint64",
        ),
        (
            |state, top_up| {
                *state.balances.get_mut(3).unwrap() = u64::MAX;
                top_up.data = deposit(3);
            },
            overflow(u64::MAX, 32_000_000_000),
            "18446744073709551615 + 32000000000, expected to fit a uint64",
        ),
    ];
    let unproven =
        |state: &mut State, deposit: &Deposit| process_deposit(state, deposit, true, &config());
    judge(&state, &proven, unproven, named("Deposit", cases));
}

#[test]
fn every_condition_of_a_voluntary_exit_is_named() {
    // Breaks each condition of `process_voluntary_exit`; a validator is active between two epochs.
    let state = advanced(&genesis(), 10);
    let exit = voluntary_exit(&state);
    let not_active = |activation, exit| {
        let (index, current) = (11, 1);
        VoluntaryExitError::NotActive { index, activation, exit, current }
    };
    let cases: [(Spoil<SignedVoluntaryExit>, VoluntaryExitError, &str); 7] = [
        (
            |_, exit| exit.message.validator_index = 64,
            StateError::UnknownValidator { index: 64, count: 64 }.into(),
            "validator index 64, expected less than 64",
        ),
        (
            |state, _| validator(state, 11).activation_epoch = 5,
            not_active(5, u64::MAX),
            "validator 11 active from epoch 5 to 18446744073709551615, expected active in 1",
        ),
        (
            |state, _| validator(state, 11).exit_epoch = 1,
            not_active(0, 1),
            "validator 11 active from epoch 0 to 1, expected active in 1",
        ),
        (
            |state, _| validator(state, 11).exit_epoch = 9,
            VoluntaryExitError::AlreadyExiting { index: 11, exit: 9 },
            "exit epoch 9 of validator 11, expected none",
        ),
        (
            |_, exit| exit.message.epoch = 2,
            VoluntaryExitError::TooEarly { exit: 2, current: 1 },
            "epoch 2, expected at most 1",
        ),
        (
            |state, _| validator(state, 11).activation_epoch = 1,
            VoluntaryExitError::TooYoung { index: 11, current: 1, earliest: 2 },
            "epoch 1 of the state, expected at least 2 for validator 11",
        ),
        (
            |_, exit| exit.signature = wrong(),
            VoluntaryExitError::Signature(11),
            "signature does not verify, expected validator 11's",
        ),
    ];
    let process = |state: &mut State, exit: &SignedVoluntaryExit| {
        process_voluntary_exit(state, exit, &mut Signatures::Verify, &short_service())
    };
    judge(&state, &exit, process, named("VoluntaryExit", cases));
}

/// The cases of an operation, whose name every text begins with.
pub(super) fn named<T, E, const N: usize>(
    operation: &str,
    cases: [(Spoil<T>, E, &str); N],
) -> impl Iterator<Item = Case<T, E>> {
    cases
        .into_iter()
        .map(move |(spoil, error, text)| (spoil, error, format!("{operation}: {text}")))
}
