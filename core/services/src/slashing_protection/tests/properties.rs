//! Random requests, crashes and imports: what was signed is never slashable.

use std::cell::Cell;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::*;
use crate::machine::Machine;
use crate::slashing_protection::{
    Effect, Event, History, MemoryTransaction, ProtectionStore, Transaction, Watermarks, Write,
};

/// Whether two messages of one key are an offence.
fn slashable(one: Statement, other: Statement) -> bool {
    match (one, other) {
        (
            Statement::Block { slot, signing_root },
            Statement::Block { slot: s, signing_root: r },
        ) => slot == s && signing_root != r,
        (
            Statement::Attestation { source: s1, target: t1, signing_root: r1 },
            Statement::Attestation { source: s2, target: t2, signing_root: r2 },
        ) => {
            let double = t1 == t2 && (s1, r1) != (s2, r2);
            double || (s1 < s2 && t2 < t1) || (s2 < s1 && t1 < t2)
        }
        _ => false,
    }
}

/// A store that fails at the operation of that number, as if the process had ended there.
struct Crashing {
    store: MemoryStore,
    /// Operations until the crash.
    left: Cell<u32>,
    /// Whether a commit that the crash hits has reached the disk.
    reached: bool,
}

struct Crash<'a> {
    inner: MemoryTransaction<'a>,
    left: &'a Cell<u32>,
    reached: bool,
}

fn step(left: &Cell<u32>) -> Result<(), StoreError> {
    left.set(left.get().saturating_sub(1));
    if left.get() == 0 { Err(StoreError::Gap) } else { Ok(()) }
}

impl ProtectionStore for Crashing {
    type Transaction<'a> = Crash<'a>;

    fn begin(&mut self) -> Result<Crash<'_>, StoreError> {
        step(&self.left)?;
        Ok(Crash { inner: self.store.begin()?, left: &self.left, reached: self.reached })
    }
}

impl Transaction for Crash<'_> {
    fn genesis(&mut self) -> Result<Option<GenesisRoot>, StoreError> {
        self.inner.genesis()
    }

    fn bind(&mut self, genesis: &GenesisRoot) -> Result<(), StoreError> {
        step(self.left)?;
        self.inner.bind(genesis)
    }

    fn keys(&mut self) -> Result<Vec<Key>, StoreError> {
        self.inner.keys()
    }

    fn history(&mut self, key: &Key) -> Result<History, StoreError> {
        step(self.left)?;
        self.inner.history(key)
    }

    fn write(&mut self, key: &Key, write: &Write) -> Result<(), StoreError> {
        step(self.left)?;
        self.inner.write(key, write)
    }

    fn commit(self) -> Result<(), StoreError> {
        let crashed = step(self.left);
        if crashed.is_ok() || self.reached {
            self.inner.commit()?;
        }
        crashed
    }
}

/// What happens next. Two signers have the same two keys; a message is signed by the first.
#[derive(Clone, Debug)]
enum Step {
    /// A batch is asked for, and the process ends at an operation, or (0) does not.
    Sign { batch: Vec<(bool, Statement)>, crash: u8, reached: bool },
    /// A file that says something of a key comes; the process ends as it may in a batch.
    Import { bob: bool, records: Records, complete: bool, crash: u8, reached: bool },
}

fn statement(g: &mut Gen) -> Statement {
    let [one, two] = [(); 2].map(|()| u64::from(u8::arbitrary(g) % 12));
    let number = u8::arbitrary(g) % 2;
    if bool::arbitrary(g) { block(one, number) } else { vote(one, two, number) }
}

fn records(g: &mut Gen) -> Records {
    let mut records = Records::default();
    for _ in 0..u8::arbitrary(g) % 4 {
        let known = bool::arbitrary(g);
        match statement(g) {
            Statement::Block { slot, signing_root } => {
                let signing_root = Some(signing_root).filter(|_| known);
                records.blocks.push(Block { slot, signing_root });
            }
            Statement::Attestation { source, target, signing_root } => {
                let signing_root = Some(signing_root).filter(|_| known);
                records.attestations.push(Vote { source, target, signing_root });
            }
        }
    }
    records
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let crash = if bool::arbitrary(g) { 0 } else { u8::arbitrary(g) % 16 };
        let reached = bool::arbitrary(g);
        if u8::arbitrary(g) % 4 == 0 {
            let (bob, complete) = (bool::arbitrary(g), bool::arbitrary(g));
            // An import has few operations.
            return Self::Import { bob, records: records(g), complete, crash: crash % 6, reached };
        }
        let count = 1 + u8::arbitrary(g) % 4;
        let batch = (0..count).map(|_| (bool::arbitrary(g), statement(g))).collect();
        Self::Sign { batch, crash, reached }
    }
}

