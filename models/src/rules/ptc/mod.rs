//! PayloadAttestation with beacon nodes and signers, and the design that it comes from.
//!
//! The state holds core's own machine, which holds the lists of duties. What is next is chosen
//! freely: a request is answered by any node that can, fails, or is answered again; an answer is
//! lost; a node changes its branch, or sees the slot's block; the clock shows its next reading; a
//! validator is learnt; the process restarts, and what it had asked for is carried out all the same,
//! or not. In each instance some requests are answered at once, so that the search stays small.
//!
//! | property | meaning |
//! |---|---|
//! | one vote of (slot, validator) | for a slot and a validator, one process asks for signatures of one set of data |
//! | what is signed is of the head's branch | the branch of the data's block lists the validator for the slot, when the signature is asked for |
//! | nothing is signed for a slot that is over | no signature is asked for but in its duty's slot |
//! | each duty has one outcome | a duty that began ends once, between two restarts |
//! | each duty ends with its slot | no duty is under way after its slot |
//! | no request outlasts its slot | each request is given up at the end of its slot at the latest |
//! | a vote leaves by the deadline | if a node that answers had the block before the deadline, the vote of each validator whose signer is alive has left by then |
//! | what is signed by the deadline leaves by it | a vote whose signature came before the deadline has left by then |
//! | what has arrived is told as sent | no vote that a node has taken ends as one that was refused |
//! | what is told as sent has arrived | a duty that ends as sent has its vote at a node |
//! | the branch's duties are done | in a slot in which the nodes' branch has not changed, nor in the one before, the votes that the branch lists are sent |
//!
//! `note` models the design as its first description has it, without a machine of core.

mod list;
mod model;
mod note;
mod ports;

pub(super) use list::RULES;
pub(super) use note::RULES as DESIGN;

/// What goes wrong at a port of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// A list is told under the root of another branch.
    RootOfAnother,
    /// A list is kept under a root that was asked for after it.
    KeepsUnderAnotherRoot,
    /// A list is kept by its root, and asked for again only under another one.
    KeepsByRoot,
    /// The first list of an epoch is kept for as long as the epoch lasts.
    KeepsTheFirstList,
    /// Every head is told with the roots of the first branch.
    HeadsAgree,
    /// The machine is told one root an epoch: that of the first head of its process.
    OneRoot,
    /// What has to be done by the deadline is begun at the deadline.
    BeginsAtTheDeadline,
    /// Data are asked of the first node alone.
    FirstNodeOnly,
    /// Once a node has said that there is no block, no node is asked any more.
    NoBlockIsFinal,
    /// A lost answer is not told: the port tries again by itself, and tells the refusal.
    TriesInSilence,
    /// The clock is read before a wait, and the machine is told of it afterwards.
    ReadsBeforeWaiting,
    /// An answer that is lost is told as one that says that nothing was taken.
    LostIsNotTaken,
    /// A vote is told as published before it has left.
    ConfirmsFirst,
    /// The clock is not read while a node is waited for.
    WaitsForTheNode,
    /// Nothing is published while a signature is awaited.
    WaitsForAll,
    /// A process votes in the slot in which it begins.
    BeginsAtOnce,
}
