//! What the threads of one execution share: memory, which thread sleeps where, and a digest of
//! everything.
//!
//! **Contract.** A [`World`] is plain data: it runs nothing. The primitives report every operation
//! to it, the executor asks it which steps are possible, and [`World::key`] identifies the state.
//!
//! **State identity.** Two executions are in the same state if they agree on
//! - every live object: an integer by its value; a pointer, a cell or the content of a mutex by the
//!   *version* that its last writer gave it, a digest of what that writer had seen by then. Code
//!   between two operations is deterministic, so a version determines what was written, and no
//!   address or content is ever compared (both may differ when an execution is repeated);
//! - every thread: a digest of its operations and their results, the operation before which it
//!   waits, and whether it sleeps;
//! - the clock and what is left of the budgets.
//!
//! Objects and threads are identified by the thread that made them and by how many it had made
//! before, which does not depend on the order in which threads run.
//!
//! **Invariants.**
//! - W1 `memory` is the sum of the digests of all live objects (checked in debug builds by the
//!   tests).
//! - W2 A thread that sleeps waits before no operation; one that runs waits before exactly one.
//! - W3 The counters of objects, children and pointer writes are part of the identity, because the
//!   hints `rewind` and `checkpoint` forget the history that implies them.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use corosensei::Yielder;

use super::limits::{A_LONG_TIME, Limits};
use super::operation::{Kind, Name, Operation, Verb, mix};
use super::search::Footprint;
use super::step::{Choice, Line, Status, Step, WakeReason};

pub(super) struct Thread {
    pub(super) label: Arc<str>,
    /// Digest of the path of spawns that leads here.
    pub(super) path: u64,
    pub(super) status: Status,
    pub(super) pending: Option<(Operation, &'static Location<'static>)>,
    pub(super) yielder: *const Yielder<(), ()>,
    pub(super) history: u64,
    pub(super) reason: WakeReason,
    /// How many destructors of shared content it is currently running.
    pub(super) destructors: u32,
    objects: u32,
    children: u32,
    pointer_writes: u32,
    /// Whether others changed something since this thread last yielded.
    stale: bool,
    idle_yields: u32,
}

struct Object {
    id: u64,
    name: Name,
    value: u64,
    raw: usize,
    live: bool,
}

impl Object {
    fn digest(&self) -> u64 {
        mix(self.id, self.value)
    }
}

/// The shared part of one execution.
pub(super) struct World {
    /// Distinguishes the objects of this execution from those that outlived another.
    pub(super) epoch: u64,
    pub(super) threads: Vec<Thread>,
    pub(super) current: usize,
    pub(super) chosen: u8,
    pub(super) clock: Duration,
    pub(super) panicked: Option<String>,
    /// Text of the last panic that the hook saw.
    pub(super) last_panic: Option<String>,
    pub(super) trace: Option<Vec<Line>>,
    /// Bodies of threads that the executor has yet to start.
    pub(super) bodies: Vec<Box<dyn FnOnce()>>,
    pub(super) limits: Limits,
    /// Whether a destructor of shared content stood before an operation.
    pub(super) visible_destructor: bool,
    objects: Vec<Object>,
    memory: u64,
    expiries: u32,
    spurious: u32,
    jumps: u32,
    /// What the step that is under way has read and written.
    footprint: Footprint,
}

impl World {
    pub(super) fn new(epoch: u64, limits: Limits, trace: bool) -> Self {
        Self {
            epoch,
            threads: Vec::new(),
            current: 0,
            chosen: 0,
            clock: Duration::ZERO,
            panicked: None,
            last_panic: None,
            trace: trace.then(Vec::new),
            bodies: Vec::new(),
            expiries: limits.expiries,
            spurious: limits.spurious_wakeups,
            jumps: limits.jumps,
            limits,
            visible_destructor: false,
            objects: Vec::new(),
            memory: 0,
            footprint: Footprint::default(),
        }
    }

    // ---- what a step reads and writes

    pub(super) fn begin_footprint(&mut self) {
        self.footprint = Footprint::default();
    }

