//! The state, and what may happen next.

use std::collections::{BTreeMap, BTreeSet};

use blocksmith::beacon_validator::Validator;
use blocksmith::payload_attestation::toy::{ToyVote, ToyVotes};
use blocksmith::payload_attestation::{
    DutyId, Event, Limits, Outcome, Past, PayloadAttestation, Reason, Reply, Request, RequestId,
    Timing,
};
use stateright::{Model, Property};

use super::Fault;
use crate::rules::Bounded;

/// Slots of 12 ms, epochs of four slots: data at 6 ms, batches at 8, 9 and 10 ms.
pub(super) const TIMING: Timing =
    Timing { slots_per_epoch: 4, slot_ms: 12, fetch_ms: 6, gather_ms: 8, due_ms: 9, late_ms: 10 };
/// The process begins in slot 3.
const START: u64 = 47;

/// An instance.
#[derive(Clone, Debug)]
pub(super) struct Ptc {
    pub(super) fault: Option<Fault>,
    /// Who votes when, by branch. A key is also the validator's index.
    pub(super) branches: Vec<Vec<(u8, u64)>>,
    /// The branch of each node at the start.
    pub(super) nodes: Vec<usize>,
    /// Nodes that never answer.
    pub(super) hung: Vec<usize>,
    /// Nodes that see a slot's block late, or never.
    pub(super) blind: Vec<usize>,
    pub(super) keys: Vec<u8>,
    /// Keys whose signer never answers.
    pub(super) dead: Vec<u8>,
    /// A key whose validator is learnt at any moment, and not at the start.
    pub(super) learns: Option<u8>,
    /// The readings of the clock after the first.
    pub(super) clock: Vec<u64>,
    /// Which requests are answered at any moment, and not at once.
    pub(super) slow: fn(&Request<ToyVotes>) -> bool,
    /// Whether everything is answered at the reading of the clock after its request.
    pub(super) is_paced: bool,
    /// How often each thing may happen, in all.
    pub(super) bounds: Spent,
}

/// How often what is bounded has happened, or may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Spent {
    pub(super) restarts: usize,
    pub(super) failures: usize,
    pub(super) losses: usize,
    pub(super) repeats: usize,
    pub(super) switches: usize,
}

/// A beacon node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) branch: usize,
    /// Whether it has the block of the slot.
    pub(super) sees: bool,
}

/// A request under way, or one that is given up and still answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) request: Request<ToyVotes>,
    pub(super) by_ms: u64,
    pub(super) since_ms: u64,
}

/// A process with its nodes and signers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) machine: PayloadAttestation<ToyVotes>,
    /// How often the process has begun.
    pub(super) life: u8,
    pub(super) nodes: Vec<Node>,
    pub(super) asked: BTreeMap<RequestId, Asked>,
    /// Answers that may come a second time.
    pub(super) given: BTreeMap<RequestId, Reply<ToyVotes>>,
    /// Duties that have begun since the last restart, and their outcomes.
    pub(super) duties: BTreeMap<DutyId, Vec<Outcome>>,
    /// Requests of processes that are gone.
    pub(super) orphans: Vec<Request<ToyVotes>>,
    /// What signatures were asked for, and in which life of the process.
    pub(super) signed: BTreeMap<DutyId, BTreeSet<(u8, ToyVote)>>,
    /// When a signature came first.
    pub(super) signed_ms: BTreeMap<DutyId, u64>,
    /// When a vote came to a node first.
    pub(super) left_ms: BTreeMap<DutyId, u64>,
    /// When a node that answers had the block of a slot first.
    pub(super) seen_ms: BTreeMap<u64, u64>,
    /// When the branch of a node has changed last.
    pub(super) switched_ms: u64,
    pub(super) learnt_ms: Option<u64>,
    pub(super) now: u64,
    /// The reading that the machine is told.
    pub(super) told: u64,
    pub(super) ticks: usize,
    pub(super) spent: Spent,
    /// With a fault: lists that are kept, by epoch and root.
    pub(super) kept: BTreeMap<(u64, u8), Reply<ToyVotes>>,
    /// With a fault: the root that every head is told with.
    pub(super) root: Option<u8>,
    /// With a fault: the slot of which it was said that it has no block.
    pub(super) no_block: Option<u64>,
    pub(super) is_off_branch: bool,
    pub(super) is_late: bool,
    pub(super) is_long: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A request is carried out and answered, by this node if it is one of a node.
    Answer(RequestId, usize),
    /// A request fails.
    Fail(RequestId),
    /// A request is carried out, and its answer is lost.
    Lose(RequestId),
    /// An answer comes a second time.
    Repeat(RequestId),
    /// The clock shows its next reading.
    Tick,
    /// A node has the head of the next branch.
    Switch(usize),
    /// A node sees the slot's block.
    See(usize),
    /// The validator that is learnt late is learnt.
    Learn,
    /// The process restarts.
    Restart,
    /// A request of a process that is gone is carried out.
    CarryOut(usize),
}

