//! The work of a root, cut into independent jobs.
//!
//! A node's hash is a function of what is below it and is kept beside it (T2). So if another thread
//! hashes a subtree, the root is spared that work and comes out the same. Nothing here starts a
//! thread: jobs are for a caller whose threads have nothing else to do.
//!
//! - J1: no job's subtree lies within another's. So jobs that run at the same time do not wait for
//!   each other, except where they meet in a shared subtree (T4): there one hashes and the other
//!   waits for it.
//! - J2: a job is at least a grain, and at most two grains and a leaf. In a tree of which nothing
//!   is hashed, less than a grain and the levels above the jobs are left over for the root. In a
//!   tree that was written in scattered places, more may be left.

use std::fmt;

use super::element::Element;
use super::node::Node;

/// The number of hashes below which a job is not worth handing over: about 0.1 ms.
const MIN_GRAIN: usize = 2_000;
/// Jobs for each thread; with several, threads that start late or are slow matter less.
const JOBS_PER_THREAD: usize = 8;
/// The largest number of threads for which work is cut.
const MAX_THREADS: usize = 64;

/// A part of the hashing that a root needs; see
/// [`BeaconState::root_jobs`](crate::BeaconState::root_jobs).
pub struct RootJob {
    run: Box<dyn Fn() + Send + Sync>,
}

impl RootJob {
    /// Hashes the part, unless that has been done meanwhile.
    pub fn run(&self) {
        (self.run)();
    }
}

impl fmt::Debug for RootJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootJob(..)")
    }
}

/// Jobs so far, and how large one should be.
pub(crate) struct Jobs {
    grain: usize,
    jobs: Vec<RootJob>,
}

impl Jobs {
    /// Prepares to cut `hashes` hashes into jobs for `threads` threads.
    pub(crate) fn new(hashes: usize, threads: usize) -> Self {
        let parts = threads.clamp(1, MAX_THREADS) * JOBS_PER_THREAD;
        Self { grain: (hashes / parts).max(MIN_GRAIN), jobs: Vec::new() }
    }

    pub(crate) fn into_jobs(self) -> Vec<RootJob> {
        self.jobs
    }

    fn push<T: Element>(&mut self, node: &Node<T>, depth: usize) {
        let node = node.clone();
        let run = move || {
            node.root(depth);
        };
        self.jobs.push(RootJob { run: Box::new(run) });
    }
}

impl<T: Element> Node<T> {
    /// How many hashes the root of this subtree still needs; what is shared by neighbours counts
    /// once.
    pub(super) fn unhashed(&self) -> usize {
        if self.is_hashed() {
            return 0;
        }
        match self.pair() {
            None => T::CHUNK_HASHES,
            Some((left, Some(right))) if !left.is(right) => 1 + left.unhashed() + right.unhashed(),
            Some((left, _)) => 1 + left.unhashed(),
        }
    }

    /// Cuts subtrees of about a grain out of this one; returns how many hashes it needs after them.
    pub(super) fn cut(&self, depth: usize, jobs: &mut Jobs) -> usize {
        if self.is_hashed() {
            return 0;
        }
        let left_over = match self.pair() {
            None => T::CHUNK_HASHES,
            Some((left, right)) => {
                let before = jobs.jobs.len();
                let mut left_over = 1 + left.cut(depth - 1, jobs);
                if let Some(right) = right.filter(|right| !left.is(right)) {
                    left_over += right.cut(depth - 1, jobs);
                }
                if jobs.jobs.len() > before {
                    // J1: this is no longer a whole subtree.
                    return left_over;
                }
                left_over
            }
        };
        if left_over < jobs.grain {
            return left_over;
        }
        jobs.push(self, depth);
        0
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;
    use typenum::U65536;

    use super::*;
    use crate::containers::Validator;
    use crate::tree::PersistentList;

    /// Runs every other job on another thread.
    fn run(jobs: &[RootJob]) {
        std::thread::scope(|scope| {
            scope.spawn(|| jobs.iter().step_by(2).for_each(RootJob::run));
            jobs.iter().skip(1).step_by(2).for_each(RootJob::run);
        });
    }

    /// A list of `values`, hashed, then written at some places and pushed to.
    fn written<T: Element>(
        values: Vec<T>,
        writes: &[u16],
        value: impl Fn(u64) -> T,
    ) -> PersistentList<T, U65536> {
        let mut list = PersistentList::try_from(values).unwrap();
        if writes.len() % 2 == 1 {
            list.hash_tree_root();
        }
        for write in writes {
            let at = usize::from(*write) % (list.len() + 1);
            match list.get_mut(at) {
                Some(place) => *place = value(u64::from(*write)),
                None => list.push(value(u64::from(*write))).unwrap(),
            }
        }
        list
    }

    /// Whether the root after the jobs equals that of a list that was built anew.
    fn same<T: Element>(list: &PersistentList<T, U65536>, grain: usize) -> bool {
        let anew = PersistentList::<T, U65536>::try_from(list.to_vec()).unwrap();
        let mut jobs = Jobs { grain, jobs: Vec::new() };
        list.root_jobs(&mut jobs);
        run(&jobs.into_jobs());
        list.hash_tree_root() == anew.hash_tree_root()
    }

    fn validator(value: u64) -> Validator {
        Validator { effective_balance: value, ..Validator::default() }
    }

    quickcheck! {
        fn jobs_do_not_change_the_root_of_numbers(count: u16, writes: Vec<u16>, grain: u8) -> bool {
            // Some neighbours are equal, and shared.
            let values = (0..u64::from(count % 9000)).map(|at| at / 700).collect();
            same(&written(values, &writes, |value| value), usize::from(grain) * 4)
        }

        fn jobs_do_not_change_the_root_of_validators(
            count: u16,
            writes: Vec<u16>,
            grain: u8
        ) -> bool {
            let values = (0..u64::from(count % 400)).map(validator).collect();
            same(&written(values, &writes, validator), usize::from(grain) * 8)
        }
    }

    #[test]
    fn jobs_leave_little_to_the_root() {
        // Counts the hashes before and after the jobs of a list of which nothing is hashed.
        let values = (0..9000).map(validator).collect();
        let list: PersistentList<Validator, U65536> = written(values, &[], validator);
        let all = list.unhashed();
        // Leaves, and the levels above them.
        assert_eq!(all, 1125 * 71 + 1131);
        let mut jobs = Jobs::new(all, 2);
        list.root_jobs(&mut jobs);
        let jobs = jobs.into_jobs();
        assert!((8..=16).contains(&jobs.len()), "{}", jobs.len());
        run(&jobs);
        assert!(list.unhashed() < all / 16 + 16, "{}", list.unhashed());
        let mut none = Jobs::new(list.unhashed(), 2);
        list.root_jobs(&mut none);
        assert_eq!(none.into_jobs().len(), 0);
    }
}
