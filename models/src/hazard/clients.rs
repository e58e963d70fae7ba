//! Faults that real clients have shipped, and attacks that were measured.

super::hazards! {
    C1: "An attestation is queued just after the event that imported its block was handled, and \
         waits out its timer (sigp/lighthouse issue 8073)",
        "The look-up and the parking are one step of one owner";
    C2: "A timer is not set again after a full channel, and the work stops for good \
         (sigp/lighthouse issue 5504)",
        "Senders wait for room or give the message back, and nothing hangs on a timer alone";
    C3: "A queue has no consumer (sigp/lighthouse pull 6993)",
        "Every mailbox belongs to the service that receives from it";
    C4: "Somebody waits for a look-up that was refused (sigp/lighthouse pull 7118)",
        "A refusal is an answer";
    C5: "A path of import tells nobody that it has completed (sigp/lighthouse issue 8104)",
        "Every commit is told by the one service that makes it";
    C6: "A read lock is taken again while a writer is queued (sigp/lighthouse pulls 6200 and 6412)",
        "Services share no lock: each owns its state";
    C7: "The making of a state re-enters the fork choice under its lock (Consensys/teku pull 2635)",
        "Waits go down the order of the services only";
    C8: "A pool is exhausted by tasks that wait for a task of the same pool (Consensys/teku pull \
         2644)",
        "A worker of the pool waits for no other worker's turn";
    C9: "A producer that fails leaves a promise pending (ChainSafe/lodestar pull 9288)",
        "The drop of a reply answers it";
    C10: "Copies are recognised by a key that nobody verified (prysmaticlabs/prysm pull 16153)",
        "The key covers the signature";
    C11: "A check and the act that rests on it are parted by an await, and one block is imported \
          several times (status-im/nimbus-eth2 pull 5295)",
        "A check and its act are one step of one owner";
    C12: "A cache of states is bounded by their number and fills the memory (sigp/lighthouse issue \
          7053)",
        "The bound is in bytes too";
    C13: "Attestations that wait for a block are released by a tick and not by the import \
          (prysmaticlabs/prysm issue 9662)",
        "The import releases what waits for the block";
    C14: "Items for unknown blocks are queued for a number of roots, unverified, and an attacker \
          fills them all (ChainSafe/lodestar pull 10039, issue 9167)",
        "What waits is bounded for each peer";
    C15: "A local limit is answered as if the item were invalid, and honest peers are punished \
          (sigp/lighthouse issue 10077)",
        "A limit of ours is answered as one to be ignored";
    A1: "One queue serves all peers, and a peer without a key delays every block",
        "Cheap checks come first, and peers take turns";
    A2: "One budget serves all kinds of items, and forged attestations drop blocks",
        "Each kind has its budget, and a block never yields to an attestation";
    A3: "Equivocations of one key fill the store, finality stops, and nothing is freed",
        "A small bound holds for each slot and proposer beyond the first block";
    A4: "A state is loaded for each forged attestation to an old head",
        "Committees are found by dependent root and epoch, and each peer has a budget";
    A5: "A quota counts what waits and refuses what would release it",
        "An item is judged first, what waits is counted, and it expires by slot";
    A6: "A removal from an index searches it all, so that stop and finality take quadratic time",
        "A removal takes logarithmic time";
    A7: "An item is rejected where the rule says that it is to be ignored, and honest peers are \
         punished",
        "The answers are the classes of the gossip specification";
    A8: "Combinations of honest votes are all new and valid, and each is verified",
        "The first vote of an epoch and validator counts, and no subset of a seen aggregate";
    A9: "Copies under other signatures, and repeats of an invalid item, are verified in full each",
        "They are remembered by root and signature, and the signature is verified first";
    A10: "A batch with a bad signature costs more than its items alone",
        "A batch is given up once a quarter of it has failed";
    A11: "A notice that may be dropped loses the head, an equivocation, or the only request for a \
          parent",
        "States are watched, requests are asked again, and a loss is told";
    A12: "A far slot takes a worker for good, and the stop with it",
        "The distance is bounded, and long work gives way between slots";
    A13: "Each event computes the head anew over all blocks",
        "Only the changed path is computed";
    A14: "A released item is parked again when the clock steps back, or a full lane is answered as \
          if the service stopped",
        "What was released stays released, and each reason has its own answer";
    A15: "Copies take every place of an item, which waits behind its first sender's junk although \
          a proven peer brings it too",
        "A proven peer's copy makes the item that peer's, and needs no place for that";
    A16: "An item that gives way, or waits, with the peer that brought it first is lost to, or \
          waits for, all who brought it",
        "It passes to another peer that brought it, a proven one first";
    A17: "Invented roots take every request for what is missing",
        "The peers whose items wait take turns, proven ones first";
    A18: "A proposer that equivocates makes items that wait for its blocks, uses up what is kept \
          of its slot, and has the block ignored that the others build on",
        "Each peer vouches for a few further blocks of a slot and proposer, by blocks that wait";
    A19: "One tick far ahead leaves a node without votes, boosts and attestations, although the \
          clock has been put right",
        "Machines follow a clock that steps back by more than jitter does, and no smaller step";
    A20: "The second of two different votes of a validator is dropped by its topic, and nobody \
          sees the offence",
        "The topic ignores it, and it is shown to the slashing detector all the same";
}
