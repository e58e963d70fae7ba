use super::*;

const PROPOSAL: DutyId = DutyId { slot: 4, kind: Kind::Proposal, validator: 1 };

/// Returns a world in which validator 1 proposes slot 4.
fn proposing() -> World {
    World::at_epoch_1(&[1], &[proposer(4, 1)], &[])
}

fn block(slot: Slot, proposer: ValidatorIndex, parent: u8) -> ToyProposal {
    ToyProposal { slot, proposer, parent, reveal: (1, 1) }
}

/// Has the block produced.
fn produced(block: ToyProposal) -> World {
    let mut world = proposing();
    assert_eq!(world.answer(is_sign), 1);
    let id = world.find(is_produce);
    world.reply(id, Reply::Block(block));
    world
}

#[test]
fn a_block_is_revealed_produced_protected_signed_and_published_in_this_order() {
    // Answers one step after the other.
    let mut world = proposing();
    assert_eq!(world.began, [PROPOSAL]);
    for fits in [is_sign, is_produce, is_protect, is_sign, is_publish] {
        assert_eq!(world.count(|request| !matches!(request, Request::Duties { .. })), 1);
        assert_eq!(world.answer(fits), 1);
    }
    assert_eq!(world.outcome(PROPOSAL), Some(Outcome::Sent));
    let of = Signed::Block(block(4, 1, 3));
    assert_eq!(world.published[0][0].signature, ToySignature { key: 1, of });
}

#[test]
fn a_block_of_another_slot_proposer_reveal_or_before_its_parent_is_not_signed() {
    // Has an otherwise honest block changed in one way each.
    let fine = block(4, 1, 3);
    assert_eq!(produced(fine).count(is_protect), 1);
    let late = ToyProposal { slot: 5, ..fine };
    let foreign = ToyProposal { proposer: 2, ..fine };
    let old = ToyProposal { reveal: (1, 0), ..fine };
    for wrong in [late, foreign, old] {
        let mut world = produced(wrong);
        assert_eq!(world.count(is_protect), 0, "{wrong:?}");
        world.clock(4, 8);
        assert_eq!(world.missed(PROPOSAL), Some(Reason::BadAnswer));
    }
    let mut world = proposing();
    world.head(Head { root: 4, slot: 4, current_dependent: 3, ..HEAD });
    world.answer(is_sign);
    let id = world.find(is_produce);
    world.reply(id, Reply::Block(block(4, 1, 4)));
    assert_eq!(world.count(is_protect), 0);
}

#[test]
fn a_block_on_a_parent_of_which_no_head_was_told_is_not_signed() {
    // The node produces on block 9, and then its head is told: the next block is taken.
    let mut world = produced(block(4, 1, 9));
    assert_eq!(world.count(is_protect), 0);
    world.head(Head { root: 9, slot: 2, current_dependent: 0, previous_dependent: 0 });
    world.clock(4, 1);
    assert_eq!(world.count(is_protect), 0);
    let id = world.find(is_produce);
    // Block 9 is the last before epoch 1 on its branch, so that branch's proposers are others.
    world.reply(id, Reply::Block(block(4, 1, 9)));
    assert_eq!(world.count(is_protect), 0);
    world.clock(4, 8);
    assert_eq!(world.missed(PROPOSAL), Some(Reason::OtherBranch));
}

#[test]
fn only_what_is_on_record_is_signed() {
    // Slashing protection gives each answer, none, one about another duty, and two that differ.
    let other = DutyId { validator: 2, ..PROPOSAL };
    let cases = [
        (vec![(PROPOSAL, Protection::AlreadySigned)], Some(Reason::AlreadySigned)),
        (vec![(PROPOSAL, Protection::Refused)], Some(Reason::Refused)),
        (vec![(PROPOSAL, Protection::Failed)], None),
        (vec![], None),
        (vec![(other, Protection::Recorded)], None),
        (
            vec![(PROPOSAL, Protection::Recorded), (PROPOSAL, Protection::Refused)],
            Some(Reason::Refused),
        ),
        (
            vec![(PROPOSAL, Protection::AlreadySigned), (PROPOSAL, Protection::Recorded)],
            Some(Reason::AlreadySigned),
        ),
    ];
    for (answers, missed) in cases {
        let mut world = produced(block(4, 1, 3));
        let id = world.find(is_protect);
        world.reply(id, Reply::Protected(answers.clone()));
        assert_eq!(world.count(signs_protected), 0, "{answers:?}");
        assert_eq!(world.missed(PROPOSAL), missed, "{answers:?}");
    }
    let mut world = produced(block(4, 1, 3));
    world.answer(is_protect);
    assert_eq!(world.count(signs_protected), 1);
}

