//! The properties that hold in every state of the composition.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use blocksmith::clearance::shell::STATE_REQUESTS;
use blocksmith::quarantine::Item;
use blocksmith::quarantine::shell::Slots;
use stateright::Property;

use super::pipeline::{Pipeline, State};
use super::scenario::Scenario;

/// Returns the properties. The documentation of [`super`] states each of them in words.
pub(super) fn all() -> Vec<Property<Pipeline>> {
    vec![
        Property::always("no deadlock", |model: &Pipeline, state: &State| {
            state.at_rest() || model.can_step(state)
        }),
        Property::always("one verdict each", |model: &Pipeline, state: &State| {
            let at_end = state.at_rest() && !model.can_step(state);
            let enough = |answers: usize, asked: bool, excused: bool| {
                answers <= 1 && (!at_end || answers == usize::from(asked) || excused)
            };
            let items = state.wires.answers.iter().zip(&state.submitted).enumerate();
            items.into_iter().all(|(index, (words, asked))| {
                enough(words.len(), *asked, at_end && model.waits_for_one_given_up(state, index))
            }) && state
                .wires
                .query_answers
                .iter()
                .zip(&state.queried)
                .all(|(n, q)| enough(*n, *q, false))
        }),
        Property::always("right verdicts", |model: &Pipeline, state: &State| {
            state
                .wires
                .answers
                .iter()
                .zip(&model.scenario.items)
                .all(|(answers, (_, allowed))| answers.iter().all(|word| allowed.contains(word)))
        }),
        Property::always("parent first", |_: &Pipeline, state: &State| {
            state.wires.too_early.is_empty()
        }),
        Property::always("checked once", |_: &Pipeline, state: &State| {
            state.wires.checked_again.is_empty()
        }),
        Property::always("imported", |_: &Pipeline, state: &State| state.wires.missing.is_empty()),
        Property::always("nobody stranded", nobody_stranded),
        Property::always("bounded queues", bounded_queues),
        Property::always("head committed", |_: &Pipeline, state: &State| {
            let view = state.machines.clearance.view();
            [view.head, view.justified.root, view.finalized.root]
                .iter()
                .all(|root| state.wires.committed.contains(root))
        }),
    ]
}

fn nobody_stranded(model: &Pipeline, state: &State) -> bool {
    if !state.at_rest() || model.can_step(state) {
        return true;
    }
    let machine = &state.machines.quarantine;
    let decided = |root| machine.knows(root) || machine.is_unviable(root);
    let in_orphans = state.wires.orphans.parked.iter().any(|(_, item)| match item.item() {
        Item::Block(block) => decided(block.parent),
        _ => false,
    });
    let all_came = state.submitted.iter().all(|submitted| *submitted);
    !in_orphans
        && !machine.awaited_roots().into_iter().any(decided)
        && (!all_came
            || machine
                .pending()
                .iter()
                .all(|(id, _)| model.waits_for_one_given_up(state, *id as usize)))
}

fn bounded_queues(model: &Pipeline, state: &State) -> bool {
    let Scenario { window, capacity, .. } = model.scenario;
    let wires = &state.wires;
    let slots = Slots::for_clearance(capacity, window, capacity);
    let of_network = wires.quarantine.mailbox.iter().filter(|message| !message.is_reply());
    let of_quarantine = wires.clearance.mailbox.iter().filter(|message| !message.is_reply());
    of_network.count() <= slots.network
        && wires.reserved <= slots.replies
        && state.machines.quarantine.in_flight() <= window
        && of_quarantine.count() <= capacity
        && wires.asked <= STATE_REQUESTS
        && wires.hot_db.len() <= capacity
        && wires.refused == 0
}

impl Pipeline {
    /// Returns whether an item waits for a block that was given up without being judged. The block
    /// may come again, so the item may go on waiting.
    fn waits_for_one_given_up(&self, state: &State, index: usize) -> bool {
        const GIVEN_UP: [&str; 3] = ["evicted", "quarantine_full", "hot_db_full"];
        let awaited = match &self.scenario.items[index].0 {
            Item::Block(block) => block.parent,
            Item::Attestation(attestation) | Item::Single { attestation, .. } => attestation.head,
            Item::Aggregate(aggregate) => aggregate.head,
            Item::PayloadVote(vote) => vote.block,
            // An operation waits for nothing.
            Item::Operation(_) => return false,
        };
        let mut copies =
            self.scenario.items.iter().zip(&state.wires.answers).filter_map(|(item, words)| {
                matches!(&item.0, Item::Block(block) if block.root == awaited).then_some(words)
            });
        copies.any(|words| words.iter().any(|word| GIVEN_UP.contains(word)))
    }

    pub(super) fn can_step(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.steps(state, &mut actions);
        actions.into_iter().any(|action| self.step(state, action).is_some())
    }
}

/// Returns, for each item, the words of every verdict that it gets in some interleaving. A test
/// thereby checks that each verdict that a scenario allows does occur. Blocks until every state is
/// visited.
#[must_use]
pub fn verdicts_that_occur(scenario: Scenario) -> Vec<BTreeSet<&'static str>> {
    let model = Pipeline::new(scenario, None);
    let mut occur = vec![BTreeSet::new(); model.scenario.items.len()];
    let mut queue: Vec<State> = vec![model.init()];
    let mut seen: HashSet<u64> = HashSet::new();
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut actions = Vec::new();
    while let Some(state) = queue.pop() {
        for (words, answers) in occur.iter_mut().zip(&state.wires.answers) {
            words.extend(answers);
        }
        model.steps(&state, &mut actions);
        for action in actions.drain(..) {
            let next = model.step(&state, action);
            queue.extend(next.filter(|next| seen.insert(hasher.hash_one(next))));
        }
    }
    occur
}
