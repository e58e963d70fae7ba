//! Tests of the conditions of a block's stages, and of the operation to which a signature that
//! fails in a batch is attributed.

use blocksmith_consensus::{
    AttestationError, AttesterSlashingError, BeaconBlock, BlockError, ChainConfig,
    DOMAIN_BEACON_PROPOSER, Deposit, Eth1DataError, HeaderError, IndexedAttestationError,
    OperationsError, ProposerSlashingError, RandaoError, Root, Signatures, SignedBeaconBlock,
    StateError, TransitionError, UpdateFlags, VoluntaryExitError, Wire, get_domain,
    process_block_header, process_eth1_data, process_operations, process_randao, process_slots,
    verify_and_process_block, verify_and_process_block_one_by_one,
};

use super::operations::{
    attester_slashing, named, proposer_slashing, short_service, voluntary_exit,
};
use super::{Case, Spoil, judge, validator, wrong};
use crate::support::{State, advanced, attestation, complete, config, draft, genesis, sign};

#[test]
fn every_condition_of_a_block_header_is_named() {
    // Breaks each condition of `process_block_header`, and leaves no validator that could propose.
    let state = advanced(&genesis(), 2);
    let block = draft(&state);
    let (proposer, parent) = (block.proposer_index, block.parent_root);
    let (provided, other) = (proposer ^ 1, Root::new([4; 32]));
    let texts = [
        format!("proposer index {provided}, expected {proposer}"),
        format!("parent root {other}, expected {parent}"),
        format!("proposer {proposer} is slashed, expected one that is not"),
    ];
    let cases: [(Spoil<BeaconBlock>, HeaderError, &str); 6] = [
        (|_, block| block.slot = 3, HeaderError::Slot { block: 3, state: 2 }, "slot 3, expected 2"),
        (
            |state, _| state.latest_block_header.slot = 2,
            HeaderError::NotAfterLatest { block: 2, latest: 2 },
            "slot 2, expected more than the latest block's 2",
        ),
        (
            |_, block| block.proposer_index ^= 1,
            HeaderError::Proposer { provided, expected: proposer },
            &texts[0],
        ),
        (
            |_, block| block.parent_root = Root::new([4; 32]),
            HeaderError::ParentRoot { provided: other, latest: parent },
            &texts[1],
        ),
        (
            |state, block| validator(state, block.proposer_index).slashed = true,
            HeaderError::ProposerSlashed(proposer),
            &texts[2],
        ),
        (
            |state, _| {
                (0..64).for_each(|index| validator(state, index).exit_epoch = 0);
                state.drop_caches();
            },
            StateError::NoActiveValidators(0).into(),
            "no active validators in epoch 0, expected at least one",
        ),
    ];
    let process = |state: &mut State, block: &BeaconBlock| {
        process_block_header(state, block, UpdateFlags::default())
    };
    judge(&state, &block, process, named("BlockHeader", cases));
}

#[test]
fn a_wrong_randao_reveal_is_named() {
    // Reveals the signature of another validator, and one that is no validator's.
    let state = advanced(&genesis(), 2);
    let block = draft(&state);
    let proposer = block.proposer_index;
    let text = format!("reveal does not verify, expected proposer {proposer}'s for epoch 0");
    let error = RandaoError::Signature { proposer, epoch: 0 };
    let cases: [(Spoil<BeaconBlock>, RandaoError, &str); 2] = [
        (|_, block| block.body.randao_reveal = wrong(), error.clone(), &text),
        (|_, block| block.body.randao_reveal = [0xff; 96].into(), error, &text),
    ];
    let process = |state: &mut State, block: &BeaconBlock| {
        process_randao(state, &block.body, &mut Signatures::Verify)
    };
    judge(&state, &block, process, named("Randao", cases));
}

#[test]
fn a_vote_on_the_deposit_contract_without_room_is_named() {
    // Fills the state's votes.
    let state = advanced(&genesis(), 2);
    let block = draft(&state);
    let cases: [(Spoil<BeaconBlock>, Eth1DataError, &str); 1] = [(
        |state, block| while state.eth1_data_votes.push(block.body.eth1_data.clone()).is_ok() {},
        StateError::ListFull("votes on the deposit contract").into(),
        "the state's votes on the deposit contract are full, expected room for one more",
    )];
    let process = |state: &mut State, block: &BeaconBlock| process_eth1_data(state, &block.body);
    judge(&state, &block, process, named("Eth1Data", cases));
}

