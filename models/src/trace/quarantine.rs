//! What the contract of the Quarantine allows.
//!
//! Each submission is held until its verdict. What is handed on to be checked is an item that is
//! held, and all that it builds on is imported. Of a request there is one answer and, if that says
//! valid, at most one hand-over to Clearance, in the same step. The submission is accepted once
//! Clearance has taken the item in. Everything else (what waits, what is refused without a check,
//! and in which order) is left open.

use std::collections::{BTreeMap, BTreeSet};

use super::links::Links;
use super::words::{Words, block_root, checkpoint, unknown};
use super::{Lost, Outcome, Rule, Told, ensure};

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Checking,
    /// The answer was lost by a panic, and a fault takes its place.
    Excused,
    Clearing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    what: String,
    stage: Stage,
}

/// What is known of the Quarantine of one start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quarantine {
    window: u64,
    room: u64,
    /// Items without a verdict, by number.
    held: BTreeMap<u64, String>,
    /// The items that were numbered below this are all known to have been submitted, or will be.
    seen: Numbers,
    requests: BTreeMap<u64, Request>,
    last_request: Option<u64>,
    /// Blocks that the Quarantine has been told of.
    known: BTreeSet<String>,
    /// Items that Clearance has taken in, as the Quarantine was told.
    imported: BTreeSet<String>,
    /// A tick that a panic took, which the machine is told again.
    lost_tick: Option<String>,
    submissions: u64,
    verdicts: u64,
    /// Whether the machine was lost in the step before: what Clearance has is known after it.
    rebuilt: bool,
}

/// Numbers that were used, as ranges, since they come nearly in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Numbers {
    below: u64,
    above: BTreeSet<u64>,
}

impl Numbers {
    /// Returns whether the number is new.
    fn add(&mut self, number: u64) -> bool {
        let is_new = number >= self.below && self.above.insert(number);
        while self.above.remove(&self.below) {
            self.below += 1;
        }
        is_new
    }
}

impl Quarantine {
    pub(crate) fn submissions(&self) -> u64 {
        self.submissions
    }

    pub(crate) fn verdicts(&self) -> u64 {
        self.verdicts
    }

    pub(crate) fn step(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        if std::mem::take(&mut self.rebuilt) {
            self.known.extend(links.imported.iter().cloned());
        }
        let event = &told.event;
        let mut answered = None;
        match event.verb {
            "begin" => {
                (self.window, self.room) = (event.number("window")?, event.number("submissions")?);
                self.known = links.imported.clone();
            }
            "submit" => self.submit(told, links)?,
            "answered" => answered = Some(self.answered(told, links)?),
            "imported" => self.imported(told, links)?,
            "not_imported" => self.not_imported(told, links)?,
            "tick" => self.tick(told, links)?,
            "end" => return self.end(),
            "payload" | "weigh" | "stop" => {}
            other => return unknown(other),
        }
        if told.lost == Lost::Machine {
            // The ends of all verdicts are dropped, and the successor knows none of the requests.
            self.held.clear();
            links.quarantine_was_lost = true;
            self.rebuilt = true;
        }
        for effect in &told.effects {
            self.effect(effect, answered, links)?;
        }
        let checking = self.requests.values().filter(|one| one.stage == Stage::Checking).count();
        ensure(checking as u64 <= self.window || links.quarantine_was_lost, Rule::Window, || {
            format!("{checking} requests are under way, and the window is {}", self.window)
        })?;
        ensure(self.held.len() as u64 <= self.room, Rule::Window, || {
            format!("{} submissions are held, of {} that may be", self.held.len(), self.room)
        })
    }

    fn submit(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let event = &told.event;
        let (item, what) = (event.number("item")?, event.get("what")?);
        ensure(self.seen.add(item), Rule::OneVerdict, || format!("item {item} comes again"))?;
        self.submissions += 1;
        if let (Some(root), Some(parent)) = (block_root(what), event.find("parent")) {
            links.parents.entry(root.to_owned()).or_insert_with(|| parent.to_owned());
        }
        if told.lost == Lost::Nothing {
            self.held.insert(item, what.to_owned());
        }
        Ok(())
    }

