//! A client's queue for votes that come before their block, and the Quarantine in its place. The
//! page `models/ADOPTION.md` tells the story.
//!
//! **The queue.** [`Reprocessing`] is the public design of Lighthouse's queue for early items, as
//! its issue 8073 describes it. A thread that verifies a vote looks its block up. If the block is
//! not there, it sends the vote to a queue, which is a thread of its own. Another thread imports the
//! block and then sends the queue an event, upon which the queue hands back the votes that it has
//! for that root. A vote that is left waits for a timer.
//!
//! **In its place.** [`Owner`] runs core's own Quarantine over a mailbox. Whatever happens to a vote
//! or a block is a message to one owner, so that the look-up and the parking are one step.
//!
//! | property | meaning |
//! |---|---|
//! | no vote waits out its timer | if the block is imported and nothing is under way, no vote waits |
//!
//! The timer is left out of both: what waits for nothing else waits for the timer.

use std::collections::{BTreeMap, VecDeque};

use blocksmith::consensus::Checkpoint;
use blocksmith::hot_db::{self, HotDb};
use blocksmith::machine::Machine;
use blocksmith::quarantine::{Effect, Event, Item, Limits, Quarantine, RequestId};
use blocksmith::rewinder::Job;
use blocksmith::toy::{Toy, ToyAttestation, ToyBlock, ToyRoot, ToyState};
use blocksmith::verdict::{PendingReason, Quarantined};
use stateright::{Model, Property};

use super::{Bounded, Rule, Twin};
use crate::hazard;
use crate::work::work;
use blocksmith_engines::verdict::Breaks;

const NO_TIMER: &str = "no vote waits out its timer";

/// The votes that come for the block.
const VOTES: usize = 2;

/// What a vote's thread does after it has sent the vote to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Nothing: the event of the import is to hand the vote back.
    TrustsTheEvent,
    /// It looks the block up again, and hands the event in itself if the block is there by now.
    LooksAgain,
}

/// Threads that verify votes, one that imports, and the queue between them.
#[derive(Clone, Copy, Debug)]
struct Reprocessing {
    then: Then,
}

/// Where a vote is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Vote {
    Arrived,
    /// The block was not there when its thread looked.
    NotFound,
    /// It is on its way to the queue.
    Sent,
    Waits,
    Verified,
}

/// A message to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Message {
    Unknown(usize),
    Imported,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ReprocessingState {
    votes: [Vote; VOTES],
    /// Votes whose thread has yet to look again.
    look_again: [bool; VOTES],
    imported: bool,
    announced: bool,
    mailbox: VecDeque<Message>,
}

/// What happens next, in the words of the counterexample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// The vote's thread looks its block up.
    LookUp(usize),
    /// The vote's thread sends the vote to the queue.
    SendToQueue(usize),
    /// The vote's thread looks the block up again.
    LookAgain(usize),
    /// The importer puts the block into the fork choice.
    Import,
    /// The importer sends the queue the event.
    AnnounceImport,
    /// The queue takes its oldest message.
    QueueTakes,
}

impl Bounded for Reprocessing {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([("votes", VOTES.to_string()), ("blocks", "1".to_owned())])
    }
}

impl Model for Reprocessing {
    type State = ReprocessingState;
    type Action = Step;

    fn init_states(&self) -> Vec<ReprocessingState> {
        vec![ReprocessingState {
            votes: [Vote::Arrived; VOTES],
            look_again: [false; VOTES],
            imported: false,
            announced: false,
            mailbox: VecDeque::new(),
        }]
    }

    fn actions(&self, state: &ReprocessingState, actions: &mut Vec<Step>) {
        for (number, vote) in state.votes.iter().enumerate() {
            match vote {
                Vote::Arrived => actions.push(Step::LookUp(number)),
                Vote::NotFound => actions.push(Step::SendToQueue(number)),
                Vote::Sent | Vote::Waits | Vote::Verified => {}
            }
            actions.extend(state.look_again[number].then_some(Step::LookAgain(number)));
        }
        actions.extend((!state.imported).then_some(Step::Import));
        actions.extend((state.imported && !state.announced).then_some(Step::AnnounceImport));
        actions.extend((!state.mailbox.is_empty()).then_some(Step::QueueTakes));
    }

