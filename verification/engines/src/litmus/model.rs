//! The memory models, as axioms on one execution.
//!
//! | model | of | axioms |
//! |---|---|---|
//! | [`SC`] | interleavings | [`Rule::TotalOrder`] |
//! | [`TSO`] | an x86 processor, operation by operation as compilers translate it | [`Rule::PerLocation`], [`Rule::StoreOrder`] |
//! | [`RC11`] | the language | [`Rule::Coherence`], [`Rule::Atomicity`], [`Rule::ScAccesses`], [`Rule::ScFences`], [`Rule::NoThinAir`] |
//! | [`RC11_LB`] | the language, where a load may be delayed past a later store | those of RC11 but the last |
//!
//! The other rules are parts of the relations on which the axioms rest. Each can be taken out
//! ([`Model::without`]), so that a test can see that some litmus test needs it.
//!
//! **RC11** is the model of O. Lahav, V. Vafeiadis, J. Kang, C.-K. Hur and D. Dreyer, *Repairing
//! Sequential Consistency in C/C++11* (PLDI 2017), with two differences. A read-modify-write is one
//! event here, not two. And a release sequence is continued by read-modify-writes alone, as in
//! C++20 (and so in Rust); in the paper, as in C++11, later stores of the same thread continue it,
//! too.
//!
//! **Load buffering.** C++20 and Rust forbid values out of thin air in words, but no axiom for that
//! is agreed on. RC11 forbids every cycle of `sb` and `rf`, hence load buffering, which compilers
//! and ARM processors can produce. `RC11_LB` leaves that axiom out; the enumeration still excludes
//! values that depend on themselves. What it allows in addition is what a checker that runs threads
//! step by step, such as loom, cannot see.
//!
//! **TSO** is the model of S. Owens, S. Sarkar and P. Sewell, *A Better x86 Memory Model: x86-TSO*
//! (TPHOLs 2009), in the axiomatic form of J. Alglave, L. Maranget and M. Tautschnig, *Herding
//! Cats* (TOPLAS 2014). A SeqCst fence is `mfence`; other fences are nothing. A SeqCst store is an
//! `xchg`. A read-modify-write is locked. It says nothing about what a compiler reorders.

use super::execution::Execution;
use super::operation::Mode;
use super::relation::{Relation, Set, members};

/// An axiom, or a part of a relation that an axiom rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// `sb ∪ rf ∪ co ∪ fr` is acyclic.
    TotalOrder,
    /// `sb|loc ∪ rf ∪ co ∪ fr` is acyclic: each location by itself is sequentially consistent.
    PerLocation,
    /// `ppo ∪ fence ∪ rfe ∪ co ∪ fr` is acyclic, where `ppo` is `sb` between accesses, except from
    /// a store to a load.
    StoreOrder,
    /// The part `fence`: a SeqCst fence, or a SeqCst store, orders a store before a later load.
    StoreFence,
    /// `hb ; eco?` is irreflexive, where `hb = (sb ∪ sw)+` and `eco = (rf ∪ co ∪ fr)+`.
    Coherence,
    /// `fr ; co` is irreflexive: nothing comes between the read and the write of a
    /// read-modify-write.
    Atomicity,
    /// `psc_base` is acyclic (together with `psc_f`, if that is there).
    ScAccesses,
    /// `psc_f = [F_sc] ; (hb ∪ hb ; eco ; hb) ; [F_sc]` is acyclic.
    ScFences,
    /// `sb ∪ rf` is acyclic.
    NoThinAir,
    /// The part of `sw` without which there is none: a releasing write that an acquiring read reads
    /// from.
    Synchronises,
    /// The part `[F] ; sb` of `sw`: a releasing fence before the write.
    ReleaseFences,
    /// The part `sb ; [F]` of `sw`: an acquiring fence after the read.
    AcquireFences,
    /// The part `(rf ; rmw)*` of `sw`: read-modify-writes between the write and the read.
    ReleaseSequences,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 13] = [
        Self::TotalOrder,
        Self::PerLocation,
        Self::StoreOrder,
        Self::StoreFence,
        Self::Coherence,
        Self::Atomicity,
        Self::ScAccesses,
        Self::ScFences,
        Self::NoThinAir,
        Self::Synchronises,
        Self::ReleaseFences,
        Self::AcquireFences,
        Self::ReleaseSequences,
    ];
}

