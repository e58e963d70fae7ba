//! Beacon nodes: what they answer, and what they say when they lie.

use blocksmith::beacon_validator::toy::{Signed, ToyData, ToyDuties, ToyProposal};
use blocksmith::beacon_validator::{DutyList, Reply, Request, RequestId};

use super::Fault;
use super::model::{Asked, State, TOY, Validators};
use super::ports::is_own;

/// A lie of a beacon node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lie {
    /// A list under the root of another branch.
    OtherRoot,
    /// The list of another branch under this one's root.
    OtherList,
    /// A block or data of the next slot.
    NextSlot,
    /// A block or data that build on the head of another branch.
    OtherHead,
    /// A block of another proposer.
    OtherProposer,
    /// Data of the next target epoch.
    NextTarget,
    /// Data of another committee.
    OtherCommittee,
}

impl Lie {
    /// Returns the lies about the answer to a request.
    pub(super) fn about(request: &Request<ToyDuties>) -> &'static [Self] {
        match request {
            Request::Duties { epoch: 1, .. } => &[Self::OtherRoot, Self::OtherList],
            Request::Produce { .. } => &[Self::NextSlot, Self::OtherHead, Self::OtherProposer],
            Request::Data { .. } => {
                &[Self::NextSlot, Self::OtherHead, Self::NextTarget, Self::OtherCommittee]
            }
            _ => &[],
        }
    }

    /// Returns the answer with the lie in it. `other` is the head of another branch.
    fn told(self, honest: Reply<ToyDuties>, other: u8) -> Reply<ToyDuties> {
        match honest {
            Reply::Block(block) => Reply::Block(match self {
                Self::NextSlot => ToyProposal { slot: block.slot + 1, ..block },
                Self::OtherHead => ToyProposal { parent: other, ..block },
                Self::OtherProposer => ToyProposal { proposer: block.proposer + 1, ..block },
                _ => block,
            }),
            Reply::Data(data) => Reply::Data(match self {
                Self::NextSlot => ToyData { slot: data.slot + 1, ..data },
                Self::OtherHead => ToyData { head: other, ..data },
                Self::NextTarget => ToyData { target: data.target + 1, ..data },
                Self::OtherCommittee => ToyData { committee: data.committee + 1, ..data },
                _ => data,
            }),
            other => other,
        }
    }
}

impl Validators {
    /// What a beacon node answers: a list of the branch that it had when it was asked, and anything
    /// else of the branch that it has now.
    pub(super) fn ask_node(
        &self,
        state: &mut State,
        number: usize,
        asked: &Asked,
    ) -> Reply<ToyDuties> {
        let branch = &self.branches[state.processes[number].branch];
        match &asked.request {
            Request::Duties { .. } => self.list(state, number, asked),
            Request::Produce { slot, reveal } => {
                let parent = branch.head.root;
                let reveal = (reveal.key, slot / 4);
                let proposer = u64::from(reveal.0);
                Reply::Block(ToyProposal { slot: *slot, proposer, parent, reveal })
            }
            Request::Data { slot, committee } => {
                let (head, committee) = (branch.head.root, *committee);
                let target = slot / 4;
                Reply::Data(ToyData { slot: *slot, committee, head, source: 0, target })
            }
            Request::Aggregate { data, .. } => Reply::Aggregate(*data),
            Request::Publish(batch) => {
                state.is_misused |= !batch.iter().all(is_own);
                let mut refused = Vec::new();
                if self.losses > 0 {
                    let duties = batch.iter().map(|signed| signed.duty);
                    refused.extend(duties.filter(|duty| !state.arrived.insert(*duty)));
                }
                Reply::Published { refused }
            }
            Request::Protect(_) | Request::Sign { .. } => Reply::Failed,
        }
    }