    fn next_state(&self, last: &ReprocessingState, step: Step) -> Option<ReprocessingState> {
        let mut state = last.clone();
        match step {
            Step::LookUp(number) => {
                state.votes[number] = if state.imported { Vote::Verified } else { Vote::NotFound };
            }
            Step::SendToQueue(number) => {
                state.votes[number] = Vote::Sent;
                state.mailbox.push_back(Message::Unknown(number));
                state.look_again[number] = self.then == Then::LooksAgain;
            }
            Step::LookAgain(number) => {
                state.look_again[number] = false;
                if state.imported {
                    state.mailbox.push_back(Message::Imported);
                }
            }
            Step::Import => state.imported = true,
            Step::AnnounceImport => {
                state.announced = true;
                state.mailbox.push_back(Message::Imported);
            }
            Step::QueueTakes => match state.mailbox.pop_front()? {
                Message::Unknown(number) => state.votes[number] = Vote::Waits,
                // The queue hands back what it has, and each vote is verified.
                Message::Imported => {
                    for vote in state.votes.iter_mut().filter(|vote| **vote == Vote::Waits) {
                        *vote = Vote::Verified;
                    }
                }
            },
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(NO_TIMER, |model: &Self, state: &ReprocessingState| {
            let mut actions = Vec::new();
            model.actions(state, &mut actions);
            !actions.is_empty() || !state.votes.contains(&Vote::Waits)
        })]
    }
}

/// Core's own Quarantine, with a mailbox before it, and what is under way for it.
#[derive(Clone, Debug)]
struct Owner {
    toy: Toy,
    /// Whether a vote's thread looks the block up before it hands the vote to the owner, and keeps
    /// what it does not find in a list that the import empties.
    looks_first: bool,
}

