//! Scenarios of the running services: threads, mailboxes, machines, over the toy protocol.
//!
//! **What each shows.** Every submission has one verdict. A child is valid only after its parent.
//! Nobody is stranded: the scenario joins all threads at its end, so a thread that waits for ever
//! is a deadlock, which every engine reports.
//!
//! **Sizes.** A mailbox has one place, the window is one check, and one notice may be unread. So
//! every wait for room that the code has occurs. `smallest` starts four threads, so the scenarios
//! over it fit into loom's limit of five. `with_duties` adds the worker that is reserved for
//! duties.

use std::sync::Arc;
use std::time::Duration;

use blocksmith::activity::{Activity, Busy};
use blocksmith::consensus::Checkpoint;
use blocksmith::rewinder::Lane;
use blocksmith::supervision::{Fault, Gate, Injection, ServiceName, When};
use blocksmith::toy::{Toy, ToyAttestation, ToyBlock, ToyInvalid, ToyRoot, ToyState};
use blocksmith::verdict::Verdict;
use blocksmith::{Anchor, Blocksmith, Client, Config, NoticeReceiver, StopReport, Submission};
use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::{Atomic, Primitives};

use super::notifier::join;
use super::{Row, preemptions, restless, restless_states, steps};
use crate::row;
use blocksmith_engines::shuttle::ShuttleBounds;

type Services<P> = (Blocksmith<P, Toy>, NoticeReceiver<P, Toy>);
type Outcome = Verdict<ToyRoot, ToyInvalid>;
/// Services that are held up, the gate that lets them go on, and the block that waits there.
type HeldUp<P> = (Services<P>, <P as Primitives>::Arc<Gate<P>>, Submission<P, Toy>);

/// The slot that [`start`] announces.
const NOW: u64 = 10;

/// Returns the configuration with one worker and one place everywhere. It has four threads.
pub(super) fn smallest() -> Config {
    let mut config = Config {
        workers: 1,
        reserved_worker: false,
        mailbox_capacity: 1,
        queries: 1,
        notices: 1,
        // With a thread that the clock wakes, an exploration would never end.
        observe_every: None,
        ..Config::default()
    };
    config.quarantine.window = 1;
    config.quarantine.unproven = 1;
    config.quarantine.items = 8;
    config.hot_db.blocks = 8;
    config
}

/// Returns `smallest` with the worker that is reserved for duties. It has five threads.
fn with_duties() -> Config {
    Config { reserved_worker: true, ..smallest() }
}

/// Returns `smallest` with two workers that share the work. It has five threads.
fn two_workers() -> Config {
    let mut config = Config { workers: 2, ..smallest() };
    config.quarantine.window = 2;
    config.quarantine.unproven = 2;
    config
}

/// Starts the services with faults, and tells them no slot. Their steps are heard.
fn start_with<P: Primitives>(config: Config, faults: Vec<Injection<P>>) -> Services<P> {
    steps::hear();
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    match Blocksmith::start_with_faults(config, Arc::new(Toy::default()), anchor, faults) {
        Ok(started) => started,
        Err(error) => panic!("the sizes are not zero: {error}"),
    }
}

/// Starts the services, and tells them no slot.
fn start_at_anchor<P: Primitives>(config: Config) -> Services<P> {
    start_with(config, Vec::new())
}

fn start<P: Primitives>(config: Config) -> Services<P> {
    let services = start_at_anchor(config);
    services.0.client().tick(NOW, Duration::ZERO);
    services
}

fn submit<P: Primitives>(client: &Client<P, Toy>, block: ToyBlock) -> Submission<P, Toy> {
    client.submit_block(block, 0, 1)
}

/// Stops the services, and asserts that every thread ended without a panic.
fn stop<P: Primitives>(services: Services<P>, threads: usize) {
    let (blocksmith, notices) = services;
    let StopReport { joined, panicked, panics, cause, .. } = blocksmith.stop();
    assert_eq!((joined, panicked.len(), panics, cause), (threads, 0, 0, None));
    drop(notices);
}

fn head<P: Primitives>(client: &Client<P, Toy>) -> Option<ToyRoot> {
    client.view().map(|view| view.head)
}

/// Waits for the child's verdict. If it is valid, the parent's verdict must be there, and valid.
fn child_then_parent<P: Primitives>(
    child: Submission<P, Toy>,
    mut parent: Submission<P, Toy>,
) -> [Outcome; 2] {
    let child = child.wait();
    let parent = match parent.try_wait() {
        Some(verdict) => verdict,
        None => {
            assert_ne!(child.class(), "valid", "the child was judged first");
            parent.wait()
        }
    };
    [child, parent]
}

