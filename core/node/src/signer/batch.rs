//! One thread has the slashing protection, and takes all requests that wait as one transaction.
//!
//! **Contract.** [`Protector::ask`] is answered after the transaction that has the request's record
//! was committed, or with an error. While one transaction is committed, the next batch gathers:
//! many requests share a sync, and a lone one waits for nobody. A batch has at most [`MAX_BATCH`]
//! requests. At most [`MAX_WAITING`] wait; the next one waits for room.
//!
//! **Invariants.**
//! - I1 The first error of the store is the last thing that happens to it: nobody knows what is on
//!   the disk, so nothing is signed any more until a restart has read it. The thread ends, and
//!   every later request is answered with [`Failed`].
//! - I2 A request whose asker is gone is recorded all the same. To ask again is harmless.
//! - I3 What can never be slashable is for the chain of the records as well, and is compared
//!   without a wait for the store. If the store belongs to no chain yet, such a message binds it,
//!   too.
//! - I4 What may be signed is in the log of signatures, if there is one, before its asker is told.
//!   An error of the log is one of the store (I1).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use blocksmith::slashing_protection::{
    GenesisRoot, ImportError, Limits, Merge, Outcome, ProtectionStore, Request, Transaction,
    check_and_record, import,
};
use blocksmith::store::StoreError;
use tokio::sync::{mpsc, oneshot};

use super::log::SignatureLog;

/// Requests of a transaction, at most.
pub const MAX_BATCH: usize = 1024;
/// Requests that wait for a transaction, at most.
pub const MAX_WAITING: usize = 1024;

/// The store has failed, and nothing is signed until a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slashing protection has failed, and nothing is signed until a restart")]
pub struct Failed;

enum Job {
    /// A message that can be slashable.
    Judge(Request, oneshot::Sender<Outcome>),
    /// The chain of a message that cannot; the answer is whether it is that of the records.
    Bind(GenesisRoot, oneshot::Sender<bool>),
}

/// What a [`Protector`] has done.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    transactions: AtomicU64,
}

impl Counters {
    /// Returns the number of requests that were answered.
    #[must_use]
    pub fn requests(&self) -> u64 {
        // ORDERING: pairs with nothing; a figure for people.
        self.requests.load(Relaxed)
    }

    /// Returns the number of transactions that answered them.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        // ORDERING: as above.
        self.transactions.load(Relaxed)
    }
}

/// The way to the thread that has the slashing protection. When the last one is dropped, the thread
/// answers what waits, and ends.
#[derive(Clone)]
pub struct Protector {
    jobs: mpsc::Sender<Job>,
    /// The chain of the records, once the thread has seen it. It never changes.
    chain: Arc<OnceLock<GenesisRoot>>,
    counters: Arc<Counters>,
}

impl Protector {
    /// Starts the thread. `on_failure` is called in it if the store or the log fails. The handle
    /// returns the store.
    ///
    /// # Errors
    /// If the system has no thread.
    pub fn start<S: ProtectionStore + Send + 'static>(
        store: S,
        limits: Limits,
        log: Option<SignatureLog>,
        on_failure: impl FnOnce(StoreError) + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<S>)> {
        let (jobs, receiver) = mpsc::channel(MAX_WAITING);
        let protector = Self { jobs, chain: Arc::default(), counters: Arc::default() };
        let (chain, counters) = (protector.chain.clone(), protector.counters.clone());
        let body = move || {
            let mut guarded = Guarded { store, limits, log, chain, counters };
            if let Err(error) = guarded.run(receiver) {
                tracing::error!(%error, "slashing protection has failed: nothing is signed");
                on_failure(error);
            }
            guarded.store
        };
        let thread = std::thread::Builder::new().name("protection".to_owned()).spawn(body)?;
        Ok((protector, thread))
    }

    /// Asks whether a message may be signed, and has it recorded. Waits for a commit.
    ///
    /// # Errors
    /// [`Failed`] if the store has failed; then the message must not be signed.
    pub async fn ask(&self, request: Request) -> Result<Outcome, Failed> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Judge(request, reply)).await.map_err(|_| Failed)?;
        answer.await.map_err(|_| Failed)
    }

    /// Asks whether a message that cannot be slashable is for the chain of the records (I3). Waits
    /// for a commit only if the records belong to no chain yet.
    ///
    /// # Errors
    /// [`Failed`] if the store has failed before the chain was known.
    pub async fn is_of_chain(&self, genesis: GenesisRoot) -> Result<bool, Failed> {
        if let Some(chain) = self.chain.get() {
            return Ok(*chain == genesis);
        }
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Bind(genesis, reply)).await.map_err(|_| Failed)?;
        answer.await.map_err(|_| Failed)
    }

    /// Returns whether the store has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.jobs.is_closed()
    }

    /// Returns what was done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// What the thread has.