/// A memory model: the rules that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Model {
    /// The name that reports use.
    pub name: &'static str,
    rules: u32,
}

const fn model(name: &'static str, rules: &[Rule]) -> Model {
    let (mut all, mut place) = (0, 0);
    while place < rules.len() {
        all |= 1 << rules[place] as u32;
        place += 1;
    }
    Model { name, rules: all }
}

/// Sequential consistency.
pub const SC: Model = model("SC", &[Rule::TotalOrder]);
/// x86-TSO.
pub const TSO: Model = model("TSO", &[Rule::PerLocation, Rule::StoreOrder, Rule::StoreFence]);
/// RC11.
pub const RC11: Model = model(
    "RC11",
    &[
        Rule::Coherence,
        Rule::Atomicity,
        Rule::ScAccesses,
        Rule::ScFences,
        Rule::NoThinAir,
        Rule::Synchronises,
        Rule::ReleaseFences,
        Rule::AcquireFences,
        Rule::ReleaseSequences,
    ],
);
/// RC11 with load buffering.
pub const RC11_LB: Model = Model { name: "RC11-LB", ..RC11.without(Rule::NoThinAir) };

/// The models in the order of the tables. What a model allows, every later one allows.
pub const MODELS: [Model; 4] = [SC, TSO, RC11, RC11_LB];

impl Model {
    /// Returns whether the model has this rule.
    #[must_use]
    pub const fn has(self, rule: Rule) -> bool {
        self.rules & (1 << rule as u32) != 0
    }

    /// Returns the model without this rule.
    #[must_use]
    pub const fn without(self, rule: Rule) -> Self {
        Self { name: self.name, rules: self.rules & !(1 << rule as u32) }
    }

    /// Returns whether the model is of a language: then a data race makes a program meaningless.
    const fn is_language(self) -> bool {
        self.has(Rule::Coherence) || self.has(Rule::ScAccesses)
    }

    /// Returns whether the model allows the execution.
    pub(super) fn allows(self, execution: &Execution) -> bool {
        let Execution { sb, rf, co, fr, .. } = execution;
        if self.has(Rule::TotalOrder) && !(*sb | *rf | *co | *fr).is_acyclic() {
            return false;
        }
        let machine = self.has(Rule::PerLocation) || self.has(Rule::StoreOrder);
        if machine && !self.allows_on_x86(execution) {
            return false;
        }
        if self.has(Rule::Atomicity) && !fr.then(co).is_irreflexive() {
            return false;
        }
        if self.has(Rule::NoThinAir) && !(*sb | *rf).is_acyclic() {
            return false;
        }
        !self.is_language() || self.allows_in_language(execution)
    }

    fn allows_on_x86(self, execution: &Execution) -> bool {
        let Execution { sb, rf, co, fr, .. } = execution;
        let per_location = (*sb & execution.same_location()) | *rf | *co | *fr;
        if self.has(Rule::PerLocation) && !per_location.is_acyclic() {
            return false;
        }
        let accesses = execution.set(|event| event.location.is_some());
        let stores = execution.set(|event| event.written.is_some() && event.read.is_none());
        let loads = execution.set(|event| event.written.is_none() && event.read.is_some());
        let mut order = sb.between(accesses, accesses) - sb.between(stores, loads);
        if self.has(Rule::StoreFence) {
            let full =
                execution.set(|event| event.mode == Mode::SeqCst && event.location.is_none());
            let fence = Relation::identity(full);
            let exchanged = execution.set(|event| event.mode == Mode::SeqCst) & stores;
            order = order | sb.then(&fence).then(sb) | sb.between(exchanged, loads);
        }
        let ghb = order | (*rf & execution.external()) | *co | *fr;
        !self.has(Rule::StoreOrder) || ghb.is_acyclic()
    }

