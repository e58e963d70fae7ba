//! The catalogue as a document, for readers who want to know what is checked before they run it.
//!
//! The document states claims and engines. It states no results: a run gives those, with their
//! bounds.

use std::collections::BTreeSet;
use std::fmt::Write;

use blocksmith_models::hazard::{self, Hazard};

use crate::catalogue::{Check, Expected};
use crate::linearizability::Depth;
use crate::linearizability::{Size, list::sizes};
use crate::scenarios::{Row, scenarios};
use blocksmith_engines::scenario::Scenario;
use blocksmith_engines::shuttle::ShuttleBounds;

const HEAD: &str = "\
# What is checked

`cargo verify document VERIFICATION.md` writes this file from the catalogue that the command and the tests
read; a test compares them. The file lists claims, not results: `cargo verify check --id ID --verbose` runs a
check and prints its verdict with its bounds, and `--counterexamples` prints what refutes a twin.

| engine | looks at | does not see |
|---|---|---|
| loom | the real code, every execution up to a preemption bound, weak memory, data races | more than five threads |
| shuttle | the real code, random and PCT schedules, replayable | weak memory |
| stepped | the real code one operation at a time, every interleaving, shortest counterexample | weak memory |
| stateright | the services' machines with bounded mailboxes, every interleaving | what lies below a mailbox |
| tla | independent specifications of the protocols, every reachable state | the code |
| std | the real code on threads of this machine, as it happens | everything else |

A check *holds* or *must fail*: a twin carries a fault, and the engine that passes the real code has to refute
it. No check may end truncated.
";

/// A check under all of its engines.
struct Entry<'a> {
    name: &'a str,
    first: &'a Check,
    engines: Vec<&'static str>,
}

/// Returns the document in Markdown.
#[must_use]
pub fn text(checks: &[Check]) -> String {
    let entries = entries(checks);
    let mut text = HEAD.to_owned();
    twins(&mut text, checks);
    hazards(&mut text, &entries);
    protocols(&mut text, &entries);
    bounds(&mut text);
    programs(&mut text);
    text
}

/// Returns the checks in the catalogue's order, where those that differ only in the engine are one
/// entry. A name may have several entries: a check that must fail under weak memory may have to
/// hold without it.
fn entries(checks: &[Check]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for check in checks {
        let engine = check.engine.name();
        let name = check.id.strip_suffix(engine).and_then(|name| name.strip_suffix('.'));
        let name = name.unwrap_or(&check.id);
        let same = |entry: &&mut Entry<'_>| {
            let first = entry.first;
            let (expected, claim, hazard) = (first.expected, first.claim, first.hazard);
            entry.name == name
                && (expected, claim, hazard) == (check.expected, check.claim, check.hazard)
        };
        match entries.iter_mut().find(same) {
            Some(entry) => entry.engines.push(engine),
            None => entries.push(Entry { name, first: check, engines: vec![engine] }),
        }
    }
    entries
}

/// Writes how many checks of each engine have a twin.
fn twins(text: &mut String, checks: &[Check]) {
    text.push_str(
        "\n## What stands behind a check\n\nA check has a twin in its engine if a check of the same engine \
         and hazard must fail. Without one, what shows that the check can fail is its own assertion alone.\n\n\
         | engine | checks | must fail | hold | of these, about a hazard | with a twin in the engine |\n\
         |---|---|---|---|---|---|\n",
    );
    let engines: BTreeSet<_> = checks.iter().map(|check| check.engine).collect();
    for engine in engines {
        let of_engine = || checks.iter().filter(|check| check.engine == engine);
        let refuted: Vec<_> = of_engine()
            .filter(|check| check.expected.is_violated())
            .filter_map(|check| check.hazard)
            .collect();
        let hold = || of_engine().filter(|check| !check.expected.is_violated());
        let about = hold().filter_map(|check| check.hazard);
        let (all, holding) = (of_engine().count(), hold().count());
        let twinned = about.clone().filter(|hazard| refuted.contains(hazard)).count();
        let (failing, about) = (all - holding, about.count());
        writeln!(text, "| {engine} | {all} | {failing} | {holding} | {about} | {twinned} |")
            .expect("a string takes any text");
    }
}

/// Writes every hazard, with the checks that are about it.
fn hazards(text: &mut String, entries: &[Entry<'_>]) {
    text.push_str(
        "\n## By hazard\n\n\
         | hazard | what goes wrong | what the design does instead | twins that must fail | of the real code |\n\
         |---|---|---|---|---|\n",
    );
    let mut without = String::new();
    for row in hazard::all() {
        let cells = |violated| -> Vec<_> {
            let about = |entry: &&Entry<'_>| {
                entry.first.hazard == Some(row) && entry.first.expected.is_violated() == violated
            };
            let cell =
                |entry: &Entry<'_>| format!("`{}` ({})", entry.name, entry.engines.join(", "));
            entries.iter().filter(about).map(cell).collect()
        };
        let Hazard { id, fault, instead } = row;
        let (fail, hold) = (cells(true), cells(false));
        if fail.is_empty() && hold.is_empty() {
            writeln!(without, "| {id} | {fault} | {instead} |")
        } else {
            let (fail, hold) = (fail.join("; "), hold.join("; "));
            writeln!(text, "| {id} | {fault} | {instead} | {fail} | {hold} |")
        }
        .expect("a string takes any text");
    }
    text.push_str(
        "\nNo check of this list is about the following hazards. Unit tests of the crates are about \
         some of them, and some are of parts that are still to come.\n\n\
         | hazard | what goes wrong | what the design does instead |\n|---|---|---|\n",
    );
    text.push_str(&without);
}

