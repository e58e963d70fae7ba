//! Relations over the events of one execution, as matrices of bits.

use std::ops::{BitAnd, BitOr, Sub};

/// The largest number of events, those that initialise memory included.
pub(super) const MAX_EVENTS: usize = 20;

/// A set of events: bit `i` stands for event `i`.
pub(super) type Set = u32;

/// Returns the members of a set, in order.
pub(super) fn members(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let event = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (event < Set::BITS).then_some(event as usize)
    })
}

/// A binary relation: row `a` is the set of all `b` with `a -> b`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relation([Set; MAX_EVENTS]);

impl Relation {
    /// Returns the relation of all pairs for which `holds`.
    pub(super) fn of(events: usize, holds: impl Fn(usize, usize) -> bool) -> Self {
        let mut relation = Self::default();
        for from in 0..events {
            for to in 0..events {
                if holds(from, to) {
                    relation.add(from, to);
                }
            }
        }
        relation
    }

    /// Returns the identity on a set.
    pub(super) fn identity(set: Set) -> Self {
        let mut relation = Self::default();
        members(set).for_each(|event| relation.add(event, event));
        relation
    }

    pub(super) fn add(&mut self, from: usize, to: usize) {
        self.0[from] |= 1 << to;
    }

    pub(super) fn has(&self, from: usize, to: usize) -> bool {
        self.0[from] & (1 << to) != 0
    }

    /// Returns the pairs that begin in `from` and end in `to`.
    pub(super) fn between(&self, from: Set, to: Set) -> Self {
        let mut relation = Self::default();
        for event in members(from) {
            relation.0[event] = self.0[event] & to;
        }
        relation
    }

    /// Returns `self ; next`: a step of the first, then one of the second.
    pub(super) fn then(&self, next: &Self) -> Self {
        let mut relation = Self::default();
        for (row, from) in relation.0.iter_mut().zip(&self.0) {
            *row = members(*from).fold(0, |row, middle| row | next.0[middle]);
        }
        relation
    }

    /// Returns the pairs with their ends exchanged.
    pub(super) fn inverse(&self) -> Self {
        let mut relation = Self::default();
        for (from, row) in self.0.iter().enumerate() {
            members(*row).for_each(|to| relation.add(to, from));
        }
        relation
    }

    /// Returns one step or none.
    pub(super) fn maybe(&self) -> Self {
        *self | Self::identity((1 << MAX_EVENTS) - 1)
    }

    /// Returns one step or more.
    pub(super) fn plus(&self) -> Self {
        let mut closed = *self;
        for middle in 0..MAX_EVENTS {
            let onwards = closed.0[middle];
            for row in &mut closed.0 {
                if *row & (1 << middle) != 0 {
                    *row |= onwards;
                }
            }
        }
        closed
    }

    pub(super) fn is_irreflexive(&self) -> bool {
        (0..MAX_EVENTS).all(|event| !self.has(event, event))
    }

    pub(super) fn is_acyclic(&self) -> bool {
        self.plus().is_irreflexive()
    }
}

impl BitOr for Relation {
    type Output = Self;
    fn bitor(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(row, more)| *row |= more);
        self
    }
}

impl BitAnd for Relation {
    type Output = Self;
    fn bitand(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(row, mask)| *row &= mask);
        self
    }
}

impl Sub for Relation {
    type Output = Self;
    fn sub(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(row, less)| *row &= !less);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Relation;

    fn relation(pairs: &[(usize, usize)]) -> Relation {
        let mut relation = Relation::default();
        pairs.iter().for_each(|&(from, to)| relation.add(from, to));
        relation
    }

    #[test]
    fn steps_compose_and_close() {
        // A path of three steps, its compositions, and the cycle that its inverse closes.
        let path = relation(&[(0, 1), (1, 2), (2, 3)]);
        assert_eq!(path.then(&path), relation(&[(0, 2), (1, 3)]));
        let all = relation(&[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
        assert_eq!(path.plus(), all);
        assert!(path.maybe().has(0, 0) && !path.maybe().has(1, 0));
        assert!(path.is_acyclic() && path.is_irreflexive());
        let cycle = path | relation(&[(3, 0)]);
        assert!(!cycle.is_acyclic() && cycle.is_irreflexive());
        assert_eq!(path.inverse(), relation(&[(1, 0), (2, 1), (3, 2)]));
    }

    #[test]
    fn restrictions_keep_the_pairs_between_two_sets() {
        // Takes pairs by their ends, and by another relation.
        let path = relation(&[(0, 1), (1, 2), (2, 3)]);
        assert_eq!(path.between(0b0110, 0b1100), relation(&[(1, 2), (2, 3)]));
        assert_eq!(path & relation(&[(1, 2), (3, 2)]), relation(&[(1, 2)]));
        assert_eq!(path - relation(&[(1, 2)]), relation(&[(0, 1), (2, 3)]));
        assert_eq!(path - path, Relation::default());
    }
}
