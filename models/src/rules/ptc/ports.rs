//! What the machine is told and asks for, and the faults of its ports.

use std::collections::VecDeque;

use blocksmith::beacon_validator::{Head, Reading};
use blocksmith::machine::Machine;
use blocksmith::payload_attestation::toy::{ToyVote, ToyVotes};
use blocksmith::payload_attestation::{DutyId, Effect, Event, Reply, Request, RequestId};
use blocksmith::ptc_duties::Listed;

use super::Fault;
use super::model::{Asked, Ptc, State, TIMING};

/// The root that a branch's duties depend on.
fn dependent(branch: usize) -> u8 {
    100 + branch as u8
}

/// The block of a slot on a branch, as a head.
fn head(branch: usize, slot: u64) -> Head<u8> {
    let root = slot as u8 * 4 + branch as u8;
    let dependent = dependent(branch);
    Head { root, slot, current_dependent: dependent, previous_dependent: dependent }
}

impl Ptc {
    /// Hands an event to the machine, and answers what is answered at once.
    pub(super) fn deliver(&self, state: &mut State, event: Event<ToyVotes>) {
        let mut events = VecDeque::from([event]);
        // The machine bounds the requests of a moment.
        while let Some(event) = events.pop_front() {
            let at = Reading::SinceGenesis(state.told);
            for effect in state.machine.handle(&at, event) {
                match effect {
                    Effect::Ask { id, by_ms, request } => {
                        let reply = self.asked(state, id, by_ms, request);
                        events.extend(reply.map(|reply| Event::Reply { request: id, reply }));
                    }
                    Effect::Began(duty) => drop(state.duties.entry(duty).or_default()),
                    Effect::Took { .. } => {}
                    Effect::Ended { duty, outcome } => {
                        state.duties.entry(duty).or_default().push(outcome);
                    }
                }
            }
        }
    }

    /// A request is made. Returns the answer, if it comes at once.
    fn asked(
        &self,
        state: &mut State,
        id: RequestId,
        by_ms: u64,
        request: Request<ToyVotes>,
    ) -> Option<Reply<ToyVotes>> {
        let slot = state.now / TIMING.slot_ms;
        state.is_long |= by_ms > (slot + 1) * TIMING.slot_ms && state.told == state.now;
        if let Request::Sign { duty, data, .. } = &request {
            state.is_late |= duty.slot != slot;
            state.is_off_branch |= !self.is_listed(*duty, *data);
            state.signed.entry(*duty).or_default().insert((state.life, *data));
        }
        let is_publish = matches!(request, Request::Publish { .. });
        if is_publish && self.has(Fault::ConfirmsFirst) {
            state.orphans.push(request);
            return Some(Reply::Published { refused: Vec::new() });
        }
        let signs = state.asked.values().any(|asked| matches!(asked.request, Request::Sign { .. }));
        let is_held = is_publish && signs && self.has(Fault::WaitsForAll);
        let reply = if (self.slow)(&request) || self.is_paced || is_held {
            None
        } else {
            self.carry_out(state, &request, None)
        };
        if reply.is_none() {
            let asked = Asked { request, by_ms, since_ms: state.now };
            state.asked.insert(id, asked);
        }
        reply
    }

    /// Returns whether the branch of the data's block lists the duty.
    fn is_listed(&self, duty: DutyId, data: ToyVote) -> bool {
        let (branch, slot) = (usize::from(data.block % 4), u64::from(data.block / 4));
        let mut listed = self.branches[branch].iter();
        slot == duty.slot
            && listed.any(|(key, slot)| (u64::from(*key), *slot) == (duty.validator, duty.slot))
    }

    /// Carries a request out and answers it, by this node if it is one of a node.
    pub(super) fn answer(&self, state: &mut State, id: RequestId, node: Option<usize>) {
        let Some(asked) = state.asked.get(&id).cloned() else { return };
        let Some(reply) = self.carry_out(state, &asked.request, node) else { return };
        state.asked.remove(&id);
        if state.spent.repeats < self.bounds.repeats {
            state.given.insert(id, reply.clone());
        }
        self.deliver(state, Event::Reply { request: id, reply });
    }

    /// Carries a publication out, and loses its answer.
    pub(super) fn lose(&self, state: &mut State, id: RequestId) {
        let Some(asked) = state.asked.remove(&id) else { return };
        self.carry_out(state, &asked.request, None);
        let reply = if self.has(Fault::TriesInSilence) {
            self.carry_out(state, &asked.request, None).unwrap_or(Reply::Failed)
        } else if self.has(Fault::LostIsNotTaken) {
            Reply::NotTaken
        } else {
            Reply::Failed
        };
        self.deliver(state, Event::Reply { request: id, reply });
    }

