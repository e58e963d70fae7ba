//! The interface that every machine of the services has.
//!
//! A machine is the pure part of a service. It holds the state of a protocol and no handle to
//! anything: no mailbox, no lock, no clock. The shell around it turns a message into an event,
//! hands the event over, and carries the effects out.

/// A pure state machine. `X` is what the machine has to ask about its input: a protocol, or
/// nothing.
///
/// **Contract.** The effects are a function of the state, the event and `X` alone. The shell
/// carries all of them out, in their order, before it hands over the next event. A call takes a
/// bounded number of steps, never blocks and never does I/O. It does not panic on data that came
/// from a peer. A machine whose call was cut short by a panic is torn and must not be used again,
/// unless its documentation says that the event only reads.
pub trait Machine<X: ?Sized = ()> {
    /// What can happen to the machine.
    type Event;
    /// What the machine asks its shell to do.
    type Effect;

    /// Handles one event and returns what is to be done, in order.
    fn handle(&mut self, context: &X, event: Self::Event) -> Vec<Self::Effect>;
}
