//! What a client asks once: genesis, configuration, the node itself.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use blocksmith_consensus::gloas::{DOMAIN_PTC_ATTESTER, MAX_PAYLOAD_ATTESTATIONS};
use blocksmith_consensus::{
    ATTESTATION_SUBNET_COUNT, BASE_REWARDS_PER_EPOCH, BLS_WITHDRAWAL_PREFIX,
    DEPOSIT_CONTRACT_TREE_DEPTH, DOMAIN_AGGREGATE_AND_PROOF, DOMAIN_BEACON_ATTESTER,
    DOMAIN_BEACON_PROPOSER, DOMAIN_DEPOSIT, DOMAIN_RANDAO, DOMAIN_SELECTION_PROOF,
    DOMAIN_VOLUNTARY_EXIT, FAR_FUTURE_EPOCH, FixedBytes, GENESIS_EPOCH, GENESIS_SLOT,
    JUSTIFICATION_BITS_LENGTH, Length, MAX_ATTESTATIONS, MAX_ATTESTER_SLASHINGS, MAX_DEPOSITS,
    MAX_PROPOSER_SLASHINGS, MAX_VALIDATORS_PER_COMMITTEE, MAX_VOLUNTARY_EXITS, Preset,
    TARGET_AGGREGATORS_PER_COMMITTEE,
};

use super::beacon::Beacon;
use super::error::ApiError;
use super::payloads::{self, PAYLOAD_ATTESTATION_DUE_BPS, PAYLOAD_DUE_BPS};
use super::request::{Answer, Asked, data, json};
use crate::metrics::exposition;

/// `GET /eth/v1/beacon/genesis`.
pub(super) async fn genesis<P: Preset>(beacon: Arc<Beacon<P>>, _: Asked) -> Answer {
    let state = &beacon.genesis.state;
    Ok(data(&format!(
        concat!(
            r#"{{"genesis_time":"{}","genesis_validators_root":"{}","#,
            r#""genesis_fork_version":"{}"}}"#
        ),
        state.genesis_time, state.genesis_validators_root, state.fork.current_version
    )))
}

