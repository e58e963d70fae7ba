//! Life cycle and supervision, the Rewinder with the HotDB, and the Quarantine.

super::hazards! {
    L1: "A stop is a flag that a blocked receiver never looks at",
        "A stop is the mailbox's close, or a message";
    L2: "A mailbox is made by its worker's thread and used before the thread has made it",
        "Mailboxes exist before threads start and are moved into them";
    L3: "The teardown frees reply channels that workers still hold",
        "Each side owns its end, and a drop answers with an error";
    L4: "Consumers are stopped before the producers that send to them",
        "Services stop in the reverse of the order in which they start";
    L5: "A worker panics, and its requester waits for ever",
        "A guard answers the requester, and the supervisor starts a successor with the same mailbox";
    L6: "A message that makes its service panic is tried again by every successor",
        "The message is lost with its service, and more panics than are borne stop everything";
    R1: "Two tasks are handed to one worker because its ready flag is cleared late, while other \
         workers idle",
        "Idle workers pull their tasks";
    R2: "A task with a deadline queues behind long tasks when every worker is busy",
        "Lanes have priorities, and one worker is kept for duties";
    R3: "The HotDB waits for a state of a worker while all workers wait for the HotDB",
        "The HotDB never waits: workers post the states that it would like to keep";
    R4: "A request for the trail to an unknown block has no answer, so that a few forged parents \
         stop every worker",
        "Every request has an answer, also that the block is unknown or pruned";
    R5: "A parent is there when it is looked up, and pruned before its trail is requested",
        "The answer says that the block is pruned";
    R6: "A worker says valid before the block is in the HotDB, so that a child's parent is unknown",
        "The commit is acknowledged before the verdict leaves";
    R7: "The fork choice learns of a block before the HotDB has it",
        "A block goes to the fork choice after the HotDB's acknowledgement";
    R8: "A block counts as cleared without a full state transition",
        "The only constructor of a cleared block takes the evidence of a full transition";
    R9: "The state before a block is stored as the state after it",
        "A cached state must hash to the state root of its block";
    R10: "A cache of states is bounded by their number alone, or keyed without the slot",
        "The bound is in bytes too, and the key is the root with the slot";
    R11: "Several requests for one state replay it once each",
        "One worker replays for a root and slot, and the others wait for its state";
    R12: "Finality drops blocks that still descend from the finalised one",
        "Pruning drops what does not descend from the finalised block";
    R13: "Forged attestations to distant targets force a full replay each",
        "Targets lie in this epoch or the last, and committees are cached by dependent root and epoch";
    R14: "A subtraction of slots wraps at zero, or an addition overflows",
        "Arithmetic of slots is checked";
    Q1: "A child is parked after its parent's verdict has released what waited, and nobody releases \
         the child",
        "One owner has both tables, so that look-up and parking are one step";
    Q2: "An old verdict clears a newer item that reuses its slot, or one item's verdict is given to \
         another",
        "A verdict carries the identity of its request";
    Q3: "Attestations that wait for a block are woken by attestations that were cleared",
        "What waits is keyed by the block that it waits for";
    Q4: "The descendants of an invalid block wait for ever",
        "A rejection takes along what waits for the block";
    Q5: "Copies of one item from several peers are validated once each",
        "Items in flight and items decided lately are known";
    Q6: "A forged copy, known by a key that nobody verified, shadows the honest block",
        "The key covers the signature, and an unverified entry never shadows a verified one";
    Q7: "Response channels grow as fast as an attacker sends, and are searched one by one",
        "A fixed window bounds the requests under way";
    Q8: "One input is drained without a budget and starves the others and the stop",
        "Each input has a budget for each turn";
    Q9: "The detection of slashings, which attackers drive, shares a mailbox with the protection \
         from them",
        "They are two services";
    Q10: "An item gets no verdict, or more than one, when it is evicted, refused, or stopped with",
        "A verdict is given by value, and the drop of an item that has none answers for it";
    Q11: "Blocks of future slots are parked without a bound, or a clock that steps back confuses \
          their release",
        "Parked blocks are bounded and released by ticks, and the clock may step back";
}
