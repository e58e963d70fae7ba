//! The arguments of the ring.
//!
//! | location | is |
//! |---|---|
//! | `x` | a place |
//! | `y` | an index: `tail`, or `head` |
//! | `z` | `end`: 9 is `OPEN`, 8 is `CLOSING`, less is an index |

use blocksmith_engines::litmus::{
    A, ACQ, B, C, D, E, Mode, Program, REL, RLX, SEQ_CST, Y, Z, exchange, fence, load, require,
    store,
};

use super::{Argument, gives_back, hands_over, some};

const RING: &str = "core/sync/src/spsc/ring.rs";

const OPEN: u32 = 9;
const CLOSING: u32 = 8;

pub(super) fn arguments() -> Vec<Argument> {
    vec![tail(), head(), end(), close(), last_items(), close_tail()]
}

fn tail() -> Argument {
    let id = "spsc.tail";
    let program = |publishes: Mode, looks: Mode| {
        hands_over(id, [store(Y, 1, publishes)], [load(A, Y, looks), require(A, 1)])
    };
    Argument::new(
        id,
        &[
            (RING, "pairs with the acquiring loads of `tail` in `ready` and `close_by_receiver`"),
            (RING, "pairs with the release in `publish`: the items up to there are in place"),
        ],
        "the receiver finds that the tail has moved, and reads the item before it is written",
        program(REL, ACQ),
    )
    .weaker("`publish` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`ready` relaxed", "FFRR", program(REL, RLX))
}

fn head() -> Argument {
    let id = "spsc.head";
    let program = |frees: Mode, looks: Mode| {
        gives_back(id, [store(Y, 1, frees)], [load(A, Y, looks), require(A, 1)])
    };
    Argument::new(
        id,
        &[
            (RING, "pairs with the release in `free`: the places up to there are empty"),
            (RING, "pairs with the acquiring load of `head` in `room`"),
        ],
        "the sender fills a place that the receiver is still reading",
        program(REL, ACQ),
    )
    .weaker("`free` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`room` relaxed", "FFRR", program(REL, RLX))
}

/// The sender closes at its tail; the receiver takes the end for the tail.
fn end() -> Argument {
    let id = "spsc.end";
    let program = |closes: Mode, looks: Mode| {
        hands_over(
            id,
            [store(Y, 1, REL), exchange(A, Z, (OPEN, 1), (closes, RLX))],
            [load(B, Z, looks), require(B, 1)],
        )
        .begins(Z, OPEN)
    };
    Argument::new(
        id,
        &[
            (RING, "pairs with the acquiring loads of `end` in `ready` and `close_by_receiver`"),
            (RING, "pairs with the release in `close_by_sender`"),
        ],
        "the receiver finds the end, and reads the last item before it is written",
        program(REL, ACQ),
    )
    .weaker("`close_by_sender` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`ready` relaxed", "FFRR", program(REL, RLX))
}

/// The sender publishes and looks at the end; the receiver sets the end and looks at the tail.
fn close() -> Argument {
    let id = "spsc.close";
    let program = |publishes: Option<Mode>, closes: Option<Mode>| {
        let sender = some([Some(store(Y, 1, REL)), publishes.map(fence), Some(load(A, Z, RLX))]);
        let receiver = some([
            Some(exchange(B, Z, (OPEN, CLOSING), (RLX, RLX))),
            closes.map(fence),
            Some(load(C, Y, ACQ)),
        ]);
        Program::new(id, [sender, receiver]).begins(Z, OPEN).asks([A.is(OPEN), C.is(0)])
    };
    let both = Some(SEQ_CST);
    Argument::new(
        id,
        &[
            (RING, "the notifier's fence (N) stands between; pairs with the fence in"),
            (RING, "pairs with the notifier's fence (N) in `publish`"),
        ],
        "the sender takes its item for accepted, and the receiver closes without it",
        program(both, both),
    )
    .weaker("fence (N) left out", "FAAA", program(None, both))
    .weaker("the receiver's fence left out", "FFAA", program(both, None))
}

/// The receiver is closing; the sender sets the end behind the items that it has just published.
fn last_items() -> Argument {
    let id = "spsc.last_items";
    let program = |publishes: Option<Mode>, looks: Mode| {
        let sender = some([
            publishes.map(fence),
            Some(load(A, Z, RLX)),
            Some(require(A, CLOSING)),
            Some(exchange(B, Z, (CLOSING, 1), (RLX, RLX))),
        ]);
        let receiver = [
            exchange(C, Z, (OPEN, CLOSING), (RLX, RLX)),
            fence(SEQ_CST),
            load(D, Z, looks),
            require(D, 1),
        ];
        hands_over(id, sender, receiver).begins(Z, OPEN)
    };
    Argument::new(
        id,
        &[(RING, "fence (N) is the release half of this exchange")],
        "the receiver finds the end that the sender has set, and reads an item too early",
        program(Some(SEQ_CST), ACQ),
    )
    .weaker("fence (N) left out", "FFRR", program(None, ACQ))
    .weaker("`ready` relaxed", "FFRR", program(Some(SEQ_CST), RLX))
}

/// The receiver closes, finds the tail, and receives what is before it.
fn close_tail() -> Argument {
    let id = "spsc.close_tail";
    let program = |looks: Mode, notifies: Option<Mode>| {
        let receiver = some([
            Some(exchange(A, Z, (OPEN, CLOSING), (RLX, RLX))),
            Some(fence(SEQ_CST)),
            Some(load(B, Y, looks)),
            Some(require(B, 1)),
            Some(exchange(E, Z, (CLOSING, 1), (RLX, RLX))),
            notifies.map(fence),
        ]);
        hands_over(id, [store(Y, 1, REL)], receiver).begins(Z, OPEN)
    };
    Argument::new(
        id,
        &[
            (RING, "pairs with the release in `publish`: the items up to there are in place"),
            (RING, "the notification below begins with a SeqCst fence, which is an acquire fence"),
        ],
        "the receiver closes behind an item, and reads it before it is written",
        program(ACQ, Some(SEQ_CST)),
    )
    .redundant(
        "the tail in `close_by_receiver` relaxed",
        "the notification that follows begins with a SeqCst fence, which is an acquire fence, too",
        program(RLX, Some(SEQ_CST)),
    )
    .weaker("that, and no notification follows", "FFRR", program(RLX, None))
}
