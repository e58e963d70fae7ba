//! Whether a trace of the services is a behaviour of their specification.
//!
//! **Contract.** [`Judge`] takes the steps of a trace ([`blocksmith::trace`]) one after the other,
//! and answers with the first one that no behaviour of the specification has at that place. The
//! specification is stated here once more, from the contracts of the services and not from their
//! machines: small acceptors, one for each service, which allow whatever the contract leaves open.
//! What a message carries is matched by identity (a root, a request's number, a checkpoint) with
//! what its sender's steps have sent before: a message is received after it was sent, once, and in
//! the order of sending where one thread sends to one mailbox.
//!
//! A service without a thread in the trace is the environment: what comes from it is taken as it
//! comes. So a pair of services can be judged alone.
//!
//! | rule | what it says |
//! |---|---|
//! | [`Rule::Numbers`] | the steps of a thread have the numbers from 0, without a gap, and its lives are counted |
//! | [`Rule::Lifecycle`] | threads begin from the bottom up and end from the top down |
//! | [`Rule::OneVerdict`] | each submission has exactly one verdict, and none after it |
//! | [`Rule::Window`] | no more requests are under way, and no more submissions held, than the limits say |
//! | [`Rule::ParentFirst`] | an item is handed on to be checked only when Clearance has what it builds on |
//! | [`Rule::OneAnswer`] | a request has one answer, which the Rewinder has given to that item |
//! | [`Rule::CommitFirst`] | a block is answered valid only after the HotDB has acknowledged its commit |
//! | [`Rule::ImportFirst`] | an item is accepted only when Clearance has taken it in |
//! | [`Rule::Fault`] | what failed on our side is no item's rejection |
//! | [`Rule::Order`] | what one thread sends to one mailbox arrives once and in order |
//! | [`Rule::Question`] | a worker asks one question at a time, and goes on with the answer to it |
//! | [`Rule::Store`] | the HotDB answers by what was committed and what finality keeps |
//! | [`Rule::Chain`] | head and finality follow from one another, and finality moves forward |
//! | [`Rule::Writes`] | the ColdDB commits one batch at a time, in the order of its records |
//!
//! **Bounds.** What is kept grows with what the trace has under way, with its blocks, and with the
//! items that were taken in; nothing is kept of a step itself. A trace is judged in one pass.

mod clearance;
mod cold_db;
mod hot_db;
mod links;
mod listener;
mod quarantine;
pub mod read;
mod rewinder;
mod threads;
mod words;

use std::collections::BTreeMap;
use std::fmt;

use blocksmith::trace::Step;
use thiserror::Error;

use links::Links;
pub use listener::Listener;
use threads::Threads;
use words::Words;

/// A rule of the specification; see the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Numbers without a gap.
    Numbers,
    /// The order of beginnings and ends.
    Lifecycle,
    /// One verdict for each submission.
    OneVerdict,
    /// The limits.
    Window,
    /// What an item builds on comes first.
    ParentFirst,
    /// One answer for each request.
    OneAnswer,
    /// The commit comes before the answer.
    CommitFirst,
    /// The import comes before the verdict.
    ImportFirst,
    /// A fault of ours rejects nothing.
    Fault,
    /// Messages arrive once and in order.
    Order,
    /// One question at a time.
    Question,
    /// What the HotDB knows.
    Store,
    /// Head and finality.
    Chain,
    /// What the ColdDB writes.
    Writes,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Numbers => "numbers without a gap",
            Self::Lifecycle => "begin from the bottom up, end from the top down",
            Self::OneVerdict => "exactly one verdict",
            Self::Window => "no more than the limits",
            Self::ParentFirst => "a child only after its parent",
            Self::OneAnswer => "exactly one answer",
            Self::CommitFirst => "the commit before the verdict",
            Self::ImportFirst => "the import before the verdict",
            Self::Fault => "a fault of ours rejects nothing",
            Self::Order => "received after it was sent, once, in order",
            Self::Question => "one question at a time",
            Self::Store => "answers by what was committed",
            Self::Chain => "head and finality follow from one another",
            Self::Writes => "one batch at a time, in order",
        })
    }
}

