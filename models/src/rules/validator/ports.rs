//! The ports of a machine: its signers, the protection database, and what the shell does between
//! them and the machine.

use blocksmith::beacon_validator::toy::{Signed, ToyDuties, ToySignature};
use blocksmith::beacon_validator::{
    DutyId, DutyList, Effect, Event, Message, Protection, Reading, Reply, Request, RequestId,
    SignedDuty, Validator,
};

use super::Fault;
use super::model::{Asked, Process, State, Validators, handle};

/// How long a late answer may still come after its request was given up, in milliseconds.
const LATE_MS: u64 = 12;

impl Validators {
    /// Tells a process what it needs to begin: the head, its validators and the time.
    pub(super) fn start(&self, state: &mut State, number: usize) {
        self.tell_head(state, number);
        self.tell_validators(state, number);
        self.deliver(state, number, Event::Clock(Reading::SinceGenesis(state.now)));
    }

    pub(super) fn tell_validators(&self, state: &mut State, number: usize) {
        let is_learnt = state.processes[number].learnt_ms.is_some();
        let known = self.keys.iter().filter(|key| is_learnt || self.learns != Some(**key));
        let of = |key: &u8| Validator { index: u64::from(*key), key: *key, may_sign: true };
        let validators = known.map(of).collect();
        self.deliver(state, number, Event::Validators(validators));
    }

    pub(super) fn tell_head(&self, state: &mut State, number: usize) {
        let mut head = self.branches[state.processes[number].branch].head;
        if self.has(Fault::HeadsAgree) || self.has(Fault::OneRoot) {
            let first = if self.has(Fault::OneRoot) { self.starts_on[number] } else { 0 };
            let first = self.branches[first].head;
            head.current_dependent = first.current_dependent;
            head.previous_dependent = first.previous_dependent;
        }
        self.deliver(state, number, Event::Head(head));
    }

    /// Whether nobody will ever answer a request.
    pub(super) fn is_dead(&self, request: &Request<ToyDuties>) -> bool {
        matches!(request, Request::Sign { key, .. } if self.dead.contains(key))
    }

