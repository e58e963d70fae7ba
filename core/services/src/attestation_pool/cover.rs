//! The choice: greedy maximum coverage.
//!
//! Each aggregate covers members of a committee, and a member's vote has a weight. In each step the
//! aggregate is taken that adds the most weight which is not covered yet. Because what an aggregate
//! adds only shrinks while others are taken, an old figure is an upper bound: only the aggregate on
//! top of the queue is evaluated again, and if it stays on top, it is the best.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::attestation_pool::machine::Aggregate;
use crate::attestation_pool::{Bits, PoolAttestation, Seat};
use crate::consensus::Gwei;

/// Weights are summed in 128 bits: 2^64 members of 2^64 Gwei fit.
type Weight = u128;

/// The aggregates of equal data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Data<A> {
    pub(super) seat: Seat,
    pub(super) aggregates: Vec<Aggregate<A>>,
}

/// What a proposer chooses from; see [`super::AttestationPool::candidates`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidates<A> {
    /// Older slots first.
    pub(super) data: Vec<Data<A>>,
    /// The votes that the chain includes already.
    pub(super) covered: BTreeMap<Seat, Bits>,
}

/// There is nothing to choose from.
impl<A> Default for Candidates<A> {
    fn default() -> Self {
        Self { data: Vec::new(), covered: BTreeMap::new() }
    }
}

/// An aggregate whose data are eligible.
struct Choice<'a, A> {
    seat: Seat,
    aggregate: &'a Aggregate<A>,
    weights: &'a [Gwei],
}

impl<A: PoolAttestation> Choice<'_, A> {
    /// Returns the weight of the votes that are not covered.
    fn gain(&self, covered: &BTreeMap<Seat, Bits>) -> Weight {
        let weight = |place: usize| self.weights.get(place).map_or(0, |gwei| Weight::from(*gwei));
        match covered.get(&self.seat) {
            Some(covered) => self.aggregate.bits.without(covered).iter().map(weight).sum(),
            None => self.aggregate.bits.iter().map(weight).sum(),
        }
    }
}

impl<A: PoolAttestation> Candidates<A> {
    /// Returns the sum of the aggregate with the most members, of equal ones the first. `None` if
    /// there is none.
    #[must_use]
    pub fn largest(&self) -> Option<A> {
        let all = self.data.iter().flat_map(|data| &data.aggregates);
        let largest = all.rev().max_by_key(|aggregate| aggregate.bits.count())?;
        A::aggregate(&largest.parts)
    }

    /// Returns at most `max` attestations for a block, the most valuable first. `weights` says what
    /// each place of an attestation's committee is worth, or `None` if the attestation is not
    /// eligible; it is asked once for equal data (see
    /// [`inclusion_weights`](crate::consensus::Consensus::inclusion_weights)).
    ///
    /// Attestations that add nothing are left out. Of equal ones, the one of the older slot comes
    /// first, then that of the lesser data root. It costs one evaluation of each aggregate and a
    /// few more for each that is taken, and the sums of signatures.
    pub fn pack(&self, weights: impl Fn(&A) -> Option<Vec<Gwei>>, max: usize) -> Vec<A> {
        let first = |data: &Data<A>| Some(data.aggregates.first()?.parts.first()?.clone());
        let news = self.data.iter().filter(|data| self.has_news(data));
        let eligible: Vec<(&Data<A>, Vec<Gwei>)> =
            news.filter_map(|data| Some((data, weights(&first(data)?)?))).collect();
        let choices: Vec<Choice<'_, A>> = eligible
            .iter()
            .flat_map(|(data, weights)| {
                let choice = |aggregate| Choice { seat: data.seat, aggregate, weights };
                data.aggregates.iter().map(choice)
            })
            .collect();
        let mut covered = self.covered.clone();
        let mut queue: BinaryHeap<(Weight, Reverse<usize>)> =
            choices.iter().enumerate().map(|(at, one)| (one.gain(&covered), Reverse(at))).collect();
        let mut packed = Vec::new();
        while packed.len() < max
            && let Some((bound, Reverse(at))) = queue.pop()
            && bound > 0
        {
            let choice = &choices[at];
            let now = (choice.gain(&covered), Reverse(at));
            if queue.peek().is_some_and(|next| *next > now) {
                queue.push(now);
                continue;
            }
            if now.0 == 0 {
                continue;
            }
            // Verified signatures can be summed. If they could not, nothing would be covered.
            let Some(sum) = A::aggregate(&choice.aggregate.parts) else { continue };
            let bits = &choice.aggregate.bits;
            covered.entry(choice.seat).or_insert_with(|| Bits::new(bits.size())).add(bits);
            packed.push(sum);
        }
        packed
    }

    /// Returns whether some aggregate has a vote that the chain does not include. Most of the pool
    /// has none: it is of slots whose votes are in blocks already.
    fn has_news(&self, data: &Data<A>) -> bool {
        let covered = self.covered.get(&data.seat);
        let is_news = |bits: &Bits| covered.is_none_or(|covered| !bits.is_subset(covered));
        data.aggregates.iter().any(|aggregate| is_news(&aggregate.bits))
    }
}
