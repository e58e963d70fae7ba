//! Cases of the fork choice: ticks, blocks and attestations through the real transition and the
//! real machine, with checks in between.
//!
//! The machine follows v1.5.0. A case passes if the machine meets every one of its checks. If it
//! does not, the result of the rules of 1.1.10 ([`super::fork_choice_v1_1_10`]), which process the
//! same steps, decides. If they meet every check, the case depends on what has changed between the
//! versions, and is skipped, with the step and the two answers. If they do not either, the case has
//! failed.

use std::collections::{BTreeMap, VecDeque};

use blocksmith::consensus::{
    Balances, Checkpoint, Checkpoints, IndexedVote, Slot, UpdateFlags, Vote,
};
use blocksmith::fork_choice::{Config, Effect, Event, ForkChoice};
use blocksmith::machine::Machine;
use blocksmith_consensus::{
    Attestation, AttesterSlashing, BeaconBlock, BeaconState, ChainConfig, Preset, Root, Signatures,
    SignedBeaconBlock, Wire, active_balances, attesting_indices, compute_pulled_up_checkpoints,
    get_current_epoch, get_total_active_balance, is_active_validator,
    is_slashable_attestation_data, is_valid_indexed_attestation, process_slots, slashable_indices,
};
use serde::Deserialize;

use super::error::{NotPassed, Outcome, ensure};
use super::files::Files;
use super::fork_choice_v1_1_10::{ActiveBalances, Block, Constants, Store};
use super::layout::Case;
use super::transition::{apply_block, check_distance};

/// The number of parts into which a slot is divided; a block is timely in the first.
const INTERVALS_PER_SLOT: u64 = 3;

/// An entry of `steps.yaml`: one of the optional members, or one that the runner does not know.
#[derive(Debug, Deserialize)]
struct Step {
    tick: Option<u64>,
    block: Option<String>,
    attestation: Option<String>,
    attester_slashing: Option<String>,
    checks: Option<Checks>,
    #[serde(default = "yes")]
    valid: bool,
}

fn yes() -> bool {
    true
}

/// What a `checks` step says; every member that is there is compared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checks {
    time: Option<u64>,
    genesis_time: Option<u64>,
    head: Option<Head>,
    justified_checkpoint: Option<CheckpointText>,
    finalized_checkpoint: Option<CheckpointText>,
    best_justified_checkpoint: Option<CheckpointText>,
    proposer_boost_root: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Head {
    slot: Slot,
    root: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct CheckpointText {
    epoch: u64,
    root: String,
}

impl From<Checkpoint<Root>> for CheckpointText {
    fn from(checkpoint: Checkpoint<Root>) -> Self {
        Self { epoch: checkpoint.epoch, root: checkpoint.root.to_string() }
    }
}

/// One set of rules, and the first check that it did not meet.
struct Rules<T> {
    store: T,
    departed: Option<String>,
}

impl<T> Rules<T> {
    fn new(store: T) -> Self {
        Self { store, departed: None }
    }

    /// Records a difference, unless one was recorded before.
    fn compare<V: PartialEq + std::fmt::Debug>(
        &mut self,
        step: usize,
        what: &str,
        expected: &V,
        computed: &V,
    ) {
        if self.departed.is_none() && expected != computed {
            self.departed = Some(format!("step {step}: {what} is {computed:?}, not {expected:?}"));
        }
    }
}

/// The node that a case drives.
struct Node<'a, P: Preset> {
    files: &'a Files,
    config: &'a ChainConfig,
    genesis_time: u64,
    time: u64,
    states: BTreeMap<Root, BeaconState<P>>,
    current: Rules<ForkChoice<Root>>,
    former: Rules<Store>,
}

