//! What must hold in every state of the composition.

use blocksmith::quarantine::Item;
use blocksmith::rewinder::Worker;
use stateright::Property;

use super::pipeline::{Pipeline, State};
use super::process::ToQuarantine;

/// Returns the properties; the module above says them in words.
pub(super) fn all() -> Vec<Property<Pipeline>> {
    vec![
        Property::always("no deadlock", |model: &Pipeline, state: &State| {
            state.at_rest() || model.can_step(state)
        }),
        Property::always("one verdict each", |model: &Pipeline, state: &State| {
            let final_state = state.at_rest() && !model.can_step(state);
            let enough = |answers: usize, asked: bool| {
                answers <= 1 && (!final_state || answers == usize::from(asked))
            };
            state.answers.iter().zip(&state.submitted).all(|(a, asked)| enough(a.len(), *asked))
                && state.query_answers.iter().zip(&state.queried).all(|(a, q)| enough(*a, *q))
        }),
        Property::always("right verdicts", |model: &Pipeline, state: &State| {
            state
                .answers
                .iter()
                .zip(&model.scenario.items)
                .all(|(answers, (_, allowed))| answers.iter().all(|word| allowed.contains(word)))
        }),
        Property::always("parent first", |_: &Pipeline, state: &State| state.too_early.is_empty()),
        Property::always("nobody stranded", nobody_stranded),
        Property::always("bounded queues", bounded_queues),
        Property::always("head committed", |_: &Pipeline, state: &State| {
            let view = state.clearance.machine.view();
            [view.head, view.justified.root, view.finalized.root]
                .iter()
                .all(|root| state.committed.contains(root))
        }),
    ]
}

fn nobody_stranded(model: &Pipeline, state: &State) -> bool {
    if !state.at_rest() || model.can_step(state) {
        return true;
    }
    let machine = &state.quarantine.machine;
    let decided = |root| machine.knows(root) || machine.is_unviable(root);
    let in_orphans = state.quarantine.orphans.parked.iter().any(|(_, item)| match item.item() {
        Item::Block(block) => decided(block.parent),
        Item::Attestation(_) => false,
    });
    let all_came = state.submitted.iter().all(|submitted| *submitted);
    !in_orphans
        && !machine.awaited_roots().into_iter().any(decided)
        && (!all_came || machine.pending().is_empty())
}

fn bounded_queues(model: &Pipeline, state: &State) -> bool {
    let scenario = &model.scenario;
    let network = state.quarantine.mailbox.iter().filter(|message| !message.is_reply()).count();
    // Quarantine's shell reserves this many slots for replies.
    let replies =
        scenario.window + (scenario.capacity + 2) + (1 + scenario.capacity + scenario.window);
    let outstanding = state.quarantine.machine.in_flight() + state.imports_under_way();
    network <= scenario.capacity
        && outstanding <= replies
        && state.quarantine.machine.in_flight() <= scenario.window
        && state.hot_db.mailbox.len() <= scenario.capacity
        && state.clearance.asked <= 2
        && state.refused == 0
}

impl Pipeline {
    pub(super) fn can_step(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.steps(state, &mut actions);
        !actions.is_empty()
    }
}

impl State {
    /// Returns whether nothing is queued, under way or held by a process.
    pub(super) fn at_rest(&self) -> bool {
        self.quarantine.mailbox.is_empty()
            && self.quarantine.work.is_empty()
            && self.quarantine.orphans.looked_up.is_empty()
            && self.clearance.mailbox.is_empty()
            && self.clearance.work.is_empty()
            && self.hot_db.mailbox.is_empty()
            && self.hot_db.waits_for.is_none()
            && self.lanes.waiting() == 0
            && self.workers.iter().all(|worker| {
                worker.machine == Worker::Idle && worker.work.is_empty() && worker.inbox.is_none()
            })
    }

    /// Returns how many messages Clearance has yet to answer, or has answered unread.
    fn imports_under_way(&self) -> usize {
        let unread = |message: &&ToQuarantine| matches!(message, ToQuarantine::Imported { .. });
        self.clearance.mailbox.len()
            + usize::from(!self.clearance.work.is_empty())
            + self.quarantine.mailbox.iter().filter(unread).count()
    }
}
