//! The state, and what may happen next.

use std::collections::{BTreeMap, BTreeSet};

use blocksmith::beacon_validator::toy::{Signed, ToyDuties, ToySignature};
use blocksmith::beacon_validator::{
    BeaconValidator, DutyId, DutyList, Event, Head, Kind, Limits, Listed, Message, Outcome,
    Reading, Reason, Reply, Request, RequestId, Timing,
};
use blocksmith::machine::Machine;
use stateright::{Model, Property};

use super::Fault;
use super::node::Lie;
use crate::rules::Bounded;

/// Slots of 12 ms, epochs of four slots.
pub(super) const TOY: ToyDuties = ToyDuties { timing: Timing::phase0(4, 12) };

/// A branch: its head, and the lists of epoch 1.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) head: Head<u8>,
    pub(super) proposers: Vec<Listed<u8>>,
    pub(super) attesters: Vec<Listed<u8>>,
}

/// Which requests are not answered at once.
pub(super) type Slow = fn(&Request<ToyDuties>) -> bool;

/// An instance.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    pub(super) fault: Option<Fault>,
    pub(super) branches: Vec<Branch>,
    /// The branch of each process's node at the start.
    pub(super) starts_on: Vec<usize>,
    /// The keys, which are also the validators' indices.
    pub(super) keys: Vec<u8>,
    /// Keys whose signer never answers.
    pub(super) dead: Vec<u8>,
    /// The readings of the clock after the first, which is the start of slot 4.
    pub(super) clock: Vec<u64>,
    pub(super) slow: Slow,
    /// How often a process may restart, an answer may fail, be given late or twice, and a node may
    /// change its branch; in all.
    pub(super) restarts: usize,
    pub(super) failures: usize,
    pub(super) repeats: usize,
    pub(super) switches: usize,
    /// How often a node may lie, an answer be lost after its request was carried out, a list of
    /// attesters be held up, and a machine panic; in all.
    pub(super) lies: usize,
    pub(super) losses: usize,
    pub(super) holds: usize,
    pub(super) panics: usize,
    /// A key whose validator is learnt at any moment, and not at the start.
    pub(super) learns: Option<u8>,
}

/// A request, and the branch of the node when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) request: Request<ToyDuties>,
    pub(super) branch: usize,
    pub(super) by_ms: u64,
    pub(super) is_held: bool,
}

/// A process with its beacon node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) machine: BeaconValidator<ToyDuties>,
    pub(super) branch: usize,
    /// Requests that may still be answered: those under way, and given up ones that are late.
    pub(super) asked: BTreeMap<RequestId, Asked>,
    /// Answers that may come a second time.
    pub(super) given: BTreeMap<RequestId, Reply<ToyDuties>>,
    /// Duties that have begun since the last restart, and their outcomes.
    pub(super) duties: BTreeMap<DutyId, Vec<Outcome>>,
    /// When the node has changed its branch last.
    pub(super) since_ms: u64,
    /// When the validator that is learnt late was learnt.
    pub(super) learnt_ms: Option<u64>,
    /// With a fault: lists that are kept, by epoch, kind and root.
    pub(super) kept: BTreeMap<(u64, DutyList, u8), Reply<ToyDuties>>,
}

/// Processes, signers, nodes and the protection database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) processes: Vec<Process>,
    /// What the database has, by key.
    pub(super) record: BTreeMap<u8, BTreeSet<Signed>>,
    /// Blocks and attestations that have been signed, by key.
    pub(super) left: BTreeMap<u8, BTreeSet<Signed>>,
    /// Requests of processes that are gone, which are carried out nonetheless.
    pub(super) orphans: Vec<Request<ToyDuties>>,
    /// With a fault: what is still to be recorded, by whom.
    pub(super) unrecorded: Vec<(usize, u8, Signed)>,
    /// With a fault: requests that were checked and not recorded.
    pub(super) checked: BTreeMap<(usize, RequestId), Reply<ToyDuties>>,
    /// With a fault: signatures that lie in a key's channel.
    pub(super) stale: BTreeMap<u8, ToySignature>,
    /// With a fault: what a node has sent in the place of what the machine was told, by duty's
    /// slot.
    pub(super) sent_instead: BTreeMap<u64, Signed>,
    /// Duties whose message a node has taken, where answers can be lost.
    pub(super) arrived: BTreeSet<DutyId>,
    pub(super) now: u64,
    /// Readings that have come.
    pub(super) ticks: usize,
    pub(super) spent: Spent,
    pub(super) is_misused: bool,
    pub(super) is_off_branch: bool,
    pub(super) is_foreign: bool,
    pub(super) is_late: bool,
}

