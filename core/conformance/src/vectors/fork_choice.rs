//! Cases of the fork choice: ticks, blocks, attestations and attester slashings through the real
//! transition and the real machine, with checks in between.
//!
//! The machine follows v1.7.0-alpha.13. A case passes if the machine meets every one of its checks.
//! If it does not, the result of the rules of 1.1.10 ([`super::fork_choice_v1_1_10`]), which
//! process the same steps, decides. If they meet every check, the case depends on what has changed
//! between the versions, and is skipped, with the step and the two answers. If they do not either,
//! the case has failed. A case whose checks hold, but for some that the runner does not know, is
//! skipped, and they are named.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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

use super::error::{NotPassed, Outcome, ensure};
use super::files::Files;
use super::fork_choice_steps::{CheckpointText, Checks, Head, Step, ViableHead};
use super::fork_choice_v1_1_10::{ActiveBalances, Block, Constants, Store};
use super::layout::Case;
use super::transition::{apply_block, check_distance};

/// Milliseconds of a second, in which steps give the time.
const MILLISECONDS: u64 = 1_000;
/// The rules that the machine follows.
const CURRENT: &str = "v1.7.0-alpha.13";

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
        if expected != computed {
            self.depart(step, &format!("{what} is {computed:?}, not {expected:?}"));
        }
    }

    /// Records why a step is not met, unless an earlier one was not met.
    fn depart(&mut self, step: usize, why: &str) {
        self.departed.get_or_insert_with(|| format!("step {step}: {why}"));
    }
}

/// The node that a case drives.
struct Node<'a, P: Preset> {
    files: &'a Files,
    config: &'a ChainConfig,
    verify_signatures: bool,
    genesis_time: u64,
    time: u64,
    /// The state after every block that either set of rules has accepted.
    states: BTreeMap<Root, BeaconState<P>>,
    /// The blocks that the machine has accepted, pruned ones included.
    accepted: BTreeSet<Root>,
    current: Rules<ForkChoice<Root>>,
    former: Rules<Store>,
    /// Names of checks that have been passed over.
    unknown: BTreeSet<String>,
}

