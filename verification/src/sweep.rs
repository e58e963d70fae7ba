//! The mutation sweep: it weakens every memory ordering of core's synchronisation, one at a time.
//!
//! **Contract.** [`Sweep::record`] records the sites that the loom scenarios visit. Each [`Job`]
//! makes one weakening: it gives an access a weaker ordering, or leaves a fence out. It runs the
//! scenarios that visit the site until one fails, and then the weakening is *killed*. If none
//! fails, the weakening survives: the ordering is redundant, or the engine cannot see the
//! difference. The source must say which, in a comment above the line that begins with
//! `ORDERING(survives):`. A survivor without such a reason is a defect. So is an ordering in the
//! source that no scenario visits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use blocksmith_engines::verdict::Outcome;
use blocksmith_sync::Ordering::{self, Relaxed};

use crate::scenarios::{Row, scenarios};
use blocksmith_engines::loom::{self, LoomBounds};
use blocksmith_engines::mutant::{self, Site, Weakening};
use blocksmith_engines::scenario::Scenario;

/// The result of one weakening.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SiteResult {
    /// The path of the source file, from the workspace's root.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The operation.
    pub operation: &'static str,
    /// The ordering in the source.
    pub ordering: &'static str,
    /// The ordering that replaced it, or `nothing` for a fence that was left out.
    pub weakened_to: &'static str,
    /// The scenario that failed, or `None` if the weakening survived.
    pub killed_by: Option<&'static str>,
    /// The first line of the failure's counterexample.
    pub failure: Option<String>,
    /// The limit that stopped a scenario, if one stopped and none failed.
    pub truncated: Option<String>,
    /// The reason that the source gives for the survival.
    pub reason: Option<String>,
    /// The time spent on this weakening, in seconds.
    pub seconds: f64,
}

impl SiteResult {
    /// Returns the place of the weakening, by which results are sorted.
    #[must_use]
    pub fn place(&self) -> (&'static str, u32, u32, &'static str) {
        (self.file, self.line, self.column, self.weakened_to)
    }

    /// Returns whether the weakening was killed, or the source explains why it survives.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.killed_by.is_some() || (self.reason.is_some() && self.truncated.is_none())
    }
}

/// The sources whose sites are weakened: the end of the path, and the text.
const SOURCES: [(&str, &str); 17] = [
    ("services/src/activity.rs", include_str!("../../core/services/src/activity.rs")),
    (
        "services/src/supervision/inject.rs",
        include_str!("../../core/services/src/supervision/inject.rs"),
    ),
    ("sync/src/notifier.rs", include_str!("../../core/sync/src/notifier.rs")),
    ("sync/src/notifier/task.rs", include_str!("../../core/sync/src/notifier/task.rs")),
    ("sync/src/oneshot.rs", include_str!("../../core/sync/src/oneshot.rs")),
    ("sync/src/oneshot/task.rs", include_str!("../../core/sync/src/oneshot/task.rs")),
    ("sync/src/mailbox/mod.rs", include_str!("../../core/sync/src/mailbox/mod.rs")),
    ("sync/src/mailbox/credits.rs", include_str!("../../core/sync/src/mailbox/credits.rs")),
    ("sync/src/mailbox/queue.rs", include_str!("../../core/sync/src/mailbox/queue.rs")),
    ("sync/src/spsc.rs", include_str!("../../core/sync/src/spsc.rs")),
    ("sync/src/spsc/ring.rs", include_str!("../../core/sync/src/spsc/ring.rs")),
    ("sync/src/mpmc.rs", include_str!("../../core/sync/src/mpmc.rs")),
    ("sync/src/mpmc/turn.rs", include_str!("../../core/sync/src/mpmc/turn.rs")),
    ("sync/src/mpmc/batch.rs", include_str!("../../core/sync/src/mpmc/batch.rs")),
    ("sync/src/mpmc/reserve.rs", include_str!("../../core/sync/src/mpmc/reserve.rs")),
    ("sync/src/watch.rs", include_str!("../../core/sync/src/watch.rs")),
    (
        "sync/src/notifier/registration.rs",
        include_str!("../../core/sync/src/notifier/registration.rs"),
    ),
];

