//! Validator duties, the lists that they stand in, and when their messages leave.

super::hazards! {
    V1: "The check for slashable messages overlaps the signing, or its record is written after the \
         signature is out",
        "A durable check and record come first, and the signature follows";
    V2: "Two workers check one duty, and both checks pass",
        "One transaction for each validator has a unique key";
    V3: "A signature that was left in a channel is taken for the next one that was asked for",
        "Each request for a signature carries its own one-shot reply";
    V4: "Results that come one by one are matched with duties by their position, and one is skipped",
        "Results are matched by duty";
    V5: "A branch for what was already signed logs and goes on",
        "The outcome is a type whose cases must all be handled";
    V6: "A call of a signer without a deadline keeps its worker, and one dead signer keeps them all",
        "Every duty has a deadline and can be cancelled";
    V7: "Votes on payload timeliness are posted together, after the slowest signer",
        "What is signed by the deadline is published";
    V8: "Duties of one branch are stored under the dependent root of another",
        "The root that is stored is that of the reply that carried the duties";
    V9: "A first node's answer that there is no block ends the search, or a hung node uses up the \
         time",
        "Fail-over is hedged within the deadline, and an answer without a block tries the next node";
    V10: "Two votes on payload timeliness are signed for one slot and validator",
        "A process votes in no slot that had begun when it started, and in a slot on one set of data";
    V11: "A beacon node that lies has a message of another slot, proposer or target epoch signed",
        "A message is signed only if it is of its duty's slot, committee, proposer and epoch";
    D1: "A validator whose index is learnt after the lists were never gets that epoch's duties",
        "A validator that is new has the lists asked for again";
    D2: "Two requests for one list straddle a re-organisation, and the duties of one branch stay \
         for an epoch",
        "A list is kept under the root that came with it, and is asked for again while it differs \
         from the head's";
    D3: "Duties are read when they are due without comparing their root with that of the head that \
         the data are for",
        "A message is signed only if its head's branch has the root of the list of the duty";
    D4: "Duties of coming epochs are cached and never compared again",
        "Lists of this and the next epoch are asked for once a slot";
    D5: "One root an epoch is assumed, and a branch that is not canonical has another",
        "The root is that of the head that a message builds on";
    P1: "What has to be done by a time of the slot is begun at that time",
        "The deadline is kept apart from the start, with time between them to sign and to publish";
    P2: "A first beacon node that hangs uses up the time in which another would have answered",
        "A request has a share of the time, and another node is asked when the share is used";
    P3: "That a beacon node has seen no block is taken for the answer, though another node has it",
        "No block ends nothing, and is asked again until the deadline";
    P4: "A message is sent again after its answer was lost, and that it is known by then is taken \
         for a failure",
        "A refusal after a publication that may have arrived is a success";
    P5: "A late wake-up votes for a slot that is over",
        "The clock is read after every wait, and no duty of an earlier slot is done";
    P6: "A stream of events that has ended is ready at once, and the thread that waits for it spins",
        "What has ended is left out, and an event that repeats leads to no request";
    P7: "A duty is marked as done before its message has left, and is not tried again",
        "A duty is sent once a beacon node has confirmed it";
    P8: "The thread that keeps the time waits for an answer",
        "A port starts a request and returns, and the answer comes as a message";
}