/// Two threads handle a message each, with a relaxed store each. A thread that finds that no
/// message is under way sees both stores.
pub fn rest_comes_after_every_handler<P: Primitives>() {
    let activity = Activity::<P>::new();
    let done = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let threads = [0, 1].map(|index| {
        let (busy, done) = (Busy::<P>::new(&activity), done.clone());
        P::spawn("handler", move || {
            done[index].store(1, Relaxed);
            drop(busy);
        })
    });
    activity.rest();
    assert!(done.iter().all(|done| done.load(Relaxed) == 1), "a handler's store is not seen");
    threads.into_iter().for_each(join);
}

/// The owner starts the services and stops them.
pub fn start_and_stop<P: Primitives>() {
    stop(start_at_anchor::<P>(smallest()), 4);
}

/// A block waits for its parent when the services stop.
pub fn an_orphan_at_the_stop<P: Primitives>() {
    let services = start_at_anchor::<P>(smallest());
    let orphan = submit(services.0.client(), ToyBlock::new(2, 1, 1));
    stop(services, 4);
    assert_eq!(orphan.wait().reason(), "shutdown");
}

/// A client sends a tick and submits a valid block.
pub fn one_block<P: Primitives>() {
    a_good_block_is::<P>("valid");
}

/// As [`one_block`], if `class` is that of the verdict; else it fails with the whole way of the block.
pub fn a_good_block_is<P: Primitives>(class: &str) {
    let services = start::<P>(smallest());
    let verdict = submit(services.0.client(), ToyBlock::new(1, 0, 1)).wait();
    assert_eq!(verdict.class(), class, "the class of a good block's verdict");
    stop(services, 4);
}

/// A client sends a tick and submits a block that the transition rejects.
pub fn an_invalid_block<P: Primitives>() {
    let services = start::<P>(smallest());
    let verdict = submit(services.0.client(), ToyBlock::new(1, 0, 1).invalid()).wait();
    assert_eq!(verdict.reason(), "bad_state_root");
    stop(services, 4);
}

/// A child comes first, and then its parent.
pub fn child_before_parent<P: Primitives>() {
    let services = start::<P>(with_duties());
    let client = services.0.client();
    let child = submit(client, ToyBlock::new(2, 1, 2));
    let parent = submit(client, ToyBlock::new(1, 0, 1));
    let verdicts = child_then_parent(child, parent);
    assert_eq!(verdicts.map(|verdict| verdict.class()), ["valid"; 2]);
    client.rest();
    assert_eq!(client.pending(), Some(Vec::new()));
    assert_eq!(head(client), Some(2));
    stop(services, 5);
}

/// A child comes before its parent, then an invalid block, then the stop. This is a whole life of
/// the smallest instance.
pub fn a_short_life<P: Primitives>() {
    let services = start::<P>(smallest());
    let client = services.0.client();
    let child = submit(client, ToyBlock::new(2, 1, 2).invalid());
    let parent = submit(client, ToyBlock::new(1, 0, 1));
    assert_eq!(child.wait().reason(), "bad_state_root");
    assert_eq!(parent.wait().class(), "valid");
    stop(services, 4);
}

/// Two descendants wait for a block that turns out invalid.
pub fn invalid_parent_takes_child_along<P: Primitives>() {
    let services = start::<P>(with_duties());
    let client = services.0.client();
    let blocks = [ToyBlock::new(3, 2, 3), ToyBlock::new(2, 1, 2), ToyBlock::new(1, 0, 1).invalid()];
    let [grandchild, child, parent] = blocks.map(|block| submit(client, block));
    assert_eq!(grandchild.wait().reason(), "invalid_ancestor");
    assert_eq!(child.wait().reason(), "invalid_ancestor");
    assert_eq!(parent.wait().reason(), "bad_state_root");
    client.rest();
    assert_eq!(head(client), Some(0));
    stop(services, 5);
}

/// A copy with a bad signature comes first. A child waits. The real block comes last.
pub fn forged_copy_does_not_shadow<P: Primitives>() {
    let services = start::<P>(with_duties());
    let client = services.0.client();
    let block = ToyBlock::new(1, 0, 1);
    let forged = submit(client, block.badly_signed());
    let child = submit(client, ToyBlock::new(2, 1, 2));
    let genuine = submit(client, block);
    assert_eq!(forged.wait().reason(), "bad_proposer_signature");
    let verdicts = child_then_parent(child, genuine);
    assert_eq!(verdicts.map(|verdict| verdict.class()), ["valid"; 2]);
    stop(services, 5);
}

