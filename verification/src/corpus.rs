//! The counterexamples of the must-fail twins as a corpus for readers: a page for each hazard, with
//! the file that runs again, an index, and the table of which engine finds which hazard.
//!
//! **Contract.** [`Corpus::of`] chooses one counterexample for each hazard: the shortest, and of
//! equally short ones that of the engine that looks at the fewest details. [`Corpus::files`] renders
//! it. Nothing in a file depends on the time that a run takes, so the same code gives the same
//! files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use blocksmith_engines::counterexample::{self, Counterexample, Itf};
use blocksmith_engines::verdict::{Engine, Verdict};
use blocksmith_models::hazard::{self, Hazard};

use crate::catalogue::Check;

/// The engines, those that look at fewer details first.
const ENGINES: [Engine; 5] =
    [Engine::Stateright, Engine::Stepped, Engine::Loom, Engine::Shuttle, Engine::Tla];

/// The most steps of a diagram.
const DIAGRAM: usize = 60;

/// The end of a name of a file that runs again.
pub const ITF: &str = ".itf.json";

/// A twin that its engine has run, or the gate runs.
#[derive(Debug)]
pub struct Run<'a> {
    /// The twin.
    pub check: &'a Check,
    /// How many states the engine has looked at before it refuted the twin.
    pub states: Option<u64>,
    /// How many executions.
    pub executions: Option<u64>,
    /// The counterexample, if the engine writes it down.
    pub found: Option<Counterexample>,
}

impl<'a> Run<'a> {
    /// Returns a run of the twin with this verdict.
    #[must_use]
    pub fn new(check: &'a Check, verdict: &Verdict, found: Option<Counterexample>) -> Self {
        Self { check, states: verdict.states, executions: verdict.executions, found }
    }

    /// Returns the entry of a specification's twin. Its number of states is the pinned one, with
    /// which the gate compares what it finds; no counterexample of it is written down.
    #[must_use]
    pub fn of_specification(check: &'a Check) -> Self {
        Self { check, states: check.states, executions: None, found: None }
    }
}

/// The counterexamples by hazard.
#[derive(Debug)]
pub struct Corpus<'a> {
    runs: Vec<Run<'a>>,
    /// The place of the run whose counterexample has the page, for each hazard.
    chosen: BTreeMap<&'static str, usize>,
    /// Checks that must hold although they carry a fault, since their engine cannot see it: the
    /// hazard and the engine.
    unseen: Vec<(&'static str, Engine)>,
}

