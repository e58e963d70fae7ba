//! What the contract of the HotDB allows.
//!
//! Each question has one answer, in its step. A trail leads to a block that was committed, and a
//! block is committed on a parent that was. The finalised block and its descendants stay; whether
//! and when the others go is left open, and so is what is full and what is stale.

use std::collections::BTreeSet;

use super::links::{Links, Question};
use super::words::{checkpoint, unknown};
use super::{Lost, Outcome, Rule, Told, ensure};

/// What is known of the HotDB of one start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HotDb {
    /// Blocks that were committed, or there from the beginning.
    committed: BTreeSet<String>,
    /// The block whose descendants stay: the last finalised one.
    keeps: Option<String>,
}

impl HotDb {
    pub(crate) fn step(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let event = &told.event;
        let question = match event.verb {
            "begin" => {
                for (root, parent) in event.blocks("known")? {
                    self.committed.insert(root.to_owned());
                    links.parents.insert(root.to_owned(), parent.to_owned());
                }
                return Ok(());
            }
            "end" => {
                let was_cut = std::mem::replace(&mut links.hot_db_is_gone, true);
                return Self::end(was_cut || links.clearance_was_cut, links);
            }
            "trail" => Question::Trail(event.get("root")?.to_owned(), event.number("slot")?),
            "committees" => Question::Committees(event.get("target")?.to_owned()),
            "commit" => Question::Commit(event.get("root")?.to_owned()),
            "prune" => return self.prune(told, links),
            "post_state" | "post_committees" => {
                self.lost(told, links);
                return ensure(told.effects.is_empty(), Rule::Store, || {
                    "an answer to what asks nothing".to_owned()
                });
            }
            other => return unknown(other),
        };
        self.lost(told, links);
        let answer = match (told.effects.as_slice(), told.lost) {
            ([answer], Lost::Nothing) => answer.get("reply")?,
            ([], Lost::Message | Lost::Machine) => "gone",
            (effects, _) => {
                return ensure(false, Rule::OneAnswer, || {
                    format!("{question:?} has {} answers", effects.len())
                });
            }
        };
        if answer != "gone" {
            self.check(told, &question, answer, links)?;
        }
        if links.present.rewinder {
            let words = format!("{question:?} was not asked, or is answered twice");
            ensure(links.reply(question, answer), Rule::Question, || words)?;
        }
        Ok(())
    }

    fn lost(&mut self, told: &Told<'_>, links: &mut Links) {
        links.hot_db_is_gone |= told.lost == Lost::Machine;
    }

    /// Returns whether a block must be there.
    fn stays(&self, root: &str, links: &Links) -> bool {
        let kept = self.keeps.as_deref();
        self.committed.contains(root) && kept.is_none_or(|kept| links.descends(root, kept))
    }

    fn check(
        &mut self,
        told: &Told<'_>,
        question: &Question,
        answer: &str,
        links: &mut Links,
    ) -> Outcome {
        let refuted = |why: String| ensure(false, Rule::Store, || why);
        match question {
            Question::Trail(root, _) => self.found(root, answer, links),
            Question::Committees(target) => {
                let (_, root) = checkpoint("target", target)?;
                self.found(root, answer, links)
            }
            Question::Commit(root) => {
                let parent = told.event.get("parent")?;
                links.parents.entry(root.clone()).or_insert_with(|| parent.to_owned());
                let (was, has_parent) =
                    (self.committed.contains(root), self.committed.contains(parent));
                let (stays, parent_stays) = (self.stays(root, links), self.stays(parent, links));
                match answer {
                    "committed" if stays => refuted(format!("{root} is committed again")),
                    "committed" if !has_parent => {
                        refuted(format!("{root} is committed without its parent {parent}"))
                    }
                    "already" if !was => refuted(format!("{root} was not committed before")),
                    "unknown_parent" | "pruned" if parent_stays => {
                        refuted(format!("the parent {parent} of {root} is there"))
                    }
                    "committed" => {
                        self.committed.insert(root.clone());
                        Ok(())
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// The answer says that the block is there if it must be, and only if it may be.
    fn found(&self, root: &str, answer: &str, links: &Links) -> Outcome {
        let is_missing = matches!(answer, "unknown_parent" | "pruned");
        ensure(is_missing || self.committed.contains(root), Rule::Store, || {
            format!("{root} is answered {answer}, and was not committed")
        })?;
        ensure(!is_missing || !self.stays(root, links), Rule::Store, || {
            format!("{root} is answered {answer}, and was committed")
        })
    }

    fn prune(&mut self, told: &Told<'_>, links: &mut Links) -> Outcome {
        let event = &told.event;
        let keep = event.get("finalized")?;
        let words = format!("{keep} {} {}", event.get("justified")?, event.get("head")?);
        if links.present.clearance {
            let next = links.prunes.pop_front();
            ensure(next.as_ref() == Some(&words), Rule::Order, || {
                format!("it is told to keep {words}, and {next:?} is next of what was sent")
            })?;
        }
        self.lost(told, links);
        if told.lost == Lost::Nothing {
            let (_, root) = event.checkpoint("finalized")?;
            self.keeps = Some(root.to_owned());
        }
        Ok(())
    }

    fn end(was_cut: bool, links: &Links) -> Outcome {
        let next = links.prunes.front();
        ensure(next.is_none() || was_cut, Rule::Order, || {
            format!("{next:?} was sent to the HotDB and not received")
        })
    }
}