/// How often what is bounded has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Spent {
    pub(super) restarts: usize,
    pub(super) failures: usize,
    pub(super) repeats: usize,
    pub(super) switches: usize,
    pub(super) lies: usize,
    pub(super) losses: usize,
    pub(super) holds: usize,
    pub(super) panics: usize,
}

/// What happens next. The first number is that of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A request is carried out and answered.
    Answer(usize, RequestId),
    /// A request fails.
    Fail(usize, RequestId),
    /// An answer comes a second time.
    Repeat(usize, RequestId),
    /// A node answers with a lie.
    Lie(usize, RequestId, Lie),
    /// A request is carried out, and its answer is lost.
    Lose(usize, RequestId),
    /// The validator that is learnt late is learnt.
    Learn(usize),
    /// The machine panics over an event that does not exist, and has a successor.
    Panic(usize),
    /// The clock is read by all processes.
    Tick,
    /// The node has the head of the other branch.
    Switch(usize),
    /// The process restarts.
    Restart(usize),
    /// A request of a process that is gone is carried out.
    CarryOut(usize),
    /// With a fault: the record is written.
    Record(usize, RequestId),
    /// With a fault: the record of a signature that has left is written.
    RecordLate,
}

const START: u64 = 4 * 12;

impl Validators {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn limits() -> Limits {
        Limits { node_ms: 6, retry_ms: 1, hold_ms: 1, attempts: 2, ..Limits::default() }
    }

    fn prepared(&self) -> State {
        let process = |branch: &usize| Process {
            machine: BeaconValidator::new(&TOY, Self::limits()),
            branch: *branch,
            asked: BTreeMap::new(),
            given: BTreeMap::new(),
            duties: BTreeMap::new(),
            since_ms: 0,
            learnt_ms: None,
            kept: BTreeMap::new(),
        };
        let mut state = State {
            processes: self.starts_on.iter().map(process).collect(),
            record: BTreeMap::new(),
            left: BTreeMap::new(),
            orphans: Vec::new(),
            unrecorded: Vec::new(),
            checked: BTreeMap::new(),
            stale: BTreeMap::new(),
            sent_instead: BTreeMap::new(),
            arrived: BTreeSet::new(),
            now: START,
            ticks: 0,
            spent: Spent::default(),
            is_misused: false,
            is_off_branch: false,
            is_foreign: false,
            is_late: false,
        };
        for process in 0..self.starts_on.len() {
            self.start(&mut state, process);
        }
        state
    }

    fn tick(&self, state: &mut State) {
        let before = state.now;
        state.now = self.clock[state.ticks];
        state.ticks += 1;
        let read = if self.has(Fault::ReadsBeforeWaiting) { before } else { state.now };
        let reading = Reading::SinceGenesis(read);
        for number in 0..state.processes.len() {
            let waits = |asked: &Asked| matches!(asked.request, Request::Sign { .. });
            let is_held = state.processes[number].asked.values().any(waits);
            if !(self.has(Fault::NoDeadline) && is_held) {
                self.deliver(state, number, Event::Clock(reading));
            }
            self.forget_late(state, number);
        }
    }

    fn restart(&self, state: &mut State, number: usize) {
        let process = &mut state.processes[number];
        let asked = std::mem::take(&mut process.asked).into_values().map(|asked| asked.request);
        let lasting =
            asked.filter(|request| matches!(request, Request::Sign { .. } | Request::Protect(_)));
        state.orphans.extend(lasting);
        process.given.clear();
        process.duties.clear();
        process.learnt_ms = None;
        process.machine = BeaconValidator::new(&TOY, Self::limits());
        state.unrecorded.retain(|(of, ..)| *of != number);
        state.checked.retain(|(of, _), _| *of != number);
        self.start(state, number);
    }

    /// The machine is replaced, as `blocksmith::beacon_validator::service` does it.
    fn panic(&self, state: &mut State, number: usize) {
        let process = &mut state.processes[number];
        let under_way: Vec<_> = process.machine.under_way().collect();
        let begun = process.duties.keys().map(|duty| duty.slot).max();
        for duty in under_way {
            if !self.has(Fault::EndsNothing) {
                process.duties.entry(duty).or_default().push(Outcome::Missed(Reason::Fault));
            }
        }
        let asked = std::mem::take(&mut process.asked);
        process.given.clear();
        if self.has(Fault::AnswersTheSuccessor) {
            let late =
                asked.iter().filter_map(|(id, asked)| Some((*id, signature(&asked.request)?)));
            process.given.extend(late);
        }
        let asked = asked.into_values().map(|asked| asked.request);
        let lasting =
            asked.filter(|request| matches!(request, Request::Sign { .. } | Request::Protect(_)));
        state.orphans.extend(lasting);
        let begun = begun.filter(|_| !self.has(Fault::SuccessorBeginsAgain));
        process.machine = BeaconValidator::after(&TOY, Self::limits(), begun);
        self.start(state, number);
    }
}

