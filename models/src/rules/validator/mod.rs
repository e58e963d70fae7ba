//! BeaconValidator with signers, slashing protection and beacon nodes.
//!
//! The state holds core's own machine, once for each process, and one protection database for all
//! of them. What is next is chosen freely: a request is answered, fails, or is answered again or
//! after the machine has given it up; the clock is read; the node has another head; a process
//! restarts, and what it had asked for is carried out all the same, or not. In each instance some
//! requests are answered at once, so that the search stays small. Where an instance allows it, a
//! beacon node lies, an answer is lost after its request was carried out, a list is held up, a
//! validator is learnt late, and the machine panics and has a successor.
//!
//! | property | meaning |
//! |---|---|
//! | no slashable pair leaves | of the blocks and attestations that signers of one key have signed, no two are a slashable offence |
//! | no signature is used for another duty | what is published carries its own key's signature of its own message |
//! | each duty has one outcome | a duty that began ends once, between two restarts of its process |
//! | each duty ends by its deadline | no duty is under way after its slot |
//! | a dead signer costs its own keys alone | once the gathering is over, the duties of all other keys are sent |
//! | what is signed is of the head's branch | the branch of the head of an attestation, or of the parent of a block, lists the duty |
//! | one request a key, kind and slot | of requests for signatures that are under way, by key, kind of message and slot |
//! | what is signed is the duty's own | a block or an attestation that is to be signed is of the duty's slot, proposer and epoch |
//! | nothing is signed for a slot that is over | no signature is asked for after its duty's slot |
//! | the branch's duties are done | an attestation of a slot in which the node's branch has not changed, nor in the one before, is sent if the branch lists it |
//! | what has arrived is told as sent | no duty whose message a node has taken ends as one that was not published |
//! | what is told as sent has arrived | a duty that ends as sent has its message at a node |

mod list;
mod model;
mod node;
mod ports;
mod words;

pub(super) use list::RULES;

/// What goes wrong at a port of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// A message is recorded after its signature has left.
    RecordsLate,
    /// The check and the record are two steps.
    ChecksThenRecords,
    /// That another message was signed is logged, and nothing more.
    SignsAgain,
    /// A signature that nobody waits for stays in the signer's channel.
    KeepsTheStale,
    /// Signatures are given to requests in the order of the requests.
    ByPosition,
    /// The clock is not read while a signer is waited for.
    NoDeadline,
    /// A list is told under the root that the node has when it answers.
    RootOfAnother,
    /// Every head is told with the roots of the first.
    HeadsAgree,
    /// The machine is told one root an epoch: that of the first head of its process.
    OneRoot,
    /// A list is kept by its root, and asked for again only under another one.
    KeepsByRoot,
    /// As `KeepsByRoot`, and the root is asked for by itself, after the list.
    KeepsUnderAnotherRoot,
    /// The first list of an epoch is kept for as long as the epoch lasts.
    KeepsTheFirstList,
    /// What a beacon node has sent is signed, whatever the machine has asked to be signed.
    TrustsTheNode,
    /// Nothing is published while a signature is awaited.
    WaitsForAll,
    /// The clock is read before a wait, and the machine is told of it afterwards.
    ReadsBeforeWaiting,
    /// That the answer of a node is lost is taken for its refusal.
    TakesALossForARefusal,
    /// A message is told as published before it has left.
    ConfirmsFirst,
    /// The duties of a machine that has panicked are not ended.
    EndsNothing,
    /// A successor does not know which slot its predecessor has begun.
    SuccessorBeginsAgain,
    /// An answer is given to whatever machine is there.
    AnswersTheSuccessor,
}