fn key(bob: bool) -> Key {
    if bob { BOB } else { ALICE }
}

/// What came of a run.
struct Run {
    store: MemoryStore,
    messages: Vec<(bool, Statement)>,
    /// What files said that had been signed elsewhere.
    claims: Vec<(bool, Statement)>,
    /// Whether something was put on record that contradicts what a file had said before.
    contradicted: bool,
    /// Whether an import that was cut short has left a part of itself.
    halved: bool,
}

/// The messages of a file; a root that is not known is one that nobody asks for.
fn claims(bob: bool, records: &Records) -> impl Iterator<Item = (bool, Statement)> {
    let known = |signing_root: Option<SigningRoot>| signing_root.unwrap_or([0xff; 32]);
    let blocks = records.blocks.iter().map(move |block| Statement::Block {
        slot: block.slot,
        signing_root: known(block.signing_root),
    });
    let votes = records.attestations.iter().map(move |vote| Statement::Attestation {
        source: vote.source,
        target: vote.target,
        signing_root: known(vote.signing_root),
    });
    blocks.chain(votes).map(move |statement| (bob, statement))
}

/// Few records are kept, so that forgetting is part of it.
const LIMITS: Limits = Limits { blocks: 2, attestations: 3 };

fn run(steps: &[Step]) -> Run {
    let mut run = Run {
        store: MemoryStore::default(),
        messages: Vec::new(),
        claims: Vec::new(),
        contradicted: false,
        halved: false,
    };
    for step in steps {
        match step {
            Step::Import { bob, records, complete, crash, reached } => {
                let merge = if *complete { Merge::Complete } else { Merge::Raise };
                run.import(*bob, records, merge, *crash, *reached);
            }
            Step::Sign { batch, crash, reached } => run.sign(batch, *crash, *reached),
        }
    }
    run
}

impl Run {
    /// Returns the store, which fails as the numbers say; 0 stands for never.
    fn crashing(&mut self, crash: u8, reached: bool) -> Crashing {
        let left = Cell::new(if crash == 0 { u32::MAX } else { u32::from(crash) });
        Crashing { store: std::mem::take(&mut self.store), left, reached }
    }

    fn import(&mut self, bob: bool, records: &Records, merge: Merge, crash: u8, reached: bool) {
        let entries = || [(key(bob), records.clone())];
        let (before, mut whole) = (self.store.clone(), self.store.clone());
        import(&mut whole, &LIMITS, &GENESIS, entries(), merge).expect("small numbers");
        let mut crashing = self.crashing(crash, reached);
        let imported = import(&mut crashing, &LIMITS, &GENESIS, entries(), merge);
        self.store = crashing.store;
        if imported.is_ok() {
            self.halved |= self.store != whole;
            self.claims.extend(claims(bob, records));
        } else {
            self.halved |= self.store != before && self.store != whole;
        }
    }

    fn sign(&mut self, batch: &[(bool, Statement)], crash: u8, reached: bool) {
        let mut crashing = self.crashing(crash, reached);
        let requests: Vec<_> = batch.iter().map(|(bob, what)| of(key(*bob), *what)).collect();
        let outcomes = check_and_record(&mut crashing, &LIMITS, &requests);
        self.store = crashing.store;
        for (outcome, item) in outcomes.unwrap_or_default().iter().zip(batch) {
            let contradicts =
                |claim: &(bool, Statement)| claim.0 == item.0 && slashable(claim.1, item.1);
            self.contradicted |=
                *outcome == Outcome::Recorded && self.claims.iter().any(contradicts);
            if outcome.allows() && !self.messages.contains(item) {
                self.messages.push(*item);
            }
        }
    }
}

#[test]
fn whatever_is_asked_imported_or_cut_short_no_two_signatures_are_slashable() {
    // I2 and I8, over random runs. Each pair of messages that was allowed is compared, and each new
    // message with those that files have named.
    fn property(steps: Vec<Step>) -> bool {
        let run = run(&steps);
        let pairs =
            run.messages.iter().flat_map(|one| run.messages.iter().map(move |two| (one, two)));
        let holds = |(one, two): (&(bool, Statement), &(bool, Statement))| {
            one.0 != two.0 || !slashable(one.1, two.1)
        };
        !run.contradicted && !run.halved && pairs.into_iter().all(holds)
    }
    QuickCheck::new().tests(20_000).quickcheck(property as fn(Vec<Step>) -> bool);
}