/// A client sends more blocks and ticks than all queues hold, with a duplicate among them. Nobody
/// reads the notices.
pub fn smallest_mailboxes<P: Primitives>() {
    let services = start::<P>(smallest());
    let client = services.0.client();
    let submissions = [4, 2, 3, 1, 2].map(|n: ToyRoot| {
        client.tick(NOW + u64::from(n), Duration::ZERO);
        submit(client, ToyBlock::new(n, n - 1, u64::from(n)))
    });
    let classes = submissions.map(|submission| submission.wait().class());
    client.rest();
    // The second copy is a duplicate if the first is decided. Otherwise it has the first's verdict.
    assert_eq!(classes[..4], ["valid"; 4]);
    assert!(["valid", "ignored"].contains(&classes[4]), "{classes:?}");
    assert_eq!(head(client), Some(4));
    stop(services, 4);
}

/// The HotDB is held up over a commit, which is its second message. Meanwhile the block has no
/// verdict, however many turns the Quarantine has taken. Afterwards the state can be had.
pub fn the_verdict_follows_the_commit<P: Primitives>() {
    let gate = Gate::<P>::new();
    let fault = Fault::<P>::Stall(gate.clone());
    let held_up = Injection { service: ServiceName::HotDb, when: When::At(2), fault };
    let services = start_with(smallest(), vec![held_up]);
    let client = services.0.client();
    client.tick(NOW, Duration::ZERO);
    let mut block = submit(client, ToyBlock::new(1, 0, 1));
    gate.wait_for_arrival();
    for _ in 0..4 {
        assert!(client.pending().is_some());
        assert!(block.try_wait().is_none(), "a verdict before the commit");
    }
    gate.open();
    assert_eq!(block.wait().class(), "valid");
    let state = client.state_at(1, NOW, Lane::Duties).map(|state| (state.block, state.slot));
    assert_eq!(state, Ok((1, NOW)));
    stop(services, 4);
}

/// Two clients submit at the same time: one a valid block, the other an invalid child of it.
pub fn two_clients<P: Primitives>() {
    let services = start::<P>(smallest());
    let client = services.0.client();
    let other = client.clone();
    let child = ToyBlock::new(2, 1, 2).invalid();
    let second = P::spawn("client", move || submit(&other, child).wait().reason());
    let first = submit(client, ToyBlock::new(1, 0, 1)).wait().reason();
    assert_eq!([first, join(second)], ["ok", "bad_state_root"], "the other client's verdict");
    client.rest();
    assert_eq!(head(client), Some(1));
    stop(services, 4);
}

/// Returns services whose Quarantine is held up over the first block of peer 1, until the gate is
/// opened, and that block. Its mailbox has two places, of which a peer has `per_peer`.
fn held_up<P: Primitives>(per_peer: usize) -> HeldUp<P> {
    let gate = Gate::<P>::new();
    let (service, fault) = (ServiceName::Quarantine, Fault::<P>::Stall(gate.clone()));
    let faults = vec![Injection { service, when: When::At(1), fault }];
    let config = Config { mailbox_capacity: 2, mailbox_per_peer: per_peer, ..smallest() };
    let services = start_with(config, faults);
    let first = services.0.client().submit_block(ToyBlock::new(1, 0, 0), 1, 1);
    gate.wait_for_arrival();
    (services, gate, first)
}

/// Nothing leaves the Quarantine's mailbox while peer 1 submits two more blocks. Of `per_peer` = 1
/// the second has the peer's place; the third is refused at once. Afterwards the peer has its place
/// again.
pub(crate) fn share_of_the_mailbox<P: Primitives>(per_peer: usize) {
    let (services, gate, first) = held_up::<P>(per_peer);
    let client = services.0.client();
    let [mut second, mut third] =
        [2, 3].map(|root| client.submit_block(ToyBlock::new(root, 0, 0), 1, 1));
    assert!(second.try_wait().is_none(), "the peer's own place was refused");
    let refused = third.try_wait().map(|verdict| verdict.reason());
    assert_eq!(refused, Some("peer_busy"), "the peer has another's place");
    gate.open();
    assert_ne!([first, second].map(|block| block.wait().reason())[1], "peer_busy");
    let again = client.submit_block(ToyBlock::new(3, 0, 0), 1, 1);
    assert_ne!(again.wait().reason(), "peer_busy", "the place did not come back");
    stop(services, 4);
}