    /// Takes the answer to a request; returns the request and whether the answer is "valid".
    fn answered(
        &mut self,
        told: &Told<'_>,
        links: &mut Links,
    ) -> Result<(u64, bool), super::Refusal> {
        let (number, answer) = (told.event.number("request")?, told.event.get("answer")?);
        let request = self.requests.get_mut(&number);
        let Some(request) = request.filter(|one| one.stage != Stage::Clearing) else {
            ensure(false, Rule::OneAnswer, || format!("request {number} awaits no answer"))?;
            return Ok((number, false));
        };
        let what = request.what.clone();
        if request.stage == Stage::Excused {
            ensure(answer == "fault", Rule::Fault, || {
                format!("the answer to request {number} was lost, and it is told {answer}")
            })?;
        } else if links.present.rewinder && !links.take_answer(&what, answer) {
            // The queue itself answers for a task that no worker has.
            let by_the_queue = matches!(answer, "busy" | "refused" | "fault");
            ensure(by_the_queue && links.take_task(&what), Rule::OneAnswer, || {
                format!("{what} is answered {answer}, and the Rewinder has not said so")
            })?;
        }
        let request = self.requests.get_mut(&number).map(|one| &mut one.stage);
        match (told.lost, request) {
            (Lost::Message, Some(stage)) => *stage = Stage::Excused,
            _ => drop(self.requests.remove(&number)),
        }
        let is_valid = answer == "valid";
        if told.lost == Lost::Nothing {
            self.check_verdicts(told, &what, answer)?;
        }
        if is_valid && told.lost == Lost::Nothing {
            // It is open whether the item goes on: finality may have passed it.
            let stage = Stage::Clearing;
            self.requests.insert(number, Request { what, stage });
        }
        Ok((number, is_valid))
    }

    /// The verdicts of a step in which an item was not found valid fit the answer.
    fn check_verdicts(&self, told: &Told<'_>, what: &str, answer: &str) -> Outcome {
        for effect in told.effects.iter().filter(|effect| effect.verb == "verdict") {
            let is_of_item = self.held.get(&effect.number("item")?).is_some_and(|one| one == what);
            let class = effect.get("class")?;
            let fits = match answer {
                "fault" | "busy" | "refused" | "full" => class == "dropped",
                "unknown_parent" | "pruned" | "stale" | "too_far" | "invalid" => class != "valid",
                _ => true,
            };
            ensure(fits || !is_of_item, Rule::Fault, || {
                format!("{what} was answered {answer}, and its verdict is {class}")
            })?;
        }
        Ok(())
    }

    fn imported(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let (request, finalized) = (told.event.get("request")?, told.event.get("finalized")?);
        checkpoint("finalized", finalized)?;
        let receipt = (links.present.clearance).then(|| links.receipts.pop_front()).flatten();
        let number = if request == "-" { None } else { Some(told.event.number("request")?) };
        let own = number.and_then(|number| self.requests.get(&number).cloned());
        if number.is_some() {
            let clearing = own.as_ref().is_some_and(|one| one.stage == Stage::Clearing);
            ensure(clearing, Rule::Order, || format!("request {request} is not with Clearance"))?;
        }
        if links.present.clearance {
            let is_said = receipt.as_ref().is_some_and(|(what, said)| {
                let is_same = match &own {
                    Some(own) => *what == own.what,
                    None => what.starts_with("tick:") || what.starts_with("payload:"),
                };
                is_same && said.as_deref() == Some(finalized)
            });
            ensure(is_said, Rule::Order, || {
                format!(
                    "request {request} is told as taken in, {finalized} being final; {receipt:?} is next"
                )
            })?;
        }
        let (Some(number), Some(own)) = (number, own) else { return Ok(()) };
        if told.lost == Lost::Message {
            self.requests.insert(number, Request { stage: Stage::Excused, ..own });
            return Ok(());
        }
        self.requests.remove(&number);
        self.known.extend(block_root(&own.what).map(str::to_owned));
        self.imported.insert(own.what);
        Ok(())
    }

