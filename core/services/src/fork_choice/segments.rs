//! Weights and best children, kept for the places where branches part.
//!
//! A **segment** is a longest run of blocks of which each but the last has exactly one child. Only
//! where a segment ends is there something to choose, so weights are kept per segment, and a
//! segment's children are kept in the order of preference.
//!
//! ```text
//!   blocks    0 ─ 1 ─ 2 ┬ 3 ─ 4 ─ 6          segments   [0 1 2] ┬ [3 4 6]
//!                       └ 5 ─ 7                                 └ [5 7]
//! ```
//!
//! **Cost**, for a tree of n blocks, where f is the number of places on a path at which branches
//! part, and k the largest number of children of a block:
//!
//! | operation | cost |
//! |---|---|
//! | a block on a leaf | O(f log k); O(log k) if the viability of its branch stays |
//! | a block that parts a segment | as above, and the shorter of the segment's two halves |
//! | a change of weight at one block | O(f log k), up to the first segment where the sum is 0 |
//! | the head | O(f), and only if a best child or a leaf is another |
//! | another justified checkpoint or epoch | O(l log k) for l leaves |
//! | another finalised checkpoint or balances; pruning | O(n log k) |
//!
//! On a chain without forks f is 0 whatever its length is. A block with a sibling costs its
//! proposer an equivocation or its predecessor a place in the chain, so f grows with what proposers
//! do wrong.
//!
//! **Invariants.**
//! - S1 A segment has no children or at least two.
//! - S2 `own` is the sum of the weights of the segment's blocks, boost included, and `weight` is
//!   `own` and the weights of the children.
//! - S3 A segment is viable if its last block is a leaf that may be head, or if a child is viable.
//! - S4 Everything here follows from the blocks, the rule and the boost: [`Segments::build`] makes
//!   the same from them, but for the numbers of the segments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use super::proto_array::{Node, Viability, Weight, leaf_is_viable};

/// A change of weight.
pub(super) type Delta = i128;

/// A child of a segment. The order is that of preference: viable ones, then the heavier, then the
/// larger root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate<R> {
    viable: bool,
    weight: Weight,
    root: R,
    /// Place of the segment's first block.
    top: usize,
}

#[derive(Clone, Debug)]
struct Segment<R> {
    top: usize,
    end: usize,
    own: Weight,
    weight: Weight,
    viable: bool,
    children: BTreeSet<Candidate<R>>,
}

/// The segments of a tree.
#[derive(Clone, Debug)]
pub(super) struct Segments<R> {
    /// By a block's place: its segment's number.
    segment_of: Vec<usize>,
    /// By a block's place: the next block of its segment. It means nothing for the last.
    next: Vec<usize>,
    /// By a block's place: whether the finalised checkpoint is on the block's chain.
    descends: Vec<bool>,
    segments: Vec<Segment<R>>,
    boost: Option<(usize, Weight)>,
    /// Whether the head may be another than when this was last asked.
    moved: bool,
}

impl<R: Copy + Ord + Debug> Segments<R> {
    /// Returns the segments of `nodes`, of which there is at least one.
    pub(super) fn build(
        nodes: &[Node<R>],
        rule: &Viability<R>,
        boost: Option<(usize, Weight)>,
    ) -> Self {
        let mut built = Self {
            segment_of: Vec::with_capacity(nodes.len()),
            next: (0..nodes.len()).collect(),
            descends: Vec::with_capacity(nodes.len()),
            segments: Vec::new(),
            boost,
            moved: true,
        };
        let mut children = vec![0_usize; nodes.len()];
        for node in nodes {
            node.parent.into_iter().for_each(|parent| children[parent] += 1);
        }
        for (place, node) in nodes.iter().enumerate() {
            built.descends.push(built.is_descendant(place, node, rule));
            let own = built.weight_at(place, nodes);
            match node.parent.filter(|parent| children[*parent] == 1) {
                Some(parent) => {
                    built.next[parent] = place;
                    let number = built.segment_of[parent];
                    built.segment_of.push(number);
                    let segment = &mut built.segments[number];
                    (segment.end, segment.own) = (place, segment.own.saturating_add(own));
                }
                None => built.push(place, own),
            }
        }
        // A segment's children were made after it, so they are complete when its turn comes.
        for number in (0..built.segments.len()).rev() {
            let segment = &built.segments[number];
            let below: Weight = segment.children.iter().map(|child| child.weight).sum();
            let viable = built.is_viable(number, nodes, rule);
            let segment = &mut built.segments[number];
            segment.weight = segment.own.saturating_add(below);
            segment.viable = viable;
            let candidate = segment.candidate(nodes);
            if let Some(parent) = nodes[candidate.top].parent {
                let above = built.segment_of[parent];
                built.segments[above].children.insert(candidate);
            }
        }
        built
    }