fn protocols(text: &mut String, entries: &[Entry<'_>]) {
    let names: BTreeSet<_> = entries.iter().map(|entry| entry.first.protocol).collect();
    for protocol in names {
        write!(text, "\n## {protocol}\n\n| check | engines | claim |\n|---|---|---|\n")
            .expect("a string takes any text");
        for entry in entries.iter().filter(|entry| entry.first.protocol == protocol) {
            let breaks: Vec<_> =
                entry.first.expected.breaks().iter().map(ToString::to_string).collect();
            let must_fail = match entry.first.expected {
                Expected::Verified => String::new(),
                Expected::Violated(_) => format!("must fail, by {}: ", breaks.join(" or ")),
            };
            let (name, engines) = (entry.name, entry.engines.join(", "));
            writeln!(text, "| `{name}` | {engines} | {must_fail}{} |", entry.first.claim)
                .expect("a string takes any text");
        }
    }
}

/// Writes the bounds of each scenario in each engine.
fn bounds(text: &mut String) {
    text.push_str(
        "\n## Bounds of the scenarios\n\nA verdict names all of its bounds. loom: all executions with fewer \
         than this many switches away from a thread that could go on; + n: then again with fewer than n, and \
         with a spurious wake-up that ends the first sleep of each execution. A scenario that \
         reads the clock is explored again with a jump of the clock at its first reading, then with one at its \
         second, and so on: with fewer than n, too, or within the first bound where there is no n. \
         shuttle: schedules, half of them random, half PCT of this depth; one sleep in so many ends with a \
         spurious wake-up. stepped: the most states (a run that reaches this limit is truncated, which no \
         check may be); then, in one execution, the most spurious wake-ups, and the most timed waits that \
         expire while other threads run. \
         std: runs.\n\n| scenario | threads | loom | shuttle | stepped | std |\n|---|---|---|---|---|---|\n",
    );
    for Row { protocol, scenario, .. } in scenarios() {
        let loom = scenario.loom.1.map(|bounds| {
            let words = |n: Option<usize>| n.map_or("any".to_owned(), |n| n.to_string());
            let preemptions = words(bounds.preemptions);
            match bounds.spurious {
                0 => preemptions,
                _ => format!("{preemptions} + {}", words(bounds.spurious_preemptions)),
            }
        });
        let shuttle =
            scenario.shuttle.1.map(|ShuttleBounds { iterations, depth, spurious, .. }| {
                format!("{iterations}, depth {depth}, 1 in {spurious}")
            });
        let stepped = scenario.stepped.1.map(|limits| {
            format!("{}, {}, {}", limits.max_states, limits.spurious_wakeups, limits.expiries)
        });
        let std = scenario.std.1.map(|runs| runs.to_string());
        let cells =
            [loom, shuttle, stepped, std].map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
        let Scenario { name, threads, .. } = scenario;
        writeln!(text, "| `{protocol}.{name}` | {threads} | {} |", cells.join(" | "))
            .expect("a string takes any text");
    }
}

/// Writes what the checks of linearizability enumerate, in CI and deep.
fn programs(text: &mut String) {
    text.push_str(
        "\n## Client programs of linearizability\n\nAll programs of these sizes, each thread's drop of its end \
         apart; `cargo verify check --depth deep --protocol linearizability` runs the deep ones.\n\n\
         | check | capacities, policies | clients | programs | deep: clients | programs |\n\
         |---|---|---|---|---|---|\n",
    );
    let deep = sizes(Depth::Deep);
    for (ci, deep) in sizes(Depth::Ci).into_iter().zip(deep) {
        let Size { id, clients, channels, programs } = ci;
        writeln!(
            text,
            "| `{id}` | {channels} | {clients} | {programs} | {} | {} |",
            deep.clients, deep.programs
        )
        .expect("a string takes any text");
    }
}

#[cfg(test)]
mod tests {
    use blocksmith_models::hazard::{self, Hazard};

    use super::{entries, text};
    use crate::catalogue::catalogue;

    #[test]
    fn the_document_is_what_the_catalogue_says() {
        // Compares the file beside the README with the text, word for word.
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../VERIFICATION.md");
        let file = std::fs::read_to_string(path).expect("VERIFICATION.md is there");
        let hint = "write it anew: cargo verify document VERIFICATION.md";
        assert!(file == text(&catalogue()), "{hint}");
    }

    #[test]
    fn every_check_is_in_the_document_with_its_engine() {
        // Each entry is in the text once, and the entries have as many engines as there are checks.
        let checks = catalogue();
        let entries = entries(&checks);
        assert_eq!(entries.iter().map(|entry| entry.engines.len()).sum::<usize>(), checks.len());
        let text = text(&checks);
        for entry in entries {
            assert!(text.contains(&format!("| `{}` | {} |", entry.name, entry.engines.join(", "))));
        }
    }

    #[test]
    fn a_name_with_two_expectations_has_two_entries() {
        // The design notes' notifier must fail under weak memory, and holds without it.
        let checks = catalogue();
        let entries = entries(&checks);
        let of_name: Vec<_> = entries
            .iter()
            .filter(|entry| entry.name == "notifier.seed_notifier")
            .map(|entry| (entry.first.expected.word(), entry.engines.join(", ")))
            .collect();
        let expected =
            [("violated", "loom".to_owned()), ("verified", "shuttle, stepped".to_owned())];
        assert_eq!(of_name, expected);
    }

    #[test]
    fn every_hazard_is_in_the_document_once_with_its_sentence() {
        // A hazard stands with the checks that are about it, or in the list of those without
        // checks.
        let text = text(&catalogue());
        for Hazard { id, fault, .. } in hazard::all() {
            assert_eq!(text.matches(&format!("| {id} | {fault} | ")).count(), 1, "{id}");
        }
    }
}