    /// Returns what was read and written since [`World::begin_footprint`].
    pub(super) fn take_footprint(&mut self) -> Footprint {
        if self.panicked.is_some() {
            self.footprint.global();
        }
        std::mem::take(&mut self.footprint)
    }

    /// Notes that the step reads an object.
    pub(super) fn reads(&mut self, index: u32) {
        self.footprint.read(self.objects[index as usize].id);
    }

    /// Notes that the step changes an object, or who sleeps on it or owns it.
    pub(super) fn writes(&mut self, index: u32) {
        self.footprint.write(self.objects[index as usize].id);
    }

    /// Notes that the step does something that is not an access to an object.
    pub(super) fn does_more(&mut self) {
        self.footprint.global();
    }

    /// Registers a thread, made by the current one (or by none, if it is the first).
    pub(super) fn add_thread(&mut self, label: &str, body: Box<dyn FnOnce()>) -> u8 {
        let path = match self.threads.get_mut(self.current) {
            None => 1,
            Some(parent) => {
                parent.children += 1;
                mix(parent.path, u64::from(parent.children))
            }
        };
        self.threads.push(Thread {
            label: label.into(),
            path,
            status: Status::Woken,
            pending: None,
            yielder: std::ptr::null(),
            history: path,
            reason: WakeReason::Woken,
            destructors: 0,
            objects: 0,
            children: 0,
            pointer_writes: 0,
            stale: true,
            idle_yields: self.limits.idle_yields,
        });
        self.bodies.push(body);
        u8::try_from(self.threads.len() - 1).expect("at most 256 threads")
    }

    pub(super) fn thread(&mut self) -> &mut Thread {
        &mut self.threads[self.current]
    }

    /// Records a result in the history of the current thread.
    pub(super) fn learn(&mut self, what: u64) {
        let thread = self.thread();
        thread.history = mix(thread.history, what);
    }

    // ---- objects

    pub(super) fn add_object(&mut self, kind: Kind, value: u64, raw: usize) -> u32 {
        let creator = self.current as u8;
        let thread = self.thread();
        let name = Name { kind, creator, nth: thread.objects };
        thread.objects += 1;
        let object = Object {
            id: mix(thread.path, u64::from(name.nth) << 1 | 1),
            name,
            value,
            raw,
            live: true,
        };
        self.memory = self.memory.wrapping_add(object.digest());
        self.objects.push(object);
        self.objects.len() as u32 - 1
    }

    pub(super) fn drop_object(&mut self, index: u32) {
        self.writes(index);
        let object = &mut self.objects[index as usize];
        if object.live {
            object.live = false;
            self.memory = self.memory.wrapping_sub(object.digest());
        }
    }

    pub(super) fn name(&self, index: u32) -> Name {
        self.objects[index as usize].name
    }

    /// Returns the values of the live objects.
    pub(super) fn values(&self) -> BTreeMap<Name, u64> {
        let live = self.objects.iter().filter(|object| object.live);
        live.map(|object| (object.name, object.value)).collect()
    }

    pub(super) fn value(&self, index: u32) -> u64 {
        self.objects[index as usize].value
    }

    pub(super) fn raw(&self, index: u32) -> usize {
        self.objects[index as usize].raw
    }

    /// Gives an object a value, and tells the threads that yielded that something changed.
    pub(super) fn set(&mut self, index: u32, value: u64, raw: usize) {
        self.writes(index);
        let object = &mut self.objects[index as usize];
        object.raw = raw;
        if object.value != value {
            self.memory = self.memory.wrapping_sub(object.digest());
            object.value = value;
            self.memory = self.memory.wrapping_add(object.digest());
            self.changed();
        }
    }

    fn changed(&mut self) {
        let current = self.current;
        for (index, thread) in self.threads.iter_mut().enumerate() {
            thread.stale |= index != current;
        }
    }

