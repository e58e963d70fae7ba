//! What the contract of Clearance allows.
//!
//! It takes in what the Quarantine sends, each once and in that order, and says so of each. Its head
//! is a block that it has, and changes from the one before. Finality moves forward, and what the
//! HotDB is told to keep is what is final. Balances and spent operations come after they were asked
//! for. Which block is the head, and which offences are found, is left open.

use std::collections::BTreeMap;

use super::links::{Links, Recorded};
use super::words::{block_root, unknown};
use super::{Lost, Outcome, Rule, Told, ensure};

/// What is known of the Clearance of one start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clearance {
    head: String,
    finalized: String,
    finalized_epoch: u64,
    justified_epoch: u64,
    records: bool,
    /// Questions that were asked of the Rewinder, in the words of the event that answers them.
    asked: BTreeMap<String, u64>,
    blocks: u64,
}

impl Clearance {
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    pub(crate) fn step(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let event = &told.event;
        let mut what = None;
        match event.verb {
            "begin" => self.begin(told, links)?,
            "import" => what = Some(Self::import(event.get("what")?, links)?),
            "balances" => self.answer(format!("balances {}", event.get("of")?), told.lost)?,
            "spent" => {
                self.answer("spent".to_owned(), told.lost)?;
                self.spent(event.number("count")?, told.lost, links);
            }
            "detection" => {}
            "end" => return self.end(links),
            other => return unknown(other),
        }
        if told.lost == Lost::Machine {
            links.clearance_is_gone = true;
            links.clearance_was_cut = true;
        }
        let is_refused = told.effects.iter().any(|effect| effect.verb == "not_imported");
        if let Some(what) = &what {
            let is_tick = what.starts_with("tick:");
            if told.lost == Lost::Message && is_tick {
                // The machine is told the time again.
                links.imports.push_front(what.clone());
            } else if told.lost == Lost::Nothing && !is_refused {
                self.take_in(what, links);
            }
        }
        self.found(told, links);
        for effect in &told.effects {
            self.effect(effect, links)?;
        }
        if let Some(what) = what {
            self.receipt(what, told.lost, is_refused, links);
        }
        self.check_prunes(told)
    }

    fn begin(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let event = &told.event;
        let finalized = event.get("finalized")?;
        (self.finalized_epoch, _) = event.checkpoint("finalized")?;
        self.head = event.get("head")?.to_owned();
        self.finalized = finalized.to_owned();
        self.records = event.get("records")? == "true";
        for (root, parent) in event.blocks("known")? {
            links.imported.insert(root.to_owned());
            links.parents.insert(root.to_owned(), parent.to_owned());
        }
        Ok(())
    }

    /// Takes the next import. A successor of the Quarantine may have had no slot for one, and then
    /// has not sent it.
    fn import(what: &str, links: &mut Links) -> Result<String, super::Refusal> {
        if links.present.quarantine {
            if links.quarantine_was_lost {
                while links.imports.front().is_some_and(|next| next != what) {
                    links.imports.pop_front();
                }
            }
            let next = links.imports.pop_front();
            ensure(next.as_deref() == Some(what), Rule::Order, || {
                let next = next.as_deref().unwrap_or("nothing");
                format!("{what} is taken in, and {next} is next of what was sent")
            })?;
        }
        Ok(what.to_owned())
    }

    fn answer(&mut self, question: String, lost: Lost) -> Outcome {
        let asked = self.asked.get_mut(&question).filter(|count| **count > 0);
        let Some(count) = asked else {
            return ensure(false, Rule::Question, || format!("{question} was not asked for"));
        };
        // If the message is lost, the machine is told so in its place.
        *count -= u64::from(lost != Lost::Message);
        Ok(())
    }

    /// Notes what was taken in, and the record of it, which goes to the ColdDB before all else.
    fn take_in(&mut self, what: &str, links: &mut Links) {
        if let Some(root) = block_root(what) {
            self.blocks += u64::from(links.imported.insert(root.to_owned()));
        }
        if !self.records {
            return;
        }
        let words = match what.split_once(':').map_or(what, |(kind, _)| kind) {
            "vote" => "attestation".to_owned(),
            "operation" => "operation".to_owned(),
            "block" | "attestation" | "tick" => what.to_owned(),
            // Payloads and votes on them are of no use after a restart.
            _ => return,
        };
        let final_root = self.finalized.split_once('@').map_or("", |(_, root)| root);
        let lives = block_root(what).is_some_and(|root| links.descends(root, final_root));
        let must = lives || what.starts_with("tick:");
        if block_root(what).is_some() || words == "operation" {
            // What an attester slashing proves that is new goes before it or its block.
            let words = "record equivocation".to_owned();
            links.records.push_back(Recorded { words, must: false });
        }
        links.records.push_back(Recorded { words: format!("record {words}"), must });
    }

