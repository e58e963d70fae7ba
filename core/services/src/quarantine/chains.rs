//! How long the chains are that waiting blocks form.
//!
//! **Invariants.**
//! - H1 `parents` has the root of each block that waits for its parent, with that parent and the
//!   numbers of its held copies (they differ in their signatures).
//! - H2 `below` has, for each block that such blocks wait for, their roots by their heights. The
//!   height of a waiting block is the number of blocks in the longest chain that begins with it and
//!   waits.
//! - H3 No chain comes back to its begin. A hash does not allow it; a block that claims it is too
//!   deep.
//!
//! A step costs at most the depth of a chain, and a logarithm for each block on it.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Number;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Above<R> {
    parent: R,
    copies: BTreeSet<Number>,
}

/// The chains; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Chains<R> {
    parents: BTreeMap<R, Above<R>>,
    below: BTreeMap<R, BTreeSet<(usize, R)>>,
}

impl<R: Copy + Ord> Chains<R> {
    pub(super) fn new() -> Self {
        Self { parents: BTreeMap::new(), below: BTreeMap::new() }
    }

    /// Returns whether a chain would have more than `depth` blocks if block `root` waited for
    /// `parent`.
    pub(super) fn is_too_deep(&self, root: R, parent: R, depth: usize) -> bool {
        if self.parents.contains_key(&root) {
            // A copy makes no chain longer.
            return false;
        }
        let (mut length, mut at) = (self.height(root), parent);
        // Each turn makes the length one more.
        while length <= depth {
            if at == root {
                return true;
            }
            let Some(above) = self.parents.get(&at) else { return false };
            (length, at) = (length + 1, above.parent);
        }
        true
    }

    /// Notes that copy `number` of block `root` waits for `parent`. It is not too deep.
    pub(super) fn add(&mut self, number: Number, root: R, parent: R) {
        if let Some(above) = self.parents.get_mut(&root) {
            above.copies.insert(number);
            return;
        }
        let height = self.height(root);
        let before = self.height(parent);
        self.parents.insert(root, Above { parent, copies: BTreeSet::from([number]) });
        self.below.entry(parent).or_default().insert((height, root));
        self.correct(parent, before);
    }

    /// Notes that copy `number` of block `root` waits no more.
    pub(super) fn remove(&mut self, number: Number, root: R) {
        let Some(above) = self.parents.get_mut(&root) else { return };
        above.copies.remove(&number);
        if !above.copies.is_empty() {
            return;
        }
        let parent = above.parent;
        let (height, before) = (self.height(root), self.height(parent));
        self.parents.remove(&root);
        self.take(parent, (height, root));
        self.correct(parent, before);
    }

    /// Returns the copies of the tip of the longest chain that waits for block `root`; none if none
    /// does.
    pub(super) fn tip(&self, root: R) -> Vec<Number> {
        let mut at = root;
        // The loop ends by H3.
        while let Some((_, next)) = self.below.get(&at).and_then(BTreeSet::last) {
            at = *next;
        }
        let tip = self.parents.get(&at).filter(|_| at != root);
        tip.map(|tip| tip.copies.iter().copied().collect()).unwrap_or_default()
    }

    /// Returns the height that a block has if it waits.
    fn height(&self, root: R) -> usize {
        let longest = self.below.get(&root).and_then(BTreeSet::last);
        longest.map_or(0, |(height, _)| *height) + 1
    }

    /// Corrects the heights from block `root` upwards. That of the block itself was `before`.
    fn correct(&mut self, root: R, before: usize) {
        let (mut at, mut before) = (root, before);
        // The loop ends by H3.
        while let Some(parent) = self.parents.get(&at).map(|above| above.parent) {
            let now = self.height(at);
            if now == before {
                return;
            }
            let next = self.height(parent);
            self.take(parent, (before, at));
            self.below.entry(parent).or_default().insert((now, at));
            (at, before) = (parent, next);
        }
    }

    fn take(&mut self, parent: R, child: (usize, R)) {
        if let Some(children) = self.below.get_mut(&parent) {
            children.remove(&child);
            if children.is_empty() {
                self.below.remove(&parent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quickcheck::quickcheck;

    use super::Chains;

    /// The number of blocks in the longest chain that begins with `root`, by looking at all.
    fn height(parents: &BTreeMap<u8, u8>, root: u8) -> usize {
        let children = parents.iter().filter(|(_, parent)| **parent == root);
        1 + children.map(|(child, _)| height(parents, *child)).max().unwrap_or(0)
    }

    quickcheck! {
        /// Blocks come and go at random, parents below their children: heights and the answer to
        /// "too deep" are those of a count over all.
        fn heights_are_those_of_a_full_count(steps: Vec<(u8, u8)>) -> bool {
            let (mut chains, mut parents) = (Chains::new(), BTreeMap::new());
            steps.into_iter().all(|(root, parent)| {
                let (root, parent) = (root % 16 + 1, parent % 16);
                if parents.contains_key(&root) {
                    parents.remove(&root);
                    chains.remove(u64::from(root), root);
                } else if parent < root {
                    let mut with = parents.clone();
                    with.insert(root, parent);
                    let begin = std::iter::successors(Some(root), |at| with.get(at).copied());
                    let above = begin.skip(1).filter(|at| with.contains_key(at)).count();
                    let length = above + height(&with, root);
                    if (1..20).any(|depth| {
                        chains.is_too_deep(root, parent, depth) != (length > depth)
                    }) {
                        return false;
                    }
                    chains.add(u64::from(root), root, parent);
                    parents = with;
                }
                (0..=16).all(|root| chains.height(root) == height(&parents, root))
            })
        }
    }

    #[test]
    fn a_chain_that_claims_its_own_end_as_begin_is_too_deep() {
        // 2 waits for 1; 1 claims to wait for 2, and 3 for itself. Copies change nothing.
        let mut chains = Chains::new();
        chains.add(10, 2, 1);
        assert!(chains.is_too_deep(1, 2, usize::MAX) && chains.is_too_deep(3, 3, usize::MAX));
        assert!(!chains.is_too_deep(2, 1, 1));
        chains.add(11, 2, 1);
        assert_eq!(chains.tip(1), [10, 11]);
        chains.remove(10, 2);
        assert_eq!(chains.tip(1), [11]);
        chains.remove(11, 2);
        assert_eq!(chains, Chains::new());
    }
}
