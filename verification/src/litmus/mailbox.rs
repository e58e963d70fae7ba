//! The arguments of the mailbox: its credits, and its queue.
//!
//! | location | in the credits | in the queue |
//! |---|---|---|
//! | `x` | what is handed over, or a place | a place |
//! | `y` | `consumed`, or the permits dropped | an entry, or a mark |
//! | `z` | the word: claims count 1, a reservation 16, closed 64 | `consumed` |

use blocksmith_engines::litmus::{
    A, ACQ, ACQ_REL, B, C, D, E, F, H, Mode, Program, REL, RLX, X, Y, Z, exchange, fetch_add, load,
    require, store,
};

use super::{Argument, gives_back, hands_over};

const CREDITS: &str = "core/sync/src/mailbox/credits.rs";
const QUEUE: &str = "core/sync/src/mailbox/queue.rs";

/// A reservation, in the word.
const RESERVED: u32 = 16;
/// The flag `closed`, in the word.
const CLOSED: u32 = 64;

pub(super) fn arguments() -> Vec<Argument> {
    vec![
        consumed(),
        evicted(),
        confirmed(),
        claims(),
        returned(),
        closed(),
        given_back(),
        permit(),
        mark(),
        installed(),
        install_lost(),
        passed(),
        taken_out(),
    ]
}

/// The receiver takes an item out of its place and counts it; a sender sees room, claims, and fills
/// the place.
fn consumed() -> Argument {
    let id = "credits.consumed";
    let program = |releases: Mode, acquires: Mode| {
        gives_back(
            id,
            [fetch_add(A, Y, 1, releases)],
            [
                load(B, Y, acquires),
                require(B, 1),
                exchange(C, Z, (0, 1), (ACQ_REL, ACQ)),
                require(C, 0),
            ],
        )
    };
    Argument::new(
        id,
        &[
            (CREDITS, "pairs with the releasing additions in `release` and `replace` (C5)"),
            (CREDITS, "pairs with the acquiring load in `consumed`."),
        ],
        "a sender fills a place that the receiver is still reading",
        program(REL, ACQ),
    )
    .weaker("`release` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`consumed` relaxed", "FFRR", program(REL, RLX))
}

/// An evictor claims, and then counts the request that it took; a sender sees that room, and
/// claims.
fn evicted() -> Argument {
    let id = "credits.evicted";
    let program = |releases: Mode, acquires: Mode, claims: Mode| {
        let evictor = vec![fetch_add(A, Z, 1, claims), fetch_add(B, Y, 1, releases)];
        let sender =
            vec![load(C, Y, acquires), require(C, 1), exchange(D, Z, (0, 1), (claims, RLX))];
        Program::new(id, [evictor, sender]).asks([A.is(1), C.is(1), D.is(0)])
    };
    let why = "the evictor's claim acquires from the sender's, which is earlier; so the sender has \
               read `consumed` before the addition that it would have to read from";
    Argument::new(
        id,
        &[
            (CREDITS, "It comes after the claim, so a thread that sees the room"),
            (CREDITS, "each claim acquires from the earlier ones"),
        ],
        "a sender claims before the evictor, with the room that the evictor has made for itself",
        program(REL, ACQ, ACQ_REL),
    )
    .redundant("`replace` relaxed", why, program(RLX, ACQ, ACQ_REL))
    .weaker("that, and the claims relaxed", "FFFA", program(RLX, ACQ, RLX))
    .redundant("`consumed` relaxed", why, program(REL, RLX, ACQ_REL))
    .weaker("that, and the claims relaxed, too", "FFFA", program(REL, RLX, RLX))
}

/// A sender finds no room. It reads `consumed` again, which shows what was consumed before the last
/// claim in the word.
fn confirmed() -> Argument {
    let id = "credits.confirmed";
    let program = |claims: Mode, looks: Mode| {
        let receiver = vec![fetch_add(D, Y, 1, REL)];
        let other = vec![load(E, Y, ACQ), require(E, 1), exchange(F, Z, (1, 2), (claims, ACQ))];
        let sender = vec![load(A, Y, ACQ), load(B, Z, looks), load(C, Y, ACQ)];
        Program::new(id, [receiver, other, sender]).begins(Z, 1).asks([A.is(0), B.is(2), C.is(0)])
    };
    Argument::new(
        id,
        &[(CREDITS, "pairs with the releasing exchanges, for callers that read `consumed` again")],
        "a sender is refused as full, although there was room before the last claim it has seen",
        program(ACQ_REL, ACQ),
    )
    .weaker("`acquire` relaxed", "FFAA", program(ACQ_REL, RLX))
    .weaker("the exchange does not release", "FFAA", program(ACQ, ACQ))
}