    fn allows_in_language(self, execution: &Execution) -> bool {
        let Execution { rf, co, fr, .. } = execution;
        let hb = self.happens_before(execution);
        let eco = (*rf | *co | *fr).plus();
        if self.has(Rule::Coherence) {
            // A read-modify-write that reads from a later write is the case `rf ; co`: with two
            // events, its own read would be sequenced before its write.
            let is_coherent = hb.is_irreflexive()
                && hb.then(&eco).is_irreflexive()
                && rf.then(co).is_irreflexive();
            if !is_coherent {
                return false;
            }
        }
        self.partial_sc(execution, &hb, &eco).is_acyclic()
    }

    /// Returns `hb = (sb ∪ sw)+`.
    fn happens_before(self, execution: &Execution) -> Relation {
        let Execution { sb, rf, .. } = execution;
        let atomic = execution.set(|event| event.mode != Mode::Plain);
        let writes = execution.set(|event| event.written.is_some()) & atomic;
        let reads = execution.set(|event| event.read.is_some()) & atomic;
        let updates = writes & reads;
        let fences = execution.set(|event| event.location.is_none());
        let releases = execution.set(|event| event.mode.releases());
        let acquires = execution.set(|event| event.mode.acquires());
        // From what releases to the head of a release sequence.
        let mut head = Relation::identity(releases & writes);
        if self.has(Rule::ReleaseFences) {
            head = head | sb.between(releases & fences, writes);
        }
        let continued = rf.between(writes, updates);
        let mut sequence = Relation::identity(writes);
        if self.has(Rule::ReleaseSequences) {
            sequence = sequence | continued.plus();
        }
        // From a read to what acquires.
        let mut tail = Relation::identity(acquires & reads);
        if self.has(Rule::AcquireFences) {
            tail = tail | sb.between(reads, acquires & fences);
        }
        let mut sw = head.then(&sequence).then(&rf.between(writes, reads)).then(&tail);
        if !self.has(Rule::Synchronises) {
            sw = Relation::default();
        }
        (*sb | sw).plus()
    }

    /// Returns `psc = psc_base ∪ psc_f`, as far as the model has them.
    fn partial_sc(self, execution: &Execution, hb: &Relation, eco: &Relation) -> Relation {
        let Execution { sb, co, fr, .. } = execution;
        let seq_cst = execution.set(|event| event.mode == Mode::SeqCst);
        let fences: Set = execution.set(|event| event.location.is_none()) & seq_cst;
        let mut psc = Relation::default();
        if self.has(Rule::ScAccesses) {
            let same = execution.same_location();
            let elsewhere = *sb - same;
            let scb = *sb | elsewhere.then(hb).then(&elsewhere) | (*hb & same) | *co | *fr;
            let fence = Relation::identity(fences);
            let begin = Relation::identity(seq_cst) | fence.then(&hb.maybe());
            let end = Relation::identity(seq_cst) | hb.maybe().then(&fence);
            psc = begin.then(&scb).then(&end);
        }
        if self.has(Rule::ScFences) {
            psc = psc | (*hb | hb.then(eco).then(hb)).between(fences, fences);
        }
        psc
    }

    /// Returns a data race of an execution that the model allows: two accesses of different threads
    /// to one location, a plain one and a write among them, that nothing orders.
    pub(super) fn race(self, execution: &Execution) -> Option<(usize, usize)> {
        let plain = execution.set(|event| event.mode == Mode::Plain);
        if !self.is_language() || plain == 0 {
            return None;
        }
        let hb = self.happens_before(execution);
        let writes = execution.set(|event| event.written.is_some());
        let conflicts = execution.same_location() & execution.external();
        members(writes).find_map(|write| {
            members(execution.set(|_| true))
                .filter(|&other| (plain & (1 << write | 1 << other)) != 0)
                .find(|&other| {
                    conflicts.has(write, other) && !hb.has(write, other) && !hb.has(other, write)
                })
                .map(|other| (write, other))
        })
    }
}