    /// Returns a list as the shell tells it: fresh, or, with a fault, one that was kept.
    fn list(&self, state: &mut State, number: usize, asked: &Asked) -> Reply<ToyDuties> {
        let now_on = state.processes[number].branch;
        let mixes = self.has(Fault::RootOfAnother) || self.has(Fault::KeepsUnderAnotherRoot);
        let rooted = if mixes { now_on } else { asked.branch };
        let reply = self.listed(&asked.request, asked.branch, rooted);
        let (Request::Duties { epoch, list, .. }, Reply::Duties { dependent_root, .. }) =
            (&asked.request, &reply)
        else {
            return reply;
        };
        let root = if self.has(Fault::KeepsTheFirstList) { 0 } else { *dependent_root };
        let keeps = self.has(Fault::KeepsByRoot)
            || self.has(Fault::KeepsUnderAnotherRoot)
            || self.has(Fault::KeepsTheFirstList);
        if !keeps {
            return reply;
        }
        let kept = &mut state.processes[number].kept;
        kept.entry((*epoch, *list, root)).or_insert(reply).clone()
    }

    /// Returns the list of one branch under the root of another, or of the same. Attesters are
    /// those that were asked about.
    fn listed(
        &self,
        request: &Request<ToyDuties>,
        branch: usize,
        rooted: usize,
    ) -> Reply<ToyDuties> {
        let Request::Duties { epoch, list, validators } = request else { return Reply::Failed };
        let mut listed = match list {
            DutyList::Proposers => self.branches[branch].proposers.clone(),
            DutyList::Attesters => self.branches[branch].attesters.clone(),
        };
        let is_attesters = *list == DutyList::Attesters;
        listed.retain(|entry| {
            *epoch == 1 && (!is_attesters || validators.contains(&entry.validator))
        });
        match self.branches[rooted].head.dependent_root(&TOY.timing, *list, *epoch) {
            Some(dependent_root) => Reply::Duties { dependent_root, listed },
            None => Reply::Failed,
        }
    }

    /// Answers a request with a lie.
    pub(super) fn lie(&self, state: &mut State, number: usize, id: RequestId, lie: Lie) {
        let Some(asked) = state.processes[number].asked.get(&id).cloned() else { return };
        let other = (asked.branch + 1) % self.branches.len();
        let honest = match lie {
            Lie::OtherRoot => self.listed(&asked.request, asked.branch, other),
            Lie::OtherList => self.listed(&asked.request, other, asked.branch),
            _ => self.ask_node(state, number, &asked),
        };
        let reply = lie.told(honest.clone(), self.branches[other].head.root);
        if !self.has(Fault::TrustsTheNode) {
            return self.reply(state, number, id, reply);
        }
        let sent = match &reply {
            Reply::Block(block) => Some((block_slot(&asked.request), Signed::Block(*block))),
            Reply::Data(data) => Some((block_slot(&asked.request), Signed::Attestation(*data))),
            _ => None,
        };
        state.sent_instead.extend(sent);
        self.reply(state, number, id, honest);
    }

    /// Carries a request out, and loses the answer. With a fault, the machine is told of an answer
    /// that there was none of.
    pub(super) fn lose(&self, state: &mut State, number: usize, id: RequestId) {
        let Some(asked) = state.processes[number].asked.get(&id).cloned() else { return };
        let Request::Publish(batch) = &asked.request else { return };
        let all = batch.iter().map(|signed| signed.duty).collect();
        let reply = if self.has(Fault::ConfirmsFirst) {
            Reply::Published { refused: Vec::new() }
        } else {
            self.ask_node(state, number, &asked);
            match self.fault {
                Some(Fault::TakesALossForARefusal) => Reply::Published { refused: all },
                _ => Reply::Failed,
            }
        };
        self.reply(state, number, id, reply);
    }
}

/// Returns the slot that a block or data are asked for.
fn block_slot(request: &Request<ToyDuties>) -> u64 {
    match request {
        Request::Produce { slot, .. } | Request::Data { slot, .. } => *slot,
        _ => 0,
    }
}
