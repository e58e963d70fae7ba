//! Tells the listeners of events what becomes of the chain.
//!
//! **Contract.** A thread watches the view of the chain until the services end. A slow follower
//! skips views and never misses the last one, so the last `head` event names the head. Where the
//! new head does not descend from the old one, `chain_reorg` comes before `head`.
//!
//! An event needs a state. If the Rewinder has no room for the request, the event is owed: it is
//! asked for again at the next view, and every [`AGAIN`] until then. At most one head and one
//! checkpoint are owed, the newest. An event whose state cannot be had for another reason is left
//! out. What is owed when the services end is not told.

use std::sync::Arc;
use std::time::Duration;

use blocksmith::StateError;
use blocksmith::clearance::ChainView;
use blocksmith::rewinder::Lane;
use blocksmith_consensus::{
    BeaconState, Preset, Root, Slot, compute_epoch_at_slot, compute_start_slot_at_epoch,
    get_attester_dependent_root, get_block_root_at_slot, get_proposer_dependent_root,
};
use blocksmith_sync::RecvTimeoutError;

use super::beacon::Beacon;
use super::events::Topic;

/// How long the follower waits for a view before it asks again for the state of what it owes.
const AGAIN: Duration = Duration::from_millis(250);

/// The head that was told last.
struct Told<S> {
    root: Root,
    state: S,
}

/// What the follower reads and tells.
trait Chain {
    /// A state.
    type State;
    /// Returns the state of the view's head.
    fn state(&self, view: &ChainView<Root>) -> Result<Self::State, StateError>;
    /// Tells of the view's head, whose state this is, and of a re-org from the old one.
    fn head(&self, old: Option<&Told<Self::State>>, view: &ChainView<Root>, state: &Self::State);
    /// Tells of the view's finalised checkpoint.
    fn finalized(&self, view: &ChainView<Root>) -> Result<(), StateError>;
}

/// The newest view, and what of it is owed.
struct Follower<S> {
    view: ChainView<Root>,
    told: Option<Told<S>>,
    owes_head: bool,
    owes_finality: bool,
}

impl<S> Follower<S> {
    /// Begins with a view, of which nothing is told.
    fn new(chain: &impl Chain<State = S>, view: ChainView<Root>) -> Self {
        let told = chain.state(&view).ok().map(|state| Told { root: view.head, state });
        Self { view, told, owes_head: false, owes_finality: false }
    }

    fn owes(&self) -> bool {
        self.owes_head || self.owes_finality
    }

    /// Takes a view: what it has is owed in the place of what was.
    fn see(&mut self, next: ChainView<Root>) {
        let before = std::mem::replace(&mut self.view, next);
        if next.head != before.head {
            // The head may be again the one that was told last.
            self.owes_head = self.told.as_ref().is_none_or(|told| told.root != next.head);
        }
        self.owes_finality |= next.finalized != before.finalized;
    }

    /// Tells what is owed, as far as there is room for its requests.
    fn tell(&mut self, chain: &impl Chain<State = S>) {
        if self.owes_head {
            match chain.state(&self.view) {
                Ok(state) => {
                    chain.head(self.told.as_ref(), &self.view, &state);
                    self.told = Some(Told { root: self.view.head, state });
                    self.owes_head = false;
                }
                Err(error) => self.owes_head = is_owed(&error),
            }
        }
        if self.owes_finality {
            let outcome = chain.finalized(&self.view);
            self.owes_finality = outcome.is_err_and(|error| is_owed(&error));
        }
    }
}

/// Returns whether an event whose state could not be had is told later.
fn is_owed(error: &StateError) -> bool {
    let is_owed = matches!(error, StateError::Busy);
    if !is_owed {
        tracing::warn!(%error, "an event about the chain is left out");
    }
    is_owed
}

/// Follows the chain until the services end.
pub(super) fn follow<P: Preset>(beacon: &Arc<Beacon<P>>) {
    let mut chain = beacon.client.watch_chain();
    let mut follower = Follower::new(&**beacon, *chain.get_and_mark());
    loop {
        let next = if follower.owes() {
            chain.changed_timeout(AGAIN)
        } else {
            chain.changed().map_err(|_| RecvTimeoutError::Closed)
        };
        match next {
            Ok(next) => follower.see(*next),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Closed) => break,
        }
        follower.tell(&**beacon);
    }
}

