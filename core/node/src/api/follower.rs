//! Tells the listeners of events what becomes of the chain.
//!
//! **Contract.** A thread watches the view of the chain until the services end. A slow follower
//! skips views and never misses the last one, so the last `head` event names the head. Where the
//! new head does not descend from the old one, `chain_reorg` comes before `head`.

use std::sync::Arc;

use blocksmith::clearance::ChainView;
use blocksmith::rewinder::Lane;
use blocksmith_consensus::{
    BeaconState, Preset, Root, Slot, compute_epoch_at_slot, compute_start_slot_at_epoch,
    get_attester_dependent_root, get_block_root_at_slot, get_proposer_dependent_root,
};

use super::beacon::Beacon;
use super::events::Topic;

/// The head that was told last.
struct Told<P: Preset> {
    root: Root,
    state: BeaconState<P>,
}

/// Follows the chain until the services end.
pub(super) fn follow<P: Preset>(beacon: &Arc<Beacon<P>>) {
    let mut chain = beacon.client.watch_chain();
    let mut view = *chain.get_and_mark();
    let mut told = state_of(beacon, &view).map(|state| Told { root: view.head, state });
    while let Ok(next) = chain.changed() {
        let before = std::mem::replace(&mut view, *next);
        if view.head != before.head
            && let Some(state) = state_of(beacon, &view)
        {
            if let Some(old) = &told {
                reorg(beacon, old, &view, &state);
            }
            head(beacon, &view, &state);
            told = Some(Told { root: view.head, state });
        }
        if view.finalized != before.finalized {
            finalized(beacon, &view);
        }
    }
}

fn state_of<P: Preset>(beacon: &Beacon<P>, view: &ChainView<Root>) -> Option<BeaconState<P>> {
    if view.head == beacon.genesis.root() {
        return Some(beacon.genesis.state.clone());
    }
    let state = beacon.client.state_at(view.head, view.head_slot, Lane::Queries);
    if let Ok(state) = &state {
        beacon.keep(view.head, state.clone());
    }
    state.inspect_err(|error| tracing::warn!(%error, "an event about the head is left out")).ok()
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
    old: &Told<P>,
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

fn finalized<P: Preset>(beacon: &Beacon<P>, view: &ChainView<Root>) {
    let checkpoint = view.finalized;
    let state_root =
        beacon.recent.get(&checkpoint.root).map(|block| block.value().message.state_root);
    let state_root = state_root.or_else(|| {
        // After a restart the block may not be here, but the state at the checkpoint names it.
        let slot = compute_start_slot_at_epoch::<P>(checkpoint.epoch).ok()?;
        let state = beacon.client.state_at(checkpoint.root, slot, Lane::Queries).ok()?;
        let header = &state.latest_block_header;
        let own = header.state_root == Root::ZERO;
        Some(if own { state.hash_tree_root() } else { header.state_root })
    });
    let Some(state_root) = state_root else { return };
    let (root, epoch) = (checkpoint.root, checkpoint.epoch);
    let data = format!(
        r#"{{"block":"{root}","state":"{state_root}","epoch":"{epoch}","execution_optimistic":false}}"#
    );
    beacon.events.send(Topic::FinalizedCheckpoint, &data);
}
