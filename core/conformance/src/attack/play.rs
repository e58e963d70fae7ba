//! One run: honest traffic through services of its own, with an attacker beside it or without.
//!
//! **Contract.** The history is handed in first, and every block of it has to be valid. In each
//! honest slot the clock ticks, the attacker's burst begins, and the honest peer submits its block
//! and, once that has its verdict, the votes. The attacker is a thread of its own. The honest peer
//! waits only for the first [`HEAD_START`] submissions of a burst, and goes on to the next slot
//! once its own items have their verdicts, or after the deadline. So the latency of an honest item
//! is the time from its submission to the moment when its verdict is sent, or the whole deadline if
//! it is not accepted. A plan may also have the honest peer send several slots ahead, so that the
//! services always have work.
//!
//! **Bounds.** Honest slots end when [`Scene::time`] is over, and an item's deadline is the shorter
//! of that and [`DEADLINE`]; what is left of the attack then comes all the same. The services get
//! [`REST_WITHIN`] to come to rest, and [`STOP_WITHIN`] for their stop. Threads that are late are
//! reported and left behind.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use blocksmith::notice::Notice;
use blocksmith::rewinder::Lane;
use blocksmith::verdict::{DropReason, IgnoreReason, PendingReason, Verdict};
use blocksmith::{Blocksmith, Client, Config, NoticeReceiver, Submission};
use blocksmith_consensus::{InvalidData, Root};
use blocksmith_node::recording::PresetName;
use blocksmith_sync::Std;

use super::AttackError;
use super::chain::{Chain, HonestSlot};
use super::plan::{HONEST, Heard, Plan, Played, Shot};
use crate::process::{cpu_time, forget_peak, peak_bytes};
use crate::protocol::Protocol;

pub(super) type Answer = Verdict<Root, InvalidData>;

/// Submissions of a burst that come before the honest block of the slot.
const HEAD_START: usize = 512;
/// An honest item that is not accepted by then counts as dropped, with this as its latency.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// Time for the services to stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Time for the services to come to rest after the honest slots.
const REST_WITHIN: Duration = Duration::from_secs(60);
/// The size that an item counts with, in bytes: that of a small block.
const ITEM_BYTES: usize = 1 << 10;

/// Where an attack takes place.
pub(super) struct Scene {
    pub(super) chain: Arc<Chain>,
    pub(super) config: Config,
    /// How long the honest slots may take.
    pub(super) time: Duration,
}

/// Rings once for each verdict of a group of items. One thread waits for it, and is woken by the
/// last verdict alone.
#[derive(Default)]
pub(super) struct Bell {
    rings: Mutex<Rings>,
    changed: Condvar,
}

#[derive(Default)]
struct Rings {
    rung: usize,
    /// How many the thread that waits asks for.
    awaited: usize,
}

impl Bell {
    pub(super) fn ring(&self) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.rung += 1;
        if rings.rung == rings.awaited {
            drop(rings);
            self.changed.notify_all();
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).rung as u64
    }

    /// Blocks until the bell has rung `times`, or for `limit`.
    pub(super) fn wait(&self, times: usize, limit: Duration) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.awaited = times;
        let _ = self.changed.wait_timeout_while(rings, limit, |rings| rings.rung < times);
    }
}

/// The moment at which a verdict was sent.
struct Arrival {
    bell: Arc<Bell>,
    at: OnceLock<Instant>,
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        if self.at.set(Instant::now()).is_ok() {
            self.bell.ring();
        }
    }
}

/// An honest submission, and when its verdict came.
struct Watched {
    /// What was submitted.
    shot: Shot,
    submission: Submission<Std, Protocol>,
    start: Instant,
    arrival: Arc<Arrival>,
    answer: Option<Answer>,
}

impl Watched {
    /// Submits a block or an attestation.
    fn new(client: &Client<Std, Protocol>, shot: Shot, bell: &Arc<Bell>) -> Self {
        let start = Instant::now();
        let mut submission = match &shot {
            Shot::Block(block, peer) => client.submit_block(block.clone(), *peer, ITEM_BYTES),
            Shot::Attestation(vote, peer) => {
                client.submit_attestation(vote.clone(), *peer, ITEM_BYTES)
            }
            _ => unreachable!("honest items are blocks and attestations"),
        };
        let arrival = Arc::new(Arrival { bell: bell.clone(), at: OnceLock::new() });
        let waker = Waker::from(arrival.clone());
        let answer = match Pin::new(&mut submission).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => {
                waker.wake();
                Some(answer)
            }
            Poll::Pending => None,
        };
        Self { shot, submission, start, arrival, answer }
    }

    /// Returns the time to the verdict, as far as it came before the deadline.
    fn latency(&self, deadline: Duration) -> Option<Duration> {
        let at = self.arrival.at.get()?;
        Some(at.duration_since(self.start)).filter(|latency| *latency <= deadline)
    }

    /// Returns the verdict, if there is one after the services have stopped.
    fn take(&mut self) -> Option<Answer> {
        self.answer.take().or_else(|| self.submission.try_wait())
    }
}

