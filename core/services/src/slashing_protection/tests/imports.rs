//! Imports of many attestations, compared with a reference that forgets nothing until the end.

use std::collections::BTreeMap;

use quickcheck::QuickCheck;

use super::*;
use crate::machine::Machine;
use crate::slashing_protection::{Event, History, Watermarks};

/// The reference: a file's attestations are taken in in the file's order, each is compared with all
/// before it, and only then are the oldest forgotten. This takes quadratic time.
struct Reference {
    votes: BTreeMap<u64, (u64, Option<SigningRoot>)>,
    watermarks: Option<(u64, u64)>,
}

impl Reference {
    fn of(history: &History) -> Self {
        let of_vote = |vote: Vote| (vote.target, (vote.source, vote.signing_root));
        let votes = history.attestations().map(of_vote).collect();
        Self { votes, watermarks: history.watermarks().vote }
    }

    fn history(self) -> History {
        let of_vote = |(target, (source, signing_root))| Vote { source, target, signing_root };
        let watermarks = Watermarks { slot: None, vote: self.watermarks };
        History::new([], self.votes.into_iter().map(of_vote), watermarks)
    }

    fn raise(&mut self, source: u64, target: u64) {
        let (s, t) = self.watermarks.unwrap_or((source, target));
        let (s, t) = (s.max(source), t.max(target));
        self.watermarks = Some((s, t));
        let below = self.votes.iter().find(|(target, (source, _))| *source < s || **target < t);
        if let Some((target, (source, _))) = below.map(|(target, vote)| (*target, *vote)) {
            self.votes.remove(&target);
            self.raise(source, target);
        }
    }

    fn import(&mut self, limits: &Limits, file: &[Vote], merge: Merge) {
        let least = file.iter().map(|vote| vote.source).min();
        let least = least.zip(file.iter().map(|vote| vote.target).min());
        let is_new = self.watermarks.is_none();
        if is_new {
            self.watermarks = least;
        }
        for vote in file {
            let (source, target) = self.watermarks.expect("there is an attestation");
            let is_first = is_new && self.watermarks == least;
            let surrounds = |(t, (s, _)): (&u64, &(u64, Option<SigningRoot>))| {
                (vote.source < *s && *t < vote.target) || (*s < vote.source && vote.target < *t)
            };
            let alone = !self.votes.iter().any(surrounds);
            match self.votes.get_mut(&vote.target) {
                Some((source, root)) if *source == vote.source => {
                    *root = root.filter(|_| *root == vote.signing_root);
                }
                Some((source, root)) => {
                    *root = None;
                    let source = vote.source.max(*source);
                    self.raise(source, vote.target);
                }
                None if vote.source >= source && (is_first || vote.target > target) => {
                    let root = vote.signing_root.filter(|_| alone);
                    self.votes.insert(vote.target, (vote.source, root));
                }
                None => self.raise(vote.source, vote.target),
            }
        }
        let newest = file.iter().map(|vote| vote.source).max();
        let newest = newest.zip(file.iter().map(|vote| vote.target).max());
        if let Some((source, target)) = newest.filter(|_| merge == Merge::Raise) {
            self.raise(source, target);
        }
        while self.votes.len() > limits.attestations {
            let (target, (source, _)) = self.votes.pop_first().expect("there is one");
            self.raise(source, target);
        }
    }
}

/// Sources, targets, and roots, where they are known; all small.
type Numbers = Vec<(u8, u8, u8)>;

fn small(numbers: &Numbers) -> Records {
    let vote = |(source, target, number): &(u8, u8, u8)| {
        (u64::from(source % 16), u64::from(target % 16), Some(number % 4).filter(|it| *it < 3))
    };
    votes(&numbers.iter().map(vote).collect::<Vec<_>>())
}

#[test]
fn an_import_that_forgets_meanwhile_refuses_what_one_that_forgets_at_the_end_refuses() {
    // Two random files, the second one on top of the first; of three attestations, or of one. The
    // records are the same but for roots, which are a part of the reference's.
    fn property(first: Numbers, second: Numbers, complete: bool, few: bool) -> bool {
        let merge = if complete { Merge::Complete } else { Merge::Raise };
        let limits = Limits { blocks: 1, attestations: if few { 1 } else { 3 } };
        let mut history = History::default();
        for records in [small(&first), small(&second)] {
            let mut reference = Reference::of(&history);
            reference.import(&limits, &records.attestations, merge);
            let reference = reference.history();
            history.handle(&limits, Event::Import(records, merge));
            let is_same = |(one, other): (Vote, Vote)| {
                let known = one.signing_root.is_none() || one.signing_root == other.signing_root;
                (one.source, one.target) == (other.source, other.target) && known
            };
            let of_both = history.attestations().zip(reference.attestations());
            let as_many = history.attestations().count() == reference.attestations().count();
            let marks = history.watermarks() == reference.watermarks();
            if !(marks && as_many && of_both.into_iter().all(is_same)) {
                return false;
            }
        }
        true
    }
    let property = property as fn(Numbers, Numbers, bool, bool) -> bool;
    QuickCheck::new().tests(20_000).quickcheck(property);
}

#[test]
fn a_long_file_is_compared_with_few_records_in_any_order() {
    // The machine asserts how many records there are at each step. Three thousand epochs upwards
    // and downwards, each with the source before it; the newest three stay.
    let limits = Limits { blocks: 1, attestations: 3 };
    let file: Vec<_> = (1..=3_000).map(|target| (target - 1, target, Some(1))).collect();
    for upwards in [true, false] {
        let mut file = votes(&file);
        if !upwards {
            file.attestations.reverse();
        }
        let mut history = History::default();
        history.handle(&limits, Event::Import(file, Merge::Complete));
        let kept: Vec<_> = history.attestations().map(|vote| (vote.source, vote.target)).collect();
        assert_eq!(kept, [(2_997, 2_998), (2_998, 2_999), (2_999, 3_000)]);
        assert_eq!(history.watermarks().vote, Some((2_996, 2_997)));
        assert_eq!(history.judge(vote(2_999, 3_000, 1)), Outcome::AlreadySigned);
    }
}

#[test]
fn of_attestations_of_a_file_that_contradict_one_another_none_is_signed_again() {
    // One surrounds another, in both orders; a third one beside them keeps its root, and so does
    // one that was signed here, whatever the file says beside it.
    let pair = [(1, 8, Some(1)), (2, 7, Some(1)), (2, 9, Some(1))];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let mut store = MemoryStore::default();
        take(&mut store, votes(&order.map(|at| pair[at])), Merge::Complete);
        assert_eq!(refusal(&mut store, vote(1, 8, 1)), Refusal::DoubleVote(8), "{order:?}");
        assert_eq!(refusal(&mut store, vote(2, 7, 1)), Refusal::DoubleVote(7), "{order:?}");
        assert_eq!(sign(&mut store, vote(2, 9, 1)), Outcome::AlreadySigned, "{order:?}");
    }
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, vote(1, 2, 1)), Outcome::Recorded);
    assert_eq!(sign(&mut store, vote(1, 8, 1)), Outcome::Recorded);
    take(&mut store, votes(&pair), Merge::Complete);
    assert_eq!(sign(&mut store, vote(1, 8, 1)), Outcome::AlreadySigned);
    assert_eq!(refusal(&mut store, vote(2, 7, 1)), Refusal::DoubleVote(7));
}