/// A peer submits more than its share of the Quarantine's mailbox.
pub fn a_peer_has_its_share_of_the_mailbox<P: Primitives>() {
    share_of_the_mailbox::<P>(1);
}

/// Nothing leaves the Quarantine's mailbox while two threads submit a block of peer 1 each: one of
/// them has the peer's place, whatever the schedule, and the other is refused at once.
pub fn two_threads_ask_for_one_place<P: Primitives>() {
    let (services, gate, first) = held_up::<P>(1);
    let submit = |client: &Client<P, Toy>, root| {
        let mut block = client.submit_block(ToyBlock::new(root, 0, 0), 1, 1);
        u32::from(block.try_wait().is_some_and(|verdict| verdict.reason() == "peer_busy"))
    };
    let client = services.0.client().clone();
    let other = P::spawn("client", move || submit(&client, 2));
    let refused = submit(services.0.client(), 3) + join(other);
    assert_eq!(refused, 1);
    gate.open();
    assert_ne!(first.wait().reason(), "peer_busy");
    stop(services, 4);
}

/// A second client submits a chain and an orphan while the services stop.
pub fn stop_answers_everything<P: Primitives>() {
    let services = start::<P>(smallest());
    let client = services.0.client().clone();
    let other = P::spawn("client", move || {
        let blocks = [ToyBlock::new(2, 1, 2), ToyBlock::new(1, 0, 1), ToyBlock::new(9, 8, 3)];
        let [child, parent, orphan] = blocks.map(|block| submit(&client, block));
        let [child, parent] = child_then_parent(child, parent);
        [child, parent, orphan.wait()].map(|verdict| verdict.reason())
    });
    stop(services, 4);
    let [child, parent, orphan] = join(other);
    // The answer is `fault` if the Quarantine was gone already.
    assert!(["ok", "shutdown", "fault"].contains(&child), "{child}");
    assert!(["ok", "shutdown", "fault"].contains(&parent), "{parent}");
    assert!(["shutdown", "fault"].contains(&orphan), "{orphan}");
    assert!(child != "ok" || parent == "ok", "a child without its parent");
}

/// Two attestations need one state while two workers look for work. The block comes last. A worker
/// may pass over the second attestation until the first has loaded the state.
pub fn attestations_wait_for_their_block<P: Primitives>() {
    let services = start_at_anchor::<P>(two_workers());
    let client = services.0.client();
    client.tick(3, Duration::ZERO); // in the epoch of the attestations
    let attestations = [0, 1].map(|validator| {
        let target = Checkpoint { epoch: 0, root: 0 };
        let id = 20 + validator as ToyRoot;
        let vote = ToyAttestation { id, slot: 2, head: 1, target, validator, valid: true };
        client.submit_attestation(vote, 0, 1)
    });
    let block = submit(client, ToyBlock::new(1, 0, 1));
    assert_eq!(block.wait().class(), "valid");
    let verdicts = attestations.map(|attestation| attestation.wait().class());
    assert_eq!(verdicts, ["valid"; 2]);
    client.rest();
    assert_eq!(head(client), Some(1));
    stop(services, 5);
}

/// Attestations of one target wait for their block and for the only worker, which may take them
/// together.
pub fn attestations_are_judged_together<P: Primitives>() {
    let mut config = smallest();
    config.quarantine.window = 3;
    config.quarantine.unproven = 3;
    let services = start_at_anchor::<P>(config);
    let client = services.0.client();
    client.tick(3, Duration::ZERO); // in the epoch of the attestations
    let attestations = [0, 1, 2].map(|validator| {
        let target = Checkpoint { epoch: 0, root: 0 };
        let (id, valid) = (20 + validator as ToyRoot, validator != 1);
        let vote = ToyAttestation { id, slot: 2, head: 1, target, validator, valid };
        client.submit_attestation(vote, 0, 1)
    });
    let block = submit(client, ToyBlock::new(1, 0, 1));
    assert_eq!(block.wait().class(), "valid");
    let verdicts = attestations.map(|attestation| attestation.wait().reason());
    assert_eq!(verdicts, ["ok", "bad_signature", "ok"]);
    client.rest();
    assert_eq!(client.pending(), Some(Vec::new()));
    stop(services, 4);
}

/// Returns whether finality is the reason for a refusal. It is `finalized` if the HotDB knew of it
/// before the Quarantine did.
fn is_passed(verdict: &Outcome) -> bool {
    let reasons = ["not_after_finalized_slot", "not_descendant_of_finalized", "finalized"];
    reasons.contains(&verdict.reason())
}

