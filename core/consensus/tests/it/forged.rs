//! What forged items cost: attestations to old heads of a long chain with branches (hazards R13,
//! A4), and blocks without their proposer's signature (A1, A9).

use blocksmith::consensus::{Checkpoint, Consensus, Failure, Invalid, StateOf, UpdateFlags};
use blocksmith::hot_db::{Effect, Event, HotDb, Limits, StateAt, TrailReply};
use blocksmith::identified;
use blocksmith::machine::Machine;
use blocksmith::rewinder::{Answer, Job, Worker, WorkerEffect, WorkerEvent};
use blocksmith_consensus::{
    Attestation, AttestationData, Domain, InvalidData, Minimal, Phase0, Phase0Fault, Root,
    SharedAttestation, SharedBlock, SignatureBytes, SignedBeaconBlock, Wire, process_slots,
    verify_and_process_block,
};

use crate::support::{
    State, advanced, all_votes, attestation, complete, config, draft, genesis, sign,
};

type Db = HotDb<Phase0<Minimal>>;

/// Slots of the chain.
const SLOTS: u64 = 1_031;
/// Blocks that leave the chain, each at another slot, and have no child.
const BRANCHES: u64 = 8;

fn phase0() -> Phase0<Minimal> {
    Phase0::new(config())
}

/// A block on `parent` at `slot`, whose signatures nobody looks at, and the state after it.
fn extend(parent: &State, slot: u64, graffiti: u8) -> (SharedBlock, State) {
    let mut state = parent.clone();
    process_slots(&mut state, slot, &config()).unwrap();
    let mut message = draft(&state);
    message.body.graffiti = Root::new([graffiti; 32]);
    let mut signed = SignedBeaconBlock { message, ..SignedBeaconBlock::default() };
    verify_and_process_block(&mut state, &signed, UpdateFlags::replay(), &config()).unwrap();
    signed.message.state_root = state.hash_tree_root();
    (SharedBlock::from(signed), state)
}

/// The HotDB after every slot of a chain and its branches, and the roots of the chain's blocks.
fn chain() -> (Db, Vec<Root>) {
    let (phase0, mut state) = (phase0(), genesis());
    let anchor = advanced(&state, 1).latest_block_header.hash_tree_root();
    let mut db = HotDb::new(&phase0, Limits::default(), anchor, 0, state.clone());
    let mut roots = vec![anchor];
    for slot in 1..=SLOTS {
        let before = state.clone();
        let (block, after) = extend(&before, slot, 0);
        roots.push(block.root());
        commit(&mut db, block, &after);
        if slot % (SLOTS / BRANCHES) == 0 {
            let (block, after) = extend(&before, slot, 1);
            commit(&mut db, block, &after);
        }
        state = after;
    }
    let head = *roots.last().unwrap();
    let finalized = Checkpoint { epoch: 0, root: anchor };
    let keep = blocksmith::hot_db::Prune { finalized, justified: anchor, head };
    db.handle(&phase0, Event::Prune(keep));
    (db, roots)
}

fn commit(db: &mut Db, block: SharedBlock, state: &State) {
    let phase0 = phase0();
    let (root, slot) = (block.root(), block.value().message.slot);
    let block = identified::block(&phase0, block);
    let state = StateAt { root, slot, state: state.clone() };
    db.handle(&phase0, Event::Commit { block, state });
    assert!(db.contains(root));
}

/// What a worker ran: slots, and blocks among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    slots: u64,
    blocks: u64,
    trails: u64,
}

/// Has a worker judge a job against the HotDB; adds what that costs.
fn judge(db: &mut Db, job: Job<Phase0<Minimal>>, cost: &mut Cost) -> &'static str {
    let (phase0, mut worker) = (phase0(), Worker::Idle);
    let mut event = WorkerEvent::Start(vec![job]);
    loop {
        let mut next = None;
        for effect in worker.handle(&phase0, event) {
            let ask = match effect {
                WorkerEffect::RequestCommittees { target } => Event::Committees { target },
                WorkerEffect::RequestTrail { root, slot } => Event::Trail { root, slot },
                WorkerEffect::PostState(at) => Event::PostState(at),
                WorkerEffect::PostCommittees(at) => Event::PostCommittees(at),
                WorkerEffect::Claim(_) => {
                    next = Some(WorkerEvent::Claimed(true));
                    continue;
                }
                WorkerEffect::Proceed | WorkerEffect::GiveWay(_) => {
                    next = Some(WorkerEvent::Proceed);
                    continue;
                }
                WorkerEffect::Answer(Answer::Invalid(reason)) => return reason.word(),
                WorkerEffect::Answer(Answer::Stale) => return "stale",
                WorkerEffect::Answer(answer) => panic!("{answer:?}"),
                WorkerEffect::Loaded(_) => continue,
                WorkerEffect::Commit { .. } | WorkerEffect::Requeue { .. } => panic!("forged"),
            };
            if let Some(Effect::Trail(reply)) = db.handle(&phase0, ask).pop() {
                if let TrailReply::Trail(trail) = &reply {
                    cost.trails += 1;
                    cost.slots += trail.slot - trail.start.slot;
                    cost.blocks += trail.blocks.len() as u64;
                }
                next = Some(WorkerEvent::Trail(reply));
            }
        }
        event = next.expect("a worker asks or answers");
    }
}

