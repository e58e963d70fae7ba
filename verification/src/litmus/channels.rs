//! The arguments of the pool's queue, of the watch, of the counts of senders, and of the services'
//! two counters.
//!
//! `x` is what is handed over, or a place; `y` is the word of the side that hands it over, and `z`
//! the lock under which that word changes (0 means free).

use blocksmith_engines::litmus::{
    A, ACQ, ACQ_REL, B, C, D, Mode, PLAIN, Program, REL, RLX, X, Y, Z, fetch_add, load, require,
    store,
};

use super::{Argument, gives_back, hands_over};

const MAILBOX: &str = "core/sync/src/mailbox/mod.rs";
const MPMC: &str = "core/sync/src/mpmc.rs";
const TURN: &str = "core/sync/src/mpmc/turn.rs";
const RESERVE: &str = "core/sync/src/mpmc/reserve.rs";
const WATCH: &str = "core/sync/src/watch.rs";
const ACTIVITY: &str = "core/services/src/activity.rs";
const INJECT: &str = "core/services/src/supervision/inject.rs";

/// One item, or one place, in a word; two below it are flags.
const ITEM: u32 = 4;
const RESERVED: u32 = 2;
const CLOSED: u32 = 1;

pub(super) fn arguments() -> Vec<Argument> {
    vec![
        senders(),
        tail(),
        head(),
        reserve(),
        mpmc_close(),
        watch_close(),
        watch_value(),
        busy(),
        gate(),
    ]
}

/// A word is stored by the thread that hands something over, and loaded by the one that takes it.
fn word(id: &'static str, value: u32, stores: Mode, loads: Mode) -> Program {
    hands_over(id, [store(Y, value, stores)], [load(A, Y, loads), require(A, value)])
}

/// Of two senders, the last one to be dropped closes.
fn senders() -> Argument {
    let id = "senders.last";
    let program = |first: Mode, last: Mode| {
        let one_off = u32::MAX;
        hands_over(
            id,
            [fetch_add(A, Y, one_off, first)],
            [fetch_add(B, Y, one_off, last), require(B, 1)],
        )
        .begins(Y, 2)
    };
    Argument::new(
        id,
        &[
            (MAILBOX, "pairs with itself in the other senders"),
            (MPMC, "pairs with itself in the other senders"),
            (WATCH, "pairs with itself in the other senders"),
        ],
        "the sender that closes misses what another sender did before it was dropped",
        program(ACQ_REL, ACQ_REL),
    )
    .weaker("the drop does not release", "FFRR", program(ACQ, ACQ_REL))
    .weaker("the last drop does not acquire", "FFRR", program(ACQ_REL, REL))
}

fn tail() -> Argument {
    let id = "mpmc.tail";
    Argument::new(
        id,
        &[
            (TURN, "pairs with the acquiring look in `ready`."),
            (TURN, "pairs with the releases in `sent`: the items before it are in place"),
            (RESERVE, "pairs with the acquiring look in `ready`, for the item, and for the end"),
        ],
        "a receiver finds that the tail has moved, and reads the item before it is written",
        word(id, ITEM, REL, ACQ),
    )
    .weaker("`sent` relaxed", "FFRR", word(id, ITEM, RLX, ACQ))
    .weaker("`ready` relaxed", "FFRR", word(id, ITEM, REL, RLX))
}

fn head() -> Argument {
    let id = "mpmc.head";
    let program = |moves: Mode, looks: Mode| {
        gives_back(id, [store(Y, ITEM, moves)], [load(A, Y, looks), require(A, ITEM)])
    };
    Argument::new(
        id,
        &[
            (TURN, "pairs with the release in `received`: the places before it are empty"),
            (TURN, "pairs with the acquiring look in `room`"),
        ],
        "a sender fills a place that a receiver is still reading",
        program(REL, ACQ),
    )
    .weaker("`received` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`room` relaxed", "FFRR", program(REL, RLX))
}

/// One sender puts an item, a second one sets the flag `reserved` with a store of its own, and a
/// receiver finds the item through that second store.
fn reserve() -> Argument {
    let id = "mpmc.reserve";
    let program = |reserves: Mode, unlocks: Mode, looks: Mode| {
        let mut program = hands_over(
            id,
            [store(Y, ITEM, REL), store(Z, 0, unlocks)],
            [load(A, Y, looks), require(A, ITEM + RESERVED)],
        )
        .begins(Z, 1);
        program.threads.push(vec![
            load(B, Z, ACQ),
            require(B, 0),
            load(C, Y, RLX),
            require(C, ITEM),
            store(Y, ITEM + RESERVED, reserves),
        ]);
        program
    };
    Argument::new(
        id,
        &[(RESERVE, "that look may find the items of earlier senders through this store")],
        "a receiver finds an item through a later sender's store before the item is written",
        program(REL, REL, ACQ),
    )
    .weaker("the store in `reserve` relaxed", "FFRR", program(RLX, REL, ACQ))
    .weaker("the lock does not release", "FFRR", program(REL, RLX, ACQ))
    .weaker("`ready` relaxed", "FFRR", program(REL, REL, RLX))
}