    /// Returns the version of a pointer that the current thread writes now. The count distinguishes
    /// two pointers that are written with the same (rewound) history.
    pub(super) fn pointer_version(&mut self, raw: usize) -> u64 {
        if raw == 0 {
            return 0;
        }
        let thread = self.thread();
        thread.pointer_writes += 1;
        mix(mix(thread.path, thread.history), u64::from(thread.pointer_writes)) | 1
    }

    // ---- operations

    pub(super) fn operation(&self, verb: Verb, index: u32, a: u64, b: u64) -> Operation {
        let name = match verb {
            Verb::Join | Verb::Yield | Verb::Now => None,
            _ => Some(self.name(index)),
        };
        Operation { verb, name, index, a, b }
    }

    fn code(&self, operation: &Operation) -> u64 {
        let object = match operation.verb {
            Verb::Join => self.threads[operation.index as usize].path,
            Verb::Yield | Verb::Now => 0,
            _ => self.objects[operation.index as usize].id,
        };
        mix(mix(operation.verb as u64 + 1, object), mix(operation.a, operation.b))
    }

    /// Records that the current thread performed `operation`, and the result.
    pub(super) fn record(
        &mut self,
        operation: Operation,
        result: u64,
        at: &'static Location<'static>,
        shown: impl FnOnce() -> String,
    ) {
        match operation.verb {
            // It could not be done before the thread had ended, and nothing changes that any more.
            Verb::Join => {}
            // What a yield waits for is any change, and the clock is everybody's.
            Verb::Yield | Verb::Now => self.does_more(),
            _ => self.reads(operation.index),
        }
        let code = self.code(&operation);
        self.learn(mix(code, result));
        self.note(|| operation.to_string(), at, shown);
    }

    /// Adds a line to the trace, if there is one.
    pub(super) fn note(
        &mut self,
        text: impl FnOnce() -> String,
        at: &'static Location<'static>,
        shown: impl FnOnce() -> String,
    ) {
        let thread = self.current as u8;
        if let Some(trace) = &mut self.trace {
            let label = self.threads[self.current].label.clone();
            let (text, result) = (text(), shown());
            trace.push(Line { thread, label, text, result, at, is_landmark: false });
        }
    }

    /// Returns whether there is a trace.
    pub(super) fn is_recorded(&self) -> bool {
        self.trace.is_some()
    }

    /// Adds what the current thread says of itself to the trace, if there is one.
    pub(super) fn say(&mut self, words: impl FnOnce() -> String, at: &'static Location<'static>) {
        self.note(words, at, String::new);
        if let Some(line) = self.trace.as_mut().and_then(|trace| trace.last_mut()) {
            line.is_landmark = true;
        }
    }

    /// Performs an access to an integer; returns the previous value.
    pub(super) fn access(
        &mut self,
        operation: Operation,
        at: &'static Location<'static>,
        change: impl FnOnce(u64) -> Option<u64>,
    ) -> u64 {
        let before = self.value(operation.index);
        if let Some(after) = change(before) {
            self.set(operation.index, after, 0);
        }
        self.record(operation, before, at, || before.to_string());
        before
    }

    /// Puts the current thread to sleep if the word equals the expected value.
    pub(super) fn sleep(
        &mut self,
        operation: Operation,
        at: &'static Location<'static>,
        timeout: Option<Duration>,
    ) -> bool {
        let sleeps = self.value(operation.index) == operation.a;
        self.record(operation, u64::from(sleeps), at, || {
            if sleeps { "sleeps".to_owned() } else { "word differs".to_owned() }
        });
        if sleeps {
            let deadline = timeout.map(|timeout| self.clock.saturating_add(timeout));
            let object = operation.index;
            self.thread().status = Status::Asleep { object, deadline };
        }
        sleeps
    }

