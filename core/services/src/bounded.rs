//! A set with a bound: the newest `capacity` members, the oldest forgotten first.

use std::collections::{BTreeSet, VecDeque};

/// A first-in-first-out set. Inserting into a full set forgets its oldest member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BoundedSet<T> {
    capacity: usize,
    order: VecDeque<T>,
    members: BTreeSet<T>,
}

impl<T: Copy + Ord> BoundedSet<T> {
    /// Returns an empty set. A capacity of zero remembers nothing.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, order: VecDeque::new(), members: BTreeSet::new() }
    }

    /// Returns whether `member` is remembered.
    pub(crate) fn contains(&self, member: &T) -> bool {
        self.members.contains(member)
    }

    /// Remembers `member`; one that is remembered already keeps its place.
    pub(crate) fn insert(&mut self, member: T) {
        if self.capacity == 0 || !self.members.insert(member) {
            return;
        }
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.members.remove(&oldest);
        }
        self.order.push_back(member);
    }
}

#[cfg(test)]
mod tests {
    use super::BoundedSet;

    #[test]
    fn the_oldest_member_is_forgotten_first() {
        // A set of two: the third insertion forgets the first, a repeated one nothing.
        let mut set = BoundedSet::new(2);
        for member in [1, 2, 1, 3] {
            set.insert(member);
        }
        assert_eq!([1, 2, 3].map(|m| set.contains(&m)), [false, true, true]);
    }
}
