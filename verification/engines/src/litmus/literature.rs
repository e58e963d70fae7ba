//! Litmus tests whose answers are known from the literature, with the answer of each model.
//!
//! The families have the names of *Herding Cats*; each is there with five ways of ordering the
//! accesses of a thread:
//!
//! | name | accesses | between them |
//! |---|---|---|
//! | `rlx` | relaxed | nothing |
//! | `ra` | stores release, loads acquire | nothing |
//! | `sc` | SeqCst | nothing |
//! | `f.ra` | relaxed | an acquire-release fence |
//! | `f.sc` | relaxed | a SeqCst fence |
//!
//! `F` is forbidden, `A` allowed, `R` a data race; the four letters of a row are those of SC, TSO,
//! RC11, and RC11 with load buffering. On x86 a relaxed, acquiring or releasing access is a plain
//! `mov`, and `f.ra` is nothing, so the TSO column repeats the x86 answers.

use super::Answer;
use super::operation::*;
use super::program::{Condition, Program};

/// The x86-TSO papers: S. Owens, S. Sarkar, P. Sewell (TPHOLs 2009); P. Sewell, S. Sarkar, S.
/// Owens, F. Zappa Nardelli, M. O. Myreen (CACM 2010).
const X86: &str = "Owens 2009, Sewell 2010";
/// J. Alglave, L. Maranget, M. Tautschnig, *Herding Cats* (TOPLAS 2014).
const CATS: &str = "Alglave 2014";
/// O. Lahav, V. Vafeiadis, J. Kang, C.-K. Hur, D. Dreyer, *Repairing Sequential Consistency in
/// C/C++11* (PLDI 2017).
const REPAIRED: &str = "Lahav 2017";
/// M. Batty, S. Owens, S. Sarkar, P. Sewell, T. Weber, *Mathematizing C++ Concurrency* (POPL 2011).
const CPP11: &str = "Batty 2011";
/// The working draft of C++20, and paper P0982R1, for release sequences.
const CPP20: &str = "C++20, P0982R1";
/// Nothing but the axioms: the answer is derived by hand.
const BY_HAND: &str = "derived by hand";

/// A litmus test with its answers.
#[derive(Clone, Debug)]
pub struct Test {
    /// The program.
    pub program: Program,
    /// The answers under [`super::MODELS`].
    pub expected: [Answer; 4],
    /// Where the shape comes from, and its answers in the model that the source is about. The
    /// answers in the other models are derived by hand.
    pub source: &'static str,
}

impl Test {
    fn new(
        name: &'static str,
        expected: &str,
        source: &'static str,
        threads: impl Into<Vec<Vec<Operation>>>,
        conditions: impl Into<Vec<Condition>>,
    ) -> Self {
        let program = Program::new(name, threads).asks(conditions);
        Self { program, expected: answers(expected), source }
    }
}

/// Returns the answers that four letters stand for.
///
/// # Panics
/// If there are not four letters, or others than `F`, `A` and `R`.
#[must_use]
pub fn answers(letters: &str) -> [Answer; 4] {
    let all: Vec<_> = letters
        .chars()
        .map(|letter| match letter {
            'F' => Answer::Forbidden,
            'A' => Answer::Allowed,
            'R' => Answer::Race,
            other => panic!("{other} is no answer"),
        })
        .collect();
    all.try_into().unwrap_or_else(|_| panic!("{letters} are not four answers"))
}

/// A way of ordering the accesses of a thread.
#[derive(Clone, Copy)]
struct Way {
    writes: Mode,
    reads: Mode,
    fence: Option<Mode>,
}

const WAYS: [Way; 5] = [
    Way { writes: RLX, reads: RLX, fence: None },
    Way { writes: REL, reads: ACQ, fence: None },
    Way { writes: SEQ_CST, reads: SEQ_CST, fence: None },
    Way { writes: RLX, reads: RLX, fence: Some(ACQ_REL) },
    Way { writes: RLX, reads: RLX, fence: Some(SEQ_CST) },
];

