//! Channels and the broker.

super::hazards! {
    M1: "An index or a node is published without release, or read without acquire, and the item \
         behind it is torn",
        "The store that publishes releases and the load that finds it acquires";
    M2: "A ring tells full from empty by a slot that it never uses, or only works for powers of two",
        "Indices run to twice the capacity, which may be any number";
    M3: "A linked queue looks empty, or its consumer is notified, between the swap of the tail and \
         the link to the new node",
        "A sender notifies after the link, and a receiver tells empty from busy";
    M4: "A queue with two locks looks at plain memory of the other side without its lock",
        "What is looked at from outside is atomic, or is looked at under the lock";
    M5: "An item is accepted after the consumer has seen closed and empty, and is lost",
        "Once closed, a send returns the item, and every accepted item is received";
    M6: "An item that is left in a channel at its end leaks, or is dropped twice",
        "The drain at the end drops each item once";
    M7: "A mailbox has no bound, or exceeds the one that it has",
        "Every mailbox has a capacity and a policy for when it is full";
    M8: "Senders wait for room in one another's full mailboxes in a cycle",
        "Sends that may block go down the order of the services, and an answer has a reserved slot";
    M9: "An answer that was left in a reused reply channel is taken for the answer to the next \
         question",
        "Each request carries its own one-shot reply";
    M10: "One end of a channel is dropped and the other waits for ever",
        "The drop of either end wakes the other with an error";
    M11: "A waker re-enters the sender of a ring between its publication and its look at the end, \
          and an item that was received is also given back",
        "No foreign code runs between the two, and the look compares with what was read before";
    M12: "A sender takes a credit, runs foreign code, and links its node afterwards",
        "The node is linked by the step that takes the credit";
    M13: "A channel trusts a public trait that safe code can implement, so that a wrong \
          implementation makes it unsound",
        "Whoever implements the trait has to vouch for what its safety section says";
    M14: "A close wakes no blocked sender, which waits as long as the receiver stays and does not \
          receive",
        "A close wakes every blocked sender with its item";
    M15: "Items leave a channel in another order than that in which they were accepted",
        "The place in the order is claimed by the step that accepts";
    M16: "A figure of a channel was true at no moment of the call: it counts an item that was \
          received before, or leaves out one that is there all along",
        "What was received is read before what was sent, or one side stands still under its lock";
    M17: "A receiver of several channels takes an item from more than one and drops one, or takes \
          the end of one for the end of all",
        "A look takes from one source, and the end of each source is told by itself";
    B1: "A load that moves about a threshold makes the level flap",
        "A level begins at one threshold and ends at a lower one";
    B5: "A change of level is decided under a lock and told after it, so that subscribers hear of \
         changes in another order",
        "The change is told in the order in which it was decided";
    B8: "Wakers of subscribers run, or senders are dropped, under the broker's lock",
        "The broker's lock is free before anybody is woken and anything is dropped";
}
