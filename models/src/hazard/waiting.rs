//! Event notifier and sleeping.

super::hazards! {
    N1: "A waiter does not look at the condition again between registering and sleeping, and the \
         wake-up is lost",
        "The order is prepare, look again, then wait or cancel";
    N2: "The fence between publishing and looking for waiters is missing, so that a store buffer \
         hides either side from the other",
        "Both sides have a SeqCst fence between their store and their load";
    N3: "The futex compares a word that is not the epoch that a notification moves",
        "The epoch is the futex's word";
    N4: "The notifier of the design notes tests a relaxed flag, returns early, and resets the flag \
         after waking, so that an item is stranded with store buffers",
        "One word holds the epoch, another the number of waiters, and two fences order them";
    N5: "A model of a condition variable remembers a signal that nobody waited for, and hides a \
         lost wake-up",
        "A signal without a waiter does nothing, in every model";
    N6: "A notification comes before the publication that it announces",
        "A thread publishes first and then notifies";
    N7: "A waiter that gives up takes along a notification that another waiter needed",
        "A waiter that was chosen and goes passes the notification on";
    N8: "The bits that count waiters overflow into none",
        "The count has 32 bits, and its bound is asserted";
    N9: "A spurious wake-up is taken for a message",
        "Every wait is a loop over its condition";
    N10: "Naps double in length without a bound, and a close does not end them",
        "Waits are woken by a notifier and never poll";
    N11: "A timed wait looks at its deadline only when a sleep has timed out, so that a stream of \
          notifications keeps it for ever",
        "A wake-up after the deadline is the last look";
    N12: "Foreign code (a waker, a closure, the drop of an item) runs between two steps that belong \
          together, or under a lock",
        "Foreign code runs after the last step of an operation and outside every lock";
    N13: "A waker that panics leaves other waiters without their notification, or loses an item",
        "The panic of a waker is contained, and the operation that called it goes on";
    N14: "The cancelling of many waiting tasks takes quadratic time under the list's lock",
        "A task leaves the list in a number of steps that does not depend on its length";
    N15: "A timed wait says that its time is over without a look at what is there, or drops what it \
          has taken",
        "The look comes before the deadline is judged, and what it has found is the answer";
}
