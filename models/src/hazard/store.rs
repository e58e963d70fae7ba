//! The durable store.

super::hazards! {
    S1: "An entry of the journal is on the disk without the block that it names",
        "A block is written before the entry that names it, and dropped after it";
    S2: "The point from which a restart begins is on the disk without the state or the chain that \
         it refers to",
        "The state and the finalised chain are written before the point";
    S3: "What the old point needs is dropped before the point has moved",
        "The point is written first, and what it has made useless is dropped afterwards";
    S4: "Finality is acknowledged before it is durable",
        "The acknowledgement follows the commit that makes it durable";
    S5: "The writer goes on after a write that has failed, and the store has a gap",
        "After a failure nothing more is written";
    S6: "Finality moves while a state is asked for, the answer is for a block that nobody wants any \
         more, and the point stands still",
        "After each answer the newest finality is asked for";
}
