//! The HotDB's bounds over random DAGs, with empty slots, finality and states that come back.

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::{Db, Limits, cost};
use crate::hot_db::{CommitReply, TrailReply};

/// What happens next. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// A block on some block, after so many empty slots.
    Commit { parent: u8, empty: u8 },
    /// Some block's state at some slot after it is posted.
    Post { root: u8, after: u8 },
    /// Finality, justification and head move to some blocks.
    Prune { finalized: u8, justified: u8, head: u8 },
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let [one, two, three] = [(); 3].map(|()| u8::arbitrary(g));
        // Mostly on the newest blocks, so that branches grow long.
        let parent = if bool::arbitrary(g) { 0 } else { one % 8 };
        match u8::arbitrary(g) % 16 {
            0 => Self::Prune { finalized: one, justified: two, head: three },
            1 | 2 => Self::Post { root: one, after: two % 40 },
            _ => Self::Commit { parent, empty: if two < 200 { 0 } else { two % 50 } },
        }
    }
}

/// The blocks that were committed and have not been pruned: root, parent and slot, in order.
struct Run {
    db: Db,
    limits: Limits,
    blocks: Vec<(u8, u8, u64)>,
    next: u8,
    newest: u64,
    /// The roots whose own states were cached when they were pinned.
    pinned: Vec<(u8, u64)>,
}

impl Run {
    fn new(limits: Limits) -> Self {
        let (db, pinned) = (Db::new(limits), vec![(0, 0)]);
        Self { db, limits, blocks: vec![(0, 0, 0)], next: 0, newest: 0, pinned }
    }

    fn take(&mut self, step: &Step) {
        let some = |number: u8| self.blocks[usize::from(number) % self.blocks.len()];
        match *step {
            Step::Commit { parent, empty } => {
                let back = usize::from(parent) % self.blocks.len();
                let (parent, _, above) = self.blocks[self.blocks.len() - 1 - back];
                let Some(root) = self.next.checked_add(1) else { return };
                let slot = above + 1 + u64::from(empty);
                if self.db.commit(root, parent, slot) == CommitReply::Committed {
                    self.next = root;
                    self.newest = self.newest.max(slot);
                    self.blocks.push((root, parent, slot));
                }
            }
            Step::Post { root, after } => {
                let (root, _, slot) = some(root);
                self.db.post(root, slot + u64::from(after));
            }
            Step::Prune { finalized, justified, head } => {
                // Finality moves along one branch, mostly not far.
                let finalized = self.blocks[usize::from(finalized) % self.blocks.len().min(4)];
                let keep = [finalized, some(justified), some(head)];
                let cached = |(root, _, slot): &(u8, u8, u64)| self.db.trail(*root, *slot).2 == 0;
                let pinned: Vec<_> = keep.into_iter().filter(cached).collect();
                self.db.prune(finalized.0, keep[1].0, keep[2].0);
                self.blocks.retain(|(root, ..)| self.db.0.contains(*root));
                let there = pinned.into_iter().filter(|(root, ..)| self.db.0.contains(*root));
                self.pinned = there.map(|(root, _, slot)| (root, slot)).collect();
            }
        }
    }

    fn leaves(&self) -> usize {
        let has_child =
            |root: u8| self.blocks.iter().any(|(child, p, _)| *p == root && *child != root);
        self.blocks.iter().filter(|(root, ..)| !has_child(*root)).count()
    }

    /// The bounds that hold whatever the room for bytes is.
    fn keeps_its_bounds(&self) -> Result<(), String> {
        let Limits { bytes, checkpoint_slots, passing_states, .. } = self.limits;
        let levels = usize::try_from(self.newest.max(1).ilog2()).unwrap_or(64) + 1;
        let checkpoints = self.leaves() * (checkpoint_slots as usize + 1) * levels;
        let most = checkpoints + passing_states + 4;
        if self.db.0.states() > most {
            return Err(format!("{} states, at most {most}", self.db.0.states()));
        }
        let (all, pinned) = (self.db.0.bytes(), self.db.0.pinned_bytes());
        let blocks = cost(0, self.blocks.len());
        if all > bytes && all > blocks + pinned {
            return Err(format!("{all} bytes, {pinned} of them pinned"));
        }
        for (root, slot) in &self.pinned {
            if self.db.trail(*root, *slot).2 > 0 {
                return Err(format!("the pinned state of {root} is gone"));
            }
        }
        for (root, _, slot) in &self.blocks {
            if !matches!(self.db.0.trail(*root, *slot), TrailReply::Trail(_)) {
                return Err(format!("{root} has no trail"));
            }
        }
        Ok(())
    }

    /// With room for all, a block of this age is close to a state (T2).
    fn keeps_gaps_short(&self) -> Result<(), String> {
        let spacing = self.limits.checkpoint_slots;
        for (root, _, slot) in &self.blocks {
            let (start, at, blocks) = self.db.trail(*root, *slot);
            let age = self.newest - slot;
            let level = (0..).find(|level| (spacing - 1) << level >= age).unwrap_or(0);
            // A base that has lost its own state is older than any rule.
            if slot - at >= 1 << level && start != self.base() {
                return Err(format!("{root} of age {age} is {blocks} blocks after {start}"));
            }
        }
        Ok(())
    }

    fn base(&self) -> u8 {
        self.blocks.first().map_or(0, |(root, ..)| *root)
    }
}

/// Steps enough for long branches.
fn check(property: fn(Vec<Step>) -> Result<(), String>) {
    QuickCheck::new().rng(Gen::new(240)).tests(200).quickcheck(property);
}

#[test]
fn states_bytes_pins_and_trails_keep_their_bounds() {
    // Room for about a dozen states, so that bytes decide, and passing states come and go.
    check(|steps| {
        let bytes = cost(12, 120);
        let limits = Limits { bytes, checkpoint_slots: 2, passing_states: 3, ..Limits::default() };
        let mut run = Run::new(limits);
        steps.iter().try_for_each(|step| {
            run.take(step);
            run.keeps_its_bounds().map_err(|error| format!("{error} after {step:?}"))
        })
    });
}

#[test]
fn states_are_logarithmic_in_slots_and_gaps_in_proportion_to_age() {
    // Room for all: the rule of thinning decides alone.
    check(|steps| {
        let limits = Limits { checkpoint_slots: 3, passing_states: 0, ..Limits::default() };
        let mut run = Run::new(limits);
        let grows = |step: &&Step| !matches!(step, Step::Prune { .. });
        steps.iter().filter(grows).try_for_each(|step| {
            run.take(step);
            run.keeps_its_bounds()?;
            run.keeps_gaps_short()
        })
    });
}
