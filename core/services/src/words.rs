//! Tests of the words by which logs, metrics and reports name things.

use std::collections::BTreeSet;
use std::fmt::Debug;

use crate::clearance::shell::Message as ToClearance;
use crate::clearance::{BuildOn, Import, Wanted};
use crate::consensus::{Checkpoint, Consensus, IndexedVote};
use crate::gossip::{GossipVote, Operation, OperationKind};
use crate::hot_db::shell::Message as ToHotDb;
use crate::hot_db::{CommitteesAt, CommitteesKey, Prune, StateAt};
use crate::identified;
use crate::payload::Places;
use crate::payload_attestation::Step;
use crate::quarantine::shell::Message as ToQuarantine;
use crate::quarantine::{Event, Item};
use crate::rewinder::Answer;
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyOperation, ToyPayloadVote, ToyState};
use crate::verdict::{Cleared, DropReason, IgnoreReason, PendingReason, Quarantined, RejectReason};
use crate::{beacon_validator, payload_attestation};

const AT: Checkpoint<u8> = Checkpoint { epoch: 1, root: 2 };

/// Asserts that each word is its variant's name, in lower case, with `between` for the joints.
fn assert_named<T: Debug + Copy>(all: &[T], word: fn(T) -> &'static str, between: &str) {
    for one in all {
        let mut name = String::new();
        for (place, letter) in format!("{one:?}").char_indices() {
            if letter.is_uppercase() && place > 0 {
                name.push_str(between);
            }
            name.push(letter.to_ascii_lowercase());
        }
        assert_eq!(word(*one), name);
    }
}

/// Asserts that each is named by its word, and that no two kinds have one word.
fn assert_kinds(told: &[(&'static str, &'static str)]) {
    for (word, expected) in told {
        assert_eq!(word, expected);
    }
    let words: BTreeSet<_> = told.iter().map(|(word, _)| word).collect();
    assert_eq!(words.len(), told.len());
}

#[test]
fn the_word_of_a_reason_is_its_name() {
    // All reasons, kinds and steps that a metric has as a label or that a verdict is told with.
    use DropReason as Drop;
    use IgnoreReason as Ignore;
    use PendingReason as Pending;
    use beacon_validator::{Kind, Reason as Missed};
    use payload_attestation::Reason as NoVote;
    let kinds = [Kind::Proposal, Kind::Attestation, Kind::Aggregation];
    assert_named(&kinds, Kind::word, "_");
    let missed = [
        Missed::SlotOver,
        Missed::NodeLate,
        Missed::ProtectionLate,
        Missed::SignerLate,
        Missed::PublishLate,
        Missed::NodeFailed,
        Missed::ProtectionFailed,
        Missed::SignerFailed,
        Missed::PublishFailed,
        Missed::BadAnswer,
        Missed::UnknownHead,
        Missed::OtherBranch,
        Missed::AlreadySigned,
        Missed::Refused,
        Missed::UnknownKey,
        Missed::MayNotSign,
        Missed::Reassigned,
        Missed::ClockStepped,
        Missed::Fault,
    ];
    assert_named(&missed, Missed::word, "_");
    let no_vote = [
        NoVote::SlotOver,
        NoVote::DeadlineOver,
        NoVote::MayHaveVoted,
        NoVote::NoBlock,
        NoVote::NodeLate,
        NoVote::NodeFailed,
        NoVote::BadAnswer,
        NoVote::UnknownHead,
        NoVote::NoList,
        NoVote::OtherBranch,
        NoVote::SignerLate,
        NoVote::SignerFailed,
        NoVote::SignerRefused,
        NoVote::UnknownKey,
        NoVote::PublishLate,
        NoVote::PublishFailed,
        NoVote::PublishRefused,
        NoVote::MayNotSign,
        NoVote::Removed,
        NoVote::ClockStepped,
        NoVote::Fault,
    ];
    assert_named(&no_vote, NoVote::word, "_");
    assert_named(&[Step::Fetch, Step::Sign, Step::Publish], Step::word, "_");
    let ignored = [
        Ignore::Duplicate,
        Ignore::TooOld,
        Ignore::FutureSlot,
        Ignore::NotAfterFinalizedSlot,
        Ignore::SecondProposal,
        Ignore::SecondVote,
        Ignore::SeenAggregate,
        Ignore::SecondAggregate,
        Ignore::SeenOperation,
        Ignore::NotCurrentSlot,
        Ignore::BlockOfAnotherSlot,
        Ignore::BlockAfterAttestation,
        Ignore::FinalizedNotAncestor,
    ];
    assert_named(&ignored, Ignore::word, "_");
    let dropped = [
        Drop::QuarantineFull,
        Drop::Evicted,
        Drop::PeerQuota,
        Drop::PeerBusy,
        Drop::TooDeep,
        Drop::Expired,
        Drop::Finalized,
        Drop::HotDbFull,
        Drop::RewinderFull,
        Drop::TooFar,
        Drop::Shutdown,
        Drop::Fault,
    ];
    assert_named(&dropped, Drop::word, "_");
    let pending = [
        Pending::UnknownParent,
        Pending::UnknownBlock,
        Pending::UnknownPayload,
        Pending::FutureSlot,
        Pending::BeingChecked,
    ];
    assert_named(&pending, Pending::word, "_");
    let topics = [
        OperationKind::ProposerSlashing,
        OperationKind::AttesterSlashing,
        OperationKind::VoluntaryExit,
    ];
    assert_named(&topics, OperationKind::word, " ");
    let rejected: [RejectReason<crate::toy::ToyInvalid>; 2] =
        [RejectReason::KnownInvalid, RejectReason::NoParticipants];
    assert_eq!(rejected.map(|reason| reason.word()), ["known_invalid", "no_participants"]);
}