/// A claim takes over what happened before the earlier claim: here, that a place was emptied.
fn claims() -> Argument {
    let id = "credits.claims";
    let program = |first: Mode, looks: Mode, second: Mode| {
        gives_back(
            id,
            [exchange(A, Z, (0, 1), (first, ACQ))],
            [
                load(B, Z, looks),
                require(B, 1),
                exchange(C, Z, (1, 2), (second, ACQ)),
                require(C, 1),
            ],
        )
    };
    Argument::new(
        id,
        &[(CREDITS, "success pairs with itself, from claim to claim (C5)")],
        "the place that an earlier claimer has emptied is filled while it is still read",
        program(ACQ_REL, ACQ, ACQ_REL),
    )
    .weaker("the earlier claim does not release", "FFRR", program(ACQ, ACQ, ACQ_REL))
    .weaker("look and exchange do not acquire", "FFRR", program(ACQ_REL, RLX, REL))
    .redundant(
        "the exchange does not acquire",
        "the look at the word has acquired the same value; `credits.returned` is the case where it \
         is not the same",
        program(ACQ_REL, ACQ, REL),
    )
}

/// Between the look and the exchange, the word has left its value and come back to it.
fn returned() -> Argument {
    let id = "credits.returned";
    let program = |success: Mode, drops: Mode| {
        let claimer = vec![
            load(A, Z, ACQ),
            require(A, 0),
            exchange(B, Z, (0, 1), (success, ACQ)),
            require(B, 0),
            load(C, X, RLX),
        ];
        let reserver = vec![
            store(X, 1, RLX),
            fetch_add(D, Z, RESERVED, ACQ_REL),
            fetch_add(E, Z, RESERVED.wrapping_neg(), drops),
        ];
        Program::new(id, [claimer, reserver]).asks([B.is(0), C.is(0), D.is(0), E.is(RESERVED)])
    };
    Argument::new(
        id,
        &[(CREDITS, "the word may have left this value and come back to it meanwhile")],
        "a claim that follows a reservation and its end misses what happened before them",
        program(ACQ_REL, REL),
    )
    .weaker("the exchange does not acquire", "FFAA", program(REL, REL))
    .redundant(
        "`drop_reserved` relaxed",
        "the reservation itself releases, and `drop_reserved` continues its release sequence; what \
         happens between the two is the case of `credits.given_back`",
        program(ACQ_REL, RLX),
    )
}

/// The receiver finds the mailbox closed and everything consumed, and says that it is the end.
fn closed() -> Argument {
    let id = "credits.closed";
    let program = |closes: Mode, looks: Mode| {
        hands_over(
            id,
            [exchange(A, Z, (0, CLOSED), (closes, RLX))],
            [
                load(B, Z, RLX),
                require(B, CLOSED),
                load(C, Y, ACQ),
                load(D, Z, looks),
                require(D, CLOSED),
            ],
        )
    };
    Argument::new(
        id,
        &[
            (CREDITS, "success pairs with the acquiring load in `is_finished`"),
            (CREDITS, "pairs with the releases in `close` and `drop_reserved`"),
        ],
        "a receiver learns of the end, and misses what was done before the closing",
        program(REL, ACQ),
    )
    .weaker("`close` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`has_ended` relaxed", "FFRR", program(REL, RLX))
}

/// A place is given back, and the mailbox closed by another thread; then the receiver ends.
fn given_back() -> Argument {
    let id = "credits.given_back";
    let program = |drops: Mode, looks: Mode| {
        let mut program = hands_over(
            id,
            [fetch_add(A, Z, RESERVED.wrapping_neg(), drops)],
            [load(B, Z, looks), require(B, CLOSED)],
        )
        .begins(Z, RESERVED);
        program.threads.push(vec![fetch_add(C, Z, CLOSED, REL)]);
        program
    };
    Argument::new(
        id,
        &[
            (CREDITS, "pairs with the acquiring load in `is_finished`."),
            (CREDITS, "pairs with the releases in `close` and `drop_reserved`"),
        ],
        "a receiver learns of the end, and misses what was done before a place was given back",
        program(REL, ACQ),
    )
    .weaker("`drop_reserved` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`has_ended` relaxed", "FFRR", program(REL, RLX))
}

