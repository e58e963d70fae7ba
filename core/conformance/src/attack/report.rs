//! What the attacks did: rows, for people and as JSON.

use std::fmt;

use serde::Serialize;

use super::catalogue::Attack;
use super::fit::{Growth, fit};
use super::rounds::Overhead;

/// Honest traffic beside an attack, and without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Honest {
    /// From submission to verdict under attack, in milliseconds: the median of all honest items.
    /// One that was dropped counts with its deadline.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The median of the same items without the attack.
    pub quiet_p50_ms: f64,
    /// The 99th percentile without the attack.
    pub quiet_p99_ms: f64,
    /// Honest items that were not accepted by their deadline: dropped, ignored, rejected, or
    /// without a verdict. One that is ignored as a duplicate is not among them if the attacker
    /// sends an exact copy of it.
    pub dropped: u64,
}

/// One attack of one size by so many peers. Slots, blocks and CPU time are what the attack adds to
/// those of the same honest traffic without it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub attack: &'static str,
    /// Its size; what that counts is [`Attack::title`].
    pub n: u64,
    /// Peers that are not honest.
    pub peers: u64,
    /// Slots that states were advanced by.
    pub slots_run: u64,
    /// Blocks that were applied again, to come to a state.
    pub blocks_replayed: u64,
    /// CPU time of the process, in milliseconds.
    pub cpu_ms: f64,
    /// Peak of the process's resident memory, in bytes; 0 where the system does not tell.
    pub peak_bytes: u64,
    /// Honest traffic.
    pub honest: Honest,
    /// Submissions without a verdict at the end.
    pub verdicts_lost: u64,
    /// CPU time through the services against that of direct calls, if the row is of that.
    #[serde(skip)]
    pub overhead: Option<Overhead>,
    /// How long the services took to stop, in milliseconds.
    #[serde(skip)]
    pub stop_ms: f64,
    /// How many more honest items were dropped than without the attack.
    #[serde(skip)]
    pub dropped_by_attack: u64,
    /// What else there is to say; only people read it, as the three before.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Row {
    /// Returns how many times longer the 99th percentile is under attack.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.honest.p99_ms / self.honest.quiet_p99_ms.max(f64::MIN_POSITIVE)
    }
}

/// All rows, in the order in which they were measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Report {
    /// The rows.
    pub rows: Vec<Row>,
}

/// How the cost of one attack grows with its size.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The attack's name.
    pub attack: &'static str,
    /// The sizes.
    pub sizes: Vec<u64>,
    /// Growth of the slots.
    pub slots: Growth,
    /// Growth of the replayed blocks.
    pub blocks: Growth,
    /// Growth of the CPU time.
    pub cpu: Growth,
    /// The smallest `c` with which slots and blocks together are at most `c log2 n` at each size.
    pub factor: f64,
}

impl Report {
    /// Returns the JSON form: a list of rows.
    ///
    /// # Errors
    /// If serialisation fails.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Returns whether every submission had a verdict, and no attack had honest items dropped.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.rows.iter().all(|row| row.verdicts_lost == 0 && row.dropped_by_attack == 0)
    }

    /// Returns the rows of an attack by its smallest number of peers, which are those of a curve.
    pub fn curve(&self, attack: Attack) -> impl Iterator<Item = &Row> + Clone {
        let of = move |row: &&Row| row.attack == attack.name();
        let peers = self.rows.iter().filter(of).map(|row| row.peers).min();
        self.rows.iter().filter(of).filter(move |row| Some(row.peers) == peers)
    }

    /// Returns the growth of every attack that was run at two sizes or more.
    #[must_use]
    pub fn fits(&self) -> Vec<Fit> {
        Attack::ALL.iter().filter_map(|attack| self.fit(*attack)).collect()
    }

    fn fit(&self, attack: Attack) -> Option<Fit> {
        let rows = self.curve(attack);
        let of = |figure: fn(&Row) -> f64| {
            fit(&rows.clone().map(|row| (row.n, figure(row))).collect::<Vec<_>>())
        };
        let cpu = of(|row| row.cpu_ms);
        let c = |row: &Row| {
            let work = row.slots_run + row.blocks_replayed;
            work as f64 / (row.n.max(2) as f64).log2()
        };
        (cpu != Growth::Unknown).then(|| Fit {
            attack: attack.name(),
            sizes: rows.clone().map(|row| row.n).collect(),
            slots: of(|row| row.slots_run as f64),
            blocks: of(|row| row.blocks_replayed as f64),
            cpu,
            factor: rows.clone().map(c).fold(0.0, f64::max),
        })
    }
}

