//! What must hold in every state.

use std::collections::BTreeMap;

use blocksmith::quarantine::{Item, ItemId};
use blocksmith::toy::ToyAggregate;
use blocksmith::verdict::{IgnoreReason, PendingReason};
use stateright::Property;

use super::model::{Firewall, History, State};

pub(super) fn all() -> Vec<Property<Firewall>> {
    let always = Property::<Firewall>::always;
    vec![
        always("one verdict each", |_, state| {
            state.log.items.iter().all(|item| item.verdicts.len() <= 1)
        }),
        always("nothing is lost", nothing_is_lost),
        always("what is ready goes off", what_is_ready_goes_off),
        always("a peer waits for few of others", |model, state| {
            let items = model.palette.iter().zip(&state.log.items);
            let mut of_peers = items.filter(|(handed, _)| handed.in_share);
            of_peers.all(|(_, item)| item.overtaken <= model.counts.overtaken)
        }),
        always("a peer below its share finds room", |model, state| {
            let full = ["quarantine_full", "evicted", "peer_quota"];
            let items = model.palette.iter().zip(&state.log.items);
            let mut of_peers = items.filter(|(handed, _)| handed.in_share);
            of_peers.all(|(_, item)| item.verdicts.iter().all(|word| !full.contains(&word.reason)))
        }),
        always("checks under way fit the window", |model, state| {
            state.checks.len() <= model.counts.window
        }),
        always("what is held is bounded", |model, state| {
            state.log.items.iter().filter(|item| is_pending(item)).count() <= model.counts.held
        }),
        always("few blocks of one proposer are imported", few_imports),
        always("one block of a proposer is passed on", one_is_passed_on),
        always("what others wait for is let in", |_, state| !state.log.refused_what_is_awaited),
        always("what an honest peer builds on is let in", |_, state| {
            !state.log.ignored_what_is_built_on
        }),
        always("nothing waits beyond its patience", patience_ends),
        always("no valid item is rejected", |model, state| {
            let items = model.palette.iter().zip(&state.log.items);
            let mut valid = items.filter(|(handed, _)| handed.valid);
            valid.all(|(_, item)| item.verdicts.iter().all(|word| word.class != "invalid"))
        }),
        always("one vote of a validator is accepted", one_vote),
        always("two votes of a validator are shown", two_are_shown),
        always("no part of an aggregate is accepted after it", no_part),
        always("an item is checked once", |_, state| {
            state.log.items.iter().all(|item| item.checks <= 1)
        }),
        always("a forged copy takes nothing from a block", nothing_is_shadowed),
        always("what is missing is asked for again", is_asked_for),
        always("what was released is not parked again", |_, state| !state.log.parked_again),
        always("nothing waits for a slot that has come", no_slot_is_missed),
        always("nothing waits for a block that is there", no_block_is_missed),
        always("nothing waits for a payload that is there", no_payload_is_missed),
    ]
}

fn is_asked_for(model: &Firewall, state: &State) -> bool {
    let is_in_share = |root| {
        let mut blocks = model.palette.iter().filter(|handed| handed.in_share);
        blocks.any(|handed| handed.block().is_some_and(|block| block.parent == root))
    };
    let slow = model.counts.slow;
    let mut roots =
        state.log.asked.iter().filter(|(root, _)| slow.is_none() || is_in_share(**root));
    roots.all(|(_, (first, count))| {
        let waited = state.slot.saturating_sub(*first) / slow.unwrap_or(1);
        *count > waited.saturating_add(1).ilog2()
    })
}

fn is_pending(item: &History) -> bool {
    item.sent.is_some() && item.verdicts.is_empty()
}

/// Returns what waits, by its place in the palette, and for what.
fn waiting(model: &Firewall, state: &State) -> Vec<(usize, PendingReason)> {
    let pending = state.machine.pending().into_iter();
    let waits = pending.filter(|(_, why)| *why != PendingReason::BeingChecked);
    let numbers = waits.map(|(id, why)| (id as usize, why));
    numbers.filter(|(number, _)| *number < model.palette.len()).collect()
}

fn nothing_is_lost(_: &Firewall, state: &State) -> bool {
    let pending = state.machine.pending();
    state.log.items.iter().enumerate().filter(|(_, item)| is_pending(item)).all(|(number, _)| {
        pending.iter().any(|(id, _)| *id == number as ItemId)
            || state.front.looked_up == Some(number)
            || state.front.parked.iter().any(|(_, parked)| *parked == number)
    })
}

fn what_is_ready_goes_off(_: &Firewall, state: &State) -> bool {
    let is_quiet = state.checks.is_empty() && state.importing.is_empty() && state.front.is_quiet();
    let pending = state.machine.pending();
    !is_quiet || pending.iter().all(|(_, why)| *why != PendingReason::BeingChecked)
}