/// The configuration, the preset and the constants, by the specification's names.
fn spec<P: Preset>(beacon: &Beacon<P>) -> Vec<(&'static str, String)> {
    let config = beacon.config();
    let mut values = config.values();
    let mut put = |name: &'static str, value: u64| values.push((name, value.to_string()));
    // The older name counts whole seconds.
    if config.slot_duration_ms.get().is_multiple_of(1000) {
        put("SECONDS_PER_SLOT", config.slot_duration_ms.get() / 1000);
    }
    put("SLOTS_PER_EPOCH", P::SLOTS_PER_EPOCH);
    put("MAX_COMMITTEES_PER_SLOT", P::MAX_COMMITTEES_PER_SLOT);
    put("TARGET_COMMITTEE_SIZE", P::TARGET_COMMITTEE_SIZE);
    put("MAX_VALIDATORS_PER_COMMITTEE", MAX_VALIDATORS_PER_COMMITTEE as u64);
    put("SHUFFLE_ROUND_COUNT", P::SHUFFLE_ROUND_COUNT.into());
    put("HYSTERESIS_QUOTIENT", P::HYSTERESIS_QUOTIENT);
    put("HYSTERESIS_DOWNWARD_MULTIPLIER", P::HYSTERESIS_DOWNWARD_MULTIPLIER);
    put("HYSTERESIS_UPWARD_MULTIPLIER", P::HYSTERESIS_UPWARD_MULTIPLIER);
    put("SAFE_SLOTS_TO_UPDATE_JUSTIFIED", P::SAFE_SLOTS_TO_UPDATE_JUSTIFIED);
    put("MIN_DEPOSIT_AMOUNT", P::MIN_DEPOSIT_AMOUNT);
    put("MAX_EFFECTIVE_BALANCE", P::MAX_EFFECTIVE_BALANCE);
    put("EFFECTIVE_BALANCE_INCREMENT", P::EFFECTIVE_BALANCE_INCREMENT);
    put("MIN_ATTESTATION_INCLUSION_DELAY", P::MIN_ATTESTATION_INCLUSION_DELAY);
    put("MIN_SEED_LOOKAHEAD", P::MIN_SEED_LOOKAHEAD);
    put("MAX_SEED_LOOKAHEAD", P::MAX_SEED_LOOKAHEAD);
    put("EPOCHS_PER_ETH1_VOTING_PERIOD", P::EPOCHS_PER_ETH1_VOTING_PERIOD);
    put("SLOTS_PER_HISTORICAL_ROOT", P::SLOTS_PER_HISTORICAL_ROOT);
    put("MIN_EPOCHS_TO_INACTIVITY_PENALTY", P::MIN_EPOCHS_TO_INACTIVITY_PENALTY);
    put("EPOCHS_PER_HISTORICAL_VECTOR", P::EPOCHS_PER_HISTORICAL_VECTOR);
    put("EPOCHS_PER_SLASHINGS_VECTOR", P::EPOCHS_PER_SLASHINGS_VECTOR);
    put("HISTORICAL_ROOTS_LIMIT", length::<P::HistoricalRootsLimit>());
    put("VALIDATOR_REGISTRY_LIMIT", length::<P::ValidatorRegistryLimit>());
    put("BASE_REWARD_FACTOR", P::BASE_REWARD_FACTOR);
    put("WHISTLEBLOWER_REWARD_QUOTIENT", P::WHISTLEBLOWER_REWARD_QUOTIENT);
    put("PROPOSER_REWARD_QUOTIENT", P::PROPOSER_REWARD_QUOTIENT);
    put("INACTIVITY_PENALTY_QUOTIENT", P::INACTIVITY_PENALTY_QUOTIENT);
    put("MIN_SLASHING_PENALTY_QUOTIENT", P::MIN_SLASHING_PENALTY_QUOTIENT);
    put("PROPORTIONAL_SLASHING_MULTIPLIER", P::PROPORTIONAL_SLASHING_MULTIPLIER);
    put("MAX_PROPOSER_SLASHINGS", MAX_PROPOSER_SLASHINGS as u64);
    put("MAX_ATTESTER_SLASHINGS", MAX_ATTESTER_SLASHINGS as u64);
    put("MAX_ATTESTATIONS", MAX_ATTESTATIONS as u64);
    put("MAX_DEPOSITS", MAX_DEPOSITS as u64);
    put("MAX_VOLUNTARY_EXITS", MAX_VOLUNTARY_EXITS as u64);
    put("GENESIS_SLOT", GENESIS_SLOT);
    put("GENESIS_EPOCH", GENESIS_EPOCH);
    put("FAR_FUTURE_EPOCH", FAR_FUTURE_EPOCH);
    put("BASE_REWARDS_PER_EPOCH", BASE_REWARDS_PER_EPOCH);
    put("DEPOSIT_CONTRACT_TREE_DEPTH", DEPOSIT_CONTRACT_TREE_DEPTH as u64);
    put("JUSTIFICATION_BITS_LENGTH", JUSTIFICATION_BITS_LENGTH.into());
    put("TARGET_AGGREGATORS_PER_COMMITTEE", TARGET_AGGREGATORS_PER_COMMITTEE);
    put("ATTESTATION_SUBNET_COUNT", ATTESTATION_SUBNET_COUNT);
    let domains = [
        ("DOMAIN_BEACON_PROPOSER", DOMAIN_BEACON_PROPOSER),
        ("DOMAIN_BEACON_ATTESTER", DOMAIN_BEACON_ATTESTER),
        ("DOMAIN_RANDAO", DOMAIN_RANDAO),
        ("DOMAIN_DEPOSIT", DOMAIN_DEPOSIT),
        ("DOMAIN_VOLUNTARY_EXIT", DOMAIN_VOLUNTARY_EXIT),
        ("DOMAIN_SELECTION_PROOF", DOMAIN_SELECTION_PROOF),
        ("DOMAIN_AGGREGATE_AND_PROOF", DOMAIN_AGGREGATE_AND_PROOF),
    ];
    let domain = |(name, domain)| (name, FixedBytes::new(domain).to_string());
    values.extend(domains.map(domain));
    if beacon.client.consensus().payloads().is_some() {
        values.extend(payload_names::<P>());
    }
    values.push(("BLS_WITHDRAWAL_PREFIX", format!("0x{BLS_WITHDRAWAL_PREFIX:02x}")));
    values.push(("PRESET_BASE", P::NAME.to_owned()));
    values.push(("CONFIG_NAME", P::NAME.to_owned()));
    values
}

