//! Which scene belongs to which attack, and what a row says of it.

use std::sync::Arc;

use blocksmith::{Config, hot_db, quarantine};

use super::catalogue::Attack;
use super::chain::{Chain, Shape};
use super::forged::Junk;
use super::pipeline::Direct;
use super::plan::{Plan, Played, percentile};
use super::play::{Pieces, Scene, play, play_in};
use super::report::{Honest, Row};
use super::rounds::Overhead;
use super::{AttackError, Options, clock, forged, held, pipeline, tree};
use crate::protocol::Work;

/// Honest slots beside an attack: two epochs, none of which gets finalised.
const SLOTS: u64 = 16;
/// Honest slots in which finality moves for the first time, after the 32nd.
const SLOTS_TO_FINALITY: u64 = 40;
/// History before late blocks come; three of its six epochs are finalised.
const HISTORY: u64 = 48;
/// A slot that is finalised after that history.
const FINALIZED_SLOT: u64 = 24;

/// Chains that several rows share, and the stranger's signatures.
pub(super) struct Stages<'a> {
    options: &'a Options,
    chains: Vec<(Shape, Arc<Chain>)>,
    junk: Junk,
}

/// An attack that is ready: where, what, and what to say of it afterwards.
struct Staged {
    shape: Shape,
    config: Config,
    plan: Plan,
    note: Box<dyn Fn(&Played) -> String>,
}

