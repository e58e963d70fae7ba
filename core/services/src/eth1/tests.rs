//! The machine against a chain that changes between two answers, and the threads against a node
//! that fails.

mod chain;
mod threads;

use std::marker::PhantomData;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use self::chain::{Chain, Follower, limits};
use super::{
    Answer, DepositLog, Effect, Eth1Monitor, Event, Failure, Limits, LimitsError, Question,
};
use crate::machine::Machine;

#[test]
fn a_monitor_takes_in_all_deposits_up_to_the_follow_distance() {
    // 30 blocks with a deposit in every third, followed at a distance of 4 with a window of 8.
    let mut chain = Chain::new();
    (0..30).for_each(|number| chain.grow(usize::from(number % 3 == 0)));
    let mut follower = Follower::new(limits());
    follower.settle(&chain);
    assert_eq!(follower.deposits, chain.deposits_to(26));
    let followed: Vec<u64> = follower.monitor.followed().map(|at| at.header.number).collect();
    assert_eq!(followed, (19..=26).collect::<Vec<_>>());
    let first = follower.asked.iter().find(|asked| matches!(asked, Question::Header(_)));
    assert_eq!(first, Some(&Question::Header(19)), "no header is asked for that is not kept");
    follower.is_consistent_with(&chain);
}

#[test]
fn before_the_chain_is_as_long_as_the_follow_distance_nothing_is_asked() {
    // Genesis and three blocks, at a distance of 4.
    let mut chain = Chain::new();
    (0..3).for_each(|_| chain.grow(1));
    let mut follower = Follower::new(limits());
    follower.settle(&chain);
    assert_eq!(follower.asked, [Question::Latest]);
    assert_eq!(follower.monitor.followed().count(), 0);
}

#[test]
fn blocks_that_are_replaced_take_their_deposits_with_them() {
    // The last six blocks are replaced, two of which were followed; then all but the first two,
    // which the window no longer has.
    let mut chain = Chain::new();
    (0..12).for_each(|_| chain.grow(1));
    let mut follower = Follower::new(limits());
    follower.settle(&chain);
    chain.replace(6, &[0, 2, 0, 1, 0, 1, 1]);
    follower.settle(&chain);
    follower.is_consistent_with(&chain);
    assert!(follower.failures.contains(&Failure::Reorganised));
    assert!(!follower.failures.contains(&Failure::StartedAnew), "the window sufficed");
    chain.replace(12, &[1; 14]);
    follower.settle(&chain);
    follower.is_consistent_with(&chain);
    assert!(follower.failures.contains(&Failure::StartedAnew), "deeper than the window");
}

#[test]
fn deposits_of_another_branch_than_the_headers_are_not_taken_in() {
    // The chain changes after the headers were answered and before the deposits are.
    let mut chain = Chain::new();
    (0..8).for_each(|_| chain.grow(1));
    let mut follower = Follower::new(limits());
    let mut question = follower.poll();
    while let Some((request, asked)) = question {
        if matches!(asked, Question::Deposits { .. }) && follower.failures.is_empty() {
            chain.replace(8, &[1; 8]);
        }
        question = follower.answer(request, chain.answer(asked));
    }
    assert_eq!(follower.failures, [Failure::Deposits]);
    assert_eq!(follower.deposits, []);
    follower.settle(&chain);
    follower.is_consistent_with(&chain);
}

#[test]
fn a_deposit_that_was_left_out_is_noticed_by_the_next_number() {
    // The node leaves a deposit out of an answer. The next one has too high a number: the monitor
    // asks again, then drops the window, and then has all.
    let mut chain = Chain::new();
    (0..7).for_each(|_| chain.grow(1));
    let mut follower = Follower::new(limits());
    let mut question = follower.poll();
    while let Some((request, asked)) = question {
        let answer = match chain.answer(asked) {
            Answer::Deposits(mut logs) => {
                logs.pop();
                Answer::Deposits(logs)
            }
            other => other,
        };
        question = follower.answer(request, answer);
    }
    let left_out = chain.deposits_to(3).len() - follower.deposits.len();
    assert!(left_out > 0);
    (0..5).for_each(|_| chain.grow(1));
    follower.settle(&chain);
    follower.is_consistent_with(&chain);
    let reorganised = follower.failures.contains(&Failure::Reorganised);
    assert!(!reorganised, "the block after the one that stays is asked for");
}

#[test]
fn failures_make_pauses_longer_up_to_the_longest_and_a_success_ends_that() {
    // Five failures double the pause of 10 ms four times and stay at 100 ms.
    let mut chain = Chain::new();
    (0..6).for_each(|_| chain.grow(0));
    let mut follower = Follower::new(limits());
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let (request, _) = follower.poll().expect("the machine rests");
        assert_eq!(follower.answer(request, Answer::Failed), None);
        pauses.push(follower.pause_ms);
    }
    assert_eq!(pauses, [20, 40, 80, 100, 100]);
    follower.settle(&chain);
    assert_eq!(follower.pause_ms, 10);
    let (request, _) = follower.poll().expect("the machine rests");
    assert_eq!(follower.answer(request, Answer::Failed), None);
    let (request, _) = follower.poll().expect("the machine rests");
    assert_eq!(follower.answer(request, chain.answer(Question::Latest)), None, "nothing is new");
    assert_eq!(follower.pause_ms, 10);
}

