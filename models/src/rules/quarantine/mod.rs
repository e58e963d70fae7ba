//! The Quarantine under an adversary.
//!
//! The state holds core's own Quarantine and HotDB. An adversary and the network choose what comes
//! next: an item of some peer (each peer hands its items over in their order, and the peers in
//! any), the answer to any check under way (a worker of core gives it), the import of any item that
//! is cleared, the next reading of the clock, the payload of any block, or finality. So time passes
//! between any two of them.
//!
//! | property | meaning |
//! |---|---|
//! | one verdict each | no submission has two verdicts |
//! | nothing is lost | a submission without a verdict is held |
//! | what is ready goes off | if no check and no import is under way, no item is said to be checked |
//! | a peer waits for few of others | of the checks that start while a ready item of a peer below its share has not started, at most `overtaken` are of others; it may be held for another peer that brought it first |
//! | a peer below its share finds room | its items are never dropped for want of room |
//! | checks under way fit the window | at most `window` checks are under way |
//! | what is held is bounded | at most `held` items of the palette have no verdict |
//! | few blocks of one proposer are imported | at most `imports` blocks of a slot and proposer are on the way into Clearance or there |
//! | one block of a proposer is passed on | at most one verdict for a slot and proposer says `relay` |
//! | what others wait for is let in | no block is refused by its peer's quota while held items wait for it |
//! | what an honest peer builds on is let in | no block is ignored as a further proposal while a block of a peer below its share waits for it |
//! | nothing waits beyond its patience | an item that waits was handed in less than `patience` slots ago |
//! | no valid item is rejected | an item with nothing wrong is accepted, ignored or dropped |
//! | one vote of a validator is accepted | of the single votes of one validator and target epoch |
//! | two votes of a validator are shown | of the single votes of one validator and target epoch that have their verdicts, Clearance has all but those beyond two |
//! | no part of an aggregate is accepted after it | the bits of an accepted aggregate are no subset of those of an earlier one of the same data |
//! | an item is checked once | copies, by root and signature, come to one check |
//! | a forged copy takes nothing from a block | a valid block is called a duplicate only of a block that Clearance has, or of a copy that is held |
//! | what is missing is asked for again | after `d` slots of waiting, `1 + log2(d / slow + 1)` requests have been made, while the clock ticks at each slot; where peers share the requests, this is about a peer below its share |
//! | what was released is not parked again | an item whose slot has come since it was handed in is not told to wait for it |
//! | nothing waits for a slot that has come | nor does it go on waiting for it |
//! | nothing waits for a block that is there | no item waits for a block that Clearance has |
//! | nothing waits for a payload that is there | no item waits for a payload of which the node has told |

mod instances;
mod list;
mod model;
mod ports;
mod properties;
mod words;

pub(super) use list::RULES;

/// What goes wrong at a port of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// Every item comes as if from one peer.
    ErasesPeers,
    /// One room in front of the machine, for items of all kinds.
    OneRoom,
    /// No bound on blocks of one slot and proposer.
    AnyProposals,
    /// Whatever is accepted is passed on.
    RelaysAll,
    /// The bound on blocks of one slot and proposer holds whoever builds on a block.
    NobodyVouches,
    /// The quota of a peer is looked at before the item is judged.
    QuotaFirst,
    /// What waits is never given up.
    EndlessPatience,
    /// What finality has passed is rejected.
    RejectsTheLate,
    /// What is beyond a limit is rejected.
    RejectsBeyondLimits,
    /// Each single vote is taken for another validator's.
    OtherVoters,
    /// A single vote is ignored unlooked at once another one of its validator was accepted.
    IgnoresSecondVotes,
    /// Each aggregate is taken for one of other data.
    OtherData,
    /// What was found invalid is not remembered.
    ForgetsTheInvalid,
    /// Blocks are told apart by their roots alone.
    KeyIsRoot,
    /// Blocks that are missing are asked for once.
    AsksOnce,
    /// The timer is set for the first tick only.
    TimerNotSetAgain,
    /// A block that is ready waits again if the clock has stepped back.
    ParksAgain,
    /// The tick after one that stepped back is lost.
    LosesATick,
    /// More items are held than the bound allows.
    AnyNumber,
    /// Blocks that Clearance has are told at the next tick.
    ImportsAtTick,
    /// Blocks that Clearance has are told when a vote is there.
    ImportsWithVotes,
    /// The look-up of a vote's block is one step, and the parking is another.
    LookUpThenPark,
    /// A payload that comes before its block is not told.
    DropsEarlyPayloads,
    /// Payloads are told at the next tick.
    PayloadsAtTick,
    /// No window.
    AnyWindow,
    /// A copy of a held item is answered in front of the machine once its places are taken.
    CopiesNeedAPlace,
    /// A copy of a held item is answered in front of the machine.
    ForgetsCopies,
    /// What gives way is dropped for all who have brought it.
    EvictsForAll,
}