impl<P: Preset> Chain for Beacon<P> {
    type State = BeaconState<P>;

    fn state(&self, view: &ChainView<Root>) -> Result<BeaconState<P>, StateError> {
        if view.head == self.genesis.root() {
            return Ok(self.genesis.state.clone());
        }
        let state = self.client.state_at(view.head, view.head_slot, Lane::Queries)?;
        self.keep(view.head, state.clone());
        Ok(state)
    }

    fn head(
        &self,
        old: Option<&Told<BeaconState<P>>>,
        view: &ChainView<Root>,
        state: &BeaconState<P>,
    ) {
        if let Some(old) = old {
            reorg(self, old, view, state);
        }
        head(self, view, state);
    }

    fn finalized(&self, view: &ChainView<Root>) -> Result<(), StateError> {
        finalized(self, view)
    }
}

fn head<P: Preset>(beacon: &Beacon<P>, view: &ChainView<Root>, state: &BeaconState<P>) {
    let epoch = compute_epoch_at_slot::<P>(view.head_slot);
    // The names are those of attester duties: of this epoch, and of the next one.
    let (Ok(previous), Ok(current)) =
        (get_attester_dependent_root(state, epoch), get_proposer_dependent_root(state, epoch))
    else {
        return;
    };
    let transition = view.head_slot.is_multiple_of(P::SLOTS_PER_EPOCH);
    let data = format!(
        concat!(
            r#"{{"slot":"{}","block":"{}","state":"{}","epoch_transition":{},"#,
            r#""previous_duty_dependent_root":"{}","current_duty_dependent_root":"{}","#,
            r#""execution_optimistic":false}}"#
        ),
        view.head_slot,
        view.head,
        state.hash_tree_root(),
        transition,
        previous,
        current
    );
    beacon.events.send(Topic::Head, &data);
}

/// Returns the root of the last block at or before `slot` in a state, whose own block is `root`.
fn root_at<P: Preset>(state: &BeaconState<P>, root: Root, slot: Slot) -> Option<Root> {
    if slot >= state.slot {
        return Some(root);
    }
    get_block_root_at_slot(state, slot).ok()
}

/// Tells of a re-org, if there is one.
fn reorg<P: Preset>(
    beacon: &Beacon<P>,
    old: &Told<BeaconState<P>>,
    view: &ChainView<Root>,
    state: &BeaconState<P>,
) {
    let at = |slot| (root_at(&old.state, old.root, slot), root_at(state, view.head, slot));
    let common = |slot: &Slot| matches!(at(*slot), (Some(old), Some(new)) if old == new);
    // Further back than states remember, the depth is not known, and the bound stands for it.
    let oldest = old.state.slot.saturating_sub(P::SLOTS_PER_HISTORICAL_ROOT - 1);
    let ancestor = (oldest..=old.state.slot).rev().find(common).unwrap_or(oldest);
    let depth = old.state.slot - ancestor;
    if depth == 0 {
        return;
    }
    let data = format!(
        concat!(
            r#"{{"slot":"{}","depth":"{}","old_head_block":"{}","new_head_block":"{}","#,
            r#""old_head_state":"{}","new_head_state":"{}","epoch":"{}","#,
            r#""execution_optimistic":false}}"#
        ),
        view.head_slot,
        depth,
        old.root,
        view.head,
        old.state.hash_tree_root(),
        state.hash_tree_root(),
        compute_epoch_at_slot::<P>(view.head_slot)
    );
    beacon.events.send(Topic::ChainReorg, &data);
}

