//! What the contract of the ColdDB allows.
//!
//! It is told what Clearance has taken in, in that order. It commits one batch at a time, and knows
//! how the commit went before anything else happens to it. Blocks are written in the order of their
//! records. Finality is durable only after a commit, and it is one that was told before. When a
//! batch is committed, and what else it has, is left open.

use std::collections::VecDeque;

use super::links::Links;
use super::words::{Words, block_root, unknown};
use super::{Lost, Outcome, Rule, Told, ensure};

/// What is known of the ColdDB of one start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColdDb {
    /// Blocks that were recorded and not written.
    recorded: VecDeque<String>,
    /// Whether a commit is under way.
    commits: bool,
    /// The finalised checkpoints that were told, by epoch.
    told: VecDeque<(u64, String)>,
    durable: Option<u64>,
    /// Blocks whose states were asked for.
    asked: Vec<String>,
    has_failed: bool,
    /// Whether a message was lost, so that the store has a gap.
    has_gap: bool,
}

impl ColdDb {
    pub(crate) fn step(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let event = &told.event;
        let answers = event.verb == "committed";
        ensure(answers == self.commits || event.verb == "begin", Rule::Writes, || {
            let wrong = if answers { "without a commit" } else { "while a commit is under way" };
            format!("{} {wrong}", event.verb)
        })?;
        let mut whole = false;
        match event.verb {
            "begin" | "flush" | "lost" => {}
            "record" => self.record(told, links)?,
            "finalized" => {
                let words = format!("finalized {}", event.get("at")?);
                receive(&words, links)?;
                let (epoch, root) = event.checkpoint("at")?;
                self.told.push_back((epoch, root.to_owned()));
            }
            "state" => {
                let root = event.get("root")?;
                let place = self.asked.iter().position(|asked| asked == root);
                ensure(place.is_some(), Rule::Question, || {
                    format!("the state of {root} was not asked for")
                })?;
                if let Some(place) = place {
                    self.asked.remove(place);
                }
            }
            "committed" => {
                whole = event.get("whole")? == "true";
                self.commits = false;
            }
            "end" => return self.end(links),
            other => return unknown(other),
        }
        self.has_gap |= told.lost != Lost::Nothing;
        for effect in &told.effects {
            self.effect(effect, whole)?;
        }
        Ok(())
    }

    fn record(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let what = told.event.get("what")?;
        receive(&format!("record {what}"), links)?;
        if let (Some(root), Lost::Nothing) = (block_root(what), told.lost) {
            self.recorded.push_back(root.to_owned());
        }
        Ok(())
    }

    fn effect(&mut self, effect: &Words<'_>, whole: bool) -> Outcome {
        match effect.verb {
            "commit" => {
                ensure(!self.commits && !self.has_failed, Rule::Writes, || {
                    "a batch is committed after a failure, or beside another".to_owned()
                })?;
                self.commits = true;
                for root in effect.list("blocks")? {
                    // A block whose parent is not there is recorded and not written.
                    let next = self.recorded.iter().position(|recorded| recorded == root);
                    ensure(next.is_some(), Rule::Writes, || {
                        format!("{root} is written, and is not next of what was recorded")
                    })?;
                    self.recorded.drain(..=next.unwrap_or(0));
                }
                Ok(())
            }
            "ask_state" => {
                self.asked.push(effect.get("root")?.to_owned());
                Ok(())
            }
            "durable" => {
                let (epoch, root) = effect.checkpoint("at")?;
                ensure(whole, Rule::Writes, || "finality is durable without a commit".to_owned())?;
                let was_told = self.told.contains(&(epoch, root.to_owned()));
                let is_next = self.durable.is_none_or(|last| epoch > last);
                ensure(was_told && is_next, Rule::Writes, || {
                    format!("{epoch}@{root} is durable, and was not told, or comes too late")
                })?;
                self.told.retain(|(other, _)| *other > epoch);
                self.durable = Some(epoch);
                Ok(())
            }
            "failed" => {
                self.has_failed = true;
                Ok(())
            }
            other => unknown(other),
        }
    }

    /// At the end everything that was asked for has its answer, and everything that was sent is
    /// received.
    fn end(&self, links: &Links) -> Outcome {
        ensure(self.asked.is_empty() || self.has_gap, Rule::OneAnswer, || {
            format!("the state of {:?} was asked for and has no answer", self.asked)
        })?;
        let next = links.records.iter().find(|record| record.must);
        ensure(next.is_none() || links.clearance_was_cut || self.has_gap, Rule::Order, || {
            let words = next.map_or("", |record| &record.words);
            format!("{words} was sent to the ColdDB and not received")
        })
    }
}

/// Takes the next record that Clearance has sent. It may have left out what need not arrive.
fn receive(words: &str, links: &mut Links) -> Outcome {
    if !links.present.clearance {
        return Ok(());
    }
    // Of a vote by gossip and of an operation, the words of the import do not tell those of the
    // record.
    let of_kind = |sent: &str| {
        matches!(sent, "record attestation" | "record operation")
            && words.strip_prefix(sent).is_some_and(|rest| rest.starts_with(':'))
    };
    let fits = |sent: &str| sent == words || of_kind(sent);
    while links.records.front().is_some_and(|record| !fits(&record.words) && !record.must) {
        links.records.pop_front();
    }
    let next = links.records.pop_front();
    ensure(next.as_ref().is_some_and(|record| fits(&record.words)), Rule::Order, || {
        let next = next.as_ref().map_or("nothing", |record| &record.words);
        format!("{words} is received, and {next} is next of what was sent")
    })
}
