//! A task for scenarios: one future, on a thread that sleeps between polls.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use blocksmith_sync::Ordering::{Acquire, Release};
use blocksmith_sync::{Atomic, Futex, Primitives};

/// What a task sleeps on; woken once, it stays awake.
pub(crate) struct Alarm<P: Primitives>(P::Futex);

impl<P: Primitives> Alarm<P> {
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }
}

impl<P: Primitives> Wake for Alarm<P> {
    fn wake(self: Arc<Self>) {
        self.0.swap(1, Release);
        self.0.wake(1);
    }
}

/// Polls `future` with a new waker each time, and sleeps until that waker is woken.
pub(crate) fn block_on<P: Primitives, F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let alarm = Arc::new(Alarm::<P>::new());
        let waker = Waker::from(alarm.clone());
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        drop(waker);
        while alarm.0.load(Acquire) == 0 {
            alarm.0.wait(0);
        }
    }
}