/// A forged attestation of `epoch` to the branch that ends in `root`.
fn forged(root: Root, epoch: u64) -> Job<Phase0<Minimal>> {
    let mut data = AttestationData { slot: epoch * 8 + 1, ..AttestationData::default() };
    data.beacon_block_root = root;
    data.target = blocksmith_consensus::Checkpoint { epoch, root };
    let aggregation_bits = vec![true; 8].as_slice().try_into().unwrap();
    let attestation = Attestation { aggregation_bits, data, signature: SignatureBytes::ZERO };
    Job::Attestation(identified::attestation(&phase0(), SharedAttestation::from(attestation)))
}

#[test]
fn forged_attestations_to_old_heads_cost_a_trail_for_each_branch_however_many_come() {
    // Attests in the head's epoch to 64, 256 and 1,024 old blocks of the chain, then to all blocks
    // of all branches. A replay for each target, as it was once, is added up beside it.
    let (db, roots) = chain();
    let epoch = SLOTS / 8;
    let mut curve = Vec::new();
    for n in [64, 256, 1_024] {
        let mut db = db.clone();
        let (mut cost, mut once) = (Cost::default(), 0);
        for at in 0..n {
            let root = roots[at * (roots.len() - 1) / n];
            if let TrailReply::Trail(trail) = db.trail(root, epoch * 8) {
                once += trail.slot - trail.start.slot + trail.blocks.len() as u64;
            }
            assert_ne!(judge(&mut db, forged(root, epoch), &mut cost), "ok");
        }
        println!("{n} forged: {cost:?}, a replay for each: {once} slots and blocks");
        curve.push(cost);
        assert!(once > 100 * n as u64, "the targets are old: {once}");
    }
    // Nothing builds on them any more, but for those of the last two epochs. These share
    // committees. The HotDB is asked before a claim and after it.
    for cost in curve {
        assert!(cost.trails <= 2 && cost.slots + cost.blocks <= 8, "{cost:?}");
    }
}

#[test]
fn what_branches_cost_does_not_grow_with_the_number_of_forged_attestations() {
    // Attests to the end of each branch, again and again, in one epoch: each is advanced once.
    let (mut db, roots) = chain();
    let (epoch, phase0) = (SLOTS / 8, phase0());
    let mut ends = Vec::new();
    for (parent, slot) in roots.iter().zip(1..).filter(|(_, slot)| slot % (SLOTS / BRANCHES) == 0) {
        let TrailReply::Trail(trail) = db.trail(*parent, slot - 1) else { panic!("a trail") };
        let mut state = trail.start.state.clone();
        for block in &trail.blocks {
            phase0.transition(&mut state, block.item(), UpdateFlags::replay()).unwrap();
        }
        ends.push(extend(&state, slot, 1).0.root());
    }
    assert!(ends.iter().all(|root| db.contains(*root)) && ends.len() as u64 >= BRANCHES);
    let mut costs = Vec::new();
    for rounds in [1, 4, 16] {
        let mut cost = Cost::default();
        for _ in 0..rounds {
            for end in &ends {
                assert_eq!(judge(&mut db, forged(*end, epoch), &mut cost), "bad_attestation");
            }
        }
        println!("{} forged to {} branches: {cost:?}", rounds * ends.len(), ends.len());
        costs.push(cost);
    }
    // The branch that leaves in the last epochs is there without a slot. The HotDB is asked before
    // a claim and after it.
    let branches = ends.len() as u64;
    assert!(costs[0].trails <= 2 * branches && costs[0].slots <= branches * SLOTS);
    assert!(costs[0].slots > 0);
    assert_eq!(costs[1..], [Cost::default(); 2]);
}