impl<'a> Stages<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self { options, chains: Vec::new(), junk: Junk::default() }
    }

    /// Runs an attack and returns its row.
    pub(super) fn row(&mut self, attack: Attack, n: u64, peers: u64) -> Result<Row, AttackError> {
        match attack {
            Attack::A10 => self.batches(n, peers),
            Attack::A13 => Ok(blocks_in_tree(n, peers)),
            Attack::Pipeline => self.pipeline(n, peers),
            _ => {
                let staged = self.stage(attack, n, peers);
                let (quiet, played) = self.both(&staged)?;
                let note = (staged.note)(&played);
                let mut row = row(attack, n, peers, &quiet, &played);
                row.notes.insert(0, note);
                Ok(row)
            }
        }
    }

    fn chain(&mut self, shape: Shape) -> Arc<Chain> {
        if let Some((_, chain)) = self.chains.iter().find(|(of, _)| *of == shape) {
            return chain.clone();
        }
        let chain = Arc::new(Chain::build(shape));
        self.chains.push((shape, chain.clone()));
        chain
    }

    fn scene(&mut self, shape: Shape, config: Config) -> Scene {
        Scene { chain: self.chain(shape), config, time: self.options.time }
    }

    /// Plays the honest traffic alone, and then beside the attack. Both come one after the other,
    /// so that a machine which is busy otherwise is so for both.
    fn both(&mut self, staged: &Staged) -> Result<(Played, Played), AttackError> {
        let scene = self.scene(staged.shape, staged.config);
        Ok((play(&scene, &Plan::default())?, play(&scene, &staged.plan)?))
    }

    fn config(&self) -> Config {
        Config { workers: self.options.workers, ..Config::default() }
    }

    fn stage(&mut self, attack: Attack, n: u64, peers: u64) -> Staged {
        let config = self.config();
        let shape = self.shape(attack, n);
        let chain = self.chain(shape);
        let junk = &mut self.junk;
        let limits = quarantine::Limits::default();
        let size = usize::try_from(n).unwrap_or(usize::MAX);
        let honest = 1 + chain.honest[0].votes.len();
        let staged = |config, plan, note| Staged { shape, config, plan, note };
        match attack {
            Attack::A1 => staged(config, forged::junk_blocks(&chain, n, peers, junk), answers()),
            Attack::A2 => staged(config, forged::forged_votes(&chain, n, peers, junk), answers()),
            Attack::A3 => {
                // The bound is in proportion to the attack: with all honest blocks, it is too low.
                // The honest blocks alone have room, as none of them leaves before finality moves.
                let blocks = size.max(SLOTS_TO_FINALITY as usize + 8);
                let hot_db = hot_db::Limits { blocks, ..hot_db::Limits::default() };
                let plan = held::equivocations(&chain, n);
                staged(Config { hot_db, ..config }, plan, bound("the HotDB's blocks", blocks))
            }
            Attack::A4 => staged(config, forged::old_heads(&chain, n, junk), each(n)),
            Attack::A5 => {
                // The votes of an honest slot have room, or the bound would drop them itself.
                let quota = size.max(honest);
                let limits = quarantine::Limits { items_per_peer: quota, ..limits };
                let plan = held::reverse_chain(&chain, n);
                staged(Config { quarantine: limits, ..config }, plan, resolved(n))
            }
            Attack::A6 => {
                let plan = held::orphans_of_one(&chain, n, junk);
                staged(config, plan, answers())
            }
            Attack::A7 => {
                let plan = held::late_blocks(&chain, n, FINALIZED_SLOT, junk);
                staged(config, plan, answers())
            }
            Attack::A8 => staged(config, forged::sums_of_votes(&chain, n), relayed()),
            Attack::A9 => staged(config, forged::copies(&chain, n, peers, junk), copies(n)),
            Attack::A11 => {
                let plan = held::orphans_unread(&chain, n, junk);
                staged(Config { notices: size, ..config }, plan, unread(n))
            }
            Attack::A12 => staged(config, clock::far_slots(&chain, n, junk), far()),
            Attack::A14 => {
                let quota = (size / 4).max(honest);
                let limits = quarantine::Limits { window: 1, items_per_peer: quota, ..limits };
                let plan = clock::steps_back(&chain, n, junk);
                staged(Config { quarantine: limits, ..config }, plan, parked_again(quota))
            }
            Attack::A10 | Attack::A13 | Attack::Pipeline => {
                unreachable!("{attack} has a row of its own")
            }
        }
    }

    /// Returns the chain that an attack needs.
    fn shape(&self, attack: Attack, n: u64) -> Shape {
        let Options { chain, branches, .. } = *self.options;
        match attack {
            Attack::A3 | Attack::A6 => Shape::fresh(SLOTS_TO_FINALITY),
            Attack::A4 => {
                Shape { history: chain, branches, finalizes: false, ..Shape::fresh(SLOTS) }
            }
            // The reverse chain is older than the only block of this history.
            Attack::A5 => {
                Shape { history: n + 2, empty: n + 1, finalizes: false, ..Shape::fresh(SLOTS) }
            }
            Attack::A7 => Shape { history: HISTORY, ..Shape::fresh(SLOTS) },
            _ => Shape::fresh(SLOTS),
        }
    }

    /// A10: the same forged votes, verified in batches and one by one.
    fn batches(&mut self, n: u64, peers: u64) -> Result<Row, AttackError> {
        let config = self.config();
        let shape = Shape::fresh(SLOTS);
        let chain = self.chain(shape);
        let plan =
            forged::forged_together(&chain, n, config.attestation_batch as u64, &mut self.junk);
        let staged = |config| Staged { shape, config, plan: plan.clone(), note: answers() };
        let together = self.both(&staged(config))?;
        let alone = self.both(&staged(Config { attestation_batch: 1, ..config }))?;
        let mut row = row(Attack::A10, n, peers, &together.0, &together.1);
        // What is dropped before it is verified costs next to nothing, and would hide the cost.
        let each = |(quiet, played): &(Played, Played)| {
            let (work, cpu_ms) = added(quiet, played);
            (cpu_ms / work.verified.max(1) as f64, work.verified)
        };
        let (of_batches, of_each) = (each(&together), each(&alone));
        // Beside other programs a quiet run may take longer than the one under attack.
        let times = match of_batches.0 / of_each.0 {
            times if times.is_normal() && of_each.0 > 0.0 => format!("{times:.2} times"),
            _ => "which cannot be compared".to_owned(),
        };
        row.notes.insert(
            0,
            format!(
                "of {n} votes {} were verified in batches of up to {}, for {:.2} ms of CPU each \
                 beyond the quiet run, and {} alone for {:.2}: {times}; {}",
                of_batches.1,
                config.attestation_batch,
                of_batches.0,
                of_each.1,
                of_each.0,
                together.1.answers
            ),
        );
        blame(&mut row, &alone.0, &alone.1);
        Ok(row)
    }

    /// Honest traffic through the services and by direct calls.
    fn pipeline(&mut self, n: u64, peers: u64) -> Result<Row, AttackError> {
        let (shape, config) = (Shape::fresh(n), self.config());
        let scene = self.scene(shape, config);
        let workers = self.options.workers;
        let (busy, beside_busy) = beside(&scene, pipeline::AHEAD, workers)?;
        let (paced, beside_paced) = beside(&scene, 0, 1)?;
        let notes = [
            pipeline::note("busy", &busy, &beside_busy),
            pipeline::note("paced", &paced, &beside_paced),
            pipeline::fewest(&scene.chain, paced.slots as usize),
        ];
        let overhead = Overhead {
            busy: pipeline::times(&busy, &beside_busy),
            paced: pipeline::times(&paced, &beside_paced),
        };
        let quiet = Played {
            latencies: beside_paced.latencies(),
            cpu: beside_paced.cpu(),
            work: Work { slots: paced.slots, ..Work::default() },
            slots: paced.slots,
            ..Played::default()
        };
        let mut row = row(Attack::Pipeline, n, peers, &quiet, &paced);
        // A row without an attack says what all of it costs.
        row.cpu_ms = busy.cpu.as_secs_f64() * 1e3;
        blame(&mut row, &Played::default(), &busy);
        row.overhead = Some(overhead);
        row.notes.splice(0..0, notes);
        Ok(row)
    }
}