/// What the attacker's thread yields.
#[derive(Default)]
struct Fired {
    submissions: Vec<Submission<Std, Protocol>>,
    asked: u64,
}

/// Sends shots.
struct Attacker {
    client: Client<Std, Protocol>,
    fired: Fired,
    answered: Arc<Bell>,
}

impl Attacker {
    fn fire(&mut self, shot: Shot) {
        match shot {
            Shot::Block(block, peer) => {
                self.fired.submissions.push(self.client.submit_block(block, peer, ITEM_BYTES));
            }
            Shot::Attestation(attestation, peer) => {
                let submission = self.client.submit_attestation(attestation, peer, ITEM_BYTES);
                self.fired.submissions.push(submission);
            }
            Shot::Single(attestation, subnet, peer) => {
                let client = &self.client;
                let submission =
                    client.submit_single_attestation(attestation, subnet, peer, ITEM_BYTES);
                self.fired.submissions.push(submission);
            }
            Shot::Aggregate(aggregate, peer) => {
                let submission = self.client.submit_aggregate(aggregate, peer, ITEM_BYTES);
                self.fired.submissions.push(submission);
            }
            Shot::Tick(slot) => self.client.tick(slot, Duration::ZERO),
            Shot::Query(root, slot) => {
                self.fired.asked += 1;
                let (client, answered) = (self.client.clone(), self.answered.clone());
                // It is not joined: an answer that never comes is what the attack is about.
                std::thread::spawn(move || {
                    let _ = client.state_at(root, slot, Lane::Queries);
                    answered.ring();
                });
            }
        }
    }

    /// Sends a burst for each slot number that comes, and says when it has begun.
    fn run(
        mut self,
        plan: &Plan,
        slots: &mpsc::Receiver<usize>,
        begun: &mpsc::Sender<()>,
    ) -> Fired {
        for at in slots {
            let burst = plan.bursts.get(at).map_or(&[][..], Vec::as_slice);
            let (head, rest) = burst.split_at(burst.len().min(HEAD_START));
            head.iter().cloned().for_each(|shot| self.fire(shot));
            // The honest peer may have given up.
            let _ = begun.send(());
            rest.iter().cloned().for_each(|shot| self.fire(shot));
        }
        self.fired
    }
}

/// Slots whose verdicts have not been waited for: the bell of each, and how often it is to ring.
type UnderWay = VecDeque<(Arc<Bell>, usize)>;

/// A run that is under way.
struct Run<'a> {
    scene: &'a Scene,
    client: Client<Std, Protocol>,
    notices: NoticeReceiver<Std, Protocol>,
    honest: Vec<Watched>,
    heard: Heard,
    deadline: Duration,
}

