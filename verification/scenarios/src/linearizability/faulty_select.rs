//! A select with a fault, which the harness must refute, and the same select without a fault.
//!
//! It consists of two locked queues, and of a receiver of both that never waits.

use blocksmith_sync::Primitives;

use super::faulty::{self, Faulty};
use super::program::{Call, Calls, Program};
use super::spec::Response;
use super::subjects::{Ends, Item, Subject};

/// The fault of a select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The select has no fault.
    None,
    /// An item is taken from each queue, and one of the two is dropped.
    TakesFromBoth,
    /// The end of one queue is taken for the end of all.
    OneEndIsAll,
    /// The queue that is listed last is looked at first.
    LastFirst,
}

/// The calls that its ends can make.
pub const CALLS: Calls = Calls {
    blocking_sender: &[Call::Send, Call::Close],
    other_sender: &[Call::Send, Call::Close],
    receiver: &[Call::TryRecv],
    allowed: |_| true,
    alike: false,
};

/// A select with a fault.
#[derive(Clone, Copy, Debug)]
pub struct FaultySelect(pub Fault);

/// A receiver of both queues. It knows of which queue the end has been told.
pub struct Receiver<P: Primitives> {
    inputs: [Option<faulty::Receiver<P>>; 2],
    told: [bool; 2],
    fault: Fault,
}

const QUEUE: Faulty = Faulty(faulty::Fault::None);

impl<P: Primitives> Receiver<P> {
    fn look(&mut self, input: usize) -> Response {
        QUEUE.receive::<P>(&mut self.inputs[input], Call::TryRecv)
    }

    fn receive(&mut self) -> Response {
        let order = if self.fault == Fault::LastFirst { [1, 0] } else { [0, 1] };
        for input in order {
            match self.look(input) {
                _ if self.told[input] => {}
                Response::Closed if self.fault == Fault::OneEndIsAll => return Response::Closed,
                Response::Closed => {
                    self.told[input] = true;
                    return Response::Ended(input);
                }
                Response::Item(item) => {
                    if self.fault == Fault::TakesFromBoth {
                        self.look(1 - input);
                    }
                    return Response::Item(item);
                }
                _ => {}
            }
        }
        if self.told == [true; 2] { Response::Closed } else { Response::Empty }
    }
}

impl Subject for FaultySelect {
    type Sender<P: Primitives> = faulty::Sender<P>;
    type Receiver<P: Primitives> = Receiver<P>;

    fn open<P: Primitives>(&self, program: &Program) -> Ends<faulty::Sender<P>, Receiver<P>> {
        let (mut senders, mut inputs) = (Vec::new(), [None, None]);
        for input in &mut inputs {
            // A queue opens with as many senders as the program has; only this one stays.
            let (mut ends, mut receivers) = QUEUE.open::<P>(program);
            senders.extend(ends.pop());
            *input = receivers.pop();
        }
        (senders, vec![Receiver { inputs, told: [false; 2], fault: self.0 }])
    }

    fn send<P: Primitives>(
        &self,
        sender: &mut Option<faulty::Sender<P>>,
        call: Call,
        items: Vec<Item>,
    ) -> Response {
        QUEUE.send::<P>(sender, call, items)
    }

    fn receive<P: Primitives>(&self, receiver: &mut Option<Receiver<P>>, _: Call) -> Response {
        receiver.as_mut().map_or(Response::Closed, Receiver::receive)
    }
}