/// A13: no services, and no attacker. What is quiet is the smallest tree.
pub(super) fn blocks_in_tree(n: u64, peers: u64) -> Row {
    let small = tree::measure(256.min(n));
    let cost = tree::measure(n);
    let us = |percent, times: &[_]| percentile(times, percent) * 1e3;
    Row {
        attack: Attack::A13.name(),
        n,
        peers,
        slots_run: 0,
        blocks_replayed: 0,
        cpu_ms: cost.cpu.as_secs_f64() * 1e3,
        peak_bytes: cost.peak,
        honest: Honest {
            p50_ms: percentile(&cost.blocks, 50),
            p99_ms: percentile(&cost.blocks, 99),
            quiet_p50_ms: percentile(&small.blocks, 50),
            quiet_p99_ms: percentile(&small.blocks, 99),
            dropped: 0,
        },
        verdicts_lost: 0,
        stop_ms: 0.0,
        overhead: None,
        dropped_by_attack: 0,
        notes: vec![format!(
            "a block takes {:.1} us and a vote {:.1} us (medians of {}); with 256 blocks {:.1} \
             and {:.1}",
            us(50, &cost.blocks),
            us(50, &cost.votes),
            tree::MEASURED,
            us(50, &small.blocks),
            us(50, &small.votes)
        )],
    }
}

/// Returns the work and the CPU milliseconds that a run has beyond the quiet one, for the honest
/// slots that there was time for.
fn added(quiet: &Played, played: &Played) -> (Work, f64) {
    let share = played.slots as f64 / quiet.slots.max(1) as f64;
    let part = |count: u64| (count as f64 * share) as u64;
    let work = played.work.since(Work {
        slots: part(quiet.work.slots),
        replayed: part(quiet.work.replayed),
        checked: part(quiet.work.checked),
        verified: part(quiet.work.verified),
        batches: part(quiet.work.batches),
    });
    let cpu = played.cpu.as_secs_f64() - quiet.cpu.as_secs_f64() * share;
    (work, cpu.max(0.0) * 1e3)
}

fn row(attack: Attack, n: u64, peers: u64, quiet: &Played, played: &Played) -> Row {
    let (work, cpu_ms) = added(quiet, played);
    let mut notes = Vec::new();
    if played.slots < quiet.slots {
        notes.push(format!("time for {} of {} honest slots", played.slots, quiet.slots));
    }
    let mut row = Row {
        attack: attack.name(),
        n,
        peers,
        slots_run: work.slots,
        blocks_replayed: work.replayed,
        cpu_ms,
        peak_bytes: played.peak,
        honest: Honest {
            p50_ms: played.percentile(50),
            p99_ms: played.percentile(99),
            quiet_p50_ms: quiet.percentile(50),
            quiet_p99_ms: quiet.percentile(99),
            dropped: 0,
        },
        verdicts_lost: 0,
        stop_ms: played.stop.as_secs_f64() * 1e3,
        overhead: None,
        dropped_by_attack: 0,
        notes,
    };
    blame(&mut row, quiet, played);
    row
}

