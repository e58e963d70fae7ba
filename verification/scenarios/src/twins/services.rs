//! Faults in the wiring of the services, each in the smallest pair of services that shows it.
//!
//! The HotDB and the worker are core's own machines over the toy protocol. The fault is in the
//! shell around them. The counterparts are the scenarios of the running services.

use blocksmith::consensus::Checkpoint;
use blocksmith::hot_db::{CommitReply, CommitteesAt, HotDb, Limits, StateAt, TrailReply, shell};
use blocksmith::identified::{self, IdentifiedBlock};
use blocksmith::quarantine::shell::Slots;
use blocksmith::rewinder::shell::{Hands, Ports, Task};
use blocksmith::rewinder::{Answer, Dispatcher, GoesFirst, Job, Lane, Role, StateKey, WorkerEvent};
use blocksmith::supervision::{Bare, Loss, ServiceName, Steps};
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use blocksmith::trace::Tracer;
use blocksmith_engines::trace::say;
use blocksmith_sync::mailbox::{OnFull, Receiver, Sender, mailbox};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Mutex, Primitives, oneshot};

use crate::scenarios::notifier::join;
use crate::scenarios::services::share_of_the_mailbox;

/// A message to the HotDB, of core's own type.
type Ask<P> =
    shell::Message<Toy, oneshot::Sender<P, TrailReply<Toy>>, oneshot::Sender<P, CommitReply>>;

/// A request to the worker.
enum Request<P: Primitives> {
    Block {
        block: ToyBlock,
        reply: oneshot::Sender<P, Answer<Toy>>,
    },
    /// The anchor's state.
    State {
        reply: oneshot::Sender<P, ToyState>,
    },
}

/// The fault of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// None: the pair as it must be.
    Nothing,
    /// R3: the HotDB waits for a state that the worker is to make.
    HotDbWaitsForTheWorker,
    /// R4: the request for the trail to an unknown parent waits for that parent.
    NoErrorReply,
    /// R6: the worker answers first and commits afterwards.
    VerdictBeforeCommit,
}

/// The steps of a service of the pair, which a trace is told.
struct Told(std::sync::Arc<Tracer>);

impl Steps for Told {
    fn step<T>(&self, word: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        Bare.step(word, step)
    }

    fn look<T>(&self, word: &'static str, look: impl FnOnce() -> T) -> Result<T, Loss> {
        Bare.look(word, look)
    }

    fn follow_up<T>(&self, word: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        Bare.follow_up(word, step)
    }

    fn tracer(&self) -> Option<&Tracer> {
        Some(&self.0)
    }
}

/// Sends, and waits for room.
fn tell<P: Primitives, T: Send>(mailbox: &Sender<P, T>, item: T) {
    assert!(mailbox.send(item).is_ok(), "the mailbox is closed");
}

/// Answers a requester. One that is gone needs no answer.
fn reply_to<P: Primitives, T: Send>(requester: oneshot::Sender<P, T>, answer: T) {
    let _ = requester.send(answer);
}

/// The ends through which the HotDB's replies leave, with the fault.
struct Replies<'a, P: Primitives> {
    tasks: &'a Sender<P, Request<P>>,
    fault: Fault,
    /// The block and the slot of the request that is being answered.
    asked: (ToyRoot, u64),
    /// The requests that wait for their block.
    parked: Vec<Parked<P>>,
}

/// A request for a trail that waits: the block, the slot, and the end for the reply.
type Parked<P> = (ToyRoot, u64, oneshot::Sender<P, TrailReply<Toy>>);

impl<P: Primitives> shell::Replies<Toy> for Replies<'_, P> {
    type Trail = oneshot::Sender<P, TrailReply<Toy>>;
    type Ack = oneshot::Sender<P, CommitReply>;

    fn trail(&mut self, to: Self::Trail, reply: TrailReply<Toy>) {
        if self.fault == Fault::HotDbWaitsForTheWorker {
            let (reply, state) = oneshot::channel();
            say(|| "sends a request for a state to worker, and waits for it".to_owned());
            tell(self.tasks, Request::State { reply });
            assert!(state.recv().is_ok(), "the worker is gone");
        }
        if self.fault == Fault::NoErrorReply && reply == TrailReply::UnknownParent {
            say(|| format!("has no block {}, and says nothing to worker", self.asked.0));
            self.parked.push((self.asked.0, self.asked.1, to));
        } else {
            say(|| match &reply {
                TrailReply::Trail(_) => "sends the trail to worker".to_owned(),
                other => format!("replies {other:?} to the requester"),
            });
            reply_to(to, reply);
        }
    }

    fn ack(&mut self, to: Self::Ack, reply: CommitReply) {
        say(|| format!("sends the acknowledgement ({reply:?}) to worker"));
        reply_to(to, reply);
    }
}

