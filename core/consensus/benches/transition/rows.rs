//! The rows that are measured. Every row prepares its input outside the measured part, and gives
//! its states the caches of a node that follows the chain: committees of the epochs up to the next
//! one are known, public keys are decompressed.

use std::hint::black_box;
use std::time::Duration;

use blocksmith_consensus::bls::{PublicKey, Signature, SignatureSet};
use blocksmith_consensus::{
    ChainConfig, Root, SignedBeaconBlock, UpdateFlags, get_committees, get_current_epoch,
    prepare_epoch, process_epoch, process_slot, process_slots, verify_and_process_block,
};

use crate::chain::{Inputs, State};
use crate::clock::cpu_time;

/// Runs the operation the given number of times; returns the CPU time of the measured part.
pub(crate) type Run = Box<dyn FnMut(u64) -> Duration>;

/// One row of the table.
pub(crate) struct Row {
    /// Name, as in the peers' table.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) run: Run,
}

/// Measures `operation` on an input that `prepare` makes anew for each run.
fn timed<T, R>(
    mut prepare: impl FnMut() -> T + 'static,
    mut operation: impl FnMut(&mut T) -> R + 'static,
) -> Run {
    Box::new(move |runs| {
        let mut total = Duration::ZERO;
        for _ in 0..runs {
            let mut input = prepare();
            let start = cpu_time();
            let output = black_box(measured(&mut operation, &mut input));
            total += cpu_time().saturating_sub(start);
            drop((input, output));
        }
        total
    })
}

/// The function whose instructions are counted: callgrind collects inside functions of this name.
#[inline(never)]
fn measured<T, R>(operation: &mut impl FnMut(&mut T) -> R, input: &mut T) -> R {
    operation(input)
}

/// Like [`timed`], on one input again and again.
fn timed_on<T: 'static>(mut input: T, mut operation: impl FnMut(&mut T) + 'static) -> Run {
    Box::new(move |runs| {
        let start = cpu_time();
        (0..runs).for_each(|_| measured(&mut operation, &mut input));
        cpu_time().saturating_sub(start)
    })
}