/// Adds to a row what must not happen in any of its runs, and did.
pub(super) fn blame(row: &mut Row, quiet: &Played, played: &Played) {
    row.verdicts_lost += quiet.lost + played.lost;
    row.honest.dropped += played.dropped;
    row.dropped_by_attack += played.dropped.saturating_sub(quiet.dropped);
    if quiet.dropped > 0 {
        row.notes.push(format!("{} honest items dropped without the attack", quiet.dropped));
    }
    if !played.late.is_empty() {
        row.notes.push(format!("threads that do not end: {}", played.late.join(", ")));
    }
    if played.honest.class("valid") != played.honest.all() {
        row.notes.push(format!("honest items: {}", played.honest));
    }
    if !played.rested {
        row.notes.push(
            "the services did not come to rest: slots, blocks and CPU lack a part".to_owned(),
        );
    }
}

/// Plays honest slots, some of them `ahead`, and makes the direct calls for them meanwhile, on some
/// threads.
fn beside(
    scene: &Scene,
    ahead: usize,
    threads: usize,
) -> Result<(Played, Direct<'_>), AttackError> {
    let mut direct = Direct::new(&scene.chain, threads);
    let plan = Plan { ahead, ..Plan::default() };
    let between = &mut |slots, batches| direct.go_on(slots, batches);
    let played = play_in(scene, &plan, Some(Pieces { slots: pipeline::PIECE, between }))?;
    Ok((played, direct))
}

type Note = Box<dyn Fn(&Played) -> String>;

fn answers() -> Note {
    Box::new(|played| played.answers.to_string())
}

fn bound(what: &'static str, bound: usize) -> Note {
    Box::new(move |played| format!("a bound of {bound} on {what}; {}", played.answers))
}

fn each(n: u64) -> Note {
    Box::new(move |played| {
        let work = played.work;
        let each = |count: u64| count as f64 / n as f64;
        format!(
            "{:.1} slots and {:.1} blocks for each forged vote, honest work included; {}",
            each(work.slots),
            each(work.replayed),
            played.answers
        )
    })
}

fn resolved(n: u64) -> Note {
    Box::new(move |played| {
        let valid = played.answers.class("valid");
        format!("{valid} of {} blocks resolved; {}", n + 1, played.answers)
    })
}

fn relayed() -> Note {
    Box::new(|played| {
        let valid = played.answers.class("valid");
        format!(
            "{valid} of {} valid; a third came without a proof, and is never relayed; {}",
            played.answers.all(),
            played.answers
        )
    })
}

fn copies(n: u64) -> Note {
    Box::new(move |played| {
        let Work { checked, verified, .. } = played.work;
        format!(
            "{checked} transitions with signatures and {verified} verified votes for {n} copies \
             and the honest items; {}",
            played.answers
        )
    })
}

fn unread(n: u64) -> Note {
    Box::new(move |played| {
        let heard = held::unread_roots(n).filter(|root| played.heard.needs.contains(root)).count();
        format!(
            "room for {n} notices: {heard} of {n} parents were ever asked for, {} changes of the \
             head were heard of; {}",
            played.heard.heads, played.answers
        )
    })
}

fn far() -> Note {
    Box::new(|played| {
        let [asked, answered] = played.queries;
        format!("{answered} of {asked} states answered by the stop; {}", played.answers)
    })
}

fn parked_again(quota: usize) -> Note {
    Box::new(move |played| {
        let again = played.heard.parked.values().filter(|times| **times > 1).count();
        format!(
            "{again} blocks parked a second time; {} submissions held at the stop, at a quota of \
             {quota} a peer; {}",
            played.held, played.answers
        )
    })
}
