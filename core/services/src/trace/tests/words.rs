//! The words of every event and effect, as the format has them: who reads a trace reads these.

use std::fmt::Debug;
use std::sync::Arc;

use super::super::items::{header, root};
use super::super::{Begins, Words};
use super::{Kept, TOLD};
use crate::attestation_pool::Candidates;
use crate::clearance::{self, Clearance, Import};
use crate::cold_db::{self, Record};
use crate::consensus::{Balances, Checkpoint, Consensus, IndexedVote};
use crate::fork_choice::{self, Refusal};
use crate::gossip::{GossipVote, IdentifiedOperation, IdentifiedVote, Operation};
use crate::hot_db::{
    self, CommitReply, CommitteesAt, CommitteesKey, HotDb, Prune, StateAt, Trail, TrailReply,
};
use crate::identified::{self, IdentifiedAttestation, IdentifiedBlock};
use crate::machine::Machine;
use crate::payload::{IdentifiedPayloadVote, Places};
use crate::quarantine::{self, Item, Limits};
use crate::rewinder::{Answer, GoesFirst, Job, Lane, Production, WorkerEffect, WorkerEvent};
use crate::store::{StoreError, Write};
use crate::supervision::ServiceName;
use crate::toy::{
    Toy, ToyAggregate, ToyAttestation, ToyBlock, ToyInvalid, ToyOperation, ToyPayloadVote,
    ToySlashing, ToyState, ToyUnsigned,
};
use crate::verdict::{Cleared, IgnoreReason, PendingReason, Quarantined, RejectReason, Verdict};

const TOY: Toy = Toy { slots_per_epoch: 4, validators: 4, payloads: false };
/// Block 3 on block 2.
const BLOCK: ToyBlock = ToyBlock::new(3, 2, 5);
const AT: Checkpoint<u8> = Checkpoint { epoch: 1, root: 2 };
const ATTESTATION: ToyAttestation =
    ToyAttestation { id: 20, slot: 5, head: 3, target: AT, validator: 1, valid: true };
const OPERATION: ToyOperation = ToyOperation { id: 30, validators: 2, signed: true, valid: true };

fn block() -> IdentifiedBlock<Toy> {
    identified::block(&TOY, BLOCK)
}

fn attestation() -> IdentifiedAttestation<Toy> {
    identified::attestation(&TOY, ATTESTATION)
}

fn single() -> GossipVote<Toy> {
    GossipVote::Single { attestation: ATTESTATION, subnet: 1 }
}

fn aggregate() -> ToyAggregate {
    let (id, data, aggregator, voters) = (21, 22, 1, 6);
    ToyAggregate { id, data, slot: 5, head: 3, target: AT, aggregator, voters, valid: true }
}

fn vote() -> IdentifiedVote<Toy> {
    identified::gossip_vote(&TOY, single())
}

fn operation() -> IdentifiedOperation<Toy> {
    identified::operation(&TOY, Operation::VoluntaryExit(OPERATION))
}

fn payload_vote() -> ToyPayloadVote {
    let (present, available) = (true, true);
    ToyPayloadVote { id: 40, slot: 5, block: 3, validator: 1, present, available, valid: true }
}

fn identified_payload_vote() -> IdentifiedPayloadVote<Toy> {
    identified::payload_vote(&TOY, payload_vote())
}

fn indexed() -> IndexedVote<u8> {
    IndexedVote { vote: TOY.vote(&ATTESTATION), indices: vec![1] }
}

fn cleared_block() -> Box<crate::verdict::ClearedBlock<Toy>> {
    let effects = TOY.block_effects(&ToyState::anchor(), &BLOCK).unwrap();
    Box::new(Cleared::new(block(), effects))
}

fn state() -> StateAt<Toy> {
    StateAt { root: 3, slot: 6, state: ToyState::anchor() }
}

fn committees() -> CommitteesAt<Toy> {
    CommitteesAt { key: CommitteesKey { dependent_root: 2, epoch: 1 }, committees: () }
}

fn keep() -> Prune<u8> {
    Prune { finalized: AT, justified: 2, head: 3 }
}

fn jobs() -> Vec<Job<Toy>> {
    let production =
        Production { inputs: 4, attestations: Candidates::default(), operations: Vec::new() };
    vec![
        Job::Block(block()),
        Job::Attestation(attestation()),
        Job::Vote(vote()),
        Job::Operation { operation: operation(), root: 3, slot: 6 },
        Job::PayloadVote(identified_payload_vote()),
        Job::State { root: 3, slot: 6 },
        Job::Produce { root: 3, slot: 6, production: Arc::new(production) },
    ]
}