    /// Wakes the sleepers that the schedule chose.
    pub(super) fn wake(&mut self, operation: Operation, at: &'static Location<'static>) {
        let sleepers = self.sleepers(operation.index);
        let masks = selections(sleepers.len(), operation.a);
        // Whoever sleeps there has read the word. Which thread goes on is a choice of its own.
        self.writes(operation.index);
        if masks.len() > 1 {
            self.does_more();
        }
        // A wake in a thread that unwinds is not a step of its own: it takes the first selection.
        let mask = masks.get(usize::from(self.chosen)).copied().unwrap_or(masks[0]);
        let mut woken = Vec::new();
        for (position, &sleeper) in sleepers.iter().enumerate() {
            if mask & (1 << position) != 0 {
                self.threads[sleeper].status = Status::Woken;
                self.threads[sleeper].reason = WakeReason::Woken;
                woken.push(format!("T{sleeper}"));
            }
        }
        if !woken.is_empty() {
            self.changed();
        }
        self.record(operation, u64::from(woken.len() as u32), at, || {
            if woken.is_empty() {
                "wakes nobody".into()
            } else {
                format!("wakes {}", woken.join(" "))
            }
        });
    }

    /// Performs a `yield_now`.
    pub(super) fn yielded(&mut self, operation: Operation, at: &'static Location<'static>) {
        let thread = self.thread();
        if !thread.stale {
            thread.idle_yields = thread.idle_yields.saturating_sub(1);
        }
        thread.stale = false;
        self.record(operation, 0, at, String::new);
    }

    /// Returns whether the clock may still jump; if so, reading it is a step with two outcomes.
    pub(super) fn may_jump(&self) -> bool {
        self.jumps > 0
    }

    /// Reads the clock, which jumps first if the schedule says so.
    pub(super) fn read_clock(
        &mut self,
        operation: Operation,
        jumps: bool,
        at: &'static Location<'static>,
    ) -> Duration {
        if jumps {
            self.clock = self.clock.saturating_add(A_LONG_TIME);
            self.jumps -= 1;
        }
        let now = self.clock;
        self.record(operation, now.as_nanos() as u64, at, || format!("{now:?}"));
        now
    }

    /// Ends the sleep of a thread without a wake.
    pub(super) fn rouse(&mut self, thread: usize, reason: WakeReason) {
        self.does_more();
        let Status::Asleep { deadline, .. } = self.threads[thread].status else {
            unreachable!("only a sleeper is roused");
        };
        if reason == WakeReason::Expired {
            self.clock = self.clock.max(deadline.unwrap_or_default());
            self.expiries = self.expiries.saturating_sub(1);
        } else {
            self.spurious = self.spurious.saturating_sub(1);
        }
        self.threads[thread].status = Status::Woken;
        self.threads[thread].reason = reason;
    }

    /// Ends the current thread.
    pub(super) fn end_thread(&mut self, panic: Option<String>) {
        let allowed = self.limits.panics_end_threads && self.current != 0;
        let thread = self.thread();
        thread.status = Status::Ended;
        thread.pending = None;
        if let Some(panic) = panic {
            thread.history = mix(thread.history, 0xDEAD);
            let text = format!("T{} {}: {panic}", self.current, self.threads[self.current].label);
            if !allowed {
                self.panicked.get_or_insert(text);
            }
        }
        self.changed();
    }

    // ---- what can happen next

    /// Returns the threads that sleep on an object, in an order that no schedule changes.
    fn sleepers(&self, index: u32) -> Vec<usize> {
        let mut sleepers: Vec<usize> = (0..self.threads.len())
            .filter(|&thread| {
                matches!(self.threads[thread].status,
                    Status::Asleep { object, .. } if object == index)
            })
            .collect();
        sleepers.sort_by_key(|&thread| self.threads[thread].path);
        sleepers
    }

    /// Returns whether all threads have ended.
    pub(super) fn ended(&self) -> bool {
        self.threads.iter().all(|thread| thread.status == Status::Ended)
    }

