//! The pure part of the Rewinder's pull queue; see [`crate::rewinder`] for its contract.

use std::collections::{BTreeSet, VecDeque};

use crate::consensus::Slot;

/// The order in which tasks are served, first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Duties of our own validators: they have deadlines.
    Duties,
    /// Blocks of the network.
    Blocks,
    /// Attestations of the network.
    Attestations,
    /// Attestations of peers that are not proven: they neither come before those of others, nor are
    /// verified together with them.
    Unproven,
    /// Anything that can wait.
    Queries,
}

impl Lane {
    /// All lanes, in the order of service.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Duties, Self::Blocks, Self::Attestations, Self::Unproven, Self::Queries];
    /// How many there are.
    pub const COUNT: usize = 5;

    /// Returns the word for reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Duties => "duties",
            Self::Blocks => "blocks",
            Self::Attestations => "attestations",
            Self::Unproven => "unproven",
            Self::Queries => "queries",
        }
    }

    /// Returns whether tasks of this lane that need the same state are pulled together.
    fn batches(self) -> bool {
        matches!(self, Self::Attestations | Self::Unproven)
    }
}

/// Which tasks a worker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Every lane, in order.
    General,
    /// Duties alone, so that a duty is never queued behind rewinds (hazard R2).
    Reserved,
}

/// How many pulls in a row may pass a lane over though it has a task that may be taken.
const TURNS: u8 = 4;

/// A state that a task needs before anything else, and that others may need as well.
pub type StateKey<R> = (R, Slot);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Queued<R, T> {
    key: Option<StateKey<R>>,
    /// A state that another worker had claimed when the task was put back.
    after: Option<StateKey<R>>,
    task: T,
}

/// Lanes of waiting tasks, and the states that some worker is loading.
///
/// Workers pull; nothing is ever handed to a worker that did not ask (hazard R1). A task whose
/// state is being loaded by another worker is passed over until that worker reports, and finds the
/// state cached then (hazard R11). Which state a block needs turns out only when the HotDB has
/// answered: a worker that is to replay it claims it then, and puts the task back if another worker
/// has claimed it.
///
/// - D1: A pull takes one task. If that is an attestation, the pull also takes those behind it in
///   its lane that need the same state, in their order, to be verified together. It takes at most `batch` in all,
///   and no more than this worker's share of them if idle workers divide them among themselves.
///   Tasks of other lanes and states keep their places.
/// - D2: Tasks that were put back stand before the others of their lane. A lane then holds more
///   than its capacity, by no more than all workers have in hand.
/// - D3: Duties come first. Of the other lanes, one that four pulls in a row have passed over
///   is next: so blocks come before attestations, and yet no flood of blocks starves them.
/// - D4: What the node itself asks for ([`Dispatcher::submit_own`]) stands before the others of its
///   lane, and the capacity does not count for it. So clients that keep a lane full neither take
///   its place nor go before it. A lane then holds more than its capacity, by no more than that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dispatcher<R, T> {
    capacity: usize,
    batch: usize,
    lanes: [VecDeque<Queued<R, T>>; Lane::COUNT],
    loading: BTreeSet<StateKey<R>>,
    /// How many pulls in a row have passed a lane over though it had a free task.
    passed: [u8; Lane::COUNT],
    closed: bool,
}

impl<R: Copy + Ord, T> Dispatcher<R, T> {
    /// Returns an empty queue. Each lane holds at most `capacity` tasks, and at most `batch`
    /// attestations are pulled at once.
    ///
    /// # Panics
    /// If `capacity` or `batch` is 0.
    #[must_use]
    pub fn new(capacity: usize, batch: usize) -> Self {
        assert!(capacity >= 1, "a lane holds at least one task");
        assert!(batch >= 1, "a pull takes at least one task");
        let lanes = [const { VecDeque::new() }; Lane::COUNT];
        let passed = [0; Lane::COUNT];
        Self { capacity, batch, lanes, loading: BTreeSet::new(), passed, closed: false }
    }