    /// Adds the last of `nodes`, which has no weight yet.
    pub(super) fn insert(&mut self, nodes: &[Node<R>], rule: &Viability<R>) {
        let place = nodes.len() - 1;
        let node = &nodes[place];
        self.next.push(place);
        self.descends.push(self.is_descendant(place, node, rule));
        self.moved = true;
        // Only the first block has no parent, and it is there from the beginning.
        let Some(parent) = node.parent else { return };
        let mut number = self.segment_of[parent];
        if self.segments[number].end != parent {
            number = self.split(number, parent, nodes);
        }
        if self.segments[number].children.is_empty() && self.segments[number].end == parent {
            self.next[parent] = place;
            self.segment_of.push(number);
            self.segments[number].end = place;
        } else {
            self.push(place, 0);
            let new = self.segments.len() - 1;
            self.segments[new].viable = self.is_viable(new, nodes, rule);
            let candidate = self.segments[new].candidate(nodes);
            self.segments[number].children.insert(candidate);
        }
        let top = self.segments[number].top;
        self.spread(BTreeMap::from([(top, 0)]), nodes, rule);
    }

    /// Applies changes of weight, given by the blocks' places.
    pub(super) fn apply(
        &mut self,
        changes: BTreeMap<usize, Delta>,
        nodes: &[Node<R>],
        rule: &Viability<R>,
    ) {
        let mut tops: BTreeMap<usize, Delta> = BTreeMap::new();
        for (place, delta) in changes {
            let segment = &mut self.segments[self.segment_of[place]];
            segment.own = segment.own.saturating_add_signed(delta);
            *tops.entry(segment.top).or_default() += delta;
        }
        self.spread(tops, nodes, rule);
    }

    /// Finds out again which leaves may be head, after the justified checkpoint or the epoch has
    /// changed.
    pub(super) fn review_leaves(&mut self, nodes: &[Node<R>], rule: &Viability<R>) {
        // Where the head starts from may be another, too.
        self.moved = true;
        let leaves = self.segments.iter().filter(|segment| segment.children.is_empty());
        let tops = leaves.map(|segment| (segment.top, 0)).collect();
        self.spread(tops, nodes, rule);
    }

    /// Moves the boost. The caller has its weight taken from the old place and added to the new one
    /// ([`Self::apply`]).
    pub(super) fn set_boost(&mut self, boost: Option<(usize, Weight)>) -> Option<(usize, Weight)> {
        std::mem::replace(&mut self.boost, boost)
    }

    /// Returns the block that is boosted, and by how much.
    pub(super) fn boost(&self) -> Option<(usize, Weight)> {
        self.boost
    }

    /// Returns whether the head may be another than when this was last called.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Returns whether the finalised checkpoint is on the chain of the block at `place`.
    pub(super) fn descends(&self, place: usize) -> bool {
        self.descends[place]
    }

    /// Returns the place of the head, if the block at `start` is justified (`get_head`).
    pub(super) fn head(&self, start: usize) -> usize {
        let mut segment = &self.segments[self.segment_of[start]];
        if !segment.viable {
            return start;
        }
        // By S3 a viable segment that has children has a viable one, and that is the last.
        while let Some(best) = segment.children.last() {
            segment = &self.segments[self.segment_of[best.top]];
        }
        segment.end
    }

    /// Returns the places of all leaves below `start` that may be head, ascending.
    pub(super) fn viable_leaves(&self, start: usize) -> Vec<usize> {
        let mut leaves = Vec::new();
        let mut open = vec![self.segment_of[start]];
        while let Some(number) = open.pop() {
            let segment = &self.segments[number];
            if segment.viable && segment.children.is_empty() {
                leaves.push(segment.end);
            }
            open.extend(segment.children.iter().map(|child| self.segment_of[child.top]));
        }
        leaves.sort_unstable();
        leaves
    }

    /// Returns the weight of a block with its descendants (`get_weight`). Costs a visit for each
    /// block between it and the end of its segment.
    pub(super) fn weight(&self, mut place: usize, nodes: &[Node<R>]) -> Weight {
        let segment = &self.segments[self.segment_of[place]];
        let mut weight = segment.weight.saturating_sub(segment.own);
        loop {
            weight = weight.saturating_add(self.weight_at(place, nodes));
            if place == segment.end {
                return weight;
            }
            place = self.next[place];
        }
    }

    fn push(&mut self, place: usize, own: Weight) {
        self.segment_of.push(self.segments.len());
        self.segments.push(Segment {
            top: place,
            end: place,
            own,
            weight: own,
            viable: false,
            children: BTreeSet::new(),
        });
    }

    /// The weight of one block, boost included.
    fn weight_at(&self, place: usize, nodes: &[Node<R>]) -> Weight {
        let boost = self.boost.filter(|(boosted, _)| *boosted == place);
        nodes[place].own_weight.saturating_add(boost.map_or(0, |(_, score)| score))
    }

    /// Whether the finalised checkpoint is the block's `get_checkpoint_block`; true at genesis.
    fn is_descendant(&self, place: usize, node: &Node<R>, rule: &Viability<R>) -> bool {
        let start = rule.finalized.epoch.saturating_mul(rule.slots_per_epoch);
        debug_assert_eq!(self.descends.len(), place, "parents come first");
        rule.finalized.epoch == 0
            || node.root == rule.finalized.root
            || node.parent.is_some_and(|parent| self.descends[parent] && node.slot > start)
    }