fn few_imports(model: &Firewall, state: &State) -> bool {
    // The proposer of a toy block is its slot.
    let mut counts = BTreeMap::new();
    for block in &state.log.cleared {
        *counts.entry(block.slot).or_insert(0) += 1;
    }
    counts.into_values().all(|count: usize| count <= model.counts.imports)
}

fn one_is_passed_on(model: &Firewall, state: &State) -> bool {
    let mut counts = BTreeMap::new();
    for (handed, item) in model.palette.iter().zip(&state.log.items) {
        let is_passed_on = item.verdicts.iter().any(|word| word.relay);
        if let (Some(block), true) = (handed.block(), is_passed_on) {
            *counts.entry(block.slot).or_insert(0) += 1;
        }
    }
    counts.into_values().all(|count: usize| count <= 1)
}

fn patience_ends(model: &Firewall, state: &State) -> bool {
    waiting(model, state).into_iter().all(|(number, _)| {
        let sent = state.log.items[number].sent;
        sent.is_some_and(|(slot, _)| state.slot.saturating_sub(slot) < model.counts.patience)
    })
}

fn one_vote(model: &Firewall, state: &State) -> bool {
    let votes = state.log.accepted.iter().filter_map(|number| model.palette[*number].voter());
    let mut votes: Vec<_> = votes.collect();
    let all = votes.len();
    votes.sort_unstable();
    votes.dedup();
    votes.len() == all
}

fn two_are_shown(model: &Firewall, state: &State) -> bool {
    let second = IgnoreReason::SecondVote.word();
    let mut votes = BTreeMap::new();
    for (handed, item) in model.palette.iter().zip(&state.log.items) {
        let Item::Single { attestation, .. } = &handed.item else { continue };
        let mut verdicts = item.verdicts.iter();
        let has_voted = verdicts.any(|word| word.class == "valid" || word.reason == second);
        if let (Some(voter), true, true) = (handed.voter(), handed.valid, has_voted) {
            let (decided, shown) = votes.entry(voter).or_insert((0, 0));
            *decided += 1;
            *shown += usize::from(state.log.shown.contains(&attestation.id));
        }
    }
    votes.into_values().all(|(decided, shown): (usize, usize)| shown >= decided.min(2))
}

fn no_part(model: &Firewall, state: &State) -> bool {
    let aggregates = state.log.accepted.iter().filter_map(|number| {
        let Item::Aggregate(aggregate) = model.palette[*number].item else { return None };
        Some(aggregate)
    });
    let aggregates: Vec<ToyAggregate> = aggregates.collect();
    aggregates.iter().enumerate().all(|(place, later)| {
        let mut earlier = aggregates[..place].iter().filter(|other| other.data == later.data);
        earlier.all(|earlier| later.voters & !earlier.voters != 0)
    })
}

fn nothing_is_shadowed(model: &Firewall, state: &State) -> bool {
    let items = || model.palette.iter().zip(&state.log.items);
    items().filter(|(handed, _)| handed.valid).all(|(handed, item)| {
        let Some(block) = handed.block() else { return true };
        let duplicate = IgnoreReason::Duplicate.word();
        let is_duplicate = item.verdicts.iter().any(|word| word.reason == duplicate);
        let is_held = || items().any(|(other, it)| other.item == handed.item && is_pending(it));
        !is_duplicate || state.log.imported.contains(&block.root) || is_held()
    })
}

fn no_slot_is_missed(model: &Firewall, state: &State) -> bool {
    let mut waits = waiting(model, state).into_iter();
    waits.all(|(number, why)| {
        let block = model.palette[number].block();
        why != PendingReason::FutureSlot || block.is_none_or(|block| block.slot > state.slot)
    })
}

fn no_payload_is_missed(model: &Firewall, state: &State) -> bool {
    waiting(model, state).into_iter().all(|(number, why)| {
        let block = model.palette[number].block();
        why != PendingReason::UnknownPayload
            || block.is_none_or(|block| !state.log.payloads.contains(&block.parent))
    })
}

fn no_block_is_missed(model: &Firewall, state: &State) -> bool {
    let in_front = state.front.parked.iter().map(|(root, _)| *root);
    let in_machine = waiting(model, state).into_iter().filter_map(|(number, why)| {
        let block = match &model.palette[number].item {
            Item::Block(block) => block.parent,
            Item::Single { attestation, .. } | Item::Attestation(attestation) => attestation.head,
            Item::Aggregate(aggregate) => aggregate.head,
            Item::PayloadVote(vote) => vote.block,
            Item::Operation(_) => return None,
        };
        let waits = [PendingReason::UnknownParent, PendingReason::UnknownBlock].contains(&why);
        waits.then_some(block)
    });
    in_machine.chain(in_front).all(|root| !state.log.imported.contains(&root))
}