struct Guarded<S> {
    store: S,
    limits: Limits,
    log: Option<SignatureLog>,
    chain: Arc<OnceLock<GenesisRoot>>,
    counters: Arc<Counters>,
}

impl<S: ProtectionStore> Guarded<S> {
    /// Answers until nobody can ask any more, or the store fails. Whoever sees the channel closed
    /// must find it so for good (I1): it is closed when this returns, before anybody is told.
    fn run(&mut self, mut jobs: mpsc::Receiver<Job>) -> Result<(), StoreError> {
        self.look_for_chain()?;
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            self.answer(batch)?;
        }
        Ok(())
    }

    fn look_for_chain(&mut self) -> Result<(), StoreError> {
        if self.chain.get().is_none()
            && let Some(genesis) = self.store.begin()?.genesis()?
        {
            self.chain.get_or_init(|| genesis);
        }
        Ok(())
    }

    /// Answers a batch: one transaction for what can be slashable.
    fn answer(&mut self, batch: Vec<Job>) -> Result<(), StoreError> {
        let (mut requests, mut replies, mut chains) = (Vec::new(), Vec::new(), Vec::new());
        for job in batch {
            match job {
                Job::Judge(request, reply) => {
                    requests.push(request);
                    replies.push(reply);
                }
                Job::Bind(genesis, reply) => chains.push((genesis, reply)),
            }
        }
        if !requests.is_empty() {
            let outcomes = check_and_record(&mut self.store, &self.limits, &requests)?;
            self.log(&requests, &outcomes)?;
            self.look_for_chain()?;
            // ORDERING: pairs with nothing; figures for people.
            self.counters.requests.fetch_add(requests.len() as u64, Relaxed);
            self.counters.transactions.fetch_add(1, Relaxed);
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                // The asker may be gone (I2).
                let _ = reply.send(outcome);
            }
        }
        for (genesis, reply) in chains {
            // The asker may be gone here as well.
            let _ = reply.send(self.bind(&genesis)?);
        }
        Ok(())
    }

    /// Logs what may be signed (I4).
    fn log(&mut self, requests: &[Request], outcomes: &[Outcome]) -> Result<(), StoreError> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let judged = requests.iter().zip(outcomes);
        let allowed = judged.filter(|(_, outcome)| !matches!(outcome, Outcome::Refused(_)));
        log.append(allowed.map(|(request, _)| (&request.key, &request.statement)))
    }

    /// Returns whether the records are of that chain. Records of no chain are bound to it.
    fn bind(&mut self, genesis: &GenesisRoot) -> Result<bool, StoreError> {
        if self.chain.get().is_none() {
            // A file that names no key says which chain it is, and nothing else.
            match import(&mut self.store, &self.limits, genesis, [], Merge::Raise) {
                Ok(_) | Err(ImportError::OtherChain | ImportError::OutOfRange(_)) => {}
                Err(ImportError::Store(error)) => return Err(error),
            }
            self.look_for_chain()?;
        }
        Ok(self.chain.get() == Some(genesis))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::pin::pin;
    use std::sync::mpsc as gate;
    use std::task::{Context, Poll, Waker};

    use blocksmith::slashing_protection::{
        History, Key, MemoryStore, MemoryTransaction, Refusal, Statement, Write,
    };

    use super::*;

    /// A store whose commits wait for leave, and fail if there is none.
    pub(in crate::signer) struct Gated {
        pub(in crate::signer) inner: MemoryStore,
        pub(in crate::signer) begun: gate::Sender<()>,
        pub(in crate::signer) leave: gate::Receiver<bool>,
    }

    pub(in crate::signer) struct GatedTransaction<'a> {
        inner: MemoryTransaction<'a>,
        begun: &'a gate::Sender<()>,
        leave: &'a gate::Receiver<bool>,
    }

    impl ProtectionStore for Gated {
        type Transaction<'a> = GatedTransaction<'a>;

        fn begin(&mut self) -> Result<GatedTransaction<'_>, StoreError> {
            let inner = self.inner.begin()?;
            Ok(GatedTransaction { inner, begun: &self.begun, leave: &self.leave })
        }
    }

    impl Transaction for GatedTransaction<'_> {
        fn genesis(&mut self) -> Result<Option<GenesisRoot>, StoreError> {
            self.inner.genesis()
        }

        fn bind(&mut self, genesis: &GenesisRoot) -> Result<(), StoreError> {
            self.inner.bind(genesis)
        }

        fn keys(&mut self) -> Result<Vec<Key>, StoreError> {
            self.inner.keys()
        }

        fn history(&mut self, key: &Key) -> Result<History, StoreError> {
            self.inner.history(key)
        }

        fn write(&mut self, key: &Key, write: &Write) -> Result<(), StoreError> {
            self.inner.write(key, write)
        }

        fn commit(self) -> Result<(), StoreError> {
            self.begun.send(()).expect("the test listens");
            let io = StoreError::Gap;
            if self.leave.recv().expect("the test answers") { self.inner.commit() } else { Err(io) }
        }
    }

    fn request(key: u8) -> Request {
        let statement = Statement::Block { slot: 1, signing_root: [key; 32] };
        Request { genesis: [0; 32], key: [key; 48], statement }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime")
    }

    #[test]
    fn requests_that_come_during_a_commit_share_the_next_one() {
        // The first commit is held until twenty others wait.
        let ((begun, has_begun), (leave, leaves)) = (gate::channel(), gate::channel());
        let store = Gated { inner: MemoryStore::default(), begun, leave: leaves };
        let limits = Limits::default();
        let (protector, thread) = Protector::start(store, limits, None, |_| ()).expect("a thread");
        let runtime = runtime();
        let ask = |key| {
            let protector = protector.clone();
            runtime.spawn(async move { protector.ask(request(key)).await })
        };
        let first = ask(0);
        has_begun.recv().expect("a commit");
        let others: Vec<_> = (1..=20).map(ask).collect();
        while protector.jobs.max_capacity() - protector.jobs.capacity() < 20 {
            std::thread::yield_now();
        }
        for _ in 0..2 {
            leave.send(true).expect("the store listens");
        }
        // A third commit would fail.
        drop(leave);
        for answer in std::iter::once(first).chain(others) {
            let answer = runtime.block_on(answer).expect("no panic");
            assert_eq!(answer, Ok(Outcome::Recorded));
        }
        assert_eq!((protector.counters().requests(), protector.counters().transactions()), (21, 2));
        drop(protector);
        thread.join().expect("the thread ends with the last protector");
    }

    #[test]
    fn the_chain_of_harmless_messages_is_compared_without_the_store() {
        // The first one binds the store with a commit; a second commit would fail.
        let ((begun, has_begun), (leave, leaves)) = (gate::channel(), gate::channel());
        let store = Gated { inner: MemoryStore::default(), begun, leave: leaves };
        let (protector, thread) =
            Protector::start(store, Limits::default(), None, |_| ()).expect("a thread");
        leave.send(true).expect("the store listens");
        drop(leave);
        let runtime = runtime();
        for (genesis, is_same) in [(7, true), (7, true), (8, false), (7, true)] {
            let asked = runtime.block_on(protector.is_of_chain([genesis; 32]));
            assert_eq!(asked, Ok(is_same), "{genesis}");
        }
        assert_eq!(has_begun.try_iter().count(), 1);
        let of_another = Outcome::Refused(Refusal::OtherChain);
        assert_eq!(runtime.block_on(protector.ask(request(1))), Ok(of_another));
        drop(protector);
        let mut store = thread.join().expect("no panic");
        assert_eq!(store.inner.begin().and_then(|mut it| it.genesis()), Ok(Some([7; 32])));
    }

    #[test]
    fn a_harmless_message_waits_for_no_commit_once_the_chain_is_known() {
        // It is known from a request that was recorded, or from a store of before. Then a commit is
        // held, and each question is answered when it is asked.
        let limits = Limits::default();
        let mut bound = MemoryStore::default();
        import(&mut bound, &limits, &[0; 32], [], Merge::Raise).expect("memory");
        for (inner, recorded) in [(MemoryStore::default(), 1), (bound, 0)] {
            let ((begun, has_begun), (leave, leaves)) = (gate::channel(), gate::channel());
            let store = Gated { inner, begun, leave: leaves };
            let (protector, thread) =
                Protector::start(store, limits, None, |_| ()).expect("a thread");
            let runtime = runtime();
            for key in 0..recorded {
                leave.send(true).expect("the store listens");
                let asked = runtime.block_on(protector.ask(request(key)));
                assert_eq!(asked, Ok(Outcome::Recorded));
                has_begun.recv().expect("a commit");
            }
            let asking = protector.clone();
            let held = runtime.spawn(async move { asking.ask(request(9)).await });
            has_begun.recv().expect("a commit");
            for (genesis, is_same) in [(0, true), (8, false)] {
                let mut asked = pin!(protector.is_of_chain([genesis; 32]));
                let answer = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert_eq!(answer, Poll::Ready(Ok(is_same)), "{genesis}, {recorded} recorded");
            }
            leave.send(true).expect("the store listens");
            assert_eq!(runtime.block_on(held).expect("no panic"), Ok(Outcome::Recorded));
            drop(protector);
            thread.join().expect("no panic");
        }
    }

    #[test]
    fn after_a_failed_commit_nothing_is_signed() {
        // The batch's own request, and one that comes later.
        let ((begun, _has_begun), (leave, leaves)) = (gate::channel(), gate::channel());
        let store = Gated { inner: MemoryStore::default(), begun, leave: leaves };
        let (failed, failure) = gate::channel();
        let tell = move |error| failed.send(error).expect("the test listens");
        let (protector, thread) =
            Protector::start(store, Limits::default(), None, tell).expect("a thread");
        leave.send(false).expect("the store listens");
        leave.send(true).expect("the store listens");
        let runtime = runtime();
        assert_eq!(runtime.block_on(protector.ask(request(1))), Err(Failed));
        assert_eq!(failure.recv(), Ok(StoreError::Gap));
        assert_eq!(runtime.block_on(protector.ask(request(2))), Err(Failed));
        assert!(protector.has_failed());
        let store = thread.join().expect("no panic");
        assert_eq!(store.inner, MemoryStore::default());
    }

    #[test]
    fn after_a_chain_that_could_not_be_recorded_nothing_is_signed() {
        // The commit that would bind the store to a chain fails; then the chain is asked for again.
        let ((begun, _has_begun), (leave, leaves)) = (gate::channel(), gate::channel());
        let store = Gated { inner: MemoryStore::default(), begun, leave: leaves };
        let (protector, thread) =
            Protector::start(store, Limits::default(), None, |_| ()).expect("a thread");
        leave.send(false).expect("the store listens");
        let runtime = runtime();
        for _ in 0..2 {
            assert_eq!(runtime.block_on(protector.is_of_chain([7; 32])), Err(Failed));
        }
        assert!(protector.has_failed());
        thread.join().expect("no panic");
    }

    #[test]
    fn what_may_be_signed_is_logged_and_nothing_else() {
        // A block, the same again, and one that contradicts it.
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("log");
        let log = SignatureLog::open(&path).expect("a new log");
        let (store, limits) = (MemoryStore::default(), Limits::default());
        let (protector, thread) =
            Protector::start(store, limits, Some(log), |_| ()).expect("a thread");
        let runtime = runtime();
        let other = Statement::Block { slot: 1, signing_root: [9; 32] };
        let other = Request { statement: other, ..request(1) };
        for (asked, lines) in [(request(1), 1), (request(1), 2), (other, 2)] {
            let outcome = runtime.block_on(protector.ask(asked)).expect("it runs");
            assert_eq!(matches!(outcome, Outcome::Refused(_)), asked == other, "{outcome:?}");
            let text = std::fs::read_to_string(&path).expect("text");
            assert_eq!(text.lines().filter(|line| line.ends_with("01\"}")).count(), lines);
            assert_eq!(text.lines().count(), lines);
        }
        drop(protector);
        thread.join().expect("no panic");
    }

    #[test]
    fn what_cannot_be_logged_is_not_signed() {
        // A log that is open to read alone.
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let log = SignatureLog::read_only(&folder.path().join("log"));
        let (failed, failure) = gate::channel();
        let tell = move |error| failed.send(error).expect("the test listens");
        let (store, limits) = (MemoryStore::default(), Limits::default());
        let (protector, thread) =
            Protector::start(store, limits, Some(log), tell).expect("a thread");
        let runtime = runtime();
        assert_eq!(runtime.block_on(protector.ask(request(1))), Err(Failed));
        let error = failure.recv().expect("it is told");
        assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
        assert_eq!(runtime.block_on(protector.ask(request(1))), Err(Failed));
        thread.join().expect("no panic");
    }
}