/// Returns the words; the digits of a signature's hash are replaced by `copy`.
fn words(of: &impl Words<Toy>) -> String {
    let mut out = String::new();
    of.words(&TOY, &mut out);
    let mut parts = out.split('/');
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(8);
        assert!(digits.chars().all(|digit| digit.is_ascii_hexdigit()), "{out}");
        masked.push_str("/copy");
        masked.push_str(rest);
    }
    masked
}

/// Asserts the words of each.
fn assert_words<T: Words<Toy> + Debug>(table: impl IntoIterator<Item = (T, &'static str)>) {
    for (of, expected) in table {
        assert_eq!(words(&of), expected, "{of:?}");
    }
}

#[test]
fn a_root_is_fourteen_characters_that_mean_nothing_in_a_trace() {
    // A root whose text has the characters that separate words and entries, and a long one.
    assert_eq!(root(&"a =,;-/@"), "_a________");
    assert_eq!(root(&0x1234_5678_9abc_def0_1234_u128), "85968058283706");
}

#[test]
fn copies_of_a_block_differ_by_their_signatures() {
    // One root under two signatures, and the first signature once more.
    let copy = |block: ToyBlock| header(&TOY.header(&block));
    let (one, other) = (copy(BLOCK), copy(BLOCK.badly_signed()));
    assert!(one.starts_with("block:3/") && other.starts_with("block:3/"), "{one} {other}");
    assert_eq!((one.len(), other.len()), (16, 16));
    assert_ne!(one, other);
    assert_eq!(one, copy(BLOCK));
}

#[test]
fn the_words_of_what_the_quarantine_is_told() {
    // Every event, and every item that can be submitted.
    let submit = |item| quarantine::Event::Submit { id: 7, item: Quarantined::new(item, 8, 1) };
    let (request, finalized) = (9, AT);
    assert_words([
        (submit(Item::Block(BLOCK)), "submit item=7 peer=8 what=block:3/copy parent=2 slot=5"),
        (
            submit(Item::Attestation(ATTESTATION)),
            "submit item=7 peer=8 what=attestation:20 head=3 target=1@2",
        ),
        (
            submit(Item::Single { attestation: ATTESTATION, subnet: 1 }),
            "submit item=7 peer=8 what=vote:20 head=3 target=1@2",
        ),
        (
            submit(Item::Aggregate(aggregate())),
            "submit item=7 peer=8 what=vote:21 head=3 target=1@2",
        ),
        (
            submit(Item::Operation(Operation::VoluntaryExit(OPERATION))),
            "submit item=7 peer=8 what=operation:30",
        ),
        (
            submit(Item::PayloadVote(payload_vote())),
            "submit item=7 peer=8 what=payload_vote:40 head=3",
        ),
        (
            quarantine::Event::Answered { request, answer: Answer::Busy },
            "answered request=9 answer=busy",
        ),
        (
            quarantine::Event::Imported { request: Some(9), finalized },
            "imported request=9 finalized=1@2",
        ),
        (
            quarantine::Event::Imported { request: None, finalized },
            "imported request=- finalized=1@2",
        ),
        (quarantine::Event::NotImported { request }, "not_imported request=9"),
        (quarantine::Event::Payload { root: 3 }, "payload root=3"),
        (quarantine::Event::Tick { slot: 5, into_slot_ms: 1_000 }, "tick slot=5 into_slot_ms=1000"),
        (quarantine::Event::Weigh { peer: 8, weight: 2 }, "weigh peer=8 weight=2"),
        (quarantine::Event::Stop, "stop"),
    ]);
}

#[test]
fn the_words_of_what_the_quarantine_asks_for() {
    // Every effect, and a check of every kind of job.
    let request = 9;
    let check = |job| quarantine::Effect::Check { request, lane: Lane::Blocks, job };
    let checks = [
        "check request=9 what=block:3/copy parent=2 slot=5",
        "check request=9 what=attestation:20 head=3 target=1@2",
        "check request=9 what=vote:20 head=3 target=1@2",
        "check request=9 what=operation:30",
        "check request=9 what=payload_vote:40 head=3",
        "check request=9 what=state:3@6",
        "check request=9 what=produce:3@6",
    ];
    assert_eq!(jobs().len(), checks.len());
    assert_words(jobs().into_iter().map(check).zip(checks));
    let attestation = Box::new(Cleared::new(attestation(), indexed()));
    let places = Places { committee: 5, held: vec![1] };
    let payload = Box::new(Cleared::new(identified_payload_vote(), places));
    let verdict = Verdict::Ignore(IgnoreReason::Duplicate);
    assert_words([
        (
            quarantine::Effect::CheckAtHead { request, operation: operation() },
            "check_at_head request=9 what=operation:30",
        ),
        (
            quarantine::Effect::ClearBlock { request, block: cleared_block(), timely: true },
            "clear request=9 what=block:3/copy",
        ),
        (
            quarantine::Effect::ClearAttestation { request, attestation },
            "clear request=9 what=attestation:20",
        ),
        (
            quarantine::Effect::ClearVote {
                request,
                vote: Box::new(Cleared::new(vote(), indexed())),
            },
            "clear request=9 what=vote:20",
        ),
        (
            quarantine::Effect::ClearOperation {
                request,
                operation: Box::new(Cleared::new(operation(), vec![1])),
            },
            "clear request=9 what=operation:30",
        ),
        (
            quarantine::Effect::ClearPayloadVote { request, vote: payload },
            "clear request=9 what=payload_vote:40",
        ),
        (quarantine::Effect::ClearPayload { root: 3 }, "clear_payload root=3"),
        (
            quarantine::Effect::Verdict { id: 7, verdict },
            "verdict item=7 class=ignored reason=duplicate",
        ),
        (
            quarantine::Effect::Parked { id: 7, why: PendingReason::UnknownParent },
            "parked item=7 why=unknown_parent",
        ),
        (quarantine::Effect::Need { root: 2 }, "need root=2"),
        (quarantine::Effect::NeedPayload { root: 2 }, "need_payload root=2"),
    ]);
}

#[test]
fn an_answer_is_named_by_its_class() {
    // Every answer that a job can have.
    let invalid = || RejectReason::Check(ToyInvalid::Block);
    let attestation = Box::new(Cleared::new(attestation(), indexed()));
    let places = Places { committee: 5, held: vec![1] };
    let payload_vote = Box::new(Cleared::new(identified_payload_vote(), places));
    let produced = ToyUnsigned { block: BLOCK, attestations: [].into(), operations: [].into() };
    let table = [
        (Answer::Block(cleared_block()), "valid"),
        (Answer::Attestation(attestation), "valid"),
        (Answer::Vote(Box::new(Cleared::new(vote(), indexed()))), "valid"),
        (Answer::Operation(Box::new(Cleared::new(operation(), vec![1]))), "valid"),
        (Answer::PayloadVote(payload_vote), "valid"),
        (Answer::State(state()), "state"),
        (Answer::Produced(produced), "produced"),
        (Answer::Invalid(invalid()), "invalid"),
        (Answer::InvalidVote { reason: invalid(), attester: None }, "invalid"),
        (Answer::UnknownParent, "unknown_parent"),
        (Answer::Pruned, "pruned"),
        (Answer::Full, "full"),
        (Answer::Busy, "busy"),
        (Answer::Stale, "stale"),
        (Answer::TooFar, "too_far"),
        (Answer::Refused, "refused"),
        (Answer::Fault("out of luck".to_owned()), "fault"),
    ];
    for (answer, word) in table {
        let told = words(&WorkerEffect::<Toy>::Answer(answer));
        assert_eq!(told, format!("answer answer={word}"));
    }
}

#[test]
fn a_reply_of_the_hot_db_is_named_by_its_kind() {
    // Every reply, as the HotDB's effect and as the worker's event.
    let trail = Trail {
        start: state(),
        blocks: vec![block()],
        root: 3,
        block_slot: 5,
        slot: 6,
        wanted: vec![],
        want_target: false,
        expected_proposer: None,
        descendant: None,
        committees: None,
    };
    let trails = [
        (TrailReply::Trail(Box::new(trail)), "trail"),
        (TrailReply::Committees(committees()), "committees"),
        (TrailReply::Stale, "stale"),
        (TrailReply::UnknownParent, "unknown_parent"),
        (TrailReply::Pruned, "pruned"),
        (TrailReply::TooFar { block_slot: 5 }, "too_far"),
        (TrailReply::BeforeBlock { block_slot: 5 }, "before_block"),
    ];
    for (reply, word) in trails {
        let expected = format!("trail reply={word}");
        assert_eq!(words(&hot_db::Effect::<Toy>::Trail(reply.clone())), expected);
        assert_eq!(words(&WorkerEvent::<Toy>::Trail(reply)), expected);
    }
    let commits = [
        (CommitReply::Committed, "committed"),
        (CommitReply::AlreadyCommitted, "already"),
        (CommitReply::UnknownParent, "unknown_parent"),
        (CommitReply::Pruned, "pruned"),
        (CommitReply::Full, "full"),
    ];
    for (reply, word) in commits {
        let expected = format!("committed reply={word}");
        assert_eq!(words(&hot_db::Effect::<Toy>::Committed(reply)), expected);
        assert_eq!(words(&WorkerEvent::<Toy>::Committed(reply)), expected);
    }
}

#[test]
fn the_words_of_a_worker() {
    // Every event and effect beside the replies and answers.
    let all = "start jobs=block:3/copy,attestation:20,vote:20,operation:30,payload_vote:40,\
               state:3@6,produce:3@6";
    assert_words::<WorkerEvent<Toy>>([
        (WorkerEvent::Start(jobs()), all),
        (WorkerEvent::Start(vec![]), "start jobs=-"),
        (WorkerEvent::Claimed(true), "claimed done=true"),
        (WorkerEvent::Proceed, "proceed"),
        (WorkerEvent::Stop, "stop"),
        (WorkerEvent::HotDbGone, "hot_db_gone"),
    ]);
    let again = WorkerEffect::Requeue { after: (2, 5), jobs: vec![Job::Block(block())] };
    assert_words::<WorkerEffect<Toy>>([
        (WorkerEffect::RequestTrail { root: 2, slot: 5 }, "request_trail root=2 slot=5"),
        (WorkerEffect::RequestCommittees { target: AT }, "request_committees target=1@2"),
        (WorkerEffect::Claim((2, 5)), "claim what=state:2@5"),
        (again, "requeue after=state:2@5 jobs=block:3/copy"),
        (WorkerEffect::Commit { block: block(), state: state() }, "commit root=3 slot=5"),
        (WorkerEffect::PostState(state()), "post_state what=state:3@6"),
        (WorkerEffect::PostCommittees(committees()), "post_committees what=1@2"),
        (WorkerEffect::Loaded((2, 5)), "loaded what=state:2@5"),
        (WorkerEffect::Proceed, "proceed"),
        (WorkerEffect::GiveWay(GoesFirst::Duties), "give_way"),
    ]);
}

#[test]
fn the_words_of_clearance() {
    // Every event, every import, and every effect.
    let import = clearance::Event::Import;
    let attestation = Box::new(Cleared::new(attestation(), indexed()));
    let vote = Box::new(Cleared::new(vote(), indexed()));
    let exit = Box::new(Cleared::new(operation(), vec![1]));
    let places = Places { committee: 5, held: vec![1] };
    let payload_vote = Box::new(Cleared::new(identified_payload_vote(), places));
    let operations = || vec![Operation::VoluntaryExit(OPERATION)];
    let balances = Some(TOY.balances(&ToyState::anchor()).unwrap());
    assert_words::<clearance::Event<Toy>>([
        (
            import(Import::Block { block: cleared_block(), timely: true }),
            "import what=block:3/copy",
        ),
        (import(Import::Attestation(attestation)), "import what=attestation:20"),
        (import(Import::Vote(vote)), "import what=vote:20"),
        (import(Import::Operation(exit)), "import what=operation:30"),
        (import(Import::PayloadVote(payload_vote)), "import what=payload_vote:40"),
        (import(Import::Payload { root: 3 }), "import what=payload:3"),
        (import(Import::Tick { slot: 5 }), "import what=tick:5"),
        (clearance::Event::Balances { checkpoint: AT, balances }, "balances of=1@2 known=true"),
        (clearance::Event::Spent(operations()), "spent count=1"),
        (clearance::Event::Detection { on: true }, "detection on=true"),
    ]);
    let moved = clearance::Effect::HeadChanged { old: 2, new: 3, reorg_depth: 1 };
    let slashing = || ToySlashing::Given(OPERATION);
    let (roots, validators) = ([3, 4], vec![1, 2]);
    let double_vote =
        clearance::Effect::DoubleVote { validators: validators.clone(), slashing: slashing() };
    let missing = clearance::Effect::NotImported { root: 3, refusal: Refusal::UnknownParent };
    assert_words::<clearance::Effect<Toy>>([
        (clearance::Effect::Prune(keep()), "prune finalized=1@2 justified=2 head=3"),
        (clearance::Effect::RequestBalances(AT), "request_balances of=1@2"),
        (
            clearance::Effect::RequestSpent { checkpoint: AT, operations: operations() },
            "request_spent of=1@2 count=1",
        ),
        (moved, "head old=2 new=3 reorg_depth=1"),
        (clearance::Effect::Justified(AT), "justified at=1@2"),
        (clearance::Effect::Finalized(AT), "finalized at=1@2"),
        (
            clearance::Effect::Equivocation {
                proposer: 1,
                slot: 5,
                roots,
                slashing: ToySlashing::Given(OPERATION),
            },
            "equivocation proposer=1 slot=5",
        ),
        (double_vote, "double_vote validators=1,2"),
        (
            clearance::Effect::SurroundVote { validators, slashing: slashing() },
            "surround_vote validators=1,2",
        ),
        (clearance::Effect::Detection { on: false, skipped: 3 }, "detection on=false skipped=3"),
        (missing, "not_imported root=3"),
    ]);
}

#[test]
fn the_words_of_the_stores() {
    // Every event and effect of the HotDB, beside its replies, and of the ColdDB.
    assert_words::<hot_db::Event<Toy>>([
        (hot_db::Event::Trail { root: 3, slot: 6 }, "trail root=3 slot=6"),
        (hot_db::Event::Committees { target: AT }, "committees target=1@2"),
        (hot_db::Event::Commit { block: block(), state: state() }, "commit root=3 parent=2 slot=5"),
        (hot_db::Event::PostState(state()), "post_state what=state:3@6"),
        (hot_db::Event::PostCommittees(committees()), "post_committees what=1@2"),
        (hot_db::Event::Prune(keep()), "prune finalized=1@2 justified=2 head=3"),
    ]);
    let record = cold_db::Event::Record;
    let (attestation, indices) = (ATTESTATION, vec![1]);
    assert_words::<cold_db::Event<Toy>>([
        (record(Record::Block { block: block(), timely: true }), "record what=block:3/copy"),
        (
            record(Record::Attestation { attestation, indices: indices.clone() }),
            "record what=attestation:20",
        ),
        (record(Record::Equivocation { indices }), "record what=equivocation"),
        (
            record(Record::Operation {
                operation: Operation::VoluntaryExit(OPERATION),
                validators: vec![1],
            }),
            "record what=operation:30",
        ),
        (
            record(Record::Spent { operations: vec![Operation::VoluntaryExit(OPERATION)] }),
            "record what=spent:1",
        ),
        (record(Record::Tick { slot: 5 }), "record what=tick:5"),
        (cold_db::Event::Finalized(AT), "finalized at=1@2"),
        (cold_db::Event::State { root: 3, state: None }, "state root=3 known=false"),
        (cold_db::Event::Flush, "flush"),
        (cold_db::Event::Lost, "lost"),
        (cold_db::Event::Committed(Ok(())), "committed whole=true"),
        (cold_db::Event::Committed(Err(StoreError::Gap)), "committed whole=false"),
    ]);
    let writes = vec![Write::Block { root: 3, block: BLOCK }, Write::ForgetBlock(2)];
    assert_words::<cold_db::Effect<Toy>>([
        (cold_db::Effect::Commit(writes), "commit writes=2 blocks=3"),
        (cold_db::Effect::Commit(vec![Write::ForgetBlock(2)]), "commit writes=1 blocks=-"),
        (cold_db::Effect::AskState { root: 3, slot: 5 }, "ask_state root=3 slot=5"),
        (cold_db::Effect::Durable(AT), "durable at=1@2"),
        (cold_db::Effect::Failed(StoreError::Gap), "failed"),
    ]);
}

#[test]
fn each_service_begins_with_what_it_knows() {
    // A chain of two blocks in Clearance and in the HotDB, and a thread of each service that begins
    // while this thread listens.
    let balances = Balances { effective: [1].into(), total_active: 1 };
    let config = fork_choice::Config::new(4);
    let clearance = Clearance::<Toy>::new(config, 0, 0, balances);
    let anchor = ToyState::anchor();
    let mut hot_db = HotDb::<Toy>::new(&TOY, hot_db::Limits::default(), 0, 0, anchor);
    let child = ToyBlock::new(1, 0, 1);
    let after = StateAt { root: 1, slot: 1, state: ToyState::anchor() };
    let commit = hot_db::Event::Commit { block: identified::block(&TOY, child), state: after };
    hot_db.handle(&TOY, commit);
    let limits = Limits { window: 5, items: 10, copies: 2, ..Limits::default() };
    tracing::subscriber::with_default(Kept::default(), || {
        let begins = Begins::new(&limits, &clearance, &hot_db, true);
        ServiceName::ALL.into_iter().for_each(|service| begins.tell(service));
    });
    let told: Vec<_> = TOLD.take().into_iter().map(|step| (step.service, step.event)).collect();
    let expected = [
        ("quarantine", "begin window=5 submissions=42"),
        ("clearance", "begin head=0 finalized=0@0 records=true known=0-0"),
        ("rewinder", "begin"),
        ("hot_db", "begin known=0-0,1-0"),
        ("cold_db", "begin"),
    ];
    assert_eq!(told, expected.map(|(service, event)| (service.to_owned(), event.to_owned())));
}
