//! The words for the events and effects of the Quarantine, of Clearance and of a worker.

use std::fmt::Write as _;

use super::items::{self, checkpoint, list, root, state};
use crate::clearance::{self, Import};
use crate::consensus::Consensus;
use crate::hot_db::{CommitReply, TrailReply};
use crate::quarantine;
use crate::rewinder::{Answer, WorkerEffect, WorkerEvent};

/// What can be told in the words of a trace. `X` is what a machine asks about its input.
pub trait Words<X: ?Sized> {
    /// Writes a verb and then each `name=value`, with one space between them.
    fn words(&self, context: &X, out: &mut String);
}

/// Returns the words of effects, with `; ` between them.
pub(crate) fn effects<X: ?Sized, E: Words<X>>(context: &X, effects: &[E]) -> String {
    let mut out = String::new();
    for (place, effect) in effects.iter().enumerate() {
        if place > 0 {
            out.push_str("; ");
        }
        effect.words(context, &mut out);
    }
    out
}

// Writing to a string does not fail, so the results of `write!` are dropped below.

impl<C: Consensus> Words<C> for quarantine::Event<C> {
    fn words(&self, consensus: &C, out: &mut String) {
        let _ = match self {
            Self::Submit { id, item } => {
                let written = write!(out, "submit item={id} peer={}", item.peer());
                items::item(consensus, item.item(), out);
                written
            }
            Self::Answered { request, answer } => {
                write!(out, "answered request={request} answer={}", of_answer(answer))
            }
            Self::Imported { request, finalized } => {
                let request = request.map_or_else(|| "-".to_owned(), |number| number.to_string());
                write!(out, "imported request={request} finalized={}", checkpoint(finalized))
            }
            Self::NotImported { request } => write!(out, "not_imported request={request}"),
            Self::Payload { root: of } => write!(out, "payload root={}", root(of)),
            Self::Tick { slot, into_slot_ms } => {
                write!(out, "tick slot={slot} into_slot_ms={into_slot_ms}")
            }
            Self::Weigh { peer, weight } => write!(out, "weigh peer={peer} weight={weight}"),
            Self::Stop => write!(out, "stop"),
        };
    }
}

impl<C: Consensus> Words<C> for quarantine::Effect<C> {
    fn words(&self, _: &C, out: &mut String) {
        let clear = |out: &mut String, request: &u64, what: String| {
            write!(out, "clear request={request} what={what}")
        };
        let _ = match self {
            Self::Check { request, job, .. } => {
                let written = write!(out, "check request={request}");
                items::job_with_needs(job, out);
                written
            }
            Self::CheckAtHead { request, operation } => {
                let what = items::operation::<C>(operation);
                write!(out, "check_at_head request={request} what={what}")
            }
            Self::ClearBlock { request, block, .. } => {
                clear(out, request, items::block::<C>(block.item()))
            }
            Self::ClearAttestation { request, attestation } => {
                clear(out, request, items::attestation(attestation.item().identity()))
            }
            Self::ClearVote { request, vote } => {
                clear(out, request, items::gossip_vote::<C>(vote.item()))
            }
            Self::ClearOperation { request, operation } => {
                clear(out, request, items::operation::<C>(operation.item()))
            }
            Self::ClearPayloadVote { request, vote } => {
                clear(out, request, items::payload_vote(vote.item().identity()))
            }
            Self::ClearPayload { root: of } => write!(out, "clear_payload root={}", root(of)),
            Self::Verdict { id, verdict } => {
                let (class, reason) = (verdict.class(), verdict.reason());
                write!(out, "verdict item={id} class={class} reason={reason}")
            }
            Self::Parked { id, why } => write!(out, "parked item={id} why={}", why.word()),
            Self::Need { root: of } => write!(out, "need root={}", root(of)),
            Self::NeedPayload { root: of } => write!(out, "need_payload root={}", root(of)),
        };
    }
}

impl<C: Consensus> Words<C> for WorkerEvent<C> {
    fn words(&self, _: &C, out: &mut String) {
        let _ = match self {
            Self::Start(jobs) => write!(out, "start jobs={}", list(jobs, items::job)),
            Self::Trail(reply) => write!(out, "trail reply={}", of_trail(reply)),
            Self::Claimed(claimed) => write!(out, "claimed done={claimed}"),
            Self::Proceed => write!(out, "proceed"),
            Self::Stop => write!(out, "stop"),
            Self::Committed(reply) => write!(out, "committed reply={}", of_commit(*reply)),
            Self::HotDbGone => write!(out, "hot_db_gone"),
        };
    }
}