/// Finality moves, so Clearance asks the Rewinder for balances and lets the HotDB prune. Meanwhile
/// blocks of the live branch and of the dead branch arrive.
pub fn finality_while_blocks_arrive<P: Primitives>() {
    let services = start::<P>(two_workers());
    let client = services.0.client();
    let finalizes = Some(Checkpoint { epoch: 1, root: 2 });
    let blocks = [
        ToyBlock::new(1, 0, 3),
        ToyBlock::new(5, 0, 3),
        ToyBlock::new(2, 1, 4),
        ToyBlock { finalizes, ..ToyBlock::new(3, 2, 5) },
        ToyBlock::new(4, 3, 6),
        ToyBlock::new(6, 5, 6),
    ];
    let [first, dead, second, third, tip, dead_tip] = blocks.map(|block| submit(client, block));
    let live = [first, second, third, tip].map(|submission| submission.wait().class());
    assert_eq!(live, ["valid"; 4]);
    // Whether finality comes before the dead branch, or in its middle, is the schedule's choice.
    let [dead, dead_tip] = [dead, dead_tip].map(|submission| submission.wait());
    let valid = matches!(dead, Outcome::Accept { post_state_root: Some(5), .. });
    assert!(valid || is_passed(&dead), "{dead:?}");
    assert!(dead_tip.class() == "valid" && valid || is_passed(&dead_tip), "{dead_tip:?}");
    client.rest();
    assert_eq!(client.pending(), Some(Vec::new()));
    let view = client.view().map(|view| (view.head, view.finalized.root));
    assert_eq!(view, Some((4, 2)));
    stop(services, 5);
}

/// The schedules of one scenario under shuttle.
const SAMPLE: Option<ShuttleBounds> = Some(ShuttleBounds::iterations(3_000));
/// The number of runs on real threads.
const RUNS: Option<usize> = Some(200);

/// Returns the scenarios of this module. The stepped engine does not run them: the models explore
/// the machines as communicating processes instead.
///
/// loom's bounds are those that it exhausts in less than a minute. While the services do little, it
/// has one preemption. Through a whole life it has none, but it still tries every order of the
/// threads wherever one blocks, and every value that a load may return. With one preemption, the
/// life of one block has more than 350,000 executions. Without one, few may be left:
/// `an_invalid_block` has 48. shuttle's schedules come in addition.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            services::rest_comes_after_every_handler,
            "who returns from `rest` sees what every handler did", None,
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            services::start_and_stop,
            "services that were given nothing end, all of them", Some(&hazard::L4),
            threads: 5, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::an_orphan_at_the_stop,
            "what waits for a parent is answered at the stop", Some(&hazard::Q10),
            threads: 5, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::one_block,
            "a block is judged, committed and cleared", None,
            threads: 5, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::an_invalid_block,
            "an invalid block is rejected", None,
            threads: 5, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::a_short_life,
            "a child before its parent, an invalid block, and the stop", Some(&hazard::Q1),
            threads: 5, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::child_before_parent,
            "a child is valid, and only after its parent", Some(&hazard::Q1),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::invalid_parent_takes_child_along,
            "a rejected block takes along what waits for it", Some(&hazard::Q4),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::forged_copy_does_not_shadow,
            "a badly signed copy of a block rejects nothing but itself", Some(&hazard::Q6),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::smallest_mailboxes,
            "more messages than there is room for: nobody waits in a cycle", Some(&hazard::M8),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::the_verdict_follows_the_commit,
            "a block whose commit is held up has no verdict until the commit is made", Some(&hazard::R6),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::two_clients,
            "two clients that submit at once get their own verdicts, not each other's",
            Some(&hazard::Q2),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::a_peer_has_its_share_of_the_mailbox,
            "a peer with more messages than its share is refused at once, and later has its share",
            Some(&hazard::A1),
            threads: 5, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::two_threads_ask_for_one_place,
            "of two threads that ask for a peer's last place in the mailbox, one gets it",
            Some(&hazard::A1),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::stop_answers_everything,
            "what is submitted while the services stop has one answer", Some(&hazard::Q10),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::attestations_wait_for_their_block,
            "of two attestations that need one state neither is passed over for ever",
            Some(&hazard::R11),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::attestations_are_judged_together,
            "attestations that one worker takes together have their own verdicts", Some(&hazard::Q10),
            threads: 5, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            services::finality_while_blocks_arrive,
            "Clearance waits for nobody who waits for it, also when finality moves", Some(&hazard::R3),
            threads: 6, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
    ]
}