    /// Notes the record of operations that are spent, if there are any.
    fn spent(&self, count: u64, lost: Lost, links: &mut Links) {
        if self.records && count > 0 && lost == Lost::Nothing {
            links
                .records
                .push_back(Recorded { words: format!("record spent:{count}"), must: true });
        }
    }

    /// Notes the records of the operations that prove the offences of a step, which go before what
    /// else follows from it. The pool may have no room for one.
    fn found(&self, told: &Told<'_>, links: &mut Links) {
        let proves = |verb: &str| matches!(verb, "equivocation" | "double_vote" | "surround_vote");
        if self.records {
            for _ in told.effects.iter().filter(|effect| proves(effect.verb)) {
                let words = "record operation".to_owned();
                links.records.push_back(Recorded { words, must: false });
            }
        }
    }

    fn effect(&mut self, effect: &super::Words<'_>, links: &mut Links) -> Outcome {
        match effect.verb {
            "prune" => {
                let (keep, justified) = (effect.get("finalized")?, effect.get("justified")?);
                let head = effect.get("head")?;
                links.prunes.push_back(format!("{keep} {justified} {head}"));
            }
            "request_balances" => {
                let question = format!("balances {}", effect.get("of")?);
                *self.asked.entry(question).or_default() += 1;
            }
            "request_spent" => *self.asked.entry("spent".to_owned()).or_default() += 1,
            "head" => {
                let (old, new) = (effect.get("old")?, effect.get("new")?);
                ensure(old == self.head && old != new, Rule::Chain, || {
                    format!("the head changes from {old} to {new}, and was {}", self.head)
                })?;
                ensure(links.imported.contains(new), Rule::Chain, || {
                    format!("the head is {new}, which was not taken in")
                })?;
                new.clone_into(&mut self.head);
            }
            "justified" => {
                let (epoch, _) = effect.checkpoint("at")?;
                ensure(epoch >= self.justified_epoch, Rule::Chain, || {
                    format!("epoch {epoch} is justified after epoch {}", self.justified_epoch)
                })?;
                self.justified_epoch = epoch;
            }
            "finalized" => {
                let (epoch, root) = effect.checkpoint("at")?;
                ensure(epoch > self.finalized_epoch, Rule::Chain, || {
                    format!("epoch {epoch} is final after epoch {}", self.finalized_epoch)
                })?;
                ensure(links.imported.contains(root), Rule::Chain, || {
                    format!("{root} is final, and was not taken in")
                })?;
                self.finalized_epoch = epoch;
                effect.get("at")?.clone_into(&mut self.finalized);
                if self.records {
                    let words = format!("finalized {}", self.finalized);
                    links.records.push_back(Recorded { words, must: true });
                }
            }
            "equivocation" | "double_vote" | "surround_vote" | "detection" | "not_imported" => {}
            other => return unknown(other),
        }
        Ok(())
    }

    /// What Clearance says of an import, to the Quarantine. Of a lost tick it says nothing.
    fn receipt(&self, what: String, lost: Lost, is_refused: bool, links: &mut Links) {
        let has_request = !what.starts_with("tick:") && !what.starts_with("payload:");
        if lost == Lost::Nothing && !is_refused {
            links.receipts.push_back((what, Some(self.finalized.clone())));
        } else if has_request {
            links.receipts.push_back((what, None));
        }
    }

    fn check_prunes(&self, told: &Told<'_>) -> Outcome {
        for effect in told.effects.iter().filter(|effect| effect.verb == "prune") {
            let keep = effect.get("finalized")?;
            ensure(keep == self.finalized, Rule::Chain, || {
                format!("the HotDB is to keep {keep}, and {} is final", self.finalized)
            })?;
        }
        Ok(())
    }

    /// At the end everything that was asked for has its answer, and everything that was sent is
    /// received, unless Clearance ends because its machine
    /// is lost.
    fn end(&self, links: &mut Links) -> Outcome {
        links.clearance_is_gone = true;
        let open = self.asked.iter().find(|(_, count)| **count > 0);
        ensure(open.is_none() || links.clearance_was_cut, Rule::OneAnswer, || {
            format!("{} was asked for and has no answer", open.map_or("", |(question, _)| question))
        })?;
        let next = links.imports.front();
        let may_be = next.is_none() || links.clearance_was_cut || links.quarantine_was_lost;
        ensure(may_be, Rule::Order, || {
            format!("{} was sent to Clearance and not received", next.map_or("", String::as_str))
        })
    }
}
