//! What is under way between the services.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::threads::Present;

/// A question of a worker to the HotDB, in the words of the HotDB's event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// A trail: root and slot.
    Trail(String, u64),
    /// Committees of a target.
    Committees(String),
    /// The commit of a block.
    Commit(String),
}

/// What Clearance says of an import: the item, and what is finalised after it, or that the import
/// is lost.
pub(crate) type Receipt = (String, Option<String>);

/// A record on its way to the ColdDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) words: String,
    /// Whether it must arrive. Clearance may leave out what changes nothing after a restart.
    pub(crate) must: bool,
}

/// Messages that were sent and not received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) present: Present,
    /// Tasks for the Rewinder, by item: how many wait.
    pub(crate) tasks: BTreeMap<String, u64>,
    /// What the Rewinder has answered, by item.
    pub(crate) answers: BTreeMap<String, Vec<String>>,
    /// Questions of the workers without a reply yet taken, by worker and by the depth of its tasks.
    pub(crate) asked: BTreeMap<(u64, usize), Question>,
    /// Replies of the HotDB that no worker has taken yet; `gone` for a question that it has lost.
    /// Workers that have asked the same may take each other's reply.
    pub(crate) replies: BTreeMap<Question, Vec<String>>,
    /// Imports for Clearance.
    pub(crate) imports: VecDeque<String>,
    /// Clearance's answers for the Quarantine.
    pub(crate) receipts: VecDeque<Receipt>,
    /// What the HotDB is to keep, from Clearance.
    pub(crate) prunes: VecDeque<String>,
    /// Records and finality for the ColdDB, from Clearance.
    pub(crate) records: VecDeque<Recorded>,
    /// The parent of each block that was submitted.
    pub(crate) parents: BTreeMap<String, String>,
    /// Blocks that Clearance has.
    pub(crate) imported: BTreeSet<String>,
    /// Whether the Quarantine's machine was lost: its successor knows nothing of slots, and may
    /// leave an import out.
    pub(crate) quarantine_was_lost: bool,
    /// Whether Clearance is gone, or its machine is lost.
    pub(crate) clearance_is_gone: bool,
    /// Whether Clearance's machine was lost: what it was about to send was not sent.
    pub(crate) clearance_was_cut: bool,
    /// Whether the HotDB is gone, or its machine is lost.
    pub(crate) hot_db_is_gone: bool,
}

impl Links {
    /// Returns whether a block is `root` or descends from it, by the parents that are known.
    pub(crate) fn descends(&self, block: &str, root: &str) -> bool {
        let mut at = block;
        // The loop is bounded: a block that was submitted as its own ancestor ends it.
        for _ in 0..=self.parents.len() {
            if at == root {
                return true;
            }
            match self.parents.get(at) {
                Some(parent) if parent != at => at = parent,
                _ => return false,
            }
        }
        false
    }

    /// Takes one task for an item out; returns whether there was one.
    pub(crate) fn take_task(&mut self, what: &str) -> bool {
        let Some(count) = self.tasks.get_mut(what) else { return false };
        *count -= 1;
        if *count == 0 {
            self.tasks.remove(what);
        }
        true
    }

    pub(crate) fn add_task(&mut self, what: &str) {
        *self.tasks.entry(what.to_owned()).or_default() += 1;
    }

    /// Adds the reply to a question; returns whether a worker has asked it and has no reply.
    pub(crate) fn reply(&mut self, question: Question, reply: &str) -> bool {
        let asked = self.asked.values().filter(|asked| **asked == question).count();
        let replies = self.replies.entry(question).or_default();
        replies.push(reply.to_owned());
        replies.len() <= asked
    }

    /// Takes a reply to a question out; returns whether it was given.
    pub(crate) fn take_reply(&mut self, question: &Question, reply: &str) -> bool {
        let Some(given) = self.replies.get_mut(question) else { return false };
        let Some(place) = given.iter().position(|one| one == reply) else { return false };
        given.remove(place);
        if given.is_empty() {
            self.replies.remove(question);
        }
        true
    }

    /// Takes an answer for an item out; returns whether it was given.
    pub(crate) fn take_answer(&mut self, what: &str, answer: &str) -> bool {
        let Some(given) = self.answers.get_mut(what) else { return false };
        let Some(place) = given.iter().position(|one| one == answer) else { return false };
        given.remove(place);
        if given.is_empty() {
            self.answers.remove(what);
        }
        true
    }

    pub(crate) fn add_answer(&mut self, what: &str, answer: &str) {
        self.answers.entry(what.to_owned()).or_default().push(answer.to_owned());
    }
}
