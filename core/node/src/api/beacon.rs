//! What every handler works with: the services, the clock, and the way from an identifier to a
//! state or a block.
//!
//! **Invariants.**
//! - B1 What an answer says of a state or block (`finalized`, `execution_optimistic`) comes from
//!   the view of the chain by which the state or block was found.
//! - B2 No handler blocks a thread of the runtime: services are asked by their async forms. What
//!   reads the store or takes long to compute runs on threads of its own, at most as many as there
//!   are permits.
//! - B3 A phase0 chain has no execution payload, so nothing is optimistic.
//! - B4 What a view names may be dropped as soon as the chain has moved on. So a name is looked up
//!   again, in the view of then, before it is answered that there is nothing of that name.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use blocksmith::clearance::ChainView;
use blocksmith::consensus::Checkpoint;
use blocksmith::rewinder::Lane;
use blocksmith::{Client, ReadError, StateError};
use blocksmith_consensus::{
    BeaconBlock, BeaconState, ChainConfig, Epoch, FromJson, Phase0, Preset, Root, SharedBlock,
    SignedBeaconBlock, Slot, Wire, compute_epoch_at_slot, compute_start_slot_at_epoch, decode_list,
    get_block_root_at_slot,
};
use blocksmith_sync::{Std, watch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::broadcast::Broadcast;
use super::clock::SlotClock;
use super::dump::Dump;
use super::error::ApiError;
use super::eth1::Eth1Votes;
use super::events::Hub;
use super::node::Parts;
use super::payloads::{Arrivals, PayloadFigures};
use super::recent::Recent;
use super::request::{Asked, parse};
use super::requests::Requests;
use super::server::Limits;
use super::validator::VoteCache;
use crate::metrics::VerdictTimes;

/// Views in which one name is looked up, at most (B4).
const VIEWS: usize = 3;
/// Computations at a time, beside those of the services.
const COMPUTATIONS: usize = 4;
/// KiB of large bodies that are held at a time.
const BODIES: usize = 64 << 10;
/// Bytes of a body that is parsed at once, on the runtime's thread.
const AT_ONCE: usize = 16 << 10;
/// Slots that a state is advanced by one task after a long gap; the HotDB allows twice as many.
const LEG: u64 = 1 << 12;
/// Legs of a duty, at most: a gap of 36 days on mainnet.
const LEGS: u64 = 64;
/// Elements of a list in SSZ. The body's limit admits fewer of any kind that is read.
const MAX_LIST: usize = 1 << 16;

/// How the chain begins.
pub(super) struct Genesis<P: Preset> {
    pub(super) state: BeaconState<P>,
    pub(super) state_root: Root,
    pub(super) block: SharedBlock,
}

impl<P: Preset> Genesis<P> {
    pub(super) fn new(state: BeaconState<P>) -> Self {
        let state_root = state.hash_tree_root();
        let message = BeaconBlock { state_root, ..BeaconBlock::default() };
        let block = SignedBeaconBlock { message, ..SignedBeaconBlock::default() };
        Self { state, state_root, block: block.into() }
    }

    /// Returns the root of the genesis block.
    pub(super) fn root(&self) -> Root {
        self.block.root()
    }
}

/// What every handler works with; see the module's text.
pub(super) struct Beacon<P: Preset> {
    pub(super) client: Client<Std, Phase0<P>>,
    pub(super) chain: watch::Receiver<Std, ChainView<Root>>,
    pub(super) genesis: Genesis<P>,
    pub(super) clock: SlotClock,
    pub(super) network: Arc<dyn Broadcast>,
    pub(super) events: Hub,
    pub(super) recent: Recent,
    pub(super) votes: VoteCache,
    pub(super) times: VerdictTimes,
    pub(super) offences: Offences,
    pub(super) requests: Requests,
    /// Used in the test fork alone.
    pub(super) arrivals: Arrivals,
    pub(super) payload_figures: PayloadFigures,
    pub(super) limits: Limits,
    pub(super) eth1: Option<Arc<dyn Eth1Votes>>,
    /// The state of the head that was asked for last, so that questions about the head need not go
    /// through the services.
    latest: Mutex<Option<(Root, BeaconState<P>)>>,
    pub(super) dump: Option<Dump>,
    computations: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

/// How often validators were seen to commit a slashable offence.
#[derive(Debug, Default)]
pub(super) struct Offences {
    pub(super) double_blocks: AtomicU64,
    pub(super) double_votes: AtomicU64,
    pub(super) surround_votes: AtomicU64,
}

/// A state, and what is said of it.
pub(super) struct Found<P: Preset> {
    pub(super) state: BeaconState<P>,
    pub(super) finalized: bool,
}

/// A block, and what is said of it.
pub(super) struct FoundBlock {
    pub(super) block: SharedBlock,
    pub(super) finalized: bool,
    /// Whether it is on the chain of the head.
    pub(super) canonical: bool,
}

impl<P: Preset> Beacon<P> {
    pub(super) fn new(
        client: Client<Std, Phase0<P>>,
        genesis: Genesis<P>,
        clock: SlotClock,
        network: Arc<dyn Broadcast>,
        dump: Option<Dump>,
        parts: Parts,
    ) -> Self {
        Self {
            chain: client.watch_chain(),
            client,
            genesis,
            clock,
            network,
            events: Hub::default(),
            recent: Recent::default(),
            votes: VoteCache::default(),
            times: VerdictTimes::default(),
            offences: Offences::default(),
            requests: Requests::default(),
            arrivals: Arrivals::default(),
            payload_figures: PayloadFigures::default(),
            limits: parts.limits,
            eth1: parts.eth1,
            latest: Mutex::default(),
            dump,
            computations: Arc::new(Semaphore::new(COMPUTATIONS)),
            bodies: Arc::new(Semaphore::new(BODIES)),
        }
    }

    pub(super) fn config(&self) -> &ChainConfig {
        self.client.consensus().config()
    }

    /// Returns the latest view of the chain.
    pub(super) fn view(&self) -> ChainView<Root> {
        *self.chain.get()
    }

    /// Returns the epoch of the clock.
    pub(super) fn epoch(&self) -> Epoch {
        compute_epoch_at_slot::<P>(self.clock.slot())
    }

    /// # Errors
    /// 503 while the node still fetches the chain.
    pub(super) fn synced(&self) -> Result<(), ApiError> {
        if self.network.is_syncing() {
            return Err(ApiError::unavailable("the node is syncing"));
        }
        Ok(())
    }

    /// Runs a computation on a thread of its own (B2).
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let stopping = |_| ApiError::unavailable("the node is stopping");
        let permit = self.computations.clone().acquire_owned().await.map_err(stopping)?;
        let work = move || {
            let result = work();
            drop(permit);
            result
        };
        // The other error is that the work has panicked, or that the runtime ends.
        let lost = |_| ApiError::fault("the computation was lost");
        tokio::task::spawn_blocking(work).await.map_err(lost)
    }

    /// Takes all threads for computations, for as long as what is returned lives.
    #[cfg(test)]
    pub(super) fn take_computations(&self) -> OwnedSemaphorePermit {
        let permits = u32::try_from(COMPUTATIONS).expect("a small number");
        self.computations.clone().try_acquire_many_owned(permits).expect("nobody has one")
    }

    /// Awaits room for a large body.
    pub(super) async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let stopping = |_| ApiError::unavailable("the node is stopping");
        let kib = u32::try_from(bytes.div_ceil(1024).min(BODIES)).unwrap_or(u32::MAX);
        self.bodies.clone().acquire_many_owned(kib).await.map_err(stopping)
    }

    /// Returns the value of a JSON body. A large one is parsed on a thread of its own.
    pub(super) async fn read<T: FromJson + Send + 'static>(
        &self,
        asked: &Asked,
    ) -> Result<T, ApiError> {
        asked.not_ssz()?;
        if asked.body.len() <= AT_ONCE {
            return asked.json();
        }
        let body = asked.body.clone();
        let parse = move || T::from_json_text(&body);
        self.compute(parse).await?.map_err(|error| ApiError::bad_request(error.to_string()))
    }

    /// Returns the list in a body of JSON or SSZ, with at most [`MAX_LIST`] elements in SSZ.
    pub(super) async fn read_list<T>(&self, asked: &Asked) -> Result<Vec<T>, ApiError>
    where
        T: FromJson + Wire + Send + 'static,
    {
        if !asked.is_ssz()? {
            return self.read(asked).await;
        }
        let body = asked.body.clone();
        let list = move || {
            let list = decode_list::<T, MAX_LIST>(&body);
            list.map_err(|error| ApiError::bad_request(format!("malformed SSZ: {error}")))
        };
        if asked.body.len() <= AT_ONCE { list() } else { self.compute(list).await? }
    }

    /// Returns the state of a block, advanced to `slot`.
    pub(super) async fn state_at(
        &self,
        root: Root,
        slot: Slot,
        lane: Lane,
    ) -> Result<BeaconState<P>, ApiError> {
        if (root, slot) == (self.genesis.root(), 0) {
            return Ok(self.genesis.state.clone());
        }
        let known = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, state)) = known.filter(|(of, state)| (*of, state.slot) == (root, slot)) {
            return Ok(state);
        }
        let state = match self.client.state_at_async(root, slot, lane).await {
            Err(StateError::TooFar) if lane == Lane::Duties => self.in_legs(root, slot).await?,
            state => state?,
        };
        let view = self.view();
        if (root, slot) == (view.head, view.head_slot) {
            self.keep(root, state.clone());
        }
        Ok(state)
    }

    /// Returns the state of the head at a slot that lies too far ahead for one task, as after a
    /// long gap without blocks: a validator's duty is what ends it. The states on the way are kept
    /// by the HotDB, so later calls begin at the last of them.
    ///
    /// # Errors
    /// Those of the client; `TooFar` for another block, or beyond [`LEGS`] legs.
    async fn in_legs(&self, root: Root, slot: Slot) -> Result<BeaconState<P>, StateError> {
        let view = self.view();
        let legs = slot.saturating_sub(view.head_slot) / LEG;
        if root != view.head || legs > LEGS {
            return Err(StateError::TooFar);
        }
        let at = |slot| self.client.state_at_async(root, slot, Lane::Duties);
        // The last leg that one task reaches: what is too far is answered at once.
        let mut next = legs;
        while next > 0 {
            match at(view.head_slot + next * LEG).await {
                Err(StateError::TooFar) => next -= 1,
                state => {
                    state?;
                    break;
                }
            }
        }
        for leg in next + 1..=legs {
            at(view.head_slot + leg * LEG).await?;
        }
        at(slot).await
    }

    /// Keeps the state of the head, in the place of the one before.
    pub(super) fn keep(&self, head: Root, state: BeaconState<P>) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some((head, state));
    }

    /// Returns the state of the head's block.
    pub(super) async fn head_state(
        &self,
        view: &ChainView<Root>,
    ) -> Result<BeaconState<P>, ApiError> {
        self.state_at(view.head, view.head_slot, Lane::Queries).await
    }

    /// Returns whether a slot of the canonical chain is finalised.
    pub(super) fn is_final(&self, view: &ChainView<Root>, slot: Slot) -> bool {
        let start = compute_start_slot_at_epoch::<P>(view.finalized.epoch);
        start.is_ok_and(|start| slot <= start)
    }

    /// Returns the root of the last block at or before `slot` on the head's chain.
    pub(super) async fn canonical(
        &self,
        view: &ChainView<Root>,
        slot: Slot,
    ) -> Result<Option<Root>, ApiError> {
        if slot >= view.head_slot {
            return Ok(Some(view.head));
        }
        if slot == 0 {
            return Ok(Some(self.genesis.root()));
        }
        if let Some(root) = self.recent.ancestor(view.head, slot) {
            return Ok(Some(root));
        }
        if slot + P::SLOTS_PER_HISTORICAL_ROOT >= view.head_slot {
            let state = self.head_state(view).await?;
            return Ok(get_block_root_at_slot(&state, slot).ok());
        }
        // Further back there is the finalised chain alone, by the exact slot.
        let client = self.client.clone();
        match self.compute(move || client.blocks_by_range(slot, 1)).await? {
            Ok(blocks) => Ok(blocks.first().map(|block| block.root)),
            Err(ReadError::NoStore) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns a block, if the node has it. One that the view's chain has is waited for.
    pub(super) async fn block(
        &self,
        view: &ChainView<Root>,
        root: Root,
    ) -> Result<Option<SharedBlock>, ApiError> {
        if root == self.genesis.root() {
            return Ok(Some(self.genesis.block.clone()));
        }
        if let Some(block) = self.recent.settled(&root, view.head).await {
            return Ok(Some(block));
        }
        let client = self.client.clone();
        match self.compute(move || client.blocks_by_root(&[root])).await? {
            Ok(blocks) => Ok(blocks.into_iter().next().flatten()),
            Err(ReadError::NoStore) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the slot of a block of the fork choice.
    async fn slot_of(
        &self,
        view: &ChainView<Root>,
        Checkpoint { root, epoch }: Checkpoint<Root>,
    ) -> Result<Slot, ApiError> {
        if let Some(block) = self.block(view, root).await? {
            return Ok(block.value().message.slot);
        }
        // The state at the checkpoint tells of its last block.
        let slot = compute_start_slot_at_epoch::<P>(epoch)?;
        Ok(self.state_at(root, slot, Lane::Queries).await?.latest_block_header.slot)
    }

    /// Returns the state that an identifier names: `head`, `genesis`, `justified`, `finalized`, a
    /// slot, or a state's root. A state of a slot is that of the slot's last block, advanced.
    ///
    /// # Errors
    /// 400 for anything else; 404 if the node does not have the state (any more).
    pub(super) async fn state(&self, id: &str) -> Result<Found<P>, ApiError> {
        self.state_from(self.view(), id).await
    }

    /// As [`Beacon::state`], in this view or one that has taken its place (B4).
    pub(super) async fn state_from(
        &self,
        mut view: ChainView<Root>,
        id: &str,
    ) -> Result<Found<P>, ApiError> {
        for _ in 1..VIEWS {
            match self.state_in(view, id).await {
                Err(error) if self.is_out_of_date(&view, &error) => view = self.view(),
                answer => return answer,
            }
        }
        self.state_in(view, id).await
    }

    /// Returns whether an answer may say that something is not there because the chain has moved.
    fn is_out_of_date(&self, view: &ChainView<Root>, error: &ApiError) -> bool {
        error.status() == StatusCode::NOT_FOUND && self.view() != *view
    }

    /// As [`Beacon::state`], in a view of the chain (B1).
    pub(super) async fn state_in(
        &self,
        view: ChainView<Root>,
        id: &str,
    ) -> Result<Found<P>, ApiError> {
        let (root, slot) = match id {
            "head" => (view.head, view.head_slot),
            "genesis" => (self.genesis.root(), 0),
            "justified" | "finalized" => {
                let checkpoint = if id == "finalized" { view.finalized } else { view.justified };
                (checkpoint.root, self.slot_of(&view, checkpoint).await?)
            }
            root if root.starts_with("0x") => {
                self.place_of_state(&view, parse(root, "state_id")?).await?
            }
            slot => {
                let slot = parse(slot, "state_id")?;
                if slot > self.clock.slot().max(view.head_slot) {
                    return Err(ApiError::not_found("the slot has not come yet"));
                }
                let root = self.canonical(&view, slot).await?;
                let root = root.ok_or_else(|| ApiError::not_found("the slot is not known"))?;
                (root, slot)
            }
        };
        let state = self.state_at(root, slot, Lane::Queries).await?;
        let finalized = self.is_final(&view, slot)
            && (slot == 0 || self.canonical(&view, slot).await? == Some(root));
        Ok(Found { finalized, state })
    }

    /// Finds a state by its root: that of genesis, of a recent block, or one that the head's state
    /// remembers.
    async fn place_of_state(
        &self,
        view: &ChainView<Root>,
        state_root: Root,
    ) -> Result<(Root, Slot), ApiError> {
        if state_root == self.genesis.state_root {
            return Ok((self.genesis.root(), 0));
        }
        if let Some(place) = self.recent.of_state(&state_root) {
            return Ok(place);
        }
        let unknown = || ApiError::not_found("the state is not known");
        let head = self.head_state(view).await?;
        if head.hash_tree_root() == state_root {
            return Ok((view.head, view.head_slot));
        }
        let length = P::SLOTS_PER_HISTORICAL_ROOT;
        let at = |slot: &Slot| head.state_roots.get((slot % length) as usize) == Some(&state_root);
        let mut slots = head.slot.saturating_sub(length)..head.slot;
        let slot = slots.find(at).ok_or_else(unknown)?;
        let root = self.canonical(view, slot).await?;
        root.map(|root| (root, slot)).ok_or_else(unknown)
    }

    /// Returns the block that an identifier names: `head`, `genesis`, `justified`, `finalized`, a
    /// slot, or a block's root.
    ///
    /// # Errors
    /// 400 for anything else; 404 if the node does not have the block, or if the slot has none.
    pub(super) async fn block_of(&self, id: &str) -> Result<FoundBlock, ApiError> {
        self.block_from(self.view(), id).await
    }

    /// As [`Beacon::block_of`], in this view or one that has taken its place (B4).
    pub(super) async fn block_from(
        &self,
        mut view: ChainView<Root>,
        id: &str,
    ) -> Result<FoundBlock, ApiError> {
        for _ in 1..VIEWS {
            match self.block_in(view, id).await {
                Err(error) if self.is_out_of_date(&view, &error) => view = self.view(),
                answer => return answer,
            }
        }
        self.block_in(view, id).await
    }

    /// As [`Beacon::block_of`], in a view of the chain (B1).
    pub(super) async fn block_in(
        &self,
        view: ChainView<Root>,
        id: &str,
    ) -> Result<FoundBlock, ApiError> {
        let unknown = || ApiError::not_found("the block is not known");
        let (root, exact) = match id {
            "head" => (view.head, None),
            "genesis" => (self.genesis.root(), None),
            "justified" => (view.justified.root, None),
            "finalized" => (view.finalized.root, None),
            root if root.starts_with("0x") => (parse(root, "block_id")?, None),
            slot => {
                let slot = parse(slot, "block_id")?;
                if slot > view.head_slot {
                    return Err(unknown());
                }
                (self.canonical(&view, slot).await?.ok_or_else(unknown)?, Some(slot))
            }
        };
        let block = self.block(&view, root).await?.ok_or_else(unknown)?;
        let slot = block.value().message.slot;
        if exact.is_some_and(|exact| exact != slot) {
            return Err(ApiError::not_found("the slot has no block"));
        }
        let canonical = self.canonical(&view, slot).await? == Some(root);
        Ok(FoundBlock { finalized: canonical && self.is_final(&view, slot), canonical, block })
    }

    /// Returns a state of the head's chain at the beginning of `epoch`, or the head's own if that
    /// is of the epoch.
    ///
    /// # Errors
    /// 400 if the epoch lies after the next one; 404 if the state is not there any more.
    pub(super) async fn state_of_epoch(
        &self,
        view: &ChainView<Root>,
        epoch: Epoch,
    ) -> Result<BeaconState<P>, ApiError> {
        let head_epoch = compute_epoch_at_slot::<P>(view.head_slot);
        if epoch > self.epoch().max(head_epoch).saturating_add(1) {
            return Err(ApiError::bad_request("the epoch lies after the next one"));
        }
        let start = compute_start_slot_at_epoch::<P>(epoch)?;
        if epoch == head_epoch {
            return self.state_at(view.head, view.head_slot, Lane::Duties).await;
        }
        let root = self.canonical(view, start).await?;
        let root = root.ok_or_else(|| ApiError::not_found("the epoch is not known any more"))?;
        self.state_at(root, start, Lane::Duties).await
    }

    /// Returns the root of a block's body: what its header holds.
    pub(super) fn body_root(block: &SharedBlock) -> Root {
        block.value().message.body.hash_tree_root()
    }
}