/// Runs the HotDB's thread, whose turns are core's.
fn hot_db<P: Primitives>(
    questions: &Receiver<P, Ask<P>>,
    tasks: &Sender<P, Request<P>>,
    fault: Fault,
    told: &Told,
) {
    let toy = Toy::default();
    let mut machine = HotDb::new(&toy, Limits::default(), 0, 0, ToyState::anchor());
    let mut replies = Replies { tasks, fault, asked: (0, 0), parked: Vec::new() };
    while let Ok(question) = questions.recv() {
        say(|| format!("takes {}", words(&question)));
        let committed = match &question {
            shell::Message::Commit { block, .. } => Some(block.identity().root),
            _ => None,
        };
        let mut turn = |question: Ask<P>| {
            if let shell::Message::Trail { root, slot, .. } = &question {
                replies.asked = (*root, *slot);
            }
            let turn = shell::turn(&mut machine, &toy, told, &mut replies, question);
            assert_eq!(turn, Ok(()));
            replies.parked.extract_if(.., |parked| Some(parked.0) == committed).collect::<Vec<_>>()
        };
        for (root, slot, reply) in turn(question) {
            turn(shell::Message::Trail { root, slot, reply });
        }
    }
}

/// Returns a message to the HotDB in words.
fn words<P: Primitives>(question: &Ask<P>) -> String {
    match question {
        shell::Message::Trail { root, slot, .. } => {
            format!("the request for the trail of block {root} at slot {slot}")
        }
        shell::Message::Commit { block, .. } => {
            format!("the commit of block {}", block.identity().root)
        }
        _ => "a message".to_owned(),
    }
}

fn ask_trail<P: Primitives>(
    hot_db: &Sender<P, Ask<P>>,
    root: ToyRoot,
    slot: u64,
) -> WorkerEvent<Toy> {
    let (reply, trail) = oneshot::channel();
    say(|| format!("sends a request for the trail of block {root} at slot {slot} to hot_db"));
    tell(hot_db, Ask::Trail { root, slot, reply });
    trail.recv().map_or(WorkerEvent::HotDbGone, WorkerEvent::Trail)
}

/// The ends that the worker talks to, with the fault.
struct Ends<'a, P: Primitives> {
    hot_db: &'a Sender<P, Ask<P>>,
    fault: Fault,
    /// A commit that is to leave after the answer.
    late: Option<(IdentifiedBlock<Toy>, StateAt<Toy>)>,
}

impl<P: Primitives> Ends<'_, P> {
    fn commit_now(&self, block: IdentifiedBlock<Toy>, state: StateAt<Toy>) -> WorkerEvent<Toy> {
        let (reply, committed) = oneshot::channel();
        say(|| format!("sends the commit of block {} to hot_db", block.identity().root));
        tell(self.hot_db, Ask::Commit { block, state, reply });
        committed.recv().map_or(WorkerEvent::HotDbGone, WorkerEvent::Committed)
    }
}

impl<P: Primitives> Ports<Toy> for Ends<'_, P> {
    type Reply = oneshot::Sender<P, Answer<Toy>>;

    fn trail(&mut self, root: ToyRoot, slot: u64) -> Option<WorkerEvent<Toy>> {
        Some(ask_trail(self.hot_db, root, slot))
    }

    fn commit(
        &mut self,
        block: IdentifiedBlock<Toy>,
        state: StateAt<Toy>,
    ) -> Option<WorkerEvent<Toy>> {
        if self.fault == Fault::VerdictBeforeCommit {
            say(|| format!("puts off the commit of block {}", block.identity().root));
            self.late = Some((block, state));
            return Some(WorkerEvent::Committed(CommitReply::Committed));
        }
        Some(self.commit_now(block, state))
    }

    fn post_state(&mut self, _: StateAt<Toy>) {}

    fn committees(&mut self, _: Checkpoint<ToyRoot>) -> Option<WorkerEvent<Toy>> {
        Some(WorkerEvent::HotDbGone)
    }

    fn post_committees(&mut self, _: CommitteesAt<Toy>) {}

    fn claim(&mut self, _: StateKey<ToyRoot>) -> bool {
        true
    }

    fn requeue(&mut self, _: Vec<Task<Toy, Self::Reply>>, _: StateKey<ToyRoot>) {}

    fn give_way(&mut self, _: GoesFirst) -> bool {
        true
    }

    fn loaded(&mut self, _: StateKey<ToyRoot>) {}

    fn answer(&mut self, to: Self::Reply, answer: Answer<Toy>) {
        say(|| format!("sends its answer to main: {}", answer_words(&answer)));
        reply_to(to, answer);
    }
}

fn answer_words(answer: &Answer<Toy>) -> String {
    match answer {
        Answer::Block(cleared) => {
            format!("block {} is valid", cleared.item().identity().root)
        }
        other => format!("{other:?}"),
    }
}

