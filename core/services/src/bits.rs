//! Sets of members of one committee: what a gossip vote says of its voters, and what the
//! attestation pool adds up.
//!
//! Two sets can be of committees of different sizes, if a peer's data says so. The gossip
//! conditions compare only sets of one size ([`Bits::is_covered_by`]). The pool refuses data whose
//! sizes differ and compares places alone ([`Bits::is_subset`]).

/// Which members of a committee attested: a set of places below the committee's size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bits {
    len: usize,
    /// Place `i` is bit `i % 64` of word `i / 64`. Bits from `len` on are 0.
    words: Box<[u64]>,
}

/// One flag for each member, in order: those that are set are in the set.
impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(flags: I) -> Self {
        let (mut len, mut words) = (0, Vec::new());
        for flag in flags {
            if len % 64 == 0 {
                words.push(0);
            }
            if let Some(last) = words.last_mut() {
                *last |= u64::from(flag) << (len % 64);
            }
            len += 1;
        }
        Self { len, words: words.into() }
    }
}

impl Bits {
    /// Returns the empty set of places below `len`.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self { len, words: vec![0; len.div_ceil(64)].into_boxed_slice() }
    }

    /// Returns the size of the committee.
    #[must_use]
    pub fn size(&self) -> usize {
        self.len
    }

    /// Adds a place; nothing if the committee is not that large.
    pub fn set(&mut self, place: usize) {
        if place < self.len {
            self.words[place / 64] |= 1 << (place % 64);
        }
    }

    /// Returns the number of places in the set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Returns the first place in the set.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.iter().next()
    }

    /// Returns the places in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let place = (rest != 0).then(|| at * 64 + rest.trailing_zeros() as usize);
                rest &= rest.wrapping_sub(1);
                place
            })
        })
    }

    /// Returns whether every place of this set is in the other, whatever their sizes.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.words.iter().enumerate().all(|(at, word)| word & !other.word(at) == 0)
    }

    /// Returns whether the other set is of a committee of the same size and has every place of this
    /// one: it is what the gossip conditions call a non-strict superset.
    #[must_use]
    pub fn is_covered_by(&self, other: &Self) -> bool {
        self.len == other.len && self.is_subset(other)
    }

    /// Returns whether no place is in both sets.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.words.iter().enumerate().all(|(at, word)| word & other.word(at) == 0)
    }

    /// Adds the places of another set of the same committee. If that is larger, so is the result.
    pub fn add(&mut self, other: &Self) {
        if other.len > self.len {
            let mut words = self.words.to_vec();
            words.resize(other.words.len(), 0);
            *self = Self { len: other.len, words: words.into_boxed_slice() };
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Returns the places that are in this set and not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let words = self.words.iter().enumerate().map(|(at, word)| word & !other.word(at));
        Self { len: self.len, words: words.collect() }
    }

    /// Returns the memory behind this value, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quickcheck::quickcheck;

    use super::Bits;

    fn bits(len: usize, places: &BTreeSet<u8>) -> Bits {
        (0..len).map(|place| u8::try_from(place).is_ok_and(|p| places.contains(&p))).collect()
    }

    fn of(text: &str) -> Bits {
        text.chars().map(|flag| flag == '1').collect()
    }

    #[test]
    fn places_are_counted_and_found_across_words() {
        // Nothing, one place at each end of two words, and all of 130.
        assert_eq!((of("").size(), of("").count(), of("").first()), (0, 0, None));
        assert_eq!(of(""), Bits::default());
        for at in [0, 63, 64, 127] {
            let one: Bits = (0..128).map(|place| place == at).collect();
            assert_eq!((one.size(), one.count(), one.first()), (128, 1, Some(at)));
        }
        assert_eq!((0..130).map(|_| true).collect::<Bits>().count(), 130);
    }

    #[test]
    fn a_set_is_covered_by_one_of_its_size_alone_and_is_a_subset_of_any() {
        // Subset, superset, incomparable, equal, and a smaller committee.
        for (a, b, expected) in [
            ("0100", "0110", true),
            ("0110", "0100", false),
            ("1000", "0110", false),
            ("0110", "0110", true),
        ] {
            let (a, b) = (of(a), of(b));
            assert_eq!((a.is_covered_by(&b), a.is_subset(&b)), (expected, expected));
        }
        let (small, large) = (of("010"), of("0110"));
        assert!(!small.is_covered_by(&large) && small.is_subset(&large));
        assert!(!large.is_covered_by(&small) && !large.is_subset(&small));
    }

    quickcheck! {
        /// Against sets of numbers: union, difference, subset, disjoint, count, first and order.
        fn bits_are_sets_of_places(a: BTreeSet<u8>, b: BTreeSet<u8>) -> bool {
            let (x, y) = (bits(256, &a), bits(256, &b));
            let list = |bits: &Bits| bits.iter().map(|place| place as u8).collect::<Vec<_>>();
            let mut union = x.clone();
            union.add(&y);
            list(&x) == a.iter().copied().collect::<Vec<_>>()
                && list(&union) == a.union(&b).copied().collect::<Vec<_>>()
                && list(&x.without(&y)) == a.difference(&b).copied().collect::<Vec<_>>()
                && x.is_subset(&y) == a.is_subset(&b)
                && x.is_disjoint(&y) == a.is_disjoint(&b)
                && x.count() == a.len()
                && x.first() == a.first().map(|place| usize::from(*place))
        }
    }

    #[test]
    fn a_place_outside_the_committee_is_no_member_and_a_larger_committee_wins() {
        // Place 70 of 70, and a union with a committee of 130.
        let mut small = Bits::new(70);
        small.set(70);
        small.set(69);
        assert_eq!(small.iter().collect::<Vec<_>>(), [69]);
        let mut large = Bits::new(130);
        large.set(129);
        small.add(&large);
        assert_eq!((small.size(), small.iter().collect::<Vec<_>>()), (130, vec![69, 129]));
    }
}