#[test]
fn the_proposers_of_an_epoch_are_known_by_its_first_block_and_refuse_others_without_a_state() {
    // An epoch's first block is of slot 17. The next slot's block, by another proposer.
    let (phase0, state) = (phase0(), advanced(&genesis(), 17));
    let block = complete(&state, draft(&state));
    let mut post = state.clone();
    phase0.transition(&mut post, &block.clone().into(), UpdateFlags::default()).unwrap();
    let proposers = phase0.proposers(&post).expect("the block's own has been checked");
    assert_eq!((proposers.len(), proposers[1]), (8, block.message.proposer_index));
    let later = draft(&advanced(&post, 18));
    assert_eq!(proposers[2], later.proposer_index);
    let expected = proposers[2];
    let checked = |proposer_index| {
        let mut message = later.clone();
        message.proposer_index = proposer_index;
        let signature = SignatureBytes::ZERO;
        let block = SharedBlock::from(SignedBeaconBlock { message, signature });
        phase0.check_proposer(&block, expected).map_err(|invalid| invalid.reason())
    };
    assert_eq!(checked(expected), Ok(()));
    assert_eq!(checked((expected + 1) % 64), Err("bad_block_header"));
}

fn word(failure: Failure<InvalidData, Phase0Fault>) -> &'static str {
    match failure {
        Failure::Invalid(invalid) => invalid.reason(),
        Failure::Fault(fault) => panic!("{fault}"),
    }
}

/// The reason of a block by its first checks alone, in a state of this block.
fn early_reason(state: &State, block: &SignedBeaconBlock, whose: StateOf) -> Option<&'static str> {
    let block = SharedBlock::from(block.clone());
    phase0().verify_proposer(state, &block, whose).map_err(word).err()
}

/// The same reason, and the one by the block's transition.
fn reasons(state: &State, block: &SignedBeaconBlock, whose: StateOf) -> [Option<&'static str>; 2] {
    let early = early_reason(state, block, whose);
    let block = SharedBlock::from(block.clone());
    let whole = phase0().transition(&mut state.clone(), &block, UpdateFlags::default());
    [early, whole.map_err(word).err()]
}

#[test]
fn the_first_checks_of_a_block_give_the_transitions_reason_by_any_state_before_it() {
    // Valid; under another's key; of another proposer, who signs it; with another fault beside the
    // bad signature. By the parent's state, by the same advanced, and by one of an epoch before.
    let state = advanced(&genesis(), 17);
    let good = complete(&state, draft(&state));
    let mut junk = good.clone();
    junk.signature = attestation(&advanced(&genesis(), 2)).signature;
    let mut stranger = draft(&state);
    stranger.proposer_index = (stranger.proposer_index + 1) % 64;
    let stranger = complete(&state, stranger);
    let mut both = junk.clone();
    both.message.body.randao_reveal = SignatureBytes::ZERO;
    let mut nobody = good.clone();
    nobody.message.proposer_index = 64;
    let bad = Some("bad_proposer_signature");
    for before in [genesis(), advanced(&genesis(), 9), advanced(&genesis(), 16), state] {
        let same_epoch = before.slot >= 16;
        for whose in [StateOf::Ancestor, StateOf::Parent] {
            assert_eq!(reasons(&before, &good, whose), [None, None]);
            assert_eq!(reasons(&before, &junk, whose), [bad, bad]);
            assert_eq!(reasons(&before, &both, whose), [bad, bad]);
            let header = Some("bad_block_header");
            let late = header.filter(|_| same_epoch);
            assert_eq!(reasons(&before, &stranger, whose), [late, header]);
        }
        // Whoever an earlier block's state does not know may be known by the block's own epoch.
        let open = reasons(&before, &nobody, StateOf::Ancestor);
        assert_eq!(open, [bad.filter(|_| same_epoch), bad]);
        assert_eq!(reasons(&before, &nobody, StateOf::Parent), [bad, bad]);
    }
    // A block on top of the parent, of the block's slot, its epoch or a later one. Whose slot it
    // is, no such state tells.
    for slot in [17, 19, 40] {
        let on_top = advanced(&genesis(), slot);
        let told = [&good, &junk, &both, &stranger, &nobody]
            .map(|block| early_reason(&on_top, block, StateOf::Descendant));
        assert_eq!(told, [None, bad, bad, None, bad]);
    }
}