/// Runs a case.
pub(super) fn run<P: Preset>(case: &Case, files: &Files, config: &ChainConfig) -> Outcome {
    let steps: Vec<Step> = files.required_yaml("steps")?;
    let mut node = Node::<P>::new(files, config)?;
    for (index, step) in steps.iter().enumerate() {
        node.step(index, step)?;
    }
    match (node.current.departed, node.former.departed) {
        (None, _) => Ok(()),
        (Some(why), None) => Err(NotPassed::Skipped(format!(
            "{} depends on rules that changed between v1.1.10 and v1.5.0; under v1.5.0, {why}",
            case.handler
        ))),
        (Some(why), Some(former)) => {
            Err(NotPassed::Failed(format!("{why}; under v1.1.10, {former}")))
        }
    }
}

impl<'a, P: Preset> Node<'a, P> {
    fn new(files: &'a Files, config: &'a ChainConfig) -> Result<Self, NotPassed> {
        let state = files.required_state::<P>("anchor_state")?;
        let block: BeaconBlock = files.value("anchor_block")?;
        let state_root = state.hash_tree_root();
        ensure(block.state_root == state_root, || "the anchor block has another state".to_owned())?;
        let root = block.hash_tree_root();
        let settings = Config {
            proposer_score_boost_percent: config.proposer_score_boost,
            ..Config::new(P::SLOTS_PER_EPOCH)
        };
        let constants = Constants {
            slots_per_epoch: P::SLOTS_PER_EPOCH,
            safe_slots_to_update_justified: P::SAFE_SLOTS_TO_UPDATE_JUSTIFIED,
        };
        let anchor = Block {
            parent: block.parent_root,
            slot: block.slot,
            justified: checkpoint(&state.current_justified_checkpoint),
            finalized: checkpoint(&state.finalized_checkpoint),
        };
        let machine = ForkChoice::new(settings, root, block.slot, balances(&state)?);
        let since_genesis = state.slot.saturating_mul(config.seconds_per_slot);
        Ok(Self {
            files,
            config,
            genesis_time: state.genesis_time,
            time: state.genesis_time.saturating_add(since_genesis),
            states: BTreeMap::from([(root, state)]),
            current: Rules::new(machine),
            former: Rules::new(Store::new(constants, root, anchor)),
        })
    }

    fn step(&mut self, index: usize, step: &Step) -> Outcome {
        let (current, former) = match step {
            Step { tick: Some(time), .. } => {
                self.on_tick(*time)?;
                (true, true)
            }
            Step { block: Some(name), .. } => self.on_block(name)?,
            Step { attestation: Some(name), .. } => {
                let attestation: Attestation = self.files.value(name)?;
                self.on_attestation(&attestation, false)?
            }
            Step { attester_slashing: Some(name), .. } => {
                let slashing: AttesterSlashing = self.files.value(name)?;
                let accepted = self.on_attester_slashing(&slashing)?;
                (accepted, accepted)
            }
            Step { checks: Some(checks), .. } => return self.check(index, checks),
            _ => return Err(NotPassed::Skipped(format!("step {index} is of a kind after phase0"))),
        };
        self.current.compare(index, "accepted", &step.valid, &current);
        self.former.compare(index, "accepted", &step.valid, &former);
        Ok(())
    }

    fn slot(&self) -> Slot {
        self.time.saturating_sub(self.genesis_time) / self.config.seconds_per_slot.max(1)
    }

    fn on_tick(&mut self, time: u64) -> Outcome {
        self.time = self.time.max(time);
        let slot = self.slot();
        self.former.store.on_tick(slot);
        self.tell(Event::Tick { slot })?;
        Ok(())
    }