/// Formats milliseconds with as many places as fit.
fn ms(value: f64) -> String {
    match value {
        _ if value < 1.0 => format!("{value:.3}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Honest { p50_ms, p99_ms, quiet_p50_ms, quiet_p99_ms, dropped } = self.honest;
        write!(
            f,
            "{:<8} {:>6} {:>3} {:>8} {:>8} {:>7} {:>6.1} {:>6} {:>6} {:>6} {:>6} {:>6.1}x {:>4} {:>4}",
            self.attack,
            self.n,
            self.peers,
            self.slots_run,
            self.blocks_replayed,
            ms(self.cpu_ms),
            self.peak_bytes as f64 / f64::from(1 << 20),
            ms(quiet_p50_ms),
            ms(quiet_p99_ms),
            ms(p50_ms),
            ms(p99_ms),
            self.ratio(),
            dropped,
            self.verdicts_lost,
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<8} {:>6} {:>3} {:>8} {:>8} {:>7} {:>6} {:>13} {:>13} {:>7} {:>4} {:>4}",
            "",
            "",
            "prs",
            "slots",
            "blocks",
            "CPU",
            "peak",
            "quiet, ms",
            "attacked, ms",
            "",
            "",
            ""
        )?;
        writeln!(
            f,
            "{:<8} {:>6} {:>3} {:>8} {:>8} {:>7} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>4} {:>4}",
            "attack",
            "n",
            "",
            "run",
            "replayed",
            "ms",
            "MiB",
            "p50",
            "p99",
            "p50",
            "p99",
            "p99",
            "drop",
            "lost"
        )?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        Attack::ALL.iter().try_for_each(|attack| self.details(f, *attack))?;
        writeln!(
            f,
            "\nslots, blocks and CPU are what an attack adds; peak is the process's resident memory.\n\
             growth is c n^k or a + b ln n by least squares, whichever is closer to the figures"
        )
    }
}

impl Report {
    /// Writes what an attack's size counts, what came of each row, and how the cost grows.
    fn details(&self, f: &mut fmt::Formatter<'_>, attack: Attack) -> fmt::Result {
        let rows = || self.rows.iter().filter(|row| row.attack == attack.name());
        if rows().next().is_none() {
            return Ok(());
        }
        writeln!(f, "\n{attack}: n is {}", attack.title())?;
        for row in rows() {
            let peers =
                if attack.is_by_peers() { format!(" by {}", row.peers) } else { String::new() };
            let stop = format!("stop in {:.1} ms", row.stop_ms);
            let all = row.notes.iter().chain(Some(&stop)).map(String::as_str);
            let all: Vec<&str> = all.collect();
            paragraph(f, &format!("  n {}{peers}:", row.n), &all.join("; "))?;
        }
        if let Some(Fit { slots, blocks, cpu, factor, .. }) = self.fit(attack) {
            let text = format!(
                "slots {slots}, blocks {blocks}, CPU {cpu}; slots and blocks are at most \
                 {factor:.0} log2 n"
            );
            paragraph(f, "  growth:", &text)?;
        }
        Ok(())
    }
}

/// Writes words after a head, broken at [`WIDTH`].
fn paragraph(f: &mut fmt::Formatter<'_>, head: &str, text: &str) -> fmt::Result {
    const WIDTH: usize = 98;
    let mut line = head.to_owned();
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            writeln!(f, "{line}")?;
            line = "     ".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(f, "{line}")
}