/// Runs one task of the worker, whose turns are core's. With a fault, the answer leaves too early.
fn check<P: Primitives>(
    block: ToyBlock,
    reply: oneshot::Sender<P, Answer<Toy>>,
    hot_db: &Sender<P, Ask<P>>,
    fault: Fault,
    told: &Told,
) {
    let toy = Toy::default();
    let mut ends = Ends { hot_db, fault, late: None };
    let job = Job::Block(identified::block(&toy, block));
    let Ok(task) = Task::new(&toy, job.lane(), job, reply) else { panic!("the toy has keys") };
    Hands::default().serve(&toy, told, &mut ends, vec![task]);
    if let Some((block, state)) = ends.late.take() {
        assert_eq!(ends.commit_now(block, state), WorkerEvent::Committed(CommitReply::Committed));
    }
}

/// Lets the pair check `blocks` in this order. Gives each answer to `then`, with the HotDB's
/// mailbox.
pub(super) fn pair<P: Primitives, const N: usize>(
    fault: Fault,
    blocks: [ToyBlock; N],
    mut then: impl FnMut(Option<Answer<Toy>>, &Sender<P, Ask<P>>),
) {
    let (tasks, inbox) = mailbox::<P, Request<P>>(N, 0, OnFull::Block);
    let (questions, asked) = mailbox::<P, Ask<P>>(N, 0, OnFull::Block);
    let back = tasks.clone();
    // A trace has the two as services whose surroundings are not in it.
    let [stores, works] =
        [ServiceName::HotDb, ServiceName::Rewinder].map(|service| Told(Tracer::new(service, 0, 0)));
    stores.0.begin(" known=0-0");
    works.0.begin("");
    let database = P::spawn("hot_db", move || {
        hot_db(&asked, &back, fault, &stores);
        stores.0.end();
    });
    let way = questions.clone();
    let worker = P::spawn("worker", move || {
        while let Ok(task) = inbox.recv() {
            match task {
                Request::Block { block, reply } => {
                    say(|| format!("takes block {} on {}", block.root, block.parent));
                    check(block, reply, &way, fault, &works);
                }
                Request::State { reply } => {
                    say(|| "takes the request for a state, and answers it".to_owned());
                    reply_to(reply, ToyState::anchor());
                }
            }
        }
        works.0.end();
    });
    let answers = blocks.map(|block| {
        let (reply, answer) = oneshot::channel();
        say(|| format!("sends block {} to worker", block.root));
        tell(&tasks, Request::Block { block, reply });
        answer
    });
    for answer in answers {
        let answer = answer.recv().ok();
        say(|| format!("has: {}", answer.as_ref().map_or("nothing".to_owned(), answer_words)));
        then(answer, &questions);
    }
    tasks.close();
    join(worker);
    drop(questions);
    join(database);
}

/// R3: the only worker waits for the trail, and the HotDB waits for the worker.
pub fn hot_db_waits_for_the_worker<P: Primitives>() {
    pair::<P, 1>(Fault::HotDbWaitsForTheWorker, [ToyBlock::new(1, 0, 1)], |_, _| {});
}

/// R4: the only worker waits for the trail to a parent that stands behind it in the queue.
pub fn no_error_reply<P: Primitives>() {
    let blocks = [ToyBlock::new(2, 1, 2), ToyBlock::new(1, 0, 1)];
    pair::<P, 2>(Fault::NoErrorReply, blocks, |_, _| {});
}

/// R6: a thread that is told "valid" asks for the block, as a worker with a child of it would. The
/// block is not there yet.
pub fn verdict_before_commit<P: Primitives>() {
    let blocks = [ToyBlock::new(1, 0, 1)];
    pair::<P, 1>(Fault::VerdictBeforeCommit, blocks, |answer, hot_db| {
        if matches!(answer, Some(Answer::Block(_))) {
            let trail = ask_trail(hot_db, 1, 2);
            let found = matches!(trail, WorkerEvent::Trail(TrailReply::Trail(_)));
            assert!(found, "a valid block is not in the HotDB");
        }
    });
}

/// M8: two services with mailboxes of one place send to each other and wait for room.
pub fn send_cycle<P: Primitives>() {
    const TICKS: usize = 4;
    let (quarantine, inbox) = mailbox::<P, Option<u64>>(1, 0, OnFull::Block);
    let (clearance, messages) = mailbox::<P, u64>(1, 0, OnFull::Block);
    let back = quarantine.clone();
    let upper = P::spawn("quarantine", move || {
        let mut answers = 0;
        while answers < TICKS {
            match inbox.recv() {
                Ok(Some(tick)) => tell(&clearance, tick),
                Ok(None) => answers += 1,
                Err(_) => break,
            }
        }
    });
    let lower = P::spawn("clearance", move || {
        while messages.recv().is_ok() {
            tell(&back, None);
        }
    });
    for tick in 0..TICKS as u64 {
        tell(&quarantine, Some(tick));
    }
    join(upper);
    join(lower);
}