impl Way {
    fn w(self, to: Location, value: u32) -> Operation {
        store(to, value, self.writes)
    }
    fn r(self, into: Register, from: Location) -> Operation {
        load(into, from, self.reads)
    }
    /// Returns two operations with what stands between them.
    fn order(self, first: Operation, second: Operation) -> Vec<Operation> {
        [Some(first), self.fence.map(fence), Some(second)].into_iter().flatten().collect()
    }
}

/// A family: the names and the answers of its five tests, and what they ask.
type Family = ([(&'static str, &'static str); 5], &'static str, Shape, Vec<Condition>);
/// The threads of a family.
type Shape = fn(Way) -> Vec<Vec<Operation>>;

/// The families of two threads.
fn pairs() -> Vec<Family> {
    vec![
        (
            [
                ("SB+rlx", "FAAA"),
                ("SB+ra", "FAAA"),
                ("SB+sc", "FFFF"),
                ("SB+f.ra", "FAAA"),
                ("SB+f.sc", "FFFF"),
            ],
            X86,
            |w| vec![w.order(w.w(X, 1), w.r(A, Y)), w.order(w.w(Y, 1), w.r(B, X))],
            vec![A.is(0), B.is(0)],
        ),
        (
            [
                ("MP+rlx", "FFAA"),
                ("MP+ra", "FFFF"),
                ("MP+sc", "FFFF"),
                ("MP+f.ra", "FFFF"),
                ("MP+f.sc", "FFFF"),
            ],
            CPP11,
            |w| vec![w.order(w.w(X, 1), w.w(Y, 1)), w.order(w.r(A, Y), w.r(B, X))],
            vec![A.is(1), B.is(0)],
        ),
        (
            [
                ("LB+rlx", "FFFA"),
                ("LB+ra", "FFFF"),
                ("LB+sc", "FFFF"),
                ("LB+f.ra", "FFFF"),
                ("LB+f.sc", "FFFF"),
            ],
            REPAIRED,
            |w| vec![w.order(w.r(A, X), w.w(Y, 1)), w.order(w.r(B, Y), w.w(X, 1))],
            vec![A.is(1), B.is(1)],
        ),
        (
            [
                ("2+2W+rlx", "FFAA"),
                ("2+2W+ra", "FFAA"),
                ("2+2W+sc", "FFFF"),
                ("2+2W+f.ra", "FFAA"),
                ("2+2W+f.sc", "FFFF"),
            ],
            REPAIRED,
            |w| vec![w.order(w.w(X, 1), w.w(Y, 2)), w.order(w.w(Y, 1), w.w(X, 2))],
            vec![X.ends(1), Y.ends(1)],
        ),
        (
            [
                ("R+rlx", "FAAA"),
                ("R+ra", "FAAA"),
                ("R+sc", "FFFF"),
                ("R+f.ra", "FAAA"),
                ("R+f.sc", "FFFF"),
            ],
            CATS,
            |w| vec![w.order(w.w(X, 1), w.w(Y, 1)), w.order(w.w(Y, 2), w.r(A, X))],
            vec![Y.ends(2), A.is(0)],
        ),
        (
            [
                ("S+rlx", "FFAA"),
                ("S+ra", "FFFF"),
                ("S+sc", "FFFF"),
                ("S+f.ra", "FFFF"),
                ("S+f.sc", "FFFF"),
            ],
            CATS,
            |w| vec![w.order(w.w(X, 2), w.w(Y, 1)), w.order(w.r(A, Y), w.w(X, 1))],
            vec![A.is(1), X.ends(2)],
        ),
    ]
}

/// The families of three threads, and of four.
fn larger() -> Vec<Family> {
    vec![
        (
            [
                ("WRC+rlx", "FFAA"),
                ("WRC+ra", "FFFF"),
                ("WRC+sc", "FFFF"),
                ("WRC+f.ra", "FFFF"),
                ("WRC+f.sc", "FFFF"),
            ],
            CPP11,
            |w| {
                let last = w.order(w.r(B, Y), w.r(C, X));
                vec![vec![w.w(X, 1)], w.order(w.r(A, X), w.w(Y, 1)), last]
            },
            vec![A.is(1), B.is(1), C.is(0)],
        ),
        (
            [
                ("ISA2+rlx", "FFAA"),
                ("ISA2+ra", "FFFF"),
                ("ISA2+sc", "FFFF"),
                ("ISA2+f.ra", "FFFF"),
                ("ISA2+f.sc", "FFFF"),
            ],
            CPP11,
            |w| {
                let first = w.order(w.w(X, 1), w.w(Y, 1));
                vec![first, w.order(w.r(A, Y), w.w(Z, 1)), w.order(w.r(B, Z), w.r(C, X))]
            },
            vec![A.is(1), B.is(1), C.is(0)],
        ),
        (
            [
                ("RWC+rlx", "FAAA"),
                ("RWC+ra", "FAAA"),
                ("RWC+sc", "FFFF"),
                ("RWC+f.ra", "FAAA"),
                ("RWC+f.sc", "FFFF"),
            ],
            REPAIRED,
            |w| {
                let last = w.order(w.w(Y, 1), w.r(C, X));
                vec![vec![w.w(X, 1)], w.order(w.r(A, X), w.r(B, Y)), last]
            },
            vec![A.is(1), B.is(0), C.is(0)],
        ),
        (
            [
                ("W+RWC+rlx", "FAAA"),
                ("W+RWC+ra", "FAAA"),
                ("W+RWC+sc", "FFFF"),
                ("W+RWC+f.ra", "FAAA"),
                ("W+RWC+f.sc", "FFFF"),
            ],
            REPAIRED,
            |w| {
                let first = w.order(w.w(X, 1), w.w(Y, 1));
                vec![first, w.order(w.r(A, Y), w.r(B, Z)), w.order(w.w(Z, 1), w.r(C, X))]
            },
            vec![A.is(1), B.is(0), C.is(0)],
        ),
        (
            [
                ("IRIW+rlx", "FFAA"),
                ("IRIW+ra", "FFAA"),
                ("IRIW+sc", "FFFF"),
                ("IRIW+f.ra", "FFAA"),
                ("IRIW+f.sc", "FFFF"),
            ],
            CPP11,
            |w| {
                let readers = [w.order(w.r(A, X), w.r(B, Y)), w.order(w.r(C, Y), w.r(D, X))];
                [vec![w.w(X, 1)], vec![w.w(Y, 1)]].into_iter().chain(readers).collect()
            },
            vec![A.is(1), B.is(0), C.is(1), D.is(0)],
        ),
    ]
}

/// Message passing where only one side, or only a part of it, orders its accesses.
fn handing_over() -> Vec<Test> {
    type Side = fn() -> Vec<Operation>;
    let writers: [(&str, Side); 3] = [
        ("rlx", || vec![store(X, 1, RLX), store(Y, 1, RLX)]),
        ("rel", || vec![store(X, 1, RLX), store(Y, 1, REL)]),
        ("f.rel", || vec![store(X, 1, RLX), fence(REL), store(Y, 1, RLX)]),
    ];
    let readers: [(&str, Side); 3] = [
        ("rlx", || vec![load(A, Y, RLX), load(B, X, RLX)]),
        ("acq", || vec![load(A, Y, ACQ), load(B, X, RLX)]),
        ("f.acq", || vec![load(A, Y, RLX), fence(ACQ), load(B, X, RLX)]),
    ];
    let names = [
        ["MP+rlx+rlx", "MP+rlx+acq", "MP+rlx+f.acq"],
        ["MP+rel+rlx", "MP+rel+acq", "MP+rel+f.acq"],
        ["MP+f.rel+rlx", "MP+f.rel+acq", "MP+f.rel+f.acq"],
    ];
    let mut tests = Vec::new();
    for (names, (writer, writes)) in names.into_iter().zip(writers) {
        for (name, (reader, reads)) in names.into_iter().zip(readers) {
            let expected = if writer == "rlx" || reader == "rlx" { "FFAA" } else { "FFFF" };
            let asked = [A.is(1), B.is(0)];
            tests.push(Test::new(name, expected, CPP11, [writes(), reads()], asked));
        }
    }
    tests
}

/// Release sequences, and plain memory.
fn sequences() -> Vec<Test> {
    let begin = || vec![store(X, 1, RLX), store(Y, 1, REL)];
    let end = || vec![load(A, Y, ACQ), load(B, X, RLX)];
    let own_store = || vec![store(X, 1, RLX), store(Y, 1, REL), store(Y, 2, RLX)];
    let update = || vec![fetch_add(C, Y, 1, RLX)];
    let plain = |release, acquire| {
        let reader = vec![load(A, Y, acquire), require(A, 1), load(B, X, PLAIN)];
        [vec![store(X, 1, PLAIN), store(Y, 1, release)], reader]
    };
    let asked = || [A.is(2), C.is(1), B.is(0)];
    vec![
        Test::new("MP+rel-rmw+acq", "FFFF", CPP11, [begin(), update(), end()], asked()),
        // C++11's release sequences, those of the paper, would forbid it.
        Test::new("MP+rel-rlx+acq", "FFAA", CPP20, [own_store(), end()], [A.is(2), B.is(0)]),
        Test::new(
            "MP+rel-rlx-other+acq",
            "FFAA",
            CPP11,
            [begin(), vec![load(C, Y, RLX), store(Y, 2, RLX)], end()],
            asked(),
        ),
        Test::new("MP+plain+ra", "FFFF", CPP11, plain(REL, ACQ), [B.is(0)]),
        Test::new("MP+plain+rlx", "FFRR", CPP11, plain(RLX, RLX), [B.is(0)]),
    ]
}

/// Load buffering where something stands between the load and the store.
fn buffering() -> Vec<Test> {
    let lb = |reads, writes| {
        [vec![load(A, X, reads), store(Y, 1, writes)], vec![load(B, Y, reads), store(X, 1, writes)]]
    };
    let data = [vec![load(A, X, RLX), store(Y, A, RLX)], vec![load(B, Y, RLX), store(X, B, RLX)]];
    let control = |register| [require(register, 1)];
    let tests = [
        [&[load(A, X, RLX)][..], &control(A), &[store(Y, 1, RLX)]].concat(),
        [&[load(B, Y, RLX)][..], &control(B), &[store(X, 1, RLX)]].concat(),
    ];
    let one_sided =
        [vec![load(A, X, ACQ), store(Y, 1, REL)], vec![load(B, Y, RLX), store(X, 1, RLX)]];
    let asked = || [A.is(1), B.is(1)];
    vec![
        Test::new("LB+acqs", "FFFA", BY_HAND, lb(ACQ, RLX), asked()),
        Test::new("LB+rels", "FFFA", BY_HAND, lb(RLX, REL), asked()),
        Test::new("LB+ra+rlx", "FFFA", BY_HAND, one_sided, asked()),
        Test::new("LB+datas", "FFFF", REPAIRED, data, asked()),
        Test::new("LB+ctrls", "FFFF", REPAIRED, tests, asked()),
    ]
}

/// One location by itself.
fn coherence() -> Vec<Test> {
    let two = |first, second| vec![first, second];
    let add = |register| vec![fetch_add(register, X, 1, RLX)];
    vec![
        Test::new(
            "CoRR",
            "FFFF",
            CATS,
            [vec![store(X, 1, RLX)], two(load(A, X, RLX), load(B, X, RLX))],
            [A.is(1), B.is(0)],
        ),
        Test::new("CoWW", "FFFF", CATS, [two(store(X, 1, RLX), store(X, 2, RLX))], [X.ends(1)]),
        Test::new(
            "CoWR",
            "FFFF",
            CATS,
            [two(store(X, 1, RLX), load(A, X, RLX)), vec![store(X, 2, RLX)]],
            [A.is(2), X.ends(1)],
        ),
        Test::new("CoRW1", "FFFF", CATS, [two(load(A, X, RLX), store(X, 1, RLX))], [A.is(1)]),
        Test::new(
            "CoRW2",
            "FFFF",
            CATS,
            [two(load(A, X, RLX), store(X, 1, RLX)), vec![store(X, 2, RLX)]],
            [A.is(2), X.ends(2)],
        ),
        Test::new("2RMW", "FFFF", CPP11, [add(A), add(B)], [A.is(0), B.is(0)]),
        Test::new("RMW+W", "FFFF", CPP11, [add(A), vec![store(X, 5, RLX)]], [A.is(0), X.ends(1)]),
        // It reads a write that comes after its own.
        Test::new(
            "RMW+W-later",
            "FFFF",
            BY_HAND,
            [add(A), vec![store(X, 5, RLX)]],
            [A.is(5), X.ends(5)],
        ),
        Test::new(
            "CAS+CAS",
            "FFFF",
            CPP11,
            [vec![exchange(A, X, (0, 1), (RLX, RLX))], vec![exchange(B, X, (0, 2), (RLX, RLX))]],
            [A.is(0), B.is(0)],
        ),
    ]
}

/// SeqCst accesses and fences, mixed with others.
fn mixed() -> Vec<Test> {
    let forwarded =
        |to, own, other, from| vec![store(to, 1, RLX), load(own, to, RLX), load(other, from, RLX)];
    let swapped =
        |old, to, register, from| vec![swap(old, to, 1, ACQ_REL), load(register, from, ACQ)];
    let through = |to, old, register, from| {
        vec![store(to, 1, RLX), fetch_add(old, Z, 1, ACQ_REL), load(register, from, RLX)]
    };
    let reader =
        |first, from, second, other| vec![load(first, from, ACQ), load(second, other, SEQ_CST)];
    let iriw = [
        vec![store(X, 1, SEQ_CST)],
        vec![store(Y, 1, SEQ_CST)],
        reader(A, X, B, Y),
        reader(C, Y, D, X),
    ];
    let z6 = [
        vec![store(X, 1, SEQ_CST), store(Y, 1, REL)],
        vec![fetch_add(A, Y, 1, SEQ_CST), load(B, Y, RLX)],
        vec![store(Y, 3, SEQ_CST), load(C, X, SEQ_CST)],
    ];
    let both = || [A.is(0), B.is(0)];
    vec![
        Test::new("IRIW-acq-sc", "FFAA", REPAIRED, iriw, [A.is(1), B.is(0), C.is(1), D.is(0)]),
        Test::new("Z6.U", "FFAA", REPAIRED, z6, [A.is(1), B.is(3), C.is(0)]),
        Test::new(
            "SB+rfis",
            "FAAA",
            X86,
            [forwarded(X, C, A, Y), forwarded(Y, D, B, X)],
            [C.is(1), A.is(0), D.is(1), B.is(0)],
        ),
        Test::new(
            "SB+f.sc+rlx",
            "FAAA",
            X86,
            [
                vec![store(X, 1, RLX), fence(SEQ_CST), load(A, Y, RLX)],
                vec![store(Y, 1, RLX), load(B, X, RLX)],
            ],
            both(),
        ),
        // An xchg is a barrier on x86, an acquire-release exchange is none in the language.
        Test::new("SB+rmws", "FFAA", BY_HAND, [swapped(C, X, A, Y), swapped(D, Y, B, X)], both()),
        // Two read-modify-writes of one location are ordered, and so is what is around them.
        Test::new("SB+rmw-z", "FFFF", BY_HAND, [through(X, C, A, Y), through(Y, D, B, X)], both()),
        Test::new(
            "R+rlx+f.sc",
            "FFAA",
            CATS,
            [
                vec![store(X, 1, RLX), store(Y, 1, RLX)],
                vec![store(Y, 2, RLX), fence(SEQ_CST), load(A, X, RLX)],
            ],
            [Y.ends(2), A.is(0)],
        ),
    ]
}

/// Returns all tests.
#[must_use]
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (rows, source, shape, conditions) in pairs().into_iter().chain(larger()) {
        for ((name, expected), way) in rows.into_iter().zip(WAYS) {
            tests.push(Test::new(name, expected, source, shape(way), conditions.clone()));
        }
    }
    let groups = [handing_over(), sequences(), buffering(), coherence(), mixed()];
    tests.extend(groups.into_iter().flatten());
    tests
}
