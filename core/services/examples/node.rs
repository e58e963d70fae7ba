//! A node around the services. It starts them, feeds them what the network would bring, awaits
//! verdicts from tokio, follows the head, serves metrics, and stops the services in order.
//!
//! `cargo run --release -p blocksmith --example node`

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use blocksmith::clearance::ChainView;
use blocksmith::verdict::Verdict;
use blocksmith::{Anchor, Blocksmith, Config};
use blocksmith_consensus::{BeaconState, ChainConfig, Minimal, Phase0, Root};
use blocksmith_node::metrics::{Kind, Metrics, VerdictTimes};
use blocksmith_node::recording::{Arrival, Folder, Recording};
use blocksmith_sync::{Std, watch};

type Protocol = Phase0<Minimal>;

/// The peer that every item comes from; quotas count by peer.
const PEER: u64 = 7;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A recorded chain stands for the network and the clock.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/chain");
    let recording = Recording::load(&Folder(folder))?;

    // Start the services. The anchor is a state that the node trusts, here the genesis.
    let state = BeaconState::<Minimal>::from_ssz_bytes(&recording.genesis)?;
    let anchor = Anchor { root: recording.genesis_block_root, slot: 0, state };
    let protocol = Arc::new(Protocol::new(ChainConfig::minimal()));
    let (node, _notices) = Blocksmith::<Std, _>::start(Config::default(), protocol, anchor)?;
    let client = node.client().clone();

    // Serve the figures of every queue and the times to verdicts, for Prometheus. With port 0 the
    // system chooses a port.
    let times = VerdictTimes::default();
    let broker = client.broker().clone();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let metrics = Metrics::serve(address, &times, move || Some(broker.snapshot()))?;
    println!("metrics at http://{}/metrics", metrics.address());

    let chain = client.watch_chain();
    let heads = thread::spawn(move || follow_the_head(chain));

    // Feed the services. Each submission is a future and gets its verdict exactly once. An item
    // that waits for a parent or for a later slot gets its verdict then, so the node does not await
    // one item before it hands in the next.
    let mut tasks = Vec::new();
    for event in &recording.events {
        let (timer, submission) = match &event.arrival {
            Arrival::Tick { slot, into_slot } => {
                client.tick(*slot, *into_slot);
                continue;
            }
            Arrival::Block(bytes) => {
                (times.start(Kind::Block), client.submit_block_bytes(bytes, PEER))
            }
            Arrival::Attestation(bytes) => {
                (times.start(Kind::Attestation), client.submit_attestation_bytes(bytes, PEER))
            }
        };
        // Bytes that do not decode are refused at once.
        if let Ok(submission) = submission {
            tasks.push(tokio::spawn(timer.time(submission)));
        }
        // Here the network is as fast as the services.
        client.rest();
    }
    let view = client.view().ok_or("the services have stopped")?;

    // Stop the services. Items that still wait are answered, and every thread is joined.
    drop(client);
    let report = node.stop();
    let mut valid = 0;
    for task in &mut tasks {
        valid += usize::from(matches!(task.await?, Verdict::Accept { .. }));
    }
    let heads = heads.join().map_err(|_| "the reader of the watch panicked")?;
    println!("{valid} of {} items are valid; {heads} heads were seen", tasks.len());
    println!("head {}, finalized epoch {}", view.head, view.finalized.epoch);
    println!("{} threads joined", report.joined);
    assert_eq!(view.head, recording.final_head, "not the oracle's head");
    Ok(())
}

/// Prints the head whenever it is another one, until the services have stopped. Returns how many
/// it saw: a watch shows the latest head, and never loses the last.
fn follow_the_head(mut chain: watch::Receiver<Std, ChainView<Root>>) -> usize {
    let (mut heads, mut last) = (0, None);
    while let Ok(view) = chain.changed() {
        if last != Some(view.head) {
            (heads, last) = (heads + 1, Some(view.head));
            println!("head {}, justified epoch {}", view.head, view.justified.epoch);
        }
    }
    heads
}
