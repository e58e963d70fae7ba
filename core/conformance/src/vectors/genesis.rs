//! Cases of genesis, and of the shuffle that assigns duties.

use blocksmith_consensus::{
    ChainConfig, Deposit, Preset, Root, compute_shuffled_index, initialize_beacon_state_from_eth1,
    is_valid_genesis_state, shuffle_list,
};
use serde::Deserialize;

use super::error::{NotPassed, Outcome, ensure};
use super::files::Files;
use super::layout::Case;

/// Longest list that a shuffling case may ask for.
const MAX_SHUFFLED: u64 = 1 << 20;

/// `eth1.yaml`.
#[derive(Debug, Deserialize)]
struct Eth1 {
    eth1_block_hash: String,
    eth1_timestamp: u64,
}

/// `mapping.yaml`.
#[derive(Debug, Deserialize)]
struct Mapping {
    seed: String,
    count: u64,
    mapping: Vec<u64>,
}

/// Makes a genesis state from deposits, or judges one.
pub(super) fn genesis<P: Preset>(case: &Case, files: &Files, config: &ChainConfig) -> Outcome {
    match case.handler.as_str() {
        "initialization" => {
            let eth1: Eth1 = files.required_yaml("eth1")?;
            let count = files.meta()?.deposits_count;
            let count =
                count.ok_or_else(|| NotPassed::failed("meta.yaml has no deposits_count"))?;
            let deposits = (0..count)
                .map(|index| files.value(&format!("deposits_{index}")))
                .collect::<Result<Vec<Deposit>, _>>()?;
            let block_hash = root(&eth1.eth1_block_hash)?;
            let timestamp = eth1.eth1_timestamp;
            let state =
                initialize_beacon_state_from_eth1::<P>(block_hash, timestamp, &deposits, config)
                    .map_err(NotPassed::failed)?;
            let expected = files.required_state::<P>("state")?;
            let computed = state.hash_tree_root();
            let expected = expected.hash_tree_root();
            ensure(computed == expected, || {
                format!("the genesis state's root is {computed}, not {expected}")
            })
        }
        "validity" => {
            let state = files.required_state::<P>("genesis")?;
            let expected: bool = files.required_yaml("is_valid")?;
            let computed = is_valid_genesis_state(&state, config);
            ensure(computed == expected, || format!("validity is {computed}, not {expected}"))
        }
        _ => Err(case.unknown("handler")),
    }
}

/// Shuffles one index at a time, and the whole list at once: both must give the mapping.
pub(super) fn shuffling<P: Preset>(case: &Case, files: &Files) -> Outcome {
    if case.handler != "core" {
        return Err(case.unknown("handler"));
    }
    let Mapping { seed, count, mapping } = files.required_yaml("mapping")?;
    let seed = root(&seed)?;
    ensure(count <= MAX_SHUFFLED && mapping.len() as u64 == count, || {
        format!("a mapping of {} for a count of {count}", mapping.len())
    })?;
    for (index, &expected) in (0..count).zip(&mapping) {
        let computed = compute_shuffled_index(index, count, &seed, P::SHUFFLE_ROUND_COUNT)
            .map_err(NotPassed::failed)?;
        ensure(computed == expected, || {
            format!("index {index} goes to {computed}, not to {expected}")
        })?;
    }
    let mut list: Vec<u64> = (0..count).collect();
    shuffle_list(&mut list, &seed, P::SHUFFLE_ROUND_COUNT);
    ensure(list == mapping, || "the list as a whole is shuffled otherwise".to_owned())
}

fn root(text: &str) -> Result<Root, NotPassed> {
    text.parse().map_err(|error| NotPassed::Failed(format!("{text}: {error}")))
}
