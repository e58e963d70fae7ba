//! A map and a set with a bound: the newest `capacity` members, the oldest forgotten first.

use std::collections::{BTreeMap, VecDeque};

/// A first-in-first-out map. Inserting into a full map forgets its oldest member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BoundedMap<K, V> {
    capacity: usize,
    order: VecDeque<K>,
    members: BTreeMap<K, V>,
}

impl<K: Clone + Ord, V> BoundedMap<K, V> {
    /// Returns an empty map. A capacity of zero remembers nothing.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, order: VecDeque::new(), members: BTreeMap::new() }
    }

    /// Returns what is remembered of `key`.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.members.get(key)
    }

    /// Remembers `value`; a key that is remembered already keeps its place and its value.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.capacity == 0 || self.members.contains_key(&key) {
            return;
        }
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.members.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.members.insert(key, value);
    }
}

/// A first-in-first-out set. Inserting into a full set forgets its oldest member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BoundedSet<T>(BoundedMap<T, ()>);

impl<T: Clone + Ord> BoundedSet<T> {
    /// Returns an empty set. A capacity of zero remembers nothing.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(BoundedMap::new(capacity))
    }

    /// Returns whether `member` is remembered.
    pub(crate) fn contains(&self, member: &T) -> bool {
        self.0.get(member).is_some()
    }

    /// Remembers `member`; one that is remembered already keeps its place.
    pub(crate) fn insert(&mut self, member: T) {
        self.0.insert(member, ());
    }
}

#[cfg(test)]
mod tests {
    use super::{BoundedMap, BoundedSet};

    #[test]
    fn the_oldest_member_is_forgotten_first() {
        // A set of two: the third insertion forgets the first, a repeated one nothing.
        let mut set = BoundedSet::new(2);
        for member in [1, 2, 1, 3] {
            set.insert(member);
        }
        assert_eq!([1, 2, 3].map(|m| set.contains(&m)), [false, true, true]);
    }

    #[test]
    fn a_key_keeps_its_first_value_and_no_capacity_remembers_nothing() {
        // The same key twice, and a map without room.
        let mut map = BoundedMap::new(1);
        map.insert(1, "first");
        map.insert(1, "second");
        assert_eq!(map.get(&1), Some(&"first"));
        let mut none = BoundedMap::new(0);
        none.insert(1, "first");
        assert_eq!(none.get(&1), None);
    }
}
