//! The machines of the services as they are when the threads start: new, or rebuilt from a store.

use crate::blocksmith::config::Config;
use crate::blocksmith::service::{Anchor, StartError};
use crate::clearance::Clearance;
use crate::cold_db::{Bounds, ColdDb, Effect, Event, Recovered, Resumed, recover};
use crate::consensus::{Checkpoint, Consensus};
use crate::fork_choice;
use crate::hot_db::{HotDb, StateAt};
use crate::machine::Machine;
use crate::quarantine::Quarantine;
use crate::store::{Store, StoreError};

/// One machine for each service but the Rewinder, whose workers make theirs. They are boxed: they
/// are handed on a few times, and a checker's stacks are small.
pub(super) struct Machines<C: Consensus> {
    pub(super) hot_db: Box<HotDb<C>>,
    pub(super) clearance: Box<Clearance<C>>,
    pub(super) quarantine: Box<Quarantine<C>>,
    /// `None` without a store.
    pub(super) cold_db: Option<ColdDb<C>>,
    /// From where they go on, if the store was not empty.
    pub(super) resumed: Option<Resumed<C::Root>>,
}

impl<C: Consensus> Machines<C> {
    /// Returns the machines for `anchor`, or for what the store holds. What there is to be written
    /// at once is written when this returns.
    pub(super) fn new(
        config: &Config,
        consensus: &C,
        anchor: Anchor<C>,
        store: Option<&mut dyn Store<C>>,
    ) -> Result<Self, StartError> {
        let bounds = Bounds {
            hot_db: config.hot_db,
            cold_db: config.cold_db,
            quarantine: config.quarantine,
            clearance: config.clearance,
            fork_choice: fork_choice::Config {
                proposer_score_boost_percent: config.proposer_score_boost_percent,
                ..fork_choice::Config::new(consensus.slots_per_epoch())
            },
        };
        let Some(store) = store else { return Self::of_anchor(&bounds, consensus, anchor) };
        let mut machines = match store.load()? {
            Some(loaded) => {
                let recovered = recover(consensus, &bounds, loaded)?;
                let Recovered { hot_db, clearance, quarantine, cold_db, resumed } = recovered;
                let (cold_db, resumed) = (Some(cold_db), Some(resumed));
                let (hot_db, clearance) = (Box::new(hot_db), Box::new(clearance));
                Self { hot_db, clearance, quarantine: Box::new(quarantine), cold_db, resumed }
            }
            None => {
                let (root, slot, state) = (anchor.root, anchor.slot, anchor.state.clone());
                let checkpoint = Checkpoint { epoch: consensus.epoch_at(slot), root };
                let cold_db =
                    ColdDb::new(bounds.cold_db, checkpoint, StateAt { root, slot, state });
                Self { cold_db: Some(cold_db), ..Self::of_anchor(&bounds, consensus, anchor)? }
            }
        };
        if let Some(cold_db) = &mut machines.cold_db {
            commit(consensus, cold_db, store)?;
        }
        Ok(machines)
    }

    #[inline(never)]
    fn of_anchor(bounds: &Bounds, consensus: &C, anchor: Anchor<C>) -> Result<Self, StartError> {
        let balances = consensus.balances(&anchor.state);
        let balances = balances.map_err(|error| StartError::Anchor(error.to_string()))?;
        let Anchor { root, slot, state } = anchor;
        let finalized = Checkpoint { epoch: consensus.epoch_at(slot), root };
        Ok(Self {
            hot_db: Box::new(HotDb::new(consensus, bounds.hot_db, root, slot, state)),
            clearance: Box::new(Clearance::with_limits(
                bounds.fork_choice,
                bounds.clearance,
                root,
                slot,
                balances,
            )),
            quarantine: Box::new(Quarantine::new(bounds.quarantine, finalized, slot)),
            cold_db: None,
            resumed: None,
        })
    }
}

/// Commits what the ColdDB has gathered before there is a thread to do it.
fn commit<C: Consensus>(
    consensus: &C,
    cold_db: &mut ColdDb<C>,
    store: &mut dyn Store<C>,
) -> Result<(), StoreError> {
    for effect in cold_db.handle(consensus, Event::Flush) {
        let Effect::Commit(writes) = effect else { continue };
        store.commit(&writes)?;
        // Nobody listens yet for what follows: that finality is durable.
        cold_db.handle(consensus, Event::Committed(Ok(())));
    }
    Ok(())
}