    /// Adds a task behind those of its lane.
    ///
    /// # Errors
    /// Returns the task if the lane is full or the queue is closed.
    pub fn submit(&mut self, lane: Lane, key: Option<StateKey<R>>, task: T) -> Result<(), T> {
        let queue = &mut self.lanes[lane as usize];
        if self.closed || queue.len() >= self.capacity {
            return Err(task);
        }
        queue.push_back(Queued { key, after: None, task });
        Ok(())
    }

    /// Adds a task of the node itself before those of its lane, however many there are (D4). The
    /// caller bounds how many such tasks there are at once.
    ///
    /// # Errors
    /// Returns the task if the queue is closed.
    pub fn submit_own(&mut self, lane: Lane, key: Option<StateKey<R>>, task: T) -> Result<(), T> {
        if self.closed {
            return Err(task);
        }
        self.lanes[lane as usize].push_front(Queued { key, after: None, task });
        Ok(())
    }

    /// Takes the next tasks for a worker of `role` and marks their state as being loaded (D1).
    /// `idle` is the number of other workers that serve every lane and have no task. Returns an
    /// empty list if there is no task that may be taken.
    pub fn pull(&mut self, role: Role, idle: usize) -> Vec<T> {
        let lanes = match role {
            Role::General => &Lane::ALL[..],
            Role::Reserved => &Lane::ALL[..1],
        };
        let free: Vec<_> =
            lanes.iter().filter_map(|lane| Some((*lane, self.first_free(*lane)?))).collect();
        let Some((lane, first)) = self.turn(&free) else { return Vec::new() };
        self.pass(lane, &free);
        let queue = &mut self.lanes[lane as usize];
        let key = queue[first].key;
        let mut take = 1;
        if lane.batches() && key.is_some() {
            let same = queue.range(first..).filter(|queued| queued.key == key).count();
            take = same.div_ceil(idle + 1).min(self.batch);
        }
        self.loading.extend(key);
        take_of(queue, first, key, take)
    }

    /// Takes the first task that may be taken of the first of `lanes` that has one, for a worker
    /// that interrupts its work for it, and marks its state as being loaded. The other lanes' turn
    /// comes nearer by this as by any pull (D3).
    pub fn pull_first(&mut self, lanes: &[Lane]) -> Option<T> {
        let first = |lane: &Lane| Some((*lane, self.first_free(*lane)?));
        let (lane, place) = lanes.iter().find_map(first)?;
        let free: Vec<_> = Lane::ALL.iter().filter_map(first).collect();
        self.pass(lane, &free);
        let taken = self.lanes[lane as usize].remove(place)?;
        self.loading.extend(taken.key);
        Some(taken.task)
    }

    /// Returns the place of the first task of a lane that no state is being loaded for.
    fn first_free(&self, lane: Lane) -> Option<usize> {
        let loads = |key: Option<StateKey<R>>| key.is_some_and(|key| self.loading.contains(&key));
        let free = |queued: &Queued<R, T>| !loads(queued.key) && !loads(queued.after);
        self.lanes[lane as usize].iter().position(free)
    }

    /// Chooses among lanes with a free task, in their order (D3).
    fn turn(&self, free: &[(Lane, usize)]) -> Option<(Lane, usize)> {
        let first = *free.first()?;
        if first.0 == Lane::Duties {
            return Some(first);
        }
        let passed = |lane: Lane| self.passed[lane as usize];
        let overdue = free.iter().filter(|(lane, _)| passed(*lane) >= TURNS).copied();
        Some(overdue.max_by_key(|(lane, _)| passed(*lane)).unwrap_or(first))
    }

    /// Notes that `chosen` is served, and which lanes with a free task it is served before. Duties
    /// take no other lane's turn.
    fn pass(&mut self, chosen: Lane, free: &[(Lane, usize)]) {
        if chosen == Lane::Duties {
            return;
        }
        for lane in Lane::ALL {
            let waits = lane != chosen && free.iter().any(|(other, _)| *other == lane);
            let count = &mut self.passed[lane as usize];
            *count = if waits { count.saturating_add(1).min(TURNS + 2) } else { 0 };
        }
    }