impl Ptc {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn machine(&self) -> PayloadAttestation<ToyVotes> {
        let timing = if self.has(Fault::BeginsAtTheDeadline) {
            let (start, late) = (TIMING.due_ms, TIMING.late_ms);
            Timing { fetch_ms: start, gather_ms: late, due_ms: late, ..TIMING }
        } else {
            TIMING
        };
        let limits = Limits {
            node_ms: 2,
            retry_ms: 1,
            gather_ms: 12,
            attempts: 2,
            asks_per_slot: 8,
            ..Limits::default()
        };
        let past = if self.has(Fault::BeginsAtOnce) {
            Past::Known { first: None, done: None }
        } else {
            Past::Unknown
        };
        PayloadAttestation::after(ToyVotes { timing }, limits, past)
    }

    /// A process begins: it reads the clock, and is told the heads and its validators.
    fn start(&self, state: &mut State) {
        self.deliver(state, Event::Wake);
        for node in 0..state.nodes.len() {
            self.tell_head(state, node);
        }
        self.tell_validators(state);
    }

    fn tell_validators(&self, state: &mut State) {
        let is_known = |key: &&u8| state.learnt_ms.is_some() || self.learns != Some(**key);
        let known = self.keys.iter().filter(is_known);
        let known = known.map(|key| Validator { index: (*key).into(), key: *key, may_sign: true });
        let known = known.collect();
        self.deliver(state, Event::Validators(known));
    }

    fn tick(&self, state: &mut State) {
        let slot = state.now / TIMING.slot_ms;
        let before = state.now;
        state.now = self.clock[state.ticks];
        state.ticks += 1;
        state.told = if self.has(Fault::ReadsBeforeWaiting) { before } else { state.now };
        let is_next = state.now / TIMING.slot_ms != slot;
        if is_next {
            for (number, node) in state.nodes.iter_mut().enumerate() {
                node.sees = !self.blind.contains(&number);
            }
            self.note_seen(state);
        }
        if self.is_paced {
            let due: Vec<_> = state.asked.keys().copied().collect();
            due.into_iter().for_each(|id| self.answer(state, id, None));
        }
        let waits = |asked: &Asked| !matches!(asked.request, Request::Sign { .. });
        let is_held = self.has(Fault::WaitsForTheNode) && state.asked.values().any(waits);
        if !is_held {
            self.deliver(state, Event::Wake);
        }
        if is_next && !is_held {
            for node in 0..state.nodes.len() {
                self.tell_head(state, node);
            }
        }
        let now = state.now;
        state.asked.retain(|_, asked| asked.by_ms > now || is_held);
    }

    /// Notes when the block of the slot was first there.
    pub(super) fn note_seen(&self, state: &mut State) {
        let mut nodes = state.nodes.iter().enumerate();
        if nodes.any(|(number, node)| node.sees && !self.hung.contains(&number)) {
            state.seen_ms.entry(state.now / TIMING.slot_ms).or_insert(state.now);
        }
    }

    fn restart(&self, state: &mut State) {
        let asked = std::mem::take(&mut state.asked).into_values().map(|asked| asked.request);
        let lasting = asked
            .filter(|request| matches!(request, Request::Sign { .. } | Request::Publish { .. }));
        state.orphans.extend(lasting);
        state.given.clear();
        state.duties.clear();
        state.learnt_ms = None;
        state.life += 1;
        state.machine = self.machine();
        self.start(state);
    }

