//! A watch with a fault, which the harness must refute, and the same watch without a fault.
//!
//! It is a lock over one value and a mark for each reader, as simple as can be.

use blocksmith_sync::{Mutex, Primitives};

use super::program::{Call, Calls, End, Program};
use super::spec::Response;
use super::subjects::{Ends, Item, Subject};

/// The fault of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The watch has no fault.
    None,
    /// A value that one reader has seen counts as seen by all readers.
    SeenByAll,
    /// A reader reads the value under one lock, and marks it as seen under another.
    SeenTooLate,
}

/// The calls that its ends can make.
pub const CALLS: Calls = Calls {
    blocking_sender: &[Call::Send, Call::Close],
    other_sender: &[],
    receiver: &[Call::TryRecv],
    allowed: |_| true,
    alike: true,
};

/// A watch, with or without a fault.
#[derive(Clone, Copy, Debug)]
pub struct FaultyWatch(pub Fault);

/// The state that the lock protects.
pub struct Place {
    value: Option<Item>,
    /// For each reader, whether it has seen the value.
    seen: Vec<bool>,
    closed: bool,
    senders: usize,
}

/// The end that sends.
pub struct Sender<P: Primitives>(P::Arc<P::Mutex<Place>>);

impl<P: Primitives> Drop for Sender<P> {
    fn drop(&mut self) {
        let mut place = self.0.lock();
        place.senders -= 1;
        place.closed |= place.senders == 0;
    }
}

/// The end that reads.
pub struct Receiver<P: Primitives> {
    place: P::Arc<P::Mutex<Place>>,
    number: usize,
    fault: Fault,
}

impl<P: Primitives> Drop for Receiver<P> {
    fn drop(&mut self) {
        // A reader that has gone need not see a value.
        self.place.lock().seen[self.number] = true;
    }
}

impl<P: Primitives> Receiver<P> {
    fn look(&self) -> Response {
        let mut place = self.place.lock();
        let number = match &place.value {
            Some(item) if !place.seen[self.number] => item.number,
            _ if place.closed => return Response::Closed,
            _ => return Response::Empty,
        };
        if self.fault == Fault::SeenTooLate {
            drop(place);
            place = self.place.lock();
        }
        match self.fault {
            Fault::SeenByAll => place.seen.fill(true),
            _ => place.seen[self.number] = true,
        }
        Response::Item(number)
    }
}

impl Subject for FaultyWatch {
    type Sender<P: Primitives> = Sender<P>;
    type Receiver<P: Primitives> = Receiver<P>;

    fn open<P: Primitives>(&self, program: &Program) -> Ends<Sender<P>, Receiver<P>> {
        let (senders, readers) = (program.count(End::Sender), program.count(End::Receiver));
        let seen = vec![false; readers];
        let place = P::arc(P::Mutex::new(Place { value: None, seen, closed: false, senders }));
        let reader = |number| Receiver { place: place.clone(), number, fault: self.0 };
        let receivers = (0..readers).map(reader).collect();
        ((0..senders).map(|_| Sender(place.clone())).collect(), receivers)
    }

    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Sender<P>>,
        _: Call,
        mut items: Vec<Item>,
    ) -> Response {
        let Some(sender) = sender else { return Response::Closed };
        let mut place = sender.0.lock();
        let Some(item) = items.pop() else {
            place.closed = true;
            return Response::Done;
        };
        if place.closed {
            return Response::Closed;
        }
        place.value = Some(item);
        place.seen.fill(false);
        Response::Accepted
    }

    fn receive<P: Primitives>(&self, receiver: &mut Option<Receiver<P>>, _: Call) -> Response {
        receiver.as_ref().map_or(Response::Closed, Receiver::look)
    }
}
