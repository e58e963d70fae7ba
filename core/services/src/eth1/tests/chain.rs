//! A chain of the execution layer, and a monitor whose effects are carried out.

use super::super::{
    Answer, BlockHeader, DepositLog, Effect, Eth1Monitor, Event, Failure, Limits, Question,
};
use super::{Log, effects};

/// Blocks whose hash is a number that no other block ever has.
pub(super) struct Chain {
    blocks: Vec<(u64, Vec<u64>)>,
    fresh: u64,
}

/// A distance of 4, a window of 8 blocks, batches of 3, ranges of 5.
pub(super) fn limits() -> Limits {
    Limits {
        start: 0,
        distance: 4,
        window: 8,
        batch: 3,
        range: 5,
        pause_ms: 10,
        longest_pause_ms: 100,
    }
}

impl Chain {
    /// Returns a chain of one block without deposits, number 0.
    pub(super) fn new() -> Self {
        Self { blocks: vec![(1, Vec::new())], fresh: 1 }
    }

    /// Appends a block with new deposits.
    pub(super) fn grow(&mut self, deposits: usize) {
        self.fresh += 1;
        let hash = self.fresh;
        let deposits = (0..deposits as u64).map(|number| hash * 100 + number).collect();
        self.blocks.push((hash, deposits));
    }

    /// Replaces the last `depth` blocks, never the first, by others with so many deposits.
    pub(super) fn replace(&mut self, depth: usize, deposits: &[usize]) {
        self.blocks.truncate((self.blocks.len() - depth.min(self.blocks.len() - 1)).max(1));
        deposits.iter().for_each(|count| self.grow(*count));
    }

    pub(super) fn latest(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    pub(super) fn deposits_to(&self, number: u64) -> Vec<u64> {
        self.blocks[..=number as usize].iter().flat_map(|(_, deposits)| deposits.clone()).collect()
    }

    pub(super) fn header(&self, number: u64) -> BlockHeader<u64> {
        let place = number as usize;
        let parent = place.checked_sub(1).map_or(0, |before| self.blocks[before].0);
        BlockHeader { number, hash: self.blocks[place].0, parent, timestamp: 14 * number }
    }

    /// Answers a question by the chain as it is now.
    pub(super) fn answer(&self, question: Question) -> Answer<u64, u64> {
        match question {
            Question::Latest => Answer::Latest(self.latest()),
            Question::Header(number) if number <= self.latest() => {
                Answer::Header(self.header(number))
            }
            Question::Header(_) => Answer::Failed,
            Question::Deposits { from, to } => Answer::Deposits(self.logs(from, to)),
        }
    }

    fn logs(&self, from: u64, to: u64) -> Vec<Log> {
        let mut logs = Vec::new();
        let mut index = 0;
        for (number, (hash, deposits)) in (0..).zip(&self.blocks) {
            for deposit in deposits {
                if (from..=to).contains(&number) {
                    logs.push(DepositLog { number, hash: *hash, index, deposit: *deposit });
                }
                index += 1;
            }
        }
        logs
    }
}

/// A monitor, and what its effects come to.
pub(super) struct Follower {
    pub(super) monitor: Eth1Monitor<u64>,
    pub(super) deposits: Vec<u64>,
    pub(super) failures: Vec<Failure>,
    pub(super) asked: Vec<Question>,
    pub(super) pause_ms: u64,
}

impl Follower {
    pub(super) fn new(limits: Limits) -> Self {
        let monitor = Eth1Monitor::new(limits).expect("limits that can be");
        let (deposits, failures, asked) = (Vec::new(), Vec::new(), Vec::new());
        Self { monitor, deposits, failures, asked, pause_ms: 0 }
    }

    pub(super) fn poll(&mut self) -> Option<(u64, Question)> {
        self.handle(Event::Poll)
    }

    pub(super) fn answer(
        &mut self,
        request: u64,
        answer: Answer<u64, u64>,
    ) -> Option<(u64, Question)> {
        self.handle(Event::Answered { request, answer })
    }

    /// Carries the effects out and returns what is asked.
    pub(super) fn handle(&mut self, event: Event<u64, u64>) -> Option<(u64, Question)> {
        let mut asks = None;
        for effect in effects(&mut self.monitor, event) {
            match effect {
                Effect::Ask { request, question } => {
                    assert_eq!(asks, None, "one request is under way at most");
                    self.asked.push(question);
                    asks = Some((request, question));
                }
                Effect::Rest { pause_ms } => self.pause_ms = pause_ms,
                Effect::Truncate(count) => {
                    assert!(count < self.deposits.len() as u64, "less than before");
                    self.deposits.truncate(count as usize);
                }
                Effect::Append(deposits) => self.deposits.extend(deposits),
                Effect::Failed(failure) => self.failures.push(failure),
            }
        }
        assert_eq!(self.monitor.deposits(), self.deposits.len() as u64);
        assert!(self.monitor.followed().count() <= 8, "the window is bounded");
        asks
    }

    /// Answers all questions, and polls until nothing is new and nothing fails.
    pub(super) fn settle(&mut self, chain: &Chain) {
        for _ in 0..64 {
            let (failures, asked) = (self.failures.len(), self.asked.len());
            let mut question = self.poll();
            while let Some((request, asked)) = question {
                question = self.answer(request, chain.answer(asked));
            }
            if self.failures.len() == failures && self.asked.len() == asked + 1 {
                return;
            }
        }
        panic!("the monitor does not settle: {:?}", self.failures);
    }
}