/// Runs a case.
pub(super) fn run<P: Preset>(case: &Case, files: &Files, config: &ChainConfig) -> Outcome {
    let steps: Vec<Step> = files.required_yaml("steps")?;
    let mut node = Node::<P>::new(files, config)?;
    for (index, step) in steps.iter().enumerate() {
        node.step(index, step)?;
    }
    let unknown: Vec<String> = node.unknown.into_iter().collect();
    match (node.current.departed, node.former.departed) {
        (None, _) if unknown.is_empty() => Ok(()),
        (None, _) => Err(NotPassed::Skipped(format!(
            "the checks are met, but for {}, which the runner does not know",
            unknown.join(", ")
        ))),
        (Some(why), None) => Err(NotPassed::Skipped(format!(
            "{} depends on rules that changed between v1.1.10 and {CURRENT}; under {CURRENT}, {why}",
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
            reorg_head_weight_threshold_percent: config.reorg_head_weight_threshold,
            reorg_parent_weight_threshold_percent: config.reorg_parent_weight_threshold,
            reorg_max_epochs_since_finalization: config.reorg_max_epochs_since_finalization,
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
        let since_genesis = state.slot.saturating_mul(config.slot_duration_ms.get()) / MILLISECONDS;
        Ok(Self {
            files,
            config,
            verify_signatures: files.meta()?.verify_signatures(),
            genesis_time: state.genesis_time,
            time: state.genesis_time.saturating_add(since_genesis),
            states: BTreeMap::from([(root, state)]),
            accepted: BTreeSet::from([root]),
            current: Rules::new(machine),
            former: Rules::new(Store::new(constants, root, anchor)),
            unknown: BTreeSet::new(),
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
                self.on_attestation(&attestation)?
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

    fn since_genesis_ms(&self) -> u64 {
        self.time.saturating_sub(self.genesis_time).saturating_mul(MILLISECONDS)
    }

    fn slot(&self) -> Slot {
        self.since_genesis_ms() / self.config.slot_duration_ms
    }

    fn ms_into_slot(&self) -> u64 {
        self.since_genesis_ms() % self.config.slot_duration_ms
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
        let flags =
            UpdateFlags { skip_bls_validation: !self.verify_signatures, ..UpdateFlags::default() };
        let Ok(state) = apply_block(parent.clone(), &signed, flags, self.config)? else {
            return Ok((false, false));
        };
        let timely = self.ms_into_slot() < self.config.attestation_due_ms();
        let checkpoints = checkpoints(&state)?;
        let (parent, slot, proposer) = (block.parent_root, block.slot, block.proposer_index);
        let former = self.former.store.on_block(
            root,
            Block {
                parent,
                slot,
                justified: checkpoints.justified,
                finalized: checkpoints.finalized,
            },
            timely,
        );
        let attestations = block.body.attestations.iter();
        let votes = attestations
            .filter_map(|attestation| self.indexed(attestation, Signatures::Skip).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        if former {
            votes.iter().for_each(|vote| {
                self.former.store.on_attestation(vote, true);
            });
        }
        let slashings = block.body.attester_slashings.iter();
        let equivocating = slashings.flat_map(slashable_indices).collect();
        let event =
            Event::Block { root, parent, slot, proposer, checkpoints, timely, votes, equivocating };
        // The machine does not know a block that it has pruned, and the specification never prunes.
        let current = self.tell(event)? || self.accepted.contains(&root);
        if current {
            self.accepted.insert(root);
        }
        if current || former {
            self.states.insert(root, state);
        }
        Ok((current, former))
    }

    /// How signatures that are not a block's are treated.
    fn signatures(&self) -> Signatures {
        if self.verify_signatures { Signatures::Verify } else { Signatures::Skip }
    }

    /// Returns who votes for what, if the attestation's target is known and its committee, bits and
    /// signature are right.
    fn indexed(
        &self,
        attestation: &Attestation,
        mut signatures: Signatures,
    ) -> Result<Option<IndexedVote<Root>>, NotPassed> {
        let data = &attestation.data;
        let Some(state) = self.target_state(checkpoint(&data.target))? else { return Ok(None) };
        let Ok(indices) = attesting_indices(&state, attestation) else { return Ok(None) };
        let signature = &attestation.signature;
        if is_valid_indexed_attestation(&state, &indices, data, signature, &mut signatures).is_err()
        {
            return Ok(None);
        }
        let vote = Vote {
            id: attestation.hash_tree_root(),
            slot: data.slot,
            beacon_block_root: data.beacon_block_root,
            source: checkpoint(&data.source),
            target: checkpoint(&data.target),
        };
        Ok(Some(IndexedVote { vote, indices }))
    }

    /// Returns whether the current and the former rules accept the attestation.
    fn on_attestation(&mut self, attestation: &Attestation) -> Result<(bool, bool), NotPassed> {
        // The machine would keep it until its slot; the specification requires that it be refused
        // until then.
        if attestation.data.slot >= self.slot() {
            return Ok((false, false));
        }
        let Some(vote) = self.indexed(attestation, self.signatures())? else {
            return Ok((false, false));
        };
        let former = self.former.store.on_attestation(&vote, false);
        let current = self.tell(Event::Attestation { vote })?;
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
                let mut signatures = self.signatures();
                is_valid_indexed_attestation(state, indices, &vote.data, signature, &mut signatures)
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
        let Self { time, genesis_time, .. } = self;
        if let Some(expected) = &checks.time {
            ensure(expected == time, || format!("step {step}: the time is {time}"))?;
        }
        if let Some(expected) = &checks.genesis_time {
            ensure(expected == genesis_time, || format!("genesis is at {genesis_time}"))?;
        }
        self.unknown.extend(checks.unknown.keys().cloned());
        self.check_checkpoints(step, checks);
        self.check_current(step, checks);
        self.check_heads(step, checks)
    }

    fn check_checkpoints(&mut self, step: usize, checks: &Checks) {
        let Self { current, former, .. } = self;
        let pairs = [
            (
                "justified",
                &checks.justified_checkpoint,
                &checks.justified_checkpoint_root,
                [current.store.justified(), former.store.justified],
            ),
            (
                "finalized",
                &checks.finalized_checkpoint,
                &checks.finalized_checkpoint_root,
                [current.store.finalized(), former.store.finalized],
            ),
        ];
        for (what, checkpoint, root, [now, before]) in pairs {
            if let Some(expected) = checkpoint {
                current.compare(step, what, expected, &CheckpointText::from(now));
                former.compare(step, what, expected, &CheckpointText::from(before));
            }
            if let Some(expected) = root {
                current.compare(step, what, expected, &now.root.to_string());
                former.compare(step, what, expected, &before.root.to_string());
            }
        }
        // The current rules have no best justified checkpoint.
        let best = former.store.best_justified;
        if let Some(expected) = &checks.best_justified_checkpoint {
            former.compare(step, "best justified", expected, &best.into());
        }
        if let Some(expected) = &checks.best_justified_checkpoint_root {
            former.compare(step, "best justified", expected, &best.root.to_string());
        }
    }

    /// Compares what v1.1.10 does not have. So a case that has such a check is not one of v1.1.10.
    fn check_current(&mut self, step: usize, checks: &Checks) {
        let (slot, ms_into_slot) = (self.slot(), self.ms_into_slot());
        let Self { current, former, .. } = self;
        if let Some(expected) = &checks.get_proposer_head {
            let on_time = ms_into_slot <= self.config.proposer_reorg_cutoff_ms();
            let root = current.store.proposer_head(slot, on_time).to_string();
            current.compare(step, "the proposer's head", expected, &root);
            former.depart(step, "there is no proposer's head");
        }
        if let Some(expected) = &checks.viable_for_head_roots_and_weights {
            let sorted = |mut heads: Vec<ViableHead>| {
                heads.sort();
                heads
            };
            let computed = current.store.viable_heads().into_iter().map(ViableHead::new).collect();
            let (expected, computed) = (sorted(expected.clone()), sorted(computed));
            current.compare(step, "viable for head", &expected, &computed);
            former.depart(step, "viable blocks are others");
        }
    }

    fn check_heads(&mut self, step: usize, checks: &Checks) -> Outcome {
        if let Some(expected) = &checks.head {
            let root = self.current.store.head();
            let slot = self.current.store.slot_of(root).unwrap_or(0);
            self.current.compare(step, "head", expected, &Head { slot, root: root.to_string() });
            let root = self.former_head()?;
            let slot = self.former.store.slot_of(root).unwrap_or(0);
            self.former.compare(step, "head", expected, &Head { slot, root: root.to_string() });
        }
        if let Some(expected) = &checks.proposer_boost_root {
            let boosted = self.current.store.proposer_boost_root().unwrap_or_default();
            self.current.compare(step, "proposer boost", expected, &boosted.to_string());
            let boosted = self.former.store.proposer_boost_root.to_string();
            self.former.compare(step, "proposer boost", expected, &boosted);
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