/// The preemption bound with which sites are recorded.
const RECORDING: usize = 1;
/// The largest preemption bound with which weakenings are run.
const WEAKENED: usize = 2;
/// The time limit for one scenario over one weakening, in seconds. It is several times what the
/// longest scenario was seen to take.
const PATIENCE: u64 = 120;

/// The file and the line of an ordering that no scenario visits.
pub type Unvisited = (&'static str, u32);

/// All weakenings that are to be run.
pub struct Sweep {
    /// The weakenings, in the order of the sources.
    pub jobs: Vec<Job>,
    /// Orderings that no scenario visits.
    pub unvisited: Vec<Unvisited>,
}

/// One weakening.
pub struct Job {
    site: Site,
    to: Option<Ordering>,
    visitors: Arc<[Scenario]>,
}

impl Sweep {
    /// Runs every scenario once to record what it visits.
    #[must_use]
    pub fn record() -> Self {
        let visits = visits();
        let unvisited = unvisited(&visits);
        let jobs = visits.into_iter().flat_map(|(site, visitors)| {
            let visitors: Arc<[Scenario]> = visitors.into();
            weaker(&site).iter().map(move |&to| {
                let (site, visitors) = (site.clone(), visitors.clone());
                Job { site, to, visitors }
            })
        });
        Self { jobs: jobs.collect(), unvisited }
    }
}

impl Job {
    /// Runs the scenarios that visit the site, until one fails. Blocks until one fails or all have
    /// run.
    #[must_use]
    pub fn run(&self) -> SiteResult {
        weaken(&self.site, self.to, &self.visitors)
    }
}

/// The most lines between the place that the compiler names for a statement and an ordering in it.
const REACH: u32 = 4;

/// The sites of core, each with the scenarios that visit it.
type Visits = BTreeMap<Site, Vec<Scenario>>;

/// Returns the lines of code of a source, with their numbers. Imports and unit tests are left out.
fn code(text: &str) -> impl Iterator<Item = (&str, u32)> {
    let before_tests = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let lines = before_tests.zip(1..).map(|(line, number)| (line.trim(), number));
    lines.filter(|(line, _)| !line.starts_with("//") && !line.starts_with("use "))
}

/// Returns whether a line of code names an ordering above `Relaxed`.
fn is_strong(line: &str) -> bool {
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| ["Acquire", "Release", "AcqRel", "SeqCst"].contains(&word))
}

/// Returns the lines of the sources that name an ordering above `Relaxed` and belong to no visited
/// site.
fn unvisited(visits: &Visits) -> Vec<Unvisited> {
    let mut found = Vec::new();
    for (file, text) in SOURCES {
        for (line, number) in code(text) {
            let visited = || {
                visits.keys().any(|site| {
                    site.file.ends_with(file) && (site.line..=site.line + REACH).contains(&number)
                })
            };
            if is_strong(line) && !visited() {
                found.push((file, number));
            }
        }
    }
    found
}

/// Returns the sites of core, each with the scenarios that visit it. The cheapest scenario comes
/// first.
fn visits() -> Visits {
    let mut costs = Vec::new();
    // The running services have four threads or more, or a machine of many steps. They visit every
    // site, but far from the place where a fault would show.
    let runs_services = |row: &Row| match row.protocol {
        "services" | "lifecycle" | "trace" => row.scenario.threads > 4,
        protocol => protocol == "validator" || protocol == "payload_attestation",
    };
    let small = |row: &Row| row.scenario.loom.1.is_some() && !runs_services(row);
    for Row { scenario, .. } in scenarios().into_iter().filter(small) {
        let start = Instant::now();
        let sites = mutant::record(|| {
            let bounds = LoomBounds::preemptions(RECORDING);
            let _ = loom::check(scenario.mutant, scenario.threads, bounds);
        });
        costs.push((start.elapsed(), scenario, sites));
    }
    costs.sort_by_key(|(cost, ..)| *cost);
    let mut visits = Visits::new();
    for (_, scenario, sites) in costs {
        for site in sites.into_iter().filter(|site| source(site.file).is_some()) {
            visits.entry(site).or_default().push(scenario);
        }
    }
    visits
}

