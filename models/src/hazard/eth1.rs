//! The execution layer's chain, as a proposer needs it.

super::hazards! {
    E1: "A deposit that the execution node leaves out, or gives twice, shifts all later ones",
        "Deposits are taken in by the contract's own numbers, without a gap";
    E2: "The deposits of a block stay when the block is of the chain no more",
        "A block that goes takes its deposits with it";
    E3: "A block is followed though the block before it is of another branch",
        "Each followed block is the parent of the next, and is given up once it is not";
    E4: "A proposer votes for a block outside the window of its voting period",
        "The candidates are those of the specification's rule";
    E5: "A call of the execution node that fails or hangs ends the following for good",
        "A failure is an answer, after which the monitor rests and asks again";
    E6: "A block is followed that the chain may still take back",
        "Each followed block is behind the latest one by the distance of the specification";
}
