//! The ordering arguments of core as litmus programs: a second opinion on them, beside loom's.
//!
//! **Contract.** An [`Argument`] is of one pair of orderings (or fences) that `ORDERING` comments
//! in the source name. Its first variant has the orderings as they are written, and asks for what
//! must not come out: every memory model has to forbid that. Each other variant weakens one
//! ordering, and is a must-fail twin: some model must allow what the first one forbids, or see a
//! data race. A variant that stays forbidden all the same says why in [`Variant::redundant`].
//!
//! Each variant says what every model answers, and where loom, which runs the same program, differs
//! from RC11. [`arguments`] lists them, `blocksmith-check litmus` judges all. A test compares the
//! comments in the source with the arguments: no pair is without a program, and no program is of a
//! comment that is gone.
//!
//! A program has the operations of the two sides that matter for the pair, in their order in the
//! source. It is an abstraction that a person has made: that it is the right one is the argument,
//! and loom over the real code is the check on it.

mod channels;
mod mailbox;
mod notifier;
mod oneshot;
mod spsc;

use blocksmith_engines::litmus::{
    Answer, H, MODELS, Malformed, Operation, PLAIN, Program, X, explore, judge_under, literature,
    load, store,
};
use blocksmith_engines::verdict::{Outcome, Violation};

/// The argument for one pair of orderings.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its name: the part of core, and the pair.
    pub id: &'static str,
    /// The comments that it is of: a source file of core, and words of the comment.
    pub of: &'static [(&'static str, &'static str)],
    /// What must not come out.
    pub claim: &'static str,
    /// The program as the source has it, and then its weakenings.
    pub variants: Vec<Variant>,
}

/// One program of an argument.
#[derive(Clone, Debug)]
pub struct Variant {
    /// What is weakened; `as written` for the first variant.
    pub what: &'static str,
    /// The program.
    pub program: Program,
    /// The answers under [`MODELS`].
    pub expected: [Answer; 4],
    /// Why a weakening changes no answer.
    pub redundant: Option<&'static str>,
    /// How loom differs from RC11, and why; `None` if it must agree.
    pub loom_differs: Option<&'static str>,
}

/// The name of the first variant.
const AS_WRITTEN: &str = "as written";
/// The time that loom has for one program, in seconds; it takes less than one.
const LOOM_SECONDS: u64 = 120;

impl Argument {
    fn new(
        id: &'static str,
        of: &'static [(&'static str, &'static str)],
        claim: &'static str,
        program: Program,
    ) -> Self {
        let expected = [Answer::Forbidden; 4];
        let written =
            Variant { what: AS_WRITTEN, program, expected, redundant: None, loom_differs: None };
        Self { id, of, claim, variants: vec![written] }
    }

    /// Adds a weakening; see [`literature::answers`] for the letters.
    fn weaker(mut self, what: &'static str, expected: &str, program: Program) -> Self {
        let expected = literature::answers(expected);
        let variant = Variant { what, program, expected, redundant: None, loom_differs: None };
        self.variants.push(variant);
        self
    }

    /// Adds a weakening that changes nothing.
    fn redundant(mut self, what: &'static str, why: &'static str, program: Program) -> Self {
        self = self.weaker(what, "FFFF", program);
        if let Some(last) = self.variants.last_mut() {
            last.redundant = Some(why);
        }
        self
    }
}

/// Returns all arguments.
#[must_use]
pub fn arguments() -> Vec<Argument> {
    let parts = [
        notifier::arguments(),
        mailbox::arguments(),
        channels::arguments(),
        spsc::arguments(),
        oneshot::arguments(),
    ];
    parts.into_iter().flatten().collect()
}

/// A location that hands an item over: the sender writes it before `release`, the receiver reads it
/// after `acquire`. The receiver must not read what was there before.
fn hands_over(
    id: &'static str,
    release: impl IntoIterator<Item = Operation>,
    acquire: impl IntoIterator<Item = Operation>,
) -> Program {
    let sender = std::iter::once(store(X, 1, PLAIN)).chain(release).collect();
    let receiver = acquire.into_iter().chain([load(H, X, PLAIN)]).collect();
    Program::new(id, [sender, receiver]).asks([H.is(0)])
}