#[test]
fn a_wrong_number_of_deposits_is_named() {
    // Gives too few and too many deposits, and a state that has processed more than there are.
    let state = advanced(&genesis(), 2);
    let block = draft(&state);
    let cases: [(Spoil<BeaconBlock>, OperationsError, &str); 4] = [
        (
            |state, _| state.eth1_data.deposit_count = 3,
            OperationsError::DepositCount { provided: 0, expected: 3 },
            "0 deposits, expected 3",
        ),
        (
            |state, _| state.eth1_data.deposit_count = 99,
            OperationsError::DepositCount { provided: 0, expected: 16 },
            "0 deposits, expected 16",
        ),
        (
            |_, block| block.body.deposits = vec![Deposit::default()].try_into().unwrap(),
            OperationsError::DepositCount { provided: 1, expected: 0 },
            "1 deposits, expected 0",
        ),
        (
            |state, _| state.eth1_deposit_index = 1,
            OperationsError::DepositIndex { index: 1, count: 0 },
            "eth1 deposit index 1, expected at most 0",
        ),
    ];
    let process = |state: &mut State, block: &BeaconBlock| {
        let mut signatures = Signatures::Verify;
        process_operations(state, &block.body, UpdateFlags::default(), &mut signatures, &config())
    };
    judge(&state, &block, process, named("Operations", cases));
}

/// A block of slot 10 with operations of every kind but deposits, two attestations and two exits
/// among them; its state root is left out.
fn full_block(state: &State) -> SignedBeaconBlock {
    let mut block = draft(state);
    let body = &mut block.body;
    body.proposer_slashings = vec![proposer_slashing(state)].try_into().unwrap();
    body.attester_slashings = vec![attester_slashing(state)].try_into().unwrap();
    body.attestations = vec![attestation(state); 2].try_into().unwrap();
    body.voluntary_exits = vec![voluntary_exit(state)].try_into().unwrap();
    complete(state, block)
}

/// Gives the block as it is a valid signature of its proposer.
fn resign(state: &State, block: &mut SignedBeaconBlock) {
    let domain = get_domain(state, DOMAIN_BEACON_PROPOSER, 1);
    let message = &block.message;
    block.signature = sign(message.proposer_index, message.hash_tree_root(), domain);
}

fn flags() -> UpdateFlags {
    UpdateFlags { skip_state_root_validation: true, ..UpdateFlags::default() }
}

type Judge =
    fn(&mut State, &SignedBeaconBlock, UpdateFlags, &ChainConfig) -> Result<(), TransitionError>;

/// The outcome of a block, which is the same in a batch and one signature at a time.
fn outcome(state: &mut State, block: &SignedBeaconBlock) -> Result<(), BlockError> {
    let mut block = block.clone();
    if block.signature != wrong() {
        resign(state, &mut block);
    }
    let judges: [Judge; 2] = [verify_and_process_block, verify_and_process_block_one_by_one];
    let [batch, one_by_one] = judges.map(|judge| {
        judge(&mut state.clone(), &block, flags(), &short_service()).map_err(|error| match error {
            TransitionError::Invalid(error) => error,
            TransitionError::Fault(fault) => panic!("{fault}"),
        })
    });
    assert_eq!(batch, one_by_one);
    batch
}