/// Why a step is not that of a behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The step breaks a rule.
    #[error("{rule}: {why}")]
    Refuted {
        /// The rule.
        rule: Rule,
        /// What is wrong, with the identities.
        why: String,
    },
    /// The step is not in the words of a trace.
    #[error("{field}: {why}")]
    Unreadable {
        /// The field of the step.
        field: &'static str,
        /// What is wrong, with the value.
        why: String,
    },
}

/// What a trace has, as far as it was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps.
    pub steps: u64,
    /// Starts of services.
    pub instances: usize,
    /// Submissions, and verdicts.
    pub submissions: u64,
    /// Verdicts that were given.
    pub verdicts: u64,
    /// Blocks that Clearance has taken in.
    pub blocks: u64,
}

pub(crate) type Outcome = Result<(), Refusal>;

/// Returns a refusal by a rule, unless the condition holds.
pub(crate) fn ensure(holds: bool, rule: Rule, why: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Refusal::Refuted { rule, why: why() }) }
}

/// One step as the acceptors read it.
pub(crate) struct Told<'a> {
    pub(crate) thread: u64,
    pub(crate) event: Words<'a>,
    pub(crate) effects: Vec<Words<'a>>,
    pub(crate) lost: Lost,
}

/// What a panic has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Nothing,
    Message,
    Machine,
}

/// The acceptors of one start of the services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Services {
    threads: Threads,
    links: Links,
    quarantine: quarantine::Quarantine,
    clearance: clearance::Clearance,
    rewinder: rewinder::Rewinder,
    hot_db: hot_db::HotDb,
    cold_db: cold_db::ColdDb,
}

impl Services {
    fn step(&mut self, step: &Step) -> Outcome {
        let told = Told {
            thread: step.thread,
            event: Words::parse(&step.event)?,
            effects: step.effects.iter().map(|one| Words::parse(one)).collect::<Result<_, _>>()?,
            lost: match step.lost.as_str() {
                "" => Lost::Nothing,
                "message" => Lost::Message,
                "machine" => Lost::Machine,
                other => return Err(words::unreadable("lost", other)),
            },
        };
        self.threads.step(step, &told)?;
        let links = &mut self.links;
        links.present = self.threads.present();
        match step.service.as_str() {
            "quarantine" => self.quarantine.step(&told, links),
            "clearance" => self.clearance.step(&told, links),
            "rewinder" => self.rewinder.step(&told, links),
            "hot_db" => self.hot_db.step(&told, links),
            "cold_db" => self.cold_db.step(&told, links),
            other => Err(words::unreadable("service", other)),
        }
    }
}

/// Judges a trace, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judge {
    instances: BTreeMap<u64, Services>,
    steps: u64,
}

impl Judge {
    /// Takes the next step.
    ///
    /// # Errors
    /// If the step is not that of a behaviour, or not in the words of a trace. The judge must not
    /// be used any more then.
    pub fn step(&mut self, step: &Step) -> Result<(), Refusal> {
        self.steps += 1;
        self.instances.entry(step.instance).or_default().step(step)
    }

    /// Returns what the trace lacks to be whole: threads that have not ended, or any at all. A
    /// trace that lacks something is no pass.
    #[must_use]
    pub fn lacks(&self) -> Option<String> {
        if self.instances.is_empty() {
            return Some("no service has begun".to_owned());
        }
        let open = self.instances.iter().find_map(|(number, services)| {
            services.threads.open().map(|thread| format!("{thread} of start {number}"))
        });
        open.map(|thread| format!("the end of {thread}"))
    }

    /// Returns what was judged so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary =
            Summary { steps: self.steps, instances: self.instances.len(), ..Summary::default() };
        for services in self.instances.values() {
            summary.submissions += services.quarantine.submissions();
            summary.verdicts += services.quarantine.verdicts();
            summary.blocks += services.clearance.blocks();
        }
        summary
    }
}