    fn answers(&self, state: &State, actions: &mut Vec<Action>) {
        if self.is_paced {
            return;
        }
        let signs = state.asked.values().any(|asked| matches!(asked.request, Request::Sign { .. }));
        for (id, Asked { request, .. }) in &state.asked {
            match request {
                Request::Sign { key, .. } if self.dead.contains(key) => continue,
                Request::Publish { .. } if signs && self.has(Fault::WaitsForAll) => continue,
                Request::Sign { .. } => actions.push(Action::Answer(*id, 0)),
                _ => {
                    let live = (0..state.nodes.len()).filter(|node| !self.hung.contains(node));
                    actions.extend(live.map(|node| Action::Answer(*id, node)));
                }
            }
            if state.spent.failures < self.bounds.failures {
                actions.push(Action::Fail(*id));
            }
            let is_publish = matches!(request, Request::Publish { .. });
            if is_publish && state.spent.losses < self.bounds.losses {
                actions.push(Action::Lose(*id));
            }
        }
    }
}

impl Bounded for Ptc {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("nodes", self.nodes.len().to_string()),
            ("keys", self.keys.len().to_string()),
            ("branches", self.branches.len().to_string()),
            ("ticks", self.clock.len().to_string()),
            ("restarts", self.bounds.restarts.to_string()),
            ("failures", self.bounds.failures.to_string()),
            ("losses", self.bounds.losses.to_string()),
            ("repeats", self.bounds.repeats.to_string()),
            ("switches", self.bounds.switches.to_string()),
        ])
    }
}

impl Model for Ptc {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let nodes = self.nodes.iter().enumerate();
        let mut state = State {
            machine: self.machine(),
            life: 0,
            nodes: nodes
                .map(|(number, branch)| Node {
                    branch: *branch,
                    sees: !self.blind.contains(&number),
                })
                .collect(),
            asked: BTreeMap::new(),
            given: BTreeMap::new(),
            duties: BTreeMap::new(),
            orphans: Vec::new(),
            signed: BTreeMap::new(),
            signed_ms: BTreeMap::new(),
            left_ms: BTreeMap::new(),
            seen_ms: BTreeMap::new(),
            switched_ms: 0,
            learnt_ms: None,
            now: START,
            told: START,
            ticks: 0,
            spent: Spent::default(),
            kept: BTreeMap::new(),
            root: None,
            no_block: None,
            is_off_branch: false,
            is_late: false,
            is_long: false,
        };
        self.start(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.ticks < self.clock.len() {
            actions.push(Action::Tick);
        }
        self.answers(state, actions);
        let spent = state.spent;
        if spent.repeats < self.bounds.repeats {
            actions.extend(state.given.keys().map(|id| Action::Repeat(*id)));
        }
        for (number, node) in state.nodes.iter().enumerate() {
            if spent.switches < self.bounds.switches {
                actions.push(Action::Switch(number));
            }
            if !node.sees {
                actions.push(Action::See(number));
            }
        }
        if self.learns.is_some() && state.learnt_ms.is_none() {
            actions.push(Action::Learn);
        }
        if spent.restarts < self.bounds.restarts {
            actions.push(Action::Restart);
        }
        actions.extend((0..state.orphans.len()).map(Action::CarryOut));
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Answer(id, node) => self.answer(&mut state, id, Some(node)),
            Action::Fail(id) => {
                state.spent.failures += 1;
                let asked = state.asked.remove(&id);
                let is_publish =
                    asked.is_some_and(|asked| matches!(asked.request, Request::Publish { .. }));
                let reply = if is_publish { Reply::NotTaken } else { Reply::Failed };
                self.deliver(&mut state, Event::Reply { request: id, reply });
            }
            Action::Lose(id) => {
                state.spent.losses += 1;
                self.lose(&mut state, id);
            }
            Action::Repeat(id) => {
                state.spent.repeats += 1;
                let reply = state.given.remove(&id)?;
                self.deliver(&mut state, Event::Reply { request: id, reply });
            }
            Action::Tick => self.tick(&mut state),
            Action::Switch(number) => {
                state.spent.switches += 1;
                let node = &mut state.nodes[number];
                node.branch = (node.branch + 1) % self.branches.len();
                state.switched_ms = state.now;
                self.tell_head(&mut state, number);
            }
            Action::See(number) => {
                state.nodes[number].sees = true;
                self.note_seen(&mut state);
                self.tell_head(&mut state, number);
            }
            Action::Learn => {
                state.learnt_ms = Some(state.now);
                self.tell_validators(&mut state);
            }
            Action::Restart => {
                state.spent.restarts += 1;
                self.restart(&mut state);
            }
            Action::CarryOut(number) => {
                let request = state.orphans.remove(number);
                self.carry_out(&mut state, &request, None);
            }
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = Property::<Self>::always;
        vec![
            always("one vote of (slot, validator)", |_, state| {
                state.signed.values().all(|votes| votes.len() == 1)
            }),
            always("what is signed is of the head's branch", |_, state| !state.is_off_branch),
            always("nothing is signed for a slot that is over", |_, state| !state.is_late),
            always("no request outlasts its slot", |_, state| !state.is_long),
            always("each duty has one outcome", |_, state| {
                let under_way: BTreeSet<_> = state.machine.under_way().collect();
                state.duties.iter().all(|(duty, outcomes)| {
                    outcomes.len() == usize::from(!under_way.contains(duty))
                })
            }),
            always("each duty ends with its slot", |_, state| {
                state.machine.under_way().all(|duty| (duty.slot + 1) * 12 > state.now)
            }),
            always("a vote leaves by the deadline", |model, state| model.have_left(state)),
            always("what is signed by the deadline leaves by it", |model, state| {
                // Where publications are made at once.
                model.dead.is_empty()
                    || state.signed_ms.iter().all(|(duty, signed)| {
                        let due = TIMING.at(duty.slot, TIMING.due_ms);
                        let is_in_time = state.left_ms.get(duty).is_some_and(|left| *left <= due);
                        *signed >= due || state.now < due || is_in_time
                    })
            }),
            always("what has arrived is told as sent", |_, state| {
                let refused = Outcome::Missed(Reason::PublishRefused);
                let is_refused = |ends: &Vec<Outcome>| ends.contains(&refused);
                let mut duties = state.duties.iter();
                !duties.any(|(duty, ends)| is_refused(ends) && state.left_ms.contains_key(duty))
            }),
            always("what is told as sent has arrived", |_, state| {
                let is_sent = |end: &Outcome| matches!(end, Outcome::Sent { .. });
                let mut duties = state.duties.iter();
                duties.all(|(duty, ends)| {
                    state.left_ms.contains_key(duty) || !ends.iter().any(is_sent)
                })
            }),
            always("the branch's duties are done", |model, state| model.are_done(state)),
        ]
    }
}

