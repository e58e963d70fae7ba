//! What the contract of the Rewinder's workers allows.
//!
//! A worker takes tasks that wait, asks one question at a time, and goes on with the answer to it.
//! Each task has one answer, in the order of the tasks. A block is valid only after the HotDB has
//! acknowledged its commit. While a worker gives way, it serves other tasks from their start to
//! their end. Which tasks are taken together, and what is found of an item, is left open.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::links::{Links, Question};
use super::words::{Words, block_root, is_of_the_network, unknown};
use super::{Lost, Outcome, Rule, Told, ensure};

/// What a worker waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Awaits {
    #[default]
    Nothing,
    Trail,
    Claim,
    Proceed,
    GiveWay,
    Commit,
}

/// Tasks that a worker has in hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hand {
    /// Those without an answer, in order.
    jobs: VecDeque<String>,
    awaits: Awaits,
    /// Blocks of which the HotDB has acknowledged the commit.
    committed: BTreeSet<String>,
}

/// The workers of one start: what each has in hand, the outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rewinder(BTreeMap<u64, Vec<Hand>>);

impl Rewinder {
    pub(crate) fn step(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let hands = self.0.entry(told.thread).or_default();
        match told.event.verb {
            "begin" => return Ok(()),
            "end" => {
                return ensure(hands.is_empty(), Rule::OneAnswer, || {
                    format!("worker {} ends with tasks in hand", told.thread)
                });
            }
            "start" => {
                let gives_way = hands.last().is_none_or(|outer| outer.awaits == Awaits::GiveWay);
                ensure(gives_way, Rule::Question, || {
                    format!("worker {} starts a task before it may", told.thread)
                })?;
                hands.push(Hand { jobs: start(told, links)?, ..Hand::default() });
            }
            _ => goes_on(hands, told, links)?,
        }
        let depth = hands.len();
        let Some(hand) = hands.last_mut() else { return Ok(()) };
        hand.awaits = Awaits::Nothing;
        let mut requeued = false;
        for effect in &told.effects {
            requeued |= effect.verb == "requeue";
            hand.effect(effect, (told.thread, depth), links)?;
        }
        if hand.awaits == Awaits::Nothing {
            let is_done = hand.jobs.is_empty() || requeued || told.lost != Lost::Nothing;
            ensure(is_done, Rule::OneAnswer, || {
                format!("{} has no answer when the worker is done", hand.jobs[0])
            })?;
            // A panic is answered as a fault.
            for job in hand.jobs.drain(..).filter(|job| !requeued && is_of_the_network(job)) {
                links.add_answer(&job, "fault");
            }
            hands.pop();
        }
        Ok(())
    }
}

/// Takes tasks that wait. States and productions are asked for from elsewhere, too.
fn start(told: &Told<'_>, links: &mut Links) -> Result<VecDeque<String>, super::Refusal> {
    let mut jobs = VecDeque::new();
    for job in told.event.list("jobs")? {
        let waits = !is_of_the_network(job) || !links.present.quarantine || links.take_task(job);
        ensure(waits, Rule::Order, || format!("{job} is begun, and no such task waits"))?;
        jobs.push_back(job.to_owned());
    }
    Ok(jobs)
}

/// The event is the one that the worker waits for.
fn goes_on(hands: &mut [Hand], told: &Told<'_>, links: &mut Links) -> Outcome {
    let (event, depth) = (&told.event, hands.len());
    let Some(hand) = hands.last_mut() else {
        return ensure(false, Rule::Question, || {
            format!("worker {} goes on with no task in hand", told.thread)
        });
    };
    let fits = match event.verb {
        "trail" => hand.awaits == Awaits::Trail,
        "claimed" => hand.awaits == Awaits::Claim,
        "proceed" => matches!(hand.awaits, Awaits::Proceed | Awaits::GiveWay),
        "stop" => hand.awaits == Awaits::GiveWay,
        "committed" => hand.awaits == Awaits::Commit,
        "hot_db_gone" => matches!(hand.awaits, Awaits::Trail | Awaits::Commit),
        other => return unknown(other),
    };
    ensure(fits, Rule::Question, || {
        format!("worker {} is told {}, and awaits {:?}", told.thread, event.verb, hand.awaits)
    })?;
    if !matches!(event.verb, "trail" | "committed" | "hot_db_gone") {
        return Ok(());
    }
    let Some(question) = links.asked.remove(&(told.thread, depth)) else {
        return ensure(false, Rule::Question, || "nothing was asked of the HotDB".to_owned());
    };
    let reply = if event.verb == "hot_db_gone" { "gone" } else { event.get("reply")? };
    let is_said = links.take_reply(&question, reply);
    let is_gone = reply == "gone" && links.hot_db_is_gone;
    let is_commit = matches!(question, Question::Commit(_));
    let rule = if is_commit { Rule::CommitFirst } else { Rule::Question };
    ensure(is_said || is_gone || !links.present.hot_db, rule, || {
        format!("{question:?} is answered {reply}, and the HotDB has not said so")
    })?;
    if let (Question::Commit(root), "committed" | "already") = (question, reply) {
        hand.committed.insert(root);
    }
    Ok(())
}

impl Hand {
    fn effect(&mut self, effect: &Words<'_>, place: (u64, usize), links: &mut Links) -> Outcome {
        let awaits = match effect.verb {
            "request_trail" | "request_committees" => Awaits::Trail,
            "claim" => Awaits::Claim,
            "proceed" => Awaits::Proceed,
            "give_way" => Awaits::GiveWay,
            "commit" => Awaits::Commit,
            "answer" => return self.answer(effect.get("answer")?, links),
            "requeue" => {
                let jobs = effect.list("jobs")?;
                ensure(self.jobs.iter().eq(jobs.iter().copied()), Rule::OneAnswer, || {
                    format!("{jobs:?} are put back, and {:?} are in hand", self.jobs)
                })?;
                jobs.into_iter()
                    .filter(|job| is_of_the_network(job))
                    .for_each(|job| links.add_task(job));
                return Ok(());
            }
            "post_state" | "post_committees" | "loaded" => return Ok(()),
            other => return unknown(other),
        };
        ensure(self.awaits == Awaits::Nothing, Rule::Question, || {
            format!("a worker asks {:?} and {awaits:?} at once", self.awaits)
        })?;
        self.awaits = awaits;
        let question = match effect.verb {
            "request_trail" => {
                Question::Trail(effect.get("root")?.to_owned(), effect.number("slot")?)
            }
            "request_committees" => Question::Committees(effect.get("target")?.to_owned()),
            "commit" => {
                let root = effect.get("root")?;
                let is_own = self.jobs.front().and_then(|job| block_root(job)) == Some(root);
                ensure(is_own, Rule::CommitFirst, || {
                    format!("{root} is committed, and {:?} are in hand", self.jobs)
                })?;
                Question::Commit(root.to_owned())
            }
            _ => return Ok(()),
        };
        links.asked.insert(place, question);
        Ok(())
    }

    fn answer(&mut self, answer: &str, links: &mut Links) -> Outcome {
        let Some(job) = self.jobs.pop_front() else {
            return ensure(false, Rule::OneAnswer, || format!("{answer} answers no task"));
        };
        if let (Some(root), "valid") = (block_root(&job), answer) {
            ensure(self.committed.contains(root), Rule::CommitFirst, || {
                format!("{job} is answered valid, and its commit was not acknowledged")
            })?;
        }
        if is_of_the_network(&job) {
            links.add_answer(&job, answer);
        }
        Ok(())
    }
}
