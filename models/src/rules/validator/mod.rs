//! BeaconValidator with signers, slashing protection and beacon nodes.
//!
//! The state holds core's own machine, once for each process, and one protection database for all of
//! them. What is next is chosen freely: a request is answered, fails, or is answered again or after
//! the machine has given it up; the clock is read; the node has another head; a process restarts,
//! and what it had asked for is carried out all the same, or not. In each instance some requests
//! are answered at once, so that the search stays small.
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

mod list;
mod model;
mod ports;

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
}