/// The names of Gloas that the test fork knows.
fn payload_names<P: Preset>() -> [(&'static str, String); 5] {
    [
        ("PTC_SIZE", P::PTC_SIZE.to_string()),
        ("MAX_PAYLOAD_ATTESTATIONS", MAX_PAYLOAD_ATTESTATIONS.to_string()),
        ("PAYLOAD_DUE_BPS", PAYLOAD_DUE_BPS.to_string()),
        ("PAYLOAD_ATTESTATION_DUE_BPS", PAYLOAD_ATTESTATION_DUE_BPS.to_string()),
        ("DOMAIN_PTC_ATTESTER", FixedBytes::new(DOMAIN_PTC_ATTESTER).to_string()),
    ]
}

fn length<N: Length>() -> u64 {
    N::U64
}

/// `GET /eth/v1/config/spec`.
pub(super) async fn config<P: Preset>(beacon: Arc<Beacon<P>>, _: Asked) -> Answer {
    let pairs: Vec<_> =
        spec(&beacon).iter().map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
    Ok(data(&format!("{{{}}}", pairs.join(","))))
}

/// `GET /eth/v1/config/fork_schedule`: there is one fork.
pub(super) async fn forks<P: Preset>(beacon: Arc<Beacon<P>>, _: Asked) -> Answer {
    use blocksmith_consensus::Json;
    Ok(data(&format!("[{}]", beacon.genesis.state.fork.to_json())))
}

/// `GET /eth/v1/config/deposit_contract`: the address is none that anybody uses.
pub(super) async fn contract<P: Preset>(beacon: Arc<Beacon<P>>, _: Asked) -> Answer {
    let (chain, address) = (beacon.config().deposit_chain_id, FixedBytes::<20>::ZERO);
    Ok(data(&format!(r#"{{"chain_id":"{chain}","address":"{address}"}}"#)))
}

/// `GET /eth/v1/node/version`.
pub(super) async fn version<P: Preset>(_: Arc<Beacon<P>>, _: Asked) -> Answer {
    let (version, system) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    Ok(data(&format!(r#"{{"version":"Blocksmith/v{version}/{system}"}}"#)))
}

/// `GET /eth/v1/node/health`: 200 if the node is ready, 206 while it is syncing, 503 if it has
/// stopped.
pub(super) async fn health<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let instead = asked.optional::<u16>("syncing_status")?;
    let instead = instead.map(|status| {
        let status = StatusCode::from_u16(status).ok().filter(|status| status.as_u16() < 600);
        status.ok_or_else(|| ApiError::bad_request("syncing_status is not a status"))
    });
    let syncing = instead.transpose()?.unwrap_or(StatusCode::PARTIAL_CONTENT);
    if beacon.chain.is_closed() {
        return Err(ApiError::unavailable("the services have stopped"));
    }
    let status = if beacon.network.is_syncing() { syncing } else { StatusCode::OK };
    Ok(status.into_response())
}

/// `GET /eth/v1/node/syncing`.
pub(super) async fn syncing<P: Preset>(beacon: Arc<Beacon<P>>, _: Asked) -> Answer {
    let (head, syncing) = (beacon.view().head_slot, beacon.network.is_syncing());
    let distance = if syncing { beacon.clock.slot().saturating_sub(head) } else { 0 };
    Ok(data(&format!(
        concat!(
            r#"{{"head_slot":"{}","sync_distance":"{}","is_syncing":{},"#,
            r#""is_optimistic":false,"el_offline":false}}"#
        ),
        head, distance, syncing
    )))
}

/// `GET /eth/v1/node/identity`: a node without a network has no name in it. Today's clients expect
/// the metadata of Altair, whose sync committees are not known here.
pub(super) async fn identity<P: Preset>(_: Arc<Beacon<P>>, _: Asked) -> Answer {
    Ok(data(concat!(
        r#"{"peer_id":"","enr":"","p2p_addresses":[],"discovery_addresses":[],"#,
        r#""metadata":{"seq_number":"0","attnets":"0x0000000000000000","syncnets":"0x00"}}"#
    )))
}

/// `GET /eth/v1/node/peers`: who they are is the network's business.
pub(super) async fn peers<P: Preset>(_: Arc<Beacon<P>>, _: Asked) -> Answer {
    Ok(json(r#"{"data":[],"meta":{"count":0}}"#.to_owned()))
}

/// `GET /eth/v1/node/peer_count`.
pub(super) async fn peer_count<P: Preset>(beacon: Arc<Beacon<P>>, _: Asked) -> Answer {
    let connected = beacon.network.peers();
    Ok(data(&format!(
        r#"{{"disconnected":"0","connecting":"0","connected":"{connected}","disconnecting":"0"}}"#
    )))
}

/// `GET /metrics`.
pub(super) async fn metrics<P: Preset>(beacon: Arc<Beacon<P>>, _: Asked) -> Answer {
    let snapshot = beacon.client.broker().snapshot();
    let mut text = exposition(&snapshot, &beacon.times);
    beacon.requests.write(&mut text);
    let view = beacon.view();
    let gauges = [
        ("head_slot", "Slot of the head.", view.head_slot),
        ("clock_slot", "Slot of the clock.", beacon.clock.slot()),
        ("justified_epoch", "Epoch of the justified checkpoint.", view.justified.epoch),
        ("finalized_epoch", "Epoch of the finalised checkpoint.", view.finalized.epoch),
        ("event_streams", "Streams of events.", beacon.events.streams() as u64),
    ];
    for (name, help, value) in gauges {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP blocksmith_{name} {help}\n# TYPE blocksmith_{name} gauge\n\
             blocksmith_{name} {value}"
        );
    }
    let name = "blocksmith_offences_total";
    let help = "Validators seen to commit a slashable offence, once a notice.";
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
    let offences = &beacon.offences;
    for (kind, count) in [
        ("double_block", &offences.double_blocks),
        ("double_vote", &offences.double_votes),
        ("surround_vote", &offences.surround_votes),
    ] {
        // ORDERING: pairs with nothing; nothing but the number is handed over.
        let _ = writeln!(text, "{name}{{kind=\"{kind}\"}} {}", count.load(Ordering::Relaxed));
    }
    payloads::write_figures(&beacon, &mut text).await;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// `GET /eth/v1/events?topics=..`.
pub(super) async fn events<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let topics = asked.all("topics").into_iter().map(str::parse).collect::<Result<Vec<_>, _>>()?;
    if topics.is_empty() {
        return Err(ApiError::bad_request("topics is missing"));
    }
    beacon.events.subscribe(topics)
}
