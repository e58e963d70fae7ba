//! Every combination of one, two and three stand-ins over a slot, in every order.
//!
//! What the hazards ask for, of every combination:
//! - no validator has two votes that differ at any node (V10), and none votes on a branch on which
//!   it has no duty (D2, D3, V8; checked as each signature is asked for);
//! - every duty that begins ends once (checked as it ends), and it ends within the slot;
//! - no node is asked more often than the bounds say (P6);
//! - if a node has the block, one takes votes and says so, one gives duties, and no node is on
//!   another branch or says so, every vote leaves by the deadline, whatever the other nodes do, and
//!   is taken (P2, P3, P4, V9);
//! - if no node gives data, no vote is sent, and each is missed with a reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use blocksmith::payload_attestation::Reason;

use super::slot::{Outcomes, run};
use super::stand_in::{ALL, Stand};

/// The committed table; `cargo test -p blocksmith-node --features client stand_ins` prints what it
/// has to be if it differs.
const TABLE: &str = include_str!("stand_ins.txt");

/// Requests for data, and publications, of one slot to one node, at most.
const MAX_ASKED: [u64; 2] = [32, 16];

/// Whether every vote has to be sent in time.
fn has_to_send(stands: &[Stand]) -> bool {
    let any = |is: fn(Stand) -> bool| stands.iter().any(|stand| is(*stand));
    any(Stand::gives_data)
        && any(Stand::confirms)
        && any(Stand::gives_duties)
        && !any(Stand::differs)
        && has_time(stands)
}

/// A node alone that loses an answer, or is late, may leave no time for the next try.
fn has_time(stands: &[Stand]) -> bool {
    // The one with the data has to be the one that is confirmed by, or to have it in time.
    let data = |stand: &&Stand| stand.gives_data() && **stand != Stand::Late;
    stands.iter().any(|stand| data(&stand)) || stands.contains(&Stand::Late)
}

fn check(stands: &[Stand], outcomes: &Outcomes) {
    let Outcomes { ended, began, world, .. } = outcomes;
    for (validator, said) in &world.taken {
        assert_eq!(said.len(), 1, "{stands:?}: {validator} has voted twice");
    }
    assert_eq!(began.len(), ended.len(), "{stands:?}: every duty ends: {ended:?}");
    for asked in &world.asked {
        let is_bounded = asked.iter().zip(MAX_ASKED).all(|(asked, most)| *asked <= most);
        assert!(is_bounded, "{stands:?}: asked {asked:?} times");
    }
    let leads = outcomes.leads();
    if has_to_send(stands) {
        assert_eq!(leads.len(), 3, "{stands:?}: {ended:?}");
        assert!(leads.iter().all(|lead| *lead >= 0), "{stands:?}: {leads:?}");
        assert_eq!(world.taken.len(), 3, "{stands:?}: all have arrived");
    }
    if !stands.iter().any(|stand| stand.gives_data()) {
        assert!(leads.is_empty() && world.taken.is_empty(), "{stands:?}");
    }
}

/// Returns what became of a slot, in a line.
fn line(stands: &[Stand], outcomes: &Outcomes) -> String {
    let names: Vec<_> = stands.iter().map(|stand| stand.word()).collect();
    let leads = outcomes.leads();
    let lead = leads.iter().min().map_or("-".to_owned(), i64::to_string);
    let why: Vec<_> = outcomes.reasons().into_iter().map(Reason::word).collect();
    let [data, posts] = (0..2)
        .map(|of| outcomes.world.asked.iter().map(|asked| asked[of]).sum::<u64>())
        .collect::<Vec<_>>()[..]
    else {
        unreachable!("two sums");
    };
    let (sent, began, arrived) = (leads.len(), outcomes.began.len(), outcomes.world.taken.len());
    let why = if why.is_empty() { "-".to_owned() } else { why.join(",") };
    format!(
        "{:<28} {sent}/{began} {arrived:>7} {lead:>8} {data:>5} {posts:>5}  {why}",
        names.join(" + ")
    )
}

/// Runs every combination of so many stand-ins.
fn each(count: u32, mut look: impl FnMut(&[Stand], &Outcomes)) -> usize {
    let total = ALL.len().pow(count);
    for number in 0..total {
        let place = |at: u32| ALL[number / ALL.len().pow(at) % ALL.len()];
        let stands: Vec<Stand> = (0..count).rev().map(place).collect();
        let outcomes = run(&stands);
        check(&stands, &outcomes);
        look(&stands, &outcomes);
    }
    total
}

/// Sums up the combinations of three by what became of them.
fn summary(text: &mut String) {
    let mut classes: BTreeMap<(bool, String), (u64, i64)> = BTreeMap::new();
    let total = each(3, |stands, outcomes| {
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
    for count in 1..=2 {
        each(count, |stands, outcomes| {
            let _ = writeln!(text, "{}", line(stands, outcomes));
        });
    }
    summary(&mut text);
    print!("{text}");
    assert!(text == TABLE, "the committed table, stand_ins.txt, is another one:\n{text}");
}