#[test]
fn a_signature_that_fails_in_a_batch_is_laid_to_its_operation() {
    // Spoils one signature of a full block at a time, and compares the batch with verifying one by
    // one.
    let state = advanced(&genesis(), 10);
    let block = full_block(&state);
    let proposer = block.message.proposer_index;
    let indexed = |attesters| IndexedAttestationError::Signature { attesters };
    let attestation = |index| {
        let error = AttestationError::Indexed(indexed(4));
        OperationsError::Attestation { index, error }.into()
    };
    let slashing = |number| {
        let error = AttesterSlashingError::Attestation { number, error: indexed(3) };
        OperationsError::AttesterSlashing { index: 0, error }.into()
    };
    let header = |header| {
        let error = ProposerSlashingError::Signature { header, proposer: 5 };
        OperationsError::ProposerSlashing { index: 0, error }.into()
    };
    let exit =
        OperationsError::VoluntaryExit { index: 0, error: VoluntaryExitError::Signature(11) };
    let text = |text: &str, place: &str| format!("{text} ({place} 0 of the block)");
    let cases: Vec<Case<SignedBeaconBlock, BlockError>> = vec![
        (
            |_, block| block.signature = wrong(),
            BlockError::ProposerSignature(proposer),
            format!("BlockSignature: signature does not verify, expected proposer {proposer}'s"),
        ),
        (
            |_, block| block.message.body.randao_reveal = wrong(),
            RandaoError::Signature { proposer, epoch: 1 }.into(),
            format!("Randao: reveal does not verify, expected proposer {proposer}'s for epoch 1"),
        ),
        (
            |_, block| block.message.body.proposer_slashings[0].signed_header_1.signature = wrong(),
            header(1),
            text(
                "ProposerSlashing: signature of header 1 does not verify, expected validator 5's",
                "proposer slashing",
            ),
        ),
        (
            |_, block| block.message.body.proposer_slashings[0].signed_header_2.signature = wrong(),
            header(2),
            text(
                "ProposerSlashing: signature of header 2 does not verify, expected validator 5's",
                "proposer slashing",
            ),
        ),
        (
            |_, block| block.message.body.attester_slashings[0].attestation_1.signature = wrong(),
            slashing(1),
            text(
                "AttesterSlashing: attestation 1: signature does not verify, expected that of 3 \
                 attesters",
                "attester slashing",
            ),
        ),
        (
            |_, block| block.message.body.attester_slashings[0].attestation_2.signature = wrong(),
            slashing(2),
            text(
                "AttesterSlashing: attestation 2: signature does not verify, expected that of 3 \
                 attesters",
                "attester slashing",
            ),
        ),
        (
            |_, block| block.message.body.attestations[0].signature = wrong(),
            attestation(0),
            text(
                "Attestation: signature does not verify, expected that of 4 attesters",
                "attestation",
            ),
        ),
        (
            |_, block| block.message.body.attestations[1].signature = wrong(),
            attestation(1),
            "Attestation: signature does not verify, expected that of 4 attesters \
             (attestation 1 of the block)"
                .to_owned(),
        ),
        (
            |_, block| block.message.body.voluntary_exits[0].signature = wrong(),
            exit.into(),
            text(
                "VoluntaryExit: signature does not verify, expected validator 11's",
                "voluntary exit",
            ),
        ),
    ];
    judge(&state, &block, outcome, cases);
}

#[test]
fn an_operation_of_a_block_is_named_with_its_place() {
    // Breaks a condition other than the signature in each kind of operation, including deposits.
    let state = advanced(&genesis(), 10);
    let mut block = full_block(&state);
    // The second slashing is of the validators that the first one slashed; the exit is for a later
    // epoch.
    let texts = |spoil: fn(&mut SignedBeaconBlock)| {
        let mut block = block.clone();
        spoil(&mut block);
        outcome(&mut state.clone(), &block).expect_err("spoilt").to_string()
    };
    let twice = texts(|block| {
        let slashings = &mut block.message.body.attester_slashings;
        let again = slashings[0].clone();
        slashings.push(again);
    });
    assert_eq!(
        twice,
        "AttesterSlashing: none of 3 common attesters slashable, expected at least one \
         (attester slashing 1 of the block)"
    );
    let later = texts(|block| block.message.body.voluntary_exits[0].message.epoch = 4);
    assert_eq!(later, "VoluntaryExit: epoch 4, expected at most 1 (voluntary exit 0 of the block)");
    let mut owed = state.clone();
    owed.eth1_data.deposit_count = 1;
    block.message.body.deposits = vec![Deposit::default()].try_into().unwrap();
    let unproven = outcome(&mut owed, &block).expect_err("no proof").to_string();
    assert!(unproven.starts_with("Deposit: root 0x"), "{unproven}");
    assert!(unproven.ends_with("(deposit 0 of the block)"), "{unproven}");
}

#[test]
fn a_past_slot_and_a_wrong_state_root_are_named() {
    // Gives a block of a past slot, and one with a wrong state root.
    let state = advanced(&genesis(), 2);
    let mut block = complete(&state, draft(&state));
    let computed = block.message.state_root;
    let provided = Root::new([1; 32]);
    block.message.state_root = provided;
    let domain = get_domain(&state, DOMAIN_BEACON_PROPOSER, 0);
    block.signature = sign(block.message.proposer_index, block.message.hash_tree_root(), domain);
    let apply = |state: &State| {
        verify_and_process_block(&mut state.clone(), &block, UpdateFlags::default(), &config())
    };
    let error = BlockError::StateRoot { provided, computed };
    assert_eq!(error.to_string(), format!("StateRoot: state root {provided}, expected {computed}"));
    assert_eq!(apply(&state), Err(TransitionError::Invalid(error)));

    let error = process_slots(&mut state.clone(), 2, &config()).unwrap_err();
    let error = BlockError::from(error);
    assert_eq!(error, BlockError::SlotNotAfterParent { slot: 2, parent_slot: 2 });
    assert_eq!(error.to_string(), "Slots: block slot 2, expected more than 2");
}