impl Run<'_> {
    fn import_history(&self) -> Result<(), AttackError> {
        for block in &self.scene.chain.history {
            let slot = block.value().message.slot;
            self.client.tick(slot, Duration::ZERO);
            match self.client.submit_block(block.clone(), HONEST, ITEM_BYTES).wait() {
                Verdict::Accept { .. } => {}
                answer => return Err(AttackError::History { slot, answer: answer.reason() }),
            }
        }
        self.client.rest();
        Ok(())
    }

    /// Sends what a slot holds. Unless the plan is ahead, it waits for all of that, and else for
    /// the oldest slot that is under way, if there are more than the plan is ahead.
    fn play_slot(&mut self, slot: &HonestSlot, plan: &Plan, under_way: &mut UnderWay) {
        if plan.ahead == 0 {
            self.honest_slot(slot);
        } else {
            let bell = self.submit_block(slot, Arc::default());
            under_way.push_back((self.submit_votes(slot, bell), 1 + slot.votes.len()));
        }
        if under_way.len() > plan.ahead {
            let oldest = under_way.pop_front();
            oldest.inspect(|(bell, items)| bell.wait(*items, self.deadline));
        }
        if !plan.reader_pauses {
            self.read_notices();
        }
    }

    /// Sends a slot's block and, once that has its verdict, the votes; waits for theirs.
    fn honest_slot(&mut self, slot: &HonestSlot) {
        let start = Instant::now();
        let bell = self.submit_block(slot, Arc::default());
        bell.wait(1, self.deadline.saturating_sub(start.elapsed()));
        let start = Instant::now();
        let bell = self.submit_votes(slot, Arc::default());
        bell.wait(slot.votes.len(), self.deadline.saturating_sub(start.elapsed()));
    }

    fn submit_block(&mut self, slot: &HonestSlot, bell: Arc<Bell>) -> Arc<Bell> {
        let block = Shot::Block(slot.block.clone(), HONEST);
        self.honest.push(Watched::new(&self.client, block, &bell));
        bell
    }

    fn submit_votes(&mut self, slot: &HonestSlot, bell: Arc<Bell>) -> Arc<Bell> {
        for vote in &slot.votes {
            let vote = Shot::Attestation(vote.clone(), HONEST);
            self.honest.push(Watched::new(&self.client, vote, &bell));
        }
        bell
    }

    fn read_notices(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            match notice {
                Notice::Need { root, .. } => drop(self.heard.needs.insert(root)),
                Notice::Parked { id, why: PendingReason::FutureSlot } => {
                    *self.heard.parked.entry(id).or_default() += 1;
                }
                Notice::HeadChanged { .. } => self.heard.heads += 1,
                _ => {}
            }
        }
    }

    /// Blocks until the services rest, or for [`REST_WITHIN`]; returns whether they do.
    fn rest(&self) -> bool {
        let (client, (done, rests)) = (self.client.clone(), mpsc::channel());
        std::thread::spawn(move || {
            client.rest();
            let _ = done.send(());
        });
        rests.recv_timeout(REST_WITHIN).is_ok()
    }
}

/// Pauses of the honest traffic, in which the services are at rest.
pub(super) struct Pieces<'a> {
    /// How many honest slots are played from pause to pause, at least 1; the last may be fewer.
    pub(super) slots: usize,
    /// What is done in a pause. It is told how many slots have been played, and how many batches of
    /// votes were verified since the last pause. The CPU time and the peak of memory that it takes
    /// are not those of the run.
    pub(super) between: &'a mut dyn FnMut(usize, u64),
}

/// Plays the honest slots of a scene, with an attacker's plan beside them.
///
/// # Errors
/// If the services do not start or do not take the history.
pub(super) fn play(scene: &Scene, plan: &Plan) -> Result<Played, AttackError> {
    play_in(scene, plan, None)
}

/// As [`play`], in pieces.
pub(super) fn play_in(
    scene: &Scene,
    plan: &Plan,
    pieces: Option<Pieces<'_>>,
) -> Result<Played, AttackError> {
    let chain = &scene.chain;
    let protocol = Protocol::new(PresetName::Minimal, chain.config.clone());
    let counts = protocol.counts();
    let (blocksmith, notices) =
        Blocksmith::<Std, Protocol>::start(scene.config, Arc::new(protocol), chain.anchor())?;
    let client = blocksmith.client().clone();
    let (honest, heard) = (Vec::new(), Heard::default());
    let deadline = DEADLINE.min(scene.time);
    let mut run = Run { scene, client: client.clone(), notices, honest, heard, deadline };
    run.import_history()?;
    run.read_notices();
    run.heard = Heard::default();
    let (work, cpu) = (counts.work(), cpu_time());
    forget_peak();
    let answered = Arc::new(Bell::default());
    let (mut aside, mut batches, mut peak) = (Duration::ZERO, work.batches, 0);
    let pieces = pieces.map(|Pieces { slots, between }| {
        let pause = |played| {
            peak = peak_bytes().max(peak);
            let (before, all) = (cpu_time(), counts.work().batches);
            between(played, all - std::mem::replace(&mut batches, all));
            aside += cpu_time().saturating_sub(before);
            forget_peak();
        };
        (slots, pause)
    });
    let (fired, slots) = fight(&mut run, plan, &answered, pieces);
    let rested = run.rest();
    let mut played = Played {
        slots,
        rested,
        work: counts.work().since(work),
        cpu: cpu_time().saturating_sub(cpu).saturating_sub(aside),
        peak: peak_bytes().max(peak),
        ..Played::default()
    };
    let again = aftermath(&mut run, plan);
    played.held = client.pending().map_or(0, |pending| pending.len() as u64);
    let stop = Instant::now();
    played.late = blocksmith.stop_within(STOP_WITHIN).late;
    played.stop = stop.elapsed();
    // What the stop answers may take a moment to arrive.
    answered.wait(fired.asked as usize, deadline);
    played.queries = [fired.asked, answered.count()];
    run.read_notices();
    played.heard = run.heard;
    for mut item in run.honest {
        let (latency, answer) = (item.latency(deadline), item.take());
        played.take_honest(latency, deadline, answer, || plan.copies(&item.shot));
    }
    for submission in fired.submissions.into_iter().chain(again.submissions) {
        played.take(submission);
    }
    played.latencies.sort_unstable();
    Ok(played)
}