impl<'a> Corpus<'a> {
    /// Returns the corpus of these runs. `all` is the catalogue.
    #[must_use]
    pub fn of(runs: Vec<Run<'a>>, all: &[Check]) -> Self {
        let mut chosen: BTreeMap<&str, usize> = BTreeMap::new();
        let size = |run: &Run<'_>| {
            let steps = run.found.as_ref().map_or(usize::MAX, |found| found.steps.len());
            (steps, ENGINES.iter().position(|engine| *engine == run.check.engine))
        };
        for (place, run) in runs.iter().enumerate().filter(|(_, run)| run.found.is_some()) {
            let Some(hazard) = run.check.hazard else { continue };
            let best = chosen.entry(hazard.id).or_insert(place);
            if size(run) < size(&runs[*best]) {
                *best = place;
            }
        }
        let name = |check: &Check| {
            let name = check.id.strip_suffix(check.engine.name()).unwrap_or(&check.id).to_owned();
            (name, check.hazard)
        };
        let twins: Vec<_> = runs.iter().map(|run| name(run.check)).collect();
        let holds = all.iter().filter(|check| !check.expected.is_violated());
        let unseen = holds.filter(|check| twins.contains(&name(check)));
        let unseen = unseen.filter_map(|check| Some((check.hazard?.id, check.engine))).collect();
        Self { runs, chosen, unseen }
    }

    /// Returns the chosen counterexamples, so that they can be made smaller.
    pub fn chosen_mut(&mut self) -> impl Iterator<Item = &mut Run<'a>> {
        let chosen: Vec<_> = self.chosen.values().copied().collect();
        let all = self.runs.iter_mut().enumerate();
        all.filter(move |(place, _)| chosen.contains(place)).map(|(_, run)| run)
    }

    /// Returns every file by its name.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::from([("README.md".to_owned(), self.index())]);
        for hazard in hazard::all() {
            let Some(run) = self.chosen.get(hazard.id).map(|place| &self.runs[*place]) else {
                continue;
            };
            if let Some(found) = &run.found {
                let itf = serde_json::to_string(&Itf::from(found)).unwrap_or_default();
                files.insert(format!("{}{ITF}", hazard.id), itf + "\n");
                files.insert(format!("{}.md", hazard.id), self.page(hazard, run, found));
            }
        }
        files
    }

    fn runs_of<'b>(&'b self, hazard: &'b Hazard) -> impl Iterator<Item = &'b Run<'a>> {
        self.runs.iter().filter(move |run| run.check.hazard == Some(hazard))
    }

    fn page(&self, hazard: &Hazard, run: &Run<'_>, found: &Counterexample) -> String {
        let Hazard { id, fault, instead } = hazard;
        let mut text = format!("# {id}: {fault}\n\n");
        let _ = writeln!(text, "What the design does instead: {}.\n", lower(instead));
        let steps = found.steps.len();
        let _ = writeln!(
            text,
            "The twin `{}` carries the fault: {}. {} refutes it by {}, in {steps} steps. {}\n",
            run.check.id,
            run.check.claim,
            capital(run.check.engine.name()),
            found.violation,
            found.search,
        );
        let summary = found.landmarks();
        let shown = summary.as_ref().unwrap_or(found);
        let _ = writeln!(text, "```text\n{}\n```\n", counterexample::table(shown).trim_end());
        if summary.is_some() {
            let _ = writeln!(
                text,
                "The table has what the threads say of themselves, and their last operations. All \
                 {steps} steps are shown with `--operations`.\n"
            );
        }
        if shown.steps.len() <= DIAGRAM {
            let _ = writeln!(text, "```mermaid\n{}```\n", counterexample::mermaid(shown));
        }
        let file = format!("verification/counterexamples/{id}{ITF}");
        let _ = writeln!(
            text,
            "Run it again, or see it as a page:\n\n```sh\ncargo verify counterexample {file} \
             --replay\ncargo verify counterexample {file} --format html > {id}.html\n```"
        );
        let others: Vec<_> =
            self.runs_of(hazard).filter(|it| it.check.id != run.check.id).collect();
        if !others.is_empty() {
            let _ = writeln!(text, "\nOther twins of this hazard:\n");
        }
        for other in others {
            let steps = other.found.as_ref().map(|found| format!(", {} steps", found.steps.len()));
            let (id, claim) = (&other.check.id, other.check.claim);
            let _ = writeln!(text, "- `{id}`: {claim}{}", steps.unwrap_or_default());
        }
        text
    }

    fn index(&self) -> String {
        let mut text = HEAD.to_owned();
        for hazard in hazard::all() {
            let Hazard { id, fault, .. } = hazard;
            let Some(run) = self.chosen.get(id).map(|place| &self.runs[*place]) else { continue };
            let steps = run.found.as_ref().map_or(0, |found| found.steps.len());
            let (engine, check) = (run.check.engine, &run.check.id);
            let _ =
                writeln!(text, "| [{id}]({id}.md) | {fault} | `{check}` | {engine} | {steps} |");
        }
        text.push_str(TABLE);
        for hazard in hazard::all() {
            let cells: Vec<_> = ENGINES.iter().map(|engine| self.cell(hazard, *engine)).collect();
            if cells.iter().any(|cell| cell != "-") {
                let _ = writeln!(text, "| {} | {} |", hazard.id, cells.join(" | "));
            }
        }
        text
    }

    /// Says what an engine finds of a hazard.
    fn cell(&self, hazard: &Hazard, engine: Engine) -> String {
        let runs: Vec<_> = self.runs_of(hazard).filter(|run| run.check.engine == engine).collect();
        let steps = |run: &&Run<'_>| run.found.as_ref().map(|found| found.steps.len());
        let length = |run: &&Run<'_>| steps(run).unwrap_or(usize::MAX);
        let Some(run) = runs.iter().copied().min_by_key(length) else {
            let is_unseen = self.unseen.contains(&(hazard.id, engine));
            return if is_unseen { "cannot see" } else { "-" }.to_owned();
        };
        let looked = match (run.states, run.executions) {
            (Some(states), _) => format!("{states} states"),
            (None, Some(executions)) => format!("{executions} runs"),
            (None, None) => String::new(),
        };
        let steps = steps(&run).map_or_else(String::new, |steps| format!("{steps} steps, "));
        let more = if runs.len() > 1 { format!(" ({} twins)", runs.len()) } else { String::new() };
        format!("{steps}{looked}{more}")
    }
}