fn finalized<P: Preset>(beacon: &Beacon<P>, view: &ChainView<Root>) -> Result<(), StateError> {
    let checkpoint = view.finalized;
    let known = beacon.recent.get(&checkpoint.root).map(|block| block.value().message.state_root);
    let state_root = match known {
        Some(state_root) => state_root,
        None => {
            // After a restart the block may not be here, but the state at the checkpoint names it.
            let Ok(slot) = compute_start_slot_at_epoch::<P>(checkpoint.epoch) else {
                return Ok(());
            };
            let state = beacon.client.state_at(checkpoint.root, slot, Lane::Queries)?;
            let header = &state.latest_block_header;
            let own = header.state_root == Root::ZERO;
            if own { state.hash_tree_root() } else { header.state_root }
        }
    };
    let (root, epoch) = (checkpoint.root, checkpoint.epoch);
    let data = format!(
        r#"{{"block":"{root}","state":"{state_root}","epoch":"{epoch}","execution_optimistic":false}}"#
    );
    beacon.events.send(Topic::FinalizedCheckpoint, &data);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use blocksmith::consensus::Checkpoint;

    use super::*;

    /// A chain whose states are numbers, behind a lane that may be full.
    #[derive(Default)]
    struct Scripted {
        error: RefCell<Option<StateError>>,
        asked: Cell<usize>,
        heard: RefCell<Vec<String>>,
    }

    impl Scripted {
        fn ask(&self) -> Result<(), StateError> {
            self.asked.set(self.asked.get() + 1);
            self.error.borrow().clone().map_or(Ok(()), Err)
        }

        fn fail(&self, error: Option<StateError>) {
            *self.error.borrow_mut() = error;
        }

        /// Returns what was told since the last call.
        fn heard(&self) -> Vec<String> {
            self.heard.take()
        }
    }

    impl Chain for Scripted {
        type State = u64;

        fn state(&self, view: &ChainView<Root>) -> Result<u64, StateError> {
            self.ask().map(|()| view.head_slot)
        }

        fn head(&self, old: Option<&Told<u64>>, view: &ChainView<Root>, state: &u64) {
            assert_eq!(*state, view.head_slot);
            let old = old.map_or(0, |old| old.state);
            self.heard.borrow_mut().push(format!("head {state} after {old}"));
        }

        fn finalized(&self, view: &ChainView<Root>) -> Result<(), StateError> {
            self.ask()?;
            self.heard.borrow_mut().push(format!("finalized {}", view.finalized.epoch));
            Ok(())
        }
    }

    /// A view whose head is the block of a slot.
    fn view(slot: u8, epoch: u64) -> ChainView<Root> {
        let checkpoint = Checkpoint { epoch, root: Root::from([99; 32]) };
        let head = Root::from([slot; 32]);
        ChainView { head, head_slot: slot.into(), justified: checkpoint, finalized: checkpoint }
    }

    fn started() -> (Scripted, Follower<u64>) {
        let chain = Scripted::default();
        let follower = Follower::new(&chain, view(1, 0));
        (chain, follower)
    }

    #[test]
    fn what_a_full_lane_refuses_is_told_when_there_is_room_and_only_the_newest() {
        // Two heads and two checkpoints while the lane is full; then there is room.
        let (chain, mut follower) = started();
        chain.fail(Some(StateError::Busy));
        for next in [view(2, 1), view(3, 2)] {
            follower.see(next);
            follower.tell(&chain);
            assert!(follower.owes() && chain.heard().is_empty());
        }
        follower.tell(&chain);
        chain.fail(None);
        follower.tell(&chain);
        assert_eq!(chain.heard(), ["head 3 after 1", "finalized 2"]);
        assert!(!follower.owes());
        let asked = chain.asked.get();
        follower.tell(&chain);
        assert_eq!(chain.asked.get(), asked);
    }

    #[test]
    fn a_head_that_was_told_last_is_not_told_again() {
        // The head changes while the lane is full, and changes back.
        let (chain, mut follower) = started();
        chain.fail(Some(StateError::Busy));
        follower.see(view(2, 0));
        follower.tell(&chain);
        chain.fail(None);
        follower.see(view(1, 0));
        follower.tell(&chain);
        assert!(chain.heard().is_empty() && !follower.owes());
        follower.see(view(4, 0));
        follower.tell(&chain);
        assert_eq!(chain.heard(), ["head 4 after 1"]);
    }

    #[test]
    fn what_cannot_be_had_for_another_reason_is_left_out() {
        // The Rewinder fails, once for each event; the next head is told.
        let (chain, mut follower) = started();
        chain.fail(Some(StateError::Fault("test".to_owned())));
        follower.see(view(2, 1));
        follower.tell(&chain);
        chain.fail(None);
        follower.tell(&chain);
        assert!(chain.heard().is_empty() && !follower.owes());
        follower.see(view(3, 1));
        follower.tell(&chain);
        assert_eq!(chain.heard(), ["head 3 after 1"]);
    }
}