/// Like [`timed`], for operations of less than a microsecond: many in a row on one input.
fn repeated<T, R>(input: T, operation: impl Fn(&T) -> R + 'static) -> Run
where
    T: 'static,
{
    const BATCH: u32 = 1_000;
    Box::new(move |runs| {
        let start = cpu_time();
        for _ in 0..runs {
            for _ in 0..BATCH {
                black_box(operation(black_box(&input)));
            }
        }
        cpu_time().saturating_sub(start) / BATCH
    })
}

const SKIP_BLS: UpdateFlags = UpdateFlags {
    skip_merkle_validation: true,
    skip_bls_validation: true,
    skip_state_root_validation: true,
    skip_block_parent_root_validation: true,
    skip_proposer_signature: true,
};

fn decoded(bytes: &[u8]) -> State {
    State::from_ssz_bytes(bytes).expect("the bench's own state decodes")
}

fn root(state: &State) -> Root {
    state.hash_tree_root()
}

/// Computes what a node knows before it needs it.
fn warm(state: &State) {
    prepare_epoch(state).expect("somebody is active");
}

/// The state that the blocks apply to, and the flags for judging them in full.
struct Ground {
    state: State,
    flags: UpdateFlags,
}

impl Ground {
    fn of(inputs: &Inputs, last: &State, config: &ChainConfig) -> Self {
        let mut state = last.clone();
        process_slots(&mut state, last.slot + 1, config).expect("ahead of the state");
        let mut flags = UpdateFlags::default();
        match &inputs.parent {
            Some(parent) => {
                verify_and_process_block(&mut state, parent, flags, config).expect("a valid block");
            }
            None => {
                flags.skip_block_parent_root_validation = true;
                flags.skip_state_root_validation = true;
            }
        }
        Self { state, flags }
    }

    /// The state at the block's slot, with everything in its caches that a node knows before a
    /// block comes.
    fn before(&self, block: &SignedBeaconBlock, keys: bool, config: &ChainConfig) -> State {
        let mut state = self.state.clone();
        process_slots(&mut state, block.message.slot, config).expect("ahead of the state");
        warm(&state);
        root(&state);
        if keys {
            // Once with signatures, so that the signers' keys are decompressed.
            verify_and_process_block(&mut state.clone(), block, self.flags, config)
                .expect("a valid block");
        }
        state
    }
}

fn block_rows(
    names: [&'static str; 3],
    wanted: &dyn Fn(&str) -> bool,
    ground: &Ground,
    block: &SignedBeaconBlock,
    config: &ChainConfig,
) -> Vec<Row> {
    let before = ground.before(block, wanted(names[1]), config);
    let flags = ground.flags;
    let (block, config) = (block.clone(), config.clone());
    let apply = move |state: &mut State, flags| {
        verify_and_process_block(state, &block, flags, &config).expect("a valid block");
    };
    let clone = |state: &State| {
        let state = state.clone();
        move || state.clone()
    };
    let after = {
        let (before, apply) = (before.clone(), apply.clone());
        move || {
            let mut state = before.clone();
            apply(&mut state, SKIP_BLS);
            state
        }
    };
    let without = apply.clone();
    vec![
        Row { name: names[0], run: timed(clone(&before), move |state| without(state, SKIP_BLS)) },
        Row {
            name: names[1],
            run: timed(clone(&before), move |state| {
                apply(state, flags);
                // When the state root has been checked, its hashes are already there.
                root(state)
            }),
        },
        Row { name: names[2], run: timed(after, |state| root(state)) },
    ]
}

fn epoch_rows(last: &State, config: &ChainConfig) -> Vec<Row> {
    let (mut at_end, config) = (last.clone(), config.clone());
    process_slot(&mut at_end);
    let end = |config: &ChainConfig| {
        let config = config.clone();
        move |state: &mut State| process_epoch(state, &config).expect("a sound state")
    };
    let clone = |state: &State| {
        let state = state.clone();
        move || state.clone()
    };
    let (epoch, with_shuffle) = (end(&config), end(&config));
    let after = {
        let (state, end) = (at_end.clone(), end(&config));
        move || {
            let mut state = state.clone();
            end(&mut state);
            state.slot += 1;
            state
        }
    };
    // All descendants of a state share committees; these states have not yet known any of the next
    // epoch.
    let apart = {
        let prepare = clone(&at_end);
        move || {
            let mut state = prepare();
            state.drop_caches();
            warm(&state);
            state
        }
    };
    vec![
        Row { name: "epoch without shuffle", run: timed(clone(&at_end), epoch) },
        Row {
            name: "epoch",
            run: timed(apart, move |state| {
                with_shuffle(state);
                state.slot += 1;
                get_committees(state, get_current_epoch(state) + 1).expect("the next epoch")
            }),
        },
        Row { name: "root after epoch", run: timed(after, |state| root(state)) },
    ]
}

/// The rows on `inputs` whose names are wanted; nothing is prepared that none of them needs.
pub(crate) fn rows(
    inputs: &Inputs,
    config: &ChainConfig,
    wanted: &dyn Fn(&str) -> bool,
) -> Vec<Row> {
    let last = decoded(&inputs.state);
    root(&last);
    warm(&last);
    let (bytes, for_root) = (inputs.state.clone(), inputs.state.clone());
    let kept = {
        let state = last.clone();
        move |buffer: &mut Vec<u8>| {
            buffer.clear();
            state.append_ssz(buffer);
        }
    };
    let (encode, clone, slot) = (last.clone(), last.clone(), {
        let mut state = last.clone();
        process_slots(&mut state, last.slot + 1, config).expect("ahead of the state");
        root(&state);
        state
    });
    let slot_config = config.clone();
    let mut rows = vec![
        Row { name: "decode", run: timed(|| (), move |()| decoded(&bytes)) },
        Row { name: "encode", run: timed(|| (), move |()| encode.encode()) },
        Row { name: "encode into a kept buffer", run: timed_on(Vec::new(), kept) },
        Row {
            name: "root after decode",
            run: timed(move || decoded(&for_root), |state| root(state)),
        },
        Row { name: "clone", run: repeated(clone, |state: &State| state.clone()) },
        Row {
            name: "empty slot and root",
            run: timed(
                move || slot.clone(),
                move |state| {
                    let next = state.slot + 1;
                    process_slots(state, next, &slot_config).expect("ahead of the state");
                    root(state)
                },
            ),
        },
    ];
    rows.extend(epoch_rows(&last, config));
    let ground = Ground::of(inputs, &last, config);
    let typical = ["block 5, skip", "block 5, batch + root", "root after block 5"];
    let full = ["block 128, skip", "block 128, batch + root", "root after block 128"];
    for (names, block) in [(typical, &inputs.typical), (full, &inputs.full)] {
        if names.iter().any(|name| wanted(name)) {
            rows.extend(block_rows(names, wanted, &ground, block, config));
        }
    }
    rows.retain(|row| wanted(row.name));
    rows
}

/// V: one verification without group checks.
pub(crate) fn yardstick_v() -> Run {
    let mut bytes = [0; 32];
    bytes[31] = 7;
    let key = blocksmith_consensus::bls::SecretKey::from_bytes(&bytes).expect("a small number");
    let message = Root::new([1; 32]);
    let set = SignatureSet {
        public_key: PublicKey::from_bytes(&key.public_key().to_bytes()).expect("its own key"),
        message,
        signature: Signature::from_bytes(&key.sign(message.as_ref())).expect("its own signature"),
    };
    timed(|| (), move |()| assert!(set.verify()))
}

/// H: SHA-256 of 64 bytes, many side by side.
pub(crate) fn yardstick_h() -> Run {
    const BLOCKS: usize = 4096;
    let input: Vec<u8> = (0..BLOCKS * 64).map(|at| (at % 251) as u8).collect();
    let mut run = timed(|| (), move |()| blocksmith_consensus::hash_pairs(&input).len());
    Box::new(move |runs| run(runs) / BLOCKS as u32)
}