/// Plays the honest slots; returns what was fired and how many slots there was time for. With
/// `pieces`, each time that so many slots are played, and at the end, the services come to rest and
/// what is to be done then is done.
fn fight(
    run: &mut Run<'_>,
    plan: &Plan,
    answered: &Arc<Bell>,
    mut pieces: Option<(usize, impl FnMut(usize))>,
) -> (Fired, u64) {
    let chain = run.scene.chain.clone();
    let attacker = Attacker {
        client: run.client.clone(),
        fired: Fired::default(),
        answered: answered.clone(),
    };
    let ((go, slots), (begun, has_begun)) = (mpsc::channel(), mpsc::channel());
    std::thread::scope(|scope| {
        let attacker = scope.spawn(move || attacker.run(plan, &slots, &begun));
        let begin = Instant::now();
        let (mut played, mut under_way) = (0, UnderWay::new());
        for (at, slot) in chain.honest.iter().enumerate() {
            run.client.tick(slot.slot, Duration::ZERO);
            if plan.attacks_in(at) && (go.send(at).is_err() || has_begun.recv().is_err()) {
                break;
            }
            run.play_slot(slot, plan, &mut under_way);
            played += 1;
            let is_over = begin.elapsed() >= run.scene.time;
            if let Some((slots, pause)) = &mut pieces
                && (played % *slots == 0 || is_over || played == chain.honest.len())
            {
                under_way.drain(..).for_each(|(bell, items)| bell.wait(items, run.deadline));
                run.rest();
                pause(played);
            }
            if is_over {
                break;
            }
        }
        under_way.iter().for_each(|(bell, items)| bell.wait(*items, run.deadline));
        // An attack is of its size even if there is no time for more honest items.
        for at in played..chain.honest.len() {
            run.client.tick(chain.honest[at].slot, Duration::ZERO);
            if plan.attacks_in(at) && (go.send(at).is_err() || has_begun.recv().is_err()) {
                break;
            }
        }
        drop(go);
        // An attacker that panics is a fault of ours, and is passed on.
        (attacker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), played as u64)
    })
}

/// Lets the slots after the honest ones pass.
fn aftermath(run: &mut Run<'_>, plan: &Plan) -> Fired {
    run.read_notices();
    let last = run.scene.chain.honest.last().map_or(0, |slot| slot.slot);
    let answered = Arc::new(Bell::default());
    let mut attacker = Attacker { client: run.client.clone(), fired: Fired::default(), answered };
    for slot in last + 1..=last + plan.slots_after {
        run.client.tick(slot, Duration::ZERO);
        plan.again.iter().cloned().for_each(|shot| attacker.fire(shot));
        if !run.rest() {
            break;
        }
        run.read_notices();
    }
    attacker.fired
}

impl Played {
    /// Takes the answer to an honest item. One that was not accepted counts as long as one that was
    /// never answered: a service that refuses honest items at once must not look fast.
    pub(super) fn take_honest(
        &mut self,
        latency: Option<Duration>,
        deadline: Duration,
        answer: Option<Answer>,
        is_copied: impl FnOnce() -> bool,
    ) {
        let is_right = match &answer {
            Some(Verdict::Accept { .. }) => true,
            // Somebody else's copy may have been accepted before it; that copy has to exist.
            Some(Verdict::Ignore(IgnoreReason::Duplicate)) => is_copied(),
            _ => false,
        };
        let latency = latency.filter(|_| is_right);
        self.latencies.push(latency.unwrap_or(deadline));
        self.dropped += u64::from(latency.is_none());
        match answer {
            Some(answer) => {
                self.lost += u64::from(is_lost(&answer));
                self.honest.add(&answer);
            }
            None => self.lost += 1,
        }
    }

    fn take(&mut self, mut submission: Submission<Std, Protocol>) {
        match submission.try_wait() {
            Some(answer) => {
                self.lost += u64::from(is_lost(&answer));
                self.answers.add(&answer);
            }
            None => self.lost += 1,
        }
    }
}

/// Returns whether a verdict is the one that stands for a verdict that was lost. Nothing here makes
/// the services fail, so there is no other reason for it.
fn is_lost(answer: &Answer) -> bool {
    matches!(answer, Verdict::Dropped(DropReason::Fault))
}
