//! A select over two channels. It shares a notifier with one of them and registers with the other.

use std::pin::pin;
use std::task::Poll;

use blocksmith_sync::select::Select;
use blocksmith_sync::{
    Closed, OnFull, Primitives, RecvTimeoutError, TryRecvError, mpmc, notifier::EventNotifier, spsc,
};

use super::program::{Call, Program};
use super::spec::Response;
use super::subjects::{Ends, Item, Subject, deadline};
use crate::channel::{Channel, Mpmc, Shares, Spsc};
use crate::scenarios::task::{block_on, poll_once};

/// A select over a pool's queue and a ring, in this order.
#[derive(Clone, Copy, Debug)]
pub struct PoolAndRing;

/// The sender of one of the two channels.
pub enum Input<P: Primitives> {
    /// The sender of the pool's queue.
    Pool(Option<mpmc::Sender<P, Item>>),
    /// The sender of the ring.
    Ring(Option<spsc::Sender<P, Item>>),
}

/// The receiver: a closure that makes a call on the select that it owns.
type Receives = Box<dyn FnMut(Call) -> Response + Send>;

/// A budget that is never spent: it is larger than the number of messages of any program.
const BUDGET: u32 = 100;

/// Returns the function that turns an item, or the end, of that input into the response.
fn message(input: usize) -> impl Fn(Result<Item, Closed>) -> Response {
    move |item| item.map_or(Response::Ended(input), |item| Response::Item(item.number))
}

impl Subject for PoolAndRing {
    type Sender<P: Primitives> = Input<P>;
    type Receiver<P: Primitives> = Receives;

    fn open<P: Primitives>(&self, program: &Program) -> Ends<Input<P>, Receives> {
        let notifier = P::arc(EventNotifier::<P>::new());
        let (tasks, pool) = <Mpmc as Channel>::open::<P, Item>(program.capacity, OnFull::Block);
        let (items, ring) =
            Spsc::open_on::<P, Item>(notifier.clone(), program.capacity, OnFull::Block);
        let mut inputs =
            Select::on(notifier).source(BUDGET, pool, message(0)).source(BUDGET, ring, message(1));
        let late = |error| match error {
            RecvTimeoutError::Timeout => Response::Timeout,
            RecvTimeoutError::Closed => Response::Closed,
        };
        let receive = move |call| match call {
            Call::TryRecv => inputs.try_recv().unwrap_or_else(|error| match error {
                TryRecvError::Empty => Response::Empty,
                TryRecvError::Closed => Response::Closed,
            }),
            Call::RecvDeadline => inputs.recv_deadline(deadline::<P>(call)).unwrap_or_else(late),
            Call::RecvAsync => block_on::<P, _>(inputs.recv_async()).unwrap_or(Response::Closed),
            Call::PollRecv => match poll_once::<P, _>(pin!(inputs.recv_async())) {
                Poll::Ready(message) => message.unwrap_or(Response::Closed),
                Poll::Pending => Response::Empty,
            },
            _ => inputs.recv().unwrap_or(Response::Closed),
        };
        let senders = vec![Input::Pool(Some(tasks)), Input::Ring(Some(items))];
        (senders, vec![Box::new(receive)])
    }

    fn send<P: Primitives>(
        &self,
        sender: &mut Option<Input<P>>,
        call: Call,
        items: Vec<Item>,
    ) -> Response {
        match sender {
            Some(Input::Pool(sender)) => Subject::send::<P>(&Mpmc, sender, call, items),
            Some(Input::Ring(sender)) => Subject::send::<P>(&Spsc, sender, call, items),
            None => Response::Closed,
        }
    }

    fn receive<P: Primitives>(&self, receiver: &mut Option<Receives>, call: Call) -> Response {
        receiver.as_mut().map_or(Response::Closed, |receive| receive(call))
    }
}