    /// Does what a request asks for. `None` if nobody answers.
    pub(super) fn carry_out(
        &self,
        state: &mut State,
        request: &Request<ToyVotes>,
        node: Option<usize>,
    ) -> Option<Reply<ToyVotes>> {
        match request {
            Request::Duties { epoch, validators } => {
                let live = (0..state.nodes.len()).find(|number| !self.hung.contains(number));
                let branch = state.nodes[node.or(live)?].branch;
                Some(self.list(state, branch, *epoch, validators))
            }
            Request::Data { slot } => self.data(state, *slot, node),
            Request::Sign { duty, key, data } => {
                if self.dead.contains(key) {
                    return None;
                }
                state.signed_ms.entry(*duty).or_insert(state.now);
                Some(Reply::Signature((*key, *data)))
            }
            Request::Publish { slot, votes } => {
                let mut refused = Vec::new();
                for vote in votes {
                    let duty = DutyId { slot: *slot, validator: vote.validator };
                    // A node refuses what it knows.
                    if state.left_ms.contains_key(&duty) {
                        refused.push(vote.validator);
                    } else {
                        state.left_ms.insert(duty, state.now);
                    }
                }
                Some(Reply::Published { refused })
            }
        }
    }

    /// The nodes are asked for data side by side: the first that has the block answers. That none
    /// has it is an answer only if none hangs.
    fn data(&self, state: &mut State, slot: u64, node: Option<usize>) -> Option<Reply<ToyVotes>> {
        let has_block = |number: &usize| state.nodes[*number].sees && !self.hung.contains(number);
        let mut asked = 0..if self.has(Fault::FirstNodeOnly) { 1 } else { state.nodes.len() };
        let is_final = self.has(Fault::NoBlockIsFinal) && state.no_block == Some(slot);
        let hangs = asked.clone().any(|number| self.hung.contains(&number));
        let chosen = node.filter(|number| asked.contains(number) && has_block(number));
        match chosen.or_else(|| asked.find(has_block)).filter(|_| !is_final) {
            Some(number) if slot <= state.now / TIMING.slot_ms => {
                let block = head(state.nodes[number].branch, slot).root;
                Some(Reply::Data(ToyVote { slot, block, is_complete: true }))
            }
            _ if hangs && !is_final => None,
            _ => {
                if self.has(Fault::NoBlockIsFinal) {
                    state.no_block = Some(slot);
                }
                Some(Reply::NoBlock)
            }
        }
    }

    /// The list of a branch, with the faults of the ports that keep lists.
    fn list(
        &self,
        state: &mut State,
        branch: usize,
        epoch: u64,
        validators: &[u64],
    ) -> Reply<ToyVotes> {
        let duties = self.branches[branch].iter().filter(|(key, slot)| {
            slot / TIMING.slots_per_epoch == epoch && validators.contains(&u64::from(*key))
        });
        let duties =
            duties.map(|(key, slot)| Listed { validator: u64::from(*key), key: *key, slot: *slot });
        let duties: Vec<_> = duties.collect();
        let mut root = dependent(branch);
        if self.has(Fault::RootOfAnother) {
            root = dependent((branch + 1) % self.branches.len());
        }
        let reply = Reply::Duties { dependent_root: root, duties: duties.clone() };
        let is_full = validators.len() > 1 || self.keys.len() == 1;
        if !is_full {
            if self.has(Fault::KeepsUnderAnotherRoot) {
                state.kept.insert((epoch, 0), reply.clone());
            }
            return reply;
        }
        if self.has(Fault::KeepsByRoot) {
            return state.kept.entry((epoch, root)).or_insert(reply).clone();
        }
        if self.has(Fault::KeepsTheFirstList) {
            return state.kept.entry((epoch, 0)).or_insert(reply).clone();
        }
        if self.has(Fault::KeepsUnderAnotherRoot) {
            // The root that was asked for first, and the list of whatever branch there is now.
            if let Some(Reply::Duties { dependent_root, .. }) = state.kept.get(&(epoch, 0)) {
                return Reply::Duties { dependent_root: *dependent_root, duties };
            }
        }
        reply
    }

    /// A node tells its head.
    pub(super) fn tell_head(&self, state: &mut State, number: usize) {
        let node = state.nodes[number];
        if self.hung.contains(&number) {
            return;
        }
        let slot = state.now / TIMING.slot_ms;
        let mut head = head(node.branch, if node.sees { slot } else { slot - 1 });
        let root = if self.has(Fault::HeadsAgree) {
            dependent(0)
        } else if self.has(Fault::OneRoot) {
            *state.root.get_or_insert(head.previous_dependent)
        } else {
            head.previous_dependent
        };
        (head.current_dependent, head.previous_dependent) = (root, root);
        self.deliver(state, Event::Head(head));
    }
}