impl<C: Consensus> Words<C> for WorkerEffect<C> {
    fn words(&self, _: &C, out: &mut String) {
        let _ = match self {
            Self::RequestTrail { root: of, slot } => {
                write!(out, "request_trail root={} slot={slot}", root(of))
            }
            Self::RequestCommittees { target } => {
                write!(out, "request_committees target={}", checkpoint(target))
            }
            Self::Claim((of, slot)) => write!(out, "claim what={}", state(of, *slot)),
            Self::Requeue { after: (of, slot), jobs } => {
                let jobs = list(jobs, items::job);
                write!(out, "requeue after={} jobs={jobs}", state(of, *slot))
            }
            Self::Commit { block, .. } => {
                let header = block.identity();
                write!(out, "commit root={} slot={}", root(&header.root), header.slot)
            }
            Self::PostState(at) => write!(out, "post_state what={}", state(&at.root, at.slot)),
            Self::PostCommittees(at) => {
                let (epoch, of) = (at.key.epoch, root(&at.key.dependent_root));
                write!(out, "post_committees what={epoch}@{of}")
            }
            Self::Loaded((of, slot)) => write!(out, "loaded what={}", state(of, *slot)),
            Self::Proceed => write!(out, "proceed"),
            Self::GiveWay(_) => write!(out, "give_way"),
            Self::Answer(answer) => write!(out, "answer answer={}", of_answer(answer)),
        };
    }
}

impl<C: Consensus> Words<C> for clearance::Event<C> {
    fn words(&self, _: &C, out: &mut String) {
        let _ = match self {
            Self::Import(import) => {
                let what = match import {
                    Import::Block { block, .. } => items::block::<C>(block.item()),
                    Import::Attestation(one) => items::attestation(one.item().identity()),
                    Import::Vote(vote) => items::gossip_vote::<C>(vote.item()),
                    Import::Operation(one) => items::operation::<C>(one.item()),
                    Import::PayloadVote(vote) => items::payload_vote(vote.item().identity()),
                    Import::Payload { root: of } => format!("payload:{}", root(of)),
                    Import::Tick { slot } => format!("tick:{slot}"),
                };
                write!(out, "import what={what}")
            }
            Self::Balances { checkpoint: of, balances } => {
                write!(out, "balances of={} known={}", checkpoint(of), balances.is_some())
            }
            Self::Spent(operations) => write!(out, "spent count={}", operations.len()),
            Self::Detection { on } => write!(out, "detection on={on}"),
        };
    }
}

impl<C: Consensus> Words<C> for clearance::Effect<C> {
    fn words(&self, _: &C, out: &mut String) {
        let _ = match self {
            Self::Prune(prune) => write!(out, "prune{}", super::bodies::prune(prune)),
            Self::RequestBalances(of) => write!(out, "request_balances of={}", checkpoint(of)),
            Self::RequestSpent { checkpoint: of, operations } => {
                write!(out, "request_spent of={} count={}", checkpoint(of), operations.len())
            }
            Self::HeadChanged { old, new, reorg_depth } => {
                let (old, new) = (root(old), root(new));
                write!(out, "head old={old} new={new} reorg_depth={reorg_depth}")
            }
            Self::Justified(at) => write!(out, "justified at={}", checkpoint(at)),
            Self::Finalized(at) => write!(out, "finalized at={}", checkpoint(at)),
            Self::Equivocation { proposer, slot, .. } => {
                write!(out, "equivocation proposer={proposer} slot={slot}")
            }
            Self::DoubleVote { validators, .. } => {
                write!(out, "double_vote validators={}", list(validators, ToString::to_string))
            }
            Self::SurroundVote { validators, .. } => {
                write!(out, "surround_vote validators={}", list(validators, ToString::to_string))
            }
            Self::Detection { on, skipped } => write!(out, "detection on={on} skipped={skipped}"),
            Self::NotImported { root: of, .. } => write!(out, "not_imported root={}", root(of)),
        };
    }
}

/// Returns the word for an answer. An answer of worth names its class.
fn of_answer<C: Consensus>(answer: &Answer<C>) -> &'static str {
    match answer {
        Answer::Block(_)
        | Answer::Attestation(_)
        | Answer::Vote(_)
        | Answer::Operation(_)
        | Answer::PayloadVote(_) => "valid",
        Answer::State(_) => "state",
        Answer::Produced(_) => "produced",
        Answer::Invalid(_) | Answer::InvalidVote { .. } => "invalid",
        Answer::UnknownParent => "unknown_parent",
        Answer::Pruned => "pruned",
        Answer::Full => "full",
        Answer::Busy => "busy",
        Answer::Stale => "stale",
        Answer::TooFar => "too_far",
        Answer::Refused => "refused",
        Answer::Fault(_) => "fault",
    }
}

pub(super) fn of_trail<C: Consensus>(reply: &TrailReply<C>) -> &'static str {
    match reply {
        TrailReply::Trail(_) => "trail",
        TrailReply::Committees(_) => "committees",
        TrailReply::Stale => "stale",
        TrailReply::UnknownParent => "unknown_parent",
        TrailReply::Pruned => "pruned",
        TrailReply::TooFar { .. } => "too_far",
        TrailReply::BeforeBlock { .. } => "before_block",
    }
}

pub(super) fn of_commit(reply: CommitReply) -> &'static str {
    match reply {
        CommitReply::Committed => "committed",
        CommitReply::AlreadyCommitted => "already",
        CommitReply::UnknownParent => "unknown_parent",
        CommitReply::Pruned => "pruned",
        CommitReply::Full => "full",
    }
}