    /// S3.
    fn is_viable(&self, number: usize, nodes: &[Node<R>], rule: &Viability<R>) -> bool {
        let segment = &self.segments[number];
        segment.children.last().map_or_else(
            || self.descends[segment.end] && leaf_is_viable(&nodes[segment.end], rule),
            |best| best.viable,
        )
    }

    /// Divides a segment after the block at `at`, which is not its last. Returns the number of the
    /// upper part; the lower part is its only child, so S1 does not hold until another is added.
    fn split(&mut self, number: usize, at: usize, nodes: &[Node<R>]) -> usize {
        let (top, end) = (self.segments[number].top, self.segments[number].end);
        let below = self.next[at];
        // The two halves are measured in step, so that the cost is that of the shorter one.
        let (mut down, mut up) = (below, at);
        let lower_is_shorter = loop {
            match nodes[up].parent.filter(|_| up != top) {
                _ if down == end => break true,
                None => break false,
                Some(parent) => (down, up) = (self.next[down], parent),
            }
        };
        let (mut place, last) = if lower_is_shorter { (below, end) } else { (top, at) };
        let new = self.segments.len();
        let mut own = self.weight_at(place, nodes);
        self.segment_of[place] = new;
        while place != last {
            place = self.next[place];
            self.segment_of[place] = new;
            own = own.saturating_add(self.weight_at(place, nodes));
        }
        let whole = &mut self.segments[number];
        let rest = whole.own.saturating_sub(own);
        let (upper_own, lower_own) = if lower_is_shorter { (rest, own) } else { (own, rest) };
        let lower = Segment {
            top: below,
            end,
            own: lower_own,
            weight: whole.weight.saturating_sub(upper_own),
            viable: whole.viable,
            children: std::mem::take(&mut whole.children),
        };
        let upper = Segment {
            top,
            end: at,
            own: upper_own,
            weight: whole.weight,
            viable: whole.viable,
            children: BTreeSet::from([lower.candidate(nodes)]),
        };
        let (kept, added) = if lower_is_shorter { (upper, lower) } else { (lower, upper) };
        self.segments[number] = kept;
        self.segments.push(added);
        if lower_is_shorter { number } else { new }
    }

    /// Adds changes of weight to the segments whose first blocks are given, and passes them up,
    /// together with changes of viability. Where both come to nothing, the way up ends.
    ///
    /// What becomes viable, or no longer is, moves the head too, but the callers know of that: it
    /// takes a new block or a new rule.
    fn spread(
        &mut self,
        mut changes: BTreeMap<usize, Delta>,
        nodes: &[Node<R>],
        rule: &Viability<R>,
    ) {
        // A parent's place is smaller than its child's: the last in the map has no child in it.
        while let Some((top, delta)) = changes.pop_last() {
            let number = self.segment_of[top];
            let viable = self.is_viable(number, nodes, rule);
            let segment = &mut self.segments[number];
            let before = segment.candidate(nodes);
            segment.weight = segment.weight.saturating_add_signed(delta);
            segment.viable = viable;
            let after = segment.candidate(nodes);
            if before == after {
                continue;
            }
            let Some(parent) = nodes[top].parent else { continue };
            let above = &mut self.segments[self.segment_of[parent]];
            let best = above.children.last().map(|child| child.top);
            above.children.remove(&before);
            above.children.insert(after);
            self.moved |= best != above.children.last().map(|child| child.top);
            *changes.entry(above.top).or_default() += delta;
        }
    }
}

impl<R: Copy> Segment<R> {
    /// How the segment stands among its siblings.
    fn candidate(&self, nodes: &[Node<R>]) -> Candidate<R> {
        let (viable, weight, top) = (self.viable, self.weight, self.top);
        Candidate { viable, weight, root: nodes[top].root, top }
    }
}

/// What the index says of one block, whatever the numbers of segments are.
#[cfg(test)]
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// First and last block of its segment.
    segment: (usize, usize),
    own: Weight,
    weight: Weight,
    viable: bool,
    /// First blocks of the segment's children, in the order of preference.
    children: Vec<usize>,
    descends: bool,
}

#[cfg(test)]
impl<R: Copy + Ord + Debug> Segments<R> {
    /// Returns everything that S4 speaks of, block by block, and asserts S1.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let entry = |(number, descends): (&usize, &bool)| {
            let segment = &self.segments[*number];
            let children: Vec<usize> = segment.children.iter().map(|child| child.top).collect();
            assert_ne!(children.len(), 1, "S1");
            Entry {
                segment: (segment.top, segment.end),
                own: segment.own,
                weight: segment.weight,
                viable: segment.viable,
                children,
                descends: *descends,
            }
        };
        self.segment_of.iter().zip(&self.descends).map(entry).collect()
    }
}