impl Bounded for Validators {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("processes", self.starts_on.len().to_string()),
            ("keys", self.keys.len().to_string()),
            ("branches", self.branches.len().to_string()),
            ("ticks", self.clock.len().to_string()),
            ("restarts", self.restarts.to_string()),
            ("failures", self.failures.to_string()),
            ("repeats", self.repeats.to_string()),
            ("switches", self.switches.to_string()),
            ("lies", self.lies.to_string()),
            ("losses", self.losses.to_string()),
            ("holds", self.holds.to_string()),
            ("panics", self.panics.to_string()),
        ])
    }

    fn step_in_words(&self, state: &State, action: &Action) -> (String, String) {
        self.tell(state, *action)
    }

    fn objects(&self, state: &State) -> Vec<(String, String)> {
        self.held(state)
    }
}

impl Model for Validators {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.prepared()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, process) in state.processes.iter().enumerate() {
            for (id, asked) in &process.asked {
                if state.checked.contains_key(&(number, *id)) {
                    actions.push(Action::Record(number, *id));
                    continue;
                }
                if self.is_dead(&asked.request) {
                    continue;
                }
                actions.push(Action::Answer(number, *id));
                let can_fail = state.spent.failures < self.failures;
                actions.extend(can_fail.then_some(Action::Fail(number, *id)));
                if state.spent.lies < self.lies {
                    let lies = Lie::about(&asked.request).iter();
                    actions.extend(lies.map(|lie| Action::Lie(number, *id, *lie)));
                }
                let can_lose = state.spent.losses < self.losses
                    && matches!(asked.request, Request::Publish(_));
                actions.extend(can_lose.then_some(Action::Lose(number, *id)));
            }
            if state.spent.repeats < self.repeats {
                actions.extend(process.given.keys().map(|id| Action::Repeat(number, *id)));
            }
            let can_switch = state.spent.switches < self.switches;
            actions.extend(can_switch.then_some(Action::Switch(number)));
            let can_restart = state.spent.restarts < self.restarts;
            actions.extend(can_restart.then_some(Action::Restart(number)));
            let can_panic = state.spent.panics < self.panics;
            actions.extend(can_panic.then_some(Action::Panic(number)));
            let can_learn = self.learns.is_some() && process.learnt_ms.is_none();
            actions.extend(can_learn.then_some(Action::Learn(number)));
        }
        actions.extend((0..state.orphans.len()).map(Action::CarryOut));
        actions.extend((!state.unrecorded.is_empty()).then_some(Action::RecordLate));
        actions.extend((state.ticks < self.clock.len()).then_some(Action::Tick));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Answer(number, id) => self.answer(&mut state, number, id),
            Action::Fail(number, id) => {
                state.spent.failures += 1;
                self.reply(&mut state, number, id, Reply::Failed);
            }
            Action::Repeat(number, id) => {
                state.spent.repeats += 1;
                let reply = state.processes[number].given.remove(&id)?;
                self.deliver(&mut state, number, Event::Reply { request: id, reply });
            }
            Action::Lie(number, id, lie) => {
                state.spent.lies += 1;
                self.lie(&mut state, number, id, lie);
            }
            Action::Lose(number, id) => {
                state.spent.losses += 1;
                self.lose(&mut state, number, id);
            }
            Action::Learn(number) => {
                state.processes[number].learnt_ms = Some(state.now);
                self.tell_validators(&mut state, number);
            }
            Action::Panic(number) => {
                state.spent.panics += 1;
                self.panic(&mut state, number);
            }
            Action::Tick => self.tick(&mut state),
            Action::Switch(number) => {
                state.spent.switches += 1;
                if self.holds > 0 {
                    state.processes[number].since_ms = state.now;
                }
                let branch = (state.processes[number].branch + 1) % self.branches.len();
                state.processes[number].branch = branch;
                self.tell_head(&mut state, number);
            }
            Action::Restart(number) => {
                state.spent.restarts += 1;
                self.restart(&mut state, number);
            }
            Action::CarryOut(index) => {
                let request = state.orphans.remove(index);
                self.carry_out(&mut state, None, &request);
            }
            Action::Record(number, id) => self.record_checked(&mut state, number, id),
            Action::RecordLate => {
                let (_, key, signed) = state.unrecorded.remove(0);
                state.record.entry(key).or_default().insert(signed);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = Property::<Self>::always;
        vec![
            always("no slashable pair leaves", |_, state| {
                state.left.values().all(|signed| {
                    let mut pairs =
                        signed.iter().flat_map(|one| signed.iter().map(move |two| (one, two)));
                    !pairs.any(|(one, two)| one.is_slashable_with(*two))
                })
            }),
            always("no signature is used for another duty", |_, state| !state.is_misused),
            always("what is signed is of the head's branch", |_, state| !state.is_off_branch),
            always("each duty has one outcome", |_, state| {
                state.processes.iter().all(|process| {
                    let under_way: BTreeSet<_> = process.machine.under_way().collect();
                    process.duties.iter().all(|(duty, outcomes)| {
                        outcomes.len() == usize::from(!under_way.contains(duty))
                    })
                })
            }),
            always("a dead signer costs its own keys alone", |model, state| model.only_dead(state)),
            always("each duty ends by its deadline", |_, state| {
                let mut under_way =
                    state.processes.iter().flat_map(|process| process.machine.under_way());
                under_way.all(|duty| (duty.slot + 1) * 12 > state.now)
            }),
            always("one request a key, kind and slot", one_request),
            always("what is signed is the duty's own", |_, state| !state.is_foreign),
            always("nothing is signed for a slot that is over", |_, state| !state.is_late),
            always("the branch's duties are done", |model, state| model.are_done(state)),
            always("what has arrived is told as sent", |model, state| {
                let failed = Outcome::Missed(Reason::PublishFailed);
                model.losses == 0 || ends(state, failed).all(|duty| !state.arrived.contains(&duty))
            }),
            always("what is told as sent has arrived", |model, state| {
                model.losses == 0
                    || ends(state, Outcome::Sent).all(|duty| state.arrived.contains(&duty))
            }),
        ]
    }
}