    /// Marks a state as being loaded. Returns whether it was not marked before.
    pub fn claim(&mut self, key: StateKey<R>) -> bool {
        self.loading.insert(key)
    }

    /// Puts a task back before those of its lane. It is passed over while `after` is being loaded.
    /// It had its place before, so the capacity does not count, nor does the close.
    pub fn requeue(&mut self, lane: Lane, key: Option<StateKey<R>>, after: StateKey<R>, task: T) {
        self.lanes[lane as usize].push_front(Queued { key, after: Some(after), task });
    }

    /// Notes that the state is cached, or will never be: tasks that need it may be pulled.
    pub fn loaded(&mut self, key: StateKey<R>) {
        self.loading.remove(&key);
    }

    /// Returns how many pulls in a row have passed a lane over though it had a task that could be
    /// taken (D3): at most 6.
    #[must_use]
    pub fn passed_over(&self, lane: Lane) -> u8 {
        self.passed[lane as usize]
    }

    /// Returns how many tasks wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Returns how many tasks wait in a lane.
    #[must_use]
    pub fn waiting_in(&self, lane: Lane) -> usize {
        self.lanes[lane as usize].len()
    }

    /// Refuses tasks from now on. Those that wait can still be pulled.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Returns whether tasks are refused.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes every waiting task, in the order of service.
    pub fn take_all(&mut self) -> Vec<T> {
        self.take_where(|_| true)
    }

    /// Takes every waiting task of which `which` is true, in the order of service. The others keep
    /// their order.
    pub fn take_where(&mut self, which: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for lane in &mut self.lanes {
            let (out, stay) = lane.drain(..).partition(|queued| which(&queued.task));
            *lane = stay;
            let out: VecDeque<Queued<R, T>> = out;
            taken.extend(out.into_iter().map(|queued| queued.task));
        }
        taken
    }
}

