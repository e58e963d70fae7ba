//! Which signatures of many are invalid, at a bounded cost whichever they are (hazard A10).
//!
//! A product of pairings decides many signatures at once if all are valid, and is wasted if one is
//! not. So a product is tried only where the search can bear to lose it:
//!
//! - S1 The first product, the probe, costs at most what one of [`SAMPLE`] signatures of different
//!   messages costs. If it fails, the first [`SAMPLE`] signatures are verified one by one.
//! - S2 A search can spare so much that, if it is lost and everything that is undecided is verified
//!   one by one, all costs at most [`MOST_PERCENT`] of one by one. So what products have saved is
//!   at the disposal of later ones. Any product but the probe is as long as two fifths of that
//!   allow, and as all of it allows if that is less than [`SAMPLE`]: the rest is for finding what
//!   made it fail.
//! - S3 If a product fails, its first half is tried, and so on while S2 allows, down to [`SAMPLE`]
//!   signatures, which are verified one by one.
//! - S4 Once a quarter of what has been decided is invalid, the rest is verified one by one.
//!
//! By S1 and S2 a search costs at most 1.25 times one by one, or one by one and a probe if that is
//! more; by S4 signatures that are all invalid cost one by one and a probe.
//!
//! Costs are counted, not measured. The weights are CPU times of blst 0.3.17 on one thread in units
//! of 0.037 ms: 1.11 ms for a signature alone, 4.55 and 30.6 ms for products of 8 and 64 of
//! different messages, 1.62 and 2.92 ms for products of 8 and 64 of one message.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::error::Fault;
use crate::primitives::Root;

/// Signatures that are verified one by one after a product has failed.
pub(super) const SAMPLE: usize = 8;
/// Most that a search costs of one by one, unless so few are given that a probe costs more.
pub(super) const MOST_PERCENT: u64 = 125;

/// A product's final exponentiation, and its Miller loop for the sum of the signatures.
const PRODUCT: u64 = 20;
/// A message's hash to the curve, and its Miller loop.
const MESSAGE: u64 = 12;
/// The multiplications of a key and a signature by their scalar.
const MEMBER: u64 = 1;
/// A signature alone.
pub(super) const ALONE: u64 = 30;
/// The probe.
pub(super) const PROBE: u64 = PRODUCT + SAMPLE as u64 * (MESSAGE + MEMBER);

/// Returns what the verification of so many signatures of so many different messages costs.
pub(super) fn cost(members: usize, messages: usize) -> u64 {
    match members {
        0 => 0,
        1 => ALONE,
        _ => PRODUCT + MESSAGE * messages as u64 + MEMBER * members as u64,
    }
}

/// Returns the positions of the invalid signatures, ascending. `holds` says whether all signatures
/// in a range are valid; the message of each is in `messages`.
///
/// # Errors
/// The first of `holds`.
pub(super) fn all_invalid(
    messages: &[Root],
    holds: impl FnMut(Range<usize>) -> Result<bool, Fault>,
) -> Result<Vec<usize>, Fault> {
    let alone = ALONE * messages.len() as u64;
    let most = (alone * MOST_PERCENT / 100).max(alone + PROBE);
    let mut search = Search { messages, holds, decided: 0, spent: 0, most, invalid: Vec::new() };
    while search.decided < messages.len() {
        search.next()?;
    }
    Ok(search.invalid)
}

struct Search<'a, H> {
    messages: &'a [Root],
    holds: H,
    /// Signatures before this position are decided.
    decided: usize,
    spent: u64,
    /// Most that the search may cost.
    most: u64,
    /// The positions that have been found, ascending.
    invalid: Vec<usize>,
}

impl<H: FnMut(Range<usize>) -> Result<bool, Fault>> Search<'_, H> {
    /// Decides at least one signature more.
    fn next(&mut self) -> Result<(), Fault> {
        let (from, all) = (self.decided, self.messages.len());
        let to = if from == 0 { self.longest(0, PROBE) } else { self.next_product(from) };
        if self.gives_up() || to < from + 2 {
            return self.one_by_one(all);
        }
        if self.verify(from..to)? {
            self.decided = to;
            return Ok(());
        }
        if from == 0 {
            return self.one_by_one(to.min(SAMPLE));
        }
        self.halve(to)
    }

    /// Decides a part up to `to` that has an invalid signature, as far as the first one (S3).
    fn halve(&mut self, mut to: usize) -> Result<(), Fault> {
        while to - self.decided > SAMPLE {
            let middle = self.decided.midpoint(to);
            if self.longest(self.decided, self.spare()) < middle {
                break;
            }
            if self.verify(self.decided..middle)? {
                self.decided = middle;
            } else {
                to = middle;
            }
        }
        self.one_by_one(to)
    }

    fn one_by_one(&mut self, to: usize) -> Result<(), Fault> {
        for at in self.decided..to {
            if !self.verify(at..at + 1)? {
                self.invalid.push(at);
            }
            self.decided = at + 1;
        }
        Ok(())
    }

    /// Whether the rest is verified one by one (S4).
    fn gives_up(&self) -> bool {
        !self.invalid.is_empty() && 4 * self.invalid.len() >= self.decided
    }

    /// Returns what a product may cost that is lost (S2).
    fn spare(&self) -> u64 {
        let rest = ALONE * (self.messages.len() - self.decided) as u64;
        self.most.saturating_sub(self.spent + rest)
    }

    /// Returns the end of the next product (S2).
    fn next_product(&self, from: usize) -> usize {
        let to = self.longest(from, self.spare() * 2 / 5);
        if to < from + SAMPLE { self.longest(from, self.spare()) } else { to }
    }

    /// Returns the end of the longest product from `from` on that costs at most `spare`.
    fn longest(&self, from: usize, spare: u64) -> usize {
        let mut different = BTreeSet::new();
        let fits = |(members, message): (usize, &Root)| {
            different.insert(*message);
            cost(members + 1, different.len()) <= spare
        };
        from + self.messages[from..].iter().enumerate().map(fits).take_while(|fits| *fits).count()
    }

    fn verify(&mut self, range: Range<usize>) -> Result<bool, Fault> {
        let different: BTreeSet<_> = self.messages[range.clone()].iter().collect();
        self.spent += cost(range.len(), different.len());
        (self.holds)(range)
    }
}