impl Ptc {
    /// In an instance with one branch and no restart, in which signers answer at once or at their
    /// pace: what a node had before the deadline is voted on by then.
    fn have_left(&self, state: &State) -> bool {
        let is_prompt = self.branches.len() == 1 && self.bounds == Spent::default();
        if !is_prompt || self.learns.is_some() || self.clock_skips() {
            return true;
        }
        let sign = |key| Request::Sign {
            duty: DutyId { slot: 0, validator: 0 },
            key,
            data: ToyVote { slot: 0, block: 0, is_complete: true },
        };
        self.branches[0].iter().all(|(key, slot)| {
            let due = TIMING.at(*slot, TIMING.due_ms);
            let is_seen = state.seen_ms.get(slot).is_some_and(|seen| *seen < due);
            let is_able = !self.dead.contains(key) && !(self.slow)(&sign(*key));
            let duty = DutyId { slot: *slot, validator: (*key).into() };
            let has_left = || state.left_ms.get(&duty).is_some_and(|left| *left <= due);
            state.now < due || !is_seen || !is_able || has_left()
        })
    }

    /// Returns whether the clock does not show every millisecond from the time for the data on.
    fn clock_skips(&self) -> bool {
        let of_slot = (54..=57).all(|ms| self.clock.contains(&ms));
        !of_slot || !self.clock.is_sorted()
    }

    /// In an instance in which a validator is learnt late, or lists are slow, everything else is
    /// answered at once: so whatever the branch lists is sent, if there was a slot's time for it.
    fn are_done(&self, state: &State) -> bool {
        if self.learns.is_none() && self.bounds.switches == 0 || self.nodes.len() > 1 {
            return true;
        }
        let slow_sign = self.bounds.restarts + self.bounds.failures > 0;
        let known = |key: u8| match state.learnt_ms {
            Some(at) if self.learns == Some(key) => Some(at),
            _ => (self.learns != Some(key)).then_some(0),
        };
        slow_sign
            || self.branches[state.nodes[0].branch].iter().all(|(key, slot)| {
                let begins = slot * 12;
                let is_over = begins + 12 <= state.now;
                let is_in_time =
                    state.switched_ms < begins - 12 && known(*key).is_some_and(|at| at < begins);
                let duty = DutyId { slot: *slot, validator: (*key).into() };
                !(is_over && is_in_time) || state.left_ms.contains_key(&duty)
            })
    }
}