/// A location that is given back: its reader is done with it before `release`, and another thread
/// writes to it after `acquire`. The reader must not read what is written then.
fn gives_back(
    id: &'static str,
    release: impl IntoIterator<Item = Operation>,
    acquire: impl IntoIterator<Item = Operation>,
) -> Program {
    let reader = std::iter::once(load(H, X, PLAIN)).chain(release).collect();
    let writer = acquire.into_iter().chain([store(X, 2, PLAIN)]).collect();
    Program::new(id, [reader, writer]).begins(X, 1).asks([H.is(2)])
}

/// Returns the operations of a thread, without those that are `None`.
fn some(operations: impl IntoIterator<Item = Option<Operation>>) -> Vec<Operation> {
    operations.into_iter().flatten().collect()
}

/// What loom says about a program, compared with RC11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compared {
    /// The same outcomes, or a race in both.
    Agrees,
    /// Loom finds outcomes that RC11 forbids.
    FindsMore,
    /// RC11 allows outcomes, or has a race, that loom does not find.
    FindsLess,
    /// A limit stopped loom.
    Truncated,
}

impl Compared {
    /// Returns the word that the table uses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::FindsMore => "more",
            Self::FindsLess => "less",
            Self::Truncated => "TRUNCATED",
        }
    }
}

/// What the models and loom say about one variant.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The answers under [`MODELS`].
    pub answers: [Answer; 4],
    /// An execution with what is asked about, of the first model that has one.
    pub witness: Option<String>,
    /// How loom compares with RC11.
    pub loom: Compared,
    /// How many executions loom ran.
    pub runs: u64,
}

impl Variant {
    /// Judges the program under every model and under loom. Blocks for about a second at most.
    ///
    /// # Errors
    /// The program is malformed.
    pub fn judge(&self) -> Result<Judged, Malformed> {
        let judgements = judge_under(&self.program, MODELS)?;
        let rc11 = &judgements[2];
        let (mut loom, mut runs) = (Compared::Truncated, 0);
        // Core has no SeqCst access, so loom can judge every program.
        if let Some(explored) = explore(&self.program, LOOM_SECONDS)? {
            runs = explored.verdict.executions.unwrap_or_default();
            loom = match explored.verdict.outcome {
                Outcome::Violated { violation: Violation::DataRace, .. } => {
                    if rc11.answer == Answer::Race { Compared::Agrees } else { Compared::FindsMore }
                }
                Outcome::Verified if rc11.answer == Answer::Race => Compared::FindsLess,
                Outcome::Verified if explored.outcomes == rc11.outcomes => Compared::Agrees,
                Outcome::Verified if explored.outcomes.is_superset(&rc11.outcomes) => {
                    Compared::FindsMore
                }
                Outcome::Verified => Compared::FindsLess,
                _ => Compared::Truncated,
            };
        }
        let answers = judgements.each_ref().map(|judgement| judgement.answer);
        let witness = judgements.into_iter().find_map(|judgement| judgement.witness);
        Ok(Judged { answers, witness, loom, runs })
    }

    /// Returns how what was found differs from what is expected, if it does.
    #[must_use]
    pub fn difference(&self, judged: &Judged) -> Option<String> {
        if judged.answers != self.expected {
            let word = |answers: [Answer; 4]| answers.map(|answer| answer.to_string()).join(" ");
            return Some(format!("expected {}", word(self.expected)));
        }
        match (judged.loom, self.loom_differs) {
            (Compared::Truncated, _) => Some("loom did not end".to_owned()),
            (Compared::Agrees, Some(_)) => Some("loom agrees, and was to differ".to_owned()),
            (Compared::FindsMore | Compared::FindsLess, None) => {
                Some("loom differs, and nothing says why".to_owned())
            }
            _ => None,
        }
    }

    /// Returns whether the variant is the program as the source has it.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.what == AS_WRITTEN
    }
}

#[cfg(test)]
mod tests;