#[test]
fn a_signer_that_refuses_or_does_not_know_the_key_ends_the_duty() {
    // The signer answers 412 and 404.
    for (reply, reason) in
        [(Reply::Refused, Reason::Refused), (Reply::UnknownKey, Reason::UnknownKey)]
    {
        let mut world = produced(block(4, 1, 3));
        world.answer(is_protect);
        let id = world.find(is_sign);
        world.reply(id, reply);
        assert_eq!(world.missed(PROPOSAL), Some(reason));
        assert_eq!(world.published.len(), 0);
    }
}

#[test]
fn an_answer_that_is_late_or_doubled_is_dropped_and_counted() {
    // The reveal comes twice, and the block after the machine has given it up.
    let mut world = proposing();
    let reveal = world.find(is_sign);
    let reply = honest(&world.asked[&reveal]);
    world.reply(reveal, reply.clone());
    world.reply(reveal, reply);
    assert_eq!(world.machine.counters().stray, 1);
    let first = world.find(is_produce);
    world.asked.remove(&first);
    world.clock(4, 3);
    let second = world.find(is_produce);
    assert_ne!(first, second, "it is asked for again");
    world.reply(first, Reply::Block(block(4, 1, 3)));
    assert_eq!(world.machine.counters().stray, 2);
    assert_eq!(world.count(is_protect), 0);
    world.answer(is_produce);
    assert_eq!(world.count(is_protect), 1);
}

#[test]
fn an_answer_of_another_kind_is_a_failure() {
    // The signer's answer to the reveal is a block; it is asked again at the next reading.
    let mut world = proposing();
    let id = world.find(is_sign);
    world.reply(id, Reply::Block(block(4, 1, 3)));
    assert_eq!(world.machine.counters().malformed, 1);
    assert_eq!((world.count(is_sign), world.count(is_produce)), (0, 0));
    world.clock(4, 1);
    assert_eq!(world.count(is_sign), 1);
}

#[test]
fn a_step_that_keeps_failing_is_tried_a_bounded_number_of_times() {
    // The signer fails whenever it is asked.
    let mut world = proposing();
    for ms in 1..=3 {
        let id = world.find(is_sign);
        world.reply(id, Reply::Failed);
        world.clock(4, ms);
    }
    assert_eq!(world.missed(PROPOSAL), Some(Reason::SignerFailed));
    assert_eq!(world.count(is_sign), 0);
}

#[test]
fn a_proposal_that_waits_ends_at_its_time_and_says_for_what() {
    // Stops answering at each step in turn.
    let steps: [fn(&Request<ToyDuties>) -> bool; 4] = [is_sign, is_produce, is_protect, is_sign];
    let reasons = [
        Reason::SignerLate,
        Reason::NodeLate,
        Reason::ProtectionLate,
        Reason::SignerLate,
        Reason::PublishLate,
    ];
    for (count, reason) in reasons.into_iter().enumerate() {
        let mut world = proposing();
        for fits in &steps[..count] {
            assert_eq!(world.answer(*fits), 1);
        }
        world.clock(4, 7);
        assert_eq!(world.outcome(PROPOSAL), None);
        let late = world.asked.clone();
        world.clock(4, 8);
        assert_eq!(world.missed(PROPOSAL), Some(reason));
        for (id, request) in late {
            world.reply(id, honest(&request));
        }
        assert_eq!(world.missed(PROPOSAL), Some(reason), "late answers change nothing");
        assert_eq!(world.count(|request| !matches!(request, Request::Duties { .. })), 0);
    }
}

#[test]
fn a_refusal_after_a_publication_that_may_have_arrived_is_no_failure() {
    // The first publication fails, or is given up; the second is refused. A first one that is
    // refused is a failure.
    let to_publish = || {
        let mut world = produced(block(4, 1, 3));
        world.answer(is_protect);
        world.answer(is_sign);
        world
    };
    let refused = Reply::Published { refused: vec![PROPOSAL] };
    for fails in [true, false] {
        let mut world = to_publish();
        let id = world.find(is_publish);
        if fails {
            world.reply(id, Reply::Failed);
            world.clock(4, 1);
        } else {
            world.asked.remove(&id);
            world.clock(4, 3);
        }
        let id = world.find(is_publish);
        world.reply(id, refused.clone());
        assert_eq!(world.outcome(PROPOSAL), Some(Outcome::Sent));
    }
    let mut world = to_publish();
    let id = world.find(is_publish);
    world.reply(id, refused);
    assert_eq!(world.missed(PROPOSAL), Some(Reason::PublishFailed));
}