    fn not_imported(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let number = told.event.number("request")?;
        let Some(own) = self.requests.get(&number).cloned() else {
            return ensure(false, Rule::OneAnswer, || format!("request {number} awaits nothing"));
        };
        if own.stage == Stage::Clearing && links.present.clearance {
            let is_lost = links.receipts.front() == Some(&(own.what.clone(), None));
            if is_lost {
                links.receipts.pop_front();
            }
            // Clearance cannot say so once it is gone, and a successor may have no slot to hear it.
            let may_be = is_lost || links.clearance_is_gone || links.quarantine_was_lost;
            ensure(may_be, Rule::Order, || {
                format!("request {number} is told as lost, and Clearance has not lost it")
            })?;
        }
        if told.lost == Lost::Message {
            self.requests.insert(number, Request { stage: Stage::Excused, ..own });
        } else {
            self.requests.remove(&number);
        }
        Ok(())
    }

    /// Clearance is told the time before what the time releases. A tick that a panic took is told
    /// to the machine once more, and to Clearance once.
    fn tick(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let slot = told.event.get("slot")?;
        let again = self.lost_tick.take().is_some_and(|lost| lost == slot);
        if !again && told.lost != Lost::Machine {
            links.imports.push_back(format!("tick:{slot}"));
        }
        self.lost_tick = (told.lost == Lost::Message).then(|| slot.to_owned());
        Ok(())
    }

    fn effect(
        &mut self,
        effect: &Words<'_>,
        answered: Option<(u64, bool)>,
        links: &mut Links,
    ) -> Outcome {
        match effect.verb {
            "check" | "check_at_head" => self.check(effect, links),
            "clear" => {
                let (number, what) = (effect.number("request")?, effect.get("what")?);
                let own = self.requests.get(&number).map(|one| one.what.as_str());
                let is_now = answered == Some((number, true)) && own == Some(what);
                ensure(is_now, Rule::OneAnswer, || {
                    format!("{what} goes to Clearance, and request {number} was not answered valid")
                })?;
                links.imports.push_back(what.to_owned());
                Ok(())
            }
            "clear_payload" => {
                links.imports.push_back(format!("payload:{}", effect.get("root")?));
                Ok(())
            }
            "verdict" => self.verdict(effect, links),
            "parked" => {
                let item = effect.number("item")?;
                ensure(self.held.contains_key(&item), Rule::OneVerdict, || {
                    format!("item {item} waits, and is not held")
                })
            }
            "need" | "need_payload" => Ok(()),
            other => unknown(other),
        }
    }

    fn check(&mut self, effect: &Words<'_>, links: &mut Links) -> Outcome {
        let (number, what) = (effect.number("request")?, effect.get("what")?);
        let is_new = self.last_request.is_none_or(|last| number > last);
        ensure(is_new, Rule::OneAnswer, || format!("request {number} was made before"))?;
        self.last_request = Some(number);
        let is_held = self.held.values().any(|one| one == what);
        ensure(is_held, Rule::OneVerdict, || format!("{what} is checked, and is not held"))?;
        let target =
            effect.find("target").map(|target| checkpoint("target", target)).transpose()?;
        let needs = [effect.find("parent"), effect.find("head"), target.map(|(_, root)| root)];
        let missing = needs.into_iter().flatten().find(|root| !self.known.contains(*root));
        ensure(missing.is_none() || !links.present.clearance, Rule::ParentFirst, || {
            format!("{what} is checked, and {} is not imported", missing.unwrap_or(""))
        })?;
        let request = Request { what: what.to_owned(), stage: Stage::Checking };
        self.requests.insert(number, request);
        links.add_task(what);
        Ok(())
    }

    fn verdict(&mut self, effect: &Words<'_>, links: &Links) -> Outcome {
        let (item, class) = (effect.number("item")?, effect.get("class")?);
        let what = self.held.remove(&item);
        ensure(what.is_some(), Rule::OneVerdict, || {
            format!("item {item} has a verdict, {class}, and is not held")
        })?;
        self.verdicts += 1;
        let is_in = what.is_some_and(|what| self.imported.contains(&what));
        let may_be = class != "valid" || is_in || !links.present.clearance;
        ensure(may_be, Rule::ImportFirst, || {
            format!("item {item} is accepted, and Clearance has not taken it in")
        })
    }

    fn end(&self) -> Outcome {
        let held = self.held.keys().next();
        ensure(held.is_none(), Rule::OneVerdict, || {
            format!("item {} has no verdict at the end", held.unwrap_or(&0))
        })
    }
}