/// Returns the signature that a request asks for.
fn signature(request: &Request<ToyDuties>) -> Option<Reply<ToyDuties>> {
    let Request::Sign { key, message, .. } = request else { return None };
    Some(Reply::Signature(ToySignature { key: *key, of: Signed::of(message) }))
}

/// Returns the duties that ended in this way.
fn ends(state: &State, how: Outcome) -> impl Iterator<Item = DutyId> {
    let duties = state.processes.iter().flat_map(|process| &process.duties);
    duties.filter(move |(_, outcomes)| outcomes.contains(&how)).map(|(duty, _)| *duty)
}

impl Validators {
    /// In an instance in which lists are held up, or a validator is learnt late, everything else is
    /// answered at once: so whatever the branch lists is sent, if there was a slot's time for it.
    fn are_done(&self, state: &State) -> bool {
        if self.holds == 0 && self.learns.is_none() {
            return true;
        }
        state.processes.iter().all(|process| {
            let known = |entry: &Listed<u8>| match process.learnt_ms {
                Some(at) => Some(at),
                None => (self.learns != Some(entry.key)).then_some(0),
            };
            self.branches[process.branch].attesters.iter().all(|entry| {
                let begins = entry.slot * 12;
                let is_over = begins + 12 <= state.now;
                let is_in_time = process.since_ms < begins
                    && begins > START
                    && known(entry).is_some_and(|at| at < begins);
                let validator = entry.validator;
                let id = DutyId { slot: entry.slot, kind: Kind::Attestation, validator };
                let is_sent =
                    || process.duties.get(&id).is_some_and(|ends| *ends == [Outcome::Sent]);
                !(is_over && is_in_time) || is_sent()
            })
        })
    }

    /// In an instance with a dead signer everybody else answers at once.
    fn only_dead(&self, state: &State) -> bool {
        let gathered = START + TOY.timing.attestation_gather_ms;
        self.dead.is_empty()
            || state.now < gathered
            || state.processes.iter().all(|process| {
                let votes =
                    process.duties.iter().filter(|(duty, _)| duty.kind != Kind::Aggregation);
                let mut alive =
                    votes.filter(|(duty, _)| !self.dead.contains(&(duty.validator as u8)));
                alive.all(|(_, outcomes)| *outcomes == [Outcome::Sent])
            })
    }
}

fn one_request(_: &Validators, state: &State) -> bool {
    state.processes.iter().all(|process| {
        let mut seen = BTreeSet::new();
        let under_way = process.asked.values().filter(|asked| asked.by_ms > state.now);
        let mut signs = under_way.filter_map(|asked| match &asked.request {
            Request::Sign { duty, key, message } => {
                let kind = match message {
                    Message::Randao(_) => 0,
                    Message::Block(_) => 1,
                    Message::Attestation(_) => 2,
                    Message::Selection(_) => 3,
                    Message::Aggregate { .. } => 4,
                };
                Some((*key, kind, duty.slot))
            }
            _ => None,
        });
        signs.all(|sign| seen.insert(sign))
    })
}

/// Hands an event to the machine of a process.
pub(super) fn handle(
    process: &mut Process,
    event: Event<ToyDuties>,
) -> Vec<blocksmith::beacon_validator::Effect<ToyDuties>> {
    process.machine.handle(&TOY, event)
}