fn lower(text: &str) -> String {
    let mut all = text.chars();
    let second_is_lower = text.chars().nth(1).is_none_or(|c| !c.is_uppercase());
    match all.next() {
        Some(first) if second_is_lower => first.to_lowercase().chain(all).collect(),
        _ => text.to_owned(),
    }
}

fn capital(text: &str) -> String {
    let mut all = text.chars();
    all.next().map_or_else(String::new, |first| first.to_uppercase().chain(all).collect())
}

const HEAD: &str = "\
# Counterexamples

How protocols of waiting, channels and services go wrong, one page for each hazard. Each page shows a shortest
behaviour that an engine found in a *twin*: the real code, a machine or a small program with one fault. A page has
a column for each thread or process and a row for each step. It ends with what each of them waits for, and names the
cycle of waits where there is one. Beside it lies the same behaviour as a file, in the Informal Trace Format of the
TLA+ tools, which runs again in its engine.

`cargo verify corpus --out verification/counterexamples` writes all of this, and with `--check` compares it and runs
every file again.

| hazard | what goes wrong | twin | engine | steps |
|---|---|---|---|---|
";

const TABLE: &str = "
## Which engine finds which hazard

A cell has the steps of the engine's shortest counterexample, and the states or executions that it looked at before
it found it. *Cannot see*: the engine runs a twin of the hazard and must let it pass, because the fault lies in
what it does not look at (weak memory, under the engines that are sequentially consistent). A dash: no twin of the hazard is
written for the engine. Only the models and the specifications have services with many messages, and only the
engines that run the code see its memory.

| hazard | stateright | stepped | loom | shuttle | tla |
|---|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use blocksmith_models::catalogue::Expected;

    use super::{Corpus, Run};
    use crate::catalogue::{Check, catalogue};

    /// Runs the checks of these ids.
    fn runs<'a>(all: &'a [Check], ids: &[&str]) -> Vec<Run<'a>> {
        let wanted = all.iter().filter(|check| ids.contains(&&*check.id));
        let run = |check: &'a Check| {
            drop(blocksmith_engines::counterexample::take());
            let verdict = (check.run)();
            Run::new(check, &verdict, blocksmith_engines::counterexample::take())
        };
        wanted.map(run).collect()
    }

    #[test]
    fn the_shortest_counterexample_of_a_hazard_has_the_page() {
        // Runs two twins of M8 in the ring, of which that with two services is shorter.
        let all = catalogue();
        let ids = ["ring.two_send_round.stateright", "ring.three_send_round.stateright"];
        let corpus = Corpus::of(runs(&all, &ids), &all);
        let files = corpus.files();
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["M8.itf.json", "M8.md", "README.md"]);
        let page = &files["M8.md"];
        for words in
            ["`ring.two_send_round.stateright`", "cycle of waits: T0 -> T1 -> T0", "```mermaid"]
        {
            assert!(page.contains(words), "{words} is in {page}");
        }
        assert!(page.contains("- `ring.three_send_round.stateright`: "), "{page}");
        let index = &files["README.md"];
        assert!(index.contains("| [M8](M8.md) | "), "{index}");
        assert!(index.contains("(2 twins) | - | - | - | - |\n"), "{index}");
    }

    #[test]
    fn a_twin_that_an_engine_must_let_pass_is_one_that_it_cannot_see() {
        // The design notes' notifier must fail under weak memory, and holds without it.
        let all = catalogue();
        let check = all.iter().find(|check| check.id == "notifier.seed_notifier.loom");
        let check = check.expect("it is there");
        assert!(matches!(check.expected, Expected::Violated(_)));
        let run = Run { check, states: None, executions: Some(7), found: None };
        let corpus = Corpus::of(vec![run], &all);
        let hazard = check.hazard.expect("it is about one").id;
        let row = format!("| {hazard} | - | cannot see | 7 runs | cannot see | - |\n");
        assert!(corpus.index().contains(&row), "{}", corpus.index());
    }
}