#[cfg(test)]
mod tests {
    use super::{ALONE, MOST_PERCENT, PROBE, Range, Root, SAMPLE, all_invalid, cost};

    /// What a search has done.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Count {
        /// Signatures that were verified alone.
        alone: usize,
        /// Products, and their members.
        products: usize,
        members: usize,
        /// All of that by its weights.
        cost: u64,
    }

    impl Count {
        /// In percent of one by one, rounded up.
        fn percent(&self, len: usize) -> u64 {
            (100 * self.cost).div_ceil(ALONE * len as u64)
        }
    }

    /// Searches `len` signatures, of which those of `bad` are invalid, of as many messages as `of`
    /// says. Counts what is verified.
    fn search(len: usize, of: usize, bad: impl Fn(usize) -> bool) -> Count {
        let message = |at: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(at % of).to_le_bytes());
            Root::new(bytes)
        };
        let messages: Vec<_> = (0..len).map(message).collect();
        let mut count = Count::default();
        let holds = |range: Range<usize>| {
            match range.len() {
                1 => count.alone += 1,
                members => {
                    count.products += 1;
                    count.members += members;
                }
            }
            count.cost += cost(range.len(), range.len().min(of));
            Ok(!range.into_iter().any(&bad))
        };
        let found = all_invalid(&messages, holds);
        assert_eq!(found, Ok((0..len).filter(|at| bad(*at)).collect()));
        count
    }

    /// The greatest cost of a search in percent of one by one, and what it is allowed.
    fn allowed(len: usize) -> u64 {
        (ALONE * len as u64 * MOST_PERCENT / 100).max(ALONE * len as u64 + PROBE)
    }

    const LENGTHS: [usize; 12] = [1, 2, 3, 7, 8, 9, 16, 17, 48, 64, 192, 1024];

    #[test]
    fn valid_signatures_cost_a_few_products() {
        // Counts products: the probe and then parts that grow with what has been saved. One message
        // is one product up to a length.
        for len in LENGTHS {
            let count = search(len, len, |_| false);
            let most = match len {
                0 | 1 => 0,
                2..=8 => 1,
                9..=16 => 2,
                17..=64 => 4,
                _ => 5,
            };
            assert!(count.alone <= 1 && count.products <= most, "{len}: {count:?}");
            let percent = match len {
                ..8 => 100,
                8..16 => 58,
                16..48 => 52,
                _ => 49,
            };
            assert!(count.percent(len) <= percent, "{len}: {count:?}");
        }
        for len in [16, 64] {
            let Count { alone, products, .. } = search(len, 1, |_| false);
            assert_eq!((alone, products), (0, 1), "{len} of one message");
        }
    }

    #[test]
    fn signatures_that_are_all_invalid_cost_a_probe_more_than_one_by_one() {
        // Counts verifications: each alone once, and one product of at most eight of different
        // messages.
        for len in LENGTHS {
            for of in [len, 4, 1] {
                let count = search(len, of, |_| true);
                assert_eq!(count.alone, len);
                assert_eq!(count.products, usize::from(len > 1), "{len} of {of}: {count:?}");
                assert!(of < len || count.members <= SAMPLE, "{len}: {count:?}");
                assert!(count.cost <= ALONE * len as u64 + PROBE, "{len} of {of}: {count:?}");
            }
        }
    }

    #[test]
    fn one_invalid_signature_costs_no_more_than_the_bound_wherever_it_is() {
        // Counts for each place; also that most of a long batch of different messages is decided by
        // products all the same.
        for len in LENGTHS {
            for at in 0..len {
                for of in [len, 3, 1] {
                    let count = search(len, of, |other| other == at);
                    assert!(count.cost <= allowed(len), "{at} of {len}: {count:?}");
                    let few = count.alone <= 2 * SAMPLE && count.percent(len) <= 105;
                    assert!(len < 48 || of < len || few, "{at} of {len}: {count:?}");
                }
            }
        }
    }

    #[test]
    fn a_quarter_and_any_other_part_of_invalid_signatures_costs_no_more_than_the_bound() {
        // Counts for every fourth, one quarter in a row at each place, every nth, and parts by a
        // fixed sequence of numbers.
        for len in LENGTHS {
            let quarter = len.div_ceil(4);
            for start in 0..len {
                let in_a_row = |at| (start..start + quarter).contains(&at);
                let count = search(len, len, in_a_row);
                assert!(count.cost <= allowed(len), "from {start} of {len}: {count:?}");
            }
            for nth in 2..40 {
                for of in [len, 5, 1] {
                    let count = search(len, of, |at| at % nth == nth - 1);
                    assert!(count.cost <= allowed(len), "each {nth} of {len}: {count:?}");
                    let count = search(len, of, |at| (at * at * 7 + nth) % 31 < nth / 3);
                    assert!(count.cost <= allowed(len), "{nth} of {len}: {count:?}");
                }
            }
            let every_fourth = search(len, len, |at| at % 4 == 0);
            assert!(every_fourth.products <= 1, "{len}: {every_fourth:?}");
        }
        assert_eq!(allowed(64), ALONE * 80);
    }
}
