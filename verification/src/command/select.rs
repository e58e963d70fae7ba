//! The selection of checks by a command line, and its parts for several machines.

use std::collections::BTreeSet;

use blocksmith_engines::verdict::Engine;
use blocksmith_terminal::Failure;
use clap::ValueEnum;

use super::costs;
use crate::catalogue::{Check, catalogue_at};
use crate::linearizability::Depth;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineArgument {
    /// Weak memory, exhaustive up to bounds.
    Loom,
    /// Random and PCT schedules.
    Shuttle,
    /// The real code, every interleaving.
    Stepped,
    /// State machines as communicating processes.
    Stateright,
    /// TLA+ specifications.
    Tla,
    /// Real threads.
    Std,
}

impl EngineArgument {
    fn engine(self) -> Engine {
        match self {
            Self::Loom => Engine::Loom,
            Self::Shuttle => Engine::Shuttle,
            Self::Stepped => Engine::Stepped,
            Self::Stateright => Engine::Stateright,
            Self::Tla => Engine::Tla,
            Self::Std => Engine::Std,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DepthArgument {
    /// Fewer schedules of each client program.
    Quick,
    /// The depth that CI runs.
    Ci,
    /// Longer client programs and more threads.
    Deep,
}

impl DepthArgument {
    pub(super) fn depth(self) -> Depth {
        match self {
            Self::Quick => Depth::Quick,
            Self::Ci => Depth::Ci,
            Self::Deep => Depth::Deep,
        }
    }
}

#[derive(clap::Args)]
pub(super) struct Selection {
    /// Select only checks of this protocol.
    #[arg(long)]
    protocol: Option<String>,
    /// Select only checks by this engine.
    #[arg(long, value_enum)]
    engine: Option<EngineArgument>,
    /// Select only checks whose id is this or begins with it and a dot; may be given several times.
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Run only the Ith of N parts of the selected checks, as I/N; by the recorded times, the parts
    /// take about equally long.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,
    /// How far the checks of linearizability look; without it, `ci`.
    #[arg(long, value_enum)]
    depth: Option<DepthArgument>,
}

/// A part of the work: number `part` of `of` parts, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shard {
    pub(super) part: usize,
    pub(super) of: usize,
}

/// The largest number of parts. With more parts than checks, some would be empty.
const MAX_PARTS: usize = 1024;

/// Parses `I/N`.
pub(super) fn shard(text: &str) -> Result<Shard, String> {
    let parts = text
        .split_once('/')
        .and_then(|(part, of)| Some(Shard { part: part.parse().ok()?, of: of.parse().ok()? }));
    parts.filter(|shard| shard.of <= MAX_PARTS && (1..=shard.of).contains(&shard.part)).ok_or_else(
        || {
            format!(
                "two numbers as in 1/4, the first at least 1 and at most the second, which is at \
                 most {MAX_PARTS}"
            )
        },
    )
}

impl Selection {
    pub(super) fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// Returns the selected checks, in the catalogue's order.
    ///
    /// # Errors
    /// If no check matches.
    pub(super) fn checks(&self) -> Result<Vec<Check>, Failure> {
        let all = catalogue_at(self.depth.map_or(Depth::default(), DepthArgument::depth));
        let protocols: BTreeSet<_> = all.iter().map(|check| check.protocol).collect();
        let engine = self.engine.map(EngineArgument::engine);
        let checks: Vec<_> = all
            .into_iter()
            .filter(|check| self.protocol.as_ref().is_none_or(|name| name == check.protocol))
            .filter(|check| engine.is_none_or(|engine| engine == check.engine))
            .filter(|check| self.id.is_empty() || self.id.iter().any(|id| is_of(check, id)))
            .collect();
        if checks.is_empty() {
            let names: Vec<_> = protocols.into_iter().collect();
            return Err(Failure::input(anyhow::anyhow!(
                "no check matches --protocol {} --engine {} --id {}; protocols are: {}",
                self.protocol.as_deref().unwrap_or("(any)"),
                engine.map_or("(any)", Engine::name),
                if self.id.is_empty() { "(any)".to_owned() } else { self.id.join(", ") },
                names.join(", ")
            )));
        }
        Ok(match self.shard {
            Some(shard) => part(checks, shard),
            None => checks,
        })
    }
}

/// Returns whether the check's id is `id`, or begins with `id` and a dot.
fn is_of(check: &Check, id: &str) -> bool {
    check.id.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Returns one part of the checks. They are dealt out from the longest to the shortest, each to the
/// part that takes the least time so far.
fn part(checks: Vec<Check>, shard: Shard) -> Vec<Check> {
    let seconds: Vec<_> = checks.iter().map(|check| costs::seconds(&check.id)).collect();
    let parts = parts(&seconds, shard.of);
    let mine = checks.into_iter().zip(parts).filter(|(_, part)| *part == shard.part - 1);
    mine.map(|(check, _)| check).collect()
}

/// Returns the part, counted from 0, of each job.
fn parts(seconds: &[f64], of: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..seconds.len()).collect();
    order.sort_by(|&a, &b| seconds[b].total_cmp(&seconds[a]).then(a.cmp(&b)));
    let mut loads = vec![0.0; of];
    let mut parts = vec![0; seconds.len()];
    for job in order {
        let least = (0..of).min_by(|&a, &b| f64::total_cmp(&loads[a], &loads[b])).unwrap_or(0);
        parts[job] = least;
        loads[least] += seconds[job];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_take_about_the_same_time() {
        // Deals out one long job and many short ones. No part takes longer than the longest job, or
        // than the mean plus one job.
        let seconds: Vec<f64> = (0..40).map(|job| if job == 7 { 20.0 } else { 1.0 }).collect();
        for of in 1..=5 {
            let parts = parts(&seconds, of);
            let load = |part| -> f64 {
                (0..40).filter(|&job| parts[job] == part).map(|job| seconds[job]).sum()
            };
            let longest = (0..of).map(load).fold(0.0, f64::max);
            assert!(longest <= f64::max(20.0, 59.0 / of as f64 + 1.0), "{of} parts: {longest}");
        }
    }

    #[test]
    fn the_recorded_costs_balance_the_whole_catalogue() {
        // Deals all checks out into two and into four parts. The longest part is at most a
        // twentieth above the mean, unless a single check is longer.
        let checks = catalogue_at(Depth::default());
        let seconds: Vec<_> = checks.iter().map(|check| costs::seconds(&check.id)).collect();
        let (sum, most) =
            (seconds.iter().sum::<f64>(), seconds.iter().copied().fold(0.0, f64::max));
        for of in [2, 4] {
            let parts = parts(&seconds, of);
            let load = |part| -> f64 {
                parts.iter().zip(&seconds).filter(|(p, _)| **p == part).map(|(_, s)| s).sum()
            };
            let longest = (0..of).map(load).fold(0.0, f64::max);
            assert!(longest <= f64::max(most, sum / of as f64 * 1.05), "{of} parts: {longest}");
        }
    }
}