fn permit() -> Argument {
    let id = "credits.permit";
    let program = |drops: Mode, looks: Mode| {
        hands_over(id, [fetch_add(A, Y, 1, drops)], [load(B, Y, looks), require(B, 1)])
    };
    Argument::new(
        id,
        &[
            (CREDITS, "pairs with the acquiring load in `is_finished`."),
            (CREDITS, "pairs with the releasing addition in `drop_permit`"),
        ],
        "a receiver learns of the end, and misses what was done before a permit was dropped",
        program(REL, ACQ),
    )
    .weaker("`drop_permit` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`permits` relaxed", "FFRR", program(REL, RLX))
}

fn mark() -> Argument {
    let id = "queue.mark";
    let program = |pushes: Mode, looks: Mode| {
        hands_over(id, [store(Y, 1, pushes)], [load(B, Y, looks), require(B, 1)])
    };
    Argument::new(
        id,
        &[
            (QUEUE, "pairs with the acquiring load in `front`"),
            (QUEUE, "pairs with the releasing store in `push`"),
        ],
        "the consumer finds the mark, and reads the item before it is written",
        program(REL, ACQ),
    )
    .weaker("`push` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("`front` relaxed", "FFRR", program(REL, RLX))
}

/// A producer makes a block; another producer, or the consumer, finds it in the entry.
fn installed() -> Argument {
    let id = "queue.installed";
    let program = |installs: Mode, looks: Mode| {
        let find = [load(B, Y, looks), require(B, 1)];
        hands_over(id, [exchange(A, Y, (0, 1), (installs, ACQ))], find)
    };
    Argument::new(
        id,
        &[
            (QUEUE, "success pairs with the acquiring loads of the entry"),
            (QUEUE, "pairs with the releasing exchanges in `install` and `pass`"),
            (QUEUE, "pairs with the releasing exchange in `install`"),
        ],
        "a thread finds a block in its entry before the block's places are initialised",
        program(REL, ACQ),
    )
    .weaker("`install` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("the load of the entry relaxed", "FFRR", program(REL, RLX))
}

/// Two producers make a block; the slower one uses that of the faster one.
fn install_lost() -> Argument {
    let id = "queue.install_lost";
    let program = |failure: Mode| {
        hands_over(
            id,
            [exchange(A, Y, (0, 1), (REL, ACQ))],
            [exchange(B, Y, (0, 2), (REL, failure)), require(B, 1)],
        )
    };
    Argument::new(
        id,
        &[(QUEUE, "failure with the releasing exchange of the producer that was faster")],
        "the slower producer uses the block of the faster one before its places are initialised",
        program(ACQ),
    )
    .weaker("the failure of `install` relaxed", "FFRR", program(RLX))
}

/// The consumer is done with a block, and moves it ahead; a producer finds it there.
fn passed() -> Argument {
    let id = "queue.passed";
    let program = |passes: Mode, looks: Mode| {
        gives_back(id, [exchange(A, Y, (0, 1), (passes, RLX))], [load(B, Y, looks), require(B, 1)])
    };
    Argument::new(
        id,
        &[
            (QUEUE, "pairs with the acquiring load in `push`, since the consumer is done"),
            (QUEUE, "pairs with the releasing exchanges in `install` and `pass`"),
        ],
        "a producer fills a place of the moved block while the consumer still reads it",
        program(REL, ACQ),
    )
    .weaker("`pass` relaxed", "FFRR", program(RLX, ACQ))
    .weaker("the load of the entry relaxed", "FFRR", program(REL, RLX))
}

/// The consumer takes a block out of its entry, and then counts its last item. A producer that
/// claims the next position of that entry must not find the block there.
fn taken_out() -> Argument {
    let id = "queue.taken_out";
    let program = |releases: Mode, acquires: Mode| {
        let consumer = vec![store(Y, 0, RLX), fetch_add(A, Z, 1, releases)];
        let producer = vec![load(B, Z, acquires), require(B, 1), load(H, Y, ACQ)];
        Program::new(id, [consumer, producer]).begins(Y, 1).asks([H.is(1)])
    };
    Argument::new(
        id,
        &[(QUEUE, "none needed: the producer that claims the next position that uses this entry")],
        "a producer finds in its entry the block that the consumer has passed",
        program(REL, ACQ),
    )
    .weaker("`release` of the credits relaxed", "FFAA", program(RLX, ACQ))
    .weaker("`consumed` of the credits relaxed", "FFAA", program(REL, RLX))
}