#[test]
fn a_re_organisation_within_a_batch_costs_the_blocks_of_the_batch_that_are_gone() {
    // Block 4 is replaced after it was taken into a batch: block 5 has another parent, and block 4
    // alone is asked for again.
    let mut chain = Chain::new();
    (0..12).for_each(|_| chain.grow(1));
    let mut follower = Follower::new(limits());
    let mut question = follower.poll();
    let mut after = Vec::new();
    while let Some((request, asked)) = question {
        if asked == Question::Header(5) && follower.failures.is_empty() {
            chain.replace(9, &[1; 9]);
        }
        question = follower.answer(request, chain.answer(asked));
        if !follower.failures.is_empty() {
            after.extend(question.map(|(_, asked)| asked));
        }
    }
    assert_eq!(after[..2], [Question::Header(4), Question::Header(5)]);
    assert_eq!(follower.failures, [Failure::Reorganised]);
    follower.is_consistent_with(&chain);
}

#[test]
fn deposits_that_are_out_of_order_or_of_other_blocks_do_not_fit() {
    // Before the window there are no headers to compare with: the numbers of the blocks must ascend
    // and lie in the range that was asked for.
    let log = |number, index| DepositLog { number, hash: 1, index, deposit: index };
    for (logs, fit) in [
        (vec![log(0, 0), log(2, 1), log(2, 2), log(4, 3)], true),
        (vec![log(2, 0), log(1, 1)], false),
        (vec![log(5, 0)], false),
        (vec![log(0, 0), log(1, 2)], false),
        (vec![log(0, 1)], false),
    ] {
        let mut follower = Follower::new(limits());
        let (request, _) = follower.poll().unwrap();
        let (request, asked) = follower.answer(request, Answer::Latest(24)).unwrap();
        assert_eq!(asked, Question::Deposits { from: 0, to: 4 });
        follower.answer(request, Answer::Deposits(logs.clone()));
        assert_eq!(follower.failures.is_empty(), fit, "{logs:?}");
        assert_eq!(follower.deposits.len(), if fit { logs.len() } else { 0 });
    }
}

#[test]
fn an_answer_of_another_kind_number_or_request_changes_nothing() {
    // A header where a number was asked for, another header, and an answer that comes twice, also
    // while nothing is asked.
    let mut chain = Chain::new();
    (0..9).for_each(|_| chain.grow(1));
    let mut follower = Follower::new(limits());
    let (request, _) = follower.poll().unwrap();
    assert_eq!(follower.answer(request, chain.answer(Question::Header(1))), None);
    assert_eq!(follower.failures, [Failure::NoAnswer]);
    assert_eq!(follower.answer(request, Answer::Latest(9)), None, "it rests");
    assert_eq!(follower.failures, [Failure::NoAnswer]);
    let (request, _) = follower.poll().unwrap();
    let (header, asked) = follower.answer(request, Answer::Latest(9)).unwrap();
    assert_eq!(asked, Question::Header(0));
    assert_eq!(follower.answer(request, Answer::Latest(7)), None, "twice");
    assert_eq!(follower.failures.len(), 1, "an answer that was given before is no failure");
    assert_eq!(follower.poll(), None, "a pause that ends twice asks nothing while a request waits");
    assert_eq!(follower.answer(header, chain.answer(Question::Header(1))), None, "another number");
    assert_eq!(follower.failures.len(), 2);
    follower.settle(&chain);
    follower.is_consistent_with(&chain);
}