/// All messages over small numbers.
fn all() -> impl Iterator<Item = Statement> {
    let of_slot = |slot| [block(slot, 0), block(slot, 1)];
    let of_epochs = |(source, target)| [vote(source, target, 0), vote(source, target, 1)];
    let epochs = (0..14).flat_map(|source| (0..14).map(move |target| (source, target)));
    (0..14).flat_map(of_slot).chain(epochs.flat_map(of_epochs))
}

fn history(store: &mut MemoryStore, key: &Key) -> History {
    store.begin().and_then(|mut transaction| transaction.history(key)).expect("memory")
}

/// Whether `importer` refuses all that `original` does not sign anew. A repetition is no new
/// signature.
fn refuses_as_much(original: &History, importer: &History) -> bool {
    all().all(|message| {
        original.judge(message) == Outcome::Recorded
            || !matches!(importer.judge(message), Outcome::Recorded)
    })
}

/// Whether `importer`, which had nothing of its own, signs only what `original` signs as well: also
/// what it takes for a repetition.
fn signs_no_more(original: &History, importer: &History) -> bool {
    all().all(|message| original.judge(message).allows() || !importer.judge(message).allows())
}

#[test]
fn an_export_that_is_imported_elsewhere_refuses_all_that_its_origin_refuses() {
    // Complete and minimal files into an empty store, both ways of reading them, and with
    // `Merge::Raise` also into the store of another run.
    fn property(steps: Vec<Step>, others: Vec<Step>) -> bool {
        let mut origin = run(&steps).store;
        let elsewhere = run(&others).store;
        let mut holds = true;
        for (minimal, merge) in [
            (false, Merge::Complete),
            (false, Merge::Raise),
            (true, Merge::Complete),
            (true, Merge::Raise),
        ] {
            let Some(file) = export(&mut origin, minimal).expect("memory") else { continue };
            let mut stores = vec![MemoryStore::default()];
            if merge == Merge::Raise {
                stores.push(elsewhere.clone());
            }
            for mut store in stores {
                let before = store.clone();
                let is_empty = before == MemoryStore::default();
                let entries = file.entries.clone();
                import(&mut store, &LIMITS, &file.genesis, entries, merge).expect("one chain");
                for key in [ALICE, BOB] {
                    let now = history(&mut store, &key);
                    let original = history(&mut origin, &key);
                    holds &= refuses_as_much(&original, &now);
                    holds &= !is_empty || signs_no_more(&original, &now);
                    holds &= refuses_as_much(&history(&mut before.clone(), &key), &now);
                }
            }
        }
        holds
    }
    let property = property as fn(Vec<Step>, Vec<Step>) -> bool;
    QuickCheck::new().tests(3_000).quickcheck(property);
}

/// I3.
fn is_raised(before: Watermarks, now: Watermarks) -> bool {
    let source = |watermarks: Watermarks| watermarks.vote.map(|vote| vote.0);
    let target = |watermarks: Watermarks| watermarks.vote.map(|vote| vote.1);
    before.slot <= now.slot && source(before) <= source(now) && target(before) <= target(now)
}

/// I4.
fn is_above(history: &History) -> bool {
    let watermarks = history.watermarks();
    let (source, target) = watermarks.vote.unwrap_or((u64::MAX, u64::MAX));
    history.blocks().all(|block| Some(block.slot) >= watermarks.slot)
        && history.attestations().all(|vote| vote.source >= source && vote.target >= target)
}

#[test]
fn a_history_keeps_its_bounds_and_its_writes_make_another_copy_equal() {
    // I3, I4 and I6 after each event, and the effects applied to a second history.
    fn property(steps: Vec<Step>) -> bool {
        let (mut history, mut copy) = (History::default(), History::default());
        for step in steps {
            let events = match step {
                Step::Sign { batch, .. } => {
                    batch.into_iter().map(|(_, what)| Event::Sign(what)).collect()
                }
                Step::Import { records, complete, .. } => {
                    let merge = if complete { Merge::Complete } else { Merge::Raise };
                    vec![Event::Import(records, merge)]
                }
            };
            for event in events {
                let before = history.watermarks();
                for effect in history.handle(&LIMITS, event) {
                    if let Effect::Write(write) = effect {
                        copy.apply(write);
                    }
                }
                let now = history.watermarks();
                let few = history.blocks().count() <= LIMITS.blocks
                    && history.attestations().count() <= LIMITS.attestations;
                if !(is_raised(before, now) && few && is_above(&history) && history == copy) {
                    return false;
                }
            }
        }
        true
    }
    QuickCheck::new().tests(10_000).quickcheck(property as fn(Vec<Step>) -> bool);
}