    /// Returns whether the current and the former rules accept the block.
    fn on_block(&mut self, name: &str) -> Result<(bool, bool), NotPassed> {
        let signed: SignedBeaconBlock = self.files.value(name)?;
        let block = &signed.message;
        let root = block.hash_tree_root();
        let Some(parent) = self.states.get(&block.parent_root) else { return Ok((false, false)) };
        if block.slot > self.slot() {
            return Ok((false, false));
        }
        let parent = parent.clone();
        let Ok(state) = apply_block(parent, &signed, UpdateFlags::default(), self.config)? else {
            return Ok((false, false));
        };
        let into_slot = self.time.saturating_sub(self.genesis_time) % self.config.seconds_per_slot;
        let timely = into_slot < self.config.seconds_per_slot / INTERVALS_PER_SLOT;
        let checkpoints = checkpoints(&state)?;
        let former = self.former.store.on_block(
            root,
            Block {
                parent: block.parent_root,
                slot: block.slot,
                justified: checkpoints.justified,
                finalized: checkpoints.finalized,
            },
            timely,
        );
        self.states.insert(root, state);
        let (parent, slot) = (block.parent_root, block.slot);
        let current = self.tell(Event::Block { root, parent, slot, checkpoints, timely })?;
        for attestation in block.body.attestations.iter() {
            self.on_attestation(attestation, true)?;
        }
        for slashing in block.body.attester_slashings.iter() {
            self.tell(Event::AttesterSlashing { indices: slashable_indices(slashing) })?;
        }
        Ok((current, former))
    }

    /// Returns whether the current and the former rules accept the attestation.
    fn on_attestation(
        &mut self,
        attestation: &Attestation,
        from_block: bool,
    ) -> Result<(bool, bool), NotPassed> {
        let data = &attestation.data;
        // The machine would keep it until its slot; the specification requires that it be refused
        // until then.
        if data.slot >= self.slot() {
            return Ok((false, false));
        }
        let Some(state) = self.target_state(checkpoint(&data.target))? else {
            return Ok((false, false));
        };
        let Ok(indices) = attesting_indices(&state, attestation) else {
            return Ok((false, false));
        };
        let mut signatures = if from_block { Signatures::Skip } else { Signatures::Verify };
        let signature = &attestation.signature;
        if is_valid_indexed_attestation(&state, &indices, data, signature, &mut signatures).is_err()
        {
            return Ok((false, false));
        }
        let vote = Vote {
            id: attestation.hash_tree_root(),
            slot: data.slot,
            beacon_block_root: data.beacon_block_root,
            source: checkpoint(&data.source),
            target: checkpoint(&data.target),
        };
        let vote = IndexedVote { vote, indices };
        let former = self.former.store.on_attestation(&vote, from_block);
        let current = self.tell(Event::Attestation { vote, from_block })?;
        Ok((current, former))
    }

    /// Returns whether the slashing is valid in the justified state. The former rules ignore it.
    fn on_attester_slashing(&mut self, slashing: &AttesterSlashing) -> Result<bool, NotPassed> {
        let (first, second) = (&slashing.attestation_1, &slashing.attestation_2);
        let justified = self.current.store.justified().root;
        let Some(state) = self.states.get(&justified) else { return Ok(false) };
        let valid = is_slashable_attestation_data(&first.data, &second.data)
            && [first, second].into_iter().all(|vote| {
                let (indices, signature) = (&vote.attesting_indices, &vote.signature);
                let mut verify = Signatures::Verify;
                is_valid_indexed_attestation(state, indices, &vote.data, signature, &mut verify)
                    .is_ok()
            });
        if valid {
            self.tell(Event::AttesterSlashing { indices: slashable_indices(slashing) })?;
        }
        Ok(valid)
    }