#[test]
fn a_report_names_the_kind_of_message_for_clearance() {
    // Every import and every other message. Those that come through a reserved slot are the answers
    // to Clearance's own requests.
    let toy = Toy::default();
    type Told = ToClearance<Toy, (), (), (), ()>;
    let import = |import| Told::Import { import, reply: () };
    let block = ToyBlock::new(3, 2, 5);
    let effects = toy.block_effects(&ToyState::anchor(), &block).unwrap();
    let block = Box::new(Cleared::new(identified::block(&toy, block), effects));
    let (id, validator, valid) = (20, 1, true);
    let attestation = ToyAttestation { id, slot: 5, head: 3, target: AT, validator, valid };
    let indexed = || IndexedVote { vote: toy.vote(&attestation), indices: vec![1] };
    let single = GossipVote::Single { attestation, subnet: 1 };
    let exit = ToyOperation { id: 30, validators: 2, signed: true, valid: true };
    let exit = identified::operation(&toy, Operation::VoluntaryExit(exit));
    let (present, available) = (true, true);
    let vote = ToyPayloadVote { id: 40, slot: 5, block: 3, validator, present, available, valid };
    let places = Places { committee: 5, held: vec![1] };
    let payload_vote = Cleared::new(identified::payload_vote(&toy, vote), places);
    let attestation = Cleared::new(identified::attestation(&toy, attestation), indexed());
    let vote = Cleared::new(identified::gossip_vote(&toy, single), indexed());
    let imports = [
        (import(Import::Block { block, timely: true }), "block"),
        (import(Import::Attestation(Box::new(attestation))), "attestation"),
        (import(Import::Vote(Box::new(vote))), "vote"),
        (import(Import::Operation(Box::new(Cleared::new(exit, vec![1])))), "operation"),
        (import(Import::PayloadVote(Box::new(payload_vote))), "payload vote"),
        (import(Import::Payload { root: 3 }), "payload"),
        (import(Import::Tick { slot: 5 }), "tick"),
    ];
    let answers = [
        (Told::Balances { checkpoint: AT, balances: None }, "balances"),
        (Told::Spent(vec![]), "operations"),
    ];
    let of_view = (Told::View(()), "question");
    assert!(imports.iter().chain([&of_view]).all(|(message, _)| !message.is_reply()));
    assert!(answers.iter().all(|(message, _)| message.is_reply()));
    let all = imports.iter().chain(&answers).chain([&of_view]);
    assert_kinds(&all.map(|(message, word)| (message.word(), *word)).collect::<Vec<_>>());
    let material = Told::Material { on: BuildOn::Block(3), wanted: Wanted::Parent, reply: () };
    assert_eq!([Told::Chain(()).word(), material.word()], ["question"; 2]);
}

#[test]
fn a_report_names_the_kind_of_message_for_the_hot_db() {
    // Every message.
    type Told = ToHotDb<Toy, (), ()>;
    let state = || StateAt { root: 3, slot: 5, state: ToyState::anchor() };
    let block = identified::block(&Toy::default(), ToyBlock::new(3, 2, 5));
    let key = CommitteesKey { dependent_root: 2, epoch: 1 };
    let all: [(Told, _); 6] = [
        (Told::Trail { root: 3, slot: 5, reply: () }, "trail"),
        (Told::Committees { target: AT, reply: () }, "committees"),
        (Told::Commit { block, state: state(), reply: () }, "commit"),
        (Told::PostState(state()), "state"),
        (Told::PostCommittees(CommitteesAt { key, committees: () }), "computed committees"),
        (Told::Prune(Prune { finalized: AT, justified: 2, head: 3 }), "prune"),
    ];
    assert_kinds(&all.map(|(message, word)| (message.word(), word)));
}

#[test]
fn a_report_names_the_kind_of_message_for_the_quarantine() {
    // Every message, and whether it comes through a reserved slot; and the same words for events.
    type Told = ToQuarantine<Toy, (), ()>;
    let item = || Quarantined::new(Item::Block(ToyBlock::new(3, 2, 5)), 8, 1);
    let (request, finalized) = (9, AT);
    let all: [(Told, _, _); 9] = [
        (Told::Submit { id: 7, item: item(), verdict: () }, "submission", false),
        (Told::Answered { request, answer: Answer::Busy }, "answer", true),
        (Told::Imported { request: Some(request), finalized }, "import", true),
        (Told::NotImported { request }, "failed import", true),
        (Told::Payload { root: 3 }, "payload", false),
        (Told::Tick { slot: 5, into_slot_ms: 0 }, "tick", false),
        (Told::Weigh { peer: 8, weight: 2 }, "weight", false),
        (Told::Pending(()), "question", false),
        (Told::Stop, "stop", true),
    ];
    for (message, word, is_reply) in &all {
        assert_eq!(message.is_reply(), *is_reply, "{word}");
    }
    assert_kinds(&all.map(|(message, word, _)| (message.word(), word)));
    let events: [(Event<Toy>, _); 8] = [
        (Event::Submit { id: 7, item: item() }, "submission"),
        (Event::Answered { request, answer: Answer::Busy }, "answer"),
        (Event::Imported { request: None, finalized }, "import"),
        (Event::NotImported { request }, "failed import"),
        (Event::Payload { root: 3 }, "payload"),
        (Event::Tick { slot: 5, into_slot_ms: 0 }, "tick"),
        (Event::Weigh { peer: 8, weight: 2 }, "weight"),
        (Event::Stop, "stop"),
    ];
    assert_kinds(&events.map(|(event, word)| (event.word(), word)));
}