    /// Hands an event over, and carries out what needs no time.
    pub(super) fn deliver(&self, state: &mut State, number: usize, event: Event<ToyDuties>) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in handle(&mut state.processes[number], event) {
                self.effect(state, number, effect);
            }
            let asked = &state.processes[number].asked;
            let at_once = asked.iter().find(|(id, asked)| {
                let waits =
                    self.has(Fault::WaitsForAll) && awaits_signature(&state.processes[number]);
                let is_slow = (self.slow)(&asked.request)
                    || asked.is_held
                    || self.is_dead(&asked.request)
                    || waits && matches!(asked.request, Request::Publish(_));
                !is_slow && !state.checked.contains_key(&(number, **id))
            });
            let Some(id) = at_once.map(|(id, _)| *id) else { continue };
            let Some(asked) = state.processes[number].asked.remove(&id) else { continue };
            if let Some(reply) = self.carry_out(state, Some((number, &asked)), &asked.request) {
                events.push(Event::Reply { request: id, reply });
            }
        }
    }

    fn effect(&self, state: &mut State, number: usize, effect: Effect<ToyDuties>) {
        match effect {
            Effect::Ask { id, by_ms, request } => {
                if let Request::Sign { message, duty, .. } = &request {
                    // A node that lies about lists has duties of any branch done.
                    let knows = self.lies == 0;
                    state.is_off_branch |= knows && !self.is_listed(message, duty.validator);
                    state.is_late |= state.now >= (duty.slot + 1) * 12;
                    let instead = state.sent_instead.get(&duty.slot).copied();
                    let signed = instead.unwrap_or(Signed::of(message));
                    state.is_foreign |= message.is_protected() && !is_of_duty(signed, *duty);
                }
                let branch = state.processes[number].branch;
                let is_held = self.holds > state.spent.holds
                    && matches!(
                        request,
                        Request::Duties { epoch: 1, list: DutyList::Attesters, .. }
                    );
                state.spent.holds += usize::from(is_held);
                let asked = Asked { request, branch, by_ms, is_held };
                state.processes[number].asked.insert(id, asked);
            }
            Effect::Subscribe(_) => {}
            Effect::Began(duty) => {
                state.processes[number].duties.entry(duty).or_default();
            }
            Effect::Ended { duty, outcome } => {
                state.processes[number].duties.entry(duty).or_default().push(outcome);
            }
        }
    }

    /// Returns whether the branch that a message builds on lists its duty.
    fn is_listed(&self, message: &Message<ToyDuties>, validator: u64) -> bool {
        let of_head = |root: u8| self.branches.iter().find(|branch| branch.head.root == root);
        match message {
            Message::Block(block) => of_head(block.parent).is_some_and(|branch| {
                let mut listed = branch.proposers.iter();
                listed.any(|entry| (entry.validator, entry.slot) == (validator, block.slot))
            }),
            Message::Attestation(data) => of_head(data.head).is_some_and(|branch| {
                branch.attesters.iter().any(|entry| {
                    let committee = entry.place.map(|place| place.committee);
                    (entry.validator, entry.slot, committee)
                        == (validator, data.slot, Some(data.committee))
                })
            }),
            _ => true,
        }
    }

    /// Carries a request out and answers it, whether or not it was given up.
    pub(super) fn answer(&self, state: &mut State, number: usize, id: RequestId) {
        let Some(asked) = state.processes[number].asked.get(&id).cloned() else { return };
        if self.has(Fault::ChecksThenRecords)
            && let Request::Protect(_) = asked.request
        {
            let reply = self.check(state, &asked.request, false);
            state.checked.insert((number, id), reply);
            return;
        }
        let Some(reply) = self.carry_out(state, Some((number, &asked)), &asked.request) else {
            return;
        };
        self.reply(state, number, id, reply);
    }

    /// The second half of a check and record that are two steps.
    pub(super) fn record_checked(&self, state: &mut State, number: usize, id: RequestId) {
        let Some(reply) = state.checked.remove(&(number, id)) else { return };
        let request = state.processes[number].asked.get(&id).map(|asked| asked.request.clone());
        let (Some(Request::Protect(batch)), Reply::Protected(answers)) = (request, &reply) else {
            return;
        };
        for (guarded, (_, answer)) in batch.iter().zip(answers) {
            if *answer == Protection::Recorded {
                let record = state.record.entry(guarded.key).or_default();
                record.insert(Signed::of(&guarded.message));
            }
        }
        self.reply(state, number, id, reply);
    }

    /// Gives an answer to the request that it is for.
    pub(super) fn reply(
        &self,
        state: &mut State,
        number: usize,
        id: RequestId,
        reply: Reply<ToyDuties>,
    ) {
        let process = &mut state.processes[number];
        let Some(asked) = process.asked.get(&id).cloned() else { return };
        let is_late = asked.by_ms <= state.now;
        let mut request = id;
        if let Request::Sign { key, .. } = asked.request {
            if self.has(Fault::KeepsTheStale) {
                if let (true, Reply::Signature(signature)) = (is_late, &reply) {
                    state.stale.insert(key, *signature);
                    process.asked.remove(&id);
                    return;
                }
                if let Some(stale) = state.stale.remove(&key) {
                    process.asked.remove(&id);
                    let reply = Reply::Signature(stale);
                    self.deliver(state, number, Event::Reply { request, reply });
                    return;
                }
            }
            if self.has(Fault::ByPosition) {
                let mut signs = process.asked.iter().filter(|(_, asked)| {
                    asked.by_ms > state.now && matches!(asked.request, Request::Sign { .. })
                });
                request = signs.next().map_or(id, |(first, _)| *first);
            }
        }
        process.asked.remove(&request);
        if state.spent.repeats < self.repeats {
            process.given.insert(request, reply.clone());
        }
        self.deliver(state, number, Event::Reply { request, reply });
    }

    /// Drops requests that nobody will answer any more.
    pub(super) fn forget_late(&self, state: &mut State, number: usize) {
        let (now, repeats) = (state.now, self.repeats > state.spent.repeats);
        state.processes[number].asked.retain(|_, asked| {
            asked.by_ms > now || repeats && asked.by_ms.saturating_add(LATE_MS) > now
        });
        let asked = &state.processes[number].asked;
        state.checked.retain(|(of, id), _| *of != number || asked.contains_key(id));
    }

    /// Does what a request asks for. `by` is the process that gets the answer, if it is not gone.
    pub(super) fn carry_out(
        &self,
        state: &mut State,
        by: Option<(usize, &Asked)>,
        request: &Request<ToyDuties>,
    ) -> Option<Reply<ToyDuties>> {
        if let Request::Protect(_) = request {
            let records = !self.has(Fault::RecordsLate);
            return Some(self.check(state, request, records));
        }
        if let Request::Sign { key, message, .. } = request {
            let of = Signed::of(message);
            if message.is_protected() {
                state.left.entry(*key).or_default().insert(of);
                if let (true, Some((number, _))) = (self.has(Fault::RecordsLate), by) {
                    state.unrecorded.push((number, *key, of));
                }
            }
            return Some(Reply::Signature(ToySignature { key: *key, of }));
        }
        let (number, asked) = by?;
        Some(self.ask_node(state, number, asked))
    }

    /// Checks messages and, if `records`, records those that may be signed, in one transaction.
    fn check(
        &self,
        state: &mut State,
        request: &Request<ToyDuties>,
        records: bool,
    ) -> Reply<ToyDuties> {
        let Request::Protect(batch) = request else { return Reply::Failed };
        let answers = batch.iter().map(|guarded| {
            let message = Signed::of(&guarded.message);
            let record = state.record.entry(guarded.key).or_default();
            let is_slashable = record.iter().any(|old| old.is_slashable_with(message));
            let answer = if is_slashable && !self.has(Fault::SignsAgain) {
                Protection::AlreadySigned
            } else {
                Protection::Recorded
            };
            if records && answer == Protection::Recorded {
                record.insert(message);
            }
            (guarded.duty, answer)
        });
        Reply::Protected(answers.collect())
    }
}

/// Returns whether a block or an attestation is of a duty's slot, proposer and epoch.
fn is_of_duty(signed: Signed, duty: DutyId) -> bool {
    match signed {
        Signed::Block(block) => (block.slot, block.proposer) == (duty.slot, duty.validator),
        Signed::Attestation(data) => (data.slot, data.target) == (duty.slot, duty.slot / 4),
        Signed::Randao(_) | Signed::Selection(_) | Signed::Aggregate(..) => true,
    }
}

fn awaits_signature(process: &Process) -> bool {
    process.asked.values().any(|asked| matches!(asked.request, Request::Sign { .. }))
}

/// Returns whether what is published carries its own key's signature of its own message.
pub(super) fn is_own(signed: &SignedDuty<ToyDuties>) -> bool {
    let key = signed.duty.validator as u8;
    signed.signature == ToySignature { key, of: Signed::of(&signed.message) }
}
