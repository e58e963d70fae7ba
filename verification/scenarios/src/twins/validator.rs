//! Faults of the validators' thread. The counterparts in core are the scenarios of
//! `scenarios::validator`.

use std::panic::{catch_unwind, resume_unwind};

use blocksmith_sync::mailbox::{OnFull, Permit, mailbox};
use blocksmith_sync::{Primitives, oneshot};

use crate::scenarios::notifier::join;

/// A signature: the machine that has asked for it, the number of the request, and what it is of.
type Signature = (u32, u32, &'static str);

/// A machine has asked a signer, under number 0, and has panicked. Its successor asks under number
/// 0 again, and the signer answers both, in an order of its own. With `by_machine`, the successor
/// looks whose answer it is.
fn two_machines_ask<P: Primitives>(by_machine: bool) {
    let (sender, receiver) = mailbox::<P, Signature>(1, 2, OnFull::Block);
    let [Some(first), Some(second)] = [receiver.permit(), receiver.permit()] else {
        panic!("two slots are reserved")
    };
    let signer = P::spawn("signer", move || {
        assert_eq!(first.send((0, 0, "slot 4")), Ok(()));
        assert_eq!(second.send((1, 0, "slot 5")), Ok(()));
    });
    drop(sender);
    let signature = receiver.iter().find(|(machine, number, _)| {
        let is_own = !by_machine || *machine == 1;
        is_own && *number == 0
    });
    let of = signature.map(|(.., of)| of);
    join(signer);
    assert_eq!(of, Some("slot 5"), "another machine's signature");
}

/// M9: the successor knows an answer by its number.
pub fn an_answer_taken_by_its_number<P: Primitives>() {
    two_machines_ask::<P>(false);
}

/// M9, as it must be: the successor knows an answer by its machine and its number.
pub fn an_answer_taken_by_machine_and_number<P: Primitives>() {
    two_machines_ask::<P>(true);
}

/// A service asks a signer that keeps the request and never answers. With `waits`, its port waits
/// for the answer within the call. Then the service is stopped.
fn a_signer_keeps_the_request<P: Primitives>(waits: bool) {
    let (sender, receiver) = mailbox::<P, &str>(2, 0, OnFull::Block);
    let (asks, asked) = oneshot::channel::<P, oneshot::Sender<P, u32>>();
    let service = P::spawn("service", move || {
        let (mut asks, mut under_way) = (Some(asks), None);
        while receiver.recv() == Ok("sign") {
            let (reply, answer) = oneshot::channel::<P, u32>();
            let asks = asks.take();
            assert!(asks.is_some_and(|asks| asks.send(reply).is_ok()));
            if waits {
                assert_eq!(answer.recv(), Ok(1));
            } else {
                under_way = Some(answer);
            }
        }
        drop(under_way);
    });
    assert_eq!(sender.send("sign"), Ok(None));
    let kept = asked.recv();
    assert_eq!(sender.send("stop"), Ok(None));
    join(service);
    drop(kept);
}

/// V6: a port waits for its answer.
pub fn a_port_that_waits<P: Primitives>() {
    a_signer_keeps_the_request::<P>(true);
}

/// V6, as it must be: a port starts a request and returns.
pub fn a_port_that_returns<P: Primitives>() {
    a_signer_keeps_the_request::<P>(false);
}

/// A journal that the service calls stops the service, while another message fills its mailbox.
/// With `has_room`, the stop has a slot of its own.
fn a_journal_stops_its_service<P: Primitives>(has_room: bool) {
    let (sender, receiver) = mailbox::<P, &str>(1, 1, OnFull::Block);
    let mut room: Option<Permit<P, &str>> = receiver.permit().filter(|_| has_room);
    let journal = sender.clone();
    let service = P::spawn("service", move || {
        let mut messages = 0;
        while receiver.recv().is_ok_and(|message| message != "stop") {
            messages += 1;
            let is_sent = match (messages, room.take()) {
                (1, Some(room)) => room.send("stop").is_ok(),
                (1, None) => journal.send("stop").is_ok(),
                _ => true,
            };
            assert!(is_sent, "the service receives");
        }
        messages
    });
    assert_eq!(sender.send("head"), Ok(None));
    // The service may have stopped before it has this one.
    let second = sender.send("head").is_ok();
    let messages = join(service);
    assert!(messages >= 1 && (second || messages == 1), "{messages}");
}

/// M8: the stop waits for room that only the service can make.
pub fn a_stop_that_waits_for_room<P: Primitives>() {
    a_journal_stops_its_service::<P>(false);
}

/// M8, as it must be: the stop has its own slot.
pub fn a_stop_that_has_its_room<P: Primitives>() {
    a_journal_stops_its_service::<P>(true);
}

/// A machine panics over a message after it has begun a duty, whose end somebody waits for. With
/// `ends`, the thread ends the duty in the machine's place.
fn a_machine_is_lost<P: Primitives>(ends: bool) {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let (ended, outcome) = oneshot::channel::<P, &str>();
    let service = P::spawn("service", move || {
        let mut under_way = Some(ended);
        while let Ok(message) = receiver.recv() {
            let step = catch_unwind(move || -> () { resume_unwind(Box::new(message)) });
            if step.is_err() && ends {
                let duty = under_way.take();
                assert!(duty.is_none_or(|duty| duty.send("missed").is_ok()));
            }
        }
        drop(under_way);
    });
    assert_eq!(sender.send(1), Ok(None));
    assert_eq!(outcome.recv(), Ok("missed"));
    drop(sender);
    join(service);
}

/// L5: nobody ends the duty of the machine that was lost.
pub fn a_lost_machine_ends_nothing<P: Primitives>() {
    a_machine_is_lost::<P>(false);
}

/// L5, as it must be: its duties end as missed.
pub fn a_lost_machine_has_its_duties_ended<P: Primitives>() {
    a_machine_is_lost::<P>(true);
}
