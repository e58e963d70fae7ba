//! Every combination of one, two and three stand-ins over a slot, in every order.
//!
//! What the hazards ask for, of every combination:
//! - no validator has two votes that differ at any node (V10), and none votes on a branch on which
//!   it has no duty (D2, D3, V8; checked as each signature is asked for);
//! - every duty that begins ends once (checked as it ends), and it ends within the slot;
//! - no node is asked more often than the bounds say (P6);
//! - if a node has the block, one that has it as soon takes votes and says so, one gives duties, and
//!   no node is on another branch or says so, every vote leaves by the deadline, whatever the other
//!   nodes do, and is taken (P2, P3, P4, V9);
//! - if no node gives data, no vote is sent, and each is missed with a reason;
//! - a vote that counts as sent has arrived, unless a node hangs: what that one has taken nobody
//!   can know.
//!
//! The simulation leaves out that the nodes are asked for their health, so that a node that hangs
//! is found by the calls themselves.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use blocksmith::payload_attestation::Reason;

use super::slot::{Outcomes, run};
use super::stand_in::{ALL, Stand};

/// The committed table. The test prints what it has to be if it differs.
const TABLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/src/validator/payload/tests/stand_ins.txt");

/// Requests for data, and publications, of one slot to one node, at most.
const MAX_ASKED: [u64; 2] = [32, 16];

/// Whether every vote has to be sent in time.
fn has_to_send(stands: &[Stand]) -> bool {
    // Votes leave when the first node gives data, and a node that has no block refuses them. A vote
    // that one node refuses by name, while the other is busy, is not tried again; nor is one that a
    // node without a block refuses and a node that hangs may have taken.
    let refuses = |it: &Stand| matches!(it, Stand::Lags | Stand::Lags404 | Stand::Late);
    let is_masked = stands.contains(&Stand::Hangs) && stands.iter().any(refuses);
    if stands.contains(&Stand::Busy) && (stands.contains(&Stand::Refuses) || is_masked) {
        return false;
    }
    let first = stands.iter().filter(|it| it.gives_data()).filter_map(|it| it.block_ms()).min();
    let confirms = |it: &Stand| it.confirms() && it.block_ms() <= first;
    first.is_some()
        && stands.iter().any(confirms)
        && stands.iter().any(|it| it.gives_duties())
        && !stands.iter().any(|it| it.differs())
}

/// Returns what is not as the hazards ask for.
fn faults(stands: &[Stand], outcomes: &Outcomes) -> Vec<String> {
    let Outcomes { ended, began, world, .. } = outcomes;
    let leads = outcomes.leads();
    let doubled = world.taken.values().any(|said| said.len() > 1);
    let is_bounded = |asked: &[u64; 2]| asked.iter().zip(MAX_ASKED).all(|(it, most)| *it <= most);
    let must = has_to_send(stands);
    let nobody = !stands.iter().any(|stand| stand.gives_data());
    let arrived = world.taken.len();
    let rules = [
        (doubled, "a validator has two votes"),
        (began.len() != ended.len(), "a duty has no end"),
        (!world.asked.iter().all(is_bounded), "a node is asked too often"),
        (must && (leads.len(), arrived) != (3, 3), "a vote was not sent"),
        (must && leads.iter().any(|lead| *lead < 0), "a vote left after the deadline"),
        (nobody && (leads.len(), arrived) != (0, 0), "a vote has no data"),
        (
            leads.len() > arrived && !stands.contains(&Stand::Hangs),
            "a vote counts as sent and has not arrived",
        ),
    ];
    let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
    broken.map(|(_, what)| format!("{stands:?}: {what}: {ended:?}")).collect()
}

/// Returns what became of a slot, in a line.
fn line(stands: &[Stand], outcomes: &Outcomes) -> String {
    let names: Vec<_> = stands.iter().map(|stand| stand.word()).collect();
    let leads = outcomes.leads();
    let lead = leads.iter().min().map_or("-".to_owned(), i64::to_string);
    let why: Vec<_> = outcomes.reasons().into_iter().map(Reason::word).collect();
    let sum = |of: usize| outcomes.world.asked.iter().map(|asked| asked[of]).sum::<u64>();
    let (data, posts) = (sum(0), sum(1));
    let (sent, began, arrived) = (leads.len(), outcomes.began.len(), outcomes.world.taken.len());
    let why = if why.is_empty() { "-".to_owned() } else { why.join(",") };
    format!(
        "{:<28} {sent}/{began} {arrived:>7} {lead:>8} {data:>5} {posts:>5}  {why}",
        names.join(" + ")
    )
}

/// Runs every combination of so many stand-ins. Returns how many there are.
fn each(count: u32, broken: &mut Vec<String>, mut look: impl FnMut(&[Stand], &Outcomes)) -> usize {
    let total = ALL.len().pow(count);
    for number in 0..total {
        let place = |at: u32| ALL[number / ALL.len().pow(at) % ALL.len()];
        let stands: Vec<Stand> = (0..count).rev().map(place).collect();
        let outcomes = run(&stands);
        broken.extend(faults(&stands, &outcomes));
        look(&stands, &outcomes);
    }
    total
}

/// Sums up the combinations of three by what became of them.
fn summary(broken: &mut Vec<String>, text: &mut String) {
    let mut classes: BTreeMap<(bool, String), (u64, i64)> = BTreeMap::new();
    let total = each(3, broken, |stands, outcomes| {
        let leads = outcomes.leads();
        let why: Vec<_> = outcomes.reasons().into_iter().map(Reason::word).collect();
        let why = if why.is_empty() { "-".to_owned() } else { why.join(",") };
        let class = format!("{}/{}  {why}", leads.len(), outcomes.began.len());
        let entry = classes.entry((has_to_send(stands), class)).or_insert((0, i64::MAX));
        entry.0 += 1;
        entry.1 = leads.into_iter().min().unwrap_or(i64::MAX).min(entry.1);
    });
    let _ = writeln!(text, "\nThree nodes: {total} combinations, by what became of their votes.\n");
    let _ = writeln!(text, "must send  combinations  least lead ms  sent/began  missed because of");
    for ((must, class), (count, lead)) in classes {
        let must = if must { "yes" } else { "no" };
        let lead = if lead == i64::MAX { "-".to_owned() } else { lead.to_string() };
        let _ = writeln!(text, "{must:<9} {count:>13} {lead:>14}  {class}");
    }
}

#[test]
fn stand_ins_alone_and_together_lead_to_what_the_hazards_ask_for() {
    // Every combination runs; those of one and two are listed, those of three summed up.
    let mut text = String::from(
        "Stand-in beacon nodes over a slot of 12 s in simulated time. The block comes at 1.5 s,\n\
         its payload at 4 s, votes are due at 9 s. Nodes stand in the user's order. `sent` of\n\
         the duties that `began`; votes that a node has taken (`arrived`); the least lead over\n\
         the deadline; requests for data and publications to all nodes together.\n\n",
    );
    let head = "nodes";
    let _ = writeln!(text, "{head:<28} sent arrived  lead ms  data posts  missed because of");
    let mut broken = Vec::new();
    for count in 1..=2 {
        each(count, &mut broken, |stands, outcomes| {
            let _ = writeln!(text, "{}", line(stands, outcomes));
        });
    }
    summary(&mut broken, &mut text);
    print!("{text}");
    assert!(broken.is_empty(), "{} of the rules are broken:\n{}", broken.len(), broken.join("\n"));
    let committed = std::fs::read_to_string(TABLE).expect("the table is there");
    assert!(text == committed, "the committed table, stand_ins.txt, is another one:\n{text}");
}