/// Runs the same pair of services with `replies` slots for answers, which therefore never wait. A
/// service reserves a slot before it sends its question.
fn reserved_slots<P: Primitives>(replies: usize) {
    const TICKS: u64 = 10;
    let (quarantine, inbox) = mailbox::<P, Option<u64>>(1, replies, OnFull::Block);
    let (clearance, messages) = mailbox::<P, _>(1, 0, OnFull::Block);
    let upper = P::spawn("quarantine", move || {
        while let Ok(message) = inbox.recv() {
            if let Some(tick) = message {
                let slot = inbox.permit().expect("a slot for the answer");
                tell(&clearance, (tick, slot));
            }
        }
    });
    let lower = P::spawn("clearance", move || {
        while let Ok((_, slot)) = messages.recv() {
            assert_eq!(slot.send(None), Ok(()));
        }
    });
    for tick in 0..TICKS {
        tell(&quarantine, Some(tick));
    }
    drop(quarantine);
    join(upper);
    join(lower);
}

/// M8: there are window + capacity + 1 slots, as there once were in core; the window is zero here.
/// That bound forgot the answers that were given and not yet read.
pub fn too_few_reply_slots<P: Primitives>() {
    reserved_slots::<P>(2);
}

/// M8, as it must be: the bound is core's. It counts Clearance's mailbox, the message that
/// Clearance handles, and the one that is being sent. It also counts the oldest unread answer, and
/// one more for each message before that.
pub fn enough_reply_slots<P: Primitives>() {
    reserved_slots::<P>(Slots::for_clearance(1, 0, 1).replies);
}

/// A1: nobody counts what a peer has in the Quarantine's mailbox, as the share is all of it. The
/// counterpart is `services::a_peer_has_its_share_of_the_mailbox`.
pub fn a_share_of_the_whole_mailbox<P: Primitives>() {
    share_of_the_mailbox::<P>(2);
}

/// Q2: a service takes the requests of two clients together, and gives each the other's answer. The
/// counterpart is `services::two_clients`.
pub fn crossed_verdicts<P: Primitives>() {
    let (requests, inbox) = mailbox::<P, (u32, oneshot::Sender<P, u32>)>(2, 0, OnFull::Block);
    let service = P::spawn("service", move || {
        let (first, second) = (inbox.recv(), inbox.recv());
        if let (Ok((one, to_one)), Ok((two, to_two))) = (first, second) {
            reply_to(to_one, two);
            reply_to(to_two, one);
        }
    });
    let ask = |requests: &Sender<P, _>, number| {
        let (reply, answer) = oneshot::channel();
        tell(requests, (number, reply));
        assert_eq!(answer.recv(), Ok(number), "the other client's verdict");
    };
    let other = requests.clone();
    let client = P::spawn("client", move || ask(&other, 2));
    ask(&requests, 1);
    join(client);
    join(service);
}

/// Tasks that need states, and workers that pull them: core's queue under a lock.
struct Pool<P: Primitives> {
    queue: P::Mutex<Dispatcher<ToyRoot, u32>>,
    changed: EventNotifier<P>,
}

/// Lets two workers take a task each, where both tasks need one state. The first loads the state
/// and, with `reports`, says so.
fn two_tasks_for_one_state<P: Primitives>(reports: bool) {
    const STATE: (ToyRoot, u64) = (0, 0);
    let mut queue = Dispatcher::new(2, 1);
    for task in [1, 2] {
        assert_eq!(queue.submit(Lane::Attestations, Some(STATE), task), Ok(()));
    }
    let pool = P::arc(Pool::<P> { queue: Mutex::new(queue), changed: EventNotifier::new() });
    let workers = [(); 2].map(|()| {
        let pool = pool.clone();
        P::spawn("worker", move || {
            let pull = || pool.queue.lock().pull(Role::General, 0).pop();
            let task = pool.changed.wait_until(pull);
            if reports {
                pool.queue.lock().loaded(STATE);
                pool.changed.notify_all();
            }
            task
        })
    });
    assert_eq!(workers.map(join).iter().sum::<u32>(), 3);
}

/// R11: a worker that has loaded the state does not say so, and the task that was passed over is
/// never taken. The counterpart is `services::attestations_wait_for_their_block`.
pub fn a_state_that_nobody_reports<P: Primitives>() {
    two_tasks_for_one_state::<P>(false);
}

/// R11, as it must be: the worker says that it has loaded the state.
pub fn a_state_that_is_reported<P: Primitives>() {
    two_tasks_for_one_state::<P>(true);
}