#[test]
fn slots_without_blocks_register_nobody() {
    // Deposits are waiting: the vote on them is the state's, and no block processes any.
    let mut state = genesis();
    state.eth1_data.deposit_count += 16;
    for slot in 1..=40 {
        process_slots(&mut state, slot, &config()).unwrap();
        assert_eq!((state.validators.len(), state.balances.len()), (64, 64));
    }
}

#[test]
fn a_state_of_the_epoch_has_its_proposers_though_the_block_that_asked_is_refused() {
    // A block without a signature, one of nobody, and one in another's slot, which is signed.
    let at = advanced(&genesis(), 17);
    let good = complete(&at, draft(&at));
    let mut junk = good.clone();
    junk.signature = SignatureBytes::ZERO;
    let mut nobody = good.clone();
    nobody.message.proposer_index = u64::MAX;
    let mut stranger = draft(&at);
    stranger.proposer_index = (stranger.proposer_index + 1) % 64;
    let stranger = complete(&at, stranger);
    for block in [junk, nobody, stranger] {
        let (phase0, block) = (phase0(), SharedBlock::from(block));
        let mut state = genesis();
        process_slots(&mut state, 16, &config()).unwrap();
        assert_eq!(phase0.proposers(&state), None);
        assert!(phase0.verify_proposer(&state, &block, StateOf::Parent).is_err());
        let proposers = phase0.proposers(&state).expect("they were computed");
        assert_eq!(proposers[1], good.message.proposer_index);
    }
}

#[test]
fn a_signature_that_has_been_verified_is_left_out_and_all_others_are_blamed_as_ever() {
    // The flag over a bad proposer's signature, then over a bad reveal and a bad attestation.
    let state = advanced(&genesis(), 2);
    let mut message = draft(&state);
    message.body.attestations = vec![attestation(&state)].try_into().unwrap();
    let good = complete(&state, message);
    let flags = UpdateFlags { skip_proposer_signature: true, ..UpdateFlags::default() };
    let reason = |block: SignedBeaconBlock| {
        let mut post = state.clone();
        match phase0().transition(&mut post, &SharedBlock::from(block), flags) {
            Ok(()) => "ok",
            Err(Failure::Invalid(invalid)) => invalid.reason(),
            Err(Failure::Fault(fault)) => panic!("{fault}"),
        }
    };
    let mut junk = good.clone();
    junk.signature = SignatureBytes::ZERO;
    assert_eq!(reason(junk.clone()), "ok");
    junk.message.body.randao_reveal = good.signature;
    assert_eq!(reason(junk), "bad_randao");
    let mut vote = good.clone();
    let mut bad = attestation(&state);
    bad.signature = sign(1, Root::ZERO, Domain::ZERO);
    vote.message.body.attestations = vec![bad].try_into().unwrap();
    assert_eq!(reason(vote), "bad_operations");
}

#[test]
fn committees_are_the_same_by_every_state_around_their_epoch() {
    // Of a chain, the states of epochs 1 to 3, whether they share caches or not, give epoch 2's
    // committees: valid, forged and malformed attestations have one outcome.
    let (phase0, mut states, mut state) = (phase0(), Vec::new(), genesis());
    for slot in 1..32 {
        state = extend(&state, slot, 0).1;
        states.push(state.clone());
    }
    let valid = attestation(&advanced(&states[17], 19));
    let mut votes = vec![valid.clone(), valid.clone(), valid.clone()];
    votes[1].data.index = 9;
    votes[2].aggregation_bits = [true; 3].as_slice().try_into().unwrap();
    votes.extend(all_votes(&advanced(&states[17], 19)));
    let votes: Vec<_> = votes.into_iter().map(SharedAttestation::from).collect();
    let expected: Vec<_> = votes
        .iter()
        .map(|vote| phase0.verify_attestation(&advanced(&states[15], 16 + 1), vote))
        .collect();
    assert!(expected[0].is_ok() && expected[1..].iter().all(Result::is_err));
    for state in states.iter().filter(|state| (8..32).contains(&state.slot)) {
        let mut anew = state.clone();
        anew.drop_caches();
        for state in [state, &anew] {
            let committees = phase0.committees(state, 2).unwrap();
            let outcomes = phase0.verify_attestations_with(&committees, &votes);
            assert_eq!(outcomes, expected, "by the state of slot {}", state.slot);
        }
    }
    // An attestation of another epoch is our mistake, not the attestation's.
    let committees = phase0.committees(&states[20], 3).unwrap();
    let outcome = phase0.verify_attestations_with(&committees, &votes[..1]);
    assert!(matches!(outcome[..], [Err(Failure::Fault(_))]), "{outcome:?}");
}