/// A message to the owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ToOwner {
    Event(Event<Toy>),
    /// With the fault: a vote that was looked up and not found.
    Park(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OwnerState {
    machine: Quarantine<Toy>,
    hot_db: HotDb<Toy>,
    mailbox: VecDeque<ToOwner>,
    /// What has yet to be handed in: the votes, and at last the block.
    to_come: [bool; VOTES + 1],
    /// With the fault: votes that were not found, and are to be sent.
    not_found: [bool; VOTES],
    /// With the fault: the list.
    parked: Vec<usize>,
    checks: BTreeMap<RequestId, Job<Toy>>,
    imports: Vec<RequestId>,
    imported: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum OwnerStep {
    /// A vote, or the block, is handed in.
    HandIn(usize),
    /// With the fault: the vote's thread sends the vote that it has not found.
    SendToList(usize),
    /// The owner takes its oldest message.
    Takes,
    /// The Rewinder answers a check.
    Answer(RequestId),
    /// Clearance has taken an item in, and sends word of it.
    Import(RequestId),
}

/// The block that the votes are for.
const BLOCK: ToyRoot = 1;

fn vote(number: usize) -> Event<Toy> {
    let (validator, target) = (number as u64, Checkpoint { epoch: 0, root: 0 });
    let id = 20 + number as ToyRoot;
    let vote = ToyAttestation { id, slot: 2, head: BLOCK, target, validator, valid: true };
    let item = Quarantined::new(Item::Attestation(vote), 0, 1);
    Event::Submit { id: number as u64, item }
}

impl Owner {
    fn hand_over(&self, state: &mut OwnerState, event: Event<Toy>) {
        for effect in state.machine.handle(&self.toy, event) {
            match effect {
                Effect::Check { request, job, .. } => drop(state.checks.insert(request, job)),
                Effect::ClearBlock { request, .. } => {
                    state.imports.push(request);
                    state.imported = true;
                }
                Effect::ClearAttestation { request, .. } => state.imports.push(request),
                _ => {}
            }
        }
    }
}

impl Bounded for Owner {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([("votes", VOTES.to_string()), ("blocks", "1".to_owned())])
    }
}

impl Model for Owner {
    type State = OwnerState;
    type Action = OwnerStep;

    fn init_states(&self) -> Vec<OwnerState> {
        let hot_db = HotDb::new(&self.toy, hot_db::Limits::default(), 0, 0, ToyState::anchor());
        let anchor = Checkpoint { epoch: 0, root: 0 };
        let mut state = OwnerState {
            machine: Quarantine::new(Limits::default(), anchor, 0),
            hot_db,
            mailbox: VecDeque::new(),
            to_come: [true; VOTES + 1],
            not_found: [false; VOTES],
            parked: Vec::new(),
            checks: BTreeMap::new(),
            imports: Vec::new(),
            imported: false,
        };
        self.hand_over(&mut state, Event::Tick { slot: 3, into_slot_ms: 0 });
        vec![state]
    }

    fn actions(&self, state: &OwnerState, actions: &mut Vec<OwnerStep>) {
        let to_come = (0..=VOTES).filter(|number| state.to_come[*number]);
        actions.extend(to_come.map(OwnerStep::HandIn));
        let not_found = (0..VOTES).filter(|number| state.not_found[*number]);
        actions.extend(not_found.map(OwnerStep::SendToList));
        actions.extend((!state.mailbox.is_empty()).then_some(OwnerStep::Takes));
        actions.extend(state.checks.keys().copied().map(OwnerStep::Answer));
        actions.extend(state.imports.iter().copied().map(OwnerStep::Import));
    }

    fn next_state(&self, last: &OwnerState, step: OwnerStep) -> Option<OwnerState> {
        let mut state = last.clone();
        match step {
            OwnerStep::HandIn(number) => {
                state.to_come[number] = false;
                if number == VOTES {
                    let item = Quarantined::new(Item::Block(ToyBlock::new(BLOCK, 0, 1)), 0, 1);
                    let event = Event::Submit { id: number as u64, item };
                    state.mailbox.push_back(ToOwner::Event(event));
                } else if self.looks_first && !state.imported {
                    state.not_found[number] = true;
                } else {
                    state.mailbox.push_back(ToOwner::Event(vote(number)));
                }
            }
            OwnerStep::SendToList(number) => {
                state.not_found[number] = false;
                state.mailbox.push_back(ToOwner::Park(number));
            }
            OwnerStep::Takes => match state.mailbox.pop_front()? {
                ToOwner::Park(number) => state.parked.push(number),
                ToOwner::Event(event) => {
                    let releases = matches!(event, Event::Imported { .. });
                    self.hand_over(&mut state, event);
                    if releases {
                        for number in std::mem::take(&mut state.parked) {
                            self.hand_over(&mut state, vote(number));
                        }
                    }
                }
            },
            OwnerStep::Answer(request) => {
                let job = state.checks.remove(&request)?;
                let answer = work(&self.toy, &mut state.hot_db, job);
                state.mailbox.push_back(ToOwner::Event(Event::Answered { request, answer }));
            }
            OwnerStep::Import(request) => {
                state.imports.retain(|other| *other != request);
                let finalized = Checkpoint { epoch: 0, root: 0 };
                let event = Event::Imported { request: Some(request), finalized };
                state.mailbox.push_back(ToOwner::Event(event));
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(NO_TIMER, |model: &Self, state: &OwnerState| {
            let mut actions = Vec::new();
            model.actions(state, &mut actions);
            let pending = state.machine.pending();
            let waits = pending.iter().any(|(_, why)| *why == PendingReason::UnknownBlock);
            !actions.is_empty() || (!waits && state.parked.is_empty())
        })]
    }
}

const BREAKS: &[Breaks] = &[Breaks::Property(NO_TIMER)];

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "early_votes_look_again",
        claim: "a vote whose thread looks its block up again, once the vote is on its way to the \
                queue, waits out no timer",
        states: 321,
        model: || Box::new(Reprocessing { then: Then::LooksAgain }),
        twins: &[Twin {
            name: "early_votes_trust_the_event",
            hazard: &hazard::C1,
            claim: "a vote that was looked up before the import reaches the queue after the event \
                    of the import, and waits out its timer",
            model: || Box::new(Reprocessing { then: Then::TrustsTheEvent }),
            breaks: BREAKS,
        }],
    },
    Rule {
        name: "early_votes_have_one_owner",
        claim: "with the Quarantine in the queue's place, which looks up and parks in one step, no \
                vote waits once its block is there",
        states: 335,
        model: || Box::new(Owner { toy: Toy::default(), looks_first: false }),
        twins: &[Twin {
            name: "early_votes_have_two_owners",
            hazard: &hazard::C1,
            claim: "a thread in front of the Quarantine looks up, and keeps what it has not found \
                    in a list of its own",
            model: || Box::new(Owner { toy: Toy::default(), looks_first: true }),
            breaks: BREAKS,
        }],
    },
];