/// Takes `count` tasks that need `key` out of `queue`, the foremost of which is at `first`.
fn take_of<R: PartialEq, T>(
    queue: &mut VecDeque<Queued<R, T>>,
    first: usize,
    key: Option<StateKey<R>>,
    count: usize,
) -> Vec<T> {
    if count == 1 {
        return queue.remove(first).map(|queued| queued.task).into_iter().collect();
    }
    let mut taken = Vec::with_capacity(count);
    for queued in queue.split_off(first) {
        if taken.len() < count && queued.key == key {
            taken.push(queued.task);
        } else {
            queue.push_back(queued);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::{Dispatcher, Lane, Role};

    #[test]
    fn lanes_are_served_in_order_and_first_come_first_served_within_one() {
        // Tasks go in in reverse order of the lanes; two share a lane.
        let mut queue = Dispatcher::<u8, &str>::new(2, 8);
        for (lane, task) in [
            (Lane::Queries, "query"),
            (Lane::Attestations, "first"),
            (Lane::Attestations, "second"),
            (Lane::Duties, "duty"),
        ] {
            assert_eq!(queue.submit(lane, None, task), Ok(()));
        }
        let served: Vec<_> = (0..4).flat_map(|_| queue.pull(Role::General, 0)).collect();
        assert_eq!(served, ["duty", "first", "second", "query"]);
    }

    #[test]
    fn a_flood_of_one_lane_starves_no_other_and_duties_come_first_all_the_same() {
        // Blocks without end, beside attestations and a query; then a duty comes.
        let mut queue = Dispatcher::<u8, &str>::new(64, 8);
        for _ in 0..40 {
            assert_eq!(queue.submit(Lane::Blocks, None, "block"), Ok(()));
            assert_eq!(queue.submit(Lane::Attestations, None, "attestation"), Ok(()));
        }
        assert_eq!(queue.submit(Lane::Queries, None, "query"), Ok(()));
        let served: Vec<_> = (0..12).flat_map(|_| queue.pull(Role::General, 0)).collect();
        assert_eq!(&served[..4], ["block"; 4]);
        let count = |word| served.iter().filter(|task| **task == word).count();
        assert_eq!((count("block"), count("attestation"), count("query")), (9, 2, 1));
        assert_eq!(queue.submit(Lane::Duties, None, "duty"), Ok(()));
        assert_eq!(queue.pull(Role::General, 0), ["duty"]);
    }

    #[test]
    fn the_reserved_worker_takes_duties_alone() {
        // A block waits; the reserved worker leaves it and takes the duty.
        let mut queue = Dispatcher::<u8, &str>::new(1, 8);
        assert_eq!(queue.submit(Lane::Blocks, None, "block"), Ok(()));
        assert!(queue.pull(Role::Reserved, 0).is_empty());
        assert_eq!(queue.submit(Lane::Duties, None, "duty"), Ok(()));
        assert_eq!(queue.pull(Role::Reserved, 0), ["duty"]);
    }

    #[test]
    fn two_tasks_for_one_state_are_not_loaded_side_by_side() {
        // The second waits until the first reports, and does not hold up a task for another state;
        // it is not the first one's, as another worker idles.
        let mut queue = Dispatcher::new(3, 8);
        for (key, task) in [((1, 8), "one"), ((1, 8), "two"), ((2, 8), "other")] {
            assert_eq!(queue.submit(Lane::Attestations, Some(key), task), Ok(()));
        }
        assert_eq!(queue.pull(Role::General, 1), ["one"]);
        assert_eq!(queue.pull(Role::General, 0), ["other"]);
        assert!(queue.pull(Role::General, 0).is_empty());
        queue.loaded((1, 8));
        assert_eq!(queue.pull(Role::General, 0), ["two"]);
    }

    #[test]
    fn attestations_of_one_state_are_pulled_together_up_to_the_bound() {
        // Five for one state with another state's among them; three fit into a batch.
        let mut queue = Dispatcher::new(8, 3);
        for (key, task) in [(1, 'a'), (2, 'x'), (1, 'b'), (1, 'c'), (1, 'd'), (2, 'y'), (1, 'e')] {
            assert_eq!(queue.submit(Lane::Attestations, Some((key, 0)), task), Ok(()));
        }
        assert_eq!(queue.pull(Role::General, 0), ['a', 'b', 'c']);
        assert_eq!(queue.pull(Role::General, 0), ['x', 'y']);
        queue.loaded((1, 0));
        assert_eq!(queue.pull(Role::General, 0), ['d', 'e']);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn attestations_of_unproven_peers_come_after_the_others_and_stay_among_themselves() {
        // Two of peers without proof, then six of others, all for one state; three fit into a
        // batch. A flood of the others passes the two over four times, and no more.
        let mut queue = Dispatcher::new(32, 3);
        let key = Some((1, 0));
        for task in ['x', 'y'] {
            assert_eq!(queue.submit(Lane::Unproven, key, task), Ok(()));
        }
        for task in "abcdefghijklmnop".chars() {
            assert_eq!(queue.submit(Lane::Attestations, key, task), Ok(()));
        }
        let pulls: Vec<String> = (0..6)
            .map(|_| {
                let pulled = queue.pull(Role::General, 0).into_iter().collect();
                queue.loaded((1, 0));
                pulled
            })
            .collect();
        assert_eq!(pulls, ["abc", "def", "ghi", "jkl", "xy", "mno"]);
    }

    #[test]
    fn idle_workers_share_what_one_could_take_alone() {
        // Seven attestations of one state, three workers of which two idle, then one, then none.
        let mut queue = Dispatcher::new(8, 8);
        for task in 0..7 {
            assert_eq!(queue.submit(Lane::Attestations, Some((1, 0)), task), Ok(()));
        }
        assert_eq!(queue.pull(Role::General, 2), [0, 1, 2]);
        queue.loaded((1, 0));
        assert_eq!(queue.pull(Role::General, 1), [3, 4]);
        queue.loaded((1, 0));
        assert_eq!(queue.pull(Role::General, 0), [5, 6]);
    }

    #[test]
    fn nothing_but_attestations_is_pulled_together() {
        // Two queries for one state, and two blocks, which need none.
        let mut queue = Dispatcher::new(8, 8);
        for (lane, key) in [
            (Lane::Queries, Some((1, 0))),
            (Lane::Queries, Some((1, 0))),
            (Lane::Blocks, None),
            (Lane::Blocks, None),
        ] {
            assert_eq!(queue.submit(lane, key, lane), Ok(()));
        }
        assert_eq!(queue.pull(Role::General, 0), [Lane::Blocks]);
        assert_eq!(queue.pull(Role::General, 0), [Lane::Blocks]);
        assert_eq!(queue.pull(Role::General, 0), [Lane::Queries]);
        assert!(queue.pull(Role::General, 0).is_empty());
    }

    #[test]
    fn how_often_a_lane_was_passed_over_counts_while_it_has_a_task_and_to_six() {
        // Blocks are pulled again and again by workers that interrupt their work, beside an
        // attestation that waits; then the attestation is pulled. Nobody has a query.
        let mut queue = Dispatcher::<u8, &str>::new(16, 8);
        assert_eq!(queue.submit(Lane::Attestations, None, "attestation"), Ok(()));
        let counts = [1, 2, 3, 4, 5, 6, 6, 6].map(|_| {
            assert_eq!(queue.submit(Lane::Blocks, None, "block"), Ok(()));
            assert_eq!(queue.pull_first(&[Lane::Blocks]), Some("block"));
            assert_eq!(queue.passed_over(Lane::Queries), 0);
            queue.passed_over(Lane::Attestations)
        });
        assert_eq!(counts, [1, 2, 3, 4, 5, 6, 6, 6]);
        assert_eq!(queue.pull(Role::General, 0), ["attestation"]);
        assert_eq!(queue.passed_over(Lane::Attestations), 0);
    }

    #[test]
    fn what_the_node_itself_asks_for_has_a_place_in_a_full_lane_before_the_others() {
        // Capacity two: clients fill the lane, and the node asks twice; a client is refused. After
        // the close the node is, too.
        let mut queue = Dispatcher::<u8, &str>::new(2, 8);
        for task in ["first", "second"] {
            assert_eq!(queue.submit(Lane::Queries, None, task), Ok(()));
        }
        for task in ["balances", "finalised"] {
            assert_eq!(queue.submit_own(Lane::Queries, None, task), Ok(()));
        }
        assert_eq!(queue.submit(Lane::Queries, None, "third"), Err("third"));
        queue.close();
        assert_eq!(queue.submit_own(Lane::Queries, None, "late"), Err("late"));
        let served: Vec<_> = (0..4).flat_map(|_| queue.pull(Role::General, 0)).collect();
        assert_eq!(served, ["finalised", "balances", "first", "second"]);
    }

    #[test]
    fn some_waiting_tasks_are_taken_and_the_others_keep_their_order() {
        // The odd ones of two lanes.
        let mut queue = Dispatcher::<u8, u8>::new(8, 8);
        for (lane, task) in [(Lane::Queries, 1), (Lane::Queries, 2), (Lane::Blocks, 3)] {
            assert_eq!(queue.submit(lane, None, task), Ok(()));
        }
        assert_eq!(queue.submit(Lane::Queries, None, 4), Ok(()));
        assert_eq!(queue.take_where(|task| task % 2 == 1), [3, 1]);
        assert_eq!(queue.take_all(), [2, 4]);
    }

    #[test]
    fn a_full_lane_and_a_closed_queue_hand_the_task_back() {
        // Capacity one: the second task of a lane comes back, and any task after the close.
        let mut queue = Dispatcher::<u8, u8>::new(1, 8);
        assert_eq!(queue.submit(Lane::Blocks, None, 1), Ok(()));
        assert_eq!(queue.submit(Lane::Blocks, None, 2), Err(2));
        queue.close();
        assert_eq!(queue.submit(Lane::Duties, None, 3), Err(3));
        assert_eq!(queue.pull(Role::General, 0), [1]);
    }
}