fn mpmc_close() -> Argument {
    let id = "mpmc.close";
    Argument::new(
        id,
        &[
            (MPMC, "pairs with the acquiring look in `ready` that ends in `Closed`"),
            (TURN, "pairs with the releases in `sent`: the items before it are in place; and in"),
        ],
        "a receiver learns of the end, and misses what was done before the closing",
        word(id, CLOSED, REL, ACQ),
    )
    .weaker("`close` relaxed", "FFRR", word(id, CLOSED, RLX, ACQ))
    .weaker("`ready` relaxed", "FFRR", word(id, CLOSED, REL, RLX))
}

fn watch_close() -> Argument {
    let id = "watch.close";
    Argument::new(
        id,
        &[
            (WATCH, "pairs with the acquiring look in `look` that ends in `Closed`"),
            (WATCH, "pairs with the release in `close`, where this look ends in `Closed`"),
        ],
        "a reader learns of the end, and misses what was done before the closing",
        word(id, CLOSED, REL, ACQ),
    )
    .weaker("`close` relaxed", "FFRR", word(id, CLOSED, RLX, ACQ))
    .weaker("`look` relaxed", "FFRR", word(id, CLOSED, REL, RLX))
}

/// A sender changes value and word under the lock; a reader that sees the word takes the lock. The
/// word itself orders nothing.
fn watch_value() -> Argument {
    let id = "watch.value";
    let program = |unlocks: Mode, locks: Mode| {
        hands_over(
            id,
            [store(Y, 2, RLX), store(Z, 0, unlocks)],
            [load(A, Y, RLX), require(A, 2), load(B, Z, locks), require(B, 0)],
        )
        .begins(Z, 1)
    };
    Argument::new(
        id,
        &[(WATCH, "none needed: a reader that sees it takes the value under the lock")],
        "a reader sees a new version, and reads the value before it is replaced",
        program(REL, ACQ),
    )
    .weaker("the lock does not release", "FFRR", program(RLX, ACQ))
    .weaker("the lock does not acquire", "FFRR", program(REL, RLX))
}

/// Two messages end; a thread that finds no message under way sees what the handlers of both did.
fn busy() -> Argument {
    let id = "services.busy";
    let program = |drops: Mode, rests: Mode| {
        let one_off = u32::MAX;
        let end = [load(B, Y, rests), require(B, 0)];
        let mut program = hands_over(id, [fetch_add(A, Y, one_off, drops)], end).begins(Y, 2);
        program.threads.push(vec![fetch_add(C, Y, one_off, drops)]);
        program
    };
    Argument::new(
        id,
        &[
            (ACTIVITY, "pairs with the release in `Busy::drop`"),
            (ACTIVITY, "pairs with the acquire in `Activity::rest`"),
        ],
        "a thread finds nothing under way, and misses what a handler did",
        program(REL, ACQ),
    )
    .weaker("`Busy::drop` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`rest` relaxed", "FFRR", program(REL, RLX))
}

/// A thread comes to the gate and says so; another one has waited for that, and opens it.
fn gate() -> Argument {
    let id = "services.gate";
    let program = |reaches: Mode, arrived: Mode, opens: Mode, passes: Mode| {
        let mut program = hands_over(
            id,
            [store(Y, 1, reaches), load(A, Z, passes), require(A, 1), load(D, X, PLAIN)],
            [load(B, Y, arrived), require(B, 1)],
        );
        program.threads[1].extend([store(X, 2, PLAIN), store(Z, 1, opens)]);
        program
    };
    Argument::new(
        id,
        &[
            (INJECT, "pairs with the acquiring load in `pass`"),
            (INJECT, "pairs with the releasing store in `pass`"),
            (INJECT, "pairs with the acquiring load in `wait_for_arrival`"),
            (INJECT, "pairs with the releasing store in `open`"),
        ],
        "one of the two misses what the other did before the gate",
        program(REL, ACQ, REL, ACQ),
    )
    .weaker("the arrival relaxed", "FFRR", program(RLX, ACQ, REL, ACQ))
    .weaker("`wait_for_arrival` relaxed", "FFRR", program(REL, RLX, REL, ACQ))
    .weaker("`open` relaxed", "FFRR", program(REL, ACQ, RLX, ACQ))
    .weaker("`pass` relaxed", "FFRR", program(REL, ACQ, REL, RLX))
}
