//! The arguments of the notifier, and of what relies on its fences.
//!
//! | location | is |
//! |---|---|
//! | `x` | `waiters`, where a sleeper counts 1 and a wake on its way 8 |
//! | `y` | the condition that is published |
//! | `z` | the epoch |

use blocksmith_engines::litmus::{
    A, ACQ, ACQ_REL, B, C, D, E, Mode, Operation, Program, REL, RLX, SEQ_CST, X, Y, Z, exchange,
    fence, fetch_add, load, require, store,
};

use super::{Argument, some};

const NOTIFIER: &str = "core/sync/src/notifier.rs";
const TASK: &str = "core/sync/src/notifier/task.rs";
const BROKER: &str = "core/sync/src/broker/service.rs";

/// A wake on its way, in `waiters`.
const WAKE: u32 = 8;

pub(super) fn arguments() -> Vec<Argument> {
    vec![fences(), register(), next_registration(), claim(), epoch(), stop()]
}

/// A waiter registers and looks at the condition; a notifier publishes it and looks for waiters.
fn look(
    id: &'static str,
    registration: Mode,
    waits: Option<Mode>,
    notifies: Option<Mode>,
) -> Program {
    let waiter =
        some([Some(fetch_add(C, X, 1, registration)), waits.map(fence), Some(load(A, Y, RLX))]);
    let notifier = some([Some(store(Y, 1, RLX)), notifies.map(fence), Some(load(B, X, RLX))]);
    Program::new(id, [waiter, notifier]).asks([A.is(0), B.is(0)])
}

fn fences() -> Argument {
    let id = "notifier.fences";
    let both = Some(SEQ_CST);
    Argument::new(
        id,
        &[
            (NOTIFIER, "fence (W), pairs with fence (N) in `find_waiters`"),
            (NOTIFIER, "fence (N), pairs with the fences (W) in `prepare` and `register`"),
        ],
        "the waiter's second look misses the publication, and the notifier misses the waiter",
        look(id, REL, both, both),
    )
    .weaker("fence (W) left out", "FFAA", look(id, REL, None, both))
    .weaker("fence (N) left out", "FAAA", look(id, REL, both, None))
    .weaker("fence (W) AcqRel", "FFAA", look(id, REL, Some(ACQ_REL), both))
    .weaker("fence (N) AcqRel", "FAAA", look(id, REL, both, Some(ACQ_REL)))
}

fn register() -> Argument {
    let id = "notifier.register";
    let both = Some(SEQ_CST);
    Argument::new(
        id,
        &[
            (TASK, "fence (W) orders the registration before the second look"),
            (TASK, "fence (W), pairs with fence (N) in `find_waiters`"),
        ],
        "the task's second look misses the publication, and the notifier misses the task",
        look(id, RLX, both, both),
    )
    .weaker("fence (W) left out", "FFAA", look(id, RLX, None, both))
    .weaker("fence (N) left out", "FAAA", look(id, RLX, both, None))
}

/// The broker's flag is a condition like any other; it is relaxed.
fn stop() -> Argument {
    let id = "broker.stop";
    let both = Some(SEQ_CST);
    Argument::new(
        id,
        &[
            (BROKER, "none needed: the notifier hands the flag over"),
            (BROKER, "none needed: the flag is published, then the notifier notified"),
        ],
        "the broker's thread misses the flag and sleeps, and nobody wakes it",
        look(id, REL, both, both),
    )
    .weaker("the notifier's fence (N) left out", "FAAA", look(id, REL, both, None))
}

/// A notification finds no sleeper, because a wake is on its way to the waiter. The waiter drops
/// its token, registers again, and looks.
fn next_registration() -> Argument {
    let id = "notifier.next_registration";
    let program = |waits: Option<Mode>, notifies: Option<Mode>| {
        let waiter = some([
            Some(fetch_add(C, X, WAKE.wrapping_neg(), RLX)),
            Some(fetch_add(D, X, 1, REL)),
            waits.map(fence),
            Some(load(A, Y, RLX)),
        ]);
        let notifier = some([Some(store(Y, 1, RLX)), notifies.map(fence), Some(load(B, X, RLX))]);
        Program::new(id, [waiter, notifier]).begins(X, WAKE).asks([A.is(0), B.is(WAKE)])
    };
    let both = Some(SEQ_CST);
    Argument::new(
        id,
        &[(NOTIFIER, "fence (N) stands between the publication and this look")],
        "a notification finds a wake on its way and leaves; the waiter's next look misses its \
         publication",
        program(both, both),
    )
    .weaker("fence (W) left out", "FFAA", program(None, both))
    .weaker("fence (N) left out", "FAAA", program(both, None))
}

/// A token reads the epoch, and then registers; a notification claims it, and then moves the epoch.
fn claim() -> Argument {
    let id = "notifier.claim";
    let program = |registers: Mode, claims: Mode| {
        let waiter = vec![load(A, Z, RLX), fetch_add(B, X, 1, registers), fence(SEQ_CST)];
        let notifier: Vec<Operation> = vec![
            fence(SEQ_CST),
            load(C, X, RLX),
            require(C, 1),
            exchange(D, X, (1, WAKE), (claims, RLX)),
            require(D, 1),
            fetch_add(E, Z, 1, RLX),
        ];
        Program::new(id, [waiter, notifier]).asks([A.is(1), D.is(1)])
    };
    Argument::new(
        id,
        &[
            (NOTIFIER, "release pairs with the acquiring claim, for the load above"),
            (NOTIFIER, "loom does not let a load return what a later write of its own thread"),
            (NOTIFIER, "pairs with the releasing registration in `prepare`"),
            (NOTIFIER, "as there."),
        ],
        "a token is claimed, and has remembered the epoch that its own notification has moved",
        program(REL, ACQ),
    )
    .weaker("registration relaxed", "FFFA", program(RLX, ACQ))
    .weaker("claim relaxed", "FFFA", program(REL, RLX))
}

/// A token that remembers the moved epoch sees what was published before the move.
fn epoch() -> Argument {
    let id = "notifier.epoch";
    let program = |waits: Option<Mode>, notifies: Option<Mode>| {
        let waiter = some([
            Some(load(A, Z, RLX)),
            Some(fetch_add(C, X, 1, REL)),
            waits.map(fence),
            Some(load(D, Y, RLX)),
        ]);
        let notifier =
            some([Some(store(Y, 1, RLX)), notifies.map(fence), Some(fetch_add(B, Z, 1, RLX))]);
        Program::new(id, [waiter, notifier]).asks([A.is(1), D.is(0)])
    };
    let both = Some(SEQ_CST);
    Argument::new(
        id,
        &[
            (NOTIFIER, "read before fence (W), which therefore is the acquire half of this load"),
            (NOTIFIER, "fence (N), before it, is the release half for a waiter that reads this"),
        ],
        "a token remembers the moved epoch, and its second look misses the publication",
        program(both, both),
    )
    .weaker("fence (W) left out", "FFAA", program(None, both))
    .weaker("fence (N) left out", "FFAA", program(both, None))
}