    /// Returns every step that is possible now.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.panicked.is_some() {
            return steps;
        }
        self.collect_steps(&mut steps, false);
        if steps.is_empty() {
            // When nothing else can run, time passes, and threads that yielded go on.
            self.collect_steps(&mut steps, true);
        }
        steps
    }

    fn collect_steps(&self, steps: &mut Vec<Step>, idle: bool) {
        for (index, thread) in self.threads.iter().enumerate() {
            let mut push = |choice| steps.push(Step { thread: index as u8, choice });
            match (thread.status, thread.pending) {
                (Status::Ready, Some((operation, _))) => {
                    let target = operation.index;
                    match operation.verb {
                        Verb::Lock if self.value(target) & 1 == 1 => {}
                        Verb::Join if self.threads[target as usize].status != Status::Ended => {}
                        Verb::Yield if !(thread.stale || thread.idle_yields > 0 || idle) => {}
                        Verb::Now => (0..=u8::from(self.may_jump()))
                            .for_each(|choice| push(Choice::Run(choice))),
                        Verb::Wake => {
                            let sleepers = self.sleepers(target).len();
                            let count = selections(sleepers, operation.a).len();
                            (0..count).for_each(|choice| push(Choice::Run(choice as u8)));
                        }
                        _ => push(Choice::Run(0)),
                    }
                }
                (Status::Asleep { deadline, .. }, _) => {
                    if deadline.is_some() && (self.expiries > 0 || idle) {
                        push(Choice::Expire);
                    }
                    if self.spurious > 0 {
                        push(Choice::Spurious);
                    }
                }
                _ => {}
            }
        }
    }

    /// Returns the identity of the state (see the module documentation).
    pub(super) fn key(&self) -> u64 {
        let mut threads = 0u64;
        for thread in &self.threads {
            let status = match thread.status {
                Status::Woken => 1,
                Status::Ready => 2,
                Status::Ended => 3,
                Status::Asleep { object, deadline } => {
                    let deadline = deadline.map_or(4, |deadline| 5 + deadline.as_nanos() as u64);
                    mix(self.objects[object as usize].id, deadline)
                }
            };
            let pending = match &thread.pending {
                Some((operation, at)) if thread.status == Status::Ready => {
                    mix(self.code(operation), u64::from(at.line()))
                }
                _ => 0,
            };
            let counters = mix(
                u64::from(thread.objects) << 32 | u64::from(thread.children),
                u64::from(thread.pointer_writes) << 32
                    | u64::from(thread.idle_yields) << 1
                    | u64::from(thread.stale),
            );
            let state = mix(mix(thread.path, thread.history), mix(status, mix(pending, counters)));
            threads = threads.wrapping_add(state);
        }
        let budgets = u64::from(self.expiries) << 32 | u64::from(self.spurious);
        let budgets = mix(budgets, u64::from(self.jumps));
        let rest = mix(self.clock.as_nanos() as u64, budgets);
        mix(mix(self.memory, threads), mix(rest, u64::from(self.panicked.is_some())))
    }
}

/// Returns the ways to choose `count` of `sleepers`, as bit masks; if there are no more sleepers
/// than that, all of them are chosen.
fn selections(sleepers: usize, count: u64) -> Vec<u32> {
    let take = count.min(sleepers as u64) as u32;
    (0..1u32 << sleepers).filter(|mask| mask.count_ones() == take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_of_one_can_take_any_sleeper_and_a_wake_of_all_takes_all() {
        // Counts the selections for three sleepers.
        assert_eq!(selections(3, 1), [0b001, 0b010, 0b100]);
        assert_eq!(selections(3, u64::from(u32::MAX)), [0b111]);
        assert_eq!(selections(0, 1), [0]);
        assert_eq!(selections(3, 2).len(), 3);
    }

    #[test]
    fn memory_forgets_dropped_objects_and_old_values() {
        // Creates, changes and drops objects, and compares the running sum with a fresh world's.
        let mut world = World::new(0, Limits::default(), false);
        world.add_thread("main", Box::new(|| {}));
        let empty = world.memory;
        let first = world.add_object(Kind::Atomic, 7, 0);
        let one = world.memory;
        let second = world.add_object(Kind::Cell, 9, 0);
        world.set(first, 8, 0);
        world.set(first, 7, 0);
        world.drop_object(second);
        world.drop_object(second);
        assert_eq!(world.memory, one);
        world.drop_object(first);
        assert_eq!(world.memory, empty);
    }
}
