//! The arguments of the one-shot.
//!
//! | location | is |
//! |---|---|
//! | `x` | the value, the waker, or the life of the allocation: freeing it is a write |
//! | `y` | the state |

use blocksmith_engines::litmus::{
    A, ACQ, ACQ_REL, B, C, D, Mode, PLAIN, Program, REL, RLX, X, Y, exchange, load, require, store,
    swap,
};

use super::{Argument, gives_back, hands_over};

const ONESHOT: &str = "core/sync/src/oneshot.rs";
const TASK: &str = "core/sync/src/oneshot/task.rs";

const EMPTY: u32 = 0;
const REGISTERED: u32 = 2;
const CLOSED: u32 = 3;
const ENDED: u32 = 4;
const LEFT: u32 = 5;
const RECEIVER_GONE: u32 = 6;

pub(super) fn arguments() -> Vec<Argument> {
    vec![value(), quiet(), waker(), leave(), gone()]
}

fn value() -> Argument {
    let id = "oneshot.value";
    let program = |ends: Mode, takes: Mode| {
        hands_over(id, [swap(A, Y, ENDED, ends)], [load(B, Y, takes), require(B, ENDED)])
    };
    Argument::new(
        id,
        &[
            (ONESHOT, "release pairs with the acquiring load in `Receiver::take`"),
            (ONESHOT, "pairs with the releasing swaps in `Sender::end` and `Sender::leave`"),
        ],
        "the receiver finds that the sender has ended, and takes the value before it is there",
        program(ACQ_REL, ACQ),
    )
    .weaker("`Sender::end` does not release", "FFRR", program(ACQ, ACQ))
    .weaker("`take` relaxed", "FFRR", program(ACQ_REL, RLX))
}

/// The sender's only swap found `EMPTY`, so it has left; the receiver frees without asking.
fn quiet() -> Argument {
    let id = "oneshot.quiet";
    let program = |ends: Mode, takes: Mode| {
        gives_back(id, [swap(A, Y, ENDED, ends)], [load(B, Y, takes), require(B, ENDED)])
    };
    Argument::new(
        id,
        &[
            (ONESHOT, "release pairs with the acquiring load in `Receiver::take`"),
            (ONESHOT, "pairs with the releasing swaps in `Sender::end` and `Sender::leave`"),
        ],
        "the receiver frees the allocation while the sender still accesses it",
        program(ACQ_REL, ACQ),
    )
    .weaker("`Sender::end` does not release", "FFRR", program(ACQ, ACQ))
    .weaker("`take` relaxed", "FFRR", program(ACQ_REL, RLX))
}

/// The receiver's task registers a waker; the sender ends and takes it.
fn waker() -> Argument {
    let id = "oneshot.waker";
    let program = |registers: Mode, ends: Mode| {
        hands_over(
            id,
            [exchange(A, Y, (EMPTY, REGISTERED), (registers, RLX))],
            [swap(B, Y, ENDED, ends), require(B, REGISTERED)],
        )
    };
    Argument::new(
        id,
        &[
            (TASK, "pairs with the acquiring swap in `Sender::end`"),
            (ONESHOT, "acquire with the releasing exchange in `Receiver::register`"),
        ],
        "the sender finds that a waker is registered, and takes it before it is there",
        program(REL, ACQ_REL),
    )
    .weaker("`register` relaxed", "FFRR", program(RLX, ACQ_REL))
    .weaker("`Sender::end` does not acquire", "FFRR", program(REL, REL))
}

/// Both ends access the allocation and leave by a swap; the last one frees it.
fn leave() -> Argument {
    let id = "oneshot.leave";
    let program = |sender: Mode, receiver: Mode| {
        let end = |access, left, state, mode, other| {
            let swapped = swap(left, Y, state, mode);
            vec![load(access, X, PLAIN), swapped, require(left, other), store(X, 2, PLAIN)]
        };
        Program::new(
            id,
            [end(A, B, LEFT, sender, RECEIVER_GONE), end(C, D, RECEIVER_GONE, receiver, LEFT)],
        )
        .begins(X, 1)
        .begins(Y, ENDED)
        .asks([A.is(2)])
    };
    Argument::new(
        id,
        &[
            (ONESHOT, "pairs with the swap in `Receiver::leave`, either way"),
            (ONESHOT, "pairs with the sender's swaps, either way"),
        ],
        "the end that leaves last frees the allocation while the other still accesses it",
        program(ACQ_REL, ACQ_REL),
    )
    .weaker("`Sender::leave` does not release", "FFRR", program(ACQ, ACQ_REL))
    .weaker("`Sender::leave` does not acquire", "FFRR", program(REL, ACQ_REL))
    .weaker("`Receiver::leave` does not release", "FFRR", program(ACQ_REL, ACQ))
    .weaker("`Receiver::leave` does not acquire", "FFRR", program(ACQ_REL, REL))
}

/// The receiver has closed and left; the sender ends, finds that, and frees the allocation.
fn gone() -> Argument {
    let id = "oneshot.gone";
    let program = |leaves: Mode, ends: Mode| {
        gives_back(
            id,
            [swap(A, Y, RECEIVER_GONE, leaves)],
            [swap(B, Y, ENDED, ends), require(B, RECEIVER_GONE)],
        )
        .begins(Y, CLOSED)
    };
    Argument::new(
        id,
        &[
            (ONESHOT, "swap in `Receiver::leave`."),
            (ONESHOT, "pairs with the sender's swaps, either way"),
        ],
        "the sender frees the allocation while the receiver still accesses it",
        program(ACQ_REL, ACQ_REL),
    )
    .weaker("`Receiver::leave` does not release", "FFRR", program(ACQ, ACQ_REL))
    .weaker("`Sender::end` does not acquire", "FFRR", program(ACQ_REL, REL))
}