/// Returns the orderings to which a site is weakened. `None` leaves a fence out.
fn weaker(site: &Site) -> &'static [Option<Ordering>] {
    match (site.operation, site.ordering) {
        ("fence", _) => &[None],
        (_, "AcqRel") => &[Some(Ordering::Acquire), Some(Ordering::Release), Some(Relaxed)],
        _ => &[Some(Relaxed)],
    }
}

fn weaken(site: &Site, to: Option<Ordering>, visitors: &[Scenario]) -> SiteResult {
    let start = Instant::now();
    let weakening = Weakening { site: site.clone(), to };
    let mut result = SiteResult {
        file: site.file.rfind("core/").map_or(site.file, |start| &site.file[start..]),
        line: site.line,
        column: site.column,
        operation: site.operation,
        ordering: site.ordering,
        weakened_to: to.map_or("nothing", mutant::name),
        killed_by: None,
        failure: None,
        truncated: None,
        reason: reason(site),
        seconds: 0.0,
    };
    for scenario in visitors {
        let usual = scenario.loom.1.and_then(|bounds| bounds.preemptions).unwrap_or(WEAKENED);
        let bounds = LoomBounds::preemptions(usual.min(WEAKENED));
        // A clock that jumps shows nothing about orderings, and would only repeat executions.
        let bounds = LoomBounds { max_seconds: PATIENCE, jumps: 0, ..bounds };
        let verdict = mutant::weaken(weakening.clone(), || {
            loom::check(scenario.mutant, scenario.threads, bounds)
        });
        match verdict.outcome {
            Outcome::Verified => {}
            Outcome::Truncated { by } => {
                result.truncated = Some(format!("{}: {by}", scenario.name));
            }
            Outcome::Violated { counterexample, .. } => {
                result.killed_by = Some(scenario.name);
                result.failure = counterexample.lines().next().map(str::to_owned);
                break;
            }
        }
    }
    result.seconds = start.elapsed().as_secs_f64();
    result
}

fn source(file: &str) -> Option<&'static str> {
    SOURCES.iter().find(|(end, _)| file.ends_with(end)).map(|(_, text)| *text)
}

/// Returns the text after `ORDERING(survives):` in the comment above a site.
fn reason(site: &Site) -> Option<String> {
    const MARK: &str = "ORDERING(survives):";
    let lines: Vec<_> = source(site.file)?.lines().map(str::trim).collect();
    let site_line = site.line as usize - 1;
    let last = (site_line.saturating_sub(REACH as usize)..=site_line)
        .rev()
        .find(|&line| lines[line].starts_with("//"))?;
    let first = (0..=last).rev().take_while(|&line| lines[line].starts_with("//")).last()?;
    let comment = lines[first..=last].iter().map(|line| line.trim_start_matches('/').trim());
    let comment = comment.collect::<Vec<_>>().join(" ");
    let (_, reason) = comment.split_once(MARK)?;
    Some(reason.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{SOURCES, code, is_strong};

    /// Returns the Rust files of a folder. Files of tests are left out.
    fn sources(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("a folder of core") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.extend(sources(&path));
            } else if path.extension().is_some_and(|kind| kind == "rs")
                && !path.ends_with("tests.rs")
            {
                found.push(path);
            }
        }
        found
    }

    #[test]
    fn every_source_with_an_ordering_above_relaxed_is_swept() {
        // Reads the crates that are generic over the primitives. `std_backend.rs` is left out: it
        // is the primitives of production themselves, which no engine runs.
        let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core");
        let mut swept = 0;
        for path in ["sync/src", "services/src"].iter().flat_map(|krate| sources(&core.join(krate)))
        {
            let text = fs::read_to_string(&path).expect("source in UTF-8");
            let strong = code(&text).any(|(line, _)| is_strong(line));
            let listed = SOURCES.iter().any(|(end, _)| path.ends_with(end));
            assert!(
                listed || !strong || path.ends_with("std_backend.rs"),
                "{} is not in SOURCES",
                path.display()
            );
            swept += usize::from(listed);
        }
        assert_eq!(swept, SOURCES.len());
    }
}