    /// Passes an event to the machine, and answers its requests. Returns whether the machine
    /// admitted the event.
    fn tell(&mut self, event: Event<Root>) -> Result<bool, NotPassed> {
        let mut admitted = true;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.current.store.handle(&(), event) {
                match effect {
                    Effect::Refused(_) => admitted = false,
                    Effect::NeedBalances(checkpoint) => {
                        let state = self.target_state(checkpoint)?.ok_or_else(|| {
                            NotPassed::Failed(format!("no state of justified {checkpoint:?}"))
                        })?;
                        let balances = balances(&state)?;
                        events.push_back(Event::JustifiedBalances { checkpoint, balances });
                    }
                    Effect::HeadChanged { .. } | Effect::Justified(_) | Effect::Finalized(_) => {}
                }
            }
        }
        Ok(admitted)
    }

    /// `store_target_checkpoint_state`: the root's state at the epoch's first slot.
    fn target_state(&self, target: Checkpoint<Root>) -> Result<Option<BeaconState<P>>, NotPassed> {
        let Some(state) = self.states.get(&target.root) else { return Ok(None) };
        let mut state = state.clone();
        let start = target.epoch.saturating_mul(P::SLOTS_PER_EPOCH);
        if state.slot < start {
            check_distance(&state, start)?;
            process_slots(&mut state, start, self.config).map_err(NotPassed::failed)?;
        }
        Ok(Some(state))
    }

    fn check(&mut self, step: usize, checks: &Checks) -> Outcome {
        let former_head = self.former_head()?;
        let former_slot = self.former.store.slot_of(former_head).unwrap_or(0);
        let Self { current, former, time, genesis_time, .. } = self;
        if let Some(expected) = &checks.time {
            ensure(expected == time, || format!("step {step}: the time is {time}"))?;
        }
        if let Some(expected) = &checks.genesis_time {
            ensure(expected == genesis_time, || format!("genesis is at {genesis_time}"))?;
        }
        if let Some(expected) = &checks.head {
            let root = current.store.head();
            let slot = current.store.slot_of(root).unwrap_or(0);
            current.compare(step, "head", expected, &Head { slot, root: root.to_string() });
            let computed = Head { slot: former_slot, root: former_head.to_string() };
            former.compare(step, "head", expected, &computed);
        }
        if let Some(expected) = &checks.justified_checkpoint {
            current.compare(step, "justified", expected, &current.store.justified().into());
            former.compare(step, "justified", expected, &former.store.justified.into());
        }
        if let Some(expected) = &checks.finalized_checkpoint {
            current.compare(step, "finalized", expected, &current.store.finalized().into());
            former.compare(step, "finalized", expected, &former.store.finalized.into());
        }
        if let Some(expected) = &checks.best_justified_checkpoint {
            // v1.5.0 has no best justified checkpoint.
            former.compare(step, "best justified", expected, &former.store.best_justified.into());
        }
        if let Some(expected) = &checks.proposer_boost_root {
            let boosted = current.store.proposer_boost_root().unwrap_or_default();
            current.compare(step, "proposer boost", expected, &boosted.to_string());
            let boosted = former.store.proposer_boost_root.to_string();
            former.compare(step, "proposer boost", expected, &boosted);
        }
        Ok(())
    }

    fn former_head(&self) -> Result<Root, NotPassed> {
        let justified = self.former.store.justified;
        let state = self
            .target_state(justified)?
            .ok_or_else(|| NotPassed::Failed(format!("no state of justified {justified:?}")))?;
        let epoch = get_current_epoch(&state);
        let by_index = (0..)
            .zip(&state.validators)
            .filter(|(_, validator)| is_active_validator(validator, epoch))
            .map(|(index, validator)| (index, validator.effective_balance))
            .collect();
        let total = get_total_active_balance(&state).map_err(NotPassed::failed)?;
        Ok(self.former.store.head(&ActiveBalances { by_index, total }))
    }
}

fn checkpoint(checkpoint: &blocksmith_consensus::Checkpoint) -> Checkpoint<Root> {
    Checkpoint { epoch: checkpoint.epoch, root: checkpoint.root }
}

fn checkpoints<P: Preset>(state: &BeaconState<P>) -> Result<Checkpoints<Root>, NotPassed> {
    let (justified, finalized) = compute_pulled_up_checkpoints(state).map_err(NotPassed::failed)?;
    Ok(Checkpoints {
        justified: checkpoint(&state.current_justified_checkpoint),
        finalized: checkpoint(&state.finalized_checkpoint),
        unrealized_justified: checkpoint(&justified),
        unrealized_finalized: checkpoint(&finalized),
    })
}

fn balances<P: Preset>(state: &BeaconState<P>) -> Result<Balances, NotPassed> {
    let total_active = get_total_active_balance(state).map_err(NotPassed::failed)?;
    Ok(Balances { effective: active_balances(state).into(), total_active })
}