#[test]
fn numbers_at_the_end_of_their_range_do_not_overflow() {
    // The largest latest block and the largest distance.
    for distance in [0, 4, u64::MAX] {
        let mut follower = Follower::new(Limits { distance, range: u64::MAX, ..limits() });
        let (request, _) = follower.poll().unwrap();
        let asked = follower.answer(request, Answer::Latest(u64::MAX)).map(|(_, asked)| asked);
        match asked {
            None => assert_eq!(distance, u64::MAX),
            Some(Question::Deposits { from, to }) => assert!(from == 0 && to < u64::MAX / 2),
            Some(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_the_chain_contradicts_is_forgotten_once_the_answer_under_way_is_there() {
    // Contradicted while it rests, and while a request is under way.
    let mut chain = Chain::new();
    (0..9).for_each(|_| chain.grow(1));
    for under_way in [false, true] {
        let mut follower = Follower::new(limits());
        follower.settle(&chain);
        let question = if under_way { follower.poll() } else { None };
        assert_eq!(follower.handle(Event::Contradicted), None);
        if let Some((request, asked)) = question {
            assert_eq!(follower.deposits.len(), 5, "not while an answer is under way");
            assert_eq!(follower.answer(request, chain.answer(asked)), None);
        }
        assert_eq!(follower.deposits, []);
        follower.settle(&chain);
        follower.is_consistent_with(&chain);
    }
}

#[test]
fn a_limit_that_cannot_be_is_an_error_that_names_it() {
    // Each limit that must not be 0, and pauses the wrong way round. They may be equal.
    let refused = |limits| Eth1Monitor::<u64>::new(limits).unwrap_err();
    assert_eq!(refused(Limits { window: 0, ..limits() }), LimitsError::Zero("window"));
    assert_eq!(refused(Limits { batch: 0, ..limits() }), LimitsError::Zero("batch"));
    assert_eq!(refused(Limits { range: 0, ..limits() }), LimitsError::Zero("range"));
    assert_eq!(refused(Limits { pause_ms: 0, ..limits() }), LimitsError::Zero("pause_ms"));
    let longest = Limits { longest_pause_ms: 9, ..limits() };
    assert_eq!(refused(longest), LimitsError::Pause { pause: 10, longest: 9 });
    assert_eq!(Limits { longest_pause_ms: 10, ..limits() }.check(), Ok(()));
}

/// What happens to the chain or to an answer before it is handed over.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    Grow {
        deposits: usize,
    },
    Replace {
        depth: usize,
        deposits: usize,
    },
    Fail,
    /// The last deposit of the answer is missing.
    LeaveOut,
    /// The answer comes twice.
    Twice,
}

impl Arbitrary for Trouble {
    fn arbitrary(random: &mut Gen) -> Self {
        let small = |random: &mut Gen, bound: usize| usize::arbitrary(random) % bound;
        match small(random, 12) {
            0..4 => Self::None,
            4..7 => Self::Grow { deposits: small(random, 3) },
            7 | 8 => Self::Replace { depth: small(random, 12), deposits: small(random, 3) },
            9 => Self::Fail,
            10 => Self::LeaveOut,
            _ => Self::Twice,
        }
    }
}

/// Runs a monitor through `troubles`, then lets the chain be, and says whether all is right then.
fn converges(troubles: Vec<Trouble>) -> bool {
    let mut chain = Chain::new();
    (0..10).for_each(|number| chain.grow(number % 2));
    let mut follower = Follower::new(limits());
    let mut question = None;
    for trouble in troubles {
        let (request, asked) = match question.take().or_else(|| follower.poll()) {
            Some(question) => question,
            None => return false,
        };
        let mut answer = chain.answer(asked);
        match trouble {
            Trouble::None => {}
            Trouble::Grow { deposits } => chain.grow(deposits),
            Trouble::Replace { depth, deposits } => {
                chain.replace(depth, &vec![deposits; depth + 1]);
            }
            Trouble::Fail => answer = Answer::Failed,
            Trouble::LeaveOut => {
                if let Answer::Deposits(logs) = &mut answer {
                    logs.pop();
                }
            }
            Trouble::Twice => question = follower.answer(request, answer.clone()),
        }
        question = follower.answer(request, answer).or(question);
    }
    while let Some((request, asked)) = question.take() {
        question = follower.answer(request, chain.answer(asked));
    }
    // A deposit that was left out is noticed by the next one.
    chain.grow(1);
    (0..4).for_each(|_| chain.grow(0));
    follower.settle(&chain);
    follower.is_consistent_with(&chain);
    true
}

#[test]
fn whatever_the_node_does_a_monitor_ends_with_the_deposits_of_its_chain() {
    // 3,000 random histories of growth, re-organisation, failure, omission and repetition.
    QuickCheck::new().tests(3_000).quickcheck(converges as fn(Vec<Trouble>) -> bool);
}

impl Follower {
    /// Checks what the monitor holds against the chain, up to the follow distance.
    fn is_consistent_with(&self, chain: &Chain) {
        let target = chain.latest() - limits().distance;
        assert_eq!(self.deposits, chain.deposits_to(target), "deposits up to block {target}");
        let mut number = target + 1 - self.monitor.followed().count() as u64;
        for at in self.monitor.followed() {
            assert_eq!(at.header, chain.header(number));
            assert_eq!(at.deposits, chain.deposits_to(number).len() as u64);
            number += 1;
        }
        assert_eq!(number, target + 1, "the window ends at the follow distance");
    }
}

/// Hands an event to a machine, for the helpers of this module.
fn effects(monitor: &mut Eth1Monitor<u64>, event: Event<u64, u64>) -> Vec<Effect<u64>> {
    monitor.handle(&PhantomData, event)
}

/// A deposit of a test is a number.
type Log = DepositLog<u64, u64>;
