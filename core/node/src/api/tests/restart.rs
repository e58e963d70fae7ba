//! A node with a store.

use serde_json::json;

use super::world::{World, options};

#[test]
fn a_gap_of_more_slots_than_one_task_may_take_is_ended_by_a_duty() {
    // Nobody proposes for 10,000 slots: the HotDB lets a task take 8,192 of them.
    let world = World::of(options(None), 10_000);
    let root = world.propose(10_000);
    let head = world.data("/eth/v1/beacon/headers/head");
    assert_eq!(head["root"], json!(root.to_string()));
}

#[test]
fn a_node_goes_on_from_its_store_and_has_the_whole_chain() {
    // Finality, a restart in another slot, a further block; blocks of before are read from disk.
    let folder = tempfile::tempdir().unwrap();
    let data = || Some(folder.path().to_owned());
    let world = World::of(options(data()), 0);
    let roots = world.run(1..=34);
    drop(world.node);
    let world = World::of(options(data()), 35);
    let syncing = world.data("/eth/v1/node/syncing");
    assert_eq!(syncing["head_slot"], "34");
    for slot in [1, 9, 16, 20, 34] {
        let header = world.get(&format!("/eth/v1/beacon/headers/{slot}")).json();
        assert_eq!(header["data"]["root"], roots[&slot].to_string(), "slot {slot}");
        assert_eq!(header["finalized"], slot <= 16, "slot {slot}");
    }
    let finalized = world.data("/eth/v1/beacon/states/finalized/root");
    let header = world.data("/eth/v1/beacon/headers/finalized");
    assert_eq!(finalized["root"], header["header"]["message"]["state_root"]);
    world.begin(35);
    world.propose(35);
    let head = world.data("/eth/v1/beacon/headers/head");
    assert_eq!(head["header"]["message"]["parent_root"], json!(roots[&34].to_string()));
}
